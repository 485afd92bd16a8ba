"""Makes tinynet.npz: PyTorch's answers for the course's TinyNet.

Run by hand where PyTorch is installed (torch 2.13.0 made the stored file):

    python tests/references/make_tinynet.py

Three cases of six images; the third has images of whole numbers 0 and 1 and weights of whole
numbers, so that many maxima are tied and many sums are exactly 0. Arrays are in the course's
order and layout (W_fc is (48, 10)).
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

LEARNING_RATE, WEIGHT_DECAY = 0.1, 1e-2


class TinyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, 1, 1)
        self.conv2 = nn.Conv2d(6, 12, 3, 1, 1)
        self.fc = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2, 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2, 2)
        return self.fc(x.flatten(1))


def course_layout(arrays: list[torch.Tensor]) -> list[np.ndarray]:
    copies = [array.detach().numpy().copy() for array in arrays]
    copies[4] = copies[4].T.copy()
    return copies


def main() -> None:
    torch.manual_seed(2)
    rng = np.random.default_rng(2)
    stored: dict[str, np.ndarray] = {}
    for case in range(3):
        network = TinyNet()
        images = rng.normal(size=(6, 3, 8, 8)).astype(np.float32)
        if case == 2:
            images = rng.integers(0, 2, (6, 3, 8, 8)).astype(np.float32)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.copy_(torch.randint(-1, 2, parameter.shape))
                network.fc.weight.mul_(1 / 64)
        labels = rng.integers(0, 10, 6)
        parameters = list(network.parameters())
        stored[f"{case}.images"], stored[f"{case}.labels"] = images, labels
        for i, array in enumerate(course_layout(parameters)):
            stored[f"{case}.weights.{i}"] = array
        optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        logits = network(torch.from_numpy(images))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        loss.backward()
        stored[f"{case}.logits"] = logits.detach().numpy()
        stored[f"{case}.loss"] = loss.detach().numpy()
        for i, array in enumerate(course_layout([p.grad for p in parameters])):
            stored[f"{case}.gradients.{i}"] = array
        optimizer.step()
        for i, array in enumerate(course_layout(parameters)):
            stored[f"{case}.updated.{i}"] = array
    np.savez_compressed(Path(__file__).with_name("tinynet.npz"), **stored)


if __name__ == "__main__":
    main()
