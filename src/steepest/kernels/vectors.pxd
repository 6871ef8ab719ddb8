# Sums and updates of whole vectors: one table of loops for each instruction set.
# Here so that descent.pyx and the three extensions that include vectors.pxi agree. Tested in tests/test_descent.py.

ctypedef double (*dot_t)(const double *a, const double *b, Py_ssize_t n) noexcept nogil
ctypedef double (*size_t_)(const double *a, Py_ssize_t n) noexcept nogil
ctypedef double (*add_and_dot_t)(double *q, const double *p, double c, const double *a, const double *b,
                                 Py_ssize_t n) noexcept nogil
ctypedef double (*scale_and_dot_t)(double *q, const double *p, double c, const double *a, double scale,
                                   Py_ssize_t n) noexcept nogil
ctypedef double (*turn_and_dot_t)(double *q, double c, const double *a, const double *b, Py_ssize_t n) noexcept nogil
ctypedef void (*differences_t)(double *s, double *y, const double *x, const double *x0, const double *g,
                               const double *g0, double *products, Py_ssize_t n) noexcept nogil
ctypedef double (*change_row_t)(double *row, double c, const double *a, double e, const double *b, const double *x,
                                Py_ssize_t n) noexcept nogil
ctypedef void (*add_t)(double *q, double c, const double *a, Py_ssize_t n) noexcept nogil

cdef struct Vectors:
    dot_t dot
    size_t_ sum_of_sizes, largest, nothing
    add_and_dot_t add_and_dot
    scale_and_dot_t scale_and_dot
    turn_and_dot_t turn_and_dot
    differences_t differences
    change_row_t change_row
    add_t add

cdef enum:
    FEW = 8


cdef inline double dot_of_few(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """The sum of `dot` for n <= FEW: its other parts are zeros, whose sign alone is left of them."""
    cdef double even = a[0] * b[0] if n > 0 else 0.0, odd = a[1] * b[1] if n > 1 else 0.0
    if n > 4:
        even += a[4] * b[4]
    if n > 5:
        odd += a[5] * b[5]
    if n > 2:
        even += a[2] * b[2] + a[6] * b[6] if n > 6 else a[2] * b[2]
    if n > 3:
        odd += a[3] * b[3] + a[7] * b[7] if n > 7 else a[3] * b[3]
    return (even + odd) + 0.0
