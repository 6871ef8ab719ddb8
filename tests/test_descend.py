"""Walking down a gradient by fixed steps, as in the textbook, and noticing when it goes wrong.

Here because ``x -= lr * grad`` is where everybody starts. Tests descend.py.
"""

import math

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import steepest as sd


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def bowl(x):
    return x[0] ** 2 + x[1] ** 2


def bowl_gradient(x):
    return 2 * np.asarray(x)


@pytest.mark.parametrize("options", [{}, {"grad": bowl_gradient}, {"method": "complex"}, {"order": 4}])
def test_the_textbook_run(options):
    start = np.array([-3.0, 4.0])
    run = sd.gradient_descent(bowl, start, lr=0.1, steps=100, **options)
    assert [f"{number:.2e}" for number in run.x] == ["-6.11e-10", "8.15e-10"]
    assert start.tolist() == [-3, 4]
    assert (run.nit, run.status, run.success) == (100, 0, True)
    assert run.fun == bowl(run.x)
    assert run.jac == pytest.approx(2 * run.x, rel=1e-6)


def test_each_step_is_lr_times_the_gradient():
    run = sd.gradient_descent(bowl, [-3.0, 4.0], lr=0.1, steps=3, grad=bowl_gradient, history=True)
    x = np.array([-3.0, 4.0])
    for row, value, gradient in zip(run.history.x, run.history.fun, run.history.grad, strict=True):
        assert np.array_equal(row, x)
        assert value == bowl(x)
        assert np.array_equal(gradient, 2 * x)
        x = x - 0.1 * (2 * x)
    assert run.history.lr.tolist() == [0.1] * 3
    assert len(run.history.x) == run.nit + 1 == 4


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_what_the_papers_say(nesterov):
    run = sd.gradient_descent(rosen, [-1.2, 1.0], lr=1e-3, steps=50, grad=rosen_der, momentum=0.9, nesterov=nesterov)
    x, v = np.array([-1.2, 1.0]), np.zeros(2)
    for _ in range(50):
        g = rosen_der(x)
        v = v * 0.9 + g
        x = x - 1e-3 * (g + 0.9 * v if nesterov else v)
    assert np.array_equal(run.x, x)


def test_a_schedule_gives_the_rate_of_step_t_from_0():
    asked = []

    def schedule(t):
        asked.append(t)
        return 0.1 / (1 + t)

    run = sd.gradient_descent(bowl, [1.0, 1.0], steps=4, grad=bowl_gradient, schedule=schedule, history=True)
    assert asked == [0, 1, 2, 3]
    assert run.history.lr.tolist() == [0.1, 0.05, 0.1 / 3, 0.025]


def test_climbing():
    run = sd.gradient_descent(lambda x: -bowl(x), [1.0, 2.0], lr=0.1, steps=100, maximize=True)
    assert run.x == pytest.approx([0, 0], abs=1e-8)
    assert run.success


def test_calls_are_counted_and_no_more_than_needed():
    calls, gradients = [], []
    run = sd.gradient_descent(
        lambda x: calls.append(1) or bowl(x), [1.0, 2.0], steps=10,
        grad=lambda x: gradients.append(1) or bowl_gradient(x),
    )
    assert (run.nfev, run.njev) == (len(calls), len(gradients)) == (2, 11)
    calls.clear()
    run = sd.gradient_descent(lambda x: calls.append(1) or bowl(x), [1.0, 2.0], steps=10)
    assert run.nfev == len(calls) == 2 + 11 * 4


def test_f_is_not_needed_when_grad_is_given():
    run = sd.gradient_descent(None, [1.0, 2.0], lr=0.1, steps=100, grad=bowl_gradient)
    assert run.x == pytest.approx([0, 0], abs=1e-8)
    assert math.isnan(run.fun)
    assert run.nfev == 0
    assert run.success


def test_no_steps_give_the_start():
    run = sd.gradient_descent(bowl, [1.0, 2.0], steps=0)
    assert run.x.tolist() == [1, 2]
    assert (run.nit, run.njev, run.success) == (0, 1, True)


@pytest.mark.filterwarnings("ignore::steepest.DifferenceWarning")
def test_a_rate_that_is_too_large_is_noticed():
    run = sd.gradient_descent(bowl, [1.0, 2.0], lr=1.1, steps=10)
    assert (run.status, run.success) == (1, False)
    assert "smaller learning rate" in run.message
    with np.errstate(all="ignore"):
        run = sd.gradient_descent(bowl, [1.0, 2.0], lr=1e10, steps=100)
    assert (run.status, run.success) == (2, False)
    assert np.isfinite(run.x).all()
    assert np.isfinite(run.jac).all()
    assert run.nit < 100


@pytest.mark.parametrize(("options", "most"), [
    ({}, 1.0), ({"momentum": 0.5}, 1.5), ({"momentum": 0.5, "nesterov": True}, 0.75),
])
def test_the_message_says_which_rates_would_settle(options, most):
    """On a bowl of curvature 2: and they do."""
    run = sd.gradient_descent(bowl, [1.0, 2.0], lr=1.2 * most, steps=20, grad=bowl_gradient, **options)
    assert (run.status, run.success) == (1, False)
    assert f"curvature met last, 2, a learning rate has to be below {most:.3g} to settle" in run.message
    assert sd.gradient_descent(bowl, [1.0, 2.0], lr=0.95 * most, steps=300, grad=bowl_gradient, **options).success


def test_a_walk_without_f_that_diverges_says_so_too():
    run = sd.gradient_descent(None, [1.0, 2.0], lr=1.2, steps=20, grad=bowl_gradient)
    assert (run.status, run.success) == (1, False)
    assert "|g| went from 4.47" in run.message
    assert "below 1 to settle" in run.message
    assert math.isnan(run.fun)
    with np.errstate(all="ignore"):
        run = sd.gradient_descent(None, [1.0, 2.0], lr=1e3, steps=1000, grad=bowl_gradient)
    assert (run.status, run.success) == (2, False)
    assert "below 1 to settle" in run.message
    # a gradient that grows on the way down a hill is no divergence
    assert sd.gradient_descent(None, [0.1], lr=0.1, steps=3, grad=lambda x: np.sin(-x)).success


SEARCHES = ["armijo", "wolfe", "hager-zhang", "gll"]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("lr", [1e-4, 0.1, 30.0])
def test_a_line_search_makes_every_step_a_good_one(search, lr):
    run = sd.gradient_descent(rosen, [-1.2, 1.0], lr=lr, steps=30, grad=rosen_der, line_search=search, history=True)
    assert (run.nit, run.status, run.success) == (30, 0, True)
    assert len(run.history.x) == 31
    assert len(run.history.lr) == 30
    assert run.fun == rosen(run.x)
    assert (run.jac == rosen_der(run.x)).all()
    assert (run.x == run.history.x[-1]).all()
    assert search == "gll" or (np.diff(run.history.fun) < 0).all()
    steps = -np.diff(run.history.x, axis=0) / run.history.grad[:-1]
    assert np.allclose(steps, run.history.lr[:, np.newaxis], rtol=1e-6)


@pytest.mark.parametrize("search", SEARCHES)
def test_searches_for_values_need_no_more_gradients_than_steps(search):
    calls, gradients = [], []
    run = sd.gradient_descent(lambda x: calls.append(1) or rosen(x), [-1.2, 1.0], steps=25, line_search=search,
                              grad=lambda x: gradients.append(1) or rosen_der(x))
    assert (run.nfev, run.njev, run.nit) == (len(calls), len(gradients), 25)
    assert run.njev == 26 or search in ("wolfe", "hager-zhang")


def test_a_line_search_climbs_and_keeps_types_and_shapes():
    x0 = np.array([[1.0, 2.0]], np.float32)
    run = sd.gradient_descent(lambda x: -float((x * x).sum()), x0, lr=1.0, steps=5, line_search="armijo", maximize=True)
    assert run.x.dtype == run.jac.dtype == np.float32
    assert run.x.shape == (1, 2)
    assert abs(run.x).max() < 1e-3
    assert run.success


def test_a_line_search_that_finds_nothing_says_what_to_do():
    run = sd.gradient_descent(bowl, [1.0, 2.0], grad=lambda x: -bowl_gradient(x), line_search="armijo", steps=5)
    assert (run.status, run.success, run.nit) == (3, False, 0)
    assert "sd.check_gradient" in run.message
    assert run.x.tolist() == [1.0, 2.0]
    run = sd.gradient_descent(bowl, [0.0, 0.0], grad=bowl_gradient, line_search="armijo", steps=5)
    assert (run.status, run.success) == (0, True)
    assert "the gradient is 0" in run.message
    run = sd.gradient_descent(lambda x: math.inf, [1.0, 2.0], grad=bowl_gradient, line_search="armijo", steps=5)
    assert (run.status, run.fun, run.nit) == (2, math.inf, 0)
    assert run.jac.tolist() == [2.0, 4.0]


def test_a_start_that_is_not_finite_ends_the_run_at_once():
    run = sd.gradient_descent(lambda x: math.nan, [1.0], steps=10, grad=lambda x: x)
    assert (run.status, run.nit, run.success) == (2, 0, False)
    run = sd.gradient_descent(bowl, [1.0, 2.0], steps=10, grad=lambda x: x * math.nan)
    assert (run.status, run.nit) == (2, 0)


@pytest.mark.parametrize("char", "fdg")
def test_the_type_of_x0_is_kept(char):
    run = sd.gradient_descent(bowl, np.array([1, 2], char), lr=0.1, steps=10, momentum=0.5)
    assert run.x.dtype.char == char
    assert run.jac.dtype.char == char


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_the_shape_of_x0_is_kept(shape):
    run = sd.gradient_descent(lambda x: (x * x).sum(), np.ones(shape), lr=0.1, steps=200, history=True)
    assert np.shape(run.x) == shape
    assert run.x == pytest.approx(0, abs=1e-9)
    assert run.history.x.shape == (201, *shape)


def test_args_reach_f_and_grad():
    run = sd.gradient_descent(
        lambda x, a, *, b: a * (x[0] - b) ** 2, [0.0], lr=0.1, steps=200, grad=lambda x, a, *, b: 2 * a * (x - b),
        args=(1.0,), kwargs={"b": 3.0},
    )
    assert run.x == pytest.approx([3])


def test_a_grad_that_reuses_or_changes_its_arrays_does_no_harm():
    buffer = np.zeros(2)

    def grad(x):
        buffer[:] = 2 * x
        x[:] = 77.0
        return buffer

    run = sd.gradient_descent(bowl, [-3.0, 4.0], lr=0.1, steps=100, grad=grad, history=True)
    assert [f"{number:.2e}" for number in run.x] == ["-6.11e-10", "8.15e-10"]
    assert np.array_equal(run.history.grad[0], [-6, 8])


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"f": 3}, TypeError, "f must be callable"),
        ({"grad": 3}, TypeError, "grad must be callable"),
        ({"schedule": 3}, TypeError, "schedule must be callable"),
        ({"lr": 0}, ValueError, "lr must be above 0"),
        ({"lr": -1}, ValueError, "lr must be above 0"),
        ({"lr": math.nan}, ValueError, "lr must be above 0"),
        ({"lr": math.inf}, ValueError, "lr must be above 0"),
        ({"lr": "0.1"}, TypeError, "lr must be a number"),
        ({"lr": None}, TypeError, "lr must be a number"),
        ({"steps": -1}, ValueError, "steps must be at least 0"),
        ({"steps": 1.5}, TypeError, "steps must be an integer"),
        ({"momentum": 1.0}, ValueError, "momentum must be at least 0 and below 1"),
        ({"momentum": -0.1}, ValueError, "momentum"),
        ({"nesterov": True}, ValueError, "nesterov needs a momentum"),
        ({"line_search": "exact"}, ValueError, "line_search must be one of 'armijo'"),
        ({"line_search": "wolfe", "momentum": 0.5}, ValueError, "momentum has no use with a line_search"),
        ({"line_search": "wolfe", "schedule": lambda t: 0.1}, ValueError, "schedule has no use with a line_search"),
        ({"line_search": "wolfe", "f": None, "grad": bowl_gradient}, ValueError, "line_search needs f"),
        ({"line_search": "wolfe", "x0": np.ones(2, "g")}, TypeError, "longdouble"),
        ({"x0": [1.0, math.nan]}, ValueError, r"x0\[1\] is nan"),
        ({"x0": [1j]}, TypeError, "x0 must be real"),
        ({"x0": None}, TypeError, "x0"),
        ({"grad": bowl_gradient, "order": 4}, TypeError, "order: options of differences"),
        ({"colour": 4}, TypeError, "colour"),
        ({"order": 3}, ValueError, "order must be one of"),
        ({"grad": lambda x: 2 * x[:1]}, ValueError, r"grad returned an array of shape \(1,\)"),
        ({"grad": lambda x: None}, TypeError, "grad returned NoneType"),
        ({"grad": lambda x: x * 1j}, TypeError, "grad returned a complex value"),
        ({"schedule": lambda t: -1.0}, ValueError, r"schedule\(0\) must be at least 0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    given = {"f": bowl, "x0": [1.0, 2.0], **arguments}
    with pytest.raises(error, match=words):
        sd.gradient_descent(given.pop("f"), given.pop("x0"), **given)
