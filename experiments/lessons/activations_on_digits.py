"""Activations in training: gradients that vanish, units that die, and what learns faster.

What:     deep networks of digits that differ in nothing but the activation, from the same first
          weights: the gradient of each layer before training, the training loss, and the share of
          units that no image moves any more, at an ordinary and at a large rate.
Source:   course document 002, section 7; course document 004, levels 1 to 3.
Command:  python -m experiments.lessons.activations_on_digits     half a minute
Expected: sigmoid's gradient vanishes on the way to the first layer and nothing is learned. Tanh's
          does not, since the first weights keep its inputs where its slope is near 1. Some units
          of ReLU die, more at the large rate. ELU is ahead of ReLU after the first epoch.

Weights are Glorot's, with variance 2/(inputs + outputs). A unit is dead if its slope is below 0.005
for every image: then no image can change it. For longer training, on all of MNIST and with six
activations, see `practice.optimisation --part activations`.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.small_training import Examples, Plan, small_digits, train
from experiments.common.table import text_table
from jaxdl import data, optim, plot
from jaxdl.metrics import paired_difference, verdict
from jaxdl.models import MLP
from jaxdl.training.layers import layer_statistics
from jaxdl.training.objective import Objective
from jaxdl.training.state import NetworkState

THEME = "Building blocks"
NAMES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU", "prelu": "PReLU", "elu": "ELU"}
AT_LARGE_RATE = ("ReLU", "ELU")  # too
PROBED = 500  # training images that networks are looked at with
VANISHED = 0.01  # of the last hidden layer's gradient is left in the first layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActivationsOnDigitsConfig(DataConfig):
    """Settings of the networks and their training."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "epochs": 1, "width": 4, "depth": 2, "batch_size": 1000}
    }

    seeds: int = option(3, "number of seeds; the first is --seed", low=2, high=100)
    epochs: int = option(5, "passes over the training digits", low=1, high=1000)
    batch_size: int = option(100, "digits in a batch", low=1, high=4000)
    depth: int = option(6, "hidden layers", low=2, high=50)
    width: int = option(32, "units of a hidden layer", low=1, high=1000)
    learning_rate: float = option(0.02, "SGD's rate, with momentum 0.9", above=0)
    large_rate: float = option(0.12, "the rate at which units are to die", above=0)


def look(network: NetworkState, probe: Examples) -> dict[str, Any]:
    """Loss, dead units, each layer's gradient, and PReLU's slopes."""
    found = layer_statistics(network, *probe, Objective())
    layers = found["layers"]
    dense = [name for name in layers if name.startswith("dense")]
    slopes = [part["slope"][0] for name, part in network.params.items() if name.startswith("act")]
    return {
        "loss": found["probe_loss"],
        "dead": found["dead_units"],
        "gradients": jnp.stack([layers[name]["gradient_norm"] for name in dense]),
        "slopes": jnp.stack(slopes) if slopes else jnp.zeros(0),
    }


def train_all(config: ActivationsOnDigitsConfig, digits: data.Dataset) -> dict[str, Any]:
    """What :func:`look` saw by activation: leaves (rates, seeds, epochs + 1, …)."""
    examples = small_digits(digits.train)
    probe = tuple(array[:PROBED] for array in examples)
    seeds = range(config.seed, config.seed + config.seeds)
    found = {}
    for activation, name in NAMES.items():
        model = MLP(
            hidden=(config.width,) * config.depth,
            num_classes=digits.num_classes,
            activation=activation,
            kernel_init=jax.nn.initializers.glorot_normal(),
        )
        momentum = functools.partial(optim.sgd, momentum=0.9)
        rates = (config.learning_rate, config.large_rate)[: 2 if name in AT_LARGE_RATE else 1]
        plan = Plan(rates, seeds, config.epochs, config.batch_size)
        found[name] = train(model, momentum, examples, plan, functools.partial(look, probe=probe))
    return found


def summarise(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The numbers of the table, means over seeds; dead shares by rate."""
    entries = {}
    for name, values in found.items():
        gradients = values["gradients"][0, :, 0]  # before training
        entries[name] = {
            "gradient_first": float(gradients[:, 0].mean()),
            "gradient_kept": float((gradients[:, 0] / gradients[:, -2]).mean()),
            "loss_by_epoch": values["loss"][0].mean(axis=0).tolist(),
            "loss_after_one": values["loss"][0, :, 1].tolist(),
            "dead_before": float(values["dead"][0, :, 0].mean()),
            "dead": values["dead"][:, :, -1].mean(axis=1).tolist(),
        }
    slopes = found["PReLU"]["slopes"][0, :, -1]
    entries["PReLU"]["slopes"] = [float(slopes.min()), float(slopes.max())]
    return entries


def draw(found: dict[str, Any], config: ActivationsOnDigitsConfig) -> Any:
    """Gradients by layer, loss by epoch, and dead units by epoch at both rates."""
    figure, panels = plot.figure_with_panels(3, share_x=False, panel_height=3.0)
    layers = np.arange(1, config.depth + 2)
    plot.line_band(
        layers,
        {name: values["gradients"][0, :, 0] for name, values in found.items()},
        xlabel="Layer, from the input to the output",
        ylabel="Norm of its gradient",
        title="Before training: the gradient on its way back",
        log_y=True,
        ax=panels[0],
    )
    epochs = np.arange(config.epochs + 1)
    plot.line_band(
        epochs,
        {name: values["loss"][0] for name, values in found.items()},
        xlabel="Epoch",
        ylabel="Training loss (nats)",
        title=f"Training at rate {config.learning_rate:g}: mean and range of {config.seeds} seeds",
        ax=panels[1],
    )
    rates = (config.learning_rate, config.large_rate)
    plot.line_band(
        epochs,
        {
            f"{name}, rate {rate:g}": 100 * found[name]["dead"][index]
            for name in AT_LARGE_RATE
            for index, rate in enumerate(rates)
        },
        xlabel="Epoch",
        ylabel="Dead hidden units (%)",
        title="Units that no image moves any more",
        ax=panels[2],
    )
    return figure


def shown(entries: dict[str, dict[str, Any]], config: ActivationsOnDigitsConfig) -> str:
    """What the lesson has shown, from its numbers."""
    kept = {name: entry["gradient_kept"] for name, entry in entries.items()}
    vanished = [name for name, share in kept.items() if share < VANISHED]
    others = ", ".join(f"{name} {kept[name]:.2g}" for name in kept if name not in vanished)
    low, high = entries["ReLU"]["dead"]
    alive = [name for name, entry in entries.items() if max(entry["dead"]) == 0]
    difference = paired_difference(
        entries["ELU"]["loss_after_one"], entries["ReLU"]["loss_after_one"]
    )
    slopes = " to ".join(f"{slope:.2f}" for slope in entries["PReLU"]["slopes"])
    return (
        f"Through {config.depth} layers the gradient vanishes with "
        f"{' and '.join(vanished) or 'none'}; with the others the first layer's is so many times "
        f"that of the last hidden one: {others}. Of ReLU's units "
        f"{entries['ReLU']['dead_before']:.1%} are dead before training, in the end {low:.1%} at "
        f"rate {config.learning_rate:g} and {high:.1%} at {config.large_rate:g}; none are of "
        f"{', '.join(alive) or 'any other function'}. After one epoch ELU's training loss, beside "
        f"ReLU's, is {verdict(difference, 'nats', 1.0, False)}. PReLU, which starts at 0.25, has "
        f"learned slopes from {slopes}."
    )


def run(config: ActivationsOnDigitsConfig) -> lesson.Result:
    """Trains, prints the table, draws, and writes the folder."""
    folder, digits = lesson.begin_on_digits("activations_on_digits", config, __doc__)
    found = train_all(config, digits)
    entries = summarise(found)
    print(
        f"\n{config.depth} hidden layers of {config.width} units, digits of 14×14 pixels, means of "
        f"{config.seeds} seeds.\nBefore training, the gradient's norm in the first layer, and its "
        "share of that in the last hidden\nlayer; then the training loss, and dead units, of two "
        "functions also at a large rate:\n"
    )
    header = ("activation", "gradient", "share", "loss after 1 epoch", "in the end")
    header += (f"dead at rate {config.learning_rate:g}", f"at rate {config.large_rate:g}")
    rows = [
        (
            *(name, f"{e['gradient_first']:.2g}", f"{e['gradient_kept']:.2g}"),
            *(f"{e['loss_by_epoch'][1]:.3f}", f"{e['loss_by_epoch'][-1]:.3f}"),
            *(f"{share:.1%}" for share in e["dead"]),
            *("–" for _ in range(2 - len(e["dead"]))),
        )
        for name, e in entries.items()
    ]
    print(text_table(header, rows))
    summary = {
        "data": lesson.data_of(digits),
        "activations": entries,
        "shown": shown(entries, config),
    }
    return lesson.finish(folder, summary, {"activations_on_digits": draw(found, config)})


if __name__ == "__main__":
    command_line.main("lessons.activations_on_digits", ActivationsOnDigitsConfig, run, __doc__)
