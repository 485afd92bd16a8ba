"""Lists the programs, ``python -m experiments``, or runs one: ``python -m experiments NAME …``."""

import difflib
import runpy
import sys

from experiments.common.catalogue import find_program, names, programs, wanted_name
from experiments.common.output import STATUS_USER_ERROR, quiet_when_unread


def show_programs() -> None:
    """Prints the list."""
    print("Run one with: python -m experiments.NAME [--help]")
    for theme, entries in programs().items():
        print(f"\n{theme}")
        for name, summary in entries:
            print(f"  {name:<28} {summary}")


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
