"""What f does to the world around it: other threads, the collector, event loops, the processor's mode, processes.

Here because a derivative must not depend on anything but f and its arguments as they were when it was asked for.
It tests rows B10 to B16: arguments changed in mid-run, objects changed, collection, interleaving, modes, fork, tracing.
"""

import asyncio
import contextvars
import decimal
import gc
import locale
import os
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest

import steepest as sd

from .contract import (
    ENTRIES,
    X,
    attempt,
    bits,
    bowl,
    calls_of,
    cases,
    counted,
    curves,
    entries,
    in_a_process,
    name_of,
    on_call,
    out_for,
    right,
)


@pytest.mark.parametrize(("entry", "options"), cases(), ids=name_of)
def test_B10_x_is_read_at_entry_only(backend, entry, options):
    """F writes into the caller's x, in its first call or in its last; the derivative is that of x as it was."""
    expected, calls = right(entry, **options), calls_of(entry, **options)
    for k in {1, 2, calls}:
        x = X.copy()

        def spoil(_, result, x=x):
            x.fill(50)
            return result

        assert bits(entry.call(on_call(k, entry.f, spoil), x, **options)) == expected, f"call {k} of {calls}"


ARRAY_OPTIONS = {
    "bounds": lambda: (X - 0.25, X + 1e-7),
    "step": lambda: np.array([1e-3, 2e-3, 3e-3]),
    "rel_step": lambda: np.array([1e-3, 2e-3, 3e-3]),
    "x_scale": lambda: np.array([1.0, 2.0, 3.0]),
}


def _spoil(option):
    for array in option if isinstance(option, tuple) else (option,):
        array.fill(1e-9)


@pytest.mark.parametrize("name", ARRAY_OPTIONS)
@pytest.mark.parametrize("entry", entries("bounds", "step", "rel_step", "x_scale"), ids=str)
def test_B10_options_are_read_at_entry_only(backend, entry, name):
    if entry.name.startswith(("jvp", "hvp")) and name in ("step", "rel_step"):
        with pytest.raises(ValueError, match="number"):
            entry.call(entry.f, X.copy(), **{name: ARRAY_OPTIONS[name]()})
        return
    expected = right(entry, **{name: ARRAY_OPTIONS[name]()})
    for k in range(1, calls_of(entry, **{name: ARRAY_OPTIONS[name]()}) + 1):
        option = ARRAY_OPTIONS[name]()

        def spoil(x, result, option=option):
            _spoil(option)
            return result

        assert bits(entry.call(on_call(k, entry.f, spoil), X.copy(), **{name: option})) == expected


def test_B10_direction_and_known_value_are_read_at_entry_only(backend):
    v, f0 = np.array([1.0, -2.0, 0.5]), curves(X)
    expected = bits(sd.jvp(curves, X, v, f0=f0, method="forward"))

    def spoil(x, result):
        v.fill(50)
        f0.fill(50)
        return result

    assert bits(sd.jvp(on_call(1, curves, spoil), X, v, f0=f0, method="forward")) == expected
    f0 = curves(X)
    expected = bits(sd.jacobian(curves, X, f0=f0, method="forward"))
    assert bits(sd.jacobian(on_call(1, curves, spoil), X, f0=f0, method="forward")) == expected


@pytest.mark.parametrize("name", ARRAY_OPTIONS)
@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B10_a_prepared_object_keeps_the_options_it_was_prepared_with(backend, prepare, name):
    """Also where it needs a second workspace: entered again, pickled, or on the other backend."""
    f = bowl if prepare is sd.Gradient else curves
    expected = bits(prepare(f, X, **{name: ARRAY_OPTIONS[name]()})(X))
    option, inner = ARRAY_OPTIONS[name](), []

    def nested(x, result):
        inner.append(prepared(X))
        return result

    prepared = prepare(on_call(1, f, nested), X, **{name: option})
    _spoil(option)
    assert bits(prepared(X)) == expected
    assert bits(inner[0]) == expected
    make, arguments = prepared.__reduce__()[:2]
    assert bits(make(*arguments)(X)) == expected


def test_B10_keyword_arguments_changed_in_mid_run_reach_no_call(backend):
    for entry in entries("kwargs"):
        kwargs, seen = {"key": 1}, []

        def f(x, key, entry=entry, kwargs=kwargs, seen=seen):
            seen.append(key)
            kwargs["key"] = 2
            kwargs["other"] = 3
            return entry.f(x)

        assert bits(entry.call(f, X.copy(), kwargs=kwargs)) == right(entry), entry.name
        assert set(seen) == {1}, entry.name


@pytest.mark.parametrize("entry", entries(one_point=True), ids=str)
def test_B10_another_thread_may_write_into_the_arguments(backend, entry):
    expected, x, stop = right(entry), X.copy(), threading.Event()
    bounds, turn = (X - 9, X + 9), threading.Barrier(2)

    def write():
        turn.wait(10)
        while not stop.is_set():
            x.fill(7)
            bounds[0].fill(-1e9)
            bounds[1].fill(1e9)

    def wait(_, result):
        turn.wait(10)
        return result

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert bits(entry.call(on_call(1, entry.f, wait), x, bounds=bounds)) == expected
    finally:
        stop.set()
        writer.join(10)


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B11_a_run_keeps_the_callable_it_started_with(backend, prepare):
    """Whatever attribute held f is replaced by another function in mid-run."""
    f = bowl if prepare is sd.Gradient else curves
    replaced = []

    def replacing(x, result):
        for name, value in list(vars(prepared).items()):
            if value is hostile:
                setattr(prepared, name, lambda x: 1 / 0)
                replaced.append(name)
        return result

    hostile = on_call(1, f, replacing)
    prepared = prepare(hostile, X)
    assert bits(prepared(X)) == bits(prepare(f, X)(X))
    assert replaced


class Loop:
    """Garbage in a cycle, which starts a solve when it is collected."""

    def __init__(self, act):
        self.me, self.act = self, act

    def __del__(self):
        self.act()


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_B12_a_solve_may_start_in_a_finaliser_during_another(backend, entry):
    expected, outcomes = right(entry), []

    def act():
        outcomes.append(attempt(right, entry))

    def litter(x, result):
        if not outcomes:    # one in wait may come while np.errstate begins, which CPython 3.11 does not survive
            Loop(act)
            gc.collect(0)
        return result

    assert bits(entry.call(on_call(None, entry.f, litter), X.copy())) == expected
    assert outcomes and all(found == expected for found, _ in outcomes)


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B12_a_weak_reference_may_call_the_same_object_back(backend, prepare):
    f = bowl if prepare is sd.Gradient else curves
    expected, outcomes = bits(prepare(f, X)(X)), []

    class Passing:
        pass

    def litter(x, result):
        thing = Passing()
        references.append(weakref.ref(thing, lambda _: outcomes.append(bits(prepared(X)))))
        del thing
        return result

    references = []
    prepared = prepare(on_call(2, f, litter), X)
    assert bits(prepared(X)) == expected
    assert outcomes == [expected]


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B12_the_collector_sees_no_half_built_object(backend, prepare):
    """Every object that the collector knows of can be looked at in the middle of making and running one."""
    f = bowl if prepare is sd.Gradient else curves

    def look(x, result):
        for thing in gc.get_objects():
            if str(type(thing).__module__).startswith("steepest"):
                seen.append(type(thing).__name__)
                attempt(repr, thing)
                gc.get_referents(thing)
        return result

    seen = []
    assert bits(prepare(on_call(1, f, look), X)(X)) == bits(prepare(f, X)(X))
    assert prepare.__name__ in seen


def test_B12_a_cycle_through_a_prepared_object_is_collected(backend):
    """A model whose gradient is that of its own method: the most natural of all cycles."""
    class Model:
        def __init__(self):
            self.gradient, self.jacobian = sd.Gradient(self.value, X), sd.Jacobian(self.values, X)
            self.gradient(X), self.jacobian(X)

        def value(self, x):
            return bowl(x)

        def values(self, x):
            return curves(x)

    gone = weakref.ref(Model())
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_B13_f_may_run_an_event_loop_that_solves(backend, entry):
    expected = right(entry)

    async def solve():
        await asyncio.sleep(0)
        return right(entry)

    def loop(x, result):
        with asyncio.Runner() as runner:
            assert runner.run(solve()) == expected
        return result

    assert bits(entry.call(on_call(1, entry.f, loop), X.copy())) == expected


class Lockstep:
    """Two calls that take turns at every evaluation, as green threads do; the first to start ends last."""

    def __init__(self, calls):
        self.turn, self.running = threading.Condition(), set(range(calls))
        self.now = 0

    def wait_for(self, me):
        with self.turn:
            others = sorted(self.running - {me})
            if others:
                self.now = others[0]
                self.turn.notify_all()
                assert self.turn.wait_for(lambda: self.now == me or self.running == {me}, 10)

    def end(self, me):
        with self.turn:
            self.running.discard(me)
            self.now = min(self.running, default=None)
            self.turn.notify_all()


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B13_calls_of_one_object_may_interleave_and_end_in_any_order(backend, prepare):
    f = bowl if prepare is sd.Gradient else curves
    steps, me, found = Lockstep(2), threading.local(), {}

    def interleaved(x):
        steps.wait_for(me.number)
        return f(x)

    prepared = prepare(interleaved, X)

    def work(number):
        me.number = number
        try:
            found[number] = [bits(prepared(X + number + i)) for i in range(3 - number)]
        finally:
            steps.end(number)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(work, n)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for number in range(2):
        assert found[number] == [bits(prepare(f, X)(X + number + i)) for i in range(3 - number)]


def _with_seterr(x, result):
    np.seterr(all="raise")
    return result


def _with_decimal(x, result):
    decimal.getcontext().prec = 1
    return result


def _with_locale(x, result):
    locale.setlocale(locale.LC_ALL, "C")
    return result


def _with_filters(x, result):
    warnings.simplefilter("ignore")
    return result


def _with_seed(x, result):
    np.random.seed(0)  # noqa: NPY002
    return result


WORLDS = {
    "np.seterr": _with_seterr,
    "decimal": _with_decimal,
    "locale": _with_locale,
    "warnings": _with_filters,
    "random seed": _with_seed,
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_B14_settings_changed_by_f_change_no_bit(backend, entry, world):
    expected, found_locale = right(entry), locale.setlocale(locale.LC_ALL)
    try:
        with np.errstate(), decimal.localcontext(), warnings.catch_warnings():
            assert bits(entry.call(on_call(1, entry.f, WORLDS[world]), X.copy())) == expected
    finally:
        locale.setlocale(locale.LC_ALL, found_locale)


@pytest.mark.parametrize("entry", entries(here=True), ids=str)
def test_B14_settings_of_f_are_left_as_f_made_them(backend, entry):
    before = np.geterr()
    with np.errstate():
        entry.call(on_call(None, entry.f, _with_seterr), X.copy())
        assert set(np.geterr().values()) == {"raise"}
    with np.errstate(all="raise"):
        assert bits(entry.call(entry.f, X.copy())) == right(entry)
    assert np.geterr() == before


@pytest.mark.parametrize("mode", ["upward", "downward", "toward zero", "flush"])
@pytest.mark.parametrize("entry", entries(kinds=["scalar", "number"], one_point=True, here=True), ids=str)
def test_B14_a_mode_of_the_processor_left_by_f_changes_no_bit_or_is_refused(backend, entry, mode, processor):
    if not processor.settable:
        pytest.skip("the mode cannot be set on this platform")
    values = {}

    def memory(x):
        """The same values in every mode: each is computed once, in the usual one."""
        key = np.asarray(x).tobytes()
        return values[key] if key in values else values.setdefault(key, float(np.sin(x).sum()))

    expected = right(entry, f=memory)
    for k in (1, calls_of(entry)):
        restore = []

        def change(x, result, restore=restore):
            if mode == "flush":
                restore.append(processor.set(flush=True))
            else:
                restore.append(processor.set(rounding=mode))
            return result

        try:
            result, error = attempt(entry.call, on_call(k, memory, change), X.copy())
        finally:
            restore[0]()
        assert error is not None or bits(result) == expected, f"call {k}"


FORKING = """
import os, sys
import numpy as np, steepest as sd
from tests.faults.contract import X, bits, entries, on_call, right
from warnings import simplefilter
simplefilter("ignore", DeprecationWarning)
children = []
def fork(x, result):
    if not children and os.getpid() == parent:
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            children.append(pid)
    return result
parent = os.getpid()
for backend in ("kernels", "reference"):
    with sd.backend(backend):
        for entry in entries(here=True):
            expected = right(entry)
            good = bits(entry.call(on_call(1, entry.f, fork), X.copy())) == expected and right(entry) == expected
            if os.getpid() != parent:
                os._exit(0 if good else 1)
            _, status = os.waitpid(children.pop(), 0)
            assert good and status == 0, (entry.name, backend, good, status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_B15_f_may_fork_and_both_processes_get_the_derivative():
    in_a_process(FORKING)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_B16_tracing_and_profiling_change_nothing(backend, entry):
    expected, events = right(entry), []

    def observe(frame, event, argument):
        events.append(event)
        return observe

    before = sys.gettrace(), sys.getprofile()
    for install in (sys.settrace, sys.setprofile):
        def switch(x, result, install=install):
            install(observe)
            return result

        f = counted(entry.f)
        try:
            result, error = attempt(entry.call, on_call(1, f, switch), X.copy())
        finally:
            sys.settrace(before[0])
            sys.setprofile(before[1])
        assert error is None and bits(result) == expected and events


@pytest.mark.parametrize("entry", entries(here=True), ids=str)
def test_B16_an_exception_of_a_tracer_propagates(backend, entry):
    class Stopped(Exception):
        pass

    def stop(frame, event, argument):
        if frame.f_code.co_name == "victim":
            raise Stopped
        return stop

    def victim(x, *args):
        return entry.f(x)

    before = sys.gettrace()
    sys.settrace(stop)
    try:
        _, error = attempt(entry.call, victim, X.copy())
    finally:
        sys.settrace(before)
    assert isinstance(error, Stopped)
    assert right(entry) == right(entry)


def test_B10_out_written_by_another_thread_is_committed_once(backend):
    """What others write into `out` during the run is overwritten at the end, all of it."""
    for entry in entries("out"):
        out = out_for(entry)
        f = on_call(None, entry.f, lambda x, result, out=out: (out.fill(50), result)[1])
        assert bits(entry.pick(entry.call(f, X.copy(), out=out))) == bits(entry.pick(entry.call(entry.f, X.copy())))
