"""A run's configuration beside its program's usual one, and the commands that go on from it."""

import dataclasses
import importlib
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from experiments.common import events
from experiments.common.catalogue import find_program, names
from experiments.common.comparison import COURSE_IMAGES, SAME_FIGURES
from experiments.common.config import Flags
from experiments.common.diagnosing import NOT_REPEATED
from experiments.common.page.reading import RunFolder, numbers, part_of
from experiments.common.workdir import CHECKPOINTS, GENERATOR_FILES
from jaxdl.distributed.parallel import batch_size_for
from jaxdl.errors import JaxdlError

# Programs whose usual configuration is the course's.
OF_THE_COURSE = {
    *("dcgan", "cross_validation", "mlp_l2", "mlp_dropout", "mlp_augmentation"),
    "mlp_early_stopping",
}
CHOICES = ("model", "optimizer", "loss")  # the usual values of other flags follow them


class Setting(NamedTuple):
    """A flag of a run.

    Attributes:
        name: of the flag.
        value: in the run.
        usual: the program's; equal to ``value`` if it is not known.
        help: what it is.
    """

    name: str
    value: Any
    usual: Any
    help: str

    @property
    def differs(self) -> bool:
        """Whether the run's value is not the usual one, and may change its figures."""
        return self.value != self.usual and self.name not in SAME_FIGURES


def program_of(run: RunFolder) -> str | None:
    """The name of the program that a run was made with; None if this version has none such."""
    return find_program(run.program, names())


def settings_of(run: RunFolder) -> list[Setting]:
    """The run's flags, in their order."""
    kind = _config_class(run)
    fields = {field.name: field for field in dataclasses.fields(kind)} if kind else {}
    usual = usual_values(run)
    return [
        Setting(
            name,
            value,
            usual.get(name, value),
            fields[name].metadata["help"] if name in fields else "",
        )
        for name, value in run.settings.items()
    ]


def usual_values(run: RunFolder, preset: str | None = None) -> dict[str, Any]:
    """The program's flags if none is given, or only a preset; empty if that is not known.

    A batch is rounded up to the devices of the run, and flags follow the run's kind of network.
    """
    module, kind = _module(run), _config_class(run)
    if kind is None:
        return {}
    try:
        known = {field.name for field in dataclasses.fields(kind)}
        chosen = {n: run.settings[n] for n in CHOICES if n in known and n in run.settings}
        resolved = getattr(module, "resolved", None)
        config = kind.from_preset(preset, **(chosen if resolved else {}))
        config = resolved(config) if resolved else config
        values = dataclasses.asdict(config)
        if "batch_size" in values and values["batch_size"] is None:
            values["batch_size"] = _batch_size(run, config.default_batch_size)
    except (JaxdlError, TypeError, AttributeError):  # recorded by another version, or damaged
        return {}
    return values


def _batch_size(run: RunFolder, size: int) -> int:
    shares = run.settings.get("virtual_shards") or part_of(run.record, "devices").get("number")
    return batch_size_for(shares, None, size) if type(shares) is int and shares > 0 else size


def _module(run: RunFolder) -> Any:
    name = program_of(run)
    return importlib.import_module(f"experiments.{name}") if name else None


def _config_class(run: RunFolder) -> type[Flags] | None:
    module = _module(run)
    classes = [
        each
        for each in vars(module or object).values()
        if isinstance(each, type) and issubclass(each, Flags) and each.__module__ == module.__name__
    ]
    return classes[0] if classes else None


def fewer_images(run: RunFolder) -> str | None:
    """What a run of the course's programs says about its data, if they are fewer."""
    (count, *_) = numbers(part_of(run.record, "data").get("train"))
    if run.program not in OF_THE_COURSE or not count < COURSE_IMAGES:
        return None
    return f"{count:,.0f} training images instead of {COURSE_IMAGES:,}"


def own_command(run: RunFolder) -> str | None:
    """The command that made the run and continues it; None if the program is not known."""
    name = program_of(run)
    if name is None:
        return None
    preset = run.settings.get("preset")
    preset = preset if isinstance(preset, str) else None
    usual = usual_values(run, preset)
    if any(run.settings.get(flag, 0) is None for flag in usual if usual[flag] is not None):
        # No flag can unset what a preset sets.
        preset, usual = None, usual_values(run)
    words = ["python", "-m", f"experiments.{name}", "--workdir", str(run.path)]
    words += ["--preset", preset] if preset else []
    kept = NOT_REPEATED - {"num_devices", "virtual_shards"}
    for flag, value in run.settings.items():
        if flag in usual and flag not in kept and value not in (None, usual[flag]):
            words += _spelt(flag, value)
    return shlex.join(words)


def _spelt(flag: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no_{flag}"]
    return [f"--{flag}", str(value)]


def commands(run: RunFolder) -> list[tuple[str, str]]:
    """What one may do with the run: a purpose, and the command for it."""
    folder = shlex.quote(str(run.path))
    found = []
    fixed = run.summary and run.record.get("length_is_fixed")  # then nothing can go on from it
    if not fixed and (own := own_command(run)):
        ended = (
            "Prolong it, with a larger --epochs or --max_steps" if run.summary else "Continue it"
        )
        found.append((ended, own))
    left = any((run.path / name).exists() for name in (*GENERATOR_FILES, CHECKPOINTS))
    if left and run.program == "dcgan":
        out = shlex.quote(f"{run.path}-samples")
        found += [
            (
                "Generate images",
                f"python -m experiments.generate {folder} --count 1000 --out {out}",
            ),
            ("Walk between images", f"python -m experiments.interpolate {folder}"),
            ("Evaluate the images", f"python -m experiments.evaluate {folder}"),
        ]
    if run.program == "classifier":
        found.append(
            ("Evaluate the network", f"python -m experiments.classifier --evaluate {folder}")
        )
    if run.program in ("dcgan", "classifier"):
        found.append(("Diagnose it", f"python -m experiments.diagnose {folder}"))
    if (run.path / events.FOLDER).is_dir():
        found.append(("See it in TensorBoard", f"tensorboard --logdir {folder}/{events.FOLDER}"))
    return [*found, ("Write this page again", f"python -m experiments.report {folder}")]


def path_name(path: Path) -> str:
    """A folder's name, also of "." and "run/"."""
    return path.resolve().name or str(path)
