"""The data set that a program's flags ask for."""

from pathlib import Path
from typing import Any

from experiments.common.own_images import ImageFlags, load_folder
from experiments.common.workdir import CONFIG
from jaxdl import data
from jaxdl.diagnosis import read_json
from jaxdl.errors import DataError, WorkdirError
from jaxdl.training.rngs import root_key

STACKED = "stacked_mnist"  # made of MNIST, see jaxdl.data.stacked
STACKING_SEED = 0


def load_data(config: Any) -> data.Dataset:
    """The data that the flags of a program name; a folder of images with progress on the console.

    Raises:
        DataError: they are not there, or damaged.
    """
    if isinstance(config, ImageFlags) and config.images is not None:
        how = {"skip_bad": config.skip_bad, "follow_links": config.follow_links}
        found = load_folder(config.images, data.Picture(config.image_size, config.grey), **how)
    else:
        size = None if config.NEEDS_CLASSES else config.image_size
        found = load_named(config.dataset, config.data_dir, config.data_source, size)
    if config.NEEDS_CLASSES and found.num_classes < 2:
        raise DataError(
            f"{found.name} in {found.location} has no classes, which this program tells "
            "apart: choose another data set, or give each class a sub-folder"
        )
    return found


def load_named(
    name: str, data_dir: str | None, source: str | None, image_size: int | None = None
) -> data.Dataset:
    """:func:`jaxdl.data.load`; and ``stacked_mnist``, which is made of MNIST."""
    if name != STACKED:
        return data.load(name, data_dir, source=source, image_size=image_size)
    return data.stacked(data.load("mnist", data_dir, source=source), root_key(STACKING_SEED))


def recorded_flags(folder: Path) -> dict[str, Any]:
    """The flags of the run in a folder; {} if it is not the folder of a run."""
    try:
        flags = read_json(folder / CONFIG).get("config")
    except WorkdirError:
        return {}
    return flags if isinstance(flags, dict) else {}
