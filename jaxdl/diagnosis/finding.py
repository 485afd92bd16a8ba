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

    def __str__(self) -> str:
        changes = ", ".join(f"{name} = {value}" for name, value in self.changes.items())
        return f"{self.text} ({changes})" if changes else self.text


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

    def __str__(self) -> str:
        lines = [f"{self.cause} ({self.sureness:.0%} sure)", *(f"  - {e}" for e in self.evidence)]
        if self.remedies:
            lines += ["  What to do:", *(f"  * {remedy}" for remedy in self.remedies)]
        return "\n".join(lines)


class Diagnosis(NamedTuple):
    """What was found in a run; printed, it says so in words.

    Attributes:
        findings: the first cause first; empty for a healthy run.
        facts: what the run showed in any case, as sentences with numbers.

    Example:
        >>> usual = Remedy("take the usual step size", {"learning_rate": 0.001})
        >>> late = Finding("rate too low", 0.9, ("the loss still falls",), (usual,))
        >>> Diagnosis((late,)).verdict, Diagnosis(()).verdict
        ('rate too low', 'healthy')
        >>> print(Diagnosis((late,), ("known are 91.0% of the test images",)))
        Diagnosis: rate too low
        <BLANKLINE>
        rate too low (90% sure)
          - the loss still falls
          What to do:
          * take the usual step size (learning_rate = 0.001)
        <BLANKLINE>
        known are 91.0% of the test images
    """

    findings: tuple[Finding, ...]
    facts: tuple[str, ...] = ()

    def __str__(self) -> str:
        facts = ["\n".join(self.facts)] if self.facts else []
        return "\n\n".join([f"Diagnosis: {self.verdict}", *map(str, self.findings), *facts])

    @property
    def verdict(self) -> str:
        """The first cause, or "healthy"."""
        return self.findings[0].cause if self.findings else HEALTHY
