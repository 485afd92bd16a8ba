"""Training some of a network's parameters."""

from collections.abc import Sequence
from typing import Any

import jax
import optax

from jaxdl.errors import ConfigError


def train_only(
    optimizer: optax.GradientTransformation, names: Sequence[str]
) -> optax.GradientTransformation:
    """Restricts an optimiser to some parameters; the others stay exactly as they are.

    XLA drops the gradients of frozen parameters where nothing needs them. BatchNorm's running
    statistics are not parameters and still follow the data. ``names`` are paths of layers or single
    parameters, "dense_1" or "dense_1/kernel"; ``init`` raises ConfigError if none matches.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"features": {"kernel": jnp.ones(2)}, "head": {"kernel": jnp.ones(2)}}
        >>> head = train_only(optax.sgd(0.5), ["head"])
        >>> update, _ = head.update(params, head.init(params), params)
        >>> update["features"]["kernel"].tolist(), update["head"]["kernel"].tolist()
        ([0.0, 0.0], [-0.5, -0.5])
    """
    unknown: set[str] = set()

    def label(path: Any, _: Any) -> str:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        matches = [n for n in names if f"{name}/".startswith(f"{n}/")]
        unknown.difference_update(matches)
        return "trained" if matches else "frozen"

    def labels(params: Any) -> Any:
        unknown.update(names)
        found = jax.tree_util.tree_map_with_path(label, params)
        if unknown:
            raise ConfigError(f"no parameter is called {sorted(unknown)}; there are {list(params)}")
        return found

    return optax.multi_transform({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)
