"""Layers against their reference: values, gradients and whole epochs, for the table of compare.py.

Here because a network is forward, backward and a step in one call. Run by ci/compare and ci/test.
"""

import itertools

import numpy as np

from steepest.reference.layers import ACTIVATIONS, LOSSES, SOFTMAX_CROSS_ENTROPY


def data(sizes, rows, loss, dtype, weighted):
    """Parameters, x, y, weight."""
    source = np.random.default_rng(rows)
    count = sum((before + 1) * after for before, after in itertools.pairwise(sizes))
    parameters, x = ((source.normal(size=size) / 4).astype(dtype) for size in (count, (rows, sizes[0])))
    labels = loss == SOFTMAX_CROSS_ENTROPY and rows % 2 == 0
    y = source.integers(sizes[-1], size=rows) if labels else source.random((rows, sizes[-1])).astype(dtype)
    return parameters, x, y, source.random(rows) if weighted else None


def gradient(side, dtype, sizes, activation, loss, rows, weighted):
    """The loss, its gradient, deltas, derivatives by x, values of all layers."""
    parameters, x, y, weight = data(sizes, rows, loss, dtype, weighted)
    layers = side.layers.Layers(sizes, (activation,) * (len(sizes) - 2) + (0,), loss, dtype, 1e-2, 1e-3, 0.1, 0.5)
    out, inputs = np.empty_like(parameters), np.empty_like(x)
    deltas = [np.empty((rows, size), dtype) for size in sizes[1:]]
    return (lambda: layers.gradient(parameters, x, y, weight, out, deltas, inputs),
            lambda: {"out": out, "inputs": inputs, "deltas": deltas, "values": layers.forward(parameters, x, True)})


def epoch(side, dtype, sizes, activation, family, batch, weighted):
    """An epoch in batches, the last one short, and what it leaves."""
    parameters, x, y, weight = data(sizes, 100, SOFTMAX_CROSS_ENTROPY, dtype, weighted)
    layers = side.layers.Layers(sizes, (activation,) * (len(sizes) - 2) + (0,), SOFTMAX_CROSS_ENTROPY, dtype)
    settings = (0.1, 0.01, 0.9, 0.0, 1.0) if family == "sgd" else (0.01, 0.01, 0.9, 0.99, 1e-8, 0.0, 1.0)
    states = [np.zeros_like(parameters) for _ in range(1 if family == "sgd" else 2)]
    optimizer = side.update.Optimizer(family, [parameters], True, [0], [settings], [states])
    order, rates = np.random.default_rng(1).permutation(100), np.linspace(0.1, 0.01, 100)
    return (lambda: layers.epoch(parameters, x, y, weight, order, batch, optimizer, rates),
            lambda: {"parameters": parameters, "states": states, "t": optimizer.t})


def grid(**axes):
    """Every combination of the entries of the axes."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


LINES = [
    ("layers.Layers.gradient", gradient, [
        *grid(dtype="fd", sizes=[(6, 21, 10)], activation=range(len(ACTIVATIONS)), loss=range(len(LOSSES)), rows=[33],
              weighted=[False, True]),
        *grid(dtype="fd", sizes=[(1, 1), (64, 100, 10), (17, 5, 33, 3)], activation=[2, 3],
              loss=[SOFTMAX_CROSS_ENTROPY], rows=[1, 8, 300], weighted=[True])]),
    ("layers.Layers.epoch", epoch, grid(
        dtype="fd", sizes=[(2, 16, 16, 2), (30, 40, 10)], activation=[2, 3, 6], family=["sgd", "adam"], batch=[1, 32],
        weighted=[False, True])),
]
