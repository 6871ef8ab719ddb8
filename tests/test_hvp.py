"""Products of Hessians with vectors agree with the Hessian, in a number of calls that grows with n and not with n**2.

Here because Newton's method on many variables asks for nothing else. Tests hessian.py, products.py and slopes.py.
"""

import concurrent.futures

import numpy as np
import pytest
import sent
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod

import steepest as sd

from .faults.contract import bits, case
from .test_hessian import START, Counted, cubic, quietly, relative

V = np.cos(np.arange(10.0))


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


@pytest.mark.parametrize(("options", "calls", "tolerance"), [
    ({}, 40, 1e-7), ({"method": "forward"}, 22, 1e-4), ({"method": "backward"}, 22, 1e-4),
    ({"method": "complex"}, 25, 1e-9), ({"step": 1e-4}, 40, 1e-7), ({"rel_step": 1e-4}, 40, 1e-7),
    ({"full_output": True}, 80, 1e-7),
], ids=str)
def test_values_give_the_product_in_the_calls_that_are_promised(options, calls, tolerance):
    f = Counted(rosen)
    found = sd.hvp(f, START, V, **options)
    if options.get("full_output"):
        assert found.nfev == f.calls and found.success
        found = found.value
    assert relative(found, rosen_hess_prod(START, V)) < tolerance
    assert f.calls == calls


@pytest.mark.parametrize(("options", "calls", "tolerance"), [
    ({}, 2, 1e-9), ({"method": "forward"}, 2, 1e-7), ({"method": "backward"}, 2, 1e-7),
    ({"method": "complex"}, 4, 1e-15), ({"step": 1e-5}, 2, 1e-9), ({"full_output": True}, 5, 1e-9),
], ids=str)
def test_a_gradient_gives_the_product_in_the_calls_that_are_promised(options, calls, tolerance):
    grad = Counted(rosen_der)
    found = sd.hvp(None, START, V, grad=grad, **options)
    if options.get("full_output"):
        assert found.nfev == grad.calls and found.success
        found = found.value
    assert relative(found, rosen_hess_prod(START, V)) < tolerance
    assert grad.calls == calls


@given(seed=st.integers(0, 10**6), n=st.integers(1, 6), side=st.sampled_from(["free", "below", "above"]))
def test_products_and_hessian_agree_within_their_bars_in_any_corner(seed, n, side):
    f, hessian = cubic(seed, n)
    rng = np.random.default_rng(seed)
    x, v = rng.normal(size=n), rng.normal(size=n)
    if side != "free":
        v = abs(v) if side == "below" else -abs(v)
    bounds = {"free": None, "below": (x, None), "above": (None, x)}[side]
    whole = sd.hessian(f, x, bounds=bounds, full_output=True)
    found = sd.hvp(f, x, v, bounds=bounds, full_output=True)
    room = 3 * (found.error + whole.error @ abs(v)) + 1e-12
    assert (abs(found.value - whole.value @ v) <= room).all()
    assert abs(found.value - hessian(x) @ v).max() < 1e-3 * (1 + abs(hessian(x)).max() + abs(x).max() ** 3)


def test_a_column_of_the_hessian_is_its_product_with_a_unit_vector():
    for i in range(10):
        found = sd.hvp(rosen, START, np.eye(10)[i])
        assert relative(found, rosen_hess(START)[i]) < 1e-7


@pytest.mark.parametrize("char, tolerance", [("f", 1e-2), ("d", 1e-6), ("g", 1e-8), ("F", 5e-2), ("D", 1e-6),
                                             ("G", 1e-8)])
def test_the_type_of_x_is_kept(char, tolerance):
    x = np.array([1.0, -2.0, 0.5]).astype(char)
    v = np.array([1.0, 2.0, -1.0]).astype(char) * (1 + 1j if char in "FDG" else 1)
    for found in (sd.hvp(lambda x: (x**3).sum() + x.prod(), x, v),
                  sd.hvp(None, x, v, grad=lambda x: 3 * x**2 + x.prod() / x)):
        a, b, c = x
        expected = np.array([[6 * a, c, b], [c, 6 * b, a], [b, a, 6 * c]]) @ v
        assert found.dtype.char == char
        assert abs(found - expected).max() < tolerance * 20


@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"method": "complex"}], ids=str)
@pytest.mark.parametrize("bounds", [(START, None), (None, START), (START - 1e-3, START + 1),
                                    (START - 1e-4, START + 1e-4)], ids=range(4))
def test_no_point_is_outside_the_bounds(options, bounds):
    v = -abs(V) if bounds[0] is None else abs(V)
    f = Counted(rosen)
    found, _ = quietly(sd.hvp, f, START, v, bounds=bounds, **options)
    lower, upper = (np.full(10, end) if bound is None else bound
                    for bound, end in zip(bounds, (-np.inf, np.inf), strict=True))
    assert all((lower <= point.real).all() and (point.real <= upper).all() for point in f.points)
    assert relative(found, rosen_hess_prod(START, v)) < (1e-2 if options.get("method") == "forward" else 1e-5)


def test_a_direction_that_leaves_the_bounds_both_ways_is_not_resolved():
    for options in ({}, {"grad": rosen_der}):
        found, warned = quietly(sd.hvp, rosen, START, V, bounds=(START, START + 1), **options)
        assert warned and np.isnan(found).all()
        found = sd.hvp(rosen, START, V, bounds=(START, START + 1), full_output=True, **options)
        assert "leaves the bounds both ways" in found.message and not found.success


def test_what_is_fixed_is_no_variable():
    lower, upper = START - 1, START + 1
    lower[3] = upper[3] = START[3]
    free = np.arange(10) != 3
    expected = np.where(free, rosen_hess(START) @ np.where(free, V, 0), 0)
    for options in ({}, {"method": "complex"}, {"grad": rosen_der}, {"grad": rosen_der, "method": "complex"}):
        with case(options):
            found = sd.hvp(rosen, START, V, bounds=(lower, upper), full_output=True, **options)
            assert relative(found.value, expected) < 1e-7 and found.success
            assert found.status[3] == sd.Status.FIXED
            assert found.value[3] == found.error[3] == found.step[3] == 0


def test_the_product_with_nothing_takes_no_calls():
    f = Counted(rosen)
    for options in ({}, {"method": "complex"}, {"full_output": True}):
        found = sd.hvp(f, START, np.zeros(10), **options)
        found = found.value if options.get("full_output") else found
        assert not found.any() and f.calls == 0
    grad = Counted(rosen_der)
    assert not sd.hvp(None, START, np.zeros(10), grad=grad).any() and grad.calls == 0
    assert sd.hvp(f, np.zeros(0), np.zeros(0)).shape == (0,) and f.calls == 0


@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"method": "complex"}, {"grad": rosen_der}], ids=repr)
def test_the_true_error_is_within_the_bars(options):
    missed = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, v = rng.uniform(-2, 2, 10), rng.normal(size=10)
        found = sd.hvp(rosen, x, v, full_output=True, **options)
        assert found.success and found.error.shape == found.step.shape == (10,)
        missed.append(abs(found.value - rosen_hess_prod(x, v)) > 3 * found.error + 1e-12)
    assert np.mean(missed) <= 0.03


def test_what_is_not_finite_is_flagged():
    found, warned = quietly(sd.hvp, lambda x: np.inf if x[0] > 1.5 else (x * x).sum(), np.array([1.5, 1.0]), np.ones(2))
    assert warned and np.isnan(found[0])


def test_a_complex_step_of_what_is_not_analytic_is_found_out():
    found = sd.hvp(lambda x: (x * x.conj()).sum(), START, V, method="complex", full_output=True)
    assert not found.success and "not analytic" in found.message


@pytest.mark.parametrize("options", [{}, {"method": "complex"}, {"full_output": True}], ids=str)
def test_workers_give_the_bits_of_one(options):
    x, v = START[:4], V[:4]
    expected = bits(sd.hvp(sent.valley, x, v, **options))
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        for workers in (threads, map, 2):
            assert bits(sd.hvp(sent.valley, x, v, workers=workers, **options)) == expected
    many = sd.hvp(lambda x: np.array([sent.valley(point) for point in x]), x, v, vectorized=True, **options)
    assert bits(many) == expected


def test_a_compiled_f_is_called_by_pointer_by_any_number_of_threads(native):
    f, plain = native.given("rosenbrock", "ctypes", None), sd.compiled(native.ctypes("rosenbrock"))
    x, v = np.linspace(0.5, 1.5, 6), np.arange(6.0)
    expected = bits(sd.hvp(lambda x: plain(x), x, v))
    for workers in (None, 2, 5):
        assert bits(sd.hvp(f, x, v, workers=workers)) == expected


@pytest.mark.parametrize(("v", "options", "error", "message"), [
    (np.ones(9), {}, ValueError, r"v must have the shape of x, \(10,\), but has \(9,\)"),
    (np.ones(10) * 1j, {}, TypeError, "v must be real for a real x"),
    (np.full(10, np.nan), {}, ValueError, "v must be finite"),
    (V, {"step": np.ones(10)}, ValueError, "step and rel_step must be numbers"),
    (V, {"step": 0.0}, ValueError, "step must be positive"),
    (V, {"method": "adaptive"}, ValueError, "for second derivatives"),
    (V, {"out": np.zeros(9)}, ValueError, r"out must have shape \(10,\)"),
    (V, {"bounds": (START + 1, None)}, ValueError, r"x must lie within bounds"),
], ids=str)
def test_bad_arguments_are_refused_before_f_is_called(v, options, error, message):
    f = Counted(rosen)
    with pytest.raises(error, match=message):
        sd.hvp(f, START, v, **options)
    assert f.calls == 0


def test_out_takes_the_product():
    out = np.empty(10)
    assert sd.hvp(rosen, START, V, out=out) is out
    assert bits(out) == bits(sd.hvp(rosen, START, V))
