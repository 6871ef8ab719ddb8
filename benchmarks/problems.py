"""Sixteen functions of one number with exact derivatives and intervals, as data: where differences are easy and hard.

Here because accuracy per evaluation means nothing without a published set of problems to measure it on.
Used by bench_accuracy.py, which runs `check` first.

The sets: elementary functions; GMSW [1]_; SXXN [2]_; Oliver [3]_; collected in M. Baudin's numericalderivative [4]_.

.. [1] P. E. Gill, W. Murray, M. A. Saunders, M. H. Wright, "Computing forward-difference intervals for numerical
   optimization", SIAM J. Sci. Stat. Comput. 4 (1983) 310-321, equation 4.
.. [2] H.-J. M. Shi, Y. Xie, M. Q. Xuan, J. Nocedal, "Adaptive finite-difference interval estimation for noisy
   derivative-free optimization", SIAM J. Sci. Comput. 44 (2022) A2302-A2321.
.. [3] J. Oliver, "An algorithm for numerical differentiation of a function of one real variable", J. Comput. Appl.
   Math. 6 (1980) 145-160.
.. [4] https://github.com/mbaudin47/numerical_derivative
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import arctan, cos, exp, expm1, log, pi, sin, sqrt

POINTS = 20     # equally spaced, a problem


class Problem(NamedTuple):
    """A function, its derivative and where to look at it."""

    name: str
    f: Callable
    derivative: Callable
    interval: tuple[float, float]

    def points(self):
        """The points of the grid."""
        return np.linspace(*self.interval, POINTS)


PROBLEMS = [
    Problem("polynomial", lambda x: x**2, lambda x: 2 * x, (-12, 12)),
    Problem("inverse", lambda x: 1 / x, lambda x: -1 / x**2, (0.01, 12)),
    Problem("exp", exp, exp, (0, 12)),
    Problem("log", log, lambda x: 1 / x, (0.01, 12)),
    Problem("sqrt", sqrt, lambda x: 0.5 / sqrt(x), (0.01, 12)),
    Problem("atan", arctan, lambda x: 1 / (1 + x**2), (-12, 12)),
    Problem("sin", sin, cos, (-pi, pi)),
    Problem("scaled exp", lambda x: exp(-1e-6 * x), lambda x: -1e-6 * exp(-1e-6 * x), (0, 12)),
    Problem(
        "GMSW",
        lambda x: (exp(x) - 1) ** 2 + (1 / sqrt(1 + x**2) - 1) ** 2,
        lambda x: 2 * expm1(x) * exp(x) - 2 * (1 / sqrt(1 + x**2) - 1) * x * (1 + x**2) ** -1.5,
        (0.001, 12),
    ),
    Problem("SXXN-1", lambda x: (exp(x) - 1) ** 2, lambda x: 2 * expm1(x) * exp(x), (-12, 12)),
    Problem("SXXN-2", lambda x: exp(100 * x), lambda x: 100 * exp(100 * x), (-1, 1)),
    Problem("SXXN-3", lambda x: x**4 + 3 * x**2 - 10 * x, lambda x: 4 * x**3 + 6 * x - 10, (-12, 12)),
    Problem(
        "SXXN-4",
        lambda x: 1e4 * x**3 + 0.01 * x**2 + 5 * x,
        lambda x: 3e4 * x**2 + 0.02 * x + 5,
        (-12, 12),
    ),
    Problem("Oliver-1", lambda x: exp(4 * x), lambda x: 4 * exp(4 * x), (-12, 12)),
    Problem("Oliver-2", lambda x: exp(x**2), lambda x: 2 * x * exp(x**2), (-12, 12)),
    Problem("Oliver-3", lambda x: x**2 * log(x), lambda x: 2 * x * log(x) + x, (0.01, 12)),
]


def check(rtol=1e-13):
    """Compare every derivative with a complex step, which is free of cancellation; AssertionError where they differ.

    >>> check()
    320
    """
    points = 0
    for problem in PROBLEMS:
        x = problem.points()
        exact, step = problem.derivative(x), 1e-30
        np.testing.assert_allclose(exact, problem.f(x + 1j * step).imag / step, rtol=rtol, err_msg=problem.name)
        assert np.isfinite(exact).all() and exact.all(), f"{problem.name}: no relative error where f' is 0"
        points += x.size
    return points


if __name__ == "__main__":
    print(f"{len(PROBLEMS)} problems, {check()} points: every derivative agrees with a complex step")
