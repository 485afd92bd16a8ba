"""What a package shows: tab completion, and a suggestion for a misspelt name (PEP 562)."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any


def face(
    package: str, names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes a package's ``__getattr__`` and ``__dir__`` from its ``__all__``.

    Modules among the names are imported when they are first used.

    Args:
        package: the package's ``__name__``.
        names: its ``__all__``.

    Returns:
        The two functions, to be assigned in the package's ``__init__``.

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
        # With a name but no object, Python adds no second suggestion of its own.
        raise AttributeError(_problem(package, name, names), name=name, obj=None)

    return get, lambda: sorted(names)


def _problem(package: str, name: str, names: Sequence[str]) -> str:
    text = f"module {package!r} has no attribute {name!r}"
    if name.startswith("_"):  # Python and notebooks look for such names often
        return text
    import difflib

    near = {known.lower(): known for known in names}
    match = difflib.get_close_matches(name.lower(), near, n=1)
    hint = f"did you mean {near[match[0]]!r}?" if match else f"dir({package}) lists what it has"
    return f"{text}; {hint}"
