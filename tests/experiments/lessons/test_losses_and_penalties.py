"""Entropy, lines through outliers, and the geometry of L1 and L2."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments.lessons import losses, penalties
from experiments.lessons.losses import LossesConfig
from experiments.lessons.penalties import PenaltiesConfig


def written(folder, result):
    """The figures of a folder, which are not blank, and the sentence of its summary."""
    for name in result.figures:
        with Image.open(folder / f"{name}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5
    return json.loads((folder / "summary.json").read_text())["shown"]


def test_cross_entropy_is_least_at_the_truth_and_its_first_term_is_not():
    whole, term = map(
        np.asarray, losses.cross_entropies(losses.PROBABILITIES, losses.PROBABILITIES)
    )
    facts = losses.entropy_facts(whole, term)
    assert facts["least_away_from_p"] == 0
    assert facts["least_away_from_entropy"] < 1e-6
    assert facts["term_least_at"] == [0.99]
    assert facts["entropy"] == pytest.approx(
        {"a coin": 1, "a bent coin, 0.9": 0.4689956, "a die": np.log2(6)}
    )
    p, q = 0.25, 0.7
    row, column = round(100 * p) - 1, round(100 * q) - 1
    assert term[row, column] == pytest.approx(-p * np.log2(q), rel=1e-5)
    assert whole[row, column] == pytest.approx(-p * np.log2(q) - (1 - p) * np.log2(1 - q), rel=1e-5)


@pytest.fixture(scope="module")
def fitted():
    """A configuration with few draws, and the lines fitted to each."""
    config = LossesConfig(draws=10)
    return config, losses.fit_with_outliers(config)


def test_the_lines_minimise_their_losses(fitted):
    config, lines = fitted
    place = 3
    key = losses.jax.random.fold_in(losses.stream(losses.root_key(0), losses.Stream.MADE_UP), 4)
    x, y, outlier = map(np.asarray, losses.draw_points(key, losses.PUSHED[place]))
    assert outlier.sum() == losses.PUSHED[place]
    np.testing.assert_allclose(lines["squared"][4, place], np.polyfit(x, y, 1), atol=1e-3)
    for name, loss in losses.regression_losses(config).items():

        def mean(line, loss=loss):
            return float(np.mean(loss(line[0] * x + line[1], y)))

        best = mean(lines[name][4, place])
        for step in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
            assert mean(lines[name][4, place] + step) > best - 1e-4


def test_outliers_pull_the_squared_loss_along(fitted):
    missed = {name: losses.misses(lines) for name, lines in fitted[1].items()}
    assert losses.misses(np.array([losses.SLOPE, losses.INTERCEPT + 3])) == pytest.approx(3)
    middle = len(losses.PUSHED) // 2
    assert (missed["squared"][:, middle] > 3 * missed["absolute"][:, middle]).all()
    assert missed["squared"][:, 0].mean() < missed["absolute"][:, 0].mean()
    said = losses.fit_sentence(missed, middle)
    assert said.startswith("With 8 of 40 points too high, the line of the absolute loss is nearest")
    # The sentence follows from the numbers.
    other = losses.fit_sentence(missed | {"squared": missed["absolute"] / 2}, middle)
    assert "the line of the squared loss is nearest" in other


@pytest.mark.parametrize("strength", penalties.STRENGTHS)
def test_penalised_weights_meet_the_conditions_of_a_minimum(strength):
    curvature, minimum = penalties.draw_losses(PenaltiesConfig(draws=50))
    np.testing.assert_allclose(
        np.linalg.eigvalsh(curvature), np.tile([1.0, 5.0], (50, 1)), rtol=1e-6
    )

    def slope(weights):
        return (curvature @ (weights - minimum)[..., None])[..., 0]

    l2 = penalties.with_l2(curvature, minimum, strength)
    np.testing.assert_allclose(slope(l2) + strength * l2, 0, atol=1e-9)
    l1 = penalties.with_l1(curvature, minimum, strength)
    zero = l1 == 0
    assert 0 < zero.mean() < 1
    assert (abs(slope(l1))[zero] <= strength + 1e-9).all()
    np.testing.assert_allclose((slope(l1) + strength * np.sign(l1))[~zero], 0, atol=1e-9)


def test_only_l1_with_steps_that_stop_at_zero_makes_zeros(tmp_path, capsys):
    result = penalties.run(PenaltiesConfig(workdir=str(tmp_path), draws=100))
    weights = result.summary["weights"]
    assert weights["L2"]["at 0"] == weights["L1, plain descent"]["at 0"] == [0, 0, 0]
    first, second, third = weights["L1"]["at 0"]
    assert 0 < first < second < third < 1
    assert written(tmp_path, result).startswith(
        "Share of weights at exactly 0, over 100 random losses with λ = 0.1, 0.3, 1: L2 0%, 0%, 0%"
    )
    l1, l2 = result.figures["penalties"].axes
    (x1, _), (x2, _) = (ax.get_lines()[2].get_xydata()[0] for ax in (l1, l2))  # where they touch
    assert x1 == 0 != x2
    assert "why one penalty makes weights zero" in capsys.readouterr().out
