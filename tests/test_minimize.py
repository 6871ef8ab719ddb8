"""Minima: one contract for every method, limits, bounds, states, callbacks, exceptions.

Here because a result is only as good as what it says of itself. It tests minimize.py and the answers of objective.py.
"""

import numpy as np
import pytest
from more_garbow_hillstrom import PROBLEMS
from native_library import Pause
from scipy.optimize import Bounds, rosen, rosen_der
from test_native import described

import steepest as sd
from steepest.errors import DescentStatus
from steepest.minimize import maximize, minimize
from steepest.reference.descent import METHODS

X0 = np.array([-1.2, 1.0])


def bowl(x):
    return float(((x - np.arange(x.size).reshape(x.shape)) ** 2).sum())


def slopes(x):
    return 2 * (x - np.arange(x.size).reshape(x.shape))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grad", [slopes, None, True], ids=["given", "differences", "pair"])
def test_every_method_finds_the_bottom_of_a_bowl(backend, method, grad):
    f = (lambda x: (bowl(x), slopes(x))) if grad is True else bowl
    result = minimize(f, np.full(5, 7.0), grad=grad, method=method, lr=0.2 if method == "gd" else None)
    assert result.success and result.status == DescentStatus.CONVERGED
    assert np.allclose(result.x, np.arange(5), atol=1e-4)
    assert abs(result.jac).max() <= 1e-5
    assert result.fun == bowl(result.x)


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "cg", "bb", "spg"])
def test_a_narrow_valley_is_walked_to_its_end(backend, method):
    result = minimize(rosen, X0, grad=rosen_der, method=method, maxiter=2000)
    assert result.success
    assert np.allclose(result.x, 1, atol=1e-4)


def test_most_published_problems_are_solved():
    solved = 0
    with np.errstate(all="ignore"):
        for problem in PROBLEMS:
            result = minimize(problem.f, problem.x0, grad=problem.grad, tol=1e-8, maxfev=3000)
            assert result.success == (abs(problem.grad(result.x)).max() <= 1e-8)
            assert result.fun == problem.f(result.x)
            solved += result.success
    assert solved >= 33


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_and_type_of_x_are_kept(backend, shape, dtype):
    seen = []

    def f(x):
        seen.append((np.shape(x), np.asarray(x).dtype))
        return float((np.asarray(x, float) ** 2).sum())

    x0 = np.full(shape, 3, dtype)
    result = minimize(f, x0, tol=1e-2)
    assert result.success
    assert result.x.shape == result.jac.shape == shape
    assert result.x.dtype == dtype
    assert set(seen) == {(shape, np.dtype(dtype))}
    assert (x0 == 3).all()


def test_kernels_and_reference_walk_the_same_way():
    found = []
    for floor in ("kernels", "reference"):
        with sd.backend(floor):
            found.append([(r.x.tobytes(), r.fun, r.nit, r.nfev, r.njev, r.status) for r in (
                minimize(rosen, X0), minimize(rosen, X0, grad=rosen_der, method="cg"),
                minimize(rosen, X0, bounds=(-2, 1.0)), minimize(rosen, X0, method="bb", bounds=None))])
    assert found[0] == found[1]


@pytest.mark.parametrize("method", ["lbfgs", "spg"])
@pytest.mark.parametrize("grad", [rosen_der, None])
def test_f_is_never_evaluated_outside_the_bounds(backend, method, grad):
    lower, upper = np.array([-1.5, -0.2]), np.array([0.6, 2.0])

    def f(x):
        assert (lower <= x).all()
        assert (x <= upper).all()
        return rosen(x)

    result = minimize(f, [-1.0, 1.0], grad=grad, method=method, bounds=Bounds(lower, upper), maxiter=500)
    assert result.success
    assert np.allclose(result.x, [0.6, 0.36], atol=1e-4)


def test_a_start_outside_the_bounds_is_moved_in_with_a_warning():
    with pytest.warns(RuntimeWarning, match="x0 is outside the bounds"):
        result = minimize(bowl, [5.0, 5.0], grad=slopes, bounds=(0.0, 2.0))
    assert result.success


def test_a_set_of_the_users_is_kept(backend):
    result = minimize(bowl, np.array([0.1, 0.2, 0.0]), grad=slopes, method="spg",
                      project=lambda x: x / max(1.0, np.linalg.norm(x)))
    assert result.success
    assert np.allclose(result.x, np.arange(3) / np.linalg.norm(np.arange(3)), atol=1e-4)


def test_climbing_gives_values_and_gradients_of_f(backend):
    result = maximize(lambda x: -bowl(x), np.ones(3), grad=lambda x: -slopes(x))
    assert result.success
    assert np.allclose(result.x, np.arange(3), atol=1e-5)
    assert result.fun == -bowl(result.x)
    assert maximize(lambda x: -rosen(x), X0, target=-1.0).status == DescentStatus.TARGET


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_limits_are_exact_and_no_success(backend, limit):
    result = minimize(rosen, X0, grad=rosen_der, maxiter=limit)
    assert (result.nit, result.status, result.success) == (limit, DescentStatus.ITERATIONS, False)
    calls = []
    result = minimize(lambda x: calls.append(1) or rosen(x), X0, maxfev=20 * limit)
    assert len(calls) == result.nfev <= 20 * limit
    assert result.status == DescentStatus.EVALUATIONS


def test_small_changes_stop_a_walk_and_are_no_success():
    assert minimize(rosen, X0, grad=rosen_der, tol=0, ftol=0.2).status == DescentStatus.DECREASE
    assert minimize(rosen, X0, grad=rosen_der, tol=0, xtol=1e-2).status == DescentStatus.STEP
    assert minimize(rosen, X0, grad=rosen_der, tol=0, noise=1e-3).status == DescentStatus.NOISE
    assert minimize(rosen, X0, grad=rosen_der, tol=0, maxtime=1e-9).status == DescentStatus.TIME


def test_a_callback_sees_every_iteration_and_may_stop_it(backend):
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        intermediate_result.x[:] = 99      # a copy
        if len(seen) == 4:
            raise StopIteration

    result = minimize(rosen, X0, grad=rosen_der, callback=callback)
    assert [one.nit for one in seen] == [1, 2, 3, 4]
    assert all({"x", "fun", "jac", "step"} <= set(one) for one in seen)
    assert (result.nit, result.status, result.success) == (4, DescentStatus.STOPPED, False)
    assert (result.x != 99).all()


def test_history_begins_with_the_start(backend):
    result = minimize(rosen, X0, grad=rosen_der, history=True)
    history = result.history
    assert history.x.shape == history.grad.shape == (result.nit + 1, 2)
    assert (history.x[0] == X0).all()
    assert (history.fun == [rosen(x) for x in history.x]).all()
    assert (history.grad[-1] == rosen_der(history.x[-1])).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_state_goes_on_bit_for_bit(backend, method):
    options = {"grad": rosen_der, "method": method, "maxiter": 40, "lr": 1e-3 if method == "gd" else None}
    whole = minimize(rosen, X0, **options)
    first = minimize(rosen, X0, **(options | {"maxiter": 7}))
    second = minimize(rosen, X0, state=first.state, **options)
    assert (second.x.tobytes(), second.fun, second.nit) == (whole.x.tobytes(), whole.fun, whole.nit)


def test_a_schedule_gives_the_rates_of_plain_steps(backend):
    rates = []
    result = minimize(bowl, np.ones(2) * 4, grad=slopes, method="gd", maxiter=3,
                      schedule=lambda t: rates.append(t) or 0.1 / (1 + t), history=True)
    steps = -np.diff(result.history.x, axis=0) / result.history.grad[:-1]
    assert np.allclose(steps, [[0.1], [0.05], [0.1 / 3]])
    assert rates[:3] == [0, 1, 2]


def test_compiled_functions_walk_without_python(native, backend):
    x0 = np.linspace(-1, 1, 6)
    pause = Pause(0)
    result = minimize(described(native, "slow", data=pause), x0, maxiter=200)
    assert result.nfev == pause.calls
    assert result.nit > 3
    assert result.fun < 0.1 * rosen(x0)


@pytest.mark.parametrize("options", [{}, {"order": 4}, {"grad": "forward"}, {"grad": "adaptive"}, {"grad": "switch"},
                                     {"noise": 1e-9}, {"method": "adam"}, {"workers": 2}], ids=str)
def test_a_compiled_function_is_never_called_once_too_often(native, backend, options):
    for limit in (1, 5, 30, 77):
        pause = Pause(0)
        result = minimize(described(native, "slow", data=pause), np.linspace(-1, 1, 6), maxfev=limit, tol=0, **options)
        assert pause.calls == result.nfev <= limit
        assert result.status == DescentStatus.EVALUATIONS


@pytest.mark.parametrize("method", ["lbfgs", "bb", "gd"])
@pytest.mark.parametrize("call", [1, 2, 7])
def test_what_f_raises_comes_back_named_with_the_best_point(backend, method, call):
    calls, planned = [], KeyError("planned")

    def f(x):
        calls.append(1)
        if len(calls) == call:
            raise planned
        return rosen(x)

    with pytest.raises(KeyError) as caught:
        minimize(f, X0, grad=rosen_der, method=method)
    assert caught.value is planned
    notes = planned.__notes__
    assert f"in evaluation {call} of f, at x itself" in notes[0]
    assert (call == 1) != any("the best point so far" in note for note in notes)


def test_a_wrong_gradient_is_no_success_and_the_message_says_what_to_do(backend):
    result = minimize(rosen, X0, grad=lambda x: -rosen_der(x))
    assert result.status == DescentStatus.STALLED
    assert "check_gradient" in result.message


def test_a_start_that_is_not_finite_is_told_at_once(backend):
    result = minimize(lambda x: float("nan"), X0, grad=rosen_der)
    assert (result.status, result.success, result.nit) == (DescentStatus.NONFINITE, False, 0)
    with pytest.raises(ValueError, match="x0"):
        minimize(rosen, [np.nan, 1.0])


@pytest.mark.parametrize(("options", "error", "text"), [
    ({"method": "newton"}, ValueError, "method must be one of"),
    ({"method": "cg", "bounds": (0, 1)}, ValueError, "cannot keep bounds"),
    ({"bounds": (1, 0)}, ValueError, "lb"),
    ({"tol": -1}, ValueError, "tol"), ({"ftol": np.nan}, ValueError, "ftol"), ({"maxiter": -1}, ValueError, "maxiter"),
    ({"maxiter": 1.5}, TypeError, "maxiter"), ({"maxfev": 0}, ValueError, "maxfev"), ({"lr": 0}, ValueError, "lr"),
    ({"memory": 0}, ValueError, "memory"), ({"variant": "bb3"}, ValueError, "variant"),
    ({"beta": 1}, ValueError, "beta"),
    ({"line_search": "exact"}, ValueError, "line_search"), ({"line_search": "wolfe", "method": "adgd"}, ValueError,
                                                            "line_search has no use"),
    ({"schedule": lambda t: 1.0}, ValueError, "schedule"), ({"project": lambda x: x}, ValueError, "project"),
    ({"callback": 3}, TypeError, "callback"), ({"grad": 3}, TypeError, "grad"), ({"noise": 0}, ValueError, "noise"),
    ({"average": 1.0}, ValueError, "average"), ({"maxtime": 0}, ValueError, "maxtime"),
    ({"state": {}}, ValueError, "state"), ({"order": 4, "grad": rosen_der}, TypeError, "order"),
])
def test_bad_arguments_are_refused_before_f_is_called(options, error, text):
    def never(x):
        raise AssertionError("called")

    with pytest.raises(error, match=text):
        minimize(never, X0, **options)


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 1)), "abc"])
def test_a_gradient_of_the_wrong_shape_is_refused(backend, wrong):
    with pytest.raises((TypeError, ValueError), match="grad"):
        minimize(rosen, X0, grad=lambda x: wrong)


def test_steps_stay_those_for_the_precision_of_f(backend):
    result = minimize(lambda x: np.float32(bowl(x - 1) + 0.1 * x[0] ** 4), np.array([3.0, -2.0, 5.0]))
    slope = slopes(result.x - 1)
    slope[0] += 0.4 * result.x[0] ** 3
    assert abs(slope).max() < 1e-4
