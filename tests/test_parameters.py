"""Parameters and gradients of update rules: which arrays are taken, how, and which are refused.

Here because a step writes into somebody else's memory. It tests parameters.py, and how gradients are looked at by
reference/update.py and kernels/update.pyx.
"""

import warnings

import numpy as np
import pytest
from optim_contract import NAMES, WAYS, arrays_for, bits, make, refused

import steepest as sd
from steepest import optim

# Parameters.

def strided():
    """Arrays that no kernel can work on as they are, and what they lie in."""
    rng = np.random.default_rng(5)
    grid = rng.normal(size=(6, 8))
    record = np.zeros(5, np.dtype([("flag", "i1"), ("x", "f8")]))
    record["x"] = rng.normal(size=5)
    return {
        "every other": grid[::2, ::3], "backwards": grid[::-1, ::-1], "Fortran": np.asfortranarray(grid),
        "transposed": grid.T, "column": grid[:, 3], "big-endian": grid.astype(">f8"),
        "big-endian float32": grid.astype(">f4")[::-1], "unaligned": record["x"],
        "little-endian": grid.astype("<f8"), "diagonal": grid.reshape(-1)[::9],
    }


@pytest.mark.parametrize("rule", NAMES)
@pytest.mark.parametrize("layout", strided())
def test_any_layout_is_stepped_through_the_view(backend, rule, layout):
    x = strided()[layout]
    y = np.array(x, x.dtype.newbyteorder("="), order="C")
    base = None if x.base is None else x.base.copy()
    opt, other = make(rule, x, average="polyak"), make(rule, y, average="polyak")
    for t in range(1, 4):
        g = arrays_for([x.shape], y.dtype, seed=t)[0]
        opt.step(g)
        other.step(g)
        x *= 0.5    # what the caller writes between steps is seen
        y *= 0.5
    np.testing.assert_array_equal(x, y)
    assert bits([opt.averages]) == bits([other.averages])
    if base is not None and layout == "every other":
        changed = x.base != base
        assert changed[::2, ::3].all() and changed.sum() == x.size


def test_a_list_may_have_arrays_of_any_layout(backend):
    params = [strided()[layout] for layout in strided()] + [np.ones(3), np.array(2.0)]
    plain = [np.array(x, x.dtype.newbyteorder("="), order="C") for x in params]
    for arrays in (params, plain):
        opt = optim.Adam(arrays, lr=lambda t: 0.1, clip=("global_norm", 2.0), average="polyak")
        for t in range(3):
            opt.step([np.full(x.shape, t - 1.5, x.dtype) for x in arrays])
    for x, y in zip(params, plain, strict=True):
        np.testing.assert_array_equal(x, y)


class Words(np.ndarray):
    """A subclass."""


def test_subclasses_are_taken_for_their_numbers(backend, tmp_path):
    matrix, words = np.ones((2, 2)).view(np.matrix), np.ones(3).view(Words)
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=(3,))
    for x in (matrix, words, mapped):
        y = np.array(x)
        opt, other = optim.Adam(x, lr=0.25, average="polyak"), optim.Adam(y, lr=0.25, average="polyak")
        for _ in range(2):
            opt.step(np.ones(x.shape))
            other.step(np.ones(x.shape))
        np.testing.assert_array_equal(np.asarray(x), y)


READ_ONLY = np.ones(3)
READ_ONLY.flags.writeable = False
NOT_PARAMETERS = [
    (1.0, TypeError, "params must be an array"), (None, TypeError, "params"), ("abc", TypeError, "params"),
    ({"params": np.ones(2)}, TypeError, "params"), (iter([np.ones(2)]), TypeError, "params"),
    (np.float64(1.0), TypeError, "params"), ([], ValueError, "params must have at least one"),
    ([{"params": []}], ValueError, "params must have at least one"),
    ([1.0, 2.0], TypeError, r"params\[0\] must be an array"), ([np.ones(2), [1.0]], TypeError, r"params\[1\] must be"),
    ([np.ones(2), np.ones(2, np.float16)], TypeError, r"params\[1\] must be of float32 or float64, not of float16"),
    (np.ones(2, np.longdouble), TypeError, "params must be of float32 or float64"),
    (np.ones(2, int), TypeError, "params must be of float32 or float64, not of int"),
    (np.ones(2, complex), TypeError, "params must be of float32"), (np.ones(2, bool), TypeError, "params must be of"),
    (np.array([1.0, None]), TypeError, "params must be of"), (np.array(["a"]), TypeError, "params must be of"),
    (READ_ONLY, ValueError, "params must be writeable"),
    ([np.ones(2), READ_ONLY], ValueError, r"params\[1\] must be writeable"),
    (np.broadcast_to(np.ones(3), (2, 3)), ValueError, "params must"),
    (np.ma.masked_array([1.0, 2.0], [0, 1]), TypeError, "params must not be a masked array"),
    ([{"params": np.ones(2)}, np.ones(2)], TypeError, "group 1"),
    ([{"params": np.ones(2), "rate": 1.0}], ValueError, "group 0 has 'rate'"),
    ([{"params": np.ones(2), "maximize": True}], ValueError, "group 0 has 'maximize'"),
    ([{"lr": 1.0}], ValueError, "group 0 must have 'params'"),
    ([{"params": 1.0}], TypeError, "params of group 0"),
    ([{"params": np.ones(2), "lr": -1}], ValueError, "in group 0: lr"),
]


@pytest.mark.parametrize(("params", "kind", "message"), NOT_PARAMETERS, ids=range(len(NOT_PARAMETERS)))
def test_what_cannot_be_stepped_is_refused_by_name(backend, params, kind, message):
    with pytest.raises(kind, match=message):
        optim.SGD(params)


def test_an_array_that_overlaps_itself_is_refused(backend):
    x = np.lib.stride_tricks.as_strided(np.ones(8), (3, 4), (8, 8))
    with pytest.raises(ValueError, match="params must not overlap itself"):
        optim.SGD(x)


def test_parameters_that_share_memory_are_refused_and_neighbours_are_not(backend):
    x = np.zeros(10)
    y = np.zeros((4, 6))
    for bad, i, j in (([x, x], 1, 0), ([x, x[3:5]], 1, 0), ([x[:5], y, x[4:]], 2, 0), ([y[:, ::2], x, y[1]], 2, 0),
                      ([x[::2], x[1::2], x[7:8]], 2, 1), ([y[:2], y[1:]], 1, 0)):
        with pytest.raises(ValueError, match=rf"params\[{i}\] must not overlap params\[{j}\]"):
            optim.SGD(bad)
    with pytest.raises(ValueError, match=r"params\[1\] must not overlap params\[0\]"):
        optim.SGD([{"params": x}, {"params": x}])
    opt = optim.SGD([x[:5], x[5:], y[:, ::2], y[:, 1::2], x[:0], x[3:3]], lr=1.0)
    opt.step([np.ones(5), np.ones(5), np.ones((4, 3)), np.ones((4, 3)), np.ones(0), np.ones(0)])
    assert (x == -1).all() and (y == -1).all()


def test_overlaps_among_many_parameters_are_found_soon():
    base = np.zeros(30_000)
    params = [base[3 * i : 3 * i + 3] for i in range(10_000)]
    optim.SGD(params)
    with pytest.raises(ValueError, match=r"params\[10000\] must not overlap params\[5000\]"):
        optim.SGD([*params, base[15_002:15_003]])


@pytest.mark.parametrize("rule", NAMES)
def test_arrays_without_entries_are_fine(backend, rule):
    for x in (np.zeros(0), np.zeros((3, 0), np.float32), np.zeros((0, 2), ">f8")):
        for way in WAYS:
            opt = make(rule, x, **way)
            opt.step(np.zeros(x.shape, x.dtype))
            assert opt.t == 1


def test_a_parameter_that_has_changed_under_our_feet_is_refused(backend):
    def frozen(x):
        x.flags.writeable = False

    x = [np.ones(3), np.ones(2)]
    opt = optim.SGD(x, lr=1.0)
    x[1].flags.writeable = False
    with pytest.raises(ValueError, match=r"params\[1\] was resized, moved, retyped or made read-only"):
        opt.step([np.ones(3), np.ones(2)])
    assert x[0].tolist() == [1.0, 1.0, 1.0] and opt.t == 0
    x[1].flags.writeable = True
    opt.step([np.ones(3), np.ones(2)])
    strided = np.ones(6)[::2]
    opt = optim.SGD(strided, lr=1.0)
    frozen(strided)
    with pytest.raises(ValueError, match="params must be writeable"):
        opt.step(np.ones(3))


def test_the_kernels_see_that_a_parameter_was_resized_or_retyped():
    x, y = np.ones(3), np.ones(3)
    with sd.backend("kernels"):
        resized, retyped = optim.SGD(x), optim.SGD(y)
    x.resize(100_000, refcheck=False)
    with pytest.raises(ValueError, match="shape"):
        resized.step(np.ones(3))
    with pytest.raises(ValueError, match="resized"):
        resized.step(np.ones(100_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y.dtype = np.int64
    for g in (np.ones(3), np.ones(3, np.int64)):
        with pytest.raises((ValueError, TypeError)):
            retyped.step(g)


# Gradients.

class Lying:
    """Says that it is an array, and is none."""

    def __array__(self, dtype=None, copy=None):
        raise ZeroDivisionError("mine")


BAD_GRADIENTS = [
    (np.ones(2), ValueError, r"shape of its parameter, \(3,\), not \(2,\)"), (np.ones((3, 1)), ValueError, "shape"),
    (np.ones((1, 3)), ValueError, "shape"), (1.0, ValueError, "shape"), (np.ones(0), ValueError, "shape"),
    (np.ones(3, complex), TypeError, "float64"), (np.ones(3, np.longdouble), TypeError, "float64"),
    (np.array([1, 2, None]), TypeError, "float64"), (np.array(["1", "2", "3"]), TypeError, "float64"),
    (None, (TypeError, ValueError), "grads"), ("abc", (TypeError, ValueError), "grads"),
    (np.array([1, 2, 2**53 + 1]), TypeError, "not exact"), (np.array([1, 2, 2**63 - 1]), TypeError, "not exact"),
    (np.array([1, 2, 2**64 - 1], np.uint64), TypeError, "not exact"),
    (np.ma.masked_array(np.ones(3), [0, 1, 0]), TypeError, "masked"), (Lying(), ZeroDivisionError, "mine"),
]


@pytest.mark.parametrize("way", [{}, {"lr": lambda t: 0.1}], ids=["direct", "schedule"])
@pytest.mark.parametrize(("bad", "kind", "message"), BAD_GRADIENTS, ids=range(len(BAD_GRADIENTS)))
def test_a_bad_gradient_changes_nothing(backend, bad, kind, message, way):
    for x in (np.arange(3.0), np.arange(6.0)[::2]):
        opt = optim.Adam(x, **way)
        opt.step(np.ones(3))
        refused(opt, bad, kind, message)
        opt = optim.Adam([np.ones(2), x, np.ones(4)], **way)
        opt.step([np.ones(2), np.ones(3), np.ones(4)])
        refused(opt, [np.ones(2), bad, np.ones(4)], kind, message.replace("grads", r"grads\[1\]"))


@pytest.mark.parametrize("grads", [np.ones(3), [np.ones(3)], [np.ones(3)] * 3, (), None, 5, {"a": np.ones(3)}, "ab",
                                   iter([np.ones(3), np.ones(2)]), np.ones((2, 3))], ids=range(10))
def test_as_many_gradients_as_parameters_in_a_list(backend, grads):
    for other in (np.ones(2), np.ones(4)[::2]):
        refused(optim.Adam([np.ones(3), other]), grads, (TypeError, ValueError), "grads")


def test_a_float64_gradient_of_a_float32_parameter_is_refused(backend):
    refused(optim.SGD(np.ones(3, np.float32)), np.ones(3), TypeError, "grads must be of float32")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_converted_when_that_is_exact(backend, dtype):
    kinds = [np.float16, np.int8, np.uint16, bool, ">f4", np.float32]
    if dtype is np.float64:
        kinds += [np.int32, np.int64, np.uint64, ">i8", ">f8"]
    for kind in kinds:
        x, g = np.zeros(3, dtype), np.array([1, 0, 1]).astype(kind)
        optim.SGD(x, lr=0.5).step(g)
        assert x.tolist() == [-0.5, 0.0, -0.5]
    x = np.zeros((2, 3), dtype)
    optim.SGD(x, lr=1.0).step(np.arange(24, dtype=dtype).reshape(4, 6)[::2, ::-2])
    assert x.tolist() == [[-5, -3, -1], [-17, -15, -13]]
    x = np.zeros(2, np.float64)
    optim.SGD(x, lr=1.0).step([2**53, -4])
    assert x.tolist() == [-(2.0**53), 4.0]


def test_a_gradient_may_overlap_no_parameter(backend):
    """Not its own, and none that may have been stepped before it is read: ``opt.step([y, x])`` for f = x @ y."""
    x, y, base = np.ones(3), np.ones(3), np.ones(20)
    opt = optim.SGD([x, y])
    refused(opt, [y, x], ValueError, r"grads\[0\] must not overlap another parameter")
    refused(opt, [np.ones(3), x[::-1]], ValueError, r"grads\[1\] must not overlap another parameter")
    refused(opt, [x, np.ones(3)], ValueError, r"grads\[0\] must not overlap its parameter")
    refused(optim.SGD(x), x, ValueError, "grads must not overlap its parameter")
    refused(optim.SGD(x), x[::-1], ValueError, "grads must not overlap its parameter")
    refused(optim.SGD(base[2:5]), base[4:7], ValueError, "grads must not overlap its parameter")
    refused(optim.SGD(base[::4]), base[:10:2], ValueError, "grads must not overlap its parameter")
    refused(optim.SGD([base[::4], x]), [np.ones(5), base[8:11]], ValueError, "overlap another parameter")
    opt = optim.SGD(base[2:5], lr=1.0)
    opt.step(base[5:8])
    opt.step(base[:2].repeat(2)[:3])
    both = optim.SGD([base[0:3], base[6:9], base[12:15]], lr=1.0)
    both.step([base[3:6], base[9:12], base[15:18]])
    interleaved = np.ones(10)
    optim.SGD(interleaved[::2], lr=1.0).step(interleaved[1::2])
    assert interleaved.tolist() == [0.0, 1.0] * 5


def test_a_gradient_may_be_used_twice_and_is_never_written_to(backend):
    g = np.array([1.0, 2.0])
    params = [np.zeros(2), np.zeros(2)]
    for way in WAYS:
        optim.Adam(params, **way).step([g, g])
    assert g.tolist() == [1.0, 2.0]
    g.flags.writeable = False
    optim.SGD(params, lr=1.0).step([g, g])


def test_converting_a_gradient_may_run_anything(backend):
    """A gradient that changes the list, frees another, or asks for a step of its own."""
    x, y = np.ones(1000), np.ones(3)
    opt = optim.SGD([x, y], lr=1.0)

    class Hostile:
        def __array__(self, dtype=None, copy=None):
            grads[0] = None
            with pytest.raises(sd.BusyError):
                opt.step([np.ones(1000), np.ones(3)])
            with pytest.raises(sd.BusyError):
                opt.state_dict()
            return np.ones(3)

    grads = [np.full(1000, 2.0), Hostile()]
    opt.step(grads)
    assert (x == -1).all() and (y == 0).all() and opt.t == 1
