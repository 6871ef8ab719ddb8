"""The whole library runs on its kernels or on their reference, chosen by context or by the environment.

Here because every other comparison rests on this switch. Tests backends.py.
"""

import contextvars
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import steepest as sd
from steepest.backends import current


def test_the_kernels_are_the_default_and_contexts_nest():
    inside = []
    with sd.backend("kernels") as name:
        inside.append((name, current().name))
        with sd.backend("reference"):
            inside.append(("reference", current().name))
        inside.append(("kernels", current().name))
    assert all(asked == found for asked, found in inside)


def test_the_context_ends_with_an_exception():
    before = current().name
    with pytest.raises(ZeroDivisionError), sd.backend("reference"):
        raise ZeroDivisionError
    assert current().name == before


def test_a_context_is_not_seen_by_other_threads():
    seen = []
    with sd.backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(current().name))
        thread.start()
        thread.join()
    assert contextvars.copy_context()
    assert seen == [os.environ.get("STEEPEST_BACKEND") or "kernels"]


@pytest.mark.parametrize("name", ["numpy", None, 3, ["kernels"]])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="backend must be one of 'kernels', 'reference', not"):
        sd.backend(name)


@pytest.mark.parametrize("name, found", [("reference", "reference"), ("kernels", "kernels"), ("", "kernels")])
def test_the_environment_chooses(name, found):
    code = "import steepest; print(steepest.show_config('dicts')['backend'])"
    environment = {**os.environ, "STEEPEST_BACKEND": name}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found


def test_both_give_the_same_bits_for_a_whole_call():
    x = np.linspace(-1, 2, 7)
    results = []
    for name in ("kernels", "reference"):
        with sd.backend(name):
            full = sd.jacobian(np.tanh, x, bounds=(-1, 2), full_output=True)
            results.append((full.value, full.error, full.step, full.status))
    for kernel, reference in zip(*results, strict=True):
        assert np.array_equal(kernel, reference)
