"""The gradient of a network proved: what `gradient` returns against differences of the loss, layer by layer.

Here because a network knows more than a black box: a weight of a layer moves one unit of it, so that everything below
stays and what is above is found for all inputs of that unit at once. Tested in tests/test_network_check.py.

Written in NumPy and in float64, beside the kernels, whose values are only compared: a fault in a kernel is not repeated
here.
"""

import numpy as np

from .check_report import GradientCheck
from .check_verdicts import NONFINITE, WRONG, judge
from .nested import Layout
from .options import as_number
from .plain_network import activate, losses

__all__ = ["NetworkCheck", "check"]

# By how much what enters a unit is moved; and by which shares of that, where it crosses the kink of an activation.
STEP = 2.0**-17
SHORTER = (2.0**-3, 2.0**-6)
RTOL = {"float32": 1e-4, "float64": 1e-6}
# A piece of work has about so many numbers.
PIECE = 1_000_000


class NetworkCheck(GradientCheck):
    """A `GradientCheck` that knows layers.

    Attributes
    ----------
    wrong_layer : int or None
        The first wrong layer counted from the output, where a fault shows that spreads to all below it; layers are
        numbered from the input, from 0.
    kinks : int
        Components where a unit crossed the kink of its activation.
    """

    wrong_layer: "int | None" = None
    kinks = 0

    @property
    def message(self):
        found = super().message
        return found if self.wrong_layer is None else f"{found}; the first wrong layer is {self.wrong_layer}"


class Differences:
    """Differences of the loss by every parameter, at one point."""

    def __init__(self, network, X, y, weight):
        self.network, self.y = network, y
        dtype = np.float64
        self.X = X.astype(dtype)
        self.y = y if y.ndim == 1 else y.astype(dtype)
        self.weight = None if weight is None else weight.astype(dtype)
        self.share = np.full(len(X), 1 / len(X)) if weight is None else self.weight / self.weight.sum()
        flat = network.parameters.astype(dtype)
        self.weights, self.biases = network._views(flat)
        self.inputs, self.entering = [self.X], []
        for i, name in enumerate(network.activations):
            self.entering.append(self.inputs[-1] @ self.weights[i] + self.biases[i])
            self.inputs.append(activate(name, self.entering[-1]))
        self.size = float(abs(self._of_rows(self.inputs[-1])).max())

    def _of_rows(self, outputs):
        """The loss of each row, (..., rows), for outputs (..., rows, units)."""
        return losses(self.network.loss_name, outputs, self.y, self.network.penalties["delta"])

    def layer(self, i):
        """``(estimate, error, kinked)`` for weights and biases of a layer, as arrays (inputs + 1, outputs)."""
        n, m = self.weights[i].shape
        shape = n + 1, m
        estimate, error, kinked = np.empty(shape), np.empty(shape), np.zeros(shape, bool)
        X = np.hstack([self.inputs[i], np.ones((len(self.X), 1))])      # the bias is the weight of a 1
        per = max(1, PIECE // (len(X) * max(self.network.sizes)))
        for j in range(m):
            for first in range(0, n + 1, per):
                part = slice(first, min(n + 1, first + per))
                found = self._of_unit(i, j, X[:, part].T)
                estimate[part, j], error[part, j], kinked[part, j] = found
        penalties = self.network.penalties
        estimate[:-1] += penalties["l2"] * self.weights[i] + penalties["l1"] * np.sign(self.weights[i])
        return estimate, error, kinked

    def _of_unit(self, i, j, x):
        """The same for the weights of unit j of layer i, on which the inputs x (weights, rows) come in."""
        z = self.entering[i][:, j]
        reach = STEP * max(1.0, abs(z).max())
        most = abs(x).max(axis=1)
        h = reach / np.where(most > 0, most, 1.0)       # no weight is moved, what enters the unit is
        estimate, error, kinked = self._central(i, j, x, z, h)
        for shorter in SHORTER:
            again = np.flatnonzero(kinked)
            if again.size == 0:
                break
            found = self._central(i, j, x[again], z, h[again] * shorter)
            for old, new in zip((estimate, error, kinked), found, strict=True):
                old[again] = new
        return estimate, error, kinked

    def _central(self, i, j, x, z, h):
        moved = h[:, None] * x
        above, kinked = self._above(i, j, z + moved)
        below, crossed = self._above(i, j, z - moved)
        estimate = (above - below) / (2 * h)
        return estimate, 4 * np.finfo(float).eps * self.size / h + STEP**2 * abs(estimate), kinked | crossed

    def _above(self, i, j, entering):
        """How much the loss differs where unit j of layer i gets `entering`, (k, rows), and which cross a kink."""
        network = self.network
        name = network.activations[i]
        change = activate(name, entering) - self.inputs[i + 1][:, j]
        kinked = _crossed(name, entering, self.entering[i][:, j])
        if i + 1 == len(network.activations):
            outputs = np.broadcast_to(self.inputs[-1], (*entering.shape, network.sizes[-1])).copy()
            outputs[..., j] += change
        else:
            values = self.entering[i + 1] + change[..., None] * self.weights[i + 1][j]
            for layer in range(i + 1, len(network.activations)):
                if layer > i + 1:
                    values = outputs @ self.weights[layer] + self.biases[layer]
                kinked |= _crossed(network.activations[layer], values, self.entering[layer]).any(axis=-1)
                outputs = activate(network.activations[layer], values)
        apart = self._of_rows(outputs) - self._of_rows(self.inputs[-1])
        return apart @ self.share, kinked.any(axis=-1)


def _crossed(name, moved, still):
    """Where an activation with a kink at 0 has changed sides."""
    if name not in ("relu", "leaky_relu"):
        return np.zeros(moved.shape, bool)
    return (moved > 0) != (still > 0)


def check(network, X, y, sample_weight, rtol):
    """`Network.check`."""
    X, y, weight = network._samples(X, y, sample_weight)
    rtol = RTOL[network.dtype.name] if rtol is None else as_number(rtol, "rtol", at_least=0.0)
    given = np.asarray(network.gradient(X, y, weight), float)
    if given.shape != network.parameters.shape:
        raise ValueError(f"gradient must have shape {network.parameters.shape}, not {given.shape}")
    differences = Differences(network, X, y, weight)
    columns: list = [[], [], [], [], []]
    wrong, kinks, at = [], 0, 0
    for i in range(len(network.activations)):
        estimate, error, kinked = (array.reshape(-1) for array in differences.layer(i))
        part = given[at : at + estimate.size]
        at += estimate.size
        # a float32 product is off by units of the largest terms, not of its result
        slack = rtol * 1e-2 * np.abs(estimate).max(initial=0.0) + (
            0.0 if network.dtype == np.float64 else 8 * np.finfo(np.float32).eps * differences.size)
        low, high = np.where(kinked, -np.inf, estimate), np.where(kinked, np.inf, estimate)
        ratio, verdict = judge(part[:, None], estimate[:, None], error[:, None], rtol, slack,
                               kinks=(kinked[:, None], low[:, None], high[:, None]))
        for column, values in zip(columns, (part, estimate, error, ratio[:, 0], verdict[:, 0]), strict=True):
            column.append(values)
        kinks += int(kinked.sum())
        wrong.append(bool(np.isin(verdict, (WRONG, NONFINITE)).any()))
    names = {name: array for i, (w, b) in enumerate(zip(network.weights, network.biases, strict=True))
             for name, array in ((f"weights[{i}]", w), (f"biases[{i}]", b))}
    layout = Layout(names)
    given, estimate, error, ratio, verdict = map(np.concatenate, columns)
    found = NetworkCheck("the gradient", given, estimate, error, ratio, verdict, layout.name, list(layout.slices()),
                         nfev=2 * given.size, njev=1, noise=np.finfo(float).eps * differences.size)
    found.kinks = kinks
    found.wrong_layer = max((i for i, bad in enumerate(wrong) if bad), default=None)
    return found
