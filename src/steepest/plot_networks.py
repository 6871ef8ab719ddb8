"""Pictures of networks and of patterns: decisions, the plane of a loss, layers, the proof of a gradient, colours.

Here because what a network has learnt is in none of its numbers. Tested in tests/test_plot.py.
"""

import numpy as np

from .options import as_count, as_number
from .plot_axes import COLORS, GRAY, axes_for, grid_of
from .random_numbers import Source

__all__ = ["decision_boundary", "layers", "loss_plane", "sparsity_colors"]


def decision_boundary(network, X, y, *, points=201, margin=0.3, ax=None, scatter_kw=None, **contour_kw):
    """What a network answers all over the plane, and the samples on it.

    Parameters
    ----------
    network : steepest.network.Network, or whatever has `predict`
        Of two inputs.
    X : array_like, (rows, 2)
    y : array_like, (rows,)
        Classes.
    points : int, optional
        Along each side.
    margin : float, optional
        Around the samples, in units of X.
    ax : matplotlib.axes.Axes, optional
    scatter_kw : dict, optional
        For ``Axes.scatter``.
    **contour_kw
        For ``Axes.contourf``.

    Returns
    -------
    matplotlib.axes.Axes
        The ground shows the probability of class 1 where there are two, else the likeliest class.

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
    >>> X, y = sd.network.moons(60, seed=0)
    >>> net = sd.network.Network([2, 8, 2], "tanh", loss="softmax_cross_entropy", seed=0)
    >>> ax = sd.plot.decision_boundary(net, X, y, points=21, ax=axes)
    >>> len(ax.collections[-1].get_offsets())
    60
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    X, y = np.asarray(X, float), np.asarray(y)
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(f"X must have shape (rows, 2), not {X.shape}")
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must have shape {X.shape[:1]}, not {y.shape}")
    margin = as_number(margin, "margin", at_least=0.0)
    (x0, y0), (x1, y1) = X.min(axis=0) - margin, X.max(axis=0) + margin
    gx, gy = grid_of((x0, x1), (y0, y1), points)
    ground = np.stack([gx.reshape(-1), gy.reshape(-1)], axis=1)
    classes = np.unique(y)
    if classes.size == 2 and hasattr(network, "predict_proba"):
        chance = np.asarray(network.predict_proba(ground))[:, -1].reshape(gx.shape)
        ax.contourf(gx, gy, chance, np.linspace(0, 1, 21), **({"cmap": "cividis", "alpha": 0.8} | contour_kw))
        ax.contour(gx, gy, chance, [0.5], colors="white")
    else:
        found = np.searchsorted(classes, np.asarray(network.predict(ground))).reshape(gx.shape)
        bands = np.arange(classes.size + 1) - 0.5
        ax.contourf(gx, gy, found, bands, **({"cmap": "cividis", "alpha": 0.8} | contour_kw))
    colors = [COLORS[i % len(COLORS)] for i in np.searchsorted(classes, y)]
    ax.scatter(X[:, 0], X[:, 1], **({"c": colors, "s": 14, "edgecolors": "white", "linewidths": 0.5}
                                    | (scatter_kw or {})))
    ax.set_xlabel("x₀")
    ax.set_ylabel("x₁")
    return ax


def loss_plane(network, X, y, *, path=None, reach=1.0, points=41, seed=0, levels=20, ax=None, **contour_kw):
    """The loss of a network on a plane through its parameters, with the path of a training on it.

    Parameters
    ----------
    network : steepest.network.Network
        Its parameters are the centre.
    X, y
        Samples, as for `Network.loss`.
    path : array_like, (k, parameters), optional
        Parameters during a training: the plane is then that of its first two principal directions, without it that of
        two random ones, each layer's part as long as the layer's weights.
    reach : float, optional
        How far the picture goes: in units of the directions, or beyond the path.
    points : int, optional
        Along each side.
    seed : int, optional
        Of the random directions.
    levels : int, optional
    ax : matplotlib.axes.Axes, optional
    **contour_kw
        For ``Axes.contourf``.

    Returns
    -------
    matplotlib.axes.Axes
        The title tells which share of the path's length lies outside of the plane.

    Raises
    ------
    ImportError, TypeError, ValueError
        As `decision_boundary`.

    References
    ----------
    H. Li and others, "Visualizing the loss landscape of neural nets", NeurIPS 2018.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import steepest as sd
    >>> X, y = sd.network.moons(60, seed=0)
    >>> net = sd.network.Network([2, 8, 2], "tanh", loss="softmax_cross_entropy", seed=0)
    >>> sd.plot.loss_plane(net, X, y, points=5, ax=axes).get_title()
    'two random directions'
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    centre, reach = network.parameters.astype(float), as_number(reach, "reach", above=0.0)
    if path is None:
        first, second = (_like_layers(network, Source(seed, k)) for k in range(2))
        span, title, along = [(-reach, reach)] * 2, "two random directions", None
    else:
        path = np.asarray(path, float)
        if path.ndim != 2 or path.shape[1] != centre.size or len(path) < 2:
            raise ValueError(f"path must have shape (points, {centre.size}) with at least 2 points, not {path.shape}")
        moved = path - centre
        _, _, (first, second) = _principal(moved)
        along = np.stack([moved @ first, moved @ second], axis=1)
        outside = np.linalg.norm(moved - along @ np.stack([first, second])) / (np.linalg.norm(moved) or 1.0)
        low, high = np.minimum(along.min(axis=0), 0), np.maximum(along.max(axis=0), 0)
        room = reach * 0.25 * np.maximum(high - low, 1e-3 * (high - low).max() + 1e-12)
        span = list(zip(low - room, high + room, strict=True))
        title = f"two principal directions, {100 * outside:.0f} % of the path is outside"
    a, b = grid_of(span[0], span[1], as_count(points, "points", at_least=2))
    function = network.value_and_gradient(X, y)
    z = np.array([function(centre + s * first + t * second)[0] for s, t in zip(a.flat, b.flat, strict=True)])
    ax.contourf(a, b, z.reshape(a.shape), levels, **({"cmap": "cividis"} | contour_kw))
    if along is not None:
        ax.plot(along[:, 0], along[:, 1], ".-", color=COLORS[1])
        ax.plot(*along[0], "o", color=COLORS[1], markeredgecolor="white", markersize=8)
    ax.plot(0, 0, "*", color="white", markersize=13, markeredgecolor=COLORS[6])
    ax.set_title(title)
    return ax


def _like_layers(network, source):
    """A random direction, each layer's part as long as that layer's weights or biases."""
    direction = np.empty(network.parameters.size)
    weights, biases = network._views(direction)
    for part, own in zip((*weights, *biases), (*network.weights, *network.biases), strict=True):
        drawn = source.normal(part.size).reshape(part.shape)
        part[...] = drawn * (np.linalg.norm(own) / np.linalg.norm(drawn))
    return direction


def _principal(moved):
    """The two directions that hold most of some vectors."""
    left, sizes, right = np.linalg.svd(moved, full_matrices=False)
    if len(right) < 2 or sizes[1] <= 1e-12 * sizes[0]:      # a straight way: any other direction will do
        other = np.zeros(moved.shape[1])
        other[int(np.argmin(abs(right[0])))] = 1.0
        other -= right[0] * (other @ right[0])
        right = np.stack([right[0], other / np.linalg.norm(other)])
    return left, sizes, right[:2]


def layers(network, X=None, y=None, *, check=None, lr=None, ax=None, **bar_kw):
    """Bars for each array of a network: weights, gradients and updates, or the proof of the gradient.

    Parameters
    ----------
    network : steepest.network.Network
    X, y : optional
        Samples: gradients are shown beside the weights.
    check : GradientCheck, optional
        From `Network.check`: the relative difference of each array is shown instead, wrong ones in another colour.
    lr : float, optional
        Show the size of the update ``lr * gradient`` over that of the weights, too; near 1e-3 is usual.
    ax : matplotlib.axes.Axes, optional
    **bar_kw
        For ``Axes.bar``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError, TypeError, ValueError
        As `decision_boundary`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import steepest as sd
    >>> X, y = sd.network.moons(20, seed=0)
    >>> net = sd.network.Network([2, 4, 2], "tanh", loss="softmax_cross_entropy", seed=0)
    >>> len(sd.plot.layers(net, X, y, ax=axes).patches)
    8
    >>> pyplot.close("all")
    """
    ax = axes_for(ax)
    arrays = [(f"{letter}{i}", array) for letter, some in (("W", network.weights), ("b", network.biases))
              for i, array in enumerate(some)]
    order = [k + half * len(network.weights) for k in range(len(network.weights)) for half in (0, 1)]
    names = [arrays[k][0] for k in order]
    places = np.arange(len(order))
    if check is not None:
        table, at, heights, wrong = check.table, 0, [], []
        for k in order:
            part = table[at : at + arrays[k][1].size]
            at += part.size
            size = np.linalg.norm(np.nan_to_num(part["estimate"]))
            heights.append(np.linalg.norm(np.nan_to_num(part["given"] - part["estimate"])) / (size or 1.0))
            wrong.append(bool(np.char.startswith(part["verdict"].astype(str), "wrong").any()))
        colors = [COLORS[1] if bad else COLORS[2] for bad in wrong]
        ax.bar(places, np.maximum(heights, 1e-17), **({"color": colors} | bar_kw))
        ax.set_ylabel("|g - differences| / |differences|")
    else:
        series = [("weights", [_rms(arrays[k][1]) for k in order], COLORS[0])]
        if X is not None:
            gradient = network.gradient(X, y)
            weights, biases = network._views(gradient)
            both = (*weights, *biases)
            series.append(("gradient", [_rms(both[k]) for k in order], COLORS[1]))
            if lr is not None:
                rate = as_number(lr, "lr", above=0.0)
                series.append(("update / weights", [
                    rate * _rms(both[k]) / (_rms(arrays[k][1]) or np.inf) for k in order], COLORS[2]))
        elif lr is not None:
            raise ValueError("lr needs samples X and y")
        width = 0.8 / len(series)
        for i, (label, heights, color) in enumerate(series):
            ax.bar(places + (i - (len(series) - 1) / 2) * width, np.maximum(heights, 1e-17), width,
                   **({"color": color, "label": label} | bar_kw))
        ax.set_ylabel("root mean square")
        ax.legend()
    ax.set_yscale("log")
    ax.set_xticks(places, names)
    return ax


def _rms(array):
    return float(np.sqrt(np.mean(np.square(array, dtype=float))))


def sparsity_colors(pattern, *, coloring=None, ax=None, **scatter_kw):
    """A sparse pattern whose columns show the colour, that is the group, in which they are moved together.

    Parameters
    ----------
    pattern : sparse or dense array, (m, n)
        Where the Jacobian may differ from 0.
    coloring : steepest.sparsity.Coloring, optional
        By default `steepest.sparsity.color` finds one.
    ax : matplotlib.axes.Axes, optional
    **scatter_kw
        For ``Axes.scatter``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError, TypeError, ValueError
        As `decision_boundary`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from matplotlib import pyplot
    >>> _, axes = pyplot.subplots()
    >>> import numpy as np, steepest as sd
    >>> ax = sd.plot.sparsity_colors(np.eye(4) + np.eye(4, k=1), ax=axes)
    >>> ax.get_title()
    '2 groups of 4 columns'
    >>> pyplot.close("all")
    """
    from scipy.sparse import coo_array

    from .sparsity import color

    ax = axes_for(ax)
    found = coo_array(pattern)
    coloring = color(pattern) if coloring is None else coloring
    groups = coloring.colors
    count = coloring.count
    rows, columns = found.coords
    size = max(2.0, min(80.0, 4e4 / max(found.shape) ** 2))
    shade = {"c": groups[columns], "cmap": "tab20" if count <= 20 else "turbo", "marker": "s", "s": size,
             "edgecolors": GRAY if size > 10 else "none", "linewidths": 0.3}
    ax.scatter(columns, rows, **(shade | scatter_kw))
    ax.set_xlim(-0.5, found.shape[1] - 0.5)
    ax.set_ylim(found.shape[0] - 0.5, -0.5)
    ax.set_aspect("equal")
    ax.set_title(f"{count} group{'s' * (count != 1)} of {found.shape[1]} columns")
    return ax
