"""Minibatches from a seed: kernel = reference, every row when it must come, the same from any place again.

Here because who resumes a run must meet the same rows. It tests kernels/sampler.pyx and reference/sampler.py.
"""

import threading

import numpy as np
import pytest

from steepest.kernels import sampler as kernel
from steepest.reference import sampler as reference
from steepest.reference.sampler import BATCHES, EPOCHS, ORDER, REPLACEMENT, WAYS

FLOORS = [kernel.Sampler, reference.Sampler]
EXPECTED = {
    EPOCHS: [[4, 7, 0, 5], [9, 3, 6, 2], [8, 1], [7, 8, 4, 0]],
    REPLACEMENT: [[1, 9, 2, 9], [6, 3, 8, 1], [1, 6], [1, 6, 4, 9]],
    BATCHES: [[1, 9, 4, 0], [6, 3, 8, 4], [1, 6], [1, 6, 5, 9]],
}
SIZES = [(1, 1), (7, 3), (32, 8), (100, 100), (101, 10)]


def taken(sampler, batches):
    return [sampler.take().tolist() for _ in range(batches)]


@pytest.mark.parametrize("way", range(4), ids=WAYS)
@pytest.mark.parametrize(("rows", "batch"), SIZES)
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_kernel_and_reference_take_the_same_rows(way, rows, batch, seed):
    first, second = (taken(floor(rows, batch, way, seed), 3 * (rows // batch + 1)) for floor in FLOORS)
    assert first == second


@pytest.mark.parametrize("floor", FLOORS)
def test_the_bits_are_these_everywhere(floor):
    """Written down, so that no other machine or version may have others."""
    assert taken(floor(10, 4, EPOCHS, 0), 4) == EXPECTED[EPOCHS]
    assert taken(floor(10, 4, REPLACEMENT, 0), 4) == EXPECTED[REPLACEMENT]
    assert taken(floor(10, 4, BATCHES, 0), 4) == EXPECTED[BATCHES]
    assert reference.mixed(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF    # the first number of SplitMix64 from 0


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize(("rows", "batch"), SIZES)
def test_an_epoch_has_every_row_once_and_the_next_another_order(floor, rows, batch):
    sampler = floor(rows, batch, EPOCHS, 5)
    epochs = [np.concatenate(taken(sampler, -(-rows // batch))).tolist() for _ in range(3)]
    assert all(sorted(epoch) == list(range(rows)) for epoch in epochs)
    assert sampler.epoch == 2
    assert rows < 7 or epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("floor", FLOORS)
def test_a_batch_without_replacement_has_no_row_twice_and_is_drawn_from_all(floor):
    sampler = floor(12, 5, BATCHES, 1)
    batches = taken(sampler, 60)
    assert all(len(set(batch)) == len(batch) for batch in batches)
    assert [len(batch) for batch in batches[:6]] == [5, 5, 2, 5, 5, 2]
    assert {row for batch in batches for row in batch} == set(range(12))
    assert any(set(a) & set(b) for a, b in zip(batches[::3], batches[1::3], strict=True))


@pytest.mark.parametrize("way", [EPOCHS, REPLACEMENT, BATCHES])
def test_all_rows_are_equally_likely_at_every_place(way):
    """Pearson's statistic over 10 rows at 10 places, 4000 epochs: 99 degrees of freedom, or 81 without repetition."""
    counts = np.zeros((10, 10))
    sampler = kernel.Sampler(10, 5, way, 11)
    for _ in range(4000):
        counts[np.arange(10), np.concatenate([sampler.take(), sampler.take()])] += 1
    statistic = ((counts - 400) ** 2 / 400).sum()
    assert 50 < statistic < 160


def test_rows_come_as_they_stand_when_asked_for():
    assert taken(kernel.Sampler(5, 2, ORDER, 9), 4) == [[0, 1], [2, 3], [4], [0, 1]]


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("way", range(4), ids=WAYS)
def test_it_goes_on_from_any_place(floor, way):
    sampler = floor(23, 5, way, 3)
    whole = taken(sampler, 15)
    for batches in range(12):
        sampler = floor(23, 5, way, 3)
        taken(sampler, batches)
        other = floor(23, 5, way, 3)
        other.restore(sampler.epoch, sampler.position)
        assert taken(other, 3) == whole[batches : batches + 3]


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("wrong", [(0, 1, 0, 0), (3, 0, 0, 0), (3, 4, 0, 0), (3, 1, 4, 0), (3, 1, -1, 0),
                                   (-1, -1, 0, 0)])
def test_wrong_sizes_are_refused(floor, wrong):
    with pytest.raises(ValueError, match="there is no sampler"):
        floor(*wrong)


@pytest.mark.parametrize("floor", FLOORS)
def test_wrong_places_are_refused(floor):
    sampler = floor(10, 4, EPOCHS, 0)
    for place in ((-1, 0), (0, 11), (0, -4)):
        with pytest.raises(ValueError, match="there is no place"):
            sampler.restore(*place)
    with pytest.raises(ValueError, match="between two batches"):
        sampler.restore(0, 3)


def test_what_cannot_be_held_is_a_memory_error():
    with pytest.raises(MemoryError):
        kernel.Sampler(2**61, 1, EPOCHS, 0)
    assert kernel.Sampler(2**61, 2, REPLACEMENT, 0).take().size == 2
    with pytest.raises(TypeError, match="made once"):
        kernel.Sampler(3, 1, EPOCHS, 0).__init__(3, 1, EPOCHS, 0)
    with pytest.raises(ValueError, match="never made"):
        kernel.Sampler.__new__(kernel.Sampler).take()


def test_other_threads_run_while_rows_are_shuffled():
    """The shuffle lets go of the GIL: a thread that counts gets on."""
    count, stop = [0], threading.Event()

    def work():
        while not stop.is_set():
            count[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        before = count[0]
        kernel.Sampler(2_000_000, 10, EPOCHS, 0)
        assert count[0] > before
    finally:
        stop.set()
        thread.join()
