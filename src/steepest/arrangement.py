"""How the numbers of a derivative are arranged: a row for every number that is moved, a column for every result of f.

Here so that what looks for steps need not know that the entries of a sparse Jacobian are rows of their own, several of
which share the step of one column of it (compressed.py). Tested in tests/test_differentiate.py and
tests/test_compressed_search.py.
"""

from typing import Any

import numpy as np

__all__ = ["ByColumn", "ByEntry"]


class ByColumn:
    """One row for each entry of x, one column for each result: what a row finds out, all its components have in common.

    `bounds`, `rows` and `results` are those of the run that this is a part of.
    """

    bounds: Any
    rows: Any
    results: Any

    @property
    def extent(self):
        """How many rows and columns there are."""
        return self.rows, self.results

    def of_rows(self, numbers):
        """Numbers that go with the entries of x, for each row; a single one for all stays as it is."""
        return numbers

    def of_x(self, numbers, otherwise):
        """Numbers of all rows, for each entry of x; `otherwise` for one that has no row."""
        return numbers

    def of_results(self, numbers):
        """Numbers that go with the results, (m,) or (1, m), for each component."""
        numbers = np.atleast_2d(numbers)
        return np.broadcast_to(numbers, (self.rows, numbers.shape[1]))

    def limits(self, rows):
        """The bounds of some rows, or None and None."""
        lower, upper = self.bounds
        return (None, None) if lower is None else (lower[rows], upper[rows])

    def joined(self, ufunc, numbers, rows, initial):
        """Reduce numbers of all components of some rows to one for each step, begun with `initial`; for each row."""
        return ufunc.reduce(numbers, axis=1, initial=initial)

    def shared(self, ufunc, numbers, rows, initial):
        """The same of numbers that rows have as wholes, for all rows that share a step."""
        return numbers

    def any_of(self, mask, rows):
        """Whether something holds for any component that shares the step of a row."""
        return self.joined(np.logical_or, mask, rows, False)

    def largest(self, numbers):
        """The largest number of each result, as far as they are numbers; all rows are given."""
        return np.fmax.reduce(numbers, axis=0, initial=0)

    def portions(self, most):
        """All rows, about so many components at a time."""
        at_once = max(1, most // max(1, self.results))
        for first in range(0, self.rows, at_once):
            yield np.arange(first, min(first + at_once, self.rows))


class ByEntry(ByColumn):
    """One row for each stored entry of a sparse Jacobian, and one column: entries of one of its columns share a step.

    Attributes
    ----------
    moved, shown : arrays, (entries,)
        The entry of x that is moved for each entry, and the result that shows it.
    entries : int
    """

    moved: np.ndarray
    shown: np.ndarray
    entries: int
    coloring: Any

    @property
    def extent(self):
        """As of `ByColumn`."""
        return self.entries, 1

    def of_rows(self, numbers):
        """As of `ByColumn`."""
        return numbers[self.moved] if np.size(numbers) == self.coloring.shape[1] else numbers

    def of_x(self, numbers, otherwise):
        """As of `ByColumn`."""
        found = np.full(self.coloring.shape[1], otherwise, numbers.dtype)
        found[self.moved] = numbers
        return found

    def of_results(self, numbers):
        """As of `ByColumn`."""
        return np.reshape(numbers, -1)[self.shown][:, None]

    def limits(self, rows):
        """As of `ByColumn`."""
        lower, upper = self.bounds
        return (None, None) if lower is None else (lower[self.moved[rows]], upper[self.moved[rows]])

    def joined(self, ufunc, numbers, rows, initial):
        """As of `ByColumn`; all entries of a column that have to do with it are among the rows."""
        columns = self.moved[rows]
        order = np.argsort(columns, kind="stable")
        columns = columns[order]
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        numbers = numbers.reshape(-1)[order]
        if not numbers.size:
            return numbers
        reduced = ufunc(ufunc.reduceat(numbers, starts), initial)
        found = np.empty(numbers.shape, reduced.dtype)
        found[order] = np.repeat(reduced, np.diff(starts, append=numbers.size))
        return found

    shared = joined

    def largest(self, numbers):
        """As of `ByColumn`; for each entry."""
        found = np.zeros(self.coloring.shape[0], numbers.dtype)
        np.fmax.at(found, self.shown, numbers[:, 0])
        return found[self.shown][:, None]

    def portions(self, most):
        """As of `ByColumn`; columns of one colour, which are moved together, stay together."""
        starts, _, begin, _, places = self.coloring.plan()
        first = last = 0
        for end in begin[starts]:
            if end - first > most and last > first:
                yield places[first:last]
                first = last
            last = end
        if last > first:
            yield places[first:last]
