"""Makes mlp.npz: 100 steps of the course's PyTorch classifier, plain, with L2 and with dropout.

Run by hand where PyTorch is installed (torch 2.13.0 made the stored file):

    python tests/references/make_mlp.py

The network is the course's (document 004, levels 9 and 13) with hidden layers 24 wide, Adam at
0.01, on batches of 64 of the embedded digits in their stored order. The dropout masks are drawn
with NumPy and injected, since no two libraries draw the same ones. Everything is float64: in
float32 Adam turns differences of rounding into differences of 1e-3 within 30 steps, which would
hide a real difference of the same size.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from jaxdl.data.sources.embedded import load_embedded

WIDTH, STEPS, BATCH, RATE = 24, 100, 64, 0.1


def network() -> nn.ModuleList:
    widths = [784, *[WIDTH] * 6, 10]
    return nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))


def forward(layers: nn.ModuleList, x: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
    for i, layer in enumerate(layers[:-1]):
        x = layer(x)
        if masks and i >= 4:
            x = x * masks[i - 4] / (1 - RATE)
        x = functional.relu(x)
    return functional.log_softmax(layers[-1](x), dim=1)


def train(layers: nn.ModuleList, weight_decay: float, masks: np.ndarray | None) -> np.ndarray:
    digits = load_embedded().train
    optimizer = torch.optim.Adam(layers.parameters(), lr=0.01, weight_decay=weight_decay)
    losses = []
    for step in range(STEPS):
        rows = np.arange(step * BATCH, (step + 1) * BATCH) % len(digits.labels)
        x = torch.from_numpy(digits.images[rows].reshape(BATCH, 784)).float() / 255
        x = ((x - 0.1307) / 0.3081).double()
        kept = [] if masks is None else [torch.from_numpy(m).double() for m in masks[step]]
        loss = functional.nll_loss(
            forward(layers, x, kept), torch.from_numpy(digits.labels[rows]).long()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def main() -> None:
    torch.manual_seed(1)
    start = network().double()
    start.load_state_dict({n: v.float().double() for n, v in start.state_dict().items()})
    stored = {f"before.{n}": v.numpy().astype(np.float32) for n, v in start.state_dict().items()}
    masks = np.random.default_rng(1).random((STEPS, 2, BATCH, WIDTH)) >= RATE
    stored["masks"] = np.packbits(masks)
    for name, weight_decay, kept in (
        ("baseline", 0.0, None),
        ("l2", 0.002, None),
        ("dropout", 0.0, masks),
    ):
        layers = network().double()
        layers.load_state_dict(start.state_dict())
        stored[f"{name}.losses"] = train(layers, weight_decay, kept)
        stored |= {
            f"{name}.{n}": v.numpy().astype(np.float32) for n, v in layers.state_dict().items()
        }
        print(name, stored[f"{name}.losses"][[0, 10, 50, 99]])
    np.savez_compressed(Path(__file__).with_name("mlp.npz"), **stored)


if __name__ == "__main__":
    main()
