"""A run's final figures as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.common.comparison import scale_of
from experiments.common.findings import spoken
from experiments.common.page.chart import shown
from experiments.common.page.markup import Html, details, table, tag
from experiments.common.page.reading import RunFolder, numbers, part_of
from experiments.common.quality import FLOOR

SCORES = {
    "fid": "FID, Fréchet distance (less is better)",
    "swd": "Sliced Wasserstein distance (less is better)",
    "precision": "Precision (more is better)",
    "recall": "Recall (more is better)",
    "sure": "Judge is sure (more is better)",
    "class_accuracy": "Of the class asked for (more is better)",
}
MOST_ROWS = 300


def results(run: RunFolder) -> list[Html | None]:
    """The scores of generated images, the figures of networks, and the rest of the summary."""
    found: list[Html | None] = [_scores(run), _training_means(run), *_runs(run), _classes(run)]
    if sentence := run.summary.get("sentence"):
        found.insert(0, tag("p", sentence))
    rows = list(_flat(run.summary))[:MOST_ROWS]
    if rows:
        found.append(details("All of summary.json", table("summary.json", ("Name", "Value"), rows)))
    return [each for each in found if each]


def final_figures(run: RunFolder) -> dict[str, str]:
    """The figures by which runs are compared, in words and as text."""
    found = {}
    if judged := _best_and_last(run):
        best, _ = judged
        found = {words: _cell(best.get(name)) for name, words in SCORES.items() if name in best}
    several = part_of(run.summary, "runs")
    for name, one in (several or {"": run.summary}).items():
        for metric, entry in one.items() if isinstance(one, Mapping) else ():
            if _has_mean(entry):
                title = spoken(metric) + " (%)" * (scale_of(metric).factor == 100)
                found[f"{name}: {title}" if name else title] = _with_interval(entry, metric)
    return found


def _best_and_last(run: RunFolder) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The records of the best and of the last measured samples."""
    judged = [r for r in run.records("score", "epoch") if any(name in r for name in SCORES)]
    if not judged:
        return None
    last = judged[-1]
    deciding = next(name for name in SCORES if name in last)
    known = [r for r in judged if _first(r.get(deciding)) is not None]
    return min(known, key=lambda record: _first(record.get(deciding)), default=last), last


def _scores(run: RunFolder) -> Html | None:
    """The scores of the kept generator and of the last, beside those of real images."""
    if not (judged := _best_and_last(run)):
        return None
    best, last = judged
    columns = [(f"Best, step {best['step']:,}", best), (f"Last, step {last['step']:,}", last)]
    columns = columns[:1] if best is last else columns
    names = [name for name in SCORES if name in last]
    rows = [[SCORES[name], *(_cell(of.get(name)) for _, of in columns)] for name in names]
    header = ["Score", *(title for title, _ in columns)]
    beside = ""
    if any(f"{name}{FLOOR}" in last for name in names):
        beside = ", beside as many real ones"
        header.append("Real training images")
        rows = [[*row, _cell(last.get(f"{n}{FLOOR}"))] for row, n in zip(rows, names, strict=True)]
    count = run.settings.get("evaluate_samples")
    return table(f"Scores of {count} samples{beside}", header, rows, numbers=True)


def _first(value: Any) -> float | None:
    (number, *_) = numbers(value)
    return None if number != number else number


def _cell(value: Any) -> str:
    number = _first(value)
    return "–" if number is None else shown(number)


def _training_means(run: RunFolder) -> Html | None:
    """The last epoch's means beside the course's last step."""
    course = part_of(run.summary, "course")
    names = [name for name in course if name in run.summary and _first(course[name]) is not None]
    if not names:
        return None
    comparable = run.summary.get("comparable_with_course")
    rows = [
        (name, _cell(run.summary[name]), *([_cell(course[name])] if comparable else []))
        for name in names
    ]
    header = ("Metric", "Mean of the last epoch", *(["Course, last step"] if comparable else []))
    return table("Losses and outputs of the discriminator", header, rows, numbers=True)


def _runs(run: RunFolder) -> list[Html]:
    """The figures of candidates, and of every network, over the seeds or folds."""
    parts = {
        "Candidates: means and their 95% intervals": part_of(run.summary, "settings"),
        "Means and their 95% intervals": part_of(run.summary, "runs") or {run.program: run.summary},
    }
    comparable = run.summary.get("comparable_with_course") is True
    found = [_means(caption, runs, comparable) for caption, runs in parts.items()]
    return [each for each in found if each]


def _means(caption: str, runs: Mapping[str, Any], comparable: bool) -> Html | None:
    metrics = dict.fromkeys(
        name
        for one in runs.values()
        if isinstance(one, Mapping)
        for name in one
        if _has_mean(one[name])
    )
    rows = [
        (name, *(_with_interval(part_of(one, metric), metric, comparable) for metric in metrics))
        for name, one in runs.items()
    ]
    header = [f"{spoken(m)}{' (%)' if scale_of(m).factor == 100 else ''}" for m in metrics]
    return table(caption, ("Run", *header), rows, numbers=True) if metrics else None


def _has_mean(value: Any) -> bool:
    return isinstance(value, Mapping) and _first(value.get("mean")) is not None


def _with_interval(entry: Mapping[str, Any], metric: str, comparable: bool = False) -> str:
    """A mean with its interval, and with the course's figure if they are comparable."""
    if not _has_mean(entry):
        return "–"
    scale = scale_of(metric)
    form = f"{{:.{scale.decimals}f}}"
    text = form.format(scale.factor * _first(entry["mean"]))
    ends = [each for each in numbers(entry.get("interval")) if each == each]
    if len(ends) == 2:
        text += f" ({' to '.join(form.format(scale.factor * end) for end in ends)})"
    course = _first(entry.get("course")) if comparable else None
    return text if course is None else f"{text}; course {form.format(scale.factor * course)}"


def _classes(run: RunFolder) -> Html | None:
    """Precision, recall and F1 of each class of the first seed's network."""
    classes = part_of(run.summary, "first_seed").get("classes")
    if not isinstance(classes, list) or not all(isinstance(one, Mapping) for one in classes):
        return None
    names = ("images", "precision", "recall", "f1")
    rows = [(str(c), *(_cell(one.get(n)) for n in names)) for c, one in enumerate(classes[:100])]
    header = ("Class", "Images", "Precision", "Recall", "F1")
    return table("The first seed’s network on the test images", header, rows, numbers=True)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of nested dictionaries; long lists are cut."""
    for name, item in value.items():
        if isinstance(item, Mapping) and prefix.count(" › ") < 3:
            yield from _flat(item, f"{prefix}{name} › ")
        else:
            yield f"{prefix}{name}", _short(item)


def _short(value: Any) -> str:
    number = _first(value) if not isinstance(value, list) else None
    text = str(value) if number is None else shown(number)
    return text if len(text) <= 300 else f"{text[:300]} …"
