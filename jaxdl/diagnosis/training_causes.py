"""Why a network did not learn its training images: the optimisation, or the model."""

import math

import numpy as np

from jaxdl.diagnosis.finding import Finding, Remedy
from jaxdl.diagnosis.record import ClassifierRecord

# Accuracy on training images from which on nothing is wrong with learning them.
GOOD, GOOD_IF_LINEAR = 0.9, 0.87
# Step sizes with which an optimiser usually works.
USUAL_RATES = {
    "sgd": 0.1,
    "momentum": 0.03,
    "nesterov": 0.03,
    "adam": 2e-3,
    "adamw": 2e-3,
    "rmsprop": 1e-3,
    "adagrad": 0.01,
    "adadelta": 1.0,
}
HIGH, LOW = 10.0, 0.05  # times the usual rate
EXPLODING = 100.0  # norm of the first gradient
VANISHING = 1e-3  # first hidden layer's gradient relative to the last layer's
DEAD, ALL_DEAD = 0.5, 0.9  # share of units: in the network, in a layer
GROWN = 8.0  # times a layer's first weights
MOVED = 1.1  # times a layer's first weights, which little training leaves
FEW_STEPS, FEW_EPOCHS = 100, 3
FALLING = 0.05  # share by which the loss still falls in an epoch
NARROW = {"mlp": 12, "cnn": 4}  # units of a hidden layer, channels of the first block
SWINGS = 0.25  # rises of the training loss in the later half, in nats of its logarithm
RIPPLE = 0.2  # smaller rises are not counted
HALF_WAY = 0.5  # accuracy on training images; below, large steps prevent all learning
SETTLED = 0.05  # a training loss below which swings do not matter


def learned(run: ClassifierRecord) -> bool:
    """Whether the training images are known at the end, and their loss is that of knowing them."""
    if not run.epochs:
        return False
    good = GOOD_IF_LINEAR if run.settings["model"] == "linear" else GOOD
    return run.accuracy("train") >= good and run.last("train_loss") < 2 * _ignorance(run)


def _ignorance(run: ClassifierRecord) -> float:
    """The cross-entropy of knowing nothing but the number of classes, in nats."""
    return math.log(max(run.facts["data"]["num_classes"], 2))


def _growth(run: ClassifierRecord) -> float:
    """How many times larger the weights of a layer have become, in the layer that grew most."""
    start, end = run.layers("weight_norm", at_start=True), run.layers("weight_norm")
    return max(end[name] / max(start[name], 1e-9) for name in start if _has_kernel(name))


def _has_kernel(layer: str) -> bool:
    return layer.startswith(("conv", "dense"))


def _relative_rate(run: ClassifierRecord) -> float:
    """The step size in units of the optimiser's usual one; 1 for an unknown optimiser."""
    rate = run.settings["learning_rate"]
    return rate / USUAL_RATES.get(run.settings["optimizer"], rate)


def _rate(run: ClassifierRecord) -> str:
    settings = run.settings
    times = f"{_relative_rate(run):.2g} times the usual one"
    return f"the step size of {settings['optimizer']} is {settings['learning_rate']:g}, {times}"


def _outcome(run: ClassifierRecord) -> str:
    if not run.epochs:
        return "the run has no complete epoch"
    nothing = ""
    if run.settings["loss"] in ("cross_entropy", "negative_log_likelihood"):
        nothing = f"knowing nothing: {_ignorance(run):.3g}, "
    return (
        f"training accuracy {run.accuracy('train'):.1%}, training loss "
        f"{run.last('train_loss'):.3g} ({nothing}at the start: {run.at_start('probe_loss'):.3g})"
    )


def _usual_rate(run: ClassifierRecord) -> Remedy:
    rate = USUAL_RATES.get(run.settings["optimizer"], 1e-3)
    return Remedy("take the optimiser's usual step size", {"learning_rate": rate})


def gradients(run: ClassifierRecord) -> Finding | None:
    """The first gradients vanish on their way back, or explode."""
    if learned(run):
        return None
    norm, found = run.at_start("gradient_norm"), run.layers("gradient_norm", at_start=True)
    kernels = [v for name, v in found.items() if _has_kernel(name)]
    first, last = min(kernels[:-1], default=kernels[-1]), kernels[-1]
    dead = max(run.layers("dead", at_start=True).values(), default=0)
    if norm > EXPLODING:
        what = f"the gradient explodes: its norm is {norm:.3g} before the first step"
    elif first < VANISHING * last and dead < ALL_DEAD:
        what = (
            f"the gradient vanishes: its norm is {last:.2g} in the last layer and {first:.2g} in "
            "a hidden one before the first step"
        )
    else:
        return None
    remedies = (
        Remedy("normalise each layer's outputs", {"normalization": "batch"}),
        Remedy(
            "draw first weights that keep sizes",
            {"initialization": "he", "weight_scale": 1.0, "activation": "relu"},
        ),
        Remedy("add residual connections", {"residual": True}),
        *_shallower(run, "take fewer layers"),
    )
    evidence = (what, _outcome(run))
    return Finding("vanishing or exploding gradients", 0.9, evidence, remedies)


def _shallower(run: ClassifierRecord, text: str) -> tuple[Remedy, ...]:
    return (Remedy(text, {"depth": 2}),) if run.settings["depth"] > 2 else ()


def dead_units(run: ClassifierRecord) -> Finding | None:
    """Most hidden units never act, and not because of steps that were too large."""
    layers = run.layers("dead", at_start=True)
    if not layers or learned(run):
        return None
    start, end = run.at_start("dead_units"), run.last("dead_units")
    at_start = max(start, max(layers.values()) * (max(layers.values()) >= ALL_DEAD))
    later = end >= DEAD and not _is_narrow(run) and _growth(run) < GROWN
    later = later and _relative_rate(run) < HIGH
    if at_start < DEAD and not later:
        return None
    evidence = (
        f"{start:.0%} of the hidden units are flat for every training image before the first "
        f"step, {end:.0%} at the end",
        "most in one layer: " + ", ".join(f"{n} {s:.0%}" for n, s in _most(layers, run)),
        _outcome(run),
    )
    remedies = (
        Remedy("draw the usual first biases", {"initial_bias": None}),
        Remedy("take an activation that is not flat", {"activation": "leaky_relu"}),
        Remedy("normalise each layer's outputs", {"normalization": "batch"}),
    )
    return Finding("dead units", 0.9 if at_start >= DEAD else 0.7, evidence, remedies)


def _most(start: dict[str, float], run: ClassifierRecord) -> list[tuple[str, float]]:
    """The layer with the greatest share of dead units at either time."""
    shares = {name: max(share, run.layers("dead")[name]) for name, share in start.items()}
    return [max(shares.items(), key=lambda item: item[1])]


def rate_too_high(run: ClassifierRecord) -> Finding | None:
    """The steps are so large that the loss does not fall, or the weights go astray."""
    if run.divergence is not None:
        where = f"the loss was not finite at step {run.divergence.get('step')}"
        evidence = (where, _rate(run))
        return Finding("rate too high", 0.9, evidence, _lower_rate(run))
    if not run.epochs:
        return None
    grown, rate = _growth(run), _relative_rate(run)
    signs = (grown >= GROWN and rate >= 1) + (rate >= HIGH)
    if signs < (2 if learned(run) else 1):
        return None
    evidence = (
        f"the weights of a layer have become {grown:.1f} times as large as they were",
        _rate(run),
        _outcome(run),
    )
    sureness = 0.95 if signs == 2 and not learned(run) else 0.75
    return Finding("rate too high", sureness, evidence, _lower_rate(run))


def _lower_rate(run: ClassifierRecord) -> tuple[Remedy, ...]:
    rate = run.settings["learning_rate"]
    if _relative_rate(run) > 1:
        return (_usual_rate(run), Remedy("warm up", {"schedule": "warmup_cosine"}))
    return (Remedy("take a tenth of the step size", {"learning_rate": rate / 10}),)


def oscillation(run: ClassifierRecord) -> Finding | None:
    """The loss falls and rises again instead of settling."""
    if len(run.epochs) < 4:
        return None
    losses = run.curve("train_loss")
    rises = np.maximum(np.diff(np.log(np.maximum(losses, SETTLED))), 0)
    later = rises[len(rises) // 2 :]
    rises = float(later[later > RIPPLE].sum())
    if rises < SWINGS or losses[-1] < SETTLED or run.accuracy("train") < HALF_WAY:
        return None
    if _growth(run) >= GROWN and _relative_rate(run) >= HIGH:
        return None  # the rate is too high by all signs
    evidence = (
        f"the training loss rose after {int((np.diff(losses) > 0).sum())} of {len(losses) - 1} "
        f"epochs, by a factor of {math.exp(rises):.1f} in the later half; lowest "
        f"{losses.min():.3g}, at the end {losses[-1]:.3g}",
        _rate(run),
    )
    rate = run.settings["learning_rate"]
    remedies = (
        Remedy("let the step size decay", {"schedule": "cosine"}),
        Remedy("take a fifth of the step size", {"learning_rate": rate / 5}),
    )
    return Finding("oscillation", 0.8, evidence, remedies)


def rate_too_low(run: ClassifierRecord) -> Finding | None:
    """The loss falls all the time, and hardly."""
    if learned(run) or not run.epochs:
        return None
    grown, rate = _growth(run), _relative_rate(run)
    if rate > LOW and _few_steps(run):
        return None
    losses = run.curve("train_loss")
    falls = bool((np.diff(losses) <= 1e-3).all()) and losses[-1] <= run.at_start("probe_loss")
    if rate > LOW and not (rate < 0.3 and grown < MOVED and falls):
        return None
    evidence = (
        f"no layer's weights have become more than {grown:.2f} times as large as they were",
        _rate(run),
        _outcome(run),
    )
    return Finding("rate too low", 0.9 if rate <= LOW else 0.7, evidence, (_usual_rate(run),))


def _few_steps(run: ClassifierRecord) -> bool:
    return run.epochs[-1]["step"] < FEW_STEPS or run.epochs[-1]["epoch"] < FEW_EPOCHS


def _hardly_begun(run: ClassifierRecord) -> bool:
    """Whether so few steps were made that the loss cannot have settled, however good it is."""
    return (
        run.epochs[-1]["step"] < FEW_STEPS
        and run.accuracy("train") < 0.97
        and run.last("train_loss") > 2 * SETTLED
        and _last_fall(run) > FALLING
    )


def _last_fall(run: ClassifierRecord) -> float:
    """The share by which the training loss fell in the last epoch."""
    losses = [run.at_start("probe_loss"), *run.curve("train_loss")]
    return 1 - losses[-1] / losses[-2]


def stopped_too_early(run: ClassifierRecord) -> Finding | None:
    """Training ended while the loss was falling fast."""
    if not run.epochs and run.divergence is None:
        remedy = Remedy("start the same command again: it continues from its last checkpoint")
        return Finding("training stopped too early", 0.9, (_outcome(run),), (remedy,))
    if not run.epochs or (learned(run) and not _hardly_begun(run)):
        return None
    last_fall = _last_fall(run)
    falling = len(run.epochs) > 1 and last_fall > FALLING
    if not (_few_steps(run) or falling):
        return None
    steps, epochs = run.epochs[-1]["step"], run.epochs[-1]["epoch"]
    evidence = (
        f"{steps} steps in {epochs} epoch{'s' * (epochs > 1)}; the training loss fell by "
        f"{last_fall:.0%} in the last",
        _outcome(run),
    )
    longer = max(10, 3 * epochs)
    remedy = Remedy(f"train for {longer} epochs", {"epochs": longer, "max_steps": None})
    return Finding("training stopped too early", 0.85, evidence, (remedy,))


def model_or_optimisation(run: ClassifierRecord) -> Finding | None:
    """Learning has ended without any other cause, and the training images are not known."""
    if learned(run) or not run.epochs:
        return None
    settings = run.settings
    width, layers = settings["width"], _layers_with_weights(run)
    fixed = f"training accuracy {run.accuracy('train'):.1%} after the loss has settled"
    if settings["model"] == "linear" or _is_narrow(run):
        sized = "the network is linear" if settings["model"] == "linear" else f"width {width}"
        remedies = (
            Remedy("take a wider network", {"model": "mlp", "width": 256}),
            Remedy("take a network made for images", {"model": "cnn", "width": 32, "depth": 3}),
        )
        return Finding("model too small", 0.85, (sized, fixed, _outcome(run)), remedies)
    what = f"{layers} layers of width {width} could know more"
    remedies = (
        Remedy("normalise each layer's outputs", {"normalization": "batch"}),
        Remedy("add residual connections", {"residual": True}),
        *_shallower(run, "compare with a smaller network: it should not be better"),
    )
    return Finding("optimisation", 0.6, (what, fixed, _outcome(run)), remedies)


def _is_narrow(run: ClassifierRecord) -> bool:
    return run.settings["width"] < NARROW.get(run.settings["model"], 0)


def _layers_with_weights(run: ClassifierRecord) -> int:
    return sum(map(_has_kernel, run.facts["start"]["layers"]))


TRAINING_CAUSES = (
    gradients,
    dead_units,
    oscillation,
    rate_too_high,
    rate_too_low,
    stopped_too_early,
)
