# Moving: the three points that a walk knows, searches along a direction, and arriving. A part of descent.pyx.
# Here so that the file keeps to one subject at a time; the rules stand in reference/walks.py.
# Tested in tests/test_descent.py.
#
# Where the walk stands, the best point and the one on trial, each with its gradient, live in three places. They are
# never copied when one becomes another: `x_` and `best_x_` may be the same place, or that of `trial_`, which is given a
# place of its own before anything is written to it.

cdef void apart(Descent self) noexcept nogil:
    """A place for each."""
    self.x_, self.g_ = self.places[0], self.places[0] + self.wide
    self.best_x_, self.best_g_ = self.places[1], self.places[1] + self.wide
    self.trial_, self.trial_g_ = self.places[2], self.places[2] + self.wide


cdef void stand_on_trial(Descent self) noexcept nogil:
    self.x_, self.g_ = self.trial_, self.trial_g_


cdef void own_trial(Descent self) noexcept nogil:
    """Put the point on trial where neither x nor the best point is."""
    cdef int i
    for i in range(3):
        if self.places[i] != self.x_ and self.places[i] != self.best_x_:
            self.trial_, self.trial_g_ = self.places[i], self.places[i] + self.wide
            return


cdef void move(Descent self, const double *base, double step, const double *d) noexcept nogil:
    """Put ``base + step * d`` into `trial`, in the type of x and inside the bounds."""
    cdef Py_ssize_t i
    cdef double *trial
    own_trial(self)
    trial = self.trial_
    for i in range(self.n):
        trial[i] = base[i] + step * d[i]
    if self.single:
        for i in range(self.n):
            trial[i] = <double><float>trial[i]
    if self.bounded:
        for i in range(self.n):
            trial[i] = inside_bounds(trial[i], self.lower_[i], self.upper_[i])


cdef inline double inside_bounds(double x, double lower, double upper) noexcept nogil:
    if x < lower:
        return lower
    return upper if x > upper else x


# the best point

cdef void remember(Descent self, int wants) noexcept nogil:
    """Keep the lowest f; among those that rounding cannot tell apart the smallest gradient."""
    cdef bint has_g = (wants & GRADIENT) != 0, lower = self.trial_f < self.best_f
    if wants == GRADIENT and at(self, self.best_x_):
        self.best_x_, self.best_g_, self.best_has_g = self.trial_, self.trial_g_, True
        return
    if not lower and has_g and self.best_has_g and self.trial_f - self.best_f <= rounding(self, self.best_f):
        lower = criticality(self, self.trial_, self.trial_g_) < criticality(self, self.best_x_, self.best_g_)
    if lower or self.best_f == INFINITY:
        self.best_x_, self.best_g_, self.best_has_g = self.trial_, self.trial_g_, has_g
        self.best_f = self.trial_f


cdef bint at(Descent self, const double *x) noexcept nogil:
    """Whether the trial is there."""
    cdef Py_ssize_t i
    if self.trial_ == x:
        return True
    for i in range(self.n):
        if self.trial_[i] != x[i]:
            return False
    return True


cdef double rounding(Descent self, double f) noexcept nogil:
    return (2.0**-23 if self.single else 2.0**-52) * fabs(f)


cdef double criticality(Descent self, const double *x, const double *g) noexcept nogil:
    """The largest entry of the gradient, or of the step to its projection."""
    cdef Py_ssize_t i
    cdef double step, most = 0.0
    if not self.bounded:
        return largest(g, self.n)
    for i in range(self.n):
        step = fabs(inside_bounds(x[i] - g[i], self.lower_[i], self.upper_[i]) - x[i])
        if step != step:
            return step
        most = step if step > most else most
    return most


# searches

cdef bint needs_slope(Descent self) noexcept nogil:
    return self.kind == WOLFE or self.kind == HAGER_ZHANG


cdef int look_along(Descent self, double slope, double step, double ceiling) noexcept nogil:
    """Begin a search along d."""
    cdef double above = self.f
    cdef Py_ssize_t i
    self.search_slope = slope
    if self.kind == GLL:
        if self.average > 0:
            above = self.mean
        else:
            above = self.values[0]
            for i in range(1, self.count_values):
                above = greater(above, self.values[i])
    return look_or_go(self, search_begins(&self.search, self.kind, self.f, slope, step, above, tolerated(self),
                                          0.1 if self.method == CG else 0.9, ceiling))


cdef int looked(Descent self) noexcept nogil:
    """Go on with the search."""
    cdef double slope = dot(self.trial_g_, self.d_, self.n) if needs_slope(self) else 0.0
    return look_or_go(self, search_goes_on(&self.search, self.trial_f, slope))


cdef int look_or_go(Descent self, int found) noexcept nogil:
    cdef bint there, both = needs_slope(self)
    cdef Search *search = &self.search
    if found == LOOKING:
        move(self, self.x_, search.step, self.d_)
        return self.ask(VALUE | GRADIENT if both else VALUE, SEARCHING)
    if found == HOPELESS or not search.step > 0:
        return FAILED
    there = both and (found == FOUND or found == AT_LIMIT)
    if not there:
        move(self, self.x_, search.step, self.d_)
    if at(self, self.x_):       # a step that rounding takes back leads nowhere
        return FAILED
    self.step = search.step
    if there:
        return self.arrived()
    # what was looked at last is not the lowest, or its gradient is not known
    self.trial_f = search.f
    if not both:
        return self.ask(GRADIENT, SEARCHED)
    if not (self.best_has_g and at(self, self.best_x_)):
        return FAILED
    memcpy(self.trial_g_, self.best_g_, self.n * sizeof(double))
    return self.arrived()


cdef double tolerated(Descent self) noexcept nogil:
    """How much f may rise by rounding, or by noise."""
    return greater(1e-5 * self.scale if self.single else 1e-6 * self.scale, self.noise)


# arriving

cdef void begins(Descent self) noexcept nogil:
    self.values[0], self.count_values = self.f, 1
    self.weight, self.mean = 1.0, self.f
    self.scale, self.scale_weight = fabs(self.f), 1.0


cdef void forget(Descent self) noexcept nogil:
    """Start again from the gradient alone."""
    self.pairs = self.count_recent = 0
    self.length = self.slope = 0.0
    self.theta, self.momentum = INFINITY, 1.0
    memset(self.d_, 0, self.n * sizeof(double))


cdef void accept(Descent self) noexcept nogil:
    """Go to `trial`; the step and the change of the gradient are left in `s` and `y`, their products beside them."""
    cdef double before = self.f, weight
    cdef double products[3]
    vectors.differences(self.s_, self.y_, self.trial_, self.x_, self.trial_g_, self.g_, products, self.n)
    self.ss, self.sy, self.yy = products[0], products[1], products[2]
    stand_on_trial(self)
    self.f = self.trial_f
    self.nit = self.nit + 1
    remember_last(self.values, &self.count_values, WINDOW, self.f)
    weight = self.average * self.weight
    self.mean = (weight * self.mean + self.f) / (weight + 1.0)
    self.weight = weight + 1.0
    self.scale_weight = 0.7 * self.scale_weight + 1.0
    self.scale = self.scale + (fabs(self.f) - self.scale) / self.scale_weight
    if self.ftol >= 0 and fabs(before - self.f) <= self.ftol * greater(fabs(before), fabs(self.f)):
        self.status = DECREASE
    elif self.xtol >= 0 and largest(self.s_, self.n) <= self.xtol * greater(1.0, largest(self.x_, self.n)):
        self.status = STEP
    elif self.noise > 0 and fabs(before - self.f) <= self.noise:
        self.status = NOISE
    if self.status != RUNNING and criticality(self, self.x_, self.g_) <= self.tol:
        self.status = RUNNING       # the better reason is seen next


cdef inline void remember_last(double *numbers, Py_ssize_t *count, Py_ssize_t most, double number) noexcept nogil:
    """Append to the last few numbers."""
    if count[0] == most:
        memmove(numbers, numbers + 1, (most - 1) * sizeof(double))
        count[0] -= 1
    numbers[count[0]] = number
    count[0] += 1


cdef double first_step(Descent self) noexcept nogil:
    """How far to go along the gradient when nothing is known."""
    if self.rate > 0:
        return self.rate
    return lesser(1.0, 1.0 / vectors.sum_of_sizes(self.g_, self.n))


cdef void downhill(Descent self, double length) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(self.n):
        self.d_[i] = -length * self.g_[i]
