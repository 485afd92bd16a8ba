"""A conditional DCGAN end to end: trained, resumed, judged, drawn by class."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import dcgan, evaluate, generate, interpolate
from experiments.common.gan_samples import fixed_inputs
from jaxdl import evaluation, generation
from jaxdl.data import make_dataset
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.errors import ConfigError


@pytest.fixture(scope="module")
def run(dcgan_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditional")
    return folder, dcgan.run(dcgan_config(folder, conditional=True))


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_sample_grid_has_a_row_for_each_class(run, dcgan_config):
    folder, result = run
    noise, labels = fixed_inputs(dcgan_config(folder), 10)
    assert labels.tolist() == np.repeat(np.arange(10), 10).tolist()
    np.testing.assert_array_equal(noise, fixed_inputs(dcgan_config(folder))[0])
    assert [part.shape for part in fixed_inputs(dcgan_config(folder), 3)] == [(30, 100), (30,)]
    with Image.open(folder / "samples" / "epoch_0002.png") as grid:
        assert grid.size == (182, 182)
    assert result.state.generator.model.num_classes == 10


def test_the_judge_says_how_many_samples_are_of_the_class_asked_for(run, dcgan_config):
    """The whole way again, from the weights in the folder."""
    folder, result = run
    best = result.summary["best"]
    logged = {r["step"]: r for r in records(folder) if "class_accuracy" in r}
    assert sorted(logged) == [3, 4, 6, 8]
    assert {"class_accuracy", "class_accuracy_raw"} <= set(logged[8])
    assert best["class_accuracy"] == logged[best["step"]]["class_accuracy"]
    generator = generation.load_generator(folder / "generator.safetensors")
    config = dcgan_config(folder)
    key = dcgan.rngs.stream(dcgan.rngs.root_key(config.seed), dcgan.rngs.Stream.EVALUATION)
    count = config.evaluate_samples
    noise = np.asarray(dcgan.rngs.normal_per_sample(key, np.arange(count), 100))
    labels = dcgan.data.load("mnist", config.data_dir).test.labels
    labels = np.resize(labels, count)
    images = np.round((generator.images(noise, labels) + 1) * 127.5).astype(np.uint8)
    found = (evaluation.load_judge().see(images).logits.argmax(1) == labels).mean()
    assert best["class_accuracy"] == pytest.approx(found, abs=0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_it_resumes_exactly(run, dcgan_config, tmp_path):
    result = run[1]
    dcgan.run(dcgan_config(tmp_path, conditional=True, max_steps=5))
    again = dcgan.run(dcgan_config(tmp_path, conditional=True))
    for ours, theirs in zip(*map(jax.tree.leaves, (result.state, again.state)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_labels_follow_images_that_stay_on_the_host(run, dcgan_config, tmp_path):
    dcgan.run(dcgan_config(tmp_path, conditional=True, max_steps=4, data_place="host"))
    for ours, theirs in zip(records(tmp_path)[:3], records(run[0])[:3], strict=True):
        assert (ours["loss_d"], ours["loss_g"]) == (theirs["loss_d"], theirs["loss_g"])


def test_one_class_is_generated_and_walks_pass_between_classes(run, tmp_path, capsys):
    folder, _ = run
    for name, label in (("all", None), ("seven", 7)):
        config = generate.GenerateConfig(
            source=str(folder), label=label, count=20, out=str(tmp_path / f"{name}.npz")
        )
        generate.run(config)
    assert "10 classes" in capsys.readouterr().out
    with np.load(tmp_path / "all.npz") as drawn, np.load(tmp_path / "seven.npz") as sevens:
        assert drawn["labels"].tolist() == [*range(10), *range(10)]
        assert set(sevens["labels"].tolist()) == {7}
        np.testing.assert_array_equal(drawn["images"][7], sevens["images"][7])
        assert (drawn["images"][8] != sevens["images"][8]).any()
    walk = interpolate.run(
        interpolate.InterpolateConfig(
            source=str(folder), anchors="3,8", steps=2, out=str(tmp_path / "walk")
        )
    )
    generator = generation.load_generator(folder)
    expected = generator.images(generator.noise([3, 8]), [3, 8])
    np.testing.assert_allclose(walk.images[0, [0, -1]], expected, atol=1e-5)
    with pytest.raises(ConfigError, match=r"label 10: .* knows the classes 0 to 9"):
        interpolate.run(interpolate.InterpolateConfig(source=str(folder), label=10))


@pytest.mark.slow
def test_evaluate_tells_the_accuracy_on_the_classes_asked_for(run, few_digits, tmp_path, capsys):
    folder, _ = run
    config = evaluate.EvaluateConfig(
        source=str(folder), count=100, data_dir=few_digits, workdir=str(tmp_path / "judged")
    )
    result = evaluate.run(config)
    assert 0 <= result.summary["class_accuracy"] <= 1
    judge = evaluation.load_judge()
    assert result.summary["floors"]["class_accuracy"] == judge.record["test_accuracy"]
    assert "of the class asked for" in capsys.readouterr().out


@pytest.mark.parametrize("fields", [{"pack": 2}])
def test_packs_of_several_classes_are_refused(dcgan_config, tmp_path, fields):
    with pytest.raises(ConfigError, match="--conditional with --pack 2: D is told one class"):
        dcgan.run(dcgan_config(tmp_path / "run", conditional=True, **fields))
    assert not (tmp_path / "run").exists()


def test_data_without_classes_are_refused(dcgan_config, tmp_path):
    digits = load_embedded()
    about = {"name": "mine", "source": "files", "location": "here", "num_classes": 1}
    parts = (
        part._replace(labels=np.zeros_like(part.labels)) for part in (digits.train, digits.test)
    )
    with pytest.raises(ConfigError, match="--conditional: the images of mine have no classes"):
        dcgan.check(dcgan_config(tmp_path, conditional=True), make_dataset(*parts, **about))
