"""Finite differences: which points, evaluate, combine, each a loop of its own. The twin of reference/difference.py.

Here because these loops are what a gradient costs beyond the calls of f. The mathematics, the constants and the meaning
of every argument stand in the reference; this file does the same, bit for bit. Tested in tests/test_difference.py.

What limits it: the calls of f. A call of an empty Python function costs 16 ns, so the loop around it is allowed two or
three: one comparison, one store, the call, one look at the view, one store.
"""

cimport cython
cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport INFINITY, fabs, isfinite, nextafter, nextafterf, nextafterl
from libc.float cimport DBL_MAX, DBL_EPSILON, FLT_EPSILON, FLT_MAX, LDBL_EPSILON, LDBL_MAX
from libc.string cimport memcpy, memset

from steepest.kernels.callback cimport BASE, GOOD, LINE, Function, PythonFunction, evaluate_t

import numpy as np

from steepest.errors import BusyError
from steepest.reference.callback import note_evaluation
from steepest.reference import difference as twin
from steepest.reference.difference import refuse_nonfinite, shape_of_scheme, step_factor, weights

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    bint PyCallable_Check(object) noexcept

cdef extern from *:
    """
    /* Rounding and the treatment of subnormals, in which our own arithmetic is done. */
    #if defined(__SSE2__) || defined(_M_X64)
    #include <xmmintrin.h>
    static inline int steepest_mode(void) { return _mm_getcsr() & 0xE040; }
    #else
    #include <fenv.h>
    static inline int steepest_mode(void) { return fegetround(); }
    #endif
    """
    int steepest_mode() noexcept nogil

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

cdef double RESOLUTION = twin.RESOLUTION
cdef double DOUBLE_FACTOR = step_factor(DBL_EPSILON, CENTRAL, 2)
cdef int AS_COMPLEX = cnp.NPY_CFLOAT - cnp.NPY_FLOAT

ctypedef fused working:
    double
    long double

ctypedef fused floating:
    float
    double
    long double


cpdef bint is_point(x) noexcept:
    """Whether x can be used as it is: a C-contiguous, aligned, native array of a floating or complex type."""
    cdef int kind
    if not (cnp.PyArray_CheckExact(x) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x)):
        return False
    kind = cnp.PyArray_TYPE(<cnp.ndarray>x)
    return cnp.NPY_FLOAT <= kind <= cnp.NPY_CLONGDOUBLE


@cython.freelist(8)
cdef class Differences:
    """The differences of one function at one point: the rule for the steps, and the memory.

    See `steepest.reference.difference.Differences`.
    """

    cdef readonly Py_ssize_t rows, width, size, block, reach, one_sided
    cdef Py_ssize_t last_entry
    cdef readonly int method, n
    cdef readonly bint wide, own_base, has_base
    cdef bint running, bounded, with_base, planned
    cdef int real_type, type_num
    cdef Py_ssize_t real, result_size       # bytes of a working number; numbers in a result
    cdef Py_ssize_t rule_stride             # 0: one rule for all rows
    cdef Py_ssize_t unresolved
    cdef bint regular                       # every row is central and resolved, as nearly always
    cdef Py_ssize_t row, column             # where an evaluation is under way, for the note on an exception
    cdef Py_ssize_t *entries
    cdef signed char *kinds
    cdef signed char *statuses
    cdef char *memory
    cdef char *x_
    cdef char *magnitude_
    cdef char *step_
    cdef char *points_
    cdef char *values_
    cdef char *base_
    cdef char *result_
    cdef char *rule_
    cdef char *lower_
    cdef char *upper_
    cdef cnp.ndarray central_weights, one_sided_weights

    def __cinit__(self):
        self.memory = NULL

    def __init__(self, Py_ssize_t rows, cnp.dtype dtype, int method, Py_ssize_t order, double factor,
                 Py_ssize_t size=1, block=None, rule=None, cnp.ndarray lower=None, cnp.ndarray upper=None,
                 cnp.ndarray entries=None, bint own_base=False, int n=1, bint with_base=False):
        self.set_up(rows, dtype, method, order, factor, size, rows if block is None else block, rule, lower, upper,
                    entries, own_base, n, with_base)

    cdef int set_up(self, Py_ssize_t rows, cnp.dtype dtype, int method, Py_ssize_t order, double factor,
                    Py_ssize_t size, Py_ssize_t block, rule, cnp.ndarray lower, cnp.ndarray upper,
                    cnp.ndarray entries, bint own_base, int n, bint with_base) except -1:
        if self.memory != NULL:
            raise TypeError("differences are made once")
        self.rows, self.method, self.size, self.n = rows, method, size, n
        self.own_base, self.with_base = own_base, with_base
        self.block = block
        self.type_num = dtype.type_num
        self.real_type = dtype.type_num - (AS_COMPLEX if dtype.type_num >= cnp.NPY_CFLOAT else 0)
        self.wide = self.real_type == cnp.NPY_LONGDOUBLE
        self.real = sizeof(long double) if self.wide else sizeof(double)
        if method == CENTRAL and n == 1 and order == 2:
            self.reach, self.one_sided = 1, 2
        else:
            self.reach, self.one_sided = shape_of_scheme(method, order, n)
        self.width = 1 if method == COMPLEX else max(2 * self.reach, self.one_sided)
        self.result_size = size // 2 if method == COMPLEX else size
        self.bounded = lower is not None or upper is not None
        self.rule_stride = 0 if rule is None or max(len(part) for part in rule) == 1 else 1
        self.allocate_memory()
        self.fill_rule(factor, rule)
        if self.bounded:
            self.fill_bounds(lower, upper)
        self.fill_entries(entries)

    def __dealloc__(self):
        PyMem_Free(self.memory)

    cdef int allocate_memory(self) except -1:
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

    cdef int fill_rule(self, double factor, rule) except -1:
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

    cdef int fill_bounds(self, lower, upper) except -1:
        table = np.empty((2, self.rows), np.longdouble if self.wide else np.float64)
        largest = np.finfo(cnp.PyArray_DescrFromType(self.real_type)).max
        table[0] = -largest if lower is None else np.maximum(lower, -largest)
        table[1] = largest if upper is None else np.minimum(upper, largest)
        memcpy(self.lower_, PyArray_DATA(table), 2 * self.rows * self.real)
        return 0

    cdef int fill_entries(self, entries) except -1:
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
            if self.entries[i] < LINE:
                raise ValueError("no such entry")
        return 0

    # which points

    def plan(self, cnp.ndarray x not None):
        """Choose the step, the kind of difference, the points and the status of every row, from its entry of `x`."""
        if (self.memory == NULL or x.size != self.rows or cnp.PyArray_TYPE(x) != self.type_num
                or not cnp.PyArray_ISCARRAY_RO(x)):
            raise ValueError("x does not suit these differences")
        self.plan_for(x)

    cdef int plan_for(self, cnp.ndarray x) except -1:
        cdef bint finite
        self.has_base = self.planned = False
        if self.type_num == cnp.NPY_DOUBLE:
            memcpy(self.x_, PyArray_DATA(x), self.rows * sizeof(double))
            self.regular = (self.method == CENTRAL and self.reach == 1 and self.width == 2 and not self.bounded
                            and self.rule_stride == 0 and not self.with_base
                            and plan_regular(<const double *>self.x_, self.rows, (<double *>self.rule_)[0],
                                             (<double *>self.rule_)[1], <double *>self.step_,
                                             <double *>self.points_))
            if self.regular:
                memset(self.kinds, ROW_CENTRAL, self.rows)
                memset(self.statuses, RESOLVED, self.rows)
                self.unresolved = 0
                self.planned = True
                return 0
            finite = load(<const double *>self.x_, self.rows, 1, <double *>self.x_, <double *>self.magnitude_)
        elif self.real_type == cnp.NPY_DOUBLE:
            finite = load(<const double *>PyArray_DATA(x), self.rows, 2, <double *>self.x_, <double *>self.magnitude_)
        elif self.real_type == cnp.NPY_FLOAT:
            finite = load(<const float *>PyArray_DATA(x), self.rows, 1 if self.type_num == cnp.NPY_FLOAT else 2,
                          <double *>self.x_, <double *>self.magnitude_)
        else:
            finite = load(<const long double *>PyArray_DATA(x), self.rows,
                          1 if self.type_num == cnp.NPY_LONGDOUBLE else 2,
                          <long double *>self.x_, <long double *>self.magnitude_)
        if not finite:
            refuse_nonfinite(x)
        if self.bounded:
            self.check_inside()
        if self.wide:
            plan_rows(self, <long double *>self.x_)
        else:
            plan_rows(self, <double *>self.x_)
        self.planned = True
        return 0

    cdef int check_inside(self) except -1:
        cdef Py_ssize_t outside
        if self.wide:
            outside = count_outside(<long double *>self.x_, <long double *>self.lower_,
                                    <long double *>self.upper_, self.rows)
        else:
            outside = count_outside(<double *>self.x_, <double *>self.lower_, <double *>self.upper_, self.rows)
        if outside:
            twin.refuse_outside(self.x, self.copy(self.lower_, (self.rows,)), self.copy(self.upper_, (self.rows,)))
        return 0

    # evaluate

    def set_base(self, value):
        """Take the known value of f at x."""
        flat = np.atleast_1d(value).reshape(-1).view(np.longdouble if self.wide else np.float64)
        if self.memory == NULL or flat.size != self.size or self.own_base:
            raise ValueError("this is not a value of f")
        cdef cnp.ndarray array = np.ascontiguousarray(flat)
        memcpy(self.base_, PyArray_DATA(array), self.size * self.real)
        self.has_base = True

    def evaluate(self, Function function not None, Py_ssize_t first=0, last=None):
        """Evaluate f at the points of rows first..last; GOOD, or why everything must be evaluated again."""
        cdef Py_ssize_t end = self.rows if last is None else last
        self.check_rows(first, end)
        return self.evaluate_rows(function, first, end)

    cdef int check_rows(self, Py_ssize_t first, Py_ssize_t last) except -1:
        if not 0 <= first <= last <= self.rows or last - first > self.block:
            raise ValueError(f"rows {first} to {last} are not a block of at most {self.block} of {self.rows} rows")
        return 0

    cdef int evaluate_rows(self, Function function, Py_ssize_t first, Py_ssize_t last) except -1:
        if function.wide != self.wide or function.size != self.size or self.last_entry >= function.count:
            raise ValueError("the function does not suit these differences")
        if not (function.started and self.planned):
            raise ValueError("begin the function and plan the differences first")
        if self.running:
            raise BusyError("these differences are being evaluated by another call")
        self.running = True
        self.row, self.column = first, 0
        cdef Py_ssize_t before = function.nfev
        cdef int code, mode = steepest_mode()
        try:
            code = self.batch(function, first, last) if function.batch else self.sweep(function, first, last)
            if steepest_mode() != mode:
                twin.refuse_mode(function.label)
            return code
        except BaseException as error:
            self.annotate(error, function, before + 1 if function.batch else function.nfev)
            raise
        finally:
            self.running = False

    cdef int sweep(self, Function function, Py_ssize_t first, Py_ssize_t last) except -1:
        """One call of f after another, in place."""
        cdef evaluate_t evaluate = function.evaluate
        cdef void *state = <void *>function
        cdef Py_ssize_t real = self.real, value_bytes = self.size * real
        cdef Py_ssize_t point_row = self.width * real, value_row = self.width * value_bytes
        cdef const char *point = self.points_ + first * point_row
        cdef const char *row_points
        cdef char *value = self.values_
        cdef char *row_values
        cdef Py_ssize_t row, column
        cdef int code
        for row in range(first, last):
            self.row = row
            if self.regular and self.n == 1:
                for column in range(self.width):
                    self.column = column
                    code = evaluate(state, self.entries[row], point, value)
                    if code != GOOD:
                        return code
                    point += real
                    value += value_bytes
                continue
            if (self.own_base or not self.has_base) and self.needs_base(row):
                code = self.evaluate_base(function, row, row - first)
                if code != GOOD:
                    return code
            row_points, row_values = point, value
            for column in range(self.count_of(row)):
                self.column = column
                code = evaluate(state, self.entries[row], row_points, row_values)
                if code != GOOD:
                    return code
                row_points += real
                row_values += value_bytes
            point += point_row
            value += value_row
        return GOOD

    cdef int evaluate_base(self, Function function, Py_ssize_t row, Py_ssize_t at) except -1:
        """f at x, once for all rows, or once a row when each has an x of its own."""
        self.column = -1
        if self.own_base:
            return function.evaluate(<void *>function, self.entries[row], self.x_ + row * self.real,
                                     self.base_ + at * self.size * self.real)
        self.has_base = True
        return function.evaluate(<void *>function, BASE, NULL, self.base_)

    cdef inline Py_ssize_t count_of(self, Py_ssize_t row) noexcept:
        cdef int kind = self.kinds[row]
        if kind == ROW_CENTRAL:
            return 2 * self.reach
        if kind == ROW_ONE_SIDED:
            return self.one_sided
        return 1 if kind == ROW_COMPLEX else 0

    cdef inline bint needs_base(self, Py_ssize_t row) noexcept:
        cdef int kind = self.kinds[row]
        if kind == ROW_CENTRAL:
            return self.with_base or self.n % 2 == 0
        return kind == ROW_ONE_SIDED or (self.with_base and kind != ROW_FIXED)

    cdef int batch(self, Function function, Py_ssize_t first, Py_ssize_t last) except -1:
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

    cdef int annotate(self, error, Function function, Py_ssize_t nfev) except -1:
        """Name on the exception the evaluation it came from."""
        if self.row < self.rows:
            point = self.x[self.row] if self.column < 0 else self.points[self.row, self.column]
            base = self.column < 0 and not self.own_base
            note_evaluation(error, function.label, nfev, BASE if base else self.entries[self.row], point,
                            function.shape)
        return 0

    # combine

    def combine(self, Py_ssize_t first=0, last=None):
        """Put the derivatives of rows first..last into `result`; return how many numbers of them are not finite."""
        cdef Py_ssize_t end = self.rows if last is None else last
        self.check_rows(first, end)
        if not self.planned:
            raise ValueError("plan the differences first")
        return self.combine_block(first, end)

    cdef Py_ssize_t combine_block(self, Py_ssize_t first, Py_ssize_t last) except -1:
        cdef Py_ssize_t bad = self.combine_numbers(first, last)
        if bad:
            if self.wide:
                mark_overflow(self, first, last, <long double *>self.result_)
            else:
                mark_overflow(self, first, last, <double *>self.result_)
        return bad

    cdef Py_ssize_t combine_numbers(self, Py_ssize_t first, Py_ssize_t last) except -1:
        if self.regular and self.width == 2 and self.size == 1 and self.n == 1:
            return combine_regular(<const double *>self.values_, <const double *>self.points_ + 2 * first,
                                   <double *>self.result_, last - first)
        if self.method != COMPLEX:
            self.take_weights()
        if self.wide:
            return combine_rows(self, first, last, <long double *>self.result_)
        return combine_rows(self, first, last, <double *>self.result_)

    cdef int take_weights(self) except -1:
        if self.one_sided_weights is None:
            self.one_sided_weights = weights(False, self.one_sided, self.n, self.wide)
            self.central_weights = (weights(True, self.reach, self.n, self.wide) if self.reach
                                    else self.one_sided_weights)
        return 0

    def commit(self, cnp.ndarray out not None):
        """Write `result` to `out`, rounded to its type."""
        if (not self.planned or cnp.PyArray_SIZE(out) != self.rows or cnp.PyArray_TYPE(out) != self.type_num
                or self.block != self.rows):
            raise ValueError("out does not suit these differences")
        if not cnp.PyArray_ISCARRAY(out):
            raise ValueError("out must be a C-contiguous, aligned, native, writeable array")
        self.write(out)

    cdef void write(self, cnp.ndarray out) noexcept:
        cdef Py_ssize_t i, count = self.rows * self.result_size
        cdef void *to = PyArray_DATA(out)
        if self.real_type == cnp.NPY_FLOAT:
            for i in range(count):
                (<float *>to)[i] = <float>(<double *>self.result_)[i]
        else:
            memcpy(to, self.result_, count * self.real)

    cpdef int gradient(self, Function function, x, out) except? -100:
        """Difference a scalar function at `x` and write the gradient to `out`; see the reference."""
        if not (self.suits(x, function) and self.suits(out, function) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)):
            return UNSUITED
        if self.running:
            raise BusyError("these differences are being evaluated by another call")
        cdef int code
        if self.block != self.rows or self.result_size * self.real_of_x() != cnp.PyArray_ITEMSIZE(<cnp.ndarray>x):
            raise ValueError("these differences are not those of a gradient")
        self.plan_for(<cnp.ndarray>x)
        function.start(<cnp.ndarray>x)
        code = self.evaluate_rows(function, 0, self.rows)
        if code == GOOD:
            code = function.close()
        if code != GOOD:
            return code
        if self.combine_block(0, self.rows) or self.unresolved:
            return CARE
        if not (self.suits(out, function) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)):
            raise ValueError("out was changed while f ran")
        self.write(<cnp.ndarray>out)
        return DONE

    cdef inline bint suits(self, array, Function function) noexcept:
        cdef int i
        if self.memory == NULL or not cnp.PyArray_CheckExact(array):
            return False
        if not (cnp.PyArray_TYPE(<cnp.ndarray>array) == self.type_num
                and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array) and cnp.PyArray_SIZE(<cnp.ndarray>array) == self.rows
                and cnp.PyArray_NDIM(<cnp.ndarray>array) == function.ndim):
            return False
        for i in range(function.ndim):
            if cnp.PyArray_DIM(<cnp.ndarray>array, i) != function.extents[i]:
                return False
        return True

    cdef inline Py_ssize_t real_of_x(self) noexcept:
        """Bytes of a real number in the type of x."""
        return (sizeof(float) if self.real_type == cnp.NPY_FLOAT else sizeof(double)
                if self.real_type == cnp.NPY_DOUBLE else sizeof(long double))

    # what the reference holds as arrays

    cdef object copy(self, const void *data, tuple shape):
        cdef cnp.ndarray array = np.empty(shape, np.longdouble if self.wide else np.float64)
        if array.size:
            memcpy(PyArray_DATA(array), data, array.nbytes)
        return array

    cdef object copy_marks(self, const void *data):
        cdef cnp.ndarray array = np.empty(self.rows, np.int8)
        if self.rows:
            memcpy(PyArray_DATA(array), data, self.rows)
        return array

    @property
    def x(self):
        return self.copy(self.x_, (self.rows,))

    @property
    def step(self):
        return self.copy(self.step_, (self.rows,))

    @property
    def points(self):
        return self.copy(self.points_, (self.rows, self.width))

    @property
    def values(self):
        return self.copy(self.values_, (self.block, self.width, self.size))

    @property
    def base(self):
        return self.copy(self.base_, (self.block if self.own_base else 1, self.size))

    @property
    def result(self):
        return self.copy(self.result_, (self.block, self.result_size))

    @property
    def kind(self):
        return self.copy_marks(self.kinds)

    @property
    def status(self):
        return self.copy_marks(self.statuses)


def central_gradient(f, x, out):
    """The gradient with every option at its default; see the reference."""
    if not (is_point(x) and PyCallable_Check(f)):
        return UNSUITED, None, None
    cdef cnp.dtype dtype = cnp.PyArray_DescrFromType(cnp.PyArray_TYPE(<cnp.ndarray>x))
    cdef PythonFunction function = PythonFunction.__new__(PythonFunction)
    function.set_up(f, (), None, cnp.PyArray_NDIM(<cnp.ndarray>x), <Py_ssize_t *>cnp.PyArray_DIMS(<cnp.ndarray>x),
                    dtype, False, False, "f")
    cdef Differences differences = Differences.__new__(Differences)
    cdef Py_ssize_t rows = cnp.PyArray_SIZE(<cnp.ndarray>x)
    differences.set_up(rows, dtype, CENTRAL, 2,
                       DOUBLE_FACTOR if function.eps == DBL_EPSILON else step_factor(function.eps, CENTRAL, 2),
                       function.size, rows, None, None, None, None, False, 1, False)
    if out is None:
        out = cnp.PyArray_SimpleNew(function.ndim, <cnp.npy_intp *>function.extents, dtype.type_num)
    cdef int code = differences.gradient(function, x, out)
    return out if code == DONE else (code, function, differences)


cdef Py_ssize_t checked_product(Py_ssize_t a, Py_ssize_t b) except -1:
    if a < 0 or b < 0 or (b != 0 and a > PY_SSIZE_T_MAX // b):
        raise OverflowError("the differences would need more memory than can be addressed")
    return a * b


cdef Py_ssize_t checked_sum(Py_ssize_t a, Py_ssize_t b) except -1:
    if a < 0 or b < 0 or a > PY_SSIZE_T_MAX - b:
        raise OverflowError("the differences would need more memory than can be addressed")
    return a + b


include "_points.pxi"
include "_combine.pxi"
