# Compiled functions as the loops see them: evaluated by pointer, without the GIL.
# Here so that other kernels can cimport it. Tested in tests/test_native.py and tests/faults/test_native.py.

cimport numpy as cnp
from cpython.object cimport PyObject

from steepest.kernels.function cimport Compiled, Function, Memory


cdef class NativeFunction(Function):
    cdef readonly Compiled compiled
    cdef void *function             # what the loop needs of it
    cdef void *user_data
    cdef int form
    cdef int n                      # as f takes the number of entries
    cdef Py_ssize_t lent            # bytes of what f sees
    cdef readonly bint each         # f is a function of one number, evaluated at the entries of x one by one
    cdef readonly bint quiet        # runs in a thread of the pool: signals are the main thread's
    cdef Memory memory              # x as f sees it between guards, and x as it is
    cdef Memory results             # what f writes its numbers into between guards; none when it returns one
    cdef PyObject **raised          # where the interpreter notes an exception of this thread
    cdef const volatile int *ending  # whether it goes away with the interpreter
    cdef const int *halt            # where another thread says that no more is wanted
    cdef int patience, left         # evaluations from one look at the clock to the next, and those still to come
    cdef long long looked, checked  # when the clock was looked at, and when signals were

    cdef int set_up(self, Compiled compiled, int ndim, const Py_ssize_t *shape, cnp.dtype dtype, bint vector,
                    bint each, str label) except -1
    cdef int make_room(self) except -1
    cdef int get_ready(self) noexcept
    cdef NativeFunction clone(self)
