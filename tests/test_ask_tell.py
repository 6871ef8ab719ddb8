"""Walks by hand: asking and telling gives the bits of `minimize`, and a walk that was interrupted is still there.

Here because whoever has a loop of his own must lose nothing. It tests descent.py, and what of driving.py belongs to a
walk that somebody holds.
"""

import itertools
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from scipy import optimize

import steepest as sd
from steepest.descent import RULES
from steepest.reference.descent import METHODS

X0 = np.array([-1.2, 1.0])
OPTIONS = {"maxiter": 60, "tol": 1e-7}


def rosen(x):
    with np.errstate(all="ignore"):     # float32 overflows where the first steps of some methods lead
        return optimize.rosen(x)


def rosen_der(x):
    with np.errstate(all="ignore"):
        return optimize.rosen_der(x)


def rates(method):
    return {"lr": 1e-3} if method in ("gd", "sgd", "asgd") else {}


def told(run, f=rosen, grad=rosen_der, times=10_000):
    """Ask and tell what is wanted."""
    for _ in range(times):
        if run.done:
            break
        x = run.ask()
        run.tell(f(x) if "f" in run.wants else None, grad(x) if "g" in run.wants else None)
    return run


def bits(result):
    return (result.x.tobytes(), result.fun, result.jac.tobytes(), result.nit, result.nfev, result.njev, result.status,
            result.message)


@pytest.mark.parametrize("method", METHODS + RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_walk_that_is_told_has_the_bits_of_minimize(backend, method, dtype):
    x0 = X0.astype(dtype)
    run = told(sd.Descent(x0, method=method, **rates(method), **OPTIONS))
    expected = sd.minimize(rosen, x0, grad=lambda x: rosen_der(x).astype(dtype), method=method, **rates(method),
                           **OPTIONS)
    result = run.result()
    assert result.x.dtype == dtype
    assert bits(result) == bits(expected)
    assert run.done
    assert run.wants == ()


@pytest.mark.parametrize("search", ["armijo", "wolfe", "hager-zhang", "gll"])
def test_what_is_told_before_it_is_wanted_is_kept(backend, search):
    """Always f and g: no point is asked for twice in a row."""
    run, asked = sd.Descent(X0, line_search=search, maxiter=30), []
    while not run.done:
        x = run.ask()
        asked.append(x.tobytes())
        run.tell(rosen(x), rosen_der(x))
    assert all(one != other for one, other in itertools.pairwise(asked))
    expected = sd.minimize(rosen, X0, grad=rosen_der, line_search=search, maxiter=30)
    result = run.result()
    assert (result.x.tobytes(), result.nit, result.status) == (expected.x.tobytes(), expected.nit, expected.status)
    assert result.nfev == len(asked)


def test_asking_changes_nothing_and_gives_copies(backend):
    run = sd.Descent(X0)
    first = run.ask()
    first[:] = 7
    assert (run.ask() == X0).all()
    assert run.wants == ("f", "g")
    run.tell(rosen(X0), rosen_der(X0))
    second = run.ask()
    assert (run.ask() == second).all()
    assert (run.x == X0).all()
    assert run.fun == rosen(X0)
    assert (run.jac == rosen_der(X0)).all()
    assert (run.nit, run.nfev, run.njev) == (0, 1, 1)


def test_a_walk_up_is_told_values_of_f(backend):
    run = told(sd.Descent(X0, maximize=True), lambda x: -rosen(x), lambda x: -rosen_der(x))
    assert bits(run.result()) == bits(sd.maximize(lambda x: -rosen(x), X0, grad=lambda x: -rosen_der(x)))
    assert run.fun <= 0


def test_bounds_and_sets_are_kept_by_hand_too(backend):
    run = told(sd.Descent(X0, bounds=(-1.5, 1)))
    assert bits(run.result()) == bits(sd.minimize(rosen, X0, grad=rosen_der, bounds=(-1.5, 1)))

    def ball(x):
        return x / max(1.0, np.linalg.norm(x))

    run = told(sd.Descent(X0, method="spg", project=ball, maxiter=300))
    assert np.linalg.norm(run.result().x) <= 1 + 1e-12
    assert bits(run.result()) == bits(sd.minimize(rosen, X0, grad=rosen_der, method="spg", project=ball, maxiter=300))


def test_a_schedule_has_its_say(backend):
    for method in ("gd", "sgd", "adam"):
        asked = []
        options = {"method": method, "schedule": lambda t, asked=asked: asked.append(t) or 1e-3 / (1 + t), "maxiter": 5}
        run = told(sd.Descent(X0, **options))
        assert run.step == 1e-3 / 5
        assert set(asked) == set(range(5))
        assert bits(run.result()) == bits(sd.minimize(rosen, X0, grad=rosen_der, **options))


@pytest.mark.parametrize("method", METHODS + RULES)
def test_a_state_taken_at_any_question_goes_on(backend, method):
    options = OPTIONS | rates(method) | {"method": method}
    whole = told(sd.Descent(X0, **options)).result()
    for questions in (0, 1, 2, 5, 11, 24):
        first = told(sd.Descent(X0, **options), times=questions)
        if first.nfev == 0:
            continue
        second = told(sd.Descent(X0, state=first.state, **options)).result()
        assert (second.x.tobytes(), second.fun, second.nit, second.status) == (
            whole.x.tobytes(), whole.fun, whole.nit, whole.status)


@pytest.mark.parametrize(("change", "error", "text"), [
    (lambda state: None, TypeError, "state must be a dict"),
    (lambda state: state | {"method": "cg"}, ValueError, "method='lbfgs'"),
    (lambda state: {name: array for name, array in state.items() if name != "S"}, ValueError, "'S'"),
    (lambda state: state | {"x": np.zeros(3)}, ValueError, "x in state"),
    (lambda state: state | {"x": [0.0, 1.0]}, TypeError, "x in state"),
    (lambda state: state | {"nfev": -1}, ValueError, "nfev in state"),
    (lambda state: state | {"counts": np.zeros(7)}, TypeError, "counts in state"),
    (lambda state: state | {"values": np.zeros(0)}, ValueError, "state"),
    (lambda state: state | {"counts": np.array([0, 1, 1, 99, 0, 0, 0])}, ValueError, "state"),
])
def test_a_state_is_looked_at_like_anything_else_that_is_given(backend, change, error, text):
    state = told(sd.Descent(X0), times=4).state
    with pytest.raises(error, match=text):
        sd.minimize(rosen, X0, state=change(state) or 3)


@pytest.mark.parametrize(("f", "g", "error", "text"), [
    (None, [1.0, 2.0], TypeError, "f is wanted"), (1.0, None, TypeError, "g is wanted"),
    ("1", [1.0, 2.0], TypeError, "f must be a number"), (1j, [1.0, 2.0], TypeError, "f must be a number"),
    (1.0, [1.0], ValueError, "shape of x"), (1.0, [1j, 2.0], TypeError, "real"), (1.0, "ab", TypeError, "real"),
])
def test_what_is_told_wrongly_changes_nothing(backend, f, g, error, text):
    run = sd.Descent(X0)
    with pytest.raises(error, match=text):
        run.tell(f, g)
    assert (run.nfev, run.njev, run.nit) == (0, 0, 0)
    assert bits(told(run).result()) == bits(sd.minimize(rosen, X0, grad=rosen_der))


def test_a_walk_that_is_over_neither_asks_nor_listens(backend):
    run = told(sd.Descent(X0, maxiter=1))
    with pytest.raises(ValueError, match="over"):
        run.ask()
    with pytest.raises(ValueError, match="over"):
        run.tell(1.0, X0)
    with pytest.raises(TypeError, match="state"):
        run.__reduce__()
    with pytest.raises(sd.BusyError):
        run.__init__(X0)
    assert "lbfgs" in repr(run)


def test_values_that_are_not_finite_are_gone_round(backend):
    run = told(sd.Descent([0.05], tol=1e-8), lambda x: x[0] - np.log(x[0]) if x[0] > 0 else np.nan,
               lambda x: 1 - 1 / x if x[0] > 0 else [np.inf])
    assert run.result().success
    assert np.allclose(run.result().x, 1)


def test_what_is_known_can_be_asked_at_any_time(backend):
    run = sd.Descent(X0)
    result = run.result()
    assert (result.status, result.success, result.nit) == (sd.DescentStatus.RUNNING, False, 0)
    told(run, times=3)
    result = run.result()
    assert (result.status, result.success) == (sd.DescentStatus.RUNNING, False)
    assert result.fun == rosen(result.x)
    assert (result.jac == rosen_der(result.x)).all()


def test_a_walk_that_goes_is_the_walk_of_minimize(backend):
    run = sd.Descent(X0)
    assert bits(run.go(rosen)) == bits(sd.minimize(rosen, X0))
    run = told(sd.Descent(X0), times=3)     # begun by hand
    assert run.go(rosen, grad=rosen_der).x.tobytes() == sd.minimize(rosen, X0, grad=rosen_der).x.tobytes()


def test_a_walk_goes_on_where_an_exception_has_left_it(backend):
    whole = sd.minimize(rosen, X0, grad=rosen_der)
    for stop in (KeyboardInterrupt, RuntimeError):
        calls = []

        def f(x, calls=calls, stop=stop):
            calls.append(1)
            if len(calls) == 12:
                raise stop("planned")
            return rosen(x)

        run = sd.Descent(X0)
        with pytest.raises(stop) as caught:
            run.go(f, grad=rosen_der)
        best = run.result()
        assert best.fun == rosen(best.x) < rosen(X0)
        assert any(f"f = {best.fun}" in note for note in caught.value.__notes__)
        result = run.go(f, grad=rosen_der)
        assert (result.x.tobytes(), result.nit) == (whole.x.tobytes(), whole.nit)
        assert result.nfev == len(calls) == whole.nfev + 1


def test_a_walk_cannot_be_told_from_inside_itself(backend):
    run = sd.Descent(X0)

    def callback(intermediate_result):
        with pytest.raises(sd.BusyError):
            run.tell(1.0, X0)
        with pytest.raises(sd.BusyError):
            run.go(rosen)

    assert run.go(rosen, callback=callback).success


PROGRAM = """
import signal, sys, threading, time
import numpy as np
import steepest as sd

calls = []

def f(x):
    calls.append(1)
    if len(calls) == 400:
        threading.Timer(0.05, lambda: signal.raise_signal(signal.SIGINT)).start()
    if len(calls) >= 400:
        time.sleep(0.002)
    return float(((x - 1) ** 2).sum() + (x[1:] * x[:-1]).sum() ** 2)

run = sd.Descent(np.full(30, 3.0), tol=0.0, method=sys.argv[1], lr=float(sys.argv[2]) or None)
try:
    run.go(f)
except KeyboardInterrupt as error:
    note = [one for one in error.__notes__ if "the best point so far" in one]
    best = run.result()
    assert len(note) == 1 and repr(float(best.fun)) in note[0], note
    assert best.fun == f(best.x) and not best.success
    before = best.nit
    assert run.go(f, maxtime=0.2).nit > before
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(("method", "lr"), [("lbfgs", 0), ("adam", 0.1)])
def test_ctrl_c_leaves_the_best_point_in_the_notes_and_in_the_run(method, lr):
    place = str(pathlib.Path(sd.__file__).parents[1])
    run = subprocess.run([sys.executable, "-c", PROGRAM, method, str(lr)], capture_output=True, text=True, timeout=60,
                         env=os.environ | {"PYTHONPATH": place})
    assert run.returncode == 0, run.stderr
    assert run.stdout == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
