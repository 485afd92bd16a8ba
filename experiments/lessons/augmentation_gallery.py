"""Augmentation gallery: what each augmentation does to digits and to a photograph.

What:     every augmentation of `jaxdl.data.augmentation`, with its strength, on the ten digits and
          on one of scikit-learn's photographs; how much each changes the pixels, and how many
          changed digits are still recognised by their nearest neighbours among unchanged ones.
Source:   course document 002 (its list of augmentations); course document 004, level 13 (rotation,
          elastic distortion, noise, crop); course document 001 (flip, scale).
Command:  python -m experiments.lessons.augmentation_gallery     twenty seconds
Expected: flips cost most of the ordinary ones, since a mirrored digit is another sign or none;
          shifts and elastic distortion cost the neighbours much, as they compare pixel by pixel;
          rotation, brightness, contrast and noise cost next to nothing.

An augmentation says which changes do not matter. Where that is so, a network learns from more
images; where it is not, it learns what is false. Fewer recognised digits mean either: the change is
too strong, or the classifier would gain by learning it.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.table import text_table
from jaxdl import data, plot
from jaxdl.data.augmentation import KINDS, Augmentations, diff_augment, to_greyscale
from jaxdl.data.domains import photograph
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"
PHOTOGRAPH, EVERY = "china.jpg", 4  # and of its rows and columns, every fourth
FOR_PHOTOGRAPH = {"shift": 16.0, "elastic": 50.0}  # in pixels: a photograph has more of them
NEIGHBOURS, KNOWN = 3, 4000  # neighbours that vote, and training digits they are chosen from
COSTS = 0.1  # fewer recognised digits, as a share, than which an augmentation is called dear


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationGalleryConfig(DataConfig):
    """How strong the augmentations are, and how many digits they are measured on."""

    times: float = option(1.0, "factor on the usual strengths, but not on flips'", above=0, high=3)
    digits: int = option(300, "test digits that are changed and recognised", low=10, high=10_000)


def strengths(config: AugmentationGalleryConfig, usual: dict[str, float]) -> dict[str, float]:
    """The strength of each augmentation; a probability is not multiplied."""
    return {
        name: usual.get(name, kind.strength) * (1.0 if "flip" in name else config.times)
        for name, kind in KINDS.items()
    }


@functools.partial(jax.jit, static_argnames=("name", "strength"))
def augmented(key: jax.Array, images: jax.Array, name: str, strength: float) -> jax.Array:
    """Images after one augmentation."""
    return Augmentations(((name, strength),))(key, images, jnp.arange(len(images)))


@jax.jit
def seen_by_discriminator(key: jax.Array, images: jax.Array) -> jax.Array:
    """Images after the augmentation of a GAN with few data, as uint8."""
    return data.to_uint8(diff_augment(key, data.to_signed_range(images)))


def gallery(
    images: np.ndarray, config: AugmentationGalleryConfig, usual: dict[str, float]
) -> dict[str, np.ndarray]:
    """Images after each augmentation, by its name and strength."""
    key = stream(root_key(config.seed), Stream.AUGMENTATION)
    changed = {"unchanged": np.asarray(images)}
    for name, strength in strengths(config, usual).items():
        words = f"{name.replace('_', ' ')}, {strength:g} {KINDS[name].unit}"
        changed[words] = np.asarray(augmented(key, images, name, strength))
    if images.shape[-1] == 3:
        changed["greyscale"] = np.asarray(to_greyscale(images, keep_channels=True))
    changed["of a GAN, colour, shift and hole"] = np.asarray(seen_by_discriminator(key, images))
    return changed


def measure(
    changed: dict[str, np.ndarray], labels: np.ndarray, known: data.Split
) -> dict[str, dict[str, float]]:
    """Mean absolute change in grey values, and the share of digits still recognised."""
    from sklearn.neighbors import KNeighborsClassifier

    flat = known.images[:KNOWN].reshape(-1, known.images[0].size).astype(np.float32)
    neighbours = KNeighborsClassifier(NEIGHBOURS).fit(flat, known.labels[:KNOWN])
    original = changed["unchanged"].astype(np.float32)
    found = {}
    for name, images in changed.items():
        rows = images.reshape(len(images), -1).astype(np.float32)
        found[name] = {
            "change": float(np.abs(images - original).mean()),
            "recognised": float((neighbours.predict(rows) == labels).mean()),
        }
    return found


def draw_digits(changed: dict[str, np.ndarray], labels: np.ndarray) -> Any:
    """A row for each augmentation, a column for each of the ten digits."""
    columns = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)]
    return plot.image_rows({name: images[columns] for name, images in changed.items()})


def draw_photograph(changed: dict[str, np.ndarray]) -> Any:
    """The photograph after each augmentation."""
    names = [name.replace(", ", "\n", 1) for name in changed]
    pictures = np.concatenate(list(changed.values()))
    return plot.image_grid(pictures, columns=4, padding=4, labels=names)


def shown(measured: dict[str, dict[str, float]]) -> str:
    """What the lesson has shown, from its numbers."""
    before = measured["unchanged"]["recognised"]
    lost = {
        name.split(",")[0]: before - entry["recognised"]
        for name, entry in measured.items()
        if name != "unchanged"
    }
    dear = [f"{name} ({100 * share:.0f} points)" for name, share in lost.items() if share > COSTS]
    cheap = [name for name, share in lost.items() if share <= COSTS]
    return (
        f"Neighbours that have only seen unchanged digits recognise {before:.0%} of them. They "
        f"lose more than {100 * COSTS:.0f} points to {', '.join(dear) or 'no augmentation'}, and "
        f"less to {', '.join(cheap) or 'none'}. Whether a change is one that does not matter has "
        "to be decided by looking: a mirrored digit is another sign or none."
    )


def run(config: AugmentationGalleryConfig) -> lesson.Result:
    """Augments, measures, prints the table, draws, and writes the folder."""
    folder, digits = lesson.begin_on_digits("augmentation_gallery", config, __doc__)
    labels = digits.test.labels[: config.digits]
    changed = gallery(digits.test.images[: config.digits], config, {})
    measured = measure(changed, labels, digits.train)
    print(f"\n{len(labels)} test digits and their {NEIGHBOURS} nearest neighbours:\n")
    rows = [
        (name, f"{entry['change']:.1f}", f"{entry['recognised']:.1%}")
        for name, entry in measured.items()
    ]
    print(text_table(("augmentation", "mean change, grey values", "recognised"), rows))
    photo = photograph(PHOTOGRAPH)[None, ::EVERY, ::EVERY]
    figures = {
        "digits": draw_digits(changed, labels),
        "photograph": draw_photograph(gallery(photo, config, FOR_PHOTOGRAPH)),
    }
    summary = {
        "data": lesson.data_of(digits),
        "augmentations": measured,
        "shown": shown(measured),
    }
    return lesson.finish(folder, summary, figures)


if __name__ == "__main__":
    command_line.main("lessons.augmentation_gallery", AugmentationGalleryConfig, run, __doc__)
