"""Sparse Jacobian of Broyden's tridiagonal function against as few bare calls of it, and its colouring: rows S1 and S2.

Here because compressing must not cost what it saves; kernel, reference, peers, limit.
Used by ci/benchmark.

The limit of S1 is one call of f for each colour and one at x (forward), or two for each colour (central); that of S2 is
SciPy's own grouping, which needs five colours where three are enough.
"""

import itertools

import numpy as np
import scipy.sparse as sp
from interleave import Table, command_line, compare, duration, ratio, share, text, verdict
from scipy.optimize._numdiff import approx_derivative, group_columns

import steepest as sd

CALLS = "bare calls"
PREPARED, PLAIN, COLOURED = "sd.Jacobian", "sd.jacobian", "sd.jacobian, coloured"
ALONE, DATA = "without verification", "kernel alone"
REFERENCE = "reference, prepared"
PEERS = ["scipy", "scipy, 3 groups given"]
CONTENDERS = [PREPARED, DATA, PLAIN, COLOURED, ALONE, REFERENCE, *PEERS]
TARGETS = {("forward", 10_000): 2.4, ("central", 10_000): 2.1}
METHODS = {"forward": ("2-point", 4), "central": ("3-point", 6)}
GROUPING = "scipy group_columns"
TARGET_OF_COLOURING = 0.2e-3


def broyden(x):
    """Broyden's tridiagonal function."""
    y = (3 - 2 * x) * x + 1
    y[1:] -= x[:-1]
    y[:-1] -= 2 * x[1:]
    return y


def pattern_of(n):
    """Its pattern."""
    return sp.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]).tocsr()


def jacobian_of(x):
    """Its Jacobian."""
    n = x.size
    return sp.diags_array([-np.ones(n - 1), 3 - 4 * x, np.full(n - 1, -2.0)], offsets=[-1, 0, 1]).tocsr()


def contenders_of(method, n):
    """Every way to the Jacobian, as calls without arguments; the limit first."""
    theirs, calls = METHODS[method]
    x, pattern = np.random.default_rng(0).uniform(-1, 1, n), pattern_of(n)
    coloring = sd.sparsity.color(pattern)
    prepared = sd.Jacobian(broyden, x, sparsity=pattern, method=method)
    with sd.backend("reference"):
        slow = sd.Jacobian(broyden, x, sparsity=pattern, method=method)
    prepared(x)
    run = prepared._idle[0]

    def bare():
        for _ in itertools.repeat(None, calls):
            broyden(x)

    def reference():
        with sd.backend("reference"):
            return slow(x)

    def peer(groups):
        return lambda: approx_derivative(broyden, x, method=theirs, sparsity=(pattern, groups))

    ways = {
        PREPARED: lambda: prepared(x),
        PLAIN: lambda: sd.jacobian(broyden, x, method=method, sparsity=pattern),
        COLOURED: lambda: sd.jacobian(broyden, x, method=method, sparsity=coloring),
        ALONE: lambda: sd.jacobian(broyden, x, method=method, sparsity=coloring, verify=False),
        REFERENCE: reference,
        "scipy": peer(group_columns(pattern)),
        "scipy, 3 groups given": peer(np.arange(n) % 3),
    }
    for name, way in ways.items():
        worst = abs(way() - jacobian_of(x)).max()
        assert worst < 1e-5, f"{name} is {worst} off"
    assert coloring.count == 3
    return {CALLS: bare, DATA: lambda: run.sweep_once(x, None), **ways}


def tables(quick):
    """S1: ratios to bare calls; S2: a colouring in seconds and beside SciPy's."""
    rows = []
    for method, n in [(method, n) for n in (1000, 10_000, 100_000) for method in METHODS]:
        result, target = compare(contenders_of(method, n), CALLS, quick), TARGETS.get((method, n))
        measured = result.ratio(PREPARED)
        rows.append(["S1" if target else "", method, str(n), target, measured, result.spread(PREPARED),
                     None if target is None else measured <= target, *map(result.ratio, CONTENDERS),
                     result.time(CALLS)])
    columns = {"row": text, "method": text, "n": text, "target": ratio, "measured": ratio, "spread": share,
               "reached": verdict, **dict.fromkeys(CONTENDERS, ratio), CALLS: duration}
    yield Table("S1: sparse Jacobian of Broyden's tridiagonal function", columns, rows, [
        "Ratios to 4 (forward) or 6 (central) bare calls of f: medians over interleaved rounds.",
        f"{PLAIN} colours the pattern in each call, and verifies it by two more evaluations; {ALONE}: coloured before.",
    ])
    rows = []
    for n in (1000, 10_000, 100_000):
        pattern = pattern_of(n)
        result = compare({GROUPING: lambda p=pattern: group_columns(p),
                          "sd.sparsity.color": lambda p=pattern: sd.sparsity.color(p)}, GROUPING, quick)
        measured, target = result.time("sd.sparsity.color"), TARGET_OF_COLOURING if n == 10_000 else None
        rows.append(["S2" if target else "", str(n), target, measured, None if target is None else measured <= target,
                     result.ratio("sd.sparsity.color"), str(sd.sparsity.color(pattern).count),
                     str(group_columns(pattern).max() + 1), result.time(GROUPING)])
    yield Table("S2: colouring a tridiagonal pattern, from CSR", {
        "row": text, "n": text, "target": duration, "measured": duration, "reached": verdict, f"to {GROUPING}": ratio,
        "colours": text, "of SciPy": text, GROUPING: duration}, rows, ["Medians over interleaved rounds."])


if __name__ == "__main__":
    command_line(tables)
