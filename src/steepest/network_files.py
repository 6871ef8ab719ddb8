"""Networks in files: what they are and their parameters, without a pickle.

Here so that a file from anywhere is safe to open: it gives the network that was saved, or one error. Tested in
tests/test_network_files.py.
"""

import itertools
import os

import numpy as np

from .checkpoint import read, write
from .errors import CheckpointError
from .feed_forward import Network

__all__ = ["load", "save"]

FORMAT, VERSION = "steepest.network", 1
# Parameters of a network, at most: more than memory holds. A file must have them all.
MOST = 2**48
_TYPES = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}
_NAMES = ("sizes", "activation", "loss", "l2", "l1", "delta", "dtype")


def save(network, path):
    """Write a network to a file; what is there is replaced at the end, or left alone."""
    about = {"sizes": list(network.sizes), "activation": list(network.activations), "loss": network.loss_name,
             **network.penalties, "dtype": network.dtype.name}
    parameters = network.parameters.astype(_TYPES[network.dtype.name])
    write(path, {"format": FORMAT, "version": VERSION, "network": about}, {"parameters": parameters})


def load(path):
    """Read a network that was saved.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Network
        With the same answers, bit for bit; how it was trained is not kept.

    Raises
    ------
    CheckpointError
        For a file that is damaged, cut short or something else.
    OSError
        As `open`.

    Examples
    --------
    >>> import os, tempfile, numpy as np, steepest as sd
    >>> net = sd.network.Network([2, 3, 1], "tanh", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(os.path.join(folder, "net.npz"))
    ...     again = sd.network.load(os.path.join(folder, "net.npz"))
    >>> np.array_equal(again.parameters, net.parameters)
    True
    """
    made, size = [], os.stat(path).st_size

    def expect(head):
        network = _network_of(head, size)
        made.append(network)
        return {"parameters": (_TYPES[network.dtype.name], network.parameters.shape)}

    _, arrays = read(path, {"parameters": (np.dtype("<f8"), (MOST,))}, expect)
    [network] = made
    if not np.isfinite(arrays["parameters"]).all():
        raise CheckpointError(f"{str(path)!r} is not a network that can be loaded here: a parameter is not finite")
    network.parameters = arrays["parameters"]
    return network


def _network_of(head, length):
    """A network as a file of so many bytes describes it; the file may say anything."""
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise CheckpointError("it holds no network")
    if head.get("version") != VERSION:
        raise CheckpointError(f"its version is {head.get('version')!r}, and {VERSION} is understood here")
    about = head.get("network")
    if not isinstance(about, dict) or sorted(about) != sorted(_NAMES):
        raise CheckpointError("it does not tell what network it holds")
    sizes = about.pop("sizes")
    if not isinstance(sizes, list) or not all(type(size) is int and 0 < size < MOST for size in sizes):
        raise CheckpointError("its sizes are no sizes")
    if 4 * sum((n + 1) * m for n, m in itertools.pairwise(sizes)) > length:
        raise CheckpointError("it is too short for its network")
    return Network(sizes, initializer="zeros", **about)
