"""From checked arguments to a derivative: restarts, non-finite values, error bars. One road for every derivative.

Here so that gradient, Jacobian, directional and ordinary derivatives share one answer to everything that can go wrong
between the points and the result; the loops themselves are in kernels/difference.pyx and reference/difference.py.
Tested in tests/test_differentiate.py and tests/faults/.
"""

import sys
import warnings

import numpy as np

from .arrangement import ByColumn
from .backends import current
from .compiled_functions import resolve
from .error_bars import SHORTER, Bars, bars_of, order_of
from .errors import DifferenceWarning, Status
from .evaluation import Evaluation
from .options import Settings, as_like, check_bounds, check_out, step_rule
from .reference.callback import COARSE, GOOD, LINE, TAMPERED, working_type
from .reference.difference import (
    BACKWARD,
    CARE,
    CENTRAL,
    COMPLEX,
    FORWARD,
    RESOLUTION,
    ROW_ONE_SIDED,
    UNRESOLVED,
    UNSUITED,
    refuse_outside,
)
from .results import Derivative, describe
from .threads import share

FLOAT64 = np.dtype(np.float64)
# Numbers held at a time in a block of a Jacobian, or of points for a vectorised f: half a megabyte of float64.
BLOCK = 2**16
# Error bars of complex steps, in units of rounding: ten bars cover the error at 95 % of the start points of the
# problems of Moré, Garbow and Hillstrom.
COMPLEX_UNITS = 4
# A complex step must agree with a central difference in one direction to this share.
AGREEMENT = 1e-3
# A row that was not finite at first is looked at no further when the bar of its error is this share of its value.
SATISFIED = 1e-6
COMPLEX_DOUBT = "the complex step disagrees with a central difference: f is not analytic (abs, max, a cast?)"


class Found:
    """A derivative under way: one row for each row of differences, one column for each result of f."""

    def __init__(self, value, differences):
        columns = value.shape[1]
        step = np.zeros(1) if differences is None else differences.step
        status = np.zeros(1, np.int8) if differences is None else differences.status
        self.value, self.planned = value, step      # (rows,) of the first sweep, as is one_sided
        self.step = np.repeat(step[:, None], columns, axis=1)
        self.status = np.repeat(status[:, None], columns, axis=1)
        self.one_sided = np.zeros(1, bool) if differences is None else differences.kind == ROW_ONE_SIDED
        self.mended = np.zeros(value.shape, bool)
        self.base = None    # f(x), when it was evaluated
        self.error = np.full(value.shape, np.inf)
        self.doubt = ""


class Run(ByColumn, Evaluation):
    """One f, one shape and type of x, one set of options: the memory of a derivative, used again and again.

    Parameters
    ----------
    f : callable
    settings : Settings
    shape, dtype
        Of x.
    vector : bool
        f gives vectors.
    each : bool
        f is a function of one number, differentiated at every entry of x.
    made : tuple, optional
        A function and differences made for these arguments, to go on with.
    """

    compressed = False      # its rows are the entries of a sparse Jacobian
    sweeps = True       # one sweep over all rows may be the whole work

    def __init__(self, f, settings, shape, dtype, vector=False, each=False, made=None):
        self.kernels = current()
        compiled = None if made is not None else resolve(f, settings, shape, dtype, vector, each)
        if compiled is not None:
            dtype = FLOAT64     # in which C functions see x, whatever its type is
        self.f, self.settings, self.shape, self.dtype, self.vector, self.each = f, settings, shape, dtype, vector, each
        imaginary = settings.method == COMPLEX
        if imaginary and dtype.kind == "c":
            raise ValueError("method='complex' needs a real x; take method='central' for a complex one")
        self.bounds: tuple[np.ndarray, np.ndarray] = check_bounds(settings.bounds, shape, dtype)
        self.in_one_sweep = False   # whether Differences.gradient does the whole work when nothing is unusual
        self.direct = False         # whether it does so on the calling thread alone
        if made is not None:
            self.function, self.differences = made
            self.factor, self.rule = step_rule(settings, shape, dtype, self.function.eps)
            return
        self.make_function(compiled, imaginary)
        self.choose_steps()
        if not vector and not imaginary and self.pooled is None and settings.bar is None and self.sweeps:
            self.in_one_sweep = self.prepare().block == self.rows
            self.direct = self.in_one_sweep and not self.team

    def choose_steps(self):
        """Derive the rule for the steps from the precision of f."""
        settings = self.settings
        self.differences = None
        self.factor, self.rule = step_rule(settings, self.shape, self.dtype, self.function.eps)
        if settings.step is not None or settings.rel_step is not None:
            self.function.eps = np.inf  # the steps are the caller's: no precision of f changes them

    def sweep_at_once(self, x, out):
        """Try the quick way to a gradient: ``(what Differences.gradient says, where the gradient is)``."""
        if not self.in_one_sweep:
            return UNSUITED, out
        if out is None:
            out = np.empty(self.shape, self.dtype)
        if self.team:
            return self.differences.gradient_on(self.team, share, x, out), out
        return self.differences.gradient(self.function, x, out), out

    def prepare(self):
        """Return the differences for all rows, made once."""
        if self.differences is None:
            self.differences = self.make(None, self.rule, *self.bounds)
        return self.differences

    def base(self):
        """f(x), which the last sweep has evaluated."""
        return self._numbers([self.differences.base])[0, 0]

    def origin(self, x):
        """The numbers that are moved."""
        return x.reshape(-1)

    def entries_of(self, rows):
        """The entry of x that each of some rows moves; None when row i moves entry i."""
        return None if rows is None else np.ascontiguousarray(rows, np.intp)

    def begin(self, x):
        """Hand x to the function."""
        self.function.begin(x)

    def make(self, rows, rule, lower, upper, method=None, with_base=False, order=None, n=None):
        """Make differences for some rows of this function, or for all, by the scheme of the settings or another."""
        entries = self.entries_of(rows)
        rows = self.rows if rows is None else rows.size
        settings, function = self.settings, self.function
        method, n = settings.method if method is None else method, settings.n if n is None else n
        if order is None:
            order = settings.order if method == settings.method else min(settings.order, 2)
        block = self.rows_at_a_time(rows, 2 * (order or 1))
        made = self.kernels.Differences(
            rows, self.dtype, method, order, self.factor, function.size, block, rule, lower, upper, entries, self.each,
            n, with_base,
        )
        if with_base:
            self.with_base = made
        return made

    def rows_at_a_time(self, rows, points):
        """How many of some rows, of so many points each, are evaluated at a time; None for all."""
        function = self.function
        numbers = max(1, function.size, function.count if function.batch and not self.each else 1)
        block = None if numbers == 1 else max(1, min(rows, BLOCK // (numbers * points)))
        return self.block_for(block, rows, numbers, points)

    def sweep(self, differences, x, rows=None, f0=None, look=None):
        """Evaluate and combine: ``(code, results)``, one row of results for each row of differences.

        A function that writes into x is given copies, and everything is evaluated again. `look` is shown each block.
        """
        origin = self.origin(x) if rows is None else np.ascontiguousarray(self.origin(x)[rows])
        while True:
            self.begin(x)
            differences.plan(origin)
            if f0 is not None and not self.each:
                differences.set_base(f0)
            parts: list = []
            code = self._evaluate_blocks(differences, look, parts, rows)
            if code == GOOD:
                code = self.function.finish()
            if code != TAMPERED:
                break
            self.function.fresh = True
        return code, self._numbers(parts) if code == GOOD else None

    def _evaluate_blocks(self, differences, look, parts, rows):
        entries = self.entries_of(rows)
        if look is not None:
            look.blocks.clear()
        self.foresee(differences, entries)
        for first in range(0, max(differences.rows, 1), max(differences.block, 1)):
            last = min(first + differences.block, differences.rows)
            code = self.evaluate(differences, entries, first, last)
            if code != GOOD:
                return code
            differences.combine(first, last)
            if look is not None:
                look(differences, first, last)
            parts.append(differences.result[: last - first])
        return GOOD

    def _numbers(self, parts):
        result = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.function.as_complex and self.settings.method != COMPLEX:
            return result.view(np.result_type(result.dtype, np.complex64))
        return result

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback.

        `swept` is what `Differences.gradient` has said of the same x: its evaluations are not made again without need.
        """
        code, differences = swept, self.differences
        look = None
        if full or self.settings.method == COMPLEX:
            look = self.look()
        if code == CARE:
            value = self._numbers([differences.result])
        else:
            value = None
            if code == TAMPERED:
                self.function.fresh = True
            elif code == COARSE:
                self._refine()
        while value is None:
            differences = self.make(None, self.rule, *self.bounds, with_base=True) if full else self.prepare()
            code, value = self.sweep(differences, x, None, f0, look)
            if code == COARSE:
                self._refine()
        found = Found(value, differences)
        found.base = self.base_of(differences)
        if found.base is not None:
            f0 = found.base
        if not np.isfinite(value).all():
            self._mend(found, x, f0)
        if self.settings.method == COMPLEX and differences.rows:
            self._check_complex_step(found, x, look)
        if full:
            self._fill_error(found, x, f0, look)
        return found

    def base_of(self, differences):
        """f(x), if these differences have evaluated it."""
        if self.each or not differences.has_base:
            return None
        base = self._numbers([differences.base])[0]
        return base if self.vector else base[0]

    def _fill_error(self, found, x, f0, look):
        """The error bars of all rows that have none yet."""
        value, status = found.value, found.status
        if self.settings.method == COMPLEX:
            found.error = np.where(np.isfinite(value), self._rounding_of_complex_steps(value, x), np.inf)
        elif value.size:
            rows = np.flatnonzero(~found.mended.all(axis=1) & (found.planned != 0))
            mended = found.mended[rows]
            _, *signs, _ = look.table()
            error, state = self._bars(
                value[rows], status[rows], found.planned[rows], found.one_sided[rows], rows, x, f0,
                [np.where(np.isfinite(part), part, 0)[rows] for part in signs],
            )
            found.error[rows] = np.where(mended, found.error[rows], error)
            status[rows] = np.where(mended, status[rows], state)
        found.error = np.where(status == Status.FIXED, 0.0, found.error)

    def _rounding_of_complex_steps(self, value, x):
        """What rounding does to derivatives free of cancellation: it may come from larger ones that f adds up."""
        eps, size = np.finfo(self.dtype).eps, abs(value)
        if self.each or isinstance(self, LineRun):
            return 2 * eps * size
        scale = self.settings.x_scale
        scale = 1.0 if scale is None else as_like(scale, self.shape, self.dtype, "x_scale")
        scale = np.maximum(abs(x.reshape(-1)), scale)[:, None]
        with np.errstate(all="ignore"):
            return COMPLEX_UNITS * eps * (size + (size * scale).max(axis=0) / scale)

    def _refine(self):
        """F computes in less precision than the steps were chosen for: choose them again."""
        self.function.eps = self.function.coarsest
        self.choose_steps()

    def look(self):
        """What looks at the values of a sweep, for error bars."""
        return Bars(self.settings, self.dtype, self.function)

    # fallbacks

    def again(self, rows, step, method, x, f0, look=None, **scheme):
        """Difference some rows with steps of their own, inside the same bounds: ``(differences, results or None)``.

        A look at the values implies one at x itself, unless `scheme`, which goes to `make`, says otherwise.
        """
        step = np.ascontiguousarray(step, working_type(self.dtype))
        rule = (step, np.zeros(1, step.dtype), step)
        scheme.setdefault("with_base", look is not None)
        lower, upper = self.limits(rows)
        differences = self.make(rows, rule, lower, upper, method, **scheme)
        return differences, self.sweep(differences, x, rows, f0, look)[1]

    def _mend(self, found, x, f0):
        """Look again at rows that are not finite: with shorter steps first, then to one side.

        What has the least error bar is kept; a row is done when the bar of its error is a millionth of its value.
        """
        value, status, step = found.value, found.status, found.step
        hopeless = status == Status.NONFINITE   # all values were finite, and their difference is not
        found.mended = ~np.isfinite(value)
        wanting = ~np.isfinite(value) & ~hopeless
        if self.settings.method != COMPLEX and self._base_is_good(x, f0):
            for method, steps in self._attempts(abs(step[:, 0]), abs(self.origin(x))):
                rows = np.flatnonzero(wanting.any(axis=1) & (steps > 0))
                if rows.size == 0:
                    continue
                differences, other = self.again(rows, steps[rows], method, x, f0)
                if other is None:
                    continue
                state = np.repeat(differences.status[:, None], value.shape[1], axis=1)
                if method != self.settings.method:
                    state[state == Status.RESOLVED] = Status.ONE_SIDED
                one_sided = differences.kind == ROW_ONE_SIDED
                error, state = self._bars(other, state, differences.step, one_sided, rows, x, f0)
                better = wanting[rows] & np.isfinite(other)
                better &= (error < found.error[rows]) | ~np.isfinite(value[rows])
                steps = differences.step[:, None]
                for kept, new in ((value, other), (status, state), (step, steps), (found.error, error)):
                    kept[rows] = np.where(better, new, kept[rows])
                with np.errstate(all="ignore"):
                    wanting[rows] &= ~(np.isfinite(value[rows]) & (found.error[rows] <= SATISFIED * abs(value[rows])))
        bad = ~np.isfinite(value)
        value[bad] = np.nan
        status[bad] = Status.NONFINITE
        found.error[bad] = np.inf

    def _base_is_good(self, x, f0):
        """Whether f is finite at x itself: otherwise no step can help."""
        if self.each:
            return True
        return np.isfinite(self.at_base(x) if f0 is None else f0).any()

    def _attempts(self, step, size):
        """``(method, steps)`` in the order in which they are tried; 0 for a row that does not try it."""
        least = RESOLUTION * np.finfo(self.dtype).eps * size
        own = np.where((size > 0) & (self.factor * size < step), self.factor * size, 0)
        method = self.settings.method
        if method == CENTRAL:
            for shorter in (step / 16, step / 1024, own):
                yield CENTRAL, np.where(shorter >= least, shorter, 0)
        for length in (step, own):
            for side in (BACKWARD, FORWARD) if method == BACKWARD else (FORWARD, BACKWARD):
                yield side, length

    def _bars(self, value, status, step, one_sided, rows, x, f0, signs=None):
        """Error bars of some rows, and their statuses in the light of them: difference again with a shorter step."""
        error = np.full(value.shape, np.inf)
        status = status.copy()
        order = order_of(self.settings.method, self.settings.order, one_sided, self.settings.n)
        usable = np.isfinite(value).any(axis=1) & (step != 0)
        for method, group in (
            (CENTRAL, ~one_sided),
            (FORWARD, one_sided & (step > 0)),
            (BACKWARD, one_sided & (step < 0)),
        ):
            some = np.flatnonzero(group & usable)
            if some.size == 0:
                continue
            look = self.look()
            _, second = self.again(rows[some], abs(step[some]) / SHORTER, method, x, f0, look)
            if second is None:
                continue
            _, second_bend, second_rough, rounding = look.table()
            bend, rough = (np.zeros((2, *second_bend.shape)) if signs is None else (part[some] for part in signs))
            state = status[some]
            error[some] = bars_of(value[some], state, second, rounding / SHORTER**self.settings.n, bend, second_bend,
                                  rough, second_rough, order[some])
            status[some] = state
        return error, status

    def _check_complex_step(self, found, x, look):
        """Compare with a central difference of the real f: abs, max and casts break a complex step silently."""
        check, actual, scale = self.central_check(x, found)
        check.count_from(self.nfev)
        if not self.each:
            check.at_base(x)    # to learn how many results there are
        expected = check.solve(x, np.zeros(check.results, working_type(self.dtype))).value
        self.count_from(check.nfev)
        largest = look.table()[0].max(initial=0.0)
        with np.errstate(all="ignore"):
            rounding = 16 * np.finfo(self.dtype).eps * largest / abs(check.differences.step[:, None])
            wrong = abs(expected - actual) > AGREEMENT * (scale + abs(expected)) + rounding
        if wrong.any():
            found.doubt = COMPLEX_DOUBT
            found.status[found.status == Status.RESOLVED] = Status.UNRESOLVED

    def of_reals(self):
        """A run of the same f by central differences."""
        return Run(self.f, central_of(self.settings), self.shape, self.dtype, vector=True)

    def line(self, settings, v):
        """A run of the same f along a direction."""
        return LineRun(self.f, settings, v)

    def central_check(self, x, found):
        """A central difference of the real f, what it should give, and the size of its terms."""
        settings = central_of(self.settings)
        if self.each:
            check = Run(self.f, settings, self.shape, self.dtype, each=True)
            return check, found.value, abs(found.value)
        direction = some_direction(x, (found.status == Status.FIXED).any(axis=1), *self.bounds)
        check = self.line(settings, direction)
        flat = direction.reshape(1, -1)
        return check, flat @ found.value, abs(flat) @ abs(found.value)


class LineRun(Run):
    """Differences along one direction: one row, whose number is t in x + t * v.

    Parameters
    ----------
    f, settings
        As for `Run`; an absolute step is a step in t. One number of f is a vector of one.
    v : array
        The direction, of the shape and type of x.
    vector : bool
        f gives vectors, or what is taken for one.
    """

    rows, sweeps = 1, False

    def __init__(self, f, settings, v, vector=True):
        self.v, self.lost = v, False
        self.x: np.ndarray = None
        super().__init__(f, settings, v.shape, v.dtype, vector)
        self.v = self.seen(v)
        self.box = self.bounds

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference along v at x, with every fallback."""
        self.x = x
        if self.box[0] is not None:
            self.v = np.where((self.box[0] == self.box[1]).reshape(x.shape), 0, self.v)  # what is fixed does not move
        if not self.v.any():
            return self._nowhere(f0, 0, Status.RESOLVED)
        if self.box[0] is not None:
            self.bounds = limits_along(x.reshape(-1), self.v.reshape(-1), *self.box)
            if self.bounds[0] == self.bounds[1]:
                return self._nowhere(f0, np.nan, Status.UNRESOLVED)
        self.choose_steps()
        found = super().solve(x, f0, full)
        if self.lost:
            found.status[found.status < Status.UNRESOLVED] = Status.UNRESOLVED
        return found

    def _nowhere(self, f0, value, status):
        """The derivative along a direction of length 0, or one that leaves the bounds both ways."""
        found = Found(np.full((1, f0.size), value, f0.dtype), None)
        found.error = np.full(found.value.shape, 0.0 if value == 0 else np.inf)
        found.status[:] = status
        if status == Status.UNRESOLVED:
            found.doubt = "the direction leaves the bounds both ways"
        return found

    def choose_steps(self):
        """Derive the step in t from the precision of f, x and v.

        With the scaled norms |u| = norm(u / x_scale) the default is ``factor * max(1, |x|) / |v|``, which for a unit
        vector is the step of its entry.
        """
        super().choose_steps()
        if self.x is not None:
            step, self.lost = step_along(self.settings, self.factor, self.x, self.v)
            self.rule = (step, np.zeros(1, step.dtype), step)

    def begin(self, x):
        """Hand x and the direction to the function."""
        self.function.begin(x)
        self.function.along(self.v, *(self.box if self.settings.method != COMPLEX else ()))

    def origin(self, x):
        """Return the 0 at which t starts."""
        return np.zeros(1, self.dtype)

    def entries_of(self, rows):
        """Every row is the line."""
        return np.full(1 if rows is None else rows.size, LINE, np.intp)

    def central_check(self, x, found):
        """A central difference of the real f in the same direction."""
        return self.line(central_of(self.settings), self.v), found.value, abs(found.value)


def step_along(settings, factor, x, v):
    """Return ``(step in t of x + t * v, whether it moves x too little)``.

    One that does not move x at all is lengthened, as for one entry.
    """
    real, scale = working_type(x.dtype), 1.0
    if settings.step is not None:
        step = as_like(settings.step, (), x.dtype, "step")
    else:
        if settings.x_scale is not None:
            scale = as_like(settings.x_scale, x.shape, x.dtype, "x_scale")
        size_x, size_v = (_norm(abs(part.reshape(-1)) / scale) for part in (x, v))
        floor = 1.0
        if settings.rel_step is not None:
            own, factor = factor, float(as_like(settings.rel_step, (), x.dtype, "rel_step")[0])
            floor = 0.0 if size_x > 0 else own / factor
        step = np.array([factor * max(floor, size_x) / size_v], real)
    moved = v.reshape(-1) != 0
    x, v = abs(x.reshape(-1)[moved]), abs(v.reshape(-1)[moved])
    with np.errstate(all="ignore"):
        least = (np.finfo(x.dtype).eps * x / v).min()
        unit = (np.spacing(x) / v).max()
    lost = settings.method != COMPLEX and bool(step[0] < RESOLUTION * least)
    return (np.full(1, unit, real), lost) if lost and step[0] < unit else (step, lost)


def limits_along(x, v, lower, upper):
    """How far t can go down and up inside the bounds."""
    refuse_outside(x, lower, upper)
    with np.errstate(all="ignore"):
        v = v.astype(lower.dtype)
        ends = np.stack([(lower - x) / v, (upper - x) / v])[:, v != 0]
    return -np.abs(ends.min(axis=0)).min(keepdims=True), np.abs(ends.max(axis=0)).min(keepdims=True)


def some_direction(x, fixed, lower=None, upper=None):
    """A direction in which a derivative can be tested: all that is not fixed moves, no two by the same share.

    It leads to where there is more room inside the bounds.
    """
    turn = np.arange(x.size)
    side = (-1.0) ** turn
    if lower is not None:
        up, down = upper - x.reshape(-1), x.reshape(-1) - lower
        side = np.where(up == down, side, np.where(up > down, 1.0, -1.0))
    direction = np.maximum(abs(x), 1) * ((1 + turn * 0.6180339887 % 1) * side).reshape(x.shape)
    direction[fixed.reshape(x.shape)] = 0
    return np.ascontiguousarray(direction, x.dtype)


def _norm(u):
    largest = u.max(initial=0)
    return float(largest * np.sqrt(np.sum((u / largest) ** 2))) if largest > 0 else 0.0


def central_of(settings):
    """The same options for second-order central differences with the default step."""
    return Settings(CENTRAL, 2, 1, None, None, settings.x_scale, settings.bounds, settings.args, settings.kwargs,
                    settings.vectorized, settings.workers, settings.crew, settings.bar)


def in_type_of_x(array, dtype):
    """Numbers in the working type, rounded to the type of x; statuses as they are."""
    if array.dtype.kind == "i":
        return array
    if array.dtype.kind == "c" and dtype.kind != "c":
        array = array.real  # f(x) of a complex step
    with np.errstate(all="ignore"):
        return array.astype(dtype if array.dtype.kind == "c" else np.dtype(dtype.char.lower()))


def callers_level():
    """How far up from the caller of this the first caller is that is none of us: warnings name that place."""
    frame, level, own = sys._getframe(1), 1, __name__.partition(".")[0] + "."
    while frame is not None and frame.f_globals.get("__name__", "").startswith(own):
        frame, level = frame.f_back, level + 1
    return level


def deliver(found, run, shape_up, out, full_output):
    """Warn, write to `out`, and give the caller what was asked for; `shape_up` gives arrays their shape."""
    unresolved = bool((found.status >= UNRESOLVED).any())
    message = ""
    if unresolved or full_output:
        message = describe(shape_up(found.status)) + (f"; {found.doubt}" if found.doubt else "")
    if unresolved and not full_output:
        warnings.warn(message, DifferenceWarning, stacklevel=callers_level())
    value = shape_up(found.value)
    if out is None:
        value = value[()]
    else:
        check_out(out, value.shape, value.dtype)  # again: f may have changed it
        out[...] = value
        value = out
    if not full_output:
        return value
    error, step, status = (shape_up(array)[()] for array in (found.error, found.step, found.status))
    return Derivative(value, error, step, run.nfev, status, message, not unresolved)
