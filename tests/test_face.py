"""What the packages show: everything public, nothing else, and the nearest name for a typo."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jaxdl


def packages(package=jaxdl):
    """The package and all packages in it."""
    yield package
    for info in pkgutil.iter_modules(package.__path__):
        if info.ispkg:
            yield from packages(importlib.import_module(f"{package.__name__}.{info.name}"))


PACKAGES = {package.__name__: package for package in packages()}


def public(module):
    """The functions and classes that a module defines for others."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or callable(value))
        and getattr(value, "__module__", None) == module.__name__
        and getattr(value, "__name__", None) == name
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_shows_each_module_or_all_that_it_defines(name):
    package = PACKAGES[name]
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{name}.{info.name}")
        shown = info.name in package.__all__ and getattr(package, info.name) is module
        hidden = public(module) - set(package.__all__)
        assert shown or (not info.ispkg and not hidden), f"{name} hides {info.name}: {hidden}"


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_shows_nothing_that_is_not_its_own(name):
    package = PACKAGES[name]
    assert package.__doc__
    assert dir(package) == sorted(package.__all__)
    assert len(set(package.__all__)) == len(package.__all__)
    for shown in package.__all__:
        value = getattr(package, shown)
        if isinstance(value, ModuleType):
            assert value.__name__ == f"{name}.{shown}"
        elif inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__.startswith(f"{name}.")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_misspelt_name_gets_the_nearest_one(name):
    package = PACKAGES[name]
    longest = max(package.__all__, key=len)
    with pytest.raises(AttributeError) as caught:
        getattr(package, longest[:-2] + longest[-1])
    assert f"module {name!r} has no attribute" in str(caught.value)
    assert f"did you mean {longest!r}?" in str(caught.value)


def test_a_name_like_nothing_there_is_told_where_to_look():
    with pytest.raises(AttributeError, match=r"'xyz'; dir\(jaxdl.nn\) lists what it has$"):
        _ = jaxdl.nn.xyz
    assert not hasattr(jaxdl.nn, "__wrapped__")
    with pytest.raises(AttributeError, match=r"'_repr_html_'$"):  # notebooks look for these
        _ = jaxdl.nn._repr_html_


def test_case_does_not_matter():
    with pytest.raises(AttributeError, match="did you mean 'MLP'"):
        _ = jaxdl.models.mpl


def test_python_adds_no_second_suggestion():
    code = "import jaxdl; jaxdl.modles"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.count("did you mean") + run.stderr.count("Did you mean") == 1


def test_importing_jaxdl_loads_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import jaxdl;"
        "print(sorted(m for m in set(sys.modules) - before if m.startswith('jax')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['jaxdl', 'jaxdl._face']"


FLAG = re.compile(r"(?<![\w-])--[a-z]+_?[a-z]")


def test_the_librarys_messages_and_docstrings_name_no_flags():
    flags = [
        f"{path.name}:{number}: {line.strip()}"
        for path in Path(jaxdl.__file__).parent.rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        # tfds and srun are commands of others
        if FLAG.search(line) and "tfds" not in path.name and "srun" not in line
    ]
    assert flags == []
