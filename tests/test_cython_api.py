"""The public Cython API, used from outside: a small extension is compiled against the package under test, and run.

Here because a declaration that does not fit, or a C signature that has changed, is found by users' compilers first. It
tests the public part of kernels/callback.pxd, and freezes the C signatures of all kernels in cython_api.json:
`python tests/test_cython_api.py` writes those of the package that is imported, for changes that are meant.
"""

import gc
import importlib
import importlib.util
import json
import os
import pathlib
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import types
import weakref

import numpy as np
import pytest
from native_library import curves, rosenbrock, weighted

import steepest as sd
from steepest import kernels
from steepest.kernels.callback import Compiled
from steepest.reference.callback import SIGNATURES

pytestmark = pytest.mark.build

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(sd.__file__).parent
SNAPSHOT = HERE / "cython_api.json"
PUBLIC = "steepest.kernels.callback"
UPDATE = f"if this is meant, write it down by: python {HERE.name}/{pathlib.Path(__file__).name}"
X = np.array([0.5, -1.25, 2.0])


# What is compiled: the folder downstream/, and the example in the head of callback.pxd

def public_part():
    """The text of callback.pxd that users rely on, as it lies in the package."""
    return (PACKAGE / "kernels/callback.pxd").read_text(encoding="utf-8").partition("\n# Internal")[0]


def example_of_the_declarations():
    """The example in the comment at the head of callback.pxd: the first lines that are indented, or empty."""
    lines = re.search(r"^#     .*\n(?:#(?:     .*)?\n)*", public_part(), re.MULTILINE)[0].splitlines()
    return "\n".join(line[6:] for line in lines) + "\n"


def run_downstream(folder, *command):
    """Run Python in a copy of downstream/, where steepest is found in the place from which it is tested."""
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False,
                          timeout=240, env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})


def load(folder, name):
    """Import an extension module from its file."""
    spec = importlib.util.spec_from_file_location(name, folder / (name + sysconfig.get_config_var("EXT_SUFFIX")))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A copy of downstream/, outside of the checkout; tests are skipped where nothing can be compiled."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    if os.name == "posix" and shutil.which(shlex.split(sysconfig.get_config_var("CC") or "cc")[0]) is None:
        pytest.skip("there is no C compiler")
    copy = tmp_path_factory.mktemp("cython") / "downstream"
    shutil.copytree(HERE / "downstream", copy)
    (copy / "bowl.pyx").write_text(example_of_the_declarations(), encoding="utf-8")
    return copy


@pytest.fixture(scope="session")
def built(folder):
    """The three extension modules: downstream, valley, bowl."""
    done = run_downstream(folder, "setup.py", "-q", "build_ext", "--inplace")
    assert done.returncode == 0, done.stdout + done.stderr
    return types.SimpleNamespace(**{name: load(folder, name) for name in ("downstream", "valley", "bowl")})


@pytest.fixture
def downstream(built, backend):
    """The extension whose functions have twins in Python, on kernels and reference."""
    return built.downstream


# Values

def test_all_forms_have_the_bits_of_python(downstream):
    f, g = downstream.make_rosenbrock(), downstream.make_curves(4)
    assert isinstance(f, Compiled) and isinstance(g, Compiled)
    assert (f.signature, f.size, g.signature, g.size) == (SIGNATURES[1], 1, SIGNATURES[2], 4)
    assert f(X) == rosenbrock(X)
    np.testing.assert_array_equal(sd.gradient(f, X), sd.gradient(rosenbrock, X))
    np.testing.assert_array_equal(sd.Gradient(f, X)(X), sd.gradient(rosenbrock, X))
    np.testing.assert_array_equal(sd.jacobian(f, X), sd.jacobian(rosenbrock, X))
    for made in (g, downstream.make_checked_curves(4)):
        np.testing.assert_array_equal(sd.jacobian(made, X), sd.jacobian(curves, X))
        np.testing.assert_array_equal(sd.jvp(made, X, X), sd.jvp(curves, X, X))
    ours, theirs = (sd.gradient_descent(one, X, lr=1e-4, steps=20) for one in (f, rosenbrock))
    np.testing.assert_array_equal(ours.x, theirs.x)
    np.testing.assert_array_equal(ours.fun, theirs.fun)


def test_a_function_of_one_number_is_differentiated_at_every_entry(downstream):
    f = downstream.Weighted([3.0]).function()
    expected = sd.derivative(lambda x: weighted(np.array([x]), [3.0]), X)
    np.testing.assert_array_equal(sd.derivative(f, X), expected)


def test_several_threads_have_the_bits_of_one(downstream):
    x = np.linspace(-1, 1, 1500)
    f, g = downstream.make_rosenbrock(), downstream.make_curves(10)
    np.testing.assert_array_equal(sd.gradient(f, x, workers=2), sd.gradient(f, x))
    np.testing.assert_array_equal(sd.jacobian(g, x, workers=2), sd.jacobian(g, x))


def test_how_many_results_there_are_may_be_left_to_jacobian(downstream):
    for make in (downstream.make_curves, downstream.make_checked_curves):
        f = make(-1)
        np.testing.assert_array_equal(sd.jacobian(f, X, f0=curves(X, 5)), sd.jacobian(lambda x: curves(x, 5), X))
        np.testing.assert_array_equal(sd.jacobian(f, X, out=np.empty((5, 3))), sd.jacobian(make(5), X))
        with pytest.raises(ValueError, match="how many numbers f gives"):
            sd.jacobian(f, X)


def test_a_vector_function_with_one_result_has_a_gradient(downstream):
    for make in (downstream.make_curves, downstream.make_checked_curves):
        np.testing.assert_array_equal(sd.gradient(make(1), X), sd.gradient(lambda x: float(curves(x, 1)[0]), X))


def test_functions_that_are_none_are_refused(built):
    with pytest.raises(ValueError, match="f is a NULL pointer"):
        built.downstream.make_null()
    for make in (built.downstream.make_curves, built.downstream.make_checked_curves):
        for size in (-2, 2**31):
            with pytest.raises(ValueError, match=f"size must be .*, not {size}"):
                make(size)


# User data

def test_user_data_lives_as_long_as_the_function(downstream):
    owner = downstream.Weighted([1.0, 10.0, 100.0])
    f, alive = owner.function(), weakref.ref(owner)
    assert f.owner is owner
    del owner
    gc.collect()
    prepared = sd.Gradient(f, X)
    expected = sd.gradient(lambda x: weighted(x, [1.0, 10.0, 100.0]), X)
    np.testing.assert_array_equal(prepared(X), expected)
    del f
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(prepared(X), expected)
    del prepared
    gc.collect()
    assert alive() is None


def test_functions_with_other_data_are_other_functions(downstream):
    for weights in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]):
        np.testing.assert_array_equal(sd.gradient(downstream.Weighted(weights).function(), X),
                                      sd.gradient(lambda x, weights=weights: weighted(x, weights), X))


# Trouble

def test_a_status_above_0_is_a_point_without_values(downstream):
    full = sd.jacobian(downstream.make_checked_curves(4), [-1.0, 2.0], full_output=True)
    assert np.isnan(full.value).all()
    assert not full.success


def test_a_status_below_0_ends_the_run(downstream):
    with pytest.raises(sd.FunctionError, match="status -3") as caught:
        sd.jacobian(downstream.make_checked_curves(4), [11.0, 2.0])
    assert caught.value.status == -3
    assert any("evaluation 1 of f" in note for note in caught.value.__notes__)


def making(name):
    """How the function `name` of downstream.pyx is made of one that raises."""
    return lambda downstream, ask: getattr(downstream, name)(*([ask] if name == "make_asks" else [ask, 3]))


@pytest.mark.parametrize("make", [
    making("make_asks"), making("make_asks_in_curves"), making("make_asks_in_status"),
], ids=["scalar", "vector", "status"])
@pytest.mark.parametrize("workers", [None, 2])
def test_what_f_raises_arrives_as_the_same_object_with_a_note(downstream, make, workers):
    error, seen = KeyError("planned"), []

    def ask(x):
        seen.append(x)
        raise error

    with pytest.raises(KeyError) as caught:
        sd.jacobian(make(downstream, ask), [2.0, 0.5], workers=workers)
    assert caught.value is error
    assert len(seen) == 1 and seen[0] > 2.0
    assert [note for note in error.__notes__ if f"evaluation 1 of f, with x[0] = {seen[0]!r}" in note]


def test_a_function_may_call_python(downstream):
    asked = []

    def ask(x):
        asked.append(x)
        return x * x

    assert sd.gradient(downstream.make_asks(ask), [3.0]) == sd.gradient(lambda x: float(x[0] * x[0]), [3.0])
    assert len(asked) == 2


def test_the_traceback_names_the_line_in_the_extension(downstream):
    with pytest.raises(ArithmeticError, match="too large") as caught:
        sd.gradient(downstream.make_raises(), [2.0, 0.5])
    assert [entry.name for entry in caught.traceback][-1] == "downstream.raises"


def test_a_noexcept_function_may_set_an_exception_but_raises_in_vain(downstream, monkeypatch):
    error, lost = KeyError("planned"), []
    with pytest.raises(KeyError) as caught:
        sd.gradient(downstream.make_sets(error), [2.0, 0.5])
    assert caught.value is error
    assert any("evaluation 1 of f" in note for note in error.__notes__)
    monkeypatch.setattr(sys, "unraisablehook", lambda found: lost.append(found.exc_value))
    assert sd.gradient(downstream.make_loses(error), [2.0, 0.5]).shape == (2,)
    assert lost == [error]


# What the documentation says

def test_the_example_of_the_readme_is_compiled_and_runs(built, folder):
    f = built.valley.Valley(100).function()
    np.testing.assert_allclose(sd.gradient(f, [-1.2, 1.0]), [-215.6, -88.0], rtol=1e-9)
    with pytest.raises(ValueError, match="lies in a plane"):
        sd.gradient(f, [1.0, 2.0, 3.0])
    examples = re.findall(r"```cython\n(.*?)```", (HERE.parent / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert (folder / "valley.pyx").read_text(encoding="utf-8").endswith("\n\n" + examples[0])


def test_the_example_of_the_declarations_is_compiled_and_runs(built):
    np.testing.assert_allclose(sd.gradient(built.bowl.Bowl(3).function(), [1.0, 2.0]), [6.0, 12.0], rtol=1e-9)


def test_mistakes_are_refused_by_the_compiler(folder):
    lines = (folder / "mistaken.pyx").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
    done = run_downstream(folder, "-m", "cython", "-3", "mistaken.pyx")
    assert done.returncode != 0
    messages = dict(re.findall(r"^mistaken\.pyx:(\d+):\d+: (.*)$", done.stderr, re.MULTILINE))
    assert {int(number) for number in messages} == marked, done.stderr
    assert "compiled_scaler" in messages["5"]
    assert sum("Cannot assign type" in message for message in messages.values()) == len(marked) - 3


# What is frozen

def exported():
    """The C signatures that all kernels export, what is public first, and the numbers that stand in results."""
    found = {"public": {}, "internal": {}, "numbers": {}}
    public = re.findall(r"^cdef \w+ (\w+)\(", public_part(), re.MULTILINE)
    for kernel in sorted(module.name for module in pkgutil.iter_modules(kernels.__path__)):
        name = f"steepest.kernels.{kernel}"
        for function, capsule in sorted(getattr(importlib.import_module(name), "__pyx_capi__", {}).items()):
            part = "public" if name == PUBLIC and function in public else "internal"
            found[part].setdefault(name, {})[function] = repr(capsule).split('"')[1]
    declarations = (PACKAGE / "kernels/difference.pxd").read_text(encoding="utf-8")
    numbers = re.findall(r"^    ([A-Z_]+) = (-?\d+)", declarations, re.MULTILINE)
    found["numbers"] = {name: int(value) for name, value in numbers}
    return found


def test_public_signatures_never_change():
    frozen, found = json.loads(SNAPSHOT.read_text(encoding="utf-8"))["public"], exported()["public"]
    assert set(found) == set(frozen) == {PUBLIC}
    for name, signature in frozen[PUBLIC].items():
        assert found[PUBLIC].get(name) == signature, (
            f"{name} is not what extensions were compiled with: they refuse to be imported, and may not be broken")
    assert set(found[PUBLIC]) == set(frozen[PUBLIC]), f"a function was added; {UPDATE}"


def test_public_signatures_bear_no_name_of_ours():
    for signature in exported()["public"][PUBLIC].values():
        assert set(re.findall(r"[A-Za-z_]\w*", signature)) <= {"PyObject", "Py_ssize_t", "double", "int", "void"}


def test_internal_signatures_and_numbers_change_only_deliberately():
    frozen, found = json.loads(SNAPSHOT.read_text(encoding="utf-8")), exported()
    for part in ("internal", "numbers"):
        assert found[part] == frozen[part], UPDATE


def test_every_exported_signature_is_declared():
    for part in ("public", "internal"):
        for name, functions in exported()[part].items():
            declarations = (PACKAGE / "kernels" / (name.rpartition(".")[2] + ".pxd")).read_text(encoding="utf-8")
            assert all(re.search(rf"^cdef .*\b{function}\(", declarations, re.MULTILINE) for function in functions)


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(exported(), indent=4) + "\n", encoding="utf-8")
    print(f"written: {SNAPSHOT}")
