"""Makes activations.npz: PyTorch's activations and gradients, in float64 on float32 inputs.

Run by hand where PyTorch is installed: ``python tests/references/make_activations.py``. Gradients
are those of the sum of the outputs, weighted by ``<family>/cotangent``.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

CASES = 1000  # numbers for the elementwise functions
ROWS = 300  # batches of logits
EXTREMES = [0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 20, -20, 88, -88, 100, -100, 1e4, -1e4]

ELEMENTWISE = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "leaky_relu_0.2": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "elu_0.5": lambda x: F.elu(x, 0.5),
    "sign": torch.sign,
}


def evaluate(function, inputs: np.ndarray, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values, and the gradient of their weighted sum."""
    x = torch.tensor(inputs, dtype=torch.float64, requires_grad=True)
    value = function(x)
    value.backward(torch.tensor(cotangent, dtype=torch.float64))
    return value.detach().numpy().astype("f4"), x.grad.numpy().astype("f4")


def logits(rng: np.random.Generator) -> np.ndarray:
    """Batches of 4 rows of 5 classes: moderate, huge, and with a class ruled out."""
    x = rng.normal(0, 3, (ROWS, 4, 5)).astype("f4")
    x[:30] *= 3000
    x[30:60, :, 1] = -np.inf
    return x


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.normal(0, 2, CASES // 2), rng.normal(0, 30, CASES // 2), EXTREMES, [np.inf, -np.inf]]
    ).astype("f4")
    weights = rng.normal(0, 1, x.shape).astype("f4")
    arrays = {"elementwise/x": x, "elementwise/cotangent": weights}
    for name, function in ELEMENTWISE.items():
        arrays[f"{name}/value"], arrays[f"{name}/gradient"] = evaluate(function, x, weights)
    arrays["step/value"] = torch.heaviside(torch.tensor(x), torch.tensor(0.0)).numpy()

    x = logits(rng)
    weights = rng.normal(0, 1, x.shape).astype("f4")
    arrays |= {"softmax/x": x, "softmax/cotangent": weights}
    for axis in (1, 2):
        for name, function in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
            # Over axis 1 the class that is ruled out would be -∞ everywhere: left out there.
            part = slice(60, None) if axis == 1 else slice(None)
            value, gradient = evaluate(partial(function, dim=axis), x[part], weights[part])
            arrays |= {f"{name}_{axis}/value": value, f"{name}_{axis}/gradient": gradient}

    x = rng.normal(0, 3, (40, 3, 4, 5)).astype("f4")
    weights = rng.normal(0, 1, x.shape).astype("f4")
    arrays |= {"softmax2d/x": x, "softmax2d/cotangent": weights}
    value, gradient = evaluate(torch.nn.Softmax2d(), x, weights)
    arrays |= {"softmax2d/value": value, "softmax2d/gradient": gradient}
    np.savez_compressed(Path(__file__).with_name("activations.npz"), **arrays)
