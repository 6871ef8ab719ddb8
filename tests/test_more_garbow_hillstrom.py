"""The test functions are right: their Jacobians by complex steps, their values by what was published.

Here because what is measured on them is worth no more than they are. Tests more_garbow_hillstrom.py.
"""

import numpy as np
import pytest
from more_garbow_hillstrom import PROBLEMS

TINY = 1e-30


def points_of(problem):
    """The start, and two points beside it at which nothing is special."""
    rng = np.random.default_rng(problem.number)
    yield problem.x0
    for _ in range(2):
        yield problem.x0 * rng.uniform(0.8, 1.2, problem.n) + rng.uniform(-0.05, 0.05, problem.n)


def test_there_are_35_with_their_numbers_and_names():
    assert [problem.number for problem in PROBLEMS] == list(range(1, 36))
    assert len({problem.name for problem in PROBLEMS}) == 35


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_jacobians_and_gradients_are_those_of_complex_steps(problem):
    for x in points_of(problem):
        turned = [x + 1j * TINY * unit for unit in np.eye(problem.n)]
        jacobian = np.stack([problem.residuals(z).imag / TINY for z in turned], axis=1)
        found = problem.jacobian(x)
        assert found.shape == (problem.m, problem.n)
        np.testing.assert_allclose(found, jacobian, rtol=1e-12, atol=1e-13 * abs(jacobian).max())
        gradient = np.array([problem.f(z).imag / TINY for z in turned])
        np.testing.assert_allclose(problem.grad(x), gradient, rtol=1e-10, atol=1e-12 * abs(gradient).max())


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_values_at_the_start_are_those_published(problem):
    assert len(problem.residuals(problem.x0)) == problem.m
    assert problem.f(problem.x0) == pytest.approx(problem.value, rel=2e-6)


def test_the_discretised_equations_are_their_formulas_written_as_loops():
    """Those two for which no value at ten points was at hand."""
    n, h = 10, 1 / 11
    t = [h * (i + 1) for i in range(n)]
    x = [s * (s - 1) for s in t]
    cubes = [(x[i] + t[i] + 1) ** 3 for i in range(n)]
    padded = [0.0, *x, 0.0]
    boundary = sum((2 * x[i] - padded[i] - padded[i + 2] + h * h * cubes[i] / 2) ** 2 for i in range(n))
    integral = sum((x[i] + h * ((1 - t[i]) * sum(t[j] * cubes[j] for j in range(i + 1))
                                + t[i] * sum((1 - t[j]) * cubes[j] for j in range(i + 1, n))) / 2) ** 2
                   for i in range(n))
    assert PROBLEMS[27].f(PROBLEMS[27].x0) == pytest.approx(boundary, rel=1e-12)
    assert PROBLEMS[28].f(PROBLEMS[28].x0) == pytest.approx(integral, rel=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128])
def test_everything_is_computed_in_the_type_of_x(problem, dtype):
    x = problem.x0.astype(dtype)
    kept = x.copy()
    assert problem.f(x).dtype == problem.grad(x).dtype == problem.jacobian(x).dtype == dtype
    assert problem.residuals(x).dtype == dtype
    np.testing.assert_array_equal(x, kept)
