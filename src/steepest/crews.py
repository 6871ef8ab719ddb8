"""The crews that callers bring along: any executor with a `submit`, or whatever maps a function over a list.

Here because they come from many libraries and have little in common; processes of our own are in processes.py, and
what is sent to all of them in blocks.py. Tested in tests/test_workers.py and tests/test_cluster.py.
"""

import contextlib
import os
import pickle
import queue
import sys
import threading
import types
import weakref

from .blocks import Function, Outcome, Sealed, evaluate_block, working_for

# Blocks for each worker: more would cost more messages, fewer leave workers idle when evaluations differ in length.
BLOCKS = 4
# Seconds after which one looks whether those who are waited for are still there.
WATCH = 1.0

# The process in which an executor was first seen: in a forked child it has neither threads nor connections.
_seen_in: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class Executor:
    """A crew that belongs to the caller: anything with the `submit` of concurrent.futures."""

    served = False      # whether it ever did anything

    def __init__(self, executor):
        self.pool = executor
        self.owner = self._owner()
        self.identity: int | None = id(self.owner)
        self._sealed: tuple = (None, None)
        self.base = getattr(self.owner, "_client", self.owner)  # of Dask's executors, which clients make anew each time
        with contextlib.suppress(TypeError):    # no weak references, no memory
            _seen_in.setdefault(self.base, os.getpid())

    def _owner(self):
        return self.pool

    def function(self, f, args, kwargs):
        """f and what it takes after x, in the form in which they are sent."""
        pickler = self._pickler()
        return Function(f, args, kwargs) if pickler is None else self.sealed(f, args, kwargs, pickler)

    def _pickler(self):
        """What pickles tasks, where that is known."""
        module = sys.modules.get("concurrent.futures.process")
        if module is not None and isinstance(self.pool, module.ProcessPoolExecutor):
            return pickle
        module = sys.modules.get("distributed.cfexecutor")
        if module is not None and isinstance(self.pool, module.ClientExecutor):
            return sys.modules["cloudpickle"]
        return None

    def sealed(self, f, args, kwargs, pickler=pickle):
        """f and what it takes after x as bytes, made once."""
        made_of, sealed = self._sealed
        if made_of is None or any(old is not new for old, new in zip(made_of, (f, args, kwargs), strict=True)):
            try:
                sealed = Sealed(pickler.dumps((f, args, kwargs), protocol=pickle.HIGHEST_PROTOCOL))
            except Exception as error:
                raise not_pickled(f, error) from error
            self._sealed = (f, args, kwargs), sealed
        return sealed

    def count(self):
        """How many workers there are."""
        self.refuse_inherited()     # a cluster is asked, and in a forked child nobody answers
        return count_of(self.owner) or cores()

    def blocks(self, count):
        """In how many blocks so many evaluations are sent."""
        return min(count, BLOCKS * self.count())

    def prepare(self, evaluations):
        """Learn how many evaluations there may be at a time."""

    def refuse_inherited(self):
        """A pool of the parent's is not served in a forked child: whoever waits for it waits for ever."""
        home = os.getpid()
        with contextlib.suppress(TypeError):
            home = _seen_in.get(self.base, home)
        if home != os.getpid():
            raise RuntimeError(
                f"workers belong to process {home}, from which this process, {os.getpid()}, was forked: "
                "make workers here, and differentiate with them"
            )

    def outcomes(self, tasks, shared):
        """``(number, Outcome or error)`` of each task as they come; closing it drops what is not done."""
        if self.identity is not None and working_for(self.identity):
            for task in tasks:      # f runs in this very pool: waiting for it may be waiting for ourselves
                yield task.number, evaluate_block(task)
            return
        self.refuse_inherited()
        with self._in_use(shared), _stepping_aside():
            yield from self._submitted(tasks, shared)

    def _submitted(self, tasks, shared):
        ended: queue.SimpleQueue = queue.SimpleQueue()
        futures, refused, again = [], None, set()
        try:
            for task in tasks:
                try:
                    future = self._submit(task)
                except Exception as error:
                    refused = task.number, error
                    break
                futures.append(future)
                future.add_done_callback(lambda future, number=task.number: ended.put(number))
            waiting = set(range(len(futures)))
            while waiting:
                try:
                    number = ended.get(timeout=WATCH)
                except queue.Empty:
                    if self._abandoned() and ended.empty():
                        refused = min(waiting), broken()
                        break
                    continue
                outcome = _result_of(futures[number])
                if _confused(outcome) and number not in again:
                    again.add(number)
                    futures[number] = self._submit(tasks[number])
                    futures[number].add_done_callback(lambda future, number=number: ended.put(number))
                    continue
                waiting.remove(number)
                self.served = self.served or isinstance(outcome, Outcome)
                yield number, outcome
            if refused is not None:
                yield refused
        finally:
            shared.limit = -1
            self._drop(futures, shared)

    def _submit(self, task):
        return self.pool.submit(evaluate_block, task)

    def _manager(self):
        """The thread that looks after the processes of a pool, where there is one."""
        return getattr(self.pool, "_executor_manager_thread", None)

    def _abandoned(self):
        """Whether nobody will ever give the outcomes that are missing."""
        manager = self._manager()
        return isinstance(manager, threading.Thread) and not manager.is_alive()

    @contextlib.contextmanager
    def _in_use(self, shared):
        yield

    def _drop(self, futures, shared):
        """Cancel what is not done, and wait for threads that are at work: f may share its world with us."""
        running = [future for future in futures if not future.done() and not future.cancel()]
        if running and shared.met:
            from concurrent.futures import wait

            wait(running)

    def explain(self, error, task):
        """The error for workers that failed without f having raised anything."""
        from concurrent.futures import BrokenExecutor, CancelledError

        f = task.form.label
        span = f"evaluation {task.first}" if len(task.rows) == 1 else f"evaluations {task.first} to {task.last}"
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if isinstance(error, MemoryError):
            return error
        if isinstance(error, BrokenExecutor):
            return RuntimeError(f"a worker ended while {span} of {f} were under way{self._how_it_ended()}")
        if isinstance(error, CancelledError):
            return RuntimeError(f"{span} of {f} were cancelled: the workers were closed, or lost")
        if isinstance(error, pickle.PicklingError) or "pickle" in str(error) or "serialize" in str(error):
            content = task.function.content if isinstance(task.function, Function) else (None, (), {})
            return not_pickled(content[0], error)
        return RuntimeError(f"workers failed in {span} of {f}: {text}")

    def _how_it_ended(self):
        return "; the executor is of no use any more: make a new one"

    def close(self, abruptly=False):
        """What is the caller's is left as it is."""


def broken():
    """What a future of a broken pool would raise."""
    from concurrent.futures import BrokenExecutor

    return BrokenExecutor("the thread that looks after the processes has ended")


@contextlib.contextmanager
def _stepping_aside():
    """A thread of a Dask worker gives its place to others while it waits for them, or they might wait for it."""
    module = sys.modules.get("distributed.threadpoolexecutor")
    if module is None or not getattr(module.thread_state, "proceed", False):
        yield
        return
    from distributed import rejoin, secede

    secede()
    try:
        yield
    finally:
        rejoin()


def _result_of(future):
    from concurrent.futures import CancelledError

    try:
        error = future.exception()
    except CancelledError as cancelled:
        return cancelled
    return future.result() if error is None else error


def _confused(outcome):
    """Whether Dask took an outcome for an error: it asks for the state of a task after its result, and a worker that is
    lost in between makes the two contradict each other.
    """
    return isinstance(outcome, TypeError) and "unpack non-iterable Outcome" in str(outcome)


def not_pickled(f, error):
    """The error for an f that cannot be sent to another process."""
    name = getattr(f, "__qualname__", None) or type(f).__name__
    return TypeError(
        f"f or its args cannot be sent to other processes ({name}: {type(error).__name__}: {error}); take a function "
        "defined in a module, or workers that are threads (concurrent.futures.ThreadPoolExecutor), or an executor that "
        "uses cloudpickle (Dask's, loky's)"
    )


def count_of(owner):
    """How many workers a pool has; None when it does not say."""
    with contextlib.suppress(Exception):
        cluster = owner._client.ncores()
        return max(1, sum(cluster.values()))
    for name in ("_max_workers", "num_workers", "_processes", "size"):
        value = getattr(owner, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


class Mapper(Executor):
    """A crew that belongs to the caller: a callable that applies a function to each element of a list, like `map`."""

    def _owner(self):
        owner = getattr(self.pool, "__self__", None)
        return self.pool if owner is None or isinstance(owner, types.ModuleType) else owner

    def _pickler(self):
        module = sys.modules.get("multiprocessing.pool")
        pickles = (module is not None and isinstance(self.owner, module.Pool)
                   and not isinstance(self.owner, module.ThreadPool))
        return pickle if pickles else None

    def blocks(self, count):
        """One evaluation each when nothing is known about the workers."""
        self.refuse_inherited()
        workers = count_of(self.owner)
        return count if workers is None else min(count, BLOCKS * workers)

    def refuse_inherited(self):
        """Whatever maps in another way than `map` may need threads or processes."""
        if self.pool is not map:
            super().refuse_inherited()

    def _submitted(self, tasks, shared):
        results, missing = None, set(range(len(tasks)))
        try:
            results = iter(self.pool(evaluate_block, tasks))
            while missing:
                outcome = next(results)
                if not isinstance(outcome, Outcome):
                    raise TypeError(f"the map gave {type(outcome).__name__}, and not what the function gave")
                missing.discard(outcome.number)
                yield outcome.number, outcome
        except StopIteration:
            yield min(missing), RuntimeError(f"the map gave no result for {len(missing)} of {len(tasks)} tasks")
        except Exception as error:
            yield min(missing), error
        finally:
            shared.limit = -1
            getattr(results, "close", lambda: None)()


def cores():
    """How many cores this process may use."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
