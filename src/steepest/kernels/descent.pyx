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
from steepest.kernels.vectors cimport Vectors, dot_of_few

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
    cdef double path_step, grown, base_f, base_gg, search_slope, ss, sy, yy
    cdef double values[WINDOW]
    cdef double recent_[RECENT]
    cdef Search search
    cdef double *memory
    cdef double *places[3]
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
    cdef double *rho_
    cdef double *alpha_
    cdef double **S_
    cdef double **Y_
    cdef double **H_

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
        apart(self)
        memcpy(self.x_, x, nbytes)
        memcpy(self.trial_, x, nbytes)
        memcpy(self.best_x_, x, nbytes)
        memcpy(self.previous_, x, nbytes)
        memset(self.g_, 0, nbytes)
        memset(self.d_, 0, nbytes)
        memset(self.u_, 0, nbytes)
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
        vectors = 13 + 2 * self.bounded + 2 * self.m + rows
        total = (wide + 1) * vectors + 2 * self.m + 8
        if self.n > 2**60 or total > 2**60:
            raise MemoryError(f"no memory for a walk of {self.n} variables")
        self.memory = <double *>PyMem_Calloc(total, sizeof(double))
        if self.memory == NULL:
            raise MemoryError(f"no memory for a walk of {self.n} variables")
        self.wide = wide
        cdef double *at = self.memory + (64 - <size_t>self.memory % 64) % 64 // sizeof(double)
        cdef double **single[7]
        cdef Py_ssize_t i, count = rows
        for i in range(3):
            self.places[i] = at
            at += 2 * self.wide
        single[0], single[1], single[2], single[3] = &self.d_, &self.u_, &self.previous_, &self.s_
        single[4], single[5], single[6] = &self.y_, &self.base_x, &self.base_g
        for i in range(7):
            single[i][0] = at
            at += self.wide
        if self.bounded:
            self.lower_, self.upper_ = at, at + self.wide
            at += 2 * self.wide
        cdef double *first = at
        at += (2 * self.m + count) * self.wide
        self.rho_, self.alpha_ = at, at + self.m
        self.S_ = <double **>(at + 2 * self.m)
        self.Y_, self.H_ = self.S_ + self.m, self.S_ + 2 * self.m
        for i in range(2 * self.m + count):
            self.S_[i] = first + i * self.wide
        return 0

    # what others see

    @property
    def point(self):
        """Where something is wanted."""
        return copy_of(self.trial_, (self.n,))

    @property
    def x(self):
        return copy_of(self.x_, (self.n,))

    @property
    def g(self):
        return copy_of(self.g_, (self.n,))

    @property
    def d(self):
        return copy_of(self.d_, (self.n,))

    @property
    def best_x(self):
        return copy_of(self.best_x_, (self.n,))

    @property
    def best_g(self):
        return best_gradient(self)

    def state(self):
        """Everything that the next steps depend on, as arrays: where the last step ended."""
        return state_of(self)

    def restore(self, state):
        """Go on from a state of a walk with the same options, as if it had never stopped."""
        if self.running:
            raise BusyError("this walk is under way")
        go_on_from(self, state)
        self.status, self.wants = RUNNING, 0
        self.walk(TAKEN)

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
            self.nfev = self.nfev + self.calls_value
            self.trial_f = self.sign * self.trial_f
        if wants & GRADIENT:
            self.njev = self.njev + 1
            self.nfev = self.nfev + self.calls_gradient
            if self.sign != 1.0:
                for i in range(self.n):
                    self.trial_g_[i] = self.sign * self.trial_g_[i]
        if wants & (VALUE | GRADIENT) and isfinite(self.trial_f):
            remember(self, wants)
        self.wants = 0
        self.has_value = False
        self.walk(self.understand())

    # the walk

    cdef void walk(self, int came) noexcept nogil:
        """Go on until something is asked for, or the walk is over."""
        while came != ASKED:
            if came == FAILED and self.status == RUNNING:
                if self.plain:
                    self.status = STALLED
                else:
                    forget(self)
            if self.over():
                self.ends()
                return
            self.plain = self.pairs == 0 and self.slope == 0 and self.length == 0
            came = self.set_out()

    cdef void ends(self) noexcept nogil:
        """Ask for the gradient at the best point, where it is not known; then it is over."""
        if self.stage != LAST and not self.best_has_g and isfinite(self.best_f):
            if self.nfev + self.calls_gradient <= self.maxfev:
                own_trial(self)
                memcpy(self.trial_, self.best_x_, self.n * sizeof(double))
                self.trial_f = self.best_f
                self.wants, self.stage = GRADIENT, LAST
                return
        elif criticality(self, self.best_x_, self.best_g_) <= self.tol:
            self.status = CONVERGED
        elif self.status == CONVERGED:      # where it stands, and not at a lower point whose gradient is larger
            self.best_x_, self.best_g_, self.best_f = self.x_, self.g_, self.f
        self.wants, self.stage = 0, OVER

    cdef bint over(self) noexcept nogil:
        """Whether the walk ends at this x."""
        if self.status != RUNNING:
            return True
        while criticality(self, self.x_, self.g_) <= self.tol:
            if not self.best_has_g or self.f - self.best_f <= rounding(self, self.best_f):
                self.status = CONVERGED
                return True
            # a nonmonotone walk ends above its lowest point: go on from there
            self.x_, self.g_, self.f = self.best_x_, self.best_g_, self.best_f
            forget(self)
            begins(self)
        if self.best_f <= self.target:
            self.status = TARGET
        elif self.nit >= self.maxiter:
            self.status = ITERATIONS
        return self.status != RUNNING

    cdef int understand(self) noexcept nogil:
        """What the answer means: ASKED when there is another question in this step, TAKEN when it is made."""
        cdef int stage = self.stage
        if stage == SEARCHING:
            return looked(self)
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
        stand_on_trial(self)
        begins(self)
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
        accept(self)
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


include "_state.pxi"
include "_moving.pxi"
include "_directions.pxi"
include "_many.pxi"
