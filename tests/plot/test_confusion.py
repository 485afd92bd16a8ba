import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot import confusion_matrix


def test_cells_hold_counts_and_shares_of_the_row():
    (ax,) = confusion_matrix([[3, 1, 0], [0, 0, 0], [1, 1, 6]], ["a", "b", "c"]).axes
    cells = [text.get_text() for text in ax.texts]
    assert cells == [
        *("3\n75.0%", "1\n25.0%", "0\n0.0%"),
        *("0\n–", "0\n–", "0\n–"),
        *("1\n12.5%", "1\n12.5%", "6\n75.0%"),
    ]
    assert [text.get_position() for text in ax.texts][1] == (1, 0)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted class", "True class")
    shades = ax.images[0].get_array()
    np.testing.assert_allclose(shades, [[0.75, 0.25, 0], [0, 0, 0], [0.125, 0.125, 0.75]])


def test_dark_cells_have_light_text():
    (ax,) = confusion_matrix([[9, 1], [2, 8]]).axes
    assert [text.get_color() for text in ax.texts] == ["white", "black", "black", "white"]


def test_one_class_and_a_hundred(tmp_path):
    assert confusion_matrix([[5]]).axes[0].texts[0].get_text() == "5\n100.0%"
    figure = confusion_matrix(np.eye(100, dtype=int))
    assert not figure.axes[0].texts
    figure.savefig(tmp_path / "hundred.png")


def test_other_matrices_are_refused():
    with pytest.raises(ShapeError, match=r"this one \(2, 3\)"):
        confusion_matrix(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="1 class names for 2"):
        confusion_matrix(np.eye(2), ["a"])
    for bad in (-1.0, 0.5):
        with pytest.raises(ConfigError, match="non-negative integers"):
            confusion_matrix([[1.0, bad], [0.0, 1.0]])
    with pytest.raises(ConfigError, match="NaN"):
        confusion_matrix([[1.0, np.nan], [0.0, 1.0]])
