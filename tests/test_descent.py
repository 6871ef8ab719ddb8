"""The machine of walks: kernel = reference question by question, exact limits, states, what f may do.

Here because everything that walks down a function stands on it. It tests kernels/descent.pyx with its parts, and
reference/descent.py.
"""

import itertools
import math

import numpy as np
import pytest
from more_garbow_hillstrom import PROBLEMS

from steepest.kernels import descent as kernel
from steepest.reference import descent as reference
from steepest.reference import searches
from steepest.reference.descent import BETAS, GRADIENT, METHODS, PROJECTION, VALUE, VARIANTS, Options

FLOORS = [kernel.Descent, reference.Descent]
WALKS = [
    *({"method": "lbfgs", "memory": m, "search": search} for m in (1, 3, 10) for search in searches.NAMES.values()),
    *({"method": "bfgs", "search": search} for search in (searches.WOLFE, searches.HAGER_ZHANG)),
    *({"method": "cg", "beta": beta, "search": search} for beta in BETAS for search in (searches.WOLFE,
                                                                                        searches.HAGER_ZHANG)),
    *({"method": "bb", "variant": variant, "average": average} for variant in VARIANTS for average in (0.0, 0.85)),
    {"method": "gd"}, {"method": "gd", "rate": 1e-3}, {"method": "gd", "search": searches.ARMIJO}, {"method": "adgd"},
    {"method": "nesterov"}, {"method": "spg"}, {"method": "spg", "projects": True},
]
BOUNDED = [walk for walk in WALKS if walk["method"] in ("lbfgs", "spg") and not walk.get("projects")]


def ends(machine):
    return (machine.status, machine.nit, machine.nfev, machine.njev, machine.best_f, machine.best_x.tobytes(),
            machine.best_g.tobytes(), machine.step)


def walked(floor, problem, options, box=None, single=False, questions=100):
    """Every question of a walk, and how it ends."""
    lower, upper = box or (None, None)
    machine, asked = floor(problem.x0.copy(), options, lower, upper, single), []
    with np.errstate(all="ignore"):
        for _ in range(questions):
            if not machine.wants:
                break
            x = machine.point
            asked.append((machine.wants, x.tobytes()))
            if machine.wants == PROJECTION:
                machine.tell(g=np.clip(x, -0.5, 1.5))
            else:
                machine.tell(problem.f(x) if machine.wants & VALUE else None,
                             problem.grad(x) if machine.wants & GRADIENT else None)
    return asked, ends(machine)


@pytest.mark.parametrize("options", WALKS, ids=str)
@pytest.mark.parametrize("single", [False, True])
def test_kernel_and_reference_ask_the_same_questions(options, single):
    for problem in PROBLEMS[::4]:
        kernels, twins = (walked(floor, problem, Options(tol=1e-8, **options), None, single) for floor in FLOORS)
        assert kernels == twins, problem
        assert len(kernels[0]) > 2


@pytest.mark.parametrize("options", BOUNDED, ids=str)
def test_inside_bounds_they_do_too_and_never_leave_them(options):
    for problem in PROBLEMS[::4]:
        box = np.minimum(problem.x0 - 0.5, 0.0), problem.x0 + 0.3
        kernels, twins = (walked(floor, problem, Options(tol=1e-8, **options), box) for floor in FLOORS)
        assert kernels == twins, problem
        for _, x in kernels[0]:
            assert (box[0] <= np.frombuffer(x)).all()
            assert (np.frombuffer(x) <= box[1]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 33, 64, 65, 100, 200])
@pytest.mark.parametrize("method", METHODS)
def test_sums_are_those_of_the_reference_for_every_length(n, method):
    rng = np.random.default_rng(n)
    q, x0 = rng.uniform(0.1, 10, n), rng.normal(size=n)

    class Bowl:
        pass

    bowl = Bowl()
    bowl.x0, bowl.f, bowl.grad = x0, lambda x: 0.5 * float(np.dot(x, q * x)), lambda x: q * x
    kernels, twins = (walked(floor, bowl, Options(method, tol=1e-9)) for floor in FLOORS)
    assert kernels == twins


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("method", METHODS)
def test_limits_are_exact(floor, method):
    problem = PROBLEMS[0]
    for limit in range(8):
        machine = floor(problem.x0, Options(method, tol=0.0, maxiter=limit))
        while machine.wants:
            machine.tell(problem.f(machine.point), problem.grad(machine.point))
        assert machine.nit == limit
        assert machine.status == reference.ITERATIONS
    for limit, cost in itertools.product(range(1, 12), (0, 3)):
        machine = floor(problem.x0, Options(method, tol=0.0, maxfev=limit, calls_gradient=cost))
        calls = 0
        while machine.wants:
            calls += (1 if machine.wants & VALUE else 0) + (cost if machine.wants & GRADIENT else 0)
            machine.tell(problem.f(machine.point), problem.grad(machine.point))
        assert calls == machine.nfev <= limit
        assert machine.status == reference.EVALUATIONS


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("options", WALKS[:-1], ids=str)
def test_a_walk_goes_on_from_its_state_as_if_it_had_never_stopped(floor, options):
    problem = PROBLEMS[13]

    def go(machine):
        with np.errstate(all="ignore"):
            while machine.wants:
                machine.tell(problem.f(machine.point), problem.grad(machine.point))
        return machine

    whole = go(floor(problem.x0, Options(tol=1e-9, maxiter=60, **options)))
    for stop in (1, 5, 17):
        first = go(floor(problem.x0, Options(tol=1e-9, maxiter=stop, **options)))
        second = floor(problem.x0, Options(tol=1e-9, maxiter=60, **options))
        second.restore(first.state())
        assert ends(go(second))[4:] == ends(whole)[4:]
        assert (second.status, second.nit) == (whole.status, whole.nit)


def test_states_of_kernel_and_reference_are_the_same():
    problem = PROBLEMS[13]
    states = []
    for floor in FLOORS:
        machine = floor(problem.x0, Options(maxiter=9))
        while machine.wants:
            machine.tell(problem.f(machine.point), problem.grad(machine.point))
        states.append(machine.state())
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        np.testing.assert_array_equal(states[0][name], states[1][name], err_msg=name)


@pytest.mark.parametrize(("name", "wrong"), [
    ("x", np.zeros(3)), ("S", np.zeros((2, 4))), ("numbers", np.zeros(3)), ("counts", [1, 2]), ("values", []),
    ("recent", np.zeros(99)), ("counts", [0, 0, 0, 11, 0, 0, 0]), ("counts", [0, 0, 0, 0, -1, 0, 0]),
])
def test_a_state_of_another_walk_is_refused(name, wrong):
    machine = kernel.Descent(np.ones(4), Options())
    machine.tell(1.0, np.ones(4))
    state = machine.state() | {name: wrong}
    with pytest.raises(ValueError, match="state"):
        machine.restore(state)
    assert machine.wants


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("told", [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0)])
def test_a_start_that_is_not_finite_ends_at_once(floor, told):
    machine = floor(np.ones(2), Options())
    machine.tell(told[0], np.full(2, told[1]))
    assert (machine.wants, machine.status) == (0, reference.NONFINITE)


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_on_the_way_is_no_success_and_no_end(floor, method):
    """log is not defined where the first step leads; the walk goes round it."""
    def f(x):
        return float(x[0] - math.log(x[0])) if x[0] > 0 else math.nan

    machine = floor(np.array([0.05]), Options(method, tol=1e-6, maxfev=500, rate=0.3 if method != "gd" else 0.001))
    while machine.wants:
        x = machine.point
        machine.tell(f(x), 1 - 1 / x if x[0] > 0 else np.full(1, math.nan))
    assert math.isfinite(machine.best_f)
    assert machine.best_f < f(np.array([0.05]))
    if machine.status == reference.CONVERGED:
        assert abs(machine.best_x[0] - 1) < 1e-5


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("n, place", [(1, 0), (63, 62), (64, 0), (64, 63), (200, 17), (200, 191), (200, 199)])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_is_not_small_where_one_entry_is_no_number(floor, n, place, bad):
    machine = floor(np.zeros(n), Options("gd", tol=1e-3, maxfev=3))
    machine.tell(1.0, np.ones(n))
    g = np.zeros(n)
    g[place] = bad
    while machine.wants:
        machine.tell(1.0, g)
    assert machine.status != reference.CONVERGED
    assert (machine.best_g == 1.0).all()


@pytest.mark.parametrize("floor", FLOORS)
def test_the_gradient_at_the_best_point_is_nan_until_it_is_known(floor):
    machine = floor(np.array([1.0, 2.0]), Options("gd", tol=0.0, rate=0.0, search=searches.ARMIJO))
    assert np.isnan(machine.best_g).all()
    machine.tell(5.0, np.array([2.0, 4.0]))
    np.testing.assert_array_equal(machine.best_g, [2.0, 4.0])
    assert machine.wants == VALUE
    point = machine.point
    machine.tell(1.0)
    assert machine.wants == GRADIENT
    np.testing.assert_array_equal(machine.best_x, point)
    assert np.isnan(machine.best_g).all()
    machine.tell(g=np.array([1.0, 0.5]))
    np.testing.assert_array_equal(machine.best_g, [1.0, 0.5])


@pytest.mark.parametrize("floor", FLOORS)
def test_a_wrong_gradient_is_no_success(floor):
    machine = floor(np.array([1.0, 2.0]), Options())
    while machine.wants:
        x = machine.point
        machine.tell(float(x @ x), -x)
    assert machine.status == reference.STALLED


@pytest.mark.parametrize("floor", FLOORS)
def test_climbing_is_walking_down_the_negative(floor):
    problem = PROBLEMS[0]
    down, up = floor(problem.x0, Options()), floor(problem.x0, Options(sign=-1.0))
    while down.wants:
        assert up.wants == down.wants
        assert up.point.tobytes() == down.point.tobytes()
        f, g = problem.f(down.point), problem.grad(down.point)
        down.tell(f, g)
        up.tell(-f, -g)
    assert ends(up) == ends(down)


def test_wrong_arguments_are_refused():
    for wrong in (np.ones((2, 2)), np.ones(3, np.float32), np.ones(6)[::2]):
        with pytest.raises(ValueError, match="x0 and the bounds"):
            kernel.Descent(wrong, Options())
    with pytest.raises(ValueError, match="both bounds"):
        kernel.Descent(np.ones(2), Options(), np.zeros(2))
    with pytest.raises(ValueError, match="no walk with these options"):
        kernel.Descent(np.ones(2), Options(memory=0))
    machine = kernel.Descent(np.ones(2), Options())
    with pytest.raises(ValueError, match="g must have 2 entries"):
        machine.tell(1.0, np.ones(3))
    machine.tell(1.0, np.zeros(2))
    with pytest.raises(ValueError, match="the walk is over"):
        machine.tell(1.0, np.ones(2))
    with pytest.raises(TypeError, match="made once"):
        machine.__init__(np.ones(2), Options())
