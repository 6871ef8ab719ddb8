"""Colourings of sparse patterns. The twin of reference/coloring.py, where the meaning of everything stands.

Here because a pattern is coloured anew with every Jacobian that is not prepared: this should cost less than one call
of f. Tested in tests/test_coloring.py.

What limits it: memory, read once for each entry. First fit looks at a word of 64 colours for each row, not at the
neighbours of a column, of which there are as many as the squares of the rows add up to; the other orders, and star
colourings, have to look at those.
"""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from libc.string cimport memset

import numpy as np

from steepest.reference import coloring as twin

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

cdef extern from *:
    """
    /* The number of the lowest bit that is not set; 64 when all are. */
    static inline int steepest_lowest_clear(unsigned long long word)
    {
        int at = 0;
        if (word == ~0ULL)
            return 64;
    #if defined(__GNUC__)
        at = __builtin_ctzll(~word);
    #else
        while (word >> at & 1)
            at++;
    #endif
        return at;
    }
    """
    int steepest_lowest_clear(uint64_t word) noexcept nogil

cdef enum:
    NATURAL = 0
    LARGEST_FIRST = 1
    SMALLEST_LAST = 2
    INCIDENCE_DEGREE = 3

cdef enum:
    WORD = 64           # colours that one word of a row can hold
    LATER = -1          # the colour of a column that these words have no room for
    PATIENCE = 1 << 20  # entries between two looks for Ctrl-C


cdef Py_ssize_t *numbers_in(cnp.ndarray array) except NULL:
    """The numbers of an array of intp."""
    if (array is None or cnp.PyArray_TYPE(array) != cnp.NPY_INTP or cnp.PyArray_NDIM(array) != 1
            or not cnp.PyArray_ISCARRAY_RO(array)):
        raise TypeError("a C-contiguous, one-dimensional array of intp was expected")
    return <Py_ssize_t *>PyArray_DATA(array)


cdef Py_ssize_t check(cnp.ndarray indptr, cnp.ndarray indices, Py_ssize_t count) except -1:
    """Refuse arrays that are no pattern with so many columns; returns how many rows there are."""
    cdef const Py_ssize_t *starts = numbers_in(indptr)
    cdef const Py_ssize_t *columns = numbers_in(indices)
    cdef Py_ssize_t i, entries = indices.size, rows = indptr.size - 1
    cdef bint bad = rows < 0 or starts[0] != 0 or starts[rows] != entries
    for i in range(rows):
        bad |= starts[i] > starts[i + 1]
    if bad:
        raise ValueError("indptr does not fit the indices")
    check_keys(columns, entries, count)
    return rows


cdef int check_keys(const Py_ssize_t *keys, Py_ssize_t size, Py_ssize_t count) except -1:
    cdef Py_ssize_t i
    cdef bint bad = False
    for i in range(size):
        bad |= keys[i] < 0 or keys[i] >= count
    if bad:
        raise ValueError(f"indices must lie from 0 to {count - 1}")
    return 0


cdef Py_ssize_t *room_for(Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) except NULL:
    """Memory for ``a * b + c`` numbers."""
    if a < 0 or b < 0 or c < 0 or (a and b > (PY_SSIZE_T_MAX // <Py_ssize_t>sizeof(Py_ssize_t) - c - 1) // a):
        raise OverflowError("the pattern would need more memory than can be addressed")
    cdef Py_ssize_t *memory = <Py_ssize_t *>PyMem_Malloc((a * b + c + 1) * sizeof(Py_ssize_t))
    if memory == NULL:
        raise MemoryError(f"no memory to colour a pattern of {b} columns")
    return memory


cdef cnp.ndarray new(Py_ssize_t size):
    return np.empty(size, np.intp)


cdef int answer_signals() except -1 with gil:
    return PyErr_CheckSignals()


cdef void fill(Py_ssize_t *numbers, Py_ssize_t count, Py_ssize_t value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        numbers[i] = value


cdef void begin_groups(const Py_ssize_t *keys, Py_ssize_t size, Py_ssize_t *starts, Py_ssize_t count) noexcept nogil:
    """Where each group begins, from how many keys there are of each: the start of g is in starts[g + 1] for now."""
    cdef Py_ssize_t i, sum = 0, here
    fill(starts, count + 1, 0)
    for i in range(size):
        starts[keys[i] + 1] += 1
    for i in range(1, count + 1):
        here = starts[i]
        starts[i] = sum
        sum += here


def group(cnp.ndarray keys not None, Py_ssize_t count):
    """Sort by small keys: where each of `count` groups begins (and the last one ends), and its members, in order."""
    cdef const Py_ssize_t *own = numbers_in(keys)
    cdef Py_ssize_t i, size = keys.size
    check_keys(own, size, count)
    if count < 0:
        raise ValueError("count must not be negative")
    starts, members = new(count + 1), new(size)
    cdef Py_ssize_t *at = numbers_in(starts)
    cdef Py_ssize_t *to = numbers_in(members)
    with nogil:
        begin_groups(own, size, at, count)
        for i in range(size):
            to[at[own[i] + 1]] = i
            at[own[i] + 1] += 1
    return starts, members


def transposed(cnp.ndarray indptr not None, cnp.ndarray indices not None, Py_ssize_t count):
    """Return the rows of each of `count` columns, in order: ``(indptr, indices)`` of the transpose."""
    cdef Py_ssize_t i, e, rows = check(indptr, indices, count)
    starts, members = new(max(count, 0) + 1), new(indices.size)
    cdef const Py_ssize_t *begin = numbers_in(indptr)
    cdef const Py_ssize_t *column = numbers_in(indices)
    cdef Py_ssize_t *at = numbers_in(starts)
    cdef Py_ssize_t *to = numbers_in(members)
    with nogil:
        begin_groups(column, begin[rows], at, count)
        for i in range(rows):
            for e in range(begin[i], begin[i + 1]):
                to[at[column[e] + 1]] = i
                at[column[e] + 1] += 1
    return starts, members


cdef struct Graph:
    # the columns of each row, the rows of each column, and for each column who has met it last
    const Py_ssize_t *begin
    const Py_ssize_t *column
    const Py_ssize_t *by_column
    const Py_ssize_t *row
    Py_ssize_t *met
    Py_ssize_t count, work


cdef Py_ssize_t find_neighbours(Graph *graph, Py_ssize_t column, Py_ssize_t *found) except -1 nogil:
    """The other columns that share a row with a column, each once, in the order in which they are met."""
    cdef Py_ssize_t k, e, row, other, count = 0
    graph.met[column] = column
    for k in range(graph.by_column[column], graph.by_column[column + 1]):
        row = graph.row[k]
        graph.work += graph.begin[row + 1] - graph.begin[row]
        for e in range(graph.begin[row], graph.begin[row + 1]):
            other = graph.column[e]
            if graph.met[other] != column:
                graph.met[other] = column
                found[count] = other
                count += 1
        if graph.work > PATIENCE:
            graph.work = 0
            answer_signals()
    return count


cdef struct Piles:
    # columns by number, as doubly linked lists: what was put on a pile last is taken first
    Py_ssize_t *top
    Py_ssize_t *below
    Py_ssize_t *above
    Py_ssize_t *number


cdef inline void put_on(Piles *piles, Py_ssize_t column) noexcept nogil:
    cdef Py_ssize_t at = piles.number[column], top = piles.top[at]
    piles.below[column], piles.above[column] = top, -1
    if top >= 0:
        piles.above[top] = column
    piles.top[at] = column


cdef inline void take_off(Piles *piles, Py_ssize_t column) noexcept nogil:
    cdef Py_ssize_t below = piles.below[column], above = piles.above[column]
    if above >= 0:
        piles.below[above] = below
    else:
        piles.top[piles.number[column]] = below
    if below >= 0:
        piles.above[below] = above


def ordering(cnp.ndarray indptr not None, cnp.ndarray indices not None, cnp.ndarray by_column not None,
             cnp.ndarray rows not None, int order):
    """Return the sequence in which columns are to be coloured."""
    cdef Py_ssize_t count = by_column.size - 1, i
    check(indptr, indices, count)
    check(by_column, rows, indptr.size - 1)
    if not NATURAL <= order <= INCIDENCE_DEGREE:
        raise ValueError("no such order")
    sequence = np.arange(count, dtype=np.intp)
    if order == NATURAL or count == 0:
        return sequence
    cdef Py_ssize_t *memory = room_for(8, count, 0)
    cdef Graph graph
    graph.begin, graph.column = numbers_in(indptr), numbers_in(indices)
    graph.by_column, graph.row = numbers_in(by_column), numbers_in(rows)
    graph.met, graph.count, graph.work = memory, count, 0
    cdef Piles piles
    piles.top, piles.below, piles.above, piles.number = (
        memory + count, memory + 2 * count, memory + 3 * count, memory + 4 * count)
    cdef Py_ssize_t *found = memory + 5 * count
    cdef Py_ssize_t *degree = memory + 6 * count
    cdef Py_ssize_t *falling = memory + 7 * count
    cdef Py_ssize_t *result = numbers_in(sequence)
    try:
        with nogil:
            fill(graph.met, count, -1)
            for i in range(count):
                degree[i] = find_neighbours(&graph, i, found)
            sort_falling(degree, count, falling, piles.top)
            if order == LARGEST_FIRST:
                for i in range(count):
                    result[i] = falling[i]
            else:
                by_piles(&graph, &piles, order == SMALLEST_LAST, degree, falling, found, result)
    finally:
        PyMem_Free(memory)
    return sequence


cdef void sort_falling(const Py_ssize_t *degree, Py_ssize_t count, Py_ssize_t *falling,
                       Py_ssize_t *often) noexcept nogil:
    """The columns by falling degree, equal ones in their order; a degree is less than the number of columns."""
    cdef Py_ssize_t i, sum = 0, here
    fill(often, count, 0)
    for i in range(count):
        often[degree[i]] += 1
    for i in range(count - 1, -1, -1):
        here = often[i]
        often[i] = sum
        sum += here
    for i in range(count):
        falling[often[degree[i]]] = i
        often[degree[i]] += 1


cdef int by_piles(Graph *graph, Piles *piles, bint smallest, const Py_ssize_t *degree, const Py_ssize_t *falling,
                  Py_ssize_t *found, Py_ssize_t *result) except -1 nogil:
    """Smallest last, or by incidence degree: the next column is on top of the lowest, or of the highest, pile."""
    cdef Py_ssize_t i, k, neighbours, column, other, at = 0, count = graph.count
    fill(piles.top, count, -1)
    fill(graph.met, count, -1)
    for i in range(count - 1, -1, -1):
        column = i if smallest else falling[i]
        piles.number[column] = degree[column] if smallest else 0
        put_on(piles, column)
    for i in range(count):
        if smallest:
            at = max(at - 1, 0)
            while piles.top[at] < 0:
                at += 1
        else:
            at = min(at + 1, count - 1)
            while piles.top[at] < 0:
                at -= 1
        column = piles.top[at]
        take_off(piles, column)
        piles.number[column] = -1
        result[count - 1 - i if smallest else i] = column
        neighbours = find_neighbours(graph, column, found)
        for k in range(neighbours):
            other = found[k]
            if piles.number[other] >= 0:
                take_off(piles, other)
                piles.number[other] += -1 if smallest else 1
                put_on(piles, other)
    return 0


def first_fit(cnp.ndarray by_column not None, cnp.ndarray rows not None, Py_ssize_t row_count,
              cnp.ndarray sequence=None):
    """Colour columns one after the other, each with the first colour that no column before it has in any of its rows.

    In rounds of 64 colours: what does not fit into those of one round is left, in its order, for the next.
    """
    cdef Py_ssize_t count = check(by_column, rows, row_count)
    colors = new(count)
    cdef Py_ssize_t *memory = room_for(2, count, row_count)
    cdef Py_ssize_t *waiting = memory
    cdef uint64_t *seen = <uint64_t *>(memory + 2 * count)
    cdef Py_ssize_t *color = numbers_in(colors)
    cdef const Py_ssize_t *begin = numbers_in(by_column)
    cdef const Py_ssize_t *row = numbers_in(rows)
    cdef Py_ssize_t left = count, base = 0
    try:
        take_sequence(sequence, count, waiting, memory + count)
        with nogil:
            while left:
                left = fit(begin, row, row_count, waiting, left, base, seen, color)
                base += WORD
    finally:
        PyMem_Free(memory)
    return colors


cdef int take_sequence(cnp.ndarray sequence, Py_ssize_t count, Py_ssize_t *copy, Py_ssize_t *scratch) except -1:
    """Copy a sequence that names every column once; from the first to the last where there is none."""
    cdef const Py_ssize_t *given
    cdef Py_ssize_t i
    if sequence is None:
        for i in range(count):
            copy[i] = i
        return 0
    given = numbers_in(sequence)
    fill(scratch, count, 0)
    cdef bint bad = sequence.size != count
    if not bad:
        for i in range(count):
            copy[i] = given[i]
            bad |= not 0 <= copy[i] < count or scratch[copy[i]]
            if bad:
                break
            scratch[copy[i]] = 1
    if bad:
        raise ValueError("the sequence must name every column once")
    return 0


cdef Py_ssize_t fit(const Py_ssize_t *begin, const Py_ssize_t *rows, Py_ssize_t row_count, Py_ssize_t *waiting,
                    Py_ssize_t count, Py_ssize_t base, uint64_t *seen, Py_ssize_t *color) except -1 nogil:
    """Give 64 colours from `base` on; what is still waiting comes to the front of `waiting`, and is counted."""
    cdef Py_ssize_t i, k, column, left = 0, work = 0
    cdef uint64_t taken
    cdef int lowest
    memset(seen, 0, row_count * sizeof(uint64_t))
    for i in range(count):
        column = waiting[i]
        taken = 0
        for k in range(begin[column], begin[column + 1]):
            taken |= seen[rows[k]]
        lowest = steepest_lowest_clear(taken)
        if lowest == WORD:
            waiting[left] = column
            left += 1
        else:
            color[column] = base + lowest
            for k in range(begin[column], begin[column + 1]):
                seen[rows[k]] |= <uint64_t>1 << lowest
        work += 1 + begin[column + 1] - begin[column]
        if work > PATIENCE:
            work = 0
            answer_signals()
    return left


cdef struct Stars:
    # a symmetric pattern, its colours so far, and the stars that its coloured edges belong to
    const Py_ssize_t *begin
    const Py_ssize_t *other
    Py_ssize_t *edge            # of each entry
    Py_ssize_t *star            # of each edge
    Py_ssize_t *hub             # of each star
    Py_ssize_t *color           # of each vertex
    Py_ssize_t *forbidden       # of each colour: the vertex that must not have it
    Py_ssize_t *whose           # of each colour: the vertex whose first neighbour of that colour ...
    Py_ssize_t *first           # ... this is
    Py_ssize_t *way             # ... over this edge
    Py_ssize_t *treated         # of each vertex: the vertex that must not have the colours of its neighbours
    Py_ssize_t stars, work


def star_coloring(cnp.ndarray indptr not None, cnp.ndarray indices not None, cnp.ndarray sequence=None):
    """Colour the vertices of a symmetric pattern: neighbours differ, and no path of four has two colours only."""
    cdef Py_ssize_t i, count = indptr.size - 1, entries = indices.size
    check(indptr, indices, count)
    colors = new(count)
    cdef Py_ssize_t *memory = room_for(7, count + 1, 3 * entries)
    cdef Py_ssize_t *waiting = memory
    cdef Stars stars
    stars.begin, stars.other, stars.color = numbers_in(indptr), numbers_in(indices), numbers_in(colors)
    stars.forbidden, stars.whose = memory + count + 1, memory + 2 * (count + 1)
    stars.first, stars.way = memory + 3 * (count + 1), memory + 4 * (count + 1)
    stars.treated = memory + 5 * (count + 1)
    stars.edge = memory + 7 * (count + 1)
    stars.star, stars.hub = stars.edge + entries, stars.edge + 2 * entries
    stars.stars = stars.work = 0
    try:
        take_sequence(sequence, count, waiting, stars.forbidden)
        if number_edges(stars.begin, stars.other, count, stars.edge, stars.first) < 0:
            twin.refuse_asymmetric(indptr, indices)
        with nogil:
            fill(stars.color, count, -1)
            fill(stars.forbidden, 6 * (count + 1), -1)
            for i in range(count):
                choose_color(&stars, waiting[i])
                join_stars(&stars, waiting[i])
    finally:
        PyMem_Free(memory)
    return colors


cdef Py_ssize_t number_edges(const Py_ssize_t *begin, const Py_ssize_t *other, Py_ssize_t count, Py_ssize_t *edge,
                             Py_ssize_t *at) noexcept nogil:
    """Give (i, j) and (j, i) the number of their edge; -1 when the pattern is not symmetric or not in order."""
    cdef Py_ssize_t v, w, e, edges = 0
    for v in range(count):
        for e in range(begin[v] + 1, begin[v + 1]):
            if other[e - 1] >= other[e]:
                return -1
        at[v] = begin[v]        # the first entry of each row that has no number yet
    for v in range(count):
        for e in range(at[v], begin[v + 1]):
            w = other[e]
            if w < v:
                return -1
            if w == v:
                edge[e] = -1
                continue
            if at[w] == begin[w + 1] or other[at[w]] != v:
                return -1
            edge[e] = edge[at[w]] = edges
            at[w] += 1
            edges += 1
    return edges


cdef int forbid_colors_beside(Stars *stars, Py_ssize_t middle, Py_ssize_t vertex) except -1 nogil:
    """The vertex must not have the colour of any neighbour of `middle`."""
    cdef Py_ssize_t e, x
    for e in range(stars.begin[middle], stars.begin[middle + 1]):
        x = stars.other[e]
        if x != middle and stars.color[x] >= 0:
            stars.forbidden[stars.color[x]] = vertex
    stars.treated[middle] = vertex
    return be_patient(stars, middle)


cdef inline int be_patient(Stars *stars, Py_ssize_t vertex) except -1 nogil:
    stars.work += 1 + stars.begin[vertex + 1] - stars.begin[vertex]
    if stars.work > PATIENCE:
        stars.work = 0
        return answer_signals()
    return 0


cdef int choose_color(Stars *stars, Py_ssize_t v) except -1 nogil:
    cdef Py_ssize_t e, k, w, x, color
    for e in range(stars.begin[v], stars.begin[v + 1]):
        w = stars.other[e]
        if w == v or stars.color[w] < 0:
            continue
        color = stars.color[w]
        stars.forbidden[color] = v
        if stars.whose[color] == v:
            if stars.treated[stars.first[color]] != v:
                forbid_colors_beside(stars, stars.first[color], v)
            forbid_colors_beside(stars, w, v)
        else:
            stars.whose[color], stars.first[color], stars.way[color] = v, w, stars.edge[e]
            for k in range(stars.begin[w], stars.begin[w + 1]):
                x = stars.other[k]
                if x != w and stars.color[x] >= 0 and stars.hub[stars.star[stars.edge[k]]] == x:
                    stars.forbidden[stars.color[x]] = v
            be_patient(stars, w)
    color = 0
    while stars.forbidden[color] == v:
        color += 1
    stars.color[v] = color
    return 0


cdef int join_stars(Stars *stars, Py_ssize_t v) except -1 nogil:
    """Let the edges from a vertex that has just been coloured join stars, or begin new ones."""
    cdef Py_ssize_t e, k, w, x, color
    for e in range(stars.begin[v], stars.begin[v + 1]):
        w = stars.other[e]
        if w == v or stars.color[w] < 0:
            continue
        color = stars.color[w]
        for k in range(stars.begin[w], stars.begin[w + 1]):
            x = stars.other[k]
            if x != w and x != v and stars.color[x] == stars.color[v]:
                stars.star[stars.edge[e]] = stars.star[stars.edge[k]]
                stars.hub[stars.star[stars.edge[e]]] = w
                break
        else:
            if stars.first[color] != w:
                stars.star[stars.edge[e]] = stars.star[stars.way[color]]
                stars.hub[stars.star[stars.edge[e]]] = v
            else:
                stars.star[stars.edge[e]] = stars.stars
                stars.hub[stars.stars] = -1
                stars.stars += 1
        be_patient(stars, w)
    return 0


def star_sources(cnp.ndarray indptr not None, cnp.ndarray indices not None, cnp.ndarray colors not None):
    """Tell where each entry of a symmetric matrix is read from, given a star colouring: ``(rows, columns)``."""
    cdef Py_ssize_t count = indptr.size - 1, entries = indices.size, stuck = -1
    check(indptr, indices, count)
    if colors.size != count:
        raise ValueError("colors must have one colour for each column")
    cdef const Py_ssize_t *color = numbers_in(colors)
    check_keys(color, count, max(count, 1))
    rows, columns = new(entries), new(entries)
    cdef const Py_ssize_t *begin = numbers_in(indptr)
    cdef const Py_ssize_t *other = numbers_in(indices)
    cdef Py_ssize_t *row = numbers_in(rows)
    cdef Py_ssize_t *column = numbers_in(columns)
    cdef Py_ssize_t *memory = room_for(1, count + 1, 2 * entries)
    cdef Py_ssize_t *edge = memory + count + 1
    try:
        if number_edges(begin, other, count, edge, memory) < 0:
            twin.refuse_asymmetric(indptr, indices)
        with nogil:
            stuck = mark_alone(begin, other, color, count, edge, memory, edge + entries)
            if stuck < 0:
                stuck = read_off(begin, other, count, edge, edge + entries, row, column)
    finally:
        PyMem_Free(memory)
    if stuck >= 0:
        twin.star_sources(indptr, indices, colors)      # which says of which entry this is true
    return rows, columns


cdef enum:
    IN_UPPER = 1        # an edge stands alone in the row of its entry above the diagonal
    IN_LOWER = 2


cdef Py_ssize_t mark_alone(const Py_ssize_t *begin, const Py_ssize_t *other, const Py_ssize_t *color,
                           Py_ssize_t count, const Py_ssize_t *edge, Py_ssize_t *often,
                           Py_ssize_t *alone) noexcept nogil:
    """In which of its two rows each edge is the only entry of its colour; a diagonal entry that is not, or -1."""
    cdef Py_ssize_t i, e, stuck = -1
    fill(often, count + 1, 0)
    fill(alone, begin[count], 0)
    for i in range(count):
        for e in range(begin[i], begin[i + 1]):
            often[color[other[e]]] += 1
        for e in range(begin[i], begin[i + 1]):
            if often[color[other[e]]] != 1:
                if other[e] == i:
                    stuck = e
            elif other[e] != i:
                alone[edge[e]] |= IN_UPPER if i < other[e] else IN_LOWER
        for e in range(begin[i], begin[i + 1]):
            often[color[other[e]]] = 0
    return stuck


cdef Py_ssize_t read_off(const Py_ssize_t *begin, const Py_ssize_t *other, Py_ssize_t count, const Py_ssize_t *edge,
                         const Py_ssize_t *alone, Py_ssize_t *row, Py_ssize_t *column) noexcept nogil:
    """Where each entry is read; the first one that stands alone nowhere, or -1."""
    cdef Py_ssize_t i, e, low, high
    for i in range(count):
        for e in range(begin[i], begin[i + 1]):
            low, high = min(i, other[e]), max(i, other[e])
            if low == high or alone[edge[e]] & IN_UPPER:
                row[e], column[e] = low, high
            elif alone[edge[e]] & IN_LOWER:
                row[e], column[e] = high, low
            else:
                return e
    return -1
