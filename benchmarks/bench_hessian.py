"""Hessian of Rosenbrock's function: error for its calls, and time beside the bare calls. Row A5.

Here because a Hessian from values asks for n**2 of them, each of which is seen in the bill; relative errors (largest
error over largest entry), exact Hessians, counted calls. The constant of curvature.py was chosen with `constants`.
Used by ci/benchmark.
"""

import warnings

import numdifftools
import numpy as np
from interleave import Table, command_line, compare, duration, ratio, scientific, text, verdict
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod
from statsmodels.tools import numdiff

import steepest as sd
from steepest import curvature

N, TARGET, CALLS = 10, 3e-9, 111
JUDGED = "steepest"
POINTS = {
    "minimum": np.ones(N),
    "(-1.2, 1, ...)": np.tile([-1.2, 1.0], N // 2),
    "(-1, ..., 1)": np.linspace(-1, 1, N),
    **{f"random {seed}": np.random.default_rng(seed).uniform(-2, 2, N) for seed in range(3)},
}
VALUES = {
    JUDGED: lambda f, x: sd.hessian(f, x),
    "steepest forward": lambda f, x: sd.hessian(f, x, method="forward"),
    "steepest complex": lambda f, x: sd.hessian(f, x, method="complex"),
    "steepest, error bars": lambda f, x: sd.hessian(f, x, full_output=True).value,
    "statsmodels approx_hess1": lambda f, x: numdiff.approx_hess1(x, f),
    "statsmodels approx_hess2": lambda f, x: numdiff.approx_hess2(x, f),
    "statsmodels approx_hess3": lambda f, x: numdiff.approx_hess3(x, f),
    "statsmodels approx_hess_cs": lambda f, x: numdiff.approx_hess_cs(x, f),
    "numdifftools": lambda f, x: numdifftools.Hessian(f)(x),
}
GRADIENTS = {
    "steepest, grad": lambda g, x: sd.hessian(None, x, grad=g),
    "steepest, grad, complex": lambda g, x: sd.hessian(None, x, grad=g, method="complex"),
    "numdifftools, Jacobian of grad": lambda g, x: numdifftools.Jacobian(g)(x),
}
V = np.cos(np.arange(N))


def counted(f):
    """F, counting its calls."""
    def call(x):
        call.calls += 1
        return f(x)

    call.calls = 0
    return call


def accuracy():
    """One row for each method: the calls, and the error at each point."""
    rows = []
    for function, methods in ((rosen, VALUES), (rosen_der, GRADIENTS)):
        for name, method in methods.items():
            errors = []
            for x in POINTS.values():
                f, exact = counted(function), rosen_hess(x)
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    found = method(f, x)
                errors.append(float(abs(found - exact).max() / abs(exact).max()))
            judged = name == JUDGED
            reached = bool(errors[0] <= TARGET and f.calls <= CALLS) if judged else None
            rows.append(["A5" if judged else "", name, f.calls, TARGET if judged else None, reached, *errors])
    columns = {"row": text, "method": text, "calls": "{}".format, "target": scientific, "reached": verdict,
               **dict.fromkeys(POINTS, scientific)}
    notes = ["Largest error, as a share of the largest entry. A5 is judged at the minimum, where Hessians are wanted."]
    return Table(f"A5: the Hessian of Rosenbrock's function, n = {N}", columns, rows, notes)


def times(quick):
    """What a whole call costs beyond its calls of f."""
    rows = []
    for n in (2, 10, 50):
        x, v = np.linspace(-1, 1, n), np.cos(np.arange(n))
        evaluations = {"hessian": n * n + n + 1, "hvp": 4 * n}
        calls = {"hessian": lambda x=x: sd.hessian(rosen, x), "hvp": lambda x=x, v=v: sd.hvp(rosen, x, v)}
        peer = {"hessian": lambda x=x: numdiff.approx_hess3(x, rosen)}
        for what, call in calls.items():
            contenders = {
                "bare": lambda x=x, k=evaluations[what]: [rosen(x) for _ in range(k)],
                "steepest": call,
                **({"statsmodels approx_hess3": peer[what]} if what in peer and n < 50 else {}),
            }
            found = compare(contenders, "bare", quick)
            rows += [[what, n, name, found.ratio(name), found.time(name)] for name in contenders]
    columns = {"what": text, "n": "{}".format, "contender": text, "ratio": ratio, "time": duration}
    return Table("Time of a whole call, against as many bare calls of f as steepest makes", columns, rows)


def products():
    """Errors of products with a vector."""
    rows = []
    for name, function, call in (
        ("hvp", rosen, lambda f, x: sd.hvp(f, x, V)),
        ("hvp, complex", rosen, lambda f, x: sd.hvp(f, x, V, method="complex")),
        ("hvp, grad", rosen_der, lambda g, x: sd.hvp(None, x, V, grad=g)),
        ("hvp, grad, complex", rosen_der, lambda g, x: sd.hvp(None, x, V, grad=g, method="complex")),
    ):
        errors = []
        for x in POINTS.values():
            f, exact = counted(function), rosen_hess_prod(x, V)
            errors.append(float(abs(call(f, x) - exact).max() / abs(exact).max()))
        rows.append([name, f.calls, *errors])
    columns = {"method": text, "calls": "{}".format, **dict.fromkeys(POINTS, scientific)}
    return Table(f"Its products with a vector, n = {N}", columns, rows)


def constants():
    """The median error over the points, for other constants of the default step."""
    rows, kept = [], dict(curvature.CURVATURE_CONSTANT)
    try:
        for c in (0.5, 0.75, 1.0, 1.5, 2.0):
            curvature.CURVATURE_CONSTANT.update({1: c, 2: c})
            errors = {
                method: [abs(sd.hessian(rosen, x, method=method) - rosen_hess(x)).max() / abs(rosen_hess(x)).max()
                         for x in POINTS.values()]
                for method in ("central", "forward")
            }
            rows.append([c, errors["central"][0], *(float(np.median(each)) for each in errors.values())])
    finally:
        curvature.CURVATURE_CONSTANT.update(kept)
    columns = {"c": "{}".format, "central, minimum": scientific, "central": scientific, "forward": scientific}
    return Table("The constant of the default step, and the median error", columns, rows)


def tables(quick):
    """All tables."""
    yield accuracy()
    yield products()
    yield constants()
    yield times(quick)


if __name__ == "__main__":
    command_line(tables)
