"""What the short programs share: a folder, a printed table, figures and a summary.

A lesson takes seconds and always starts over: running it again rewrites its files. It opens with
what it is about and closes with what its numbers have shown.
"""

import dataclasses
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.common.config import Config, DataConfig
from experiments.common.console import data_line
from experiments.common.session import default_workdir, versions
from experiments.common.workdir import CONFIG, SUMMARY
from jaxdl import data, plot
from jaxdl.distributed.compilation import enable_cache
from jaxdl.errors import WorkdirError
from jaxdl.files import to_json, write_atomically
from jaxdl.interop import (
    export_weights,
    import_weights,
    load_state_dict,
    safetensors,
)


class Result(NamedTuple):
    """What a lesson's ``run`` returns.

    Attributes:
        summary: the content of ``summary.json``.
        figures: Matplotlib figures by file name.
    """

    summary: dict[str, Any]
    figures: dict[str, Any]


def begin(program: str, config: Config, about: str | None = None) -> Path:
    """Opens a lesson's folder, records its configuration, and returns the folder.

    Args:
        program: the module's name, for the record and for the folder if none is configured.
        config: the lesson's.
        about: the module's docstring; its first line is printed.

    Raises:
        WorkdirError: the folder cannot be written.
    """
    enable_cache()
    folder = Path(config.workdir or default_workdir(program, config.preset))
    check_own(folder, program)
    record = {"program": program, "config": dataclasses.asdict(config), "versions": versions()}
    write_atomically(folder / CONFIG, to_json(record, indent=2) + "\n")
    if about:
        print(about.splitlines()[0] + "\n")
    return folder


def begin_on_digits(
    program: str, config: DataConfig, about: str | None = None
) -> tuple[Path, data.Dataset]:
    """Loads MNIST, opens the folder as :func:`begin` does, and says which digits there are."""
    digits = data.load("mnist", config.data_dir, source=config.data_source)
    folder = begin(program, config, about)
    print(data_line(digits))
    return folder, digits


def data_of(dataset: data.Dataset) -> dict[str, str]:
    """What a summary says of the data."""
    return {"name": dataset.name, "source": dataset.source, "notice": dataset.notice}


def check_own(folder: Path, program: str) -> None:
    """Raises a WorkdirError if a folder holds another program's results, or cannot be one."""
    try:
        earlier = json.loads((folder / CONFIG).read_text())["program"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WorkdirError(
            f"cannot use {folder}: its {CONFIG} cannot be read ({error}); choose another --workdir"
        ) from error
    if earlier != program:
        raise WorkdirError(
            f"{folder} holds the results of {earlier!r}; choose another --workdir for {program}"
        )


def save_weights(
    path: Path, model: Any, params: Any, metadata: Mapping[str, str] | None = None
) -> Any:
    """Writes a network's weights, the last step of the course's pattern; returns them read back.

    Args:
        path: a ``.safetensors`` file; names and layouts are PyTorch's.
        model: the network, one with a twin in :mod:`jaxdl.interop.twins`.
        params: its parameters.
        metadata: texts that the file carries too.
    """
    content = safetensors.encode(export_weights(model, {"params": params}), metadata)
    write_atomically(path, content)
    return import_weights(model, load_state_dict(path))["params"]


def finish(folder: Path, summary: dict[str, Any], figures: Mapping[str, Any]) -> Result:
    """Writes summary and figures, says where they are, and returns both for a notebook.

    Args:
        folder: from :func:`begin`.
        summary: plain values for ``summary.json``; its "shown", if there is one, is the sentence
            that says what the lesson has shown, and is printed.
        figures: Matplotlib figures by file name.
    """
    for name, figure in figures.items():
        plot.save_figure(figure, folder / f"{name}.png")
    write_atomically(folder / SUMMARY, to_json(summary, indent=2) + "\n")
    if "shown" in summary:
        print("\n" + textwrap.fill(summary["shown"], 100))
    pictures = ", ".join(f"{name}.png" for name in figures)
    print(f"\nWritten to {folder}: {SUMMARY}" + (f", {pictures}" if pictures else ""))
    return Result(summary, dict(figures))
