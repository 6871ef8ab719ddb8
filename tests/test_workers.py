"""Evaluation by processes, threads, executors and maps: the bits, errors and counts of one process, and nothing left.

Here because a function slow enough for workers is slow enough to be asked once only. Tests workers.py, crews.py,
processes.py, blocks.py and progress.py; clusters are in test_cluster.py, forks and interrupts in faults/.
"""

import collections
import concurrent.futures
import contextlib
import copy
import functools
import gc
import multiprocessing.pool
import os
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import sent
from hypothesis import given
from hypothesis import strategies as st

import steepest as sd
from steepest import workers as module
from steepest.crews import BLOCKS

from .faults.contract import X, bits, case, message_of

FORK = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
pytestmark = FORK

KINDS = {
    "gradient": (sd.gradient, sent.bowl),
    "gradient vectorized": (functools.partial(sd.gradient, vectorized=True), sent.bowls),
    "value_and_gradient": (sd.value_and_gradient, sent.valley),
    "jacobian": (sd.jacobian, sent.curves),
    "jacobian of a number": (sd.jacobian, sent.bowl),
    "jvp": (lambda f, x, **options: sd.jvp(f, x, np.cos(x), **options), sent.curves),
    "jvp of a number": (lambda f, x, **options: sd.jvp(f, x, np.cos(x), **options), sent.bowl),
    "derivative": (sd.derivative, sent.cube),
    "derivative vectorized": (functools.partial(sd.derivative, vectorized=True), sent.cube),
    "Gradient": (lambda f, x, **options: sd.Gradient(f, x, **options)(x), sent.valley),
    "Gradient's value": (lambda f, x, **options: sd.Gradient(f, x, **options).value_and_gradient(x), sent.valley),
    "Jacobian": (lambda f, x, **options: sd.Jacobian(f, x, **options)(x), sent.curves),
    "gradient_descent": (lambda f, x, **options: sd.gradient_descent(f, x, steps=2, **options), sent.valley),
}
OPTIONS = [
    {},
    {"order": 4},
    {"method": "forward"},
    {"method": "backward", "order": 3},
    {"method": "complex"},
    {"step": 1e-3},
    {"bounds": (X - 1e-7, X + 1.0)},
    {"full_output": True},
    {"full_output": True, "method": "complex"},
]
FULL = ("gradient", "gradient vectorized", "value_and_gradient", "jacobian", "jvp", "derivative")
# Well-known numbers of evaluations in which something goes wrong.
ENDS = (0, 1, 5)


class Unordered:
    """A map that gives results in another order, one by one."""

    _processes = 2

    def backwards(self, function, tasks):
        return iter([function(task) for task in tasks][::-1])


@pytest.fixture(scope="module")
def crews():
    """All kinds of workers; processes that are not ours are shared by all tests of this file."""
    with (
        concurrent.futures.ProcessPoolExecutor(2) as processes,
        concurrent.futures.ThreadPoolExecutor(3) as threads,
        multiprocessing.pool.Pool(2) as pool,
        multiprocessing.pool.ThreadPool(2) as thread_pool,
    ):
        yield {
            "two": 2,
            "three": np.int64(3),
            "processes": processes,
            "threads": threads,
            "its map": threads.map,
            "pool.map": pool.map,
            "pool.imap_unordered": pool.imap_unordered,
            "thread pool": thread_pool.map,
            "partial": functools.partial(pool.map, chunksize=3),
            "map": map,
            "unordered": Unordered().backwards,
        }
        pool.close()
        pool.join()


CREWS = ["two", "three", "processes", "threads", "its map", "pool.map", "pool.imap_unordered", "thread pool", "partial",
         "map", "unordered"]
# One for each way in which tasks travel.
WAYS = ["two", "processes", "threads", "pool.map", "map"]


@pytest.fixture
def started():
    """The processes started in the course of a test, which leaves no process, thread or open file behind."""
    me = psutil.Process()
    gc.collect()
    fds, threads, old = me.num_fds() if hasattr(me, "num_fds") else 0, threading.active_count(), set(me.children())

    def processes():
        return [child for child in me.children() if child not in old]

    yield processes
    deadline = time.monotonic() + 10
    while True:
        gc.collect()
        left = {
            "open files": max(0, me.num_fds() - fds) if hasattr(me, "num_fds") else 0,
            "threads": max(0, threading.active_count() - threads),
            "processes": len(processes()),
        }
        if not any(left.values()) or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    assert not any(left.values()), left


def points_of(call, f, **options):
    """All points at which f is evaluated by one process, in order."""
    seen = []

    def record(x, *args, **kwargs):
        seen.append(np.array(x))
        return f(x, *args, **kwargs)

    call(record, X.copy(), **options)
    return seen


def failure(call, f, **options):
    """What a call raises."""
    with pytest.raises(BaseException) as caught:
        call(f, X.copy(), **options)
    return caught.value


# The same bits, the same counts


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("name", KINDS)
def test_workers_find_the_bits_of_one_process(backend, crews, crew, name):
    call, f = KINDS[name]
    for options in OPTIONS:
        if ("full_output" in options and name not in FULL) or ("bounds" in options and name == "gradient_descent"):
            continue    # it has no such option
        if crew in ("two", "three") and options not in ({}, {"full_output": True}):
            continue    # processes are started for every call
        with case(name, options):
            expected, found = call(f, X.copy(), **options), call(f, X.copy(), workers=crews[crew], **options)
            assert bits(found) == bits(expected)
            if hasattr(expected, "nfev"):
                assert found.nfev == expected.nfev


@given(x=st.lists(st.floats(-5, 5), min_size=0, max_size=9), order=st.sampled_from([2, 4, 6, 8]),
       dtype=st.sampled_from("fdgFDG"), kind=st.sampled_from(["gradient", "jacobian", "jvp", "derivative"]))
def test_any_point_of_any_type_has_the_bits_of_one_process(crews, x, order, dtype, kind):
    x = np.array(x, dtype)
    if kind != "derivative" and x.size == 0:
        kind = "gradient"
    f = {"gradient": np.sum, "jvp": np.sum, "derivative": sent.cube}.get(kind, sent.curves)
    call = KINDS[kind][0]
    expected = bits(call(f, x, order=order, full_output=True))
    for crew in ("processes", "threads", "map"):
        assert bits(call(f, x, order=order, full_output=True, workers=crews[crew])) == expected


class Rounded:
    """A function that computes in another type than it is asked in."""

    def __init__(self, f, dtype):
        self.f, self.dtype = f, dtype

    def __call__(self, x):
        return np.asarray(self.f(x)).astype(self.dtype)


@pytest.mark.parametrize("crew", ["threads", "map"])
@pytest.mark.parametrize("dtype", ["e", "f", "d", "g", "i8"])
def test_the_precision_of_f_is_seen_through_workers(backend, crews, crew, dtype):
    for name in ("gradient", "jacobian", "derivative", "gradient vectorized", "jvp"):
        call, f = KINDS[name]
        expected = call(Rounded(f, dtype), X, full_output=True)
        found = call(Rounded(f, dtype), X, full_output=True, workers=crews[crew])
        assert bits(found) == bits(expected), name


def test_blocks_of_any_size_give_the_same_bits(backend, crews, monkeypatch):
    x = np.linspace(-1, 1, 40)
    expected = [bits(KINDS[name][0](KINDS[name][1], x, order=4)) for name in ("gradient", "jacobian", "derivative")]
    for numbers, at_least in ((1, 1), (1, 16), (200, 1), (2**21, 16)):
        monkeypatch.setattr(module, "NUMBERS", numbers)
        monkeypatch.setattr(module, "AT_LEAST", at_least)
        for name, right in zip(("gradient", "jacobian", "derivative"), expected, strict=True):
            call, f = KINDS[name]
            assert bits(call(f, x, order=4, workers=crews["threads"])) == right


@pytest.mark.parametrize("crew", WAYS)
def test_f_may_do_with_x_what_it_likes(backend, crews, crew):
    for name in ("gradient", "jacobian", "gradient vectorized"):
        call, f = KINDS[name]
        assert bits(call(Spoiling(f), X.copy(), workers=crews[crew])) == bits(call(f, X.copy())), name


class Spoiling:
    """A function that overwrites its x, keeps it, and returns the same array in every call."""

    def __init__(self, f):
        self.f, self.kept, self.buffer = f, [], None

    def __call__(self, x):
        result = np.asarray(self.f(x))
        if self.buffer is None or self.buffer.shape != result.shape:
            self.buffer = np.empty(result.shape)
        self.buffer[...] = result
        x[...] = np.nan
        self.kept.append(x)
        return self.buffer


def test_calls_are_all_made_by_workers(backend, crews, started):
    for name, options in (("gradient", {}), ("gradient", {"method": "complex"}), ("value_and_gradient", {}),
                          ("jacobian", {}), ("jvp", {}), ("derivative", {}), ("Gradient's value", {}), ("Jacobian", {}),
                          ("gradient_descent", {"history": True}), ("gradient", {"full_output": True})):
        call, f = KINDS[name]
        for workers in (2, crews["processes"], crews["pool.map"]):
            assert bits(call(sent.Away(f), X.copy(), workers=workers, **options)) == bits(call(f, X.copy(), **options))


def test_one_worker_is_none(backend):
    def here(x):
        assert threading.current_thread() is thread
        return x @ x

    thread = threading.current_thread()
    assert bits(sd.gradient(here, X, workers=1)) == bits(sd.gradient(here, X))
    assert sd.gradient_descent(here, X, workers=1).nfev == sd.gradient_descent(here, X).nfev


def test_a_walk_counts_and_names_its_calls_as_one_process_does(backend, crews):
    f = sent.valley
    expected = sd.gradient_descent(f, X, steps=3, lr=1e-4, history=True)
    found = sd.gradient_descent(f, X, steps=3, lr=1e-4, history=True, workers=crews["processes"])
    assert (found.nfev, found.njev) == (expected.nfev, expected.njev)
    assert bits(found.history.fun) == bits(expected.history.fun)
    seen = points_of(functools.partial(sd.gradient_descent, steps=2, lr=1e-4), f)
    for k in (0, 3, len(seen) - 1):
        error = failure(functools.partial(sd.gradient_descent, steps=2, lr=1e-4),
                        sent.At(f, [seen[k]], sent.Raise(sent.Planned(k))), workers=crews["threads"])
        assert f"in evaluation {k + 1} of f" in message_of(error)


# Messages


class Counting(concurrent.futures.Executor):
    """An executor that does at once what is submitted, and counts."""

    def __init__(self, workers):
        self._max_workers, self.submitted = workers, []

    def submit(self, function, task):
        future = concurrent.futures.Future()
        self.submitted.append(len(task.rows))
        future.set_result(function(task))
        return future


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_few_messages_carry_equal_shares(workers):
    crew = Counting(workers)
    sd.gradient(sent.bowl, np.ones(100), workers=crew)
    assert len(crew.submitted) == BLOCKS * workers
    assert sum(crew.submitted) == 200
    assert max(crew.submitted) - min(crew.submitted) <= 1


def test_a_block_holds_enough_for_all_workers_however_much_f_gives():
    crew = Counting(8)
    sd.jacobian(np.exp, np.ones(400), workers=crew)
    assert max(crew.submitted) > 1
    assert len(crew.submitted) < 100


def test_evaluations_go_one_by_one_to_a_map_that_says_nothing():
    counts = []

    def mapping(function, tasks):
        counts.append(len(tasks))
        return [function(task) for task in tasks]

    sd.gradient(sent.bowl, np.ones(10), workers=mapping)
    assert counts == [20]


# What goes wrong


@pytest.mark.parametrize("crew", WAYS)
@pytest.mark.parametrize("name", [name for name in KINDS if "vectorized" not in name])
def test_an_exception_is_that_of_one_process_with_the_same_note(backend, crews, crew, name):
    call, f = KINDS[name]
    seen = points_of(call, f)
    for k in (1,) if crew == "two" else [k for k in ENDS if k < len(seen)]:
        expected = failure(call, sent.At(f, [seen[k]], sent.Raise(sent.Planned("at", k))))
        error = sent.Planned("at", k)
        found = failure(call, sent.At(f, [seen[k]], sent.Raise(error)), workers=crews[crew])
        assert type(found) is sent.Planned
        assert message_of(found) == message_of(expected)
        assert found.args == ("at", k) and found.detail == expected.detail
        assert (found is error) == (crew in ("threads", "map"))


@pytest.mark.parametrize("options", OPTIONS[:-2], ids=str)
@pytest.mark.parametrize("name", ["gradient", "jacobian", "derivative", "jvp"])
def test_every_evaluation_is_named_rightly(backend, crews, name, options):
    call, f = KINDS[name]
    for k, point in enumerate(points_of(call, f, **options)):
        hostile = sent.At(f, [point], sent.Raise(sent.Planned(k)))
        expected = failure(call, hostile, **options).__notes__
        hostile.act.error.__notes__ = []
        assert failure(call, hostile, workers=crews["threads"], **options).__notes__ == expected


@pytest.mark.parametrize("crew", WAYS)
def test_the_first_exception_by_index_is_raised_whoever_was_sooner(crews, crew):
    seen = points_of(sd.gradient, sent.bowl)
    slow = sent.At(sent.bowl, [seen[1]], sent.Raise(sent.Planned("first"), 0.1))
    both = sent.At(slow, seen[2:], sent.Raise(sent.Planned("later")))
    for _ in range(1 if crew == "two" else 3):
        error = failure(sd.gradient, both, workers=crews[crew])
        assert error.args == ("first",)
        assert "evaluation 2 of f" in message_of(error)


def test_what_comes_after_an_exception_is_dropped_and_nothing_goes_on(crews):
    calls = []

    def f(x):
        calls.append(1)
        if x[0] != 1:
            raise sent.Planned
        time.sleep(0.02)
        return x @ x

    with pytest.raises(sent.Planned):
        sd.gradient(f, np.ones(300), workers=crews["threads"])
    made = len(calls)
    assert made < 100
    time.sleep(0.1)
    assert len(calls) == made


def test_processes_of_our_own_end_what_nobody_wants(started):
    seen = points_of(sd.gradient, sent.bowl)
    hopeless = sent.At(sent.Delayed(30), seen[:1], sent.Raise(sent.Planned("soon")))
    begun = time.monotonic()
    assert failure(sd.gradient, hopeless, workers=2).args == ("soon",)
    with sd.Gradient(hopeless, X, workers=2) as g:
        for _ in range(2):
            assert failure(lambda f, x: g(x), hopeless).args == ("soon",)
            assert not started()
    assert time.monotonic() - begun < 20


REFUSED = {
    "None": None, "text": "1.5", "complex": 1 + 2j, "two numbers": np.ones(2), "bytes": b"1", "object": object,
    "table": np.ones((2, 2)), "nothing": np.ones(0), "ragged": [[1.0], [1.0, 2.0]],
}


@pytest.mark.parametrize("crew", ["processes", "threads"])
@pytest.mark.parametrize("name", ["gradient", "jacobian", "derivative", "value_and_gradient"])
def test_a_result_that_is_none_is_refused_as_by_one_process(backend, crews, crew, name):
    for what in REFUSED:
        call, f = KINDS[name]
        seen = points_of(call, f)
        for k in ENDS:
            hostile = sent.At(f, [seen[min(k, len(seen) - 1)]], sent.Give(REFUSED[what]))
            expected = failure(call, hostile)
            found = failure(call, hostile, workers=crews[crew])
            assert type(found) is type(expected)
            assert message_of(found) == message_of(expected)


def test_a_vector_that_does_not_fit_f0_is_refused_with_both_shapes(backend, crews):
    options = {"f0": np.zeros(3)}
    expected = failure(sd.jacobian, sent.curves, **options)
    assert message_of(failure(sd.jacobian, sent.curves, workers=crews["processes"], **options)) == message_of(expected)


ERRORS = [
    SystemExit(3), KeyboardInterrupt(), StopIteration(4), GeneratorExit(), MemoryError(), sent.Abrupt("now"),
    OSError(2, "none", "there"), UnicodeDecodeError("a", b"b", 0, 1, "c"), sent.Planned(1, 2),
    ExceptionGroup("many", [ValueError(1), sent.Planned(2)]),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_exceptions_of_every_kind_come_back(crews, error):
    for crew in ("processes", "pool.map", "threads", "map"):
        error.__notes__ = []
        found = failure(sd.gradient, sent.At(sent.bowl, [X], sent.Raise(error)), method="forward", workers=crews[crew])
        assert type(found) is type(error) and str(found) == str(error)
        assert "in evaluation 1 of f, at x itself" in message_of(found)


@pytest.mark.parametrize("error", [sent.Stubborn(1, 2), sent.Mute()], ids=["Stubborn", "Mute"])
def test_an_exception_that_cannot_be_sent_is_told_of(crews, error):
    hostile = sent.At(sent.bowl, [X], Raising(type(error), error.args))
    found = failure(sd.gradient, hostile, method="forward", workers=crews["processes"])
    if isinstance(error, sent.Stubborn) and "cloudpickle" not in sys.modules:
        assert type(found) is RuntimeError
        assert "f raised sent.Stubborn in a worker, and it cannot be sent back as it was: 1 and 2" in str(found)
    assert "in evaluation 1 of f" in "".join(found.__notes__)


class Raising:
    """An act that makes an exception where it is called."""

    def __init__(self, kind, args):
        self.kind, self.args = kind, (1, 2) if kind is sent.Stubborn else args

    def __call__(self, x):
        raise self.kind(*self.args)


def test_an_exception_that_pickle_refuses_is_told_of(crews):
    hostile = sent.At(sent.bowl, [X], Raising(sent.Locked, ()))
    found = failure(sd.gradient, hostile, method="forward", workers=crews["processes"])
    assert type(found) is RuntimeError and "sent.Locked" in str(found) and "locked" in str(found)


def test_where_a_worker_raised_is_the_cause(crews):
    error = failure(sd.gradient, sent.At(sent.bowl, [X], sent.Raise(sent.Planned())), method="forward",
                    workers=crews["processes"])
    assert type(error.__cause__).__name__ == "WorkerTraceback"
    assert "sent.py" in str(error.__cause__) and "raise self.error" in str(error.__cause__)


@pytest.mark.parametrize("act, how", [(sent.leave, "exit status 3"), (sent.killed, "signal 9, SIGKILL"),
                                      (sent.crash, "signal 11, SIGSEGV")])
def test_a_process_of_ours_that_ends_is_told_of_and_replaced(backend, started, act, how):
    seen = points_of(sd.gradient, sent.bowl)
    with sd.Gradient(sent.At(sent.bowl, [seen[2]], act), X, workers=2) as g:
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"a worker ended while evaluation.* of f were under way") as caught:
                g(X)
            assert how in str(caught.value)
            assert type(caught.value.__cause__).__name__ == "BrokenProcessPool"
            assert bits(g(X + 1)) == bits(sd.gradient(sent.bowl, X + 1))


def test_processes_that_end_while_they_are_idle_are_replaced_unseen(started):
    with sd.Gradient(sent.bowl, X, workers=2) as g:
        expected = bits(g(X))
        for process in started():
            with contextlib.suppress(psutil.NoSuchProcess):     # the pool has ended it
                process.kill()      # and the pool waits for it
        time.sleep(0.2)
        assert bits(g(X)) == expected


def test_an_executor_that_broke_is_told_of(started):
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"a worker ended .* make a new one"):
                sd.gradient(sent.At(sent.bowl, [X], sent.leave), X, method="forward", workers=pool)


def test_an_outcome_that_dask_took_for_an_error_is_asked_for_again():
    class Confused(Counting):
        """An executor that loses every outcome so many times."""

        def __init__(self, times):
            super().__init__(2)
            self.left = collections.Counter(dict.fromkeys(range(6), times))

        def submit(self, function, task):
            future = super().submit(function, task)
            self.left[task.number] -= 1
            if self.left[task.number] >= 0:
                future = concurrent.futures.Future()
                future.set_exception(TypeError("cannot unpack non-iterable Outcome object"))
            return future

    assert bits(sd.gradient(sent.bowl, X, workers=Confused(1))) == bits(sd.gradient(sent.bowl, X))
    with pytest.raises(RuntimeError, match="workers failed in evaluation 1 of f: TypeError"):
        sd.gradient(sent.bowl, X, workers=Confused(2))


def test_an_executor_that_was_shut_down_is_told_of():
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match=r"workers failed in .* cannot schedule new futures after shutdown"):
        sd.gradient(sent.bowl, X, workers=pool)


@pytest.mark.parametrize("mapping, words", [
    (lambda function, tasks: [], "no result for 6 of 6 tasks"),
    (lambda function, tasks: (function(task) for task in tasks[:2]), "no result for 4 of 6 tasks"),
    (lambda function, tasks: None, "not iterable"),
    (lambda function, tasks: tasks, "the map gave Task, and not what the function gave"),
    (lambda function: None, "takes 1 positional argument"),
])
def test_a_map_that_does_not_map_is_told_of(mapping, words):
    with pytest.raises(RuntimeError, match="workers failed in evaluation") as caught:
        sd.gradient(sent.bowl, X, workers=mapping)
    assert words in str(caught.value)


def never(x):
    raise AssertionError("f was called")


@pytest.mark.parametrize("workers, error, words", [
    (0, ValueError, "workers must be at least 1, or -1 for all cores, not 0"),
    (-2, ValueError, "workers must be at least 1, or -1 for all cores, not -2"),
    (True, TypeError, "workers must be None, a number of processes, .* not True"),
    (np.True_, TypeError, "workers must be"),
    (2.0, TypeError, r"workers must be .* not 2\.0"),
    ("2", TypeError, "workers must be .* not '2'"),
    (concurrent.futures.ThreadPoolExecutor, TypeError, "workers must be"),
    ([2], TypeError, "workers must be"),
])
def test_workers_that_are_none_are_refused_before_f_is_called(workers, error, words):
    for name, (call, _) in KINDS.items():
        if "Gradient" not in name:
            with pytest.raises(error, match=words):
                call(never, X, workers=workers)
    with pytest.raises(error, match=words):
        sd.Gradient(never, X, workers=workers)


def test_a_pool_is_asked_for_its_map():
    with multiprocessing.pool.ThreadPool(1) as pool, pytest.raises(TypeError, match="pass its map method"):
        sd.gradient(never, X, workers=pool)


@pytest.mark.parametrize("crew", ["two", "processes", "pool.map"])
def test_an_f_that_cannot_be_sent_is_named_before_it_is_called(crews, crew, started):
    lock = threading.Lock()
    for f, args, name in ((lambda x: x, (), "lambda"), (never, (lock,), "never"), (Spoiling(lock), (), "Spoiling")):
        with pytest.raises(TypeError, match=f"f or its args cannot be sent to other processes .*{name}") as caught:
            sd.gradient(f, X, args=args, workers=crews[crew])
        assert "ThreadPoolExecutor" in str(caught.value) and "cloudpickle" in str(caught.value)
        with pytest.raises(TypeError, match="cannot be sent"):
            sd.Gradient(f, X, args=args, workers=crews[crew])


class Trap:
    """Something that can be pickled and not be had back."""

    def __reduce__(self):
        return never, (0,)


def test_an_f_that_workers_cannot_load_is_named(started):
    with pytest.raises(TypeError, match=r"f could not be loaded in a worker \(AssertionError: f was called\)"):
        sd.gradient(sent.bowl, X, args=(Trap(),), workers=2)


def test_threads_take_any_f(crews):
    data = np.arange(3.0)
    assert sd.gradient(lambda x: x @ data, X, workers=crews["threads"]) == pytest.approx(data)


def test_an_executor_that_pickles_by_value_takes_any_f():
    loky = pytest.importorskip("joblib.externals.loky")
    pool = loky.get_reusable_executor(2)
    try:
        data = np.arange(3.0)
        assert sd.gradient(lambda x: x @ data, X, workers=pool) == pytest.approx(data)
        with pytest.raises(TypeError, match="cannot be sent to other processes"):
            lock = threading.Lock()
            sd.gradient(lambda x: lock and x @ data, X, workers=pool)
    finally:
        pool.shutdown()


# The world in which f is called


@pytest.mark.parametrize("crew", ["processes", "threads", "pool.map", "map"])
def test_f_is_called_under_the_error_state_of_the_caller(crews, crew):
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        sd.gradient(divide, X, workers=crews[crew])
    with np.errstate(all="ignore"), pytest.warns(sd.DifferenceWarning):
        sd.gradient(divide, X, workers=crews[crew])


def divide(x):
    return (x / np.zeros(3)).sum()


def test_f_may_use_the_pool_that_runs_it(backend):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        def f(x):
            return sd.gradient(lambda y: y @ y * x[0], x, workers=pool).sum()

        def plain(x):
            return sd.gradient(lambda y: y @ y * x[0], x).sum()

        assert bits(sd.gradient(f, X, workers=pool)) == bits(sd.gradient(plain, X))


class Nested:
    """A function that has workers of its own."""

    def __call__(self, x):
        return sd.gradient(sent.bowl, x, workers=2).sum()


def test_workers_may_have_workers(started):
    with sd.Gradient(Nested(), X[:2], workers=2) as g:
        found = g(X[:2])
    assert bits(found) == bits(sd.gradient(lambda x: sd.gradient(sent.bowl, x).sum(), X[:2]))


@pytest.mark.parametrize("crew", ["two", "processes", "threads"])
def test_eight_threads_share_one_object(backend, crews, crew, started):
    points = np.random.default_rng(3).normal(size=(8, 3, 4))
    expected = [[sd.gradient(sent.valley, x) for x in rows] for rows in points]
    with sd.Gradient(sent.valley, points[0, 0], workers=crews[crew]) as g:
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda rows: [g(x) for x in rows], points))
        if crew == "two":
            assert len(started()) == 2
    assert np.array_equal(found, expected)


def test_threads_may_start_pools_at_the_same_time(started):
    x = np.random.default_rng(4).normal(size=(6, 4))
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda row: sd.gradient(sent.valley, row, workers=2), x))
    assert np.array_equal(found, [sd.gradient(sent.valley, row) for row in x])


def test_one_thread_failing_does_not_disturb_another(started):
    seen = points_of(sd.gradient, sent.bowl)
    hostile = sent.At(sent.Delayed(0.02), [seen[0]], sent.Raise(sent.Planned()))
    expected = bits(sd.gradient(sent.bowl, X + 1))
    with sd.Gradient(hostile, X, workers=2) as g, concurrent.futures.ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            good, bad = threads.submit(g, X + 1), threads.submit(g, X)
            assert isinstance(bad.exception(), sent.Planned)
            assert bits(good.result()) == expected


# Pools and their ends


def test_prepared_objects_keep_their_processes(tmp_path, started):
    with sd.Gradient(sent.Traced(sent.bowl, tmp_path), X, workers=2) as g:
        for _ in range(5):
            g(X)
            g.value_and_gradient(X)
        assert 1 <= len(os.listdir(tmp_path)) <= 2
        assert {str(child.pid) for child in started()} >= set(os.listdir(tmp_path))
    with sd.Jacobian(sent.Traced(sent.curves, tmp_path), X, workers=2) as J:
        for _ in range(5):
            J(X)
    assert len(os.listdir(tmp_path)) <= 4


def test_a_walk_keeps_its_processes_to_the_end_and_not_longer(tmp_path, started):
    sd.gradient_descent(sent.Traced(sent.valley, tmp_path), X, steps=5, lr=1e-4, workers=2)
    assert 1 <= len(os.listdir(tmp_path)) <= 2


def test_there_are_no_more_processes_than_evaluations(tmp_path, started):
    with sd.Gradient(sent.bowl, X[:1], workers=50) as g:
        g(X[:1])
        assert len(started()) <= 4


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("Gradient", "Gradient's value", "Jacobian")])
def test_a_single_call_leaves_nothing(name, started):
    call, f = KINDS[name]
    call(f, X, workers=2)
    with pytest.raises((sent.Planned, AssertionError)):
        call(never, X, workers=2)


@pytest.mark.parametrize("end", ["close", "with", "del", "cycle"])
def test_a_prepared_object_leaves_nothing(end, started):
    g = sd.Gradient(sent.bowl, X, workers=2)
    expected = bits(g(X))
    if end == "close":
        g.close()
        g.close()
        assert not started()
        assert bits(g(X)) == expected   # it starts new ones
        g.close()
    elif end == "with":
        with g:
            assert bits(g(X)) == expected
        assert not started()
    elif end == "cycle":
        cycle = [g]
        cycle.append(cycle)
        del cycle
    del g


def test_executors_are_left_to_their_owners(crews):
    with sd.Gradient(sent.bowl, X, workers=crews["threads"]) as g:
        expected = bits(g(X))
    assert bits(g(X)) == expected
    assert crews["threads"].submit(int).result() == 0


def test_an_object_that_is_closed_while_it_works_says_so(started):
    g = sd.Gradient(sent.Delayed(0.05), np.ones(8), workers=2)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        future = thread.submit(g, np.ones(8))
        while not started():
            time.sleep(0.01)
        time.sleep(0.05)
        g.close()
        error = future.exception()
    assert isinstance(error, RuntimeError) and "of f were cancelled: the workers were closed" in str(error)
    assert g(np.ones(8)) == pytest.approx(np.full(8, 3))
    g.close()


def test_a_number_of_workers_is_copied_and_pickled_and_pools_are_not(crews, started):
    g = sd.Gradient(sent.bowl, X, workers=2, progress=False)
    expected = bits(g(X))
    for twin in (copy.copy(g), copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        assert bits(twin(X)) == expected
        twin.close()
    g.close()
    for crew in ("threads", "processes", "map"):
        prepared = sd.Gradient(sent.bowl, X, workers=crews[crew])
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="this Gradient cannot be copied or pickled, for its workers are"):
                way(prepared)


def test_all_cores_may_be_asked_for(started):
    assert bits(sd.gradient(sent.bowl, X, workers=-1)) == bits(sd.gradient(sent.bowl, X))


def test_nothing_heavy_is_imported_before_there_are_workers():
    heavy = "{'multiprocessing', 'concurrent.futures.process', 'tqdm'}"
    code = f"import sys, steepest; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# Bars


@pytest.mark.parametrize("name", KINDS)
def test_a_bar_counts_all_evaluations(backend, crews, name, capsys):
    call, f = KINDS[name]
    expected = bits(call(f, X.copy()))
    calls = 6 if "vectorized" in name else len(points_of(call, f))
    for workers in (None, crews["processes"], crews["threads"], map, *((2,) if name == "Jacobian" else ())):
        assert bits(call(f, X.copy(), workers=workers, progress=True)) == expected
        shown = capsys.readouterr().err
        assert shown.split("\r")[-1].startswith("steepest: 100%")
        assert f"{calls}/{calls} " in shown.split("\r")[-1]
        assert shown.count("\n") == 1


def test_a_bar_moves_while_f_is_at_work(capsys):
    shown = []

    def f(x):
        shown.append(capsys.readouterr().err)
        time.sleep(0.12)
        return x @ x

    sd.gradient(f, X, progress=True)
    assert any("| 2/6 " in text for text in shown)


def test_a_bar_is_closed_when_f_raises_and_no_thread_looks_after_it(capsys, started):
    for workers in (None, 2):
        with pytest.raises(AssertionError):
            sd.gradient(never, X, progress=True, workers=workers)
        assert capsys.readouterr().err.endswith("\n")
    g = sd.Gradient(never, X, progress=True)
    with pytest.raises(AssertionError):
        g(X)
    assert capsys.readouterr().err.endswith("\n")


def test_bars_need_tqdm_and_say_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"pip install steepest\[progress\]"):
        sd.gradient(never, X, progress=True)
    assert sd.gradient(sent.bowl, X).shape == (3,)


def test_progress_is_yes_or_no():
    for value in (1, "yes", None):
        with pytest.raises(TypeError, match="progress must be True or False"):
            sd.gradient(never, X, progress=value)
