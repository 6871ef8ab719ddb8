"""Walks down a function: directions, line searches, stopping. The twin of reference/descent.py.

Here because a walk on a small problem is otherwise all Python. The mathematics, the options and what every state means
stand in the reference; this file does the same, bit for bit, as a machine whose `stage` says what was asked for. `run`
asks and answers in one loop, without the GIL when everything is compiled. Tested in tests/test_descent.py.

What limits it: the calls of f and its gradient; beyond them memory, of which "lbfgs" with m pairs reads 4 m n numbers
an iteration, half of them once more from the cache.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport INFINITY, NAN, copysign, fabs, isfinite, sqrt
from libc.string cimport memcpy, memmove, memset

from steepest.kernels.function cimport BASE, GOOD, HALTED, Function, gradient_t
from steepest.kernels.native cimport NativeFunction
from steepest.kernels.vectors cimport Vectors

import importlib

import numpy as np

from steepest.errors import BusyError
from steepest.kernels.isa import instruction_set
from steepest.reference import descent as twin
from steepest.reference.callback import note_evaluation

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

include "_searches.pxi"

_table = importlib.import_module(f"steepest.kernels.vectors_{instruction_set()}").table
cdef const Vectors *vectors = <const Vectors *>PyCapsule_GetPointer(_table, "steepest vectors")


cdef inline double dot(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    return vectors.dot(a, b, n)


cdef inline double largest(const double *a, Py_ssize_t n) noexcept nogil:
    return vectors.largest(a, n)


cdef inline bint all_numbers(const double *a, Py_ssize_t n) noexcept nogil:
    return vectors.nothing(a, n) == 0.0


cdef enum:
    VALUE = 1
    GRADIENT = 2
    PROJECTION = 4

cdef enum:
    RUNNING = -1
    CONVERGED, ITERATIONS, EVALUATIONS, STALLED, DECREASE, STEP, TARGET, NONFINITE, NOISE

cdef enum:
    GD, BB, ADGD, CG, BFGS, LBFGS, SPG, NESTEROV

cdef enum:
    ABBMIN, BB1, BB2, ALTERNATE

cdef enum:
    HZ_BETA, PR_BETA, DK_BETA

# What was asked for.
cdef enum:
    START, SEARCHING, SEARCHED, STEPPING, FIRST_PROJECTION, PROJECTING, FOLLOWING, LOOKING_AHEAD, TRYING, TRIED
    LAST, OVER

# What came of an answer.
cdef enum:
    ASKED, TAKEN, FAILED

cdef enum:
    WINDOW = 10
    RECENT = 8
    MEMORY_OF_NUMBERS = 14

cdef int NO_SEARCH = twin.FIXED
cdef double SHORTEST = twin.SHORTEST
cdef double LONGEST = twin.LONGEST

# Whom `run` has asked.
cdef enum:
    NOBODY, FOR_VALUE, FOR_GRADIENT, BY_DIFFERENCES

# What `run` comes back with.
cdef enum:
    PAUSED = 0      # so many iterations were made, or the walk is over
    CAREFULLY = 1   # the differences need the careful road: answer this question yourself, and run again


cdef class Descent:
    """One walk; see `steepest.reference.descent.Descent`."""

    cdef readonly object options
    cdef readonly Py_ssize_t n, nit, njev
    cdef public Py_ssize_t nfev     # whoever answers knows when it was more, or less, than is usual
    cdef Py_ssize_t wide            # numbers from one row to the next
    cdef readonly int wants, status
    cdef readonly bint single, bounded
    cdef readonly double f, best_f, step
    cdef public double rate
    cdef int method, variant, beta, kind, stage, tries, asking
    cdef readonly bint best_has_g, has_value
    cdef readonly double value      # f at `point`, where `run` had it before it came back for a gradient
    cdef bint projects, waiting, plain, running
    cdef Py_ssize_t maxiter, maxfev, calls_value, calls_gradient, m, pairs, newest, count_values, count_recent
    cdef double tol, ftol, xtol, target, noise, average, sign
    cdef double trial_f, curvature, weight, mean, scale, scale_weight, theta, length, share, slope, momentum
    cdef double path_step, grown, base_f, base_gg, search_slope
    cdef double values[WINDOW]
    cdef double recent_[RECENT]
    cdef Search search
    cdef double *memory
    cdef double *x_
    cdef double *g_
    cdef double *d_
    cdef double *trial_
    cdef double *trial_g_
    cdef double *best_x_
    cdef double *best_g_
    cdef double *u_
    cdef double *previous_
    cdef double *s_
    cdef double *y_
    cdef double *base_x
    cdef double *base_g
    cdef double *lower_
    cdef double *upper_
    cdef double *S_
    cdef double *Y_
    cdef double *rho_
    cdef double *alpha_
    cdef double *H_

    def __cinit__(self):
        self.memory = NULL

    def __dealloc__(self):
        PyMem_Free(self.memory)

    def __init__(self, cnp.ndarray x0 not None, options, cnp.ndarray lower=None, cnp.ndarray upper=None,
                 bint single=False):
        if self.memory != NULL:
            raise TypeError("a walk is made once")
        for array in (x0, lower, upper):
            if array is not None and (cnp.PyArray_TYPE(array) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(array)
                                      or array.ndim != 1 or array.size != x0.size):
                raise ValueError("x0 and the bounds must be one-dimensional, contiguous arrays of float64 of one size")
        if (lower is None) != (upper is None):
            raise ValueError("give both bounds or none")
        self.n, self.single, self.bounded = x0.size, single, lower is not None
        self.take_options(options)
        self.allocate()
        if self.bounded:
            memcpy(self.lower_, PyArray_DATA(lower), self.n * sizeof(double))
            memcpy(self.upper_, PyArray_DATA(upper), self.n * sizeof(double))
        self.begin_at(<const double *>PyArray_DATA(x0))

    cdef void begin_at(self, const double *x) noexcept nogil:
        """Be at the start of a walk from x, whatever was walked before with the same options."""
        cdef Py_ssize_t nbytes = self.n * sizeof(double)
        memcpy(self.x_, x, nbytes)
        memcpy(self.trial_, x, nbytes)
        memcpy(self.best_x_, x, nbytes)
        memcpy(self.previous_, x, nbytes)
        memset(self.g_, 0, nbytes)
        memset(self.d_, 0, nbytes)
        memset(self.u_, 0, nbytes)
        memset(self.trial_g_, 0, nbytes)
        memset(self.best_g_, 0, nbytes)
        self.f = self.trial_f = NAN
        self.best_f = INFINITY
        self.best_has_g = self.has_value = self.waiting = False
        self.nit = self.nfev = self.njev = self.pairs = self.newest = self.count_values = self.count_recent = 0
        self.step = self.weight = self.mean = self.scale = self.scale_weight = self.length = self.slope = 0.0
        self.curvature, self.theta, self.share, self.momentum = 1.0, INFINITY, 0.8, 1.0
        self.status, self.asking, self.wants, self.stage = RUNNING, NOBODY, 0, OVER
        self.ask(VALUE | GRADIENT, START)

    cdef int take_options(self, options) except -1:
        self.options = options
        self.method = twin.METHODS.index(options.method)
        self.variant = twin.VARIANTS.index(options.variant)
        self.beta = twin.BETAS.index(options.beta)
        self.kind, self.rate, self.m = options.search, options.rate, options.memory if self.method == LBFGS else 1
        self.tol, self.ftol, self.xtol = options.tol, options.ftol, options.xtol
        self.maxiter, self.maxfev, self.target = options.maxiter, options.maxfev, options.target
        self.noise, self.average, self.projects = options.noise, options.average, options.projects
        self.sign = options.sign
        self.calls_value, self.calls_gradient = options.calls_value, options.calls_gradient
        if self.m < 1 or not -1 <= self.kind <= GLL:
            raise ValueError("there is no walk with these options")
        return 0

    cdef int allocate(self) except -1:
        """One block for everything, vectors on boundaries of 64 bytes; a Python integer as its size cannot overflow."""
        wide, rows = (self.n + 7) // 8 * 8, self.n if self.method == BFGS else 0
        total = wide * (13 + 2 * self.bounded + 2 * self.m + rows) + 2 * self.m + 8
        if self.n > 2**60 or total > 2**60:
            raise MemoryError(f"no memory for a walk of {self.n} variables")
        self.memory = <double *>PyMem_Calloc(total, sizeof(double))
        if self.memory == NULL:
            raise MemoryError(f"no memory for a walk of {self.n} variables")
        self.wide = wide
        cdef double **vectors[13]
        vectors[0], vectors[1], vectors[2], vectors[3] = &self.x_, &self.g_, &self.d_, &self.trial_
        vectors[4], vectors[5], vectors[6], vectors[7] = &self.trial_g_, &self.best_x_, &self.best_g_, &self.u_
        vectors[8], vectors[9], vectors[10], vectors[11] = &self.previous_, &self.s_, &self.y_, &self.base_x
        vectors[12] = &self.base_g
        cdef double *at = self.memory + (64 - <size_t>self.memory % 64) % 64 // sizeof(double)
        cdef int i
        for i in range(13):
            vectors[i][0] = at
            at += self.wide
        if self.bounded:
            self.lower_, self.upper_ = at, at + self.wide
            at += 2 * self.wide
        self.S_, self.Y_ = at, at + self.m * self.wide
        self.H_ = self.Y_ + self.m * self.wide
        self.rho_ = self.H_ + <Py_ssize_t>rows * self.wide
        self.alpha_ = self.rho_ + self.m
        return 0

    # what others see

    cdef object copy_of(self, const double *numbers, tuple shape):
        cdef cnp.ndarray array = np.empty(shape)
        if array.size:
            memcpy(PyArray_DATA(array), numbers, array.nbytes)
        return array

    cdef object copy_rows(self, const double *numbers, Py_ssize_t rows):
        cdef cnp.ndarray array = np.empty((rows, self.n))
        cdef Py_ssize_t i
        for i in range(rows):
            memcpy(<double *>PyArray_DATA(array) + i * self.n, numbers + i * self.wide, self.n * sizeof(double))
        return array

    cdef int take_rows(self, double *to, cnp.ndarray array) except -1:
        cdef Py_ssize_t i
        for i in range(array.shape[0]):
            memcpy(to + i * self.wide, <double *>PyArray_DATA(array) + i * self.n, self.n * sizeof(double))
        return 0

    @property
    def point(self):
        """Where something is wanted."""
        return self.copy_of(self.trial_, (self.n,))

    @property
    def x(self):
        return self.copy_of(self.x_, (self.n,))

    @property
    def g(self):
        return self.copy_of(self.g_, (self.n,))

    @property
    def d(self):
        return self.copy_of(self.d_, (self.n,))

    @property
    def best_x(self):
        return self.copy_of(self.best_x_, (self.n,))

    @property
    def best_g(self):
        return self.copy_of(self.best_g_, (self.n,))

    def state(self):
        """Everything that the next steps depend on, as arrays: where the last step ended."""
        vector, rows = (self.n,), self.n if self.method == BFGS else 0
        state = {"x": self.x, "g": self.g, "d": self.d, "best_x": self.best_x, "best_g": self.best_g,
                 "u": self.copy_of(self.u_, vector), "previous": self.copy_of(self.previous_, vector),
                 "S": self.copy_rows(self.S_, self.m), "Y": self.copy_rows(self.Y_, self.m),
                 "rho": self.copy_of(self.rho_, (self.m,)), "H": self.copy_rows(self.H_, rows).reshape(rows, rows)}
        state["numbers"] = np.array([
            self.f, self.best_f, self.step, self.rate, self.curvature, self.weight, self.mean, self.scale,
            self.scale_weight, self.theta, self.length, self.share, self.slope, self.momentum])
        state["counts"] = np.array([self.nit, self.nfev, self.njev, self.pairs, self.newest, self.best_has_g,
                                    self.waiting], np.int64)
        state["values"] = self.copy_of(self.values, (self.count_values,))
        state["recent"] = self.copy_of(self.recent_, (self.count_recent,))
        return state

    def restore(self, state):
        """Go on from a state of a walk with the same options, as if it had never stopped."""
        if self.running:
            raise BusyError("this walk is under way")
        rows = self.n if self.method == BFGS else 0
        shapes = dict.fromkeys(("x", "g", "d", "best_x", "best_g", "u", "previous"), (self.n,))
        shapes.update(S=(self.m, self.n), Y=(self.m, self.n), rho=(self.m,), H=(rows, rows),
                      numbers=(MEMORY_OF_NUMBERS,))
        arrays = {name: np.ascontiguousarray(state[name], np.float64) for name in (*shapes, "values", "recent")}
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} in state must have shape {shape}, not {arrays[name].shape}")
        counts = [int(count) for count in state["counts"]]
        if (len(counts) != 7 or not 0 <= counts[3] <= self.m or not 0 <= counts[4] < self.m
                or arrays["values"].ndim != 1 or not 0 < arrays["values"].size <= WINDOW
                or arrays["recent"].ndim != 1 or arrays["recent"].size > RECENT):
            raise ValueError("state is not that of such a walk")
        self.take(self.x_, arrays["x"])
        self.take(self.g_, arrays["g"])
        self.take(self.d_, arrays["d"])
        self.take(self.best_x_, arrays["best_x"])
        self.take(self.best_g_, arrays["best_g"])
        self.take(self.u_, arrays["u"])
        self.take(self.previous_, arrays["previous"])
        self.take_rows(self.S_, arrays["S"])
        self.take_rows(self.Y_, arrays["Y"])
        self.take(self.rho_, arrays["rho"])
        self.take_rows(self.H_, arrays["H"])
        self.take(self.values, arrays["values"])
        self.take(self.recent_, arrays["recent"])
        self.count_values, self.count_recent = arrays["values"].size, arrays["recent"].size
        (self.f, self.best_f, self.step, self.rate, self.curvature, self.weight, self.mean, self.scale,
         self.scale_weight, self.theta, self.length, self.share, self.slope, self.momentum) = arrays["numbers"].tolist()
        (self.nit, self.nfev, self.njev, self.pairs, self.newest) = counts[:5]
        self.best_has_g, self.waiting = counts[5] != 0, counts[6] != 0
        self.status, self.wants = RUNNING, 0
        self.walk(TAKEN)

    cdef int take(self, double *to, cnp.ndarray array) except -1:
        if array.size:
            memcpy(to, PyArray_DATA(array), array.nbytes)
        return 0

    # question and answer

    def tell(self, f=None, g=None):
        """Give what was wanted at `point`, and have the next question asked."""
        cdef cnp.ndarray array
        if self.running:
            raise BusyError("this walk is under way")
        if not self.wants:
            raise ValueError("the walk is over: nothing is wanted")
        cdef double value = f if self.wants & VALUE else 0.0
        if self.wants & (GRADIENT | PROJECTION):
            array = np.ascontiguousarray(g, np.float64)
            if array.ndim != 1 or array.size != self.n:
                raise ValueError(f"g must have {self.n} entries")
            memcpy(self.trial_g_ if self.wants & GRADIENT else self.trial_, PyArray_DATA(array),
                   self.n * sizeof(double))
        if self.wants & VALUE:
            self.trial_f = value
        self.answered()

    def close(self):
        """Nothing holds this walk but its owner; its twin has something to let go of."""

    def run(self, Function value, Function gradient, differences, Py_ssize_t count):
        """Ask and answer, until `count` iterations are made or the walk is over: PAUSED; or CAREFULLY.

        `value` is f; the gradient is what the function `gradient` gives, or the `differences` of `value`.
        """
        cdef Function second = value if gradient is None else gradient
        cdef gradient_t by_differences = NULL
        cdef int code
        self.check_functions(value, gradient, differences, &by_differences)
        self.running = True
        try:
            self.ready(value)
            if second is not value:
                self.ready(second)
            if not (value.native and second.native):
                return self.go(value, second, <void *>differences, by_differences, count)
            value.enter(NULL)
            if second is not value:
                second.enter(NULL)
            try:
                with nogil:
                    code = self.go(value, second, <void *>differences, by_differences, count)
                return code
            finally:
                value.leave()
                if second is not value:
                    second.leave()
        except BaseException as error:
            self.blame(error, value, second, differences)
            raise
        finally:
            self.running = False

    cdef int check_functions(self, Function value, Function gradient, differences,
                             gradient_t *by_differences) except -1:
        """Refuse what this walk cannot ask; `by_differences` is how it asks differences."""
        cdef Function second = value if gradient is None else gradient
        if self.running:
            raise BusyError("this walk is under way")
        for function in (value, second):
            self.check_function(function)
        if gradient is not None and second.size < 0 and second.vector and not second.native:
            second.size = self.n        # it is known before the first call
        if second.size != (1 if gradient is None else self.n):
            raise ValueError("the gradient does not suit this walk")
        if gradient is None:
            if not differences.block == differences.rows == self.n or differences.size != 1:
                raise ValueError("the differences do not suit this walk")
            by_differences[0] = <gradient_t>PyCapsule_GetPointer(differences.in_place, "steepest gradient_t")
        return 0

    cdef int check_function(self, Function function) except -1:
        if function.count != self.n or function.batch or function.wide or function.as_complex:
            raise ValueError("the function does not suit this walk")
        return 0

    cdef int ready(self, Function function) except -1:
        """Let f see a copy of x in every call: nothing that it does to it is of interest."""
        function.start(self.point.reshape(function.shape).astype(function.dtype))
        function.fresh = True
        return 0

    cdef int blame(self, error, Function value, Function second, differences) except -1:
        """Name on an exception the evaluation that it came from."""
        if self.asking == BY_DIFFERENCES:
            differences.blame(error, value)
        elif self.asking != NOBODY:
            function = value if self.asking == FOR_VALUE else second
            note_evaluation(error, function.label, function.nfev, BASE, 0.0, function.shape)
        return 0

    cdef int go(self, Function value, Function second, void *differences, gradient_t by_differences,
                Py_ssize_t count) except -1 nogil:
        """Answer questions."""
        cdef Py_ssize_t until = self.nit + count if count < self.maxiter else self.maxiter
        cdef double f = NAN
        cdef Py_ssize_t i
        cdef int code
        while self.wants and (self.nit < until or self.stage == LAST):
            if self.wants & PROJECTION:
                return CAREFULLY
            code = GOOD
            if self.wants & VALUE:
                self.asking = FOR_VALUE
                self.hand(value)
                code = value.evaluate(<void *>value, BASE, NULL, &f)
            if code == HALTED:
                pass
            elif self.wants & VALUE and self.wants & GRADIENT and by_differences != NULL and not isfinite(f):
                for i in range(self.n):     # there is nothing to difference
                    self.trial_g_[i] = NAN
                self.nfev = self.nfev - self.calls_gradient
            elif self.wants & GRADIENT and by_differences != NULL:
                self.asking = BY_DIFFERENCES
                code = by_differences(differences, <void *>value, self.trial_, self.trial_g_)
            elif self.wants & GRADIENT:
                self.asking = FOR_GRADIENT
                self.hand(second)
                code = second.evaluate(<void *>second, BASE, NULL, self.trial_g_)
            if code == HALTED or (self.asking == BY_DIFFERENCES and code != GOOD):
                self.asking = NOBODY
                if code != HALTED and self.wants & VALUE:
                    self.has_value, self.value = True, f
                return HALTED if code == HALTED else CAREFULLY
            self.asking = NOBODY
            if self.wants & VALUE:
                self.trial_f = f
            self.answered()
        return PAUSED

    cdef void hand(self, Function function) noexcept nogil:
        """Give a function the point, in its own type."""
        cdef Py_ssize_t i
        if function.real_type == cnp.NPY_FLOAT:
            for i in range(self.n):
                (<float *>function.private_data)[i] = <float>self.trial_[i]
        else:
            memcpy(function.private_data, self.trial_, self.n * sizeof(double))

    cdef int ask(self, int wants, int stage) noexcept nogil:
        """Want something, unless that would be too many evaluations."""
        cdef Py_ssize_t cost = (self.calls_value if wants & VALUE else 0) + (
            self.calls_gradient if wants & GRADIENT else 0)
        if self.nfev + cost > self.maxfev:
            self.status = EVALUATIONS
            return FAILED
        self.wants, self.stage = wants, stage
        return ASKED

    cdef void answered(self) noexcept nogil:
        """Count, remember, go on."""
        cdef int wants = self.wants
        cdef Py_ssize_t i
        if wants & VALUE:
            self.nfev += self.calls_value
            self.trial_f = self.sign * self.trial_f
        if wants & GRADIENT:
            self.njev += 1
            self.nfev += self.calls_gradient
            if self.sign != 1.0:
                for i in range(self.n):
                    self.trial_g_[i] = self.sign * self.trial_g_[i]
        if wants & (VALUE | GRADIENT) and isfinite(self.trial_f):
            self.remember(wants)
        self.wants = 0
        self.has_value = False
        self.walk(self.understand())

    cdef void remember(self, int wants) noexcept nogil:
        """Keep the lowest f; among those that rounding cannot tell apart the smallest gradient."""
        cdef bint has_g = (wants & GRADIENT) != 0, lower = self.trial_f < self.best_f
        cdef Py_ssize_t nbytes = self.n * sizeof(double)
        if wants == GRADIENT and self.at(self.best_x_):
            memcpy(self.best_g_, self.trial_g_, nbytes)
            self.best_has_g = True
            return
        if not lower and has_g and self.best_has_g and self.trial_f - self.best_f <= self.rounding(self.best_f):
            lower = (self.criticality(self.trial_, self.trial_g_) < self.criticality(self.best_x_, self.best_g_))
        if lower or self.best_f == INFINITY:
            memcpy(self.best_x_, self.trial_, nbytes)
            memcpy(self.best_g_, self.trial_g_, nbytes)
            self.best_f, self.best_has_g = self.trial_f, has_g

    cdef bint at(self, const double *x) noexcept nogil:
        """Whether the trial is there."""
        cdef Py_ssize_t i
        for i in range(self.n):
            if self.trial_[i] != x[i]:
                return False
        return True

    cdef double rounding(self, double f) noexcept nogil:
        return (2.0**-23 if self.single else 2.0**-52) * fabs(f)

    cdef double criticality(self, const double *x, const double *g) noexcept nogil:
        """The largest entry of the gradient, or of the step to its projection."""
        cdef Py_ssize_t i
        cdef double step, most = 0.0
        if not self.bounded:
            return largest(g, self.n)
        for i in range(self.n):
            step = fabs(inside_bounds(x[i] - g[i], self.lower_[i], self.upper_[i]) - x[i])
            if step != step:
                return step
            most = step if step > most else most
        return most

    # the walk

    cdef void walk(self, int came) noexcept nogil:
        """Go on until something is asked for, or the walk is over."""
        while came != ASKED:
            if came == FAILED and self.status == RUNNING:
                if self.plain:
                    self.status = STALLED
                else:
                    self.forget()
            if self.over():
                self.ends()
                return
            self.plain = self.pairs == 0 and self.slope == 0 and self.length == 0
            came = self.set_out()

    cdef void ends(self) noexcept nogil:
        """Ask for the gradient at the best point, where it is not known; then it is over."""
        cdef Py_ssize_t i, nbytes = self.n * sizeof(double)
        if self.stage != LAST and not self.best_has_g and isfinite(self.best_f):
            if self.nfev + self.calls_gradient <= self.maxfev:
                memcpy(self.trial_, self.best_x_, nbytes)
                self.trial_f = self.best_f
                self.wants, self.stage = GRADIENT, LAST
                return
            for i in range(self.n):
                self.best_g_[i] = NAN
        elif self.criticality(self.best_x_, self.best_g_) <= self.tol:
            self.status = CONVERGED
        elif self.status == CONVERGED:      # where it stands, and not at a lower point whose gradient is larger
            memcpy(self.best_x_, self.x_, nbytes)
            memcpy(self.best_g_, self.g_, nbytes)
            self.best_f = self.f
        self.wants, self.stage = 0, OVER

    cdef bint over(self) noexcept nogil:
        """Whether the walk ends at this x."""
        cdef Py_ssize_t nbytes = self.n * sizeof(double)
        if self.status != RUNNING:
            return True
        while self.criticality(self.x_, self.g_) <= self.tol:
            if not self.best_has_g or self.f - self.best_f <= self.rounding(self.best_f):
                self.status = CONVERGED
                return True
            memcpy(self.x_, self.best_x_, nbytes)   # a nonmonotone walk ends above its lowest point: go on from there
            memcpy(self.g_, self.best_g_, nbytes)
            self.f = self.best_f
            self.forget()
            self.begins()
        if self.best_f <= self.target:
            self.status = TARGET
        elif self.nit >= self.maxiter:
            self.status = ITERATIONS
        return self.status != RUNNING

    cdef void begins(self) noexcept nogil:
        self.values[0], self.count_values = self.f, 1
        self.weight, self.mean = 1.0, self.f
        self.scale, self.scale_weight = fabs(self.f), 1.0

    cdef void forget(self) noexcept nogil:
        """Start again from the gradient alone."""
        self.pairs = self.count_recent = 0
        self.length = self.slope = 0.0
        self.theta, self.momentum = INFINITY, 1.0
        memset(self.d_, 0, self.n * sizeof(double))

    cdef int understand(self) noexcept nogil:
        """What the answer means: ASKED when there is another question in this step, TAKEN when it is made."""
        cdef int stage = self.stage, found
        if stage == SEARCHING:
            found = search_goes_on(&self.search, self.trial_f,
                                   dot(self.trial_g_, self.d_, self.n) if self.needs_slope() else 0.0)
            return self.look_or_go(found)
        if stage == SEARCHED:
            return self.arrived() if all_numbers(self.trial_g_, self.n) else FAILED
        if stage == STEPPING:
            return stepped(self)
        if stage == FOLLOWING:
            return followed(self)
        if stage == FIRST_PROJECTION:
            return spectral_starts(self)
        if stage == PROJECTING:
            return project_direction(self)
        if stage == LOOKING_AHEAD:
            return looked_ahead(self)
        if stage == TRYING:
            return tried(self)
        if stage == TRIED:
            return accelerated(self)
        if stage == LAST:
            self.ends()
            return ASKED
        return self.started()

    cdef int started(self) noexcept nogil:
        if not (isfinite(self.trial_f) and all_numbers(self.trial_g_, self.n)):
            self.status, self.stage = NONFINITE, OVER
            return ASKED
        self.f = self.trial_f
        memcpy(self.g_, self.trial_g_, self.n * sizeof(double))
        self.begins()
        return TAKEN

    cdef int set_out(self) noexcept nogil:
        """Begin a step of the method."""
        if self.method == LBFGS:
            return set_out_lbfgs(self)
        if self.method == BFGS:
            return set_out_bfgs(self)
        if self.method == CG:
            return set_out_cg(self)
        if self.method == BB:
            return set_out_bb(self)
        if self.method == SPG:
            return set_out_spg(self)
        if self.method == NESTEROV:
            return set_out_nesterov(self)
        return set_out_gd(self)

    cdef int arrived(self) noexcept nogil:
        """The search has found where to go."""
        self.slope_of_search()
        if self.method == CG:
            memcpy(self.base_g, self.g_, self.n * sizeof(double))
        self.accept()
        if self.method == LBFGS:
            keep(self)
        elif self.method == BFGS:
            change_inverse(self)
        elif self.method == CG:
            conjugate(self)
        elif self.method == BB or self.method == SPG:
            self.length = spectral(self)
        return TAKEN

    cdef void slope_of_search(self) noexcept nogil:
        if self.method == CG or self.method == GD:
            self.slope = self.search_slope

    # moving

    cdef void move(self, const double *base, double step, const double *d) noexcept nogil:
        """Put ``base + step * d`` into `trial`, in the type of x and inside the bounds."""
        cdef Py_ssize_t i
        for i in range(self.n):
            self.trial_[i] = base[i] + step * d[i]
        if self.single:
            for i in range(self.n):
                self.trial_[i] = <double><float>self.trial_[i]
        if self.bounded:
            for i in range(self.n):
                self.trial_[i] = inside_bounds(self.trial_[i], self.lower_[i], self.upper_[i])

    cdef bint needs_slope(self) noexcept nogil:
        return self.kind == WOLFE or self.kind == HAGER_ZHANG

    cdef int look_along(self, double slope, double step, double ceiling) noexcept nogil:
        """Begin a search along d."""
        cdef double above = self.f
        cdef Py_ssize_t i
        self.search_slope = slope
        if self.kind == GLL:
            if self.average > 0:
                above = self.mean
            else:
                above = self.values[0]
                for i in range(1, self.count_values):
                    above = greater(above, self.values[i])
        return self.look_or_go(search_begins(&self.search, self.kind, self.f, slope, step, above, self.error(),
                                             0.1 if self.method == CG else 0.9, ceiling))

    cdef int look_or_go(self, int found) noexcept nogil:
        cdef bint there, both = self.needs_slope()
        cdef Search *search = &self.search
        if found == LOOKING:
            self.move(self.x_, search.step, self.d_)
            return self.ask(VALUE | GRADIENT if both else VALUE, SEARCHING)
        if found == HOPELESS or not search.step > 0:
            return FAILED
        there = both and (found == FOUND or found == AT_LIMIT)
        if not there:
            self.move(self.x_, search.step, self.d_)
        if self.at(self.x_):        # a step that rounding takes back leads nowhere
            return FAILED
        self.step = search.step
        if there:
            return self.arrived()
        # what was looked at last is not the lowest, or its gradient is not known
        self.trial_f = search.f
        if not both:
            return self.ask(GRADIENT, SEARCHED)
        if not (self.best_has_g and self.at(self.best_x_)):
            return FAILED
        memcpy(self.trial_g_, self.best_g_, self.n * sizeof(double))
        return self.arrived()

    cdef double error(self) noexcept nogil:
        """How much f may rise by rounding, or by noise."""
        return greater(1e-5 * self.scale if self.single else 1e-6 * self.scale, self.noise)

    cdef void accept(self) noexcept nogil:
        """Go to `trial`; the step and the change of the gradient are left in `s` and `y`."""
        cdef Py_ssize_t i
        cdef double before = self.f, weight
        for i in range(self.n):
            self.s_[i] = self.trial_[i] - self.x_[i]
            self.y_[i] = self.trial_g_[i] - self.g_[i]
        memcpy(self.x_, self.trial_, self.n * sizeof(double))
        memcpy(self.g_, self.trial_g_, self.n * sizeof(double))
        self.f = self.trial_f
        self.nit += 1
        remember_last(self.values, &self.count_values, WINDOW, self.f)
        weight = self.average * self.weight
        self.mean = (weight * self.mean + self.f) / (weight + 1.0)
        self.weight = weight + 1.0
        self.scale_weight = 0.7 * self.scale_weight + 1.0
        self.scale += (fabs(self.f) - self.scale) / self.scale_weight
        if self.ftol >= 0 and fabs(before - self.f) <= self.ftol * greater(fabs(before), fabs(self.f)):
            self.status = DECREASE
        elif self.xtol >= 0 and largest(self.s_, self.n) <= self.xtol * greater(1.0, largest(self.x_, self.n)):
            self.status = STEP
        elif self.noise > 0 and fabs(before - self.f) <= self.noise:
            self.status = NOISE
        if self.status != RUNNING and self.criticality(self.x_, self.g_) <= self.tol:
            self.status = RUNNING       # the better reason is seen next

    cdef double first_step(self) noexcept nogil:
        """How far to go along the gradient when nothing is known."""
        if self.rate > 0:
            return self.rate
        return lesser(1.0, 1.0 / vectors.sum_of_sizes(self.g_, self.n))

    cdef void downhill(self, double length) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.n):
            self.d_[i] = -length * self.g_[i]


include "_directions.pxi"


cdef inline double inside_bounds(double x, double lower, double upper) noexcept nogil:
    if x < lower:
        return lower
    return upper if x > upper else x


cdef inline void remember_last(double *numbers, Py_ssize_t *count, Py_ssize_t most, double number) noexcept nogil:
    """Append to the last few numbers."""
    if count[0] == most:
        memmove(numbers, numbers + 1, (most - 1) * sizeof(double))
        count[0] -= 1
    numbers[count[0]] = number
    count[0] += 1


include "_many.pxi"
