"""What a diagnosis says: causes, each with its evidence and its remedies."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

HEALTHY = "healthy"
# What a classifier's run can suffer from: the course's causes, then faults of data and set-up.
CAUSES = (
    "model too small",
    "optimisation",
    "overfitting",
    "mismatch",
    "label noise",
    "shuffled labels",
    "imbalance",
    "leaked or duplicated test examples",
    "unscaled inputs",
    "dead units",
    "vanishing or exploding gradients",
    "rate too high",
    "rate too low",
    "oscillation",
    "loss and output that do not belong together",
    "training stopped too early",
)


class Remedy(NamedTuple):
    """Something to do about a cause.

    Attributes:
        text: what to do, one sentence without its full stop.
        changes: the settings of the run to change for it, by name, such as
            ``{"learning_rate": 0.001}``; empty where no setting helps.
    """

    text: str
    changes: Mapping[str, Any] = MappingProxyType({})


class Finding(NamedTuple):
    """A cause found in a run.

    Attributes:
        cause: its name.
        sureness: from 0 (a guess) to 1 (certain).
        evidence: sentences with numbers, the weightiest first.
        remedies: what to do, the likeliest to help first.
    """

    cause: str
    sureness: float
    evidence: tuple[str, ...]
    remedies: tuple[Remedy, ...] = ()


class Diagnosis(NamedTuple):
    """What was found in a run.

    Attributes:
        findings: the first cause first; empty for a healthy run.
        facts: what the run showed in any case, as sentences with numbers.

    Example:
        >>> late = Finding("rate too low", 0.9, ("the loss still falls",))
        >>> Diagnosis((late,)).verdict, Diagnosis(()).verdict
        ('rate too low', 'healthy')
    """

    findings: tuple[Finding, ...]
    facts: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The first cause, or "healthy"."""
        return self.findings[0].cause if self.findings else HEALTHY
