"""What is said of healthy and of damaged samples."""

import functools

import jax
import numpy as np
import pytest

from jaxdl import data, evaluation
from jaxdl.errors import JudgeError, ShapeError


def judged(make, seed, digits, references, judge):
    images = make(np.random.default_rng(seed), digits)
    return evaluation.evaluate_images(images, references, judge)


def check(found, said):
    verdict = evaluation.verdict(found)
    assert said in verdict, (verdict, found.scores)
    others = {
        *("no defect", "copies", "missing", "too frequent", "repeated", "malformed", "blurred"),
        "noisy",
    }
    named = {word for word in others if word in verdict.replace("with noise", "")}
    assert len(named) == 1, verdict


@pytest.fixture(scope="module", autouse=True)
def few_subsets():
    """The kernel distance of 100 subsets takes half of the time, and no verdict looks at it."""
    few = functools.partial(evaluation.scores.scores_against, kid_subsets=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.report, "scores_against", few)
        yield


@pytest.fixture(scope="module")
def found(cases, digits, references, judge):
    """The evaluation of a case by its name, each made once."""
    makers = {make.__name__: make for make in cases}

    @functools.cache
    def get(name):
        return judged(makers[name], 0, digits, references, judge)

    return get


@pytest.mark.parametrize(
    "name",
    [
        *("healthy", "copies", "one_image", "blurred"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                *("noisy_copies", "shifted_copies", "eight_classes", "too_many_ones", "mirrored"),
                *("pure_noise", "spotted"),
            )
        ),
    ],
)
def test_damages_are_told_apart(cases, found, name):
    said = {make.__name__: said for make, said in cases.items()}
    check(found(name), said[name])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_damages_are_told_apart_with_other_seeds(cases, digits, references, judge, seed):
    for make, said in cases.items():
        check(judged(make, seed, digits, references, judge), said)


def test_scores_stand_beside_those_of_real_images(found):
    one = found("healthy")
    assert set(one.scores) == set(one.floors)
    assert all(isinstance(value, float) for value in (one.scores | one.floors).values())
    assert one.counts == {"samples": 300, "floor": 300, "floor_train": 300}
    assert one.floors["fid"] < one.scores["fid"] < 0.25 * found("blurred").scores["fid"]
    assert one.floors["copied"] < 0.03
    assert one.floors["detail"] == pytest.approx(1, abs=0.05)


def test_copies_and_repetitions_are_counted(found):
    assert found("copies").scores["copied"] == 1
    assert found("healthy").scores["copied"] < 0.05
    assert found("one_image").scores["distinct"] == 1


def test_the_nearest_training_images_are_named(found, digits, references, judge):
    images = digits[0].train.images[100:400]
    nearest = evaluation.evaluate_images(images, references, judge).nearest
    assert nearest.tolist() == list(range(100, 120))


def test_a_perfect_generator_of_larger_images_reaches_the_floor(digits, judge):
    """Digits resized to 64×64, as its training images are, against digits on the same way."""
    dataset, more = digits
    images, real = more.images[:300], dataset.test.images[:300]
    enlarged, reference = (data.resize_bilinear(part, 64, 64) for part in (images, real))
    fid = [
        evaluation.quick_scores(judge.see(a), evaluation.make_reference(judge.see(b)))["fid"]
        for a, b in ((images, real), (enlarged, reference), (enlarged, real))
    ]
    assert fid[1] < 1.5 * fid[0]
    assert fid[2] > 1.2 * fid[1], fid


def test_few_images_or_another_judge_are_refused(digits, references, judge):
    with pytest.raises(ShapeError, match="1 image is too few"):
        evaluation.evaluate_images(digits[1].images[:1], references, judge)
    other = judge._replace(hash="0" * 64)
    with pytest.raises(JudgeError, match="different judges"):
        evaluation.evaluate_images(digits[1].images[:300], references, other)


def test_shifted_copies_are_found(rng):
    """The judge and principal components see a shifted stroke as another one."""
    others = rng.integers(0, 256, (30, 12, 12, 1), np.uint8)
    images = np.roll(others[:20], (1, -2), (1, 2))
    candidates = np.stack([np.arange(20), np.arange(20) + 5, np.arange(20) + 5], 1)
    found = evaluation.copies.shifted_distances(images, others, candidates)
    assert (found[:, 0] < 0.01).all()
    assert (found[:, 1] > 0.3).all()
    assert np.isinf(found[:, 2]).all()


def test_halves_hold_every_class_though_classes_come_in_turn():
    first, second = evaluation.references.halves(np.resize(np.arange(10), 1000))
    assert len(first) == len(second) == 500
    assert np.bincount(first).min() > 30
    assert sorted([*first, *second]) == sorted(np.resize(np.arange(10), 1000))


def test_real_images_reach_the_floor_of_memorisation(found):
    one = found("healthy")
    assert abs(one.floors["c_t"]) < 4
    assert 0.4 < one.floors["authentic"] < 0.7
    assert found("copies").scores["c_t"] < -10
    assert found("copies").scores["authentic"] < 0.05


def test_pixels_as_principal_components(rng):
    images = rng.integers(0, 256, (50, 8, 8, 1), np.uint8)
    basis = evaluation.pixels.make_basis(images, 8)
    codes, pixels, detail = evaluation.pixels.look_at(images, basis)
    rows = images.reshape(50, -1) / 127.5 - 1
    differences = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
    # 64 pixels have 64 components, so distances are those of the pixels.
    found = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    np.testing.assert_allclose(found, differences, rtol=1e-3, atol=1e-3)
    flat = np.full((1, 8, 8, 1), 7, np.uint8)
    stripes = np.tile(np.array([0, 255], np.uint8), 32).reshape(1, 8, 8, 1)
    assert evaluation.pixels.look_at(np.concatenate([flat, stripes]), basis).detail.tolist() == [
        0,
        2,
    ]
    np.testing.assert_array_equal(pixels, images)
    assert isinstance(detail, np.ndarray)
    assert not isinstance(codes, jax.Array)


def test_pairs_that_are_alike():
    codes = np.array([[0.0, 0], [0, 0], [0, 1], [9, 9]], np.float32)
    assert evaluation.pixels.alike_pairs(codes, 0.5) == pytest.approx(2 / 12)
    assert evaluation.pixels.alike_pairs(codes, 1.5) == pytest.approx(6 / 12)
