"""Feed-forward networks of dense layers, forward and backward, a whole epoch at a time. The twin of reference/layers.py.

Here because of a step on a small network all but a few microseconds is otherwise Python. The arithmetic stands in the
reference, its loops in layers.pxi, built for several instruction sets; this file chooses one at import, looks at arrays,
and leads rows through the layers. Tested in tests/test_layers.py.

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
    cdef Py_ssize_t rows, terms, columns, row, i, size = 8 if kind else 4
    cdef bint turned
    cdef char *memory
    cdef char *c
    cdef const char **places
    for array in (start, a, b):
        if (cnp.PyArray_TYPE(array) != number or number not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or array.ndim != 2
                or not cnp.PyArray_ISBEHAVED_RO(array)):
            raise ValueError("start, a and b must be matrices of float32 or float64")
    rows, terms, columns = a.shape[0], a.shape[1], b.shape[1]
    row, turned = padded(columns), a.strides[1] != size
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
            for i in range(repeats):
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
        cdef Work *works
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
                    self.train(start, optimizer, &run)
            finally:
                optimizer.end_steps()
        finally:
            self.busy = False
        return (run.total / run.seen if run.seen > 0 else NAN, run.made,
                None if run.wrong < 0 else (run.made, run.wrong))

    cdef int take_order(self, cnp.ndarray order, Py_ssize_t batch, cnp.ndarray rates, Epoch *run) except -1:
        cdef Py_ssize_t i
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
            self.run_parts(first, last, &self.works[i])
        return 0

    # what is done

    cdef double run(self, cnp.ndarray parameters) except? -1:
        """All rows, in parts; the loss where there are answers, and its gradient where that is asked for."""
        cdef double loss
        cdef const char *start = <const char *>PyArray_DATA(parameters)
        self.provide_for(self.rows.count)
        with nogil:
            self.rows.total = self.total_of()
            loss = self.run_rows(start)
        return loss

    cdef int provide_for(self, Py_ssize_t rows) except -1:
        """All the memory that so many rows at a time need."""
        cdef Py_ssize_t parts = (rows + part_of(rows, self.operations) - 1) // part_of(rows, self.operations)
        self.provide(<int>min(self.threads, parts))
        if self.rows.by_weights:
            self.provide_gradients(parts)
        return 0

    cdef double total_of(self) noexcept nogil:
        """The sum of the weights of the rows, in order."""
        cdef double total = 0.0
        cdef Py_ssize_t i
        if self.rows.weight == NULL:
            return <double>self.rows.count
        for i in range(self.rows.count):
            total += (<const double *>(self.rows.weight + place_of(&self.rows, i) * self.rows.weight_row))[0]
        return total

    cdef double run_rows(self, const char *parameters) except? -1 nogil:
        cdef Rows *rows = &self.rows
        cdef Py_ssize_t i, step
        cdef double loss = 0.0
        rows.part = part_of(rows.count, self.operations)
        rows.parts = (rows.count + rows.part - 1) // rows.part
        self.prepare(parameters)
        if self.threads > 1 and rows.parts > 1:
            with gil:
                self.share(self.work, 0, rows.parts, np.zeros(min(self.threads, rows.parts), np.intc))
        else:
            self.run_parts(0, rows.parts, self.works)
        step = 1
        while step < rows.parts:
            i = 0
            while i + step < rows.parts:
                self.losses[i] = self.losses[i] + self.losses[i + step]
                if rows.by_weights:
                    loops.add[self.kind](self.gradients + i * self.count * self.size,
                                         self.gradients + (i + step) * self.count * self.size, self.count)
                i += 2 * step
            step *= 2
        if rows.y != NULL and rows.total > 0:
            loss = self.losses[0] / rows.total
        return loss + self.penalize(parameters)

    cdef double penalize(self, const char *parameters) noexcept nogil:
        """What the weights add to the loss and to its gradient."""
        cdef double penalty = 0.0
        cdef Py_ssize_t i, at
        if self.l2 == 0 and self.l1 == 0 or self.rows.y == NULL:
            return 0.0
        for i in range(self.depth):
            at = self.layers[i].weights * self.size
            penalty += loops.penalize[self.kind](
                parameters + at, self.gradients + at if self.rows.by_weights else NULL, self.l2, self.l1,
                self.layers[i].inputs * self.layers[i].outputs)
        return penalty

    cdef void prepare(self, const char *parameters) noexcept nogil:
        """Biases and weights in the form that the products need."""
        cdef Py_ssize_t i, k, size = self.size
        cdef Layer *layer
        cdef const char *weights
        for i in range(self.depth):
            layer = &self.layers[i]
            weights = parameters + layer.weights * size
            memcpy(layer.start, parameters + layer.biases * size, layer.outputs * size)
            layer.matrix, layer.matrix_row = weights, layer.outputs
            if not layer.lies:
                for k in range(layer.inputs):
                    memcpy(layer.packed + k * layer.row * size, weights + k * layer.outputs * size,
                           layer.outputs * size)
                layer.matrix, layer.matrix_row = layer.packed, layer.row
            if self.rows.by_inputs or i > 0 and goes_back(&self.rows):
                loops.transpose[self.kind](weights, layer.inputs, layer.outputs, layer.turned, layer.before)

    cdef int run_parts(self, Py_ssize_t first, Py_ssize_t last, Work *work) except -1 nogil:
        cdef Py_ssize_t part, at, end, chunk
        cdef long long looked = steepest_milliseconds()
        for part in range(first, last):
            self.losses[part], self.wrong[part] = 0.0, -1
            at, end = part * self.rows.part, min((part + 1) * self.rows.part, self.rows.count)
            while at < end:
                chunk = min(CHUNK, end - at)
                self.run_chunk(part, at, chunk, work)
                at += chunk
                if steepest_milliseconds() - looked >= BETWEEN_CHECKS:
                    looked = steepest_milliseconds()
                    with gil:
                        PyErr_CheckSignals()
        return 0

    cdef void run_chunk(self, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, Work *work) noexcept nogil:
        """Some rows there and back."""
        cdef Rows *rows = &self.rows
        cdef Ends ends
        cdef Py_ssize_t i
        cdef double loss = self.losses[part]
        cdef Layer *last = &self.layers[self.depth - 1]
        if rows.x_column == self.size:
            for i in range(count):
                work.inputs[i] = rows.x + place_of(rows, first + i) * rows.x_row
        else:
            take_rows(rows.x, rows.x_row, rows.x_column, rows, first, count, self.layers[0].inputs, self.size, work.x,
                      self.layers[0].before)
            point_to(work.x, self.layers[0].before * self.size, work.inputs, count)
        self.go_forward(part, first, count, work)
        if rows.y == NULL:
            return
        take_answers(rows, first, count, last.outputs, last.row, self.size, work)
        ends.code, ends.delta, ends.outputs, ends.y = self.loss, self.delta, work.values[self.depth - 1], work.y
        ends.labels = work.labels if rows.labels else NULL
        ends.factors, ends.losses = work.factors, work.losses
        ends.slopes, ends.terms = work.deltas[0], work.deltas[1]
        ends.rows, ends.columns, ends.row = count, last.outputs, last.row
        loops.end[self.kind](&ends, NULL)
        for i in range(count):
            loss += work.weights[i] * work.losses[i]
        self.losses[part] = loss
        if goes_back(rows):
            self.go_back(part, first, count, work)

    cdef void go_forward(self, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, Work *work) noexcept nogil:
        cdef Py_ssize_t i
        cdef Layer *layer
        for i in range(self.depth):
            layer = &self.layers[i]
            loops.multiply[self.kind](False, rows_before(work, i), layer.matrix, layer.matrix_row, work.values[i],
                                      layer.row, layer.start, 0, count, layer.inputs, layer.outputs, True)
            loops.activate[self.kind](layer.activation, work.values[i],
                                      work.slopes[i] if layer.keeps and goes_back(&self.rows) else NULL, self.slope,
                                      count * layer.row)
            if (self.rows.watched and not 0 <= self.wrong[part] <= i
                    and not loops.finite[self.kind](work.values[i], count * layer.row)
                    and not self.are_finite(work.values[i], layer, count)):
                self.wrong[part] = <int>i
            if self.rows.layers != NULL and self.rows.layers[i] != NULL:
                put_rows(work.values[i], layer.row, self.rows.layers[i], first, count, layer.outputs, self.size)

    cdef bint are_finite(self, const char *values, const Layer *layer, Py_ssize_t count) noexcept nogil:
        """The same without the padding, in which anything may stand."""
        cdef Py_ssize_t i
        for i in range(count):
            if not loops.finite[self.kind](values + i * layer.row * self.size, layer.outputs):
                return False
        return True

    cdef void go_back(self, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, Work *work) noexcept nogil:
        """Deltas from the last layer to the first, and what they add to the gradient of the part."""
        cdef char *gradient = self.gradients + part * self.count * self.size if self.rows.by_weights else NULL
        cdef char *d = work.deltas[0]
        cdef char *other = work.deltas[1]
        cdef bint fresh = first == part * self.rows.part
        cdef Py_ssize_t i
        cdef Layer *layer
        for i in range(self.depth - 1, -1, -1):
            layer = &self.layers[i]
            loops.slant[self.kind](layer.activation, d, work.values[i], work.slopes[i] if layer.keeps else NULL,
                                   self.slope, count * layer.row)
            if self.rows.deltas != NULL:
                put_rows(d, layer.row, self.rows.deltas[i], first, count, layer.outputs, self.size)
            if gradient != NULL:
                self.add_products(layer, rows_before(work, i), d, gradient, fresh, count)
            if i > 0 or self.rows.by_inputs:
                point_to(d, layer.row * self.size, work.delta_rows, count)
                loops.multiply[self.kind](False, <const void *const *>work.delta_rows, layer.turned, layer.before,
                                          other, layer.before, self.zeros, 0, count, layer.outputs, layer.inputs, True)
                d, other = other, d
        if self.rows.by_inputs:
            put_rows(d, self.layers[0].before, self.rows.inputs, first, count, self.layers[0].inputs, self.size)

    cdef void add_products(self, const Layer *layer, const void *const *values, const char *d, char *gradient,
                           bint fresh, Py_ssize_t count) noexcept nogil:
        """The gradient of one layer: values times deltas, and deltas times 1."""
        cdef char *weights = gradient + layer.weights * self.size
        cdef char *biases = gradient + layer.biases * self.size
        cdef const void *ones = self.ones
        loops.multiply[self.kind](True, values, d, layer.row, weights, layer.outputs,
                                  self.zeros if fresh else weights, 0 if fresh else layer.outputs, layer.inputs,
                                  count, layer.outputs, False)
        loops.multiply[self.kind](False, &ones, d, layer.row, biases, layer.outputs,
                                  self.zeros if fresh else biases, 0, 1, count, layer.outputs, False)

    cdef int train(self, const char *parameters, Optimizer optimizer, Epoch *run) except -1 nogil:
        """Batch after batch, until the rows are all seen or something is not finite."""
        cdef double loss
        cdef Py_ssize_t i
        cdef long long looked = steepest_milliseconds()
        self.rows.order = run.order
        while run.seen < run.rows:
            self.rows.order = run.order + run.seen
            self.rows.count = min(run.batch, run.rows - run.seen)
            self.rows.total = self.total_of()
            loss = self.run_rows(parameters)
            for i in range(self.rows.parts):
                if self.wrong[i] >= 0 and not 0 <= run.wrong < self.wrong[i]:
                    run.wrong = self.wrong[i]
            if run.wrong < 0 and not isfinite(loss):
                run.wrong = <int>self.depth
            if run.wrong >= 0:
                return 0
            if run.rates != NULL:
                optimizer.set_rate(run.rates[run.made])
            optimizer.step_along(self.gradients)
            run.total += loss * self.rows.count
            run.seen += self.rows.count
            run.made += 1
            if steepest_milliseconds() - looked >= BETWEEN_CHECKS:
                looked = steepest_milliseconds()
                with gil:
                    PyErr_CheckSignals()
                    optimizer.check_parameter(0)
        return 0


cdef inline Py_ssize_t padded(Py_ssize_t count) noexcept nogil:
    return (count + PADDING - 1) & ~<Py_ssize_t>(PADDING - 1)


cdef char *take(Py_ssize_t count, Py_ssize_t size) except NULL:
    """Memory for so many elements, all 0, and what it takes to begin at a line of the cache."""
    cdef char *memory = <char *>PyMem_Calloc(count + LINE // size + 1, size)
    if memory == NULL:
        raise MemoryError()
    return memory


cdef inline char *aligned(char *memory) noexcept nogil:
    return memory + (-<size_t>memory & (LINE - 1))


cdef Py_ssize_t part_of(Py_ssize_t rows, Py_ssize_t operations) noexcept nogil:
    """How many rows make a part; see the reference."""
    cdef Py_ssize_t least = max((rows + PARTS - 1) // PARTS, (WORTH + operations - 1) // operations)
    return min((least + CHUNK - 1) // CHUNK, (rows + CHUNK - 1) // CHUNK) * CHUNK


cdef inline bint goes_back(const Rows *rows) noexcept nogil:
    return rows.by_weights or rows.by_inputs or rows.deltas != NULL


cdef inline Py_ssize_t place_of(const Rows *rows, Py_ssize_t i) noexcept nogil:
    """Which row of x is the i-th."""
    return rows.order[i] if rows.order != NULL else i


cdef bint in_range(const Py_ssize_t *places, Py_ssize_t count, Py_ssize_t bound) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if not 0 <= places[i] < bound:
            return False
    return True


cdef void take_rows(const char *start, Py_ssize_t row, Py_ssize_t column, const Rows *rows, Py_ssize_t first,
                    Py_ssize_t count, Py_ssize_t columns, int size, char *to, Py_ssize_t to_row) noexcept nogil:
    """Copy rows, whatever their strides, to lie `to_row` elements apart."""
    cdef Py_ssize_t i, j
    cdef const char *at
    for i in range(count):
        at = start + place_of(rows, first + i) * row
        if column == size:
            memcpy(to, at, columns * size)
        elif size == 8:
            for j in range(columns):
                (<double *>to)[j] = (<const double *>(at + j * column))[0]
        else:
            for j in range(columns):
                (<float *>to)[j] = (<const float *>(at + j * column))[0]
        to += to_row * size


cdef inline const void *const *rows_before(const Work *work, Py_ssize_t i) noexcept nogil:
    """Where the rows lie that enter layer i."""
    return <const void *const *>(work.value_rows + (i - 1) * CHUNK if i > 0 else work.inputs)


cdef void point_to(const char *start, Py_ssize_t row, const char **places, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        places[i] = start + i * row


cdef void take_answers(const Rows *rows, Py_ssize_t first, Py_ssize_t count, Py_ssize_t outputs, Py_ssize_t row,
                       int size, Work *work) noexcept nogil:
    """What the outputs are compared with, and how much each row counts."""
    cdef Py_ssize_t i, place
    cdef double factor = 1 / rows.total if rows.total > 0 else 0.0
    if rows.labels:
        for i in range(count):
            work.labels[i] = (<const int64_t *>(rows.y + place_of(rows, first + i) * rows.y_row))[0]
    else:
        take_rows(rows.y, rows.y_row, rows.y_column, rows, first, count, outputs, size, work.y, row)
    for i in range(count):
        work.weights[i], work.factors[i] = 1.0, factor
    if rows.weight != NULL:
        for i in range(count):
            work.weights[i] = (<const double *>(rows.weight + place_of(rows, first + i) * rows.weight_row))[0]
            work.factors[i] = work.weights[i] / rows.total if rows.total > 0 else 0.0


cdef void put_rows(const char *start, Py_ssize_t row, char *to, Py_ssize_t first, Py_ssize_t count,
                   Py_ssize_t columns, int size) noexcept nogil:
    """Copy rows of ours to where they lie one after the other."""
    cdef Py_ssize_t i
    for i in range(count):
        memcpy(to + (first + i) * columns * size, start + i * row * size, columns * size)
