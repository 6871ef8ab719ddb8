"""Many walks in one call: the bits of lone ones, for every way in which f can be given, on any number of threads.

Here because a batch is only as good as each of its walks. It tests many.py, many_walks.py, many_functions.py and
`descend_many` of kernels/descent with its reference.
"""

import functools

import numpy as np
import pytest
from native_library import Raises, Weights
from scipy import LowLevelCallable
from scipy.optimize import rosen, rosen_der
from test_native import described

import steepest as sd
from steepest import minimize
from steepest.errors import DescentStatus
from steepest.kernels import descent as kernel
from steepest.kernels.callback import Compiled
from steepest.reference.descent import METHODS, Options
from steepest.reference.many import Batch

STARTS = np.random.default_rng(7).uniform(-2, 2, (12, 2))
FIELDS = ("x", "fun", "jac", "status", "nit", "nfev", "njev", "success")


def bowl(x, centre=0.0):
    return float(((x - centre) ** 2).sum())


def alone(f, starts, **options):
    """The same walks one by one, in arrays."""
    walks = [minimize(f, x, **options) for x in starts]
    return {name: np.array([walk[name] for walk in walks]) for name in FIELDS}


def same(found, expected):
    for name in FIELDS:
        assert found[name].tobytes() == expected[name].astype(found[name].dtype).tobytes(), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grad", [rosen_der, None], ids=["given", "differences"])
def test_each_walk_has_the_bits_of_a_lone_one(backend, method, grad):
    options = {"grad": grad, "method": method, "maxiter": 25, "lr": 1e-3 if method == "gd" else None}
    starts = STARTS[:3]
    same(sd.minimize_many(rosen, starts, **options), alone(rosen, starts, **options))


@pytest.mark.parametrize("options", [
    {"maxfev": 30}, {"ftol": 0.1}, {"target": 0.5}, {"noise": 1e-3}, {"method": "bb", "variant": "bb1"},
    {"line_search": "wolfe", "memory": 3}, {"bounds": (-0.5, 0.8)}, {"bounds": (-0.5, 0.8), "method": "spg"},
    {"order": 4}, {"step": 1e-4}, {"method": "cg", "beta": "pr+"}, {"method": "adam"}, {"grad": "forward"},
    {"method": "gd", "schedule": lambda t: 1e-3 / (1 + t)}, {"noise": "auto"},
], ids=str)
def test_it_has_with_every_option(backend, options):
    starts = np.clip(STARTS[:2], -0.5, 0.8)
    same(sd.minimize_many(rosen, starts, maxiter=12, **options), alone(rosen, starts, maxiter=12, **options))


@pytest.mark.parametrize("grad", [rosen_der, None], ids=["given", "differences"])
def test_single_precision_is_kept(backend, grad):
    starts = STARTS[:3].astype(np.float32)
    found = sd.minimize_many(rosen, starts, grad=grad, maxiter=9)
    assert found.x.dtype == np.float32
    same(found, alone(rosen, starts, grad=grad, maxiter=9))


@pytest.mark.parametrize("workers", [None, 1, 2, 3])
def test_compiled_functions_are_walked_down_alike_on_any_number_of_threads(native, backend, workers, monkeypatch):
    monkeypatch.setattr("steepest.threads.PAYS", 0)
    f, starts = native.ctypes("rosenbrock"), np.random.default_rng(1).uniform(-2, 2, (40, 2))
    starts = starts[:6] if backend == "reference" else starts
    same(sd.minimize_many(f, starts, workers=workers), alone(f, starts))


def test_a_compiled_gradient_is_taken_too(native, backend):
    weights = Weights(np.ones(3))
    f, starts = described(native, "weighted", data=weights), np.random.default_rng(2).normal(size=(9, 3))
    grad = described(native, "slopes", size=3)
    found = sd.minimize_many(f, starts, grad=grad)
    same(found, alone(f, starts, grad=grad))
    assert found.success.all()


def test_a_c_function_is_given_the_address_of_its_row(native, backend):
    data = np.random.default_rng(3).uniform(0.5, 9, (30, 4))
    f = Compiled(native.address("weighted"), native.signature("weighted"))
    found = sd.minimize_many(f, np.ones(4), data=data, maxiter=5, tol=1e-9)
    for i in (0, 1, 17, 29):
        weights = Weights(data[i])
        walk = minimize(described(native, "weighted", data=weights), np.ones(4), maxiter=5, tol=1e-9)
        assert (walk.x.tobytes(), walk.fun, walk.nfev) == (found.x[i].tobytes(), found.fun[i], found.nfev[i])


def power_of_distance(x, centre, power):
    return ((x - centre) ** 2).sum() ** power


@functools.cache
def compiled_distance():
    return pytest.importorskip("numba").njit(power_of_distance)


@pytest.mark.parametrize(("data", "compiled"), [
    (np.arange(5.0), False), (np.arange(5) * 2, False), ([[0.0, 1.0], [2.0, 3.0]], False), (np.arange(5.0), True),
    (np.ones((5, 2)) * np.arange(5)[:, None], True),
], ids=["numbers", "integers", "lists", "numbers njit", "rows njit"])
def test_a_python_or_njit_function_is_given_its_row_after_x(backend, data, compiled):
    f = compiled_distance() if compiled else power_of_distance
    found = sd.minimize_many(f, np.zeros(2), data=data, args=(1.0,))
    assert np.allclose(found.x, np.asarray(data, float).reshape(len(data), -1), atol=1e-4)
    for i, row in enumerate(data):
        row = np.asarray(row)[()] if np.ndim(row) == 0 else np.asarray(row)
        walk = minimize(f, np.zeros(2), args=(row, 1.0))
        assert (walk.x.tobytes(), walk.nfev) == (found.x[i].tobytes(), found.nfev[i])


def test_a_gradient_or_a_pair_is_given_its_row_as_f_is(backend):
    data = np.arange(4.0)
    expected = np.repeat(data[:, None], 2, axis=1)
    for f, grad in ((bowl, lambda x, c: 2 * (x - c)), (lambda x, c: (bowl(x, c), 2 * (x - c)), True)):
        assert np.allclose(sd.minimize_many(f, np.ones(2), data=data, grad=grad).x, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore::steepest.DifferenceWarning")
def test_a_walk_that_needs_care_leaves_the_others_alone(backend):
    """What is not finite, and what is known in float32 only, goes by the careful road."""
    def cornered(x):
        return float((x**2).sum()) if (x > -0.5).all() else np.nan

    def coarse(x):
        return np.float32(((x - 1) ** 2).sum())

    starts = np.array([[1.0, 2.0], [-0.49999999, 1.0], [-1.0, 0.0], [0.5, 0.25]])
    with np.errstate(all="ignore"):
        for f in (cornered, coarse):
            found = sd.minimize_many(f, starts, maxiter=20)
            same(found, alone(f, starts, maxiter=20))
    assert sd.minimize_many(cornered, starts).status[2] == DescentStatus.NONFINITE


@pytest.mark.parametrize("call", [1, 2, 30])
def test_what_f_raises_comes_back_with_the_problem_and_the_evaluation(backend, call):
    calls, planned = [], KeyError("planned")

    def f(x):
        if x[0] > 50:
            calls.append(1)
            if len(calls) == call:
                raise planned
        return bowl(x)

    starts = np.array([[1.0, 1.0], [99.0, 99.0], [2.0, 2.0]])
    with pytest.raises(KeyError) as caught:
        sd.minimize_many(f, starts, method="gd", lr=1e-3, maxiter=60)
    assert caught.value is planned
    assert any(f"in evaluation {call} of f" in note for note in planned.__notes__)
    assert "steepest: in problem 1 of 3" in planned.__notes__


def test_what_a_compiled_f_raises_comes_back_from_any_thread(native, monkeypatch):
    monkeypatch.setattr("steepest.threads.PAYS", 0)
    error = ZeroDivisionError("planned")
    with pytest.raises(ZeroDivisionError) as caught:
        sd.minimize_many(described(native, "raises", data=Raises(error, 2000)), np.tile(STARTS, (20, 1)), workers=2)
    assert caught.value is error
    assert any("in problem" in note for note in error.__notes__)


@functools.cache
def compiled_bar():
    def f(x, bar):
        if bar > 2:
            raise ValueError("too high a bar")
        return ((x - bar) ** 2).sum()

    return pytest.importorskip("numba").njit(f)


def test_what_an_njit_function_raises_is_raised_for_its_row(backend):
    with pytest.raises(ValueError, match="too high a bar") as caught:
        sd.minimize_many(compiled_bar(), np.zeros(2), data=np.arange(6.0), workers=1)
    assert "steepest: in problem 3 of 6" in caught.value.__notes__


def test_an_interrupt_ends_all_threads(native, monkeypatch):
    monkeypatch.setattr("steepest.threads.PAYS", 0)
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        sd.minimize_many(described(native, "raises", data=Raises(error, 5000)), np.tile(STARTS, (200, 1)), workers=2)
    assert sd.minimize_many(native.ctypes("rosenbrock"), STARTS).success.all()


def test_no_walks_give_empty_arrays_and_the_message_counts():
    none = sd.minimize_many(rosen, np.empty((0, 2)))
    assert none.x.shape == (0, 2)
    assert none.fun.shape == none.status.shape == (0,)
    found = sd.minimize_many(rosen, [[1.0, 1.0], [-1.2, 1.0]], grad=rosen_der, maxiter=3)
    assert found.message == ("1 of 2: the gradient is as small as asked for; "
                             "1 of 2: the limit of iterations is reached")
    assert found.success.tolist() == [True, False]


def test_the_callers_arrays_are_left_as_they_are(backend):
    starts, data = STARTS[:4].copy(), np.arange(4.0)
    before = starts.tobytes(), data.tobytes()

    def hostile(x, c):
        value = bowl(x, c)
        x[:] = 99
        return value

    found = sd.minimize_many(hostile, starts, data=data)
    assert np.allclose(found.x, data[:, None], atol=1e-4)
    assert (starts.tobytes(), data.tobytes()) == before


def test_starts_outside_the_bounds_are_moved_in_with_a_warning():
    with pytest.warns(RuntimeWarning, match="some of X0 are outside"):
        found = sd.minimize_many(bowl, [[5.0, 5.0], [1.5, 1.5]], bounds=(1.0, 2.0))
    assert np.allclose(found.x, 1.0)


@pytest.mark.parametrize(("X0", "options", "error", "text"), [
    ([1.0, 2.0], {}, ValueError, "X0 must have shape"), ([[np.nan, 1.0]], {}, ValueError, "X0"),
    ([[1j, 1.0]], {}, TypeError, "X0 must be real"), ("abc", {}, TypeError, "X0"),
    (STARTS, {"data": np.ones(3)}, ValueError, "with the 3 rows of data"), (STARTS, {"data": 3}, TypeError, "data"),
    (STARTS, {"data": np.array(1.0)}, ValueError, "data"), (STARTS, {"data": "abc"}, TypeError, "data"),
    (STARTS, {"workers": 2}, ValueError, "workers"), (STARTS, {"workers": 0}, ValueError, "workers"),
    (STARTS, {"workers": "x"}, TypeError, "workers"),
    (STARTS, {"callback": print}, TypeError, "callback cannot be given to minimize_many"),
    (STARTS, {"state": {}}, TypeError, "state cannot be given"), (STARTS, {"tol": -1}, ValueError, "tol"),
    (STARTS, {"method": "newton"}, ValueError, "method"), (STARTS, {"bounds": (1, 0)}, ValueError, "lb"),
    (STARTS, {"grad": 3}, TypeError, "grad"), (STARTS, {"order": 3}, ValueError, "order"),
])
def test_bad_arguments_are_refused_before_f_is_called(X0, options, error, text):
    def never(*arguments):
        raise AssertionError("called")

    with pytest.raises(error, match=text):
        sd.minimize_many(never, X0, **options)


def test_data_are_refused_where_a_compiled_f_has_no_place_for_them(native):
    with pytest.raises(ValueError, match="no place for user data"):
        sd.minimize_many(native.ctypes("rosenbrock"), STARTS, data=np.ones((12, 2)))
    with pytest.raises(ValueError, match="which has user data already"):
        sd.minimize_many(described(native, "weighted", data=Weights(np.ones(2))), STARTS, data=np.ones((12, 2)))
    f = LowLevelCallable(native.ctypes("weighted"))
    with pytest.raises(TypeError, match="args and kwargs"):
        sd.minimize_many(f, STARTS, data=np.ones((12, 2)), args=(1,))
    with pytest.raises(TypeError, match="not of objects"):
        sd.minimize_many(f, STARTS, data=[None] * 12)


def test_the_kernel_refuses_rows_and_arrays_that_are_not_there(native):
    from steepest.objective import Answers

    machine, direct = kernel.Descent(STARTS[0], Options()), Answers(rosen, None, STARTS[0], (), None, {}).direct
    place, batch = np.zeros(1, np.int64), Batch(STARTS.copy())
    for first, last in ((0, 13), (-1, 3), (4, 2)):
        with pytest.raises(ValueError, match="no rows"):
            kernel.descend_many(machine, direct, batch, place, first, last)
    for name, wrong in (("x", np.empty((12, 3))), ("fun", np.empty(11)), ("counts", np.empty((12, 4))),
                        ("starts", STARTS.astype(np.float32)), ("data", ((1, 1), (0, 0)))):
        broken = Batch(STARTS.copy())
        setattr(broken, name, wrong)
        with pytest.raises(ValueError, match=r"must be|no rows|user data"):
            kernel.descend_many(machine, direct, broken, place, 0, 1)
    with pytest.raises(ValueError, match="halts"):
        kernel.descend_many(machine, direct, batch, place, 0, 1, np.zeros(1), 0)
    assert kernel.descend_many(machine, direct, batch, place, 0, 12) == kernel.descend_many(
        machine, direct, batch, place, 3, 5) == 0
