import json
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxdl import interop
from jaxdl.errors import WeightsError, WorkdirError
from jaxdl.generation import TrainedGenerator, load_generator, save_generator
from jaxdl.interop import load_state_dict
from jaxdl.models import Generator
from jaxdl.models.dcgan import possible_image_sizes

REFERENCES = Path(__file__).parents[1] / "references"


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt", "pth"])
def test_what_is_saved_draws_the_same_bits(generator, tmp_path, suffix):
    path = save_generator(generator, tmp_path / "new" / f"generator.{suffix}")
    loaded = load_generator(str(path))
    assert loaded.model == generator.model
    assert loaded.source == str(path)
    np.testing.assert_array_equal(loaded.sample(3), generator.sample(3))
    before = path.read_bytes()
    save_generator(loaded, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_safetensors_file_names_its_architecture(generator, tmp_path):
    data = save_generator(generator, tmp_path / "generator.safetensors").read_bytes()
    table = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert table["__metadata__"] == {
        "model": "DCGAN generator",
        "features": "4",
        "latent_dim": "8",
        "image_size": "16",
        "channels": "1",
    }


def test_pytorch_s_own_file_needs_no_sizes(rng):
    loaded = load_generator(REFERENCES / "generator.pt")
    assert loaded.model == Generator(features=3, latent_dim=5, image_size=64)
    with np.load(REFERENCES / "torch_weights.npz") as stored:
        z, images = (stored[f"Generator/{kind}"] for kind in ("inputs", "outputs"))
    ours = loaded.images(z[:, :, 0, 0])
    np.testing.assert_allclose(ours, images.transpose(0, 2, 3, 1), atol=1e-5)


def test_the_course_s_class_draws_the_same_from_model_pt(generator, tmp_path, rng):
    torch = pytest.importorskip("torch")
    model = Generator(features=3, latent_dim=5)
    z = rng.normal(size=(6, 5)).astype(np.float32)
    variables = jax.jit(lambda key: model.init(key, z, train=False))(jax.random.key(0))
    variables = jax.tree.map(lambda a: np.asarray(a) * 3 + 0.1, variables)
    ours = TrainedGenerator(model, variables)
    theirs = runpy.run_path(str(REFERENCES / "make_torch_weights.py"))["Generator"](3, 5)
    path = save_generator(ours, tmp_path / "model.pt")
    theirs.load_state_dict(torch.load(path, weights_only=True), strict=True)
    noise = torch.from_numpy(z)[:, :, None, None]
    with torch.no_grad():
        images, exact = theirs.eval()(noise).numpy(), theirs.double()(noise.double()).numpy()
    assert images.std() > 0.1
    np.testing.assert_allclose(images, exact, atol=5e-6)
    np.testing.assert_allclose(ours.images(z), exact.transpose(0, 2, 3, 1), atol=5e-6)


@pytest.mark.parametrize("image_size", possible_image_sizes())
def test_every_architecture_is_recognised(image_size, tmp_path):
    model = Generator(1, 2, image_size, channels=1 + 2 * (image_size % 3 == 0))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), np.zeros((1, 2)), train=False))
    variables = jax.tree.map(lambda a: np.ones(a.shape, np.float32), shapes)
    path = save_generator(TrainedGenerator(model, variables), tmp_path / "g.npz")
    assert load_generator(path).model == model


def test_data_parallel_s_names_are_understood(generator, tmp_path):
    path = save_generator(generator, tmp_path / "generator.npz")
    prefixed = {f"module.{name}": array for name, array in load_state_dict(path).items()}
    interop.save_state_dict(path, prefixed)
    assert load_generator(path).model == generator.model


def damage(arrays, kind):
    if kind == "discriminator":
        with np.load(REFERENCES / "torch_weights.npz") as stored:
            prefix = "Discriminator/weights/"
            return {n.removeprefix(prefix): stored[n] for n in stored.files if prefix in n}
    if kind == "mlp":
        return {"fc1.weight": np.ones((2, 3), np.float32)}
    if kind == "deep":
        return {f"main.{3 * i}.weight": np.ones((1, 1, 4, 4), np.float32) for i in range(9)}
    changed = dict(arrays)
    if kind == "lacks":
        del changed["main.1.bias"]
    if kind == "width":
        changed["main.3.weight"] = np.ones((8, 5, 4, 4), np.float32)
    if kind == "channels":
        changed["main.6.weight"] = np.ones((4, 2, 4, 4), np.float32)
    if kind == "empty":
        changed["main.0.weight"] = np.ones((0, 8, 4, 4), np.float32)
    return changed


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("discriminator", "weights of a discriminator"),
        ("mlp", "does not hold a DCGAN generator's weights"),
        ("deep", "its 9 transposed convolutions would draw images of 1024 pixels"),
        ("lacks", "missing main.1.bias"),
        ("width", r"main.3.weight has shape \(8, 5, 4, 4\), expected \(8, 4, 4, 4\)"),
        ("channels", "with 2 channels"),
        ("empty", "does not hold"),
    ],
)
def test_other_weights_are_refused(generator, tmp_path, kind, message):
    path = save_generator(generator, tmp_path / "weights.npz")
    interop.save_state_dict(path, damage(load_state_dict(path), kind))
    with pytest.raises(WeightsError, match=rf"weights\.npz: .*{message}"):
        load_generator(path)


def test_what_is_not_there_or_no_weights_is_named(generator, tmp_path):
    with pytest.raises(WeightsError, match="none: no such file or folder; give the folder of a"):
        load_generator(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("weights")
    with pytest.raises(WeightsError, match=r"notes.txt: weights are not kept in \.txt"):
        load_generator(tmp_path / "notes.txt")
    with pytest.raises(WeightsError, match=r"kept in \.onnx"):
        save_generator(generator, tmp_path / "generator.onnx")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(WorkdirError, match="cannot write"):
        save_generator(generator, tmp_path / "folder.pt")


def test_a_generator_without_normalisation_is_recognised(tmp_path):
    model = Generator(4, 8, 16, normalization="none")
    z = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    variables = jax.jit(lambda key: model.init(key, z, train=False))(jax.random.key(0))
    assert set(variables) == {"params"}
    made = TrainedGenerator(model, jax.tree.map(lambda a: 20 * a, variables))
    for suffix in ("pt", "safetensors"):
        loaded = load_generator(save_generator(made, tmp_path / f"generator.{suffix}"))
        assert loaded.model == model
        np.testing.assert_array_equal(loaded.images(z), made.images(z))
    assert np.asarray(made.images(z)).std() > 0.01
