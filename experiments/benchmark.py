"""Benchmark: is it faster than PyTorch? Steps, layers, data, start-up and memory on this machine.

What:     the DCGAN and MLP steps at the course's sizes and others, each convolution layer, the
          data pipeline, start-up and memory: ours, Flax's standard convolutions, and PyTorch
          (eager, channels last, compiled; on a GPU also at lower precision). Every contestant runs
          in its own process and they take turns. The tables show medians and ranges, beside the
          rates a large matrix product and a large copy reach here.
Source:   course documents 000 and 004 for the PyTorch code.
Command:  python -m experiments.benchmark                        everything, about ten minutes
          python -m experiments.benchmark --parts dcgan,layers   some of it
          python -m experiments.benchmark --preset smoke         seconds; its figures mean nothing
Expected: PyTorch takes part if it is installed (`pip install torch`). Only ratios carry over from
          one machine to another. Close other programs: they slow down all contestants, but not
          equally.
"""

import dataclasses
import importlib.util
import os
import platform
from typing import Any, ClassVar

from experiments.common import allocator, command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from experiments.measuring.plan import PARTS, Case, Machine, Sizes
from experiments.measuring.report import part_table, seconds_text, summarize
from experiments.measuring.start_up import measure_start_up
from experiments.measuring.workers import Contestant, Worker, WorkerError, all_workers, measure
from jaxdl import plot
from jaxdl.errors import ConfigError

THEME = "Measurements"
START_UP = "startup"
ALL_PARTS = (*PARTS, START_UP)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(Config):
    """What to measure; the defaults are the course's sizes."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "parts": "mlp,pipeline",
            "features": 2,
            "batch_size": 4,
            "width": 8,
            "rounds": 2,
            "mlp_steps": 2,
            "epoch_images": 100,
        },
    }

    parts: str = option("all", f"parts to measure, comma-separated: {', '.join(ALL_PARTS)}; or all")
    features: int = option(64, "DCGAN's width (ngf and ndf)", low=1, high=10_000)
    batch_size: int = option(100, "DCGAN's batch", low=2)
    width: int = option(700, "width of the MLP's six hidden layers", low=1, high=100_000)
    rounds: int = option(5, "rounds; in each, a contestant makes two measured runs", low=2)
    mlp_steps: int = option(50, "MLP steps in one measurement", low=1)
    dcgan_steps: int | None = option(
        None, "DCGAN steps in one measurement; unset: 1 on a CPU, 50 on a GPU", low=1
    )
    epoch_images: int = option(60_000, "images in the MLP's epoch", low=64)

    def __post_init__(self) -> None:
        """Checks the parts too."""
        super().__post_init__()
        unknown = sorted(set(self.chosen_parts) - set(ALL_PARTS))
        if unknown:
            raise ConfigError(
                f"--parts {self.parts}: there is no {', '.join(unknown)}; "
                f"choose from {', '.join(ALL_PARTS)}, or all"
            )

    @property
    def chosen_parts(self) -> tuple[str, ...]:
        """The parts by name."""
        return ALL_PARTS if self.parts == "all" else tuple(self.parts.split(","))


def look_around() -> tuple[Machine, dict[str, dict[str, str]]]:
    """Returns what this machine has, and what the frameworks call it."""
    with Worker() as worker:
        described = {"jax": worker.ask(describe="jax")}
    has_torch = importlib.util.find_spec("torch") is not None
    if has_torch:
        with Worker() as worker:
            described["torch"] = worker.ask(describe="torch")
    backend = described["jax"]["platform"]
    huge_pages = backend == "cpu" and allocator.can_use_huge_pages()
    return Machine(backend, has_torch, huge_pages), described


def machine_floor(rounds: int) -> dict[str, float]:
    """Measures this machine's limits: a large matrix product and a large copy."""
    size, megabytes = 2048, 512
    both = [
        Contestant("product", "jax", "matrix_product", {"size": size}),
        Contestant("copy", "jax", "large_copy", {"megabytes": megabytes}),
    ]
    with all_workers(both) as workers:
        found = measure(both, rounds, workers)
    product, copy = (min(found[one.name].seconds) for one in both)
    return {
        "gflop_per_second": 2 * size**3 / product / 1e9,
        "copy_gb_per_second": 2 * megabytes * 2**20 / copy / 1e9,
    }


def measure_part(cases: list[Case], rounds: int) -> dict[str, Any]:
    """Measures all cases of a part in fresh processes (layers share theirs)."""
    found: dict[str, Any] = {}
    shared = {c.name: c for case in cases for c in case.contestants if c.case == "layer"}
    with all_workers(list(shared.values())) as workers:
        for case in cases:
            if shared:
                found[case.name] = summarize(case, measure(case.contestants, rounds, workers))
            else:
                with all_workers(case.contestants) as own:
                    found[case.name] = summarize(case, measure(case.contestants, rounds, own))
    return found


def ratio_figure(parts: dict[str, Any], layers: bool) -> Any | None:
    """Bars of our time relative to PyTorch's; None without any."""
    ratios = {
        name: one["ratio"]
        for part, cases in parts.items()
        for name, one in cases.items()
        if (part == "layers") == layers and part not in {"devices", START_UP} and one["ratio"]
    }
    if not ratios:
        return None
    return plot.bars(
        ratios, ylabel="Our time relative to PyTorch's", references={"as fast as PyTorch": 1.0}
    )


def run(config: BenchmarkConfig) -> lesson.Result:
    """Measures, prints the tables, writes JSON and figures."""
    folder = lesson.begin("benchmark", config)
    machine, described = look_around()
    found = [", ".join(f"{k} {v}" for k, v in words.items()) for words in described.values()]
    print(f"{platform.machine()}, {os.cpu_count()} cores; {'; '.join(found)}")
    if not machine.torch:
        print("PyTorch is not installed: measuring without it.")
    floor = machine_floor(config.rounds)
    print(
        f"A large float32 product runs at {floor['gflop_per_second']:.0f} GFLOP/s, a large copy at "
        f"{floor['copy_gb_per_second']:.0f} GB/s."
    )
    dcgan_steps = config.dcgan_steps or (1 if machine.platform == "cpu" else 50)
    sizes = Sizes(
        config.features,
        config.batch_size,
        config.width,
        config.mlp_steps,
        dcgan_steps,
        config.epoch_images,
    )
    parts: dict[str, Any] = {}
    for part in config.chosen_parts:
        print(f"\n{part}", flush=True)
        if part == START_UP:
            parts[part] = _start_up(machine, sizes)
        else:
            parts[part] = measure_part(PARTS[part](machine, sizes), config.rounds)
            print(part_table(parts[part], floor), flush=True)
    summary = {
        "program": "benchmark",
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), **described},
        "floor": floor,
        "parts": parts,
    }
    figures = {"ratios": ratio_figure(parts, False), "layers": ratio_figure(parts, True)}
    return lesson.finish(folder, summary, {n: f for n, f in figures.items() if f is not None})


def _start_up(machine: Machine, sizes: Sizes) -> dict[str, Any]:
    try:
        found = measure_start_up(machine, sizes)
    except WorkerError as error:
        print(f"failed: {error}")
        return {"failure": str(error)}
    print(text_table(("start", "seconds"), [(n, seconds_text(s)) for n, s in found.items()]))
    return found


if __name__ == "__main__":
    command_line.main("benchmark", BenchmarkConfig, run, __doc__)
