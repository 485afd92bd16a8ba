import re
from pathlib import Path

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, WeightsError
from jaxdl.exercises.tinynet import TinyNet
from jaxdl.exercises.two_layer import TwoLayerNet
from jaxdl.interop import export_weights, import_weights, load_state_dict
from jaxdl.models.cnn import CNN
from jaxdl.models.dcgan import Discriminator, Generator
from jaxdl.models.linear import LinearRegression
from jaxdl.models.mlp import MLP

REFERENCES = Path(__file__).parents[1] / "references"
MODELS = {
    "Generator": Generator(features=3, latent_dim=5),
    "Discriminator": Discriminator(features=2),
    "MLP": MLP(hidden=(9, 8, 7), num_classes=6),
    "TwoLayerNet": TwoLayerNet(hidden=9),
    "LinearRegression": LinearRegression(),
    "TinyNet": TinyNet(),
    "CNN": CNN(widths=(4, 6), hidden=8, image_size=12),
}


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    """A network, PyTorch's weights for it, and PyTorch's inputs and outputs, all as here."""
    with np.load(REFERENCES / "torch_weights.npz") as stored:
        inputs, outputs = (stored[f"{request.param}/{kind}"] for kind in ("inputs", "outputs"))
        prefix = f"{request.param}/weights/"
        weights = {n.removeprefix(prefix): stored[n] for n in stored.files if prefix in n}
    if request.param == "Generator":
        weights = load_state_dict(REFERENCES / "generator.pt")
        inputs, outputs = inputs[:, :, 0, 0], outputs.transpose(0, 2, 3, 1)
    elif request.param == "Discriminator":
        inputs = inputs.repeat(8, 2).repeat(8, 3)
    if inputs.ndim == 4:
        inputs = inputs.transpose(0, 2, 3, 1)
    return MODELS[request.param], weights, inputs, outputs


def test_pytorch_s_weights_give_pytorch_s_outputs(case):
    model, weights, inputs, outputs = case
    assert outputs.std() > 0.1  # a dead network agrees with anything
    variables = import_weights(model, weights)
    ours = jax.jit(lambda x: model.apply(variables, x, train=False))(inputs)
    np.testing.assert_allclose(ours, outputs, atol=1e-5)


def test_export_is_the_inverse_of_import(case):
    model, weights, _, _ = case
    exported = export_weights(model, import_weights(model, weights))
    assert list(exported) == list(weights)
    for name, array in weights.items():
        assert exported[name].shape == array.shape
        if name.endswith("num_batches_tracked"):
            assert exported[name].dtype == np.int64
        else:
            assert exported[name].dtype == np.float32
            np.testing.assert_array_equal(exported[name], array)


def test_imported_variables_have_the_form_of_fresh_ones(case):
    model, weights, inputs, _ = case
    fresh = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs, train=False))
    imported = import_weights(model, weights, input_shape=inputs.shape[1:])
    assert jax.tree.structure(imported) == jax.tree.structure(fresh)
    assert jax.tree.map(jnp.shape, imported) == jax.tree.map(jnp.shape, fresh)


def test_the_course_s_keys_and_shapes_of_the_full_networks():
    variables = jax.eval_shape(
        lambda: Generator().init(jax.random.key(0), jnp.zeros((1, 100)), train=False)
    )
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), variables)
    shapes = {name: array.shape for name, array in export_weights(Generator(), zeros).items()}
    assert len(shapes) == 5 + 4 * 5
    assert shapes["main.0.weight"] == (100, 512, 4, 4)
    assert shapes["main.1.running_var"] == (512,)
    assert shapes["main.10.num_batches_tracked"] == ()
    assert shapes["main.12.weight"] == (64, 1, 4, 4)
    variables = jax.eval_shape(
        lambda: Discriminator().init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False)
    )
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), variables)
    shapes = {n: array.shape for n, array in export_weights(Discriminator(), zeros).items()}
    kernels = {name: shape for name, shape in shapes.items() if len(shape) == 4}
    assert kernels == {
        "main.0.weight": (64, 3, 4, 4),
        "main.2.weight": (128, 64, 4, 4),
        "main.5.weight": (256, 128, 4, 4),
        "main.8.weight": (512, 256, 4, 4),
        "main.11.weight": (1, 512, 4, 4),
    }
    assert {name for name in shapes if "running_mean" in name} == {
        f"main.{i}.running_mean" for i in (3, 6, 9)
    }


LINEAR = {"linear.weight": np.array([[2.0, 3.0]]), "linear.bias": np.array([1.0])}


@pytest.mark.parametrize("dtype", [np.float64, np.float16, jnp.bfloat16], ids=str)
def test_other_floating_point_types_become_float32(dtype):
    weights = {name: array.astype(dtype) for name, array in LINEAR.items()}
    kernel = import_weights(LinearRegression(), weights)["params"]["dense_1"]["kernel"]
    assert kernel.dtype == jnp.float32
    assert kernel.tolist() == [[2], [3]]


def test_the_prefix_of_data_parallel_is_taken_off():
    weights = {f"module.{name}": array for name, array in LINEAR.items()}
    variables = import_weights(LinearRegression(), weights)
    assert export_weights(LinearRegression(), variables).keys() == LINEAR.keys()


def test_batch_norm_s_counter_may_be_missing():
    weights = load_state_dict(REFERENCES / "generator.pt")
    without = {n: array for n, array in weights.items() if "num_batches" not in n}
    model = MODELS["Generator"]
    jax.tree.map(
        np.testing.assert_array_equal,
        import_weights(model, weights),
        import_weights(model, without),
    )


def test_all_problems_are_listed_at_once():
    weights = {
        "fc1.weight": np.zeros((9, 12), np.float32),
        "fc1.bias": np.zeros(8, np.float32),
        "fc2.weight": np.zeros((8, 9), np.int32),
        "fc3.weight": np.zeros((6, 8), np.float32),
        "fc3.bias": np.zeros(6, np.float32),
        "head\n": np.zeros(1),
    }
    with pytest.raises(WeightsError) as caught:
        import_weights(MLP(hidden=(9, 8), num_classes=6), weights)
    message = str(caught.value)
    assert "do not fit MLP" in message
    assert "missing fc2.bias" in message
    assert r"unexpected 'head\n'" in message
    assert "fc1.bias has shape (8,), expected (9,)" in message
    assert "fc2.weight has type int32" in message
    assert "fc3" not in message


def test_problems_are_listed_in_the_network_s_order():
    """Whatever the order of the entries, and of the hashes of their names."""
    weights = load_state_dict(REFERENCES / "generator.pt")
    wrong = {name: weights[name][..., None] for name in reversed(weights) if "num" not in name}
    with pytest.raises(WeightsError) as caught:
        import_weights(MODELS["Generator"], wrong)
    named = re.findall(r"(main\.\S+) has shape", str(caught.value))
    assert named == [name for name in weights if "num" not in name]


def test_a_message_quotes_twenty_unexpected_names_in_short():
    weights = LINEAR | {f"{i}{1000 * 'n'}": np.zeros(1) for i in range(5000)}
    with pytest.raises(WeightsError, match=r"unexpected '0nnn.* and 4980 more\. Check") as caught:
        import_weights(LinearRegression(), weights)
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("first", [np.zeros(3), np.zeros((9, 0)), np.zeros((9, 5, 1)), 1.0])
def test_a_first_layer_of_a_strange_shape_is_a_problem_too(first):
    weights = {"fc1.weight": first, "fc1.bias": np.zeros(9)}
    with pytest.raises(WeightsError, match=r"fc1.weight has shape"):
        import_weights(TwoLayerNet(hidden=9), weights)


def test_a_given_input_shape_is_held_to():
    with pytest.raises(WeightsError, match=r"linear.weight has shape \(1, 2\), expected \(1, 13\)"):
        import_weights(LinearRegression(), LINEAR, input_shape=(13,))


def test_a_network_of_another_size_is_refused():
    weights = load_state_dict(REFERENCES / "generator.pt")
    with pytest.raises(WeightsError, match=r"main.0.weight has shape \(5, 24, 4, 4\)"):
        import_weights(Generator(features=4, latent_dim=5), weights)
    with pytest.raises(WeightsError, match=r"missing .*unexpected"):
        import_weights(MODELS["Discriminator"], weights)
    variables = import_weights(MODELS["Generator"], weights)
    with pytest.raises(WeightsError, match="expected"):
        export_weights(Generator(features=4, latent_dim=5), variables)


def test_variables_of_another_network_are_refused():
    variables = import_weights(LinearRegression(), LINEAR)
    with pytest.raises(WeightsError, match="params/dense_1 is not a layer of Generator"):
        export_weights(MODELS["Generator"], variables)
    with pytest.raises(WeightsError, match=r"missing linear.weight|dense_1"):
        export_weights(LinearRegression(), {"params": {}})
    weights = load_state_dict(REFERENCES / "generator.pt")
    params = import_weights(MODELS["Generator"], weights)["params"]
    with pytest.raises(WeightsError, match="batch_stats/batch_norm_0/mean"):
        export_weights(MODELS["Generator"], {"params": params})


def test_a_network_without_a_twin_is_refused():
    with pytest.raises(ConfigError, match=r"Dense has no PyTorch twin; .*Generator"):
        import_weights(linen.Dense(3), {})
    with pytest.raises(ConfigError, match="Dense has no PyTorch twin"):
        export_weights(linen.Dense(3), {})
