# Rows: copied to where they lie one after the other, and where each lies. A part of layers.pyx.
# Here because x may lie anywhere, in any order, and a product wants rows that it can follow.
# Tested in tests/test_layers.py.

cdef inline Py_ssize_t padded(Py_ssize_t count) noexcept nogil:
    return (count + PADDING - 1) & ~<Py_ssize_t>(PADDING - 1)


cdef char *take(Py_ssize_t count, Py_ssize_t size) except NULL:
    """Memory for so many elements, all 0, and what it takes to begin at a line of the cache."""
    cdef char *memory = <char *>PyMem_Calloc(count + LINE // size + 1, size)
    if memory == NULL:
        raise MemoryError()
    return memory


cdef inline char *aligned(char *memory) noexcept nogil:
    return memory + (-<size_t>memory & (LINE - 1))


cdef Py_ssize_t part_of(Py_ssize_t rows, Py_ssize_t operations) noexcept nogil:
    """How many rows make a part; see the reference."""
    cdef Py_ssize_t least = max((rows + PARTS - 1) // PARTS, (WORTH + operations - 1) // operations)
    return min((least + CHUNK - 1) // CHUNK, (rows + CHUNK - 1) // CHUNK) * CHUNK


cdef inline bint goes_back(const Rows *rows) noexcept nogil:
    return rows.by_weights or rows.by_inputs or rows.deltas != NULL


cdef inline Py_ssize_t place_of(const Rows *rows, Py_ssize_t i) noexcept nogil:
    """Which row of x is the i-th."""
    return rows.order[i] if rows.order != NULL else i


cdef bint in_range(const Py_ssize_t *places, Py_ssize_t count, Py_ssize_t bound) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if not 0 <= places[i] < bound:
            return False
    return True


cdef void take_rows(const char *start, Py_ssize_t row, Py_ssize_t column, const Rows *rows, Py_ssize_t first,
                    Py_ssize_t count, Py_ssize_t columns, int size, char *to, Py_ssize_t to_row) noexcept nogil:
    """Copy rows, whatever their strides, to lie `to_row` elements apart."""
    cdef Py_ssize_t i, j
    cdef const char *at
    for i in range(count):
        at = start + place_of(rows, first + i) * row
        if column == size:
            memcpy(to, at, columns * size)
        elif size == 8:
            for j in range(columns):
                (<double *>to)[j] = (<const double *>(at + j * column))[0]
        else:
            for j in range(columns):
                (<float *>to)[j] = (<const float *>(at + j * column))[0]
        to += to_row * size


cdef inline const void *const *rows_before(const Work *work, Py_ssize_t i) noexcept nogil:
    """Where the rows lie that enter layer i."""
    return <const void *const *>(work.value_rows + (i - 1) * CHUNK if i > 0 else work.inputs)


cdef void point_to(const char *start, Py_ssize_t row, const char **places, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        places[i] = start + i * row


cdef void take_answers(const Rows *rows, Py_ssize_t first, Py_ssize_t count, Py_ssize_t outputs, Py_ssize_t row,
                       int size, Work *work) noexcept nogil:
    """What the outputs are compared with, and how much each row counts."""
    cdef Py_ssize_t i, place
    cdef double factor = 1 / rows.total if rows.total > 0 else 0.0
    if rows.labels:
        for i in range(count):
            work.labels[i] = (<const int64_t *>(rows.y + place_of(rows, first + i) * rows.y_row))[0]
    else:
        take_rows(rows.y, rows.y_row, rows.y_column, rows, first, count, outputs, size, work.y, row)
    for i in range(count):
        work.weights[i], work.factors[i] = 1.0, factor
    if rows.weight != NULL:
        for i in range(count):
            work.weights[i] = (<const double *>(rows.weight + place_of(rows, first + i) * rows.weight_row))[0]
            work.factors[i] = work.weights[i] / rows.total if rows.total > 0 else 0.0


cdef void put_rows(const char *start, Py_ssize_t row, char *to, Py_ssize_t first, Py_ssize_t count,
                   Py_ssize_t columns, int size) noexcept nogil:
    """Copy rows of ours to where they lie one after the other."""
    cdef Py_ssize_t i
    for i in range(count):
        memcpy(to + (first + i) * columns * size, start + i * row * size, columns * size)
