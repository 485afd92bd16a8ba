"""Imbalance: its tasks, its remedies and its figures against scikit-learn; and a run of some."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight

from experiments.practice import imbalance
from experiments.practice.imbalance import ImbalanceConfig, hardest, make_runs, make_tasks
from jaxdl import losses
from jaxdl.data import Split
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.errors import ConfigError
from jaxdl.training.rngs import root_key


@pytest.fixture(scope="module")
def made():
    digits, config = load_embedded(), ImbalanceConfig(batch_size=100)
    return make_tasks(config, digits), {run.name: run for run in make_runs(config, digits)}


def images_of(part):
    return {image.tobytes() for image in part.images}


def test_only_the_training_parts_are_imbalanced_and_no_image_is_in_two_parts(made):
    tasks, _ = made
    pair, tail = tasks["4-9"], tasks["tail"]
    assert np.bincount(pair.train.labels).tolist() == [360, 3]
    assert np.bincount(pair.held.labels).tolist() == [40, 40]
    assert np.bincount(pair.test.labels).tolist() == [100, 100]
    # 360 · 100^(-c/9), rounded down.
    assert np.bincount(tail.train.labels).tolist() == [360, 215, 129, 77, 46, 27, 16, 10, 6, 3]
    assert np.bincount(tail.held.labels).tolist() == [40] * 10
    np.testing.assert_array_equal(tail.test.images, load_embedded().test.images)
    for task in tasks.values():
        parts = [images_of(part) for part in (task.train, task.held, task.test)]
        assert len(set.union(*parts)) == sum(map(len, parts))


def test_the_rare_digit_is_the_four(made):
    pair, digits = made[0]["4-9"], load_embedded()
    fours = images_of(Split(digits.train.images[digits.train.labels == 4], None))
    assert pair.rare == (1,)
    assert images_of(Split(pair.train.images[pair.train.labels == 1], None)) < fours


def test_class_weights_are_scikit_learn_s(made):
    tasks, runs = made
    for name, task in tasks.items():
        labels = task.train.labels
        expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
        found = runs[f"{name} class weights"].how["class_weights"]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_sampling_balances_the_training_part_and_keeps_the_number_of_steps(made):
    tasks, runs = made
    for way in ("plain", "under-sampling", "over-sampling"):
        assert runs[f"4-9 {way}"].how["sampler"](root_key(0), 1).shape == (50 * 100,)
    labels = tasks["tail"].train.labels
    over = runs["tail over-sampling"]
    drawn = np.bincount(labels[np.asarray(over.how["sampler"](root_key(0), 1))], minlength=10)
    assert (np.abs(drawn - 500) < 100).all()  # 4.7 standard deviations
    under = runs["tail under-sampling"]
    assert np.bincount(under.train.labels).tolist() == [3] * 10
    assert images_of(under.train) <= images_of(tasks["tail"].train)
    np.testing.assert_array_equal(over.train.labels, labels)


def test_top_k_s_objective_is_the_mean_of_the_hardest(rng):
    logits, labels = jnp.asarray(rng.normal(size=(20, 3))), jnp.asarray(rng.integers(0, 3, 20))
    each = np.asarray(losses.cross_entropy(logits, labels))
    found = np.asarray(hardest(logits, labels, share=0.25))
    assert found.mean() == pytest.approx(np.sort(each)[-5:].mean(), rel=1e-5)
    assert (found > 0).sum() == 5
    assert (hardest(logits, labels, share=0.001) > 0).sum() == 1


def test_the_figures_are_scikit_learn_s(rng):
    labels = rng.integers(0, 4, 300)
    scores = rng.normal(size=(300, 4)) + 1.5 * np.eye(4)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    predicted = probabilities.argmax(1)
    rare = (2, 3)
    found = imbalance.rare_figures(probabilities, labels, rare)
    options = {"labels": rare, "average": "macro"}
    expected = {
        "test_balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "test_recall": sk.recall_score(labels, predicted, **options),
        "test_f1": sk.f1_score(labels, predicted, **options),
        "test_average_precision": np.mean(
            [sk.average_precision_score(labels == c, probabilities[:, c]) for c in rare]
        ),
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-6), name


def test_two_classes_are_too_few():
    digits = load_embedded()._replace(num_classes=2, name="coins")
    with pytest.raises(ConfigError, match="coins has 2 classes: this program needs ten"):
        make_tasks(ImbalanceConfig(), digits)


@pytest.mark.slow
def test_a_run_measures_every_way_on_the_whole_test_part(tmp_path, few_digits, monkeypatch):
    everything = imbalance.remedies

    def few(config, train):
        found = everything(config, train)
        return {name: found[name] for name in ("plain", "over-sampling", "top-k=0.5")}

    monkeypatch.setattr(imbalance, "remedies", few)
    fields = {"workdir": str(tmp_path), "data_dir": few_digits, "num_devices": 1}
    result = imbalance.run(ImbalanceConfig.from_preset("smoke", **fields, max_steps=30))
    ways = ["plain", "over-sampling", "top-k=0.5"]
    assert list(result.findings.values) == [f"{t} {w}" for t in ("4-9", "tail") for w in ways]
    assert result.findings.pairs[-1] == ("tail top-k=0.5", "tail plain")
    test = load_embedded().test
    images, labels = test.images[:96], test.labels[:96]
    fitted = result.fitted["tail over-sampling"]
    for i in range(2):
        predicted = fitted.predict(images, i)
        found = result.findings.values["tail over-sampling"]
        expected = sk.balanced_accuracy_score(labels, predicted)
        assert found["test_balanced_accuracy"][i] == pytest.approx(expected, abs=1e-6)
    digits = np.isin(labels, (4, 9))
    fours = result.fitted["4-9 plain"].predict(images[digits], 0)
    found = result.findings.values["4-9 plain"]["test_recall"][0]
    expected = sk.recall_score(labels[digits] == 4, fours == 1)
    assert found == pytest.approx(expected, abs=1e-6)
    assert set(result.figures) == {"comparison", "differences", "recall_by_class"}
    first, second = result.summary["sentence"].split("\n")
    assert first.startswith("Test balanced accuracy against 4-9 plain, seed by seed: ")
    assert second.startswith("Test average precision against 4-9 plain, seed by seed: ")
