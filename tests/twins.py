"""Two implementations side by side: kernel and reference must give the same bits.

Here so that every test of equality means the same thing by it. Used by the tests of all kernels.
"""

import numpy as np

from steepest.kernels import callback as kernel_callback
from steepest.kernels import difference as kernel_difference
from steepest.reference import callback as reference_callback
from steepest.reference import difference as reference_difference
from steepest.reference.difference import BACKWARD, CENTRAL, COMPLEX, FORWARD, step_factor

FLOATS = [np.dtype(char) for char in "fdg"]
COMPLEXES = [np.dtype(char) for char in "FDG"]
SCHEMES = [(FORWARD, 1), (FORWARD, 2), (FORWARD, 4), (BACKWARD, 1), (BACKWARD, 3), (CENTRAL, 2), (CENTRAL, 4),
           (CENTRAL, 6), (CENTRAL, 8)]
SIDES = ((kernel_callback, kernel_difference), (reference_callback, reference_difference))


def same_bits(a, b):
    """Equal in type, shape and every bit; NaN equals NaN."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind == "c":
        return same_bits(a.real, b.real) and same_bits(a.imag, b.imag)
    if a.dtype.kind != "f":
        return bool((a == b).all())
    nan = np.isnan(a)
    return bool((nan == np.isnan(b)).all() and ((a == b) | nan).all() and (np.signbit(a) == np.signbit(b))[~nan].all())


def factor_of(dtype, method, order, n=1):
    """The default step for scale 1."""
    return step_factor(float(np.finfo(dtype).eps), method, order, n)


def run_both(kind, f, x, method=CENTRAL, order=2, *, vector=False, size=None, n=1, **options):
    """Plan, evaluate and combine on both sides; a dictionary of everything that must be equal, for each."""
    seen = []
    for callback, difference in SIDES:
        arguments = (f, (), None, x.shape, x.dtype, vector, method == COMPLEX)
        function = getattr(callback, kind)(*arguments)
        if vector:
            function.value_at(x)
        each = kind == "ScalarFunction"
        differences = difference.Differences(
            x.size, x.dtype, method, order, factor_of(x.dtype, method, order, n), function.size, own_base=each, n=n,
            **options,
        )
        function.begin(x)
        differences.plan(x.reshape(-1))
        code = differences.evaluate(function)
        seen.append({
            "code": code,
            "finish": function.finish(),
            "bad": differences.combine() if code == 0 else None,
            "nfev": function.nfev,
            "step": differences.step,
            "kind": differences.kind,
            "status": differences.status,
            "points": used(differences, differences.points),
            "values": used(differences, differences.values) if code == 0 else None,
            "result": differences.result if code == 0 else None,
        })
    return seen


def used(differences, table):
    """The entries of a table of points or values that a row of its kind uses; the rest is scratch."""
    counts = np.array([2 * differences.reach, differences.one_sided, 0, 1])[differences.kind]
    mask = np.arange(table.shape[1])[None, :] < counts[:, None]
    return table[mask]


def assert_same(seen):
    """Every entry of the two dictionaries has the same bits."""
    kernel, reference = seen
    for name, value in kernel.items():
        if value is None or isinstance(value, int):
            assert value == reference[name], name
        else:
            assert same_bits(value, reference[name]), f"{name}:\n{value!r}\n{reference[name]!r}"
