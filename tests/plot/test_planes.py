import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot import contours_with_paths, decision_lines

CORNERS = [[0, 0], [0, 1], [1, 0], [1, 1]]
WINDOW = ((-1.5, 1.5), (-1.0, 1.0))


@pytest.mark.parametrize(
    ("weights", "bias"), [([0.5, 0.5], -0.25), ([2.0, 0.0], -1.0), ([0.0, -3.0], 2.5)]
)
def test_decision_line_lies_where_the_neuron_turns_over(weights, bias):
    (ax,) = decision_lines(CORNERS, [0, 0, 0, 1], {"neuron": (weights, bias)}).axes
    line = ax.get_lines()[-1]
    for point in (line.get_xy1(), line.get_xy2()):
        assert np.dot(weights, point) + bias == pytest.approx(0, abs=1e-12)
    arrow = ax.texts[0]
    assert np.dot(weights, arrow.xyann) + bias == pytest.approx(0, abs=1e-12)
    assert np.dot(weights, arrow.xy) + bias > 0


def test_decision_lines_draws_each_class_apart():
    (ax,) = decision_lines(CORNERS, [0, 1, 1, 0], {"OR": ([1, 1], -0.5)}).axes
    zero, one, _ = ax.get_lines()
    assert zero.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert one.get_xydata().tolist() == [[0, 1], [1, 0]]
    assert zero.get_marker() != one.get_marker()


def test_decision_lines_refuses_what_is_no_line():
    with pytest.raises(ConfigError, match="w = 0"):
        decision_lines(CORNERS, [0, 0, 0, 1], {"none": ([0, 0], 1.0)})
    with pytest.raises(ConfigError, match="NaN"):
        decision_lines(CORNERS, [0, 0, 0, 1], {"none": ([0, 1], np.nan)})
    with pytest.raises(ShapeError, match="labels has 3 values: need 4"):
        decision_lines(CORNERS, [0, 0, 0], {})
    with pytest.raises(ShapeError, match="inputs"):
        decision_lines([[0, 0, 1]], [0], {})


def test_contours_follow_the_function_and_paths_are_drawn():
    path = [[1.0, 1.0], [-1 / 9, 4 / 9], [2 / 27, 2 / 27]]
    figure = contours_with_paths(
        lambda x: 2 * x[0] ** 2 + x[1] ** 2,
        {"descent": path},
        *WINDOW,
        minima=[[0, 0]],
    )
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.get_lines()[0].get_xydata(), path)
    assert ax.get_lines()[1].get_xydata().tolist() == [[1.0, 1.0]]
    assert ax.get_lines()[2].get_xydata().tolist() == [[0, 0]]
    assert (ax.get_xlim(), ax.get_ylim()) == WINDOW
    contours = ax.collections[0]
    assert len(contours.levels) == 20 + 2
    for level, drawn in zip(contours.levels, contours.get_paths(), strict=True):
        x, y = drawn.vertices.T
        np.testing.assert_allclose(2 * x**2 + y**2, level, atol=2e-3)


def test_contours_take_a_constant_infinities_and_a_path_that_leaves(tmp_path):
    path = {"far": [[0.0, 0.0], [1e30, 1e30], [np.inf, np.nan]]}
    contours_with_paths(lambda x: jnp.float32(1.0), path, *WINDOW).savefig(tmp_path / "a.png")
    contours_with_paths(lambda x: jnp.log(x[0]), path, *WINDOW).savefig(tmp_path / "b.png")
    contours_with_paths(lambda x: jnp.nan * x[0], path, *WINDOW).savefig(tmp_path / "c.png")


def test_contours_refuse_other_shapes_and_windows():
    with pytest.raises(ShapeError, match=r"f gives shape \(2,\)"):
        contours_with_paths(lambda x: x, {}, *WINDOW)
    with pytest.raises(ShapeError, match="path 'a'"):
        contours_with_paths(lambda x: x[0], {"a": [1.0, 2.0]}, *WINDOW)
    with pytest.raises(ConfigError, match="below"):
        contours_with_paths(lambda x: x[0], {}, (1, 1), (0, 1))


def test_decision_lines_take_their_labels():
    (ax,) = decision_lines([[0, 0], [1, 1]], [0, 1], {}, xlabel="width", ylabel="height").axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width", "height")
