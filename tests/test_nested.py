"""Parameters in several arrays are one vector and come back as they were, under their names.

Here because a layer that is cut in the wrong place gets the gradient of its neighbour. Tests nested.py, and nested
parameters of check_gradient.
"""

import numpy as np
import pytest

import steepest as sd
from steepest.nested import Layout, OnParts, is_nested

NET = {"W1": np.arange(6.0).reshape(2, 3), "b1": np.zeros(3), "deep": [np.ones((1, 2)), {"scale": 2.0}]}


def test_lists_of_numbers_are_arrays_and_lists_of_arrays_are_nested():
    assert not is_nested([1.0, 2.0]) and not is_nested([[1, 2], [3, 4]]) and not is_nested(np.ones(3))
    assert not is_nested([np.float64(1), np.float64(2)])
    for x in ({"a": 1.0}, [np.ones(2)], (np.ones(2), 1.0), [[np.ones(2)]]):
        assert is_nested(x)


def test_a_layout_flattens_in_order_names_every_entry_and_builds_again():
    layout = Layout(NET)
    assert layout.names == ["W1", "b1", "deep[0]", "deep[1].scale"]
    assert layout.flat.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0, 1, 1, 2]
    names = [layout.name(i) for i in (0, 5, 6, 9, 11)]
    assert names == ["W1[0, 0]", "W1[1, 2]", "b1[0]", "deep[0][0, 0]", "deep[1].scale"]
    built = layout.build(layout.flat)
    assert list(built) == list(NET) and (built["W1"] == NET["W1"]).all() and built["deep"][1]["scale"] == 2.0
    found, eps = layout.flatten(built, "grad", 1)
    assert (found == layout.flat).all() and eps == np.finfo(float).eps


def test_what_is_lent_is_of_its_own_type_and_a_copy():
    layout = Layout([np.ones(2, "f"), np.ones(3)])
    flat = layout.flat.copy()
    single, double = OnParts(None, layout).lend(flat)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    single[:] = double[:] = 7
    assert (flat == 1).all()


@pytest.mark.parametrize(("x", "words"), [
    ({}, "at least one array"), ({1: np.ones(2)}, "names as keys"), ({"a": None}, r"x\['a'\] must be"),
    ([np.ones(2), np.array(["t"])], r"x\[1\] must be"), ({"a": np.array([1, np.nan])}, r"x\['a'\] must be finite"),
])
def test_what_is_no_array_is_refused_by_its_place(x, words):
    with pytest.raises((TypeError, ValueError), match=words):
        sd.check_gradient(lambda x: 0.0, lambda x: x, x)


def loss(net):
    return np.sum(net["W1"] ** 2) + np.sin(net["b"]).sum() * net["W1"][0, 0]


def gradient(net):
    first = 2 * net["W1"]
    first[0, 0] += np.sin(net["b"]).sum()
    return {"b": np.cos(net["b"]) * net["W1"][0, 0], "W1": first}


POINT = {"W1": np.array([[0.5, 1.5], [2.5, -1.0]]), "b": np.array([0.25, 1.0, 3.0])}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["full", "cheap"])
def test_a_nested_gradient_is_checked_by_name(backend, mode, dtype):
    point = {name: part.astype(dtype) for name, part in POINT.items()}
    assert sd.check_gradient(loss, gradient, point, mode=mode).ok

    def wrong(net):
        found = gradient(net)
        found["b"][1] *= dtype(1.001)
        return found

    found = sd.check_gradient(loss, wrong, point)
    assert not found.ok and found.worst_name == "b[1]" and found.counts["wrong"] == 1
    lines = [line.split() for line in str(found).splitlines() if line.startswith("  b ")]
    assert lines[0][2:4] == ["2", "1"]     # right, wrong


def test_lists_and_tuples_are_nested_too(backend):
    point = (POINT["W1"], POINT["b"])

    def f(parts):
        return loss({"W1": parts[0], "b": parts[1]})

    def grad(parts):
        found = gradient({"W1": parts[0], "b": parts[1]})
        return found["W1"], found["b"]

    assert sd.check_gradient(f, grad, point).ok
    found = sd.check_gradient(f, lambda parts: [grad(parts)[0], 2 * grad(parts)[1]], point)
    assert found.worst_name.startswith("x[1][")


def test_a_flat_gradient_of_nested_parameters_is_taken():
    def flat(net):
        found = gradient(net)
        return np.concatenate([found["W1"].reshape(-1), found["b"]])

    assert sd.check_gradient(loss, flat, POINT).ok


def test_a_nested_gradient_of_flat_parameters_gives_the_names():
    def grad(x):
        return {"first": 2 * x[:2], "rest": 3 * x[2:].reshape(1, 2)}

    found = sd.check_gradient(lambda x: x @ x, grad, np.ones(4))
    assert found.table["verdict"].tolist() == ["right", "right", "wrong", "wrong"]
    assert found.worst_name in ("rest[0, 0]", "rest[0, 1]")


@pytest.mark.parametrize(("result", "words"), [
    ({"W1": np.ones((2, 2))}, "expected a dict with keys 'W1', 'b'"),
    ([np.ones((2, 2)), np.ones(3)], "grad returned a list of 2"),
    ({"W1": np.ones((2, 2)), "b": np.ones(4)}, r"grad\['b'\] returned an array of shape \(4,\)"),
    (np.ones(6), r"grad returned an array of shape \(6,\)"),
    (None, "grad returned NoneType"),
])
def test_a_gradient_of_another_form_is_refused_by_its_place(backend, result, words):
    with pytest.raises((TypeError, ValueError), match=words):
        sd.check_gradient(loss, lambda net: result, POINT)


def test_nested_parameters_are_not_vectorised():
    with pytest.raises(ValueError, match="vectorized"):
        sd.check_gradient(loss, gradient, POINT, vectorized=True)


def test_f_of_nested_parameters_goes_to_workers():
    found = sd.check_gradient(loss, gradient, POINT, workers=2)
    assert found.ok and (found.table == sd.check_gradient(loss, gradient, POINT).table).all()


def test_neither_function_can_change_nested_parameters(backend):
    def spoiled(net):
        found = gradient({name: part.copy() for name, part in net.items()})
        net["W1"][...] = np.nan
        net["b"] = None
        return found

    def f(net):
        value = loss(net)
        net["W1"][...] = 3.0
        return value

    before = {name: part.copy() for name, part in POINT.items()}
    assert sd.check_gradient(f, spoiled, POINT).ok
    assert all((POINT[name] == before[name]).all() for name in POINT)
