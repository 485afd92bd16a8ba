from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import losses
from jaxdl.errors import ConfigError, DataError, ShapeError

INF = np.inf
mean_cross_entropy = partial(losses.cross_entropy, reduction="mean")


def assert_matches(loss, reference, name, inputs, *others):
    """Compares vmapped values and gradients, one case a row, with the stored PyTorch arrays."""
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss)))(inputs, *others)
    np.testing.assert_allclose(value, reference[f"{name}/value"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, reference[f"{name}/gradient"], rtol=1e-5, atol=1e-5)


def multiclass(reference, *names):
    return [reference[f"multiclass/{name}"] for name in names]


def test_cross_entropy_matches_pytorch(reference):
    logits, labels = multiclass(reference, "logits", "labels")
    assert_matches(mean_cross_entropy, reference, "plain", logits, labels)
    assert_matches(mean_cross_entropy, reference, "batch_of_one", logits[:, :1], labels[:, :1])


def test_class_weights_match_pytorch(reference):
    def loss(x, y, w):
        return mean_cross_entropy(x, y, class_weights=w)

    arrays = multiclass(reference, "logits", "labels", "class_weights")
    assert_matches(loss, reference, "weighted", *arrays)


def test_ignored_labels_match_pytorch_and_all_ignored_is_nan(reference):
    loss = partial(mean_cross_entropy, ignore_index=-100)
    logits, labels = multiclass(reference, "logits", "ignored")
    assert_matches(loss, reference, "ignoring", logits, labels)
    assert (labels == -100).all(1).sum() == np.isnan(reference["ignoring/value"]).sum() == 9


def test_all_options_together_match_pytorch(reference):
    def loss(x, y, w):
        return mean_cross_entropy(x, y, class_weights=w, ignore_index=-100, label_smoothing=0.1)

    arrays = multiclass(reference, "finite", "ignored", "class_weights")
    assert_matches(loss, reference, "all_options", *arrays)


def test_probabilities_as_targets_match_pytorch(reference):
    def loss(x, t, w):
        return mean_cross_entropy(x, t, class_weights=w, label_smoothing=0.2)

    arrays = multiclass(reference, "finite", "soft", "class_weights")
    assert_matches(loss, reference, "soft", *arrays)


def test_focal_matches_pytorch(reference):
    def loss(x, y, alpha):
        return losses.focal(x, y, gamma=1.5, alpha=alpha, reduction="mean")

    arrays = multiclass(reference, "logits", "labels", "class_weights")
    assert_matches(loss, reference, "focal", *arrays)


def test_likelihood_of_images_matches_pytorch(reference):
    def loss(x, y, w):
        return losses.negative_log_likelihood(x, y, class_weights=w, reduction="mean")

    weights = reference["multiclass/class_weights"][:100, :3]
    arrays = reference["nll2d/values"], reference["nll2d/labels"], weights
    assert_matches(loss, reference, "nll2d", *arrays)


def test_course_values():
    values = [[0.1, 0.2, 0.3, 0.3, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.05, 0.1, 0.15, 0.2, 0.5]]
    labels, logits = np.array([1, 2, 4]), np.array([[0.25, 0.4]])
    nll, by_class, by_share = jax.jit(
        lambda: (
            losses.negative_log_likelihood(np.array(values), labels, reduction="mean"),
            mean_cross_entropy(logits, np.array([1])),
            mean_cross_entropy(logits, np.array([[0.0, 1.0]])),
        )
    )()
    assert nll == pytest.approx(-0.4333333671092987, abs=1e-7)
    assert by_class == pytest.approx(0.62095707654953, abs=1e-6)
    assert by_share == pytest.approx(0.62095707654953, abs=1e-6)


def test_none_keeps_samples_and_weights_them():
    loss = partial(losses.cross_entropy, np.zeros((3, 2)), np.array([0, 1, -1]), ignore_index=-1)
    weights = np.array([1.0, 3.0])
    value, total = jax.jit(lambda: (loss(class_weights=weights), loss(reduction="sum")))()
    np.testing.assert_allclose(value, np.log(2) * np.array([1, 3, 0]), rtol=1e-6)
    np.testing.assert_allclose(total, 2 * np.log(2), rtol=1e-6)


def test_excluded_class_of_no_target_weight_costs_nothing():
    logits, target = jnp.array([[-INF, 0.0, 0.0]]), jnp.array([[0.0, 0.5, 0.5]])
    value, gradient = jax.jit(jax.value_and_grad(mean_cross_entropy))(logits, target)
    assert value == pytest.approx(np.log(2))
    np.testing.assert_allclose(gradient, [[0, 0, 0]], atol=1e-7)
    assert jax.jit(lambda x: mean_cross_entropy(x, np.array([0])))(logits) == INF


def test_large_logits_do_not_overflow():
    logits = np.array([[1e4, 0.0], [-1e4, 0.0], [3e38, -3e38]])
    found = jax.jit(lambda x: losses.cross_entropy(x, np.array([0, 1, 0])))(logits)
    np.testing.assert_array_equal(found, [0, 0, 0])


def test_focal_without_focus_is_cross_entropy(rng):
    logits, labels = rng.normal(0, 3, (300, 4)), rng.integers(0, 4, 300)
    both = (partial(losses.focal, gamma=0), losses.cross_entropy)
    found = jax.jit(lambda: [loss(logits, labels) for loss in both])()
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_focal_course_formula():
    """-(1 - p)^γ log p at p = 0.2 and γ = 2: 0.64 · 1.6094."""
    logits = jnp.log(jnp.array([[0.2, 0.8]]))
    assert losses.focal(logits, jnp.array([0]))[0] == pytest.approx(1.0300403, rel=1e-5)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2.0])
def test_focal_at_certainty(gamma):
    logits = jnp.array([[200.0, 0.0], [-INF, 0.0], [500.0, 0.0], [-500.0, 0.0]])
    labels = jnp.zeros(4, int)
    focal = jax.vmap(jax.value_and_grad(lambda x, y: losses.focal(x, y, gamma=gamma)))
    value, gradient = jax.jit(focal)(logits, labels)
    np.testing.assert_allclose(value, [0, INF, 0, 500], atol=1e-6)
    expected = [[0, 0], [-1, 1], [0, 0], [-1, 1]]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("label", [-1, 3, 255])
def test_label_out_of_range_is_an_error_where_it_is_seen(label):
    logits, labels = jnp.zeros((2, 3)), jnp.array([0, label])
    for loss in (losses.cross_entropy, losses.focal, losses.negative_log_likelihood):
        with pytest.raises(DataError, match=rf"label {label} is outside 0..2"):
            loss(logits, labels)
        with pytest.raises(DataError):
            jax.jit(lambda x, f=loss: f(x, labels))(logits)


@pytest.mark.parametrize("label", [-1, 3, -(2**31), 2**31 - 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_out_of_range_is_nan_where_it_is_traced(label, smoothing):
    def loss(x, y):
        return losses.cross_entropy(x, y, label_smoothing=smoothing)

    logits, labels = jnp.zeros((2, 3)), jnp.array([0, label])
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss)))(logits, labels)
    assert np.isfinite(value[0])
    assert np.isnan(value[1])
    assert np.isfinite(gradient[0]).all()
    assert np.isnan(gradient[1]).all()


def test_narrow_labels_work_with_a_negative_ignore_index():
    labels = np.array([0, 255], np.uint8)
    loss = partial(losses.cross_entropy, ignore_index=-100, label_smoothing=0.1)
    value = jax.jit(lambda: loss(np.zeros((2, 300)), labels))()
    np.testing.assert_allclose(value, [np.log(300)] * 2, rtol=1e-6)


def test_empty_batch():
    loss = partial(losses.cross_entropy, np.zeros((0, 3)), np.zeros(0, int))
    reductions = ("none", "sum", "mean")
    values, total, mean = jax.jit(lambda: [loss(reduction=kind) for kind in reductions])()
    assert values.shape == (0,)
    assert total == 0
    assert np.isnan(mean)


def test_gradients_by_finite_differences(rng):
    x, y = jnp.asarray(rng.normal(size=(3, 4))), jnp.array([0, 3, 1])
    t = jnp.asarray(rng.dirichlet(np.ones(4), 3))
    check_grads(jax.jit(mean_cross_entropy), (x, t), order=1, atol=2e-2, rtol=2e-2)
    check_grads(jax.jit(lambda x: losses.focal(x, y)), (x,), order=1, atol=2e-2, rtol=2e-2)


def test_unusable_arguments():
    logits, labels = np.zeros((4, 3), np.float32), np.zeros(4, np.int32)
    for loss in (losses.cross_entropy, losses.focal, losses.negative_log_likelihood):
        with pytest.raises(ShapeError, match=r"\(4, 1\)"):
            loss(logits, labels[:, None])
        with pytest.raises(ConfigError, match="'batch'"):
            jax.eval_shape(partial(loss, reduction="batch"), logits, labels)
    with pytest.raises(ShapeError, match="class numbers must be integers"):
        losses.cross_entropy(logits, jnp.zeros(4))
    with pytest.raises(ShapeError, match="labels must be integers, got float32"):
        losses.focal(logits, jnp.zeros(4))
    with pytest.raises(ShapeError, match="class_weights"):
        losses.cross_entropy(logits, labels, class_weights=jnp.ones(4))
    with pytest.raises(ShapeError, match=r"\(N, C, ...\)"):
        losses.negative_log_likelihood(jnp.zeros(3), jnp.array(0))
    with pytest.raises(ConfigError, match=r"label_smoothing = 1\.5"):
        losses.cross_entropy(logits, labels, label_smoothing=1.5)
    with pytest.raises(ConfigError, match="ignore_index = 0"):
        losses.cross_entropy(logits, jnp.full((4, 3), 1 / 3), ignore_index=0)
    with pytest.raises(ConfigError, match="gamma = -1"):
        losses.focal(logits, labels, gamma=-1)
