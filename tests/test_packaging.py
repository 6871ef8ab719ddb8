"""What is shipped builds and works away from the checkout: sdist, wheel from the sdist, import from the wheel.

Here because a file that is missing from the sdist is found by its users first. Tests pyproject.toml, setup.py and
MANIFEST.in.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.build, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ["pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", ".ci", "ci", "src",
           "tests", "benchmarks", "docs"]
SHIPPED_BY_CI = Path(os.environ["STEEPEST_DIST"]) if os.environ.get("STEEPEST_DIST") else None     # see ci/test
OURS = ("PYTHON", "STEEPEST", "COV")    # variables that would make a command see this environment
BUILT = shutil.ignore_patterns("*.c", "*.so", "*.pyd", "__pycache__", "*.egg-info")
USE = """
import numpy, steepest
from steepest.kernels import callback, difference, isa, update
print(steepest.__file__)
print(*steepest.gradient(lambda x: x[0] ** 2 + x[1] ** 2, [3.0, 4.0]))
"""


def run(*command, **options):
    """Run a command in an environment of its own; what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def kernels(suffix):
    """The kernels' sources with one suffix, by name."""
    return {path.name for path in (ROOT / "src/steepest/kernels").glob(f"*{suffix}")}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist, built from a copy of what git would have: nothing that was built, no git metadata; or ci/test's."""
    if SHIPPED_BY_CI:
        [path] = SHIPPED_BY_CI.glob("*.tar.gz")
        return path
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=BUILT)
        else:
            shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", out, cwd=copy)
    [path] = out.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel, built from the sdist."""
    if SHIPPED_BY_CI:
        [path] = SHIPPED_BY_CI.glob("*.whl")
        return path
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, sdist, cwd=out)
    [path] = out.iterdir()
    return path


def test_sdist_has_sources_tests_and_scripts_and_nothing_generated(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {Path(name).name for name in names}
    assert kernels(".pyx") | kernels(".pxd") | kernels(".pxi") | kernels(".pyi") <= files
    assert {"ci/test", ".ci/run", "ci/lib.sh", "ci/compare.py", "tests/test_packaging.py"} <= names
    assert {"src/steepest/py.typed", "README.md", "LICENSE", "CHANGELOG.md", "setup.py", "pyproject.toml"} <= names
    assert not [name for name in names if name.endswith((".c", ".so", ".pyd", ".pyc"))]


def test_wheel_has_kernels_stubs_and_declarations_and_no_sources_of_kernels(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "src"
    modules = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert modules <= names
    assert {f"steepest/kernels/{name}" for name in kernels(".pyi") | kernels(".pxd")} | {"steepest/py.typed"} <= names
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert {f"steepest/kernels/{Path(name).stem}{suffix}" for name in kernels(".pyx")} <= names
    assert not [name for name in names if name.endswith((".c", ".pyx", ".pxi", ".pyc"))]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"steepest"}


def test_wheel_works_in_a_fresh_environment(wheel, tmp_path):
    home = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", home)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    # NumPy and SciPy are lent by this environment, behind the new one's own packages
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"))
    where, answer = run(python, "-W", "error", "-c", USE, cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(site)
    assert answer == "6.0 8.0"
    assert "steepest" in run(python.with_name("steepest" + python.suffix), "--help", cwd=tmp_path)


def test_every_kernel_has_a_stub():
    assert {Path(name).stem for name in kernels(".pyx")} == {Path(name).stem for name in kernels(".pyi")}
