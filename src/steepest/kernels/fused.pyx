"""Sums of products of derivatives along axes, in one sweep over a field. The twin of reference/fused.py.

Here because a Laplacian that is made of second derivatives goes over memory several times, and holds them all. What is
summed up stands in the reference, the loops in fused.pxi, built for several instruction sets; this file chooses one at
import, plans which blocks stay in cache, and hands them to the loops, without the GIL. Tested in tests/test_fused.py.

What limits it: memory. The results of a block are written while what they are made of is in cache, so that a Laplacian
reads its field once and writes its result once.
"""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer

from steepest.kernels.fused cimport AXES, Field, Loops, Output, Plan, Rule, Scratch, Taken, Term

import importlib

import numpy as np

from steepest.kernels.isa import instruction_set
from steepest.reference.fused import check_fields, check_sweep, checked, scales_of

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

cdef enum:
    CACHE = 3 << 18         # bytes that a block may hold on its way from one plane to the next: most of a second cache
    TOGETHER = 1 << 17      # bytes of rows that are done together
    LARGE = 1 << 24         # bytes of results from which on they are stored past the caches
    UNIT = 1 << 17          # numbers of a unit of work, about
    NARROW = 8              # numbers at a node up to which weights that change along a run are repeated for each
    RETURN = 1 << 25        # products after which a thread looks for signals: some 10 milliseconds
    MOST = 1 << 20          # nodes that a result may take, so that nobody waits for ever

_loops = importlib.import_module(f"steepest.kernels.fused_{instruction_set()}")
cdef const Loops *loops = <const Loops *>PyCapsule_GetPointer(_loops.table, "steepest fused loops")


cdef class FusedSweep:
    """Sums of terms over fields of one shape, planned once; see `steepest.reference.fused.FusedSweep`."""

    cdef readonly tuple shape
    cdef readonly Py_ssize_t width
    cdef readonly object dtype
    cdef readonly list outputs
    cdef readonly bint root, paired
    cdef readonly Py_ssize_t units
    cdef Plan plan
    cdef Rule *rules
    cdef list kept              # the arrays that the rules point into
    cdef Py_ssize_t source_count, term_count, at_once
    cdef bint double_

    def __cinit__(self):
        self.rules = NULL
        self.plan.terms = NULL
        self.plan.outputs = NULL
        self.units = -1

    def __dealloc__(self):
        PyMem_Free(self.rules)
        PyMem_Free(self.plan.terms)
        PyMem_Free(self.plan.outputs)

    def __init__(self, shape, Py_ssize_t width, dtype, outputs, bint root=False, bint paired=False):
        if self.kept is not None:
            raise TypeError("a sweep is planned once")
        self.kept = []
        self.shape, self.width, self.dtype = tuple(shape), width, np.dtype(dtype)
        self.root, self.paired = root, paired
        self.outputs = [[checked(term, self.shape, self.dtype) for term in terms] for terms in outputs]
        check_sweep(self, "fd")
        if len(self.shape) > AXES:
            raise ValueError(f"a sweep is over at most {AXES} axes, not {len(self.shape)}")
        self.double_ = self.dtype.char == "d"
        self.describe()
        self.divide()

    cdef int describe(self) except -1:
        """Write down the plan for the loops."""
        cdef Plan *plan = &self.plan
        cdef int axis, k = 0, o, number
        cdef Output *output
        cdef const Rule *rule
        cdef dict known = {}
        plan.ndim, plan.width = <int>len(self.shape), self.width
        plan.root, plan.paired = self.root, self.paired
        for axis in range(plan.ndim):
            plan.shape[axis] = self.shape[axis]
        scales = scales_of(self.dtype)
        for k in range(4):
            plan.scales[k] = scales[k]
        terms = [term for terms in self.outputs for term in terms]
        self.source_count = 1 + max((term.source for term in terms), default=-1)
        self.term_count = len(terms)
        plan.output_count = <int>len(self.outputs)
        self.rules = <Rule *>PyMem_Calloc(1 + len(terms) * plan.ndim, sizeof(Rule))
        plan.terms = <Term *>PyMem_Calloc(1 + len(terms), sizeof(Term))
        plan.outputs = <Output *>PyMem_Calloc(1 + plan.output_count, sizeof(Output))
        if self.rules == NULL or plan.terms == NULL or plan.outputs == NULL:
            raise MemoryError
        k = 0
        for o in range(plan.output_count):
            output = &plan.outputs[o]
            output.first, output.last = 0, plan.shape[plan.ndim - 1]
            output.first_term = k
            taken = 0
            for term in self.outputs[o]:
                plan.terms[k].source, plan.terms[k].sign = term.source, term.sign
                each = 1
                for axis in range(plan.ndim):
                    if term.rules[axis] is not None:
                        if (axis, id(term.rules[axis])) not in known:
                            number = <int>len(known)
                            known[axis, id(term.rules[axis])] = number
                            self.describe_rule(&self.rules[number], term.rules[axis], axis == plan.ndim - 1)
                        rule = &self.rules[known[axis, id(term.rules[axis])]]
                        plan.terms[k].rules[axis] = rule
                        plan.terms[k].rule_count += 1
                        each *= max(rule.taps, int(np.diff(term.rules[axis].starts).max(initial=1)), 1)
                taken += each + 1
                rule = plan.terms[k].rules[plan.ndim - 1]
                if rule != NULL:
                    output.first, output.last = max(output.first, rule.first), min(output.last, rule.last)
                    if rule.step and rule.along == NULL:
                        output.last = output.first
                k += 1
            output.last_term = k
            if output.last < output.first:
                output.last = output.first
            if taken > MOST:
                raise ValueError(f"a result would be made of {taken} products, more than {MOST}")
            plan.capacity = max(plan.capacity, <Py_ssize_t>taken)
        return 0

    cdef int describe_rule(self, Rule *rule, given, bint inner) except -1:
        """Point into arrays that are kept; numbers become those of the field."""
        along = None
        if inner and given.weights.ndim == 2 and self.width <= NARROW:
            along = np.repeat(given.weights, self.width, axis=1)
        self.kept.append((given, along))
        rule.extent, rule.first, rule.last = given.extent, given.first, given.last
        rule.taps = len(given.offsets)
        rule.step = 1 if given.weights.ndim == 2 else 0
        rule.offsets, rule.weights = <const Py_ssize_t *>PyArray_DATA(given.offsets), PyArray_DATA(given.weights)
        rule.along = NULL if along is None else PyArray_DATA(along)
        rule.starts, rule.columns = (<const Py_ssize_t *>PyArray_DATA(given.starts),
                                     <const Py_ssize_t *>PyArray_DATA(given.columns))
        rule.edge_weights, rule.totals = PyArray_DATA(given.edge_weights), PyArray_DATA(given.totals)
        rule.origin, rule.edge_origins = given.origin, <const Py_ssize_t *>PyArray_DATA(given.edge_origins)
        return 0

    cdef int divide(self) except -1:
        """Divide the field into units, so that what a plane shares with the next is still in cache there."""
        cdef Plan *plan = &self.plan
        cdef int k, axis
        cdef Py_ssize_t nodes = plan.shape[plan.ndim - 1], rows = 1, planes, size, layers, span, fit, sources, products
        for axis in range(1, plan.ndim - 1):
            rows *= max(plan.shape[axis], 1)
        span = 1
        for k in range(self.term_count):
            if plan.ndim > 1 and plan.terms[k].rules[0] != NULL and plan.terms[k].rules[0].taps:
                offsets = self.span_of(plan.terms[k].rules[0])
                span = max(span, offsets)
        sources = max(self.source_count, 1)
        layers = sources * span + plan.output_count
        size = plan.width * (8 if self.double_ else 4)
        plan.row_count, planes = rows, plan.shape[0] if plan.ndim > 1 else 1
        fit = CACHE // size // layers           # nodes of a plane
        plan.rows, plan.nodes = rows, nodes
        if plan.ndim == 1:
            plan.nodes = max(1, UNIT // plan.width)
        elif rows * nodes > fit:
            if fit >= 8 * nodes or rows == 1:
                plan.rows = max(1, min(rows, fit // max(nodes, 1)))
            else:
                plan.rows = min(rows, 8)
            if plan.rows * nodes > fit:
                plan.nodes = max(2 * 512 // plan.width, fit // plan.rows, 1)
        plan.nodes = max(1, min(plan.nodes, nodes))
        self.find_alike()
        plan.together = max(1, min(64, TOGETHER // max(1, plan.nodes * size)))
        plan.passing = rows * (plan.shape[0] if plan.ndim > 1 else 1) * nodes * size * plan.output_count >= LARGE
        products = max(1, plan.capacity) * max(1, plan.output_count)
        plan.planes = max(1, min(max(planes, 1), min(UNIT, RETURN // products)
                                 // max(1, plan.rows * plan.nodes * plan.width)))
        plan.plane_blocks = (planes + plan.planes - 1) // plan.planes
        plan.row_blocks = (rows + plan.rows - 1) // plan.rows
        plan.node_blocks = (nodes + plan.nodes - 1) // plan.nodes
        self.units = 0 if 0 in self.shape else plan.plane_blocks * plan.row_blocks * plan.node_blocks
        self.at_once = max(1, RETURN // max(1, plan.planes * plan.rows * plan.nodes * plan.width
                                            * products))
        return 0

    cdef int find_alike(self) except -1:
        """Rows along the last outer axis that are in the interior of all rules, which are the same for each."""
        cdef Plan *plan = &self.plan
        cdef const Rule *rule
        cdef int k
        if plan.ndim < 2:
            return 0
        plan.first_alike, plan.last_alike = 0, plan.shape[plan.ndim - 2]
        for k in range(self.term_count):
            rule = plan.terms[k].rules[plan.ndim - 2]
            if rule != NULL:
                plan.first_alike = max(plan.first_alike, rule.first)
                plan.last_alike = min(plan.last_alike, rule.last) if rule.step == 0 else 0
        return 0

    cdef Py_ssize_t span_of(self, const Rule *rule) noexcept:
        """How many planes lie from the first that is taken to the last, in the interior."""
        cdef Py_ssize_t t, least = rule.offsets[0], most = rule.offsets[0]
        for t in range(rule.taps):
            least, most = min(least, rule.offsets[t]), max(most, rule.offsets[t])
        return most - least + 1

    def run(self, sources, outs, share=None, int threads=1):
        """Write the results to `outs`, arrays of shape ``(*shape, width)`` like the sources; nothing may overlap."""
        cdef Work work = Work()
        if self.units < 0:
            raise ValueError("this sweep was never planned")
        sources, outs = tuple(sources), tuple(outs)
        check_fields(self, sources, outs)
        work.sweep, work.arrays = self, (sources, outs)
        work.halts = np.zeros(max(threads, 1), np.intc)
        work.sources = place(sources, self.plan.ndim, 8 if self.double_ else 4)
        work.outs = place(outs, self.plan.ndim, 8 if self.double_ else 4)
        if self.units == 0:
            return
        if share is None or threads < 2 or self.units < 2:
            work.part(0, 0, self.units)
        else:
            share(work.part, 0, self.units, work.halts)


cdef Field *place(tuple arrays, int ndim, Py_ssize_t size) except NULL:
    """Where fields lie."""
    cdef Field *fields = <Field *>PyMem_Calloc(1 + len(arrays), sizeof(Field))
    cdef Py_ssize_t i
    cdef int axis
    cdef cnp.ndarray array
    if fields == NULL:
        raise MemoryError
    for i in range(len(arrays)):
        array = arrays[i]
        fields[i].data = PyArray_DATA(array)
        for axis in range(ndim):
            fields[i].strides[axis] = cnp.PyArray_STRIDES(array)[axis] // size
    return fields


cdef class Work:
    """A run under way."""

    cdef FusedSweep sweep
    cdef tuple arrays           # held while they are worked on
    cdef object halts
    cdef Field *sources
    cdef Field *outs

    def __cinit__(self):
        self.sources = self.outs = NULL

    def __dealloc__(self):
        PyMem_Free(self.sources)
        PyMem_Free(self.outs)

    def part(self, Py_ssize_t i, Py_ssize_t first, Py_ssize_t last):
        """Units first..last, by thread i; 0 when they are done."""
        cdef FusedSweep sweep = self.sweep
        cdef const int *halt
        cdef Scratch scratch
        cdef Py_ssize_t unit, end, most = sweep.plan.capacity + 1
        cdef int kind = 1 if sweep.double_ else 0
        cdef char *memory
        if sweep is None or not (0 <= first <= last <= sweep.units and 0 <= i < len(self.halts)):
            raise ValueError("these units are not part of the sweep")
        halt = <const int *>PyArray_DATA(self.halts) + i
        memory = <char *>PyMem_Malloc(sweep.term_count * sizeof(Taken) + 6 * most * 8)
        if memory == NULL:
            raise MemoryError
        scratch.terms = <Taken *>memory
        scratch.outer = <const void **>(memory + sweep.term_count * sizeof(Taken))
        scratch.at, scratch.origins = scratch.outer + most, scratch.outer + 2 * most
        scratch.along = scratch.outer + 3 * most
        scratch.weights, scratch.outer_weights = <void *>(scratch.outer + 4 * most), <void *>(scratch.outer + 5 * most)
        try:
            unit = first
            while unit < last and not halt[0]:
                end = min(last, unit + sweep.at_once)
                with nogil:
                    while unit < end:
                        loops.sweep[kind](&sweep.plan, self.sources, self.outs, &scratch, unit)
                        unit += 1
                PyErr_CheckSignals()
        finally:
            PyMem_Free(memory)
        return 0
