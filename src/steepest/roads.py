"""Which kind of run the options of a derivative ask for.

Here so that plain differences, at the bottom, know nothing of what is built on them, and nothing of that is imported
before it is asked for. Tested in tests/test_differentiate.py.
"""

from .differencing import LineRun, Run
from .reference.difference import COMPLEX

__all__ = ["line_run_for", "run_for"]


def run_for(f, settings, shape, dtype, vector=False, each=False, made=None):
    """The run for these options: as `Run`."""
    if settings.sparsity is not None:
        return _sparse_run_for(f, settings, shape, dtype)
    where = shape, dtype, vector, each
    if settings.choosing == "switch":
        from .switching import SwitchRun

        return SwitchRun(f, settings, *where, lambda other: run_for(f, other, *where))
    settings, scaled = _without_scale(settings)
    if settings.choosing == "adaptive" and settings.noise == "auto":
        from .adaptive_noise import AdaptiveNoisyRun

        return AdaptiveNoisyRun(f, settings, *where)
    if settings.choosing == "adaptive":
        from .adaptive import AdaptiveRun

        return AdaptiveRun(f, settings, *where)
    if scaled:
        from .scales import ScaledRun

        return ScaledRun(f, settings, *where)
    if settings.noise is not None:
        from .noisy import NoisyRun

        return NoisyRun(f, settings, *where)
    return Run(f, settings, *where, made)


def line_run_for(f, settings, v):
    """The run along one direction: as `LineRun`."""
    if settings.choosing == "switch":
        from .switching import SwitchLineRun

        return SwitchLineRun(f, settings, v, lambda other: line_run_for(f, other, v))
    settings, scaled = _without_scale(settings)
    if settings.choosing == "adaptive" and settings.noise == "auto":
        from .adaptive_noise import AdaptiveNoisyLineRun

        return AdaptiveNoisyLineRun(f, settings, v)
    if settings.choosing == "adaptive":
        from .adaptive import AdaptiveLineRun

        return AdaptiveLineRun(f, settings, v)
    if scaled:
        from .scales import ScaledLineRun

        return ScaledLineRun(f, settings, v)
    if settings.noise is not None:
        from .noisy import NoisyLineRun

        return NoisyLineRun(f, settings, v)
    return LineRun(f, settings, v)


def _sparse_run_for(f, settings, shape, dtype):
    """The run for a sparse Jacobian."""
    from .compressed import CompressedRun

    scaled = settings.choosing is None and _without_scale(settings)[1]
    if settings.choosing is None and settings.noise is None and not scaled:
        return CompressedRun(f, _without_scale(settings)[0], shape, dtype)
    from . import compressed_search as searching

    if settings.choosing == "switch":
        return searching.CompressedSwitchRun(f, settings, shape, dtype,
                                             lambda other: run_for(f, other, shape, dtype, vector=True))
    settings, _ = _without_scale(settings)
    if settings.choosing == "adaptive":
        kind = searching.CompressedAdaptiveRun if settings.noise != "auto" else searching.CompressedAdaptiveNoisyRun
        return kind(f, settings, shape, dtype)
    return (searching.CompressedScaledRun if scaled else searching.CompressedNoisyRun)(f, settings, shape, dtype)


def _without_scale(settings):
    """The options without an automatic scale, and whether one has to be found.

    The caller's steps and the complex step need none; searches for steps, adaptive or in noise, find their own.
    """
    if not isinstance(settings.x_scale, str):
        return settings, False
    needed = settings.step is None and settings.noise is None and settings.method != COMPLEX
    return settings.but(x_scale=None), needed
