import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.nn import arithmetic
from jaxdl.nn.arithmetic import (
    Window,
    convolution_cost,
    dense_cost,
    output_size,
    receptive_field,
    transposed_convolution_cost,
    transposed_output_size,
)
from jaxdl.nn.convolution import Conv, ConvTranspose


def test_the_courses_convolution():
    cost = convolution_cost((10, 224, 224, 3), 64, 3, stride=1, padding=1, use_bias=False)
    # 10 · 224 · 224 · 64 outputs of 3 · 3 · 3 products and one addition fewer.
    assert cost.output_shape == (10, 224, 224, 64)
    assert np.prod(cost.output_shape) == 32_112_640
    assert cost.parameters == 1_728
    assert cost.multiplications == 867_041_280
    assert cost.additions == 834_928_640
    image = convolution_cost((1, 224, 224, 3), 64, 3, padding=1, use_bias=False)
    assert (image.multiplications, image.additions) == (86_704_128, 83_492_864)
    # The course's own figures are neither, for the batch or an image, with bias or without.
    with_bias = convolution_cost((10, 224, 224, 3), 64, 3, padding=1)
    assert with_bias.additions == 867_041_280
    assert 173_408_256 not in (cost.multiplications, image.multiplications)
    assert 1_605_638_144 not in (cost.additions, image.additions, with_bias.additions)


def test_output_size_is_what_lax_leaves():
    for size, window, stride, padding, dilation in itertools.product(
        (1, 4, 7, 8), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2), (1, 2)
    ):
        if size + 2 * padding < dilation * (window - 1) + 1:
            with pytest.raises(ShapeError, match="does not fit"):
                output_size(size, window, stride=stride, padding=padding, dilation=dilation)
            continue
        result = jax.eval_shape(
            lambda x, k, s=stride, p=padding, d=dilation: lax.conv_general_dilated(
                x, k, (s,), [(p, p)], rhs_dilation=(d,)
            ),
            jax.ShapeDtypeStruct((1, 1, size), jnp.float32),
            jax.ShapeDtypeStruct((1, 1, window), jnp.float32),
        )
        found = output_size(size, window, stride=stride, padding=padding, dilation=dilation)
        assert found == result.shape[2]


def test_transposed_size_returns_to_the_size_before():
    for size, window, stride, padding in itertools.product((4, 5, 6, 9), (2, 3, 4), (1, 2), (0, 1)):
        smaller = output_size(size, window, stride=stride, padding=padding)
        rest = (size + 2 * padding - window) % stride
        assert size == transposed_output_size(
            smaller, window, stride=stride, padding=padding, output_padding=rest
        )


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], (1, 1)),
        ([(3,)] * 3, (7, 1)),
        ([(3, 1, 2)], (5, 1)),
        ([(5, 1), (2, 2), (5, 1), (2, 2)], (16, 4)),  # LeNet's convolutions and poolings
        ([Window(4, 2)] * 4 + [Window(4)], (94, 16)),
    ],
)
def test_receptive_field_of_known_stacks(layers, expected):
    assert receptive_field(layers) == expected


@pytest.mark.parametrize("seed", range(4))
def test_receptive_field_is_where_the_gradient_is_not_zero(seed):
    rng = np.random.default_rng(seed)
    layers = [tuple(int(n) for n in row) for row in rng.integers((1, 1, 1), (4, 3, 3), (3, 3))]
    size, stride = receptive_field(layers)

    def outputs(x):
        x = x[None, None]
        for window, step, dilation in layers:
            kernel = jnp.ones((1, 1, window))
            x = lax.conv_general_dilated(x, kernel, (step,), "VALID", rhs_dilation=(dilation,))
        return x[0, 0, :2]

    gradients = np.asarray(jax.jit(jax.jacobian(outputs))(np.ones(size + stride, np.float32)))
    seen = [np.flatnonzero(row) for row in gradients]
    assert seen[0][0] == 0
    assert seen[0][-1] == size - 1
    assert seen[1][0] == stride


def products_and_additions(shape, features, window, stride, transposed):
    """Counts one by one: products, and additions of all but each output's first product."""
    batch, height, width, channels = shape
    hits = {}
    rows, columns = ((n - window) // stride + 1 for n in (height, width))
    positions = (height, width) if transposed else (rows, columns)
    for i, j, a, b in itertools.product(*map(range, positions), range(window), range(window)):
        target = (i * stride + a, j * stride + b) if transposed else (i, j)
        hits[target] = hits.get(target, 0) + channels
    per_image = features * sum(hits.values()), features * sum(n - 1 for n in hits.values())
    return tuple(batch * n for n in per_image)


@pytest.mark.parametrize("transposed", [False, True])
def test_operations_counted_one_by_one(transposed):
    count = transposed_convolution_cost if transposed else convolution_cost
    for shape, window, stride in itertools.product(
        [(2, 5, 7, 3), (1, 4, 4, 1)], (1, 2, 3, 4), (1, 2, 3)
    ):
        cost = count(shape, 6, window, stride=stride, use_bias=False)
        expected = products_and_additions(shape, 6, window, stride, transposed)
        assert (cost.multiplications, cost.additions) == expected
        biased = count(shape, 6, window, stride=stride)
        assert biased.additions - cost.additions == np.prod(cost.output_shape)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize(
    ("layer", "count"), [(Conv, convolution_cost), (ConvTranspose, transposed_convolution_cost)]
)
def test_shapes_and_parameters_are_the_layers(layer, count, use_bias):
    geometry = {"kernel_size": (3, 4), "stride": 2, "padding": 1, "use_bias": use_bias}
    x = jax.ShapeDtypeStruct((2, 7, 8, 5), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    y, variables = jax.eval_shape(layer(6, **geometry).init_with_output, key, x)
    cost = count(x.shape, 6, **geometry)
    assert cost.output_shape == y.shape
    assert cost.parameters == sum(leaf.size for leaf in jax.tree.leaves(variables))


def test_a_dilated_convolution_counts_its_terms_only():
    x = jax.ShapeDtypeStruct((2, 9, 12, 5), jnp.float32)
    geometry = {"kernel_size": (3, 4), "stride": 2, "padding": 1, "dilation": 3}
    key = jax.eval_shape(lambda: jax.random.key(0))
    cost = convolution_cost(x.shape, 6, **geometry)
    assert (
        cost.output_shape == jax.eval_shape(Conv(6, **geometry).init_with_output, key, x)[0].shape
    )
    assert cost.output_shape == (2, 3, 3, 6)
    assert cost.multiplications == 2 * 3 * 3 * 6 * (3 * 4 * 5)


def test_dense():
    assert dense_cost((64, 784), 10) == ((64, 10), 7_850, 501_760, 501_760)
    assert dense_cost((64, 784), 10, use_bias=False) == ((64, 10), 7_840, 501_760, 501_120)
    assert dense_cost((2, 5, 3), 4).output_shape == (2, 5, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: output_size(0, 1), ConfigError, "size is 0"),
        (lambda: output_size(4, 2, stride=0), ConfigError, "stride is 0"),
        (lambda: output_size(4, 2, padding=-1), ConfigError, "padding is -1"),
        (lambda: transposed_output_size(4, 2, output_padding=1), ConfigError, "below the stride"),
        (lambda: transposed_output_size(1, 2, padding=1), ShapeError, "leaves 0 pixels"),
        (lambda: receptive_field([(0, 1)]), ConfigError, "size is 0"),
        (lambda: convolution_cost((224, 224, 3), 64, 3), ShapeError, r"\(N, H, W, C_in\)"),
        (lambda: convolution_cost((1, 2, 2, 3), 64, 3), ShapeError, "does not fit"),
        (lambda: convolution_cost((1, 4, 4, 3), 0, 3), ConfigError, "features is 0"),
        (lambda: arithmetic.dense_cost((784,), 10), ShapeError, r"\(784,\)"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
