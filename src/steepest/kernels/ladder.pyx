"""Richardson extrapolation of differences, component by component. The twin of reference/ladder.py.

Here because every level of an adaptive difference goes over the tables of all components, which in NumPy is some
hundred passes. The mathematics, the constants and the meaning of every argument stand in the reference; this file does
the same, bit for bit. Tested in tests/test_ladder.py.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, fabs, fabsl, isfinite

import numpy as np

from steepest.reference import ladder as twin
from steepest.reference.callback import working_type

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

cdef enum:
    COLUMNS = 7
    ARRAYS = 11
    AGREED_MOST = 100

cdef enum:
    NOTHING, DOWN, FAR_DOWN, UP

cdef enum:
    RISING, FALLING, LOST, DONE, GIVEN_UP

# The arrays of real numbers with one entry a component, in the order of `Ladder.reals`.
cdef enum:
    VALUE, ERROR, ROUNDING, STEP, NOISE, KINK, GAP, EVEN, BEND, WOBBLE, WOBBLED_AT

if COLUMNS != twin.COLUMNS:
    raise ImportError("kernels/ladder.pyx and reference/ladder.py are of different versions")

cdef double FAR = twin.FAR, CLOSER = twin.CLOSER
cdef double CONDITION = twin.CONDITION, DROWNED = twin.DROWNED, NOISY = twin.NOISY, OVERSHOT = twin.OVERSHOT
cdef double CONTRADICTION = twin.CONTRADICTION, MILD = twin.MILD, WOBBLED = twin.WOBBLE, FALL = twin.FALL
cdef double UNEXPLAINED = twin.UNEXPLAINED, KINKED = twin.KINKED, KINK_ABOVE = twin.KINK_ABOVE

ctypedef fused working:
    double
    long double

# What one component has: pointers into the arrays of the ladder.
ctypedef struct Part:
    signed char *state
    signed char *count
    signed char *agreed
    unsigned char *guessed

# What is the same for all components of a row.
ctypedef struct Level:
    int power, n, may_rise
    bint last
    double weight, eps, rtol
    double least[COLUMNS]

# What happened to one component.
ctypedef struct Event:
    bint pushed, contradicted, lost


cdef class Ladder:
    """The tables of some rows of differences; see `steepest.reference.ladder.Ladder`."""

    cdef readonly cnp.ndarray tables, value, error, rounding, step, noise, kink
    cdef readonly cnp.ndarray gap, even, bend, wobble, wobbled_at, guessed, state, count, agreed
    cdef Py_ssize_t rows, results
    cdef bint wide
    cdef int power, n
    cdef double weight
    cdef double least[COLUMNS]

    def __init__(self, Py_ssize_t rows, Py_ssize_t results, cnp.dtype dtype not None, int power, int n, double weight):
        if self.tables is not None:
            raise TypeError("a ladder is made once")
        if rows < 0 or results < 0:
            raise ValueError("rows and results must not be negative")
        real, shape = working_type(dtype), (rows, results)
        self.wide = real.char == "g"
        self.rows, self.results, self.power, self.n, self.weight = rows, results, power, n, weight
        for j, gain in enumerate(twin.least_gains(power)):
            self.least[j] = gain
        self.tables = np.zeros((4, *shape, COLUMNS), real)
        self.value, self.error = np.full(shape, np.nan, real), np.full(shape, np.inf, real)
        self.rounding, self.step, self.noise, self.kink = (np.zeros(shape, real) for _ in range(4))
        self.gap, self.even, self.bend, self.wobble, self.wobbled_at = (np.zeros(shape, real) for _ in range(5))
        self.guessed = np.zeros(shape, bool)
        self.state, self.count, self.agreed = (np.zeros(shape, np.int8) for _ in range(3))

    def climb(self, rows, difference, largest, even, size, step, may_rise, last, double eps, double rtol):
        """Take one more difference of some rows, and say what each wants next."""
        cdef Py_ssize_t count = len(rows)
        if self.tables is None:
            raise ValueError("this ladder was never made")
        real = np.longdouble if self.wide else np.float64
        each, both = (count,), (count, self.results)
        where = taken(rows, np.intp, each)
        if count and not 0 <= where.min() <= where.max() < self.rows:
            raise IndexError("no such row")
        wants = np.zeros(count, np.int8)
        arguments = (where, taken(difference, real, both), taken(largest, real, both), taken(even, real, both),
                     taken(size, real, each), taken(step, real, each), taken(may_rise, np.int8, each),
                     taken(last, np.uint8, each), wants)
        if self.wide:
            climb_rows[longdouble](self, arguments, eps, rtol, 0)
        else:
            climb_rows[double](self, arguments, eps, rtol, 0)
        return wants


cdef taken(value, dtype, shape):
    """An argument as a C-contiguous array of its type, if it has the right shape."""
    array = np.ascontiguousarray(value, dtype)
    if array.shape != shape:
        raise ValueError(f"expected an array of shape {shape}, not {array.shape}")
    return array


ctypedef long double longdouble


cdef void *data(array):
    return PyArray_DATA(array)


cdef int climb_rows(Ladder ladder, tuple arguments, double eps, double rtol, working unused) except -1:
    """The loop over rows and results; `arguments` are those of `Ladder.climb`, converted, and what it returns."""
    rows, difference, largest, even, size, step, may_rise, last, wants = arguments
    cdef Py_ssize_t *row = <Py_ssize_t *>data(rows)
    cdef const working *D = <const working *>data(difference)
    cdef const working *top = <const working *>data(largest)
    cdef const working *both = <const working *>data(even)
    cdef const working *sizes = <const working *>data(size)
    cdef const working *steps = <const working *>data(step)
    cdef const signed char *rises = <const signed char *>data(may_rise)
    cdef const unsigned char *ends = <const unsigned char *>data(last)
    cdef signed char *wanted = <signed char *>data(wants)
    cdef working *tables = <working *>data(ladder.tables)
    cdef working *reals[ARRAYS]
    cdef working *table[4]
    cdef working *real[ARRAYS]
    cdef Py_ssize_t count = len(rows), results = ladder.results, total = ladder.rows * ladder.results, i, j, k, at
    cdef Part part
    cdef Event event
    cdef Level level = Level(ladder.power, ladder.n, 0, False, ladder.weight, eps, rtol, ladder.least)
    cdef bint calm, stuck, rising
    for k, array in enumerate((ladder.value, ladder.error, ladder.rounding, ladder.step, ladder.noise, ladder.kink,
                               ladder.gap, ladder.even, ladder.bend, ladder.wobble, ladder.wobbled_at)):
        reals[k] = <working *>data(array)
    cdef signed char *states = <signed char *>data(ladder.state)
    cdef signed char *counts = <signed char *>data(ladder.count)
    cdef signed char *agreed = <signed char *>data(ladder.agreed)
    cdef unsigned char *guessed = <unsigned char *>data(ladder.guessed)
    with nogil:
        for i in range(count):
            calm = stuck = rising = False
            level.may_rise, level.last = rises[i], ends[i]
            for j in range(results):
                at = row[i] * results + j
                part.state, part.count = states + at, counts + at
                part.agreed, part.guessed = agreed + at, guessed + at
                if part.state[0] >= DONE:
                    continue
                for k in range(4):
                    table[k] = tables + (k * total + at) * COLUMNS
                for k in range(ARRAYS):
                    real[k] = reals[k] + at
                event = climb_one(&part, table, real, D[i * results + j], top[i * results + j], both[i * results + j],
                                  sizes[i], steps[i], &level)
                if part.state[0] == RISING:
                    rising = True
                elif part.state[0] < DONE:
                    if event.contradicted or event.lost:
                        stuck = True
                    else:
                        calm = True
            wanted[i] = DOWN if calm else FAR_DOWN if stuck else UP if rising else NOTHING
    return 0


cdef Event climb_one(Part *part, working **table, working **real, working D, working largest, working even,
                     working size, working h, const Level *level) noexcept nogil:
    """One more difference of a component that is still on its way."""
    cdef Event event = Event(False, False, False)
    cdef working bend = (even - real[EVEN][0]) / (h - table[2][0]) if part.count[0] > 0 else 0
    cdef working noise = (level.eps * (largest + CONDITION * absolute(size) * (absolute(D) + absolute(bend)))
                          + real[NOISE][0])
    cdef working rounding = level.weight * noise / powered(h, level.n)
    cdef working gap = 0, before, change
    cdef working candidate[3]
    cdef working quantum = 0
    cdef bint kinked = False, noisy = False, mild, closer = False, vanished = False
    event.lost = not (isfinite(D) and isfinite(rounding))
    if event.lost:
        part.state[0] = FALLING if part.count[0] > 0 else LOST
    elif overshot(part, table, D, rounding, h):
        part.state[0] = FALLING
    else:
        event.pushed = True
        if h > table[2][0] and D != 0 and blank(part, table):
            part.count[0] = part.agreed[0] = 0
            real[VALUE][0], real[ERROR][0] = NAN, INFINITY
        gap = absolute(D - table[0][0]) if part.count[0] > 0 else 0
        before = real[VALUE][0]
        if part.count[0] > 1 and FAR * h < table[2][0]:
            part.count[0] = 1
        closer = CLOSER * gap <= real[GAP][0] or gap <= CLOSER * rounding or h > table[2][0]
        vanished = (part.count[0] > 0 and level.may_rise > 1 and D == 0 and not part.guessed[0]
                    and absolute(table[0][0]) > CLOSER * table[1][0])
        quantum = absolute(table[0][0]) * powered(table[2][0], level.n) / level.weight
        extend(part, table, D, rounding, h, level.power, level.least, candidate)
        event.contradicted = judge(part, real, candidate, h)
        kinked = look_for_kink(part, table, real, even, bend, rounding, h)
        change = absolute(candidate[0] - before)
        mild = change <= MILD * absolute(candidate[0])
        noisy = (event.contradicted and look_for_noise(part, real, mild, gap, rounding, h, level.n)
                 and not vanished)
        real[GAP][0] = gap
    decide(part, real, D, rounding, event.pushed and not (noisy or vanished), closer, kinked, level)
    if vanished:
        begin_again(part, table, real, quantum, level)
    elif noisy:
        begin_again(part, table, real, gap * powered(h, level.n) / level.weight, level)
    return event


cdef bint overshot(Part *part, working **table, working D, working rounding, working h) noexcept nogil:
    """Whether a step larger than the last one leads away from what is known."""
    cdef working largest = absolute(D)
    if part.count[0] == 0 or not h > table[2][0] or blank(part, table):
        return False
    if absolute(table[0][0]) > largest:
        largest = absolute(table[0][0])
    return absolute(D - table[0][0]) > rounding + 3 * table[1][0] + OVERSHOT * largest


cdef bint blank(Part *part, working **table) noexcept nogil:
    """Whether f was 0 itself at the last step: which says nothing of larger ones."""
    return part.count[0] > 0 and table[0][0] == 0 and table[1][0] == 0


cdef void extend(Part *part, working **table, working D, working rounding, working h, int power,
                 const double *least, working *best) noexcept nogil:
    """The next row of the table, in place; `best` takes value, error and rounding of its best entry."""
    cdef working T = D, R = rounding, above_T = table[0][0], above_R = table[1][0], g, d, gain, value, spread, error
    cdef int j
    best[0], best[1], best[2] = NAN, INFINITY, 0
    # the entry j - 1 of the row before is still needed when that of this one is known
    table[0][0], table[1][0] = T, R
    for j in range(1, COLUMNS):
        if part.count[0] < j:
            table[0][j], table[1][j] = 0, 0
            continue
        g = 1 / (powered(table[2][j - 1] / h, power) - 1)
        d = T - above_T
        value = T + d * g
        spread = R * absolute(1 + g) + above_R * absolute(g)
        gain = absolute(g) if absolute(g) < absolute(1 + g) else absolute(1 + g)
        if gain < least[j]:
            gain = least[j]
        error = absolute(d) * gain + spread
        above_T, above_R = table[0][j], table[1][j]
        T, R = value, spread
        table[0][j], table[1][j] = T, R
        if error < best[1]:
            best[0], best[1], best[2] = value, error, spread
    for j in range(COLUMNS - 1, 0, -1):
        table[2][j], table[3][j] = table[2][j - 1], table[3][j - 1]
    table[2][0], table[3][0] = h, D
    if part.count[0] < COLUMNS:
        part.count[0] += 1


cdef bint judge(Part *part, working **real, working *candidate, working h) noexcept nogil:
    """Compare with the best so far, and take the better; the newer one where they contradict each other."""
    cdef bint contradicted
    cdef working apart = 0
    if not isfinite(candidate[1]):
        return False
    contradicted = part.agreed[0] > 0 and (
        absolute(candidate[0] - real[VALUE][0]) > CONTRADICTION * (candidate[1] + real[ERROR][0]))
    if part.agreed[0] > 0 and not contradicted:
        apart = absolute(candidate[0] - real[VALUE][0]) - (candidate[1] + real[ERROR][0])
    if contradicted or candidate[1] < real[ERROR][0]:
        real[VALUE][0], real[ERROR][0], real[ROUNDING][0] = candidate[0], candidate[1], candidate[2]
        real[STEP][0] = h
    if apart > 0:
        real[ERROR][0] = larger(real[ERROR][0], UNEXPLAINED * apart)
    if contradicted:
        part.agreed[0] = 1
    elif part.agreed[0] < AGREED_MOST:
        part.agreed[0] += 1
    return contradicted


cdef bint look_for_kink(Part *part, working **table, working **real, working even, working bend, working rounding,
                        working h) noexcept nogil:
    """Whether the mean of both sides moves in proportion to h, beside what moves with its square."""
    cdef working newer = h + table[2][1], older = table[2][1] + table[2][2]
    cdef working jump = (real[BEND][0] * newer - bend * older) / (newer - older)
    cdef working smaller = bend if newer < older else real[BEND][0]
    cdef working smallest = least_of(least_of(h, table[2][1]), table[2][2])
    cdef bint kinked = (part.count[0] > 2 and jump * smaller > KINKED * (smaller * smaller)
                        and absolute(smaller) > KINK_ABOVE * rounding * (h / smallest))
    real[KINK][0] = absolute(jump) / 2 if kinked else 0
    real[EVEN][0], real[BEND][0] = even, bend
    return kinked


cdef bint look_for_noise(Part *part, working **real, bint mild, working gap, working rounding, working h,
                         int n) noexcept nogil:
    """Whether differences that contradict each other grow as 1/h**n when h falls, as noise makes them."""
    cdef working wobble
    if part.guessed[0] or not (gap > real[GAP][0] and gap > 4 * rounding):
        return False
    wobble = gap * powered(h, n)
    if real[WOBBLE][0] == 0:
        real[WOBBLE][0], real[WOBBLED_AT][0] = wobble, h
    if mild:
        return True
    return (h <= FALL * real[WOBBLED_AT][0]
            and wobble <= WOBBLED * real[WOBBLE][0] and real[WOBBLE][0] <= WOBBLED * wobble)


cdef void decide(Part *part, working **real, working D, working rounding, bint pushed, bint closer, bint kinked,
                 const Level *level) noexcept nogil:
    """Go up, go down or stop."""
    cdef double share = NOISY if real[NOISE][0] > 0 else DROWNED * level.eps
    cdef bint settled = part.count[0] >= 3 and part.agreed[0] >= 2, rising, done
    if pushed:
        rising = (part.state[0] == RISING and rounding >= share * absolute(D) and not level.last
                  and level.may_rise > (1 if D == 0 else 0))
        if not rising:
            part.state[0] = FALLING
            done = settled and closer and (2 * larger(real[ROUNDING][0], rounding) >= real[ERROR][0]
                                           or real[ERROR][0] <= level.rtol * absolute(real[VALUE][0]))
            if done and (not kinked or part.count[0] >= 4):
                part.state[0] = DONE
    if level.last and part.state[0] < DONE:
        part.state[0] = GIVEN_UP


cdef void begin_again(Part *part, working **table, working **real, working noise, const Level *level) noexcept nogil:
    """Make the table anew, the largest step last, now that the noise is known; and go up where that may help."""
    cdef working nodes[COLUMNS]
    cdef working history[COLUMNS]
    cdef working candidate[3]
    cdef int k, count = part.count[0]
    for k in range(COLUMNS):
        nodes[k], history[k] = table[2][k], table[3][k]
    if noise > real[NOISE][0]:
        real[NOISE][0] = noise
    part.guessed[0] = True
    part.count[0] = part.agreed[0] = 0
    real[VALUE][0], real[ERROR][0] = NAN, INFINITY
    for k in range(count):
        extend(part, table, history[k], level.weight * real[NOISE][0] / powered(nodes[k], level.n), nodes[k],
               level.power, level.least, candidate)
        judge(part, real, candidate, nodes[k])
    real[GAP][0] = real[BEND][0] = 0
    if level.may_rise and not level.last and real[ERROR][0] > NOISY * absolute(real[VALUE][0]):
        part.state[0] = RISING
    else:
        part.state[0] = DONE


cdef inline working absolute(working x) noexcept nogil:
    if working is double:
        return fabs(x)
    else:
        return fabsl(x)


cdef inline working least_of(working a, working b) noexcept nogil:
    return b if b < a else a


cdef inline working larger(working a, working b) noexcept nogil:
    return a if a > b else b


cdef inline working powered(working base, int power) noexcept nogil:
    cdef working result = base
    cdef int _factor
    for _factor in range(1, power):
        result = result * base
    return result
