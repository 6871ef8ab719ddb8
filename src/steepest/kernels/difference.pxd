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

cdef enum:
    DONE = 0
    CARE = -1
    UNSUITED = -2
