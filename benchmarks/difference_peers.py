"""First derivatives by steepest and by its peers, in one shape: value, error estimate, success.

Here so that every table of bench_accuracy.py asks all of them alike. A peer that cannot be imported is left out, and
`MISSING` says why.
"""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import steepest as sd

MISSING: list[str] = []


class Answer(NamedTuple):
    """What a method says; None for what it does not say."""

    value: np.ndarray
    error: np.ndarray | None = None
    success: np.ndarray | None = None


class Method(NamedTuple):
    """A way to a derivative of a function of one number, and to a gradient."""

    name: str
    derivative: Callable
    gradient: Callable


def ours(name, full=True, **options):
    """One of our own; the error estimate of an adaptive difference costs nothing, that of others as much again."""

    def answer(found):
        if not full:
            return Answer(found)
        return Answer(found.value, found.error, np.asarray(found.status) <= sd.Status.FIXED)

    return Method(
        name,
        lambda f, x: answer(sd.derivative(f, x, full_output=full, **options)),
        lambda f, x: answer(sd.gradient(f, x, full_output=full, **options)),
    )


OURS = [
    ours("steepest central", full=False),
    ours("steepest central, error bars"),
    ours("steepest central, order 4", order=4),
    ours("steepest central, order 6", order=6),
    ours("steepest central, order 8", order=8),
    ours("steepest forward", method="forward"),
    ours("steepest backward", method="backward"),
    ours("steepest complex", method="complex"),
    ours("steepest adaptive", method="adaptive"),
    ours("steepest adaptive, rtol 1e-8", method="adaptive", rtol=1e-8),
]


def scipy_private(module):
    """The differences behind ``jac="3-point"`` in scipy.optimize."""
    for name in ("2-point", "3-point", "cs"):
        def solve(f, x, name=name):
            return Answer(module.approx_derivative(f, x, method=name))

        yield Method(f"scipy {name}", solve, solve)


def scipy_differentiate(module):
    """Extrapolation by nested stencils; f takes arrays of numbers, and (n, k) points."""

    def derivative(f, x):
        found = module.derivative(f, x)
        return Answer(found.df, found.error, found.success)

    def gradient(f, x):
        found = module.jacobian(lambda points: np.apply_along_axis(f, 0, points), x)
        return Answer(found.df, found.error, found.success)

    yield Method("scipy.differentiate", derivative, gradient)


def numdifftools(module):
    """Extrapolation over fifteen steps."""

    def derivative(f, x):
        found = module.Derivative(f, full_output=True)(x)
        return Answer(found.estimate, found.error_estimate)

    def gradient(f, x):
        found = module.Gradient(f, full_output=True)(x)
        return Answer(found.estimate, np.reshape(found.error_estimate, np.shape(found.estimate)))

    yield Method("numdifftools", derivative, gradient)


def statsmodels(module):
    """Plain central differences."""
    yield Method("statsmodels central", lambda f, x: Answer(module.approx_fprime(np.array([x]), f, centered=True)),
                 lambda f, x: Answer(module.approx_fprime(x, f, centered=True)))


def jacobi(module):
    """A polynomial fitted to differences."""

    def solve(f, x):
        return Answer(*module.jacobi(f, x))

    yield Method("jacobi", solve, solve)


def derivkit(module):
    """A polynomial fitted at Chebyshev points, and fixed stencils."""
    for name in ("adaptive", "finite"):
        def derivative(f, x, name=name):
            return Answer(module.DerivativeKit(f, x).differentiate(method=name, order=1))

        def gradient(f, x, name=name):
            return Answer(module.CalculusKit(f, x).gradient(method=name))

        yield Method(f"derivkit {name}", derivative, gradient)


PEERS = []
for path, methods in (
    ("scipy.optimize._numdiff", scipy_private), ("scipy.differentiate", scipy_differentiate),
    ("numdifftools", numdifftools), ("statsmodels.tools.numdiff", statsmodels), ("jacobi", jacobi),
    ("derivkit", derivkit),
):
    try:
        PEERS += list(methods(importlib.import_module(path)))
    except ImportError as error:
        MISSING.append(f"{path}: left out, {error}")
