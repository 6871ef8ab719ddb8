"""Files that hold a state: .npz archives of plain arrays, with a checksum over everything, and never a pickle.

Here apart from what is saved, for a file is the same problem for all: whatever its bytes are, either what was written
comes back or a `CheckpointError` is raised, and no more memory is taken than the state at hand needs.
Tested in tests/test_checkpoint.py.

A file has these members: ``head.npy``, JSON as bytes; the arrays; ``checksum.npy``, the SHA-256 of all members before
it, names included. `numpy.load` reads it too.
"""

import contextlib
import errno
import os
import stat

import numpy as np

from .errors import CheckpointError

__all__ = ["read", "write"]

# More than the head of a state with ten thousand groups, and little enough to be read whole.
HEAD_LIMIT = 2**24
_HEAD, _CHECKSUM = "head.npy", "checksum.npy"
_MEMBER_LIMIT = 4096    # what an archive says about one member, and the head of an array, at most
_SAME_TIME = (1980, 1, 1, 0, 0, 0)  # the same state makes the same bytes


def write(path, head, arrays):
    """Write a file, or leave the one that is there: a new one is made beside it, completed, and takes its place.

    Parameters
    ----------
    path : str or path-like
        The file itself: nothing is added to its name. What is there must be an ordinary file.
    head : object
        What JSON can hold.
    arrays : dict of str to ndarray

    Raises
    ------
    OSError
        As `open`.
    """
    path = os.fsdecode(path)
    with contextlib.suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise _no_file(path, mode)
    folder = os.path.dirname(path) or os.curdir
    beside = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write_members(file, head, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    _sync_folder(folder)


def read(path, largest, expect):
    """Read what `write` wrote.

    Parameters
    ----------
    path : str or path-like
    largest : dict of str to (dtype, shape)
        The types and shapes of all arrays that there could be: a file that is longer is not read.
    expect : callable
        ``expect(head)`` gives those that there should be, or raises an exception for a head that does not suit.

    Returns
    -------
    head : object
    arrays : dict of str to ndarray
        They cannot be written to.

    Raises
    ------
    CheckpointError
        For a file that is damaged, or that `expect` refuses.
    OSError
        As `open`.
    """
    with _open_ordinary(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            most = sum(_size_of(*form) + _MEMBER_LIMIT for form in largest.values()) + HEAD_LIMIT
            if size > most:
                raise CheckpointError(f"it has {size} bytes, more than fit here")
            return _read_members(file, size, expect)
        except MemoryError:
            raise
        except Exception as error:  # zipfile alone raises seven kinds
            what = str(error) or type(error).__name__
            raise CheckpointError(f"{os.fspath(path)!r} is not a checkpoint that can be loaded here: {what}") from error


def _no_file(path, mode):
    code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    return OSError(code, "not an ordinary file", path)


def _open_ordinary(path):
    """Open a file, and nothing that could block or never end."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _no_file(path, mode)
    return os.fdopen(descriptor, "rb")


def _sync_folder(folder):
    """The new name lasts too, where folders can be synchronised."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _bytes_of(array):
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _write_members(file, head, arrays):
    import hashlib
    import json
    import zipfile

    text = json.dumps(head, separators=(",", ":")).encode()
    if len(text) > HEAD_LIMIT // 2:
        raise ValueError("the state has too many groups for a file")
    digest = hashlib.sha256()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        members = {_HEAD: np.frombuffer(text, np.uint8)} | {f"{name}.npy": array for name, array in arrays.items()}
        for name, array in members.items():
            digest.update(name.encode() + b"\0")
            _write_member(archive, name, array, digest)
        _write_member(archive, _CHECKSUM, np.frombuffer(digest.digest(), np.uint8), digest)


def _write_member(archive, name, array, digest):
    import io
    import zipfile

    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, {"descr": array.dtype.str, "fortran_order": False,
                                                 "shape": array.shape})
    with archive.open(zipfile.ZipInfo(name, _SAME_TIME), "w", force_zip64=True) as member:
        for part in (start.getvalue(), _bytes_of(array)):
            digest.update(part)
            member.write(part)


def _size_of(dtype, shape):
    size = np.dtype(dtype).itemsize
    for extent in shape:
        size *= extent
    return size


def _read_members(file, size, expect):
    import hashlib
    import json
    import zipfile

    digest = hashlib.sha256()
    with zipfile.ZipFile(file) as archive:
        text = _read_member(archive, _HEAD, HEAD_LIMIT, digest)
        head = json.loads(_array_of(text, np.uint8, None).tobytes())
        forms = expect(head)
        names = [_HEAD, *(f"{name}.npy" for name in forms), _CHECKSUM]
        if sorted(archive.namelist()) != sorted(names):
            raise CheckpointError("it has other arrays than it should have")
        arrays = {}
        for name, (dtype, shape) in forms.items():
            content = _read_member(archive, f"{name}.npy", _size_of(dtype, shape) + _MEMBER_LIMIT, digest)
            arrays[name] = _array_of(content, dtype, shape)
        found = digest.digest()
        stated = _array_of(_read_member(archive, _CHECKSUM, _MEMBER_LIMIT, digest), np.uint8, (len(found),))
        if stated.tobytes() != found:
            raise CheckpointError("its checksum is wrong")
    return head, arrays


def _read_member(archive, name, most, digest):
    """The bytes of a member that is stored as it is and no longer than it may be."""
    import zipfile

    try:
        info = archive.getinfo(name)
    except KeyError:
        raise CheckpointError(f"it has no {name}") from None
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.file_size > most:
        raise CheckpointError(f"{name} is packed, or too long")
    content = archive.read(info)    # checks the CRC
    digest.update(name.encode() + b"\0")
    digest.update(content)
    return content


def _array_of(content, dtype, shape):
    """The array that is in a member; its type and shape are known, a shape of None is that of some bytes."""
    import io

    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise CheckpointError("an array is of another version")
    stated, fortran, found = np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    if shape is None:
        shape = (len(content) - start,)
    if found.newbyteorder("=") != np.dtype(dtype) or stated != tuple(shape) or fortran:
        raise CheckpointError(f"an array is {found}, {stated} and should be {np.dtype(dtype)}, {tuple(shape)}")
    if len(content) - start != _size_of(dtype, shape):
        raise CheckpointError("an array is of another length than it says")
    return np.frombuffer(content, found, offset=start).reshape(shape)
