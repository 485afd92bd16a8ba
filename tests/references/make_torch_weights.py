"""Makes generator.pt and torch_weights.npz: state dicts that PyTorch wrote, and what they compute.

Run by hand where PyTorch is installed (torch 2.13.0 made the stored files):

    python tests/references/make_torch_weights.py

generator.pt is `torch.save(netG.state_dict())` of course document 000's generator, with ngf = 3 and
nz = 5, after some training passes that move BatchNorm's statistics. torch_weights.npz holds its
images for given noise, and for each other network a state dict (`NETWORK/weights/KEY`), inputs and
outputs in evaluation mode.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent


class Generator(nn.Module):
    def __init__(self, ngf: int, nz: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [nz, ngf * 8, ngf * 4, ngf * 2, ngf]
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            stride, padding = (1, 0) if i == 0 else (2, 1)
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(True),
            ]
        self.main = nn.Sequential(
            *layers, nn.ConvTranspose2d(ngf, 1, 4, 2, 1, bias=False), nn.Tanh()
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.main(z)


class Discriminator(nn.Module):
    """The course's, without the sigmoid at the end."""

    def __init__(self, ndf: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for i in range(3):
            before, after = ndf * 2**i, ndf * 2 ** (i + 1)
            layers += [
                nn.Conv2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(ndf * 8, 1, 4, 1, 0, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x).view(-1)


class MLP(nn.Module):
    def __init__(self, *widths: int) -> None:
        super().__init__()
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            setattr(self, f"fc{i + 1}", nn.Linear(before, after))
        self.layers = len(widths) - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for i in range(1, self.layers):
            x = torch.relu(getattr(self, f"fc{i}")(x))
        return getattr(self, f"fc{self.layers}")(x)


class TwoLayerNet(MLP):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(super().forward(x))


class LinearRegression(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)[:, 0]


class TinyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, 1, 1)
        self.conv2 = nn.Conv2d(6, 12, 3, 1, 1)
        self.fc = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


class CNN(nn.Module):
    def __init__(self, side: int, channels: int, widths: tuple[int, int], hidden: int) -> None:
        super().__init__()
        first, second = widths
        self.conv1, self.bn1 = nn.Conv2d(channels, first, 3, 1, 1), nn.BatchNorm2d(first)
        self.conv2, self.bn2 = nn.Conv2d(first, second, 3, 1, 1), nn.BatchNorm2d(second)
        self.fc1 = nn.Linear(second * (side // 4) ** 2, hidden)
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def stir(network: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Draws weights large enough to matter, and gives BatchNorm statistics of its own."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.5, 0.3)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.2)
    for _ in range(3):
        network(2 * torch.randn(6, *shape) + 0.5)
    return network.eval()


def main() -> None:
    torch.manual_seed(3)
    networks = {
        "Generator": (Generator(3, 5), (5, 1, 1)),
        "Discriminator": (Discriminator(2), (1, 64, 64)),
        "MLP": (MLP(12, 9, 8, 7, 6), (3, 4)),
        "TwoLayerNet": (TwoLayerNet(12, 9, 10), (12,)),
        "LinearRegression": (LinearRegression(13), (13,)),
        "TinyNet": (TinyNet(), (3, 8, 8)),
        "CNN": (CNN(12, 3, (4, 6), 8), (3, 12, 12)),
    }
    stored: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for name, (network, shape) in networks.items():
            stir(network, shape)
            coarse = shape[:1] + tuple(max(1, side // 8) for side in shape[1:])
            inputs = torch.randn(4, *(coarse if name == "Discriminator" else shape))
            stored[f"{name}/inputs"] = inputs.numpy()
            if name == "Discriminator":  # 8×8 noise, magnified, compresses to nothing
                inputs = inputs.repeat_interleave(8, 2).repeat_interleave(8, 3)
            stored[f"{name}/outputs"] = network(inputs).numpy().astype(np.float32)
            if name == "Generator":
                torch.save(network.state_dict(), HERE / "generator.pt")
                continue
            for key, value in network.state_dict().items():
                stored[f"{name}/weights/{key}"] = value.numpy()
    np.savez_compressed(HERE / "torch_weights.npz", **stored)


if __name__ == "__main__":
    main()
