"""Values and gradients of networks are those of the chain written out, on kernels and reference alike.

Here because everything else - training, proof, pictures - stands on them. Tests feed_forward.py.
"""

import itertools

import numpy as np
import pytest

import steepest as sd
from steepest.network import LayerGradient, Network
from steepest.plain_network import activate, losses
from steepest.reference.layers import ACTIVATIONS, LOSSES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 4))
LABELS = np.array([0, 2, 1, 1, 0, 2, 2])
SOFT = np.abs(RNG.normal(size=(7, 3)))
SOFT /= SOFT.sum(axis=1, keepdims=True)
REAL = RNG.normal(size=(7, 3))
WEIGHT = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0, 1.0])


def targets(loss):
    """Targets that suit a loss."""
    return {"softmax_cross_entropy": LABELS, "binary_cross_entropy": SOFT}.get(loss, REAL)


def moved(network, seed=1):
    """The same network with biases that are not 0."""
    for bias in network.biases:
        bias[:] = np.random.default_rng(seed).normal(size=bias.shape)
    return network


def written_out(network, X):
    """Every layer's values, in float64."""
    values = [np.asarray(X, float)]
    for weights, bias, name in zip(network.weights, network.biases, network.activations, strict=True):
        values.append(activate(name, values[-1] @ weights.astype(float) + bias.astype(float)))
    return values


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_is_the_chain_written_out(backend, activation, dtype):
    net = moved(Network([4, 6, 5, 3], activation, dtype=dtype, seed=0))
    expected = written_out(net, X)
    tolerance = 1e-13 if dtype == np.float64 else 2e-6
    found = net.forward(X, layers=True)
    assert [layer.dtype for layer in found] == [np.dtype(dtype)] * 4
    for layer, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(layer, values, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(net.forward(X), found[-1])
    np.testing.assert_array_equal(net.forward(X[2]), found[-1][2:3])


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_weighted_means_with_penalties(backend, loss, weight):
    net = moved(Network([4, 5, 3], "tanh", loss=loss, l2=0.1, l1=0.01, delta=0.7, seed=0))
    rows = losses(loss, written_out(net, X)[-1], targets(loss), 0.7)
    expected = np.average(rows, weights=weight)
    expected += sum(0.05 * (w**2).sum() + 0.01 * abs(w).sum() for w in net.weights)
    assert net.loss(X, targets(loss), weight) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize(("activation", "loss"), [
    *itertools.product(["tanh", "gelu"], LOSSES), *((name, "half_mse") for name in ACTIVATIONS)])
def test_the_gradient_is_that_of_the_loss(backend, activation, loss, weight):
    net = moved(Network([4, 5, 3], activation, loss=loss, l2=0.1, l1=0.01, delta=0.7, seed=0))
    function = net.value_and_gradient(X, targets(loss), weight)
    check = sd.check_gradient(lambda theta: function(theta)[0], lambda theta: function(theta)[1], net.parameters)
    assert check, check
    assert function(net.parameters)[0] == net.loss(X, targets(loss), weight)
    np.testing.assert_array_equal(function(net.parameters)[1], net.gradient(X, targets(loss), weight))


def test_soft_labels_that_are_hard_are_labels(backend):
    net = Network([4, 5, 3], loss="softmax_cross_entropy", seed=0)
    hard = np.eye(3)[LABELS]
    assert net.loss(X, hard) == pytest.approx(net.loss(X, LABELS), rel=1e-14)
    np.testing.assert_allclose(net.gradient(X, hard), net.gradient(X, LABELS), rtol=1e-12, atol=1e-15)


def test_backprop_goes_from_the_last_layer_to_the_first(backend):
    net = moved(Network([4, 6, 5, 3], "tanh", loss="softmax_cross_entropy", l2=0.3, seed=0))
    found = net.backprop(X, LABELS)
    assert all(isinstance(one, LayerGradient) for one in found)
    assert [one.layer for one in found] == [2, 1, 0]
    values = net.forward(X, layers=True)
    flat = []
    for one in reversed(found):
        np.testing.assert_allclose(one.weights, values[one.layer].T @ one.delta + 0.3 * net.weights[one.layer],
                                   rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(one.biases, one.delta.sum(axis=0), rtol=1e-12, atol=1e-15)
        flat += [one.weights.reshape(-1), one.biases]
    np.testing.assert_array_equal(np.concatenate(flat), net.gradient(X, LABELS))
    for above, here in itertools.pairwise(found):
        passed = above.delta @ net.weights[above.layer].T * (1 - values[above.layer] ** 2)
        np.testing.assert_allclose(here.delta, passed, rtol=1e-12, atol=1e-15)


def test_the_gradient_by_inputs_and_that_of_one_sample(backend):
    net = moved(Network([4, 5, 3], "silu", loss="half_mse", seed=0))
    by_inputs = net.input_gradient(X, REAL)
    np.testing.assert_allclose(by_inputs, sd.gradient(lambda x: net.loss(x, REAL), X), rtol=1e-7, atol=1e-9)
    each = [net.gradient(X[i], REAL[i]) for i in range(len(X))]
    np.testing.assert_allclose(np.mean(each, axis=0), net.gradient(X, REAL), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "binary_cross_entropy"])
def test_losses_are_right_at_a_gap_of_ten_thousand(backend, loss, dtype):
    net = Network([1, 2], loss=loss, initializer="zeros", dtype=dtype)
    net.weights[0][...] = [[1.0, -1.0]]
    x = np.array([[5000.0]], dtype)
    if loss == "softmax_cross_entropy":
        assert net.loss(x, np.array([0])) == 0
        assert net.loss(x, np.array([1])) == 10_000
        np.testing.assert_array_equal(net.gradient(x, np.array([1])), [5000, -5000, 1, -1])
    else:
        assert net.loss(x, np.array([[1.0, 0.0]])) == 0
        assert net.loss(x, np.array([[0.0, 1.0]])) == 10_000
        np.testing.assert_array_equal(net.gradient(x, np.array([[0.0, 1.0]])), [5000, -5000, 1, -1])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_defined_far_out(backend, activation, dtype):
    net = Network([1, 1], [activation], initializer=("constant", 1.0), dtype=dtype)
    far = np.array([[1000.0], [-1000.0], [0.0]], dtype)
    np.testing.assert_allclose(net.forward(far), activate(activation, far.astype(float)), rtol=1e-6, atol=1e-7)
    assert np.isfinite(net.gradient(far, far)).all()


def test_weights_and_biases_are_views_of_one_vector():
    net = Network([2, 3, 1], seed=0)
    assert net.parameters.shape == (13,)
    assert [w.shape for w in net.weights] == [(2, 3), (3, 1)]
    assert [b.shape for b in net.biases] == [(3,), (1,)]
    net.parameters[:] = np.arange(13)
    np.testing.assert_array_equal(net.weights[0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(net.biases[0], [6, 7, 8])
    net.weights[1][:] = -1
    net.biases[1][:] = -2
    np.testing.assert_array_equal(net.parameters[9:], [-1, -1, -1, -2])
    vector = net.parameters
    net.parameters = np.zeros(13)
    assert net.parameters is vector
    assert not net.weights[0].any()
    for wrong in (np.zeros(12), np.zeros((13, 1)), np.zeros(13, complex), "abc"):
        with pytest.raises(ValueError, match="parameters must be 13 real numbers"):
            net.parameters = wrong


def test_a_seed_gives_the_same_network():
    first, again, other = (Network([5, 4, 2], seed=seed).parameters for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(Network([5, 4, 2]).parameters, Network([5, 4, 2]).parameters)
    single = Network([5, 4, 2], seed=1, dtype=np.float32).parameters
    np.testing.assert_array_equal(single, first.astype(np.float32))


def test_what_is_predicted_suits_the_loss(backend):
    softmax = moved(Network([4, 3], loss="softmax_cross_entropy", seed=0))
    logits = softmax.forward(X)
    likeliest = logits.argmax(axis=1)
    np.testing.assert_array_equal(softmax.predict(X), likeliest)
    chances = softmax.predict_proba(X)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    np.testing.assert_allclose(np.log(chances[:, 0] / chances[:, 1]), logits[:, 0] - logits[:, 1])
    assert softmax.score(X, likeliest) == 1
    assert softmax.score(X, LABELS, WEIGHT) == pytest.approx(np.average(likeliest == LABELS, weights=WEIGHT))
    binary = moved(Network([4, 1], loss="binary_cross_entropy", seed=0))
    np.testing.assert_array_equal(binary.predict(X), binary.forward(X)[:, 0] > 0)
    assert binary.predict_proba(X).shape == (7, 2)
    np.testing.assert_allclose(binary.predict_proba(X)[:, 1], 1 / (1 + np.exp(-binary.forward(X)[:, 0])))
    assert binary.score(X, binary.predict(X)) == 1
    several = moved(Network([4, 3], loss="binary_cross_entropy", seed=0))
    assert several.predict(X).shape == several.predict_proba(X).shape == (7, 3)
    one, three = moved(Network([4, 1], seed=0)), moved(Network([4, 3], seed=0))
    assert (one.predict(X).shape, three.predict(X).shape) == ((7,), (7, 3))
    assert three.score(X, three.forward(X)) == 1
    assert three.score(X, np.tile(three.forward(X).mean(axis=0), (7, 1))) == -np.inf
    with pytest.raises(ValueError, match="predict_proba needs a loss on logits"):
        one.predict_proba(X)


def test_r2_is_that_of_scikit_learn():
    from sklearn.metrics import r2_score

    net = moved(Network([4, 3], seed=0))
    assert net.score(X, REAL, WEIGHT) == pytest.approx(r2_score(REAL, net.predict(X), sample_weight=WEIGHT))


@pytest.mark.parametrize("make", [
    np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a[::-1][::-1], lambda a: a.astype(">f8"),
    lambda a: a.tolist(), lambda a: np.lib.stride_tricks.as_strided(a, a.shape, a.strides, writeable=False)])
def test_any_memory_layout_is_right(backend, make):
    net = moved(Network([4, 5, 3], seed=0))
    np.testing.assert_array_equal(net.gradient(make(X), make(REAL)), net.gradient(X, REAL))
    np.testing.assert_array_equal(net.gradient(make(np.round(X)), REAL), net.gradient(np.round(X).astype(int), REAL))


def test_minimize_and_scipy_take_the_function_of_a_network():
    from scipy.optimize import minimize

    net = Network([4, 5, 3], "tanh", l2=0.1, seed=0)
    function, before = net.value_and_gradient(X, REAL), net.parameters.copy()
    ours = sd.minimize(function, net.parameters, grad=True, tol=1e-6)
    theirs = minimize(function, net.parameters, jac=True, method="L-BFGS-B",
                      options={"gtol": 1e-8, "ftol": 0, "maxiter": 5000})
    assert ours.success
    assert ours.fun == pytest.approx(theirs.fun, rel=0.2)       # of several minima
    np.testing.assert_array_equal(net.parameters, before)
    with pytest.raises(ValueError, match="theta must have shape"):
        function(np.zeros(3))


def test_a_network_tells_what_it_is():
    net = Network([64, 32, 10], loss="softmax_cross_entropy", dtype="float32", l2=0.5)
    assert (net.sizes, net.activations, net.loss_name) == ((64, 32, 10), ("relu", "identity"), "softmax_cross_entropy")
    assert net.penalties == {"l2": 0.5, "l1": 0.0, "delta": 1.0}
    assert repr(net) == "Network(64 -> 32 -> 10, relu/identity, softmax_cross_entropy, 2410 parameters of float32)"
