import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxdl.errors import ConfigError, WorkdirError
from jaxdl.generation import TrainedGenerator, export_generator, load_generator
from jaxdl.models import Generator

RELOAD = """
import sys
sys.modules.update(dict.fromkeys(["flax", "jaxdl", "optax", "orbax"]))  # any import of them fails
import numpy as np
from jax import export
path, z, out = sys.argv[1:]
draw = export.deserialize(open(path, "rb").read())
assert draw.platforms == ("cpu", "cuda")
z = np.load(z)
images = draw.call(z)
for count in (1, 3):
    np.testing.assert_allclose(draw.call(z[:count]), images[:count], atol=1e-6)
np.save(out, images)
"""


def test_stablehlo_runs_without_flax_and_this_library(generator, tmp_path):
    pytest.importorskip("flatbuffers")
    path = export_generator(generator, tmp_path / "generator.stablehlo")
    z = generator.noise(range(5), seed=9)
    np.save(tmp_path / "z.npy", z)
    command = [sys.executable, "-c", RELOAD, path, tmp_path / "z.npy", tmp_path / "images.npy"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), generator.images(z), atol=1e-5)


def other_generator(normalization="batch"):
    """Seven pixels doubled twice, in colour."""
    model = Generator(3, 5, 28, channels=3, normalization=normalization)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), np.zeros((1, 5)), train=False))
    rng = np.random.default_rng(3)
    make = lambda a: rng.uniform(0.1, 1, a.shape).astype(a.dtype) - 0.4 * (a.ndim > 1)  # noqa: E731
    return TrainedGenerator(model, jax.tree.map(make, shapes))


def test_onnx_draws_the_same(generator, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    for network in (generator, other_generator(), other_generator("none")):
        path = export_generator(network, tmp_path / "generator.onnx")
        before = path.read_bytes()
        assert export_generator(network, path).read_bytes() == before
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (entry,), (result,) = session.get_inputs(), session.get_outputs()
        side = network.model.image_size
        assert (entry.name, entry.shape) == ("z", ["N", network.model.latent_dim])
        assert (result.name, result.shape[1:3]) == ("images", [side, side])
        for count in (1, 6):
            z = network.noise(range(count))
            (images,) = session.run(None, {"z": z})
            expected = network.images(z)
            assert expected.std() > 0.1
            np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_are_exported_too(generator, tmp_path, suffix):
    for format in (None, suffix):
        path = export_generator(generator, tmp_path / f"generator.{suffix}", format)
        np.testing.assert_array_equal(load_generator(path).sample(2), generator.sample(2))


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("generator.h5", None, "format 'h5': choose stablehlo, onnx, safetensors, pt"),
        ("generator", None, "format '': choose"),
        ("generator.pt", "tflite", "format 'tflite': choose"),
        ("generator.onnx", "pt", r"a file of format pt ends in \.pt"),
        ("generator.pt", "onnx", r"a file of format onnx ends in \.onnx"),
    ],
)
def test_unknown_formats_are_refused(generator, tmp_path, name, format, message):
    with pytest.raises(ConfigError, match=message):
        export_generator(generator, tmp_path / name, format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "package", "advice"),
    [
        ("onnx", "onnx", r"pip install 'jaxdl\[onnx\]'"),
        ("stablehlo", "flatbuffers", "pip install flatbuffers"),
    ],
)
def test_a_missing_package_is_named(generator, tmp_path, monkeypatch, format, package, advice):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "jax._src.export.serialization", raising=False)
    monkeypatch.delitem(sys.modules, "jax._src.export.serialization_generated", raising=False)
    with pytest.raises(ConfigError, match=f"need the package {package}: {advice}"):
        export_generator(generator, tmp_path / f"generator.{format}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_left_alone(generator, tmp_path):
    (tmp_path / "generator.pt").mkdir()
    with pytest.raises(WorkdirError, match="cannot write"):
        export_generator(generator, tmp_path / "generator.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["generator.pt"]
