# Memory: one block for everything that differences hold, and the options that are put there. A part of difference.pyx.
# Here so that the file keeps to one subject at a time; what each array is, stands in reference/difference.py.
# Tested in tests/test_difference.py.

cdef int allocate_memory(Differences self) except -1:
    """One block for everything; sizes in working numbers, checked."""
    cdef Py_ssize_t rules = self.rows if self.rule_stride else 1
    cdef Py_ssize_t counts[10]
    counts[0] = self.rows                                                   # x
    counts[1] = self.rows if self.type_num != self.real_type else 0         # magnitude
    counts[2] = self.rows                                                   # step
    counts[3] = checked_product(self.rows, self.width)                      # points
    counts[4] = checked_product(checked_product(self.block, self.width), self.size)
    counts[5] = checked_product(self.block if self.own_base else 1, self.size)
    counts[6] = checked_product(self.block, self.result_size)
    counts[7] = checked_product(rules, 3)
    counts[8] = self.rows if self.bounded else 0                            # lower
    counts[9] = self.rows if self.bounded else 0                            # upper
    cdef Py_ssize_t i, total = 0
    for i in range(10):
        total = checked_sum(total, counts[i])
    total = checked_sum(checked_product(total, self.real),
                        checked_product(self.rows, sizeof(Py_ssize_t) + 2))
    self.memory = <char *>PyMem_Malloc(total if total > 0 else 1)
    if self.memory == NULL:
        raise MemoryError(f"no memory for {total} bytes of differences")
    cdef char *at = self.memory
    cdef char **parts[10]
    parts[0], parts[1], parts[2], parts[3] = &self.x_, &self.magnitude_, &self.step_, &self.points_
    parts[4], parts[5], parts[6], parts[7] = &self.values_, &self.base_, &self.result_, &self.rule_
    parts[8], parts[9] = &self.lower_, &self.upper_
    for i in range(10):
        parts[i][0] = at
        at += counts[i] * self.real
    if self.type_num == self.real_type:
        self.magnitude_ = self.x_
    memset(self.base_, 0, counts[5] * self.real)
    self.entries = <Py_ssize_t *>at
    self.kinds = <signed char *>(at + self.rows * sizeof(Py_ssize_t))
    self.statuses = self.kinds + self.rows
    return 0


cdef int fill_rule(Differences self, double factor, rule) except -1:
    cdef Py_ssize_t i, part, count = self.rows if self.rule_stride else 1
    if rule is None:
        for i in range(3):
            if self.wide:
                (<long double *>self.rule_)[i] = factor
            else:
                (<double *>self.rule_)[i] = factor
        return 0
    table = np.empty((3, count), np.longdouble if self.wide else np.float64)
    for part in range(3):
        table[part] = rule[part]
    memcpy(self.rule_, PyArray_DATA(table), 3 * count * self.real)
    return 0


cdef int fill_bounds(Differences self, lower, upper) except -1:
    table = np.empty((2, self.rows), np.longdouble if self.wide else np.float64)
    largest = np.finfo(cnp.PyArray_DescrFromType(self.real_type)).max
    table[0] = -largest if lower is None else np.maximum(lower, -largest)
    table[1] = largest if upper is None else np.minimum(upper, largest)
    memcpy(self.lower_, PyArray_DATA(table), 2 * self.rows * self.real)
    return 0


cdef int fill_entries(Differences self, entries) except -1:
    cdef Py_ssize_t i
    self.last_entry = self.rows - 1
    if entries is None:
        for i in range(self.rows):
            self.entries[i] = i
        return 0
    self.last_entry = LINE
    for i in range(self.rows):
        self.entries[i] = entries[i]
        self.last_entry = max(self.last_entry, self.entries[i])
        if GROUPS < self.entries[i] < LINE:
            raise ValueError("no such entry")
    return 0


cdef Py_ssize_t checked_product(Py_ssize_t a, Py_ssize_t b) except -1:
    if a < 0 or b < 0 or (b != 0 and a > PY_SSIZE_T_MAX // b):
        raise OverflowError("the differences would need more memory than can be addressed")
    return a * b


cdef Py_ssize_t checked_sum(Py_ssize_t a, Py_ssize_t b) except -1:
    if a < 0 or b < 0 or a > PY_SSIZE_T_MAX - b:
        raise OverflowError("the differences would need more memory than can be addressed")
    return a + b
