"""Hyperparameters of update rules: names, defaults, ranges, and how they change.

Here because a rate of NaN is found a thousand steps too late. It tests hyperparameters.py and the groups.
"""

import inspect
import math

import numpy as np
import pytest
from optim_contract import CLASSES, NAMES, arrays_for, everything, on_both

from steepest import optim

SIGNATURES = {
    "sgd": "lr=0.001, momentum=0, dampening=0, weight_decay=0, nesterov=False, *",
    "adagrad": "lr=0.01, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, *",
    "adadelta": "lr=1.0, rho=0.9, eps=1e-06, weight_decay=0, *",
    "rmsprop": "lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0, momentum=0, centered=False, *, compat='torch'",
    "adam": "lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0, amsgrad=False, *, decoupled_weight_decay=False",
    "adamw": "lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False, *",
    "nadam": "lr=0.002, betas=(0.9, 0.999), eps=1e-08, weight_decay=0, momentum_decay=0.004, "
             "decoupled_weight_decay=False, *",
    "radam": "lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0, decoupled_weight_decay=False, *",
    "adamax": "lr=0.002, betas=(0.9, 0.999), eps=1e-08, weight_decay=0, *",
    "rprop": "lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-06, 50), *",
    "asgd": "lr=0.01, lambd=0.0001, alpha=0.75, t0=1000000.0, weight_decay=0, *",
    "adabelief": "lr=0.001, betas=(0.9, 0.999), eps=1e-16, weight_decay=0, eps_root=1e-16, "
                 "decoupled_weight_decay=False, *",
    "lion": "lr=0.0001, betas=(0.9, 0.99), weight_decay=0, *",
}


@pytest.mark.parametrize("rule", NAMES)
def test_names_defaults_and_order_are_those_of_torch(rule):
    ways = "maximize=False, clip=None, average=None, nan='propagate'".replace(
        *(("average=None, ", "") if rule == "asgd" else ("", "")))
    assert str(inspect.signature(CLASSES[rule])) == f"(params, {SIGNATURES[rule]}, {ways})"
    function = str(inspect.signature(getattr(optim, f"step_{rule}")))
    own = SIGNATURES[rule].replace("initial_accumulator_value=0, ", "")
    own = own.removeprefix("lr=0.01, ") if rule == "rprop" else own
    assert function == f"(x, grad, state, {own}, maximize=False, clip=None)"


PAIRS = {"betas": [(-0.1, 0.9), (1.0, 0.9), (0.9, 1.0), (0.9, -1), (math.nan, 0.9)],
         "etas": [(0.0, 1.2), (1.0, 1.2), (0.5, 1.0), (-1, 2), (0.5, math.inf)],
         "step_sizes": [(-1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.nan)]}
RANGES = {"rho": [-0.1, 1.1, math.nan], "dampening": [math.nan, math.inf, -math.inf]}
FLAGS = {"nesterov", "centered", "amsgrad", "decoupled_weight_decay", "maximize"}


def bad_values(name):
    """Values that a hyperparameter cannot have, and the error."""
    if name in FLAGS:
        return [(value, TypeError) for value in (None, "yes", 0.5, 2)]
    if name in PAIRS:
        return [*((value, ValueError) for value in PAIRS[name]),
                *((value, TypeError) for value in (0.9, None, (0.9,), (0.1, 0.2, 0.3), "ab", ("a", "b"), {1, 2}))]
    if name in ("compat", "nan"):
        return [(value, ValueError) for value in ("keras", None, 0, True)]
    if name == "clip":
        return [(("norm", 0.0), ValueError), (("norm", -1), ValueError), (("norm", math.nan), ValueError),
                (("norm", math.inf), ValueError), (("l2", 1.0), ValueError), (5.0, TypeError), ("norm", TypeError),
                (("norm",), TypeError), (("norm", "a"), TypeError), ((None, 1.0), ValueError)]
    if name == "average":
        return [("mean", ValueError), (("ema", 1.0), ValueError), (("ema", -0.1), ValueError), (("ema",), ValueError),
                (("ema", None), TypeError), (0.9, ValueError), (("polyak", 1), ValueError)]
    numbers = RANGES.get(name, [-1e-300, -1, math.nan, math.inf, -math.inf, 10**400])
    return [*((value, ValueError) for value in numbers), *((value, TypeError) for value in ("1", None, [1.0, 2.0], 1j))]


@pytest.mark.parametrize("rule", NAMES)
def test_hyperparameters_out_of_range_are_refused_by_name(rule):
    x = np.ones(2)
    for name in list(inspect.signature(CLASSES[rule]).parameters)[1:]:
        for value, kind in bad_values(name):
            with pytest.raises(kind, match=name):
                CLASSES[rule](x, **{name: value})
            if name in ("maximize", "clip", "average", "nan"):
                continue
            with pytest.raises(kind, match=rf"in group 1: .*{name}"):
                CLASSES[rule]([{"params": x}, {"params": np.ones(2), name: value}])
            opt = CLASSES[rule](x)
            with pytest.raises((kind, ValueError), match=name):
                opt.groups[0][name] = value
            assert repr(opt) == repr(CLASSES[rule](x))


@pytest.mark.parametrize("rule", NAMES)
def test_ends_of_ranges_are_inside(backend, rule):
    ends = {"lr": 0.0, "betas": (0.0, 0.0), "eps": 0.0, "rho": 1.0, "alpha": 0.0, "t0": 0, "lambd": 0, "eps_root": 0.0}
    for name in set(ends) & set(inspect.signature(CLASSES[rule]).parameters):
        x = np.ones(2)
        opt = CLASSES[rule](x, **{name: ends[name]})
        opt.step(np.ones(2))
        assert opt.groups[0][name] == ends[name]


@pytest.mark.parametrize("size", [1e300, 5e-324, 1e-30, 3.0])
@pytest.mark.parametrize("rule", NAMES)
def test_numbers_far_away_mean_the_same_on_both_sides(rule, size):
    signature = inspect.signature(CLASSES[rule]).parameters
    for name, parameter in list(signature.items())[1:]:
        if type(parameter.default) not in (int, float) or (name == "rho" and size > 1):
            continue

        def walk(name=name):
            params = arrays_for([(4,), (3,)])
            params[1] = params[1].astype(np.float32)
            opt = CLASSES[rule](params, **{name: size})
            for t in range(4):
                opt.step([np.full(x.shape, t - 1, x.dtype) for x in params])
            return [np.nan_to_num(array).tobytes() for one in opt.state_dict(params=True)["state"]
                    for array in one.values()]

        kernels, reference = on_both(walk)
        assert kernels == reference, name


def test_nesterov_needs_momentum_and_no_dampening():
    for options in ({}, {"momentum": 0.9, "dampening": 0.1}, {"momentum": 0.0}):
        with pytest.raises(ValueError, match="nesterov needs a momentum above 0 and a dampening of 0"):
            optim.SGD(np.ones(2), nesterov=True, **options)
    opt = optim.SGD(np.ones(2), momentum=0.9, nesterov=True)
    with pytest.raises(ValueError, match="nesterov"):
        opt.groups[0]["dampening"] = 0.5
    assert opt.groups[0]["dampening"] == 0


def test_changes_of_a_group_take_effect_at_the_next_step(backend):
    x, y = np.ones(2), np.ones(2)
    opt, other = optim.Adam(x), optim.Adam(y, lr=0.5, betas=(0.5, 0.75), eps=1e-3, weight_decay=0.25,
                                           decoupled_weight_decay=True)
    for name, value in other.groups[0].items():
        if name != "params":
            opt.groups[0][name] = value
    assert repr(opt) == repr(other)
    for _ in range(3):
        opt.step(np.ones(2))
        other.step(np.ones(2))
    assert x.tobytes() == y.tobytes()


def test_a_change_that_needs_other_arrays_is_refused(backend):
    for made, name, value in ((optim.SGD(np.ones(2)), "momentum", 0.9), (optim.Adam(np.ones(2)), "amsgrad", True),
                              (optim.SGD(np.ones(2), momentum=0.9), "momentum", 0.0),
                              (optim.RMSprop(np.ones(2)), "centered", True),
                              (optim.RMSprop(np.ones(2), momentum=0.5), "momentum", 0),
                              (optim.Rprop(np.ones(2)), "lr", 0.5), (optim.Adagrad(np.ones(2)), "params", []),
                              (optim.Adagrad(np.ones(2)), "initial_accumulator_value", 1.0)):
        before = everything(made)
        with pytest.raises(ValueError, match=f"{name} cannot be changed"):
            made.groups[0][name] = value
        assert everything(made) == before
        made.step(np.ones(2))
    opt = optim.SGD(np.ones(2), momentum=0.9)
    opt.groups[0]["nesterov"] = True    # keeps the same
    opt.step(np.ones(2))
    with pytest.raises(ValueError, match="'rate'"):
        opt.groups[0]["rate"] = 1.0
    with pytest.raises(KeyError):
        opt.groups[0]["rate"]
    with pytest.raises(ValueError, match="schedule"):
        optim.Rprop(np.ones(2), lr=lambda t: 0.1)


def test_a_group_is_a_mapping_that_prints():
    group = optim.SGD([np.ones(2), np.ones((3, 4))], lr=0.5).groups[0]
    assert list(group) == ["params", "lr", "momentum", "dampening", "weight_decay", "nesterov"] and len(group) == 6
    assert "(2,), (3, 4)" in repr(group) and "lr=0.5" in repr(group) and "params" in group
    assert {**group}["nesterov"] is False
