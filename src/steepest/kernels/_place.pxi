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


# The ways of a run lie in one block that nobody else can reach: the sizes of all moves and the shift of each way, in
# the working type, and then, as Py_ssize_t, where the moves of each way begin and end, the entry it shifts (-1: none)
# and the entry of each move. A complex x is taken as twice as many real numbers.

cdef int take_ways(Function self, cnp.ndarray starts, cnp.ndarray stops, cnp.ndarray moved, cnp.ndarray sizes,
                   cnp.ndarray shifted, cnp.ndarray shifts) except -1:
    """Copy ways to where f cannot reach them, and look there that they stay inside x."""
    cdef Py_ssize_t i, count = starts.size, moves = moved.size
    cdef Py_ssize_t real = sizeof(long double) if self.wide else sizeof(double)
    cdef Py_ssize_t parts = self.count * (2 if self.as_complex and not self.imaginary else 1)
    for array in (starts, stops, moved, shifted):
        if array is not None and (cnp.PyArray_TYPE(array) != cnp.NPY_INTP or not cnp.PyArray_ISCARRAY_RO(array)):
            raise ValueError("ways need arrays of intp")
    if (stops.size != count or not self.suits(sizes, moves) or (shifted is None) != (shifts is None)
            or (shifted is not None and (shifted.size != count or not self.suits(shifts, count)))):
        raise ValueError("the parts of the ways do not suit each other, or this function")
    if moves > PY_SSIZE_T_MAX // 64 or count > PY_SSIZE_T_MAX // 128:
        raise OverflowError("the ways would need more memory than can be addressed")
    cdef Memory memory = allocate((moves + count) * real + (moves + 3 * count) * <Py_ssize_t>sizeof(Py_ssize_t))
    cdef char *numbers = memory.data
    cdef Py_ssize_t *at = <Py_ssize_t *>(numbers + (moves + count) * real)
    memcpy(numbers, PyArray_DATA(<void *>sizes), moves * real)
    memset(numbers + moves * real, 0, count * real)
    memcpy(at, PyArray_DATA(<void *>starts), count * sizeof(Py_ssize_t))
    memcpy(at + count, PyArray_DATA(<void *>stops), count * sizeof(Py_ssize_t))
    if shifted is None:
        for i in range(count):
            at[2 * count + i] = -1
    else:
        memcpy(numbers + moves * real, PyArray_DATA(<void *>shifts), count * real)
        memcpy(at + 2 * count, PyArray_DATA(<void *>shifted), count * sizeof(Py_ssize_t))
    memcpy(at + 3 * count, PyArray_DATA(<void *>moved), moves * sizeof(Py_ssize_t))
    for i in range(count):
        if not (0 <= at[i] <= at[count + i] <= moves and -1 <= at[2 * count + i] < parts):
            raise ValueError("no such way")
    for i in range(moves):
        if not 0 <= at[3 * count + i] < parts:
            raise ValueError("no such entry")
    self.ways, self.way_count, self.way_moves = memory, count, moves
    return 0


cdef void go(Function self, floating *x, Py_ssize_t k, const void *point, Py_ssize_t stride, const void *lower,
             const void *upper) noexcept nogil:
    """Move the entries of way k by point * size and shift one, in the working type and inside the bounds."""
    cdef Py_ssize_t count = self.way_count, moves = self.way_moves
    cdef const long double *long_sizes = <const long double *>self.ways.data
    cdef const double *sizes = <const double *>self.ways.data
    cdef const Py_ssize_t *at = <const Py_ssize_t *>(
        <const void *>(long_sizes + moves + count) if floating is cython.longdouble
        else <const void *>(sizes + moves + count))
    cdef Py_ssize_t m, i, shifted = at[2 * count + k]
    for m in range(at[k], at[count + k]):
        i = at[3 * count + m]
        if floating is cython.longdouble:
            x[i * stride] = inside(x[i * stride] + (<const long double *>point)[0] * long_sizes[m],
                                   <const long double *>lower, <const long double *>upper, i)
        else:
            x[i * stride] = <floating>inside(<double>x[i * stride] + (<const double *>point)[0] * sizes[m],
                                             <const double *>lower, <const double *>upper, i)
    if shifted < 0:
        return
    if floating is cython.longdouble:
        if stride == 2:
            x[2 * shifted + 1] = long_sizes[moves + k]
        else:
            x[shifted] = inside(x[shifted] + long_sizes[moves + k], <const long double *>lower,
                                <const long double *>upper, shifted)
    elif stride == 2:
        x[2 * shifted + 1] = <floating>sizes[moves + k]
    else:
        x[shifted] = <floating>inside(<double>x[shifted] + sizes[moves + k], <const double *>lower,
                                      <const double *>upper, shifted)


cdef int move_along_way(Function self, char *x, Py_ssize_t k, const void *point) except -1 nogil:
    """Move and shift what way k says."""
    cdef const void *lower = NULL
    cdef const void *upper = NULL
    if <void *>self.ways == <void *>None or k >= self.way_count:
        raise ValueError("no such way was given")
    if <void *>self.lower != <void *>None:
        lower, upper = PyArray_DATA(<void *>self.lower), PyArray_DATA(<void *>self.upper)
    cdef Py_ssize_t stride = 2 if self.imaginary else 1
    if self.real_type == cnp.NPY_DOUBLE:
        go(self, <double *>x, k, point, stride, lower, upper)
    elif self.real_type == cnp.NPY_FLOAT:
        go(self, <float *>x, k, point, stride, lower, upper)
    else:
        go(self, <long double *>x, k, point, stride, lower, upper)
    return 0
