"""Predictions: those of the network image by image, whatever the batches are."""

import jax
import numpy as np
import optax
import pytest

from jaxdl.data import Split, normalize, to_unit_range
from jaxdl.errors import ConfigError, DataError, ShapeError
from jaxdl.models import CNN, MLP
from jaxdl.run import fit_classifier
from jaxdl.training import NetworkState, predict, predict_probabilities
from jaxdl.training.predict import _compiled

SIZE = 8


MODELS = {
    "mlp": MLP(hidden=(16,), num_classes=4),
    "cnn": CNN(widths=(4,), hidden=8, num_classes=4, image_size=SIZE),
}


FORWARD = jax.jit(lambda network, x: network.predict(x))


@pytest.fixture(scope="module")
def networks():
    example = np.zeros((1, SIZE, SIZE, 1), np.float32)
    key, adam = jax.random.key(0), optax.adam(1e-3)
    return {name: NetworkState.create(key, model, adam, example) for name, model in MODELS.items()}


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (11, SIZE, SIZE, 1), np.uint8)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch_size", [1, 4, 11, 1000])
def test_batches_and_filling_change_nothing(networks, images, name, batch_size):
    network = networks[name]
    logits = np.concatenate([FORWARD(network, normalize(image[None])) for image in images])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = predict_probabilities(network, images, normalize, batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    classes = predict(network, images, normalize, batch_size)
    np.testing.assert_array_equal(classes, logits.argmax(axis=1))
    assert (classes.dtype, found.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_no_images_and_one(networks, images, name):
    assert predict(networks[name], images[:0], normalize).shape == (0,)
    assert predict_probabilities(networks[name], images[:0], normalize).shape == (0, 4)
    assert predict(networks[name], images[:1], normalize).shape == (1,)


def test_pairs_and_images_without_channels(networks, images):
    network = networks["mlp"]
    expected = predict(network, images, normalize)
    labels = np.zeros(11, np.int32)
    for given in (Split(images, labels), (images, labels), images[..., 0], images.tolist()):
        np.testing.assert_array_equal(predict(network, given, normalize), expected)


def test_one_compilation_a_shape(networks, images):
    def transform(images):
        return to_unit_range(images)

    before = _compiled._cache_size()
    for count in (5, 6, 7, 8, 8, 11):
        predict(networks["mlp"], images[:count], transform, batch_size=8)
    assert _compiled._cache_size() == before + 1


def test_it_gives_what_was_learnt(rng):
    labels = np.arange(24, dtype=np.int32) % 3
    images = (80 * labels[:, None, None, None] + np.zeros((1, SIZE, SIZE, 1))).astype(np.uint8)
    part = Split(images, labels)
    fitted = fit_classifier(
        MLP(hidden=(16,), num_classes=3), optax.adam(0.01), part, epochs=20, batch_size=8
    )
    np.testing.assert_array_equal(predict(fitted.network(0), part, normalize), labels)


@pytest.mark.parametrize("name", MODELS)
def test_images_that_do_not_fit_are_refused(networks, images, name):
    network = networks[name]
    for bad in (np.repeat(images, 3, axis=-1), images[:, :4]):
        with pytest.raises(ShapeError, match="images"):
            predict(network, bad, normalize)
    with pytest.raises(ShapeError, match="need uint8"):
        predict(network, images / 255, normalize)
    with pytest.raises(DataError, match=r"images\[None\]"):
        predict(network, images[0], normalize)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        predict(network, images, normalize, batch_size=0)
