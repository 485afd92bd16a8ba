"""The lessons on building blocks: their numbers, tables and figures."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from experiments.__main__ import programs
from experiments.lessons import (
    activations,
    data_splits,
    losses,
    optimizers,
    rating_metrics,
    steepest_descent,
)
from jaxdl.errors import ConfigError

LESSONS = {
    "activations": (activations, activations.ActivationsConfig, {"activations"}),
    "losses": (losses, losses.LossesConfig, {"losses", "entropy", "outliers"}),
    "optimizers": (
        optimizers,
        optimizers.OptimizersConfig,
        {"ravine", "two_minima", "heights"},
    ),
    "steepest_descent": (
        steepest_descent,
        steepest_descent.SteepestDescentConfig,
        {"steepest_descent", "rosenbrock", "rosenbrock_values"},
    ),
    "rating_metrics": (
        rating_metrics,
        rating_metrics.RatingMetricsConfig,
        {"rating_metrics", "rounding"},
    ),
    "data_splits": (data_splits, data_splits.DataSplitsConfig, {"folds", "class_counts"}),
}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    """Each lesson run once: name -> (folder, result)."""
    done = {}

    def run(name):
        if name not in done:
            module, config_class, _ = LESSONS[name]
            folder = tmp_path_factory.mktemp(name)
            done[name] = folder, module.run(config_class(workdir=str(folder)))
        return done[name]

    return run


@pytest.fixture
def summary(lessons):
    """What a lesson found, by its name."""
    return lambda name: lessons(name)[1].summary


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_writes_its_summary_and_figures_that_are_not_blank(lessons, name):
    folder, result = lessons(name)
    written = json.loads((folder / "summary.json").read_text())
    assert written.keys() == result.summary.keys()
    assert result.figures.keys() == LESSONS[name][2]
    assert {path.stem for path in folder.glob("*.png")} == LESSONS[name][2]
    for figure in LESSONS[name][2]:
        with Image.open(folder / f"{figure}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5
    assert json.loads((folder / "config.json").read_text())["program"] == name


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_listed_with_the_building_blocks(name):
    assert dict(programs()["Building blocks"])[f"lessons.{name}"].endswith(".")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_activations_have_pytorch_s_values_and_slopes(summary):
    found = summary("activations")["jaxdl"]
    for name, (values, slopes) in activations.PYTORCH.items():
        np.testing.assert_allclose(found[name][0], values, atol=1e-6, rtol=1e-6)
        if slopes is not None:
            np.testing.assert_allclose(found[name][1], slopes, atol=1e-6, rtol=1e-6)
    assert found["step"][1] == [0, 0, 0, 0, 0]


def test_only_the_formulas_overflow(summary):
    assert summary("activations")["formula_not_finite"] == [
        "sigmoid slope at -10000",
        "tanh value at -10000",
        "tanh value at 10000",
        "tanh slope at -10000",
        "tanh slope at 10000",
        "ELU slope at 10000",
    ]
    rows = {row[:2]: row[2:] for row in activations.softmax_rows()}
    assert rows[("(10000.0, 10000.0, -10000.0)", "softmax")] == ("0.5, 0.5, 0", "nan, nan, 0")
    ours, formula = rows[("(0.0, 0.0, -200.0)", "log-softmax")]
    assert ours == "-0.6931, -0.6931, -200.7"
    assert formula.endswith("-inf")
    np.testing.assert_allclose(summary("activations")["softmax2d_sums"], [1, 1, 1, 1], rtol=1e-6)


def test_the_activations_figure_has_a_panel_for_each_function(lessons):
    panels = lessons("activations")[1].figures["activations"].axes
    assert len(panels) == 8
    assert [ax.get_legend() is None for ax in panels] == [True] * 7 + [False]  # one for seven
    sigmoid_value, sigmoid_slope = panels[0].get_lines()
    assert sigmoid_value.get_ydata().max() == pytest.approx(1 / (1 + math.exp(-5)), rel=1e-5)
    assert sigmoid_slope.get_ydata().max() == pytest.approx(0.25, rel=1e-3)
    # LeakyReLU is drawn as it is tabled; its jump is a gap.
    slope = panels[3].get_lines()[1].get_ydata()
    tabled = lessons("activations")[1].summary["jaxdl"]["LeakyReLU"][1][0]
    assert slope[0] == pytest.approx(0.1) == tabled
    assert panels[3].get_title(loc="left") == "LeakyReLU, slope 0.1 below 0"
    assert np.isnan(slope).sum() == 1


def test_losses_are_the_course_s_and_pytorch_s(summary):
    worked = summary("losses")["worked"]
    expected = {
        "NLL of probabilities": -0.4333333671092987,
        "NLL of a 2×2 image": -0.4375,
        "cross-entropy, [.25, .4]": 0.62095707654953,
        "BCE of softmax([.25, .4])": 0.62095707654953,
        "focal γ = 0, the same": 1.364414930343628,
        "focal γ = 2, the same": 0.7563076019287109,
        "top-1 of the same": 1.3862943649291992,
        "MSE, all 7 apart": 49,
        "MAE, all 7 apart": 7,
        "smooth L1, all 7 apart": 6.5,
        "smooth L1, d = 0.5": 0.125,
    }
    for name, value in expected.items():
        assert worked[name]["jaxdl"] == pytest.approx(value, rel=1e-6)
    for entry in worked.values():
        assert entry["jaxdl"] == pytest.approx(entry["pytorch"], rel=1e-6)
        assert entry["course"] is None or entry["jaxdl"] == pytest.approx(entry["course"], rel=1e-6)


def test_weights_balance_one_positive_and_ten_negatives(summary):
    balance = summary("losses")["balance"]
    assert balance["unweighted"] == pytest.approx((0.5, 5.0))
    assert balance["the course's factors 10 and 1"] == pytest.approx((5.0, 5.0))
    assert balance["jaxdl"] == pytest.approx((2.75, 2.75))
    means = summary("losses")["top_k_means"]
    assert means == sorted(means, reverse=True)


def test_the_losses_figure_shows_them_and_their_slopes(lessons):
    values, slopes, focal, top = lessons("losses")[1].figures["losses"].axes
    assert legend(values) == legend(slopes) == ["squared", "absolute", "smooth L1"]
    assert [line.get_ydata()[-1] for line in values.get_lines()] == pytest.approx([9, 3, 2.5])
    assert [line.get_ydata()[-1] for line in slopes.get_lines()] == pytest.approx([6, 1, 1])
    assert legend(focal) == ["γ = 0", "γ = 0.5", "γ = 1", "γ = 2", "γ = 5"]
    assert focal.get_lines()[0].get_ydata()[0] == pytest.approx(-math.log(0.01), rel=1e-5)
    assert top.get_lines()[0].get_ydata()[-1] == pytest.approx(top.get_lines()[2].get_ydata()[0])


def test_momentum_is_faster_and_leaves_the_higher_minimum(summary):
    found = summary("optimizers")["optimisers"]
    assert "Nesterov is fastest" in summary("optimizers")["shown"]
    lower, ridge, higher = summary("optimizers")["stationary_points"]
    assert (lower, ridge, higher) == pytest.approx((-1.0356, 0.0754, 0.9601), abs=1e-4)
    # 16/2 · 0.99^(2k) ≤ 0.001 from k = 448 on: the flat direction keeps 1 - 0.01 of itself.
    assert found["SGD"]["ravine_steps"] == 448
    assert found["Nesterov"]["ravine_steps"] < found["momentum"]["ravine_steps"] < 120
    assert found["Adadelta"]["ravine_steps"] is None
    for name in ("momentum", "Nesterov"):
        assert found[name]["minima_end"] == pytest.approx(lower, abs=1e-3)
        assert found[name]["crossed_at_step"] < 10
    for name in ("SGD", "Adam"):
        assert found[name]["minima_end"] == pytest.approx(higher, abs=1e-3)
        assert found[name]["crossed_at_step"] is None


def test_a_rate_beyond_the_limit_diverges(lessons, summary):
    rates = summary("optimizers")["rates"]
    # ln(33 / 0.001) / (2 · ln(51 / 49)) = 130.05: f starts at 8 + 25.
    assert rates["best"]["steps_by_theory"] == rates["best"]["steps"] == 131
    assert rates["too large"]["kept"] == pytest.approx(1.05)
    assert rates["too large"]["steps"] is rates["too large"]["steps_by_theory"] is None
    assert rates["too small"]["steps"] is None
    heights = lessons("optimizers")[1].figures["heights"].axes[1].get_lines()
    assert heights[2].get_label() == "too large: 0.041"
    assert heights[2].get_ydata()[-1] > 1e6


def test_steps_to_counts_from_where_a_height_stays_low():
    assert optimizers.steps_to(np.array([5.0, 0.1, 2.0, 0.1, 0.0]), 1.0) == 3
    assert optimizers.steps_to(np.array([0.5, 0.1]), 1.0) == 0
    assert optimizers.steps_to(np.array([5.0, 2.0, np.inf]), 1.0) is None


def test_steepest_descent_takes_the_derived_steps(summary):
    found = summary("steepest_descent")
    assert found["steps"] == pytest.approx([5 / 18, 5 / 12, 5 / 18], rel=1e-5)
    assert found["path"][1] == pytest.approx([-1 / 9, 4 / 9], rel=1e-5)
    assert found["path"][2] == pytest.approx([2 / 27, 2 / 27], rel=1e-5)
    assert len(found["path"]) == 4
    assert found["largest_difference_to_fractions"] < 1e-6
    rows = steepest_descent.descend_in_fractions(0.1)
    assert rows[1] == (Fraction(-1, 9), Fraction(4, 9), Fraction(5, 12))
    assert rows[3] == (Fraction(-2, 243), Fraction(8, 243), None)


def test_steepest_descent_comes_down_rosenbrock_s_ravine(lessons, summary):
    searches = summary("steepest_descent")["searches"]["Rosenbrock"]
    assert "in every step never saves steps" in summary("steepest_descent")["shown"]
    assert all(entry["converged"] for entry in searches.values())
    assert all(entry["end"] == pytest.approx([1, 1], abs=0.2) for entry in searches.values())
    assert searches["exact"]["steps"] > 5 * searches["backtracking"]["steps"]
    figure = lessons("steepest_descent")[1].figures["steepest_descent"]
    assert legend(figure.axes[0]) == ["backtracking", "exact", "minimum"]


def test_the_course_s_rmse_is_none_but_fits_one_n(summary):
    found = summary("rating_metrics")
    assert len(found["course"]) == 11
    assert not any(entry["can_be_rmse"] for entry in found["course"])
    assert found["common_n"] == [16, 31]
    assert found["course"][0]["n_at_least"] == 15
    assert found["course"][0]["true_rmse"] == pytest.approx(2.0188, abs=1e-4)


def test_possible_counts_hold_at_their_limits():
    # Ten equal errors of 2 have the least n that is possible, errors of only 0 or 5 the greatest.
    assert rating_metrics.possible_counts(2.0, 2 / math.sqrt(10) + 1e-12, 5.0)[0] == 10
    error = np.array([5.0] * 3 + [0.0] * 7)
    course = math.sqrt(float((error**2).sum())) / 10
    assert rating_metrics.possible_counts(1.5, course - 1e-12, 5.0)[1] == 10


def test_merged_batches_are_the_whole_and_means_of_batches_are_not(lessons, summary):
    for values in summary("rating_metrics")["streamed"].values():
        assert values["merged"] == pytest.approx(values["whole"], rel=1e-5)
        assert values["mean_of_batches"] != pytest.approx(values["whole"], rel=1e-3)
    mae, true, course = lessons("rating_metrics")[1].figures["rating_metrics"].axes[0].get_lines()
    assert true.get_label() == "true RMSE"
    assert np.all(true.get_ydata() >= mae.get_ydata() - 1e-9)
    assert course.get_ydata()[-1] == pytest.approx(true.get_ydata()[-1] / math.sqrt(1000))


def test_rounding_helps_the_mae_where_ratings_are_whole(lessons, summary):
    changes = rating_metrics.rounding(rating_metrics.RatingMetricsConfig(draws=5))
    whole, free = changes["whole numbers"], changes["any numbers"]
    assert whole["MAE"].shape == (5, len(rating_metrics.SPREADS))
    assert whole["MAE"].mean(0)[:-2].max() < 0 < free["MAE"].mean(0).min()
    assert whole["RMSE"][:, 0].max() < 0 < whole["RMSE"][:, -1].mean()
    # With a spread of 0.1 nearly all roundings are right, so that what was off is gained; in the
    # middle that is 0.1·√(2/π), at 1 and at 5, beyond which no prediction goes, half of it.
    gained = 0.1 * math.sqrt(2 / math.pi) * (3 / 5 + 2 / 5 / 2)
    assert -whole["MAE"][:, 0].mean() == pytest.approx(gained, rel=0.05)
    said = summary("rating_metrics")["shown"]
    assert "0 of the course's 11 values" in said
    assert "makes the MAE lower at 9 of 9 spreads" in said
    bars = lessons("rating_metrics")[1].figures["rating_metrics"].axes[1].patches[:11]
    limits = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in bars]
    found = summary("rating_metrics")["course"]
    assert limits == [(entry["n_at_least"], entry["n_at_most"]) for entry in found]


def test_directions_count_what_intervals_exclude_zero():
    changes = np.array([[-1.0, 1.0, 1.0, 2.0], [-1.1, 1.1, -1.0, 2.1]])
    assert rating_metrics.directions(changes) == "lower at 1 and higher at 2 of 4"
    assert rating_metrics.directions(changes[:, 2:3]) == "neither lower nor higher at any of 1"


def test_the_course_s_split_leaves_the_original(summary):
    course = summary("data_splits")["course"]
    assert course["train"] == [[8], [7], [9], [3], [6], [1], [5], [2]]
    assert course["test"] == [[4], [10]]
    assert course["original_afterwards"] == [[i] for i in range(1, 11)]


def test_parts_and_folds_hold_every_row_once(summary):
    found = summary("data_splits")
    assert [len(part) for part in found["parts"].values()] == [12, 4, 4]
    assert sorted(itertools.chain(*found["parts"].values())) == list(range(20))
    assert [len(fold) for fold in found["folds"]] == [4] * 5
    assert sorted(itertools.chain(*found["folds"])) == list(range(20))


def test_only_the_stratified_split_is_even(lessons, summary):
    counts = summary("data_splits")["class_counts"]
    assert counts["stratified"] == [50] * 10
    assert sum(counts["plain"]) == 500
    assert max(counts["plain"]) - min(counts["plain"]) >= 5
    panels = lessons("data_splits")[1].figures["class_counts"].axes
    assert [[int(text.get_text()) for text in ax.texts] for ax in panels] == list(counts.values())
    assert panels[0].get_ylim() == panels[1].get_ylim()
    said = summary("data_splits")["shown"]
    low, high = min(counts["plain"]), max(counts["plain"])
    assert f"{low} to {high} test images; the stratified one gives it 50" in said


@pytest.mark.parametrize(
    ("config_class", "fields"),
    [
        (activations.ActivationsConfig, {"limit": 0.0}),
        (losses.LossesConfig, {"samples": 0}),
        (optimizers.OptimizersConfig, {"kappa": 1.0}),
        (steepest_descent.SteepestDescentConfig, {"tolerance": 0.0}),
        (rating_metrics.RatingMetricsConfig, {"batch_size": 0}),
        (data_splits.DataSplitsConfig, {"folds": 1}),
    ],
)
def test_values_out_of_range_are_refused(config_class, fields):
    with pytest.raises(ConfigError, match=f"--{next(iter(fields))}"):
        config_class(**fields)
