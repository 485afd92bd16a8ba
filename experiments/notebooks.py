"""Executes the notebooks and writes them with their figures, as files for Jupyter and Colab.

What:     the sources in the folder notebooks are Python files in jupytext's percent format, without
          outputs. Each is executed in a kernel of its own and written as an .ipynb file.
Source:   the course's chapters: DCGAN (000), regularisation (004), practice (001), building blocks
          (002 to 004); and pictures of one's own.
Command:  python -m experiments.notebooks --out executed             minutes on two cores
          python -m experiments.notebooks --out executed --only dcgan
Expected: five files. A cell that fails, or whose figures contradict the text below it, ends the
          program with status 1 and the cell's error.

It needs the packages of `pip install '.[notebook]'`. To work in a source itself, open it with
`jupytext --to ipynb`, or in JupyterLab as a notebook (jupytext is a plug-in of it).
"""

import dataclasses
import re
import time
from pathlib import Path
from typing import Any

import experiments
from experiments.common import command_line
from experiments.common.config import Flags, option
from jaxdl.errors import ConfigError, DataError, TrainingError, brief
from jaxdl.files import write_atomically
from jaxdl.run.progress import clock

THEME = "Notebooks"
SOURCES = Path(experiments.__file__).parents[1] / "notebooks"
SECONDS = 1200  # that a cell may take


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotebooksConfig(Flags):
    """Which notebooks, and where to."""

    out: str = option("runs/notebooks", "folder for the executed notebooks")
    only: str | None = option(None, "a part of the name of those that are wanted; unset: all")


def find_sources(only: str | None = None) -> list[Path]:
    """The notebooks' sources, in order.

    Raises:
        DataError: they are not there, as in an installation without the clone.
        ConfigError: none has such a name.
    """
    paths = sorted(SOURCES.glob("*.py"))
    if not paths:
        raise DataError(f"{SOURCES} holds no notebooks: start this program in a clone")
    found = [path for path in paths if only is None or only in path.stem]
    if not found:
        names = ", ".join(path.stem for path in paths)
        raise ConfigError(f"--only {only}: there is {names}")
    return found


def read(path: Path) -> Any:
    """A source as a notebook without outputs; the same source gives the same notebook."""
    jupytext = _packages()[0]
    notebook = jupytext.read(path, fmt="py:percent")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = type(notebook.metadata)(kernelspec=kernel)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def execute(notebook: Any, name: str) -> Any:
    """Runs all cells in a new kernel and returns the notebook with their outputs.

    Raises:
        TrainingError: a cell failed.
    """
    nbclient = _packages()[1]
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        coalesce_streams=True,
        # It would warn that its local sockets are not encrypted.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        store_widget_state=False,
        resources={"metadata": {"path": str(SOURCES)}},
    )
    try:
        return client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        plain = re.sub(r"\x1b\[[\d;]*m", "", error.traceback)  # without colours
        raise TrainingError(f"{name}: {error.ename}: {error.evalue}\n{plain}") from None


def _packages() -> tuple[Any, Any]:
    """The packages jupytext and nbclient.

    Raises:
        ConfigError: one of them, or the kernel for Python, is not installed.
    """
    try:
        import ipykernel  # noqa: F401 - the kernel, which nbclient starts
        import jupytext
        import nbclient
    except ImportError as error:
        raise ConfigError(
            f"notebooks need a package that is missing ({brief(error)}): pip install '.[notebook]'"
        ) from error
    return jupytext, nbclient


def run(config: NotebooksConfig) -> list[Path]:
    """Executes and writes the notebooks, and returns the files.

    Raises:
        UserError: anything the user can fix, before anything is executed.
        TrainingError: a cell failed.
    """
    jupytext = _packages()[0]
    from nbformat.sign import NotebookNotary

    written = []
    for path in find_sources(config.only):
        begin = time.perf_counter()
        notebook = execute(read(path), path.stem)
        written.append(Path(config.out) / f"{path.stem}.ipynb")
        write_atomically(written[-1], jupytext.writes(notebook, fmt="ipynb"))
        # Jupyter shows what it has not run itself, such as an animation, only if it is signed.
        NotebookNotary().sign(notebook)
        print(f"{written[-1]}: {clock(time.perf_counter() - begin)}", flush=True)
    return written


if __name__ == "__main__":
    command_line.main("notebooks", NotebooksConfig, run, __doc__)
