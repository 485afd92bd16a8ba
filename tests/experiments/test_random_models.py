"""The luck of the best: its figures checked by hand, and a short run of the program."""

import itertools
import json

import numpy as np
import pytest

from experiments.practice import random_models
from experiments.practice.random_models import RandomModelsConfig, Scores, expected_maximum
from jaxdl.errors import DataError


def test_the_expected_maximum_is_that_of_binomial_draws():
    # Two scores of two images each, 1/4 : 1/2 : 1/4. The larger is 0 in 1/16, 1 in 8/16, 2 in 7/16.
    assert expected_maximum(2, 0.5, 2) == pytest.approx((8 * 0.5 + 7 * 1.0) / 16)
    assert expected_maximum(50, 0.3, 1) == pytest.approx(0.3)
    draws = np.random.default_rng(0).binomial(100, 0.1, (2000, 1000)).max(1) / 100
    assert expected_maximum(100, 0.1, 1000) == pytest.approx(draws.mean(), abs=0.002)


def test_the_best_of_a_few_is_the_mean_over_all_choices():
    scores = Scores(np.array([[0.3, 0.1, 0.9, 0.5]]), np.array([[0.4, 0.2, 0.6, 0.8]]))
    for count in range(1, 5):
        chosen = [
            max(s, key=lambda i: scores.test[0, i]) for s in itertools.combinations(range(4), count)
        ]
        expected = [np.mean([each[0, i] for i in chosen]) for each in scores]
        assert scores.best_of(count) == pytest.approx(expected)
    test, fresh = scores.best()
    assert (test.tolist(), fresh.tolist()) == ([0.9], [0.6])


@pytest.mark.parametrize(
    ("test", "fresh", "says"),
    [
        ([0.22, 0.23, 0.24], [0.12, 0.13, 0.14], "The difference, +10.0 ± 0.0 points, was luck."),
        ([0.22, 0.23, 0.24], [0.30, 0.10, 0.20], "No luck shown at 3 seeds (+3.0 ±"),
        ([0.10, 0.11, 0.12], [0.20, 0.21, 0.22], "better than the test set said (-10.0"),
        ([0.22], [0.10], "One seed shows nothing."),
    ],
)
def test_the_sentence_follows_from_the_numbers(test, fresh, says):
    scores = Scores(np.array([[0.0, one] for one in test]), np.array([[0.0, one] for one in fresh]))
    assert says in random_models.sentence("untrained", scores, 100)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("luck")
    config = RandomModelsConfig.from_preset(
        "smoke", workdir=str(folder), data_source="embedded", models=60, steps=20
    )
    return folder, random_models.run(config)


def test_a_run_leaves_a_figure_and_what_it_found(smoke):
    folder, result = smoke
    assert (folder / "luck.png").stat().st_size > 0
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["kinds"] == result.summary["kinds"]
    untrained, trained = summary["kinds"].values()
    assert abs(untrained["mean_accuracy"] - 0.1) < 0.02
    assert trained["mean_accuracy"] > untrained["mean_accuracy"]
    for kind in (untrained, trained):
        luck = np.subtract(kind["best_on_test"], kind["best_on_fresh"])
        assert kind["luck"]["mean"] == pytest.approx(luck.mean())
        assert np.mean(kind["best_on_fresh"]) <= kind["best_possible"]
    assert np.mean(untrained["best_on_test"]) > 0.14


def test_the_images_that_choose_are_not_among_the_fresh_ones():
    dataset = random_models.data.load("mnist", source="embedded")
    config = RandomModelsConfig(test_images=300)
    tasks = [
        random_models.make_task(config, dataset, random_models.root_key(seed)) for seed in (0, 1)
    ]
    chosen = []
    for task in tasks:
        few, rest = ({x.tobytes() for x in np.asarray(part[0])} for part in (task.test, task.fresh))
        assert (len(few), len(rest)) == (300, 700)
        assert not few & rest
        chosen.append(few)
    assert chosen[0] != chosen[1]


def test_a_test_set_that_leaves_too_little_is_refused_before_anything_is_written(tmp_path):
    config = RandomModelsConfig(
        workdir=str(tmp_path / "run"), data_source="embedded", test_images=501
    )
    with pytest.raises(DataError, match="--test_images 501: mnist has 1000 test images"):
        random_models.run(config)
    assert not (tmp_path / "run").exists()
