# Compiled: a C function that can stand for f. A part of function.pyx.
# Here so that one object holds the pointer, its signature and whatever must stay alive with it.
# Tested in tests/test_compiled.py and tests/faults/test_native.py.

cdef class Compiled:
    """A C function as an f: `steepest.compiled` makes one of whatever kind of compiled function there is.

    Parameters
    ----------
    address : int
        Where the function is.
    signature : str
        One of `steepest.reference.callback.SIGNATURES`.
    data : int, optional
        What it is given as its last argument.
    owner : object, optional
        What must stay alive: the library, the user data.
    origin : callable, optional
        A Python function of the same values, which raises what a status of -1 stands for.
    size : int, optional
        How many numbers a function of the vector forms gives; -1 while that is not known.
    eps : float, optional
        The precision it computes in.
    label : str, optional
        What it is called in messages.
    number : bool, optional
        It gives one number, not a vector of one, though it has a vector form.

    Raises
    ------
    ValueError
        For address 0 and for any other signature.
    """

    def __init__(self, size_t address, str signature, size_t data=0, owner=None, origin=None, Py_ssize_t size=-1,
                 double eps=DBL_EPSILON, str label="f", bint number=False):
        if self.function != NULL:
            raise BusyError("a compiled function is described once")
        if signature not in SIGNATURES:
            raise ValueError(f"f has the signature {signature!r}, but must have one of {', '.join(SIGNATURES)}")
        if address == 0:
            raise ValueError("f is a NULL pointer")
        if not -1 <= size <= INT_MAX:
            raise ValueError(f"size must be the number of results of f, which is an int in C, not {size}")
        self.form = SIGNATURES.index(signature)
        if self.form <= SCALAR_DATA and size not in (-1, 1):
            raise ValueError(f"size must be 1 for {signature!r}, not {size}")
        self.number = number or self.form <= SCALAR_DATA
        self.size = 1 if self.number else size
        self.owner, self.origin, self.eps, self.label = owner, origin, eps, label
        self.user_data = <void *>data
        self.function = <void *>address

    @property
    def address(self):
        """Where the function is."""
        return <size_t>self.function

    @property
    def data(self):
        """The address of what it is given as its last argument."""
        return <size_t>self.user_data

    @property
    def signature(self):
        """What it looks like in C."""
        return SIGNATURES[self.form]

    def __repr__(self):
        size = "" if self.size in (-1, 1) else f", size={self.size}"
        return f"<compiled {self.label}: {self.signature}{size}>"

    def __reduce__(self):
        raise TypeError(f"{self.label} is compiled: its address means nothing elsewhere, so that it cannot be pickled")

    def __call__(self, x):
        """Evaluate once, at a copy of x: a number, or an array of `size` numbers."""
        if self.function == NULL:
            raise ValueError("this compiled function was never described")
        if self.size < 0:
            raise ValueError(f"how many numbers {self.label} gives is not known: use steepest.compiled(f, size=m)")
        cdef cnp.ndarray point = np.array(x, np.float64, order="C")
        cdef cnp.ndarray out = np.empty(self.size)
        cdef int status, n = int_of(point.size)
        cdef Memory seen = guarded_room(point.nbytes), results = guarded_room(out.nbytes)
        memcpy(seen.data + GUARD, PyArray_DATA(<void *>point), point.nbytes)
        with nogil:
            status = run_compiled(self.form, self.function, self.user_data, n, <double *>(seen.data + GUARD),
                                  <int>self.size, <double *>(results.data + GUARD))
        if PyErr_Occurred() != NULL:
            raise_pending()
        if not guarded(seen.data + GUARD, point.nbytes):
            raise FunctionError(f"{self.label} has written outside of x, which has {n} entries")
        if not guarded(results.data + GUARD, out.nbytes):
            raise FunctionError(f"{self.label} has written outside of out, which takes {self.size} numbers")
        memcpy(PyArray_DATA(<void *>out), results.data + GUARD, out.nbytes)
        if status < 0:
            if self.origin is not None:
                return self.origin(point)
            raise FunctionError(f"{self.label} returned the status {status}", status)
        return float(out[0]) if self.number else out


cdef Memory guarded_room(Py_ssize_t nbytes):
    """Memory for some bytes, between guards."""
    cdef Memory memory = allocate(nbytes + 2 * GUARD)
    put_guards(memory.data + GUARD, nbytes)
    return memory


cdef int raise_pending() except -1:
    """Raise the exception that a C function has set."""
    return -1


cdef int int_of(Py_ssize_t count) except -1:
    """The number of entries of x as C functions take it."""
    if count > INT_MAX:
        raise OverflowError(f"x has {count} entries: more than an int of a compiled f can count")
    return <int>count
