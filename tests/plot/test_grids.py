import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot import compare_grids, image_grid, image_rows, tile


def rendered(figure):
    """The figure's dots, (H, W, 3), as saved at its own resolution."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def test_tile_places_each_image_and_fills_the_last_row(rng):
    images = rng.integers(1, 256, (7, 3, 4, 1), dtype=np.uint8)
    grid = tile(images, columns=3, padding=2)
    assert grid.shape == (3 * (3 + 2) + 2, 3 * (4 + 2) + 2)
    expected = np.zeros_like(grid)
    for index, image in enumerate(images):
        top, left = 2 + index // 3 * 5, 2 + index % 3 * 6
        expected[top : top + 3, left : left + 4] = image[..., 0]
    np.testing.assert_array_equal(grid, expected)


def test_tile_keeps_colours_and_takes_fewer_images_than_columns(rng):
    images = rng.integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
    grid = tile(images, columns=10, padding=1, background=255)
    assert grid.shape == (7, 13, 3)
    np.testing.assert_array_equal(grid[1:6, 7:12], images[1])
    assert (grid[:, 6] == 255).all()


def test_tile_maps_the_value_range_and_clips():
    images = np.array([-1.0, 0.0, 1.0, -3.0, 3.0, -1 + 1.1 / 255]).reshape(1, 1, 6, 1)
    assert tile(images, padding=0).tolist() == [[0, 128, 255, 0, 255, 1]]
    halves = np.array([0.0, 0.5, 1.0], np.float16).reshape(1, 1, 3, 1)
    assert tile(halves, padding=0, value_range=(0, 1)).tolist() == [[0, 128, 255]]


def test_tile_undoes_the_usual_scaling_of_every_grey_level():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled = levels.astype(np.float32) / 127.5 - 1
    np.testing.assert_array_equal(tile(scaled, padding=0), levels[0, ..., 0])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_tile_takes_jax_arrays(dtype):
    assert tile(jnp.ones((1, 1, 1, 1), dtype), padding=0).tolist() == [[255]]


@pytest.mark.parametrize(
    "shape", [(3, 4, 4), (4, 4), (0, 4, 4, 1), (2, 4, 4, 2), (2, 1, 4, 4), (2, 0, 4, 1)]
)
def test_tile_refuses_other_shapes(shape):
    with pytest.raises(ShapeError, match="C = 1 or 3"):
        tile(np.zeros(shape))


def test_tile_refuses_other_types():
    with pytest.raises(ShapeError, match="int64"):
        tile(np.zeros((1, 2, 2, 1), np.int64))


def test_tile_counts_pixels_that_are_not_finite():
    images = np.zeros((2, 3, 3, 1))
    images[0, 0, :2, 0] = np.nan, np.inf
    with pytest.raises(ConfigError, match="2 of 18 values are NaN or infinite"):
        tile(images)


@pytest.mark.parametrize(
    "options", [{"columns": 0}, {"padding": -1}, {"background": 256}, {"value_range": (1, 1)}]
)
def test_tile_refuses_senseless_numbers(options):
    with pytest.raises(ConfigError):
        tile(np.zeros((1, 2, 2, 1)), **options)


@pytest.mark.parametrize(("size", "columns"), [(28, 10), (64, 10), (64, 32), (7, 3)])
def test_every_pixel_is_a_square_of_dots(rng, size, columns):
    images = rng.integers(0, 256, (2 * columns, size, size, 1), dtype=np.uint8)
    grid = tile(images, columns)
    dots = rendered(image_grid(images, columns=columns))
    scale = (dots.shape[1] - 16) // grid.shape[1]
    assert scale >= 1
    enlarged = np.kron(grid, np.ones((scale, scale), np.uint8))
    height, width = enlarged.shape
    for channel in range(3):
        np.testing.assert_array_equal(dots[8 : 8 + height, 8 : 8 + width, channel], enlarged)


def test_colour_images_are_shown_as_they_are(rng):
    images = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    dots = rendered(image_grid(images, columns=2, padding=0))
    scale = (dots.shape[1] - 16) // 16
    np.testing.assert_array_equal(dots[8:-8:scale, 8:-8:scale], tile(images, 2, 0))


def test_image_grid_has_title_labels_and_no_ticks():
    figure = image_grid(np.zeros((3, 28, 28, 1)), columns=2, title="Digits", labels=[7, 2, "1\n?"])
    (ax,) = figure.axes
    assert ax.get_title() == "Digits"
    assert [text.get_text() for text in ax.texts] == ["7", "2", "1\n?"]
    assert not ax.axison


def test_labels_stand_above_their_images_and_hide_none(rng):
    images = rng.integers(0, 255, (5, 28, 28, 1), dtype=np.uint8)
    figure = image_grid(images, columns=3, labels=["a", "b", "c", "a long name", "e"])
    shown = figure.axes[0].images[0].get_array()[..., 0]
    figure.canvas.draw()
    to_pixels = figure.axes[0].transData.inverted()
    height = (shown.shape[0] - 2) // 2
    for index, text in enumerate(figure.axes[0].texts):
        row, column = divmod(index, 3)
        box = to_pixels.transform_bbox(text.get_window_extent())
        top, left = 2 + row * height, 2 + column * 30
        image_top = top + height - 30
        np.testing.assert_array_equal(
            shown[image_top : image_top + 28, left : left + 28], images[index, ..., 0]
        )
        assert top - 1 <= min(box.y0, box.y1)
        assert max(box.y0, box.y1) <= image_top
        assert left - 1 <= box.x0
        assert box.x1 <= left + 28


def test_image_grid_refuses_a_wrong_number_of_labels():
    with pytest.raises(ShapeError, match="2 labels for 3 images"):
        image_grid(np.zeros((3, 4, 4, 1)), labels=["a", "b"])


def test_long_titles_stay_inside_the_figure():
    figure = image_grid(np.zeros((4, 28, 28, 1)), columns=2, title="a long title of words " * 9)
    figure.canvas.draw()
    box = figure.axes[0].title.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert box.y1 <= figure.bbox.height


def test_compare_grids_takes_grids_of_different_sizes(rng):
    left = rng.integers(0, 256, (9, 28, 28, 1), dtype=np.uint8)
    right = rng.uniform(-1, 1, (4, 64, 64, 3))
    figure = compare_grids(left, right, ("A", "B"), columns=3)
    assert [ax.get_title() for ax in figure.axes] == ["A", "B"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array()[..., 0], tile(left, 3))
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), tile(right, 3))
    a, b = (ax.get_window_extent() for ax in figure.axes)
    assert a.x1 < b.x0


def test_rows_have_their_names_beside_them():
    rows = {"black": np.full((3, 4, 4, 1), -1.0), "white,\nin two lines": np.ones((3, 4, 4, 1))}
    (ax,) = image_rows(rows, title="Two rows").axes
    assert ax.get_title() == "Two rows"
    picture = ax.get_images()[0].get_array()
    assert picture.shape[:2] == (2 * 6 + 2, 3 * 6 + 2)
    assert picture[2:6].max() == 0
    assert picture[8:12, 2:6].min() == 255
    assert [text.get_text() for text in ax.texts] == list(rows)
    assert [text.xy[1] for text in ax.texts] == [3.5, 9.5]
    assert ax.get_position().x0 > 0.1  # room for the names
    with pytest.raises(ShapeError, match=r"row 'b' has shape \(2, 4, 4, 1\), the first"):
        image_rows({"a": rows["black"], "b": rows["black"][:2]})
    with pytest.raises(ConfigError, match="rows"):
        image_rows({})
