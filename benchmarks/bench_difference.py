"""Gradient of a Python function by central differences, against calling the function 2n times: rows F1 to F5.

Here because what a gradient costs beyond the calls of f is the library's own share; kernel, reference, peers, limit.
Used by ci/benchmark, and by people: ``pytest benchmarks/bench_difference.py --benchmark-enable``.

The limit of every row is 2n calls ``f(x)`` from ``for _ in itertools.repeat(None, 2 * n)``, set up anew each gradient.
"""

import itertools
from typing import NamedTuple

import numdifftools
import numpy as np
import pytest
from interleave import Table, command_line, compare, duration, ratio, share, text, verdict
from scipy.optimize import rosen, rosen_der
from scipy.optimize._numdiff import approx_derivative
from statsmodels.tools.numdiff import approx_fprime

import steepest as sd
from steepest.kernels import callback, difference
from steepest.reference.difference import CENTRAL, step_factor

LIMIT = "2n calls"
PUBLIC, PREPARED = "sd.gradient", "sd.Gradient(out=)"
PEERS = ["scipy 3-point", "statsmodels", "numdifftools", "loop by hand"]
CONTENDERS = [PUBLIC, PREPARED, "kernel alone", "reference", *PEERS]

# f and its exact gradient, by which every contender is checked before it is timed
FUNCTIONS = {
    "np.dot(x, x)": (lambda x: float(np.dot(x, x)), lambda x: 2 * x),
    "constant": (lambda x: 1.0, np.zeros_like),
    "scipy rosen": (rosen, rosen_der),
}


class Case(NamedTuple):
    """A row of the targets: ratio `target` to the limit, to be reached by the contender `judged`."""

    row: str
    function: str
    n: int
    target: float
    judged: str = PUBLIC

    def __str__(self):
        return f"{self.row} {self.function} n={self.n}"


CASES = [
    Case("F1", "np.dot(x, x)", 10, 1.25),
    Case("F2", "np.dot(x, x)", 100, 1.06),
    Case("F2", "np.dot(x, x)", 1000, 1.03),
    Case("F3", "constant", 100, 1.6),
    Case("F3", "constant", 1000, 1.25),
    Case("F4", "constant", 2, 5.0, PREPARED),
    Case("F5", "scipy rosen", 2, 1.03),
    Case("F5", "scipy rosen", 10, 1.03),
    Case("F5", "scipy rosen", 100, 1.03),
    Case("F5", "scipy rosen", 1000, 1.03),
]


def point(n):
    """Where gradients are taken: at the start of a cache line, or np.dot, the limit, is 6 % slower by chance."""
    memory = np.empty(n + 8)
    start = -memory.ctypes.data % 64 // memory.itemsize
    x = memory[start : start + n]
    x[:] = np.random.default_rng(0).uniform(-1, 1, n)
    return x


def direct_calls(f, x):
    """Calls of f, as many as a central gradient must make: what no library can beat."""
    repeat, calls = itertools.repeat, 2 * x.size

    def call():
        for _ in repeat(None, calls):
            f(x)

    return call


def loop_by_hand(f, x, h=1e-6):
    """The loop that people write: one entry moved at a time, in place."""
    x = x.copy()
    gradient = np.empty_like(x)
    for i in range(x.size):
        saved = x[i]
        x[i] = saved + h
        above = f(x)
        x[i] = saved - h
        gradient[i] = (above - f(x)) / (2 * h)
        x[i] = saved
    return gradient


def contenders_of(case):
    """Every way to the gradient, by name, as calls without arguments; the limit first."""
    f, exact = FUNCTIONS[case.function]
    x = point(case.n)
    out, kernel_out = np.full_like(x, np.nan), np.full_like(x, np.nan)
    prepared = sd.Gradient(f, x)
    function = callback.PythonFunction(f, (), None, x.shape, x.dtype)
    differences = difference.Differences(x.size, x.dtype, CENTRAL, 2, step_factor(np.finfo(x.dtype).eps, CENTRAL, 2))

    def kernel_alone():
        differences.gradient(function, x, kernel_out)
        return kernel_out

    def reference():
        with sd.backend("reference"):
            return sd.gradient(f, x)

    contenders = {
        PUBLIC: lambda: sd.gradient(f, x),
        PREPARED: lambda: prepared(x, out=out),
        "kernel alone": kernel_alone,
        "reference": reference,
        "scipy 3-point": lambda: approx_derivative(f, x, method="3-point"),
        "statsmodels": lambda: approx_fprime(x, f, centered=True),
        "loop by hand": lambda: loop_by_hand(f, x),
    }
    if case.n <= 100:  # its table of 15 steps takes seconds and much memory beyond
        extrapolated = numdifftools.Gradient(f)
        contenders["numdifftools"] = lambda: extrapolated(x)
    for name, gradient in contenders.items():
        np.testing.assert_allclose(np.array(gradient()), exact(x), rtol=1e-4, atol=1e-6, err_msg=f"{case}: {name}")
    return {LIMIT: direct_calls(f, x), **contenders}


def tables(quick):
    """One table: the target, what was measured, and everything else beside it, as ratios to the limit."""
    rows, repeated = [], 0
    for case in CASES:
        result = compare(contenders_of(case), LIMIT, quick)
        repeated += result.repeated
        measured = result.ratio(case.judged)
        rows.append([
            case.row, case.function, str(case.n), case.target, measured, result.spread(case.judged),
            measured <= case.target, *map(result.ratio, CONTENDERS), result.time(LIMIT),
        ])
    columns = {
        "row": text, "f": text, "n": text, "target": ratio, "measured": ratio, "spread": share, "reached": verdict,
        **dict.fromkeys(CONTENDERS, ratio), LIMIT: duration,
    }
    notes = [
        "Ratios to 2n direct calls of f: medians over interleaved rounds; the spread is their interquartile range.",
        f"F4 judges {PREPARED}, the other rows {PUBLIC}. Rounds repeated because other processes ran: {repeated}.",
    ]
    yield Table("F1-F5: gradient of a Python function, central differences", columns, rows, notes)


@pytest.mark.parametrize("name", [LIMIT, *CONTENDERS])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(benchmark, case, name):
    """One contender in one case, for pytest-benchmark's own table."""
    contenders = contenders_of(case)
    if name not in contenders:
        pytest.skip(f"{name} is not run for n={case.n}")
    benchmark.group = str(case)
    benchmark(contenders[name])


if __name__ == "__main__":
    command_line(tables)
