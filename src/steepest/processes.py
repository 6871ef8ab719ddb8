"""A crew of our own: a pool of processes that is started when it is first needed.

Here because pools must survive what befalls them: Ctrl-C, a process that is killed, a fork, the end of the object that
holds them. Tested in tests/test_workers.py and tests/faults/test_processes.py.
"""

import contextlib
import ctypes
import importlib
import os
import sys
import threading
import time
import weakref
from typing import Any

from .blocks import Delivered, evaluate_block, start_process
from .crews import Executor

# Seconds that processes of our own have to finish what nobody wants any more; then they are ended.
GRACE = 0.1
# To keep an object for ever; prototypes of ctypes.pythonapi itself are shared, and anybody may change them.
_keep = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", ctypes.pythonapi))
# Seconds after which a process that was told to end, or the thread that looks after them, is not waited for any more.
PATIENCE = 5.0

_starting = threading.Lock()


def _new_lock():
    """A forked child does not wait for a thread that only its parent has."""
    global _starting
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def _import_all():
    """What starting a pool would import: a child forked while another thread does so would wait for that for ever."""
    for name in ("concurrent.futures.process", "multiprocessing.connection", "multiprocessing.queues",
                 "multiprocessing.synchronize", "multiprocessing.popen_fork", "multiprocessing.resource_tracker",
                 "multiprocessing.util"):
        with contextlib.suppress(ImportError):  # nothing is forked on Windows
            importlib.import_module(name)


class Processes(Executor):
    """A crew of our own: a pool of processes, started when it is first needed and kept until it is closed.

    Dropping the last reference closes it, too. A forked child that inherits it starts another.
    """

    identity = None     # no block of ours runs in this process

    def __init__(self, count):
        _import_all()
        self.limit = count
        self.wanted = 2
        self.users = 0
        self.codes: list = []       # how processes ended that nobody had told to
        self._sealed = (None, None)
        self._held: list = []       # the pool, when there is one
        self._finalizer = weakref.finalize(self, _let_go, self._held)
        self._finalizer.atexit = False      # concurrent.futures sees to that

    def count(self):
        """How many processes there may be."""
        return self.limit

    def prepare(self, evaluations):
        """There are no more processes than evaluations at a time."""
        self.wanted = max(self.wanted, evaluations)

    def function(self, f, args, kwargs):
        """Every process gets f when it starts."""
        self.sealed(f, args, kwargs)
        return Delivered()

    def refuse_inherited(self):
        """A forked child starts processes of its own."""

    @contextlib.contextmanager
    def _in_use(self, shared):
        with _starting:
            self.users += 1
        try:
            yield
        finally:
            with _starting:
                self.users -= 1

    def _submit(self, task):
        from concurrent.futures import BrokenExecutor

        try:
            return self._started().submit(evaluate_block, task)
        except BrokenExecutor:
            if task.number:
                raise
        self._pool().stop(True)     # its processes were ended while nobody needed them
        return self._started().submit(evaluate_block, task)

    def _started(self):
        """The executor of this process, started when there is none."""
        with _starting:
            if self._held and self._held[0].home != os.getpid():
                _let_go(self._held)
                self.users = 1
            if not self._held or self._held[0].stopped:
                self._held[:] = [Pool(min(self.limit, self.wanted), self._sealed[1].pickled)]
                self.served = False
            return self._held[0].executor

    def _pool(self):
        """The pool of this process; `NO_POOL` when there is none."""
        with _starting:
            mine = self._held and self._held[0].home == os.getpid()
            return self._held[0] if mine else NO_POOL

    def _manager(self):
        return self._pool().manager

    def _drop(self, futures, shared):
        """Processes that are at work on what nobody wants are ended, unless they work for another thread, too."""
        patient = sys.exc_info()[0] in (None, GeneratorExit)    # and no Ctrl-C
        interrupted = None
        while True:
            try:
                self._end_work_on(futures, patient)
                break
            except KeyboardInterrupt as error:      # one more does not keep us from it
                patient, interrupted = False, error
        if interrupted is not None:
            raise interrupted

    def _end_work_on(self, futures, patient):
        from concurrent.futures import wait

        running = [future for future in futures if not future.done() and not future.cancel()]
        if running and patient and self.users == 1:
            running = list(wait(running, GRACE).not_done)
        pool = self._pool()
        if running and (self.users == 1 or pool.stopped):
            pool.stop(True)

    def explain(self, error, task):
        """The error for workers that failed without f having raised anything; a broken pool is replaced."""
        from concurrent.futures import BrokenExecutor

        if isinstance(error, NotStarted):
            return RuntimeError(*error.args)
        pool = self._pool()
        if isinstance(error, BrokenExecutor) and pool.broken():
            self.codes = pool.codes()
            pool.stop(True)
        return super().explain(error, task)

    def _how_it_ended(self):
        import multiprocessing

        how = f" ({', '.join(map(_ending, self.codes))})" if self.codes else ""
        hint = "it was killed, ran out of memory, crashed in native code, or left by os._exit"
        if not self.served and multiprocessing.get_start_method() != "fork":
            hint += "; a program whose processes are not forked does its work under if __name__ == '__main__'"
        return f"{how}: {hint}"

    def close(self, abruptly=False):
        """End the processes; the next evaluation starts new ones."""
        self._pool().stop(abruptly)


class NotStarted(RuntimeError):
    """No processes could be started."""


class Pool:
    """A ProcessPoolExecutor, and what it takes to end it in every case.

    All its processes are started under one lock: a process that is forked while another pool is being started would
    hold the pipes of that pool open.
    """

    def __init__(self, count, pickled):
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing.util import Finalize

        self.executor = ProcessPoolExecutor(count, initializer=start_process, initargs=(pickled,))
        self.home, self.stopped = os.getpid(), False
        self.manager: Any = None
        self.end: Finalize | None = None
        self.processes = self.executor._processes
        try:
            self.executor.submit(int)
        except BaseException as error:
            self.stop(True)
            if not isinstance(error, Exception):
                raise
            raise NotStarted(f"workers={count}: no processes could be started here: {error}") from error
        self.manager = self.executor._executor_manager_thread   # a thread
        # a process that multiprocessing started waits for its children when it ends, before it ends anything else
        self.end = Finalize(None, self.stop, (True,), exitpriority=100)

    def stop(self, abruptly):
        """End the processes and the thread that looks after them; once more does no harm."""
        self.stopped = True
        self.cancel_end()
        # first of all, for the manager that finds a process gone stumbles over what was cancelled and is not forgotten
        self.executor.shutdown(wait=False, cancel_futures=True)
        if abruptly:
            self._each("terminate")
        if self.manager is not None and self.manager.is_alive():
            self.manager.join(PATIENCE if abruptly else None)   # it waits for the processes
        self._each("terminate")     # were it not for which there would be none left
        self._each("join", PATIENCE)
        self._each("kill")

    def _each(self, do, *arguments):
        for process in list(self.processes.values()):
            with contextlib.suppress(Exception):    # gone already
                getattr(process, do)(*arguments)

    def cancel_end(self):
        """Nothing is left to be done at the end of this process."""
        end, self.end = self.end, None
        if end is not None:
            end.cancel()

    def broken(self):
        """Whether a process has ended that nobody had told to."""
        return not self.stopped and bool(self.executor._broken)

    def codes(self):
        """How processes of a broken pool ended that were not told to end."""
        deadline = time.monotonic() + 1.0
        while True:
            codes = []
            for process in list(self.processes.values()):
                with contextlib.suppress(Exception):
                    codes.append(process.exitcode)
            strange = sorted({code for code in codes if code not in (None, 0, -15)})
            if strange or None not in codes or time.monotonic() > deadline:
                return strange
            time.sleep(0.01)


class _NoPool:
    """In the place of a pool when there is none."""

    manager, stopped = None, True

    def stop(self, abruptly):
        """There is nothing to be ended."""

    def broken(self):
        """Nothing can break."""
        return False


NO_POOL = _NoPool()


def _let_go(held):
    """What happens to a pool that nobody can use any more: at any time, in any thread, in any process."""
    if not held:
        return
    pool = held.pop()
    pool.cancel_end()
    if pool.home != os.getpid():
        # A child forked from the process that it serves. To collect it would take a lock that nobody here gives back.
        _keep(pool.executor)
        return
    import _thread

    # In a thread of its own, for the garbage collector may run where locks of the pool are held.
    with contextlib.suppress(RuntimeError):     # at the end of the interpreter, which ends the pool itself
        _thread.start_new_thread(pool.executor.shutdown, (), {"wait": False, "cancel_futures": True})


def _ending(code):
    """An exit code in words."""
    import signal

    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"signal {-code}, {signal.Signals(-code).name}"
    return f"signal {-code}"
