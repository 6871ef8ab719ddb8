"""Sparse Jacobians from a few differences. The twin of reference/compressed.py, where the meaning of all this stands.

Here because reading a Jacobian off should cost less than one call of f. Tested in tests/test_compressed.py.

What limits it: a division for each entry, which is what makes its bits those of the dense Jacobian; and memory: 16
bytes of indices for each entry, read in order, and the numbers, which for a column lie beside each other as a rule.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport isfinite
from libc.string cimport memcpy

from steepest.kernels.difference cimport (
    CENTRAL, COMPLEX, ROW_CENTRAL, ROW_COMPLEX, ROW_ONE_SIDED, Table, look_into,
)
from steepest.kernels.function cimport Groups

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

ctypedef fused working:
    double
    long double


cdef class Compression(Groups):
    """The columns of each colour, their points, and the entries of the Jacobian that each of them shows.

    See `steepest.reference.compressed.Compression`.
    """

    cdef readonly Py_ssize_t results
    cdef Py_ssize_t size        # of all entries
    cdef object planned         # the differences of the columns, kept alive for what is read from them
    cdef Py_ssize_t *first
    cdef Py_ssize_t *rows
    cdef Py_ssize_t *places
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
        # their sizes fit into memory, in which they are
        self.memory = <Py_ssize_t *>PyMem_Malloc((slots + 2 * size) * sizeof(Py_ssize_t))
        if self.memory == NULL:
            raise MemoryError(f"no memory for {size} entries of a Jacobian")
        self.first, self.rows, self.places = self.memory, self.memory + slots, self.memory + slots + size
        memcpy(self.first, PyArray_DATA(first), slots * sizeof(Py_ssize_t))
        memcpy(self.rows, PyArray_DATA(rows), size * sizeof(Py_ssize_t))
        memcpy(self.places, PyArray_DATA(places), size * sizeof(Py_ssize_t))
        cdef bint bad = self.first[0] != 0 or self.first[slots - 1] != size
        for i in range(slots - 1):
            bad |= self.first[i] > self.first[i + 1]
        for i in range(size):
            bad |= not 0 <= self.rows[i] < results
            bad |= not 0 <= self.places[i] < size
        if bad:
            self.count = 0
            raise ValueError("these are no entries of a Jacobian")
        self.results, self.size = results, size

    def plan(self, differences not None):
        """Take the points of all columns from their differences: ``(one-sided columns, unresolved columns)``."""
        cdef Table table
        cdef Py_ssize_t row, one_sided = 0
        look_into(differences, &table)
        if (self.memory == NULL or table.rows != self.entries or table.wide != self.wide or not table.planned
                or table.width > self.capacity):
            raise ValueError("the differences do not suit this compression")
        cdef Py_ssize_t real = sizeof(long double) if self.wide else sizeof(double)
        self.width, self.central = table.width, table.method == CENTRAL
        memcpy(self.points, table.points, table.rows * table.width * real)
        if table.complete:
            one_sided = table.rows if table.reach == 0 and table.method != COMPLEX else 0
        else:
            if self.wide:
                stay(&table, <long double *>self.points)
            else:
                stay(&table, <double *>self.points)
            for row in range(table.rows):
                one_sided += table.kinds[row] == ROW_ONE_SIDED
        self.planned, self.placed = differences, True
        return one_sided, table.unresolved

    def decompress(self, differences not None, Py_ssize_t first, Py_ssize_t last, cnp.ndarray out not None):
        """Put together the entries that the colours from `first` to `last` show; how many numbers are not finite."""
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
                or cnp.PyArray_NDIM(out) != 1 or out.size != self.size * parts or not cnp.PyArray_ISCARRAY(out)
                or cnp.PyArray_TYPE(out) != working_type):
            raise ValueError("the differences, or out, do not suit this compression")
        with nogil:
            if self.wide:
                bad = read_off(self, &plan, &seen, first, last, parts, <long double *>numbers)
            else:
                bad = read_off(self, &plan, &seen, first, last, parts, <double *>numbers)
        return bad


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
                         Py_ssize_t parts, working *out) noexcept nogil:
    """All entries of some colours; those of one column after the other."""
    cdef const working *x = <const working *>plan.x
    cdef const working *points
    cdef const working *values = <const working *>seen.values
    cdef const working *base = <const working *>seen.base
    cdef Py_ssize_t color, k, e, j, bad = 0, size = seen.size, width = plan.width
    cdef int kind
    for color in range(first, last):
        for k in range(self.starts[color], self.starts[color + 1]):
            j = self.members[k]
            kind = plan.kinds[j]
            points = <const working *>plan.points + j * width
            if parts == 1 and kind == ROW_CENTRAL and plan.reach == 1:      # nearly always
                bad += quotients(self, k, values, values + size, points[0] - points[1], out)
            elif parts == 1 and kind == ROW_ONE_SIDED and plan.one_sided == 1:
                bad += quotients(self, k, values, base, points[0] - x[j], out)
            else:
                for e in range(self.first[k], self.first[k + 1]):
                    bad += combine(plan, kind, points, x[j], values, base, size, self.rows[e], parts,
                                   out + self.places[e] * parts)
        values += seen.width * size
    return bad


cdef inline Py_ssize_t quotients(Compression self, Py_ssize_t k, const working *a, const working *b, working step,
                                 working *out) noexcept nogil:
    """The entries of one column from two values each."""
    cdef Py_ssize_t e, row, bad = 0
    cdef working quotient
    for e in range(self.first[k], self.first[k + 1]):
        row = self.rows[e]
        quotient = (a[row] - b[row]) / step
        out[self.places[e]] = quotient
        bad += not isfinite(quotient)
    return bad


cdef Py_ssize_t combine(const Table *plan, int kind, const working *points, working x, const working *values,
                        const working *base, Py_ssize_t size, Py_ssize_t row, Py_ssize_t parts,
                        working *out) noexcept nogil:
    """One entry, which has two parts where x is complex, by any scheme."""
    cdef const working *central = <const working *>plan.central_weights
    cdef const working *one_sided = <const working *>plan.one_sided_weights
    cdef Py_ssize_t part, i, k, bad = 0
    cdef working sum, term
    for part in range(parts):
        i = row * parts + part
        sum = 0
        if kind == ROW_CENTRAL:
            for k in range(plan.reach):
                term = central[k] * ((values[2 * k * size + i] - values[(2 * k + 1) * size + i])
                                     / (points[2 * k] - points[2 * k + 1]))
                sum = term if k == 0 else sum + term
        elif kind == ROW_ONE_SIDED:
            for k in range(plan.one_sided):
                term = one_sided[k] * ((values[k * size + i] - base[i]) / (points[k] - x))
                sum = term if k == 0 else sum + term
        elif kind == ROW_COMPLEX:
            sum = values[2 * i + 1] / points[0]
        out[part] = sum
        bad += not isfinite(sum)
    return bad
