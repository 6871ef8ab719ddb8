"""One contract for all methods, rules by name included: what is returned, what ends a walk, who is told.

Here because a user who changes one word must not have to change anything else. It tests descent.py, driving.py and
rule_walk.py on every method; what single methods do is in test_minimize.py.
"""

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy import optimize

import steepest as sd
from steepest.descent import RULES, most_iterations
from steepest.reference.descent import METHODS

X0 = np.array([-1.2, 1.0])
ALL = METHODS + RULES
DIFFERENCES = [{}, {"order": 4}, {"grad": "forward"}, {"grad": "2-point"}, {"grad": "backward", "order": 2},
               {"grad": "complex"}, {"grad": "adaptive"}, {"grad": "switch"}, {"noise": 1e-9}, {"x_scale": 2.0},
               {"step": 1e-6}, {"bounds": (-2, 2)}, {"workers": map}]


def quiet(function):
    """A function of SciPy's without its warnings."""
    def quiet_one(x):
        with np.errstate(all="ignore"):
            return function(x)

    return quiet_one


rosen, rosen_der = quiet(optimize.rosen), quiet(optimize.rosen_der)


class Counting:
    """f, with every point and value of it."""

    def __init__(self, f=rosen):
        self.f, self.points, self.values = f, [], []

    def __call__(self, x):
        self.points.append(np.array(x))
        self.values.append(self.f(x))
        return self.values[-1]

    @property
    def calls(self):
        return len(self.points)


def rates(method):
    return {"lr": 1e-3} if method in ("gd", "sgd", "asgd") else {}


@pytest.mark.parametrize("method", ALL)
def test_the_point_that_comes_back_is_the_lowest_that_was_evaluated(backend, method):
    f, grad = Counting(), Counting(rosen_der)
    result = sd.minimize(f, X0, grad=grad, method=method, maxiter=30, **rates(method))
    assert result.fun == rosen(result.x)
    assert (result.jac == rosen_der(result.x)).all()
    assert result.fun <= np.nanmin(f.values) * (1 + 2**-50)
    assert (result.nfev, result.njev) == (f.calls, grad.calls)
    assert result.success == (abs(result.jac).max() <= 1e-5)


@pytest.mark.parametrize("method", ALL)
def test_f_and_its_gradient_are_asked_for_together_and_once_a_point(backend, method):
    pair = Counting(lambda x: (rosen(x), rosen_der(x)))
    result = sd.minimize(pair, X0, grad=True, method=method, maxiter=15, **rates(method))
    assert result.nfev == result.njev == pair.calls
    points = [x.tobytes() for x in pair.points]
    assert all(one != other for one, other in itertools.pairwise(points))
    apart = sd.minimize(rosen, X0, grad=rosen_der, method=method, maxiter=15, **rates(method))
    assert (result.x.tobytes(), result.fun, result.nit) == (apart.x.tobytes(), apart.fun, apart.nit)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("pair", [False, True])
def test_limits_are_exact_for_every_method(backend, method, pair):
    for limit in (1, 2, 3, 10, 17):
        f = Counting((lambda x: (rosen(x), rosen_der(x))) if pair else rosen)
        grad = True if pair else rosen_der
        result = sd.minimize(f, X0, grad=grad, method=method, tol=0, maxiter=limit, **rates(method))
        assert (result.nit, result.status) == (limit, sd.DescentStatus.ITERATIONS)
        f = Counting(f.f)
        result = sd.minimize(f, X0, grad=grad, method=method, tol=0, maxfev=limit, **rates(method))
        assert f.calls == result.nfev <= limit
        assert result.status == sd.DescentStatus.EVALUATIONS
        assert not result.success


@pytest.mark.parametrize("options", DIFFERENCES, ids=str)
@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_no_difference_calls_f_once_too_often(backend, method, options):
    if method == "adam" and "bounds" in options:
        pytest.skip("keeps no bounds")
    counted = Counting(optimize.rosen)
    whole = sd.minimize(counted, X0, method=method, maxiter=12, **options)
    assert counted.calls == whole.nfev
    for limit in (1, 4, 7, 20, 43):
        f = Counting(optimize.rosen)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sd.DifferenceWarning)
            result = sd.minimize(f, X0, method=method, maxfev=limit, maxiter=12, **options)
        assert f.calls == result.nfev <= limit
        assert (result.status == sd.DescentStatus.EVALUATIONS) == (whole.nfev > limit)


@pytest.mark.parametrize("options", DIFFERENCES, ids=str)
def test_every_kind_of_difference_leads_to_the_minimum(backend, options):
    result = sd.minimize(rosen if options.get("grad") != "complex" else optimize.rosen, X0, tol=1e-4, **options)
    assert result.success or (options.get("noise") and result.status == sd.DescentStatus.NOISE)
    assert np.allclose(result.x, 1, atol=1e-3)


def test_a_wall_beside_the_way_costs_calls_that_are_counted(backend):
    """Differences that meet NaN look for another way, and the limit holds for that too."""
    def f(x):
        return float((x**2).sum()) if (x >= 1e-9).all() else math.nan

    for limit in range(1, 60, 7):
        counted = Counting(f)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sd.DifferenceWarning)
            result = sd.minimize(counted, np.full(3, 1e-9), maxfev=limit, maxiter=20)
        assert counted.calls == result.nfev <= limit


def test_forward_differences_give_way_to_central_ones_near_the_minimum(backend):
    result = {grad: sd.minimize(rosen, X0, grad=grad, tol=1e-7) for grad in ("forward", "central", "switch")}
    error = {grad: abs(found.x - 1).max() for grad, found in result.items()}
    assert error["forward"] > 100 * error["switch"]
    assert result["central"].success
    assert result["switch"].success
    assert result["switch"].nfev < result["central"].nfev


@pytest.mark.parametrize("method", ALL)
def test_a_callback_sees_what_history_keeps(backend, method):
    seen = []
    options = {"grad": rosen_der, "method": method, "maxiter": 9, **rates(method)}
    result = sd.minimize(rosen, X0, callback=seen.append, history=True, **options)
    history = result.history
    assert [one.nit for one in seen] == list(range(1, result.nit + 1))
    assert history.x.shape == history.grad.shape == (result.nit + 1, 2)
    assert (history.x[0] == X0).all()
    for i, one in enumerate(seen):
        assert (one.x == history.x[i + 1]).all()
        assert one.fun == history.fun[i + 1] == rosen(one.x)
        assert (one.jac == history.grad[i + 1]).all()
        assert (one.jac == rosen_der(one.x)).all()
        assert one.step == history.step[i + 1] > 0
    alone = sd.minimize(rosen, X0, history="x", **options)
    assert list(alone.history) == ["x"]
    assert (alone.history.x == history.x).all()
    silent = sd.minimize(rosen, X0, **options)
    assert "history" not in silent
    assert silent.x.tobytes() == result.x.tobytes()


@pytest.mark.parametrize("method", ALL)
def test_stop_iteration_of_the_callback_ends_every_walk(backend, method):
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result.nit)
        if len(seen) == 3:
            raise StopIteration

    result = sd.minimize(rosen, X0, grad=rosen_der, method=method, callback=callback, tol=0, **rates(method))
    assert seen == [1, 2, 3]
    assert (result.status, result.success, result.nit) == (sd.DescentStatus.STOPPED, False, 3)
    assert (result.jac == rosen_der(result.x)).all()
    assert result.fun == rosen(result.x)


@pytest.mark.parametrize("method", ALL)
def test_every_other_reason_to_stop_is_a_status_and_no_success(backend, method):
    options = {"grad": rosen_der, "method": method, "tol": 0, **rates(method)}
    assert sd.minimize(rosen, X0, ftol=0.9, **options).status == sd.DescentStatus.DECREASE
    assert sd.minimize(rosen, X0, xtol=10.0, **options).status == sd.DescentStatus.STEP
    assert sd.minimize(rosen, X0, target=100.0, **options).status == sd.DescentStatus.TARGET
    assert sd.minimize(rosen, X0, noise=100.0, **options).status == sd.DescentStatus.NOISE
    assert sd.minimize(rosen, X0, maxtime=1e-9, **options).status == sd.DescentStatus.TIME
    assert sd.minimize(rosen, X0, grad=rosen_der, method=method, tol=1e9, maxtime=1e-9).success


@pytest.mark.parametrize("grad", [None, rosen_der, True, "adaptive"])
def test_time_is_over_within_one_call(backend, grad, monkeypatch):
    """By a clock that f moves on: a second each call."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def slow(x):
        clock[0] += 1
        return (rosen(x), rosen_der(x)) if grad is True else rosen(x)

    f = Counting(slow)
    result = sd.minimize(f, X0, grad=grad, maxtime=20.5, tol=0)
    assert f.calls == result.nfev == 21
    assert (result.status, result.success) == (sd.DescentStatus.TIME, False)
    assert result.fun == rosen(result.x) <= rosen(X0)


@pytest.mark.parametrize("method", ALL)
def test_a_walk_is_resumed_bit_for_bit_from_its_state(backend, method):
    options = {"grad": rosen_der, "method": method, **rates(method)}
    whole = sd.minimize(rosen, X0, maxiter=25, **options)
    state = None
    for stop in (3, 4, 11, 25):
        part = sd.minimize(rosen, X0, maxiter=stop, state=state, **options)
        state = part.state
    assert (part.x.tobytes(), part.fun, part.jac.tobytes(), part.nit, part.status) == (
        whole.x.tobytes(), whole.fun, whole.jac.tobytes(), whole.nit, whole.status)
    assert whole.nfev <= part.nfev <= whole.nfev + 3      # the gradient at the best point, where it was not known
    limited = sd.minimize(rosen, X0, maxfev=9, **options)
    on = sd.minimize(rosen, X0, maxiter=25, state=limited.state, **options)
    assert (on.x.tobytes(), on.fun, on.nit) == (whole.x.tobytes(), whole.fun, whole.nit)


@pytest.mark.parametrize("method", ["gd", "sgd", "adam"])
def test_a_schedule_goes_on_where_it_was(backend, method):
    options = {"grad": rosen_der, "method": method, "schedule": sd.schedules.cosine(1e-3, 20)}
    whole = sd.minimize(rosen, X0, maxiter=20, **options)
    part = sd.minimize(rosen, X0, maxiter=20, state=sd.minimize(rosen, X0, maxiter=8, **options).state, **options)
    assert (part.x.tobytes(), part.nit) == (whole.x.tobytes(), 20)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_a_bar_counts_the_iterations(backend, method, capsys):
    result = sd.minimize(rosen, X0, grad=rosen_der, method=method, maxiter=7, progress=True)
    shown = capsys.readouterr().err
    assert f"{result.nit}/{result.nit} [" in shown
    assert "iterations" in shown
    assert "steepest" in shown


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rule_by_name_makes_the_steps_of_its_class(backend, rule, dtype):
    classes = {name.lower(): name for name in sd.optim.__all__}
    x = X0.astype(dtype)
    optimizer = getattr(sd.optim, classes[rule])(x, lr=1e-3)
    points = [x.copy()]
    for _ in range(12):
        optimizer.step(rosen_der(x).astype(dtype))
        points.append(x.copy())
    result = sd.minimize(rosen, X0.astype(dtype), grad=lambda x: rosen_der(x).astype(dtype), method=rule, lr=1e-3,
                         maxiter=12, history="x")
    assert result.history.x.dtype == dtype
    assert (result.history.x == np.array(points)).all()


def test_every_rule_has_its_name():
    assert set(RULES) == set(sd.optim.RULES)


@pytest.mark.parametrize("rule", ["sgd", "adam", "rprop", "adagrad", "lion"])
def test_a_rule_climbs_too_and_finds_the_bottom_of_a_bowl(backend, rule):
    target = np.array([[1.0, -2.0], [0.5, 0.0]])
    schedule = None if rule == "rprop" else sd.schedules.cosine(0.4, 200)
    result = sd.maximize(lambda x: -float(((x - target) ** 2).sum()), np.zeros((2, 2)), method=rule, schedule=schedule,
                         tol=1e-3, maxiter=200)
    assert np.allclose(result.x, target, atol=1e-2)
    assert result.fun <= 0
    assert result.x.shape == (2, 2)


def test_a_step_too_far_ends_a_rule_with_advice(backend):
    result = sd.minimize(rosen, X0, grad=rosen_der, method="sgd", lr=1.0)
    assert (result.status, result.success) == (sd.DescentStatus.NONFINITE, False)
    assert "smaller lr" in result.message
    assert np.isfinite(result.x).all()
    assert result.fun <= rosen(X0)


@pytest.mark.parametrize("method", ["gd", "adam"])
def test_steps_that_need_not_end_end_all_the_same(method):
    """lr is so small that nothing happens."""
    f = Counting(lambda x: float(x[0]))
    result = sd.minimize(f, [1.0], grad=lambda x: np.ones(1), method=method, lr=1e-9)
    assert (result.nit, result.status) == (most_iterations(1), sd.DescentStatus.ITERATIONS)


def test_a_walk_along_noise_ends_too():
    random = np.random.default_rng(0)
    result = sd.minimize(lambda x: 1.0 + 1e-9 * random.standard_normal(), np.zeros(3))
    assert result.status in (sd.DescentStatus.ITERATIONS, sd.DescentStatus.STALLED)
    assert not result.success


def test_the_noise_of_f_is_found_out_when_asked_for(backend):
    def noisy(seed):
        random = np.random.default_rng(seed)
        return Counting(lambda x: float(((x - 1) ** 2).sum()) + 1e-4 * random.standard_normal())

    f = noisy(3)
    result = sd.minimize(f, [4.0, -3.0], noise="auto", maxfev=500, tol=0)
    assert result.nfev == f.calls
    assert result.status == sd.DescentStatus.NOISE
    assert 1e-5 < result.state["noise"] < 1e-3
    assert abs(result.x - 1).max() < 0.1
    blind = sd.minimize(noisy(3), [4.0, -3.0], maxfev=500)
    assert abs(blind.x - 1).max() > abs(result.x - 1).max() or blind.nfev > result.nfev


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_few_variables_are_walked_too(backend, method, n):
    result = sd.minimize(lambda x: float((x**2).sum()), np.full(n, 1e-9), method=method)
    assert result.success
    assert result.x.shape == (n,)
