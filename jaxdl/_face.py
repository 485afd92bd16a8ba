"""Lazy imports, tab completion and suggestions for misspelt names in packages (PEP 562)."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any


def face(
    package: str, names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes a package's ``__getattr__`` and ``__dir__`` from its ``__name__`` and ``__all__``.

    Modules among the names are imported on first use.

    Example:
        >>> import jaxdl
        >>> jaxdl.losses.cros_entropy
        Traceback (most recent call last):
            ...
        AttributeError: module 'jaxdl.losses' has no attribute 'cros_entropy'; did you mean ...
    """

    def get(name: str) -> Any:
        if name in names:
            return importlib.import_module(f"{package}.{name}")
        # With a name but no obj, Python does not append its own suggestion.
        raise AttributeError(_problem(package, name, names), name=name, obj=None)

    return get, lambda: sorted(names)


def _problem(package: str, name: str, names: Sequence[str]) -> str:
    text = f"module {package!r} has no attribute {name!r}"
    if name.startswith("_"):  # Python and notebooks often probe for such names
        return text
    import difflib

    near = {known.lower(): known for known in names}
    match = difflib.get_close_matches(name.lower(), near, n=1)
    hint = f"did you mean {near[match[0]]!r}?" if match else f"dir({package}) lists what it has"
    return f"{text}; {hint}"
