"""Pictures show what they say: arrows are -∇f, paths are those of the runs, marks are where they belong.

Here because a wrong picture convinces. Tests plot.py and the files it lists, by the data of the artists.
"""

import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.animation import FuncAnimation  # noqa: E402
from scipy.optimize import rosen, rosen_der  # noqa: E402

import steepest as sd  # noqa: E402

PATH = np.array([[-1.2, 1.0], [0.0, 0.5], [1.0, 1.0]])


def bowl(x):
    """Convex, for one point or many."""
    return x[0] ** 2 + 2 * x[1] ** 2


@pytest.fixture(autouse=True)
def closed():
    before = dict(matplotlib.rcParams)
    yield
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()     # it can be rendered
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def ax():
    return pyplot.figure().add_subplot()


def test_arrows_are_minus_the_gradient(ax):
    assert sd.plot.gradient_field(bowl, (-1, 1), (-2, 2), points=(4, 5), ax=ax) is ax
    [arrows] = ax.collections
    offsets = arrows.get_offsets()
    assert len(offsets) == 20
    np.testing.assert_allclose(arrows.U, -2 * offsets[:, 0], atol=1e-8)
    np.testing.assert_allclose(arrows.V, -4 * offsets[:, 1], atol=1e-8)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-2, 2))


def test_arrows_of_one_length_show_their_size_by_colour(ax):
    sd.plot.gradient_field(rosen, (-1, 0.9), (-1, 1), points=6, normalize=True, grad=rosen_der, ax=ax)
    [arrows] = ax.collections
    np.testing.assert_allclose(np.hypot(arrows.U, arrows.V), 1)
    sizes = [np.linalg.norm(rosen_der(point)) for point in arrows.get_offsets()]
    np.testing.assert_allclose(arrows.get_array(), sizes)
    sd.plot.gradient_field(lambda x: x[0] * 0 + 3.0, normalize=True, points=3, ax=ax)
    assert not ax.collections[-1].U.any()


def test_functions_of_many_points_are_called_once_for_all(ax):
    calls = []

    def counted(x):
        calls.append(np.shape(x))
        return bowl(x)

    sd.plot.contour(counted, points=50, ax=ax)
    assert len(calls) <= 3
    seen = []

    def one_at_a_time(x):
        seen.append(x)
        assert x.shape == (2,)
        return float(x @ x)

    sd.plot.contour(one_at_a_time, points=8, ax=ax)
    assert len(seen) >= 64
    sd.plot.gradient_field(one_at_a_time, points=3, ax=ax)
    arrows = ax.collections[-1]
    np.testing.assert_allclose(arrows.U, -2 * arrows.get_offsets()[:, 0], atol=1e-7)


def test_contours_have_the_levels_asked_for(ax):
    sd.plot.contour(bowl, levels=[1.0, 2.0, 3.0], filled=False, ax=ax)
    [lines] = ax.collections
    np.testing.assert_array_equal(lines.levels, [1, 2, 3])
    for path, level in zip(lines.get_paths(), lines.levels, strict=True):
        assert np.allclose(bowl(path.vertices.T), level, atol=0.01)
    sd.plot.contour(rosen, (-2, 2), (-1, 3), log=True, levels=7, ax=ax)
    assert len(ax.collections[-1].levels) == 7
    assert (np.diff(ax.collections[-1].levels, 2) > 0).all()


def test_the_path_of_a_run_has_its_start_its_end_and_the_minimum(ax):
    result = sd.minimize(rosen, [-1.2, 1.0], grad=rosen_der, history=True)
    sd.plot.descent_path(result, rosen, minimum=[1, 1], log=True, ax=ax)
    line, start, end, minimum = ax.lines
    np.testing.assert_array_equal(np.transpose(line.get_data()), result.history["x"])
    assert (start.get_marker(), end.get_marker(), minimum.get_marker()) == ("o", "*", "x")
    np.testing.assert_array_equal(np.ravel(start.get_data()), [-1.2, 1.0])
    np.testing.assert_array_equal(np.ravel(end.get_data()), result.history["x"][-1])
    np.testing.assert_array_equal(np.ravel(minimum.get_data()), [1, 1])


def test_several_runs_have_colours_and_labels(ax):
    runs = {name: sd.minimize(bowl, [1.0, 1.0], method=name, lr=0.1, history=True, maxiter=20)
            for name in ("gd", "adam")}
    sd.plot.descent_path(runs, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["gd", "adam"]
    assert ax.lines[0].get_color() != ax.lines[3].get_color()
    sd.plot.descent_path([PATH, PATH + 1], ax=ax)
    assert len(ax.lines) == 12


def test_a_surface_is_in_three_dimensions_and_a_path_lies_on_it():
    ax = sd.plot.surface(bowl, run=PATH, points=11)
    x, y, z = ax.lines[0].get_data_3d()
    np.testing.assert_array_equal(np.stack([x, y], axis=1), PATH)
    assert (z > bowl(PATH.T)).all()
    with pytest.raises(TypeError, match="ax must have three dimensions"):
        sd.plot.surface(bowl, ax=pyplot.figure().add_subplot())


def test_a_tangent_touches_with_the_slope_there(ax):
    sd.plot.tangent(lambda c: c**3, 1.5, steps=2, lr=0.1, ax=ax)
    curve, tangent, steps = ax.lines
    x, y = curve.get_data()
    np.testing.assert_allclose(y, x**3)
    (x0, x1), (y0, y1) = tangent.get_data()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(6.75, rel=1e-8)
    assert y0 + 6.75 * (1.5 - x0) == pytest.approx(1.5**3, rel=1e-8)
    places = steps.get_xdata()
    np.testing.assert_allclose(places[1:], places[:-1] - 0.1 * 3 * places[:-1] ** 2, rtol=1e-7)


def test_errors_over_the_step_fall_and_rise_again(ax):
    sd.plot.step_error(np.exp, 1.0, np.e, ax=ax)
    forward, central, chosen_forward, chosen_central = ax.lines
    h, error = forward.get_data()
    middle = (h > 1e-6) & (h < 1e-2)
    assert np.polyfit(np.log(h[middle]), np.log(error[middle]), 1)[0] == pytest.approx(1, abs=0.05)
    h, error = central.get_data()
    middle = (h > 1e-3) & (h < 1e-1)
    assert np.polyfit(np.log(h[middle]), np.log(error[middle]), 1)[0] == pytest.approx(2, abs=0.05)
    for line, least in ((chosen_forward, forward), (chosen_central, central)):
        assert line.get_ydata()[0] < 100 * np.median(np.sort(least.get_ydata())[:20])


def test_convergence_of_walks_trainings_and_numbers(ax):
    result = sd.minimize(rosen, [-1.2, 1.0], grad=rosen_der, history=True)
    X, y = sd.network.moons(40, seed=0)
    net = sd.network.Network([2, 6, 2], "tanh", loss="softmax_cross_entropy", seed=0)
    history = net.fit(X, y, epochs=4, validation_data=(X, y))
    sd.plot.convergence({"walk": result, "net": history, "by hand": [3.0, 2.0, 1.0]}, ax=ax)
    assert [line.get_label() for line in ax.lines] == ["walk", "net training", "net validation", "by hand"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), result.history["fun"])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), history.loss)
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), history.validation_loss)
    assert ax.get_yscale() == "log"
    sd.plot.convergence(history, name="score", ax=ax)
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), history.score)


def test_learning_rates_that_diverge_are_cut_off_and_named(ax):
    sd.plot.learning_rates(bowl, [1.0, 1.0], [0.1, 0.45, 0.6, 5.0], steps=200, ax=ax)
    labels = [line.get_label() for line in ax.lines]
    assert labels == ["lr = 0.1", "lr = 0.45", "lr = 0.6 (diverges)", "lr = 5 (diverges)"]
    assert all(np.nanmax(line.get_ydata()) <= 3e3 for line in ax.lines)
    x = np.array([1.0, 1.0])
    for value in ax.lines[0].get_ydata()[:20]:
        assert value == pytest.approx(bowl(x), rel=1e-6)
        x = x - 0.1 * np.array([2, 4]) * x


def test_decisions_and_their_samples(ax):
    X, y = sd.network.moons(60, seed=0)
    net = sd.network.Network([2, 8, 2], "tanh", loss="softmax_cross_entropy", seed=0)
    net.fit(X, y, lr=0.02, epochs=20)
    sd.plot.decision_boundary(net, X, y, points=101, ax=ax)
    np.testing.assert_array_equal(ax.collections[-1].get_offsets(), X)
    boundary = ax.collections[1].get_paths()[0].vertices
    np.testing.assert_allclose(net.predict_proba(boundary)[:, 1], 0.5, atol=0.02)
    X, y = sd.network.spirals(60, seed=0)
    three = sd.network.Network([2, 8, 3], "tanh", loss="softmax_cross_entropy", seed=0)
    sd.plot.decision_boundary(three, X, y, points=11, ax=pyplot.figure().add_subplot())


def test_the_plane_of_a_loss_holds_its_path(ax):
    X, y = sd.network.moons(60, seed=0)
    net, path = sd.network.Network([2, 4, 2], "tanh", loss="softmax_cross_entropy", seed=0), []
    net.fit(X, y, epochs=6, callback=lambda record: path.append(net.parameters.copy()))
    sd.plot.loss_plane(net, X, y, path=path, points=7, ax=ax)
    assert "principal directions" in ax.get_title()
    share = float(ax.get_title().split(",")[1].split("%")[0])
    assert 0 <= share < 50
    np.testing.assert_allclose(np.ravel(ax.lines[0].get_data())[[5, 11]], 0, atol=1e-12)    # ends where the network is
    sd.plot.loss_plane(net, X, y, points=3, ax=ax)
    with pytest.raises(ValueError, match="path must have shape"):
        sd.plot.loss_plane(net, X, y, path=np.zeros((3, 4)))


def test_bars_of_layers(ax):
    X, y = sd.network.moons(20, seed=0)
    net = sd.network.Network([2, 4, 2], "tanh", loss="softmax_cross_entropy", seed=0)
    sd.plot.layers(net, X, y, lr=0.1, ax=ax)
    heights = [bar.get_height() for bar in ax.patches]
    assert len(heights) == 12
    weights, gradient = net.weights[0], net._views(net.gradient(X, y))[0][0]
    assert heights[0] == pytest.approx(np.sqrt(np.mean(weights**2)))
    assert heights[4] == pytest.approx(np.sqrt(np.mean(gradient**2)))
    assert heights[8] == pytest.approx(0.1 * heights[4] / heights[0])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["W0", "b0", "W1", "b1"]


def test_bars_of_a_proof_show_what_is_wrong(ax):
    class Wrong(sd.network.Network):
        def gradient(self, X, y, sample_weight=None):
            found = super().gradient(X, y, sample_weight)
            self._views(found)[0][1][...] *= 1.1
            return found

    X, y = sd.network.moons(20, seed=0)
    net = Wrong([2, 4, 2], "tanh", loss="softmax_cross_entropy", seed=0)
    sd.plot.layers(net, check=net.check(X, y), ax=ax)
    heights, colors = [bar.get_height() for bar in ax.patches], [bar.get_facecolor() for bar in ax.patches]
    assert heights[2] == pytest.approx(0.1, rel=1e-6)
    assert max(heights[0], heights[1], heights[3]) < 1e-6
    assert colors[2] != colors[0] == colors[1] == colors[3]


def test_colours_of_a_pattern_are_its_groups(ax):
    pattern = np.eye(9) + np.eye(9, k=1) + np.eye(9, k=-1)
    coloring = sd.sparsity.color(pattern)
    sd.plot.sparsity_colors(pattern, coloring=coloring, ax=ax)
    [squares] = ax.collections
    columns = squares.get_offsets()[:, 0].astype(int)
    assert len(columns) == np.count_nonzero(pattern)
    np.testing.assert_array_equal(squares.get_array(), coloring.colors[columns])
    assert ax.get_title() == "3 groups of 9 columns"


def test_a_film_shows_the_path_point_by_point(ax):
    film = sd.plot.animate(PATH, bowl, minimum=[0, 0], ax=ax)
    assert isinstance(film, FuncAnimation)
    [line] = film._func(1)
    np.testing.assert_array_equal(np.transpose(line.get_data()), PATH[:2])
    [line] = film._func(2)
    np.testing.assert_array_equal(np.transpose(line.get_data()), PATH)
    film._draw_was_started = True       # it is not played here


@pytest.mark.parametrize(("draw", "error", "words"), [
    (lambda: sd.plot.gradient_field(bowl, (1, 1)), ValueError, "xlim must ascend"),
    (lambda: sd.plot.gradient_field(bowl, 3), TypeError, "xlim must be a pair"),
    (lambda: sd.plot.gradient_field(bowl, points=1), ValueError, "points"),
    (lambda: sd.plot.gradient_field(3), TypeError, "f must be"),
    (lambda: sd.plot.gradient_field(bowl, ax=3), TypeError, "ax must be Axes"),
    (lambda: sd.plot.gradient_field(bowl, grad=lambda x: [1.0, 2.0, 3.0]), ValueError, "grad must give 2 numbers"),
    (lambda: sd.plot.descent_path(np.zeros((3, 3))), ValueError, r"a path must have shape \(points, 2\)"),
    (lambda: sd.plot.descent_path(sd.minimize(bowl, [1.0, 1.0])), ValueError, "history=True"),
    (lambda: sd.plot.convergence(sd.minimize(bowl, [1.0, 1.0])), ValueError, "history=True"),
    (lambda: sd.plot.convergence(np.zeros((2, 2))), ValueError, "a run must give a vector"),
    (lambda: sd.plot.learning_rates(bowl, [1.0, 1.0], [-1.0]), ValueError, "rates"),
    (lambda: sd.plot.step_error(np.exp, 0.0, 1.0, steps=[-1.0]), ValueError, "steps"),
    (lambda: sd.plot.decision_boundary(None, np.zeros((3, 3)), [0, 1, 1]), ValueError, r"X must have shape"),
    (lambda: sd.plot.layers(sd.network.Network([2, 1]), lr=0.1), ValueError, "lr needs samples"),
])
def test_what_cannot_be_drawn_is_refused(draw, error, words):
    with pytest.raises(error, match=words):
        draw()


def test_without_matplotlib_one_line_tells_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install steepest\[plot\]"):
        sd.plot.contour(bowl)
