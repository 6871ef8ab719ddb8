"""The walks as methods of `scipy.optimize.minimize`: `scipy_method`.

Here so that code which calls SciPy can switch by one word; SciPy's names of options and its two kinds of callbacks are
understood. Tested in tests/test_scipy_method.py.
"""

import inspect
import warnings

import numpy as np

from .descent import RULES
from .minimize import minimize
from .reference.descent import METHODS

__all__ = ["scipy_method"]

# SciPy's names, and ours; None for what has no use here.
NAMES = {"gtol": "tol", "maxfun": "maxfev", "maxcor": "memory", "eps": "step", "finite_diff_rel_step": "rel_step",
         "maxls": None, "iprint": None}


class scipy_method:
    """A method for `scipy.optimize.minimize`, which then walks as `steepest.minimize` does.

    Parameters
    ----------
    method : str, optional
        As for `minimize`: "lbfgs", "bfgs", "cg", "bb", "spg", "adam", ...
    **options
        Options of `minimize`; those that SciPy is given in ``options=`` come before them.

    Notes
    -----
    ``jac``, ``bounds`` (in each of SciPy's forms), ``tol``, ``callback`` (of x, or of ``intermediate_result``) and
    ``options`` of SciPy's `minimize` work; of the options there, gtol, ftol, maxiter, maxfun, maxcor, eps,
    finite_diff_rel_step, disp and return_all are understood as SciPy means them, but that ``ftol`` is no success; all
    others are those of `steepest.minimize`. Without `jac` differences are central. Constraints are refused; Hessians
    are not used, with SciPy's warning.

    Raises
    ------
    TypeError, ValueError
        For a method that does not exist; when it is called as `minimize`, and for constraints.

    Examples
    --------
    >>> import steepest as sd
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> result = minimize(rosen, [-1.2, 1.0], method=sd.scipy_method("lbfgs"), jac=rosen_der, tol=1e-8)
    >>> result.success, result.x.round(8).tolist()
    (True, [1.0, 1.0])
    >>> minimize(rosen, [-1.2, 1.0], method=sd.scipy_method("lbfgs"), bounds=[(None, 0.5), (0, 1)]).x.round(4).tolist()
    [0.5, 0.25]
    """

    def __init__(self, method="lbfgs", **options):
        if not isinstance(method, str) or method not in METHODS + RULES:
            raise ValueError(f"method must be one of {', '.join(map(repr, METHODS + RULES))}, not {method!r}")
        self.method, self.options = method, options

    def __repr__(self):
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"scipy_method({self.method!r}{options})"

    def __call__(self, fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(), callback=None,
                 **options):
        """What SciPy calls."""
        if np.size(constraints):
            raise ValueError(f"{self!r} cannot keep constraints")
        for name, given in (("hess", hess), ("hessp", hessp)):
            if given is not None:
                warnings.warn(f"{self!r} does not use Hessian information ({name})", RuntimeWarning, stacklevel=3)
        options = self.options | _translated(options)
        disp, return_all = options.pop("disp", False), options.pop("return_all", False)
        if return_all:
            options.setdefault("history", "x")
        result = minimize(fun, x0, grad=jac, method=self.method, bounds=_pair(bounds), callback=_callback(callback),
                          args=args, **options)
        if return_all:
            result.allvecs = list(result.history.x)
        if disp:
            print(f"{result.message}\n f = {result.fun}, {result.nit} iterations, {result.nfev} evaluations of f, "
                  f"{result.njev} of its gradient")
        return result


def _translated(options):
    """Options under our names; what SciPy has a name for goes before `tol`, as there."""
    found = {name: value for name, value in options.items() if name not in NAMES}
    return found | {NAMES[name]: value for name, value in options.items() if NAMES.get(name) and value is not None}


def _pair(bounds):
    """SciPy's bounds as a pair: a `Bounds`, or a sequence of one (low, high) for each variable."""
    if bounds is None or hasattr(bounds, "lb"):
        return bounds
    try:
        sides = [(-np.inf if low is None else low, np.inf if high is None else high) for low, high in bounds]
    except (TypeError, ValueError):
        raise TypeError(f"bounds must be a scipy.optimize.Bounds or pairs (low, high), not {bounds!r}") from None
    return tuple(np.array(side, float) for side in zip(*sides, strict=True)) if sides else None


def _callback(callback):
    """SciPy's callback as ours: by name it takes the intermediate result, else x."""
    if callback is None or not callable(callback):
        return callback
    try:
        names = set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):
        names = set()
    if names == {"intermediate_result"}:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(result.x)
