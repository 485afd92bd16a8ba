import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ShapeError
from jaxdl.models import Discriminator, Generator
from jaxdl.nn.convolution import Conv, ConvTranspose
from jaxdl.nn.cost import summary


def test_the_courses_generator():
    table = summary(Generator(), (1, 100))
    # Kernels 16·(100·512 + 512·256 + 256·128 + 128·64 + 64·1) = 3,572,736;
    # BatchNorm 2·(512 + 256 + 128 + 64) = 1,920.
    assert table.parameters == 3_574_656
    # Every input pixel times the kernel, 16·C_in·C_out: 1·16·100·512 = 819,200, then
    # 16·16·512·256 = 64·16·256·128 = 256·16·128·64 = 33,554,432 and 1024·16·64 = 1,048,576.
    assert table.multiply_adds == 819_200 + 3 * 33_554_432 + 1_048_576 == 102_531_072
    shapes = [layer.output_shape for layer in table.layers if layer.kind == "ConvTranspose"]
    sides = [(4, 512), (8, 256), (16, 128), (32, 64), (64, 1)]
    assert shapes == [(1, side, side, channels) for side, channels in sides]
    first = table.layers[0]
    assert (first.name, first.parameter_shapes) == (
        "conv_transpose_0",
        {"kernel": (4, 4, 100, 512)},
    )
    assert [layer.multiply_adds for layer in table.layers if layer.kind == "BatchNorm"] == [0] * 4


def test_the_courses_discriminator():
    table = summary(Discriminator(), (1, 64, 64, 1))
    # Kernels 16·(1·64 + 64·128 + 128·256 + 256·512 + 512·1) = 2,761,728;
    # BatchNorm 2·(128 + 256 + 512) = 1,792.
    assert table.parameters == 2_763_520
    # Every output times the products behind it, 16·C_in: 32·32·64·16·1 = 1,048,576, then
    # 16·16·128·16·64 = 8·8·256·16·128 = 4·4·512·16·256 = 33,554,432 and 16·512 = 8,192.
    assert table.multiply_adds == 1_048_576 + 3 * 33_554_432 + 8_192 == 101_720_064
    assert table.is_complete
    assert summary(Discriminator(), (100, 64, 64, 1)).multiply_adds == 10_172_006_400


def test_nothing_is_computed():
    before = len(jax.live_arrays())
    table = summary(Generator(), (10**9, 100))
    assert table.layers[-1].output_shape == (10**9, 64, 64, 1)
    assert len(jax.live_arrays()) == before


class Mixed(linen.Module):
    """A module with an array of its own, a layer called twice, groups and nesting."""

    def setup(self):
        self.matrix = self.param("matrix", linen.initializers.ones, (4, 4))
        self.twice = linen.Dense(4, use_bias=False)
        self.head = linen.Sequential([linen.Dense(3), linen.relu])

    def __call__(self, x, *, train):
        x = self.twice(self.twice(x)) @ self.matrix
        return self.head(x)


def test_shared_layers_count_their_weights_once_and_their_work_twice():
    table = summary(Mixed(), (5, 4))
    rows = [(row.name, row.parameters, row.multiply_adds) for row in table.layers]
    assert rows == [
        ("Mixed", 16, None),
        ("twice", 16, 5 * 16),
        ("twice", 0, 5 * 16),
        ("head/layers_0", 15, 5 * 12),
    ]
    assert not table.is_complete
    text = str(table)
    assert "kernel (4, 4) (shared)" in text
    assert text.splitlines()[-1].split() == ["total", "47", "≥", "220"]


class Doubled(linen.Dense):
    @linen.compact
    def __call__(self, x):
        return 2 * super().__call__(x)


@pytest.mark.parametrize(
    ("layer", "shape", "multiply_adds"),
    [
        (linen.Dense(7), (2, 3, 5), 6 * 5 * 7),
        (Doubled(7), (2, 5), 2 * 5 * 7),
        (linen.Conv(8, (3, 3), feature_group_count=2), (1, 6, 6, 4), 36 * 8 * 9 * 2),
        (linen.Conv(8, (3,), padding="VALID"), (2, 10, 4), 2 * 8 * 8 * 3 * 4),
        (linen.ConvTranspose(8, (4, 4), strides=(2, 2)), (2, 5, 5, 3), 50 * 16 * 3 * 8),
        (Conv(8, 3, stride=2), (2, 7, 7, 4), 2 * 9 * 8 * 9 * 4),
        (Conv(8, 3, dilation=2), (2, 7, 7, 4), 2 * 9 * 8 * 9 * 4),
        (ConvTranspose(8, 4, stride=2, padding=1), (2, 5, 5, 3), 50 * 16 * 3 * 8),
        (linen.Dropout(0.5, deterministic=False), (2, 5), 0),
        (linen.BatchNorm(use_running_average=True), (2, 5), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, linen.Module) else None,
)
def test_one_layer_alone(layer, shape, multiply_adds):
    (row,) = summary(layer, shape).layers
    assert (row.name, row.multiply_adds) == (type(layer).__name__, multiply_adds)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    y, variables = jax.eval_shape(layer.init_with_output, keys, jnp.ones(shape))
    assert row.output_shape == y.shape
    leaves = jax.tree.leaves(variables.get("params", {}))
    assert row.parameters == sum(leaf.size for leaf in leaves)


def test_members_of_a_vmap_count_each():
    ensemble = linen.vmap(
        linen.Dense,
        in_axes=None,
        axis_size=3,
        variable_axes={"params": 0},
        split_rngs={"params": True},
    )
    (row,) = summary(ensemble(4), (2, 5)).layers
    assert (row.parameters, row.multiply_adds) == (3 * (5 * 4 + 4), 3 * 2 * 5 * 4)


def test_embedding_is_a_look_up():
    (row,) = summary(linen.Embed(10, 4), (6,), dtype=jnp.int32).layers
    assert (row.parameters, row.multiply_adds) == (40, 0)


def test_training_is_an_argument():
    table = summary(Discriminator(features=4), (2, 64, 64, 1), train=True)
    assert table.parameters == summary(Discriminator(features=4), (2, 64, 64, 1)).parameters


class Named(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2, name="out")(x)


def test_it_prints_as_a_table():
    table = summary(Named(), (1, 3))
    assert str(table).splitlines() == [
        "Named, input (1, 3)",
        "",
        "layer  type   output  weights                  parameters  multiply-adds",
        "-----  -----  ------  -----------------------  ----------  -------------",
        "out    Dense  (1, 2)  bias (2), kernel (3, 2)           8              6",
        "-----  -----  ------  -----------------------  ----------  -------------",
        "total                                                   8              6",
    ]
    assert repr(table) == str(table)


@pytest.mark.parametrize("shape", [(), (0, 3), (-1, 3)])
def test_bad_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="empty or has a size below 1"):
        summary(linen.Dense(2), shape)


def test_the_models_own_refusal_comes_through():
    with pytest.raises(ShapeError, match=r"\(1, 7\); expected \(N, 100\)"):
        summary(Generator(), (1, 7))


def test_rows_add_up_to_the_models_parameters():
    model = Generator(features=8, image_size=28)
    variables = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.ones((1, 100)), train=False)
    )
    total = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    assert summary(model, (1, 100)).parameters == total
