"""Lists the programs, ``python -m experiments``, or runs one: ``python -m experiments NAME …``."""

import ast
import difflib
import pkgutil
import runpy
import sys
from pathlib import Path

import experiments
from experiments.common.output import STATUS_USER_ERROR, quiet_when_unread


def programs() -> dict[str, list[tuple[str, str]]]:
    """The programs by theme, each with its docstring's first line, without importing them."""
    found: dict[str, list[tuple[str, str]]] = {}
    folder = Path(experiments.__file__).parent
    for prefix in ("", "practice.", "lessons."):
        place = folder / prefix.rstrip(".")
        for module in pkgutil.iter_modules([str(place)]):
            if module.ispkg or module.name.startswith("_"):
                continue
            tree = ast.parse((place / f"{module.name}.py").read_text(encoding="utf-8"))
            summary = (ast.get_docstring(tree) or "").split("\n")[0]
            found.setdefault(_theme(tree), []).append((prefix + module.name, summary))
    return found


def _theme(tree: ast.Module) -> str:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "THEME":
            return ast.literal_eval(node.value)
    return "Other"


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
    names = [name for entries in programs().values() for name, _ in entries]
    if argument.startswith("-"):
        raise _refused(
            f"{argument} needs a program: python -m experiments.NAME {argument}; "
            "python -m experiments lists them"
        )
    wanted = argument.removeprefix("experiments.").replace("-", "_")
    for name in names:
        if wanted in (name, name.rpartition(".")[2]):
            return name
    near = difflib.get_close_matches(wanted, names, n=1)
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
