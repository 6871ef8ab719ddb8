"""Update rules as functions: one array, and the state passed in.

Here for those who keep the state themselves; the arithmetic is that of the classes, which are faster, for they check
once what this checks at every step. Tested in tests/test_optim.py.
"""

import functools
import inspect
import math

import numpy as np

from .hyperparameters import as_clip, as_flag, as_share, checked, kept, settings_of
from .optimizer import FIRST, MEANS, STEPS, new_arrays, new_core
from .options import as_count, as_number
from .parameters import Parameter
from .reference.update import take_gradient

__all__ = ["functional", "new_state"]

_DOC = """One step of `{rule}` for one array, all that it keeps being passed in.

Parameters
----------
x : ndarray
    Changed in place; as for `Optimizer`.
grad : array_like
    The gradient, as for `Optimizer.step`.
state : dict
    From `state_for`, changed in place.
{names}
    As for `{rule}`; lr is a number.
maximize, clip
    As for `Optimizer`.

Raises
------
TypeError, ValueError
    Naming the argument; nothing has changed then.

Examples
--------
>>> import numpy as np, steepest as sd
>>> x = np.array([3.0])
>>> state = sd.optim.state_for("{name}", x)
>>> for t in range(100):
...     sd.optim.step_{name}(x, 2 * x, state)
>>> state["t"], x < 3.0
(100, array([ True]))
"""


_WAYS = ("maximize", "clip", "average", "nan")


def _parameters_of(rule):
    """The hyperparameters of a class, and what it takes beside them and params, as it declares them."""
    declared = list(inspect.signature(rule).parameters.values())[1:]
    return [one for one in declared if one.name not in _WAYS], [one for one in declared if one.name in _WAYS[:2]]


def new_state(rule, x, given):
    """Make the state of a rule for an array."""
    options = {one.name: one.default for one in _parameters_of(rule)[0]}
    for name in given:
        if name not in options:
            raise ValueError(f"{name} must be one of the hyperparameters of {rule._rule}: {', '.join(options)}")
    options = rule._fixed | checked(options | given)
    x = Parameter(x, "x")
    state = {"t": 0, **dict(zip(kept(rule._family, options), new_arrays(rule._family, options, x), strict=True))}
    if rule._family in MEANS:
        state[MEANS[rule._family]] = x.array.copy()
    if rule._family == "nadam":
        state["mu_product"] = 1.0
    return state


def functional(rule):
    """Make the function of a rule."""
    name = rule._rule.lower()
    hyperparameters, ways = _parameters_of(rule)
    hyperparameters = [one for one in hyperparameters if one.name not in FIRST.get(rule._family, ())]
    first = [inspect.Parameter(one, inspect.Parameter.POSITIONAL_OR_KEYWORD) for one in ("x", "grad", "state")]
    signature = inspect.Signature(first + hyperparameters + ways)
    defaults = {one.name: one.default for one in hyperparameters + ways}

    def step(x, grad, state, *args, **kwargs):
        if args or not kwargs.keys() <= defaults.keys():
            kwargs = dict(list(signature.bind(x, grad, state, *args, **kwargs).arguments.items())[3:])
        _step(rule, x, grad, state, **(defaults | kwargs))

    step.__name__ = step.__qualname__ = f"step_{name}"
    step.__signature__ = signature  # type: ignore[attr-defined]
    step.__doc__ = _DOC.format(rule=rule._rule, name=name, names=", ".join(one.name for one in hyperparameters))
    return step


def _ready(rule, names, *values):
    """What does not change from step to step: settings, but for the rate, and the names of what is kept."""
    options = {"lr": 0.0} | rule._fixed | checked(dict(zip(names, values, strict=True)))
    return settings_of(rule._family, options), kept(rule._family, options)


_remembered = functools.lru_cache(maxsize=256, typed=True)(_ready)


def _step(rule, x, gradient, state, *, maximize, clip, lr=0.0, **options):
    lr = as_number(lr, "lr", at_least=0.0)
    try:
        settings, names = _remembered(rule, tuple(options), *options.values())
    except TypeError:   # a list for a pair, or a mistake
        settings, names = _ready(rule, tuple(options), *options.values())
    parameter = Parameter(x, "x")
    t, states, mean, carried = _take_state(state, rule, names, parameter)
    gradient = take_gradient(gradient, parameter.given, "grad")
    for array in (*states, *mean):
        if np.may_share_memory(gradient, array) and np.shares_memory(gradient, array):
            raise ValueError("grad must not overlap the state")
    core = new_core(rule._family, [parameter.array], True, [0], [[lr, *settings[1:]]], [states], mean or None, math.nan,
                    as_clip(clip), as_flag(maximize, "maximize"))
    core.resume(t, [carried])
    core.step(gradient)
    if parameter.copied:
        np.copyto(parameter.given, parameter.array)
    state["t"] = core.t
    if "mu_product" in state:
        state["mu_product"] = core.carried[0]


def _take_state(state, rule, names, parameter):
    """Check a state: the step, arrays in the order of the rule, the mean in a list where there is one, the momentum."""
    if not isinstance(state, dict):
        raise TypeError(f"state must be a dict from state_for, not {type(state).__name__}")
    family, array = rule._family, parameter.array
    own = {"t", *names, *([MEANS[family]] if family in MEANS else []), *(["mu_product"] if family == "nadam" else [])}
    if state.keys() != own:
        make = f"state_for({rule._rule.lower()!r}, x, ...)"
        raise ValueError(f"state must have {', '.join(sorted(own))}: make it by {make} with the same options")
    t = as_count(state["t"], "t in state", at_least=0)
    if t > STEPS:
        raise ValueError(f"t in state must be at most 2**53, not {t}")
    found = []
    for name in (*names, *own & {MEANS.get(family)}):
        one = state[name]
        if type(one) is not np.ndarray or one.dtype != array.dtype or one.shape != array.shape \
                or not one.flags.carray or not one.dtype.isnative:
            raise ValueError(f"{name} in state must be an array of {array.dtype} like x, from state_for")
        for other in (parameter.given, *found):
            if np.may_share_memory(one, other) and np.shares_memory(one, other):
                raise ValueError(f"{name} in state must not overlap x or another array of the state")
        found.append(one)
    return t, found[: len(names)], found[len(names) :], as_share(state.get("mu_product", 1.0), "mu_product in state")
