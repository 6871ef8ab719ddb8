"""What f returns: odd types, odd shapes, its own memory, x itself, nothing.

Here because a result that is taken for what it is not becomes a wrong derivative without a word.
It tests rows A4 to A10, A13, A15 to A19: converted once, or refused by name and evaluation before anything is written.
"""

import array
import decimal
import fractions
import gc
import warnings

import numpy as np
import pytest

import steepest as sd

from .contract import (
    ENTRIES,
    X,
    attempt,
    bits,
    bowl,
    calls_of,
    case,
    counted,
    cube,
    curves,
    entries,
    message_of,
    name_of,
    on_call,
    out_for,
    right,
    untouched,
)


def refused(entry, k, junk, errors, words, **options):
    """Require that a run whose f returns junk in call k is refused, and that nothing else has changed."""
    x = X.copy()
    out = out_for(entry, **options) if "out" in entry.takes else None
    if out is not None:
        options = options | {"out": out}
    with untouched(x, out):
        _, error = attempt(entry.call, on_call(k, entry.f, lambda x, result: junk(result)), x, **options)
    assert isinstance(error, errors), f"call {k}: {error!r}"
    message = message_of(error)
    for word in (entry.kind.label, *words):
        assert word in message, f"call {k}: {message!r}"
    if entry.one_point and not entry.kind.batch:
        assert f"evaluation {k}" in message
    else:
        assert "evaluation" in message


def refused_at_first_and_last(entry, junk, errors, words=()):
    for k in {1, calls_of(entry)}:
        refused(entry, k, junk, errors, words)


def like(result, item):
    """`item` in the shape of a result."""
    return item if np.ndim(result) == 0 else [item] * np.size(result)


NO_NUMBERS = {
    "None": (lambda result: None, "NoneType"),
    "Ellipsis": (lambda result: ..., "ellipsis"),
    "dict": (lambda result: {"fun": result}, "dict"),
    "set": (lambda result: {1.0}, "set"),
    "object": (lambda result: object(), "object"),
    "function": (lambda result: cube, "function"),
    "class": (lambda result: float, "type"),
    "exception": (lambda result: ValueError("no"), "ValueError"),
    "list of None": (lambda result: like(result, None) if np.ndim(result) else [None], "NoneType"),
    "date": (lambda result: np.datetime64("2020-01-01"), "datetime64"),
    "time span": (lambda result: np.timedelta64(1, "s"), "timedelta64"),
    "record": (lambda result: np.zeros(np.shape(result), [("a", float)]), "a"),
    "masked": (lambda result: np.ma.masked, "mask"),
    "masked entry": (lambda result: np.ma.array(result, mask=np.ones(np.shape(result), bool)), "mask"),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A4_what_is_no_number_is_refused_by_name_and_evaluation(backend, entry):
    for name, (junk, word) in NO_NUMBERS.items():
        with case(name):
            refused_at_first_and_last(entry, junk, TypeError, [word])


COMPLEX = {
    "complex": lambda result: like(result, 1j),
    "without imaginary part": lambda result: like(result, 1 + 0j),
    "complex64": lambda result: np.asarray(result).astype(np.complex64)[()],
    "complex128 array": lambda result: np.asarray(result) + 0j,
    "clongdouble": lambda result: np.asarray(result).astype(np.clongdouble)[()],
    "complex object": lambda result: np.full(np.shape(result) or 1, 1 + 2j, dtype=object),
    "complex128 object": lambda result: _objects(result, np.complex128(1 + 2j)),
}


def _objects(result, item):
    made = np.empty(np.shape(result) or 1, object)
    for i in range(made.size):
        made.flat[i] = item
    return made


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A5_a_complex_result_is_refused_and_its_imaginary_part_never_dropped(backend, entry):
    for name, junk in COMPLEX.items():
        with case(name):
            refused_at_first_and_last(entry, junk, TypeError)


@pytest.mark.parametrize(
    "entry", entries("method", kinds=["number", "scalar", "batch", "vector", "surface", "slope"]), ids=str)
def test_A5_a_real_result_of_a_complex_step_is_refused(backend, entry):
    f = on_call(None, entry.f, lambda x, result: np.real(result) + 0.0)
    error = attempt(entry.call, f, X.copy(), method="complex")[1]
    assert isinstance(error, TypeError) and "imaginary" in str(error)


ONE_NUMBER = {
    "float": float,
    "numpy scalar": np.float64,
    "0-d array": np.array,
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "nested": lambda value: [[value]],
    "(1,)": lambda value: np.array([value]),
    "(1, 1)": lambda value: np.array([[value]]),
    "(1, 1, 1)": lambda value: np.array([[[value]]]),
    "array.array": lambda value: array.array("d", [value]),
    "memoryview": lambda value: memoryview(array.array("d", [value])),
    "matrix": lambda value: np.array([[value]]).view(np.matrix),
    "big-endian": lambda value: np.array([value], ">f8"),
    "longdouble": np.longdouble,
    "subclass of float": type("Metres", (float,), {}),
    "object": lambda value: np.array([value], dtype=object),
    "unmasked": lambda value: np.ma.array([value], mask=[False]),
}


@pytest.mark.parametrize("entry", entries(kinds=["number", "scalar", "surface"]), ids=str)
def test_A6_one_number_in_any_wrapping_is_that_number(backend, entry):
    for name, wrap in ONE_NUMBER.items():
        with case(name):
            f = on_call(None, entry.f, lambda x, result, wrap=wrap: wrap(float(result)))
            assert bits(entry.call(f, X.copy())) == right(entry)


@pytest.mark.parametrize("entry", entries(kinds=["vector"]), ids=str)
def test_A6_a_jacobian_takes_one_number_for_a_vector_of_one(backend, entry):
    expected = entry.call(lambda x: np.array([bowl(x)]), X.copy())
    for wrap in (float, np.float64, np.array):
        given = entry.call(lambda x, wrap=wrap: wrap(bowl(x)), X.copy())
        assert np.ravel(given).tobytes() == np.ravel(expected).tobytes()


MANY_NUMBERS = {
    "list": lambda value: value.tolist(),
    "tuple": lambda value: tuple(value.tolist()),
    "strided": lambda value: np.repeat(value, 3, axis=-1)[..., ::3],
    "reversed twice": lambda value: value[..., ::-1].copy()[..., ::-1],
    "read-only": lambda value: _read_only(value.copy()),
    "big-endian": lambda value: value.astype(">f8"),
    "misaligned": lambda value: _misaligned(value),
    "Fortran order": np.asfortranarray,
    "longdouble": lambda value: value.astype(np.longdouble),
    "objects": lambda value: value.astype(object),
    "subclass": lambda value: value.view(np.recarray),
}


def _read_only(value):
    value.flags.writeable = False
    return value


def _misaligned(value):
    raw = np.zeros(value.nbytes + 1, np.uint8)
    inside = raw[1:].view(value.dtype).reshape(value.shape)
    inside[...] = value
    return inside


@pytest.mark.parametrize("entry", entries(kinds=["numbers", "batch", "vector", "vectors", "field"]), ids=str)
def test_A6_many_numbers_in_any_layout_are_those_numbers(backend, entry):
    for name, form in MANY_NUMBERS.items():
        with case(name):
            f = on_call(None, entry.f, lambda x, result, form=form: form(result))
            assert bits(entry.call(f, X.copy())) == right(entry)


WRONG_SIZES = {
    "empty": (np.zeros(0), "(0,)"),
    "empty list": ([], "(0,)"),
    "two": (np.zeros(2), "(2,)"),
    "(2, 2)": (np.zeros((2, 2)), "(2, 2)"),
    "(0, 3)": (np.zeros((0, 3)), "(0, 3)"),
    "(1, 7)": (np.zeros((1, 7)), "(1, 7)"),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A7_a_wrong_number_of_numbers_is_refused_with_its_shape(backend, entry):
    vector = entry.kind_name in ("vector", "vectors", "noisy")      # whose first call tells how long results are
    for name, (junk, shape) in WRONG_SIZES.items():
        words = ["shape"] if entry.kind_name in ("vectors", "slopes") else [shape]
        for k in {2 if vector else 1, calls_of(entry)}:
            with case(name, k):
                refused(entry, k, lambda result, junk=junk: junk, (TypeError, ValueError), words)


@pytest.mark.parametrize("entry", entries(kinds=["vector", "vectors"]), ids=str)
def test_A7_a_two_dimensional_result_has_no_jacobian(backend, entry):
    refused(entry, 1, lambda result: np.zeros((2, 2, 2)), (TypeError, ValueError), ["(2, 2, 2)"])


def test_A7_ragged_results_are_refused(backend):
    for call in (sd.gradient, sd.jacobian):
        _, error = attempt(call, lambda x: [[1.0], [2.0, 3.0]], X.copy())
        assert isinstance(error, (TypeError, ValueError)) and "evaluation 1" in message_of(error)


TEXT = {
    "str": lambda result: "1.5",
    "bytes": lambda result: b"1.5",
    "bytearray": lambda result: bytearray(b"1.5"),
    "numpy str": lambda result: np.str_("1.5"),
    "array of str": lambda result: np.full(np.shape(result), "1.5"),
    "array of bytes": lambda result: np.full(np.shape(result), b"1.5"),
    "list of str": lambda result: ["1.5"] * max(1, np.size(result)),
    "objects of str": lambda result: _objects(result, "1.5"),
    "objects of numpy str": lambda result: _objects(result, np.str_("1.5")),
    "objects of bytes": lambda result: _objects(result, b"1.5"),
    "not a number in words": lambda result: "nan",
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A8_text_is_never_parsed(backend, entry):
    for name, junk in TEXT.items():
        with case(name):
            refused_at_first_and_last(entry, junk, TypeError)


EXACT = {
    "Fraction": fractions.Fraction,
    "Decimal": decimal.Decimal,
    "longdouble": np.longdouble,
    "float subclass": type("Metres", (float,), {}),
}


@pytest.mark.parametrize("form", EXACT)
@pytest.mark.parametrize("entry", entries(kinds=["number", "scalar", "surface"]), ids=str)
def test_A9_exact_types_give_the_same_bits(backend, entry, form):
    f = on_call(None, entry.f, lambda x, result: EXACT[form](float(result)))
    assert bits(entry.call(f, X.copy())) == right(entry)


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float32, 2e-3), (np.float16, 0.1)], ids=["float32", "float16"])
@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.one_point and e.kind_name != "noisy"], ids=str)
def test_A9_steps_suit_the_lowest_precision_seen(backend, entry, kind, tolerance):
    """With the steps of float64, a float32 result keeps one or two digits of the difference, and a float16 none."""
    f = on_call(None, entry.f, lambda x, result: np.asarray(result).astype(kind)[()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sd.DifferenceWarning)
        found = entry.pick(entry.call(f, X.copy()))
    answer = entry.answer(entry.kind.answer(X))
    assert found.dtype == X.dtype
    assert np.abs(found - answer).max() <= tolerance * np.abs(answer).max()


@pytest.mark.parametrize("entry", entries(kinds=["scalar", "number", "surface"], one_point=True), ids=str)
def test_A9_precision_that_falls_in_the_middle_of_a_run_is_heeded(backend, entry):
    answer = entry.answer(entry.kind.answer(X))
    for k in range(1, calls_of(entry) + 1):
        f = counted(entry.f)

        def coarse_from_k(x, f=f, k=k):
            value = f(x)
            return np.float32(value) if f.calls >= k else value

        found = entry.pick(entry.call(coarse_from_k, X.copy()))
        assert np.abs(found - answer).max() <= 2e-3 * np.abs(answer).max()


@pytest.mark.parametrize("entry", entries(kinds=["number", "scalar"], one_point=True), ids=str)
def test_A9_booleans_and_integers_are_numbers(backend, entry):
    for constant in (True, np.True_, 7, np.int8(7), -(2**60), np.uint64(2**63)):
        with case(repr(constant)):
            assert not entry.pick(entry.call(lambda x, constant=constant: constant, X.copy())).any()


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A10_an_integer_too_big_for_a_double_is_an_overflow_error(backend, entry):
    for number in (10**400, -(10**400)):
        refused_at_first_and_last(entry, lambda result, number=number: like(result, number), OverflowError)


def steep(x):
    """A line through 0 whose values 1e300 away, subtracted, overflow although the slope is finite."""
    return 1e8 * np.asarray(x).sum()


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
@pytest.mark.parametrize("entry", entries("step", "method", kinds=["number", "scalar"], one_point=True), ids=str)
def test_A13_an_overflow_in_the_difference_is_never_a_plausible_number(backend, entry, method):
    x = np.array([1e300, -1e300, 0.0]) if entry.kind_name == "scalar" else np.zeros(2)
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        found = entry.pick(entry.call(steep, x, step=1.1e300, method=method))
    wrong = ~np.isnan(found) & ~(np.abs(found - 1e8) <= 1e6)
    assert not wrong.any(), found
    assert not np.isnan(found).any() or sd.DifferenceWarning in {warning.category for warning in caught}


def cliff(x):
    """Two huge values of opposite sign: their difference overflows at every step."""
    return np.where(np.asarray(x) > 0.5, 1.7e308, -1.7e308).ravel()[0]


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
@pytest.mark.parametrize("entry", entries("full_output", kinds=["number", "scalar"]), ids=str)
def test_A13_a_difference_of_huge_values_is_flagged(backend, entry, method):
    x = np.array([0.5])
    with np.errstate(all="ignore"):
        found = entry.pick(entry.call(cliff, x, method=method, full_output=True))
        zero = method == "backward" and found.value == 0        # flat on that side
    assert zero or (not found.success and found.status >= sd.Status.UNRESOLVED)


@pytest.mark.parametrize("k", [2, 3, 4, 7])
@pytest.mark.parametrize("entry", entries(kinds=["vector"]), ids=str)
def test_A15_a_vector_that_changes_its_length_is_refused_with_both_shapes(backend, entry, k):
    if k > calls_of(entry):
        k = calls_of(entry)
    for change in (lambda result: result[:-1], lambda result: np.append(result, 0.0), lambda result: result[:0]):
        shape = str(change(np.zeros(4)).shape)
        refused(entry, k, change, ValueError, [shape, "(4,)"])


@pytest.mark.parametrize("first", [np.zeros(0), np.zeros(3), np.zeros(5), 1.0, None, "junk"], ids=str)
def test_A15_a_jacobian_that_failed_in_its_first_run_learns_the_length_anew(backend, first):
    jacobian = sd.Jacobian(on_call(1, curves, lambda x, result: first), X)
    assert isinstance(attempt(jacobian, X)[1], (ValueError, TypeError))
    for _ in range(2):
        assert bits(jacobian(X)) == bits(sd.Jacobian(curves, X)(X))


@pytest.mark.parametrize("entry", entries(kinds=["numbers", "batch", "vectors"]), ids=str)
def test_A15_a_batch_of_another_size_is_refused(backend, entry):
    for k in range(1, calls_of(entry) + 1):
        for change in (lambda result: result[:-1], lambda result: np.concatenate([result, result])):
            refused(entry, k, change, ValueError, ["shape"])


@pytest.mark.parametrize("entry", entries(kinds=["vectors"]), ids=str)
def test_A15_a_batch_of_vectors_of_another_length_is_refused(backend, entry):
    refused(entry, calls_of(entry), lambda result: result[:, :-1], ValueError, ["shape"])


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A16_f_may_return_its_own_buffer_in_every_call(backend, entry):
    buffers = {}

    def reuse(x, result):
        buffer = buffers.setdefault(np.shape(result), np.empty(np.shape(result)))
        buffer[...] = result
        return buffer

    assert bits(entry.call(on_call(None, entry.f, reuse), X.copy())) == right(entry)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A16_a_buffer_that_is_overwritten_after_the_return_changes_nothing(backend, entry):
    """Results kept by f are spoilt in the next call; those of the last call right after the run."""
    given = []

    def spoil(x, result):
        for old in given:
            old[...] = np.nan
        given.append(np.array(result))
        return given[-1]

    result = entry.call(on_call(None, entry.f, spoil), X.copy())
    for old in given:
        old[...] = np.nan
    assert bits(result) == right(entry)


VIEWS = {
    "x": lambda x: x,
    "x[:]": lambda x: x[:],
    "x.view()": lambda x: x.view(),
    "x.T": lambda x: x.T,
    "x.reshape(-1)": lambda x: x.reshape(-1),
    "memoryview(x)": memoryview,
    "x.real": lambda x: x.real,
    "x.ravel()": lambda x: x.ravel(),
    "np.asarray(x)": np.asarray,
    "broadcast": lambda x: np.broadcast_to(x, x.shape),
}
ONE_ENTRY = {
    "x[:1]": lambda x: x[:1],
    "x[1:2]": lambda x: x[1:2],
    "x[-1:]": lambda x: x[-1:],
    "x[1, None, None]": lambda x: x[1, None, None],
    "x[..., 1]": lambda x: x[..., 1],
    "memoryview": lambda x: memoryview(x)[1:2],
    "0-d view": lambda x: x[2:].reshape(()),
}


@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"order": 4}], ids=name_of)
@pytest.mark.parametrize("entry", entries(kinds=["vector"]), ids=str)
def test_A17_a_vector_function_may_return_x_itself(backend, entry, options):
    for name, view in VIEWS.items():
        with case(name):
            assert bits(entry.call(view, X.copy(), **options)) == right(entry, f=np.array, **options)


@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"order": 4}], ids=name_of)
@pytest.mark.parametrize("entry", entries("method", kinds=["scalar"]), ids=str)
def test_A17_a_scalar_function_may_return_an_entry_of_x(backend, entry, options):
    for name, f in ONE_ENTRY.items():
        with case(name):
            expected = right(entry, f=lambda x, f=f: float(np.array(f(x)).item()), **options)
            assert bits(entry.call(f, X.copy(), **options)) == expected


@pytest.mark.parametrize("entry", entries(kinds=["number", "numbers", "batch", "vectors", "field"]), ids=str)
def test_A17_other_kinds_of_f_may_return_x_too(backend, entry):
    f = {"batch": lambda x: x[:, 1]}.get(entry.kind_name, lambda x: x)
    assert bits(entry.call(f, X.copy())) == right(entry, f=lambda x: np.array(f(x)))


GIVEN_GRADIENTS = {
    "integers": lambda g: np.asarray(np.round(g), dtype=np.int32),
    "booleans": lambda g: g > 0,
    "float32": lambda g: np.round(g).astype(np.float32),
    "longdouble": lambda g: np.round(g).astype(np.longdouble),
    "objects": lambda g: np.round(g).astype(object),
    "Fortran": lambda g: np.asfortranarray(np.round(g)),
} | {name: (lambda g, make=make: make(np.round(g))) for name, make in MANY_NUMBERS.items()}


@pytest.mark.parametrize("form", GIVEN_GRADIENTS)
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_A18_a_given_gradient_may_have_any_type_and_layout(backend, form, momentum):
    make = GIVEN_GRADIENTS[form]

    def plain(x):
        return np.array(make(np.array([3.0, -1.0, 2.0]) * x), dtype=float)

    expected = sd.gradient_descent(None, X, grad=plain, momentum=momentum, steps=5)
    found = sd.gradient_descent(
        None, X, grad=lambda x: make(np.array([3.0, -1.0, 2.0]) * x), momentum=momentum, steps=5)
    assert bits(found) == bits(expected)


@pytest.mark.parametrize("shape", [(), (1,), (2,), (4,), (3, 1), (1, 3), (0,)], ids=str)
def test_A18_a_given_gradient_of_another_shape_is_refused(backend, shape):
    x = X.copy()
    with untouched(x), pytest.raises(ValueError, match="shape"):
        sd.gradient_descent(None, x, grad=lambda x: np.zeros(shape))


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A19_async_functions_and_generators_are_refused_with_a_hint(backend, entry):
    async def coroutine(x):
        return 1.0

    def generator(x):
        yield 1.0

    async def async_generator(x):
        yield 1.0

    for f, hint in ((coroutine, "async"), (generator, "generator"), (async_generator, "async")):
        error = attempt(entry.call, f, X.copy())[1]
        assert isinstance(error, TypeError) and hint in str(error) and entry.kind.label in str(error)
        gc.collect(1)    # a coroutine that was never awaited would warn here
