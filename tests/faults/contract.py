"""The contract table: every public entry point on one line, and what the tests of the fault catalogue loop over.

Here so that a function that is added joins all of them with one line in `ENTRIES`. That the table is complete,
every undisturbed run is right and every row of the catalogue has a test or a reason is tested in test_catalogue.py.
"""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import steepest as sd
from steepest.options import as_point

# The point at which everything is differentiated, unless a test needs another.
X = np.array([0.5, -1.25, 2.0])

PREPARED = frozenset({"method", "order", "step", "rel_step", "x_scale", "bounds", "args", "kwargs", "noise", "rtol",
                      "workers", "progress"})
CALLED = PREPARED | {"out"}
FULL = CALLED | {"f0", "full_output"}
LEVEL = frozenset({"bounds", "args", "kwargs", "workers", "progress"})
DESCENT = PREPARED - {"bounds"}


# Well-behaved functions, one for each kind of f. They take real and complex x, and what else they are given.

def cube(t, *args, **kwargs):
    """A function of one number, or elementwise of many."""
    return t * t * t


def bowl(x, *args, **kwargs):
    """A scalar function of an array."""
    return (x * x).sum() + x.prod()


def bowls(x, *args, **kwargs):
    """The same of many points at once."""
    return (x * x).sum(axis=1) + x.prod(axis=1)


def slopes(x, *args, **kwargs):
    """The gradient of `bowl`."""
    flat = x.reshape(-1)
    return 2 * x + np.array([np.delete(flat, i).prod() for i in range(flat.size)]).reshape(x.shape)


def bends(x, *args, **kwargs):
    """The Hessian of `bowl` at three numbers."""
    a, b, c = x
    return np.array([[2.0, c, b], [c, 2.0, a], [b, a, 2.0]])


def many_slopes(x, *args, **kwargs):
    """`slopes` of many points at once."""
    return np.stack([slopes(point) for point in x])


def curves(x, *args, **kwargs):
    """A vector function of a vector."""
    return np.array([(x * x).sum(), x.prod(), x[0] * x[-1], x.sum()])


def many_curves(x, *args, **kwargs):
    """The same of many points at once."""
    return np.stack([(x * x).sum(axis=1), x.prod(axis=1), x[:, 0] * x[:, -1], x.sum(axis=1)], axis=1)


def slopes_of_curves(x):
    """The Jacobian of `curves` at three numbers."""
    a, b, c = x
    return np.array([[2 * a, 2 * b, 2 * c], [b * c, a * c, a * b], [c, 0.0, a], [1.0, 1.0, 1.0]])


@dataclass(frozen=True)
class Kind:
    """What an f takes and gives."""

    f: Callable
    answer: Callable        # the derivative that an entry point should find
    sees_array: bool = True
    batch: bool = False
    label: str = "f"        # what it is called in messages
    shape: tuple = ()       # of one result


KINDS = {
    "number": Kind(cube, lambda x: 3 * x**2, sees_array=False),
    "numbers": Kind(cube, lambda x: 3 * x**2, batch=True),
    "scalar": Kind(bowl, slopes),
    "batch": Kind(bowls, slopes, batch=True),
    "vector": Kind(curves, slopes_of_curves, shape=(4,)),
    "vectors": Kind(many_curves, slopes_of_curves, batch=True, shape=(4,)),
    "noisy": Kind(bowl, lambda x: 0.0),
    "field": Kind(slopes, None, label="grad", shape=(3,)),
    "surface": Kind(bowl, bends),
    "surfaces": Kind(bowls, bends, batch=True),
    "slope": Kind(slopes, bends, label="grad", shape=(3,)),
    "slopes": Kind(many_slopes, bends, batch=True, label="grad", shape=(3,)),
}


@dataclass(frozen=True)
class Entry:
    """One public entry point, called as ``call(f, x, **options)``."""

    name: str
    kind_name: str
    call: Callable = field(repr=False)
    takes: frozenset = FULL                 # the options it has
    pick: Callable = lambda result: result      # the derivative in what it gives
    answer: Callable = lambda derivative: derivative  # what the derivative of its kind turns into
    one_point: bool = True                  # f is called near x only
    here: bool = True                       # f is called by the thread that calls the entry point
    judges: bool = False                    # it gives a verdict on a derivative, by values of f in float64
    chooses: bool = True                    # it has the methods that choose their steps while they difference
    room: float = 0.0                       # how wide a box must be that leaves more than rounding to difference
    dense: bool = True                      # f may give any number of results
    searched: bool = True                   # ways that look for their steps are tried; one sparse entry stands for all

    @property
    def kind(self):
        return KINDS[self.kind_name]

    @property
    def f(self):
        return self.kind.f

    def has(self, options):
        """Whether it has these options, and room for what it does inside their bounds."""
        if not self.chooses and options.get("method") in ("adaptive", "switch"):
            return False
        return self.takes >= set(options) and (
            "bounds" not in options or (options["bounds"][1] - options["bounds"][0]).min() > self.room)

    @property
    def prepared(self):
        """Made at `x0` (by default x) before it is called at x."""
        return self.name[0].isupper()

    def __str__(self):
        return self.name.replace(" ", "-")


# A worker in this process: f is called as often, and in the same order, as without.
THREAD = concurrent.futures.ThreadPoolExecutor(1)


def _along(f, x, **options):
    return sd.jvp(f, x, np.ones(getattr(x, "shape", 3)), **options)


def _by_grad(f, x, **options):
    return sd.hessian(None, x, grad=f, **options)


def _times(f, x, **options):
    return sd.hvp(f, x, np.ones(getattr(x, "shape", 3)), **options)


def _times_by_grad(f, x, **options):
    return sd.hvp(None, x, np.ones(getattr(x, "shape", 3)), grad=f, **options)


def _prepared(f, x, out=None, x0=None, **options):
    return sd.Gradient(f, x if x0 is None else x0, **options)(x, out)


def _prepared_value(f, x, out=None, x0=None, **options):
    return sd.Gradient(f, x if x0 is None else x0, **options).value_and_gradient(x, out)


def _prepared_jacobian(f, x, out=None, x0=None, **options):
    return sd.Jacobian(f, x if x0 is None else x0, **options)(x, out)


def _descent(f, x, args=(), kwargs=None, **options):
    return sd.gradient_descent(f, x, lr=0.01, steps=2, args=args, kwargs=kwargs, **options)


def _descent_by(grad, x, **options):
    return sd.gradient_descent(None, x, lr=0.01, steps=2, grad=grad, **options)


def _walked(walk, tol, f, x, **options):
    return walk(f, x, tol=tol, maxiter=5, **options)


def _walked_by(grad, x, **options):
    return sd.minimize(bowl, x, tol=2.0, grad=grad, method="adam", lr=0.5, maxiter=5, **options)


def _many(f, x, **options):
    """One of many walks: a batch has one dimension more than x."""
    return sd.minimize_many(f, as_point(x)[None], tol=2.0, maxiter=5, **options)


def _checked(f, x, **options):
    return sd.check_gradient(f, slopes, x, **options)


def _checked_jacobian(f, x, **options):
    def jac(x, *args, **kwargs):
        first, last = np.eye(len(x))[[0, -1]]
        return np.array([2 * x, x.prod() / x, first * x[-1] + last * x[0], np.ones_like(x)])

    return sd.check_jacobian(f, jac, x, **options)


def _everywhere(x):
    """A pattern for four results: full, for the tests ask for every component; x is looked at, and not converted."""
    flat = isinstance(x, (np.ndarray, float)) or (isinstance(x, list) and all(np.isscalar(entry) for entry in x))
    return np.ones((4, np.size(x) if flat else X.size), bool)


def _sparse(f, x, **options):
    return sd.jacobian(f, x, sparsity=_everywhere(x), format="dense", **options)


def _prepared_sparse(f, x, out=None, x0=None, **options):
    x0 = x if x0 is None else x0
    return sd.Jacobian(f, x0, sparsity=_everywhere(x0), format="dense", **options)(x, out)


def _checked_hessian(f, x, **options):
    return sd.check_hessian(None, bends, x, grad=f, **options)


_second = {"pick": lambda result: result[1]}
_summed = {"answer": lambda jacobian: jacobian.sum(axis=1)}
_check = {"takes": frozenset({"x_scale", "bounds", "args", "kwargs", "workers"}), "judges": True}
_bent = {"takes": FULL - {"order", "f0"}, "room": 1e-5, "chooses": False}
_walk = {"takes": DESCENT, "one_point": False, "pick": lambda result: result.x}
_other = _walk | {"takes": DESCENT - {"method"}}      # `method` is that of the walk

ENTRIES = [
    Entry("derivative", "number", sd.derivative, FULL - {"f0"}),
    Entry("derivative vectorized", "numbers", functools.partial(sd.derivative, vectorized=True), FULL - {"f0"}),
    Entry("gradient", "scalar", sd.gradient),
    Entry("gradient vectorized", "batch", functools.partial(sd.gradient, vectorized=True)),
    Entry("value_and_gradient", "scalar", sd.value_and_gradient, **_second),
    Entry("jacobian", "vector", sd.jacobian),
    Entry("jacobian vectorized", "vectors", functools.partial(sd.jacobian, vectorized=True)),
    Entry("jacobian sparse", "vector", _sparse, dense=False),
    Entry("jacobian sparse vectorized", "vectors", functools.partial(_sparse, vectorized=True), dense=False,
          searched=False),
    Entry("jvp", "vector", _along, **_summed),
    Entry("jvp vectorized", "vectors", functools.partial(_along, vectorized=True), **_summed),
    Entry("hessian", "surface", sd.hessian, **_bent),
    Entry("hessian vectorized", "surfaces", functools.partial(sd.hessian, vectorized=True), **_bent),
    Entry("hessian grad", "slope", _by_grad, **(_bent | {"room": 0})),
    Entry("hessian sparse", "surface", functools.partial(sd.hessian, sparsity=(99, 99), format="dense"), dense=False,
          searched=False, **_bent),
    Entry("hessian sparse grad", "slope", functools.partial(_by_grad, sparsity=(99, 99), format="dense"),
          dense=False, searched=False, **(_bent | {"room": 0})),
    Entry("hvp", "surface", _times, **(_bent | _summed)),
    Entry("hvp grad vectorized", "slopes", functools.partial(_times_by_grad, vectorized=True),
          **(_bent | _summed | {"room": 0})),
    Entry("Gradient", "scalar", _prepared, CALLED),
    Entry("Gradient vectorized", "batch", functools.partial(_prepared, vectorized=True), CALLED),
    Entry("Gradient.value_and_gradient", "scalar", _prepared_value, CALLED, **_second),
    Entry("Jacobian", "vector", _prepared_jacobian, CALLED),
    Entry("Jacobian sparse", "vector", _prepared_sparse, CALLED, dense=False, searched=False),
    Entry("gradient by a thread", "scalar", functools.partial(sd.gradient, workers=THREAD), here=False),
    Entry("jacobian by map", "vector", functools.partial(sd.jacobian, workers=map)),
    Entry("noise_level", "noisy", sd.noise_level, LEVEL),
    Entry("check_gradient", "scalar", _checked, pick=lambda found: found.table["estimate"], **_check),
    Entry("check_jacobian", "vector", _checked_jacobian, pick=lambda found: found.table["estimate"].reshape(4, -1),
          **_check),
    Entry("check_hessian", "slope", _checked_hessian, pick=lambda found: found.table["estimate"].reshape(3, -1),
          **_check),
    Entry("gradient_descent", "scalar", _descent, **_walk),
    Entry("minimize", "scalar", functools.partial(_walked, sd.minimize, 2.0), **_other),
    Entry("minimize grad", "field", _walked_by, **(_walk | {"takes": frozenset({"args", "kwargs"})})),
    Entry("maximize", "scalar", functools.partial(_walked, sd.maximize, 1e9), **_other),     # it has no top
    Entry("minimize_many", "scalar", _many, **(_other | {"takes": DESCENT - {"method", "workers", "progress"},
                                                         "pick": lambda result: result.x[0]})),
    Entry("gradient_descent grad", "field", _descent_by, **(_walk | {"takes": frozenset({"args", "kwargs"})})),
]

# The ways to difference; each entry point runs through those whose options it has.
OPTIONS = [
    {},
    {"order": 4},
    {"order": 8},
    {"method": "forward"},
    {"method": "backward", "order": 3},
    {"method": "complex"},
    {"step": 1e-3},
    {"rel_step": 1e-4, "args": (1.0,), "kwargs": {"key": 2.0}},
    {"bounds": (X, X + 1.0)},
    {"bounds": (X - 1e-7, X + 1e-7), "method": "forward"},
    {"full_output": True},
    {"full_output": True, "method": "complex"},
    {"noise": 1e-9},
    {"noise": "auto", "method": "forward", "full_output": True},
    {"x_scale": "auto"},
    {"method": "switch"},
    {"method": "adaptive"},
    {"full_output": True, "method": "adaptive", "rtol": 1e-6},
]


def entries(*options, arrays=False, one_point=False, kinds=None, here=False, dense=False):
    """The entry points that have some options, or whose f sees arrays, is called near x only or here, or of a kind."""
    return [
        entry for entry in ENTRIES
        if entry.takes >= set(options)
        and (entry.kind.sees_array or not arrays)
        and (entry.one_point or not one_point)
        and (entry.here or not here)
        and (entry.dense or not dense)
        and (kinds is None or (entry.kind_name in kinds and not entry.judges))
    ]


def cases(**selection):
    """All pairs of an entry point and a way to difference that it has."""
    return [(entry, options) for entry in entries(**selection) for options in OPTIONS
            if entry.has(options) and (entry.searched or not searching(options))]


def searching(options):
    """Whether a way to difference looks for its steps."""
    return (options.get("method") in ("adaptive", "switch") or options.get("x_scale") == "auto"
            or options.get("noise") is not None)


def name_of(value):
    """The id of a parameter in the name of a test."""
    if isinstance(value, dict):
        return "-".join(f"{key}={'...' if np.ndim(item) else item}" for key, item in value.items()) or "default"
    return str(value)


def arrays_of(result):
    """All numbers in what an entry point gives."""
    if isinstance(result, tuple):
        return [array for part in result for array in arrays_of(part)]
    if isinstance(result, sd.Derivative):
        return arrays_of((result.value, result.error, result.step, result.status))
    if isinstance(result, sd.GradientCheck):
        return [result.table[name] for name in ("given", "estimate", "error", "ratio")]
    if hasattr(result, "jac"):
        return arrays_of((result.x, result.fun, result.jac))
    return [np.asarray(result)]


def bits(result):
    """Type, shape and bytes of all numbers in a result; bytes that are padding of a longdouble left out."""
    return [(array.dtype, array.shape, _plain(array)) for array in arrays_of(result)]


def _plain(array):
    array = np.ascontiguousarray(array)
    if array.dtype.char in "gG" and array.dtype.itemsize > 8:
        raw = np.atleast_1d(array).view(np.longdouble).reshape(-1, 1).view(np.uint8)
        return raw[:, :10].tobytes() if np.finfo(np.longdouble).nmant == 63 else raw.tobytes()
    return array.tobytes()


def right(entry, x=X, f=None, **options):
    """The bits of a run that nothing disturbs."""
    return bits(entry.call(entry.f if f is None else f, np.array(x), **options))


def out_for(entry, x=X, f=None, **options):
    """An `out` for an entry point, filled with what must not change when it fails."""
    given = entry.pick(entry.call(entry.f if f is None else f, np.array(x), **options))
    return np.full_like(np.asarray(given.value if isinstance(given, sd.Derivative) else given), -7.75)


def attempt(call, *args, **kwargs):
    """What a call gives and None, or None and what it raises."""
    try:
        return call(*args, **kwargs), None
    except BaseException as error:
        return None, error


@contextlib.contextmanager
def case(*names):
    """Name on every failure inside which of several cases it was."""
    try:
        yield
    except BaseException as error:
        error.add_note("case: " + ", ".join(map(name_of, names)))
        raise


@contextlib.contextmanager
def untouched(*arrays):
    """Whatever happens inside, the bytes of some arrays are the same afterwards."""
    arrays = [array for array in arrays if isinstance(array, np.ndarray)]
    before = [array.tobytes() for array in arrays]
    try:
        yield
    finally:
        assert [array.tobytes() for array in arrays] == before


def on_call(k, f, act):
    """F, with ``act(x, right result)`` in place of its result in call `k` (in every call when None); `calls` counts."""

    def hostile(x, *args, **kwargs):
        hostile.calls += 1
        result = f(x, *args, **kwargs)
        return act(x, result) if k is None or hostile.calls == k else result

    hostile.calls = 0
    return hostile


def counted(f):
    """F, counting its `calls`."""
    return on_call(0, f, None)


def calls_of(entry, x=X, **options):
    """How often an undisturbed run calls f."""
    f = counted(entry.f)
    entry.call(f, np.array(x), **options)
    return f.calls


def raising(k, f, error):
    """F, raising `error` in call `k`."""

    def act(x, result):
        raise error

    return on_call(k, f, act)


def message_of(error):
    """The text of an exception, notes included."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def in_a_process(program, timeout=60, **environment):
    """Run a program that may crash, and require that it does not; it can import this file as tests.faults.contract."""
    path = os.pathsep.join([str(pathlib.Path(__file__).parents[2]), *filter(None, sys.path)])
    run = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True,
                         timeout=timeout, env=os.environ | {"PYTHONPATH": path} | environment)
    assert run.returncode == 0, f"exit status {run.returncode}: {run.stderr[-2000:]}"
    return run.stdout
