"""Processes of our own, and what befalls them: forks, Ctrl-C, the end of the interpreter, threads that hold locks.

Here because a pool that outlives its program, or hangs it, costs more than it ever saved.
It tests rows G2 and G3 (Ctrl-C), G9 and G10 (fork), G11 (f raises in a worker) and G12 (the end) of the catalogue.
"""

import os
import pathlib
import subprocess
import sys
import time

import pytest
import sent

import steepest as sd

from .contract import X, bits, message_of

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
METHODS = ["fork", "spawn", "forkserver"]

HEAD = """
import concurrent.futures, multiprocessing, os, signal, sys, threading, time, traceback, warnings
import numpy as np, sent, steepest as sd
warnings.simplefilter("ignore", DeprecationWarning)
X = np.array([0.5, -1.25, 2.0])
RIGHT = sd.gradient(sent.bowl, X).tobytes()

def in_a_child(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(60)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid

def join(pids):
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0

def gone(pids, seconds=20):
    import psutil
    end = time.monotonic() + seconds
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
        assert time.monotonic() < end, "processes are left"
        time.sleep(0.01)
"""


def run(tmp_path, program, *arguments, timeout=120, status=0, before=HEAD):
    """Run a script, which may start processes by any method, and require that it ends well; what it wrote."""
    script = tmp_path / "script.py"
    script.write_text(before + program, encoding="utf-8")
    path = os.pathsep.join([str(pathlib.Path(sent.__file__).parent), *filter(None, sys.path)])
    process = subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path},
                               start_new_session=True)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        raise
    assert process.returncode == status, f"exit status {process.returncode}: {err[:3000]} ... {err[-1500:]}"
    return out, err


FORKS = """
def main():
    prepared = sd.Gradient(sent.bowl, X, workers=2)
    threads = concurrent.futures.ThreadPoolExecutor(2)
    with multiprocessing.Pool(1) as pool:
        def work():
            assert prepared(X).tobytes() == RIGHT                               # a pool of its own
            assert sd.gradient(sent.bowl, X, workers=2).tobytes() == RIGHT
            assert sd.gradient(sent.bowl, X).tobytes() == RIGHT
            prepared.close()

        join([in_a_child(work)])        # before there is any pool
        assert prepared(X).tobytes() == RIGHT
        assert sd.gradient(sent.bowl, X, workers=threads).tobytes() == RIGHT
        for _ in range(20):
            child = in_a_child(work)
            assert prepared(X).tobytes() == RIGHT       # at the same time as the child
            join([child])
        children = [in_a_child(work) for _ in range(5)]
        assert sd.gradient(sent.bowl, X, workers=pool.map).tobytes() == RIGHT
        join(children)
        assert prepared(X).tobytes() == RIGHT
        prepared.close()

if __name__ == "__main__":
    main()
    print("done")
"""


def test_G9_gradients_before_and_after_fork_with_pools_alive_in_the_parent(tmp_path):
    assert run(tmp_path, FORKS)[0] == "done\n"


STARTED = """
def work(prepared):
    assert prepared(X).tobytes() == RIGHT
    assert sd.gradient(sent.bowl, X, workers=2).tobytes() == RIGHT

def main():
    multiprocessing.set_start_method(sys.argv[1])
    times = int(sys.argv[2])
    with sd.Gradient(sent.bowl, X, workers=2) as prepared:
        assert prepared(X).tobytes() == RIGHT
        for first in range(0, times, 4):
            children = [multiprocessing.Process(target=work, args=(prepared,)) for _ in range(min(4, times - first))]
            for child in children:
                child.start()
            assert prepared(X).tobytes() == RIGHT
            for child in children:
                child.join()
                assert child.exitcode == 0
        assert prepared(X).tobytes() == RIGHT

if __name__ == "__main__":
    main()
    print("done")
"""


@pytest.mark.parametrize(("method", "times"), [("fork", 20), ("spawn", 2), ("forkserver", 2)])
def test_G9_children_of_every_kind_have_gradients_too(tmp_path, method, times):
    """Spawned ones need half a second each, and their workers as much again: twenty of them are taken with --soak."""
    assert run(tmp_path, STARTED, method, str(times))[0] == "done\n"


@pytest.mark.soak
@pytest.mark.parametrize("method", METHODS)
def test_G9_twenty_children_of_every_kind_have_gradients_too(tmp_path, method):
    assert run(tmp_path, STARTED, method, "20", timeout=1000)[0] == "done\n"


BUSY = """
def main():
    prepared = sd.Gradient(sent.bowl, X, workers=2)
    stop = threading.Event()
    wrong = []

    def hammer():
        while not stop.is_set():
            if prepared(X).tobytes() != RIGHT or STARTING and sd.gradient(sent.bowl, X, workers=2).tobytes() != RIGHT:
                wrong.append(1)

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()

    def work():
        assert prepared(X).tobytes() == RIGHT
        prepared.close()

    for _ in range(20):
        time.sleep(0.01)
        join([in_a_child(work)])
    stop.set()
    for thread in threads:
        thread.join()
    prepared.close()
    assert not wrong

if __name__ == "__main__":
    main()
    print("done")
"""


HELD = """
from steepest import processes, threads

def main():
    prepared = sd.Gradient(sent.bowl, X, workers=2)
    assert prepared(X).tobytes() == RIGHT

    def work():
        assert prepared(X).tobytes() == RIGHT
        done = []
        threads.share(lambda i, a, b: time.sleep(0.001) or done.append(a) or 0, 0, 20, np.zeros(2, np.intc))
        assert done and len(threads._helpers) == 1

    with processes._starting, threads._lock:
        pids = [in_a_child(work) for _ in range(4)]
    join(pids)
    assert prepared(X).tobytes() == RIGHT
    prepared.close()

if __name__ == "__main__":
    main()
    print("done")
"""


def test_G10_a_child_forked_while_our_locks_are_held_has_locks_of_its_own(tmp_path):
    assert run(tmp_path, HELD)[0] == "done\n"


def test_G10_a_fork_while_other_threads_use_pools(tmp_path):
    assert run(tmp_path, "STARTING = False\n" + BUSY)[0] == "done\n"


def test_G10_a_fork_while_other_threads_start_and_use_pools(tmp_path):
    assert run(tmp_path, "STARTING = True\n" + BUSY)[0] == "done\n"


INHERITED = """
def main():
    with concurrent.futures.ThreadPoolExecutor(1) as threads, concurrent.futures.ProcessPoolExecutor(1) as processes, \\
            multiprocessing.Pool(1) as pool:
        for workers in (threads, processes, threads.map, pool.map, lambda f, tasks: pool.map(f, tasks)):
            prepared = sd.Gradient(sent.bowl, X, workers=workers)
            assert prepared(X).tobytes() == RIGHT

            def work():
                for call in (lambda: prepared(X), lambda: sd.gradient(sent.bowl, X, workers=workers)):
                    try:
                        call()
                    except RuntimeError as error:
                        assert f"workers belong to process {parent}, from which this process" in str(error), error
                    else:
                        raise AssertionError("not refused")
                assert sd.gradient(sent.bowl, X, workers=map).tobytes() == RIGHT
                with concurrent.futures.ThreadPoolExecutor(1) as own:
                    assert sd.gradient(sent.bowl, X, workers=own).tobytes() == RIGHT

            parent = os.getpid()
            assert sd.gradient(sent.bowl, X, workers=map).tobytes() == RIGHT
            join([in_a_child(work)])

if __name__ == "__main__":
    main()
    print("done")
"""


def test_G9_an_executor_of_the_parent_is_refused_in_a_forked_child(tmp_path):
    assert run(tmp_path, INHERITED)[0] == "done\n"


@pytest.mark.parametrize("method", METHODS)
def test_G9_every_start_method_serves_a_script(tmp_path, method):
    program = """
class Mine(Exception):
    pass

def here(x, factor=1.0):
    if x[0] > 100:
        raise Mine("far", factor)
    return factor * sent.bowl(x)

def main():
    multiprocessing.set_start_method(sys.argv[1])
    with sd.Gradient(here, X, workers=2, kwargs={"factor": 1.0}) as prepared:
        for _ in range(2):
            assert prepared(X).tobytes() == RIGHT
        try:
            prepared(X + 200)
        except Mine as error:
            assert error.args == ("far", 1.0) and "evaluation 1 of f" in error.__notes__[0]
        assert prepared(X).tobytes() == RIGHT
        pids = [process.pid for process in multiprocessing.active_children()]
        assert len(pids) == 2
    assert not multiprocessing.active_children()
    gone(pids)

if __name__ == "__main__":
    main()
    print("done")
"""
    assert run(tmp_path, program, method)[0] == "done\n"


def test_G9_a_script_without_a_guard_is_told_what_it_lacks(tmp_path):
    program = """
multiprocessing.set_start_method("spawn", force=True)
sd.gradient(sent.bowl, X, workers=2)
"""
    _, err = run(tmp_path, program, status=1)
    last = err[err.index("RuntimeError: a worker ended"):]
    assert "under if __name__ == '__main__'" in last


def test_G9_a_daemonic_process_is_told_that_it_may_not_start_any(tmp_path):
    program = """
def work(_):
    try:
        sd.gradient(sent.bowl, X, workers=2)
    except RuntimeError as error:
        return str(error)

if __name__ == "__main__":
    with multiprocessing.Pool(1) as pool:
        print(pool.map(work, [1])[0])
"""
    out, _ = run(tmp_path, program)
    assert "workers=2: no processes could be started here: daemonic processes are not allowed to have children" in out


INTERRUPTED = """
import psutil

class Slow:
    def __init__(self, seconds):
        self.seconds = seconds
    def __call__(self, x):
        if x[0] < 100:
            time.sleep(self.seconds)
        return sent.bowl(x)

def interrupt_soon(group, times=1):
    def shoot():
        time.sleep(0.5)
        for _ in range(times):
            os.killpg(os.getpgrp(), signal.SIGINT) if group else os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.0001)
        over.set()
    over = threading.Event()
    threading.Thread(target=shoot).start()
    return over

def outlive(over, call):
    # Ctrl-C may come as often, and as late, as it likes
    calls = [call]
    while not over.is_set() or calls:
        try:
            while calls:
                calls.pop()()
            time.sleep(0.01)
        except KeyboardInterrupt:
            pass
    time.sleep(0.01)

def children():
    trackers = ("resource_tracker", "forkserver")
    found = []
    for child in psutil.Process().children(recursive=True):
        if child.status() != "zombie" and not any(name in " ".join(child.cmdline()) for name in trackers):
            found.append(child.pid)
    return found

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    multiprocessing.set_start_method(sys.argv[1])
    far = X + 200
    expected = sd.gradient(sent.bowl, far).tobytes()
    with sd.Gradient(Slow(60), X, workers=2) as prepared:
        assert prepared(far).tobytes() == expected
        for group in (False, True):
            interrupt_soon(group)
            begun = time.monotonic()
            try:
                prepared(X)
            except KeyboardInterrupt as error:
                assert "steepest: in evaluation 1 of f" in error.__notes__[0]
                assert time.monotonic() - begun < 20
            else:
                raise AssertionError("not interrupted")
            assert not children(), "processes are left"
            assert prepared(far).tobytes() == expected     # with new processes
        for call in (lambda: prepared(X), lambda: sd.gradient(Slow(60), X, workers=2)):
            outlive(interrupt_soon(True, times=3), call)
            assert not children(), "processes are left"
        assert prepared(far).tobytes() == expected
    assert not children()

if __name__ == "__main__":
    main()
    print("done")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_G2_ctrl_c_ends_processes_and_the_object_works_again(tmp_path, method):
    assert run(tmp_path, INTERRUPTED, method)[0] == "done\n"


THREADS = """
def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    calls = []

    def f(x):
        calls.append(1)
        time.sleep(0.02)
        return x @ x

    def shoot():
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for workers in (threads, threads.map, map):
            threading.Thread(target=shoot).start()
            begun = time.monotonic()
            try:
                sd.gradient(f, np.ones(5000), workers=workers)
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError("not interrupted")
            assert time.monotonic() - begun < 20
            made = len(calls)
            time.sleep(0.1)
            assert len(calls) == made, "f is still being called"
            assert sd.gradient(sent.bowl, X, workers=workers).tobytes() == RIGHT

if __name__ == "__main__":
    main()
    print("done")
"""


def test_G3_ctrl_c_leaves_no_thread_at_work(tmp_path):
    assert run(tmp_path, THREADS)[0] == "done\n"


@pytest.mark.parametrize("k", [0, 2, 5])
def test_G11_the_first_exception_in_index_order_is_raised(k):
    seen = []
    sd.gradient(lambda x: seen.append(x.copy()) or sent.bowl(x), X)
    f = sent.At(sent.bowl, seen[k:], sent.Raise(sent.Planned("late")))
    f = sent.At(f, [seen[k]], sent.Raise(sent.Planned("first"), 0.1))
    with sd.Gradient(f, X, workers=2) as g:
        for _ in range(2):
            with pytest.raises(sent.Planned, match="first") as caught:
                g(X)
            assert f"in evaluation {k + 1} of f" in message_of(caught.value)
        assert bits(g(X + 1)) == bits(sd.gradient(sent.bowl, X + 1))


KILLED = """
def main():
    multiprocessing.set_start_method(sys.argv[1])
    prepared = sd.Gradient(sent.bowl if sys.argv[2] == "idle" else sent.Delayed(60), X, workers=2)
    if sys.argv[2] == "idle":
        prepared(X)

    def killed():
        time.sleep(0.3)
        pids = [process.pid for process in multiprocessing.active_children()]
        print(*pids, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Timer(0.3, killed).start()
    prepared(X) if sys.argv[2] == "busy" else time.sleep(60)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(("method", "work"), [("fork", "idle"), ("fork", "busy"), ("spawn", "idle")])
def test_G12_a_program_that_is_killed_leaves_no_process(tmp_path, method, work):
    out, _ = run(tmp_path, KILLED, method, work, status=-9)     # which waits for all who could still write
    pids = list(map(int, out.split()))
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids)


ENDS = {
    "at the end": """
if __name__ == "__main__":
    g = sd.Gradient(sent.bowl, X, workers=2)
    g(X)
    print(*[process.pid for process in multiprocessing.active_children()])
""",
    "in a daemon thread": """
if __name__ == "__main__":
    g = sd.Gradient(sent.Delayed(0.3), X, workers=2)
    threading.Thread(target=lambda: g(X), daemon=True).start()
    time.sleep(0.2)
    print(*[process.pid for process in multiprocessing.active_children()])
""",
    "by an exception": """
if __name__ == "__main__":
    g = sd.Gradient(sent.At(sent.Delayed(60), [X], sent.Raise(SystemExit(0))), X, method="forward", workers=2)
    threading.Timer(0.5, lambda: print(*[p.pid for p in multiprocessing.active_children()])).start()
    time.sleep(1)
    g(X)
""",
    "in a cycle": """
if __name__ == "__main__":
    cycle = [sd.Gradient(sent.bowl, X, workers=2)]
    cycle.append(cycle)
    cycle[0](X)
    print(*[process.pid for process in multiprocessing.active_children()])
    del cycle
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_G12_the_interpreter_ends_with_pools_alive(tmp_path, end):
    begun = time.monotonic()
    out, err = run(tmp_path, ENDS[end])
    assert err == "" and time.monotonic() - begun < 40
    for pid in map(int, out.split()):
        assert not pathlib.Path(f"/proc/{pid}").exists() or "Z" in pathlib.Path(f"/proc/{pid}/stat").read_text()
