"""The 35 least-squares functions of Moré, Garbow and Hillstrom with their exact Jacobians, in NumPy.

Here because derivatives and descents want problems whose answers are known: f(x) = sum of r², its gradient 2 Jᵀr.
Formulas, sizes and starts are those of ACM TOMS 7(1) (1981) 17-41. Tested in tests/test_more_garbow_hillstrom.py.

Everything is computed in the floating type of x (float32, float64, longdouble), and a complex x is taken as that of an
analytic function, so that a complex step may go through. A function gives its residuals and, to be called when it is
wanted, its Jacobian of shape (m, n).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["PROBLEMS", "Problem"]


@dataclass(frozen=True)
class Problem:
    """One function with its start; `value` is f(x0) as published, or worked out from the formula by hand."""

    number: int
    name: str
    both: Callable          # x -> (residuals, function without arguments that gives the Jacobian)
    x0: np.ndarray
    m: int
    value: float

    @property
    def n(self):
        return len(self.x0)

    def residuals(self, x):
        return self.both(np.asarray(x))[0]

    def jacobian(self, x):
        return self.both(np.asarray(x))[1]()

    def f(self, x):
        r = self.residuals(x)
        return (r * r).sum()

    def grad(self, x):
        r, jacobian = self.both(np.asarray(x))
        return 2 * (r @ jacobian())

    def __str__(self):
        return f"{self.number}-{self.name}"


PROBLEMS: list[Problem] = []


def problem(number, x0, m, value):
    """Put a function of x into the list, with its start."""

    def add(function):
        name = function.__name__.replace("_", " ")
        PROBLEMS.append(Problem(number, name, function, np.array(x0, float), m, value))
        return function

    return add


def like(x, values):
    """Constants in the real type of x."""
    return np.asarray(values, x.real.dtype)


def columns(*parts):
    """A Jacobian from its columns."""
    return np.stack(np.broadcast_arrays(*parts), axis=1)


def indices(x, first=1, count=None):
    """``first, first + 1, ...`` as numbers of the type of x."""
    return like(x, np.arange(first, first + (len(x) if count is None else count)))


@problem(1, [-1.2, 1], 2, 24.2)
def rosenbrock(x):
    a, b = x
    return np.array([10 * (b - a * a), 1 - a]), lambda: np.array([[-20 * a, 10 + 0 * a], [-1, 0]], x.dtype)


@problem(2, [0.5, -2], 2, 400.5)
def freudenstein_and_roth(x):
    a, b = x
    return (np.array([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b]),
            lambda: np.array([[1, (10 - 3 * b) * b - 2], [1, (3 * b + 2) * b - 14]], x.dtype))


@problem(3, [0, 1], 2, 1.13526171734838)
def powell_badly_scaled(x):
    a, b = x
    return (np.array([10000 * a * b - 1, np.exp(-a) + np.exp(-b) - x.real.dtype.type(1.0001)]),
            lambda: np.array([[10000 * b, 10000 * a], [-np.exp(-a), -np.exp(-b)]]))


@problem(4, [1, 1], 3, 999998000003.0)
def brown_badly_scaled(x):
    a, b = x
    return (np.array([a - 1e6, b - 2e-6, a * b - 2]),
            lambda: np.array([[1, 0], [0, 1], [b, a]], x.dtype))


@problem(5, [1, 1], 3, 14.203125)
def beale(x):
    a, b = x
    i = like(x, [1, 2, 3])
    return (like(x, [1.5, 2.25, 2.625]) - a * (1 - b**i),
            lambda: columns(b**i - 1, a * i * b ** (i - 1)))


@problem(6, [0.3, 0.4], 10, 4171.306160)
def jennrich_and_sampson(x):
    i = indices(x, 1, 10)
    a, b = np.exp(i * x[0]), np.exp(i * x[1])
    return 2 + 2 * i - (a + b), lambda: columns(-i * a, -i * b)


@problem(7, [-1, 0, 0], 3, 2500.0)
def helical_valley(x):
    a, b, c = x
    turn = 2 * like(x, np.pi)
    radius = np.sqrt(a * a + b * b)
    angle = np.arctan(b / a) / turn + (x.real.dtype.type(0.5) if a.real < 0 else 0)
    scale = 100 / (turn * radius * radius)
    return (np.array([10 * (c - 10 * angle), 10 * (radius - 1), c]),
            lambda: np.array([[scale * b, -scale * a, 10], [10 * a / radius, 10 * b / radius, 0], [0, 0, 1]], x.dtype))


BARD = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]


@problem(8, [1, 1, 1], 15, 41.68170)
def bard(x):
    u = indices(x, 1, 15)
    v = 16 - u
    w = np.minimum(u, v)
    below = v * x[1] + w * x[2]
    return (like(x, BARD) - (x[0] + u / below),
            lambda: columns(-np.ones_like(below), u * v / below**2, u * w / below**2))


GAUSSIAN = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989]


@problem(9, [0.4, 1, 0], 15, 3.888106991e-06)
def gaussian(x):
    t = (8 - indices(x, 1, 15)) / 2
    off = t - x[2]
    bell = np.exp(-x[1] * off**2 / 2)
    return (x[0] * bell - like(x, GAUSSIAN + GAUSSIAN[-2::-1]),
            lambda: columns(bell, -x[0] * bell * off**2 / 2, x[0] * bell * x[1] * off))


MEYER = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]


@problem(10, [0.02, 4000, 250], 16, 1.693607809e9)
def meyer(x):
    below = 45 + 5 * indices(x, 1, 16) + x[2]
    rise = np.exp(x[1] / below)
    return (x[0] * rise - like(x, MEYER),
            lambda: columns(rise, x[0] * rise / below, -x[0] * x[1] * rise / below**2))


@problem(11, [5, 2.5, 0.15], 99, 12.11070582)
def gulf_research_and_development(x):
    t = indices(x, 1, 99) / 100
    off = 25 + (-50 * np.log(t)) ** (like(x, 2) / 3) - x[1]
    side = like(x, np.where(off.real < 0, 1, -1))    # the slope of |off| in x[1]
    off = -side * off
    power = off ** x[2]
    rise = np.exp(-power / x[0])
    return (rise - t,
            lambda: columns(rise * power / x[0] ** 2, -rise * x[2] * power / off * side / x[0],
                            -rise * power * np.log(off) / x[0]).astype(x.dtype))


@problem(12, [0, 10, 20], 10, 1031.153811)
def box_three_dimensional(x):
    t = indices(x, 1, 10) / 10
    fall = np.exp(-t) - np.exp(-10 * t)
    return (np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * fall,
            lambda: columns(-t * np.exp(-t * x[0]), t * np.exp(-t * x[1]), -fall))


def powell_singular_parts(x):
    a, b, c, d = x.reshape(-1, 4).T
    five, ten = np.sqrt(like(x, [5, 10]))
    rows = np.stack([a + 10 * b, five * (c - d), (b - 2 * c) ** 2, ten * (a - d) ** 2], axis=1)

    def jacobian():
        found = np.zeros((len(x), len(x)), x.dtype)
        k = np.arange(0, len(x), 4)
        found[k, k], found[k, k + 1] = 1, 10
        found[k + 1, k + 2], found[k + 1, k + 3] = five, -five
        found[k + 2, k + 1], found[k + 2, k + 2] = 2 * (b - 2 * c), -4 * (b - 2 * c)
        found[k + 3, k], found[k + 3, k + 3] = 2 * ten * (a - d), -2 * ten * (a - d)
        return found

    return rows.reshape(-1), jacobian


@problem(13, [3, -1, 0, 1], 4, 215.0)
def powell_singular(x):
    return powell_singular_parts(x)


@problem(14, [-3, -1, -3, -1], 6, 19192.0)
def wood(x):
    a, b, c, d = x
    ten, ninety = np.sqrt(like(x, [10, 90]))
    return (np.array([10 * (b - a * a), 1 - a, ninety * (d - c * c), 1 - c, ten * (b + d - 2), (b - d) / ten]),
            lambda: np.array([[-20 * a, 10, 0, 0], [-1, 0, 0, 0], [0, 0, -2 * ninety * c, ninety], [0, 0, -1, 0],
                              [0, ten, 0, ten], [0, 1 / ten, 0, -1 / ten]], x.dtype))


KOWALIK = [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
OSBORNE = [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625]


@problem(15, [0.25, 0.39, 0.415, 0.39], 11, 5.313172272e-03)
def kowalik_and_osborne(x):
    u = like(x, OSBORNE)
    above, below = u * u + u * x[1], u * u + u * x[2] + x[3]
    return (like(x, KOWALIK) - x[0] * above / below,
            lambda: columns(-above / below, -x[0] * u / below, x[0] * above * u / below**2, x[0] * above / below**2))


@problem(16, [25, 5, -5, -1], 20, 7926693.336)
def brown_and_dennis(x):
    t = indices(x, 1, 20) / 5
    a, b = x[0] + t * x[1] - np.exp(t), x[2] + x[3] * np.sin(t) - np.cos(t)
    return a * a + b * b, lambda: columns(2 * a, 2 * a * t, 2 * b, 2 * b * np.sin(t))


OSBORNE_1 = [0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628,
             0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420,
             0.414, 0.411, 0.406]


@problem(17, [0.5, 1.5, -1, 0.01, 0.02], 33, 0.8790258)
def osborne_1(x):
    t = 10 * indices(x, 0, 33)
    a, b = np.exp(-t * x[3]), np.exp(-t * x[4])
    return (like(x, OSBORNE_1) - (x[0] + x[1] * a + x[2] * b),
            lambda: columns(-np.ones_like(a), -a, -b, t * x[1] * a, t * x[2] * b))


@problem(18, [1, 2, 1, 1, 1, 1], 13, 0.7790700757)
def biggs_exp6(x):
    t = indices(x, 1, 13) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    a, b, c = np.exp(-t * x[0]), np.exp(-t * x[1]), np.exp(-t * x[4])
    return (x[2] * a - x[3] * b + x[5] * c - y,
            lambda: columns(-t * x[2] * a, t * x[3] * b, a, -b, -t * x[5] * c, c))


OSBORNE_2 = [1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616,
             0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495,
             0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672,
             0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581,
             0.428, 0.292, 0.162, 0.098, 0.054]


@problem(19, [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], 65, 2.093420)
def osborne_2(x):
    t = indices(x, 0, 65) / 10
    heights, widths, off = x[1:4, None], x[5:8, None], t - x[8:, None]
    fall, bells = np.exp(-t * x[4]), np.exp(-(off**2) * widths)
    return (like(x, OSBORNE_2) - (x[0] * fall + (heights * bells).sum(axis=0)),
            lambda: columns(-fall, *-bells, t * x[0] * fall, *heights * bells * off**2,
                            *-2 * heights * bells * off * widths))


@problem(20, np.zeros(9), 31, 30.0)
def watson(x):
    j = np.arange(len(x))
    powers = (indices(x, 1, 29) / 29)[:, None] ** like(x, j)
    slopes = np.concatenate([np.zeros((29, 1), powers.dtype), like(x, j[1:]) * powers[:, :-1]], axis=1)
    total = powers @ x

    def jacobian():
        last = np.zeros((2, len(x)), x.dtype)
        last[0, 0], last[1, :2] = 1, [-2 * x[0], 1]
        return np.concatenate([slopes - 2 * total[:, None] * powers, last])

    return np.concatenate([slopes @ x - total**2 - 1, [x[0], x[1] - x[0] ** 2 - 1]]), jacobian


@problem(21, [-1.2, 1] * 5, 10, 121.0)
def extended_rosenbrock(x):
    a, b = x[::2], x[1::2]

    def jacobian():
        found = np.zeros((len(x), len(x)), x.dtype)
        k = np.arange(0, len(x), 2)
        found[k, k], found[k, k + 1], found[k + 1, k] = -20 * a, 10, -1
        return found

    return np.stack([10 * (b - a * a), 1 - a], axis=1).reshape(-1), jacobian


@problem(22, [3, -1, 0, 1] * 3, 12, 645.0)
def extended_powell_singular(x):
    return powell_singular_parts(x)


@problem(23, np.arange(1.0, 11), 11, 148032.56535)
def penalty_I(x):
    root = np.sqrt(like(x, 1e-5))
    return (np.append(root * (x - 1), (x * x).sum() - x.real.dtype.type(0.25)),
            lambda: np.concatenate([root * np.eye(len(x), dtype=x.dtype), 2 * x[None]]))


@problem(24, np.full(10, 0.5), 20, 162.65277656)
def penalty_II(x):
    n, root = len(x), np.sqrt(like(x, 1e-5))
    tenths = np.exp(indices(x) / 10)
    e = np.exp(x / 10)
    weights = n + 1 - indices(x)
    middle = root * (e[1:] + e[:-1] - (tenths[1:] + tenths[:-1]))
    ends = root * (e[1:] - np.exp(like(x, -0.1)))

    def jacobian():
        found = np.zeros((2 * n, n), x.dtype)
        k = np.arange(1, n)
        slope = root * e / 10
        found[0, 0] = 1
        found[k, k], found[k, k - 1], found[n + k - 1, k] = slope[1:], slope[:-1], slope[1:]
        found[-1] = 2 * weights * x
        return found

    return np.concatenate([[x[0] - x.real.dtype.type(0.2)], middle, ends, [(weights * x * x).sum() - 1]]), jacobian


@problem(25, 1 - np.arange(1, 11) / 10, 12, 2198551.1625)
def variably_dimensioned(x):
    j = indices(x)
    s = (j * (x - 1)).sum()
    return (np.concatenate([x - 1, [s, s * s]]),
            lambda: np.concatenate([np.eye(len(x), dtype=x.dtype), [j, 2 * s * j]]))


@problem(26, np.full(10, 0.1), 10, 7.0757594676e-03)
def trigonometric(x):
    i = indices(x)
    cosine, sine = np.cos(x), np.sin(x)
    return (len(x) - cosine.sum() + i * (1 - cosine) - sine,
            lambda: sine + np.diag(i * sine - cosine))


@problem(27, np.full(10, 0.5), 10, 273.24804783)
def brown_almost_linear(x):
    def jacobian():
        found = np.ones((len(x), len(x)), x.dtype) + np.eye(len(x), dtype=x.dtype)
        found[-1] = [np.delete(x, k).prod() for k in range(len(x))]
        return found

    return np.append(x[:-1] + x.sum() - (len(x) + 1), x.prod() - 1), jacobian


def boundary_start(n):
    """t (t - 1) on an even grid inside (0, 1)."""
    t = np.arange(1, n + 1) / (n + 1)
    return t * (t - 1)


@problem(28, boundary_start(10), 10, 7.8851910126e-04)
def discrete_boundary_value(x):
    n = len(x)
    h = like(x, 1) / (n + 1)
    lift = x + h * indices(x) + 1
    r = 2 * x + h * h * lift**3 / 2
    r[1:] -= x[:-1]
    r[:-1] -= x[1:]
    beside = np.eye(n, k=1, dtype=x.dtype) + np.eye(n, k=-1, dtype=x.dtype)
    return r, lambda: np.diag(2 + 3 * h * h * lift**2 / 2) - beside


@problem(29, boundary_start(10), 10, 6.3416841579e-02)
def discrete_integral_equation(x):
    h = like(x, 1) / (len(x) + 1)
    t = h * indices(x)
    lift = x + t + 1
    kernel = h / 2 * np.where(t[:, None] >= t, (1 - t[:, None]) * t, t[:, None] * (1 - t))
    return x + kernel @ lift**3, lambda: np.eye(len(x), dtype=x.dtype) + 3 * kernel * lift**2


@problem(30, -np.ones(10), 10, 21.0)
def broyden_tridiagonal(x):
    n = len(x)
    r = (3 - 2 * x) * x + 1
    r[1:] -= x[:-1]
    r[:-1] -= 2 * x[1:]
    return r, lambda: np.diag(3 - 4 * x) - 2 * np.eye(n, k=1, dtype=x.dtype) - np.eye(n, k=-1, dtype=x.dtype)


@problem(31, -np.ones(10), 10, 360.0)
def broyden_banded(x):
    i = np.arange(len(x))
    band = like(x, (i[:, None] != i) & (i >= i[:, None] - 5) & (i <= i[:, None] + 1))
    return (x * (2 + 5 * x * x) + 1 - band @ (x * (1 + x)),
            lambda: np.diag(2 + 15 * x * x) - band * (1 + 2 * x))


@problem(32, np.ones(10), 20, 50.0)
def linear_full_rank(x):
    m, n = 20, len(x)
    return (np.append(x, np.zeros(m - n, x.dtype)) - 2 * x.sum() / m - 1,
            lambda: np.eye(m, n, dtype=x.dtype) - like(x, 2) / m)


@problem(33, np.ones(10), 20, 8658670.0)
def linear_rank_one(x):
    i, j = indices(x, 1, 20), indices(x)
    return i * (j * x).sum() - 1, lambda: np.outer(i, j).astype(x.dtype)


@problem(34, np.ones(10), 20, 4067996.0)
def linear_rank_one_with_zero_columns_and_rows(x):
    i, j = indices(x, 0, 20), indices(x)
    i[-1] = j[0] = j[-1] = 0
    return i * (j * x).sum() - 1, lambda: np.outer(i, j).astype(x.dtype)


@problem(35, np.arange(1, 9) / 9, 8, 3.86176982859e-02)
def chebyquad(x):
    n = len(x)
    z = 2 * x - 1
    values, slopes = [np.ones_like(x), z], [np.zeros_like(x), 2 * np.ones_like(x)]
    for _ in range(n - 1):
        slopes.append(4 * values[-1] + 2 * z * slopes[-1] - slopes[-2])
        values.append(2 * z * values[-1] - values[-2])
    i = indices(x)
    mean = np.where(i % 2 == 0, -1 / np.where(i % 2 == 0, i * i - 1, 1), 0)
    return np.array(values[1:]).mean(axis=1) - mean, lambda: np.array(slopes[1:]) / n
