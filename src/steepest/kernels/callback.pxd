# The public Cython API: a cdef function as an f. No class and no cimport may stand here: they would be compiled into
# every extension that cimports this, and bind it to one version of steepest.
# Tested in tests/test_cython_api.py.
#
# A cdef function becomes an f that every function of steepest takes; it is called by pointer, without the GIL:
#
#     from steepest.kernels.callback cimport compiled_scalar
#
#     cdef double bowl(int n, double *x, void *data) except? -1 nogil:
#         cdef double total = 0
#         cdef int i
#         for i in range(n):
#             total += (<double *>data)[0] * x[i] * x[i]
#         return total
#
#     cdef class Bowl:
#         cdef double width
#         def __init__(self, double width):
#             self.width = width
#         def function(self):
#             return compiled_scalar(bowl, &self.width, self)     # function, data, owner
#
# and in Python: steepest.gradient(Bowl(3).function(), [1.0, 2.0]).
#
# f        sees the n numbers of x in scratch memory: it may write into them, but must not keep the pointer. A vector
#          function writes its m results to `out`, which comes filled with NaN: what is left unwritten is NaN.
# data     is handed to f in every call as it is. NULL will do; else what it points to belongs to the owner.
# owner    is any object, or None; it lives as long as the function that is made here.
# size     is m, how many results there are; -1 when `jacobian` is to be told by f0= or out=.
# status   is what f returns: 0 when all is well; above 0 when it cannot be computed at this x, whose results are NaN;
#          below 0 to end the run, with a FunctionError that bears the status.
# raise    in f ends the run after that call; the caller gets the same object, with a note that names the evaluation.
#          This needs `except? -1`, or no declaration, which means the same to Cython; a status function may have
#          `except -1`. In a `noexcept` function Cython prints what is raised and drops it, and the run goes on: there
#          a status below 0 ends it, or PyErr_SetObject `with gil`.
# workers  make several threads call f at a time: what it writes to data it must guard itself.
#
# All three give a steepest.kernels.callback.Compiled, raise ValueError for a NULL function or an impossible size, and
# need the GIL. Their C signatures are frozen: more functions may come, these do not change.
#
# An extension is compiled where steepest can be imported; it need not be compiled again when steepest is upgraded.

cdef object compiled_scalar(double (*f)(int n, double *x, void *data) except? -1 nogil, void *data, object owner)

cdef object compiled_vector(void (*f)(int n, double *x, int m, double *out, void *data) except * nogil,
                            void *data, Py_ssize_t size, object owner)

cdef object compiled_status(int (*f)(int n, double *x, int m, double *out, void *data) except? -1 nogil,
                            void *data, Py_ssize_t size, object owner)
