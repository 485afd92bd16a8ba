"""A rate that falls when the training loss no longer does."""

from typing import Any

import jax.numpy as jnp
import optax
from optax import contrib


def reduce_on_plateau(
    optimizer: optax.GradientTransformation, factor: float, patience: int, steps: int
) -> optax.GradientTransformationExtraArgs:
    """An optimiser whose updates shrink when the loss has not fallen for some time.

    ``optax.contrib.reduce_on_plateau`` after the optimiser, but with the largest float32 as the
    first best loss: a run takes infinity in its state for a divergence. ``update`` needs the loss
    as ``value``, which a classifier's training step gives.

    Args:
        optimizer: the optimiser.
        factor: what the updates are multiplied with each time, in (0, 1).
        patience: so many mean losses in a row that are not lower, by 1e-4 of the best.
        steps: each mean is over this many steps, such as an epoch's.

    Example:
        >>> optimizer = reduce_on_plateau(optax.sgd(1.0), 0.5, patience=1, steps=1)
        >>> state, updates = optimizer.init(0.0), []
        >>> for loss in (2.0, 1.0, 1.0, 1.0):
        ...     update, state = optimizer.update(1.0, state, value=loss)
        ...     updates.append(float(update))
        >>> updates
        [-1.0, -1.0, -0.5, -0.25]
    """
    plateau = contrib.reduce_on_plateau(factor, patience, accumulation_size=steps)

    def init(params: Any) -> contrib.ReduceLROnPlateauState:
        state = plateau.init(params)
        largest = jnp.finfo(state.best_value.dtype).max
        return state._replace(best_value=jnp.asarray(largest, state.best_value.dtype))

    return optax.chain(optimizer, optax.GradientTransformationExtraArgs(init, plateau.update))
