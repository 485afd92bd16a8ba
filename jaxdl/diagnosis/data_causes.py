"""Faults of the data and the set-up of a classifier's run, mostly told before any training."""

import math

import numpy as np

from jaxdl.diagnosis.finding import Finding, Remedy
from jaxdl.diagnosis.record import ClassifierRecord

# The outputs that a loss can be given; the first is the one it is made for.
MADE_FOR = {
    "cross_entropy": ("logits", "log_softmax"),
    "focal": ("logits", "log_softmax"),
    "negative_log_likelihood": ("log_softmax",),
    "binary_cross_entropy_with_logits": ("logits",),
    "binary_cross_entropy": ("sigmoid", "softmax"),
    "squared_error": ("softmax", "sigmoid", "logits"),
    "absolute_error": ("softmax", "sigmoid", "logits"),
}
LARGE, SMALL = 10.0, 0.02  # root mean square of inputs beyond which they are not scaled
LEAKED, REPEATED = 0.01, 0.05  # share of test images, of a part's own images
UNEQUAL = 5.0  # times as many images in one class as in another
CONTRADICTED = 0.03  # of the clear cases among training images, beyond that of test images
BOTH_CONTRADICTED = 0.15
FEWEST_CLEAR = 50  # images whose neighbours agree; fewer tell nothing
NEAR = 1.1  # test images as far from training images as these from each other, times this


def loss_and_output(run: ClassifierRecord) -> Finding | None:
    """The loss is given an output of another form than it is made for."""
    loss, output = run.settings["loss"], run.settings["output"]
    usual = MADE_FOR.get(loss)
    if usual is None or output in usual:
        return None
    evidence = [f"the loss {loss} is given {output}, but is made for {' or '.join(usual)}"]
    if run.epochs:
        evidence.append(
            f"training loss {run.last('train_loss'):.3g} at an accuracy of "
            f"{run.accuracy('train'):.1%}"
        )
    remedy = Remedy(f"give the loss {usual[0]}", {"output": usual[0]})
    return Finding("loss and output that do not belong together", 1.0, tuple(evidence), (remedy,))


def unscaled_inputs(run: ClassifierRecord) -> Finding | None:
    """The network's inputs are far larger or smaller than 1."""
    pixels, inputs = run.facts["data"]["train"], run.facts["inputs"]
    mean, std = (float(np.mean(inputs[name])) for name in ("mean", "std"))
    size = math.hypot(pixels["mean"] / 255 - mean, pixels["std"] / 255) / std
    if SMALL <= size <= LARGE:
        return None
    evidence = (
        f"the inputs' root mean square is {size:.3g}; first weights are drawn for about 1",
        f"pixels of {pixels['min']} to {pixels['max']} are fed as "
        f"{(pixels['min'] / 255 - mean) / std:.3g} to {(pixels['max'] / 255 - mean) / std:.3g}",
    )
    remedy = Remedy("scale the inputs to mean 0 and standard deviation 1", {"inputs": "standard"})
    return Finding("unscaled inputs", 1.0, evidence, (remedy,))


def leaked_or_duplicated(run: ClassifierRecord) -> Finding | None:
    """Test images are among the training images, or images repeat each other."""
    data, found = run.facts["data"], run.facts["data"]["duplicates"]
    train, test = data["train"]["images"], data["test"]["images"]
    shares = {
        "of the test images are also training images": (found["test_in_train"], test, LEAKED),
        "of the test images repeat another test image": (found["within_test"], test, REPEATED),
        "of the training images repeat another one, so the validation part is no fresh data": (
            found["within_train"],
            train,
            REPEATED,
        ),
    }
    evidence = tuple(
        f"{count:,} ({count / total:.1%}) {what}"
        for what, (count, total, limit) in shares.items()
        if count > limit * total
    )
    if not evidence:
        return None
    remedy = Remedy("remove the repeated images, and split the data only then")
    return Finding("leaked or duplicated test examples", 1.0, evidence, (remedy,))


def imbalance(run: ClassifierRecord) -> Finding | None:
    """Classes have very different numbers of training images, and the rare ones suffer."""
    counts = np.array(run.facts["data"]["train"]["class_counts"])
    used = counts + np.array(run.facts["data"]["test"]["class_counts"]) > 0
    classes, counts = np.flatnonzero(used), counts[used]
    ratio = counts.max() / max(counts.min(), 1)
    chance = counts.mean() - 4 * math.sqrt(counts.mean())
    if ratio < UNEQUAL or counts.min() > chance:
        return None
    settings = run.settings
    balanced = "balanced" in (settings["sampling"], settings["class_weights"])
    rare = counts <= counts.max() / UNEQUAL
    recalls = _recalls(run, used)
    rarest, largest = classes[counts.argmin()], classes[counts.argmax()]
    evidence = [
        f"class {rarest} has {counts.min():,} training images, class {largest} "
        f"{counts.max():,}: 1 : {ratio:.0f}"
    ]
    sureness = 0.9
    if recalls is None and balanced:
        return None
    if recalls is not None and np.isfinite(recalls[rare]).any():
        low, high = np.nanmean(recalls[rare]), np.nanmean(recalls[~rare])
        evidence.append(f"test recall of rare classes {low:.1%}, of the others {high:.1%}")
        if low > high - (0.1 if balanced else 0.03):
            return None
        sureness = 0.97
    remedies = [Remedy("collect more images of the rare classes")]
    if counts.min() and not balanced:  # nothing else makes a class known of which there is nothing
        remedies = [
            Remedy("draw each class equally often", {"sampling": "balanced"}),
            Remedy("let rare classes count more in the loss", {"class_weights": "balanced"}),
            *remedies,
        ]
    return Finding("imbalance", sureness, tuple(evidence), tuple(remedies))


def _recalls(run: ClassifierRecord, used: np.ndarray) -> np.ndarray | None:
    """The recall in the test part of each used class, NaN without image; None without answers."""
    if "test_labels" not in run.predictions:
        return None
    labels = run.predictions["test_labels"]
    right = run.predictions["test_probabilities"].argmax(axis=-1) == labels
    images = np.bincount(labels, minlength=len(used))[: len(used)]
    with np.errstate(invalid="ignore"):
        return (np.bincount(labels, right, minlength=len(used))[: len(used)] / images)[used]


def shuffled_labels(run: ClassifierRecord) -> Finding | None:
    """The training labels have nothing to do with the images."""
    near, chance = run.facts["data"]["neighbors"], _chance(run)
    asked = min(1000, run.facts["data"]["train"]["images"])
    noise = 4 * math.sqrt(chance * (1 - chance) / asked)
    accuracy = run.accuracy("val" if "val" in run.parts else "test")
    counts = np.array(run.facts["data"]["train"]["class_counts"])
    largest = counts.max() / counts.sum()
    if near["train"]["agreement"] > chance + noise or accuracy > largest + 0.15 * (1 - largest):
        return None
    evidence = [
        f"the nearest training image has the same label in {near['train']['agreement']:.1%} of "
        f"cases; chance is {chance:.1%}"
    ]
    if run.epochs:
        evidence.append(
            f"accuracy {run.accuracy('train'):.1%} on training images, {accuracy:.1%} on others"
        )
    remedy = Remedy("look at some training images and their labels: are they read in one order?")
    return Finding("shuffled labels", 0.9, tuple(evidence), (remedy,))


def _chance(run: ClassifierRecord) -> float:
    """How often two training images share their label by chance."""
    shares = np.array(run.facts["data"]["train"]["class_counts"], float)
    return float(((shares / shares.sum()) ** 2).sum())


def label_noise(run: ClassifierRecord) -> Finding | None:
    """Some labels contradict those of the images around them."""
    near = run.facts["data"]["neighbors"]
    train, test = near["train"]["contradicted"], near["test"]["contradicted"]
    if near["train"]["clear"] < FEWEST_CLEAR:
        return None
    spread = math.sqrt(sum(_variance(one["contradicted"], one["clear"]) for one in near.values()))
    # Where a class is rare, its test images' neighbours are of others, whatever their labels.
    counts = [count for count in run.facts["data"]["train"]["class_counts"] if count]
    alike = near["test"]["distance"] < NEAR * near["train"]["distance"]
    alike = alike and max(counts) < UNEQUAL * min(counts) and not _unknown_classes(run)
    if train - test > max(CONTRADICTED, 4 * spread):
        where, share = "training", train - test
    elif alike and test - train > max(2 * CONTRADICTED, 4 * spread):
        where, share = "test", test - train
    elif alike and min(train, test) > BOTH_CONTRADICTED and _separable(run):
        where, share = "training and test", min(train, test)
    else:
        return None
    if run.epochs and run.accuracy("test") > 1 - share / 2 and where != "training":
        return None  # the network has learned elsewhere what these labels say
    evidence = [
        f"where six of the ten nearest training images agree, {train:.1%} of the training labels "
        f"and {test:.1%} of the test labels contradict them"
    ]
    if run.epochs and "val" in run.parts:
        evidence.append(
            f"accuracy {run.accuracy('val'):.1%} on images held out from training, "
            f"{run.accuracy('test'):.1%} on test images"
        )
    remedies = [Remedy(f"look through the {where} labels: about {share:.0%} seem wrong")]
    if where != "test":
        remedies.append(Remedy("let wrong labels count less", {"label_smoothing": 0.1}))
    return Finding("label noise", 0.9, tuple(evidence), tuple(remedies))


def _unknown_classes(run: ClassifierRecord) -> bool:
    """Whether the test part has classes without training images."""
    train, test = (np.array(run.facts["data"][part]["class_counts"]) for part in ("train", "test"))
    return bool(((train == 0) & (test > 0)).any())


def _variance(share: float, count: int) -> float:
    return max(share * (1 - share), 0.01) / max(count, 1)


def _separable(run: ClassifierRecord) -> bool:
    """Whether the network does not beat its data's neighbours: the classes do not just overlap."""
    agreement = run.facts["data"]["neighbors"]["test"]["agreement"]
    return run.accuracy("test") < agreement + 0.15


DATA_CAUSES = (
    loss_and_output,
    unscaled_inputs,
    leaked_or_duplicated,
    imbalance,
    shuffled_labels,
    label_noise,
)
