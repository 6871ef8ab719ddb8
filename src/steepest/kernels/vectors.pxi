# Vectors: sums in sixteen parts, and updates fused with the sum that comes next. Included by vectors_baseline.pyx,
# vectors_avx2.pyx and vectors_avx512.pyx, which differ by their flags alone.
# Here because the bits must not depend on the instruction set. The arithmetic is that of reference/descent.py.
# Tested in tests/test_descent.py.
#
# What limits them: memory beyond the cache, and the latency of an addition inside it; hence the sixteen parts.

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport INFINITY, NAN, fabs

from steepest.kernels.vectors cimport Vectors


cdef inline double total(const double *s) noexcept nogil:
    return ((((s[0] + s[8]) + (s[4] + s[12])) + ((s[2] + s[10]) + (s[6] + s[14])))
            + (((s[1] + s[9]) + (s[5] + s[13])) + ((s[3] + s[11]) + (s[7] + s[15]))))


cdef double dot(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """Sum of products, in sixteen parts that are added up in a fixed order."""
    cdef double s[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            s[j] += a[i + j] * b[i + j]
    for j in range(n - whole):
        s[j] += a[whole + j] * b[whole + j]
    return total(s)


cdef double sum_of_sizes(const double *a, Py_ssize_t n) noexcept nogil:
    cdef double s[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            s[j] += fabs(a[i + j])
    for j in range(n - whole):
        s[j] += fabs(a[whole + j])
    return total(s)


cdef double add_and_dot(double *q, double c, const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """``q += c * a``, and the product of q with b: memory is read once."""
    cdef double s[16]
    cdef double t[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):     # all are read before any is written: they may be the same memory, for all gcc knows
            t[j] = q[i + j] + c * a[i + j]
        for j in range(16):
            q[i + j] = t[j]
        for j in range(16):
            s[j] += b[i + j] * t[j]
    for j in range(n - whole):
        q[whole + j] += c * a[whole + j]
        s[j] += b[whole + j] * q[whole + j]
    return total(s)


cdef double scale_and_dot(double *q, double c, const double *b, Py_ssize_t n) noexcept nogil:
    """``q *= c``, and its product with b."""
    cdef double s[16]
    cdef double t[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            t[j] = q[i + j] * c
        for j in range(16):
            q[i + j] = t[j]
        for j in range(16):
            s[j] += b[i + j] * t[j]
    for j in range(n - whole):
        q[whole + j] *= c
        s[j] += b[whole + j] * q[whole + j]
    return total(s)


cdef void add(double *q, double c, const double *a, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        q[i] += c * a[i]


cdef double change_row(double *row, double c, const double *a, double e, const double *b, const double *x,
                       Py_ssize_t n) noexcept nogil:
    """``row += c * a + e * b``, and its product with x."""
    cdef double s[16]
    cdef double t[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            t[j] = row[i + j] + (c * a[i + j] + e * b[i + j])
        for j in range(16):
            row[i + j] = t[j]
        for j in range(16):
            s[j] += t[j] * x[i + j]
    for j in range(n - whole):
        row[whole + j] += c * a[whole + j] + e * b[whole + j]
        s[j] += row[whole + j] * x[whole + j]
    return total(s)


cdef double largest(const double *a, Py_ssize_t n) noexcept nogil:
    """The largest size of an entry; NaN when one is NaN."""
    cdef double s[16]
    cdef double size, most = 0.0
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            size = fabs(a[i + j])
            s[j] = size if size > s[j] else s[j]
    for j in range(n - whole):
        size = fabs(a[whole + j])
        s[j] = size if size > s[j] else s[j]
    for j in range(16):
        most = s[j] if s[j] > most else most
    if nothing(a, n) == 0.0 or most == INFINITY and not any_nan(a, n):
        return most
    return NAN


cdef bint any_nan(const double *a, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if a[i] != a[i]:
            return True
    return False


cdef double nothing(const double *a, Py_ssize_t n) noexcept nogil:
    """0 when all entries are numbers, and NaN otherwise."""
    cdef double s[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            s[j] += a[i + j] - a[i + j]
    for j in range(n - whole):
        s[j] += a[whole + j] - a[whole + j]
    return total(s)


cdef Vectors vectors
vectors.dot, vectors.add, vectors.sum_of_sizes, vectors.largest = dot, add, sum_of_sizes, largest
vectors.scale_and_dot, vectors.add_and_dot, vectors.change_row = scale_and_dot, add_and_dot, change_row
vectors.nothing = nothing

table = PyCapsule_New(&vectors, "steepest vectors", NULL)
