"""Trains the course's DCGAN with PyTorch, which must be installed: the twin of `experiments.dcgan`.

``python -m experiments.measuring.torch_twin JSON`` with the fields of :class:`Twin`. It writes the
generator's state dict, with the names of the course's class.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.measuring.torch_cases import (
    DEVICE,
    discriminator_network,
    generator_network,
)


class Twin(NamedTuple):
    """What to train.

    Attributes:
        images: a file of nothing but the bytes of grey images (N, S, S).
        image_size: S, a power of two.
        out: the state dict's file.
        seed: of the first weights, the batches and the noise.
        steps, batch_size, features, learning_rate: as of ``experiments.dcgan``.
    """

    images: str
    image_size: int
    out: str
    seed: int
    steps: int
    batch_size: int
    features: int
    learning_rate: float


def initialize(module: nn.Module) -> None:
    """The course's first weights."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def train(twin: Twin) -> nn.Module:
    """The course's loop without its prints and pictures; returns the generator."""
    torch.manual_seed(twin.seed)
    shape = (-1, 1, twin.image_size, twin.image_size)
    content = bytearray(Path(twin.images).read_bytes())
    pixels = torch.from_numpy(np.frombuffer(content, np.uint8).reshape(shape))
    doublings = twin.image_size.bit_length() - 3
    generator, discriminator = (
        make(twin.features, doublings).apply(initialize).to(DEVICE)
        for make in (generator_network, discriminator_network)
    )
    optimizer_g, optimizer_d = (
        torch.optim.Adam(network.parameters(), lr=twin.learning_rate, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    )
    ones, zeros = (torch.full((twin.batch_size,), v, device=DEVICE) for v in (1.0, 0.0))

    def loss_of(images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy(discriminator(images).view(-1), target)

    per_epoch = len(pixels) // twin.batch_size
    for step in range(twin.steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(pixels))
        first = step % per_epoch * twin.batch_size
        batch = pixels[order[first : first + twin.batch_size]]
        real = (batch.float() / 127.5 - 1).to(DEVICE)
        discriminator.zero_grad()
        loss_of(real, ones).backward()
        fake = generator(torch.randn(twin.batch_size, 100, 1, 1, device=DEVICE))
        loss_of(fake.detach(), zeros).backward()
        optimizer_d.step()
        generator.zero_grad()
        loss_of(fake, ones).backward()
        optimizer_g.step()
    return generator


def main() -> None:
    """Trains what the command line's JSON describes."""
    twin = Twin(**json.loads(sys.argv[1]))
    state = train(twin).cpu().state_dict()
    part = Path(f"{twin.out}.part")
    torch.save({f"main.{name}": array for name, array in state.items()}, part)
    part.replace(twin.out)


if __name__ == "__main__":
    main()
