"""Raincloud plots: what is drawn where, read back from the axes; densities against SciPy."""

import inspect

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color, to_hex
from scipy.stats import gaussian_kde

import genjax
from genjax.viz import horizontal_raincloud
from genjax.viz.density import density_curve
from genjax.viz.raincloud import diagnostic_raincloud, raincloud
from genjax.viz.style import CATEGORY_COLORS

GENERATOR = np.random.default_rng(7)
A, B = GENERATOR.normal(size=40), GENERATOR.gamma(2.0, size=25)


def clouds(ax):
    return [item for item in ax.collections if not isinstance(item, PathCollection)]


def rains(ax):
    """(points, (n, 2)) of every strip."""
    return [np.asarray(item.get_offsets()) for item in ax.collections if isinstance(item, PathCollection)]


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def vertices(cloud):
    return cloud.get_paths()[0].vertices


def test_signature():
    parameters = inspect.signature(horizontal_raincloud).parameters
    assert {name: parameter.default for name, parameter in parameters.items() if name != "data"} == {
        "labels": None, "ax": None, "figsize": (10, 6), "colors": None, "width_violin": 0.4, "width_box": 0.15,
        "jitter": 0.05, "point_size": 20, "alpha": 0.7, "orient": "h",
    }  # fmt: skip


def test_default_colours():
    """The published version raises TypeError without `colors`."""
    ax = horizontal_raincloud([A, B])
    assert [to_hex(cloud.get_facecolor()[0]).upper() for cloud in clouds(ax)] == list(CATEGORY_COLORS[:2])
    assert ax.figure.get_size_inches().tolist() == [10, 6]


def test_top_level_names_are_the_functions():
    """In the published version `genjax.raincloud` is a module."""
    assert genjax.raincloud is raincloud
    assert genjax.horizontal_raincloud is horizontal_raincloud


def test_horizontal_layout(ax):
    """Values along x, the first category on top, each cloud above its position and the rain below."""
    assert horizontal_raincloud([A, B], labels=["a", "b"], ax=ax) is ax
    assert ax.yaxis_inverted() and labels(ax.yaxis) == ["a", "b"]
    for position, (values, cloud, rain) in enumerate(zip((A, B), clouds(ax), rains(ax), strict=True)):
        np.testing.assert_allclose(rain[:, 0], values)
        below = rain[:, 1] - position
        assert (below > 0.15).all() and (np.ptp(below) <= 0.1) and (below < 0.5).all()
        heights = position - vertices(cloud)[:, 1]
        assert heights.min() > -1e-12
        assert heights.max() == pytest.approx(0.4)
    horizontal_raincloud([A, B], ax=ax)
    assert ax.yaxis_inverted(), "drawing twice turns the axis back"


def test_vertical_layout(ax):
    horizontal_raincloud([A, B], ax=ax, orient="v")
    assert labels(ax.xaxis) == ["1", "2"] and not ax.yaxis_inverted()
    np.testing.assert_allclose(rains(ax)[1][:, 1], B)
    assert (rains(ax)[1][:, 0] < 1).all()
    assert vertices(clouds(ax)[1])[:, 0].min() > 1 - 1e-12


def test_box_is_at_the_quartiles_with_whiskers_of_the_last_values_within_one_and_a_half_ranges(ax):
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 100.0])
    horizontal_raincloud([values], ax=ax)
    box = ax.patches[0].get_path().vertices[:, 0]
    first, third = np.quantile(values, [0.25, 0.75])
    assert (box.min(), box.max()) == pytest.approx((first, third))
    ends = np.concatenate([line.get_xdata() for line in ax.lines])
    assert (ends.min(), ends.max()) == (0.0, 4.0)


def test_the_same_data_give_the_same_picture_and_leave_random_states_alone(ax):
    before = np.random.get_state()[1].tolist()
    first = rains(horizontal_raincloud([A], ax=ax))[-1]
    second = rains(horizontal_raincloud([A], ax=ax))[-1]
    assert np.random.get_state()[1].tolist() == before
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (A, [40]),
        (jnp.arange(5.0), [5]),
        ([1.0, 2, True], [3]),
        ([jnp.bfloat16(1.0), jnp.ones((), jnp.bfloat16)], [2]),
        (np.arange(6).reshape(2, 3), [3, 3]),
        ([jnp.arange(3), [1.0, 2.0]], [3, 2]),
        ((A, np.array([])), [40]),
        ([[1.0, np.nan, 3.0]], [2]),
        ([np.ones(4)], [4]),
        ([[2.0]], [1]),
    ],
)
def test_forms_of_data(data, sizes):
    assert [len(rain) for rain in rains(horizontal_raincloud(data))] == sizes


def test_an_empty_category_keeps_its_place(ax):
    horizontal_raincloud([A, [], B], labels=["a", "none", "b"], ax=ax)
    assert labels(ax.yaxis) == ["a", "none", "b"]
    assert len(rains(ax)) == 2 and (rains(ax)[1][:, 1] > 2).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-30, -3e20])
def test_equal_values_have_no_cloud(ax, value):
    horizontal_raincloud([np.full(7, value)], ax=ax)
    assert clouds(ax) == [] and len(rains(ax)[0]) == 7


def test_colours_are_cycled_through_or_shared(ax):
    horizontal_raincloud([A, A, A], ax=ax, colors=["red", (0, 0, 1)])
    assert [to_hex(cloud.get_facecolor()[0]) for cloud in clouds(ax)] == ["#ff0000", "#0000ff", "#ff0000"]
    shared = clouds(horizontal_raincloud([A, B], colors="#123456"))
    assert all(same_color(cloud.get_facecolor()[0][:3], "#123456") for cloud in shared)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": [A], "orient": "x"}, "got orient='x'; it is 'h'.* or 'v'"),
        ({"data": [A], "labels": ["a", "b"]}, "got 2 labels for 1 categories"),
        ({"data": []}, "nothing to draw"),
        ({"data": [[np.nan], []]}, "nothing to draw: no values at all, or only NaN"),
        ({"data": np.zeros((2, 2, 2))}, r"array of shape \(2, 2, 2\)"),
        ({"data": [A, np.zeros((2, 2))]}, r"shape \(2, 2\) as category 1"),
        ({"data": [A, [np.inf]]}, "infinite values in category 1"),
        ({"data": [["a", "b"]]}, "dtype <U1 in category 0. Pass numbers"),
        ({"data": [A], "colors": ["no such colour"]}, "'no such colour', which matplotlib does not know"),
        ({"data": [A], "colors": []}, "got no colours"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        horizontal_raincloud(**arguments)
    assert plt.get_fignums() == [], "a figure was left behind"


# Tables

TABLE = pd.DataFrame({"method": ["b", "a", "b", "a", "b"], "error": [1.0, 2.0, 3.0, 4.0, 5.0], "n": range(5)})


def test_table_by_groups():
    ax = raincloud(x="method", y="error", data=TABLE)
    assert labels(ax.yaxis) == ["b", "a"]
    assert [rain[:, 0].tolist() for rain in rains(ax)] == [[1.0, 3.0, 5.0], [2.0, 4.0]]


def test_table_of_one_column_and_of_all():
    ax = raincloud(y="error", data=TABLE, orient="v")
    assert labels(ax.xaxis) == ["error"] and rains(ax)[0][:, 1].tolist() == [1, 2, 3, 4, 5]
    assert labels(raincloud(data=TABLE[["n", "error"]]).yaxis) == ["n", "error"]


def test_any_class_with_columns_is_a_table():
    class Table:
        columns = ("k", "v")

        def __getitem__(self, name):
            return {"k": [1, 2, 1], "v": [0.5, 0.25, 1.5]}[name]

    ax = raincloud("k", "v", Table(), labels=["one", "two"])
    assert labels(ax.yaxis) == ["one", "two"]
    assert [rain[:, 0].tolist() for rain in rains(ax)] == [[0.5, 1.5], [0.25]]


def test_rows_without_group_are_left_out():
    table = pd.DataFrame({"x": [1.0, np.nan, np.nan], "y": [1.0, 2.0, 3.0]})
    assert labels(raincloud("x", "y", table).yaxis) == ["1.0"]


def test_missing_values_of_nullable_columns_are_left_out():
    table = pd.DataFrame({"x": ["a", None, "b", "b"], "y": [1, 2, None, 4]}).convert_dtypes()
    ax = raincloud("x", "y", table)
    assert labels(ax.yaxis) == ["a", "b"]
    assert [rain[:, 0].tolist() for rain in rains(ax)] == [[1.0], [4.0]]
    assert rains(raincloud(y="y", data=table))[0][:, 0].tolist() == [1.0, 2.0, 4.0]


def test_arrays_in_every_position():
    assert len(rains(raincloud(data=[A, B]))) == 2
    assert len(rains(raincloud([A, B], colors="red"))) == 2
    assert len(rains(raincloud(y=A))) == 1
    assert labels(raincloud(x=["u", "v", "u"], y=[1.0, 2.0, 3.0]).yaxis) == ["u", "v"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "got no data"),
        ({"data": [A], "x": "method", "y": "error"}, "with data of type list.*need data to be a DataFrame"),
        ({"data": A, "y": "error"}, "with data of type ndarray"),
        ({"data": TABLE, "x": "method"}, "got x='method' without y"),
        ({"data": TABLE, "x": "method", "y": "mistake"}, r"column 'mistake'.*\['method', 'error', 'n'\]"),
        ({"x": ["u"], "y": [1.0, 2.0]}, "x of length 1 and y of shape"),
    ],
)
def test_bad_tables(arguments, message):
    with pytest.raises(ValueError, match=message):
        raincloud(**arguments)


# Weights of particles


def test_ratio_is_that_of_effective_to_actual_size(ax):
    ratio, color = diagnostic_raincloud(ax, jnp.array([0.5, 0.25, 0.25, 0.0]), 2.0, n_particles=4)
    assert ratio == pytest.approx(1 / (0.25 + 2 / 16) / 4) and type(ratio) is float
    assert color == "#2E8B57"
    np.testing.assert_allclose(rains(ax)[0][:, 0], [0.5, 0.25, 0.25, 0.0])
    assert (abs(rains(ax)[0][:, 1] - 2.0) < 0.3).all()


@pytest.mark.parametrize(
    ("n_used", "color"), [(8, "#2E8B57"), (4, "#2E8B57"), (3, "#FF8C00"), (2, "#FF8C00"), (1, "#DC143C")]
)
def test_quality_colours(ax, n_used, color):
    weights = np.where(np.arange(8) < n_used, 1 / n_used, 0.0)
    assert diagnostic_raincloud(ax, weights, 0, n_particles=8) == (pytest.approx(n_used / 8), color)
    # Scaled weights have the same effective size.
    assert diagnostic_raincloud(ax, 5 * weights, 0, n_particles=8) == (pytest.approx(n_used / 8), color)
    assert diagnostic_raincloud(ax, weights, 0) == (pytest.approx(n_used / 8), "#000000")


def test_thresholds_can_be_set_one_by_one(ax):
    weights = np.array([0.5, 0.5, 0.0, 0.0])
    assert diagnostic_raincloud(ax, weights, 0, n_particles=4, ess_thresholds={"good": 0.6})[1] == "#FF8C00"
    both = {"good": 0.9, "medium": 0.7}
    assert diagnostic_raincloud(ax, weights, 0, n_particles=4, ess_thresholds=both)[1] == "#DC143C"


def test_no_weights(ax):
    """The published version returns 0.0 in place of the pair."""
    assert diagnostic_raincloud(ax, [], 0) == (0.0, "#000000")
    assert diagnostic_raincloud(ax, [], 0, n_particles=5) == (0.0, "#DC143C")
    assert not ax.collections
    assert diagnostic_raincloud(ax, np.zeros(5), 0, n_particles=5) == (0.0, "#DC143C")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timestep_data": [-1.0, 2.0]}, "negative or non-finite weights"),
        ({"timestep_data": [np.nan, 1.0]}, "negative or non-finite weights"),
        ({"timestep_data": [1.0], "n_particles": 0}, "n_particles=0. Pass at least 1"),
        ({"timestep_data": [1.0], "ess_thresholds": {"great": 1.0}}, "Its keys are good, medium"),
    ],
)
def test_bad_weights(ax, arguments, message):
    with pytest.raises(ValueError, match=message):
        diagnostic_raincloud(ax, position=0, **arguments)


# Densities


@pytest.mark.parametrize("values", [A, B, np.array([0.0, 1.0]), 1e6 + A])
def test_density_equals_scipys(values):
    grid, density = density_curve(values)
    np.testing.assert_allclose(density, gaussian_kde(values, "scott")(grid), rtol=1e-7, atol=1e-14)


def test_density_of_many_values_is_binned_to_a_thousandth_of_its_height():
    values = np.random.default_rng(3).gamma(2.0, size=20_000)
    grid, density = density_curve(values)
    expected = gaussian_kde(values, "scott")(grid)
    assert abs(density - expected).max() < 1e-3 * expected.max()
