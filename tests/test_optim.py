"""The update rules: one table, through which every rule runs on kernels and reference.

Here because thirteen rules with the same promises need one contract, not thirteen. It tests optim.py and moments.py;
long walks are in test_trajectories.py.
"""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from optim_contract import NAMES, QUADRATIC, SHAPES, WAYS, arrays_for, everything, make, on_both
from scalar_rules import CASES, RULES, gradient, name_of, start, trajectory

from steepest import optim

# One arithmetic.

@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_kernels_and_reference_agree_on_every_bit(case, way):
    rule, options = case

    def walk():
        shapes = [*SHAPES, *SHAPES]
        params = arrays_for(shapes)
        params[len(SHAPES):] = [array.astype(np.float32) for array in params[len(SHAPES):]]
        opt = make(rule, params, **options, **way)
        for t in range(1, 8):
            opt.step([g.astype(x.dtype) for g, x in zip(arrays_for(shapes, seed=t), params, strict=True)])
        return everything(opt)

    kernels, reference = on_both(walk)
    assert kernels == reference


@pytest.mark.parametrize("rule", NAMES)
def test_blocks_and_loops_end_where_arrays_do(rule):
    """Sizes about the pieces and blocks into which the kernels cut long arrays."""

    def walk():
        params = arrays_for([(511,), (513,), (2**16 - 1,), (2**16 + 9,)], np.float32)
        opt = make(rule, params, clip=("global_norm", 1.0), average="polyak")
        for t in (1, 2):
            opt.step(arrays_for([x.shape for x in params], np.float32, seed=t))
        return everything(opt)

    kernels, reference = on_both(walk)
    assert kernels == reference


@given(data=st.data())
@pytest.mark.parametrize("rule", NAMES)
def test_any_shapes_and_numbers_give_the_same_bits(rule, data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    shape = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
    shapes = data.draw(st.lists(shape, min_size=1, max_size=4))
    width = np.dtype(dtype).itemsize * 8
    numbers = st.floats(width=width) | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf])
    params = [data.draw(hnp.arrays(dtype, shape, elements=numbers)) for shape in shapes]
    steps = [[data.draw(hnp.arrays(dtype, shape, elements=numbers)) for shape in shapes] for _ in range(3)]
    way = data.draw(st.sampled_from([way for way in WAYS if "nan" not in way]))

    def walk():
        own = [x.copy() for x in params]
        opt = make(rule, own, **way)
        for grads in steps:
            opt.step(grads)
        return [np.where(np.isnan(array), 0.5, array).tobytes() + np.isnan(array).tobytes()
                for one in opt.state_dict(params=True)["state"] for array in one.values()]

    kernels, reference = on_both(walk)
    assert kernels == reference


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_one_array_steps_as_in_a_list_in_any_shape(backend, case):
    rule, options = case
    flat = np.array([start(i) for i in range(12)])
    alone, listed, cube = flat.copy(), flat.copy(), flat.reshape(3, 2, 2).copy()
    first, second, third = make(rule, alone, **options), make(rule, [listed], **options), make(rule, cube, **options)
    for t in range(1, 6):
        g = np.array([gradient(t, i) for i in range(12)])
        first.step(g)
        second.step([g])
        third.step(g.reshape(3, 2, 2))
    assert alone.tobytes() == listed.tobytes() == cube.tobytes()
    np.testing.assert_allclose(alone, trajectory(rule, options, 5, 12), rtol=1e-12)


# It descends.

@pytest.mark.parametrize("rule", NAMES)
def test_every_rule_finds_the_minimum_of_a_quadratic(backend, rule):
    lr, steps = QUADRATIC[rule]
    target, scales = np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.0, 2.0])
    x = np.zeros(3)
    opt = make(rule, x, lr=lr, **({"weight_decay": 0} if rule == "adamw" else {}))
    for _ in range(steps):
        opt.step(scales * (x - target))
    np.testing.assert_allclose(x, target, atol=0.02)


@pytest.mark.parametrize("rule", NAMES)
def test_maximize_finds_the_top_of_a_hill(backend, rule):
    lr, steps = QUADRATIC[rule]
    x = np.zeros(2)
    opt = make(rule, x, lr=lr, maximize=True, **({"weight_decay": 0} if rule == "adamw" else {}))
    for _ in range(steps):
        opt.step(np.array([1.0, -2.0]) - x)
    np.testing.assert_allclose(x, [1.0, -2.0], atol=0.02)


# Weight decay.

@pytest.mark.parametrize("rule", [rule for rule in NAMES if rule not in ("adamw", "lion", "rprop")])
def test_coupled_decay_is_a_larger_gradient(backend, rule):
    x, y = np.array([1.0, -2.0, 3.0]), np.array([1.0, -2.0, 3.0])
    decayed, plain = make(rule, x, weight_decay=0.25), make(rule, y)
    for t in range(1, 6):
        g = np.array([gradient(t, i) for i in range(3)])
        decayed.step(g)
        plain.step(g + 0.25 * y)
    assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("rule", ["adam", "adamw", "nadam", "radam", "adabelief", "lion"])
def test_decoupled_decay_shrinks_x_before_the_step(backend, rule):
    x, y = np.array([1.0, -2.0, 3.0]), np.array([1.0, -2.0, 3.0])
    decoupled = {} if rule in ("adamw", "lion") else {"decoupled_weight_decay": True}
    decayed, plain = make(rule, x, lr=0.25, weight_decay=0.5, **decoupled), make(rule, y, lr=0.25, weight_decay=0)
    for t in range(1, 6):
        g = np.array([gradient(t, i) for i in range(3)])
        decayed.step(g)
        y *= 1 - 0.25 * 0.5
        plain.step(g)
    assert x.tobytes() == y.tobytes()


# What is there.

def test_everything_is_listed_and_documented():
    for name in optim.__all__:
        doc = inspect.getdoc(getattr(optim, name))
        assert name == "Optimizer" or "Examples\n--------" in doc, name
        if name.startswith("step_") or name.lower() in RULES:
            assert "Raises\n------" in doc and "Parameters\n----------" in doc
            for parameter in inspect.signature(getattr(optim, name)).parameters:
                assert parameter in doc, (name, parameter)
        if name.lower() in RULES:
            assert "References\n----------" in doc, name
    assert set(optim.RULES) == set(RULES) == {name.lower() for name in optim.__all__} & set(RULES)
    assert {name for name in optim.__all__ if name.startswith("step_")} == {f"step_{rule}" for rule in RULES}
