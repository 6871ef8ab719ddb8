"""The hyperparameters of the update rules: what each may be, and how the kernels are given it.

Here as tables, so that a rule checks the same whether it is made, changed, loaded or used as a function. The ranges are
those of torch.optim where torch has the rule. Tested in tests/test_optim.py.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from .options import as_number
from .reference.update import FAMILIES, plan, states_of

__all__ = ["as_average", "as_choice", "as_clip", "as_flag", "as_share", "checked", "kept", "settings_of", "starts_of"]


def as_flag(value, name):
    """Return a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def as_choice(value, name, *choices):
    """Return one of some words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return value


def as_share(value, name):
    """Return a float from 0 to 1."""
    number = as_number(value, name, at_least=0.0)
    if number > 1:
        raise ValueError(f"{name} must be at least 0 and at most 1, not {number}")
    return number


def _as_pair(value, name):
    if isinstance(value, (tuple, list, np.ndarray)) and len(value) == 2:
        return value
    raise TypeError(f"{name} must be a pair of numbers, not {value!r}")


def _as_betas(value, name):
    first, second = _as_pair(value, name)
    return (as_number(first, f"{name}[0]", at_least=0.0, below=1.0),
            as_number(second, f"{name}[1]", at_least=0.0, below=1.0))


def _as_etas(value, name):
    minus, plus = _as_pair(value, name)
    return as_number(minus, f"{name}[0]", above=0.0, below=1.0), as_number(plus, f"{name}[1]", above=1.0)


def _as_step_sizes(value, name):
    smallest, largest = _as_pair(value, name)
    smallest = as_number(smallest, f"{name}[0]", at_least=0.0)
    return smallest, as_number(largest, f"{name}[1]", at_least=smallest)


_not_negative = partial(as_number, at_least=0.0)

RANGES: dict[str, Callable] = {
    "lr": _not_negative,
    "momentum": _not_negative,
    "dampening": partial(as_number, above=-math.inf),
    "weight_decay": _not_negative,
    "nesterov": as_flag,
    "lr_decay": _not_negative,
    "initial_accumulator_value": _not_negative,
    "eps": _not_negative,
    "eps_root": _not_negative,
    "rho": as_share,
    "alpha": _not_negative,
    "centered": as_flag,
    "compat": lambda value, name: as_choice(value, name, "torch", "paper"),
    "betas": _as_betas,
    "amsgrad": as_flag,
    "decoupled_weight_decay": as_flag,
    "momentum_decay": _not_negative,
    "etas": _as_etas,
    "step_sizes": _as_step_sizes,
    "lambd": _not_negative,
    "t0": _not_negative,
}

# What the kernels call it, where that is something else.
_INSIDE = {
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("smallest", "largest"),
    "decoupled_weight_decay": ("decoupled",),
    "compat": ("inside",),
}

# What the arrays are called that a rule keeps beside x, in its order; torch's names where it has the rule.
_KEPT = {
    "plain": (),
    "momentum": ("momentum_buffer",),
    "nesterov": ("momentum_buffer",),
    "adagrad": ("sum",),
    "adadelta": ("square_avg", "acc_delta"),
    "rmsprop": ("square_avg",),
    "rmsprop centred": ("square_avg", "grad_avg"),
    "rmsprop momentum": ("square_avg", "momentum_buffer"),
    "rmsprop centred momentum": ("square_avg", "grad_avg", "momentum_buffer"),
    "adam": ("exp_avg", "exp_avg_sq"),
    "amsgrad": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "nadam": ("exp_avg", "exp_avg_sq"),
    "radam early": ("exp_avg", "exp_avg_sq"),
    "adamax": ("exp_avg", "exp_inf"),
    "adabelief": ("exp_avg", "exp_avg_var"),
    "lion": ("exp_avg",),
    "rprop": ("prev", "step_size"),
}


def checked(options):
    """The hyperparameters of a group as numbers, pairs, flags and words in their ranges; a rate may be a schedule."""
    found = {name: value if name == "lr" and callable(value) else RANGES[name](value, name)
             for name, value in options.items()}
    if found.get("nesterov") and (found["momentum"] <= 0 or found["dampening"] != 0):
        raise ValueError("nesterov needs a momentum above 0 and a dampening of 0")
    return found


def _by_name(options):
    """Every number of a group, by the kernels' names; the rate is 0 where a schedule will say it."""
    found = {}
    for name, value in options.items():
        if name == "compat":
            value = value == "paper"
        elif callable(value):
            value = 0.0
        inside = _INSIDE.get(name, (name,))
        found.update(zip(inside, map(float, value if isinstance(value, tuple) else (value,)), strict=True))
    return found


def settings_of(family, options):
    """The settings of a group, as the kernels take them."""
    numbers = _by_name(options)
    return [numbers[name] for name in FAMILIES[family]]


def kept(family, options):
    """The names of the arrays that are kept beside each parameter of a group."""
    return _KEPT[plan(family, settings_of(family, options), 1).rule]


def starts_of(family, options):
    """What these arrays are full of at the start."""
    return states_of(family, _by_name(options))


def as_clip(clip):
    """Return the kind of clipping, or None, and what is clipped to."""
    if clip is None:
        return None, math.inf
    if not isinstance(clip, (tuple, list)) or len(clip) != 2:
        raise TypeError(f"clip must be a pair of 'value', 'norm' or 'global_norm' and a number, or None, not {clip!r}")
    return as_choice(clip[0], "clip[0]", "value", "norm", "global_norm"), as_number(clip[1], "clip[1]", above=0.0)


def as_average(average):
    """Return the kind of average, or None, and its decay."""
    if average is None or isinstance(average, str):
        return None if average is None else as_choice(average, "average", "polyak"), 0.0
    if not isinstance(average, (tuple, list)) or len(average) != 2 or average[0] != "ema":
        raise ValueError(f"average must be 'polyak', ('ema', decay) or None, not {average!r}")
    return "ema", as_number(average[1], "average[1]", at_least=0.0, below=1.0)
