"""A corpus of broken command lines, for every program: status 2, one message, nothing written."""

import dataclasses
import importlib
import os

import numpy as np
import pytest

from experiments.__main__ import programs
from experiments.common.command_line import main
from experiments.common.config import Config, Flags, TrainingConfig, field_type
from jaxdl.distributed.devices import find_devices, join_processes
from jaxdl.errors import ConfigError, DeviceError

PROGRAMS = sorted(name for entries in programs().values() for name, _ in entries)
TRAINING = [
    *("cross_validation", "dcgan", "mlp_augmentation", "mlp_dropout", "mlp_early_stopping"),
    *("classifier", "evaluator", "mlp_l2"),
    *("practice.fusion", "practice.imbalance", "practice.mismatch", "practice.model_bias"),
    *("practice.optimisation", "practice.overfitting"),
]
# No folder of their own; a first argument.
TOOLS = ["diagnose", "export", "generate", "interpolate", "report"]
NO_RUNS = [*TOOLS, "notebooks"]  # no folder of a run of their own
WITH_DATA = [
    *TRAINING,
    "lessons.convolution_shapes",
    *("evaluate", "practice.planted_faults", "practice.random_models", "stacked_mnist", "twin"),
    *("lessons.convolution_filters", "lessons.tinynet", "lessons.two_layer_network"),
    *("lessons.activations_on_digits", "lessons.optimizers_on_digits"),
    *("lessons.detection_metrics", "lessons.augmentation_gallery", "lessons.batch_norm_modes"),
]

# One of each kind; the others are slow tests.
QUICK = {
    "classifier",
    "dcgan",
    "evaluate",
    "generate",
    "lessons.tinynet",
    "mlp_l2",
    "stacked_mnist",
}


def each(names):
    """Runs a test for every program."""
    slow = pytest.mark.slow
    chosen = [name if name in QUICK else pytest.param(name, marks=slow) for name in names]
    return pytest.mark.parametrize("name", chosen)


def load_program(name):
    """The module of a program, its configuration and its ``run``."""
    module = importlib.import_module(f"experiments.{name}")
    (config_class,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Flags)
        and value.__module__ == module.__name__
    )
    return module, config_class


def first_argument(name):
    """What a program needs to be told before its flags matter."""
    return ["run"] if name in TOOLS else ["digits.npz"] if name == "evaluate" else []


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """Calls a program as its module does; checks how it ends, and returns its message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds_default"))
    monkeypatch.setenv("JAXDL_MNIST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("JAXDL_FASHION_MNIST_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("JAXDL_DATA_DIR", raising=False)

    np.savez(tmp_path / "digits.npz", images=np.zeros((65, 28, 28, 1), np.uint8))

    def call(name, *arguments):
        module, config_class = load_program(name)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as caught:
            main(name, config_class, module.run, module.__doc__, arguments)
        error = capfd.readouterr().err
        assert caught.value.code == 2, error
        assert error.startswith("error: ")
        assert error.endswith("\n")
        assert len(error.splitlines()) == 1
        assert "Traceback" not in error
        assert sorted(tmp_path.rglob("*")) == before
        return error

    return call


def test_every_program_is_here():
    assert len(PROGRAMS) >= 18
    for name in PROGRAMS:
        module, config_class = load_program(name)
        assert callable(module.run)
        assert issubclass(config_class, TrainingConfig) == (name in TRAINING)
        assert issubclass(config_class, Config) == (name not in NO_RUNS)
        assert ("data_dir" in {f.name for f in dataclasses.fields(config_class)}) == (
            name in WITH_DATA
        )


UNREADABLE = [
    (("--no_such_flag", "1"), "unknown argument --no_such_flag"),
    (("--no_such_flag",), "unknown argument --no_such_flag"),
    (("--no_such_flag=1",), "unknown argument --no_such_flag=1"),
    (("-x",), "unknown argument -x"),
]
UNREADABLE_BY_TOOLS = [
    ((), "SOURCE is missing: the folder of a run"),
    (("a\0b",), "SOURCE 'a\\x00b': expected text without control"),
    (("\udcff",), "SOURCE '\\udcff': expected text without control"),
    (("--source", "run"), "unknown argument --source"),
]
TOO_MANY = [(("one", "two"), "unknown argument two")]
UNREADABLE_OUT = [
    (("--otu", "x", "run"), "did you mean --out?"),
    (("run", "--out"), "expected one argument"),
    (("run", "--out", "a\nb"), "expected text without control"),
]
UNREADABLE_BY_OTHERS = [
    (("--wokrdir", "x"), "did you mean --workdir?"),
    (("--work", "x"), "unknown argument --work"),
    (("stray",), "unknown argument stray"),
    (("stray", "--seed", "1"), "unknown argument stray"),
    (("--seed",), "expected one argument"),
    (("--seed", "--workdir"), "expected one argument"),
    (("--seed", "1", "2"), "unknown argument 2"),
    (("--seed", ""), "'' is not a whole number"),
    (("--seed", "one"), "'one' is not a whole number"),
    (("--seed", "1.5"), "'1.5' is not a whole number"),
    (("--seed", "1e3"), "'1e3' is not a whole number"),
    (("--seed", "0x10"), "'0x10' is not a whole number"),
    (("--seed", "nan"), "'nan' is not a whole number"),
    (("--seed", "9" * 5000), "is not a whole number"),
    (("--seed=-1",), "--seed -1: expected at least 0"),
    (("--seed", str(2**31)), "expected at most 2147483647"),
    (("--seed", str(10**300)), "expected at most 2147483647"),
    (("--preset", "huge"), "--preset huge: there is"),
    (("--preset", ""), "--preset"),
    (("--preset", "quick,smoke"), "--preset quick,smoke"),
    (("--workdir", "a\0b"), "expected text without control"),
    (("--workdir", "a\nb"), "expected text without control"),
    (("--workdir", "\udcff"), "expected text without control"),
]


@each(PROGRAMS)
def test_flags_that_every_program_has(refused, name):
    more = UNREADABLE_BY_TOOLS if name in TOOLS else []
    more = more + (UNREADABLE_OUT if name in TOOLS and name != "diagnose" else [])
    more = more + (TOO_MANY if name in TOOLS and name != "report" else [])
    for arguments, message in UNREADABLE + more:
        assert message in refused(name, *arguments)
    for arguments, message in [] if name in NO_RUNS else UNREADABLE_BY_OTHERS:
        assert message in refused(name, *first_argument(name), *arguments)


def out_of_range(config_class):
    """For every flag, values of a wrong type and beyond its bounds."""
    for field in dataclasses.fields(config_class):
        kind, _ = field_type(config_class, field.name)
        flag, meta = f"--{field.name}", field.metadata
        if kind in (int, float):
            yield f"{flag}=many"
            yield f"{flag}="
            yield f"{flag}=1,5"
        if kind is int:
            yield f"{flag}=0.5"
        if kind is float:
            for value in ("nan", "-nan", "inf", "-inf", "1e999", "1e39", "-1e300"):
                yield f"{flag}={value}"
        if kind is bool:
            yield f"{flag}=maybe"
            yield f"--no_{field.name}=3"
        step = 1 if kind is int else 1e-6
        if meta["low"] is not None:
            yield f"{flag}={meta['low'] - step}"
            yield f"{flag}={-(10**20)}"
        if meta["high"] is not None:
            yield f"{flag}={meta['high'] + step}"
            yield f"{flag}={10**20}"
        if meta["above"] is not None:
            yield f"{flag}={meta['above']}"
            yield f"{flag}=-1"
        if meta["choices"]:
            yield f"{flag}=no_such_choice"


@each(PROGRAMS)
def test_every_flag_out_of_its_range(refused, name):
    cases = list(out_of_range(load_program(name)[1]))
    assert len(cases) >= 6 or name in ("diagnose", "export", "notebooks", "report")
    for case in cases:
        message = refused(name, *first_argument(name), case)
        assert case.partition("=")[0].removeprefix("--no_").strip("-") in message


@each([name for name in PROGRAMS if name not in NO_RUNS])
def test_a_workdir_that_is_no_folder(refused, tmp_path, name):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "link")
    (tmp_path / "null").symlink_to("/dev/null")
    more = ("--data_source", "embedded") if name in WITH_DATA else ()
    for workdir in ("file", "file/below", "link", "null", "w" * 300):
        assert workdir in refused(name, *first_argument(name), "--workdir", workdir, *more)
    assert (tmp_path / "file").read_text() == "mine"


@each([name for name in PROGRAMS if name not in NO_RUNS])
def test_a_workdir_of_another_program(refused, tmp_path, name):
    folder = tmp_path / "taken"
    folder.mkdir()
    more = ("--data_source", "embedded") if name in WITH_DATA else ()
    contents = [b'{"program": "another", "config": {}, "data": {}}', b"{"]
    if name == "dcgan":  # one function reads the file for all
        contents += [b"[]", b"3", b"null", b'"x"', b"", b"\xff\xfe", b"[" * 100_000]
    for content in contents:
        (folder / "config.json").write_bytes(content)
        assert "taken" in refused(name, *first_argument(name), "--workdir", "taken", *more)


@each(WITH_DATA)
def test_data_that_is_not_there(refused, tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty" / "mnist").mkdir(parents=True)
    first = first_argument(name)
    for folder in ("nowhere", "file", "empty", "file/below", "~nobody-of-this-name/x", "d" * 5000):
        assert folder[:9] in refused(name, *first, "--data_dir", folder)
        assert folder[:9] in refused(name, *first, "--data_dir", folder, "--data_source", "idx")
    assert "empty" in refused(name, *first, "--data_dir", "")
    assert "a folder" in refused(name, *first, "--data_source", "idx")
    assert "choose idx, tfds, embedded" in refused(name, *first, "--data_source", "web")


@each(TRAINING)
def test_data_of_no_known_name(refused, name):
    for dataset in ("", "..", "../mnist", "/etc", "a b", "x" * 5000):
        refused(name, "--dataset", dataset, "--data_source", "embedded")
    refused(name, "--dataset", "fashion_mnist", "--data_source", "embedded")
    refused(name, "--dataset", "fashion_mnist", "--data_source", "tfds")


HUGE = {
    "classifier": ("width", "depth", "seeds", "batch_size", "num_devices"),
    "dcgan": ("features", "latent_dim", "image_size", "batch_size", "num_devices"),
    "evaluator": ("hidden", "shift", "batch_size", "num_devices"),
    "mlp_l2": ("width", "seeds", "batch_size", "num_devices"),
    "mlp_dropout": ("width", "wide", "seeds", "batch_size"),
    "mlp_augmentation": ("width", "seeds", "batch_size"),
    "mlp_early_stopping": ("width", "seeds", "batch_size"),
    "cross_validation": ("width", "seeds", "folds", "outer_folds", "batch_size"),
    "practice.fusion": ("width", "seeds", "batch_size"),
    "practice.imbalance": ("width", "seeds", "batch_size"),
    "practice.mismatch": ("width", "seeds", "few", "batch_size"),
    "practice.model_bias": ("width", "layers", "members", "seeds", "batch_size"),
    "practice.optimisation": ("width", "seeds", "batch_size"),
    "practice.overfitting": ("width", "examples", "seeds", "batch_size"),
}


@each(TRAINING)
def test_what_cannot_fit_is_refused_before_it_is_made(refused, name):
    for flag in HUGE[name]:
        for value in (10**9, 10**15, 2**63, 10**30):
            refused(name, f"--{flag}={value}", "--data_source", "embedded")


def test_what_is_within_bounds_but_too_much_together(refused):
    message = refused("dcgan", "--features=10000", "--latent_dim=100000", "--data_source=embedded")
    assert "GiB: choose smaller values" in message
    assert "GiB" in refused("mlp_l2", "--width=100000", "--data_source=embedded")
    assert "GiB" in refused("classifier", "--width=100000", "--data_source=embedded")


def test_splits_that_cannot_be_made(refused):
    assert "every part needs a sample" in refused("lessons.data_splits", "--train=1e-9")
    assert "num_folds is 20" in refused("lessons.data_splits", "--rows=5", "--folds=20")


def test_devices_that_are_not_there(refused):
    assert "devices" in refused("dcgan", "--num_devices=9", "--data_source", "embedded")
    assert "at most 256" in refused("dcgan", "--num_devices=257", "--data_source", "embedded")
    message = refused("dcgan", "--num_devices=8", "--batch_size=12", "--data_source", "embedded")
    assert "nearest sizes that can: 8 and 16" in message


BAD_ADDRESSES = ["", "host", "host:", ":1234", "host:port", "host:0", "host:65536", "host:-1"]
BAD_ADDRESSES += ["host:1e3", "host:1234:", "host:" + "9" * 5000, "host:\u0661\u0662"]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_a_coordinator_that_is_no_address(refused, monkeypatch, address):
    def must_not_be_called(*_, **__):
        raise AssertionError("the address was not checked")

    monkeypatch.setattr("jax.distributed.initialize", must_not_be_called)
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        join_processes(address, 2, 0)
    flags = ("--coordinator_address", address, "--num_processes=2", "--process_id=0")
    assert "expected HOST:PORT" in refused("mlp_l2", *flags)


def test_processes_that_do_not_belong_together(refused):
    assert "numbered 0 to 1" in refused("mlp_l2", "--num_processes=2", "--process_id=2")
    assert "at least 0" in refused("mlp_l2", "--num_processes=2", "--process_id=-1")
    assert "joining" in refused("mlp_l2", "--num_processes=2", "--process_id=0")
    assert "joining" in refused("mlp_l2", "--process_id=0")


def test_virtual_devices_have_a_limit(monkeypatch):
    def must_not_be_called(name, value):
        raise AssertionError(f"{name} = {value}")

    monkeypatch.setattr("jax.config.update", must_not_be_called)
    with pytest.raises(DeviceError, match="at most 256"):
        find_devices(10**9)


def test_the_corpus_would_notice_a_program_that_runs(refused):
    with pytest.raises(AssertionError, match="assert 0 == 2"):
        refused("dcgan", "--dry_run", "--preset=smoke", "--data_source=embedded")
    assert not os.path.exists("runs")
