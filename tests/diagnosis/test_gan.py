"""Faults of adversarial training named: from made-up logs, and from networks trained badly.

The made-up figures are those of real runs of ``experiments.dcgan`` with planted faults.
"""

import functools
import math

import jax
import numpy as np
import optax
import pytest

from jaxdl.diagnosis import diagnose_gan
from jaxdl.distributed import parallel
from jaxdl.models import Discriminator, Generator
from jaxdl.training import gan, rngs
from jaxdl.training.collapse import sample_figures

EVEN = [0.1] * 10
EIGHTS = [0.0] * 8 + [1.0, 0.0]


def outputs(d_x, d_g_z, loss_d=0.5, loss_g=2.0):
    return {"d_x": d_x, "d_g_z1": d_g_z, "d_g_z2": d_g_z, "loss_d": loss_d, "loss_g": loss_g}


def scores(fid, precision, recall=0.3, distinct=None, shares=EVEN):
    return {
        "fid": fid,
        "precision": precision,
        "recall": recall,
        "distinct": distinct,
        "class_shares": shares,
    }


HEALTHY = outputs(0.64, 0.36)
DIGITS = (0.34, 0.90)  # spread and magnitude
IMPROVING = [scores(8000, 0.0), scores(900, 0.1), scores(150, 0.6), scores(60, 0.8)]


def log(steps, last=HEALTHY, first=HEALTHY, samples=(DIGITS,), scored=IMPROVING):
    """A log whose first half of steps has some outputs and the second half others."""
    records = [
        {"kind": "step", "step": i, **(first if i <= steps / 2 else last)}
        for i in range(10, steps + 1, 10)
    ]
    for number, (spread, magnitude) in enumerate(samples, 1):
        at = steps * number // len(samples)
        figures = {"sample_spread": spread, "sample_magnitude": magnitude}
        records.append({"kind": "epoch", "step": at, **last, **figures})
    records += [
        {"kind": "score", "step": steps * i // len(scored), **one}
        for i, one in enumerate(scored, 1)
    ]
    return sorted(records, key=lambda record: record["step"])


STRONG = outputs(0.9998, 0.0005, 1e-3, 8.0)
BLANK = ((0.077, 0.075),) * 4
STILL = [scores(7200, 0.0, 0.0, 4.1, EIGHTS)] * 4
FEW = scores(500, 0.8, 0.0, 12.0, EIGHTS)
FAULTS = {
    "D always right": (log(400, STRONG, scored=[]), "saturated discriminator"),
    "D often right, G blank": (
        log(1500, outputs(0.96, 0.04), samples=BLANK, scored=STILL),
        "saturated discriminator",
    ),
    "rate 1e-7": (
        log(400, outputs(0.43, 0.48), outputs(0.42, 0.48), BLANK, STILL),
        "no learning",
    ),
    "rate 1e-6": (
        log(1500, outputs(0.63, 0.49), outputs(0.42, 0.48), BLANK, STILL),
        "no learning",
    ),
    "one image": (log(400, samples=((0.002, 0.9),), scored=[]), "collapse"),
    "twelve images": (
        log(1500, scored=[scores(9000, 0.0, 0.0, 14.0, EIGHTS), FEW, FEW]),
        "collapse",
    ),
    "one class": (
        log(1500, scored=[scores(150, 0.8, 0.05, None, EIGHTS)] * 4),
        "collapse",
    ),
    "what it could is lost": (
        log(1500, scored=[scores(225, 0.4), *[scores(3000, 0.0, 0.0, None, EIGHTS)] * 3]),
        "collapse",
    ),
    "rate 1": (
        log(1500, STRONG, outputs(0.9, 0.1, 244.0, 317.0), ((0.0, 1.0),), STILL),
        "divergence",
    ),
    "rate 1, stopped early": (
        log(24, outputs(1.0, 0.0, 1e-9, 23.0), outputs(0.9, 0.1, 244.0)),
        "divergence",
    ),
    "NaN in the log": (log(100, outputs(None, None)), "divergence"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_evidence_and_remedies(fault):
    records, cause = FAULTS[fault]
    found = diagnose_gan(records, {"learning_rate": 2e-3, "seed": 4})
    assert found.verdict == cause
    for finding in found.findings:
        assert 0 < finding.sureness <= 1
        assert all(any(c.isdigit() for c in text) or "finite" in text for text in finding.evidence)
        assert finding.remedies


@pytest.mark.parametrize(
    "records",
    [
        [],
        log(24, outputs(0.55, 0.50), samples=((0.005, 0.005),), scored=[]),  # the smoke preset
        log(290, outputs(1.0, 0.0), samples=BLANK, scored=STILL),  # too short for anything
        log(600, outputs(0.95, 0.04), samples=((0.05, 0.12), (0.13, 0.42)), scored=STILL[:2]),
        log(3000),
        log(3000, outputs(0.92, 0.08)),  # D knows a small data set by heart, G is good
        log(3000, outputs(0.995, 0.005)),
        log(3000, STRONG, scored=[scores(60, 0.8)] * 4),  # nothing left to gain
        log(600, samples=BLANK, scored=STILL),  # slow to leave the start
        log(1500, samples=((0.03, 0.05), (0.04, 0.06), (0.05, 0.08), (0.06, 0.09)), scored=[]),
        log(3000, scored=[]),  # without a judge
        log(3000, first=outputs(0.96, 0.0, 12.7, 32.7)),  # a healthy beginning
        log(3000, scored=[scores(300, 0.4), scores(1300, 0.0), scores(1100, 0.02)]),  # swings
        log(1500, scored=[scores(2000, 0.0), scores(600, 0.6, 0.05, None, EIGHTS)]),
    ],
)
def test_a_healthy_run_gives_no_alarm_at_any_of_its_steps(records):
    for steps in {r["step"] for r in records}:
        part = [r for r in records if r["step"] <= steps]
        assert diagnose_gan(part).verdict == "healthy", steps


def test_a_report_of_divergence_is_quoted():
    report = {"metric": "loss_g", "value": "nan", "step": 17, "leaf": None}
    found = diagnose_gan(log(20), {"learning_rate": 0.5, "beta1": 0.9}, report)
    (finding,) = found.findings
    assert finding.evidence == ("loss_g was nan at step 17",)
    assert finding.sureness == 1
    assert [dict(r.changes) for r in finding.remedies] == [{"learning_rate": 2e-4}, {"beta1": 0.5}]


def test_remedies_follow_from_the_settings():
    def changes(fault, **settings):
        (first, *_) = diagnose_gan(FAULTS[fault][0], settings).findings
        return [dict(remedy.changes) for remedy in first.remedies]

    assert changes("rate 1e-7", learning_rate=1e-7)[0] == {"learning_rate": 2e-4}
    assert {"learning_rate": 2e-4} not in changes("rate 1e-7", learning_rate=2e-4)
    assert changes("twelve images", latent_dim=1)[0] == {"latent_dim": 100}
    assert changes("D always right", learning_rate=1e-4)[0] == {"learning_rate": 1e-5}


def test_the_judges_histogram_and_the_number_of_samples_are_evidence():
    finding = diagnose_gan(FAULTS["twelve images"][0]).findings[0]
    assert "there are in effect 12 distinct samples" in finding.evidence
    assert "the judge sees 100% class 8" in finding.evidence


def test_facts_say_what_was_seen_and_whether_that_is_enough():
    found = diagnose_gan(log(100))
    assert found.facts[0] == "100 steps are too few to tell other faults from a beginning"
    assert "FID 60 at step 100, best 60 at 100" in found.facts


def train(images, generator_rate, discriminator_rate, steps, latent_dim=8):
    """What the log of a small DCGAN would hold."""
    networks = Generator(8, latent_dim, 16), Discriminator(8, 16)
    rates = (optax.adam(r, b1=0.5) for r in (generator_rate, discriminator_rate))
    state = gan.create_state(jax.random.key(0), *networks, *rates)
    inputs = gan.GANInputs(images, np.arange(len(images)), rngs.root_key(1))
    step = functools.partial(gan.batch_step, recipe=gan.GANRecipe(32))
    run, records = parallel.compile_steps(step, jax.devices()[:1], 50), []
    noise = jax.random.normal(jax.random.key(5), (64, latent_dim))
    for done in range(0, steps, 50):
        state, history = run(state, inputs, 0, 50)
        values = {name: np.asarray(each) for name, each in history.items()}
        for i in range(50):
            record = {name: float(each[i]) for name, each in values.items()}
            bad = {n: v if math.isfinite(v) else None for n, v in record.items()}
            records.append({"kind": "step", "step": done + i + 1, **bad})
        figures = sample_figures(gan.generate(state, noise))
        records.append({"kind": "epoch", "step": done + 50, **bad, **figures})
    return records


@pytest.mark.slow
def test_networks_that_are_trained_badly_are_diagnosed():
    blocks = np.random.default_rng(0).integers(0, 256, (1600, 4, 4, 1), np.uint8)
    varied = blocks.repeat(4, axis=1).repeat(4, axis=2)
    single = np.broadcast_to(varied[:1], varied.shape).copy()
    assert diagnose_gan(train(varied, 2e-4, 2e-4, 500)).verdict == "healthy"
    assert diagnose_gan(train(varied, 1e-7, 2e-3, 400)).verdict == "saturated discriminator"
    assert diagnose_gan(train(varied, 1e-7, 1e-7, 400)).verdict == "no learning"
    assert diagnose_gan(train(single, 2e-3, 2e-4, 1200)).verdict == "collapse"
    assert diagnose_gan(train(varied, 10.0, 10.0, 400)).verdict == "divergence"
