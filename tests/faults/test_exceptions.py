"""What f raises, at every call, from every entry point.

Here because an exception is what a user's function does most often besides returning.
It tests rows A1 to A3, A14, A20, A22: the same object comes back, with a note, and nothing else has changed.
"""

import functools
import warnings

import numpy as np
import pytest

import steepest as sd

from .contract import (
    ENTRIES,
    X,
    attempt,
    bits,
    calls_of,
    case,
    cases,
    entries,
    in_a_process,
    message_of,
    name_of,
    on_call,
    out_for,
    raising,
    right,
    untouched,
)


class Planned(Exception):
    """Raised by an f on purpose."""


class Unnotable(Exception):
    """An exception to which no note can be added."""

    __notes__ = 3


class Sealed(Exception):
    """An exception that refuses every attribute."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


class Ungrateful(Exception):
    """An exception whose own add_note fails."""

    def add_note(self, note):
        raise ZeroDivisionError


class Abrupt(BaseException):
    """Not an Exception."""


def fail_at(entry, k, error, options=None, out=None):
    """Run an entry point whose f raises `error` in call k; what came of it, and the points that f saw."""
    options = options or {}
    seen = []

    def f(x, *args, **kwargs):
        seen.append(np.array(x))
        return hostile(x, *args, **kwargs)

    hostile = raising(k, entry.f, error)
    x = X.copy()
    bounds = options.get("bounds", ())
    extra = {} if out is None else {"out": out}
    with untouched(x, out, *bounds):
        result, raised = attempt(entry.call, f, x, **options, **extra)
    return result, raised, seen


@pytest.mark.parametrize(("entry", "options"), cases(), ids=name_of)
def test_A1_exception_of_every_kth_call_comes_back_as_the_same_object(backend, entry, options):
    expected = right(entry, **options)
    out = out_for(entry, **options) if "out" in entry.takes else None
    calls = calls_of(entry, **options)
    for k in range(1, calls + 1):
        error = Planned(k)
        _, raised, _ = fail_at(entry, k, error, options, out)
        assert raised is error, f"call {k} of {calls}"
    result, raised, seen = fail_at(entry, calls + 1, Planned(), options)
    assert raised is None and bits(result) == expected and len(seen) == calls


@pytest.mark.parametrize(("entry", "options"), cases(), ids=name_of)
def test_A1_exception_bears_a_note_that_names_call_and_coordinate(backend, entry, options):
    for k in range(1, calls_of(entry, **options) + 1):
        _, raised, seen = fail_at(entry, k, Planned(), options)
        notes = [note for note in getattr(raised, "__notes__", []) if note.startswith("steepest: in evaluation")]
        assert len(notes) == 1, f"call {k}: {notes}"
        assert f" of {entry.kind.label}, " in notes[0]
        if entry.kind.batch:
            continue
        assert f"evaluation {k} of" in notes[0]
        if entry.kind.sees_array and entry.one_point:
            moved = np.flatnonzero(seen[-1] != X)
            if "x + t*v" in notes[0]:
                assert moved.size > 1
            else:
                assert all(f"x[{i}] = " in notes[0] for i in moved) and (moved.size or "at x itself" in notes[0])


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A1_note_is_added_once_even_if_f_raises_one_object_again_and_again(backend, entry):
    error = Planned()
    for _ in range(3):
        error.__notes__ = []
        assert fail_at(entry, 1, error)[1] is error
        assert len(error.__notes__) == 1


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A1_exception_that_takes_no_note_comes_back_all_the_same(backend, entry):
    for error in (Unnotable(), Sealed(), Ungrateful()):
        assert fail_at(entry, 1, error)[1] is error


class Bearer:
    """A function in the other forms in which users have them."""

    def __init__(self, f):
        self.f = f

    def method(self, x, *args, **kwargs):
        return self.f(x, *args, **kwargs)

    __call__ = method


FORMS = {
    "bound method": lambda f: Bearer(f).method,
    "callable object": Bearer,
    "partial": functools.partial,
    "partial of a method": lambda f: functools.partial(Bearer(f).method),
    "lambda": lambda f: lambda x, *args, **kwargs: f(x, *args, **kwargs),
    "builtin method": lambda f: functools.partial(Bearer(f).__call__).__call__,
    "wrapped": lambda f: functools.wraps(f)(lambda x, *args, **kwargs: f(x, *args, **kwargs)),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A1_holds_for_every_form_of_a_callable(backend, entry):
    expected = right(entry)
    for name, form in FORMS.items():
        with case(name):
            for _ in range(20):
                assert bits(entry.call(form(entry.f), X.copy())) == expected
                error = Planned()
                assert attempt(entry.call, form(raising(1, entry.f, error)), X.copy())[1] is error


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A1_prepared_object_works_after_every_failure(backend, entry):
    """The same f is used again after it failed, prepared or not."""
    expected = right(entry)
    for k in range(1, calls_of(entry) + 1):
        f = raising(k, entry.f, Planned())
        assert attempt(entry.call, f, X.copy())[1] is not None
        assert bits(entry.call(f, X.copy())) == expected


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
@pytest.mark.parametrize("method", ["central", "forward", "complex"])
def test_A1_one_prepared_object_is_reusable_after_a_failure_at_every_call(backend, prepare, method):
    entry = entries(kinds=["scalar" if prepare is sd.Gradient else "vector"])[0]
    failing = [None]

    def f(x):
        calls[0] += 1
        if calls[0] == failing[0]:
            raise Planned
        return entry.f(x)

    prepared, calls = prepare(f, X, method=method), [0]
    out = np.full_like(prepared(X), -7.75)      # a Jacobian learns in its first run how many results f has
    calls[0] = 0
    expected, total = bits(prepared(X)), calls[0]
    for k in range(1, total + 1):
        calls[0], failing[0] = 0, k
        with untouched(out), pytest.raises(Planned):
            prepared(X, out)
        calls[0], failing[0] = 0, None
        assert bits(prepared(X)) == expected and calls[0] == total


ABRUPT = [
    KeyboardInterrupt(), SystemExit(3), GeneratorExit(), Abrupt(), BaseExceptionGroup("two", [Abrupt(), Planned()]),
]


@pytest.mark.parametrize(("entry", "options"), cases(), ids=name_of)
def test_A2_keyboard_interrupt_and_its_like_propagate(backend, entry, options):
    calls = calls_of(entry, **options)
    for error in ABRUPT:
        for k in {1, (calls + 1) // 2, calls}:
            with case(type(error), k):
                assert fail_at(entry, k, error, options)[1] is error


LIBRARY_LIKE = [
    StopIteration(1), StopAsyncIteration(), MemoryError(), RecursionError(), OverflowError(), FloatingPointError(),
    ZeroDivisionError(), AttributeError("x"), IndexError(), TypeError("mine"), ValueError("mine"), BufferError(),
    NotImplementedError(), SystemError("mine"), np.linalg.LinAlgError("mine"), sd.BusyError("mine"),
    sd.DifferenceWarning("mine"),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A3_stop_iteration_and_exceptions_that_libraries_use_are_plain_errors(backend, entry):
    for error in LIBRARY_LIKE:
        for k in (1, calls_of(entry)):
            with case(type(error), k):
                assert fail_at(entry, k, error)[1] is error


class Slippery:
    """A number that is another one each time it is asked, and that counts how often."""

    def __init__(self, value, error=None, during=None):
        self.value, self.error, self.during, self.asked = value, error, during, 0

    def __float__(self):
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self.during is not None:
            self.during()
        return float(self.value) + 1000.0 * (self.asked - 1)


class SlipperyArray:
    """The same, by NumPy's protocol."""

    def __init__(self, value):
        self.value, self.asked = value, 0

    def __array__(self, dtype=None, copy=None):
        self.asked += 1
        return np.asarray(self.value + 1000.0 * (self.asked - 1), dtype=dtype)


def slippery_result(value, made, **how):
    """What f returned, in numbers that count how often they are converted; `made` collects them."""
    new = [Slippery(item, **how) for item in np.ravel(value).tolist()]
    made += new
    if np.ndim(value) == 0:
        return new[0]
    result = np.empty(len(new), object)
    result[:] = new
    return result.reshape(np.shape(value))


@pytest.mark.parametrize(
    "entry", entries(kinds=["number", "scalar", "batch", "numbers", "vector", "vectors", "surface"]), ids=str)
def test_A14_what_f_returns_is_converted_exactly_once(backend, entry):
    expected, made = right(entry), []
    f = on_call(None, entry.f, lambda x, result: slippery_result(result, made))
    assert bits(entry.call(f, X.copy())) == expected
    assert {number.asked for number in made} == {1}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A14_an_array_protocol_is_asked_exactly_once(backend, entry):
    expected, made = right(entry), []

    def act(x, result):
        made.append(SlipperyArray(result))
        return made[-1]

    assert bits(entry.call(on_call(None, entry.f, act), X.copy())) == expected
    assert {array.asked for array in made} == {1}


@pytest.mark.parametrize("entry", entries(kinds=["number", "scalar", "batch", "vector", "surface"]), ids=str)
def test_A14_exception_of_a_conversion_comes_back_as_the_same_object(backend, entry):
    for k in range(1, calls_of(entry) + 1):
        error = Planned()
        f = on_call(k, entry.f, lambda x, result, error=error: slippery_result(result, [], error=error))
        assert attempt(entry.call, f, X.copy())[1] is error


@pytest.mark.parametrize("entry", entries(kinds=["number", "scalar", "batch", "vector", "surface"]), ids=str)
def test_A14_a_conversion_may_start_another_run(backend, entry):
    expected = right(entry)

    def again():
        assert right(entry) == expected

    f = on_call(None, entry.f, lambda x, result: slippery_result(result, [], during=again))
    assert bits(entry.call(f, X.copy())) == expected


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A20_a_warning_of_f_made_an_error_propagates(backend, entry):
    def warn(x, result):
        warnings.warn(f"careful{entry.name}", UserWarning, stacklevel=1)
        return result

    for k in (1, calls_of(entry)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            error = attempt(entry.call, on_call(k, entry.f, warn), X.copy())[1]
        assert isinstance(error, UserWarning) and "in evaluation" in message_of(error)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A20_a_warning_of_f_not_made_an_error_changes_nothing(backend, entry):
    expected = right(entry)

    def warn(x, result):
        warnings.warn("careful", UserWarning, stacklevel=1)
        return result

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert bits(entry.call(on_call(None, entry.f, warn), X.copy())) == expected
    assert {warning.category for warning in caught} == {UserWarning}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_A22_endless_recursion_of_f_is_a_recursion_error(backend, entry):
    def endless(x, *args):
        return endless(x, *args)

    assert isinstance(attempt(entry.call, endless, X.copy())[1], RecursionError)
    assert right(entry) == right(entry)


SOLVES_THAT_CALL_THEMSELVES = """
import numpy as np, steepest as sd
def endless(x):
    depth[0] += 1
    return {call}
for backend in ("kernels", "reference"):
    depth = [0]
    with sd.backend(backend):
        try:
            endless(np.array([0.5, 1.5]))
        except RecursionError:
            assert depth[0] > 50, depth
        else:
            raise SystemExit("no RecursionError")
"""
NESTED = {
    "gradient": "sd.gradient(endless, x).sum()",
    "Gradient": "sd.Gradient(endless, x)(x).sum()",
    "jacobian": "sd.jacobian(endless, x).sum()",
    "jvp": "sd.jvp(endless, x, x)",
    "derivative": "sd.derivative(endless, 0.5)",
    "gradient_descent": "sd.gradient_descent(endless, x).fun",
}


@pytest.mark.parametrize("name", NESTED)
def test_A22_nested_solves_without_end_are_a_recursion_error_not_an_exhausted_stack(name):
    in_a_process(SOLVES_THAT_CALL_THEMSELVES.format(call=NESTED[name]))
