"""Generators of classes: drawn, saved, exported, walked between."""

import json
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxdl import optim, plot
from jaxdl.errors import ConfigError, ShapeError, WeightsError
from jaxdl.generation import (
    TrainedGenerator,
    export_generator,
    generate_images,
    interpolate,
    load_generator,
    save_generator,
)
from jaxdl.interop import export_weights, import_weights
from jaxdl.models import Discriminator, Generator
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.training import gan

REFERENCES = Path(__file__).parents[1] / "references"


def test_images_have_the_classes_in_turn_or_one(of_classes):
    assert of_classes.classes(range(5)).tolist() == [0, 1, 2, 0, 1]
    drawn, second = of_classes.sample(70, seed=1), of_classes.of_class(1).sample(70, seed=1)
    np.testing.assert_array_equal(drawn[1::3], second[1::3])
    assert np.abs(drawn[0::3] - second[0::3]).max() > 0.01
    z = of_classes.noise(range(4), seed=1)
    np.testing.assert_array_equal(of_classes.images(z), drawn[:4])
    np.testing.assert_allclose(of_classes.images(z, [1] * 4), second[:4], atol=1e-6)
    shares = np.eye(3)[[1] * 4]
    np.testing.assert_array_equal(of_classes.images(z, shares), of_classes.images(z, [1] * 4))
    assert "3 classes, " in repr(of_classes)


def test_what_is_no_class_is_refused(generator, of_classes):
    z = of_classes.noise(range(2))
    for label in (-1, 3):
        with pytest.raises(ConfigError, match=f"label {label}: .* knows the classes 0 to 2"):
            of_classes.of_class(label)
    with pytest.raises(ConfigError, match=r"label 0: .* knows no classes"):
        generator.of_class(0)
    assert generator.classes(range(3)) is None
    for classes in ([0, 3], [-1, 0], [0], [0.0, 1.0], np.eye(2), np.full((2, 3), np.nan)):
        with pytest.raises(ShapeError, match=r"this generator needs whole numbers from 0 to 2"):
            of_classes.images(z, classes)
    with pytest.raises(ShapeError, match="classes are given to a generator that knows none"):
        generator.images(z, [0, 1])


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt"])
def test_files_carry_the_number_of_classes(of_classes, tmp_path, suffix):
    path = save_generator(of_classes, tmp_path / f"generator.{suffix}")
    loaded = load_generator(path)
    assert loaded.model == of_classes.model
    np.testing.assert_array_equal(loaded.sample(5), of_classes.sample(5))
    if suffix == "safetensors":
        data = path.read_bytes()
        table = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        assert table["__metadata__"]["num_classes"] == "3"


def test_a_run_carries_the_number_of_classes(of_classes, tmp_path):
    adam = optim.adam(2e-4)
    state = jax.eval_shape(
        lambda key: gan.create_state(
            key, of_classes.model, Discriminator(2, 16, num_classes=3), adam, adam
        ),
        jax.random.key(0),
    )
    state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), state)
    state = state.replace(generator=state.generator.replace(**of_classes.variables))
    (tmp_path / "config.json").write_text(json.dumps({"program": "dcgan"}))
    with CheckpointStore(tmp_path / "checkpoints") as store:
        store.save(1, state, {})
    loaded = load_generator(tmp_path)
    assert loaded.model == of_classes.model
    np.testing.assert_array_equal(loaded.sample(3), of_classes.sample(3))


@pytest.mark.parametrize("shape", [(8, 3, 1), (7, 3), (8, 0), (8, 2)])
def test_classes_of_another_shape_are_refused(of_classes, tmp_path, shape):
    from jaxdl.interop import load_state_dict, save_state_dict

    path = save_generator(of_classes, tmp_path / "generator.npz")
    wrong = load_state_dict(path) | {"class_scale.0.weight": np.ones(shape, np.float32)}
    save_state_dict(path, wrong)
    with pytest.raises(WeightsError, match="the weights do not fit Generator"):
        load_generator(path)


def test_the_twin_s_class_draws_the_same_in_pytorch(of_classes, tmp_path):
    """The course's class, with scales and shifts of the one-hot class after BatchNorm."""
    torch = pytest.importorskip("torch")
    model = Generator(3, 5, num_classes=4)
    z = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    labels = np.array([0, 3, 1, 1, 2, 0])
    variables = jax.jit(lambda key: model.init(key, z, labels, train=False))(jax.random.key(0))
    ours = TrainedGenerator(model, jax.tree.map(lambda a: np.asarray(a) * 3 + 0.1, variables))
    nn = torch.nn
    course = runpy.run_path(str(REFERENCES / "make_torch_weights.py"))["Generator"]

    class Twin(course):
        def __init__(self):
            super().__init__(3, 5)
            widths = [part.num_features for part in self.main if isinstance(part, nn.BatchNorm2d)]
            self.class_scale, self.class_shift = (
                nn.ModuleList(nn.Linear(4, width, bias=False) for width in widths) for _ in "ab"
            )

        def forward(self, z, labels):
            x, one_hot = z[:, :, None, None], nn.functional.one_hot(labels, 4).to(z.dtype)
            for i, part in enumerate(self.main):
                x = part(x)
                if isinstance(part, nn.BatchNorm2d):
                    scale, shift = (
                        table[i // 3](one_hot)[:, :, None, None]
                        for table in (self.class_scale, self.class_shift)
                    )
                    x = x * (1 + scale) + shift
            return x

    twin = Twin()
    path = save_generator(ours, tmp_path / "model.pt")
    twin.load_state_dict(torch.load(path, weights_only=True), strict=True)
    with torch.no_grad():
        images = twin.double().eval()(torch.from_numpy(z).double(), torch.from_numpy(labels))
    expected = images.numpy().transpose(0, 2, 3, 1)
    assert expected.std() > 0.1
    np.testing.assert_allclose(ours.images(z, labels), expected, atol=5e-6)


def test_a_discriminator_of_classes_has_a_twin_and_a_spectral_one_none():
    model, x = Discriminator(2, 16, num_classes=3), jnp.zeros((1, 16, 16, 1))
    variables = jax.jit(lambda: model.init(jax.random.key(0), x, jnp.zeros(1, int), train=False))()
    weights = export_weights(model, variables)
    assert weights["projection.weight"].shape == (3, 4, 4, 4)
    jax.tree.map(np.testing.assert_array_equal, import_weights(model, weights), variables)
    with pytest.raises(ConfigError, match="spectral normalisation has no PyTorch twin"):
        export_weights(Discriminator(2, 16, normalization="spectral"), {})


def test_exports_take_z_s_followed_by_classes(of_classes, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from jax import export

    z, classes = of_classes.noise(range(5)), np.array([2, 0, 1, 1, 0])
    rows = np.concatenate([z, np.eye(3, dtype=np.float32)[classes]], axis=1)
    expected = of_classes.images(z, classes)
    path = export_generator(of_classes, tmp_path / "generator.onnx")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["N", 11]
    np.testing.assert_allclose(session.run(None, {"z": rows})[0], expected, atol=1e-5)
    path = export_generator(of_classes, tmp_path / "generator.stablehlo")
    draw = export.deserialize(path.read_bytes()).call
    np.testing.assert_allclose(draw(rows), expected, atol=1e-5)


def test_files_of_images_have_their_classes(of_classes, tmp_path):
    path = generate_images(of_classes, tmp_path / "a.npz", 70)
    with np.load(path) as stored:
        assert stored["z"].shape == (70, 8)
        np.testing.assert_array_equal(stored["labels"], np.arange(70) % 3)
        again = generate_images(of_classes, tmp_path / "b.npz", z=stored["z"])
        images = stored["images"]
    assert again.read_bytes() == path.read_bytes()
    folder = generate_images(of_classes, tmp_path / "folder", 70)
    order = np.argsort(np.arange(70) % 3, kind="stable")
    with Image.open(folder / "grid.png") as grid:
        np.testing.assert_array_equal(np.asarray(grid), plot.tile(images[order]))


def test_a_walk_passes_from_class_to_class(of_classes):
    anchors = of_classes.noise([3, 5, 7])
    walk = interpolate(of_classes, anchors, steps=4, classes=of_classes.classes([3, 5, 7]))
    assert walk.z.shape == (2, 5, 8)
    ends = of_classes.images(anchors, [0, 2, 1])
    np.testing.assert_allclose(walk.images[:, 0], ends[:2], atol=1e-5)
    np.testing.assert_allclose(walk.images[1, -1], ends[2], atol=1e-5)
    half = of_classes.images(walk.z[0, 2:3], [[0.5, 0, 0.5]])
    np.testing.assert_allclose(walk.images[0, 2], half[0], atol=1e-5)
