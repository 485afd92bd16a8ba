"""Makes layers.npz: convolutions and batch normalisation as PyTorch computes them.

Run by hand, with PyTorch installed, from the top of the checkout:
python tests/references/make_layers.py. Arrays are stored in PyTorch's layout (NCHW; OIHW, or IOHW
when transposed). Gradients are those of sum(output * cotangent).
"""

from pathlib import Path

import numpy as np
import torch

# name: (transposed, batch, side, c_in, c_out, kernel, stride, padding, output_padding, dilation),
# the last 1 if left out
CONVOLUTIONS = {
    "conv_4_2_1": (False, 2, 8, 3, 5, 4, 2, 1, 0),
    "conv_4_2_1_image": (False, 2, 8, 1, 6, 4, 2, 1, 0),
    "conv_4_2_1_odd": (False, 2, 7, 3, 2, 4, 2, 1, 0),
    "conv_4_1_0": (False, 3, 4, 5, 1, 4, 1, 0, 0),
    "conv_3_1_1": (False, 2, 5, 2, 3, 3, 1, 1, 0),
    "conv_5_3_2": (False, 2, 11, 2, 3, 5, 3, 2, 0),
    "transposed_4_2_1": (True, 2, 4, 5, 3, 4, 2, 1, 0),
    "transposed_4_2_1_image": (True, 2, 4, 6, 1, 4, 2, 1, 0),
    "transposed_4_2_1_odd": (True, 2, 3, 5, 2, 4, 2, 1, 0),
    "transposed_4_1_0": (True, 3, 1, 7, 5, 4, 1, 0, 0),
    "transposed_3_2_1_1": (True, 2, 4, 3, 2, 3, 2, 1, 1),
    "transposed_5_3_0_2": (True, 2, 3, 2, 3, 5, 3, 0, 2),
}
DILATED = {
    "conv_3_1_2_dilation_2": (False, 2, 7, 2, 3, 3, 1, 2, 0, 2),
    "conv_4_2_1_dilation_2": (False, 2, 8, 3, 2, 4, 2, 1, 0, 2),
    "conv_3_2_0_dilation_3": (False, 2, 9, 2, 3, 3, 2, 0, 0, 3),
}


def convolution_case(spec):
    transposed, batch, side, c_in, c_out, size, stride, padding, output_padding, dilation = (
        *spec,
        *[1] * (10 - len(spec)),
    )
    if transposed:
        layer = torch.nn.ConvTranspose2d(c_in, c_out, size, stride, padding, output_padding)
    else:
        layer = torch.nn.Conv2d(c_in, c_out, size, stride, padding, dilation)
    x = torch.randn(batch, c_in, side, side, requires_grad=True)
    y = layer(x)
    cotangent = torch.randn_like(y)
    y.backward(cotangent)
    arrays = {
        "geometry": torch.tensor([transposed, stride, padding, output_padding, dilation]),
        "x": x,
        "weight": layer.weight,
        "bias": layer.bias,
        "y": y,
        "cotangent": cotangent,
        "x_gradient": x.grad,
        "weight_gradient": layer.weight.grad,
        "bias_gradient": layer.bias.grad,
    }
    return {name: array.detach().numpy() for name, array in arrays.items()}


def batch_norm_case(layer, shape, steps=4):
    """Several training steps; gradients of the last; then evaluation of the last input."""
    torch.nn.init.normal_(layer.weight, 1.0, 0.5)
    torch.nn.init.normal_(layer.bias)
    offset = 10 * torch.randn(1, shape[1], *[1] * (len(shape) - 2))
    inputs = [offset + 3 * torch.randn(shape) for _ in range(steps)]
    for x in inputs:
        x.requires_grad_()
        y = layer(x)
    cotangent = torch.randn(shape)
    y.backward(cotangent)
    arrays = {
        "inputs": torch.stack(inputs),
        "weight": layer.weight,
        "bias": layer.bias,
        "y": y,
        "cotangent": cotangent,
        "x_gradient": inputs[-1].grad,
        "weight_gradient": layer.weight.grad,
        "bias_gradient": layer.bias.grad,
        "running_mean": layer.running_mean,
        "running_var": layer.running_var,
        "y_eval": layer.eval()(inputs[-1]),
    }
    return {name: array.detach().numpy() for name, array in arrays.items()}


def main():
    torch.manual_seed(0)
    cases = {name: convolution_case(spec) for name, spec in CONVOLUTIONS.items()}
    cases["batch_norm_2d"] = batch_norm_case(torch.nn.BatchNorm2d(3), (4, 3, 5, 2))
    cases["batch_norm_1d"] = batch_norm_case(torch.nn.BatchNorm1d(3), (6, 3))
    # Last, so that the numbers drawn for the cases above stay as they were.
    cases |= {name: convolution_case(spec) for name, spec in DILATED.items()}
    flat = {f"{case}/{name}": a for case, arrays in cases.items() for name, a in arrays.items()}
    np.savez_compressed(Path(__file__).with_name("layers.npz"), **flat)


if __name__ == "__main__":
    main()
