"""Sparse patterns: what the user gives for one, and which of its columns can be moved together.

Here so that a sparse Jacobian costs a few evaluations of f, not one or two for each entry of x; the colourings are in
kernels/coloring.pyx and reference/coloring.py, and what is done with them in compressed.py. Tested in
tests/test_sparsity.py and tests/test_coloring.py.
"""

import copy

import numpy as np

from .backends import current
from .options import as_count
from .reference.coloring import INCIDENCE_DEGREE, LARGEST_FIRST, NATURAL, SMALLEST_LAST

__all__ = ["Coloring", "color"]

ORDERS = {
    "natural": NATURAL,
    "smallest-last": SMALLEST_LAST,
    "incidence-degree": INCIDENCE_DEGREE,
    "largest-first": LARGEST_FIRST,
}
# Orders other than the natural one look at every pair of entries in a row: they are tried unless there are so many
# times more of those than entries.
PAIRS = 256


class Coloring:
    """Columns of a sparse pattern in groups that can be moved together; made by `color`, taken for ``sparsity=``.

    Attributes
    ----------
    pattern : scipy.sparse.csr_array of bool, (m, n)
        A copy. Every stored entry counts, whatever it holds.
    colors : ndarray of int, (n,)
        The colour of each column, from 0.
    count : int
        How many colours there are.
    order : str
        The order in which the columns were coloured.
    symmetric : bool
        It is a star colouring: each entry of a symmetric matrix is read from one of its two places.
    """

    def __init__(self, shape, indptr, indices, colors, order, symmetric=False):
        self.shape, self.order, self.symmetric = shape, order, symmetric
        self.indptr, self.indices, self.colors = indptr, indices, colors
        for array in (indptr, indices, colors):
            array.flags.writeable = False
        self.count = int(colors.max(initial=-1)) + 1
        self._plan = self._like = None

    @property
    def pattern(self):
        """The pattern, as a new array."""
        return self.array(np.ones(self.indices.size, bool))

    def __repr__(self):
        m, n = self.shape
        kind = "star colouring" if self.symmetric else "colouring"
        return (f"<{kind} of a {m} by {n} pattern with {self.indices.size} entries: {self.count} "
                f"colour{'s' * (self.count != 1)}, {self.order} order>")

    def __reduce__(self):
        return _restored, (self.pattern, np.array(self.colors), self.order, self.symmetric)

    def array(self, data):
        """A csr_array of this pattern with some data, and index arrays of its own."""
        if self._like is None:
            from scipy.sparse import csr_array

            kind = np.int32 if max(*self.shape, self.indices.size) < 2**31 else np.int64    # as SciPy would choose
            indices, indptr = self.indices.astype(kind), self.indptr.astype(kind)
            self._like = csr_array((np.empty(indices.size), indices, indptr), shape=self.shape)
            self._like.has_canonical_format = True
        array = copy.copy(self._like)   # a third of the time that its constructor takes
        array.data, array.indices, array.indptr = data, array.indices.copy(), array.indptr.copy()
        return array

    def sources(self):
        """The row that shows each entry, and the column that is moved for it."""
        if self.symmetric:
            return current().star_sources(self.indptr, self.indices, self.colors)
        return rows_of(self.indptr), self.indices

    def plan(self):
        """Return ``(starts, columns, first, rows, places)``: what a compressed difference goes through, in order.

        The columns of colour c are ``columns[starts[c]:starts[c + 1]]``; the k-th of all these columns shows its
        entries in ``rows[first[k]:first[k + 1]]``, and the pattern has them at the same part of `places`.
        """
        if self._plan is None:
            group, n = current().group, self.shape[1]
            starts, columns = group(self.colors, self.count)
            rank = np.empty(n, np.intp)
            rank[columns] = np.arange(n)
            rows, moved = self.sources()
            first, places = group(rank[moved], n)
            self._plan = starts, columns, first, np.ascontiguousarray(rows[places]), places
        return self._plan


def _restored(pattern, colors, order, symmetric):
    """A colouring from a pickle, checked as if the user had made it."""
    pattern, colors = read(pattern, "pattern"), np.ascontiguousarray(colors, np.intp)
    shape, indptr, indices = pattern
    if order not in ORDERS or colors.shape != shape[1:] or (colors < 0).any() or colors.max(initial=-1) >= shape[1]:
        raise ValueError("this is no colouring of its pattern")
    coloring = Coloring(shape, indptr, indices, colors, order, bool(symmetric))
    if symmetric:
        coloring.sources()
    elif np.unique(rows_of(indptr) * max(shape[1], 1) + colors[indices]).size < indices.size:
        raise ValueError("this is no colouring of its pattern: some row has two columns of one colour")
    return coloring


def color(pattern, *, order="best", symmetric=False):
    """Group the columns of a pattern so that every group can be moved at once.

    Parameters
    ----------
    pattern : sparse array or matrix, array_like of bool, or Coloring
        Where a Jacobian of shape (m, n) may be other than zero: the stored entries of a SciPy array, stored zeros
        included, or what is true in a dense one.
    order : {"best", "natural", "smallest-last", "incidence-degree", "largest-first"}, optional
        In which order columns are given the first colour that fits [2]_ [3]_. ``"best"`` takes the natural order when
        it needs as many colours as the fullest row has entries, than which there are no fewer; else it tries the
        others, too, and keeps the best: it is never worse than the natural order.
    symmetric : bool, optional
        The matrix is symmetric, a Hessian: columns may be in one group as long as each entry stands alone in one of
        its two places [4]_ [5]_, for which fewer colours are enough.

    Returns
    -------
    Coloring
        With ``colors``, one for each column, and ``count``. It can be given wherever ``sparsity=`` is: what it takes
        to colour is then spent once.

    Raises
    ------
    TypeError, ValueError
        When `pattern` is none, or not symmetric where it must be.

    References
    ----------
    .. [1] A. R. Curtis, M. J. D. Powell, J. K. Reid, "On the estimation of sparse Jacobian matrices", J. Inst. Maths
       Applics 13 (1974) 117-119.
    .. [2] T. F. Coleman, J. J. Moré, "Estimation of sparse Jacobian matrices and graph coloring problems", SIAM J.
       Numer. Anal. 20 (1983) 187-209.
    .. [3] A. H. Gebremedhin, F. Manne, A. Pothen, "What color is your Jacobian? Graph coloring for computing
       derivatives", SIAM Review 47 (2005) 629-705.
    .. [4] T. F. Coleman, J. J. Moré, "Estimation of sparse Hessian matrices and graph coloring problems", Math.
       Programming 28 (1984) 243-270.
    .. [5] A. H. Gebremedhin, A. Tarafdar, F. Manne, A. Pothen, "New acyclic and star coloring algorithms with
       application to computing Hessians", SIAM J. Sci. Comput. 29 (2007) 1042-1072.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> tridiagonal = abs(np.subtract.outer(range(6), range(6))) <= 1
    >>> coloring = sd.sparsity.color(tridiagonal)
    >>> coloring.count, coloring.colors
    (3, array([0, 1, 2, 0, 1, 2]))
    """
    if order != "best" and order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(map(repr, ('best', *ORDERS)))}, not {order!r}")
    if not isinstance(symmetric, (bool, np.bool_)):
        raise TypeError(f"symmetric must be True or False, not {symmetric!r}")
    shape, indptr, indices = read(pattern, "pattern")
    return colored(shape, indptr, indices, order, symmetric)


def colored(shape, indptr, indices, order="best", symmetric=False):
    """Colour a pattern that was read."""
    if symmetric:
        if shape[0] != shape[1]:
            raise ValueError(f"a symmetric pattern must be square, but this one has shape {shape}")
        colors_of, least, thorough = _star_colorer(indptr, indices)
        return _best(order, shape, indptr, indices, colors_of, least, thorough, True)
    by_column, rows = current().transposed(indptr, indices, shape[1])

    def colors_by(name):
        """The colours in some order."""
        sequence = current().ordering(indptr, indices, by_column, rows, ORDERS[name]) if name != "natural" else None
        return current().first_fit(by_column, rows, shape[0], sequence)

    lengths = np.diff(indptr)
    return _best(order, shape, indptr, indices, colors_by, int(lengths.max(initial=min(1, shape[1]))),
                 float(lengths @ lengths) <= PAIRS * indices.size)


def _star_colorer(indptr, indices):
    """``(what colours in some order, the least number of colours, whether all orders are to be tried)``."""
    count = indptr.size - 1
    rows = rows_of(indptr)
    upper = np.flatnonzero(rows < indices)
    edges = np.stack([rows[upper], indices[upper]], axis=1).reshape(-1)     # a row for each edge, with both its ends
    ends = np.arange(0, edges.size + 1, 2, dtype=np.intp)
    by_vertex, of_vertex = current().transposed(ends, edges, count)

    def colors_by(name):
        sequence = current().ordering(ends, edges, by_vertex, of_vertex, ORDERS[name]) if name != "natural" else None
        return current().star_coloring(indptr, indices, sequence)

    return colors_by, min(count, 2 if upper.size else 1), True


def _best(order, shape, indptr, indices, colors_by, least, thorough, symmetric=False):
    """The colouring in the order that was asked for, or the best of all."""
    names = (ORDERS if thorough else ["natural"]) if order == "best" else [order]
    best = None
    for name in names:
        coloring = Coloring(shape, indptr, indices, colors_by(name), name, symmetric)
        if best is None or coloring.count < best.count:
            best = coloring
        if best.count <= least:
            break
    return best


def rows_of(indptr):
    """The row of each entry."""
    return np.repeat(np.arange(indptr.size - 1, dtype=np.intp), np.diff(indptr))


def read(pattern, name="sparsity", count=None):
    """Return ``(shape, indptr, indices)`` of a pattern: columns in order and each once, arrays of intp that are ours.

    `count` is the number of columns there must be, and the size of a pattern that is given by its band widths.
    """
    if isinstance(pattern, Coloring):
        found = pattern.shape, pattern.indptr, pattern.indices
    elif isinstance(pattern, tuple) and len(pattern) == 2 and all(hasattr(width, "__index__") for width in pattern):
        found = _band(pattern, name, count)
    elif hasattr(pattern, "tocsr") and hasattr(pattern, "nnz"):
        found = _stored(pattern, name)
    else:
        found = _dense(pattern, name)
    shape = found[0]
    if count is not None and shape[1] != count:
        raise ValueError(f"{name} must have one column for each of the {count} entries of x, but has shape {shape}")
    return found


def _band(widths, name, count):
    """The pattern of a square matrix with so many diagonals below and above the main one."""
    if count is None:
        raise TypeError(f"{name} must be an array: band widths do not tell how large it is")
    lower, upper = (min(as_count(width, f"each band width in {name}", at_least=0), max(count - 1, 0))
                    for width in widths)
    rows = np.arange(count)
    first, last = np.maximum(rows - lower, 0), np.minimum(rows + upper + 1, count)
    indptr = np.zeros(count + 1, np.intp)
    np.cumsum(last - first, out=indptr[1:])
    indices = np.arange(indptr[-1], dtype=np.intp) - np.repeat(indptr[:-1] - first, last - first)
    return (count, count), indptr, indices.astype(np.intp)


def _dense(pattern, name):
    if pattern is None or isinstance(pattern, (str, bytes, dict, set)):
        raise TypeError(f"{name} must be a sparse array, an array of bool or a pair of band widths, "
                        f"not {type(pattern).__name__}")
    try:
        array = np.asarray(pattern)
    except ValueError as error:
        raise ValueError(f"{name} must be a sparse array or an array of bool: {error}") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name} must be a sparse array, an array of bool or a pair of band widths, "
                        f"not an array of {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, but has shape {array.shape}")
    rows, columns = np.nonzero(array)
    indptr = np.zeros(array.shape[0] + 1, np.intp)
    np.cumsum(np.bincount(rows, minlength=array.shape[0]), out=indptr[1:])
    return array.shape, indptr, np.ascontiguousarray(columns, np.intp)


def _stored(pattern, name):
    """The stored entries of a sparse array, whose index arrays anybody may have changed."""
    if getattr(pattern, "ndim", 2) != 2:
        raise ValueError(f"{name} must have two dimensions, but has shape {pattern.shape}")
    try:
        if pattern.format not in ("csr", "csc", "coo"):
            pattern = pattern.tocsr()
        (m, n), transposed = pattern.shape, current().transposed
        if pattern.format == "coo":
            indptr, members = current().group(_own(pattern.row), m)
            indices = _own(pattern.col)[members]
        elif pattern.format == "csc":
            indptr, indices = transposed(*_taken(pattern, n), m)
        else:
            indptr, indices = _taken(pattern, m)
            if pattern.has_canonical_format and (indices.size == 0 or 0 <= indices.min() <= indices.max() < n):
                return (m, n), indptr, indices
        indptr, indices = transposed(*transposed(indptr, indices, n), m)    # which brings columns in order
    except ValueError as error:
        raise ValueError(f"{name} is no sound sparse array: {error}") from None
    return (m, n), *_each_once(indptr, indices)


def _own(indices):
    """A copy of an index array."""
    return np.array(indices, np.intp, order="C")


def _taken(pattern, extent):
    """Copies of the index arrays of a compressed pattern, which fit each other and its shape."""
    indptr = _own(pattern.indptr)
    if indptr.shape != (extent + 1,) or indptr[0] != 0 or (np.diff(indptr) < 0).any():
        raise ValueError("its indptr is damaged")
    indices = _own(pattern.indices)[: indptr[-1]]
    if indices.size != indptr[-1]:
        raise ValueError("it has fewer indices than its indptr says")
    return indptr, indices


def _each_once(indptr, indices):
    """The same without repeated entries."""
    rows = rows_of(indptr)
    new = np.ones(indices.size, bool)
    new[1:] = (rows[1:] != rows[:-1]) | (indices[1:] != indices[:-1])
    if not new.all():
        indices = indices[new]
        np.cumsum(np.bincount(rows[new], minlength=indptr.size - 1), out=indptr[1:])
    return indptr, indices
