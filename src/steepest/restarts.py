"""Walks from several random starts inside the bounds, of which the best is kept: what ``minimize(starts=k)`` does.

Here so that a false minimum near x0 is not the last word; the walks are those of many_walks.py. Tested in
tests/test_restarts.py.
"""

import math

import numpy as np

from .descent import MESSAGES, TOO_FAR, Descent, criticality
from .errors import DescentStatus
from .many import result_of, threads_asked
from .many_functions import Problems
from .many_walks import Many
from .options import as_count

__all__ = ["best_of_starts"]

# Two values of f that rounding cannot tell apart, relative to their size.
ROUNDING = 2.0**-52


def best_of_starts(starts, seed, f, x0, options, watched, grad, args, kwargs, differences, progress):
    """The lowest of the walks from x0 and from ``starts - 1`` random points inside the bounds.

    Parameters
    ----------
    starts : int
    seed : anything that `numpy.random.default_rng` takes
    f, x0, grad, args, kwargs, progress
        As for `minimize`.
    options : dict
        Of `Descent`, all but `state`.
    watched : dict
        What is for one walk alone: refused where it is given.
    differences : dict
        Options of `Gradient`, and `workers`: threads, where f is compiled.

    Returns
    -------
    scipy.optimize.OptimizeResult
        As from `minimize`, but for `state`; `nfev` and `njev` are those of all walks, which are in `starts`.
    """
    starts = as_count(starts, "starts")
    for name, value in watched.items():
        if value not in (None, False):
            raise ValueError(f"{name} is for one walk, and cannot be given with starts={starts}")
    if options["bounds"] is None:
        raise ValueError("starts needs bounds: the walks begin at random points inside them")
    differences = dict(differences)
    workers = threads_asked(differences.pop("workers", None), f)
    walk = Descent(x0, **options)
    points = _points(walk, starts, seed)
    problems = Problems(f, grad, points[0], args, kwargs, None)
    found = result_of(Many(problems, points, options, differences, workers, progress).run(), points)
    return _best(found, walk)


def _points(walk, count, seed):
    """Where the walks begin: x0, and random points inside the bounds, all equally likely."""
    lower, upper = walk._lower, walk._upper
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise ValueError("bounds must be finite for starts: random points are drawn inside them")
    try:
        random = np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed must be what numpy.random.default_rng takes: {error}") from None
    share = random.random((count - 1, lower.size))
    drawn = np.clip((1.0 - share) * lower + share * upper, lower, upper)
    return np.concatenate([walk._x0[None], drawn.astype(walk.dtype).reshape(count - 1, *walk.shape)])


def _best(found, walk):
    """The lowest f, and where rounding cannot tell, the smallest gradient."""
    from scipy.optimize import OptimizeResult

    options, sign = walk._options, walk._sign
    heights = np.where(np.isnan(found.fun), np.inf, sign * found.fun)
    norms = [criticality(x.reshape(-1), sign * g.reshape(-1), walk._lower, walk._upper)
             for x, g in zip(found.x.astype(float), found.jac.astype(float), strict=True)]
    least = heights.min()
    near = [i for i, height in enumerate(heights) if height == least or height - least <= ROUNDING * abs(least)]
    best = min(near, key=lambda i: math.inf if math.isnan(norms[i]) else norms[i])
    status = DescentStatus(int(found.status[best]))
    message = (TOO_FAR if status == DescentStatus.NONFINITE else MESSAGES[status]).format(
        options=options, norm=norms[best])
    return OptimizeResult(
        x=found.x[best], fun=float(found.fun[best]), jac=found.jac[best], nit=int(found.nit[best]),
        nfev=int(found.nfev.sum()), njev=int(found.njev.sum()), status=int(status), success=bool(found.success[best]),
        message=f"{message}; the best of {len(heights)} starts", starts=found,
    )
