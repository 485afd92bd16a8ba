import base64
import html
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageSequence

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot import Animation, html_player, save_gif


@pytest.fixture
def frames(rng):
    return list(rng.integers(0, 256, (4, 20, 30), dtype=np.uint8))


class Page(HTMLParser):
    """Collects the images and controls of a page, and checks that its elements nest."""

    EMPTY = ("meta", "img", "input")

    def __init__(self, page):
        super().__init__()
        self.open, self.images, self.tags, self.ids = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img":
            self.images.append(attrs)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def decoded(image):
    head, data = image["src"].split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def read_gif(source):
    with Image.open(source) as image:
        shown = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
        image.seek(0)
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
        return shown, durations, image.info.get("loop")


def test_grey_gif_keeps_frames_order_times_and_loops(frames, tmp_path):
    save_gif(frames, tmp_path / "a.gif", seconds_per_frame=0.25, hold_last=1.5)
    shown, durations, loop = read_gif(tmp_path / "a.gif")
    assert durations == [250, 250, 250, 1500]
    assert loop == 0
    for frame, back in zip(frames, shown, strict=True):
        np.testing.assert_array_equal(back, np.repeat(frame[..., None], 3, axis=2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_colour_gif_keeps_few_colours_exactly():
    colours = np.array([[255, 0, 0], [0, 128, 0], [0, 0, 255], [10, 20, 30]], np.uint8)
    frames = [np.broadcast_to(colour, (6, 7, 3)) for colour in colours]
    buffer = io.BytesIO()
    save_gif(frames, buffer)
    shown, durations, _ = read_gif(io.BytesIO(buffer.getvalue()))
    np.testing.assert_array_equal(np.stack(shown), np.stack(frames))
    assert durations == [500, 500, 500, 2000]


@pytest.mark.parametrize("shape", [(40, 200), (40, 200, 3), (8, 8)])
def test_titles_stand_above_the_frames(shape):
    buffer = io.BytesIO()
    frames = [np.full(shape, value, np.uint8) for value in (0, 60)]
    save_gif(frames, buffer, titles=["Epoch 1", "Epoch 2"])
    shown, _, _ = read_gif(io.BytesIO(buffer.getvalue()))
    height, width, _ = shown[0].shape
    assert height == shape[0] + 22
    left = (width - shape[1]) // 2
    assert (shown[1][22:, left : left + shape[1]] == 60).all()
    strip = shown[0][:22]
    assert (strip < 100).any()
    assert (strip[:, 0] == 255).all()
    assert (strip != shown[1][:22]).any()


def test_one_frame_and_equal_frames_work():
    frame = np.zeros((5, 5), np.uint8)
    for count, total in ((1, 2000), (3, 3000)):
        buffer = io.BytesIO()
        save_gif([frame] * count, buffer)
        _, durations, _ = read_gif(io.BytesIO(buffer.getvalue()))
        assert sum(durations) == total
    assert len(Page(html_player([frame])).images) == 1


def test_player_embeds_every_frame_once(frames):
    titles = ["Epoch 1", 'a "quoted" <b>', "3", "4"]
    page = html_player(frames, titles=titles, seconds_per_frame=0.25)
    parsed = Page(page)
    assert parsed.open == []
    assert [image["alt"] for image in parsed.images] == titles
    for frame, image in zip(frames, parsed.images, strict=True):
        np.testing.assert_array_equal(decoded(image), frame)
        assert (image["width"], image["height"]) == ("360", "240")
    assert ["hidden" in image for image in parsed.images] == [True, True, True, False]
    assert "250 / Number" in page
    assert "max(360px, (100vh - 165px) * 1.5000)" in page  # as large as fits beside the controls


def test_player_needs_no_network_and_names_its_controls(frames):
    page = html_player(frames)
    assert "http" not in page
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {"first", "previous", "play", "next", "final", "frame", "speed"} <= set(parsed.ids)
    script = page[page.index("<script>") :]
    for name in parsed.ids:
        assert f'get("{name}")' in script or name == "mode"
    (slider,) = [attrs for tag, attrs in parsed.tags if attrs.get("type") == "range"]
    assert (slider["min"], slider["max"], slider["aria-label"]) == ("0", "3", "Frame")
    modes = [attrs["value"] for tag, attrs in parsed.tags if attrs.get("type") == "radio"]
    assert modes == ["once", "loop", "reflect"]


def test_player_takes_colour_frames(rng):
    frame = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    (image,) = Page(html_player([frame])).images
    np.testing.assert_array_equal(decoded(image), frame)


def test_animation_shows_itself_in_a_frame_of_its_own(frames, tmp_path):
    movie = Animation(frames, titles=list("abcd"), seconds_per_frame=0.1)
    ((tag, attrs),) = Page(movie._repr_html_()).tags
    assert tag == "iframe"
    assert attrs["srcdoc"] == movie.to_html()
    assert html.escape("<script>") in movie._repr_html_()
    movie.save(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == movie.to_html()
    movie.save(tmp_path / "a.gif")
    assert read_gif(tmp_path / "a.gif")[1] == [100, 100, 100, 2000]
    with pytest.raises(ConfigError, match=r"\.gif or \.html"):
        movie.save(tmp_path / "a.mp4")


@pytest.mark.parametrize("make", [html_player, Animation, lambda f, **k: save_gif(f, None, **k)])
def test_unusable_frames_are_refused(make):
    frame = np.zeros((4, 4), np.uint8)
    with pytest.raises(ShapeError, match=r"frame 1 has shape \(4, 5\), frame 0 \(4, 4\)"):
        make([frame, np.zeros((4, 5), np.uint8)])
    with pytest.raises(ShapeError, match="frame 0 is float64"):
        make([frame.astype(float)])
    with pytest.raises(ShapeError, match=r"\(4, 4, 1\)"):
        make([frame[..., None]])
    with pytest.raises(ShapeError, match="2 titles for 1 frames"):
        make([frame], titles=["a", "b"])
    with pytest.raises(ConfigError, match="at least one frame"):
        make([])
    for seconds in (0.0, -1.0, float("nan"), 601.0):
        with pytest.raises(ConfigError, match="seconds_per_frame"):
            make([frame], seconds_per_frame=seconds)
