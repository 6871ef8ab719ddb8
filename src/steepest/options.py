"""Every argument is checked here, once, before anything is called or changed.

Here so that all entry points refuse the same things with the same words. Tested in tests/test_options.py and
tests/faults/.
"""

import copy
import math
import operator

import numpy as np

from .progress import Bar
from .reference.callback import working_type
from .reference.difference import BACKWARD, CENTRAL, COMPLEX, FORWARD, refuse_nonfinite, step_factor
from .workers import check_workers, crew_of

METHODS = {
    "central": CENTRAL,
    "3-point": CENTRAL,
    "forward": FORWARD,
    "2-point": FORWARD,
    "backward": BACKWARD,
    "complex": COMPLEX,
    "cs": COMPLEX,
}
ORDERS = {CENTRAL: (2, 4, 6, 8), FORWARD: (1, 2, 3, 4), BACKWARD: (1, 2, 3, 4), COMPLEX: (None,)}
# Methods that choose their steps while they differentiate, and what the differences are meanwhile.
CHOOSING = {"adaptive": CENTRAL, "switch": FORWARD}


# What a sparse Jacobian can come as.
FORMATS = ("csr", "csc", "coo", "dense")


class Sparsity:
    """The pattern of a sparse Jacobian, as it was given until its colours are known, and what is to be done with it."""

    __slots__ = ("format", "pattern", "verified", "verify")

    def __init__(self, pattern, format, verify):
        self.pattern, self.format, self.verify, self.verified = pattern, format, verify, False


def check_sparsity(sparsity, format, verify):
    """Check the options of a sparse Jacobian but for the pattern itself, which has to wait for x; None without one."""
    if format is not None and (not isinstance(format, str) or format not in FORMATS):
        raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, not {format!r}")
    if not isinstance(verify, (bool, np.bool_)):
        raise TypeError(f"verify must be True or False, not {verify!r}")
    if sparsity is not None:
        return Sparsity(sparsity, format or "csr", bool(verify))
    if format not in (None, "dense"):
        raise ValueError(f"format={format!r} can be given with sparsity only")
    return None


class Settings:
    """The checked options of a derivative that do not depend on x.

    `crew` evaluates f where `workers` are given, and `bar` shows how far it is; runs that serve one call, or one
    prepared object, have them in common.
    """

    __slots__ = (
        "args",
        "bar",
        "bounds",
        "by_default",
        "choosing",
        "crew",
        "kwargs",
        "memory",
        "method",
        "n",
        "noise",
        "order",
        "rel_step",
        "rtol",
        "sparsity",
        "step",
        "vectorized",
        "workers",
        "x_scale",
    )

    def __init__(self, method, order, n, step, rel_step, x_scale, bounds, args, kwargs, vectorized, workers=None,
                 crew=None, bar=None, choosing=None, rtol=None, noise=None, sparsity=None, memory=None):
        self.method, self.order, self.n = method, order, n
        self.step, self.rel_step, self.x_scale, self.bounds = step, rel_step, x_scale, bounds
        self.args, self.kwargs, self.vectorized = args, kwargs, vectorized
        self.workers, self.crew, self.bar = workers, crew, bar
        self.choosing, self.rtol, self.noise, self.sparsity = choosing, rtol, noise, sparsity
        self.memory = memory
        self.by_default = step is None and rel_step is None and x_scale is None

    def but(self, **changes):
        """The same options with some of them changed."""
        other = copy.copy(self)
        for name, value in changes.items():
            setattr(other, name, value)
        other.by_default = other.step is None and other.rel_step is None and other.x_scale is None
        return other


def check_options(method, order, step, rel_step, x_scale, bounds, noise, args, kwargs, vectorized, workers,
                  sparsity=None, n=1, progress=False, rtol=None):
    """Check the options common to all derivatives; steps and bounds are checked against x later."""
    choosing = method if isinstance(method, str) and method in CHOOSING else None
    code = CHOOSING.get(method, METHODS.get(method)) if isinstance(method, str) else None
    if code is None:
        names = ", ".join(map(repr, (*METHODS, *CHOOSING)))
        raise ValueError(f"method must be one of {names}, not {method!r}")
    noise, rtol = _noise_level(noise), _tolerance(rtol, choosing)
    if order is None:
        order = {CENTRAL: 2, FORWARD: 1, BACKWARD: 1, COMPLEX: 1}[code]
    else:
        order = as_integer(order, "order")
        if choosing == "adaptive" and order != 2:
            raise ValueError("order cannot be given with method='adaptive', which raises it as far as it helps")
        # central is the default method, and order its parameter: one-sided methods take the default order, 2, too
        if order not in ORDERS[code]:
            raise ValueError(
                f"order must be one of {', '.join(map(str, ORDERS[code]))} for method={method!r}, not {order}"
            )
    n = as_integer(n, "n")
    if not 1 <= n <= 4:
        raise ValueError(f"n must be from 1 to 4, not {n}")
    if n > 1 and choosing == "switch":
        raise ValueError(f"n must be 1 for method={method!r}, not {n}")
    if noise is not None and code == COMPLEX:
        raise ValueError(f"noise cannot be given with method={method!r}, whose step is too short to rise above any")
    if n > 1 and code == COMPLEX:
        raise ValueError(f"n must be 1 for method={method!r}, not {n}: the complex step gives first derivatives")
    if step is not None and rel_step is not None:
        raise ValueError("step and rel_step cannot both be given: one is absolute, the other relative to |x|")
    if isinstance(x_scale, str) and x_scale != "auto":
        raise ValueError(f"x_scale must be a positive number, an array or 'auto', not {x_scale!r}")
    args, kwargs = check_arguments(args, kwargs)
    if not isinstance(vectorized, (bool, np.bool_)):
        raise TypeError(f"vectorized must be True or False, not {vectorized!r}")
    if not isinstance(progress, (bool, np.bool_)):
        raise TypeError(f"progress must be True or False, not {progress!r}")
    workers = check_workers(workers)
    step, rel_step, x_scale = (_snapshot(value) for value in (step, rel_step, x_scale))
    return Settings(
        code, order, n, step, rel_step, x_scale, _pair(bounds), args, kwargs, bool(vectorized), workers,
        crew_of(workers), Bar() if progress else None, choosing, rtol, noise, sparsity,
    )


def _noise_level(noise):
    """The absolute noise of f as a float, "auto" or None."""
    if noise is None or (isinstance(noise, str) and noise == "auto"):
        return noise
    if isinstance(noise, str):
        raise ValueError(f"noise must be a positive number, 'auto' or None, not {noise!r}")
    return as_number(noise, "noise", above=0)


def _tolerance(rtol, choosing):
    """The relative error at which an adaptive difference stops early."""
    if rtol is None:
        return None
    if choosing != "adaptive":
        raise ValueError("rtol can be given with method='adaptive' only")
    return as_number(rtol, "rtol", above=0)


def check_arguments(args, kwargs):
    """What f takes after x: a tuple and a dict of its own."""
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError(f"kwargs must be a dict, not {type(kwargs).__name__}")
    for key in kwargs or ():
        if not isinstance(key, str):
            raise TypeError(f"kwargs must have names as keys, but has {key!r}")
    return args if isinstance(args, tuple) else (args,), dict(kwargs or {})


def _snapshot(value):
    """A copy that later changes to the caller's array do not reach."""
    return value if value is None or isinstance(value, (int, float, str)) else np.array(value)


def _pair(bounds):
    """Bounds as a pair of copies, or None."""
    if bounds is None:
        return None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        bounds = bounds.lb, bounds.ub
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise TypeError(f"bounds must be a pair (lb, ub) or a scipy.optimize.Bounds, not {bounds!r}") from None
    return _snapshot(-np.inf if lower is None else lower), _snapshot(np.inf if upper is None else upper)


def as_integer(value, name):
    """Return an int; an error that names the argument where it is none."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None


def as_count(value, name, at_least=1):
    """Return an int from a limit up to what an array of integers can hold; an error that names the argument."""
    number = as_integer(value, name)
    if isinstance(value, bool) or not at_least <= number < 2**63:
        raise ValueError(f"{name} must be an integer from {at_least} to 2**63 - 1, not {value!r}")
    return number


def as_number(value, name, above=None, at_least=None, below=math.inf):
    """Return a finite float inside its limits; an error that names the argument where it is none."""
    number = as_float(value, name)
    if not ((above is None or number > above) and (at_least is None or number >= at_least) and number < below):
        limit = f"above {above:g}" if at_least is None else f"at least {at_least:g}"
        raise ValueError(f"{name} must be {limit} and below {below:g}, not {number}")
    return number


def as_float(value, name):
    """Return a float, which may be infinite or NaN; an error that names the argument where it is none."""
    if isinstance(value, (str, bytes, np.complexfloating)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float can hold") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {value!r}") from None


def check_function(f, name="f"):
    """Raise TypeError where `f` cannot be called."""
    if not callable(f):
        raise TypeError(f"{name} must be callable, not {type(f).__name__}")


def as_point(x, name="x"):
    """Copy x, once, to a C-contiguous, aligned, native array of a floating or complex type; entries are finite.

    float32, float64, longdouble and their complex types are kept; float16 becomes float32; integers, booleans and
    objects that are numbers become float64.
    """
    if x is None or isinstance(x, (str, bytes, bytearray, dict, set, frozenset)):
        raise TypeError(f"{name} must be a number or an array of numbers, not {type(x).__name__}")
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise TypeError(f"{name} must not be a masked array with masked entries")
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be a number or an array of numbers: {error}") from None
    kind = array.dtype.kind
    if kind == "O":
        array = _numbers_of(array, name)
    elif kind not in "biufc":
        raise TypeError(f"{name} must be numeric, not of dtype {array.dtype}")
    kind = array.dtype.kind
    if kind in "biu":
        dtype: np.dtype = np.dtype(np.float64)
    elif array.dtype.char == "e":
        dtype = np.dtype(np.float32)
    else:
        dtype = np.dtype(array.dtype.type)  # native byte order, no metadata
    array = np.array(array, dtype=dtype, order="C")  # a copy: f may reach the caller's
    refuse_nonfinite(array, name)
    return array


def _numbers_of(array, name):
    if array.ndim == 0 and not hasattr(array.item(), "__float__"):
        raise TypeError(f"{name} must be a number or an array of numbers, not {type(array.item()).__name__}")
    items = array.ravel().tolist()
    numbers = np.empty(len(items))
    for i, item in enumerate(items):
        try:
            if isinstance(item, (str, bytes, np.complexfloating)):
                raise TypeError("not a real number")
            numbers[i] = float(item)
        except (TypeError, ValueError) as error:
            index = ", ".join(str(int(k)) for k in np.unravel_index(i, array.shape))
            raise TypeError(f"{name}[{index}] is {item!r}, which is not a real number") from error
    return numbers.reshape(array.shape)


def as_like(value, shape, dtype, name):
    """Convert an argument that goes with x, one number or one for each entry, to a flat array of the working type."""
    if value is None or isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number or an array, not {value!r}")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be a real number or an array of them, not {value!r}")
    if array.ndim and array.shape != shape:
        try:
            array = np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(
                f"{name} must be a number or have the shape of x, {shape}, but has shape {array.shape}"
            ) from None
    return np.ascontiguousarray(array, dtype=working_type(dtype)).reshape(-1)


def as_positive(value, shape, dtype, name):
    """The same for numbers that must be positive and finite."""
    array = as_like(value, shape, dtype, name)
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if bad.size:
        where = f"{name}[{bad[0]}]" if array.size > 1 else name
        raise ValueError(f"{name} must be positive and finite, but {where} is {array[bad[0]]}")
    return array


def step_rule(settings, shape, dtype, eps, factor=None):
    """Return ``(factor, rule)``: the step is max(floor, relative * |x|), and fallback where that is 0.

    The default follows Dennis and Schnabel [1983, Numerical Methods for Unconstrained Optimization, A5.6]: a factor
    that depends on the precision alone, times max(|x|, typical size of x).
    """
    if factor is None:
        factor = step_factor(eps, settings.method, settings.order, settings.n)
    if settings.by_default:
        return factor, None
    real = working_type(dtype)
    zero = np.zeros(1, real)
    if settings.step is not None:
        step = as_positive(settings.step, shape, dtype, "step")
        return factor, (step, zero, step)
    scale = np.ones(1, real) if settings.x_scale is None else as_positive(settings.x_scale, shape, dtype, "x_scale")
    default = real.type(factor) * scale
    if settings.rel_step is not None:
        return factor, (zero, as_positive(settings.rel_step, shape, dtype, "rel_step"), default)
    return factor, (default, np.full(1, factor, real), default)


def check_bounds(bounds, shape, dtype):
    """Return lower and upper bounds, flat and of the working type, or (None, None)."""
    if bounds is None:
        return None, None
    if dtype.kind == "c":
        raise ValueError("bounds cannot be given for a complex x")
    lower = _bound(bounds[0], shape, dtype, "lb in bounds")
    upper = _bound(bounds[1], shape, dtype, "ub in bounds")
    crossed = np.flatnonzero(lower > upper)
    if crossed.size:
        i = crossed[0]
        raise ValueError(f"bounds must have lb <= ub, but lb[{i}] is {lower[i]} and ub[{i}] is {upper[i]}")
    return lower, upper


def _bound(value, shape, dtype, name):
    array = as_like(value, shape, dtype, name)
    if np.isnan(array).any():
        raise ValueError(f"{name} must not be NaN")
    if array.size == 1:
        array = np.full(int(np.prod(shape)), array[0])
    with np.errstate(over="ignore"):
        return array.astype(dtype).astype(array.dtype)  # f sees x in its own type


def check_out(out, shape, dtype):
    """Refuse an `out` that the result cannot be written to, before f is called."""
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, not {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, but has {out.shape}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"out must have dtype {dtype} in native byte order, not {out.dtype!r}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable")
    if any(stride == 0 and extent > 1 for stride, extent in zip(out.strides, out.shape, strict=True)) or (
        out.size > 1 and not out.flags.c_contiguous and overlaps_itself(out)
    ):
        raise ValueError("out must not overlap itself")


def overlaps_itself(array):
    """Whether two entries may share memory: strides sorted by size must each step over what lies inside."""
    inner = array.itemsize
    for stride, extent in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < inner:
            return True
        inner = stride * (extent - 1) + inner
    return False
