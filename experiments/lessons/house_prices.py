"""House prices: linear regression by gradient descent, and what a small network adds.

What:     predicts median house prices of Boston's towns from 13 features by gradient descent on
          the whole training part and in mini-batches of 10, with a small network, and by least
          squares in closed form, all on the same random splits.
Source:   course document 003 (its first program); jaxdl.data.sources.boston describes the data.
Command:  python -m experiments.lessons.house_prices     about ten seconds
Expected: after 200 passes over the data, mini-batches reach the closed form's error; whole-batch
          descent, with 40 times fewer steps, does not quite. The network more than halves the
          error. Its weights are saved at the end, as in every program of the course's pattern:
          data, model, training set-up, training, saving.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import data, losses, metrics, plot
from jaxdl.data.sources.boston import Boston, load_boston
from jaxdl.errors import TrainingError
from jaxdl.models import MLP, LinearRegression
from jaxdl.models.linear import least_squares
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"

CLOSED_FORM, NETWORK = "least squares", "network"
WEIGHTS = "network.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HousePricesConfig(Config):
    """Splits, network and training; the flags' help gives units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"splits": 3, "epochs": 20, "hidden": 8}
    }

    splits: int = option(10, "number of random splits, one per seed", low=2, high=100)
    train_share: float = option(0.8, "share of the towns to train on", low=0.1, high=0.9)
    epochs: int = option(200, "passes over the training part", low=1, high=10_000)
    batch_size: int = option(10, "towns in a mini-batch", low=1, high=50)
    hidden: int = option(32, "neurons of the network's two hidden layers", low=1, high=1000)
    learning_rate: float = option(0.1, "step size", above=0)


class Part(NamedTuple):
    """Towns: min-max normalised features (…, N, 13) and prices (…, N)."""

    features: jax.Array
    prices: jax.Array


class Prepared(NamedTuple):
    """All splits at once (first axis); a price in $1000 is ``lowest + scale * normalised``.

    ``feature_range`` (…, 2, 13) holds the features' smallest and largest values in training.
    """

    train: Part
    test: Part
    lowest: jax.Array
    scale: jax.Array
    feature_range: jax.Array


class Outcome(NamedTuple):
    """Mean squared errors in ($1000)², predictions and parameters, for every split (first axis)."""

    train_curve: np.ndarray
    test_curve: np.ndarray
    predictions: np.ndarray
    params: Any


def prepare(boston: Boston, config: HousePricesConfig) -> Prepared:
    """Splits and normalises; the scaling never sees the test part."""

    def one(seed: int) -> Prepared:
        key = stream(root_key(seed), Stream.SPLIT)
        chosen, held = data.train_test_split(len(boston.prices), config.train_share, key=key)
        table = np.column_stack(boston)
        low, high = table[chosen].min(0), table[chosen].max(0)
        # A feature that is constant in a small training part stays 0.
        table = (table - low) / np.where(high > low, high - low, 1)
        train, test = (Part(table[rows, :-1], table[rows, -1]) for rows in (chosen, held))
        return Prepared(train, test, low[-1], high[-1] - low[-1], np.stack([low, high])[:, :-1])

    seeds = range(config.seed, config.seed + config.splits)
    return jax.tree.map(lambda *parts: jnp.stack(parts), *map(one, seeds))


class Method(NamedTuple):
    """A model, and how many towns each step sees."""

    model: linen.Module
    batch_size: int


def predict(model: linen.Module, params: Any, features: jax.Array) -> jax.Array:
    """Prices (N,), whether the model returns (N,) or (N, 1)."""
    return model.apply({"params": params}, features, train=False).reshape(len(features))


def fit(
    method: Method, config: HousePricesConfig, split: Prepared, seed: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """Trains on one split: errors on both parts after each epoch, test predictions, parameters."""
    model, size = method
    train, test, _, scale, _ = split
    key = root_key(seed)
    params = model.init(stream(key, Stream.WEIGHTS), train.features[:1], train=False)["params"]
    count = len(train.prices)

    def loss(params: Any, part: Part) -> jax.Array:
        return losses.mean_squared_error(predict(model, params, part.features), part.prices)

    def step(params: Any, rows: jax.Array) -> tuple[Any, None]:
        gradients = jax.grad(loss)(params, Part(train.features[rows], train.prices[rows]))
        return jax.tree.map(lambda p, g: p - config.learning_rate * g, params, gradients), None

    def epoch(params: Any, number: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        order_key = jax.random.fold_in(stream(key, Stream.SHUFFLE), number)
        order = jax.random.permutation(order_key, count)[: count // size * size]
        params, _ = jax.lax.scan(step, params, order.reshape(-1, size))
        return params, (loss(params, train) * scale**2, loss(params, test) * scale**2)

    params, curves = jax.lax.scan(epoch, params, jnp.arange(config.epochs))
    return *curves, predict(model, params, test.features), params


def fit_all_splits(method: Method, config: HousePricesConfig, splits: Prepared) -> Outcome:
    """Trains on every split at once: splits are an axis of the arrays."""
    seeds = jnp.arange(config.seed, config.seed + config.splits)
    trained = jax.jit(jax.vmap(functools.partial(fit, method, config)))(splits, seeds)
    if not np.isfinite(trained[2]).all():
        raise TrainingError(
            f"{type(method.model).__name__} in batches of {method.batch_size} diverged with "
            f"--learning_rate {config.learning_rate}; choose a smaller one"
        )
    return Outcome(*jax.tree.map(np.asarray, trained))


def closed_form(splits: Prepared) -> Outcome:
    """The linear regression with the smallest error on each training part, as one-point curves."""

    def one(split: Prepared) -> tuple[Any, ...]:
        train, test, _, scale, _ = split
        params = least_squares(*train)["params"]
        outputs = [predict(LinearRegression(), params, part.features) for part in (train, test)]
        errors = [
            losses.mean_squared_error(output, part.prices)[None] * scale**2
            for output, part in zip(outputs, (train, test), strict=True)
        ]
        return *errors, outputs[1], params

    return Outcome(*jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(splits)))


def report(outcomes: dict[str, Outcome]) -> dict[str, dict[str, Any]]:
    """Prints the table; returns each method's errors and their difference from the closed form."""
    found, rows = {}, []
    reference = outcomes[CLOSED_FORM].test_curve[:, -1]
    for name, outcome in outcomes.items():
        test = metrics.summarize(outcome.test_curve[:, -1])
        train = metrics.summarize(outcome.train_curve[:, -1])
        verdict = ""
        if name != CLOSED_FORM:
            difference = metrics.paired_difference(outcome.test_curve[:, -1], reference)
            verdict = metrics.verdict(difference, unit="", scale=1, higher_is_better=False)
            verdict = verdict.replace("seeds", "splits")
        rows.append((name, f"{train.mean:.1f}", f"{test.mean:.1f} ± {test.sd:.1f}", verdict))
        found[name] = {
            "train_mse": outcome.train_curve[:, -1].tolist(),
            "test_mse": outcome.test_curve[:, -1].tolist(),
            "test_mse_mean": test.mean,
            "test_mse_sd": test.sd,
            "against_least_squares": verdict,
        }
    print("\nMean squared errors in ($1000)²: mean ± standard deviation over the splits\n")
    print(text_table(("method", "training", "test", "test, against least squares"), rows))
    print(
        "\nAll splits share the same 506 towns, so the intervals of the differences are too narrow."
    )
    return found


def draw(splits: Prepared, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """Learning curves over all splits, and the predictions on the first one."""
    descents = {name: o.test_curve for name, o in outcomes.items() if name != CLOSED_FORM}
    learning = plot.line_band(
        np.arange(1, 1 + next(iter(descents.values())).shape[1]),
        descents,
        xlabel="Epoch",
        ylabel="Test error, ($1000)²",
        title="Mean and range over the splits",
        references={CLOSED_FORM: float(outcomes[CLOSED_FORM].test_curve.mean())},
        log_y=True,
    )
    predictions, panels = plot.figure_with_panels(1, 2, share_x=False, panel_height=3.7)
    lowest, scale = float(splits.lowest[0]), float(splits.scale[0])
    for ax, name in zip(panels, (CLOSED_FORM, NETWORK), strict=True):
        plot.scatter_with_diagonal(
            lowest + scale * np.asarray(splits.test.prices[0]),
            lowest + scale * outcomes[name].predictions[0],
            xlabel="True price, $1000",
            ylabel="Predicted price, $1000",
            title=name.capitalize(),
            ax=ax,
        )
    low, high = np.array([ax.get_xlim() for ax in panels]).T
    for ax in panels:  # the same axes, so that the panels can be compared
        ax.set(xlim=(low.min(), high.max()), ylim=(low.min(), high.max()))
    return {"learning": learning, "predictions": predictions}


def save(folder: Path, model: linen.Module, splits: Prepared, outcome: Outcome) -> float:
    """Writes the first split's network with its scaling; its test error in ($1000)², read back."""
    first, params = jax.tree.map(lambda a: a[0], (splits, outcome.params))
    scaling = {
        "features_low_and_high": first.feature_range.tolist(),
        "price_lowest": float(first.lowest),
        "price_scale": float(first.scale),
    }
    read = lesson.save_weights(folder / WEIGHTS, model, params, {"scaling": json.dumps(scaling)})
    predicted = predict(model, read, first.test.features)
    error = losses.mean_squared_error(predicted, first.test.prices)
    return float(error * first.scale**2)


def sentence(found: dict[str, dict[str, Any]], saved: float) -> str:
    """What the lesson has shown."""
    told = [
        f"{name} {entry['test_mse_mean']:.1f} ({entry['against_least_squares']})"
        for name, entry in found.items()
        if name != CLOSED_FORM
    ]
    return (
        f"Test error in ($1000)², mean over the splits, against {CLOSED_FORM} with "
        f"{found[CLOSED_FORM]['test_mse_mean']:.1f}: {'; '.join(told)}. The saved network of the "
        f"first split has, read back, {saved:.1f}, as it had in training "
        f"({found[NETWORK]['test_mse'][0]:.1f})."
    )


def run(config: HousePricesConfig) -> lesson.Result:
    """Trains every method on every split, prints, and writes the folder."""
    folder = lesson.begin("house_prices", config, __doc__)
    splits = prepare(load_boston(), config)
    count = splits.train.prices.shape[1]
    print(f"Boston housing: {count} towns to train on, {splits.test.prices.shape[1]} to test")
    methods = {
        "linear, whole batch": Method(LinearRegression(), count),
        f"linear, batches of {config.batch_size}": Method(LinearRegression(), config.batch_size),
        NETWORK: Method(MLP(hidden=(config.hidden,) * 2, num_classes=1), config.batch_size),
    }
    outcomes = {CLOSED_FORM: closed_form(splits)}
    outcomes |= {name: fit_all_splits(m, config, splits) for name, m in methods.items()}
    found = report(outcomes)
    saved = save(folder, methods[NETWORK].model, splits, outcomes[NETWORK])
    summary = {"methods": found, "saved_test_mse": saved, "shown": sentence(found, saved)}
    return lesson.finish(folder, summary, draw(splits, outcomes))


if __name__ == "__main__":
    command_line.main("lessons.house_prices", HousePricesConfig, run, __doc__)
