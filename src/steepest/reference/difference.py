"""Finite differences in plain NumPy: which points, evaluate, combine. The twin of kernels/difference.pyx.

Here to be read (this is the mathematics) and to be compared with: the kernel gives the same bits. Tested in
tests/test_difference.py.

Every scheme is a weighted sum of difference quotients over the step really taken,

    central     sum_k  c_k * [f(x + k*h) - f(x - k*h)]          / [(x + k*h) - (x - k*h)]^n     n odd
                sum_k  c_k * [f(x + k*h) - 2*f(x) + f(x - k*h)] / [(x + k*h) - (x - k*h)]^n     n even
    one-sided   sum_k  c_k * [f(x + k*h) - f(x)]                / [(x + k*h) - x]^n
    complex     Im f(x + i*h) / h                               [Squire and Trapp 1998, SIAM Review 40, 110-112]

with the exact rational weights of Fornberg [1988, Math. Comp. 51, 699-706].
"""

from functools import cache

import numpy as np

from .callback import GOOD, HALTED, LINE, PythonFunction, note_evaluation, working_type
from .native import NativeFunction

FORWARD, BACKWARD, CENTRAL, COMPLEX = range(4)
# how one row is differenced
ROW_CENTRAL, ROW_ONE_SIDED, ROW_FIXED, ROW_COMPLEX = range(4)
RESOLVED, ONE_SIDED, FIXED, UNRESOLVED, NONFINITE = range(5)
# what Differences.gradient says
DONE, CARE, UNSUITED = 0, -1, -2

# Balancing truncation against rounding gives h = c * eps^(1/(n + order)) * scale with a constant that depends on f
# [Gill, Murray, Saunders, Wright 1983, SISC 4, 310-321]. These constants were measured: they give the smallest median
# error on the 16 problems of benchmarks/problems.py (order 2: 2.3e-11, where c = 1 gives 4.0e-11).
STEP_CONSTANT = {1: 1.0, 2: 0.5, 4: 0.5, 6: 0.25, 8: 0.25}
# The error of a complex step is of order h^2 without cancellation, so h is as small as is safe from underflow
# [Martins, Sturdza, Alonso 2003, TOMS 29, 245-262].
COMPLEX_STEP = 1e-20
COMPLEX_STEP_SINGLE = 1e-10
# A step of fewer than this many units in the last place of x leaves less than eight bits of the difference.
RESOLUTION = 256.0
# One-sided differences of a higher order lose more digits to cancellation than they gain.
MAX_ONE_SIDED_ORDER = 4


def step_factor(eps, method, order, n=1):
    """Return the factor c * eps^(1/(n + order)) of the default step for scale 1."""
    if method == COMPLEX:
        return COMPLEX_STEP_SINGLE if eps > 1e-10 else COMPLEX_STEP
    return STEP_CONSTANT.get(order, 0.5) * eps ** (1.0 / (n + order))


def shape_of_scheme(method, order, n=1):
    """Return ``(reach, one_sided)``: the largest multiple of h that is used centrally, and to one side."""
    if method == COMPLEX:
        return 0, 0
    if method == CENTRAL:
        return (n + 1) // 2 + order // 2 - 1, n + min(order, MAX_ONE_SIDED_ORDER) - 1
    return 0, n + order - 1


def _fornberg(nodes, n):
    """Exact weights of the n-th derivative at 0 on integer nodes [Fornberg 1988]."""
    from fractions import Fraction

    count = len(nodes)
    table = [[Fraction(0)] * (n + 1) for _ in range(count)]
    table[0][0] = Fraction(1)
    scale = Fraction(1)
    for i in range(1, count):
        product = Fraction(1)
        for j in range(i):
            gap = Fraction(nodes[i] - nodes[j])
            product *= gap
            if j == i - 1:
                for m in range(min(i, n), -1, -1):
                    below = m * table[i - 1][m - 1] if m else 0
                    table[i][m] = scale / product * (below - nodes[i - 1] * table[i - 1][m])
            for m in range(min(i, n), -1, -1):
                below = m * table[j][m - 1] if m else 0
                table[j][m] = (nodes[i] * table[j][m] - below) / gap
        scale = product
    return [row[n] for row in table]


@cache
def weights(central, points, n=1, wide=False):
    """Return the weights c_1..c_K of a scheme that reaches to K = `points` multiples of h.

    Examples
    --------
    >>> weights(True, 2)        # fourth order: (4 D(h) - D(2h)) / 3
    array([ 1.33333333, -0.33333333])
    >>> weights(False, 2)       # second order, one-sided
    array([ 2., -1.])
    """
    nodes = [0]
    for k in range(1, points + 1):
        nodes += [k, -k] if central else [k]
    exact = _fornberg(nodes, n)
    real = np.longdouble if wide else np.float64
    out = np.empty(points, dtype=real)
    for k in range(1, points + 1):
        weight = exact[2 * k - 1] * (2 * k) ** n if central else exact[k] * k**n
        out[k - 1] = real(weight.numerator) / real(weight.denominator)
    out.flags.writeable = False
    return out


def is_point(x):
    """Whether x can be used as it is: a C-contiguous, aligned, native array of a floating or complex type."""
    return (type(x) is np.ndarray and x.dtype.char in "fdgFDG" and x.dtype.isnative
            and x.flags.c_contiguous and x.flags.aligned)


def refuse_nonfinite(x, name="x"):
    """Raise the ValueError that names the first entry of x that is not finite."""
    if np.count_nonzero(np.isfinite(x)) < np.size(x):
        bad = np.argwhere(~np.isfinite(x))
        index = tuple(int(i) for i in bad[0])
        where = f"{name}[{', '.join(map(str, index))}]" if index else name
        raise ValueError(f"{name} must be finite, but {where} is {x[index]}")


def refuse_outside(x, lower, upper):
    """Raise the ValueError that names the first entry of x outside the bounds."""
    bad = np.flatnonzero((x < lower) | (x > upper))
    if bad.size:
        i = bad[0]
        raise ValueError(f"x must lie within bounds, but x[{i}] is {x[i]}, outside [{lower[i]}, {upper[i]}]")


def refuse_mode(label):
    """Raise the error for an f that left another floating-point mode behind."""
    raise RuntimeError(f"{label} changed the floating-point mode (rounding, or the treatment of subnormals)")


def floating_point_mode():
    """What rounding and the treatment of subnormals do to three sums."""
    one, half_unit, tiny = np.float64(1.0), np.float64(2.0**-54), np.float64(2.0**-1060)
    return bool(one + half_unit > one), bool(-one - half_unit < -one), bool(tiny * one > 0)


class Differences:
    """The differences of one function at one point: the rule for the steps, and the memory.

    Parameters
    ----------
    rows : int
        How many entries (or lines) are differenced.
    dtype : numpy.dtype
        Type of x.
    method, order, n : int
        FORWARD, BACKWARD, CENTRAL or COMPLEX; order of accuracy; order of the derivative.
    factor : float
        Step for scale 1.
    size : int
        Real numbers in one result of f.
    block : int, optional
        Rows evaluated and combined at a time; all when None.
    rule : tuple of three arrays, optional
        Floor, relative, fallback: the step is max(floor, relative * |x|), and fallback where that is 0. Working type,
        one entry or one a row. By default all three are `factor`.
    lower, upper : arrays, optional
        Bounds, working type, one entry a row.
    entries : array of intp, optional
        The entry of x that each row moves (or LINE); by default row i moves entry i.
    own_base : bool
        Each row has a base value of its own (functions of one number).
    with_base : bool
        Evaluate f at x even where no row uses it.
    """

    def __init__(self, rows, dtype, method, order, factor, size=1, block=None, rule=None, lower=None, upper=None,
                 entries=None, own_base=False, n=1, with_base=False):
        self.rows, self.dtype, self.method, self.order, self.n, self.size = rows, dtype, method, order, n, size
        self.block = rows if block is None else block
        self.rule = (factor, factor, factor) if rule is None else rule
        self.real_type = real = working_type(dtype)
        self.part_type = np.dtype(dtype.char.lower())
        info = np.finfo(self.part_type)
        self.eps, largest = real.type(info.eps), real.type(info.max)
        self.lower = np.full(rows, -largest) if lower is None else np.maximum(lower, -largest)
        self.upper = np.full(rows, largest) if upper is None else np.minimum(upper, largest)
        self.entries = np.arange(rows) if entries is None else entries
        self.own_base, self.with_base = own_base, with_base
        self.reach, self.one_sided = shape_of_scheme(method, order, n)
        self.width = 1 if method == COMPLEX else max(2 * self.reach, self.one_sided)
        self.x = np.zeros(rows, real)
        self.points = np.zeros((rows, self.width), real)
        self.values = np.zeros((self.block, self.width, size), real)
        self.base = np.zeros((self.block if own_base else 1, size), real)
        self.has_base = False
        self.result = np.zeros((self.block, size // 2 if method == COMPLEX else size), real)
        self.running = False

    def plan(self, x):
        """Choose the step, the kind of difference, the points and the status of every row, from its entry of `x`."""
        refuse_nonfinite(x)
        x = np.asarray(x).reshape(-1)
        self.has_base = False
        magnitude = np.maximum(abs(x.real), abs(x.imag)).astype(self.real_type)
        self.x = x.real.astype(self.real_type)
        refuse_outside(self.x, self.lower, self.upper)
        with np.errstate(all="ignore"):
            self._choose_steps(self.x, magnitude)
            self._place_points(self.x)

    def _choose_steps(self, x, magnitude):
        floor, relative, fallback = self.rule
        lower, upper, K, q = self.lower, self.upper, self.reach, self.one_sided
        h = np.maximum(floor, relative * magnitude).astype(self.real_type)
        h = np.where(h == 0, fallback, h)
        fixed = lower == upper
        if self.method == COMPLEX:
            self.step = np.where(fixed, 0, h)
            self.kind = np.where(fixed, ROW_FIXED, ROW_COMPLEX).astype(np.int8)
            self.status = np.where(fixed, FIXED, RESOLVED).astype(np.int8)
            return
        unit = np.spacing(abs(x).astype(self.part_type)).astype(self.real_type)
        h = np.where(self._rounded(x + h) == x, unit, h)
        up, down = upper - x, x - lower
        central = np.zeros(len(x), bool)
        if self.method == CENTRAL:
            central = (x + K * h <= upper) & (x - K * h >= lower)
            rising = up >= down
        else:
            rising = np.full(len(x), self.method == FORWARD)
        fits_up, fits_down = x + q * h <= upper, x - q * h >= lower
        fits = np.where(rising, fits_up, fits_down)
        other = np.where(rising, fits_down, fits_up)
        tight = ~central & ~fits & ~other
        near = np.minimum(up, down) / max(K, 1)
        shrunk = tight & (self.method == CENTRAL) & (near >= RESOLUTION * self.eps * magnitude) & (near > 0)
        rising = np.where(fits, rising, np.where(other, ~rising, up >= down))
        h = np.where(shrunk, near, np.where(tight, np.maximum(up, down) / max(q, 1), h))
        h = np.where(self._rounded(x + h) == x, unit, h)
        central |= shrunk
        unresolved = h < RESOLUTION * self.eps * magnitude
        h = np.where(central | rising, h, -h)
        self.step = np.where(fixed, 0, h)
        self.kind = np.where(fixed, ROW_FIXED, np.where(central, ROW_CENTRAL, ROW_ONE_SIDED)).astype(np.int8)
        as_asked = central if self.method == CENTRAL else rising == (self.method == FORWARD)
        status = np.where(unresolved, UNRESOLVED, np.where(as_asked, RESOLVED, ONE_SIDED))
        self.status = np.where(fixed, FIXED, status).astype(np.int8)

    def _rounded(self, points):
        """Round to the type of x, in which f sees them."""
        return points.astype(self.part_type).astype(self.real_type)

    def _place_points(self, x):
        h, kind = self.step, self.kind
        self.points[:] = 0
        if self.method == COMPLEX:
            self.points[:, 0] = h
            return
        for k in range(1, max(self.reach, self.one_sided) + 1):
            ahead = np.minimum(np.maximum(self._rounded(x + k * h), self.lower), self.upper)
            behind = np.minimum(np.maximum(self._rounded(x - k * h), self.lower), self.upper)
            row = kind == ROW_CENTRAL
            if k <= self.reach:
                self.points[row, 2 * k - 2] = ahead[row]
                self.points[row, 2 * k - 1] = behind[row]
            row = kind == ROW_ONE_SIDED
            if k <= self.one_sided:
                self.points[row, k - 1] = ahead[row]

    def counts(self):
        """Return how many points each row has."""
        return np.array([2 * self.reach, self.one_sided, 0, 1])[self.kind]

    def needs_base(self):
        """Return which rows use f at x itself."""
        if self.with_base:
            return self.kind != ROW_FIXED
        return (self.kind == ROW_ONE_SIDED) | ((self.kind == ROW_CENTRAL) & (self.n % 2 == 0))

    def set_base(self, value):
        """Take the known value of f at x."""
        self.base[:] = np.atleast_1d(value).reshape(-1).view(self.real_type)
        self.has_base = True

    def evaluate(self, function, first=0, last=None):
        """Evaluate f at the points of rows first..last; GOOD, or why everything must be evaluated again."""
        mode = floating_point_mode()
        evaluate = self._evaluate_batch if function.batch else self._evaluate_one_by_one
        code = evaluate(function, first, self.rows if last is None else last)
        if floating_point_mode() != mode:
            refuse_mode(function.label)
        return code

    def evaluate_on(self, functions, share, first=0, last=None):
        """The same for a compiled f on several threads: one function each, the first of which has begun.

        ``share(part, first, last, halts)`` is to have ``part(i, a, b)`` called so that every row from `first` to `last`
        is evaluated once, with every i by one thread at a time, and to give the code of the first part in order that is
        not GOOD; a part ends early once ``halts[i]`` is not 0. The bits are those of one thread.
        """
        leader, last = functions[0], self.rows if last is None else last
        for function in functions[1:]:
            function.follow(leader)
        counts, based = self.counts(), self.needs_base()
        if based[first:last].any() and not self.own_base and not self.has_base:
            self.has_base = True
            row = first + int(np.argmax(based[first:last]))
            code = self._evaluate_at(leader, row, self.base[0], None)
            if code != GOOD:
                return code
        before = leader.nfev
        calls = counts + (based & self.own_base)
        evaluated: list[int] = []
        halts = np.zeros(len(functions), np.intc)

        def part(i, a, b):
            function = functions[i]
            number = function.nfev = before + int(calls[first:a].sum())
            try:
                return self._evaluate_rows(function, a, b, first, lambda: halts[i])
            finally:
                evaluated.append(function.nfev - number)

        code = share(part, first, last, halts)
        leader.nfev = before + sum(evaluated)
        return code

    def _evaluate_one_by_one(self, function, first, last):
        return self._evaluate_rows(function, first, last, first)

    def _evaluate_rows(self, function, first, last, start, halted=bool):
        """Rows first..last of a block that starts at row `start`; HALTED when no more are wanted."""
        counts, based = self.counts(), self.needs_base()
        for row in range(first, last):
            if halted():
                return HALTED
            points = [(self.values[row - start, k], self.points[row, k]) for k in range(counts[row])]
            if based[row] and self.own_base:
                points.insert(0, (self.base[row - start], self.x[row]))
            elif based[row] and not self.has_base:
                self.has_base = True
                points.insert(0, (self.base[0], None))
            for value, point in points:
                code = self._evaluate_at(function, row, value, point)
                if code != GOOD:
                    return code
        return GOOD

    def _evaluate_at(self, function, row, value, point):
        """One evaluation, at x itself when `point` is None."""
        entry = -1 if point is None else int(self.entries[row])
        try:
            return function.evaluate(entry, point, value)
        except BaseException as error:
            note_evaluation(error, function.label, function.nfev, entry, point, function.shape, function)
            raise

    def _evaluate_batch(self, function, first, last):
        entries, points, places = [], [], []
        counts, based = self.counts(), self.needs_base()
        for row in range(first, last):
            if based[row] and self.own_base:
                entries.append(self.entries[row])
                points.append(self.x[row])
                places.append(self.base[row - first])
            elif based[row] and not self.has_base:
                self.has_base = True
                entries.append(-1)
                points.append(0.0)
                places.append(self.base[0])
            for k in range(counts[row]):
                entries.append(self.entries[row])
                points.append(self.points[row, k])
                places.append(self.values[row - first, k])
        if not entries:
            return GOOD
        values = np.empty((len(entries), self.size), self.real_type)
        before = function.nfev
        try:
            code = function.evaluate_many(entries, points, values)
        except BaseException as error:
            note_evaluation(error, function.label, before + 1, entries[0], points[0], function.shape, function)
            raise
        for place, value in zip(places, values, strict=True):
            place[:] = value
        return code

    def combine(self, first=0, last=None):
        """Put the derivatives of rows first..last into `result`; return how many numbers of them are not finite."""
        last = self.rows if last is None else last
        count = last - first
        kind, h = self.kind[first:last], self.step[first:last]
        values, points, x = self.values[:count], self.points[first:last], self.x[first:last]
        self.result = np.zeros_like(self.result)  # a new one: the last block's may be kept
        result = self.result[:count]
        base = self.base[:count] if self.own_base else self.base
        with np.errstate(all="ignore"):
            result[kind == ROW_FIXED] = 0
            rows = kind == ROW_COMPLEX
            if rows.any():
                result[rows] = values[rows, 0, 1::2] / h[rows, None]
            rows = kind == ROW_CENTRAL
            if rows.any():
                v, p = values[rows], points[rows]
                v0 = base[rows] if self.own_base else base
                result[rows] = self._sum(
                    weights(True, self.reach, self.n, self.real_type.char == "g"),
                    (v[:, 2 * k] - v[:, 2 * k + 1] if self.n % 2 else (v[:, 2 * k] - v0) + (v[:, 2 * k + 1] - v0)
                     for k in range(self.reach)),
                    (p[:, 2 * k] - p[:, 2 * k + 1] for k in range(self.reach)),
                )
            rows = kind == ROW_ONE_SIDED
            if rows.any():
                v, p = values[rows], points[rows]
                v0 = base[rows] if self.own_base else base
                result[rows] = self._sum(
                    weights(False, self.one_sided, self.n, self.real_type.char == "g"),
                    (v[:, k] - v0 for k in range(self.one_sided)),
                    (p[:, k] - x[rows] for k in range(self.one_sided)),
                )
        bad = ~np.isfinite(result)
        self._mark_overflow(first, bad.any(axis=1))
        return int(np.count_nonzero(bad))

    def _mark_overflow(self, first, rows):
        """Where all values are finite but their difference is not, no other step is to be tried."""
        counts, based = self.counts(), self.needs_base()
        for i in np.flatnonzero(rows):
            values = [self.values[i, : counts[first + i]]]
            if based[first + i]:
                values.append(self.base[i if self.own_base else 0])
            if all(np.isfinite(part).all() for part in values):
                self.status[first + i] = NONFINITE

    def _sum(self, c, differences, steps):
        total = None
        for weight, difference, step in zip(c, differences, steps, strict=True):
            power = step
            for _ in range(self.n - 1):
                power = power * step
            term = weight * (difference / power[:, None])
            total = term if total is None else total + term
        return total

    def commit(self, out):
        """Write `result` to `out`, rounded to its type."""
        flat = self.result.reshape(-1)
        if out.dtype.kind == "c":
            flat = flat.view(np.result_type(self.real_type, np.complex64))
        with np.errstate(all="ignore"):
            out.reshape(-1)[:] = flat.astype(out.dtype)

    def gradient(self, function, x, out):
        """Difference a scalar function at `x` and write the gradient to `out`.

        DONE when it was written; CARE when some component needs a second look (nothing is written, `values` and
        `result` hold what was found); TAMPERED or COARSE when everything must be evaluated again; UNSUITED when `x` or
        `out` is not a C-contiguous, aligned, native array of the right type and shape.
        """
        return self._gradient_by(function, x, out, lambda: self.evaluate(function))

    def gradient_on(self, functions, share, x, out):
        """The same by several threads; `functions` and `share` as for `evaluate_on`."""
        return self._gradient_by(functions[0], x, out, lambda: self.evaluate_on(functions, share))

    def _gradient_by(self, function, x, out, evaluate):
        if not (self._suits(x, function.shape) and self._suits(out, function.shape) and out.flags.writeable):
            return UNSUITED
        self.plan(x)
        function.begin(x)
        code = evaluate()
        if code == GOOD:
            code = function.finish()
        if code != GOOD:
            return code
        if self.combine() or (self.status == UNRESOLVED).any():
            return CARE
        if not (self._suits(out, function.shape) and out.flags.writeable):
            raise ValueError("out was changed while f ran")
        self.commit(out)
        return DONE


    def _suits(self, array, shape):
        return (type(array) is np.ndarray and array.dtype == self.dtype and array.shape == shape
                and array.flags.c_contiguous and array.flags.aligned)


def central_gradient(f, x, out, compiled=None):
    """The gradient with every option at its default, as fast as can be; `compiled` is f as a C function, if it is one.

    Returns the gradient; or ``(code, function, differences)``, what `Differences.gradient` said and what it was said
    of, to go on with; or ``(UNSUITED, None, None)`` when f or x must be looked at first.
    """
    if not is_point(x) or (compiled is None and not callable(f)) or (compiled is not None and x.dtype != np.float64):
        return UNSUITED, None, None
    if compiled is None:
        function = PythonFunction(f, (), None, x.shape, x.dtype)
    else:
        function = NativeFunction(compiled, x.shape, x.dtype)
    differences = Differences(x.size, x.dtype, CENTRAL, 2, step_factor(function.eps, CENTRAL, 2), function.size)
    if out is None:
        out = np.empty(x.shape, x.dtype)
    code = differences.gradient(function, x, out)
    return out if code == DONE else (code, function, differences)


__all__ = [
    "BACKWARD", "CARE", "CENTRAL", "COMPLEX", "DONE", "FIXED", "FORWARD", "LINE", "NONFINITE", "ONE_SIDED", "RESOLVED",
    "UNRESOLVED", "UNSUITED", "Differences", "central_gradient", "refuse_nonfinite", "step_factor", "weights",
]
