"""Colourings of sparse patterns in plain Python: the twin of kernels/coloring.pyx.

Here to be read (this is the combinatorics) and to be compared with: the kernel gives the same colours. Tested in
tests/test_coloring.py.

A pattern comes as in compressed rows: the columns of row i are ``indices[indptr[i]:indptr[i + 1]]``. Columns that
share no row can be moved together, and every row still tells which of them has changed it [Curtis, Powell, Reid 1974,
J. Inst. Maths Applics 13, 117-119]: that is a colouring of the column intersection graph, in which two columns are
neighbours when some row has both. A symmetric matrix needs fewer: a star colouring of its adjacency graph, in which
neighbours differ and no path of four vertices has two colours only, lets each entry be read from one of its two places
[Coleman, Moré 1984, Math. Programming 28, 243-270].
"""

from itertools import pairwise

import numpy as np

__all__ = [
    "INCIDENCE_DEGREE", "LARGEST_FIRST", "NATURAL", "SMALLEST_LAST", "first_fit", "group", "ordering", "star_coloring",
    "star_sources", "transposed",
]

NATURAL, LARGEST_FIRST, SMALLEST_LAST, INCIDENCE_DEGREE = range(4)


def _check(indptr, indices, count):
    """Refuse arrays that are no pattern with so many columns."""
    if indptr.size == 0 or indptr[0] != 0 or indptr[-1] != indices.size or (np.diff(indptr) < 0).any():
        raise ValueError("indptr does not fit the indices")
    if indices.size and not 0 <= indices.min() <= indices.max() < count:
        raise ValueError(f"indices must lie from 0 to {count - 1}")


def group(keys, count):
    """Sort by small keys: where each of `count` groups begins (and the last one ends), and its members, in order.

    Parameters
    ----------
    keys : array of intp
        From 0 to `count` - 1.
    count : int

    Returns
    -------
    starts, members : arrays of intp, (count + 1,) and (keys.size,)

    Examples
    --------
    >>> starts, members = group(np.array([1, 0, 1]), 2)
    >>> starts.tolist(), members.tolist()
    ([0, 1, 3], [1, 0, 2])
    """
    _check(np.array([0, keys.size]), keys, count)
    starts = np.zeros(count + 1, np.intp)
    np.cumsum(np.bincount(keys, minlength=count), out=starts[1:])
    return starts, np.argsort(keys, kind="stable").astype(np.intp)


def transposed(indptr, indices, count):
    """Return the rows of each of `count` columns, in order: ``(indptr, indices)`` of the transpose."""
    _check(indptr, indices, count)
    starts, members = group(indices, count)
    rows = np.repeat(np.arange(indptr.size - 1, dtype=np.intp), np.diff(indptr))
    return starts, rows[members]


def _neighbours(column, indptr, indices, by_column, rows):
    """The other columns that share a row with a column, each once, in the order in which they are met."""
    met = dict.fromkeys(
        int(other)
        for row in rows[by_column[column] : by_column[column + 1]]
        for other in indices[indptr[row] : indptr[row + 1]]
    )
    met.pop(column, None)
    return list(met)


def ordering(indptr, indices, by_column, rows, order):
    """Return the sequence in which columns are to be coloured.

    Largest first: by falling degree in the column intersection graph. Smallest last: the last is a column of least
    degree, the one before it a column of least degree among the rest, and so on. Incidence degree: next comes a column
    with the most neighbours among those before it [Coleman, Moré 1983, SIAM J. Numer. Anal. 20, 187-209; Gebremedhin,
    Manne, Pothen 2005, SIAM Review 47, 629-705]. Among equals it is the one whose number has changed last, and before
    any change the first (of the largest degree, for the incidence degree).

    Parameters
    ----------
    indptr, indices : arrays of intp
        The columns of each row.
    by_column, rows : arrays of intp
        The rows of each column: `transposed` of the former.
    order : int
        NATURAL, LARGEST_FIRST, SMALLEST_LAST or INCIDENCE_DEGREE.

    Returns
    -------
    array of intp
    """
    count = by_column.size - 1
    _check(indptr, indices, count)
    _check(by_column, rows, indptr.size - 1)
    if order == NATURAL:
        return np.arange(count, dtype=np.intp)
    neighbours = [_neighbours(j, indptr, indices, by_column, rows) for j in range(count)]
    degrees = [len(others) for others in neighbours]
    falling = sorted(range(count), key=lambda j: -degrees[j])
    if order == LARGEST_FIRST:
        return np.array(falling, np.intp)
    if order not in (SMALLEST_LAST, INCIDENCE_DEGREE):
        raise ValueError("no such order")
    smallest = order == SMALLEST_LAST
    numbers = degrees if smallest else [0] * count
    piles: list[list[int]] = [[] for _ in range(max(degrees, default=0) + 1)]  # of columns by number
    for j in reversed(range(count) if smallest else falling):
        piles[numbers[j]].append(j)
    done, sequence = [False] * count, []
    for _ in range(count):
        at = 0 if smallest else len(piles) - 1
        while True:     # what was moved to another pile, or is done, is still in the old one
            while piles[at] and (done[piles[at][-1]] or numbers[piles[at][-1]] != at):
                piles[at].pop()
            if piles[at]:
                break
            at += 1 if smallest else -1
        column = piles[at].pop()
        done[column] = True
        sequence.append(column)
        for other in neighbours[column]:
            if not done[other]:
                numbers[other] += -1 if smallest else 1
                piles[numbers[other]].append(other)
    return np.array(sequence[::-1] if smallest else sequence, np.intp)


def first_fit(by_column, rows, row_count, sequence=None):
    """Colour columns one after the other, each with the first colour that no column before it has in any of its rows.

    Parameters
    ----------
    by_column, rows : arrays of intp
        The rows of each column.
    row_count : int
    sequence : array of intp, optional
        All columns, in the order in which they are coloured; from the first to the last by default.

    Returns
    -------
    array of intp
        The colour of each column, from 0.

    Examples
    --------
    >>> first_fit(np.array([0, 1, 2, 4]), np.array([0, 1, 0, 1]), 2).tolist()
    [0, 0, 1]
    """
    count = by_column.size - 1
    _check(by_column, rows, row_count)
    sequence = _sequence(sequence, count)
    seen: list[set[int]] = [set() for _ in range(row_count)]
    colors = np.zeros(count, np.intp)
    for column in sequence:
        own = rows[by_column[column] : by_column[column + 1]]
        color = _first_not_in(set().union(*(seen[row] for row in own)))
        colors[column] = color
        for row in own:
            seen[row].add(color)
    return colors


def _sequence(sequence, count):
    if sequence is None:
        return np.arange(count, dtype=np.intp)
    if sequence.size != count or not np.array_equal(np.sort(sequence), np.arange(count)):
        raise ValueError("the sequence must name every column once")
    return sequence


def _first_not_in(taken):
    color = 0
    while color in taken:
        color += 1
    return color


def star_coloring(indptr, indices, sequence=None):
    """Colour the vertices of a symmetric pattern: neighbours differ, and no path of four vertices has two colours only.

    Any two colours then span stars, which are kept as the colouring goes on [Gebremedhin, Tarafdar, Manne, Pothen 2007,
    SIAM J. Sci. Comput. 29, 1042-1072, the algorithm of section 5]: each edge belongs to one, and a star of two edges
    and more has a hub. What a vertex v must not have is the colour of a neighbour w; that of the hub x of a star that
    the edge w-x belongs to; and, where v has two neighbours of the same colour, the colours of all their neighbours.

    Parameters
    ----------
    indptr, indices : arrays of intp
        A symmetric pattern, the columns of each row in order; entries on the diagonal do not matter.
    sequence : array of intp, optional
        As for `first_fit`.

    Returns
    -------
    array of intp
    """
    count = indptr.size - 1
    _check(indptr, indices, count)
    edge = _edges(indptr, indices)
    star: dict = {}             # of each edge, once both its ends are coloured
    hub: list = []              # of each star; -1 while it has one edge
    colors = np.full(count, -1, np.intp)

    def coloured(v):
        return [(int(indices[e]), edge[e]) for e in range(indptr[v], indptr[v + 1])
                if indices[e] != v and colors[indices[e]] >= 0]

    for v in _sequence(sequence, count):
        forbidden = set()
        first: dict = {}        # the first neighbour of each colour, and the edge to it
        for w, at in coloured(v):
            forbidden.add(int(colors[w]))
            if colors[w] in first:
                for middle in (first[colors[w]][0], w):
                    forbidden.update(int(colors[x]) for x, _ in coloured(middle))
            else:
                first[colors[w]] = w, at
                forbidden.update(int(colors[x]) for x, other in coloured(w) if hub[star[other]] == x)
        colors[v] = _first_not_in(forbidden)
        for w, at in coloured(v):
            joined = [other for x, other in coloured(w) if x != v and colors[x] == colors[v]]
            q, other = first[colors[w]]
            if joined:
                star[at] = star[joined[0]]
                hub[star[at]] = w
            elif q != w:
                star[at] = star[other]
                hub[star[at]] = v
            else:
                star[at] = len(hub)
                hub.append(-1)
    return colors


def _edges(indptr, indices):
    """The number of the edge that each entry is: the same for (i, j) and (j, i), in the order of the upper triangle."""
    refuse_asymmetric(indptr, indices)
    known: dict = {}
    return np.array([known.setdefault((min(v, w), max(v, w)), len(known)) if v != w else -1
                     for v, w in _entries(indptr, indices)], np.intp)


def _entries(indptr, indices):
    rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    return list(zip(rows.tolist(), indices.tolist(), strict=True))


def refuse_asymmetric(indptr, indices):
    """Raise the ValueError that names the first entry without a counterpart, or out of order."""
    entries = _entries(indptr, indices)
    for before, after in pairwise(entries):
        if before >= after:
            raise ValueError(f"the columns of a row must come in order, each once, but row {after[0]} has {after[1]} "
                             f"after {before[1]}")
    known = set(entries)
    for i, j in entries:
        if (j, i) not in known:
            raise ValueError(f"the pattern must be symmetric, but has entry ({i}, {j}) and not ({j}, {i})")


def star_sources(indptr, indices, colors):
    """Tell where each entry of a symmetric matrix is read from, given a star colouring.

    Entry (i, j) stands alone in row i of the sum of the columns that have the colour of j, unless row i has another
    entry of that colour; then it stands alone in row j of the sum of those that have the colour of i. Entries (i, j)
    and (j, i) are read from the same place, so that the matrix comes out symmetric to the last bit.

    Parameters
    ----------
    indptr, indices : arrays of intp
        As for `star_coloring`.
    colors : array of intp

    Returns
    -------
    rows, columns : arrays of intp, (indices.size,)
        The row, and the column that is moved.
    """
    count = indptr.size - 1
    _check(indptr, indices, count)
    _check(np.array([0, colors.size]), colors, max(count, 1))
    if colors.size != count:
        raise ValueError("colors must have one colour for each column")
    alone = np.zeros(indices.size, bool)
    refuse_asymmetric(indptr, indices)
    for i in range(count):
        own = indices[indptr[i] : indptr[i + 1]]
        alone[indptr[i] : indptr[i + 1]] = np.bincount(colors[own], minlength=1)[colors[own]] == 1
    entries = _entries(indptr, indices)
    stands_alone = dict(zip(entries, alone, strict=True))
    rows, columns = np.empty(indices.size, np.intp), np.empty(indices.size, np.intp)
    for e, (i, j) in enumerate(entries):
        i, j = min(i, j), max(i, j)
        if not stands_alone[i, j]:
            i, j = j, i
        if not stands_alone[i, j]:
            raise ValueError(f"the colours are no star colouring: entry ({i}, {j}) stands alone nowhere")
        rows[e], columns[e] = i, j
    return rows, columns
