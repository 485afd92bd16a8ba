"""evaluator: the program that trains a judge."""

import json

import numpy as np
import pytest

from experiments import evaluator
from experiments.evaluator import EvaluatorConfig, command_of
from jaxdl import data, evaluation


def small(folder, **more):
    flags = {"num_devices": 1, "max_steps": 3, "epochs": 1, "hidden": 8}
    return EvaluatorConfig.from_preset("smoke", workdir=str(folder), **(flags | more))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_digits):
    folder = tmp_path_factory.mktemp("evaluator")
    return evaluator.run(small(folder, data_dir=few_digits)), folder


def test_it_writes_a_judge_with_its_record(trained, few_digits):
    result, folder = trained
    judge = evaluation.load_judge(folder / "judge.safetensors")
    summary = json.loads((folder / "summary.json").read_text())
    assert judge.hash == result.judge.hash == summary["judge"]
    assert judge.record["training_images"] == 320
    flags = judge.record["command"].split(" --")
    assert flags[0] == "python -m experiments.evaluator"
    assert sorted(flags[1:]) == ["batch_size 50", "epochs 1", "hidden 8", "max_steps 3"]
    test = data.load("mnist", few_digits).test
    right = judge.features(test.images)[1].argmax(-1) == test.labels
    assert judge.record["test_accuracy"] == pytest.approx(right.mean(), abs=1e-6)


@pytest.mark.slow
def test_the_same_command_gives_the_same_weights_and_another_seed_others(
    trained, few_digits, tmp_path
):
    result, folder = trained
    out = tmp_path / "again.safetensors"
    again = evaluator.run(small(tmp_path / "again", data_dir=few_digits, out=str(out)))
    assert again.judge.hash == result.judge.hash
    assert out.read_bytes() == (folder / "judge.safetensors").read_bytes()
    other = evaluator.run(small(tmp_path / "other", data_dir=few_digits, seed=1))
    assert other.judge.hash != result.judge.hash


def test_the_command_leaves_out_where_and_names_the_rest():
    usual = EvaluatorConfig(batch_size=125, workdir="x", data_dir="y", out="z.safetensors")
    assert command_of(usual) == "python -m experiments.evaluator"
    other = EvaluatorConfig(batch_size=125, seed=3, dataset="fashion_mnist")
    flags = set(command_of(other).split(" --")[1:])
    assert flags == {"seed 3", "dataset fashion_mnist"}


def test_images_are_trained_on_as_they_are_judged(rng):
    images = rng.integers(0, 256, (4, 28, 28, 1), np.uint8)
    inputs = evaluation.to_judge_size(images, 28)
    np.testing.assert_allclose(inputs, images / 127.5 - 1, atol=1e-6)
