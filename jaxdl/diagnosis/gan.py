"""Diagnosis of adversarial training, from the log of a run.

Named are, in this order: divergence, a saturated discriminator, collapse of the generator, and no
learning. The beginning of a healthy run looks like the last three: D is strong, and the samples are
blank, alike and of one class. So before 300 steps only divergence is named, before 1,000 only what
no healthy beginning shows, and later nothing that still gets better.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.diagnosis.finding import Diagnosis, Finding, Remedy

DIVERGENCE, SATURATED = "divergence", "saturated discriminator"
COLLAPSE, NO_LEARNING = "collapse", "no learning"

LEAST_STEPS, BEGINNING = 300, 1000  # steps
LAST = 0.25  # share of the steps at the end that is looked at
EXPLODED = 100.0  # nats; healthy losses reach 33 for a step or two
# Mean D(x) − D(G(z)) over a quarter of the steps. In healthy runs it reaches 0.979 in the beginning
# (step 450), 0.8 later, when D knows a small data set by heart, and 0.25 at least.
SURE_EARLY, SURE, STRONG, UNDECIDED = 0.995, 0.98, 0.85, 0.1
REAL_ENOUGH = 0.3  # precision of samples that look like digits: a strong D does no harm
UNREAL = 0.02  # precision of samples unlike anything real
SMALLER, LARGER = 0.8, 1.2  # a change of a score, or of the spread, that is progress
IDENTICAL = (
    0.1  # a pixel's spread over z, relative to the mean of |pixel|: 0.28 and more if healthy
)
BLANK, DRAWN = 0.1, 0.5  # mean of |pixel|: hardly left its start; no beginning any more
FEW_DISTINCT = 100  # images in effect; healthy samples have over 700
ONE_CLASS, CLEAR, MISSED = 0.5, 0.5, 0.1  # largest class, precision, and recall of a collapse
LOST = 8  # times the best Fréchet distance; healthy runs swing up to 4 times

USUAL = {"learning_rate": 2e-4, "beta1": 0.5, "latent_dim": 100}  # the course's
METRICS = ("loss_d", "loss_g", "d_x", "d_g_z1")


class _Trace(NamedTuple):
    """What the last part of a run shows; None for what was not recorded.

    Attributes:
        steps: steps done.
        d_x, d_g_z: mean outputs of D over the last quarter of the steps.
        parted: the largest difference of the two over any of ten parts of the run.
        largest: the largest loss of the whole run; infinite if one was not finite.
        sampled: the records with the samples' spread, oldest first.
        scored: the records with scores, oldest first.
    """

    steps: int
    d_x: float
    d_g_z: float
    parted: float
    largest: float
    sampled: list[Mapping[str, Any]]
    scored: list[Mapping[str, Any]]

    @property
    def separation(self) -> float:
        return self.d_x - self.d_g_z

    @property
    def early(self) -> bool:
        return self.steps < BEGINNING

    @property
    def spread(self) -> float:
        """A pixel's standard deviation over z in the last samples; NaN if not recorded."""
        return self.sampled[-1]["sample_spread"] if self.sampled else math.nan

    @property
    def magnitude(self) -> float:
        """The mean of |pixel| in the last samples; NaN if not recorded."""
        return self.sampled[-1]["sample_magnitude"] if self.sampled else math.nan

    @property
    def blank(self) -> bool:
        return self.magnitude < BLANK

    @property
    def identical(self) -> bool:
        """Whether samples hardly depend on z, and that is no beginning."""
        drawn = self.magnitude > (DRAWN if self.early else BLANK)
        return drawn and self.spread < IDENTICAL * self.magnitude

    def change(self, name: str) -> float:
        """A figure at the end, relative to that at half of the steps; 1 if not recorded."""
        records = [r for r in self.sampled + self.scored if r.get(name) is not None]
        before = [r for r in records if r["step"] <= self.steps / 2]
        return records[-1][name] / before[-1][name] if before and before[-1][name] else 1.0

    @property
    def moving(self) -> bool:
        """Whether the second half of the run still brought progress."""
        grows = self.change("sample_spread") > LARGER
        return grows or self.change("fid") < SMALLER or self.change("swd") < SMALLER

    @property
    def unreal(self) -> bool:
        """Whether samples have never looked real, and do not come nearer."""
        seen = [one.get("precision") for one in self.scored]
        if len(seen) < 3 or None in seen or max(seen) > REAL_ENOUGH or max(seen[-2:]) > UNREAL:
            return False
        first, now = (self.scored[i].get("fid") for i in (0, -1))
        return None in (first, now) or now > SMALLER * first

    @property
    def lost(self) -> tuple[float, float] | None:
        """The best precision and the last, if samples looked real once and no longer do."""
        scored = [r for r in self.scored if None not in (r.get("precision"), r.get("fid"))]
        if len(scored) < 3 or max(r["precision"] for r in scored[-2:]) > UNREAL:
            return None
        best = max(r["precision"] for r in scored)
        worse = min(r["fid"] for r in scored[-2:]) > LOST * min(r["fid"] for r in scored)
        return (best, scored[-1]["precision"]) if worse and best >= REAL_ENOUGH else None

    @property
    def convincing(self) -> bool:
        return bool(self.scored) and (self.scored[-1].get("precision") or 0) >= REAL_ENOUGH

    def score(self, name: str) -> Any:
        """The last value of a score, of G itself rather than of its average."""
        record = self.scored[-1] if self.scored else {}
        return record.get(f"{name}_raw", record.get(name))


def diagnose_gan(
    records: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
    divergence: Mapping[str, Any] | None = None,
) -> Diagnosis:
    """Names what is wrong with a run of adversarial training, if anything is.

    - divergence: a number was not finite, or a loss exceeded 100 and the run has not recovered;
    - saturated discriminator: over the last quarter D(x) − D(G(z)) is above 0.98 (0.995 early, or
      while samples get better) and no judge finds the samples convincing; or above 0.85 and the
      samples stay blank, or as unlike real images as at the start;
    - collapse: the samples hardly depend on z, fewer than 100 are distinct, they looked real once
      and no longer do, or the judge sees one class in most of them while they look real but
      resemble few real images;
    - no learning: D has never told real from generated, or the samples are as at the start.

    Args:
        records: the records of ``metrics.jsonl``, oldest first.
        settings: the run's settings by name, for the remedies. With another ``loss`` than "bce"
            D's outputs and the sizes of the losses tell nothing, and only the samples are looked
            at.
        divergence: the content of ``divergence.json``, if the run left one.

    Example:
        >>> steps = [{"kind": "step", "step": i, "loss_d": 1e-4, "loss_g": 9.0,
        ...           "d_x": 1.0, "d_g_z1": 1e-4} for i in range(1, 401)]
        >>> diagnose_gan(steps).verdict, diagnose_gan(steps[:100]).verdict
        ('saturated discriminator', 'healthy')

    References:
        Goodfellow et al., "Generative Adversarial Nets", 2014, section 3; Salimans et al.,
        "Improved Techniques for Training GANs", 2016.
    """
    settings = settings or {}
    trace = _trace(records)
    if divergence is not None or (trace is not None and math.isinf(trace.largest)):
        return Diagnosis((_not_finite(divergence, settings),), _facts(trace))
    if trace is None:
        return Diagnosis((), ("the log has no steps",))
    looks = (_saturated, _collapsed)
    if settings.get("loss", "bce") != "bce":  # D's outputs are no probabilities, losses no nats
        looks, trace = (_collapsed,), trace._replace(largest=0.0, parted=math.inf)
    if trace.steps < LEAST_STEPS:
        few = f"{trace.steps} steps are too few to tell other faults from a beginning"
        exploded = trace.largest > EXPLODED
        return Diagnosis((_exploded(trace, settings),) * exploded, (few, *_facts(trace)))
    found = [look(trace, settings) for look in looks]
    found = [one for one in found if one]
    found = found or [one for one in [_unlearnt(trace, settings)] if one]
    if found and trace.largest > EXPLODED:
        found.insert(0, _exploded(trace, settings))
    return Diagnosis(tuple(found), _facts(trace))


def _trace(records: Sequence[Mapping[str, Any]]) -> _Trace | None:
    kinds: dict[str, list] = {"step": [], "epoch": [], "score": []}
    for record in records:
        kinds.setdefault(record.get("kind", ""), []).append(record)
    points = [r for r in kinds["step"] or kinds["epoch"] if all(m in r for m in METRICS)]
    if not points:
        return None
    table = {m: np.array([np.nan if r[m] is None else r[m] for r in points]) for m in METRICS}
    steps = np.array([record["step"] for record in points])
    last = steps > (1 - LAST) * steps[-1]
    finite = all(np.isfinite(values).all() for values in table.values())
    differences = table["d_x"] - table["d_g_z1"]
    return _Trace(
        int(records[-1]["step"]),
        float(table["d_x"][last].mean()),
        float(table["d_g_z1"][last].mean()),
        max(float(part.mean()) for part in np.array_split(differences, 10) if len(part)),
        float(max(table["loss_d"].max(), table["loss_g"].max())) if finite else math.inf,
        [r for r in kinds["epoch"] if "sample_spread" in r],
        [r for r in records if r.get("kind") != "step" and ("fid" in r or "swd" in r)],
    )


def _not_finite(divergence: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Finding:
    evidence = "the log has a number that is not finite"
    if divergence:
        what = divergence.get("metric") or divergence.get("leaf") or "a number"
        value = divergence.get("value") or "not finite"
        evidence = f"{what} was {value} at step {divergence.get('step')}"
    return Finding(DIVERGENCE, 1.0, (evidence,), _calmer(settings))


def _exploded(trace: _Trace, settings: Mapping[str, Any]) -> Finding:
    evidence = (
        f"the largest loss was {trace.largest:.3g} nats; healthy ones stay below {EXPLODED:g}"
    )
    return Finding(DIVERGENCE, 0.9, (evidence,), _calmer(settings))


def _saturated(trace: _Trace, settings: Mapping[str, Any]) -> Finding | None:
    poor = (trace.blank or trace.unreal) and not (trace.early or trace.moving)
    sure = SURE_EARLY if trace.early or trace.moving else SURE
    if trace.convincing or trace.separation < (STRONG if poor else sure):
        return None
    evidence = [
        f"over the last quarter of the steps mean D(x) is {trace.d_x:.4f} and mean D(G(z)) "
        f"{trace.d_g_z:.4f}: a discriminator that is always right leaves G little gradient"
    ]
    evidence += _unlike_real(trace) if poor else []
    remedies = (
        *_calmer(settings),
        Remedy("give the discriminator a smaller step size than the generator"),
        _another_seed(settings),
    )
    sureness = 0.95 if trace.separation > sure else 0.8
    return Finding(SATURATED, sureness, tuple(evidence), remedies)


def _collapsed(trace: _Trace, settings: Mapping[str, Any]) -> Finding | None:
    if trace.blank:
        return None
    distinct, shares = trace.score("distinct"), trace.score("class_shares")
    settled, evidence = not trace.early, []
    if trace.identical:
        evidence.append(
            "the samples are nearly the same for every z: a pixel's standard deviation is "
            f"{trace.spread:.4f} on average, its size {trace.magnitude:.4f}"
        )
    growing = max(trace.change("sample_spread"), trace.change("distinct")) > LARGER
    if settled and distinct is not None and distinct < FEW_DISTINCT and not growing:
        evidence.append(f"there are in effect {distinct:.0f} distinct samples")
    precision, recall = trace.score("precision"), trace.score("recall")
    largest = max(shares) if shares else 0
    one_class = (precision or 0) >= CLEAR and recall < MISSED and largest >= ONE_CLASS
    if settled and one_class and (evidence or not trace.moving):
        evidence.append(
            f"{precision:.0%} of the samples look real, and they resemble only {recall:.0%} of the "
            "real images"
        )
    if settled and trace.lost:
        evidence.append(
            "{:.0%} of the samples once looked real, and now {:.0%}".format(*trace.lost)
        )
    if not evidence:
        return None
    evidence += [_histogram(shares)] if shares else []
    sure = min(0.95, 0.7 + 0.1 * (len(evidence) - bool(shares)))
    return Finding(COLLAPSE, sure, tuple(evidence), _for_variety(settings))


def _unlearnt(trace: _Trace, settings: Mapping[str, Any]) -> Finding | None:
    evidence = []
    if trace.parted < UNDECIDED:
        evidence.append(
            f"the discriminator has never told real from generated images: D(x) − D(G(z)) was "
            f"{trace.parted:.2f} at most (mean of a tenth of the {trace.steps} steps)"
        )
    stuck = (trace.blank or trace.unreal) and not (trace.early or trace.moving)
    if not evidence and not stuck:
        return None
    evidence += _unlike_real(trace)
    rate = settings.get("learning_rate")
    remedies = [Remedy("train longer")]
    if trace.parted < UNDECIDED:
        remedies.append(Remedy("give the discriminator a larger step size than the generator"))
    if rate is None or rate < USUAL["learning_rate"]:
        usual = {"learning_rate": USUAL["learning_rate"]}
        remedies.insert(0, Remedy(f"raise the step size to {usual['learning_rate']:g}", usual))
    return Finding(
        NO_LEARNING, min(0.95, 0.75 + 0.1 * len(evidence)), tuple(evidence), (*remedies,)
    )


def _unlike_real(trace: _Trace) -> list[str]:
    evidence = []
    if trace.blank:
        evidence.append(
            f"after {trace.steps} steps the samples are still blank: the mean of |pixel| is "
            f"{trace.magnitude:.3f}"
        )
    if trace.unreal:
        first, now = (trace.scored[i].get("fid") for i in (0, -1))
        change = (
            "" if None in (first, now) else f"; the Fréchet distance went {first:.4g} → {now:.4g}"
        )
        evidence.append(f"{trace.scored[-1]['precision']:.0%} of the samples look real{change}")
    return evidence


def _histogram(shares: Sequence[float]) -> str:
    frequent = sorted(enumerate(shares), key=lambda one: -one[1])[:3]
    texts = [f"{share:.0%} class {index}" for index, share in frequent if share > 0]
    return f"the judge sees {', '.join(texts)}"


def _calmer(settings: Mapping[str, Any]) -> tuple[Remedy, ...]:
    """Smaller steps: the course's if the run's are larger, or a tenth."""
    rate, found = settings.get("learning_rate"), []
    if rate is not None:
        lower = USUAL["learning_rate"] if rate > USUAL["learning_rate"] else rate / 10
        found.append(Remedy(f"lower the step size to {lower:g}", {"learning_rate": lower}))
    else:
        found.append(Remedy("lower the step size"))
    if settings.get("beta1", 0) > USUAL["beta1"]:
        found.append(Remedy("lower Adam's beta1 to 0.5", {"beta1": USUAL["beta1"]}))
    return tuple(found)


def _for_variety(settings: Mapping[str, Any]) -> tuple[Remedy, ...]:
    found = []
    if settings.get("latent_dim", USUAL["latent_dim"]) < 10:
        usual = USUAL["latent_dim"]
        found.append(Remedy(f"draw z of length {usual}", {"latent_dim": usual}))
    found += _calmer(settings)
    found.append(_another_seed(settings))
    found.append(Remedy("look whether the training images are as varied as they should be"))
    return tuple(found)


def _another_seed(settings: Mapping[str, Any]) -> Remedy:
    seed = settings.get("seed")
    return Remedy("start again from another seed", {} if seed is None else {"seed": seed + 1})


def _facts(trace: _Trace | None) -> tuple[str, ...]:
    if trace is None:
        return ()
    facts = [
        f"{trace.steps} steps; over the last quarter mean D(x) {trace.d_x:.3f}, "
        f"mean D(G(z)) {trace.d_g_z:.3f}"
    ]
    name = "fid" if trace.scored and "fid" in trace.scored[-1] else "swd"
    scores = [(r[name], r["step"]) for r in trace.scored if r.get(name) is not None]
    if scores:
        best, at = min(scores)
        facts.append(
            f"{name.upper()} {scores[-1][0]:.4g} at step {scores[-1][1]}, best {best:.4g} at {at}"
        )
    if shares := trace.score("class_shares"):
        facts.append(_histogram(shares))
    return tuple(facts)
