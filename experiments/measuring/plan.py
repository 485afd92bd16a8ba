"""Which contestants take part in which comparison."""

from typing import Any, NamedTuple

from experiments.measuring.layers import course_layers
from experiments.measuring.workers import Contestant

OURS, PEER = "jaxdl", "PyTorch eager"
HUGE = ", huge pages"
BATCHES = (25, 50, 100, 200, 400)
SHARDS = (2, 8)
SAVING_STEPS = 5
DCGAN_SIZE = 64  # pixels


class Case(NamedTuple):
    """Contestants that do the same work.

    Attributes:
        name: the work.
        contestants: who does it.
        examples: images per step, for images per second.
        gflop: arithmetic of a step by direct convolution, 0 if irrelevant.
    """

    name: str
    contestants: list[Contestant]
    examples: int
    gflop: float = 0.0


class Sizes(NamedTuple):
    """The benchmark's sizes, from its flags.

    Attributes:
        features: DCGAN's width.
        batch_size: DCGAN's batch.
        width: of the MLP's hidden layers.
        mlp_steps: MLP steps per measurement.
        dcgan_steps: DCGAN steps per measurement.
        epoch_images: images in the MLP's epoch.
    """

    features: int
    batch_size: int
    width: int
    mlp_steps: int
    dcgan_steps: int
    epoch_images: int


class Machine(NamedTuple):
    """What this machine offers.

    Attributes:
        platform: JAX's name of the backend.
        torch: whether PyTorch is installed.
        huge_pages: whether the C allocator can use huge pages and a CPU does the work.
    """

    platform: str
    torch: bool
    huge_pages: bool


def dcgan_gflop(features: int, batch_size: int) -> float:
    """Arithmetic of an adversarial step: forward and backward passes by direct convolution.

    At the course's size this is 2.24 GFLOP per image; it grows with the square of the width.
    """
    return 2.24 * batch_size * (features / 64) ** 2


def mlp_gflop(width: int) -> float:
    """Arithmetic of an MLP step: six operations per weight and example."""
    return 6 * 64 * (784 * width + 5 * width**2 + 10 * width) / 1e9


def _both_ways(
    machine: Machine, name: str, framework: str, case: str, options: dict[str, Any]
) -> list[Contestant]:
    """A contestant without and, where available, with huge pages."""
    plain = Contestant(name, framework, case, options)
    return (
        [plain, plain._replace(name=name + HUGE, huge_pages=True)]
        if machine.huge_pages
        else [plain]
    )


def _best_way(machine: Machine, name: str, framework: str, case: str, options: dict) -> Contestant:
    """A contestant in the environment in which both frameworks are faster."""
    return _both_ways(machine, name, framework, case, options)[-1]._replace(name=name)


def dcgan_case(machine: Machine, sizes: Sizes) -> list[Case]:
    """The adversarial step: ours, PyTorch's variants, and XLA's convolutions step by step."""
    size = {
        "features": sizes.features,
        "batch_size": sizes.batch_size,
        "steps": sizes.dcgan_steps,
    }
    contestants = _both_ways(machine, OURS, "jax", "dcgan", size)
    obvious = {**size, "conv": "lax", "loop": False}
    contestants.append(Contestant("Flax's obvious code", "jax", "dcgan", obvious, rounds=2))
    if machine.torch:
        contestants += _both_ways(machine, PEER, "torch", "dcgan", size)
        variants = {"channels last": {"channels_last": True}, "compiled": {"compiled": True}}
        contestants += [
            Contestant(f"PyTorch {name}", "torch", "dcgan", {**size, **extra})
            for name, extra in variants.items()
        ]
    if machine.platform != "cpu":
        contestants += _in_less_precision(machine, size)
    name = f"DCGAN step, width {sizes.features}, batch {sizes.batch_size}"
    gflop = dcgan_gflop(sizes.features, sizes.batch_size)
    return [Case(name, contestants, sizes.batch_size, gflop)]


def _in_less_precision(machine: Machine, size: dict[str, Any]) -> list[Contestant]:
    contestants = []
    for precision in ("tf32", "bfloat16"):
        options = {**size, "precision": precision}
        contestants.append(Contestant(f"{OURS}, {precision}", "jax", "dcgan", options))
        if machine.torch:
            compiled = {**options, "compiled": True}
            contestants += [
                Contestant(f"{PEER}, {precision}", "torch", "dcgan", options),
                Contestant(f"PyTorch compiled, {precision}", "torch", "dcgan", compiled),
            ]
    return contestants


def mlp_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """The classifier's step and its epoch."""
    size = {"width": sizes.width, "steps": sizes.mlp_steps}
    whole = {"width": sizes.width, "count": sizes.epoch_images}
    steps = _both_ways(machine, OURS, "jax", "mlp", size)
    epochs = [_best_way(machine, OURS, "jax", "mlp_epoch", whole)]
    if machine.torch:
        steps += _both_ways(machine, PEER, "torch", "mlp", size)
        steps.append(Contestant("PyTorch compiled", "torch", "mlp", {**size, "compiled": True}))
        epochs.append(_best_way(machine, PEER, "torch", "mlp_epoch", whole))
    epochs = [one._replace(rounds=1) for one in epochs]
    return [
        Case(f"MLP step, 6 × {sizes.width}, batch 64", steps, 64, mlp_gflop(sizes.width)),
        Case(f"MLP epoch, {sizes.epoch_images:,} images", epochs, sizes.epoch_images),
    ]


def layer_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """Each convolution layer of the course's networks, forward and backward."""
    cases = []
    for layer in course_layers(sizes.features):
        options = {"batch_size": sizes.batch_size, "layer": list(layer)}
        ours = {**options, "conv": "auto"}
        contestants = _both_ways(machine, OURS, "jax", "layer", ours)
        if machine.torch:
            contestants += _both_ways(machine, PEER, "torch", "layer", options)
        cases.append(Case(layer.name, contestants, sizes.batch_size))
    return cases


def size_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """The adversarial step at other widths and batches."""
    others = [(max(1, sizes.features // 4), sizes.batch_size)]
    others += [(max(1, sizes.features // 2), sizes.batch_size)]
    others += [(sizes.features, max(2, sizes.batch_size * b // 100)) for b in (64, 256)]
    cases = []
    for features, batch_size in others:
        options = {"features": features, "batch_size": batch_size, "steps": sizes.dcgan_steps}
        contestants = [_best_way(machine, OURS, "jax", "dcgan", options)]
        if machine.torch:
            contestants.append(_best_way(machine, PEER, "torch", "dcgan", options))
        name = f"DCGAN step, width {features}, batch {batch_size}"
        cases.append(Case(name, contestants, batch_size, dcgan_gflop(features, batch_size)))
    return cases


def batch_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """Ours alone at growing batches: time per step and memory."""
    cases = []
    for scale in BATCHES:
        batch_size = max(2, sizes.batch_size * scale // 100)
        options = {"features": sizes.features, "batch_size": batch_size, "steps": 1}
        contestant = _best_way(machine, OURS, "jax", "dcgan", options)._replace(rounds=3)
        cases.append(Case(f"DCGAN step, batch {batch_size}", [contestant], batch_size))
    return cases


def device_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """The same loop under jit and under pmap, on one device."""
    size = {"features": sizes.features, "batch_size": sizes.batch_size}
    dcgan = {**size, "steps": sizes.dcgan_steps}
    mlp = {"width": sizes.width, "steps": sizes.mlp_steps}
    cases = []
    for name, case, options, examples in (
        ("DCGAN step on one device", "dcgan", dcgan, sizes.batch_size),
        ("MLP step on one device", "mlp", mlp, 64),
    ):
        contestants = [
            _best_way(machine, kind, "jax", case, {**options, "use_pmap": kind == "pmap"})
            for kind in ("pmap", "jit")
        ]
        cases.append(Case(name, contestants, examples))
    return cases


def shard_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """The cost, on one device, of giving the same bits on any number of devices."""
    batch_size = -(-sizes.batch_size // max(SHARDS)) * max(SHARDS)
    dcgan = {
        "features": sizes.features,
        "batch_size": batch_size,
        "steps": sizes.dcgan_steps,
    }
    mlp = {"width": sizes.width, "steps": sizes.mlp_steps}
    cases = []
    for name, case, options, examples in (
        (f"DCGAN step, batch {batch_size}", "dcgan", dcgan, batch_size),
        ("MLP step, batch 64", "mlp", mlp, 64),
    ):
        contestants = [
            _best_way(machine, f"{n} virtual shards", "jax", case, {**options, "virtual_shards": n})
            for n in SHARDS
        ]
        contestants.append(_best_way(machine, "ordinary", "jax", case, options))
        cases.append(Case(name, contestants, examples))
    return cases


def saving_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """DCGAN steps with and without a checkpoint saved in the background."""
    steps = SAVING_STEPS * sizes.dcgan_steps
    options = {"features": sizes.features, "batch_size": sizes.batch_size, "steps": steps}
    contestants = [
        _best_way(machine, name, "jax", "dcgan_saving", {**options, "saves": saves})
        for name, saves in (("with a checkpoint", True), ("without", False))
    ]
    return [Case(f"{steps} DCGAN steps", contestants, steps * sizes.batch_size)]


def pipeline_cases(machine: Machine, sizes: Sizes) -> list[Case]:
    """The data alone: on the device, as pictures in a folder, and as images in a file."""

    def case(name: str, kind: str, examples: int, **options: int) -> Case:
        contestants = [Contestant(OURS, "jax", kind, options)]
        if machine.torch:
            contestants.append(Contestant("PyTorch DataLoader", "torch", kind, options))
        return Case(name, contestants, examples)

    batch, size = sizes.batch_size, DCGAN_SIZE
    whole, many = f"data alone, DCGAN, batch of {size}×{size}", {"count": 80 * batch, "size": size}
    return [
        case("data alone, MLP, batch of 28×28", "pipeline", 64, batch_size=64, size=28),
        case(whole, "pipeline", batch, batch_size=batch, size=size),
        case("JPEG picture of 320×240, decoded", "decoding", 1, count=8 * batch, size=size),
        case(f"image of {size}×{size} in a file", "streaming", 1, batch_size=batch, **many),
    ]


PARTS = {
    "dcgan": dcgan_case,
    "mlp": mlp_cases,
    "layers": layer_cases,
    "sizes": size_cases,
    "batches": batch_cases,
    "devices": device_cases,
    "shards": shard_cases,
    "saving": saving_cases,
    "pipeline": pipeline_cases,
}
