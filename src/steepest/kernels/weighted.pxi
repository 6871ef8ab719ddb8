# The loops of weighted sums: each form's arithmetic once, a few loops around it, for both types; and Fornberg's
# recursion. Included by weighted_baseline.pyx, weighted_avx2.pyx, weighted_avx512.pyx, which differ by their flags.
# Here because the hot arithmetic is built for several instruction sets, with equal bits: no fused multiply-add, sums in
# the order of reference/weighted.py. Tested in tests/test_weighted.py.
#
# What limits them: memory. Hence results that no cache holds are written past the caches, a line at a time, and several
# rows are made at a time from nodes that are loaded once.

from cpython.pycapsule cimport PyCapsule_New

from steepest.kernels.weighted cimport (
    ANY, CHUNK, EVEN, LANES, ODD, ROWS, SHORT, WIDEST, Loops, Stencil, edge_t, fornberg_t, rows_t, run_t, varying_t,
)

include "_lines.pxi"

cdef extern from *:
    """
    /* A loop over a line that is not where its sums are kept cannot know that these lie apart from everything else. */
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    """

ctypedef fused floating:
    float
    double

# One empty type for each form, so that the loops are made anew for each.
ctypedef struct Odd:
    char _
ctypedef struct Even:
    char _
ctypedef struct Any:
    char _

ctypedef fused Form:
    Odd
    Even
    Any


cdef inline floating term(Form *form, const floating *f, Py_ssize_t shift) noexcept nogil:
    """What a weight is multiplied with."""
    if Form is Odd:
        return f[shift] - f[-shift]
    elif Form is Even:
        return (f[shift] - f[0]) + (f[-shift] - f[0])
    else:
        return f[shift] - f[0]


cdef inline void one(Form *form, int count, int lanes, const Py_ssize_t *s, const floating *w, Py_ssize_t apart,
                     const floating *f, floating *sums) noexcept nogil:
    """The first few terms of one line of the cache; `count` and `lanes` are literals."""
    cdef Py_ssize_t k
    for k in range(lanes):
        if count == 1:
            sums[k] = w[0] * term(form, f + k, s[0])
        elif count == 2:
            sums[k] = w[0] * term(form, f + k, s[0]) + w[apart] * term(form, f + k, s[1])
        elif count == 3:
            sums[k] = (w[0] * term(form, f + k, s[0]) + w[apart] * term(form, f + k, s[1])
                       + w[2 * apart] * term(form, f + k, s[2]))
        else:
            sums[k] = (w[0] * term(form, f + k, s[0]) + w[apart] * term(form, f + k, s[1])
                       + w[2 * apart] * term(form, f + k, s[2]) + w[3 * apart] * term(form, f + k, s[3]))


cdef inline void terms(Form *form, int count, const Stencil *stencil, const floating *f, floating *out,
                       Py_ssize_t length) noexcept nogil:
    """The first few terms of elements that lie side by side; `count` is a literal, for a loop of its own."""
    cdef const floating *w = <const floating *>stencil.weights
    cdef const Py_ssize_t *s = stencil.shifts
    cdef Py_ssize_t apart = stencil.apart, s0 = s[0], s1 = 0, s2 = 0, s3 = 0, j
    cdef floating w0 = w[0], w1 = 0, w2 = 0, w3 = 0
    if count > 1:
        s1, w1 = s[1], w[apart]
    if count > 2:
        s2, w2 = s[2], w[2 * apart]
    if count > 3:
        s3, w3 = s[3], w[3 * apart]
    for j in range(length):
        if count == 1:
            out[j] = w0 * term(form, f + j, s0)
        elif count == 2:
            out[j] = w0 * term(form, f + j, s0) + w1 * term(form, f + j, s1)
        elif count == 3:
            out[j] = w0 * term(form, f + j, s0) + w1 * term(form, f + j, s1) + w2 * term(form, f + j, s2)
        else:
            out[j] = (w0 * term(form, f + j, s0) + w1 * term(form, f + j, s1) + w2 * term(form, f + j, s2)
                      + w3 * term(form, f + j, s3))


cdef inline void side_by_side(Form *form, const Stencil *stencil, const floating *f, floating *out,
                              Py_ssize_t length) noexcept nogil:
    """Elements that lie side by side; they had better stay in the first cache when there are many terms."""
    cdef const floating *w = <const floating *>stencil.weights
    cdef Py_ssize_t j, k, shift
    cdef floating weight
    if stencil.count == 1:
        terms(form, 1, stencil, f, out, length)
    elif stencil.count == 2:
        terms(form, 2, stencil, f, out, length)
    elif stencil.count == 3:
        terms(form, 3, stencil, f, out, length)
    else:
        terms(form, 4, stencil, f, out, length)
        for k in range(4, stencil.count):
            shift, weight = stencil.shifts[k], w[k * stencil.apart]
            for j in range(length):
                out[j] = out[j] + weight * term(form, f + j, shift)


cdef inline Py_ssize_t lines(Form *form, int count, int lanes, const Stencil *stencil, const floating *f,
                             floating *out, Py_ssize_t length) noexcept nogil:
    """The whole lines of a run that begins at a line, past the caches; returns how many elements these are."""
    cdef floating sums[WIDEST]
    cdef const floating *w = <const floating *>stencil.weights
    cdef Py_ssize_t j = 0, k, i, shift
    cdef floating weight
    while j + lanes <= length:
        one(form, count, lanes, stencil.shifts, w, stencil.apart, f + j, sums)
        if count > 4:
            for k in range(4, stencil.count):
                shift, weight = stencil.shifts[k], w[k * stencil.apart]
                for i in range(lanes):
                    sums[i] = sums[i] + weight * term(form, f + j + i, shift)
        steepest_stream(out + j, sums)
        j += lanes
    return j


cdef inline void past_the_caches(Form *form, const Stencil *stencil, const floating *f, floating *out,
                                 Py_ssize_t length) noexcept nogil:
    """Elements that lie side by side."""
    cdef int lanes = 64 // sizeof(floating)
    cdef Py_ssize_t head = steepest_to_line(out) // <Py_ssize_t>sizeof(floating), done
    head = head if head < length else length
    side_by_side(form, stencil, f, out, head)
    f, out, length = f + head, out + head, length - head
    if stencil.count == 1:
        done = lines(form, 1, lanes, stencil, f, out, length)
    elif stencil.count == 2:
        done = lines(form, 2, lanes, stencil, f, out, length)
    elif stencil.count == 3:
        done = lines(form, 3, lanes, stencil, f, out, length)
    elif stencil.count == 4:
        done = lines(form, 4, lanes, stencil, f, out, length)
    else:
        done = lines(form, 5, lanes, stencil, f, out, length)
    side_by_side(form, stencil, f + done, out + done, length - done)


cdef void run(Form *form, const Stencil *stencil, const floating *f, floating *out, Py_ssize_t length,
              Py_ssize_t f_step, Py_ssize_t out_step, bint past) noexcept nogil:
    """A run of elements with the same weights."""
    cdef const floating *w = <const floating *>stencil.weights
    cdef Py_ssize_t apart = stencil.apart, j = 0, k, most
    cdef floating s
    if f_step == 1 and out_step == 1:
        if past and length >= SHORT:
            past_the_caches(form, stencil, f, out, length)
            return
        while j < length:
            most = length - j if stencil.count <= 4 or length - j < CHUNK else CHUNK
            side_by_side(form, stencil, f + j, out + j, most)
            j += most
        return
    for j in range(length):
        s = w[0] * term(form, f + j * f_step, stencil.shifts[0])
        for k in range(1, stencil.count):
            s = s + w[k * apart] * term(form, f + j * f_step, stencil.shifts[k])
        out[j * out_step] = s


cdef inline void side_by_side_varying(const Stencil *stencil, const floating *w, const floating *f, floating *out,
                                      Py_ssize_t length) noexcept nogil:
    """Differences to one node of elements that lie side by side, each with weights of its own."""
    cdef Py_ssize_t apart = stencil.apart, j, k, s0 = stencil.shifts[0], s1
    if stencil.count == 1:
        for j in range(length):
            out[j] = w[j] * (f[j + s0] - f[j])
        return
    s1 = stencil.shifts[1]
    for j in range(length):
        out[j] = w[j] * (f[j + s0] - f[j]) + w[apart + j] * (f[j + s1] - f[j])
    for k in range(2, stencil.count):
        s0 = stencil.shifts[k]
        for j in range(length):
            out[j] = out[j] + w[k * apart + j] * (f[j + s0] - f[j])


cdef inline Py_ssize_t lines_varying(int count, int lanes, const Stencil *stencil, const floating *w,
                                     const floating *f, floating *out, Py_ssize_t length) noexcept nogil:
    """The whole lines of such a run, which begins at a line, past the caches; `count` and `lanes` are literals."""
    cdef floating sums[WIDEST]
    cdef Py_ssize_t apart = stencil.apart, j = 0, i, s0 = stencil.shifts[0], s1 = stencil.shifts[1]
    cdef Py_ssize_t s2 = stencil.shifts[2] if count > 2 else 0
    while j + lanes <= length:
        for i in range(j, j + lanes):
            if count == 2:
                sums[i - j] = w[i] * (f[i + s0] - f[i]) + w[apart + i] * (f[i + s1] - f[i])
            else:
                sums[i - j] = (w[i] * (f[i + s0] - f[i]) + w[apart + i] * (f[i + s1] - f[i])
                               + w[2 * apart + i] * (f[i + s2] - f[i]))
        steepest_stream(out + j, sums)
        j += lanes
    return j


cdef void varying(const Stencil *stencil, const floating *f, floating *out, Py_ssize_t length, Py_ssize_t f_step,
                  Py_ssize_t out_step, bint past) noexcept nogil:
    """A run of elements, each with weights of its own."""
    cdef const floating *w = <const floating *>stencil.weights
    cdef int lanes = 64 // sizeof(floating)
    cdef Py_ssize_t apart = stencil.apart, j = 0, k, most
    cdef floating total
    if f_step != 1 or out_step != 1:
        for j in range(length):
            total = w[j] * (f[j * f_step + stencil.shifts[0]] - f[j * f_step])
            for k in range(1, stencil.count):
                total = total + w[k * apart + j] * (f[j * f_step + stencil.shifts[k]] - f[j * f_step])
            out[j * out_step] = total
        return
    if past and length >= SHORT and 2 <= stencil.count <= 3:
        j = steepest_to_line(out) // <Py_ssize_t>sizeof(floating)
        side_by_side_varying(stencil, w, f, out, j)
        if stencil.count == 2:
            j += lines_varying(2, lanes, stencil, w + j, f + j, out + j, length - j)
        else:
            j += lines_varying(3, lanes, stencil, w + j, f + j, out + j, length - j)
    while j < length:
        most = length - j if length - j < CHUNK else CHUNK
        side_by_side_varying(stencil, w + j, f + j, out + j, most)
        j += most


cdef inline void eight(Form *form, int count, int low, int lanes, const Stencil *stencil, const floating *f,
                       floating *out, Py_ssize_t length, Py_ssize_t f_row, Py_ssize_t out_row,
                       bint past) noexcept nogil:
    """Rows whose nodes are neighbours, from `low` on: each is loaded once. `count`, `low`, `lanes` are literals."""
    cdef floating sums[ROWS * WIDEST]
    cdef Py_ssize_t s[4]
    cdef const floating *w = <const floating *>stencil.weights
    cdef Py_ssize_t apart = stencil.apart, along = stencil.along, j = 0
    s[0] = low * f_row
    s[1] = (low + (2 if low == -1 and Form is Any else 1)) * f_row
    s[2] = (low + (3 if low < 0 and Form is Any else 2)) * f_row
    s[3] = (low + (4 if low < 0 and Form is Any else 3)) * f_row
    while j + lanes <= length:
        one(form, count, lanes, s, w, apart, f + j, sums)
        one(form, count, lanes, s, w + along, apart, f + f_row + j, sums + lanes)
        one(form, count, lanes, s, w + 2 * along, apart, f + 2 * f_row + j, sums + 2 * lanes)
        one(form, count, lanes, s, w + 3 * along, apart, f + 3 * f_row + j, sums + 3 * lanes)
        one(form, count, lanes, s, w + 4 * along, apart, f + 4 * f_row + j, sums + 4 * lanes)
        one(form, count, lanes, s, w + 5 * along, apart, f + 5 * f_row + j, sums + 5 * lanes)
        one(form, count, lanes, s, w + 6 * along, apart, f + 6 * f_row + j, sums + 6 * lanes)
        one(form, count, lanes, s, w + 7 * along, apart, f + 7 * f_row + j, sums + 7 * lanes)
        steepest_put(out + j, sums, past)
        steepest_put(out + out_row + j, sums + lanes, past)
        steepest_put(out + 2 * out_row + j, sums + 2 * lanes, past)
        steepest_put(out + 3 * out_row + j, sums + 3 * lanes, past)
        steepest_put(out + 4 * out_row + j, sums + 4 * lanes, past)
        steepest_put(out + 5 * out_row + j, sums + 5 * lanes, past)
        steepest_put(out + 6 * out_row + j, sums + 6 * lanes, past)
        steepest_put(out + 7 * out_row + j, sums + 7 * lanes, past)
        j += lanes
    several(form, stencil, f + j, out + j, length - j, ROWS, f_row, out_row, False)


cdef inline void several(Form *form, const Stencil *stencil, const floating *f, floating *out, Py_ssize_t length,
                         Py_ssize_t count, Py_ssize_t f_row, Py_ssize_t out_row, bint past) noexcept nogil:
    """One row after the other."""
    cdef Stencil own = stencil[0]
    cdef Py_ssize_t i
    for i in range(count):
        run(form, &own, f + i * f_row, out + i * out_row, length, 1, 1, past)
        own.weights = <const floating *>own.weights + own.along


cdef inline void of_neighbours(Form *form, int count, int low, int lanes, const Stencil *stencil, const floating *f,
                               floating *out, Py_ssize_t length, Py_ssize_t f_row, Py_ssize_t out_row,
                               bint past) noexcept nogil:
    """`eight` from the next line on, where all rows begin at the same place in a line; past the caches only there."""
    cdef Py_ssize_t head = 0
    past = past and (out_row * <Py_ssize_t>sizeof(floating)) % 64 == 0
    if past:
        head = steepest_to_line(out) // <Py_ssize_t>sizeof(floating)
        head = head if head < length else length
        several(form, stencil, f, out, head, ROWS, f_row, out_row, False)
    eight(form, count, low, lanes, stencil, f + head, out + head, length - head, f_row, out_row, past)


cdef inline int lowest(Form *form, const Stencil *stencil, Py_ssize_t f_row) noexcept nogil:
    """The first of nodes that are neighbours, as far as `four` has loops for them; 0 where it has none."""
    cdef Py_ssize_t low = 1, k, at
    if stencil.count > 4:
        return 0
    if Form is Any:
        if stencil.count == 1:
            return 0
        low = -(stencil.count // 2)
    at = low
    for k in range(stencil.count):
        if Form is Any and at == 0:
            at += 1
        if stencil.shifts[k] != at * f_row:
            return 0
        at += 1
    return <int>low


cdef void rows(Form *form, const Stencil *stencil, const floating *f, floating *out, Py_ssize_t length,
               Py_ssize_t count, Py_ssize_t f_row, Py_ssize_t out_row, bint past) noexcept nogil:
    """Runs of several rows: ROWS at a time, those that are left one by one."""
    cdef int lanes = 64 // sizeof(floating), low = lowest(form, stencil, f_row)
    cdef Stencil own = stencil[0]
    cdef Py_ssize_t back = 0 if count < ROWS or low == 0 else ROWS - count % ROWS
    while low != 0 and count >= ROWS:
        if Form is Any:
            if own.count == 2:
                of_neighbours(form, 2, -1, lanes, &own, f, out, length, f_row, out_row, past)
            elif own.count == 3:
                of_neighbours(form, 3, -1, lanes, &own, f, out, length, f_row, out_row, past)
            else:
                of_neighbours(form, 4, -2, lanes, &own, f, out, length, f_row, out_row, past)
        elif own.count == 1:
            of_neighbours(form, 1, 1, lanes, &own, f, out, length, f_row, out_row, past)
        elif own.count == 2:
            of_neighbours(form, 2, 1, lanes, &own, f, out, length, f_row, out_row, past)
        elif own.count == 3:
            of_neighbours(form, 3, 1, lanes, &own, f, out, length, f_row, out_row, past)
        else:
            of_neighbours(form, 4, 1, lanes, &own, f, out, length, f_row, out_row, past)
        own.weights = <const floating *>own.weights + ROWS * own.along
        f, out, count = f + ROWS * f_row, out + ROWS * out_row, count - ROWS
        if 0 < count < ROWS and back <= ROWS // 2:      # some rows once more are sooner made than others one by one
            own.weights = <const floating *>own.weights - back * own.along
            f, out, count = f - back * f_row, out - back * out_row, ROWS
    several(form, &own, f, out, length, count, f_row, out_row, past)


cdef void edge(const floating *weights, double total, Py_ssize_t others, const floating *f, const Py_ssize_t *shifts,
               floating *out, Py_ssize_t length, Py_ssize_t f_step, Py_ssize_t out_step) noexcept nogil:
    """Differences to one node, f, and what the row makes of a constant."""
    cdef floating rest = <floating>total, s, w0, w1
    cdef Py_ssize_t j, k, s0, s1
    if others == 2 and rest == 0:       # the most frequent one
        w0, w1, s0, s1 = weights[0], weights[1], shifts[0], shifts[1]
        for j in range(length):
            out[j * out_step] = (w0 * (f[j * f_step + s0] - f[j * f_step])
                                 + w1 * (f[j * f_step + s1] - f[j * f_step]))
        return
    for j in range(length):
        if others == 0:
            s = rest * f[j * f_step]
        else:
            s = weights[0] * (f[j * f_step + shifts[0]] - f[j * f_step])
            for k in range(1, others):
                s = s + weights[k] * (f[j * f_step + shifts[k]] - f[j * f_step])
            if rest != 0:
                s = s + rest * f[j * f_step]
        out[j * out_step] = s


# Pairs of numbers, LANES of them at a time: the high parts, then the low ones. The formulas stand in the reference.

cdef inline void two_sum(double a, double b, double *s, double *e) noexcept nogil:
    cdef double t
    s[0] = a + b
    t = s[0] - a
    e[0] = (a - (s[0] - t)) + (b - t)


cdef inline void quick(double a, double b, double *out) noexcept nogil:
    cdef double s = a + b
    out[LANES] = b - (s - a)
    out[0] = s


cdef inline double product(double a, double b, double *e) noexcept nogil:
    cdef double p = a * b, t = a * 134217729.0, ah, al, bh, bl
    ah = t - (t - a)
    al = a - ah
    t = b * 134217729.0
    bh = t - (t - b)
    bl = b - bh
    e[0] = ((ah * bh - p) + ah * bl + al * bh) + al * bl
    return p


cdef inline void minus(const double *a, const double *b, double *out) noexcept nogil:
    cdef double s, e
    two_sum(a[0], -b[0], &s, &e)
    quick(s, e + (a[LANES] - b[LANES]), out)


cdef inline void times(const double *a, const double *b, double *out) noexcept nogil:
    cdef double e, p = product(a[0], b[0], &e)
    quick(p, e + (a[0] * b[LANES] + a[LANES] * b[0]), out)


cdef inline void scaled(const double *a, double k, double *out) noexcept nogil:
    cdef double e, p = product(a[0], k, &e)
    quick(p, e + a[LANES] * k, out)


cdef inline void over(const double *a, const double *b, double *out) noexcept nogil:
    cdef double q = a[0] / b[0], e, p, r
    p = product(q, b[0], &e)
    r = (((a[0] - p) - e) + a[LANES]) - q * b[LANES]
    quick(q, r / b[0], out)


cdef void fornberg(const double *nodes, const double *at, Py_ssize_t width, Py_ssize_t n, double *table,
                   double *out) noexcept nogil:
    """LANES rows; `table` has room for (width * (n + 1) + width) pairs: weights, and distances to `at`."""
    cdef double before[2 * LANES]
    cdef double apart[2 * LANES]
    cdef double all_apart[2 * LANES]
    cdef double ratio[2 * LANES]
    cdef double lower[2 * LANES]
    cdef double other[2 * LANES]
    cdef double *away = table + 2 * LANES * width * (n + 1)
    cdef double *here
    cdef Py_ssize_t i, j, k, lane, most, row = 2 * LANES * width
    for i in range(2 * LANES * width * (n + 1)):
        table[i] = 0
    for i in range(width):
        for lane in range(LANES):
            j = 2 * LANES * i + lane
            two_sum(nodes[i * LANES + lane], -at[lane], &away[j], &away[j + LANES])
    for lane in range(LANES):
        table[lane], before[lane], before[LANES + lane] = 1, 1, 0
    for i in range(1, width):
        most = i if i < n else n
        for lane in range(LANES):
            all_apart[lane], all_apart[LANES + lane] = 1, 0
        for j in range(i):
            for lane in range(LANES):
                two_sum(nodes[i * LANES + lane], -nodes[j * LANES + lane], &apart[lane], &apart[LANES + lane])
                times(all_apart + lane, apart + lane, all_apart + lane)
            if j == i - 1:
                for lane in range(LANES):
                    over(before + lane, all_apart + lane, ratio + lane)
                for k in range(most, -1, -1):
                    here = table + k * row + 2 * LANES * j
                    for lane in range(LANES):
                        lower[lane] = lower[LANES + lane] = 0
                        if k > 0:
                            scaled(here - row + lane, <double>k, lower + lane)
                        times(away + 2 * LANES * j + lane, here + lane, other + lane)
                        minus(lower + lane, other + lane, other + lane)
                        times(ratio + lane, other + lane, here + 2 * LANES + lane)
            for k in range(most, -1, -1):
                here = table + k * row + 2 * LANES * j
                for lane in range(LANES):
                    lower[lane] = lower[LANES + lane] = 0
                    if k > 0:
                        scaled(here - row + lane, <double>k, lower + lane)
                    times(away + 2 * LANES * i + lane, here + lane, other + lane)
                    minus(other + lane, lower + lane, other + lane)
                    over(other + lane, apart + lane, here + lane)
        for lane in range(2 * LANES):
            before[lane] = all_apart[lane]
    for i in range(width):
        for lane in range(LANES):
            out[i * LANES + lane] = table[n * row + 2 * LANES * i + lane]


cdef Loops loops

loops.run[ODD][0], loops.run[ODD][1] = <run_t>run[Odd, float], <run_t>run[Odd, double]
loops.run[EVEN][0], loops.run[EVEN][1] = <run_t>run[Even, float], <run_t>run[Even, double]
loops.run[ANY][0], loops.run[ANY][1] = <run_t>run[Any, float], <run_t>run[Any, double]
loops.varying[0], loops.varying[1] = <varying_t>varying[float], <varying_t>varying[double]
loops.rows[ODD][0], loops.rows[ODD][1] = <rows_t>rows[Odd, float], <rows_t>rows[Odd, double]
loops.rows[EVEN][0], loops.rows[EVEN][1] = <rows_t>rows[Even, float], <rows_t>rows[Even, double]
loops.rows[ANY][0], loops.rows[ANY][1] = <rows_t>rows[Any, float], <rows_t>rows[Any, double]
loops.edge[0], loops.edge[1] = <edge_t>edge[float], <edge_t>edge[double]
loops.fornberg = <fornberg_t>fornberg
loops.fence = steepest_fence

table = PyCapsule_New(&loops, "steepest weighted loops", NULL)
