"""Derivatives of functions: the thin API over the difference kernels.

Here so that a user meets one set of names and keywords; it checks arguments, picks a kernel, shapes the result. What
happens in between is in differencing.py, and the prepared objects are in prepared.py. Tested in
tests/test_differentiate.py.
"""

from types import FunctionType

import numpy as np

from .backends import current
from .compiled_functions import at_once, check_f
from .differencing import deliver, in_type_of_x
from .options import as_point, check_options, check_out, check_sparsity
from .reference.difference import DONE, UNSUITED
from .roads import line_run_for, run_for

__all__ = ["derivative", "gradient", "jacobian", "jvp", "value_and_gradient"]

_NO_ARGUMENTS = ()
_PLAIN = check_options("central", None, None, None, None, None, None, (), None, False, None)


def careful_gradient(run, x, f0, out, full_output, swept=None):
    """The gradient with every fallback."""
    found, _ = _solve_gradient(run, x, f0, full_output, swept)
    return deliver(found, run, _shaped_as(x), out, full_output)


def careful_value_and_gradient(run, x, f0, out, full_output, swept=None):
    """The same with f(x), which is evaluated when the differences did not need it; before anything is written."""
    found, base = _solve_gradient(run, x, f0, full_output, swept)
    if base is None:
        base = run.value_at(run.seen(x))
    return in_type_of_x(base, x.dtype)[()], deliver(found, run, _shaped_as(x), out, full_output)


def _solve_gradient(run, x, f0, full_output, swept):
    x = run.seen(x)
    if f0 is not None:
        f0 = run.value_at(x, f0)
    found = run.solve(x, f0, full_output, swept)
    return found, found.base if f0 is None else f0


def _shaped_as(x):
    return lambda array: in_type_of_x(array, x.dtype).reshape(x.shape)


def careful_jacobian(run, x, f0, out, full_output):
    """The Jacobian with every fallback."""
    if run.settings.sparsity is not None:
        return run.jacobian(x, f0, out, full_output)
    if out is not None:  # as far as it can be known before f is called
        check_out(out, (out.shape[0] if getattr(out, "ndim", 0) == 2 else run.results, x.size), x.dtype)
        run.take_results(out.shape[0])
    if f0 is not None or run.results < 0:
        f0 = run.value_at(run.seen(x), f0)
    check_out(out, (run.results, x.size), x.dtype)
    found = run.solve(run.seen(x), f0, full_output)

    def shape_up(array):
        return np.ascontiguousarray(in_type_of_x(array, x.dtype).T)

    return deliver(found, run, shape_up, out, full_output)


def careful_jvp(run, x, f0, out, full_output):
    """The directional derivative with every fallback."""
    seen = run.seen(x)
    if out is not None and out.ndim == 1:
        run.take_results(out.size)
    f0 = run.value_at(seen, f0)
    check_out(out, f0.shape, x.dtype)

    def shape_up(array):
        return in_type_of_x(array, x.dtype).reshape(f0.shape)

    return deliver(run.solve(seen, f0.reshape(-1), full_output), run, shape_up, out, full_output)


def once(careful, run, *arguments):
    """Make the one call that a run is made for: workers of its own end with it."""
    crew = run.settings.crew
    if crew is None:
        return watched(careful, run, *arguments)
    try:
        return watched(careful, run, *arguments)
    finally:
        crew.close()


def watched(careful, run, *arguments):
    """Make a call, in sight of a bar where one is asked for."""
    bar = run.settings.bar
    if bar is None:
        return careful(run, *arguments)
    with bar:
        return careful(run, *arguments)


def as_vector(x, result="Jacobian"):
    """Refuse more than one dimension; take a number as a vector of one."""
    if x.ndim > 1:
        raise ValueError(f"x must have one dimension for a {result}, but has shape {x.shape}")
    return x.reshape(-1) if x.ndim == 0 else x


def gradient(f, x, *, method="central", order=None, step=None, rel_step=None, x_scale=None, bounds=None, f0=None,
             noise=None, rtol=None, args=(), kwargs=None, vectorized=False, workers=None, progress=False, out=None,
             full_output=False):
    """Gradient of a scalar function of an array, by finite differences.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives one number; x arrives in the shape and floating type of `x`. What f does
        to its x is its own affair: it may write into it or keep it.
    x : array_like
        Where, in any shape. float32, float64, longdouble and complex types are kept (float16 is computed in float32);
        integers become float64. A complex x is differentiated as that of a holomorphic function.
    method : {"central", "forward", "backward", "complex", "adaptive", "switch"}, optional
        SciPy's ``"3-point"``, ``"2-point"`` and ``"cs"`` are taken too. ``"complex"`` evaluates f at ``x + i*h``,
        free of cancellation [3]_, and checks it against one central difference. ``"adaptive"`` extrapolates central
        differences with steps chosen for each component [4]_, until rounding is all that is left: eight calls of f a
        component as a rule, about thirteen digits, and an error bar that costs nothing more. ``"switch"`` takes forward
        differences while the gradient exceeds their error, which two more evaluations show, and central ones else [1]_.
    order : int, optional
        Order of accuracy: 2 (default), 4, 6 or 8 for central differences; 1 (default) to 4 for one-sided ones.
    step : float or array_like, optional
        Absolute step; the first and largest one of an adaptive difference.
    rel_step : float or array_like, optional
        Step relative to ``|x|``; the default step where x is 0.
    x_scale : float, array_like or "auto", optional
        Typical size of the entries of x, 1 by default: the step is ``c * eps**(1/(1 + order)) * max(|x|, x_scale)``
        [1]_ [2]_. With "auto" the sizes are ``|x|``, or 1 where x is 0, unless one evaluation each shows that f drowns
        in rounding or bends with them; then others are tried, in at most 5 evaluations each.
    bounds : (lb, ub) or scipy.optimize.Bounds, optional
        f is never evaluated outside; near a bound the difference is one-sided or its step shorter, and where
        ``lb == ub`` the derivative is 0.
    f0 : float, optional
        f(x), when it is known.
    noise : float or "auto", optional
        Standard deviation of the values of f about a smooth function; with "auto" it is that of `noise_level`, 7
        evaluations in all. Every component gets a step of its own, by bisection [5]_, or from the curvature for
        first-order one-sided differences [6]_: a search takes some 8 to 30 evaluations. It goes as far as a million
        typical sizes of x; give `bounds` where f is not to be called. What does not rise above the noise is unresolved,
        unless its error bar is small beside the rest of the gradient. With `step` or `rel_step` the noise makes error
        bars wider and no more; an adaptive difference ends where the noise begins.
    rtol : float, optional
        Relative error at which an adaptive difference stops early, and then saves a call or two.
    args, kwargs : tuple, dict, optional
        What f takes after x.
    vectorized : bool, optional
        f takes points of shape ``(k, *x.shape)`` and gives ``(k,)`` values.
    workers : int, executor or callable, optional
        Who evaluates f. An int is a number of processes, -1 for one on each core. An executor is anything with the
        ``submit`` of `concurrent.futures`: its threads and processes, Dask's ``client.get_executor()``, mpi4py's
        ``MPIPoolExecutor``, loky's. A callable maps a function over a list, as ``multiprocessing.Pool().map`` does.
        Bits, exceptions and their notes are those of one process, for any number of workers; with `vectorized`, each
        block of points that a worker gets is one call of f.
    progress : bool, optional
        Show a bar of tqdm that counts evaluations.
    out : ndarray, optional
        Where the gradient goes, in the shape and type of the result. Untouched when the call fails.
    full_output : bool, optional
        Give a `Derivative` with value, error, step, nfev, status, message and success. Costs as many calls of f again.

    Returns
    -------
    ndarray, scalar, or Derivative
        Of the shape of `x`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before f is called; or naming the evaluation in which f returned what is no number.

    Warns
    -----
    DifferenceWarning
        When a component is not finite (NaN is returned) or unresolved, unless `full_output` is given.

    Notes
    -----
    An exception of f comes back as the same object, with a note that names the evaluation.

    References
    ----------
    .. [1] P. E. Gill, W. Murray, M. A. Saunders, M. H. Wright, "Computing forward-difference intervals for numerical
       optimization", SIAM J. Sci. Stat. Comput. 4 (1983) 310-321.
    .. [2] J. E. Dennis, R. B. Schnabel, "Numerical Methods for Unconstrained Optimization", Prentice-Hall 1983.
    .. [3] W. Squire, G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40
       (1998) 110-112.
    .. [4] C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Adv. Eng. Softw. 4 (1982) 75-76.
    .. [5] H.-J. M. Shi, Y. Xie, M. Q. Xuan, J. Nocedal, "Adaptive finite-difference interval estimation for noisy
       derivative-free optimization", SIAM J. Sci. Comput. 44 (2022) A2302-A2321.
    .. [6] J. J. Moré, S. M. Wild, "Estimating derivatives of noisy simulations", ACM TOMS 38 (2012) 19.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.gradient(lambda x: x[0] ** 2 + x[1] ** 2, [3.0, 4.0])
    array([6., 8.])
    """
    made: list | None = None
    swept = None
    if (  # every option at its default: the quick road
        method == "central" and order is None and step is None and rel_step is None and x_scale is None
        and bounds is None and f0 is None and noise is None and rtol is None and args is _NO_ARGUMENTS
        and kwargs is None and vectorized is False and workers is None and progress is False and out is None
        and full_output is False
    ):
        settings = _PLAIN
        compiled = None if type(f) is FunctionType else at_once(f, x)
        if compiled is not UNSUITED:
            found = current().central_gradient(f, x, None, compiled)
            if type(found) is not tuple:
                return found if found.ndim else found[()]
            swept, *made = found
    else:
        settings = check_options(
            method, order, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers, progress=progress,
            rtol=rtol,
        )
    if made is not None and swept != UNSUITED:
        x = made[0].snapshot()
    else:
        check_f(f)
        x, made, swept = as_point(x), None, None
    check_out(out, x.shape, x.dtype)
    run = run_for(f, settings, x.shape, x.dtype, made=made)
    if made is None and f0 is None and not full_output:
        swept, result = run.sweep_at_once(x, out)
        if swept == DONE:
            return result if result is out or x.shape else result[()]
        if swept == UNSUITED:
            swept = None
    return once(careful_gradient, run, x, f0, out, full_output, swept)


def value_and_gradient(f, x, *, method="central", order=None, step=None, rel_step=None, x_scale=None, bounds=None,
                       f0=None, noise=None, rtol=None, args=(), kwargs=None, vectorized=False, workers=None,
                       progress=False, out=None, full_output=False):
    """Value and gradient of a scalar function together, sharing evaluations.

    Parameters
    ----------
    f, x, method, order, step, rel_step, x_scale, bounds, f0, noise, rtol, args, kwargs, vectorized, workers, progress
        As for `gradient`.
    out, full_output
        As for `gradient`.

    Returns
    -------
    value : scalar
        f(x), in the type of x.
    gradient : ndarray, scalar, or Derivative
        As from `gradient`.

    Raises
    ------
    TypeError, ValueError
        As `gradient`.

    Examples
    --------
    >>> import steepest as sd
    >>> value, gradient = sd.value_and_gradient(lambda x: x[0] ** 2 + x[1] ** 2, [3.0, 4.0])
    >>> float(value), gradient
    (25.0, array([6., 8.]))
    """
    settings = check_options(
        method, order, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers, progress=progress,
        rtol=rtol,
    )
    check_f(f)
    x = as_point(x)
    check_out(out, x.shape, x.dtype)
    return once(careful_value_and_gradient, run_for(f, settings, x.shape, x.dtype), x, f0, out, full_output)


def jacobian(f, x, *, method="central", order=None, step=None, rel_step=None, x_scale=None, bounds=None, f0=None,
             sparsity=None, format=None, verify=True, noise=None, rtol=None, args=(), kwargs=None, vectorized=False,
             workers=None, progress=False, out=None, full_output=False):
    """Jacobian of a vector function of a vector, by finite differences.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives a vector of m numbers (or one number: m = 1).
    x : array_like, (n,)
        Where; one number is a vector of one.
    f0 : array_like, (m,), optional
        f(x), when it is known. It is evaluated once otherwise, to learn m.
    sparsity : sparse array or matrix, array_like of bool, pair of int, or Coloring, optional
        Where the Jacobian may be other than zero: the stored entries of a SciPy array of shape (m, n), stored zeros
        included; what is true in a dense array; ``(lower, upper)``, the numbers of diagonals below and above the main
        one of a square matrix; or what `steepest.sparsity.color` has made of one of these. Columns that share no row
        are moved together, each by its own step, so that f is called a few times and not for each column [1]_ [2]_.
        Steps that are looked for (`noise`, ``x_scale="auto"``, "adaptive") are those of a dense Jacobian, unless one of
        its columns chooses otherwise for the sake of results that do not depend on it.
    format : {"csr", "csc", "coo", "dense"}, optional
        What a Jacobian with a `sparsity` comes as: ``"csr"``, a `scipy.sparse.csr_array`, by default.
    verify : bool, optional
        Compare a Jacobian with a `sparsity` with a difference in one direction in which all columns move. That takes
        one or two evaluations of f, and some more where it shows that an entry is missing, to name it. An entry that
        changes its row by less than a thousandth of what the others do is not noticed.
    vectorized : bool, optional
        f takes points of shape ``(k, n)`` and gives ``(k, m)`` values.
    out : ndarray, (m, n), optional
        Where the Jacobian goes; with a `sparsity`, a `csr_array` of that pattern, or with ``format="dense"`` an array.
    method, order, step, rel_step, x_scale, bounds, noise, rtol, args, kwargs, workers, progress, full_output
        As for `gradient`.

    Returns
    -------
    ndarray or sparse array, (m, n), or Derivative
        Row i holds the gradient of the i-th result. A `Derivative` with a `sparsity` has value, error, step and status
        of the stored entries, each in that format.

    Raises
    ------
    TypeError, ValueError
        As `gradient`; and when results have two dimensions, or change their length between calls; when `sparsity` does
        not suit x or f, or is found to lack an entry, which the message names.

    References
    ----------
    .. [1] A. R. Curtis, M. J. D. Powell, J. K. Reid, "On the estimation of sparse Jacobian matrices", J. Inst. Maths
       Applics 13 (1974) 117-119.
    .. [2] A. H. Gebremedhin, F. Manne, A. Pothen, "What color is your Jacobian? Graph coloring for computing
       derivatives", SIAM Review 47 (2005) 629-705.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> sd.jacobian(lambda x: np.array([x[0] * x[1], x[0] + x[1], x[1]]), [2.0, 3.0]).round(8)
    array([[3., 2.],
           [1., 1.],
           [0., 1.]])
    >>> J = sd.jacobian(lambda x: x**2, np.arange(1.0, 1001.0), sparsity=(0, 0), full_output=True)
    >>> J.nfev, J.value.nnz, J.success
    (6, 1000, True)
    """
    settings = check_options(
        method, order, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers,
        check_sparsity(sparsity, format, verify), progress=progress, rtol=rtol,
    )
    check_f(f)
    x = as_vector(as_point(x))
    return once(careful_jacobian, run_for(f, settings, x.shape, x.dtype, vector=True), x, f0, out, full_output)


def jvp(f, x, v, *, method="central", order=None, step=None, rel_step=None, x_scale=None, bounds=None, f0=None,
        noise=None, rtol=None, args=(), kwargs=None, vectorized=False, workers=None, progress=False, out=None,
        full_output=False):
    """Directional derivative: the product of the Jacobian (or gradient) at x with a vector v.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives a number or a vector of m numbers.
    x : array_like
        Where, in any shape.
    v : array_like
        The direction, in the shape of `x`.
    step : float, optional
        Absolute step in t, for points ``x + t*v``; by default ``c * eps**(1/(1 + order)) * max(1, |x|) / |v|`` with
        norms scaled by `x_scale`, which for a unit vector is the step of its entry.
    rel_step : float, optional
        Step relative to ``|x| / |v|``.
    f0 : float or array_like, optional
        f(x), when it is known. It is evaluated once otherwise, to learn m.
    out : ndarray, optional
        Where the product goes, in the shape of f(x).
    method, order, x_scale, bounds, noise, rtol, args, kwargs, vectorized, workers, progress, full_output
        As for `gradient`.

    Returns
    -------
    scalar, ndarray (m,), or Derivative
        In the shape of f(x).

    Raises
    ------
    TypeError, ValueError
        As `gradient`; and when `v` does not suit `x`.

    Examples
    --------
    >>> import steepest as sd
    >>> float(sd.jvp(lambda x: x[0] ** 2 + x[1] ** 2, [3.0, 4.0], [1.0, 0.5]).round(8))
    10.0
    """
    settings = check_options(
        method, order, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers, progress=progress,
        rtol=rtol,
    )
    check_f(f)
    x = as_point(x)
    v = as_point(v, "v")
    if v.shape != x.shape:
        raise ValueError(f"v must have the shape of x, {x.shape}, but has {v.shape}")
    if v.dtype.kind == "c" and x.dtype.kind != "c":
        raise TypeError("v must be real for a real x")
    if np.ndim(step) or np.ndim(rel_step):
        raise ValueError("step and rel_step must be numbers for a directional derivative")
    if out is not None:  # as far as it can be known before f is called
        check_out(out, getattr(out, "shape", ()), x.dtype)
    run = line_run_for(f, settings, np.ascontiguousarray(v, x.dtype).reshape(x.shape))
    return once(careful_jvp, run, x, f0, out, full_output)


def derivative(f, x, n=1, *, method="central", order=None, step=None, rel_step=None, x_scale=None, bounds=None,
               noise=None, rtol=None, args=(), kwargs=None, vectorized=False, workers=None, progress=False, out=None,
               full_output=False):
    """n-th derivative of a function of one number, at every entry of x.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` takes one number, a NumPy scalar of the type of x, and gives one number.
    x : array_like
        Where, in any shape.
    n : int, optional
        Order of the derivative, from 1 to 4.
    vectorized : bool, optional
        f takes a one-dimensional array of numbers and gives one of the same length.
    out : ndarray, optional
        Where the derivatives go, in the shape and type of x.
    method, order, step, rel_step, x_scale, bounds, noise, rtol, args, kwargs, workers, progress, full_output
        As for `gradient`. The default step is ``c * eps**(1/(n + order)) * max(|x|, x_scale)``; the complex step gives
        first derivatives only.

    Returns
    -------
    scalar, ndarray, or Derivative
        Of the shape of `x`.

    Raises
    ------
    TypeError, ValueError
        As `gradient`.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> sd.derivative(np.sin, [0.0, np.pi / 3]).round(8)
    array([1. , 0.5])
    >>> float(sd.derivative(np.exp, 0.0, 2, order=4).round(8))
    1.0
    """
    settings = check_options(
        method, order, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers, n=n,
        progress=progress, rtol=rtol,
    )
    check_f(f)
    x = as_point(x)
    check_out(out, x.shape, x.dtype)
    run = run_for(f, settings, x.shape, x.dtype, each=True)
    return once(careful_gradient, run, x, None, out, full_output)
