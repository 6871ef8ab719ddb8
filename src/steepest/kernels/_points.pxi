# Which points: the step, the kind of difference and the points of every row. A part of difference.pyx.
# Here so that the file keeps to one subject at a time; the rules stand in reference/difference.py.
# Tested in tests/test_difference.py.

cdef extern from *:
    """
    /* Round to float and back. Volatile, because gcc 12 at -O2 drops both conversions where two such results are stored
       side by side (its basic-block vectoriser takes the pair for a copy); tests/test_difference.py would notice. */
    static inline double steepest_single(double x)
    {
        volatile float single = (float)x;
        return single;
    }
    """
    double steepest_single(double x) noexcept nogil


cdef bint plan_regular(const double *x, Py_ssize_t count, double floor, double relative, double *step,
                       double *points) noexcept nogil:
    """Second-order central differences without bounds, where no step is lost and no point overflows.

    Says whether that holds of all entries: the same rule as plan_rows, without a branch.
    """
    cdef double limit = DBL_MAX / 4, h
    cdef Py_ssize_t i, inside = 0
    if not (relative >= RESOLUTION * DBL_EPSILON and 0 < floor < limit and relative < 1):
        return False
    for i in range(count):
        inside += fabs(x[i]) <= limit
        h = max(floor, relative * fabs(x[i]))
        step[i] = h
        points[2 * i] = x[i] + h
        points[2 * i + 1] = x[i] - h
    return inside == count


cdef bint plan_regular_one_sided(const double *x, Py_ssize_t count, double floor, double relative, double side,
                                 double *step, double *points) noexcept nogil:
    """The same for first-order differences to one side."""
    cdef double limit = DBL_MAX / 4, h
    cdef Py_ssize_t i, inside = 0
    if not (relative >= RESOLUTION * DBL_EPSILON and 0 < floor < limit and relative < 1):
        return False
    for i in range(count):
        inside += fabs(x[i]) <= limit
        h = max(floor, relative * fabs(x[i])) * side
        step[i] = h
        points[i] = x[i] + h
    return inside == count


cdef bint load(const floating *source, Py_ssize_t count, Py_ssize_t parts, working *x,
               working *magnitude) noexcept nogil:
    """Take the real parts, and the larger part's size, of real or complex numbers."""
    cdef Py_ssize_t i
    cdef working re, im, sum = 0.0
    for i in range(count):
        re = <working>source[i * parts]
        sum += re - re
        x[i] = re
        if parts == 2:
            im = <working>source[i * parts + 1]
            sum += im - im
            magnitude[i] = max(size_of(re), size_of(im))
    return sum == 0.0


cdef Py_ssize_t count_outside(const working *x, const working *lower, const working *upper, Py_ssize_t count) noexcept:
    cdef Py_ssize_t i, outside = 0
    for i in range(count):
        outside += x[i] < lower[i] or x[i] > upper[i]
    return outside


cdef inline working size_of(working x) noexcept nogil:
    return -x if x < 0 else x


cdef inline working rounded(working x, bint single) noexcept nogil:
    """Round to the type of x, in which f sees it."""
    return <working>steepest_single(<double>x) if single else x


cdef inline working unit_of(working x, int real_type) noexcept nogil:
    """The distance from |x| to the next number of its type."""
    x = size_of(x)
    if real_type == cnp.NPY_FLOAT:
        return <working>(nextafterf(<float>x, <float>INFINITY) - <float>x)
    if real_type == cnp.NPY_DOUBLE:
        return <working>(nextafter(<double>x, INFINITY) - <double>x)
    return <working>(nextafterl(<long double>x, <long double>INFINITY) - <long double>x)


cdef int plan_rows(Differences self, working *x) except -1:
    """Step, kind, points and status of every row; the rules stand in reference/difference.py."""
    cdef const working *magnitude = <const working *>self.magnitude_
    cdef const working *floor = <const working *>self.rule_
    cdef Py_ssize_t rules = self.rows if self.rule_stride else 1
    cdef const working *relative = floor + rules
    cdef const working *fallback = relative + rules
    cdef const working *lower = <const working *>self.lower_
    cdef const working *upper = <const working *>self.upper_
    cdef working *steps = <working *>self.step_
    cdef working *points = <working *>self.points_
    cdef working eps, largest, low, high, h, size, least
    cdef working reach = self.reach if self.method == CENTRAL else self.one_sided
    cdef Py_ssize_t row, k, at
    cdef bint single = self.real_type == cnp.NPY_FLOAT
    cdef int kind
    if self.real_type == cnp.NPY_FLOAT:
        eps, largest = FLT_EPSILON, FLT_MAX
    elif self.real_type == cnp.NPY_DOUBLE:
        eps, largest = DBL_EPSILON, DBL_MAX
    else:
        eps, largest = <working>LDBL_EPSILON, <working>LDBL_MAX
    low, high = -largest, largest
    least = RESOLUTION * eps
    self.unresolved = 0
    for row in range(self.rows):
        at = row * self.rule_stride
        size = size_of(magnitude[row])
        h = max(floor[at], relative[at] * size)
        if h == 0:
            h = fallback[at]
        if self.bounded:
            low, high = lower[row], upper[row]
        if self.method == COMPLEX:
            kind = ROW_FIXED if low == high else ROW_COMPLEX
            self.statuses[row] = FIXED if low == high else RESOLVED
            points[0] = h = 0 if low == high else h
        elif (self.method == CENTRAL and h >= least * size and rounded(x[row] + h, single) != x[row]
                and x[row] + reach * h <= high and x[row] - reach * h >= low and low != high):
            # nearly always
            kind = ROW_CENTRAL
            self.statuses[row] = RESOLVED
            points[0], points[1] = rounded(x[row] + h, single), rounded(x[row] - h, single)
            for k in range(2, self.reach + 1):
                points[2 * k - 2] = rounded(x[row] + k * h, single)
                points[2 * k - 1] = rounded(x[row] - k * h, single)
        elif (self.method != CENTRAL and h >= least * size and rounded(x[row] + h, single) != x[row] and low != high
                and (x[row] + reach * h <= high if self.method == FORWARD else x[row] - reach * h >= low)):
            # nearly always, to one side
            kind = ROW_ONE_SIDED
            self.statuses[row] = RESOLVED
            if self.method == BACKWARD:
                h = -h
            for k in range(1, self.one_sided + 1):
                points[k - 1] = rounded(x[row] + k * h, single)
        else:
            kind = fit(self, row, x[row], size, &h, low, high, least)
            place(self, kind, x[row], h, low, high, points)
        steps[row] = h
        self.kinds[row] = kind
        points += self.width
    return 0


cdef int fit(Differences self, Py_ssize_t row, working x, working size, working *step, working low, working high,
             working least) noexcept:
    """The kind of difference, and the step, where bounds or the resolution of x leave too little room."""
    cdef working h = step[0], reach = self.reach, one_sided = self.one_sided, up, down, near
    cdef bint single = self.real_type == cnp.NPY_FLOAT, rising, central, fits, other
    if low == high:
        step[0] = 0
        self.statuses[row] = FIXED
        return ROW_FIXED
    if rounded(x + h, single) == x:
        h = unit_of(x, self.real_type)
    up, down = high - x, x - low
    central = self.method == CENTRAL and x + reach * h <= high and x - reach * h >= low
    rising = up >= down if self.method == CENTRAL else self.method == FORWARD
    if not central:
        fits = x + one_sided * h <= high if rising else x - one_sided * h >= low
        other = x - one_sided * h >= low if rising else x + one_sided * h <= high
        if not fits and other:
            rising = not rising
        elif not fits:
            near = min(up, down) / max(reach, 1)
            rising = up >= down
            if self.method == CENTRAL and near >= least * size and near > 0:
                central = True
                h = near
            else:
                h = max(up, down) / max(one_sided, 1)
    if rounded(x + h, single) == x:
        h = unit_of(x, self.real_type)
    if h < least * size:
        self.statuses[row] = UNRESOLVED
        self.unresolved += 1
    elif central if self.method == CENTRAL else rising == (self.method == FORWARD):
        self.statuses[row] = RESOLVED
    else:
        self.statuses[row] = ONE_SIDED
    step[0] = h if central or rising else -h
    return ROW_CENTRAL if central else ROW_ONE_SIDED


cdef void place(Differences self, int kind, working x, working h, working low, working high, working *points) noexcept:
    """The points of one row, inside the bounds."""
    cdef Py_ssize_t k
    cdef bint single = self.real_type == cnp.NPY_FLOAT
    if kind == ROW_CENTRAL:
        for k in range(1, self.reach + 1):
            points[2 * k - 2] = min(max(rounded(x + k * h, single), low), high)
            points[2 * k - 1] = min(max(rounded(x - k * h, single), low), high)
    elif kind == ROW_ONE_SIDED:
        for k in range(1, self.one_sided + 1):
            points[k - 1] = min(max(rounded(x + k * h, single), low), high)


cdef bint plan_to_one_side(Differences self) noexcept:
    """The same for first-order differences to one side."""
    if self.method not in (FORWARD, BACKWARD) or self.one_sided != 1 or self.bounded or self.rule_stride:
        return False
    return plan_regular_one_sided(<const double *>self.x_, self.rows, (<double *>self.rule_)[0],
                                  (<double *>self.rule_)[1], 1.0 if self.method == FORWARD else -1.0,
                                  <double *>self.step_, <double *>self.points_)


cdef int check_inside(Differences self) except -1:
    cdef Py_ssize_t outside
    if self.wide:
        outside = count_outside(<long double *>self.x_, <long double *>self.lower_,
                                <long double *>self.upper_, self.rows)
    else:
        outside = count_outside(<double *>self.x_, <double *>self.lower_, <double *>self.upper_, self.rows)
    if outside:
        twin.refuse_outside(self.x, self.copy(self.lower_, (self.rows,)), self.copy(self.upper_, (self.rows,)))
    return 0
