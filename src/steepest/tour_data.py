"""Chapters of the tour on real data: a diagnosis learnt, digits read, and gradients by everybody.

Here because examples of two variables persuade nobody. Tested in tests/test_main.py.
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
from .prepared import Gradient
from .tour_stage import on_both, progress, samples_of, sparkline

__all__ = ["breast_cancer", "diagnosis", "digits", "numpy_loop", "peers"]

ROUNDS = 9
STEPS = 300
EPOCHS = 30


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
    measurements, benign = samples_of("breast_cancer")
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


def diagnosis(stage):
    """Walk a real loss down, by gradients from differences."""
    write, data = stage.write, breast_cancer()
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


def digits(stage):
    """A network that reads handwritten digits, trained by the library and proved by its checker."""
    from .network import Network
    from .random_numbers import Source

    X, y = samples_of("digits")
    order = Source(0).permutation(len(X))
    X, y, held = X[order] / 16, y[order], len(X) // 4

    def network():
        return Network([64, 32, 10], "relu", loss="softmax_cross_entropy", dtype=np.float32, seed=0)

    def after_two_steps():
        net = network()
        net.fit(X[:64], y[:64], optimizer="adam", epochs=1, batch_size=32)
        return net.parameters

    _, agreed = on_both(after_two_steps)
    net = network()
    began = time.perf_counter()
    with progress(EPOCHS, "training") as tick:
        history = net.fit(X[held:], y[held:], optimizer="adam", lr=3e-3, epochs=EPOCHS, batch_size=32,
                          validation_data=(X[:held], y[:held]), callback=lambda record: tick())
    seconds = time.perf_counter() - began
    stage.write(f"   {net.parameters.size} parameters, {len(X) - held} images of 8 x 8 points, {EPOCHS} epochs by Adam "
                f"in {seconds:.2f} s")
    stage.write("      epoch     loss    right on the images held back")
    for t in (0, 1, 4, 9, EPOCHS - 1):
        stage.write(f"      {t + 1:5d}   {history.loss[t]:6.4f}    {history.validation_score[t]:6.1%}")
    began = time.perf_counter()
    proof = net.check(X[:4], y[:4])
    stage.write(f"   proof: {proof.message}, in {(time.perf_counter() - began) * 1e3:.0f} ms")
    stage.picture("digits", lambda ax: _convergence(history, ax))
    return agreed and proof.ok


def _convergence(run, ax):
    from .plot import convergence

    convergence(run, ax=ax)


def peers(stage):
    """One gradient of a real loss by everybody, compared and timed."""
    write, data = stage.write, breast_cancer()
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


