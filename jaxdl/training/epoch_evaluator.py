"""Evaluates several seeds at the end of each epoch, with early stopping per seed."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.data.dataset import Split
from jaxdl.distributed import parallel
from jaxdl.training.classifier import ClassifierState, Transform, evaluate
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.objective import Objective
from jaxdl.training.several_seeds import over_seeds


class Position(Protocol):
    """A position in a run, see ``run.schedule.Point``."""

    epoch: int
    step_in_epoch: int
    schedule: Any


class EpochEvaluator:
    """Evaluates every seed at the end of each epoch; stops seeds and keeps their best weights.

    A stopped seed is not trained further; the run ends when all have stopped.

    Args:
        parts: the parts to evaluate on, by name ("val", "test").
        transform: maps images to the networks' inputs.
        stopping: one :class:`EarlyStopping` per seed, or none.
    """

    def __init__(
        self,
        parts: Mapping[str, Split],
        transform: Transform,
        objective: Objective,
        stopping: Sequence[EarlyStopping] = (),
    ) -> None:
        self.parts = {
            name: Split(jnp.asarray(p.images), jnp.asarray(p.labels)) for name, p in parts.items()
        }
        self._rules = tuple(stopping)
        self.reset()

        def measure(state: ClassifierState, part: Split) -> Any:
            def one(network: Any) -> Any:
                return evaluate(network, part, transform, objective=objective)

            return over_seeds(one, jax.default_backend() == "cpu")(state.network)

        self._measure = jax.jit(measure)

    def __call__(
        self, point: Position, state: ClassifierState
    ) -> tuple[ClassifierState, dict, str | None]:
        """Evaluates all seeds; see ``run.task.Evaluator``."""
        on_one_device = parallel.unreplicate(state)
        record: dict[str, list[float]] = {}
        for name, part in self.parts.items():
            for metric, values in self._measure(on_one_device, part).items():
                record[f"{name}_{metric}"] = np.asarray(values).tolist()
        if not self.stopping or point.step_in_epoch < point.schedule.steps_per_epoch:
            return state, record, None  # max_steps cut it short: only whole epochs are judged
        return self._decide(point.epoch, state, record)

    def _decide(
        self, epoch: int, state: ClassifierState, record: dict
    ) -> tuple[ClassifierState, dict, str | None]:
        improved = np.zeros(len(self.stopping), bool)
        for i, stopping in enumerate(self.stopping):
            if self.stopped_epochs[i] is not None:
                continue
            over = stopping({name: values[i] for name, values in record.items()})
            improved[i] = stopping.improved
            self.best_epochs[i] = epoch if stopping.improved else self.best_epochs[i]
            self.stopped_epochs[i] = epoch if over else None
        active = np.array([stop is None for stop in self.stopped_epochs])
        state = _keep(state, improved, active)
        done = not active.any()
        return state, record, "; ".join(str(s.reason) for s in self.stopping) if done else None

    def reset(self) -> None:
        """Starts the rules afresh."""
        self.stopping = [copy.deepcopy(rule) for rule in self._rules]
        self.best_epochs: list[int | None] = [None] * len(self._rules)
        self.stopped_epochs: list[int | None] = [None] * len(self._rules)

    def state_dict(self) -> dict[str, Any]:
        """Each seed's early stopping, best epoch and stopped epoch."""
        return {
            # Copies: checkpoints are written in the background.
            "stopping": [stopping.state_dict() for stopping in self.stopping],
            "best_epochs": list(self.best_epochs),
            "stopped_epochs": list(self.stopped_epochs),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` returned."""
        for stopping, remembered in zip(self.stopping, state_dict["stopping"], strict=True):
            stopping.load_state_dict(remembered)
        self.best_epochs = list(state_dict["best_epochs"])
        self.stopped_epochs = list(state_dict["stopped_epochs"])


@jax.jit
def _keep(state: ClassifierState, improved: jax.Array, active: jax.Array) -> ClassifierState:
    """Stores the current weights as the best of the seeds that improved."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(improved.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

    now = {"params": state.network.params, "batch_stats": state.network.batch_stats}
    return state.replace(best=jax.tree.map(choose, now, state.best), active=jnp.asarray(active))
