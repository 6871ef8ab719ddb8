"""A network trained on samples: epochs of steps in shuffled batches, watched from outside.

Here so that the loop over batches stays in the kernels and everything that happens once an epoch - validation, early
stopping, callbacks - in one place. Tested in tests/test_training.py.
"""

import warnings
from types import SimpleNamespace

import numpy as np

from . import optim
from .network_data import as_inputs, as_targets
from .optimizer import Optimizer
from .options import as_count, as_number, check_function
from .progress import Bar
from .random_numbers import Source

__all__ = ["History", "fit", "step"]

PATIENCE, BATCH = 10, 32
SERIES = ("loss", "score", "validation_loss", "validation_score")


class History:
    """What happened in a training, epoch by epoch.

    Attributes
    ----------
    loss, score : ndarray, (epochs,)
        On the training samples: the loss is the mean over the steps of the epoch, while parameters change; the score is
        measured after it.
    validation_loss, validation_score : ndarray, (epochs,)
        On the validation samples, after each epoch; empty without them.
    epochs : int
        How many were finished.
    best_epoch : int or None
        The one with the lowest validation loss (training loss without validation), from 0.
    status : {"finished", "stopped early", "stopped", "diverged", "interrupted"}
    message : str
    """

    def __init__(self):
        self._rows = {name: [] for name in SERIES}
        self.status, self.message = "finished", ""
        self.best_epoch = None

    def add(self, **row):
        """Record an epoch."""
        for name, value in row.items():
            if value is not None:
                self._rows[name].append(value)

    @property
    def epochs(self):
        return len(self._rows["loss"])

    def __getattr__(self, name):
        if name in SERIES:
            return np.array(self.__dict__["_rows"][name], float)
        raise AttributeError(f"a history has no {name!r}")

    def __repr__(self):
        last = f", loss {self.loss[-1]:.4g}, score {self.score[-1]:.4g}" if self.epochs else ""
        return f"<History: {self.epochs} epochs{last}, {self.status}>"


def rule_named(optimizer):
    """The class of an update rule, from its name or itself."""
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer
    rules = {one._rule.lower(): one for one in vars(optim).values()
             if isinstance(one, type) and issubclass(one, Optimizer) and one._rule}
    if not isinstance(optimizer, str) or optimizer not in rules:
        raise ValueError(f"optimizer must be one of {', '.join(map(repr, sorted(rules)))}, or a class of "
                         f"steepest.optim, not {optimizer!r}")
    return rules[optimizer]


def new_rule(network, optimizer, lr, options):
    """An update rule over the parameters of a network, and the schedule of its rate, or None."""
    rule = rule_named(network.optimizer if optimizer is None else optimizer)
    lr = network.lr if lr is None else lr
    if callable(lr):
        return rule(network.parameters, **options, lr=_rate(lr, 0)), lr
    if lr is not None:
        options = {**options, "lr": lr}
    return rule(network.parameters, **options), None


def _rate(schedule, t):
    try:
        rate = schedule(t)
    except BaseException as error:
        error.add_note(f"raised by lr({t}), the schedule")
        raise
    return as_number(rate, f"lr({t})", at_least=0.0)


class Validation:
    """Samples that are not trained on."""

    def __init__(self, network, given):
        try:
            X, y = given
        except (TypeError, ValueError):
            raise TypeError("validation_data must be a pair (X, y)") from None
        self.network = network
        self.X = as_inputs(X, network, "validation_data[0]")
        self.y = as_targets(y, len(self.X), network, "validation_data[1]")

    def measure(self):
        """Loss and score."""
        return self.network.loss(self.X, self.y), self.network.score(self.X, self.y)


class Best:
    """The parameters with the lowest loss so far."""

    def __init__(self, network):
        self.network, self.loss, self.parameters, self.epoch = network, np.inf, None, None

    def see(self, epoch, loss):
        """Take note; return how many epochs ago the best was."""
        if loss < self.loss:
            self.loss, self.epoch = loss, epoch
            if self.parameters is None:
                self.parameters = self.network.parameters.copy()
            else:
                self.parameters[:] = self.network.parameters
        return epoch - self.epoch if self.epoch is not None else 0

    def restore(self):
        """Give the network the best parameters."""
        if self.parameters is not None:
            self.network.parameters = self.parameters


def fit(network, X, y, optimizer, lr, batch_size, epochs, sample_weight, validation_data, early_stopping, callback,
        progress, seed, method, options):
    """`Network.fit`: check everything, then train."""
    samples = network._samples(X, y, sample_weight)
    rows = len(samples[0])
    epochs = as_count(epochs, "epochs")
    if isinstance(batch_size, str) and batch_size == "auto":
        batch_size = min(BATCH, rows)
    elif batch_size is not None:
        batch_size = as_count(batch_size, "batch_size")
        if batch_size > rows:
            raise ValueError(f"batch_size must be at most {rows}, the rows of X, not {batch_size}")
    if callback is not None:
        check_function(callback, "callback")
    validation = None if validation_data is None else Validation(network, validation_data)
    patience = _patience(early_stopping, validation)
    if seed is not None:
        network._rows = Source(seed, 1)
    watch = Watch(network, samples, validation, patience, callback, progress)
    if method is not None:
        if optimizer is not None or lr is not None:
            raise ValueError("method takes the place of optimizer and lr: give one of them")
        return _by_minimize(network, samples, method, epochs, options, watch)
    rule, schedule = new_rule(network, optimizer, lr, options)
    network._running = rule, schedule
    return _by_steps(network, samples, rule, schedule, batch_size or rows, epochs, watch)


def _patience(early_stopping, validation):
    if early_stopping is None or early_stopping is False:
        return None
    if validation is None:
        raise ValueError("early_stopping needs validation_data")
    return PATIENCE if early_stopping is True else as_count(early_stopping, "early_stopping")


class Watch:
    """What is measured, told and decided after each epoch."""

    def __init__(self, network, samples, validation, patience, callback, progress):
        self.network, self.validation, self.patience, self.callback = network, validation, patience, callback
        self.samples = samples
        self.bar = Bar("epochs") if progress else None
        self.history, self.best = History(), Best(network)
        network.history = self.history

    def begin(self, epochs):
        """Announce epochs."""
        if self.bar is not None:
            self.bar.expect(epochs)

    def after(self, loss):
        """An epoch is done, with this loss; return whether to go on."""
        history, network = self.history, self.network
        validation_loss, validation_score = self.validation.measure() if self.validation else (None, None)
        epoch = history.epochs
        history.add(loss=loss, score=network.score(*self.samples), validation_loss=validation_loss,
                    validation_score=validation_score)
        waited = self.best.see(epoch, loss if validation_loss is None else validation_loss)
        history.best_epoch = self.best.epoch
        if self.bar is not None:
            self.bar.advance(1)
        if self.callback is not None:
            record = {name: float(series[-1]) for name in SERIES if (series := getattr(history, name)).size}
            try:
                self.callback(SimpleNamespace(epoch=epoch, **record))
            except StopIteration:
                history.status, history.message = "stopped", f"the callback has stopped the training in epoch {epoch}"
                return False
        if self.patience is not None and waited >= self.patience:
            history.status = "stopped early"
            history.message = (f"{waited} epochs have not lowered the validation loss: the parameters are those after "
                               f"epoch {self.best.epoch}")
            self.best.restore()
            return False
        return True

    def diverged(self, epoch, batch, layer):
        """A value was not finite: say where."""
        where = f"layer {layer}" if layer < len(self.network.sizes) - 1 else "the loss"
        self.history.status = "diverged"
        self.history.message = (f"epoch {epoch}, batch {batch}: {where} is not finite; the parameters are those before "
                                "that step. A smaller lr may help")
        warnings.warn(self.history.message, RuntimeWarning, stacklevel=5)

    def interrupted(self, error):
        """Ctrl-C: keep the best."""
        self.best.restore()
        self.history.status = "interrupted"
        self.history.message = f"interrupted after {self.history.epochs} epochs"
        if self.best.epoch is not None:
            error.add_note(f"the network keeps its parameters after epoch {self.best.epoch}, the best of "
                           f"{self.history.epochs}")


def _by_steps(network, samples, rule, schedule, batch, epochs, watch):
    """Epochs of steps."""
    X, y, weight = samples
    engine, steps = network._engine(), -(-len(X) // batch)
    history, t = watch.history, 0
    watch.begin(epochs)
    try:
        with watch.bar or _nobody():
            for epoch in range(epochs):
                order = network._rows.permutation(len(X)) if batch < len(X) else np.arange(len(X))
                rates = None
                if schedule is not None:
                    rates = np.array([_rate(schedule, t + k) for k in range(steps)])
                loss, _, bad = engine.epoch(network.parameters, X, y, weight, order, batch, rule._core, rates)
                t += steps
                if bad is not None:
                    watch.diverged(epoch, *bad)
                    break
                if not watch.after(loss):
                    break
            else:
                history.message = f"{epochs} epochs are done"
    except KeyboardInterrupt as error:
        watch.interrupted(error)
        raise
    return history


class _nobody:
    """In the place of a bar."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False


def _by_minimize(network, samples, method, epochs, options, watch):
    """All rows at once, by a method of `minimize`."""
    from .minimize import minimize

    for name in ("grad", "callback", "maxiter", "progress"):
        if name in options:
            raise ValueError(f"{name} cannot be given with method")
    theta = network.parameters.copy()

    def after(intermediate_result):
        network.parameters = intermediate_result.x
        if not watch.after(float(intermediate_result.fun)):
            raise StopIteration

    watch.begin(epochs)
    try:
        with watch.bar or _nobody():
            result = minimize(network.value_and_gradient(*samples), theta, grad=True, method=method, maxiter=epochs,
                              callback=after, **options)
    except KeyboardInterrupt as error:
        watch.interrupted(error)
        raise
    history = watch.history
    if history.status == "finished":
        network.parameters = result.x
        history.message = result.message
    return history


def step(network, X, y, sample_weight):
    """`Network.partial_fit`: one step on all rows."""
    X, y, weight = network._samples(X, y, sample_weight)
    if network._running is None:
        network._running = new_rule(network, None, None, {})
    rule, schedule = network._running
    rates = None if schedule is None else np.array([_rate(schedule, rule.t)])
    order = np.arange(len(X))
    loss, _, bad = network._engine().epoch(network.parameters, X, y, weight, order, len(X), rule._core, rates)
    if bad is not None:
        where = f"layer {bad[1]}" if bad[1] < len(network.sizes) - 1 else "the loss"
        warnings.warn(f"{where} is not finite: no step was made. A smaller lr may help", RuntimeWarning, stacklevel=3)
    return loss
