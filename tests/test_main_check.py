"""The command ``check`` prints a report, tells by its exit status, and never evaluates what it is given.

Here because scripts and hooks go by exit statuses. Tests the command in __main__.py, and named_code.py.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from steepest.__main__ import main
from steepest.named_code import NamingError, load, point

PATH = [str(pathlib.Path(place).absolute()) for place in sys.path if place]    # before the current directory changes

CODE = """
import numpy as np

def f(x):
    return x[0] ** 2 * x[1]

def grad(x):
    return np.array([2 * x[0] * x[1], x[0] ** 2])

def wrong(x):
    return np.array([2 * x[0] * x[1], x[0]])

def fail(x):
    raise ValueError("no gradient today")

class Model:
    @staticmethod
    def grad(x):
        return grad(x)

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current directory with a module of functions in it."""
    (tmp_path / "my_functions.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_functions", None)


def run(folder, *arguments):
    return subprocess.run([sys.executable, "-m", "steepest", "check", *arguments], capture_output=True, text=True,
                          timeout=100, cwd=folder, env=os.environ | {"PYTHONPATH": os.pathsep.join(PATH)})


@pytest.mark.parametrize(("grad", "status", "words"), [
    ("grad", 0, "the gradient is right in 2 components"),
    ("wrong", 1, "the gradient is WRONG in 1 of 2 components"),
    ("fail", 2, ""),
])
def test_the_exit_status_tells(folder, grad, status, words):
    done = run(folder, "my_functions:f", "--grad", f"my_functions:{grad}", "--at", "3,-2")
    assert done.returncode == status, done.stderr
    assert words in done.stdout
    assert ("no gradient today" in done.stderr) == (grad == "fail")


def test_a_point_may_begin_with_a_minus_sign_and_modes_are_taken(folder, capsys):
    for at in (["--at", "-3, 2"], ["--at=-3 2"], ["--at", "-.5,1e-3"]):
        assert main(["check", "my_functions:f", "--grad", "my_functions:Model.grad", *at]) == 0
    assert main(["check", "my_functions:f", "--grad", "my_functions:grad", "--at", "1,2", "--mode", "cheap"]) == 0
    assert "directions" in capsys.readouterr().out
    assert main(["check", "my_functions:f", "--grad", "my_functions:wrong", "--at", "1,2", "--rtol", "10"]) == 0


@pytest.mark.parametrize(("arguments", "words"), [
    (["my_functions:f", "--grad", "my_functions:nothing", "--at", "1,2"], "'my_functions' has no 'nothing'"),
    (["no_such_module:f", "--grad", "my_functions:grad", "--at", "1,2"], "no module 'no_such_module'"),
    (["my_functions.inner:f", "--grad", "my_functions:grad", "--at", "1,2"], "no module"),
    (["my_functions", "--grad", "my_functions:grad", "--at", "1,2"], "expected module:function"),
    (["my_functions:f()", "--grad", "my_functions:grad", "--at", "1,2"], "expected module:function"),
    (["my_functions:f", "--grad", "my_functions:grad", "--at", "1,two"], "expected finite numbers"),
    (["my_functions:f", "--grad", "my_functions:grad", "--at", "1,nan"], "expected finite numbers"),
    (["my_functions:f", "--grad", "my_functions:grad", "--at", ""], "expected finite numbers"),
    (["my_functions:f", "--grad", "my_functions:number", "--at", "1,2"], "grad must be callable"),
    (["broken:f", "--grad", "my_functions:grad", "--at", "1,2"], "no_such_package"),
    (["my_functions:f", "--at", "1,2"], "--grad"),
    (["my_functions:f", "--grad", "my_functions:grad"], "--at"),
    (["my_functions:f", "--grad", "my_functions:grad", "--at", "1,2", "--mode", "fast"], "--mode"),
])
def test_a_wrong_command_line_gives_exit_status_2_and_says_why(folder, arguments, words, capsys):
    assert main(["check", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["__import__('os'):system", "os:system('true')", "a b:c", ":f", "os:", "os:path:join",
                                  "../mine:f", "os;:f", ""])
def test_nothing_but_names_is_taken(name):
    with pytest.raises(NamingError, match="expected module:function"):
        load(name)


def test_names_are_found_and_numbers_read():
    assert load("os:path.join") is __import__("os").path.join
    assert (point("1, -2.5 3e4") == np.array([1, -2.5, 3e4])).all()
    with pytest.raises(NamingError):
        point("__import__('os')")


def test_a_report_for_machines(folder):
    done = run(folder, "my_functions:f", "--grad", "my_functions:wrong", "--at", "2,3", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert (found["ok"], found["counts"]["wrong"]) == (False, 1)
    assert [row["verdict"] for row in found["table"]] == ["right", "wrong"]
