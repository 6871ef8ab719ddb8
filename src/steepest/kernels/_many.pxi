# Many walks, one after the other on the same memory, without Python between them. A part of descent.pyx.
# Here because a walk of two variables takes less time than the objects that it is made of; the rules stand in
# reference/many.py. Tested in tests/test_minimize_many.py.

cdef enum:
    ALL = 4611686018427387904       # iterations

cdef enum:
    STATUS_COLUMN, NIT_COLUMN, NFEV_COLUMN, NJEV_COLUMN, COLUMNS

# Where the walks start, what they find, and what f and its gradient are given as user data, row by row.
cdef struct Rows:
    const double *starts
    double *x
    double *fun
    double *jac
    cnp.int64_t *counts
    cnp.int64_t *place          # the row that is walked from
    size_t data[2]              # of the first row
    Py_ssize_t stride[2]


def descend_many(Descent machine not None, tuple functions not None, batch, cnp.ndarray place not None,
                 Py_ssize_t first, Py_ssize_t last, cnp.ndarray halts=None, Py_ssize_t i=0):
    """Walk from rows first..last of a batch; see `steepest.reference.many.descend_many`."""
    cdef Function value, gradient, second
    cdef gradient_t by_differences = NULL
    cdef const int *halt = NULL
    cdef Rows rows
    cdef int code
    value, gradient, differences = functions
    second = value if gradient is None else gradient
    if not 0 <= first <= last <= take_rows_of(machine, batch, place, &rows):
        raise ValueError(f"there are no rows {first} to {last} in this batch")
    if halts is not None:
        if cnp.PyArray_TYPE(halts) != cnp.NPY_INT or not cnp.PyArray_ISCARRAY(halts) or not 0 <= i < halts.size:
            raise ValueError("halts must be a contiguous array of C integers with an entry i")
        halt = <const int *>PyArray_DATA(halts) + i
    machine.check_functions(value, gradient, differences, &by_differences)
    for address, function in ((rows.data[0], value), (rows.data[1], second)):
        if address and not isinstance(function, NativeFunction):
            raise ValueError("only a compiled function has user data")
    machine.running = True
    try:
        machine.ready(value)
        if second is not value:
            machine.ready(second)
        if not (value.native and second.native):
            return walk_rows(machine, value, second, <void *>differences, by_differences, &rows, first, last, NULL)
        enter(value, halt, i)
        if second is not value:
            enter(second, halt, i)
        try:
            with nogil:
                code = walk_rows(machine, value, second, <void *>differences, by_differences, &rows, first, last,
                                 halt)
            return code
        finally:
            value.leave()
            if second is not value:
                second.leave()
    except BaseException as error:
        machine.blame(error, value, second, differences)
        raise
    finally:
        machine.running = False


cdef int enter(Function function, const int *halt, Py_ssize_t i) except -1:
    """Signals are looked for by the thread that has called the library, the first."""
    (<NativeFunction?>function).quiet = i > 0
    function.enter(halt)
    return 0


cdef Py_ssize_t take_rows_of(Descent machine, batch, cnp.ndarray place, Rows *rows) except -1:
    """Look at the arrays of a batch; how many rows there are."""
    cdef cnp.ndarray starts = batch.starts, x = batch.x, fun = batch.fun, jac = batch.jac, counts = batch.counts
    cdef Py_ssize_t count = starts.shape[0] if starts.ndim == 2 else -1
    for array in (starts, x, jac):
        if not (cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE and cnp.PyArray_ISCARRAY(array) and array.ndim == 2
                and array.shape[0] == count and array.shape[1] == machine.n):
            raise ValueError("starts, x and jac must be contiguous arrays of float64, a row for each walk")
    if not (cnp.PyArray_TYPE(fun) == cnp.NPY_DOUBLE and cnp.PyArray_ISCARRAY(fun) and fun.size == count):
        raise ValueError("fun must be a contiguous array of float64, a number for each walk")
    for array, size in ((counts, COLUMNS * count), (place, 1)):
        if not (cnp.PyArray_TYPE(array) == cnp.NPY_INT64 and cnp.PyArray_ISCARRAY(array) and array.size == size):
            raise ValueError("counts and place must be contiguous arrays of int64")
    rows.starts, rows.x = <double *>PyArray_DATA(starts), <double *>PyArray_DATA(x)
    rows.fun, rows.jac = <double *>PyArray_DATA(fun), <double *>PyArray_DATA(jac)
    rows.counts = <cnp.int64_t *>PyArray_DATA(counts)
    rows.place = <cnp.int64_t *>PyArray_DATA(place)
    (rows.data[0], rows.stride[0]), (rows.data[1], rows.stride[1]) = batch.data
    return count


cdef int walk_rows(Descent self, Function value, Function second, void *differences, gradient_t by_differences,
                   Rows *rows, Py_ssize_t first, Py_ssize_t last, const int *halt) except -1 nogil:
    """The walks; the code of the first that is not PAUSED at its end."""
    cdef Py_ssize_t row
    cdef int code
    for row in range(first, last):
        if halt != NULL and halt[0]:
            return HALTED
        rows.place[0] = row
        self.begin_at(rows.starts + row * self.n)
        value.nfev = second.nfev = 0
        if rows.data[0]:
            (<NativeFunction>value).user_data = <void *>(rows.data[0] + row * rows.stride[0])
        if rows.data[1]:
            (<NativeFunction>second).user_data = <void *>(rows.data[1] + row * rows.stride[1])
        code = self.go(value, second, differences, by_differences, ALL)
        if code != PAUSED:
            return code
        write_row(self, value, rows, row)
    return PAUSED


cdef void write_row(Descent self, Function value, Rows *rows, Py_ssize_t row) noexcept nogil:
    """What a walk has found: the best point, or where it began when nothing was finite."""
    cdef Py_ssize_t i, nbytes = self.n * sizeof(double)
    cdef cnp.int64_t *counts = rows.counts + COLUMNS * row
    if not isfinite(self.best_f):
        memcpy(rows.x + row * self.n, self.trial_, nbytes)
        rows.fun[row] = self.sign * self.f
        for i in range(self.n):
            rows.jac[row * self.n + i] = NAN
    else:
        memcpy(rows.x + row * self.n, self.best_x_, nbytes)
        rows.fun[row] = self.sign * self.best_f
        for i in range(self.n):
            rows.jac[row * self.n + i] = self.sign * self.best_g_[i] if self.best_has_g else NAN
    counts[STATUS_COLUMN], counts[NIT_COLUMN] = self.status, self.nit
    counts[NFEV_COLUMN], counts[NJEV_COLUMN] = value.nfev, self.njev
