# Share: the rows of a block split over several threads, for a compiled f. A part of difference.pyx.
# Here so that the file keeps to one subject at a time; who the threads are is the affair of threads.py.
# Tested in tests/test_threads.py.

cdef object evaluate_shared(Differences self, list functions, share, Py_ssize_t first, Py_ssize_t last):
    cdef Function leader = functions[0]
    cdef Py_ssize_t before
    cdef cnp.ndarray halts = np.zeros(len(functions), np.intc)
    self.check_function(leader)
    for function in functions[1:]:
        function.follow(leader)
        self.check_function(function)
    self.running = True
    self.evaluated = 0
    try:
        code = evaluate_first(self, leader, first, last)
        before = leader.nfev
        if code == GOOD:
            self.evaluated = 0
            code = share(lambda i, a, b: evaluate_part(self, functions[i], before, first, a, b, halts, i),
                         first, last, halts)
            leader.nfev = before + self.evaluated
        for function in functions[1:]:
            if code == GOOD:
                code = function.finish()
        return code
    finally:
        self.running = False


cdef int evaluate_part(Differences self, Function function, Py_ssize_t before, Py_ssize_t start, Py_ssize_t first,
                       Py_ssize_t last, cnp.ndarray halts, Py_ssize_t i) except -1:
    """What one thread does; evaluations are numbered as if there were one."""
    if not (self.running and start <= first <= last <= min(self.rows, start + self.block)):
        raise ValueError("these rows are not part of an evaluation under way")
    cdef Place at = Place(first, 0)
    cdef Py_ssize_t row, number = before
    for row in range(start, first):
        number += self.count_of(row) + (1 if self.own_base and self.needs_base(row) else 0)
    function.nfev = number
    try:
        return self.work(function, start, first, last, &at, <const int *>PyArray_DATA(halts) + i)
    except BaseException as error:
        self.annotate(error, function, function.nfev, at)
        raise
    finally:
        self.evaluated += function.nfev - number


cdef int evaluate_first(Differences self, Function function, Py_ssize_t first, Py_ssize_t last) except -1:
    """f at x, before several threads need it."""
    cdef Place at = Place(first, -1)
    cdef int code, mode = steepest_mode()
    if self.own_base or self.has_base:
        return GOOD
    while at.row < last and not self.needs_base(at.row):
        at.row += 1
    if at.row == last:
        return GOOD
    function.enter(NULL)
    try:
        with nogil:
            code = self.evaluate_base(function, at.row, 0)
        if steepest_mode() != mode:
            twin.refuse_mode(function.label)
        return code
    except BaseException as error:
        self.annotate(error, function, function.nfev, at)
        raise
    finally:
        function.leave()
