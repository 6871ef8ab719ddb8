"""Several threads for a compiled f: the bits of one, the errors of one, and no thread left at work.

Here because sharing must be invisible but for the time it saves. It tests threads.py, kernels/_share.pxi and the twin
of that in reference/difference.py.
"""

import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from native_library import Pause, curves, rosenbrock
from test_native import M, described
from twins import same_bits

import steepest as sd
from steepest import threads
from steepest.kernels import native as kernel_native
from steepest.reference import native as reference_native
from steepest.reference.callback import GOOD, HALTED, TAMPERED

X = np.random.default_rng(5).uniform(-1, 1, 40)


@pytest.fixture
def eager(monkeypatch):
    """Threads share everything, however short."""
    monkeypatch.setattr(threads, "PAYS", 0)
    monkeypatch.setattr(threads, "WORTH", 1)


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("options", [
    {}, {"method": "forward"}, {"order": 6}, {"bounds": (X, X + 1)}, {"full_output": True},
    {"method": "backward", "order": 3, "full_output": True},
], ids=["default", "forward", "order 6", "bounds", "full", "backward full"])
def test_any_number_of_threads_gives_the_same_bits(native, backend, eager, workers, options):
    for f, differentiate in ((described(native, "rosenbrock"), sd.gradient),
                             (described(native, "curves", M), sd.jacobian),
                             (described(native, "rosenbrock"), sd.derivative)):
        alone, shared = (differentiate(f, X, workers=k, **options) for k in (None, workers))
        if options.get("full_output"):
            assert shared.nfev == alone.nfev
            assert all(same_bits(getattr(shared, name), getattr(alone, name))
                       for name in ("value", "error", "step", "status"))
        else:
            assert same_bits(shared, alone)


def test_prepared_objects_keep_their_threads(native, eager):
    gradient = sd.Gradient(described(native, "rosenbrock"), X, workers=2)
    jacobian = sd.Jacobian(described(native, "curves", M), X, workers=2)
    for shift in range(5):
        assert same_bits(gradient(X + shift), sd.gradient(rosenbrock, X + shift))
        assert same_bits(jacobian(X + shift), sd.jacobian(lambda x: curves(x, M), X + shift))


def test_all_calls_are_made_and_by_several_threads(native, eager):
    pause = Pause(1000)
    full = sd.gradient(described(native, "slow", data=pause), X, workers=4)
    assert pause.calls == 2 * X.size
    assert same_bits(full, sd.gradient(rosenbrock, X))
    assert any(thread.name.startswith("steepest") for thread in threading.enumerate())


def test_a_function_that_writes_into_x_is_given_copies_in_every_thread(native, backend, eager):
    expected = sd.gradient(rosenbrock, X)
    assert same_bits(sd.gradient(described(native, "writes_into_x"), X, workers=3), expected)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_first_error_in_order_is_raised(native, backend, eager, workers):
    x = np.where(np.arange(40) == 30, np.nextafter(10, 0), 0.5)
    x[0] = 9.0
    with pytest.raises(sd.FunctionError) as alone:
        sd.derivative(described(native, "checked"), x)
    with pytest.raises(sd.FunctionError) as shared:
        sd.derivative(described(native, "checked"), x, workers=workers)
    assert str(shared.value) == str(alone.value)
    assert shared.value.__notes__ == alone.value.__notes__


def test_the_calling_thread_does_it_all_where_that_is_quicker(native):
    before = threading.active_count()
    parts = []

    def part(i, first, last):
        parts.append((i, first, last))
        return GOOD

    assert threads.share(part, 3, 10, np.zeros(4, np.intc)) == GOOD
    assert parts == [(0, 3, 4), (0, 4, 10)]
    assert threading.active_count() == before


def shared(outcomes, count=3, rows=30):
    """Share rows whose part gives, or raises, what `outcomes` has for one of them; the rows that were done, too."""
    halts, done, lock = np.zeros(count, np.intc), [], threading.Lock()

    def part(i, first, last):
        for row in range(first, last):
            if halts[i]:
                return HALTED
            time.sleep(0.0005)
            outcome = outcomes.get(row, GOOD)
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome != GOOD:
                return outcome
            with lock:
                done.append(row)
        return GOOD

    try:
        return threads.share(part, 0, rows, halts), sorted(done)
    except BaseException as error:
        return error, sorted(done)


def test_every_row_is_done_once(eager):
    for count, rows in itertools.product((1, 2, 5), (1, 2, 3, 29)):
        assert shared({}, count, rows) == (GOOD, list(range(rows)))


def test_what_is_known_to_pay_is_shared_without_a_trial():
    done, lock = [], threading.Lock()

    def part(i, first, last):
        time.sleep(0.001)
        with lock:
            done.append((i, first, last))
        return GOOD

    for rows in (2, 3, 40):
        done.clear()
        assert threads.share_at_once(part, 5, 5 + rows, np.zeros(2, np.intc)) == GOOD
        assert sorted(row for _, first, last in done for row in range(first, last)) == list(range(5, 5 + rows))
        assert rows < 40 or {i for i, _, _ in done} == {0, 1}
    for rows, team in ((1, 2), (9, 1)):
        done.clear()
        assert threads.share_at_once(part, 0, rows, np.zeros(team, np.intc)) == GOOD
        assert done == [(0, 0, rows)]


def test_what_comes_before_the_first_failure_is_finished(eager):
    late, early = ValueError("late"), ValueError("early")
    for outcomes, expected in (({20: late, 9: early}, early), ({20: late}, late), ({20: TAMPERED, 25: late}, TAMPERED)):
        for _ in range(5):
            outcome, done = shared(outcomes)
            assert outcome is expected
            assert set(range(min(outcomes))) <= set(done)
            assert min(outcomes) not in done


def test_a_pool_that_is_busy_blocks_nobody(native, eager):
    release, begun = threading.Event(), threading.Semaphore(0)

    def block(i, first, last):
        if last - first < 2 and first:      # all but the row that is timed
            begun.release()
            release.wait(60)
        return GOOD

    count = max(1, len(threads._helpers))
    blocker = threading.Thread(target=threads.share, args=(block, 0, 2 + count, np.zeros(1 + count, np.intc)))
    blocker.start()
    try:
        for _ in range(1 + count):
            assert begun.acquire(timeout=30)
        assert not threads._idle
        assert same_bits(sd.gradient(described(native, "rosenbrock"), X, workers=2), sd.gradient(rosenbrock, X))
    finally:
        release.set()
        blocker.join(60)
    assert len(threads._idle) == len(threads._helpers) == count


def test_a_helper_that_nobody_waits_for_any_more_is_idle_again(eager, monkeypatch):
    monkeypatch.setattr(threads, "_helpers", [])
    monkeypatch.setattr(threads, "_idle", type(threads._idle)())
    done = []
    with monkeypatch.context() as asleep:
        asleep.setattr(threading.Thread, "start", lambda self: None)
        assert threads.share(lambda i, a, b: done.append((a, b)) or GOOD, 0, 50, np.zeros(2, np.intc)) == GOOD
    assert [a for a, _ in done] == [0, *(b for _, b in done[:-1])]
    assert done[-1][1] == 50
    [helper] = threads._helpers
    late = threading.Thread(target=helper.run, daemon=True)
    late.start()
    while not threads._idle:
        time.sleep(0.001)
    helper.ending = True
    helper.wake.release()
    late.join(30)
    assert not late.is_alive()


@pytest.mark.parametrize("floor", [kernel_native, reference_native])
def test_lingering_ends_when_the_flag_is_set_or_patience_does(floor):
    flags = np.zeros(3, np.intc)
    assert not floor.linger(flags, 1, 5)
    flags[1] = 1
    assert floor.linger(flags, 1, 0)
    flags[1] = 0
    setter = threading.Timer(0.05, flags.__setitem__, (1, 1))
    setter.start()
    assert floor.linger(flags, 1, 2**62)
    assert floor.linger(flags, 1, 2**62, 5)
    for wrong in (np.zeros(3), np.zeros(6, np.intc)[::2]):
        with pytest.raises(ValueError, match="flags must be"):
            floor.linger(wrong, 1, 1)
    for i in (-1, 3):
        with pytest.raises(ValueError, match="with an entry i"):
            floor.linger(flags, i, 1)


def test_threads_may_ask_for_threads(native, eager):
    f = described(native, "rosenbrock")
    expected = sd.gradient(rosenbrock, X)
    found = []
    askers = [threading.Thread(target=lambda: found.append(sd.gradient(f, X, workers=2))) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    assert len(found) == 8
    assert all(same_bits(gradient, expected) for gradient in found)


def test_the_user_bounds_the_number_of_threads():
    assert sd.set_num_threads(3) is None
    assert sd.set_num_threads(None) == 3
    assert threads.team_size(7) == 7
    sd.set_num_threads(2)
    try:
        assert (threads.team_size(7), threads.team_size(1)) == (2, 1)
        for wrong, error in ((0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError), ("2", TypeError)):
            with pytest.raises(error, match="k must be"):
                sd.set_num_threads(wrong)
        assert threads.team_size(7) == 2
    finally:
        sd.set_num_threads(None)


@pytest.mark.parametrize(("text", "printed"), [("3", "3"), ("", "None"), ("none", "STEEPEST_NUM_THREADS must be"),
                                               ("0", "STEEPEST_NUM_THREADS must be")])
def test_the_environment_bounds_the_number_of_threads(text, printed):
    program = "import steepest as sd; print(sd.set_num_threads(1))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
                         env=os.environ | {"STEEPEST_NUM_THREADS": text})
    assert printed in (run.stdout if run.returncode == 0 else run.stderr)
