"""Dense layers forward and backward: the twin against finite differences, the kernel against its twin.

Here because every network stands on them. Tests kernels/layers.pyx and reference/layers.py.
"""

import itertools

import numpy as np
import pytest

import steepest as sd
from steepest.reference import layers as reference
from steepest.reference.layers import ACTIVATIONS, LOSSES, SOFTMAX_CROSS_ENTROPY


def problem(sizes, rows, loss, dtype="d", labels=False, weighted=False, seed=0):
    """Parameters, x, y and weight that suit a net."""
    rng = np.random.default_rng(seed)
    count = sum((before + 1) * after for before, after in itertools.pairwise(sizes))
    parameters, x = (rng.normal(size=size).astype(dtype) for size in (count, (rows, sizes[0])))
    if labels:
        y = rng.integers(sizes[-1], size=rows)
    elif loss == SOFTMAX_CROSS_ENTROPY:
        y = rng.random((rows, sizes[-1]))
        y = (y / y.sum(axis=1, keepdims=True)).astype(dtype)
    else:
        y = rng.random((rows, sizes[-1])).astype(dtype)
    return parameters, x, y, rng.random(rows) if weighted else None


@pytest.mark.parametrize("loss", range(len(LOSSES)), ids=LOSSES)
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)), ids=ACTIVATIONS)
def test_the_gradient_is_that_of_the_value(activation, loss):
    layers = reference.Layers((3, 4, 2), (activation, 0), loss, l2=0.1, l1=0.01)
    parameters, x, y, weight = problem(layers.sizes, 5, loss, weighted=True)
    out = np.empty_like(parameters)

    def gradient(p):
        layers.gradient(p, x, y, weight, out)
        return out.copy()

    assert sd.check_gradient(lambda p: layers.value(p, x, y, weight), gradient, parameters).ok


@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)), ids=ACTIVATIONS)
def test_the_inputs_gradient_and_the_last_activation_too(activation):
    layers = reference.Layers((3, 4, 2), (2, activation), LOSSES.index("mse"))
    parameters, x, y, _ = problem(layers.sizes, 5, layers.loss)
    inputs = np.empty_like(x)

    def gradient(flat):
        layers.gradient(parameters, flat.reshape(x.shape), y, inputs=inputs)
        return inputs.reshape(-1).copy()

    assert sd.check_gradient(lambda flat: layers.value(parameters, flat.reshape(x.shape), y), gradient,
                             x.reshape(-1)).ok


def test_labels_are_rows_of_zeros_and_a_one():
    layers = reference.Layers((3, 4), (0,), SOFTMAX_CROSS_ENTROPY)
    parameters, x, y, weight = problem(layers.sizes, 300, layers.loss, labels=True, weighted=True)
    ours, theirs = np.empty((2, parameters.size))
    losses = [layers.gradient(parameters, x, y, weight, ours),
              layers.gradient(parameters, x, np.eye(4)[y], weight, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-14)
    assert ours == pytest.approx(theirs, abs=1e-14)
