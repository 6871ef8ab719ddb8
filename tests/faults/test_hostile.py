"""Functions that draw lots about what to do to us at every call.

Here because faults come in combinations that nobody thinks of. It tests rows A1 to A19 and B1 to B9 together (T3, T2):
whatever such a function does, there is the derivative of a polite f, to the bit, or a clean exception.
"""

import contextlib
import warnings

import numpy as np
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import steepest as sd

from .contract import ENTRIES, X, arrays_of, attempt, bits, bowl, curves

BACKENDS = ("kernels", "reference")


def examples(factor):
    """So many times the examples of the profile in force."""
    return settings(max_examples=factor * settings.default.max_examples)


class Planned(Exception):
    """Raised by an f on purpose."""


class Abrupt(BaseException):
    """Raised by an f on purpose, and not an Exception."""


# What f may do to its x. Each takes x and a list of what was kept before.

def _set(name, make):
    def change(x, kept):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            setattr(x, name, make(x))
    return change


def _on_borrowed(change):
    """Only on memory of ours: on memory of its own, with views of it kept, f would harm itself without our help."""
    def deed(x, kept):
        if not x.flags.owndata:
            kept.clear()
            change(x)
    return deed


def _spoil_kept(x, kept):
    for old in kept:
        if isinstance(old, np.ndarray) and old.flags.writeable:
            old.fill(77.0)


DEEDS = {
    "nothing": lambda x, kept: None,
    "zeros": lambda x, kept: x.fill(0),
    "NaN": lambda x, kept: x.fill(np.nan),
    "negate": lambda x, kept: np.negative(x, out=x),
    "invert": lambda x, kept: np.reciprocal(x, out=x),
    "one entry": lambda x, kept: x.__setitem__(x.size // 2, 9.0),
    "last entry": lambda x, kept: x.__setitem__(-1, -9.0),
    "sort": lambda x, kept: x.sort(axis=-1),
    "swap bytes": lambda x, kept: x.byteswap(inplace=True),
    "keep": lambda x, kept: kept.append(x),
    "keep a slice": lambda x, kept: kept.append(x[1:]),
    "keep a transpose": lambda x, kept: kept.append(x.T),
    "keep a buffer": lambda x, kept: kept.append(memoryview(x)),
    "keep the base": lambda x, kept: kept.append(x.base),
    "forget": lambda x, kept: kept.clear(),
    "spoil what was kept": _spoil_kept,
    "resize to nothing": _on_borrowed(lambda x: x.resize(0, refcheck=False)),
    "resize to much": _on_borrowed(lambda x: x.resize(5000, refcheck=False)),
    "shape": _set("shape", lambda x: (x.size, 1)),
    "dtype": _set("dtype", lambda x: np.int64),
    "byte order": _set("dtype", lambda x: x.dtype.newbyteorder()),
    "strides": _set("strides", lambda x: (0,) * x.ndim),
    "data": _on_borrowed(lambda x: _set("data", lambda x: np.full(x.shape, 7.0).data)(x, ())),
    "read-only": lambda x, kept: x.setflags(write=False),
    "unaligned": lambda x, kept: x.setflags(align=False),
    "setstate": _on_borrowed(lambda x: x.__setstate__((1, (2,), np.dtype(float), False, b"\x07" * 16))),
    "setstate to nothing": _on_borrowed(lambda x: x.__setstate__((1, (0,), np.dtype(float), False, b""))),
}

# What f may return for the right result; all of these are the right result.
WRAPPINGS = {
    "as it is": lambda result: result,
    "array": np.array,
    "big-endian": lambda result: np.asarray(result).astype(">f8"),
    "longdouble": lambda result: np.asarray(result).astype(np.longdouble),
    "list": lambda result: np.atleast_1d(result).tolist(),
    "strided": lambda result: np.repeat(np.atleast_1d(result), 2, axis=-1)[..., ::2],
    "objects": lambda result: np.atleast_1d(result).astype(object),
}
# What f may return that is no result at all.
JUNK = {
    "None": lambda x, result: None,
    "text": lambda x, result: "1.5",
    "complex": lambda x, result: result + 1j,
    "empty": lambda x, result: np.zeros((0, 2)),
    "too many": lambda x, result: np.zeros((3, 3, 3)),
    "too big": lambda x, result: [10**400],
    "objects": lambda x, result: np.array([object(), object()]),
    "a generator": lambda x, result: (item for item in [1.0]),
}
REFUSALS = (ValueError, TypeError, AttributeError, IndexError, BufferError)
ERRORS = {"planned": Planned, "abrupt": Abrupt, "interrupt": KeyboardInterrupt, "stop": StopIteration}

deeds = st.lists(st.sampled_from(sorted(DEEDS)), max_size=3)
good_call = st.tuples(deeds, st.sampled_from(sorted(WRAPPINGS)).map(lambda name: ("return", name)))
bad_call = st.tuples(deeds, st.one_of(
    st.sampled_from(sorted(JUNK)).map(lambda name: ("junk", name)),
    st.sampled_from(sorted(ERRORS)).map(lambda name: ("raise", name)),
))


def do(deeds, x, kept):
    """Do deeds to x; NumPy refuses some of them, and f does not mind."""
    for deed in deeds:
        with np.errstate(all="ignore"), contextlib.suppress(*REFUSALS):
            DEEDS[deed](x, kept)


class Hostile:
    """An f that follows a script, one line a call, again from the start when it ends; its mathematics is that of f."""

    def __init__(self, f, script):
        self.f, self.script, self.calls, self.kept, self.thrown, self.junk = f, script, 0, [], None, False

    def __call__(self, x, *args):
        deeds, (end, name) = self.script[self.calls % len(self.script)]
        self.calls += 1
        result = self.f(x)
        if isinstance(x, np.ndarray):
            do(deeds, x, self.kept)
        if end == "raise":
            self.thrown = ERRORS[name]()
            raise self.thrown
        if end == "junk":
            self.junk = True
            return JUNK[name](x, result)
        return WRAPPINGS[name](result)


def judge(hostile, result, error, expected):
    """A clean exception where f was bad, the bits of the polite f where it was good."""
    if hostile.thrown is not None:
        assert error is hostile.thrown
    elif hostile.junk:
        assert isinstance(error, (TypeError, ValueError, OverflowError)), error
    else:
        assert error is None, error
        assert bits(result) == expected


options = st.sampled_from([
    {}, {"order": 4}, {"method": "forward"}, {"method": "backward"}, {"step": 1e-3}, {"x_scale": 2.0},
    {"bounds": (X, X + 1.0)}, {"bounds": (X - 1.0, X)}, {"full_output": True},
])


# a noise level has the shape of what f gives, which a list or an array of one number changes
SHAPED = [entry for entry in ENTRIES if entry.kind_name != "noisy"]


@examples(10)
@given(
    entry=st.sampled_from(SHAPED), how=options, backend=st.sampled_from(BACKENDS),
    script=st.lists(st.one_of(good_call, good_call, good_call, bad_call), min_size=1, max_size=8),
)
def test_T3_a_function_that_draws_lots_gets_the_derivative_or_a_clean_exception(entry, how, backend, script):
    if not entry.takes >= set(how):
        how = {}
    with sd.backend(backend):
        expected = bits(entry.call(entry.f, X.copy(), **how))
        hostile, x = Hostile(entry.f, script), X.copy()
        result, error = attempt(entry.call, hostile, x, **how)
    judge(hostile, result, error, expected)
    assert x.tobytes() == X.tobytes()


numbers = st.floats(-1e3, 1e3, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-3)


@examples(30)
@given(
    entry=st.sampled_from(ENTRIES), how=options, x=st.lists(numbers, min_size=3, max_size=3).map(np.array),
    kind=st.sampled_from([np.float32, np.float64, np.longdouble, ">f8", "<f4"]), stride=st.sampled_from([1, 2, -1]),
)
def test_T2_kernel_and_reference_agree_on_every_bit(entry, how, x, kind, stride):
    if not entry.takes >= set(how) or "bounds" in how:
        how = {}
    x = np.repeat(x.astype(kind), abs(stride))[::stride][:3] if stride > 0 else x.astype(kind)[::stride]
    found = []
    for backend in BACKENDS:
        with sd.backend(backend), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result, error = attempt(entry.call, entry.f, x, **how)
            found.append((bits(result) if error is None else None, repr(error)))
    note(found)
    assert found[0] == found[1]


class PreparedMachine(RuleBasedStateMachine):
    """One Gradient and one Jacobian, called in any order from inside and outside, on either backend."""

    def __init__(self):
        super().__init__()
        self.kept, self.script, self.at, self.thrown, self.junk = [], [], 0, None, False
        self.depth = 0

    @initialize(backend=st.sampled_from(BACKENDS), method=st.sampled_from(["central", "forward", "backward"]))
    def prepare(self, backend, method):
        self.backend, self.method = backend, method
        with sd.backend(backend):
            self.gradient = sd.Gradient(lambda x: self.evaluate(bowl, x, self.gradient), X, method=method)
            self.jacobian = sd.Jacobian(lambda x: self.evaluate(curves, x, self.jacobian), X, method=method)

    def evaluate(self, f, x, prepared):
        """One call of f: its deeds, and perhaps another run of the object that calls it."""
        result = f(x)
        if self.depth > 2 or not self.script:
            return result
        deeds, (end, name) = self.script[self.at % len(self.script)]
        self.at += 1
        do(deeds, x, self.kept)
        if end == "again":
            self.depth += 3
            try:
                assert bits(prepared(X + 1)) == self.expected(f, X + 1)
            finally:
                self.depth -= 3
        elif end == "raise":
            self.thrown = ERRORS[name]()
            raise self.thrown
        elif end == "junk":
            self.junk = True
            return JUNK[name](x, result)
        return result

    def expected(self, f, x):
        make = sd.gradient if f is bowl else sd.jacobian
        return bits(make(f, x, method=self.method))

    def use(self, prepared, f, script, x, out):
        self.script, self.at, self.thrown, self.junk = script, 0, None, False
        with sd.backend(self.backend):
            expected = self.expected(f, x)
            room = np.full_like(arrays_of(prepared_shape(f))[0], -7.75) if out else None
            before = None if room is None else room.tobytes()
            result, error = attempt(prepared, x, room)
        judge(self, result, error, expected)
        assert error is None or room is None or room.tobytes() == before

    calls = st.lists(st.one_of(good_call, good_call, bad_call, st.tuples(deeds, st.just(("again", "")))), max_size=6)
    points = st.lists(numbers, min_size=3, max_size=3).map(np.array)

    @rule(script=calls, x=points, out=st.booleans())
    def call_gradient(self, script, x, out):
        self.use(self.gradient, bowl, script, x, out)

    @rule(script=calls, x=points, out=st.booleans())
    def call_jacobian(self, script, x, out):
        self.use(self.jacobian, curves, script, x, out)

    @precondition(lambda self: self.kept)
    @rule()
    def forget(self):
        self.kept.clear()

    @rule(backend=st.sampled_from(BACKENDS))
    def change_backend(self, backend):
        self.backend = backend

    @invariant()
    def initialising_again_is_refused(self):
        if hasattr(self, "jacobian"):
            for prepared in (self.gradient, self.jacobian):
                assert isinstance(attempt(prepared.__init__, bowl, X)[1], sd.BusyError)


def prepared_shape(f):
    """What the derivative of f looks like."""
    return np.zeros(3) if f is bowl else np.zeros((4, 3))


TestT3PreparedMachine = PreparedMachine.TestCase
TestT3PreparedMachine.settings = examples(3)
