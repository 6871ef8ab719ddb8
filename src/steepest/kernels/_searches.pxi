# Searches: line searches as machines that wait between two evaluations. A part of descent.pyx.
# Here so that the file keeps to one subject at a time; the rules stand in reference/searches.py.
# Tested in tests/test_searches.py.

cdef enum:
    ARMIJO, WOLFE, HAGER_ZHANG, GLL

cdef enum:
    LOOKING = -1        # at `step`
    FOUND, AT_LIMIT, EXHAUSTED, TOO_CLOSE, HOPELESS

# Where a search of Hager and Zhang is.
cdef enum:
    BRACKETING, FIRST_SECANT, SECOND_SECANT, MIDDLE

cdef struct Trial:
    double step, f, slope

cdef struct Search:
    int kind, status, phase, left
    bint cubic, has_before, bracketed, first_stage, bisecting
    double f0, slope0, above, decrease, curvature, low, high, ceiling
    double step                             # where to look, then what is to be taken
    double f                                # there, when the search has ended
    double top, wall, width, secant         # Hager and Zhang
    double least, most, before_width, span, longest
    Trial best, before, a, b, outer, first_a, first_b

cdef double TINY = 2.0**-1022
cdef double RESOLVED = 2.0**-52


cdef inline double lesser(double a, double b) noexcept nogil:
    """The lesser, as Python's min has it for NaN."""
    return b if b < a else a


cdef inline double greater(double a, double b) noexcept nogil:
    return b if b > a else a


cdef inline bint is_number(const Trial *trial) noexcept nogil:
    return isfinite(trial.f) and isfinite(trial.slope)


cdef int search_ends(Search *s, int status, double step, double f) noexcept nogil:
    s.status, s.step, s.f = status, step, f
    return status


cdef int search_begins(Search *s, int kind, double f0, double slope0, double step, double above, double error,
                       double curvature, double ceiling) noexcept nogil:
    """Start at f0 and its slope; LOOKING, or how it has ended already."""
    memset(s, 0, sizeof(Search))
    s.kind, s.f0, s.slope0, s.ceiling, s.curvature = kind, f0, slope0, ceiling, curvature
    s.best.f, s.best.slope = f0, slope0
    s.a = s.b = s.best
    s.status = LOOKING
    s.above = f0
    s.decrease, s.left = 1e-4, 30
    if not slope0 < 0:
        return search_ends(s, HOPELESS, 0.0, f0)
    s.step = lesser(step, ceiling)
    if kind == ARMIJO:
        s.cubic, s.low, s.high = True, 0.1, 0.5
    elif kind == GLL:
        s.above, s.low, s.high = above, 0.1, 0.9
    elif kind == WOLFE:
        s.longest, s.first_stage = ceiling, True
        s.before_width = s.span = INFINITY
        s.most = 5.0 * s.step
    else:
        s.decrease, s.left = 0.1, 50
        s.top, s.wall = f0 + error, INFINITY
    return LOOKING


cdef int search_goes_on(Search *s, double f, double slope) noexcept nogil:
    """What f and its slope at `step` mean: LOOKING at the next one, or how the search has ended."""
    cdef Trial trial
    trial.step, trial.f, trial.slope = s.step, f, slope
    s.left -= 1
    if s.kind == HAGER_ZHANG:
        return hager_zhang(s, &trial)
    if s.kind == WOLFE:
        return more_thuente(s, &trial)
    return backtrack(s, &trial)


cdef int backtrack(Search *s, Trial *trial) noexcept nogil:
    cdef double wanted
    if not isfinite(trial.f):
        s.step = 0.1 * s.step
        s.has_before = False
    else:
        if trial.f < s.best.f:
            s.best = trial[0]
        if trial.f <= s.above + s.decrease * trial.step * s.slope0:
            return search_ends(s, AT_LIMIT if trial.step == s.ceiling else FOUND, trial.step, trial.f)
        wanted = lowest_between(s, trial)
        s.step = lesser(greater(wanted, s.low * trial.step), s.high * trial.step)
        s.before, s.has_before = trial[0], s.cubic
        if not s.step > TINY:
            return search_ends(s, TOO_CLOSE, s.best.step, s.best.f)
    if s.left == 0:
        return search_ends(s, EXHAUSTED, s.best.step, s.best.f)
    return LOOKING


cdef double lowest_between(const Search *s, const Trial *last) noexcept nogil:
    """Where the parabola through f, its slope and a trial is lowest, or the cubic through two."""
    cdef double rise = last.f - s.f0 - s.slope0 * last.step
    cdef double rise_before, p, q, width, a, b, wanted, under
    if not s.has_before:
        return -s.slope0 * last.step * last.step / (2.0 * rise)
    rise_before = s.before.f - s.f0 - s.slope0 * s.before.step
    p = rise / (last.step * last.step)
    q = rise_before / (s.before.step * s.before.step)
    width = last.step - s.before.step
    a = (p - q) / width
    b = (last.step * q - s.before.step * p) / width
    if a == 0:
        wanted = -s.slope0 / (2.0 * b)
    else:
        under = b * b - 3.0 * a * s.slope0
        wanted = (-b + sqrt(under)) / (3.0 * a) if under >= 0 else 0.5 * last.step
    return wanted if isfinite(wanted) else 0.5 * last.step


# Moré and Thuente

cdef int more_thuente(Search *s, Trial *trial) noexcept nogil:
    cdef double test = s.decrease * s.slope0, step = trial.step, allowed, wanted
    cdef Trial flat_low, flat_high, flat
    if not is_number(trial):
        s.ceiling = step
        s.step = s.a.step + 0.1 * (step - s.a.step) if step > s.a.step else 0.5 * (step + s.a.step)
        s.most = lesser(s.most, s.ceiling)
        if not fabs(s.step - s.a.step) > RESOLVED * s.step:
            return search_ends(s, TOO_CLOSE, s.best.step, s.best.f)
        return LOOKING if s.left else search_ends(s, EXHAUSTED, s.best.step, s.best.f)
    if trial.f < s.best.f:
        s.best = trial[0]
    allowed = s.f0 + step * test
    if trial.f <= allowed and fabs(trial.slope) <= -s.curvature * s.slope0:
        return search_ends(s, FOUND, step, trial.f)
    if step == s.longest and trial.f <= allowed and trial.slope <= test:
        return search_ends(s, AT_LIMIT, step, trial.f)
    if s.bracketed and (step <= s.least or step >= s.most or s.most - s.least <= 1e-14 * s.most):
        return search_ends(s, TOO_CLOSE, s.best.step, s.best.f)
    if s.first_stage and trial.f <= allowed and trial.slope >= 0:
        s.first_stage = False
    if s.first_stage and trial.f <= s.a.f and trial.f > allowed:
        flat_low, flat_high, flat = flattened(&s.a, test), flattened(&s.b, test), flattened(trial, test)
        wanted = safeguarded(s, &flat_low, &flat_high, &flat)
        s.a = flattened(&flat_low, -test)
        s.b = flattened(&flat_high, -test)
    else:
        wanted = safeguarded(s, &s.a, &s.b, trial)
    if s.bracketed:
        if fabs(s.b.step - s.a.step) >= 0.66 * s.before_width:
            wanted = s.a.step + 0.5 * (s.b.step - s.a.step)
        s.before_width, s.span = s.span, fabs(s.b.step - s.a.step)
        s.least, s.most = lesser(s.a.step, s.b.step), greater(s.a.step, s.b.step)
    else:
        s.least = wanted + 1.1 * (wanted - s.a.step)
        s.most = wanted + 4.0 * (wanted - s.a.step)
    s.step = lesser(greater(wanted, 0.0), s.ceiling)
    if isfinite(s.ceiling) and s.ceiling != s.longest and s.step == s.ceiling:
        s.step = s.a.step + 0.5 * (s.ceiling - s.a.step)
    if s.bracketed and (s.step <= s.least or s.step >= s.most or s.most - s.least <= 1e-14 * s.most):
        if s.a.step == s.best.step and s.a.step > 0:
            return search_ends(s, TOO_CLOSE, s.best.step, s.best.f)
        s.step = 0.5 * (s.least + s.most)
    return LOOKING if s.left else search_ends(s, EXHAUSTED, s.best.step, s.best.f)


cdef Trial flattened(const Trial *trial, double test) noexcept nogil:
    """A trial of the auxiliary function, or back."""
    cdef Trial other
    other.step, other.f, other.slope = trial.step, trial.f - trial.step * test, trial.slope - test
    return other


cdef double safeguarded(Search *s, Trial *low, Trial *high, const Trial *trial) noexcept nogil:
    """The next step, in the four cases of the paper; `low` and `high` become the next interval."""
    cdef double cubic, other, wanted, limit, ahead
    cdef bint turned = trial.slope * copysign(1.0, low.slope) < 0, was = s.bracketed
    if trial.f > low.f:
        cubic = cubic_between(low, trial)
        ahead = trial.step - low.step
        other = low.step + low.slope / ((low.f - trial.f) / ahead + low.slope) / 2.0 * ahead
        wanted = cubic if fabs(cubic - low.step) < fabs(other - low.step) else cubic + (other - cubic) / 2.0
        s.bracketed = True
    elif turned:
        cubic, other = cubic_between(trial, low), secant_of(trial, low)
        wanted = cubic if fabs(cubic - trial.step) > fabs(other - trial.step) else other
        s.bracketed = True
    elif fabs(trial.slope) < fabs(low.slope):
        cubic, other = cubic_ahead(low, trial, s.least, s.most), secant_of(trial, low)
        if was:
            wanted = cubic if fabs(cubic - trial.step) < fabs(other - trial.step) else other
            limit = trial.step + 0.66 * (high.step - trial.step)
            wanted = lesser(limit, wanted) if trial.step > low.step else greater(limit, wanted)
        else:
            wanted = cubic if fabs(cubic - trial.step) > fabs(other - trial.step) else other
            wanted = greater(s.least, lesser(s.most, wanted))
    elif was:
        wanted = cubic_between(trial, high)
    else:
        wanted = s.most if trial.step > low.step else s.least
    if trial.f > low.f:
        high[0] = trial[0]
    else:
        if turned:
            high[0] = low[0]
        low[0] = trial[0]
    return wanted


cdef double of_cubic(const Trial *a, const Trial *b, double *theta) noexcept nogil:
    cdef double size, turned, product
    theta[0] = 3.0 * (a.f - b.f) / (b.step - a.step) + a.slope + b.slope
    size = greater(greater(fabs(theta[0]), fabs(a.slope)), fabs(b.slope))
    turned, product = theta[0] / size, a.slope / size * (b.slope / size)
    return size * sqrt(greater(0.0, turned * turned - product))


cdef double cubic_between(const Trial *a, const Trial *b) noexcept nogil:
    cdef double theta, p, q, gamma = of_cubic(a, b, &theta)
    if b.step < a.step:
        gamma = -gamma
    p, q = (gamma - a.slope) + theta, ((gamma - a.slope) + gamma) + b.slope
    return a.step + (p / q if q != 0 else 0.5) * (b.step - a.step)


cdef double cubic_ahead(const Trial *low, const Trial *trial, double least, double most) noexcept nogil:
    cdef double theta, p, q, along, gamma = of_cubic(low, trial, &theta)
    if trial.step > low.step:
        gamma = -gamma
    p, q = (gamma - trial.slope) + theta, (gamma + (low.slope - trial.slope)) + gamma
    along = p / q if q != 0 else 0.0
    if along < 0 and gamma != 0:
        return trial.step + along * (low.step - trial.step)
    return most if trial.step > low.step else least


cdef double secant_of(const Trial *a, const Trial *b) noexcept nogil:
    return a.step + a.slope / (a.slope - b.slope) * (b.step - a.step)


# Hager and Zhang

cdef int hager_zhang(Search *s, Trial *last) noexcept nogil:
    cdef double step = last.step, rise = last.f - s.f0
    cdef bint good = is_number(last)
    if good:
        if last.f < s.best.f:
            s.best = last[0]
        if rise <= s.decrease * step * s.slope0 and last.slope >= s.curvature * s.slope0:
            return search_ends(s, FOUND, step, last.f)
        if (last.f <= s.top and (2.0 * s.decrease - 1.0) * s.slope0 >= last.slope
                and last.slope >= s.curvature * s.slope0):
            return search_ends(s, FOUND, step, last.f)
        if step == s.ceiling and rise <= s.decrease * step * s.slope0:
            return search_ends(s, AT_LIMIT, step, last.f)
    if s.left <= 0:
        return search_ends(s, EXHAUSTED, s.best.step, s.best.f)
    if s.bisecting:
        if good and last.slope >= 0:
            s.b = last[0]
            s.bisecting = False
            return next_look(s)
        if good and last.f <= s.top:
            s.a = last[0]
        else:
            s.outer = last[0]
        return halve(s)
    if s.phase == BRACKETING:
        return widen(s, last, good)
    if good and last.slope >= 0:
        s.b = last[0]
    elif good and last.f <= s.top:
        s.a = last[0]
    else:
        s.bisecting, s.outer = True, last[0]
        return halve(s)
    return next_look(s)


cdef int widen(Search *s, Trial *last, bint good) noexcept nogil:
    """Go on until f rises, or is too high, or is no number: what lies there is the far end."""
    if not good:
        s.wall = last.step
        s.step = s.a.step + 0.1 * (last.step - s.a.step)
        if not s.step > s.a.step * (1.0 + RESOLVED) or not s.step > TINY:
            return search_ends(s, TOO_CLOSE if s.best.step > 0 else HOPELESS, s.best.step, s.best.f)
        return LOOKING
    if last.slope >= 0:
        s.b = last[0]
        return next_look(s)
    if last.f > s.top:
        s.a.step, s.a.f, s.a.slope = 0.0, s.f0, s.slope0
        s.bisecting, s.outer = True, last[0]
        return halve(s)
    s.a = last[0]
    s.step = lesser(5.0 * last.step, s.ceiling)
    if s.step >= s.wall:
        s.step = 0.5 * (last.step + s.wall)
    if not s.step > last.step * (1.0 + RESOLVED):
        return search_ends(s, TOO_CLOSE, s.best.step, s.best.f)
    return LOOKING


cdef int halve(Search *s) noexcept nogil:
    """Look in the middle between a and a step where f falls, but is too high."""
    s.step = 0.5 * (s.a.step + s.outer.step)
    if not (s.a.step < s.step and s.step < s.outer.step):
        return search_ends(s, TOO_CLOSE, s.best.step, s.best.f)
    return LOOKING


cdef inline bint inside(Search *s, double step) noexcept nogil:
    s.step = step
    return s.a.step < step and step < s.b.step


cdef inline double chord(const Trial *a, const Trial *b) noexcept nogil:
    """Where the slope would be 0, were it linear."""
    return (a.step * b.slope - b.step * a.slope) / (b.slope - a.slope)


cdef int next_look(Search *s) noexcept nogil:
    """Two secant steps, then the middle when they have not shortened the interval enough; and again."""
    while True:
        if s.phase == FIRST_SECANT and (s.secant == s.b.step or s.secant == s.a.step):
            s.phase = SECOND_SECANT
            if inside(s, chord(&s.first_b, &s.b) if s.secant == s.b.step else chord(&s.first_a, &s.a)):
                return LOOKING
        if s.phase == FIRST_SECANT or s.phase == SECOND_SECANT:
            s.phase = MIDDLE
            if s.b.step - s.a.step > 0.66 * s.width and inside(s, 0.5 * (s.a.step + s.b.step)):
                return LOOKING
        s.phase = FIRST_SECANT
        s.width = s.b.step - s.a.step
        if not s.width > RESOLVED * s.b.step:
            return search_ends(s, TOO_CLOSE, s.best.step, s.best.f)
        s.first_a, s.first_b = s.a, s.b
        s.secant = chord(&s.a, &s.b)
        if inside(s, s.secant):
            return LOOKING
