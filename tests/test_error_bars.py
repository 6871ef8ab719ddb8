"""Error bars cover what truncation, rounding and kinks do to a difference.

Here because a derivative without a bar cannot be trusted, and one with a false bar is worse. Tests error_bars.py.
"""

import math
import sys
from pathlib import Path

import more_garbow_hillstrom
import numpy as np
import pytest

import steepest as sd
from steepest.error_bars import bars_of, order_of
from steepest.reference.difference import CENTRAL, FORWARD

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from adversarial import HARD
from problems import PROBLEMS

SMOOTH = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda t: 1 / t),
    "sqrt": (np.sqrt, lambda t: 0.5 / np.sqrt(t)),
    "cube": (lambda t: t**3, lambda t: 3 * t**2),
    "exp(100 t)": (lambda t: np.exp(100 * t), lambda t: 100 * np.exp(100 * t)),
    "exp(-t/1e6)": (lambda t: np.exp(-t / 1e6), lambda t: -1e-6 * np.exp(-t / 1e6)),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("options", [{}, {"order": 4}, {"order": 6}, {"method": "forward"}, {"method": "complex"},
                                     {"method": "backward", "order": 2}])
def test_bars_cover_the_error_of_smooth_functions(name, options):
    f, exact = SMOOTH[name]
    x = np.linspace(0.05, 4, 60)
    full = sd.derivative(f, x, full_output=True, **options)
    covered = abs(full.value - exact(x)) <= 10 * full.error
    assert np.mean(covered) >= 0.95


def test_bars_of_float32_are_wider():
    x = np.linspace(0.5, 4, 30)
    double = sd.derivative(np.sin, x, full_output=True)
    single = sd.derivative(np.sin, x.astype("f"), full_output=True)
    assert (single.error > 100 * double.error).all()
    assert np.mean(abs(single.value - np.cos(x)) <= 10 * single.error) >= 0.95


def test_bars_of_functions_that_compute_in_float32_are_wide_whatever_the_step():
    for options in ({}, {"step": 1e-3}):
        full = sd.gradient(lambda x: np.float32(np.exp(np.float32(x[0]))), [1.0], full_output=True, **options)
        assert abs(full.value[0] - np.e) <= 10 * full.error[0]
        assert full.error[0] > 1e-6


@pytest.mark.parametrize("kinked", [abs, lambda t: max(t, 0.0), lambda t: abs(t) + t**2, lambda t: 3 * min(t, 0)])
def test_a_kink_at_the_point_is_unresolved(kinked):
    full = sd.derivative(kinked, 0.0, full_output=True)
    assert full.status == sd.Status.UNRESOLVED
    assert full.error >= 0.5
    assert not full.success


def test_a_kink_beside_the_point_does_not_matter():
    full = sd.derivative(abs, [0.1, -0.1], full_output=True)
    assert full.success
    assert full.value.tolist() == pytest.approx([1, -1])


@pytest.mark.parametrize("options", [{}, {"order": 4}, {"method": "forward", "order": 2}])
def test_every_result_of_a_complex_x_has_one_bar(options):
    x = np.array([1 + 1j, 2 - 1j, 0.5])
    full = sd.jacobian(lambda x: np.array([x[0] * x[1], x[2] ** 3]), x, full_output=True, **options)
    assert full.error.shape == full.value.shape == (2, 3)
    assert (abs(full.value - np.array([[x[1], x[0], 0], [0, 0, 3 * x[2] ** 2]])) <= 10 * full.error + 1e-12).all()


def test_a_jump_is_unresolved():
    assert not sd.derivative(np.sign, 0.0, full_output=True).success
    assert not sd.derivative(lambda t: float(t > 1), 1.0, full_output=True).success


def test_rows_are_judged_one_by_one():
    value = np.array([[1.0], [1.0], [0.0]])
    second = np.array([[1.0], [2.0], [0.0]])
    status = np.zeros((3, 1), np.int8)
    small = np.full((3, 1), 1e-9)
    bend = np.array([[0.0], [0.0], [2.0]])
    error = bars_of(value, status, second, small, bend, bend, 0 * bend, 0 * bend, np.array([2, 2, 2]))
    assert error.ravel() == pytest.approx([0, 5 / 4, 1], abs=1e-8)
    assert status.ravel().tolist() == [sd.Status.RESOLVED, sd.Status.UNRESOLVED, sd.Status.UNRESOLVED]


def test_orders_of_rows_that_fell_to_one_side():
    fell = np.array([False, True])
    assert order_of(CENTRAL, 2, fell, 1).tolist() == [2, 2]
    assert order_of(CENTRAL, 8, fell, 1).tolist() == [8, 4]
    assert order_of(FORWARD, 1, fell, 1).tolist() == [1, 1]


# calibration: ten bars cover the error, for every method, and nothing wrong is called a success

METHODS = {
    "central": {}, "central, order 4": {"order": 4}, "central, order 6": {"order": 6}, "central, order 8": {"order": 8},
    "forward": {"method": "forward"}, "forward, order 2": {"method": "forward", "order": 2},
    "forward, order 3": {"method": "forward", "order": 3}, "forward, order 4": {"method": "forward", "order": 4},
    "backward": {"method": "backward"}, "complex": {"method": "complex"}, "adaptive": {"method": "adaptive"},
    "adaptive, rtol 1e-8": {"method": "adaptive", "rtol": 1e-8},
}


def judged(found, exact):
    """Whether ten bars cover the error of each component, and which is wrong beyond them and called a success."""
    error = abs(found.value - exact)
    covered = error <= 10 * found.error
    return covered, (found.status <= sd.Status.FIXED) & ~covered & (error > 0.1 * abs(exact))


@pytest.mark.parametrize("seed", [None, 1], ids=["grid", "scattered"])
@pytest.mark.parametrize("method", METHODS)
def test_ten_bars_cover_the_errors_on_the_sixteen_problems(method, seed):
    covered, wrong = [], []
    for problem in PROBLEMS:
        x = problem.points() if seed is None else np.random.default_rng(seed).uniform(*problem.interval, 20)
        with np.errstate(all="ignore"):
            found = sd.derivative(problem.f, x, full_output=True, **METHODS[method])
            parts = judged(found, problem.derivative(x))
        covered.extend(parts[0])
        wrong.extend(parts[1])
    assert np.mean(covered) >= 0.99
    assert not any(wrong)


@pytest.mark.parametrize("method", METHODS)
def test_ten_bars_cover_the_errors_of_published_gradients(method):
    """At x0, and ten and a hundred times as far; the exact gradient is computed in longdouble."""
    covered, wrong = [], []
    for problem in more_garbow_hillstrom.PROBLEMS:
        for factor in (1, 10, 100):
            x = factor * problem.x0
            with np.errstate(all="ignore"):
                exact = problem.grad(x.astype("g"))
                if not (np.isfinite(exact).all() and np.isfinite(problem.f(x))):
                    continue
                parts = judged(sd.gradient(problem.f, x, full_output=True, **METHODS[method]), exact)
            covered.extend(parts[0])
            wrong.extend(parts[1])
    assert np.mean(covered) >= 0.95
    assert not any(wrong)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_wrong_at_hard_points_is_unresolved(method):
    """One in 25 is let through, none of adaptive ones: no number of values tells a function from every other."""
    wrong = []
    for case in HARD:
        with np.errstate(all="ignore"):
            found = sd.derivative(case.f, case.x, full_output=True, **METHODS[method])
        covered, _ = judged(found, case.exact)
        wrong.append(found.success and not covered)
    assert np.mean(wrong) <= (0 if method == "adaptive" else 0.04)


@pytest.mark.parametrize("n, order", [(2, 2), (2, 4), (3, 2), (4, 2)])
def test_ten_bars_cover_the_errors_of_higher_derivatives(n, order):
    covered, wrong = [], []
    x = np.linspace(0.3, 5, 40)
    for f, exact in ((np.exp, np.exp(x)), (np.sin, np.sin(x + n * np.pi / 2)),
                     (np.log, (-1.0) ** (n - 1) * math.factorial(n - 1) / x**n)):
        parts = judged(sd.derivative(f, x, n, order=order, full_output=True), exact)
        covered.extend(parts[0])
        wrong.extend(parts[1])
    assert np.mean(covered) >= 0.95
    assert not any(wrong)


def test_an_f_whose_period_fits_the_first_step_does_not_look_smooth():
    """Sampled at multiples of the step alone, or with half of it, this sine is a gentle slope."""
    found = sd.derivative(lambda t: np.sin(1e8 * t), 0.3, order=6, full_output=True)
    assert not found.success


@pytest.mark.parametrize("options", [{"order": 2}, {"order": 4}, {"order": 8}, {"method": "forward", "order": 3},
                                     {"method": "adaptive"}], ids=str)
def test_bars_of_complex_derivatives_hold(options):
    z = np.linspace(0.3, 4, 12) * (1 - 0.4j)
    found = sd.derivative(np.exp, z, full_output=True, **options)
    assert found.success and found.error.shape == z.shape
    assert (abs(found.value - np.exp(z)) <= 10 * found.error).all()


@pytest.mark.parametrize("method", ["central", "forward"])
def test_a_result_beside_one_that_is_not_finite_has_a_bar_of_its_own(method):
    """The steps of the one that was looked at again are not those of the other."""
    x = np.array([1e-9, 2.0])

    def f(x):
        return [np.sqrt(x[0]) if x[0] >= 0 else np.nan, np.exp(x[0]) * x[1], np.nan]

    both = sd.jacobian(f, x, method=method, full_output=True)
    alone = sd.jacobian(lambda x: [np.exp(x[0]) * x[1]], x, method=method, full_output=True)
    for name in ("value", "error", "step", "status"):
        assert np.array_equal(getattr(both, name)[1], getattr(alone, name)[0])
    assert (both.status[2] == sd.Status.NONFINITE).all() and both.status[0, 0] != sd.Status.NONFINITE
