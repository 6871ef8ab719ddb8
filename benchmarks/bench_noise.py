"""Error and calls of f of derivatives of noisy functions, for steepest and its peers: row A4.

Here because nobody else takes noise into account; relative errors, medians of 30 draws, counted calls. Peers that are
not installed are left out. Used by ci/benchmark.
"""

import importlib
import warnings

import numpy as np
from interleave import Table, command_line, scientific, text, verdict
from scipy.differentiate import derivative as scipy_derivative
from scipy.optimize._numdiff import approx_derivative

import steepest as sd

DRAWS = 30
# Function, derivative, point, half the width of the uniform noise, relative error to be reached (or None).
CASES = {
    "sin(x) at 1, noise 1e-6": (np.sin, np.cos, 1.0, 1e-6, None),
    "exp(100 x) at 0.01, noise 1e-3": (lambda x: np.exp(100 * x), lambda x: 100 * np.exp(100 * x), 0.01, 1e-3, None),
    "exp(-x/1e6) at 1, noise 1e-3": (lambda x: np.exp(-x / 1e6), lambda x: -1e-6 * np.exp(-x / 1e6), 1.0, 1e-3, 1e-2),
    "exp(-x/1e6) at 1, noise 1e-9": (lambda x: np.exp(-x / 1e6), lambda x: -1e-6 * np.exp(-x / 1e6), 1.0, 1e-9, None),
}


class Noisy:
    """A function with uniform noise, and the number of points at which it was evaluated."""

    def __init__(self, f, width, seed):
        self.f, self.width, self.random, self.calls = f, width, np.random.default_rng(seed), 0

    def __call__(self, x):
        self.calls += np.size(x)
        return self.f(x) + self.width * self.random.uniform(-1, 1, np.shape(x))


def methods():
    """``(name, whether it is ours, derivative by f, x, level)``."""
    yield "steepest noise=level", True, lambda f, x, level: sd.derivative(f, x, noise=level)
    yield 'steepest noise="auto"', True, lambda f, x, level: sd.derivative(f, x, noise="auto")
    yield "steepest noise=level, order 4", False, lambda f, x, level: sd.derivative(f, x, noise=level, order=4)
    yield "steepest noise=level, forward", False, lambda f, x, level: sd.derivative(f, x, noise=level, method="forward")
    yield "steepest central", False, lambda f, x, level: sd.derivative(f, x)
    yield "scipy 3-point", False, lambda f, x, level: approx_derivative(f, x, method="3-point")
    yield "scipy.differentiate", False, lambda f, x, level: scipy_derivative(f, x).df
    for name, call in (
        ("numdifftools", lambda module: lambda f, x, level: module.Derivative(f)(x)),
        ("jacobi", lambda module: lambda f, x, level: module.jacobi(f, x)[0]),
        ("derivkit", lambda module: lambda f, x, level: module.DerivativeKit(f, x).differentiate(order=1)),
    ):
        try:
            yield name, False, call(importlib.import_module(name))
        except ImportError:
            continue


def errors_of(method, case):
    """Relative errors, mean number of calls, and how often we warned."""
    f, slope, x, width, _ = case
    errors, calls, warned = [], 0, 0
    for seed in range(DRAWS):
        noisy = Noisy(f, width, seed)
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            try:
                found = np.array(method(noisy, x, width)).item()
            except Exception:
                found = np.nan
        warned += any(issubclass(one.category, sd.DifferenceWarning) for one in caught)
        errors.append(abs(found / slope(x) - 1) if np.isfinite(found) else np.inf)
        calls += noisy.calls
    return np.array(errors), calls / DRAWS, warned


def tables(quick):
    """One table; `quick` changes nothing, for nothing here is timed."""
    rows = []
    for title, case in CASES.items():
        for name, ours, method in methods():
            errors, calls, warned = errors_of(method, case)
            target = case[-1] if ours else None
            median = float(np.median(errors))
            rows.append([
                "A4" if target else "", title, name, target, median, bool(median <= target) if target else None,
                float(errors.max()), calls, warned,
            ])
    columns = {
        "row": text, "case": text, "method": text, "target": scientific, "median error": scientific,
        "reached": verdict, "worst": scientific, "calls": "{:.1f}".format, "warned": "{}".format,
    }
    notes = [f"Relative errors of {DRAWS} draws of uniform noise of this half-width."]
    yield Table("A4: derivatives of noisy functions", columns, rows, notes)


if __name__ == "__main__":
    command_line(tables)
