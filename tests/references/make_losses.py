"""Makes losses.npz: PyTorch's losses and gradients, in float64 on float32 inputs.

Run by hand where PyTorch is installed: ``python tests/references/make_losses.py``. Each array
``<case>/<what>`` holds many independent cases along its first axis; gradients are those of the
case's own reduced loss, or of the sum where the loss is elementwise.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

CASES = 250  # of each kind
BATCH, CLASSES = 4, 5


def with_gradient(
    loss: Callable[[torch.Tensor], torch.Tensor], inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the loss (stacked over cases) and the gradient of its sum."""
    x = torch.tensor(inputs, dtype=torch.float64, requires_grad=True)
    value = loss(x)
    value.sum().backward()
    return value.detach().numpy().astype("f4"), x.grad.numpy().astype("f4")


def per_case(
    loss: Callable[..., torch.Tensor], logits: np.ndarray, *others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same, one call of the loss a case: for means over each case's own weights."""
    values, gradients = [], []
    for x, *rest in zip(logits, *others, strict=True):
        tensors = [
            torch.tensor(r, dtype=torch.float64 if r.dtype.kind == "f" else None) for r in rest
        ]
        value, gradient = with_gradient(lambda x, tensors=tensors: loss(x, *tensors), x)
        values.append(value)
        gradients.append(gradient)
    return np.stack(values), np.stack(gradients)


def elementwise(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Binary and regression losses: vectors of CASES values and the extremes."""
    logits = np.concatenate([rng.normal(0, 5, CASES), [0, 20, -20, 90, -90, 1e4, -1e4]])
    logits = logits.astype("f4")
    targets = np.concatenate([rng.choice([0, 1, 0.3, 0.9], CASES), [0, 0, 1, 1, 0, 0, 1]])
    targets = targets.astype("f4")
    t = torch.tensor(targets, dtype=torch.float64)
    out = {"elementwise/logits": logits, "elementwise/targets": targets}
    weights = rng.uniform(0, 3, logits.size).astype("f4")
    out["elementwise/weights"] = weights
    w = torch.tensor(weights, dtype=torch.float64)
    factor = torch.tensor(2.5, dtype=torch.float64)
    hard = t.round()

    def bce(x: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(
            x, t, weight=w, pos_weight=factor, reduction="none"
        )

    def focal(x: torch.Tensor) -> torch.Tensor:
        ce = F.binary_cross_entropy_with_logits(x, hard, reduction="none")
        p_t = torch.sigmoid(x * (2 * hard - 1))
        return (0.25 * hard + 0.75 * (1 - hard)) * (1 - p_t) ** 2 * ce

    probabilities = np.concatenate(
        [rng.uniform(0, 1, CASES), [0, 1, 0, 1, 1e-30, 1e-7, 1 - 1e-7]]
    ).astype("f4")
    out["elementwise/probabilities"] = probabilities
    differences = np.concatenate([rng.normal(0, 2, CASES), [0, 1, -1, 0.5, -0.5, 1e6, -1e6]])
    predictions = (differences + targets).astype("f4")
    out["elementwise/predictions"] = predictions
    losses = {
        "bce_logits": (bce, logits),
        "binary_focal": (focal, logits),
        "bce": (lambda p: F.binary_cross_entropy(p, t, weight=w, reduction="none"), probabilities),
        "squared": (lambda x: F.mse_loss(x, t, reduction="none"), predictions),
        "absolute": (lambda x: F.l1_loss(x, t, reduction="none"), predictions),
    }
    for beta in (0.0, 0.5, 1.0):
        losses[f"smooth_l1_{beta}"] = (
            lambda x, beta=beta: F.smooth_l1_loss(x, t, beta=beta, reduction="none"),
            predictions,
        )
    for name, (loss, inputs) in losses.items():
        out[f"{name}/value"], out[f"{name}/gradient"] = with_gradient(loss, inputs)
    return out


def multiclass(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Cross-entropy in its settings, focal and NLL: CASES batches of BATCH × CLASSES each."""
    logits = rng.normal(0, 3, (CASES, BATCH, CLASSES)).astype("f4")
    logits[:20] *= 1000
    logits[20:40, :, 0] = -np.inf  # a class ruled out: labels below avoid it
    labels = rng.integers(0, CLASSES, (CASES, BATCH))
    labels[20:40] = labels[20:40].clip(1)
    ignored = np.where(rng.random((CASES, BATCH)) < 0.3, -100, labels)
    ignored[40:45] = -100
    class_weights = rng.uniform(0.1, 3, (CASES, CLASSES)).astype("f4")
    soft = rng.dirichlet(np.ones(CLASSES), (CASES, BATCH)).astype("f4")
    finite = np.where(np.isinf(logits), -3, logits).astype("f4")
    out = {
        "multiclass/logits": logits,
        "multiclass/finite": finite,
        "multiclass/labels": labels.astype("i4"),
        "multiclass/ignored": ignored.astype("i4"),
        "multiclass/class_weights": class_weights,
        "multiclass/soft": soft,
    }

    def focal(x: torch.Tensor, y: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        ce = F.cross_entropy(x, y, reduction="none")
        return (alpha[y] * (1 - torch.exp(-ce)) ** 1.5 * ce).mean()

    w = class_weights
    cases = {
        "plain": (F.cross_entropy, logits, labels),
        "weighted": (lambda x, y, w: F.cross_entropy(x, y, weight=w), logits, labels, w),
        "ignoring": (F.cross_entropy, logits, ignored),
        "all_options": (
            lambda x, y, w: F.cross_entropy(x, y, weight=w, label_smoothing=0.1),
            finite,
            ignored,
            w,
        ),
        "soft": (
            lambda x, y, w: F.cross_entropy(x, y, weight=w, label_smoothing=0.2),
            finite,
            soft,
            w,
        ),
        "focal": (focal, logits, labels, w),
        "batch_of_one": (F.cross_entropy, logits[:, :1], labels[:, :1]),
    }
    for name, (loss, x, *others) in cases.items():
        out[f"{name}/value"], out[f"{name}/gradient"] = per_case(loss, x, *others)
    images = rng.normal(0, 1, (100, 2, 3, 2, 2)).astype("f4")
    image_labels = rng.integers(0, 3, (100, 2, 2, 2))
    out["nll2d/values"], out["nll2d/labels"] = images, image_labels.astype("i4")
    weights = w[:100, :3]
    out["nll2d/value"], out["nll2d/gradient"] = per_case(
        lambda x, y, w: F.nll_loss(x, y, weight=w), images, image_labels, weights
    )
    return out


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    arrays = elementwise(generator) | multiclass(generator)
    np.savez_compressed(Path(__file__).with_name("losses.npz"), **arrays)
