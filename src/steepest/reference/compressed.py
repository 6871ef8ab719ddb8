"""Sparse Jacobians from a few differences, in plain NumPy: the twin of kernels/compressed.pyx.

Here to be read and to be compared with: the kernel gives the same bits. Tested in tests/test_compressed.py.

The columns of one colour are moved together, each by a step of its own, to the points that ordinary differences of it
would have; every entry of the Jacobian is then put together from the row of f that shows it, as one of an ordinary
Jacobian is. Where rows of f are computed alike whatever is moved elsewhere, it is the same to a unit or two in the last
place: a difference of two values is multiplied by the reciprocal of the step, which all entries of a column share.
"""

import numpy as np

from .callback import GOOD, Groups
from .difference import (
    CENTRAL,
    COMPLEX,
    ROW_CENTRAL,
    ROW_FIXED,
    ROW_ONE_SIDED,
    UNRESOLVED,
    UNSUITED,
    refuse_nonfinite,
    weights,
)

__all__ = ["Compression"]


class Compression(Groups):
    """The columns of each colour, their points, and the entries of the Jacobian that each of them shows.

    Parameters
    ----------
    starts, columns : arrays of intp
        The columns of colour c are ``columns[starts[c]:starts[c + 1]]``.
    first, rows, places : arrays of intp
        The k-th of `columns` shows entries in ``rows[first[k]:first[k + 1]]`` of f, which go to the same part of
        `places` among all entries.
    entries : int
        Entries of x.
    results : int
        Rows of f.
    capacity : int
        Points that a column can have.
    dtype : numpy.dtype
        Type of x.
    """

    def __init__(self, starts, columns, first, rows, places, entries, results, capacity, dtype):
        super().__init__(starts, columns, entries, capacity, dtype)
        if (first.size != columns.size + 1 or first[0] != 0 or first[-1] != rows.size or (np.diff(first) < 0).any()
                or rows.size != places.size or (rows.size and not 0 <= rows.min() <= rows.max() < results)
                or (places.size and not 0 <= places.min() <= places.max() < places.size)):
            raise ValueError("these are no entries of a Jacobian")
        self.first, self.rows, self.places, self.results, self.dtype = first, rows, places, results, dtype
        self.planned = None

    @property
    def width(self):
        """How many points a column has at most."""
        return 0 if self.points is None else self.points.shape[1]

    def plan(self, differences, x):
        """Plan the differences of all columns, one row each in the order of their colours, and take their points.

        Returns
        -------
        one_sided, unresolved : int
            How many columns need f at x itself, and how many have a step that moves them too little.
        """
        if (differences.rows != self.size or differences.real_type != self.real_type or differences.n != 1
                or differences.width > self.capacity or x.shape != (self.entries,) or x.dtype != self.dtype):
            raise ValueError("the differences, or x, do not suit this compression")
        refuse_nonfinite(x)
        differences.plan(x[self.members])
        kind = differences.kind
        counts = np.array([2 * differences.reach, differences.one_sided, 0, 1])[kind]
        unused = np.arange(differences.width) >= counts[:, None]
        stay = 0 if differences.method == COMPLEX else differences.x[:, None]
        self.points = np.where(unused, stay, differences.points)
        self.central = differences.method == CENTRAL
        self.planned = differences
        return int(np.count_nonzero(kind == ROW_ONE_SIDED)), int(np.count_nonzero(differences.status == UNRESOLVED))

    def decompress(self, differences, first, last, out):
        """Put together the entries that the colours from `first` to `last` show, from what was evaluated of them.

        Parameters
        ----------
        differences : Differences
            One row for each colour, of the same method and order; those from `first` to `last` were evaluated.
        first, last : int
        out : array
            All entries, of the working type; those of a complex x as pairs.

        Returns
        -------
        int
            How many of the numbers are not finite.
        """
        plan, m = self.planned, self.results
        parts = differences.result.shape[1] // m if m else 1
        if (plan is None or differences.rows != self.count or not 0 <= first <= last <= self.count
                or last - first > differences.block or differences.method != plan.method
                or differences.width != plan.width or differences.result.shape[1] != m * parts
                or out.shape != (self.places.size * parts,) or out.dtype != self.real_type):
            raise ValueError("the differences, or out, do not suit this compression")
        bad, numbers = 0, differences.size // m if m else 1     # numbers of f that make one row
        for color in range(first, last):
            columns = slice(self.starts[color], self.starts[color + 1])
            some = slice(self.first[columns.start], self.first[columns.stop])
            moved = np.repeat(np.arange(columns.start, columns.stop),
                              np.diff(self.first[columns.start : columns.stop + 1]))
            values = differences.values[color - first].reshape(differences.width, m, numbers)[:, self.rows[some]]
            base = differences.base[0].reshape(m, numbers)[self.rows[some]]
            with np.errstate(all="ignore"):
                found = self._combine(plan, moved, values, base)
            out.reshape(-1, parts)[self.places[some]] = found
            bad += int(np.count_nonzero(~np.isfinite(found)))
        return bad

    def _combine(self, plan, moved, values, base):
        """The difference of each entry, from the column that is moved for it; as in `Differences.combine`."""
        kind, points = plan.kind[moved], plan.points[moved]
        if plan.method == COMPLEX:
            return np.where(kind == ROW_FIXED, 0, values[0, :, -1] / points[:, 0])[:, None]
        result = np.zeros(values.shape[1:], self.real_type)
        wide = self.real_type.char == "g"
        some = kind == ROW_CENTRAL
        for k, weight in enumerate(weights(True, plan.reach, 1, wide) if plan.reach else ()):
            pair, step = values[2 * k : 2 * k + 2, some], points[some, 2 * k] - points[some, 2 * k + 1]
            term = weight * self._quotient(pair[0] - pair[1], step, plan.reach)
            result[some] = term if k == 0 else result[some] + term
        some = kind == ROW_ONE_SIDED
        for k, weight in enumerate(weights(False, plan.one_sided, 1, wide)):
            term = weight * self._quotient(values[k, some] - base[some], points[some, k] - plan.x[moved][some],
                                           plan.one_sided)
            result[some] = term if k == 0 else result[some] + term
        return result

    def _quotient(self, difference, step, terms):
        """Differences by steps: by their reciprocals, if that is all and they have one."""
        inverse = 1 / step
        usable = np.isfinite(inverse) & (terms == 1) & (difference.shape[1] == 1)
        return np.where(usable[:, None], difference * inverse[:, None], difference / step[:, None])

    def difference(self, function, differences, colors, x, out):
        """Do it all for a function that is evaluated here: plan at x, evaluate, decompress.

        Parameters
        ----------
        function : PythonFunction or NativeFunction
        differences, colors : Differences
            Of all columns, as for `plan`; and with one row for each colour, as for `decompress`, whose points are
            planned for steps of 1.
        x, out
            As for these.

        Returns
        -------
        code, bad, one_sided, unresolved : int
            What `Differences.evaluate` says; UNSUITED, before f is called, when f at x itself is needed by some columns
            of a central difference; how many numbers are not finite; and what `plan` says.
        """
        one_sided, unresolved = self.plan(differences, x)
        if one_sided and self.central:
            return UNSUITED, 0, one_sided, unresolved
        function.begin(x)
        function.in_groups(self)
        colors.plan(np.zeros(self.count, self.dtype))
        bad = 0
        for first in range(0, self.count, max(colors.block, 1)):
            last = min(first + colors.block, self.count)
            code = colors.evaluate(function, first, last)
            if code != GOOD:
                return code, bad, one_sided, unresolved
            bad += self.decompress(colors, first, last, out)
        return function.finish(), bad, one_sided, unresolved
