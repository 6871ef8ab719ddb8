"""Many calls, many threads, and Ctrl-C at any moment.

Here because what leaks a byte, shares a buffer or sleeps through a signal shows only after a long time.
It tests rows A1 and F7 (nothing grows, T8), G1 and G2 (Ctrl-C), G5 and G6 (threads) of the catalogue.
"""

import contextlib
import contextvars
import functools
import gc
import operator
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import steepest as sd

from .contract import ENTRIES, X, attempt, bits, bowl, curves, entries, on_call, right

SMALL = np.array([0.5, -1.25])
# Those that cost a few microseconds a call can be called often; the others learn the same from fewer calls.
OFTEN = {"gradient": 50_000, "Gradient": 50_000, "Gradient.value_and_gradient": 50_000}
SELDOM = {"kernels": 4_000, "reference": 1_000}


class Planned(Exception):
    """Raised by an f on purpose."""


def gently(entry):
    """A quick f of the kind that an entry point wants."""
    return {
        "number": lambda t, *args: t * t,
        "numbers": lambda t, *args: t * t,
        "scalar": lambda x, *args: x[0] * x[1],
        "noisy": lambda x, *args: x[0] * x[1],
        "batch": lambda x, *args: x[:, 0] * x[:, 1],
        "vector": (lambda x, *args: x * x) if entry.dense else lambda x, *args: np.concatenate([x * x, x]),
        "vectors": (lambda x, *args: x * x) if entry.dense else lambda x, *args: np.concatenate([x * x, x], axis=1),
        "field": lambda x, *args: x + x,
        "surface": lambda x, *args: x[0] * x[1],
        "surfaces": lambda x, *args: x[:, 0] * x[:, 1],
        "slope": lambda x, *args: x + x,
        "slopes": lambda x, *args: x + x,
    }[entry.kind_name]


def running(entry, f, arguments):
    """A call to be made again and again; a prepared object is made once."""
    if entry.name in ("Gradient", "Jacobian"):
        prepared = (sd.Gradient if entry.name == "Gradient" else sd.Jacobian)(f, SMALL, args=arguments)
        return lambda: prepared(SMALL)
    if entry.name == "Gradient.value_and_gradient":
        prepared = sd.Gradient(f, SMALL, args=arguments)
        return lambda: prepared.value_and_gradient(SMALL)
    return lambda: entry.call(f, SMALL, args=arguments)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.name not in ("check_jacobian", "check_hessian")], ids=str)
def test_F7_nothing_grows_over_many_calls_half_of_them_raising(backend, entry, soaking):
    quick, state = gently(entry), {"calls": 0}
    argument = object()

    def f(x, *args):
        state["calls"] += 1
        if state["calls"] == state["fail"]:
            raise Planned
        return quick(x)

    call = running(entry, f, (argument,))

    def work(times):
        for i in range(times):
            state["calls"], state["fail"] = 0, (i // 2) % 9 + 1 if i % 2 else 0
            with contextlib.suppress(Planned):
                call()

    rounds = OFTEN.get(entry.name, 0) if backend == "kernels" else 0
    rounds = (rounds or SELDOM[backend]) * (20 if soaking else 1)
    watched = (f, SMALL, argument, quick)
    with without_collector():
        # first the interpreter's lists of free tuples fill up: SciPy's arrays take some that they do not give back
        work(4_000 if not entry.dense else 2_000 if rounds > 2_000 or entry.judges else 400)
        blocks, references = sys.getallocatedblocks(), [sys.getrefcount(thing) for thing in watched]
        work(rounds)
        grown = sys.getallocatedblocks() - blocks
        assert [sys.getrefcount(thing) for thing in watched] == references
    # what leaks does so in every eighteenth call at least: in that call of f alone, raising or not
    assert grown <= max(20, rounds // 50), f"{grown} blocks over {rounds} calls"


@contextlib.contextmanager
def without_collector():
    """No collection inside: reference cycles show as growth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Passing:
    """A new f for every call; it fails in its second call when told to."""

    def __init__(self, f, fails):
        self.f, self.fails, self.calls = f, fails, 0

    def __call__(self, x):
        self.calls += 1
        return None if self.fails and self.calls == 2 else self.f(x)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_F7_making_and_dropping_leaves_nothing(backend, entry):
    """Functions, x and results of their own in every round; no cycles either."""
    def work(times):
        for i in range(times):
            attempt(entry.call, Passing(gently(entry), i % 2), SMALL.copy())

    with without_collector():
        work(200)
        for _ in range(8):      # what leaks, leaks in all of them; the interpreter's lists of 2000 free tuples fill up
            blocks = sys.getallocatedblocks()
            work(400)
            grown = sys.getallocatedblocks() - blocks
            if grown <= 20:
                break
    assert grown <= 20, f"{grown} blocks over 400 rounds"


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_F7_re_entrance_does_not_pile_up_workspaces(backend, prepare):
    f = gently(entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0])

    def nested(x):
        if not busy:
            busy.append(1)
            prepared(SMALL)
            prepared(SMALL)
            busy.pop()
        return f(x)

    busy = []
    prepared = prepare(nested, SMALL)
    with without_collector():
        for _ in range(100):
            prepared(SMALL)
        blocks = sys.getallocatedblocks()
        for _ in range(300):
            prepared(SMALL)
        assert sys.getallocatedblocks() - blocks <= 20


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc to count files in")
def test_F7_threads_and_files_are_as_many_as_before(backend):
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for entry in ENTRIES:
        for _ in range(20):
            right(entry)
            attempt(entry.call, on_call(1, entry.f, lambda x, result: None), X)
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


@pytest.mark.soak
def test_F7_resident_memory_is_flat_over_a_million_calls():
    psutil = pytest.importorskip("psutil")
    process = psutil.Process()
    gradient, x = sd.Gradient(lambda x: x[0] * x[1], SMALL), SMALL.copy()

    def work(times):
        for i in range(times):
            attempt(gradient, x if i % 2 else None)

    work(50_000)
    before = process.memory_info().rss
    work(1_000_000)
    assert process.memory_info().rss - before < 2**20


def together(threads, work):
    """Run work(i) in so many threads at once, each with the backend in force; what they gave."""
    start, found = threading.Barrier(threads), [None] * threads

    def run(i):
        start.wait(10)
        found[i] = attempt(work, i)

    workers = [threading.Thread(target=contextvars.copy_context().run, args=(run, i)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    errors = [error for _, error in found if error is not None]
    if errors:
        raise errors[0]
    return [result for result, _ in found]


def handing_over(f):
    """F, which lets other threads run in the middle of every evaluation, and sees its x change if they share it."""
    def slow(x, *args):
        before = np.array(x)
        time.sleep(0)
        result = f(x, *args)
        assert np.array_equal(before, x)
        return result
    return slow


@pytest.fixture
def frequent_switches():
    """Threads take turns every ten microseconds."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_G5_one_f_in_eight_threads_gives_the_bits_of_one(backend, entry, frequent_switches):
    f = handing_over(entry.f)
    points = [X + i for i in range(8)]
    expected = [right(entry, x) for x in points]
    for found in together(8, lambda i: [bits(entry.call(f, points[i])) for _ in range(5)]):
        assert found[0] in expected
    assert together(8, lambda i: [bits(entry.call(f, points[i])) for _ in range(5)]) == [[e] * 5 for e in expected]


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_G6_one_prepared_object_in_eight_threads_gives_the_bits_of_one(backend, prepare, frequent_switches):
    f = bowl if prepare is sd.Gradient else curves
    prepared = prepare(handing_over(f), X)
    points = [X + i for i in range(8)]
    expected = [[bits(prepare(f, X)(x))] * 20 for x in points]
    assert together(8, lambda i: [bits(prepared(points[i])) for _ in range(20)]) == expected


def test_G6_values_and_gradients_from_eight_threads(backend, frequent_switches):
    gradient = sd.Gradient(handing_over(bowl), X, method="forward")
    points = [X + i for i in range(8)]
    expected = [[bits(sd.Gradient(bowl, X, method="forward").value_and_gradient(x))] * 20 for x in points]
    assert together(8, lambda i: [bits(gradient.value_and_gradient(points[i])) for _ in range(20)]) == expected


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_G6_threads_whose_f_raises_or_misbehaves_disturb_no_other(backend, prepare, frequent_switches):
    f, me = bowl if prepare is sd.Gradient else curves, threading.local()
    expected = bits(prepare(f, X)(X))

    def mixed(x):
        result = f(x)
        me.calls = getattr(me, "calls", 0) + 1
        if me.number % 4 == 1 and me.calls % 5 == 0:
            raise Planned
        if me.number % 4 == 2:
            x.fill(np.nan)
        elif me.number % 4 == 3:
            me.kept = x
        time.sleep(0)
        return result

    prepared = prepare(mixed, X)

    def work(i):
        me.number = i
        return [attempt(prepared, X) for _ in range(20)]

    for i, outcomes in enumerate(together(8, work)):
        for result, error in outcomes:
            assert (i % 4 == 1 and isinstance(error, Planned)) or bits(result) == expected


# Ctrl-C

# Now and then an exception comes where Python has to drop it, in a finalizer: who presses Ctrl-C then presses it again.
MARKSMAN = """
import os, select, sys, time

words = []

def word(patience=None):
    while not words:
        if not select.select([0], [], [], patience)[0]:
            return None
        words.extend(os.read(0, 4096).split() or [b"end"])
    return words.pop(0)

while (order := word()) != b"end":
    time.sleep(float(order))
    print(time.monotonic(), flush=True)
    os.kill({pid}, {number})
    while word(4.0) is None:
        os.kill({pid}, {number})
"""


class Shooter:
    """Another process that sends this one SIGINT after a while; a thread would have to wait for the GIL."""

    def __init__(self):
        program = MARKSMAN.format(pid=os.getpid(), number=int(signal.SIGINT))
        self.process = subprocess.Popen([sys.executable, "-S", "-c", program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.latency(0.01, lambda: None)    # it has started when this is over

    def latency(self, delay, call):
        """Seconds from Ctrl-C to its exception out of calls that take a few hundred milliseconds each."""
        try:
            print(delay, file=self.process.stdin, flush=True)
            while True:
                call()
        except KeyboardInterrupt:
            now = time.monotonic()
            print("hit", file=self.process.stdin, flush=True)
            return now - float(self.process.stdout.readline())

    def close(self):
        self.process.communicate()


@pytest.fixture(scope="module")
def shooter():
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        pytest.skip("one process cannot interrupt another here")
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    shooter = Shooter()
    yield shooter
    shooter.close()
    signal.signal(signal.SIGINT, handler)


LONG = 40_000
ONES = np.ones(LONG)
# Functions that no Python code runs in: nothing but our loop can look for signals. One takes some ten microseconds.
BUILTIN = {
    "method of an array": ONES.dot,
    "partial": functools.partial(np.dot, ONES),
    "methodcaller": operator.methodcaller("dot", ONES),
}
OF_A_NUMBER = functools.partial(sum, (0.0,) * 100)
PYTHON = {"lambda": lambda x: ONES.dot(x), "method": type("Bearer", (), {"f": lambda self, x: ONES.dot(x)})().f}
DELAYS = (0.0, 0.01, 0.05, 0.1, 0.17)


def answered(waits):
    """Within 50 ms, once at least: the machine may have had other things to do; a loop that does not look never is."""
    return min(waits) < 0.05 and max(waits) < 5.0


# A tracer written in Python that a KeyboardInterrupt hits while it holds its lock waits for it for ever.
# One that comes in a finalizer is dropped there by Python, with a word about it, and shot again.
def untraced(test):
    dropped = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
    return pytest.mark.interrupted(pytest.mark.no_cover(dropped(test)))


@untraced
@pytest.mark.parametrize("name", [*BUILTIN, *PYTHON])
def test_G1_ctrl_c_is_answered_within_50_ms_of_one_long_call(backend, name, shooter):
    f, x = (BUILTIN | PYTHON)[name], np.zeros(LONG)
    waits = [shooter.latency(delay, lambda: sd.gradient(f, x)) for delay in DELAYS]
    assert answered(waits), waits


@untraced
@pytest.mark.parametrize("call", ["Gradient", "jacobian", "derivative", "forward", "full output"])
def test_G1_ctrl_c_is_answered_by_every_loop(backend, call, shooter):
    f, x = ONES.dot, np.zeros(LONG)
    if call == "Gradient":
        prepared = sd.Gradient(f, x)
        run = functools.partial(prepared, x)
    else:
        run = {
            "jacobian": lambda: sd.jacobian(f, x),
            "derivative": lambda: sd.derivative(OF_A_NUMBER, x),
            "forward": lambda: sd.gradient(f, x, method="forward"),
            "full output": lambda: sd.gradient(f, x, full_output=True),
        }[call]
    waits = [shooter.latency(delay, run) for delay in DELAYS[1:]]
    assert answered(waits), waits


@untraced
@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_G1_a_prepared_object_works_after_ctrl_c(backend, prepare, shooter):
    ones, x = np.ones(5000), np.zeros(5000)
    prepared, out = prepare(ones.dot, x), np.full((1, x.size) if prepare is sd.Jacobian else x.size, 7.0)
    for delay in (0.0, 0.005, 0.01, 0.02):
        shooter.latency(delay, lambda: prepared(x, out))
        assert (out == 7.0).all() or np.allclose(out, 1.0)
    assert np.allclose(prepared(x), 1.0)


@untraced
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_G2_ctrl_c_while_f_runs_comes_out_of_every_entry_point(backend, entry, shooter):
    def interrupted(x, result):
        signal.raise_signal(signal.SIGINT)
        return result

    for k in (1, 2):
        _, error = attempt(entry.call, on_call(k, entry.f, interrupted), X)
        assert isinstance(error, KeyboardInterrupt) or (k == 2 and entry.kind.batch)
    assert right(entry) == right(entry)


@untraced
@pytest.mark.parametrize("entry", entries(one_point=True), ids=str)
def test_G2_ctrl_c_during_a_slow_f_waits_for_nothing_else(backend, entry, shooter):
    def slow(x, result):
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass
        return result

    waits = [shooter.latency(0.01, lambda: entry.call(on_call(None, entry.f, slow), X)) for _ in range(2)]
    assert min(waits) < 0.07, waits


def test_G4_no_signal_handler_is_installed():
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    for name in ("kernels", "reference"):
        with sd.backend(name):
            for entry in ENTRIES:
                right(entry)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


@pytest.mark.soak
@untraced
def test_G1_ctrl_c_at_two_thousand_random_moments(shooter):
    rng, x, waits = np.random.default_rng(3), np.zeros(LONG), []
    for _ in range(2000):
        waits.append(shooter.latency(rng.uniform(0, 0.3), lambda: sd.gradient(ONES.dot, x)))
    assert np.quantile(waits, 0.99) < 0.05
