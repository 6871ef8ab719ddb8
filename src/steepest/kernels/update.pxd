# How the update rules are called: one walker for each rule and type, built once for every instruction set.
# Here so that update.pyx and the three extensions that include update.pxi agree. Tested in tests/test_update.py.

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
