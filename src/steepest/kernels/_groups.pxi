# Groups: entries of x that are moved together, each to a point of its own. A part of function.pyx.
# Here so that the columns of a sparse Jacobian share evaluations; compressed.pyx makes them, and their points.
# Tested in tests/test_compressed.py and tests/faults/.

cdef class Groups:
    """Entries of x in groups that are moved together; see `steepest.reference.callback.Groups`."""

    def __cinit__(self):
        self.block = NULL

    def __dealloc__(self):
        PyMem_Free(self.block)

    cdef int take_groups(self, cnp.ndarray starts, cnp.ndarray members, Py_ssize_t entries, Py_ssize_t capacity,
                         bint wide) except -1:
        """Copy the groups to where f cannot reach them, and look there that they stay inside x."""
        cdef Py_ssize_t i, real = sizeof(long double) if wide else sizeof(double)
        if self.block != NULL:
            raise TypeError("groups are made once")
        for array in (starts, members):
            if (cnp.PyArray_TYPE(array) != cnp.NPY_INTP or cnp.PyArray_NDIM(array) != 1
                    or not cnp.PyArray_ISCARRAY_RO(array)):
                raise TypeError("groups need arrays of intp")
        if starts.size == 0 or entries < 0 or capacity < 1:
            raise ValueError("these are no groups")
        cdef Py_ssize_t size = members.size
        if capacity > 64 or size > PY_SSIZE_T_MAX // 4 // (capacity * real) or starts.size > PY_SSIZE_T_MAX // 32:
            raise OverflowError("the groups would need more memory than can be addressed")
        # points first, for their alignment
        self.block = <char *>PyMem_Malloc(size * capacity * real
                                          + (starts.size + size) * <Py_ssize_t>sizeof(Py_ssize_t))
        if self.block == NULL:
            raise MemoryError(f"no memory for groups of {size} entries")
        self.points = self.block
        self.starts = <Py_ssize_t *>(self.block + size * capacity * real)
        self.members = self.starts + starts.size
        self.count, self.entries, self.size = starts.size - 1, entries, size
        self.capacity, self.wide = capacity, wide
        memcpy(self.starts, PyArray_DATA(<void *>starts), starts.size * sizeof(Py_ssize_t))
        memcpy(self.members, PyArray_DATA(<void *>members), size * sizeof(Py_ssize_t))
        cdef bint bad = self.starts[0] != 0 or self.starts[self.count] != size
        for i in range(self.count):
            bad |= self.starts[i] > self.starts[i + 1]
        for i in range(size):
            bad |= not 0 <= self.members[i] < entries
        if bad:
            self.count = 0
            raise ValueError("these are no groups of entries of x")
        return 0


cdef void put_group(floating *x, const working *points, const Py_ssize_t *members, Py_ssize_t count, Py_ssize_t stride,
                    Py_ssize_t width) noexcept nogil:
    """Put points into some entries, rounded to their type."""
    cdef Py_ssize_t i
    for i in range(count):
        x[members[i] * stride] = <floating>points[i * width]


cdef int move_group(Function self, char *x, Py_ssize_t k, const void *point) except -1 nogil:
    """Put into x the points that the entries of group k have for this one."""
    if <void *>self.groups == <void *>None or k >= self.groups.count:
        raise ValueError("there is no such group")
    cdef long double t = (<const long double *>point)[0] if self.wide else <long double>(<const double *>point)[0]
    cdef Py_ssize_t which = <Py_ssize_t>(t if t > 0 else -t)
    which = 2 * which - 1 - (t > 0) if self.groups.central else which - 1
    if not 0 <= which < self.groups.width:
        raise ValueError("there is no such point")
    cdef Py_ssize_t first = self.groups.starts[k], count = self.groups.starts[k + 1] - first
    cdef Py_ssize_t width = self.groups.width, stride = 2 if self.as_complex else 1
    cdef const Py_ssize_t *members = self.groups.members + first
    cdef const double *points = <const double *>self.groups.points + first * width + which
    x += self.offset
    if self.real_type == cnp.NPY_DOUBLE:
        put_group(<double *>x, points, members, count, stride, width)
    elif self.real_type == cnp.NPY_FLOAT:
        put_group(<float *>x, points, members, count, stride, width)
    else:
        put_group(<long double *>x, <const long double *>self.groups.points + first * width + which, members, count,
                  stride, width)
    return 0
