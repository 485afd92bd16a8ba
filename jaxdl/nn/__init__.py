"""Layers and their arithmetic."""

from jaxdl.nn.batch_norm import BatchNorm
from jaxdl.nn.convolution import Conv, ConvTranspose, convolution, transposed_convolution
from jaxdl.nn.initializers import (
    batch_norm_scale,
    dcgan_normal,
    torch_conv,
    torch_conv_transpose,
    torch_linear,
    torch_uniform,
)

__all__ = [
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "batch_norm_scale",
    "convolution",
    "dcgan_normal",
    "torch_conv",
    "torch_conv_transpose",
    "torch_linear",
    "torch_uniform",
    "transposed_convolution",
]
