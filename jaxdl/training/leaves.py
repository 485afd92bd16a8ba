"""A state's leaves by name: compare two states, find non-finite values."""

from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np

PyTree = Any
SHOWN = 5  # differences listed in a message


def leaf_names(tree: PyTree) -> list[str]:
    """A readable path for each leaf, in the order of ``jax.tree.leaves``.

    Example:
        >>> leaf_names({"w": 0, "opt": (1, {"mu": 2})})
        ['opt/0', 'opt/1/mu', 'w']
    """
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]


def leaf_table(tree: PyTree) -> dict[str, str]:
    """Shape and dtype of every leaf of a state, by name.

    Example:
        >>> leaf_table({"w": np.zeros((3, 4), np.float32), "step": np.int32(0)})
        {'step': 'int32 ()', 'w': 'float32 (3, 4)'}
    """
    plain = flax.serialization.to_state_dict(tree)
    leaves = jax.tree.leaves(plain)
    described = [f"{leaf.dtype} {tuple(leaf.shape)}" for leaf in leaves]
    return dict(zip(leaf_names(plain), described, strict=True))


def table_differences(saved: dict[str, str], wanted: dict[str, str]) -> str:
    """Describes the first differences between two tables; "" if there are none.

    Example:
        >>> table_differences({"w": "float32 (3,)"}, {"w": "float32 (4,)", "b": "float32 (4,)"})
        'b: missing, float32 (4,) wanted; w: float32 (3,) there, float32 (4,) wanted'
    """
    names = [n for n in sorted({*saved, *wanted}) if saved.get(n) != wanted.get(n)]
    texts = [
        f"{name}: {saved[name] + ' there' if name in saved else 'missing'}, "
        f"{wanted.get(name, 'nothing')} wanted"
        for name in names[:SHOWN]
    ]
    if len(names) > SHOWN:
        texts.append(f"and {len(names) - SHOWN} more")
    return "; ".join(texts)


def first_bad_leaf(tree: PyTree) -> tuple[str, tuple[int, ...]] | None:
    """The name of the first leaf with a NaN or infinity and the position in it, or None.

    Example:
        >>> first_bad_leaf({"a": np.ones(2), "b": np.array([[0.0, 1.0], [2.0, np.inf]])})
        ('b', (1, 1))
    """
    for name, leaf in zip(leaf_names(tree), jax.tree.leaves(tree), strict=True):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            finite = np.isfinite(np.asarray(leaf))
            if not finite.all():
                return name, tuple(int(i) for i in np.argwhere(~finite)[0])
    return None
