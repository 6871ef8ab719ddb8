"""The calls of f that a derivative makes: by the calling thread, by threads of a compiled f, or by workers.

Here so that they are counted, shown by a bar and named in exceptions alike, whoever makes them; what is done with the
values is in differencing.py. Tested in tests/test_workers.py, tests/test_compiled.py and tests/faults/.
"""

import itertools
from typing import Any

import numpy as np

from .compiled_functions import uses_threads
from .options import Settings, check_bounds
from .reference.callback import BASE, note_evaluation
from .reference.difference import refuse_outside
from .threads import share, team_size
from .workers import Failed, Pooled, evaluations, rows_for

# A bar moves so often in the course of a sweep.
GLIMPSES = 100


class Evaluation:
    """The base of `Run`: its function, and everything that calls it.

    `function` is what the kernels evaluate; `team` are copies of it for the threads of a compiled f; `pooled` is what
    hands a Python f to workers.
    """

    kernels: Any
    settings: Settings
    f: Any
    shape: tuple
    dtype: np.dtype
    vector: bool
    each: bool
    function: Any
    team: list = []         # noqa: RUF012 (replaced, never changed)
    pooled: Pooled | None = None
    with_base = None        # differences that ask for f at x itself, whether they need it or not
    f0_was_given = False

    def make_function(self, compiled, imaginary):
        """Choose who evaluates f."""
        kernels, settings = self.kernels, self.settings
        shape, dtype, vector, each = self.shape, self.dtype, self.vector, self.each
        arguments = (self.f, settings.args, settings.kwargs, shape, dtype, vector, imaginary)
        if compiled is not None:
            self.function = kernels.NativeFunction(compiled, shape, dtype, vector, each)
            count = 1 if uses_threads(self.f) else team_size(settings.workers or 1)
            self.team = [self.function, *self.function.clones(count - 1)] if count > 1 else []
        elif settings.crew is not None:
            self.pooled = Pooled(self.f, settings, dtype, vector, imaginary, each)
            self.function = kernels.BatchFunction(self.pooled, (), None, *arguments[3:], "f", each)
            settings.crew.prepare(2 * (settings.order or 1) * self.rows)
        elif settings.vectorized:
            self.function = kernels.BatchFunction(*arguments, "f", each)
        elif each:
            self.function = kernels.ScalarFunction(*arguments)
        else:
            self.function = kernels.PythonFunction(*arguments)

    def count_from(self, calls):
        """Let nfev count from a number of calls made before."""
        self.function.nfev = calls

    @property
    def nfev(self):
        """How often f was called."""
        return self.function.nfev

    @property
    def rows(self):
        """How many numbers are moved."""
        return self.function.count

    @property
    def results(self):
        """How many numbers f gives; -1 while that is not known."""
        return self.function.size // 2 if self.function.as_complex else self.function.size

    def seen(self, x):
        """X in the type in which f sees it."""
        return x if x.dtype == self.dtype else x.astype(self.dtype)

    def take_results(self, count):
        """Learn from the caller how many numbers f gives, when nothing else can tell."""
        if self.function.native and self.results < 0:
            self.function.take_size(count)

    def value_at(self, x, f0=None):
        """f(x), or `f0` checked as if f had returned it, at an x inside the bounds; learns how many numbers f gives."""
        if self.settings.bounds is not None:
            refuse_outside(x.reshape(-1), *check_bounds(self.settings.bounds, self.shape, self.dtype))
        if f0 is not None:
            self.f0_was_given = True
            return self.function.value_at(x, f0)
        return self.at_base(x)

    def at_base(self, x):
        """f(x), here or by a worker."""
        function, pooled, bar = self.function, self.pooled, self.settings.bar
        if pooled is None and bar is None:
            return function.value_at(x)
        before = function.nfev
        if bar is not None:
            bar.expect(1)
        try:
            if pooled is not None:
                pooled.expect(before, self.results, self.f0_was_given, at_base=True)
            value = function.value_at(x)
            self.f0_was_given = False
            return value
        except Failed as caught:
            failed = caught.taken()
        finally:
            if bar is not None and pooled is None:
                bar.advance(function.nfev - before)
        self._raise(failed, before + 1, BASE, 0.0)

    def block_for(self, block, rows, numbers, points):
        """How many rows are evaluated at a time, when memory allows for `block` (None: all) of so many points each."""
        if self.pooled is not None:
            return max(1, min(rows, rows_for(self.settings.crew, numbers, points)))
        if self.settings.bar is not None and not self.function.batch:
            return max(1, min(rows if block is None else block, -(-rows // GLIMPSES)))
        return block

    def foresee(self, differences, entries):
        """Tell the bar how many evaluations there are to come."""
        bar = self.settings.bar
        if bar is not None:
            coming = evaluations(differences, entries, differences is self.with_base, differences.has_base)
            bar.expect(sum(1 for _ in coming))

    def evaluate(self, differences, entries, first, last):
        """Evaluate a block of rows, which move these entries of x."""
        if self.pooled is not None:
            return self._evaluate_elsewhere(differences, entries, first, last)
        before, bar = self.function.nfev, self.settings.bar
        try:
            if self.team:
                return differences.evaluate_on(self.team, share, first, last)
            return differences.evaluate(self.function, first, last)
        finally:
            if bar is not None:
                bar.advance(self.function.nfev - before)

    def _evaluate_elsewhere(self, differences, entries, first, last):
        before, based = self.function.nfev, differences.has_base
        self.pooled.expect(before, self.results, self.f0_was_given)
        try:
            return differences.evaluate(self.function, first, last)
        except Failed as caught:
            failed = caught.taken()
        made = evaluations(differences, entries, differences is self.with_base, based, first)
        self._raise(failed, before + 1 + failed.index, *next(itertools.islice(made, failed.index, None)))

    def _raise(self, failed, nfev, entry, point):
        """Raise what went wrong in an evaluation by a worker, as if it had been raised here."""
        error, failed.error = failed.error, None    # and leave no cycle of an error and the frames that it knows
        note_evaluation(error, self.function.label, nfev, entry, point, self.shape, self.function)
        try:
            raise error
        finally:
            del error
