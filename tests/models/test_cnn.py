import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.models.cnn import CNN
from jaxdl.training.state import num_parameters

INIT = jax.jit(lambda model, key, x: model.init(key, x, train=False), static_argnums=0)
SMALL = CNN(widths=(4, 8), hidden=16, image_size=8)


def images(rng, count, channels=1):
    return rng.normal(size=(count, 8, 8, channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ((32, 64), 320 + 64 + 18496 + 128 + 7 * 7 * 64 * 128 + 128 + 1290),
        ((16, 32, 64), 160 + 32 + 4640 + 64 + 18496 + 128 + 3 * 3 * 64 * 128 + 128 + 1290),
    ],
)
def test_numbers_of_parameters(widths, expected):
    variables = jax.eval_shape(
        lambda: CNN(widths).init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)), train=False)
    )
    assert num_parameters(variables["params"]) == expected


def test_logits_are_a_dense_layer_on_the_features(rng):
    x = images(rng, 3, channels=2)
    variables = INIT(SMALL, jax.random.key(0), x)

    @jax.jit
    def apply(variables, x):
        features = SMALL.apply(variables, x, train=False, method="features")
        return SMALL.apply(variables, x, train=False), features

    logits, features = map(np.asarray, apply(variables, x))
    assert features.shape == (3, 16)
    assert features.min() >= 0
    assert features.max() > 0
    last = jax.tree.map(np.asarray, variables["params"]["dense_1"])
    np.testing.assert_allclose(logits, features @ last["kernel"] + last["bias"][None], atol=1e-6)


def test_training_uses_the_batch_and_updates_the_running_statistics(rng):
    x = images(rng, 6)
    variables = INIT(SMALL, jax.random.key(0), x)

    @jax.jit
    def both(x):
        return (
            SMALL.apply(variables, x, train=True, mutable=["batch_stats"]),
            SMALL.apply(variables, x, train=False),
        )

    (trained, updates), together = both(x)
    assert sorted(updates["batch_stats"]) == ["batch_norm_0", "batch_norm_1"]
    assert np.asarray(updates["batch_stats"]["batch_norm_1"]["mean"] != 0).all()
    # In evaluation an image depends on itself alone.
    other = np.concatenate([x[:1], images(rng, 5)])
    (trained_with_other, _), with_other = both(other)
    np.testing.assert_allclose(with_other[0], together[0], atol=1e-6)
    assert np.abs(trained_with_other[0] - trained[0]).max() > 1e-4


def test_two_devices_are_one(rng):
    x = images(rng, 8)
    variables = INIT(SMALL, jax.random.key(0), x)

    def forward(x, axis_name=None):
        return SMALL.apply(variables, x, train=True, axis_name=axis_name, mutable=["batch_stats"])

    one, stats = jax.jit(forward)(x)
    parallel = jax.pmap(lambda x: forward(x, "batch"), axis_name="batch")
    two, spread = parallel(x.reshape(2, 4, 8, 8, 1))
    two, spread = jax.tree.map(np.asarray, (two, spread))
    np.testing.assert_allclose(two.reshape(8, 10), one, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, atol=1e-6), spread, stats)


def test_unusable_sizes_are_refused():
    key = jax.random.key(0)
    with pytest.raises(ShapeError, match=r"\(1, 28, 27, 1\)"):
        CNN().init(key, jnp.zeros((1, 28, 27, 1)), train=False)
    with pytest.raises(ConfigError, match="4 blocks on images of 8 pixels"):
        CNN(widths=(1, 1, 1, 1), image_size=8).init(key, jnp.zeros((1, 8, 8, 1)), train=False)
    with pytest.raises(ConfigError, match="at least one block"):
        CNN(widths=()).init(key, jnp.zeros((1, 28, 28, 1)), train=False)


@pytest.mark.slow
def test_strides_halve_the_image_as_pooling_does(rng):
    model = CNN(widths=(4, 8, 8), hidden=16, image_size=20, pool=False)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 20, 20, 1)), train=False)
    kernels = variables["params"]
    assert kernels["conv_1"]["kernel"].shape == (4, 4, 4, 8)
    assert kernels["dense_0"]["kernel"].shape == (model.final_size() ** 2 * 8, 16)


def test_dropout_keeps_the_features_mean(rng):
    model = CNN(widths=(4,), hidden=400, image_size=8, dropout_rate=0.25)
    x = images(rng, 3)
    variables = model.init(jax.random.key(0), x, train=False)
    masks = model.dropout_masks(jax.random.key(1), jnp.arange(3))
    assert masks.shape == (3, 400)
    assert float(masks.mean()) == pytest.approx(0.75, abs=0.05)
    np.testing.assert_array_equal(
        model.dropout_masks(jax.random.key(1), jnp.arange(1, 3)), masks[1:]
    )

    def logits(masks):
        return model.apply(variables, x, train=True, mutable="batch_stats", masks=masks)[0]

    features = model.apply(variables, x, train=True, mutable="batch_stats", method="features")[0]
    last = variables["params"]["dense_1"]
    wanted = (features * masks / 0.75) @ last["kernel"] + last["bias"][None]
    np.testing.assert_allclose(logits(masks), wanted, atol=1e-5)
    with pytest.raises(ShapeError, match="takes masks"):
        logits(None)
