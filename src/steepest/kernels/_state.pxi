# The state of a walk as arrays: taken out, and put back. A part of descent.pyx.
# Here so that the file keeps to one subject at a time; the names stand in reference/walks.py.
# Tested in tests/test_descent.py.

cdef object copy_of(const double *numbers, tuple shape):
    cdef cnp.ndarray array = np.empty(shape)
    if array.size:
        memcpy(PyArray_DATA(array), numbers, array.nbytes)
    return array


cdef object copy_rows(Descent self, double **rows, Py_ssize_t count):
    cdef cnp.ndarray array = np.empty((count, self.n))
    cdef Py_ssize_t i
    for i in range(count):
        memcpy(<double *>PyArray_DATA(array) + i * self.n, rows[i], self.n * sizeof(double))
    return array


cdef object best_gradient(Descent self):
    """NaN while it is not known."""
    return copy_of(self.best_g_, (self.n,)) if self.best_has_g else np.full(self.n, NAN)


cdef int take(double *to, cnp.ndarray array) except -1:
    if array.size:
        memcpy(to, PyArray_DATA(array), array.nbytes)
    return 0


cdef int take_rows(Descent self, double **rows, cnp.ndarray array) except -1:
    cdef Py_ssize_t i
    for i in range(array.shape[0]):
        memcpy(rows[i], <double *>PyArray_DATA(array) + i * self.n, self.n * sizeof(double))
    return 0


cdef object state_of(Descent self):
    vector, rows = (self.n,), self.n if self.method == BFGS else 0
    state = {"x": self.x, "g": self.g, "d": self.d, "best_x": self.best_x, "best_g": self.best_g,
             "u": copy_of(self.u_, vector), "previous": copy_of(self.previous_, vector),
             "S": copy_rows(self, self.S_, self.m), "Y": copy_rows(self, self.Y_, self.m),
             "rho": copy_of(self.rho_, (self.m,)), "H": copy_rows(self, self.H_, rows).reshape(rows, rows)}
    state["numbers"] = np.array([
        self.f, self.best_f, self.step, self.rate, self.curvature, self.weight, self.mean, self.scale,
        self.scale_weight, self.theta, self.length, self.share, self.slope, self.momentum])
    state["counts"] = np.array([self.nit, self.nfev, self.njev, self.pairs, self.newest, self.best_has_g,
                                self.waiting], np.int64)
    state["values"] = copy_of(self.values, (self.count_values,))
    state["recent"] = copy_of(self.recent_, (self.count_recent,))
    return state


cdef int go_on_from(Descent self, state) except -1:
    """Check everything, then take it."""
    rows = self.n if self.method == BFGS else 0
    shapes = dict.fromkeys(("x", "g", "d", "best_x", "best_g", "u", "previous"), (self.n,))
    shapes.update(S=(self.m, self.n), Y=(self.m, self.n), rho=(self.m,), H=(rows, rows),
                  numbers=(MEMORY_OF_NUMBERS,))
    arrays = {name: np.ascontiguousarray(state[name], np.float64) for name in (*shapes, "values", "recent")}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} in state must have shape {shape}, not {arrays[name].shape}")
    counts = [int(count) for count in state["counts"]]
    if (len(counts) != 7 or not 0 <= counts[3] <= self.m or not 0 <= counts[4] < self.m
            or arrays["values"].ndim != 1 or not 0 < arrays["values"].size <= WINDOW
            or arrays["recent"].ndim != 1 or arrays["recent"].size > RECENT):
        raise ValueError("state is not that of such a walk")
    apart(self)
    take(self.x_, arrays["x"])
    take(self.g_, arrays["g"])
    take(self.d_, arrays["d"])
    take(self.best_x_, arrays["best_x"])
    take(self.best_g_, arrays["best_g"])
    take(self.u_, arrays["u"])
    take(self.previous_, arrays["previous"])
    take_rows(self, self.S_, arrays["S"])
    take_rows(self, self.Y_, arrays["Y"])
    take(self.rho_, arrays["rho"])
    take_rows(self, self.H_, arrays["H"])
    take(self.values, arrays["values"])
    take(self.recent_, arrays["recent"])
    self.count_values, self.count_recent = arrays["values"].size, arrays["recent"].size
    (self.f, self.best_f, self.step, self.rate, self.curvature, self.weight, self.mean, self.scale,
     self.scale_weight, self.theta, self.length, self.share, self.slope, self.momentum) = arrays["numbers"].tolist()
    (self.nit, self.nfev, self.njev, self.pairs, self.newest) = counts[:5]
    self.best_has_g, self.waiting = counts[5] != 0, counts[6] != 0
    return 0
