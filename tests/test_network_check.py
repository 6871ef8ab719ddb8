"""The proof of a gradient finds every planted fault, names its layer, and accuses no right one.

Here because a checker that cannot fail proves nothing. Tests network_check.py and plain_network.py.
"""

import itertools

import numpy as np
import pytest

import steepest as sd
from steepest.network import Network
from steepest.plain_network import activate
from steepest.reference.layers import ACTIVATIONS, LOSSES

RNG = np.random.default_rng(4)
X = RNG.normal(size=(6, 5))
LABELS = np.array([0, 2, 1, 1, 0, 2])
REAL = RNG.normal(size=(6, 3))
SIGNS = (RNG.normal(size=(6, 3)) > 0).astype(float)


def targets(loss):
    return {"softmax_cross_entropy": LABELS, "binary_cross_entropy": SIGNS}.get(loss, REAL)


def moved(network):
    for bias in network.biases:
        bias[:] = np.random.default_rng(1).normal(size=bias.shape) * 0.3
    return network


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("activation", "loss"), list(itertools.product(ACTIVATIONS, LOSSES)))
def test_right_gradients_are_never_accused(activation, loss, dtype):
    net = moved(Network([5, 7, 6, 3], activation, loss=loss, l2=0.01, l1=0.001, dtype=dtype, seed=3))
    found = net.check(X, targets(loss), np.array([1, 2, 1, 0.5, 3, 1]))
    assert found, found
    assert isinstance(found, sd.GradientCheck)
    assert found.wrong_layer is None
    assert found.counts["unresolved"] == 0 or loss == "huber"
    assert found.table.size == net.parameters.size


def test_the_report_names_arrays():
    found = Network([5, 4, 3], "tanh", seed=0).check(X, REAL)
    assert "weights[0]" in str(found)
    assert "biases[1]" in str(found)
    assert found.message == "the gradient is right in 39 components"


class Mutant(Network):
    """A network with a fault in its gradient."""

    def __init__(self, fault, *args, **kwargs):
        super().__init__(*args, **kwargs)
        moved(self)
        self.fault = fault

    def gradient(self, X, y, sample_weight=None):
        right = np.array(super().gradient(X, y, sample_weight))
        weights, biases = self._views(right)
        self.fault(self, weights, biases, X, y)
        return right


def wrong_sign(net, weights, biases, X, y):
    weights[1][...] *= -1


def no_mean(net, weights, biases, X, y):
    for array in (*weights, *biases):
        array *= len(X)


def lost_bias(net, weights, biases, X, y):
    biases[1][...] = 0


def transposed(net, weights, biases, X, y):
    weights[1][...] = weights[1].T.copy()


def slope_of_the_wrong_array(net, weights, biases, X, y):
    """The derivative of tanh from what enters it, not from what leaves it."""
    values = net.forward(X, layers=True)
    delta = super(Mutant, net).backprop(X, y)[0].delta
    entering = values[1] @ net.weights[1] + net.biases[1]
    passed = delta @ net.weights[2].T * (1 - entering**2)
    weights[1][...] = values[1].T @ passed
    biases[1][...] = passed.sum(axis=0)


def l2_twice(net, weights, biases, X, y):
    for gradient, array in zip(weights, net.weights, strict=True):
        gradient += net.penalties["l2"] * array


def updated_too_early(net, weights, biases, X, y):
    """The last weights were stepped before they passed the deltas on."""
    values = net.forward(X, layers=True)
    delta = super(Mutant, net).backprop(X, y)[0].delta
    passed = delta @ (net.weights[2] - 0.1 * weights[2]).T * (1 - values[2] ** 2)
    weights[1][...] = values[1].T @ passed
    biases[1][...] = passed.sum(axis=0)


def short_batch(net, weights, biases, X, y):
    """Means over the size of a whole batch, though this one is short."""
    for array in (*weights, *biases):
        array *= len(X) / 8


def one_entry(net, weights, biases, X, y):
    weights[0][3, 2] *= 1.001


def not_finite(net, weights, biases, X, y):
    biases[0][1] = np.nan


@pytest.mark.parametrize(("fault", "layer"), [
    (wrong_sign, 1), (no_mean, 2), (lost_bias, 1), (transposed, 1), (slope_of_the_wrong_array, 1),
    (updated_too_early, 1), (short_batch, 2), (one_entry, 0), (not_finite, 0)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_planted_faults_are_caught_and_their_layer_is_named(fault, layer, dtype):
    net = Mutant(fault, [5, 6, 6, 3], "tanh", loss="softmax_cross_entropy", dtype=dtype, seed=2)
    found = net.check(X, LABELS)
    assert not found
    assert found.wrong_layer == layer
    assert f"the first wrong layer is {layer}" in found.message
    with pytest.raises(sd.GradientError):
        found.raise_if_wrong()


def test_a_penalty_counted_twice_is_caught():
    assert Mutant(lambda *_: None, [5, 6, 6, 3], "tanh", l2=0.1, seed=2).check(X, REAL)
    found = Mutant(l2_twice, [5, 6, 6, 3], "tanh", l2=0.1, seed=2).check(X, REAL)
    assert not found
    assert found.wrong_layer == 2
    assert found.counts["wrong"] <= sum(w.size for w in Network([5, 6, 6, 3]).weights)


def test_units_at_their_kink_are_told_apart():
    net = Network([2, 3, 1], "relu", seed=0)
    x = np.array([[1.0, -1.0], [0.5, 2.0]])
    net.biases[0][0] = -(x[0] @ net.weights[0][:, 0])       # the first unit is at rest, exactly, for the first row
    found = net.check(x, np.array([0.3, -0.2]))
    assert found
    assert found.kinks >= 2
    assert found.counts["kink"] == found.kinks
    assert found.counts["right"] == net.parameters.size - found.kinks


def test_hidden_unit_that_never_fires_is_right():
    net = Network([2, 3, 1], "relu", seed=0)
    net.biases[0][1] = -100
    found = net.check(np.ones((2, 2)), np.array([0.3, -0.2]))
    assert found
    assert (found.table["given"][[1, 4]] == 0).all()


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_inputs_of_any_size_can_be_judged(size):
    net = Network([5, 6, 3], "tanh", seed=0)
    assert net.check(X * size, REAL)
    found = Mutant(one_entry, [5, 6, 6, 3], "tanh", seed=2).check(X * 1e-3, REAL)
    assert not found


def test_a_gradient_of_the_wrong_shape_is_refused():
    class Short(Network):
        def gradient(self, X, y, sample_weight=None):
            return np.zeros(3)

    with pytest.raises(ValueError, match=r"gradient must have shape \(39,\), not \(3,\)"):
        Short([5, 4, 3], seed=0).check(X, REAL)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_plain_activations_are_those_of_the_reference(name):
    z = np.linspace(-40, 40, 4001)
    from steepest.reference import layers

    net = Network([1, 1], [name], initializer=("constant", 1.0))
    with sd.backend("reference"):
        np.testing.assert_allclose(net.forward(z[:, None])[:, 0], activate(name, z), rtol=1e-13, atol=1e-15)
    assert layers.ACTIVATIONS.index(name) >= 0
