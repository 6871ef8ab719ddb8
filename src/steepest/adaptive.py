"""Adaptive differences: steps chosen for every component while it is differentiated, until rounding is all that is left.

Here because the best step depends on the derivatives of f, which nobody knows before. All rows climb their ladders side
by side, one level at a time, so that f is evaluated as in every other difference: vectorised, by workers, by pointer,
inside bounds. The mathematics is in reference/ladder.py. Tested in tests/test_adaptive.py.
"""

import numpy as np

from .differencing import Found, LineRun, Run
from .errors import Status
from .options import as_positive
from .reference.callback import COARSE, working_type
from .reference.difference import BACKWARD, CENTRAL, FORWARD, RESOLUTION, refuse_outside, weights
from .reference.ladder import FAR_DOWN, NOTHING, UP, LOST, DONE

# The first step is this share of |x| or of x_scale, by the order of the derivative: half of the steps to follow are
# shorter than the best for plain differences. Measured on the 16 problems of benchmarks/problems.py.
FIRST = {1: 0.055, 2: 0.1, 3: 0.15, 4: 0.2}
FIRST_ONE_SIDED = 0.1
# With a tolerance fewer steps are made, and they start where they can end soon.
SHORTER = 0.2
# Steps fall and rise by these factors. No ratio of whole numbers to x, or f with a period would show the same phase.
FALL, RISE = 3.5, 16.0
# A first step for x = 0, and the least that a step rises to at once, for scale 1.
AT_ZERO, LEAST_RISE = 0.5, 1e-2
# Differences of one row: all, those with growing steps, those that are not finite.
LEVELS, RISES, LOSSES = 22, 7, 5
# Numbers in the tables of rows that are worked on at a time.
TABLES = 2**16
# A component that was given up counts as resolved when its error is this share of it.
CLOSE = 1e-6
UNRESOLVED_SHARE = 0.1


class Glimpses:
    """What a level shows beside its differences: the largest |f|, f(x + h) + f(x - h), and which sides are finite."""

    def __init__(self, run, n):
        self.function, self.n, self.eps = run.function, n, float(np.finfo(run.dtype).eps)
        self.blocks: list = []

    def __call__(self, differences, first, last):
        count = last - first
        kind = differences.kind[first:last]
        values, base = differences.values[:count], differences.base
        used = np.array([2 * differences.reach, differences.one_sided, 0, 1])[kind]
        with np.errstate(all="ignore"):
            size = abs(values) if not self.function.as_complex else _sizes(values)
            size = np.where(np.arange(values.shape[1])[None, :, None] < used[:, None, None], size, 0)
            largest = size.max(axis=1)
            if differences.has_base:
                known = base[: max(1, count) if differences.own_base else 1]
                largest = np.maximum(largest, abs(known) if not self.function.as_complex else _sizes(known))
            even = values[:, 0] + values[:, 1] if self.n == 1 and differences.reach else np.zeros_like(largest)
            ahead = np.isfinite(values[:, 0]).any(axis=1)
        self.blocks.append((largest, even, ahead))
        self.eps = max(self.eps, self.function.coarsest)

    def table(self):
        """``(largest, even, ahead)`` of all rows."""
        return tuple(np.concatenate(parts) for parts in zip(*self.blocks, strict=True))


def _sizes(values):
    """|z| of complex numbers whose parts lie side by side, once for each part."""
    return np.repeat(np.hypot(values[..., ::2], values[..., 1::2]), 2, axis=-1)


class AdaptiveRun(Run):
    """A `Run` whose steps are chosen row by row while it works."""

    sweeps = False

    def first_steps(self, x):
        """The largest step of every row to begin with, and the least that one rises to at once."""
        settings, real = self.settings, working_type(self.dtype)
        size = self.size(x)
        share = FIRST[settings.n] * (SHORTER if settings.rtol is not None else 1)
        if settings.step is not None:
            step = as_positive(settings.step, self.shape, self.dtype, "step")
            return np.broadcast_to(step, size.shape).astype(real), np.zeros_like(size)
        scale = None if settings.x_scale is None else as_positive(settings.x_scale, self.shape, self.dtype, "x_scale")
        if settings.rel_step is not None:
            share = as_positive(settings.rel_step, self.shape, self.dtype, "rel_step")
        if scale is None:
            h = np.where(size > 0, share * size, share * AT_ZERO)
            least = share * np.full_like(size, LEAST_RISE)
        else:
            h, least = share * np.maximum(size, scale), share * np.broadcast_to(scale, size.shape)
        return h.astype(real), least.astype(real)

    def size(self, x):
        """|x| of every row."""
        x = self.origin(x)
        return np.maximum(abs(x.real), abs(x.imag)).astype(working_type(self.dtype))

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback."""
        origin = np.ascontiguousarray(self.origin(x).real, working_type(self.dtype))
        lower, upper = self.bounds
        if lower is not None:
            refuse_outside(origin, lower, upper)
        value = np.full((self.rows, self.results), np.nan, self.number_type())
        found = Found(value, None)
        for name, start, kind in (("status", Status.NONFINITE, np.int8), ("step", 0, origin.dtype),
                                  ("error", np.inf, origin.dtype)):
            setattr(found, name, np.full(value.shape, start, kind))
        found.base = f0
        chunk = max(1, TABLES // max(1, self.results))
        for first in range(0, self.rows, chunk):
            rows = np.arange(first, min(first + chunk, self.rows))
            self._solve_rows(rows, origin[rows], x, found)
        return found

    def number_type(self):
        """The type of results while they are worked on."""
        real = working_type(self.dtype)
        return np.result_type(real, np.complex64) if self.function.as_complex else real

    def _solve_rows(self, rows, origin, x, found):
        """Some rows: fixed ones, central ones, those that have room on one side only."""
        h, least = (part[rows] for part in self.first_steps(x))
        infinite = np.full(origin.shape, np.inf)
        below, above = infinite, infinite
        if self.bounds[0] is not None:
            below, above = origin - self.bounds[0][rows], self.bounds[1][rows] - origin
        fixed = below + above == 0
        found.value[rows[fixed]], found.error[rows[fixed]], found.status[rows[fixed]] = 0, 0, Status.FIXED
        reach = (self.settings.n + 1) // 2
        near, far = np.minimum(below, above), np.maximum(below, above)
        central = ~fixed & ((near >= reach * h / RISE) | (far <= 4 * near))
        if central.any():
            chosen = rows[central]
            ahead = self._climb(chosen, CENTRAL, h[central], least[central], near[central] / reach, x, found)
            lost = (found.status[chosen] == Status.NONFINITE).any(axis=1) & (self._base_is_good(x, found.base))
            side = np.zeros(rows.size, bool)
            side[central] = lost
            forward = np.zeros(rows.size, bool)
            forward[central] = ahead
        else:
            side = forward = np.zeros(rows.size, bool)
        one_sided = (~fixed & ~central) | side
        forward = np.where(side, forward, above >= below)
        width = self.settings.n
        for method, chosen, room in ((FORWARD, one_sided & forward, above), (BACKWARD, one_sided & ~forward, below)):
            if chosen.any():
                start = h[chosen] * FIRST_ONE_SIDED / FIRST[1]
                self._climb(rows[chosen], method, start, least[chosen], room[chosen] / width, x, found)

    def _climb(self, rows, method, h, least, room, x, found):
        """Climb the ladders of some rows; returns whether f was finite ahead of x when it was last looked at."""
        settings, n = self.settings, self.settings.n
        columns = self.results * (2 if self.function.as_complex else 1)
        points = (n + 1) // 2 if method == CENTRAL else n
        c = abs(weights(method == CENTRAL, points, n, False))
        if method == CENTRAL:
            weight = np.sum(c * (2 if n % 2 else 4) / (2.0 * np.arange(1, points + 1)) ** n)
        else:
            weight = np.sum(c * 2 / np.arange(1.0, points + 1) ** n)
        ladder = self.kernels.Ladder(rows.size, columns, self.dtype, 2 if method == CENTRAL else 1, n, float(weight))
        if settings.noise is not None:
            ladder.noise[...] = settings.noise
        size, origin = self.size(x)[rows], np.ascontiguousarray(self.origin(x).real[rows], working_type(self.dtype))
        room = np.minimum(room, np.finfo(self.dtype).max / 64)
        h = np.minimum(h, room)
        top, levels, rises, stuck = h.copy(), np.zeros(rows.size, int), np.zeros(rows.size, int), np.zeros(rows.size)
        losses = np.zeros(rows.size, int)
        ahead = np.ones(rows.size, bool)
        active = np.arange(rows.size)
        resolution = RESOLUTION * np.finfo(self.dtype).eps
        rtol = settings.rtol or 0.0
        while active.size:
            step = self._exact(h[active], origin[active], points)
            glimpses = Glimpses(self, n)
            differences, result = self.again(rows[active], step, method, x, found.base, glimpses, with_base=False, order=1)
            if result is None:      # f computes in less precision than was thought
                self.function.eps = self.function.coarsest
                continue
            found.base = self.base_of(differences) if found.base is None else found.base
            result = np.ascontiguousarray(result)
            if self.function.as_complex:
                result = result.view(result.real.dtype)
            largest, even, ahead[active] = glimpses.table()
            taken = abs(differences.step)
            levels[active] += 1
            may_rise = (rises[active] < RISES) & (top[active] < room[active])
            last = (levels[active] >= LEVELS) | (step <= resolution * size[active]) | (losses[active] >= LOSSES)
            wants = ladder.climb(active, result, largest, even, size[active], taken, may_rise, last,
                                 glimpses.eps, rtol)
            up, far = wants == UP, wants == FAR_DOWN
            rises[active] += up
            stuck[active] = np.where(far, np.minimum(stuck[active] + 1, 5), 0)
            losses[active] += (ladder.state[active] == LOST).any(axis=1)
            risen = np.minimum(np.maximum(RISE * top[active], least[active]), room[active])
            h[active] = np.where(up, risen, h[active] / FALL ** np.maximum(stuck[active], 1))
            top[active] = np.maximum(top[active], h[active])
            active = active[wants != NOTHING]
        self._store(rows, ladder, method, found)
        return ahead

    def _exact(self, h, origin, points):
        """Steps that lead to numbers of the type of x, on both sides, so that none is rounded."""
        part = np.dtype(self.dtype.char.lower())
        with np.errstate(all="ignore"):
            reach = points if points > 2 else points
            moved = abs((origin + np.copysign(reach * h, origin)).astype(part).astype(h.dtype) - origin) / reach
        return np.where((moved > 0) & np.isfinite(moved), moved, h)

    def _store(self, rows, ladder, method, found):
        """Put what a ladder has found where nothing was found before."""
        value, error, rounding, kink = ladder.value, ladder.error, ladder.rounding, ladder.kink
        with np.errstate(all="ignore"):
            known = np.isfinite(value)
            bent = kink > error
            error = np.maximum(error, kink)
            size = abs(value)
            done = ladder.state == DONE
            good = (error <= UNRESOLVED_SHARE * size) | (~ladder.guessed & ~bent & (error <= 10 * rounding))
            good &= done | ((ladder.agreed >= 2) & (error <= CLOSE * size))
            error = np.where(known & (done | good), error, np.inf)
        status = np.where(known, np.where(good, Status.RESOLVED, Status.UNRESOLVED), Status.NONFINITE)
        if method != CENTRAL and method != self.settings.method:
            status[status == Status.RESOLVED] = Status.ONE_SIDED
        step = np.where(method == BACKWARD, -ladder.step, ladder.step)
        if self.function.as_complex:
            value = np.ascontiguousarray(value).view(found.value.dtype)
            error, status = np.hypot(error[:, ::2], error[:, 1::2]), np.maximum(status[:, ::2], status[:, 1::2])
            step = np.where(abs(step[:, ::2]) >= abs(step[:, 1::2]), step[:, ::2], step[:, 1::2])
        wanting = found.status[rows] == Status.NONFINITE
        for kept, new in ((found.value, value), (found.error, error), (found.step, step), (found.status, status)):
            kept[rows] = np.where(wanting, new, kept[rows])
        found.value[rows] = np.where(found.status[rows] == Status.NONFINITE, np.nan, found.value[rows])


class AdaptiveLineRun(LineRun, AdaptiveRun):
    """The same along one direction."""

    def size(self, x):
        """The number that is moved is 0: no step is too short for it."""
        return np.zeros(1, working_type(self.dtype))

    def first_steps(self, x):
        """The step in t that moves x by as much as one entry of its size would be moved."""
        step = self.rule[0]
        if self.settings.step is None and self.settings.rel_step is None:
            step = step * (FIRST[1] * (SHORTER if self.settings.rtol is not None else 1) / self.factor)
        return np.array(step), np.zeros_like(step)
