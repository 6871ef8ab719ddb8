"""Options of the wrong type, unknown options, and what is no function.

Here because a wrong option that is taken without a word is a wrong answer later.
It tests row C21: a TypeError or ValueError that names the option, and what it may be, before f is called.
"""

import numpy as np
import pytest

import steepest as sd

from .contract import ENTRIES, X, attempt, bowl, calls_of, case, counted, curves, name_of, out_for

BAD_OPTIONS = [
    ({"method": "centrall"}, ValueError, "'central'"),
    ({"method": None}, (TypeError, ValueError), "'central'"),
    ({"method": 2}, (TypeError, ValueError), "'central'"),
    ({"method": ["central"]}, (TypeError, ValueError), "'central'"),
    ({"order": 3}, ValueError, "2, 4, 6, 8"),
    ({"order": 0}, ValueError, "2, 4, 6, 8"),
    ({"order": "2"}, TypeError, "order"),
    ({"order": 2.0}, TypeError, "order"),
    ({"order": 9, "method": "forward"}, ValueError, "1, 2, 3, 4"),
    ({"order": 2, "method": "complex"}, ValueError, "order"),
    ({"step": "1e-3"}, TypeError, "step"),
    ({"step": 1j}, TypeError, "step"),
    ({"step": [1e-3, 1e-3]}, ValueError, "step"),
    ({"step": 1e-3, "rel_step": 1e-3}, ValueError, "rel_step"),
    ({"rel_step": object()}, TypeError, "rel_step"),
    ({"x_scale": "big"}, (TypeError, ValueError), "x_scale"),
    ({"x_scale": 0.0}, ValueError, "x_scale"),
    ({"x_scale": [1.0, -1.0, 1.0]}, ValueError, r"x_scale[1]"),
    ({"bounds": 3}, TypeError, "bounds"),
    ({"bounds": (1, 2, 3)}, TypeError, "bounds"),
    ({"bounds": "ab"}, TypeError, "bounds"),
    ({"bounds": ([0.0, 1.0], [1.0, 2.0])}, ValueError, "bounds"),
    ({"kwargs": [1]}, TypeError, "kwargs"),
    ({"kwargs": {1: 2}}, TypeError, "kwargs"),
    ({"f0": "1.5"}, TypeError, "f0"),
    ({"f0": 1j}, TypeError, "f0"),
    ({"f0": np.zeros((2, 2))}, ValueError, "f0"),
    ({"out": [0.0, 0.0, 0.0]}, TypeError, "out"),
    ({"out": 1}, TypeError, "out"),
    ({"vectorized": "yes"}, TypeError, "vectorized"),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C21_bad_options_are_refused_by_name_before_f_is_called(backend, entry):
    allowed = entry.takes if entry.kind.batch or entry.kind_name == "field" else entry.takes | {"vectorized"}
    f = counted(entry.f)
    for options, kind, word in BAD_OPTIONS:
        if allowed >= set(options):
            with case(options):
                error = attempt(entry.call, f, X.copy(), **options)[1]
                assert isinstance(error, kind), repr(error)
                assert word in str(error) and f.calls == 0


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C21_a_misspelt_keyword_is_a_type_error_that_names_it(backend, entry):
    f = counted(entry.f)
    for name in ("metod", "rel_stepp", "bound", "Order", "arg"):
        with case(name):
            error = attempt(entry.call, f, X.copy(), **{name: 1})[1]
            assert isinstance(error, TypeError) and name in str(error) and f.calls == 0


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C21_an_f_that_cannot_be_called_is_a_type_error_that_names_it(backend, entry):
    out = out_for(entry) if "out" in entry.takes else None
    for bad in (0 if entry.kind.label == "grad" else None, 3, "f", X, [bowl]):
        for options in ({}, {"out": out} if out is not None else {}):
            with case(type(bad), options):
                error = attempt(entry.call, bad, X.copy(), **options)[1]
                assert isinstance(error, TypeError)
                assert str(error).startswith(f"{entry.kind.label} must be callable")


@pytest.mark.parametrize("n", [0, 5, -1, 1.0, "1", None], ids=repr)
def test_C21_orders_of_derivatives_that_do_not_exist_are_refused(backend, n):
    with pytest.raises((TypeError, ValueError), match="n must be"):
        sd.derivative(np.sin, 0.5, n)


DESCENT = [
    ({"steps": -1}, ValueError, "steps"), ({"steps": 1.5}, TypeError, "steps"), ({"steps": None}, TypeError, "steps"),
    ({"lr": "0.1"}, TypeError, "lr"), ({"lr": None}, TypeError, "lr"), ({"momentum": "a"}, TypeError, "momentum"),
    ({"nesterov": True}, ValueError, "nesterov"), ({"schedule": 0.1}, TypeError, "schedule"),
    ({"learning_rate": 0.1}, TypeError, "learning_rate"), ({"kwargs": [1]}, TypeError, "kwargs"),
]


@pytest.mark.parametrize(("options", "kind", "word"), DESCENT, ids=name_of)
def test_C21_bad_options_of_a_descent_are_refused_by_name(backend, options, kind, word):
    f = counted(bowl)
    error = attempt(sd.gradient_descent, f, X, **options)[1]
    assert isinstance(error, kind) and word in str(error) and f.calls == 0


def test_C21_a_known_value_of_another_length_is_refused_by_name(backend):
    for call in (sd.jacobian, lambda f, x, **options: sd.jvp(f, x, x, **options)):
        error = attempt(call, curves, X, f0=[1.0, 2.0], method="forward")[1]
        assert isinstance(error, ValueError) and "f0" in str(error)


def test_C21_calls_of_the_table_are_counted(backend):
    """The claims above that f is not called rest on this count."""
    assert all(calls_of(entry) > 0 for entry in ENTRIES)
