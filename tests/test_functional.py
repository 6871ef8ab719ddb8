"""Update rules as functions of an array and a state.

Here because they promise the arithmetic of the classes. It tests functional.py and ``state_for``.
"""

import copy

import numpy as np
import pytest
from optim_contract import make
from scalar_rules import CASES, gradient, name_of, start

from steepest import optim


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_function_of_a_rule_is_its_class(backend, case):
    rule, options = case
    for dtype in (np.float32, np.float64):
        x, y = (np.array([start(i) for i in range(9)], dtype) for _ in range(2))
        opt, state = make(rule, x, clip=("norm", 1.0), maximize=True, **options), optim.state_for(rule, y, **options)
        given = {name: value for name, value in options.items()
                 if name != "initial_accumulator_value" and (rule, name) != ("rprop", "lr")}
        for t in range(1, 8):
            g = np.array([gradient(t, i) for i in range(9)], dtype)
            opt.step(g)
            getattr(optim, f"step_{rule}")(y, g, state, **given, clip=("norm", 1.0), maximize=True)
        assert x.tobytes() == y.tobytes() and state["t"] == 7
        kept = opt.state_dict()["state"][0]
        assert {name: value.tobytes() for name, value in kept.items()} == {
            name: value.tobytes() for name, value in state.items() if isinstance(value, np.ndarray)}


def test_a_state_is_plain_and_can_be_kept_and_copied(backend):
    x = np.array([1.0, -2.0])
    state = optim.state_for("nadam", x)
    assert {name: type(value) for name, value in state.items()} == {
        "t": int, "exp_avg": np.ndarray, "exp_avg_sq": np.ndarray, "mu_product": float}
    for _ in range(3):
        optim.step_nadam(x, 2 * x, state)
    y, later = x.copy(), copy.deepcopy(state)
    optim.step_nadam(x, 2 * x, state)
    optim.step_nadam(y, 2 * y, later)
    assert x.tobytes() == y.tobytes() and state["mu_product"] == later["mu_product"]


def test_functions_step_any_layout(backend):
    grid = np.arange(12.0).reshape(3, 4)
    x = grid[:, 1]
    state = optim.state_for("sgd", x, momentum=0.5)
    optim.step_sgd(x, [1.0, 2.0, 4.0], state, lr=1.0, momentum=0.5)
    assert grid[:, 1].tolist() == [0.0, 3.0, 5.0] and grid[:, 0].tolist() == [0.0, 4.0, 8.0]
    big = np.ones(2, ">f4")
    optim.step_lion(big, np.ones(2, np.float32), optim.state_for("lion", big), lr=0.5)
    assert big.tolist() == [0.5, 0.5] and big.dtype == ">f4"


def test_functions_refuse_bad_arguments_and_change_nothing(backend):
    x = np.ones(3)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    state = optim.state_for("adam", x)
    other = {"m": np.zeros(3)}
    bad = [
        ((frozen, np.ones(3), state), {}, ValueError, "x must be writeable"),
        ((x, np.ones(2), state), {}, ValueError, "grad"),
        ((x, x, state), {}, ValueError, "grad must not overlap"), (([1.0], [1.0], state), {}, TypeError, "x must be"),
        ((x, np.ones(3), state), {"lr": -1}, ValueError, "lr"), ((x, np.ones(3), None), {}, TypeError, "state"),
        ((x, np.ones(3), other), {}, ValueError, "state must have"), ((x, np.ones(3), {}), {}, ValueError, "state_for"),
        ((x, np.ones(3), state), {"amsgrad": True}, ValueError, "max_exp_avg_sq"),
        ((x, np.ones(3), state), {"lr": lambda t: 1.0}, TypeError, "lr"),
        ((x, np.ones(3), state), {"average": "polyak"}, TypeError, "average"),
        ((x, np.ones(3), state), {"clip": 3.0}, TypeError, "clip"), ((x, np.ones(3)), {}, TypeError, "state"),
        ((x, np.ones(3), {**state, "t": -1}), {}, ValueError, "t in state"),
        ((x, np.ones(3), {**state, "t": 2.5}), {}, TypeError, "t in state"),
        ((x, np.ones(3), {**state, "t": 2**60}), {}, ValueError, "t in state"),
        ((x, np.ones(3), {**state, "exp_avg": np.zeros(4)}), {}, ValueError, "exp_avg in state"),
        ((x, np.ones(3), {**state, "exp_avg": np.zeros(3, np.float32)}), {}, ValueError, "exp_avg in state"),
        ((x, np.ones(3), {**state, "exp_avg": [0.0] * 3}), {}, ValueError, "exp_avg in state"),
        ((x, np.ones(3), {**state, "exp_avg": frozen}), {}, ValueError, "exp_avg in state"),
        ((x, np.ones(3), {**state, "exp_avg": x}), {}, ValueError, "must not overlap"),
        ((x, np.ones(3), {**state, "exp_avg": state["exp_avg_sq"]}), {}, ValueError, "must not overlap"),
        ((x, state["exp_avg"], state), {}, ValueError, "grad must not overlap the state"),
    ]
    for args, options, kind, message in bad:
        with pytest.raises(kind, match=message):
            optim.step_adam(*args, **options)
        assert x.tolist() == [1.0] * 3 and state["t"] == 0 and not state["exp_avg"].any()
    nadam = optim.state_for("nadam", x)
    with pytest.raises(ValueError, match="mu_product"):
        optim.step_nadam(x, np.ones(3), {**nadam, "mu_product": 2.0})
    for args, options, kind, message in [(("adamm", x), {}, ValueError, "rule"), ((None, x), {}, ValueError, "rule"),
                                         (("adam", [1.0]), {}, TypeError, "x must be"),
                                         (("adam", x), {"momentum": 0.9}, ValueError, "momentum"),
                                         (("adam", x), {"lr": -1.0}, ValueError, "lr")]:
        with pytest.raises(kind, match=message):
            optim.state_for(*args, **options)
