"""Which rows come next: minibatches from a seed, the same on every machine, from any place again.

Here to be read, and to be compared with: the twin of kernels/sampler.pyx, equal index for index. Tested in
tests/test_sampler.py.

The random numbers are those of SplitMix64 [1]_: the k-th is a hash of a counter, so that any of them can be had at
once. Every epoch counts from a place of its own, which is a hash of the seed and the epoch; nothing is carried from one
to the next, and a place is told by two numbers.

.. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, 453-472.
"""

import numpy as np

WAYS = ("epochs", "replacement", "batches", "order")
EPOCHS, REPLACEMENT, BATCHES, ORDER = range(4)
MOST = 2**62        # rows, and epochs

_WORD = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mixed(z):
    """The hash of SplitMix64."""
    z = (z ^ z >> 30) * _FIRST & _WORD
    z = (z ^ z >> 27) * _SECOND & _WORD
    return z ^ z >> 31


class Sampler:
    """Batches of rows, one after the other.

    Parameters
    ----------
    rows, batch : int
        How many there are, and how many come at a time: the last of an epoch may be fewer.
    way : int
        EPOCHS: every row once in an epoch, shuffled anew by Durstenfeld's algorithm [1]_; REPLACEMENT: every row of a
        batch is drawn from all; BATCHES: from all that are not in the batch yet; ORDER: as they stand.
    seed : int
        From 0 to 2**64 - 1.

    Attributes
    ----------
    epoch, position : int
        The epoch, from 0, and how many of its rows were taken.

    References
    ----------
    .. [1] R. Durstenfeld, "Algorithm 235: random permutation", Comm. ACM 7 (1964) 420.
    """

    def __init__(self, rows, batch, way, seed):
        if not (0 < batch <= rows <= MOST and 0 <= way < len(WAYS)):
            raise ValueError(f"there is no sampler of {batch} of {rows} rows in way {way}")
        self.rows, self.batch, self.way, self.seed = rows, batch, way, seed
        self.restore(0, 0)

    def restore(self, epoch, position):
        """Go on from a place between two batches."""
        if not (0 <= epoch <= MOST and 0 <= position <= self.rows):
            raise ValueError(f"there is no place {position} in epoch {epoch}")
        if position % self.batch and position != self.rows:
            raise ValueError(f"position must be between two batches of {self.batch} rows, not {position}")
        self._begin(epoch)
        self.position = position

    def _begin(self, epoch):
        self.epoch, self.position = epoch, 0
        self._counter = mixed(mixed(self.seed + _GAMMA & _WORD) + (epoch + 1) * _GAMMA & _WORD)
        self._order = list(range(self.rows)) if self.way in (EPOCHS, BATCHES) else []
        if self.way == EPOCHS:
            order = self._order
            for i in range(self.rows - 1, 0, -1):
                j = self._below(i + 1, self.rows - i)
                order[i], order[j] = order[j], order[i]

    def _below(self, limit, k):
        """The k-th random number, from 0 to below a limit: too often by at most limit / 2**64."""
        return mixed(self._counter + k * _GAMMA & _WORD) * limit >> 64

    def take(self):
        """The next batch: an array of intp; a new epoch begins where one is over."""
        if self.position == self.rows:
            self._begin(self.epoch + 1)
        first = self.position
        count = min(self.batch, self.rows - first)
        if self.way == EPOCHS:
            taken = self._order[first : first + count]
        elif self.way == REPLACEMENT:
            taken = [self._below(self.rows, first + i + 1) for i in range(count)]
        elif self.way == BATCHES:
            taken = self._subset(first, count)
        else:
            taken = list(range(first, first + count))
        self.position = first + count
        return np.array(taken, np.intp)

    def _subset(self, first, count):
        """The beginning of a shuffle, which is undone."""
        order, swaps = self._order, []
        for i in range(count):
            j = i + self._below(self.rows - i, first + i + 1)
            order[i], order[j] = order[j], order[i]
            swaps.append(j)
        taken = order[:count]
        for i in range(count - 1, -1, -1):
            j = swaps[i]
            order[i], order[j] = order[j], order[i]
        return taken
