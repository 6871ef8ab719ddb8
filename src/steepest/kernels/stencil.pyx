"""Derivatives of sampled fields along one axis, in one sweep over memory. The twin of reference/stencil.py.

Here because NumPy makes a temporary array of every intermediate result. The formulas are those of `numpy.gradient`, bit
for bit; their loops stand in stencil.pxi, built for several instruction sets; this file chooses one at import, brings
fields of any layout into few forms, and hands runs of elements to the loops. Tested in tests/test_stencil.py.

What limits it: memory, as long as nothing is read or written twice. How a field is walked:

- Dimensions are merged until there are columns of n planes of m elements each: the derivative is taken along n. When
  neighbouring planes touch, the whole inside of a column is one run, whichever axis it was: ``out[k]`` comes from
  ``f[k - m]`` and ``f[k + m]``.
- Three planes of f, and what is written meanwhile, should stay in cache until they are not needed any more. Planes that
  are larger are cut into strips, each marched along n by itself.
- What is not plain float or double, native and in a row (integers, another byte order, strides) goes through a small
  buffer, each element once.
- Results that are much larger than the caches are written past them.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport fabs, frexp, isfinite
from libc.string cimport memcpy

from steepest.kernels.stencil cimport (
    COMBINE, COMBINE_COMPLEX, DIVIDE, DIVIDE_COMPLEX, DOUBLE_IN_DOUBLE, FLOAT32, FLOAT64, FLOAT_IN_DOUBLE,
    FLOAT_IN_FLOAT, MULTIPLY, WEIGH, WEIGH_COMPLEX, Loops,
)

import importlib

import numpy as np

from steepest.kernels.isa import instruction_set
from steepest.reference.stencil import LARGEST_AT_ONCE as _AT_ONCE
from steepest.reference.stencil import report

cnp.import_array()

include "_clock.pxi"

cdef extern from *:
    """
    #include <fenv.h>
    #include <stddef.h>
    /* What arithmetic has met since it was last forgotten: 1 invalid, 2 division by zero, 4 overflow. */
    #if defined(__SSE2__) || defined(_M_X64)
    #include <xmmintrin.h>
    static inline int steepest_met(void)
    {
        unsigned int bits = _mm_getcsr();
        return (int)((bits & 1) | (bits >> 1 & 6));
    }
    static inline void steepest_forget(void)
    {
        unsigned int bits = _mm_getcsr();
        if (bits & 13)
            _mm_setcsr(bits & ~13u);
    }
    static inline void steepest_remember(int met)
    {
        _mm_setcsr(_mm_getcsr() | (unsigned int)((met & 1) | (met & 6) << 1));
    }
    #else
    static inline int steepest_met(void)
    {
        int bits = fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
        return (bits & FE_INVALID ? 1 : 0) | (bits & FE_DIVBYZERO ? 2 : 0) | (bits & FE_OVERFLOW ? 4 : 0);
    }
    static inline void steepest_forget(void) { feclearexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW); }
    static inline void steepest_remember(int met)
    {
        feraiseexcept((met & 1 ? FE_INVALID : 0) | (met & 2 ? FE_DIVBYZERO : 0) | (met & 4 ? FE_OVERFLOW : 0));
    }
    #endif
    """
    int steepest_met() noexcept nogil
    void steepest_forget() noexcept nogil
    void steepest_remember(int met) noexcept nogil

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept
    bint PyArray_ISCARRAY_RO(cnp.ndarray) noexcept

cdef enum:
    DIMENSIONS = 64
    BLOCK = 65536           # elements that are done between two looks at the clock, and by one thread at a time
    LAYER = 1048576         # bytes of two planes of f and two of the result that stay in the second cache
    STRIP = 8192            # elements of a plane that are done at a time where that is exceeded
    PIECE = 2048            # elements that go through a buffer at a time, or whose weights are made at a time
    SHORT = 64              # rows up to so many elements are done together; in cache those up to
    SHORT_IN_CACHE = 2048
    TOGETHER = 8192         # elements of such rows that are done before their ends
    QUIET = 16384           # elements from which on a sweep lets go of the GIL
    SHARED = 2              # blocks from which on several threads do it
    GROUP = 4               # rows with weights that are done side by side
    FEW = 64                # elements for each weight from which on weights are kept for all

cdef Py_ssize_t LARGE = 24 * 1024 * 1024       # bytes of a result from which on it is written past the caches
cdef Py_ssize_t AT_ONCE = _AT_ONCE

_loops = importlib.import_module(f"steepest.kernels.stencil_{instruction_set()}")
cdef const Loops *loops = <const Loops *>PyCapsule_GetPointer(_loops.table, "steepest stencil loops")

include "_rules.pxi"
include "_axes.pxi"


@cython.internal
cdef class Sweep:
    """One derivative along one axis: `steepest.reference.stencil.sweep`, and the blocks of it for several threads."""

    cdef object f, out, x, share                # kept alive
    cdef const char *f_data
    cdef char *out_data
    cdef const char *x_data
    cdef Axis outer[DIMENSIONS]
    cdef int outer_count
    cdef Py_ssize_t columns, strips, strip      # outer places, strips of a plane and their width
    cdef Py_ssize_t n, from_f, to_out           # along the axis
    cdef Py_ssize_t m, f_step, out_step         # within a plane
    cdef int source, parts, type                # what f is; numbers an element; 0 float, 1 double
    cdef Py_ssize_t size                        # bytes of an element of the result
    cdef bint f_swapped, out_swapped, direct, joined, short_rows, grouped, streamed, uneven
    cdef Rule inside, first, last
    cdef int x_source, x_type
    cdef bint x_swapped
    cdef Py_ssize_t x_step
    cdef char *kept                             # weights of all points, or NULL
    cdef Py_ssize_t weight_size
    cdef Py_ssize_t planes, per_block, block_count
    cdef int met, threads
    cdef const int *halts

    def __dealloc__(self):
        PyMem_Free(self.kept)

    cdef int take_field(self, cnp.ndarray f, cnp.ndarray out, int axis) except -1:
        """Look at the arrays."""
        self.f, self.out = f, out
        self.f_data, self.out_data = <const char *>PyArray_DATA(f), <char *>PyArray_DATA(out)
        self.source = source_of(f, "f")
        self.parts = 2 if cnp.PyArray_ISCOMPLEX(f) else 1
        self.type = 0 if self.source == FLOAT32 else 1
        self.size = self.parts * (8 if self.type else 4)
        self.f_swapped, self.out_swapped = not cnp.PyArray_ISNOTSWAPPED(f), not cnp.PyArray_ISNOTSWAPPED(out)
        if (source_of(out, "out") != (FLOAT64 if self.type else FLOAT32)
                or (2 if cnp.PyArray_ISCOMPLEX(out) else 1) != self.parts):
            raise ValueError(f"out must be of the type of the derivative of f, not {out.dtype}")
        if not cnp.PyArray_ISWRITEABLE(out):
            raise ValueError("out must be an array that can be written")
        if f.ndim != out.ndim or not 0 <= axis < f.ndim:
            raise ValueError(f"f and out must have the same shape, and the axis {axis}")
        self.lay_out(f, out, axis)
        return 0

    cdef int lay_out(self, cnp.ndarray f, cnp.ndarray out, int axis) except -1:
        """Bring all dimensions into columns of planes."""
        cdef Axis axes[DIMENSIONS]
        cdef Axis turned
        cdef int i, j, count = 0, inner
        for i in range(f.ndim):
            turned.count, turned.from_f, turned.to_out = f.shape[i], f.strides[i], out.strides[i]
            if out.shape[i] != turned.count:
                raise ValueError("f and out must have the same shape")
            if i == axis:
                self.n, self.from_f, self.to_out = turned.count, turned.from_f, turned.to_out
                continue
            if turned.count == 1:
                continue
            if turned.from_f < 0 and turned.count > 0:
                self.f_data += (turned.count - 1) * turned.from_f
                self.out_data += (turned.count - 1) * turned.to_out
                turned.from_f, turned.to_out = -turned.from_f, -turned.to_out
            j = count
            while j > 0 and axes[j - 1].from_f < turned.from_f:
                axes[j] = axes[j - 1]
                j -= 1
            axes[j] = turned
            count += 1
        count = merged(axes, count)
        self.m, self.f_step, self.out_step = 1, self.size, self.size
        inner = count - 1
        if count and axes[inner].from_f <= abs(self.from_f):
            self.m, self.f_step, self.out_step = axes[inner].count, axes[inner].from_f, axes[inner].to_out
            count -= 1
        self.outer_count, self.columns = count, 1
        for i in range(count):
            self.outer[i] = axes[i]
            self.columns = self.columns * axes[i].count     # no more than the elements of f
        return 0

    cdef int take_rules(self, inside, first, last) except -1:
        """Look at what is to be done."""
        cdef cnp.ndarray x
        if isinstance(inside[1], np.ndarray):
            x = inside[1]
            if x.ndim != 1 or x.shape[0] != self.n or cnp.PyArray_ISCOMPLEX(x):
                raise ValueError(f"coordinates must be {self.n} real numbers")
            self.x, self.x_data, self.x_step = x, <const char *>PyArray_DATA(x), x.strides[0]
            self.x_source, self.x_swapped = source_of(x, "x"), not cnp.PyArray_ISNOTSWAPPED(x)
            self.x_type = 0 if self.x_source == FLOAT32 else 1
            self.uneven, self.inside.pair = True, self.pair_of(inside[0])
            self.inside.how = WEIGH if self.parts == 1 else WEIGH_COMPLEX
            self.weight_size = 4 if self.inside.pair == FLOAT_IN_FLOAT else 8
            if self.x_type and self.inside.pair == FLOAT_IN_FLOAT:
                raise ValueError("coordinates of float64 make a derivative that is worked out in float64")
        else:
            self.make_rule(&self.inside, inside)
        self.make_rule(&self.first, first)
        self.make_rule(&self.last, last)
        if self.n < max(self.first.reach, self.last.reach):
            raise ValueError(f"f has too few elements along the axis: {self.n}")
        return 0

    cdef int pair_of(self, str working) except -1:
        """The number of the values' type and the working type together."""
        cdef bint wide = working in ("d", "D")
        if working not in ("fd" if self.parts == 1 else "FD") or self.type and not wide:
            raise ValueError(f"this derivative cannot be worked out in {working!r}")
        return DOUBLE_IN_DOUBLE if self.type else (FLOAT_IN_DOUBLE if wide else FLOAT_IN_FLOAT)

    cdef int make_rule(self, Rule *rule, given) except -1:
        """A divisor or three weights."""
        cdef tuple numbers = given[1] if isinstance(given[1], tuple) else (given[1],)
        rule.pair = self.pair_of(given[0])
        if len(numbers) == 3:
            combine_with(rule, numbers[0], numbers[1], numbers[2], self.parts == 2)
        elif len(numbers) == 1:
            divide_by(rule, numbers[0], self.parts == 2)
        else:
            raise ValueError(f"a rule is a divisor or three weights, not {len(numbers)} numbers")
        return 0

    cdef int get_ready(self, share, int threads) except -1:
        """Decide how the work is cut."""
        cdef bint rows = self.m == 1
        cdef Py_ssize_t step = self.from_f if rows else self.f_step, out_step = self.to_out if rows else self.out_step
        cdef Py_ssize_t total = self.columns * self.n * self.m      # the elements of f
        cdef Py_ssize_t alignment = 8 if self.type else 4
        if total == 0:
            return 0
        self.direct = (self.source >= FLOAT32 and not self.f_swapped and not self.out_swapped
                       and step == self.size and out_step == self.size
                       and cnp.PyArray_ISALIGNED(<cnp.ndarray>self.f) and cnp.PyArray_ISALIGNED(<cnp.ndarray>self.out)
                       and <size_t>self.f_data % alignment == 0)
        self.strip = self.m
        if not self.direct:
            self.strip = min(self.m, PIECE)
        elif 4 * self.m * self.size > LAYER:
            self.strip = STRIP
        self.strips = (self.m + self.strip - 1) // self.strip
        self.joined = (self.direct and self.strips == 1 and self.from_f == self.m * self.size
                       and self.to_out == self.from_f)
        self.streamed = self.direct and total * self.size >= LARGE
        self.short_rows = (self.joined and rows and self.n <= (SHORT if self.streamed else SHORT_IN_CACHE)
                           and not self.uneven and self.parts == 1
                           and self.outer_count == 1 and self.outer[0].from_f == self.n * self.size
                           and self.outer[0].to_out == self.n * self.size)
        self.planes = self.columns * self.strips * self.n
        self.per_block = max(1, BLOCK // self.strip)
        self.grouped = (self.uneven and self.direct and rows and self.parts == 1 and 2 < self.n <= BLOCK // GROUP
                        and self.columns >= FEW)
        if self.short_rows or self.grouped:
            self.per_block = max(1, self.per_block // self.n) * self.n
        self.block_count = (self.planes + self.per_block - 1) // self.per_block
        self.share, self.threads = share, threads
        if self.uneven and (self.n <= PIECE or self.columns * self.m >= FEW):
            self.keep_weights()
        return 0

    cdef int keep_weights(self) except -1:
        """Make the weights of all points once."""
        cdef Py_ssize_t i, count, inside = self.n - 2
        cdef char *scratch
        if inside <= 0:
            return 0
        self.kept = <char *>PyMem_Malloc(3 * inside * self.weight_size)     # at most 3 / FEW of f, or little
        scratch = <char *>PyMem_Malloc((PIECE + 2) * 8)
        if self.kept == NULL or scratch == NULL:
            PyMem_Free(scratch)
            raise MemoryError()
        steepest_forget()
        for i in range(0, inside, PIECE):
            count = min(PIECE, inside - i)
            self.make_weights(i + 1, count, scratch, self.kept + i * self.weight_size, inside)
        PyMem_Free(scratch)
        self.met |= steepest_met()
        return 0

    cdef void make_weights(self, Py_ssize_t i, Py_ssize_t count, char *scratch, char *weights,
                           Py_ssize_t apart) noexcept nogil:
        """Weights of the points from i on: a, b and c, each `apart` from the one before."""
        loops.fetch[self.x_source](NULL, scratch, self.x_data + (i - 1) * self.x_step, self.x_step, 1, self.x_swapped,
                                   count + 2)
        loops.weights[self.x_type + (1 if self.x_type or self.weight_size == 8 else 0)](
            scratch, weights, weights + apart * self.weight_size, weights + 2 * apart * self.weight_size, count)

    cdef int go(self) except -1:
        """Do all blocks, by several threads where they are many; tell what arithmetic has met."""
        if self.planes == 0:
            return 0
        cdef int alone = 0
        try:
            if self.share is None or self.threads < 2 or self.block_count < SHARED:
                self.halts, self.threads = &alone, 1
                self.work(0, 0, self.block_count)
            else:
                halts = np.zeros(self.threads, np.intc)
                self.halts = <const int *>PyArray_DATA(halts)
                self.share(self.work, 0, self.block_count, halts)
        finally:
            self.halts = NULL
        return self.met

    def work(self, Py_ssize_t i, Py_ssize_t first, Py_ssize_t last):
        """Blocks first..last, by thread i."""
        cdef char *scratch = NULL
        if not 0 <= first <= last <= self.block_count or self.halts == NULL or not 0 <= i < max(1, self.threads):
            raise ValueError("these blocks are not part of a sweep under way")
        if not self.direct or (self.uneven and self.kept == NULL):
            scratch = <char *>PyMem_Malloc(4 * (PIECE + 2) * 16)
            if scratch == NULL:
                raise MemoryError()
        steepest_forget()
        try:
            if self.columns * self.n * self.m < QUIET:
                self.run(first, last, scratch, NULL)
            else:
                with nogil:
                    self.run(first, last, scratch, self.halts + i)
        finally:
            PyMem_Free(scratch)
            self.met |= steepest_met()
        return 0

    cdef int run(self, Py_ssize_t first, Py_ssize_t last, char *scratch, const int *halt) except -1 nogil:
        """Blocks one after another, with a look for signals every few milliseconds."""
        cdef Py_ssize_t k, at, end, i, count
        cdef long long checked = steepest_milliseconds(), now
        for k in range(first, last):
            at, end = k * self.per_block, min(self.planes, (k + 1) * self.per_block)
            if self.short_rows:
                self.do_rows(at // self.n, end // self.n)
            elif self.grouped:
                while at < end:
                    self.do_group(at // self.n, min(end - at, GROUP * self.n) // self.n)
                    at += GROUP * self.n
            else:
                while at < end:
                    i = at % self.n
                    count = min(self.n - i, end - at)
                    self.do_column(at // self.n, i, i + count, scratch)
                    at += count
            if halt != NULL:
                if halt[0]:
                    return 0
                now = steepest_milliseconds()
                if now - checked >= BETWEEN_CHECKS:
                    checked = now
                    with gil:
                        PyErr_CheckSignals()
        if self.streamed:
            loops.fence()
        return 0

    cdef void do_column(self, Py_ssize_t number, Py_ssize_t first, Py_ssize_t last, char *scratch) noexcept nogil:
        """Planes first..last of a column, or of a strip of it."""
        cdef Py_ssize_t width = min(self.strip, self.m - number % self.strips * self.strip), at
        cdef const char *f
        cdef char *out
        self.find(number, &f, &out)
        if first == 0:
            self.do_end(&self.first, f, out, 0, width, scratch)
        if last == self.n:
            self.do_end(&self.last, f, out, self.n - 1, width, scratch)
        first, last = max(first, 1), min(last, self.n - 1)
        if first >= last:
            return
        if not self.direct:
            if self.m == 1:
                self.do_row_in_pieces(f, out, first, last, scratch)
            else:
                self.do_planes_in_pieces(f, out, first, last, width, scratch)
        elif self.uneven:
            self.do_weighted(f, out, first, last, width, scratch)
        elif self.joined:
            apply(&self.inside, out + first * self.to_out, f + (first - 1) * self.from_f, NULL,
                  f + (first + 1) * self.from_f, self.streamed, (last - first) * width)
        else:
            for at in range(first, last):
                apply(&self.inside, out + at * self.to_out, f + (at - 1) * self.from_f, NULL,
                      f + (at + 1) * self.from_f, self.streamed, width)

    cdef void find(self, Py_ssize_t number, const char **f, char **out) noexcept nogil:
        """Where a column, or a strip of it, begins."""
        cdef Py_ssize_t at = number // self.strips, strip = number % self.strips, place
        cdef int axis
        f[0] = self.f_data + strip * self.strip * self.f_step
        out[0] = self.out_data + strip * self.strip * self.out_step
        for axis in range(self.outer_count - 1, -1, -1):
            place = at % self.outer[axis].count
            at = at // self.outer[axis].count
            f[0] += place * self.outer[axis].from_f
            out[0] += place * self.outer[axis].to_out

    cdef void do_end(self, Rule *rule, const char *f, char *out, Py_ssize_t i, Py_ssize_t width,
                     char *scratch) noexcept nogil:
        """The first plane or the last, from the two or three planes there."""
        cdef Py_ssize_t reach = rule.reach, row = (PIECE + 2) * 16, k
        cdef const char *planes[3]
        for k in range(reach):
            planes[k] = f + (k if i == 0 else self.n - reach + k) * self.from_f
            if not self.direct:
                self.fetch_plane(scratch + k * row, planes[k], width)
                planes[k] = scratch + k * row
        if self.direct:
            apply(rule, out + i * self.to_out, planes[0], planes[1], planes[reach - 1], self.streamed, width)
        else:
            apply(rule, scratch + 3 * row, planes[0], planes[1], planes[reach - 1], False, width)
            self.store_plane(scratch + 3 * row, out + i * self.to_out, width)

    cdef void do_weighted(self, const char *f, char *out, Py_ssize_t first, Py_ssize_t last, Py_ssize_t width,
                          char *scratch) noexcept nogil:
        """Planes, each with weights of its own."""
        cdef Py_ssize_t i = first, count, apart = self.n - 2
        cdef const char *a
        while i < last:
            count = last - i
            if self.kept != NULL:
                a = self.kept + (i - 1) * self.weight_size
            else:
                count, apart, a = min(count, PIECE), PIECE, scratch + (PIECE + 2) * 8
                self.make_weights(i, count, scratch, <char *>a, apart)
            if self.m == 1:
                self.weigh(out + i * self.to_out, f + (i - 1) * self.from_f, a, apart, self.streamed, count)
            else:
                self.weigh_planes(a, apart, f + (i - 1) * self.from_f, out + i * self.to_out, width, count)
            i += count

    cdef void do_group(self, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
        """A few rows side by side, for which weights are read once."""
        cdef const void *f[GROUP]
        cdef void *out[GROUP]
        cdef const void *weights[3]
        cdef Py_ssize_t row, k
        cdef const char *place
        cdef char *to
        cdef bint past = self.streamed
        for row in range(count):
            self.find(first + row, &place, &to)
            self.do_end(&self.first, place, to, 0, 1, NULL)
            self.do_end(&self.last, place, to, self.n - 1, 1, NULL)
            f[row], out[row] = place, to + self.size
            past = past and (<size_t>out[row] - <size_t>out[0]) % 64 == 0
        for k in range(3):
            weights[k] = self.kept + k * (self.n - 2) * self.weight_size
        loops.weigh_rows[self.inside.pair](out, f, weights, past, count, self.n - 2)

    cdef void weigh_planes(self, const char *a, Py_ssize_t apart, const char *f, char *out, Py_ssize_t width,
                           Py_ssize_t count) noexcept nogil:
        """Planes, all elements of each with the same weights."""
        cdef Rule rule = self.inside
        cdef Py_ssize_t i
        for i in range(count):
            self.read_weights(&rule, a, apart, i)
            apply(&rule, out + i * self.to_out, f + i * self.from_f, f + (i + 1) * self.from_f,
                  f + (i + 2) * self.from_f, self.streamed, width)

    cdef void read_weights(self, Rule *rule, const char *a, Py_ssize_t apart, Py_ssize_t i) noexcept nogil:
        """The rule for the plane i from where these weights begin."""
        cdef double numbers[3]
        cdef Py_ssize_t k
        for k in range(3):
            if self.weight_size == 4:
                numbers[k] = (<const float *>a)[k * apart + i]
            else:
                numbers[k] = (<const double *>a)[k * apart + i]
        combine_with(rule, numbers[0], numbers[1], numbers[2], self.parts == 2)

    cdef inline void weigh(self, char *out, const char *f, const char *a, Py_ssize_t apart, bint past,
                           Py_ssize_t count) noexcept nogil:
        """A run of elements in a row, each with weights of its own."""
        cdef const void *weights[3]
        cdef Py_ssize_t k
        for k in range(3):
            weights[k] = a + k * apart * self.weight_size
        loops.run[self.inside.how][self.inside.pair](NULL, NULL, out, f, f + self.size, f + 2 * self.size, NULL,
                                                     weights, past, count)

    cdef void fetch_plane(self, char *buffer, const char *f, Py_ssize_t count) noexcept nogil:
        loops.fetch[self.source](NULL, buffer, f, self.f_step, self.parts, self.f_swapped, count)

    cdef void store_plane(self, const char *buffer, char *out, Py_ssize_t count) noexcept nogil:
        loops.store[self.type](buffer, out, self.out_step, self.parts, self.out_swapped, count)

    cdef void do_row_in_pieces(self, const char *f, char *out, Py_ssize_t first, Py_ssize_t last,
                               char *scratch) noexcept nogil:
        """A row that must be fetched, and its result stored, element by element."""
        cdef Py_ssize_t i = first, count, row = (PIECE + 2) * 16
        cdef char *results = scratch + row
        cdef char *room = scratch + 2 * row
        while i < last:
            count = min(last - i, PIECE // 3)       # so that weights have room
            loops.fetch[self.source](NULL, scratch, f + (i - 1) * self.from_f, self.from_f, self.parts, self.f_swapped,
                                     count + 2)
            if self.uneven:
                self.weigh_buffer(scratch, results, i, count, room)
            else:
                apply(&self.inside, results, scratch, NULL, scratch + 2 * self.size, False, count)
            loops.store[self.type](results, out + i * self.to_out, self.to_out, self.parts, self.out_swapped, count)
            i += count

    cdef void weigh_buffer(self, const char *buffer, char *results, Py_ssize_t i, Py_ssize_t count,
                           char *room) noexcept nogil:
        """Elements from i - 1 on that have been fetched, with weights that are kept or made now."""
        cdef Py_ssize_t apart = self.n - 2
        cdef const char *a
        if self.kept != NULL:
            a = self.kept + (i - 1) * self.weight_size
        else:
            a, apart = room + (PIECE + 2) * 8, count
            self.make_weights(i, count, room, <char *>a, apart)
        self.weigh(results, buffer, a, apart, False, count)

    cdef void do_planes_in_pieces(self, const char *f, char *out, Py_ssize_t first, Py_ssize_t last, Py_ssize_t width,
                                  char *scratch) noexcept nogil:
        """Planes that must be fetched: three at a time are kept, and each is fetched once."""
        cdef Py_ssize_t row = (PIECE + 2) * 16, i
        cdef double room[3]
        cdef char *weights = <char *>room
        cdef Rule rule = self.inside
        for i in range(first - 1, first + 1):
            self.fetch_plane(scratch + i % 3 * row, f + i * self.from_f, width)
        for i in range(first, last):
            self.fetch_plane(scratch + (i + 1) % 3 * row, f + (i + 1) * self.from_f, width)
            if self.uneven:
                if self.kept != NULL:
                    self.read_weights(&rule, self.kept, self.n - 2, i - 1)
                else:
                    self.make_weights(i, 1, scratch + 3 * row, weights, 1)
                    self.read_weights(&rule, weights, 1, 0)
            apply(&rule, scratch + 3 * row, scratch + (i - 1) % 3 * row, scratch + i % 3 * row,
                  scratch + (i + 1) % 3 * row, False, width)
            self.store_plane(scratch + 3 * row, out + i * self.to_out, width)

    cdef void do_rows(self, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
        """Short rows that touch: one run over several, in which the ends of the rows come out wrong and are done again.

        Where that meets what arithmetic would complain about, rows are done one by one: it may have been at the ends.
        """
        cdef Py_ssize_t length = self.n * self.size, most = max(1, TOGETHER // self.n), at = first, count
        cdef const char *f
        cdef char *out
        cdef int met
        while at < last:
            count = min(most, last - at)
            f, out = self.f_data + at * length, self.out_data + at * length
            met = steepest_met()
            if self.n > 2:
                apply(&self.inside, out + self.size, f, NULL, f + 2 * self.size, False, count * self.n - 2)
            if steepest_met() != met:
                self.do_rows_singly(f, out, count, met)
            else:
                apply_apart(&self.first, out, f, self.size, self.n, count)
                apply_apart(&self.last, out + (self.n - 1) * self.size,
                            f + (self.n - self.last.reach) * self.size, self.size, self.n, count)
            at += count

    cdef void do_rows_singly(self, const char *f, char *out, Py_ssize_t count, int met) noexcept nogil:
        cdef Py_ssize_t i, length = self.n * self.size
        steepest_forget()
        for i in range(count):
            apply(&self.inside, out + i * length + self.size, f + i * length, NULL, f + i * length + 2 * self.size,
                  False, self.n - 2)
        apply_apart(&self.first, out, f, self.size, self.n, count)
        apply_apart(&self.last, out + (self.n - 1) * self.size,
                    f + (self.n - self.last.reach) * self.size, self.size, self.n, count)
        steepest_remember(met)


def sweep(cnp.ndarray f not None, cnp.ndarray out not None, int axis, inside not None, first not None, last not None,
          share=None, int threads=1):
    """One derivative along one axis; see `steepest.reference.stencil.sweep`."""
    cdef Sweep made = Sweep.__new__(Sweep)
    cdef bint by_zero = False
    made.take_field(f, out, axis)
    made.take_rules(inside, first, last)
    made.get_ready(share, threads)
    if made.go():
        by_zero = made.inside.how == DIVIDE and made.inside.numbers[0] == 0
        report(made.met, "divide" if by_zero else "subtract" if not made.uneven else "multiply")


def even_spacing(cnp.ndarray x not None):
    """The step between coordinates that are all the same distance apart; see `steepest.reference.stencil`."""
    cdef int source = source_of(x, "x"), type = 0 if source == FLOAT32 else 1
    cdef bint swapped = not cnp.PyArray_ISNOTSWAPPED(x), uneven = False
    cdef Py_ssize_t steps = cnp.PyArray_SIZE(x) - 1, i, count
    cdef double buffer[PIECE + 1]
    cdef float pair[2]
    cdef double step = 0
    cdef const char *first = <const char *>PyArray_DATA(x)
    if x.ndim != 1 or steps < 1:
        raise IndexError("coordinates must be two numbers at least")
    steepest_forget()
    for i in range(0, steps, PIECE):
        count = min(<Py_ssize_t>PIECE, steps - i)
        loops.fetch[source](NULL, buffer, first + i * x.strides[0], x.strides[0], 1, swapped, count + 1)
        if i == 0:
            memcpy(pair, buffer, sizeof(pair))
            step = buffer[1] - buffer[0] if type else pair[1] - pair[0]
        if loops.differs[type](buffer, step, count):
            uneven = True
            break
    if steepest_met():
        report(steepest_met(), "subtract")
    return None if uneven else (np.float64 if type else np.float32)(step)


include "_at_once.pxi"
