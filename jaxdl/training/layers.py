"""How a network's layers fare: sizes of weights and gradients, units that never act."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.nn import ACTIVATIONS
from jaxdl.training.objective import Objective
from jaxdl.training.state import NetworkState

FLAT = 0.005  # smaller slopes: ReLU below 0; tanh beyond 3.3, sigmoid beyond 5.3


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
        its gradient; ``dead_units``, the share of hidden units (channels) whose activation is
        flat for every example, so that they cannot learn from any; and ``layers``: for
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
    activation = ACTIVATIONS[getattr(network.model, "activation", "relu")]

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
        name: _is_flat(activation, captured[name]["__call__"][0])
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
        >>> in_forward_order(["batch_norm_1", "batch_norm_2", "dense_1", "dense_2", "dense_3"])
        ['dense_1', 'batch_norm_1', 'dense_2', 'batch_norm_2', 'dense_3']
    """
    names = list(names)
    convolutional = any(name.startswith("conv") for name in names)

    def position(name: str) -> tuple[bool, int, int]:
        kind, _, number = name.rpartition("_")
        follows = ("batch_norm", "act").index(kind) + 1 if kind in ("batch_norm", "act") else 0
        return convolutional and kind == "dense", int(number), follows

    return sorted(names, key=position)


def _before_activation(names: list[str]) -> list[str]:
    """The layers whose outputs enter an activation: all but the last and those with BatchNorm."""
    layers = [name for name in names if not name.startswith("act_")]
    return [
        name
        for name, following in itertools.pairwise(layers)
        if not following.startswith("batch_norm_")
    ]


def _is_flat(activation: Callable[[jax.Array], jax.Array], outputs: jax.Array) -> jax.Array:
    """For each unit (channel), whether the activation is flat for every example and position."""
    _, slopes = jax.jvp(activation, (outputs,), (jnp.ones_like(outputs),))
    return (jnp.abs(slopes) < FLAT).reshape(-1, outputs.shape[-1]).all(axis=0)


def _norm(tree: Any) -> jax.Array:
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)))
