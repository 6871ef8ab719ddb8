"""The command that adds slopes to a table reads what people have, and says in one line what it cannot read.

Here because files come in all forms. Tests slopes_command.py.
"""

import io
import json

import numpy as np
import pytest

from steepest.__main__ import main

SQUARES = "x,y\n" + "".join(f"{c},{c * c}\n" for c in range(1, 6))


def run(capsys, *arguments):
    status = main(["slopes", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "squares.csv"
    path.write_text(SQUARES)
    return path


def test_a_table_gets_its_slopes(capsys, table):
    status, out, err = run(capsys, table)
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["x", "y", "slope", "error"]
    assert [row[2] for row in rows[2:]] == ["2", "4", "6", "8", "10"]


def test_the_law_behind_it_is_told(capsys, table):
    _, out, _ = run(capsys, table, "--law")
    assert "power law: x², gradient 2·x" in out
    assert "polynomial: x², gradient 2·x" in out
    table.write_text("1 1\n2 3\n3 2\n4 7\n5 1\n")
    _, out, _ = run(capsys, table, "--law")
    assert "power law: none" in out


def test_other_forms(capsys, table):
    _, out, _ = run(capsys, table, "--markdown")
    assert out.splitlines()[1] == "| ---: | ---: | ---: | ---: |"
    _, out, _ = run(capsys, table, "--csv")
    np.testing.assert_array_equal(np.loadtxt(io.StringIO(out), delimiter=",", skiprows=1)[:, 2], [2, 4, 6, 8, 10])
    _, out, _ = run(capsys, table, "--json", "--law")
    found = json.loads(out)
    assert found["slope"] == [2, 4, 6, 8, 10]
    assert found["power law"] == {"text": "x²", "gradient": "2·x"}
    table.write_text("1,1\n2,4\n3,9\n")
    _, out, _ = run(capsys, table, "--json")
    assert json.loads(out)["error"] == [None] * 3


@pytest.mark.parametrize("text", [
    "1;1\n2;4\n3;9\n", "1\t1\n2\t4\n3\t9\n", "1 1\n  2   4\n3 9\n", "# made by hand\n\n1,1\n2,4\n\n3,9\n",
    '"x","y"\r\n"1","1"\r\n"2","4"\r\n"3","9"\r\n', "\ufefft,v\n1,1\n2,4\n3,9\n"])
def test_marks_comments_names_and_blank_lines(capsys, table, text):
    table.write_bytes(text.encode())
    status, out, _ = run(capsys, table, "--csv")
    assert status == 0
    np.testing.assert_array_equal(np.loadtxt(io.StringIO(out), delimiter=",", skiprows=1)[:, 2], [2, 4, 6])


def test_columns_by_name_and_number_and_the_standard_input(capsys, table, monkeypatch):
    table.write_text("n,t,v\n9,1,1\n9,2,4\n9,3,9\n")
    for columns in (("--x", "t", "--y", "v"), ("--x", "2", "--y", "3")):
        _, out, _ = run(capsys, table, "--csv", *columns)
        np.testing.assert_array_equal(np.loadtxt(io.StringIO(out), delimiter=",", skiprows=1)[:, 2], [2, 4, 6])
    monkeypatch.setattr("sys.stdin", io.StringIO(SQUARES))
    assert run(capsys, "-")[0] == 0


@pytest.mark.parametrize(("text", "words"), [
    ("", "it has no rows"), ("a,b\n", "it has names, and no row of numbers"),
    ("1,1\n2,four\n3,9\n", "row 2, column 2 must be a finite number, not 'four'"),
    ("x,y\n1,1\n2,nan\n", "row 3, column 2 ('y') must be a finite number, not 'nan'"),
    ("1,1\n2\n3,9\n", "row 2 has 1 columns, expected 2"),
    ("1,1\n", "points must be at least 3"), ("1,1\n2,2\n2,3\n", "points[1] is 2 and points[2] is 2"),
    ("1,1\n2,4\n1.5,9\n", "strictly ascending or descending"), ("1\n2\n3\n", "there is no column '2', only 1 to 1"),
    ("\x00\x01\x02", "row 1")])
def test_what_is_no_table_gets_one_line_and_exit_code_2(capsys, table, text, words):
    table.write_text(text)
    status, out, err = run(capsys, table)
    assert (status, out) == (2, "")
    assert err.startswith(f"steepest: {table}: ")
    assert err.count("\n") == 1
    assert words in err or text.startswith("\x00")


def test_files_that_cannot_be_read(capsys, tmp_path):
    for path in (tmp_path / "nothing.csv", tmp_path):
        status, _, err = run(capsys, path)
        assert status == 2
        assert err.startswith("steepest: ")
        assert err.count("\n") == 1
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfa")
    assert "it is not text" in run(capsys, tmp_path / "bytes")[2]
    assert "no column 'z', only 'x', 'y'" in (
        (tmp_path / "t.csv").write_text(SQUARES) and run(capsys, tmp_path / "t.csv", "--x", "z")[2])
