"""NumPy's own tests of `numpy.gradient`, run on `steepest.grid.gradient`.

Here because a drop-in should pass the tests of what it replaces, those of the NumPy that is installed. Tests
grid_gradient.py.
"""

import importlib.util
import os
import re
import subprocess
import sys

import numpy as np
import pytest

# A pytest plugin: NumPy's tests find the function under two names. How often it was called is told at the end.
REPLACED = """
import numpy as np
import steepest as sd

calls = 0

def gradient(*args, **kwargs):
    global calls
    calls += 1
    return sd.grid.gradient(*args, **kwargs)

sd.grid.gradient    # it must have met NumPy's before that is replaced
np.gradient = gradient

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"calls of the replacement: {calls}")
"""


@pytest.mark.skipif(int(np.__version__.partition(".")[0]) < 2, reason="NumPy 1 returns lists")
@pytest.mark.skipif(importlib.util.find_spec("numpy.lib.tests") is None, reason="this NumPy comes without its tests")
def test_numpys_own_tests_of_gradient_pass(backend, tmp_path):
    (tmp_path / "replaced.py").write_text(REPLACED)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pytest.ini", "-p", "replaced", "-p", "no:cacheprovider", "--pyargs",
         "numpy.lib.tests.test_function_base", "-k", "TestGradient"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": path, "STEEPEST_BACKEND": backend},
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) >= 15
    assert int(re.search(r"replacement: (\d+)", run.stdout)[1]) >= 60
