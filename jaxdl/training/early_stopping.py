"""Early stopping: stop when a validation metric no longer improves."""

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

from jaxdl.errors import ConfigError

MODES = ("min", "max")


class EarlyStopping:
    """Stops after ``patience`` evaluations in a row without improvement.

    With b the best value so far, v is an improvement if v ≤ b − ``min_delta`` (mode "min") or
    v ≥ b + ``min_delta`` (mode "max"); with ``min_delta`` 0, a tie counts. The first number is
    always an improvement, NaN never.

    This class only decides: snapshot the weights whenever ``improved`` is true and restore them at
    the end. The course's loop ends with the *last* weights, although its text promises the best.
    One of its two versions of ``reset`` also sets the counter to 1, which stops the next run one
    evaluation early; here it restarts at 0.

    Args:
        monitor: the metric to read when called with a dict; ``reason`` names it too.
        mode: "min" if smaller is better, "max" if larger.
        patience: at least 0; 0 acts like 1.
        min_delta: the smallest improvement that counts, at least 0, in the metric's unit.

    Attributes:
        best: value of the latest improvement, None before the first.
        wait: evaluations since then.
        improved: whether the latest call was an improvement.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> stopping = EarlyStopping("val_accuracy", mode="max", patience=2)
        >>> [stopping(value) for value in (0.90, 0.92, 0.91, 0.92, 0.91, 0.90)]
        [False, False, False, False, False, True]
        >>> stopping.reason
        'val_accuracy has not improved on 0.92 for 2 evaluations'

    References:
        Course document 004, level 9.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "min",
        patience: int = 1,
        min_delta: float = 0.0,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"early stopping's mode is {mode!r}: use 'min' or 'max'")
        if patience < 0:
            raise ConfigError(f"early stopping's patience is {patience}: it must be at least 0")
        if not 0 <= min_delta < math.inf:
            raise ConfigError(f"early stopping's min_delta is {min_delta}: it must be at least 0")
        self.monitor = monitor
        self.mode = mode
        self.patience = patience
        self.min_delta = min_delta
        self.best: float | None = None
        self.wait = 0
        self.improved = False

    def __call__(self, metrics: SupportsFloat | Mapping[str, SupportsFloat]) -> bool:
        """Takes the metric, or a dict that contains it, and returns whether to stop."""
        value = self._monitored(metrics)
        self.improved = self._is_improvement(value)
        if self.improved:
            self.best = value
            self.wait = 0
        else:
            self.wait += 1
        return self._is_over

    @property
    def reason(self) -> str | None:
        """Why to stop, in one sentence; None while there is no reason."""
        if not self._is_over:
            return None
        evaluations = "1 evaluation" if self.wait == 1 else f"{self.wait} evaluations"
        if self.best is None:
            return f"{self.monitor} has been NaN for {evaluations}"
        margin = f" by {self.min_delta:g}" if self.min_delta else ""
        return f"{self.monitor} has not improved on {self.best:g}{margin} for {evaluations}"

    def reset(self) -> None:
        """Restarts the counter at 0; keeps the best value, as in the course."""
        self.wait = 0

    def state_dict(self) -> dict[str, Any]:
        """Settings and progress as JSON-serialisable values."""
        return dict(vars(self))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores what :meth:`state_dict` returned.

        Raises:
            ConfigError: keys are missing or unknown, or a setting is out of range.
        """
        if differing := set(state_dict) ^ set(vars(self)):
            raise ConfigError(
                f"not a state of EarlyStopping: the keys {sorted(differing)} are missing or unknown"
            )
        settings = ("monitor", "mode", "patience", "min_delta")
        EarlyStopping(**{name: state_dict[name] for name in settings})  # checks them
        vars(self).update(state_dict)

    @property
    def _is_over(self) -> bool:
        return self.wait >= max(self.patience, 1)

    def _monitored(self, metrics: SupportsFloat | Mapping[str, SupportsFloat]) -> float:
        if not isinstance(metrics, Mapping):
            return float(metrics)
        if self.monitor not in metrics:
            raise ConfigError(
                f"early stopping monitors {self.monitor!r}, the metrics have {sorted(metrics)}: "
                "monitor one of these"
            )
        return float(metrics[self.monitor])

    def _is_improvement(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        if self.mode == "min":
            return value <= self.best - self.min_delta
        return value >= self.best + self.min_delta
