"""Many minima in one call: many starts of one function, or many problems of one kind.

Here so that a million small problems cost their evaluations and not a million calls of `minimize`; it checks arguments
and shapes the result, the walks are in many_walks.py. Tested in tests/test_minimize_many.py.
"""

import warnings

import numpy as np

from .compiled_functions import check_f, recognise, variants_of
from .descent import Descent, box_of
from .differencing import callers_level
from .errors import DescentStatus
from .many_functions import Problems
from .many_walks import Many
from .options import as_count, as_point
from .reference.many import NFEV, NIT, NJEV, STATUS

__all__ = ["minimize_many", "result_of", "threads_asked"]

# What `minimize` takes for one walk that is watched.
WATCHED = ("callback", "history", "state", "maxtime", "starts", "seed")

SHORT = {
    DescentStatus.CONVERGED: "the gradient is as small as asked for",
    DescentStatus.ITERATIONS: "the limit of iterations is reached",
    DescentStatus.EVALUATIONS: "the limit of evaluations is reached",
    DescentStatus.STALLED: "no lower point was found along the gradient",
    DescentStatus.DECREASE: "f decreases by less than ftol",
    DescentStatus.STEP: "steps are shorter than xtol",
    DescentStatus.TARGET: "f is as low as its target",
    DescentStatus.NONFINITE: "a value of f or its gradient is not finite",
    DescentStatus.NOISE: "f decreases by less than its noise",
}


def minimize_many(f, X0, *, data=None, grad=None, method="lbfgs", bounds=None, tol=1e-5, ftol=None, xtol=None,
                  maxiter=None, maxfev=None, target=None, progress=False, lr=None, schedule=None, line_search=None,
                  memory=20, variant="abbmin", beta="hager-zhang", average=0.0, project=None, noise=None, args=(),
                  kwargs=None, workers=None, **differences):
    """Walk down one function from many starts, or down many functions of one kind.

    Each walk has its own steps and its own end, and the bits of `minimize` from the same start. A compiled f, with a
    gradient that is compiled or found by central differences, is walked down without Python, on several threads.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives one number; with `data`, ``f(x, data[i], *args, **kwargs)`` for problem i.
        Anything that `minimize` takes. A compiled f must be safe to call from several threads, unless ``workers=1``.
    X0 : array_like, (B, n)
        A start in each row, or in each part of an array of more dimensions; with `data`, (n,) when all problems start
        there. float32 is kept, all else is float64.
    data : sequence of B rows, optional
        What makes the problems differ. A C function is given the address of its row as user data (``void *``), an njit
        function its row after x: an array, or a number when `data` has one dimension.
    grad : callable, True or str, optional
        As for `minimize`; it is given its row as f is.
    method, bounds, tol, ftol, xtol, target, lr, schedule, line_search, memory, variant, beta, average, project, noise
        As for `minimize`, the same for all walks; starts outside the bounds are clipped, with a warning.
    maxiter, maxfev : int, optional
        Limits of each walk.
    progress : bool, optional
        Show a bar of tqdm that counts walks.
    args, kwargs : tuple, dict, optional
        What f and grad take after x and their row.
    workers : int, optional
        How many threads walk when f is compiled; by default as many as there are cores (see `set_num_threads`). A
        Python f is called by the calling thread.
    **differences
        Options of `Gradient` when `grad` is not given.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Arrays with an entry for each walk: ``x`` and ``jac``, as X0, ``fun``, ``success``, ``status`` (see
        `DescentStatus`), ``nit``, ``nfev``, ``njev``; ``message`` counts the statuses.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before anything is called.

    Examples
    --------
    >>> import steepest as sd
    >>> from scipy.optimize import rosen, rosen_der
    >>> found = sd.minimize_many(rosen, [[-1.2, 1.0], [0.0, 0.0], [2.0, -1.0]], grad=rosen_der)
    >>> found.x.round(4).tolist(), found.message
    ([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], '3 of 3: the gradient is as small as asked for')

    A problem for each row of data:

    >>> centres = [[1.0, 2.0], [3.0, 4.0]]
    >>> found = sd.minimize_many(lambda x, c: (x[0] - c[0]) ** 2 + (x[1] - c[1]) ** 2, [0.0, 0.0], data=centres)
    >>> found.x.round(4).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    check_f(f)
    for name in WATCHED:
        if name in differences:
            raise TypeError(f"{name} cannot be given to minimize_many: it is for one walk, see minimize")
    starts = _starts(X0, data)
    workers = threads_asked(workers, f)
    options = {"method": method, "bounds": bounds, "tol": tol, "ftol": ftol, "xtol": xtol, "maxiter": maxiter,
               "maxfev": maxfev, "target": target, "lr": lr, "schedule": schedule, "line_search": line_search,
               "memory": memory, "variant": variant, "beta": beta, "average": average, "project": project,
               "noise": noise}
    starts = _clipped(starts, options)
    problems = Problems(f, grad, starts[0], args, kwargs, data) if len(starts) else None
    return result_of(Many(problems, starts, options, differences, workers, progress).run(), starts)


def _starts(X0, data):
    """Starts as an array (B, n)."""
    starts = as_point(X0, "X0")
    if starts.dtype.kind == "c":
        raise TypeError("X0 must be real")
    starts = starts.astype(np.float32 if starts.dtype.char == "f" else np.float64)
    if data is None:
        if starts.ndim < 2:
            raise ValueError(f"X0 must have shape (B, n), a start in each row, not {starts.shape}")
        return starts
    if isinstance(data, (str, bytes, dict)) or not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise TypeError(f"data must be an array or a sequence of rows, not {type(data).__name__}")
    if np.ndim(data) == 0 and isinstance(data, np.ndarray):
        raise ValueError("data must have a row for each problem, not the shape ()")
    if starts.ndim == 1:
        return np.tile(starts, (len(data), 1))
    if starts.ndim < 2 or len(starts) != len(data):
        raise ValueError(f"X0 must have shape (n,) or ({len(data)}, n), with the {len(data)} rows of data, not "
                         f"{starts.shape}")
    return starts


def threads_asked(workers, f):
    """The number of threads that was asked for; None for as many as there are cores."""
    if workers is None:
        return None
    workers = as_count(workers, "workers")
    if workers > 1 and recognise(f) is None and variants_of(f) is None:
        raise ValueError("workers can be given for a compiled f, as a number of threads: a Python f is called by the "
                         "calling thread")
    return workers


def _clipped(starts, options):
    """Starts inside the bounds, when all options are found to be right."""
    somewhere = np.zeros(starts.shape[1:], starts.dtype)
    lower, upper = box_of(options["bounds"], somewhere, options["method"])
    if lower is not None:
        lower, upper = lower.reshape(somewhere.shape), upper.reshape(somewhere.shape)
        somewhere = np.clip(somewhere, lower, upper)
    Descent(somewhere, **options)
    if lower is None:
        return starts
    inside = np.clip(starts, lower, upper).astype(starts.dtype)
    if not np.array_equal(inside, starts):
        warnings.warn("some of X0 are outside the bounds: these walks start from the nearest point inside",
                      RuntimeWarning, stacklevel=callers_level())
    return inside


def result_of(batch, starts):
    """What the walks have found, in arrays."""
    from scipy.optimize import OptimizeResult

    x, jac = (array.reshape(starts.shape).astype(starts.dtype) for array in (batch.x, batch.jac))
    status = batch.counts[:, STATUS].astype(int)
    return OptimizeResult(
        x=x, fun=batch.fun, jac=jac, success=status == DescentStatus.CONVERGED,
        status=status, nit=batch.counts[:, NIT].copy(), nfev=batch.counts[:, NFEV].copy(),
        njev=batch.counts[:, NJEV].copy(), message=_message(status),
    )


def _message(status):
    """How many walks ended why."""
    counts = [(int((status == code).sum()), text) for code, text in SHORT.items()]
    return "; ".join(f"{count} of {status.size}: {text}" for count, text in counts if count) or "there were no walks"
