# What a user may get wrong: Cython refuses every line that is marked, and no other.
# Here because a function that is called through a wrong type ends the process. Translated in ../test_cython_api.py.

from steepest.kernels.callback cimport compiled_scalar, compiled_status, compiled_vector
from steepest.kernels.callback cimport compiled_scaler     # mistake

cdef double right(int n, double *x, void *data) nogil:
    return x[0]

cdef double of_floats(int n, float *x, void *data) nogil:
    return x[0]

cdef double without_data(int n, double *x) nogil:
    return x[0]

cdef double needs_gil(int n, double *x, void *data):
    return x[0]

cdef double throws(int n, double *x, void *data) except 0 nogil:
    return x[0]

compiled_scalar(of_floats, NULL, None)          # mistake
compiled_scalar(without_data, NULL, None)       # mistake
compiled_scalar(needs_gil, NULL, None)          # mistake
compiled_scalar(throws, NULL, None)             # mistake
compiled_vector(of_floats, NULL, 1, None)       # mistake
compiled_status(of_floats, NULL, 1, None)       # mistake
compiled_scalar(lambda x: x, NULL, None)        # mistake
compiled_scalar(right, NULL)                    # mistake
compiled_scalar(right, NULL, None)
