import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics import summarize
from jaxdl.plot import bars, histogram, intervals, scatter_with_diagonal, values_per_seed


def test_the_interval_drawn_has_student_s_quantile():
    # Ten values, s = 3.02765: 2.262157 * 3.02765 / sqrt(10).
    found = summarize(np.arange(1.0, 11.0))
    assert found.mean == 5.5
    assert found.half_width == pytest.approx(2.1659, abs=1e-4)
    assert np.isnan(summarize(np.array([1.0])).half_width)


def test_values_per_seed_shows_runs_means_and_references():
    values = {"baseline": [0.88, 0.9, 0.92], "L2": [0.91]}
    figure = values_per_seed(
        values,
        ylabel="Accuracy",
        references={"chance": 0.1},
        run_references={"L2": 0.9095},
        run_reference_label="course",
    )
    (ax,) = figure.axes
    lines = ax.get_lines()
    shown = [line.get_ydata().tolist() for line in lines if line.get_marker() == "o"]
    assert shown == [[0.88, 0.9, 0.92], [0.91]]
    means = [line.get_ydata()[0] for line in lines if line.get_marker() == "_"]
    assert 0.9 in [round(float(mean), 12) for mean in means]
    (diamond,) = [line for line in lines if line.get_marker() == "D"]
    assert diamond.get_ydata().tolist() == [0.9095]
    assert round(float(diamond.get_xdata()[0])) == 1
    low, high = ax.collections[0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(summarize(values["baseline"]).half_width)
    texts = {text.get_text() for text in ax.get_legend().get_texts()}
    assert texts == {"one run", "mean and its 95 % interval", "course", "chance"}


def test_values_per_seed_refuses_lost_runs():
    with pytest.raises(ConfigError, match="values 'L2': 1 of 2 values is NaN"):
        values_per_seed({"L2": [0.9, np.nan]}, ylabel="Accuracy")
    with pytest.raises(ConfigError, match=r"run_references for \['L1'\]"):
        values_per_seed({"L2": [0.9]}, ylabel="Accuracy", run_references={"L1": 1.0})
    with pytest.raises(ShapeError):
        values_per_seed({"L2": []}, ylabel="Accuracy")
    with pytest.raises(ConfigError, match="empty"):
        values_per_seed({}, ylabel="Accuracy")


def test_intervals_are_drawn_from_the_top_and_grey_if_they_contain_the_reference():
    rows = {"L2": (-0.1, 0.2, 0.5), "wide": (1.0, 2.0, 3.0), "one seed": (np.nan, 1.0, np.nan)}
    (ax,) = intervals(rows, xlabel="Difference (points)").axes
    assert ax.yaxis_inverted()
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rows)
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert [(d.get_xdata()[0], d.get_ydata()[0]) for d in dots] == [(0.2, 0), (2.0, 1), (1.0, 2)]
    segments = [bar.get_segments()[0][:, 0].tolist() for bar in ax.collections]
    assert segments == [pytest.approx([-0.1, 0.5]), [1.0, 3.0]]
    colours = [dot.get_color() for dot in dots]
    assert colours[0] != colours[1]
    with pytest.raises(ConfigError, match="1 of 1 values is NaN"):
        intervals({"a": (0.0, np.nan, 1.0)}, xlabel="x")
    with pytest.raises(ShapeError):
        intervals({"a": (0.0, 1.0)}, xlabel="x")


def test_histogram_counts_over_common_bins(rng):
    values = {"a": rng.normal(size=(20, 5)), "b": rng.normal(3, 1, 50)}
    first, second = histogram(values, xlabel="Weight", bins=7).axes[0].patches
    np.testing.assert_array_equal(first.get_data().edges, second.get_data().edges)
    assert first.get_data().values.sum() == 100
    assert second.get_data().values.sum() == 50
    assert first.get_data().edges[[0, -1]].tolist() == [
        min(v.min() for v in values.values()),
        max(v.max() for v in values.values()),
    ]


def test_histogram_as_density_on_a_log_axis(tmp_path):
    figure = histogram({"w": [1.0, 1.0, 5.0]}, xlabel="w", bins=4, density=True, log_y=True)
    (ax,) = figure.axes
    assert ax.patches[0].get_data().values.tolist() == pytest.approx([2 / 3, 0, 0, 1 / 3])
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "Density")
    figure.savefig(tmp_path / "log.png")


def test_histogram_takes_equal_values_and_refuses_others():
    assert len(histogram({"w": [2.0, 2.0]}, xlabel="w").axes[0].patches) == 1
    with pytest.raises(ConfigError, match="2 of 3 values are NaN"):
        histogram({"w": [1.0, np.nan, np.inf]}, xlabel="w")
    with pytest.raises(ConfigError, match="0 bins"):
        histogram({"w": [1.0]}, xlabel="w", bins=0)


def test_bars_have_heights_values_errors_and_a_legend_for_references():
    figure = bars({"a": 4.0, "b": -1.5}, ylabel="s", errors={"a": 0.5}, references={"goal": 2.0})
    (ax,) = figure.axes
    assert [patch.get_height() for patch in ax.patches] == [4.0, -1.5]
    assert [text.get_text() for text in ax.texts] == ["4", "-1.5"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["goal"]
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [3.5, 4.5]
    with pytest.raises(ConfigError, match=r"errors for \['c'\]"):
        bars({"a": 1.0}, ylabel="s", errors={"c": 1.0})


def test_names_are_broken_between_words_only():
    figure = bars(dict.fromkeys(["augmentation", "early stopping", *"abcdef"], 1.0), ylabel="s")
    texts = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert texts[:2] == ["augmentation", "early\nstopping"]


def test_scatter_has_a_diagonal_and_equal_axes():
    figure = scatter_with_diagonal([1.0, 3.0], [2.0, 5.0], xlabel="Price")
    (ax,) = figure.axes
    dots, diagonal = ax.get_lines()
    assert dots.get_xdata().tolist() == [1.0, 3.0]
    assert dots.get_ydata().tolist() == [2.0, 5.0]
    assert diagonal.get_xy1() == (1.0, 1.0)
    assert diagonal.get_slope() == 1
    assert ax.get_xlim() == ax.get_ylim() == pytest.approx((0.8, 5.2))
    assert ax.get_xlabel() == "Price"


def test_scatter_refuses_two_shapes():
    with pytest.raises(ShapeError, match=r"predicted has shape \(2, 1\)"):
        scatter_with_diagonal([1.0, 2.0], [[1.0], [2.0]])


def test_an_interval_beyond_what_is_possible_is_cut_off():
    runs = {"a": [11.0, 12.0, 92.0]}
    assert values_per_seed(runs, ylabel="%", possible=(0, 100)).axes[0].get_ylim() == (-2, 102)
    narrow = {"a": [50.0, 51.0, 52.0]}
    ends = values_per_seed(narrow, ylabel="%", possible=(0, 100)).axes[0].get_ylim()
    assert 40 < ends[0] < ends[1] < 60


def test_an_interval_much_longer_than_the_runs_are_apart_is_cut_and_says_how_long_it_is():
    # Two runs: t is 12.7, so the interval is 12.7 times as long as they are apart.
    (ax,) = values_per_seed({"a": [96.0, 96.2], "b": [95.0, 95.1]}, ylabel="%").axes
    assert ax.get_ylim()[0] > 94
    assert ax.get_ylim()[1] < 97.5
    assert [text.get_text() for text in ax.texts] == ["±1.3"]
    assert [line.get_marker() for line in ax.get_lines()].count("^") == 1
    (ax,) = values_per_seed({"a": [96.0, 96.1, 96.2, 96.3]}, ylabel="%").axes
    assert not ax.texts
