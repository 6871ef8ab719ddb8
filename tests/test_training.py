"""Training is steps of the library's own rules on shuffled batches, and what watches it sees and decides rightly.

Here because a training that is subtly wrong still learns something. Tests training.py.
"""

import copy
import pickle
import signal
import warnings

import numpy as np
import pytest

import steepest as sd
from steepest.network import History, Network, moons
from steepest.random_numbers import Source

X, Y = moons(90, noise=0.1, seed=0)
HELD = moons(40, noise=0.1, seed=1)


def net(**options):
    return Network(**({"sizes": [2, 8, 2], "activation": "tanh", "loss": "softmax_cross_entropy", "seed": 0} | options))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("optimizer", "options"), [
    ("sgd", {"lr": 0.1}), ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True}), ("adam", {"lr": 0.01}),
    ("rmsprop", {}), ("lion", {"weight_decay": 0.1})])
def test_fit_is_the_loop_over_batches_written_out(backend, optimizer, options, dtype):
    trained, by_hand = net(dtype=dtype), net(dtype=dtype)
    history = trained.fit(X, Y, optimizer=optimizer, batch_size=32, epochs=3, **options)
    classes = {"sgd": sd.optim.SGD, "adam": sd.optim.Adam, "rmsprop": sd.optim.RMSprop, "lion": sd.optim.Lion}
    rule, rows, losses = classes[optimizer](by_hand.parameters, **options), Source(0, 1), []
    for _ in range(3):
        order, total = rows.permutation(len(X)), 0.0
        for first in range(0, len(X), 32):
            batch = order[first : first + 32]
            total += len(batch) * by_hand.loss(X[batch], Y[batch])
            rule.step(by_hand.gradient(X[batch], Y[batch]))
        losses.append(total / len(X))
    np.testing.assert_array_equal(trained.parameters, by_hand.parameters)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-12 if dtype == np.float64 else 1e-6)
    assert history.score[-1] == trained.score(X, Y)


def test_samples_count_by_their_weights(backend):
    weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    weighted, repeated = net(), net()
    weighted.fit(X, Y, optimizer="sgd", lr=0.1, batch_size=None, epochs=3, sample_weight=weight)
    rows = np.repeat(np.arange(len(X)), weight.astype(int))
    repeated.fit(X[rows], Y[rows], optimizer="sgd", lr=0.1, batch_size=None, epochs=3)
    np.testing.assert_allclose(weighted.parameters, repeated.parameters, rtol=1e-10, atol=1e-12)


def test_a_schedule_gives_the_rate_of_every_step(backend):
    seen = []

    def rate(t):
        seen.append(t)
        return 0.1 / (1 + t)

    scheduled, by_hand = net(), net()
    scheduled.fit(X, Y, optimizer="sgd", lr=rate, batch_size=40, epochs=2)
    assert sorted(set(seen)) == list(range(6))
    rule, rows = sd.optim.SGD(by_hand.parameters, lr=rate), Source(0, 1)
    for _ in range(2):
        order = rows.permutation(len(X))
        for first in range(0, len(X), 40):
            rule.step(by_hand.gradient(X[order[first : first + 40]], Y[order[first : first + 40]]))
    np.testing.assert_array_equal(scheduled.parameters, by_hand.parameters)
    with pytest.raises(ZeroDivisionError) as caught:
        net().fit(X, Y, lr=lambda t: 1 / (2 - t), batch_size=None, epochs=5)
    assert "lr(2)" in caught.value.__notes__[0]


def test_partial_fit_goes_on_with_the_optimizer_of_the_last_fit(backend):
    stepped, fitted = net(), net()
    losses = [stepped.partial_fit(X, Y) for _ in range(4)]
    rule = sd.optim.Adam(fitted.parameters)
    for loss in losses:
        assert fitted.loss(X, Y) == pytest.approx(loss, rel=1e-14)
        rule.step(fitted.gradient(X, Y))
    np.testing.assert_array_equal(stepped.parameters, fitted.parameters)
    stepped.fit(X, Y, optimizer="sgd", lr=0.5, epochs=1, batch_size=None)
    before = stepped.parameters.copy()
    gradient = stepped.gradient(X, Y)
    stepped.partial_fit(X, Y)
    np.testing.assert_array_equal(stepped.parameters, before - 0.5 * gradient)


def test_copies_and_pickles_go_on_alike(backend):
    network = net()
    network.fit(X, Y, epochs=2, optimizer="adam")
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        fresh = copy.deepcopy(network)
        assert other.weights[0].base is other.parameters
        for each in (other, fresh):
            each.partial_fit(X, Y)
            each.fit(X, Y, epochs=1)
        np.testing.assert_array_equal(other.parameters, fresh.parameters)
        assert not np.array_equal(other.parameters, network.parameters)
        assert other.history.epochs == 1


def test_a_seed_repeats_a_training_and_fit_goes_on_where_it_stopped(backend):
    first, again, other = net(), net(), net()
    for network, seed in ((first, 5), (again, 5), (other, 6)):
        network.fit(X, Y, epochs=2, seed=seed)
    np.testing.assert_array_equal(first.parameters, again.parameters)
    assert not np.array_equal(first.parameters, other.parameters)


def test_validation_early_stopping_and_the_best_parameters(backend):
    network = net(sizes=[2, 30, 2])
    kept = []
    history = network.fit(X[:20], Y[:20], lr=0.1, epochs=200, validation_data=HELD, early_stopping=4,
                          callback=lambda record: kept.append(network.parameters.copy()))
    assert history.status == "stopped early"
    assert history.epochs == len(history.validation_loss) == len(kept) == history.best_epoch + 5 < 200
    assert history.best_epoch == history.validation_loss.argmin()
    np.testing.assert_array_equal(network.parameters, kept[history.best_epoch])
    assert network.loss(*HELD) == history.validation_loss.min()
    assert network.score(*HELD) == history.validation_score[history.best_epoch]
    assert "4 epochs have not lowered" in history.message
    assert network.history is history


def test_a_callback_sees_every_epoch_and_may_stop(backend):
    seen = []

    def watch(record):
        seen.append((record.epoch, record.loss, record.score, record.validation_loss, record.validation_score))
        if record.epoch == 3:
            raise StopIteration

    history = net().fit(X, Y, epochs=9, validation_data=HELD, callback=watch)
    assert history.status == "stopped"
    assert history.epochs == 4
    columns = np.array(seen).T
    for name, column in zip(("loss", "score", "validation_loss", "validation_score"), columns[1:], strict=True):
        np.testing.assert_array_equal(getattr(history, name), column)
    with pytest.raises(KeyError):
        net().fit(X, Y, callback=lambda record: {}["nothing"])


def test_divergence_stops_at_once_and_is_told(backend):
    network = Network([2, 8, 1], "relu", seed=0)
    with pytest.warns(RuntimeWarning, match=r"epoch \d+, batch \d+: (layer [01]|the loss) is not finite"):
        history = network.fit(X, Y.astype(float), optimizer="sgd", lr=1e6, epochs=50, batch_size=30)
    assert history.status == "diverged"
    assert history.epochs < 50
    assert np.isfinite(network.parameters).all()
    network.parameters[:] = 1e200
    with pytest.warns(RuntimeWarning, match="no step was made"):
        network.partial_fit(X, Y.astype(float))
    assert (network.parameters == 1e200).all()


def test_ctrl_c_keeps_the_best_weights(backend):
    network, kept = net(), []

    def press(record):
        kept.append((record.loss, network.parameters.copy()))
        if record.epoch == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        network.fit(X, Y, lr=0.3, epochs=50, callback=press)
    best = min(kept[:6], key=lambda pair: pair[0])[1]
    np.testing.assert_array_equal(network.parameters, best)
    assert network.history.status == "interrupted"
    assert network.history.epochs == 6
    assert "keeps its parameters after epoch" in caught.value.__notes__[0]


def test_minimize_trains_on_all_rows(backend):
    network = net(l2=1e-3)
    seen = []
    history = network.fit(X, Y, method="lbfgs", epochs=200, validation_data=HELD, callback=seen.append, tol=1e-4)
    assert history.score[-1] == 1.0
    assert len(seen) == history.epochs == len(history.validation_loss) <= 200
    assert abs(network.gradient(X, Y)).max() <= 1e-4
    assert history.loss[-1] == network.loss(X, Y)
    assert (np.diff(history.loss) <= 1e-12).all()
    stopped = net(sizes=[2, 30, 2])
    history = stopped.fit(X[:12], Y[:12], method="bfgs", epochs=300, validation_data=HELD, early_stopping=3, tol=0.0)
    assert history.status == "stopped early"
    assert stopped.loss(*HELD) == history.validation_loss.min()


def test_a_bar_counts_epochs(capsys):
    history = net().fit(X, Y, epochs=3, progress=True)
    assert history.epochs == 3
    assert "3/3" in capsys.readouterr().err


def test_a_history_tells_what_happened():
    history = History()
    assert (history.epochs, history.loss.size, history.best_epoch) == (0, 0, None)
    history.add(loss=0.5, score=0.75, validation_loss=None, validation_score=None)
    assert repr(history) == "<History: 1 epochs, loss 0.5, score 0.75, finished>"
    with pytest.raises(AttributeError, match="a history has no 'lost'"):
        history.lost  # noqa: B018


def split(loader, share=4):
    """Samples of scikit-learn's, scaled; every fourth is held back."""
    X, y = loader(return_X_y=True)
    order = Source(0).permutation(len(X))
    X, y = X[order], y[order]
    held = np.arange(len(X)) % share == 0
    mean, spread = X[~held].mean(axis=0), X[~held].std(axis=0)
    X = (X - mean) / np.where(spread > 0, spread, 1.0)
    return X[~held], y[~held], X[held], y[held]


def test_digits_are_learnt_to_97_percent():
    from sklearn.datasets import load_digits

    scores = []
    for seed in range(3):       # parts that are held back differ by a percent
        X, y = load_digits(return_X_y=True)
        order = Source(seed).permutation(len(X))
        X, y = X[order] / 16, y[order]
        network = Network([64, 100, 10], loss="softmax_cross_entropy", dtype=np.float32, seed=seed)
        network.fit(X[450:], y[450:], optimizer="sgd", lr=0.2, batch_size=32, epochs=60)
        scores.append(network.score(X[:450], y[:450]))
    assert np.mean(scores) >= 0.97


@pytest.mark.parametrize(("name", "loss", "target"), [
    ("load_breast_cancer", "binary_cross_entropy", 0.95), ("load_iris", "softmax_cross_entropy", 0.9),
    ("load_diabetes", "half_mse", 0.4)])
def test_other_real_data_are_learnt(name, loss, target):
    from sklearn import datasets

    X, y, held, labels = split(getattr(datasets, name))
    center, scale = (y.mean(), y.std()) if loss == "half_mse" else (0, 1)
    outputs = 3 if loss == "softmax_cross_entropy" else 1
    network = Network([X.shape[1], 16, outputs], "tanh", loss=loss, l2=0.02, seed=0)
    network.fit(X, y if loss != "half_mse" else (y - center) / scale, method="lbfgs", epochs=200, tol=1e-4)
    assert network.score(held, labels if loss != "half_mse" else (labels - center) / scale) >= target


def test_two_networks_train_at_once():
    import threading

    def train(results, i):
        network = net(seed=i)
        network.fit(X, Y, epochs=20)
        results[i] = network.parameters

    alone, together = {}, {}
    for i in range(3):
        train(alone, i)
    threads = [threading.Thread(target=train, args=(together, i)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(3):
        np.testing.assert_array_equal(alone[i], together[i])


def test_nothing_warns_in_a_good_training():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(dtype=np.float32).fit(X, Y, epochs=3, validation_data=HELD)
