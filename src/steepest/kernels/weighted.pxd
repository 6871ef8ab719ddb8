# How the loops of weighted sums are called: one for each form of a stencil and type, built for every instruction set.
# Here so that weighted.pyx and the three extensions that include weighted.pxi agree. Tested in tests/test_weighted.py.

# The forms, in the order of reference/weighted.py: differences of mirrored nodes, sums of mirrored differences to the
# centre, differences to one node.
cdef enum:
    ODD = 0
    EVEN = 1
    ANY = 2
    FORMS = 3

cdef enum:
    CHUNK = 64         # elements that are summed at a time, in memory that stays in the first cache
    LANES = 8           # rows of weights that are made at a time
    WIDEST = 16         # numbers of a line of the cache, at most
    ROWS = 8            # rows that are made at a time
    SHORT = 64          # elements of a run from which on it is worth writing lines of it past the caches

# What an interior row is made of: `count` nodes (or pairs of nodes) so many elements away, and their weights, of the
# type of the elements. Weight k of row i is ``weights[k * apart + i * along]``.
cdef struct Stencil:
    Py_ssize_t count
    const Py_ssize_t *shifts
    const void *weights
    Py_ssize_t apart
    Py_ssize_t along

# run(form, stencil, f, out, length, f_step, out_step, past): one run of elements, so many elements from each to the
# next, written past the caches or not. The form is known by its type: the pointer is NULL.
ctypedef void (*run_t)(void *form, const Stencil *stencil, const void *f, void *out, Py_ssize_t length,
                       Py_ssize_t f_step, Py_ssize_t out_step, bint past) noexcept nogil
# varying(stencil, f, out, length, f_step, out_step, past): a run of elements of as many rows.
ctypedef void (*varying_t)(const Stencil *stencil, const void *f, void *out, Py_ssize_t length, Py_ssize_t f_step,
                           Py_ssize_t out_step, bint past) noexcept nogil
# rows(form, stencil, f, out, length, rows, f_row, out_row, past): runs of several rows.
ctypedef void (*rows_t)(void *form, const Stencil *stencil, const void *f, void *out, Py_ssize_t length,
                        Py_ssize_t rows, Py_ssize_t f_row, Py_ssize_t out_row, bint past) noexcept nogil
# edge(weights, total, others, f, shifts, out, length, f_step, out_step): one row near an edge.
ctypedef void (*edge_t)(const void *weights, double total, Py_ssize_t others, const void *f, const Py_ssize_t *shifts,
                        void *out, Py_ssize_t length, Py_ssize_t f_step, Py_ssize_t out_step) noexcept nogil
# fornberg(nodes, at, width, n, table, out): the weights of LANES rows; nodes and out are (width, LANES).
ctypedef void (*fornberg_t)(const double *nodes, const double *at, Py_ssize_t width, Py_ssize_t n, double *table,
                            double *out) noexcept nogil

cdef struct Loops:
    run_t run[FORMS][2]         # a stencil's weights are the same for all elements
    varying_t varying[2]        # or not
    rows_t rows[FORMS][2]
    edge_t edge[2]
    fornberg_t fornberg
    void (*fence)() noexcept nogil      # after what was written past the caches, before others read it
