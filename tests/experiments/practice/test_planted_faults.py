"""Planted faults: what the cases are, what the changes do, and how verdicts are counted."""

import collections

import numpy as np
import pytest

from experiments.measuring import fault_cases
from experiments.measuring.fault_cases import CHANGES, QUOTED, TUNING, Case
from experiments.practice import planted_faults
from experiments.practice.planted_faults import PlantedFaultsConfig, Verdict, count, table
from jaxdl.data import Split, data_facts
from jaxdl.diagnosis import CAUSES, HEALTHY

CASES = [*fault_cases.planted(), *fault_cases.healthy()]


def test_there_are_cases_of_every_cause_in_both_halves():
    faults = [case for case in CASES if case.cause != HEALTHY]
    assert len(faults) >= 40
    assert len(CASES) - len(faults) == 60
    assert {case.cause for case in faults} == set(CAUSES)
    assert min(collections.Counter(case.cause for case in faults).values()) >= 4
    assert len({case.name for case in CASES}) == len(CASES)
    for half in (TUNING, QUOTED):
        own = [case for case in CASES if case.half == half]
        assert {case.cause for case in own} == {*CAUSES, HEALTHY}
        assert {(case.network, case.dataset) for case in own} == {
            (network, dataset)
            for network in fault_cases.NETWORKS
            for dataset in ("digits", "small")
        }


@pytest.fixture
def parts(rng):
    def part(size):
        images = rng.integers(0, 256, (size, 5, 5, 1), dtype=np.uint8)
        return Split(images, (np.arange(size) % 10).astype(np.int32))

    return part(2000), part(400)


def changed(parts, kind, strength):
    return CHANGES[kind](parts, strength, np.random.default_rng(0))


def test_changes_of_labels_and_classes_are_as_strong_as_they_say(parts):
    train, test = parts
    noisy, same = changed(parts, "relabelled", 0.3)
    assert (noisy.labels != train.labels).mean() == pytest.approx(0.3)
    assert same is test
    shuffled, _ = changed(parts, "shuffled", 1)
    assert (shuffled.labels == train.labels).mean() == pytest.approx(0.1, abs=0.03)
    assert sorted(shuffled.labels) == sorted(train.labels)
    tailed, _ = changed(parts, "imbalanced", 50)
    counts = np.bincount(tailed.labels)
    assert counts[0] == 200
    assert counts[9] == pytest.approx(4, abs=6)
    rare, _ = changed(parts, "rare", 20)
    counts = np.bincount(rare.labels)
    assert counts[:5].tolist() == [200] * 5
    assert counts[5:].sum() == pytest.approx(50, abs=25)


def test_changes_of_images_are_as_strong_as_they_say(parts):
    facts = data_facts(*changed(parts, "leaked", 0.1), 10)
    assert facts["duplicates"]["test_in_train"] == 40
    facts = data_facts(*changed(parts, "repeated", 0.5), 10)
    assert facts["duplicates"]["within_test"] == 200
    assert len(changed(parts, "few", 60)[0].labels) == 60
    test = parts[1].images
    for kind, strength in (("rotated", 90), ("inverted", 1), ("noisy", 40), ("moved", 2)):
        train, other = changed(parts, kind, strength)
        assert train is parts[0]
        assert other.images.dtype == np.uint8
        assert (other.images != test).any()
    np.testing.assert_array_equal(changed(parts, "moved", 5)[1].images, test)  # all the way round


def test_verdicts_are_counted_by_cause():
    fault = Case("oscillation", "mlp", "digits", None, {}, 0)
    well = Case(HEALTHY, "mlp", "digits", None, {}, 0)
    verdicts = [
        Verdict(fault, "oscillation"),
        Verdict(fault, "rate too high"),
        Verdict(fault, HEALTHY),
        Verdict(well, HEALTHY),
        Verdict(well, "mismatch"),
    ]
    assert count(verdicts) == (3, 2, 1, 2, 1)
    row = next(line for line in table(verdicts).splitlines() if line.startswith("oscillation"))
    assert row.split()[1:4] == ["3", "2", "1"]
    assert "rate too high (1)" in row
    figure = planted_faults.matrix(verdicts)
    assert figure.axes[0].get_xlabel() == "Diagnosis"


@pytest.mark.slow
def test_runs_are_trained_once_and_diagnosed_again(tmp_path, monkeypatch, capsys):
    config = PlantedFaultsConfig.from_preset(
        "smoke", workdir=str(tmp_path), data_source="embedded", every=30
    )
    first = planted_faults.run(config)
    assert first.summary["halves"][QUOTED]["faults"] == 2
    monkeypatch.setattr(planted_faults, "train", lambda *_: pytest.fail("trained again"))
    assert planted_faults.run(config).summary["verdicts"] == first.summary["verdicts"]
    named = sum(v["planted"] == v["found"] for v in first.summary["verdicts"])
    assert named == len(first.summary["verdicts"])
    capsys.readouterr()
