"""Walks from random starts: the best is kept, the same for one seed, and counted as a whole.

Here because a false minimum looks like any other. It tests restarts.py; false minima that noise leads out of are in
test_stochastic.py.
"""

import numpy as np
import pytest

import steepest as sd

BOX = (-2.0, 2.0)
SHALLOW = np.array([1.2, 0.5])


def two_wells(x):
    """Deep at x[0] = -1.04, where it is -0.305, and shallow at 0.96, where it is 0.294."""
    return float((x[0] ** 2 - 1) ** 2 + 0.3 * x[0] + (x[1:] ** 2).sum())


def slopes(x):
    return np.concatenate([[4 * x[0] * (x[0] ** 2 - 1) + 0.3], 2 * x[1:]])


def test_plain_descent_stays_in_the_shallow_well(backend):
    for method in ("gd", "lbfgs", "cg", "bfgs"):
        assert sd.minimize(two_wells, SHALLOW, method=method, lr=0.05 if method == "gd" else None).x[0] > 0.9


def test_starts_find_the_deep_well_with_nearly_every_seed():
    found = [sd.minimize(two_wells, SHALLOW, grad=slopes, bounds=BOX, starts=8, seed=seed).x[0] for seed in range(50)]
    assert sum(x < -0.9 for x in found) >= 45


@pytest.mark.parametrize("method", ["lbfgs", "spg"])
def test_the_best_walk_is_the_result_and_all_are_counted(backend, method):
    calls = []

    def f(x):
        assert (abs(x) <= 2).all()
        calls.append(1)
        return two_wells(x)

    result = sd.minimize(f, SHALLOW, bounds=BOX, starts=6, seed=1, method=method)
    walks = result.starts
    assert result.success and walks.x.shape == (6, 2)
    assert result.nfev == len(calls) == walks.nfev.sum()
    assert result.fun == walks.fun.min() == two_wells(result.x)
    assert (result.x == walks.x[walks.fun.argmin()]).all()
    assert result.message.endswith("; the best of 6 starts")
    alone = sd.minimize(two_wells, SHALLOW, bounds=BOX, method=method)
    assert walks.x[0].tobytes() == alone.x.tobytes()


def test_a_seed_gives_the_same_bits_again_and_another_seed_others():
    first, again, other = (sd.minimize(two_wells, SHALLOW, bounds=BOX, starts=5, seed=seed).starts
                           for seed in (3, np.random.default_rng(3), 4))
    assert first.x.tobytes() == again.x.tobytes()
    assert first.nfev[0] == other.nfev[0]
    assert first.x.tobytes() != other.x.tobytes()


def test_climbing_keeps_the_highest():
    result = sd.maximize(lambda x: -two_wells(x), SHALLOW, bounds=BOX, starts=8, seed=1)
    assert result.x[0] < -0.9
    assert result.fun == -two_wells(result.x) == result.starts.fun.max()


def test_shape_and_type_of_x_are_kept(backend):
    result = sd.minimize(lambda x: two_wells(x.reshape(-1).astype(float)), SHALLOW.reshape(2, 1).astype(np.float32),
                         bounds=BOX, starts=3, seed=0, tol=1e-2)
    assert result.x.shape == result.jac.shape == (2, 1)
    assert result.x.dtype == np.float32


def test_a_walk_that_meets_no_number_is_not_the_best():
    result = sd.minimize(lambda x: two_wells(x) if x[0] > 0.5 else np.nan, SHALLOW, grad=slopes, bounds=BOX, starts=5,
                         seed=1)
    assert result.success and result.x[0] > 0.9
    assert np.isnan(result.starts.fun).any()


def test_compiled_functions_start_anywhere(native):
    f = native.ctypes("rosenbrock")
    result = sd.minimize(f, [0.0, 0.0], bounds=BOX, starts=4, seed=0, workers=2)
    assert result.success and np.allclose(result.x, 1, atol=1e-3)


@pytest.mark.parametrize(("options", "error", "text"), [
    ({"starts": 0}, ValueError, "starts"), ({"starts": 2.5}, TypeError, "starts"),
    ({"starts": 2, "bounds": None}, ValueError, "starts needs bounds"),
    ({"starts": 2, "bounds": (0, np.inf)}, ValueError, "bounds must be finite"),
    ({"starts": 2, "seed": "abc"}, TypeError, "seed"), ({"starts": 2, "seed": -1}, ValueError, "seed"),
    ({"starts": 2, "callback": print}, ValueError, "callback is for one walk"),
    ({"starts": 2, "history": True}, ValueError, "history is for one walk"),
    ({"starts": 2, "state": {}}, ValueError, "state is for one walk"),
    ({"starts": 2, "maxtime": 1}, ValueError, "maxtime is for one walk"),
    ({"starts": 2, "workers": 3}, ValueError, "workers"), ({"seed": 3}, ValueError, "seed can be given with starts"),
    ({"starts": 2, "method": "cg"}, ValueError, "cannot keep bounds"), ({"starts": 2, "tol": -1}, ValueError, "tol"),
])
def test_bad_arguments_are_refused_before_f_is_called(options, error, text):
    def never(x):
        raise AssertionError("called")

    with pytest.raises(error, match=text):
        sd.minimize(never, SHALLOW, **({"bounds": BOX} | options))
