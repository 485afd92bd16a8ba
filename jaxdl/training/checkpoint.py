"""Checkpoints: the unreplicated state and a small JSON beside it, kept by Orbax."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import flax.serialization
import jax

from jaxdl.errors import CheckpointError

PyTree = Any

KEPT_NEWEST = 2  # if the newest is damaged, its folder can be removed and the other one serves


class CheckpointStore:
    """A folder of checkpoints, one a step; use it in a ``with`` block.

    States are saved as plain nested dictionaries of arrays
    (:func:`flax.serialization.to_state_dict`), from one device's copy: what is written does not
    depend on how many devices there were. Saving goes on in the background; leaving the block
    waits for it and raises what went wrong.

    Args:
        folder: where the checkpoints go; made if it is missing.
        keep_every: keep every checkpoint whose step is a multiple of this (0 for none), beside
            the newest two.

    Example:
        >>> import tempfile, jax.numpy as jnp
        >>> folder = tempfile.mkdtemp()
        >>> with CheckpointStore(folder) as store:
        ...     store.save(3, {"w": jnp.arange(2.0)}, {"epoch": 1})
        >>> with CheckpointStore(folder) as store:
        ...     state, meta = store.restore({"w": jnp.zeros(2)})
        >>> state["w"].tolist(), meta["epoch"]
        ([0.0, 1.0], 1)
    """

    def __init__(self, folder: str | os.PathLike, keep_every: int = 0) -> None:
        import orbax.checkpoint as ocp
        from orbax.checkpoint.checkpoint_managers import preservation_policy as policy

        self._ocp = ocp
        self.folder = Path(folder).absolute()
        rules: list[policy.PreservationPolicy] = [policy.LatestN(KEPT_NEWEST)]
        if keep_every:
            rules.append(policy.EveryNSteps(keep_every))
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policy.AnyPreservationPolicy(rules)
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._manager.close()
        except (OSError, ValueError) as failure:
            raise CheckpointError(
                f"saving in {self.folder} failed: {failure}; older checkpoints are intact: free "
                "space there and start the same command again"
            ) from failure

    @property
    def latest_step(self) -> int | None:
        """The newest checkpoint's step, None where there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: PyTree, meta: dict[str, Any]) -> None:
        """Saves a state in the background.

        Args:
            step: steps done; must be larger than any saved before.
            state: a pytree of arrays on one device (see ``parallel.unreplicate``).
            meta: plain values that JSON holds.

        Raises:
            CheckpointError: Orbax refused the step, or an earlier save failed.
        """
        arguments = self._ocp.args.Composite(
            state=self._ocp.args.StandardSave(flax.serialization.to_state_dict(state)),
            meta=self._ocp.args.JsonSave(meta),
        )
        try:
            saved = self._manager.save(step, args=arguments)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"saving step {step} in {self.folder} failed: {error}; older checkpoints are intact"
            ) from error
        if not saved:
            raise CheckpointError(
                f"step {step} was not saved in {self.folder}, which holds "
                f"{sorted(self._manager.all_steps())}"
            )

    def restore(self, target: PyTree) -> tuple[PyTree, dict[str, Any]]:
        """Restores the newest checkpoint.

        Args:
            target: a state of the right structure, shapes and types, on one device.

        Returns:
            The state as it was saved, with the target's structure, and its JSON.

        Raises:
            CheckpointError: there is none, or it is one of another network.
        """
        step = self.latest_step
        if step is None:
            raise CheckpointError(f"{self.folder} holds no checkpoint")
        plain = flax.serialization.to_state_dict(target)
        abstract = jax.tree.map(self._ocp.utils.to_shape_dtype_struct, plain)
        arguments = self._ocp.args.Composite(
            state=self._ocp.args.StandardRestore(abstract), meta=self._ocp.args.JsonRestore()
        )
        try:
            restored = self._manager.restore(step, args=arguments)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"checkpoint {self.folder / str(step)} cannot be restored: {error}; remove that "
                "folder to continue from an older one, or choose another --workdir"
            ) from error
        return flax.serialization.from_state_dict(target, restored.state), restored.meta
