"""From ``python -m experiments.NAME --flags`` to a configuration, a run and an exit status."""

import argparse
import dataclasses
import difflib
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from experiments.common.allocator import restart_with_huge_pages
from experiments.common.config import Flags, field_type, shown_name
from experiments.common.output import (
    STATUS_FAULT,
    STATUS_INTERRUPTED,
    STATUS_USER_ERROR,
    quiet_when_unread,
)
from jaxdl.distributed import peers
from jaxdl.errors import ConfigError, DivergenceError, JaxdlError, UserError


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are exceptions."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help lists the flags")


def _boolean(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


_PARSERS: dict[type, Callable[[str], Any]] = {
    int: _whole_number,
    float: _number,
    bool: _boolean,
    str: str,
}


def _help(field: dataclasses.Field) -> str:
    text = field.metadata["help"]
    if field.metadata["positional"]:
        return text.replace("%", "%%")
    if field.metadata["choices"]:
        text += f"; one of {', '.join(field.metadata['choices'])}"
    default = "unset" if field.default is None else field.default
    return f"{text} (default: {default})".replace("%", "%%")


def build_parser(program: str, config_class: type[Flags], description: str) -> _Parser:
    """Builds a parser with one flag per field of a configuration class."""
    presets = "; ".join(
        f"{name}: " + ", ".join(f"{k} {v}" for k, v in values.items())
        for name, values in config_class.PRESETS.items()
    )
    parser = _Parser(
        prog=f"python -m experiments.{program}",
        description=description,
        epilog=f"presets — {presets}" if presets else None,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for field in dataclasses.fields(config_class):
        kind, _ = field_type(config_class, field.name)
        extra: dict[str, Any] = {"type": _PARSERS[kind], "metavar": kind.__name__.upper()}
        if kind is bool:
            extra |= {"nargs": "?", "const": True}
            parser.add_argument(
                f"--no_{field.name}", dest=field.name, action="store_false", help=argparse.SUPPRESS
            )
        if field.metadata["positional"]:
            several = typing.get_origin(typing.get_type_hints(config_class)[field.name]) is tuple
            extra = {"nargs": "*" if several else "?", "metavar": shown_name(field)}
            parser.add_argument(field.name, help=_help(field), **extra)
            continue
        parser.add_argument(shown_name(field), help=_help(field), **extra)
    return parser


def _with_underscores(argument: str) -> str:
    """Turns ``--num-devices=8`` into ``--num_devices=8``; values are left alone."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def parse(
    program: str, config_class: type[Flags], description: str, arguments: Sequence[str]
) -> Flags:
    """Reads the command line.

    Raises:
        ConfigError: an unknown flag (the message suggests the nearest) or a bad value.
    """
    parser = build_parser(program, config_class, description)
    known, unknown = parser.parse_known_args([_with_underscores(a) for a in arguments])
    if unknown:
        flags = [shown_name(field) for field in dataclasses.fields(config_class)]
        near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists the flags"
        raise ConfigError(f"unknown argument {unknown[0]}{hint}")
    fields = {n: tuple(v) if isinstance(v, list) else v for n, v in vars(known).items()}
    return config_class.from_preset(fields.pop("preset", None), **fields)


def _advice(error: JaxdlError) -> str:
    """Returns the program's advice on a library error."""
    if isinstance(error, DivergenceError):
        return f"; the same command with --debug_step {error.step} does that"
    return ""


def main(
    program: str,
    config_class: type[Flags],
    run: Callable[[Any], Any],
    description: str,
    arguments: Sequence[str] | None = None,
) -> NoReturn:
    """Runs a program and exits with 0, with 2 for errors the user can fix, or with 1 for faults.

    A run stopped by Ctrl-C exits with 130, one stopped by SIGTERM with 143; programs report this in
    their result's ``exit_status``. With 141 it ends if nobody reads its output any more.

    Args:
        program: the module's name within ``experiments``.
        config_class: its configuration.
        run: does the work.
        description: the program's docstring.
        arguments: the command line; None for this process's.
    """
    with quiet_when_unread():
        status = _run(program, config_class, run, description, arguments)
    sys.exit(status)


def _run(
    program: str,
    config_class: type[Flags],
    run: Callable[[Any], Any],
    description: str,
    arguments: Sequence[str] | None,
) -> int:
    """Runs a program, reports its error, and returns its exit status."""
    try:
        own = arguments is None
        config = parse(program, config_class, description, sys.argv[1:] if own else arguments)
        if own and config.TRAINS and not getattr(config, "dry_run", False):
            restart_with_huge_pages()
        with peers.lost_peers_are_errors():
            result = run(config)
        return getattr(result, "exit_status", None) or 0
    except JaxdlError as error:
        print(f"error: {error}{_advice(error)}", file=sys.stderr)
        status = STATUS_USER_ERROR if isinstance(error, UserError) else STATUS_FAULT
        peers.leave(str(error), status)
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return STATUS_INTERRUPTED
