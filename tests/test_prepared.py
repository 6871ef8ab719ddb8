"""Prepared gradients and Jacobians: fast, re-entrant, thread-safe, picklable, and SciPy's jac=.

Here because an optimiser asks them thousands of times. Tests prepared.py.
"""

import copy
import pickle
import threading

import numpy as np
import pytest
from scipy.optimize import Bounds, least_squares, minimize, rosen, rosen_der

import steepest as sd


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def residuals(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def test_a_prepared_gradient_equals_the_function_bit_for_bit():
    points = np.random.default_rng(1).normal(size=(20, 4))
    g = sd.Gradient(rosen, points[0])
    for x in points:
        assert np.array_equal(g(x), sd.gradient(rosen, x))
        value, gradient = g.value_and_gradient(x)
        assert value == rosen(x)
        assert np.array_equal(gradient, g(x))


@pytest.mark.parametrize("options", [
    {"method": "forward"}, {"method": "complex"}, {"order": 6}, {"step": 1e-4}, {"rel_step": [1e-4, 1e-5]},
    {"x_scale": 10.0}, {"bounds": (-2, 2)}, {"bounds": Bounds([-2, 0.7], 2)}, {"method": "backward", "order": 2},
])
def test_every_option_is_kept(options):
    x = np.array([-1.2, 0.7])
    g = sd.Gradient(rosen, x, **options)
    for _ in range(2):
        assert np.array_equal(g(x), sd.gradient(rosen, x, **options))
    value, gradient = g.value_and_gradient(x)
    assert value == rosen(x)
    assert np.array_equal(gradient, g(x))
    assert abs(g(x) - rosen_der(x)).max() < 1e-3
    J = sd.Jacobian(residuals, x, **options)
    for _ in range(2):
        assert np.array_equal(J(x), sd.jacobian(residuals, x, **options))


def test_out_is_written_and_returned():
    x, out = np.array([3.0, 4.0]), np.zeros(2)
    g = sd.Gradient(lambda x: x @ x, x)
    assert g(x, out) is out
    assert out == pytest.approx([6, 8])
    assert g(x, out=x) is x
    assert x == pytest.approx([6, 8])
    strided = np.zeros(4)[::2]
    assert g([3, 4], out=strided) is strided
    assert strided == pytest.approx([6, 8])
    table = np.zeros((2, 2))
    assert sd.Jacobian(residuals, [0.0, 0.0])([1.0, 2.0], out=table) is table


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 1)), np.zeros(2, "f"), np.zeros(2, ">f8"), [0.0, 0.0]])
def test_an_out_that_does_not_suit_is_refused_before_f_is_called(wrong):
    calls = []
    g = sd.Gradient(lambda x: calls.append(1) or x @ x, np.zeros(2))
    with pytest.raises((TypeError, ValueError), match="out"):
        g(np.ones(2), out=wrong)
    with pytest.raises((TypeError, ValueError), match="out"):
        g.value_and_gradient(np.ones(2), out=wrong)
    assert not calls


def test_x_of_another_shape_or_type_is_refused_or_converted():
    g = sd.Gradient(lambda x: (x * x).sum(), np.zeros((2, 2)))
    for wrong in (np.zeros(4), np.zeros((4, 1)), 1.0):
        with pytest.raises(ValueError, match=r"x must have the shape prepared for, \(2, 2\)"):
            g(wrong)
    with pytest.raises(TypeError, match="x must have the type prepared for"):
        g(np.zeros((2, 2), complex))
    assert g(np.ones((2, 2), np.float32)).dtype == np.float64
    assert g([[1, 2], [3, 4]]) == pytest.approx(np.array([[2, 4], [6, 8]]))
    single = sd.Gradient(lambda x: (x * x).sum(), np.zeros(2, np.float32))
    assert single(np.ones(2)).dtype == np.float32


@pytest.mark.parametrize("method", ["BFGS", "CG", "L-BFGS-B", "SLSQP", "trust-constr"])
def test_it_serves_as_jac_of_scipy(method):
    x0 = np.array([-1.2, 1.0])
    result = minimize(rosen, x0, jac=sd.Gradient(rosen, x0), method=method)
    assert result.x == pytest.approx([1, 1], abs=1e-2)
    pair = minimize(sd.Gradient(rosen, x0).value_and_gradient, x0, jac=True)
    assert pair.x == pytest.approx([1, 1], abs=1e-3)


def test_a_jacobian_serves_least_squares():
    result = least_squares(residuals, [-1.2, 1.0], jac=sd.Jacobian(residuals, np.zeros(2)))
    assert result.x == pytest.approx([1, 1])


def test_f_may_call_the_same_prepared_object():
    def f(x):
        if depth:
            depth.pop()
            assert g(2 * x) == pytest.approx(4 * x)
        return x @ x

    depth = [1] * 10
    g = sd.Gradient(f, np.zeros(2))
    assert g(np.array([3.0, 4.0])) == pytest.approx([6, 8])
    assert not depth


def test_eight_threads_share_one_object():
    points = np.random.default_rng(2).normal(size=(8, 50, 3))
    g = sd.Gradient(rosen, points[0, 0])
    expected = [[g(x) for x in rows] for rows in points]
    found = [None] * 8

    def work(k):
        found[k] = [g(x) for x in points[k]]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(found, expected)


def test_copies_and_pickles_are_made_anew_by_the_validating_constructor():
    x = np.array([-1.2, 0.7])
    for prepared in (
        sd.Gradient(rosen, x, order=4, bounds=([-2, -2], [2, 2])),
        sd.Jacobian(np.cos, x, method="forward", kwargs={"where": True}),
    ):
        for twin in (copy.copy(prepared), copy.deepcopy(prepared), pickle.loads(pickle.dumps(prepared))):
            assert type(twin) is type(prepared)
            assert np.array_equal(twin(x), prepared(x))
            assert "shape=(2,)" in repr(twin)


def test_an_object_is_prepared_once():
    g = sd.Gradient(rosen, np.zeros(2))
    with pytest.raises(sd.BusyError, match="prepared already"):
        g.__init__(rosen, np.zeros(3))
    assert g.shape == (2,)


def test_changing_what_was_passed_changes_nothing():
    upper, x = np.array([2.0, 2.0]), np.array([1.0, 1.0])
    g = sd.Gradient(lambda x: np.exp(x).sum(), x, bounds=(0, upper))
    before = g(x)
    upper[:] = 1.0
    x0 = x.copy()
    x[:] = 9.0
    assert np.array_equal(pickle.loads(pickle.dumps(sd.Gradient(rosen, x0)))(x0), sd.gradient(rosen, x0))
    assert np.array_equal(g(x0), before)


def test_an_object_goes_on_after_an_exception():
    raising = [False]

    def f(x):
        if raising[0]:
            raise ZeroDivisionError
        return x @ x

    g = sd.Gradient(f, np.zeros(2))
    x = np.array([3.0, 4.0])
    for _ in range(3):
        raising[0] = True
        with pytest.raises(ZeroDivisionError):
            g(x)
        raising[0] = False
        assert g(x) == pytest.approx([6, 8])


def test_a_jacobian_that_failed_at_first_has_learned_nothing():
    results = [np.zeros(0), np.zeros(3)]

    def f(x):
        result = results.pop(0) if results else np.array([x[0], x[1], x[0] * x[1]])
        if result.size < 3:
            raise ZeroDivisionError
        return result

    J = sd.Jacobian(lambda x: f(x)[:1] if results else f(x), np.zeros(2))
    with pytest.raises(ZeroDivisionError):
        J(np.ones(2))
    with pytest.raises(ValueError, match="before"):
        J(np.ones(2))
    assert J(np.ones(2)).shape == (3, 2)


def test_the_backend_in_force_is_used():
    g = sd.Gradient(rosen, np.zeros(2))
    x = np.array([0.3, 0.4])
    results = []
    for name in ("kernels", "reference", "kernels"):
        with sd.backend(name):
            results.append(g(x))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
