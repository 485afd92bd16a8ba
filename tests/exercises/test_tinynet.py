from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import DataError, ShapeError
from jaxdl.exercises.tinynet import TinyNet, TinyNetWeights, backward, forward, train_one_iter
from jaxdl.training.state import num_parameters

SHAPES = [(6, 3, 3, 3), (6,), (12, 6, 3, 3), (12,), (48, 10), (10,)]


@pytest.fixture(params=[0, 1, 2], ids=["random", "random again", "ties and zeros"])
def case(request):
    with np.load(Path(__file__).parents[1] / "references" / "tinynet.npz") as stored:
        of_case = {
            name.removeprefix(f"{request.param}."): stored[name]
            for name in stored.files
            if name.startswith(f"{request.param}.")
        }

    def six(kind):
        return TinyNetWeights(*(of_case[f"{kind}.{i}"] for i in range(6)))

    return of_case | {kind: six(kind) for kind in ("weights", "gradients", "updated")}


def test_forward_gives_pytorch_s_logits_and_loss(case):
    logits, loss = jax.jit(forward)(case["weights"], case["images"], case["labels"])
    np.testing.assert_allclose(logits, case["logits"], atol=1e-5)
    np.testing.assert_allclose(loss, case["loss"], atol=1e-5)


def test_backward_gives_pytorch_s_gradients_in_the_course_s_layout(case):
    gradients = jax.jit(backward)(case["weights"], case["images"], case["labels"])
    for name, ours, theirs in zip(
        TinyNetWeights._fields, gradients, case["gradients"], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=name)


def test_train_one_iter_gives_pytorch_s_updated_weights(case):
    step = jax.jit(train_one_iter)
    updated = step(*case["weights"], case["images"], case["labels"], 0.1, 1e-2)
    for name, ours, theirs in zip(TinyNetWeights._fields, updated, case["updated"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=name)


def test_one_hot_labels_mean_the_same_as_classes(case):
    one_hot = np.eye(10, dtype=np.float32)[case["labels"]]
    loss = jax.jit(forward)(case["weights"], case["images"], one_hot)[1]
    np.testing.assert_allclose(loss, case["loss"], atol=1e-5)


def test_the_module_s_numbers_of_parameters_and_its_keywords():
    model, images = TinyNet(), jnp.zeros((2, 8, 8, 3))
    outputs, variables = jax.jit(
        lambda key: model.init_with_output(key, images, train=True, axis_name="batch")
    )(jax.random.key(0))
    assert num_parameters(variables["params"]) == 6 * 28 + 12 * 55 + 490
    assert outputs.shape == (2, 10)


@pytest.mark.parametrize("wrong", range(6))
def test_an_array_of_another_shape_is_named(wrong):
    shapes = [shape if i != wrong else (*shape, 1) for i, shape in enumerate(SHAPES)]
    weights = TinyNetWeights(*(np.zeros(shape, np.float32) for shape in shapes))
    with pytest.raises(ShapeError, match=TinyNetWeights._fields[wrong]):
        forward(weights, jnp.zeros((1, 3, 8, 8)), jnp.array([0]))


def test_wrong_images_and_labels_are_refused():
    weights = TinyNetWeights(*(np.zeros(shape, np.float32) for shape in SHAPES))
    with pytest.raises(ShapeError, match=r"\(1, 8, 8, 3\); expected \(B, 3, 8, 8\)"):
        backward(weights, jnp.zeros((1, 8, 8, 3)), jnp.array([0]))
    with pytest.raises(DataError, match="10"):
        jax.jit(lambda x: forward(weights, x, np.array([10])))(np.zeros((1, 3, 8, 8)))
    with pytest.raises(ShapeError, match=r"\(N, 8, 8, 3\)"):
        TinyNet().init(jax.random.key(0), jnp.zeros((1, 3, 8, 8)), train=False)
