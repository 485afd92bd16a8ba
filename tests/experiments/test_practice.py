"""What the practice programs share: what they say of made-up numbers, and a run of one of them."""

import dataclasses
import importlib.util
import json
import re

import numpy as np
import pytest

from experiments.common.findings import (
    Findings,
    chosen,
    draw_differences,
    draw_values,
    listed,
    spoken,
)
from experiments.common.parts import make_parts
from experiments.common.practice import (
    Practice,
    PracticeConfig,
    judged,
    measure_on_test,
    run_practice,
)
from experiments.common.study import Run
from experiments.practice import guide
from jaxdl import data, optim
from jaxdl.metrics.statistics import paired_difference
from jaxdl.models import MLP

MADE_UP = Findings(
    {
        "plain": {"test_accuracy": [0.88, 0.89, 0.90], "train_loss": [0.3, 0.2, 0.4]},
        "wide": {"test_accuracy": [0.90, 0.909, 0.921], "train_loss": [0.2, 0.1, 0.3]},
        "deep": {"test_accuracy": [0.90, 0.89, 0.88], "train_loss": [0.2, 0.3, 0.4]},
        "small": {"test_accuracy": [0.78, 0.791, 0.799], "train_loss": [0.5, 0.4, 0.6]},
        "whole": {"test_accuracy": [0.93, 0.938, 0.952]},
    },
    [("wide", "plain"), ("deep", "plain"), ("small", "plain"), ("whole", "wide")],
)


def test_the_sentence_follows_from_the_paired_intervals():
    assert MADE_UP.sentence("test_accuracy") == (
        "Test accuracy against plain, seed by seed: better with wide (by 2.0 ± 0.2 points); "
        "no difference shown at 3 seeds with deep (+0.0 ± 5.0 points); "
        "worse with small (by 10.0 ± 0.2 points). "
        "Test accuracy against wide, seed by seed: better with whole (by 3.0 ± 0.2 points)."
    )
    # "whole" has no training loss, so that pair is left out.
    assert MADE_UP.sentence("train_loss").startswith(
        "Training loss against plain, seed by seed: better with wide (by 0.1"
    )
    assert "whole" not in MADE_UP.sentence("train_loss")


def test_one_seed_and_a_diverged_run_show_nothing():
    one = Findings({"a": {"test_loss": [0.1]}, "b": {"test_loss": [0.2]}}, [("b", "a")])
    assert one.sentence("test_loss").endswith("seed by seed: one seed shows nothing with b.")
    diverged = Findings(
        {"a": {"test_loss": [0.1, 0.2]}, "b": {"test_loss": [0.2, np.nan]}}, [("b", "a")]
    )
    assert "nothing shown: not every figure is finite with b" in diverged.sentence("test_loss")


def test_the_entries_are_the_figures_and_their_paired_differences():
    found = MADE_UP.entries()
    assert found["wide"]["test_accuracy"]["values"] == [0.90, 0.909, 0.921]
    assert found["wide"]["test_accuracy"]["sd"] == pytest.approx(
        np.std([0.9, 0.909, 0.921], ddof=1)
    )
    difference = found["wide"]["difference_to_plain"]["test_accuracy"]
    expected = paired_difference([0.90, 0.909, 0.921], [0.88, 0.89, 0.90])
    assert difference["interval"] == [expected.low, expected.high]
    assert difference["verdict"] == "better by 2.0 ± 0.2 points"
    assert list(found["whole"]["difference_to_wide"]) == ["test_accuracy"]
    assert list(found["plain"]) == ["test_accuracy", "train_loss"]
    assert re.search(r"wide +91\.00 ± 1\.05 +0\.2000 ± 0\.1000\n", MADE_UP.table())
    assert re.search(r"whole +94\.00 ± 1\.11 +–$", MADE_UP.table())


def test_a_loss_is_chosen_low_and_a_share_high():
    values = {"a": {"val_loss": [0.2], "val_accuracy": [0.9]}}
    values["b"] = {"val_loss": [0.1], "val_accuracy": [0.8]}
    assert chosen(values, ["a", "b"], "val_loss") == "b"
    assert chosen(values, ["a", "b"]) == "a"


def test_what_is_judged_is_plain_cross_entropy_and_accuracy(rng):
    probabilities = rng.dirichlet(np.ones(3), (2, 20))
    labels = rng.integers(0, 3, 20)
    found = judged(probabilities, labels, "test")
    right = probabilities.argmax(-1) == labels[None]
    assert found["test_accuracy"] == pytest.approx(right.mean(1))
    likely = probabilities[:, np.arange(20), labels]
    assert found["test_loss"] == pytest.approx(-np.log(likely).mean(1))


def test_words():
    assert listed(["a", "b"]) == "a and b"
    assert spoken("test_average_precision") == "Test average precision"


def test_pictures_show_values_and_differences():
    figure = draw_differences(MADE_UP, "test_accuracy")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["wide − plain", "deep − plain", "small − plain", "whole − wide"]
    dots = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == pytest.approx([2, 0, -10, 3])
    complete = Findings({n: v for n, v in MADE_UP.values.items() if n != "whole"}, [])
    assert [ax.get_ylabel() for ax in draw_values(complete).axes] == [
        "Test accuracy (%)",
        "Training loss (nats)",
    ]
    assert draw_differences(complete, "test_accuracy") is None
    many = {str(i): complete.values["plain"] for i in range(9)}
    assert draw_values(Findings(many, [])) is None


@pytest.fixture(scope="module")
def practice():
    def make_runs(config, dataset):
        parts, adam = make_parts(dataset, config.validation, config.seed), optim.adam(1e-2)
        fields = {"train": parts.train, "evaluate_on": parts.evaluated}
        return [
            Run(name, MLP((w,)), adam, **fields) for name, w in {"small": 2, "wide": 30}.items()
        ]

    return Practice("made_up", make_runs)


def config_for(folder, data_dir, **fields):
    fields = {"seeds": 2, "max_steps": 8, "epochs": 3, "log_every": 2, **fields}
    return PracticeConfig(workdir=str(folder), data_dir=data_dir, num_devices=1, **fields)


@pytest.mark.usefixtures("no_pictures")
def test_a_comparison_trains_continues_and_writes_what_its_logs_say(tmp_path, few_digits, practice):
    assert run_practice(practice, config_for(tmp_path, few_digits, dry_run=True)) is None
    assert list(tmp_path.iterdir()) == []
    run_practice(practice, config_for(tmp_path / "parts", few_digits, max_steps=3))
    parts = run_practice(practice, config_for(tmp_path / "parts", few_digits))
    whole = run_practice(practice, config_for(tmp_path / "whole", few_digits))
    assert parts.fitted["wide"].fitted.resumed_from == 3
    assert parts.findings == whole.findings
    log = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    last = [r for r in log if r["kind"] == "epoch" and r["run"] == "wide"][-1]
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    for metric in ("test_accuracy", "test_loss", "train_loss"):
        assert summary["runs"]["wide"][metric]["values"] == last[metric]
    assert summary["sentence"] == whole.findings.sentence("test_accuracy")
    assert set(whole.figures) == {"comparison", "differences"}


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_candidates_are_chosen_on_validation_data_and_only_the_best_is_measured(
    tmp_path, few_digits
):
    def make_runs(config, dataset):
        parts = make_parts(dataset, config.validation, config.seed)
        fields = {"train": parts.train, "evaluate_on": {"val": parts.evaluated["val"]}}
        rates = {"plain": 1e-2, "rate=0": 1e-9, "rate=0.1": 1e-1, "rate=1": 1e-8}
        return [Run(name, MLP((9,)), optim.adam(rate), **fields) for name, rate in rates.items()]

    def measure(session, runs, fitted):
        assert [run.name for run in runs] == list(fitted) == ["plain", "rate=0.1"]
        return measure_on_test(session, runs, fitted)

    practice = Practice("made_up", make_runs, measure)
    result = run_practice(practice, config_for(tmp_path, few_digits))
    assert list(result.summary["runs"]) == ["plain", "rate=0.1"]
    assert list(result.fitted) == ["plain", "rate=0", "rate=0.1", "rate=1"]
    choice = result.summary["choices"]["rate"]
    assert choice["chosen"] == "rate=0.1"
    for name, found in choice["candidates"].items():
        assert found["val_accuracy"] == result.fitted[name].final("val_accuracy")
    log = (tmp_path / "metrics.jsonl").read_text()
    assert "val_accuracy" in log
    assert "test_" not in log
    test = data.load("mnist", few_digits).test
    found = [
        (result.fitted["plain"].predict(test.images, i) == test.labels).mean() for i in range(2)
    ]
    assert result.findings.values["plain"]["test_accuracy"] == pytest.approx(found)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_a_comparison_on_eight_devices_is_the_one_on_one(tmp_path, few_digits, practice):
    fields = {"batch_size": 96, "max_steps": 6}
    one = run_practice(practice, config_for(tmp_path / "one", few_digits, **fields))
    config = dataclasses.replace(
        config_for(tmp_path / "eight", few_digits, **fields), num_devices=8
    )
    eight = run_practice(practice, config)
    assert eight.summary["num_devices"] == 8
    for name, values in one.findings.values.items():
        for metric, expected in values.items():
            found = eight.findings.values[name][metric]
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_every_box_of_the_guide_names_a_program_that_exists():
    names = [box.program.split()[0] for box in guide.BOXES.values() if box.program]
    assert len(names) >= 8
    for name in names:
        assert importlib.util.find_spec(f"experiments.{name}") is not None, name
