"""Minima and maxima of functions: one contract for every method.

Here so that a user meets one set of names and stopping rules, whatever walks. What a walk is made of is checked in
descent.py, who asks f and its gradient is in driving.py. Tested in tests/test_minimize.py.
"""

from .descent import Descent

__all__ = ["maximize", "minimize"]


def minimize(f, x0, *, grad=None, method="lbfgs", bounds=None, tol=1e-5, ftol=None, xtol=None, maxiter=None,
             maxfev=None, maxtime=None, target=None, callback=None, progress=False, history=False, state=None,
             starts=None, seed=None, lr=None, schedule=None, line_search=None, memory=20, variant="abbmin",
             beta="hager-zhang", average=0.0, project=None, noise=None, args=(), kwargs=None, **differences):
    """Walk down a function to a local minimum.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives one number. Anything that `gradient` takes, compiled functions included.
    x0 : array_like
        The start, in any shape of a real type. float32 is kept; everything else is computed in float64.
    grad : callable, True or str, optional
        ``grad(x, *args, **kwargs)`` gives the gradient in the shape of x; True says that f gives the pair
        ``(value, gradient)``; "forward", "central" (default), "complex", "adaptive", "switch" (forward, and central
        near the minimum) or another `method` of `gradient` says by which differences of f it is found.
    method : str, optional
        "lbfgs" [1]_ with the acceptance of Hager and Zhang [2]_ (default), "bfgs", "cg" [2]_, "bb" (Barzilai and
        Borwein [3]_ with a nonmonotone search), "spg" [4]_, "adgd" [5]_, "nesterov" (with adaptive restart [6]_),
        "gd", and every rule of `steepest.optim` by its name in lower case: "sgd", "adam", ...
    bounds : (lb, ub) or scipy.optimize.Bounds, optional
        For "lbfgs" and "spg": f is never evaluated outside. An `x0` outside is clipped, with a warning.
    tol : float, optional
        ``success`` says that the largest entry of the gradient (with bounds: of ``P(x - g) - x``) is at most this.
    ftol, xtol : float, optional
        Stop, without success, when f decreases by less than ``ftol * |f|``, or x moves by less than
        ``xtol * max(1, |x|)``.
    maxiter, maxfev : int, optional
        Exact limits of iterations and of calls of f, those of differences included. Without them, and without
        `maxtime`, 10 000 iterations or 100 for each variable are the end, whichever is more.
    maxtime : float, optional
        Seconds; the clock is looked at after every iteration, and before every call of Python functions. A gradient
        that is not known by then stays NaN.
    target : float, optional
        Stop when f is as low (as high, for `maximize`) as this.
    callback : callable, optional
        ``callback(intermediate_result)`` after every iteration, with copies of ``x, fun, jac`` and ``step, nit``;
        StopIteration ends the walk.
    progress : bool, optional
        Show a bar of tqdm that counts iterations.
    history : bool or "x", optional
        Keep ``x`` (nit + 1 rows), ``fun``, ``grad`` and ``step``; or x alone.
    state : dict, optional
        `result.state` of a walk with the same options: go on as if it had never stopped, with the same bits; `maxiter`
        and `maxfev` count the walk as a whole. (Differences that remember, those with a noise and "switch", look
        afresh.)
    starts : int, optional
        Walk from so many starts, x0 and random points inside `bounds`, which must be finite, and keep the best: a way
        out of false minima. Limits are those of each walk; ``nfev`` and ``njev`` count all. The result has the arrays
        of `minimize_many` in ``starts``, and no ``state``.
    seed : optional
        Of the random starts: what `numpy.random.default_rng` takes.
    lr : float, optional
        Learning rate of a rule (by default its own), step of "gd" when no `line_search` is given, and the first step of
        all others.
    schedule : callable, optional
        ``schedule(t)`` is the rate of a rule, or the step of "gd", in iteration t, from 0; see `steepest.schedules`.
    line_search : {"armijo", "wolfe", "hager-zhang", "gll"}, optional
        For "gd", "bb", "cg", "bfgs" and "lbfgs" without bounds.
    memory : int, optional
        Pairs of "lbfgs". 20 take fewer evaluations than 10, and twice the memory.
    variant : {"abbmin", "bb1", "bb2", "alternate"}, optional
        Step of "bb".
    beta : {"hager-zhang", "pr+", "dai-kou"}, optional
        Of "cg".
    average : float, optional
        0 holds f against the largest of its last ten values, in nonmonotone searches; above 0 against the average of
        Zhang and Hager [7]_ that keeps this share.
    project : callable, optional
        For "spg": ``project(x)`` gives the nearest point of a convex set.
    noise : float or "auto", optional
        Absolute error of f: decreases that are smaller end the walk, and differences take steps that suit. "auto" finds
        it out at x0, in some ten calls.
    args, kwargs : tuple, dict, optional
        What f and grad take after x.
    **differences
        Options of `Gradient` (order, step, rel_step, x_scale, rtol, workers) when `grad` is not given.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x, fun, jac`` (the best point seen: the lowest f, and where rounding cannot tell, the smallest gradient),
        ``nit, nfev, njev, status`` (a `DescentStatus`), ``message, success, state``, and ``history`` when asked for.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before anything is called.

    References
    ----------
    .. [1] D. C. Liu, J. Nocedal, Math. Program. 45 (1989) 503-528.
    .. [2] W. W. Hager, H. Zhang, SIAM J. Optim. 16 (2005) 170-192.
    .. [3] J. Barzilai, J. M. Borwein, IMA J. Numer. Anal. 8 (1988) 141-148; G. Frassoldati, L. Zanni, G. Zanghirati,
       J. Ind. Manag. Optim. 4 (2008) 299-312.
    .. [4] E. G. Birgin, J. M. Martinez, M. Raydan, SIAM J. Optim. 10 (2000) 1196-1211.
    .. [5] Y. Malitsky, K. Mishchenko, "Adaptive gradient descent without descent", ICML 2020.
    .. [6] B. O'Donoghue, E. Candes, Found. Comput. Math. 15 (2015) 715-732.
    .. [7] H. Zhang, W. W. Hager, SIAM J. Optim. 14 (2004) 1043-1056.

    Examples
    --------
    >>> import steepest as sd
    >>> from scipy.optimize import rosen, rosen_der
    >>> result = sd.minimize(rosen, [-1.2, 1.0], grad=rosen_der)
    >>> result.success, result.x.round(6).tolist()
    (True, [1.0, 1.0])
    >>> sd.minimize(lambda x: (x[0] - 3.0) ** 2 + x[1] ** 2, [0.0, 1.0], bounds=(0.0, 2.0)).x.round(6).tolist()
    [2.0, 0.0]
    """
    options = {"method": method, "bounds": bounds, "tol": tol, "ftol": ftol, "xtol": xtol, "maxiter": maxiter,
               "maxfev": maxfev, "target": target, "maximize": False, "lr": lr, "schedule": schedule,
               "line_search": line_search, "memory": memory, "variant": variant, "beta": beta, "average": average,
               "project": project, "noise": noise}
    watched = {"callback": callback, "history": history, "maxtime": maxtime}
    return _walk(f, x0, options, watched, state, starts, seed, grad, progress, args, kwargs, differences)


def maximize(f, x0, *, grad=None, method="lbfgs", bounds=None, tol=1e-5, ftol=None, xtol=None, maxiter=None,
             maxfev=None, maxtime=None, target=None, callback=None, progress=False, history=False, state=None,
             starts=None, seed=None, lr=None, schedule=None, line_search=None, memory=20, variant="abbmin",
             beta="hager-zhang", average=0.0, project=None, noise=None, args=(), kwargs=None, **differences):
    """Climb a function to a local maximum: `minimize`, up.

    Parameters
    ----------
    f, x0, grad, method, bounds, tol, ftol, xtol, maxiter, maxfev, maxtime, target, callback, progress, history, state
        As for `minimize`; values and gradients are those of f, not of its negative.
    starts, seed, lr, schedule, line_search, memory, variant, beta, average, project, noise, args, kwargs
        As for `minimize`.
    **differences
        As for `minimize`.

    Returns
    -------
    scipy.optimize.OptimizeResult
        As from `minimize`; the best point is the highest.

    Raises
    ------
    TypeError, ValueError
        As `minimize`.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.maximize(lambda x: -(x[0] - 1.0) ** 2, [0.0]).x.round(6).tolist()
    [1.0]
    """
    options = {"method": method, "bounds": bounds, "tol": tol, "ftol": ftol, "xtol": xtol, "maxiter": maxiter,
               "maxfev": maxfev, "target": target, "maximize": True, "lr": lr, "schedule": schedule,
               "line_search": line_search, "memory": memory, "variant": variant, "beta": beta, "average": average,
               "project": project, "noise": noise}
    watched = {"callback": callback, "history": history, "maxtime": maxtime}
    return _walk(f, x0, options, watched, state, starts, seed, grad, progress, args, kwargs, differences)


def _walk(f, x0, options, watched, state, starts, seed, grad, progress, args, kwargs, differences):
    """One walk, or the best of several."""
    if starts is not None:
        from .restarts import best_of_starts

        return best_of_starts(starts, seed, f, x0, options, watched | {"state": state}, grad, args, kwargs, differences,
                              progress)
    if seed is not None:
        raise ValueError("seed can be given with starts only: nothing else is random")
    with Descent(x0, state=state, **options) as run:
        return run.go(f, grad=grad, progress=progress, args=args, kwargs=kwargs, **watched, **differences)
