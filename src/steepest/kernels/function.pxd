# One protocol for everything that can be evaluated.
# Here so that the loops of kernels/difference.pyx never know which kind of function they call.
# Tested in tests/test_callback.py and tests/faults/.

cimport numpy as cnp
from cpython.object cimport PyObject
from libc.math cimport NAN
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memset

cdef extern from "Python.h":
    ctypedef PyObject *(*vectorcallfunc)(PyObject *callable, PyObject **args, size_t nargs, PyObject *names) noexcept

# evaluate(self, entry, point, value): put *point into entry `entry` of x (or take BASE, LINE, a way), call, and store
# the real numbers of the result at *value. `point` and `value` hold double, or long double when self.wide.
# Returns GOOD, or says why everything must be evaluated again. The type says nogil, so that a loop over compiled
# functions can run without the GIL; a loop over a Python function (not self.native) must hold it.
ctypedef int (*evaluate_t)(void *self, Py_ssize_t entry, const void *point, void *value) except -1 nogil

# gradient(differences, function, x, out): the differences of the function at x, which is to be its x from now on.
# Returns GOOD, or anything else when that needs more care than this road takes. nogil as above.
ctypedef int (*gradient_t)(void *differences, void *function, const double *x, double *out) except -1 nogil

cdef enum:
    BASE = -1       # at x itself
    LINE = -2       # at x + point * direction
    GROUPS = -16    # GROUPS - k: the entries of group k, each at its own point
    WAYS = -1073741824  # WAYS - k: along the k-th way, which moves some entries of x

cdef enum:
    GOOD = 0
    TAMPERED = 1    # the function has written into x: give it a fresh copy every time
    COARSE = 2      # the function computes in less precision than the steps were chosen for
    HALTED = 3      # another thread has said that no more is wanted

# What a compiled function looks like where it is called. Whether it has raised is seen by the loops, in the state of
# their thread: not here, call by call.
ctypedef double (*scalar_t)(int n, double *x) noexcept nogil
ctypedef double (*scalar_data_t)(int n, double *x, void *data) noexcept nogil
ctypedef void (*vector_t)(int n, double *x, int m, double *out, void *data) noexcept nogil
ctypedef int (*status_t)(int n, double *x, int m, double *out, void *data) noexcept nogil

cdef enum:
    SCALAR = 0
    SCALAR_DATA = 1
    VECTOR = 2
    STATUS = 3


cdef class Memory:
    cdef char *data                 # on a boundary of 64 bytes, as vectorised code likes it
    cdef char *block


cdef Memory allocate(Py_ssize_t nbytes)


cdef class Compiled:
    """A C function, what it looks like, and what must stay alive with it."""
    cdef void *function
    cdef void *user_data
    cdef readonly int form
    cdef readonly bint number       # it gives one number, not a vector of one
    cdef readonly Py_ssize_t size   # numbers it gives; -1 while not known
    cdef readonly double eps        # the precision it computes in
    cdef readonly object owner      # what must stay alive
    cdef readonly object origin     # a Python callable of the same values, or None
    cdef readonly str label


cdef int int_of(Py_ssize_t count) except -1


cdef inline int run_compiled(int form, void *function, void *data, int n, double *x, int m,
                             double *out) noexcept nogil:
    """Call a C function once; a status below 0 is returned, one above 0 leaves NaN in `out`."""
    cdef int i, status = 0
    if form == SCALAR_DATA:
        out[0] = (<scalar_data_t>function)(n, x, data)
        return 0
    if form == SCALAR:
        out[0] = (<scalar_t>function)(n, x)
        return 0
    for i in range(m):
        out[i] = NAN
    if form == VECTOR:
        (<vector_t>function)(n, x, m, out, data)
        return 0
    status = (<status_t>function)(n, x, m, out, data)
    if status > 0:
        for i in range(m):
            out[i] = NAN
        status = 0
    return status


cdef class Groups:
    """Entries of x in groups that are moved together, and the points that each of them is moved to.

    A member has `width` points, of which a group takes the one that `point` says: 1, -1, 2, -2, ... for central
    differences, 1, 2, ... or -1, -2, ... for those to one side.
    """
    cdef readonly Py_ssize_t count, entries, size, width      # groups, entries of x, members, points of each
    cdef readonly bint wide, central
    cdef bint placed                # the points are there
    cdef Py_ssize_t *starts         # of each group, in members; one more for the end
    cdef Py_ssize_t *members        # entries of x
    cdef Py_ssize_t capacity        # points of each member that there is room for
    cdef const char *points         # in the block, or wherever the groups' maker has them
    cdef char *block

    cdef int take_groups(self, cnp.ndarray starts, cnp.ndarray members, Py_ssize_t entries, Py_ssize_t capacity,
                         bint wide) except -1


cdef class Function:
    cdef evaluate_t evaluate
    cdef readonly bint native       # evaluate may run without the GIL
    cdef readonly bint batch        # evaluates many points in one call, by evaluate_rows
    cdef readonly bint wide         # points and values are long double
    cdef readonly bint vector       # results are one-dimensional arrays, not single numbers
    cdef readonly bint as_complex   # results are stored as pairs (real, imaginary)
    cdef bint imaginary             # the perturbation goes into the imaginary part
    cdef str sized_by               # the argument that has told how long results are: f0 or x; "" when f has
    cdef bint started               # x is there
    cdef bint unseen                # what f does to x has not been looked at yet
    cdef bint running               # an evaluation is under way without the GIL
    cdef readonly Py_ssize_t count  # entries of x
    cdef readonly Py_ssize_t size   # real numbers in one result; -1 while not known
    cdef readonly str label         # what f is called in messages
    cdef readonly double coarsest   # the lowest precision seen in a result since begin
    cdef public double eps          # the precision that the steps were chosen for
    cdef public bint fresh          # give f a fresh copy of x in every call
    cdef public Py_ssize_t nfev
    # x
    cdef cnp.dtype dtype            # as f sees it
    cdef int real_type              # NPY_FLOAT, NPY_DOUBLE or NPY_LONGDOUBLE: of its parts
    cdef int ndim
    cdef Py_ssize_t *extents        # its shape and, in C order, its strides
    cdef Py_ssize_t short_extents[2]
    cdef Py_ssize_t stride          # bytes of one entry
    cdef Py_ssize_t offset          # bytes from an entry to the part that is perturbed
    cdef Py_ssize_t nbytes
    cdef char *private_data         # as it is: never lent
    cdef char *data                 # as f sees it
    cdef cnp.ndarray direction, lower, upper
    cdef Groups groups
    cdef Memory ways                # the ways of this run, laid out as in _place.pxi
    cdef Py_ssize_t way_count, way_moves

    cdef int take_type(self, cnp.dtype dtype, bint vector, bint imaginary, str label) except -1
    cdef int take_shape(self, int ndim, const Py_ssize_t *shape) except -1
    cdef int start(self, cnp.ndarray x) except -1
    cdef int take_point(self, cnp.ndarray x) except -1
    cdef int close(self) except -1
    cdef int enter(self, const int *halt) except -1
    cdef int leave(self) except -1
    cdef int place(self, char *x, Py_ssize_t entry, const void *point) except -1 nogil
    cdef int evaluate_rows(self, const Py_ssize_t *entries, Py_ssize_t count, const void *points,
                           void *values) except -1
    cdef object call_at_base(self)
    cdef int judge(self, double eps) except -1
    cdef int check_bounds(self, cnp.ndarray lower, cnp.ndarray upper) except -1
    cdef bint suits(self, cnp.ndarray array, Py_ssize_t count)


cdef class PythonFunction(Function):
    cdef readonly object function
    cdef object arguments           # what follows x, kept alive
    cdef tuple names                # the names of keyword arguments, or None
    cdef void **stack               # [spare, x, *args, *keyword values], as vectorcall wants it; private_data behind
    cdef vectorcallfunc invoke
    cdef size_t nargs
    cdef PyObject *keywords
    cdef bint takes_float           # a plain float is a whole result
    cdef bint plain                 # a function written in Python, which checks signals by itself
    cdef Memory memory              # x as f sees it
    cdef cnp.ndarray view
    cdef uint64_t seal[8]           # what the view was when it was lent

    cdef int set_up(self, function, tuple args, kwargs, int ndim, const Py_ssize_t *shape, cnp.dtype dtype,
                    bint vector, bint imaginary, str label) except -1
    cdef int lend(self) except -1
    cdef int store(self, object result, void *value) except -1


cdef enum:
    GUARD = 64          # bytes
    GUARD_BYTE = 0xA5


cdef inline void put_guards(char *numbers, Py_ssize_t nbytes) noexcept:
    """Mark what lies before and behind some bytes that C code is given to write into."""
    memset(numbers - GUARD, GUARD_BYTE, GUARD)
    memset(numbers + nbytes, GUARD_BYTE, GUARD)


cdef inline bint guarded(const char *numbers, Py_ssize_t nbytes) noexcept:
    """Whether these marks are as they were."""
    cdef const unsigned char *before = <const unsigned char *>numbers - GUARD
    cdef const unsigned char *behind = <const unsigned char *>numbers + nbytes
    cdef int i, changed = 0
    for i in range(GUARD):
        changed |= (before[i] ^ GUARD_BYTE) | (behind[i] ^ GUARD_BYTE)
    return changed == 0


cdef enum:
    SMALL = 128     # bytes that are compared as quickly as not


cdef inline bint differs(const char *a, const char *b, Py_ssize_t stride) noexcept nogil:
    if stride == 8:
        return (<const uint64_t *>a)[0] != (<const uint64_t *>b)[0]
    return memcmp(a, b, stride) != 0


cdef inline bint tampered(Function self, Py_ssize_t entry, Py_ssize_t stride) noexcept nogil:
    """Whether f has written elsewhere in x: looked for everywhere after the first call, and next door after each.

    A function that undoes in every second call what it wrote in the first (x *= -1) is seen by neither the comparison
    before an entry is perturbed nor the one at the end.
    """
    if self.unseen or self.nbytes <= SMALL:
        self.unseen = False
        return memcmp(self.data, self.private_data, self.nbytes) != 0
    cdef Py_ssize_t next_door = (entry + 1) * stride if entry + 1 < self.count else 0
    return differs(self.data + next_door, self.private_data + next_door, stride)
