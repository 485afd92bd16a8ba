"""diagnose: the program on real runs, its commands, and the probe's decisions."""

import dataclasses
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from experiments import classifier, diagnose
from experiments.classifier import ClassifierConfig, resolved
from experiments.common import diagnosing, ingredients, probing
from experiments.common.probing import FASTER, LARGER, SAME, SLOWER, SMALLER, Sibling
from jaxdl.diagnosis import HEALTHY, Diagnosis, Finding, Remedy
from jaxdl.diagnosis.training_causes import USUAL_RATES
from jaxdl.errors import ConfigError, DivergenceError, WorkdirError

TINY = {
    "model": "mlp",
    "width": 8,
    "depth": 1,
    "batch_size": 64,
    "max_steps": None,
    "augment": "none",
    "seeds": 1,
    "num_devices": 1,
}


def trained(folder, data_dir, **flags):
    config = ClassifierConfig.from_preset(
        "smoke", workdir=str(folder), data_dir=str(data_dir), **(TINY | flags)
    )
    return classifier.run(config)


@pytest.fixture(scope="module")
def raw(tmp_path_factory, few_digits):
    """A run on pixels from 0 to 255."""
    folder = tmp_path_factory.mktemp("raw")
    trained(folder, few_digits, inputs="raw")
    return folder


def test_a_run_ends_with_its_diagnosis_and_the_program_gives_the_same(raw, capsys):
    content = json.loads((raw / "diagnosis.json").read_text())
    assert content["verdict"] == "unscaled inputs"
    assert content["evidence"] == content["findings"][0]["evidence"]
    assert "--inputs" not in content["remedies"][0]["command"]  # standard, the usual one
    (raw / "diagnosis.json").unlink()
    found = diagnose.run(diagnose.DiagnoseConfig(source=str(raw)))
    assert found == json.loads((raw / "diagnosis.json").read_text()) == content
    assert "Diagnosis: unscaled inputs" in capsys.readouterr().out


def test_a_run_that_diverges_is_diagnosed(tmp_path, few_digits, capsys):
    with pytest.raises(DivergenceError):
        trained(tmp_path, few_digits, optimizer="sgd", learning_rate=1e9, depth=4)
    assert json.loads((tmp_path / "diagnosis.json").read_text())["verdict"] == "rate too high"
    assert "Diagnosis: rate too high" in capsys.readouterr().out


def test_a_folder_of_another_version_gets_one_message(raw, tmp_path):
    for name in ("config.json", "metrics.jsonl", "facts.json"):
        (tmp_path / name).write_bytes((raw / name).read_bytes())
    facts = json.loads((tmp_path / "facts.json").read_text())
    del facts["data"]["neighbors"]
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(WorkdirError, match="lacks what a diagnosis needs"):
        diagnose.run(diagnose.DiagnoseConfig(source=str(tmp_path)))
    assert not (tmp_path / "diagnosis.json").exists()


def settings_of(**flags):
    return dataclasses.asdict(resolved(ClassifierConfig(workdir="runs/a b", **flags)))


def parsed(command):
    """The configuration that a remedy's command makes."""
    start, module, *flags = shlex.split(command)[1:]
    assert (start, module) == ("-m", "experiments.classifier")
    fields = {field.name: field for field in dataclasses.fields(ClassifierConfig)}
    values = {}
    for flag, text in zip(flags[::2], flags[1::2], strict=True):
        kind = type(getattr(resolved(ClassifierConfig()), fields[flag[2:]].name))
        values[flag[2:]] = kind(text) if kind in (int, float) else text
    return resolved(ClassifierConfig(**values))


@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        ({"model": "mlp", "width": 9, "epochs": 3}, {"learning_rate": 1e-4}),
        ({"model": "linear", "optimizer": "sgd"}, {"model": "mlp", "width": 256}),
        ({"model": "cnn", "width": 8, "augment": "none"}, {"augment": "rotation:30"}),
        ({"model": "mlp", "max_steps": 10}, {"epochs": 30, "max_steps": None}),
    ],
)
def test_a_remedys_command_is_the_run_with_its_changes(flags, changes):
    settings = settings_of(**flags)
    finding = Finding("rate too high", 1.0, ("",), (Remedy("do it", changes),))
    (remedy,) = diagnosing.remedies(finding, settings)
    again = parsed(remedy["command"])
    assert again.workdir == "runs/a b-2"
    own = {**settings, "workdir": "runs/a b-2"}
    wanted = own | changes
    if "model" in changes:
        usual = dataclasses.asdict(resolved(ClassifierConfig(model=changes["model"], width=256)))
        wanted |= {n: usual[n] for n in ("depth", "augment", "normalization")}
    assert dataclasses.asdict(again) == wanted


def test_remedies_that_change_nothing_or_do_not_fit_are_left_out():
    remedies = (
        Remedy("drop", {"dropout": 0.3}),
        Remedy("add", {"residual": True}),
        Remedy("normalise", {"normalization": "batch"}),
        Remedy("collect more images"),
    )
    finding = Finding("overfitting", 1.0, ("",), remedies)

    def texts(**flags):
        return [r["text"] for r in diagnosing.remedies(finding, settings_of(**flags))]

    assert texts(model="linear") == ["collect more images"]
    assert texts(model="cnn") == ["drop", "collect more images"]
    assert texts(model="mlp") == ["drop", "add", "normalise", "collect more images"]


def test_remedies_that_the_other_flags_forbid_are_left_out():
    remedies = (Remedy("stop", {"patience": 5}), Remedy("smooth", {"label_smoothing": 0.1}))
    finding = Finding("overfitting", 1.0, ("",), remedies)
    assert not diagnosing.remedies(finding, settings_of(model="mlp", validation=0.0, loss="focal"))
    assert len(diagnosing.remedies(finding, settings_of(model="mlp"))) == 2


def test_each_remedys_command_has_a_folder_of_its_own():
    two = tuple(Remedy("do it", {"learning_rate": rate}) for rate in (1e-4, 1e-5))
    findings = (Finding("rate too high", 1.0, ("",), two), Finding("optimisation", 0.5, ("",), two))
    content = diagnosing.as_values(Diagnosis(findings), settings_of(model="mlp"))
    commands = [r["command"] for finding in content["findings"] for r in finding["remedies"]]
    folders = [parsed(command).workdir for command in commands]
    assert folders == [f"runs/a b-{number}" for number in (2, 3, 4, 5)]


def test_a_healthy_runs_facts_are_its_evidence():
    content = diagnosing.as_values(Diagnosis((), ("known are all",)), settings_of(model="mlp"))
    assert (content["verdict"], content["evidence"]) == ("healthy", ["known are all"])


def test_what_is_no_folder_of_a_run_gets_one_message(tmp_path):
    for folder in (tmp_path, tmp_path / "nope", Path(__file__)):
        with pytest.raises(WorkdirError, match=r"not the folder of a run: it has no config\.json"):
            diagnosing.diagnose_folder(folder)
    (tmp_path / "config.json").write_text('{"program": "dcgan"}')
    with pytest.raises(ConfigError, match="--probe trains siblings of classifiers"):
        probing.probe(tmp_path, 1.0)


def test_the_usual_rates_are_those_of_the_program():
    assert {name: one.rate for name, one in ingredients.OPTIMIZERS.items()} == USUAL_RATES


def siblings(**accuracies):
    names = dict(zip(("own", "small", "large", "slow", "fast"), probing.COST, strict=True))
    return [Sibling(names[k], np.nan, v, np.nan) for k, v in accuracies.items()]


@pytest.mark.parametrize(
    ("accuracies", "cause"),
    [
        ({"own": 0.5, "small": 0.5, "large": 0.8, "slow": 0.5, "fast": 0.6}, "model too small"),
        ({"own": 0.5, "small": 0.8, "large": 0.4, "slow": 0.5, "fast": 0.5}, "optimisation"),
        ({"own": 0.5, "small": 0.5, "large": 0.5, "slow": 0.9, "fast": 0.1}, "rate too high"),
        ({"own": 0.5, "small": 0.5, "large": 0.6, "slow": 0.2, "fast": 0.9}, "rate too low"),
        ({"own": 0.9, "small": 0.9, "large": 0.93, "slow": 0.9, "fast": 0.9}, None),
    ],
)
def test_the_sibling_that_gains_most_decides(accuracies, cause):
    found = probing.decide(siblings(**accuracies), settings_of(model="mlp"))
    assert (found and found.cause) == cause
    assert list(probing.COST) == [SAME, SMALLER, LARGER, SLOWER, FASTER]


def test_a_decision_replaces_guesses_and_nothing_else():
    guess, fact = (Finding(cause, 0.6, ("",)) for cause in ("optimisation", "imbalance"))
    decision = Finding("model too small", 0.95, ("",))
    diagnosis = Diagnosis((fact, guess))
    assert diagnosing.decided(diagnosis, decision).findings == (fact, decision)
    for sure in (Diagnosis(()), Diagnosis((fact,))):
        assert diagnosing.decided(sure, decision) == sure
    assert diagnosing.decided(diagnosis, None) == diagnosis


@pytest.mark.slow
def test_a_probe_finds_the_width_that_was_too_small(tmp_path, few_digits, capsys):
    trained(tmp_path, few_digits, width=2, epochs=20)
    config = diagnose.DiagnoseConfig(source=str(tmp_path), probe=True, budget=20.0)
    assert diagnose.run(config)["verdict"] in ("model too small", "rate too low")
    assert "support vector machine" in capsys.readouterr().out


def test_healthy_in_one_line():
    content = {"verdict": HEALTHY, "findings": []}
    assert diagnosing.closing_line(content, "runs/a") == "Diagnosis: healthy."
