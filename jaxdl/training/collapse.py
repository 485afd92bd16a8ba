"""Detects collapsed training from an epoch's record."""

from collections.abc import Mapping
from typing import Any

import numpy as np

SATURATED = 0.01  # D's mean outputs are this close to 1 (real) and 0 (generated)
# A pixel's standard deviation over z, relative to the mean of |pixel|: 0.34 to 0.55 for digits that
# train well; a generator trained on a single image falls below 0.1 within a few hundred steps.
IDENTICAL = 0.1
AT_CHANCE = 0.15  # with ten classes, a constant answer is about this accurate
BLANK = 0.1  # the pixels of a generator that has hardly trained are closer to 0 than this


def sample_figures(images: np.ndarray) -> dict[str, float]:
    """Measures whether a generator uses its noise, given one image per z, (N, H, W, C) in [-1, 1].

    Returns:
        ``sample_spread``, each pixel's standard deviation over z, averaged over pixels (0 if all
        images are identical); and ``sample_magnitude``, the mean of |pixel|.

    Example:
        >>> sample_figures(np.stack([np.zeros((2, 2, 1)), np.ones((2, 2, 1))]))
        {'sample_spread': 0.5, 'sample_magnitude': 0.5}
    """
    images = np.asarray(images, np.float64)
    return {
        "sample_spread": float(images.std(axis=0).mean()),
        "sample_magnitude": float(np.abs(images).mean()),
    }


def collapse_warnings(record: Mapping[str, Any], probabilities: bool = True) -> list[str]:
    """Signs in an epoch's record that G no longer learns, one line each.

    A discriminator that is always right (mean D(x) > 0.99, mean D(G(z)) < 0.01) leaves G almost no
    gradient. A generator whose images hardly differ ignores its noise, unless they are still the
    near-zero images it started with.

    Args:
        record: an epoch's means ``d_x`` and ``d_g_z1``, and :func:`sample_figures`.
        probabilities: whether D's outputs are some; others do not show saturation.

    Example:
        >>> collapse_warnings(
        ...     {"d_x": 0.999, "d_g_z1": 0.002, "sample_spread": 0.4, "sample_magnitude": 0.9})
        ['the discriminator is saturated: mean D(x) 0.9990, mean D(G(z)) 0.0020']

    References:
        Goodfellow et al., "Generative Adversarial Nets", 2014, section 3.
    """
    found = []
    if probabilities and record["d_x"] > 1 - SATURATED and record["d_g_z1"] < SATURATED:
        found.append(
            f"the discriminator is saturated: mean D(x) {record['d_x']:.4f}, "
            f"mean D(G(z)) {record['d_g_z1']:.4f}"
        )
    spread, magnitude = record["sample_spread"], record["sample_magnitude"]
    if spread < IDENTICAL * magnitude and magnitude > BLANK:
        found.append(
            "the samples are nearly identical for every z: a pixel's standard deviation is "
            f"{spread:.4f} on average, its size {magnitude:.4f}"
        )
    return found


def chance_warnings(record: Mapping[str, Any], num_classes: int = 10) -> list[str]:
    """Names the classifiers whose accuracy is below 15%: they give one answer to everything.

    Guessing one of the course's ten classes gives 10% (MNIST's most frequent digit 11%).

    Args:
        record: an epoch's ``accuracy``, one number per seed (None for a seed that has stopped). An
            incomplete epoch (``steps_done``) gives no warning.
        num_classes: above ten, half as much again as chance takes the place of 15%.

    Example:
        >>> chance_warnings({"accuracy": [0.91, 0.1136]})
        ['network 2 of 2 has an accuracy of 11.4%: it hardly uses its input']
    """
    least = min(AT_CHANCE, 1.5 / num_classes)
    accuracies = [] if "steps_done" in record else record["accuracy"]
    return [
        f"network {i} of {len(accuracies)} has an accuracy of {accuracy:.1%}: it hardly uses its "
        "input"
        for i, accuracy in enumerate(accuracies, 1)
        if accuracy is not None and accuracy < least
    ]
