"""A feed-forward network: its parameters, its values, and the gradient of its loss.

Here as the thin part: it checks what it is given and asks the kernels of `layers`. How a network is trained stands in
training.py, how its gradient is proved in network_check.py, what is saved in network_files.py. Tested in
tests/test_network.py.
"""

from typing import NamedTuple

import numpy as np

from .backends import current
from .initializers import default_for, initial_weights, parse
from .network_data import as_inputs, as_targets, as_weights
from .options import as_count, as_number
from .random_numbers import Source
from .reference.layers import ACTIVATIONS, LOSSES

__all__ = ["LayerGradient", "Network"]

# Losses that take logits, and what `predict` makes of them.
ON_LOGITS = ("binary_cross_entropy", "softmax_cross_entropy")


class LayerGradient(NamedTuple):
    """What backpropagation finds at one layer; the first layer has the number 0.

    ``delta`` is the derivative of the loss by what enters the activation, one row a sample; ``weights`` and ``biases``
    are those by the parameters of the layer.
    """

    layer: int
    delta: np.ndarray
    weights: np.ndarray
    biases: np.ndarray


class Network:
    """Dense layers: inputs times weights plus bias, through an activation, layer by layer; and a loss over samples.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, units of each hidden layer, outputs.
    activation : str or sequence of str, optional
        "identity", "sigmoid", "tanh", "relu" (whose derivative at 0 is 0), "leaky_relu" (0.01 x below 0), "softplus",
        "gelu" or "silu": of the hidden layers, the outputs being linear; or one for each layer.
    loss : str, optional
        "mse" (the mean of squared errors over rows and outputs), "half_mse" (half of it), "huber" (as half_mse, linear
        beyond `delta`), "binary_cross_entropy" (outputs are logits, targets in [0, 1]; summed over outputs) or
        "softmax_cross_entropy" (outputs are logits, targets are labels 0, 1, ... or rows of probabilities). All are
        means over rows, weighted ones with `sample_weight`.
    initializer : str, (str, float), optional
        Of the weights: see `steepest.initializers`. He's uniform one for rectifiers and their relatives, Glorot's
        for the others.
    l2, l1 : float, optional
        Adds ``l2 / 2 * sum(w**2) + l1 * sum(abs(w))`` over all weights, not biases.
    delta : float, optional
        Of "huber".
    dtype : dtype, optional
        float64 or float32: of parameters, values and gradients.
    optimizer, lr : optional
        What `partial_fit` and `fit` use when they are given nothing else: a rule of `steepest.optim` by name, and its
        learning rate or a schedule of it.
    seed : int, optional
        Of the first weights and of the order of rows; the same bits everywhere.

    Attributes
    ----------
    parameters : ndarray, (n,)
        All weights and biases, layer by layer; change it in place, or assign to it.
    weights, biases : tuple of ndarray
        Views into it: (inputs, outputs) and (outputs,).
    sizes, activations, loss_name, dtype
        As given.
    history : History or None
        Of the last `fit`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors", Nature 323
    (1986) 533-536.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> net = sd.network.Network([2, 8, 1], "tanh", loss="binary_cross_entropy", seed=1)
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> history = net.fit(X, np.array([0, 1, 1, 0]), optimizer="adam", lr=0.05, epochs=300)
    >>> net.predict(X).tolist()
    [0, 1, 1, 0]
    >>> bool(net.check(X, np.array([0, 1, 1, 0])))
    True
    """

    def __init__(self, sizes, activation="relu", *, loss="half_mse", initializer=None, l2=0.0, l1=0.0, delta=1.0,
                 dtype=np.float64, optimizer="adam", lr=None, seed=None):
        self._sizes = _as_sizes(sizes)
        self._activations = _as_activations(activation, len(self._sizes) - 1)
        self._loss = _as_choice(loss, "loss", LOSSES)
        if loss in ON_LOGITS and self._activations[-1] != "identity":
            raise ValueError(f"loss={loss!r} takes logits: the activation of the last layer must be 'identity', "
                             f"not {self._activations[-1]!r}")
        if loss == "softmax_cross_entropy" and self._sizes[-1] < 2:
            raise ValueError("loss='softmax_cross_entropy' needs at least 2 outputs: sizes must end with that")
        self._l2, self._l1 = as_number(l2, "l2", at_least=0.0), as_number(l1, "l1", at_least=0.0)
        self._delta = as_number(delta, "delta", above=0.0)
        self._dtype = _as_dtype(dtype)
        self._start = None if initializer is None else parse(initializer)
        self._seed = seed
        self._source = Source(seed)
        self.optimizer, self.lr = optimizer, lr
        self.history = None
        self._running = None        # the optimizer that `partial_fit` goes on with
        count = sum((n + 1) * m for n, m in zip(self._sizes, self._sizes[1:], strict=False))
        self._parameters = np.zeros(count, self._dtype)
        self._weights, self._biases = self._views(self._parameters)
        self._engines: dict = {}
        for weights, name in zip(self._weights, self._activations, strict=True):
            start, number = self._start or (default_for(name), None)
            n_in, n_out = weights.shape
            weights[...] = initial_weights(start, number, n_in, n_out, self._source)
        self._rows = Source(seed, 1)

    def __getstate__(self):
        """What a copy, or a pickle, needs: views and kernels are made anew."""
        state = {name: value for name, value in vars(self).items()
                 if name not in ("_weights", "_biases", "_engines", "_running")}
        if self._running is not None:
            rule, schedule = self._running
            state["_running"] = type(rule), rule.state_dict(), schedule
        return state

    def __setstate__(self, state):
        state = dict(state)
        running = state.pop("_running", None)
        vars(self).update(state, _engines={}, _running=None)
        if not self._parameters.flags.writeable:        # joblib maps files into memory
            self._parameters = self._parameters.copy()
        self._weights, self._biases = self._views(self._parameters)
        if running is not None:
            rule, kept, schedule = running
            made = rule(self._parameters)
            made.load_state_dict(kept)
            self._running = made, schedule

    # what it is

    @property
    def sizes(self):
        return self._sizes

    @property
    def activations(self):
        return self._activations

    @property
    def loss_name(self):
        return self._loss

    @property
    def dtype(self):
        return self._dtype

    @property
    def penalties(self):
        """``l2``, ``l1`` and the ``delta`` of the loss."""
        return {"l2": self._l2, "l1": self._l1, "delta": self._delta}

    @property
    def classifies(self):
        """Whether its targets are classes."""
        return self._loss in ON_LOGITS

    @property
    def parameters(self):
        return self._parameters

    @parameters.setter
    def parameters(self, values):
        values = np.asarray(values)
        if values.shape != self._parameters.shape or values.dtype.kind not in "fiu":
            raise ValueError(f"parameters must be {self._parameters.size} real numbers, not {values.dtype} of shape "
                             f"{values.shape}")
        self._parameters[...] = values

    @property
    def weights(self):
        return self._weights

    @property
    def biases(self):
        return self._biases

    def __repr__(self):
        chain = " -> ".join(map(str, self._sizes))
        return (f"Network({chain}, {'/'.join(dict.fromkeys(self._activations))}, {self._loss}, "
                f"{self._parameters.size} parameters of {self._dtype.name})")

    def _views(self, flat):
        """Weights and biases in a vector of the layout of `parameters`."""
        weights, biases, at = [], [], 0
        for n, m in zip(self._sizes, self._sizes[1:], strict=False):
            weights.append(flat[at : at + n * m].reshape(n, m))
            biases.append(flat[at + n * m : at + (n + 1) * m])
            at += (n + 1) * m
        return tuple(weights), tuple(biases)

    def _engine(self, dtype=None):
        """The layers of the backend in force."""
        backend, code = current(), (dtype or self._dtype).char
        key = backend.name, code
        if key not in self._engines:
            self._engines[key] = backend.Layers(
                self._sizes, tuple(map(ACTIVATIONS.index, self._activations)), LOSSES.index(self._loss), code, self._l2,
                self._l1, delta=self._delta)
        return self._engines[key]

    # values

    def forward(self, X, layers=False):
        """What the last layer gives: logits where the loss takes them.

        Parameters
        ----------
        X : array_like, (rows, inputs) or (inputs,)
            Samples.
        layers : bool, optional
            Give the values of all layers, as a list of arrays (rows, units), the inputs first.

        Returns
        -------
        ndarray, (rows, outputs), or list of ndarray
        """
        X = as_inputs(X, self)
        if not layers:
            return self._engine().forward(self._parameters, X)
        return [X, *self._engine().forward(self._parameters, X, True)]

    def loss(self, X, y, sample_weight=None):
        """The loss over samples, with its penalties on weights.

        Parameters
        ----------
        X : array_like, (rows, inputs)
        y : array_like
            (rows,) labels for "softmax_cross_entropy", else (rows, outputs), or (rows,) where there is one output.
        sample_weight : array_like, (rows,), optional
            At least 0; what the rows count in the mean.

        Returns
        -------
        float
        """
        return self._engine().value(self._parameters, *self._samples(X, y, sample_weight))

    def gradient(self, X, y, sample_weight=None):
        """The gradient of the loss by the parameters.

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`; one sample may be given as two vectors.

        Returns
        -------
        ndarray, (n,)
            In the layout of `parameters`.
        """
        found = np.empty_like(self._parameters)
        self._engine().gradient(self._parameters, *self._samples(X, y, sample_weight), out=found)
        return found

    def backprop(self, X, y, sample_weight=None):
        """The gradient as it is propagated: from the last layer to the first.

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`.

        Returns
        -------
        list of LayerGradient
            ``layer, delta, weights, biases``, the last layer first. The penalties are part of the weights' gradients.
        """
        X, y, weight = self._samples(X, y, sample_weight)
        found = np.empty_like(self._parameters)
        deltas = [np.empty((len(X), m), self._dtype) for m in self._sizes[1:]]
        self._engine().gradient(self._parameters, X, y, weight, out=found, deltas=deltas)
        weights, biases = self._views(found)
        return [LayerGradient(i, deltas[i], weights[i], biases[i]) for i in reversed(range(len(deltas)))]

    def input_gradient(self, X, y, sample_weight=None):
        """The gradient of the loss by the inputs.

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`.

        Returns
        -------
        ndarray, (rows, inputs)
        """
        X, y, weight = self._samples(X, y, sample_weight)
        found = np.empty(X.shape, self._dtype)
        self._engine().gradient(self._parameters, X, y, weight, inputs=found)
        return found

    def value_and_gradient(self, X, y, sample_weight=None):
        """The loss over samples as a function of the parameters, for `minimize`, SciPy and `check_gradient`.

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`.

        Returns
        -------
        callable
            ``function(theta)`` gives the loss and its gradient; the network stays as it is.

        Examples
        --------
        >>> import numpy as np, steepest as sd
        >>> net = sd.network.Network([1, 3, 1], "tanh", seed=0)
        >>> X = np.linspace(-1, 1, 20)[:, None]
        >>> function = net.value_and_gradient(X, np.sin(X))
        >>> value, gradient = function(net.parameters)
        >>> value == net.loss(X, np.sin(X)), gradient.shape
        (True, (10,))
        """
        samples = self._samples(X, y, sample_weight)
        engine, dtype, shape = self._engine(), self._dtype, self._parameters.shape

        def function(theta):
            theta = np.ascontiguousarray(theta, dtype)
            if theta.shape != shape:
                raise ValueError(f"theta must have shape {shape}, not {theta.shape}")
            gradient = np.empty(shape, dtype)
            return engine.gradient(theta, *samples, out=gradient), gradient

        return function

    def _samples(self, X, y, sample_weight):
        """Samples, checked."""
        X = as_inputs(X, self)
        return X, as_targets(y, len(X), self), as_weights(sample_weight, len(X))

    # answers

    def predict(self, X):
        """Classes where the loss has them, else outputs.

        Returns
        -------
        ndarray
            (rows,) labels for "softmax_cross_entropy" and for "binary_cross_entropy" with one output; (rows, outputs)
            of 0 and 1 for several; outputs (rows,) where there is one, else (rows, outputs).
        """
        outputs = self.forward(X)
        if self._loss == "softmax_cross_entropy":
            return outputs.argmax(axis=1)
        found = (outputs > 0).astype(np.intp) if self.classifies else outputs
        return found[:, 0] if found.shape[1] == 1 else found

    def predict_proba(self, X):
        """Probabilities of classes.

        Returns
        -------
        ndarray, (rows, classes)
            With one output of "binary_cross_entropy": of class 0 and class 1. With several: of each being 1.

        Raises
        ------
        ValueError
            When the loss has no classes.
        """
        if not self.classifies:
            raise ValueError(f"predict_proba needs a loss on logits, not {self._loss!r}")
        outputs = self.forward(X)
        if self._loss == "softmax_cross_entropy":
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            if outputs.shape[1] == 1:
                return np.hstack([1 / (1 + np.exp(outputs)), 1 / (1 + np.exp(-outputs))])
            return 1 / (1 + np.exp(-outputs))

    def score(self, X, y, sample_weight=None):
        """The share of samples that are classified rightly, or the coefficient of determination R².

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`. Rows of probabilities count by their largest.

        Returns
        -------
        float
            At most 1. R² of several outputs is the mean of theirs; 0 or -inf for targets that do not vary.
        """
        X, y, weight = self._samples(X, y, sample_weight)
        if self.classifies:
            return self._accuracy(self.predict(X), y, weight)
        apart = y - self._engine().forward(self._parameters, X)
        mean = np.average(y, axis=0, weights=weight)
        left = np.average(apart.astype(float) ** 2, axis=0, weights=weight)
        whole = np.average((y - mean).astype(float) ** 2, axis=0, weights=weight)
        ratio = np.divide(left, whole, out=np.where(left == 0, 0.0, np.inf), where=whole > 0)
        return float(np.mean(1 - ratio))

    def _accuracy(self, found, y, weight):
        if self._loss == "softmax_cross_entropy":
            right = found == (y if y.ndim == 1 else y.argmax(axis=1))
        else:
            right = (found.reshape(y.shape) == (y > 0.5)).all(axis=1)
        return float(np.average(right, weights=weight))

    # training, proof, files

    def fit(self, X, y, *, optimizer=None, lr=None, batch_size="auto", epochs=10, sample_weight=None,
            validation_data=None, early_stopping=None, callback=None, progress=False, seed=None, method=None,
            **options):
        """Train on samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`.
        optimizer : str or class, optional
            A rule of `steepest.optim` by its name, or a class of it; that of the network by default.
        lr : float or callable, optional
            Learning rate, or a schedule: ``lr(t)`` is that of step t of this call, from 0.
        batch_size : int, "auto" or None, optional
            Rows of a step; the last one of an epoch may be short. "auto" takes 32, or all where there are fewer; None
            takes all.
        epochs : int, optional
            How often all rows are used, each time in another order.
        validation_data : (X, y), optional
            Samples on which loss and score are measured after each epoch.
        early_stopping : int or True, optional
            Stop when so many epochs (True: 10) have not lowered the validation loss, and take the best parameters.
        callback : callable, optional
            ``callback(record)`` after each epoch, with ``epoch, loss, score, validation_loss, validation_score``;
            StopIteration ends the training.
        progress : bool, optional
            Show a bar of tqdm.
        seed : int, optional
            Of the order of rows, from now on; without it the network's own goes on.
        method : str, optional
            A method of `minimize` instead of an optimizer: all rows at once, `epochs` iterations at most.
        **options
            Hyperparameters of the optimizer, or options of `minimize`.

        Returns
        -------
        History
            ``loss, score, validation_loss, validation_score`` by epoch, ``status, message, best_epoch``.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, before anything is changed.

        Notes
        -----
        Where a value or the loss is no longer finite, training stops before that step, with a warning and
        ``status == "diverged"``; ``message`` names epoch, batch and layer. On Ctrl-C the network keeps the parameters
        with the lowest validation loss (training loss, without validation data) among the epochs that were finished,
        and `history` what was recorded.
        """
        from .training import fit

        return fit(self, X, y, optimizer, lr, batch_size, epochs, sample_weight, validation_data, early_stopping,
                   callback, progress, seed, method, options)

    def partial_fit(self, X, y, sample_weight=None):
        """Make one step on all of these samples, with the optimizer of the last `fit`, or of the network.

        Returns
        -------
        float
            The loss before the step.
        """
        from .training import step

        return step(self, X, y, sample_weight)

    def check(self, X, y, sample_weight=None, *, rtol=None):
        """Prove the gradient: hold what `gradient` returns against differences of the loss, component by component.

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`; few rows are enough.
        rtol : float, optional
            Relative error that is granted: 1e-6 in float64, 1e-4 in float32 by default.

        Returns
        -------
        GradientCheck
            True where nothing is wrong. ``wrong_layer`` is the first wrong layer counted from the output, from which a
            fault would spread to all below; None when there is none.
        """
        from .network_check import check

        return check(self, X, y, sample_weight, rtol)

    def save(self, path):
        """Write the network to a file, an .npz archive with a checksum and without a pickle; `load` reads it."""
        from .network_files import save

        save(self, path)


def _as_choice(value, name, choices):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return value


def _as_sizes(sizes):
    try:
        given = tuple(sizes)
    except TypeError:
        raise TypeError(f"sizes must be a sequence of integers, not {sizes!r}") from None
    if len(given) < 2:
        raise ValueError(f"sizes must have at least 2 entries, inputs and outputs, not {len(given)}")
    return tuple(as_count(size, f"sizes[{i}]") for i, size in enumerate(given))


def _as_activations(activation, count):
    if isinstance(activation, str):
        return (_as_choice(activation, "activation", ACTIVATIONS),) * (count - 1) + ("identity",)
    try:
        given = tuple(activation)
    except TypeError:
        raise TypeError(f"activation must be a name or a sequence of names, not {activation!r}") from None
    if len(given) != count:
        raise ValueError(f"activation must have {count} entries, one for each layer after the inputs, "
                         f"not {len(given)}")
    return tuple(_as_choice(one, f"activation[{i}]", ACTIVATIONS) for i, one in enumerate(given))


def _as_dtype(dtype):
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, not {dtype!r}")
    return found
