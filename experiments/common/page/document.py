"""The whole page of one run, and of several side by side."""

from collections.abc import Mapping
from pathlib import Path

from experiments.common.page.comparing import COMPARED
from experiments.common.page.files import REPORT
from experiments.common.page.look import SCRIPT, STYLE
from experiments.common.page.markup import Html, name_of, tag
from experiments.common.page.reading import RunFolder, read_run
from experiments.common.page.sections import SECTIONS, overview, status
from experiments.common.page.settings import path_name
from jaxdl.files import write_atomically


def page_of(run: RunFolder) -> str:
    """The page of a run."""
    sections = {title: make(run) for title, make in SECTIONS.items()}
    name = path_name(run.path)
    top = [tag("h1", f"Run {name}"), tag("p", f"{run.program} · {status(run)}", class_="lead")]
    return _document(f"Run {name}", [*top, *overview(run)], sections)


def page_of_several(runs: list[RunFolder]) -> str:
    """A page that compares runs, configurations first."""
    labelled = list(zip(_labels(runs), runs, strict=True))
    sections = {title: make(labelled) for title, make in COMPARED.items()}
    title = f"{len(runs)} runs compared"
    entries = [
        tag("li", tag("b", label), f": {run.program}, {status(run)}") for label, run in labelled
    ]
    return _document(title, [tag("h1", title), tag("ul", entries)], sections)


def _labels(runs: list[RunFolder]) -> list[str]:
    """The folders' names, or their paths where names repeat."""
    names = [path_name(run.path) for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def write_page(folder: Path, out: Path | None = None) -> Path:
    """Writes the page of the run in a folder, as ``report.html`` there, and returns its path.

    Raises:
        WorkdirError: the folder is no run's, or a file cannot be read or written.
    """
    place = out or folder / REPORT
    write_atomically(place, page_of(read_run(folder)))
    return place


def _document(title: str, top: list[Html], sections: Mapping[str, list[Html | None]]) -> str:
    filled = {name: content for name, content in sections.items() if content}
    links = [tag("li", tag("a", name, href=f"#{name_of(name)}")) for name in filled]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("header", top),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag(
            "main",
            [
                tag("section", tag("h2", name, id=name_of(name)), content)
                for name, content in filled.items()
            ],
            id="content",
            tabindex=-1,
        ),
        tag("script", Html(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
