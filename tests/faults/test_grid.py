"""Sampled fields: bad axes and spacings, outputs that cannot be written, interruptions, no memory.

Here because what takes arrays in place of functions meets faults of its own. It tests rows C19 and C20, and what rows
C1, C2, D2, D3, D4, D6, F1, F2, G1, G3, G5 and G9 ask of `steepest.grid`. A function that is added joins with a line in
`ENTRIES`.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

import steepest as sd

from .contract import attempt, bits, in_a_process, untouched
from .test_endurance import DELAYS, answered, shooter, together, untraced  # noqa: F401

X = np.cumsum(np.linspace(1.0, 2.0, 6))
FIELD = np.random.default_rng(0).normal(size=(6, 5))


@dataclass(frozen=True)
class Entry:
    """One function of `steepest.grid`, called as ``call(f, **options)`` with a field of two dimensions along axis 0."""

    name: str
    call: Callable = field(repr=False)
    refused: tuple = ()         # options that do not fit FIELD, the error, and a word of it
    reach: int = 1              # how far a sample is felt along axis 0
    by_numpy: bool = False      # whether NumPy's functions do much of it, which do not stand every lack of memory

    def __str__(self):
        return self.name


def _along(f, *varargs, axis=0, **options):
    return sd.grid.gradient(f, *varargs, axis=axis, **options)


def _uneven(f, x=None, **options):
    return sd.grid.gradient(f, np.cumsum(np.linspace(1.0, 2.0, len(f))) if x is None else x, axis=0, **options)


def _diff(f, axis=0, **options):
    return sd.grid.diff(f, axis=axis, **options)


def _diff_uneven(f, x=None, **options):
    x = np.cumsum(np.linspace(1.0, 2.0, len(f))) if x is None else x
    return sd.grid.diff(f, x, axis=0, n=2, **options)


def _laplacian(f, axes=0, **options):
    return sd.grid.laplacian(f, axes=axes, **options)


def _magnitude(f, axes=0, **options):
    return sd.grid.magnitude(f, axes=axes, **options)


def _mixed(f, axes=0, **options):
    return sd.grid.mixed(f, axes=axes, n=2, **options)


def _operator(f, out=None, threads=None, **options):
    return sd.grid.Operator(f.shape, axis=options.pop("axis", 0), **options).apply(f, out, threads=threads)


ENTRIES = [
    Entry("gradient", _along, (
        ({"axis": 2}, ValueError, "axis 2"), ({"axis": (0, 0)}, ValueError, "repeated"), ({"axis": 0.5}, TypeError, ""),
        ({"edge_order": 3}, ValueError, "edge_order"), ({"edge_order": 0}, ValueError, "edge_order"),
        ({"threads": 0}, ValueError, "threads"), ({"axes": 1}, TypeError, "axes"),
    )),
    Entry("gradient-uneven", _uneven, (
        ({"x": X[:-1]}, ValueError, "distances"), ({"x": np.stack([X, X])}, ValueError, "distances"),
        ({"x": X.astype("M8[s]")}, TypeError, ""),
    )),
    Entry("diff", _diff, (
        ({"axis": 2}, ValueError, "axis 2"), ({"axis": 0.5}, TypeError, "axis"), ({"n": 0}, ValueError, "n must"),
        ({"order": 3}, ValueError, "order"), ({"order": 6}, ValueError, "axis 0"),
        ({"spacing": 0}, ValueError, "axis 0"),
        ({"boundary": "wrap"}, ValueError, "axis 0"), ({"edge_order": 6}, ValueError, "axis 0"),
        ({"direction": "left"}, ValueError, "direction"), ({"threads": 0}, ValueError, "threads"),
        ({"axes": 1}, TypeError, "axes"), ({"spacing": X * np.nan}, ValueError, "axis 0"),
    )),
    Entry("diff-uneven", _diff_uneven, (
        ({"x": X[:-1]}, ValueError, "axis 0"), ({"x": np.stack([X, X])}, ValueError, "axis 0"),
        ({"x": X.astype("M8[s]")}, ValueError, "unit"), ({"x": X[[0, 1, 1, 2, 3, 4]]}, ValueError, "axis 0"),
        ({"x": X[[0, 2, 1, 3, 4, 5]]}, ValueError, "axis 0"), ({"x": X, "boundary": "periodic"}, ValueError, "period="),
    ), reach=2, by_numpy=True),
    Entry("laplacian", _laplacian, (
        ({"axes": 2}, ValueError, "axis 2"), ({"axes": (0, 0)}, ValueError, "axes"), ({"axes": 0.5}, TypeError, "axes"),
        ({"order": 3}, ValueError, "order"), ({"order": 6}, ValueError, "axis 0"),
        ({"boundary": "wrap"}, ValueError, "axis 0"), ({"edge_order": 6}, ValueError, "axis 0"),
        ({"spacing": 0}, ValueError, "axis 0"), ({"threads": 0}, ValueError, "threads"),
        ({"axis": 1}, TypeError, "axis"),
        ({"spacing": [X * np.nan]}, ValueError, "axis 0"), ({"spacing": [X[:-1]]}, ValueError, "axis 0"),
        ({"spacing": [X, X]}, ValueError, "spacing"), ({"period": 9.0}, ValueError, "period"),
        ({"axes": (0, 1), "spacing": [1.0, X[[0, 1, 1, 2, 3]]]}, ValueError, "axis 1"),
    )),
    Entry("magnitude", _magnitude, (({"axes": 2}, ValueError, "axis 2"), ({"boundary": "wrap"}, ValueError, "axis 0"))),
    Entry("mixed", _mixed, (({"axes": (1, 1)}, ValueError, "axes"),)),
    Entry("Operator", _operator, (
        ({"axis": 2}, ValueError, "axis 2"), ({"kind": "slope"}, ValueError, "kind"), ({"n": 0}, ValueError, "n must"),
        ({"boundary": "wrap"}, ValueError, "axis 0"), ({"spacing": 0}, ValueError, "axis 0"),
    ), by_numpy=True),
]
each = pytest.mark.parametrize("entry", ENTRIES, ids=str)


def an_out(entry, f=FIELD):
    """Where the result of an entry point can go, filled with what must not change when it fails."""
    return np.full_like(entry.call(f), -7.75)


@each
def test_C19_axes_and_spacings_that_do_not_fit_are_refused_before_anything_is_computed(backend, entry):
    for options, kind, word in entry.refused:
        out = an_out(entry)
        with untouched(out, FIELD):
            error = attempt(entry.call, FIELD, out=out, **options)[1]
        assert isinstance(error, kind) and word in str(error), (options, error)
    for short in (FIELD[:1], FIELD[:0]):
        with untouched(out := np.full(short.shape, -7.75)):
            error = attempt(entry.call, short, out=out)[1]
        assert isinstance(error, (ValueError, IndexError)) and re.search("element|two numbers|points", str(error))


@each
def test_C20_nan_in_samples_spreads_to_its_stencil_and_no_further(backend, entry):
    f = np.random.default_rng(1).normal(size=(20, 5))
    f[9, 2] = np.nan
    rows, columns = np.nonzero(np.isnan(entry.call(f)))
    assert set(columns) == {2} and abs(rows - 9).max() <= entry.reach


@each
def test_C1_C2_a_field_is_only_read(backend, entry):
    f = FIELD.copy()
    f.flags.writeable = False
    assert bits(entry.call(f)) == bits(entry.call(FIELD))
    assert f.tobytes() == FIELD.tobytes()


@each
def test_D2_an_out_that_overlaps_the_field_is_refused(backend, entry):
    room = np.concatenate([FIELD, FIELD, FIELD])
    for out in (room[6:12], room[7:13], room[5:11], room[6:12][::-1]):
        with untouched(room):
            error = attempt(entry.call, room[6:12], out=out)[1]
        assert isinstance(error, ValueError) and "out must not overlap" in str(error)
    apart = np.zeros((6, 10))
    apart[:, ::2] = FIELD
    entry.call(apart[:, ::2], out=apart[:, 1::2])
    assert bits(np.array(apart[:, 1::2])) == bits(entry.call(FIELD))


def test_D2_outs_that_overlap_each_other_or_the_coordinates_are_refused(backend):
    room, x = np.full((7, 5), -7.75), X.copy()
    with untouched(room, x):
        error = attempt(sd.grid.gradient, FIELD, out=(room[:6], room[1:]))[1]
        assert isinstance(error, ValueError) and "out[1] must not overlap out[0]" in str(error)
        error = attempt(sd.grid.gradient, np.arange(6.0), x, out=x)[1]
        assert isinstance(error, ValueError) and "out must not overlap the coordinates" in str(error)


@each
def test_D3_an_out_that_overlaps_itself_is_refused(backend, entry):
    room = np.full(60, -7.75)
    for strides in ((0, 8), (8, 0), (8, 8), (16, 8)):
        out = np.lib.stride_tricks.as_strided(room, FIELD.shape, strides)
        with untouched(room):
            error = attempt(entry.call, FIELD, out=out)[1]
        assert isinstance(error, ValueError) and "out must not overlap itself" in str(error)


@each
def test_D4_an_out_that_cannot_take_the_result_is_refused(backend, entry):
    locked = an_out(entry)
    locked.flags.writeable = False
    for out, kind in ((locked, ValueError), (np.zeros((6, 4)), ValueError), (np.zeros((5, 6)), ValueError),
                      (np.zeros((6, 5), "f"), TypeError), (np.zeros((6, 5), int), TypeError), ([0.0], TypeError),
                      (np.ma.zeros((6, 5)), TypeError), (an_out(entry).view(np.recarray), TypeError),
                      ((an_out(entry), an_out(entry)), TypeError)):
        with untouched(out):
            error = attempt(entry.call, FIELD, out=out)[1]
        assert isinstance(error, kind) and "out" in str(error), (out, error)
    for out, kind in ((an_out(entry), TypeError), ((an_out(entry),), ValueError), ((an_out(entry), None), TypeError),
                      ((an_out(entry), np.zeros((6, 5), "f")), TypeError)):
        with untouched(*(out if isinstance(out, tuple) else [out])):
            error = attempt(sd.grid.gradient, FIELD, out=out)[1]
        assert isinstance(error, kind) and "out" in str(error), (out, error)


@each
def test_D6_out_keeps_its_bytes_when_a_call_fails(backend, entry):
    """The last of several axes is too short: the first is not begun."""
    outs = np.full((6, 1), -7.75), np.full((6, 1), -7.75)
    with untouched(*outs):
        error = attempt(sd.grid.gradient, FIELD[:, :1], out=outs)[1]
    assert isinstance(error, ValueError) and "axis 1" in str(error)


MEMORY = """
import numpy as np, steepest as sd, _testcapi
from tests.faults.failing_buffers import FailingBuffers
from tests.faults.test_grid import ENTRIES
f = np.random.default_rng(0).normal(size=(300, 80))
fields = f, f[::2, ::2], np.arange(6000).reshape(3000, 2), f[:, :3].copy()
for entry in ENTRIES:
    for field in fields:
        expected = entry.call(field)
        entry.call(field, threads=1)
        for first in range(0 if entry.by_numpy else 60):
            _testcapi.set_nomemory(first, first + 1)
            try:
                found = entry.call(field, threads=1)
            except MemoryError:
                continue
            finally:
                _testcapi.remove_mem_hooks()
            assert found.tobytes() == expected.tobytes()
        with FailingBuffers() as failing:
            for k in range(1, 20):
                for on in (False, True):
                    found, error = failing.attempt(k, on, lambda: entry.call(field, threads=1))
                    assert error is None and found.tobytes() == expected.tobytes() or isinstance(error, MemoryError)
"""


def test_F1_F2_every_allocation_may_fail():
    pytest.importorskip("_testcapi")
    in_a_process(MEMORY)


@untraced
@each
@pytest.mark.parametrize("threads", [1, 2])
def test_G1_G3_ctrl_c_is_answered_within_50_ms_of_one_long_call(entry, threads, shooter):  # noqa: F811
    f = np.broadcast_to(np.ones((1, 1), ">f4"), (14_000_000, 3))
    out = np.zeros((3, 14_000_000), ">f4").T    # turned around, in another byte order: it takes a third of a second

    def run():
        entry.call(f, out=out, threads=threads)
        entry.call(f, out=out, threads=threads)

    waits = [shooter.latency(delay, run) for delay in DELAYS]
    assert answered(waits), waits


@each
def test_G5_one_field_in_eight_threads_gives_the_bits_of_one(backend, entry):
    f = np.random.default_rng(0).normal(size=(500, 300))
    expected = [[bits(entry.call(f))] * 5] * 8
    assert together(8, lambda i: [bits(entry.call(f)) for _ in range(5)]) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_G9_a_forked_child_differentiates_with_threads_of_its_own():
    in_a_process("""
import os, numpy as np, steepest as sd
from steepest import threads
threads.PAYS = 0
f = np.random.default_rng(0).normal(size=(2000, 500))
expected = sd.grid.gradient(f, axis=0, threads=2)
child = os.fork()
if child == 0:
    os._exit(0 if sd.grid.gradient(f, axis=0, threads=2).tobytes() == expected.tobytes() else 1)
assert os.waitpid(child, 0)[1] == 0
""")
