"""Layers, activations, initialisers, and what layers cost."""

from jaxdl._face import face
from jaxdl.nn import lowerings
from jaxdl.nn.activations import (
    ACTIVATIONS,
    Activation,
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
    Cost,
    ReceptiveField,
    Window,
    convolution_cost,
    dense_cost,
    output_size,
    receptive_field,
    transposed_convolution_cost,
    transposed_output_size,
)
from jaxdl.nn.batch_norm import BatchNorm, batch_normalize, normalize
from jaxdl.nn.convolution import Conv, ConvTranspose, convolution, transposed_convolution
from jaxdl.nn.cost import Layer, Summary, summary
from jaxdl.nn.dense import Dense, dense_product
from jaxdl.nn.initializers import (
    dcgan_kernel_init,
    dcgan_scale_init,
    torch_conv_init,
    torch_conv_transpose_init,
    torch_linear_init,
    torch_uniform_init,
)
from jaxdl.nn.pooling import avg_pool, global_average_pool, max_pool
from jaxdl.nn.reversal import reversal_strength, reverse_gradient
from jaxdl.nn.spectral_norm import spectrally_normalized

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Cost",
    "Dense",
    "Layer",
    "ReceptiveField",
    "Summary",
    "Window",
    "avg_pool",
    "batch_normalize",
    "convolution",
    "convolution_cost",
    "dcgan_kernel_init",
    "dcgan_scale_init",
    "dense_cost",
    "dense_product",
    "elu",
    "global_average_pool",
    "leaky_relu",
    "log_softmax",
    "lowerings",
    "max_pool",
    "normalize",
    "output_size",
    "receptive_field",
    "relu",
    "reversal_strength",
    "reverse_gradient",
    "sigmoid",
    "sign",
    "softmax",
    "softmax2d",
    "spectrally_normalized",
    "step",
    "summary",
    "tanh",
    "torch_conv_init",
    "torch_conv_transpose_init",
    "torch_linear_init",
    "torch_uniform_init",
    "transposed_convolution",
    "transposed_convolution_cost",
    "transposed_output_size",
]

__getattr__, __dir__ = face(__name__, __all__)
