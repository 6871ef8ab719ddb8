"""What is sent to a worker, what is done with it there, and what comes back: f at a block of points.

Here because it is the part of evaluation by workers that other processes and machines run; see workers.py. Tested in
tests/test_workers.py and tests/test_cluster.py.
"""

import contextlib
import io
import math
import os
import pickle
import signal
import sys
import threading
import traceback
import uuid

import numpy as np

from .reference.callback import batch_result, lent_copy, scalar_result, size_error, vector_result
from .reference.difference import floating_point_mode, refuse_mode

# Seconds after which a process looks whether its parent is still there.
GLANCE = 5.0
# How many functions a process that serves somebody else's pool keeps ready.
REMEMBERED = 4

_remembered: dict = {}
_at_work = threading.local()


class Function:
    """f and what it takes after x, as they are."""

    __slots__ = ("content",)

    def __init__(self, f, args, kwargs):
        self.content = f, args, kwargs

    def __reduce__(self):
        return type(self), self.content

    def open(self):
        """Return ``(f, args, kwargs)``."""
        return self.content


class Sealed:
    """f and what it takes after x, pickled once; each process that is sent them opens them once."""

    __slots__ = ("key", "pickled")

    def __init__(self, pickled, key=None):
        self.pickled, self.key = pickled, key or uuid.uuid4().bytes

    def __reduce__(self):
        return type(self), (self.pickled, self.key)

    def open(self):
        """Return ``(f, args, kwargs)``."""
        content = _remembered.get(self.key)
        if content is None:
            content = pickle.loads(self.pickled)
            while len(_remembered) >= REMEMBERED:
                del _remembered[next(iter(_remembered))]
            _remembered[self.key] = content
        return content


class Delivered:
    """f and what it takes after x, which every process of a pool of our own was given when it started."""

    pickled: bytes | None = None
    content: tuple | None = None

    def open(self):
        """Return ``(f, args, kwargs)``."""
        kind = type(self)
        if kind.content is None:
            kind.content = pickle.loads(kind.pickled)
            kind.pickled = None
        return kind.content


def start_process(pickled):
    """Get ready to serve, in a process of our own pool: it leaves Ctrl-C to its parent, and ends when it is told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Delivered.pickled, Delivered.content = pickled, None


def _end_with_parent():
    """Whoever serves a process that was killed would wait for work for ever."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    # its end may be hidden by others that were forked from it and hold the same pipe: then another parent tells of it
    sentinel, pid = parent_process().sentinel, os.getppid()
    while not wait([sentinel], GLANCE) and os.getppid() == pid:
        pass
    os._exit(1)


class Form:
    """What f takes and gives."""

    __slots__ = ("each", "imaginary", "known", "known_by", "label", "value_type", "vector", "vectorized")

    def __init__(self, value_type, vector, imaginary, each, vectorized, label="f"):
        self.value_type, self.vector, self.imaginary = value_type, vector, imaginary
        self.each, self.vectorized, self.label = each, vectorized, label
        self.known, self.known_by = -1, ""     # how many numbers f gives

    def check_size(self, count, nfev):
        """Refuse a result of another length than the first."""
        if self.known >= 0 and count != self.known:
            raise size_error(self.label, count, nfev, self.known, self.known_by)


class Shared:
    """What a call and its blocks have in common while both are in one process; what is sent elsewhere is a blank copy.

    `limit` is the number of the first block that failed: the blocks after it need not go on. `met` says that some block
    ran in this process. `thread` is the one that called. `owner` is the pool that runs the blocks, by its identity.
    """

    __slots__ = ("elsewhere", "limit", "met", "owner", "thread")

    def __init__(self, owner=None, elsewhere=False):
        self.owner, self.elsewhere, self.limit, self.met = owner, elsewhere, math.inf, False
        self.thread = None if elsewhere else threading.get_ident()

    def __reduce__(self):
        return type(self), (None, True)


class Task:
    """A block of points at which f is to be evaluated.

    `number` counts the blocks of a call from 0, `first` is the number of its first evaluation of f.
    """

    __slots__ = ("errors", "first", "form", "function", "number", "rows", "shared")

    def __init__(self, number, first, rows, function, form, shared, errors):
        self.number, self.first, self.rows = number, first, rows
        self.function, self.form, self.shared, self.errors = function, form, shared, errors

    @property
    def last(self):
        """The number of its last evaluation of f."""
        return self.first + len(self.rows) - 1

    def __dask_tokenize__(self):
        return uuid.uuid4().hex     # an evaluation is never another one's


class Outcome:
    """What came of a block: values, and the precision they came in; or which evaluation failed, and how.

    A block that was not finished, because one before it had failed, has neither.
    """

    __slots__ = ("eps", "error", "failed", "number", "values")

    def __init__(self, number, values=None, eps=0.0, failed=None, error=None):
        self.number, self.values, self.eps, self.failed, self.error = number, values, eps, failed, error


class WorkerTraceback(Exception):
    """Where in a worker an exception was raised: the cause of the exception that came back."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text

    def __str__(self):
        return "\n" + self.text


class Sent:
    """An exception on its way from one process to another."""

    __slots__ = ("name", "pickled", "story", "text")

    def __init__(self, error):
        self.name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        try:
            self.text = str(error)
        except Exception:
            self.text = "its text cannot be had"
        try:
            self.story = "".join(traceback.format_exception(error))
        except Exception:
            self.story = f"{self.name}: {self.text}"
        self.pickled = _dumps(error)

    def unpack(self):
        """The exception, or one that tells of it when it cannot be had here."""
        try:
            error = pickle.loads(self.pickled)
            if not isinstance(error, BaseException):
                raise TypeError("no exception came back")
        except Exception:
            error = RuntimeError(f"f raised {self.name} in a worker, and it cannot be sent back as it was: {self.text}")
        with contextlib.suppress(Exception):
            error.__cause__ = WorkerTraceback(self.story)
        return error


class _Pickler(pickle.Pickler):
    """Takes exceptions as they are; libraries that want tracebacks in pickles (tblib) lose more than they win."""

    def reducer_override(self, thing):
        return thing.__reduce_ex__(4) if isinstance(thing, BaseException) else NotImplemented


def _plainly(error):
    stream = io.BytesIO()
    _Pickler(stream).dump(error)
    return stream.getvalue()


def _by_value(error):
    return sys.modules["cloudpickle"].dumps(error)      # it came with f, if it came


def _dumps(error):
    """An exception as bytes that give it back; None when there are no such bytes."""
    for dumps in (_plainly, _by_value):
        try:
            pickled = dumps(error)
            if type(pickle.loads(pickled)) is type(error):
                return pickled
        except Exception:
            continue
    return None


def working_for(owner):
    """Whether the calling thread is at work on a block for this pool: f differentiates with the pool that runs it."""
    return owner in getattr(_at_work, "owners", ())


@contextlib.contextmanager
def _working(shared):
    """Remember for whom this thread works."""
    if shared.elsewhere:
        yield
        return
    shared.met = True
    owners = getattr(_at_work, "owners", ())
    _at_work.owners = (*owners, shared.owner)
    try:
        yield
    finally:
        _at_work.owners = owners


def evaluate_block(task):
    """Evaluate f at the points of a task; whatever f does is in the `Outcome`.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Outcome
    """
    with _working(task.shared):
        try:
            function = task.function.open()
        except BaseException as error:
            refusal = TypeError(
                f"f could not be loaded in a worker ({type(error).__name__}: {error}): define it in a module that the "
                "workers can import"
            )
            return _failure(task, 0, refusal)
        mode = floating_point_mode()
        evaluate = _evaluate_at_once if task.form.vectorized else _evaluate_one_by_one
        if task.shared.thread == threading.get_ident():
            outcome = evaluate(task, *function)
        else:
            with np.errstate(**task.errors):    # those of the caller, which are his thread's alone
                outcome = evaluate(task, *function)
        if outcome.failed is None and floating_point_mode() != mode:
            try:
                refuse_mode(task.form.label)
            except RuntimeError as error:
                return _failure(task, len(task.rows) - 1, error)
        return outcome


def _evaluate_one_by_one(task, f, args, kwargs):
    form, shared = task.form, task.shared
    convert = vector_result if form.vector else scalar_result
    results, coarsest = [], 0.0
    for k, row in enumerate(task.rows):
        if shared.limit < task.number:
            return Outcome(task.number)
        nfev = task.first + k
        try:
            result = f(row if form.each else lent_copy(row), *args, **kwargs)
            array, eps = convert(result, form.value_type, form.imaginary, form.label, nfev)
            form.check_size(array.size, nfev)
        except BaseException as error:
            return _failure(task, k, error)
        results.append(np.array(array))     # a copy: f may return the same array in every call
        coarsest = max(coarsest, eps)
    return Outcome(task.number, _stack(results), coarsest)


def _evaluate_at_once(task, f, args, kwargs):
    form, count = task.form, len(task.rows)
    if task.shared.limit < task.number:
        return Outcome(task.number)
    try:
        result = f(lent_copy(task.rows), *args, **kwargs)
        array, eps = batch_result(result, form.value_type, count, form.vector, form.imaginary, form.label, task.last)
        form.check_size(array.size // count, task.last)
    except BaseException as error:
        return _failure(task, 0, error)
    return Outcome(task.number, np.array(array), eps)


def _stack(results):
    """One row for each result: (k, m), or (k,) when all are single numbers."""
    if any(result.ndim for result in results):
        results = [result.reshape(-1) for result in results]
    return np.stack(results)


def join(blocks):
    """The values of all blocks together."""
    if any(block.ndim > 1 for block in blocks):
        blocks = [block.reshape(len(block), -1) for block in blocks]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _failure(task, k, error):
    if task.shared.elsewhere:
        error = Sent(error)
    else:
        task.shared.limit = min(task.shared.limit, task.number)
    return Outcome(task.number, failed=k, error=error)
