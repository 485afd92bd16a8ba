"""Makes dcgan.npz: ten steps of the course's PyTorch training loop on a narrow network.

Run by hand where PyTorch is installed (torch 2.13.0 made the stored file):

    python tests/references/make_dcgan.py

The networks and the loop are those of course document 000, with ngf = ndf = 2, nz = 4 and batches
of 6 made-up images.

Ten steps are stored in float64: in float32 rounding grows with every step. Float32 is compared one
step at a time, on images of 32 × 32 pixels: `float32.K.before` is the state after K steps in
float64, rounded, and `float32.K.after` what one step in float32 makes of it. At the kink of ReLU
and LeakyReLU the gradient jumps, and where rounding decides on which side an activation lies, two
right programs differ. So the noise of that step is drawn until no activation is close to a kink.
"""

import copy
import itertools
from pathlib import Path

import numpy as np
import torch
from torch import nn

WIDTH, LATENT, BATCH, STEPS = 2, 4, 6, 10
SINGLE_STEPS = 0, 6
MOMENTS = "exp_avg", "exp_avg_sq"
MARGIN = 1e-4  # of the activations' standard deviation; float32 rounds at 1e-6 to 1e-5 of it


def generator(doublings: int) -> nn.Sequential:
    """Images of 4 · 2^doublings pixels."""
    layers: list[nn.Module] = []
    widths = [LATENT, *(WIDTH * 2**i for i in reversed(range(doublings)))]
    for i, (before, after) in enumerate(itertools.pairwise(widths)):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(doublings: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for i in range(doublings - 1):
        before, after = WIDTH * 2**i, WIDTH * 2 ** (i + 1)
        layers += [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2),
        ]
    last = nn.Conv2d(WIDTH * 2 ** (doublings - 1), 1, 4, 1, 0, bias=False)
    return nn.Sequential(*layers, last, nn.Sigmoid())


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def adam(network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))


def one_step(
    networks: tuple[nn.Module, nn.Module],
    optimizers: tuple[torch.optim.Adam, torch.optim.Adam],
    real: torch.Tensor,
    noise: torch.Tensor,
) -> list[float]:
    """The course's step; returns loss_d, loss_g, d_x, d_g_z1, d_g_z2."""
    (net_g, net_d), (adam_g, adam_d) = networks, optimizers
    criterion = nn.BCELoss()
    ones, zeros = torch.ones(BATCH, dtype=real.dtype), torch.zeros(BATCH, dtype=real.dtype)
    net_d.zero_grad()
    output = net_d(real).view(-1)
    loss_real = criterion(output, ones)
    loss_real.backward()
    d_x = output.mean().item()
    fake = net_g(noise[:, :, None, None])
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
    return [loss_d, loss_g.item(), d_x, d_g_z1, output.mean().item()]


def arrays(
    prefix: str,
    network: nn.Module,
    optimizer: torch.optim.Adam,
    moments: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """Parameters, statistics, and Adam's moments, if any yet, as `NAME.exp_avg` and so on."""
    found = {
        f"{prefix}.{name}": value.detach().numpy().copy()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    for name, parameter in network.named_parameters():
        for moment in moments:
            if parameter in optimizer.state:
                value = optimizer.state[parameter][moment].numpy().copy()
                found[f"{prefix}.{name}.{moment}"] = value
    return found


Networks = tuple[nn.Module, nn.Module]
Optimizers = tuple[torch.optim.Adam, torch.optim.Adam]


def create(doublings: int) -> tuple[Networks, Optimizers]:
    nets = (
        generator(doublings).apply(initialise).double(),
        discriminator(doublings).apply(initialise).double(),
    )
    return nets, (adam(nets[0]), adam(nets[1]))


def in_float32(networks: Networks, optimizers: Optimizers) -> tuple[Networks, Optimizers]:
    """A copy of the networks and their optimisers."""
    nets = tuple(copy.deepcopy(network).float() for network in networks)
    adams = tuple(adam(network) for network in nets)
    for ours, theirs in zip(adams, optimizers, strict=True):
        ours.load_state_dict(copy.deepcopy(theirs.state_dict()))  # moments get float32 too
    return nets, adams


def distance_to_kinks(networks: Networks, distances: list[float]) -> None:
    """Has each ReLU and LeakyReLU note how close its smallest input is to 0."""

    def note(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        (x,) = inputs
        distances.append((x.abs().min() / x.std()).item())

    for network in networks:
        for module in network:
            if isinstance(module, nn.ReLU | nn.LeakyReLU):
                module.register_forward_pre_hook(note)


def real_batch(images: np.ndarray, step: int) -> torch.Tensor:
    chosen = np.arange(step * BATCH, (step + 1) * BATCH) % len(images)
    return (torch.from_numpy(images[chosen][:, None]).float() / 255 - 0.5) / 0.5


def main() -> None:
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (24, 8, 8), dtype=np.uint8)
    noise = rng.normal(size=(STEPS, BATCH, LATENT)).astype(np.float32)
    stored = {"images": coarse, "noise": noise}

    def store(prefix: str, nets: Networks, adams: Optimizers, *moments: str) -> None:
        for name, network, optimizer in zip("gd", nets, adams, strict=True):
            stored.update(arrays(f"{prefix}.{name}", network, optimizer, moments))

    images = coarse.repeat(8, axis=1).repeat(8, axis=2)
    nets, adams = create(doublings=4)
    store("before", nets, adams)
    stored["metrics"] = np.array(
        [
            one_step(nets, adams, real_batch(images, i).double(), torch.from_numpy(z).double())
            for i, z in enumerate(noise)
        ]
    )
    store("after", nets, adams)

    images = images[:, ::2, ::2]
    nets, adams = create(doublings=3)
    for step in range(max(SINGLE_STEPS) + 1):
        real = real_batch(images, step)
        if step in SINGLE_STEPS:
            prefix, distances = f"float32.{step}", [0.0]
            store(f"{prefix}.before", *in_float32(nets, adams), *MOMENTS)
            while min(distances) < MARGIN:
                z = rng.normal(size=(BATCH, LATENT)).astype(np.float32)
                single, optimizers = in_float32(nets, adams)
                distances = []
                distance_to_kinks(single, distances)
                metrics = one_step(single, optimizers, real, torch.from_numpy(z))
            stored |= {f"{prefix}.noise": z, f"{prefix}.metrics": np.array(metrics)}
            store(f"{prefix}.after", single, optimizers, MOMENTS[0])
            print(prefix, metrics, "closest to a kink:", min(distances))
        one_step(nets, adams, real.double(), torch.from_numpy(noise[step]).double())
    np.savez_compressed(Path(__file__).with_name("dcgan.npz"), **stored)
    print(stored["metrics"])


if __name__ == "__main__":
    main()
