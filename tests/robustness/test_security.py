"""No pickle is loaded, downloads are checked first, files have the user's permissions."""

import ast
import functools
import gzip
import hashlib
import http.server
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdl
from jaxdl import interop, plot
from jaxdl.data.sources.idx import IDX_STEMS, write_idx
from jaxdl.data.sources.published import ChecksumError, Published, PublishedFile, verify
from jaxdl.data.sources.tfds_prepare import prepare_published
from jaxdl.files import write_atomically
from jaxdl.run.fit import fit
from jaxdl.run.log import RunLog
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import RunOptions, Task

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "jaxdl").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])

# Modules whose reading runs what the file says, and functions that do.
RUNNERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RUNNERS |= {"yaml", "pandas", "runpy", "code", "imp"}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "extractall", "unpack_archive"}
ARRAY_LIBRARIES = {"np", "numpy", "jnp", "jax", "torch", "scipy", "sklearn"}
LOADERS = {"load", "loads", "load_module", "Unpickler", "fromfile", "read_array"}


def findings(source):
    """Imports and calls in a program's text that could run what a file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            modules = []
        yield from (m for m in modules if m.split(".")[0] in RUNNERS)
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        pickles = keywords.get("allow_pickle")
        if pickles is not None and not (isinstance(pickles, ast.Constant) and not pickles.value):
            yield "allow_pickle"
        shell = keywords.get("shell")
        if shell is not None and not (isinstance(shell, ast.Constant) and not shell.value):
            yield "shell"
        if isinstance(function, ast.Name) and function.id in CALLS:
            yield function.id
        if isinstance(function, ast.Attribute):
            owner = ast.unparse(function.value)
            if function.attr in CALLS - {"eval", "compile"} and owner not in ("re",):
                yield f"{owner}.{function.attr}"
            checked = owner == "np" and "allow_pickle" in keywords  # whose value is seen above
            loads = function.attr in LOADERS and owner.split(".")[0] in ARRAY_LIBRARIES
            if loads and not checked:
                yield f"{owner}.{function.attr}"


def test_nothing_in_the_project_reads_a_pickle_or_runs_a_text():
    assert len(SOURCES) > 100
    found = {
        str(path.relative_to(ROOT)): names
        for path in SOURCES
        if (names := sorted(set(findings(path.read_text()))))
    }
    # It runs a program of its own list, by name.
    assert found == {"experiments/__main__.py": ["runpy"]}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "np.lib.format.read_array(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "eval(text)",
        "os.system(text)",
        "archive.extractall(folder)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_search_finds(source):
    assert list(findings(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "json.load(file)",
        "data.load('mnist')",
        "re.compile('a')",
        "model.eval()",
        "np.lib.format.write_array(file, array, allow_pickle=False)",
    ],
)
def test_the_search_leaves_alone(source):
    assert list(findings(source)) == []


def test_importing_everything_loads_no_pickle_of_ours():
    """Reading weights of each kind, with every way into a pickle barred."""
    code = """
import pickle, sys
def refuse(*_, **__): raise AssertionError('a pickle was loaded')
import jaxdl, jaxdl.interop, numpy as np
pickle.load = pickle.loads = pickle.Unpickler = refuse
folder, reference = sys.argv[1:]
arrays = {'a': np.arange(3.0)}
for suffix in ('.npz', '.safetensors'):
    jaxdl.interop.save_state_dict(folder + '/w' + suffix, arrays)
    assert jaxdl.interop.load_state_dict(folder + '/w' + suffix)['a'].sum() == 3
assert len(jaxdl.interop.load_state_dict(reference)) > 3
assert 'torch' not in sys.modules
"""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        reference = ROOT / "tests" / "references" / "generator.pt"
        subprocess.run(
            [sys.executable, "-c", code, folder, str(reference)],
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


# Downloads.


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A made-up data set, what is published about it, and a server of it on loopback."""
    folder = tmp_path / "web"
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = {}
    for role, stem in IDX_STEMS.items():
        shape = (10, 28, 28) if "images" in role else (10,)
        write_idx(folder / f"{stem}.gz", rng.integers(0, 10, shape, np.uint8))
        packed = (folder / f"{stem}.gz").read_bytes()
        files[role] = PublishedFile(
            hashlib.sha256(packed).hexdigest(), hashlib.sha256(gzip.decompress(packed)).hexdigest()
        )
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield folder, Published("made_up", (url,), files)
    server.shutdown()
    server.server_close()


def _flip(content):
    return content[:-30] + bytes([content[-30] ^ 1]) + content[-29:]


TAMPERINGS = {
    "a flipped bit": _flip,
    "cut": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "empty": lambda content: b"",
    "a page": lambda content: b"<html></html>",
    "another image": lambda content: gzip.compress(_flip(gzip.decompress(content))),
    "a bomb": lambda content: gzip.compress(gzip.decompress(content) + bytes(2**25), 1),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_tampered_download_is_refused_unread(mirror, tmp_path, monkeypatch, tampering):
    folder, published = mirror
    path = folder / f"{IDX_STEMS['train_images']}.gz"
    path.write_bytes(TAMPERINGS[tampering](path.read_bytes()))

    def must_not_be_called(*_):
        raise AssertionError("a file was read before its checksum was")

    monkeypatch.setattr("jaxdl.data.sources.tfds_prepare.read_split", must_not_be_called)
    with pytest.raises(ChecksumError, match="is not the published file"):
        prepare_published(published, tmp_path / "root")
    assert [p for p in (tmp_path / "root").rglob("*") if p.is_file()] == []


def test_the_untampered_download_is_used(mirror, tmp_path):
    _, published = mirror
    assert prepare_published(published, tmp_path / "root").is_dir()


def test_a_download_without_end_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    expected = PublishedFile("0" * 64, "0" * 64)
    with pytest.raises(ChecksumError, match="too many"):
        verify(path, expected, "http://127.0.0.1/endless")


# Permissions.


@pytest.fixture(params=[0o022, 0o077, 0o002, 0o000], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _write_weights(folder):
    interop.save_state_dict(folder / "weights.npz", {"a": np.ones(2)})


def _write_picture(folder):
    plot.save_figure(plot.bars({"a": 1.0}, ylabel="Loss"), folder / "bars.png")


def _write_animation(folder):
    plot.Animation([np.zeros((8, 8), np.uint8)] * 2, ["a", "b"]).save(folder / "animation.gif")


def _write_log(folder):
    RunLog(folder / "metrics.jsonl").append({"kind": "step", "epoch": 1, "step": 1})


def _write_run(folder):
    """A log and checkpoints."""

    def step(state, inputs, position, shard):
        return state * inputs, {"value": state}

    half = jnp.float32(0.5)
    task = Task(step, jnp.float32(8), lambda epoch: half)
    fit(task, Schedule(2, 1, None, 1), RunOptions(folder=folder))
    assert any((folder / "checkpoints").iterdir())


def _write_text(folder):
    write_atomically(folder / "new" / "deep" / "config.json", "{}")


WRITERS = [_write_text, _write_weights, _write_picture, _write_animation, _write_log]
WRITERS += [_write_run]


@pytest.mark.parametrize("write", WRITERS)
def test_files_have_the_permissions_that_the_umask_leaves(tmp_path, umask, write):
    folder = tmp_path / "run"
    folder.mkdir()
    write(folder)
    written = list(folder.rglob("*"))
    assert any(path.is_file() for path in written)
    for path in written:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask, path


def test_a_replaced_file_has_them_too(tmp_path, umask):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o600)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_writing_never_changes_the_umask(tmp_path, monkeypatch):
    """Another thread's files would be anybody's for as long as it is changed."""

    def must_not_be_called(mask):
        raise AssertionError(f"umask set to {mask:o}")

    monkeypatch.setattr("os.umask", must_not_be_called)
    write_atomically(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def test_no_link_is_followed_when_writing(tmp_path):
    """A link in place of the file is replaced; what it points to stays as it is."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "config.json").symlink_to(tmp_path / "precious")
    write_atomically(tmp_path / "config.json", "{}")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "config.json").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "precious"]


def test_the_package_under_test_is_this_one():
    assert Path(jaxdl.__file__).is_relative_to(ROOT)
