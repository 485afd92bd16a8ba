"""``NetworkState``: a network in training, a pytree of arrays with its functions as constants."""

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as linen
import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxdl.errors import ShapeError
from jaxdl.training.leaves import leaf_table, table_differences
from jaxdl.training.reprs import short_repr

PyTree = Any


class NetworkState(flax.struct.PyTreeNode):
    """A network in training.

    Attributes:
        params: trainable parameters.
        batch_stats: BatchNorm's running statistics and the vectors of spectral normalisation ({}
            without either).
        opt_state: the optimiser's state.
        model: the Flax module (a constant of the pytree, not a leaf).
        optimizer: the optax transformation (likewise).
    """

    params: PyTree
    batch_stats: PyTree
    opt_state: optax.OptState
    model: linen.Module = flax.struct.field(pytree_node=False)
    optimizer: optax.GradientTransformation = flax.struct.field(pytree_node=False)

    __repr__ = short_repr

    @classmethod
    def create(
        cls,
        key: jax.Array,
        model: linen.Module,
        optimizer: optax.GradientTransformation,
        *example: jax.Array,
    ) -> "NetworkState":
        """Initialises a network and its optimiser; only the example inputs' shapes matter.

        Example:
            >>> import jax, jax.numpy as jnp, optax
            >>> from jaxdl.models import Generator
            >>> z = jnp.zeros((1, 100))
            >>> state = NetworkState.create(
            ...     jax.random.key(0), Generator(features=4, image_size=16), optax.sgd(2e-4), z)
            >>> state.params["conv_transpose_0"]["kernel"].shape
            (4, 4, 100, 8)
        """
        variables = _initial_variables(cls({}, {}, (), model, None), key, *example)
        return cls(
            params=variables["params"],
            batch_stats=variables.get("batch_stats", {}),
            opt_state=optimizer.init(variables["params"]),
            model=model,
            optimizer=optimizer,
        )

    def variables(self, params: PyTree | None = None) -> dict[str, PyTree]:
        """The collections for ``model.apply``, optionally with other parameters."""
        return {
            "params": self.params if params is None else params,
            "batch_stats": self.batch_stats,
        }

    def started_from(self, variables: Mapping[str, PyTree]) -> "NetworkState":
        """The network with other parameters and statistics, and a new optimiser state.

        Args:
            variables: ``params`` and, with BatchNorm, ``batch_stats``, of this network's shapes.

        Raises:
            ShapeError: the variables do not fit the network.
        """
        own = self.variables()
        given = jax.tree.map(jnp.asarray, {"batch_stats": {}, **variables})
        if differences := table_differences(leaf_table(given), leaf_table(own)):
            raise ShapeError(f"the variables do not fit {type(self.model).__name__}: {differences}")
        return self.replace(**given, opt_state=self.optimizer.init(given["params"]))

    def forward(
        self, *inputs: jax.Array, params: PyTree | None = None, axis_name: str | None = None
    ) -> tuple[jax.Array, PyTree]:
        """A forward pass in training mode: the output and the updated running statistics."""
        output, updates = self.model.apply(
            self.variables(params),
            *inputs,
            train=True,
            axis_name=axis_name,
            mutable=["batch_stats"],
        )
        return output, updates.get("batch_stats", {})

    def predict(self, *inputs: jax.Array) -> jax.Array:
        """A forward pass in evaluation mode, with the running statistics."""
        return self.model.apply(self.variables(), *inputs, train=False)

    def apply_gradients(
        self, gradients: PyTree, batch_stats: PyTree, loss: jax.Array | None = None
    ) -> "NetworkState":
        """Updates the parameters by one optimiser step, and sets the running statistics.

        ``loss`` is for optimisers that watch it, such as ``optax.contrib.reduce_on_plateau``.
        """
        watches = isinstance(self.optimizer, optax.GradientTransformationExtraArgs)
        extra = {"value": loss} if watches and loss is not None else {}
        updates, opt_state = self.optimizer.update(gradients, self.opt_state, self.params, **extra)
        return self.replace(
            params=optax.apply_updates(self.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )


@jax.jit
def _initial_variables(empty: NetworkState, key: jax.Array, *example: jax.Array) -> PyTree:
    """Compiles once per model; XLA drops the forward pass of initialisation as dead code."""
    return empty.model.init(key, *example, train=False)


def average_over(axis_name: str | None, tree: PyTree) -> PyTree:
    """The mean of every leaf over a parallel map's axis; without an axis, the tree itself."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def num_parameters(params: PyTree) -> int:
    """Number of trainable scalars.

    Example:
        >>> import jax.numpy as jnp
        >>> num_parameters({"kernel": jnp.zeros((3, 4)), "bias": jnp.zeros(4)})
        16
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
