"""Prepares data sets with tensorflow-datasets, without TensorFlow where possible.

TFDS's stock MNIST builder opens files through TensorFlow, so MNIST and Fashion-MNIST have their own
builder here. It uses TFDS's download manager and folder layout, this package's IDX parser, and raw
uint8 tensors instead of PNG images (which only TensorFlow would encode). It writes version 1.0.0,
which no stock builder uses.
"""

import contextlib
import difflib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from jaxdl.data.dataset import Split
from jaxdl.data.sources.idx import read_split
from jaxdl.data.sources.published import (
    PUBLISHED,
    ChecksumError,
    Published,
    file_urls,
    mirrors,
    probe,
    verify,
)
from jaxdl.data.sources.tfds import check_features, find_prepared, import_tfds
from jaxdl.errors import DataError, DataUnavailableError, brief

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

VERSION = "1.0.0"

_GENERAL_PROBE_URL = "https://storage.googleapis.com/tfds-data"


def prepare(name: str, root: Path) -> Path:
    """Downloads and prepares a data set in ``root``; fails quickly if the network does not answer.

    The name is "mnist", "fashion_mnist", or a TFDS name (``name/config`` for a configuration).

    Returns:
        The prepared folder.

    Raises:
        DataUnavailableError: the network or a mirror does not provide it.
        DataError: unknown name, wrong checksum, or TFDS cannot prepare it without TensorFlow.
    """
    if name in PUBLISHED:
        return prepare_published(PUBLISHED[name], root)
    return _prepare_stock(name, root)


def prepare_published(published: Published, root: Path, base_url: str | None = None) -> Path:
    """Prepares MNIST or Fashion-MNIST in ``<root>/<name>/1.0.0`` with this package's builder.

    ``base_url`` (or ``JAXDL_<NAME>_URL``) replaces the known mirrors. Downloads are not kept.

    Raises:
        DataUnavailableError: no mirror answers or provides the files.
        ChecksumError: no mirror has the published files.
        DataError: a file is damaged.
    """
    bases = mirrors(published, base_url)
    questions = {base: file_urls(base)["test_labels"] for base in bases}
    reasons = probe(list(questions.values()))
    failures: list[DataError] = [
        DataUnavailableError(f"{urlsplit(url).netloc}: {reason}")
        for url, reason in reasons.items()
        if reason
    ]
    for base in bases:
        if reasons[questions[base]]:
            continue
        try:
            return _prepare_from(published, root, base)
        except DataError as error:
            failures.append(error)
    raise _worst(published.name, failures)


def _prepare_from(published: Published, root: Path, base_url: str) -> Path:
    tfds = import_tfds()
    try:
        root.mkdir(parents=True, exist_ok=True)
        builder = _builder_class(published, base_url)(data_dir=root, file_format="array_record")
        # Cleaned up as far as possible: after one download failed, others may still be writing.
        downloads = tempfile.TemporaryDirectory(
            prefix="downloads_", dir=root, ignore_cleanup_errors=True
        )
        with downloads as download_dir, _quiet():
            builder.download_and_prepare(
                download_dir=download_dir,
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
    except DataError:
        raise
    except tfds.core.download.download_manager.NonMatchingChecksumError as error:
        raise ChecksumError(f"{base_url}: {brief(error)}; use another mirror") from error
    except Exception as error:  # requests, TFDS and the file system raise their own errors
        prepared = find_prepared(root, published.name)
        if prepared is not None:  # another process was faster
            return prepared
        raise DataUnavailableError(
            f"{base_url}: downloading or preparing into {root} failed ({brief(error)})"
        ) from error
    return Path(builder.data_dir)


def _builder_class(published: Published, base_url: str) -> type["tfds.core.GeneratorBasedBuilder"]:
    tfds = import_tfds()
    urls = file_urls(base_url)

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """IDX files to raw uint8 tensors, in the published order."""

        name = published.name
        VERSION = tfds.core.Version(VERSION)

        def _info(self) -> "tfds.core.DatasetInfo":
            features = {
                "image": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8),
                "label": tfds.features.ClassLabel(num_classes=published.num_classes),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
                disable_shuffling=True,
            )

        def _split_generators(
            self, dl_manager: "tfds.download.DownloadManager"
        ) -> dict[str, Iterator]:
            downloaded = dl_manager.download(urls)
            paths = {role: Path(path) for role, path in downloaded.items()}
            for role, path in paths.items():
                verify(path, published.files[role], urls[role])
            return {
                part: self._generate_examples(
                    read_split(
                        paths[f"{part}_images"], paths[f"{part}_labels"], published.num_classes
                    )
                )
                for part in ("train", "test")
            }

        def _generate_examples(self, split: Split) -> Iterator[tuple[int, dict]]:
            for index, (image, label) in enumerate(zip(*split, strict=True)):
                yield index, {"image": image, "label": int(label)}

    return Builder


def _prepare_stock(name: str, root: Path) -> Path:
    """Prepares any other image-classification set with TFDS's own builder."""
    builder = _stock_builder(name, root)
    check_features(builder.info.features, name)
    folder = Path(builder.data_dir)
    if folder.exists():  # a configuration that the short name missed
        return folder
    urls = list(type(builder).url_infos or ())[:1] or [_GENERAL_PROBE_URL]
    reason = probe(urls)[urls[0]]
    if reason and not reason.startswith("HTTP status"):  # many hosts refuse HEAD but give GET
        raise DataUnavailableError(
            f"{name!r} is not prepared in {root} and the network does not answer ({urls[0]}: "
            f"{reason}); pass the folder of its files as data_dir"
        )
    # Use nothing without a TFDS checksum.
    config = import_tfds().download.DownloadConfig(
        try_download_gcs=False, force_checksums_validation=True
    )
    try:
        with _quiet():
            builder.download_and_prepare(download_config=config)
    except Exception as error:  # each builder raises its own
        raise DataUnavailableError(
            f"TFDS's builder for {name!r} failed ({brief(error)}); many builders need TensorFlow "
            "to prepare (not to read): prepare it where TensorFlow is installed with `tfds build "
            f"{name} --file_format=array_record`, copy the folder to {folder}, and start again"
        ) from error
    return folder


def _stock_builder(name: str, root: Path) -> "tfds.core.DatasetBuilder":
    tfds = import_tfds()
    known = tfds.list_builders(with_community_datasets=False)
    if name.split("/")[0] not in known:
        raise _unknown_name(name, known)
    try:
        return tfds.builder(name, data_dir=root, file_format="array_record")
    except Exception as error:  # unknown configuration, missing package, unusable folder
        raise DataError(f"TFDS cannot make the builder for {name!r} ({brief(error)})") from error


def _unknown_name(name: str, known: list[str]) -> DataError:
    """The error for an unknown name, with the most similar names."""
    near = difflib.get_close_matches(name, [*PUBLISHED, *known], n=3)
    hint = f" Did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
    return DataError(
        f"unknown data set {name!r}.{hint} Possible: {', '.join(PUBLISHED)}, any "
        "image-classification set of tensorflow-datasets (tfds.list_builders()), or any name whose "
        "four IDX files lie in <data_dir>/<name>/"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences TFDS's output and progress bars."""
    from tensorflow_datasets.core.utils import tqdm_utils

    was_active = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(was_active)


def _worst(name: str, failures: list[DataError]) -> DataError:
    """The error to raise: damage takes precedence; otherwise every mirror's reason."""
    damaged = [error for error in failures if not isinstance(error, DataUnavailableError)]
    if damaged:
        return damaged[0]
    reasons = "; ".join(map(str, failures))
    return DataUnavailableError(
        f"{name!r} cannot be downloaded now ({reasons}); pass the folder of its four IDX files "
        "as data_dir, or try again with network access"
    )
