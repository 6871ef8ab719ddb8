"""The C library that tests of compiled functions share: it is what its description says.

Here because a mistake in it would look like one of steepest. Tests native_library.py.
"""

import concurrent.futures

import native_library
import numpy as np
import pytest

import steepest as sd
from steepest.compiled_functions import recognise

X = np.array([0.5, -1.25, 2.0])


def test_the_functions_of_the_library_are_those_of_its_description(native):
    listed = [line.split()[0] for line in native_library.__doc__.splitlines()
              if line.startswith("    ") and line[4:5].strip() and not line.startswith("    native.")]
    assert listed == list(native_library.FUNCTIONS)
    assert all(native.address(name) for name in listed)


def test_the_functions_have_the_bits_of_their_twins_in_python(native):
    for x in (X, np.array([1.1, 0.3]), np.linspace(-2, 2, 17)):
        for name in ("rosenbrock", "rosenbrock_data", "writes_into_x"):
            assert recognise(native.ctypes(name))(x) == native_library.rosenbrock(x)
        np.testing.assert_equal(recognise(native.ctypes("root"))(x), native_library.root(x))
        for name in ("curves", "curves_into_x", "checked_curves"):
            found = sd.compiled(native.ctypes(name), size=6)
            np.testing.assert_array_equal(found(abs(x)), native_library.curves(abs(x), 6))


def test_the_structures_are_those_of_the_c_functions(native):
    pause, alone = native_library.Pause(10), native_library.Alone()
    recognise(native.low_level("slow", pause))(X)
    recognise(native.low_level("alone", alone))(X)
    assert (pause.calls, alone.calls, alone.overlaps, alone.inside) == (1, 1, 0, 0)
    error = KeyError("planned")
    raises = native_library.Raises(error, in_call=2)
    found = recognise(native.low_level("raises", raises))
    found(X)
    with pytest.raises(KeyError) as caught:
        found(X)
    assert caught.value is error and raises.calls == 2
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(recognise(native.low_level("alone", alone)), [X] * 64))
    assert alone.calls == 65 and alone.overlaps > 0
