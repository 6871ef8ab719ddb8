"""Update rules, fused into one pass over memory. The twin of reference/update.py.

Here because a descent on a small problem is otherwise all Python, and on a large one all temporaries. The rules stand
in the reference, their loops in update.pxi, built for several instruction sets; this file chooses one at import, looks
at arrays, and hands pieces of them to the loops. Tested in tests/test_update.py and tests/test_optim.py.

What limits it: memory for long vectors (24 bytes an element of float64 for a plain step, 56 for Adam), division and
square root for those that are in cache, and for short ones the call from Python.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport INFINITY, NAN, isfinite, pow, sqrt

from steepest.kernels.update cimport (
    ADABELIEF, ADADELTA, ADAGRAD, ADAM, ADAMAX, AMSGRAD, LION, MOMENTUM, NADAM, NESTEROV, NUMBERS, PLAIN, RADAM_EARLY,
    RMSPROP, RPROP, STATES, Loops,
)

import importlib

import numpy as np

from steepest.errors import BusyError
from steepest.kernels.isa import instruction_set
from steepest.reference.update import BLOCK as _BLOCK
from steepest.reference.update import FAMILIES, take_gradient, RULES as _RULES

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

cdef enum:
    PREPARED = 512      # elements whose gradients are prepared at a time, in memory that stays in the first cache
    SETTINGS = 8
    QUIET = 16384       # elements from which on a step lets go of the GIL
    SHARED = 4          # blocks from which on several threads do it

cdef enum:
    UNCLIPPED, BY_VALUE, BY_NORM, BY_GLOBAL_NORM

cdef enum:
    SGD, ASGD, F_ADAGRAD, F_ADADELTA, F_RMSPROP, F_ADAM, F_NADAM, F_RADAM, F_ADAMAX, F_ADABELIEF, F_LION, F_RPROP

# What an optimizer is doing; only while it walks are there gradients to walk along.
cdef enum:
    IDLE, HELD, LOOKING, NORMING, WALKING

cdef Py_ssize_t BLOCK = _BLOCK
cdef dict RULE_NUMBERS = {name: number for number, name in enumerate(_RULES)}
cdef dict FAMILY_NUMBERS = {name: number for number, name in enumerate(FAMILIES)}
cdef tuple CLIPS = (None, "value", "norm", "global_norm")

_loops = importlib.import_module(f"steepest.kernels.update_{instruction_set()}")
cdef const Loops *loops = <const Loops *>PyCapsule_GetPointer(_loops.table, "steepest update loops")


def step(str rule, cnp.ndarray x not None, cnp.ndarray gradient not None, states, numbers):
    """One step of a rule, in place; see `steepest.reference.update.step`."""
    cdef void *pointers[STATES]
    cdef double given[NUMBERS]
    cdef Py_ssize_t i
    cdef int number = RULE_NUMBERS[rule], kind = type_of(x)
    if len(states) != _RULES[rule][1]:
        raise ValueError(f"{rule} keeps {_RULES[rule][1]} arrays, not {len(states)}")
    if len(numbers) > NUMBERS:
        raise ValueError(f"a rule takes at most {NUMBERS} numbers")
    check_like(x, gradient, "gradient", False)
    check_like(x, x, "x", True)
    for i in range(STATES):
        pointers[i] = NULL
    for i in range(len(states)):
        check_like(x, states[i], f"states[{i}]", True)
        pointers[i] = PyArray_DATA(states[i])
    for i in range(NUMBERS):
        given[i] = numbers[i] if i < len(numbers) else 0.0
    loops.walk[number][kind](NULL, PyArray_DATA(x), PyArray_DATA(gradient), pointers, given, x.size)


cdef int type_of(cnp.ndarray x) except -1:
    cdef int kind = -1 if x is None else cnp.PyArray_TYPE(x)
    if x is None:
        raise TypeError("x must be an array, not None")
    if kind != cnp.NPY_FLOAT and kind != cnp.NPY_DOUBLE:
        raise TypeError(f"x must be float32 or float64, not {x.dtype}")
    return 1 if kind == cnp.NPY_DOUBLE else 0


cdef int check_like(cnp.ndarray x, array, str name, bint written) except -1:
    if (not isinstance(array, np.ndarray) or cnp.PyArray_TYPE(array) != cnp.PyArray_TYPE(x)
            or cnp.PyArray_SIZE(array) != cnp.PyArray_SIZE(x)):
        raise ValueError(f"{name} must be an array of the type and size of x ({x.dtype}, {x.size})")
    if not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array) or (written and not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>array)):
        raise ValueError(f"{name} must be a C-contiguous, aligned, native array that can be written")
    return 0


cdef class Optimizer:
    """A family of rules at work on some arrays; see `steepest.reference.update.Optimizer`."""

    def __init__(self, str family, list arrays, bint alone, groups, settings, list states, list means=None,
                 double averaging=NAN, clip=None, double bound=INFINITY, double sign=1.0, bint strict=False,
                 share=None, int threads=1):
        if self.pieces != NULL:
            raise BusyError("an optimizer is made once")
        self.family, self.number = family, FAMILY_NUMBERS[family]
        self.arrays, self.alone = tuple(arrays), alone
        self.states, self.means = tuple(map(tuple, states)), None if means is None else tuple(means)
        self.averaging, self.clip, self.bound, self.sign = averaging, CLIPS.index(clip), bound, sign
        self.strict, self.share, self.shared, self.threads = strict, share, share is not None, threads
        self.count, self.group_count = len(arrays), len(settings)
        self.take_settings(settings)
        self.take_arrays(groups)
        self.sort_spans()
        self.cut()
        self.made = True

    def __dealloc__(self):
        PyMem_Free(self.pieces)
        PyMem_Free(self.spans)
        PyMem_Free(self.blocks)
        PyMem_Free(self.plans)
        PyMem_Free(self.settings)

    cdef int take_settings(self, settings) except -1:
        cdef Py_ssize_t group, i
        self.plans = <Plan *>PyMem_Calloc(self.group_count + 1, sizeof(Plan))
        self.settings = <double *>PyMem_Calloc((self.group_count + 1) * SETTINGS, sizeof(double))
        if self.plans == NULL or self.settings == NULL:
            raise MemoryError()
        for group in range(self.group_count):
            if len(settings[group]) != len(FAMILIES[self.family]):
                raise ValueError(f"settings must be {', '.join(FAMILIES[self.family])}")
            self.plans[group].carried = 1.0
            for i in range(len(settings[group])):
                self.settings[group * SETTINGS + i] = settings[group][i]
        return 0

    cdef int take_arrays(self, groups) except -1:
        cdef Py_ssize_t i, j
        cdef cnp.ndarray x
        cdef Piece *piece
        self.pieces = <Piece *>PyMem_Calloc(self.count + 1, sizeof(Piece))
        if self.pieces == NULL:
            raise MemoryError()
        if len(groups) != self.count or len(self.states) != self.count or (
                self.means is not None and len(self.means) != self.count) or (self.alone and self.count != 1):
            raise ValueError("there must be a group, states and a mean for each array, and one array when alone")
        for i in range(self.count):
            x, piece = self.arrays[i], &self.pieces[i]
            piece.type, piece.group, piece.count = type_of(x), groups[i], x.size
            check_like(x, x, "x", True)
            if not 0 <= piece.group < self.group_count or len(self.states[i]) > STATES:
                raise ValueError("no such group, or too many states")
            piece.x = PyArray_DATA(x)
            for j in range(len(self.states[i])):
                check_like(x, self.states[i][j], "states", True)
                piece.states[j] = PyArray_DATA(self.states[i][j])
            if self.means is not None:
                check_like(x, self.means[i], "means", True)
                piece.mean = PyArray_DATA(self.means[i])
            self.total += piece.count
        self.check_states()
        return 0

    cdef int check_states(self) except -1:
        """Every rule that a step may choose finds its arrays."""
        cdef Py_ssize_t i
        cdef Plan plan
        for i in range(self.count):
            make_plan(self.number, self.settings + self.pieces[i].group * SETTINGS, 1, 1.0, &plan)
            if len(self.states[i]) != tuple(_RULES.values())[plan.rule][1]:
                raise ValueError("the rule of these settings keeps another number of states")
        if self.number == ASGD and self.means is None:
            raise ValueError("means are missing")
        return 0

    cdef int sort_spans(self) except -1:
        cdef Py_ssize_t i, made = 0
        self.spans = <Span *>PyMem_Calloc(self.count + 1, sizeof(Span))
        if self.spans == NULL:
            raise MemoryError()
        for i in sorted(range(self.count), key=lambda i: self.arrays[i].ctypes.data):
            if self.pieces[i].count > 0:
                self.spans[made].start = <const char *>self.pieces[i].x
                self.spans[made].end = self.spans[made].start + self.pieces[i].count * size_of(&self.pieces[i])
                made += 1
        self.span_count = made
        return 0

    cdef int cut(self) except -1:
        """Long arrays in blocks, for threads and for sums whose order does not depend on them."""
        cdef Py_ssize_t i, first, made = 0
        for i in range(self.count):
            self.block_count += (self.pieces[i].count + BLOCK - 1) // BLOCK
        self.blocks = <Block *>PyMem_Calloc(self.block_count + 1, sizeof(Block))
        if self.blocks == NULL:
            raise MemoryError()
        for i in range(self.count):
            for first in range(0, self.pieces[i].count, BLOCK):
                self.blocks[made] = Block(i, first, min(BLOCK, self.pieces[i].count - first), False, 0.0)
                made += 1
        return 0

    def change(self, Py_ssize_t group, Py_ssize_t index, double value):
        """Change one setting of a group."""
        cdef Py_ssize_t place = self.place_of(group, index)
        cdef double before = self.settings[place]
        self.settings[place] = value
        if index > 0:           # a learning rate, which may change in every step, chooses no rule
            try:
                self.check_states()
            except ValueError:
                self.settings[place] = before
                raise

    def setting(self, Py_ssize_t group, Py_ssize_t index):
        """One setting of a group."""
        return self.settings[self.place_of(group, index)]

    cdef Py_ssize_t place_of(self, Py_ssize_t group, Py_ssize_t index) except -1:
        if not (self.made and 0 <= group < self.group_count and 0 <= index < len(FAMILIES[self.family])):
            raise IndexError("no such setting")
        return group * SETTINGS + index

    @property
    def carried(self):
        """A number of each group that goes from step to step."""
        return [self.plans[group].carried for group in range(self.group_count if self.made else 0)]

    def resume(self, Py_ssize_t t, carried):
        """Go on as if so many steps had been made."""
        cdef Py_ssize_t group
        if not self.made or t < 0 or len(carried) != self.group_count:
            raise ValueError("t must not be negative, and carried have a number for each group")
        for group in range(self.group_count):
            self.plans[group].carried = carried[group]
        self.t = t

    def step(self, grads):
        """Make one step, in place; see the reference."""
        self.enter(LOOKING)
        try:
            self.take(grads)
            self.advance()
        finally:
            self.held = None
            self.phase = IDLE

    cdef int advance(self) except -1:
        """One step along gradients that are taken."""
        if self.clip >= BY_NORM:
            self.go(NORMING)
        self.rescale()
        self.make_plans()
        self.go(WALKING)
        return 0

    cdef int begin_steps(self, cnp.ndarray array) except -1:
        """Until `end_steps`, nobody else makes steps."""
        if not self.made or self.count != 1 or PyArray_DATA(array) != self.pieces[0].x \
                or array.size != self.pieces[0].count or type_of(array) != self.pieces[0].type:
            raise ValueError("optimizer must be one of the array parameters alone")
        self.enter(LOOKING)
        try:
            self.check_parameter(0)
        except BaseException:
            self.phase = IDLE
            raise
        return 0

    cdef int step_along(self, const void *gradient) except -1 nogil:
        """`step`, along a gradient that nobody else knows."""
        self.pieces[0].gradient = gradient
        if self.strict and not is_finite(&self.pieces[0]):
            with gil:
                raise ValueError(("grads" if self.alone else "grads[0]") + " is not finite")
        if self.is_long():
            with gil:
                return self.advance()
        if self.clip >= BY_NORM:
            self.phase = NORMING
            self.run(0, self.block_count)
        self.rescale()
        self.make_plans()
        self.phase = WALKING
        self.run(0, self.block_count)
        return 0

    cdef void set_rate(self, double rate) noexcept nogil:
        self.settings[self.pieces[0].group * SETTINGS] = rate

    cdef void end_steps(self) noexcept:
        self.phase = IDLE

    cdef int enter(self, int phase) except -1:
        if self.phase != IDLE:
            raise BusyError("this optimizer is at work for another call")
        self.phase = phase
        return 0

    def hold(self):
        """Keep steps away, until `release`, while what is kept is read or replaced."""
        self.enter(HELD)

    def release(self):
        """End what `hold` began."""
        if self.phase == HELD:
            self.phase = IDLE

    cdef bint is_long(self) noexcept nogil:
        """Whether several threads do it."""
        return self.shared and self.total >= SHARED * BLOCK

    cdef int go(self, int phase) except -1:
        """Do all blocks, by several threads where they are many, and without the GIL unless they are few.

        Whatever interrupts, all of them: a step is made or not, never half of it.
        """
        cdef Py_ssize_t k
        self.phase = phase
        if not self.is_long():
            if self.total < QUIET:
                self.run(0, self.block_count)
            else:
                with nogil:
                    self.run(0, self.block_count)
            return 0
        for k in range(self.block_count):
            self.blocks[k].done = False
        try:
            self.share(self.work, 0, self.block_count, np.zeros(self.threads, np.intc))
        finally:
            for k in range(self.block_count):
                if not self.blocks[k].done:
                    self.run(k, k + 1)
        return 0

    def work(self, Py_ssize_t i, Py_ssize_t first, Py_ssize_t last):
        """Blocks first..last of a step under way, by thread i."""
        if not (self.phase in (NORMING, WALKING) and 0 <= first <= last <= self.block_count):
            raise ValueError("these blocks are not part of a step under way")
        with nogil:
            self.run(first, last)
        return 0

    cdef int take(self, grads) except -1:
        """Look at every gradient before anything is changed."""
        cdef Py_ssize_t i
        if not self.made:
            raise ValueError("this optimizer was never made")
        if self.alone:
            self.take_one(0, grads)
        else:
            if not isinstance(grads, (list, tuple, np.ndarray)):
                raise TypeError(f"grads must be a list of arrays, one for each parameter, not {type(grads).__name__}")
            self.held = list(grads)     # another thread may change the caller's
            if len(self.held) != self.count:
                raise ValueError(f"grads must be {self.count} arrays, one for each parameter, not {len(self.held)}")
            for i in range(self.count):
                self.take_one(i, self.held[i])
        for i in range(self.count):     # last, for converting a gradient may run anything
            self.check_parameter(i)
        return 0

    cdef int check_parameter(self, Py_ssize_t i) except -1:
        cdef cnp.ndarray x = <cnp.ndarray>self.arrays[i]
        cdef Piece *piece = &self.pieces[i]
        cdef int kind = cnp.NPY_DOUBLE if piece.type else cnp.NPY_FLOAT
        if not (cnp.PyArray_ISCARRAY(x) and cnp.PyArray_TYPE(x) == kind
                and cnp.PyArray_SIZE(x) == piece.count and PyArray_DATA(x) == piece.x):
            raise ValueError(("params" if self.alone else f"params[{i}]")
                             + " was resized, moved, retyped or made read-only since the optimizer was made")
        return 0

    cdef int take_one(self, Py_ssize_t i, gradient) except -1:
        cdef cnp.ndarray x = <cnp.ndarray>self.arrays[i]
        cdef Piece *piece = &self.pieces[i]
        if not (cnp.PyArray_CheckExact(gradient) and cnp.PyArray_TYPE(<cnp.ndarray>gradient) == cnp.PyArray_TYPE(x)
                and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>gradient) and same_shape(x, <cnp.ndarray>gradient)
                and not self.meets(piece, <const char *>PyArray_DATA(<cnp.ndarray>gradient))):
            gradient = take_gradient(gradient, x, "grads" if self.alone else f"grads[{i}]", self.arrays)
            if self.alone:
                self.held = [gradient]
            else:
                self.held[i] = gradient
        piece.gradient = PyArray_DATA(<cnp.ndarray>gradient)
        if self.strict and not np.isfinite(gradient).all():
            raise ValueError(("grads" if self.alone else f"grads[{i}]") + " is not finite")
        return 0

    cdef bint meets(self, Piece *piece, const char *start) noexcept:
        """Whether a gradient overlaps an array: as they lie apart, it would be the last that starts before its end."""
        cdef const char *end = start + piece.count * size_of(piece)
        cdef Py_ssize_t low = 0, high = self.span_count, middle, gap = piece.gap
        if (gap == 0 or self.spans[gap - 1].end <= start) and (gap == high or end <= self.spans[gap].start):
            return False
        while low < high:
            middle = (low + high) // 2
            if self.spans[middle].start < end:
                low = middle + 1
            else:
                high = middle
        piece.gap = low
        return piece.count > 0 and low > 0 and self.spans[low - 1].end > start

    cdef void rescale(self) noexcept nogil:
        """What each gradient is multiplied by."""
        cdef Py_ssize_t i, k
        cdef double total = 0, part
        cdef Piece *pieces = self.pieces
        if self.clip < BY_NORM:
            for i in range(self.count):
                pieces[i].scale = self.sign
            return
        for i in range(self.count):
            pieces[i].scale = 0
        for k in range(self.block_count):
            pieces[self.blocks[k].piece].scale += self.blocks[k].squares
        for i in range(self.count):
            total += pieces[i].scale
        for i in range(self.count):
            part = total if self.clip == BY_GLOBAL_NORM else pieces[i].scale
            part = self.bound / (sqrt(part) + 1e-6)
            pieces[i].scale = self.sign * (1.0 if part >= 1 else part)      # NaN stays

    cdef void make_plans(self) noexcept nogil:
        """What the next step is to do."""
        cdef Py_ssize_t group
        self.t = self.t + 1
        for group in range(self.group_count):
            make_plan(self.number, self.settings + group * SETTINGS, self.t, self.plans[group].carried,
                      &self.plans[group])

    cdef double norm_of(self, Block *block) noexcept nogil:
        cdef Piece *piece = &self.pieces[block.piece]
        return loops.norm[piece.type](<const char *>piece.gradient + block.first * size_of(piece), block.count)

    cdef void run(self, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(first, last):
            if self.phase == NORMING:
                self.blocks[k].squares = self.norm_of(&self.blocks[k])
            else:
                self.run_block(&self.blocks[k])
            self.blocks[k].done = True

    cdef void run_block(self, Block *block) noexcept nogil:
        """Prepare, walk, average: a whole block at once when there is nothing to prepare, in short pieces else."""
        cdef double prepared[PREPARED]
        cdef double given[4]
        cdef void *states[STATES]
        cdef Piece *piece = &self.pieces[block.piece]
        cdef Plan *plan = &self.plans[piece.group]
        cdef Py_ssize_t size = size_of(piece), at = block.first, end = block.first + block.count, count, j
        cdef const char *gradient
        given[0], given[1] = piece.scale, self.bound if self.clip == BY_VALUE else INFINITY
        given[2], given[3] = plan.decay, plan.shrink
        cdef bint preparing = given[0] != 1 or given[1] != INFINITY or given[2] != 0 or given[3] != 1
        cdef bint averaging = piece.mean != NULL
        cdef Py_ssize_t most = PREPARED if preparing or averaging else block.count
        while at < end:
            count = min(most, end - at)
            gradient = <const char *>piece.gradient + at * size
            if preparing:
                loops.prepare[piece.type](<char *>piece.x + at * size, gradient, prepared, given, count)
                gradient = <const char *>prepared
            for j in range(STATES):
                states[j] = <char *>piece.states[j] + at * size
            loops.walk[plan.rule][piece.type](NULL, <char *>piece.x + at * size, gradient, states, plan.numbers, count)
            if averaging:
                loops.average[piece.type](<char *>piece.x + at * size, <char *>piece.mean + at * size,
                                          self.weight_of(plan), count)
            at += count

    cdef double weight_of(self, const Plan *plan) noexcept nogil:
        if plan.weight == plan.weight:
            return plan.weight
        return self.averaging if self.averaging > 0 else 1.0 / self.t


cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int i, ndim = cnp.PyArray_NDIM(a)
    if cnp.PyArray_NDIM(b) != ndim:
        return False
    for i in range(ndim):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
    return True


cdef inline Py_ssize_t size_of(const Piece *piece) noexcept nogil:
    """Bytes of one element."""
    return 8 if piece.type else 4


cdef bint is_finite(const Piece *piece) noexcept nogil:
    """Whether the gradient is."""
    cdef Py_ssize_t i
    for i in range(piece.count):
        if not isfinite((<const double *>piece.gradient)[i] if piece.type else (<const float *>piece.gradient)[i]):
            return False
    return True


cdef int decayed(Plan *plan, int rule, double lr, double weight_decay, bint decoupled) noexcept nogil:
    plan.rule = rule
    plan.decay = 0.0 if decoupled else weight_decay
    plan.shrink = 1 - lr * weight_decay if decoupled else 1.0
    return 0


cdef int make_plan(int family, const double *h, Py_ssize_t t, double carried, Plan *plan) noexcept nogil:
    """The numbers of a rule from the settings of its family; the formulas stand in the reference."""
    cdef double lr = h[0], eta
    cdef double *k = plan.numbers
    plan.decay, plan.shrink, plan.weight, plan.carried = h[1], 1.0, NAN, carried
    if family == SGD:
        plan.rule = PLAIN if h[2] == 0 else (NESTEROV if h[4] != 0 else MOMENTUM)
        k[0], k[1], k[2] = lr, h[2], 1.0 if t == 1 else 1 - h[3]
    elif family == ASGD:
        eta = lr / pow(1 + h[2] * lr * (t - 1), h[3])
        plan.rule, plan.shrink, k[0] = PLAIN, 1 - h[2] * eta, eta
        plan.weight = 1 / max(1.0, t - 1 - h[4])
    elif family == F_ADAGRAD:
        plan.rule, k[0], k[1] = ADAGRAD, lr / (1 + (t - 1) * h[2]), h[3]
    elif family == F_ADADELTA:
        plan.rule, k[0], k[1], k[2], k[3] = ADADELTA, lr, h[2], 1 - h[2], h[3]
    elif family == F_RMSPROP:
        plan.rule = RMSPROP + (1 if h[5] != 0 else 0) + (2 if h[4] > 0 else 0)
        k[0], k[1], k[2], k[5] = lr, h[2], 1 - h[2], h[4]
        k[3] = 0.0 if h[6] != 0 else h[3]
        k[4] = h[3] if h[6] != 0 else 0.0
    elif family == F_LION:
        decayed(plan, LION, lr, h[1], True)
        k[0], k[1], k[2] = lr, 1 - h[2], 1 - h[3]
    elif family == F_RPROP:
        plan.rule, plan.decay = RPROP, 0.0
        k[0], k[1], k[2], k[3] = h[1], h[2], h[3], h[4]
    else:
        plan_moments(family, h, t, plan)
    return 0


cdef int plan_moments(int family, const double *h, Py_ssize_t t, Plan *plan) noexcept nogil:
    """The families that keep two moments of the gradient."""
    cdef double lr = h[0], first = 1 - pow(h[2], t), second = 1 - pow(h[3], t), longest, length, here, following
    cdef double *k = plan.numbers
    k[0], k[1], k[2], k[3], k[4], k[5] = lr / first, 1 - h[2], h[3], 1 - h[3], 1 / sqrt(second), h[4]
    if family == F_ADAM:
        decayed(plan, AMSGRAD if h[5] != 0 else ADAM, lr, h[1], h[6] != 0)
    elif family == F_NADAM:
        here = h[2] * (1 - 0.5 * pow(0.96, t * h[5]))
        following = h[2] * (1 - 0.5 * pow(0.96, (t + 1) * h[5]))
        plan.carried = plan.carried * here
        k[0] = lr * following / (1 - plan.carried * following)
        k[6] = lr * (1 - here) / (1 - plan.carried)
        decayed(plan, NADAM, lr, h[1], h[6] != 0)
    elif family == F_RADAM:
        longest = 2 / (1 - h[3]) - 1
        length = longest - 2 * t * pow(h[3], t) / second
        k[4] = 1.0
        decayed(plan, RADAM_EARLY if length <= 5 else ADAM, lr, h[1], h[5] != 0)
        if length > 5:
            k[0] = k[0] * sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) \
                * sqrt(second)
    elif family == F_ADAMAX:
        plan.rule, k[3] = ADAMAX, h[4]
    else:
        k[6] = h[5]
        decayed(plan, ADABELIEF, lr, h[1], h[6] != 0)
    return 0
