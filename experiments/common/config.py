"""Configurations: frozen dataclasses whose fields are command-line flags."""

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self

from jaxdl import data
from jaxdl.errors import ConfigError

LARGEST = 1e9  # bound on rates, shares and coefficients; its square still fits float32


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
    positional: bool = False,
) -> Any:
    """Declares a field and its flag.

    Args:
        default: value when the flag is not given.
        help: one line, with the unit; the default is added to it.
        low: smallest value.
        high: largest value.
        above: the value must be larger than this.
        choices: the allowed words.
        positional: the argument has no flag: ``NAME``, not ``--name NAME``; a tuple takes several.
    """
    bounds = {"low": low, "high": high, "above": above, "choices": choices}
    metadata = {"help": help, **bounds, "positional": positional}
    return dataclasses.field(default=default, metadata=metadata)


def shown_name(field: dataclasses.Field) -> str:
    """A field's name on the command line: ``--name``, or ``NAME`` if it has no flag."""
    return field.name.upper() if field.metadata.get("positional") else f"--{field.name}"


def field_type(config_class: type, name: str) -> tuple[type, bool]:
    """Returns the plain type of a field (int, float, str or bool), and whether None is allowed.

    A tuple is of the type of its items.
    """
    hint = typing.get_type_hints(config_class)[name]
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], False
    if isinstance(hint, types.UnionType):
        (plain,) = (kind for kind in typing.get_args(hint) if kind is not type(None))
        return plain, True
    return hint, False


def _is_text(value: str) -> bool:
    """Whether a string can be printed and be part of a path."""
    try:
        value.encode()
    except UnicodeEncodeError:  # command-line bytes that are not UTF-8
        return False
    return all(ord(character) >= 32 for character in value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flags:
    """Base of every program's configuration: checked on creation, with presets by name.

    Attributes:
        PRESETS: for each ``--preset``, the fields whose defaults it changes.
        TRAINS: whether the program trains large networks, and gains from huge pages.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}
    TRAINS: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            ConfigError: a field has the wrong type or is out of its range.
        """
        preset = getattr(self, "preset", None)
        if preset is not None and preset not in self.PRESETS:
            raise ConfigError(f"--preset {preset}: there is {', '.join(self.PRESETS) or 'none'}")
        for field in dataclasses.fields(self):
            self._check(field)

    def _check(self, field: dataclasses.Field) -> None:
        value = getattr(self, field.name)
        for each in value if isinstance(value, tuple) else (value,):
            self._check_value(field, each)

    def _check_value(self, field: dataclasses.Field, value: Any) -> None:
        meta = field.metadata
        kind, optional = field_type(type(self), field.name)
        if value is None and optional:
            return
        name = shown_name(field)
        if value is None and meta.get("positional"):
            raise ConfigError(f"{name} is missing: {meta['help']}")
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"{name} {value!r}: expected {kind.__name__}")
        if kind is float and not math.isfinite(value):
            raise ConfigError(f"{name} {value}: expected a finite number")
        if kind is float and abs(value) > LARGEST:
            raise ConfigError(f"{name} {value}: expected at most {LARGEST:g} either way")
        if kind is str and not _is_text(value):
            raise ConfigError(f"{name} {value!r}: expected text without control characters")
        if meta.get("choices") and value not in meta["choices"]:
            raise ConfigError(f"{name} {value}: choose {', '.join(meta['choices'])}")
        for limit, ok, text in (
            ("low", lambda bound: value >= bound, "at least"),
            ("high", lambda bound: value <= bound, "at most"),
            ("above", lambda bound: value > bound, "more than"),
        ):
            bound = meta.get(limit)
            if bound is not None and not ok(bound):
                raise ConfigError(f"{name} {value}: expected {text} {bound}")

    @classmethod
    def from_preset(cls, preset: str | None, **fields: Any) -> Self:
        """Returns a configuration with a preset's defaults, overridden by ``fields``.

        Raises:
            ConfigError: no such preset, or a field out of its range.
        """
        defaults = cls.PRESETS.get(preset, {}) if preset else {}
        if preset is not None:
            fields = {"preset": preset, **fields}
        return cls(**{**defaults, **fields})


def changed_flags(config: Flags, usual: Mapping[str, Any], ignored: Collection[str]) -> list[str]:
    """The flags whose values are not the usual ones, which are the defaults where none is given.

    Example:
        >>> changed_flags(Config(seed=3, preset=None, workdir="runs/a"), {}, {"workdir"})
        ['--seed 3']
    """
    values = {field: getattr(config, field.name) for field in dataclasses.fields(config)}
    return [
        f"--{field.name} {value}"
        for field, value in values.items()
        if field.name not in ignored and value != usual.get(field.name, field.default)
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceFlags(Flags):
    """Flags of every program that uses a trained generator."""

    source: str = option(None, "the folder of a run, or a file of weights", positional=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Flags of every program with a folder of its own."""

    workdir: str | None = option(None, "folder for the results; unset: runs/PROGRAM[-PRESET]")
    preset: str | None = option(None, "a named set of defaults; other flags override it")
    seed: int = option(0, "root of every random draw", low=0, high=2**31 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """Flags of every program that reads a data set."""

    data_dir: str | None = option(
        None, "folder with NAME/ of IDX files, or of prepared TFDS data (also: JAXDL_DATA_DIR)"
    )
    data_source: str | None = option(None, "force one source of the data", choices=data.SOURCES)

    def __post_init__(self) -> None:
        """Checks every field, and that none of them hides the other."""
        super().__post_init__()
        if self.data_dir is not None and self.data_source == "embedded":
            raise ConfigError(
                f"--data_dir {self.data_dir} is not read with --data_source embedded: leave one out"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(DataConfig):
    """Flags of every program that trains on a data set.

    Attributes:
        COURSE_BATCH_SIZE: the course's batch size, used if none is given.
        NEEDS_CLASSES: whether the program refuses data without classes.
    """

    COURSE_BATCH_SIZE: ClassVar[int]
    NEEDS_CLASSES: ClassVar[bool] = True
    TRAINS: ClassVar[bool] = True

    dataset: str = option(
        "mnist", "data set: mnist, fashion_mnist, stacked_mnist, of TFDS, or DATA_DIR/NAME"
    )
    num_devices: int | None = option(
        None, "devices that share each batch, over all processes; unset: all available", low=1
    )
    virtual_shards: int | None = option(
        None, "power of two K: the same bits on 1, 2, 4 … K CPU devices; slower", low=1
    )
    epochs: int = option(10, "passes over the data", low=1)
    max_steps: int | None = option(None, "stop after this many steps, if that comes first", low=1)
    batch_size: int | None = option(
        None,
        "examples in the global batch; unset: the course's, rounded up to a multiple of the "
        "devices or virtual shards",
        low=1,
    )
    learning_rate: float = option(1e-3, "step size of the optimiser", above=0)
    save_every_steps: int | None = option(
        None, "also save a checkpoint at multiples of this many steps", low=1
    )
    save_every_seconds: float = option(
        300.0,
        "also save a checkpoint this many seconds after the last one; 0: never",
        low=0,
    )
    keep_every: int = option(0, "keep a checkpoint every so many epochs; 0: newest only", low=0)
    log_every: int = option(1, "steps between logged steps", low=1)
    tensorboard: bool = option(False, "also write TensorBoard's event files into the workdir")
    debug_step: int | None = option(
        None, "do not train: repeat steps up to this one, find what is not finite", low=1
    )
    resume: bool = option(True, "continue from the checkpoint in the workdir, if there is one")
    dry_run: bool = option(False, "check everything, print the configuration and models, stop")
    coordinator_address: str | None = option(None, "host:port of process 0, if there are several")
    num_processes: int | None = option(None, "number of processes", low=1)
    process_id: int | None = option(None, "number of this process, from 0", low=0)

    @classmethod
    def from_preset(cls, preset: str | None, **fields: Any) -> Self:
        """Like :meth:`Config.from_preset`; a preset's batch size is a default, not a request."""
        return super().from_preset(preset, **{"batch_size": None, **fields})

    @property
    def batch_multiple(self) -> int:
        """What each device's share of the batch is a multiple of."""
        return 1

    @property
    def length_is_fixed(self) -> bool:
        """Whether a longer run would differ from the beginning, so that none can be prolonged."""
        return False

    @property
    def default_batch_size(self) -> int:
        """The preset's batch size, or the course's."""
        return self.PRESETS.get(self.preset or "", {}).get("batch_size", self.COURSE_BATCH_SIZE)
