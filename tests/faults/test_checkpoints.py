"""Optimizers that are copied, forged, half made or subclassed; files that are cut, altered, foreign or no files.

Here because a state outlives the process that made it, and comes back through hands that nobody knows.
It tests rows I1 to I10 of the catalogue for optimizers.
"""

import copy
import os
import pickle
import random
import stat
import sys
import zipfile

import numpy as np
import pytest

import steepest as sd
from steepest import checkpoint

from .contract import attempt, in_a_process, untouched

RULES = sorted(sd.optim.RULES)


def made(x=None, **options):
    """A small optimizer that has made two steps."""
    x = np.array([1.0, -2.0]) if x is None else x
    opt = sd.optim.SGD(x, momentum=0.5, **options)
    for _ in range(2):
        opt.step(np.ones_like(x))
    return opt


def bytes_of(opt):
    state = opt.state_dict(params=True)
    arrays = [(name, array.tobytes()) for one in state.pop("state") for name, array in one.items()]
    return arrays, repr(state)


@pytest.mark.parametrize("rule", RULES)
def test_I1_an_optimizer_is_not_pickled_or_copied_and_says_what_to_do(backend, rule):
    opt = sd.optim.RULES[rule](np.ones(2))
    for trip in (copy.copy, copy.deepcopy, *(lambda opt, n=n: pickle.dumps(opt, n) for n in range(6))):
        with pytest.raises(TypeError, match="state_dict"):
            trip(opt)
    for trip in (copy.copy, copy.deepcopy, pickle.dumps) if backend == "kernels" else ():
        with pytest.raises(TypeError):
            trip(opt._core)


FORGED = [{}, {"_core": None}, {"_core": object(), "_options": [{}], "_parameters": []},
          {"_core": None, "_entry": None, "_options": [], "_copied": [], "_parameters": [None]}]


@pytest.mark.parametrize("state", FORGED, ids=range(len(FORGED)))
def test_I2_and_I3_an_optimizer_made_or_forged_without_init_raises(backend, state, tmp_path):
    opt = sd.optim.Adam.__new__(sd.optim.Adam)
    vars(opt).update(state)
    for call in (lambda: opt.step(np.ones(2)), opt.state_dict, lambda: opt.t, lambda: opt.averages,
                 lambda: opt.groups[0]["lr"], lambda: opt.load_state_dict({}), lambda: opt.save(tmp_path / "file"),
                 lambda: setattr(opt, "lr", 1.0), lambda: opt.load(tmp_path / "none")):
        assert attempt(call)[1] is not None
    assert os.listdir(tmp_path) == []


HALF_MADE = """
import numpy as np, steepest as sd
from steepest.kernels.update import Optimizer
x = np.ones(3)
good = ("sgd", [x], True, [0], [[1e-3, 0, 0, 0, 0]], [[]])
def calls(core):
    yield lambda: core.step(np.ones(3))
    yield lambda: core.step([np.ones(3)])
    for i in (-1, 0, 1, 10**6):
        for j in (-1, 0, 1, 10**6):
            yield lambda: core.change(i, j, 1.0)
            yield lambda: core.setting(i, j)
            yield lambda: core.work(0, i, j)
    yield lambda: core.carried
    yield lambda: core.resume(0, [])
    yield lambda: core.resume(0, [1.0])
    yield lambda: core.resume(-1, [1.0])
    yield core.hold
    yield lambda: core.work(0, 0, 1)
    yield lambda: core.step(np.ones(3))
    yield core.release
bad = [
    (), ("sgd",), ("nothing", [x], True, [0], [[0.0] * 5], [[]]), ("sgd", [None], True, [0], [[0.0] * 5], [[]]),
    ("sgd", [x], True, [5], [[1.0] * 5], [[]]), ("sgd", [x], True, [-1], [[1.0] * 5], [[]]),
    ("sgd", [x], True, [0], [[1.0] * 5], [[]]), ("sgd", [x], True, [0], [[1.0] * 500], [[]]),
    ("sgd", [x], True, [0], [[1.0] * 5], [[np.ones(2)]]), ("sgd", [x], True, [0], [[1.0] * 5], [[x] * 9]),
    ("sgd", [x, None], False, [0, 0], [[1e-3, 0, 0, 0, 0]], [[], []]), ("sgd", [], True, [], [[1.0] * 5], []),
    ("asgd", [x], True, [0], [[1.0] * 5], [[]]), ("sgd", [x, x], True, [0, 0], [[1e-3, 0, 0, 0, 0]], [[], []]),
    ("sgd", [x.astype("f2")], True, [0], [[1e-3, 0, 0, 0, 0]], [[]]), ("sgd", [x[::2]], True, [0], [[0.0] * 5], [[]]),
]
for arguments in [None, *bad]:
    core = Optimizer.__new__(Optimizer)
    for again in range(2):
        if arguments is not None:
            try:
                core.__init__(*arguments)
            except (TypeError, ValueError, KeyError, AttributeError, sd.BusyError):
                pass
            else:
                raise AssertionError(arguments)
        for call in calls(core):
            try:
                call()
            except Exception:
                pass
core = Optimizer(*good)
for call in calls(core):
    try:
        call()
    except Exception:
        pass
for change in (lambda: core.change(0, 2, 0.5),):
    try:
        change()
    except ValueError:
        pass
    else:
        raise AssertionError("momentum without an array for it")
for name in ("arrays", "states"):
    assert type(getattr(core, name)) is tuple
core.step(np.ones(3))
"""


def test_I3_kernels_half_made_or_used_out_of_order_never_crash():
    in_a_process(HALF_MADE, PYTHONMALLOC="debug")


def test_I4_an_optimizer_survives_subclasses_that_override_its_methods():
    program = """
import numpy as np
from steepest.kernels.update import Optimizer
names = [name for name in dir(Optimizer) if not name.startswith("__")]
for answer in (None, 0, -1, 10**9, "text"):
    body = {name: (lambda self, *args, _answer=answer, **kwargs: _answer) for name in names if name != "step"}
    kind = type("Sub", (Optimizer,), body)
    for _ in range(3):
        x = np.ones(3)
        try:
            settings = [1e-3, 0, .9, .999, 1e-8, 0, 0]
            kind("adam", [x], True, [0], [settings], [[np.zeros(3), np.zeros(3)]]).step(np.ones(3))
        except Exception:
            pass
"""
    in_a_process(program)


def test_I5_a_file_cut_at_any_byte_is_one_checkpoint_error(tmp_path):
    opt, path = made(), tmp_path / "state"
    opt.save(path)
    whole, before = path.read_bytes(), bytes_of(opt)
    for count in range(len(whole)):
        path.write_bytes(whole[:count])
        with pytest.raises(sd.CheckpointError):
            opt.load(path)
    assert bytes_of(opt) == before


def changed_or_refused(opt, path, content, right):
    """Whether a file was refused; else it has loaded what was saved."""
    path.write_bytes(content)
    for array in opt.groups[0]["params"]:
        array[:] = 9.0
    try:
        opt.load(path)
    except sd.CheckpointError:
        assert opt.groups[0]["params"][0].tolist() == [9.0, 9.0]
        return True
    assert bytes_of(opt) == right
    return False


def test_I5_no_flipped_bit_makes_another_state(tmp_path, soaking):
    opt, path = made(), tmp_path / "state"
    opt.save(path)
    whole, right, refused = path.read_bytes(), bytes_of(opt), 0
    bits = range(8 * len(whole))
    rng = random.Random(0)
    for bit in bits if soaking else sorted(rng.sample(bits, 4000)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        refused += changed_or_refused(opt, path, content, right)
    assert refused > 0.8 * (len(bits) if soaking else 4000)


def test_I5_no_other_bytes_make_another_state(tmp_path, soaking):
    opt, path = made(), tmp_path / "state"
    opt.save(path)
    whole, right = path.read_bytes(), bytes_of(opt)
    rng = random.Random(1)
    for _ in range(100_000 if soaking else 1000):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        changed_or_refused(opt, path, content, right)
        start, stop = sorted(rng.randrange(len(whole)) for _ in range(2))
        changed_or_refused(opt, path, whole[:start] + whole[stop:], right)
        changed_or_refused(opt, path, whole[:stop] + whole[start:], right)


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_I6_pickles_are_refused_and_never_opened(tmp_path):
    opt, path = made(), tmp_path / "state"
    opt.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    planted = np.empty(2, object)
    planted[:] = Planted(tmp_path / "ran")
    for name in members:
        forged = dict(members)
        np.save(tmp_path / "objects.npy", planted, allow_pickle=True)
        forged[name] = (tmp_path / "objects.npy").read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in forged.items():
                archive.writestr(each, content)
        with pytest.raises(sd.CheckpointError):
            opt.load(path)
    path.write_bytes(pickle.dumps(Planted(tmp_path / "ran")))
    with pytest.raises(sd.CheckpointError):
        opt.load(path)
    assert not (tmp_path / "ran").exists()


BOMB = """
import io, resource, sys, zipfile
import numpy as np, steepest as sd
path = sys.argv[1] if len(sys.argv) > 1 else {path!r}
x = np.ones(2)
opt = sd.optim.SGD(x, momentum=0.5)
opt.save(path)
with zipfile.ZipFile(path) as archive:
    members = {{name: archive.read(name) for name in archive.namelist()}}
def header(shape, order=False):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {{"descr": "<f8", "fortran_order": order, "shape": shape}})
    return stream.getvalue()
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
for name in members:
    for shape in ((10**12,), (2**62,), (2**32, 2**32), (-1,), (2**63, 2), ()):
        for compress in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(path, "w", compress) as archive:
                for each, content in members.items():
                    archive.writestr(each, header(shape) + b"\\0" * 16 if each == name else content)
            try:
                opt.load(path)
            except sd.CheckpointError:
                continue
            raise AssertionError((name, shape))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in members.items():
            archive.writestr(each, content + (b"\\0" * 10**8 if each == name else b""))
    try:
        opt.load(path)
    except sd.CheckpointError:
        pass
    else:
        raise AssertionError(name)
with open(path, "wb") as file:
    file.truncate(2**40)
try:
    opt.load(path)
except sd.CheckpointError as error:
    assert "more than fit here" in str(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux" or "asan" in os.environ.get("LD_PRELOAD", ""),
                    reason="limits memory as Linux does; the address sanitizer needs more than that")
def test_I7_declared_sizes_take_no_memory(tmp_path):
    assert int(in_a_process(BOMB.format(path=str(tmp_path / "state")))) < 600_000


def test_I8_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    opt, path = made(), tmp_path / "state"
    opt.save(path)
    old, before = path.read_bytes(), bytes_of(opt)
    opt.step(np.ones(2))
    for name in ("fsync", "replace"):
        def fail(*args, **kwargs):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint.os, name, fail)
            with pytest.raises(OSError, match="No space"):
                opt.save(path)
        assert path.read_bytes() == old and os.listdir(tmp_path) == ["state"]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write_members", lambda file, head, arrays: file.write(b"half") and sys.exit(1))
        with pytest.raises(SystemExit):
            opt.save(path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["state"]
    opt.load(path)
    assert bytes_of(opt) == before


KILLED = """
import numpy as np, steepest as sd, sys
x = np.zeros(200_000)
opt = sd.optim.SGD(x, lr=1.0)
print("ready", flush=True)
while True:
    opt.step(np.ones(200_000))
    opt.save({path!r})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_I8_a_process_killed_while_writing_leaves_a_whole_file(tmp_path, soaking):
    import subprocess
    import time

    path, rng = tmp_path / "state", random.Random(2)
    found = sd.optim.SGD(np.ones(200_000))
    for _ in range(100 if soaking else 4):
        process = subprocess.Popen([sys.executable, "-c", KILLED.format(path=str(path))], stdout=subprocess.PIPE,
                                   env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        assert process.stdout.readline() == b"ready\n"
        while not path.exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.05))
        process.kill()
        process.wait()
        process.stdout.close()
        found.load(path)
        [x] = found.groups[0]["params"]
        assert found.t > 0 and (x == -found.t).all()


def test_I9_a_state_of_another_version_or_rule_names_both(tmp_path):
    opt, path = made(), tmp_path / "state"
    head = {**opt._head(), "version": 2, "with_params": False}
    checkpoint.write(path, head, {"momentum_buffer.0": np.zeros(2)})
    with pytest.raises(sd.CheckpointError, match="version must be 1 for this steepest, not 2"):
        opt.load(path)
    sd.optim.Adam(np.ones(2)).save(path)
    with pytest.raises(sd.CheckpointError, match="rule must be 'SGD', that of this optimizer, not 'Adam'"):
        opt.load(path)
    made(clip=("norm", 1.0)).save(path)
    with pytest.raises(sd.CheckpointError, match="clip must be None"):
        opt.load(path)
    np.savez(path.with_suffix(".npz"), a=np.ones(2))
    with pytest.raises(sd.CheckpointError):
        opt.load(path.with_suffix(".npz"))


@pytest.mark.skipif(sys.platform == "win32", reason="files as POSIX has them")
def test_I10_what_is_no_ordinary_file_is_an_os_error_and_stays_as_it_is(tmp_path):
    opt = made()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", ".", "..", "folder/..", "/dev/null", "/dev/zero"):
        for call in (opt.save, opt.load):
            with pytest.raises(OSError):
                call(tmp_path / name)
    for name in ("nothing", "nothing/state", "folder/nothing/state", "a" * 5000):
        with pytest.raises(OSError):
            opt.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        opt.save(tmp_path / "nothing" / "state")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"] and os.listdir(tmp_path / "folder") == []


@pytest.mark.skipif(sys.platform == "win32", reason="files as POSIX has them")
def test_I10_a_link_is_replaced_and_what_it_points_to_is_not_written(tmp_path):
    opt, target, link = made(), tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    opt.save(link)
    assert target.read_bytes() == b"precious" and not link.is_symlink()
    os.replace(link, target)
    link.symlink_to(target)
    opt.load(link)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError):
        opt.load(loop)
    mask = os.umask(0o027)
    try:
        opt.save(tmp_path / "masked")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "masked").stat().st_mode) == 0o640


def test_I10_a_save_that_cannot_be_made_changes_nothing(tmp_path):
    opt = made()
    with untouched(*opt.groups[0]["params"]):
        for path in (None, 5, tmp_path / "nothing" / "state"):
            assert isinstance(attempt(opt.save, path)[1], (TypeError, OSError))
    assert opt.t == 2 and os.listdir(tmp_path) == []
