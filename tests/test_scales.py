"""Steps suit variables of any size when the sizes are to be found: x_scale="auto".

Here because a step that is too long or too short for one variable spoils its derivative. Tests scales.py.
"""

import math

import native_library
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der

import steepest as sd

X = np.linspace(-1.2, 1.5, 5)
# A function of a number, its derivative, a point, and the relative error to be reached.
HARD = {
    "sine of 1e8 x at 0": (lambda t: np.sin(1e8 * t), lambda t: 1e8 * np.cos(1e8 * t), 0.0, 1e-9),
    "sine of 1e8 x": (lambda t: np.sin(1e8 * t), lambda t: 1e8 * np.cos(1e8 * t), 1e-9, 1e-9),
    "sine of 1e12 x at 0": (lambda t: np.sin(1e12 * t), lambda t: 1e12 * np.cos(1e12 * t), 0.0, 1e-9),
    "sine of 1e-8 x": (lambda t: 2 + np.sin(1e-8 * t), lambda t: 1e-8 * np.cos(1e-8 * t), 3e7, 1e-8),
    "sine at 1e8": (np.sin, np.cos, 1e8, 1e-6),
    "exp(-x/1e6)": (lambda t: np.exp(-t / 1e6), lambda t: -1e-6 * np.exp(-t / 1e6), 1.0, 1e-7),
    "exp(-x/1e6) at 0": (lambda t: np.exp(-t / 1e6), lambda t: -1e-6 * np.exp(-t / 1e6), 0.0, 1e-7),
    "logarithm at 1e-10": (np.log, lambda t: 1 / t, 1e-10, 1e-7),
    "logarithm at 1e-300": (np.log, lambda t: 1 / t, 1e-300, 1e-7),
    "logarithm at 5": (np.log, lambda t: 1 / t, 5.0, 1e-8),
    "a line at 0": (lambda t: 3 * t, lambda t: 3.0, 0.0, 1e-12),
    "a parabola": (lambda t: 1 + t * t, lambda t: 2 * t, 1e-3, 1e-6),
}


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def never(x):
    raise AssertionError("f was called")


@pytest.mark.parametrize("method", ["central", "forward"])
@pytest.mark.parametrize("name", HARD)
def test_the_size_of_a_variable_is_found(name, method):
    f, slope, x, tolerance = HARD[name]
    found = sd.derivative(f, x, x_scale="auto", method=method, full_output=True)
    tolerance = tolerance if method == "central" else max(1e-4, tolerance)
    assert abs(found.value - slope(x)) <= tolerance * abs(slope(x))
    assert abs(found.value - slope(x)) <= 10 * found.error + 1e-15 * abs(slope(x))
    assert found.success


@given(st.floats(-8, 8), st.floats(-1, 1))
def test_a_change_of_units_changes_no_digit_that_matters(exponent, t):
    unit = 10.0**exponent
    f = np.exp
    found = sd.derivative(lambda x: f(x / unit), t * unit, x_scale="auto") * unit
    assert found == pytest.approx(math.exp(t), rel=1e-6)


def test_variables_of_any_size_together():
    sizes = np.array([1e-8, 1e8, 1.0, 1e3])
    x = np.array([0.3, 0.7, 0.2, 0.9]) * sizes
    exact = np.cos(x / sizes) / sizes
    seen = []

    def f(x):
        seen.append(x)
        return np.sin(x / sizes).sum()

    found = sd.gradient(f, x, x_scale="auto", full_output=True)
    assert found.value == pytest.approx(exact, rel=1e-8)
    assert found.success
    jacobian = sd.jacobian(lambda x: np.sin(x / sizes), x, x_scale="auto")
    assert jacobian == pytest.approx(np.diag(exact), rel=1e-6)
    value, gradient = sd.value_and_gradient(f, x, x_scale="auto")
    assert value == np.sin(x / sizes).sum() and gradient == pytest.approx(exact, rel=1e-8)
    seen.clear()
    sd.gradient(f, x, x_scale="auto")
    assert len(seen) == 1 + 4 + 8       # f(x), a trial a variable, two evaluations a variable


def test_an_ordinary_function_costs_one_evaluation_a_variable():
    calls = []
    found = sd.gradient(lambda x: calls.append(1) or rosen(x), X, x_scale="auto", full_output=True)
    assert found.value == pytest.approx(rosen_der(X), rel=1e-7)
    assert len(calls) == found.nfev == 1 + 5 + 20
    line = sd.jvp(rosen, X, np.ones(5), x_scale="auto", full_output=True)
    assert line.value == pytest.approx(rosen_der(X).sum(), rel=1e-7)
    assert line.nfev <= 8


def test_a_result_that_drowns_beside_another_gets_a_longer_step():
    x = np.array([-1.2, 1e-9])
    found = sd.jacobian(lambda x: np.array([10 * (x[1] - x[0] ** 2), x[0] * x[1], x[0]]), x, x_scale="auto")
    assert found == pytest.approx(np.array([[24, 10], [1e-9, -1.2], [1, 0]]), rel=1e-3, abs=1e-12)


def test_a_constant_has_derivative_zero():
    found = sd.gradient(lambda x: 3.0, np.array([0.0, 2.0, -1e9]), x_scale="auto", full_output=True)
    assert found.success and not found.value.any()
    assert found.nfev <= 1 + 5 * 3 + 12


def test_what_is_not_finite_makes_the_size_smaller():
    def f(x):
        return math.log(x[0] - 1) if x[0] > 1 else math.nan

    found = sd.gradient(f, [1 + 1e-9], x_scale="auto", full_output=True)
    assert found.value[0] == pytest.approx(1 / (np.float64(1 + 1e-9) - 1), rel=1e-3)
    found = sd.gradient(lambda x: math.nan, X, x_scale="auto", full_output=True)
    assert (found.status == sd.Status.NONFINITE).all()


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_bounds_are_respected(method):
    for lower, upper in ((X, X + 1), (X - 1, X), (X - 1e-9, X + 1e-9), (X, X)):
        seen = []
        found = sd.gradient(lambda x, seen=seen: seen.append(x) or rosen(x), X, method=method, x_scale="auto",
                            bounds=(lower, upper), full_output=True)
        assert ((np.array(seen) >= lower) & (np.array(seen) <= upper)).all()
        if (upper > lower).all():
            assert (abs(found.value - rosen_der(X)) <= 1e-3 * abs(rosen_der(X)) + 10 * found.error).all()
        else:
            assert (found.status == sd.Status.FIXED).all() and not found.value.any()


def test_with_steps_of_the_caller_no_size_is_looked_for():
    for options in ({"step": 1e-4}, {"method": "complex"}):
        automatic = sd.gradient(rosen, X, x_scale="auto", full_output=True, **options)
        plain = sd.gradient(rosen, X, full_output=True, **options)
        assert np.array_equal(automatic.value, plain.value)
        assert automatic.nfev == plain.nfev
    found = sd.gradient(lambda x: (x * x).sum(), [0.0, 2.0], x_scale="auto", rel_step=1e-3, full_output=True)
    assert found.step[1] == pytest.approx(2e-3)
    assert found.step[0] > 0


def test_f_that_computes_in_less_precision_gets_longer_steps():
    def f(x):
        return np.float32(np.sin(np.float32(x[0])))

    found = sd.gradient(f, [1.0], x_scale="auto", full_output=True)
    assert abs(found.value[0] - math.cos(1)) <= 2e-3


@pytest.mark.parametrize("kind", ["f", "d", "g", "D"])
def test_every_type_of_x_is_kept(kind):
    x = np.array([0.3, 1.5], kind)
    found = sd.gradient(lambda x: (x**3).sum(), x, x_scale="auto")
    assert found.dtype == np.dtype(kind)
    assert found == pytest.approx(3 * x**2, rel=1e-2 if kind == "f" else 1e-7)


def test_workers_batches_compiled_functions_and_backends_give_the_same_bits(native):
    x = np.array([0.4, -1.3, 2.0])

    def f(x):
        return native_library.rosenbrock(x)

    expected = sd.gradient(f, x, x_scale="auto")
    assert np.array_equal(sd.gradient(native.ctypes("rosenbrock"), x, x_scale="auto"), expected)
    assert np.array_equal(sd.gradient(native.ctypes("rosenbrock"), x, x_scale="auto", workers=2), expected)
    assert np.array_equal(sd.gradient(f, x, x_scale="auto", workers=map), expected)
    batch = sd.gradient(lambda points: np.array([f(x) for x in points]), x, vectorized=True, x_scale="auto")
    assert np.array_equal(batch, expected)
    with sd.backend("reference"):
        assert np.array_equal(sd.gradient(f, x, x_scale="auto"), expected)


def test_an_exception_of_any_call_comes_back_as_the_same_object():
    for k in range(1, 17):
        planned, calls = RuntimeError("planned"), []

        def f(x, calls=calls, planned=planned, k=k):
            calls.append(1)
            if len(calls) == k:
                raise planned
            return rosen(x)

        with pytest.raises(RuntimeError) as caught:
            sd.gradient(f, X, x_scale="auto")
        assert caught.value is planned
        assert f"in evaluation {k} of f" in planned.__notes__[0]


def test_nothing_is_asked_of_f_where_there_is_no_x():
    assert sd.gradient(never, np.zeros(0), x_scale="auto").shape == (0,)
