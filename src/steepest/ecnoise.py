"""The noise in a few values of f: tables of differences at equally spaced points, and where to place the points.

Here because noise_level and the steps for a noisy f look for the noise in the same way. Tested in tests/test_noise.py.

The method is ECnoise of Moré and Wild [2011, SIAM J. Sci. Comput. 33, 1292-1314].
"""

import math

import numpy as np

from .differencing import Found
from .errors import Status
from .options import as_like, check_bounds
from .probing import Look, Probing, ProbingLine
from .reference.difference import CENTRAL

# Constants of Moré and Wild: estimates of three successive orders agree within this factor,
AGREE = 4.0
# and f must not change along the line by more than this share of itself.
RANGE = 0.1
# Spacings are multiplied or divided by this,
FACTOR = 100.0
# and no more tables than this are made: 7 + 6 + 6 + 6 evaluations.
TABLES = 4
# What a table says of one result of f.
FOUND, CLOSE, WIDE, SMOOTH, BROKEN = range(5)


def table_of(values):
    """Estimates of the noise from differences of equally spaced values: ``(estimates, signs)``, (p - 1, m) each.

    The k-th differences of noise with standard deviation s have the mean square ``s**2 * (2k)! / (k!)**2``, and those
    of a smooth function vanish as k grows. `signs` tells where they have both signs.
    """
    estimates, signs = [], []
    differences, gamma = values, 1.0
    with np.errstate(all="ignore"):
        for k in range(1, len(values)):
            differences = np.diff(differences, axis=0)
            gamma *= k / (2.0 * (2 * k - 1))
            estimates.append(np.sqrt(gamma * np.mean(differences**2, axis=0)))
            signs.append((differences.min(axis=0) < 0) & (differences.max(axis=0) > 0))
    return np.array(estimates), np.array(signs)


def judge(values):
    """What one table says: ``(estimate, verdict, table)``, of m results each; the estimate is NaN where there is none.

    Parameters
    ----------
    values : array, (p, m)
        Real values of f at p equally spaced points, 4 <= p.
    """
    table, signs = table_of(values)
    estimate = np.full(values.shape[1], np.nan)
    for k in range(len(table) - 3, -1, -1):
        three = table[k : k + 3]
        with np.errstate(all="ignore"):
            agree = (three.max(axis=0) <= AGREE * three.min(axis=0)) & signs[k] & (three.min(axis=0) > 0)
        estimate = np.where(agree, table[k], estimate)
    with np.errstate(all="ignore"):
        close = np.sum(np.diff(values, axis=0) == 0, axis=0) >= (len(values) - 1) / 2
        wide = values.max(axis=0) - values.min(axis=0) > RANGE * abs(values).max(axis=0)
    verdict = np.where(np.isnan(estimate), SMOOTH, FOUND)
    verdict[wide] = WIDE
    verdict[close] = CLOSE
    verdict[~np.isfinite(values).all(axis=0)] = BROKEN
    return estimate, verdict, table


class _Line(Look):
    """The values on a line in their order: (7, m) from central differences of order 6, fewer beside a bound."""

    def part(self, values, base, points):
        """Every row's values; those that are not there are NaN, at the end."""
        k = np.arange(1, values.shape[1] // 2 + 1)
        central = np.concatenate([values[:, 2 * k[::-1] - 1], base[:, None], values[:, 2 * k - 2]], axis=1)
        one_sided = np.concatenate([base[:, None], values], axis=1)
        one_sided[np.arange(one_sided.shape[1])[None, :] > points[:, None]] = np.nan
        return (np.where((points == 2 * len(k))[:, None, None], central, one_sided), points + 1)


class Samples(Probing):
    """The run that looks for noise: along a line (`LineSamples`), or around every number on its own.

    Attributes
    ----------
    start : float
        The first spacing, in units of the typical size of x.
    """

    start: float | None = None

    def solve(self, x, f0=None, full=False, swept=None):
        """Make tables at x until they agree on the noise: a `_Levels`."""
        sizes = self.sizes(x)
        start = math.sqrt(float(np.finfo(self.dtype).eps)) if self.start is None else self.start
        levels = _Levels(len(sizes), start)
        for _ in range(TABLES):
            rows = levels.wanting()
            if not rows.size:
                break
            look = _Line(self.function)
            steps = levels.spacing()[rows] * sizes[rows]
            self.probe(rows, steps, CENTRAL, 6, x, f0, look, with_base=True)
            values, counts = look.all()
            for row, numbers, count in zip(rows, values, counts, strict=True):
                levels.read(row, _as_real(numbers[:count]))
        levels.close(self.function.as_complex)
        return levels


class LineSamples(ProbingLine, Samples):
    """`Samples` on one line: its one row is the line. What f is called in messages is said by `label`."""

    def __init__(self, f, settings, v, label="f"):
        self.label = label
        super().__init__(f, settings, v)


def _as_real(values):
    """Real and imaginary parts side by side."""
    values = np.ascontiguousarray(values)
    return values.view(values.real.dtype) if values.dtype.kind == "c" else values


class _Levels:
    """The noise around some points, as the tables tell it.

    Attributes
    ----------
    level, status : arrays, (rows, m)
    table : array
        The last one of the last row.
    largest : array, (rows, m)
        The largest magnitude that was seen of each result.
    """

    def __init__(self, rows, start):
        self.rows, self.start = rows, start
        self.decade = np.zeros(rows, int)   # the spacing is start * FACTOR**decade
        self.seen = [set() for _ in range(rows)]
        self.done = np.zeros(rows, bool)
        self.level = self.status = self.before = self.found = self.table = None
        self.last = self.constant = None

    def wanting(self):
        """Rows that need another table."""
        return np.flatnonzero(~self.done)

    def spacing(self):
        """Spacing of the next, or last, table of each row."""
        return self.start * FACTOR**self.decade.astype(float)

    def read(self, row, values):
        """Take one row's values, (p, m), and decide where to look next."""
        estimate, verdict, self.table = judge(values)
        if self.level is None:
            shape = self.rows, values.shape[1]
            self.level, self.before, self.last = (np.full(shape, np.nan) for _ in range(3))
            self.found, self.constant = np.zeros(shape, bool), np.ones(shape, bool)
        before = self.before[row]
        with np.errstate(all="ignore"):
            again = (verdict == WIDE) & (np.maximum(estimate, before) <= AGREE * np.minimum(estimate, before))
            self.constant[row] &= (values == values[0]).all(axis=0)
        now = ((verdict == FOUND) | again) & ~self.found[row]   # noise that no spacing changes may be all there is of f
        self.level[row] = np.where(now, estimate, self.level[row])
        self.found[row] |= now
        self.before[row] = np.where(np.isnan(estimate), before, estimate)
        self.last[row] = np.where(verdict == BROKEN, self.last[row], self.table[-1])
        self.seen[row].add(self.decade[row])
        if self.found[row].all():
            self.done[row] = True
            return
        towards = self.decade[row] + (1 if verdict[~self.found[row]][0] == CLOSE else -1)
        self.done[row] = towards in self.seen[row] or len(self.seen[row]) == TABLES
        if not self.done[row]:
            self.decade[row] = towards

    def close(self, as_complex):
        """Fall back where no table has agreed with itself."""
        if self.level is None:
            self.level, self.table = np.zeros((self.rows, 0)), np.zeros((0, 0))
            self.status = np.zeros((self.rows, 0), np.int8)
            return
        self.level = np.where(self.found, self.level, np.where(np.isnan(self.before), self.last, self.before))
        silent = self.constant | (self.level == 0)
        self.level[silent] = 0.0
        status = np.where(self.found | silent, Status.RESOLVED, Status.UNRESOLVED)
        self.status = np.where(np.isnan(self.level), Status.NONFINITE, status).astype(np.int8)
        if as_complex:
            self.level = np.hypot(self.level[:, ::2], self.level[:, 1::2])
            self.status = np.maximum(self.status[:, ::2], self.status[:, 1::2])
            self.table = np.hypot(self.table[:, ::2], self.table[:, 1::2])


def direction_of(x, settings, seed=0):
    """A random direction of the typical size of x, which leads into the bounds; the same in every call.

    Parameters
    ----------
    x : array
    settings : Settings
    seed : int, optional

    Returns
    -------
    array
        Of the shape and type of `x`.
    """
    real = x.real.dtype
    random = np.random.default_rng(seed)
    unit = random.uniform(0.5, 1.0, x.size) * random.choice([-1.0, 1.0], x.size)
    scale = np.ones(1) if settings.x_scale is None else as_like(settings.x_scale, x.shape, x.dtype, "x_scale")
    with np.errstate(all="ignore"):
        v = unit * np.maximum(abs(x.reshape(-1)), scale)
        lower, upper = check_bounds(settings.bounds, x.shape, x.dtype)
        if lower is not None:
            v = np.where(upper - x.reshape(-1) >= x.reshape(-1) - lower, abs(v), -abs(v))
    return np.ascontiguousarray(v.astype(real).astype(x.dtype)).reshape(x.shape)


def levels_at(run, x, f0=None, seed=0, start=None):
    """The noise of the function of another run at x: a `_Levels`, or None where x cannot be moved.

    Parameters
    ----------
    run : Run
        Its calls go on being counted.
    x : array
        In the type that f sees.
    f0 : array, optional
        f(x); not for functions of one number, which have a noise of their own at every entry of x.
    seed : int, optional
        Of the direction.
    start : float, optional
        The first spacing.
    """
    settings = run.settings.but(method=CENTRAL, n=1, step=None, rel_step=None, noise=None, choosing=None,
                                sparsity=None)
    samples = (Samples(run.f, settings, run.shape, run.dtype, each=True) if run.each
               else LineSamples(run.f, settings, direction_of(x, settings, seed), run.label))
    samples.start = start
    samples.count_from(run.nfev)
    try:
        if run.each:
            found = samples.solve(x)
        else:
            f0 = samples.value_at(x, f0)    # learns how many results there are
            found = samples.solve(x, np.atleast_1d(f0).reshape(-1))
    finally:
        run.count_from(samples.nfev)
    return None if isinstance(found, Found) else found
