import json

import jax
import numpy as np
import pytest

from jaxdl import data, evaluation
from jaxdl.errors import JudgeError, ShapeError, WeightsError
from jaxdl.evaluation.judge import FOLDER, check_same_judge


def test_the_packaged_judge_names_the_embedded_digits(judge):
    test = data.load("mnist", source="embedded").test
    features, logits = judge.features(test.images)
    assert features.shape == (1000, 64)
    assert features.dtype == np.float32
    assert (logits.argmax(-1) == test.labels).mean() >= 0.994


def test_the_packaged_judge_says_where_it_comes_from(judge):
    record = judge.record
    assert record["dataset"] == "mnist"
    assert record["training_images"] == 60_000
    assert record["test_accuracy"] >= 0.994
    assert record["command"] == "python -m experiments.evaluator"
    assert record["seed"] == 0
    assert (FOLDER / "mnist.safetensors").stat().st_size <= 500_000
    assert judge.network.hidden <= 128


def test_an_image_has_the_same_features_in_any_company(judge, digits):
    images = digits[0].test.images[:3]
    alone = np.concatenate([judge.features(images[i : i + 1])[0] for i in range(3)])
    many = judge.features(np.concatenate([images, digits[0].train.images[:600]]))[0]
    np.testing.assert_allclose(many[:3], alone, rtol=1e-4, atol=1e-4)
    assert judge.features(images[:0])[0].shape == (0, 64)


@pytest.mark.parametrize("size", [20, 32, 64])
def test_digits_of_other_sizes_are_recognised(judge, digits, size):
    images = data.resize_bilinear(digits[0].test.images, size, size)
    _, logits = judge.features(images)
    assert (logits.argmax(-1) == digits[0].test.labels).mean() >= 0.98


@pytest.mark.parametrize("size", [(28, 28), (20, 40), (64, 64), (1, 1)])
def test_images_are_resized_as_training_images_are_but_for_rounding(size, rng):
    images = rng.integers(0, 256, (4, *size, 3), np.uint8)
    ours = 127.5 * (np.asarray(evaluation.to_judge_size(images, 28)) + 1)
    theirs = data.resize_bilinear(images, 28, 28)
    assert np.abs(ours - theirs).max() <= 1.01  # two roundings, of half a grey value each


def test_what_cannot_be_judged_is_refused(judge):
    with pytest.raises(ShapeError, match=r"colour \(3 channels\) and the judge knows grey"):
        judge.see(np.zeros((2, 28, 28, 3), np.uint8))
    for images in (np.zeros((2, 28, 28, 1)), np.zeros((2, 28, 28), np.uint8)):
        with pytest.raises(ShapeError, match=r"need uint8 \(N, H, W, C\)"):
            judge.see(images)


def test_scores_of_two_judges_cannot_be_compared(judge):
    seen = judge.see(np.zeros((2, 28, 28, 1), np.uint8))
    check_same_judge(seen, seen)
    with pytest.raises(JudgeError, match="different judges"):
        check_same_judge(seen, seen._replace(judge="0" * 64))


@pytest.fixture(scope="module")
def small():
    """A judge with weights nobody trained."""
    network = evaluation.JudgeNetwork(widths=(2, 3), hidden=4, num_classes=5, channels=3)
    image = np.zeros((1, 28, 28, 3), np.float32)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), image, train=False))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape).astype(np.float32), shapes)
    return evaluation.make_judge(network, variables, dataset="toy", seed=7)


def test_a_judge_comes_back_from_its_file(small, tmp_path):
    path = tmp_path / "judge.safetensors"
    evaluation.save_judge(small, path)
    again = evaluation.load_judge(path)
    assert again.hash == small.hash
    assert again.network == small.network
    assert again.record == {"dataset": "toy", "seed": 7}
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(again.features(images)[0], small.features(images)[0])
    written = path.read_bytes()
    evaluation.save_judge(again, path)
    assert path.read_bytes() == written


def test_another_weight_is_another_judge(small):
    other = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.25, small.variables)
    assert evaluation.make_judge(small.network, other).hash != small.hash


def test_a_damaged_judge_is_refused(small, tmp_path):
    path = tmp_path / "judge.safetensors"
    evaluation.save_judge(small, path)
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    no_metadata = content.replace(b"__metadata__", b"__metadatA__")
    other_name = content.replace(b"dense_1/kernel", b"dense_2/kernel")
    for damaged in (flipped, content[:-5], content[:100], b"", no_metadata, other_name):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"judge\.safetensors") as caught:
            evaluation.load_judge(path)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(WeightsError, match="cannot read the judge"):
        evaluation.load_judge(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="cannot read the judge"):
        evaluation.load_judge(tmp_path)


def test_weights_of_something_else_are_no_judge(tmp_path):
    from jaxdl.interop import save_state_dict

    path = tmp_path / "weights.safetensors"
    save_state_dict(path, {"fc.weight": np.zeros((2, 2))})
    with pytest.raises(WeightsError, match="not the file of a judge"):
        evaluation.load_judge(path)


def test_the_metadata_are_plain_json(small, tmp_path):
    path = tmp_path / "judge.safetensors"
    evaluation.save_judge(small, path)
    content = path.read_bytes()
    table = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(table["__metadata__"]["judge"])
    assert about == {"dataset": "toy", "seed": 7, "hash": small.hash}
