"""Walks down 46 functions, counted, and what a walk costs beside its evaluations, timed: rows M1 to M5.

Here because a walk is judged by two things: how many evaluations it makes until the gradient is small, whatever it says
itself, and how long it takes between them. Beside SciPy, NLopt and torch, with performance profiles (``--plots DIR``).
Used by ci/benchmark. The solvers and their judge stand in descent_peers.py.

The problems are the 35 of More, Garbow and Hillstrom and eleven larger ones; of the 39 that the targets were measured
on, two might be missed, and no more may be here. `CAP` evaluations are all that a walk is given.
"""

import ctypes
import os
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from descent_peers import ENDLESS, MISSING, OURS, PEERS, Judge, scipy_own
from interleave import Table, command_line, compare, duration, text, verdict
from numba import carray, cfunc, njit, types
from profiles import draw
from scipy import optimize

import steepest as sd
from steepest.objective import Answers
from steepest.reference.descent import Options

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from larger_problems import PROBLEMS as LARGER
from more_garbow_hillstrom import PROBLEMS as PUBLISHED
from native_library import compile_library

PROBLEMS = [*PUBLISHED, *LARGER]
LOOSE, TIGHT = TOLERANCES = (1e-5, 1e-8)    # of M2 and M1, for the largest entry of the gradient
CAP = {False: 5000, True: 600}              # evaluations of a walk, by `quick`
MANY = 200                                  # variables, from which peers with a matrix have the fewer evaluations
MISSED = 2                                  # M1: problems at most
LIMIT = "SciPy L-BFGS-B"                    # M2: its evaluations are the unit
RATIOS = {"steepest lbfgs": 1.05, "steepest lbfgs, 10 pairs": 1.12}
SHOWN = ["steepest lbfgs", "steepest bfgs", "steepest cg", "steepest bb", LIMIT, "SciPy BFGS", "SciPy CG",
         "NLopt LBFGS", "torch LBFGS"]


# M1 and M2: evaluations

def surveys(quick):
    """For each solver the judges of all problems, and the seconds it took."""
    found = {}
    for solver in (*OURS, *PEERS):
        begin, judges = time.perf_counter(), []
        for problem in PROBLEMS:
            heavy = solver.dense and problem.n > MANY and not solver.name.startswith("steepest")
            judge = Judge(problem, TOLERANCES, CAP[quick or heavy])
            if not (quick and heavy):
                judge.watch(solver)
            judges.append(judge)
        found[solver.name] = judges, time.perf_counter() - begin
    return found


def efforts(judges, tolerance):
    """Evaluations for each problem; None where the gradient was never so small."""
    return [judge.seen[tolerance] for judge in judges]


def mean_ratio(own, others):
    """Geometric mean over the problems that both have solved."""
    logs = [np.log(a / b) for a, b in zip(own, others, strict=True) if a is not None and b is not None]
    return float(np.exp(np.mean(logs))) if logs else None


def counted(found, quick):
    """M1 and M2."""
    unit, rows = efforts(found[LIMIT][0], LOOSE), []
    for name, (judges, seconds) in found.items():
        loose, tight = (efforts(judges, tolerance) for tolerance in TOLERANCES)
        missed = [str(problem) for problem, count in zip(PROBLEMS, tight, strict=True) if count is None]
        measured, target = mean_ratio(loose, unit), RATIOS.get(name)
        judged = name == "steepest lbfgs"
        rows.append([
            "M1, M2" if judged else "M2" if target else "", name, len(PROBLEMS) - loose.count(None),
            len(PROBLEMS) - len(missed), len(PROBLEMS) - MISSED if judged else None,
            len(missed) <= MISSED if judged else None, measured, target, measured <= target if target else None,
            seconds, ", ".join(missed) if len(missed) <= 8 else None,
        ])
    columns = {"row": text, "solver": text, "|g| <= 1e-5": "{}".format, "|g| <= 1e-8": "{}".format,
               "M1 target": "{}".format, "reached": verdict, "evaluations": "{:.3f}".format, "M2 target": "{}".format,
               "reached ": verdict, "time": duration, "missed at 1e-8": text}
    notes = [
        f"{len(PROBLEMS)} problems, {CAP[quick]} evaluations (f and gradient together) each at most; solved is what "
        "the judge has seen, not what a solver says. All tolerances are zero, those of 'defaults' are their own. "
        f"Beyond {MANY} variables SciPy's BFGS has {CAP[True]}, at 50 ms each.",
        f"Evaluations: geometric mean, over what both solve to |g| <= 1e-5, of the ratio to {LIMIT}.",
    ]
    if quick:
        notes.append("Quick: so few are too few for some, and none for SciPy's BFGS beyond that.")
    if MISSING:
        notes.append(f"Not installed, left out: {', '.join(MISSING)}.")
    return Table("M1, M2: evaluations until the gradient is small", columns, rows, notes)


def each_problem(found):
    """How many evaluations to 1e-5 and to 1e-8 every problem took."""
    names = [name for name in SHOWN if name in found]
    rows = []
    for k, problem in enumerate(PROBLEMS):
        cells = [[found[name][0][k].seen[tolerance] for tolerance in TOLERANCES] for name in names]
        shown = [" / ".join("-" if count is None else str(count) for count in pair) for pair in cells]
        rows.append([str(problem), problem.n, *shown])
    columns = {"problem": text, "n": "{}".format, **dict.fromkeys(names, str)}
    return Table("Evaluations until |g| <= 1e-5 / 1e-8", columns, rows)


def pictures(found, folder):
    """Performance profiles of some solvers, and of our methods."""
    ours = [name for name in found if name.startswith("steepest") and not ("pairs" in name or "defaults" in name)]
    for path, names in (("profiles.png", SHOWN), ("profiles_methods.png", ours[:10])):
        panels = {
            rf"$|g|_\infty \leq 10^{{{np.log10(tolerance):.0f}}}$": {
                name: efforts(found[name][0], tolerance) for name in names if name in found}
            for tolerance in TOLERANCES
        }
        draw(panels, Path(folder, path))


# M3: the driver, with f in Python

def timed(contenders, limit, quick):
    """`compare` by the time of the processor: one thread does everything here."""
    return compare(contenders, limit, quick, time.process_time)


def condition(n):
    """A quadratic of condition 1e3, and its gradient."""
    scales = np.geomspace(1, 1e3, n)

    def f(x):
        return 0.5 * float(np.dot(x, scales * x))

    def grad(x):
        return scales * x

    return f, grad


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, x):
        self.calls += 1
        return self.function(x)


def driver(walk, f, grad, x0, most, quick):
    """Median seconds between evaluations, and how many there were: the run less as many bare calls."""
    value, slope = Counted(f), Counted(grad)
    walk(value, slope, x0.copy(), most)
    x = x0.copy()

    def bare():
        for _ in range(value.calls):
            f(x)
        for _ in range(slope.calls):
            grad(x)

    found = timed({"run": lambda: walk(f, grad, x0.copy(), most), "bare": bare}, "bare", quick)
    return float(np.median(found.seconds["run"] - found.seconds["bare"])) / value.calls, value.calls


DRIVERS = [
    # size, evaluations, method, target
    *((n, 200, "lbfgs", 1.5e-6) for n in (10, 100)), *((n, 200, "cg", 1.5e-6) for n in (10, 100)),
    (1000, 200, "lbfgs", 8e-6), (1000, 200, "cg", 8e-6), (10, 200, "bfgs", 3e-6), (1000, 40, "bfgs", 0.35e-3),
]
BESIDE = {"lbfgs": ("SciPy L-BFGS-B", "NLopt LBFGS", "torch LBFGS"), "cg": ("SciPy CG",), "bfgs": ("SciPy BFGS",)}


def drivers(quick):
    """M3: everything that a walk does between two evaluations of a function in Python."""
    rows = []
    peers = {peer.name: peer.walk for peer in PEERS}
    for n, most, method, target in DRIVERS:
        f, grad = condition(n)
        x0 = np.full(n, 2.0)
        contenders = {"whole call": lambda f, grad, x0, most, method=method: sd.minimize(
            f, x0, grad=grad, method=method, tol=1e-9, maxfev=most)}
        if method == "lbfgs":
            contenders["10 pairs"] = lambda f, grad, x0, most: sd.minimize(f, x0, grad=grad, memory=10, tol=1e-9,
                                                                        maxfev=most)
        measured = {name: driver(walk, f, grad, x0, most, quick) for name, walk in contenders.items()}
        for name in BESIDE[method]:
            if name in peers and not (quick and n == 1000):
                few = 10 if name == "SciPy BFGS" and n == 1000 else most
                measured[name] = driver(peers[name], f, grad, x0, few, True)
        for name, (seconds, calls) in measured.items():
            judged = name == "whole call"
            rows.append(["M3" if judged else "", method, n, name if not judged else f"steepest {method}", calls,
                         seconds, target if judged else None, seconds <= target if judged else None])
    columns = {"row": text, "kind": text, "n": "{}".format, "contender": text, "evaluations": "{}".format,
               "between two": duration, "target": duration, "reached": verdict}
    return Table("M3: time between two evaluations of a Python function", columns, rows, [
        "A whole call on a quadratic of condition 1e3, less as many bare calls of f and grad, by its evaluations: time "
        "of the processor. What a call costs to begin with is in it, too."])


# M3b and M4: everything compiled

SCALAR = types.float64(types.intc, types.CPointer(types.float64), types.voidptr)
VECTOR = types.void(types.intc, types.CPointer(types.float64), types.intc, types.CPointer(types.float64), types.voidptr)


@njit
def rosen(x):
    """The chained Rosenbrock function."""
    total = 0.0
    for i in range(x.size - 1):
        a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
        total += 100 * a * a + b * b
    return total


@njit
def rosen_slope(x, g):
    """Its gradient."""
    g[:] = 0.0
    for i in range(x.size - 1):
        a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
        g[i] += -400 * a * x[i] - 2 * b
        g[i + 1] += 200 * a


@cfunc(SCALAR)
def rosen_by_pointer(n, x, data):
    """The same as C sees it."""
    return rosen(carray(x, n))


@cfunc(VECTOR)
def slope_by_pointer(n, x, m, g, data):
    """Its gradient as C sees it."""
    rosen_slope(carray(x, n), carray(g, m))


@cfunc(SCALAR)
def bowl_by_pointer(n, x, data):
    """A quadratic whose condition is n."""
    total = 0.0
    for i in range(n):
        total += x[i] * x[i] * (1 + i)
    return 0.5 * total


@cfunc(VECTOR)
def bowl_slope_by_pointer(n, x, m, g, data):
    """Its gradient."""
    for i in range(n):
        g[i] = x[i] * (1 + i)


ALONE = "the run alone"

LOOP = r"""
/* f and its gradient, so many times, and nothing else. */
double call_often(double (*f)(int, double *, void *), void (*g)(int, double *, int, double *, void *),
                  int n, double *x, double *out, int times)
{
    double sum = 0;
    for (int i = 0; i < times; i++) {
        sum += f(n, x, 0);
        g(n, x, n, out, 0);
    }
    return sum;
}
"""


def load_loop(folder):
    """The C loop."""
    source, path = Path(folder, "loop.c"), Path(folder, "loop.so")
    source.write_text(LOOP, encoding="ascii")
    compile_library(source, path)
    call_often = ctypes.CDLL(str(path)).call_often
    call_often.restype = ctypes.c_double
    call_often.argtypes = [*[ctypes.c_void_p] * 2, ctypes.c_int, *[ctypes.c_void_p] * 2, ctypes.c_int]
    return call_often


def machine(f, grad, x0, options):
    """A walk without the checks and the result of `minimize`; f and grad are prepared once."""
    direct = Answers(f, grad, x0, (), None, {}).direct

    def walk():
        found = sd.backends.current().Descent(x0, options)
        found.run(*direct, ENDLESS)
        return found

    return walk


def jitted(walk, x0):
    """A peer's walk over the compiled functions, called from Python."""
    def grad(x):
        g = np.empty_like(x)
        rosen_slope(x, g)
        return g

    return lambda: walk(rosen, grad, x0.copy(), ENDLESS)


def whole_runs(quick):
    """M3b: a whole walk down the Rosenbrock function, compiled."""
    rows = []
    peers = {peer.name: peer.walk for peer in PEERS}
    ends = scipy_own("L-BFGS-B", "L-BFGS-B", limit="maxfun", gtol=1e-5, ftol=0).walk
    for n, target in ((2, 20e-6), (10, 60e-6), (100, 1.5e-3)):
        x0 = np.tile([-1.2, 1.0], n // 2)
        whole = partial(sd.minimize, rosen_by_pointer, x0, grad=slope_by_pointer)
        contenders = {
            "sd.minimize": whole,
            "sd.minimize, 10 pairs": partial(whole, memory=10),
            ALONE: machine(rosen_by_pointer, slope_by_pointer, x0, Options(memory=20)),
            "SciPy L-BFGS-B": jitted(ends, x0),
        }
        if n < 100 and not quick:
            def on_reference(walk=whole):
                with sd.backend("reference"):
                    return walk()

            contenders["reference"] = on_reference
        if "NLopt LBFGS" in peers and n < 100:
            contenders["NLopt LBFGS, until it fails"] = jitted(lambda *a: quietly(peers["NLopt LBFGS"], *a), x0)
        found = timed(contenders, "sd.minimize", quick)
        calls = whole().njev
        for name in contenders:
            judged = name in ("sd.minimize", ALONE)
            rows.append(["M3b" if judged else "", n, name, calls if judged else None, found.time(name),
                         target if judged else None, found.time(name) <= target if judged else None])
    columns = {"row": text, "n": "{}".format, "contender": text, "evaluations": "{}".format, "whole run": duration,
               "target": duration, "reached": verdict}
    return Table("M3b: a whole walk down the Rosenbrock function, f and its gradient compiled, to |g| <= 1e-5", columns,
                 rows, ["The run alone is the walk, made and run with functions that are resolved already; "
                        "`sd.minimize` checks and resolves its arguments anew, and shapes a result. Peers call the "
                        "functions that numba has compiled from Python."])


def quietly(walk, f, grad, x0, most):
    """A walk that may fail at the end."""
    try:
        walk(f, grad, x0, most)
    except RuntimeError:
        return


def large(call_often, quick):
    """M4: the driver at n = 10**4, for some numbers of pairs."""
    n, most, rows = 10_000, 200, []
    x0, out = np.ones(n), np.empty(n)
    for pairs in (10, 5, 20, 30):
        walk = machine(bowl_by_pointer, bowl_slope_by_pointer, x0, Options(tol=1e-9, maxfev=most, memory=pairs))
        calls = walk().nfev

        def bare(calls=calls):
            return call_often(bowl_by_pointer.address, bowl_slope_by_pointer.address, n, x0.ctypes.data,
                              out.ctypes.data, calls)

        found = timed({"run": walk, "bare": bare}, "bare", quick)
        seconds = float(np.median(found.seconds["run"] - found.seconds["bare"])) / calls
        judged = pairs == 10
        rows.append(["M4" if judged else "", f"steepest lbfgs, {pairs} pairs", calls, seconds,
                     50e-6 if judged else None, seconds <= 50e-6 if judged else None, found.time("bare") / calls])
    value, slope = bowl()
    for name in ("SciPy L-BFGS-B", "NLopt LBFGS"):
        walk = {peer.name: peer.walk for peer in PEERS}.get(name)
        if walk is not None:
            seconds, calls = driver(partial(quiet_walk, walk), value, slope, x0, most, True)
            rows.append(["", name, calls, seconds, None, None, None])
    columns = {"row": text, "contender": text, "evaluations": "{}".format, "between two": duration, "target": duration,
               "reached": verdict, "f and gradient": duration}
    return Table("M4: time between two evaluations, n = 10 000", columns, rows, [
        "A whole walk, less as many calls of f and its gradient in a C loop. Peers call Python functions."])


def quiet_walk(walk, f, grad, x0, most):
    """With the arguments of `driver`."""
    quietly(walk, f, grad, x0, most)


def bowl():
    """The function of M4 for peers."""
    scales = np.arange(1.0, 10_001)
    return lambda x: 0.5 * float(np.dot(x, scales * x)), lambda x: scales * x


# M5: many at once

def many(quick):
    """M5: minimisations a second, by differences of a compiled f."""
    count = 2000 if quick else 20_000
    starts = np.random.default_rng(0).uniform(-2, 2, (count, 2))
    few = starts[:50]
    contenders = {"SciPy L-BFGS-B": (lambda: [optimize.minimize(rosen, x, method="L-BFGS-B") for x in few], len(few)),
                  "sd.minimize, one by one": (lambda: [sd.minimize(rosen_by_pointer, x) for x in few], len(few)),
                  "one thread": (lambda: sd.minimize_many(rosen_by_pointer, starts, workers=1), count),
                  "sd.minimize_many": (lambda: sd.minimize_many(rosen_by_pointer, starts), count)}
    calls = {name: call for name, (call, _) in contenders.items()}
    found, of_processor = compare(calls, LIMIT, quick), timed(calls, LIMIT, quick)
    rows = []
    for name, (_, size) in contenders.items():
        rate, judged = size / found.time(name), name == "sd.minimize_many"
        rows.append(["M5" if judged else "", name, rate, 1e5 if judged else None, rate >= 1e5 if judged else None,
                     size / of_processor.time(name)])
    columns = {"row": text, "contender": text, "a second": "{:,.0f}".format, "target": "{:,.0f}".format,
               "reached": verdict, "a second of the processor": "{:,.0f}".format}
    return Table("M5: Rosenbrock's function from many starts, n = 2, gradient by central differences", columns, rows, [
        f"{count} starts in [-2, 2], to |g| <= 1e-5, on {os.cpu_count()} cores. The last column counts the time of the "
        "processor, of all threads together."])


def tables(quick, plots=None):
    """All tables; pictures into a folder."""
    found = surveys(quick)
    yield counted(found, quick)
    yield each_problem(found)
    if plots is not None:
        pictures(found, plots)
    yield drivers(quick)
    yield whole_runs(quick)
    with tempfile.TemporaryDirectory() as folder:
        yield large(load_loop(folder), quick)
    yield many(quick)


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)     # of peers that go on where rounding ends
    command_line(tables, plots=True)
