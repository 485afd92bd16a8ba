"""The MLP's further layers, against the same network written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import initializers

from jaxdl.classification import Inputs, TrainedClassifier, load_classifier, save_classifier
from jaxdl.errors import ConfigError
from jaxdl.interop import export_weights
from jaxdl.models import CNN, MLP

ACTIVATIONS = {
    "relu": lambda x, slope: np.maximum(x, 0),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, 0.01 * x),
    "prelu": lambda x, slope: np.where(x > 0, x, slope * x),
    "elu": lambda x, slope: np.where(x > 0, x, np.expm1(x)),
    "sigmoid": lambda x, slope: 1 / (1 + np.exp(-x)),
    "tanh": lambda x, slope: np.tanh(x),
}


def random_variables(model, x, rng):
    """Variables without any special value, so that no layer can be left out unseen."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.2, 0.9, leaf.shape) - 0.4, leaf.dtype), shapes
    ) | (
        {
            "batch_stats": jax.tree.map(
                lambda leaf: jnp.asarray(rng.uniform(0.5, 2, leaf.shape), leaf.dtype),
                shapes["batch_stats"],
            )
        }
        if "batch_stats" in shapes
        else {}
    )


def in_numpy(model, weights, x):
    for i in range(1, len(model.hidden) + 1):
        y = x @ weights[f"fc{i}.weight"].T + weights[f"fc{i}.bias"]
        if model.normalize:
            mean, var = weights[f"bn{i}.running_mean"], weights[f"bn{i}.running_var"]
            y = (y - mean) / np.sqrt(var + 1e-5) * weights[f"bn{i}.weight"] + weights[f"bn{i}.bias"]
        y = ACTIVATIONS[model.activation](y, weights.get(f"prelu{i}.weight"))
        x = x + y if model.residual and x.shape == y.shape else y
    last = len(model.hidden) + 1
    return x @ weights[f"fc{last}.weight"].T + weights[f"fc{last}.bias"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_layers_are_those_of_a_network_in_numpy(activation, rng):
    model = MLP((5, 5), 3, activation=activation, normalize=True, residual=True)
    x = rng.normal(size=(4, 6)).astype(np.float32)
    variables = random_variables(model, x, rng)
    found = jax.jit(lambda x: model.apply(variables, x, train=False))(x)
    weights = {n: a.astype(np.float64) for n, a in export_weights(model, variables).items()}
    np.testing.assert_allclose(found, in_numpy(model, weights, x), atol=1e-5)


def test_batch_norm_leaves_out_what_the_mask_leaves_out(rng):
    model = MLP((5,), 3, normalize=True)
    x = rng.normal(size=(4, 6)).astype(np.float32)
    variables = random_variables(model, x, rng)

    @jax.jit
    def train(x, mask):
        return model.apply(variables, x, train=True, mask=mask, mutable=["batch_stats"])

    other = np.concatenate([x[:3], 100 * x[3:]])
    mask = np.array([1.0, 1, 1, 0], np.float32)
    (logits, updates), (others, other_updates) = train(x, mask), train(other, mask)
    np.testing.assert_allclose(logits[:3], others[:3], atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), updates, other_updates)


@pytest.mark.parametrize("model", [MLP((4,), activation="swish"), CNN((2,), activation="swish")])
def test_an_unknown_activation_is_refused(model):
    with pytest.raises(ConfigError, match="activation 'swish': choose relu, leaky_relu"):
        jax.eval_shape(
            lambda: model.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)), train=False)
        )


def test_first_weights_are_drawn_as_told():
    model = MLP((4,), 3, kernel_init=initializers.ones, bias_init=initializers.constant(-2.0))
    params = model.init(jax.random.key(0), jnp.zeros((1, 5)), train=False)["params"]
    assert params["dense_1"]["bias"].tolist() == [-2.0] * 4
    assert params["dense_2"]["kernel"].tolist() == [[1.0] * 3] * 4
    assert np.abs(params["dense_2"]["bias"]).max() <= 0.5  # the output layer's are PyTorch's


@pytest.mark.parametrize(
    "model",
    [
        MLP((4, 4), 3, activation="prelu", normalize=True, residual=True),
        MLP((4, 4), 3, activation="tanh"),
        CNN((2, 4), 5, 3, 8, pool=False, activation="elu", normalize=False),
    ],
    ids=["mlp", "tanh", "cnn"],
)
def test_a_saved_network_comes_back_with_all_its_layers(model, tmp_path, rng):
    images = rng.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    inputs = Inputs((0.2,), (0.3,))
    variables = random_variables(model, inputs(images), rng)
    saved = TrainedClassifier(model, variables, inputs)
    again = load_classifier(save_classifier(saved, tmp_path / "model.safetensors"))
    assert again.model == model
    np.testing.assert_allclose(again.probabilities(images), saved.probabilities(images), atol=1e-6)
