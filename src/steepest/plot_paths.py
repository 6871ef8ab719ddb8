"""Pictures of runs: paths on contours, convergence, learning rates, and paths that move.

Here because a run that goes wrong is seen sooner than read. Tested in tests/test_plot.py.
"""

import numpy as np

from .options import as_count, as_point
from .plot_axes import COLORS, axes_for, frame_of, line_of, paths_of
from .plot_fields import contour

__all__ = ["animate", "convergence", "descent_path", "learning_rates"]

FAR = 1e3       # times the first value: a run that gets there diverges


def descent_path(runs, f=None, *, minimum=None, xlim=None, ylim=None, levels=20, log=False, args=(), ax=None,
                 contour_kw=None, **path_kw):
    """The way of one run or of several, on the contour of f.

    Parameters
    ----------
    runs : result, history or array (k, 2); or a list or dict of them
        Runs of `minimize` with ``history=True``, or points. The keys of a dict are labels.
    f : callable, optional
        ``f(x, *args)``, whose contour is drawn below.
    minimum : array_like, (2,), optional
        Where to put a cross.
    xlim, ylim : (float, float), optional
        By default around the paths.
    levels, log, args
        As for `contour`.
    ax : matplotlib.axes.Axes, optional
    contour_kw : dict, optional
        For `contour`.
    **path_kw
        For ``Axes.plot``.

    Returns
    -------
    matplotlib.axes.Axes
        A circle marks the start of a path, a star its end.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        Naming the argument; a result without a history.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import numpy as np, steepest as sd
    >>> ax = sd.plot.descent_path(np.array([[0.0, 0.0], [1.0, 0.5], [1.0, 1.0]]), ax=axes)
    >>> ax.lines[0].get_xdata().tolist()
    [0.0, 1.0, 1.0]
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    paths = paths_of(runs)
    frame = frame_of(np.vstack([path[np.isfinite(path).all(axis=1)] for _, path in paths]))
    xlim, ylim = xlim or frame[0], ylim or frame[1]
    if f is not None:
        contour(f, xlim, ylim, levels=levels, log=log, args=args, ax=ax, **(contour_kw or {}))
    for (label, path), color in zip(paths, COLORS[1:] * len(paths), strict=False):
        options = {"color": color, "label": label, "linewidth": 1.5, "marker": ".", "markersize": 4} | path_kw
        ax.plot(path[:, 0], path[:, 1], **options)
        marks = {"color": options["color"], "linestyle": "none", "markeredgecolor": "white"}
        ax.plot(*path[0], marker="o", markersize=8, **marks)
        ax.plot(*path[-1], marker="*", markersize=13, **marks)
    if minimum is not None:
        ax.plot(*np.asarray(minimum, float).reshape(2), marker="x", markersize=9, color="white", markeredgewidth=2.5,
                linestyle="none", zorder=6)
    ax.set_xlim(xlim)
    ax.set_ylim(ylim)
    if any(label is not None for label, _ in paths):
        ax.legend()
    return ax


def convergence(runs, *, name=None, minimum=0.0, ax=None, **line_kw):
    """How f, or a loss, falls: over iterations or epochs, on a logarithmic scale.

    Parameters
    ----------
    runs : result, history or vector; or a dict of them
        Runs of `minimize` or `stochastic_descent` with a history, histories of `Network.fit` (training and
        validation), or numbers. The keys of a dict are labels.
    name : str, optional
        Which series: "fun" of walks and "loss" of trainings by default.
    minimum : float, optional
        What is subtracted, where it is known.
    ax : matplotlib.axes.Axes, optional
    **line_kw
        For ``Axes.semilogy``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError, TypeError, ValueError
        As `descent_path`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import steepest as sd
    >>> ax = sd.plot.convergence({"slow": [1.0, 0.5, 0.3], "fast": [1.0, 0.1, 0.01]}, ax=axes)
    >>> [line.get_label() for line in ax.lines]
    ['slow', 'fast']
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    runs = runs if isinstance(runs, dict) and not _is_series(runs) else {None: runs}
    for (label, run), color in zip(runs.items(), COLORS[1:] * len(runs), strict=False):     # those of `descent_path`
        for text, series, style in _series_of(run, name):
            whole = " ".join(word for word in (label, text) if word) or None
            ax.semilogy(np.arange(len(series)), np.where(series > minimum, series - minimum, np.nan),
                        **({"color": color, "linestyle": style, "label": whole} | line_kw))
    training = all(hasattr(run, "validation_loss") for run in runs.values())
    what = name or ("loss" if training else "f")
    ax.set_xlabel("epoch" if training else "iteration")
    ax.set_ylabel(what if minimum == 0 else f"{what} - minimum")
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    ax.grid(True, which="both", alpha=0.3)
    return ax


def _is_series(runs):
    return "fun" in runs or "loss" in runs


def _series_of(run, name):
    """(label, numbers, style) of what a run has."""
    if name is not None:
        return [("", line_of(run, name), "-")]
    if hasattr(run, "validation_loss"):
        found = [("training", line_of(run, "loss"), "-")]
        if np.size(run.validation_loss):
            found.append(("validation", line_of(run, "validation_loss"), "--"))
        return found
    history = getattr(run, "history", run)
    return [("", line_of(run, "loss" if isinstance(history, dict) and "fun" not in history else "fun"), "-")]


def learning_rates(f, x0, rates, *, steps=50, grad=None, args=(), minimum=0.0, ax=None, **line_kw):
    """f over the steps of plain descent from one start, for several learning rates.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` gives one number.
    x0 : array_like
        The start.
    rates : array_like
        Learning rates.
    steps : int, optional
    grad : callable, optional
        By differences without it.
    args : tuple, optional
    minimum : float, optional
        What is subtracted, where it is known.
    ax : matplotlib.axes.Axes, optional
    **line_kw
        For ``Axes.semilogy``.

    Returns
    -------
    matplotlib.axes.Axes
        A run that diverges is cut off where it leaves the picture, and labelled so.

    Raises
    ------
    ImportError, TypeError, ValueError
        As `descent_path`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import steepest as sd
    >>> ax = sd.plot.learning_rates(lambda x: x @ x, [1.0, 1.0], [0.1, 0.5, 1.5], steps=9, ax=axes)
    >>> [line.get_label() for line in ax.lines]
    ['lr = 0.1', 'lr = 0.5', 'lr = 1.5 (diverges)']
    >>> pyplot.close("all")
    """
    from .prepared import Gradient

    ax, steps = axes_for(ax), as_count(steps, "steps")
    start, rates = as_point(x0, "x0").astype(float), np.atleast_1d(np.asarray(rates, float))
    if rates.ndim != 1 or rates.size == 0 or not (rates > 0).all():
        raise ValueError("rates must be a vector of positive numbers")

    def value(x):
        return float(np.asarray(f(x.copy(), *args)).reshape(()))

    first = value(start)
    most = abs(first - minimum) * FAR
    slope = Gradient(f, start, args=args) if grad is None else lambda x: np.asarray(grad(x.copy(), *args), float)
    for rate, color in zip(rates, COLORS * rates.size, strict=False):
        x, series, diverges = start.copy(), [first], False
        for _ in range(steps):
            with np.errstate(all="ignore"):
                x = x - rate * slope(x)
                now = value(x) if np.isfinite(x).all() else np.inf
            diverges = not abs(now - minimum) <= most
            series.append(min(now, minimum + most) if np.isfinite(now) else minimum + most)
            if diverges:
                break
        left = np.array(series) - minimum
        ax.semilogy(np.arange(left.size), np.where(left > 0, left, np.nan),
                    **({"color": color, "linestyle": ":" if diverges else "-",
                        "label": f"lr = {rate:g}" + (" (diverges)" if diverges else "")} | line_kw))
    ax.set_xlabel("step")
    ax.set_ylabel("f" if minimum == 0 else "f - minimum")
    ax.legend()
    ax.grid(True, which="both", alpha=0.3)
    return ax


def animate(run, f=None, *, minimum=None, xlim=None, ylim=None, levels=20, log=False, args=(), interval=80, ax=None):
    """A path that is drawn point by point.

    Parameters
    ----------
    run : result, history or array (k, 2)
        As for `descent_path`; one run.
    f, minimum, xlim, ylim, levels, log, args, ax
        As for `descent_path`.
    interval : int, optional
        Milliseconds between two points.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep it as long as it plays; its `save` writes a file.

    Raises
    ------
    ImportError, TypeError, ValueError
        As `descent_path`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import numpy as np, steepest as sd
    >>> film = sd.plot.animate(np.array([[0.0, 0.0], [1.0, 0.5], [1.0, 1.0]]), ax=axes)
    >>> film._draw_was_started = True       # it is not played here
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    from matplotlib.animation import FuncAnimation

    [(_, path)] = paths_of(run)
    descent_path(path[:1], f, minimum=minimum, xlim=xlim or frame_of(path)[0], ylim=ylim or frame_of(path)[1],
                 levels=levels, log=log, args=args, ax=ax)
    [line] = ax.plot([], [], ".-", color=COLORS[1])

    def show(k):
        line.set_data(path[: k + 1, 0], path[: k + 1, 1])
        return (line,)

    return FuncAnimation(ax.figure, show, frames=len(path), interval=as_count(interval, "interval"), blit=True)
