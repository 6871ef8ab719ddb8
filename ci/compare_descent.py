"""Walks against their reference: every question of one, for the table of compare.py.

Here because a walk is many questions. Run by ci/compare and ci/test.
"""

import itertools
import math

import numpy as np

from steepest.reference import searches
from steepest.reference.descent import BETAS, METHODS, PROJECTION, VARIANTS, Options
from steepest.reference.difference import CENTRAL, step_factor
from steepest.reference.many import Batch
from steepest.reference.sampler import WAYS


def valley(x):
    """A chained valley, and its slope."""
    along, across = 1 - x[:-1], x[1:] - x[:-1] ** 2
    slope = np.zeros(x.size)
    slope[:-1] -= 2 * along + 40 * across * x[:-1]
    slope[1:] += 20 * across
    return float(along @ along + 10 * across @ across), slope


def walk(side, n, single, bounded, **options):
    """Some hundred questions of a walk down the valley."""
    x0 = np.resize([-1.2, 1.0, 0.3], n)
    box = (x0 - 0.4, x0 + 1.0) if bounded else (None, None)
    machine = side.descent.Descent(x0, Options(tol=1e-9, **options), *box, single)

    def call():
        asked = []
        for _ in range(120):
            if not machine.wants:
                break
            x = machine.point
            asked.append(x)
            machine.tell(*(None, np.clip(x, -1, 0.8)) if machine.wants == PROJECTION else valley(x))
        return np.array(asked)

    names = ("status", "nit", "nfev", "njev", "best_f", "best_x", "best_g", "step")
    return call, lambda: {name: getattr(machine, name) for name in names} | machine.state()


LINES_ALONG = [
    lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2),
    lambda t: ((t + 0.004) ** 5 - 2 * (t + 0.004) ** 4, 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3),
    lambda t: ((t - 1) ** 2 - 1e-9 * t, 2 * (t - 1) - 1e-9) if t < 3 else (math.nan, math.nan),
    lambda t: (-t, -1.0), lambda t: (1.0 if t == 0 else 2.0 + t, -1.0), lambda t: (t, 1.0),
]


def search(side, kind, along, step, limit, ceiling):
    """Every look of a line search."""
    phi = LINES_ALONG[along]
    machine = side.searches.LineSearch(kind, *phi(0.0), step, phi(0.0)[0] + 0.1, 1e-12, 1e-3, 0.5, limit, ceiling)

    def call():
        looked = []
        while machine.status == searches.LOOKING:
            looked.append(machine.step)
            machine.tell(*phi(machine.step))
        return np.array(looked)

    return call, lambda: {"status": machine.status, "step": machine.step, "f": machine.f}


def many(side, n, differenced, method):
    """Walks from many starts, by the values and the slopes of the valley or their differences."""
    starts = np.random.default_rng(n).uniform(-1.5, 1.5, (20, n))
    options = Options(method, tol=1e-6, maxiter=30, calls_gradient=2 * n if differenced else 0)
    dtype = starts.dtype
    value = side.callback.PythonFunction(lambda x: valley(x)[0], (), None, (n,), dtype)
    slope = side.callback.PythonFunction(lambda x: valley(x)[1], (), None, (n,), dtype, True, False, "grad")
    differences = side.difference.Differences(n, dtype, CENTRAL, 2, step_factor(2.0**-52, CENTRAL, 2))
    functions = (value, None, differences) if differenced else (value, slope, None)
    batch, place = Batch(starts), np.zeros(1, np.int64)
    machine = side.descent.Descent(starts[0], options)
    return (lambda: side.descent.descend_many(machine, functions, batch, place, 0, 20),
            lambda: {name: getattr(batch, name) for name in ("x", "fun", "jac", "counts")} | {"place": place})


def sampler(side, rows, batch, way):
    """Two epochs of batches, and the place where they end."""
    made = side.sampler.Sampler(rows, batch, way, 2026)
    return (lambda: np.concatenate([made.take() for _ in range(2 * -(-rows // batch))]),
            lambda: {"epoch": made.epoch, "position": made.position})


WALKS = [
    *({"method": "lbfgs", "memory": m, "search": kind} for m, kind in itertools.product((2, 10), range(4))),
    *({"method": "bfgs", "search": kind} for kind in (searches.WOLFE, searches.HAGER_ZHANG)),
    *({"method": "cg", "beta": beta} for beta in BETAS),
    *({"method": "bb", "variant": variant, "average": share} for variant in VARIANTS for share in (0.0, 0.85)),
    {"method": "gd"}, {"method": "gd", "rate": 1e-3}, {"method": "adgd"}, {"method": "nesterov"}, {"method": "spg"},
    {"method": "spg", "projects": True},
]
LINES = [
    ("descent.Descent", walk, [
        {"n": n, "single": single, "bounded": bounded, **options}
        for n in (2, 17, 300) for single in (False, True) for options in WALKS
        for bounded in ((False, True) if options["method"] in ("lbfgs", "spg") else (False,))]),
    ("searches.LineSearch", search, [
        {"kind": kind, "along": along, "step": step, "limit": limit, "ceiling": ceiling}
        for kind in range(4) for along in range(len(LINES_ALONG)) for step in (1e-3, 1.0, 1e3) for limit in (1, 4, 50)
        for ceiling in (math.inf, 2.0)]),
    ("descent.descend_many", many, [
        {"n": n, "differenced": differenced, "method": method}
        for n in (2, 20) for differenced in (False, True) for method in METHODS]),
    ("sampler.Sampler", sampler, [
        {"rows": rows, "batch": batch, "way": way}
        for rows, batch in ((1, 1), (10, 3), (1000, 32), (20_000, 100)) for way in range(len(WAYS))]),
]
