"""Flags of adversarial training beyond the course's: losses, penalties, what D is shown, rates."""

import dataclasses
from typing import NamedTuple

import optax

from experiments.common.config import TrainingConfig, option
from experiments.common.ingredients import SCHEDULES, make_schedule
from jaxdl import losses, optim
from jaxdl.data import Dataset
from jaxdl.errors import ConfigError
from jaxdl.losses import AdversarialLoss
from jaxdl.losses.gradient_penalties import gradient_penalty, r1, r2, sum_of
from jaxdl.models.dcgan import NORMALIZATIONS
from jaxdl.training import gan

LOSSES = {
    "bce": losses.NON_SATURATING,
    "hinge": losses.HINGE,
    "wasserstein": losses.WASSERSTEIN,
    "relativistic": losses.RELATIVISTIC,
}
PENALTIES = {"r1": r1, "r2": r2, "gradient_penalty": gradient_penalty}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversarialConfig(TrainingConfig):
    """How G and D are trained; the defaults are the course's."""

    learning_rate: float = option(2e-4, "Adam's step size, for both networks", above=0)
    generator_learning_rate: float | None = option(
        None, "Adam's step size for G; unset: --learning_rate", above=0
    )
    discriminator_learning_rate: float | None = option(
        None, "Adam's step size for D; unset: --learning_rate", above=0
    )
    schedule: str = option(
        "cosine",
        "how the step sizes change over --decay_steps",
        choices=tuple(name for name in SCHEDULES if name != "plateau"),
    )
    decay_steps: int | None = option(
        None, "steps that --schedule takes, by a cosine to 0 unless told; unset: constant", low=1
    )
    beta1: float = option(0.5, "Adam's decay of the gradient's mean", low=0, high=0.999)
    beta2: float = option(0.999, "Adam's decay of the gradient's square", low=0, high=0.99999)
    loss: str = option("bce", "what D and G minimise", choices=tuple(LOSSES))
    r1: float = option(0.0, "weight γ of the zero-centred penalty on real images", low=0)
    r2: float = option(0.0, "weight γ of the zero-centred penalty on generated images", low=0)
    gradient_penalty: float = option(
        0.0, "weight λ of WGAN-GP's penalty, 10 in the paper; 0: none", low=0
    )
    norm: str = option("batch", "normalisation of D", choices=NORMALIZATIONS)
    generator_norm: str = option("batch", "normalisation of G", choices=("batch", "none"))
    pack: int = option(1, "images that D sees stacked as channels (PacGAN)", low=1, high=64)
    discriminator_steps: int = option(
        1, "updates of D per update of G, each on new images", low=1, high=100
    )
    diff_augment: bool = option(
        False, "D sees all images through random colour, shift and cutout (DiffAugment)"
    )

    conditional: bool = option(
        False, "ask G for a class and tell D which it is, where the data has labels"
    )

    @property
    def batch_multiple(self) -> int:
        """Each device's share of the batch makes whole packs."""
        return self.pack


def make_recipe(config: AdversarialConfig, ema_half_life: float = 2000.0) -> gan.GANRecipe:
    """The training recipe that the flags describe."""
    return gan.GANRecipe(
        config.batch_size,
        make_loss(config),
        config.discriminator_steps,
        ema_half_life,
        pack=config.pack,
        diff_augment=config.diff_augment,
    )


def make_loss(config: AdversarialConfig) -> AdversarialLoss:
    """The loss with its penalties."""
    weights = {name: getattr(config, name) for name in PENALTIES}
    penalties = [PENALTIES[name](weight) for name, weight in weights.items() if weight]
    return LOSSES[config.loss]._replace(penalty=sum_of(*penalties))


class Optimizers(NamedTuple):
    """Adam for each network."""

    generator: optax.GradientTransformation
    discriminator: optax.GradientTransformation


def make_optimizers(config: AdversarialConfig) -> Optimizers:
    """Adam with each network's step size, constant or by a schedule."""

    def adam(own_rate: float | None) -> optax.GradientTransformation:
        rate = config.learning_rate if own_rate is None else own_rate
        if config.decay_steps:
            rate = make_schedule(config.schedule, rate, config.decay_steps)
        return optim.adam(rate, b1=config.beta1, b2=config.beta2)

    return Optimizers(
        adam(config.generator_learning_rate), adam(config.discriminator_learning_rate)
    )


def check_adversarial(config: AdversarialConfig, dataset: Dataset) -> None:
    """Raises a ConfigError if the flags make no sense together, or for this data."""
    _check_slope(config)
    _check_classes(config, dataset)
    if config.decay_steps is None and config.schedule != "cosine":
        raise ConfigError(
            f"--schedule {config.schedule} needs --decay_steps, the number of steps it takes"
        )
    num_images = len(dataset.images)
    needed, name = config.batch_size, f"--batch_size {config.batch_size}"
    if config.discriminator_steps > 1:
        needed *= config.discriminator_steps
        name += f" with --discriminator_steps {config.discriminator_steps}"
    if needed > num_images:
        raise ConfigError(f"{name} is more than the {num_images} images")


def _check_slope(config: AdversarialConfig) -> None:
    penalties = [name for name in PENALTIES if getattr(config, name)]
    if penalties and config.norm == "batch":
        name = penalties[0]
        raise ConfigError(
            f"--{name} {getattr(config, name):g} with --norm batch: the penalty is about D's slope "
            "at single images, and BatchNorm makes each output depend on the whole batch; add "
            "--norm none or --norm spectral"
        )
    if config.loss == "wasserstein" and not penalties and config.norm != "spectral":
        raise ConfigError(
            "--loss wasserstein: nothing bounds D's slope, so its loss would fall without end; add "
            "--gradient_penalty 10 --norm none, or --norm spectral"
        )


def _check_classes(config: AdversarialConfig, dataset: Dataset) -> None:
    if config.conditional and dataset.num_classes < 2:
        raise ConfigError(
            f"--conditional: the images of {dataset.name} have no classes; leave it out"
        )
    if config.conditional and config.pack > 1:
        raise ConfigError(
            f"--conditional with --pack {config.pack}: D is told one class, and the images of a "
            "pack have several; leave one of the two out"
        )
