"""What fit_classifier takes beside the usual: losses, metrics, weights, samplers, frozen parts."""

import dataclasses
import functools

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import data, losses, metrics, optim
from jaxdl.data import Split
from jaxdl.errors import ConfigError, DataError, ShapeError
from jaxdl.models import CNN, MLP
from jaxdl.nn import BatchNorm
from jaxdl.run.classifier_task import ClassifierOptions, classifier_task
from jaxdl.run.classifiers import fit_classifier
from jaxdl.run.fit import fit as run_fit
from jaxdl.run.progress import Silent
from jaxdl.run.replay import replay
from jaxdl.run.task import RunOptions
from jaxdl.training import classifier
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.objective import Objective
from jaxdl.training.rngs import Stream, root_key, stream
from jaxdl.training.several_seeds import one_seed

SIZE = 6
SGD, FAST = optax.sgd(0.1), optax.sgd(1.0)  # one object each: a network's start compiles once


@jax.jit
def scale(images):
    return jnp.asarray(images) / 255 - 0.5


@pytest.fixture(scope="module")
def train():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (22, SIZE, SIZE, 1), np.uint8)
    return Split(images, rng.integers(0, 3, 22).astype(np.int32))


def fit(train, evaluate_on=None, model=None, optimizer=SGD, epochs=1, options=None, **how):
    return fit_classifier(
        model or MLP(hidden=(5,), num_classes=3),
        optimizer,
        train,
        evaluate_on,
        epochs=epochs,
        batch_size=8,
        how=ClassifierOptions(transform=scale, **how),
        options=options or RunOptions(),
    )


@pytest.fixture(scope="module")
def plain(train):
    return fit(train)


def loss_of(network, train, loss, weights):
    """Σ w ℓ / Σ w over the whole part, by hand."""
    values = jax.jit(lambda x: loss(network.predict(x), train.labels))(scale(train.images))
    values = np.asarray(values, np.float64).reshape(len(values), -1).mean(1)
    return (weights * values).sum() / weights.sum()


def one_hot_cross_entropy(outputs, labels):
    """A loss of one's own, with a value for each output."""
    return losses.binary_cross_entropy_with_logits(outputs, jax.nn.one_hot(labels, 3))


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy,
        functools.partial(losses.cross_entropy, label_smoothing=0.1),
        functools.partial(losses.focal, gamma=1.5),
        one_hot_cross_entropy,
    ],
)
def test_training_descends_on_the_loss_that_was_given(train, loss):
    """One step of gradient descent on all examples, from the gradient by finite steps."""
    whole = Split(train.images[:8], train.labels[:8])
    how = {"objective": Objective(loss, {})}
    fitted = fit(whole, {"same": whole}, max_steps=1, **how)
    start = classifier_task(
        MLP(hidden=(5,), num_classes=3), SGD, whole, how=ClassifierOptions(transform=scale)
    )[0].state.network
    start = one_seed(start, 0)

    def mean_loss(params):
        return loss(
            start.model.apply({"params": params}, scale(whole.images), train=False), whole.labels
        ).mean()

    @jax.jit
    def step(params):
        return jax.tree.map(lambda w, g: w - 0.1 * g, params, jax.grad(mean_loss)(params))

    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-6),
        fitted.network().params,
        step(start.params),
    )
    expected = loss_of(fitted.network(), whole, loss, np.ones(8))
    assert fitted.final("same_loss")[0] == pytest.approx(expected, rel=1e-5)
    assert "same_accuracy" not in fitted.log.records[-1]


def test_metrics_are_measured_in_training_and_evaluation(train):
    top = functools.partial(metrics.TopKAccuracy.from_batch, k=2)
    fitted = fit(train, {"test": train}, objective=Objective(metrics={"top_2": top}))
    outputs = fitted.network().predict(scale(train.images))
    expected = jax.jit(top)(outputs, train.labels).compute()
    assert fitted.final("test_top_2")[0] == pytest.approx(float(expected))
    steps, values = fitted.log.series("top_2")
    assert steps == [1, 2, 3]
    epoch = fitted.log.series("top_2", "epoch")[1][0][0]
    sizes = np.array([8, 8, 6])
    assert epoch == pytest.approx(np.average(np.array(values)[:, 0], weights=sizes))


def test_a_loss_that_is_a_mean_already_and_what_is_no_metric_are_refused(train):
    mean = functools.partial(losses.cross_entropy, reduction="mean")
    with pytest.raises(ShapeError, match="one value per example"):
        fit(train, objective=Objective(mean))
    with pytest.raises(ConfigError, match="metric 'top' returns a"):
        fit(train, objective=Objective(metrics={"top": lambda o, y, w: (o.argmax(-1) == y).mean()}))
    with pytest.raises(ConfigError, match="cannot be named 'loss'"):
        fit(train, objective=Objective(metrics={"loss": metrics.Accuracy.from_batch}))


def test_class_weights_are_pytorch_s_weighted_mean(train, plain):
    by_class = np.array([1.0, 4.0, 0.5])
    weighted = fit(train, class_weights=by_class)
    by_sample = fit(train, sample_weights=by_class[train.labels])
    jax.tree.map(np.testing.assert_array_equal, weighted.state, by_sample.state)
    first = weighted.log.records[0]["loss"][0]
    assert first != plain.log.records[0]["loss"][0]
    order = np.asarray(task_of(train, class_weights=by_class).inputs_for_epoch(1).permutation)[
        0, :8
    ]
    batch = Split(train.images[order], train.labels[order])
    start = one_seed(task_of(train).state.network, 0)
    expected = loss_of(start, batch, losses.cross_entropy, by_class[batch.labels])
    assert first == pytest.approx(expected, rel=1e-5)


def task_of(train, **how):
    how = ClassifierOptions(transform=scale, **how)
    return classifier_task(MLP(hidden=(5,), num_classes=3), SGD, train, batch_size=8, how=how)[0]


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"class_weights": [1.0, 2.0]}, ShapeError, "need one for each of the 3 classes"),
        ({"class_weights": [1.0, -1.0, 1.0]}, ConfigError, "above 0"),
        ({"sample_weights": np.ones(5)}, ShapeError, r"need \(22,\)"),
        ({"sample_weights": np.full(22, np.nan)}, ConfigError, "finite"),
        ({"sample_weights": np.zeros(22)}, ConfigError, "above 0"),
        ({"early_stopping": EarlyStopping()}, ConfigError, "a part to evaluate on"),
    ],
)
def test_what_cannot_be_trained_with_is_refused(train, how, error, message):
    with pytest.raises(error, match=message):
        fit(train, **how)


def test_a_sampler_decides_which_examples_an_epoch_has(train):
    sampler = data.weighted_sampler(1 / np.bincount(train.labels)[train.labels], count=4000)
    drawn = train.labels[np.asarray(sampler(jax.random.key(0), 1))]
    np.testing.assert_allclose(np.bincount(drawn) / 4000, np.ones(3) / 3, atol=0.03)
    again = np.asarray(sampler(jax.random.key(0), 2))
    assert (train.labels[again] != drawn).any()
    fitted = fit(train, sampler=data.weighted_sampler(np.ones(22), count=11), epochs=2)
    assert fitted.log.series("loss")[0] == [1, 2, 3, 4]
    for weights in ([0.0, 0.0], [1.0, -1.0], [np.nan, 1.0]):
        with pytest.raises(ConfigError, match="weights"):
            data.weighted_sampler(weights)


def test_every_seed_shuffles_every_epoch_by_its_own_key(train):
    shuffle = jax.jit(data.epoch_permutation, static_argnums=2)
    keys = [stream(root_key(seed), Stream.SHUFFLE) for seed in (0, 5)]
    task = task_of(train, seeds=(0, 5))
    for epoch in (1, 2):
        expected = [shuffle(key, epoch, 22) for key in keys]
        np.testing.assert_array_equal(task.inputs_for_epoch(epoch).permutation, expected)


def test_training_starts_from_the_variables_that_are_given(train, plain):
    first = plain
    network = first.network()
    again = fit(train, {"test": train}, variables={"params": network.params}, max_steps=1)
    start = task_of(train, variables={"params": network.params}).state.network.params
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b), start, network.params)
    assert again.log.records[0]["loss"][0] < first.log.records[0]["loss"][0]
    with pytest.raises(ShapeError, match=r"do not fit MLP: .*dense_1/kernel"):
        fit(train, variables={"params": {"dense_1": {"kernel": np.zeros((2, 2))}}})


def test_each_seed_can_start_from_variables_of_its_own(train):
    others = task_of(train, seeds=(8, 9)).state
    own = [one_seed(others, i).network.variables() for i in (1, 0)]
    start = task_of(train, variables=own, seeds=(0, 1)).state.network.params
    for i, one in enumerate(own):
        jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a[i], b), start, one["params"])
    with pytest.raises(ConfigError, match="variables are of 2 networks and there are 1 seeds"):
        fit(train, variables=own, seeds=(0,))


def test_frozen_parameters_stay_as_they_are(train):
    only = optim.train_only(optim.sgd(0.1, momentum=0.9, weight_decay=0.1), ["dense_2"])
    before = one_seed(task_of(train).state.network.params, 0)
    after = fit(train, optimizer=only, epochs=2).network().params
    jax.tree.map(np.testing.assert_array_equal, before["dense_1"], after["dense_1"])
    assert np.abs(before["dense_2"]["kernel"] - after["dense_2"]["kernel"]).max() > 1e-4
    with pytest.raises(ConfigError, match=r"no parameter is called \['dense_9'\]"):
        fit(train, optimizer=optim.train_only(SGD, ["dense_1", "dense_9"]))


SMALL_CNN = CNN(widths=(3,), hidden=4, num_classes=3, image_size=SIZE)


@pytest.fixture(scope="module")
def by_hand(train):
    """22 examples at 8 are batches of 8, 8 and 6: steps by hand need no filling."""
    how = ClassifierOptions(transform=scale)
    task, _ = classifier_task(SMALL_CNN, SGD, train, batch_size=8, how=how)
    state = one_seed(task.state, 0)
    order = np.asarray(task.inputs_for_epoch(1).permutation)[0]
    step = jax.jit(classifier.train_step)
    for rows in np.split(order, [8, 16]):
        state, _ = step(state, scale(train.images[rows]), train.labels[rows])
    return state


@pytest.mark.parametrize("devices", [1, 2])
def test_the_filling_of_the_last_batch_does_not_move_batch_norm_s_statistics(
    train, by_hand, devices
):
    options = RunOptions(devices=jax.devices()[:devices])
    fitted = fit(train, model=SMALL_CNN, options=options)
    for ours, theirs in zip(
        jax.tree.leaves((fitted.network().params, fitted.network().batch_stats)),
        jax.tree.leaves((by_hand.network.params, by_hand.network.batch_stats)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_a_stopped_seed_is_the_same_alone_and_among_others(train):
    def stopped(seeds):
        return fit(
            train,
            {"test": Split(train.images[:9], train.labels[:9])},
            epochs=40,
            seeds=seeds,
            optimizer=FAST,
            early_stopping=EarlyStopping("test_loss", "min", patience=1),
        )

    together = stopped((0, 1, 2))
    assert len(set(together.stopped_epochs)) > 1, "the seeds stop at different epochs"
    first = int(np.argmin(together.stopped_epochs))
    alone = stopped((first,))
    assert alone.stopped_epochs[0] == together.stopped_epochs[first]
    for best in (False, True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
            alone.network(0, best).params,
            together.network(first, best).params,
        )
    network = together.network(first)
    part = Split(train.images[:9], train.labels[:9])
    measured = jax.jit(lambda: classifier.evaluate(network, part, scale))()
    assert float(measured["loss"]) == pytest.approx(together.final("test_loss")[first], rel=1e-6)
    steps = together.stopped_epochs[first] * 3
    values = [value[first] for value in together.log.series("loss")[1]]
    assert None not in values[:steps]
    assert set(values[steps:]) == {None}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_metric_may_be_an_array(train, seeds):
    matrix = functools.partial(metrics.ConfusionMatrix.from_batch, num_classes=3)
    fitted = fit(train, seeds=seeds, objective=Objective(metrics={"matrix": matrix}))
    counts = np.array(fitted.log.series("matrix", "epoch")[1][0])
    assert counts.shape == (len(seeds), 3, 3)
    assert (counts.sum((1, 2)) == 22).all()


def test_a_task_can_be_trained_twice(train):
    """What an evaluator learned in one run does not decide the next."""
    how = ClassifierOptions(
        transform=scale, early_stopping=EarlyStopping("test_loss", "min", patience=1)
    )
    model, part = MLP(hidden=(5,), num_classes=3), Split(train.images[:9], train.labels[:9])
    task, schedule = classifier_task(
        model, FAST, train, {"test": part}, batch_size=8, epochs=40, how=how
    )
    first, second = run_fit(task, schedule), run_fit(task, schedule)
    assert first.progress.stopped
    assert (first.progress.step, first.progress.stopped) == (
        second.progress.step,
        second.progress.stopped,
    )


def poisoned_after_its_stop(train, folder):
    """Three seeds; the first to stop would have had a loss that is not finite later on."""
    how = ClassifierOptions(
        transform=scale,
        seeds=(0, 1, 2),
        early_stopping=EarlyStopping("test_loss", "min", patience=1),
    )
    part = Split(train.images[:9], train.labels[:9])
    options = RunOptions(folder=folder, save_every_seconds=1e6)
    task, schedule = classifier_task(
        MLP(hidden=(5,), num_classes=3), FAST, train, {"test": part},
        batch_size=8, epochs=40, how=how, options=options,
    )  # fmt: skip
    return task, schedule, options


def test_a_replay_stops_seeds_where_the_run_did(train, tmp_path):
    task, schedule, options = poisoned_after_its_stop(train, tmp_path)
    run_fit(task, schedule, options)
    stops = task.evaluator.stopped_epochs
    first = int(np.argmin(stops))
    later = stops[first] * 3 + 2
    step = task.step

    def poison(state, inputs, position, shard):
        state, found = step(state, inputs, position, shard)
        own = (jax.random.key_data(inputs.keys) == jax.random.key_data(root_key(first))).all()
        bad = own & (state.step > stops[first] * 3)
        loss = found["loss"]
        return state, found | {"loss": loss.replace(total=jnp.where(bad, jnp.nan, loss.total))}

    said = []
    reporter = Silent()
    reporter.message = said.append
    options = dataclasses.replace(options, folder=None, reporter=reporter)
    assert replay(dataclasses.replace(task, step=poison), schedule, options, later) is None
    assert "every metric and every leaf is finite" in said[-1]


def test_a_batch_of_one_value_leaves_the_running_statistics_alone():
    layer = BatchNorm()
    x = jnp.array([[1.0], [5.0], [7.0]])
    variables = layer.init(jax.random.key(0), x, train=True)
    one, two = jnp.array([1.0, 0.0, 0.0]), jnp.array([1.0, 1.0, 0.0])
    _, kept = layer.apply(variables, x, train=True, mask=one, mutable=["batch_stats"])
    _, moved = layer.apply(variables, x, train=True, mask=two, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, kept["batch_stats"], variables["batch_stats"])
    np.testing.assert_allclose(moved["batch_stats"]["mean"], [0.3], rtol=1e-6)
    np.testing.assert_allclose(moved["batch_stats"]["var"], [0.9 + 0.1 * 8], rtol=1e-6)


def test_virtual_shards_need_full_batches_with_batch_norm(train):
    with pytest.raises(ConfigError, match="or no virtual shards"):
        fit(train, model=SMALL_CNN, options=RunOptions(virtual_shards=2))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"seeds": ()}, "at least one"),
        ({"seeds": 3}, "seeds are 3"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"epochs": -1}, "epochs is -1"),
        ({"sampler": data.weighted_sampler(np.eye(30)[-1])}, "draws example 29 of 22"),
        ({"sampler": lambda key, epoch: jnp.float32(1.0)}, "need integers"),
        ({"evaluate_on": ([], [])}, "name the parts"),
        ({"variables": [1]}, "give a mapping with 'params'"),
        ({"objective": Objective(metrics={"step": metrics.Accuracy.from_batch})}, "log uses"),
    ],
)
def test_mistakes_are_named(train, how, message):
    evaluate_on = how.pop("evaluate_on", None)
    with pytest.raises(ConfigError, match=message):
        fit(train, evaluate_on, **how)


def test_early_stopping_by_what_is_not_measured_is_refused_at_once(train):
    stopping = EarlyStopping("val_loss")
    with pytest.raises(ConfigError, match="'val_loss': choose test_loss, test_accuracy"):
        fit(train, {"test": train}, early_stopping=stopping)


def test_parts_of_another_size_and_models_of_another_kind_are_refused(train):
    larger = Split(np.zeros((4, 7, 7, 1), np.uint8), np.zeros(4, np.int32))
    with pytest.raises(DataError, match=r"the test part are \(7, 7, 1\)"):
        fit(train, {"test": larger})
    with pytest.raises(ConfigError, match="must accept the keyword arguments train and axis_name"):
        fit(train, model=linen.Dense(3))


def test_predictions_take_what_was_trained_on_and_weights_that_are_there(train, plain):
    fitted = plain
    assert fitted.predict(train.images).shape == (22,)
    assert (fitted.predict((train.images, train.labels)) == fitted.predict(train.images)).all()
    with pytest.raises(DataError, match="trained on uint8"):
        fitted.predict(train.images / 255)
    with pytest.raises(ConfigError, match="seed_index is 5"):
        fitted.predict(train.images, 5)
    with pytest.raises(ConfigError, match="no best weights"):
        fitted.predict(train.images, best=True)


def test_two_classes_need_one_output(train):
    def loss(outputs, labels):
        return losses.binary_cross_entropy_with_logits(outputs[:, 0], labels)

    two = Split(train.images, train.labels % 2)
    model = MLP(hidden=(5,), num_classes=1)
    fitted = fit(two, {"same": two}, model, epochs=20, objective=Objective(loss, {}))
    values = [value[0] for value in fitted.log.series("same_loss", "epoch")[1]]
    assert values[-1] < values[0]
