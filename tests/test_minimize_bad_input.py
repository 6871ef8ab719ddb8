"""What minimize does with what it should not have been given: one test for each line of the list.

Here because a walk that starts wrong must say so before it walks, and one that goes wrong when it does. It tests
descent.py, driving.py and objective.py.
"""

import itertools

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import steepest as sd
from steepest.descent import BOUNDED, RULES
from steepest.reference.descent import METHODS

X0 = np.array([-1.2, 1.0])
ALL = METHODS + RULES


def never(x):
    raise AssertionError("called")


@pytest.mark.parametrize("method", ALL)
def test_x0_that_is_not_finite_is_a_value_error_that_names_the_entry(method):
    for walk, bad in itertools.product((sd.minimize, sd.maximize), (np.nan, np.inf, -np.inf)):
        with pytest.raises(ValueError, match=r"x0\[1\]"):
            walk(never, [1.0, bad], grad=never, method=method)


@pytest.mark.parametrize("method", ALL)
def test_f_that_is_not_finite_at_x0_is_a_named_status_at_once(backend, method):
    ways = {"given": rosen_der, "differences": None, "pair": True}
    for bad, (way, grad) in itertools.product((np.nan, np.inf, -np.inf), ways.items()):
        calls = []

        def f(x, calls=calls, bad=bad, way=way):
            calls.append(1)
            return (bad, rosen_der(x)) if way == "pair" else bad

        result = sd.minimize(f, X0, grad=grad, method=method)
        assert len(calls) == result.nfev == 1
        assert (result.status, result.success, result.nit) == (sd.DescentStatus.NONFINITE, False, 0)
        assert (result.x == X0).all()
        assert "at x0" in result.message
        assert not np.isfinite(result.fun)


@pytest.mark.parametrize("method", ALL)
def test_a_gradient_that_is_not_finite_at_x0_is_that_status_too(backend, method):
    result = sd.minimize(rosen, X0, grad=lambda x: np.array([1.0, np.nan]), method=method)
    assert (result.status, result.success, result.nit) == (sd.DescentStatus.NONFINITE, False, 0)
    assert "at x0" in result.message
    assert result.fun == rosen(X0)


@pytest.mark.parametrize("method", BOUNDED)
def test_bounds_that_cross_are_a_value_error(method):
    with pytest.raises(ValueError, match=r"lb\[1\] is 3.0 and ub\[1\] is 2.0"):
        sd.minimize(never, X0, method=method, bounds=([0.0, 3.0], [1.0, 2.0]))
    with pytest.raises(ValueError, match="NaN"):
        sd.minimize(never, X0, method=method, bounds=([0.0, np.nan], [1.0, 2.0]))


@pytest.mark.parametrize("method", sorted(set(ALL) - set(BOUNDED)))
def test_a_method_that_keeps_no_bounds_says_which_do(method):
    with pytest.raises(ValueError, match="cannot keep bounds: take one of 'lbfgs', 'spg'"):
        sd.minimize(never, X0, method=method, bounds=(-2, 2))


@pytest.mark.parametrize("method", BOUNDED)
@pytest.mark.parametrize("grad", [rosen_der, None])
def test_x0_outside_the_bounds_is_moved_to_the_nearest_point_with_a_warning(backend, method, grad):
    seen = []

    def f(x):
        seen.append(np.array(x))
        return rosen(x)

    x0 = np.array([-5.0, 5.0])
    with pytest.warns(RuntimeWarning, match="x0 is outside the bounds") as warned:
        result = sd.minimize(f, x0, grad=grad, method=method, bounds=([-2, -2], [2, 2]), maxiter=500)
    assert warned[0].filename == __file__
    assert (x0 == [-5.0, 5.0]).all()
    assert (seen[0] == [-2.0, 2.0]).all()
    assert (abs(np.array(seen)) <= 2).all()
    assert result.success


@pytest.mark.parametrize("method", ["lbfgs", "gd", "adam"])
@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 1)), np.zeros((1, 2)), 1.0, [[1.0, 2.0]]],
                         ids=["longer", "column", "row", "number", "nested"])
@pytest.mark.parametrize("pair", [False, True])
def test_a_gradient_of_the_wrong_shape_is_refused_by_name(backend, method, wrong, pair):
    f, grad = ((lambda x: (rosen(x), wrong)), True) if pair else (rosen, lambda x: wrong)
    with pytest.raises(ValueError, match=r"grad returned .*(\(2,\)|one dimension)"):
        sd.minimize(f, X0, grad=grad, method=method)


@pytest.mark.parametrize("wrong", ["abc", None, [1j, 2.0], [None, 1.0]])
def test_a_gradient_that_is_no_array_of_numbers_is_refused_by_name(backend, wrong):
    for f, grad in (((lambda x: (rosen(x), wrong)), True), (rosen, lambda x: wrong)):
        with pytest.raises((TypeError, ValueError), match="grad"):
            sd.minimize(f, X0, grad=grad)


@pytest.mark.parametrize("wrong", [1.0, (1.0,), (1.0, [1.0, 2.0], 3), None])
def test_a_pair_that_is_none_is_refused(backend, wrong):
    with pytest.raises(TypeError, match="pair"):
        sd.minimize(lambda x: wrong, X0, grad=True)


WRONG = {"sign": lambda x: -rosen_der(x), "entry": lambda x: rosen_der(x) * [1.0, -1.0],
         "constant": lambda x: np.array([1.0, -1.0]), "factor": lambda x: 1e-3 * rosen_der(x) * [1.0, -30.0]}


@pytest.mark.parametrize("method", ["lbfgs", "bfgs", "cg", "gd", "bb", "spg"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_gradient_is_noticed_when_the_search_fails_and_the_message_says_what_to_run(backend, method, wrong):
    result = sd.minimize(rosen, X0, grad=WRONG[wrong], method=method, maxiter=2000)
    assert not result.success
    if result.status == sd.DescentStatus.STALLED:
        assert "sd.check_gradient" in result.message
    assert wrong != "sign" or result.status == sd.DescentStatus.STALLED


def test_differences_are_not_suspected_of_a_mistake(backend):
    result = sd.minimize(lambda x: rosen(x) + 1e-7 * np.sin(1e9 * x[0]), X0, method="bfgs", tol=1e-12)
    assert result.status == sd.DescentStatus.STALLED
    assert "check_gradient" not in result.message
    assert "noise=" in result.message


def test_a_right_gradient_is_not_suspected(backend):
    assert "check_gradient" not in sd.minimize(rosen, X0, grad=rosen_der).message
    assert "check_gradient" not in sd.minimize(rosen, X0, grad=rosen_der, maxiter=3).message


@pytest.mark.parametrize(("options", "error", "text"), [
    ({"history": "y"}, ValueError, "history"), ({"history": []}, ValueError, "history"),
    ({"grad": "newton"}, TypeError, "grad must be callable"), ({"grad": 3}, TypeError, "grad must be callable"),
    ({"noise": "loud"}, (TypeError, ValueError), "noise"), ({"noise": -1.0}, ValueError, "noise"),
    ({"method": "adam", "line_search": "armijo"}, ValueError, "line_search has no use"),
    ({"method": "rprop", "schedule": lambda t: 0.1}, ValueError, "schedule has no use"),
    ({"method": "sgd", "schedule": lambda t: 0.1, "lr": 0.1}, ValueError, "lr and schedule"),
    ({"method": "sgd", "schedule": 0.1}, TypeError, "schedule"), ({"method": "sgd", "lr": -1.0}, ValueError, "lr"),
    ({"method": "Adam"}, ValueError, "'adam'"), ({"momentum": 0.9}, TypeError, "momentum"),
    ({"state": []}, TypeError, "state"), ({"progress": True, "maxiter": "3"}, TypeError, "maxiter"),
])
def test_bad_options_are_refused_by_name_before_f_is_called(options, error, text):
    with pytest.raises(error, match=text):
        sd.minimize(never, X0, **options)
    with pytest.raises(error, match=text):
        sd.maximize(never, X0, **options)


def test_a_schedule_that_gives_no_rate_is_named_by_its_step(backend):
    for method in ("gd", "sgd"):
        for wrong, error in (("a", TypeError), (-1.0, ValueError), (np.nan, ValueError)):
            with pytest.raises(error, match=r"schedule\(2\)"):
                sd.minimize(rosen, X0, grad=rosen_der, method=method, schedule=lambda t, w=wrong: w if t == 2 else 1e-3)
    planned = KeyError("planned")

    def schedule(t):
        raise planned

    with pytest.raises(KeyError) as caught:
        sd.minimize(never, X0, grad=rosen_der, method="sgd", schedule=schedule)
    assert caught.value is planned
    assert "schedule(0)" in planned.__notes__[0]
