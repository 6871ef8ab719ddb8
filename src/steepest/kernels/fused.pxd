# How sums of products of derivatives are described to the loops, and how these are called.
# Here so that fused.pyx and the three extensions that include fused.pxi agree. Tested in tests/test_fused.py.

cdef enum:
    AXES = 64           # as many as an array may have

# `Rule` of reference/fused.py; the numbers are of the type of the field.
cdef struct Rule:
    Py_ssize_t extent, first, last, taps
    Py_ssize_t step             # from one weight of a tap to the next in memory; 0 where all nodes have the same
    const Py_ssize_t *offsets
    const void *weights
    const void *along           # where the nodes of a run have weights of their own: one for each number of the run
    const Py_ssize_t *starts
    const Py_ssize_t *columns
    const void *edge_weights
    Py_ssize_t origin
    const Py_ssize_t *edge_origins
    const void *totals

# A product of derivatives of one source; the rules of the axes, NULL where there is none.
cdef struct Term:
    int source
    double sign
    int rule_count
    const Rule *rules[AXES]

# A result: which terms are summed up, and between which nodes of the last axis all of them are in their interior.
cdef struct Output:
    int first_term, last_term
    Py_ssize_t first, last

cdef struct Plan:
    int ndim
    Py_ssize_t shape[AXES]
    Py_ssize_t width
    bint root, paired
    double scales[4]
    Term *terms
    int output_count
    Output *outputs
    Py_ssize_t capacity         # the most nodes that a number of a result can take
    bint passing                # results are stored past the caches: they would not fit
    # rows along the last of the outer axes that take from the same distances, and how many are done together
    Py_ssize_t first_alike, last_alike, together
    # A unit of work is a block of planes of the first axis, of rows in them and of nodes in these.
    Py_ssize_t planes, rows, nodes
    Py_ssize_t row_count        # in a plane
    Py_ssize_t plane_blocks, row_blocks, node_blocks

# So many rows, and how far they lie apart.
cdef struct Rows:
    Py_ssize_t count, in_stride, out_stride

# Where a field lies; all sources have the same strides are in numbers, not bytes.
cdef struct Field:
    void *data
    Py_ssize_t strides[AXES]

# What a term takes: so many nodes, which of them is the origin (or -1), and what is made of a constant 1.
cdef struct Taken:
    Py_ssize_t count, origin
    double total

# What a thread writes down while it works: nodes that are taken, and their weights; first those of the outer axes.
cdef struct Scratch:
    const void **outer
    void *outer_weights
    Taken *terms                # of every term, what its row takes
    const void **at
    const void **origins        # from which a difference is taken, or NULL
    const void **along          # weights that change along a run, or NULL
    void *weights

ctypedef void (*sweep_t)(const Plan *plan, const Field *sources, const Field *outs, const Scratch *scratch,
                         Py_ssize_t unit) noexcept nogil

cdef struct Loops:
    sweep_t sweep[2]
