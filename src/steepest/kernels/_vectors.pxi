# Vectors: sums in eight parts, and updates fused with the sum that comes next. A part of descent.pyx.
# Here so that the file keeps to one subject at a time; the arithmetic is that of reference/descent.py, bit for bit.
# Tested in tests/test_descent.py.

cdef inline double total(const double *s) noexcept nogil:
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


cdef double dot(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """Sum of products, in eight parts that are added up in a fixed order."""
    cdef double s[8]
    cdef Py_ssize_t i, j, whole = n & ~7
    for j in range(8):
        s[j] = 0.0
    for i in range(0, whole, 8):
        for j in range(8):
            s[j] += a[i + j] * b[i + j]
    for j in range(n - whole):
        s[j] += a[whole + j] * b[whole + j]
    return total(s)


cdef double sum_of_sizes(const double *a, Py_ssize_t n) noexcept nogil:
    cdef double s[8]
    cdef Py_ssize_t i, j, whole = n & ~7
    for j in range(8):
        s[j] = 0.0
    for i in range(0, whole, 8):
        for j in range(8):
            s[j] += fabs(a[i + j])
    for j in range(n - whole):
        s[j] += fabs(a[whole + j])
    return total(s)


cdef double add_and_dot(double *q, double c, const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """``q += c * a``, and the product of q with b: memory is read once."""
    cdef double s[8]
    cdef Py_ssize_t i, j, whole = n & ~7
    for j in range(8):
        s[j] = 0.0
    for i in range(0, whole, 8):
        for j in range(8):
            q[i + j] += c * a[i + j]
            s[j] += b[i + j] * q[i + j]
    for j in range(n - whole):
        q[whole + j] += c * a[whole + j]
        s[j] += b[whole + j] * q[whole + j]
    return total(s)


cdef double scale_and_dot(double *q, double c, const double *b, Py_ssize_t n) noexcept nogil:
    """``q *= c``, and its product with b."""
    cdef double s[8]
    cdef Py_ssize_t i, j, whole = n & ~7
    for j in range(8):
        s[j] = 0.0
    for i in range(0, whole, 8):
        for j in range(8):
            q[i + j] *= c
            s[j] += b[i + j] * q[i + j]
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
    cdef double s[8]
    cdef Py_ssize_t i, j, whole = n & ~7
    for j in range(8):
        s[j] = 0.0
    for i in range(0, whole, 8):
        for j in range(8):
            row[i + j] += c * a[i + j] + e * b[i + j]
            s[j] += row[i + j] * x[i + j]
    for j in range(n - whole):
        row[whole + j] += c * a[whole + j] + e * b[whole + j]
        s[j] += row[whole + j] * x[whole + j]
    return total(s)


cdef double largest(const double *a, Py_ssize_t n) noexcept nogil:
    """The largest size of an entry; NaN when one is NaN."""
    cdef Py_ssize_t i
    cdef double size, most = 0.0, check = 0.0
    for i in range(n):
        size = fabs(a[i])
        check += a[i] - a[i]
        most = size if size > most else most
    if check == 0.0:
        return most
    for i in range(n):
        if a[i] != a[i]:
            return a[i]
    return most


cdef bint all_numbers(const double *a, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef double check = 0.0
    for i in range(n):
        check += a[i] - a[i]
    return check == 0.0
