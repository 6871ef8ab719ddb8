"""Vector operators on fields are exact for polynomials, of the promised order, alike in every layout; or refuse.

Here because each of them is a promise about a formula. Tests grid_fields.py and grid_sweeps.py.
"""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import same_bits

import steepest as sd
from steepest import grid_fields
from steepest.grid_rules import BOUNDARIES, axis_rule

pytestmark = pytest.mark.usefixtures("backend")

laplacian, divergence, curl = sd.grid.laplacian, sd.grid.divergence, sd.grid.curl
magnitude, mixed = sd.grid.magnitude, sd.grid.mixed


def derivative(f, axis, n=1, spacing=1.0, order=2, boundary="one-sided", period=None):
    """One derivative, by the matrix of its rule."""
    rule = axis_rule(f.shape[axis], spacing, n, order, None, boundary, period)
    row, column, weight = rule.to_coo()
    matrix = np.zeros((f.shape[axis],) * 2)
    np.add.at(matrix, (row, column), weight)
    return np.moveaxis(np.tensordot(matrix, f, (1, axis)), 0, axis)


def close(a, b, f, scale):
    """Equal to the rounding of sums over entries of f, times weights of a scale."""
    return np.allclose(a, b, rtol=0, atol=1e-13 * abs(f).max(initial=1) * scale)


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("order", [2, 4, 8])
@pytest.mark.parametrize("shape", [(14,), (14, 15), (11, 12, 10), (5, 6, 7, 5)])
def test_operators_are_sums_of_derivatives(shape, order, boundary, uniform):
    if min(shape) < order + 2:
        order = 2
    source, ndim = np.random.default_rng(len(shape)), len(shape)
    spacing = [0.5 + 0.25 * k if uniform else np.cumsum(source.uniform(0.5, 1.5, extent)) * (-1) ** k
               for k, extent in enumerate(shape)]
    period = None if uniform or boundary != "periodic" else [abs(x[-1] - x[0]) + 1 for x in spacing]
    options = {"order": order, "boundary": boundary, "period": period}

    def of(f, axis, n=1):
        return derivative(f, axis, n, spacing[axis], order, boundary, None if period is None else period[axis])

    f, F = source.normal(size=shape), source.normal(size=(ndim, *shape))
    scale = 1e3
    assert close(laplacian(f, spacing, **options), sum(of(f, axis, 2) for axis in range(ndim)), f, scale)
    assert close(divergence(F, spacing, **options), sum(of(F[axis], axis) for axis in range(ndim)), F, scale)
    assert close(magnitude(f, spacing, **options), np.sqrt(sum(of(f, axis) ** 2 for axis in range(ndim))), f, scale)
    if ndim == 2:
        assert close(curl(F, spacing, **options), of(F[1], 0) - of(F[0], 1), F, scale)
    if ndim == 3:
        turned = [of(F[k - 1], k - 2) - of(F[k - 2], k - 1) for k in range(3)]
        assert close(curl(F, spacing, **options), np.stack(turned), F, scale)
    if ndim > 1:
        found = mixed(f, spacing[-1:] + spacing[:1], axes=(-1, 0), n=(1, 2), order=order, boundary=boundary,
                      period=None if period is None else [period[-1], period[0]])
        assert close(found, of(of(f, 0, 2), ndim - 1), f, scale**2)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_polynomials_are_differentiated_exactly(order):
    """Up to the degree that the order promises, at the edges too, on any grid."""
    source = np.random.default_rng(3)
    x, y = (np.sort(source.uniform(-1, 1, 13)) + 0.3 * np.arange(13) for _ in range(2))
    a, b = (np.polynomial.Polynomial(source.normal(size=order + 2)) for _ in range(2))
    X, Y = np.meshgrid(x, y, indexing="ij")
    expected = a.deriv(2)(X) * b(Y) + a(X) * b.deriv(2)(Y)
    found = laplacian(a(X) * b(Y), [x, y], order=order)
    assert np.allclose(found, expected, rtol=1e-9, atol=1e-9 * abs(expected).max())
    a, b = a.deriv(), b.deriv()
    assert np.allclose(mixed(a(X) * b(Y), [x, y], order=order), a.deriv()(X) * b.deriv()(Y), rtol=1e-9, atol=1e-8)
    gradient = np.hypot(a.deriv()(X) * b(Y), a(X) * b.deriv()(Y))
    assert np.allclose(magnitude(a(X) * b(Y), [x, y], order=order), gradient, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("boundary", ["one-sided", "periodic"])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_errors_shrink_as_the_order_promises(order, boundary):
    def error(count):
        h = 2 * np.pi / count
        x, y = np.meshgrid(np.arange(count) * h, np.arange(count) * h, indexing="ij")
        f = np.sin(x) * np.cos(2 * y)
        errors = [laplacian(f, h, order=order, boundary=boundary) + 5 * f]
        options = {"order": order, "boundary": boundary}
        errors.append(divergence([f, np.sin(x - y)], h, **options) - np.cos(x) * np.cos(2 * y) + np.cos(x - y))
        errors.append(curl([f, np.sin(x - y)], h, **options) - np.cos(x - y) - 2 * np.sin(x) * np.sin(2 * y))
        errors.append(mixed(f, h, **options) + 2 * np.cos(x) * np.sin(2 * y))
        return np.array([abs(each).max() for each in errors])

    found = np.log2(error(80) / error(160))
    assert (found > order - 0.35).all() and (found < order + 1.5).all(), found


def test_the_curl_of_a_gradient_and_the_divergence_of_a_curl_vanish():
    source = np.random.default_rng(4)
    f, F = source.normal(size=(8, 9, 10)), source.normal(size=(3, 8, 9, 10))
    for boundary in BOUNDARIES:
        gradient = [derivative(f, axis, boundary=boundary) for axis in range(3)]
        assert abs(curl(gradient, boundary=boundary)).max() < 1e-13
        assert abs(divergence(curl(F, boundary=boundary), boundary=boundary)).max() < 1e-13


@pytest.mark.parametrize("order", [2, 4, 6, 8])
def test_a_constant_has_no_derivative_at_all(order):
    """Not one that is nearly 0."""
    f = np.full((10, 11, 12), 0.1)
    for boundary in ("one-sided", "periodic", "symmetric", "nearest"):
        options = {"order": order, "boundary": boundary}
        for found in (laplacian(f, 0.3, **options), divergence([f] * 3, 0.3, **options), magnitude(f, 0.3, **options),
                      curl([f] * 3, 0.3, **options), mixed(f, 0.3, axes=(0, 1), **options)):
            assert not found.any()


CALLS = {
    "laplacian": (laplacian, False), "magnitude": (magnitude, False), "mixed": (mixed, False),
    "divergence": (divergence, True), "curl": (curl, True),
}


def layouts(f):
    """The same numbers, lying otherwise; the last axes are those of the grid."""
    yield np.asfortranarray(f)
    yield np.repeat(f, 2, axis=-2)[..., ::2, :]
    yield np.repeat(f, 2, axis=-1)[..., ::2]
    yield f[..., ::-1, ::-1].copy()[..., ::-1, ::-1]
    yield np.ascontiguousarray(np.swapaxes(f, -1, -2)).swapaxes(-1, -2)
    yield f.astype(f.dtype.newbyteorder())
    frozen = f.copy()
    frozen.flags.writeable = False
    yield frozen
    unaligned = np.empty(f.nbytes + 1, "u1")[1:].view(f.dtype).reshape(f.shape)
    unaligned[...] = f
    yield unaligned


@pytest.mark.parametrize("dtype", ["f", "d", "g", "F", "D", "G"])
@pytest.mark.parametrize("name", CALLS)
def test_every_layout_and_type_is_taken(name, dtype):
    call, vector = CALLS[name]
    source = np.random.default_rng(5)
    shape = (2, 7, 9) if vector else (7, 9)
    f = source.normal(size=shape) + (1j * source.normal(size=shape) if dtype in "FDG" else 0)
    f = f.astype(dtype)
    expected = call(f.astype("G" if dtype in "FDG" else "g"), 0.5)
    plain = call(f, 0.5)
    assert plain.dtype == (f.real.dtype if name == "magnitude" else f.dtype)
    tolerance = 20 * np.finfo(dtype).eps * abs(expected).max()
    assert np.allclose(plain, expected, rtol=0, atol=tolerance)
    for other in layouts(f):
        found = call(other, 0.5)
        assert found.dtype == plain.dtype and found.dtype.isnative
        assert np.allclose(found, plain, rtol=0, atol=tolerance)
        out = np.empty_like(plain)
        assert call(other, 0.5, out=out) is out
        assert np.array_equal(out, found) or np.allclose(out, found, rtol=0, atol=tolerance)
    for out in layouts(np.full_like(plain, 7)):
        if out.flags.writeable:
            assert call(f, 0.5, out=out) is out
            assert np.allclose(out, plain, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", CALLS)
def test_other_numbers_are_converted(name):
    call, vector = CALLS[name]
    f = np.random.default_rng(6).integers(0, 2, (2, 6, 7) if vector else (6, 7))
    for dtype in ("?", "i1", "u1", "u8", "i8", "e"):
        found = call(f.astype(dtype))
        assert found.dtype == ("f" if dtype == "e" else "d")
        assert np.allclose(found, call(f.astype("d")))
    assert np.array_equal(call(f.tolist()), call(f.astype("d")))
    assert type(call(np.ma.array(f.astype("d")))) is np.ndarray


def test_results_lie_as_their_fields():
    f = np.asfortranarray(np.random.default_rng(7).normal(size=(6, 7, 8)))
    assert laplacian(f).flags.f_contiguous
    assert divergence([f] * 3).flags.f_contiguous
    permuted = np.ones((6, 7, 8)).transpose(1, 0, 2)
    assert magnitude(permuted).strides == permuted.strides


def test_components_may_be_arrays_of_several_types_and_layouts():
    source = np.random.default_rng(8)
    a, b = source.normal(size=(6, 7)), source.integers(0, 9, (6, 7)).astype("f")
    expected = divergence(np.stack([a, b.astype("d")]))
    for F in ([a, b], (a, np.asfortranarray(b)), [a.T.copy().T, b.tolist()]):
        assert np.allclose(divergence(F), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("axes", [0, 1, (0, 1), (1, 2), (2,), (0, 2), (-1, 0)])
@pytest.mark.parametrize("width", [1, 3, 5000])
def test_some_axes_only(axes, width):
    """Axes along which nothing is differentiated are channels, at any place."""
    f = np.random.default_rng(9).normal(size=(6, 7, width)) if width > 3 else \
        np.random.default_rng(9).normal(size=(6, 7, width + 3))
    if width == 5000 and axes in (1, (1, 2), (2,)):
        f = f[:, :, :50]
    along = axes if isinstance(axes, tuple) else (axes,)
    assert close(laplacian(f, axes=axes), sum(derivative(f, axis % 3, 2) for axis in along), f, 10)
    assert close(magnitude(f, axes=axes), np.sqrt(sum(derivative(f, axis % 3) ** 2 for axis in along)), f, 10)
    g = f + 1j * f[::-1]
    assert close(laplacian(g, axes=axes), laplacian(f, axes=axes) + 1j * laplacian(f[::-1], axes=axes), f, 10)
    x = [np.cumsum(np.random.default_rng(k).uniform(1, 2, f.shape[axis])) for k, axis in enumerate(along)]
    expected = sum(derivative(f, axis % 3, 2, x[k]) for k, axis in enumerate(along))
    assert close(laplacian(f, x, axes=axes), expected, f, 10)


def test_boundaries_may_differ_between_sides_and_axes():
    f = np.random.default_rng(10).normal(size=(7, 8))
    sides = ("symmetric", "one-sided")
    expected = derivative(f, 0, 2, boundary=sides) + derivative(f, 1, 2, boundary=sides)
    assert close(laplacian(f, boundary=sides), expected, f, 10)
    expected = derivative(f, 0, 2, boundary="periodic") + derivative(f, 1, 2, boundary=sides)
    for boundary in (["periodic", sides], ("periodic", sides), (("periodic", "periodic"), sides)):
        assert close(laplacian(f, boundary=boundary), expected, f, 10)
    expected = derivative(f, 0, 2, boundary="nearest") + derivative(f, 1, 2, boundary="symmetric")
    assert close(laplacian(f, boundary=["nearest", "symmetric"]), expected, f, 10)


def test_coordinates_of_one_axis_need_no_list():
    x = np.array([0.0, 1.0, 1.5, 3.5, 4.0, 6.0])
    assert np.allclose(laplacian(x**2, x), 2)
    assert np.allclose(laplacian(x**2, [x]), 2)
    assert np.allclose(laplacian(x**2, list(x)), 2)
    assert np.allclose(laplacian(x[:, None] ** 2 * np.ones(4), x, axes=0), 2)


def test_edges_may_have_an_order_of_their_own():
    x = np.linspace(0, 1, 9)
    assert np.allclose(laplacian(x**5, 1 / 8, order=4, edge_order=4), 20 * x**3, atol=1e-9)
    rough = laplacian(x**5, 1 / 8, order=4, edge_order=1)
    assert np.allclose(rough[2:-2], 20 * x[2:-2] ** 3) and abs(rough[0] - 0) > 1e-3


@pytest.mark.parametrize("order", [2, 4])
def test_nan_spreads_to_its_stencil_and_no_further(order):
    for place in ((0, 0), (6, 6), (12, 5), (6, 12)):
        f, reach = np.zeros((13, 13)), order // 2
        f[place] = np.nan
        row, column = np.abs(np.indices(f.shape) - np.reshape(place, (2, 1, 1)))
        edges = {0, 1, 11, 12} if order == 4 else {0, 12}
        for name, (call, _) in CALLS.items():
            if name in ("divergence", "curl"):
                continue
            found = np.isnan(call(f, order=order))
            if name == "laplacian" and place == (6, 6):
                assert found.sum() == 4 * reach + 1
            elif name == "magnitude" and place == (6, 6):
                assert found.sum() == 4 * reach and not found[place]
            far = (row > 4 + order) | (column > 4 + order)
            assert not found[far].any()
            if name != "mixed":
                assert not found[(row > 0) & (column > 0)].any()
        assert edges


@given(st.lists(st.integers(4, 9), min_size=1, max_size=3).map(tuple), st.integers(0, 2**32),
       st.sampled_from(BOUNDARIES))
def test_scaling_by_powers_of_two_scales_the_result(shape, seed, boundary):
    f = np.random.default_rng(seed).normal(size=shape)
    for call, power in ((laplacian, 2), (magnitude, 1)):
        assert same_bits(call(f * 4, 0.5, boundary=boundary), call(f, boundary=boundary) * 4 * 2**power)


def test_magnitudes_are_right_where_squares_are_not():
    f = np.array([3.0, 3.0, 3.0])[:, None] * np.arange(3) + 4 * np.arange(3.0)[:, None]
    for scale in (1e-200, 1e-308, 1e200, 1e306):
        assert np.allclose(magnitude(f * scale) / scale, np.hypot(3, 4))
    assert np.allclose(magnitude(1j * f * 1e-200) * 1e200, np.hypot(3, 4))
    assert np.allclose(magnitude((f * 1e-30).astype("f")) * np.float64(1e30), np.hypot(3, 4))


@pytest.mark.parametrize("name", CALLS)
def test_out_is_checked_before_anything_is_written(name):
    call, vector = CALLS[name]
    f = np.ones((2, 6, 7) if vector else (6, 7))
    frozen, twice = np.zeros((6, 7)), np.lib.stride_tricks.as_strided(np.zeros(20), (6, 7), (8, 8))
    frozen.flags.writeable = False
    part = f[0] if vector else f
    for out, error, words in (
        (np.zeros((7, 6)), ValueError, r"out must have shape \(6, 7\)"),
        (np.zeros((6, 7), "f"), TypeError, "out must have dtype"),
        (np.zeros((6, 7), "D"), TypeError, "out must have dtype"), (frozen, ValueError, "out must be writeable"),
        (twice, ValueError, "out must not overlap itself"), ([0.0], TypeError, "out must be an array"),
        (part, ValueError, "out must not overlap"), (part[::-1], ValueError, "out must not overlap"),
    ):
        with pytest.raises(error, match=words):
            call(f, out=out)
    assert (f == 1).all()
    x = np.arange(6.0)
    with pytest.raises(ValueError, match="overlap"):
        laplacian(np.ones(6), x, out=x)


def test_mistakes_are_named():
    f = np.ones((6, 7))
    for call, error, words in (
        (lambda: laplacian(f, boundary="wrap"), ValueError, "boundary of axis 0 must be one of 'one-sided'"),
        (lambda: laplacian(f, boundary=["periodic", "wrap"]), ValueError, "boundary of axis 1"),
        (lambda: laplacian(f, boundary=["periodic"] * 3), ValueError, "boundary must be .* 2 axes"),
        (lambda: laplacian(f, boundary=("periodic", "nearest")), ValueError, "axis 0 must be periodic on both"),
        (lambda: laplacian(f, boundary=3), TypeError, "boundary of axis 0"),
        (lambda: laplacian(f, [1.0]), ValueError, "spacing must be one number or have 2 entries"),
        (lambda: laplacian(f, [1.0, 2.0, 3.0]), ValueError, "not 3"),
        (lambda: laplacian(f, "1"), TypeError, "spacing must be a number"),
        (lambda: laplacian(f, None), TypeError, "spacing must be a number"),
        (lambda: laplacian(f, 1j), TypeError, "spacing must be numbers"),
        (lambda: laplacian(f, 0.0), ValueError, "step of axis 0 must be finite and not 0"),
        (lambda: laplacian(f, [1.0, np.nan]), ValueError, "step of axis 1"),
        (lambda: laplacian(f, [1.0, np.arange(6.0)]), ValueError, "spacing of axis 1 must be .* 7 coordinates"),
        (lambda: laplacian(f, [np.zeros(6), 1.0]), ValueError, "coordinates of axis 0 .* numbers 0 and 1 are equal"),
        (lambda: laplacian(f, [np.r_[0:5.0, np.nan], 1.0]), ValueError, "coordinates of axis 0 must be finite"),
        (lambda: laplacian(f[:3]), ValueError, "axis 0 has 3 points.* needs at least 4"),
        (lambda: laplacian(f, order=6), ValueError, "axis 0 has 6 points"),
        (lambda: laplacian(f, order=3), ValueError, "order must be even"),
        (lambda: laplacian(f, order=2.0), TypeError, "order must be an integer"),
        (lambda: laplacian(f, edge_order=0), ValueError, "edge_order"),
        (lambda: laplacian(f, period=7.0), ValueError, "period is for boundary='periodic'"),
        (lambda: laplacian(f, [np.arange(6.0) ** 2, 1.0], boundary="periodic"), ValueError, "axis 0 .* period="),
        (lambda: laplacian(f, boundary="periodic", period=[1.0]), ValueError, "period must be one number or have 2"),
        (lambda: laplacian(f, axes=2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda: laplacian(f, axes=(0, -2)), ValueError, "axes must be at least one axis, each at most once"),
        (lambda: laplacian(f, axes=()), ValueError, "axes must be at least one"),
        (lambda: laplacian(f, axes=0.5), TypeError, "integer"),
        (lambda: laplacian(3.0), ValueError, "f must have at least one axis"),
        (lambda: laplacian("abc"), TypeError, "f must be an array of numbers"),
        (lambda: laplacian(np.array(["2026-01-01"], "M8[D]")), TypeError, "f must be an array of numbers"),
        (lambda: laplacian([[1.0], [1.0, 2.0]]), ValueError, "f must be an array of numbers"),
        (lambda: laplacian(np.ma.array(f, mask=f > 0)), TypeError, "f must not be a masked array"),
        (lambda: laplacian(f, threads=0), ValueError, "threads must be at least 1"),
        (lambda: laplacian(f, threads=True), TypeError, "threads must be an integer"),
        (lambda: divergence(np.ones((3, 6, 7))), ValueError, "components first"),
        (lambda: divergence([f, f[1:]]), ValueError, r"F\[1\] must have the shape of F\[0\]"),
        (lambda: divergence([]), ValueError, "components first"),
        (lambda: curl(np.ones((1, 6))), ValueError, "2 components of 2 dimensions or 3 of 3"),
        (lambda: curl(np.ones((4, 6, 6, 6, 6))), ValueError, "2 components"),
        (lambda: mixed(f, n=(1, 1, 1)), ValueError, "n must be one number or 2"),
        (lambda: mixed(f, n=0), ValueError, "n must be an integer from 1"),
        (lambda: mixed(f, axes=(0, 0)), ValueError, "each at most once"),
    ):
        with pytest.raises(error, match=words):
            call()


@pytest.mark.parametrize("boundary", ["periodic", "symmetric", "antisymmetric", "nearest"])
def test_fields_shorter_than_a_stencil_are_continued(boundary):
    for shape in ((1, 1), (2, 3), (1, 5)):
        f = np.random.default_rng(11).normal(size=shape)
        expected = sum(derivative(f, axis, 2, order=6, boundary=boundary) for axis in range(2))
        assert close(laplacian(f, order=6, boundary=boundary), expected, f, 10)


def test_fields_of_nothing_give_nothing():
    f = np.ones((0, 6))
    assert laplacian(f, axes=1).shape == (0, 6)
    with pytest.raises(ValueError, match="axis 0"):
        laplacian(f)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_give_the_bits_of_one(threads):
    f = np.random.default_rng(12).normal(size=(3, 60, 70, 80))
    assert same_bits(laplacian(f[0], threads=threads), laplacian(f[0], threads=1))
    assert same_bits(curl(f, threads=threads), curl(f, threads=1))


def test_plans_are_remembered_by_all_that_matters():
    f = np.random.default_rng(13).normal(size=(9, 9))
    grid_fields._remembered.cache_clear()
    found = [laplacian(f), laplacian(f, 2.0), laplacian(f, order=4), laplacian(f, boundary="periodic"),
             laplacian(f, axes=0), laplacian(f, edge_order=1), magnitude(f), mixed(f), mixed(f, n=2),
             laplacian(f.astype("f")).astype("d")]
    assert all(not np.array_equal(a, b) for k, a in enumerate(found) for b in found[:k])
    again = [laplacian(f), laplacian(f, [2.0, 2]), laplacian(f, order=4), laplacian(f, boundary=["periodic"] * 2)]
    assert all(map(same_bits, again, found[:4]))
    assert grid_fields._remembered.cache_info().hits >= 4


def test_fields_are_left_as_they_are():
    F = np.random.default_rng(14).normal(size=(3, 6, 7, 8))
    kept = F.copy()
    for call in (divergence, curl, functools.partial(laplacian, axes=(1, 2, 3)), magnitude):
        call(F)
        assert same_bits(F, kept)
