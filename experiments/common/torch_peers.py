"""The course's PyTorch programs, as peers to measure against. PyTorch is needed to call them.

They follow the course's code (documents 000 and 004): eager mode, float32, no tuning beyond
``zero_grad(set_to_none=True)``, which is PyTorch's default.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

StepTimer = Callable[[], None]


def dcgan_step(features: int, batch_size: int) -> StepTimer:
    """The course's adversarial step on random images; each call does one step and waits for it."""
    import torch
    from torch import nn

    generator, discriminator = _generator(features), _discriminator(features)
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    ]
    criterion = nn.BCELoss()
    real = torch.rand(batch_size, 1, 64, 64) * 2 - 1
    ones, zeros = torch.ones(batch_size), torch.zeros(batch_size)

    def step() -> None:
        discriminator.zero_grad()
        criterion(discriminator(real).view(-1), ones).backward()
        fake = generator(torch.randn(batch_size, 100, 1, 1))
        criterion(discriminator(fake.detach()).view(-1), zeros).backward()
        optimizers[1].step()
        generator.zero_grad()
        loss = criterion(discriminator(fake).view(-1), ones)
        loss.backward()
        optimizers[0].step()
        loss.item()

    return step


def _generator(features: int) -> Any:
    from torch import nn

    widths = [100, 8 * features, 4 * features, 2 * features, features]
    layers: list[nn.Module] = []
    for i in range(4):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(widths[i], widths[i + 1], 4, stride, padding, bias=False),
            nn.BatchNorm2d(widths[i + 1]),
            nn.ReLU(True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(features, 1, 4, 2, 1, bias=False), nn.Tanh())


def _discriminator(features: int) -> Any:
    from torch import nn

    layers: list[nn.Module] = [nn.Conv2d(1, features, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for i in range(3):
        before, after = features * 2**i, features * 2 ** (i + 1)
        layers += [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * features, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def mlp_step(width: int, batch_size: int) -> StepTimer:
    """The course's classifier step on random images; each call does one step and waits for it."""
    import torch
    from torch import nn
    from torch.nn import functional

    widths = [784, *[width] * 6, 10]
    layers: list[nn.Module] = []
    for i in range(7):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
    network = nn.Sequential(*layers[:-1], nn.LogSoftmax(dim=1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(batch_size, 784)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 10, batch_size))

    def step() -> None:
        optimizer.zero_grad()
        loss = functional.nll_loss(network(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return step
