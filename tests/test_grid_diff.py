"""Derivatives of sampled fields: of the order they promise, whatever the grid, the edges, the type and the layout.

Here as the specification of `sd.grid.diff`. Tests grid_diff.py; the rules are tested in test_grid_rules.py, the kernels
in test_weighted.py.
"""

import contextlib
import signal
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import same_bits

import steepest as sd
from steepest.grid_rules import axis_rule

PERIODIC, PAIR = "periodic", ("one-sided", "symmetric")
PI = "3.14159265358979323846264338327950288"
BOUNDARIES = ["one-sided", "periodic", "symmetric", "antisymmetric", PAIR]


def derivative_of(kind, n):
    """A smooth function that goes on as a boundary says, between 0 and 1, and its n-th derivative."""
    turn, pi = n * np.longdouble(PI) / 2, np.longdouble(PI)
    if kind == "periodic":
        return lambda x: np.sin(2 * pi * x + turn) * (2 * pi) ** n
    if kind == "symmetric":
        return lambda x: np.cos(pi * x + turn) * pi**n
    if kind == "antisymmetric":
        return lambda x: np.sin(pi * x + turn) * pi**n
    return lambda x: np.cos(pi * (x - 1) + turn) * pi**n + (0 if n else 3)


def grid_of(points, kind):
    """Nodes between 0 and 1 whose mirrors, half a cell beyond the ends, are 0 and 1."""
    step = np.ones(points - 1) if kind == "even" else np.resize([1.0, 1.5, 0.75], points - 1)
    x = np.concatenate([[0], np.cumsum(step)]).astype(np.longdouble) + step[0] / 2
    return x / (x[-1] + step[-1] / 2)


def error_of(points, kind, boundary, n, order, direction, edge_order):
    """The largest error of a derivative, in longdouble: rounding would hide high orders."""
    x = grid_of(points, kind)
    options = {}
    if boundary == "periodic" and kind == "rough":
        options["period"] = 1.0
    name = boundary if isinstance(boundary, str) else "pair"
    spacing = x[1] - x[0] if kind == "even" else x
    f = derivative_of(name, 0)(x)
    found = sd.grid.diff(f, spacing, n=n, order=order, edge_order=edge_order, boundary=boundary, direction=direction,
                         **options)
    return abs(found - derivative_of(name, n)(x)).max()


CASES = [(n, order, direction, None) for n in (1, 2, 3, 4) for order in (2, 4, 6) for direction in ("central",)]
CASES += [(n, order, direction, None) for n in (1, 2) for order in (1, 2, 3, 4)
          for direction in ("forward", "backward")]
CASES += [(1, 4, "central", 2), (2, 2, "central", 4), (1, 6, "central", 3)]


@pytest.mark.parametrize("kind", ["even", "rough"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("n", "order", "direction", "edge_order"), CASES)
def test_the_error_falls_with_the_order_that_was_asked_for(kind, boundary, n, order, direction, edge_order):
    expected = order if edge_order is None or "one-sided" not in boundary else min(order, edge_order)
    coarse = 48 if n + order < 9 else 36
    errors = [error_of(points, kind, boundary, n, order, direction, edge_order) for points in (coarse, 2 * coarse)]
    assert np.log2(errors[0] / errors[1]) >= expected - 0.3


@pytest.mark.parametrize("order", [8, 12])
@pytest.mark.parametrize("n", [1, 2])
def test_high_orders_reach_rounding_on_few_samples(n, order):
    x = np.arange(64) / 64
    found = sd.grid.diff(np.sin(2 * np.pi * x), 1 / 64, n=n, order=order, boundary="periodic")
    assert abs(found - derivative_of("periodic", n)(x)).max() < {8: 2e-6, 12: 5e-10}[order]


def test_beyond_the_nearest_sample_the_field_is_constant(backend):
    f = np.array([1.0, 4.0, 9.0, 16.0])
    assert sd.grid.diff(f, boundary="nearest").tolist() == [1.5, 4.0, 6.0, 3.5]
    assert sd.grid.diff(f, n=2, boundary="nearest").tolist() == [3.0, 2.0, 2.0, -7.0]
    assert sd.grid.diff(f, boundary=("nearest", "antisymmetric")).tolist() == [1.5, 4.0, 6.0, -12.5]


def test_edges_are_numpys_for_its_own_orders(backend):
    f = np.random.default_rng(0).normal(size=(7, 9))
    assert sd.grid.diff(f, 0.5, axis=0) == pytest.approx(np.gradient(f, 0.5, axis=0, edge_order=2), rel=1e-13)
    assert sd.grid.diff(f, 0.5, edge_order=1) == pytest.approx(np.gradient(f, 0.5, axis=1), rel=1e-13)
    x = np.array([0.0, 1.0, 1.5, 3.0, 4.5, 5.0, 7.0])
    assert sd.grid.diff(f, x, axis=0) == pytest.approx(np.gradient(f, x, axis=0, edge_order=2), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_periodic_is_what_rolled_arrays_give(backend, n, order):
    f = np.random.default_rng(0).normal(size=(11, 40))
    rule = axis_rule(40, 0.5, n, order, boundary="periodic")
    rolled = sum(w * np.roll(f, -k, axis=1) for k, w in zip(rule.offsets, rule.weights, strict=True))
    found = sd.grid.diff(f, 0.5, n=n, order=order, boundary="periodic")
    assert found == pytest.approx(rolled, rel=1e-12, abs=1e-11)
    for shift in (1, 17):       # bit for bit wherever the period is cut, inside and at edges alike, but for their order
        moved = sd.grid.diff(np.roll(f, shift, axis=1), 0.5, n=n, order=order, boundary="periodic")
        assert np.roll(moved, -shift, axis=1) == pytest.approx(found, rel=1e-12, abs=1e-11)


@given(data=st.data(), n=st.integers(1, 3), order=st.sampled_from([2, 4, 6]))
def test_polynomials_are_differentiated_exactly_on_random_grids(data, n, order):
    source = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    points = data.draw(st.integers(n + order + 1, 30))
    x = np.cumsum(source.uniform(0.5, 1.5, size=points)) - points / 2
    p = np.polynomial.Polynomial(source.normal(size=n + order), domain=[-points / 2, points / 2])
    found = sd.grid.diff(p(x), x, n=n, order=order)
    size = abs(axis_rule(points, x, n, order).to_coo()[2]).max() * abs(p(x)).max()
    assert abs(found - p.deriv(n)(x)).max() <= 1e-12 * size


@pytest.mark.parametrize("boundary", ["one-sided", "symmetric", "nearest", "periodic"])
def test_a_constant_has_the_derivative_zero_exactly(backend, boundary):
    for f in (np.full(20, 0.1), np.full(20, 1e9 / 3, np.float32), np.full(20, 1 / 3 + 7j)):
        for spacing in (0.3, np.cumsum(np.random.default_rng(0).uniform(1, 2, size=20))):
            period = 40.0 if boundary == "periodic" and np.ndim(spacing) else None
            for n, order in ((1, 2), (2, 4), (3, 2)):
                assert not sd.grid.diff(f, spacing, n=n, order=order, boundary=boundary, period=period).any()


def test_descending_coordinates_and_negative_steps_turn_the_sign(backend):
    f = np.random.default_rng(0).normal(size=12)
    x = np.cumsum(np.random.default_rng(1).uniform(1, 2, size=12))
    assert sd.grid.diff(f, -0.5) == pytest.approx(-sd.grid.diff(f, 0.5))
    assert sd.grid.diff(f, -0.5, n=2) == pytest.approx(sd.grid.diff(f, 0.5, n=2))
    assert sd.grid.diff(f[::-1], x[::-1]) == pytest.approx(sd.grid.diff(f, x)[::-1])
    assert sd.grid.diff(f, -x) == pytest.approx(-sd.grid.diff(f, x))


def test_forward_and_backward_take_samples_on_their_side(backend):
    f = np.arange(6.0) ** 2
    assert sd.grid.diff(f, order=1, direction="forward").tolist() == [1, 3, 5, 7, 9, 9]
    assert sd.grid.diff(f, order=1, direction="backward").tolist() == [1, 1, 3, 5, 7, 9]
    assert sd.grid.diff(f, order=2, direction="forward") == pytest.approx(2 * np.arange(6.0))


def test_upwind_goes_against_the_velocity(backend):
    f = np.arange(6.0) ** 2
    forward, backward = (sd.grid.diff(f, order=1, direction=name) for name in ("forward", "backward"))
    velocity = np.array([1.0, -1.0, 0.0, -0.0, -2.0, np.nan])
    expected = np.where(velocity < 0, forward, backward)
    expected[5] = np.nan
    assert sd.grid.diff(f, order=1, direction="upwind", velocity=velocity) == pytest.approx(expected, nan_ok=True)
    assert same_bits(sd.grid.diff(f, order=1, direction="upwind", velocity=-3), forward)
    assert same_bits(sd.grid.diff(f, order=1, direction="upwind", velocity=3.0), backward)
    # velocity points to larger coordinates, wherever these are
    assert same_bits(sd.grid.diff(f, -1.0, order=1, direction="upwind", velocity=3.0), -forward)
    field = np.random.default_rng(0).normal(size=(4, 6))
    out = np.empty((4, 6))
    sd.grid.diff(field, direction="upwind", velocity=velocity[None, :5].repeat(4, 0)[:, :1], out=out)
    assert same_bits(out, sd.grid.diff(field, direction="backward"))


# NaN

@pytest.mark.parametrize("shape", [(40,), (40, 3), (3, 40), (40, 300), (2, 40, 5), (300, 40), (40, 700)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_spreads_to_its_stencil_and_no_further(backend, shape, bad):
    axis = shape.index(40)
    for options in ({"n": 1}, {"n": 1, "order": 4}, {"n": 2, "order": 2}, {"boundary": "periodic"},
                    {"spacing": np.cumsum(np.random.default_rng(0).uniform(1, 2, size=40))},
                    {"n": 2, "spacing": np.cumsum(np.random.default_rng(0).uniform(1, 2, size=40))}):
        rule = axis_rule(40, **options)
        row, column, _ = rule.to_coo()
        for place in (0, 1, 2, 17, 38, 39):
            f = np.random.default_rng(0).normal(size=shape)
            index = tuple(place if i == axis else n // 2 for i, n in enumerate(shape))
            f[index] = bad
            reached = np.zeros(shape, bool)
            for i in row[column == place]:
                reached[(*index[:axis], i, *index[axis + 1 :])] = True
            assert (np.isfinite(sd.grid.diff(f, axis=axis, **options)) == ~reached).all()


# types, layouts, out

@pytest.mark.parametrize(("given", "found"), [
    ("f", "f"), ("d", "d"), ("g", "g"), ("F", "F"), ("D", "D"), ("G", "G"), ("e", "f"), ("i4", "d"), ("u1", "d"),
    ("?", "d"), (">f8", "d"), (">c8", "F"), (">f4", "f")])
def test_types_are_kept_and_integers_are_not_wrapped_around(backend, given, found):
    f = np.array([3, 1, 2, 0, 1]).astype(given)
    result = sd.grid.diff(f, 0.5)
    assert result.dtype == np.dtype(found)
    assert result.dtype.isnative
    expected = np.gradient(f.astype(np.dtype(found)), 0.5, edge_order=2)
    assert result == pytest.approx(expected, rel=1e-6)


def test_longdouble_is_worked_out_in_its_precision(backend):
    f, slope = derivative_of("periodic", 0), derivative_of("periodic", 1)
    for kind in ("even", "rough"):
        x = grid_of(120, kind)
        found = sd.grid.diff(f(x), x, order=14, boundary="periodic", period=1)
        assert found.dtype == np.longdouble
        assert abs(found - slope(x)).max() < 5e3 * np.finfo(np.longdouble).eps


@pytest.mark.parametrize("dtype", ["f", "d", "g", "D"])
def test_any_layout_of_f_and_out_has_the_bits_of_a_contiguous_one(backend, dtype):
    f = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(dtype)
    for axis in range(3):
        expected = sd.grid.diff(f, axis=axis, order=4)
        for same in (np.asfortranarray(f), f[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
                     np.repeat(f, 2, axis=2)[..., ::2], np.moveaxis(np.moveaxis(f, 0, -1).copy(), -1, 0),
                     f.astype(f.dtype.newbyteorder())):
            assert same_bits(sd.grid.diff(same, axis=axis - 3, order=4), expected)
        for out in (np.empty_like(f), np.asfortranarray(f), np.empty((6, 14, 8), dtype)[:, ::2],
                    np.empty((6, 14, 8), dtype)[:, ::-2], np.empty_like(f, f.dtype.newbyteorder()),
                    np.empty((6, 7, 8), np.dtype([("a", dtype), ("b", "i1")]))["a"]):
            assert sd.grid.diff(f, axis=axis, order=4, out=out) is out
            assert same_bits(np.asarray(out, dtype), expected)


def test_results_lie_in_memory_as_fields_do():
    f = np.asfortranarray(np.ones((5, 6)))
    assert sd.grid.diff(f).flags.f_contiguous
    frozen = np.ones(5)
    frozen.flags.writeable = False
    assert sd.grid.diff(frozen).flags.writeable
    assert sd.grid.diff([1.0, 2.0, 4.0]).tolist() == [0.5, 1.5, 2.5]
    assert sd.grid.diff(np.ones((0, 5))).shape == (0, 5)
    assert type(sd.grid.diff(np.ones(3).view(np.memmap))) in (np.ndarray, np.memmap)


def test_fields_without_a_copy_need_no_memory():
    """Neither kernels nor the calls around them make an array of the size of the field."""
    import tracemalloc

    f = np.random.default_rng(0).normal(size=(500, 400))
    out = np.empty_like(f)
    x = np.cumsum(np.random.default_rng(1).uniform(1, 2, size=500))
    for options in ({"axis": 0}, {"axis": 1, "order": 4}, {"axis": 0, "boundary": "periodic", "n": 2},
                    {"axis": 0, "spacing": x}):
        sd.grid.diff(f, out=out, **options)
        tracemalloc.start()
        try:
            sd.grid.diff(f, out=out, **options)
            assert tracemalloc.get_traced_memory()[1] < f.nbytes / 8
        finally:
            tracemalloc.stop()


FROZEN = np.ones((4, 5))
FROZEN.flags.writeable = False
F = np.ones((4, 5))
OVERLAPPING = np.lib.stride_tricks.as_strided(np.ones(5), (4, 5), (0, 8))


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"out": np.ones((5, 4))}, ValueError, r"out must have shape \(4, 5\)"),
    ({"out": np.ones((4, 5), "f")}, TypeError, "out must have dtype float64"),
    ({"out": [1.0]}, TypeError, "out must be an array, not list"),
    ({"out": FROZEN}, ValueError, "out must be writeable"),
    ({"out": OVERLAPPING}, ValueError, "out must not overlap itself"),
    ({"out": F}, ValueError, "out must not overlap f"),
    ({"out": F[::-1]}, ValueError, "out must not overlap f"),
    ({"axis": 2}, np.exceptions.AxisError, "axis 2 is out of bounds"),
    ({"axis": -3}, np.exceptions.AxisError, "axis -3 is out of bounds"),
    ({"axis": 1.0}, TypeError, "axis must be an integer"),
    ({"axis": None}, TypeError, "axis must be an integer"),
    ({"f": np.ones((4, 2))}, ValueError, "axis 1 has 2 points"),
    ({"f": np.ones((4, 2)), "axis": -1, "order": 4}, ValueError, "axis 1 has 2 points"),
    ({"f": np.float64(3)}, np.exceptions.AxisError, "out of bounds"),
    ({"f": np.ones((4, 0))}, ValueError, "axis 1 has 0 points"),
    ({"f": "abc"}, TypeError, "f must be an array of numbers, not str"),
    ({"f": None}, TypeError, "f must be an array of numbers"),
    ({"f": np.array([object()] * 4)}, TypeError, "f must be numeric, not of dtype object"),
    ({"f": np.array(["2024-01-01"] * 4, "M8[D]")}, TypeError, "f must be numeric"),
    ({"f": np.ma.masked_array(np.ones(4), [0, 1, 0, 0])}, TypeError, "masked"),
    ({"f": [[1.0], [1.0, 2.0]]}, ValueError, "f must be an array of numbers"),
    ({"spacing": np.ones(4)}, ValueError, "spacing of axis 1 must be a step or the 5 coordinates"),
    ({"boundary": "mirror"}, ValueError, "boundary of axis 1 must be one of"),
    ({"direction": "downwind"}, ValueError, "direction must be one of"),
    ({"direction": "upwind"}, ValueError, "direction='upwind' along axis 1 needs velocity="),
    ({"velocity": 1.0}, ValueError, "velocity is for direction='upwind'"),
    ({"direction": "upwind", "velocity": np.ones(4)}, ValueError, r"velocity must .* shape of f, \(4, 5\)"),
    ({"direction": "upwind", "velocity": 1j}, TypeError, "velocity must be real"),
    ({"direction": "upwind", "velocity": "fast"}, TypeError, "velocity must be real"),
    ({"threads": 0}, ValueError, "threads must be at least 1"),
    ({"threads": 1.5}, TypeError, "threads must be an integer"),
])
def test_bad_arguments_are_named_before_anything_is_changed(backend, options, error, message):
    options = {"f": F, "out": None, **options}
    out, f = options["out"], options.pop("f")
    if out is None:
        out = options["out"] = np.full(np.shape(f) if not isinstance(f, list) else (4, 5), 7.5)
    before = np.array(out)
    with pytest.raises(error, match=message):
        sd.grid.diff(f, **options)
    assert (np.array(out) == before).all()
    assert (F == 1).all()


def test_out_may_share_an_array_with_f_as_long_as_no_element_is_shared(backend):
    both = np.arange(20.0)
    expected = sd.grid.diff(both[::2].copy())
    assert same_bits(sd.grid.diff(both[::2], out=both[1::2]), expected)
    x = np.array([0.0, 1.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="out must not overlap the coordinates"):
        sd.grid.diff(np.ones(4), x, out=x)
    v = np.ones(4)
    with pytest.raises(ValueError, match="out must not overlap"):
        sd.grid.diff(np.ones(4), direction="upwind", velocity=v, out=v)


# threads, signals

def test_threads_do_not_change_the_bits(monkeypatch):
    from steepest import threads

    monkeypatch.setattr(threads, "PAYS", 0)
    f = np.random.default_rng(0).normal(size=(900, 1100))
    for axis in (0, 1):
        alone = sd.grid.diff(f, axis=axis, order=4, threads=1)
        assert same_bits(sd.grid.diff(f, axis=axis, order=4, threads=3), alone)
        assert same_bits(sd.grid.diff(f, axis=axis, order=4), alone)


def test_several_threads_may_differentiate_at_once():
    f = np.random.default_rng(0).normal(size=(300, 301))
    expected = sd.grid.diff(f, 0.37, order=4)
    wrong = []

    def work():
        for _ in range(20):
            if not same_bits(sd.grid.diff(f, 0.37, order=4), expected):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize("shape", [(100, 200_000), (20_000_000,), (1_000_000, 20)])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.interrupted
def test_ctrl_c_ends_a_sweep_before_its_end(shape, threads):
    f, out = np.zeros(shape, np.float32), np.full(shape, 7.5, np.float32)
    stop, interrupted = threading.Event(), 0
    sd.grid.diff(f[:2], order=2, boundary="periodic")

    def press():
        while not stop.wait(0.03):
            signal.raise_signal(signal.SIGINT)

    presser = threading.Thread(target=press)
    try:
        presser.start()
        while True:
            sd.grid.diff(f, axis=-1, order=90, boundary="periodic", out=out, threads=threads)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        while presser.is_alive():
            with contextlib.suppress(KeyboardInterrupt):
                stop.set()
                presser.join()
    assert interrupted
    assert out.reshape(-1)[-1] == 7.5
