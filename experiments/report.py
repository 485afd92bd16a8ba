"""Shows a run as a page, report.html, or several side by side.

What:     one HTML file without any request to a network: what a run was told to do and how that
          differs from the usual, its curves, samples, scores, warnings and diagnosis, its time, its
          files with checksums, and the commands that go on from it.
Source:   SOURCE is the folder of a run of any program that trains, complete, stopped, killed or
          still going on; several folders are compared, what differs between them first.
Command:  python -m experiments.report runs/dcgan-quick
          python -m experiments.report runs/mlp_l2 runs/mlp_dropout --out both.html
Expected: a page of at most 1.5 MB within seconds. Runs that end write theirs by themselves.
"""

import dataclasses
from pathlib import Path

from experiments.common import command_line
from experiments.common.config import Flags, option
from experiments.common.page.document import page_of_several, write_page
from experiments.common.page.reading import read_run
from jaxdl.errors import ConfigError
from jaxdl.files import write_atomically

THEME = "Tools"

COMPARISON = "comparison.html"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig(Flags):
    """Which runs, and where the page goes."""

    source: tuple[str, ...] = option(None, "the folder of a run, or several", positional=True)
    out: str | None = option(
        None, f"file of the page; unset: report.html in the run, {COMPARISON} for several"
    )


def run(config: ReportConfig) -> Path:
    """Writes the page and returns its path.

    Raises:
        UserError: a folder is no run's, or a file cannot be read or written.
    """
    folders = [Path(source) for source in config.source]
    out = None if config.out is None else Path(config.out)
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise ConfigError(f"--out {out}: name a file in a folder that is there")
    if len(folders) == 1:
        path = write_page(folders[0], out)
    else:
        path = out or Path(COMPARISON)
        write_atomically(path, page_of_several([read_run(folder) for folder in folders]))
    print(f"Written to {path}: {path.stat().st_size / 1e6:.2f} MB")
    return path


if __name__ == "__main__":
    command_line.main("report", ReportConfig, run, __doc__)
