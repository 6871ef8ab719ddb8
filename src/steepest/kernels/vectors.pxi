# Vectors: sums in sixteen parts, and updates fused with the sum that comes next. Included by vectors_baseline.pyx,
# vectors_avx2.pyx and vectors_avx512.pyx, which differ by their flags alone.
# Here because the bits must not depend on the instruction set. The arithmetic is that of reference/descent.py.
# Tested in tests/test_descent.py.
#
# What limits them: memory beyond the cache, and the latency of an addition inside it; hence the sixteen parts.

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport NAN, fabs

from steepest.kernels.vectors cimport FEW, Vectors, dot_of_few

cdef extern from *:
    """
    /* Nothing else points to it while a function writes there. */
    typedef double *__restrict written_t;
    """
    ctypedef double *written "written_t"


cdef inline double total(const double *s) noexcept nogil:
    return ((((s[0] + s[8]) + (s[4] + s[12])) + ((s[2] + s[10]) + (s[6] + s[14])))
            + (((s[1] + s[9]) + (s[5] + s[13])) + ((s[3] + s[11]) + (s[7] + s[15]))))


cdef double dot(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """Sum of products, in sixteen parts that are added up in a fixed order."""
    cdef double s[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    if n <= FEW:
        return dot_of_few(a, b, n)
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


cdef double add_and_dot(double *q, const double *p, double c, const double *a, const double *b,
                        Py_ssize_t n) noexcept nogil:
    """``q = p + c * a``, and its product with b: memory is read once."""
    cdef double s[16]
    cdef double t[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    if n <= FEW:
        for j in range(n):
            q[j] = p[j] + c * a[j]
        return dot_of_few(b, q, n)
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):     # all are read before any is written: they may be the same memory, for all gcc knows
            t[j] = p[i + j] + c * a[i + j]
        for j in range(16):
            s[j] += b[i + j] * t[j]
        for j in range(16):
            q[i + j] = t[j]
    for j in range(n - whole):
        q[whole + j] = p[whole + j] + c * a[whole + j]
        s[j] += b[whole + j] * q[whole + j]
    return total(s)


cdef double scale_and_dot(double *q, const double *p, double c, const double *a, double scale,
                          Py_ssize_t n) noexcept nogil:
    """``q = (p + c * a) * scale``, and its product with a."""
    cdef double s[16]
    cdef double t[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    if n <= FEW:
        for j in range(n):
            q[j] = (p[j] + c * a[j]) * scale
        return dot_of_few(a, q, n)
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            t[j] = (p[i + j] + c * a[i + j]) * scale
        for j in range(16):
            s[j] += a[i + j] * t[j]
        for j in range(16):
            q[i + j] = t[j]
    for j in range(n - whole):
        q[whole + j] = (p[whole + j] + c * a[whole + j]) * scale
        s[j] += a[whole + j] * q[whole + j]
    return total(s)


cdef double turn_and_dot(double *q, double c, const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """``q = -(q + c * a)``, and its product with b."""
    cdef double s[16]
    cdef double t[16]
    cdef Py_ssize_t i, j, whole = n & ~15
    if n <= FEW:
        for j in range(n):
            q[j] = -(q[j] + c * a[j])
        return dot_of_few(b, q, n)
    for j in range(16):
        s[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            t[j] = -(q[i + j] + c * a[i + j])
        for j in range(16):
            s[j] += b[i + j] * t[j]
        for j in range(16):
            q[i + j] = t[j]
    for j in range(n - whole):
        q[whole + j] = -(q[whole + j] + c * a[whole + j])
        s[j] += b[whole + j] * q[whole + j]
    return total(s)


cdef void differences(written s, written y, const double *x, const double *x0, const double *g, const double *g0,
                      written products, Py_ssize_t n) noexcept nogil:
    """``s = x - x0``, ``y = g - g0``, and the products s.s, s.y, y.y."""
    cdef double ss[16]
    cdef double sy[16]
    cdef double yy[16]
    cdef double t, u
    cdef Py_ssize_t i, j, whole = n & ~15
    for j in range(16):
        ss[j] = sy[j] = yy[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            t = x[i + j] - x0[i + j]
            u = g[i + j] - g0[i + j]
            s[i + j] = t
            y[i + j] = u
            ss[j] += t * t
            sy[j] += t * u
            yy[j] += u * u
    for j in range(n - whole):
        s[whole + j] = t = x[whole + j] - x0[whole + j]
        y[whole + j] = u = g[whole + j] - g0[whole + j]
        ss[j] += t * t
        sy[j] += t * u
        yy[j] += u * u
    products[0], products[1], products[2] = total(ss), total(sy), total(yy)


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
    """The largest size of an entry; NaN when one is NaN. In many parts: of few, gcc makes no vectors."""
    cdef double s[64]
    cdef double t[64]
    cdef double most = 0.0, nothing = 0.0
    cdef Py_ssize_t i, j, whole = n & ~63
    if whole:
        for j in range(64):
            s[j] = t[j] = 0.0
        for i in range(0, whole, 64):
            for j in range(64):
                s[j] = fabs(a[i + j]) if fabs(a[i + j]) > s[j] else s[j]
                t[j] += a[i + j] - a[i + j]
        for j in range(64):
            most = s[j] if s[j] > most else most
            nothing += t[j]
    for i in range(whole, n):
        most = fabs(a[i]) if fabs(a[i]) > most else most
        nothing += a[i] - a[i]
    return most if nothing == 0.0 or not any_nan(a, n) else NAN


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
vectors.scale_and_dot, vectors.add_and_dot, vectors.turn_and_dot = scale_and_dot, add_and_dot, turn_and_dot
vectors.nothing, vectors.change_row, vectors.differences = nothing, change_row, differences

table = PyCapsule_New(&vectors, "steepest vectors", NULL)
