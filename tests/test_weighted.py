"""Weighted sums and Fornberg's recursion: kernels equal their reference bit for bit, and refuse what they cannot read.

Here because every derivative of a field is made of them. Tests kernels/weighted.pyx, kernels/weighted.pxi and
reference/weighted.py; the rules are tested in test_grid_rules.py, the derivatives in test_grid_diff.py.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import same_bits

from steepest import threads
from steepest.grid_rules import axis_rule
from steepest.kernels import weighted as kernel
from steepest.kernels.isa import INSTRUCTION_SETS, instruction_set
from steepest.reference import weighted as reference

SIDES = (kernel, reference)
DTYPES = ["f", "d", "F", "D"]
BOUNDARIES = ["one-sided", "periodic", "symmetric", "antisymmetric", "nearest", ("antisymmetric", "one-sided")]
HARD = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e30, -1e-30, 1.0]


def field(shape, dtype, seed=0, hard=False):
    """Numbers, some of them hard ones when asked for."""
    source = np.random.default_rng(seed)
    f = source.normal(size=(*shape, 2))
    if hard:
        f = np.where(source.random(f.shape) < 0.05, source.choice(HARD, f.shape), f)
    return (f.view(complex)[..., 0] if np.dtype(dtype).kind == "c" else f[..., 0]).astype(dtype)


def laid_out(f, layout):
    """The same numbers, elsewhere in memory."""
    if layout == "F":
        return np.asfortranarray(f)
    if layout == "strided":
        big = np.zeros([2 * n + 1 for n in f.shape], f.dtype)
        view = big[tuple(slice(1, 2 * n + 1, 2) for n in f.shape)]
    elif layout == "reversed":
        view = np.zeros(f.shape, f.dtype)[tuple(slice(None, None, -1) for _ in f.shape)]
    elif layout == "gaps":
        view = np.zeros((*f.shape[:-1], f.shape[-1] + 3), f.dtype)[..., : f.shape[-1]]
    elif layout == "swapped":
        view = np.moveaxis(np.zeros(np.roll(f.shape, 1), f.dtype), 0, -1)
    else:
        return f.copy()
    view[...] = f
    return view


LAYOUTS = ["C", "F", "strided", "reversed", "gaps", "swapped"]


def both(rule, f, axis, f_layout="C", out_layout="C", **options):
    """What kernel and reference make of a field."""
    plan = rule.plan(f.real.dtype)
    found = []
    for module in SIDES:
        out = laid_out(np.full(f.shape, 7.5, f.dtype), out_layout)
        module.WeightedSums(plan).apply(laid_out(f, f_layout), out, axis, **options)
        found.append(out)
    return found


def bent(points, seed=1):
    """Coordinates that are not evenly spaced."""
    return np.cumsum(np.random.default_rng(seed).uniform(0.5, 2, size=points))


def rules_for(points, axis):
    """Every form of rule that so many points allow."""
    for boundary in BOUNDARIES:
        for options in ({"n": 1}, {"n": 2}, {"n": 1, "order": 4}, {"n": 2, "order": 6}, {"n": 1, "order": 10},
                        {"n": 3, "order": 2, "edge_order": 1}, {"order": 1, "direction": "forward"},
                        {"order": 3, "n": 2, "direction": "backward"}):
            need = options.get("n", 1) + options.get("edge_order", options.get("order", 2))
            if "one-sided" in boundary and points < need:
                continue
            yield axis_rule(points, 0.75, boundary=boundary, axis=axis, **options)
            if boundary == "periodic":
                yield axis_rule(points, bent(points), boundary=boundary, period=2.5 * points, axis=axis, **options)
            elif points > 1:
                yield axis_rule(points, bent(points), boundary=boundary, axis=axis, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (64,), (131,), (300,), (9, 4), (3, 150), (150, 3), (12, 70),
                                   (3, 11, 5), (2, 13, 67), (0, 5), (5, 0), (2, 3, 2, 6)])
def test_sums_have_the_same_bits_on_both_sides_along_every_axis(shape, dtype):
    f = field(shape, dtype, hard=True)
    for axis in range(len(shape)):
        if shape[axis] == 0:
            continue
        for rule in rules_for(shape[axis], axis):
            ours, theirs = both(rule, f, axis)
            assert same_bits(ours, theirs), (axis, rule.n, rule.order, rule.boundary, rule.direction, rule.uniform)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f_layout", LAYOUTS)
@pytest.mark.parametrize("out_layout", LAYOUTS)
def test_sums_have_the_same_bits_in_every_layout(f_layout, out_layout, dtype):
    for shape in ((150,), (6, 40), (5, 6, 7), (3, 70, 2)):
        f = field(shape, dtype)
        for axis in range(len(shape)):
            for spacing in (0.5, bent(shape[axis])):
                for options in ({"order": 2}, {"order": 2, "n": 2}):
                    rule = axis_rule(shape[axis], spacing, boundary="symmetric", **options)
                    ours, theirs = both(rule, f, axis, f_layout, out_layout)
                    assert same_bits(ours, theirs)


@pytest.mark.parametrize("spacing", ["step", "coordinates"])
@pytest.mark.parametrize(("shape", "axis"), [((9, 70_000), 0), ((70_000, 9), 0), ((3, 40_000), 1), ((300_000,), 0),
                                             ((40, 6, 1000), 1), ((2000, 4, 40), 1), ((50_000, 4), 1)])
def test_what_is_cut_into_pieces_has_the_bits_of_the_whole(shape, axis, spacing):
    f = field(shape, "d")
    rule = axis_rule(shape[axis], 0.5 if spacing == "step" else bent(shape[axis]))
    ours, theirs = both(rule, f, axis)
    assert same_bits(ours, theirs)


@given(data=st.data())
def test_any_rule_on_any_field_has_the_same_bits(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    points = shape[axis]
    boundary = data.draw(st.sampled_from(BOUNDARIES[1:5]) if points < 8 else st.sampled_from(BOUNDARIES))
    n, order = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([2, 4]))
    even = data.draw(st.booleans()) or points == 1
    rule = axis_rule(points, 1.5 if even else bent(points), n, order, boundary=boundary,
                     period=None if even or boundary != "periodic" else 3.0 * points)
    f = field(shape, data.draw(st.sampled_from(DTYPES)), data.draw(st.integers(0, 99)), hard=True)
    ours, theirs = both(rule, f, axis, data.draw(st.sampled_from(LAYOUTS)), data.draw(st.sampled_from(LAYOUTS)))
    assert same_bits(ours, theirs)


BITS = """
import hashlib
import numpy as np
from steepest.grid_rules import axis_rule
from steepest.kernels import weighted
digest = hashlib.sha256()
for dtype in "fd":
    for shape, axis in (((1003,), 0), ((40, 130), 0), ((40, 130), 1), ((7, 9, 5), 1), ((200, 4), 1)):
        f, points = np.random.default_rng(3).normal(size=shape).astype(dtype), shape[axis]
        for n, order in ((1, 2), (2, 2), (1, 4), (2, 4), (1, 6), (2, 8), (1, 12)):
            for spacing in (0.7, np.cumsum(1 + np.random.default_rng(1).random(points))):
                out = np.empty_like(f)
                rule = axis_rule(points, spacing, n, order, boundary="nearest")
                weighted.WeightedSums(rule.plan(dtype)).apply(f, out, axis)
                digest.update(out.tobytes())
                digest.update(rule.weights.tobytes())
print(digest.hexdigest())
"""


def test_every_instruction_set_has_the_same_bits():
    widest = INSTRUCTION_SETS.index(instruction_set())
    found = set()
    for name in INSTRUCTION_SETS[: widest + 1]:
        run = subprocess.run([sys.executable, "-c", BITS], capture_output=True, text=True, timeout=120, check=True,
                             env=os.environ | {"STEEPEST_ISA": name})
        found.add(run.stdout)
    assert len(found) == 1


@pytest.mark.parametrize(("shape", "axis"), [((700, 700), 0), ((700, 700), 1), ((500_000,), 0), ((100, 70, 70), 1),
                                             ((200_000, 4), 1)])
def test_threads_give_the_bits_of_one(shape, axis, monkeypatch):
    monkeypatch.setattr(threads, "PAYS", 0)
    f = field(shape, "d")
    rule = axis_rule(shape[axis], order=4, boundary="periodic")
    alone, together = np.empty_like(f), np.empty_like(f)
    sums = kernel.WeightedSums(rule.plan())
    sums.apply(f, alone, axis)
    sums.apply(f, together, axis, threads.share, 3)
    assert same_bits(alone, together)


def test_what_is_interrupted_leaves_no_thread_at_work():
    def interrupted(part, first, last, halts):
        part(0, first, first + 1)
        raise KeyboardInterrupt

    f = field((1000, 1000), "d")
    out = np.zeros_like(f)
    with pytest.raises(KeyboardInterrupt):
        kernel.WeightedSums(axis_rule(1000).plan()).apply(f, out, 0, interrupted, 2)
    assert (out[0] != 0).all()
    assert (out[-1] == 0).all()


# what is refused

def test_fields_that_a_kernel_cannot_read_are_refused_before_anything_is_written():
    rule = axis_rule(4)
    good, frozen = np.ones((3, 4)), np.ones((3, 4))
    frozen.flags.writeable = False
    packed = np.ones((3, 4), np.dtype([("a", "d"), ("b", "i4")]))["a"]
    crooked = np.ones(12 * 8 + 1, "u1")[1:].view("d").reshape(3, 4)
    for f, out, axis in (
        (good, np.ones((3, 5)), 1), (good, np.ones((3, 4), "f"), 1), (good.astype("f"), np.ones((3, 4), "f"), 1),
        (good, np.ones((3, 4)), 0), (good, np.ones((3, 4)), 2), (good, np.ones((3, 4)), -1), (good, frozen, 1),
        (good.astype(">f8"), np.ones((3, 4), ">f8"), 1), (good.astype(int), np.ones((3, 4), int), 1),
        (packed, np.ones((3, 4)), 1), (good, packed, 1), (crooked, np.ones((3, 4)), 1),
    ):
        for module in SIDES:
            before = out.copy()
            with pytest.raises((TypeError, ValueError), match="must"):
                module.WeightedSums(rule.plan()).apply(f, out, axis)
            assert (out == before).all()
    with pytest.raises(TypeError):
        kernel.WeightedSums(rule.plan()).apply(None, good, 0)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernel.WeightedSums(rule.plan(np.longdouble))


def test_rules_that_name_nodes_that_are_not_there_are_refused():
    plan = axis_rule(12, order=4).plan()
    bent_plan = axis_rule(12, bent(12)).plan()
    wrong = [
        (plan, {"points": 11}), (plan, {"points": 13}), (plan, {"start": 1}), (plan, {"stop": 11}), (plan, {"form": 3}),
        (plan, {"offsets": plan.offsets * 3}), (plan, {"weights": plan.weights[:1]}), (plan, {"uniform": False}),
        (plan, {"edge_nodes": plan.edge_nodes + 1}), (plan, {"edge_nodes": plan.edge_nodes - 1}),
        (plan, {"edge_rows": plan.edge_rows[::-1] * 0}), (plan, {"edge_first": plan.edge_first[:-1]}),
        (plan, {"edge_first": plan.edge_first * 0}), (plan, {"edge_weights": plan.edge_weights[1:]}),
        (plan, {"edge_weights": plan.edge_weights.astype("f")}), (plan, {"edge_totals": plan.edge_totals[1:]}),
        (plan, {"weights": plan.weights.astype(">f8")}), (bent_plan, {"weights": bent_plan.weights[:, 1:]}),
        (bent_plan, {"weights": np.asfortranarray(bent_plan.weights)}), (bent_plan, {"form": reference.ODD}),
        (bent_plan, {"offsets": bent_plan.offsets + 1}), (bent_plan, {"offsets": bent_plan.offsets[:0]}),
    ]
    for good, change in wrong:
        for module in SIDES:
            with pytest.raises((TypeError, ValueError)):
                module.WeightedSums(good._replace(**change))


def test_a_rule_keeps_no_hold_of_the_arrays_it_was_made_of():
    plan = axis_rule(9).plan()
    f = np.arange(9.0) ** 2
    for module in SIDES:
        own = plan._replace(weights=plan.weights.copy(), offsets=plan.offsets.copy())
        sums, out = module.WeightedSums(own), np.zeros(9)
        own.weights[:], own.offsets[:] = np.nan, 10**9
        sums.apply(f, out, 0)
        assert out == pytest.approx(2 * np.arange(9.0))


# Fornberg's recursion

@given(data=st.data(), width=st.integers(0, 9), rows=st.integers(0, 20), n=st.integers(0, 5))
def test_weights_have_the_same_bits_on_both_sides(data, width, rows, n):
    source = np.random.default_rng(data.draw(st.integers(0, 999)))
    scale = 10.0 ** data.draw(st.integers(-30, 30))
    nodes, at = source.normal(size=(width, rows)) * scale, source.normal(size=rows) * scale
    if nodes.size and data.draw(st.booleans()):
        nodes.reshape(-1)[source.integers(nodes.size)] = data.draw(st.sampled_from([0.0, at[0], np.nan, np.inf, 1e300]))
    found = []
    for module in SIDES:
        out = np.full((width, rows), 7.5)
        with np.errstate(all="ignore"):
            module.fornberg(nodes, at, n, out)
        found.append(out)
    assert same_bits(*found)


def test_arrays_of_weights_must_fit():
    for module in SIDES:
        for nodes, at, n, out in (
            (np.ones((3, 2)), np.ones(3), 1, np.ones((3, 2))), (np.ones((3, 2)), np.ones(2), 1, np.ones((2, 3))),
            (np.ones((3, 2)), np.ones(2), -1, np.ones((3, 2))), (np.ones((3, 2)), np.ones(2), 1001, np.ones((3, 2))),
            (np.ones((1001, 1)), np.ones(1), 1, np.ones((1001, 1))),
        ):
            with pytest.raises(ValueError, match="nodes and out must be"):
                module.fornberg(nodes, at, n, out)
    with pytest.raises(TypeError):
        kernel.fornberg(None, np.ones(2), 1, np.ones((3, 2)))
