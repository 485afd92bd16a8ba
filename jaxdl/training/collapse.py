"""Signs that training has collapsed, read from an epoch's record."""

from collections.abc import Mapping
from typing import Any

import numpy as np

SATURATED = 0.01  # D's mean outputs this near to 1 (real) and 0 (generated)
# A pixel's standard deviation over z, relative to the mean of |pixel|. Digits that train well have
# 0.34 to 0.55; a generator trained on a single image falls below 0.1 after some hundred steps.
IDENTICAL = 0.1
AT_CHANCE = 0.15  # an accuracy this low with ten classes is near that of one constant answer
BLANK = 0.1  # a generator that has hardly trained makes pixels nearer to 0 than this


def sample_figures(images: np.ndarray) -> dict[str, float]:
    """What shows whether a generator makes use of its noise.

    Args:
        images: one image for each z, (N, H, W, C) in [-1, 1].

    Returns:
        ``sample_spread``, each pixel's standard deviation over z, averaged over the pixels: 0 if
        all images are the same; and ``sample_magnitude``, the mean of |pixel|.

    Example:
        >>> sample_figures(np.stack([np.zeros((2, 2, 1)), np.ones((2, 2, 1))]))
        {'sample_spread': 0.5, 'sample_magnitude': 0.5}
    """
    images = np.asarray(images, np.float64)
    return {
        "sample_spread": float(images.std(axis=0).mean()),
        "sample_magnitude": float(np.abs(images).mean()),
    }


def collapse_warnings(record: Mapping[str, Any]) -> list[str]:
    """What in an epoch's record says that G no longer learns, with the numbers.

    A discriminator that is always right (mean D(x) > 0.99, mean D(G(z)) < 0.01) leaves G almost
    no gradient; a generator whose images hardly differ has left the noise out of account, unless
    they are still the near-zero ones that it began with.

    Args:
        record: an epoch's means ``d_x`` and ``d_g_z1``, and :func:`sample_figures`.

    Returns:
        One line for each sign.

    Example:
        >>> collapse_warnings(
        ...     {"d_x": 0.999, "d_g_z1": 0.002, "sample_spread": 0.4, "sample_magnitude": 0.9})
        ['the discriminator is saturated: mean D(x) 0.9990, mean D(G(z)) 0.0020']

    References:
        Goodfellow et al., "Generative Adversarial Nets", 2014, section 3.
    """
    found = []
    if record["d_x"] > 1 - SATURATED and record["d_g_z1"] < SATURATED:
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


def chance_warnings(record: Mapping[str, Any]) -> list[str]:
    """The classifiers that answer one class for everything, by their accuracy in an epoch.

    Args:
        record: an epoch's ``accuracy``, a number a seed (None for a seed that had been stopped).
            An epoch that was cut short (``steps_done``) says nothing yet.

    Returns:
        One line for each network below an accuracy of 15%, where the course's ten classes are
        guessed with 10% (MNIST's most frequent digit is 11% of it).

    Example:
        >>> chance_warnings({"accuracy": [0.91, 0.1135]})
        ['network 1 of 2 has an accuracy of 11.4%: it hardly uses its input']
    """
    accuracies = [] if "steps_done" in record else record["accuracy"]
    return [
        f"network {i} of {len(accuracies)} has an accuracy of {accuracy:.1%}: it hardly uses its "
        "input"
        for i, accuracy in enumerate(accuracies)
        if accuracy is not None and accuracy < AT_CHANCE
    ]
