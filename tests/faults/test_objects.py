"""Prepared objects and kernel objects that are copied, pickled, forged, half made or subclassed; memory that runs out.

Here because an object is only as safe as the strangest way of making one.
It tests rows F1, F2, F4, F5 (no memory, impossible sizes) and I1 to I4 (pickles, forged states) of the catalogue.
"""

import copy
import functools
import io
import pickle
import sys

import numpy as np
import pytest

import steepest as sd
from steepest.kernels import callback, difference
from steepest.reference.difference import CENTRAL

from .contract import X, attempt, bits, bowl, bowls, curves, entries, in_a_process

PREPARED = [
    (sd.Gradient, bowl, {}),
    (sd.Gradient, bowl, {"method": "forward", "order": 3, "args": (1,), "kwargs": {"key": 2}}),
    (sd.Gradient, bowls, {"vectorized": True, "x_scale": np.array([1.0, 2.0, 3.0])}),
    (sd.Gradient, bowl, {"method": "complex"}),
    (sd.Jacobian, curves, {}),
    (sd.Jacobian, curves, {"bounds": (X, X + 1.0), "rel_step": 1e-5}),
]
ROUND_TRIPS = {f"protocol {n}": functools.partial(lambda n, thing: pickle.loads(pickle.dumps(thing, n)), n)
               for n in range(pickle.HIGHEST_PROTOCOL + 1)} | {"copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("trip", ROUND_TRIPS)
@pytest.mark.parametrize(("prepare", "f", "options"), PREPARED)
def test_I1_a_copy_gives_the_same_bits_and_shares_no_workspace(backend, prepare, f, options, trip):
    original = prepare(f, X, **options)
    expected = bits(original(X))
    twin = ROUND_TRIPS[trip](original)
    assert type(twin) is prepare and repr(twin) == repr(original)
    assert bits(twin(X)) == expected and bits(ROUND_TRIPS[trip](twin)(X)) == expected
    workspaces = [{id(part) for part in vars(thing).values() if isinstance(part, list)} for thing in (original, twin)]
    assert not set.intersection(*workspaces)
    assert bits(original(X)) == expected


@pytest.mark.parametrize("trip", ["protocol 2", "protocol 5", "copy", "deepcopy"])
def test_I1_a_copy_may_be_made_in_mid_run_and_used_there(backend, trip):
    expected, found = bits(sd.Gradient(bowl, X)(X)), []

    class Function:
        def __call__(self, x):
            if not found:
                found.append(None)
                found[0] = bits(ROUND_TRIPS[trip](prepared)(X)) if trip == "copy" else bits(copy.copy(prepared)(X))
            return bowl(x)

    prepared = sd.Gradient(Function(), X)
    assert bits(prepared(X)) == expected and found == [expected]


def test_I1_an_f_that_cannot_be_pickled_is_an_error_of_pickle(backend):
    prepared = sd.Gradient(lambda x: bowl(x), X)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(prepared)
    assert bits(prepared(X)) == bits(sd.Gradient(bowl, X)(X))


def test_I1_a_pickle_is_small_and_holds_no_workspace():
    big = sd.Gradient(bowl, np.zeros(1000))
    big(np.zeros(1000))
    assert len(pickle.dumps(big)) < 1000 * 8 + 2000


KERNEL_OBJECTS = {
    "PythonFunction": lambda: callback.PythonFunction(bowl, (), None, (3,), X.dtype),
    "ScalarFunction": lambda: callback.ScalarFunction(abs, (), None, (3,), X.dtype),
    "BatchFunction": lambda: callback.BatchFunction(bowls, (), None, (3,), X.dtype),
    "Differences": lambda: difference.Differences(3, X.dtype, CENTRAL, 2, 1e-5),
}


@pytest.mark.parametrize("name", KERNEL_OBJECTS)
def test_I1_kernel_objects_refuse_to_be_pickled_or_copied(name):
    made = KERNEL_OBJECTS[name]()
    for trip in ROUND_TRIPS.values():
        with pytest.raises((TypeError, pickle.PicklingError)):
            trip(made)


FORGED = [
    {}, {"_idle": []}, {"_idle": [None]}, {"_idle": [object()]}, {"_idle": None},
    {"_f": bowl, "_x0": None, "_idle": []},
    {"_f": bowl, "_x0": np.zeros(10**6), "_idle": [], "_settings": None},
]


@pytest.mark.parametrize("state", FORGED, ids=range(len(FORGED)))
@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_I2_a_forged_state_is_an_error_when_used(backend, prepare, state):
    class Forger(pickle.Pickler):
        def reducer_override(self, thing):
            return (object.__new__, (prepare,), dict(state)) if thing is state else NotImplemented

    stream = io.BytesIO()
    error = attempt(Forger(stream, 2).dump, state)[1]
    forged, failed = attempt(pickle.loads, stream.getvalue()) if error is None else (None, error)
    if failed is not None:
        forged = object.__new__(prepare)
        vars(forged).update(state)
    for call in (lambda: forged(X), lambda: forged(X, np.empty(3))):
        assert isinstance(attempt(call)[1], (AttributeError, TypeError, ValueError))


def test_I2_a_forged_constructor_call_is_checked_like_any_other(backend):
    make, (f, x0) = sd.Gradient(bowl, X).__reduce__()[:2]
    for arguments, kind in (((f, None), TypeError), ((None, x0), TypeError), ((f, [np.nan]), ValueError),
                            ((f, "abc"), TypeError), ((), TypeError)):
        with pytest.raises(kind):
            make(*arguments)
    with pytest.raises((ValueError, TypeError)):
        functools.partial(make, order=10**9)(f, x0)


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_I3_an_object_made_without_init_raises_and_never_crashes(backend, prepare):
    empty = prepare.__new__(prepare)
    uses = [lambda: empty(X), lambda: empty(X, np.empty(3)), lambda: empty.shape, lambda: empty.dtype,
            lambda: pickle.dumps(empty), lambda: copy.copy(empty)]
    if prepare is sd.Gradient:
        uses.append(lambda: empty.value_and_gradient(X))
    for use in uses:
        assert isinstance(attempt(use)[1], Exception)
    empty.__init__(bowl if prepare is sd.Gradient else curves, X)
    assert bits(empty(X)) == bits(prepare(bowl if prepare is sd.Gradient else curves, X)(X))


HALF_MADE = """
import numpy as np
from steepest.kernels import callback, difference
x = np.zeros(3)

def f(x):
    return 1.0

def use(thing):
    function = callback.PythonFunction(f, (), None, (3,), x.dtype)
    differences = difference.Differences(3, x.dtype, 2, 2, 1e-5)
    arguments = [(), (x,), (np.zeros(0),), (None,), (x, x), (x, None), (function,), (function, x, x), (differences,),
                 (thing,), (thing, x, x), (function, 0, 3), (0, 3), (function, -1, 10**6), (10**9,), ("a",), (1.0,)]
    for name in dir(thing):
        if name.startswith("__") and name not in ("__call__", "__repr__", "__reduce__", "__setstate__", "__getstate__"):
            continue
        try:
            attribute = getattr(thing, name)
        except Exception:
            continue
        if callable(attribute):
            for given in arguments:
                try:
                    attribute(*given)
                except Exception:
                    pass

for kind in {kinds}:
    use(kind.__new__(kind))
    class Sub(kind):
        pass
    use(Sub.__new__(Sub))
"""


@pytest.mark.parametrize("kinds", [
    "[callback.PythonFunction]", "[callback.ScalarFunction]", "[callback.BatchFunction]", "[callback.Function]",
    "[difference.Differences]", "[callback.Memory] if hasattr(callback, 'Memory') else []",
])
def test_I3_kernel_objects_made_without_init_never_crash(kinds):
    in_a_process(HALF_MADE.replace("{kinds}", kinds))


OUT_OF_ORDER = """
import numpy as np
from steepest.kernels import callback, difference
x = np.arange(3.0)
def f(x):
    return 1.0
def tries(*calls):
    for call in calls:
        try:
            call()
        except Exception:
            pass
for kind in (callback.PythonFunction, callback.ScalarFunction, callback.BatchFunction):
    for entries in (None, [-2, -2, -2], [-1, -1, -1], [0, 1, 10**9], [-3, 0, 1], [2**62] * 3):
        for prepare in (False, True):
            function = kind(f, (), None, (3,), x.dtype)
            made = []
            tries(lambda: made.append(difference.Differences(
                3, x.dtype, 2, 2, 1e-5, entries=None if entries is None else np.array(entries, np.intp))))
            if not made:
                continue
            if prepare and hasattr(function, "begin"):
                tries(lambda: function.begin(x))
            tries(lambda: made[0].evaluate(function), lambda: made[0].combine(), lambda: made[0].plan(x),
                  lambda: made[0].evaluate(function), lambda: made[0].evaluate(function, 0, 3),
                  lambda: made[0].evaluate(function, 2, 1), lambda: made[0].evaluate(function, -5, 3),
                  lambda: made[0].combine(0, 10**9), lambda: made[0].commit(np.zeros(3)),
                  lambda: made[0].commit(np.zeros(2)), lambda: made[0].set_base(np.zeros(100)),
                  lambda: made[0].gradient(function, x, np.zeros(3)), lambda: made[0].gradient(function, x, x[:2]))
"""


def test_I3_kernel_objects_used_out_of_order_never_crash():
    in_a_process(OUT_OF_ORDER, PYTHONMALLOC="debug")


OVERRIDING = """
import numpy as np
from steepest.kernels import callback, difference
x = np.arange(3.0)
for kind in (callback.PythonFunction, callback.BatchFunction, callback.ScalarFunction):
    names = [name for name in dir(kind) if not name.startswith("__")]
    for answer in (0, None, -1, 10**9, "text"):
        body = {name: (lambda self, *args, _answer=answer, **kwargs: _answer) for name in names}
        function = type("Sub", (kind,), body)(lambda x: 1.0, (), None, (3,), x.dtype)
        for _ in range(3):
            try:
                differences = difference.Differences(3, x.dtype, 2, 2, 1e-5)
                differences.gradient(function, x, np.zeros(3))
                differences.plan(x)
                differences.evaluate(function)
            except Exception:
                pass
"""


def test_I4_kernels_survive_subclasses_that_override_their_methods():
    in_a_process(OVERRIDING)


def test_I4_a_subclass_of_a_prepared_object_may_extend_it(backend):
    class Counting(sd.Gradient):
        calls = 0

        def __call__(self, x, out=None):
            self.calls += 1
            return super().__call__(x, out)

    counting = Counting(bowl, X)
    assert bits(counting(X)) == bits(sd.Gradient(bowl, X)(X)) and counting.calls == 1
    counting.value_and_gradient(X)
    assert counting.calls == 1
    assert type(copy.copy(counting)) is Counting


NO_MEMORY = """
import sys
import numpy as np, steepest as sd
from _testcapi import remove_mem_hooks, set_nomemory
def f(x):
    return x[0] * x[1]
x, out = np.array([0.5, -1.25]), np.full(2, 7.0)
prepared = sd.Gradient(f, x)
calls = {
    "gradient": lambda: sd.gradient(f, x),
    "prepared": lambda: prepared(x),
    "out": lambda: prepared(x, out),
    "making": lambda: sd.Gradient(f, x),
}
for name, call in calls.items():
    right = call()
    call()
    for once in (True, False):
        failures = successes = k = 0
        while successes < 20:
            out.fill(7.0)
            try:
                set_nomemory(k, k + 1 if once else 0)
                try:
                    result = call()
                finally:
                    remove_mem_hooks()
                successes += 1
            except MemoryError:
                result, failures, successes = None, failures + 1, 0
                assert (out == 7.0).all()
            if result is not None and name != "making":
                assert result.tobytes() == x[::-1].round(8).tobytes() or np.allclose(result, x[::-1], atol=1e-8)
            k += 1
            assert k < 5000
        assert failures > 3, (name, failures)
    assert np.allclose(prepared(x), x[::-1])
print("done")
"""


def test_F1_every_allocation_of_python_may_fail_on_the_quick_road():
    """Once, or from then on: MemoryError or the right result. The careful road runs NumPy, which crashes by itself."""
    pytest.importorskip("_testcapi")
    assert "done" in in_a_process(NO_MEMORY)


NO_BUFFERS = """
import os, sys, traceback
from tests.faults.contract import ENTRIES, X, bits, right
from tests.faults.failing_buffers import FailingBuffers
import steepest as sd
try:
    with sd.backend({backend!r}):
        for entry in ENTRIES:
            expected = right(entry)
            with FailingBuffers() as buffers:
                for on in (False, True):
                    k = failures = 0
                    while k == 0 or buffers.count >= k:
                        # verdicts take thousands of buffers, and what is written in NumPy takes hundreds
                        k += 41 if entry.judges else 1 if {backend!r} == "kernels" else 5
                        result, error = buffers.attempt(k, on, lambda: entry.call(entry.f, X))
                        good = isinstance(error, MemoryError) or error is None and bits(result) == expected
                        assert good, (entry.name, k, on, error)
                        failures += error is not None
                    assert failures > 0, entry.name
            assert right(entry) == expected
except BaseException:
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
os._exit(0)     # some buffers may outlive the allocator that they came from
"""


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(np, "_core"), reason="needs NumPy 2 and a C library")
def test_F2_every_data_buffer_of_numpy_may_fail(backend):
    in_a_process(NO_BUFFERS.format(backend=backend))


@pytest.mark.parametrize("rows", [2**63 - 1, 2**62, 2**60, 2**59, -1], ids=str)
def test_F4_sizes_are_multiplied_with_care(rows):
    with pytest.raises((OverflowError, ValueError, MemoryError)):
        difference.Differences(rows, X.dtype, CENTRAL, 2, 1e-5)
    with pytest.raises((OverflowError, ValueError, MemoryError)):
        difference.Differences(3, X.dtype, CENTRAL, 2, 1e-5, size=rows)
    with pytest.raises((OverflowError, ValueError, MemoryError)):
        difference.Differences(3, X.dtype, CENTRAL, 2, 1e-5, size=3, block=rows)


@pytest.mark.parametrize("shape", [(2**62,), (2**32, 2**32), (2**31, 2**31, 2**31), (-1,), (2**63 - 1, 2)], ids=str)
def test_F4_shapes_are_multiplied_with_care(shape):
    for kind in (callback.PythonFunction, callback.BatchFunction, callback.ScalarFunction):
        made, error = attempt(kind, bowl, (), None, shape, X.dtype)
        if error is None:
            error = attempt(difference.Differences(3, X.dtype, CENTRAL, 2, 1e-5).gradient, made, X, np.empty(3))[1]
            assert made.count == int(np.prod(shape, dtype=object)) or error is not None
        else:
            assert isinstance(error, (OverflowError, ValueError, MemoryError))


@pytest.mark.parametrize("shape", [(10**15,), (10**18 // 8,), (2**24, 2**24)], ids=str)
@pytest.mark.parametrize("entry", entries(one_point=True), ids=str)
def test_F5_a_huge_x_is_a_memory_error_and_no_loop_starts(backend, entry, shape):
    def never(x, *args):
        raise AssertionError("f was called")

    error = attempt(entry.call, never, np.broadcast_to(np.float64(0.0), shape))[1]
    assert isinstance(error, (MemoryError, ValueError))


def test_F5_a_huge_result_is_a_memory_error(backend):
    for entry in entries(kinds=["vector"]):
        error = attempt(entry.call, lambda x: np.broadcast_to(0.0, 10**14), X)[1]
        assert isinstance(error, MemoryError), error
