"""Which rows come next: minibatches from a seed, without the GIL. The twin of reference/sampler.py.

Here because a shuffle is a loop over all rows at the start of every epoch. The ways, and where the random numbers come
from, stand in the reference; this file does the same, index for index. Tested in tests/test_sampler.py.

What limits it: memory, which a shuffle reads and writes in no order; where that fits into the cache, two
multiplications and two swaps a row.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

import numpy as np

from steepest.errors import BusyError
from steepest.reference import sampler as twin

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    EPOCHS, REPLACEMENT, BATCHES, ORDER

cdef uint64_t GAMMA = 0x9E3779B97F4A7C15
cdef uint64_t FIRST = 0xBF58476D1CE4E5B9
cdef uint64_t SECOND = 0x94D049BB133111EB


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """The hash of SplitMix64."""
    z = (z ^ (z >> 30)) * FIRST
    z = (z ^ (z >> 27)) * SECOND
    return z ^ (z >> 31)


cdef inline uint64_t high_product(uint64_t a, uint64_t b) noexcept nogil:
    """The upper half of a product, which C has no type for everywhere."""
    cdef uint64_t mask = 0xFFFFFFFF
    cdef uint64_t low = (a & mask) * (b & mask), cross = (a >> 32) * (b & mask) + (low >> 32)
    cdef uint64_t other = (a & mask) * (b >> 32) + (cross & mask)
    return (a >> 32) * (b >> 32) + (cross >> 32) + (other >> 32)


cdef inline Py_ssize_t below(uint64_t counter, Py_ssize_t limit, Py_ssize_t k) noexcept nogil:
    """The k-th random number of a stream, from 0 to below a limit."""
    return <Py_ssize_t>high_product(mixed(counter + <uint64_t>k * GAMMA), <uint64_t>limit)


cdef inline void swap(Py_ssize_t *order, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    cdef Py_ssize_t kept = order[i]
    order[i] = order[j]
    order[j] = kept


cdef void shuffle(Py_ssize_t *order, Py_ssize_t rows, uint64_t counter) noexcept nogil:
    """Durstenfeld's algorithm, from the end."""
    cdef Py_ssize_t i
    for i in range(rows - 1, 0, -1):
        swap(order, i, below(counter, i + 1, rows - i))


cdef void take_subset(Py_ssize_t *order, Py_ssize_t *swaps, Py_ssize_t *taken, Py_ssize_t rows, Py_ssize_t first,
                      Py_ssize_t count, uint64_t counter) noexcept nogil:
    """The beginning of a shuffle, which is undone."""
    cdef Py_ssize_t i
    for i in range(count):
        swaps[i] = i + below(counter, rows - i, first + i + 1)
        swap(order, i, swaps[i])
    memcpy(taken, order, count * sizeof(Py_ssize_t))
    for i in range(count - 1, -1, -1):
        swap(order, i, swaps[i])


cdef class Sampler:
    """Batches of rows, one after the other; see `steepest.reference.sampler.Sampler`."""

    cdef readonly Py_ssize_t rows, batch, epoch, position
    cdef readonly int way
    cdef readonly uint64_t seed
    cdef uint64_t counter
    cdef Py_ssize_t *order          # of the rows, and behind it the swaps of a batch
    cdef bint running

    def __cinit__(self):
        self.order = NULL

    def __dealloc__(self):
        PyMem_Free(self.order)

    def __init__(self, Py_ssize_t rows, Py_ssize_t batch, int way, uint64_t seed):
        cdef Py_ssize_t room = 1
        if self.order != NULL:
            raise TypeError("a sampler is made once")
        if not (0 < batch <= rows <= twin.MOST and EPOCHS <= way <= ORDER):
            raise ValueError(f"there is no sampler of {batch} of {rows} rows in way {way}")
        if way == EPOCHS or way == BATCHES:
            if rows > PY_SSIZE_T_MAX // <Py_ssize_t>(2 * sizeof(Py_ssize_t)):
                raise MemoryError(f"no memory for the order of {rows} rows")
            room = rows + (batch if way == BATCHES else 0)
        self.order = <Py_ssize_t *>PyMem_Malloc(room * sizeof(Py_ssize_t))
        if self.order == NULL:
            raise MemoryError(f"no memory for the order of {rows} rows")
        self.rows, self.batch, self.way, self.seed = rows, batch, way, seed
        self.restore(0, 0)

    def restore(self, Py_ssize_t epoch, Py_ssize_t position):
        """Go on from a place between two batches."""
        if not (0 <= epoch <= twin.MOST and 0 <= position <= self.rows):
            raise ValueError(f"there is no place {position} in epoch {epoch}")
        if position % self.batch and position != self.rows:
            raise ValueError(f"position must be between two batches of {self.batch} rows, not {position}")
        self.begin(epoch)
        self.position = position

    cdef int begin(self, Py_ssize_t epoch) except -1:
        """Draw what an epoch needs."""
        cdef Py_ssize_t i
        if self.running:
            raise BusyError("this sampler is at work for another call")
        self.running = True
        with nogil:
            self.counter = mixed(mixed(self.seed + GAMMA) + (<uint64_t>epoch + 1) * GAMMA)
            if self.way == EPOCHS or self.way == BATCHES:
                for i in range(self.rows):
                    self.order[i] = i
            if self.way == EPOCHS:
                shuffle(self.order, self.rows, self.counter)
        self.epoch, self.position = epoch, 0
        self.running = False
        return 0

    def take(self):
        """The next batch: an array of intp; a new epoch begins where one is over."""
        cdef cnp.ndarray taken
        cdef Py_ssize_t *to
        cdef Py_ssize_t i, first, count
        if self.order == NULL:
            raise ValueError("this sampler was never made")
        if self.position == self.rows:
            self.begin(self.epoch + 1)
        first = self.position
        count = min(self.batch, self.rows - first)
        taken = np.empty(count, np.intp)
        to = <Py_ssize_t *>PyArray_DATA(taken)
        if self.way == EPOCHS:
            memcpy(to, self.order + first, count * sizeof(Py_ssize_t))
        elif self.way == REPLACEMENT:
            for i in range(count):
                to[i] = below(self.counter, self.rows, first + i + 1)
        elif self.way == BATCHES:
            take_subset(self.order, self.order + self.rows, to, self.rows, first, count, self.counter)
        else:
            for i in range(count):
                to[i] = first + i
        self.position = first + count
        return taken
