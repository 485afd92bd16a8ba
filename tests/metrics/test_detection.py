import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, jaccard_score, precision_recall_curve

from jaxdl import metrics
from jaxdl.errors import ConfigError, DataError, ShapeError


def random_boxes(rng, count):
    """Integer corners; a quarter of the boxes may be empty or inside out."""
    corners = rng.integers(0, 9, (count, 2, 2))
    proper = rng.random(count) < 0.75
    corners[proper] = np.sort(corners[proper], axis=1)
    return corners.reshape(count, 4)


def raster(box, size=8):
    """The unit cells of a box with integer corners."""
    x1, y1, x2, y2 = box
    cells = np.zeros((size, size), bool)
    cells[y1 : max(y1, y2), x1 : max(x1, x2)] = True
    return cells


def loop_iou(a, b, empty):
    union = (a | b).sum()
    return (a & b).sum() / union if union else empty


def test_boxes_match_counted_cells(rng):
    boxes, others = random_boxes(rng, 30), random_boxes(rng, 20)
    expected = [[loop_iou(raster(a), raster(b), 0) for b in others] for a in boxes]
    assert np.count_nonzero(expected) > 100
    np.testing.assert_allclose(metrics.box_iou(boxes, others), expected, rtol=1e-6)
    np.testing.assert_allclose(
        jax.jit(metrics.box_iou)(boxes.astype("u1"), others.astype("u1")), expected, rtol=1e-6
    )


def test_boxes_by_hand():
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 1, 5], [3, 3, 2, 2]])
    others = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [1, 1, 1, 5]])
    expected = [[1, 1 / 7, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(metrics.box_iou(boxes, others), expected)
    assert metrics.box_iou(np.zeros((0, 4)), others).shape == (0, 4)


def test_masks_match_a_loop_and_scikit_learn(rng):
    masks = rng.random((15, 4, 5)) < 0.4
    others = rng.random((20, 4, 5)) < 0.4
    masks[0] = others[0] = False
    masks[1] = True
    expected = [[loop_iou(a, b, 1) for b in others] for a in masks]
    sklearn = [
        [jaccard_score(b.ravel(), a.ravel(), zero_division=1.0) for b in others] for a in masks
    ]
    np.testing.assert_allclose(metrics.mask_iou(masks, others), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(metrics.mask_iou)(masks, others), sklearn, rtol=1e-6)
    assert metrics.mask_iou(masks, others)[0, 0] == 1
    assert metrics.mask_iou(masks, others)[0, 1] == 0
    assert metrics.mask_iou(masks[:0], others).shape == (0, 20)


def rankings(rng, count):
    """Scores and relevance of random length, with ties in every second one."""
    for case in range(count):
        size = int(rng.integers(1, 25))
        scores = rng.random(size)
        relevant = rng.random(size) < rng.random()
        yield (scores.round(1) if case % 2 else scores), relevant


def test_average_precision_matches_scikit_learn(rng):
    compared = 0
    for scores, relevant in rankings(rng, 400):
        if relevant.any():
            value = metrics.average_precision(scores, relevant, interpolation="none")
            expected = average_precision_score(relevant, scores)
            assert value == pytest.approx(expected, abs=1e-12)
            compared += 1
    assert compared > 300


def transcribed_average_precision(scores, relevant, total, interpolation):
    """The definition: the largest precision at any cut whose recall reaches r."""
    curve = []
    for cut in sorted(set(scores), reverse=True):
        kept = [bool(r) for s, r in zip(scores, relevant, strict=True) if s >= cut]
        curve.append((sum(kept), sum(kept) / len(kept)))
    if interpolation == "all":
        reach = [(n, 1) for n in range(1, total + 1)]  # every step of recall, n of total
    else:
        reach = [(total * i, 10) for i in range(11)]
    best = [max((p for hits, p in curve if hits * d >= n), default=0) for n, d in reach]
    return sum(best) / len(best)


@pytest.mark.parametrize("interpolation", ["all", "11"])
def test_average_precision_matches_its_definition(rng, interpolation):
    for scores, relevant in rankings(rng, 300):
        total = int(relevant.sum() + rng.integers(0, 4))
        if total:
            value = metrics.average_precision(scores, relevant, total, interpolation=interpolation)
            expected = transcribed_average_precision(scores, relevant, total, interpolation)
            assert value == pytest.approx(expected, abs=1e-12)


def test_average_precision_by_hand():
    relevant = [True, False, True, False]
    scores = [0.9, 0.8, 0.7, 0.6]
    assert metrics.average_precision(scores, relevant) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.average_precision(scores, relevant, 4) == pytest.approx((1 + 2 / 3) / 4)
    eleven = metrics.average_precision(scores, relevant, interpolation="11")
    assert eleven == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert metrics.average_precision([0.5, 0.5], [False, True]) == 0.5
    assert metrics.average_precision([np.inf, np.inf], [False, True]) == 0.5


@pytest.mark.parametrize("interpolation", ["all", "11", "none"])
def test_average_precision_of_nothing(interpolation):
    assert metrics.average_precision([], [], 3, interpolation=interpolation) == 0
    assert metrics.average_precision([0.5], [False], 3, interpolation=interpolation) == 0
    assert np.isnan(metrics.average_precision([], [], interpolation=interpolation))
    assert np.isnan(metrics.average_precision([0.5], [False], interpolation=interpolation))


def transcribed_matches(iou, scores, threshold):
    """Each detection, best first, looks through all truths still free."""
    free, hits = set(range(iou.shape[1])), [False] * len(scores)
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        reachable = [(iou[i, j], -j) for j in free if iou[i, j] >= threshold]
        if reachable:
            free.remove(-max(reachable)[1])
            hits[i] = True
    return hits


def test_matches_equal_a_plain_transcription(rng):
    for _ in range(300):
        detections, truths = rng.integers(0, 7, 2)
        iou = rng.random((detections, truths)).round(1)
        scores = rng.random(detections).round(1)
        threshold = float(rng.choice([0.3, 0.5, 0.9]))
        result = metrics.match_detections(iou, scores, threshold)
        assert result.tolist() == transcribed_matches(iou, scores, threshold)


def image(rng, classes=3):
    detections, truths = rng.integers(0, 6, 2)
    iou = metrics.box_iou(
        random_boxes(rng, detections).astype(float), random_boxes(rng, truths).astype(float)
    )
    return (
        iou,
        rng.random(detections),
        rng.integers(0, classes, detections),
        rng.integers(0, classes, truths),
    )


def test_mean_average_precision_matches_its_definition(rng):
    """Over 200 random sets of images, class by class, threshold by threshold."""
    for _ in range(200):
        images = [image(rng) for _ in range(4)]
        metric = None
        for arrays in images:
            part = metrics.MeanAveragePrecision.from_image(
                *arrays, num_classes=3, thresholds=(0.1, 0.5)
            )
            metric = part if metric is None else metric.merge(part)
        values = []
        for threshold in (0.1, 0.5):
            for label in range(3):
                scores, hits, total = [], [], 0
                for iou, s, c, t in images:
                    scores += s[c == label].tolist()
                    hits += transcribed_matches(
                        iou[c == label][:, t == label], s[c == label], threshold
                    )
                    total += int((t == label).sum())
                if total:
                    values.append(transcribed_average_precision(scores, hits, total, "all"))
        expected = np.mean(values) if values else np.nan
        assert metric.compute() == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_perfect_detections():
    boxes, classes = np.array([[0.0, 0, 1, 1], [2, 2, 4, 4]]), [0, 2]
    metric = metrics.MeanAveragePrecision.from_image(
        metrics.box_iou(boxes, boxes), [0.9, 0.8], classes, classes,
        num_classes=4, thresholds=(0.5, 0.95),
    )  # fmt: skip
    assert metric.compute() == metric.compute(interpolation="11") == 1
    np.testing.assert_array_equal(metric.per_class(), [[1, np.nan, 1, np.nan]] * 2)


def test_unusable_arguments():
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        metrics.box_iou(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        metrics.mask_iou(jnp.zeros((2, 3)), jnp.zeros((2, 4)))
    with pytest.raises(ConfigError, match="'12'"):
        metrics.average_precision([0.5], [True], interpolation="12")
    with pytest.raises(DataError, match="NaN"):
        metrics.average_precision([np.nan], [True])
    with pytest.raises(DataError, match="num_relevant = 0"):
        metrics.average_precision([0.5], [True], 0)
    with pytest.raises(ShapeError, match=r"\(2,\).*\(1,\)"):
        metrics.average_precision([0.5, 0.1], [True])
    with pytest.raises(ConfigError, match="threshold = 0"):
        metrics.match_detections(np.zeros((1, 1)), [0.5], 0)
    with pytest.raises(ShapeError, match=r"\(1, 1\)"):
        metrics.match_detections(np.zeros((1, 1)), [0.5, 0.1], 0.5)
    with pytest.raises(DataError, match="NaN"):
        metrics.match_detections(np.full((1, 1), np.nan), [0.5], 0.5)
    arrays = np.zeros((1, 1)), [0.5], [3], [0]
    with pytest.raises(DataError, match=r"class 3 is outside 0\.\.2"):
        metrics.MeanAveragePrecision.from_image(*arrays, num_classes=3)
    with pytest.raises(ShapeError, match=r"iou \(1, 1\)"):
        metrics.MeanAveragePrecision.from_image(np.zeros((1, 1)), [], [], [], num_classes=3)
    metric = metrics.MeanAveragePrecision.from_image(np.zeros((0, 0)), [], [], [], num_classes=3)
    other = metrics.MeanAveragePrecision.from_image(np.zeros((0, 0)), [], [], [], num_classes=2)
    with pytest.raises(ShapeError, match="must agree to merge"):
        metric.merge(other)


def test_a_precision_recall_curve_is_scikit_learns(rng):
    for count in (1, 7, 30):
        scores, relevant = rng.integers(0, 8, count) / 8, rng.random(count) < 0.5
        relevant[0] = True
        precision, recall = metrics.precision_recall_curve(scores, relevant)
        expected = precision_recall_curve(relevant, scores)
        np.testing.assert_allclose(precision, expected[0][-2::-1])
        np.testing.assert_allclose(recall, expected[1][-2::-1])
    assert metrics.precision_recall_curve([0.5], [True], 4)[1].tolist() == [0.25]
    assert np.isnan(metrics.precision_recall_curve([0.5], [False])[1]).all()
