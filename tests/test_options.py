"""Bad arguments are refused before f is called, by errors that name the argument, what came and what was expected.

Here because a wrong option that is taken quietly is a wrong answer. Tests options.py through every entry point.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import Bounds

import steepest as sd
from steepest.options import as_point, check_out

X = np.array([1.0, 2.0])


def never(x):
    raise AssertionError("f was called")


ENTRIES = {
    "derivative": lambda f, x=X, **options: sd.derivative(f, x, **options),
    "gradient": lambda f, x=X, **options: sd.gradient(f, x, **options),
    "value_and_gradient": lambda f, x=X, **options: sd.value_and_gradient(f, x, **options),
    "jacobian": lambda f, x=X, **options: sd.jacobian(f, x, **options),
    "jvp": lambda f, x=X, **options: sd.jvp(f, x, np.ones(np.shape(x)), **options),
    "Gradient": lambda f, x=X, **options: sd.Gradient(f, x, **options)(x),
    "Jacobian": lambda f, x=X, **options: sd.Jacobian(f, x, **options)(x),
}

BAD_OPTIONS = [
    ({"method": "centrl"}, ValueError, "method must be one of 'central', .*not 'centrl'"),
    ({"method": None}, ValueError, "method must be one of"),
    ({"method": 2}, ValueError, "method must be one of"),
    ({"order": 3}, ValueError, "order must be one of 2, 4, 6, 8 for method='central', not 3"),
    ({"order": 2.0}, TypeError, "order must be an integer, not 2.0"),
    ({"order": "2"}, TypeError, "order must be an integer"),
    ({"method": "forward", "order": 6}, ValueError, "order must be one of 1, 2, 3, 4"),
    ({"step": 0.0}, ValueError, "step must be positive and finite, but step is 0.0"),
    ({"step": -1e-3}, ValueError, "step must be positive"),
    ({"step": math.nan}, ValueError, "step must be positive"),
    ({"step": math.inf}, ValueError, "step must be positive"),
    ({"step": "big"}, TypeError, "step must be a number"),
    ({"step": [1e-3, 1e-3, 1e-3]}, ValueError, r"step must be a number"),
    ({"step": [1e-3, 0]}, ValueError, r"step"),
    ({"step": 1j}, TypeError, "step must be a real number"),
    ({"rel_step": 0.0}, ValueError, "rel_step must be positive"),
    ({"rel_step": -1.0}, ValueError, "rel_step must be positive"),
    ({"step": 1e-3, "rel_step": 1e-3}, ValueError, "step and rel_step cannot both be given"),
    ({"x_scale": 0.0}, ValueError, "x_scale must be positive"),
    ({"x_scale": "large"}, ValueError, "x_scale must be a positive number"),
    ({"x_scale": [1.0, math.nan]}, ValueError, r"x_scale must be positive and finite, but x_scale\[1\] is nan"),
    ({"bounds": 3}, TypeError, "bounds must be a pair"),
    ({"bounds": (1, 2, 3)}, TypeError, "bounds must be a pair"),
    ({"bounds": (2.0, 1.0)}, ValueError, r"bounds must have lb <= ub, but lb\[0\] is 2.0 and ub\[0\] is 1.0"),
    ({"bounds": ([0, math.nan], 3)}, ValueError, "lb in bounds must not be NaN"),
    ({"bounds": (0, "3")}, TypeError, "ub in bounds"),
    ({"bounds": (0, [1, 2, 3])}, ValueError, "ub in bounds must be a number or have the shape of x"),
    ({"bounds": (1.5, 3)}, ValueError, r"x must lie within bounds, but x\[0\] is 1.0, outside \[1.5, 3.0\]"),
    ({"bounds": Bounds([0, 0], [3, 1.5])}, ValueError, r"x must lie within bounds, but x\[1\] is 2.0"),
    ({"kwargs": 3}, TypeError, "kwargs must be a dict, not int"),
    ({"vectorized": "yes"}, TypeError, "vectorized must be True or False"),
    ({"workers": 0}, ValueError, "workers must be at least 1, or -1 for all cores, not 0"),
    ({"workers": 2.0}, TypeError, r"workers must be None, a number of processes, an executor, .* not 2\.0"),
    ({"progress": 1}, TypeError, "progress must be True or False, not 1"),
    ({"colour": 1}, TypeError, "colour"),
]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("options, error, words", BAD_OPTIONS, ids=lambda value: str(value)[:40])
def test_bad_options_are_named_before_f_is_called(entry, options, error, words):
    if entry == "jvp" and any(np.ndim(options.get(name)) for name in ("step", "rel_step")):
        words = "step and rel_step must be numbers"
        error = ValueError
    with pytest.raises(error, match=words):
        ENTRIES[entry](never, **options)


BAD_POINTS = [
    (None, TypeError, "x0? must be a number or an array of numbers, not NoneType"),
    ("1.5", TypeError, "not str"),
    (b"1", TypeError, "not bytes"),
    ({1: 2}, TypeError, "not dict"),
    ([1.0, math.nan], ValueError, r"x0? must be finite, but x0?\[1\] is nan"),
    ([[1.0], [math.inf]], ValueError, r"x0?\[1, 0\] is inf"),
    ([1.0, "2"], TypeError, "x"),
    ([1.0, None], TypeError, r"x0?\[1\] is None"),
    ([[1.0], [1.0, 2.0]], ValueError, "x0? must be"),
    (np.array(["2020-01-01"], "M8[D]"), TypeError, "x0? must be numeric, not of dtype datetime64"),
    (np.zeros(1, [("a", float)]), TypeError, "x0? must be numeric"),
    (np.ma.masked_array([1.0, 2.0], [False, True]), TypeError, "masked"),
    (sparse.csr_array(np.eye(2)), TypeError, "x0? must be"),
    (object(), TypeError, "x0? must be"),
]


@pytest.mark.parametrize("entry", [name for name in ENTRIES if name != "jvp"])
@pytest.mark.parametrize("x, error, words", BAD_POINTS, ids=lambda value: str(value)[:30])
def test_bad_points_are_named_before_f_is_called(entry, x, error, words):
    with pytest.raises(error, match=words):
        ENTRIES[entry](never, x)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_f_that_cannot_be_called_is_named(entry):
    for f in (None, 3, "f", [never]):
        with pytest.raises(TypeError, match="f must be callable, not"):
            ENTRIES[entry](f)


def test_directions_are_checked():
    for v, error, words in (
        ([1.0], ValueError, r"v must have the shape of x, \(2,\), but has \(1,\)"),
        ([1.0, math.nan], ValueError, r"v\[1\] is nan"),
        ([1j, 0], TypeError, "v must be real for a real x"),
        (None, TypeError, "v must be"),
    ):
        with pytest.raises(error, match=words):
            sd.jvp(never, X, v)


def test_orders_of_derivatives_are_checked():
    for n, error in ((0, ValueError), (5, ValueError), (1.0, TypeError), (None, TypeError)):
        with pytest.raises(error, match="n must be"):
            sd.derivative(never, 1.0, n)
    with pytest.raises(ValueError, match="n must be 1 for method='complex'"):
        sd.derivative(never, 1.0, 2, method="complex")


def test_a_jacobian_needs_a_vector():
    with pytest.raises(ValueError, match=r"x must have one dimension for a Jacobian, but has shape \(2, 2\)"):
        sd.jacobian(never, np.ones((2, 2)))
    with pytest.raises(ValueError, match="x must have one dimension"):
        sd.Jacobian(never, np.ones((2, 2)))


def test_bounds_make_no_sense_for_complex_points():
    with pytest.raises(ValueError, match="bounds cannot be given for a complex x"):
        sd.gradient(never, X + 1j, bounds=(0, 3))


@pytest.mark.parametrize("entry", ["derivative", "gradient", "value_and_gradient"])
def test_an_out_that_does_not_suit_is_refused_before_f_is_called(entry):
    frozen = np.zeros(2)
    frozen.flags.writeable = False
    overlapping = np.lib.stride_tricks.as_strided(np.zeros(1), (2,), (0,))
    for out, error, words in (
        ([0.0, 0.0], TypeError, "out must be an array, not list"),
        (np.zeros(3), ValueError, r"out must have shape \(2,\), but has \(3,\)"),
        (np.zeros((1, 2)), ValueError, "out must have shape"),
        (np.zeros(2, "f"), TypeError, "out must have dtype float64"),
        (np.zeros(2, ">f8"), TypeError, "out must have dtype float64 in native byte order"),
        (frozen, ValueError, "out must be writeable"),
        (overlapping, ValueError, "out must not overlap itself"),
    ):
        with pytest.raises(error, match=words):
            ENTRIES[entry](never, out=out)


def test_overlap_of_an_out_with_itself_is_seen_in_any_number_of_dimensions():
    memory = np.zeros(16)
    for shape, strides, overlaps in (
        ((3, 3), (24, 8), False), ((3, 3), (8, 24), False), ((3, 3), (8, 8), True), ((2, 3), (16, 8), True),
        ((1, 3), (0, 8), False), ((2, 2), (-16, 8), False),
    ):
        base = memory[8:] if min(strides) < 0 else memory
        out = np.lib.stride_tricks.as_strided(base, shape, strides)
        if overlaps:
            with pytest.raises(ValueError, match="overlap"):
                check_out(out, shape, out.dtype)
        else:
            check_out(out, shape, out.dtype)
            assert out.shape == shape


def test_points_of_many_kinds_are_taken_once():
    class Fickle:
        """An array that is another one at the second look."""

        looks = 0

        def __array__(self, dtype=None, copy=None):
            self.looks += 1
            return np.arange(float(self.looks))

    class Subclass(np.ndarray):
        pass

    fickle = Fickle()
    assert as_point(fickle).shape == (1,)
    assert fickle.looks == 1
    for x in ([1, 2], (1.0, 2), np.array([1, 2], ">f8"), np.array([1.0, 0, 2, 0])[::2],
              np.array([1.0, 2]).view(Subclass), np.ma.masked_array([1.0, 2.0], [False, False]),
              [Fraction(1), Fraction(2)],
              np.array([1, 2], object)):
        point = as_point(x)
        assert type(point) is np.ndarray
        assert point.dtype == np.float64
        assert point.flags.carray
        assert point.ravel().tolist() == [1, 2]
    misaligned = np.zeros(17, np.uint8)[1:].view(np.float64)
    assert as_point(misaligned).flags.aligned
