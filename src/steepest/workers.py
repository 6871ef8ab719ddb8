"""Who evaluates f: the option `workers`, and the function of many points that hands them to a crew.

Here so that a slow Python function is differentiated on all cores or on a cluster, with the bits and the errors of one
process. The crews are in crews.py and processes.py, and what they do with their share in blocks.py. Tested in
tests/test_workers.py, tests/test_cluster.py and tests/faults/test_processes.py.
"""

import contextlib
import math

import numpy as np

from .blocks import Form, Outcome, Sent, Shared, Task, join
from .crews import Executor, Mapper, cores
from .errors import LimitReachedError
from .processes import Processes
from .reference.callback import BASE, Converted, working_type
from .reference.difference import ROW_CENTRAL, ROW_FIXED, ROW_ONE_SIDED

# Evaluations for each worker that are sent at a time at least, however many numbers f gives.
AT_LEAST = 16
# Numbers held at a time in the points or results that are under way: 16 megabytes of float64.
NUMBERS = 2**21


def check_workers(workers):
    """Return None for one worker, an int of at least 2, or the executor or map-like callable that was given."""
    if workers is None:
        return None
    if workers is map:
        return workers
    if isinstance(workers, (bool, np.bool_, type, str)):
        raise _no_workers(workers)
    if hasattr(workers, "__index__"):
        count = int(workers.__index__())
        if count == -1:
            count = cores()
        if count < 1:
            raise ValueError(f"workers must be at least 1, or -1 for all cores, not {count}")
        return count if count > 1 else None
    if callable(getattr(workers, "submit", None)) or callable(workers):
        return workers
    raise _no_workers(workers)


def _no_workers(workers):
    hint = "; pass its map method" if callable(getattr(workers, "map", None)) else ""
    return TypeError(
        "workers must be None, a number of processes, an executor, or a callable that maps like map, "
        f"not {workers!r}{hint}"
    )


def crew_of(workers):
    """The crew for what `check_workers` returned: nothing is started before there is something to evaluate."""
    if workers is None:
        return None
    if isinstance(workers, int):
        return Processes(workers)
    owner = getattr(workers, "__self__", None)
    if getattr(workers, "__name__", "") == "map" and callable(getattr(owner, "submit", None)):
        workers = owner     # the map of an executor: better asked to submit
    if callable(getattr(workers, "get_executor", None)):
        workers = workers.get_executor()    # a Dask client
    if callable(getattr(workers, "submit", None)):
        return Executor(workers)
    return Mapper(workers)


class Failed(Exception):
    """What went wrong at evaluation `index` of a batch; never seen outside: `error` is raised in its place."""

    def __init__(self, error, index):
        super().__init__(index)
        self.error, self.index = error, index

    def taken(self):
        """The same without a traceback, whose frames might hold it."""
        error, self.error = self.error, None
        return Failed(error, self.index)


class Pooled:
    """f, evaluated by a crew: a function of many points for `BatchFunction`.

    Parameters
    ----------
    f : callable
        As the user gave it.
    settings : Settings
    dtype : numpy.dtype
        Of x.
    vector, imaginary, each : bool
        As for `Run`.
    """

    def __init__(self, f, settings, dtype, vector, imaginary, each, label="f"):
        self.crew, self.bar = settings.crew, settings.bar
        self.function = self.crew.function(f, settings.args, settings.kwargs)
        value_type = working_type(dtype)
        if imaginary or dtype.kind == "c":
            value_type = np.result_type(value_type, np.complex64)
        self.imaginary = imaginary
        self.form = Form(value_type, vector, imaginary, each, settings.vectorized, label)
        self.calls = 0

    def expect(self, calls, known, known_by, at_base=False):
        """Prepare for a batch: how often f was called before, how many numbers it gives, and who said so."""
        self.calls = calls
        self.form.known, self.form.known_by = known, known_by
        self.form.imaginary = self.imaginary and not at_base

    def __call__(self, rows):
        """The values of f at rows of points, in order; `Failed` when something went wrong."""
        if self.calls + len(rows) > getattr(self.crew, "most_calls", math.inf):
            raise Failed(LimitReachedError(), 0)
        shared = Shared(self.crew.identity)
        tasks = self._tasks(rows, shared)
        outcomes: list = [None] * len(tasks)
        bad = len(tasks)            # the first block that went wrong
        waiting = 0                 # the first block that is not done
        try:
            with contextlib.closing(self.crew.outcomes(tasks, shared)) as coming:
                for number, outcome in coming:
                    outcomes[number] = outcome = self._understood(outcome, tasks[number])
                    if outcome.failed is not None:
                        bad = min(bad, number)
                    elif self.bar is not None and outcome.values is not None:
                        self.bar.advance(len(outcome.values))
                    while waiting < len(tasks) and outcomes[waiting] is not None:
                        waiting += 1
                    if waiting > bad:
                        break
        except BaseException as error:      # Ctrl-C, or no memory: what f raises is in the outcomes
            raise Failed(error, tasks[min(waiting, len(tasks) - 1)].first - tasks[0].first) from None
        if bad < len(tasks):
            raise self._failure(outcomes, bad, tasks[bad].first - tasks[0].first)
        return Converted(join([outcome.values for outcome in outcomes]), max(outcome.eps for outcome in outcomes))

    def _failure(self, outcomes, bad, first):
        """What is raised for a block that failed; no outcome holds on to an error whose frames hold the outcome."""
        failed = Failed(outcomes[bad].error, first + outcomes[bad].failed)
        for outcome in filter(None, outcomes):
            outcome.error = None
        return failed

    def _tasks(self, rows, shared):
        count = len(rows)
        parts = self.crew.blocks(count)
        cuts = [count * i // parts for i in range(parts + 1)]
        errors = {name: what for name, what in np.geterr().items() if what not in ("call", "log")}
        return [
            Task(i, self.calls + 1 + cuts[i], rows[cuts[i] : cuts[i + 1]], self.function, self.form, shared, errors)
            for i in range(parts)
        ]

    def _understood(self, outcome, task):
        """An outcome, whatever came."""
        if not isinstance(outcome, Outcome):
            error = self.crew.explain(outcome, task)
            error.__cause__ = outcome
            return Outcome(task.number, failed=0, error=error)
        if isinstance(outcome.error, Sent):
            outcome.error = outcome.error.unpack()
        return outcome


def rows_for(crew, numbers, points):
    """How many rows of differences make a batch that keeps every worker busy and fits into memory."""
    return max(NUMBERS // (numbers * points), -(-AT_LEAST * crew.count() // points))


def evaluations(differences, entries, with_base, based, first=0):
    """``(entry, point)`` of all evaluations that differences make, in order.

    Parameters
    ----------
    differences : Differences
        Planned.
    entries : array or None
        The entry of x that each row moves; None when row i moves entry i.
    with_base : bool
        f is evaluated at x whether or not the differences need it.
    based : bool
        f at x itself is known.
    first : int, optional
        The row to begin with.
    """
    widths = [2 * differences.reach, differences.one_sided, 0, 1]
    for row in range(first, differences.rows):
        kind = differences.kind[row]
        entry = row if entries is None else int(entries[row])
        needed = kind == ROW_ONE_SIDED or (kind == ROW_CENTRAL and differences.n % 2 == 0)
        if needed or (with_base and kind != ROW_FIXED):
            if differences.own_base:
                yield entry, differences.x[row]
            elif not based:
                based = True
                yield BASE, 0.0
        for k in range(widths[kind]):
            yield entry, differences.points[row, k]
