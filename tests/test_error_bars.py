"""Error bars cover what truncation, rounding and kinks do to a difference.

Here because a derivative without a bar cannot be trusted, and one with a false bar is worse. Tests error_bars.py.
"""

import numpy as np
import pytest

import steepest as sd
from steepest.error_bars import bars_of, order_of
from steepest.reference.difference import CENTRAL, FORWARD

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


def test_a_jump_is_unresolved():
    assert not sd.derivative(np.sign, 0.0, full_output=True).success
    assert not sd.derivative(lambda t: float(t > 1), 1.0, full_output=True).success


def test_rows_are_judged_one_by_one():
    value = np.array([[1.0], [1.0], [0.0]])
    half = np.array([[1.0], [2.0], [0.0]])
    status = np.zeros((3, 1), np.int8)
    small = np.full((3, 1), 1e-9)
    bend = np.array([[0.0], [0.0], [2.0]])
    error = bars_of(value, status, half, small, bend, bend, np.array([2, 2, 2]))
    assert error.ravel() == pytest.approx([0, 4 / 3, 1], abs=1e-8)
    assert status.ravel().tolist() == [sd.Status.RESOLVED, sd.Status.UNRESOLVED, sd.Status.UNRESOLVED]


def test_orders_of_rows_that_fell_to_one_side():
    fell = np.array([False, True])
    assert order_of(CENTRAL, 2, fell, 1).tolist() == [2, 2]
    assert order_of(CENTRAL, 8, fell, 1).tolist() == [8, 4]
    assert order_of(FORWARD, 1, fell, 1).tolist() == [1, 1]
