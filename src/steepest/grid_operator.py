"""Derivatives of fields as linear operators: planned once, with their adjoints, their matrices, and an algebra.

Here because descent on a grid needs the transposed of what it differentiates with, and because SciPy's solvers take
operators. A module of its own, for it needs SciPy's. Tested in tests/test_grid_operator.py.
"""

import math
import numbers

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from .grid_arrays import as_team, check_out, overlap
from .grid_fields import plan, take_field, take_options
from .grid_rules import axis_rule
from .grid_sweeps import FieldSweep, Product, entries, rule_of
from .options import as_integer

__all__ = ["Operator"]

KINDS = ("derivative", "laplacian", "gradient", "divergence", "curl")
# Up to so many nodes for each number, a product of operators is one sweep; beyond it two are less work.
FUSED = 32


class FieldOperator(LinearOperator):
    """A linear map from fields to fields: what all operators of `steepest.grid` have.

    Attributes
    ----------
    in_shape, out_shape : tuple of int
        Of the fields that it takes and gives.
    shape : (int, int)
        How many numbers these have: as a SciPy ``LinearOperator`` it takes and gives flat vectors.
    T : FieldOperator
        The adjoint, which needs no matrix; ``H`` is the same, for weights are real.
    """

    def __init__(self, in_shape, out_shape, dtype=np.float64):
        self.in_shape, self.out_shape = in_shape, out_shape
        super().__init__(np.dtype(dtype), (math.prod(out_shape), math.prod(in_shape)))

    def apply(self, f, out=None, *, threads=None):
        """Apply it to a field.

        Parameters
        ----------
        f : array_like
            Of `in_shape`. float32, float64, longdouble and their complex types are kept.
        out : ndarray, optional
            Where the result goes: an array of `out_shape` and of the type of the result, apart from `f`.
        threads : int, optional
            How many threads may share the work; as many as there are cores, where that pays, by default.

        Returns
        -------
        ndarray
            Of `out_shape`.

        Raises
        ------
        TypeError, ValueError
            When `f` or `out` is of another shape or type; nothing is changed then.
        """
        team, f = as_team(threads), take_field(f, "f")
        if f.shape != self.in_shape:
            raise ValueError(f"f must have shape {self.in_shape}, but has {f.shape}")
        dtype = np.result_type(f.dtype, self._factor_type())
        if out is None:
            out = np.empty(self.out_shape, dtype)
        else:
            check_out(out, "out", self.out_shape, dtype)
            if overlap(out, f):
                raise ValueError("out must not overlap f, which is still to be read")
        self._write(f.astype(dtype, copy=False), out, team)
        return out

    def to_sparse(self):
        """The matrix of the operator.

        Returns
        -------
        scipy.sparse.csr_array
            Of shape `shape`, for fields that are flattened in C order.
        """
        raise NotImplementedError

    def _factor_type(self):
        """float32 unless there are complex factors: what the type of the field has to be able to hold."""
        return np.float32

    def _write(self, f, out, team):
        raise NotImplementedError

    # SciPy's part

    def _matvec(self, x):
        return self.apply(np.reshape(x, self.in_shape)).reshape(-1)

    def _rmatvec(self, x):
        return self._adjoint()._matvec(x)

    def _matmat(self, X):
        columns = [self._matvec(column) for column in X.T]
        return np.stack(columns, axis=1) if columns else np.empty((self.shape[0], 0))

    def _rmatmat(self, X):
        return self._adjoint()._matmat(X)

    def _adjoint(self):
        raise NotImplementedError

    def _transpose(self):
        return self._adjoint()

    # algebra

    def __add__(self, other):
        if not isinstance(other, FieldOperator):
            return super().__add__(other)
        return _sum(self, other)

    def __sub__(self, other):
        if not isinstance(other, FieldOperator):
            return super().__sub__(other)
        return _sum(self, _scaled(other, -1.0))

    def __neg__(self):
        return _scaled(self, -1.0)

    def __mul__(self, other):
        if isinstance(other, numbers.Number):
            return _scaled(self, other)
        return self @ other if isinstance(other, FieldOperator) else super().__mul__(other)

    def __rmul__(self, other):
        return _scaled(self, other) if isinstance(other, numbers.Number) else super().__rmul__(other)

    def __truediv__(self, other):
        return _scaled(self, 1.0 / other) if isinstance(other, numbers.Complex) else NotImplemented

    def __matmul__(self, other):
        return _product(self, other) if isinstance(other, FieldOperator) else super().__matmul__(other)

    def __pow__(self, power):
        power = as_integer(power, "power")
        if power < 1 or self.in_shape != self.out_shape:
            raise ValueError(f"only an operator from a field to one of its shape has powers, from 1 on, not {power}")
        found = self
        for _ in range(power - 1):
            found = found @ self
        return found


class Operator(FieldOperator):
    """A derivative of fields of one shape, as a linear operator: planned once, applied often.

    Parameters
    ----------
    shape : int or tuple of int
        Of the fields.
    spacing : float or sequence, optional
        For a derivative along an axis its step, or the coordinates of its samples. For the other kinds as for
        `laplacian`: one step, or an entry for each axis.
    kind : {"derivative", "laplacian", "gradient", "divergence", "curl"}, optional
        What it gives. A gradient has its components first, ``(ndim, *shape)``; a divergence and a curl take such
        fields.
    axis : int, optional
        Of a derivative.
    n : int, optional
        Which derivative.
    order, edge_order : int, optional
        Orders of accuracy inside the field, and near one-sided edges, as inside by default.
    boundary : str, tuple or list, optional
        ``"one-sided"``, ``"periodic"``, ``"symmetric"``, ``"antisymmetric"``, ``"nearest"``, or a tuple of two for the
        two sides; for the other kinds also a list with an entry for each axis.
    direction : {"central", "forward", "backward"}, optional
        Where the nodes inside the field lie; with the last two `order` may be odd.
    period : float, optional
        After which periodic coordinates repeat.
    unit : str, optional
        Of coordinates that are times, for a derivative.
    dtype : dtype, optional
        float64, or longdouble for weights with more digits.

    Raises
    ------
    TypeError, ValueError
        When an argument is none of these, or an axis has too few samples for its rule; the message names the axis.

    See Also
    --------
    scipy.sparse.linalg.LinearOperator : What it is a kind of.

    Notes
    -----
    The adjoint is no matrix either: of a rule along an axis the transposed is one again, whose interior has the weights
    reversed, and whose edge nodes are listed; so it is as fast. ``<A x, y> = <x, A.T y>`` to rounding.

    ``A + B``, ``2 * A`` and ``A - B`` are one sweep over memory again; so is ``A @ B`` where they go along different
    axes. Products along the same axis are two sweeps with a field between.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> D = sd.grid.Operator((3, 4), 0.5, axis=1)
    >>> D.apply(np.arange(12.0).reshape(3, 4) ** 2)
    array([[ 0.,  4.,  8., 12.],
           [16., 20., 24., 28.],
           [32., 36., 40., 44.]])
    >>> D.to_sparse().shape, D.T.shape
    ((12, 12), (12, 12))

    Poisson's equation ``u_xx + u_yy = b`` with u = 0 around, by SciPy:

    >>> from scipy.sparse.linalg import cg
    >>> A = -sd.grid.Operator((20, 20), 1 / 20, kind="laplacian", boundary="antisymmetric")
    >>> u, info = cg(A, np.ones(400))
    >>> print(info, u.max().round(3))
    0 0.074

    and by gradient descent on ``|grad u|^2 / 2 - u``, whose gradient takes the adjoint:

    >>> G = sd.grid.Operator((20, 20), 1 / 20, kind="gradient", boundary="antisymmetric")
    >>> energy = lambda u: 0.5 * np.sum(G.apply(u) ** 2) - u.sum()
    >>> found = sd.gradient_descent(energy, np.zeros((20, 20)), lr=1e-3, steps=300, momentum=0.9,
    ...                             grad=lambda u: G.T.apply(G.apply(u)) - 1)
    >>> print(found.x.max().round(2))
    0.07

    A noisy step made flat on both sides, by descent on its total variation:

    >>> noisy = (np.arange(40) >= 20) + np.random.default_rng(0).normal(scale=0.1, size=40)
    >>> D = sd.grid.Operator(40, direction="forward", order=1, boundary="nearest")
    >>> length = lambda d: np.sqrt(d * d + 1e-4)
    >>> loss = lambda x: 0.5 * np.sum((x - noisy) ** 2) + 0.3 * length(D.apply(x)).sum()
    >>> slope = lambda x: x - noisy + 0.3 * D.T.apply(D.apply(x) / length(D.apply(x)))
    >>> found = sd.gradient_descent(loss, noisy, lr=0.01, steps=2000, grad=slope)
    >>> print(found.x[:19].std() < 0.03 < noisy[:19].std(), found.x[25] - found.x[15] > 0.8)
    True True
    """

    def __init__(self, shape, spacing=1.0, *, kind="derivative", axis=-1, n=1, order=2, edge_order=None,
                 boundary="one-sided", direction="central", period=None, unit=None, dtype=np.float64):
        shape = _as_shape(shape)
        dtype = np.dtype(dtype)
        if dtype.char not in "dg":
            raise TypeError(f"dtype must be float64 or longdouble, not {dtype}")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, not {kind!r}")
        if kind == "derivative":
            sweep = _derivative(shape, spacing, axis, n, order, edge_order, boundary, direction, period, unit, dtype)
        else:
            for name, value, default in (("axis", axis, -1), ("n", n, 1), ("unit", unit, None)):
                if value != default:
                    raise ValueError(f"{name} is for kind='derivative', not for {kind!r}")
            if kind == "curl" and len(shape) not in (2, 3):
                raise ValueError(f"shape must have 2 or 3 axes for a curl, not {len(shape)}")
            sweep = plan(kind, take_options(shape, tuple(range(len(shape))), spacing, boundary, order, edge_order,
                                            period, dtype, direction=direction))
        self._take(sweep, kind in ("divergence", "curl"), len(sweep.outputs) > 1, dtype)

    def _take(self, sweep, vector_in, vector_out, dtype):
        """Be the operator of a sweep, over fields or over vectors of them."""
        self._sweep, self._vectors, self._transposed = sweep, (vector_in, vector_out), None
        FieldOperator.__init__(self, (sweep.sources, *sweep.shape) if vector_in else sweep.shape,
                               (len(sweep.outputs), *sweep.shape) if vector_out else sweep.shape, dtype)

    @classmethod
    def _of(cls, sweep, vector_in, vector_out, dtype):
        made = cls.__new__(cls)
        made._take(sweep, vector_in, vector_out, dtype)
        return made

    def _write(self, f, out, team):
        self._sweep.run(list(f) if self._vectors[0] else [f], list(out) if self._vectors[1] else [out], team)

    def _adjoint(self):
        if self._transposed is None:
            self._transposed = Operator._of(self._sweep.transposed(), self._vectors[1], self._vectors[0],
                                             self.dtype)
        return self._transposed

    def to_sparse(self):
        shape, blocks = self._sweep.shape, []
        count = math.prod(shape)
        for products in self._sweep.outputs:
            row = [sparse.csr_array((count, count), dtype=self.dtype) for _ in range(self._sweep.sources)]
            for source, factor, rules in products:
                row[source] = row[source] + factor * _matrix(shape, rules)
            blocks.append(row)
        return sparse.csr_array(sparse.vstack([sparse.hstack(row) for row in blocks], format="csr"))

    to_sparse.__doc__ = FieldOperator.to_sparse.__doc__

    def __repr__(self):
        return f"<{type(self).__name__} from fields of shape {self.in_shape} to {self.out_shape}>"


def _as_shape(shape):
    try:
        shape = tuple(as_integer(extent, "an extent in shape") for extent in shape)
    except TypeError as error:
        if hasattr(shape, "__iter__"):
            raise error from None
        shape = (as_integer(shape, "shape"),)
    if not shape or min(shape) < 1:
        raise ValueError(f"shape must have at least one axis, and points along each, not {shape}")
    return shape


def _derivative(shape, spacing, axis, n, order, edge_order, boundary, direction, period, unit, dtype):
    axis = as_integer(axis, "axis")
    if not -len(shape) <= axis < len(shape):
        raise np.exceptions.AxisError(axis, len(shape))
    axis %= len(shape)
    rule = rule_of(axis_rule(shape[axis], spacing, n, order, edge_order, boundary, period, direction, unit=unit,
                             axis=axis, dtype=dtype))
    return FieldSweep(shape, [[Product(0, 1.0, {axis: rule})]])


def _matrix(shape, rules):
    """The matrix of a product of rules: a Kronecker product, with ones for the axes that have none."""
    found = None
    for axis, extent in enumerate(shape):
        if axis in rules:
            row, column, weight = entries(rules[axis])
            factor = sparse.coo_array((weight, (row, column)), shape=(extent, extent))
        else:
            factor = sparse.eye_array(extent, format="coo")
        found = factor if found is None else sparse.kron(found, factor, format="coo")
    return found.tocsr()


class _Sum(FieldOperator):
    """A sum of operators that are no single sweep; the second is added to the result of the first."""

    def __init__(self, first, second):
        super().__init__(first.in_shape, first.out_shape, np.result_type(first.dtype, second.dtype))
        self.first, self.second = first, second

    def _factor_type(self):
        return np.result_type(self.first._factor_type(), self.second._factor_type())

    def _write(self, f, out, team):
        self.first._write(f, out, team)
        part = np.empty_like(out)
        self.second._write(f, part, team)
        out += part

    def _adjoint(self):
        return _Sum(self.first._adjoint(), self.second._adjoint())

    def _transpose(self):
        return _Sum(self.first._transpose(), self.second._transpose())

    def to_sparse(self):
        return self.first.to_sparse() + self.second.to_sparse()


class _Scaled(FieldOperator):
    """A number times an operator that is no single sweep, or a complex number times any."""

    def __init__(self, operator, factor):
        super().__init__(operator.in_shape, operator.out_shape, np.result_type(operator.dtype, type(factor)))
        self.operator, self.factor = operator, factor

    def _factor_type(self):
        return np.result_type(self.operator._factor_type(), np.complex64 if self.factor.imag else np.float32)

    def _write(self, f, out, team):
        self.operator._write(f, out, team)
        out *= self.factor

    def _adjoint(self):
        return _Scaled(self.operator._adjoint(), self.factor.conjugate())

    def _transpose(self):
        return _Scaled(self.operator._transpose(), self.factor)

    def to_sparse(self):
        return self.operator.to_sparse() * self.factor


class _Product(FieldOperator):
    """One operator after the other, with a field between."""

    def __init__(self, first, second):
        super().__init__(second.in_shape, first.out_shape, np.result_type(first.dtype, second.dtype))
        self.first, self.second = first, second

    def _factor_type(self):
        return np.result_type(self.first._factor_type(), self.second._factor_type())

    def _write(self, f, out, team):
        between = np.empty(self.second.out_shape, f.dtype)
        self.second._write(f, between, team)
        self.first._write(between, out, team)

    def _adjoint(self):
        return _Product(self.second._adjoint(), self.first._adjoint())

    def _transpose(self):
        return _Product(self.second._transpose(), self.first._transpose())

    def to_sparse(self):
        return self.first.to_sparse() @ self.second.to_sparse()


def _sum(first, second):
    """first + second: one sweep where both are one."""
    if (first.in_shape, first.out_shape) != (second.in_shape, second.out_shape):
        raise ValueError(f"operators can be added that take and give the same shapes, not {first.in_shape} to "
                         f"{first.out_shape} and {second.in_shape} to {second.out_shape}")
    if not (isinstance(first, Operator) and isinstance(second, Operator)):
        return _Sum(first, second)
    outputs = [[*a, *b] for a, b in zip(first._sweep.outputs, second._sweep.outputs, strict=True)]
    sweep = FieldSweep(first._sweep.shape, outputs, first._sweep.sources)
    return Operator._of(sweep, *first._vectors, np.result_type(first.dtype, second.dtype))


def _scaled(operator, factor):
    """factor * operator."""
    if not (isinstance(operator, Operator) and isinstance(factor, numbers.Real)):
        return _Scaled(operator, factor)
    factor = float(factor)
    outputs = [[Product(source, factor * by, rules) for source, by, rules in products]
               for products in operator._sweep.outputs]
    return Operator._of(FieldSweep(operator._sweep.shape, outputs, operator._sweep.sources), *operator._vectors,
                        operator.dtype)


def _product(first, second):
    """first @ second: one sweep where they go along different axes."""
    if first.in_shape != second.out_shape:
        raise ValueError(f"an operator that takes {first.in_shape} cannot follow one that gives {second.out_shape}")
    if isinstance(first, Operator) and isinstance(second, Operator):
        outputs = [[Product(inner.source, outer.factor * inner.factor, outer.rules | inner.rules)
                    for outer in products for inner in second._sweep.outputs[outer.source]]
                   for products in first._sweep.outputs]
        apart = all(not outer.rules.keys() & inner.rules.keys()
                    for products in first._sweep.outputs for outer in products
                    for inner in second._sweep.outputs[outer.source])
        nodes = max((sum(math.prod(len(rule.offsets) for rule in product.rules.values()) for product in products)
                     for products in outputs), default=0)
        if apart and nodes <= FUSED:
            sweep = FieldSweep(first._sweep.shape, outputs, second._sweep.sources)
            return Operator._of(sweep, second._vectors[0], first._vectors[1],
                                np.result_type(first.dtype, second.dtype))
    return _Product(first, second)
