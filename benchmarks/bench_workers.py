"""Gradient of a function that takes 5 ms, evaluated by two workers, against one process: row F7.

Here because workers should halve the time of a slow function, whatever brings them: processes prepared once or for
one call, threads, an executor, SciPy's `workers`, a Dask cluster. Used by ci/benchmark.

The limit is the same gradient by one process, whose time is that of its 2n calls; two workers can reach 0.5. f sleeps,
so that the workers need no cores of their own: what is measured is what it costs to hand out evaluations and to
collect values.
"""

import contextlib
import inspect
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
from interleave import Comparison, Table, command_line, duration, ratio, share, text, verdict
from scipy.optimize._numdiff import approx_derivative

import steepest as sd

SECONDS = 5e-3
ROUNDS = {False: 11, True: 7}       # by `quick`
SIZE, SIZES_ON_DASK = 32, (32, 200)
TARGET = 0.55
LIMIT = "one process"
BARE, PREPARED, WHOLE = "bare calls", "prepared", "whole call"
CONTENDERS = [BARE, PREPARED, WHOLE, "processes", "threads", "scipy, pool.map", "scipy, workers=2"]


def sleeping(x):
    """A simulator, say, or a model on another machine."""
    time.sleep(SECONDS)
    return float(x @ x)


def checked(contenders, right):
    """The contenders, after one call of each, which starts what is to be started and must give the right result."""
    for name, gradient in contenders.items():
        if name.startswith("scipy"):
            np.testing.assert_allclose(gradient(), right, rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(gradient(), right, err_msg=name)
    return contenders


@contextlib.contextmanager
def contenders_of(n):
    """Every way to the gradient on this machine, by name, as calls without arguments."""
    x = np.random.default_rng(0).uniform(-1, 1, n)
    serial = sd.Gradient(sleeping, x)
    with (
        ProcessPoolExecutor(2) as processes,
        ThreadPoolExecutor(2) as threads,
        multiprocessing.Pool(2) as pool,
        sd.Gradient(sleeping, x, workers=2) as prepared,
    ):
        by_processes = sd.Gradient(sleeping, x, workers=processes)
        by_threads = sd.Gradient(sleeping, x, workers=threads)
        contenders = {
            LIMIT: lambda: serial(x),
            PREPARED: lambda: prepared(x),
            WHOLE: lambda: sd.gradient(sleeping, x, workers=2),
            "processes": lambda: by_processes(x),
            "threads": lambda: by_threads(x),
        }
        if "workers" in inspect.signature(approx_derivative).parameters:
            contenders["scipy, pool.map"] = lambda: approx_derivative(sleeping, x, method="3-point", workers=pool.map)
            contenders["scipy, workers=2"] = lambda: approx_derivative(sleeping, x, method="3-point", workers=2)
        yield checked(contenders, serial(x)) | {BARE: lambda: [sleeping(x) for _ in range(2 * n)]}
        pool.close()
        pool.join()


def contenders_on_dask(n, client):
    """The same by a Dask cluster."""
    x = np.random.default_rng(0).uniform(-1, 1, n)
    serial, prepared = sd.Gradient(sleeping, x), sd.Gradient(sleeping, x, workers=client)
    contenders = {
        LIMIT: lambda: serial(x),
        PREPARED: lambda: prepared(x),
        WHOLE: lambda: sd.gradient(sleeping, x, workers=client),
    }
    return checked(contenders, serial(x))


def compare_sleepers(contenders, quick):
    """Time contenders in rotating order, one call each a round.

    `compare` of interleave.py would take every round for disturbed, in which the processor has so little to do.
    """
    seconds = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(ROUNDS[quick]):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            begin = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - begin)
    return Comparison(LIMIT, seconds, 0)


def beyond_half(result, name):
    """Seconds that a gradient by two workers takes beyond half of what one process takes."""
    return float(np.median(result.seconds[name] - result.seconds[LIMIT] / 2))


def milliseconds(value):
    """One digit after the point; below zero, too."""
    return f"{1e3 * value:.1f} ms"


def tables(quick):
    """The target, what was measured, and everything else beside it; then the same on a cluster."""
    with contenders_of(SIZE) as contenders:
        result = compare_sleepers(contenders, quick)
    measured = result.ratio(PREPARED)
    columns = {
        "row": text, "n": text, "judged": text, "target": ratio, "measured": ratio, "spread": share, "reached": verdict,
        **dict.fromkeys(CONTENDERS, ratio), "prepared - half": milliseconds, "whole call - half": milliseconds,
        LIMIT: duration,
    }
    row = [
        "F7", str(SIZE), PREPARED, TARGET, measured, result.spread(PREPARED), measured <= TARGET,
        *map(result.ratio, CONTENDERS), beyond_half(result, PREPARED), beyond_half(result, WHOLE), result.time(LIMIT),
    ]
    yield Table("F7: gradient of a function that sleeps 5 ms, central differences, two workers", columns, [row], [
        "Ratios to the same gradient by one process: medians over interleaved rounds; the spread is their "
        "interquartile range.",
        "prepared: sd.Gradient(f, x, workers=2); whole call: sd.gradient(f, x, workers=2), its processes "
        f"({multiprocessing.get_start_method()}) started and ended every time.",
    ])
    yield table_on_dask(quick)


def table_on_dask(quick):
    """Two processes of a Dask cluster; started last, so that none of the first table is forked among its threads."""
    from distributed import Client, LocalCluster, __version__

    rows = []
    with (
        LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        for n in SIZES_ON_DASK:
            result = compare_sleepers(contenders_on_dask(n, client), quick)
            rows.append([
                str(n), result.ratio(PREPARED), result.spread(PREPARED), result.ratio(WHOLE),
                beyond_half(result, PREPARED), result.time(LIMIT),
            ])
    columns = {
        "n": text, PREPARED: ratio, "spread": share, WHOLE: ratio, "prepared - half": milliseconds, LIMIT: duration,
    }
    return Table(f"The same by two processes of a Dask cluster ({__version__})", columns, rows,
                 ["No target in this version."])


if __name__ == "__main__":
    command_line(tables)
