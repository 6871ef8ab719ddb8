"""Dense layers forward and backward: the twin against finite differences, the kernel against its twin.

Here because every network stands on them. Tests kernels/layers.pyx and reference/layers.py.
"""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from twins import same_bits

import steepest as sd
from steepest.errors import BusyError
from steepest.kernels import layers as kernel
from steepest.kernels import update
from steepest.kernels.isa import INSTRUCTION_SETS, instruction_set
from steepest.reference import layers as reference
from steepest.reference import update as reference_update
from steepest.reference.layers import ACTIVATIONS, LOSSES, SOFTMAX_CROSS_ENTROPY
from steepest.threads import share_at_once

SIDES = (kernel, reference)
UPDATES = (update, reference_update)


def problem(sizes, rows, loss, dtype="d", labels=False, weighted=False, seed=0):
    """Parameters, x, y and weight that suit a net."""
    rng = np.random.default_rng(seed)
    count = sum((before + 1) * after for before, after in itertools.pairwise(sizes))
    parameters, x = (rng.normal(size=size).astype(dtype) for size in (count, (rows, sizes[0])))
    if labels:
        y = rng.integers(sizes[-1], size=rows)
    elif loss == SOFTMAX_CROSS_ENTROPY:
        y = rng.random((rows, sizes[-1]))
        y = (y / y.sum(axis=1, keepdims=True)).astype(dtype)
    else:
        y = rng.random((rows, sizes[-1])).astype(dtype)
    return parameters, x, y, rng.random(rows) if weighted else None


@pytest.mark.parametrize("loss", range(len(LOSSES)), ids=LOSSES)
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)), ids=ACTIVATIONS)
def test_the_gradient_is_that_of_the_value(activation, loss):
    layers = reference.Layers((3, 4, 2), (activation, 0), loss, l2=0.1, l1=0.01)
    parameters, x, y, weight = problem(layers.sizes, 5, loss, weighted=True)
    out = np.empty_like(parameters)

    def gradient(p):
        layers.gradient(p, x, y, weight, out)
        return out.copy()

    assert sd.check_gradient(lambda p: layers.value(p, x, y, weight), gradient, parameters).ok


@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)), ids=ACTIVATIONS)
def test_the_inputs_gradient_and_the_last_activation_too(activation):
    layers = reference.Layers((3, 4, 2), (2, activation), LOSSES.index("mse"))
    parameters, x, y, _ = problem(layers.sizes, 5, layers.loss)
    inputs = np.empty_like(x)

    def gradient(flat):
        layers.gradient(parameters, flat.reshape(x.shape), y, inputs=inputs)
        return inputs.reshape(-1).copy()

    assert sd.check_gradient(lambda flat: layers.value(parameters, flat.reshape(x.shape), y), gradient,
                             x.reshape(-1)).ok


def test_labels_are_rows_of_zeros_and_a_one():
    layers = reference.Layers((3, 4), (0,), SOFTMAX_CROSS_ENTROPY)
    parameters, x, y, weight = problem(layers.sizes, 300, layers.loss, labels=True, weighted=True)
    ours, theirs = np.empty((2, parameters.size))
    losses = [layers.gradient(parameters, x, y, weight, ours),
              layers.gradient(parameters, x, np.eye(4)[y], weight, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-14)
    assert ours == pytest.approx(theirs, abs=1e-14)


def pair(*arguments, **options):
    """The same layers on both sides."""
    return [module.Layers(*arguments, **options) for module in SIDES]


def everything(layers, parameters, x, y, weight):
    """All that can be asked of layers."""
    out, inputs = np.empty_like(parameters), np.empty((len(x), layers.sizes[0]), x.dtype)
    deltas = [np.empty((len(x), size), x.dtype) for size in layers.sizes[1:]]
    loss = layers.gradient(parameters, x, y, weight, out, deltas, inputs)
    return [loss, layers.value(parameters, x, y, weight), out, inputs, *deltas, layers.forward(parameters, x),
            *layers.forward(parameters, x, layers=True)]


def assert_same(layers, *arguments):
    """Equal bits in all that can be asked."""
    ours, theirs = (everything(one, *arguments) for one in layers)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert same_bits(a, b), i


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("loss", range(len(LOSSES)), ids=LOSSES)
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)), ids=ACTIVATIONS)
def test_kernel_and_twin_have_the_same_bits(activation, loss, dtype):
    layers = pair((5, 19, 7, 3), (activation, 1, activation), loss, dtype, l2=0.1, l1=0.01, slope=0.1, delta=0.5)
    assert_same(layers, *problem(layers[0].sizes, 11, loss, dtype, weighted=True))


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 127, 128, 129, 300])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 16, 16, 2), (17, 33, 10), (3, 50, 1), (64, 24, 25)])
def test_any_sizes_have_the_same_bits(sizes, rows, dtype):
    layers = pair(sizes, (3,) * (len(sizes) - 2) + (0,), SOFTMAX_CROSS_ENTROPY, dtype)
    assert_same(layers, *problem(sizes, rows, SOFTMAX_CROSS_ENTROPY, dtype, labels=rows % 2 == 0))


FAMILIES = {
    "sgd": (0.1, 0.0, 0.9, 0.0, 0.0), "adam": (0.01, 0.01, 0.9, 0.999, 1e-8, 0.0, 0.0),
}


def optimizer_for(module, parameters, family="sgd", **options):
    """The optimizer of one array."""
    kept = {"sgd": 1, "adam": 2}[family]
    return module.Optimizer(family, [parameters], True, [0], [FAMILIES[family]],
                            [[np.zeros_like(parameters) for _ in range(kept)]], **options)


def trained(side, layers, made, batch, family="sgd", rates=None, order=None, **options):
    """Two epochs; what they return, the parameters after them, and what the optimizer has kept."""
    parameters, x, y, weight = made
    parameters = parameters.copy()
    optimizer = optimizer_for(UPDATES[side], parameters, family, **options)
    order = np.random.default_rng(3).permutation(len(x)) if order is None else order
    found = [layers.epoch(parameters, x, y, weight, order, batch, optimizer, rates) for _ in range(2)]
    return found, [parameters, *optimizer.states[0]], optimizer.t


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch", [1, 8, 33, 500])
def test_an_epoch_has_the_same_bits(batch, family, dtype, weighted):
    layers = pair((4, 9, 3), (3, 0), SOFTMAX_CROSS_ENTROPY, dtype, l2=1e-3)
    made = problem(layers[0].sizes, 70, SOFTMAX_CROSS_ENTROPY, dtype, labels=True, weighted=weighted)
    ours, theirs = (trained(i, layers[i], made, batch, family) for i in range(2))
    assert ours[0] == theirs[0]
    assert all(same_bits(a, b) for a, b in zip(ours[1], theirs[1], strict=True))
    assert ours[2] == theirs[2] == 2 * -(-70 // batch)


@pytest.mark.parametrize("side", range(2))
def test_an_epoch_is_gradients_and_steps(side):
    layers = SIDES[side].Layers((4, 9, 2), (2, 0), 0)
    parameters, x, y, _ = problem(layers.sizes, 20, 0)
    theirs, gradient, rates = parameters.copy(), np.empty_like(parameters), np.array([0.1, 0.2, 0.05])
    optimizer, plain = (optimizer_for(UPDATES[side], array, "adam", clip="norm", bound=0.1)
                        for array in (parameters, theirs))
    order = np.arange(20)[::-1].copy()
    loss, made, bad = layers.epoch(parameters, x, y, None, order, 8, optimizer, rates)
    losses = []
    for rate, rows in zip(rates, (order[:8], order[8:16], order[16:]), strict=True):
        losses.append(layers.gradient(theirs, x[rows], y[rows], None, gradient) * len(rows))
        plain.change(0, 0, rate)
        plain.step(gradient)
    assert (loss, made, bad) == (pytest.approx(sum(losses) / 20, rel=1e-15), 3, None)
    assert same_bits(parameters, theirs)


@pytest.mark.parametrize("side", range(2))
@pytest.mark.parametrize(("layer", "spoil"), [
    (0, lambda p, x: x.__setitem__((13, 1), np.nan)), (1, lambda p, x: p.__setitem__(slice(24, 30), 1e308)),
    (2, lambda p, x: p.__setitem__(slice(24, 30), 1e200)),
])
def test_an_epoch_stops_before_a_step_that_is_not_finite(side, layer, spoil):
    layers = SIDES[side].Layers((3, 5, 2), (3, 0), 0)
    parameters, x, y, _ = problem(layers.sizes, 20, 0)
    x = abs(x)
    parameters[:20] = abs(parameters[:20])
    spoil(parameters, x)
    optimizer = optimizer_for(UPDATES[side], parameters)
    before = parameters.copy()
    loss, made, bad = layers.epoch(parameters, x, y, None, np.arange(20), 5, optimizer, None)
    batch = 2 if layer == 0 else 0
    assert (made, bad, optimizer.t) == (batch, (batch, layer), batch)
    assert np.isfinite(loss) == (batch > 0)
    assert np.isfinite(parameters).all()
    assert batch or same_bits(parameters, before)


@pytest.mark.parametrize("side", range(2))
def test_no_rows_are_an_empty_epoch(side):
    layers = SIDES[side].Layers((3, 2), (0,), 0)
    parameters, x, y, _ = problem(layers.sizes, 20, 0)
    loss, made, bad = layers.epoch(parameters, x, y, None, np.arange(0), 5, optimizer_for(UPDATES[side], parameters),
                                   None)
    assert (np.isnan(loss), made, bad) == (True, 0, None)


@pytest.mark.parametrize("dtype", "fd")
def test_any_number_of_threads_gives_the_same_bits(dtype):
    sizes, rows = (60, 80, 70, 10), 1700
    made = problem(sizes, rows, SOFTMAX_CROSS_ENTROPY, dtype, labels=True, weighted=True)
    found = []
    for count in (1, 2, 5):
        layers = kernel.Layers(sizes, (3, 2, 0), SOFTMAX_CROSS_ENTROPY, dtype, share=share_at_once, threads=count)
        found.append([*everything(layers, *made), trained(0, layers, made, 1000)[1][0]])
    assert reference.part_of(sizes, 1000) < 1000
    for others in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], others, strict=True))


def test_parts_have_the_same_bits():
    layers = pair((30, 40, 3), (2, 0), SOFTMAX_CROSS_ENTROPY)
    made = problem(layers[0].sizes, 3000, SOFTMAX_CROSS_ENTROPY, labels=True)
    assert reference.part_of(layers[0].sizes, 3000) < 3000
    assert_same(layers, *made)


def test_rows_may_lie_anywhere():
    layers = pair((6, 7, 3), (3, 0), 0)
    parameters, x, y, weight = problem((6, 7, 3), 40, 0, weighted=True)
    expected = everything(layers[0], parameters, x, y, weight)
    for change in (np.asfortranarray, lambda a: np.repeat(a, 3, axis=0)[::3],
                   lambda a: np.repeat(a, 2, axis=-1)[..., ::2], lambda a: a[::-1].copy()[::-1]):
        arrays = [change(array) for array in (x, y, weight)]
        for array in arrays:
            array.flags.writeable = False
        for one in layers:
            assert all(same_bits(a, b) for a, b in zip(expected, everything(one, parameters, *arrays), strict=True))


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("gap", [1e4, -1e4])
def test_losses_are_right_at_wide_gaps_between_logits(gap, dtype):
    identity = np.r_[np.eye(2).ravel(), 0, 0].astype(dtype)
    x, out = np.array([[gap, 0.0]], dtype), np.empty(6, dtype)
    for module in SIDES:
        softmax = module.Layers((2, 2), (0,), SOFTMAX_CROSS_ENTROPY, dtype)
        assert softmax.gradient(identity, x, np.array([1]), None, out) == max(gap, 0)
        assert out[4:].tolist() == ([1, -1] if gap > 0 else [0, 0])
        binary = module.Layers((2, 2), (0,), LOSSES.index("binary_cross_entropy"), dtype)
        assert binary.value(identity, x, np.array([[0.0, 0.5]], dtype)) == pytest.approx(max(gap, 0) + np.log(2))


def test_rows_without_weight_do_not_count():
    for module in SIDES:
        layers = module.Layers((3, 4, 2), (2, 0), 0)
        parameters, x, y, _ = problem(layers.sizes, 10, 0)
        some, none, out = np.r_[np.ones(4), np.zeros(6)], np.zeros(10), np.ones_like(parameters)
        assert layers.value(parameters, x, y, some) == pytest.approx(layers.value(parameters, x[:4], y[:4]), rel=1e-15)
        assert layers.gradient(parameters, x, y, none, out) == 0
        assert not out.any()


WRONG = {
    "parameters": [np.zeros(13), np.zeros(14, "f"), np.zeros(28)[::2]],
    "x": [np.zeros((4, 2)), np.zeros(3), np.zeros((0, 3)), np.zeros((4, 3), "f")],
    "y": [np.array([0, 1, 2, 0]), np.array([0, 1, -1, 0]), np.zeros(4, "i4"), np.zeros(3, int), np.zeros((4, 3)),
          np.zeros((4, 2), "f"), np.zeros((3, 2))],
    "weight": [np.ones(3), np.ones(4, "f"), np.ones((4, 1))],
    "out": [np.zeros(13), np.zeros(14, "f"), [0.0] * 14],
    "inputs": [np.zeros((4, 2)), np.zeros((3, 4)).T],
    "deltas": [[np.zeros((4, 2))], [np.zeros((4, 2)), np.zeros((4, 3))]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_the_kernel_refuses_arrays_it_cannot_use(name, value):
    layers = kernel.Layers((3, 2, 2), (0, 0), SOFTMAX_CROSS_ENTROPY)
    names = ("parameters", "x", "y", "weight")
    given = dict(zip(names, problem(layers.sizes, 4, layers.loss, labels=True, weighted=True), strict=True))
    with pytest.raises(ValueError, match=name):
        layers.gradient(**given | {name: value})
    assert np.isfinite(layers.gradient(**given))


@pytest.mark.parametrize(("change", "match"), [
    ({"order": np.array([0, 4])}, "order"), ({"order": np.array([-1])}, "order"), ({"order": np.zeros(3)}, "order"),
    ({"batch": 0}, "batch"), ({"rates": np.ones(1)}, "rates"),
    ({"optimizer": optimizer_for(update, np.zeros(14))}, "optimizer"),
])
def test_the_kernel_refuses_epochs_it_cannot_make(change, match):
    layers = kernel.Layers((3, 2, 2), (0, 0), 0)
    parameters, x, y, _ = problem(layers.sizes, 4, 0)
    given = {"order": np.arange(4), "batch": 2, "optimizer": optimizer_for(update, parameters), "rates": None}
    before = parameters.copy()
    with pytest.raises(ValueError, match=match):
        layers.epoch(parameters, x, y, None, **given | change)
    assert same_bits(parameters, before)
    assert layers.epoch(parameters, x, y, None, **given)[1] == 2


@pytest.mark.parametrize("module", SIDES)
@pytest.mark.parametrize("wrong", [
    {"sizes": (3,)}, {"sizes": (3, 0)}, {"activations": (0, 0)}, {"activations": (8,)}, {"loss": 5}, {"slope": -1.0},
    {"delta": 0.0}, {"delta": float("nan")},
])
def test_layers_that_cannot_be_are_refused(module, wrong):
    with pytest.raises(ValueError, match=r"sizes|activation|slope"):
        module.Layers(**{"sizes": (3, 2), "activations": (0,), "loss": 0} | wrong)
    with pytest.raises(TypeError, match="float32 or float64"):
        module.Layers((3, 2), (0,), 0, "g")


def test_layers_at_work_refuse_another_call():
    layers = kernel.Layers((3, 2), (0,), 0, share=lambda *arguments: layers.count, threads=2)
    parameters, x, y, _ = problem(layers.sizes, 4, 0)
    with pytest.raises(BusyError):
        layers.__init__((3, 2), (0,), 0)
    with pytest.raises(ValueError, match="under way"):
        layers.work(0, 0, 1)
    rows = 2_000_000
    heard = []

    def share(work, first, last, halts):
        with pytest.raises(BusyError):
            layers.value(parameters, x, y)
        heard.append(last)
        return work(0, first, last)

    layers = kernel.Layers((3, 2), (0,), 0, share=share, threads=2)
    layers.forward(parameters, np.zeros((rows, 3)))
    assert heard == [-(-rows // reference.part_of((3, 2), rows))]


BITS = """
import hashlib
import numpy as np
from steepest.kernels.layers import Layers
digest = hashlib.sha256()
for dtype in "fd":
    for code in range(8):
        for loss in range(5):
            layers = Layers((9, 21, 10), (code, 0), loss, dtype)
            source = np.random.default_rng(loss)
            parameters, x, y = (source.random(shape).astype(dtype) for shape in (layers.count, (45, 9), (45, 10)))
            out = np.empty_like(parameters)
            digest.update(np.float64(layers.gradient(parameters, x * 9, y, None, out)).tobytes())
            digest.update(out.tobytes())
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


@pytest.mark.parametrize("dtype", "fd")
def test_products_of_any_size_have_the_same_bits(dtype):
    source = np.random.default_rng(0)
    for rows, terms, columns in itertools.product((1, 3, 8, 13), (0, 1, 20), (1, 7, 16, 50)):
        start, a, b = (source.normal(size=shape).astype(dtype)
                       for shape in ((rows, columns), (rows, terms), (terms, columns)))
        expected = reference.multiply(start.copy(), a, b)
        for given in (a, np.asfortranarray(a), a[::-1].copy()[::-1]):
            assert same_bits(kernel.multiply(start.copy(), given, b), expected)


def test_products_that_do_not_fit_are_refused():
    a, b, c = np.zeros((2, 3)), np.zeros((3, 4)), np.zeros((2, 4))
    for wrong in ((c, a, b[:2]), (c[:, :3], a, b), (c, a.astype("f"), b), (c, a, b.T.copy().T), (c[0], a, b),
                  (c, np.zeros((4, 6))[::2, ::2], b)):
        with pytest.raises(ValueError, match="start"):
            kernel.multiply(*wrong)
