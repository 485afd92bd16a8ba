"""Makes dcgan.npz: ten steps of the course's PyTorch training loop on a narrow network.

Run by hand where PyTorch is installed (torch 2.13.0 made the stored file):

    python tests/references/make_dcgan.py

The networks and the loop are those of course document 000, with ngf = ndf = 4, nz = 10 and batches
of 6 out of 24 made-up images.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import nn

WIDTH, LATENT, BATCH, STEPS = 4, 10, 6, 10


def generator() -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = [LATENT, WIDTH * 8, WIDTH * 4, WIDTH * 2, WIDTH]
    for i, (before, after) in enumerate(itertools.pairwise(widths)):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1, bias=False), nn.Tanh())


def discriminator() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for i in range(3):
        before, after = WIDTH * 2**i, WIDTH * 2 ** (i + 1)
        layers += [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Conv2d(WIDTH * 8, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def arrays(prefix: str, network: nn.Module) -> dict[str, np.ndarray]:
    return {
        f"{prefix}.{name}": value.detach().numpy().copy()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def main() -> None:
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    net_g, net_d = generator().apply(initialise), discriminator().apply(initialise)
    coarse = rng.integers(0, 256, (24, 8, 8), dtype=np.uint8)
    images = coarse.repeat(8, axis=1).repeat(8, axis=2)
    noise = rng.normal(size=(STEPS, BATCH, LATENT)).astype(np.float32)
    stored = {"images": coarse, "noise": noise}
    stored |= arrays("before.g", net_g) | arrays("before.d", net_d)

    criterion = nn.BCELoss()
    adam_g = torch.optim.Adam(net_g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_d = torch.optim.Adam(net_d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)
    metrics = []
    for step in range(STEPS):
        chosen = np.arange(step * BATCH, (step + 1) * BATCH) % len(images)
        real = torch.from_numpy(images[chosen][:, None]).float() / 255
        real = (real - 0.5) / 0.5
        net_d.zero_grad()
        output = net_d(real).view(-1)
        loss_real = criterion(output, ones)
        loss_real.backward()
        d_x = output.mean().item()
        fake = net_g(torch.from_numpy(noise[step])[:, :, None, None])
        output = net_d(fake.detach()).view(-1)
        loss_fake = criterion(output, zeros)
        loss_fake.backward()
        d_g_z1 = output.mean().item()
        adam_d.step()
        net_g.zero_grad()
        output = net_d(fake).view(-1)
        loss_g = criterion(output, ones)
        loss_g.backward()
        adam_g.step()
        loss_d = (loss_real + loss_fake).item()
        metrics.append([loss_d, loss_g.item(), d_x, d_g_z1, output.mean().item()])
    stored |= arrays("after.g", net_g) | arrays("after.d", net_d)
    stored["metrics"] = np.array(metrics, np.float32)
    np.savez_compressed(Path(__file__).with_name("dcgan.npz"), **stored)
    print(stored["metrics"])


if __name__ == "__main__":
    main()
