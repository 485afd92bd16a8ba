"""Seconds a step: ours, plain Flax convolutions, and PyTorch, side by side on this machine.

What:     the DCGAN step and the MLP step at the course's sizes, measured in turns in one process;
          medians, spread and ratios, beside the time the arithmetic alone would take.
Source:   course documents 000 and 004 for the peers' code.
Command:  python -m experiments.benchmark                  a few minutes on two cores
          python -m experiments.benchmark --preset smoke   seconds; its figures mean nothing
Expected: PyTorch takes part where it is installed (`pip install torch`). Only the ratios travel
          from one machine to another. Close other programs: they slow all contestants, but not
          alike.
"""

import dataclasses
import functools
import importlib.util
import os
import platform
import time
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from experiments.common.torch_peers import dcgan_step, mlp_step
from jaxdl import models, optim, plot
from jaxdl.training import classifier, gan, parallel, streams
from jaxdl.training.classifier_fit import normalize_mnist

THEME = "Measurements"

Contestant = Callable[[], None]
DCGAN_GFLOP_PER_IMAGE = 2.24  # at width 64: forward and backward passes of one step


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(Config):
    """What to measure; the defaults are the course's sizes."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"features": 2, "batch_size": 4, "width": 8, "rounds": 2, "mlp_steps": 2},
    }

    features: int = option(64, "DCGAN's width (ngf and ndf)", low=1, high=10_000)
    batch_size: int = option(100, "DCGAN's batch", low=2)
    width: int = option(700, "width of the MLP's six hidden layers", low=1, high=100_000)
    rounds: int = option(7, "times each contestant is measured, in turns", low=2)
    mlp_steps: int = option(50, "MLP steps in one measurement (DCGAN: one)", low=1)


def our_dcgan(config: BenchmarkConfig, conv: str) -> Contestant:
    """Our adversarial step inside the compiled loop that programs use."""
    adam = optax.adam(2e-4, b1=0.5)
    state = gan.create_state(
        streams.root_key(0),
        models.Generator(config.features, conv=conv),
        models.Discriminator(config.features, conv=conv),
        adam,
        adam,
    )
    images = np.random.default_rng(0).integers(0, 256, (config.batch_size, 64, 64, 1), np.uint8)
    inputs = gan.GANInputs(jnp.asarray(images), jnp.arange(config.batch_size), streams.root_key(1))
    step = functools.partial(gan.batch_step, batch_size=config.batch_size)
    return _compiled(step, state, inputs, steps=1)


def our_mlp(config: BenchmarkConfig) -> Contestant:
    """Our classifier step inside the compiled loop that programs use."""
    state = classifier.create_state(
        streams.root_key(0),
        models.MLP(hidden=(config.width,) * 6),
        optim.adam(0.01),
        jnp.zeros((1, 784)),
    )
    rng = np.random.default_rng(0)
    count = 64 * config.mlp_steps
    inputs = classifier.ClassifierInputs(
        jnp.asarray(rng.integers(0, 256, (count, 28, 28, 1), np.uint8)),
        jnp.asarray(rng.integers(0, 10, count)),
        jnp.arange(count),
        streams.root_key(1),
    )
    step = functools.partial(
        classifier.batch_step, batch_size=64, transform=normalize_mnist, augment=None
    )
    return _compiled(step, state, inputs, steps=config.mlp_steps)


def _compiled(step: Callable, state: Any, inputs: Any, steps: int) -> Contestant:
    run = parallel.compile_steps(step, jax.local_devices()[:1], steps)
    held = [state]

    def contestant() -> None:
        held[0], history = run(held[0], inputs, 0, steps)
        jax.block_until_ready((held[0], history))

    return contestant


def repeated(step: Contestant, times: int) -> Contestant:
    """A contestant that does several steps."""

    def contestant() -> None:
        for _ in range(times):
            step()

    return contestant


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def contestants(config: BenchmarkConfig) -> dict[str, dict[str, tuple[Contestant, int]]]:
    """For each case its contestants, and how many steps one call does; the last is the peer."""
    dcgan = {
        "jaxdl": (our_dcgan(config, "auto"), 1),
        "plain lax convolutions": (our_dcgan(config, "lax"), 1),
    }
    mlp = {"jaxdl": (our_mlp(config), config.mlp_steps)}
    if has_torch():
        dcgan["PyTorch eager"] = (dcgan_step(config.features, config.batch_size), 1)
        times = config.mlp_steps
        mlp["PyTorch eager"] = (repeated(mlp_step(config.width, 64), times), times)
    return {
        f"DCGAN step, width {config.features}, batch {config.batch_size}": dcgan,
        f"MLP step, 6 × {config.width}, batch 64": mlp,
    }


def measure(case: dict[str, tuple[Contestant, int]], rounds: int) -> dict[str, list[float]]:
    """Seconds a step of each contestant, measured in turns after one call to warm up."""
    for contestant, _ in case.values():
        contestant()
    seconds: dict[str, list[float]] = {name: [] for name in case}
    for _ in range(rounds):
        for name, (contestant, steps) in case.items():
            begin = time.perf_counter()
            contestant()
            seconds[name].append((time.perf_counter() - begin) / steps)
    return seconds


def machine_floor(size: int = 2048) -> dict[str, float]:
    """What this machine can do at best: a large matrix product and a large copy."""
    a = jnp.ones((size, size), jnp.float32)
    product, copy = jax.jit(lambda a: a @ a), jax.jit(lambda a: a + 1)
    large = jnp.ones((64, size, size // 2), jnp.float32)

    def best(function: Callable, argument: jax.Array) -> float:
        jax.block_until_ready(function(argument))
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            jax.block_until_ready(function(argument))
            times.append(time.perf_counter() - begin)
        return min(times)

    return {
        "gflop_per_second": 2 * size**3 / best(product, a) / 1e9,
        "copy_gb_per_second": 2 * large.nbytes / best(copy, large) / 1e9,
    }


def summarize_case(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, spread, and ratios of medians to the last contestant's."""
    peer = np.median(list(seconds.values())[-1])
    return {
        name: {
            "median": float(np.median(values)),
            "min": min(values),
            "max": max(values),
            "ratio_to_last": float(np.median(values) / peer),
        }
        for name, values in seconds.items()
    }


def comparison(results: dict[str, dict[str, Any]]) -> str:
    """The table of all cases."""
    rows = [
        (
            case,
            name,
            f"{found['median']:.4f}",
            f"{found['min']:.4f} … {found['max']:.4f}",
            f"{found['ratio_to_last']:.2f}",
        )
        for case, all_found in results.items()
        for name, found in all_found.items()
    ]
    return text_table(("case", "contestant", "seconds a step", "range", "ratio to last"), rows)


def run(config: BenchmarkConfig) -> lesson.Result:
    """Measures, prints the table, writes JSON and a figure."""
    folder = lesson.begin("benchmark", config)
    cores, device = os.cpu_count(), jax.devices()[0]
    print(f"{platform.machine()}, {cores} cores, {device.device_kind}, jax {jax.__version__}")
    floor = machine_floor()
    print(
        f"A large float32 product runs at {floor['gflop_per_second']:.0f} GFLOP/s, a large copy at "
        f"{floor['copy_gb_per_second']:.0f} GB/s."
    )
    if not has_torch():
        print("PyTorch is not installed: measured without it.")
    results = {
        name: summarize_case(measure(case, config.rounds))
        for name, case in contestants(config).items()
    }
    print(comparison(results))
    gflop = DCGAN_GFLOP_PER_IMAGE * config.batch_size * (config.features / 64) ** 2
    print(
        f"DCGAN's step is about {gflop:.0f} GFLOP by direct convolution, "
        f"{gflop / floor['gflop_per_second']:.2f} s at the product's rate; the Winograd lowering "
        "does nine products where direct convolution does sixteen."
    )
    ratios = {
        f"{name}\n{case.split(',')[0]}": found["ratio_to_last"]
        for case, all_found in results.items()
        for name, found in all_found.items()
    }
    figure = plot.bars(ratios, ylabel="Time relative to the last one", references={"1": 1.0})
    summary = {"program": "benchmark", "floor": floor, "cases": results, "cores": cores}
    return lesson.finish(folder, summary, {"benchmark": figure})


if __name__ == "__main__":
    command_line.main("benchmark", BenchmarkConfig, run, __doc__)
