# How the update rules are called: one walker for each rule and type, built once for every instruction set.
# Here so that update.pyx and the three extensions that include update.pxi agree. Tested in tests/test_update.py.

cimport numpy as cnp

# The rules, in the order of reference/update.py.
cdef enum:
    PLAIN = 0
    MOMENTUM = 1
    NESTEROV = 2
    ADAGRAD = 3
    ADADELTA = 4
    RMSPROP = 5
    RMSPROP_CENTRED = 6
    RMSPROP_MOMENTUM = 7
    RMSPROP_CENTRED_MOMENTUM = 8
    ADAM = 9
    AMSGRAD = 10
    NADAM = 11
    RADAM_EARLY = 12
    ADAMAX = 13
    ADABELIEF = 14
    LION = 15
    RPROP = 16
    RULES = 17

cdef enum:
    STATES = 3          # arrays that a rule keeps beside x, at most
    NUMBERS = 8         # numbers that a rule is given, at most

# walk(rule, x, gradient, states, numbers, count): one step of `count` elements, all float or all double. The rule is
# known by its type: the pointer is NULL.
ctypedef void (*walk_t)(void *rule, void *x, const void *gradient, void **states, const double *numbers,
                        Py_ssize_t count) noexcept nogil
# prepare(x, gradient, prepared, scale, bound, decay, shrink, count): what is done to a gradient before any rule.
ctypedef void (*prepare_t)(void *x, const void *gradient, void *prepared, const double *numbers,
                           Py_ssize_t count) noexcept nogil
# average(x, mean, weight, count); norm(gradient, count): partial sums in a fixed order.
ctypedef void (*average_t)(const void *x, void *mean, double weight, Py_ssize_t count) noexcept nogil
ctypedef double (*norm_t)(const void *gradient, Py_ssize_t count) noexcept nogil

cdef struct Loops:
    walk_t walk[RULES][2]
    prepare_t prepare[2]
    average_t average[2]
    norm_t norm[2]

cdef struct Piece:
    void *x
    void *states[STATES]
    void *mean
    const void *gradient
    Py_ssize_t count
    int type                    # 0 float, 1 double
    int group
    double scale
    Py_ssize_t gap              # between which of all spans its gradient lay last

cdef struct Block:
    Py_ssize_t piece, first, count
    bint done
    double squares              # their sum, where the gradient is clipped by norm

# Where an array lies.
cdef struct Span:
    const char *start
    const char *end

# What one step of one group is to do: `Plan` of the reference.
cdef struct Plan:
    int rule
    double numbers[NUMBERS]
    double decay, shrink, weight, carried

cdef class Optimizer:
    cdef readonly tuple arrays, states, means   # tuples, for the pieces point into what they hold
    cdef readonly Py_ssize_t t
    cdef readonly bint alone
    cdef readonly str family
    cdef int number, clip
    cdef double averaging, bound, sign
    cdef bint strict, shared, made
    cdef int phase
    cdef object share
    cdef int threads
    cdef Py_ssize_t count, group_count, block_count, total
    cdef Piece *pieces
    cdef Span *spans            # of the arrays, by their addresses
    cdef Py_ssize_t span_count
    cdef Block *blocks
    cdef Plan *plans
    cdef double *settings
    cdef list held              # the gradients of this step, where nobody else may hold them

    cdef int take_settings(self, settings) except -1
    cdef int take_arrays(self, groups) except -1
    cdef int check_states(self) except -1
    cdef int sort_spans(self) except -1
    cdef int cut(self) except -1
    cdef Py_ssize_t place_of(self, Py_ssize_t group, Py_ssize_t index) except -1
    cdef int enter(self, int phase) except -1
    cdef bint is_long(self) noexcept nogil
    cdef int go(self, int phase) except -1
    cdef int take(self, grads) except -1
    cdef int check_parameter(self, Py_ssize_t i) except -1
    cdef int take_one(self, Py_ssize_t i, gradient) except -1
    cdef bint meets(self, Piece *piece, const char *start) noexcept
    cdef int advance(self) except -1
    cdef void rescale(self) noexcept nogil
    cdef void make_plans(self) noexcept nogil
    cdef double norm_of(self, Block *block) noexcept nogil
    cdef void run(self, Py_ssize_t first, Py_ssize_t last) noexcept nogil
    cdef void run_block(self, Block *block) noexcept nogil
    cdef double weight_of(self, const Plan *plan) noexcept nogil
    # For a kernel that makes many steps along gradients of its own, of one array: begin, step, step, ..., end.
    cdef int begin_steps(self, cnp.ndarray array) except -1
    cdef int step_along(self, const void *gradient) except -1 nogil
    cdef void set_rate(self, double rate) noexcept nogil
    cdef void end_steps(self) noexcept
