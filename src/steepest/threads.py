"""The library's own threads: made when they are first needed, dropped in a forked child, bounded by the user.

Here so that every kernel that runs without the GIL shares one small pool. Tested in tests/test_threads.py and
tests/faults/test_native.py.
"""

import itertools
import os
import threading
import time
from collections import deque

from .options import as_integer
from .reference.callback import GOOD, HALTED

__all__ = ["set_num_threads"]

# Handing work to another thread costs 50 to 60 microseconds: less than this much, in nanoseconds, is done by one.
PAYS = 200_000
# Pieces for each thread, so that all end at nearly the same time, as long as one takes so many nanoseconds.
PIECES = 8
WORTH = 30_000

_lock = threading.Lock()
_pool = None
_at_exit: list = []
_limit: int | None = None


def set_num_threads(k):
    """Bound the number of threads that one call may use; the environment variable is ``STEEPEST_NUM_THREADS``.

    Parameters
    ----------
    k : int or None
        At least 1; None for as many as are asked for.

    Returns
    -------
    int or None
        The bound until now.

    Raises
    ------
    TypeError, ValueError
        When `k` is no such number.

    Examples
    --------
    >>> import steepest as sd
    >>> before = sd.set_num_threads(2)
    >>> sd.set_num_threads(before)
    2
    """
    global _limit
    before = _limit
    if k is not None:
        if isinstance(k, bool):
            raise TypeError(f"k must be an integer, not {k!r}")
        k = as_integer(k, "k")
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
    _limit = k
    return before


def _take_environment():
    text = os.environ.get("STEEPEST_NUM_THREADS")
    if text:
        try:
            set_num_threads(int(text))
        except ValueError:
            raise ValueError(f"STEEPEST_NUM_THREADS must be an integer of at least 1, not {text!r}") from None


_take_environment()


def _forget():
    """The threads of the parent are not here: a forked child makes its own when it needs them."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


_at_work: set = set()       # what is being shared


def _let_go():
    """The interpreter ends, and waits for our threads: have them end soon, whoever still waits for their work."""
    for shared in list(_at_work):
        shared.stop(-1, SystemExit("the interpreter ends"))     # which a thread ends on without a word


def pool(count):
    """The pool, with room for at least so many threads."""
    global _pool
    from concurrent.futures import ThreadPoolExecutor

    with _lock:
        if _pool is None or _pool._max_workers < count:
            if _pool is not None:
                _pool.shutdown(wait=False)
            elif hasattr(threading, "_register_atexit") and not _at_exit:
                threading._register_atexit(_let_go)     # runs before the pool's own, which waits
                _at_exit.append(_let_go)
            _pool = ThreadPoolExecutor(count, thread_name_prefix="steepest")
        return _pool


def team_size(asked):
    """How many threads a call may use that asks for some."""
    return asked if _limit is None else min(asked, _limit)


def share(part, first, last, halts):
    """Have every row from `first` to `last` done by the threads: what `Differences.evaluate_on` asks.

    The first row is done and timed alone: when the rest takes too little time to be worth a second thread, the calling
    thread does it. Otherwise each thread takes the next few rows until none are left; the calling thread does so too,
    so that a pool that is busy, or waits for us, blocks nobody.
    """
    begun = time.perf_counter_ns()
    code = part(0, first, min(first + 1, last))
    spent = (time.perf_counter_ns() - begun) * (last - first - 1)
    if code != GOOD or last - first < 2:
        return code
    if len(halts) < 2 or spent < PAYS:
        return part(0, first + 1, last)
    return _Shared(part, first + 1, last, halts, spent).run()


class _Shared:
    """Rows that several threads take in turn, in order, a few at a time.

    The outcome is that of the first rows, in order, that went wrong, whoever was sooner: what comes before them is
    finished, what comes after them is dropped.
    """

    def __init__(self, part, first, last, halts, spent):
        count = min(last - first, PIECES * len(halts), max(len(halts), spent // WORTH))
        cuts = [first + (last - first) * i // count for i in range(count + 1)]
        self.part, self.halts = part, halts
        self.pieces = deque(itertools.pairwise(cuts))
        self.at = [last] * len(halts)       # the first row of the piece that each thread is at
        self.wrong = last                   # the first row of the piece that went wrong
        self.outcome = GOOD
        self.busy = [threading.Lock() for _ in range(len(halts) - 1)]
        for lock in self.busy:
            lock.acquire()

    def work(self, i):
        """Take pieces until there are none."""
        while True:
            try:
                piece = self.pieces.popleft()
            except IndexError:
                return
            self.at[i] = piece[0]
            if self.wrong < piece[0]:
                return
            try:
                code = self.part(i, *piece)
            except BaseException as error:
                self.stop(piece[0], error)
                if not isinstance(error, Exception):
                    raise
                return
            if code != GOOD:
                self.stop(piece[0], code)
                return

    def lend(self, i):
        """What another thread does; a bare lock tells that it is over, in half the time that a future takes."""
        try:
            self.work(i)
        finally:
            self.busy[i - 1].release()

    def stop(self, row, outcome):
        """Rows from here on are of no interest any more."""
        if row < self.wrong and outcome != HALTED:
            self.wrong, self.outcome = row, outcome
            self.pieces.clear()
            for i, at in enumerate(self.at):
                if at > row:
                    self.halts[i] = 1

    def run(self):
        """Do it all, and leave no thread at work."""
        threads = pool(len(self.halts) - 1)
        _at_work.add(self)
        futures = [threads.submit(self.lend, i) for i in range(1, len(self.halts))]
        try:
            self.work(0)
        except BaseException:
            self.halts[:] = 1
            raise
        finally:
            self.join(futures)
            _at_work.discard(self)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def join(self, futures):
        """Wait until no thread works on any piece, whatever interrupts: their memory is about to be used again."""
        interrupted = None
        for future, busy in zip(futures, self.busy, strict=True):
            while not future.cancel():
                try:
                    busy.acquire()
                    break
                except BaseException as error:
                    interrupted = error
                    self.pieces.clear()
                    self.halts[:] = 1
        if interrupted is not None:
            raise interrupted
