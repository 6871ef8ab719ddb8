"""Minibatches of data, and a loss and its gradient on them: what a stochastic run evaluates.

Here so that the run in stochastic.py is about steps alone; which rows come next is the affair of kernels/sampler.
Tested in tests/test_stochastic.py.
"""

import numpy as np

from .backends import current
from .options import check_arguments, check_function
from .prepared import Gradient
from .reference.callback import BASE, array_result, lent_copy, note_evaluation, scalar_result
from .reference.sampler import ORDER, WAYS

__all__ = ["Loss", "Minibatches", "take_data"]

_FLOAT = np.dtype(np.float64)


def take_data(data, name, like=None):
    """An array, or a tuple of arrays with a common first axis, as a tuple of arrays that cannot be written to."""
    given = data if isinstance(data, tuple) else (data,)
    if not given:
        raise ValueError(f"{name} must have at least one array")
    arrays = []
    for i, entry in enumerate(given):
        where = f"{name}[{i}]" if isinstance(data, tuple) else name
        if entry is None or isinstance(entry, (str, bytes, dict)):
            raise TypeError(f"{where} must be an array, not {type(entry).__name__}")
        try:
            array = np.asarray(entry).view()
        except ValueError as error:
            raise ValueError(f"{where} must be an array: {error}") from None
        if array.ndim == 0:
            raise ValueError(f"{where} must be an array with a first axis, not one number")
        if len(array) != len(arrays[0] if arrays else array):
            raise ValueError(f"{where} must have {len(arrays[0])} rows, as {name}[0] has, not {len(array)}")
        array.flags.writeable = False
        arrays.append(array)
    if not len(arrays[0]):
        raise ValueError(f"{name} must have at least one row")
    if like is not None and len(arrays) != len(like):
        raise ValueError(f"{name} must have as many arrays as data, {len(like)}, not {len(arrays)}")
    return tuple(arrays)


class Minibatches:
    """Batches of rows of some arrays, without end.

    Parameters
    ----------
    data : tuple of arrays
    size : int
        Rows in a batch; all that there are when they are fewer.
    sampling : str
        One of `reference.sampler.WAYS`.
    seed : int
    """

    def __init__(self, data, size, sampling, seed):
        self.data, self.rows = data, len(data[0])
        self.size, self.way = min(size, self.rows), WAYS.index(sampling)
        self.sampler = current().Sampler(self.rows, self.size, self.way, seed)
        self.count = -(-self.rows // self.size)     # batches in an epoch

    def take(self):
        """The next batch: copies, but for the rows as they stand, which cannot be written to."""
        sampler = self.sampler
        if self.way == ORDER:
            rows = sampler.take()
            return tuple(array[rows[0] : rows[-1] + 1] for array in self.data)
        rows = sampler.take()
        return tuple(array.take(rows, axis=0) for array in self.data)


class Loss:
    """A loss and its gradient, given or by differences, at parameters and a batch.

    `alone` says that the parameters are one array, and not a list; `nfev` and `njev` count calls.
    """

    def __init__(self, loss, grad, params, alone, args, kwargs, differences):
        self.args, self.kwargs = check_arguments(args, kwargs)
        self.loss, self.grad, self.alone, self.nfev, self.njev = loss, grad, alone, 0, 0
        self.batch: tuple = ()
        self.differences = None
        check_function(loss, "loss")
        if grad is None or isinstance(grad, str):
            if not alone:
                raise TypeError("grad must be given for a list of parameters: differences are taken of one array")
            for name in ("workers", "vectorized"):
                if differences.get(name):
                    raise TypeError(f"{name} has no use here: the loss is another one for every batch")
            options = differences if grad is None else {"method": grad, **differences}
            self.differences = Gradient(self._at, params[0], **options)
            return
        if differences:
            raise TypeError(f"{', '.join(sorted(differences))}: options of differences have no use when grad is given")
        if grad is not True:
            check_function(grad, "grad")

    def close(self):
        """End what evaluates the loss."""
        if self.differences is not None:
            self.differences.close()

    def _at(self, x):
        self.nfev += 1
        return self.loss(x, *self.batch, *self.args, **self.kwargs)

    def _call(self, function, label, calls, params, batch):
        """What a function gives at copies of the parameters; exceptions say which evaluation it was."""
        lent = [lent_copy(array) for array in params]
        try:
            return function(lent[0] if self.alone else lent, *batch, *self.args, **self.kwargs)
        except BaseException as error:
            note_evaluation(error, label, calls, BASE, 0.0, params[0].shape)
            raise

    def value(self, params, batch):
        """The loss as a float."""
        self.nfev += 1
        found = self._call(self.loss, "loss", self.nfev, params, batch)
        if self.grad is True:
            found = self._pair(found)[0]
        return float(scalar_result(found, _FLOAT, label="loss", nfev=self.nfev)[0])

    def gradient(self, params, batch):
        """Its gradient: new arrays like the parameters."""
        self.njev += 1
        if self.differences is not None:
            self.batch = batch
            self.differences.calls_before = self.nfev
            return [np.array(self.differences(params[0]))]
        label, calls = "grad", self.njev
        if self.grad is True:
            self.nfev += 1
            label, calls = "loss", self.nfev
            found = self._pair(self._call(self.loss, label, calls, params, batch))[1]
        else:
            found = self._call(self.grad, label, calls, params, batch)
        found = (found,) if self.alone else found
        if not isinstance(found, (list, tuple)) or len(found) != len(params):
            raise TypeError(f"{label} must give a list of {len(params)} gradients, one for each array of params")
        return [array_result(one, array.dtype, array.shape, label, calls)
                for one, array in zip(found, params, strict=True)]

    def _pair(self, found):
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise TypeError(f"loss must give a pair (value, gradient) with grad=True, not {type(found).__name__}")
        return found
