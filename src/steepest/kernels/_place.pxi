# Place: write x, with one entry or all of them moved, into memory of its own. A part of callback.pyx.
# Here so that the file keeps to one subject at a time; the rules stand at the top of callback.pyx.
# Tested in tests/test_callback.py and tests/faults/.

cdef inline void put(char *where, const void *point, int real_type) noexcept nogil:
    """Write one real number, rounded to the type of x, into its part of an entry."""
    if real_type == cnp.NPY_DOUBLE:
        (<double *>where)[0] = (<const double *>point)[0]
    elif real_type == cnp.NPY_FLOAT:
        (<float *>where)[0] = <float>(<const double *>point)[0]
    else:
        (<long double *>where)[0] = (<const long double *>point)[0]


cdef void copy_as_complex(char *to, const char *origin, Py_ssize_t count, Py_ssize_t part) noexcept nogil:
    """Copy real numbers to complex ones with imaginary part +0."""
    cdef Py_ssize_t i
    memset(to, 0, 2 * count * part)
    for i in range(count):
        memcpy(to + 2 * i * part, origin + i * part, part)


ctypedef fused floating:
    float
    double
    long double


ctypedef fused working:
    double
    long double


cdef void shift(floating *x, const floating *direction, const void *point, Py_ssize_t count, Py_ssize_t stride,
                const void *lower, const void *upper) noexcept nogil:
    """x[i * stride] += point * direction[i], computed in the working type and kept inside the bounds."""
    cdef Py_ssize_t i
    if floating is cython.longdouble:
        for i in range(count):
            x[i * stride] = inside(x[i * stride] + (<const long double *>point)[0] * direction[i],
                                   <const long double *>lower, <const long double *>upper, i)
    else:
        for i in range(count):
            x[i * stride] = <floating>inside(<double>x[i * stride] + (<const double *>point)[0] * <double>direction[i],
                                             <const double *>lower, <const double *>upper, i)


cdef inline working inside(working number, const working *lower, const working *upper, Py_ssize_t i) noexcept nogil:
    if lower == NULL:
        return number
    if number < lower[i]:
        return lower[i]
    return upper[i] if number > upper[i] else number


cdef int move_along_line(Function self, char *x, const void *point) except -1 nogil:
    """Move every entry of x along the direction; a complex x by its parts."""
    cdef const void *lower = NULL
    cdef const void *upper = NULL
    if <void *>self.direction == <void *>None:
        raise ValueError("no direction was given")
    if <void *>self.lower != <void *>None:
        lower, upper = PyArray_DATA(<void *>self.lower), PyArray_DATA(<void *>self.upper)
    cdef const void *direction = PyArray_DATA(<void *>self.direction)
    cdef Py_ssize_t parts = self.count * (2 if self.as_complex and not self.imaginary else 1)
    cdef Py_ssize_t stride = 2 if self.imaginary else 1
    x += self.offset
    if self.real_type == cnp.NPY_DOUBLE:
        shift(<double *>x, <const double *>direction, point, parts, stride, lower, upper)
    elif self.real_type == cnp.NPY_FLOAT:
        shift(<float *>x, <const float *>direction, point, parts, stride, lower, upper)
    else:
        shift(<long double *>x, <const long double *>direction, point, parts, stride, lower, upper)
    return 0
