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
    if settings.choosing == "adaptive":
        from .adaptive import AdaptiveRun

        return AdaptiveRun(f, settings, shape, dtype, vector, each)
    return Run(f, settings, shape, dtype, vector, each, made)


def line_run_for(f, settings, v):
    """The run along one direction: as `LineRun`."""
    _refuse_later(settings)
    if settings.choosing == "adaptive":
        from .adaptive import AdaptiveLineRun

        return AdaptiveLineRun(f, settings, v)
    return LineRun(f, settings, v)


def _refuse_later(settings):
    if settings.choosing not in (None, "adaptive"):
        raise later(f"method={settings.choosing!r}")
    if settings.noise is not None and settings.choosing != 'adaptive':
        raise later("noise")
    if settings.sparsity is not None:
        raise later("sparsity")
    if isinstance(settings.x_scale, str):
        raise later("x_scale='auto'")
