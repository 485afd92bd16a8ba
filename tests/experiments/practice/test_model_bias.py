"""Model bias, shrunk: its networks, the further features, and what the ensemble is."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.common.practice import probabilities_of
from experiments.practice import model_bias
from experiments.practice.model_bias import ModelBiasConfig, with_edges
from jaxdl.data import normalize_mnist
from jaxdl.data.sources.embedded import load_embedded


def config_for(folder, data_dir, **fields):
    fields = {"workdir": str(folder), "data_dir": data_dir, "num_devices": 1, **fields}
    return ModelBiasConfig.from_preset("smoke", **fields)


@pytest.fixture(scope="module")
def done(tmp_path_factory, few_digits):
    folder = tmp_path_factory.mktemp("model_bias")
    return folder, model_bias.run(config_for(folder, few_digits, seeds=3))


def test_the_wide_network_has_as_many_parameters_as_the_ensemble():
    config, digits = ModelBiasConfig(members=5, layers=3), load_embedded()
    sizes = {}
    for run in model_bias.make_runs(config, digits):
        x = jnp.zeros((1, 980 if run.name == "edges too" else 784))
        shapes = jax.eval_shape(
            lambda x, run=run: run.model.init(jax.random.key(0), x, train=False), x
        )
        sizes[run.name] = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    small = 784 * 16 + 16 + 16 * 10 + 10
    assert sizes == {
        "small": small,
        "5 × wider": 5 * small - 4 * 10,  # one bias of the output, not five
        "3 layers": small + 2 * (16 * 16 + 16),
        "edges too": small + 196 * 16,
    }


def test_edges_are_how_brightness_rises_in_each_direction():
    image = np.zeros((1, 8, 8, 1), np.uint8)
    image[:, :, 2:, :] = 255  # rises once to the right, in the left squares
    found = np.asarray(with_edges(image))
    np.testing.assert_array_equal(found[0, :64], np.asarray(normalize_mnist(image)).ravel())
    edges = found[0, 64:].reshape(2, 2, 4)
    np.testing.assert_allclose(edges[:, 0, 2], 1)  # 4 of 16 pixels, times 4
    assert edges[:, 0, [0, 1, 3]].tolist() == [[0, 0, 0], [0, 0.5, 0]]  # it falls at the bottom


@pytest.mark.slow
def test_the_ensemble_is_the_mean_of_disjoint_groups_of_networks(done, few_digits):
    folder, result = done
    members = result.fitted["small"]
    assert members.seeds == (1, 2, 3, 4, 5, 6)
    assert result.fitted["4 layers"].seeds == (1, 2, 3)
    part = load_embedded().test
    images, labels = part.images[:96], part.labels[:96]
    each = probabilities_of(members, part._replace(images=images, labels=labels))
    values = result.findings.values
    for i in range(3):
        right = each[[i, i + 3]].mean(0).argmax(-1) == labels
        assert values["ensemble"]["test_accuracy"][i] == pytest.approx(right.mean())
        likely = each[[i, i + 3]].mean(0)[np.arange(96), labels]
        assert values["ensemble"]["test_loss"][i] == pytest.approx(-np.log(likely).mean(), rel=1e-5)
        own = [members.final("test_loss")[j] for j in (i, i + 3)]
        assert values["small"]["test_loss"][i] == pytest.approx(np.mean(own))
        # The logarithm is concave.
        for metric in ("test_loss", "train_loss"):
            assert values["ensemble"][metric][i] < values["small"][metric][i]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["runs"]["ensemble"]["train_loss"]["values"] == values["ensemble"]["train_loss"]
    assert list(summary["runs"]["ensemble"])[-2:] == [
        "difference_to_small",
        "difference_to_2 × wider",
    ]
    first, second = summary["sentence"].split("\n")
    assert first.startswith("Training loss against small, seed by seed: ")
    assert second.startswith("Test accuracy against small, seed by seed: ")


@pytest.mark.slow
def test_a_finished_comparison_is_read_again(done, few_digits, no_pictures):
    folder, first = done
    again = model_bias.run(config_for(folder, few_digits, seeds=3))
    assert again.fitted["edges too"].fitted.resumed_from == 8
    assert again.summary["runs"] == first.summary["runs"]
