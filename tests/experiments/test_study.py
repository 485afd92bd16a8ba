"""The regularisation programs end to end, shrunk, and what a study says of made-up numbers."""

import contextlib
import io
import json
import math
import re
import shutil
import signal
import types

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import (
    cross_validation,
    mlp_augmentation,
    mlp_dropout,
    mlp_early_stopping,
    mlp_l2,
)
from experiments.common.comparison import differences_from_course
from experiments.common.console import Console
from experiments.common.session import Session
from experiments.common.study import Course, Outcome, compare, comparison_table
from jaxdl.data import stratified_train_test_split
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.distributed.devices import Devices
from jaxdl.errors import ConfigError
from jaxdl.models import MLP
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.rngs import root_key

STUDIES = {
    "mlp_l2": (mlp_l2, mlp_l2.MLPL2Config, ["baseline", "l2", "l1"]),
    "mlp_dropout": (mlp_dropout, mlp_dropout.MLPDropoutConfig, ["baseline", "wide", "dropout"]),
    "mlp_augmentation": (
        mlp_augmentation,
        mlp_augmentation.MLPAugmentationConfig,
        ["baseline", "augmentation"],
    ),
}
MODULES = [mlp_augmentation, mlp_dropout, mlp_early_stopping, mlp_l2]
FIELDS = {"mlp_l2": {"weight_decay": 0.5, "l1": 0.1}}  # to be seen in four steps


@pytest.fixture(scope="module", autouse=True)
def _two_hidden_layers():
    """Of six: they compile in a third of the time."""

    def shallow(hidden, **more):
        assert len(hidden) == 6
        return MLP(hidden[:2], **more)

    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            patch.setattr(module, "MLP", shallow)
        yield


def small(config_class, folder, **fields):
    fields = {"workdir": str(folder), "data_source": "embedded", "num_devices": 1, **fields}
    return config_class.from_preset("smoke", **fields)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("mlp_early_stopping", marks=pytest.mark.slow),
        pytest.param("mlp_dropout", marks=pytest.mark.slow),
        pytest.param("cross_validation", marks=pytest.mark.slow),
    ],
)
def test_a_study_that_is_stopped_gives_back_what_it_has_and_goes_on(
    tmp_path, capsys, monkeypatch, program
):
    module, config_class = {
        "mlp_dropout": (mlp_dropout, mlp_dropout.MLPDropoutConfig),
        "mlp_early_stopping": (mlp_early_stopping, mlp_early_stopping.MLPEarlyStoppingConfig),
        "cross_validation": (cross_validation, cross_validation.CrossValidationConfig),
    }[program]
    update, left = Console.update, [6]

    def interrupt(console, point, record):
        update(console, point, record)
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Console, "update", interrupt)
    stopped = module.run(small(config_class, tmp_path / "parts"))
    assert stopped.exit_status == 130
    assert stopped.summary == {}
    assert "Stopped by Ctrl-C after step" in capsys.readouterr().out
    assert not (tmp_path / "parts" / "summary.json").exists()
    done = module.run(small(config_class, tmp_path / "parts"))
    whole = module.run(small(config_class, tmp_path / "whole"))
    assert done.exit_status is None
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("parts", "whole")]
    parts, once = (re.sub(r', "seconds".*?_second": [\d.]+', "", text) for text in lines)
    assert parts == once
    assert untimed(done.summary) == untimed(whole.summary)


def untimed(value):
    if not isinstance(value, dict):
        return value
    return {n: untimed(v) for n, v in value.items() if n != "training_seconds"}


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """Runs a study once for all tests that look at it: its folder, result and what it printed."""
    done = {}

    def get(program):
        if program not in done:
            module, config_class, _ = STUDIES[program]
            folder, printed = tmp_path_factory.mktemp(program), io.StringIO()
            with contextlib.redirect_stdout(printed):
                result = module.run(small(config_class, folder, **FIELDS.get(program, {})))
            done[program] = folder, result, printed.getvalue()
        return done[program]

    return get


@pytest.mark.parametrize(
    "program", ["mlp_l2", pytest.param("mlp_dropout", marks=pytest.mark.slow), "mlp_augmentation"]
)
def test_a_study_trains_every_run_and_writes_its_folder(program, studied):
    folder, result, printed = studied(program)
    names = STUDIES[program][2]
    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary["runs"]) == names
    assert summary["seeds"] == [1, 2]
    assert summary["comparable_with_course"] is False
    assert summary["differences_from_course"][:2] == ["4,000 training images", "--max_steps 4"]
    for name in names:
        found = summary["runs"][name]["test_accuracy"]
        values = result.fitted[name].final("test_accuracy")
        assert found["values"] == values
        assert found["mean"] == pytest.approx(np.mean(values))
        assert found["sd"] == pytest.approx(np.std(values, ddof=1))
        assert all(0 <= value <= 1 for value in values)
    assert summary["runs"]["baseline"]["test_loss"]["course"] == 0.4081
    assert summary["runs"]["baseline"]["test_accuracy"]["course"] == 0.8801
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {record["run"] for record in log} == set(names)
    steps = [r["step"] for r in log if r["run"] == names[1] and r["kind"] == "step"]
    assert steps == [1, 2, 3, 4]
    for figure in ("accuracy_per_seed", "training_loss", "weights", "weights_near_zero"):
        with Image.open(folder / f"{figure}.png") as picture:
            assert np.asarray(picture).std() > 0
    assert "Not comparable with the course's figures: 4,000 training images, --max_" in printed
    assert "88.01%" not in printed
    assert summary["runs"]["baseline"]["test_accuracy"]["course_in_interval"] is None
    assert f"{names[-1]} against baseline, seed by seed: accuracy " in printed


def test_what_is_said_before_training_is_short_and_the_rest_is_on_record(studied):
    folder, _, printed = studied("mlp_augmentation")
    assert re.fullmatch(
        r"mnist: .*\nDevices: 1 × cpu\nbaseline: 2 seeds\n", printed[: printed.index("Epoch: ")]
    )
    record = json.loads((folder / "config.json").read_text())
    assert "not comparable" in record["notices"][0]
    assert record["devices"]["huge_pages"] in (True, False)


def test_the_runs_of_a_study_differ_in_what_they_should(studied):
    result = studied("mlp_l2")[1]
    norms = {name: result.summary["runs"][name]["weight_norm"] for name in ("baseline", "l2", "l1")}
    first = {name: f.log.records[0]["loss"] for name, f in result.fitted.items()}
    assert first["baseline"] == first["l2"] == first["l1"]
    for i in range(2):
        assert norms["l2"][i] < norms["baseline"][i]
        assert norms["l1"][i] < norms["baseline"][i]


@pytest.mark.usefixtures("no_pictures")
def test_a_study_continues_where_it_stopped(tmp_path, studied):
    config_class = mlp_augmentation.MLPAugmentationConfig
    mlp_augmentation.run(small(config_class, tmp_path, max_steps=2))
    parts = mlp_augmentation.run(small(config_class, tmp_path))
    assert parts.fitted["augmentation"].fitted.resumed_from == 2
    for name, fitted in studied("mlp_augmentation")[1].fitted.items():
        assert parts.fitted[name].final("test_loss") == fitted.final("test_loss")


@pytest.mark.usefixtures("no_pictures")
def test_a_finished_study_is_read_again_as_it_was(studied):
    folder, first, _ = studied("mlp_l2")
    again = mlp_l2.run(small(mlp_l2.MLPL2Config, folder, **FIELDS["mlp_l2"]))
    assert again.fitted["l2"].fitted.resumed_from == 4
    assert again.outcomes == first.outcomes


@pytest.mark.slow
def test_a_study_on_eight_devices_is_the_study_on_one(tmp_path):
    one = mlp_l2.run(small(mlp_l2.MLPL2Config, tmp_path / "one"))
    eight = mlp_l2.run(small(mlp_l2.MLPL2Config, tmp_path / "eight", num_devices=8))
    assert eight.summary["num_devices"] == 8
    for name in one.fitted:
        np.testing.assert_allclose(
            eight.fitted[name].final("test_loss"), one.fitted[name].final("test_loss"), rtol=1e-4
        )


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_early_stopping_compares_both_ways(tmp_path):
    config = small(
        mlp_early_stopping.MLPEarlyStoppingConfig,
        tmp_path,
        epochs=6,
        max_steps=None,
        batch_size=400,
        patience=1,
    )
    result = mlp_early_stopping.run(config)
    runs = result.summary["runs"]
    assert list(runs) == ["long_baseline", "early_stopping_course", "early_stopping"]
    long_run, sound = result.fitted["long_baseline"], result.fitted["early_stopping"]
    epochs = [r for r in long_run.log.records if r["kind"] == "epoch"]
    assert len(epochs) == 6
    for i, stop in enumerate(runs["early_stopping_course"]["stopped_epochs"]):
        stopping = EarlyStopping("test_accuracy", "max", 1)
        said = [stopping(epoch["test_accuracy"][i]) for epoch in epochs[:stop]]
        assert not any(said[:-1])
        assert said[-1] or stop == len(epochs)
        expected = epochs[stop - 1]["test_accuracy"][i]
        assert runs["early_stopping_course"]["test_accuracy"]["values"][i] == expected
    assert runs["early_stopping"]["best_epochs"] == sound.best_epochs
    assert runs["early_stopping"]["test_accuracy"]["values"] == sound.best("test_accuracy")


def test_the_held_out_part_is_disjoint_and_balanced():
    digits = load_embedded()
    config = mlp_early_stopping.MLPEarlyStoppingConfig()
    kept, held = mlp_early_stopping.hold_out(config, digits.train)
    assert (len(kept.labels), len(held.labels)) == (3600, 400)
    assert np.bincount(held.labels).tolist() == [40] * 10
    _, bare = stratified_train_test_split(digits.train.labels, 0.9, key=root_key(config.seed))
    assert (held.labels != digits.train.labels[bare]).any()  # the root key itself draws nothing
    ours = {image.tobytes() for image in np.concatenate([kept.images, held.images])}
    assert ours == {image.tobytes() for image in digits.train.images}


@pytest.mark.slow
def test_cross_validation_chooses_by_the_folds_and_looks_at_the_test_once(tmp_path, monkeypatch):
    two = {name: cross_validation.SETTINGS[name] for name in ("dropout", "plain")}
    monkeypatch.setattr(cross_validation, "SETTINGS", two)
    config = small(cross_validation.CrossValidationConfig, tmp_path, max_steps=8, outer_folds=2)
    result = cross_validation.run(config)
    assert set(result.validation) == set(cross_validation.SETTINGS)
    assert all(len(values) == 2 for values in result.validation.values())
    means = {name: np.mean(values) for name, values in result.validation.items()}
    assert means[result.chosen] == max(means.values())
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["runs"][result.chosen]["test_accuracy"]["values"] == result.test_accuracy
    log = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    tested = {r["run"] for r in log if "test_accuracy" in r}
    assert tested == {f"{result.chosen}-final"}
    scored = {}  # the last accuracy on the held-out part, by run
    for record in log:
        if "val_accuracy" in record:
            scored[record["run"]] = np.mean(record["val_accuracy"])
    assert len(result.nested) == config.outer_folds == 2
    for number, fold in enumerate(result.nested, 1):
        means = {
            name: np.mean([scored[f"outer{number}-{name}-fold{i}"] for i in (1, 2)])
            for name in cross_validation.SETTINGS
        }
        assert fold.promised == pytest.approx(max(means.values()))
        assert means[fold.chosen] == fold.promised
        assert fold.accuracy == scored[f"outer{number}-{fold.chosen}-final"]
    assert summary["nested"]["accuracy"]["values"] == [f.accuracy for f in result.nested]
    low, high = result.figures["accuracy_per_fold"].axes[0].get_ylim()
    assert -5 < low < high < 105  # no accuracies but those that are possible, in percent


def test_folds_partition_the_training_part():
    digits = load_embedded()
    config = cross_validation.CrossValidationConfig(folds=5)
    splits = cross_validation.fold_splits(config, digits.train)
    held = np.concatenate([part.images for _, part in splits])
    assert len(held) == 4000
    assert {i.tobytes() for i in held} == {i.tobytes() for i in digits.train.images}
    for train, part in splits:
        assert len(train.labels) == 3200
        assert not {i.tobytes() for i in train.images} & {i.tobytes() for i in part.images}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folds": 401}, "--folds 401, but the rarest class has 400 images"),
        ({"outer_folds": 401}, "--outer_folds 401, but the rarest class has 400 images"),
        ({"outer_folds": 1}, "--outer_folds 1: expected at least 2, or 0"),
        ({"folds": 201, "outer_folds": 2}, "without an outer fold the rarest class has 200"),
    ],
)
def test_folds_without_some_class_are_refused(fields, message):
    config = cross_validation.CrossValidationConfig(**fields)
    with pytest.raises(ConfigError, match=message):
        cross_validation.check_folds(config, load_embedded().train)


def test_an_outer_fold_is_kept_from_all_that_its_choice_sees():
    digits = load_embedded()
    config = cross_validation.CrossValidationConfig(folds=2, outer_folds=2)
    every = {image.tobytes() for image in digits.train.images}
    estimated = []
    for inner, finals in cross_validation.outer_runs(config, digits.train):
        for setting, final in finals.items():
            held = {image.tobytes() for image in final.evaluate_on["val"].images}
            rest = {image.tobytes() for image in final.train.images}
            assert not held & rest
            for run in inner[setting]:
                seen = [*run.train.images, *run.evaluate_on["val"].images]
                assert {image.tobytes() for image in seen} == rest
        estimated.append(held)
    assert estimated[0] | estimated[1] == every
    assert not estimated[0] & estimated[1]


@pytest.mark.parametrize(
    ("promised", "says"),
    [
        ([0.95, 0.96, 0.94], "The inner folds promised more (+5.0 ± 2.5 points)."),
        ([0.80, 0.81, 0.79], "The inner folds promised less (-10.0 ± 2.5 points)."),
        ([0.91, 0.90, 0.89], "No difference shown from what the inner folds promised"),
    ],
)
def test_what_nesting_says_follows_from_the_numbers(promised, says):
    # Differences from 0.90: of spread 0.01, t(2, 97.5%) = 4.3027, 4.3027·0.01/√3 = 0.0248.
    folds = [cross_validation.OuterFold("plain", p, 0.90) for p in promised]
    assert says in cross_validation.nested_sentence(folds)
    assert "chosen were plain 3 times" in cross_validation.nested_sentence(folds)


MADE_UP = [
    Outcome("baseline", [0.40, 0.42, 0.44], [0.880, 0.890, 0.900], Course(0.41, 0.85)),
    Outcome("better", [0.30, 0.32, 0.34], [0.900, 0.909, 0.921], Course(0.9, 0.91)),
    Outcome("same", [0.44, 0.42, 0.40], [0.900, 0.890, 0.880], None),
]


def test_what_a_study_says_follows_from_the_numbers():
    runs = compare(MADE_UP)
    better = runs["better"]["difference_to_baseline"]
    # Differences 2.0, 1.9, 2.1 points: mean 2.0, sd 0.1, t(2, 97.5%) = 4.3027, 4.3027·0.1/√3.
    assert better["test_accuracy"]["mean"] == pytest.approx(0.02)
    low, high = better["test_accuracy"]["interval"]
    assert (high - low) / 2 == pytest.approx(4.302653 * 0.001 / math.sqrt(3), rel=1e-5)
    assert better["accuracy_verdict"] == "better by 2.0 ± 0.2 points"
    assert better["loss_verdict"].startswith("better by 0.1")
    assert runs["same"]["difference_to_baseline"]["accuracy_verdict"].startswith(
        "no difference shown at 3 seeds"
    )
    assert runs["baseline"]["test_accuracy"]["course_in_interval"] is False
    assert runs["baseline"]["test_accuracy"]["course_in_prediction_interval"] is True
    assert runs["better"]["test_loss"]["course_in_prediction_interval"] is False
    assert "difference_to_baseline" not in runs["baseline"]


def test_the_table_shows_figures_course_and_verdicts():
    table = comparison_table(MADE_UP, compare(MADE_UP))
    assert re.search(r"baseline +89\.00 ± 1\.00 +86\.52 … 91\.48 +85\.00% \(within\)", table)
    assert "0.9000 (outside)" in table
    assert "better against baseline, seed by seed: accuracy better by 2.0 ± 0.2 points" in table


def test_a_run_is_comparable_with_the_course_s_if_nothing_of_weight_differs():
    full = load_embedded()._replace(source="idx", num_train=60_000)

    def differences(dataset=full, devices=1, **fields):
        config = mlp_l2.MLPL2Config(**{"batch_size": 64, **fields})
        found = Devices(jax.local_devices()[:1], devices, 0, [])
        return differences_from_course(Session(config, found, dataset, None, None))

    assert differences() == []
    assert differences(seed=7, seeds=2, log_every=1, workdir="x", save_every_seconds=1.0) == []
    assert differences(devices=3, batch_size=66) == [], "rounded up to equal shares"
    assert differences(dataset=load_embedded()) == ["4,000 training images"]
    assert differences(batch_size=128, epochs=2) == ["--epochs 2", "--batch_size 128"]
    assert differences(preset="quick", max_steps=300) == ["--max_steps 300"]
    assert differences(dataset=full, learning_rate=1e-4) == ["--learning_rate 0.0001"]


def test_a_table_that_is_not_comparable_leaves_the_course_out():
    table = comparison_table(MADE_UP, compare(MADE_UP, comparable=False), comparable=False)
    assert "course" not in table
    assert max(map(len, table.splitlines()[:6])) <= 80
    assert "better against baseline, seed by seed: accuracy better by 2.0 ± 0.2 points" in table


def test_intervals_of_accuracies_are_possible_accuracies():
    wild = [Outcome("baseline", [0.1, 2.3], [0.10, 0.95], Course(0.41, 0.85))]
    runs = compare(wild)
    found = runs["baseline"]
    assert found["test_accuracy"]["interval"] == [0, 1]
    assert found["test_accuracy"]["prediction_interval"] == [0, 1]
    assert found["test_loss"]["interval"][0] == 0
    assert "0.00 … 100.00" in comparison_table(wild, runs)


def test_one_seed_shows_nothing():
    single = [Outcome(o.name, o.test_loss[:1], o.test_accuracy[:1], o.course) for o in MADE_UP]
    runs = compare(single)
    assert runs["better"]["difference_to_baseline"]["accuracy_verdict"] == "one seed shows nothing"
    assert runs["better"]["test_accuracy"]["course_in_interval"] is None
    line = comparison_table(single, runs).split("\n")[2]
    assert "within" not in line
    assert "nan" not in line


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_a_study_keeps_checkpoints_and_warns_of_a_network_that_learns_nothing(tmp_path, capsys):
    """What DCGAN has, a study has: the options of a run are one place for all programs."""
    fields = {"epochs": 3, "max_steps": None, "keep_every": 2, "batch_size": 2000}
    config = small(
        mlp_augmentation.MLPAugmentationConfig, tmp_path, learning_rate=1e-9, seeds=1, **fields
    )
    fitted = mlp_augmentation.run(config).fitted["baseline"]
    kept = {int(p.name) for p in (tmp_path / "checkpoints" / "baseline").iterdir()}
    assert kept >= {4, 6}, "two steps an epoch: the second epoch's beside the newest"
    epochs = [r for r in fitted.log.records if r["kind"] == "epoch"]
    assert all("hardly uses its input" in r["warnings"][0] for r in epochs)
    assert "Warning: epoch 1: network 1 of 1 has an accuracy of" in capsys.readouterr().out


def test_looking_into_a_step_leaves_every_run_of_a_study_as_it_was(tmp_path, capsys, studied):
    shutil.copytree(studied("mlp_augmentation")[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "divergence.json").write_text('{"run": "augmentation"}')
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    longer = small(mlp_augmentation.MLPAugmentationConfig, tmp_path, max_steps=9, debug_step=6)
    assert mlp_augmentation.run(longer) is None
    assert "Repeated steps 5 to 6: every metric" in capsys.readouterr().out
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    assert after == before


def test_stops_are_marked_on_the_curves_and_runs_are_named_in_words():
    def fitted(accuracies):
        records = [
            {"kind": "epoch", "epoch": epoch, "test_accuracy": values}
            for epoch, values in enumerate(accuracies, start=1)
        ]
        return types.SimpleNamespace(log=types.SimpleNamespace(records=records), seeds=(1, 2))

    long_run, sound = mlp_early_stopping.LONG, mlp_early_stopping.SOUND
    runs = {long_run: fitted([(0.5, 0.6), (0.7, 0.8), (0.6, 0.9)]), sound: fitted([(0.4, 0.3)] * 2)}
    figure = mlp_early_stopping.accuracy_curves(runs, {long_run: [2, 3], sound: [1, 2]})
    marks = [line for line in figure.axes[0].get_lines() if line.get_marker() == "X"]
    assert marks[0].get_xydata().tolist() == [[2, 70], [3, 90]]
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Not stopped",
        "Stopped by the accuracy on held-out digits",
    ]
