# Directions: one method after the other. A part of descent.pyx.
# Here so that the file keeps to one subject at a time; the rules stand in reference/descent.py.
# Tested in tests/test_descent.py.

cdef int set_out_gd(Descent self) noexcept nogil:
    """Along the gradient: by a fixed step, AdGD's step, or a search."""
    cdef double slope, step
    downhill(self, 1.0)
    if self.method == ADGD:
        if self.length == 0:
            self.length = first_step(self) if self.rate > 0 else 1e-6 * first_step(self)
        return step_by(self, self.length)
    if self.kind == NO_SEARCH:
        return step_by(self, self.rate)
    slope = -dot(self.g_, self.g_, self.n)
    step = first_step(self) if self.slope == 0 else self.step * self.slope / slope
    return look_along(self, slope, step, INFINITY)


cdef int step_by(Descent self, double step) noexcept nogil:
    """A step without a search."""
    self.path_step = step
    move(self, self.x_, step, self.d_)
    return self.ask(VALUE | GRADIENT, STEPPING)


cdef int stepped(Descent self) noexcept nogil:
    if not (isfinite(self.trial_f) and all_numbers(self.trial_g_, self.n)):
        self.status = NONFINITE
        return FAILED
    self.step = self.path_step
    accept(self)
    if self.method == ADGD:
        adapt_length(self)
    return TAKEN


cdef void adapt_length(Descent self) noexcept nogil:
    """Malitsky and Mishchenko's next step."""
    cdef double length = self.length, grown = sqrt(1.0 + self.theta) * length
    cdef double curved = sqrt(self.yy), moved = sqrt(self.ss)
    self.length = lesser(grown, 0.5 * moved / curved) if curved > 0 else grown
    if not isfinite(self.length):
        self.length = length
    self.theta = self.length / length


# Barzilai and Borwein, inside a set or not

cdef int set_out_bb(Descent self) noexcept nogil:
    if self.length == 0:
        self.length = first_step(self)
    downhill(self, self.length)
    return look_along(self, -self.length * dot(self.g_, self.g_, self.n), 1.0, INFINITY)


cdef int set_out_spg(Descent self) noexcept nogil:
    if self.length != 0 and not self.projects:
        return spectral_step(self)
    step_down(self, 1.0)
    if self.projects:
        self.wants, self.stage = PROJECTION, FIRST_PROJECTION
        return ASKED
    return spectral_starts(self)


cdef void step_down(Descent self, double length) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(self.n):
        self.s_[i] = -self.g_[i]
    move(self, self.x_, length, self.s_)


cdef int spectral_starts(Descent self) noexcept nogil:
    """What the projection leaves of the gradient: when that is small it is over; the first step is made from it."""
    cdef Py_ssize_t i
    cdef double left
    for i in range(self.n):
        self.s_[i] = self.trial_[i] - self.x_[i]
    left = largest(self.s_, self.n)
    if self.projects and left <= self.tol:
        self.status = CONVERGED
        return FAILED
    if self.length == 0:
        self.length = lesser(greater(1.0 / greater(left, SHORTEST), SHORTEST), LONGEST)
    return spectral_step(self)


cdef int spectral_step(Descent self) noexcept nogil:
    step_down(self, self.length)
    if self.projects:
        self.wants, self.stage = PROJECTION, PROJECTING
        return ASKED
    return project_direction(self)


cdef int project_direction(Descent self) noexcept nogil:
    """A search towards where the projected step leads."""
    cdef Py_ssize_t i
    for i in range(self.n):
        self.d_[i] = self.trial_[i] - self.x_[i]
    return look_along(self, dot(self.g_, self.d_, self.n), 1.0, 1.0)


cdef double spectral(Descent self) noexcept nogil:
    """The next step of Barzilai and Borwein."""
    cdef double ss = self.ss, sy = self.sy, yy = self.yy, long_, short_, wanted
    cdef Py_ssize_t i
    if not (sy > 0 and isfinite(ss) and isfinite(yy)):
        return LONGEST if self.method == SPG else greater(1.0, largest(self.x_, self.n)) / largest(self.g_, self.n)
    long_, short_ = ss / sy, sy / yy
    if self.method == SPG or self.variant == BB1:
        wanted = long_
    elif self.variant == BB2:
        wanted = short_
    elif self.variant == ALTERNATE:
        wanted = long_ if self.nit % 2 else short_
    else:
        remember_last(self.recent_, &self.count_recent, RECENT, short_)
        if short_ < self.share * long_:
            wanted = self.recent_[0]
            for i in range(1, self.count_recent):
                wanted = lesser(wanted, self.recent_[i])
            self.share = self.share * 0.9
        else:
            wanted = long_
            self.share = lesser(1.1 * self.share, 1.0)
    return lesser(greater(wanted, SHORTEST), LONGEST)


# conjugate gradients

cdef int set_out_cg(Descent self) noexcept nogil:
    cdef double slope = dot(self.g_, self.d_, self.n), step = 0.0
    if self.slope != 0:
        step = self.step * self.slope / slope
    if not (slope < 0 and step > 0 and isfinite(step)):
        downhill(self, 1.0)
        slope, step = -dot(self.g_, self.g_, self.n), first_step(self)
    return look_along(self, slope, step, INFINITY)


cdef void conjugate(Descent self) noexcept nogil:
    """The next direction, from the last one and the change of the gradient; `base_g` is the gradient before it."""
    cdef Py_ssize_t i, n = self.n
    cdef double dy = dot(self.d_, self.y_, n), yg = dot(self.y_, self.g_, n), dg = dot(self.d_, self.g_, n)
    cdef double yy = self.yy, dd, gg, beta = 0.0
    if self.beta == PR_BETA:
        beta = greater(0.0, yg / dot(self.base_g, self.base_g, n))
        gg = dot(self.g_, self.g_, n)
        if not -gg + beta * dg <= -0.01 * gg:
            beta = 0.0
    elif dy > 0:
        dd = dot(self.d_, self.d_, n)
        if self.beta == DK_BETA:
            beta = greater((yg - yy * dg / dy) / dy, 0.5 * dg / dd)
        else:
            beta = greater((yg - 2.0 * yy * dg / dy) / dy, 0.4 * dot(self.d_, self.base_g, n) / dd)
    for i in range(n):
        self.d_[i] = beta * self.d_[i] - self.g_[i]


# quasi-Newton

cdef int set_out_bfgs(Descent self) noexcept nogil:
    cdef Py_ssize_t i
    cdef double step = 1.0
    if self.pairs == 0:
        memcpy(self.u_, self.g_, self.n * sizeof(double))
        step = first_step(self)
    for i in range(self.n):
        self.d_[i] = -self.u_[i]
    return look_along(self, dot(self.g_, self.d_, self.n), step, INFINITY)


cdef void change_inverse(Descent self) noexcept nogil:
    """``H <- H + s p' + p s'``, which waits until H is next multiplied; `u` becomes H g."""
    cdef Py_ssize_t i, n = self.n
    cdef double sy = self.sy, yy = self.yy, half, pg, sg
    cdef double *v = self.base_x
    cdef double *hy = self.base_g
    cdef double *S = self.S_[0]
    cdef double *Y = self.Y_[0]
    cdef bint good = sy > RESOLVED * yy and isfinite(yy)
    if self.pairs == 0:
        if not good:
            return
        memset(self.H_[0], 0, n * self.wide * sizeof(double))
        for i in range(n):
            self.H_[i][i] = sy / yy
            self.u_[i] = self.u_[i] * (sy / yy)
        self.waiting = False
    for i in range(n):
        if self.waiting:
            v[i] = vectors.change_row(self.H_[i], S[i], Y, Y[i], S, self.g_, n)
        else:
            v[i] = dot(self.H_[i], self.g_, n)
    self.waiting, self.pairs = good, 1
    if not good:
        memcpy(self.u_, v, n * sizeof(double))
        return
    for i in range(n):
        hy[i] = v[i] - self.u_[i]
    half = 0.5 * ((1.0 + dot(self.y_, hy, n) / sy) / sy)
    for i in range(n):
        S[i] = self.s_[i]
        Y[i] = half * self.s_[i] - hy[i] / sy
    pg, sg = dot(Y, self.g_, n), dot(S, self.g_, n)
    for i in range(n):
        self.u_[i] = v[i] + (pg * S[i] + sg * Y[i])


cdef int set_out_lbfgs(Descent self) noexcept nogil:
    cdef double step = first_step(self) if self.pairs == 0 else 1.0
    if self.bounded:
        return set_out_box(self, step)
    return look_along(self, two_loops(self), step, INFINITY)


cdef double two_loops(Descent self) noexcept nogil:
    """Put ``-H g`` into d, and give its slope: Liu and Nocedal's two loops, each update fused with the next product."""
    cdef Py_ssize_t n = self.n, k, i = self.newest, after
    cdef double *q = self.d_
    cdef const double *p = self.g_
    cdef double product
    if self.pairs == 0:
        downhill(self, 1.0)
        return dot(self.g_, q, n)
    if n == 2:
        return two_loops_of_few(self, 2)
    if n == 3:
        return two_loops_of_few(self, 3)
    if n == 4:
        return two_loops_of_few(self, 4)
    product = dot(self.S_[i], p, n)
    for k in range(self.pairs - 1):
        self.alpha_[i] = self.rho_[i] * product
        after = (i if i else self.m) - 1
        product = vectors.add_and_dot(q, p, -self.alpha_[i], self.Y_[i], self.S_[after], n)
        p, i = q, after
    self.alpha_[i] = self.rho_[i] * product
    product = vectors.scale_and_dot(q, p, -self.alpha_[i], self.Y_[i], self.curvature, n)
    for k in range(self.pairs - 1):
        after = i + 1 if i + 1 < self.m else 0
        product = vectors.add_and_dot(q, q, self.alpha_[i] - self.rho_[i] * product, self.S_[i], self.Y_[after], n)
        i = after
    return vectors.turn_and_dot(q, self.alpha_[i] - self.rho_[i] * product, self.S_[i], self.g_, n)


cdef inline double two_loops_of_few(Descent self, Py_ssize_t n) noexcept nogil:
    """The same for an n that the compiler knows: q stays in registers, and nothing is called."""
    cdef Py_ssize_t j, k, i = self.newest, last = self.m - 1
    cdef double q[4]
    cdef double change
    for j in range(n):
        q[j] = self.g_[j]
    for k in range(self.pairs):
        if k:
            i = (i if i else self.m) - 1
        self.alpha_[i] = change = self.rho_[i] * dot_of_few(self.S_[i], q, n)
        for j in range(n):
            q[j] += -change * self.Y_[i][j]
    for j in range(n):
        q[j] *= self.curvature
    for k in range(self.pairs):
        change = self.alpha_[i] - self.rho_[i] * dot_of_few(self.Y_[i], q, n)
        for j in range(n):
            q[j] += change * self.S_[i][j]
        i = i + 1 if i < last else 0
    for j in range(n):
        self.d_[j] = -q[j]
    return dot_of_few(self.g_, self.d_, n)


cdef void keep(Descent self) noexcept nogil:
    """Remember a pair whose curvature is positive: what was the oldest gives its place to the next."""
    cdef Py_ssize_t i
    if not (self.sy > RESOLVED * self.yy and isfinite(self.yy)):
        return
    i = self.newest = (self.newest + 1) % self.m if self.pairs else 0
    if self.pairs < self.m:
        self.pairs = self.pairs + 1
    self.S_[i], self.s_ = self.s_, self.S_[i]
    self.Y_[i], self.y_ = self.y_, self.Y_[i]
    self.rho_[i] = 1.0 / self.sy
    self.curvature = self.sy / self.yy


# quasi-Newton inside bounds

cdef int set_out_box(Descent self, double step) noexcept nogil:
    """Bertsekas's two-metric projection: quasi-Newton on the free entries, then back along the projected path."""
    two_loops_of_the_free(self)
    if not dot(self.g_, self.d_, self.n) < 0:
        self.pairs = 0
        two_loops_of_the_free(self)
        step = first_step(self)
    self.tries = 0
    return follow(self, step)


cdef inline bint is_held(Descent self, Py_ssize_t i) noexcept nogil:
    return ((self.x_[i] <= self.lower_[i] and self.g_[i] > 0) or (self.x_[i] >= self.upper_[i] and self.g_[i] < 0))


cdef void hold(Descent self, double *q) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(self.n):
        if is_held(self, i):
            q[i] = 0.0


cdef void two_loops_of_the_free(Descent self) noexcept nogil:
    cdef Py_ssize_t n = self.n, m = self.m, k, i = self.newest
    cdef double *q = self.d_
    memcpy(q, self.g_, n * sizeof(double))
    hold(self, q)
    for k in range(self.pairs):
        i = (self.newest - k) % m
        if i < 0:
            i += m
        self.alpha_[i] = self.rho_[i] * dot(self.S_[i], q, n)
        vectors.add(q, -self.alpha_[i], self.Y_[i], n)
        hold(self, q)
    if self.pairs:
        for k in range(n):
            q[k] *= self.curvature
    for k in range(self.pairs):
        vectors.add(q, self.alpha_[i] - self.rho_[i] * dot(self.Y_[i], q, n), self.S_[i], n)
        hold(self, q)
        i = i + 1 if i + 1 < m else 0
    for k in range(n):
        q[k] = -q[k]


cdef int follow(Descent self, double step) noexcept nogil:
    """Look at the projected path, so far along."""
    cdef Py_ssize_t i
    self.path_step = step
    move(self, self.x_, step, self.d_)
    for i in range(self.n):
        self.s_[i] = self.trial_[i] - self.x_[i]
    self.search_slope = dot(self.g_, self.s_, self.n)
    if self.tries == 40 or not self.search_slope < 0:
        return FAILED
    self.tries = self.tries + 1
    return self.ask(VALUE | GRADIENT, FOLLOWING)


cdef int followed(Descent self) noexcept nogil:
    """Whether f decreases enough there, or the slope says that it does."""
    cdef double slope = self.search_slope, rise
    if not (isfinite(self.trial_f) and all_numbers(self.trial_g_, self.n)):
        return follow(self, 0.1 * self.path_step)
    if (self.trial_f <= self.f + 1e-4 * slope
            or (self.trial_f <= self.f + tolerated(self) and dot(self.trial_g_, self.s_, self.n) <= -0.8 * slope)):
        self.step = self.path_step
        return self.arrived()
    rise = self.trial_f - self.f - slope
    return follow(self, self.path_step * lesser(greater(-slope / (2.0 * rise), 0.1), 0.5))


# accelerated gradient

cdef int set_out_nesterov(Descent self) noexcept nogil:
    cdef Py_ssize_t i, nbytes = self.n * sizeof(double)
    cdef double ahead
    if self.length == 0:
        self.length = first_step(self)
        memcpy(self.previous_, self.x_, nbytes)
    self.grown = 0.5 * (1.0 + sqrt(1.0 + 4.0 * self.momentum * self.momentum))
    ahead = (self.momentum - 1.0) / self.grown
    memcpy(self.base_x, self.x_, nbytes)
    memcpy(self.base_g, self.g_, nbytes)
    self.base_f = self.f
    if not ahead > 0:
        return look_down(self)
    for i in range(self.n):
        self.d_[i] = self.x_[i] - self.previous_[i]
    move(self, self.x_, ahead, self.d_)
    return self.ask(VALUE | GRADIENT, LOOKING_AHEAD)


cdef int looked_ahead(Descent self) noexcept nogil:
    if isfinite(self.trial_f) and all_numbers(self.trial_g_, self.n):
        memcpy(self.base_x, self.trial_, self.n * sizeof(double))
        memcpy(self.base_g, self.trial_g_, self.n * sizeof(double))
        self.base_f = self.trial_f
    return look_down(self)


cdef int look_down(Descent self) noexcept nogil:
    """From where the momentum leads, along the gradient there."""
    cdef Py_ssize_t i
    self.base_gg = dot(self.base_g, self.base_g, self.n)
    for i in range(self.n):
        self.d_[i] = -self.base_g[i]
    self.tries = 0
    return try_length(self)


cdef int try_length(Descent self) noexcept nogil:
    if self.tries == 60:
        return FAILED
    self.tries = self.tries + 1
    move(self, self.base_x, self.length, self.d_)
    return self.ask(VALUE, TRYING)


cdef int tried(Descent self) noexcept nogil:
    if self.trial_f <= self.base_f - 0.5 * self.length * self.base_gg + rounding(self, self.base_f):
        return self.ask(GRADIENT, TRIED)
    self.length = self.length * 0.5
    return try_length(self)


cdef int accelerated(Descent self) noexcept nogil:
    """Keep the momentum, unless it points up."""
    cdef Py_ssize_t i
    cdef bint uphill
    if not all_numbers(self.trial_g_, self.n):
        self.status = NONFINITE
        return FAILED
    memcpy(self.previous_, self.x_, self.n * sizeof(double))
    for i in range(self.n):
        self.s_[i] = self.trial_[i] - self.x_[i]
    uphill = dot(self.base_g, self.s_, self.n) > 0 or self.trial_f > self.f
    self.step = self.length
    accept(self)
    self.momentum = 1.0 if uphill else self.grown
    self.length = self.length * 1.1
    return TAKEN
