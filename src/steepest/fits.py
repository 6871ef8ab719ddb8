"""Formulas found behind tables of numbers: power laws and polynomials, each with its gradient as function and as text.

Here because the step from a table of slopes to the rule behind it is where gradients are understood. Tested in
tests/test_formula.py.
"""

import math

import numpy as np

from .options import as_number
from .slope_tables import column

__all__ = ["Formula", "Polynomial", "PowerLaw", "polynomial", "power_law"]

# Relative residual (root mean square over that of y) up to which a formula counts as found.
RTOL = 1e-3
POWERS = (-8.0, 8.0)        # where exponents are looked for when there is a constant, too
ROUNDING = 1e-12            # a residual that needs no explanation
CONSTANT = 0.1              # the share of the residual that a constant may leave
HIGHEST = 9                 # degree
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Formula:
    """A function with its text.

    Examples
    --------
    >>> import steepest as sd
    >>> law = sd.formula.power_law([1, 2, 3, 4], [1, 4, 9, 16], variable="c")
    >>> law.gradient(3.0), str(law.gradient)
    (6.0, '2·c')
    """

    def __init__(self, function, text):
        self._function, self.text = function, text

    def __call__(self, x):
        """The value at x, a number or an array."""
        found = self._function(np.asarray(x, np.float64))
        return float(found) if np.ndim(found) == 0 else found

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<Formula: {self.text}>"


def _number(value):
    return f"{value:.6g}"


def _raised(variable, p):
    """A power of the variable as text."""
    text = _number(p)
    if text == "0":
        return ""
    if text == "1":
        return variable
    return variable + (text.translate(_RAISED) if text.lstrip("-").isdigit() else f"^{text}")


def _terms(pairs, variable):
    """A sum of coefficients times powers as text."""
    text = ""
    for coefficient, p in pairs:
        number, power = _number(abs(coefficient)), _raised(variable, p)
        if number == "0":
            continue
        term = power if number == "1" and power else number + (f"·{power}" if power else "")
        sign = "-" if coefficient < 0 else "+"
        text += f" {sign} {term}" if text else ("-" if sign == "-" else "") + term
    return text or "0"


class PowerLaw:
    """``a·x**p + c``, fitted.

    Attributes
    ----------
    a, p, c : float
    residual : float
        Root mean square of what is left, over that of y.
    ok : bool
        Whether the data follow the law: `residual` is small.
    gradient : Formula
        ``a·p·x**(p - 1)``: call it, or print it.
    """

    def __init__(self, a, p, c, residual, ok, variable):
        self.a, self.p, self.c, self.residual, self.ok, self.variable = a, p, c, residual, ok, variable
        slope, below = a * p, p - 1
        self.gradient = Formula(lambda x: slope * _power(x, below), _terms([(slope, below)], variable))

    def __call__(self, x):
        """The value at x, a number or an array."""
        found = self.a * _power(np.asarray(x, np.float64), self.p) + self.c
        return float(found) if np.ndim(found) == 0 else found

    @property
    def text(self):
        """The law as text."""
        return _terms([(self.a, self.p), (self.c, 0.0)], self.variable)

    def __str__(self):
        if not self.ok:
            return f"not a power law (the nearest, {self.text}, leaves {self.residual:.1e} of the data)"
        return f"{self.text}   gradient: {self.gradient}   residual: {self.residual:.1e}"

    def __repr__(self):
        return f"<PowerLaw: {self}>"


def power_law(x, y, *, offset=True, variable="x", rtol=RTOL):
    """Find the power law ``a·x**p (+ c)`` behind a table.

    Parameters
    ----------
    x, y : array_like, (rows,)
        Coordinates and values; at least 3 rows, 4 for a law with a constant. Negative coordinates can follow a law with
        an integer exponent.
    offset : bool, optional
        Look for a constant c where there is no law without one.
    variable : str, optional
        The name of x in texts.
    rtol : float, optional
        The largest relative residual with which the data follow a law.

    Returns
    -------
    PowerLaw
        ``.a, .p, .c, .residual, .ok, .gradient``; ``ok`` is False when the data follow none.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Notes
    -----
    Without a constant a line is fitted to log|y| over log|x|, each row with the weight y**2, by which errors of y count
    alike. With one, a and c are found by least squares for each exponent [1]_, and the exponent by a search between -8
    and 8. Exponents within rounding of a simple fraction are taken to be that, when that leaves no larger residual
    than the data's digits explain.

    References
    ----------
    .. [1] G. H. Golub, V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432: variable projection.

    Examples
    --------
    >>> import steepest as sd
    >>> law = sd.formula.power_law([1, 2, 3, 4], [1, 8, 27, 64], variable="c")
    >>> print(law.text, "->", law.gradient)
    c³ -> 3·c²
    >>> sd.formula.power_law([1, 2, 3, 4, 5], [1, 3, 2, 5, 1]).ok
    False
    """
    x, y, rtol = column(x, "x"), column(y, "y"), as_number(rtol, "rtol", above=0.0)
    _check_rows(x, y, 3)
    if not isinstance(variable, str) or not variable:
        raise ValueError(f"variable must be a name, not {variable!r}")
    size = math.sqrt(np.mean(y**2))
    if size == 0:
        return PowerLaw(0.0, 1.0, 0.0, 0.0, True, variable)

    def judged(a, p, c):
        left = a * _power(x, p) + c - y
        residual = math.sqrt(np.mean(left**2)) / size if np.isfinite(left).all() else math.inf
        return PowerLaw(a, p, c, residual, residual <= rtol, variable)

    found = [judged(*law) for law in _without_constant(x, y)]
    least = min((law.residual for law in found), default=math.inf)
    if offset and x.size >= 4 and least > ROUNDING:
        more = [judged(*law) for law in _with_constant(x, y)]
        # a constant must explain much: it always explains some noise
        if more and (least > rtol or min(law.residual for law in more) <= CONSTANT * least):
            found = [*found, *more]
    if not found:
        return PowerLaw(math.nan, math.nan, math.nan, math.inf, False, variable)
    best = min(found, key=lambda law: law.residual)
    # a simple exponent that explains the data as well is the one that was meant
    simple = [law for law in found if law.residual <= max(2 * best.residual, 1e-12) and _is_simple(law.p)]
    return min(simple, key=lambda law: law.residual) if simple else best


def _check_rows(x, y, least):
    if x.shape != y.shape:
        raise ValueError(f"x and y must have the same length, not {x.size} and {y.size}")
    if x.size < least:
        raise ValueError(f"x must have at least {least} entries, not {x.size}")
    ordered = np.sort(x)
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if again.size:
        raise ValueError(f"x must hold every coordinate once, but {ordered[again[0]]:g} is there twice")


def _power(x, p):
    with np.errstate(all="ignore"):
        return np.float_power(x, p)


def _is_simple(p):
    return p == round(p, 9) and any(p * k == round(p * k) for k in (1, 2, 3, 4))


def _near(p):
    """An exponent, and the simple ones beside it."""
    yield p
    for k in (1, 2, 3, 4):
        simple = round(p * k) / k
        if abs(simple - p) <= 0.02:
            yield simple


def _scale(basis, y):
    """The factor that takes a basis nearest to y."""
    return float(basis @ y / (basis @ basis))


def _without_constant(x, y):
    used = (x != 0) & (y != 0)
    if used.sum() < 2 or np.ptp(np.log(abs(x[used]))) == 0:
        return
    u, v, weight = np.log(abs(x[used])), np.log(abs(y[used])), abs(y[used])
    slope = np.polyfit(u, v, 1, w=weight)[0]
    for p in _near(float(slope)):
        basis = _power(x, p)
        if np.isfinite(basis).all():
            yield _scale(basis, y), p, 0.0


def _with_constant(x, y):
    from scipy.optimize import minimize_scalar

    def fit(p):
        basis = _power(x, p)
        if not np.isfinite(basis).all() or np.ptp(basis) == 0:
            return None
        centred = basis - basis.mean()
        a = float(centred @ (y - y.mean()) / (centred @ centred))
        return a, p, float(y.mean() - a * basis.mean())

    def left(p):
        law = fit(p)
        return math.inf if law is None else float(np.mean((law[0] * _power(x, p) + law[2] - y) ** 2))

    if (x < 0).any():       # only integers have values there
        candidates = [float(p) for p in range(int(POWERS[0]), int(POWERS[1]) + 1) if p]
    else:
        grid = np.arange(POWERS[0], POWERS[1] + 0.125, 0.25)
        start = min((float(p) for p in grid if p), key=left)
        if not math.isfinite(left(start)):
            return
        bounds = max(POWERS[0], start - 0.25), min(POWERS[1], start + 0.25)
        refined = minimize_scalar(left, bounds=bounds, method="bounded",
                                  options={"xatol": 1e-12}).x
        candidates = [start, *_near(float(refined))]
    for p in candidates:
        law = fit(p) if p else None
        if law is not None:
            yield law


class Polynomial:
    """A polynomial, fitted.

    Attributes
    ----------
    coefficients : ndarray, (degree + 1,)
        Of the powers 0, 1, ... of x.
    degree : int
    residual : float
        Root mean square of what is left, over that of y.
    ok : bool
        Whether the residual is small.
    gradient : Formula
    """

    def __init__(self, coefficients, residual, ok, variable):
        self.coefficients, self.degree = coefficients, len(coefficients) - 1
        self.residual, self.ok, self.variable = residual, ok, variable
        slopes = coefficients[1:] * np.arange(1, len(coefficients))
        slopes = slopes if slopes.size else np.zeros(1)
        self.gradient = Formula(lambda x: np.polynomial.polynomial.polyval(x, slopes), self._as_text(slopes))

    def _as_text(self, coefficients):
        least = 1e-9 * abs(coefficients).max(initial=0.0)
        pairs = [(value, power) for power, value in enumerate(coefficients) if abs(value) > least]
        return _terms(pairs[::-1], self.variable)

    def __call__(self, x):
        """The value at x, a number or an array."""
        found = np.polynomial.polynomial.polyval(np.asarray(x, np.float64), self.coefficients)
        return float(found) if np.ndim(found) == 0 else found

    @property
    def text(self):
        """The polynomial as text, the highest power first."""
        return self._as_text(self.coefficients)

    def __str__(self):
        found = f"{self.text}   gradient: {self.gradient}   residual: {self.residual:.1e}"
        return found if self.ok else f"no polynomial of low degree (the nearest: {found})"

    def __repr__(self):
        return f"<Polynomial: {self}>"


def polynomial(x, y, *, degree=None, variable="x", rtol=RTOL):
    """Fit a polynomial to a table, with the degree that foretells rows best which it was not fitted to.

    Parameters
    ----------
    x, y : array_like, (rows,)
        Coordinates and values.
    degree : int, optional
        By default the lowest one, up to 9, whose mean squared error in leave-one-out cross-validation [1]_ is within
        one standard error of the smallest.
    variable : str, optional
        The name of x in texts.
    rtol : float, optional
        The largest relative residual with which the data are said to follow it.

    Returns
    -------
    Polynomial
        ``.coefficients, .degree, .residual, .ok, .gradient``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    References
    ----------
    .. [1] D. M. Allen, Technometrics 16 (1974) 125-127: PRESS.

    Examples
    --------
    >>> import steepest as sd
    >>> found = sd.formula.polynomial([0, 1, 2, 3, 4], [1, 2, 5, 10, 17])
    >>> found.degree, found.text, str(found.gradient)
    (2, 'x² + 1', '2·x')
    """
    x, y, rtol = column(x, "x"), column(y, "y"), as_number(rtol, "rtol", above=0.0)
    _check_rows(x, y, 2)
    if degree is not None:
        if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)):
            raise TypeError(f"degree must be an integer, not {degree!r}")
        if not 0 <= degree < x.size:
            raise ValueError(f"degree must be from 0 to {x.size - 1}, one less than there are rows, not {degree}")
    centre, half = (x.max() + x.min()) / 2, np.ptp(x) / 2
    u = (x - centre) / half
    degrees = range(min(HIGHEST, x.size - 2) + 1) if degree is None else [int(degree)]
    fits = [_chebyshev_fit(u, y, one) for one in degrees]
    size = math.sqrt(np.mean(y**2)) or 1.0
    squares = min((out**2 for _, out in fits), key=np.mean)
    most = max(np.mean(squares) + np.std(squares) / math.sqrt(x.size), (1e-12 * size) ** 2)
    chosen = next(fit for fit, out in fits if np.mean(out**2) <= most)
    series = np.polynomial.Chebyshev(chosen, domain=[x.min(), x.max()])
    coefficients = series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef
    coefficients = np.concatenate([coefficients, np.zeros(len(chosen) - len(coefficients))])
    coefficients = np.array([_cleaned(value, abs(coefficients).max()) for value in coefficients])
    left = np.polynomial.polynomial.polyval(x, coefficients) - y
    residual = math.sqrt(np.mean(left**2)) / size
    return Polynomial(coefficients, residual, residual <= rtol, variable)


def _chebyshev_fit(u, y, degree):
    """Coefficients for u in [-1, 1], and the errors at rows that are left out."""
    basis = np.polynomial.chebyshev.chebvander(u, degree)
    q, r = np.linalg.qr(basis)
    coefficients = np.linalg.solve(r, q.T @ y)
    leverage = (q**2).sum(axis=1)
    left = y - basis @ coefficients
    with np.errstate(all="ignore"):
        out = np.where(leverage < 1 - 1e-9, left / (1 - leverage), math.inf if len(u) > degree + 1 else 0.0)
    return coefficients, out


def _cleaned(value, largest):
    """A coefficient without the rounding of the fit, where it is within that of a number of twelve digits."""
    near = float(f"{value:.11e}")
    near = 0.0 if abs(near) <= 1e-12 * largest else near
    return near if abs(near - value) <= 1e-11 * largest else value
