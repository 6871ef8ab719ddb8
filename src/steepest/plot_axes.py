"""What all pictures have in common: axes, matplotlib when it is wanted, functions of a grid, paths in any form.

Here so that each picture is only what it draws. Tested in tests/test_plot.py.
"""

import numpy as np

from .options import as_count, as_number, check_function

__all__ = ["axes_for", "frame_of", "grid_of", "limits_of", "line_of", "paths_of", "values_on"]

# Colours that people of all kinds of sight tell apart; M. Okabe, K. Ito, "Color Universal Design" (2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GRAY = "#777777"


def axes_for(ax, three=False):
    """The axes to draw on: those given, or the current ones; for three dimensions new ones where these have two."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install steepest[plot]") from None
    if ax is None:
        if three:
            return pyplot.figure().add_subplot(projection="3d")
        return pyplot.gca()
    if three and not hasattr(ax, "plot_surface"):
        raise TypeError("ax must have three dimensions: make it with projection='3d'")
    if not hasattr(ax, "plot"):
        raise TypeError(f"ax must be Axes of matplotlib, not {ax!r}")
    return ax


def limits_of(value, name):
    """A pair of numbers, the lower first."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair (from, to), not {value!r}") from None
    low, high = as_number(low, f"{name}[0]"), as_number(high, f"{name}[1]")
    if not low < high:
        raise ValueError(f"{name} must ascend, but is ({low:g}, {high:g})")
    return low, high


def grid_of(xlim, ylim, points):
    """Coordinates of a grid, (ny, nx) each."""
    (x0, x1), (y0, y1) = limits_of(xlim, "xlim"), limits_of(ylim, "ylim")
    nx, ny = (points, points) if np.ndim(points) == 0 else points
    nx, ny = as_count(nx, "points", at_least=2), as_count(ny, "points", at_least=2)
    return np.meshgrid(np.linspace(x0, x1, nx), np.linspace(y0, y1, ny))


def values_on(f, x, y, args=()):
    """f at all points of two arrays, in one call where f takes an array (2, ...), as SciPy's `rosen` does."""
    return _many(f, np.stack([x.reshape(-1), y.reshape(-1)]), args).reshape(x.shape)


def frame_of(points):
    """Limits around some points, (k, 2), with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.15 * np.where(high > low, high - low, 1.0)
    return tuple(zip(low - margin, high + margin, strict=True))


def _many(f, points, args=()):
    """f of every column."""
    check_function(f)
    one = [float(np.asarray(f(points[:, i].copy(), *args)).reshape(())) for i in {0, points.shape[1] - 1}]
    try:
        found = np.asarray(f(points.copy(), *args), float)
    except Exception:
        found = None
    ends = sorted({0, points.shape[1] - 1})
    if found is not None and found.shape == points.shape[1:] and np.allclose(found[ends], one, rtol=1e-9,
                                                                             equal_nan=True):
        return found
    return np.array([float(np.asarray(f(point.copy(), *args)).reshape(())) for point in points.T])


def slopes_on(f, x, y, args=(), grad=None):
    """The gradient of f at all points, two arrays: by `grad`, or by differences of all points at once."""
    points = np.stack([x.reshape(-1), y.reshape(-1)])
    if grad is not None:
        check_function(grad, "grad")
        found = np.stack([np.asarray(grad(point.copy(), *args), float) for point in points.T], axis=1)
        if found.shape != points.shape:
            raise ValueError(f"grad must give 2 numbers, not an array of shape {found.shape[:1]}")
    else:       # all points move together: one Jacobian holds the gradients at all of them
        from .differentiate import jacobian

        scale = np.maximum(abs(points).max(axis=1), np.finfo(float).tiny)
        found = jacobian(lambda moved: _many(f, points + moved[:, None], args), np.zeros(2), x_scale=scale).T
    return found[0].reshape(x.shape), found[1].reshape(x.shape)


def paths_of(runs):
    """``[(label or None, points (k, 2))]`` of one run or of several: arrays, results or histories with ``x``."""
    if isinstance(runs, dict) and "x" not in runs:
        return [(str(label), _path(run)) for label, run in runs.items()]
    if isinstance(runs, (list, tuple)) and runs and not np.isscalar(runs[0]) and _is_run(runs[0]):
        return [(None, _path(run)) for run in runs]
    return [(None, _path(runs))]


def _is_run(run):
    return not isinstance(run, (list, tuple)) and (np.ndim(run) == 2 or hasattr(run, "history") or hasattr(run, "x")
                                                   or (isinstance(run, dict) and "x" in run))


def _history_of(run):
    """What a result has recorded; anything else as it is."""
    found = getattr(run, "history", None)
    if found is None and isinstance(run, dict) and "message" in run:
        raise ValueError("the result has no history: ask for it with history=True")
    return run if found is None else found


def _path(run):
    found = _history_of(run)
    if not isinstance(found, np.ndarray):
        if isinstance(found, dict) and "x" in found:
            found = found["x"]
        elif hasattr(found, "x"):
            found = found.x
    found = np.asarray(found, float)
    if found.ndim != 2 or found.shape[1] != 2 or len(found) == 0:
        raise ValueError(f"a path must have shape (points, 2), not {found.shape}")
    return found


def line_of(run, name="fun"):
    """A series of numbers of a run: a vector, or what a result or a history has under a name."""
    found = _history_of(run)
    if isinstance(found, dict):
        if name not in found:
            raise ValueError(f"the history has no {name!r}")
        found = found[name]
    elif not isinstance(found, (np.ndarray, list, tuple)):
        found = getattr(found, name)
    if np.ndim(found) != 1:
        raise ValueError(f"a run must give a vector, not an array of shape {np.shape(found)}")
    return np.asarray(found, float)
