"""Which kind of run the options of a derivative ask for.

Here so that plain differences, at the bottom, know nothing of what is built on them, and nothing of that is imported
before it is asked for. Tested in tests/test_differentiate.py.
"""

from .differencing import LineRun, Run
from .options import later

__all__ = ["line_run_for", "run_for"]


def run_for(f, settings, shape, dtype, vector=False, each=False, made=None):
    """The run for these options: as `Run`."""
    _refuse_later(settings)
    if settings.sparsity is not None:
        from .compressed import CompressedRun

        return CompressedRun(f, settings, shape, dtype)
    return Run(f, settings, shape, dtype, vector, each, made)


def line_run_for(f, settings, v):
    """The run along one direction: as `LineRun`."""
    _refuse_later(settings)
    return LineRun(f, settings, v)


def _refuse_later(settings):
    if settings.choosing is not None:
        raise later(f"method={settings.choosing!r}")
    if settings.noise is not None:
        raise later("noise")
    if isinstance(settings.x_scale, str):
        raise later("x_scale='auto'")
