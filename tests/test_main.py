"""The command line shows the tour and says what it cannot do in one line.

Here because it is the first thing that a newcomer runs. Tests __main__.py, tour.py and the files of its chapters.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

import steepest as sd
from steepest import tour, tour_data, tour_stage
from steepest.__main__ import main


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return tmp_path_factory.mktemp("tour") / "pictures"


@pytest.fixture(scope="module")
def shown(pictures):
    command = [sys.executable, "-m", "steepest", "demo", "--plots", str(pictures)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def test_the_tour_runs_and_ends_well(shown):
    assert shown.returncode == 0, shown.stderr
    assert "Kernel and reference agreed to the last bit throughout." in shown.stdout


def test_the_tour_shows_the_textbook(shown):
    for text in ("gradient at (3, 4) = (6, 8)", "gradient at (0, 2) = (0, 4)", "gradient at (3, 0) = (6, 0)",
                 "( -6.11e-10,   8.15e-10)"):
        assert text in shown.stdout


def test_the_tour_shows_real_data(shown):
    assert "569 patients" in shown.stdout
    for contender in ("steepest ", "steepest's NumPy reference", "a NumPy loop by hand", "scipy, 3-point"):
        assert shown.stdout.count(contender) >= 2
    accuracy = [float(line.split()[-1].rstrip("%")) for line in shown.stdout.splitlines() if line.endswith("%")]
    assert accuracy[-1] > 95


def test_the_tour_leaves_the_false_minimum_by_starts_and_by_noise(shown):
    rows = [line for line in shown.stdout.splitlines() if " x = " in line and " f = " in line]
    found = [float(row.split(" x = ")[1].split()[0]) for row in rows]
    assert [x > 0 for x in found] == [True, False, True, False]


def test_the_objective_of_the_tour_and_its_gradient_by_hand_agree():
    data = tour_data.breast_cancer()
    w = np.random.default_rng(1).normal(size=data.size)
    assert tour_data.numpy_loop(data.loss, w.copy()) == pytest.approx(data.analytic_gradient(w), abs=1e-7)
    assert data.patients == 569


def test_a_disagreement_of_kernel_and_reference_is_told(monkeypatch, capsys):
    monkeypatch.setattr(tour, "CHAPTERS", (("one", lambda stage: True), ("two", lambda stage: False)))
    assert main(["demo", "--chapter", "1"]) == 0
    assert main(["demo"]) == 1
    assert "DISAGREE" in capsys.readouterr().out


def test_on_both_notices_one_bit():
    answers = iter([np.array([1.0]), np.array([np.nextafter(1, 2)])])
    assert tour_stage.on_both(lambda: next(answers))[1] is False


def test_a_missing_package_is_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert main(["demo"]) == 2
    error = capsys.readouterr().err
    assert "pip install scikit-learn" in error
    assert len(error.splitlines()) == 1


def test_info_tells_the_configuration(capsys):
    assert main(["info"]) == 0
    assert "compiler" in capsys.readouterr().out
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steepest"] == sd.__version__


def test_the_tour_has_all_its_chapters_and_pictures(shown, pictures):
    for number, (title, _) in enumerate(tour.CHAPTERS, 1):
        assert f"{number}. {title}" in shown.stdout
    names = sorted(path.stem for path in pictures.iterdir())
    assert names == ["digits", "field", "gradient", "paths", "slope", "steps"]
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in pictures.iterdir())


def test_the_tour_finds_laws_proves_and_reads_digits(shown):
    for text in ("its gradient is 3·c²", "WRONG in 1 of 2 components", "the bits of np.gradient",
                 "right in 2410 components"):
        assert text in shown.stdout
    [last] = [line for line in shown.stdout.splitlines() if line.split()[:1] == ["30"] and line.endswith("%")][:1]
    assert float(last.split()[-1].rstrip("%")) > 95


def test_one_chapter_can_be_shown_alone(capsys):
    assert main(["demo", "--chapter", "2"]) == 0
    out = capsys.readouterr().out
    assert "gradient at (3, 4) = (6, 8)" in out
    assert "1. " not in out
    assert main(["demo", "--chapter", "99"]) == 2
    assert "--chapter must be from 1 to" in capsys.readouterr().err


def test_pictures_that_cannot_be_written_or_drawn_are_told_in_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["demo", "--chapter", "1", "--plots", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error
    assert error.count("\n") == 1
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["demo", "--chapter", "1", "--plots", str(tmp_path / "folder")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dance"], ["demo", "--fast"]])
def test_a_wrong_command_line_gives_exit_code_2(arguments, capsys):
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_help_is_given(capsys):
    assert main(["--help"]) == 0
    assert "demo" in capsys.readouterr().out


def test_a_sparkline_falls():
    line = tour_stage.sparkline(np.linspace(10, 1, 300))
    assert (line[0], line[-1]) == ("█", "▁")
