"""What a check asks of f and of the derivative that it is given: values, lines through x, noise, and repetitions.

Here so that every call is counted and named alike, and nobody's x is touched. Tested in tests/test_check.py.
"""

import numpy as np

from .check_ladder import Sides
from .compiled_functions import as_callable
from .differencing import limits_along
from .nested import Layout, OnParts, as_leaf, is_nested
from .options import check_arguments, check_function
from .reference.callback import BASE, lent_copy, note_evaluation
from .reference.difference import CENTRAL
from .roads import run_for

# Exponents of the spacing at which noise is measured, for float64 and float32: third differences are noise there, and
# what is rounded inside f has changed, even in terms much larger than f.
SPACING, SPACING_SINGLE = -24, -12
_SINGLE = np.dtype(np.float32)
_EPS = float(np.finfo(np.float64).eps)
_EPS_SINGLE = float(np.finfo(np.float32).eps)


class Given:
    """The derivative that is checked: called with copies of x in its own type, its results checked and copied.

    Parameters
    ----------
    function : callable
    label : str
        What it is called in messages.
    layout : Layout
        Of x.
    shape : tuple, optional
        Of the result; by default that of x, nested or not.
    """

    def __init__(self, function, label, layout, args, kwargs, shape=None):
        pointer = as_callable(function, layout.size, label)
        if pointer is not None:
            function = pointer
        check_function(function, label)
        self.function, self.label, self.layout, self.shape = function, label, layout, shape
        self.args, self.kwargs = check_arguments(args, kwargs)
        self.calls = 0
        self.parts = None       # of a nested result for an x that is none
        self.eps = 0.0

    def __call__(self, flat):
        """The derivative at x, flat for a gradient and (m, n) for a matrix."""
        layout = self.layout
        x = (OnParts(None, layout).lend(flat) if layout.nested
             else lent_copy(flat.astype(layout.dtypes[0]).reshape(layout.shapes[0])))
        self.calls += 1
        try:
            found, eps = self._convert(self.function(x, *self.args, **self.kwargs))
        except BaseException as error:
            note_evaluation(error, self.label, self.calls, BASE, 0.0, ())
            raise
        self.eps = max(self.eps, eps)
        return found

    def _convert(self, result):
        layout, label, call = self.layout, self.label, self.calls
        if self.shape is not None:
            return self._matrix(result)
        if not layout.nested:
            if is_nested(result) and len(layout.shapes[0]) == 1:
                return self._nested_for_flat(result)
            found, eps = as_leaf(result, layout.shapes[0], label, call)
            return found.reshape(-1), eps
        if getattr(result, "shape", None) == (layout.size,):
            return as_leaf(result, (layout.size,), label, call)
        return layout.flatten(result, label, call)

    def _nested_for_flat(self, result):
        if self.parts is None:
            self.parts = Layout(result, self.label, lambda part, path: np.asarray(part))
        if self.parts.size != self.layout.size:
            raise ValueError(f"{self.label} returned {self.parts.size} numbers in evaluation {self.calls}, "
                             f"expected {self.layout.size}")
        return self.parts.flatten(result, self.label, self.calls)

    def _matrix(self, result):
        m, n = self.shape
        if hasattr(result, "toarray"):      # scipy.sparse
            result = result.toarray()
        if m == 1 and np.ndim(result) == 1:
            result = np.reshape(result, (1, -1))
        rows = m if m >= 0 else (np.shape(result)[0] if np.ndim(result) == 2 else n)
        return as_leaf(result, (rows, n), self.label, self.calls)

    def uncertainty(self, flat, found, eps):
        """How far each component is off when the derivative was computed in a precision below float64.

        The noise in its values at points closely spaced on a line tells; and its value in float64, if it can be had.
        """
        double = self._in_double(flat)
        with np.errstate(all="ignore"):
            rng = np.random.default_rng(0)
            move = 4 * eps * rng.choice([-1.0, 1.0], flat.shape)
            sides = [[found, *(self(flat * (1 + k * sign * move)) for k in (1, 2, 3))] for sign in (1, -1)]
            noise = 4 * noise_in(np.array(sides))
            if double is not None and double.shape == found.shape:
                noise = np.fmax(noise, np.fmin(2 * abs(double - found), 1e-3 * np.nanmax(abs(double))))
        return np.where(np.isfinite(noise), noise, 0)

    def _in_double(self, flat):
        """The derivative computed in float64, if it can be."""
        layout = self.layout
        if all(dtype != _SINGLE for dtype in layout.dtypes):
            return None
        dtypes, layout.dtypes = layout.dtypes, [np.dtype(np.float64)] * len(layout.dtypes)
        eps, self.eps = self.eps, 0.0
        try:
            double = self(flat)
            return double if self.eps < _EPS_SINGLE and not looks_single(double) else None
        except MemoryError:
            raise
        except Exception:
            return None     # it takes float32 alone
        finally:
            layout.dtypes, self.eps = dtypes, eps


class Values:
    """F around x: the run for its components, and lines through x.

    Parameters
    ----------
    f : callable
        Of a vector, or of x in its shape.
    settings : Settings
    x : array
        In the type in which f is to be differentiated.
    vector : bool
        f gives vectors.
    results : int
        How many numbers f gives, when that is known; -1 else.
    make_run : callable
        Makes the run.
    """

    def __init__(self, f, settings, x, vector=False, results=-1, make_run=run_for):
        self.settings, self.x = settings, x
        self.run = self._own(make_run(f, settings, x.shape, x.dtype, vector))
        self.active = self.run
        if vector and results >= 0:
            self.run.take_results(results)
        self.f0 = np.array(self.run.value_at(x)).reshape(-1)     # a copy: f may return one buffer every time
        self.own_eps = max(float(np.finfo(x.dtype).eps), self.run.function.coarsest)
        self.deterministic = True
        self.single, self.fits = False, True    # f computes in float32; all values seen would fit into it
        self.notice(self.f0)

    @staticmethod
    def _own(run):
        run.function.eps = np.inf   # the steps are ours: no precision of f changes them
        return run

    @property
    def eps(self):
        """The precision in which f computes, as far as is known."""
        return max(self.own_eps, _EPS_SINGLE) if self.single else self.own_eps

    @property
    def nfev(self):
        """How often f was called."""
        return self.active.nfev

    def use(self, run):
        """Let a run go on counting."""
        if run is not self.active:
            run.count_from(self.nfev)
            self.active = run
        return run

    def again(self):
        """F at x once more: whether it gives the same, and how far it is off."""
        second = np.asarray(self.use(self.run).value_at(self.x)).reshape(-1)
        same = np.array_equal(second, self.f0, equal_nan=True)
        self.deterministic &= same
        with np.errstate(all="ignore"):
            return np.nan_to_num(abs(second - self.f0), nan=0.0, posinf=0.0)

    def line(self, direction):
        """A run along a direction through x, and the largest power of two that leaves every entry near x for t of 1."""
        run = self._own(self.run.line(self.settings, direction))
        run.value_at(self.x, self.f0 if run.vector and self.run.vector else self.f0[0])
        run.x = self.x
        if run.box[0] is not None:
            run.bounds = limits_along(self.x.reshape(-1), run.v.reshape(-1), *run.box)
        return run

    def notice(self, values):
        """Look at more values: f may compute in float32 though it gives float64."""
        values = np.asarray(values)
        values = values[np.isfinite(values)]
        self.fits = self.fits and fits_single(values)
        self.single = self.fits and (self.single or looks_single(values))

    def noise_along(self, run, points, shrinking=False):
        """The noise of f from values at so many points on each side of x, closely spaced along a line.

        Each side is taken by itself: f may have a kink or jump at x. With `shrinking`, where f may not be straight over
        these points, what shrinks with their distance is no noise.
        """
        self.use(run)
        exponent = SPACING_SINGLE if self.single else SPACING
        table = self._closely(run, exponent, points)
        if table is None:
            return np.zeros_like(self.f0)
        noise = noise_in(table)
        if shrinking and not self.single:
            closer = self._closely(run, exponent - 4, points)
            noise = np.fmin(noise, noise_in(closer)) if closer is not None else noise
        if not self.single and np.mean(np.diff(table, axis=1) == 0) >= 0.5:
            # f is flat, or rounds x: noise stays when points move apart, and what is not straight in f grows
            wider = [self._closely(run, exponent, points) for exponent in (SPACING_SINGLE, SPACING_SINGLE - 4)]
            found = [noise_in(table) for table in wider if table is not None]
            noise = np.fmax(noise, np.min(found, axis=0)) if found else noise
        return noise

    def _closely(self, run, exponent, count):
        """Values at 1, 2, 3, ... spacings ahead of x and behind: (sides, count, m); None where there are none."""
        ahead, behind = [], []
        for k in range(1, count + 1):
            sides = Sides(self.f0)
            run.again(np.zeros(1, np.intp), np.array([k * 2.0**exponent]), CENTRAL, self.x, self.f0, sides)
            (values, points, _, central), = sides.blocks
            if not central[0] or points[0, 0] <= 0:
                return None         # no room on both sides
            ahead.append(values[0, 0])
            behind.append(values[0, 1])
        table = np.array([ahead, behind])
        if not np.isfinite(table).all():
            return None
        self.notice(table)
        return table


def noise_in(table):
    """The noise in equally spaced values, (sides, count, ...), for each of the rest.

    Third differences of values between which a function is nearly straight hold noise alone, whose standard deviation
    is ``sqrt(mean(difference^2) / 20)`` [J. J. Moré, S. M. Wild, SIAM J. Sci. Comput. 33 (2011) 1292-1314].
    """
    with np.errstate(all="ignore"):
        return np.sqrt(np.mean(np.diff(table, 3, axis=1) ** 2, axis=(0, 1)) / 20)


def fits_single(values):
    """Whether numbers lose nothing in float32."""
    with np.errstate(all="ignore"):
        return np.array_equal(values, values.astype(np.float32))


def looks_single(values):
    """Whether numbers come from arithmetic in float32: they fit into it, and not into half as many digits."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    with np.errstate(all="ignore"):
        mantissa = np.frexp(values)[0] * 2.0**12
    return bool(values.size and fits_single(values) and (mantissa != np.floor(mantissa)).mean() > 0.5)


def precision_of(given, found):
    """The precision in which a derivative was computed."""
    return max(given.eps, _EPS_SINGLE if looks_single(found) else 0.0, _EPS)
