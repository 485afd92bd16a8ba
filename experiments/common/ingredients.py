"""Words of a command line turned into networks, optimisers, schedules and losses."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp
import optax
from jax.nn import initializers
from jax.nn.initializers import Initializer

from jaxdl import losses, nn, optim
from jaxdl.errors import ConfigError
from jaxdl.models import CNN, MLP
from jaxdl.training.objective import Objective

MODELS = ("linear", "mlp", "cnn")
# Width and depth that a model has unless told: neurons a hidden layer, or channels of the first
# block (each further one has twice as many); hidden layers, or blocks.
USUAL_SIZE = {"linear": (1, 0), "mlp": (512, 2), "cnn": (32, 3)}
USUAL_NORMALIZATION = {"linear": "none", "mlp": "none", "cnn": "batch"}
HIDDEN_PER_WIDTH = 4  # neurons of the CNN's dense layer, by its width


INITIALIZATIONS: dict[str, Initializer] = {
    "pytorch": nn.torch_conv_init,  # of dense kernels, too
    "he": initializers.he_normal(),
    "glorot": initializers.glorot_uniform(),
    "orthogonal": initializers.orthogonal(),
}


@dataclasses.dataclass(frozen=True)
class Scaled:
    """An initialiser whose values are multiplied; equal ones are the same to a compiler's cache."""

    name: str
    factor: float

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """Draws weights, as jax.nn.initializers do."""
        return self.factor * INITIALIZATIONS[self.name](key, shape, dtype)


class Network(NamedTuple):
    """A network in words; the fields are flags of ``experiments.classifier``."""

    model: str
    width: int
    depth: int
    dropout: float = 0.0
    activation: str = "relu"
    normalization: str | None = None  # a CNN's usual one is "batch"
    residual: bool = False
    initialization: str = "pytorch"
    weight_scale: float = 1.0
    initial_bias: float | None = None


def make_model(words: Network, num_classes: int, image_size: int | None = None) -> linen.Module:
    """The network that the words describe; ``image_size`` is a CNN's.

    Raises:
        ConfigError: the kind has no such width, depth, dropout or layers.
    """
    kind, width, depth = words.model, words.width, words.depth
    first: dict[str, Any] = {}
    if (words.initialization, words.weight_scale) != ("pytorch", 1.0):
        first["kernel_init"] = Scaled(words.initialization, words.weight_scale)
    if kind == "linear":
        _check_linear(words)
        return MLP(hidden=(), num_classes=num_classes, **first)
    if depth < 1:
        raise ConfigError(f"--depth {depth}: --model {kind} needs at least 1")
    bias = 0.0 if words.initial_bias is None else words.initial_bias
    if words.initial_bias is not None or words.initialization != "pytorch":
        first["bias_init"] = _constant(bias)
    layers = {
        "dropout_rate": words.dropout,
        "activation": words.activation,
        "normalize": (words.normalization or USUAL_NORMALIZATION[kind]) == "batch",
        **first,
    }
    if kind == "mlp":
        return MLP((width,) * depth, num_classes, residual=words.residual, **layers)
    if words.residual:
        raise ConfigError("--residual needs --model mlp")
    widths = tuple(width * 2**block for block in range(depth))
    hidden, side = HIDDEN_PER_WIDTH * width, image_size or 2**depth
    return CNN(widths, hidden, num_classes, side, pool=False, **layers)


_constant = functools.lru_cache(initializers.constant)


def _check_linear(words: Network) -> None:
    """Refuses what a network without hidden layers does not have."""
    usual = Network("linear", *USUAL_SIZE["linear"])
    unused = [
        f"--{name}"
        for name in ("width", "depth", "dropout", "activation", "normalization", "residual")
        if getattr(words, name) not in (getattr(usual, name), "none")
    ]
    if unused:
        raise ConfigError(
            f"--model linear has no hidden layer: leave out {', '.join(unused)}, or choose "
            "--model mlp"
        )


class Optimizer(NamedTuple):
    """An optimiser by name: ``make(rate, momentum, decay)``, and the rate it has unless told."""

    make: Callable[[Any, float, float], optax.GradientTransformation]
    rate: float


def _coupled(
    make: Callable[..., optax.GradientTransformation], **settings: Any
) -> Callable[..., optax.GradientTransformation]:
    """An optimiser of optax with PyTorch's coupled weight decay."""

    def with_decay(rate: Any, momentum: float, decay: float) -> optax.GradientTransformation:
        del momentum
        optimizer = make(rate, **settings)
        return optax.chain(optax.add_decayed_weights(decay), optimizer) if decay else optimizer

    return with_decay


def _sgd(rate: Any, momentum: float, decay: float, **more: Any) -> optax.GradientTransformation:
    return optim.sgd(rate, momentum=momentum, weight_decay=decay, **more)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(lambda rate, _, decay: _sgd(rate, 0.0, decay), 0.1),
    "momentum": Optimizer(_sgd, 0.03),
    "nesterov": Optimizer(functools.partial(_sgd, nesterov=True), 0.03),
    "adam": Optimizer(lambda rate, _, decay: optim.adam(rate, weight_decay=decay), 2e-3),
    "adamw": Optimizer(lambda rate, _, decay: optax.adamw(rate, weight_decay=decay), 2e-3),
    # PyTorch's settings, where optax has others.
    "rmsprop": Optimizer(_coupled(optax.rmsprop, decay=0.99, eps_in_sqrt=False), 1e-3),
    "adagrad": Optimizer(_coupled(optax.adagrad, initial_accumulator_value=0, eps=1e-10), 0.01),
    "adadelta": Optimizer(lambda rate, _, decay: optim.adadelta(rate, weight_decay=decay), 1.0),
}

WARM_UP = 0.1  # share of the steps in which the rate rises from a tenth
STEPS_DOWN = {0.5: 0.1, 0.75: 0.1}  # share of the steps: the rate's factor there
EXPONENTIAL_END = 0.01  # the last rate, relative to the first
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.3, 2  # epochs without a lower mean training loss
SCHEDULES = (
    *("constant", "step", "exponential", "cosine", "warmup", "warmup_cosine", "one_cycle"),
    "plateau",
)


def make_schedule(name: str, rate: float, steps: int) -> float | optax.Schedule:
    """The learning rate as a function of the steps done, in a run of a number of steps."""
    warm = max(int(WARM_UP * steps), 1)
    match name:
        case "constant" | "plateau":
            return rate
        case "step":
            places = {int(share * steps): factor for share, factor in STEPS_DOWN.items()}
            return optax.piecewise_constant_schedule(rate, places)
        case "exponential":
            return optax.exponential_decay(rate, steps, EXPONENTIAL_END)
        case "cosine":
            return optax.cosine_decay_schedule(rate, steps)
        case "warmup":
            return optax.warmup_constant_schedule(rate / 10, rate, warm)
        case "warmup_cosine":
            return optax.warmup_cosine_decay_schedule(rate / 10, rate, warm, max(steps, warm + 1))
        case "one_cycle":
            return optax.cosine_onecycle_schedule(max(steps, 4), rate)
    raise ConfigError(f"schedule {name!r}: choose {', '.join(SCHEDULES)}")


class Training(NamedTuple):
    """How the weights are changed; the fields are flags of ``experiments.classifier``."""

    optimizer: str
    learning_rate: float
    schedule: str
    momentum: float = 0.9
    l1: float = 0.0
    l2: float = 0.0


def make_optimizer(how: Training, steps: int, steps_per_epoch: int) -> optax.GradientTransformation:
    """An optimiser for a run of a number of steps."""
    rate = make_schedule(how.schedule, how.learning_rate, steps)
    optimizer = OPTIMIZERS[how.optimizer].make(rate, how.momentum, how.l2)
    if how.l1:
        optimizer = optax.chain(optim.add_l1(how.l1), optimizer)
    if how.schedule == "plateau":
        plateau = PLATEAU_FACTOR, PLATEAU_PATIENCE, steps_per_epoch
        optimizer = optim.reduce_on_plateau(optimizer, *plateau)
    return optimizer


def _one_hot(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return jax.nn.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)


def _against_one_hot(loss: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    return lambda outputs, labels: loss(outputs, _one_hot(outputs, labels))


OUTPUTS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "logits": lambda logits: logits,
    "log_softmax": jax.nn.log_softmax,
    "softmax": jax.nn.softmax,
    "sigmoid": jax.nn.sigmoid,
}
# Each loss of a classifier, and the form of the network's output that it is made for.
LOSSES: dict[str, tuple[Callable[..., jax.Array], str]] = {
    "cross_entropy": (losses.cross_entropy, "logits"),
    "focal": (losses.focal, "logits"),
    "negative_log_likelihood": (losses.negative_log_likelihood, "log_softmax"),
    "binary_cross_entropy_with_logits": (
        _against_one_hot(losses.binary_cross_entropy_with_logits),
        "logits",
    ),
    "binary_cross_entropy": (_against_one_hot(losses.binary_cross_entropy), "sigmoid"),
    "squared_error": (_against_one_hot(losses.squared_error), "softmax"),
    "absolute_error": (_against_one_hot(losses.absolute_error), "softmax"),
}


def make_objective(loss: str, output: str | None = None, smoothing: float = 0.0) -> Objective:
    """An objective whose loss is given the network's output in some form.

    Args:
        loss: a name of :data:`LOSSES`.
        output: a name of :data:`OUTPUTS`; None for the form the loss is made for.
        smoothing: label smoothing, for cross-entropy alone.

    Raises:
        ConfigError: another loss was to be smoothed.

    Example:
        >>> objective = make_objective("squared_error")
        >>> print(objective.loss(jax.numpy.array([[0.0, 0.0]]), jax.numpy.array([1])))
        [[0.25 0.25]]
    """
    function, usual = LOSSES[loss]
    if smoothing:
        if loss != "cross_entropy":
            raise ConfigError(f"--label_smoothing {smoothing} needs --loss cross_entropy")
        function = functools.partial(function, label_smoothing=smoothing)
    form = OUTPUTS[output or usual]

    def on_logits(logits: jax.Array, labels: jax.Array) -> jax.Array:
        return function(form(logits), labels)

    return Objective(on_logits)
