"""Makes optimizers.npz: where PyTorch's optimisers are after 1, 10 and 100 steps, in float64.

Run by hand where PyTorch is installed: ``python tests/references/make_optimizers.py``. Every
optimiser solves three families of problems, stored beside the answers:

- ``noisy``: random badly conditioned quadratics, each with its own learning rate, whose gradient
  ``curvature · (w - minimum) + noise[step]`` has fresh noise at every step, as a batch's has;
- ``tiny``: gradients near 1e-6, where it matters where epsilon stands, some of them exactly 0;
- ``network``: two layers with biases and weight decay on all of them, through autograd.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

STEPS = 100
KEPT = (1, 10, 100)
Problem = Callable[[dict[str, torch.Tensor], int], torch.Tensor]

# Name in the tests, class, arguments; the rate is multiplied by the problem's own factor.
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.05}),
    "sgd_decay": (torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.1}),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01}),
    "sgd_nesterov": (
        torch.optim.SGD,
        {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "adam_decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.5, 0.999), "weight_decay": 0.1}),
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0}),
    "adadelta_decay": (torch.optim.Adadelta, {"lr": 0.5, "rho": 0.95, "weight_decay": 0.1}),
}
SCHEDULED = ("sgd_nesterov", "adam_decay")
L1_STRENGTH = 0.05


def double(array: np.ndarray) -> torch.Tensor:
    """The array as a float64 tensor."""
    return torch.tensor(array, dtype=torch.float64)


def solve(
    name: str,
    start: dict[str, np.ndarray],
    loss: Problem,
    factor: float = 1.0,
    schedule: Callable[[int], float] = lambda step: 1.0,
) -> dict[str, np.ndarray]:
    """The parameters after the kept steps, stacked."""
    params = {key: double(value).requires_grad_() for key, value in start.items()}
    kind, arguments = OPTIMIZERS[name]
    optimizer = kind(params.values(), **(arguments | {"lr": arguments["lr"] * float(factor)}))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    kept = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss(params, step).backward()
        optimizer.step()
        scheduler.step()
        if step + 1 in KEPT:
            kept.append({key: value.detach().numpy().copy() for key, value in params.items()})
    return {key: np.stack([answer[key] for answer in kept]).astype("f4") for key in params}


def noisy(rng: np.random.Generator, problems: int = 20, size: int = 4) -> dict[str, np.ndarray]:
    """Random quadratics in float32."""
    return {
        "start": rng.normal(0, 1, (problems, size)).astype("f4"),
        "minimum": rng.normal(0, 1, (problems, size)).astype("f4"),
        "curvature": (10 ** rng.uniform(-2, 1, (problems, size))).astype("f4"),
        "noise": rng.normal(0, 0.3, (STEPS, problems, size)).astype("f4"),
        "factor": (2 ** rng.uniform(-2, 0, problems)).astype("f4"),
    }


def tiny(rng: np.random.Generator, problems: int = 20, size: int = 4) -> dict[str, np.ndarray]:
    """Linear problems with small gradients; the last coordinate's are 0."""
    gradients = rng.normal(0, 1e-6, (STEPS, problems, size)).astype("f4")
    gradients[..., -1] = 0
    return {
        "start": rng.normal(0, 1, (problems, size)).astype("f4"),
        "gradients": gradients,
    }


def network(rng: np.random.Generator, problems: int = 6) -> dict[str, np.ndarray]:
    """Regressions by two small layers."""
    return {
        "w1": rng.normal(0, 1, (problems, 3, 5)).astype("f4"),
        "b1": rng.normal(0, 0.5, (problems, 5)).astype("f4"),
        "w2": rng.normal(0, 0.5, (problems, 5, 2)).astype("f4"),
        "b2": rng.normal(0, 0.5, (problems, 2)).astype("f4"),
        "x": rng.normal(0, 1, (problems, STEPS, 8, 3)).astype("f4"),
        "y": rng.normal(0, 1, (problems, STEPS, 8, 2)).astype("f4"),
    }


def noisy_loss(data: dict[str, np.ndarray], i: int) -> Problem:
    """Its gradient is curvature · (w - minimum) + noise."""
    keys = ("minimum", "curvature")
    minimum, curvature = (double(data[key][i]) for key in keys)
    noise = double(data["noise"][:, i])

    def loss(params: dict[str, torch.Tensor], step: int) -> torch.Tensor:
        w = params["w"]
        return (0.5 * curvature * (w - minimum) ** 2 + noise[step] * w).sum()

    return loss


def network_loss(data: dict[str, np.ndarray], i: int) -> Problem:
    """Mean squared error of tanh(x·w1 + b1)·w2 + b2 on the step's batch."""
    x, y = double(data["x"][i]), double(data["y"][i])

    def loss(p: dict[str, torch.Tensor], step: int) -> torch.Tensor:
        hidden = torch.tanh(x[step] @ p["w1"] + p["b1"])
        return ((hidden @ p["w2"] + p["b2"] - y[step]) ** 2).mean()

    return loss


def answers(data: dict[str, dict[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """Every optimiser on every problem: ``<optimizer>/<family>[/<parameter>]``."""
    quadratics = data["noisy"]
    count = len(quadratics["start"])

    def on_quadratics(name: str, loss_of: Callable[[int], Problem], **options) -> np.ndarray:
        found = [
            solve(
                name, {"w": quadratics["start"][i]}, loss_of(i), quadratics["factor"][i], **options
            )
            for i in range(count)
        ]
        return np.stack([answer["w"] for answer in found])

    def with_l1(i: int) -> Problem:
        plain = noisy_loss(quadratics, i)
        return lambda p, step: plain(p, step) + L1_STRENGTH * p["w"].abs().sum()

    for name in OPTIMIZERS:
        yield f"{name}/noisy", on_quadratics(name, lambda i: noisy_loss(quadratics, i))
        small = data["tiny"]
        found = []
        for i in range(len(small["start"])):
            gradients = double(small["gradients"][:, i])
            start = {"w": small["start"][i]}
            found.append(solve(name, start, lambda p, t, g=gradients: (g[t] * p["w"]).sum())["w"])
        yield f"{name}/tiny", np.stack(found)
        nets = data["network"]
        keys = ("w1", "b1", "w2", "b2")
        found = [
            solve(name, {key: nets[key][i] for key in keys}, network_loss(nets, i))
            for i in range(len(nets["x"]))
        ]
        for key in keys:
            yield f"{name}/network/{key}", np.stack([answer[key] for answer in found])
    for name in SCHEDULED:
        yield (
            f"{name}/scheduled",
            on_quadratics(
                name, lambda i: noisy_loss(quadratics, i), schedule=lambda t: 1 / (1 + 0.1 * t)
            ),
        )
    yield "sgd/l1", on_quadratics("sgd", with_l1)
    yield "adam/l1", on_quadratics("adam", with_l1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    problems = {make.__name__: make(generator) for make in (noisy, tiny, network)}
    arrays = {f"{family}/{key}": a for family, data in problems.items() for key, a in data.items()}
    arrays |= dict(answers(problems))
    np.savez_compressed(Path(__file__).with_name("optimizers.npz"), **arrays)
