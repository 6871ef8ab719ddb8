"""Walks down a gradient that has no bottom, that stalls, cycles, or is taken in steps too long.

Here because a walk that went wrong must say so, and must end when it was told to.
It tests rows E14 and E15, and what A3, A11 and A12 say of solvers: a named status, exact counts, no success over NaN.
"""

import warnings

import numpy as np
import pytest

import steepest as sd

from .contract import X, attempt, bits, bowl, counted, on_call, slopes, untouched


def valley(x):
    return float((x * x).sum())


def valley_slopes(x):
    return 2 * x


WAYS = {"differences": {}, "grad": {"grad": valley_slopes}}
MOMENTUM = [{}, {"momentum": 0.5}, {"momentum": 0.9, "nesterov": True}]


def says_no_success_over_nan(run):
    """What every result must keep to."""
    assert isinstance(run.status, int) and isinstance(run.success, bool)
    assert isinstance(run.message, str) and run.message
    assert run.success == (run.status == 0)
    finite = np.isfinite(run.x).all() and np.isfinite(run.jac).all()
    assert np.isfinite(run.x).all()
    assert finite or not run.success


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("momentum", MOMENTUM, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_E14_steps_and_gradients_are_counted_exactly(backend, way, momentum, steps):
    grad, f = counted(valley_slopes), counted(valley)
    options = {"grad": grad} if way == "grad" else {}
    run = sd.gradient_descent(f, X, lr=0.01, steps=steps, **options, **momentum)
    assert run.nit == steps and run.njev <= steps + 1 and run.nfev == f.calls
    assert way == "differences" or (grad.calls == run.njev and f.calls <= 2)
    assert run.success
    says_no_success_over_nan(run)


@pytest.mark.parametrize("way", WAYS)
def test_E14_the_bounds_of_the_counts_hold_with_history_too(backend, way):
    f = counted(valley)
    run = sd.gradient_descent(f, X, steps=10, history=True, **WAYS[way])
    assert run.nfev == f.calls and run.njev <= 11 and run.nit == 10
    assert len(run.history.x) == len(run.history.fun) == len(run.history.grad) == 11 and len(run.history.lr) == 10


CLIMBS = {
    "unbounded below": (lambda x: float(-np.exp(np.abs(x)).sum()), {"lr": 1.0}),
    "linear": (lambda x: float(x.sum()), {"lr": 1e300}),
    "quartic": (lambda x: float((x**4).sum()), {"lr": 10.0}),
    "too long a step": (valley, {"lr": 3.0}),
    "far too long a step": (valley, {"lr": 1e308}),
    "momentum that blows up": (valley, {"lr": 5.0, "momentum": 0.99}),
    "cycle": (lambda x: float(np.abs(x).sum()), {"lr": 2.0}),
    "stall": (lambda x: 1.0, {}),
    "kink": (lambda x: float(np.abs(x).max()), {"lr": 0.3}),
}


@pytest.mark.parametrize("name", CLIMBS)
@pytest.mark.parametrize("steps", [1, 10, 300])
def test_E14_every_walk_ends_with_a_status_and_a_point_that_is_finite(backend, name, steps):
    f, options = CLIMBS[name]
    f, x = counted(f), X.copy()
    with warnings.catch_warnings(), np.errstate(all="ignore"), untouched(x):
        warnings.simplefilter("ignore")
        run = sd.gradient_descent(f, x, steps=steps, **options)
    assert run.nit <= steps and run.njev <= steps + 1 and run.nfev == f.calls
    says_no_success_over_nan(run)


def test_E14_a_walk_that_climbed_says_so(backend):
    for options in ({}, {"grad": valley_slopes}, {"history": True}):
        run = sd.gradient_descent(valley, X, lr=1.01, steps=20, **options)
        assert not run.success and "wrong way" in run.message and run.fun > valley(X)
    run = sd.gradient_descent(lambda x: -valley(x), X, lr=1.01, steps=20, maximize=True)
    assert not run.success and run.status != 0


def test_E14_a_walk_up_mirrors_a_walk_down(backend):
    down = sd.gradient_descent(valley, X, lr=0.1, steps=10)
    up = sd.gradient_descent(lambda x: -valley(x), X, lr=0.1, steps=10, maximize=True)
    assert bits(up.x) == bits(down.x) and up.fun == -down.fun and up.success


BAD_RATES = [0, 0.0, -0.0, -1.0, np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("lr", BAD_RATES, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_E15_a_learning_rate_that_is_not_positive_and_finite_is_refused(backend, way, lr):
    f = counted(valley)
    with pytest.raises(ValueError, match="lr"):
        sd.gradient_descent(f, X, lr=lr, **WAYS[way])
    assert f.calls == 0


@pytest.mark.parametrize("momentum", [1.0, 1.5, -0.1, np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_E15_a_momentum_outside_0_to_1_is_refused(backend, way, momentum):
    f = counted(valley)
    with pytest.raises(ValueError, match="momentum"):
        sd.gradient_descent(f, X, momentum=momentum, **WAYS[way])
    assert f.calls == 0


@pytest.mark.parametrize("lr", [5e-324, 1e-300, 1e300, 1.7e308], ids=str)
@pytest.mark.parametrize("momentum", MOMENTUM, ids=str)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble], ids=lambda kind: kind.__name__)
def test_E15_extreme_rates_end_in_a_status(backend, kind, momentum, lr):
    """Also one that overflows in the type of x."""
    for options in WAYS.values():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            run = sd.gradient_descent(lambda x: (x * x).sum(), X.astype(kind), lr=lr, steps=5, **options, **momentum)
        assert run.x.dtype == kind
        says_no_success_over_nan(run)
        assert run.success or lr > 1


SCHEDULES = {
    "NaN": lambda t: np.nan, "infinite": lambda t: np.inf, "negative": lambda t: -0.1, "None": lambda t: None,
    "text": lambda t: "0.1", "array": lambda t: np.array([0.1, 0.2]), "complex": lambda t: 0.1j,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_E15_a_schedule_that_gives_no_rate_is_refused_by_step(backend, name):
    for bad_at in (0, 3):
        x = X.copy()
        with untouched(x), pytest.raises((TypeError, ValueError), match=rf"schedule\({bad_at}\)"):
            sd.gradient_descent(valley, x, schedule=lambda t, k=bad_at: SCHEDULES[name](t) if t == k else 0.1)


def test_E15_a_schedule_that_raises_comes_back_as_the_same_object(backend):
    for error in (ZeroDivisionError(), KeyboardInterrupt(), StopIteration()):
        def schedule(t, error=error):
            if t == 2:
                raise error
            return 0.1

        x = X.copy()
        with untouched(x):
            assert attempt(sd.gradient_descent, valley, x, schedule=schedule)[1] is error


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_A11_a_value_that_is_not_finite_at_the_start_is_a_status(backend, way, bad):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        run = sd.gradient_descent(lambda x: bad, X, steps=10, **WAYS[way])
    assert run.status == 2 and not run.success and run.nit == 0
    assert bits(run.x) == bits(X) and run.njev <= 1
    run = sd.gradient_descent(valley, X, steps=10, grad=lambda x: np.array([1.0, bad, 1.0]))
    assert run.status == 2 and not run.success and run.nit == 0 and bits(run.x) == bits(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("momentum", MOMENTUM, ids=str)
def test_A12_a_gradient_that_is_not_finite_on_the_way_ends_at_the_last_good_point(backend, momentum, bad):
    for k in (2, 5, 11):
        grad = on_call(k, valley_slopes, lambda x, result: result * [1.0, bad, 1.0])
        expected = sd.gradient_descent(valley, X, grad=valley_slopes, steps=k - 2, **momentum)
        run = sd.gradient_descent(valley, X, grad=grad, steps=10, **momentum)
        assert run.status == 2 and not run.success and run.nit == k - 2
        assert bits(run.x) == bits(expected.x) and bits(run.jac) == bits(expected.jac)
        says_no_success_over_nan(run)


@pytest.mark.parametrize("way", WAYS)
def test_A12_the_value_belongs_to_the_point_that_comes_back(backend, way):
    """Stopped in the middle or not, ``fun`` is f(x) and ``jac`` the gradient there."""
    for lr in (0.1, 3.0, 1e200):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            run = sd.gradient_descent(valley, X, lr=lr, steps=20, **WAYS[way])
            assert run.fun == valley(run.x)
        np.testing.assert_allclose(run.jac, 2 * run.x, rtol=1e-5)


def test_A3_stop_iteration_of_f_or_grad_is_no_graceful_stop(backend):
    def stop(x):
        raise StopIteration

    for f, options in ((stop, {}), (bowl, {"grad": stop}), (None, {"grad": stop})):
        with pytest.raises(StopIteration):
            sd.gradient_descent(f, X, **options)


def test_A18_a_gradient_that_f_keeps_and_changes_later_reaches_nobody(backend):
    kept = []

    def grad(x):
        for old in kept:
            old.fill(np.nan)
        kept.append(slopes(x))
        return kept[-1]

    expected = sd.gradient_descent(None, X, grad=slopes, steps=5, momentum=0.5, history=True)
    run = sd.gradient_descent(None, X, grad=grad, steps=5, momentum=0.5, history=True)
    for old in kept:
        old.fill(np.nan)
    assert bits(run) == bits(expected)
    assert bits(np.array(run.history.grad)) == bits(np.array(expected.history.grad))
