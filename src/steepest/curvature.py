"""Second derivatives from the values of a function alone: which evaluations, and what is made of them.

Here so that `hessian` and `hvp` (products.py) share the probes of one entry, the ways that move two, and the answers to
bounds and to values that are not finite; the options are checked in hessian.py, gradients differenced in slopes.py.
Tested in tests/test_hessian.py and tests/test_hvp.py.

With ``d(u) = [f(x + u) - f(x)] + [f(x - u) - f(x)]``, where both sides of x are free,

    H[i, i] = d(h_i e_i) / h_i^2
    H[i, j] = [d(h_i e_i + h_j e_j) - d(h_i e_i) - d(h_j e_j)] / (2 h_i h_j)

[Abramowitz and Stegun 1964, 25.3.23 and 25.3.27], which takes n^2 + n + 1 values. Where one side is not free, H[i, j]
is the difference in x[i] of the difference in x[j], one-sided in either; that takes two values more.
"""

import copy

import numpy as np

from .differencing import AGREEMENT, COMPLEX_DOUBT, LineRun, Run, central_of, some_direction
from .error_bars import SHORTER, bars_of
from .errors import Status
from .options import step_rule
from .reference.callback import GOOD, WAYS, working_type
from .reference.difference import (
    BACKWARD,
    CENTRAL,
    COMPLEX,
    FORWARD,
    RESOLUTION,
    ROW_CENTRAL,
    ROW_FIXED,
    STEP_CONSTANT,
    weights,
)

# The default step is c * eps**(1/(2 + order)) * max(|x|, x_scale) [Gill, Murray, Saunders, Wright 1983, SISC 4,
# 310-321]; c was measured with benchmarks/bench_hessian.py: off the diagonal rounding weighs more than on it, so that c
# is larger than for a second derivative of one number.
CURVATURE_CONSTANT = {1: 1.0, 2: 1.0}
# Ways that are held at a time: a Hessian of 1000 entries has half a million.
WAYS_AT_A_TIME = 2**15


class Coarser(Exception):
    """f computes in less precision than the steps were chosen for."""


class Curvature:
    """A Hessian, or its product with a vector, under way: what `deliver` asks for."""

    def __init__(self, shape, dtype):
        self.value = np.zeros(shape, dtype)
        self.step = np.zeros(shape, working_type(dtype))
        self.status = np.zeros(shape, np.int8)
        self.error = np.full(shape, np.inf)
        self.rounding = np.zeros(shape)
        self.doubt = ""

    def close(self, fixed):
        """Mark what is not finite, and what belongs to fixed entries."""
        self.value[fixed] = self.step[fixed] = self.error[fixed] = 0
        self.status[fixed] = Status.FIXED
        bad = ~np.isfinite(self.value)
        self.value[bad] = np.nan
        self.status[bad] = Status.NONFINITE

    def estimate(self, half, order):
        """Fill in the error bars, by the same with steps that are shorter by the factor SHORTER."""
        value, status, rounding, closer = (
            part.reshape(-1, 1) for part in (self.value, self.status, self.rounding, half.value))
        nothing = np.zeros(value.shape)
        error = bars_of(value, status, closer, rounding, nothing, nothing, nothing, nothing, np.full(len(value), order))
        self.error = error.reshape(self.value.shape)
        self.error[self.status == Status.FIXED] = 0


class Probes:
    """Points with one entry of x moved, two for each entry (one for differences of first order), and f there.

    ``kind``, ``step`` (with its sign) and ``status`` are those of `Differences`; ``shifts`` say how far each probe is
    from x, and ``weights`` how much it weighs in a first derivative.
    """

    def __init__(self, differences, value_type, count):
        self.kind, self.step, self.status = differences.kind, differences.step, differences.status.copy()
        self.x, self.count = differences.x, count
        points = differences.points[:, :2]
        self.points = np.zeros((len(points), 2), points.dtype)
        self.points[:, : points.shape[1]] = points
        self.values = np.zeros((len(points), 2), value_type)
        self.second = np.zeros(len(points), value_type)

    @property
    def central(self):
        """Which entries are moved to both sides."""
        return self.kind == ROW_CENTRAL

    @property
    def fixed(self):
        """Which entries do not move."""
        return self.kind == ROW_FIXED

    @property
    def shifts(self):
        """How far each probe is from x, as `Differences` has computed it."""
        return np.where(self.central[:, None], [1, -1], [1, 2]) * self.step[:, None]

    @property
    def weights(self):
        """The weight of each probe in a first derivative; f at x takes what is missing to zero."""
        c = weights(False, self.count, 1, self.x.dtype.char == "g")
        with np.errstate(all="ignore"):
            result = np.zeros_like(self.points)
            result[:, : self.count] = c / (self.points[:, : self.count] - self.x[:, None])
            both = np.array([1, -1]) / (self.points[:, :1] - self.points[:, 1:])
        return np.where(self.central[:, None], both, result)

    def take(self, rows, differences, second, values):
        """Take over some entries, differenced again."""
        self.kind[rows], self.step[rows], self.status[rows] = differences.kind, differences.step, differences.status
        self.points[rows] = differences.points[:, :2]
        self.values[rows], self.second[rows] = values, second


class Look:
    """f at all points of a sweep, shown block by block."""

    def __init__(self):
        self.blocks = []

    def __call__(self, differences, first, last):
        self.blocks.append(differences.values[: last - first])

    def largest(self, imaginary=False):
        """The largest |f|, or part of it, at the points of each row."""
        values = np.concatenate(self.blocks)[..., 1 if imaginary else slice(None)]
        return abs(values.reshape(len(values), -1)).max(axis=1, initial=0)


def rule_of(step):
    """The rule for differences that is these steps, as they are."""
    return (step, np.zeros(1, step.dtype), step) if step.size else None


class Layout:
    """The places in which a symmetric matrix is written: ``(rows[k], columns[k])``, row by row.

    `half` are those on and above the diagonal, and `mirror` those on the other side of it.
    """

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.half = np.flatnonzero(rows <= columns)
        n = int(columns.max(initial=0)) + 1
        self.mirror = np.searchsorted(rows * n + columns, columns[self.half] * n + rows[self.half])

    def form(self, v, values):
        """``v @ H @ v`` for the matrix of these values."""
        return (v[self.rows] * values * v[self.columns]).sum()


class ValueRun(Run):
    """f and the memory of its second derivatives; a complex step where that is the method.

    Parameters
    ----------
    f, settings, shape, dtype
        As for `Run`; `settings` are those of a first derivative.
    """

    sweeps = False
    ways: tuple | None = None
    level = 0.0             # of the noise in f, where that is known
    known: np.ndarray | None = None     # steps that suit it

    def __init__(self, f, settings, shape, dtype):
        self.asked_for = settings.but(n=1 if settings.method == COMPLEX else 2)
        plain = None if isinstance(settings.x_scale, str) else settings.x_scale
        super().__init__(f, self.asked_for.but(x_scale=plain), shape, dtype)

    def learn(self, x):
        """Ask f for its scales and its noise, and for steps that suit them, where that is wanted."""
        if self.asked_for.noise is not None or isinstance(self.asked_for.x_scale, str):
            from .probed_curvature import learn

            learn(self, x)

    def choose_steps(self):
        """Derive the rule for the steps from the precision of f; a complex step moves real parts, too."""
        super().choose_steps()
        settings, eps = self.settings, self.function.eps
        eps = np.finfo(self.dtype).eps if not np.isfinite(eps) else eps
        order = 2 if settings.method == COMPLEX else settings.order
        if settings.method == COMPLEX:
            factor = STEP_CONSTANT[2] * eps ** (1 / 3)
        else:
            factor = CURVATURE_CONSTANT[order] * eps ** (1 / (2 + order))
        self.own = factor
        self.moves = step_rule(settings, self.shape, self.dtype, eps, factor)[1]

    @property
    def probes_each(self):
        """How many probes a mixed derivative takes of each entry."""
        return 2 if self.settings.method == COMPLEX else self.settings.order

    @property
    def number_type(self):
        """The type of f's values."""
        real = working_type(self.dtype)
        return np.result_type(real, np.complex64) if self.dtype.kind == "c" else real

    # the points with one entry moved

    def steps_at(self, x, share=1):
        """The length of each step, as it is really taken: the next number to x + h is that far from x."""
        real, part = working_type(self.dtype), np.dtype(self.dtype.char.lower())
        x = x.reshape(-1)
        if self.known is not None:
            return self.known * share
        size = np.maximum(abs(x.real), abs(x.imag)).astype(real)
        floor, relative, fallback = (self.own,) * 3 if self.moves is None else self.moves
        h = np.maximum(floor, relative * size).astype(real)
        h = np.where(h == 0, fallback, h) * share
        with np.errstate(all="ignore"):
            middle = x.real.astype(real)
            taken = (middle + h).astype(part).astype(real) - middle
        return np.where(np.isfinite(taken) & (taken > 0), taken, h).astype(real)

    def _probe(self, x):
        """Evaluate f at x and at the probes of every entry; where it is not finite, with other steps or to one side."""
        self.rule = rule_of(self.steps_at(x))
        self.ways = None
        differences = self.make(None, self.rule, *self.bounds)
        look = Look()
        code, second = self.sweep(differences, x, None, None, look)
        if code != GOOD:
            raise Coarser
        probes = Probes(differences, self.number_type, self.probes_each)
        probes.second, probes.values = second[:, 0], self._values(look)
        f0 = self._numbers([differences.base])[0] if differences.has_base else None
        if f0 is not None and np.isfinite(f0).all() and not np.isfinite(probes.second).all():
            self._mend_probes(probes, x, f0)
        self.notice_lost_steps(probes, x)
        return probes, f0

    def _values(self, look):
        """What f gave at the first two points of each row."""
        values = np.concatenate(look.blocks)[:, :2]
        if self.function.as_complex:
            values = values.view(np.result_type(values.dtype, np.complex64))
        result = np.zeros((len(values), 2), self.number_type)
        result[:, : values.shape[1]] = values[..., 0]
        return result

    def _mend_probes(self, probes, x, f0):
        """Look again at entries where f is not finite: with shorter steps first, then to one side."""
        size = abs(x.reshape(-1))
        own = np.where((size > 0) & (self.own * size < abs(probes.step)), self.own * size, 0)
        ways = [(CENTRAL, own), (CENTRAL, abs(probes.step) / 16)]
        ways += [(side, step) for step in (abs(probes.step), own) for side in (FORWARD, BACKWARD)]
        for method, step in ways:
            rows = np.flatnonzero(~np.isfinite(probes.second) & (step > 0) & ~probes.fixed)
            if rows.size == 0 or (method == CENTRAL and self.settings.method != CENTRAL):
                continue
            differences, second, values = self._again(rows, step[rows], method, x, f0)
            better = np.isfinite(second)
            if better.all():
                probes.take(rows, differences, second, values)
            elif better.any():
                rows = rows[better]
                probes.take(rows, *self._again(rows, step[rows], method, x, f0))
            if method != self.settings.method:
                done = rows[np.isfinite(probes.second[rows])]
                probes.status[done] = np.maximum(probes.status[done], Status.ONE_SIDED)

    def _again(self, rows, step, method, x, f0):
        """Difference some entries with steps of their own: ``(differences, second derivatives, values)``."""
        look, self.ways = Look(), None
        differences, second = self.again(rows, step, method, x, f0, look)
        if second is None:
            raise Coarser
        return differences, second[:, 0], self._values(look)

    @property
    def least(self):
        """The shortest step, as a share of x, that leaves more than rounding of a second difference."""
        return np.sqrt(RESOLUTION * max(np.finfo(self.dtype).eps, self.function.coarsest))

    def noise_of(self, largest):
        """By how much values of f of this size may be off."""
        return np.maximum(max(np.finfo(self.dtype).eps, self.function.coarsest) * largest, self.level)

    def notice_lost_steps(self, probes, x):
        """Mark steps that are too short."""
        lost = (abs(probes.step) < self.least * abs(x.reshape(-1))) & (probes.status < Status.UNRESOLVED)
        lost &= ~probes.fixed
        probes.status[lost] = Status.UNRESOLVED

    def _probe_closer(self, probes, x, f0):
        """The same probes with shorter steps."""
        closer = copy.deepcopy(probes)
        for method, some in (
            (CENTRAL, probes.central),
            (FORWARD, ~probes.central & (probes.step > 0)),
            (BACKWARD, ~probes.central & (probes.step < 0)),
        ):
            rows = np.flatnonzero(some & np.isfinite(probes.second) & ~probes.fixed)
            if rows.size:
                closer.take(rows, *self._again(rows, abs(probes.step[rows]) / SHORTER, method, x, f0))
        return closer

    # points on the way

    def begin(self, x):
        """Hand x and the ways out of it to the function."""
        super().begin(x)
        if self.ways is not None:
            self.function.along_ways(*self.ways, *self.bounds)

    def origin(self, x):
        """The numbers that are moved: each way begins at 0."""
        return super().origin(x) if self.ways is None else np.zeros(len(self.ways[0]), self.dtype)

    def entries_of(self, rows):
        """Each way is a row."""
        return super().entries_of(rows) if self.ways is None else WAYS - np.arange(len(self.ways[0]), dtype=np.intp)

    def along(self, ways, limits, x, f0=None):
        """Difference f along ways: ``(first differences, f at the points)``; with no `f0` one-sided ways evaluate it.

        The point on a way goes from -1 to 1, or from 0 to 2 where the limits of the way say so.
        """
        rows = len(ways[0])
        one, zero = np.ones(1, limits.dtype), np.zeros(1, limits.dtype)
        self.ways = ways
        one_sided = self.settings.method in (FORWARD, BACKWARD)
        made = self.kernels.Differences(
            rows, self.dtype, FORWARD if one_sided else CENTRAL, 1 if one_sided else 2, 1.0, self.function.size,
            self.rows_at_a_time(rows, 2), (one, zero, one), limits[0], limits[1], self.entries_of(None), f0 is None,
        )
        look = Look()
        try:
            code, first = self.sweep(made, x, None, f0, look)
        finally:
            self.ways = None
        if code != GOOD:
            raise Coarser
        return first, look

    def _parts(self, entries):
        """Entries as `along_ways` counts them: of a complex x the real parts are moved."""
        return np.ascontiguousarray(entries * (2 if self.dtype.kind == "c" else 1), np.intp)


    # complex steps

    def planned(self, x, step, bounds, order=2):
        """Where probes of every entry would be, inside bounds: nothing is evaluated."""
        method = self.settings.method if order == 1 else CENTRAL
        made = self.kernels.Differences(x.size, self.dtype, method, order, 1.0, 1, None, rule_of(step), *bounds)
        made.plan(np.ascontiguousarray(x.reshape(-1)))
        return Probes(made, self.number_type, order)

    def complex_steps_at(self, x):
        """The lengths of steps into the imaginary direction."""
        settings = central_of(self.settings)
        settings.method = COMPLEX
        factor, rule = step_rule(settings, self.shape, self.dtype, self.function.eps)
        floor, relative = (factor, factor) if rule is None else rule[:2]
        return np.maximum(floor, relative * abs(x.reshape(-1))).astype(working_type(self.dtype))

    def verify(self, found, x, v, actual, scale):
        """Compare with a second difference of the real f along v: abs, max and casts break a complex step silently.

        Parameters
        ----------
        found : Curvature
            Its status and doubt are set when they disagree.
        x, v : arrays, (n,)
        actual, scale : float
            ``v @ H @ v``, and the size of its terms.
        """
        if not v.any() or not np.isfinite(actual):
            return
        settings = central_of(self.settings)
        settings.n = 2
        check = LineRun(self.f, settings, v, vector=False)
        check.count_from(self.nfev)
        expected = check.solve(x, check.value_at(x).reshape(-1), full=True)
        self.count_from(check.nfev)
        with np.errstate(all="ignore"):
            wrong = abs(expected.value - actual) > AGREEMENT * (scale + abs(expected.value)) + 4 * expected.error
        if wrong.any():
            found.doubt = COMPLEX_DOUBT
            found.status[found.status == Status.RESOLVED] = Status.UNRESOLVED


class HessianRun(ValueRun):
    """Hessians of one f, from its values: all entries, row by row, or those of a layout."""

    def __init__(self, f, settings, shape, dtype):
        super().__init__(f, settings, shape, dtype)
        self.layout: Layout = self.lay_out()

    def lay_out(self):
        """The places of all entries."""
        return Layout(*np.indices(self.shape * 2).reshape(2, -1))

    def solve(self, x, f0=None, full=False, swept=None):
        """The Hessian at x, with every fallback; `full` fills in the error bars."""
        self.learn(x)
        while True:
            try:
                return self._solve_complex(x, full) if self.settings.method == COMPLEX else self._solve(x, full)
            except Coarser:
                self._refine()

    def _solve(self, x, full):
        probes, f0 = self._probe(x)
        found = self._hessian(probes, x, f0)
        if full and f0 is not None:
            closer = self._hessian(self._probe_closer(probes, x, f0), x, f0)
            found.estimate(closer, self.settings.order)
        return found

    def _hessian(self, probes, x, f0):
        layout = self.layout
        i, j = layout.rows, layout.columns
        found = Curvature(i.shape, self.number_type)
        found.value[:], found.step[:] = np.nan, probes.step[j]
        found.status = np.maximum(probes.status[i], probes.status[j])
        if f0 is not None:
            largest = np.maximum(abs(probes.values).max(axis=1, initial=0), abs(f0))
            noise = self.noise_of(largest)
            diagonal = np.flatnonzero(i == j)
            with np.errstate(all="ignore"):
                found.value[diagonal] = probes.second[i[diagonal]]
                found.rounding[diagonal] = (noise * np.where(probes.central, 4, 12) / probes.step**2)[i[diagonal]]
            alive = np.isfinite(probes.second) & ~probes.fixed
            pairs = (alive[i] & alive[j] & (i < j))[layout.half]
            here, there = layout.half[pairs], layout.mirror[pairs]
            for first in range(0, len(here), WAYS_AT_A_TIME):
                a, b = (side[first : first + WAYS_AT_A_TIME] for side in (here, there))
                mixed, rounding = self._mixed(probes, i[a], j[a], x, f0, noise)
                found.value[a] = found.value[b] = mixed
                found.rounding[a] = found.rounding[b] = rounding
        found.close(probes.fixed[i] | probes.fixed[j])
        return found

    def _mixed(self, probes, i, j, x, f0, noise):
        """Mixed derivatives for some pairs of entries, and what rounding can do to them."""
        both = probes.central[i] & probes.central[j]
        ways, limits = self._ways(probes, i, j, both)
        _, look = self.along(ways, limits, x, f0)
        seen = self._values(look)
        mixed, rounding = np.zeros(len(i), self.number_type), np.zeros(len(i))
        with np.errstate(all="ignore"):
            a, b, here = i[both], j[both], seen[: both.sum()]
            area = 2 * probes.step[a] * probes.step[b]
            second = (probes.values - f0).sum(axis=1)
            mixed[both] = ((here - f0).sum(axis=1) - second[a] - second[b]) / area
            rounding[both] = 8 * np.maximum(noise[a], noise[b]) / area
            if both.all():
                return mixed, abs(rounding)
            a, b, here = i[~both], j[~both], seen[both.sum() :]
            here = here.reshape(len(a), probes.count, 2)[..., : probes.count]
            here = here.swapaxes(1, 2)      # pair, probe of x[i], probe of x[j]
            here = (here - probes.values[a, : probes.count, None]) - probes.values[b, None, : probes.count] + f0
            weight = probes.weights[a, : probes.count, None] * probes.weights[b, None, : probes.count]
            mixed[~both] = (weight * here).sum(axis=(1, 2))
            rounding[~both] = 4 * np.maximum(noise[a], noise[b]) * abs(weight).sum(axis=(1, 2))
        return mixed, abs(rounding)

    def _ways(self, probes, i, j, both):
        """The ways that pairs of entries move on: both together, or x[i] with x[j] at each of its probes."""
        a, b, c, d = i[both], j[both], i[~both].repeat(probes.count), j[~both].repeat(probes.count)
        probe = np.arange(len(c)) % probes.count
        moved = np.concatenate([np.stack([a, b], axis=1).reshape(-1), c])
        starts = np.concatenate([2 * np.arange(len(a)), 2 * len(a) + np.arange(len(c))])
        stops = np.append(starts[1:], len(moved))
        shifted = np.concatenate([np.full(len(a), -1, np.intp), self._parts(d)])
        shifts = np.concatenate([np.zeros(len(a), probes.step.dtype), probes.shifts[d, probe]])
        free = np.concatenate([np.ones(len(a), bool), probes.central[c]])
        limits = np.where(free, [[-1], [1]], [[0], [2]]).astype(probes.step.dtype)
        ways = (starts.astype(np.intp), stops.astype(np.intp), self._parts(moved), probes.step[moved], shifted, shifts)
        return ways, limits

    def _solve_complex(self, x, full):
        """Central differences of gradients by a complex step: of Im f(x + h e_j + i k e_i) / k in h."""
        found = self._complex_hessian(x, 1)
        if full:
            found.estimate(self._complex_hessian(x, 1 / SHORTER), 2)
        lower, upper = self.bounds
        v = some_direction(x, np.zeros(x.size, bool) if lower is None else lower == upper, lower, upper)
        with np.errstate(all="ignore"):
            self.verify(found, x, v, self.layout.form(v, found.value), self.layout.form(abs(v), abs(found.value)))
        return found

    def _complex_hessian(self, x, share):
        step, layout = self.steps_at(x, share), self.layout
        probes = self.planned(x, step, self.bounds)
        i, j = layout.rows, layout.columns
        found = Curvature(i.shape, self.number_type)
        found.step[:], found.status = probes.step[j], np.maximum(probes.status[i], probes.status[j])
        fixed = probes.fixed[i] | probes.fixed[j]
        here, there = (part[~fixed[layout.half]] for part in (layout.half, layout.mirror))
        i, j = i[here], j[here]
        swap = probes.central[i] & ~probes.central[j]
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        height = self.complex_steps_at(x)
        for first in range(0, len(i), WAYS_AT_A_TIME):
            some = slice(first, first + WAYS_AT_A_TIME)
            a, b = i[some], j[some]
            starts = np.arange(len(a), dtype=np.intp)
            limits = np.where(probes.central[b], [[-1], [1]], [[0], [2]]).astype(step.dtype)
            part, look = self.along((starts, starts + 1, b, probes.step[b], a, height[a]), limits, x)
            with np.errstate(all="ignore"):
                area = probes.step[b] * height[a]
                noise = np.finfo(self.dtype).eps * look.largest(imaginary=True)
                found.value[here[some]] = found.value[there[some]] = part[:, 1] / area
                found.rounding[here[some]] = found.rounding[there[some]] = abs(4 * noise / area)
        found.close(fixed)
        return found
