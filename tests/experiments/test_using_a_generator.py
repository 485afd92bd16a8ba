"""generate, interpolate and export: from a run's folder to files, and what they refuse."""

import importlib
import json

import jax
import numpy as np
import pytest

from experiments import export, generate, interpolate
from experiments.common import command_line
from jaxdl import interop, optim
from jaxdl.generation import TrainedGenerator, load_generator, save_generator
from jaxdl.models import Discriminator, Generator
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.training import gan

CONFIGS = {
    "generate": generate.GenerateConfig,
    "interpolate": interpolate.InterpolateConfig,
    "export": export.ExportConfig,
}


def read_npz(path):
    with np.load(path) as arrays:
        return dict(arrays)


def state(key):
    adam = optim.adam(2e-4, b1=0.5)
    networks = Generator(4, 8, 16), Discriminator(features=2, image_size=16)
    return gan.create_state(key, *networks, adam, adam)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of DCGAN that was stopped, one without checkpoint, one of another program, weights."""
    folder = tmp_path_factory.mktemp("made")
    for name, program in (("run", "dcgan"), ("young", "dcgan"), ("mlp", "mlp_l2")):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"program": program}))
    networks = jax.jit(state)(jax.random.key(0))
    network = networks.generator
    with CheckpointStore(folder / "run" / "checkpoints") as store:
        store.save(3, networks, {})
    with CheckpointStore(folder / "mlp" / "checkpoints" / "baseline") as store:
        store.save(3, {"params": np.ones(3)}, {})
    model = Generator(4, 8, 16)
    save_generator(TrainedGenerator(model, network.variables()), folder / "model.pt")
    weights = interop.load_state_dict(folder / "model.pt")
    weights["main.3.weight"] = weights["main.3.weight"][:, :3]
    interop.save_state_dict(folder / "cut.pt", weights)
    discriminator = networks.discriminator
    interop.save_state_dict(
        folder / "netD.pt",
        interop.export_weights(discriminator.model, discriminator.variables()),
    )
    np.save(folder / "z9.npy", np.zeros((2, 9)))
    return folder


def call(name, *arguments):
    """Runs a program as its module does and returns its exit status."""
    module = importlib.import_module(f"experiments.{name}")
    with pytest.raises(SystemExit) as caught:
        command_line.main(name, CONFIGS[name], module.run, module.__doc__, map(str, arguments))
    return caught.value.code


def test_from_a_run_to_images_and_back_by_their_z(made, tmp_path, capsys):
    out = tmp_path / "samples"
    assert call("generate", made / "run", "--count", 7, "--out", out, "--seed", 5) == 0
    assert len(list(out.iterdir())) == 8
    printed = capsys.readouterr().out
    assert "step 3)" in printed
    assert f"Written to {out}" in printed
    for name, flags in (("a", ["--count", 7, "--seed", 5]), ("b", ["--z", tmp_path / "a.npz"])):
        assert call("generate", made / "model.pt", *flags, "--out", tmp_path / f"{name}.npz") == 0
    a, b = (read_npz(tmp_path / f"{name}.npz") for name in "ab")
    np.testing.assert_array_equal(a["images"], b["images"])
    np.testing.assert_array_equal(a["z"], load_generator(made / "run").noise(range(7), seed=5))


def test_a_walk_between_numbered_images(made, tmp_path):
    config = interpolate.InterpolateConfig(
        source=str(made / "run"), anchors="3,17,3", steps=2, out=str(tmp_path / "walk"), seed=1
    )
    walk = interpolate.run(config)
    np.testing.assert_allclose(
        walk.z[:, 0], load_generator(made / "run").noise([3, 17], seed=1), rtol=1e-6
    )
    assert len(list((tmp_path / "walk").iterdir())) == 3
    assert interpolate.anchor_numbers(interpolate.InterpolateConfig(source="x", count=3)) == [
        *(0, 1, 2),
    ]


def test_an_export_named_by_format_or_by_suffix(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("export", made / "run", "--format", "safetensors") == 0
    assert call("export", "generator.safetensors", "--out", "model.pt") == 0
    assert (tmp_path / "model.pt").read_bytes() == (made / "model.pt").read_bytes()
    assert "Written to model.pt: " in capsys.readouterr().out


BAD = [
    ("generate", "none", "no such file or folder"),
    ("export", "none --format pt", "no such file or folder"),
    ("interpolate", ".", "not the folder of a run: it has no config.json"),
    ("generate", "young", "has no checkpoint yet"),
    ("export", "mlp --format onnx", "a run of 'mlp_l2', which trains no generator"),
    ("generate", "netD.pt", "weights of a discriminator"),
    ("interpolate", "cut.pt", "main.3.weight has shape"),
    ("generate", "z9.npy", "weights are not kept in .npy"),
    ("generate", "model.pt --count 0", "--count 0: expected at least 1"),
    ("generate", "model.pt --z z9.npy", "needs (N, 8)"),
    ("generate", "model.pt --z none.npy", "No such file"),
    ("generate", "model.pt --z model.pt", "no array named z"),
    ("generate", "model.pt --z z9.npy --count 2", "leave --count out"),
    ("generate", "model.pt --out run", "holds files already"),
    ("generate", "model.pt --out model.pt", "is not a folder"),
    ("generate", "model.pt --out model.pt/a.npz", "cannot write"),
    ("interpolate", "model.pt --anchors 3", "needs two"),
    ("interpolate", "model.pt --anchors 3,x", "expected whole numbers"),
    ("interpolate", "model.pt --anchors 3,3", "follows itself"),
    ("interpolate", "model.pt --anchors=-1,3", "from 0 to 2147483646"),
    ("interpolate", "model.pt --anchors 1,99999999999", "from 0 to 2147483646"),
    ("interpolate", "model.pt --count 200 --steps 200", "at most 2000 images"),
    ("interpolate", "model.pt --out run", "holds files already"),
    ("export", "model.pt", "--format or --out is missing"),
    ("export", "model.pt --out a.h5", "format 'h5': choose"),
    ("export", "model.pt --format onnx --out a.pt", "ends in .onnx"),
    ("export", "model.pt --out run", "format ''"),
    ("export", "model.pt --format onnx --out run", "cannot write run"),
]


@pytest.mark.parametrize(("name", "line", "message"), BAD)
def test_what_is_refused_writes_nothing(made, monkeypatch, capsys, name, line, message):
    if "onnx" in line:
        pytest.importorskip("onnx")
    monkeypatch.chdir(made)
    before = sorted((path, path.stat().st_mtime_ns) for path in made.rglob("*"))
    assert call(name, *line.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert sorted((path, path.stat().st_mtime_ns) for path in made.rglob("*")) == before
