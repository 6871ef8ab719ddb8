"""Tables of coordinates, values and slopes, of functions and of samples.

Here because a column of slopes beside a column of values is how most people first see a gradient. Tested in
tests/test_formula.py.
"""

import io

import numpy as np

from .differentiate import derivative
from .options import check_function

__all__ = ["SlopeTable", "slope_table"]

COLUMNS = ("x", "y", "slope", "error")


class SlopeTable:
    """Coordinates, values and slopes, and how far the slopes may be off.

    Attributes
    ----------
    x, y, slope, error : ndarray, (rows,)
        ``error`` is an estimate; NaN where there is none.

    Notes
    -----
    ``str(table)`` is aligned text; `markdown` and `csv` give the same table in those forms.
    """

    def __init__(self, x, y, slope, error):
        self.x, self.y, self.slope, self.error = x, y, slope, error

    def __len__(self):
        return len(self.x)

    def __iter__(self):
        return zip(self.x, self.y, self.slope, self.error, strict=True)

    def __repr__(self):
        return f"<SlopeTable: {len(self)} rows>"

    def _cells(self):
        for row in self:
            yield [*(f"{value:.8g}" for value in row[:3]), f"{row[3]:.1e}"]

    def __str__(self):
        rows = [list(COLUMNS), *self._cells()]
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

    def markdown(self):
        """The table in Markdown.

        Returns
        -------
        str
        """
        rows = [COLUMNS, ["---:"] * 4, *self._cells()]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def csv(self):
        """The table with commas between the columns, every number with all its digits.

        Returns
        -------
        str
            Lines end with a line feed; the first one names the columns.
        """
        text = io.StringIO()
        text.write(",".join(COLUMNS) + "\n")
        for row in self:
            text.write(",".join(repr(float(value)) for value in row) + "\n")
        return text.getvalue()


def slope_table(f_or_samples, points):
    """Tabulate a curve and its slopes.

    Parameters
    ----------
    f_or_samples : callable or array_like, (rows,)
        A function of one number, whose slopes are central differences with chosen steps; or its values at the points,
        whose slopes come from their neighbours, on coordinates that need not be evenly spaced.
    points : array_like, (rows,)
        Where. For samples strictly ascending or descending, and at least 3.

    Returns
    -------
    SlopeTable
        ``.x, .y, .slope, .error``; ``print`` shows it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, or the row, that does not suit.

    Notes
    -----
    Slopes of samples are those of the parabola through three neighbours; the error is the distance to those of the
    polynomial of fourth order through five, where there are so many, and says nothing of noise.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.formula.slope_table(lambda c: c**2, [1.0, 2.0, 3.0]).slope.round(6).tolist()
    [2.0, 4.0, 6.0]
    >>> print(sd.formula.slope_table([1.0, 4.0, 9.0, 16.0, 25.0], [1.0, 2.0, 3.0, 4.0, 5.0]))
    x   y  slope    error
    -  --  -----  -------
    1   1      2  0.0e+00
    2   4      4  0.0e+00
    3   9      6  0.0e+00
    4  16      8  0.0e+00
    5  25     10  0.0e+00
    """
    x = column(points, "points")
    if callable(f_or_samples):
        check_function(f_or_samples, "f_or_samples")
        return _of_function(f_or_samples, x)
    y = column(f_or_samples, "f_or_samples")
    if y.shape != x.shape:
        raise ValueError(f"f_or_samples must have as many values as there are points, {x.size}, not {y.size}")
    return _of_samples(y, x)


def column(values, name):
    """A vector of finite numbers in float64."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be real numbers") from None
    if found.ndim != 1 or found.size == 0:
        raise ValueError(f"{name} must be a vector of at least one number, not an array of shape {found.shape}")
    if not np.isfinite(found).all():
        k = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ValueError(f"{name} must be finite, but {name}[{k}] is {found[k]}")
    return found


def _of_function(f, x):
    def value(t):
        found = np.asarray(f(float(t)), np.float64)
        if found.size != 1:
            raise ValueError(f"f_or_samples must give one number, not an array of shape {found.shape}")
        return found.reshape(())[()]

    y = np.array([value(t) for t in x])
    full = derivative(lambda t: np.array([value(one) for one in np.reshape(t, -1)]).reshape(np.shape(t)), x,
                      full_output=True)
    return SlopeTable(x, y, full.value, full.error)


def _of_samples(y, x):
    from .grid_diff import diff

    if x.size < 3:
        raise ValueError(f"points must be at least 3 for samples, not {x.size}")
    steps = np.diff(x)
    wrong = np.flatnonzero(~(np.sign(steps) == np.sign(steps[0])) | (steps == 0))
    if wrong.size:
        k = int(wrong[0])
        raise ValueError(f"points must be strictly ascending or descending, but points[{k}] is {x[k]:g} and "
                         f"points[{k + 1}] is {x[k + 1]:g}")
    slope = diff(y, x, order=2)
    error = abs(diff(y, x, order=4) - slope) if x.size >= 5 else np.full(x.size, np.nan)
    return SlopeTable(x, y, slope, error)
