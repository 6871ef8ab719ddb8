"""Pictures of functions: arrows of the gradient, contours, surfaces, tangents, errors over the step.

Here because people would rather look than read. Tested in tests/test_plot.py.
"""

import numpy as np

from .options import as_count, as_number, check_function
from .plot_axes import COLORS, GRAY, axes_for, grid_of, limits_of, paths_of, slopes_on, values_on

__all__ = ["contour", "gradient_field", "step_error", "surface", "tangent"]


def gradient_field(f, xlim=(-2, 2), ylim=(-2, 2), *, grad=None, points=15, normalize=False, args=(), ax=None,
                   **quiver_kw):
    """Arrows of -∇f: where to go from every point of a grid.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` of a vector of two; called once for all points when it takes arrays (2, k).
    xlim, ylim : (float, float), optional
        The limits of the grid.
    grad : callable, optional
        The gradient; by differences without it.
    points : int or (int, int), optional
        Arrows along each side.
    normalize : bool, optional
        Arrows of one length, whose colour shows the size of the gradient.
    args : tuple, optional
    ax : matplotlib.axes.Axes, optional
        Where to draw; the current axes by default.
    **quiver_kw
        For ``Axes.quiver``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import steepest as sd
    >>> ax = sd.plot.gradient_field(lambda x: x[0] ** 2 + x[1] ** 2, points=5, ax=axes)
    >>> arrows = ax.collections[0]
    >>> float(arrows.U[0].round(6)), float(arrows.V[0].round(6))
    (4.0, 4.0)
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    check_function(f)
    x, y = grid_of(xlim, ylim, points)
    u, v = (-one for one in slopes_on(f, x, y, args, grad))
    options: dict = {"angles": "xy", "color": COLORS[0]}
    colors = []
    if normalize:
        size = np.hypot(u, v)
        with np.errstate(all="ignore"):
            u, v = np.where(size > 0, u / size, 0.0), np.where(size > 0, v / size, 0.0)
        colors = [size]
        options = {"angles": "xy", "cmap": "cividis"}
    if not (u.any() or v.any()):
        options["scale"] = 1.0      # matplotlib would divide by the mean length
    ax.quiver(x, y, u, v, *colors, **(options | quiver_kw))
    _frame(ax, xlim, ylim)
    ax.set_title("-∇f" + (", colour: its size" if normalize else ""))
    return ax


def _frame(ax, xlim, ylim):
    ax.set_xlim(xlim)
    ax.set_ylim(ylim)
    ax.set_aspect("equal", adjustable="box")
    ax.set_xlabel("x₀")
    ax.set_ylabel("x₁")
    ax.grid(True, alpha=0.3)


def contour(f, xlim=(-2, 2), ylim=(-2, 2), *, levels=20, log=False, filled=True, points=101, args=(), ax=None,
            **contour_kw):
    """Lines of equal f.

    Parameters
    ----------
    f, xlim, ylim, points, args, ax
        As for `gradient_field`.
    levels : int or array_like, optional
        How many levels, or which.
    log : bool, optional
        Levels whose distances from the lowest value grow like powers.
    filled : bool, optional
        Colour the ground between the lines.
    **contour_kw
        For ``Axes.contour`` or ``Axes.contourf``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError, TypeError, ValueError
        As `gradient_field`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import steepest as sd
    >>> from scipy.optimize import rosen
    >>> ax = sd.plot.contour(rosen, (-2, 2), (-1, 3), log=True, ax=axes)
    >>> ax.collections[0].levels.size
    20
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    x, y = grid_of(xlim, ylim, points)
    z = values_on(f, x, y, args)
    if log and np.ndim(levels) == 0:
        low, high = np.nanmin(z), np.nanmax(z)
        levels = low + (high - low) * np.logspace(-6, 0, as_count(levels, "levels", at_least=2))
    options = {"cmap": "cividis"} if filled else {"colors": GRAY, "linewidths": 0.7}
    (ax.contourf if filled else ax.contour)(x, y, z, levels, **(options | contour_kw))
    _frame(ax, limits_of(xlim, "xlim"), limits_of(ylim, "ylim"))
    return ax


def surface(f, xlim=(-2, 2), ylim=(-2, 2), *, run=None, points=61, args=(), ax=None, **surface_kw):
    """f as a hill in three dimensions, with the path of a run on it.

    Parameters
    ----------
    f, xlim, ylim, points, args
        As for `gradient_field`.
    run : result, history or array (k, 2), optional
        A run of `minimize` with ``history=True``, or points; several in a list or a dict.
    ax : Axes with projection="3d", optional
        A new one by default.
    **surface_kw
        For ``Axes3D.plot_surface``.

    Returns
    -------
    mpl_toolkits.mplot3d.axes3d.Axes3D

    Raises
    ------
    ImportError, TypeError, ValueError
        As `gradient_field`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> import steepest as sd
    >>> sd.plot.surface(lambda x: x[0] ** 2 + x[1] ** 2, points=11).name
    '3d'
    >>> pyplot.close("all")
    """
    ax = axes_for(ax, three=True)
    x, y = grid_of(xlim, ylim, points)
    z = values_on(f, x, y, args)
    ax.plot_surface(x, y, z, **({"cmap": "cividis", "alpha": 0.7, "linewidth": 0} | surface_kw))
    if run is not None:
        lift = 0.01 * float(np.nanmax(z) - np.nanmin(z))
        for (label, path), color in zip(paths_of(run), COLORS[1:] * 99, strict=False):
            heights = values_on(f, path[:, 0], path[:, 1], args) + lift
            ax.plot(path[:, 0], path[:, 1], heights, "o-", color=color, markersize=3, label=label, zorder=5)
    ax.set_xlabel("x₀")
    ax.set_ylabel("x₁")
    ax.set_zlabel("f")
    return ax


def tangent(f, at, xlim=None, *, steps=0, lr=0.1, points=201, args=(), ax=None, curve_kw=None, tangent_kw=None,
            step_kw=None):
    """A curve, its tangent at a point, and steps down the slope from there.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` of one number.
    at : float
        Where the tangent touches.
    xlim : (float, float), optional
        By default 2 to both sides of `at`.
    steps : int, optional
        Steps ``x -= lr * slope`` to show.
    lr : float, optional
    points : int, optional
        Of the curve.
    args : tuple, optional
    ax : matplotlib.axes.Axes, optional
    curve_kw, tangent_kw, step_kw : dict, optional
        For ``Axes.plot``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError, TypeError, ValueError
        As `gradient_field`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import steepest as sd
    >>> ax = sd.plot.tangent(lambda c: c**2, 1.5, steps=3, ax=axes)
    >>> ax.get_title()
    'slope 3 at 1.5'
    >>> pyplot.close("all")
    """
    from .differentiate import derivative

    ax = axes_for(ax)
    check_function(f)
    at, lr = as_number(at, "at"), as_number(lr, "lr", above=0.0)
    steps = as_count(steps, "steps", at_least=0)

    def value(t):
        return float(np.asarray(f(float(t), *args)).reshape(()))

    def slope(t):
        return float(derivative(lambda s: np.array([value(one) for one in np.reshape(s, -1)]).reshape(np.shape(s)), t))

    low, high = limits_of((at - 2, at + 2) if xlim is None else xlim, "xlim")
    x = np.linspace(low, high, as_count(points, "points", at_least=2))
    y, rise = np.array([value(t) for t in x]), slope(at)
    [curve] = ax.plot(x, y, **({"color": COLORS[0], "label": "f"} | (curve_kw or {})))
    reach = 0.25 * (high - low)
    ends = np.array([at - reach, at + reach])
    ax.plot(ends, value(at) + rise * (ends - at), **({"color": COLORS[1], "label": "tangent"} | (tangent_kw or {})))
    places = [at]
    for _ in range(steps):
        places.append(places[-1] - lr * slope(places[-1]))
    dots = {"color": COLORS[6], "marker": "o", "linestyle": ":", "markersize": 4,
            "label": f"steps, lr = {lr:g}" if steps else None}
    ax.plot(places, [value(t) for t in places], **(dots | (step_kw or {})))
    ax.set_title(f"slope {rise:.4g} at {at:g}")
    ax.set_xlim(low, high)
    spread = y.max() - y.min()
    ax.set_ylim(y.min() - 0.1 * spread, y.max() + 0.1 * spread)
    ax.legend()
    curve.set_zorder(3)
    return ax


def step_error(f, x, exact, *, steps=None, args=(), ax=None, **line_kw):
    """The error of differences over their step: too long steps bend away, too short ones drown in rounding.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` of one number.
    x : float
        Where.
    exact : float
        The derivative there.
    steps : array_like, optional
        Steps to try; by default from 1e-15 to 1 times the size of x.
    args : tuple, optional
    ax : matplotlib.axes.Axes, optional
    **line_kw
        For ``Axes.loglog``.

    Returns
    -------
    matplotlib.axes.Axes
        With a line for forward and one for central differences, and a mark where steepest chooses its step.

    Raises
    ------
    ImportError, TypeError, ValueError
        As `gradient_field`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import math, steepest as sd
    >>> ax = sd.plot.step_error(math.exp, 1.0, math.e, ax=axes)
    >>> [line.get_label() for line in ax.lines[:2]]
    ['forward', 'central']
    >>> pyplot.close("all")
    """
    from .differentiate import derivative

    ax = axes_for(ax)
    check_function(f)
    x, exact = as_number(x, "x"), as_number(exact, "exact")
    size = max(1.0, abs(x))
    h = size * np.logspace(-15, 0, 181) if steps is None else np.asarray(steps, float)
    if h.ndim != 1 or not (h > 0).all():
        raise ValueError("steps must be a vector of positive numbers")

    def value(t):
        return float(np.asarray(f(float(t), *args)).reshape(()))

    def listed(t):
        return np.array([value(one) for one in np.reshape(t, -1)]).reshape(np.shape(t))

    ahead, behind = listed(x + h), listed(x - h)
    with np.errstate(all="ignore"):
        forward = abs((ahead - value(x)) / ((x + h) - x) - exact)
        central = abs((ahead - behind) / ((x + h) - (x - h)) - exact)
    least = np.finfo(float).eps * max(abs(exact), np.finfo(float).tiny)
    for label, error, color in (("forward", forward, COLORS[1]), ("central", central, COLORS[0])):
        ax.loglog(h, np.maximum(error, least), **({"color": color, "label": label} | line_kw))
    for method, color in (("forward", COLORS[1]), ("central", COLORS[0])):
        full = derivative(listed, x, method=method, full_output=True)
        ax.loglog([float(np.ravel(full.step)[0])], [max(abs(float(full.value) - exact), least)], "*", color=color,
                  markersize=13, label=f"chosen, {method}")
    ax.set_xlabel("step h")
    ax.set_ylabel("error")
    ax.legend()
    return ax
