"""Gradient of a compiled function by central differences, against a compiled loop with the function inlined: row F6.

Here because nothing of Python may be left between two evaluations; pointer, njit function, threads, reference, peers,
limit. Used by ci/benchmark, and by people: ``pytest benchmarks/bench_compiled.py --benchmark-enable``.

The limit is a loop written by hand and compiled by numba, the function inlined. "C loop" calls the same pointer 2n
times from C and does nothing else: what an evaluation costs beyond that is the library's own.
"""

import ctypes
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
from interleave import Table, command_line, compare, duration, ratio, share, text, verdict
from numba import cfunc, njit, types
from scipy.optimize import rosen_der
from scipy.optimize._numdiff import approx_derivative
from statsmodels.tools.numdiff import approx_fprime

import steepest as sd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from native_library import compile_library

LIMIT = "numba loop"
PUBLIC, PREPARED, TWO = "sd.gradient", "sd.Gradient(out=)", "two threads"
CONTENDERS = [PUBLIC, PREPARED, TWO, "njit, whole call", "njit, prepared", "C loop", "reference", "scipy 3-point",
              "statsmodels"]

LOOP = r"""
/* 2n calls and nothing else. */
double call_often(double (*f)(int, double *), int n, double *x)
{
    double sum = 0;
    for (int i = 0; i < 2 * n; i++)
        sum += f(n, x);
    return sum;
}
"""


@cfunc(types.float64(types.intc, types.CPointer(types.float64)))
def rosen_by_pointer(n, x):
    """The Rosenbrock function as C sees it."""
    total = 0.0
    for i in range(n - 1):
        a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
        total += 100 * a * a + b * b
    return total


@njit
def rosen(x):
    """The same for arrays."""
    total = 0.0
    for i in range(x.size - 1):
        a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
        total += 100 * a * a + b * b
    return total


@njit
def loop_by_hand(x, gradient):
    """Central differences in place, f inlined."""
    for k in range(x.size):
        saved = x[k]
        h = 3e-6 * max(1.0, abs(saved))
        x[k] = above = saved + h
        value = 0.0
        for i in range(x.size - 1):
            a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
            value += 100 * a * a + b * b
        x[k] = below = saved - h
        other = 0.0
        for i in range(x.size - 1):
            a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
            other += 100 * a * a + b * b
        x[k] = saved
        gradient[k] = (value - other) / (above - below)


class Case(NamedTuple):
    """A row of the targets: ratio `target` to the limit, to be reached by the contender `judged`."""

    n: int
    target: float
    judged: str = PREPARED

    def __str__(self):
        return f"F6 n={self.n} {self.judged}"


CASES = [Case(10, 3.0), Case(100, 1.15), Case(1000, 1.03), Case(1000, 0.56, TWO)]


def load_loop(folder):
    """The C loop, and what keeps it alive."""
    source, path = Path(folder, "loop.c"), Path(folder, "loop.so")
    source.write_text(LOOP, encoding="ascii")
    compile_library(source, path)
    library = ctypes.CDLL(str(path))
    library.call_often.restype = ctypes.c_double
    library.call_often.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    return library.call_often


def contenders_of(n, call_often):
    """Every way to the gradient, by name, as calls without arguments; the limit first."""
    x = np.random.default_rng(0).uniform(-1, 1, n)
    own, by_hand, out, shared_out, jitted_out = x.copy(), *(np.empty(n) for _ in range(4))
    f, address, at = rosen_by_pointer, rosen_by_pointer.address, x.ctypes.data
    prepared, shared, jitted = sd.Gradient(f, x), sd.Gradient(f, x, workers=2), sd.Gradient(rosen, x)

    def limit():
        loop_by_hand(own, by_hand)
        return by_hand

    def reference():
        with sd.backend("reference"):
            return sd.gradient(f, x)

    contenders = {
        LIMIT: limit,
        PUBLIC: lambda: sd.gradient(f, x),
        PREPARED: lambda: prepared(x, out=out),
        TWO: lambda: shared(x, out=shared_out),
        "njit, whole call": lambda: sd.gradient(rosen, x),
        "njit, prepared": lambda: jitted(x, out=jitted_out),
        "reference": reference,
        "scipy 3-point": lambda: approx_derivative(rosen, x, method="3-point"),
        "statsmodels": lambda: approx_fprime(x, rosen, centered=True),
    }
    for name, gradient in contenders.items():
        np.testing.assert_allclose(gradient(), rosen_der(x), rtol=1e-4, atol=1e-4, err_msg=f"n={n}: {name}")
    np.testing.assert_array_equal(prepared(x), sd.gradient(f, x))
    return contenders | {"C loop": lambda: call_often(address, n, at)}


def tables(quick):
    """The target, what was measured, and everything else beside it; then what an evaluation costs."""
    rows, costs, results = [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        call_often = load_loop(folder)
        for case in CASES:
            if case.n not in results:
                results[case.n] = compare(contenders_of(case.n, call_often), LIMIT, quick)
            result = results[case.n]
            measured = result.ratio(case.judged)
            rows.append([
                "F6", str(case.n), case.judged, case.target, measured, result.spread(case.judged),
                measured <= case.target, *map(result.ratio, CONTENDERS), result.time(LIMIT),
            ])
        for n, result in results.items():
            calls, bare = 2 * n, result.time("C loop")
            costs.append([
                str(n), bare / calls, (result.time(PREPARED) - bare) / calls, (result.time(PUBLIC) - bare) / calls,
                result.time("njit, whole call") - result.time("njit, prepared"),
            ])
    columns = {
        "row": text, "n": text, "judged": text, "target": ratio, "measured": ratio, "spread": share, "reached": verdict,
        **dict.fromkeys(CONTENDERS, ratio), LIMIT: duration,
    }
    yield Table("F6: gradient of a compiled Rosenbrock function, central differences", columns, rows, [
        f"Ratios to a loop by hand, compiled by numba {numba.__version__} with f inlined: medians over interleaved "
        "rounds; the spread is their interquartile range.",
    ])
    yield Table("What an evaluation costs beyond its call", {
        "n": text, "call by pointer": duration, "prepared": duration, "whole call": duration,
        "njit, whole call - prepared": duration,
    }, costs, ["Targets: 5 ns an evaluation at n = 100, prepared; 3 µs from prepared to whole call for njit."])


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """The C loop."""
    return load_loop(tmp_path_factory.mktemp("loop"))


@pytest.mark.parametrize("name", [LIMIT, *CONTENDERS])
@pytest.mark.parametrize("n", sorted({case.n for case in CASES}))
def test_gradient(benchmark, loop, n, name):
    """One contender in one case, for pytest-benchmark's own table."""
    benchmark.group = f"F6 n={n}"
    benchmark(contenders_of(n, loop)[name])


if __name__ == "__main__":
    command_line(tables)
