"""Forward differences serve far from a minimum, central ones near it: method="switch".

Here because an optimiser wants the cheaper of the two as long as it is good enough. Tests switching.py.
"""

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

import steepest as sd

FAR = np.linspace(-1.2, 1.5, 5)
NEAR = 1 + 1e-9 * FAR
FORWARD, CENTRAL = "forward differences", "central differences, for the derivative is within the error"


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def bowl(x):
    return np.cosh(x).sum()


def never(x):
    raise AssertionError("f was called")


@pytest.mark.parametrize("f", [rosen, lambda x: bowl(x - 1), lambda x: 10 + 1e-3 * bowl(x - 1)])
def test_the_error_of_forward_differences_decides(f):
    far, near = (sd.gradient(f, x, method="switch", full_output=True) for x in (FAR, NEAR))
    assert FORWARD in far.message
    assert CENTRAL in near.message
    for x, full, method in ((FAR, far, "forward"), (NEAR, near, "central")):
        assert np.array_equal(full.value, sd.gradient(f, x, method=method, full_output=True).value)


def test_a_call_far_away_costs_one_evaluation_a_variable_and_three():
    calls = []
    sd.gradient(lambda x: calls.append(1) or rosen(x), FAR, method="switch")
    assert len(calls) == 1 + 5 + 2
    calls.clear()
    sd.gradient(lambda x: calls.append(1) or bowl(x - 1), NEAR, method="switch")
    assert len(calls) == 1 + 5 + 2 + 10


@pytest.mark.parametrize("n", [2, 10, 60])
def test_the_point_of_change_is_where_the_error_is(n):
    """Between twenty times and a twentieth of the error of forward differences."""
    x = np.full(n, 1.0)
    error = np.linalg.norm(sd.gradient(bowl, x, method="forward") - np.sinh(x)) / np.linalg.norm(np.cosh(x))
    for share, expected in ((1000.0, FORWARD), (1e-3, CENTRAL)):
        found = sd.gradient(bowl, np.full(n, share * max(error, 1e-9)), method="switch", full_output=True)
        assert expected in found.message, share


def test_units_do_not_matter():
    scale = np.array([1e-6, 1e4, 1.0])
    for x, expected in ((np.array([1.0, 2.0, -1.0]), FORWARD), (np.array([1e-9, 1e-10, 0.0]), CENTRAL)):
        found = sd.gradient(lambda x: bowl(x / scale), x * scale, method="switch", x_scale=scale, full_output=True)
        assert expected in found.message


def test_entries_decide_for_themselves_where_f_is_a_function_of_one_number():
    found = sd.derivative(np.cos, [0.0, 1.0, 1e-10, 3.0], method="switch", full_output=True)
    assert found.message.endswith("of forward ones") and "2 of 4 by central differences" in found.message
    forward, central = (sd.derivative(np.cos, [0.0, 1.0, 1e-10, 3.0], method=m) for m in ("forward", "central"))
    assert np.array_equal(found.value, np.where([True, False, True, False], central, forward))


def test_jacobians_and_directions_too():
    def f(x):
        return np.array([bowl(x), rosen(x)])

    for x, expected in ((FAR, FORWARD), (np.zeros(5), FORWARD)):
        found = sd.jacobian(f, x, method="switch", full_output=True)
        assert expected in found.message
        assert (abs(found.value - np.array([np.sinh(x), rosen_der(x)])) <= 10 * found.error + 1e-12).all()
    assert CENTRAL in sd.jacobian(lambda x: np.array([bowl(x), 2 * bowl(x)]), np.zeros(5), method="switch",
                                  full_output=True).message
    assert FORWARD in sd.jvp(rosen, FAR, np.ones(5), method="switch", full_output=True).message
    found = sd.jvp(lambda x: bowl(x - 1), np.ones(5), FAR, method="switch", full_output=True)
    assert CENTRAL in found.message and abs(found.value) <= 1e-9


@pytest.mark.parametrize("noise", [1e-6, "auto"])
def test_noise_decides_where_there_is_more_of_it(noise):
    random = np.random.default_rng(2)

    def f(x):
        return bowl(x) + 1e-6 * random.standard_normal()

    far = sd.gradient(f, np.full(3, 1.0), method="switch", noise=noise, full_output=True)
    near = sd.gradient(f, np.full(3, 1e-5), method="switch", noise=noise, full_output=True)
    assert FORWARD in far.message and CENTRAL in near.message
    for x, found in ((1.0, far), (1e-5, near)):
        assert (abs(found.value - np.sinh(x)) <= 10 * found.error).all()


def test_bounds_are_respected():
    for x in (FAR, NEAR):
        for lower, upper in ((x, x + 1), (x - 1, x), (x - 1e-12, x + 1e-12)):
            seen = []
            sd.gradient(lambda x, seen=seen: seen.append(x) or rosen(x), x, method="switch", bounds=(lower, upper),
                        full_output=True)
            assert ((np.array(seen) >= lower) & (np.array(seen) <= upper)).all()


def test_a_prepared_gradient_stays_with_central_differences_for_a_while():
    calls = []
    g = sd.Gradient(lambda x: calls.append(1) or bowl(x - 1), NEAR, method="switch")
    costs = []
    for x in [FAR] * 3 + [NEAR] * 3 + [FAR] * 10:
        before = len(calls)
        value = g(x)
        costs.append(len(calls) - before)
        assert abs(value - np.sinh(x - 1)).max() <= 1e-7
    assert costs[:6] == [8, 6, 6, 16, 10, 10]
    assert costs[6:13] == [10] * 7 and costs[13] == 8      # after ten calls it is decided anew


@pytest.mark.parametrize("sparsity", [None, np.eye(5)], ids=["dense", "sparse"])
def test_one_thread_may_go_on_with_what_another_has_decided(sparsity):
    """A run that has only made forward differences knows nothing of central ones yet."""
    J = sd.Jacobian(lambda x: np.cosh(x - 1), FAR, method="switch", sparsity=sparsity,
                    format=None if sparsity is None else "dense")
    J(FAR)
    mine = J._idle.pop()
    J(NEAR)
    J._idle.append(mine)
    assert abs(J(FAR) - np.diag(np.sinh(FAR - 1))).max() <= 1e-9


def test_an_optimiser_ends_where_central_differences_end_and_pays_less():
    results = {}
    for method in ("forward", "central", "switch"):
        calls = []
        g = sd.Gradient(lambda x, calls=calls: calls.append(1) or rosen(x), FAR, method=method)
        x = minimize(rosen, FAR, jac=g, method="BFGS", options={"gtol": 1e-5, "maxiter": 500}).x
        results[method] = abs(rosen_der(x)).max(), len(calls)
    assert results["switch"][0] <= 10 * results["central"][0]
    assert results["switch"][0] <= results["forward"][0]
    assert results["switch"][1] <= results["central"][1]


def test_what_is_not_finite_is_said():
    found = sd.gradient(lambda x: np.nan, FAR, method="switch", full_output=True)
    assert (found.status == sd.Status.NONFINITE).all()


def test_what_it_cannot_do_is_refused_before_f_is_called():
    with pytest.raises(ValueError, match="n must be 1 for method='switch', not 2"):
        sd.derivative(never, 1.0, 2, method="switch")
    with pytest.raises(ValueError, match="order must be one of 1, 2, 3, 4 for method='switch'"):
        sd.gradient(never, FAR, method="switch", order=6)
    with pytest.raises(ValueError, match="x must lie within bounds"):
        sd.gradient(never, FAR, method="switch", bounds=(10, 11))
    assert sd.gradient(never, np.zeros(0), method="switch").shape == (0,)


def test_workers_batches_and_backends_give_the_same_bits():
    for x in (FAR, NEAR):
        expected = sd.gradient(rosen, x, method="switch")
        assert np.array_equal(sd.gradient(rosen, x, method="switch", workers=map), expected)
        batch = sd.gradient(lambda p: np.array([rosen(x) for x in p]), x, method="switch", vectorized=True)
        assert np.array_equal(batch, expected)
        with sd.backend("reference"):
            assert np.array_equal(sd.gradient(rosen, x, method="switch"), expected)


def test_an_exception_of_any_call_comes_back_as_the_same_object():
    for x, total in ((FAR, 8), (np.ones(5), 18)):
        for k in range(1, total + 1):
            planned, calls = RuntimeError("planned"), []

            def f(x, calls=calls, planned=planned, k=k):
                calls.append(1)
                if len(calls) == k:
                    raise planned
                return bowl(x - 1)

            with pytest.raises(RuntimeError) as caught:
                sd.gradient(f, x, method="switch")
            assert caught.value is planned
            assert f"in evaluation {k} of f" in planned.__notes__[0]
