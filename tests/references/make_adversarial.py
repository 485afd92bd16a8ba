"""Makes adversarial.npz: PyTorch's losses, penalties by double backward, and spectral norm.

Run by hand where PyTorch is installed (torch 2.13.0 made the stored file):

    python tests/references/make_adversarial.py

Everything is in float64. The critic is DCGAN's discriminator without normalisation, for images of
16 × 16 pixels and two channels, with ndf = 2.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

GAMMA, LAMBDA = 3.0, 10.0


def double(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).double().requires_grad_()


def losses(stored: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Values, and gradients by D's outputs, of each pair."""
    outputs = 2 * rng.normal(size=(2, 7))
    stored["outputs"] = outputs
    pairs = {
        "hinge": lambda r, f: (F.relu(1 - r).mean() + F.relu(1 + f).mean(), -f.mean()),
        "wasserstein": lambda r, f: (f.mean() - r.mean(), -f.mean()),
        "relativistic": lambda r, f: (F.softplus(-(r - f)).mean(), F.softplus(-(f - r)).mean()),
        "bce": lambda r, f: (
            F.binary_cross_entropy_with_logits(r, torch.ones_like(r))
            + F.binary_cross_entropy_with_logits(f, torch.zeros_like(f)),
            F.binary_cross_entropy_with_logits(f, torch.ones_like(f)),
        ),
    }
    for name, pair in pairs.items():
        for which in (0, 1):
            real, fake = (double(part) for part in outputs)
            loss = pair(real, fake)[which]
            gradients = torch.autograd.grad(loss, (real, fake), allow_unused=True)
            kind = ("discriminator", "generator")[which]
            stored[f"{name}.{kind}"] = loss.detach().numpy()
            stored[f"{name}.{kind}.gradients"] = np.stack(
                [np.zeros(7) if g is None else g.numpy() for g in gradients]
            )


def critic() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 2, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2, 4, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 1, 4, 1, 0, bias=False),
        nn.Flatten(0),
    ).double()


def squared_slopes(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    images = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
    return gradients.square().flatten(1).sum(1)


def penalties(stored: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Values, and gradients by the weights."""
    network = critic()
    real, fake = rng.normal(size=(2, 5, 2, 16, 16))
    mix = rng.uniform(size=5)
    stored |= {"real": real, "fake": fake, "mix": mix}
    for name, value in network.state_dict().items():
        stored[f"critic.{name}"] = value.numpy().copy()
    x, y, share = (torch.from_numpy(a) for a in (real, fake, mix[:, None, None, None]))
    between = share * x + (1 - share) * y
    values = {
        "r1": lambda: GAMMA / 2 * squared_slopes(network, x).mean(),
        "r2": lambda: GAMMA / 2 * squared_slopes(network, y).mean(),
        "gradient_penalty": lambda: (
            LAMBDA * (squared_slopes(network, between).sqrt() - 1).square().mean()
        ),
    }
    for name, make in values.items():
        network.zero_grad()
        value = make()
        value.backward()
        stored[name] = value.detach().numpy()
        for parameter, weight in network.named_parameters():
            stored[f"{name}.{parameter}"] = weight.grad.numpy().copy()


def spectral(stored: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Three passes in training, the last one's gradient, and one in evaluation."""
    layer = nn.utils.spectral_norm(nn.Conv2d(3, 5, 4, 2, 1, bias=False)).double()
    images = rng.normal(size=(2, 3, 8, 8))
    weights = rng.normal(size=(2, 5, 4, 4))
    stored |= {"spectral.images": images, "spectral.cotangent": weights}
    for name, value in layer.state_dict().items():
        stored[f"spectral.before.{name}"] = value.numpy().copy()
    outputs = []
    for _ in range(3):
        y = layer(torch.from_numpy(images))
        outputs.append(y.detach().numpy())
    (y * torch.from_numpy(weights)).sum().backward()
    stored["spectral.outputs"] = np.stack(outputs)
    stored["spectral.gradient"] = layer.weight_orig.grad.numpy()
    for name, value in layer.state_dict().items():
        stored[f"spectral.after.{name}"] = value.numpy().copy()
    with torch.no_grad():
        layer.weight_orig.mul_(torch.linspace(0.5, 2, 5)[:, None, None, None])
        stored["spectral.evaluated"] = layer.eval()(torch.from_numpy(images)).numpy()


def main() -> None:
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    stored: dict[str, np.ndarray] = {}
    for part in (losses, penalties, spectral):
        part(stored, rng)
    np.savez_compressed(Path(__file__).with_name("adversarial.npz"), **stored)
    print({name: float(stored[name]) for name in ("r1", "r2", "gradient_penalty")})


if __name__ == "__main__":
    main()
