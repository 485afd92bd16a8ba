"""What all networks have in common."""

import ast
import importlib
import inspect
import pkgutil

import pytest

from jaxdl import exercises, models, nn


def modules(package):
    names = [info.name for info in pkgutil.iter_modules(package.__path__) if not info.ispkg]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


@pytest.mark.parametrize(
    "module", [*modules(models), *modules(exercises)], ids=lambda module: module.__name__
)
def test_networks_are_built_of_jaxdl_s_layers(module):
    """Flax gives `Module` and what belongs to it; activations, pooling and layers are our own."""
    layers = {name.lower() for name in nn.__all__} | {"leaky_relu", "relu", "tanh", "dense"}
    foreign = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in ("jax.nn", "linen", "jnp", "jax.lax")
        and node.attr.lower() in layers
    ]
    assert foreign == []


@pytest.mark.parametrize("package", [nn, models])
def test_a_package_shows_everything_public_in_it(package):
    public = {
        name
        for module in modules(package)
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    assert public <= set(package.__all__)
