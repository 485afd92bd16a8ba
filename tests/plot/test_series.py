import itertools
import time

import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot import curves, figure_with_panels, line_band, style
from jaxdl.plot.series import moving_average

LABELS = {"xlabel": "Epoch", "ylabel": "Loss"}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_curves_draws_the_values_with_labels():
    series = {"G": [3.0, 2.0, 1.0], "D": np.float32([0.5, 0.25, 0.5])}
    figure = curves([1, 2, 3], series, title="Losses", references={"zero": 0.0}, **LABELS)
    (ax,) = figure.axes
    first, second, zero = ax.get_lines()
    assert first.get_xdata().tolist() == [1, 2, 3]
    assert first.get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert second.get_ydata().tolist() == [0.5, 0.25, 0.5]
    assert set(zero.get_ydata()) == {0.0}
    assert zero.get_linestyle() != "-"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == (
        "Epoch",
        "Loss",
        "Losses",
    )
    assert legend(ax) == ["G", "D", "zero"]
    assert first.get_color() != second.get_color()


def test_smoothing_keeps_the_raw_curve_faint_behind(rng):
    y = rng.normal(size=100)
    raw, smooth = curves(np.arange(100), {"G": y}, smooth=9, **LABELS).axes[0].get_lines()
    np.testing.assert_array_equal(raw.get_ydata(), y)
    np.testing.assert_allclose(smooth.get_ydata(), moving_average(y, 9))
    assert raw.get_alpha() < 0.5
    assert raw.get_zorder() < smooth.get_zorder()


@pytest.mark.parametrize("window", [1, 2, 5, 8, 40, 1000])
def test_moving_average_is_the_mean_of_what_the_window_sees(rng, window):
    y = rng.normal(size=30)
    y[[4, 5, 6, 7, 20]] = np.nan, np.nan, np.inf, -np.inf, np.nan
    expected = np.full(30, np.nan)
    for i in np.flatnonzero(np.isfinite(y)):
        seen = y[max(0, i - window // 2) : i + (window - 1) // 2 + 1]
        expected[i] = seen[np.isfinite(seen)].mean()
    np.testing.assert_allclose(moving_average(y, window), expected, rtol=1e-12)


def test_moving_average_forgets_a_huge_value():
    y = np.array([1e30, 1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(moving_average(y, 3)[2:], [2.0, 3.0, 3.5])


@pytest.mark.parametrize("window", [0, -1, 2.5])
def test_moving_average_refuses_other_windows(window):
    with pytest.raises(ConfigError, match="integer of at least 1"):
        moving_average(np.ones(3), window)


def test_points_without_neighbours_get_a_marker():
    y = np.ones(100)
    y[[10, 12, 98]] = np.nan
    (line,) = curves(np.arange(100), {"G": y}, **LABELS).axes[0].get_lines()
    assert line.get_markevery() == [11, 99]
    assert line.get_marker() == "o"


def test_one_point_and_nothing_but_gaps_work(tmp_path):
    (line,) = curves([3], {"G": [0.5]}, **LABELS).axes[0].get_lines()
    assert (line.get_marker(), line.get_markevery()) == ("o", [0])
    curves([1, 2], {"G": [np.nan, np.inf]}, **LABELS).savefig(tmp_path / "gaps.png")


def test_bands_surround_their_curve():
    runs = {"a": [[1, 2], [1, 2]], "b": [[2, 3], [4, 5]]}
    _, band = line_band([0.0, 1.0], runs, **LABELS).axes[0].collections
    corners = {tuple(point) for point in band.get_paths()[0].vertices}
    assert corners == {(0.0, 2.0), (1.0, 3.0), (0.0, 4.0), (1.0, 5.0)}
    assert band.get_facecolor()[0][:3] == pytest.approx((0xD5 / 255, 0x5E / 255, 0))


def test_whole_numbered_x_has_no_ticks_between():
    figure = curves(np.arange(1, 8), {"G": np.ones(7)}, **LABELS)
    ticks = figure.axes[0].get_xticks()
    assert (ticks == ticks.round()).all()


def test_log_axis():
    figure = line_band([1, 2], {"G": [[0.0, 10.0]]}, log_y=True, **LABELS)
    assert figure.axes[0].get_yscale() == "log"
    with pytest.raises(ConfigError, match="D has no positive value"):
        line_band([1, 2], {"G": [[1.0, 10.0]], "D": [[0.0, -1.0]]}, log_y=True, **LABELS)
    with pytest.raises(ConfigError, match="zero"):
        line_band([1, 2], {"G": [[1.0, 10.0]]}, references={"zero": 0.0}, log_y=True, **LABELS)


def test_many_points_are_quick(rng, tmp_path):
    steps = np.arange(70_000)
    series = {name: rng.normal(size=steps.size) for name in "abc"}
    start = time.perf_counter()
    curves(steps, series, smooth=700, **LABELS).savefig(tmp_path / "many.png")
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    ("x", "series"),
    [([1, 2], {"G": [1.0]}), ([1, 2], {"G": [[1.0, 2.0]]}), ([], {"G": []}), (1, {"G": [1.0]})],
)
def test_curves_refuses_shapes_that_do_not_fit(x, series):
    with pytest.raises(ShapeError):
        curves(x, series, **LABELS)


def test_curves_refuses_nothing():
    with pytest.raises(ConfigError, match="series is empty"):
        curves([1], {}, **LABELS)


def test_legend_hides_neither_data_nor_title():
    series = {f"curve number {i}": [0.0, 1.0] for i in range(9)}
    figure = curves([0, 1], series, title="A title", **LABELS)
    figure.canvas.draw()
    (ax,) = figure.axes
    box = ax.get_legend().get_window_extent()
    assert box.y0 >= ax.get_window_extent().y1 - 1
    title = ax.title if ax.get_title() else ax._left_title
    assert title.get_window_extent().y0 >= box.y1 - 4
    assert box.x1 <= figure.bbox.width


def test_more_series_than_colours_differ_in_their_dashes():
    assert len({(style.colour(i), style.line_style(i)) for i in range(20)}) == 20
    lines = curves([0, 1], {str(i): [0, 1] for i in range(20)}, **LABELS).axes[0].get_lines()
    # Neighbours differ without their colours too.
    assert all(a.get_marker() != b.get_marker() for a, b in itertools.pairwise(lines))


def test_panels_share_x_and_take_curves():
    figure, (top, bottom) = figure_with_panels(2, title="DCGAN")
    steps = np.arange(50)
    assert curves(steps, {"G": steps}, xlabel="", ylabel="Loss", ax=top) is figure
    curves(steps, {"D(x)": steps}, xlabel="Step", ylabel="Probability", ax=bottom)
    assert len(figure.axes) == 2
    assert top.get_xlim() == bottom.get_xlim()
    assert (top.get_xlabel(), bottom.get_xlabel()) == ("", "Step")
    assert figure.get_suptitle() == "DCGAN"
    with pytest.raises(ConfigError, match="0 × 1"):
        figure_with_panels(0)


def test_line_band_shows_mean_and_range():
    runs = {"L2": [[1.0, 3.0], [2.0, 5.0], [6.0, 4.0]]}
    (ax,) = line_band([1, 2], runs, **LABELS).axes
    assert ax.get_lines()[0].get_ydata().tolist() == [3.0, 4.0]
    corners = {tuple(point) for point in ax.collections[0].get_paths()[0].vertices}
    assert corners == {(1.0, 1.0), (2.0, 3.0), (1.0, 6.0), (2.0, 5.0)}
    with pytest.raises(ShapeError, match="runs 'L2'"):
        line_band([1, 2], {"L2": [1.0, 2.0]}, **LABELS)


def test_a_run_that_has_ended_leaves_the_mean_of_the_others():
    figure = line_band([1, 2], {"a": [[1.0, np.nan], [3.0, 5.0]]}, **LABELS)
    assert figure.axes[0].get_lines()[0].get_ydata().tolist() == [2.0, 5.0]
