"""The programs: their themes and first lines, read without importing them."""

import ast
import pkgutil
from pathlib import Path

import experiments

FOLDER = Path(experiments.__file__).parent
FOLDERS = ("", "practice.", "lessons.")


def names() -> list[str]:
    """The programs' names, such as "dcgan" and "lessons.losses"."""
    return [
        prefix + module.name
        for prefix in FOLDERS
        for module in pkgutil.iter_modules([str(FOLDER / prefix.rstrip("."))])
        if not module.ispkg and not module.name.startswith("_")
    ]


def programs() -> dict[str, list[tuple[str, str]]]:
    """The programs by theme, each with its docstring's first line."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in names():
        path = FOLDER / f"{name.replace('.', '/')}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        summary = (ast.get_docstring(tree) or "").split("\n")[0]
        found.setdefault(_theme(tree), []).append((name, summary))
    return found


def find_program(word: str, known: list[str]) -> str | None:
    """The program of that name, whose folder may be left out; None if there is none.

    Example:
        >>> find_program("mlp-l2", names()), find_program("losses", names())
        ('mlp_l2', 'lessons.losses')
    """
    wanted = wanted_name(word)
    return next((n for n in known if wanted in (n, n.rpartition(".")[2])), None)


def wanted_name(word: str) -> str:
    """A program's name as it is spelt in Python."""
    return word.removeprefix("experiments.").replace("-", "_")


def _theme(tree: ast.Module) -> str:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "THEME":
            return ast.literal_eval(node.value)
    return "Other"
