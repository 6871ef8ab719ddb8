"""Eleven smooth functions of 31 to 1000 variables with their gradients, in NumPy: what a walk meets beyond small ones.

Here because the problems of more_garbow_hillstrom.py beside it are small: narrow valleys, bad scales, a singular
minimum, real data and a surface are wanted in many variables, too. Tested in tests/test_larger_problems.py.

Formulas of NONDQUAR, ENGVAL1 and LIARWHD are those of CUTE (Bongartz, Conn, Gould, Toint, ACM TOMS 21(1) (1995)
123-160), the strictly convex ones those of Raydan (SIAM J. Optim. 7(1) (1997) 26-33). A complex x is taken as that of
an analytic function, so that a complex step may go through.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["PROBLEMS", "Problem"]


@dataclass(frozen=True)
class Problem:
    """One function with its gradient and its start."""

    name: str
    both: Callable      # x -> (value, function without arguments that gives the gradient)
    x0: np.ndarray

    @property
    def n(self):
        return len(self.x0)

    def f(self, x):
        return self.both(np.asarray(x))[0]

    def grad(self, x):
        return self.both(np.asarray(x))[1]()

    def __str__(self):
        return self.name


PROBLEMS: list[Problem] = []


def problem(x0, *given, name=None):
    """Put a function of x, and of what is given, into the list, with its start."""

    def add(function):
        shown = function.__name__.replace("_", " ") if name is None else name
        PROBLEMS.append(Problem(shown, functools.partial(function, *given) if given else function,
                                np.array(x0, float)))
        return function

    return add


def beside(x, left, right):
    """A gradient from the slopes of terms in neighbours: `left` in the first of two, `right` in the second."""
    g = np.zeros_like(x)
    g[:-1] += left
    g[1:] += right
    return g


@problem([-1.2, 1] * 50)
def chained_Rosenbrock(x):
    across, along = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    return (100 * (across * across).sum() + (along * along).sum(),
            lambda: beside(x, -400 * across * x[:-1] - 2 * along, 200 * across))


@problem([1, -1] * 50)
def NONDQUAR(x):
    first, last, sums = x[0] - x[1], x[-2] + x[-1], x[:-2] + x[1:-1] + x[-1]

    def gradient():
        cubes = 4 * sums**3
        g = np.append(beside(x[:-1], cubes, cubes), cubes.sum())
        g[:2] += 2 * first, -2 * first
        g[-2:] += 2 * last
        return g

    return first**2 + last**2 + (sums**4).sum(), gradient


@problem(np.full(1000, 2.0))
def ENGVAL1(x):
    sums = x[:-1] ** 2 + x[1:] ** 2
    return ((sums * sums - 4 * x[:-1] + 3).sum(),
            lambda: beside(x, 4 * sums * x[:-1] - 4, 4 * sums * x[1:]))


@problem(np.full(1000, 4.0))
def LIARWHD(x):
    off = x * x - x[0]

    def gradient():
        g = 16 * off * x + 2 * (x - 1)
        g[0] -= 8 * off.sum()
        return g

    return (4 * off * off + (x - 1) ** 2).sum(), gradient


@problem(np.arange(1, 1001) / 1000)
def strictly_convex_1(x):
    rise = np.exp(x)
    return (rise - x).sum(), lambda: rise - 1


@problem(np.ones(1000))
def strictly_convex_2(x):
    weights, rise = np.arange(1, 1001) / 10, np.exp(x)
    return (weights * (rise - x)).sum(), lambda: weights * (rise - 1)


@problem(np.ones(1000), 1e2, name="quadratic, condition 1e2")
@problem(np.ones(1000), 1e4, name="quadratic, condition 1e4")
def quadratic(condition, x):
    scaled = np.geomspace(1, condition, len(x)) * x
    return 0.5 * (scaled * x).sum(), lambda: scaled


@functools.cache
def tumours():
    """Breast cancer data of scikit-learn: 569 standardised rows with a constant, times -1 or 1 by their class."""
    from sklearn.datasets import load_breast_cancer

    rows, classes = load_breast_cancer(return_X_y=True)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return np.column_stack([rows, np.ones(len(rows))]) * (2 * classes - 1)[:, None]


@problem(np.zeros(31))
def logistic_regression(x):
    """Mean loss, and a penalty of 1e-3 for all but the constant."""
    rows = tumours()
    margin = rows @ x
    fall = np.exp(-np.where(margin.real < 0, -margin, margin))      # never overflows
    loss = np.log1p(fall) + np.where(margin.real < 0, -margin, 0)
    penalised = 1e-3 * np.append(x[:-1], 0)
    return (loss.mean() + 0.5 * (penalised * x).sum(),
            lambda: penalised - (np.where(margin.real < 0, 1, fall) / (1 + fall)) @ rows / len(rows))


SIDE = 30       # of the square of points that are free, of the minimal surface


@functools.cache
def frame():
    """Heights on the unit square: those of a saddle on its edge, and 0 inside."""
    t = np.linspace(-1, 1, SIDE + 2)
    heights = t[:, None] ** 2 - t**2
    heights[1:-1, 1:-1] = 0
    return heights


@problem(np.zeros(SIDE * SIDE))
def minimal_surface(x):
    """Area of a surface of triangles, two in each square of the grid."""
    heights, h = frame().astype(x.dtype), 1 / (SIDE + 1)
    heights[1:-1, 1:-1] = x.reshape(SIDE, SIDE)
    down, right = np.diff(heights, axis=0) / h, np.diff(heights, axis=1) / h
    upper = np.sqrt(1 + down[:, :-1] ** 2 + right[:-1] ** 2)
    lower = np.sqrt(1 + down[:, 1:] ** 2 + right[1:] ** 2)

    def gradient():
        half = h / 2
        g = np.zeros_like(heights)
        for slope, first, second in ((down[:, :-1] / upper, np.s_[:-1, :-1], np.s_[1:, :-1]),
                                     (right[:-1] / upper, np.s_[:-1, :-1], np.s_[:-1, 1:]),
                                     (down[:, 1:] / lower, np.s_[:-1, 1:], np.s_[1:, 1:]),
                                     (right[1:] / lower, np.s_[1:, :-1], np.s_[1:, 1:])):
            g[first] -= half * slope
            g[second] += half * slope
        return g[1:-1, 1:-1].reshape(-1)

    return h * h / 2 * (upper.sum() + lower.sum()), gradient


@problem(np.random.default_rng(0).uniform(-2, 2, 500))
def quartic_chain(x):
    steps = np.diff(x)
    cubes = 4 * steps**3
    return (steps**4).sum() + 5e-3 * ((x - 1) ** 2).sum(), lambda: beside(x, -cubes, cubes) + 1e-2 * (x - 1)
