"""The tour: what ``python -m steepest demo`` shows.

Here so that a newcomer sees gradients of a real objective by the kernel, by the reference and by what people use today,
then sees that objective descended, and a false minimum left. Tested in tests/test_main.py.
"""

import gc
import itertools
import math
import statistics
import time

import numpy as np

from .backends import backend
from .descend import gradient_descent
from .differentiate import gradient
from .minimize import minimize
from .prepared import Gradient
from .stochastic import stochastic_descent

__all__ = ["MissingPackageError", "tour"]

ROUNDS = 9
STEPS = 300
SEED = 2
SPARKS = "▁▂▃▄▅▆▇█"


class MissingPackageError(ImportError):
    """A package that the tour needs is not installed."""


def tour(write=print):
    """Show the whole tour.

    Parameters
    ----------
    write : callable
        Takes a line of text.

    Returns
    -------
    bool
        Whether every kernel agreed with its reference to the last bit.

    Raises
    ------
    MissingPackageError
        When scikit-learn, whose data are shown, is not installed.
    """
    data = breast_cancer()
    agreed = textbook(write)
    agreed &= real_gradient(write, data)
    agreed &= real_descent(write, data)
    agreed &= two_wells(write)
    write("")
    write("Kernel and reference agreed to the last bit throughout." if agreed
          else "A kernel and its reference DISAGREE: please report this, with the output of 'python -m steepest info'.")
    return agreed


def on_both(function):
    """The result on the kernels, and whether the reference gives the same bits."""
    with backend("kernels"):
        fast = function()
    with backend("reference"):
        plain = function()
    return fast, np.array_equal(fast, plain)


def heading(write, text):
    write("")
    write(text)
    write("─" * len(text))


# chapter 1


def bowl(x):
    """The textbook's function."""
    return x[0] ** 2 + x[1] ** 2


def textbook(write):
    """The gradient of x0² + x1², and the walk down it."""
    heading(write, "1. The textbook: f(x) = x0² + x1²")
    agreed = True
    for point in ((3.0, 4.0), (0.0, 2.0), (3.0, 0.0)):
        found, same = on_both(lambda point=point: gradient(bowl, point))
        agreed &= same
        write(f"   gradient at ({point[0]:g}, {point[1]:g}) = ({found[0]:.10g}, {found[1]:.10g})")
    write("")
    write("   100 steps x ← x − 0.1·∇f(x) from (−3, 4):")
    run, same = on_both(lambda: gradient_descent(bowl, [-3.0, 4.0], lr=0.1, steps=100, history=True).history.x)
    for t in (0, 1, 2, 10, 100):
        write(f"   step {t:3d}: ({run[t][0]:10.2e}, {run[t][1]:10.2e})    f = {bowl(run[t]):.2e}")
    return agreed & same


# chapter 2


class BreastCancer:
    """Diagnoses of 569 patients from 30 measurements each, and the logistic loss of a linear rule for them."""

    def __init__(self, measurements, malignant):
        test = np.arange(len(malignant)) % 4 == 3
        mean, spread = measurements[~test].mean(axis=0), measurements[~test].std(axis=0)
        table = np.column_stack([(measurements - mean) / spread, np.ones(len(measurements))])
        sign = np.where(malignant, 1.0, -1.0)
        self.train, self.test = (table[~test], sign[~test]), (table[test], sign[test])
        self.patients, self.size = len(sign), table.shape[1]
        self.signed = np.ascontiguousarray(self.train[0] * self.train[1][:, None])

    def loss(self, w):
        """Mean of log(1 + exp(-margin)), with a little weight decay."""
        return float(np.logaddexp(0.0, -(self.signed @ w)).mean() + 5e-4 * (w @ w))

    def analytic_gradient(self, w):
        """The gradient by hand, to judge the others by."""
        share = 1.0 / (1.0 + np.exp(self.signed @ w))
        return -(self.signed * share[:, None]).mean(axis=0) + 1e-3 * w

    def accuracy(self, w):
        """Share of the patients held back whose diagnosis is right."""
        table, sign = self.test
        return float(((table @ w > 0) == (sign > 0)).mean())


def breast_cancer():
    """Load scikit-learn's breast-cancer set."""
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError:
        raise MissingPackageError(
            "the tour shows data that ship with scikit-learn, which is not installed: pip install scikit-learn"
        ) from None
    measurements, benign = load_breast_cancer(return_X_y=True)
    return BreastCancer(measurements, benign == 0)


def numpy_loop(f, x, h=1e-6):
    """Central differences as people write them by hand."""
    g = np.zeros_like(x)
    for i in range(x.size):
        kept = x[i]
        x[i] = kept + h
        above = f(x)
        x[i] = kept - h
        below = f(x)
        x[i] = kept
        g[i] = (above - below) / (2 * h)
    return g


def real_gradient(write, data):
    """One gradient of the loss by everybody, compared and timed."""
    heading(write, "2. Real data: diagnosing 569 patients from 30 measurements")
    w = np.random.default_rng(0).normal(scale=0.1, size=data.size)
    write(f"   The logistic loss of {data.size} weights over {len(data.signed)} patients; {ROUNDS} interleaved rounds:")
    agreed = compare(write, data.loss, w, data.analytic_gradient(w))
    write("")
    write("   The loss of one patient alone, as in stochastic descent, a function that costs next to nothing:")
    row = data.signed[0]
    agreed &= compare(write, lambda w: math.log1p(math.exp(-float(row @ w))), w, -row / (1 + math.exp(row @ w)))
    write("")
    write("   The error is against the gradient worked out by hand; the overhead is what a call costs beyond f itself.")
    write(f"   Kernel and reference: {'the same bits' if agreed else 'DIFFERENT BITS'} in all {data.size} components.")
    return agreed


def compare(write, f, w, exact):
    """A table of the ways to a gradient; whether kernel and reference agree to the last bit."""
    from scipy.optimize._numdiff import approx_derivative

    _, agreed = on_both(lambda: gradient(f, w))

    def on_reference():
        with backend("reference"):
            return gradient(f, w)

    prepared, central = Gradient(f, w), 2 * w.size
    contenders = {
        "steepest": (lambda: gradient(f, w), central),
        "steepest, prepared": (lambda: prepared(w), central),
        "steepest's NumPy reference": (on_reference, central),
        "a NumPy loop by hand": (lambda: numpy_loop(f, w.copy()), central),
        "scipy, 3-point": (lambda: approx_derivative(f, w, method="3-point"), central + 1),
        "scipy, 2-point": (lambda: approx_derivative(f, w, method="2-point"), w.size + 1),
    }
    times = interleaved({"f": lambda: call_often(f, w, central), **{k: v[0] for k, v in contenders.items()}})
    bare = times.pop("f") / central
    title = f"one call of f takes {bare * 1e6:.1f} µs"
    write(f"   {title:<30}{'time':>9}{'calls of f':>12}{'overhead':>12}{'error':>10}")
    for name, (function, calls) in contenders.items():
        error = abs(function() - exact).max()
        overhead = max(times[name] / calls - bare, 0) * 1e6
        write(f"   {name:<30}{times[name] * 1e3:6.2f} ms{calls:>12}{overhead:>9.2f} µs{error:>10.0e}")
    return agreed


def call_often(f, x, count):
    """The limit: the bare calls of f."""
    for _ in itertools.repeat(None, count):
        f(x)


def interleaved(contenders):
    """Median seconds of each contender, taken in turn."""
    rounds: dict[str, list] = {name: [] for name in contenders}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for function in contenders.values():
            function()
        for _ in range(ROUNDS):
            for name, function in contenders.items():
                start = time.perf_counter()
                function()
                rounds[name].append(time.perf_counter() - start)
    finally:
        if collecting:
            gc.enable()
    return {name: statistics.median(seconds) for name, seconds in rounds.items()}


# chapter 3


def real_descent(write, data):
    """Walk the loss down, by gradients from differences."""
    heading(write, "3. Down it: learning the diagnosis by gradient descent")
    start = np.zeros(data.size)
    options = {"steps": STEPS, "momentum": 0.9, "nesterov": True, "history": True}
    began = time.perf_counter()
    with progress(STEPS, "descending") as tick:
        run = gradient_descent(data.loss, start, schedule=lambda t: tick() or 0.1, **options)
    seconds = time.perf_counter() - began
    check = {**options, "steps": 20}
    _, agreed = on_both(lambda: gradient_descent(data.loss, start, lr=0.1, **check).history.x)
    write(f"   {STEPS} steps with momentum 0.9, gradients by differences: {run.nfev} calls of f in {seconds:.1f} s")
    write("")
    write("      step     loss   |gradient|   right on the patients held back")
    for t in (0, 1, 3, 10, 30, 100, STEPS):
        x, value = run.history.x[t], run.history.fun[t]
        write(f"      {t:4d}   {value:6.4f}   {abs(run.history.grad[t]).max():10.1e}   {data.accuracy(x):6.1%}")
    write("")
    write(f"   loss {sparkline(run.history.fun)}  (both axes logarithmic)")
    return agreed


# chapter 4


def wells(x, rows):
    """A deep well, a shallow one, and a slope across that every row of the data pulls its own way."""
    return (x[0] ** 2 - 1) ** 2 + 0.3 * x[0] + ((x[1] - rows) ** 2).mean()


def two_wells(write):
    """Out of a false minimum: by minibatches and noise, and by starting elsewhere."""
    heading(write, "4. Out of a false minimum: (x² - 1)² + 0.3 x, deep at -1.04, shallow at 0.96")
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
        write(f"      {name:24s} x = {run[0]:6.3f}   f = {wells(run, rows):6.3f}")
    return agreed


def sparkline(values, width=60):
    """A curve in one line of text, both axes logarithmic."""
    picked = [math.log(values[round(len(values) ** (k / (width - 1))) - 1]) for k in range(width)]
    low, high = min(picked), max(picked)
    return "".join(SPARKS[round((value - low) / (high - low or 1) * (len(SPARKS) - 1))] for value in picked)


class progress:
    """A bar of tqdm's while something long goes on, where tqdm is installed; gives the function that moves it on."""

    def __init__(self, total, label):
        self.total, self.label, self.bar = total, label, None

    def __enter__(self):
        try:
            from tqdm import tqdm
        except ImportError:
            return lambda: None
        self.bar = tqdm(total=self.total, desc=f"   {self.label}", leave=False, unit="step")
        return lambda: self.bar.update() and None

    def __exit__(self, *exception):
        if self.bar is not None:
            self.bar.close()
        return False
