"""Judges generated images: scores beside what real images reach, and a verdict in words.

What:     SOURCE is the folder of a DCGAN run or a file of weights, whose generator draws the
          images; a folder of PNG files; or an .npz file with an array `images`, uint8
          (N, H, W, C).
Source:   Heusel et al. 2017 (FID), Bińkowski et al. 2018 (KID), Naeem et al. 2020 (precision,
          recall, density, coverage), Jiralerspong et al. 2023 (FLD).
Command:  python -m experiments.evaluate runs/dcgan-quick
          python -m experiments.evaluate samples.npz --data_dir DIR
Expected: a table, summary.json, and a picture of samples above the training images most like them;
          10,000 images within a minute on two cores.

Scores depend on the number of images, on the judge and on the real images: compare them only where
all three are the same. The floor says what real images reach in the same number.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.own_images import load_folder
from experiments.common.run_data import load_named, recorded_flags
from experiments.common.session import default_workdir
from experiments.common.table import text_table
from jaxdl import data, evaluation, generation, plot
from jaxdl.distributed.compilation import enable_cache
from jaxdl.errors import ConfigError
from jaxdl.evaluation import Evaluation, Judge

THEME = "Generative adversarial networks"

WEIGHTS = (".safetensors", ".pt", ".pth")
AGAINST_BOTH = (
    ("fid", "FID, Fréchet distance", ".2f"),
    ("kid", "KID, kernel distance", ".2f"),
    ("kid_sd", "  its sd over subsets", ".2f"),
    ("precision", "precision", ".3f"),
    ("recall", "recall", ".3f"),
    ("density", "density", ".3f"),
    ("coverage", "coverage", ".3f"),
)
OWN = (
    ("fld", "FLD, likelihood divergence", ".2f"),
    ("fld_gap", "  generalisation gap", ".2f"),
    ("sure", "sure of the class (> 90%)", ".3f"),
    ("class_accuracy", "of the class asked for", ".3f"),
    ("class_entropy", "entropy of classes (nats)", ".3f"),
    ("class_chi_square", "chi-square of classes", ".1f"),
    ("swd", "sliced Wasserstein distance", ".3f"),
    ("c_t", "C_T, data copying", ".1f"),
    ("authentic", "AuthPct, share that is authentic", ".3f"),
    ("copied", "like one training image", ".3f"),
    ("distinct", "distinct images in effect", ",.0f"),
    ("detail", "detail, relative", ".3f"),
)
PICTURE_COLUMNS = 10
NO_JUDGE = (
    "their pixels alone: no judge knows these real images.\n"
    "For labelled ones experiments.evaluator trains a judge (--judge FILE); without it the score\n"
    "is the sliced Wasserstein distance"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig(DataConfig):
    """What to judge, and by what."""

    source: str = option(
        None,
        "a run's folder, a file of weights, a folder of PNG files, or an .npz",
        positional=True,
    )
    count: int = option(10_000, "number of images, if there are so many", low=1, high=100_000)
    dataset: str | None = option(
        None, "the real images to compare with; unset: the run's, else mnist"
    )
    reference: str | None = option(
        None, "real images of your own instead: a folder of them, or an .npz"
    )
    judge: str | None = option(
        None, "a file that experiments.evaluator wrote; unset: the package's judge of the data set"
    )


class Result(NamedTuple):
    """What :func:`run` returns.

    Attributes:
        evaluation: the scores.
        verdict: in words.
        figures: "neighbors" as a Matplotlib figure.
        summary: the content of ``summary.json``.
    """

    evaluation: Evaluation
    verdict: str
    figures: dict[str, Any]
    summary: dict[str, Any]


def with_data_of_run(config: EvaluateConfig) -> EvaluateConfig:
    """The configuration with the data of the run that is judged, where it names none."""
    if config.dataset or config.reference:
        return config
    flags = recorded_flags(Path(config.source))
    if flags.get("images"):
        return dataclasses.replace(config, reference=flags["images"])
    data_dir = flags.get("data_dir")
    if config.data_dir or config.data_source or not (data_dir and Path(data_dir).is_dir()):
        data_dir = config.data_dir
    return dataclasses.replace(config, dataset=flags.get("dataset", "mnist"), data_dir=data_dir)


def find_judge(config: EvaluateConfig) -> Judge | None:
    """The judge that is named, or the package's own of the data set; None if there is none."""
    return evaluation.find_judge(config.judge, "" if config.reference else config.dataset)


def load_reference(config: EvaluateConfig, images: np.ndarray) -> data.Dataset:
    """The real images to compare (N, H, W, C) with: a data set, or the user's own.

    A folder is read as in training, damaged files left out if they were in the run's training. Of
    an archive a fifth is for testing.
    """
    height, width, channels = images.shape[1:]
    if config.reference is None:
        size = height if height == width else None
        return load_named(config.dataset, config.data_dir, config.data_source, size)
    if Path(config.reference).is_dir() and height == width:
        run = recorded_flags(Path(config.source))
        how = {name: run.get(name, False) for name in ("skip_bad", "follow_links")}
        return load_folder(config.reference, data.Picture(height, channels == 1), **how)
    real = evaluation.read_images(config.reference)
    is_test = np.arange(len(real)) % 5 == 4
    train, test = (
        data.Split(part, np.zeros(len(part), np.int32)) for part in (real[~is_test], real[is_test])
    )
    about = {"name": "images", "source": "files", "location": config.reference, "num_classes": 1}
    return data.make_dataset(train, test, **about)


def load_images(config: EvaluateConfig) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads or draws the images to be judged, uint8 (N, H, W, C).

    Returns:
        The images, and the classes (N,) that a generator of classes was asked for, else None.

    Raises:
        UserError: there are none, or they are damaged.
    """
    path = Path(config.source)
    if path.suffix in WEIGHTS or (path / "config.json").exists():
        generator = generation.load_generator(path)
        print(generator, flush=True)
        batches = generator.noise_batches(config.count, config.seed)
        images = np.concatenate(list(generator.pixels(batches)))
        return images, generator.classes(np.arange(len(images)))
    return evaluation.read_images(path, config.count), None


def check(images: np.ndarray, judge: Judge | None, dataset: data.Dataset) -> None:
    """Raises if these images cannot be compared with the data set."""
    for part in (images, dataset.images[:1]):
        channels = judge.network.channels if judge else dataset.images.shape[-1]
        evaluation.judge.check_images(part, channels)
    if judge is None:
        return
    evaluation.scores.check_count(len(images), judge)
    if dataset.num_classes > 1 and judge.network.num_classes != dataset.num_classes:
        raise ConfigError(
            f"the judge tells {judge.network.num_classes} classes apart and {dataset.name} has "
            f"{dataset.num_classes}: give a judge that was trained on it"
        )


def score_table(found: Evaluation) -> str:
    """The scores beside their floors; without a judge, those of the pixels only."""
    scores, floors = found.scores, found.floors
    own = [
        (text, format(scores[name], form), format(floors[name], form))
        for name, text, form in OWN
        if name in scores
    ]
    shares = zip(found.class_shares, found.real_class_shares, strict=True)
    own += [(f"class {i}", f"{share:.1%}", f"{real:.1%}") for i, (share, real) in enumerate(shares)]
    table = text_table(("", "samples", "real images"), own)
    if "fid" not in scores:
        return table
    header = ("", "against test", "floor", "against training", "floor ")
    rows = [
        (text, *(format(of[name + end], form) for end in ("", "_train") for of in (scores, floors)))
        for name, text, form in AGAINST_BOTH
    ]
    return f"{text_table(header, rows)}\n\n{table}"


def draw_neighbors(
    images: np.ndarray,
    found: Evaluation,
    dataset: data.Dataset,
) -> Any:
    """Rows of samples, each above the training images most like them."""
    nearest = evaluation.references.resized(dataset.train.images[found.nearest], images.shape[1:3])
    rows = []
    for first in range(0, len(nearest), PICTURE_COLUMNS):
        part = slice(first, first + PICTURE_COLUMNS)
        rows += [images[: len(nearest)][part], nearest[part]]
    return plot.image_grid(
        np.concatenate(rows),
        columns=PICTURE_COLUMNS,
        title="Samples, each above the training image most like it",
    )


def summarize(
    config: EvaluateConfig, found: Evaluation, judge: Judge | None, dataset: data.Dataset
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    return {
        "program": "evaluate",
        "source": config.source,
        "n": found.counts["samples"],
        **found.scores,
        "floors": {
            **found.floors,
            "n": found.counts["floor"],
            "n_train": found.counts["floor_train"],
        },
        "class_shares": found.class_shares,
        "verdict": evaluation.verdict(found),
        "judge": judge and judge.hash,
        "judge_test_accuracy": judge and judge.record.get("test_accuracy"),
        "dataset": dataset.name,
        "data": dataset.source,
        "train": dataset.num_train,
        "test": len(dataset.labels) - dataset.num_train,
    }


def run(config: EvaluateConfig) -> Result:
    """Judges the images, prints the table, and writes the folder.

    Raises:
        UserError: anything the user can fix, before anything is written.
    """
    enable_cache()
    begin = time.perf_counter()
    lesson.check_own(Path(config.workdir or default_workdir("evaluate", config.preset)), "evaluate")
    config = with_data_of_run(config)
    judge = find_judge(config)
    images, asked = load_images(config)
    dataset = load_reference(config, images)
    check(images, judge, dataset)
    folder = lesson.begin("evaluate", config)
    print(dataset.description)
    print(f"{len(images):,} images of {config.source}, judged by {judge or NO_JUDGE}", flush=True)
    references = evaluation.look_at_dataset(dataset, judge, images.shape[1:3])
    found = evaluation.evaluate_images(images, references, judge, config.seed, asked)
    summary = summarize(config, found, judge, dataset)
    summary["seconds"] = time.perf_counter() - begin
    counts = found.counts
    print(
        f"\n{score_table(found)}\n\nThe floor is what real images reach: {counts['floor']:,} "
        f"training images against the test images,\nand {counts['floor_train']:,} test images "
        "against the training images. Scores depend on these numbers."
        f"\n\nVerdict: {summary['verdict']}."
    )
    figures = {"neighbors": draw_neighbors(images, found, dataset)}
    lesson.finish(folder, summary, figures)
    return Result(found, summary["verdict"], figures, summary)


if __name__ == "__main__":
    command_line.main("evaluate", EvaluateConfig, run, __doc__)
