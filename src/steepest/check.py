"""Is this derivative right? Gradients, Jacobians and Hessians checked against values of f, component by component.

Here because a derivative written by hand, or by backpropagation, is wrong more often than one thinks, and one number
for a difference is no verdict. The steps are chosen in check_ladder.py, the verdicts in check_verdicts.py, the report
is made in check_report.py. Tested in tests/test_check.py.
"""

import numpy as np

from .check_ladder import BARS, Ladder, Noise, first_shortest, start_for
from .check_report import GradientCheck, Taylor
from .check_values import Given, Values, precision_of
from .check_verdicts import RIGHT, UNRESOLVED, WORDS, judge
from .compiled_functions import check_f
from .differentiate import as_vector
from .nested import Layout, OnParts
from .options import as_integer, as_number, as_point, check_bounds, check_options, step_rule
from .prepared import Gradient
from .roads import run_for
from .slopes import OverGradient, naming_grad

__all__ = ["check_gradient", "check_hessian", "check_jacobian"]

MODES = ("full", "cheap")
# What two computations of one derivative in float64 may differ by; in a lower precision, so many units of it.
RTOL, UNITS = 1e-6, 8
# Levels of the line along which Taylor's remainder is shown, above the first step.
TAYLOR_LEVELS = (6, 4, 2, 0)
# Values of f on each side of x from which its noise is measured.
NOISE_POINTS = {"full": 6, "cheap": 4}
# Evaluations of f that mode "cheap" makes at most, unless f is noisy.
CHEAP_CALLS = 19
_SINGLE = np.dtype(np.float32)


def check_gradient(f, grad, x, *, directions=None, mode="full", rtol=None, x_scale=None, bounds=None, noise=None,
                   args=(), kwargs=None, vectorized=False, workers=None):
    """Check a gradient against values of f.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives one number; whatever `gradient` takes.
    grad : callable
        ``grad(x, *args, **kwargs)`` gives the gradient in the form of `x`. For a nested x it may be one vector, and for
        a vector x a list, tuple or dict of arrays, in the order of the vector. It sees a copy of x in its own type.
    x : array_like, or list, tuple or dict of arrays
        Where; real. A nested x is handed to f and grad as lists and dicts of arrays. Choose a point at which nothing
        is special, not an optimum.
    directions : int or array_like, (k, n), optional
        Along which directions mode "cheap" looks, and mode "full" tests Taylor's theorem (the first one): how many
        random ones, 2 by default, or which.
    mode : {"full", "cheap"}, optional
        "full" judges every component, with 4 calls of f or more for each. "cheap" judges two orthogonal directions,
        with 5 calls in all where the gradient is right, and up to 19 where it is not [2]_; an error in one component
        among very many may hide from it.
    rtol : float, optional
        Relative error that is granted to grad. 1e-6 by default; where it was computed in lower precision, what moving x
        by a unit in the last place changes is granted, too.
    x_scale : float, array_like or "auto", optional
        Typical size of the entries of x, as for `gradient`: only a start, for steps of many sizes are tried anyway.
    bounds : (lb, ub) or scipy.optimize.Bounds, optional
        f is never evaluated outside.
    noise : float or "auto", optional
        By how much values of f are off; measured by default (in mode "cheap" when the two disagree).
    args, kwargs : tuple, dict, optional
        What f and grad take after x.
    vectorized, workers : optional
        As for `gradient`; they concern f alone.

    Returns
    -------
    GradientCheck
        True where nothing is wrong; ``print`` shows a report.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, or the evaluation in which f or grad returned what it should not.

    Notes
    -----
    Three tests. Each component is compared with central differences whose steps lie powers of 4 apart, and is *wrong*
    only if they differ by more than 4 error bars (truncation, rounding and noise), at the best step and at all shorter
    ones that could tell. Where the slopes on the two sides stay apart, however short the step, it is a *kink*, and
    wrong only outside the two. Where the bars are too wide to judge it is *unresolved*. Along one direction the
    remainder of Taylor's theorem must fall with the square of the step, and MINPACK's score [1]_ must be near 1.

    f is evaluated in float64 where x is float32 and f takes it.

    References
    ----------
    .. [1] J. J. Moré, B. S. Garbow, K. E. Hillstrom, "User guide for MINPACK-1", Argonne ANL-80-74 (1980), CHKDER.
    .. [2] NAG Library, E04HC: differences along two orthogonal directions.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> found = sd.check_gradient(lambda x: x @ x, lambda x: 2 * x, np.array([3.0, 4.0]))
    >>> found.ok
    True
    >>> found = sd.check_gradient(lambda x: x @ x, lambda x: np.array([6.0, 8.5]), np.array([3.0, 4.0]))
    >>> found.ok, found.worst_name
    (False, 'x[1]')
    >>> found.table["verdict"].tolist()
    ['right', 'wrong']
    """
    check_f(f)
    layout = Layout(x)
    if layout.nested and vectorized:
        raise ValueError("vectorized needs an x that is one array")
    given = Given(grad, "grad", layout, args, kwargs)
    checker = _Checker(f, given, layout, False, directions, mode, rtol, x_scale, bounds, noise, args, kwargs,
                       vectorized, workers)
    return checker.report("the gradient")


def check_jacobian(f, jac, x, *, directions=None, mode="full", rtol=None, x_scale=None, bounds=None, noise=None,
                   args=(), kwargs=None, vectorized=False, workers=None):
    """Check a Jacobian against values of f.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives a vector of m numbers.
    jac : callable
        ``jac(x, *args, **kwargs)`` gives an array of shape (m, n), or a sparse one.
    x : array_like, (n,)
        Where.
    directions, mode, rtol, x_scale, bounds, noise, args, kwargs, vectorized, workers
        As for `check_gradient`. Mode "cheap" judges ``J d`` for each result of f.

    Returns
    -------
    GradientCheck
        ``index`` in its table is that in the flattened Jacobian; in mode "cheap" that of (result, direction).

    Raises
    ------
    TypeError, ValueError
        As `check_gradient`.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> f = lambda x: np.array([x[0] * x[1], x[0] ** 2])
    >>> sd.check_jacobian(f, lambda x: np.array([[x[1], x[0]], [2 * x[0], 0.0]]), [2.0, 3.0]).ok
    True
    >>> sd.check_jacobian(f, lambda x: np.array([[x[1], x[0]], [2.0, 0.0]]), [2.0, 3.0]).worst_name
    'J[1, 0]'
    """
    check_f(f)
    layout = Layout(as_vector(as_point(x)))
    n = layout.size
    given = Given(jac, "jac", layout, args, kwargs, (-1, n))
    checker = _Checker(f, given, layout, True, directions, mode, rtol, x_scale, bounds, noise, args, kwargs,
                       vectorized, workers)
    return checker.report("the Jacobian", lambda i: f"J[{i // n}, {i % n}]")


def check_hessian(f, hess, x, *, grad=None, directions=None, mode="full", rtol=None, x_scale=None, bounds=None,
                  noise=None, args=(), kwargs=None, vectorized=False, workers=None):
    """Check a Hessian against differences of a gradient.

    Parameters
    ----------
    f : callable or None
        ``f(x, *args, **kwargs)`` gives one number. None when `grad` is given.
    hess : callable
        ``hess(x, *args, **kwargs)`` gives an array of shape (n, n), or a sparse one.
    x : array_like, (n,)
        Where.
    grad : callable, optional
        ``grad(x, *args, **kwargs)``, trusted. Without it the gradient is found by differences of f, of fourth order,
        whose rounding leaves about six digits to judge the Hessian by.
    directions, mode, rtol, x_scale, bounds, noise, args, kwargs, vectorized, workers
        As for `check_gradient`; without grad the last two concern f, with it they concern grad. `nfev` counts
        gradients.

    Returns
    -------
    GradientCheck
        As from `check_jacobian`.

    Raises
    ------
    TypeError, ValueError
        As `check_gradient`.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> f = lambda x: x[0] ** 2 * x[1]
    >>> sd.check_hessian(f, lambda x: np.array([[2 * x[1], 2 * x[0]], [2 * x[0], 0.0]]), [2.0, 3.0]).ok
    True
    """
    layout = Layout(as_vector(as_point(x)))
    n = layout.size
    given = Given(hess, "hess", layout, args, kwargs, (n, n))
    if grad is not None:
        with naming_grad():
            check_f(grad)
        checker = _Checker(grad, given, layout, True, directions, mode, rtol, x_scale, bounds, noise, args, kwargs,
                           vectorized, workers, OverGradient)
        return checker.report("the Hessian", lambda i: f"H[{i // n}, {i % n}]")
    check_f(f)
    start = np.asarray(layout.flat, np.result_type(layout.flat.dtype, np.float64))
    with Gradient(f, start, order=4, x_scale=x_scale, bounds=bounds, args=args, kwargs=kwargs, vectorized=vectorized,
                  workers=workers) as differences:
        checker = _Checker(differences, given, layout, True, directions, mode, rtol, x_scale, bounds, noise, (), None,
                           False, None)
        return checker.report("the Hessian", lambda i: f"H[{i // n}, {i % n}]")


class _Checker:
    """One check under way: x, f around it, and the derivative that was given."""

    def __init__(self, f, given, layout, vector, directions, mode, rtol, x_scale, bounds, noise, args, kwargs,
                 vectorized, workers, make_run=run_for):
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
        if layout.flat.dtype.kind == "c":
            raise TypeError("x must be real: check the real and the imaginary part as functions of two real arrays")
        self.mode, self.given, self.layout, self.vector = mode, given, layout, vector
        self.rtol = None if rtol is None else as_number(rtol, "rtol", at_least=0.0)
        settings = check_options("central", 2, None, None, x_scale, bounds, noise, args, kwargs, vectorized, workers)
        # what is left to us is measured, or found by steps of many sizes
        self.level = None if isinstance(settings.noise, str) else settings.noise
        self.settings = settings.but(
            noise=None, x_scale=None if isinstance(settings.x_scale, str) else settings.x_scale)
        shape = (layout.size,) if layout.nested else layout.shapes[0]
        dtype = np.result_type(layout.flat.dtype, np.float64)
        self.x = layout.flat.astype(dtype).reshape(shape)
        lower, upper = check_bounds(self.settings.bounds, shape, dtype)
        self.free = np.ones(self.x.size, bool) if lower is None else lower < upper
        self.scale = self._scale()
        self.directions = self._directions(directions)
        self.f, self.make_run = f, make_run

    def report(self, what, name=None):
        """Make the check."""
        try:
            if self.x.size == 0:
                return self._deliver(what, name, [np.zeros(0, int if i == 4 else float) for i in range(5)])
            self._begin()
            return (self._full if self.mode == "full" else self._cheap)(what, name)
        finally:
            if self.settings.crew is not None:
                self.settings.crew.close()

    # preparations

    def _scale(self):
        """The size of each entry of x for its steps: powers of two."""
        factor, rule = step_rule(self.settings, self.x.shape, self.x.dtype, float(np.finfo(self.x.dtype).eps))
        size = np.maximum(abs(self.x.reshape(-1)), 1.0 if rule is None else rule[0] / factor)
        return np.ldexp(1.0, np.round(np.log2(size.astype(float))).astype(int))

    def _directions(self, wanted):
        """Directions in which every entry moves by about its own size, and orthogonal in that measure."""
        n = self.x.size
        if wanted is not None and np.ndim(wanted):
            given = np.atleast_2d(np.asarray(wanted, float))
            if given.ndim != 2 or given.shape[1] != n:
                raise ValueError(f"directions must have shape (k, {n}), but have {np.shape(wanted)}")
            if not np.isfinite(given).all() or not given.any(axis=1).all():
                raise ValueError("directions must be finite and not zero")
            return [direction * self.free for direction in given]
        count = 2 if wanted is None else as_integer(wanted, "directions")
        if count < 1:
            raise ValueError(f"directions must be at least 1, not {count}")
        size = abs(self.x.reshape(-1)).astype(float)
        typical = np.median(size[size > 0]) if size.any() else 1.0
        rng = np.random.default_rng(n)
        found: list = []
        for _ in range(min(count, max(1, int(self.free.sum())))):
            u = rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 1.0, n) * self.free
            for other in found:
                u -= other * (u @ other) / (other @ other)
            found.append(u)
        return [u * np.where(size > 0, size, typical) for u in found]

    def _begin(self):
        """The derivative and f at x: f in float64, unless it refuses what x has been cast to."""
        flat, shape = self.layout.flat, self.x.shape
        self.found = self.given(flat)
        try:
            self.values = self._values(self.x)
        except Exception:
            if not all(dtype == _SINGLE for dtype in self.layout.dtypes):
                raise
            try:
                single = flat.reshape(shape)
                values = self._values(single)
            except Exception:
                values = None
            if values is None:
                raise
            self.values, self.x = values, single
        m = self.values.f0.size
        if self.vector and len(self.found) != m:
            raise ValueError(f"f returned an array of shape ({m},) in evaluation 1, but {self.given.label} one of "
                             f"shape {self.found.shape}: expected ({m}, {self.x.size})")
        self.columns = self.found.T if self.vector else self.found[:, None]     # (n, m)
        self.slack = np.zeros(self.columns.shape)

    def _values(self, x):
        f = OnParts(self.f, self.layout) if self.layout.nested else self.f
        return Values(f, self.settings, x, self.vector, len(self.found) if self.vector else -1, self.make_run)

    def _grant(self):
        """What is granted to the derivative: by its precision, and what that does to each component."""
        eps = precision_of(self.given, self.found)
        if any(dtype == _SINGLE for dtype in self.layout.dtypes):
            eps = max(eps, float(np.finfo(_SINGLE).eps))
        rtol = max(RTOL, UNITS * eps) if self.rtol is None else self.rtol
        if eps > 1e-12:
            off = self.given.uncertainty(self.layout.flat.astype(np.float64), self.found, eps)
            self.slack = off.T if self.vector else off[:, None]
        return rtol

    # mode "full"

    def _full(self, what, name):
        values, n = self.values, self.x.size
        rtol = self._grant()
        second = self.given(self.layout.flat)
        same = np.array_equal(second, self.found, equal_nan=True)
        if not same:
            with np.errstate(all="ignore"):
                apart = np.nan_to_num(abs(second - self.found), nan=0.0, posinf=0.0)
            self.slack = self.slack + 4 * (apart.T if self.vector else apart[:, None])
        if not np.isfinite(values.f0).any():
            return self._hopeless(what, name)
        line = values.line(self._shaped(self.directions[0])) if self.free.any() else None
        noise = self._noise()
        rows = np.flatnonzero(self.free)
        shape = self.columns.shape
        estimate, error, ratio = np.full(shape, np.nan), np.full(shape, np.inf), np.full(shape, np.nan)
        verdict, zero = np.full(shape, UNRESOLVED), np.zeros(shape, bool)
        if rows.size:
            ladder = self._climb_components(rows, noise, rtol)
            ratio[rows], verdict[rows] = judge(
                self.columns[rows], ladder.estimate, ladder.error, rtol, self.slack[rows], self.scale[rows, None],
                ladder.curvature(), ladder.kinks(),
            )
            estimate[rows], error[rows] = ladder.estimate, ladder.error
            zero[rows] = (self.columns[rows] == 0) & (ladder.estimate == 0) & (ladder.largest_bend == 0)
        taylor = score = None
        if line is not None:
            taylor = self._taylor(line, noise, rtol)
            score = self._score()
        note = f"{n - rows.size} components are fixed by their bounds" if rows.size < n else ""
        return self._deliver(
            what, name, [self._flat(a) for a in (self.columns, estimate, error, ratio, verdict)], noise=noise,
            same=same, taylor=taylor, score=score, zeros=np.flatnonzero(self._flat(zero)), note=note,
        )

    def _flat(self, array):
        """Rows of differences in the order of the derivative."""
        return (array.T if self.vector else array).reshape(-1)

    def _shaped(self, direction):
        return direction.astype(self.x.dtype).reshape(self.x.shape)

    def _noise(self):
        """How far values of f are off, as given, or as measured where x moves a little."""
        values = self.values
        if self.level is not None:
            return Noise(values.eps, np.full(values.f0.shape, self.level))
        sizes = [values.again()]
        x = abs(self.x.reshape(-1).astype(float))
        rng = np.random.default_rng(x.size)
        signs = rng.choice([-1.0, 1.0], x.size) * rng.uniform(0.5, 1.0, x.size) * self.free
        points = NOISE_POINTS[self.mode]
        if (x * self.free).any():
            sizes.append(1.5 * values.noise_along(values.line(self._shaped(signs * x)), points))
        if self.mode == "full" and not x.all() and self.free.any():     # at 0, nothing tells how far f is straight
            least = x[x > 0].min() if x.any() else 1.0
            line = values.line(self._shaped(signs * np.where(x > 0, x, least)))
            noise = 1.5 * values.noise_along(line, points, shrinking=True)
            if len(sizes) > 1:
                noise = np.fmin(noise, 100 * np.fmax(sizes[-1], values.eps * abs(values.f0)))
            sizes.append(noise)
        return Noise(values.eps, np.max(sizes, axis=0))

    def _climb_components(self, rows, noise, rtol):
        x = self.x.reshape(-1)[rows]
        eps = float(np.finfo(self.x.dtype).eps)
        ladder = Ladder(self.values.use(self.values.run), self.x, self.values.f0, self.columns[rows],
                        self.scale[rows], noise, rtol, self.slack[rows], first_shortest(x, self.scale[rows], eps), rows)
        ladder.begin()
        ladder.climb()
        return ladder

    def _ladder_along(self, line, direction, noise, rtol):
        """A ladder of one row, which is a line, and what the derivative says of it."""
        with np.errstate(all="ignore"):
            terms = self.columns * direction[:, None]
            along = terms.sum(axis=0)
            slack = rtol * np.sqrt((terms**2).sum(axis=0))
            slack += np.sqrt(((self.slack * direction[:, None]) ** 2).sum(axis=0))
            size = np.maximum(abs(self.x.reshape(-1)), np.median(abs(self.x))).astype(float)
            size = np.where(size > 0, size, 1.0)
            unit = np.min((size / abs(direction))[direction != 0])
        unit = np.ldexp(1.0, np.array([int(np.floor(np.log2(unit)))]))
        eps = float(np.finfo(self.x.dtype).eps)
        shortest = np.array([int(np.ceil(np.log2(1024 * eps)))])
        return Ladder(self.values.use(line), self.x, self.values.f0, along[None], unit, noise, rtol, slack[None],
                      shortest, notice=self.values.notice)

    def _judge_line(self, ladder, rtol):
        kinked, low, high = ladder.kinks() if self.mode == "full" else ladder.kinks(1)     # few steps have to do
        # where several components have kinks, a right derivative may lie outside the two slopes of their sum
        kinks = kinked, np.full_like(low, -np.inf), np.full_like(high, np.inf)
        ratio, verdict = judge(ladder.given, ladder.estimate, ladder.error, rtol, ladder.slack, ladder.unit[:, None],
                               ladder.curvature(), kinks)
        return ratio[0], verdict[0]

    def _taylor(self, line, noise, rtol):
        """Taylor's theorem along the first direction."""
        ladder = self._ladder_along(line, self.directions[0], noise, rtol)
        ladder.begin([ladder.start + above for above in TAYLOR_LEVELS])
        levels = list(ladder.levels)
        ladder.climb()
        step = np.array([float(np.ldexp(ladder.unit[0], exponent)) for exponent, _ in levels])
        with np.errstate(all="ignore"):
            sides = np.array([[abs(side[0] - ladder.given[0]) for side in (level.ahead, level.behind)]
                              for _, level in levels])              # (steps, sides, m)
            remainder = np.nanmax(np.where(np.isfinite(sides), sides, 0).mean(axis=1), axis=1) * step
            floor = np.array([np.nanmax(level.rounding[0]) for _, level in levels]) * step * BARS
        _, verdict = self._judge_line(ladder, rtol)
        worst = next((word for word in ("wrong", "kink", "unresolved") if word in WORDS[verdict]), "right")
        return Taylor(step, remainder, floor, worst)

    def _score(self):
        """MINPACK's score of every result of f: differences along |x| with a step of the root of its precision."""
        values, x = self.values, self.x.reshape(-1)
        direction = np.where(x != 0, abs(x), 1.0) * self.free
        root = float(np.sqrt(values.eps))
        line = values.line(self._shaped(direction))
        values.use(line)
        ladder = Ladder(line, self.x, values.f0, np.zeros((1, values.f0.size)), np.array([root]), Noise(values.eps),
                        0.0, 0.0)
        level = ladder.measure(np.zeros(1, int), np.zeros(1, int))
        slope = np.where(np.isfinite(level.ahead[0]), level.ahead[0], level.behind[0])
        with np.errstate(all="ignore"):
            along = (self.columns * direction[:, None]).sum(axis=0)
            f0, moved = values.f0, values.f0 + root * slope
            apart = root * abs(slope - along) / (abs(f0) + abs(moved))
            score = np.where(apart >= root, 0.0, np.log10(apart) / np.log10(root) - 1)
            score = np.where((apart <= values.eps) | ~(abs(moved - f0) >= 100 * values.eps * abs(f0)), 1.0, score)
            score = np.where((f0 == 0) | (moved == 0), 1.0, np.clip(score, 0, 1))
        score = score.astype(float)
        return score if self.vector else float(score[0])

    def _hopeless(self, what, name):
        columns = self.columns
        ratio, verdict = judge(columns, np.full(columns.shape, np.nan), np.full(columns.shape, np.inf))
        return self._deliver(
            what, name, [self._flat(a) for a in (columns, np.full(columns.shape, np.nan),
                                                 np.full(columns.shape, np.inf), ratio, verdict)],
            note=f"f(x) is {self.values.f0[0]}: choose a point at which f is finite",
        )

    # mode "cheap"

    def _cheap(self, what, name):
        rtol = self._grant()
        values = self.values
        if not np.isfinite(values.f0).any() or not self.free.any():
            return self._hopeless(what, name)
        noise = Noise(values.eps, 0.0 if self.level is None else self.level)
        lines = [values.line(self._shaped(direction)) for direction in self.directions]
        ladders = [self._ladder_along(line, direction, noise, rtol)
                   for line, direction in zip(lines, self.directions, strict=True)]
        for line, ladder in zip(lines, ladders, strict=True):
            values.use(line)
            ladder.begin([ladder.start + 1])
            if not self._agrees(ladder, rtol):
                ladder.begin([ladder.start - 1])
        if any((self._judge_line(ladder, rtol)[1] != RIGHT).any() for ladder in ladders):
            noise, ladders = self._look_closer(lines, ladders, noise, rtol)
        judged = [self._judge_line(ladder, rtol) for ladder in ladders]
        columns = [np.concatenate([array.reshape(-1) for array in arrays]) for arrays in (
            [ladder.given for ladder in ladders], [ladder.estimate for ladder in ladders],
            [ladder.error for ladder in ladders], [ratio for ratio, _ in judged], [verdict for _, verdict in judged])]
        m, k = values.f0.size, len(ladders)
        if m > 1:       # (directions, results) to (results, directions)
            columns = [column.reshape(k, m).T.reshape(-1) for column in columns]

        def label(i):
            return f"direction {i % k}" + (f" of result {i // k}" if m > 1 else "")

        return self._deliver(what, label, columns, noise=noise)

    def _agrees(self, ladder, rtol):
        """Whether one step shows that the derivative is right: two computations do not agree by chance."""
        level = ladder.levels[0][1]
        with np.errstate(all="ignore"):
            apart = abs(ladder.given - level.slope)
            size = np.fmax(abs(ladder.given), abs(level.slope))
            close = apart <= BARS * level.rounding + rtol * size + ladder.slack
            straight = level.bend <= np.fmax(0.1 * size, 8 * level.rounding)
        if not (close & straight).all():
            return False
        ladder.estimate, ladder.error = level.slope, level.rounding + apart
        return True

    def _look_closer(self, lines, ladders, noise, rtol):
        """Measure the noise, and take more steps, coarser ones where f is noisy, along the lines that disagree."""
        values = self.values
        if self.level is None:
            noise = self._noise()
        found = []
        for line, direction, ladder in zip(lines, self.directions, ladders, strict=True):
            values.use(line)
            if start_for(noise, values.f0) == ladder.start:
                ladder.expect(noise)
            else:
                ladder = self._ladder_along(line, direction, noise, rtol)
                ladder.begin()
            ladder.limit = CHEAP_CALLS
            ladder.climb()
            found.append(ladder)
        return noise, found

    def _deliver(self, what, name, columns, noise=None, same=True, **more):
        """The result: what was given, estimates, bars, ratios and verdicts, all flat."""
        values = getattr(self, "values", None)
        layout = self.given.parts or self.layout
        whole = self.given.shape is None and len(columns[0]) == layout.size and self.mode == "full"
        size = 0.0
        if noise is not None:
            size = float(np.max(noise.of(abs(values.f0))))
        given, estimate, error, ratio, verdict = columns
        return GradientCheck(
            what, given, estimate, error, ratio, verdict, name or layout.name,
            list(layout.slices()) if whole else [], self.mode,
            values.nfev if values else 0, self.given.calls, size,
            same and (values is None or values.deterministic), **more,
        )
