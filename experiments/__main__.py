"""Lists the programs: ``python -m experiments``."""

import ast
import contextlib
import pkgutil
from pathlib import Path

import experiments


def programs() -> dict[str, list[tuple[str, str]]]:
    """The programs by theme, each with its docstring's first line, without importing them."""
    found: dict[str, list[tuple[str, str]]] = {}
    folder = Path(experiments.__file__).parent
    for prefix in ("", "lessons."):
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


def main() -> None:
    """Prints the list."""
    print("Run one with: python -m experiments.NAME [--help]")
    for theme, entries in programs().items():
        print(f"\n{theme}")
        for name, summary in entries:
            print(f"  {name:<28} {summary}")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # `python -m experiments | head`
        main()
