import dataclasses
import os
import subprocess
import sys

import pytest

from experiments.__main__ import BEGIN, program_of, tree_lines
from experiments.common.catalogue import names, programs
from experiments.common.command_line import build_parser, main, parse
from experiments.dcgan import DCGANConfig
from experiments.report import ReportConfig
from jaxdl.errors import ConfigError, TrainingError


def read(*arguments):
    return parse("dcgan", DCGANConfig, "what it does", arguments)


def test_defaults_are_the_course_s_configuration():
    config = read()
    assert (config.image_size, config.features, config.latent_dim) == (64, 64, 100)
    assert (config.learning_rate, config.beta1, config.epochs) == (2e-4, 0.5, 10)
    assert (config.batch_size, config.default_batch_size) == (None, 100)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--num_devices", "8", "--learning_rate", "1e-3"),
        ("--num-devices", "8", "--learning-rate=1e-3"),
        ("--num_devices=8", "--learning_rate=0.001"),
    ],
)
def test_underscores_and_hyphens(arguments):
    config = read(*arguments)
    assert (config.num_devices, config.learning_rate) == (8, 1e-3)


def test_values_keep_their_hyphens():
    assert read("--workdir", "my-runs/a-b").workdir == "my-runs/a-b"


@pytest.mark.parametrize(
    ("arguments", "resume"),
    [
        ((), True),
        (("--resume",), True),
        (("--no_resume",), False),
        (("--no-resume",), False),
        (("--resume", "false"), False),
        (("--resume=yes",), True),
    ],
)
def test_switches(arguments, resume):
    assert read(*arguments).resume is resume


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--num_device", "8"), "unknown argument --num_device; did you mean --num_devices?"),
        (("--colour", "red"), "unknown argument --colour; --help lists the flags"),
        (("stray",), "unknown argument stray"),
        (("--epochs", "many"), "argument --epochs: 'many' is not a whole number"),
        (("--epochs",), "argument --epochs: expected one argument"),
        (("--learning_rate", "fast"), "'fast' is not a number"),
        (("--resume", "maybe"), "'maybe' is neither true nor false"),
        (("--preset", "huge"), "--preset huge: there is quick, smoke"),
        (("--features", "0"), "--features 0: expected at least 1"),
    ],
)
def test_errors_name_the_flag(arguments, message):
    with pytest.raises(ConfigError) as caught:
        read(*arguments)
    assert message in str(caught.value)


def test_help_gives_every_flag_its_default():
    text = build_parser("dcgan", DCGANConfig, "what it does").format_help()
    for field in dataclasses.fields(DCGANConfig):
        assert f"--{field.name} " in text
    assert "what it does" in text
    assert "(default: 0.0002)" in text
    assert "presets — quick: " in text


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (None, 0, ""),
        (ConfigError("no such thing"), 2, "error: no such thing\n"),
        (TrainingError("loss is not finite"), 1, "error: loss is not finite\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_exit_status_and_one_message(capsys, error, status, printed):
    def run(config):
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as caught:
        main("dcgan", DCGANConfig, run, "what it does", [])
    assert caught.value.code == status
    assert capsys.readouterr().err == printed


def test_bugs_keep_their_traceback():
    def run(config):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main("dcgan", DCGANConfig, run, "what it does", [])


def test_parsing_starts_no_backend():
    """Virtual devices can only be made before JAX starts, so flags are read without it."""
    code = (
        "from experiments.dcgan import DCGANConfig\n"
        "from experiments.common.command_line import parse\n"
        "parse('dcgan', DCGANConfig, '', ['--num_devices', '3'])\n"
        "import jax\n"
        "jax.config.update('jax_num_cpu_devices', 3)\n"
        "assert jax.device_count() == 3\n"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def start(*arguments, **options):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAXDL_HUGE_PAGES": "0"}
    command = [sys.executable, "-m", "experiments", *arguments]
    return subprocess.run(command, env=environment, text=True, check=False, **options)


DRY_RUN = ("mlp_l2", "--dry_run", "--data_source", "embedded")


@pytest.mark.parametrize("arguments", [(), DRY_RUN])
def test_output_that_nobody_reads_ends_a_program_quietly(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as unread:
        done = start(*arguments, stdout=unread, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_program_can_be_named_in_the_list_s_place():
    done = start("mlp-l2", "--sed", "3", capture_output=True)
    assert done.returncode == 2
    assert done.stderr == "error: unknown argument --sed; did you mean --seed?\n"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("dcgn", "there is no program 'dcgn'; did you mean dcgan?"),
        ("xyz", "there is no program 'xyz'; python -m experiments lists them"),
        ("--preset", "--preset needs a program: python -m experiments.NAME --preset; "),
    ],
)
def test_what_to_type_is_said_of_a_program_that_is_not_there(capsys, argument, message):
    with pytest.raises(SystemExit) as caught:
        program_of(argument)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 160])
def test_the_tree_shows_every_program_once_and_where_to_begin(width):
    lines = tree_lines(width)
    known = names()
    shown = [line.split("── ")[1].split()[0] for line in lines[1:] if "── " in line[4:]]
    assert sorted(shown) == sorted(known)
    assert {begin.split()[0] for begin in BEGIN.values()} <= set(known)
    assert set(BEGIN) == set(programs()), "a theme says where to begin"
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("    "), "the last theme is the last branch"


def test_several_folders_are_one_argument():
    assert parse("report", ReportConfig, "", ["a", "b", "--out", "c"]).source == ("a", "b")
    assert parse("report", ReportConfig, "", ["--out", "c", "a"]).source == ("a",)
    with pytest.raises(ConfigError, match="SOURCE is missing"):
        parse("report", ReportConfig, "", ["--out", "c"])
