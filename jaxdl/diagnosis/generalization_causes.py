"""Why a network that knows its training images does not know others."""

import math

from jaxdl.diagnosis.finding import Finding, Remedy
from jaxdl.diagnosis.record import ClassifierRecord
from jaxdl.diagnosis.training_causes import learned

GAP = 0.12  # accuracy on training images less that on others
FEW, GAP_OF_FEW = 500, 0.07  # training images; with fewer, more of them help for sure
SHIFTED = 0.05  # accuracy on held-out images less that on test images
FAR = 1.1  # distance of test images to training images, relative to these from each other


def mismatch(run: ClassifierRecord) -> Finding | None:
    """Test images are of another kind than the training images."""
    if not run.epochs:
        return None
    near, data = run.facts["data"]["neighbors"], run.facts["data"]
    ratio = near["test"]["distance"] / max(near["train"]["distance"], 1e-9)
    held_out = "val" if "val" in run.parts else "train"
    better, test = run.accuracy(held_out), run.accuracy("test")
    spread = math.hypot(_error(run, held_out), _error(run, "test"))
    if better - test < max(SHIFTED, 4 * spread) or (held_out == "train" and ratio < FAR):
        return None
    train, other = data["train"], data["test"]
    held = " that were held out" if held_out == "val" else ""
    evidence = (
        f"accuracy {better:.1%} on images of the training part{held}, {test:.1%} on test images",
        f"test images lie {ratio:.2f} times as far from training images as these from each other",
        f"grey values {train['mean']:.0f} ± {train['std']:.0f} in training, "
        f"{other['mean']:.0f} ± {other['std']:.0f} in the test",
    )
    remedies = (
        Remedy("train on images like those of the test"),
        Remedy(
            "augment the training images towards those of the test",
            {"augment": "rotation:30,shift:3,scale:0.2,contrast,noise"},
        ),
    )
    return Finding("mismatch", 0.9 if ratio > FAR else 0.7, evidence, remedies)


def _error(run: ClassifierRecord, part: str) -> float:
    """The standard error of a part's accuracy (Agresti and Coull), also if all of few are right."""
    count = run.facts["parts"][part]
    share = (run.accuracy(part) * count + 2) / (count + 4)
    return math.sqrt(share * (1 - share) / (count + 4))


def overfitting(run: ClassifierRecord) -> Finding | None:
    """The network knows its training images, and others of their kind much less."""
    if not learned(run):
        return None
    alike = ("val",) if mismatch(run) else ("val", "test")
    parts = [name for name in alike if name in run.parts]
    if not parts:
        return None
    counts = {name: run.facts["parts"][name] for name in parts}
    others = sum(counts[n] * run.accuracy(n) for n in parts) / sum(counts.values())
    gap = run.accuracy("train") - others
    if gap < (GAP_OF_FEW if run.facts["parts"]["training"] < FEW else GAP):
        return None
    evidence = [
        f"accuracy {run.accuracy('train'):.1%} on training images, {others:.1%} on others",
        f"{run.facts['parts']['training']:,} training images",
    ]
    losses = run.curve(f"{parts[0]}_loss")
    if losses[-1] > 1.1 * losses.min():
        evidence.append(
            f"the loss on others was {losses.min():.3g} after epoch {losses.argmin() + 1} and is "
            f"{losses[-1]:.3g} at the end"
        )
    remedies = (
        Remedy("collect more training images"),
        Remedy("augment the images", {"augment": "rotation:10,shift:2,scale:0.1"}),
        Remedy("drop activations", {"dropout": 0.3}),
        Remedy("keep the best epoch", {"patience": 5}),
    )
    return Finding("overfitting", min(0.5 + 2 * gap, 0.95), tuple(evidence), remedies)


GENERALIZATION_CAUSES = (mismatch, overfitting)
