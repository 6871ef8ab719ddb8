"""Finite differences: which points, evaluate, combine, each a loop of its own. The twin of reference/difference.py.

Here because these loops are what a gradient costs beyond the calls of f. The mathematics, the constants and the meaning
of every argument stand in the reference; this file does the same, bit for bit. Tested in tests/test_difference.py.

What limits it: the calls of f. A call of an empty Python function costs 16 ns, so the loop around it is allowed two or
three: one comparison, one store, the call, one look at the view, one store.
"""

cimport cython
cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport INFINITY, fabs, isfinite, nextafter, nextafterf, nextafterl
from libc.float cimport DBL_MAX, DBL_EPSILON, FLT_EPSILON, FLT_MAX, LDBL_EPSILON, LDBL_MAX
from libc.string cimport memcpy, memset

from steepest.kernels.function cimport (
    BASE, GOOD, GROUPS, LINE, TAMPERED, Compiled, Function, PythonFunction, evaluate_t, gradient_t,
)
from steepest.kernels.native cimport NativeFunction

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


cdef struct Place:
    Py_ssize_t row, column      # where an evaluation is under way; column -1 is f at x itself


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
    cdef Py_ssize_t evaluated               # calls of f by all threads
    cdef bint regular                       # every row is central and resolved, as nearly always
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
    cdef Place place                        # where `gradient_in_place` was when f raised an exception

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
        allocate_memory(self)
        fill_rule(self, factor, rule)
        if self.bounded:
            fill_bounds(self, lower, upper)
        fill_entries(self, entries)

    def __dealloc__(self):
        PyMem_Free(self.memory)

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
            if self.regular or plan_to_one_side(self):
                memset(self.kinds, ROW_CENTRAL if self.regular else ROW_ONE_SIDED, self.rows)
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
            check_inside(self)
        if self.wide:
            plan_rows(self, <long double *>self.x_)
        else:
            plan_rows(self, <double *>self.x_)
        self.planned = True
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
        self.check_function(function)
        if self.running:
            raise BusyError("these differences are being evaluated by another call")
        self.running = True
        cdef Place at = Place(first, 0)
        cdef Py_ssize_t before = function.nfev
        try:
            return self.work(function, first, first, last, &at, NULL)
        except BaseException as error:
            self.annotate(error, function, before + 1 if function.batch else function.nfev, at)
            raise
        finally:
            self.running = False

    cdef int check_function(self, Function function) except -1:
        if function.wide != self.wide or function.size != self.size or self.last_entry >= function.count:
            raise ValueError("the function does not suit these differences")
        if not (function.started and self.planned):
            raise ValueError("begin the function and plan the differences first")
        return 0

    cdef int work(self, Function function, Py_ssize_t start, Py_ssize_t first, Py_ssize_t last, Place *at,
                  const int *halt) except -1:
        """Evaluate in the way that suits the function: all at once, or one by one, without the GIL if f is compiled."""
        cdef int code, mode = steepest_mode()
        if function.native:
            function.enter(halt)
            try:
                with nogil:
                    code = self.sweep(function, start, first, last, at)
            finally:
                function.leave()
        else:
            code = (evaluate_batch(self, function, first, last) if function.batch
                    else self.sweep(function, start, first, last, at))
        if steepest_mode() != mode:
            twin.refuse_mode(function.label)
        return code

    def evaluate_on(self, list functions not None, share, Py_ssize_t first=0, last=None):
        """The same for a compiled f on several threads: one function each, the first of which has begun.

        ``share(part, first, last, halts)`` is to have ``part(i, a, b)`` called so that every row from `first` to `last`
        is evaluated once, with every i by one thread at a time, and to give the code of the first part in order that is
        not GOOD; a part ends early once ``halts[i]`` is not 0. The bits are those of one thread.
        """
        cdef Py_ssize_t end = self.rows if last is None else last
        self.check_rows(first, end)
        if self.running:
            raise BusyError("these differences are being evaluated by another call")
        return evaluate_shared(self, functions, share, first, end)

    cdef int sweep(self, Function function, Py_ssize_t start, Py_ssize_t first, Py_ssize_t last,
                   Place *at) except -1 nogil:
        """Rows first..last of a block that starts at row `start`; `at` tells where an exception came from."""
        cdef evaluate_t evaluate = function.evaluate
        cdef void *state = <void *>function
        cdef Py_ssize_t real = self.real, value_bytes = self.size * real
        cdef Py_ssize_t point_row = self.width * real, value_row = self.width * value_bytes
        cdef const char *point = self.points_ + first * point_row
        cdef const char *row_points
        cdef char *value = self.values_ + (first - start) * value_row
        cdef char *row_values
        cdef Py_ssize_t row, column
        cdef int code
        for row in range(first, last):
            at.row = row
            if self.regular and self.n == 1:
                for column in range(self.width):
                    at.column = column
                    code = evaluate(state, self.entries[row], point, value)
                    if code != GOOD:
                        return code
                    point += real
                    value += value_bytes
                continue
            if (self.own_base or not self.has_base) and self.needs_base(row):
                at.column = -1
                code = self.evaluate_base(function, row, row - start)
                if code != GOOD:
                    return code
            row_points, row_values = point, value
            for column in range(self.count_of(row)):
                at.column = column
                code = evaluate(state, self.entries[row], row_points, row_values)
                if code != GOOD:
                    return code
                row_points += real
                row_values += value_bytes
            point += point_row
            value += value_row
        return GOOD

    cdef int evaluate_base(self, Function function, Py_ssize_t row, Py_ssize_t at) except -1 nogil:
        """f at x, once for all rows, or once a row when each has an x of its own."""
        if self.own_base:
            return function.evaluate(<void *>function, self.entries[row], self.x_ + row * self.real,
                                     self.base_ + at * self.size * self.real)
        self.has_base = True
        return function.evaluate(<void *>function, BASE, NULL, self.base_)

    cdef inline Py_ssize_t count_of(self, Py_ssize_t row) noexcept nogil:
        cdef int kind = self.kinds[row]
        if kind == ROW_CENTRAL:
            return 2 * self.reach
        if kind == ROW_ONE_SIDED:
            return self.one_sided
        return 1 if kind == ROW_COMPLEX else 0

    cdef inline bint needs_base(self, Py_ssize_t row) noexcept nogil:
        cdef int kind = self.kinds[row]
        if kind == ROW_CENTRAL:
            return self.with_base or self.n % 2 == 0
        return kind == ROW_ONE_SIDED or (self.with_base and kind != ROW_FIXED)

    cdef int annotate(self, error, Function function, Py_ssize_t nfev, Place at) except -1:
        """Name on the exception the evaluation it came from."""
        if at.row < self.rows:
            point = self.x[at.row] if at.column < 0 else self.points[at.row, at.column]
            base = at.column < 0 and not self.own_base
            note_evaluation(error, function.label, nfev, BASE if base else self.entries[at.row], point,
                            function.shape, function)
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
        return self.gradient_by(function, None, None, x, out)

    def gradient_on(self, list functions not None, share, x, out):
        """The same by several threads; `functions` and `share` as for `evaluate_on`."""
        return self.gradient_by(functions[0], functions, share, x, out)

    cdef int gradient_by(self, Function function, list team, share, x, out) except? -100:
        if not (self.suits(x, function) and self.suits(out, function) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)):
            return UNSUITED
        if self.running:
            raise BusyError("these differences are being evaluated by another call")
        cdef int code
        if self.block != self.rows or self.result_size * self.real_of_x() != cnp.PyArray_ITEMSIZE(<cnp.ndarray>x):
            raise ValueError("these differences are not those of a gradient")
        self.plan_for(<cnp.ndarray>x)
        function.start(<cnp.ndarray>x)
        if team is not None:
            code = evaluate_shared(self, team, share, 0, self.rows)
        else:
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

    @property
    def in_place(self):
        """A capsule of `gradient_t`, for kernels that walk along gradients; the differences must outlive it."""
        return PyCapsule_New(<void *><gradient_t><void *>gradient_in_place, "steepest gradient_t", NULL)

    def blame(self, error, Function function not None):
        """Name on an exception the evaluation on that road which it came from."""
        self.annotate(error, function, function.nfev, self.place)

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


cdef int look_into(object differences, Table *table) except -1:
    """Show another kernel what differences of a first derivative hold."""
    cdef Differences self = differences
    if self is None or self.memory == NULL or self.n != 1:
        raise ValueError("these are no differences of a first derivative")
    if self.method != COMPLEX:
        self.take_weights()
        table.one_sided_weights = <const char *>PyArray_DATA(self.one_sided_weights)
        table.central_weights = <const char *>PyArray_DATA(self.central_weights)
    table.rows, table.width, table.size, table.result_size = self.rows, self.width, self.size, self.result_size
    table.block, table.reach, table.one_sided = self.block, self.reach, self.one_sided
    table.unresolved, table.method, table.wide, table.planned = self.unresolved, self.method, self.wide, self.planned
    table.kinds, table.x, table.points = self.kinds, self.x_, self.points_
    table.values, table.base = self.values_, self.base_
    return 0


def central_gradient(f, x, out, Compiled compiled=None):
    """The gradient with every option at its default; see the reference."""
    if not is_point(x):
        return UNSUITED, None, None
    cdef cnp.dtype dtype = cnp.PyArray_DescrFromType(cnp.PyArray_TYPE(<cnp.ndarray>x))
    cdef int ndim = cnp.PyArray_NDIM(<cnp.ndarray>x)
    cdef Py_ssize_t *shape = <Py_ssize_t *>cnp.PyArray_DIMS(<cnp.ndarray>x)
    cdef Function function
    if compiled is None and PyCallable_Check(f):
        function = PythonFunction.__new__(PythonFunction)
        (<PythonFunction>function).set_up(f, (), None, ndim, shape, dtype, False, False, "f")
    elif compiled is not None and dtype.type_num == cnp.NPY_DOUBLE:
        function = NativeFunction.__new__(NativeFunction)
        (<NativeFunction>function).set_up(compiled, ndim, shape, dtype, False, False, "f")
    else:
        return UNSUITED, None, None
    cdef Differences differences = Differences.__new__(Differences)
    cdef Py_ssize_t rows = cnp.PyArray_SIZE(<cnp.ndarray>x)
    differences.set_up(rows, dtype, CENTRAL, 2,
                       DOUBLE_FACTOR if function.eps == DBL_EPSILON else step_factor(function.eps, CENTRAL, 2),
                       function.size, rows, None, None, None, None, False, 1, False)
    if out is None:
        out = cnp.PyArray_SimpleNew(function.ndim, <cnp.npy_intp *>function.extents, dtype.type_num)
    cdef int code = differences.gradient(function, x, out)
    return out if code == DONE else (code, function, differences)


include "_memory.pxi"
include "_points.pxi"
include "_batch.pxi"
include "_share.pxi"
include "_combine.pxi"


cdef int gradient_in_place(Differences self, Function function, const double *x, double *out) except -1 nogil:
    """The gradient as nearly always, at an x that comes as a pointer: second-order central differences, all in doubles.

    The caller has looked at the sizes, and has entered a compiled function.
    """
    cdef int code = TAMPERED
    if (self.running or not function.started or self.type_num != cnp.NPY_DOUBLE or self.method != CENTRAL
            or self.reach != 1 or self.width != 2 or self.n != 1 or self.bounded or self.rule_stride or self.with_base
            or self.own_base or not plan_regular(x, self.rows, (<double *>self.rule_)[0], (<double *>self.rule_)[1],
                                                 <double *>self.step_, <double *>self.points_)):
        return TAMPERED
    self.regular = self.planned = True
    self.has_base = False
    self.unresolved = 0
    memset(self.kinds, ROW_CENTRAL, self.rows)
    memset(self.statuses, RESOLVED, self.rows)
    memcpy(self.x_, x, self.rows * sizeof(double))
    memcpy(function.private_data, x, function.nbytes)
    self.place.row = self.place.column = 0
    code = self.sweep(function, 0, 0, self.rows, &self.place)
    if code == GOOD and combine_regular(<const double *>self.values_, <const double *>self.points_, out, self.rows):
        return TAMPERED
    return code
