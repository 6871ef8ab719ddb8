"""Every kernel against its reference: the largest difference in units in the last place, and how much faster it is.

Here because the reference is what the kernels are held to. Run by ci/compare and ci/test; arguments choose kernels by a
part of their name; exits with 1 on a difference that is not granted, or when a kernel has no line in KERNELS.

A kernel is compared by a function `prepare(side, **case)`, which makes everything ready on one side and gives
``(call, read)``: `call` is timed, and what it returns or raises and what `read` finds afterwards must be equal.
"""

import argparse
import functools
import importlib
import itertools
import sys
import tempfile
import time
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import compare_descent
import compare_fused
import compare_grid
import compare_layers
import numpy as np

import steepest as sd
from steepest import backends, threads
from steepest.kernels.callback import Compiled
from steepest.reference import update
from steepest.reference.callback import GOOD, GROUPS, LINE, WAYS, working_type
from steepest.reference.difference import BACKWARD, CENTRAL, COMPLEX, FORWARD, RESOLUTION, step_factor

REAL, ALL = "fdg", "fdgFDG"
FIRST = [(CENTRAL, order, 1) for order in (2, 4, 6, 8)]
FIRST += [(method, order, 1) for method in (FORWARD, BACKWARD) for order in (1, 2, 3, 4)]
HIGHER = [(CENTRAL, order, n) for order in (2, 4, 8) for n in (2, 3, 4)]
HIGHER += [(FORWARD, 1, 2), (BACKWARD, 2, 3), (FORWARD, 2, 4)]
SCHEMES = [*FIRST, *HIGHER, (COMPLEX, 1, 1)]
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
FOLDER = tempfile.TemporaryDirectory()      # of the library of C functions
REPEATS, LONG = 3, 1e-3     # a call is timed so often, but a long one (in seconds) once


def side(name):
    """The modules of one side: "kernels" or "reference"."""
    modules = {module: importlib.import_module(f"steepest.{name}.{module}")
               for module in ("callback", "native", "difference", "ladder", "coloring", "compressed", "update",
                              "stencil", "weighted", "fused", "descent", "searches", "sampler", "layers")}
    return SimpleNamespace(name=name, **modules)


def grid(**axes):
    """Every combination of the entries of the axes, but for the complex step, which takes a real x."""
    cases = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return [case for case in cases if case.get("scheme", (None,))[0] != COMPLEX or case["dtype"] in REAL]


# points, bounds, rules for the steps

def point(shape, dtype, kind="plain"):
    """An x: of plain numbers, or of the numbers that are hard on a step."""
    count, dtype = int(np.prod(shape)), np.dtype(dtype)
    if kind == "plain":
        x = np.random.default_rng(count).normal(scale=3, size=count)
    else:
        info = np.finfo(dtype)
        hard = [0.0, -0.0, 1.0, -2.5, 1e-30, -3e5, 2e37, info.tiny / 4, -info.tiny, info.max, -info.max]
        x = np.resize(np.array(hard, working_type(dtype)), count)
    x = x.astype(dtype)
    return (x + 1j * x[::-1] if dtype.kind == "c" else x).astype(dtype).reshape(shape)


def bounds_of(x, kind):
    """Lower and upper bounds: every kind of room that an entry can have, in turn."""
    if kind is None or x.dtype.kind == "c":
        return None, None
    x, inf = x.reshape(-1), np.full(x.size, np.inf, x.dtype)
    a_little = (abs(x) * 1e-5).astype(x.dtype)
    below, above = np.nextafter(x, -inf), np.nextafter(x, inf)
    rooms = [(-inf, inf), (x, x), (x, inf), (-inf, x), (below, above), (x, above), (below, x), (x - a_little, inf),
             (x - a_little, x + a_little), (x - a_little / 2, x + a_little / 3), (x - 1, x + a_little)]
    turn = np.arange(x.size) % len(rooms)
    lower, upper = (np.choose(turn, [room[end] for room in rooms]).astype(working_type(x.dtype)) for end in (0, 1))
    return lower, None if kind == "lower" else upper


def rule_of(kind, rows, factor, real):
    """Floor, relative and fallback of the steps, as the options give them."""
    one, zero, factor = np.ones(1, real), np.zeros(1, real), real.type(factor)
    scale = np.linspace(0.5, 2, rows).astype(real)
    least = real.type(RESOLUTION * np.finfo(real).eps)
    about_least = np.resize([least, np.nextafter(least, 0 * least), np.nextafter(least, 2 * least)], rows).astype(real)
    return {
        "default": None,
        "step": (1e-3 * one, zero, 1e-3 * one),
        "rel_step": (zero, 1e-4 * one, factor * one),
        "x_scale": (factor * scale, np.full(1, factor, real), factor * scale),
        "least": (np.zeros(rows, real), about_least, np.full(rows, factor, real)),
    }[kind]


# functions: arithmetic that is rounded the same wherever its numbers lie

def cubic(x):
    return x * x * x - x / (x * x + 2)


def wave(x):
    """A number for an array."""
    y = x.reshape(-1)
    return ((y * y - y[::-1]) * y).sum()


def waves(x):
    """A vector for an array."""
    return np.array([wave(x), x.sum(), (x * x).sum()])


def each(f):
    """Apply f to every point of a batch."""
    return lambda batch: np.stack([f(x) for x in batch])


def stream(shape, imaginary):
    """A function whose results are those that are hard to combine, whatever x is."""
    source, size = np.random.default_rng(5), (997, *shape, 2)
    hard = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1.7e308, -1.7e308, 1.0, 1.0]
    numbers = np.where(source.random(size) < 0.1, source.choice(hard, size), source.normal(size=size))
    results = itertools.cycle(numbers.view(complex)[..., 0] if imaginary else numbers[..., 0])
    return lambda x: next(results)


def raising(x):
    raise ZeroDivisionError("no value here")


RETURNS = {
    "itself": lambda v: v,
    "float": lambda v: float(v.real),
    "complex": complex,
    "float32": lambda v: np.float32(v.real),
    "complex64": np.complex64,
    "longdouble": lambda v: np.longdouble(v.real),
    "int": lambda v: 7,
    "bool": lambda v: True,
    "Fraction": lambda v: Fraction(1, 3),
    "Decimal": lambda v: Decimal("0.1"),
    "0-d array": np.asarray,
    "array of one": lambda v: np.array([v]),
    "array of three": lambda v: np.array([v, v, v]),
    "list": lambda v: [v, v],
    "objects": lambda v: np.array([1, 0.5, Fraction(1, 3)], object),
    "strided": lambda v: np.array([v, v, v, v, v, v])[::2],
    "swapped": lambda v: np.array([v, v, v]).astype(np.array(v).dtype.newbyteorder()),
    "two dimensions": lambda v: np.array([[v, v]]),
    "nan": lambda v: np.nan,
    "text": lambda v: "1.0",
    "nothing": lambda v: None,
    "generator": lambda v: (part for part in [v]),
}


# one function for each kernel: prepare(side, **case) -> (call, read)

def differences_of(side, x, scheme, rule="default", bounds=None, **options):
    """Differences for an x, by one side."""
    method, order, n = scheme
    rows = x.size
    factor = step_factor(float(np.finfo(x.dtype).eps), method, order, n)
    lower, upper = bounds_of(x, bounds)
    return side.difference.Differences(
        rows, x.dtype, method, order, factor, rule=rule_of(rule, rows, factor, working_type(x.dtype)),
        lower=lower, upper=upper, n=n, **options,
    )


def used(differences, table):
    """The points (or values) that the rows use, one after the other; the rest of the table is scratch."""
    count = np.array([2 * differences.reach, differences.one_sided, 0, 1])[differences.kind]
    return table[np.arange(table.shape[1]) < count[:, None]]


def planned(differences):
    """What a plan has decided."""
    names = ("step", "kind", "status", "x", "width", "reach", "one_sided", "has_base")
    return {"points": used(differences, differences.points), **{name: getattr(differences, name) for name in names}}


def plan(side, dtype, scheme, points, shape, rule, bounds):
    x = point(shape, dtype, points)
    differences = differences_of(side, x, scheme, rule, bounds)
    return lambda: differences.plan(x), lambda: planned(differences)


def set_up(side, kind, f, x, scheme, vector=False, elementwise=None, **options):
    """A function and its differences, x taken and planned for."""
    last = () if elementwise is None else (elementwise,)
    function = getattr(side.callback, kind)(f, (), None, x.shape, x.dtype, vector, scheme[0] == COMPLEX, "f", *last)
    if vector:
        function.value_at(x)
    own_base = kind == "ScalarFunction" or bool(elementwise)
    differences = differences_of(side, x, scheme, size=function.size, own_base=own_base, **options)
    function.begin(x)
    differences.plan(x.reshape(-1))
    return function, differences


def evaluated(function, differences):
    """What an evaluation has found."""
    based = differences.has_base or differences.own_base
    return {
        "values": used(differences, differences.values),
        "base": differences.base if based and not differences.own_base else None,
        "nfev": function.nfev, "coarsest": coarsest(function), "finish": function.finish(),
    }


def coarsest(function):
    """The lowest precision of a result, as far as it matters: finer than the steps need is fine enough."""
    return max(function.coarsest, function.eps)


def evaluate(side, dtype, scheme, points, vector, bounds, with_base):
    x = point((3, 4), dtype, points)
    function, differences = set_up(side, "PythonFunction", waves if vector else wave, x, scheme, vector, bounds=bounds,
                                   with_base=with_base)
    return lambda: differences.evaluate(function), lambda: evaluated(function, differences)


def evaluate_block(side, dtype, scheme, vector):
    """The second block, rows in another order."""
    x = point((10,), dtype)
    entries = np.arange(10)[::-1].astype(np.intp)
    function, differences = set_up(side, "PythonFunction", waves if vector else wave, x, scheme, vector, block=4,
                                   entries=entries)
    return (lambda: (differences.evaluate(function, 4, 8), differences.combine(4, 8)),
            lambda: {"result": differences.result, "nfev": function.nfev})


def evaluate_line(side, dtype, scheme, vector, bounds):
    """Along a direction, kept inside bounds."""
    x = point((7,), dtype)
    direction = point((7,), dtype)[::-1].copy()
    f = waves if vector else wave
    function = side.callback.PythonFunction(f, (), None, x.shape, x.dtype, vector, scheme[0] == COMPLEX)
    function.value_at(x)
    t = np.zeros(1, x.dtype)
    differences = differences_of(side, t, scheme, "step", size=function.size, entries=np.full(1, LINE, np.intp))
    function.begin(x)
    lower, upper = bounds_of(x, bounds)
    function.along(direction, lower, upper)
    differences.plan(t)
    return (lambda: (differences.evaluate(function), differences.combine()),
            lambda: {"result": differences.result, **evaluated(function, differences)})


def evaluate_ways(side, dtype, kind, vector, imaginary, shifted, bounds):
    """Along ways that move from none to all entries, kept inside bounds."""
    x, real = point((7,), dtype), working_type(np.dtype(dtype))
    parts = 14 if x.dtype.kind == "c" else 7
    moved = np.random.default_rng(1).permutation(parts).astype(np.intp)
    starts, stops = np.array([0, 2, 0, 3, 5]), np.array([2, 3, parts, 3, 7])
    shifts = (np.array([3, -1, 0, 6, 2]), np.linspace(-0.3, 0.4, 5).astype(real)) if shifted else ()
    sizes = np.linspace(-1, 2, parts).astype(real) / 8
    f = waves if vector else wave
    if kind == "NativeFunction":
        function = side.native.NativeFunction(compiled("curves", 5) if vector else compiled("root", 1), (7,), x.dtype,
                                              vector)
    else:
        batch = {"elementwise": False} if kind == "BatchFunction" else {}
        function = getattr(side.callback, kind)(each(f) if batch else f, (), None, x.shape, x.dtype, vector, imaginary,
                                                **batch)
    function.value_at(x)
    differences = differences_of(side, np.zeros(5, dtype), SCHEMES[0], "step", size=function.size,
                                 entries=WAYS - np.arange(5))
    function.begin(x)
    lower, upper = bounds_of(x, bounds)
    function.along_ways(starts, stops, moved, sizes, *shifts, *(() if shifted else (None, None)), lower, upper)
    differences.plan(np.zeros(5, dtype))
    return (lambda: (differences.evaluate(function), differences.combine()),
            lambda: {"result": differences.result, "displaced": function.displaced(WAYS - 2, 0.5),
                     **evaluated(function, differences)})


def python_function(side, dtype, scheme, shape, vector, returns):
    """Everything that f may return, the refusals included."""
    x = point(shape, dtype)

    def f(x, factor, shift):
        return RETURNS[returns](wave(x) * factor + shift)

    function = side.callback.PythonFunction(f, (2,), {"shift": 1}, x.shape, x.dtype, vector, scheme[0] == COMPLEX)

    def call():
        value = function.value_at(x)
        differences = differences_of(side, x, scheme, size=function.size)
        function.begin(x)
        differences.plan(x.reshape(-1))
        code = differences.evaluate(function)
        return value, code, used(differences, differences.values) if code == GOOD else None

    return call, lambda: {"nfev": function.nfev, "size": function.size, "value_type": function.value_type,
                          "coarsest": coarsest(function)}


def scalar_function(side, dtype, scheme, points, bounds):
    x = point((2, 6), dtype, points)
    function, differences = set_up(side, "ScalarFunction", cubic, x, scheme, bounds=bounds)
    return (lambda: (differences.evaluate(function), differences.combine()),
            lambda: {"result": differences.result, **evaluated(function, differences)})


def batch_function(side, dtype, scheme, points, form, bounds):
    x = point((7,), dtype, points)
    vector, elementwise = form == "vector", form == "elementwise"
    f = cubic if elementwise else each(waves if vector else wave)
    function, differences = set_up(side, "BatchFunction", f, x, scheme, vector, elementwise, bounds=bounds)
    return (lambda: (differences.evaluate(function), differences.combine()),
            lambda: {"result": differences.result, **evaluated(function, differences)})


@functools.cache
def library():
    """The C functions that the tests compile."""
    from native_library import build

    return build(FOLDER.name)


def compiled(name, size):
    """One of them."""
    native = library()
    return Compiled(native.address(name), native.signature(name), owner=native, size=size)


def native_function(side, f, scheme, points, bounds, team, kind="array"):
    """A C function, alone or shared by threads."""
    x = point((12,), "d", points)
    if f.startswith("checked"):
        x = np.minimum(x, 9.0)
    vector = "curves" in f
    function = side.native.NativeFunction(compiled(f, 5 if vector else 1), x.shape, x.dtype, vector, kind == "each")
    differences = differences_of(side, x, scheme, size=function.size, own_base=kind == "each", bounds=bounds)
    functions = [function, *function.clones(team - 1)]

    def call():
        function.begin(x)
        differences.plan(x)
        code = differences.evaluate_on(functions, threads.share) if team > 1 else differences.evaluate(function)
        return code, differences.combine() if code == GOOD else None

    return call, lambda: {"result": differences.result, "nfev": function.nfev, "finish": function.finish()}


def combine(side, dtype, scheme, kind, bounds, rows):
    x = point((rows,), dtype)
    vector = kind == "vector"
    kind = "ScalarFunction" if kind == "scalar" else "PythonFunction"
    f = stream((3,) if vector else (), scheme[0] == COMPLEX or x.dtype.kind == "c")
    function, differences = set_up(side, kind, f, x, scheme, vector, bounds=bounds)
    function.eps = 1.0
    differences.evaluate(function)
    return differences.combine, lambda: {"result": differences.result, "status": differences.status}


def gradient(side, dtype, scheme, points, shape, f, bounds, x_and_out="as they should be"):
    x = point(shape, dtype, points)
    out = np.full(x.shape, 7, x.dtype)
    function = side.callback.PythonFunction(f, (), None, x.shape, x.dtype)
    differences = differences_of(side, x, scheme, bounds=bounds, size=function.size)
    x, out = {
        "as they should be": (x, out),
        "strided x": (np.repeat(x[..., None], 2, axis=-1)[..., 0], out),
        "a list": (x.tolist(), out),
        "another type": (x.astype(np.float16), out),
        "another shape": (x, out.reshape(-1, 1)),
        "read-only out": (x, np.broadcast_to(out, out.shape)),
    }[x_and_out]
    return lambda: differences.gradient(function, x, out), lambda: {"out": out, "nfev": function.nfev}


def central_gradient(side, dtype, points, shape, f, out):
    x = point(shape, dtype, points) if dtype in ALL else np.ones(shape, dtype)
    out = np.full(x.shape, 7, x.dtype) if out else None

    def call():
        found = side.difference.central_gradient(f, x, out)
        if not isinstance(found, tuple):
            return found
        code, function, differences = found
        return code, None if function is None else (function.nfev, differences.status)

    return call, lambda: {"out": out}


def is_point(side, x):
    return lambda: side.difference.is_point(x), dict


def ladder(side, dtype, power, n, rows, results):
    """The levels of some ladders, with everything in them that can happen."""
    from levels import levels

    made = side.ladder.Ladder(rows, results, np.dtype(dtype), power, n, 1.5)
    arguments = list(levels(rows, 10, rows, results, working_type(np.dtype(dtype))))

    def call():
        return [made.climb(*level) for level in arguments]

    names = ("tables", "value", "error", "rounding", "step", "noise", "kink", "guessed", "state", "count", "agreed")
    return call, lambda: {name: getattr(made, name) for name in names}


def step(side, dtype, rule, points, count, numbers):
    """One step of a rule, its states as a run could have left them."""
    kept = update.RULES[rule][1]
    x, gradient, *states = (point((count,), dtype, points) * np.dtype(dtype).type(scale)
                            for scale in (1, 0.3, *(0.7, 0.2, 0.9)[:kept]))
    states = [abs(state) for state in states]
    return (lambda: side.update.step(rule, x, gradient, states, numbers),
            lambda: {"x": x, "states": states, "gradient": gradient})


def optimizer(side, dtype, family, clip, averaging, sign):
    """Some steps of a family, from its defaults, with what may be done to a gradient before and to x after."""
    settings = FAMILIES[family]
    named = dict(zip(update.FAMILIES[family], settings, strict=True))
    arrays = [point((count,), dtype) for count in (3, 700, 70_000)]
    states = [[np.full_like(x, value) for value in update.states_of(family, named)] for x in arrays]
    means = [x.copy() for x in arrays] if averaging or family == "asgd" else None
    made = side.update.Optimizer(family, arrays, False, [0, 1, 0], [settings, settings], states, means,
                                 averaging if family != "asgd" else np.nan, clip, 0.5, sign)
    gradients = [point((count,), dtype)[::-1].copy() for count in (3, 700, 70_000)]

    def call():
        for _ in range(3):
            made.step(gradients)

    return call, lambda: {"arrays": arrays, "states": states, "means": means or [], "carried": made.carried}


@functools.cache
def pattern(kind, symmetric=False):
    """Rows of columns: ``(indptr, indices, number of columns)``."""
    source = np.random.default_rng(3)
    line = abs(np.subtract.outer(range(40), range(40)))
    rows = {
        "empty": np.zeros((4, 5), bool), "nothing": np.zeros((0, 0), bool), "full": np.ones((70, 70), bool),
        "band": line <= 2, "arrow": (line == 0) | (np.arange(40) == 39) | (np.arange(40) == 39)[:, None],
        "thin": source.random((60, 50)) < 0.03, "thick": source.random((90, 150)) < 0.4,
        "grid": np.kron(line[:7, :7] <= 1, np.eye(7)) + np.kron(np.eye(7), line[:7, :7] <= 1) > 0,
    }[kind]
    if symmetric:
        rows = rows[: min(rows.shape), : min(rows.shape)]
        rows = rows | rows.T
    found, columns = np.nonzero(rows)
    indptr = np.zeros(len(rows) + 1, np.intp)
    np.cumsum(np.bincount(found, minlength=len(rows)), out=indptr[1:])
    return indptr, columns.astype(np.intp), rows.shape[1]


PATTERNS = ["empty", "nothing", "full", "band", "arrow", "thin", "thick", "grid"]


def group(side, kind):
    return lambda: side.coloring.group(pattern(kind)[1], pattern(kind)[2]), dict


def transposed(side, kind):
    return lambda: side.coloring.transposed(*pattern(kind)), dict


def ordering(side, kind, order):
    by_column = side.coloring.transposed(*pattern(kind))
    return lambda: side.coloring.ordering(*pattern(kind)[:2], *by_column, order), dict


def first_fit(side, kind, shuffled):
    indptr, _, count = pattern(kind)
    sequence = np.random.default_rng(4).permutation(count).astype(np.intp) if shuffled else None
    by_column = side.coloring.transposed(*pattern(kind))
    return lambda: side.coloring.first_fit(*by_column, indptr.size - 1, sequence), dict


def star_coloring(side, kind, shuffled):
    indptr, indices, count = pattern(kind, symmetric=True)
    sequence = np.random.default_rng(4).permutation(count).astype(np.intp) if shuffled else None
    return lambda: side.coloring.star_coloring(indptr, indices, sequence), dict


def star_sources(side, kind, wrong):
    indptr, indices, count = pattern(kind, symmetric=True)
    colors = np.zeros(count, np.intp) if wrong else side.coloring.star_coloring(indptr, indices)
    return lambda: side.coloring.star_sources(indptr, indices, colors), dict


def compression(side, kind, dtype, scheme, bounds, block):
    """Every difference of a sparse Jacobian, of a function whose results are hard to combine."""
    indptr, indices, n = pattern(kind)
    rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    colors = side.coloring.first_fit(*side.coloring.transposed(indptr, indices, n), indptr.size - 1)
    starts, columns = side.coloring.group(colors, int(colors.max(initial=-1)) + 1)
    ranks = np.argsort(columns).astype(np.intp)
    first, places = side.coloring.group(ranks[indices], n)
    x = point((n,), dtype)
    made = side.compressed.Compression(
        starts, columns, first, rows[places].astype(np.intp), places, n, indptr.size - 1, 8, x.dtype)
    f = stream((indptr.size - 1,), scheme[0] == COMPLEX or x.dtype.kind == "c")
    function = side.callback.PythonFunction(f, (), None, x.shape, x.dtype, True, scheme[0] == COMPLEX)
    function.value_at(x)
    function.fresh, function.eps, real = True, 1.0, working_type(x.dtype)
    method, order, _ = scheme
    lower, upper = bounds_of(x[columns], bounds)
    differences = side.difference.Differences(n, x.dtype, method, order, 1e-5, 1, 0, None, lower, upper)
    one = np.ones(1, real)
    by_color = side.difference.Differences(
        starts.size - 1, x.dtype, method, order, 1.0, function.size, block, (one, 0 * one, one), None, None,
        np.ascontiguousarray(GROUPS - np.arange(starts.size - 1), np.intp), False, 1, bounds is not None)
    out = np.zeros(indices.size * (2 if x.dtype.kind == "c" else 1), real)

    def call():
        planned = made.plan(differences, x)
        function.begin(x)
        function.in_groups(made)
        by_color.plan(np.zeros(starts.size - 1, x.dtype))
        found = []
        for begin in range(0, starts.size - 1, block):
            end = min(begin + block, starts.size - 1)
            found.append((by_color.evaluate(function, begin, end), made.decompress(by_color, begin, end, out)))
        return planned, found, made.difference(function, differences, by_color, x, np.zeros_like(out))

    return call, lambda: {"out": out, "nfev": function.nfev}


def public(side, call, dtype, options):
    """A whole public call, its warnings included."""
    def run():
        with sd.backend(side.name), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = PUBLIC[call](dtype, **options)
        return result, [str(warning.message) for warning in caught]

    return run, dict


PUBLIC = {
    "gradient": lambda dtype, **options: sd.gradient(wave, point((3, 2), dtype), **options),
    "gradient of hard": lambda dtype, **options: sd.gradient(wave, point((12,), dtype, "hard"), **options),
    "gradient, prepared": lambda dtype, **options: _twice(sd.Gradient, wave, dtype, options),
    "value_and_gradient": lambda dtype, **options: sd.value_and_gradient(wave, point((9,), dtype), **options),
    "jacobian": lambda dtype, **options: sd.jacobian(waves, point((9,), dtype), **options),
    "jacobian, sparse": lambda dtype, **options: _sparse(dtype, options),
    "jacobian, prepared": lambda dtype, **options: _twice(sd.Jacobian, waves, dtype, options),
    "jvp": lambda dtype, **options: sd.jvp(waves, point((9,), dtype), point((9,), dtype)[::-1], **options),
    "hessian": lambda dtype, **options: sd.hessian(wave, point((5,), dtype), **options),
    "hessian of grad": lambda dtype, **options: sd.hessian(None, point((5,), dtype), grad=cubic, **options),
    "hessian, sparse": lambda dtype, **options: _band(wave, dtype, options),
    "hessian of grad, sparse": lambda dtype, **options: _band(None, dtype, {"grad": cubic, **options}),
    "hvp": lambda dtype, **options: sd.hvp(wave, point((9,), dtype), point((9,), dtype)[::-1], **options),
    "hvp of grad": lambda dtype, **options: sd.hvp(None, point((9,), dtype), point((9,), dtype)[::-1], grad=cubic,
                                                   **options),
    "derivative": lambda dtype, **options: sd.derivative(cubic, point((2, 4), dtype), **options),
    "derivative of hard": lambda dtype, **options: sd.derivative(cubic, point((12,), dtype, "hard"), **options),
    "second derivative": lambda dtype, **options: sd.derivative(cubic, point((5,), dtype), 2, **options),
}
OPTIONS = [
    *({"method": "central", "order": order} for order in (2, 4, 6, 8)),
    *({"method": method, "order": order} for method in ("forward", "backward") for order in (1, 2, 3, 4)),
    {"method": "complex"},
    {"step": 1e-3}, {"rel_step": 1e-4}, {"x_scale": 100.0},
    {"bounds": (-1.0, 2.0)}, {"bounds": (None, 30.0)},
    {"method": "adaptive"}, {"method": "adaptive", "rtol": 1e-6}, {"method": "adaptive", "bounds": (None, 2.0)},
]
OPTIONS = [{**options, **more} for options in OPTIONS for more in ({}, {"full_output": True})]
# Second derivatives have no orders, but stencils of their own near bounds.
BENT = [options for options in OPTIONS if options.get("order", 1) == 1]
BENT += [{**options, "bounds": bounds} for options in BENT if "bounds" not in options for bounds in ((-2.0, 1.9),)]


def _sparse(dtype, options):
    """Its entries, and all that is known of them."""
    cross = np.eye(9) + np.eye(9)[::-1]
    return _entries(sd.jacobian(lambda x: cubic(x) - x[::-1], point((9,), dtype), sparsity=cross, **options), options)


def _band(f, dtype, options):
    """Three diagonals of a Hessian."""
    return _entries(sd.hessian(f, point((7,), dtype), sparsity=(1, 1), verify=False, **options), options)


def _entries(found, options):
    parts = (found.value, found.error, found.step, found.status) if options.get("full_output") else (found,)
    return [part.toarray() for part in parts]


def _twice(kind, f, dtype, options):
    """A prepared object called at two points."""
    options = {name: value for name, value in options.items() if name != "full_output"}
    prepared = kind(f, point((4,), dtype), **options)
    return prepared(point((4,), dtype)), prepared(point((4,), dtype) / 2)


def descent(side, dtype, options, with_grad):
    """A whole descent."""
    def run():
        with sd.backend(side.name):
            return sd.gradient_descent(lambda x: (x * x).sum(), point((5,), dtype),
                                       grad=(lambda x: 2 * x) if with_grad else None, steps=20, **options)

    return run, dict


POINTS = [1.0, [1.0], None, np.ones(3), np.ones(3, ">f8"), np.ones(6)[::2], np.ones((2, 2), order="F"), np.ones(()),
          np.ones(3, int), np.ones(3, np.float16), np.ma.ones(3), np.float64(1), np.ones(0),
          np.ones(9, "i1")[1:].view("f8")]


class Kernel(NamedTuple):
    """A line of the table: what is compared, how, on what, and what difference its docstring grants."""

    name: str
    prepare: object
    cases: list
    granted: float = 0.0


# A family of rules and settings in the order of `update.FAMILIES`.
FAMILIES = {
    "sgd": (0.1, 0.01, 0.9, 0.1, 0), "asgd": (0.1, 0.01, 1e-4, 0.75, 1), "adagrad": (0.1, 0.01, 0.1, 1e-10),
    "adadelta": (1, 0.01, 0.9, 1e-6), "rmsprop": (0.01, 0.01, 0.99, 1e-8, 0.9, 1, 0),
    "adam": (1e-3, 0.01, 0.9, 0.999, 1e-8, 0, 1), "nadam": (2e-3, 0.01, 0.9, 0.999, 1e-8, 4e-3, 0),
    "radam": (1e-3, 0.01, 0.9, 0.999, 1e-8, 1), "adamax": (2e-3, 0.01, 0.9, 0.999, 1e-8),
    "adabelief": (1e-3, 0.01, 0.9, 0.999, 1e-16, 1e-16, 0), "lion": (1e-4, 0.01, 0.9, 0.99),
    "rprop": (0.01, 0.5, 1.2, 1e-6, 50),
}
FORMS = ["number", "vector", "elementwise"]
KERNELS = [
    Kernel("difference.Differences.plan", plan, grid(
        dtype=ALL, scheme=SCHEMES, points=["plain", "hard"], shape=[(1,), (30,)],
        rule=["default", "step", "rel_step", "x_scale", "least"], bounds=[None, "both", "lower"])),
    Kernel("difference.Differences.evaluate", evaluate, [
        *grid(dtype=ALL, scheme=SCHEMES, points=["plain"], vector=[False, True], bounds=[None, "both"],
              with_base=[False]),
        *grid(dtype=ALL, scheme=SCHEMES, points=["hard"], vector=[False], bounds=["both"], with_base=[True])]),
    Kernel("difference.Differences.evaluate, a block", evaluate_block, grid(
        dtype=ALL, scheme=SCHEMES, vector=[False, True])),
    Kernel("difference.Differences.evaluate, a line", evaluate_line, grid(
        dtype=ALL, scheme=SCHEMES, vector=[False, True], bounds=[None, "both"])),
    Kernel("difference.Differences.evaluate, ways", evaluate_ways, [
        *grid(dtype=ALL, kind=["PythonFunction", "BatchFunction"], vector=[False, True], imaginary=[False],
              shifted=[False, True], bounds=[None, "both"]),
        *grid(dtype=REAL, kind=["PythonFunction", "BatchFunction"], vector=[False, True], imaginary=[True],
              shifted=[False, True], bounds=[None, "both"]),
        *grid(dtype=["d"], kind=["NativeFunction"], vector=[False, True], imaginary=[False], shifted=[False, True],
              bounds=[None, "both"])]),
    Kernel("difference.Differences.combine", combine, grid(
        dtype=ALL, scheme=SCHEMES, kind=["number", "vector", "scalar"], bounds=[None, "both"], rows=[1, 40])),
    Kernel("difference.Differences.gradient", gradient, [
        *grid(dtype=ALL, scheme=FIRST, points=["plain", "hard"], shape=[(), (0,), (1,), (40,), (3, 4)], f=[wave],
              bounds=[None, "both"]),
        *grid(dtype=ALL, scheme=FIRST[:1], points=["plain"], shape=[(5,)], bounds=[None],
              f=[raising, lambda x: np.float32(wave(x).real), lambda x: np.nan], x_and_out=["as they should be"]),
        *grid(dtype=ALL, scheme=FIRST[:1], points=["plain"], shape=[(5,)], f=[wave], bounds=[None],
              x_and_out=["strided x", "a list", "another type", "another shape", "read-only out"])]),
    Kernel("difference.central_gradient", central_gradient, grid(
        dtype=[*ALL, "i8", "f2", ">f8"], points=["plain", "hard"], shape=[(), (0,), (1,), (10,), (2, 3), (300,)],
        f=[wave, lambda x: 1.0, lambda x: np.nan, raising], out=[False, True])),
    Kernel("difference.is_point", is_point, [{"x": x} for x in POINTS]),
    Kernel("callback.PythonFunction", python_function, grid(
        dtype=ALL, scheme=[SCHEMES[0], SCHEMES[-1]], shape=[(), (5,), (2, 3)], vector=[False, True],
        returns=list(RETURNS))),
    Kernel("callback.ScalarFunction", scalar_function, grid(
        dtype=ALL, scheme=SCHEMES, points=["plain", "hard"], bounds=[None, "both"])),
    Kernel("callback.BatchFunction", batch_function, grid(
        dtype=ALL, scheme=SCHEMES, points=["plain", "hard"], form=FORMS, bounds=[None, "both"])),
    Kernel("native.NativeFunction", native_function, [
        *grid(f=["rosenbrock", "root", "checked", "curves", "checked_curves"], scheme=SCHEMES[:-1],
              points=["plain", "hard"], bounds=[None, "both"], team=[1, 3]),
        *grid(f=["rosenbrock_data", "root"], scheme=SCHEMES[:-1], points=["plain"], bounds=[None, "both"], team=[1, 3],
              kind=["each"])]),
    Kernel("ladder.Ladder", ladder, grid(dtype=REAL, power=[1, 2], n=[1, 2, 3, 4], rows=[1, 40], results=[1, 7])),
    Kernel("coloring.group", group, grid(kind=PATTERNS)),
    Kernel("coloring.transposed", transposed, grid(kind=PATTERNS)),
    Kernel("coloring.ordering", ordering, grid(kind=PATTERNS, order=[-1, 0, 1, 2, 3])),
    Kernel("coloring.first_fit", first_fit, grid(kind=PATTERNS, shuffled=[False, True])),
    Kernel("coloring.star_coloring", star_coloring, grid(kind=PATTERNS, shuffled=[False, True])),
    Kernel("coloring.star_sources", star_sources, grid(kind=PATTERNS, wrong=[False, True])),
    Kernel("compressed.Compression", compression, grid(
        kind=["empty", "nothing", "band", "arrow", "thin", "grid"], dtype=ALL, scheme=[*FIRST, (COMPLEX, 1, 1)],
        bounds=[None, "both"], block=[1, 3])),
    Kernel("update.step", step, grid(
        dtype="fd", rule=list(update.RULES), points=["plain", "hard"], count=[0, 1, 7, 8, 33, 20_000],
        numbers=[(0.1, 0.9, 0.99, 0.01, 1.1, 1e-8, 0.3), (1e-3, 0.5, 0.5, 2.0, 0.7, 1e-3, 1e-16)])),
    Kernel("update.Optimizer", optimizer, grid(
        dtype="fd", family=list(FAMILIES), clip=[None, "value", "norm", "global_norm"], averaging=[0.0, 0.1],
        sign=[1.0, -1.0])),
    *(Kernel(*line) for module in (compare_grid, compare_fused, compare_descent, compare_layers)
      for line in module.LINES),
    *(Kernel(f"whole calls: {call}", public, grid(
        call=[call], dtype=ALL, options=BENT if call.startswith("h") else OPTIONS)) for call in PUBLIC),
    Kernel("whole calls: gradient_descent", descent, grid(
        dtype=REAL, with_grad=[False, True],
        options=[{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"maximize": True}, {"lr": 3.0},
                 {"lr": 0.3, "history": True}, {"schedule": lambda t: 0.1 / (1 + t)}])),
]


# comparing

def numbers_in(found, name="returned"):
    """Name and value of every array, number or text in what a call gave."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from numbers_in(value, key if name == "returned" else f"{name}.{key}")
    elif isinstance(found, (tuple, list)):
        for key, value in enumerate(found):
            yield from numbers_in(value, f"{name}[{key}]")
    elif isinstance(found, sd.Derivative):
        yield from numbers_in(vars(found), name)
    else:
        yield name, found


def distance(a, b):
    """The largest difference in units in the last place; 0 for equal bits only, but NaN equals NaN; -0 is 1 from 0."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return np.inf
    if a.dtype.kind == "c":
        return max(distance(a.real, b.real), distance(a.imag, b.imag))
    if a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else np.inf
    same = ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    a, b = a[~same], b[~same]
    units = abs(a - b) / np.spacing(np.maximum(abs(a), abs(b)))
    return float(np.where(a == b, 1, np.where(np.isfinite(a) & np.isfinite(b), units, np.inf)).max())


def run(kernel, side, case):
    """What one case gives on one side, as a dictionary, and the shortest time of its call."""
    call, read = kernel.prepare(side, **case)
    times = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        try:
            returned = call()
        except Exception as error:
            returned = [type(error).__name__, str(error), *getattr(error, "__notes__", ())]
        times.append(time.perf_counter() - start)
        if repeat == 0:
            # copied: later repetitions go on in the same memory
            found = {name: np.array(value) for name, value in numbers_in({"returned": returned, **read()})}
        if times[-1] > LONG:
            break
    return found, min(times)


def compare(kernel, sides):
    """The largest difference over all cases, the geometric mean of the ratios of times, and what differs."""
    worst, ratios, complaints = 0.0, [], []
    for case in kernel.cases:
        (ours, fast), (theirs, slow) = (run(kernel, side, case) for side in sides)
        ratios.append(slow / fast)
        for name in {**ours, **theirs}:
            units = distance(ours[name], theirs[name]) if name in ours and name in theirs else np.inf
            worst = max(worst, units)
            if units > kernel.granted:
                complaints.append(f"{name} is {units:g} units off in {case}\n"
                                  f"    kernel    {ours.get(name)}\n    reference {theirs.get(name)}")
    return worst, float(np.exp(np.mean(np.log(ratios)))), complaints


def missing():
    """Kernels of the backend that no line of the table compares."""
    compared = {kernel.name.split(",")[0].split(".")[1] for kernel in KERNELS if not kernel.name.startswith("whole")}
    return sorted((set(vars(backends.current())) | set(backends.LATER)) - {"name"} - compared)


def main():
    """Print the table; 1 when something differs."""
    parser = argparse.ArgumentParser(description="Compare every kernel with its reference.")
    parser.add_argument("kernels", nargs="*", help="parts of the names of the kernels to compare; all by default")
    chosen = parser.parse_args().kernels or [""]
    threads.PAYS = 0    # everything that can be shared is
    sides = side("kernels"), side("reference")
    complaints = [f"{name} has no line in KERNELS" for name in missing()]
    print(f"{'kernel':<42} {'cases':>6} {'units in the last place':>24} {'reference / kernel':>19}")
    for kernel in KERNELS:
        if not any(part in kernel.name for part in chosen):
            continue
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            worst, ratio, found = compare(kernel, sides)
        print(f"{kernel.name:<42} {len(kernel.cases):>6} {worst:>24g} {ratio:>18.1f}x", flush=True)
        complaints += [f"{kernel.name}: {complaint}" for complaint in found[:3]]
        complaints += [f"{kernel.name}: and {len(found) - 3} more"] * (len(found) > 3)
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
