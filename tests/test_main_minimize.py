"""The command ``minimize`` prints a table and the result, tells by its exit status, and evaluates no text.

Here because scripts go by exit statuses and read JSON. Tests minimize_command.py.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from steepest.__main__ import main

PATH = [str(pathlib.Path(place).absolute()) for place in sys.path if place]    # before the current directory changes

CODE = """
import math
import numpy as np

def valley(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

def grad(x):
    return np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])

def pair(x):
    return valley(x), grad(x)

def hill(x):
    return -valley(x)

def nowhere(x):
    return math.nan

def fail(x):
    raise ValueError("no value today")

number = 3
"""
WALK = ["minimize", "my_walks:valley", "--x0", "-1.2,1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current directory with a module of functions in it."""
    (tmp_path / "my_walks.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_walks", None)


def test_the_module_is_run_by_its_name(folder):
    done = subprocess.run([sys.executable, "-m", "steepest", *WALK, "--json"], capture_output=True, text=True,
                          timeout=100, cwd=folder, env=os.environ | {"PYTHONPATH": os.pathsep.join(PATH)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["success"] is True


def test_a_table_of_the_run_and_the_result_are_printed(folder, capsys):
    assert main([*WALK, "--grad", "my_walks:grad"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].split() == ["iteration", "f", "|g|", "step"]
    table = [line.split() for line in lines[1:lines.index("")]]
    numbers = [row for row in table if row != ["..."]]
    assert [int(row[0]) for row in numbers[:4]] == [1, 2, 3, 4]
    assert len(numbers) <= 17
    values = [float(row[1]) for row in numbers]
    assert values == sorted(values, reverse=True)
    assert f"{numbers[-1][0]} iterations" in lines[-1]
    assert "the gradient is as small as asked for" in out
    x = next(line for line in lines if line.startswith("x = "))
    assert [float(one) for one in x[5:-1].split(",")] == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("more", [
    [], ["--grad", "my_walks:grad"], ["--grad", "pair"], ["--grad", "switch"], ["--method", "bfgs"],
    ["--method", "cg", "--tol", "1e-7"], ["--lower", "-2,-2", "--upper", "-.5,2"], ["--upper", "0.5,2"], ["--maximize"],
])
def test_json_has_the_result(folder, capsys, more):
    name = "my_walks:pair" if "pair" in more else "my_walks:hill" if "--maximize" in more else "my_walks:valley"
    assert main(["minimize", name, "--x0=-1.2,1", "--json", *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"x", "fun", "jac", "nit", "nfev", "njev", "status", "message", "success"}
    right = -0.5 if "-.5,2" in more else 0.5 if "0.5,2" in more else 1.0
    assert found["x"] == pytest.approx([right, right**2], abs=1e-4)
    assert found["success"]


def test_a_walk_that_does_not_come_to_a_minimum_has_status_1(folder, capsys):
    assert main([*WALK, "--maxiter", "3"]) == 1
    assert "the limit of 3 iterations" in capsys.readouterr().out
    assert main([*WALK, "--method", "adam", "--lr", "0.01", "--maxiter", "50"]) == 1
    assert len(capsys.readouterr().out.splitlines()) < 30
    assert main(["minimize", "my_walks:nowhere", "--x0", "1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["fun"] is None
    assert main([*WALK, "--maxfev", "9", "--maxtime", "100"]) == 1


@pytest.mark.parametrize(("arguments", "words"), [
    (["my_walks:nothing", "--x0", "1,2"], "'my_walks' has no 'nothing'"),
    (["no_such_module:f", "--x0", "1,2"], "no module 'no_such_module'"),
    (["my_walks:valley()", "--x0", "1,2"], "expected module:function"),
    (["__import__('os'):system", "--x0", "1,2"], "expected module:function"),
    (["my_walks:valley", "--x0", "1,two"], "expected finite numbers"),
    (["my_walks:valley", "--x0", "1,inf"], "expected finite numbers"),
    (["my_walks:number", "--x0", "1,2"], "f must be callable"),
    (["my_walks:valley", "--x0", "1,2", "--grad", "my_walks:number"], "grad must be callable"),
    (["my_walks:valley", "--x0", "1,2", "--tol", "-1"], "tol must be at least 0"),
    (["my_walks:valley", "--x0", "1,2", "--lower", "0,0,0"], "--lower must be one number or 2"),
    (["my_walks:valley", "--x0", "1,2", "--lower", "3", "--upper", "2"], "lb <= ub"),
    (["my_walks:valley", "--x0", "1,2", "--lower", "0", "--method", "cg"], "cannot keep bounds"),
])
def test_what_is_wrong_is_one_line_and_exit_status_2(folder, arguments, words, capsys):
    assert main(["minimize", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["my_walks:valley"], ["my_walks:valley", "--x0", "1", "--method", "newton"],
                                       ["my_walks:valley", "--x0", "1", "--maxiter", "two"]])
def test_a_wrong_option_has_exit_status_2(folder, arguments, capsys):
    assert main(["minimize", *arguments]) == 2
    assert "usage" in capsys.readouterr().err


def test_what_the_named_code_raises_is_shown_as_it_is(folder, capsys):
    assert main(["minimize", "my_walks:fail", "--x0", "1,2"]) == 2
    error = capsys.readouterr().err
    assert "no value today" in error
    assert "Traceback" in error
