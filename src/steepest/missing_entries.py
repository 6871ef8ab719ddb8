"""Does a sparse pattern lack an entry? One more evaluation of f tells, and a few more which entry it is.

Here because a Jacobian that was compressed by a wrong pattern is wrong in entries that look right. Tested in
tests/test_sparsity.py.

All columns are moved together, each by its own share of its step and to either side: by the Jacobian, that changes f by
J @ v. A row that changes otherwise depends on more than its entries say, or is bent, kinked or noisy. So it is asked
again with the columns moved that it should not depend on: if it changes by as much as it was off, and by more than the
noise of f, it does depend on one of them, which bisection finds.
"""

import numpy as np

from .differencing import AGREEMENT
from .reference.callback import GOOD, LINE, working_type
from .reference.difference import COMPLEX, FORWARD, ROW_CENTRAL, ROW_FIXED

# A change of f of so many units in its last place is rounding.
ROUNDING = 2.0**6
# So many rows that are off are asked again: where f is bent they may be many.
ASKED = 4
# One of so many times the noise of f is none of it.
NOISE = 10.0
# A missing entry changes a row by at least this share of what it was off.
SHARE = 0.05


class Prober:
    """The changes of a real f when x is moved."""

    def __init__(self, run, x, f0):
        self.x, self.owner = x, run
        self.run = run
        if run.settings.method == COMPLEX:
            self.run = run.of_reals()
            self.run.count_from(run.nfev)
            self.run.take_results(f0.size)
            f0 = self.run.at_base(x)
        self.f0 = f0

    def change(self, v):
        """F(x + v) - f(x)."""
        run, real = self.run, working_type(self.run.dtype)
        one = np.ones(1, real)
        differences = run.kernels.Differences(
            1, run.dtype, FORWARD, 1, 1.0, run.function.size, 1, (one, 0 * one, one), None, None,
            np.full(1, LINE, np.intp))
        run.function.begin(self.x)
        run.function.along(np.ascontiguousarray(v, run.dtype), *run.bounds)
        differences.plan(np.zeros(1, run.dtype))
        differences.set_base(self.f0)
        run.foresee(differences, np.full(1, LINE, np.intp))
        code = run.evaluate(differences, np.full(1, LINE, np.intp), 0, 1)
        self.owner.count_from(run.nfev)
        if code != GOOD:
            return np.full(self.f0.shape, np.nan)
        value = differences.values.reshape(-1)
        if run.function.as_complex:
            value = value.view(self.f0.dtype)
        with np.errstate(all="ignore"):
            return value - self.f0


def find_missing(run, x, f0, value, found=None):
    """Raise the ValueError that names an entry which the pattern of a compressed run lacks, if one is found.

    Parameters
    ----------
    run : CompressedRun
    x, f0 : arrays
        Where, and f there.
    value : array, (entries, 1)
        The Jacobian there.
    found : Found, optional
        The same with its steps, where they had to be looked for.
    """
    missing = missing_entry(run, x, f0, value, found)
    if missing is not None:
        i, j = missing
        raise ValueError(f"sparsity lacks an entry: result {i} of {run.label} depends on x[{j}], but row {i} of the "
                         f"pattern has no entry in column {j}")


def missing_entry(run, x, f0, value, found=None):
    """The row and the column of an entry that the pattern lacks; None when none is found."""
    v = _direction(run, x, found)
    if not v.any():
        return None
    prober = Prober(run, x, f0)
    change, expected = prober.change(v), run.times(value, v)[0]
    scale = run.times(abs(value), abs(v))[0].real
    eps = max(float(np.finfo(run.dtype).eps), run.function.coarsest)
    with np.errstate(all="ignore"):
        rounding = ROUNDING * eps * abs(prober.f0) + NOISE * run.noise_of_results()
        off = abs(change - expected)
        excess = np.where(np.isfinite(off), off - AGREEMENT * scale - rounding, 0)
    suspects = np.flatnonzero(excess > 0)
    for row in suspects[np.argsort(-excess[suspects], kind="stable")][:ASKED]:
        column = _depends_on(run, prober, v, int(row), max(SHARE * off[row], rounding[row]))
        if column is not None:
            return int(row), column
    return None


def _direction(run, x, found):
    """To move each column by a share of its step, to either side where it has both."""
    entries = run.prepare()
    entries.plan(run.compress(), x)
    step, kind = entries.in_order(entries.columns.step), entries.in_order(entries.columns.kind)
    if run.settings.method == COMPLEX:
        step = np.where(kind == ROW_FIXED, 0, np.sqrt(np.finfo(run.dtype).eps) * np.maximum(abs(x), 1))
    step = run.steps_to_try(step, found)
    share = np.arange(x.size) * 0.6180339887498949
    share -= np.floor(share)
    share = np.where((share < 0.5) & (kind == ROW_CENTRAL), -0.5 - share, np.maximum(share, 1 - share))
    there = x + (share * step).astype(run.dtype)
    if run.bounds[0] is not None:
        there = np.clip(there, *run.bounds).astype(run.dtype)
    return there - x


def _depends_on(run, prober, v, row, least):
    """A column outside its pattern that a row of f depends on; None when it depends on none of them."""
    coloring = run.coloring
    outside = np.ones(v.size, bool)
    outside[coloring.indices[coloring.indptr[row] : coloring.indptr[row + 1]]] = False
    columns = np.flatnonzero(outside & (v != 0))

    def change(some):
        moved = np.zeros_like(v)
        moved[some] = v[some]
        return prober.change(moved)[row]

    if columns.size == 0:
        return None
    total = change(columns)
    if not abs(total) > least:
        return None
    while columns.size > 1:
        half = columns[: columns.size // 2]
        part = change(half)
        if abs(part) >= abs(total) / 2:
            columns, total = half, part
        else:
            columns = columns[columns.size // 2 :]
            total = total - part
    return int(columns[0])
