"""The sections of a page that compares runs."""

from typing import Any

from experiments.common.page import chart, curves, pictures
from experiments.common.page.markup import Html, table, tag
from experiments.common.page.reading import RunFolder, part_of
from experiments.common.page.results import final_figures
from experiments.common.page.sections import Content, image, training_seconds
from jaxdl.run.progress import clock

Labelled = list[tuple[str, RunFolder]]
NOT_COMPARED = {"workdir", "resume"}  # every run has its own


def configurations(runs: Labelled) -> Content:
    """What differs between the runs: flags, data, devices, versions."""
    rows = [
        row
        for part, form in (
            ("config", "--{}"),
            ("data", "data: {}"),
            ("devices", "devices: {}"),
            ("versions", "version of {}"),
        )
        for row in _differing(runs, part, form)
    ]
    programs = [run.program for _, run in runs]
    if len(set(programs)) > 1:
        rows.insert(0, ("program", *programs))
    if not rows:
        return [tag("p", "The configurations are the same.")]
    return [table("What differs", ("Setting", *(label for label, _ in runs)), rows)]


def _differing(runs: Labelled, part: str, form: str) -> list[tuple[Any, ...]]:
    """The settings whose values differ among the runs that have them."""
    found = [part_of(run.record, part) for _, run in runs]
    names = dict.fromkeys(name for one in found for name in one if name not in NOT_COMPARED)
    return [
        (tag("code", form.format(name)), *(_value(one, name) for one in found))
        for name in names
        if len({_value(one, name) for one in found if name in one}) > 1
    ]


def _value(settings: dict[str, Any], name: str) -> str:
    if name not in settings:
        return "–"
    return "unset" if settings[name] is None else str(settings[name])[:300]


def figures(runs: Labelled) -> Content:
    """The final figures of each run."""
    found = [final_figures(run) for _, run in runs]
    names = dict.fromkeys(name for one in found for name in one)
    rows = [(name, *(one.get(name, "–") for one in found)) for name in names]
    rows.append(("Training time", *(clock(training_seconds(run)) for _, run in runs)))
    return [table("Final figures", ("Figure", *(label for label, _ in runs)), rows, numbers=True)]


def charts(runs: Labelled) -> Content:
    """The runs' curves over one another."""
    drawn = [chart.draw(each) for each in curves.charts_of_all(runs)]
    return [tag("div", drawn, class_="charts")] if drawn else []


def samples(runs: Labelled) -> Content:
    """Each run's last sample grid."""
    shown: list[Html] = []
    for label, run in runs:
        if frame := pictures.last_frame(run):
            alt = f"Samples of {label}, {frame.title}"
            words = tag("figcaption", tag("h3", label), frame.title)
            shown.append(tag("figure", words, image(frame.picture, alt)))
    return [tag("div", shown, class_="figures")] if shown else []


COMPARED = {
    "Configurations": configurations,
    "Figures": figures,
    "Curves": charts,
    "Last samples": samples,
}
