"""Second derivatives of an f that is noisy, or whose scales are not known: what is asked of it before.

Here so that second derivatives have the options of first ones: noise and scales are found by those who find them for
gradients, and the steps balance truncation against noise for the second derivative along each entry [1]_. Tested in
tests/test_noisy_curvature.py.

References
----------
.. [1] P. E. Gill, W. Murray, M. A. Saunders, M. H. Wright, "Computing forward-difference intervals for numerical
   optimization", SIAM J. Sci. Stat. Comput. 4 (1983) 310-321.
"""

import numpy as np

from .compressed_search import CompressedProbing
from .errors import Status
from .noisy import NoisyLineRun, NoisyRun, levels_of
from .probing import Probing
from .reference.difference import CENTRAL, COMPLEX
from .scales import ScaledLineRun, ScaledRun, scales_at
from .slopes import GradientLineRun, GradientRun
from .sparse_hessian import SparseGradientRun


def learn(run, x):
    """Give a `ValueRun` the scales and the noise of f at x, and steps that suit them."""
    asked = run.asked_for
    plain = asked.but(method=CENTRAL, order=2, n=1, x_scale=None)
    if isinstance(asked.x_scale, str):
        prober = Probing(run.f, plain.but(noise=None), run.shape, run.dtype)
        scale = _by(prober, run, lambda: scales_at(prober, x, prober.value_at(x)))
        run.settings = asked.but(x_scale=scale)
        run.choose_steps()
    if asked.noise is None:
        return
    prober = NoisyRun(run.f, plain, run.shape, run.dtype)
    level, _ = _by(prober, run, lambda: levels_of(prober, x, prober.value_at(x)))
    run.level = float(level.max(initial=0.0))
    if asked.step is not None or asked.rel_step is not None or asked.method == COMPLEX or not run.level > 0:
        return
    second = plain.but(method=asked.method, order=asked.order, n=2, noise=run.level)
    run.known = _steps(NoisyRun(run.f, second, run.shape, run.dtype), run, x, run.steps_at(x))
    if hasattr(run, "known_along") and run.v.any():
        run.known_along = _steps(NoisyLineRun(run.f, second, run.v), run, x, None)


def _by(prober, run, ask):
    """What a prober answers; its calls of f are counted as those of a run."""
    prober.count_from(run.nfev)
    try:
        return ask()
    finally:
        run.count_from(prober.nfev)


def _steps(searcher, run, x, usual):
    """The length of the steps that a search has found, and the usual ones where it found none."""
    found = _by(searcher, run, lambda: searcher.solve(x, searcher.value_at(x)))
    step = abs(found.step[:, 0])
    good = np.isfinite(step) & (step > 0) & (found.status[:, 0] != Status.NONFINITE)
    if usual is None:
        return step if good.all() else None
    return np.where(good, step, usual).astype(usual.dtype)


class NoisyGradientRun(GradientRun, NoisyRun):
    """Differences of a noisy gradient."""


class ScaledGradientRun(GradientRun, ScaledRun):
    """Differences of a gradient whose scales it shows itself."""


class NoisyGradientLineRun(GradientLineRun, NoisyLineRun):
    """Differences of a noisy gradient along one direction."""


class ScaledGradientLineRun(GradientLineRun, ScaledLineRun):
    """Differences along one direction of a gradient whose scales it shows itself."""


class NoisySparseGradientRun(SparseGradientRun, CompressedProbing, NoisyRun):
    """Differences of a noisy gradient whose entries move together."""


class ScaledSparseGradientRun(SparseGradientRun, CompressedProbing, ScaledRun):
    """Differences of such a gradient whose scales it shows itself."""


def of_gradient(grad, settings, *form):
    """The run for a gradient that is noisy or whose scales are not known; `form` is its shape and type, or a vector."""
    scaled, settings = isinstance(settings.x_scale, str), settings.but(
        x_scale=None if isinstance(settings.x_scale, str) else settings.x_scale)
    plain, noisy, searched = (
        (SparseGradientRun, NoisySparseGradientRun, ScaledSparseGradientRun) if settings.sparsity is not None
        else (GradientRun, NoisyGradientRun, ScaledGradientRun) if len(form) == 2
        else (GradientLineRun, NoisyGradientLineRun, ScaledGradientLineRun))
    if settings.noise is not None:
        return noisy(grad, settings, *form)
    if scaled and settings.step is None and settings.method != COMPLEX:
        return searched(grad, settings, *form)
    return plain(grad, settings, *form)
