"""The Hessian of a function times a vector, from the values of the function alone.

Here because it takes 4 n values where the Hessian takes n^2 + n + 1; the probes and the ways are those of curvature.py.
Tested in tests/test_hvp.py.
"""

import numpy as np

from .curvature import Coarser, Curvature, ValueRun
from .differencing import limits_along, step_along
from .error_bars import SHORTER
from .errors import Status
from .reference.difference import BACKWARD, COMPLEX, FORWARD


class ProductRun(ValueRun):
    """Products of the Hessians of one f with a vector, from its values.

    Along v, f is differenced at x and at the probes of each entry; what comes of that is differenced in the entry. All
    points lie inside the bounds: of the room that an entry has, the way along v may take a half.

    Parameters
    ----------
    f, settings
        As for `Run`.
    v : array, (n,)
        Of the type of x.
    """

    known_along: np.ndarray | None = None   # the step along v that suits the noise

    def __init__(self, f, settings, v):
        super().__init__(f, settings, v.shape, v.dtype)
        self.v = self.seen(v)

    def solve(self, x, f0=None, full=False, swept=None):
        """H @ v at x; `full` fills in the error bars."""
        self.learn(x)
        while True:
            try:
                found = self._product(x, 1)
                if full:
                    order = 2 if self.settings.method == COMPLEX else self.settings.order
                    found.estimate(self._product(x, 1 / SHORTER), order)
                break
            except Coarser:
                self._refine()
        if self.settings.method == COMPLEX:
            with np.errstate(all="ignore"):
                self.verify(found, x, self._moving(), self.v @ found.value, abs(self.v) @ abs(found.value))
        return found

    def _moving(self):
        """V without what is fixed."""
        lower, upper = self.bounds
        return self.v if lower is None else np.where(lower == upper, 0, self.v).astype(self.dtype)

    def _product(self, x, share):
        found = Curvature(x.shape, self.number_type)
        v = self._moving()
        line, lost = self._line(x, v, share)
        if line is None:
            found.error[:] = 0
            found.close(np.zeros(x.size, bool) if self.bounds[0] is None else self.bounds[0] == self.bounds[1])
            return found
        if line.fixed[0]:
            found.value[:], found.doubt = np.nan, "the direction leaves the bounds both ways"
            found.status[:] = Status.UNRESOLVED
            return found
        probes = self._planned_beside(x, v, line, share)
        if self.settings.method != COMPLEX:
            self.notice_lost_steps(probes, x)
            lost = lost or abs(line.step[0]) * np.linalg.norm(v) < self.least * np.linalg.norm(x)
        found.step[:] = line.step[0]
        self._difference(found, probes, line, v, x)
        found.status = np.maximum(probes.status, line.status[0])
        if lost:
            found.status[:] = np.maximum(found.status, Status.UNRESOLVED)
        found.close(probes.fixed)
        return found

    def _line(self, x, v, share):
        """The probes along v, in t of x + t * v, and whether the step is lost; None when v does not move x."""
        if not v.any():
            return None, False
        step, lost = step_along(self.settings, self.own, x, v)
        step = (step if self.known_along is None else self.known_along) * share
        limits = (None, None) if self.bounds[0] is None else limits_along(x, v, *self.bounds)
        if limits[0] is not None and limits[0] != limits[1]:
            limits = tuple(limit / 2 for limit in limits)
        order = 1 if self.settings.method in (FORWARD, BACKWARD) else 2
        return self.planned(np.zeros(1, self.dtype), step, limits, order), lost

    def _planned_beside(self, x, v, line, share):
        """The probes of every entry, with room for the way along v."""
        lower, upper = self.bounds
        order = line.count
        if lower is not None:
            ends = np.array([-1, 1] if line.central[0] else [0, line.count]) * line.step[0]
            reach = ends[:, None] * v.real
            fixed = lower == upper
            lower, upper = (np.where(fixed, lower, lower - np.minimum(reach.min(axis=0), 0)),
                            np.where(fixed, upper, upper - np.maximum(reach.max(axis=0), 0)))
        return self.planned(x, self.steps_at(x, share), (lower, upper), order)

    def steps_at(self, x, share=1):
        """The steps of entries; one that is given in t of x + t * v stands for as long a one in x."""
        if self.settings.step is not None:
            share = share * np.linalg.norm(self.v.astype(self.number_type))
        return super().steps_at(x, share)

    def _difference(self, found, probes, line, v, x):
        """Fill in H @ v and what rounding can do to it."""
        imaginary = self.settings.method == COMPLEX
        entries = np.flatnonzero(~probes.fixed)
        needed = 1 if imaginary else probes.count
        rows = entries.repeat(needed)
        probe = np.arange(len(rows)) % needed
        shifts = self.complex_steps_at(x)[rows] if imaginary else probes.shifts[rows, probe]
        # one-sided ones need f along v from x itself, too
        alone = int(not imaginary and not probes.central[entries].all())
        shifted = np.concatenate([self._parts(rows), np.full(alone, -1, np.intp)])
        parts = v.view(np.dtype(v.dtype.char.lower())).astype(line.step.dtype) * line.step[0]
        count = len(shifted)
        ways = (np.zeros(count, np.intp), np.full(count, len(parts), np.intp), np.arange(len(parts), dtype=np.intp),
                parts, shifted, np.concatenate([shifts, np.zeros(alone, shifts.dtype)]))
        limits = np.repeat([[-1], [1]] if line.central[0] else [[0], [2]], count, axis=1).astype(line.step.dtype)
        slope, look = self.along(ways, limits, x)
        noise = np.finfo(self.dtype).eps * look.largest(True) if imaginary else self.noise_of(look.largest())
        noise = noise * (1 if line.central[0] else 2 * line.count) / abs(line.step[0])
        with np.errstate(all="ignore"):
            slope = (slope[:, 1] if imaginary else slope[:, 0]) / line.step[0]
            if imaginary:
                found.value[entries] = slope / shifts
                found.rounding[entries] = noise / shifts
                return
            at_x = np.where(probes.central[entries], 0, slope[-1])[:, None]
            weight = probes.weights[entries, :needed]
            found.value[entries] = (weight * (slope[: len(rows)].reshape(-1, needed) - at_x)).sum(axis=1)
            found.rounding[entries] = 2 * (abs(weight) * noise[: len(rows)].reshape(-1, needed)).sum(axis=1)
