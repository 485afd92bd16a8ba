"""The sections of a run's page, each from its files; empty ones are left out."""

from typing import Any

from experiments.common import diagnosing
from experiments.common.page import chart, curves, pictures
from experiments.common.page.files import files_of
from experiments.common.page.markup import Html, details, table, tag
from experiments.common.page.reading import RunFolder, numbers, part_of
from experiments.common.page.results import results
from experiments.common.page.settings import (
    OF_THE_COURSE,
    Setting,
    commands,
    fewer_images,
    settings_of,
)
from jaxdl.errors import WorkdirError
from jaxdl.run.progress import clock

MOST_EPOCHS = 200  # rows of the table of epochs
# Figures that the page shows as curves that one can read values off.
DRAWN_HERE = {"curves", "quality", "learning_curves", "training_loss", "accuracy"}
NO_VALUES = (
    *("run", "kind", "epoch", "step", "steps_done", "warnings", "layers"),
    *("class_shares", "class_shares_raw"),
)

Content = list[Html | None]


def status(run: RunFolder) -> str:
    """Whether the run is complete, in words."""
    step = run.last_step
    if diverged(run):
        return f"Diverged at step {run.divergence.get('step')}"
    ended = run.summary.get("step")
    if type(ended) is int and ended < step:
        return f"Goes on: ended at step {ended:,} once, at {step:,} now"
    if run.summary:
        return f"Complete, {step:,} steps" if step else "Complete"
    return f"Not complete: {step:,} steps so far"


def diverged(run: RunFolder) -> bool:
    """Whether the run ended because a number was not finite, and has not got beyond that."""
    step = run.divergence.get("step")
    reached = max((record["step"] for record in run.records("epoch", "score")), default=0)
    return bool(run.divergence) and not (type(step) is int and reached > step)


def overview(run: RunFolder) -> Content:
    """What the run is, in a few words and numbers."""
    data = part_of(run.record, "data")
    facts = [("Status", status(run)), ("Program", run.program), ("Data", data.get("name"))]
    if preset := run.settings.get("preset"):
        facts.append(("Preset", preset))
    if "seed" in run.settings:
        seeds = run.settings.get("seeds")
        words = f"{seeds}, from {run.settings['seed']}" if seeds else run.settings["seed"]
        facts.append(("Seeds" if seeds else "Seed", words))
    if seconds := training_seconds(run):
        facts.append(("Training time", clock(seconds)))
    pairs = [tag("div", tag("dt", n), tag("dd", v)) for n, v in facts if v is not None]
    return [tag("dl", pairs, class_="facts"), *map(_warning, run.problems)]


def _warning(*content: Any) -> Html:
    return tag("div", tag("b", "Note: "), content, class_="warning")


def training_seconds(run: RunFolder) -> float:
    """The seconds of training, over all epochs and runs."""
    whole, begun = 0.0, {}
    for record in run.log:
        (seconds, *_) = numbers(record.get("seconds"))
        key = record.get("run")
        if seconds != seconds:
            continue
        if record["kind"] == "epoch":
            whole += seconds
            begun.pop(key, None)
        elif record["kind"] == "step":
            begun[key] = seconds  # within the epoch that goes on
    return whole + sum(begun.values())


def samples(run: RunFolder) -> Content:
    """The sample grids as a player; without a script, side by side."""
    found = pictures.frames(run)
    if not found:
        return []
    shown = [
        tag(
            "figure",
            image(frame.picture, f"Samples of the generator, {frame.title}"),
            tag("figcaption", frame.title),
        )
        for frame in found
    ]
    what = "Sample grids in the order of training"
    strip = {"role": "region", "tabindex": 0, "aria_label": what, "data_player": what}
    note = "The same noise at every step; made smaller than the files in the folder."
    return [tag("p", note, class_="note"), tag("div", tag("div", shown, class_="strip", **strip))]


def image(picture: pictures.Picture, alt: str) -> Html:
    """An embedded picture."""
    return tag("img", src=picture.address, alt=alt, width=picture.width, height=picture.height)


def figures(run: RunFolder) -> Content:
    """What else the run drew."""
    found = pictures.figures(run, DRAWN_HERE)
    shown = [
        tag(
            "figure",
            tag("figcaption", tag("h3", _words(name))),
            image(picture, f"Figure “{_words(name)}” of this run, {name}.png"),
        )
        for name, picture in found
    ]
    return [tag("div", shown, class_="figures")] if shown else []


def _words(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def charts(run: RunFolder) -> Content:
    """The curves of the log, and the values at the ends of epochs."""
    drawn = [chart.draw(each) for each in curves.charts_of(run)]
    found: Content = [tag("div", drawn, class_="charts")] if drawn else []
    if epochs := run.records("epoch"):
        found.append(details("Every epoch’s values", _epoch_table(epochs)))
    return found


def _epoch_table(epochs: list[dict[str, Any]]) -> Html:
    last = epochs[-MOST_EPOCHS:]
    metrics = [name for name in dict.fromkeys(n for r in last for n in r) if name not in NO_VALUES]
    named = any(record.get("run") for record in last)
    rows = [
        (
            f"{record['epoch']}",
            *([record.get("run")] if named else []),
            f"{record['step']:,}",
            *(_mean(record.get(name)) for name in metrics),
        )
        for record in last
    ]
    header = ["Epoch", *(["Run"] if named else []), "Step", *map(_words, metrics)]
    left = f", the last {MOST_EPOCHS} of {len(epochs)}" if len(epochs) > len(last) else ""
    return table(
        f"Values at the ends of epochs, means over seeds{left}", header, rows, numbers=True
    )


def _mean(value: Any) -> str:
    finite = [number for number in numbers(value) if number == number]
    return chart.shown(sum(finite) / len(finite)) if finite else "–"


def findings(run: RunFolder) -> Content:
    """Warnings of the log, what diverged, and the diagnosis."""
    found: Content = []
    if diverged(run):
        told = run.divergence.get("message") or f"a number was not finite: {run.divergence}"
        found.append(_warning(str(told)[:2000]))
    notices = run.record.get("notices")
    found += [_warning(each) for each in (notices if isinstance(notices, list) else [])]
    warned = [
        tag("li", f"Epoch {record['epoch']}{_of(record)}: {warning}")
        for record in run.records("epoch")
        for warning in (record["warnings"] if isinstance(record.get("warnings"), list) else [])
    ]
    if warned:
        found.append(tag("p", f"Warnings of the log ({len(warned)}):"))
        found.append(tag("ul", warned[:50]))
    return found + _diagnosis(run)


def _of(record: dict[str, Any]) -> str:
    return f", {record['run']}" if record.get("run") else ""


def _diagnosis(run: RunFolder) -> Content:
    try:
        content = run.diagnosis or diagnosing.as_values(
            diagnosing.diagnose_folder(run.path), {**run.settings, "workdir": str(run.path)}
        )
        text = diagnosing.told(content)
    except (WorkdirError, LookupError, TypeError, ValueError, AttributeError):
        return []  # of a program that is not diagnosed, not far enough, or damaged
    return [tag("pre", text)]


def configuration(run: RunFolder) -> Content:
    """How the run's flags differ from the usual ones, and all of them."""
    whose = "the course’s" if run.program in OF_THE_COURSE else "the program’s default"
    settings = settings_of(run)
    known = any(setting.help for setting in settings)
    differing = [setting for setting in settings if setting.differs]
    found: Content = []
    if differing:
        found.append(_flags(f"Differences from {whose} configuration", differing))
    elif known:
        found.append(tag("p", f"Every flag that may change the figures has {whose} value."))
    if fewer := fewer_images(run):
        found.append(tag("p", f"The data are fewer than the course’s: {fewer}."))
    return [*found, details("All flags", _flags("All flags", settings))] if settings else found


def _flags(caption: str, settings: list[Setting]) -> Html:
    rows = [
        (tag("code", f"--{s.name}"), _value(s.value), _value(s.usual), s.help) for s in settings
    ]
    return table(caption, ("Flag", "Here", "Usual", "What it is"), rows)


def _value(value: Any) -> str:
    return "unset" if value is None else str(value)[:500]


def data(run: RunFolder) -> Content:
    """What is known about the data."""
    known = dict(part_of(run.record, "data"))
    classes = known.pop("classes", None)
    names = {"train": "training images", "test": "test images"}
    rows = [(_words(names.get(name, name)), _value(value)) for name, value in known.items()]
    if isinstance(classes, list):
        rows.append(("Classes", ", ".join(map(str, classes[:100]))))
    found: Content = [table("The data set", ("Fact", "Value"), rows)] if rows else []
    parts = part_of(run.facts, "data")
    counts = [part_of(parts, part).get("class_counts") for part in ("train", "test")]
    if all(isinstance(each, list) for each in counts):
        numbered = [(str(c), *each) for c, each in enumerate(zip(*counts, strict=False))][:100]
        header = ("Class", "Training images", "Test images")
        found.append(
            details("Images of each class", table("Images", header, numbered, numbers=True))
        )
    return found


def timing(run: RunFolder) -> Content:
    """Where the time went, on what, with which versions."""
    rows: list[tuple[str, Any]] = []
    if "training_seconds" not in run.summary and (seconds := training_seconds(run)):
        rows.append(("Training", clock(seconds)))
    for name, value in run.summary.items():
        if name.endswith(("seconds", "per_step", "per_second")) and isinstance(value, int | float):
            rows.append((_words(name), chart.shown(value)))
    devices = part_of(run.record, "devices")
    rows += [(f"Devices: {_words(name).lower()}", _value(value)) for name, value in devices.items()]
    versions = part_of(run.record, "versions")
    rows += [(f"Version of {name}", _value(value)) for name, value in versions.items()]
    return [table("Time, devices and versions", ("What", "Value"), rows)] if rows else []


def what_next(run: RunFolder) -> Content:
    """Commands that go on from the run."""
    return [[tag("p", purpose), tag("pre", tag("code", line))] for purpose, line in commands(run)]


def files(run: RunFolder) -> Content:
    """Every file with its size and its SHA-256."""
    found, more = files_of(run.path)
    rows = [
        (
            file.name,
            "" if file.size is None else f"{file.size:,}",
            tag("code", file.checksum, class_="sum"),
        )
        for file in found
    ]
    header = ("File", "Bytes", "SHA-256")
    size = sum(file.size or 0 for file in found)
    listed = table("Files; of a checkpoint, its manifest’s own checksum", header, rows)
    note = f"{len(found)} files and checkpoints, {size / 1e6:,.1f} MB"
    return [details(note + (f"; {more} more are not listed" if more else ""), listed)]


SECTIONS = {
    "Samples": samples,
    "Results": results,
    "Curves": charts,
    "Warnings and diagnosis": findings,
    "Configuration": configuration,
    "Data": data,
    "Figures": figures,
    "What to do with it": what_next,
    "Time, devices and versions": timing,
    "Files": files,
}
