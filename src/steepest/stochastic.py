"""Descent by minibatches: any rule and rate of `steepest.optim`, a loss that is watched, noise that shakes a run loose.

Here so that a loss over data is walked down in one call, and a run that was stopped goes on as if it had not been. What
is evaluated is in minibatches.py. Tested in tests/test_stochastic.py.
"""

import copy
import math

import numpy as np

from .hyperparameters import as_choice
from .minibatches import Loss, Minibatches, take_data
from .optim import RULES, Optimizer
from .options import as_count, as_float, as_number, as_point, check_function
from .plateau import plateau
from .progress import Bar
from .reference.sampler import WAYS

__all__ = ["stochastic_descent"]

DONE, NO_LOWER, NOT_FINITE, STOPPED = range(4)
MESSAGES = {
    DONE: "all epochs were made",
    NO_LOWER: "all epochs were made, but none has lowered the loss from {start:.6g}: try a smaller learning rate",
    NOT_FINITE: "the loss, its gradient or the parameters are not finite after {nit} steps: try a smaller learning "
                "rate",
    STOPPED: "the callback has stopped the run",
}
PATIENT = "stopped: the loss has not fallen for {waited} epochs"
FORMAT, VERSION = "steepest.stochastic", 1


def stochastic_descent(loss, params, data, *, grad=None, optimizer="sgd", batch_size=32, epochs=10, seed=None, lr=None,
                       schedule=None, sampling="epochs", jitter=0.0, validation=None, patience=None, callback=None,
                       progress=False, history=False, state=None, args=(), kwargs=None, **differences):
    """Walk down a loss over data by minibatches.

    Parameters
    ----------
    loss : callable
        ``loss(params, *batch, *args, **kwargs)`` gives one number, the mean over the rows of a batch as a rule.
    params : array_like or list of ndarray
        The start, which is not changed. float32 and float64 are kept.
    data : array or tuple of arrays
        With a common first axis, whose rows make the batches: ``loss(params, X[rows], y[rows])`` for ``(X, y)``.
    grad : callable, True or str, optional
        ``grad(params, *batch, *args, **kwargs)`` gives the gradient, a list of them for a list of params; True says
        that loss gives the pair ``(value, gradient)``. By default it is found by differences of the loss on the batch,
        central ones or those that a word says (see `gradient`), for params that are one array.
    optimizer : str or callable, optional
        A rule of `steepest.optim` by its name in lower case, or a function that makes one:
        ``lambda params: sd.optim.SGD(params, lr=0.1, momentum=0.9)``.
    batch_size : int, optional
        Rows in a batch; the last of an epoch has what is left.
    epochs : int, optional
        How often as many rows as there are come; those before `state` are among them.
    seed : int, optional
        Of the batches and the noise, from 0 to 2**63 - 1: the same seed gives the same run.
    lr : float or callable, optional
        Learning rate, or a schedule; by default that of the rule.
    schedule : callable, optional
        ``schedule(t)`` is the rate of step t, from 0; see `steepest.schedules`. A `plateau` is told the loss that is
        watched, after every epoch.
    sampling : {"epochs", "replacement", "batches", "order"}, optional
        Every row once an epoch, shuffled anew (default); each drawn from all rows; from all that are not in the batch
        yet; as they stand.
    jitter : float or callable, optional
        Standard deviation of normal noise that is added to every entry of the gradient [1]_: at the start, from where
        it falls in a straight line to 0 at the end of all epochs; or ``jitter(t)`` in step t. It shakes a run out of a
        false minimum.
    validation : array or tuple of arrays, optional
        What the loss is watched on, in one call after every epoch; by default all data.
    patience : int, optional
        Stop after so many epochs in a row in which the loss that is watched was not the lowest.
    callback : callable, optional
        ``callback(intermediate_result)`` after every epoch, with a copy of ``x`` and ``fun, nit, epoch``; StopIteration
        ends the run.
    progress : bool, optional
        Show a bar of tqdm that counts steps.
    history : bool, optional
        Keep ``x``, ``fun`` and ``lr`` of every epoch, the start first; with `validation` also ``train``, the loss on
        all data.
    state : dict, optional
        `result.state` of a run with the same data and options: go on as if it had never stopped, with the same bits.
    args, kwargs : tuple, dict, optional
        What loss and grad take after the batch.
    **differences
        Options of `Gradient` when `grad` is not given.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` and ``fun`` (the parameters at the end of an epoch, or at the start, where the loss that is watched was
        lowest, and that loss), ``epoch`` (after how many), ``nit`` (steps), ``epochs`` (made), ``nfev``, ``njev``
        (calls of loss and gradients), ``status``, ``message``, ``success``, ``state``, and ``history`` when asked for.
        Status 0: all epochs were made, or patience has ended; 1: none has lowered the loss; 2: something was not
        finite, and that step was not made; 3: the callback has stopped the run. ``success`` is true for 0 alone.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before anything is called.

    References
    ----------
    .. [1] A. Neelakantan et al., "Adding gradient noise improves learning for very deep networks", arXiv:1511.06807
       (2015); their noise falls as a power of t.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> X = np.linspace(-1.0, 1.0, 200)
    >>> y = 3.0 * X - 1.0
    >>> def loss(p, X, y):
    ...     return np.mean((p[0] * X + p[1] - y) ** 2)
    >>> run = sd.stochastic_descent(loss, [0.0, 0.0], (X, y), lr=0.2, epochs=20, seed=0)
    >>> run.x.round(3).tolist(), run.nit, run.message
    ([3.0, -1.0], 140, 'all epochs were made')
    """
    data = take_data(data, "data")
    watched = data if validation is None else take_data(validation, "validation", data)
    params, alone = _copies(params)
    epochs = as_count(epochs, "epochs", at_least=0)
    as_choice(sampling, "sampling", *WAYS)
    patience = None if patience is None else as_count(patience, "patience")
    batch_size = as_count(batch_size, "batch_size")
    if callback is not None:
        check_function(callback, "callback")
    jitter = jitter if callable(jitter) else as_number(jitter, "jitter", at_least=0.0)
    if seed is not None:
        seed = as_count(seed, "seed", at_least=0)
    rule, schedule = _rule(optimizer, params, alone, lr, schedule)
    state = None if state is None else _checked(state)
    evaluated = Loss(loss, grad, params, alone, args, kwargs, differences)
    batches = Minibatches(data, batch_size, sampling, _seed(seed, state))
    run = Run(evaluated, params, alone, rule, schedule, batches, watched, jitter, epochs, history)
    if state is not None:
        run.restore(state)
    try:
        return run.go(patience, callback, Bar("steps") if progress else None)
    finally:
        evaluated.close()


def _copies(params):
    """The parameters as arrays of our own, and whether they are one array."""
    if isinstance(params, (list, tuple)) and len(params) and all(isinstance(one, np.ndarray) for one in params):
        return [_real(one, f"params[{i}]") for i, one in enumerate(params)], False
    return [_real(params, "params")], True


def _real(array, name):
    found = as_point(array, name)
    if found.dtype.kind == "c":
        raise TypeError(f"{name} must be real")
    return found.astype(np.float32 if found.dtype.char == "f" else np.float64)


def _rule(optimizer, params, alone, lr, schedule):
    """The optimizer of these parameters, and the schedule that it goes by."""
    if lr is not None and schedule is not None:
        raise ValueError("lr and schedule cannot both be given: the schedule is the rate")
    if schedule is not None:
        check_function(schedule, "schedule")
        lr = schedule
    arrays = params[0] if alone else params
    if callable(optimizer):
        if lr is not None:
            raise ValueError("lr and schedule are for an optimizer by its name: give them where it is made")
        rule = optimizer(arrays)
        if not isinstance(rule, Optimizer):
            raise TypeError(f"optimizer must give a rule of steepest.optim, not {type(rule).__name__}")
        if [id(one.given) for one in rule._parameters] != [id(array) for array in params]:
            raise ValueError("optimizer must give a rule over the parameters that it is called with")
        return rule, None
    as_choice(optimizer, "optimizer", *RULES)
    if isinstance(lr, plateau):
        lr = copy.deepcopy(lr)      # what it remembers is that of this run
    return RULES[optimizer](arrays, **({} if lr is None else {"lr": lr})), lr


def _seed(seed, state):
    """The seed that was given, that of the state, or one of chance."""
    if state is not None:
        if seed not in (None, state["seed"]):
            raise ValueError(f"seed must be that of the state, {state['seed']}, not {seed}")
        return state["seed"]
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))
    return seed


def _checked(state):
    """A state, looked at as far as it can be without the run."""
    if not isinstance(state, dict):
        raise TypeError(f"state must be a dict, not {type(state).__name__}")
    if state.get("format") != FORMAT or state.get("version") != VERSION:
        raise ValueError("state must be that of a run of stochastic_descent by this version of steepest")
    if state.keys() != set(KEPT):
        raise ValueError(f"state must have {', '.join(KEPT)}")
    for name in COUNTS:
        as_count(state[name], f"{name} in state", at_least=0)
    return state


def _finite(value, name):
    number = as_float(value, name)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, not {number}")
    return number


COUNTS = ("seed", "rows", "batch_size", "nit", "nfev", "njev", "best_epoch", "waited")
KEPT = ("format", "version", "sampling", *COUNTS, "start", "best_fun", "params", "best", "optimizer", "random", "rate")


class Run:
    """A run under way: the parameters, what steps them, and what is known of the loss."""

    def __init__(self, loss, params, alone, rule, schedule, batches, watched, jitter, epochs, history):
        self.loss, self.params, self.alone, self.rule, self.schedule = loss, params, alone, rule, schedule
        self.batches, self.watched, self.jitter, self.epochs = batches, watched, jitter, epochs
        self.total = epochs * batches.count
        self.random = np.random.Generator(np.random.PCG64([batches.sampler.seed, 1]))
        self.nit = self.best_epoch = self.waited = self.epoch = 0
        self.start = self.fun = self.best_fun = math.nan
        self.best = [array.copy() for array in params]
        self.rows = None
        if history:
            self.rows = {"x": [], "fun": [], "lr": []} | ({} if watched is batches.data else {"train": []})

    # steps

    def go(self, patience, callback, bar):
        """All epochs that are left."""
        if bar is None:
            return self._result(self._epochs(patience, callback, None))
        with bar:
            bar.expect(max(0, self.total - self.nit))
            return self._result(self._epochs(patience, callback, bar))

    def _epochs(self, patience, callback, bar):
        if self.nit == 0:
            self.start = self.best_fun = self._look()
            if not math.isfinite(self.start):
                return NOT_FINITE
        while self.epoch < self.epochs and not (patience is not None and self.waited >= patience):
            for _ in range(self.nit % self.batches.count, self.batches.count):
                if not self._step():
                    return NOT_FINITE
                if bar is not None:
                    bar.advance(1)
            self.epoch += 1
            if not math.isfinite(self._judge()):
                return NOT_FINITE
            if callback is not None and self._stopped(callback):
                return STOPPED
        return DONE if self.best_fun < self.start or self.epochs == 0 else NO_LOWER

    def _step(self):
        """One step of the rule, unless the gradient is not finite."""
        gradients = self.loss.gradient(self.params, self.batches.take())
        self._shake(gradients)
        if not all(np.isfinite(gradient).all() for gradient in gradients):
            return False
        self.rule.step(gradients[0] if self.alone else gradients)
        self.nit += 1
        return True

    def _shake(self, gradients):
        """Add noise to gradients."""
        if callable(self.jitter):
            size = as_number(self.jitter(self.nit), f"jitter({self.nit})", at_least=0.0)
        else:
            size = self.jitter * (1.0 - self.nit / self.total)
        if size > 0:
            for gradient in gradients:
                gradient += self.random.standard_normal(gradient.shape).astype(gradient.dtype) * size

    # the loss that is watched

    def _look(self):
        """The loss that is watched, at the parameters as they are; it is recorded."""
        self.fun = self.loss.value(self.params, self.watched)
        if self.rows is not None:
            self.rows["x"].append(self._shown(self.params))
            self.rows["fun"].append(self.fun)
            self.rows["lr"].append(self._rate())
            if "train" in self.rows:
                self.rows["train"].append(self.loss.value(self.params, self.batches.data))
        return self.fun

    def _rate(self):
        lr = self.rule.lr
        return lr(self.rule.t) if callable(lr) else lr

    def _judge(self):
        """Look, keep what is best, and tell a plateau."""
        fun = self._look()
        if fun < self.best_fun:
            self.best_fun, self.best_epoch, self.waited = fun, self.epoch, 0
            for kept, array in zip(self.best, self.params, strict=True):
                np.copyto(kept, array)
        else:
            self.waited += 1
        if isinstance(self.schedule, plateau):
            self.schedule.update(fun)
        return fun

    def _stopped(self, callback):
        from scipy.optimize import OptimizeResult

        try:
            callback(OptimizeResult(x=self._shown(self.params), fun=self.fun, nit=self.nit, epoch=self.epoch))
        except StopIteration:
            return True
        return False

    def _shown(self, arrays):
        """Copies, as the caller has them."""
        return arrays[0].copy() if self.alone else [array.copy() for array in arrays]

    # results and states

    def _result(self, status):
        from scipy.optimize import OptimizeResult

        message = MESSAGES[status]
        if status == DONE and self.epoch < self.epochs:
            message = PATIENT
        result = OptimizeResult(
            x=self._shown(self.best), fun=self.best_fun, epoch=self.best_epoch, nit=self.nit, epochs=self.epoch,
            nfev=self.loss.nfev, njev=self.loss.njev, status=status, success=status == DONE,
            message=message.format(start=self.start, nit=self.nit, waited=self.waited), state=self._state(),
        )
        if self.rows is not None:
            result.history = OptimizeResult(
                {name: rows if name == "x" and not self.alone else np.array(rows) for name, rows in self.rows.items()})
        return result

    def _state(self):
        """What the next steps depend on, as copies, in plain arrays and numbers."""
        batches, sampler = self.batches, self.batches.sampler
        return {
            "format": FORMAT, "version": VERSION, "sampling": WAYS[batches.way], "seed": sampler.seed,
            "rows": batches.rows, "batch_size": batches.size, "nit": self.nit, "nfev": self.loss.nfev,
            "njev": self.loss.njev, "best_epoch": self.best_epoch, "waited": self.waited, "start": self.start,
            "best_fun": self.best_fun,
            "params": [array.copy() for array in self.params], "best": [array.copy() for array in self.best],
            "optimizer": self.rule.state_dict(), "random": self.random.bit_generator.state,
            "rate": self.schedule.state_dict() if isinstance(self.schedule, plateau) else None,
        }

    def restore(self, state):
        """Go on from a state; nothing of the caller's has changed when it does not suit."""
        batches = self.batches
        for name, own in (("sampling", WAYS[batches.way]), ("rows", batches.rows), ("batch_size", batches.size)):
            if state[name] != own:
                raise ValueError(f"{name} must be that of the state, {state[name]!r}, not {own!r}")
        for name in ("params", "best"):
            self._take(state[name], name)
        self.start, self.best_fun = (_finite(state[name], f"{name} in state") for name in ("start", "best_fun"))
        self.rule.load_state_dict(state["optimizer"])
        try:
            self.random.bit_generator.state = state["random"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"random in state must be a state of NumPy's PCG64: {error}") from None
        if isinstance(self.schedule, plateau):
            self.schedule.load_state_dict(state["rate"])
        elif state["rate"] is not None:
            raise ValueError("schedule must be a plateau, as in the run of the state")
        self.nit = state["nit"]
        self.epoch, part = divmod(self.nit, batches.count)
        batches.sampler.restore(self.epoch, part * batches.size)
        self.best_epoch, self.waited = state["best_epoch"], state["waited"]
        self.loss.nfev, self.loss.njev = state["nfev"], state["njev"]

    def _take(self, given, name):
        own = getattr(self, name)
        if not isinstance(given, list) or len(given) != len(own):
            raise ValueError(f"{name} in state must be a list of {len(own)} arrays")
        for array, found in zip(own, given, strict=True):
            if not isinstance(found, np.ndarray) or found.dtype != array.dtype or found.shape != array.shape:
                raise ValueError(f"{name} in state must have arrays of the shapes and types of params")
            np.copyto(array, found)
