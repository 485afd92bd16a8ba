"""A folder of one's own images: trained on, judged, drawn from, refused where it must be."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import classifier, dcgan, evaluate, evaluator
from experiments.common import command_line, own_images, run_data
from jaxdl import data, evaluation, generation
from jaxdl.distributed import memory
from jaxdl.errors import ConfigError, DataError
from jaxdl.run import gan_inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A hundred pictures of two classes, in two formats and several sizes, one of them damaged."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(100):
        place = root / ("bright" if number % 2 else "dark")
        place.mkdir(exist_ok=True)
        pixels = rng.integers(0, 100, (20 + number % 7, 24, 3), dtype=np.uint8)
        suffix = "png" if number % 3 else "jpg"
        Image.fromarray(pixels + 100 * (number % 2)).save(place / f"{number:02}.{suffix}")
    (root / "dark" / "00.jpg").write_bytes(b"nothing")
    return root


@pytest.fixture(scope="module")
def config(folder):
    """Makes a configuration of two steps."""

    def make(workdir, **fields):
        defaults = {
            "workdir": str(workdir),
            "images": str(folder),
            "skip_bad": True,
            "num_devices": 1,
            "max_steps": 2,
            "evaluate_samples": 20,
        }
        return dcgan.DCGANConfig.from_preset("smoke", **defaults | fields)

    return make


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """The folder and the result of a run."""
    workdir = tmp_path_factory.mktemp("run")
    return workdir, dcgan.run(config(workdir))


def test_a_run_on_a_folder_records_what_it_saw(run, folder):
    workdir, result = run
    record = json.loads((workdir / "config.json").read_text())
    assert record["data"]["name"] == folder.name
    assert record["data"]["source"] == "folder"
    assert record["data"]["train"] + record["data"]["test"] == 99
    assert record["data"]["classes"] == ["bright", "dark"]
    assert any("dark/00.jpg" in notice for notice in record["notices"])
    assert result.summary["judge"] is None
    assert np.isfinite(result.summary["scores"]["swd"])
    assert generation.load_generator(workdir).sample(2).shape == (2, 16, 16, 3)


def test_grey_is_one_channel(config, folder, tmp_path):
    loaded = run_data.load_data(config(tmp_path, grey=True))
    assert loaded.images.shape[1:] == (16, 16, 1)


def test_a_run_goes_on_where_the_folder_has_moved(run, config, folder, tmp_path):
    workdir, _ = run
    moved = shutil.copytree(folder, tmp_path / "moved")
    copied = shutil.copytree(workdir, tmp_path / "run")
    result = dcgan.run(config(copied, images=str(moved), max_steps=3))
    assert int(result.state.step) == 3
    (moved / "dark" / "02.png").unlink()
    with pytest.raises(command_line.UserError, match=r"another configuration .data fingerprint"):
        dcgan.run(config(copied, images=str(moved), max_steps=4))


@pytest.mark.slow
def test_evaluate_compares_with_the_runs_own_images(run, tmp_path, monkeypatch):
    workdir, _ = run
    fields = {"source": str(workdir), "count": 30, "workdir": str(tmp_path / "out")}
    result = evaluate.run(evaluate.EvaluateConfig(**fields))
    assert result.summary["data"] == "folder"
    assert result.summary["train"] + result.summary["test"] == 99
    monkeypatch.setenv("JAXDL_DATA_DIR", "")
    mnist = evaluate.with_data_of_run(evaluate.EvaluateConfig(source="samples.npz"))
    assert (mnist.dataset, mnist.reference) == ("mnist", None)


@pytest.mark.slow
def test_evaluate_takes_the_data_of_a_run_on_a_data_set(dcgan_run, few_digits):
    workdir, _ = dcgan_run
    found = evaluate.with_data_of_run(evaluate.EvaluateConfig(source=str(workdir)))
    assert (found.dataset, found.data_dir) == ("mnist", few_digits)
    other = evaluate.EvaluateConfig(source=str(workdir), dataset="fashion_mnist")
    assert evaluate.with_data_of_run(other) == other


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("more", [{}, {"discriminator_steps": 2}, {"num_devices": 2}], ids=str)
def test_the_three_places_give_the_same_bits(more, config, tmp_path, monkeypatch):
    """Also if a run goes on in another place, in the middle of a group of steps."""
    monkeypatch.setattr(gan_inputs, "GROUP_BYTES", 16 * 16 * 16 * 3 * 2 * 2)
    how = {"evaluate_samples": 0, "max_steps": 5, "epochs": 3, "sample_every": None, **more}
    results = {}
    for place in ("device", "host", "disk"):
        workdir = tmp_path / place
        if place == "disk":
            dcgan.run(config(workdir, **how | {"max_steps": 3, "data_place": "host"}))
        results[place] = dcgan.run(config(workdir, data_place=place, **how))
        assert int(results[place].state.step) == 5
    for place in ("host", "disk"):
        for one, other in zip(
            *(jax.tree.leaves(results[p].state) for p in (place, "device")), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        for name in ("loss_d", "loss_g", "d_x"):
            assert results[place].history.series(name) == results["device"].history.series(name)


def test_images_in_memory_do_not_go_to_disk(dcgan_config, tmp_path):
    with pytest.raises(ConfigError, match="--data_place disk"):
        dcgan.run(dcgan_config(tmp_path / "run", data_place="disk"))


def test_the_size_of_the_images_decides_where_they_are(config, tmp_path, monkeypatch):
    settings = config(tmp_path)
    dataset = run_data.load_data(settings)
    assert dcgan.find_place(settings, dataset) == "device"
    monkeypatch.setattr(memory, "device_bytes", lambda: 4 * dataset.images.shape[0] * 16 * 16 * 3)
    assert dcgan.find_place(settings, dataset) == "device"
    monkeypatch.setattr(memory, "device_bytes", lambda: 3 * dataset.images.shape[0] * 16 * 16 * 3)
    assert dcgan.find_place(settings, dataset) == "host"
    monkeypatch.setattr(memory, "host_bytes", lambda: dataset.images.shape[0] * 16 * 16 * 3)
    assert dcgan.find_place(settings, dataset) == "disk"
    in_memory = dataset._replace(images=np.asarray(dataset.images))
    assert dcgan.find_place(settings, in_memory) == "host"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": None, "skip_bad": False, "grey": True}, "--grey needs --images"),
        ({"images": None}, "--skip_bad needs --images"),
        ({"dataset": "cifar10"}, "--dataset is another source than --images"),
        ({"data_dir": "x"}, "--data_dir is another source"),
        ({"data_source": "idx"}, "--data_source is another source"),
    ],
)
def test_flags_that_do_not_go_together(fields, message, config, tmp_path):
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)


def test_damaged_pictures_end_a_run_before_it_begins(config, tmp_path):
    with pytest.raises(DataError, match=r"00\.jpg"):
        dcgan.run(config(tmp_path / "run", skip_bad=False))
    assert not (tmp_path / "run").exists()


def test_a_program_that_tells_classes_apart_refuses_a_single_one(tmp_path, monkeypatch, folder):
    one = data.load_image_folder(folder, data.Picture(8, grey=True), skip_bad=True)
    monkeypatch.setattr(data, "load", lambda *_, **__: one._replace(num_classes=1))
    with pytest.raises(DataError, match="has no classes"):
        classifier.run(classifier.ClassifierConfig(workdir=str(tmp_path / "run")))


@pytest.mark.slow
def test_a_judge_of_ones_own_classes(folder, tmp_path):
    flags = {"images": str(folder), "skip_bad": True, "workdir": str(tmp_path), "num_devices": 1}
    result = evaluator.run(evaluator.EvaluatorConfig.from_preset("smoke", **flags, hidden=4))
    judge = evaluation.load_judge(tmp_path / evaluator.FILE)
    assert judge.hash == result.judge.hash
    assert (judge.network.channels, judge.network.num_classes) == (3, 2)
    assert judge.record["source"] == "folder"


def test_progress_is_a_bar_on_a_terminal_and_a_line_elsewhere(
    folder, open_terminal, monkeypatch, capsys
):
    terminal = open_terminal()
    shown = own_images.Shown()
    shown("decoding", 30, 100)
    shown("decoding", 60, 100)
    shown.close()
    assert "decoding" in terminal.getvalue()
    assert "60/100" in terminal.getvalue()
    monkeypatch.setattr(own_images, "has_screen", lambda: False)
    monkeypatch.setattr(own_images, "SECONDS_BETWEEN_LINES", -1)
    own_images.Shown()("decoding", 1024, 2000)
    assert capsys.readouterr().out == "decoding: 1,024 of 2,000 files\n"
