"""Functions of one number that are hard to difference, each at one point, with the exact derivative, as data.

Here because an error bar shows its worth where steps go wrong: scales that x does not show, cancellation inside f, ends
of domains, periods shorter than any step. Used by bench_accuracy.py, tests/test_adaptive.py, tests/test_error_bars.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import cos, cosh, exp, log, pi, sin, sqrt, tanh


class Hard(NamedTuple):
    """A function and where to look at it; `digits` is the relative error that an adaptive difference is to reach."""

    name: str
    f: Callable
    derivative: Callable
    x: float
    digits: float | None = None     # None: right to a tenth, or unresolved

    @property
    def exact(self):
        """The derivative."""
        return float(self.derivative(self.x))

    def __str__(self):
        return self.name


def wave(k, x):
    """A sine whose period is so short that only the smallest steps see it."""
    return Hard(f"sin(1e{k} x) at {x}", lambda t: sin(10.0**k * t), lambda t: 10.0**k * cos(10.0**k * t), x)


HARD = [
    Hard("sin at 1e20", sin, cos, 1e20),
    Hard("tanh(1e8 (x - 1)) at 1", lambda t: tanh(1e8 * (t - 1)), lambda t: 1e8 / cosh(1e8 * (t - 1)) ** 2, 1.0),
    wave(12, 0.0),
    wave(12, 0.3),
    *(wave(k, x) for k in range(1, 10) for x in (0.3, 0.77, 1.234)),
    Hard("log at 1e-10", log, lambda t: 1 / t, 1e-10, 1e-11),
    Hard("1/x at 1e-10", lambda t: 1 / t, lambda t: -1 / t**2, 1e-10, 1e-11),
    Hard("sqrt at 1e-12", sqrt, lambda t: 0.5 / sqrt(t), 1e-12, 1e-11),
    Hard("sin at 1000", sin, cos, 1000.0, 1e-10),
    Hard("exp(-x/1e6) at 1", lambda t: exp(-t / 1e6), lambda t: -1e-6 * exp(-t / 1e6), 1.0, 1e-10),
    Hard("exp(100 x) at 0", lambda t: exp(100 * t), lambda t: 100 * exp(100 * t), 0.0, 1e-11),
    Hard("log(x - 99.9) at 100", lambda t: log(t - 99.9), lambda t: 1 / (t - 99.9), 100.0, 1e-10),
    Hard("1/(x + 1e-10) at 0", lambda t: 1 / (t + 1e-10), lambda t: -1 / (t + 1e-10) ** 2, 0.0, 1e-8),
    Hard("sin(1e4 x) at 0", lambda t: sin(1e4 * t), lambda t: 1e4 * cos(1e4 * t), 0.0, 1e-11),
    Hard("sin(2 pi 1024 x) at 0", lambda t: sin(2 * pi * 1024 * t), lambda t: 2 * pi * 1024, 0.0, 1e-11),
    Hard("x**99 at 1.01", lambda t: t**99, lambda t: 99 * t**98, 1.01, 1e-11),
    Hard("x + 1e-3 sin(1e5 x)", lambda t: t + 1e-3 * sin(1e5 * t), lambda t: 1 + 100 * cos(1e5 * t), 0.2, 1e-7),
    Hard("tanh(1e3 (x - 1))", lambda t: tanh(1e3 * (t - 1)), lambda t: 1e3 / cosh(1e3 * (t - 1)) ** 2, 1.0005, 1e-9),
    Hard("1/(1 + 1e6 x**2)", lambda t: 1 / (1 + 1e6 * t * t), lambda t: -2e6 * t / (1 + 1e6 * t * t) ** 2, 1e-3, 1e-11),
    Hard("exp(-1e10 x**2)", lambda t: exp(-1e10 * t * t), lambda t: -2e10 * t * exp(-1e10 * t * t), 1e-5, 1e-11),
    Hard("cos(x) - 1 at 1e-8", lambda t: cos(t) - 1, lambda t: -sin(t), 1e-8, 1e-4),
    Hard("1e6 + sin at 1", lambda t: 1e6 + sin(t), cos, 1.0, 1e-6),
    Hard("exp at 1e-300", exp, exp, 1e-300, 1e-10),
    Hard("1e-300 x at 1e300", lambda t: 1e-300 * t, lambda t: 1e-300, 1e300, 1e-13),
    Hard("a cubic at 1e-9", lambda t: 1e4 * t**3 + 0.01 * t * t + 5 * t, lambda t: 3e4 * t * t + 0.02 * t + 5, 1e-9,
         1e-11),
]


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        print(*(f"{case.name:<24} {case.exact:>12.5g}" for case in HARD), sep="\n")
