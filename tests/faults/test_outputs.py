"""Where results go: `out` that is x, overlaps it, overlaps itself, cannot be written, or is written by f.

Here because `out` is the caller's memory: it takes the result, whole and last, or stays as it was.
It tests rows D1 to D6 of the catalogue, for every entry point that takes `out` and every way to difference.
"""

import numpy as np
import pytest

import steepest as sd

from .contract import (
    X,
    attempt,
    bits,
    bowl,
    calls_of,
    cases,
    counted,
    cube,
    curves,
    entries,
    in_a_process,
    name_of,
    on_call,
    out_for,
    raising,
    right,
    untouched,
)

WITH_OUT = [case for case in cases() if "out" in case[0].takes]
# those whose result has the shape and type of x
LIKE_X = [case for case in WITH_OUT
          if case[0].kind_name not in ("vector", "vectors") and not case[0].name.startswith("hessian")]
# a linear function of three numbers to three: its Jacobian is as large as three x
SQUARE = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])


def value_of(entry, result):
    found = entry.pick(result)
    return found.value if isinstance(found, sd.Derivative) else found


@pytest.mark.parametrize(("entry", "options"), WITH_OUT, ids=name_of)
def test_D1_out_takes_the_bits_and_is_what_comes_back(backend, entry, options):
    out = out_for(entry, **options)
    result = entry.call(entry.f, X.copy(), out=out, **options)
    assert bits(result) == right(entry, **options)
    assert value_of(entry, result) is out


@pytest.mark.parametrize(("entry", "options"), LIKE_X, ids=name_of)
def test_D1_out_may_be_x_itself(backend, entry, options):
    x = X.copy()
    assert bits(entry.call(entry.f, x, out=x, **options)) == right(entry, **options)


@pytest.mark.parametrize(("entry", "options"), LIKE_X, ids=name_of)
def test_D2_out_may_overlap_x(backend, entry, options):
    expected = right(entry, **options)
    for x_at, out_at in ((slice(0, 3), slice(1, 4)), (slice(1, 4), slice(0, 3)), (slice(0, 3), slice(4, 1, -1)),
                         (slice(0, 6, 2), slice(0, 3)), (slice(2, None, -1), slice(1, 4))):
        memory = np.zeros(7)
        x, out = memory[x_at], memory[out_at]
        x[...] = X
        assert np.may_share_memory(x, out)
        assert bits(entry.call(entry.f, x, out=out, **options)) == expected


@pytest.mark.parametrize("entry", entries("out", kinds=["vector", "vectors"], dense=True), ids=str)
def test_D2_a_jacobian_or_product_may_overlap_x(backend, entry):
    def linear(x):
        return x @ SQUARE.T

    expected = right(entry, f=linear)
    memory = np.zeros(12)
    memory[2:5] = X
    out = memory[:9].reshape(3, 3) if entry.pick(entry.call(linear, X)).ndim == 2 else memory[3:6]
    assert bits(entry.call(linear, memory[2:5], out=out)) == expected


@pytest.mark.parametrize("name", ["lower", "upper", "step", "v", "f0"])
def test_D2_out_may_overlap_other_arguments(backend, name):
    def run(out):
        value = np.array([0.25, 0.5, 1e-3]) if name == "step" else X + {"lower": -1.0, "upper": 1.0}.get(name, 0.0)
        if out is None:
            out = np.empty(3)
        else:
            memory = np.zeros(5)
            memory[out] = value
            value, out = memory[out], memory[1:4]
        if name == "v":
            return sd.jvp(lambda x: x * x * x, X, value, out=out)
        if name == "f0":
            return sd.jvp(lambda x: x * x * x, X, X, f0=value, method="forward", out=out)
        bounds = {"lower": (value, np.inf), "upper": (-np.inf, value)}
        return sd.gradient(bowl, X, out=out, **({"step": value} if name == "step" else {"bounds": bounds[name]}))

    for at in (slice(0, 3), slice(1, 4), slice(2, 5)):
        assert bits(run(at)) == bits(run(None))


@pytest.mark.parametrize("entry", entries("out"), ids=str)
def test_D3_out_that_overlaps_itself_is_refused(backend, entry):
    good = out_for(entry)
    f = counted(entry.f)
    narrow = np.zeros(good.size + 1)
    itemsize = narrow.itemsize
    strides = [(0,) * good.ndim]
    if good.ndim == 2:
        strides += [(0, itemsize), (itemsize, 0), (itemsize, itemsize), (2 * itemsize, itemsize)]
    else:
        strides += [(itemsize // 2,)]
    for stride in strides:
        out = np.lib.stride_tricks.as_strided(narrow, good.shape, stride)
        with untouched(narrow):
            error = attempt(entry.call, f, X.copy(), out=out)[1]
        assert isinstance(error, ValueError) and str(error).startswith("out"), stride
    assert f.calls == 0 or entry.kind_name in ("vector", "vectors")


def unfit(good):
    """Arrays that cannot take the result, and why."""
    locked = good.copy()
    locked.flags.writeable = False
    arrays = {
        "read-only": (locked, ValueError),
        "too short": (good[:-1].copy(), ValueError),
        "too long": (np.concatenate([good, good]), ValueError),
        "another dimension": (good[None].copy(), ValueError),
        "transposed": (good.T.copy() if good.ndim == 2 else good[:, None].copy(), ValueError),
        "a number": (np.array(0.0), ValueError),
        "empty": (np.zeros(0), ValueError),
        "float32": (good.astype(np.float32), TypeError),
        "longdouble": (good.astype(np.longdouble), TypeError),
        "complex": (good.astype(complex), TypeError),
        "integers": (good.astype(np.int64), TypeError),
        "objects": (good.astype(object), TypeError),
        "other byte order": (good.astype(good.dtype.newbyteorder()), TypeError),
        "list": (good.tolist(), TypeError),
        "memoryview": (memoryview(good.copy()), TypeError),
        "text": ("out", TypeError),
        "number": (1.0, TypeError),
    }
    if good.T.shape == good.shape and good.ndim > 1:
        del arrays["transposed"]
    return arrays


@pytest.mark.parametrize(("entry", "options"), WITH_OUT, ids=name_of)
def test_D4_an_out_that_cannot_take_the_result_is_refused_before_f_is_called(backend, entry, options):
    """A Jacobian or a product cannot know how long it is before the first call; everything else can be known."""
    for name, (out, kind) in unfit(out_for(entry, **options)).items():
        f = counted(entry.f)
        x = X.copy()
        with untouched(x, out):
            error = attempt(entry.call, f, x, out=out, **options)[1]
        assert isinstance(error, kind) and "out" in str(error), (name, error)
        unknown = entry.kind_name in ("vector", "vectors") and kind is ValueError and name != "read-only"
        assert f.calls <= unknown, name


@pytest.mark.parametrize("entry", entries("out"), ids=str)
def test_D4_out_of_any_other_layout_takes_the_bits(backend, entry):
    expected, good = right(entry), out_for(entry)
    for layout in ("strided", "Fortran", "reversed", "misaligned", "subclass"):
        if layout == "strided":
            out = np.repeat(good, 2, axis=-1)[..., ::2]
        elif layout == "Fortran":
            out = np.asfortranarray(good)
        elif layout == "reversed":
            out = good.copy()[::-1]
        elif layout == "misaligned":
            out = np.zeros(good.nbytes + 1, np.uint8)[1:].view(good.dtype).reshape(good.shape)
        else:
            out = good.copy().view(np.recarray)
        result = entry.call(entry.f, X.copy(), out=out)
        assert value_of(entry, result) is out, layout
        assert bits(result) == expected, layout


@pytest.mark.parametrize(("entry", "options"), WITH_OUT, ids=name_of)
def test_D5_what_f_writes_into_out_is_overwritten_at_the_end(backend, entry, options):
    out = out_for(entry, **options)

    def write(x, result):
        out.fill(np.nan)
        return result

    assert bits(entry.call(on_call(None, entry.f, write), X.copy(), out=out, **options)) == right(entry, **options)


@pytest.mark.parametrize(("entry", "options"), WITH_OUT, ids=name_of)
def test_D5_out_is_committed_last(backend, entry, options):
    """In every call, the last one included, f sees `out` as the caller left it."""
    out, seen = out_for(entry, **options), []
    before = out.tobytes()
    f = on_call(None, entry.f, lambda x, result: (seen.append(out.tobytes() == before), result)[1])
    entry.call(f, X.copy(), out=out, **options)
    assert seen and all(seen)


@pytest.mark.parametrize(("entry", "options"), WITH_OUT, ids=name_of)
def test_D6_out_keeps_its_bytes_when_a_run_fails(backend, entry, options):
    for k in range(1, calls_of(entry, **options) + 1):
        out, x = out_for(entry, **options), X.copy()
        out.view(np.uint8)[..., ::3] = 0x5A
        for failing in (raising(k, entry.f, ZeroDivisionError()), on_call(k, entry.f, lambda x, result: "junk")):
            with untouched(x, out):
                assert attempt(entry.call, failing, x, out=out, **options)[1] is not None


@pytest.mark.parametrize("entry", entries("out"), ids=str)
def test_D6_out_keeps_its_bytes_when_a_warning_is_made_an_error(backend, entry):
    """The suite makes every warning an error; a derivative that is not finite warns."""
    out = out_for(entry)
    with untouched(out):
        error = attempt(entry.call, on_call(None, entry.f, lambda x, result: result * np.nan), X.copy(), out=out)[1]
    assert isinstance(error, sd.DifferenceWarning)


def test_D6_out_that_is_x_keeps_its_bytes_too(backend):
    for entry, options in LIKE_X:
        for k in range(1, calls_of(entry, **options) + 1):
            x = X.copy()
            with untouched(x):
                error = attempt(entry.call, raising(k, entry.f, ZeroDivisionError()), x, out=x, **options)[1]
            assert isinstance(error, ZeroDivisionError), (entry.name, options, k)


def test_D4_out_made_unfit_by_f_is_refused_or_takes_the_bits(backend):
    """Type and flags of `out` changed in mid-run: a clean error or a right result, never converted numbers."""
    for entry in entries("out"):
        expected = right(entry)
        for change in (lambda out: out.setflags(write=False), lambda out: setattr(out, "dtype", np.int64),
                       lambda out: setattr(out, "dtype", out.dtype.newbyteorder())):
            out = out_for(entry)
            f = on_call(1, entry.f, lambda x, result, out=out, change=change: (attempt(change, out), result)[1])
            result, error = attempt(entry.call, f, X.copy(), out=out)
            assert isinstance(error, (ValueError, TypeError)) or bits(result) == expected, entry.name


RESIZED = """
import numpy as np, steepest as sd
from tests.faults.contract import X, attempt, bits, entries, on_call, out_for, right
changes = [lambda out: out.resize(0, refcheck=False), lambda out: out.resize(1, refcheck=False),
           lambda out: out.resize(10_000, refcheck=False),
           lambda out: out.__setstate__((1, (0,), np.dtype(float), False, b""))]
x = np.linspace(-1.0, 1.0, 1000)
for backend in ("kernels", "reference"):
    with sd.backend(backend):
        for entry in entries("out"):
            point = X if entry.kind_name.startswith("vector") or entry.name.startswith("hessian") else x
            expected = right(entry, point)
            for change in changes:
                out = out_for(entry, point)
                f = on_call(1, entry.f, lambda x, result: (attempt(change, out), result)[1])
                result, error = attempt(entry.call, f, point, out=out)
                litter = [bytearray(8 * k) for k in range(50)]
                assert isinstance(error, (ValueError, TypeError)) or bits(result) == expected, (entry.name, error)
"""


def test_D4_out_resized_by_f_is_never_written_beyond_its_memory():
    in_a_process(RESIZED, PYTHONMALLOC="debug")


def test_D5_two_calls_may_share_one_out(backend):
    """An inner run of the same f writes to the outer one's `out`; the outer result is written last."""
    for call, f in ((sd.gradient, bowl), (sd.jacobian, curves), (sd.derivative, cube)):
        out = np.empty_like(call(f, X))

        def nested(x, result, call=call, f=f, out=out):
            call(f, X + 1, out=out)
            return result

        assert bits(call(on_call(None, f, nested), X, out=out)) == bits(call(f, X))
