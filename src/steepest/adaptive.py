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
from .reference.difference import BACKWARD, CENTRAL, FORWARD, RESOLUTION, refuse_outside, weights
from .reference.ladder import DONE, FAR_DOWN, LOST, NOTHING, RATIO, UP

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


class Glimpses:
    """What a level shows beside its differences, block by block: the largest |f|, f(x + h) + f(x - h), finite sides.

    With ``even > 0`` it makes derivatives of that even order of the values, and of f(x) when they are not shown with
    them: so f(x) need not be evaluated at every level.
    """

    def __init__(self, run, n, even, base=None):
        self.run, self.n, self.even, self.base = run, n, even, base
        self.eps = float(np.finfo(run.dtype).eps)
        self.blocks: list = []

    def __call__(self, differences, first, last):
        function, count = self.run.function, last - first
        kind, values = differences.kind[first:last], differences.values[:count]
        used = np.array([2 * differences.reach, differences.one_sided, 0, 1])[kind]
        known = None
        if differences.has_base or differences.own_base:
            known = differences.base[: max(1, count) if differences.own_base else 1]
        with np.errstate(all="ignore"):
            size = self._sizes(values)
            largest = np.where(np.arange(values.shape[1])[None, :, None] < used[:, None, None], size, 0).max(axis=1)
            if known is not None and np.isfinite(known).all():
                largest = np.maximum(largest, self._sizes(known))
            both = values[:, 0] + values[:, 1] if self.n == 1 and differences.reach else np.zeros_like(largest)
            result = None
            if self.even:
                base = known if self.base is None else self.base[first:last]
                result = self._combined(values, differences.points[first:last], base)
            ahead = np.isfinite(values[:, 0]).any(axis=1)
        self.blocks.append((largest, both, ahead, known if self.even else ahead, result if self.even else ahead))
        self.eps = max(self.eps, function.coarsest)

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
        """``(largest, both, ahead, base, result)`` of all rows."""
        return tuple(np.concatenate(parts) for parts in zip(*self.blocks, strict=True))


class Climb:
    """Where some rows are on their ladders, and how they go on.

    Parameters
    ----------
    ladder : Ladder
    h, least : arrays, (rows,)
        First steps, and steps to which they rise at once.
    room : array, (rows,)
        The longest steps that there can be.
    """

    def __init__(self, ladder, h, least, room):
        self.ladder, self.h, self.least, self.room = ladder, np.minimum(h, room), least, room
        self.top = self.h.copy()
        self.levels, self.rises, self.losses, self.stride = (np.zeros(h.size, np.intp) for _ in range(4))
        self.ahead = np.ones(h.size, bool)
        self.active = np.arange(h.size)

    def go_on(self, difference, glimpses, size, step, smallest, rtol):
        """Take a level of the active rows into their tables, and choose the steps of the next."""
        active, ladder = self.active, self.ladder
        largest, both, self.ahead[active], _, _ = glimpses.table()
        self.levels[active] += 1
        room = (self.rises < RISES) & (self.top < self.room)
        may_rise = np.where(room, 1 + (self.top < self.least), 0)[active]
        last = (self.levels >= LEVELS)[active] | (step <= smallest) | (self.losses >= LOSSES)[active]
        wants = ladder.climb(active, difference, largest, both, size, step, may_rise, last, glimpses.eps, rtol)
        up, far = wants == UP, wants == FAR_DOWN
        self.rises[active] += up
        self.losses[active] += (ladder.state[active] == LOST).any(axis=1)
        stride = self.stride[active] = np.where(far, np.minimum(self.stride[active] + 1, STRIDE), 0)
        risen = np.minimum(np.maximum(RISE * self.top, self.least), self.room)[active]
        self.h[active] = np.where(up, risen, self.h[active] / RATIO ** np.maximum(stride, 1))
        self.top[active] = np.maximum(self.top, self.h)[active]
        self.active = active[wants != NOTHING]


class AdaptiveRun(Run):
    """A `Run` whose rows choose their steps while they are differenced."""

    sweeps = False

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback."""
        real = working_type(self.dtype)
        origin = np.ascontiguousarray(self.origin(x).real, real)
        if self.bounds[0] is not None:
            refuse_outside(origin, *self.bounds)
        if f0 is None and not self.each and self.rows:
            f0 = self.at_base(x)
        wide = np.result_type(real, np.complex64) if self.function.as_complex else real
        found = Found(np.full((self.rows, self.results), np.nan, wide), None)
        found.base, found.one_sided = f0, np.zeros(self.rows, bool)
        shape = found.value.shape
        found.status = np.full(shape, Status.NONFINITE, np.int8)
        found.step, found.error = np.zeros(shape, real), np.full(shape, np.inf, real)
        chunk = max(1, COMPONENTS // max(1, self.results))
        for first in range(0, self.rows, chunk):
            rows = np.arange(first, min(first + chunk, self.rows))
            self._solve_rows(rows, origin[rows], x, found)
        if f0 is not None:
            self._mark_where_f_is_not_finite(np.asarray(f0).reshape(-1), found)
        return found

    def first_steps(self, x):
        """The first step of every row, and the least to which one rises."""
        settings, size = self.settings, self.size(x)
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
        x = self.origin(x)
        return np.maximum(abs(x.real), abs(x.imag)).astype(working_type(self.dtype))

    def _solve_rows(self, rows, origin, x, found):
        """Difference some rows: fixed ones, central ones, and those with room, or finite values, on one side only."""
        n = self.settings.n
        h, least = (part[rows] for part in self.first_steps(x))
        below = above = np.full(origin.shape, np.inf)
        if self.bounds[0] is not None:
            below, above = origin - self.bounds[0][rows], self.bounds[1][rows] - origin
        fixed = below + above == 0
        found.value[rows[fixed]], found.error[rows[fixed]], found.status[rows[fixed]] = 0, 0, Status.FIXED
        reach, near, far = (n + 1) // 2, np.minimum(below, above), np.maximum(below, above)
        central = ~fixed & ((near >= reach * h / RISE) | (far <= 4 * near))
        forward, lost = above >= below, np.zeros(rows.size, bool)
        if central.any():
            some = rows[central]
            forward[central] = self._climb(some, CENTRAL, h[central], least[central], near[central] / reach, x, found)
            lost[central] = (found.status[some] == Status.NONFINITE).any(axis=1)
        one_sided = lost | ~(fixed | central)
        for method, chosen, room in ((FORWARD, one_sided & forward, above), (BACKWARD, one_sided & ~forward, below)):
            if chosen.any() and self._base_is_good(x, found.base):
                start = h[chosen] * FIRST_ONE_SIDED / FIRST[1]
                self._climb(rows[chosen], method, start, least[chosen], room[chosen] / n, x, found)
        tight = (far <= RESOLUTION * np.finfo(self.dtype).eps * self.size(x)[rows]) & ~fixed
        found.status[rows[tight]] = np.minimum(found.status[rows[tight]], Status.UNRESOLVED)

    def _climb(self, rows, method, h, least, room, x, found):
        """Climb the ladders of some rows to their ends; tells where f was finite ahead of x when it was last seen."""
        n, real = self.settings.n, working_type(self.dtype)
        points = (n + 1) // 2 if method == CENTRAL else n
        even = n if method == CENTRAL and n % 2 == 0 else 0
        scheme = {"order": 2 * points, "n": 1} if even else {"order": 2 if method == CENTRAL else 1}
        columns = self.results * (2 if self.function.as_complex else 1)
        ladder = self.kernels.Ladder(rows.size, columns, self.dtype, 2 if method == CENTRAL else 1, n,
                                     _weight(method, points, n))
        if self.settings.noise is not None:
            ladder.noise[...] = self.settings.noise
        size, origin = self.size(x)[rows], self.origin(x).real[rows].astype(real)
        climb = Climb(ladder, h, least, np.minimum(room, np.finfo(self.dtype).max / 64).astype(real))
        smallest = RESOLUTION * np.finfo(self.dtype).eps * size
        base = None
        while climb.active.size:
            active = climb.active
            step = self._exact(climb.h[active], origin[active], points)
            glimpses = Glimpses(self, n, even, None if base is None else base[active])
            differences, result = self.again(rows[active], step, method, x, found.base, glimpses,
                                             with_base=bool(even) and base is None, **scheme)
            if result is None:      # f computes in less precision than was thought
                self.function.eps = self.function.coarsest
                continue
            if even:
                _, _, _, shown, result = glimpses.table()
                base = shown if base is None else base
            elif self.function.as_complex:
                result = np.ascontiguousarray(result).view(real)
            climb.go_on(result, glimpses, size[active], abs(differences.step), smallest[active],
                        self.settings.rtol or 0.0)
        self._store(rows, ladder, method, found)
        return climb.ahead

    def _exact(self, h, origin, points):
        """Steps near `h` that lead to numbers of the type of x on both sides, so that none is rounded."""
        part = np.dtype(self.dtype.char.lower())
        with np.errstate(all="ignore"):
            end = (origin + np.copysign(points * h, origin)).astype(part).astype(h.dtype)
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
            good &= ~self._spikes(ladder, method, found.base)
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

    def _spikes(self, ladder, method, base):
        """Where f(x) is off the mean of both sides, which all differences have passed by."""
        if base is None or method != CENTRAL or self.each:
            return np.zeros(ladder.value.shape, bool)
        middle = np.asarray(base).reshape(-1).view(ladder.value.dtype)
        h, rounding = ladder.tables[2][..., 0], ladder.tables[1][..., 0]
        allowed = abs(ladder.bend) * h + SPIKE * rounding * h
        return (ladder.count >= 2) & (abs(ladder.even / 2 - middle) > allowed)

    def _mark_where_f_is_not_finite(self, base, found):
        """There is no derivative where there is no f(x), whatever there is on both sides."""
        bad = ~np.isfinite(base) & (found.status != Status.FIXED)
        found.value[bad], found.error[bad], found.status[bad] = np.nan, np.inf, Status.NONFINITE


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
