"""How a network's layers fare: sizes of weights and gradients, units that never act."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.training.objective import Objective
from jaxdl.training.state import NetworkState


def layer_statistics(
    network: NetworkState, x: jax.Array, labels: jax.Array, objective: Objective
) -> dict[str, Any]:
    """Looks at a network without training it, in evaluation mode; a pure function.

    Args:
        network: a single network (not stacked over seeds).
        x: inputs (N, …), usually some hundred training examples.
        labels: their labels (N,).
        objective: the loss whose gradient is taken.

    Returns:
        ``probe_loss``, the mean loss of these examples; ``gradient_norm``, the Euclidean norm of
        its gradient; ``dead_units``, the share of hidden units (channels) that are not positive
        before the activation for any example, so that ReLU passes nothing; and ``layers``: for
        each, in forward order, ``gradient_norm``, ``weight_norm`` and, for hidden ones, ``dead``.

    Example:
        >>> import optax
        >>> from jaxdl.models import MLP
        >>> x, labels = jnp.ones((3, 4)), jnp.array([0, 1, 2])
        >>> network = NetworkState.create(jax.random.key(0), MLP(hidden=(8,)), optax.sgd(0.1), x)
        >>> found = layer_statistics(network, x, labels, Objective())
        >>> list(found["layers"]), sorted(found["layers"]["dense_1"])
        (['dense_1', 'dense_2'], ['dead', 'gradient_norm', 'weight_norm'])
    """
    weights = jnp.ones(x.shape[:1], jnp.float32)

    def loss_fn(params: Any) -> tuple[jax.Array, Any]:
        outputs, captured = network.model.apply(
            network.variables(params),
            x,
            train=False,
            capture_intermediates=lambda module, method: method == "__call__",
            mutable=["intermediates"],
        )
        loss = objective.measure(outputs, labels, weights)["loss"].compute()
        return loss, captured["intermediates"]

    (loss, captured), gradients = jax.value_and_grad(loss_fn, has_aux=True)(network.params)
    order = [name for name in captured if name in gradients]
    layers = {
        name: {
            "gradient_norm": _norm(gradients[name]),
            "weight_norm": _norm(network.params[name]),
        }
        for name in in_forward_order(order)
    }
    dead = {
        name: _never_positive(captured[name]["__call__"][0])
        for name in _before_activation(list(layers))
    }
    for name, units in dead.items():
        layers[name]["dead"] = units.mean(dtype=jnp.float32)
    everything = jnp.concatenate(list(dead.values())) if dead else jnp.zeros(1)
    return {
        "probe_loss": loss,
        "gradient_norm": _norm(gradients),
        "dead_units": everything.mean(dtype=jnp.float32),
        "layers": layers,
    }


def in_forward_order(names: Iterable[str]) -> list[str]:
    """Layers in the order of the forward pass, which a pytree's sorted names are not.

    Example:
        >>> in_forward_order(["batch_norm_0", "conv_0", "dense_10", "dense_2"])
        ['conv_0', 'batch_norm_0', 'dense_2', 'dense_10']
    """

    def position(name: str) -> tuple[bool, int, bool]:
        kind, _, number = name.rpartition("_")
        return kind == "dense", int(number), kind == "batch_norm"

    return sorted(names, key=position)


def _before_activation(names: list[str]) -> list[str]:
    """The layers whose outputs enter an activation: all but the last and those with BatchNorm."""
    normalized = {name.replace("batch_norm", "conv") for name in names if "batch_norm" in name}
    return [name for name in names[:-1] if name not in normalized]


def _never_positive(outputs: jax.Array) -> jax.Array:
    return (outputs.reshape(-1, outputs.shape[-1]) <= 0).all(axis=0)


def _norm(tree: Any) -> jax.Array:
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)))
