import numpy as np
import pytest
from PIL import Image

from jaxdl.errors import ConfigError, ShapeError, WorkdirError
from jaxdl.generation import interpolate, slerp


def test_a_great_circle_in_the_plane():
    """By hand: thirds of a right angle."""
    points = slerp([2, 0], [0, 2], [0, 1 / 3, 2 / 3, 1])
    root = np.sqrt(3)
    np.testing.assert_allclose(points, [[2, 0], [root, 1], [1, root], [0, 2]], atol=1e-12)


def test_equal_shares_are_equal_angles_and_the_length_stays(rng):
    a, b = rng.normal(size=(2, 100))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    points = slerp(a, b, np.linspace(0, 1, 9))
    np.testing.assert_allclose(points[[0, -1]], [a, b])
    lengths = np.linalg.norm(points, axis=1)
    np.testing.assert_allclose(lengths, lengths[0])
    cosines = (points[1:] * points[:-1]).sum(1) / lengths[0] ** 2
    np.testing.assert_allclose(cosines, cosines[0])
    assert 0.9 < cosines[0] < 1


@pytest.mark.parametrize("distance", [0, 1e-12, 1e-7, 1e-3])
def test_near_vectors_have_no_trouble(distance):
    points = slerp([1, 0, 0], [1, distance, 0], [0, 0.5, 1])
    np.testing.assert_allclose(points[1], [1, distance / 2, 0], atol=distance**2)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 0], [-2.0, 0], "opposite"),
        ([1.0, 0], [0.0, 0], "zero"),
        ([1.0, 0], [np.nan, 0], "no number"),
        ([np.inf, 0], [1.0, 0], "no number"),
        ([1.0, 0], [1.0, 0, 0], "one length"),
        ([[1.0, 0]], [[1.0, 0]], "one length"),
    ],
)
def test_vectors_without_a_way_are_refused(a, b, message):
    with pytest.raises(ShapeError, match=message):
        slerp(a, b, [0.5])


def test_a_walk_visits_the_anchors(generator, tmp_path):
    anchors = generator.noise([3, 17, 42])
    walk = interpolate(generator, anchors, steps=4, names=[3, 17, 42])
    assert walk.z.shape == (2, 5, 8)
    assert walk.images.shape == (2, 5, 16, 16, 1)
    np.testing.assert_allclose(walk.z[:, 0], anchors[:2], rtol=1e-6)
    np.testing.assert_allclose(walk.z[:, -1], anchors[1:], rtol=1e-6)
    np.testing.assert_allclose(walk.images[0, -1], generator.images(anchors)[1], atol=1e-5)
    assert len(walk.animation.frames) == 9
    assert walk.animation.titles[0] == "3 → 17: 0%"
    assert walk.animation.titles[3:6] == ["3 → 17: 75%", "17 → 42: 0%", "17 → 42: 25%"]
    assert walk.animation.titles[-1] == "17 → 42: 100%"
    assert walk.animation.frames[0].shape == (256, 256)
    assert "3, 17, 42" in walk.figure.axes[0].get_title()
    assert "Walk(" in repr(walk)
    folder = walk.save(tmp_path / "walk")
    assert sorted(p.name for p in folder.iterdir()) == ["walk.gif", "walk.html", "walk.png"]
    with Image.open(folder / "walk.gif") as movie:
        assert movie.n_frames == 9
    with pytest.raises(WorkdirError, match="holds files already"):
        walk.save(folder)


def test_what_is_no_walk_is_refused(generator):
    z = generator.noise(range(3))
    for arguments in ({"anchors": z[:1]}, {"anchors": z, "steps": 0}):
        with pytest.raises(ConfigError, match="a walk needs two anchors"):
            interpolate(generator, **arguments)
    with pytest.raises(ConfigError, match="3 anchors, 2 names"):
        interpolate(generator, z, names="ab")
    with pytest.raises(ShapeError, match=r"needs \(N, 8\)"):
        interpolate(generator, z[:, :7])
    with pytest.raises(ShapeError, match="opposite"):
        interpolate(generator, [z[0], -z[0]])
