# The example of the README, section "From Cython", word for word from the first cimport on.
# Here so that it is compiled as it stands. Run in ../test_cython_api.py.

from steepest.kernels.callback cimport compiled_scalar

cdef double height(int n, double *x, void *data) except? -1 nogil:
    if n != 2:
        raise ValueError("the valley lies in a plane")
    cdef double along = 1 - x[0], across = x[1] - x[0] * x[0]
    return along * along + (<double *>data)[0] * across * across

cdef class Valley:
    cdef double steepness

    def __init__(self, double steepness):
        self.steepness = steepness

    def function(self):
        return compiled_scalar(height, &self.steepness, self)   # which keeps self alive
