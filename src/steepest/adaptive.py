"""Adaptive differences: every component chooses its steps while it is differentiated, until only rounding is left.

Here because the best step depends on derivatives of f that nobody knows before. All rows climb their ladders side by
side, one level at a time, so that f is evaluated as in every other difference: vectorised, by workers, by pointer,
inside bounds. The mathematics is in reference/ladder.py. Tested in tests/test_adaptive.py.
"""

import numpy as np

from .differencing import Found, LineRun, Run
from .errors import Status
from .options import as_positive
from .reference.callback import working_type
from .reference.difference import (
    BACKWARD,
    CENTRAL,
    FORWARD,
    RESOLUTION,
    ROW_CENTRAL,
    ROW_ONE_SIDED,
    refuse_outside,
    weights,
)
from .reference.ladder import DONE, DOWN, FAR_DOWN, LOST, NOTHING, RATIO, UP

# The first step as a share of |x|, by the order of the derivative. Measured on the 16 problems of
# benchmarks/problems.py: more costs calls where f bends, less costs digits. They are no simple fractions of x with the
# steps that follow, or an f with a period might show the same phase at each.
FIRST = {1: 0.055, 2: 0.2, 3: 0.2, 4: 0.15}
FIRST_ONE_SIDED = 0.1
# With a tolerance fewer steps are wanted, and a smaller one to begin with is near enough.
SHORTER = 0.2
# What |x| is taken for where it is 0, and to what at least a step rises at once when the first was too small.
AT_ZERO, LEAST = 0.5, 0.01
# Steps rise by this factor; in the middle of such a rise the next step is found from what is known.
RISE = 16.0
# Most levels of a row, most of them that rise, most that are not finite before one side is tried alone.
LEVELS, RISES, LOSSES = 22, 7, 5
# What those want who share a step: a smaller one is heard first, and that nothing is wanted last.
WANTS = np.array([DOWN, FAR_DOWN, UP, NOTHING], np.int8)
TURNS = np.argsort(WANTS)
# Longest stride of one fall, in powers of RATIO.
STRIDE = 5
# Components whose tables are in memory at a time.
COMPONENTS = 2**16
# A component is unresolved when its error is this share of it ...
UNRESOLVED_SHARE = 0.1
# ... and one that was given up before rounding was all that is left, unless its error is this share.
CLOSE = 1e-6
# f(x) may be off the mean of both sides by this many times the precision of f before a spike is seen.
SPIKE = 1e3


# How many values a row of a kind has.
USED = {
    ROW_CENTRAL: lambda differences: 2 * differences.reach,
    ROW_ONE_SIDED: lambda differences: differences.one_sided,
}


class Glimpses:
    """What a level shows, block by block: differences, the largest |f|, f(x + h) + f(x - h), which sides are finite.

    A row that for want of room was differenced in another way than asked for has no difference.

    With ``even > 0`` it makes derivatives of that even order of the values, and of f(x) when they are not shown with
    them: so f(x) need not be evaluated at every level.
    """

    def __init__(self, run, kind, n, even, base=None):
        self.run, self.kind, self.n, self.even, self.base = run, kind, n, even, base
        self.eps = float(np.finfo(run.dtype).eps)
        self.blocks: list = []

    def __call__(self, differences, first, last):
        count = last - first
        kind, values = differences.kind[first:last], differences.values[:count]
        used = USED[self.kind](differences)
        known = None
        if differences.has_base or differences.own_base:
            known = differences.base[: max(1, count) if differences.own_base else 1]
        with np.errstate(all="ignore"):
            largest = self._sizes(values[:, :used]).max(axis=1)
            if known is not None and np.isfinite(known).all():
                largest = np.maximum(largest, self._sizes(known))
            both = values[:, 0] + values[:, 1] if self.n == 1 and differences.reach else np.zeros_like(largest)
            result = differences.result[:count]
            if self.even:
                base = known if self.base is None else self.base[first:last]
                result = self._combined(values, differences.points[first:last], base)
            result = np.where((kind == self.kind)[:, None], result, np.nan)
            ahead = np.isfinite(values[:, 0]).any(axis=1)
        self.blocks.append((result, largest, both, ahead, known if self.even else ahead))
        self.eps = max(self.eps, self.run.function.coarsest)

    def _sizes(self, values):
        """|f|; for complex numbers, whose parts lie side by side, once for each part."""
        if not self.run.function.as_complex:
            return abs(values)
        return np.repeat(np.hypot(values[..., ::2], values[..., 1::2]), 2, axis=-1)

    def _combined(self, values, points, base):
        """The derivative of even order from the values around x."""
        reach = points.shape[1] // 2
        c = weights(True, reach, self.even, points.dtype.char == "g")
        total = np.zeros_like(base)
        for k in range(reach):
            step = (points[:, 2 * k] - points[:, 2 * k + 1])[:, None]
            total = total + c[k] * (((values[:, 2 * k] - base) + (values[:, 2 * k + 1] - base)) / step**self.even)
        return total

    def table(self):
        """``(difference, largest, both, ahead, base)`` of all rows."""
        if len(self.blocks) == 1:
            return self.blocks[0]
        return tuple(np.concatenate(parts) for parts in zip(*self.blocks, strict=True))


class Climb:
    """The rows that are still on their ladders, and how they go on.

    Parameters
    ----------
    run : Run
    among : array
        Its rows, one for each row of the ladder.
    ladder : Ladder
    h, least, room, size, origin : arrays, (rows,)
        First steps; steps to which they rise at once; the longest that there can be; |x|; the real part of x.
    resolution : float
        A step that is a smaller share of |x| is the last.
    """

    ROWS = ("rows", "h", "least", "room", "size", "origin", "top", "rises", "losses", "stride")

    def __init__(self, run, among, ladder, h, least, room, size, origin, resolution):
        self.run, self.among, self.ladder, self.resolution, self.levels = run, among, ladder, resolution, 0
        self.h, self.least, self.room, self.size, self.origin = np.minimum(h, room), least, room, size, origin
        self.rows, self.top = np.arange(h.size), self.h
        self.rises, self.losses, self.stride = (np.zeros(h.size, np.intp) for _ in range(3))
        self.ahead = np.ones(h.size, bool)

    def go_on(self, glimpses, step, rtol):
        """Take a level into the tables, choose the steps of the next, and leave out the rows that are done."""
        difference, largest, both, ahead, _ = glimpses.table()
        ladder, rows, run, among = self.ladder, self.rows, self.run, self.among[self.rows]
        self.ahead[rows] = run.shared(np.logical_or, ahead, among, False)
        self.levels += 1
        may_rise = np.where((self.rises < RISES) & (self.top < self.room), 1 + (self.top < self.least), 0)
        last = (step <= self.resolution * self.size) | (self.losses >= LOSSES) | (self.levels >= LEVELS)
        wants = ladder.climb(rows, difference, largest, both, self.size, step, may_rise, last, glimpses.eps, rtol)
        wants = WANTS[run.shared(np.minimum, TURNS[wants], among, 3)]
        up, far = wants == UP, wants == FAR_DOWN
        if far.any():
            self.losses = self.losses + run.any_of(ladder.state[rows] == LOST, among)
        self.stride = np.where(far, np.minimum(self.stride + 1, STRIDE), 0)
        self.h = self.h / RATIO ** np.maximum(self.stride, 1)
        if up.any():
            self.rises = self.rises + up
            risen = np.minimum(np.maximum(RISE * self.top, self.least), self.room)
            self.h = np.where(up, risen, self.h)
            self.top = np.maximum(self.top, self.h)
        going = wants != NOTHING
        if not going.all():
            for name in self.ROWS:
                setattr(self, name, getattr(self, name)[going])


class AdaptiveRun(Run):
    """A `Run` whose rows choose their steps while they are differenced."""

    sweeps = False

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback."""
        real = working_type(self.dtype)
        origin = np.ascontiguousarray(self.origin(x).real, real)
        if self.bounds[0] is not None:
            refuse_outside(origin, *self.limits(slice(None)))
        if f0 is None and not self.each and self.rows:
            f0 = self.at_base(x)
        wide = np.result_type(real, np.complex64) if self.function.as_complex else real
        found = Found(np.full(self.extent, np.nan, wide), None)
        found.base = f0
        shape = found.value.shape
        found.status = np.full(shape, Status.NONFINITE, np.int8)
        found.step, found.error = np.zeros(shape, real), np.full(shape, np.inf, real)
        for rows in self.portions(COMPONENTS):
            self._solve_rows(rows, origin[rows], x, found)
        if f0 is not None:
            self._mark_where_f_is_not_finite(self.of_results(np.reshape(f0, -1)), found)
        return found

    def first_steps(self, x):
        """The first step of every row, and the least to which one rises."""
        settings = self.settings
        size = _size(x.reshape(-1)).astype(working_type(self.dtype))
        share = FIRST[settings.n] * (SHORTER if settings.rtol is not None else 1)
        if settings.step is not None:
            step = as_positive(settings.step, self.shape, self.dtype, "step")
            return np.broadcast_to(step, size.shape).astype(size.dtype), np.zeros_like(size)
        if settings.rel_step is not None:
            share = as_positive(settings.rel_step, self.shape, self.dtype, "rel_step")
        if settings.x_scale is not None:
            scale = as_positive(settings.x_scale, self.shape, self.dtype, "x_scale")
            least = (share * scale).astype(size.dtype)
            return np.maximum(share * size, least), np.broadcast_to(least, size.shape)
        least = np.broadcast_to(FIRST[settings.n] * LEAST, size.shape).astype(size.dtype)
        return (share * np.where(size > 0, size, AT_ZERO)).astype(size.dtype), least

    def size(self, x):
        """|x| of every row."""
        return _size(self.origin(x)).astype(working_type(self.dtype))

    def _solve_rows(self, rows, origin, x, found):
        """Difference some rows: fixed ones, central ones, and those with room, or finite values, on one side only."""
        n = self.settings.n
        h, least = (self.of_rows(part)[rows] for part in self.first_steps(x))
        below = above = np.full(origin.shape, np.inf)
        if self.bounds[0] is not None:
            lower, upper = self.limits(rows)
            below, above = origin - lower, upper - origin
        fixed = below + above == 0
        found.value[rows[fixed]], found.error[rows[fixed]], found.status[rows[fixed]] = 0, 0, Status.FIXED
        reach, near, far = (n + 1) // 2, np.minimum(below, above), np.maximum(below, above)
        central = ~fixed & ((near >= reach * h / RISE) | (far <= 4 * near))
        forward, lost = above >= below, np.zeros(rows.size, bool)
        if central.any():
            some = rows[central]
            forward[central] = self._climb(some, CENTRAL, h[central], least[central], near[central] / reach, x, found)
            lost[central] = self.any_of(found.status[some] == Status.NONFINITE, some)
        one_sided = lost | ~(fixed | central)
        for method, chosen, room in ((FORWARD, one_sided & forward, above), (BACKWARD, one_sided & ~forward, below)):
            if chosen.any() and self._base_is_good(x, found.base):
                start = h[chosen] * FIRST_ONE_SIDED / FIRST[1]
                self._climb(rows[chosen], method, start, least[chosen], room[chosen] / n, x, found)
        tight = (far <= RESOLUTION * np.finfo(self.dtype).eps * self.size(x)[rows]) & ~fixed
        found.status[rows[tight]] = np.minimum(found.status[rows[tight]], Status.UNRESOLVED)

    def _climb(self, rows, method, h, least, room, x, found):
        """Climb the ladders of some rows to their ends; tells where f was finite ahead of x when it was last seen."""
        n, real, info = self.settings.n, working_type(self.dtype), np.finfo(self.dtype)
        kind, power = (ROW_CENTRAL, 2) if method == CENTRAL else (ROW_ONE_SIDED, 1)
        points = (n + 1) // 2 if method == CENTRAL else n
        even = n if method == CENTRAL and n % 2 == 0 else 0
        scheme = {"order": 2 * points, "n": 1} if even else {"order": power}
        columns = self.extent[1] * (2 if self.function.as_complex else 1)
        ladder = self.kernels.Ladder(rows.size, columns, self.dtype, power, n, _weight(method, points, n))
        if self.settings.noise is not None:
            ladder.noise[...] = self.settings.noise
        room = np.minimum(room, info.max / 64).astype(real) * (1 - 8 * info.eps)    # of which rounding takes nothing
        climb = Climb(self, rows, ladder, h, least, room, self.size(x)[rows],
                      self.origin(x).real[rows].astype(real), RESOLUTION * info.eps)
        base = None
        while climb.rows.size:
            step = self._exact(climb.h, climb.origin, points)
            glimpses = Glimpses(self, kind, n, even, None if base is None else base[climb.rows])
            _, result = self.again(rows[climb.rows], step, method, x, found.base, glimpses,
                                   with_base=bool(even) and base is None, **scheme)
            if result is None:      # f computes in less precision than was thought
                self.function.eps = self.function.coarsest
                continue
            if even and base is None:
                base = glimpses.table()[-1]
            climb.go_on(glimpses, step, self.settings.rtol or 0.0)
        self._store(rows, ladder, method, found)
        return climb.ahead

    def _exact(self, h, origin, points):
        """Steps near `h` that lead to numbers of the type of x on both sides, so that none is rounded."""
        part = np.dtype(self.dtype.char.lower())
        with np.errstate(all="ignore"):
            end = origin + np.copysign(points * h, origin)
            if part != h.dtype:
                end = end.astype(part).astype(h.dtype)
            moved = abs(end - origin) / points
        return np.where((moved > 0) & np.isfinite(moved), moved, h)

    def _store(self, rows, ladder, method, found):
        """Put what a ladder has found where nothing was found before."""
        value, step = ladder.value, np.where(method == BACKWARD, -ladder.step, ladder.step)
        with np.errstate(all="ignore"):
            error, size = np.maximum(ladder.error, ladder.kink), abs(value)
            known, done = np.isfinite(value), ladder.state == DONE
            good = error <= UNRESOLVED_SHARE * size
            good |= ~ladder.guessed & (ladder.kink <= ladder.error) & (error <= 10 * ladder.rounding)
            good &= done | ((ladder.agreed >= 2) & (error <= CLOSE * size))
            good &= ~self._spikes(rows, ladder, method, found.base)
            nothing = ~known | (~good & (~done | ladder.guessed))
        error = np.where(nothing, np.inf, error)
        resolved = Status.RESOLVED if method == CENTRAL else Status.ONE_SIDED
        status = np.where(known, np.where(good, resolved, Status.UNRESOLVED), Status.NONFINITE)
        if self.function.as_complex:
            value = np.ascontiguousarray(value).view(found.value.dtype)
            error, status = np.hypot(error[:, ::2], error[:, 1::2]), np.maximum(status[:, ::2], status[:, 1::2])
            step = np.where(abs(step[:, ::2]) >= abs(step[:, 1::2]), step[:, ::2], step[:, 1::2])
        wanting = found.status[rows] == Status.NONFINITE
        for kept, new in ((found.value, value), (found.error, error), (found.step, step), (found.status, status)):
            kept[rows] = np.where(wanting, new, kept[rows])

    def _spikes(self, rows, ladder, method, base):
        """Where f(x) is off the mean of both sides, which all differences have passed by."""
        if base is None or method != CENTRAL or self.each:
            return np.zeros(ladder.value.shape, bool)
        middle = self.of_results(np.reshape(base, -1))[rows]
        middle = np.ascontiguousarray(middle).view(ladder.value.dtype)
        h, rounding = ladder.tables[2][..., 0], ladder.tables[1][..., 0]
        allowed = abs(ladder.bend) * h + SPIKE * rounding * h
        known = ~(ladder.guessed & (ladder.bend == 0))      # the tables were made anew, and no step was added since
        return known & (ladder.count >= 2) & (abs(ladder.even / 2 - middle) > allowed)

    def _mark_where_f_is_not_finite(self, base, found):
        """There is no derivative where there is no f(x), whatever there is on both sides."""
        bad = ~np.isfinite(base) & (found.status != Status.FIXED)
        found.value[bad], found.error[bad], found.status[bad] = np.nan, np.inf, Status.NONFINITE


def _size(x):
    return np.maximum(abs(x.real), abs(x.imag))


def _weight(method, points, n):
    """Sum of the weights by which errors of f are multiplied, for step 1."""
    if method == CENTRAL:
        share = (2 if n % 2 else 4) / (2.0 * np.arange(1, points + 1)) ** n
    else:
        share = 2 / np.arange(1.0, points + 1) ** n
    return float(np.sum(abs(weights(method == CENTRAL, points, n)) * share))


class AdaptiveLineRun(LineRun, AdaptiveRun):
    """The same along one direction, where the number that is moved is t in x + t * v."""

    def first_steps(self, x):
        """The step in t that moves x by as much as an entry of its size would be moved."""
        step, settings = self.rule[0], self.settings
        if settings.step is None and settings.rel_step is None:
            step = step * (FIRST[1] * (SHORTER if settings.rtol is not None else 1) / self.factor)
        return np.array(step), np.zeros_like(step)

    def _exact(self, h, origin, points):
        return h
