"""The kernels of sampled fields equal their reference bit for bit, on every instruction set and by any threads.

Here because every derivative of an array of samples is made by them. Tests kernels/stencil.pyx, kernels/stencil.pxi and
reference/stencil.py; `steepest.grid.gradient`, which is made of them, is tested in test_grid_gradient.py.
"""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from twins import same_bits

from steepest.kernels import stencil as kernel
from steepest.kernels.isa import INSTRUCTION_SETS, instruction_set
from steepest.reference import stencil as reference

SIDES = (kernel, reference)
FIELDS = "fdFDbBhHiIqQ"
HARD = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 1e30, 1.0]
# How they are walked: as a row, rows, short rows, one plane, planes, strips of wide planes, more than a buffer holds.
SHAPES = [((2,), 0), ((9,), 0), ((5000,), 0), ((6, 301), 1), ((800, 5), 1), ((300, 2), 1), ((7, 9), 0), ((4, 5, 6), 1),
          ((3, 40_000), 0), ((2, 5, 3000), 1), ((70_000, 3), 0), ((30, 3, 4), 1), ((0, 3), 1), ((3, 0), 0)]


def field(shape, dtype, seed=0, hard=False):
    """Samples of any type, with some that are hard to subtract."""
    source = np.random.default_rng(seed)
    numbers = source.normal(scale=30, size=shape)
    if np.dtype(dtype).kind in "iu":
        return (abs(numbers) if np.dtype(dtype).kind == "u" else numbers).astype(dtype)
    if hard:
        numbers = np.where(source.random(shape) < 0.2, source.choice(HARD, shape), numbers)
    if np.dtype(dtype).kind == "c":
        numbers = np.stack([numbers, field(shape, "d", seed + 1, hard)], axis=-1).view("D")[..., 0]
    with np.errstate(over="ignore"):
        return numbers.astype(dtype)


def result_type(f):
    """The type of the derivative."""
    return np.dtype(np.float64) if f.dtype.kind in "iu" else f.dtype


def rules(f, axis, kind):
    """What `sweep` is told: divisors, powers of two, zero, weights at the ends, coordinates."""
    real, n = result_type(f).newbyteorder("=").char, f.shape[axis]
    x = np.cumsum(np.random.default_rng(n).uniform(0.5, 2, n))
    ends = (-1.5, 2.0, -0.5), (0.5, -2.0, 1.5)
    return {
        "quotient": ((real, 0.75), (real, 0.3), (real, (0.3,))),
        "power": ((real, 2.0), (real, -1.0), (real, 0.5)),
        "zero": ((real, -0.0), (real, 0.0), (real, np.inf)),
        "parabola": ((real, 1e-3), (real, ends[0]), (real, ends[1])),
        "coordinates": ((real if real in "dD" else {"f": "d", "F": "D"}[real], x), (real, 0.3), (real, ends[1])),
        "wide": (({"f": "d", "F": "D"}.get(real, real), 0.3), (real, 0.1), ({"f": "d", "F": "D"}.get(real, real), 0.3)),
        "narrow coordinates": ((real, x.astype("f")), (real, ends[0]), (real, 0.3)),
    }[kind]


KINDS = ["quotient", "power", "zero", "parabola", "coordinates", "wide", "narrow coordinates"]


def swept(module, f, axis, given, out=None, **options):
    """The derivative by one side, whatever arithmetic says."""
    out = np.full(f.shape, 7.5, result_type(f)) if out is None else out
    with np.errstate(all="ignore"):
        module.sweep(f, out, axis, *given, **options)
    return out


def enough(f, axis, given):
    """Whether there are the elements that the rules take."""
    return f.shape[axis] >= max(2, *(np.size(rule[1]) for rule in given[1:]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", FIELDS)
def test_every_rule_has_the_same_bits_on_both_sides(dtype, kind):
    for seed, (shape, axis) in enumerate(SHAPES):
        f = field(shape, dtype, seed, hard=seed % 2)
        given = rules(f, axis, kind)
        if enough(f, axis, given):
            ours, theirs = (swept(module, f, axis, given) for module in SIDES)
            assert same_bits(ours, theirs), (shape, axis)


def layouts(f):
    """The same field, lying in memory in all ways."""
    yield "Fortran", np.asfortranarray(f)
    yield "reversed", f[tuple([slice(None, None, -1)] * f.ndim)].copy()[tuple([slice(None, None, -1)] * f.ndim)]
    yield "apart", np.repeat(f, 2, axis=-1)[..., ::2]
    yield "rows apart", np.repeat(f, 2, axis=0)[::2]
    yield "turned", np.moveaxis(np.moveaxis(f, 0, -1).copy(), -1, 0)
    yield "foreign", f.astype(f.dtype.newbyteorder())
    yield "misaligned", np.frombuffer(b"x" + f.tobytes(), np.uint8)[1:].view(f.dtype).reshape(f.shape)
    yield "broadcast", np.broadcast_to(f[:1], f.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["f", "d", "F", "D", "b", "I", "q"])
def test_every_layout_of_field_and_result_has_the_same_bits(dtype, kind):
    for shape in ((5, 7, 4), (3, 2100), (2500, 3)):
        for axis in range(len(shape)):
            f = field(shape, dtype, axis)
            given = rules(f, axis, kind)
            if not enough(f, axis, given):
                continue
            for name, other in layouts(f):
                expected = swept(reference, other, axis, given).astype(result_type(f).newbyteorder("="))
                for outname, out in layouts(np.zeros(shape, expected.dtype)):
                    if outname in ("broadcast", "misaligned") or (len(shape) == 2 and outname != name):
                        continue
                    found = swept(kernel, other, axis, given, out)
                    assert same_bits(found.astype(expected.dtype), expected), (shape, axis, name, outname)


def test_results_larger_than_the_caches_have_the_same_bits():
    """They are written another way, a line at a time: from every place in a line, on every road."""
    source = np.random.default_rng(0)
    for shape, axis, dtype in (((3_400_000,), 0, "d"), ((1700, 2000), 1, "d"), ((1700, 2000), 0, "d"),
                               ((3, 1_100_000), 0, "d"), ((6_700_000,), 0, "f"), ((800_000, 5), 1, "d")):
        f = source.normal(size=shape).astype(dtype)
        for kind in ("quotient", "power", "parabola", "narrow coordinates"):
            given = rules(f, axis, kind)
            if enough(f, axis, given):
                room = np.zeros(f.size + 3, dtype)
                found = swept(kernel, f, axis, given, room[3:].reshape(shape))
                assert same_bits(found, swept(reference, f, axis, given)), (shape, axis, kind)
                assert not room[:3].any()


BITS = """
import hashlib, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import test_stencil as t
digest = hashlib.sha256()
for dtype in t.FIELDS:
    for kind in t.KINDS:
        for seed, (shape, axis) in enumerate(t.SHAPES):
            f = t.field(shape, dtype, seed, hard=True)
            given = t.rules(f, axis, kind)
            if t.enough(f, axis, given):
                found = t.swept(t.kernel, f, axis, given)
                found[np.isnan(found)] = 0
                digest.update(found.tobytes())
f = t.field((3_300_000,), "d")
digest.update(t.swept(t.kernel, f, 0, t.rules(f, 0, "quotient")).tobytes())
print(digest.hexdigest())
"""


def test_every_instruction_set_has_the_same_bits():
    widest = INSTRUCTION_SETS.index(instruction_set())
    found = set()
    for name in INSTRUCTION_SETS[: widest + 1]:
        run = subprocess.run([sys.executable, "-c", BITS, os.path.dirname(__file__)], capture_output=True, text=True,
                             timeout=120, env=os.environ | {"STEEPEST_ISA": name})
        assert run.returncode == 0, run.stderr
        found.add(run.stdout)
    assert len(found) == 1


def shuffled(part, first, last, halts):
    """Every block alone, in any order, by one thread after another."""
    for i, k in enumerate(np.random.default_rng(0).permutation(np.arange(first, last))):
        part(i % len(halts), int(k), int(k) + 1)
    return 0


@pytest.mark.parametrize("kind", ["quotient", "parabola", "coordinates"])
def test_threads_make_the_bits_of_one(kind):
    for shape, axis in (((300_001,), 0), ((600, 700), 0), ((600, 700), 1), ((100_000, 4), 1), ((4, 90_000), 0)):
        for dtype in "dI":
            f = field(shape, dtype)
            given = rules(f, axis, kind)
            one = swept(kernel, f, axis, given)
            assert same_bits(swept(kernel, f, axis, given, share=shuffled, threads=3), one), (shape, axis, dtype)


def test_a_thread_that_is_told_to_halt_stops():
    def halted(part, first, last, halts):
        halts[:] = 1
        part(0, first, last)
        return 0

    f = field((1_000_000,), "d")
    out = swept(kernel, f, 0, rules(f, 0, "quotient"), share=halted, threads=2)
    assert (out == 7.5).any()


def test_blocks_beyond_the_sweep_are_refused():
    def greedy(part, first, last, halts):
        for wrong in ((0, first, last + 1), (0, -1, last), (2, first, last), (-1, first, last), (0, 2, 1)):
            with pytest.raises(ValueError, match="not part of a sweep"):
                part(*wrong)
        kept.append(part)
        return part(0, first, last)

    kept = []
    f = field((200_000,), "d")
    swept(kernel, f, 0, rules(f, 0, "quotient"), share=greedy, threads=2)
    with pytest.raises(ValueError, match="not part of a sweep"):
        kept[0](0, 0, 1)


def test_the_kernel_refuses_what_it_cannot_sweep():
    f, frozen = np.zeros((4, 5)), np.zeros((4, 5))
    frozen.flags.writeable = False
    good = ("d", 1.0), ("d", 1.0), ("d", 1.0)
    weights = ("d", (1.0, 2.0, 3.0))
    for arguments, error, words in [
        ((f, np.zeros((4, 4)), 0, *good), ValueError, "same shape"),
        ((f, np.zeros(20), 0, *good), ValueError, "same shape"),
        ((f, np.zeros((4, 5)), 2, *good), ValueError, "the axis 2"),
        ((f, np.zeros((4, 5)), -1, *good), ValueError, "the axis -1"),
        ((f, np.zeros((4, 5), "f"), 0, *good), ValueError, "type of the derivative"),
        ((f, np.zeros((4, 5), "D"), 0, *good), ValueError, "type of the derivative"),
        ((f, frozen, 0, *good), ValueError, "can be written"),
        ((f.astype("e"), np.zeros((4, 5), "e"), 0, *good), TypeError, "float16"),
        ((f.astype("?"), np.zeros((4, 5)), 0, *good), TypeError, "bool"),
        ((f.astype(object), np.zeros((4, 5)), 0, *good), TypeError, "object"),
        ((f[:1], np.zeros((1, 5)), 0, *good), ValueError, "too few"),
        ((f[:2], np.zeros((2, 5)), 0, good[0], weights, good[0]), ValueError, "too few"),
        ((f, np.zeros((4, 5)), 0, ("f", 1.0), *good[1:]), ValueError, "worked out"),
        ((f, np.zeros((4, 5)), 0, ("D", 1.0), *good[1:]), ValueError, "worked out"),
        ((f, np.zeros((4, 5)), 0, good[0], ("d", (1.0, 2.0)), good[0]), ValueError, "a divisor or three weights"),
        ((f, np.zeros((4, 5)), 0, ("d", np.zeros(5)), *good[1:]), ValueError, "coordinates must be 4"),
        ((f, np.zeros((4, 5)), 0, ("d", np.zeros((4, 1))), *good[1:]), ValueError, "coordinates must be 4"),
        ((None, f, 0, *good), TypeError, "f"),
    ]:
        with pytest.raises(error, match=words):
            kernel.sweep(*arguments)
    f = f.astype("f")
    with pytest.raises(ValueError, match="worked out in float64"):
        kernel.sweep(f, np.zeros_like(f), 0, ("f", np.arange(4.0)), ("f", 1.0), ("f", 1.0))


def test_even_spacing_is_exact():
    for module in SIDES:
        for x in (np.arange(5000), np.arange(5000.0), np.arange(9, dtype="f"), np.arange(9)[::-2],
                  np.array([3, 1], "B"), np.arange(5, dtype=">i2"), np.linspace(0, 1, 1025)):
            step = module.even_spacing(x)
            wide = x.astype("d") if x.dtype.kind in "iu" else x
            assert step == wide[1] - wide[0] and step.dtype == wide.dtype.newbyteorder("="), x
        for x in (np.linspace(0, 1, 11), np.array([0.0, np.nan, 2.0]), np.array([0.0, 1.0, 1.0]),
                  np.append(np.arange(5000.0), 5001)):
            assert module.even_spacing(x) is None
        for x in (np.zeros(0), np.zeros(1)):
            with pytest.raises(IndexError, match="two"):
                module.even_spacing(x)


WARNED = [({"f": [np.inf, np.inf, 1.0]}, "invalid"), ({"inside": 0.0}, "divide by zero"),
          ({"f": [1e308, 0.0, -1e308]}, "overflow"), ({"f": [1.0, 2.0, np.nan]}, None),
          ({"f": [0.0, 5e-324, 0.0]}, None)]


@pytest.mark.parametrize("module", SIDES)
@pytest.mark.parametrize(("case", "word"), WARNED)
def test_what_arithmetic_meets_is_reported_as_numpy_would(module, case, word):
    f = np.array(case.get("f", [1.0, 2.0, 4.0]))
    given = ("d", case.get("inside", 1.5)), ("d", 1.0), ("d", 1.0)
    if word is None:
        module.sweep(f, np.zeros(3), 0, *given)
        return
    with pytest.warns(RuntimeWarning, match=word):
        module.sweep(f, np.zeros(3), 0, *given)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match=word):
        module.sweep(f, np.zeros(3), 0, *given)
    with np.errstate(all="ignore"):
        module.sweep(f, np.zeros(3), 0, *given)


def test_short_rows_report_what_happens_in_them_and_not_between_them():
    """Rows that are done in one run see differences across their ends, which are nobody's."""
    f = np.tile([np.inf, 1.0, 2.0, -np.inf], (1000, 1))
    f[:, 0] = np.inf
    given = ("d", 2.0), ("d", 1.0), ("d", 1.0)
    kernel.sweep(f, np.zeros_like(f), 1, *given)
    f[500, 1] = np.inf
    with pytest.warns(RuntimeWarning, match="invalid"):
        kernel.sweep(f, np.zeros_like(f), 1, *given)


def test_small_plain_arrays_are_done_at_once_and_others_left():
    seen = []
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    row, plane = field((40,), "d"), field((5, 6), "f")
    for module in SIDES:
        found = []
        for arguments in [(row, (), None, 1, None), (row, (0.3,), 0, 2, np.zeros(40)), (plane, (), None, 2, None),
                          (plane, (1e-3,), -1, 1, np.zeros((5, 6), "f"))]:
            made = module.gradient_at_once(*arguments)
            found += made if isinstance(made, tuple) else [made]
            assert arguments[4] is None or made is arguments[4]
        seen.append(found)
        for left in [([1.0, 2.0], (), None, 1, None), (row, (1,), None, 1, None), (row, (0.0,), None, 1, None),
                     (row, (1e-31,), None, 1, None), (row, (np.nan,), None, 1, None), (row, (), 1, 1, None),
                     (row, (), None, 3, None), (row, (), None, True, None), (row, (), (0,), 1, None),
                     (row[::2], (), None, 1, None), (row.astype("i"), (), None, 1, None),
                     (row.astype(">f8"), (), None, 1, None), (row[:1], (), None, 1, None),
                     (row[:2], (), None, 2, None), (row, (), None, 1, row), (row, (), None, 1, np.zeros(40, "f")),
                     (row, (), None, 1, np.zeros(39)), (row[:3], (), None, 1, frozen), (row, (), None, 1, [0.0] * 40),
                     (plane, (), None, 1, (plane, plane)), (np.zeros(()), (), None, 1, None),
                     (np.zeros(0), (), None, 1, None), (np.zeros(reference.LARGEST_AT_ONCE + 1), (), None, 1, None),
                     (np.ma.array(row), (), None, 1, None), (row, (1.0, 1.0), None, 1, None)]:
            assert module.gradient_at_once(*left) is None, left
    assert all(same_bits(ours, theirs) for ours, theirs in zip(*seen, strict=True))


@pytest.mark.parametrize("dtype", ["d", "i"])
def test_a_sweep_takes_no_memory_but_small_buffers(dtype):
    f = field((2000, 500), dtype)
    out = np.zeros(f.shape)
    for kind in ("quotient", "coordinates"):
        for axis in (0, 1):
            given = rules(f, axis, kind)
            kernel.sweep(f, out, axis, *given)
            tracemalloc.start()
            try:
                kernel.sweep(f, out, axis, *given)
                assert tracemalloc.get_traced_memory()[1] < f.nbytes // 10
            finally:
                tracemalloc.stop()
