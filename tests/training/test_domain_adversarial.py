"""The domain-adversarial step against gradients written by hand, its batches and its loss."""

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import nn
from jaxdl.data import Split
from jaxdl.errors import ConfigError
from jaxdl.models import CNN, DomainAdversarial
from jaxdl.run.classifier_task import ClassifierOptions
from jaxdl.run.classifiers import fit_classifier
from jaxdl.training.classifier import create_state, train_step
from jaxdl.training.domain_adversarial import (
    HalfAndHalf,
    domain_adversarial_objective,
    joined_domains,
)
from jaxdl.training.rngs import root_key

CLASSES = 3


class Tiny(linen.Module):
    """One layer with tanh."""

    width: int = 4

    @linen.compact
    def features(self, x, *, train, axis_name=None, mask=None):
        del train, axis_name, mask
        return nn.tanh(nn.Dense(self.width, name="dense")(x))


def by_hand(params, x, labels, strength):
    """Every parameter's gradient of the paper's objective, by the chain rule in NumPy."""
    layers = {name: (np.asarray(p["kernel"]), np.asarray(p["bias"])) for name, p in params.items()}
    n, from_target = len(x), (labels == CLASSES).astype(float)[:, None]
    features = np.tanh(x @ layers["features"][0] + layers["features"][1])
    logits = features @ layers["label"][0] + layers["label"][1]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    of_logits = (shares - np.eye(CLASSES + 1)[labels][:, :CLASSES]) * (1 - from_target) / n
    hidden = features @ layers["domain_0"][0] + layers["domain_0"][1]
    active = np.maximum(hidden, 0)
    domain = active @ layers["domain_1"][0] + layers["domain_1"][1]
    of_domain = (1 / (1 + np.exp(-domain)) - from_target) / n
    of_hidden = of_domain @ layers["domain_1"][0].T * (hidden > 0)
    of_features = of_logits @ layers["label"][0].T
    of_features -= strength * of_hidden @ layers["domain_0"][0].T  # the reversal
    of_sum = of_features * (1 - features**2)
    return {
        "features": (x.T @ of_sum, of_sum.sum(0)),
        "label": (features.T @ of_logits, of_logits.sum(0)),
        "domain_0": (features.T @ of_hidden, of_hidden.sum(0)),
        "domain_1": (active.T @ of_domain, of_domain.sum(0)),
    }


def by_name(params):
    return {
        "features": params["network"]["dense"],
        "label": params["dense_label"],
        "domain_0": params["dense_domain_0"],
        "domain_1": params["dense_domain_1"],
    }


@pytest.mark.slow
@pytest.mark.parametrize(("step", "largest"), [(0, 1.0), (3, 1.0), (20, 1.0), (20, 0.3), (20, 0.0)])
def test_a_step_is_the_papers_gradient(rng, step, largest):
    model = DomainAdversarial(Tiny(), steps=20, largest=largest, num_classes=CLASSES, hidden=5)
    labels = np.array([0, 3, 2, 3, 1, 3])
    with jax.enable_x64(True):
        x = rng.normal(size=(6, 2))
        state = create_state(root_key(0), model, optax.sgd(1.0), x)
        params = jax.tree.map(lambda p: jnp.array(rng.normal(size=p.shape)), state.network.params)
        state = state.replace(network=state.network.replace(params=params))
        trained, metrics = train_step(
            state, x, labels, objective=domain_adversarial_objective(CLASSES), step=jnp.int32(step)
        )
        moved = jax.tree.map(lambda a, b: a - b, state.network.params, trained.network.params)
    strength = largest * (2 / (1 + np.exp(-10 * step / 20)) - 1)
    wanted = by_hand(by_name(state.network.params), x, labels, strength)
    for name, layer in by_name(moved).items():
        for found, gradient in zip((layer["kernel"], layer["bias"]), wanted[name], strict=True):
            np.testing.assert_allclose(found, gradient, atol=1e-12, err_msg=name)
    assert metrics["accuracy"].weight == 3  # of the source's images


def test_in_evaluation_it_is_an_ordinary_classifier(rng):
    model = DomainAdversarial(Tiny(), steps=2, num_classes=CLASSES)
    x, labels = rng.normal(size=(5, 2)).astype(np.float32), np.array([0, 1, 2, 0, 1])
    outputs, _ = model.init_with_output(jax.random.key(0), x, train=False)
    assert (np.asarray(outputs)[:, -1] == -np.inf).all()
    found = domain_adversarial_objective(CLASSES).measure(outputs, labels, jnp.ones(5))
    logs = np.asarray(jax.nn.log_softmax(outputs[:, :CLASSES]))
    assert found["loss"].compute() == pytest.approx(-logs[np.arange(5), labels].mean(), abs=1e-6)
    assert found["accuracy"].compute() == (logs.argmax(1) == labels).mean()


def test_every_batch_is_half_source_half_target():
    draw = HalfAndHalf(20, 6)  # the target is smaller: its images repeat
    key = jax.random.key(1)
    order = np.asarray(jax.jit(draw)(key, 1))
    source, target = order[0::2], order[1::2]
    assert len(order) == 20
    assert len(set(source.tolist())) == 10
    assert source.max() < 20 <= target.min()
    assert sorted(np.bincount(target - 20).tolist()) == [1, 1, 2, 2, 2, 2]
    np.testing.assert_array_equal(order, draw(key, 1))
    assert (order != np.asarray(draw(key, 2))).any()


def test_the_targets_labels_do_not_reach_the_training_part(rng):
    source = Split(rng.integers(0, 256, (4, 2, 2, 1), np.uint8), np.array([0, 1, 2, 1], np.int32))
    target = Split(rng.integers(0, 256, (3, 2, 2, 1), np.uint8), np.array([2, 2, 0], np.int32))
    joined = joined_domains(source, target, CLASSES)
    assert joined.labels.tolist() == [0, 1, 2, 1, 3, 3, 3]
    np.testing.assert_array_equal(joined.images[4:], target.images)


def test_training_without_a_step_is_refused():
    model = DomainAdversarial(Tiny(), steps=2)
    with pytest.raises(ConfigError, match="takes the step"):
        model.init(jax.random.key(0), jnp.zeros((1, 2)), train=True)


@pytest.mark.slow
def test_it_trains_through_fit_classifier_with_a_strength_that_follows_the_step(rng):
    source, target = (
        Split(rng.integers(0, 256, (24, 8, 8, 1), np.uint8), np.arange(24) % 2) for _ in range(2)
    )
    losses = {}
    for largest in (1.0, 0.0):
        network = CNN(widths=(4,), hidden=8, image_size=8, pool=False)
        fitted = fit_classifier(
            DomainAdversarial(network, steps=3, largest=largest, num_classes=2, hidden=6),
            optax.sgd(0.1),
            joined_domains(source, target, 2),
            {"test": target},
            batch_size=8,
            how=ClassifierOptions(
                seeds=(0, 1),
                objective=domain_adversarial_objective(2),
                sampler=HalfAndHalf(24, 24),
            ),
        )
        losses[largest] = np.array(fitted.log.series("loss")[1])
        assert set(fitted.predict(target.images).tolist()) <= {0, 1}
    # The first step has λ = 0: only the second reverses, and the third's loss shows it.
    np.testing.assert_array_equal(losses[1.0][:2], losses[0.0][:2])
    assert (losses[1.0][2] != losses[0.0][2]).all()
