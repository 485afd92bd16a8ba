import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxdl.errors import ConfigError, WorkdirError
from jaxdl.plot import curves, image_grid, line_band, save_figure, tile
from jaxdl.plot.style import GREY

LABELS = {"xlabel": "Step", "ylabel": "Loss"}


def example():
    x = np.linspace(0, 9, 200)
    return curves(x, {"a": np.sin(x), "b": np.cos(x)}, title="Waves", smooth=9, **LABELS)


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_equal_figures_give_equal_bytes(tmp_path, suffix):
    figure = example()
    first = save_figure(figure, tmp_path / f"1.{suffix}").read_bytes()
    again = save_figure(figure, tmp_path / f"2.{suffix}").read_bytes()
    new = save_figure(example(), tmp_path / f"3.{suffix}").read_bytes()
    assert first == again == new


def test_png_has_the_figure_s_dots_and_no_metadata(tmp_path):
    with Image.open(save_figure(example(), tmp_path / "a.png")) as image:
        assert image.size == (960, 540)
        assert set(image.info) == {"dpi"}
    with Image.open(save_figure(example(), tmp_path / "a.png", dpi=50)) as image:
        assert image.size == (320, 180)


def test_saved_grid_pixels_are_exact(tmp_path, rng):
    images = rng.integers(0, 256, (100, 64, 64, 1), dtype=np.uint8)
    figure = image_grid(images)
    with Image.open(save_figure(figure, tmp_path / "a.png")) as image:
        assert image.size == (662 + 16, 662 + 16)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[8:-8, 8:-8, 1], tile(images))


def test_saving_makes_folders_and_leaves_no_other_file(tmp_path):
    path = save_figure(example(), tmp_path / "deep" / "er" / "a.png")
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_a_failure_keeps_the_old_file(tmp_path, monkeypatch):
    path = save_figure(example(), tmp_path / "a.png")
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(WorkdirError, match=r"a\.png: No space left on device"):
        save_figure(image_grid(np.zeros((1, 2, 2, 1))), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_unusable_paths_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="use one of"):
        save_figure(example(), tmp_path / "a.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="cannot write"):
        save_figure(example(), tmp_path / "file" / "a.png")


def test_matplotlib_loads_late_and_pyplot_never():
    program = """
import sys, jaxdl.plot
assert not {"matplotlib", "PIL", "scipy"} & set(sys.modules)
figure = jaxdl.plot.curves([1, 2], {"a": [1, 2]}, xlabel="x", ylabel="y")
assert figure._repr_png_().startswith(bytes([137]) + b"PNG")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_style_holds_when_drawing_later_and_leaves_no_trace():
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure = line_band([1, 2, 3], {"a": [[1, 10, 100]]}, log_y=True, **LABELS)
    figure.canvas.draw()
    axis = figure.axes[0].yaxis
    assert {tick.tick1line.get_color() for tick in axis.get_minor_ticks()} == {GREY}
    assert {label.get_fontsize() for label in axis.get_ticklabels()} == {8.0}
    assert {label.get_fontname() for label in axis.get_ticklabels()} == {"DejaVu Sans"}
    assert dict(matplotlib.rcParams) == before
