"""Compiled functions, kernel against reference: the same bits, the same counts, the same errors.

Here because the kernel calls by pointer and without the GIL, its twin through ctypes with a copy of x for each call.
It tests kernels/native.pyx and reference/native.py; what users may hand over is tested in test_compiled.py.
"""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_library import Pause, Weights, curves, rosenbrock
from twins import SCHEMES, factor_of, same_bits

import steepest as sd
from steepest.kernels import difference as kernel_difference
from steepest.kernels.callback import Compiled
from steepest.kernels.native import NativeFunction as KernelFunction
from steepest.reference import difference as reference_difference
from steepest.reference.callback import COARSE, GOOD, SIGNATURES, TAMPERED
from steepest.reference.difference import CENTRAL, FORWARD
from steepest.reference.native import NativeFunction as ReferenceFunction

SIDES = ((KernelFunction, kernel_difference), (ReferenceFunction, reference_difference))
FLOAT = np.dtype(np.float64)
X = np.array([0.5, -1.25, 2.0, 0.75])
M = 5


def described(native, name, size=-1, data=None):
    return Compiled(native.address(name), native.signature(name), 0 if data is None else data.pointer.value, data,
                    size=size)


def run_both(compiled, x, method=CENTRAL, order=2, *, vector=False, each=False, entries=None, along=None, **options):
    """Plan, evaluate and combine on both sides; a dictionary of everything that must be equal, for each."""
    seen = []
    for make, difference in SIDES:
        function = make(compiled, x.shape, x.dtype, vector, each)
        rows = x.size if entries is None else len(entries)
        differences = difference.Differences(
            rows, x.dtype, method, order, factor_of(x.dtype, method, order), function.size, own_base=each,
            entries=entries, **options)
        function.begin(x)
        if along is not None:
            function.along(along)
        differences.plan(x.reshape(-1) if along is None else np.zeros(1))
        code = differences.evaluate(function)
        seen.append({
            "code": code, "finish": function.finish(), "bad": differences.combine() if code == GOOD else None,
            "nfev": function.nfev, "result": differences.result, "status": differences.status, "eps": function.eps,
            "size": function.size,
        })
    return seen


def agree(seen):
    kernel, reference = seen
    return all(same_bits(kernel[name], reference[name]) for name in ("result", "status")) and all(
        kernel[name] == reference[name] for name in ("code", "finish", "bad", "nfev", "eps", "size"))


@pytest.mark.parametrize(("method", "order"), SCHEMES)
@pytest.mark.parametrize(("name", "size"), [
    ("rosenbrock", -1), ("rosenbrock_data", -1), ("checked", 1), ("curves", M), ("checked_curves", M), ("root", -1),
])
def test_kernel_and_reference_have_the_same_bits(native, name, size, method, order):
    assert agree(run_both(described(native, name, size), X, method, order, vector=size > 1))


@given(
    x=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9),
    scheme=st.sampled_from(SCHEMES),
    name=st.sampled_from(["rosenbrock", "root", "checked"]),
)
def test_kernel_and_reference_have_the_same_bits_anywhere(native, x, scheme, name):
    x = np.array(x)
    if name == "checked":
        x[0] = min(x[0], 9.0)
    assert agree(run_both(described(native, name, 1 if name == "checked" else -1), x, *scheme))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 1, 3)])
def test_x_may_have_any_shape(native, shape):
    x = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    assert agree(run_both(described(native, "rosenbrock"), x))


def test_the_numbers_are_those_of_the_python_function(native):
    x = X
    for order in (2, 4, 6, 8):
        expected = sd.gradient(rosenbrock, x, order=order)
        assert same_bits(sd.gradient(described(native, "rosenbrock"), x, order=order), expected)
    assert same_bits(sd.jacobian(described(native, "curves", M), x), sd.jacobian(lambda x: curves(x, M), x))


def test_one_number_at_a_time(native):
    weights = Weights([3.0])
    compiled = described(native, "weighted", data=weights)
    assert agree(run_both(compiled, X, each=True))
    assert same_bits(sd.derivative(compiled, X), sd.derivative(lambda t: 0.0 + 3.0 * t * t, X))


@pytest.mark.parametrize(("name", "size"), [("rosenbrock", -1), ("curves", M)])
def test_along_a_line(native, name, size):
    entries = np.array([reference_difference.LINE])
    direction = np.array([1.0, -2.0, 0.5, 0.0])
    assert agree(run_both(described(native, name, size), X, vector=size > 1, entries=entries, along=direction))


@pytest.mark.parametrize("name", ["writes_into_x", "curves_into_x"])
def test_a_function_that_writes_into_x_is_found_out_and_given_copies(native, name):
    vector = name.startswith("curves")
    compiled = described(native, name, M if vector else -1)
    function = KernelFunction(compiled, X.shape, FLOAT, vector)
    differences = kernel_difference.Differences(X.size, FLOAT, CENTRAL, 2, 6e-6, function.size)
    function.begin(X)
    differences.plan(X)
    assert differences.evaluate(function) == TAMPERED
    function.fresh = True
    function.begin(X)
    differences.plan(X)
    assert (differences.evaluate(function), function.finish()) == (GOOD, GOOD)


@pytest.mark.parametrize(("name", "place"), [
    ("writes_before_x", "x"), ("writes_past_x", "x"), ("writes_before_out", "out"), ("writes_past_out", "out"),
])
@pytest.mark.parametrize("make", [side[0] for side in SIDES])
def test_writing_outside_is_noticed(native, make, name, place):
    vector = place == "out"
    function = make(described(native, name, M if vector else -1), X.shape, FLOAT, vector)
    with pytest.raises(sd.FunctionError, match=f"f has written outside of {place}, which"):
        function.value_at(X)


def test_what_f_leaves_unset_is_not_a_number(native, backend):
    with pytest.warns(sd.DifferenceWarning):
        jacobian = sd.jacobian(described(native, "leaves_unset", M), X)
    assert np.isnan(jacobian[1::2]).all()
    assert same_bits(jacobian[::2], sd.jacobian(described(native, "curves", M), X)[::2])


def test_a_status_above_zero_is_a_point_without_a_value(native, backend):
    x = np.array([1e-9, 0.5])  # a step to the left leaves the domain
    full = sd.gradient(described(native, "checked"), x, full_output=True)
    assert full.success
    assert full.status.tolist() == [sd.Status.ONE_SIDED, sd.Status.RESOLVED]
    assert np.allclose(full.value, sd.gradient(rosenbrock, x), rtol=1e-5)


def test_a_status_below_zero_ends_the_run_and_is_told(native, backend):
    with pytest.raises(sd.FunctionError, match="f returned the status -3") as caught:
        sd.gradient(described(native, "checked"), [1.0, 1.0, 20.0][::-1])
    assert caught.value.status == -3
    assert caught.value.__notes__ == ["steepest: in evaluation 1 of f, with x[0] = 20.000060554544525"]


def test_how_many_numbers_f_gives_must_be_known(native, backend):
    curve = described(native, "curves")
    with pytest.raises(ValueError, match="how many numbers f gives cannot be known from its signature: give f0= or"):
        sd.jacobian(curve, X)
    expected = sd.jacobian(described(native, "curves", M), X)
    out = np.empty((M, X.size))
    assert same_bits(sd.jacobian(curve, X, out=out), expected)
    assert same_bits(sd.jacobian(curve, X, f0=curves(X, M)), expected)
    assert same_bits(sd.jvp(curve, X, X, out=np.empty(M)), sd.jvp(described(native, "curves", M), X, X))


def test_a_vector_function_of_one_result_is_a_scalar_function(native, backend):
    assert same_bits(sd.gradient(described(native, "curves"), X), sd.gradient(lambda x: x[0] * x[1] + 0 * x[0], X))
    with pytest.raises(ValueError, match="f gives 5 numbers, expected one"):
        sd.gradient(described(native, "curves", M), X)


def test_float32_is_computed_in_float64_and_given_back_in_float32(native, backend):
    x = X.astype(np.float32)
    gradient = sd.gradient(described(native, "rosenbrock"), x)
    assert gradient.dtype == np.float32
    assert same_bits(gradient, sd.gradient(rosenbrock, x.astype(float)).astype(np.float32))
    value, gradient = sd.value_and_gradient(described(native, "rosenbrock"), x)
    assert value.dtype == gradient.dtype == np.float32


def test_less_precision_makes_longer_steps(native):
    exact = described(native, "rosenbrock")
    coarse = Compiled(exact.address, exact.signature, eps=2.0**-23)
    step = sd.gradient(coarse, X, full_output=True).step
    assert (step > 100 * sd.gradient(exact, X, full_output=True).step).all()
    function = KernelFunction(coarse, X.shape, FLOAT)
    assert function.eps == 2.0**-23
    function.eps = 1e-16
    assert function.value_at(X) == rosenbrock(X)
    assert COARSE != GOOD


def test_other_threads_run_meanwhile(native):
    pause = Pause(20_000)
    done = threading.Event()
    ticks = []

    def tick():
        while not done.wait(0.001):
            ticks.append(pause.calls)

    other = threading.Thread(target=tick)
    other.start()
    sd.gradient(described(native, "slow", data=pause), [1.0, 2.0])
    done.set()
    other.join()
    assert len(set(ticks)) >= 3     # it saw several of the four calls begin


def test_a_function_at_work_cannot_be_begun_again(native):
    pause = Pause(20_000)
    function = KernelFunction(described(native, "slow", data=pause), (2,), FLOAT)
    differences = kernel_difference.Differences(2, FLOAT, CENTRAL, 2, 6e-6)
    function.begin(np.zeros(2))
    differences.plan(np.zeros(2))
    worker = threading.Thread(target=differences.evaluate, args=(function,))
    worker.start()
    while not pause.calls:
        pass
    with pytest.raises(sd.BusyError):
        function.begin(np.ones(2))
    with pytest.raises(sd.BusyError):
        function.along(np.ones(2))
    with pytest.raises(sd.BusyError):
        differences.evaluate(function)
    with pytest.raises(sd.BusyError):
        KernelFunction(function.compiled, (2,), FLOAT).follow(function)
    worker.join()
    assert function.nfev == 4


def test_functions_that_were_never_made_refuse_every_call(native):
    function = KernelFunction.__new__(KernelFunction)
    with pytest.raises(ValueError, match="does not suit"):
        function.begin(X)
    compiled = Compiled.__new__(Compiled)
    with pytest.raises(ValueError, match="never described"):
        compiled(X)
    with pytest.raises(ValueError, match="never described"):
        KernelFunction(compiled, X.shape, FLOAT)
    made = KernelFunction(described(native, "rosenbrock"), X.shape, FLOAT)
    with pytest.raises(TypeError, match="made once"):
        made.__init__(described(native, "rosenbrock"), X.shape, FLOAT)
    with pytest.raises(sd.BusyError, match="described once"):
        made.compiled.__init__(1, SIGNATURES[0])


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_address_is_not_pickled(native, act):
    with pytest.raises(TypeError, match="f is compiled: its address means nothing elsewhere"):
        act(described(native, "rosenbrock"))


def test_a_compiled_function_is_callable_from_python(native):
    assert described(native, "rosenbrock")(X) == rosenbrock(X)
    assert same_bits(described(native, "curves", M)(X), curves(X, M))
    assert np.isnan(described(native, "checked", 1)([-1.0, 0.0])).all()
    with pytest.raises(sd.FunctionError, match="status -3"):
        described(native, "checked", 1)([11.0, 0.0])
    with pytest.raises(ValueError, match="how many numbers f gives is not known"):
        described(native, "curves")(X)


@pytest.mark.parametrize("make", [side[0] for side in SIDES])
def test_only_float64_is_seen_by_c(native, make):
    for dtype in map(np.dtype, "fgFD"):
        with pytest.raises(TypeError, match="x must be of float64 for a compiled f"):
            make(described(native, "rosenbrock"), (3,), dtype)


def test_evaluations_are_counted(native, backend):
    pause = Pause(0)
    slow = described(native, "slow", data=pause)
    full = sd.gradient(slow, X, full_output=True)
    assert full.nfev == pause.calls
    pause.calls = 0
    assert sd.gradient(slow, X, method="forward", full_output=True).nfev == pause.calls
    pause.calls = 0
    run = sd.gradient_descent(slow, X, lr=1e-4, steps=3)
    assert run.nfev == pause.calls == 2 + 4 * 2 * X.size


def test_forward_differences_share_f_at_x(native):
    pause = Pause(0)
    sd.gradient(described(native, "slow", data=pause), X, method="forward")
    assert pause.calls == X.size + 1
    assert agree(run_both(described(native, "rosenbrock"), X, FORWARD, 1))
