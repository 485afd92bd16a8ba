"""Makes pooling.npz: PyTorch's pooling and its gradients on random images with many ties.

Run by hand where PyTorch is installed: ``python tests/references/make_pooling.py``. Images are in
NCHW order. Gradients are those of the sum of the outputs, weighted by ``<case>/cotangent``.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

# Image (height, width), window, stride (None: the window), padding and, for some, the dilation,
# which only PyTorch's max pooling has.
GEOMETRIES = [
    ((8, 8), 2, None, 0),
    ((7, 9), 2, None, 0),
    ((8, 8), 3, None, 1),
    ((9, 7), 3, 1, 1),
    ((9, 9), 3, 2, 0),
    ((10, 8), 3, 2, 1),
    ((6, 6), 4, 3, 2),
    ((5, 8), 2, 3, 1),
    ((8, 6), (3, 2), None, (1, 0)),
    ((7, 7), (1, 3), (2, 1), (0, 1)),
    ((4, 4), 4, None, 0),
    ((5, 5), 1, 2, 0),
    ((8, 8), 2, 1, 0, 2),
    ((9, 7), 3, 2, 1, 2),
    ((8, 9), (2, 3), (3, 1), (1, 0), (3, 2)),
]


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    arrays = {}
    for number, ((height, width), window, stride, padding, *dilation) in enumerate(GEOMETRIES):
        values = rng.normal(0, 1, (6, 3, height, width))
        values[:3] = values[:3].round()  # ties
        geometry = {"kernel_size": window, "stride": stride, "padding": padding}
        poolings = {
            "max": partial(F.max_pool2d, **geometry),
            "avg": partial(F.avg_pool2d, **geometry),
            "avg_inside": partial(F.avg_pool2d, **geometry, count_include_pad=False),
            "global": lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        }
        if dilation:
            poolings = {"max": partial(F.max_pool2d, **geometry, dilation=dilation[0])}
        arrays[f"{number}/x"] = values.astype("f4")
        for name, pool in poolings.items():
            x = torch.tensor(values.astype("f4"), requires_grad=True)
            value = pool(x)
            cotangent = rng.normal(0, 1, value.shape).astype("f4")
            value.backward(torch.tensor(cotangent))
            arrays[f"{number}/{name}/value"] = value.detach().numpy()
            arrays[f"{number}/{name}/cotangent"] = cotangent
            arrays[f"{number}/{name}/gradient"] = x.grad.numpy()
    np.savez_compressed(Path(__file__).with_name("pooling.npz"), **arrays)
