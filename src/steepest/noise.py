"""How noisy f is: `noise_level`, the standard deviation of its values about a smooth function.

Here so that those who know nothing of the noise of their f can ask; the tables are in ecnoise.py. Tested in
tests/test_noise.py.
"""

import warnings

import numpy as np

from .compiled_functions import check_f
from .differencing import Found, callers_level, in_type_of_x
from .differentiate import once
from .ecnoise import LineSamples, direction_of
from .errors import DifferenceWarning, Status
from .options import as_count, as_number, as_point, check_options

__all__ = ["NoiseLevel", "noise_level"]


class NoiseLevel:
    """What is known of the noise of a function.

    Attributes
    ----------
    level : float or array
        Standard deviation of the noise, one for each result of f.
    nfev : int
        How often f was called.
    status : int or array of int
        A `steepest.Status` for each result: RESOLVED, UNRESOLVED or NONFINITE.
    message : str
        What was found, in words.
    table : array, (k,) or (k, m)
        The estimates from differences of order 1 to k, in the last table that was made.
    spacing : float
        Of the points of that table, in units of the typical size of x.
    success : bool
        Every level is resolved.
    """

    def __init__(self, level, nfev, status, message, table, spacing):
        self.level, self.nfev, self.status, self.message = level, nfev, status, message
        self.table, self.spacing, self.success = table, spacing, bool(np.all(np.equal(status, Status.RESOLVED)))

    def __repr__(self):
        names = ("level", "status", "nfev", "spacing", "success", "message")
        return "\n".join(f"{name:>8}: {getattr(self, name)}" for name in names)


def noise_level(f, x, *, spacing=None, seed=0, x_scale=None, bounds=None, args=(), kwargs=None, vectorized=False,
                workers=None, progress=False, full_output=False):
    """Noise level of a function: the standard deviation of its values about a smooth function.

    Seven values at equal distances on a line through x are differenced again and again: what is smooth dies out, and
    what stays is noise (ECnoise [1]_). The noise may be random, or the scatter of rounding and of iterations that stop
    early, in which the same x gives the same value.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives a number, or a vector of m numbers, each with a noise of its own.
    x : array_like
        Where, in any shape.
    spacing : float, optional
        Distance of the points in units of the typical size of x, ``max(|x|, x_scale)``; by default the square root of
        the precision. It is multiplied by 100 where half of the neighbours are equal, and divided by 100 where f
        changes by more than a tenth or its differences do not settle; at most four tables are made.
    seed : int, optional
        Of the random direction of the line, which is the same in every call.
    x_scale : float or array_like, optional
        Typical size of the entries of x, 1 by default.
    bounds, args, kwargs, vectorized, workers, progress
        As for `gradient`.
    full_output : bool, optional
        Give an object with level, nfev, status, message, table, spacing and success.

    Returns
    -------
    float, array (m,), or NoiseLevel
        0 where no noise is seen: then f is exact, or constant. With rounding alone it is of the order of
        ``eps * |f(x)|``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before f is called.

    Warns
    -----
    DifferenceWarning
        When the tables do not agree, or f is not finite, unless `full_output` is given.

    References
    ----------
    .. [1] J. J. Moré, S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011) 1292-1314.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> random = np.random.default_rng(1)
    >>> level = sd.noise_level(lambda x: np.sin(x[0]) + 1e-3 * random.standard_normal(), [1.0])
    >>> bool(3e-4 < level < 3e-3)
    True
    """
    settings = check_options("central", None, None, None, x_scale, bounds, None, args, kwargs, vectorized, workers,
                             progress=progress)
    if isinstance(x_scale, str):
        raise ValueError("x_scale must be a positive number or an array for a noise level, not 'auto'")
    if spacing is not None:
        spacing = as_number(spacing, "spacing", above=0)
    seed = as_count(seed, "seed", at_least=0)
    check_f(f)
    x = as_point(x)
    run = LineSamples(f, settings, direction_of(x, settings, seed))
    run.start = spacing
    return once(_careful_level, run, x, full_output)


def _careful_level(run, x, full_output):
    """The level with every fallback."""
    seen = run.seen(x)
    f0 = run.value_at(seen)
    found = run.solve(seen, np.atleast_1d(f0).reshape(-1))
    return _deliver(found, run, f0.shape, x.dtype, full_output)


def _deliver(found, run, shape, dtype, full_output):
    """Warn, and give the caller what was asked for."""
    if isinstance(found, Found):    # x cannot be moved
        level, status = np.zeros(shape), np.full(shape, Status.UNRESOLVED)
        table, spacing, message = np.zeros((0, *shape)), 0.0, "x cannot be moved: no noise was looked for"
    else:
        level, status, spacing = found.level[0], found.status[0], float(found.spacing()[0])
        message = _words(level, status)
        table = found.table.reshape(-1, *shape)
    level = in_type_of_x(level, np.dtype(dtype.char.lower())).reshape(shape)[()]
    status = status.reshape(shape)[()]
    if full_output:
        return NoiseLevel(level, run.nfev, status, message, table, spacing)
    if np.any(status >= Status.UNRESOLVED):
        warnings.warn(message, DifferenceWarning, stacklevel=callers_level())
    return level


def _words(level, status):
    """The message on some levels."""
    if (status == Status.NONFINITE).any():
        return "f is not finite near x"
    if (status == Status.UNRESOLVED).any():
        return "the differences of f do not settle: no noise level was found"
    return "no noise was seen" if not level.any() else "the noise level is resolved"
