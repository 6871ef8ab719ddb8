"""What is evaluated sees a private x, and what it returns is converted once, alike on kernel and reference.

Here because this is where native code meets foreign code. Tests kernels/callback.pyx and reference/callback.py.
"""

import builtins
import functools
import gc
import operator
import weakref
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from twins import SIDES, same_bits

from steepest.reference.callback import (
    BASE,
    COARSE,
    GOOD,
    TAMPERED,
    WAYS,
    batch_result,
    lent_copy,
    scalar_result,
    vector_result,
    working_type,
)

DOUBLE, COMPLEX = np.dtype(float), np.dtype(complex)


def evaluate(side, f, x, kind="PythonFunction", **options):
    """Central differences of f on one side; the code, the differences and the function."""
    callback, difference = side
    function = getattr(callback, kind)(f, (), None, x.shape, x.dtype, **options)
    d = difference.Differences(x.size, x.dtype, 2, 2, 1e-6, function.size)
    function.begin(x)
    d.plan(x.reshape(-1))
    code = d.evaluate(function) or function.finish()
    return code, d, function


@pytest.mark.parametrize("side", SIDES, ids=["kernels", "reference"])
class TestPythonFunction:
    def test_f_sees_each_point_and_nothing_else(self, side):
        seen = []
        x = np.array([1.0, 2.0, 3.0])
        evaluate(side, lambda y: seen.append(y.copy()) or 1.0, x)
        for k, point in enumerate(seen):
            moved = point != x
            assert moved.sum() == 1
            assert moved[k // 2]
        assert len(seen) == 6

    def test_the_array_has_the_shape_and_layout_of_x_and_owns_nothing(self, side):
        def f(y):
            assert y.shape == (2, 3)
            assert y.flags.c_contiguous and y.flags.writeable and y.flags.aligned and not y.flags.owndata
            with pytest.raises(ValueError, match="resize"):
                y.resize(7, refcheck=False)
            return 1.0

        assert evaluate(side, f, np.arange(6.0).reshape(2, 3))[0] == GOOD

    def test_what_f_keeps_never_changes(self, side):
        kept = []
        for keep in (lambda y: y, lambda y: y[1:], lambda y: y.T, memoryview, lambda y: y.data, lambda y: y.base):
            kept.clear()
            evaluate(side, lambda y, keep=keep: kept.append((keep(y), np.array(y))) or 1.0, np.arange(3.0))
            for what, then in kept[:-1]:
                if isinstance(what, (np.ndarray, memoryview)):
                    assert np.asarray(what).tolist() in (then.tolist(), then[1:].tolist())

    def test_arguments_and_keywords_follow_x(self, side):
        callback, difference = side
        function = callback.PythonFunction(lambda y, a, b, *, c: a + b * y[0] + c, (1.0, 2.0), {"c": 3.0}, (1,), DOUBLE)
        d = difference.Differences(1, DOUBLE, 2, 2, 0.5)
        function.begin(np.zeros(1))
        d.plan(np.zeros(1))
        assert d.evaluate(function) == GOOD
        assert d.values.ravel().tolist() == [5.0, 3.0]

    @pytest.mark.parametrize("f", [
        np.sum, builtins.sum, operator.itemgetter(0), functools.partial(np.sum, axis=0), np.ndarray.sum, np.linalg.norm,
    ])
    def test_callables_of_every_make_are_called(self, side, f):
        assert evaluate(side, f, np.array([1.0, 2.0]))[0] == GOOD

    def test_bound_methods_are_kept_alive_and_let_go(self, side):
        class Model:
            def loss(self, y):
                return 1.0

        model = Model()
        for _ in range(100):
            evaluate(side, model.loss, np.ones(2))
        alive = weakref.ref(model)
        del model
        gc.collect()
        assert alive() is None
        assert Model().loss(None) == 1.0

    def test_less_precise_results_are_noticed(self, side):
        code, _, function = evaluate(side, lambda y: np.float32(y[0]), np.ones(2))
        assert code == COARSE
        assert function.coarsest == np.finfo("f").eps
        assert function.nfev == 1
        assert evaluate(side, lambda y: 3, np.ones(2))[0] == GOOD

    def test_a_known_value_is_checked_like_a_returned_one(self, side):
        function = side[0].PythonFunction(np.sum, (), None, (2,), DOUBLE)
        assert function.value_at(np.ones(2)) == 2
        assert function.nfev == 1
        assert function.value_at(np.ones(2), 5) == 5
        assert function.nfev == 1
        with pytest.raises(TypeError, match="f0 returned str"):
            function.value_at(np.ones(2), "5")
        with pytest.raises(ValueError, match=r"f0 returned an array of shape \(2,\)"):
            function.value_at(np.ones(2), [1.0, 2.0])

    def test_the_snapshot_is_x_as_it_was(self, side):
        for x, options in ((np.arange(4.0).reshape(2, 2), {}), (np.array([1j, 2]), {}),
                           (np.arange(2, dtype="f"), {"imaginary": True})):
            function = side[0].PythonFunction(np.sum, (), None, x.shape, x.dtype, **options)
            given = x.copy()
            function.begin(given)
            given[...] = 7
            assert same_bits(function.snapshot(), x)

    def test_points_on_a_line(self, side):
        callback, difference = side
        seen = []
        x, v = np.array([1.0, 2.0]), np.array([10.0, -10.0])
        function = callback.PythonFunction(lambda y: seen.append(y.tolist()) or 1.0, (), None, (2,), DOUBLE)
        step = np.array([0.5])
        d = difference.Differences(1, DOUBLE, 2, 2, 1.0, rule=(step, step * 0, step), entries=np.array([-2]))
        function.begin(x)
        function.along(v, np.array([-9.0, -9.0]), np.array([5.5, 6.5]))
        d.plan(np.zeros(1))
        assert d.evaluate(function) == GOOD
        assert seen == [[5.5, -3.0], [-4.0, 6.5]]


    def test_points_on_ways(self, side):
        """Moved by a multiple of the point, kept inside bounds, and shifted."""
        callback, difference = side
        seen = []
        function = callback.PythonFunction(lambda y: seen.append(y.tolist()) or 1.0, (), None, (3,), DOUBLE)
        function.begin(np.array([1.0, 2.0, 3.0]))
        function.along_ways(np.array([0, 2, 0]), np.array([2, 3, 0]), np.array([0, 2, 1]), np.array([1.0, 10.0, -1.0]),
                            np.array([-1, 0, 2]), np.array([9.0, 0.25, -0.5]), np.full(3, -4.0), np.full(3, 6.0))
        one = np.ones(1)
        d = difference.Differences(3, DOUBLE, 2, 2, 1.0, rule=(one, one * 0, one), entries=WAYS - np.arange(3))
        d.plan(np.zeros(3))
        assert d.evaluate(function) == GOOD
        assert seen == [[2.0, 2.0, 6.0], [0.0, 2.0, -4.0], [1.25, 1.0, 3.0], [1.25, 3.0, 3.0], [1.0, 2.0, 2.5],
                        [1.0, 2.0, 2.5]]
        moved, x = function.displaced(WAYS - 1, 2.0)
        assert moved.tolist() == [1.25, 0.0, 3.0] and x.tolist() == [1.0, 2.0, 3.0]

    def test_imaginary_parts_on_ways(self, side):
        callback, difference = side
        seen = []
        function = callback.PythonFunction(lambda y: seen.append(y.tolist()) or 1j, (), None, (2,), DOUBLE, False, True)
        function.begin(np.array([1.0, 2.0]))
        function.along_ways(np.array([0]), np.array([1]), np.array([1]), np.array([0.5]), np.array([1]),
                            np.array([1e-20]))
        one = np.ones(1)
        d = difference.Differences(1, DOUBLE, 2, 2, 1.0, 2, rule=(one, one * 0, one), entries=np.array([WAYS]))
        d.plan(np.zeros(1))
        assert d.evaluate(function) == GOOD
        assert seen == [[1, 2.5 + 1e-20j], [1, 1.5 + 1e-20j]]


def test_ways_that_lead_out_of_x_are_refused_and_cannot_be_changed_later():
    callback, difference = SIDES[0]
    function = callback.PythonFunction(np.sum, (), None, (2,), DOUBLE)
    start, stop, entry, size = np.zeros(1, int), np.ones(1, int), np.ones(1, int), np.ones(1)
    with pytest.raises(ValueError, match="begin the function first"):
        function.along_ways(start, stop, entry, size)
    function.begin(np.ones(2))
    d = difference.Differences(1, DOUBLE, 2, 2, 1.0, entries=WAYS - np.arange(1))
    d.plan(np.zeros(1))
    with pytest.raises(ValueError, match="no such way was given"):
        d.evaluate(function)
    for bad in (
        (start - 1, stop, entry, size), (start, stop + 1, entry, size), (stop, start, entry, size),
        (start, stop, entry + 1, size), (start, stop, entry - 2, size), (start, stop, entry, np.ones(2)),
        (start, stop, entry, np.ones(1, "f")), (start, stop, entry.astype("i4"), size),
        (start, np.ones(2, int), entry, size), (start, stop, entry, size, entry),
        (start, stop, entry, size, None, size),
        (start, stop, entry, size, entry + 1, size), (start, stop, entry, size, entry - 3, size),
        (start, stop, entry, size, None, None, np.ones(2)), (start, stop, entry, size, None, None, size, size),
    ):
        with pytest.raises(ValueError):
            function.along_ways(*bad)
    function.along_ways(start, stop, entry, size)
    entry[:] = start[:] = 10**9     # too late
    assert d.evaluate(function) == GOOD
    other = difference.Differences(1, DOUBLE, 2, 2, 1.0, entries=WAYS - np.ones(1, int))
    other.plan(np.zeros(1))
    with pytest.raises(ValueError, match="no such way was given"):
        other.evaluate(function)
    function.begin(np.ones(2))
    with pytest.raises(ValueError, match="no such way was given"):
        d.evaluate(function)


def test_writing_into_x_is_noticed_by_the_kernel_and_harmless_in_the_reference():
    def f(y):
        total = y.sum()
        y *= 0.5
        return total

    assert evaluate(SIDES[0], f, np.ones(3))[0] == TAMPERED
    assert evaluate(SIDES[1], f, np.ones(3))[0] == GOOD
    assert evaluate(SIDES[0], f, np.ones(1))[0] == GOOD     # its own entry is restored


def test_the_kernel_refuses_what_could_touch_foreign_memory():
    callback, difference = SIDES[0]
    function = callback.PythonFunction(np.sum, (), None, (2,), DOUBLE)
    d = difference.Differences(2, DOUBLE, 2, 2, 1e-6)
    assert function.finish() == GOOD
    for attempt in (
        lambda: d.evaluate(function),
        lambda: d.combine(),
        lambda: function.begin(np.ones(3)),
        lambda: function.begin(np.ones(2, "f")),
        lambda: function.begin(np.ones(4)[::2]),
        lambda: function.snapshot(),
        lambda: function.along(np.ones(3)),
        lambda: function.along(np.ones(2), np.ones(2)),
        lambda: d.plan(np.ones(3)),
        lambda: d.plan(np.ones(2, "f")),
        lambda: d.set_base(np.ones(2)),
        lambda: d.commit(np.ones(3)),
        lambda: difference.Differences(1, DOUBLE, 2, 2, 1e-6, entries=np.array([-3])),
    ):
        with pytest.raises(ValueError):
            attempt()
    function.begin(np.ones(2))
    d.plan(np.ones(2))
    for first, last in ((-1, 1), (0, 3), (2, 1)):
        with pytest.raises(ValueError, match="rows"):
            d.evaluate(function, first, last)
    wide = difference.Differences(3, DOUBLE, 2, 2, 1e-6)
    wide.plan(np.ones(3))
    with pytest.raises(ValueError, match="does not suit"):
        wide.evaluate(function)
    far = difference.Differences(1, DOUBLE, 2, 2, 1e-6, entries=np.array([2]))
    far.plan(np.ones(1))
    with pytest.raises(ValueError, match="does not suit"):
        far.evaluate(function)
    with pytest.raises(TypeError, match="made once"):
        function.__init__(np.sum, (), None, (2,), DOUBLE)
    with pytest.raises(TypeError, match="made once"):
        d.__init__(2, DOUBLE, 2, 2, 1e-6)
    with pytest.raises(TypeError):
        function.begin(None)
    with pytest.raises(OverflowError):
        callback.PythonFunction(np.sum, (), None, (2**40, 2**40), DOUBLE)


@pytest.mark.parametrize("result, value", [
    (1.5, 1.5), (2, 2.0), (True, 1.0), (Fraction(1, 4), 0.25), (Decimal("0.5"), 0.5), (np.float32(0.5), 0.5),
    (np.float16(0.5), 0.5), (np.array(3), 3.0), (np.array([3.0]), 3.0), (np.array([[3.0]]), 3.0), ([3], 3.0),
    ((3.0,), 3.0), (np.longdouble(1), 1.0), (np.array([Fraction(1, 2)], object), 0.5),
])
def test_one_number_of_any_kind_is_taken(result, value):
    array, _ = scalar_result(result, DOUBLE)
    assert array.dtype == DOUBLE
    assert array.shape == ()
    assert array == value


@pytest.mark.parametrize("result, error", [
    (None, TypeError), ("1.5", TypeError), (b"1.5", TypeError), (1j, TypeError), (np.array([1.0, 2.0]), ValueError),
    (np.array([]), ValueError), ({}, TypeError), (object(), TypeError), (np.array("1"), TypeError), (float, TypeError),
    (10**400, OverflowError), ([[1.0], [2.0, 3.0]], ValueError), (np.ma.masked, TypeError), (iter([1.0]), TypeError),
    (np.datetime64("2020-01-01"), TypeError), ([None], TypeError), (["1"], TypeError),
])
def test_what_is_no_number_is_refused(result, error):
    with pytest.raises(error):
        scalar_result(result, DOUBLE, label="f", nfev=3)
    if error is not OverflowError:
        with pytest.raises(error, match=r"f returned .* in evaluation 3"):
            scalar_result(result, DOUBLE, label="f", nfev=3)


def test_async_functions_and_generators_get_a_hint():
    async def coroutine():
        return 1.0

    def generator():
        yield 1.0

    with pytest.raises(TypeError, match="f is an async function"):
        scalar_result(coroutine(), DOUBLE)
    with pytest.raises(TypeError, match="f is a generator function"):
        scalar_result(generator(), DOUBLE)


def test_vectors_and_batches():
    assert vector_result([1, 2], DOUBLE)[0].tolist() == [1, 2]
    assert vector_result(3.0, DOUBLE)[0].shape == ()
    assert vector_result(np.array([1, 2], "f"), DOUBLE)[1] == np.finfo("f").eps
    assert vector_result([1, 2j], COMPLEX)[0].tolist() == [1, 2j]
    with pytest.raises(ValueError, match="expected one dimension"):
        vector_result(np.eye(2), DOUBLE)
    with pytest.raises(TypeError, match="an imaginary part is never dropped"):
        vector_result([1, 2j], DOUBLE)
    with pytest.raises(TypeError, match="drops the imaginary part"):
        vector_result([1.0, 2.0], COMPLEX, True)
    assert batch_result([1, 2, 3], DOUBLE, 3, False)[0].shape == (3,)
    assert batch_result([[1], [2], [3]], DOUBLE, 3, False)[0].shape == (3,)
    assert batch_result([1, 2, 3], DOUBLE, 3, True)[0].shape == (3, 1)
    for wrong, vector in (([1, 2], False), (np.ones((3, 2)), False), (np.ones((2, 3)), True), (1.0, False)):
        with pytest.raises(ValueError, match="for 3 points"):
            batch_result(wrong, DOUBLE, 3, vector)


def test_a_lent_copy_owns_nothing():
    for x in (np.arange(6.0).reshape(2, 3), np.array(3.0), np.array([1j]), np.zeros(0), np.ones(3, np.longdouble)):
        copy = lent_copy(x)
        assert same_bits(copy, x)
        assert copy.flags.writeable and copy.flags.aligned
        if x.size:
            with pytest.raises(ValueError):
                copy.resize(100, refcheck=False)


def test_types_are_computed_in_their_working_type():
    assert [working_type(np.dtype(char)).char for char in "fdgFDG"] == ["d", "d", "g", "d", "d", "g"]
    assert BASE == -1
