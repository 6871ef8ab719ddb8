"""Rules along an axis: exact for polynomials on any grid, continued as they say, complete, and refused where senseless.

Here because `diff`, operators and vector operators are made of them. Tests grid_rules.py and grid_spacing.py.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steepest.grid_rules import BOUNDARIES, axis_rule, fold, offsets_of

RIGHT = 2e-9


def matrix(rule):
    """The linear map as a matrix."""
    row, column, weight = rule.to_coo()
    assert len(set(zip(row.tolist(), column.tolist(), strict=True))) == len(row)
    dense = np.zeros((rule.points, rule.points))
    dense[row, column] = weight
    return dense


def continued(f, j, boundary):
    """A field at any place, by the definition of its continuation."""
    points = len(f)
    if 0 <= j < points:
        return f[j]
    side = boundary[0] if j < 0 else boundary[1]
    if side == "periodic":
        return f[j % points]
    if side == "nearest":
        return f[0 if j < 0 else -1]
    mirrored = continued(f, -1 - j if j < 0 else 2 * points - 1 - j, boundary)
    return -mirrored if side == "antisymmetric" else mirrored


def test_offsets_are_the_nodes_of_the_textbook():
    assert offsets_of(1, 2) == (-1, 1)
    assert offsets_of(2, 2) == (-1, 0, 1)
    assert offsets_of(1, 4) == (-2, -1, 1, 2)
    assert offsets_of(3, 2) == (-2, -1, 1, 2)
    assert offsets_of(4, 4) == (-3, -2, -1, 0, 1, 2, 3)
    assert offsets_of(1, 2, uniform=False) == (-1, 0, 1)
    assert offsets_of(2, 2, uniform=False) == (-1, 0, 1, 2)
    assert offsets_of(1, 3, "forward") == (0, 1, 2, 3)
    assert offsets_of(2, 1, "backward") == (-2, -1, 0)


@given(data=st.data(), n=st.integers(1, 4), order=st.sampled_from([2, 4, 6]), descending=st.booleans(),
       direction=st.sampled_from(["central", "forward", "backward"]), edge_order=st.sampled_from([None, 1, 2, 5]))
def test_every_row_is_exact_for_polynomials_on_any_grid(data, n, order, descending, direction, edge_order):
    edge = order if edge_order is None else edge_order
    points = data.draw(st.integers(max(n + edge, 3), 20))
    x = np.cumsum(np.random.default_rng(data.draw(st.integers(0, 10_000))).uniform(0.3, 2, size=points))
    x = (x - x.mean())[:: -1 if descending else 1]
    rule = axis_rule(points, x, n, order, edge_order, direction=direction)
    assert not rule.uniform
    dense = matrix(rule)
    for i in range(points):
        outside = not rule.start <= i < rule.stop
        for degree in range(n + (edge if outside else order)):
            t = x - x[i]        # about the row's own node, where only one power has a derivative
            expected = float(np.prod(np.arange(1, n + 1))) if degree == n else 0.0
            size = abs(dense[i] * t**degree).max() + abs(expected)
            assert abs(dense[i] @ t**degree - expected) <= RIGHT * size


@pytest.mark.parametrize("step", [0.1, -3.0])
@pytest.mark.parametrize(("n", "order"), [(1, 2), (1, 6), (2, 2), (2, 8), (3, 4), (4, 2)])
def test_a_step_and_the_same_coordinates_give_the_same_rule(n, order, step):
    # powers of two, or coordinates are not quite evenly spaced
    step = np.sign(step) * 0.125
    points = n + order + 6
    one, other = axis_rule(points, step, n, order), axis_rule(points, step * np.arange(points), n, order)
    assert one.uniform and other.uniform
    assert (matrix(one) == matrix(other)).all()


@pytest.mark.parametrize("boundary", ["periodic", "symmetric", "antisymmetric", "nearest",
                                      ("antisymmetric", "nearest"), ("symmetric", "antisymmetric")])
@pytest.mark.parametrize(("n", "order", "direction"), [(1, 2, "central"), (2, 4, "central"), (1, 6, "central"),
                                                       (3, 3, "forward"), (1, 2, "backward")])
@pytest.mark.parametrize("points", [12, 4, 2, 1])
def test_continuation_is_that_of_a_padded_field(boundary, n, order, direction, points):
    """Folded weights on real nodes do what plain weights do on ghosts, also where a ghost is a ghost of a ghost."""
    f = np.random.default_rng(0).normal(size=points)
    rule = axis_rule(points, 0.5, n, order, boundary=boundary, direction=direction)
    reach = n + order
    wide = axis_rule(points + 2 * reach, 0.5, n, order, boundary="nearest", direction=direction)
    padded = np.array([continued(f, j, rule.boundary) for j in range(-reach, points + reach)])
    assert matrix(rule) @ f == pytest.approx((matrix(wide) @ padded)[reach:-reach], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("boundary", ["periodic", "symmetric", "antisymmetric", "nearest"])
def test_coordinates_are_continued_as_the_field_is(boundary):
    """A field that is smooth across the mirror, or around the period, is differentiated at full order at the edges."""
    x = np.array([0.5, 1.5, 2.1, 2.5, 3.4, 4.2, 5.0, 6.0])     # mirrors at 0 and 6.5
    period = 7.0 if boundary == "periodic" else None
    wave = {
        "periodic": lambda t: np.cos(2 * np.pi * t / 7), "symmetric": lambda t: np.cos(np.pi * t / 6.5),
        "antisymmetric": lambda t: np.sin(np.pi * t / 6.5), "nearest": lambda t: np.ones_like(t),
    }[boundary]
    slope = {
        "periodic": lambda t: -2 * np.pi / 7 * np.sin(2 * np.pi * t / 7),
        "symmetric": lambda t: -np.pi / 6.5 * np.sin(np.pi * t / 6.5),
        "antisymmetric": lambda t: np.pi / 6.5 * np.cos(np.pi * t / 6.5), "nearest": lambda t: 0 * t,
    }[boundary]
    found = matrix(axis_rule(8, x, order=6, boundary=boundary, period=period)) @ wave(x)
    assert found == pytest.approx(slope(x), abs=3e-3)


def test_rows_near_a_one_sided_edge_use_the_nearest_nodes():
    rule = axis_rule(12, n=1, order=4)
    assert [edge.row for edge in rule.edges] == [0, 1, 10, 11]
    assert [edge.indices.tolist() for edge in rule.edges] == [
        [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [7, 8, 9, 10, 11], [7, 8, 9, 10, 11]]
    assert [edge.indices.tolist() for edge in axis_rule(12, order=4, edge_order=2).edges] == [
        [0, 1, 2], [0, 2], [9, 11], [9, 10, 11]]
    assert len(axis_rule(12, order=2, edge_order=8).edges[0].indices) == 9


def test_a_pair_of_boundaries_serves_each_side():
    rule = axis_rule(9, boundary=("one-sided", "symmetric"))
    assert matrix(rule)[0, :3].tolist() == [-1.5, 2.0, -0.5]
    assert matrix(rule)[-1, -2:].tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_reversing_the_axis_mirrors_the_rule(boundary):
    x = np.array([0.0, 0.7, 1.5, 2.9, 3.3, 4.6, 5.0, 6.1, 7.7])
    period = 9.0 if boundary == "periodic" else None
    one = axis_rule(9, x, 1, 4, boundary=boundary, period=period)
    other = axis_rule(9, x[::-1], 1, 4, boundary=boundary, period=period)
    assert matrix(other) == pytest.approx(matrix(one)[::-1, ::-1], rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_total_is_what_a_row_makes_of_a_constant(boundary):
    for x in (0.5, np.array([0.0, 0.7, 1.5, 2.9, 3.3, 4.6, 5.0, 6.1, 7.7])):
        period = 9.0 if boundary == "periodic" and np.ndim(x) else None
        rule = axis_rule(9, x, 1, 4, boundary=boundary, period=period)
        for edge in rule.edges:
            assert edge.weights.sum() == pytest.approx(edge.total, abs=1e-12 * abs(edge.weights).max())
            assert edge.total == 0 or boundary == "antisymmetric"


def test_ghosts_fold_back_on_real_nodes():
    f = np.arange(1.0, 4.0)
    for boundary in (("symmetric", "antisymmetric"), ("nearest", "antisymmetric"), ("periodic", "periodic")):
        nodes = np.arange(-9, 13)
        indices, signs = fold(nodes, 3, boundary)
        assert (f[indices] * signs).tolist() == [continued(f, j, boundary) for j in nodes]


def test_symmetric_is_the_padding_of_numpy():
    f = np.arange(5.0) ** 2
    padded = [continued(f, j, ("symmetric", "symmetric")) for j in range(-5, 10)]
    assert padded == np.pad(f, 5, mode="symmetric").tolist()


def test_rules_for_steps_are_kept_and_cannot_be_changed():
    rule = axis_rule(9, 0.5)
    assert axis_rule(9, 0.5) is rule
    assert axis_rule(9, 0.25) is not rule
    with pytest.raises(ValueError, match="read-only"):
        rule.weights[0] = 7.0
    with pytest.raises(ValueError, match="read-only"):
        rule.edges[0].weights[0] = 7.0


# times

def test_times_are_taken_in_any_unit_exactly():
    days = np.array(["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"], "M8[ns]")
    rule = axis_rule(4, days, unit="h")
    assert rule.uniform
    assert rule.weights * 48 == pytest.approx([-1, 1])
    rule = axis_rule(4, np.timedelta64(90, "m"), unit="h")
    assert rule.weights == pytest.approx([-1 / 3, 1 / 3])
    months = np.array(["2024-01", "2024-02", "2024-03", "2024-04"], "M8[M]")
    slope = matrix(axis_rule(4, months, unit="D")) @ [0.0, 31.0, 60.0, 91.0]
    assert slope == pytest.approx(np.ones(4))
    # a span in which a float64 could not count nanoseconds
    long = np.array(["1950", "1970", "1990", "1990-01-01T00:00:00.000000003", "2005", "2015"], "M8[ns]")
    assert axis_rule(6, long, unit="ns").weights[1, 2] == pytest.approx(1 / 3, rel=1e-12)
    # differences that no int64 holds
    longer = np.array(["1700-01-01", "1800-01-01", "1999-01-01", "2200-01-01"], "M8[ns]")
    years = matrix(axis_rule(4, longer, unit="D")) @ longer.astype("M8[D]").astype(float)
    assert years == pytest.approx(np.ones(4))


def test_times_repeat_after_a_period():
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"], "M8[s]")
    dense = matrix(axis_rule(4, days, unit="D", boundary="periodic", period=np.timedelta64(7, "D")))
    expected = matrix(axis_rule(4, [0.0, 1.0, 3.0, 4.0], boundary="periodic", period=7.0))
    assert dense == pytest.approx(expected, rel=1e-14)


def test_integer_coordinates_are_subtracted_exactly():
    for dtype in (np.uint8, np.int8, np.uint64, np.int64):
        x = np.array([5, 3, 2, 0], dtype)
        assert matrix(axis_rule(4, x)) == pytest.approx(matrix(axis_rule(4, x.astype(float))))
    x = np.array([2**62, 2**62 + 1, 2**62 + 3, 2**62 + 4])
    assert matrix(axis_rule(4, x)) == pytest.approx(matrix(axis_rule(4, [0.0, 1.0, 3.0, 4.0])))
    x = np.array([-(2**62), 0, 2**62])
    assert matrix(axis_rule(3, x)) == pytest.approx(matrix(axis_rule(3, x.astype(float))))


# what is refused

NAT = np.array(["2024-01-01", "NaT", "2024-01-03", "2024-01-04", "2024-01-05"], "M8[D]")
DAYS = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05", "2024-01-06"], "M8[D]")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"points": 2}, ValueError,
     "axis 3 has 2 points, but the one-sided rule for n=1 and edge_order=2 needs at least 3"),
    ({"points": 0, "boundary": "nearest"}, ValueError, "axis 3 has no points"),
    ({"spacing": np.arange(4.0)}, ValueError, r"spacing of axis 3 .* the 5 coordinates of the points, .*\(4,\)"),
    ({"spacing": np.ones((5, 5))}, ValueError, r"spacing of axis 3 .*\(5, 5\)"),
    ({"spacing": [0, 1, 1, 2, 3]}, ValueError, "coordinates of axis 3 .* numbers 1 and 2 are equal"),
    ({"spacing": [0.0, 1.0, 3.0, 2.0, 4.0]}, ValueError, "coordinates of axis 3 .* numbers 2 and 3 turn back"),
    ({"spacing": [4.0, 3.0, 1.0, 2.0, 0.0]}, ValueError, "coordinates of axis 3 .* numbers 2 and 3 turn back"),
    ({"spacing": [1.0, 1.0, 1.0, 1.0, 1.0]}, ValueError, "numbers 0 and 1 are equal"),
    ({"spacing": [0.0, 1.0, np.nan, 2.0, 3.0]}, ValueError,
     "coordinates of axis 3 must be finite, but number 2 is nan"),
    ({"spacing": [0.0, 1.0, 2.0, 2.5, np.inf]}, ValueError, "coordinates of axis 3 must be finite"),
    ({"spacing": 0.0}, ValueError, "step of axis 3 must be finite and not 0"),
    ({"spacing": np.nan}, ValueError, "step of axis 3 must be finite and not 0"),
    ({"spacing": 1j}, TypeError, "spacing of axis 3 must be real numbers or times"),
    ({"spacing": "1"}, TypeError, "spacing of axis 3 must be a number"),
    ({"spacing": None}, TypeError, "spacing of axis 3 must be a number"),
    ({"spacing": True}, TypeError, "spacing of axis 3 must be real numbers or times"),
    ({"spacing": [[1], [1, 2]]}, ValueError, "spacing of axis 3"),
    ({"spacing": np.ma.masked_array(np.arange(5.0), [0, 1, 0, 0, 0])}, TypeError,
     "spacing of axis 3 must not be masked"),
    ({"spacing": 1e-200, "n": 2}, ValueError, "spacing of axis 3 is too small or too large"),
    ({"spacing": 1e200, "n": 2}, ValueError, "spacing of axis 3 is too small or too large"),
    ({"boundary": "reflect"}, ValueError, "boundary of axis 3 must be one of 'one-sided', 'periodic'.*not 'reflect'"),
    ({"boundary": ("periodic", "nearest")}, ValueError, "boundary of axis 3 must be periodic on both sides or on none"),
    ({"boundary": ("nearest",)}, TypeError, "boundary of axis 3 must be a name or a pair"),
    ({"boundary": None}, TypeError, "boundary of axis 3 must be a name or a pair"),
    ({"boundary": "periodic", "spacing": [0.0, 1.0, 2.0, 4.0, 5.0]}, ValueError,
     "axis 3 has periodic coordinates: period="),
    ({"boundary": "periodic", "spacing": np.arange(5.0)}, ValueError, "axis 3 has periodic coordinates: period="),
    ({"boundary": "periodic", "spacing": [0.0, 1.0, 2.0, 4.0, 5.0], "period": 5.0}, ValueError,
     "period of axis 3 .* larger"),
    ({"boundary": "periodic", "spacing": [0.0, 1.0, 2.0, 4.0, 5.0], "period": -7}, ValueError,
     "period of axis 3 .* positive"),
    ({"boundary": "periodic", "spacing": [0.0, 1.0, 2.0, 4.0, 5.0], "period": "7"}, TypeError, "period of axis 3"),
    ({"boundary": "periodic", "spacing": 0.5, "period": 3.0}, ValueError, "period must be 5 steps of axis 3, 2.5"),
    ({"period": 5.0}, ValueError, "period is for boundary='periodic', but axis 3 has 'one-sided'"),
    ({"order": 3}, ValueError, "order must be even for direction='central', not 3"),
    ({"order": 0}, ValueError, "order must be an integer from 1"),
    ({"n": 0}, ValueError, "n must be an integer from 1"),
    ({"n": True}, ValueError, "n must be an integer from 1"),
    ({"n": 1.0}, TypeError, "n must be an integer"),
    ({"edge_order": 0}, ValueError, "edge_order must be an integer from 1"),
    ({"order": 100}, ValueError, r"n \+ order must be at most 100"),
    ({"edge_order": 100}, ValueError, r"n \+ edge_order must be at most 100"),
    ({"direction": "sideways"}, ValueError, "direction must be one of 'central', 'forward', 'backward'"),
    ({"direction": ["central"]}, ValueError, "direction must be one of"),
    ({"unit": "s"}, ValueError, "unit is for times, but the spacing of axis 3"),
    ({"spacing": DAYS}, ValueError, "unit= must name a unit"),
    ({"spacing": DAYS, "unit": "M"}, ValueError, "unit must be one of 'W', 'D'"),
    ({"spacing": DAYS, "unit": 7}, ValueError, "unit must be one of 'W', 'D'"),
    ({"spacing": NAT, "unit": "D"}, ValueError, "spacing of axis 3 must not be NaT"),
    ({"spacing": DAYS[0], "unit": "D"}, TypeError, "step of axis 3 must be a number or a timedelta64"),
    ({"spacing": np.timedelta64(1, "M"), "unit": "D"}, ValueError, "unit of fixed length"),
    ({"spacing": DAYS, "unit": "D", "boundary": "periodic", "period": 9}, TypeError,
     "period of axis 3 must be a timedelta64"),
    ({"spacing": DAYS, "unit": "D", "boundary": "periodic", "period": np.timedelta64(1, "Y")}, ValueError,
     "fixed length"),
    ({"boundary": "periodic", "period": np.timedelta64(1, "D")}, TypeError, "period of axis 3 must be a number"),
    ({"points": 1, "spacing": [2.0], "boundary": "nearest"}, ValueError,
     "axis 3 has one point: its spacing must be a step"),
])
def test_what_makes_no_rule_is_named_with_its_axis(options, error, message):
    options = {"points": 5, "axis": 3, **options}
    with pytest.raises(error, match=message):
        axis_rule(options.pop("points"), options.pop("spacing", 1.0), **options)


def test_weights_that_float32_cannot_hold_are_refused():
    rule = axis_rule(5, 1e-30, 2)
    assert np.isfinite(rule.sums(np.float64).plan.weights).all()
    with pytest.raises(ValueError, match="too small or too large"):
        rule.sums(np.float32)
