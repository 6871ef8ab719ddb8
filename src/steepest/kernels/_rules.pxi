# What is done with two or three neighbours, as the loops of stencil.pxi are told.
# Here because whole sweeps and small arrays do the same with them. Included by stencil.pyx. Tested in
# tests/test_stencil.py.

cdef struct Rule:
    int how
    int pair
    int parts               # numbers an element that the loop does not know of
    int reach               # 2 neighbours, or 3 with weights
    double numbers[3]


cdef inline void apply(const Rule *rule, char *out, const char *p, const char *q, const char *r, bint past,
                       Py_ssize_t count) noexcept nogil:
    """One rule on a run of elements in a row: p and r are the neighbours of a difference."""
    loops.run[rule.how][rule.pair](NULL, NULL, out, p, q, r, rule.numbers, NULL, past, count * rule.parts)


cdef void apply_apart(const Rule *rule, char *out, const char *f, Py_ssize_t size, Py_ssize_t apart,
                      Py_ssize_t count) noexcept nogil:
    """One rule of real numbers at one end of rows; f is the first element that it takes of the first row."""
    cdef double divisor
    if rule.how == COMBINE:
        loops.combine_apart[rule.pair](NULL, out, f, f + size, f + 2 * size, rule.numbers, apart, count)
    else:
        divisor = rule.numbers[0] if rule.how == DIVIDE else 1 / rule.numbers[0]
        loops.divide_apart[rule.pair](NULL, out, f, f + size, &divisor, apart, count)


cdef void divide_by(Rule *rule, double divisor, bint pairs) noexcept nogil:
    """The rule that divides by a number of the working type; pairs are complex."""
    cdef int exponent, largest = 126 if rule.pair == FLOAT_IN_FLOAT else 1022
    cdef float narrow
    rule.how, rule.numbers[0], rule.reach, rule.parts = DIVIDE, divisor, 2, 2 if pairs else 1
    if pairs and divisor == 0:
        rule.numbers[0] = 0.0       # Smith's formula divides by |d| then
    elif pairs:
        rule.how, rule.parts = DIVIDE_COMPLEX, 1
        if rule.pair == FLOAT_IN_FLOAT:
            narrow = <float>divisor
            rule.numbers[0], rule.numbers[1] = <float>0 / narrow, <float>1 / narrow
        else:
            rule.numbers[0], rule.numbers[1] = 0 / divisor, 1 / divisor
    elif isfinite(divisor) and fabs(frexp(divisor, &exponent)) == 0.5 and -largest < exponent - 1 < largest:
        rule.how, rule.numbers[0] = MULTIPLY, 1 / divisor


cdef void combine_with(Rule *rule, double a, double b, double c, bint pairs) noexcept nogil:
    """The rule that sums three neighbours with weights of the working type; pairs are complex."""
    rule.how, rule.reach, rule.parts = COMBINE_COMPLEX if pairs else COMBINE, 3, 1
    rule.numbers[0], rule.numbers[1], rule.numbers[2] = a, b, c
