# How the loops of the layers are called: one table, built once for every instruction set, of functions for two types.
# Here so that layers.pyx and the three extensions that include layers.pxi agree. Tested in tests/test_layers.py.

from libc.stdint cimport int64_t

# The activations and losses, in the order of reference/layers.py.
cdef enum:
    IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU, SOFTPLUS, GELU, SILU

cdef enum:
    HALF_MSE, MSE, HUBER, BINARY_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY

cdef enum:
    PADDING = 16        # rows of a matrix that is ours lie a multiple of so many elements apart
    CHUNK = 128         # rows that go through the network at a time

# c = start + a b; see layers_tile.h.
ctypedef void (*multiply_t)(int turned, const void *const *a, const void *b, Py_ssize_t b_row, void *c,
                            Py_ssize_t c_row, const void *start, Py_ssize_t start_row, Py_ssize_t rows,
                            Py_ssize_t terms, Py_ssize_t columns, int padded) noexcept nogil
# activate(code, z, slopes, slope, count): values in place of z; derivatives, where they are kept, to slopes.
ctypedef void (*activate_t)(int code, void *z, void *slopes, double slope, Py_ssize_t count) noexcept nogil
# slant(code, d, values, slopes, slope, count): d times the derivatives.
ctypedef void (*slant_t)(int code, void *d, const void *values, const void *slopes, double slope,
                         Py_ssize_t count) noexcept nogil

# The rows of a chunk at the end of the network. All matrices have rows that lie `row` elements apart.
cdef struct Ends:
    int code
    double delta
    void *outputs               # beyond the columns of a softmax -infinity is written
    const void *y
    const int64_t *labels       # instead of y, or NULL
    const double *factors
    void *slopes                # by the outputs, times the factors
    void *terms                 # scratch, a matrix as well
    double *losses
    Py_ssize_t rows, columns, row

# Which type it is of is known by that of the second pointer, which is NULL.
ctypedef void (*end_t)(const Ends *ends, void *type) noexcept nogil
# transpose(a, rows, columns, to, to_row); add(a, b, count): a += b.
ctypedef void (*transpose_t)(const void *a, Py_ssize_t rows, Py_ssize_t columns, void *to,
                             Py_ssize_t to_row) noexcept nogil
ctypedef void (*add_t)(void *a, const void *b, Py_ssize_t count) noexcept nogil
ctypedef bint (*finite_t)(const void *a, Py_ssize_t count) noexcept nogil
# penalize(weights, gradient or NULL, l2, l1, count)
ctypedef double (*penalize_t)(const void *weights, void *gradient, double l2, double l1,
                              Py_ssize_t count) noexcept nogil

cdef struct Loops:
    multiply_t multiply[2]
    activate_t activate[2]
    slant_t slant[2]
    end_t end[2]
    transpose_t transpose[2]
    add_t add[2]
    finite_t finite[2]
    penalize_t penalize[2]
