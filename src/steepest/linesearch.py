"""Line searches alone: how far to go along a direction, on a function phi(t) of one number.

Here because a loop of one's own needs a good step as much as `minimize` does; the searches are those of its walks, in
kernels/searches.pyx. Tested in tests/test_linesearch.py and tests/test_searches.py.
"""

import math
from dataclasses import dataclass

import numpy as np

from .backends import current
from .errors import SearchStatus
from .options import as_count, as_float, as_number, check_function
from .reference.callback import scalar_result
from .reference.searches import ARMIJO, GLL, HAGER_ZHANG, LOOKING, NEEDS_SLOPE, WOLFE

__all__ = ["LineSearchResult", "SearchStatus", "armijo", "gll", "hager_zhang", "wolfe"]

_FLOAT = np.dtype(np.float64)
# How much f may rise by rounding, as a share of it: Hager and Zhang's epsilon.
ROUNDING = 1e-6

MESSAGES = {
    SearchStatus.FOUND: "the step satisfies the conditions",
    SearchStatus.AT_LIMIT: "phi decreases enough at the longest step that is allowed",
    SearchStatus.EXHAUSTED: "the limit of evaluations is reached: the step is that of the lowest phi",
    SearchStatus.TOO_CLOSE: "the steps that are left are too close to tell apart: the step is that of the lowest phi",
    SearchStatus.HOPELESS: "phi does not go down from 0, or is finite nowhere else: no step is to be taken",
}


@dataclass(frozen=True)
class LineSearchResult:
    """What a line search has found.

    Attributes
    ----------
    step : float
        How far to go; 0 when nothing lower was found.
    f : float
        phi there: the lowest value seen, unless the step was FOUND.
    slope : float
        Its slope there; NaN where it was not needed.
    nfev, njev : int
        How often phi and its slope were called; differences count as calls of phi.
    status : SearchStatus
    message : str
    success : bool
        The step is FOUND, or AT_LIMIT.
    """

    step: float
    f: float
    slope: float
    nfev: int
    njev: int
    status: SearchStatus
    message: str

    @property
    def success(self):
        """Whether the conditions of the search hold."""
        return self.status <= SearchStatus.AT_LIMIT


def armijo(phi, slope=None, *, step=1.0, f0=None, slope0=None, longest=math.inf, decrease=1e-4, maxfev=30):
    """Shorten a step until phi decreases by a share of what its slope promises [1]_.

    ``phi(t) <= phi(0) + decrease * t * phi'(0)``; what is too long is shortened by interpolation with a parabola, then
    with a cubic through the last two trials, to between 0.1 and 0.5 of it.

    Parameters
    ----------
    phi : callable
        ``phi(t)`` gives a number; what is not finite shortens the step.
    slope : callable or True, optional
        ``slope(t)`` gives its derivative; True says that phi gives the pair ``(value, slope)``. By default it is found
        by central differences. This search needs it at 0 only.
    step : float, optional
        The first to look at.
    f0, slope0 : float, optional
        phi(0) and its slope, where they are known.
    longest : float, optional
        No step is longer.
    decrease : float, optional
        The share, above 0 and below 1.
    maxfev : int, optional
        Steps to look at, at most.

    Returns
    -------
    LineSearchResult
        With a status in every case, and with the lowest trial when the conditions are not met.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before phi is called.

    References
    ----------
    .. [1] L. Armijo, "Minimization of functions having Lipschitz continuous first partial derivatives", Pacific J.
       Math. 16 (1966) 1-3.

    Examples
    --------
    >>> import steepest as sd
    >>> found = sd.linesearch.armijo(lambda t: (t - 1.0) ** 2, lambda t: 2 * (t - 1.0), step=8.0)
    >>> found.step, found.nfev, found.success
    (1.0, 3, True)
    """
    return _search(ARMIJO, phi, slope, step, f0, slope0, longest, decrease, 0.0, maxfev)


def wolfe(phi, slope=None, *, step=1.0, f0=None, slope0=None, longest=math.inf, decrease=1e-4, curvature=0.9,
          maxfev=30):
    """Find a step where phi decreases enough and its slope has become small: the strong Wolfe conditions [1]_.

    ``phi(t) <= phi(0) + decrease * t * phi'(0)`` and ``|phi'(t)| <= curvature * |phi'(0)|``.

    Parameters
    ----------
    phi, slope, step, f0, slope0, longest, decrease, maxfev
        As for `armijo`; the slope is needed at every step.
    curvature : float, optional
        Above `decrease` and below 1.

    Returns
    -------
    LineSearchResult
        As from `armijo`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before phi is called.

    References
    ----------
    .. [1] J. J. Moré, D. J. Thuente, "Line search algorithms with guaranteed sufficient decrease", ACM Trans. Math.
       Softw. 20 (1994) 286-307.

    Examples
    --------
    >>> import steepest as sd
    >>> found = sd.linesearch.wolfe(lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2), True, step=0.001)
    >>> found.success, abs(found.slope) <= 0.9 * 0.5
    (True, True)
    """
    return _search(WOLFE, phi, slope, step, f0, slope0, longest, decrease, curvature, maxfev)


def hager_zhang(phi, slope=None, *, step=1.0, f0=None, slope0=None, longest=math.inf, decrease=0.1, curvature=0.9,
                error=None, maxfev=50):
    """Find a step where the Wolfe conditions hold, or the approximate ones, which see more near a minimum [1]_.

    ``(2 * decrease - 1) * phi'(0) >= phi'(t) >= curvature * phi'(0)`` and ``phi(t) <= phi(0) + error`` will do too:
    where phi is flat to rounding, its slope still tells.

    Parameters
    ----------
    phi, slope, step, f0, slope0, longest, decrease, maxfev
        As for `armijo`; the slope is needed at every step, and `decrease` is below 0.5.
    curvature : float, optional
        From `decrease` on, and below 1.
    error : float, optional
        How much phi may rise by rounding, or by noise; ``1e-6 |phi(0)|`` by default.

    Returns
    -------
    LineSearchResult
        As from `armijo`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before phi is called.

    References
    ----------
    .. [1] W. W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line
       search", SIAM J. Optim. 16 (2005) 170-192.

    Examples
    --------
    >>> import steepest as sd
    >>> found = sd.linesearch.hager_zhang(lambda t: 1.0 + 1e-17 * (t - 1) ** 2, lambda t: 2e-17 * (t - 1))
    >>> found.step, found.success
    (1.0, True)
    """
    if not as_number(decrease, "decrease", above=0.0) < 0.5:
        raise ValueError(f"decrease must be below 0.5, not {decrease}")
    error = None if error is None else as_number(error, "error", at_least=0.0)
    return _search(HAGER_ZHANG, phi, slope, step, f0, slope0, longest, decrease, curvature, maxfev, error)


def gll(phi, slope=None, *, recent=(), step=1.0, f0=None, slope0=None, longest=math.inf, decrease=1e-4, maxfev=30):
    """`armijo`, held against the largest of the last few values: the search may climb a little [1]_.

    Parameters
    ----------
    phi, slope, step, f0, slope0, longest, decrease, maxfev
        As for `armijo`.
    recent : sequence of float, optional
        Values of the function at the last points before this one.

    Returns
    -------
    LineSearchResult
        As from `armijo`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before phi is called.

    References
    ----------
    .. [1] L. Grippo, F. Lampariello, S. Lucidi, "A nonmonotone line search technique for Newton's method", SIAM J.
       Numer. Anal. 23 (1986) 707-716.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.linesearch.gll(lambda t: 1.0 + 0.5 * t, recent=[3.0, 2.0], slope0=-1.0).step
    1.0
    """
    try:
        recent = [as_number(value, f"recent[{i}]", above=-math.inf) for i, value in enumerate(recent)]
    except TypeError as error:
        raise TypeError(f"recent must be a sequence of numbers: {error}") from None
    return _search(GLL, phi, slope, step, f0, slope0, longest, decrease, 0.0, maxfev, None, recent)


def _search(kind, phi, slope, step, f0, slope0, longest, decrease, curvature, maxfev, error=None, recent=()):
    """Check, then look along phi."""
    check_function(phi, "phi")
    if slope is not None and slope is not True:
        check_function(slope, "slope")
    step = as_number(step, "step", above=0.0)
    longest = as_float(longest, "longest")
    if not longest > 0:
        raise ValueError(f"longest must be above 0, not {longest}")
    decrease = as_number(decrease, "decrease", above=0.0, below=1.0)
    if NEEDS_SLOPE[kind] and not decrease <= as_number(curvature, "curvature", above=0.0) < 1:
        raise ValueError(f"curvature must be at least decrease, {decrease}, and below 1, not {curvature}")
    maxfev = as_count(maxfev, "maxfev")
    f0, slope0 = (None if value is None else as_float(value, name) for value, name in ((f0, "f0"), (slope0, "slope0")))
    line = _Line(phi, slope)
    f0 = line.value(0.0) if f0 is None else f0
    slope0 = line.slope(0.0) if slope0 is None and math.isfinite(f0) else slope0
    if not (math.isfinite(f0) and math.isfinite(slope0)):
        return line.outcome(SearchStatus.HOPELESS, 0.0, f0)
    error = ROUNDING * abs(f0) if error is None else error
    search = current().LineSearch(kind, f0, slope0, step, max([f0, *recent]), error, decrease, float(curvature), maxfev,
                                  longest)
    line.known[0.0] = slope0
    while search.status == LOOKING:
        f = line.value(search.step)
        search.tell(f, line.slope(search.step) if NEEDS_SLOPE[kind] and math.isfinite(f) else math.nan)
    return line.outcome(SearchStatus(search.status), search.step, search.f)


class _Line:
    """phi and its slope, counted and named in exceptions."""

    def __init__(self, phi, slope):
        self.phi, self.slope_of, self.nfev, self.njev, self.pair = phi, slope, 0, 0, None
        self.known = {}     # slopes, by step

    def value(self, t):
        """phi(t)."""
        self.nfev += 1
        try:
            value = self.phi(t)
            if self.slope_of is True:
                if not isinstance(value, tuple) or len(value) != 2:
                    raise TypeError(f"phi must give a pair (value, slope) with slope=True, not {type(value).__name__}")
                value, slope = value
                self.known[t] = self._number(slope, "the slope of phi", self.nfev)
            return self._number(value, "phi", self.nfev)
        except BaseException as error:
            error.add_note(f"steepest: in evaluation {self.nfev} of phi, at t = {t}")
            raise

    def slope(self, t):
        """phi'(t)."""
        if self.slope_of is True:
            if t not in self.known:
                self.value(t)
            return self.known[t]
        if self.slope_of is None:
            from .differentiate import derivative

            self.known[t] = float(derivative(self._counted, t))
            return self.known[t]
        self.njev += 1
        try:
            self.known[t] = self._number(self.slope_of(t), "slope", self.njev)
            return self.known[t]
        except BaseException as error:
            error.add_note(f"steepest: in evaluation {self.njev} of slope, at t = {t}")
            raise

    def _counted(self, t):
        self.nfev += 1
        return self.phi(t)

    @staticmethod
    def _number(result, label, call):
        return float(scalar_result(result, _FLOAT, label=label, nfev=call)[0])

    def outcome(self, status, step, f):
        """What the search gives."""
        return LineSearchResult(step, f, self.known.get(step, math.nan), self.nfev, self.njev, status, MESSAGES[status])
