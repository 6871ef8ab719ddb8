"""Chapters of the tour on small functions: slopes, gradients, proofs, walks, false minima, a field.

Here because everything begins with functions that one can see through. Tested in tests/test_main.py.
"""

import numpy as np

from .descend import gradient_descent
from .differentiate import gradient
from .minimize import minimize
from .stochastic import stochastic_descent
from .tour_stage import on_both

__all__ = ["down", "field", "proof", "slopes", "textbook", "two_wells"]

SEED = 2


def slopes(stage):
    """Tables of values and slopes, and the rule behind them."""
    from .formula import power_law, slope_table

    table = slope_table(lambda c: c**2, np.arange(1.0, 5.0))
    agreed = on_both(lambda: slope_table(lambda c: c**2, np.arange(1.0, 5.0)).slope)[1]
    for line in str(table).splitlines():
        stage.write(f"   {line}")
    stage.write("")
    c = np.arange(1.0, 6.0)
    for name, values in (("c", c), ("c²", c**2), ("c³", c**3), ("1/c", 1 / c)):
        stage.write(f"   the table of {name:3s} follows {power_law(c, values, variable='c').text:6s}"
                    f"its gradient is {power_law(c, values, variable='c').gradient}")

    def draw(ax):
        from .plot import tangent

        tangent(lambda c: c**2, 1.5, (-0.5, 3.0), steps=6, lr=0.25, ax=ax)

    stage.picture("slope", draw)
    return agreed


def bowl(x):
    """The textbook's function."""
    return x[0] ** 2 + x[1] ** 2


def textbook(stage):
    """The gradient of x0² + x1²."""
    agreed = True
    for point in ((3.0, 4.0), (0.0, 2.0), (3.0, 0.0)):
        found, same = on_both(lambda point=point: gradient(bowl, point))
        agreed &= same
        stage.write(f"   gradient at ({point[0]:g}, {point[1]:g}) = ({found[0]:.10g}, {found[1]:.10g})")
    full = gradient(lambda x: abs(x[0]) + np.exp(x[1]), [0.0, 1.0], full_output=True)
    stage.write(f"   |x0| + exp(x1) at (0, 1): ({full.value[0]:.3g}, {full.value[1]:.6g}), and a warning: "
                f"{full.message}")

    def draw(ax):
        from .plot import gradient_field

        gradient_field(bowl, ax=ax)

    stage.picture("gradient", draw)
    return agreed


def proof(stage):
    """Gradients that are right, and one that is not."""
    from .check import check_gradient

    x = np.array([3.0, 4.0])
    right = check_gradient(bowl, lambda x: np.array([2 * x[0], 2 * x[1]]), x)
    wrong = check_gradient(bowl, lambda x: np.array([2 * x[0], 2.002 * x[1]]), x)
    stage.write(f"   2·x0, 2·x1: {right.message}")
    stage.write(f"   2·x0, 2.002·x1: {wrong.message}; the worst is {wrong.worst_name}")

    def draw(ax):
        from .plot import step_error

        step_error(np.sin, 1.0, float(np.cos(1.0)), ax=ax)

    stage.picture("steps", draw)
    return right.ok and not wrong.ok


def down(stage):
    """The textbook's walk, and better ones down a narrow valley."""
    stage.write("   100 steps x ← x − 0.1·∇f(x) from (−3, 4), f(x) = x0² + x1²:")
    run, agreed = on_both(lambda: gradient_descent(bowl, [-3.0, 4.0], lr=0.1, steps=100, history=True).history.x)
    for t in (0, 1, 2, 10, 100):
        stage.write(f"   step {t:3d}: ({run[t][0]:10.2e}, {run[t][1]:10.2e})    f = {bowl(run[t]):.2e}")
    stage.write("")
    stage.write("   Down Rosenbrock's valley from (−1.2, 1), gradients by differences:")
    walks = {}
    for name, options in (("gd", {"line_search": "armijo"}), ("bb", {}), ("cg", {}), ("lbfgs", {})):
        _, same = on_both(lambda name=name, options=options: minimize(
            valley, [-1.2, 1.0], method=name, maxiter=2000, **options).x)
        agreed &= same
        walks[name] = minimize(valley, [-1.2, 1.0], method=name, maxiter=2000, history=True, **options)
        stage.write(f"   {name:6s} {walks[name].nit:5d} iterations {walks[name].nfev:6d} calls of f    "
                    f"f = {walks[name].fun:.1e}")

    def draw(ax):
        from .plot import descent_path

        descent_path(walks, valley, minimum=[1, 1], xlim=(-1.6, 1.4), ylim=(-0.5, 1.6), log=True, ax=ax)

    stage.picture("paths", draw)
    return agreed


def valley(x):
    """Rosenbrock's function, of one point or of many."""
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def wells(x, rows):
    """A deep well, a shallow one, and a slope across that every row of the data pulls its own way."""
    return (x[0] ** 2 - 1) ** 2 + 0.3 * x[0] + ((x[1] - rows) ** 2).mean()


def two_wells(stage):
    """Out of a false minimum: by minibatches and noise, and by starting elsewhere."""
    start, rows = np.array([1.2, 0.0]), np.linspace(-1.0, 1.0, 40)
    bounds, steps = (-2.0, 2.0), {"lr": 0.05, "epochs": 60, "batch_size": 8, "seed": SEED}
    ways = {
        "plain descent": lambda: minimize(wells, start, args=(rows,)),
        "the best of 8 starts": lambda: minimize(wells, start, args=(rows,), bounds=bounds, starts=8, seed=SEED),
        "minibatches": lambda: stochastic_descent(wells, start, rows, **steps),
        "minibatches, and noise": lambda: stochastic_descent(wells, start, rows, jitter=12.0, **steps),
    }
    agreed = True
    for name, way in ways.items():
        run, same = on_both(lambda way=way: way().x)
        agreed &= same
        stage.write(f"      {name:24s} x = {run[0]:6.3f}   f = {wells(run, rows):6.3f}")
    return agreed


def field(stage):
    """A hill that was sampled: its slopes at the speed of a copy, with NumPy's bits."""
    from .grid import gradient as of_samples

    y, x = np.mgrid[-2:2:401j, -2:2:401j]
    hill, step = np.exp(-(x**2 + y**2)), 0.01
    (along_y, along_x), agreed = on_both(lambda: np.stack(of_samples(hill, step)))
    theirs = np.stack(np.gradient(hill, step))
    error = abs(along_x + 2 * x * hill).max()
    same = np.array_equal(np.stack([along_y, along_x]), theirs)
    stage.write(f"   exp(-(x² + y²)) on 401 x 401 points: slopes off by at most {error:.0e}, "
                f"{'the bits of' if same else 'not the bits of'} np.gradient")

    def draw(ax):
        part = slice(None, None, 25)
        ax.contourf(x, y, hill, 20, cmap="cividis")
        ax.quiver(x[part, part], y[part, part], along_x[part, part], along_y[part, part], color="white", angles="xy")
        ax.set_aspect("equal")

    stage.picture("field", draw)
    return agreed and same
