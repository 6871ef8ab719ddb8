# Batch: all points of some rows in one call of a vectorised f. A part of difference.pyx.
# Here so that the file keeps to one subject at a time; the rules stand in reference/difference.py.
# Tested in tests/test_difference.py.

cdef int evaluate_batch(Differences self, Function function, Py_ssize_t first, Py_ssize_t last) except -1:
    """All points of the rows in one call of f."""
    cdef Py_ssize_t row, column, total = 0, k = 0, real = self.real
    cdef Py_ssize_t value_bytes = self.size * real
    for row in range(first, last):
        total += 1 + self.count_of(row)
    total = checked_sum(total, 1)
    cdef Py_ssize_t each = real + value_bytes + sizeof(Py_ssize_t) + sizeof(char *)
    cdef char *memory = <char *>PyMem_Malloc(checked_product(total, each))
    if memory == NULL:
        raise MemoryError("no memory for a batch of points")
    cdef char *points = memory
    cdef char *values = points + total * real
    cdef Py_ssize_t *entries = <Py_ssize_t *>(values + total * value_bytes)
    cdef char **places = <char **>(entries + total)
    cdef char *place
    cdef int code = GOOD
    try:
        for row in range(first, last):
            if self.needs_base(row) and (self.own_base or not self.has_base):
                entries[k] = self.entries[row] if self.own_base else BASE
                memcpy(points + k * real, self.x_ + row * real, real)
                places[k] = self.base_ + (row - first if self.own_base else 0) * value_bytes
                self.has_base = not self.own_base
                k += 1
            place = self.values_ + (row - first) * self.width * value_bytes
            for column in range(self.count_of(row)):
                entries[k] = self.entries[row]
                memcpy(points + k * real, self.points_ + (row * self.width + column) * real, real)
                places[k] = place + column * value_bytes
                k += 1
        if k:
            code = function.evaluate_rows(entries, k, points, values)
        for row in range(k):
            memcpy(places[row], values + row * value_bytes, value_bytes)
    finally:
        PyMem_Free(memory)
    return code
