"""The larger test functions are right: their gradients by complex steps, and minima that are known.

Here because what is measured on them is worth no more than they are. Tests larger_problems.py.
"""

import numpy as np
import pytest
from larger_problems import PROBLEMS

TINY = 1e-30
NAMES = {problem.name: problem for problem in PROBLEMS}


def test_there_are_eleven_with_names_of_their_own():
    assert len(PROBLEMS) == len(NAMES) == 11


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_gradients_are_those_of_complex_steps(problem):
    rng = np.random.default_rng(problem.n)
    for x in (problem.x0, problem.x0 + rng.uniform(-0.1, 0.1, problem.n)):
        exact = np.empty(problem.n)
        turned = x.astype(complex)
        for i in range(problem.n):
            turned[i] += 1j * TINY
            exact[i] = problem.f(turned).imag / TINY
            turned[i] = x[i]
        np.testing.assert_allclose(problem.grad(x), exact, rtol=1e-10, atol=1e-12 * abs(exact).max())


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_x_is_left_as_it_was(problem):
    x = problem.x0.copy()
    assert problem.f(x) == problem.f(x)
    problem.grad(x)
    np.testing.assert_array_equal(x, problem.x0)


@pytest.mark.parametrize("name, at, value", [
    ("chained Rosenbrock", 1.0, 0.0), ("NONDQUAR", 0.0, 0.0), ("LIARWHD", 1.0, 0.0), ("strictly convex 1", 0.0, 1000.0),
    ("strictly convex 2", 0.0, 50050.0), ("quadratic, condition 1e2", 0.0, 0.0),
    ("quadratic, condition 1e4", 0.0, 0.0), ("quartic chain", 1.0, 0.0),
])
def test_the_minimum_is_where_the_formula_puts_it(name, at, value):
    x = np.full(NAMES[name].n, at)
    assert NAMES[name].f(x) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(NAMES[name].grad(x), 0.0, atol=1e-12)


def test_the_condition_of_a_quadratic_is_that_of_its_name():
    for condition in (1e2, 1e4):
        slopes = NAMES[f"quadratic, condition 1e{np.log10(condition):.0f}"].grad(np.ones(1000))
        assert slopes.max() / slopes.min() == pytest.approx(condition)


def test_a_flat_frame_would_have_the_area_of_the_square():
    """The saddle's surface is larger than the square below it, and the flat inside larger still."""
    surface = NAMES["minimal surface"]
    t = np.linspace(-1, 1, 32)[1:-1]
    assert 1.0 < surface.f((t[:, None] ** 2 - t**2).reshape(-1)) < surface.f(surface.x0)
