import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxdl.data import augmentation as aug
from jaxdl.data import load
from jaxdl.errors import ConfigError, ShapeError

KEY = jax.random.key(3)

# Every random augmentation with a setting that changes almost every image.
RANDOM = {
    "rotation": lambda key, images, **kw: aug.random_rotation(key, images, 20.0, **kw),
    "flip": lambda key, images, **kw: aug.random_flip(key, images, **kw),
    "shift": lambda key, images, **kw: aug.random_shift(key, images, 3, **kw),
    "scale": lambda key, images, **kw: aug.random_scale_and_crop(key, images, 0.8, 1.5, **kw),
    "brightness": lambda key, images, **kw: aug.random_brightness(key, images, 0.5, **kw),
    "contrast": lambda key, images, **kw: aug.random_contrast(key, images, 0.5, **kw),
    "noise": lambda key, images, **kw: aug.gaussian_noise(key, images, 20.0, **kw),
    "salt": lambda key, images, **kw: aug.salt_and_pepper(key, images, 0.2, **kw),
}


def _images(rng, num_images, height, width, channels=1):
    return rng.integers(1, 256, (num_images, height, width, channels), dtype=np.uint8)


def _run(augment, images, *settings, **options):
    """The augmentation with these settings, compiled as one program, on the host again."""
    return np.asarray(jax.jit(lambda key: augment(key, images, *settings, **options))(KEY))


def _rotate(images, degrees):
    """Angles known when the program is compiled."""
    return np.asarray(jax.jit(lambda images: aug.rotate(images, degrees))(images))


def _scale(images, scales, places, method):
    return np.asarray(jax.jit(aug.scale_and_crop, static_argnums=3)(images, scales, places, method))


def _pil(images, degrees):
    """Pillow, image by image, as torchvision's RandomRotation calls it."""
    rotated = [
        np.asarray(
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).rotate(
                float(angle), Image.Resampling.NEAREST, expand=False, fillcolor=0
            )
        ).reshape(image.shape)
        for image, angle in zip(images, degrees, strict=True)
    ]
    return np.stack(rotated)


# Pillow transposes at multiples of 90 if the image is square, and copies at 0.
SPECIAL = [0, -0.0, 90, -90, 180, -180, 270, 360, 450, 1e-20, 1e-9, 30, 45, 60, 135, 20, -20]


@pytest.mark.parametrize(
    ("size", "channels"),
    [((28, 28), 1), ((27, 27), 3), ((13, 40), 1), ((40, 13), 3), ((1, 1), 1), ((1, 9), 1)],
)
def test_rotation_is_pillows(rng, size, channels):
    degrees = np.concatenate([SPECIAL, rng.uniform(-20, 20, 200), rng.uniform(-720, 720, 200)])
    images = _images(rng, len(degrees), *size, channels)
    rotated = _rotate(images, degrees)
    assert rotated.dtype == np.uint8
    np.testing.assert_array_equal(rotated, _pil(images, degrees))


def test_rotation_of_digits_by_angles_drawn_on_the_device(rng):
    digits = load("mnist", source="embedded").images[:2000]
    degrees = rng.uniform(-20, 20, len(digits)).astype(np.float32)
    degrees[: len(SPECIAL)] = SPECIAL
    expected = _pil(digits, degrees)
    np.testing.assert_array_equal(_rotate(digits, degrees), expected)
    traced = np.asarray(jax.jit(aug.rotate)(digits, degrees))
    np.testing.assert_array_equal(traced[: len(SPECIAL)], expected[: len(SPECIAL)])
    assert np.mean(traced != expected) < 1e-5


def test_rotation_by_hand():
    image = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3, 1)  # [[1 2 3] [4 5 6]]
    assert _rotate(image, [180.0])[0, :, :, 0].tolist() == [[6, 5, 4], [3, 2, 1]]
    square = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    counter_clockwise = [[3, 6, 9], [2, 5, 8], [1, 4, 7]]
    assert _rotate(square, [90.0])[0, :, :, 0].tolist() == counter_clockwise
    assert _rotate(square, [45.0])[0, :, :, 0].tolist() == [[2, 3, 6], [1, 5, 9], [4, 7, 8]]


def test_random_rotation_draws_uniform_angles_up_to_the_maximum():
    # A bright spot far right of the centre: the rows in which it lands tell the angle.
    images = np.zeros((1000, 61, 61, 1), np.uint8)
    images[:, 29:32, 55] = 255
    rows = _run(aug.random_rotation, images, 20.0)[:, :, :, 0].any(axis=2)
    heights = 30 - (rows * np.arange(61)).sum(1) / rows.sum(1)
    angles = np.degrees(np.arcsin(heights / 25))
    assert 19 < angles.max() < 22
    assert -22 < angles.min() < -19
    quartiles = np.quantile(angles, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [-10, 0, 10], atol=2)
    unchanged = _run(aug.random_rotation, images[:3], 0.0)
    np.testing.assert_array_equal(unchanged, images[:3])


@pytest.mark.parametrize(("axis", "number"), [("horizontal", 2), ("vertical", 1)])
def test_flip(rng, axis, number):
    images = _images(rng, 1000, 3, 4, 2)
    mirrored = np.flip(images, number)
    shares = {0.0: (0, 0), 0.25: (200, 300), 1.0: (1000, 1000)}
    flips = jax.jit(
        lambda key: [aug.random_flip(key, images, axis=axis, probability=p) for p in shares]
    )
    for flipped, (low, high) in zip(flips(KEY), shares.values(), strict=True):
        is_mirrored = (flipped == mirrored).all(axis=(1, 2, 3))
        is_same = (flipped == images).all(axis=(1, 2, 3))
        assert (is_mirrored | is_same).all()
        assert low <= is_mirrored.sum() <= high


def test_shift_moves_by_every_offset_alike_and_fills_with_zero():
    image = np.arange(1, 26, dtype=np.uint8).reshape(5, 5, 1)
    candidates = {}
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
            moved = padded[1 - down : 6 - down, 1 - right : 6 - right]
            candidates[moved.tobytes()] = (down, right)
    shifted = np.asarray(_run(aug.random_shift, np.tile(image, (1800, 1, 1, 1)), 1))
    offsets = [candidates[moved.tobytes()] for moved in shifted]
    counts = [offsets.count(offset) for offset in candidates.values()]
    assert len(counts) == 9
    assert all(150 < count < 250 for count in counts)  # 200 ± 3.7 standard deviations
    far = _run(aug.random_shift, image[None], 1000)
    assert not far.any()


def test_scale_and_crop_by_hand():
    image = np.array([[0, 40], [80, 120]], np.uint8).reshape(1, 2, 2, 1)

    def scaled(scale, place, method):
        return _scale(image, np.array([scale]), np.array([place]), method)[0, :, :, 0].tolist()

    assert scaled(1.0, (0.3, 0.7), "bilinear") == [[0, 40], [80, 120]]
    assert scaled(1.0, (0.3, 0.7), "nearest") == [[0, 40], [80, 120]]
    # Magnified by 2, rows at 0.25 and 0.75 of the source, or 1.25 and 1.75.
    assert scaled(2.0, (0, 0), "bilinear") == [[0, 10], [20, 30]]
    assert scaled(2.0, (1, 0), "bilinear") == [[60, 70], [80, 90]]
    assert scaled(2.0, (1, 0), "nearest") == [[80, 80], [80, 80]]
    assert scaled(2.0, (0.5, 0.5), "bilinear") == [[30, 50], [70, 90]]
    # Shrunk by 2: one source pixel in a corner, zeros around it.
    assert scaled(0.5, (0, 1), "bilinear") == [[0, 60], [0, 0]]


def test_scale_and_crop_equals_pillows_cut_and_resized(rng):
    images = _images(rng, 4, 20, 30, 3)
    places = np.array([[0, 0], [1, 1], [0, 1], [0.5, 0.5]])
    for method, filter_ in [("bilinear", 2), ("nearest", 0)]:
        scaled = _scale(images, np.full(4, 10 / 3), places, method)
        for image, result, (top, left) in zip(images, scaled, places, strict=True):
            y, x = top * 14, left * 21  # the window is 6 by 9
            cut = Image.fromarray(image).transform(
                (30, 20), Image.Transform.EXTENT, (x, y, x + 9, y + 6), filter_
            )
            # Pillow truncates what we round.
            difference = result.astype(int) - np.asarray(cut)
            assert difference.min() >= 0
            assert difference.max() <= (1 if method == "bilinear" else 0)


def test_random_scales_are_uniform_and_keep_within_their_range():
    # Columns alternate: how often the result does tells how many source columns it shows.
    images = np.zeros((500, 1, 200, 1), np.uint8)
    images[:, :, ::2] = 255
    zoomed = _run(aug.random_scale_and_crop, images, 1.5, 2.5, method="nearest")
    edges = np.abs(np.diff(zoomed[:, 0, :, 0].astype(int))).sum(1) / 255
    scales = 200 / edges
    assert 1.45 < scales.min() < 1.55
    assert 2.45 < scales.max() < 2.55
    assert abs(scales.mean() - 2) < 0.04


def test_brightness_multiplies_and_clips():
    images = np.tile(np.array([0, 50, 100, 250], np.uint8).reshape(1, 1, 4, 1), (2000, 1, 1, 1))
    bright = _run(aug.random_brightness, images, 0.4)[:, 0, :, 0].astype(float)
    factors = bright[:, 2] / 100
    assert (bright[:, 0] == 0).all()
    assert np.abs(bright[:, 1] - 50 * factors).max() <= 0.75
    assert np.abs(bright[:, 3] - np.minimum(250 * factors, 255)).max() <= 1.75
    np.testing.assert_allclose(np.quantile(factors, [0, 0.5, 1]), [0.6, 1, 1.4], atol=0.03)


def test_contrast_stretches_about_the_mean_grey():
    images = np.tile(np.array([60, 80, 100, 240], np.uint8).reshape(1, 1, 4, 1), (2000, 1, 1, 1))
    stretched = _run(aug.random_contrast, images, 0.5)[:, 0, :, 0].astype(float)
    factors = (stretched[:, 2] - stretched[:, 0]) / 40
    assert np.abs(stretched[:, 1] - (120 - 40 * factors)).max() <= 2
    assert np.abs(stretched[:, 3] - np.minimum(120 + 120 * factors, 255)).max() <= 4
    np.testing.assert_allclose(np.quantile(factors, [0, 0.5, 1]), [0.5, 1, 1.5], atol=0.05)
    # A colour's mean is its luma: (255, 0, 0) is 76, and at the smallest factor near 0 all of it.
    red = np.tile(np.array([255, 0, 0], np.uint8), (500, 1, 1, 1))
    out = _run(aug.random_contrast, red, 1.0).reshape(500, 3)
    flattest = out[out[:, 0].argmin()]
    np.testing.assert_allclose(flattest, [76, 76, 76], atol=2)


def test_greyscale_is_pillows(rng):
    images = _images(rng, 20, 16, 16, 3)
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    np.testing.assert_array_equal(aug.to_greyscale(images)[..., 0], expected)
    kept = aug.to_greyscale(images, keep_channels=True)
    np.testing.assert_array_equal(kept, np.repeat(expected[..., None], 3, axis=-1))
    colours = np.array([[255, 255, 255], [0, 255, 0], [0, 0, 255]], np.uint8).reshape(3, 1, 1, 3)
    assert aug.to_greyscale(colours).ravel().tolist() == [255, 150, 29]
    grey = images[..., :1]
    np.testing.assert_array_equal(aug.to_greyscale(grey), grey)


def test_gaussian_noise_has_the_deviation_and_clips():
    images = np.full((40, 28, 28, 3), 128, np.uint8)
    noise = _run(aug.gaussian_noise, images, 10.0).astype(float) - 128
    assert abs(noise.mean()) < 0.15
    assert noise.std() == pytest.approx(10.0, abs=0.1)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03
    black = _run(aug.gaussian_noise, np.zeros_like(images), 10.0)
    assert np.mean(black == 0) == pytest.approx(0.52, abs=0.02)  # P(noise < 0.5), none wraps round
    assert black.max() < 60


def test_salt_and_pepper_replaces_whole_pixels():
    images = np.full((50, 28, 28, 3), 7, np.uint8)
    noisy = _run(aug.salt_and_pepper, images, 0.3)
    assert (noisy == noisy[..., :1]).all()
    shares = [np.mean(noisy == value) for value in (0, 7, 255)]
    np.testing.assert_allclose(shares, [0.15, 0.7, 0.15], atol=0.01)
    np.testing.assert_array_equal(_run(aug.salt_and_pepper, images, 0.0), images)
    assert set(np.unique(_run(aug.salt_and_pepper, images, 1.0))) == {0, 255}


@pytest.mark.parametrize("name", RANDOM)
def test_draws_belong_to_key_and_position(rng, name):
    augment = jax.jit(RANDOM[name])
    images = np.tile(_images(rng, 1, 12, 10, 3), (64, 1, 1, 1))
    in_order = np.arange(64)
    whole = np.asarray(augment(KEY, images, positions=in_order))
    assert (whole.dtype, whole.shape) == (np.uint8, images.shape)
    np.testing.assert_array_equal(whole, augment(KEY, images, positions=in_order))
    assert (whole != images).any()
    assert len(np.unique(whole, axis=0)) > (1 if name == "flip" else 15)
    assert (whole != augment(jax.random.key(4), images, positions=in_order)).any()
    # In another order, as on other devices: every image keeps its draw.
    order = rng.permutation(64)
    np.testing.assert_array_equal(augment(KEY, images, positions=order), whole[order])


def test_on_eight_devices_as_on_one(rng):
    images = _images(rng, 64, 28, 28)
    mesh = jax.sharding.Mesh(jax.devices(), ("batch",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    rotate = jax.jit(lambda key, images: aug.random_rotation(key, images, 20.0))
    spread = rotate(KEY, jax.device_put(images, sharding))
    assert len(spread.sharding.device_set) == 8
    whole = rotate(KEY, images)
    np.testing.assert_array_equal(spread, whole)
    part = _run(aug.random_rotation, images[16:24], 20.0, positions=jnp.arange(16, 24))
    np.testing.assert_array_equal(part, whole[16:24])


@pytest.mark.parametrize("name", ["rotation", "scale"])
def test_works_under_vmap_and_on_an_empty_batch(rng, name):
    images = _images(rng, 6, 5, 7, 3).reshape(2, 3, 5, 7, 3)
    keys = jax.random.split(KEY, 2)
    batched = np.asarray(jax.jit(jax.vmap(RANDOM[name]))(keys, images))
    augment = jax.jit(RANDOM[name])
    for key, batch, result in zip(keys, images, batched, strict=True):
        np.testing.assert_array_equal(augment(key, batch), result)
    assert augment(KEY, images[0, :0]).shape == (0, 5, 7, 3)


@pytest.mark.parametrize("name", RANDOM)
def test_bad_images_and_positions(name):
    augment, images = RANDOM[name], np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(ShapeError, match=r"float32 of shape \(2, 4, 4, 1\)"):
        augment(KEY, images.astype(np.float32))
    with pytest.raises(ShapeError, match=r"uint8 of shape \(2, 4, 4\)"):
        augment(KEY, images[..., 0])
    for positions in ([0], [[0], [1]], [0.0, 1.0], 3):
        with pytest.raises(ShapeError, match="2 images and positions"):
            augment(KEY, images, positions=np.array(positions))


def test_bad_settings():
    images = np.zeros((2, 4, 4, 2), np.uint8)
    cases = [
        (aug.random_rotation, (-1.0,), {}, "max_degrees is -1.0"),
        (aug.random_rotation, (181.0,), {}, "max_degrees is 181.0"),
        (aug.random_flip, (), {"probability": 1.5}, "probability is 1.5"),
        (aug.random_flip, (), {"axis": "diagonal"}, "axis is 'diagonal'"),
        (aug.random_shift, (-1,), {}, "max_pixels is -1"),
        (aug.random_shift, (1.5,), {}, "max_pixels is 1.5"),
        (aug.random_scale_and_crop, (0.0, 1.0), {}, "scales from 0.0 to 1.0"),
        (aug.random_scale_and_crop, (1.5, 1.2), {}, "scales from 1.5 to 1.2"),
        (aug.random_scale_and_crop, (1.0, 1.2), {"method": "cubic"}, "method is 'cubic'"),
        (aug.random_brightness, (1.1,), {}, "max_change is 1.1"),
        (aug.random_contrast, (float("nan"),), {}, "max_change is nan"),
        (aug.gaussian_noise, (-1.0,), {}, "stddev is -1.0"),
        (aug.salt_and_pepper, (2.0,), {}, "share is 2.0"),
    ]
    for augment, arguments, options, message in cases:
        with pytest.raises(ConfigError, match=message):
            augment(KEY, images, *arguments, **options)
    with pytest.raises(ShapeError, match="2 images and angles of shape"):
        aug.rotate(images, 20.0)
    with pytest.raises(ShapeError, match=r"2 images, scales \(1,\), places \(2, 2\)"):
        aug.scale_and_crop(images, [1.0], np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="2 channels"):
        aug.to_greyscale(images)
