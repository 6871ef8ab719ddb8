"""Hessians of functions, and their products with vectors: the thin API.

Here so that second derivatives have the names, keywords, types and statuses of first ones; differences of values are in
curvature.py and products.py, those of gradients in slopes.py. Tested in tests/test_hessian.py and tests/test_hvp.py.
"""

import numpy as np

from .compiled_functions import check_f
from .curvature import HessianRun
from .differencing import deliver, in_type_of_x
from .differentiate import as_vector, once
from .options import METHODS, as_point, check_options, check_out, check_sparsity
from .products import ProductRun
from .reference.difference import refuse_outside
from .slopes import GradientLineRun, GradientRun, naming_grad

__all__ = ["hessian", "hvp"]


def _checked(f, grad, x, method, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers, progress,
             sparsity=None):
    """The options, the function that is evaluated, and x, all checked."""
    settings = check_options(
        method, None, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers, sparsity,
        progress=progress,
    )
    if settings.choosing is not None:
        names = ", ".join(map(repr, METHODS))
        raise ValueError(f"method must be one of {names} for second derivatives, not {method!r}")
    if f is not None or grad is None:
        check_f(f)
    if grad is not None:
        with naming_grad():
            check_f(grad)
    return settings, as_point(x)


def _over(grad, settings, *form):
    """The run for a gradient."""
    if settings.noise is None and not isinstance(settings.x_scale, str):
        if settings.sparsity is not None:
            from .sparse_hessian import SparseGradientRun

            return SparseGradientRun(grad, settings, *form)
        return (GradientRun if len(form) == 2 else GradientLineRun)(grad, settings, *form)
    from .probed_curvature import of_gradient

    return of_gradient(grad, settings, *form)


def _careful(run, x, out, shape, full_output):
    """Second derivatives with every fallback."""
    seen = run.seen(x)
    if run.bounds[0] is not None:
        refuse_outside(x.reshape(-1), *run.bounds)
    found = run.solve(seen, None, full_output)
    return deliver(found, run, lambda array: in_type_of_x(array, x.dtype).reshape(shape), out, full_output)


def hessian(f, x, *, grad=None, method="central", step=None, rel_step=None, x_scale=None, bounds=None, sparsity=None,
            format=None, verify=True, noise=None, args=(), kwargs=None, vectorized=False, workers=None, progress=False,
            out=None, full_output=False):
    """Hessian of a scalar function of a vector, by finite differences; exactly symmetric.

    Parameters
    ----------
    f : callable or None
        ``f(x, *args, **kwargs)`` gives one number. Not called, and may be None, when `grad` is given.
    x : array_like, (n,)
        Where; one number is a vector of one. Types are treated as by `gradient`.
    grad : callable, optional
        ``grad(x, *args, **kwargs)`` gives the gradient of f, n numbers: it is differenced, the result made symmetric.
        A compiled gradient is ``void (int, double *, int, double *, void *)``.
    method : {"central", "forward", "backward", "complex"}, optional
        What is differenced, how often f (or `grad`) is called, and the error for ``eps`` = 2.2e-16:

        ==========  ==========================================  ====================================
        method      from f                                      from `grad`
        ==========  ==========================================  ====================================
        central     n**2 + n + 1 calls, 1e-8                    2 n calls, 1e-11
        forward     (n**2 + 3 n) / 2 + 1, 1e-5                  n + 1 calls, 1e-8
        complex     n**2 + n + 5, 1e-11 [3]_                    n calls and 3 to check them, 1e-16
        ==========  ==========================================  ====================================

        ``"backward"`` is ``"forward"`` to the other side. ``"complex"`` needs an f, or `grad`, that takes a complex x.
    step : float or array_like, optional
        Absolute step (of ``"complex"`` without `grad`: the real one).
    rel_step : float or array_like, optional
        Step relative to ``|x|``; the default step where x is 0.
    x_scale : float, array_like or "auto", optional
        Typical size of the entries of x, 1 by default: the step is ``c * eps**(1/(2 + order)) * max(|x|, x_scale)``
        from f [2]_, and that of `jacobian` from `grad`.
    bounds : (lb, ub) or scipy.optimize.Bounds, optional
        f is never evaluated outside; near a bound differences are one-sided, of the same order, at two calls more for
        each pair of entries. Where ``lb == ub`` row and column are 0.
    sparsity : sparse array or matrix, array_like of bool, (int, int), or Coloring, optional
        Where the Hessian may be other than zero; symmetric. A sparse array, a dense array of bool, the widths of a band
        below and above the diagonal, or what `sparsity.color` has made of one, with ``symmetric=True`` for `grad`.
        From f only its entries are differenced, in ``n + nnz + 1`` calls; from `grad` the columns of one colour of a
        star colouring are moved together [4]_, in two calls for each colour.
    format : {"csr", "csc", "coo", "dense"}, optional
        Of a sparse Hessian; ``"csr"`` by default.
    verify : bool, optional
        Look whether the pattern lacks an entry, by one difference in which all variables are moved (5 calls of f, or 2
        of `grad`); when it does, a few more tell which one.
    noise : float or "auto", optional
        The noise of f, or of `grad`, or that it is to be estimated: steps then balance it. As for `gradient`.
    args, kwargs : tuple, dict, optional
        What f, or `grad`, takes after x.
    vectorized : bool, optional
        f takes points of shape ``(k, n)`` and gives ``(k,)`` values; `grad` gives ``(k, n)``.
    workers, progress
        As for `gradient`.
    out : ndarray or csr_array, (n, n), optional
        Where the Hessian goes. Untouched when the call fails.
    full_output : bool, optional
        Give a `Derivative`. Its ``step[i, j]`` is the step of ``x[j]``, its ``error`` is that of halving the steps, and
        of rounding; it costs as many calls again.

    Returns
    -------
    ndarray, (n, n), csr_array with `sparsity`, or Derivative

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before f is called; or naming the evaluation in which f returned what is no number, or an
        entry that `sparsity` lacks.

    Warns
    -----
    DifferenceWarning
        When an entry is not finite (NaN is returned) or unresolved, unless `full_output` is given.

    Notes
    -----
    The mixed derivatives use both values with two entries moved the same way [1]_, which halves the calls of the usual
    four; rounding of f then does four times as much to them.

    References
    ----------
    .. [1] M. Abramowitz, I. A. Stegun, "Handbook of Mathematical Functions", National Bureau of Standards 1964,
       25.3.27.
    .. [2] P. E. Gill, W. Murray, M. A. Saunders, M. H. Wright, "Computing forward-difference intervals for numerical
       optimization", SIAM J. Sci. Stat. Comput. 4 (1983) 310-321.
    .. [3] G. Lantoine, R. P. Russell, T. Dargent, "Using multicomplex variables for automatic computation of high-order
       derivatives", ACM Trans. Math. Softw. 38 (2012) 16.
    .. [4] T. F. Coleman, J. J. Moré, "Estimation of sparse Hessian matrices and graph coloring problems", Math.
       Programming 28 (1984) 243-270.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> sd.hessian(lambda x: x[0] ** 2 * x[1], [1.0, 3.0]).round(6)
    array([[6., 2.],
           [2., 0.]])
    >>> sd.hessian(None, [1.0, 3.0], grad=lambda x: np.array([2 * x[0] * x[1], x[0] ** 2])).round(8)
    array([[6., 2.],
           [2., 0.]])
    """
    settings, x = _checked(f, grad, x, method, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized,
                           workers, progress, check_sparsity(sparsity, format, verify))
    x = as_vector(x, "Hessian")
    if settings.sparsity is not None:
        from .sparse_hessian import SparseHessianRun, sparse_hessian

        run = (SparseHessianRun(f, settings, x.shape, x.dtype) if grad is None
               else _over(grad, settings, x.shape, x.dtype))
        return once(sparse_hessian, run, x, out, full_output)
    shape = (x.size, x.size)
    check_out(out, shape, x.dtype)
    run = _over(grad, settings, x.shape, x.dtype) if grad is not None else HessianRun(f, settings, x.shape, x.dtype)
    return once(_careful, run, x, out, shape, full_output)


def hvp(f, x, v, *, grad=None, method="central", step=None, rel_step=None, x_scale=None, bounds=None, noise=None,
        args=(), kwargs=None, vectorized=False, workers=None, progress=False, out=None, full_output=False):
    """Product of the Hessian of a scalar function at x with a vector, without the Hessian.

    Parameters
    ----------
    f : callable or None
        As for `hessian`.
    x : array_like, (n,)
        Where.
    v : array_like, (n,)
        The vector.
    grad : callable, optional
        The gradient of f; it is differenced along `v`, as by `jvp`.
    method : {"central", "forward", "backward", "complex"}, optional
        With `grad` that takes 2 calls, or 2, or 1 and 3 to check it; without it f is differenced along `v` at the
        points that `gradient` takes, which makes 4 n calls, or 2 n + 2, or 2 n + 5.
    step : float, optional
        Absolute step in t, for points ``x + t*v``; without `grad` entries are moved by as much as that moves x.
    rel_step : float, optional
        Step relative to ``|x| / |v|``, and of entries relative to theirs.
    out : ndarray, (n,), optional
        Where the product goes.
    x_scale, bounds, noise, args, kwargs, vectorized, workers, progress, full_output
        As for `hessian`.

    Returns
    -------
    ndarray, (n,), or Derivative
        What does not move, because ``lb == ub``, counts as no variable: 0.

    Raises
    ------
    TypeError, ValueError
        As `hessian`; and when `v` does not suit `x`.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.hvp(lambda x: x[0] ** 2 * x[1], [1.0, 3.0], [1.0, 0.5]).round(6)
    array([7., 2.])
    """
    settings, x = _checked(f, grad, x, method, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized,
                           workers, progress)
    v, shape = as_point(v, "v"), x.shape
    if v.shape != shape:
        raise ValueError(f"v must have the shape of x, {shape}, but has {v.shape}")
    if v.dtype.kind == "c" and x.dtype.kind != "c":
        raise TypeError("v must be real for a real x")
    if np.ndim(step) or np.ndim(rel_step):
        raise ValueError("step and rel_step must be numbers for a product with a vector")
    x = as_vector(x, "Hessian")
    check_out(out, shape, x.dtype)
    v = np.ascontiguousarray(v, x.dtype).reshape(x.shape)
    run = _over(grad, settings, v) if grad is not None else ProductRun(f, settings, v)
    return once(_careful, run, x, out, shape, full_output)
