"""The documentation tells of what there is, and its pictures can be drawn; its other examples run as doctests.

Here because a page that fails is worse than none. Tests docs/.
"""

import re
from pathlib import Path

import pytest

import steepest as sd

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
PLOTS = [pytest.param(block, id=f"{page.stem}-{number}") for page in PAGES for number, block in enumerate(
    re.findall(r"^\.\. plot::\n\n((?:   .*\n|\n)+)", page.read_text(encoding="utf-8"), re.MULTILINE))]


@pytest.mark.parametrize("code", PLOTS)
def test_pictures_can_be_drawn(code):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    exec(compile("\n".join(line[3:] for line in code.splitlines()), "a page", "exec"), {})
    [number] = pyplot.get_fignums()
    assert pyplot.figure(number).axes[0].has_data()
    pyplot.close("all")


def test_the_reference_names_what_there_is_and_all_of_it():
    listed = set(re.findall(r"^   ([A-Za-z_][\w.]*)$", (DOCS / "api.rst").read_text(encoding="utf-8"), re.MULTILINE))
    for name in listed:
        found = sd
        for part in name.split("."):
            found = getattr(found, part)
    warnings = {"BusyError", "CheckpointError", "CompilationWarning", "DifferenceWarning", "FunctionError",
                "GradientError", "__version__"}
    modules = {"formula", "grid", "linesearch", "network", "optim", "plot", "schedules", "sparsity"}
    assert set(sd.__all__) - warnings - modules <= listed
    for module in ("formula", "grid", "network", "plot"):
        functions = {name for name in getattr(sd, module).__all__ if name[0].islower()}
        assert {f"{module}.{name}" for name in functions} <= listed


def test_every_page_is_in_the_index():
    index = (DOCS / "index.rst").read_text(encoding="utf-8")
    for page in PAGES:
        assert page.stem == "index" or f"   {page.stem}\n" in index
