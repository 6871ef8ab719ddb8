"""Weighted sums along an axis of a field, and Fornberg's weights. The twin of reference/weighted.py.

Here because differentiating a field should cost what reading and writing it costs. The sums stand in the reference,
their loops in weighted.pxi, built for several instruction sets; this file chooses one at import, brings the dimensions
into the order of memory, and cuts the work into pieces. Tested in tests/test_weighted.py and tests/test_grid_diff.py.

What limits it: memory, for rules of any width that are used in practice, as long as the rows that a stencil spans stay
in cache: hence columns are cut where they would not, and several rows are made at a time.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport fabs, frexp, ldexp
from libc.string cimport memcpy

from steepest.kernels.weighted cimport ANY, LANES, ROWS, SHORT, Loops, Stencil

import importlib

import numpy as np

from steepest.kernels.isa import instruction_set
from steepest.reference.callback import GOOD as _GOOD
from steepest.reference.callback import HALTED as _HALTED
from steepest.reference.weighted import check_plan, check_sums, check_weights

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept
    bint PyArray_ISNOTSWAPPED(cnp.ndarray) noexcept

cdef enum:
    DIMENSIONS = 66         # NumPy has at most 64; one for the parts of complex numbers, one to spare
    FLAT = 64              # elements in a row from which on rows are made several at a time, not as one long run
    NARROW = 16             # elements in a row below which weights that vary are repeated for each
    PIECE = 1 << 17         # elements of a piece of work
    TILE = 8192             # columns of a piece, where whole rows do not stay in cache
    CACHE = 1 << 22         # bytes that do
    QUIET = 16384           # elements from which on the GIL is let go
    SOON = 1 << 22          # sums between two looks for signals
    REPEATED = 1024         # elements whose weights are repeated at a time

cdef Py_ssize_t LARGE = 32 * 1024 * 1024        # bytes of a result from which on it is written past the caches

cdef int GOOD = _GOOD, HALTED = _HALTED

_loops = importlib.import_module(f"steepest.kernels.weighted_{instruction_set()}")
cdef const Loops *loops = <const Loops *>PyCapsule_GetPointer(_loops.table, "steepest weighted loops")

cdef struct Dimension:
    Py_ssize_t size, f, out         # strides, in real numbers

# One row near an edge: its first node, how many others there are, and the place of the first of these among all.
cdef struct Edge:
    Py_ssize_t row, node, others, place
    double total


def fornberg(double[:, ::1] nodes not None, double[::1] at not None, Py_ssize_t n, double[:, ::1] out not None):
    """Weights of the n-th derivative at ``at[i]`` over ``nodes[:, i]``; see `steepest.reference.weighted.fornberg`."""
    cdef Py_ssize_t width = nodes.shape[0], rows = nodes.shape[1], first, i, lane, real
    cdef double *memory
    cdef int exponents[LANES]
    cdef double here[LANES]
    check_weights(n, nodes, at, out)
    if width == 0 or rows == 0:
        return
    # nodes and weights of LANES rows, then what the recursion needs
    memory = <double *>PyMem_Calloc(2 * width * LANES, sizeof(double) * (n + 3))
    if memory == NULL:
        raise MemoryError()
    try:
        for first in range(0, rows, LANES):
            for lane in range(LANES):
                real = min(first + lane, rows - 1)
                exponents[lane] = exponent_of(&nodes[0, real], width, rows, at[real])
                here[lane] = ldexp(at[real], -exponents[lane])
                for i in range(width):
                    memory[i * LANES + lane] = ldexp(nodes[i, real], -exponents[lane])
            with nogil:
                loops.fornberg(memory, here, width, n, memory + 2 * width * LANES, memory + width * LANES)
            for lane in range(min(<Py_ssize_t>LANES, rows - first)):
                for i in range(width):
                    out[i, first + lane] = ldexp(memory[(width + i) * LANES + lane], <int>(-n * exponents[lane]))
            if first % SOON == 0:
                PyErr_CheckSignals()
    finally:
        PyMem_Free(memory)


cdef int exponent_of(const double *nodes, Py_ssize_t width, Py_ssize_t apart, double at) noexcept:
    """The power of two that brings all nodes to within 1 of `at`."""
    cdef double far = 0, distance
    cdef Py_ssize_t i
    cdef int exponent
    for i in range(width):
        distance = fabs(nodes[i * apart] - at)
        # written so that NaN is taken, as by the maximum of the reference
        far = far if distance <= far or far != far else distance
    frexp(far if far > 0 else 1, &exponent)
    return exponent


cdef class WeightedSums:
    """A rule, ready to be applied to fields; see `steepest.reference.weighted.WeightedSums`."""

    cdef readonly object plan
    cdef Py_ssize_t points, start, stop, count, node_count, edge_count
    cdef int form, type
    cdef bint uniform
    cdef Py_ssize_t *offsets    # of the stencil; then of the nodes of all edge rows, from the first one of each
    cdef char *weights          # the same
    cdef Edge *edges            # shifts and weights are still numbers of places in these

    def __init__(self, plan):
        if self.offsets != NULL:
            raise ValueError("a rule is made once")
        check_plan(plan)
        if plan.weights.dtype not in (np.float32, np.float64):
            raise TypeError(f"weights must be float32 or float64, not {plan.weights.dtype}")
        self.plan = plan
        self.type = 1 if plan.weights.dtype == np.float64 else 0
        self.form, self.uniform, self.points = plan.form, plan.uniform, plan.points
        self.start, self.stop = plan.start, plan.stop
        self.count, self.node_count, self.edge_count = len(plan.offsets), len(plan.edge_nodes), len(plan.edge_rows)
        self.take(plan.offsets, plan.edge_rows, plan.edge_first, plan.edge_nodes, plan.edge_totals)
        self.take_weights(plan.weights, plan.edge_weights)

    def __dealloc__(self):
        PyMem_Free(self.offsets)
        PyMem_Free(self.weights)
        PyMem_Free(self.edges)

    cdef int take(self, const Py_ssize_t[::1] offsets, const Py_ssize_t[::1] rows, const Py_ssize_t[::1] first,
                  const Py_ssize_t[::1] nodes, const double[::1] totals) except -1:
        cdef Py_ssize_t i, k
        self.offsets = <Py_ssize_t *>PyMem_Calloc(self.count + self.node_count + 1, sizeof(Py_ssize_t))
        self.edges = <Edge *>PyMem_Calloc(self.edge_count + 1, sizeof(Edge))
        if self.offsets == NULL or self.edges == NULL:
            raise MemoryError()
        for k in range(self.count):
            self.offsets[k] = offsets[k]
        for i in range(self.edge_count):
            self.edges[i] = Edge(rows[i], nodes[first[i]], first[i + 1] - first[i] - 1, first[i] + 1, totals[i])
            for k in range(first[i], first[i + 1]):
                self.offsets[self.count + k] = nodes[k] - nodes[first[i]]
        return 0

    cdef int take_weights(self, cnp.ndarray weights, cnp.ndarray edge_weights) except -1:
        cdef Py_ssize_t inside = cnp.PyArray_NBYTES(weights), edges = cnp.PyArray_NBYTES(edge_weights)
        self.weights = <char *>PyMem_Malloc(inside + edges + 1)
        if self.weights == NULL:
            raise MemoryError()
        memcpy(self.weights, PyArray_DATA(weights), inside)
        memcpy(self.weights + inside, PyArray_DATA(edge_weights), edges)
        return 0

    def apply(self, cnp.ndarray f not None, cnp.ndarray out not None, int axis, share=None, int threads=1):
        """Apply the rule along an axis; see the reference."""
        cdef Sweep sweep
        cdef int kind = cnp.PyArray_TYPE(f)
        cdef bint known = (kind == cnp.NPY_DOUBLE or kind == cnp.NPY_CDOUBLE) if self.type else (
            kind == cnp.NPY_FLOAT or kind == cnp.NPY_CFLOAT)
        if not (0 <= axis < cnp.PyArray_NDIM(f) and cnp.PyArray_DIM(f, axis) == self.points
                and known and kind == cnp.PyArray_TYPE(out) and cnp.PyArray_SAMESHAPE(f, out)
                and in_whole_steps(f, 4 * (1 + self.type)) and in_whole_steps(out, 4 * (1 + self.type))
                and cnp.PyArray_ISWRITEABLE(out)):
            check_sums(self.plan, f, out, axis)
        if cnp.PyArray_SIZE(f) == 0:
            return
        sweep = Sweep(self, f, out, axis)
        if share is None or threads < 2 or sweep.jobs < 2:
            sweep.work(0, 0, sweep.jobs)
        else:
            sweep.halts, sweep.shared = np.zeros(threads, np.intc), True
            share(sweep.work, 0, sweep.jobs, sweep.halts)


cdef bint in_whole_steps(cnp.ndarray array, Py_ssize_t itemsize) noexcept:
    cdef int i
    for i in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_STRIDE(array, i) % itemsize:
            return False
    return cnp.PyArray_ISALIGNED(array) and PyArray_ISNOTSWAPPED(array)


@cython.internal
cdef class Sweep:
    """A rule at work on a field: the dimensions in the order of memory, and the pieces they are cut into.

    A piece is a range of outer elements, of columns and of rows. Where rows are short, or one element lies after the
    other along the axis, a run goes along the axis, over `inner` elements a row; else one run is one row.
    """

    cdef object held            # what the pointers point into
    cdef WeightedSums rule
    cdef int[::1] halts         # one for each thread, where there are several
    cdef bint shared
    cdef const char *f
    cdef char *out
    cdef Py_ssize_t itemsize, points, start, stop
    cdef int form, type, outer
    cdef bint uniform, along, whole, past
    cdef Dimension dims[DIMENSIONS]
    cdef Dimension axis, inner
    cdef Stencil stencil
    cdef Py_ssize_t *shifts     # offsets in elements
    cdef Py_ssize_t many        # of outer elements
    cdef Py_ssize_t group, tile, block, groups, tiles, blocks
    cdef readonly Py_ssize_t jobs

    def __cinit__(self, WeightedSums rule not None, cnp.ndarray f not None, cnp.ndarray out not None, int axis):
        cdef Py_ssize_t k, count = rule.count + rule.node_count
        self.held, self.rule = (f, out), rule
        self.type, self.itemsize = rule.type, 8 if rule.type else 4
        self.form, self.uniform, self.points = rule.form, rule.uniform, rule.points
        self.start, self.stop = rule.start, rule.stop
        self.f, self.out = <const char *>PyArray_DATA(f), <char *>PyArray_DATA(out)
        self.take_dimensions(f, out, axis)
        self.shifts = <Py_ssize_t *>PyMem_Malloc((count + 1) * sizeof(Py_ssize_t))
        if self.shifts == NULL:
            raise MemoryError()
        for k in range(count):
            self.shifts[k] = rule.offsets[k] * self.axis.f
        self.stencil = Stencil(rule.count, self.shifts, rule.weights, 1, 0)
        if not self.uniform:
            self.stencil.apart, self.stencil.along = self.stop - self.start, 1
        self.choose()

    def __dealloc__(self):
        PyMem_Free(self.shifts)

    # the dimensions

    cdef int take_dimensions(self, cnp.ndarray f, cnp.ndarray out, int axis) except -1:
        """All but the axis, largest strides first, neighbours made one where they can; strides of `out` positive."""
        cdef int i
        cdef Py_ssize_t parts = 2 if cnp.PyArray_ISCOMPLEX(f) else 1
        cdef Dimension one
        for i in range(cnp.PyArray_NDIM(f)):
            one.size = cnp.PyArray_DIM(f, i)
            one.f = cnp.PyArray_STRIDE(f, i) // self.itemsize
            one.out = cnp.PyArray_STRIDE(out, i) // self.itemsize
            if i == axis:
                self.axis = one
            elif one.size > 1:
                if one.out < 0:
                    self.f += (one.size - 1) * one.f * self.itemsize
                    self.out += (one.size - 1) * one.out * self.itemsize
                    one.f, one.out = -one.f, -one.out
                self.insert(one)
        if parts == 2:
            one.size, one.f, one.out = 2, 1, 1
            self.insert(one)
        self.merge()
        return 0

    cdef void insert(self, Dimension one) noexcept:
        cdef int i = self.outer
        while i > 0 and self.dims[i - 1].out < one.out:
            self.dims[i] = self.dims[i - 1]
            i -= 1
        self.dims[i] = one
        self.outer += 1

    cdef void merge(self) noexcept:
        cdef int i, made = 0
        cdef Dimension *last
        for i in range(self.outer):
            last = &self.dims[made - 1]
            if made > 0 and last.f == self.dims[i].f * self.dims[i].size and (
                    last.out == self.dims[i].out * self.dims[i].size):
                last.size, last.f, last.out = last.size * self.dims[i].size, self.dims[i].f, self.dims[i].out
            else:
                self.dims[made] = self.dims[i]
                made += 1
        self.outer = made

    # how it is cut

    cdef int choose(self) except -1:
        """Which runs are made, and how many elements are a piece of work."""
        cdef Dimension *last = &self.dims[self.outer - 1]
        cdef bint flat
        cdef int i
        self.inner.size = self.inner.f = self.inner.out = 1
        if self.outer > 0:
            flat = (last.f == 1 and last.out == 1 and self.axis.f == last.size and self.axis.out == last.size)
            self.along = last.size < (FLAT if self.uniform else NARROW) if flat else (
                self.axis.f == 1 and self.axis.out == 1 or last.out > abs(self.axis.out)
                or last.size < NARROW and self.points > last.size)
            if flat or not self.along:
                self.inner = last[0]
                self.outer -= 1
        else:
            self.along = True
        self.many = 1
        for i in range(self.outer):
            self.many *= self.dims[i].size
        self.tile, self.block, self.group = self.inner.size, self.points, 1
        if not self.along and (self.stencil.count + ROWS) * self.inner.size * self.itemsize > CACHE:
            self.tile = TILE
        if self.points > PIECE // self.tile:
            self.block = max(<Py_ssize_t>4 * ROWS, PIECE // self.tile)
        elif self.points * self.tile < PIECE:
            self.group = max(<Py_ssize_t>1, PIECE // (self.points * self.tile))
        self.groups = (self.many + self.group - 1) // self.group
        self.tiles = (self.inner.size + self.tile - 1) // self.tile
        self.blocks = max(<Py_ssize_t>1, (self.stop - self.start + self.block - 1) // self.block)
        self.jobs = self.groups * self.tiles * self.blocks
        self.past = self.many * self.points * self.inner.size * self.itemsize >= LARGE
        # rows so short that all of a group are made as one run, over what lies between them, too
        self.whole = (self.along and self.uniform and self.outer == 1 and self.start < self.stop
                      and self.axis.f == self.inner.size and self.axis.out == self.inner.size
                      and self.dims[0].f == self.points * self.inner.size and self.dims[0].out == self.dims[0].f
                      and self.dims[0].f < SHORT)
        return 0

    def work(self, Py_ssize_t i, Py_ssize_t first, Py_ssize_t last):
        """Pieces first..last, by thread i."""
        cdef Py_ssize_t at = first, end, few
        if not 0 <= first <= last <= self.jobs:
            raise ValueError("there are no such pieces")
        few = max(<Py_ssize_t>1, SOON // (PIECE * (self.stencil.count + 1)))
        while at < last:
            end = min(at + few, last)
            if self.many * self.points * self.inner.size < QUIET:
                self.run(at, end)
            else:
                with nogil:
                    self.run(at, end)
            at = end
            PyErr_CheckSignals()
            if self.shared and self.halts[i]:
                return HALTED
        return GOOD

    cdef void run(self, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
        cdef Py_ssize_t k, piece, column, row, end
        for k in range(first, last):
            piece = k // self.blocks
            # blocks are counted from the first row of the interior; those before and after belong to the nearest
            row = self.start + k % self.blocks * self.block
            end = row + self.block
            column = piece % self.tiles * self.tile
            piece = piece // self.tiles * self.group
            self.run_piece(piece, min(piece + self.group, self.many), row if row > self.start else 0,
                           end if end < self.stop else self.points, column, min(self.tile, self.inner.size - column))
        if self.past:
            loops.fence()

    cdef void run_piece(self, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t column,
                        Py_ssize_t count) noexcept nogil:
        """Outer elements first..last, rows begin..end, so many columns."""
        cdef Py_ssize_t indices[DIMENSIONS]
        cdef Py_ssize_t at = first, f = column * self.inner.f, out = column * self.inner.out, _
        cdef int i
        for i in range(self.outer - 1, -1, -1):
            indices[i] = at % self.dims[i].size
            at = at // self.dims[i].size
            f += indices[i] * self.dims[i].f
            out += indices[i] * self.dims[i].out
        if self.whole:
            self.run_whole(f, out, last - first)
            return
        for _ in range(first, last):
            self.interior(f, out, max(begin, self.start), min(end, self.stop), count)
            self.borders(f, out, begin, end, count, self.inner.f, self.inner.out)
            for i in range(self.outer - 1, -1, -1):
                indices[i] += 1
                f += self.dims[i].f
                out += self.dims[i].out
                if indices[i] < self.dims[i].size:
                    break
                indices[i] = 0
                f -= self.dims[i].size * self.dims[i].f
                out -= self.dims[i].size * self.dims[i].out

    cdef void run_whole(self, Py_ssize_t f, Py_ssize_t out, Py_ssize_t count) noexcept nogil:
        """So many short fields that lie side by side."""
        cdef Py_ssize_t c = self.inner.size, one = self.points * c, j
        loops.run[self.form][self.type](
            NULL, &self.stencil, self.f + (f + self.start * c) * self.itemsize,
            self.out + (out + self.start * c) * self.itemsize,
            (count - 1) * one + (self.stop - self.start) * c, 1, 1, False)
        for j in range(c):
            self.borders(f + j, out + j, 0, self.points, count, one, one)

    cdef void interior(self, Py_ssize_t f, Py_ssize_t out, Py_ssize_t begin, Py_ssize_t end,
                       Py_ssize_t count) noexcept nogil:
        cdef Stencil stencil = self.stencil
        cdef const char *source
        cdef char *target
        cdef Py_ssize_t _
        if begin >= end:
            return
        source = self.f + (f + begin * self.axis.f) * self.itemsize
        target = self.out + (out + begin * self.axis.out) * self.itemsize
        stencil.weights = <const char *>stencil.weights + (begin - self.start) * stencil.along * self.itemsize
        if self.along:
            if self.inner.size > 1:
                if self.uniform:
                    loops.run[self.form][self.type](
                        NULL, &stencil, source, target, (end - begin) * self.inner.size, 1, 1, self.past)
                else:
                    self.repeated(&stencil, source, target, end - begin)
            elif self.uniform:
                loops.run[self.form][self.type](NULL, &stencil, source, target, end - begin, self.axis.f, self.axis.out,
                                                self.past)
            else:
                loops.varying[self.type](&stencil, source, target, end - begin, self.axis.f, self.axis.out, self.past)
            return
        if self.inner.f == 1 and self.inner.out == 1:
            loops.rows[self.form][self.type](NULL, &stencil, source, target, count, end - begin, self.axis.f,
                                             self.axis.out, self.past)
            return
        for _ in range(end - begin):
            loops.run[self.form][self.type](NULL, &stencil, source, target, count, self.inner.f, self.inner.out, False)
            source += self.axis.f * self.itemsize
            target += self.axis.out * self.itemsize
            stencil.weights = <const char *>stencil.weights + stencil.along * self.itemsize

    cdef void repeated(self, const Stencil *stencil, const char *f, char *out, Py_ssize_t rows) noexcept nogil:
        """Short rows with weights that vary: each weight as often as there are elements in a row."""
        cdef double memory[REPEATED]
        cdef Stencil own = stencil[0]
        cdef Py_ssize_t c = self.inner.size, most = REPEATED // (c * stencil.count), i, j, k
        cdef Py_ssize_t block, first, few
        if most == 0:       # a rule of very many nodes
            own.apart = stencil.apart
            for i in range(rows):
                own.weights = <const char *>stencil.weights + i * self.itemsize
                loops.run[ANY][self.type](NULL, &own, f + i * c * self.itemsize, out + i * c * self.itemsize, c, 1, 1,
                                          False)
            return
        own.weights = memory
        for block in range((rows + most - 1) // most):
            first = block * most
            few = min(most, rows - first)
            own.apart = few * c
            for k in range(stencil.count):
                for i in range(few):
                    for j in range(c):
                        if self.type:
                            memory[(k * few + i) * c + j] = (<const double *>stencil.weights)[
                                k * stencil.apart + first + i]
                        else:
                            (<float *>memory)[(k * few + i) * c + j] = (<const float *>stencil.weights)[
                                k * stencil.apart + first + i]
            loops.varying[self.type](
                &own, f + first * c * self.itemsize, out + first * c * self.itemsize, few * c, 1, 1,
                self.past)

    cdef void borders(self, Py_ssize_t f, Py_ssize_t out, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t count,
                      Py_ssize_t f_step, Py_ssize_t out_step) noexcept nogil:
        """The rows near the edges that are among begin..end."""
        cdef Py_ssize_t i, weights = self.rule.count * (1 if self.uniform else self.stop - self.start)
        cdef Edge *edge
        for i in range(self.rule.edge_count):
            edge = &self.rule.edges[i]
            if begin <= edge.row < end:
                loops.edge[self.type](
                    self.rule.weights + (weights + edge.place) * self.itemsize, edge.total, edge.others,
                    self.f + (f + edge.node * self.axis.f) * self.itemsize, self.shifts + self.rule.count + edge.place,
                    self.out + (out + edge.row * self.axis.out) * self.itemsize, count, f_step, out_step)
