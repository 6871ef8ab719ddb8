"""What no network can take is refused in words that name the argument, before anything is changed.

Here because shapes and labels are where most first attempts fail. Tests network_data.py and the arguments of
feed_forward.py and training.py.
"""

import numpy as np
import pytest

from steepest.network import Network

X = np.arange(12.0).reshape(3, 4) / 10
Y = np.array([0, 1, 2])


def net(**options):
    return Network(**({"sizes": [4, 5, 3], "loss": "softmax_cross_entropy", "seed": 0} | options))


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"sizes": [4]}, ValueError, "sizes must have at least 2"),
    ({"sizes": 4}, TypeError, "sizes must be a sequence"),
    ({"sizes": [4, 0, 3]}, ValueError, r"sizes\[1\]"),
    ({"sizes": [4, 2.5, 3]}, TypeError, r"sizes\[1\]"),
    ({"activation": "swish"}, ValueError, "activation must be one of 'identity', 'sigmoid'"),
    ({"activation": ["relu", "swish"]}, ValueError, r"activation\[1\]"),
    ({"activation": ["relu"]}, ValueError, "activation must have 2 entries"),
    ({"activation": 3}, TypeError, "activation must be a name"),
    ({"activation": ["relu", "relu"]}, ValueError, "takes logits: the activation of the last layer"),
    ({"loss": "l2"}, ValueError, "loss must be one of 'half_mse'"),
    ({"sizes": [4, 1]}, ValueError, "at least 2 outputs"),
    ({"l2": -1.0}, ValueError, "l2"),
    ({"l1": np.nan}, ValueError, "l1"),
    ({"delta": 0.0}, ValueError, "delta"),
    ({"dtype": np.float16}, ValueError, "dtype must be float32 or float64"),
    ({"dtype": "nonsense"}, ValueError, "dtype must be float32 or float64"),
    ({"initializer": "xavier"}, ValueError, "initializer must be one of"),
    ({"seed": -1}, ValueError, "seed"),
])
def test_a_network_that_cannot_be_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        net(**options)


INPUTS = [
    (X[:, :3], ValueError, r"X must have shape \(rows, 4\)"),
    (np.zeros((2, 3, 4)), ValueError, r"X must have shape \(rows, 4\)"),
    (np.zeros((0, 4)), ValueError, "X must have at least one row"),
    (np.where(X == 0.5, np.nan, X), ValueError, r"X must be finite, but X\[1, 1\] is nan"),
    (np.where(X == 0.5, np.inf, X), ValueError, r"X must be finite, but X\[1, 1\] is inf"),
    (X.astype(complex), TypeError, "X must be real numbers"),
    ([[1, 2], [3]], ValueError, "X must be an array"),
    (np.array([["a"] * 4] * 3), TypeError, "X must be real numbers"),
    ([[None] * 4], (TypeError, ValueError), "X must be"),
]


@pytest.mark.parametrize(("X", "error", "words"), INPUTS)
def test_inputs_that_do_not_suit_are_refused(X, error, words):
    for call in (net().forward, net().predict, lambda X: net().loss(X, Y), lambda X: net().fit(X, Y)):
        with pytest.raises(error, match=words):
            call(X)


@pytest.mark.parametrize(("y", "options", "error", "words"), [
    ([0, 1, 3], {}, ValueError, r"y must be labels from 0 to 2, one for each output, but y\[2\] is 3"),
    ([0, -1, 2], {}, ValueError, r"y\[1\] is -1"),
    ([0, 1], {}, ValueError, r"y must have shape \(3,\)"),
    ([0.0, 1.0, 2.0], {}, TypeError, "y must be integer labels"),
    (np.zeros((3, 2)), {}, ValueError, r"y must have shape \(3, 3\)"),
    (np.full((3, 3), 0.5), {}, ValueError, "rows of y must be probabilities"),
    (np.full((3, 3), -0.5), {}, ValueError, r"y must lie in \[0, 1\]"),
    (["a", "b", "c"], {}, TypeError, "y must be real numbers"),
    (np.zeros((3, 3)) + 1.5, {"loss": "binary_cross_entropy"}, ValueError, r"y must lie in \[0, 1\]"),
    (np.zeros(3), {"loss": "mse"}, ValueError, r"y must have shape \(3, 3\)"),
    (np.zeros((2, 3)), {"loss": "mse"}, ValueError, "as X has 3 rows"),
    (np.full((3, 3), np.nan), {"loss": "huber"}, ValueError, r"y must be finite, but y\[0, 0\] is nan"),
])
def test_targets_that_do_not_suit_are_refused(y, options, error, words):
    network = net(**options)
    for call in (network.loss, network.gradient, network.backprop, network.fit, network.partial_fit, network.score,
                 network.check, network.value_and_gradient, network.input_gradient):
        with pytest.raises(error, match=words):
            call(X, y)


@pytest.mark.parametrize(("weight", "words"), [
    ([1.0, 2.0], r"sample_weight must have shape \(3,\)"), ([1.0, -1.0, 1.0], "at least 0"),
    ([0.0, 0.0, 0.0], "not 0 everywhere"), ([1.0, np.nan, 1.0], "sample_weight must be finite"),
])
def test_weights_that_do_not_suit_are_refused(weight, words):
    for call in (net().loss, net().gradient, net().score):
        with pytest.raises(ValueError, match=words):
            call(X, Y, weight)


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"batch_size": 4}, ValueError, "batch_size must be at most 3, the rows of X, not 4"),
    ({"batch_size": 0}, ValueError, "batch_size"),
    ({"epochs": 0}, ValueError, "epochs"),
    ({"optimizer": "sdg"}, ValueError, "optimizer must be one of 'adabelief'"),
    ({"optimizer": 3}, ValueError, "optimizer must be one of"),
    ({"lr": -1.0}, ValueError, "lr"),
    ({"lr": lambda t: -1.0}, ValueError, r"lr\(0\)"),
    ({"momentum": -1.0, "optimizer": "sgd"}, ValueError, "momentum"),
    ({"beta": 1}, TypeError, "beta"),
    ({"validation_data": 3}, TypeError, "validation_data must be a pair"),
    ({"validation_data": (X[:, :2], Y)}, ValueError, r"validation_data\[0\] must have shape"),
    ({"validation_data": (X, [7, 7, 7])}, ValueError, r"validation_data\[1\] must be labels"),
    ({"early_stopping": 5}, ValueError, "early_stopping needs validation_data"),
    ({"early_stopping": 0, "validation_data": (X, Y)}, ValueError, "early_stopping"),
    ({"callback": 3}, TypeError, "callback"),
    ({"seed": "a"}, TypeError, "seed"),
    ({"method": "lbfgs", "optimizer": "adam"}, ValueError, "method takes the place of optimizer"),
    ({"method": "newton"}, ValueError, "method must be one of"),
    ({"method": "lbfgs", "maxiter": 3}, ValueError, "maxiter cannot be given with method"),
])
def test_a_training_that_cannot_be_is_refused_and_changes_nothing(options, error, words):
    network = net()
    before = network.parameters.copy()
    with pytest.raises(error, match=words):
        network.fit(X, Y, **({"batch_size": None} | options))
    np.testing.assert_array_equal(network.parameters, before)
