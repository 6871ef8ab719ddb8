"""Derivatives of functions are right, in every type, shape, method and box, on kernel and reference.

Here because this is what people import steepest for. Tests differentiate.py, differencing.py and results.py.
"""

import math
import warnings

import numpy as np
import pytest
from scipy import optimize
from scipy.optimize import rosen, rosen_der

import steepest as sd

METHODS = ["central", "forward", "backward", "complex", "2-point", "3-point", "cs"]
TOLERANCE = {"central": 1e-9, "3-point": 1e-9, "forward": 1e-6, "2-point": 1e-6, "backward": 1e-6, "complex": 1e-14,
             "cs": 1e-14}


def square(x):
    return (x * x).sum()


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


@pytest.mark.parametrize("point, expected", [((3, 4), (6, 8)), ((0, 2), (0, 4)), ((3, 0), (6, 0))])
def test_the_textbook_gradients(point, expected):
    assert sd.gradient(lambda x: x[0] ** 2 + x[1] ** 2, point) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_gradient_of_rosenbrock(method):
    x = np.array([-1.2, 1.0, 0.5, 2.0])
    expected = rosen_der(x)
    assert abs(sd.gradient(rosen, x, method=method) - expected).max() < TOLERANCE[method] * 5e3


@pytest.mark.parametrize("order, tolerance", [(2, 1e-9), (4, 1e-11), (6, 1e-12), (8, 1e-12)])
def test_higher_orders_are_closer(order, tolerance):
    assert sd.derivative(np.sin, 1.0, order=order) == pytest.approx(math.cos(1), abs=tolerance)


@pytest.mark.parametrize("order, tolerance", [(1, 1e-7), (2, 1e-9), (3, 1e-10), (4, 1e-10)])
@pytest.mark.parametrize("method", ["forward", "backward"])
def test_one_sided_orders(method, order, tolerance):
    assert sd.derivative(np.sin, 1.0, method=method, order=order) == pytest.approx(math.cos(1), abs=tolerance)


@pytest.mark.parametrize("n, tolerance", [(1, 1e-10), (2, 1e-6), (3, 1e-5), (4, 1e-3)])
@pytest.mark.parametrize("order", [2, 4])
def test_higher_derivatives(n, order, tolerance):
    x = np.array([0.0, 0.7, -2.0])
    assert sd.derivative(np.exp, x, n, order=order) == pytest.approx(np.exp(x), abs=tolerance)


@pytest.mark.parametrize("char, tolerance", [("f", 1e-3), ("d", 1e-9), ("g", 1e-11)])
def test_the_type_of_x_is_what_f_sees_and_what_comes_back(char, tolerance):
    seen = set()

    def f(x):
        seen.add(x.dtype.char)
        return square(x)

    x = np.array([1.0, -2.0, 0.5], char)
    result = sd.gradient(f, x)
    assert seen == {char}
    assert result.dtype.char == char
    assert abs(result - 2 * x).max() < tolerance


@pytest.mark.parametrize("char, tolerance", [("F", 1e-3), ("D", 1e-9), ("G", 1e-11)])
def test_a_complex_x_is_differentiated_as_of_a_holomorphic_function(char, tolerance):
    x = np.array([1 + 2j, -0.5j, 3]).astype(char)
    result = sd.gradient(lambda z: (z**3).sum(), x)
    assert result.dtype.char == char
    assert abs(result - 3 * x**2).max() < tolerance * 100
    jacobian = sd.jacobian(lambda z: np.array([z[0] * z[1], z[2] ** 2]), x)
    assert abs(jacobian - np.array([[x[1], x[0], 0], [0, 0, 2 * x[2]]])).max() < tolerance * 100


def test_float16_is_computed_in_float32_and_integers_in_float64():
    assert sd.gradient(square, np.array([1, 2], np.float16)).dtype == np.float32
    assert sd.gradient(square, np.array([1, 2])).dtype == np.float64
    assert sd.gradient(square, [True, False]).dtype == np.float64


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 1, 2), (0,), (0, 2)])
def test_a_gradient_has_the_shape_of_x(shape):
    x = np.arange(1.0, 1 + math.prod(shape)).reshape(shape)

    def f(y):
        assert y.shape == shape
        return square(y)

    result = sd.gradient(f, x)
    assert np.shape(result) == shape
    assert result == pytest.approx(2 * x, abs=1e-8)
    assert np.shape(sd.Gradient(f, x)(x)) == shape


def test_a_scalar_x_gives_a_scalar():
    assert isinstance(sd.gradient(lambda x: x * x, 3.0), np.float64)
    assert isinstance(sd.derivative(math.sin, 3.0), np.float64)


def test_the_points_of_a_derivative_are_numbers_of_the_type_of_x():
    seen = []
    sd.derivative(lambda t: seen.append(type(t)) or t, np.float32([1, 2]))
    assert set(seen) == {np.float32}


@pytest.mark.parametrize("method", METHODS)
def test_jacobians(method):
    x = np.array([2.0, 3.0, -1.0])
    result = sd.jacobian(lambda x: np.array([x[0] * x[1], x[2] ** 2]), x, method=method)
    assert result.shape == (2, 3)
    assert result.flags.c_contiguous
    assert abs(result - [[3, 2, 0], [0, 0, -2]]).max() < TOLERANCE[method]


def test_the_jacobian_of_a_scalar_function_has_one_row():
    assert sd.jacobian(square, [1.0, 2.0]).shape == (1, 2)


def test_results_in_two_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"f returned an array of shape \(2, 2\) in evaluation 1"):
        sd.jacobian(lambda x: np.outer(x, x), [1.0, 2.0])


def test_a_jacobian_in_many_blocks():
    x = np.linspace(0, 1, 300)
    result = sd.jacobian(lambda x: x**2, x)
    assert abs(result - np.diag(2 * x)).max() < 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_directional_derivatives(method):
    x, v = np.array([2.0, 3.0]), np.array([1.0, -0.5])
    assert sd.jvp(square, x, v, method=method) == pytest.approx(2 * x @ v, abs=TOLERANCE[method] * 10)
    result = sd.jvp(lambda x: np.array([x[0] * x[1], x[0], x[1]]), x, v, method=method)
    assert result == pytest.approx([3 - 1, 1, -0.5], abs=TOLERANCE[method] * 10)
    assert np.ndim(sd.jvp(square, x, v)) == 0


def test_the_step_along_a_line_suits_large_x_and_any_length_of_v():
    for scale in (1e-6, 1.0, 1e6):
        assert sd.jvp(square, [1e6, 2e6], [scale, 0.0]) == pytest.approx(2e6 * scale, rel=1e-9)


def test_a_direction_of_length_0_has_derivative_0():
    assert sd.jvp(square, [1.0, 2.0], [0.0, 0.0]) == 0
    full = sd.jvp(lambda x: x * 2, [1.0, 2.0], [0, 0], full_output=True)
    assert full.value.tolist() == [0, 0]
    assert full.success


@pytest.mark.parametrize("method", METHODS)
def test_f0_saves_an_evaluation(method):
    calls = []

    def f(x):
        calls.append(1)
        return np.asarray(x * x)

    sd.jacobian(f, [1.0, 2.0], method=method)
    without, calls[:] = len(calls), []
    sd.jacobian(f, [1.0, 2.0], method=method, f0=[1.0, 4.0])
    assert len(calls) == without - 1


def test_calls_of_f_are_as_few_as_the_method_needs():
    for method, calls in (("central", 6), ("forward", 4), ("backward", 4)):
        seen = []
        sd.gradient(lambda x, seen=seen: seen.append(1) or square(x), np.ones(3), method=method)
        assert len(seen) == calls
    seen = []
    value, _ = sd.value_and_gradient(lambda x: seen.append(1) or square(x), np.ones(3), method="forward")
    assert (value, len(seen)) == (3.0, 4)


@pytest.mark.parametrize("method", METHODS)
def test_value_and_gradient(method):
    value, gradient = sd.value_and_gradient(square, np.array([3.0, 4.0]), method=method)
    assert isinstance(value, np.float64)
    assert value == 25
    assert gradient == pytest.approx([6, 8], abs=1e-6)
    value, full = sd.value_and_gradient(square, np.array([3.0, 4.0]), method=method, f0=25.0, full_output=True)
    assert value == 25
    assert full.value == pytest.approx([6, 8], abs=1e-6)


def test_args_and_kwargs_reach_f():
    def f(x, a, *, b):
        return a * square(x) + b * x[0]

    assert sd.gradient(f, [1.0, 2.0], args=(2.0,), kwargs={"b": 3.0}) == pytest.approx([7, 8])
    assert sd.gradient(lambda x, a: a * x[0], [1.0], args=5.0) == pytest.approx([5])
    assert sd.Gradient(f, [0.0, 0.0], args=(2.0,), kwargs={"b": 3.0})([1.0, 2.0]) == pytest.approx([7, 8])


@pytest.mark.parametrize("method", METHODS)
def test_vectorised_functions_are_called_with_batches(method):
    shapes = []

    def f(points):
        shapes.append(points.shape)
        return (points**2).sum(axis=(1, 2))

    x = np.arange(6.0).reshape(2, 3)
    assert sd.gradient(f, x, vectorized=True, method=method) == pytest.approx(2 * x, abs=1e-6)
    assert all(shape[1:] == (2, 3) for shape in shapes)
    assert len(shapes) <= 4


def test_vectorised_jacobians_directions_and_derivatives():
    x = np.array([2.0, 3.0])

    def f(points):
        return np.stack([points[:, 0] * points[:, 1], points[:, 0], points[:, 1]], axis=1)

    assert sd.jacobian(f, x, vectorized=True) == pytest.approx(np.array([[3, 2], [1, 0], [0, 1]]), abs=1e-9)
    assert sd.jvp(f, x, [1.0, 1.0], vectorized=True) == pytest.approx([5, 1, 1], abs=1e-9)
    assert sd.derivative(np.sin, [0.0, 1.0], 2, vectorized=True) == pytest.approx([0, -math.sin(1)], abs=1e-6)


def test_large_batches_come_in_blocks():
    sizes = []

    def f(points):
        sizes.append(len(points))
        return (points**2).sum(axis=1)

    x = np.linspace(0, 1, 500)
    assert sd.gradient(f, x, vectorized=True) == pytest.approx(2 * x, abs=1e-8)
    assert 1 < len(sizes) < 20
    assert sum(sizes) == 1000


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
@pytest.mark.parametrize("order", [None, 2, 4])
def test_f_is_never_evaluated_outside_the_bounds(method, order):
    if method != "central" and order == 4:
        order = 3
    x = np.array([0.0, 1.0, 0.5, 0.3, 1e-7, 0.2])
    lower, upper = np.zeros(6), np.array([1.0, 1.0, 0.5, 1.0, 1.0, 0.2 + 1e-7])
    lower[2] = 0.5
    points = []

    def f(x):
        points.append(x.copy())
        return np.exp(x).sum()

    full = sd.gradient(f, x, method=method, order=order, bounds=(lower, upper), full_output=True)
    points = np.array(points)
    assert ((points >= lower) & (points <= upper)).all()
    free = lower < upper
    assert full.value[free] == pytest.approx(np.exp(x[free]), abs=1e-5)
    assert full.value[2] == 0
    assert full.status[2] == sd.Status.FIXED
    points = []
    sd.jvp(lambda x: points.append(x.copy()) or np.exp(x).sum(), x, np.array([1, -1, 0, 1, 1, 1.0]), method=method,
           bounds=optimize.Bounds(lower, upper))
    points = np.array(points)
    assert ((points >= lower) & (points <= upper)).all()


def test_a_corner_gives_a_direction_no_room_and_says_so():
    """From the corner (0, 1) the line along (1, 1) leaves the box both ways."""
    with pytest.warns(sd.DifferenceWarning, match="unresolved|not finite"):
        sd.jvp(square, [0.0, 1.0], [1.0, 1.0], bounds=(0, 1))


def test_bounds_of_scipy_and_of_one_number_are_taken():
    assert sd.gradient(square, [0.0, 1.0], bounds=optimize.Bounds(0, 1)) == pytest.approx([0, 2], abs=1e-6)
    assert sd.gradient(square, [0.0, 1.0], bounds=(None, 1.0)) == pytest.approx([0, 2], abs=1e-6)


def test_a_domain_smaller_than_the_step_shortens_it():
    """SciPy gives NaN here, and statsmodels 81 % too little."""
    with np.errstate(all="ignore"):
        assert sd.gradient(lambda x: np.log(x[0]), [1e-10]) == pytest.approx([1e10], rel=1e-6)
        full = sd.gradient(lambda x: np.log(x[0]), [1e-10], full_output=True)
    assert full.success
    assert full.step[0] < 1e-10


def test_nan_on_one_side_falls_to_the_other_side_with_its_status():
    def f(x):
        return x[0] ** 1.5 + x[1] if x[0] >= 0 else math.nan

    full = sd.gradient(f, [0.0, 1.0], full_output=True)
    assert full.value == pytest.approx([0, 1], abs=1e-2)
    assert full.status[0] in (sd.Status.ONE_SIDED, sd.Status.UNRESOLVED)
    assert full.step[0] > 0
    full = sd.gradient(lambda x: -x[0] if x[0] <= 0 else math.nan, [0.0], full_output=True)
    assert (full.value[0], full.status[0]) == (-1, sd.Status.ONE_SIDED)
    assert full.step[0] < 0
    full = sd.gradient(lambda x: 3 * x[0] if x[0] >= 0 else math.inf, [0.0], method="backward", full_output=True)
    assert (full.value[0], full.status[0]) == (3, sd.Status.ONE_SIDED)


def test_one_result_that_is_not_finite_leaves_the_others_alone():
    def f(x):
        return np.array([x[0] ** 2, np.sqrt(x[0] - 1) if x[0] >= 1 else math.nan, x[1]])

    full = sd.jacobian(f, [1.0, 2.0], full_output=True)
    assert full.value[[0, 2]] == pytest.approx(np.array([[2, 0], [0, 1]]), abs=1e-8)
    assert full.status[0].tolist() == [0, 0]
    assert full.status[1, 0] >= sd.Status.ONE_SIDED


def test_a_base_point_that_is_not_finite_gives_nan_and_a_warning():
    with pytest.warns(sd.DifferenceWarning, match=r"2 of 2 components not finite \(the first at \[0\]\)"):
        assert np.isnan(sd.gradient(lambda x: math.nan, [1.0, 2.0])).all()
    full = sd.gradient(lambda x: math.inf, [1.0, 2.0], full_output=True)
    assert full.status.tolist() == [sd.Status.NONFINITE] * 2
    assert not full.success


def test_a_difference_that_overflows_is_flagged():
    with pytest.warns(sd.DifferenceWarning):
        assert np.isnan(sd.gradient(lambda x: math.copysign(1.7e308, x[0]), [0.0]))[0]


def test_the_complex_step_notices_functions_that_are_not_analytic():
    def real_modulus(x):
        return (x * np.sign(x.real) + 0 * x).sum() if np.iscomplexobj(x) else abs(x).sum()

    def broken(x):
        return (x.real + 0.5j * x.imag).sum() if np.iscomplexobj(x) else x.sum()

    x = np.array([1.0, -2.0])
    assert sd.gradient(real_modulus, x, method="complex") == pytest.approx([1, -1])
    with pytest.warns(sd.DifferenceWarning, match="not analytic"):
        sd.gradient(broken, x, method="complex")
    full = sd.gradient(broken, x, method="complex", full_output=True)
    assert not full.success
    assert "not analytic" in full.message
    with pytest.raises(TypeError, match="drops the imaginary part"):
        sd.gradient(lambda x: float(abs(x).sum()), x, method="complex")
    with pytest.raises(ValueError, match="needs a real x"):
        sd.gradient(square, x + 1j, method="complex")


def test_the_complex_step_is_exact_for_large_x():
    """SciPy's, of length sqrt(eps), is 4e-11 off."""
    x = np.array([1000.0])
    assert sd.gradient(lambda x: np.sin(x[0]), x, method="cs")[0] == pytest.approx(math.cos(1000), rel=1e-15)


def test_a_function_in_lower_precision_gets_longer_steps():
    def coarse(x):
        return np.float32(np.exp(np.float32(x[0])))

    assert sd.gradient(coarse, [1.0])[0] == pytest.approx(math.e, rel=1e-3)
    g = sd.Gradient(coarse, np.zeros(1))
    for _ in range(2):
        assert g(np.array([1.0]))[0] == pytest.approx(math.e, rel=1e-3)
    calls = []
    sd.gradient(lambda x: calls.append(1) or coarse(x), [1.0])
    assert len(calls) == 3


def test_given_steps_are_used():
    full = sd.gradient(square, [1.0, -2.0], step=0.125, full_output=True)
    assert full.step.tolist() == [0.125, 0.125]
    full = sd.gradient(square, [1.0, -2.0], step=[0.125, 0.25], full_output=True)
    assert full.step.tolist() == [0.125, 0.25]
    full = sd.gradient(square, [4.0, 0.0], rel_step=0.125, full_output=True)
    assert full.step[0] == 0.5
    assert full.step[1] == sd.gradient(square, [0.0], full_output=True).step[0]
    full = sd.gradient(square, [4.0, 0.0], x_scale=[1.0, 100.0], full_output=True)
    assert full.step[1] == pytest.approx(25 * full.step[0])
    assert sd.jvp(square, [1.0, 1.0], [1.0, 0.0], step=0.25, full_output=True).step == 0.25


def test_error_bars_cover_the_error():
    x = np.linspace(0.3, 3, 40)
    for f, exact in ((np.sin, np.cos), (np.exp, np.exp), (np.log, lambda t: 1 / t), (np.sqrt, lambda t: 0.5 / t**0.5)):
        for method in ("central", "forward", "backward", "complex"):
            full = sd.derivative(f, x, method=method, full_output=True)
            assert full.success
            assert np.mean(abs(full.value - exact(x)) <= 10 * full.error) >= 0.95
            assert (full.error <= 1e-5 * (1 + abs(full.value))).all()


def test_kinks_and_noise_are_not_called_resolved():
    full = sd.gradient(lambda x: abs(x[0]) + x[1], [0.0, 1.0], full_output=True)
    assert full.status.tolist() == [sd.Status.UNRESOLVED, sd.Status.RESOLVED]
    assert full.error[0] >= 0.5
    full = sd.derivative(np.sin, 1e20, full_output=True)
    assert not full.success


def test_a_constant_has_gradient_0_with_an_error_bar():
    full = sd.gradient(lambda x: 7.0, [1.0, 2.0], full_output=True)
    assert full.value.tolist() == [0, 0]
    assert full.success
    assert ((full.error > 0) & (full.error < 1e-8)).all()


def test_full_output_counts_every_call():
    for function, arguments in ((sd.gradient, ()), (sd.jacobian, ()), (sd.jvp, (np.ones(3),))):
        for method in METHODS:
            calls = []

            def f(x, calls=calls):
                calls.append(1)
                return square(x)

            full = function(f, np.ones(3), *arguments, method=method, full_output=True)
            assert full.nfev == len(calls)
    calls = []
    assert sd.derivative(lambda t: calls.append(1) or t, np.ones(3), full_output=True).nfev == len(calls)


def test_full_output_reads_well():
    text = repr(sd.gradient(square, [1.0, 2.0], full_output=True))
    for name in ("value", "error", "step", "status", "nfev", "success", "message"):
        assert name in text


def test_out_takes_the_result():
    x = np.array([3.0, 4.0])
    for out in (np.zeros(2), np.zeros(4)[::2], np.zeros(2)[::-1], x):
        result = sd.gradient(square, x.copy(), out=out)
        assert result is out
        assert out == pytest.approx([6, 8])
    out = np.zeros((2, 2))
    assert sd.jacobian(lambda x: x * 2, [3.0, 4.0], out=out) is out
    assert out == pytest.approx(2 * np.eye(2), abs=1e-9)
    out = np.zeros(2)
    full = sd.gradient(square, [3.0, 4.0], out=out, full_output=True)
    assert full.value is out
    out = np.zeros(())
    assert sd.jvp(square, [3.0, 4.0], [1.0, 0.0], out=out) is out
    assert out[()] == pytest.approx(6)


def test_a_reused_output_buffer_does_not_give_zeros():
    """SciPy, numdifftools, statsmodels, jacobi and optimagic return exactly 0 here."""
    buffer = np.zeros(2)

    def f(x):
        buffer[:] = x**2
        return buffer

    assert sd.jacobian(f, [3.0, 4.0]) == pytest.approx(np.diag([6, 8]), abs=1e-8)


def test_warnings_point_at_the_caller():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sd.gradient(lambda x: math.nan, [1.0])
        sd.Gradient(lambda x: math.nan, [1.0])([1.0])
        sd.jvp(lambda x: math.nan, [1.0], [1.0])
        sd.jacobian(lambda x: math.nan, [1.0])
        sd.derivative(lambda x: math.nan, 1.0)
    assert len(caught) == 5
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("option", ["sparsity"])
def test_what_is_not_there_yet_says_so(option):
    with pytest.raises(NotImplementedError, match=option):
        sd.jacobian(square, [1.0], **{option: 1})
