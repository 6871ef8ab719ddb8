"""Prepared gradients remember steps, sizes and noise between calls, and look again in time.

Here because finding them out costs several times what using them does. Tests memory.py and the memory= of prepared.py.
"""

import copy
import pickle
import threading

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import steepest as sd
from steepest.memory import EVERY, Memory

X = np.linspace(-1.2, 1.5, 5)


class Noisy:
    """The Rosenbrock function with noise of 1e-5; it counts its `calls`, and can be pickled."""

    def __init__(self):
        self.random, self.calls = np.random.default_rng(3), 0

    def __call__(self, x):
        self.calls += 1
        return rosen(x) + 1e-5 * self.random.standard_normal()


def never(x):
    raise AssertionError("f was called")


def costs(g, f, points):
    """How often each call of a prepared object calls f."""
    found = []
    for x in points:
        before = f.calls
        g(x)
        found.append(f.calls - before)
    return found


def test_a_memory_keeps_for_so_many_calls_and_forgets_when_told():
    memory = Memory(3)
    assert memory.recall("steps") is None
    memory.keep("steps", 7)
    assert [memory.recall("steps") for _ in range(4)] == [7, 7, None, None]
    memory.keep("steps", 8)
    memory.forget("steps")
    assert memory.recall("steps") is None
    only = Memory(3, only="switch")
    only.keep("steps", 7)
    only.keep("switch", 9)
    assert (only.recall("steps"), only.recall("switch")) == (None, 9)


@pytest.mark.parametrize(("memory", "every"), [(True, EVERY), (3, 3), (1, 1), (np.int64(2), 2)])
def test_steps_and_noise_are_found_out_in_every_kth_call(backend, memory, every):
    f = Noisy()
    found = costs(sd.Gradient(f, X, noise="auto", memory=memory), f, [X + 1e-4 * k for k in range(2 * every + 1)])
    assert [cost > 20 for cost in found] == [k % every == 0 for k in range(2 * every + 1)]
    assert {cost for k, cost in enumerate(found) if k % every} <= {11}


@pytest.mark.parametrize("forgetful", [None, False])
def test_without_memory_every_call_starts_afresh(forgetful):
    f = Noisy()
    g = sd.Gradient(f, X, noise=1e-5, memory=forgetful)
    assert min(costs(g, f, [X] * 4)) > 20
    exact = sd.Gradient(rosen, X, x_scale="auto", memory=forgetful)
    assert all(np.array_equal(exact(X), sd.gradient(rosen, X, x_scale="auto")) for _ in range(3))


def test_remembered_steps_are_as_good_near_by(backend):
    f = Noisy()
    g = sd.Gradient(f, X, noise=1e-5, memory=True)
    for k in range(EVERY):
        x = X + 0.01 * k
        assert g(x) == pytest.approx(rosen_der(x), abs=0.1)
        value, gradient = g.value_and_gradient(x)
        assert abs(value - rosen(x)) < 1e-4
        assert gradient == pytest.approx(rosen_der(x), abs=0.1)


def test_a_jacobian_remembers_the_steps_of_every_result(backend):
    random = np.random.default_rng(1)
    calls = []

    def f(x):
        calls.append(1)
        values = np.array([np.sin(x[0]) + x[1] ** 3, 1e3 * np.exp(x[0] * x[1])])
        return values + [1e-6, 1e-2] * random.standard_normal(2)

    x = np.array([1.0, 0.5])
    J = sd.Jacobian(f, x, noise="auto", memory=5)
    found = []
    for _ in range(5):
        before = len(calls)
        value = J(x)
        found.append(len(calls) - before)
        slope = 1e3 * np.exp(0.5)
        assert value == pytest.approx(np.array([[np.cos(1.0), 0.75], [0.5 * slope, slope]]), rel=2e-2)
    assert max(found[1:]) <= 10 < found[0]


def test_sizes_are_remembered(backend):
    calls = []
    g = sd.Gradient(lambda x: calls.append(1) or rosen(x), X, x_scale="auto", memory=4)
    found = []
    for _ in range(6):
        before = len(calls)
        assert g(X) == pytest.approx(rosen_der(X), rel=1e-7)
        found.append(len(calls) - before)
    assert found == [16, 11, 11, 11, 16, 11]


def test_what_does_not_serve_any_more_is_found_out_at_once(backend):
    """Steps found far from a wall do not fit beside it."""
    f = Noisy()
    lower, upper = np.full(5, -3.0), np.full(5, 3.0)
    g = sd.Gradient(f, X, noise=1e-5, memory=True, bounds=(lower, upper))
    g(np.zeros(5))
    beside = np.full(5, 3.0 - 1e-4)
    before = f.calls
    found = g(beside)
    assert f.calls - before > 11
    assert found == pytest.approx(rosen_der(beside), rel=0.05)


def test_results_that_are_not_finite_with_remembered_steps_are_looked_at_again(backend):
    def f(x):
        return float(np.sqrt(x[0])) if x[0] >= 0 else float("nan")

    g = sd.Gradient(f, [100.0], noise=1e-6, memory=True)
    assert g([100.0])[0] == pytest.approx(0.05, rel=1e-3)
    assert g([1e-2])[0] == pytest.approx(5, rel=1e-2)


def test_a_run_that_fails_leaves_no_memory(backend):
    f = Noisy()
    planned = RuntimeError("planned")
    fail = [True]

    def sometimes(x):
        if fail and f.calls == 20:
            fail.pop()
            raise planned
        return f(x)

    g = sd.Gradient(sometimes, X, noise="auto", memory=True)
    with pytest.raises(RuntimeError) as caught:
        g(X)
    assert caught.value is planned
    assert g(X) == pytest.approx(rosen_der(X), abs=0.1)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_a_copy_has_the_option_and_starts_without_memories(copied):
    f = Noisy()
    g = sd.Gradient(f, X, noise=1e-5, memory=3)
    g(X)
    twin = copied(g)
    assert "memory=3" in repr(twin)
    seen = twin._f
    assert [cost > 15 for cost in costs(twin, seen, [X] * 4)] == [True, False, False, True]


def test_eight_threads_share_what_one_has_found_out():
    g = sd.Gradient(rosen, X, noise="auto", memory=1000, x_scale=1.0)
    expected = g(X)
    failed = []

    def work():
        for k in range(20):
            if abs(g(X + 1e-3 * k) - rosen_der(X + 1e-3 * k)).max() > 1e-4 or not np.array_equal(g(X), expected2):
                failed.append(k)

    expected2 = g(X)
    assert expected == pytest.approx(expected2, rel=1e-6)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize(("memory", "error"), [
    (0, ValueError), (-1, ValueError), (1.5, TypeError), ("yes", TypeError), ([3], TypeError), (2**63, ValueError),
])
@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian])
def test_a_memory_that_is_no_number_of_calls_is_named(prepare, memory, error):
    with pytest.raises(error, match="memory must be an integer"):
        prepare(never, X, memory=memory)
