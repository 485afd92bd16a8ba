"""Imports point downwards: no package knows one above it, and none goes in a circle."""

import ast
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "jaxdl"
# What a package may import beside itself.
GROUND = {"errors", "files", "_face", "_cores"}
BELOW = {
    "nn": GROUND,
    "losses": GROUND,
    "optim": GROUND,
    "metrics": GROUND | {"losses"},
    "data": GROUND,
    "plot": GROUND | {"metrics"},
    "models": GROUND | {"nn"},
    "exercises": GROUND | {"nn", "losses"},
    "interop": GROUND | {"models", "exercises"},
    "distributed": GROUND,
    "training": GROUND | {"nn", "losses", "optim", "metrics", "data", "models", "distributed"},
}
# Above the metrics, which are functions of arrays: a judge is a network, read from a file.
BELOW["evaluation"] = GROUND | {"nn", "metrics", "data", "interop"}
# From plain values that a run recorded, whoever recorded them.
BELOW["diagnosis"] = GROUND | {"metrics"}
BELOW["classification"] = BELOW["training"] | {"training", "interop"}
BELOW["run"] = BELOW["training"] | {"training"}
BELOW["generation"] = BELOW["run"] | {"run", "interop", "exercises", "plot"}


def imported(path):
    """The packages of jaxdl that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module == "jaxdl":
            names = [f"jaxdl.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("jaxdl."))


def test_every_package_has_its_place():
    assert {path.parent.name for path in LIBRARY.glob("*/__init__.py")} == set(BELOW)


@pytest.mark.parametrize("package", BELOW)
def test_imports_point_downwards(package):
    for path in sorted((LIBRARY / package).rglob("*.py")):
        above = set(imported(path)) - BELOW[package] - {package}
        assert not above, f"{path.relative_to(LIBRARY)} imports {above}"


def test_the_library_does_not_know_the_programs():
    for path in LIBRARY.rglob("*.py"):
        assert "experiments" not in {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom | ast.Import)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        }, path
