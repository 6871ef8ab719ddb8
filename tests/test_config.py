"""The library tells what it is, costs little to import, and leaves the process as it found it.

Here because a report of a problem begins with show_config(), and because an import is felt by everyone. Tests
config.py, kernels/isa.pyx and what pyproject.toml promises.
"""

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import scipy

import steepest as sd

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEVER = ("-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-march=native", "-mtune=native", "-fopenmp")
HEAVY = ("scipy.optimize", "scipy.sparse", "scipy.linalg", "scipy.special", "matplotlib", "tqdm", "numba", "dask")


def in_fresh_python(program, **environment):
    """Run a program that prints one line of JSON in a new interpreter that imports the same steepest."""
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def facts():
    return sd.show_config("dicts")


def test_show_config_tells_versions(facts):
    assert facts["steepest"] == sd.__version__
    assert (facts["numpy"], facts["scipy"]) == (np.__version__, scipy.__version__)
    assert facts["python"] == sys.version.split()[0]


def test_show_config_tells_how_the_kernels_were_built(facts):
    assert facts["compiler"].split()[0] in {"gcc", "clang", "MSVC"}
    assert facts["flags"] not in ("", "unknown")
    assert facts["instruction set"]


def test_show_config_tells_the_backend():
    for name in ("kernels", "reference"):
        with sd.backend(name):
            assert sd.show_config("dicts")["backend"] == name


def test_show_config_prints_the_same_facts(facts, capsys):
    assert sd.show_config() is None
    printed = dict(line.strip().split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert printed == {name: str(value) for name, value in facts.items()}


@pytest.mark.parametrize("mode", ["dict", None, 1, ""])
def test_show_config_refuses_other_modes(mode):
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts'"):
        sd.show_config(mode)


def test_kernels_are_built_for_the_same_bits_everywhere(facts):
    flags = facts["flags"].split()
    assert not set(flags) & set(NEVER)
    if not facts["compiler"].startswith("MSVC"):
        assert "-ffp-contract=off" in flags


def test_version_is_that_of_the_project():
    assert PROJECT["version"] == sd.__version__


def test_numpy_and_scipy_are_the_only_dependencies():
    names = {requirement.split(">")[0].split("=")[0].strip() for requirement in PROJECT["dependencies"]}
    assert names == {"numpy", "scipy"}


# What is imported at its first use, and stands on a class of SciPy.
LATE = {"grid_operator.py": "scipy", "estimators.py": "sklearn"}


def test_modules_import_nothing_else_when_they_are_imported():
    for path in (ROOT / "src/steepest").rglob("*.py"):
        allowed = {*sys.stdlib_module_names, "numpy", "steepest", LATE.get(path.name)}
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert {name.split(".")[0] for name in names} <= allowed, f"{path.name}:{node.lineno}"


def test_import_brings_in_no_heavy_module():
    program = "import json, sys, steepest; print(json.dumps(sorted(sys.modules)))"
    modules = in_fresh_python(program)
    assert "steepest" in modules
    assert [name for name in modules if name.startswith(HEAVY)] == []


def test_import_changes_no_signal_handler():
    program = """
import json, numpy, signal
def handlers(): return [str(signal.getsignal(number)) for number in signal.valid_signals()]
before = handlers()
import steepest
steepest.gradient(lambda x: x @ x, numpy.ones(3))
print(json.dumps(before == handlers()))
"""
    assert in_fresh_python(program) is True


def test_import_leaves_subnormal_numbers_alone():
    program = """
import json, numpy, steepest
steepest.gradient(lambda x: x @ x, numpy.ones(3))
halves = [numpy.finfo(kind).tiny / kind(2) for kind in (numpy.float32, numpy.float64, numpy.longdouble)]
print(json.dumps([bool(half > 0) for half in halves] + [5e-324 * 1.0 > 0]))
"""
    assert in_fresh_python(program) == [True] * 4


def test_import_starts_no_thread():
    program = "import json, threading, steepest; print(json.dumps(threading.active_count()))"
    assert in_fresh_python(program) == 1


def test_backend_of_the_environment_is_used():
    program = "import json, steepest; print(json.dumps(steepest.show_config('dicts')['backend']))"
    assert in_fresh_python(program, STEEPEST_BACKEND="reference") == "reference"
    assert in_fresh_python(program, STEEPEST_BACKEND="") == "kernels"
