"""Many walks at once: who evaluates for which problem, on which thread, and what to do where a walk needs care.

Here so that many starts of one function and many problems of one kind are walked alike, each with the bits of a walk of
its own; the loop over them is `descend_many` of kernels/descent. Tested in tests/test_minimize_many.py.
"""

import contextlib

import numpy as np

from .backends import current
from .crews import cores
from .descent import Descent
from .driving import Drive, Watch, differences_of
from .objective import Answers
from .progress import Bar
from .reference.callback import GOOD
from .reference.descent import CAREFULLY, METHODS
from .reference.many import Batch
from .threads import share, team_size

__all__ = ["Many"]

GLIMPSES = 100      # how often a bar moves, where one thread walks


class Walker:
    """One thread's walks: all by one machine, or each by a `Descent` of its own where that cannot be."""

    def __init__(self, many, thread):
        self.many, self.thread = many, thread
        self.place = np.zeros(1, np.int64)      # the problem that is walked
        self.objective = None

    def prepare(self, row):
        """Make everything anew, as for a walk of its own."""
        many = self.many
        self.close()
        self.place[0] = row
        run = self.run = Descent(many.starts[row], **many.options)
        (f, grad, args, kwargs), data = many.problems.at(self.place)
        differences = differences_of(run, grad, many.differences)
        self.objective = Answers(f, None if isinstance(grad, str) else grad, run._x0, args, kwargs, differences)
        self.at_once = (self.objective.direct is not None and self.objective.pair is None and run.method in METHODS
                        and many.options["schedule"] is None and many.options["project"] is None)
        if self.at_once:
            run._options.calls_gradient = self.objective.calls_of_gradient
            many.batch.data = data      # the same for all threads

    def close(self):
        """End what evaluates f, and the machine."""
        if self.objective is not None:
            self.objective.__exit__(None, None, None)
            self.run.close()
            self.objective = None

    def walk(self, first, last, halts=None):
        """The walks from some rows: GOOD, or HALTED."""
        try:
            while first < last:
                if self.objective is None:
                    self.prepare(first)
                if self.at_once:
                    first, code = self.go_on(first, last, halts)
                    if code != GOOD:
                        return code
                else:
                    self.go_alone(first)
                    first += 1
            return GOOD
        except BaseException as error:
            self.name(error)
            raise

    def name(self, error):
        """Say on an exception in which problem it was raised."""
        count = len(self.many.starts)
        if count > 1:
            with contextlib.suppress(Exception):    # one whose notes are unusable is still the user's exception
                BaseException.add_note(error, f"steepest: in problem {self.place[0]} of {count}")

    def go_on(self, first, last, halts):
        """Walk in the kernels' loop, up to the end of a row that needs care: ``(the next row, code)``."""
        objective, run, place, batch = self.objective, self.run, self.place, self.many.batch
        code = current().descend_many(run.machine, objective.direct, batch, place, first, last, halts, self.thread)
        if code != CAREFULLY:
            return last, code
        row, run.nfev = int(place[0]), objective.direct[0].nfev
        self.keep(row, Drive(run, objective, Watch(run, None, False, (), None)).go(asked=True))
        self.close()    # care may have changed what is evaluated, and how
        return row + 1, GOOD

    def go_alone(self, row):
        """Walk from one row as `minimize` does."""
        many = self.many
        self.place[0] = row
        (f, grad, args, kwargs), _ = many.problems.at(self.place)
        with Descent(many.starts[row], **many.options) as run:
            self.keep(row, run.go(f, grad=grad, args=args, kwargs=kwargs, **many.differences))

    def keep(self, row, result):
        """Put the result of one walk where those of all are."""
        batch = self.many.batch
        batch.x[row], batch.fun[row], batch.jac[row] = result.x.reshape(-1), result.fun, result.jac.reshape(-1)
        batch.counts[row] = result.status, result.nit, result.nfev, result.njev


class Many:
    """Walks from many starts, under way.

    Parameters
    ----------
    problems : Problems
    starts : array, (B, ...), float32 or float64
        Inside the bounds.
    options : dict
        Of `Descent`, checked.
    differences : dict
        Options of `Gradient`.
    workers : int or None
        Threads, where f is compiled; None for as many as there are cores.
    progress : bool
    """

    def __init__(self, problems, starts, options, differences, workers=None, progress=False):
        self.problems, self.starts, self.options, self.differences = problems, starts, options, differences
        self.batch = Batch(np.array(starts.reshape(len(starts), starts[:1].size), np.float64))
        self.workers = workers
        self.bar = Bar("walks") if progress else None

    def run(self):
        """Do it all: a `Batch`."""
        count = len(self.starts)
        if count == 0:
            return self.batch
        walkers = [Walker(self, 0)]
        try:
            walkers[0].prepare(0)
            if self.bar is not None:
                with self.bar:
                    self.bar.expect(count)
                    self._share(walkers, count)
            else:
                self._share(walkers, count)
        finally:
            for walker in walkers:
                walker.close()
        return self.batch

    def _share(self, walkers, count):
        """Several threads where everything is compiled, and one otherwise."""
        team = self._team(walkers[0])
        walkers += [Walker(self, i) for i in range(1, team)]
        halts = np.zeros(team, np.intc)

        def part(i, first, last):
            code = walkers[i].walk(first, last, halts)
            if self.bar is not None:
                self.bar.advance(last - first)
            return code

        if team > 1:
            share(part, 0, count, halts)
            return
        step = count if self.bar is None else max(1, count // GLIMPSES)
        for first in range(0, count, step):
            part(0, first, min(first + step, count))

    def _team(self, walker):
        if not walker.at_once or self.problems.alone:
            return 1
        value, gradient, _ = walker.objective.direct
        if not (value.native and (gradient is None or gradient.native)):
            return 1
        return team_size(cores() if self.workers is None else self.workers)
