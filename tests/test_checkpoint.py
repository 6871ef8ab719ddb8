"""Files of states: what was written comes back, or a `CheckpointError` does, whatever the bytes are.

Here because a file passes through many hands. It tests checkpoint.py; rows I5 to I10 of the catalogue are in
faults/test_checkpoints.py.
"""

import io
import json
import os
import zipfile

import numpy as np
import pytest

import steepest as sd
from steepest import checkpoint

ARRAYS = {
    "a": np.arange(6.0).reshape(2, 3), "b": np.float32([1, np.nan, -0.0]), "none": np.zeros((0, 4)),
    "number": np.array(2.5), "big": np.arange(3, dtype=">f8"), "strided": np.arange(10.0)[::-3],
}
HEAD = {"words": ["a", None], "number": 0.1, "nested": {"flag": True}}


def forms_of(arrays):
    return {name: (array.dtype.type, array.shape) for name, array in arrays.items()}


def expect(head):
    """What these arrays are."""
    if head != HEAD:
        raise ValueError("another head")
    return forms_of(ARRAYS)


@pytest.fixture
def path(tmp_path):
    """A good file."""
    checkpoint.write(tmp_path / "file", HEAD, ARRAYS)
    return tmp_path / "file"


def refuse(path, expect=expect, match=None):
    with pytest.raises(sd.CheckpointError, match=match) as caught:
        checkpoint.read(path, forms_of(ARRAYS), expect)
    assert str(path) in str(caught.value)


def test_what_was_written_comes_back(path):
    head, arrays = checkpoint.read(path, forms_of(ARRAYS), expect)
    assert head == HEAD and list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].shape == array.shape and not arrays[name].flags.writeable
    with np.load(path, allow_pickle=False) as file:
        assert set(file) == {"head", "checksum", *ARRAYS}
        assert json.loads(file["head"].tobytes()) == HEAD


def test_checkpoint_error_is_a_value_error():
    assert issubclass(sd.CheckpointError, ValueError)


def test_what_is_no_archive_is_refused(path):
    for content in (b"", b"abc", b"PK\x03\x04", b"\0" * 1000, b"\x93NUMPY", b"PK\x05\x06" + b"\0" * 18):
        path.write_bytes(content)
        refuse(path)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forge(path, contents, compress=zipfile.ZIP_STORED, sign=True):
    """Write an archive with any members; with a checksum that is right, unless not."""
    import hashlib

    contents = dict(contents)
    if sign:
        digest = hashlib.sha256()
        for name in ["head.npy", *(f"{name}.npy" for name in ARRAYS)]:
            if name in contents:
                digest.update(name.encode() + b"\0" + contents[name])
        contents["checksum.npy"] = npy(np.frombuffer(digest.digest(), np.uint8))
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def test_the_forger_can_make_a_good_file(path):
    forge(path, members(path))
    assert checkpoint.read(path, forms_of(ARRAYS), expect)[0] == HEAD


def test_members_that_are_missing_or_too_many_are_refused(path):
    good = members(path)
    for name in good:
        forge(path, {key: value for key, value in good.items() if key != name}, sign=False)
        refuse(path)
    forge(path, {**good, "c.npy": npy(np.ones(2))})
    refuse(path, match="other arrays")
    forge(path, {**good, "../a.npy": npy(np.ones(2))})
    refuse(path, match="other arrays")


def test_other_numbers_are_refused_though_the_archive_is_sound(path):
    good = members(path)
    forge(path, {**good, "a.npy": npy(np.arange(6.0).reshape(2, 3) + 1)}, sign=False)
    refuse(path, match="checksum")
    forge(path, {**good, "a.npy": good["none.npy"], "none.npy": good["a.npy"]}, sign=False)
    refuse(path)


@pytest.mark.parametrize("array", [np.ones((3, 2)), np.ones(6), np.ones((2, 3), np.float32), np.ones((2, 3), int),
                                   np.asfortranarray(np.ones((2, 3))), np.ones((2, 4)), np.ones(0),
                                   np.array([["a"] * 3] * 2)], ids=range(8))
def test_an_array_of_another_shape_or_type_is_refused_though_signed(path, array):
    forge(path, {**members(path), "a.npy": npy(array)})
    refuse(path)


def test_compressed_members_are_refused(path):
    forge(path, members(path), zipfile.ZIP_DEFLATED)
    refuse(path, match="packed")


def test_a_head_that_does_not_suit_is_refused(path):
    good = members(path)
    for text in (b"", b"{", b"[1, 2", b"null", b"{}", b'"\xff"', b"[" * 100_000, b"1" * 10_000, b"{'a': 1}"):
        forge(path, {**good, "head.npy": npy(np.frombuffer(text, np.uint8))})
        refuse(path)
    for array in (np.ones(3), np.ones((2, 2), np.uint8), np.array(1, np.uint8)):
        forge(path, {**good, "head.npy": npy(array)})
        refuse(path)
    refuse(path, expect=lambda head: {}[head])


def test_a_file_that_is_longer_than_any_could_be_is_not_read(path):
    with path.open("ab") as file:
        file.truncate(2**24 + 2**20)
    refuse(path, match="more than fit here")


def test_no_memory_error_is_made_an_error_of_the_file(path):
    def exhausted(head):
        raise MemoryError

    with pytest.raises(MemoryError):
        checkpoint.read(path, {}, exhausted)


def test_paths_may_be_of_any_kind(tmp_path):
    name = tmp_path / "ünï.npz"
    for path in (name, str(name), os.fsencode(name)):
        checkpoint.write(path, HEAD, ARRAYS)
        assert checkpoint.read(path, forms_of(ARRAYS), expect)[0] == HEAD
    for path in (None, 5, 1.0, object()):
        with pytest.raises(TypeError):
            checkpoint.write(path, HEAD, ARRAYS)
        with pytest.raises(TypeError):
            checkpoint.read(path, forms_of(ARRAYS), expect)
    with pytest.raises(ValueError, match="null"):
        checkpoint.write("a\0b", HEAD, ARRAYS)


def test_a_relative_path_is_taken_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.write("state.npz", HEAD, ARRAYS)
    assert checkpoint.read("state.npz", forms_of(ARRAYS), expect)[0] == HEAD
    assert os.listdir() == ["state.npz"]


def test_the_head_has_a_limit(tmp_path):
    with pytest.raises(ValueError, match="too many groups"):
        checkpoint.write(tmp_path / "file", "a" * 2**24, {})
    assert os.listdir(tmp_path) == []


def test_a_file_may_be_read_where_bytes_stand_the_other_way(path):
    good = members(path)
    forge(path, {**good, "a.npy": npy(np.arange(6, dtype=">f8").reshape(2, 3))})
    np.testing.assert_array_equal(checkpoint.read(path, forms_of(ARRAYS), expect)[1]["a"], ARRAYS["a"])
