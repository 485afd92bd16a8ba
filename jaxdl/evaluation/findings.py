"""A verdict in words, from scores and what real images reach."""

from collections.abc import Sequence

import numpy as np

from jaxdl.evaluation.report import Evaluation

FEW_DISTINCT = 100  # images in effect, of any number drawn
COPIED = 0.1  # share of copies above that of real images
MISSING = 0.1  # of its share among real images
POOR = 0.5  # of real images' coverage or recall
MALFORMED = 0.8  # of real images' precision, or of the share whose class the judge is sure of
UNEQUAL = 2.5  # times its share among real images
BLURRED, NOISY, HARSH = 0.45, 1.1, 1.5  # detail, relative to real images
CLOSE = 1.5  # times real images' Fréchet distance
FAR = 3  # times real images' sliced Wasserstein distance


def verdict(evaluation: Evaluation) -> str:
    """What is wrong with the images, the plainest first, or that nothing was found.

    The thresholds are relative to what real images reach in the same number:

    - fewer than 100 distinct images in effect: one or a few images are repeated;
    - more than 10% of the images resemble one training image far more than any other: copies;
    - coverage or recall below half (without a judge, a sliced Wasserstein distance above three
      times the real one): blurred if neighbouring pixels differ by less than 0.45 times as much as
      in real images, noisy if by more than 1.1 times; noisy or too sharp in any case above 1.5;
    - precision, or the share of images of whose class the judge is sure, below 0.8 of the real
      one: malformed;
    - a class with less than a tenth of its share: missing; with more than 2.5 times its share, and
      far more than chance: too frequent. Not said of images with the defects above, whose classes
      mean little.

    Example:
        >>> healthy = {"distinct": 1e5, "copied": 0.01, "detail": 1.0, "coverage": 0.95,
        ...            "recall": 0.9, "precision": 0.9, "sure": 1.0, "fid": 2.0}
        >>> shares = np.array([0.6, 0.4])
        >>> counts = {"samples": 1000}
        >>> found = Evaluation(healthy, healthy, shares, shares, np.zeros(0), counts)
        >>> verdict(found)
        'no defect found: hardly to be told from real images'
        >>> verdict(found._replace(class_shares=np.array([0.0, 1.0])))
        'class 0 is missing'
    """
    found = "; ".join(filter(None, (_repeated(evaluation), _copies(evaluation))))
    others = (_poor, _malformed, _classes_missing, _class_too_frequent)
    found = found or next(filter(None, (look(evaluation) for look in others)), "")
    if found:
        return found
    if not len(evaluation.class_shares):
        times = evaluation.scores["swd"] / evaluation.floors["swd"]
        return f"no defect found in the pixels; distance {times:.1f} times that of real images"
    times = evaluation.scores["fid"] / evaluation.floors["fid"]
    if times <= CLOSE:
        return "no defect found: hardly to be told from real images"
    weakest = min(("precision", "coverage", "recall"), key=lambda name: _share(evaluation, name))
    return (
        f"no defect found, but not yet like real images: FID is {times:.1f} times theirs, "
        f"{weakest} {_share(evaluation, weakest):.0%} of theirs"
    )


def _share(evaluation: Evaluation, name: str) -> float:
    return evaluation.scores[name] / max(evaluation.floors[name], 1e-9)


def _repeated(evaluation: Evaluation) -> str:
    distinct = evaluation.scores["distinct"]
    if distinct < 1.5:
        return "one image repeated"
    if distinct < FEW_DISTINCT:
        return f"few images repeated, as if there were only {distinct:.0f} different ones"
    return ""


def _copies(evaluation: Evaluation) -> str:
    copied = evaluation.scores["copied"]
    if copied < evaluation.floors["copied"] + COPIED:
        return ""
    noisy = evaluation.scores["detail"] > NOISY
    return f"copies training images{' with noise' if noisy else ''} ({copied:.0%} of the samples)"


def _poor(evaluation: Evaluation) -> str:
    if len(evaluation.class_shares):
        near = min(_share(evaluation, "coverage"), _share(evaluation, "recall")) >= POOR
    else:
        near = evaluation.scores["swd"] <= FAR * evaluation.floors["swd"]
    detail = evaluation.scores["detail"]
    if detail > HARSH:
        defect = "noisy or too sharp"
    elif near or BLURRED <= detail <= NOISY:
        return ""
    else:
        defect = "noisy" if detail > NOISY else "blurred"
    return f"{defect}: neighbouring pixels differ by {detail:.0%} of what they do in real images"


def _malformed(evaluation: Evaluation) -> str:
    if not len(evaluation.class_shares):
        return ""
    name = min(("precision", "sure"), key=lambda name: _share(evaluation, name))
    if _share(evaluation, name) >= MALFORMED:
        return ""
    share, real = evaluation.scores[name], evaluation.floors[name]
    looks = "look real (precision)" if name == "precision" else "are clearly of one class"
    return f"malformed: {share:.0%} of the samples {looks}, {real:.0%} of real images"


def _classes_missing(evaluation: Evaluation) -> str:
    real, shares = evaluation.real_class_shares, evaluation.class_shares
    missing = np.flatnonzero((real > 0) & (shares < MISSING * real))
    return f"{_classes(missing.tolist())} missing" if len(missing) else ""


def _class_too_frequent(evaluation: Evaluation) -> str:
    real, shares = evaluation.real_class_shares, evaluation.class_shares
    chance = 5 * np.sqrt(real / evaluation.counts["samples"])
    frequent = np.flatnonzero(shares > np.maximum(UNEQUAL * real, real + chance))
    return "; ".join(
        f"class {i} is too frequent: {shares[i]:.0%} of the samples, {real[i]:.0%} of real images"
        for i in frequent
    )


def _classes(indices: Sequence[int]) -> str:
    """Class numbers as the subject of a sentence."""
    *others, last = [str(index) for index in indices]
    return f"classes {', '.join(others)} and {last} are" if others else f"class {last} is"
