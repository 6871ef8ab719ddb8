# Combine: weighted sums of difference quotients. A part of difference.pyx.
# Here so that the file keeps to one subject at a time; the formulas stand in reference/difference.py.
# Tested in tests/test_difference.py.

cdef Py_ssize_t combine_regular(const double *values, const double *points, double *result,
                                Py_ssize_t count) noexcept nogil:
    """Second-order central differences of a scalar; the weight is 1. Returns how many are not finite."""
    cdef Py_ssize_t i, good = 0
    for i in range(count):
        result[i] = (values[2 * i] - values[2 * i + 1]) / (points[2 * i] - points[2 * i + 1])
        good += fabs(result[i]) <= DBL_MAX
    return count - good


cdef inline working power_of(working step, int n) noexcept nogil:
    cdef working power = step
    cdef int i
    for i in range(n - 1):
        power = power * step
    return power


cdef Py_ssize_t combine_rows(Differences self, Py_ssize_t first, Py_ssize_t last, working *result) noexcept:
    """The weighted sums of difference quotients; returns how many are not finite."""
    cdef const working *points = <const working *>self.points_ + first * self.width
    cdef const working *values = <const working *>self.values_
    cdef const working *base = <const working *>self.base_
    cdef Py_ssize_t row, j, count = (last - first) * self.result_size
    cdef working *out = result
    for row in range(first, last):
        combine_row(self, row, points, values, base, out)
        out += self.result_size
        values += self.width * self.size
        points += self.width
        if self.own_base:
            base += self.size
    cdef Py_ssize_t bad = 0
    for j in range(count):
        bad += not isfinite(result[j])
    return bad


cdef inline bint finite(const working *numbers, Py_ssize_t count) noexcept:
    cdef Py_ssize_t i
    for i in range(count):
        if not isfinite(numbers[i]):
            return False
    return True


cdef void mark_overflow(Differences self, Py_ssize_t first, Py_ssize_t last, const working *result) noexcept:
    """Where all values are finite but their difference is not, no other step is to be tried."""
    cdef const working *values = <const working *>self.values_
    cdef const working *base = <const working *>self.base_
    cdef Py_ssize_t i, own
    for i in range(last - first):
        own = i if self.own_base else 0
        if (not finite(result + i * self.result_size, self.result_size)
                and finite(values + i * self.width * self.size, self.count_of(first + i) * self.size)
                and (not self.needs_base(first + i) or finite(base + own * self.size, self.size))):
            self.statuses[first + i] = NONFINITE


cdef void combine_row(Differences self, Py_ssize_t row, const working *points, const working *values,
                      const working *base, working *result) noexcept:
    cdef const working *weights
    cdef Py_ssize_t j, k, size = self.size
    cdef working x = (<const working *>self.x_)[row], step
    cdef int kind = self.kinds[row], n = self.n
    if kind == ROW_CENTRAL:
        weights = <const working *>PyArray_DATA(self.central_weights)
        for k in range(self.reach):
            step = power_of(points[2 * k] - points[2 * k + 1], n)
            if n % 2:
                add_odd(result, values + 2 * k * size, weights[k], step, size, k == 0)
            else:
                add_even(result, values + 2 * k * size, base, weights[k], step, size, k == 0)
    elif kind == ROW_ONE_SIDED:
        weights = <const working *>PyArray_DATA(self.one_sided_weights)
        for k in range(self.one_sided):
            step = power_of(points[k] - x, n)
            add_one_sided(result, values + k * size, base, weights[k], step, size, k == 0)
    elif kind == ROW_COMPLEX:
        step = (<const working *>self.step_)[row]
        for j in range(self.result_size):
            result[j] = values[2 * j + 1] / step
    else:
        for j in range(self.result_size):
            result[j] = 0


cdef inline void add_odd(working *result, const working *pair, working weight, working step, Py_ssize_t size,
                         bint new) noexcept nogil:
    cdef Py_ssize_t j
    cdef working term
    for j in range(size):
        term = weight * ((pair[j] - pair[size + j]) / step)
        result[j] = term if new else result[j] + term


cdef inline void add_even(working *result, const working *pair, const working *base, working weight, working step,
                          Py_ssize_t size, bint new) noexcept nogil:
    cdef Py_ssize_t j
    cdef working term
    for j in range(size):
        term = weight * (((pair[j] - base[j]) + (pair[size + j] - base[j])) / step)
        result[j] = term if new else result[j] + term


cdef inline void add_one_sided(working *result, const working *value, const working *base, working weight,
                               working step, Py_ssize_t size, bint new) noexcept nogil:
    cdef Py_ssize_t j
    cdef working term
    for j in range(size):
        term = weight * ((value[j] - base[j]) / step)
        result[j] = term if new else result[j] + term
