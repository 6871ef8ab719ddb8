"""Fixtures for all tests: both backends, the processor's floating-point mode under watch, long runs on request.

Here so that every test file runs on kernels and reference alike, and none leaves the processor changed unseen.
It tests that neither importing steepest nor any test changes rounding or the treatment of denormal numbers.
"""

import contextlib
import ctypes
import ctypes.util
import gc
import platform
import sys
from typing import ClassVar

import native_library
import numpy as np
import pytest
from hypothesis import HealthCheck, settings


def _library_with_fenv():
    with contextlib.suppress(OSError, TypeError, AttributeError):
        process = ctypes.CDLL(None)
        process.fegetround.restype = ctypes.c_int
        return process
    name = ctypes.util.find_library("m") or ctypes.util.find_library("msvcrt")
    return ctypes.CDLL(name) if name else None


class Processor:
    """The floating-point mode of the processor, to be read and, for a while, to be changed.

    ``mode()`` changes with rounding and with what is done to denormal numbers, not with sticky flags. On Linux x86-64
    it holds the control bits of MXCSR, which `set` can change.
    """

    UPWARD, DOWNWARD, TOWARD_ZERO = "upward", "downward", "toward zero"
    _ROUNDING: ClassVar = {UPWARD: 0x4000, DOWNWARD: 0x2000, TOWARD_ZERO: 0x6000}   # bits of MXCSR
    _FLUSH = 0x8040             # flush to zero, denormals are zero
    _STICKY = 0x3F
    _TROUBLE = 0x01 | 0x04 | 0x08
    _MXCSR_IN_FENV = 28         # bytes from the start of glibc's fenv_t

    def __init__(self):
        self._library = _library_with_fenv()
        self.settable = sys.platform == "linux" and platform.machine() == "x86_64" and self._library is not None

    def _environment(self):
        buffer = (ctypes.c_uint8 * 64)()
        self._library.fegetenv(buffer)
        return buffer

    def _mxcsr(self, buffer):
        return ctypes.c_uint32.from_buffer(buffer, self._MXCSR_IN_FENV)

    def mode(self):
        """What must be the same before and after."""
        tiny, one = float("5e-324"), float("1")
        control = self._mxcsr(self._environment()).value & ~self._STICKY if self.settable else None
        rounding = self._library.fegetround() if self._library is not None else None
        return rounding, control, tiny * one != 0, bool((np.array([tiny]) * one != 0).all())

    def set(self, rounding=None, flush=False):
        """Change the mode and leave it so; returns what puts it back."""
        before = self._environment()
        changed = self._environment()
        control = self._mxcsr(changed)
        control.value |= self._ROUNDING.get(rounding, 0) | (self._FLUSH if flush else 0)
        self._library.fesetenv(changed)
        return lambda: self._library.fesetenv(before)

    def flags(self, clear=False):
        """Which of invalid operation, division by zero and overflow have happened since they were cleared."""
        seen = self._library.fetestexcept(self._TROUBLE)
        if clear:
            self._library.feclearexcept(self._TROUBLE)
        return seen

    @contextlib.contextmanager
    def changed(self, rounding=None, flush=False):
        """Work in another mode for a while."""
        restore = self.set(rounding, flush)
        try:
            yield
        finally:
            restore()


_processor = Processor()
_mode_before_import = _processor.mode()

import steepest as sd  # noqa: E402

_mode_after_import = _processor.mode()

settings.register_profile(
    "quick", max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("soak", settings.get_profile("quick"), max_examples=5_000, derandomize=False)


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="take the long runs too, and let hypothesis look for long")


def pytest_configure(config):
    settings.load_profile("soak" if config.getoption("--soak") else "quick")


def pytest_collection_modifyitems(config, items):
    soak = config.getoption("--soak")
    for item in items:
        if soak:
            item.add_marker(pytest.mark.timeout(3600))
        elif "soak" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a long run, taken with --soak"))


@pytest.fixture(params=["kernels", "reference"])
def backend(request):
    """The name of the backend that the test runs on; it is in force."""
    with sd.backend(request.param):
        yield request.param


@pytest.fixture(scope="session")
def soaking(request):
    """Whether long runs are asked for: tests whose amount of work is a number look here."""
    return request.config.getoption("--soak")


@pytest.fixture(scope="session")
def native(tmp_path_factory):
    """A C library of functions to be differentiated, in every way they can be given; see native_library.py."""
    return native_library.build(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="session")
def processor():
    """The floating-point mode, to be read and changed for a while."""
    return _processor


@pytest.fixture(scope="session", autouse=True)
def import_leaves_the_processor_alone():
    """Importing steepest changes no rounding and flushes no denormals."""
    assert _mode_after_import == _mode_before_import


@pytest.fixture(scope="module", autouse=True)
def what_is_there_is_no_garbage():
    """Tests that look for garbage need not go through all tests, reports and modules, which stay to the end anyway."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def test_leaves_the_processor_alone():
    """No test changes rounding or the treatment of denormals."""
    before = _processor.mode()
    yield
    assert _processor.mode() == before


@pytest.fixture(autouse=True)
def test_leaves_numpy_warning_as_it_did(request):
    """What NumPy does about trouble with numbers is the same after every test, and for the next one.

    `np.errstate` is Python code: Ctrl-C while it is being entered or left leaves it in force, which tests that press at
    any moment (``pytest.mark.interrupted``) cannot prevent.
    """
    before = np.geterr()
    yield
    after = np.seterr(**before)
    assert after == before or "interrupted" in request.keywords
