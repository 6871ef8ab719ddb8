"""The public Cython API; for Python, one name for all that can be evaluated.

Here, apart from function.pyx, so that an extension that cimports it is compiled with nothing that may change: no class,
no NumPy. What each function does is said in callback.pxd. Tested in tests/test_cython_api.py.
"""

from steepest.kernels.function cimport SCALAR_DATA, STATUS, VECTOR

from steepest.kernels.function import SIGNATURES, Compiled
from steepest.kernels.function import BatchFunction, Function, Memory, PythonFunction, ScalarFunction  # no-cython-lint


cdef object described(void *function, int form, void *data, Py_ssize_t size, object owner):
    return Compiled(<size_t>function, SIGNATURES[form], <size_t>data, owner, None, size)


cdef object compiled_scalar(double (*f)(int n, double *x, void *data) except? -1 nogil, void *data, object owner):
    return described(<void *>f, SCALAR_DATA, data, 1, owner)


cdef object compiled_vector(void (*f)(int n, double *x, int m, double *out, void *data) except * nogil,
                            void *data, Py_ssize_t size, object owner):
    return described(<void *>f, VECTOR, data, size, owner)


cdef object compiled_status(int (*f)(int n, double *x, int m, double *out, void *data) except? -1 nogil,
                            void *data, Py_ssize_t size, object owner):
    return described(<void *>f, STATUS, data, size, owner)
