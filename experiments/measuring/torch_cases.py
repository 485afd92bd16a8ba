"""PyTorch's contestants: the course's programs (documents 000 and 004). PyTorch must be installed.

Eager mode is the course's code unchanged; ``channels_last`` and ``compiled`` are what PyTorch's
tuning guide suggests next. They run on a GPU if PyTorch has one.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from experiments.measuring.layers import Layer
from experiments.measuring.pictures import write_array, write_pictures
from experiments.measuring.worker import Prepared

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def _wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def _repeated(step: Callable[[], None], steps: int) -> Prepared:
    def call() -> None:
        for _ in range(steps):
            step()
        _wait()

    return Prepared(call, steps)


def _set_precision(precision: str) -> contextlib.AbstractContextManager:
    """Applies PyTorch's settings for a precision; bfloat16 is its automatic mixed precision."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if precision == "bfloat16":
        return torch.autocast(DEVICE, torch.bfloat16)
    return contextlib.nullcontext()


def dcgan(
    features: int = 64,
    batch_size: int = 100,
    precision: str = "float32",
    steps: int = 1,
    channels_last: bool = False,
    compiled: bool = False,
) -> Prepared:
    """The course's adversarial step on random images; it waits for each step's losses."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    generator, discriminator = (
        network.to(DEVICE, memory_format=layout)
        for network in (generator_network(features), discriminator_network(features))
    )
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    ]
    if compiled:
        generator, discriminator = torch.compile(generator), torch.compile(discriminator)
    real = (torch.rand(batch_size, 1, 64, 64) * 2 - 1).to(DEVICE, memory_format=layout)
    ones, zeros = (torch.full((batch_size,), v, device=DEVICE) for v in (1.0, 0.0))
    autocast = _set_precision(precision)

    def loss_of(images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        with autocast:
            probability = discriminator(images).view(-1)
        return functional.binary_cross_entropy(probability.float(), target)

    def step() -> None:
        discriminator.zero_grad()
        loss_of(real, ones).backward()
        with autocast:
            fake = generator(torch.randn(batch_size, 100, 1, 1, device=DEVICE))
        loss_of(fake.detach(), zeros).backward()
        optimizers[1].step()
        generator.zero_grad()
        loss = loss_of(fake, ones)
        loss.backward()
        optimizers[0].step()
        loss.item()

    return _repeated(step, steps)


def generator_network(features: int, doublings: int = 4) -> nn.Module:
    """The course's generator of images of 4 pixels, doubled so many times."""
    widths = [100, *(features * 2**i for i in reversed(range(doublings)))]
    layers: list[nn.Module] = []
    for i in range(doublings):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(widths[i], widths[i + 1], 4, stride, padding, bias=False),
            nn.BatchNorm2d(widths[i + 1]),
            nn.ReLU(True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(features, 1, 4, 2, 1, bias=False), nn.Tanh())


def discriminator_network(features: int, doublings: int = 4) -> nn.Module:
    """The course's discriminator of such images."""
    layers: list[nn.Module] = [nn.Conv2d(1, features, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for i in range(doublings - 1):
        before, after = features * 2**i, features * 2 ** (i + 1)
        layers += [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, True),
        ]
    widest = features * 2 ** (doublings - 1)
    return nn.Sequential(*layers, nn.Conv2d(widest, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def _mlp_step(width: int, compiled: bool) -> Callable[[torch.Tensor, torch.Tensor], None]:
    widths = [784, *[width] * 6, 10]
    layers: list[nn.Module] = []
    for i in range(7):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
    network = nn.Sequential(*layers[:-1], nn.LogSoftmax(dim=1)).to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    forward = torch.compile(network) if compiled else network

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss = functional.nll_loss(forward(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def mlp(width: int = 700, steps: int = 50, compiled: bool = False) -> Prepared:
    """The course's classifier step, batch 64, on one random batch prepared in advance."""
    step = _mlp_step(width, compiled)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(64, 784)).astype(np.float32)).to(DEVICE)
    labels = torch.from_numpy(rng.integers(0, 10, 64)).to(DEVICE)
    return _repeated(lambda: step(images, labels), steps)


def mlp_epoch(width: int = 700, count: int = 60_000) -> Prepared:
    """An epoch over prepared tensors through a ``DataLoader``; one call is one epoch."""
    step = _mlp_step(width, False)
    batches = _loader(torch.randn(count, 784), torch.randint(0, 10, (count,)), 64)

    def call() -> None:
        for images, labels in batches:
            step(images.to(DEVICE), labels.to(DEVICE))

    return Prepared(call, is_long=True)


def _loader(images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> Any:
    dataset = torch.utils.data.TensorDataset(images, labels)
    return torch.utils.data.DataLoader(dataset, batch_size, shuffle=True)


def layer(batch_size: int, layer: list) -> Prepared:
    """One convolution layer, forward and backward (input and kernel)."""
    spec = Layer(*layer)
    kind = nn.ConvTranspose2d if spec.transposed else nn.Conv2d
    module = kind(spec.before, spec.after, 4, spec.stride, spec.padding, bias=False).to(DEVICE)
    shape = (batch_size, spec.before, spec.size, spec.size)
    x = torch.randn(shape, device=DEVICE, requires_grad=True)
    gradient = torch.randn_like(module(x))

    def call() -> None:
        x.grad = module.weight.grad = None
        module(x).backward(gradient)
        _wait()

    return Prepared(call)


def pipeline(batch_size: int, size: int, steps: int = 100) -> Prepared:
    """The data alone: a ``DataLoader`` over images resized and scaled in advance."""
    images = torch.randn(batch_size * steps, 1, size, size)
    batches = _loader(images, torch.zeros(len(images)), batch_size)

    def call() -> None:
        total = torch.zeros((), device=DEVICE)
        for batch, _ in batches:
            total += batch.to(DEVICE)[0, 0, 0, 0]
        _wait()

    return Prepared(call, steps)


class _Files(torch.utils.data.Dataset):
    """Pictures as tensors, decoded when they are asked for."""

    def __init__(self, folder: Path, size: int) -> None:
        self.files, self.size = sorted(folder.iterdir()), size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            side = min(image.size)
            left, top = ((length - side) // 2 for length in image.size)
            square = image.convert("RGB").crop((left, top, left + side, top + side))
        resized = square.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized))


class _Rows(torch.utils.data.Dataset):
    """Rows of a `.npy` file as tensors."""

    def __init__(self, path: Path) -> None:
        self.images = np.load(path, mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self.images[index]))


def _read_all(dataset: torch.utils.data.Dataset, batch_size: int) -> Prepared:
    workers = os.cpu_count() or 1
    loader = torch.utils.data.DataLoader(dataset, batch_size, shuffle=True, num_workers=workers)

    def call() -> None:
        for batch in loader:
            batch.to(DEVICE)
        _wait()

    return Prepared(call, len(dataset), is_long=True)


def decoding(count: int, size: int) -> Prepared:
    """A ``DataLoader`` with a worker a core reads a folder of pictures; a step is one picture."""
    return _read_all(_Files(write_pictures(count), size), 64)


def streaming(count: int, size: int, batch_size: int) -> Prepared:
    """A ``DataLoader`` with a worker a core reads images in a file; a step is one image."""
    return _read_all(_Rows(write_array(count, size)), batch_size)


def describe() -> dict[str, str]:
    """Where PyTorch runs here."""
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
    return {"device": name, "torch": torch.__version__, "threads": str(torch.get_num_threads())}


CASES: dict[str, Callable[..., Prepared]] = {
    "dcgan": dcgan,
    "mlp": mlp,
    "mlp_epoch": mlp_epoch,
    "layer": layer,
    "pipeline": pipeline,
    "decoding": decoding,
    "streaming": streaming,
}
