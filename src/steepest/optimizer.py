"""What all update rules have in common: parameters, groups, learning rates, averages, and a state that can be kept.

Here so that a rule is its formula and its hyperparameters and no more; steps are made by `Optimizer` of the kernels or
of their reference. Tested in tests/test_optim.py and tests/test_optim_state.py.
"""

import contextlib
import math
import threading
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from .backends import current
from .checkpoint import read, write
from .crews import cores
from .errors import BusyError
from .hyperparameters import as_average, as_choice, as_clip, as_flag, as_share, checked, kept, settings_of, starts_of
from .options import as_count, as_number
from .parameters import take_parameters
from .reference.update import take_gradient
from .threads import share, team_size

__all__ = ["FIRST", "MEANS", "Group", "Optimizer", "new_arrays", "new_core"]

FORMAT, VERSION = "steepest.optim", 1
# Hyperparameters that are of no use after the first step.
FIRST = {"rprop": ("lr",), "adagrad": ("initial_accumulator_value",)}
MEANS = {"asgd": "ax"}      # what the mean is called that a rule keeps by itself
STEPS = 2**53               # more than anybody makes, and exact in a float


def _sharing():
    """How the blocks of long arrays are done by several threads: `share` and `threads` of the kernels' `Optimizer`."""
    count = team_size(cores())
    return (share, count) if count > 1 else (None, 1)


def new_core(family, arrays, alone, members, settings, states, means, averaging, clip, maximize, nan="propagate"):
    """Make the `Optimizer` of the backend in force."""
    share, threads = _sharing()
    return current().Optimizer(family, arrays, alone, members, settings, states, means, averaging, *clip,
                               -1.0 if maximize else 1.0, nan == "raise", share, threads)


def new_arrays(family, options, parameter):
    """What a rule keeps beside a parameter, at the start."""
    return [parameter.like(value) for value in starts_of(family, options)]


class Group(Mapping):
    """The parameters that share hyperparameters, as a mapping: ``group["lr"] = 0.1`` changes one.

    `params` and what is of use at the start only cannot be changed, nor can anything so that the rule would keep other
    arrays (`momentum` from 0 to more, `centered`, `amsgrad`).

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> opt = sd.optim.SGD([np.ones(2), np.ones(3)], lr=0.1)
    >>> opt.groups[0]["lr"] = 0.05
    >>> dict(opt.groups[0])["lr"]
    0.05
    """

    __slots__ = ("_index", "_optimizer")

    def __init__(self, optimizer, index):
        self._optimizer, self._index = optimizer, index

    def _all(self):
        return {"params": self._optimizer._given(self._index), **self._optimizer._options[self._index]}

    def __getitem__(self, name):
        return self._all()[name]

    def __iter__(self):
        return iter(self._all())

    def __len__(self):
        return len(self._all())

    def __setitem__(self, name, value):
        self._optimizer._change([(self._index, name, value)])

    def __repr__(self):
        shapes = ", ".join(str(array.shape) for array in self["params"])
        options = ", ".join(f"{name}={value!r}" for name, value in self.items() if name != "params")
        return f"Group({shapes}: {options})"


class Optimizer:
    """What all update rules have in common; make one of the rules.

    Parameters
    ----------
    params : ndarray, list of ndarray, or list of dict
        What is stepped, in place: one array, several, or groups ``{"params": ..., "lr": ...}`` with hyperparameters of
        their own. Of float32 or float64, in any shape, and writeable; the types may be mixed. Strided arrays and those
        of foreign byte order are stepped through a copy. No two may share memory.
    lr : float or callable
        Learning rate, or a schedule: ``lr(t)`` is that of step t = 0, 1, ... (see `steepest.schedules`).
    maximize : bool, optional
        Climb.
    clip : tuple, optional
        ``("value", c)`` bounds every entry of a gradient by c; ``("norm", c)`` scales each gradient, and
        ``("global_norm", c)`` all of them alike, by min(1, c / (norm + 1e-6)): torch's ``clip_grad_norm_``. It is part
        of the step; gradients are not written to. Norms are sums of squares in float64.
    average : "polyak" or ("ema", decay), optional
        Keep the mean of all points after a step, or their exponential moving average, which starts at the parameters
        as they are now: see `averages`.
    nan : {"propagate", "raise"}, optional
        Take gradients that are not finite as arithmetic does, or refuse them with ValueError.

    Attributes
    ----------
    t : int
        Steps made.
    lr : float, callable or list
        The learning rate as it was set; a list when groups differ. Can be set, for all groups or from a list.
    groups : tuple of Group
    averages : ndarray or list of ndarray
        Copies of the averages.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before anything is changed.
    BusyError
        When an optimizer is used while another thread, or a call further out, is at work with it.

    Notes
    -----
    An optimizer cannot be pickled or copied, for it changes arrays that are somebody else's: `state_dict` and `save`
    keep what it has.
    """

    _family = _rule = ""
    _fixed: ClassVar[dict] = {}

    def _make(self, params, options, maximize, clip, nan, average=None):
        """Initialise: what every rule's ``__init__`` calls."""
        if hasattr(self, "_core"):
            raise BusyError(f"this {self._rule} is made already: make a new one")
        options = checked(options)
        limit, mean = as_clip(clip), as_average(average)
        self._ways = {"maximize": as_flag(maximize, "maximize"), "clip": _listed(limit), "average": _listed(mean),
                      "nan": as_choice(nan, "nan", "propagate", "raise")}
        parameters, alone, given, members = take_parameters(params)
        self._options = [self._group_options(options, own, f"group {i}") for i, own in enumerate(given)]
        self._parameters, self._members, self._alone = parameters, members, alone
        self._copied = [one for one in parameters if one.copied]
        self._entry = threading.Lock()      # for steps that are more than the kernel's
        self._mean = MEANS.get(self._family, "average" if mean[0] else None)
        groups = [self._fixed | one for one in self._options]
        arrays = [one.array for one in parameters]
        states = [new_arrays(self._family, groups[i], one) for one, i in zip(parameters, members, strict=True)]
        means = [array.copy() for array in arrays] if self._mean else None
        averaging = {None: math.nan, "polyak": 0.0, "ema": 1 - mean[1]}[mean[0]]
        settings = [settings_of(self._family, one) for one in groups]
        self._core = new_core(self._family, arrays, alone, members, settings, states, means, averaging, limit,
                              self._ways["maximize"], nan)
        self._choose_step()

    def _group_options(self, options, own, where):
        """The hyperparameters of a group: those of all, and its own."""
        for name in own:
            if name not in options:
                raise ValueError(f"{where} has {name!r}, which must be one of params, {', '.join(options)}")
        try:
            found = checked(options | own)
        except (TypeError, ValueError) as error:
            raise type(error)(f"in {where}: {error}") from None
        if callable(found["lr"]) and "lr" in FIRST.get(self._family, ()):
            raise ValueError(f"lr must be a number: it is the first step size of {self._rule}, and has no schedule")
        return found

    def _choose_step(self):
        """Let ``step`` be the kernel's where it is all that is needed."""
        vars(self).pop("step", None)
        scheduled = any(callable(one["lr"]) for one in self._options)
        if not (scheduled or self._copied) and type(self).step is Optimizer.step:
            vars(self)["step"] = self._core.step

    def step(self, grads):
        """Make one step: change the parameters in place.

        Parameters
        ----------
        grads : array_like or list of array_like
            The gradient when `params` was one array, else one gradient for each parameter, of all groups in one list.
            Of the shape and type of its parameter, or of a type that is exact in it; it may be strided.

        Raises
        ------
        TypeError, ValueError
            For a gradient of another shape or type, that overlaps a parameter or, with ``nan="raise"``, is not finite;
            nothing has changed then.
        BusyError
            When a step of this optimizer is under way.
        """
        self._enter()
        try:
            rates = [(i, self._rate(i)) for i, one in enumerate(self._options) if callable(one["lr"])]
            if self._copied:
                grads = self._take(grads)
            for i, rate in rates:
                self._core.change(i, 0, rate)
            for one in self._copied:
                np.copyto(one.array, one.given)
            self._core.step(grads)
            for one in self._copied:
                np.copyto(one.given, one.array)
        finally:
            self._entry.release()

    def _enter(self):
        if not self._entry.acquire(blocking=False):
            raise BusyError("this optimizer is at work for another call")

    @contextlib.contextmanager
    def _still(self):
        """No step is under way, and none begins."""
        self._enter()
        try:
            self._core.hold()
            try:
                yield
            finally:
                self._core.release()
        finally:
            self._entry.release()

    def _rate(self, i):
        t = self._core.t
        try:
            rate = self._options[i]["lr"](t)
        except BaseException as error:
            error.add_note(f"raised by lr({t}), the schedule of group {i}")
            raise
        return as_number(rate, f"lr({t})", at_least=0.0)

    def _take(self, grads):
        """Gradients that overlap no parameter of the caller's: of some the kernel sees copies."""
        for one in self._copied:
            one.refuse_frozen()
        arrays = [one.given for one in self._parameters]
        if self._alone:
            return take_gradient(grads, arrays[0], "grads")
        if not isinstance(grads, (list, tuple, np.ndarray)) or len(grads) != len(arrays):
            return grads
        return [take_gradient(gradient, array, f"grads[{i}]", arrays)
                for i, (gradient, array) in enumerate(zip(grads, arrays, strict=True))]

    @property
    def t(self):
        """Steps made."""
        return self._core.t

    @property
    def lr(self):
        """The learning rate, or schedule, of all groups; a list when they differ."""
        rates = [one["lr"] for one in self._options]
        return rates[0] if all(rate is rates[0] or rate == rates[0] for rate in rates) else rates

    @lr.setter
    def lr(self, value):
        count = len(self._options)
        values = value if isinstance(value, (list, tuple)) else [value] * count
        if len(values) != count:
            raise ValueError(f"lr must be one learning rate or {count}, one for each group, not {len(values)}")
        self._change([(i, "lr", one) for i, one in enumerate(values)])

    @property
    def groups(self):
        """The groups, each a mapping of its hyperparameters that can be set."""
        return tuple(Group(self, i) for i in range(len(self._options)))

    @property
    def averages(self):
        """Copies of the averages of the parameters: an array, or a list of them."""
        if self._mean is None:
            raise ValueError("averages are kept when average= was given")
        with self._still():
            copies = [mean.copy() for mean in self._core.means]
        return copies[0] if self._alone else copies

    def _given(self, index):
        return [one.given for one, group in zip(self._parameters, self._members, strict=True) if group == index]

    def _change(self, changes):
        """Set hyperparameters, all or none: (group, name, value)."""
        changed = list(self._options)
        for i, name, value in changes:
            if name in FIRST.get(self._family, ()) or name == "params":
                raise ValueError(f"{name} cannot be changed: it is of use when {self._rule} is made")
            changed[i] = self._group_options(changed[i], {name: value}, f"group {i}")
        for i in {i for i, _, _ in changes}:
            if self._kept(changed[i]) != self._kept(self._options[i]):
                names = ", ".join(name for j, name, _ in changes if j == i)
                raise ValueError(f"{names} cannot be changed so that {self._rule} keeps other arrays: make a new one")
        self._set(changed)

    def _kept(self, options):
        """The names of what is kept beside each parameter of a group."""
        return kept(self._family, self._fixed | options)

    def _set(self, options):
        """Take checked hyperparameters."""
        for i, one in enumerate(options):
            new = settings_of(self._family, self._fixed | one)
            old = settings_of(self._family, self._fixed | self._options[i])
            for index, value in enumerate(new):
                if value != old[index]:
                    self._core.change(i, index, value)
        self._options = list(options)
        self._choose_step()

    def __repr__(self):
        arrays = f"{len(self._parameters)} array{'s' * (len(self._parameters) != 1)}"
        options = "".join(f", {name}={value!r}" for name, value in self._options[0].items())
        more = f" and {len(self._options) - 1} more groups" if len(self._options) > 1 else ""
        return f"{self._rule}({arrays}{options}{more}, t={self.t})"

    def __reduce_ex__(self, protocol):
        raise TypeError(f"{self._rule} cannot be pickled or copied, for it changes arrays that are somebody else's: "
                        "keep state_dict(), or use save()")

    # The state: a head of plain numbers and words, and arrays by name, of every parameter.

    def _head(self):
        groups = []
        for i, options in enumerate(self._options):
            head = {"params": [j for j, group in enumerate(self._members) if group == i]}
            for name, value in options.items():
                head[name] = None if callable(value) else list(value) if isinstance(value, tuple) else value
            if self._family == "nadam":
                head["mu_product"] = self._core.carried[i]
            groups.append(head)
        ways = {name: list(way) if isinstance(way, list) else way for name, way in self._ways.items()}
        return {"format": FORMAT, "version": VERSION, "rule": self._rule, "t": self.t, **ways, "groups": groups}

    def _arrays(self, params):
        """What is kept, by name, for each parameter."""
        found = []
        for i, one in enumerate(self._parameters):
            arrays = {"param": one.given} if params else {}
            arrays |= zip(self._kept(self._options[self._members[i]]), self._core.states[i], strict=True)
            if self._mean:
                arrays[self._mean] = self._core.means[i]
            found.append(arrays)
        return found

    def state_dict(self, params=False):
        """Everything that a run needs to go on, as copies.

        Parameters
        ----------
        params : bool, optional
            The parameters too.

        Returns
        -------
        dict
            Of arrays, numbers, strings, None, lists and dicts of them. `state` has a dict of arrays for each
            parameter. A learning rate that is a schedule is None: who loads the state has made an optimizer with it.

        Raises
        ------
        BusyError
            When a step is under way.
        """
        with self._still():
            state = [{name: np.array(array, array.dtype.type, order="C") for name, array in arrays.items()}
                     for arrays in self._arrays(params)]
            return {**self._head(), "state": state}

    def load_state_dict(self, state):
        """Go on from a state: the next step is, bit for bit, what it would have been there.

        Parameters
        ----------
        state : dict
            From `state_dict` of an optimizer of the same rule over parameters of the same types and shapes, in the same
            groups, with the same `maximize`, `clip`, `average` and `nan`. Hyperparameters become those of the state;
            parameters too where it has them.

        Raises
        ------
        TypeError, ValueError
            Naming what does not suit; nothing has changed then.
        BusyError
            When a step is under way.
        """
        if not isinstance(state, dict):
            raise TypeError(f"state must be a dict, not {type(state).__name__}")
        state = dict(state)
        arrays = state.pop("state", None)
        t, options, carried = self._take_head(state)
        if type(arrays) is not list or len(arrays) != len(self._parameters):
            raise ValueError(f"state must be a list of {len(self._parameters)} dicts, one for each parameter")
        params = bool(arrays) and isinstance(arrays[0], dict) and "param" in arrays[0]
        for i, (own, given) in enumerate(zip(self._arrays(params), arrays, strict=True)):
            if not isinstance(given, dict):
                raise TypeError(f"state[{i}] must be a dict, not {type(given).__name__}")
            _same_names(given, own, f"state[{i}]")
            for name, array in own.items():
                _check_array(given[name], array, f"state[{i}][{name!r}]")
        self._commit(t, options, carried, arrays)

    def _take_head(self, head):
        """Check all of a state but its arrays: t, and hyperparameters and momenta of the groups."""
        own = self._head()
        if head.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT!r}: this is no state of an optimizer")
        if type(head.get("version")) is not int or head["version"] != VERSION:
            raise ValueError(f"version must be {VERSION} for this steepest, not {head.get('version')!r}")
        _same_names(head, own, "state")
        for name in ("rule", *self._ways):
            if type(head[name]) is not type(own[name]) or repr(head[name]) != repr(own[name]):
                raise ValueError(f"{name} must be {own[name]!r}, that of this optimizer, not {head[name]!r}")
        t = as_count(head["t"], "t", at_least=0)
        if t > STEPS:
            raise ValueError(f"t must be at most 2**53, not {t}")
        if type(head["groups"]) is not list or len(head["groups"]) != len(own["groups"]):
            raise ValueError(f"groups must be a list of {len(own['groups'])} groups")
        taken = [self._take_group(i, *pair) for i, pair in enumerate(zip(head["groups"], own["groups"], strict=True))]
        return t, [options for options, _ in taken], [carried for _, carried in taken]

    def _take_group(self, i, head, own):
        if not isinstance(head, dict):
            raise TypeError(f"group {i} must be a dict, not {type(head).__name__}")
        _same_names(head, own, f"group {i}")
        head = dict(head)
        if repr(head.pop("params")) != repr(own["params"]):
            raise ValueError(f"group {i} must have the params {own['params']}")
        carried = as_share(head.pop("mu_product", 1.0), f"mu_product of group {i}")
        if (head["lr"] is None) != (own["lr"] is None):
            which = "a number" if own["lr"] is None else "a schedule"
            raise ValueError(f"lr of group {i} was {which} and is none here: make the optimizer as it was made")
        if callable(head["lr"]):
            raise TypeError(f"lr of group {i} must be a number or None, not {head['lr']!r}")
        if head["lr"] is None:
            head["lr"] = self._options[i]["lr"]
        options = self._group_options(self._options[i], head, f"group {i}")
        if self._kept(options) != self._kept(self._options[i]):
            raise ValueError(f"group {i} must keep {', '.join(self._kept(self._options[i])) or 'nothing'}, "
                             f"as this {self._rule} does, not {', '.join(self._kept(options)) or 'nothing'}")
        return options, carried

    def _commit(self, t, options, carried, arrays):
        params = "param" in arrays[0]
        for one in self._parameters if params else ():
            one.refuse_frozen()
        with self._still():
            for own, given in zip(self._arrays(params), arrays, strict=True):
                for name, array in own.items():
                    np.copyto(array, given[name])
            self._core.resume(t, carried)
            self._set(options)

    def save(self, path, *, params=True):
        """Write the state to a file, `.npz` with a checksum, that `load` and `numpy.load` read.

        Parameters
        ----------
        path : str or path-like
            Replaced at once when all is written: a crash leaves the old file or the new one. Nothing is added to it.
        params : bool, optional
            The parameters too, so that `load` puts them back.

        Raises
        ------
        OSError
            As `open`; for what is there and is no ordinary file.
        BusyError
            When a step is under way.
        """
        with self._still():
            arrays = {f"{name}.{i}": array for i, own in enumerate(self._arrays(params)) for name, array in own.items()}
            write(path, {**self._head(), "with_params": bool(params)}, arrays)

    def load(self, path):
        """Go on from a file that `save` wrote, as `load_state_dict` does.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        CheckpointError
            For a file that is damaged, or that does not suit this optimizer; nothing has changed then.
        OSError
            As `open`; for what is no ordinary file.
        BusyError
            When a step is under way.
        """
        taken: list = []

        def forms(params):
            return {f"{name}.{i}": (array.dtype.type, array.shape)
                    for i, own in enumerate(self._arrays(params)) for name, array in own.items()}

        def expect(head):
            params = as_flag(head.pop("with_params"), "with_params")
            taken[:] = self._take_head(head)
            return forms(params)

        _, arrays = read(path, forms(True), expect)
        found = [{} for _ in self._parameters]
        for name, array in arrays.items():
            key, _, i = name.rpartition(".")
            found[int(i)][key] = array
        t, options, carried = taken
        self._commit(t, options, carried, found)


def _same_names(given, own, where):
    for name in own:
        if name not in given:
            raise ValueError(f"{where} must have {name!r}")
    for name in given:
        if name not in own:
            raise ValueError(f"{where} must not have {name!r}")


def _check_array(given, own, name):
    if not isinstance(given, np.ndarray) or given.dtype.type is not own.dtype.type:
        raise TypeError(f"{name} must be an array of {own.dtype.name}, not {getattr(given, 'dtype', type(given))}")
    if given.shape != own.shape:
        raise ValueError(f"{name} must have the shape of its parameter, {own.shape}, not {given.shape}")


def _listed(pair):
    """How the state tells a pair of a word and a number: None without a word, the word alone without a number."""
    word, number = pair
    return word if word in (None, "polyak") else [word, number]
