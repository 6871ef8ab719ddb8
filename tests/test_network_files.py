"""A network comes back from its file bit for bit, and a file that is anything else gives one clear error.

Here because files come from elsewhere. Tests network_files.py.
"""

import io
import json
import zipfile

import numpy as np
import pytest

import steepest as sd
from steepest.network import Network, load


@pytest.fixture
def saved(tmp_path):
    net = Network([3, 4, 2], ["tanh", "identity"], loss="softmax_cross_entropy", l2=0.1, l1=0.01, dtype=np.float32,
                  seed=1)
    net.save(tmp_path / "net.npz")
    return net, tmp_path / "net.npz"


def test_what_is_saved_comes_back(saved):
    net, path = saved
    again = load(path)
    np.testing.assert_array_equal(again.parameters, net.parameters)
    assert again.parameters.flags.writeable
    assert repr(again) == repr(net)
    assert (again.activations, again.penalties, again.dtype) == (net.activations, net.penalties, net.dtype)
    X = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(again.forward(X), net.forward(X))
    again.fit(X, np.array([0, 1, 1, 0, 1]), epochs=1, batch_size=2)
    with np.load(path) as archive:      # NumPy reads it too, and without pickle
        np.testing.assert_array_equal(archive["parameters"], net.parameters)


def test_the_same_network_makes_the_same_bytes(saved, tmp_path):
    net, path = saved
    net.save(tmp_path / "again.npz")
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_every_flipped_or_missing_byte_is_noticed(saved, tmp_path):
    _, path = saved
    content = path.read_bytes()
    bad = tmp_path / "bad.npz"
    for at in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[at] ^= 0x41
        bad.write_bytes(flipped)
        try:
            again = load(bad)
        except sd.CheckpointError as error:
            assert isinstance(error, ValueError)
        else:       # zip archives have bytes without meaning
            assert np.isfinite(again.parameters).all()
            np.testing.assert_array_equal(again.parameters, load(path).parameters)
        bad.write_bytes(content[:at])
        with pytest.raises(sd.CheckpointError):
            load(bad)


def archive_of(head, **arrays):
    """A file as `write` makes it, with any head."""
    from steepest import checkpoint

    file = io.BytesIO()
    checkpoint._write_members(file, head, arrays)
    return file.getvalue()


ABOUT = {"sizes": [1, 1], "activation": ["identity"], "loss": "mse", "l2": 0.0, "l1": 0.0, "delta": 1.0,
         "dtype": "float64"}


@pytest.mark.parametrize("change", [
    {"sizes": [1, 10**9, 10**9]}, {"sizes": [10**15, 10**15]}, {"sizes": [1, -1]}, {"sizes": [1, True]},
    {"sizes": "ab"}, {"sizes": [1]}, {"sizes": [2**70, 1]}, {"activation": ["swish"]}, {"activation": []},
    {"loss": "nothing"},
    {"dtype": "float16"}, {"dtype": "object"}, {"l2": "x"}, {"l2": -1.0}, {"delta": None}, {"more": 1}])
def test_a_head_that_says_what_cannot_be_is_refused(tmp_path, change):
    path = tmp_path / "odd.npz"
    head = {"format": "steepest.network", "version": 1, "network": ABOUT | change}
    path.write_bytes(archive_of(head, parameters=np.zeros(2)))
    with pytest.raises(sd.CheckpointError):
        load(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04K\x01.", archive_of({"format": "steepest.optim"}),
                                     archive_of([1]), archive_of({"format": "steepest.network", "version": 2}),
                                     archive_of({"format": "steepest.network", "version": 1, "network": None})])
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(sd.CheckpointError):
        load(path)


def test_parameters_that_are_not_finite_and_files_of_numpy_are_refused(tmp_path):
    path = tmp_path / "odd.npz"
    head = {"format": "steepest.network", "version": 1, "network": ABOUT}
    path.write_bytes(archive_of(head, parameters=np.array([1.0, np.nan])))
    with pytest.raises(sd.CheckpointError, match="not finite"):
        load(path)
    np.savez(path, parameters=np.zeros(2))
    with pytest.raises(sd.CheckpointError):
        load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("head.npy", json.dumps(head))
    with pytest.raises(sd.CheckpointError):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.npz")
