"""Networks of dense layers, forward and backward, a whole epoch at a time. The twin of reference/layers.py.

Here because of a step on a small network all but a few microseconds is otherwise Python. The arithmetic stands in the
reference, its loops in layers.pxi, built for several instruction sets; this file chooses one at import and looks at
arrays; _passes.pxi leads their rows through the layers. Tested in tests/test_layers.py.

What limits it: the products, of which an element is the same sum whatever the tile, the instruction set or the number
of threads; rows go through in chunks that stay in the second cache, and weights are read where they lie.
"""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from steepest.kernels.layers cimport CHUNK, Ends, GELU, Loops, PADDING, SILU, SOFTMAX_CROSS_ENTROPY, SOFTPLUS
from steepest.kernels.update cimport Optimizer

import importlib

import numpy as np

from steepest.errors import BusyError
from steepest.kernels.isa import instruction_set
from steepest.reference import layers as twin

cnp.import_array()

include "_clock.pxi"

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

_loops = importlib.import_module(f"steepest.kernels.layers_{instruction_set()}")
cdef const Loops *loops = <const Loops *>PyCapsule_GetPointer(_loops.table, "steepest layers loops")

cdef enum:
    PARTS = 16          # of the rows, at most, each with a gradient of its own
    LINE = 64           # bytes of a line of the cache
    WORTH = 8000000     # additions and multiplications that are worth a part, at least

cdef struct Layer:
    Py_ssize_t inputs, outputs
    Py_ssize_t before, row      # between rows of values that are ours, of the layer before and of this one
    Py_ssize_t weights, biases  # where they begin among the parameters
    int activation
    bint keeps                  # derivatives of the activation, for they are not found from its values
    bint lies                   # weights are read where they lie: whole vectors end within the parameters
    const char *matrix          # the weights, rows `matrix_row` elements apart
    Py_ssize_t matrix_row
    char *packed                # room for them otherwise
    char *start                 # the biases, padded
    char *turned                # the weights, outputs by inputs

# Rows on their way through the network: what one thread needs.
cdef struct Work:
    const char **inputs         # where the rows of each matrix begin: of x, of the values, of the deltas
    char *x
    char *y
    int64_t *labels
    char **values
    char **slopes
    char *deltas[2]
    const char **value_rows
    const char **delta_rows
    double *weights
    double *factors
    double *losses
    char *memory

# Where rows come from, and what is wanted of them.
cdef struct Rows:
    const char *x
    const char *y
    const char *weight
    const Py_ssize_t *order     # NULL for rows in their order
    Py_ssize_t x_row, x_column, y_row, y_column, weight_row
    Py_ssize_t count, part, parts       # rows, rows in a part
    double total                # of the weights
    bint labels, by_weights, by_inputs, watched
    char **layers               # where the values of each layer go, or NULL
    char **deltas
    char *inputs

# The batches of an epoch.
cdef struct Epoch:
    const Py_ssize_t *order
    const double *rates
    Py_ssize_t rows, batch, seen, made
    double total                # of the losses, times the rows of their batches
    int wrong                   # the layer where something is not finite, or -1


def multiply(cnp.ndarray start not None, cnp.ndarray a not None, cnp.ndarray b not None, Py_ssize_t repeats=1):
    """start + a b, in place; see the reference. Rows of `a` are contiguous, or its columns."""
    cdef int number = cnp.PyArray_TYPE(start), kind = 1 if number == cnp.NPY_DOUBLE else 0
    cdef Py_ssize_t rows, terms, columns, row, i, _, size = 8 if kind else 4
    cdef bint turned
    cdef char *memory
    cdef char *c
    cdef const char **places
    for array in (start, a, b):
        if (cnp.PyArray_TYPE(array) != number or number not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or array.ndim != 2
                or not cnp.PyArray_ISBEHAVED_RO(array)):
            raise ValueError("start, a and b must be matrices of float32 or float64")
    rows, terms, columns = a.shape[0], a.shape[1], b.shape[1]
    row, turned = padded(columns), a.strides[1] != size and a.size > 0
    if (b.shape[0] != terms or start.shape[0] != rows or start.shape[1] != columns
            or not cnp.PyArray_ISCARRAY(start) or not cnp.PyArray_ISCARRAY_RO(b)):
        raise ValueError("start must be rows of a by columns of b, and both be contiguous")
    if turned and a.strides[0] != size:
        raise ValueError("rows or columns of a must be contiguous, beside a start and b that fit")
    memory = take((rows + terms) * (row + 2), size)
    try:
        c = aligned(memory)
        places = <const char **>(c + (rows + terms) * row * size)
        for i in range(terms if turned else rows):
            places[i] = <const char *>PyArray_DATA(a) + i * a.strides[1 if turned else 0]
        for i in range(rows):
            memcpy(c + i * row * size, <const char *>PyArray_DATA(start) + i * columns * size, columns * size)
        for i in range(terms):
            memcpy(c + (rows + i) * row * size, <const char *>PyArray_DATA(b) + i * columns * size, columns * size)
        with nogil:
            for _ in range(repeats):
                loops.multiply[kind](turned, <const void *const *>places, c + rows * row * size, row, c, row, c, row,
                                     rows, terms, columns, True)
        put_rows(c, row, <char *>PyArray_DATA(start), 0, rows, columns, <int>size)
    finally:
        PyMem_Free(memory)
    return start


cdef class Layers:
    """Dense layers and a loss; see `steepest.reference.layers.Layers`."""

    cdef readonly tuple sizes, activations
    cdef readonly int loss
    cdef readonly Py_ssize_t count
    cdef readonly double l2, l1, slope, delta
    cdef readonly object dtype
    cdef object share
    cdef int threads, kind, size        # of the type: 1 for double, its bytes
    cdef bint made, busy
    cdef Py_ssize_t depth, widest, operations
    cdef Layer *layers
    cdef char *zeros
    cdef char *ones
    cdef char *shared           # what all threads read: packed weights, biases, turned weights
    cdef Work *works
    cdef int work_count
    cdef char *gradients        # of the parts, in the room for them
    cdef char *room
    cdef Py_ssize_t gradient_count
    cdef double losses[PARTS]
    cdef int wrong[PARTS]
    cdef Rows rows

    def __init__(self, sizes, activations, int loss, dtype="d", double l2=0.0, double l1=0.0, double slope=0.01,
                 double delta=1.0, share=None, int threads=1):
        if self.layers != NULL:
            raise BusyError("layers are made once")
        checked = twin.Layers(sizes, activations, loss, dtype, l2, l1, slope, delta)
        self.sizes, self.activations, self.loss, self.dtype = checked.sizes, checked.activations, loss, checked.dtype
        self.l2, self.l1, self.slope, self.delta, self.count = l2, l1, slope, delta, checked.count
        self.share, self.threads = share, max(threads, 1) if share is not None else 1
        self.kind, self.size = (1, 8) if self.dtype == np.float64 else (0, 4)
        self.depth = len(self.activations)
        self.lay_out()
        self.made = True

    def __dealloc__(self):
        cdef int i
        if self.works != NULL:
            for i in range(self.work_count):
                PyMem_Free(self.works[i].memory)
        PyMem_Free(self.works)
        PyMem_Free(self.layers)
        PyMem_Free(self.shared)
        PyMem_Free(self.room)

    cdef int lay_out(self) except -1:
        """Where the parameters of every layer begin, and the memory beside them."""
        cdef Py_ssize_t i, at = 0, room = 0, widest = padded(self.sizes[0])
        cdef Layer *layer
        cdef char *memory
        self.layers = <Layer *>PyMem_Calloc(self.depth, sizeof(Layer))
        if self.layers == NULL:
            raise MemoryError()
        for i in range(self.depth):
            layer = &self.layers[i]
            layer.inputs, layer.outputs, layer.activation = self.sizes[i], self.sizes[i + 1], self.activations[i]
            layer.before, layer.row = padded(layer.inputs), padded(layer.outputs)
            layer.weights, layer.biases = at, at + layer.inputs * layer.outputs
            layer.keeps = layer.activation in (SOFTPLUS, GELU, SILU)
            at = layer.biases + layer.outputs
            layer.lies = layer.biases + layer.row - layer.outputs <= self.count
            widest = max(widest, layer.row)
            room += layer.row * (1 + (0 if layer.lies else layer.inputs)) + layer.before * layer.outputs
        self.widest = widest
        self.shared = take(room + 2 * widest + CHUNK, self.size)
        memory = aligned(self.shared)
        for i in range(self.depth):
            layer = &self.layers[i]
            layer.start, memory = memory, memory + layer.row * self.size
            layer.turned, memory = memory, memory + layer.before * layer.outputs * self.size
            if not layer.lies:
                layer.packed, memory = memory, memory + layer.inputs * layer.row * self.size
        self.zeros, self.ones = memory, memory + widest * self.size
        for i in range(max(widest, CHUNK)):
            if self.kind:
                (<double *>self.ones)[i] = 1.0
            else:
                (<float *>self.ones)[i] = 1.0
        self.operations = 6 * sum([a * b for a, b in zip(self.sizes, self.sizes[1:])])
        return 0

    cdef int provide(self, int count) except -1:
        """Memory for so many threads."""
        cdef Work *work
        cdef Layer *layer
        cdef Py_ssize_t i, room = padded(self.sizes[0]) + self.layers[self.depth - 1].row + 2 * self.widest
        cdef char *memory
        if self.works == NULL:
            self.works = <Work *>PyMem_Calloc(max(self.threads, 1), sizeof(Work))
            if self.works == NULL:
                raise MemoryError()
        for i in range(self.depth):
            room += (2 if self.layers[i].keeps else 1) * self.layers[i].row
        while self.work_count < count:
            work = &self.works[self.work_count]
            memory = take(CHUNK * (room * self.size + 4 * 8 + (2 + self.depth) * sizeof(char *))
                          + 2 * self.depth * sizeof(char *), 1)
            work.memory, memory = memory, aligned(memory)
            work.labels, memory = <int64_t *>memory, memory + CHUNK * 8
            work.weights, memory = <double *>memory, memory + CHUNK * 8
            work.factors, memory = <double *>memory, memory + CHUNK * 8
            work.losses, memory = <double *>memory, memory + CHUNK * 8
            work.x, memory = memory, memory + CHUNK * self.layers[0].before * self.size
            work.y, memory = memory, memory + CHUNK * self.layers[self.depth - 1].row * self.size
            for i in range(2):
                work.deltas[i], memory = memory, memory + CHUNK * self.widest * self.size
            work.values = <char **>(aligned(work.memory) + CHUNK * (room * self.size + 4 * 8))
            work.slopes = work.values + self.depth
            work.inputs = <const char **>(work.slopes + self.depth)
            work.value_rows = work.inputs + CHUNK
            work.delta_rows = work.value_rows + self.depth * CHUNK
            for i in range(self.depth):
                layer = &self.layers[i]
                work.values[i], memory = memory, memory + CHUNK * layer.row * self.size
                point_to(work.values[i], layer.row * self.size, work.value_rows + i * CHUNK, CHUNK)
                if layer.keeps:
                    work.slopes[i], memory = memory, memory + CHUNK * layer.row * self.size
            self.work_count += 1
        return 0

    cdef int provide_gradients(self, Py_ssize_t count) except -1:
        """Room for the gradients of so many parts."""
        cdef char *memory
        if count > self.gradient_count:
            memory = take(count * self.count + PADDING, self.size)
            PyMem_Free(self.room)
            self.room, self.gradients, self.gradient_count = memory, aligned(memory), count
        return 0

    # looking at arrays

    cdef int enter(self) except -1:
        if not self.made:
            raise ValueError("these layers were never made")
        if self.busy:
            raise BusyError("these layers are at work for another call")
        self.busy = True
        return 0

    cdef int take_arrays(self, cnp.ndarray parameters, cnp.ndarray x, y, weight) except -1:
        """See that they suit, and where they lie."""
        cdef Rows *rows = &self.rows
        cdef int number = cnp.NPY_DOUBLE if self.kind else cnp.NPY_FLOAT
        memset(rows, 0, sizeof(Rows))
        if (cnp.PyArray_TYPE(parameters) != number or parameters.ndim != 1 or parameters.shape[0] != self.count
                or not cnp.PyArray_ISCARRAY_RO(parameters)):
            raise ValueError(f"parameters must be {self.count} contiguous numbers of {self.dtype}")
        if (cnp.PyArray_TYPE(x) != number or x.ndim != 2 or x.shape[1] != self.sizes[0] or x.shape[0] == 0
                or not cnp.PyArray_ISBEHAVED_RO(x)):
            raise ValueError(f"x must be rows of {self.sizes[0]} numbers of {self.dtype}, at least one")
        rows.x, rows.x_row, rows.x_column = <const char *>PyArray_DATA(x), x.strides[0], x.strides[1]
        rows.count = x.shape[0]
        if y is not None:
            self.take_answers(y, rows.count)
        if weight is not None:
            self.take_weight(weight, rows.count)
        return 0

    cdef int take_answers(self, cnp.ndarray y, Py_ssize_t count) except -1:
        cdef Rows *rows = &self.rows
        cdef int number = cnp.NPY_DOUBLE if self.kind else cnp.NPY_FLOAT
        cdef Py_ssize_t i, outputs = self.layers[self.depth - 1].outputs
        cdef int64_t label
        rows.y, rows.y_row = <const char *>PyArray_DATA(y), y.strides[0] if y.ndim > 0 else 0
        if y.ndim == 1 and self.loss == SOFTMAX_CROSS_ENTROPY:
            rows.labels = True
            if y.dtype == np.int64 and cnp.PyArray_ISBEHAVED_RO(y) and y.shape[0] == count:
                for i in range(count):
                    label = (<const int64_t *>(rows.y + i * rows.y_row))[0]
                    if not 0 <= label < outputs:
                        break
                else:
                    return 0
            raise ValueError(f"y must be labels from 0 to {outputs - 1} as int64, one for each row of x")
        if (cnp.PyArray_TYPE(y) != number or y.ndim != 2 or y.shape[0] != count or y.shape[1] != outputs
                or not cnp.PyArray_ISBEHAVED_RO(y)):
            raise ValueError(f"y must be {count} rows of {outputs} numbers of {self.dtype}")
        rows.y_column = y.strides[1]
        return 0

    cdef int take_weight(self, cnp.ndarray weight, Py_ssize_t count) except -1:
        if (cnp.PyArray_TYPE(weight) != cnp.NPY_DOUBLE or weight.ndim != 1 or weight.shape[0] != count
                or not cnp.PyArray_ISBEHAVED_RO(weight)):
            raise ValueError(f"weight must be {count} numbers of float64")
        self.rows.weight, self.rows.weight_row = <const char *>PyArray_DATA(weight), weight.strides[0]
        return 0

    cdef char *room_in(self, array, tuple shape, str name) except NULL:
        """Where to write, if it can be written to."""
        if (not isinstance(array, np.ndarray) or not cnp.PyArray_ISCARRAY(<cnp.ndarray>array)
                or array.dtype != self.dtype or array.shape != shape):
            raise ValueError(f"{name} must be a contiguous, writeable array of {self.dtype} and shape {shape}")
        return <char *>PyArray_DATA(<cnp.ndarray>array)

    # what is asked

    def forward(self, cnp.ndarray parameters not None, cnp.ndarray x not None, bint layers=False):
        """The outputs, or the values of every layer; see the reference."""
        cdef char **places = NULL
        cdef Py_ssize_t i
        self.enter()
        try:
            self.take_arrays(parameters, x, None, None)
            made = [np.empty((x.shape[0], size), self.dtype) for size in
                    self.sizes[1 if layers else self.depth :]]
            places = <char **>PyMem_Calloc(self.depth, sizeof(char *))
            if places == NULL:
                raise MemoryError()
            for i in range(len(made)):
                places[self.depth - len(made) + i] = <char *>PyArray_DATA(<cnp.ndarray>made[i])
            self.rows.layers = places
            self.run(parameters)
            return made if layers else made[0]
        finally:
            PyMem_Free(places)
            self.busy = False

    def value(self, cnp.ndarray parameters not None, cnp.ndarray x not None, y not None, weight=None):
        """The loss; see the reference."""
        self.enter()
        try:
            self.take_arrays(parameters, x, y, weight)
            return self.run(parameters)
        finally:
            self.busy = False

    def gradient(self, cnp.ndarray parameters not None, cnp.ndarray x not None, y not None, weight=None, out=None,
                 deltas=None, inputs=None):
        """The loss, its gradient and what was found on the way; see the reference."""
        cdef char **places = NULL
        cdef char *gradient = NULL
        cdef Py_ssize_t i, count
        cdef double loss
        self.enter()
        try:
            self.take_arrays(parameters, x, y, weight)
            count = x.shape[0]
            if out is not None:
                gradient = self.room_in(out, (self.count,), "out")
            if deltas is not None:
                if len(deltas) != self.depth:
                    raise ValueError(f"deltas must be {self.depth} arrays, one for each layer")
                places = <char **>PyMem_Calloc(self.depth, sizeof(char *))
                if places == NULL:
                    raise MemoryError()
                for i in range(self.depth):
                    places[i] = self.room_in(deltas[i], (count, self.sizes[i + 1]), f"deltas[{i}]")
            if inputs is not None:
                self.rows.inputs = self.room_in(inputs, (count, self.sizes[0]), "inputs")
            self.rows.by_weights, self.rows.deltas = gradient != NULL, places
            self.rows.by_inputs = inputs is not None
            loss = self.run(parameters)
            if gradient != NULL:
                memcpy(gradient, self.gradients, self.count * self.size)
            return loss
        finally:
            PyMem_Free(places)
            self.busy = False

    def epoch(self, cnp.ndarray parameters not None, cnp.ndarray x not None, y not None, weight,
              cnp.ndarray order not None, Py_ssize_t batch, Optimizer optimizer not None, cnp.ndarray rates):
        """One step of the optimizer for every batch of rows; see the reference."""
        cdef Epoch run
        cdef const char *start = <const char *>PyArray_DATA(parameters)
        self.enter()
        try:
            self.take_arrays(parameters, x, y, weight)
            self.take_order(order, batch, rates, &run)
            self.rows.by_weights = self.rows.watched = True
            self.provide_for(max(1, min(batch, run.rows)))
            optimizer.begin_steps(parameters)
            try:
                with nogil:
                    train(self, start, optimizer, &run)
            finally:
                optimizer.end_steps()
        finally:
            self.busy = False
        return (run.total / run.seen if run.seen > 0 else NAN, run.made,
                None if run.wrong < 0 else (run.made, run.wrong))

    cdef int take_order(self, cnp.ndarray order, Py_ssize_t batch, cnp.ndarray rates, Epoch *run) except -1:
        cdef const Py_ssize_t *places = <const Py_ssize_t *>PyArray_DATA(order)
        if cnp.PyArray_TYPE(order) != cnp.NPY_INTP or order.ndim != 1 or not cnp.PyArray_ISCARRAY_RO(order):
            raise ValueError("order must be contiguous rows of x, as intp")
        memset(run, 0, sizeof(Epoch))
        run.order, run.rows, run.batch, run.wrong = places, order.shape[0], batch, -1
        if batch < 1 or not in_range(places, run.rows, self.rows.count):
            raise ValueError("batch must be at least 1, and order hold rows of x")
        if rates is not None:
            if (cnp.PyArray_TYPE(rates) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(rates)
                    or rates.size < 1 + (run.rows - 1) // batch):
                raise ValueError("rates must be contiguous numbers of float64, one for each batch")
            run.rates = <const double *>PyArray_DATA(rates)
        return 0

    def work(self, Py_ssize_t i, Py_ssize_t first, Py_ssize_t last):
        """Parts first..last of the rows under way, by thread i."""
        if not (self.busy and self.rows.part > 0 and 0 <= i < self.work_count
                and 0 <= first <= last <= self.rows.parts):
            raise ValueError("these parts are not under way")
        with nogil:
            run_parts(self, first, last, &self.works[i])
        return 0

    # what is done

    cdef double run(self, cnp.ndarray parameters) except? -1:
        """All rows, in parts; the loss where there are answers, and its gradient where that is asked for."""
        cdef double loss
        cdef const char *start = <const char *>PyArray_DATA(parameters)
        self.provide_for(self.rows.count)
        with nogil:
            self.rows.total = total_of(self)
            loss = run_rows(self, start)
        return loss

    cdef int provide_for(self, Py_ssize_t rows) except -1:
        """All the memory that so many rows at a time need."""
        cdef Py_ssize_t parts = (rows + part_of(rows, self.operations) - 1) // part_of(rows, self.operations)
        self.provide(<int>min(self.threads, parts))
        if self.rows.by_weights:
            self.provide_gradients(parts)
        return 0


include "_rows.pxi"
include "_passes.pxi"
