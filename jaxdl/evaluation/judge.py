"""The judge: a trained classifier whose features and class scores measure generated images."""

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.typing import ArrayLike

from jaxdl.data import padded_batches
from jaxdl.errors import JudgeError, ShapeError, WeightsError
from jaxdl.evaluation.network import JudgeNetwork
from jaxdl.files import open_regular, write_atomically
from jaxdl.interop.safetensors import decode, encode, read_metadata

PACKAGED = ("mnist",)
FOLDER = Path(__file__).parent / "judges"
BATCH = 500  # images per forward pass
SHORT_HASH = 12  # characters of a hash that are shown
METADATA_KEY = "judge"
SIZE = "image_size"  # the entry of the image's size in the file


class Seen(NamedTuple):
    """What a judge saw in some images.

    Attributes:
        features: float32 (N, D).
        logits: class scores, float32 (N, C).
        judge: the judge's hash; scores of different judges are not comparable.
    """

    features: np.ndarray
    logits: np.ndarray
    judge: str


class Judge(NamedTuple):
    """A trained classifier that judges images.

    Attributes:
        network: the classifier.
        variables: its weights.
        hash: SHA-256 of the weights.
        record: where it comes from: ``dataset``, ``command``, ``seed``, ``test_accuracy``, ….
    """

    network: JudgeNetwork
    variables: dict[str, Any]
    hash: str
    record: dict[str, Any]

    def __repr__(self) -> str:
        return f"Judge({self.record.get('dataset')!r}, {self.hash[:SHORT_HASH]})"

    def see(self, images: ArrayLike) -> Seen:
        """Features and class scores of uint8 images (N, H, W, C) of any size.

        Images of another size than the judge's are resized by :func:`to_judge_size`.

        Raises:
            ShapeError: the images are not uint8 (N, H, W, C), or are grey where the judge knows
                colour, or the reverse.
        """
        images = np.asarray(images)
        check_images(images, self.network.channels)
        size = min(BATCH, max(len(images), 1))
        passes = [look(self.network, self.variables, b) for b in padded_batches(images, size)]
        features, logits = (
            np.concatenate([np.asarray(one) for one in parts])[: len(images)]
            for parts in zip(*passes, strict=True)
        )
        return Seen(features, logits, self.hash)

    def features(self, images: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, D) and class scores (N, C); see :meth:`see`."""
        return self.see(images)[:2]


def check_images(images: np.ndarray, channels: int) -> None:
    """Raises a ShapeError unless images are uint8 (N, H, W, channels)."""
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape[1:]:
        raise ShapeError(
            f"cannot judge {images.dtype} images of shape {images.shape}: need uint8 (N, H, W, C)"
        )
    if images.shape[-1] != channels:
        kinds = {1: "grey", 3: "colour"}
        found, wanted = (
            f"{kinds.get(number, 'images')} ({number} channel{'s' * (number > 1)})"
            for number in (images.shape[-1], channels)
        )
        raise ShapeError(f"the images are {found} and the judge knows {wanted}: they do not match")


def to_judge_size(images: ArrayLike, size: int) -> jax.Array:
    """Resizes uint8 images (N, H, W, C) to ``size`` × ``size`` network inputs in [-1, 1].

    Bilinear, with the triangle filter widened where an image shrinks (antialiasing), like
    :func:`jaxdl.data.resize_bilinear` but without rounding to grey values.

    Example:
        >>> images = np.array([[0, 255], [0, 255]], np.uint8).reshape(1, 2, 2, 1)
        >>> print(to_judge_size(images, 1).ravel(), to_judge_size(images, 2).ravel())
        [0.] [-1.  1. -1.  1.]
    """
    images = jnp.asarray(images)
    shape = (len(images), size, size, images.shape[-1])
    scaled = jax.image.resize(images.astype(jnp.float32), shape, "linear", antialias=True)
    return scaled / 127.5 - 1


@functools.partial(jax.jit, static_argnums=0)
def look(
    network: JudgeNetwork, variables: dict[str, Any], images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Features (N, D) and class scores (N, C) of one batch of uint8 images; a pure function."""
    with jax.default_matmul_precision("highest"):  # the same scores on a GPU
        return network.apply(
            variables,
            to_judge_size(images, network.image_size),
            train=False,
            method="features_and_logits",
        )


def make_judge(network: JudgeNetwork, variables: dict[str, Any], **record: Any) -> Judge:
    """Makes a judge of a trained network; its kernels are rounded to half precision.

    Args:
        network: the classifier.
        variables: its ``params`` and ``batch_stats``.
        **record: plain values to remember, such as ``dataset`` and ``test_accuracy``.
    """
    return _judge_of(_arrays_of(network, variables), network, record)


def save_judge(judge: Judge, path: str | os.PathLike) -> None:
    """Writes a judge as a ``.safetensors`` file whose metadata hold its record and hash.

    Raises:
        WorkdirError: the file cannot be written.
    """
    about = {"hash": judge.hash, **judge.record}
    metadata = {METADATA_KEY: json.dumps(about, sort_keys=True)}
    write_atomically(path, encode(_arrays_of(judge.network, judge.variables), metadata))


def load_judge(name_or_path: str | os.PathLike = "mnist") -> Judge:
    """Loads a judge that comes with the package, or one of your own.

    Args:
        name_or_path: "mnist", or a file that ``python -m experiments.evaluator`` wrote.

    Raises:
        WeightsError: the file is missing, damaged, or not a judge's.

    Example:
        >>> judge = load_judge()
        >>> features, logits = judge.features(np.zeros((3, 32, 32, 1), np.uint8))
        >>> features.shape, logits.shape
        ((3, 64), (3, 10))
    """
    packaged = name_or_path in PACKAGED
    path = FOLDER / f"{name_or_path}.safetensors" if packaged else Path(name_or_path)
    try:
        with open_regular(path) as file:
            content = file.read()
        return decode_judge(content)
    except OSError as error:
        raise WeightsError(
            f"cannot read the judge {path}: {error.strerror or error}; give one of "
            f"{', '.join(PACKAGED)}, or a file that experiments.evaluator wrote"
        ) from error
    except WeightsError as error:
        raise WeightsError(f"the judge {path} cannot be used: {error}") from error


def find_judge(path: str | os.PathLike | None, dataset_name: str) -> Judge | None:
    """The judge in a file, or else the package's judge of a data set; None if there is none."""
    if path is not None:
        return load_judge(path)
    return load_judge(dataset_name) if dataset_name in PACKAGED else None


def decode_judge(content: bytes) -> Judge:
    """Reads a judge from a file's content.

    Raises:
        WeightsError: it is damaged, or not a judge.
    """
    arrays = decode(content)
    try:
        record = json.loads(read_metadata(content)[METADATA_KEY])
        stated = record.pop("hash")
        network = _network_of(arrays)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise WeightsError(f"it is not the file of a judge ({error!r} is missing)") from error
    judge = _judge_of(arrays, network, record)
    if judge.hash != stated:
        raise WeightsError(
            f"it is damaged: its weights have SHA-256 {judge.hash[:SHORT_HASH]}…, and it says "
            f"{str(stated)[:SHORT_HASH]}…"
        )
    return judge


def check_same_judge(*seen: Seen) -> None:
    """Raises a JudgeError unless all were seen by one judge."""
    hashes = sorted({one.judge for one in seen})
    if len(hashes) > 1:
        raise JudgeError(
            f"scores of different judges ({', '.join(h[:SHORT_HASH] for h in hashes)}) cannot be "
            "compared: let one judge see all the images"
        )


def _arrays_of(network: JudgeNetwork, variables: dict[str, Any]) -> dict[str, np.ndarray]:
    arrays = {
        name: np.asarray(leaf, np.float16 if np.ndim(leaf) > 1 else np.float32)
        for name, leaf in flatten_dict(variables, sep="/").items()
    }
    return arrays | {SIZE: np.array(network.image_size, np.int32)}


def _network_of(arrays: dict[str, np.ndarray]) -> JudgeNetwork:
    """The network that arrays of these names and shapes belong to."""
    kernels = {name: array for name, array in arrays.items() if name.endswith("/kernel")}
    convolutions = [name for name in kernels if "/conv_" in name]
    hidden, num_classes = kernels["params/dense_1/kernel"].shape
    return JudgeNetwork(
        widths=tuple(
            kernels[f"params/conv_{i}/kernel"].shape[-1] for i in range(len(convolutions))
        ),
        hidden=hidden,
        num_classes=num_classes,
        image_size=int(arrays[SIZE]),
        channels=kernels["params/conv_0/kernel"].shape[2],
    )


def _judge_of(
    arrays: dict[str, np.ndarray], network: JudgeNetwork, record: dict[str, Any]
) -> Judge:
    digest = hashlib.sha256(encode(arrays)).hexdigest()
    leaves = {n: jnp.asarray(a, jnp.float32) for n, a in arrays.items() if n != SIZE}
    variables = unflatten_dict(leaves, sep="/")
    _check_fits(network, variables)
    return Judge(network, variables, digest, dict(record))


def _shapes(variables: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: leaf.shape for name, leaf in flatten_dict(variables, sep="/").items()}


@functools.lru_cache(maxsize=8)
def _shapes_of(network: JudgeNetwork) -> dict[str, tuple[int, ...]]:
    """Shapes of the network's variables by name."""
    side = network.image_size
    image = jax.ShapeDtypeStruct((1, side, side, network.channels), jnp.float32)
    initialize = functools.partial(network.init, train=False)
    return _shapes(jax.eval_shape(initialize, jax.random.key(0), image))


def _check_fits(network: JudgeNetwork, variables: dict[str, Any]) -> None:
    there, needed = _shapes(variables), _shapes_of(network)
    if there != needed:
        wrong = sorted(n for n in {*there, *needed} if there.get(n) != needed.get(n))
        raise WeightsError(f"its weights do not fit its network: {', '.join(wrong[:5])}")
