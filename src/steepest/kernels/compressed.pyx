"""Sparse Jacobians from a few differences. The twin of reference/compressed.py, where the meaning of all this stands.

Here because reading a Jacobian off should cost less than one call of f. Tested in tests/test_compressed.py.

What limits it: loads and stores, six for each entry, and for each column a reciprocal (to divide once for each entry
would take half as long again). What belongs to a column is stored in the order of colours, which is how it is read,
and in int where that will do: a Jacobian of 30 000 entries, the values of f and all that is needed for it, should fit
into the second cache.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.limits cimport INT_MAX
from libc.math cimport isfinite
from libc.string cimport memcpy

from steepest.kernels.difference cimport (
    BACKWARD, CENTRAL, COMPLEX, FORWARD, ROW_CENTRAL, ROW_COMPLEX, ROW_ONE_SIDED, UNSUITED, Table, look_into,
)
from steepest.kernels.function cimport GOOD, Function, Groups

import numpy as np

from steepest.reference.difference import refuse_nonfinite

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

ctypedef fused working:
    double
    long double


ctypedef fused index:
    int
    Py_ssize_t


cdef class Compression(Groups):
    """The columns of each colour, their points, and the entries of the Jacobian that each of them shows.

    See `steepest.reference.compressed.Compression`.
    """

    cdef readonly Py_ssize_t results
    cdef Py_ssize_t stored      # entries of the Jacobian
    cdef object planned         # the differences of the columns, kept alive for what is read from them
    cdef cnp.ndarray gathered   # x in the order of colours
    cdef bint complete          # every column is differenced in the usual way
    cdef Py_ssize_t *first
    cdef bint narrow            # rows and places are int: half the memory to be read
    cdef void *rows
    cdef void *places
    cdef Py_ssize_t *memory

    def __cinit__(self):
        self.memory = NULL

    def __dealloc__(self):
        PyMem_Free(self.memory)

    def __init__(self, cnp.ndarray starts not None, cnp.ndarray columns not None, cnp.ndarray first not None,
                 cnp.ndarray rows not None, cnp.ndarray places not None, Py_ssize_t entries, Py_ssize_t results,
                 Py_ssize_t capacity, cnp.dtype dtype not None):
        cdef int kind = dtype.type_num
        self.take_groups(starts, columns, entries, capacity, kind in (cnp.NPY_LONGDOUBLE, cnp.NPY_CLONGDOUBLE))
        for array in (first, rows, places):
            if (cnp.PyArray_TYPE(array) != cnp.NPY_INTP or cnp.PyArray_NDIM(array) != 1
                    or not cnp.PyArray_ISCARRAY_RO(array)):
                raise TypeError("a compression needs arrays of intp")
        cdef Py_ssize_t i, size = rows.size, slots = first.size
        if slots != columns.size + 1 or places.size != size:
            raise ValueError("these are no entries of a Jacobian")
        self.narrow = size <= INT_MAX and results <= INT_MAX
        cdef Py_ssize_t item = sizeof(int) if self.narrow else sizeof(Py_ssize_t)
        # their sizes fit into memory, in which they are
        self.memory = <Py_ssize_t *>PyMem_Malloc(slots * sizeof(Py_ssize_t) + 2 * size * item)
        if self.memory == NULL:
            raise MemoryError(f"no memory for {size} entries of a Jacobian")
        self.first, self.rows = self.memory, self.memory + slots
        self.places = <char *>self.rows + size * item
        memcpy(self.first, PyArray_DATA(first), slots * sizeof(Py_ssize_t))
        cdef bint bad = self.first[0] != 0 or self.first[slots - 1] != size
        for i in range(slots - 1):
            bad |= self.first[i] > self.first[i + 1]
        if self.narrow:
            bad |= take_indices(<int *>self.rows, <const Py_ssize_t *>PyArray_DATA(rows), size, results)
            bad |= take_indices(<int *>self.places, <const Py_ssize_t *>PyArray_DATA(places), size, size)
        else:
            bad |= take_indices(<Py_ssize_t *>self.rows, <const Py_ssize_t *>PyArray_DATA(rows), size, results)
            bad |= take_indices(<Py_ssize_t *>self.places, <const Py_ssize_t *>PyArray_DATA(places), size, size)
        if bad:
            self.count = 0
            raise ValueError("these are no entries of a Jacobian")
        self.results, self.stored = results, size
        self.gathered = np.empty(self.size, dtype)

    def plan(self, differences not None, cnp.ndarray x not None):
        """Plan the differences of all columns and take their points: ``(one-sided columns, unresolved columns)``."""
        cdef Py_ssize_t one_sided = 0, unresolved = 0
        self.take_plan(differences, x, &one_sided, &unresolved)
        return one_sided, unresolved

    cdef int take_plan(self, differences, cnp.ndarray x, Py_ssize_t *one_sided, Py_ssize_t *unresolved) except -1:
        cdef Table table
        cdef Py_ssize_t row, real = sizeof(long double) if self.wide else sizeof(double)
        if (self.memory == NULL or cnp.PyArray_NDIM(x) != 1 or x.size != self.entries
                or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(self.gathered) or not cnp.PyArray_ISCARRAY_RO(x)):
            raise ValueError("x does not suit this compression")
        look_into(differences, &table)
        if table.rows != self.size or table.wide != self.wide or table.width > self.capacity:
            raise ValueError("the differences do not suit this compression")
        self.gather(x)
        try:
            differences.plan(self.gathered)
        except ValueError:
            refuse_nonfinite(x)     # by the number that it has there
            raise
        look_into(differences, &table)
        self.planned, self.placed = differences, True
        self.width, self.central = table.width, table.method == CENTRAL
        self.complete = all_of(&table)
        if self.complete:
            self.points = table.points      # they live as long as what was planned
            one_sided[0] = table.rows if table.reach == 0 and table.method != COMPLEX else 0
        else:
            self.points = self.block
            memcpy(self.block, table.points, table.rows * table.width * real)
            if self.wide:
                stay(&table, <long double *>self.block)
            else:
                stay(&table, <double *>self.block)
            for row in range(table.rows):
                one_sided[0] += table.kinds[row] == ROW_ONE_SIDED
        unresolved[0] = table.unresolved
        return 0

    cdef int gather(self, cnp.ndarray x) except -1:
        """The entries of x in the order of colours."""
        cdef const char *from_ = <const char *>PyArray_DATA(x)
        cdef char *to = <char *>PyArray_DATA(self.gathered)
        cdef Py_ssize_t k, item = cnp.PyArray_ITEMSIZE(x)
        if item == sizeof(double):
            for k in range(self.size):
                (<double *>to)[k] = (<const double *>from_)[self.members[k]]
        else:
            for k in range(self.size):
                memcpy(to + k * item, from_ + self.members[k] * item, item)
        return 0

    def decompress(self, differences not None, Py_ssize_t first, Py_ssize_t last, cnp.ndarray out not None):
        """Put together the entries that the colours from `first` to `last` show; how many numbers are not finite."""
        return self.read(differences, first, last, out)

    cdef Py_ssize_t read(self, differences, Py_ssize_t first, Py_ssize_t last, cnp.ndarray out) except -1:
        cdef Table plan, seen
        cdef Py_ssize_t parts, bad
        cdef int working_type = cnp.NPY_LONGDOUBLE if self.wide else cnp.NPY_DOUBLE
        cdef void *numbers = PyArray_DATA(out)
        if not self.placed:
            raise ValueError("plan the compression first")
        look_into(self.planned, &plan)
        look_into(differences, &seen)
        parts = seen.result_size // self.results if self.results else 1
        if (seen.rows != self.count or not 0 <= first <= last <= self.count or last - first > seen.block
                or not seen.planned or seen.wide != self.wide or seen.method != plan.method
                or seen.width != plan.width or seen.reach != plan.reach or seen.one_sided != plan.one_sided
                or seen.size != self.results * (2 if plan.method == COMPLEX else parts)
                or seen.result_size != self.results * parts or parts > 2
                or cnp.PyArray_NDIM(out) != 1 or out.size != self.stored * parts or not cnp.PyArray_ISCARRAY(out)
                or cnp.PyArray_TYPE(out) != working_type):
            raise ValueError("the differences, or out, do not suit this compression")
        with nogil:
            if self.wide:
                if self.narrow:
                    bad = read_off(self, &plan, &seen, first, last, parts, <const int *>self.rows,
                                   <const int *>self.places, <long double *>numbers)
                else:
                    bad = read_off(self, &plan, &seen, first, last, parts, <const Py_ssize_t *>self.rows,
                                   <const Py_ssize_t *>self.places, <long double *>numbers)
            elif self.narrow:
                bad = read_off(self, &plan, &seen, first, last, parts, <const int *>self.rows,
                               <const int *>self.places, <double *>numbers)
            else:
                bad = read_off(self, &plan, &seen, first, last, parts, <const Py_ssize_t *>self.rows,
                               <const Py_ssize_t *>self.places, <double *>numbers)
        return bad

    def difference(self, Function function not None, differences not None, colors not None, cnp.ndarray x not None,
                   cnp.ndarray out not None):
        """Do it all for a function that is evaluated here: ``(code, bad, one-sided columns, unresolved columns)``."""
        cdef Py_ssize_t first, last, bad = 0, one_sided = 0, unresolved = 0, block = max(colors.block, 1)
        cdef int code
        self.take_plan(differences, x, &one_sided, &unresolved)
        if one_sided and self.central:
            return UNSUITED, bad, one_sided, unresolved
        function.start(x)
        function.in_groups(self)
        colors.plan(np.zeros(self.count, x.dtype))
        for first in range(0, self.count, block):
            last = min(first + block, self.count)
            code = colors.evaluate(function, first, last)
            if code != GOOD:
                return code, bad, one_sided, unresolved
            bad += self.read(colors, first, last, out)
        return function.close(), bad, one_sided, unresolved


cdef bint take_indices(index *to, const Py_ssize_t *given, Py_ssize_t count, Py_ssize_t limit) noexcept:
    """Copy indices; whether one of them is out of range."""
    cdef Py_ssize_t i
    cdef bint bad = False
    for i in range(count):
        bad |= not 0 <= given[i] < limit
        to[i] = <index>given[i]
    return bad


cdef bint all_of(const Table *table) noexcept nogil:
    """Whether every row is of the usual kind, and uses as many points as any."""
    cdef int usual = (ROW_CENTRAL if table.method == CENTRAL else ROW_COMPLEX if table.method == COMPLEX
                      else ROW_ONE_SIDED)
    cdef signed char other = 0
    cdef Py_ssize_t row
    for row in range(table.rows):
        other |= table.kinds[row] ^ usual
    return other == 0


cdef void stay(const Table *table, working *points) noexcept:
    """Columns that have fewer points than others stay where they are in the rest."""
    cdef const working *x = <const working *>table.x
    cdef Py_ssize_t row, k, count
    for row in range(table.rows):
        count = (2 * table.reach if table.kinds[row] == ROW_CENTRAL
                 else table.one_sided if table.kinds[row] == ROW_ONE_SIDED
                 else 1 if table.kinds[row] == ROW_COMPLEX else 0)
        for k in range(count, table.width):
            points[row * table.width + k] = 0 if table.method == COMPLEX else x[row]


cdef Py_ssize_t read_off(Compression self, const Table *plan, const Table *seen, Py_ssize_t first, Py_ssize_t last,
                         Py_ssize_t parts, const index *rows, const index *places, working *out) noexcept nogil:
    """All entries of some colours."""
    cdef const working *x = <const working *>plan.x
    cdef const working *values = <const working *>seen.values
    cdef const working *base = <const working *>seen.base
    cdef bint usual = parts == 1 and self.complete
    cdef Py_ssize_t color, bad = 0
    for color in range(first, last):
        if usual and plan.method == CENTRAL and plan.reach == 1:    # nearly always
            bad += quotients(self, plan, color, values, values + seen.size, NULL, rows, places, out)
        elif usual and plan.method in (FORWARD, BACKWARD) and plan.one_sided == 1:
            bad += quotients(self, plan, color, values, base, x, rows, places, out)
        else:
            bad += combine(self, plan, color, values, base, seen.size, parts, rows, places, out)
        values += seen.width * seen.size
    return bad


cdef Py_ssize_t quotients(Compression self, const Table *plan, Py_ssize_t color, const working *a, const working *b,
                          const working *x, const index *rows, const index *places, working *out) noexcept nogil:
    """The entries of the columns of a colour from two values each: at its two points, or at one and at x."""
    cdef const Py_ssize_t *first = self.first
    cdef const working *points = <const working *>plan.points
    cdef Py_ssize_t k, e, row, bad = 0
    cdef working step, inverse, quotient, sum
    for k in range(self.starts[color], self.starts[color + 1]):
        step = points[k] - x[k] if x != NULL else points[2 * k] - points[2 * k + 1]
        inverse = 1 / step
        sum = 0
        for e in range(first[k], first[k + 1]):
            row = rows[e]
            quotient = (a[row] - b[row]) * inverse
            out[places[e]] = quotient
            sum += quotient - quotient
        if sum != 0:    # one is not finite
            for e in range(first[k], first[k + 1]):
                row = rows[e]
                out[places[e]] = quotient_of(a[row] - b[row], step)
                bad += not isfinite(out[places[e]])
    return bad


cdef inline working quotient_of(working difference, working step) noexcept nogil:
    """A difference by a step: by its reciprocal, if it has one."""
    cdef working inverse = 1 / step
    return difference * inverse if isfinite(inverse) else difference / step


cdef Py_ssize_t combine(Compression self, const Table *plan, Py_ssize_t color, const working *values,
                        const working *base, Py_ssize_t size, Py_ssize_t parts, const index *rows,
                        const index *places, working *out) noexcept nogil:
    """The entries of the columns of a colour by any schemes; they have two parts where x is complex."""
    cdef Py_ssize_t k, e, bad = 0
    for k in range(self.starts[color], self.starts[color + 1]):
        for e in range(self.first[k], self.first[k + 1]):
            bad += combine_entry(plan, k, values, base, size, rows[e], parts, out + places[e] * parts)
    return bad


cdef Py_ssize_t combine_entry(const Table *plan, Py_ssize_t column, const working *values, const working *base,
                              Py_ssize_t size, Py_ssize_t row, Py_ssize_t parts, working *out) noexcept nogil:
    cdef const working *points = <const working *>plan.points + column * plan.width
    cdef const working *central = <const working *>plan.central_weights
    cdef const working *one_sided = <const working *>plan.one_sided_weights
    cdef working x = (<const working *>plan.x)[column], sum, step, change
    cdef int kind = plan.kinds[column]
    cdef Py_ssize_t part, i, k, bad = 0
    for part in range(parts):
        i = row * parts + part
        sum = 0
        if kind == ROW_CENTRAL:
            for k in range(plan.reach):
                change = values[2 * k * size + i] - values[(2 * k + 1) * size + i]
                step = points[2 * k] - points[2 * k + 1]
                change = central[k] * (quotient_of(change, step) if plan.reach == 1 and parts == 1 else change / step)
                sum = change if k == 0 else sum + change
        elif kind == ROW_ONE_SIDED:
            for k in range(plan.one_sided):
                change, step = values[k * size + i] - base[i], points[k] - x
                change = one_sided[k] * (quotient_of(change, step) if plan.one_sided == 1 and parts == 1
                                         else change / step)
                sum = change if k == 0 else sum + change
        elif kind == ROW_COMPLEX:
            sum = values[2 * i + 1] / points[0]
        out[part] = sum
        bad += not isfinite(sum)
    return bad
