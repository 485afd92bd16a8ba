import numpy as np
import pytest

from jaxdl import evaluation
from jaxdl.errors import JudgeError, ShapeError
from jaxdl.evaluation import scores


@pytest.fixture(scope="module")
def reference(judge, digits):
    return evaluation.make_reference(judge.see(digits[0].test.images))


@pytest.fixture(scope="module")
def seen(judge, digits):
    return judge.see(digits[0].train.images[:300])


def test_real_digits_score_better_than_damaged_ones(judge, digits, reference, rng):
    train = digits[0].train
    real, few = train.images[:300], train.images[train.labels < 5][:300]
    noisy = np.clip(real + rng.normal(0, 100, real.shape), 0, 255).astype(np.uint8)
    good, missing, bad = (
        evaluation.quick_scores(judge.see(x), reference) for x in (real, few, noisy)
    )
    assert set(good) == {"fid", "kid", "precision", "recall", "sure", "class_entropy"}
    assert all(isinstance(value, float) for value in good.values())
    assert good["fid"] < 0.2 * missing["fid"]
    assert good["fid"] < 0.2 * bad["fid"]
    assert good["kid"] < 0.1 * min(missing["kid"], bad["kid"])
    assert good["precision"] > 0.8 > bad["precision"]
    assert good["recall"] > 0.8 > missing["recall"]
    assert good["sure"] > 0.95 > bad["sure"]
    assert good["class_entropy"] == pytest.approx(np.log(10), abs=0.01)
    assert missing["class_entropy"] < np.log(5.5)


@pytest.mark.parametrize(
    "changed",
    [lambda x: np.maximum(x, 12), lambda x: 20 + x * (200 / 255), lambda x: 0.9 * x],
    ids=["grey background", "less contrast", "dimmed"],
)
def test_shapes_count_and_faint_changes_of_grey_hardly_do(judge, digits, reference, changed):
    real = digits[0].train.images[:300]
    grey = changed(real.astype(float)).round().astype(np.uint8)
    moved = np.concatenate([real[:, :14], np.roll(real, 1, 0)[:, 14:]], 1)  # halves of two digits
    before, after, malformed = (
        evaluation.quick_scores(judge.see(x), reference) for x in (real, grey, moved)
    )
    assert after["fid"] - before["fid"] < 0.15 * (malformed["fid"] - before["fid"])
    assert after["precision"] > 0.9 * before["precision"] > malformed["precision"]


def test_scores_are_the_same_each_time(seen, reference):
    assert evaluation.quick_scores(seen, reference) == evaluation.quick_scores(seen, reference)


def test_too_few_images_or_another_judge_are_refused(seen, reference):
    few = seen._replace(features=seen.features[:64], logits=seen.logits[:64])
    with pytest.raises(ShapeError, match="64 images are too few: the judge has 64 features"):
        evaluation.quick_scores(few, reference)
    with pytest.raises(ShapeError, match="too few"):
        evaluation.make_reference(few)
    with pytest.raises(JudgeError, match="different judges"):
        evaluation.quick_scores(seen._replace(judge="another"), reference)


def test_repeated_images_are_counted_once_and_classes_are_named(judge, digits, reference):
    train = digits[0].train
    varied = evaluation.variety(judge.see(train.images[:300]), reference)
    assert varied["distinct"] > 10_000
    assert np.abs(np.array(varied["class_shares"]) - 0.1).max() < 0.06
    sevens = np.flatnonzero(train.labels == 7)[:3]
    repeated = evaluation.variety(judge.see(train.images[np.resize(sevens, 300)]), reference)
    assert repeated["distinct"] == pytest.approx(3, abs=0.05)
    assert np.argmax(repeated["class_shares"]) == 7
    with pytest.raises(JudgeError, match="different judges"):
        evaluation.variety(judge.see(train.images[:300])._replace(judge="other"), reference)


def test_class_scores_by_hand():
    logits = np.array([[9.0, 0, 0], [0, 9, 0], [0, 9, 0], [1, 1, 1.5]], np.float32)
    seen = evaluation.Seen(np.zeros((4, 2), np.float32), logits, "j")
    assert scores.class_shares(seen).tolist() == [0.25, 0.5, 0.25]
    found = scores.class_scores(seen)
    assert found["sure"] == 0.75
    assert found["class_entropy"] == pytest.approx(1.5 * np.log(2))
    assert scores.class_scores(seen, np.array([0.5, 0.5, 0]))["class_chi_square"] > 1000
