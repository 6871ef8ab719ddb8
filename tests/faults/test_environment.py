"""The processor's floating-point mode, as the caller has set it and as it is left.

Here because one library that flushes denormals, or leaves another rounding behind, changes results of all others.
It tests rows J1 and J3 of the catalogue, and that importing the library changes nothing.
"""

import warnings

import numpy as np
import pytest

import steepest as sd

from .contract import ENTRIES, X, arrays_of, attempt, bits, counted, entries, in_a_process, name_of, on_call, right

IMPORT = """
import ctypes, locale, random, signal, sys, threading, warnings
import numpy as np
import scipy.optimize       # adds warning filters of its own

def world():
    libm = ctypes.CDLL(None)
    fenv = (ctypes.c_uint8 * 64)()
    libm.fegetenv(fenv)
    control = bytes(fenv[:4]) + (bytes([fenv[28] & 0xC0, fenv[29]]) if sys.platform == "linux" else b"")
    return (libm.fegetround(), control, float("5e-324") * float("1") != 0, list(warnings.filters), np.geterr(),
            locale.setlocale(locale.LC_ALL), random.getstate(), threading.active_count(),
            [signal.getsignal(number) for number in signal.valid_signals()], np.random.get_state()[1].tolist())

before = world()
import steepest as sd
assert world() == before, "changed by import"
for backend in ("kernels", "reference"):
    with sd.backend(backend):
        sd.gradient(lambda x: x[0] * x[1], [1.0, 2.0])
        sd.gradient_descent(lambda x: x[0] * x[0], [1.0], steps=2)
after = world()
assert after == before, ("changed by a call", [(a, b) for a, b in zip(before, after) if a != b])
"""


def test_J3_import_and_calls_leave_the_process_as_it_was():
    """Rounding, denormals, warnings, error state of NumPy, locale, random numbers, threads and signals (P8)."""
    in_a_process(IMPORT)


def settable(processor):
    if not processor.settable:
        pytest.skip("the mode cannot be set on this platform")


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_J1_flushing_denormals_changes_no_bit(backend, entry, processor):
    settable(processor)
    expected = right(entry)
    with processor.changed(flush=True):
        found = bits(entry.call(entry.f, X.copy()))
    assert found == expected


@pytest.mark.parametrize("x", [0.0, 5e-324, 1e-310, -1e-310, 2.3e-308, 1e-300], ids=str)
@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"rel_step": 1e-3}, {"step": 1e-310}], ids=name_of)
def test_J1_a_denormal_x_is_moved_even_when_denormals_are_flushed(backend, x, options, processor):
    settable(processor)
    f = counted(lambda x: 3.0 * x)
    with processor.changed(flush=True), warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        found, error = attempt(sd.derivative, f, x, **options)
    if "step" in options:
        assert isinstance(error, ValueError) and "step" in str(error)      # flushed, it is a step of 0
        return
    warned = any(issubclass(warning.category, sd.DifferenceWarning) for warning in caught)
    assert f.calls and (abs(found - 3.0) < 1e-3 or warned)


@pytest.mark.parametrize("mode", ["upward", "downward", "toward zero"])
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_J3_the_mode_of_the_caller_is_kept(backend, entry, mode, processor):
    """The derivative stays right to rounding, the mode as the caller has set it, also after a failure."""
    settable(processor)
    expected = entry.call(entry.f, X.copy())
    with processor.changed(rounding=mode):
        before = processor.mode()
        found = entry.call(entry.f, X.copy())
        attempt(entry.call, on_call(2, entry.f, lambda x, result: None), X.copy())
        after = processor.mode()
    assert after == before
    for one, other in zip(arrays_of(found), arrays_of(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", [{}, {"order": 8}, {"method": "forward"}, {"full_output": True}], ids=name_of)
@pytest.mark.parametrize("entry", entries("method", "order", "full_output"), ids=str)
def test_J3_no_flag_is_raised_on_good_data(backend, entry, method, processor):
    """Flags of invalid operation, overflow and division by zero stay clear where f raised none."""
    settable(processor)
    processor.flags(clear=True)
    entry.call(entry.f, X.copy(), **method)
    assert processor.flags(clear=True) == 0
