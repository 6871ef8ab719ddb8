"""Error and calls of f at 320 points of sixteen functions, for steepest and its peers: row A1.

Here because a fast difference with a bad step is worth nothing; relative errors, exact derivatives, counted calls.
Used by ci/benchmark.
"""

import warnings

import numdifftools
import numpy as np
from interleave import Table, command_line, scientific, text, verdict
from problems import PROBLEMS, check
from scipy.optimize._numdiff import approx_derivative
from statsmodels.tools.numdiff import approx_fprime

import steepest as sd

TARGET, CALLS = 4e-11, 3.0
JUDGED = "steepest central"

METHODS = {
    JUDGED: lambda f, x: sd.derivative(f, x),
    "steepest forward": lambda f, x: sd.derivative(f, x, method="forward"),
    "steepest complex": lambda f, x: sd.derivative(f, x, method="complex"),
    "steepest central, order 4": lambda f, x: sd.derivative(f, x, order=4),
    "steepest central, order 6": lambda f, x: sd.derivative(f, x, order=6),
    "steepest central, order 8": lambda f, x: sd.derivative(f, x, order=8),
    "reference central": lambda f, x: on_reference(f, x),
    "scipy 3-point": lambda f, x: approx_derivative(f, x, method="3-point"),
    "scipy 2-point": lambda f, x: approx_derivative(f, x, method="2-point"),
    "scipy cs": lambda f, x: approx_derivative(f, x, method="cs"),
    "statsmodels central": lambda f, x: approx_fprime(np.array([x]), f, centered=True),
    "numdifftools": lambda f, x: numdifftools.Derivative(f)(x),
}


def on_reference(f, x):
    """The library on its NumPy twin, which must give the same bits."""
    with sd.backend("reference"):
        return sd.derivative(f, x)


class Counted:
    """A function and the number of points at which it was evaluated."""

    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, x):
        self.calls += np.size(x)
        return self.f(x)


def errors_of(method):
    """Relative errors and calls at every point; an infinite error where the result is not finite."""
    errors, calls = [], []
    for problem in PROBLEMS:
        for x in problem.points():
            f = Counted(problem.f)
            exact = problem.derivative(x)
            found = np.array(method(f, float(x))).item()
            errors.append(abs(found - exact) / abs(exact) if np.isfinite(found) else np.inf)
            calls.append(f.calls)
    return np.array(errors), np.array(calls)


def tables(quick):
    """One table of medians; `quick` changes nothing, for nothing here is timed."""
    points = check()
    rows = []
    for name, method in METHODS.items():
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            errors, calls = errors_of(method)
        judged, median = name == JUDGED, float(np.median(errors))
        rows.append([
            "A1" if judged else "", name, TARGET if judged else None, median,
            bool(median <= TARGET and calls.mean() <= CALLS) if judged else None,
            float(np.quantile(errors, 0.9)), float(calls.mean()), int(np.sum(errors > 1e-3)), len(caught),
        ])
    columns = {
        "row": text, "method": text, "target": scientific, "median error": scientific, "reached": verdict,
        "90 %": scientific, "calls": "{:.1f}".format, "errors > 1e-3": "{}".format, "warnings": "{}".format,
    }
    notes = [f"Relative errors at {points} points; A1 asks for at most {CALLS:g} calls as well."]
    yield Table("A1: accuracy of a first derivative for what it costs", columns, rows, notes)


if __name__ == "__main__":
    command_line(tables)
