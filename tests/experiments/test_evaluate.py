"""evaluate: from images to a table, a folder and a verdict, and what it refuses."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import evaluate
from experiments.common import command_line
from jaxdl import data


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist", source="embedded").test.images[:200]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, few_digits, digits):
    """One run, with the folder it wrote and what it printed."""
    folder = tmp_path_factory.mktemp("evaluate")
    np.savez(folder / "digits.npz", images=digits[:80])
    config = evaluate.EvaluateConfig(
        source=str(folder / "digits.npz"), data_dir=few_digits, workdir=str(folder / "out")
    )
    return evaluate.run(config), folder / "out"


def test_it_writes_a_summary_and_a_picture(evaluated):
    result, folder = evaluated
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["n"] == 80
    assert summary["data"] == "idx"
    assert (summary["train"], summary["test"]) == (320, 96)
    assert len(summary["judge"]) == 64
    assert summary["verdict"] == result.verdict
    assert "no defect found" in summary["verdict"]
    for name in ("fid", "kid", "precision", "recall", "density", "coverage", "sure", "copied"):
        assert isinstance(summary[name], float)
        assert isinstance(summary["floors"][name], float)
    assert summary["fid"] < summary["floors"]["fid"]  # they are test images
    assert summary["fid_train"] == pytest.approx(summary["floors"]["fid_train"], rel=0.5)
    assert sum(summary["class_shares"]) == pytest.approx(1)
    height, width, _ = np.asarray(Image.open(folder / "neighbors.png")).shape
    assert min(height, width) > 100


def test_the_table_has_every_score(evaluated):
    result, _ = evaluated
    table = evaluate.score_table(result.evaluation)
    for name in ("FID", "KID", "precision", "coverage", "floor", "class 9", "distinct"):
        assert name in table
    assert f"{result.summary['fid']:.2f}" in table
    assert max(map(len, table.splitlines())) <= 80


def refusals(folder, digits):
    """Names of bad sources that are made in the folder, and a part of what is said."""
    np.savez(folder / "none.npz", images=digits[:0])
    np.savez(folder / "few.npz", images=digits[:64])
    np.savez(folder / "colour.npz", images=np.repeat(digits, 3, -1))
    np.savez(folder / "floats.npz", images=digits / 255)
    (folder / "text").mkdir()
    (folder / "text" / "notes.txt").write_text("hello")
    (folder / "cut").mkdir()
    Image.fromarray(digits[0, ..., 0]).save(folder / "cut" / "0.png")
    content = (folder / "cut" / "0.png").read_bytes()
    (folder / "cut" / "0.png").write_bytes(content[: len(content) // 2])
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text('{"program": "dcgan"}')
    (folder / "empty").mkdir()
    (folder / "weights.pt").write_bytes(b"hello")
    return {
        "none.npz": "holds no images",
        "few.npz": "64 images are too few: the judge has 64 features",
        "colour.npz": "colour (3 channels) and the judge knows grey",
        "floats.npz": "need uint8",
        "text": "notes.txt, which is no PNG file",
        "cut": "0.png is no readable PNG file",
        "run": "has no checkpoint yet",
        "empty": "is empty",
        "weights.pt": "weights.pt",
        "nowhere": "does not exist",
    }


def test_bad_sources_are_refused_and_nothing_is_written(tmp_path, monkeypatch, capsys, digits):
    monkeypatch.chdir(tmp_path)
    cases = {(name,): said for name, said in refusals(tmp_path, digits).items()}
    np.savez(tmp_path / "good.npz", images=digits)
    cases[("good.npz", "--judge", "weights.pt")] = "the judge weights.pt cannot be used"
    cases[("good.npz", "--judge", "nowhere")] = "cannot read the judge nowhere"
    cases[("good.npz", "--reference", "text")] = "text holds no pictures"
    cases[("good.npz", "--reference", "colour.npz")] = "grey (1 channel) and"
    cases[("good.npz", "--workdir", "run")] = "holds the results of 'dcgan'"
    before = sorted(tmp_path.rglob("*"))
    for arguments, said in cases.items():
        with pytest.raises(SystemExit) as caught:
            command_line.main(
                *("evaluate", evaluate.EvaluateConfig, evaluate.run, evaluate.__doc__),
                [*arguments, "--data_source", "embedded"],
            )
        error = capsys.readouterr().err
        assert caught.value.code == 2
        assert said in error
        assert len(error.splitlines()) == 1
        assert sorted(tmp_path.rglob("*")) == before


def test_a_generator_is_drawn_from(tmp_path):
    import jax

    from jaxdl.generation import TrainedGenerator, save_generator
    from jaxdl.models import Generator

    model = Generator(features=2, latent_dim=4, image_size=16)
    variables = jax.jit(lambda key: model.init(key, np.zeros((1, 4)), train=False))(
        jax.random.key(0)
    )
    path = save_generator(TrainedGenerator(model, variables), tmp_path / "g.safetensors")
    images, asked = evaluate.load_images(evaluate.EvaluateConfig(source=str(path), count=70))
    assert asked is None
    assert images.shape == (70, 16, 16, 1)
    assert images.dtype == np.uint8


def test_images_without_labels_are_compared_by_their_pixels(tmp_path, capsys, digits):
    np.savez(tmp_path / "real.npz", images=digits[:150])
    np.savez(
        tmp_path / "noise.npz",
        images=np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8),
    )
    result = evaluate.run(
        evaluate.EvaluateConfig(
            source=str(tmp_path / "noise.npz"),
            reference=str(tmp_path / "real.npz"),
            workdir=str(tmp_path / "out"),
        )
    )
    assert "sliced Wasserstein distance" in capsys.readouterr().out
    assert set(result.summary["floors"]) == {"swd", "copied", "distinct", "detail", "n", "n_train"}
    assert result.summary["judge"] is None
    assert result.summary["swd"] > 3 * result.summary["floors"]["swd"]
    assert "noisy" in result.verdict
