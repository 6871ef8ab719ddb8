# The names of methods, kinds of rows, statuses and answers, as numbers; the same as in reference/difference.py.
# Here so that other kernels can cimport them. Tested in tests/test_difference.py.

cdef enum:
    FORWARD = 0
    BACKWARD = 1
    CENTRAL = 2
    COMPLEX = 3

cdef enum:
    ROW_CENTRAL = 0
    ROW_ONE_SIDED = 1
    ROW_FIXED = 2
    ROW_COMPLEX = 3

cdef enum:
    RESOLVED = 0
    ONE_SIDED = 1
    FIXED = 2
    UNRESOLVED = 3
    NONFINITE = 4

# What differences hold, for kernels that combine it in their own way: pointers that are good until they are planned or
# evaluated again, and as long as they live. Numbers are double, or long double when `wide`.
cdef struct Table:
    Py_ssize_t rows, width, size, result_size, block, reach, one_sided, unresolved
    int method
    bint wide, planned
    const signed char *kinds
    const char *x
    const char *points
    const char *values
    const char *base
    const char *central_weights
    const char *one_sided_weights

cdef int look_into(object differences, Table *table) except -1

cdef enum:
    DONE = 0
    CARE = -1
    UNSUITED = -2
