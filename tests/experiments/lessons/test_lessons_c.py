"""The lessons on metrics, augmentations, BatchNorm's modes, and training: small, and in parts."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lessons import (
    activations_on_digits,
    augmentation_gallery,
    batch_norm_modes,
    detection_metrics,
    optimizers_on_digits,
)
from jaxdl import metrics
from jaxdl.data.augmentation import KINDS
from jaxdl.models import Generator
from jaxdl.training.state import NetworkState

SLOW = pytest.mark.slow
LESSONS = {
    "detection_metrics": (
        detection_metrics.DetectionMetricsConfig,
        {"scenes": 4},
        {"confusion", "overlaps", "scenes", "precision_recall", "average_precision"},
    ),
    "augmentation_gallery": (
        augmentation_gallery.AugmentationGalleryConfig,
        {"digits": 40},
        {"digits", "photograph"},
    ),
    "batch_norm_modes": (
        batch_norm_modes.BatchNormModesConfig,
        {"preset": "smoke"},
        {"batch_norm_modes"},
    ),
    "activations_on_digits": (
        activations_on_digits.ActivationsOnDigitsConfig,
        {"preset": "smoke"},
        {"activations_on_digits"},
    ),
    "optimizers_on_digits": (
        optimizers_on_digits.OptimizersOnDigitsConfig,
        {"preset": "smoke"},
        {"optimizers_on_digits", "in_the_end"},
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if "detection" in name else SLOW) for name in LESSONS]
)
def test_a_lesson_opens_and_closes_with_what_it_shows(
    name, tmp_path, few_digits, no_pictures, capsys
):
    config_class, fields, figures = LESSONS[name]
    module = globals()[name]
    fields = {"preset": None, "workdir": str(tmp_path), "data_dir": few_digits, **fields}
    result = module.run(config_class.from_preset(**fields))
    assert result.figures.keys() == figures
    assert json.loads((tmp_path / "summary.json").read_text()).keys() == result.summary.keys()
    printed = capsys.readouterr().out
    assert printed.startswith(module.__doc__.splitlines()[0])
    assert result.summary["shown"] in " ".join(printed.split())


def blot(height, width):
    """A scene with a block of ink, at even rows and columns."""
    image = np.zeros((96, 96), np.uint8)
    image[10 : 10 + height, 20 : 20 + width] = 255
    return image


def test_the_detector_finds_a_blot_and_its_class():
    wide, tall = (detection_metrics.cut(blot(6, 4), np.array([20, 10, 24, 16])), np.zeros(144))
    found = detection_metrics.detect(blot(6, 4), np.stack([tall, wide]))
    assert found.boxes.tolist() == [[20, 10, 24, 16]]
    assert found.classes.tolist() == [1]
    assert found.scores[0] == pytest.approx(1)
    nothing = detection_metrics.detect(np.zeros((96, 96), np.uint8), np.stack([tall, wide]))
    assert nothing.boxes.shape == (0, 4)
    assert nothing.scores.shape == (0,)


def test_scores_trade_precision_for_recall():
    metric = metrics.MeanAveragePrecision(
        thresholds=(0.5,),
        scores=np.array([0.9, 0.6, 0.3]),
        classes=np.zeros(3, int),
        hits=np.array([[True, False, True]]),
        truths=np.array([4]),
    )
    counts = detection_metrics.counts_from
    assert counts(0.0, metric) == pytest.approx({"precision": 2 / 3, "recall": 0.5, "F1": 4 / 7})
    assert counts(0.5, metric) == pytest.approx({"precision": 0.5, "recall": 0.25, "F1": 1 / 3})


def test_what_metrics_show_follows_from_them():
    def said(last):
        kept = {"precision": 0.8, "recall": 0.5, "score": 0.1}
        every = {"precision": 0.6, "recall": 0.7}
        numbers = {"map_by_overlap": [0.7, last], "detections": kept, "all_detections": every}
        return detection_metrics.shown(numbers)

    assert "precision by 20 points to 80% and costs 20 points" in said(0.2)
    assert said(0.2).endswith("says little without its overlap.")
    assert said(0.65).endswith("hardly depends on it.")


def test_strengths_are_multiplied_but_probabilities_are_not():
    config = augmentation_gallery.AugmentationGalleryConfig(times=2.0)
    found = augmentation_gallery.strengths(config, {"shift": 16.0})
    assert found.keys() == KINDS.keys()
    assert found["shift"] == 32
    assert found["rotation"] == 2 * KINDS["rotation"].strength
    assert found["flip"] == KINDS["flip"].strength


def test_dear_augmentations_are_named():
    numbers = {
        "unchanged": 0.9,
        "rotation, 10 degrees": 0.85,
        "vertical flip, 0.5 probability": 0.6,
    }
    measured = {name: {"change": 1.0, "recognised": share} for name, share in numbers.items()}
    said = augmentation_gallery.shown(measured)
    assert "10 points to vertical flip (30 points), and less to rotation." in said


@SLOW
def test_only_training_mode_looks_at_the_batch_mates():
    model = Generator(features=2, latent_dim=4, image_size=28)
    network = NetworkState.create(jax.random.key(0), model, optimizer(), jnp.zeros((1, 4)))
    z = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    z[1, 0] = z[0, 0]
    evaluation, training = map(np.asarray, batch_norm_modes.draw_first(network, z))
    np.testing.assert_allclose(evaluation[0], evaluation[1], atol=1e-6)
    assert np.abs(training[0] - training[1]).max() > 1e-4


def optimizer():
    """One that is never used."""
    return optimizers_on_digits.OPTIMIZERS["SGD"][0](0.1)


def test_differences_between_batches_are_in_grey_values():
    images = np.zeros((2, 3, 1, 1, 1))
    images[0, 1] = 2.0  # from black to white
    assert batch_norm_modes.spread(images) == pytest.approx((255 / 4, 255))


def test_what_batch_norm_shows_follows_from_the_differences():
    def said(largest):
        entry = {"training_mean": 12.34, "evaluation_largest": largest, "from_evaluation": 5.0}
        return batch_norm_modes.shown({"50 digits": entry})

    assert "12.3 in batches of 50 digits (5.0) grey values" in said(0.0)
    assert "There it changes not at all." in said(0.0)
    assert "There it changes by up to 3." in said(3.0)


def history(ends):
    """Figures (rates, seeds, epochs + 1) that end with the given held-out accuracies."""
    held_out = np.zeros((3, 2, 2))
    held_out[:, :, -1] = np.array(ends)[:, None]
    return {"held_out": held_out, "test": 1 - held_out, "train_loss": held_out}


def test_rates_are_chosen_by_held_out_digits_alone():
    chosen = optimizers_on_digits.choose({"SGD": history([0.5, 0.9, 0.7])})["SGD"]
    assert chosen["rate"] == 0.3
    assert chosen["test"][:, -1].tolist() == pytest.approx([0.1, 0.1])
    diverged = optimizers_on_digits.choose({"Adam": history([0.5, np.nan, 0.4])})["Adam"]
    assert diverged["rate"] == 0.001


def test_what_activations_show_follows_from_their_figures():
    def entry(kept, dead, loss):
        figures = {"gradient_kept": kept, "dead": dead, "loss_after_one": loss}
        return figures | {"dead_before": 0.05}

    entries = {
        "sigmoid": entry(1e-4, [0.0], [2.3, 2.3]),
        "ReLU": entry(0.8, [0.02, 0.3], [1.0, 1.1]),
        "ELU": entry(1.5, [0.0, 0.0], [0.5, 0.61]),
        "PReLU": entry(1.0, [0.0], [0.8, 0.9]) | {"slopes": [0.1, 0.4]},
    }
    config = activations_on_digits.ActivationsOnDigitsConfig()
    said = activations_on_digits.shown(entries, config)
    assert "vanishes with sigmoid; with the others" in said
    assert "ReLU 0.8, ELU 1.5, PReLU 1. " in said
    assert "5.0% are dead before training, in the end 2.0% at rate 0.02 and 30.0%" in said
    assert "none are of sigmoid, ELU, PReLU." in said
    assert "beside ReLU's, is better by" in said
