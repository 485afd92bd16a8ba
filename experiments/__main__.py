"""Shows all programs, ``python -m experiments``, or runs one: ``python -m experiments NAME …``."""

import difflib
import runpy
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from experiments.common.catalogue import find_program, names, programs, wanted_name
from experiments.common.output import STATUS_USER_ERROR, quiet_when_unread

# The themes in their order, and where to begin.
BEGIN = {
    "Generative adversarial networks": "dcgan --preset quick",
    "Building blocks": "lessons.perceptron",
    "Regularisation": "mlp_l2 --preset quick",
    "Practice": "practice.guide",
    "Notebooks": "notebooks --out executed",
    "Measurements": "benchmark",
    "Tools": "report RUN, the folder of a run",
}
BRANCH, END, STEM, GAP = "├── ", "└── ", "│   ", "    "


def show_programs() -> None:
    """Prints the programs as a tree, as wide as the screen."""
    print("Run one with:  python -m experiments.NAME [--help]")
    print("Begin with:    python -m experiments.dcgan --preset quick\n")
    lines = "\n".join(tree_lines(shutil.get_terminal_size((160, 24)).columns))
    encoding = sys.stdout.encoding or "ascii"
    print(lines.encode(encoding, "replace").decode(encoding))  # a terminal may know no lines


def tree_lines(width: int) -> list[str]:
    """The programs by theme in lines of at most that many characters, if names leave the room.

    Example:
        >>> for line in tree_lines(80)[:4]:
        ...     print(line)
        experiments
        ├── Generative adversarial networks – begin with dcgan --preset quick
        │   ├── dcgan              DCGAN generates handwritten digits: two networks
        │   │                      trained against each other.
    """
    found = programs()
    order = [*(theme for theme in BEGIN if theme in found), *sorted(found.keys() - BEGIN.keys())]
    lines = ["experiments"]
    for theme in order:
        last = theme == order[-1]
        begin = f" – begin with {BEGIN[theme]}" if theme in BEGIN else ""
        lines.append(f"{END if last else BRANCH}{theme}{begin}")
        stem = GAP if last else STEM
        lines += [stem + line for line in _entries(found[theme], width - len(stem))]
    return lines


def _entries(entries: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """A theme's programs, their first lines wrapped beside the names."""
    room = max(len(name) for name, _ in entries) + 2
    for name, summary in entries:
        is_last = name == entries[-1][0]
        first, *rest = textwrap.wrap(summary, max(width - 4 - room, 20)) or [""]
        yield f"{END if is_last else BRANCH}{name:<{room}}{first}".rstrip()
        yield from (f"{GAP if is_last else STEM}{'':<{room}}{line}" for line in rest)


def program_of(argument: str) -> str:
    """The program that the first argument names.

    Raises:
        SystemExit: there is none; the message says what to type.

    Example:
        >>> program_of("mlp-l2"), program_of("experiments.dcgan"), program_of("losses")
        ('mlp_l2', 'dcgan', 'lessons.losses')
        >>> program_of("overfitting")
        'practice.overfitting'
    """
    if argument.startswith("-"):
        raise _refused(
            f"{argument} needs a program: python -m experiments.NAME {argument}; "
            "python -m experiments lists them"
        )
    known = names()
    if found := find_program(argument, known):
        return found
    near = difflib.get_close_matches(wanted_name(argument), known, n=1)
    hint = f"did you mean {near[0]}?" if near else "python -m experiments lists them"
    raise _refused(f"there is no program {argument!r}; {hint}")


def _refused(message: str) -> SystemExit:
    print(f"error: {message}", file=sys.stderr)
    return SystemExit(STATUS_USER_ERROR)


def main() -> None:
    """Lists the programs, or becomes the one that is named."""
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        with quiet_when_unread():
            show_programs()
        return
    name = program_of(sys.argv.pop(1))
    runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
