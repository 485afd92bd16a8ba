"""The classifier's step against PyTorch's (stored by references/make_mlp.py), seeds, devices."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim
from jaxdl.data import Split, normalize_mnist
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.models import MLP
from jaxdl.run.classifier_task import ClassifierOptions, classifier_task
from jaxdl.run.classifiers import fit_classifier
from jaxdl.run.task import RunOptions
from jaxdl.training import classifier, several_seeds
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.rngs import root_key
from jaxdl.training.state import num_parameters

REFERENCES = Path(__file__).parents[1] / "references"
WIDTH, STEPS, BATCH, RATE = 24, 100, 64, 0.1


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCES / "mlp.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def digits():
    return load_embedded()


def parameters(stored, prefix):
    return {
        f"dense_{i + 1}": {
            "kernel": stored[f"{prefix}.{i}.weight"].T.astype(float),
            "bias": stored[f"{prefix}.{i}.bias"].astype(float),
        }
        for i in range(7)
    }


@pytest.mark.parametrize("name", ["baseline", "l2", "dropout"])
def test_a_hundred_steps_agree_with_pytorch(reference, digits, name):
    """In float64, since Adam turns float32's rounding into differences of 1e-3 in 30 steps."""
    with jax.enable_x64(True):
        losses, start, after, trained = train_as_pytorch_did(reference, digits, name)
    np.testing.assert_allclose(losses, reference[f"{name}.losses"], atol=1e-5)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), after, start)
    assert min(jax.tree.leaves(moved)) > 0.01
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-5), trained, after
    )


def train_as_pytorch_did(reference, digits, name):
    model = MLP(hidden=(WIDTH,) * 6, dropout_rate=RATE if name == "dropout" else 0.0)
    optimizer = optim.adam(0.01, weight_decay=0.002 if name == "l2" else 0.0)
    state = classifier.create_state(root_key(0), model, optimizer, jnp.zeros((1, 784)))
    start = parameters(reference, "before")
    assert jax.tree.map(jnp.shape, start) == jax.tree.map(jnp.shape, state.network.params)
    state = state.replace(network=state.network.replace(params=start))
    count = STEPS * 2 * BATCH * WIDTH
    masks = np.unpackbits(reference["masks"], count=count).astype(bool)
    masks = masks.reshape(STEPS, 2, BATCH, WIDTH)
    step, losses = jax.jit(classifier.train_step), []
    for i in range(STEPS):
        rows = np.arange(i * BATCH, (i + 1) * BATCH) % len(digits.train.labels)
        x = normalize_mnist(digits.train.images[rows]).astype(jnp.float64)
        labels = digits.train.labels[rows]
        kept = {"masks": tuple(masks[i])} if name == "dropout" else {}
        state, metrics = step(state, x, labels, **kept)
        losses.append(float(metrics["loss"].compute()))
    return losses, start, parameters(reference, name), state.network.params


def test_the_course_s_network():
    shapes = jax.eval_shape(
        lambda: MLP().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)), train=False)
    )
    assert num_parameters(shapes["params"]) == 3_010_010
    assert MLP(hidden=(1000,) * 6, dropout_rate=0.1).dropout_widths == (1000, 1000)


@pytest.fixture(scope="module")
def small(digits):
    """70 training and 30 test images: with batches of 16 the last one has 6."""
    train = Split(digits.train.images[:70], digits.train.labels[:70])
    return train, Split(digits.test.images[:30], digits.test.labels[:30])


MODEL = MLP(hidden=(20, 20), dropout_rate=0.2)
DESCENT = optax.sgd(0.1)  # Adam turns rounding into steps


def fit_small(small, seeds=(0, 1, 2), **options):
    train, test = small
    own = {field.name for field in dataclasses.fields(RunOptions)}
    kept = RunOptions(**{name: value for name, value in options.items() if name in own})
    how = {name: value for name, value in options.items() if name not in own | {"epochs"}}
    return fit_classifier(
        MODEL,
        DESCENT,
        train,
        {"test": test},
        epochs=options.get("epochs", 2),
        batch_size=16,
        how=ClassifierOptions(seeds=seeds, **how),
        options=kept,
    )


@pytest.fixture(scope="module")
def three(small):
    return fit_small(small)


def test_a_seed_s_result_is_the_same_alone_or_among_others(small, three):
    alone = fit_small(small, seeds=(1,))
    assert alone.final("test_loss")[0] == pytest.approx(three.final("test_loss")[1], rel=1e-5)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours[0], theirs[1], atol=1e-5),
        alone.state.network.params,
        three.state.network.params,
    )
    losses = three.final("test_loss")
    assert len(set(losses)) == 3


def test_seeds_in_turn_and_together_give_the_same_numbers(small):
    train, _ = small
    how = ClassifierOptions(seeds=(0, 1, 2))
    task, _ = classifier_task(MODEL, DESCENT, train, batch_size=16, how=how)
    inputs = task.inputs_for_epoch(1)
    results = []
    for in_turns in (True, False):
        wrap = functools.partial(several_seeds.seeds_loop, in_turns=in_turns)
        run = parallel.compile_steps(task.step, jax.devices()[:1], 3, wrap)
        results.append(run(parallel.copied(task.state), inputs, 2, 2))
    assert results[0][1]["loss"].total.shape == (3, 3)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *results)


@pytest.mark.parametrize("num_devices", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_several_devices_train_as_one(small, three, num_devices):
    spread = fit_small(small, devices=jax.devices()[:num_devices])
    ours, theirs = (np.array([r["loss"] for r in f.log.records]) for f in (spread, three))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-4),
        spread.state.network.params,
        three.state.network.params,
    )


def test_the_short_last_batch_is_kept_and_weighs_what_it_should(small, three):
    steps = [r for r in three.log.records if r["kind"] == "step" and r["epoch"] == 1]
    epoch = next(r for r in three.log.records if r["kind"] == "epoch")
    assert len(steps) == 5
    for seed in range(3):
        losses = [step["loss"][seed] for step in steps]
        assert epoch["loss"][seed] == pytest.approx((16 * sum(losses[:4]) + 6 * losses[4]) / 70)


def test_filling_changes_nothing(small):
    train, _ = small
    state = classifier.create_state(
        root_key(0), MLP(hidden=(20,)), DESCENT, jnp.zeros((1, 28, 28, 1))
    )
    x, labels = normalize_mnist(train.images[:9]), train.labels[:9]
    weights = jnp.array([1.0] * 6 + [0.0] * 3)
    step = jax.jit(classifier.train_step)
    filled, metrics = step(state, x, labels, weights=weights)
    exact, expected = step(state, x[:6], labels[:6])
    assert float(metrics["loss"].weight) == 6
    assert float(metrics["loss"].compute()) == pytest.approx(
        float(expected["loss"].compute()), rel=1e-6
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        filled.network.params,
        exact.network.params,
    )


@pytest.mark.parametrize("batch_size", [1, 7, 30, 1000])
def test_evaluation_counts_every_example_once(small, three, batch_size):
    _, test = small
    network = three.network(1)
    predict = jax.jit(lambda images: network.predict(normalize_mnist(images)))
    logits = np.asarray(predict(test.images), np.float64)
    log_p = logits - np.log(np.exp(logits - logits.max(1)[:, None]).sum(1))[:, None]
    log_p -= logits.max(1)[:, None]
    loss = -log_p[np.arange(30), test.labels].mean()
    accuracy = (logits.argmax(1) == test.labels).mean()
    options = {"batch_size": batch_size}
    measured = jax.jit(lambda: classifier.evaluate(network, test, normalize_mnist, **options))()
    assert float(measured["loss"]) == pytest.approx(loss, rel=1e-5)
    assert float(measured["accuracy"]) == pytest.approx(accuracy, rel=1e-6)
    assert three.final("test_loss")[1] == pytest.approx(loss, rel=1e-4)


STOPPING = {"epochs": 60, "early_stopping": EarlyStopping("test_loss", "min", patience=2)}


@pytest.fixture(scope="module")
def stopped(small):
    return fit_small(small, **STOPPING)


def test_early_stopping_stops_each_seed_and_keeps_its_best_weights(small, stopped):
    _, test = small
    measure = jax.jit(lambda network: classifier.evaluate(network, test, normalize_mnist))
    fitted = stopped
    epochs = [r for r in fitted.log.records if r["kind"] == "epoch"]
    assert len(epochs) < 60
    assert len(epochs) == max(fitted.stopped_epochs)
    for seed, (best, stop) in enumerate(
        zip(fitted.best_epochs, fitted.stopped_epochs, strict=True)
    ):
        losses = [epoch["test_loss"][seed] for epoch in epochs[:stop]]
        assert np.argmin(losses) == best - 1
        assert stop == best + 2
        network = fitted.network(seed, best=True)
        measured = measure(network)
        assert float(measured["loss"]) == pytest.approx(losses[best - 1], rel=1e-5)
        assert fitted.best("test_loss")[seed] == losses[best - 1]
        assert fitted.final("test_loss")[seed] == losses[stop - 1]


def test_a_run_in_parts_is_the_run_in_one(small, stopped, tmp_path):
    options, whole = STOPPING, stopped
    stop = max(whole.stopped_epochs)
    fit_small(small, folder=tmp_path / "parts", max_steps=8, **options)
    parts = fit_small(small, folder=tmp_path / "parts", **options)
    assert parts.fitted.resumed_from == 8
    assert stop > 2
    assert parts.stopped_epochs == whole.stopped_epochs
    jax.tree.map(np.testing.assert_array_equal, parts.state, whole.state)
    again = fit_small(small, folder=tmp_path / "parts", **options)
    assert again.fitted.resumed_from == stop * 5
    assert again.best("test_loss") == whole.best("test_loss")


def test_dropout_drops_its_share_and_only_in_training():
    draw = jax.jit(MODEL.dropout_masks)
    masks = draw(jax.random.key(0), jnp.arange(500))
    assert [mask.shape for mask in masks] == [(500, 20), (500, 20)]
    masks = [np.asarray(mask) for mask in masks]
    assert masks[0].mean() == pytest.approx(0.8, abs=0.02)
    assert not (masks[0] == masks[1]).all()
    half = draw(jax.random.key(0), jnp.arange(250, 500))
    np.testing.assert_array_equal(half[1], masks[1][250:])
    x = jnp.ones((2, 5))
    variables = jax.jit(lambda key: MODEL.init(key, x, train=False))(jax.random.key(0))
    with pytest.raises(ShapeError, match="training with dropout in 2 layers takes 2 masks; got 0"):
        MODEL.apply(variables, x, train=True)


def test_wrong_use_is_refused(small):
    with pytest.raises(ConfigError, match="give a sequence of at least one"):
        fit_small(small, seeds=())
