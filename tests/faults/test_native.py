"""Compiled functions that go wrong, or are wrong from the start.

Here because a C function can do what no Python function can, and nobody catches it. It tests rows H1 to H11, and what
rows A15, B14, G1, G3, G5, G6, G9, G11, G12 and G14 ask of compiled functions.
"""

import ctypes
import gc
import os
import pathlib
import sys
import time
import warnings
import weakref

import native_library
import numpy as np
import pytest
from native_library import RECOVERABLE, STOP, Alone, Pause, Raises, Weights
from scipy import LowLevelCallable

import steepest as sd
from steepest import threads

from .contract import ENTRIES, attempt, bits, case, in_a_process, message_of, out_for, right
from .test_endurance import answered, shooter, together, untraced  # noqa: F401

X = np.array([0.5, 1.25, 2.0])
M = 4
# The entry points that take one point at a time; how often they call f is their own affair.
POINTWISE = [entry for entry in ENTRIES if not entry.kind.batch and " by " not in entry.name]
DIFFERENCING = [e for e in POINTWISE if e.kind_name not in ("field", "noisy") and not e.judges]
TAKES_F0 = [entry for entry in DIFFERENCING if entry.takes >= {"f0"}]
SCALAR = [entry for entry in DIFFERENCING if entry.kind_name == "scalar"]
THREADS = [entry for entry in DIFFERENCING if entry.takes >= {"workers"}]



def named(scalar, vector, field):
    """The function of the library for each kind."""
    return {**dict.fromkeys(("number", "scalar", "surface", "noisy"), scalar), "vector": vector,
            **dict.fromkeys(("field", "slope"), field)}


PLAIN = named("rosenbrock", "curves", "slopes")
STATUS = named("checked", "checked_curves", "checked_curves")
RAISING = named("raises", "raises_in_curves", "raises_in_curves")
INTO_X = named("writes_into_x", "curves_into_x", "curves_into_x")
SIZES = {"vector": M, "field": X.size, "slope": X.size, "noisy": 1}


def of(entry, native, names, data=None, way="ctypes", size=None):
    """A function of the library of the kind that an entry point wants."""
    f = native.given(names[entry.kind_name], way, data)
    return sd.compiled(f, size=SIZES.get(entry.kind_name) if size is None else size)


def number_of_calls(entry, native):
    """How often an entry point calls f."""
    data = Raises(None, in_call=-1)
    entry.call(of(entry, native, RAISING, data), X.copy())
    return data.calls


def refused_everywhere(f, error, message, chosen=POINTWISE):
    """Every entry point refuses f with the same words, before anything is called or written."""
    for entry in chosen:
        with case(entry.name):
            shape = (M, X.size) if "acobian" in entry.name else (X.size,) * (2 if "hessian" in entry.name else 1)
            for options in ({}, {"out": np.full(shape, 7.0)}):
                if not entry.takes >= set(options):
                    continue
                _, caught = attempt(entry.call, f, X.copy(), **options)
                assert isinstance(caught, error), repr(caught)
                label = entry.kind.label
                assert str(caught).startswith(message.replace("LABEL", label)), caught
                assert all((out == 7.0).all() for out in options.values())


def quietly(call, *args, **kwargs):
    """What a call gives, or the exception it raises, and the warnings of ours that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result, error = attempt(call, *args, **kwargs)
    return result, error, [str(each.message) for each in caught]


# H: what cannot be called

@pytest.mark.parametrize("signature", ["double (double *, int)", "float (int, double *)", "void (int, double *)",
                                       "double (int, double *, int, double *, void *)"])
def test_H1_a_wrong_signature_is_refused_everywhere_and_both_are_named(native, backend, signature):
    for f in (native.capsule("rosenbrock", signature), LowLevelCallable(native.ctypes("curves"), signature=signature)):
        refused_everywhere(f, ValueError, f"LABEL has the signature {signature!r}, expected one of 'double (int, doub")


def test_H2_an_address_and_what_has_no_name_are_refused_everywhere(native, backend):
    address = native.address("rosenbrock")
    refused_everywhere(address, TypeError, "LABEL must be callable, not int")
    refused_everywhere(ctypes.c_void_p(address), TypeError, "LABEL must be callable, not c_void_p")
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
    refused_everywhere(kind(), ValueError, "LABEL is a NULL pointer")
    refused_everywhere(native_library.capsule(address, None), ValueError, "LABEL has no signature")


def test_H3_a_ctypes_function_without_declared_types_is_refused_everywhere(native, backend):
    refused_everywhere(native.library["rosenbrock"], ValueError, "LABEL is a ctypes function without argtypes")


def test_H4_a_c_function_made_of_a_python_function_is_refused_everywhere(native, backend):
    thunk = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))(lambda n, x: 1 / 0)
    for f in (thunk, ctypes.cast(thunk, type(thunk)), LowLevelCallable(thunk)):
        refused_everywhere(f, TypeError, "LABEL is a ctypes callback made of a Python function")
    callback = native.ffi.callback("double (int, double *)", lambda n, x: 1 / 0)
    refused_everywhere(callback, TypeError, "LABEL is a cffi callback made of a Python function")


# H5: what a status says

@pytest.mark.parametrize("entry", [entry for entry in POINTWISE if entry.kind_name != "noisy"], ids=str)
@pytest.mark.parametrize("first", [-1.0, 0.0, 1e-9, 0.5])
def test_H5_a_status_above_zero_is_a_value_that_is_not_there(native, backend, entry, first):
    """As if a Python function had returned NaN: never a number at its own point, and one-sided next to it."""
    x = np.array([first, 1.25, 2.0])
    plain = of(entry, native, STATUS)
    once = sd.compiled(native.ctypes(STATUS[entry.kind_name]), size=max(plain.size, 1))

    def not_there(x):
        return once(np.atleast_1d(x)).reshape(entry.kind.shape)

    for options in ({}, {"full_output": True}):
        if not entry.takes >= set(options):
            continue
        given, expected = (quietly(entry.call, f, x.copy(), **options) for f in (plain, not_there))
        assert (given[1] is None) == (expected[1] is None)
        if given[1] is None:
            assert bits(given[0]) == bits(expected[0])
        assert given[2] == expected[2]


@pytest.mark.parametrize("entry", POINTWISE, ids=str)
def test_H5_a_status_below_zero_ends_the_run_and_is_named(native, backend, entry):
    x = np.array([11.0, 1.25, 2.0])
    out = out_for(entry, X, of(entry, native, PLAIN)) if entry.takes >= {"out"} else None
    options = {} if out is None else {"out": out}
    with pytest.raises(sd.FunctionError) as caught:
        entry.call(of(entry, native, STATUS), x, **options)
    assert caught.value.status == STOP
    assert f"{entry.kind.label} returned the status {STOP}" in str(caught.value)
    assert "steepest: in evaluation 1 of " in message_of(caught.value)
    assert out is None or (out == -7.75).all()


@pytest.mark.parametrize("entry", [entry for entry in DIFFERENCING if entry.one_point], ids=str)
def test_H5_a_status_below_zero_in_the_middle_of_a_run_ends_it_there(native, backend, entry):
    x = np.array([10.0, 1.25, 2.0])
    f = of(entry, native, STATUS)
    out = out_for(entry, X, f)
    with pytest.raises(sd.FunctionError, match=f"status {STOP}") as caught:
        entry.call(f, x, out=out)
    assert "steepest: in evaluation " in message_of(caught.value)
    assert (out == -7.75).all()
    assert bits(entry.call(f, X.copy(), out=out)) == right(entry, X, f)


def test_H5_the_statuses_are_those_of_the_library(native):
    f = sd.compiled(native.ctypes("checked"), size=1)
    assert np.isnan(f([-1.0])) and RECOVERABLE > 0 > STOP
    with pytest.raises(sd.FunctionError) as caught:
        f([11.0])
    assert caught.value.status == STOP


# H6, H7: exceptions

class Planned(Exception):
    """Set by a C function on purpose."""


class Abrupt(BaseException):
    """Set by a C function on purpose, and not an Exception."""


@pytest.mark.parametrize("make", [Planned, Abrupt, KeyboardInterrupt, StopIteration, MemoryError])
@pytest.mark.parametrize("entry", POINTWISE, ids=str)
def test_H6_an_exception_set_by_a_c_function_comes_back_as_the_same_object(native, backend, entry, make):
    calls = number_of_calls(entry, native)
    assert calls > 0
    expected = right(entry, X, of(entry, native, RAISING, Raises(None, in_call=-1)))
    for k in range(1, calls + 1):
        with case(f"call {k}"):
            error = make("planned")
            data = Raises(error, in_call=k)
            f = of(entry, native, RAISING, data)
            _, caught = attempt(entry.call, f, X.copy())
            assert caught is error
            assert data.calls == k
            if isinstance(error, Exception):
                assert f"in evaluation {k} of {entry.kind.label}" in message_of(error)
            data.calls = k
            assert bits(entry.call(f, X.copy())) == expected


@pytest.mark.parametrize("entry", [entry for entry in POINTWISE if entry.kind.shape], ids=str)
def test_H6_a_status_and_an_exception_together_are_the_exception(native, backend, entry):
    error = Planned("planned")
    f = of(entry, native, dict.fromkeys(RAISING, "raises_in_status"), Raises(error, in_call=2))
    _, caught = attempt(entry.call, f, X.copy())
    assert caught is error or entry.kind_name == "field"


@pytest.mark.parametrize("entry", TAKES_F0 + SCALAR, ids=str)
def test_H6_nothing_is_written_when_a_c_function_raises(native, backend, entry):
    out = out_for(entry, X, of(entry, native, PLAIN))
    _, caught = attempt(entry.call, of(entry, native, RAISING, Raises(Planned(), in_call=2)), X.copy(), **(
        {"out": out} if entry.takes >= {"out"} else {}))
    assert isinstance(caught, Planned) and (out == -7.75).all()


@pytest.fixture(scope="module")
def fragile():
    """Njit functions that raise where the first number is above 10, by kind of f."""
    numba = pytest.importorskip("numba")

    def number(t):
        if t > 10:
            raise ValueError("above ten")
        return t * t

    def scalar(x):
        if x[0] > 10:
            raise ValueError("above ten")
        return x[0] * x[1]

    def vector(x):
        if x[0] > 10:
            raise ValueError("above ten")
        return np.append(x * x, x[0])   # four, as sparse Jacobians of the table have

    def slope(x):
        if x[0] > 10:
            raise ValueError("above ten")
        return x * x

    return {"number": numba.njit(number), **dict.fromkeys(("scalar", "surface", "noisy"), numba.njit(scalar)),
            "vector": numba.njit(vector), **dict.fromkeys(("field", "slope"), numba.njit(slope))}


@pytest.mark.parametrize("entry", [entry for entry in POINTWISE if not entry.judges], ids=str)
def test_H7_an_njit_function_that_raises_is_an_exception_and_never_a_number(backend, entry, fragile, capfd):
    f = fragile[entry.kind_name]
    good = entry.call(f, X.copy())
    assert bits(good) == bits(entry.call(lambda x: f.py_func(x), X.copy()))
    for first in (11.0, 10.0) if entry.one_point else (11.0,):
        _, caught = attempt(entry.call, f, np.array([first, 1.25, 2.0]))
        assert type(caught) is ValueError and str(caught) == "above ten"
        assert "steepest: in evaluation " in message_of(caught)
    assert bits(entry.call(f, X.copy())) == bits(good)
    assert capfd.readouterr() == ("", "")


def test_A15_an_njit_function_that_changes_its_length_is_refused_with_both(backend):
    numba = pytest.importorskip("numba")
    f = numba.njit(lambda x: np.ones(int(x[0])))
    for call in (sd.jacobian, lambda f, x: sd.jvp(f, x, np.ones(3)), lambda f, x: sd.Jacobian(f, x)(x)):
        with pytest.raises(ValueError, match=r"f returned shape \(1,\) in evaluation \d, and shape \(2,\) before"):
            call(f, np.array([2.0, 1.0, 1.0]))


# H8: what must stay alive

@pytest.mark.parametrize("way", native_library.WAYS[3:])
@pytest.mark.parametrize("prepare", [sd.Gradient, lambda f, x: sd.Jacobian(f, x)], ids=["Gradient", "Jacobian"])
def test_H8_a_prepared_object_keeps_user_data_as_long_as_it_lives(native, backend, way, prepare):
    data = Weights([1.0, 10.0, 100.0])
    values, expected = weakref.ref(data.values), bits(prepare(lambda x: native_library.weighted(x, [1, 10, 100]), X)(X))
    prepared = prepare(native.given("weighted", way, data), X)
    del data
    gc.collect()
    np.empty(1000).fill(7.0)
    assert values() is not None
    assert bits(prepared(X)) == bits(prepared(X)) == expected
    del prepared
    gc.collect()
    assert values() is None


def test_H8_what_nobody_else_holds_stays_for_one_call(native, backend):
    expected = bits(sd.gradient(lambda x: native_library.weighted(x, [1, 10, 100]), X))
    for way in native_library.WAYS[3:]:
        found = sd.gradient(native.given("weighted", way, Weights([1.0, 10.0, 100.0])), X)
        assert bits(found) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="what is loaded is read in /proc")
def test_H8_a_library_that_is_closed_stays_as_long_as_it_is_needed(native, backend, tmp_path):
    path = tmp_path / f"closed_{backend}.so"
    path.write_bytes(native.path.read_bytes())
    library = native.ffi.dlopen(str(path))
    prepared = sd.Gradient(library.rosenbrock, X)
    native.ffi.dlclose(library)
    del library
    gc.collect()
    assert bits(prepared(X)) == bits(sd.gradient(native_library.rosenbrock, X))
    del prepared
    gc.collect()
    assert str(path) not in pathlib.Path("/proc/self/maps").read_text()


# H9: memory

@pytest.mark.parametrize("entry", POINTWISE, ids=str)
@pytest.mark.parametrize("way", native_library.WAYS)
def test_H9_a_c_function_that_writes_into_x_gets_the_same_derivative(native, backend, entry, way):
    plain = dict(PLAIN, field="curves", slope="curves")
    expected = right(entry, X, of(entry, native, plain))
    x = X.copy()
    assert bits(entry.call(of(entry, native, INTO_X, way=way), x)) == expected
    assert x.tobytes() == X.tobytes()


@pytest.mark.parametrize("name", ["writes_past_x", "writes_before_x"])
@pytest.mark.parametrize("entry", [entry for entry in DIFFERENCING if entry.one_point and entry.kind_name != "slope"],
                         ids=str)
def test_H9_writing_outside_x_is_an_error(native, backend, entry, name):
    f = sd.compiled(native.ctypes(name))
    _, caught = attempt(entry.call, f, X.copy())
    assert isinstance(caught, sd.FunctionError), repr(caught)
    assert "has written outside of x" in str(caught)


@pytest.mark.parametrize("name", ["writes_past_out", "writes_before_out"])
@pytest.mark.parametrize("entry", [entry for entry in DIFFERENCING if entry.kind.shape], ids=str)
def test_H9_writing_outside_out_is_an_error(native, backend, entry, name):
    size = SIZES[entry.kind_name]
    _, caught = attempt(entry.call, sd.compiled(native.ctypes(name), size=size), X.copy())
    assert isinstance(caught, sd.FunctionError), repr(caught)
    assert f"has written outside of out, which takes {size} numbers" in str(caught)


OUTSIDE = """
import os
import numpy as np, steepest as sd
from native_library import Native
native, x = Native(os.environ["NATIVE"]), np.array([0.5, 1.25, 2.0])
for name in ("writes_past_x", "writes_before_x", "writes_past_out", "writes_before_out"):
    f = sd.compiled(native.ctypes(name), size=1)
    for call in (f, lambda x: sd.gradient_descent(f, x, lr=1e-3, steps=2)):
        for _ in range(100):
            try:
                print(call(np.array(x)))
            except sd.FunctionError as error:
                assert "has written outside of" in str(error)
            else:
                raise SystemExit(f"{name} was not found out")
"""


def test_H9_writing_outside_is_an_error_in_a_single_call_and_in_a_descent(native):
    """In a process of its own: memory of others that is overwritten ends it, sooner or later."""
    in_a_process(OUTSIDE, NATIVE=str(native.path))


def test_H9_what_is_not_written_is_not_a_number(native, backend):
    f = sd.compiled(native.ctypes("leaves_unset"), size=M)
    expected = sd.jacobian(native_library.curves, X)
    with pytest.warns(sd.DifferenceWarning):
        found = sd.jacobian(f, X)
    np.testing.assert_array_equal(np.isnan(found), np.arange(M)[:, None] % 2 == np.ones(X.size))
    assert found[::2].tobytes() == expected[::2].tobytes()


@pytest.mark.parametrize("entry", [entry for entry in SCALAR if entry.one_point], ids=str)
def test_B14_a_c_function_that_changes_rounding_is_refused_or_changes_no_bit(native, backend, entry, processor):
    if not processor.settable:
        pytest.skip("the mode cannot be set on this platform")
    expected = right(entry, X, native.ctypes("rosenbrock"))
    restore = processor.set()
    try:
        result, error = attempt(entry.call, native.ctypes("rounds_upward"), X.copy())
    finally:
        restore()
    assert error is not None or bits(result) == expected


# H10, H11: what is asked of the user

def test_H10_what_may_not_be_thrown_through_us_is_documented():
    text = " ".join(sd.compiled.__doc__.split())
    assert "a C++ exception that is not caught in it ends the process, and longjmp out of it is undefined" in text
    assert "a numba ``cfunc`` is printed by numba and lost" in text


def test_H11_a_compiled_function_runs_in_one_thread_unless_more_are_asked_for(native, backend, monkeypatch):
    monkeypatch.setattr(threads, "PAYS", 0)
    alone, x = Alone(), np.linspace(0, 1, 40)
    for entry in SCALAR:
        entry.call(native.low_level("alone", alone), x)
    assert alone.overlaps == 0 and alone.calls > 200


def test_H11_several_threads_are_asked_for_by_workers(native, monkeypatch):
    monkeypatch.setattr(threads, "PAYS", 0)
    alone, x = Alone(), np.linspace(0, 1, 40)
    sd.gradient(native.low_level("alone", alone), x, workers=4)
    assert alone.overlaps > 0


# G: interrupts, threads, processes

LONG = 40_000   # entries, for which one evaluation takes some fifty microseconds, and all of them four seconds
DELAYS = (0.0, 0.01, 0.05, 0.1, 0.17)


def loops(native, workers=None):
    """Calls that take seconds, by name; `workers` is for all that have a loop worth sharing."""
    x = np.zeros(LONG)
    f, shared = native.ctypes("rosenbrock"), {} if workers is None else {"workers": workers}
    prepared = sd.Gradient(f, x, **shared)
    return {
        "gradient": lambda: sd.gradient(f, x, **shared),
        "forward": lambda: sd.gradient(f, x, method="forward", **shared),
        "full output": lambda: sd.gradient(f, x, full_output=True, **shared),
        "Gradient": lambda: prepared(x),
        "jacobian": lambda: sd.jacobian(f, x, **shared),
        "derivative": lambda: sd.derivative(native.low_level("slow", Pause(50)), x, **shared),
    }


LOOPS = ["gradient", "forward", "full output", "Gradient", "jacobian", "derivative"]


@untraced
@pytest.mark.parametrize("name", LOOPS)
def test_G1_ctrl_c_is_answered_by_every_loop_over_a_compiled_function(native, backend, name, shooter):  # noqa: F811
    run = loops(native)[name]
    waits = [shooter.latency(delay, run) for delay in DELAYS]
    assert answered(waits), waits


@untraced
def test_G1_ctrl_c_waits_for_one_evaluation_of_a_slow_function(native, backend, shooter):  # noqa: F811
    f = native.low_level("slow", Pause(20_000))
    waits = [shooter.latency(delay, lambda: sd.gradient(f, np.zeros(100))) for delay in (0.01, 0.05, 0.1)]
    assert min(waits) < 0.07 and max(waits) < 5.0, waits


@untraced
@pytest.mark.parametrize("name", LOOPS)
def test_G3_ctrl_c_stops_the_threads_of_a_run(native, backend, name, shooter):  # noqa: F811
    run = loops(native, workers=2)[name]
    waits = [shooter.latency(delay, run) for delay in DELAYS]
    assert answered(waits), waits


@untraced
def test_G3_no_thread_is_at_work_after_ctrl_c(native, backend, shooter):  # noqa: F811
    pause = Pause(1000)
    prepared = sd.Gradient(native.low_level("slow", pause), np.zeros(4000), workers=3)
    for delay in (0.02, 0.05, 0.1):
        shooter.latency(delay, lambda: prepared(np.zeros(4000)))
        calls = pause.calls
        time.sleep(0.05)
        assert pause.calls == calls > 0
    pause.microseconds = 0
    assert bits(prepared(np.zeros(4000))) == bits(sd.gradient(native.ctypes("rosenbrock"), np.zeros(4000)))


@pytest.mark.parametrize("entry", POINTWISE, ids=str)
def test_G5_one_compiled_function_in_eight_threads_gives_the_bits_of_one(native, backend, entry):
    f = of(entry, native, PLAIN)
    points = [X + i for i in range(8)]
    expected = [[right(entry, x, f)] * 5 for x in points]
    assert together(8, lambda i: [bits(entry.call(f, points[i])) for _ in range(5)]) == expected


def test_G5_an_njit_function_may_be_met_by_eight_threads_at_once(backend):
    numba = pytest.importorskip("numba")
    f = numba.njit(lambda x: x[0] * x[1] + x[2])
    points = [X + i for i in range(8)]
    expected = [bits(sd.gradient(f.py_func, x)) for x in points]
    assert together(8, lambda i: bits(sd.gradient(f, points[i]))) == expected


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_G6_one_prepared_object_with_a_compiled_f_in_eight_threads_gives_the_bits_of_one(native, backend, prepare):
    pause = Pause(50)
    f = sd.compiled(native.low_level("slow" if prepare is sd.Gradient else "slow_curves", pause),
                    size=1 if prepare is sd.Gradient else M)
    prepared, points = prepare(f, X), [X + i for i in range(8)]
    expected = [[bits(prepare(f, X)(x))] * 20 for x in points]
    assert together(8, lambda i: [bits(prepared(points[i])) for _ in range(20)]) == expected


def test_G6_threads_whose_compiled_f_raises_disturb_no_other(native, backend):
    error = Planned()
    data = Raises(error, in_call=40)
    prepared = sd.Gradient(native.low_level("raises", data), X)
    expected = bits(sd.gradient(native.ctypes("rosenbrock"), X))
    outcomes = [each for some in together(8, lambda i: [attempt(prepared, X) for _ in range(10)]) for each in some]
    assert sum(caught is error for _, caught in outcomes) == 1
    assert all(caught is error or bits(result) == expected for result, caught in outcomes)


FORKING = """
import os, signal, threading
from warnings import simplefilter
simplefilter("ignore", DeprecationWarning)
import numpy as np, steepest as sd
from native_library import Native, Pause
from steepest import threads
threads.PAYS = 0
x = np.linspace(-1, 1, 50)
f = Native(os.environ["NATIVE"]).low_level("slow", Pause(100))

def check(depth, prepared, right):
    assert prepared(x).tobytes() == sd.gradient(f, x, workers=3).tobytes() == right
    assert any(thread.name.startswith("steepest") for thread in threading.enumerate())
    if depth == 0:
        return
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        assert not any(thread.name.startswith("steepest") for thread in threading.enumerate())
        check(depth - 1, prepared, right)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    check(0, prepared, right)

for backend in ("kernels", "reference"):
    with sd.backend(backend):
        check(3, sd.Gradient(f, x, workers=3), sd.gradient(f, x).tobytes())
print("over")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_G9_a_forked_child_makes_threads_of_its_own(native):
    assert in_a_process(FORKING, NATIVE=str(native.path)).split() == ["over"]


@pytest.mark.parametrize("workers", [None, 2, 3, 8])
@pytest.mark.parametrize("first", [0, 1, 7, 38])
def test_G11_of_several_failures_the_first_by_index_is_raised(native, backend, monkeypatch, workers, first):
    """The earlier an entry fails the longer it takes: later ones fail sooner, and are dropped."""
    monkeypatch.setattr(threads, "PAYS", 0)
    monkeypatch.setattr(threads, "WORTH", 1)
    x = np.where(np.arange(40) < first, 0.5, 10.0)
    pause = Pause(4000)
    f = sd.compiled(native.low_level("fenced", pause), size=1)
    for call in (sd.gradient, sd.jacobian, lambda f, x, **options: sd.Gradient(f, x, **options)(x)):
        _, caught = attempt(call, f, x, method="forward", workers=workers)
        assert isinstance(caught, sd.FunctionError) and caught.status == -(first + 1), repr(caught)
        assert f"in evaluation {first + 2} of f, with x[{first}] =" in message_of(caught)
        calls = pause.calls
        time.sleep(0.01)
        assert pause.calls == calls     # all have been waited for


@pytest.mark.parametrize("workers", [2, 8])
def test_G11_of_exceptions_in_several_threads_one_comes_back_and_all_are_over(native, backend, monkeypatch, workers):
    monkeypatch.setattr(threads, "PAYS", 0)
    x = np.linspace(-1, 1, 40)
    for k in (1, 2, 3, 20, 41):
        error = Planned()
        data = Raises(error, in_call=k)
        f = native.low_level("raises", data)
        _, caught = attempt(sd.gradient, f, x, method="forward", workers=workers)
        assert caught is error
        calls = data.calls
        time.sleep(0.01)
        assert data.calls == calls
        data.in_call = -1
        assert bits(sd.gradient(f, x, method="forward", workers=workers)) == bits(
            sd.gradient(native_library.rosenbrock, x, method="forward"))


EXITING = """
import os, sys, threading, time
import numpy as np, steepest as sd
from native_library import Native, Pause
pause = Pause(100)
f = Native(os.environ["NATIVE"]).low_level("slow", pause)
workers = int(os.environ["WORKERS"]) or None
def endless():
    while True:
        sd.gradient(f, np.zeros(1000), workers=workers)
for _ in range(3):
    threading.Thread(target=endless, daemon=True).start()
while pause.calls < 100:
    time.sleep(0.001)
print("over")
"""


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", ["kernels", "reference"])
def test_G12_the_interpreter_may_exit_while_daemon_threads_are_in_a_compiled_function(native, name, workers):
    printed = in_a_process(EXITING, NATIVE=str(native.path), WORKERS=str(workers), STEEPEST_BACKEND=name)
    assert printed.split() == ["over"]


@pytest.mark.parametrize("entry", THREADS, ids=str)
@pytest.mark.parametrize("method", ["central", "forward"])
def test_G14_any_number_of_threads_gives_the_bits_of_one(native, backend, monkeypatch, entry, method):
    monkeypatch.setattr(threads, "PAYS", 0)
    monkeypatch.setattr(threads, "WORTH", 1)
    x = np.linspace(-1, 1, 37)
    f = of(entry, native, PLAIN, size=x.size if entry.kind_name == "slope" else None)
    options = {"method": method} if entry.takes >= {"method"} else {}
    expected = right(entry, x, f, **options)
    for workers in (1, 2, 3, 8, 100):
        assert right(entry, x, f, workers=workers, **options) == expected
