import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.statistics import paired_difference, summarize, verdict

# mean 0.9, sd 0.02, t_4(0.975) = 2.776445
FIVE = [0.88, 0.90, 0.92, 0.88, 0.92]


def test_five_seeds_by_hand():
    summary = summarize(FIVE)
    assert (summary.n, summary.confidence) == (5, 0.95)
    assert summary.mean == pytest.approx(0.9, abs=1e-15)
    assert summary.sd == pytest.approx(0.02, abs=1e-15)  # divisor 4, not 5
    assert summary.low == pytest.approx(0.8751667, abs=1e-7)  # 2.776445 · 0.02 / √5
    assert summary.high == pytest.approx(0.9248333, abs=1e-7)
    assert summary.half_width == pytest.approx(0.0248333, abs=1e-7)
    low, high = summary.prediction_interval
    assert low == pytest.approx(0.8391712, abs=1e-6)  # 2.776445 · 0.02 · √1.2
    assert high == pytest.approx(0.9608288, abs=1e-6)
    assert str(summary) == "0.900 ± 0.025 (n = 5)"


def test_a_published_figure_is_held_against_two_intervals():
    summary = summarize(FIVE)
    figures = [0.838, 0.84, 0.874, 0.876, 0.924, 0.926, 0.96, 0.962]
    in_mean = [summary.mean_interval_contains(figure) for figure in figures]
    in_prediction = [summary.prediction_interval_contains(figure) for figure in figures]
    assert in_mean == [False, False, False, True, True, False, False, False]
    assert in_prediction == [False, True, True, True, True, True, True, False]


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 17])
def test_equals_scipy(rng, n, confidence):
    values, baseline = rng.normal(5, 2, (2, n))
    summary = summarize(values, confidence)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    np.testing.assert_allclose((summary.low, summary.high), expected, rtol=1e-12)
    difference = paired_difference(values, baseline, confidence)
    expected = stats.ttest_rel(values, baseline).confidence_interval(confidence)
    np.testing.assert_allclose((difference.low, difference.high), expected, rtol=1e-12)
    assert difference.mean == pytest.approx(values.mean() - baseline.mean())


@pytest.mark.parametrize("n", [2, 5])
def test_intervals_cover_as_often_as_they_promise(rng, n):
    runs = rng.normal(0.9, 0.02, (1000, n + 1))
    summaries = [summarize(values, 0.9) for values in runs[:, :n]]
    mean_share = np.mean([s.mean_interval_contains(0.9) for s in summaries])
    further_share = np.mean(
        [
            s.prediction_interval_contains(value)
            for s, value in zip(summaries, runs[:, n], strict=True)
        ]
    )
    naive_share = np.mean(
        [s.mean_interval_contains(value) for s, value in zip(summaries, runs[:, n], strict=True)]
    )
    assert abs(mean_share - 0.9) < 0.035  # 3.7 standard errors
    assert abs(further_share - 0.9) < 0.035
    assert naive_share < 0.85  # a run is no mean


def test_intervals_are_cut_to_possible_values():
    free, cut = summarize([0.90, 0.99]), summarize([0.90, 0.99], possible=(0, 1))
    assert free.high > 1
    assert (cut.low, cut.high) == (free.low, 1)
    assert cut.prediction_interval == (max(0, free.prediction_interval[0]), 1)
    assert (cut.mean, cut.sd, cut.half_width) == (free.mean, free.sd, free.half_width)
    one = summarize([0.9], possible=(0, 1))
    assert math.isnan(one.low)
    assert math.isnan(one.prediction_interval[1])


def test_one_seed_makes_no_claim():
    summary = summarize([0.9])
    assert (summary.mean, summary.n) == (0.9, 1)
    nothing = (summary.sd, summary.low, summary.high, *summary.prediction_interval)
    assert all(math.isnan(value) for value in nothing)
    assert summary.mean_interval_contains(0.9) is None
    assert summary.prediction_interval_contains(0.5) is None
    assert str(summary) == "0.90 (n = 1)"
    assert verdict(paired_difference([0.99], [0.5])) == "one seed shows nothing"


def test_pairing_removes_what_the_seeds_share():
    baseline = np.array([0.80, 0.85, 0.90, 0.95])
    gain = np.array([0.01, 0.02, 0.01, 0.02])
    difference = paired_difference(baseline + gain, baseline)
    # mean 0.015, sd 0.005774, t_3(0.975) = 3.182446: half-width 0.0091869
    assert difference.half_width == pytest.approx(0.0091869, abs=1e-6)
    assert verdict(difference) == "better by 1.5 ± 0.9 points"
    assert summarize(baseline + gain).half_width > 0.1
    shuffled = verdict(paired_difference((baseline + gain)[::-1], baseline))
    assert shuffled.startswith("no difference shown at 4 seeds (+1.5 ± ")


def _difference(mean, half_width):
    """A difference of five seeds with this mean and half-width."""
    deviations = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    width = paired_difference(deviations, np.zeros(5)).half_width
    return paired_difference(mean + deviations * half_width / width, np.zeros(5))


@pytest.mark.parametrize(
    ("mean", "half_width", "options", "expected"),
    [
        (0.003, 0.012, {}, "no difference shown at 5 seeds (+0.3 ± 1.2 points)"),
        (-0.003, 0.012, {}, "no difference shown at 5 seeds (-0.3 ± 1.2 points)"),
        (0.019, 0.006, {}, "better by 1.9 ± 0.6 points"),
        (-0.019, 0.006, {}, "worse by 1.9 ± 0.6 points"),
        (0.019, 0.006, {"higher_is_better": False}, "worse by 1.9 ± 0.6 points"),
        (
            -0.0123,
            0.0041,
            {"higher_is_better": False, "scale": 1, "unit": ""},
            "better by 0.012 ± 0.004",
        ),
        (25.0, 12.0, {"scale": 1, "unit": "images/s"}, "better by 25.0 ± 12.0 images/s"),
    ],
)
def test_verdicts(mean, half_width, options, expected):
    assert verdict(_difference(mean, half_width), **options) == expected


def test_equal_differences_have_no_width():
    assert verdict(paired_difference([0.5, 0.75], [0.25, 0.5])) == "better by 25.0 ± 0.0 points"
    same = paired_difference([0.1, 0.7, 0.3], [0.1, 0.7, 0.3])
    assert verdict(same) == "no difference shown at 3 seeds (+0.0 ± 0.0 points)"
    tiny = verdict(paired_difference([0.5, 0.52, 0.48], [0.5001, 0.5, 0.5]))
    assert tiny == "no difference shown at 3 seeds (+0.0 ± 5.0 points)"
    assert summarize([0.1] * 3).sd == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_diverged_run_is_not_dropped(bad):
    summary = summarize([0.9, bad, 0.8])
    assert all(math.isnan(v) for v in (summary.mean, summary.sd, summary.low, summary.high))
    assert summary.mean_interval_contains(0.85) is None
    for values, baseline in [([0.9, bad], [0.8, 0.7]), ([0.9, bad], [0.8, bad])]:
        text = verdict(paired_difference(values, baseline))
        assert text == "nothing shown: not every figure is finite"


def test_bad_arguments():
    for values in ([], [[1.0, 2.0]], 3.0):
        with pytest.raises(ShapeError, match="one value per seed"):
            summarize(values)
    with pytest.raises(ShapeError, match="3 values against a baseline of 2"):
        paired_difference([1, 2, 3], [1, 2])
    with pytest.raises(ShapeError, match="baseline has shape"):
        paired_difference([1, 2, 3], 1.0)
    for confidence in (0, 1, 95, math.nan):
        with pytest.raises(ConfigError, match="confidence is"):
            summarize([1.0, 2.0], confidence)
        with pytest.raises(ConfigError, match="confidence is"):
            summarize([1.0], confidence)
    with pytest.raises(ConfigError, match="scale is -1"):
        verdict(paired_difference([1.0], [2.0]), scale=-1)


def test_summaries_are_values():
    summary = summarize(FIVE)
    assert summary == summarize(np.array(FIVE))
    with pytest.raises(dataclasses.FrozenInstanceError):
        summary.mean = 1.0
