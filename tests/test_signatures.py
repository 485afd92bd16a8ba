"""What every public function has in common: few parameters, and a docstring."""

import importlib
import inspect
import pkgutil

import pytest

import jaxdl

MOST = 8
EXCEPTIONS = {"jaxdl.exercises.tinynet.train_one_iter"}  # the course's own signature
MODULES = [
    module.name
    for module in pkgutil.walk_packages(jaxdl.__path__, "jaxdl.")
    if not module.name.rpartition(".")[2].startswith("_")
]


def functions(module):
    """Public functions and methods by their full names; a dataclass's fields are no parameters."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and _is_own(method, function, module):
                    yield f"{module.__name__}.{name}.{method}", function
        elif callable(value):
            yield f"{module.__name__}.{name}", value


def _is_own(method, function, module):
    """Whether a method is public or the constructor, and not generated or inherited."""
    written_here = function.__code__.co_filename == module.__file__
    return written_here and (method == "__init__" or not method.startswith("_"))


@pytest.mark.parametrize("name", MODULES)
def test_no_public_function_takes_more_than_eight_parameters(name):
    for full_name, function in functions(importlib.import_module(name)):
        parameters = [n for n in inspect.signature(function).parameters if n not in ("self", "cls")]
        assert len(parameters) <= MOST or full_name in EXCEPTIONS, (full_name, parameters)
