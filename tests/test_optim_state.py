"""States of optimizers: stopped at k, kept as a dict or in a file, and gone on from bit for bit.

Here because a run that cannot be resumed was not made. It tests the states of optimizer.py; files as such are in
test_checkpoint.py.
"""

import copy
import math

import numpy as np
import pytest
from optim_contract import CLASSES, NAMES, WAYS, arrays_for, everything, make, on_both
from scalar_rules import CASES, name_of

import steepest as sd
from steepest import optim

MIXED = [(3,), (2, 2), (), (0,)]


def params_of(seed=0):
    """Of both types, in all layouts."""
    params = arrays_for(MIXED, seed=seed)
    params[1] = params[1].astype(np.float32)
    return [*params, np.arange(6.0)[::2], np.ones(2, ">f8")]


def walk(opt, first, last):
    for t in range(first, last):
        shapes = [x.shape for group in opt.groups for x in group["params"]]
        types = [x.dtype.newbyteorder("=") for group in opt.groups for x in group["params"]]
        opt.step([g.astype(dtype) for g, dtype in zip(arrays_for(shapes, seed=t), types, strict=True)])


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_run_goes_on_bit_for_bit_from_its_state(backend, case, tmp_path):
    rule, options = case
    for way in WAYS:
        straight = make(rule, params_of(), **options, **way)
        walk(straight, 0, 4)
        state = straight.state_dict(params=True)
        straight.save(tmp_path / "state.npz")
        walk(straight, 4, 9)
        for load, source in (("load_state_dict", state), ("load", tmp_path / "state.npz")):
            again = make(rule, params_of(seed=3), **options, **way)
            walk(again, 20, 22)
            getattr(again, load)(source)
            assert again.t == 4
            walk(again, 4, 9)
            assert everything(again) == everything(straight)


@pytest.mark.parametrize("rule", NAMES)
def test_a_state_of_the_kernels_is_one_of_the_reference(rule):
    def run():
        opt = make(rule, params_of(), average="polyak")
        walk(opt, 0, 4)
        return opt

    kernels, reference = on_both(run)
    state, other = kernels.state_dict(params=True), reference.state_dict(params=True)
    reference.load_state_dict(state)
    kernels.load_state_dict(other)
    walk(kernels, 4, 8)
    walk(reference, 4, 8)
    assert everything(kernels) == everything(reference)


def test_a_state_is_plain_and_a_copy(backend):
    x = np.array([1.0, -2.0])
    opt = optim.NAdam([{"params": x, "lr": lambda t: 0.1}], clip=("norm", 1.0), average=("ema", 0.5))
    opt.step([x * 2])
    state = opt.state_dict()

    def plain(thing):
        if isinstance(thing, dict):
            return all(type(name) is str and plain(value) for name, value in thing.items())
        if isinstance(thing, list):
            return all(map(plain, thing))
        return thing is None or type(thing) in (int, float, str, bool, np.ndarray)

    assert plain(state)
    assert state["groups"][0]["lr"] is None and state["rule"] == "NAdam" and state["t"] == 1
    assert list(state["state"][0]) == ["exp_avg", "exp_avg_sq", "average"] and state["clip"] == ["norm", 1.0]
    before = everything(opt)
    for array in state["state"][0].values():
        array[:] = 7.0
    state["clip"][1] = state["groups"][0]["betas"][0] = 0.25
    assert everything(opt) == before


def test_parameters_are_in_a_state_when_asked_for_and_in_a_file_unless_not(backend, tmp_path):
    x = np.array([1.0, 2.0])
    opt = optim.SGD(x)
    assert opt.state_dict()["state"] == [{}]
    assert opt.state_dict(params=True)["state"][0]["param"].tolist() == [1.0, 2.0]
    opt.save(tmp_path / "with")
    opt.save(tmp_path / "without", params=False)
    x[:] = 5.0
    opt.load(tmp_path / "without")
    assert x.tolist() == [5.0, 5.0]
    opt.load(tmp_path / "with")
    assert x.tolist() == [1.0, 2.0]


def test_hyperparameters_become_those_of_the_state(backend):
    made = optim.Adam(np.ones(2), lr=0.5, betas=(0.5, 0.75), eps=1e-3, weight_decay=0.25)
    other = optim.Adam(np.ones(2))
    other.load_state_dict(made.state_dict())
    assert repr(other) == repr(made) and other.groups[0]["betas"] == (0.5, 0.75)


def test_a_schedule_is_the_loaders_own(backend):
    x, y = np.zeros(1), np.zeros(1)
    schedule = sd.schedules.cosine(1.0, 10)
    opt, other = optim.SGD(x, lr=schedule), optim.SGD(y, lr=schedule)
    for _ in range(8):
        opt.step(np.ones(1))
        if opt.t == 4:
            other.load_state_dict(opt.state_dict(params=True))
    for _ in range(4):
        other.step(np.ones(1))
    assert x.tobytes() == y.tobytes()
    for first, second, word in ((optim.SGD(x, lr=schedule), optim.SGD(y), "a schedule"),
                                (optim.SGD(x), optim.SGD(y, lr=schedule), "a number")):
        with pytest.raises(ValueError, match=f"lr of group 0 was {word}"):
            second.load_state_dict(first.state_dict())


def test_states_that_are_not_finite_go_on_too(backend):
    x, y = np.ones(3), np.ones(3)
    opt, other = optim.Adam(x), optim.Adam(y)
    opt.step(np.array([1.0, math.nan, math.inf]))
    other.load_state_dict(opt.state_dict(params=True))
    opt.step(np.ones(3))
    other.step(np.ones(3))
    assert x.tobytes() == y.tobytes()


# What is refused, by (where it stands, what stands there, the error, what it says).

GONE = object()
BAD_STATES = [
    (["format"], "torch", ValueError, "format"), (["format"], GONE, ValueError, "format"),
    (["version"], 2, ValueError, "version must be 1 for this steepest, not 2"),
    (["version"], "1", ValueError, "version"),
    (["version"], True, ValueError, "version"), (["version"], GONE, ValueError, "version"),
    (["rule"], "AdamW", ValueError, "rule must be 'Adam'"), (["rule"], None, ValueError, "rule"),
    (["more"], 1, ValueError, "state must not have 'more'"), (["t"], GONE, ValueError, "state must have 't'"),
    (["t"], -1, ValueError, "t must"), (["t"], 1.5, TypeError, "t must"), (["t"], None, TypeError, "t must"),
    (["t"], 2**53 + 1, ValueError, "t must"), (["t"], True, ValueError, "t must"),
    (["maximize"], True, ValueError, "maximize"), (["maximize"], 0, ValueError, "maximize"),
    (["clip"], None, ValueError, "clip must be"), (["clip"], ["norm", 2.0], ValueError, "clip"),
    (["clip"], [np.ones(2), 1.0], ValueError, "clip"), (["average"], "polyak", ValueError, "average"),
    (["nan"], "raise", ValueError, "nan"), (["groups"], None, ValueError, "groups"),
    (["groups"], [], ValueError, "groups must be a list of 2"),
    (["groups"], {}, ValueError, "groups"), (["groups", 0], None, TypeError, "group 0"),
    (["groups", 1, "lr"], -1.0, ValueError, "in group 1: lr"), (["groups", 1, "lr"], math.nan, ValueError, "lr"),
    (["groups", 1, "lr"], None, ValueError, "lr of group 1"), (["groups", 1, "lr"], abs, TypeError, "lr of group 1"),
    (["groups", 1, "betas"], [0.9, 1.0], ValueError, r"betas\[1\]"), (["groups", 1, "betas"], 0.9, TypeError, "betas"),
    (["groups", 1, "amsgrad"], True, ValueError, "group 1 must keep exp_avg, exp_avg_sq, as this Adam does"),
    (["groups", 1, "amsgrad"], 1, TypeError, "amsgrad"),
    (["groups", 1, "eps"], GONE, ValueError, "group 1 must have 'eps'"),
    (["groups", 1, "mu_product"], 1.0, ValueError, "group 1 must not have"),
    (["groups", 0, "params"], [1], ValueError, "group 0 must have the params"),
    (["groups", 0, "params"], np.arange(3), ValueError, "group 0 must have the params"),
    (["state"], GONE, ValueError, "state must be a list of 3"), (["state"], [], ValueError, "state must be a list"),
    (["state"], {}, ValueError, "state must be a list"), (["state", 1], [], TypeError, r"state\[1\] must be a dict"),
    (["state", 1, "exp_avg"], GONE, ValueError, r"state\[1\] must have 'exp_avg'"),
    (["state", 1, "param"], np.ones(2), ValueError, r"state\[1\] must not have 'param'"),
    (["state", 2, "exp_avg"], np.zeros(3, np.float32), ValueError, "shape of its parameter"),
    (["state", 2, "exp_avg"], np.zeros((2, 2)), TypeError, r"state\[2\]\['exp_avg'\] must be an array of float32"),
    (["state", 2, "exp_avg"], [[0.0, 0.0]], TypeError, "must be an array of float32"),
    (["state", 2, "exp_avg"], np.zeros((2, 2), object), TypeError, "must be an array of float32"),
    (["state", 2, "exp_avg"], None, TypeError, "must be an array"),
]


def adam():
    """An optimizer that has taken steps."""
    x = arrays_for([(2,), (3,), (2, 2)])
    x[2] = x[2].astype(np.float32)
    opt = optim.Adam([{"params": x[:2]}, {"params": x[2], "lr": 0.5}], clip=("norm", 1.0))
    walk(opt, 0, 3)
    return opt


@pytest.mark.parametrize(("path", "value", "kind", "message"), BAD_STATES, ids=range(len(BAD_STATES)))
def test_a_state_that_does_not_suit_is_refused_and_nothing_changes(backend, path, value, kind, message):
    opt = adam()
    state = copy.deepcopy(opt.state_dict())
    walk(opt, 3, 5)
    before = everything(opt)
    place = state
    for key in path[:-1]:
        place = place[key]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(kind, match=message):
        opt.load_state_dict(state)
    assert everything(opt) == before


@pytest.mark.parametrize("state", [None, [], "abc", 5, np.ones(3), {}, {"format": "steepest.optim"}], ids=range(7))
def test_what_is_no_state_is_refused(backend, state):
    opt = adam()
    before = everything(opt)
    with pytest.raises((TypeError, ValueError)):
        opt.load_state_dict(state)
    assert everything(opt) == before


@pytest.mark.parametrize("rule", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_the_state_of_another_rule_is_refused(rule, other, tmp_path):
    first, second = make(rule, [np.ones(2)]), make(other, [np.ones(2)])
    first.save(tmp_path / "state")
    if rule == other:
        second.load_state_dict(first.state_dict())
        second.load(tmp_path / "state")
        return
    with pytest.raises(ValueError, match=f"rule must be '{CLASSES[other].__name__}'"):
        second.load_state_dict(first.state_dict())
    with pytest.raises(sd.CheckpointError, match=f"rule must be '{CLASSES[other].__name__}'"):
        second.load(tmp_path / "state")


def test_other_shapes_types_groups_and_ways_are_refused(backend, tmp_path):
    opt = optim.Adam([np.ones(2), np.ones(3)])
    opt.save(tmp_path / "state")
    x, y = np.ones(2), np.ones(3)
    for other in (optim.Adam([x, np.ones(4)]), optim.Adam([x, y.astype(np.float32)]), optim.Adam([x]), optim.Adam(y),
                  optim.Adam([x, y, np.ones(1)]), optim.Adam([{"params": x}, {"params": y}]),
                  optim.Adam([x, y], amsgrad=True), optim.Adam([x, y], maximize=True),
                  optim.Adam([x, y], average="polyak"), optim.Adam([y, x]), optim.Adam([x, y.reshape(3, 1)])):
        before = everything(other)
        with pytest.raises((TypeError, ValueError)):
            other.load_state_dict(opt.state_dict())
        with pytest.raises(sd.CheckpointError, match="not a checkpoint that can be loaded here"):
            other.load(tmp_path / "state")
        assert everything(other) == before


def test_a_read_only_parameter_is_not_put_back_and_nothing_else_is(backend):
    x = np.ones(4)[::2]
    opt = optim.Adam([np.ones(2), x])
    state = opt.state_dict(params=True)
    walk(opt, 0, 2)
    x.flags.writeable = False
    before = everything(opt)
    with pytest.raises(ValueError, match=r"params\[1\] must be writeable"):
        opt.load_state_dict(state)
    assert everything(opt) == before


def test_a_file_is_the_same_for_the_same_state_and_numpy_reads_it(tmp_path):
    for name in ("first", "second"):
        opt = adam()
        opt.save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with np.load(tmp_path / "first", allow_pickle=False) as file:
        assert sorted(file) == sorted(["head", "checksum", *(f"{name}.{i}" for i in range(3)
                                                            for name in ("param", "exp_avg", "exp_avg_sq"))])
        np.testing.assert_array_equal(file["exp_avg.1"], opt.state_dict()["state"][1]["exp_avg"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
