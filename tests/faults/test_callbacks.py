"""What f does to x and to the object that calls it.

Here because evaluating in place lends f memory of ours: whatever f does with it, the derivative stays the same.
It tests rows B1 to B9: f writes into x, keeps it, resizes it, changes its shape or type, re-enters, drops references.
"""

import contextlib
import gc
import warnings
import weakref

import numpy as np
import pytest

import steepest as sd

from .contract import (
    ENTRIES,
    X,
    attempt,
    bits,
    calls_of,
    cases,
    counted,
    cube,
    entries,
    in_a_process,
    name_of,
    on_call,
    right,
)

ARRAYS = cases(arrays=True)

WRITES = {
    "zeros": lambda x: x.fill(0),
    "NaN": lambda x: x.fill(np.nan),
    "halved": lambda x: np.multiply(x, 0.5, out=x),
    "negated": lambda x: np.negative(x, out=x),         # undone by the next call, as are the next two
    "inverted": lambda x: np.divide(1, x, out=x, where=x != 0),
    "bytes swapped": lambda x: x.byteswap(inplace=True),
    "first entry": lambda x: x.__setitem__(0, 7),
    "last entry": lambda x: x.__setitem__(-1, -7),
    "sorted": lambda x: x.sort(axis=-1),
    "reversed": lambda x: x.__setitem__(..., x[..., ::-1].copy()),
    "rolled": lambda x: x.__setitem__(..., np.roll(x, 1, axis=-1)),
    "one unit in the last place": lambda x: np.nextafter(x.real, np.inf, out=x.real),
    "by memoryview": lambda x: memoryview(x).cast("B").__setitem__(0, 255),
    "by a view of bytes": lambda x: x.view(np.uint8).fill(255),
    "by flat": lambda x: x.flat.__setitem__(slice(None), 3),
}


def after(f, deed):
    """F, which does a deed to x once it has its result."""
    return on_call(None, f, lambda x, result: (deed(x), result)[1])


@pytest.mark.parametrize(("entry", "options"), ARRAYS, ids=name_of)
def test_B1_f_that_writes_into_x_gets_the_same_derivative(backend, entry, options):
    expected = right(entry, **options)
    for name, write in WRITES.items():
        assert bits(entry.call(after(entry.f, write), X.copy(), **options)) == expected, name


@pytest.mark.parametrize("entry", entries(arrays=True), ids=str)
def test_B1_one_write_in_any_call_is_noticed(backend, entry):
    expected, calls = right(entry), calls_of(entry)
    for write in (WRITES["halved"], WRITES["first entry"], WRITES["last entry"]):
        for k in range(1, calls + 1):
            f = on_call(k, entry.f, lambda x, result, write=write: (write(x), result)[1])
            assert bits(entry.call(f, X.copy())) == expected, f"call {k} of {calls}"


@pytest.mark.parametrize("entry", entries(kinds=["scalar", "vector", "surface", "slope"]), ids=str)
def test_B1_one_write_into_any_entry_in_any_call_is_noticed(backend, entry):
    """Eight entries: what was written before, at, next to or far from the entry that is moved."""
    x = np.linspace(0.5, 2.25, 8)
    expected, calls = right(entry, x), calls_of(entry, x)
    for k in range(1, calls + 1):
        for j in range(x.size):
            f = on_call(k, entry.f, lambda x, result, j=j: (x.__setitem__(j, 3.0), result)[1])
            assert bits(entry.call(f, x.copy())) == expected, f"call {k} of {calls}, entry {j}"


@pytest.mark.parametrize("factor", [0.5, -1.0])
@pytest.mark.parametrize("entry", entries(kinds=["scalar", "vector", "batch", "field", "surface", "slope"]), ids=str)
def test_B1_x_may_serve_f_as_its_workspace(backend, entry, factor):
    """The textbook case: ``x *= 0.5`` before the value is computed."""

    def careless(x, *args):
        x *= factor
        return entry.f(x, *args)

    assert bits(entry.call(careless, X.copy())) == right(entry, f=lambda x, *args: entry.f(factor * x, *args))


IN_TURN = [(entry, options) for entry in entries("method", kinds=["scalar", "vector", "surface"], one_point=True)
           for options in ({}, {"method": "forward"}, {"order": 4}) if entry.has(options)]
REPLACED = {
    "kept": lambda x, kept: kept.append(x),
    "another type": lambda x, kept: setattr(x, "dtype", x.dtype.newbyteorder()),
    "read-only": lambda x, kept: x.setflags(write=False),
}


@pytest.mark.parametrize(("entry", "options"), IN_TURN, ids=name_of)
def test_B1_a_write_not_seen_yet_is_not_forgotten_when_x_is_replaced(backend, entry, options):
    """F writes in one call, and in a later one does what makes us hand out new memory."""
    expected, calls = right(entry, **options), calls_of(entry, **options)
    for name, replace in REPLACED.items():
        for write in range(1, calls + 1):
            for later in range(write, min(write + 4, calls) + 1):
                for j in range(3):
                    kept, count = [], [0]

                    def f(x, replace=replace, write=write, later=later, j=j, kept=kept, count=count):
                        count[0] += 1
                        result = entry.f(x)
                        if count[0] == write:
                            x[j] = 9.0
                        if count[0] == later:
                            replace(x, kept)
                        return result

                    assert bits(entry.call(f, X.copy(), **options)) == expected, (name, write, later, j)


@pytest.mark.parametrize(("entry", "options"), IN_TURN, ids=name_of)
def test_B1_a_write_that_a_later_call_undoes_is_noticed(backend, entry, options):
    """F writes in one call, and the old value back in any later one; in a short x every call can be looked after."""
    expected, calls = right(entry, **options), calls_of(entry, **options)
    for write in range(1, calls + 1):
        for undo in range(write + 1, calls + 1):
            for j in range(3):
                count = [0]

                def f(x, write=write, undo=undo, j=j, count=count):
                    count[0] += 1
                    result = entry.f(x)
                    if count[0] == write:
                        x[j] = 9.0
                    elif count[0] == undo:
                        x[j] = X[j]
                    return result

                assert bits(entry.call(f, X.copy(), **options)) == expected, (write, undo, j)


def test_B1_caller_sees_no_write(backend):
    for entry in entries(arrays=True):
        x = X.copy()
        entry.call(after(entry.f, WRITES["NaN"]), x)
        assert x.tobytes() == X.tobytes(), entry.name


KEEPS = {
    "x": lambda x: x,
    "x[1:]": lambda x: x[1:],
    "x[..., ::-1]": lambda x: x[..., ::-1],
    "x.T": lambda x: x.T,
    "x.view()": lambda x: x.view(),
    "x.reshape(-1)": lambda x: x.reshape(-1),
    "memoryview(x)": memoryview,
    "x.data": lambda x: x.data,
    "x.flat": lambda x: x.flat,
    "np.asarray(x)": np.asarray,
    "np.frombuffer(x)": lambda x: np.frombuffer(x, x.dtype),
    "broadcast": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "iterator": np.nditer,
    "in a list": lambda x: [x],
    "in a dict": lambda x: {"x": x},
    "closure": lambda x: lambda: x,
    "ctypes": lambda x: x.ctypes,
    "array interface": lambda x: type("Holder", (), {"__array_interface__": x.__array_interface__, "x": x})(),
}


def contents(kept):
    """The numbers in whatever f kept."""
    if isinstance(kept, list):
        kept = kept[0]
    elif isinstance(kept, dict):
        kept = kept["x"]
    elif callable(kept):
        kept = kept()
    elif isinstance(kept, np.nditer):
        kept = kept.operands[0]
    elif hasattr(kept, "data_as"):
        kept = kept._arr
    elif isinstance(kept, np.flatiter):
        kept = kept.base
    return np.array(np.asarray(kept)).tobytes()


@pytest.mark.parametrize("entry", entries(arrays=True), ids=str)
def test_B2_what_f_keeps_of_x_never_changes(backend, entry):
    expected = right(entry)
    for name, keep in KEEPS.items():
        kept = []

        def deed(x, keep=keep, kept=kept):
            kept.append((keep(x), x.copy()))

        assert bits(entry.call(after(entry.f, deed), X.copy())) == expected, name
        assert kept
        for held, then in kept:
            assert contents(held) == contents(keep(then)), name


@pytest.mark.parametrize("options", [{"method": "forward"}, {"order": 4}, {"method": "complex"}], ids=name_of)
@pytest.mark.parametrize("entry", entries("method", "order", arrays=True), ids=str)
def test_B2_points_kept_for_a_plot_are_the_points_evaluated(backend, entry, options):
    kept, copies = [], []
    entry.call(after(entry.f, lambda x: (kept.append(x), copies.append(x.copy()))), X.copy(), **options)
    assert [x.tobytes() for x in kept] == [x.tobytes() for x in copies]


@pytest.mark.parametrize("entry", entries(arrays=True), ids=str)
def test_B2_a_write_into_a_kept_x_reaches_nobody(backend, entry):
    kept = []

    def deed(x):
        for old in kept:
            old.fill(np.nan)
        kept.append(x)

    assert bits(entry.call(after(entry.f, deed), X.copy())) == right(entry)


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B2_a_prepared_object_hands_out_no_kept_memory_in_later_calls(backend, prepare):
    kept = []
    prepared = prepare(after(entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0].f, kept.append), X)
    prepared(X)
    then = [x.tobytes() for x in kept]
    prepared(X + 1)
    assert [x.tobytes() for x in kept[: len(then)]] == then


RESIZES = {
    "to nothing": (0,),
    "shorter": (1,),
    "much longer": (100_000,),
    "two dimensions": (200, 200),
}


@pytest.mark.parametrize("entry", entries(arrays=True), ids=str)
def test_B3_x_cannot_be_resized_under_our_feet(backend, entry):
    expected = right(entry)
    for name, shape in RESIZES.items():
        refusals = []

        def deed(x, shape=shape, refusals=refusals):
            try:
                x.resize(shape, refcheck=False)
            except ValueError:
                refusals.append(shape)

        f = counted(after(entry.f, deed))
        assert bits(entry.call(f, X.copy())) == expected, name
        assert len(refusals) == f.calls, name


def _set(name, value):
    def change(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with contextlib.suppress(AttributeError, TypeError, ValueError):
                setattr(x, name, value(x))
    return change


CHANGES = {
    "shape": _set("shape", lambda x: (x.size, 1)),
    "more dimensions": _set("shape", lambda x: (1, x.size, 1, 1)),
    "one number more": _set("dtype", lambda x: np.dtype([("a", x.dtype)])),
    "dtype of bytes": _set("dtype", lambda x: np.uint8),
    "dtype of integers": _set("dtype", lambda x: np.int64),
    "byte order": _set("dtype", lambda x: x.dtype.newbyteorder()),
    "strides": _set("strides", lambda x: (0,) * x.ndim),
    "other data": _set("data", lambda x: np.full(x.shape, 7.0).data),
    "read-only": lambda x: x.setflags(write=False),
    "misaligned flag": lambda x: x.setflags(align=False),
    "setstate": lambda x: x.__setstate__((1, (2,), np.dtype(float), False, b"\x07" * 16)),
    "setstate to nothing": lambda x: x.__setstate__((1, (0,), np.dtype(float), False, b"")),
    "setstate to objects": lambda x: x.__setstate__((1, (2,), np.dtype(object), False, ["a", "b"])),
    "setstate to much": lambda x: x.__setstate__((1, (9999,), np.dtype(float), False, b"\x07" * 79992)),
    "strict assignment": lambda x: x.__setitem__(slice(None), 5),
}


@pytest.mark.parametrize("entry", entries(arrays=True), ids=str)
def test_B4_changes_of_the_array_object_reach_nobody(backend, entry):
    expected, calls = right(entry), calls_of(entry)
    for name, change in CHANGES.items():
        for k in {None, 1, 2, calls}:
            f = on_call(k, entry.f, lambda x, result, change=change: (change(x), result)[1])
            assert bits(entry.call(f, X.copy())) == expected, name


@pytest.mark.parametrize("options", [{"method": "complex"}, {"order": 4}, {"method": "forward"}], ids=name_of)
@pytest.mark.parametrize("entry", entries("method", "order", arrays=True), ids=str)
def test_B4_also_with_other_methods_and_when_x_is_kept(backend, entry, options):
    expected = right(entry, **options)
    for name, change in CHANGES.items():
        kept = []

        def deed(x, change=change, kept=kept):
            change(x)
            kept.append(x)

        assert bits(entry.call(after(entry.f, deed), X.copy(), **options)) == expected, name


@pytest.mark.parametrize("entry", entries(arrays=True), ids=str)
def test_B5_the_base_of_x_stays_alive_and_cannot_be_resized(backend, entry):
    bases = []

    def deed(x):
        base = x
        while isinstance(base, np.ndarray) and base.base is not None:
            base = base.base
        bases.append(base)
        if hasattr(base, "resize"):
            base.resize(100_000, refcheck=False)

    assert bits(entry.call(after(entry.f, deed), X.copy())) == right(entry)
    gc.collect(1)
    assert bases and not any(hasattr(base, "resize") for base in bases)


@pytest.mark.parametrize("entry", entries(arrays=True), ids=str)
def test_B5_f_may_keep_the_base_alone(backend, entry):
    kept = []
    assert bits(entry.call(after(entry.f, lambda x: kept.append(x.base)), X.copy())) == right(entry)


def reentering(prepare, f, depth, x=None, out=None):
    """A prepared object whose f calls it again, `depth` deep, in every first call."""
    level, entered, inner = [0], [], []

    def nested(point):
        if len(entered) <= level[0] < depth:
            entered.append(level[0])
            level[0] += 1
            try:
                inner.append(np.array(prepared(X + level[0] if x is None else x, out)))
            finally:
                level[0] -= 1
        return f(point)

    prepared = prepare(nested, X)
    return prepared, inner


@pytest.mark.parametrize("depth", [1, 2, 10])
@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B6_a_prepared_object_may_be_called_from_inside_its_own_f(backend, prepare, depth):
    f = entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0].f
    prepared, inner = reentering(prepare, f, depth)
    outer = prepared(X)
    assert bits(outer) == bits(prepare(f, X)(X)) and len(inner) == depth
    for level, found in enumerate(reversed(inner), start=1):
        assert bits(found) == bits(prepare(f, X)(X + level))


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B6_inner_and_outer_call_may_share_x_and_out(backend, prepare):
    f = entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0].f
    expected = bits(prepare(f, X)(X))
    out = np.empty_like(prepare(f, X)(X))
    prepared, inner = reentering(prepare, f, 3, X.copy(), out)
    assert bits(prepared(X, out)) == expected and len(inner) == 3
    assert all(bits(found) == expected for found in inner)


def test_B6_a_value_and_gradient_may_be_entered_again_too(backend):
    f = entries(kinds=["scalar"])[0].f
    inner = []

    def nested(x):
        if len(inner) < 3:
            at = len(inner)
            inner.append(None)
            inner[at] = gradient.value_and_gradient(X)
        return f(x)

    gradient = sd.Gradient(nested, X)
    expected = bits(sd.Gradient(f, X).value_and_gradient(X))
    assert bits(gradient.value_and_gradient(X)) == expected
    assert all(bits(found) == expected for found in inner)


def test_B6_the_differences_of_the_kernel_are_busy_while_they_run():
    from steepest.kernels.callback import PythonFunction
    from steepest.kernels.difference import Differences
    from steepest.reference.difference import CENTRAL

    tries = []

    def f(x):
        again = (lambda: differences.evaluate(function), lambda: differences.gradient(function, X, np.empty(3)))
        tries.append([type(attempt(call)[1]) for call in again])
        return cube(x).sum()

    function = PythonFunction(f, (), None, (3,), X.dtype)
    differences = Differences(3, X.dtype, CENTRAL, 2, 1e-5)
    out = np.empty(3)
    assert differences.gradient(function, X, out) == 0
    assert tries == [[sd.BusyError] * 2] * 6
    np.testing.assert_allclose(out, 3 * X**2, rtol=1e-8)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
@pytest.mark.parametrize("inner", ENTRIES, ids=str)
def test_B7_f_may_run_another_solve(backend, entry, inner):
    expected, inside = right(entry), right(inner)

    def busy(x, result):
        assert right(inner) == inside
        return result

    assert bits(entry.call(on_call(None, entry.f, busy), X.copy())) == expected


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_B7_solves_may_nest_ten_deep(backend, entry):
    expected, reached = right(entry), []

    def nested(depth):
        if depth == 0:
            return entry.f

        def dive(x, result):
            reached.append(depth)
            assert bits(entry.call(nested(depth - 1), X.copy())) == expected
            return result

        return on_call(1, entry.f, dive)

    assert bits(entry.call(nested(10), X.copy())) == expected
    assert sorted(reached) == list(range(1, 11))


def test_B7_nested_gradients_give_a_second_derivative(backend):
    """What nesting is for: the derivative of a derivative, with steps that suit it."""
    outer = sd.derivative(lambda t: float(sd.derivative(cube, t, step=1e-4, order=4)), [0.5, -2.0], step=1e-3)
    np.testing.assert_allclose(outer, [3.0, -12.0], rtol=1e-6)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_B8_f_may_drop_the_last_references_to_everything(backend, entry):
    class Function:
        def __call__(self, x, *args, **kwargs):
            if held:
                held.clear()
                gc.collect(1)
            assert args[0].alive and kwargs["key"].alive
            return entry.f(x)

    class Argument:
        alive = True

    held = {"f": Function(), "x": X.copy(), "args": (Argument(),), "kwargs": {"key": Argument()}}
    gone = [weakref.ref(held["f"]), weakref.ref(held["args"][0]), weakref.ref(held["kwargs"]["key"])]
    result = entry.call(held.pop("f"), held.pop("x"), args=held.pop("args"), kwargs=held.pop("kwargs"))
    assert bits(result) == right(entry)
    gc.collect(1)
    assert [reference() for reference in gone] == [None] * 3


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B8_f_may_drop_the_prepared_object_that_calls_it(backend, prepare):
    f = entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0].f

    def dropping(x):
        if not dropped:
            dropped.append(held.clear())
            gc.collect(1)
        return f(x)

    expected, dropped = bits(prepare(f, X)(X)), []
    held = [prepare(dropping, X)]
    gone = weakref.ref(held[0])
    assert bits(held.pop()(X)) == expected
    del dropping
    gc.collect(1)
    assert gone() is None


REINITIALISE = {
    "__init__": lambda prepared: prepared.__init__(cube, X),
    "__init__ with another shape": lambda prepared: prepared.__init__(cube, np.zeros(1000)),
    "class __init__": lambda prepared: type(prepared).__init__(prepared, cube, np.zeros((50, 50))),
}


@pytest.mark.parametrize("how", REINITIALISE)
@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B9_initialising_an_object_in_use_is_a_busy_error(backend, prepare, how):
    f = entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0].f
    errors = []

    def deed(x):
        errors.append(attempt(REINITIALISE[how], prepared)[1])

    prepared = prepare(after(f, deed), X)
    assert bits(prepared(X)) == bits(prepare(f, X)(X))
    assert errors and {type(error) for error in errors} == {sd.BusyError}
    assert bits(prepared(X)) == bits(prepare(f, X)(X))


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_B9_a_state_cannot_be_set_during_a_run(backend, prepare):
    f = entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0].f
    errors = []

    def deed(x):
        errors.append(attempt(lambda: prepared.__setstate__({"_f": cube, "_idle": []}))[1])

    prepared = prepare(after(f, deed), X)
    assert bits(prepared(X)) == bits(prepare(f, X)(X))
    assert errors and all(isinstance(error, (AttributeError, TypeError, sd.BusyError)) for error in errors)


KERNEL_MISUSE = """
import numpy as np, steepest as sd
from steepest.kernels.callback import PythonFunction, ScalarFunction, BatchFunction
from steepest.kernels.difference import Differences
x = np.arange(3.0)
def f(y):
    for call in (lambda: function.__init__(f, (), None, (1000,), x.dtype),
                 lambda: differences.__init__(1000, x.dtype, 2, 2, 1e-5),
                 lambda: differences.plan(np.zeros(3)), lambda: function.begin(np.full(3, 7.0)),
                 lambda: function.finish(), lambda: differences.combine()):
        try:
            call()
        except Exception:
            pass
    return float((y * y).sum())
for kind in (PythonFunction, BatchFunction):
    function = kind(f, (), None, (3,), x.dtype)
    differences = Differences(3, x.dtype, 2, 2, 1e-5)
    for _ in range(100):
        try:
            differences.gradient(function, x, np.empty(3))
        except Exception:
            pass
"""


def test_B9_kernel_objects_misused_from_inside_f_do_not_crash():
    in_a_process(KERNEL_MISUSE)
