"""Layers and their arithmetic."""

from jaxdl._face import face
from jaxdl.nn import arithmetic, batch_norm, cost, lowerings
from jaxdl.nn.activations import (
    elu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    sign,
    softmax,
    softmax2d,
    step,
    tanh,
)
from jaxdl.nn.arithmetic import (
    convolution_cost,
    dense_cost,
    output_size,
    receptive_field,
    transposed_convolution_cost,
    transposed_output_size,
)
from jaxdl.nn.batch_norm import BatchNorm
from jaxdl.nn.convolution import Conv, ConvTranspose, convolution, transposed_convolution
from jaxdl.nn.cost import summary
from jaxdl.nn.dense import dense_dot_general, dense_product
from jaxdl.nn.initializers import (
    batch_norm_scale,
    dcgan_normal,
    torch_conv,
    torch_conv_transpose,
    torch_linear,
    torch_uniform,
)
from jaxdl.nn.pooling import avg_pool, global_average_pool, max_pool

__all__ = [
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "arithmetic",
    "avg_pool",
    "batch_norm",
    "batch_norm_scale",
    "convolution",
    "convolution_cost",
    "cost",
    "dcgan_normal",
    "dense_cost",
    "dense_dot_general",
    "dense_product",
    "elu",
    "global_average_pool",
    "leaky_relu",
    "log_softmax",
    "lowerings",
    "max_pool",
    "output_size",
    "receptive_field",
    "relu",
    "sigmoid",
    "sign",
    "softmax",
    "softmax2d",
    "step",
    "summary",
    "tanh",
    "torch_conv",
    "torch_conv_transpose",
    "torch_linear",
    "torch_uniform",
    "transposed_convolution",
    "transposed_convolution_cost",
    "transposed_output_size",
]

__getattr__, __dir__ = face(__name__, __all__)
