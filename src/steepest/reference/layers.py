"""Feed-forward networks of dense layers, forward and backward, in plain NumPy: the twin of kernels/layers.pyx.

Here to be read and to be compared with: the kernel gives the same bits, for any number of threads. Backpropagation is
that of Rumelhart, Hinton and Williams (1986): values forward, derivatives of the loss with respect to what enters each
activation ("deltas") backward, and their products are the gradient. Tested in tests/test_layers.py.

Every product is a sum in order of its terms from a start value, the bias where there is one. Rows are taken in chunks
of `CHUNK`; chunks in a few parts, each of which sums the gradients of its rows in order; the parts are added as a tree.
"""

import itertools
import math
import threading

import numpy as np

from ..errors import BusyError
from . import elementary

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "softplus", "gelu", "silu")
LOSSES = ("half_mse", "mse", "huber", "binary_cross_entropy", "softmax_cross_entropy")
IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU, SOFTPLUS, GELU, SILU = range(len(ACTIVATIONS))
HALF_MSE, MSE, HUBER, BINARY_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY = range(len(LOSSES))

CHUNK = 128                 # rows that go through the network at a time
PARTS = 16                  # of the rows, at most, each with a gradient of its own
WORTH = 8_000_000           # additions and multiplications that are worth a part, at least
LANES = 16                  # partial sums of a row
OUTSIDE_GELU, OUTSIDE_SILU = 40.0, 750.0        # beyond, in either type, they are 0 or x
DENSITY = 0.3989422804014327                    # of a normal number at 0: 1 / sqrt(2 pi)


def part_of(sizes, rows):
    """How many rows make a part: whole chunks, enough to be worth it, and at most `PARTS` parts."""
    operations = 6 * sum(before * after for before, after in itertools.pairwise(sizes))
    least = max(-(-rows // PARTS), -(-WORTH // operations))
    return min(-(-least // CHUNK), -(-rows // CHUNK)) * CHUNK


def activate(code, z, slope):
    """Values of an activation, and its derivatives where they are not found from the values."""
    real = z.dtype.type
    if code == SIGMOID:
        return elementary.sigmoid(z), None
    if code == TANH:
        return elementary.tanh(z), None
    if code == RELU:
        return np.where(z < 0, real(0), z), None
    if code == LEAKY_RELU:
        return np.where(z > 0, z, real(slope) * z), None
    if code == SOFTPLUS:
        return elementary.softplus(z), elementary.sigmoid(z)
    if code == GELU:
        return _gelu(z)
    if code == SILU:
        return _silu(z)
    return z, None


def _within(z, bound):
    """z from -bound on, and the same up to bound: so that what is 0 is not multiplied by what is infinite."""
    bound = z.dtype.type(bound)
    low = np.where(z < -bound, -bound, z)
    return low, np.where(low > bound, bound, low)


def _gelu(z):
    """x times the chance that a normal number is below x: the exact form of Hendrycks and Gimpel (2016)."""
    real = z.dtype.type
    low, inside = _within(z, OUTSIDE_GELU)
    e = elementary.exp_of_negative((inside * inside) * real(-0.5))
    tail = elementary.normal_tail(np.abs(inside), e)
    chance = np.where(inside < 0, tail, real(1) - tail)
    return low * chance, chance + inside * (e * real(DENSITY))


def _silu(z):
    """x times its sigmoid."""
    one = z.dtype.type(1)
    low, inside = _within(z, OUTSIDE_SILU)
    s = elementary.sigmoid(z)
    return low * s, s + s * (inside * (one - s))


def multiply_by_slopes(code, deltas, values, slopes, slope):
    """Deltas times the derivative of an activation, that of relu at 0 being 0."""
    real = deltas.dtype.type
    if code == SIGMOID:
        return deltas * (values * (real(1) - values))
    if code == TANH:
        return deltas * (real(1) - values * values)
    if code == RELU:
        return np.where(values > 0, deltas, real(0))
    if code == LEAKY_RELU:
        return np.where(values > 0, deltas, real(slope) * deltas)
    return deltas if code == IDENTITY else deltas * slopes


def _row_sums(terms):
    """Sum of each row: sixteen partial sums, added as a tree."""
    rows, count = terms.shape
    padded = np.zeros((rows, -(-count // LANES), LANES), terms.dtype)
    padded.reshape(rows, -1)[:, :count] = terms
    sums = np.add.accumulate(padded, axis=1)[:, -1] + terms.dtype.type(0)
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def losses_of(code, a, y, factors, delta):
    """The loss of each row, and its derivatives with respect to the outputs, times the row's factor (double)."""
    real = a.dtype.type
    if code == SOFTMAX_CROSS_ENTROPY:
        return _softmax_cross_entropy(a, y, factors.astype(a.dtype))
    if code == BINARY_CROSS_ENTROPY:
        e = elementary.exp_of_negative(-np.abs(a))
        terms = (np.where(a < 0, real(0), a) - a * y) + elementary.log1p_of_fraction(e)
        slopes = np.where(a < 0, e, real(1)) / (real(1) + e) - y
        return _row_sums(terms), slopes * factors.astype(a.dtype)[:, None]
    share = (2.0 if code == MSE else 1.0) / a.shape[1]
    d = a - y
    if code == HUBER:
        bound, size = real(delta), np.abs(d)
        terms = np.where(size > bound, bound * (size - real(0.5) * bound), real(0.5) * (d * d))
        d = np.where(d > bound, bound, np.where(d < -bound, -bound, d))
        rows = _row_sums(terms) * real(share)
    else:
        rows = _row_sums(d * d) * real(0.5 * share)
    return rows, d * (factors * share).astype(a.dtype)[:, None]


def _softmax_cross_entropy(a, y, factors):
    """The logarithm is taken of a sum that is at least 1, so that no gap between logits is too wide."""
    real = a.dtype.type
    largest = a.max(axis=1)
    e = elementary.exp_of_negative(a - largest[:, None])
    sums = _row_sums(e)
    logarithms, p = elementary.log(sums), e * (real(1) / sums)[:, None]
    if y.ndim == 1:
        chosen = np.arange(len(y)), y
        rows = (largest - a[chosen]) + logarithms
        p[chosen] -= real(1)
        return rows, p * factors[:, None]
    terms = np.where(y == 0, real(0), y * ((largest[:, None] - a) + logarithms[:, None]))
    return _row_sums(terms), (p * _row_sums(y)[:, None] - y) * factors[:, None]


def multiply(start, a, b, repeats=1):
    """start + a b, in place: for every element the terms are added in order. Repeated, for whoever takes the time."""
    for _ in range(repeats):
        for k in range(a.shape[1]):
            start += a[:, k, None] * b[k]
    return start


def sum_in_order(numbers):
    """Their sum, one after the other, in double."""
    return float(np.add.accumulate(numbers, dtype=np.float64)[-1])


def add_as_tree(parts):
    """Neighbours are added until one is left."""
    while len(parts) > 1:
        parts = [sum(parts[i + 1 : i + 2], parts[i]) for i in range(0, len(parts), 2)]
    return parts[0]


class Layers:
    """Dense layers and a loss: what `steepest.network` wraps.

    Parameters
    ----------
    sizes : tuple of int
        Of the inputs, of every layer.
    activations : tuple of int
        Of every layer: places in `ACTIVATIONS`.
    loss : int
        Place in `LOSSES`.
    dtype : {"d", "f"}
        Of everything.
    l2, l1 : float
        ``l2 / 2`` times the sum of the squares of the weights and `l1` times that of their sizes are added to the loss.
    slope : float
        Of leaky_relu for negative numbers, not below 0.
    delta : float
        Where huber goes over from squares to sizes.
    share : callable, optional
        As for `Optimizer`: has the parts done by several threads.
    threads : int
        How many at most.

    Notes
    -----
    Parameters are one vector: of every layer its weights (inputs, outputs), row by row, then its biases. `x` is
    (rows, inputs); `y` is (rows, outputs), or for softmax cross-entropy (rows,) labels as int64; `weight` is (rows,) of
    float64. A loss is the mean over the rows, or their weighted mean, which is 0 where all weights are.
    """

    def __init__(self, sizes, activations, loss, dtype="d", l2=0.0, l1=0.0, slope=0.01, delta=1.0, share=None,
                 threads=1):
        self.sizes, self.activations, self.loss = tuple(sizes), tuple(activations), loss
        self.dtype, self.l2, self.l1, self.slope, self.delta = np.dtype(dtype), l2, l1, slope, delta
        if len(self.sizes) < 2 or len(self.activations) != len(self.sizes) - 1 or min(self.sizes) < 1:
            raise ValueError("sizes must be those of the inputs and of every layer, and activations one for each layer")
        if not all(0 <= code < len(ACTIVATIONS) for code in self.activations) or not 0 <= loss < len(LOSSES):
            raise ValueError("there is no such activation or loss")
        if self.dtype not in elementary.CONSTANTS:
            raise TypeError(f"dtype must be float32 or float64, not {self.dtype}")
        if not slope >= 0 or not delta > 0:
            raise ValueError("slope must not be negative, and delta be positive")
        self.count = sum((before + 1) * after for before, after in itertools.pairwise(self.sizes))
        self._busy = threading.Lock()

    def _views(self, flat):
        """The weights and biases of every layer in a flat vector."""
        views, first = [], 0
        for before, after in itertools.pairwise(self.sizes):
            middle, last = first + before * after, first + (before + 1) * after
            views.append((flat[first:middle].reshape(before, after), flat[middle:last]))
            first = last
        return views

    def _forward(self, parameters, x):
        """Values of every layer, the inputs first, and the derivatives of those activations that keep them."""
        values, slopes = [x], [None]
        for (weights, biases), code in zip(self._views(parameters), self.activations, strict=True):
            z = multiply(np.tile(biases, (len(x), 1)), values[-1], weights)
            a, s = activate(code, z, self.slope)
            values.append(a)
            slopes.append(s)
        return values, slopes

    def forward(self, parameters, x, layers=False):
        """The outputs, or the values of every layer."""
        self._check(parameters, x)
        with np.errstate(all="ignore"):
            values = self._forward(parameters, x)[0][1:]
        return values if layers else values[-1]

    def value(self, parameters, x, y, weight=None):
        """The loss."""
        self._check(parameters, x, y, weight)
        with np.errstate(all="ignore"):
            return self._run(parameters, x, y, weight)[0]

    def gradient(self, parameters, x, y, weight=None, out=None, deltas=None, inputs=None):
        """The loss; its gradient goes to `out`, the deltas to arrays of `deltas`, derivatives by x to `inputs`."""
        self._check(parameters, x, y, weight)
        with np.errstate(all="ignore"):
            loss, gradient, found, by_inputs, _ = self._run(parameters, x, y, weight, True, inputs is not None)
        if out is not None:
            out[...] = gradient
        for i, array in enumerate(deltas or ()):
            array[...] = np.concatenate([chunk[i] for chunk in found])
        if inputs is not None:
            inputs[...] = np.concatenate(by_inputs)
        return loss

    def epoch(self, parameters, x, y, weight, order, batch, optimizer, rates):
        """One step of the optimizer for every batch of the rows in that order.

        Parameters
        ----------
        order : array of intp
            Rows of x.
        batch : int
            How many make a batch; the last one may be shorter.
        optimizer : Optimizer
            Of the one array `parameters`.
        rates : array of float64 or None
            The learning rate of every step; None for that of the optimizer.

        Returns
        -------
        (float, int, tuple or None)
            The mean over the rows of their batches' losses, the number of steps made, and the batch and the layer where
            something was not finite, or None. The layer is the number of layers where that is the loss alone. No
            step is made with such a batch, and none after it.
        """
        self._check(parameters, x, y, weight)
        if batch < 1 or order.ndim != 1 or (order.size and not 0 <= order.min() <= order.max() < len(x)):
            raise ValueError("batch must be at least 1, and order hold rows of x")
        if len(optimizer.arrays) != 1 or optimizer.arrays[0].ctypes.data != parameters.ctypes.data:
            raise ValueError("optimizer must be one of the array parameters alone")
        if not self._busy.acquire(blocking=False):
            raise BusyError("these layers are at work for another call")
        try:
            return self._epoch(parameters, x, y, weight, order, batch, optimizer, rates)
        finally:
            self._busy.release()

    def _epoch(self, parameters, x, y, weight, order, batch, optimizer, rates):
        total, made, rows = 0.0, 0, 0
        for step, first in enumerate(range(0, len(order), batch)):
            chosen = order[first : first + batch]
            some = None if weight is None else weight[chosen]
            with np.errstate(all="ignore"):
                loss, gradient, *_, wrong = self._run(parameters, x[chosen], y[chosen], some, True)
            if wrong is None and not math.isfinite(loss):
                wrong = len(self.activations)
            if wrong is not None:
                return (total / rows if rows else math.nan), made, (step, wrong)
            if rates is not None:
                optimizer.change(optimizer.groups[0], 0, rates[step])
            optimizer.step(gradient if optimizer.alone else [gradient])
            total, made, rows = total + loss * len(chosen), made + 1, rows + len(chosen)
        return (total / rows if rows else math.nan), made, None

    def _run(self, parameters, x, y, weight, backward=False, by_inputs=False):
        """Loss, gradient, deltas and derivatives by x of every chunk, first layer with a value that is not finite."""
        rows, losses, deltas, inputs, gradients, wrong = len(x), [], [], [], [], []
        weights = np.ones(rows) if weight is None else weight
        total = float(rows) if weight is None else sum_in_order(weight)
        factors = weights / total if total > 0 else np.zeros(rows)
        part = part_of(self.sizes, rows)
        for start in range(0, rows, part):
            gradient, sums = np.zeros(self.count, self.dtype), []
            for first in range(start, min(rows, start + part), CHUNK):
                chunk = slice(first, min(rows, start + part, first + CHUNK))
                values, slopes = self._forward(parameters, x[chunk])
                found, d = losses_of(self.loss, values[-1], y[chunk], factors[chunk], self.delta)
                sums.append(weights[chunk] * found)
                wrong += [i for i, a in enumerate(values[1:]) if not np.isfinite(a).all()][:1]
                if backward:
                    some, before = self._backward(parameters, values, slopes, d, gradient, by_inputs)
                    deltas.append(some)
                    inputs.append(before)
            losses.append(sum_in_order(np.concatenate(sums)))
            gradients.append(gradient)
        gradient, loss = add_as_tree(gradients), add_as_tree(losses)
        loss = loss / total if total > 0 else 0.0
        return (loss + self._penalize(parameters, gradient), gradient, deltas, inputs, min(wrong, default=None))

    def _backward(self, parameters, values, slopes, d, gradient, by_inputs):
        """Deltas of every layer, from the last to the first, and what they add to the gradient."""
        deltas, views = [], self._views(parameters)
        for i, (by_weights, by_biases) in reversed(list(enumerate(self._views(gradient)))):
            d = multiply_by_slopes(self.activations[i], d, values[i + 1], slopes[i + 1], self.slope)
            deltas.insert(0, d)
            multiply(by_weights, values[i].T, d)
            multiply(by_biases[None], np.ones((1, len(d)), self.dtype), d)
            if i > 0 or by_inputs:
                d = multiply(np.zeros((len(d), self.sizes[i]), self.dtype), d, views[i][0].T)
        return deltas, d

    def _penalize(self, parameters, gradient):
        """What the weights add to the loss; their derivatives are added to the gradient."""
        if self.l2 == 0 and self.l1 == 0:
            return 0.0
        penalty, real = 0.0, self.dtype.type
        for (weights, _), (by_weights, _) in zip(self._views(parameters), self._views(gradient), strict=True):
            if self.l2 != 0:
                by_weights += real(self.l2) * weights
            if self.l1 != 0:
                by_weights += real(self.l1) * np.sign(weights)
            wide, here = weights.reshape(1, -1).astype(np.float64), 0.0
            if self.l2 != 0:
                here += (0.5 * self.l2) * float(_row_sums(wide * wide)[0])
            if self.l1 != 0:
                here += self.l1 * float(_row_sums(np.abs(wide))[0])
            penalty += here
        return penalty

    def _check(self, parameters, x, y=None, weight=None):
        """Types and shapes; labels within range."""
        if parameters.dtype != self.dtype or parameters.shape != (self.count,):
            raise ValueError(f"parameters must be {self.count} numbers of {self.dtype}")
        if x.dtype != self.dtype or x.ndim != 2 or x.shape[1] != self.sizes[0] or len(x) == 0:
            raise ValueError(f"x must be rows of {self.sizes[0]} numbers of {self.dtype}, at least one")
        if y is None:
            return
        if y.ndim == 1 and self.loss == SOFTMAX_CROSS_ENTROPY:
            if y.dtype != np.int64 or len(y) != len(x) or not 0 <= y.min() <= y.max() < self.sizes[-1]:
                raise ValueError(f"y must be labels from 0 to {self.sizes[-1] - 1} as int64, one for each row of x")
        elif y.dtype != self.dtype or y.shape != (len(x), self.sizes[-1]):
            raise ValueError(f"y must be {len(x)} rows of {self.sizes[-1]} numbers of {self.dtype}")
        if weight is not None and (weight.dtype != np.float64 or weight.shape != (len(x),)):
            raise ValueError(f"weight must be {len(x)} numbers of float64")
