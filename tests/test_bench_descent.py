"""The judge of the descent benchmark counts what is evaluated, and its profiles are those of the definition.

Here because a table is worth no more than what counted for it. Tests benchmarks/descent_peers.py and profiles.py.
"""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def load(name):
    """A module of the benchmarks."""
    specification = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def peers():
    return load("descent_peers")


@pytest.fixture(scope="module")
def profiles():
    return load("profiles")


@pytest.fixture
def bowl():
    """x.x / 2, and how often it was called."""
    problem = SimpleNamespace(x0=np.array([4.0, 0.0]), calls=0, grad=lambda x: x.copy())

    def f(x):
        problem.calls += 1
        return 0.5 * (x @ x)

    problem.f = f
    return problem


def test_a_value_and_a_gradient_at_one_point_are_one_evaluation(peers, bowl):
    judge = peers.Judge(bowl, (1e-5,), 10)
    assert judge.value(bowl.x0) == 8.0
    np.testing.assert_array_equal(judge.gradient(bowl.x0), bowl.x0)
    assert judge.count == bowl.calls == 1
    judge.gradient(bowl.x0 / 2)
    judge.value(bowl.x0)
    assert judge.count == bowl.calls == 3


def test_what_a_solver_does_to_its_x_is_not_taken_for_the_same_point(peers, bowl):
    judge, x = peers.Judge(bowl, (1e-5,), 10), bowl.x0.copy()
    judge.value(x)
    x /= 2
    assert judge.value(x) == 2.0
    assert judge.count == 2


def test_each_tolerance_is_seen_when_it_is_first_reached(peers, bowl):
    judge = peers.Judge(bowl, (1.5, 0.5), 10)
    for scale in (1, 0.25, 1, 0.1):
        judge.value(scale * bowl.x0)
    assert judge.seen == {1.5: 2, 0.5: 4}
    with pytest.raises(peers.EnoughError):
        judge.value(2 * bowl.x0)


def test_no_more_is_evaluated_than_the_cap(peers, bowl):
    judge = peers.Judge(bowl, (0.0,), 3)

    def walk(f, grad, x0, most):
        for k in range(100):
            f(x0 / (k + 1))

    judge.watch(peers.Solver("endless", walk))
    assert judge.count == bowl.calls == 3
    assert judge.seen == {0.0: None}


def test_what_a_solver_raises_ends_it_and_is_named(peers, bowl):
    def walk(f, grad, x0, most):
        f(x0)
        raise ZeroDivisionError

    judge = peers.Judge(bowl, (0.0,), 3)
    assert judge.watch(peers.Solver("fails", walk)) == "ZeroDivisionError"
    assert judge.count == 1


def test_every_solver_finds_the_bottom_of_a_bowl(peers, bowl):
    for solver in (*peers.OURS, *peers.PEERS):
        judge = peers.Judge(bowl, (1e-5,), 2000)
        assert judge.watch(solver) is None or judge.seen[1e-5] is not None, solver.name
        assert judge.seen[1e-5] is not None, solver.name


def test_a_profile_holds_each_problem_against_the_best(profiles):
    found = profiles.profile({"a": [10, 20, None, None], "b": [20, 10, 7, None]})
    np.testing.assert_array_equal(found["a"], [1, 2, np.inf])
    np.testing.assert_array_equal(found["b"], [1, 1, 2])
    assert profiles.share_within(found["a"], 1) == pytest.approx(1 / 3)
    assert profiles.share_within(found["a"], 100) == pytest.approx(2 / 3)
    assert profiles.share_within(found["b"], 2) == 1


def test_profiles_are_drawn_into_a_file(profiles, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "made" / "profiles.png"
    profiles.draw({"left": {"a": [1, None], "b": [2, 3]}, "right": {"a": [1, 1], "b": [None, None]}}, path)
    assert path.read_bytes().startswith(b"\x89PNG")
