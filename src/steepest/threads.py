"""The library's own threads: made when they are first needed, dropped in a forked child, bounded by the user.

Here so that every kernel that runs without the GIL shares one small pool. Tested in tests/test_threads.py and
tests/faults/test_native.py.
"""

import contextlib
import functools
import os
import threading
import time
from collections import deque

import numpy as np

from .kernels.native import linger
from .options import as_integer
from .reference.callback import GOOD, HALTED

__all__ = ["set_num_threads"]

# Handing work to another thread costs 50 to 60 microseconds: less than this much, in nanoseconds, is done by one.
PAYS = 200_000
# Each piece is this share of one thread's part of what is left, so that all end at nearly the same time, as long as it
# takes so many nanoseconds: what taking it costs does not count then.
SHARE = 0.8
WORTH = 20_000

# How often the calling thread looks whether the others are done before it sleeps until they are: about 100
# microseconds. To be woken takes about 20, and they end at nearly the same time. As long a helper looks for its next
# errand: whoever descends asks again and again.
LOOKS = 3_000
# Looks from the moment when another thread calls to the one when it has let go of the GIL.
GRACE = 60

_lock = threading.Lock()
_helpers: list = []         # all of them
_idle: deque = deque()      # those that wait for an errand
_at_work: set = set()       # what is being shared
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
    global _lock
    _lock = threading.Lock()
    _helpers.clear()
    _idle.clear()
    _at_work.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _let_go():
    """The interpreter ends, and waits for our threads: have them end soon, whoever still waits for their work."""
    for shared in list(_at_work):
        shared.stop(-1, SystemExit("the interpreter ends"))
    for helper in list(_helpers):
        helper.ending = True
        with contextlib.suppress(RuntimeError):     # it was about to wake anyway
            helper.wake.release()


class _Helper(threading.Thread):
    """A thread that sleeps until it has an errand.

    `concurrent.futures` would do it as well, but takes 25 microseconds longer for it: for its queue, for the future,
    and for what its thread does before it lets go of the GIL.
    """

    def __init__(self):
        register = getattr(threading, "_register_atexit", None)     # what is to run before Python waits for threads
        super().__init__(name=f"steepest-{len(_helpers)}", daemon=register is None)
        if register is not None and not _at_exit:
            register(_let_go)
            _at_exit.append(_let_go)
        self.wake = threading.Lock()
        self.wake.acquire()
        self.called = np.zeros(1, np.intc)
        self.errand: list = []
        self.ending = False

    def run(self):
        """Do errands until the interpreter ends."""
        while True:
            linger(self.called, 0, LOOKS, GRACE)
            self.wake.acquire()
            self.called[0] = 0
            if self.ending:
                return
            shared, i, claim = self.errand.pop()
            try:
                claim.pop()
            except IndexError:      # nobody waits for it any more
                _idle.append(self)
            else:
                shared.lend(i, self)
            del shared, claim


def _take_helpers(count):
    """Helpers that are idle, so many at most; new ones are made while there have never been so many."""
    taken: list[_Helper] = []
    while len(taken) < count:
        try:
            taken.append(_idle.pop())
        except IndexError:
            break
    if len(taken) < count and len(_helpers) < count:
        with _lock:
            while len(taken) < count and len(_helpers) < count:
                try:
                    helper = _Helper()
                    helper.start()
                except RuntimeError:    # no more threads are to be had, or the interpreter ends
                    break
                _helpers.append(helper)
                taken.append(helper)
    return taken


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
    return _Shared(part, first + 1, last, halts, WORTH * (last - first - 1) // max(spent, 1)).run()


def share_at_once(part, first, last, halts):
    """The same where the caller knows that several threads pay: no row is timed before."""
    if len(halts) < 2 or last - first < 2:
        return part(0, first, last)
    return _Shared(part, first, last, halts, 1).run()


@functools.lru_cache(maxsize=64)
def pieces_of(first, last, share, least):
    """Rows in pieces that grow shorter: a share of those that are left, and at least so many."""
    pieces = []
    while first < last:
        end = min(last, first + max(least, int((last - first) * share)))
        pieces.append((first, end))
        first = end
    return tuple(pieces)


class _Shared:
    """Rows that several threads take in turn, in order, a few at a time.

    The outcome is that of the first rows, in order, that went wrong, whoever was sooner: what comes before them is
    finished, what comes after them is dropped.
    """

    def __init__(self, part, first, last, halts, least):
        self.part, self.halts = part, halts
        least = 1 << max(1, least).bit_length() - 1         # the same from call to call, for their pieces are kept
        self.pieces = deque(pieces_of(first, last, SHARE / len(halts), least))
        self.at = [last] * len(halts)       # the first row of the piece that each thread is at
        self.wrong = last                   # the first row of the piece that went wrong
        self.outcome = GOOD
        self.lent: list = []                # what is claimed by the thread that does it, or by the one that drops it
        self.over = np.zeros(len(halts), np.intc)   # which threads have nothing more to do with it
        self.busy = [threading.Lock() for _ in range(len(halts))]

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

    def lend(self, i, helper):
        """What another thread does."""
        try:
            with contextlib.suppress(BaseException):    # it is the outcome, or comes too late to be
                self.work(i)
        finally:
            _idle.append(helper)
            self.busy[i].release()
            self.over[i] = 1

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
        _at_work.add(self)
        try:
            for i, helper in enumerate(_take_helpers(len(self.halts) - 1), 1):
                self.busy[i].acquire()
                claim = [True]
                self.lent.append((i, claim))
                helper.errand.append((self, i, claim))
                helper.wake.release()
                helper.called[0] = 1
            self.work(0)
        except BaseException:
            self.halts[:] = 1
            raise
        finally:
            self.join()
            _at_work.discard(self)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def join(self):
        """Wait until no thread works on any piece, whatever interrupts: their memory is about to be used again."""
        interrupted = None
        for i, claim in self.lent:
            try:
                claim.pop()
                continue        # it has not begun, and will not
            except IndexError:
                pass
            while not self.over[i]:
                try:
                    if not linger(self.over, i, LOOKS):
                        self.busy[i].acquire()
                    break
                except BaseException as error:
                    interrupted = error
                    self.pieces.clear()
                    self.halts[:] = 1
        if interrupted is not None:
            raise interrupted
