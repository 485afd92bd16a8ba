"""A run's diagnosis in its folder: read, told, written; remedies as commands."""

import dataclasses
import itertools
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxdl.diagnosis import (
    Diagnosis,
    Finding,
    diagnose_classifier,
    diagnose_gan,
    read_config,
    read_divergence,
    read_record,
    read_records,
)
from jaxdl.errors import ConfigError, WorkdirError
from jaxdl.files import to_json, write_atomically

DIAGNOSIS = "diagnosis.json"
# Flags that a command does not repeat: spelt out in another way, or of the machine.
NOT_REPEATED = {
    *("workdir", "preset", "resume", "dry_run", "debug_step", "evaluate", "num_devices"),
    *("virtual_shards", "coordinator_address", "num_processes", "process_id"),
}
# What the data and the set-up show without any training; a probe does not change it.
FACTS = {
    *("loss and output that do not belong together", "unscaled inputs", "imbalance"),
    *("leaked or duplicated test examples", "shuffled labels", "label noise"),
}
# What only siblings can tell apart.
UNDECIDED = {
    *("model too small", "optimisation", "rate too high", "rate too low"),
    *("oscillation", "training stopped too early"),
}
# What a network without hidden layers does not have.
LAYER_SETTINGS = {"depth", "dropout", "activation", "normalization", "residual", "initial_bias"}


def diagnose_folder(folder: Path) -> Diagnosis:
    """Diagnoses the run in a folder, complete or not.

    Raises:
        WorkdirError: the folder cannot be read, or is of a program that is not diagnosed.
    """
    config = read_config(folder)
    program = config.get("program")
    if program not in ("classifier", "dcgan"):
        raise WorkdirError(
            f"{folder} holds a run of {program!r}; runs of classifier and dcgan are diagnosed"
        )
    try:
        if program == "classifier":
            return diagnose_classifier(read_record(folder))
        records = read_records(folder / "metrics.jsonl")
        return diagnose_gan(records, config["config"], read_divergence(folder, records))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise WorkdirError(
            f"{folder} lacks what a diagnosis needs ({error!r}): it was damaged, or written by "
            "another version"
        ) from error


def decided(diagnosis: Diagnosis, found: Finding | None) -> Diagnosis:
    """A diagnosis after a probe, whose finding replaces those that only guess at the training.

    What the log showed without guessing stands, and so does a healthy run.
    """
    causes = {finding.cause for finding in diagnosis.findings}
    if found is None or not causes & UNDECIDED:
        return diagnosis
    facts = [f for f in diagnosis.findings if f.cause in FACTS]
    rest = [f for f in diagnosis.findings if f.cause not in FACTS | UNDECIDED]
    return diagnosis._replace(findings=(*facts, found, *rest))


def remedies(
    finding: Finding, settings: Mapping[str, Any], numbers: Iterator[int] | None = None
) -> list[dict[str, str]]:
    """What to do, each with its ``text`` and, where flags can do it, a ``command``.

    Settings that the network does not have, or has already, are left out. ``numbers`` end the names
    of the commands' folders; unset: 2, 3, ….
    """
    numbers = numbers or itertools.count(2)
    found = []
    for remedy in finding.remedies:
        entry = {"text": remedy.text}
        if remedy.changes:
            wanted = _changed(settings, remedy.changes)
            if wanted == dict(settings) or not _has(wanted.get("model"), remedy.changes):
                continue
            try:
                entry["command"] = _command(wanted, f"{settings['workdir']}-{next(numbers)}")
            except ConfigError:
                continue  # the other flags do not go with it
        found.append(entry)
    return found


def _changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings after some changes; with another network, its usual sizes where none is given."""
    wanted = {**settings, **changes}
    if wanted.get("model") != settings.get("model"):
        follow = ("width", "depth", "augment", "normalization", "dropout", "residual")
        wanted = {n: v for n, v in wanted.items() if n not in follow or n in changes}
    return wanted


def _has(model: str | None, changes: Mapping[str, Any]) -> bool:
    """Whether a kind of network has the settings that are to be changed."""
    missing = {"linear": LAYER_SETTINGS, "cnn": {"residual"}}
    return not missing.get(model, set()) & set(changes)


def _command(wanted: Mapping[str, Any], workdir: str) -> str:
    """The command of a run with these settings, in a folder of its own."""
    # Here, because the programs end with their own diagnosis.
    from experiments.classifier import ClassifierConfig, resolved
    from experiments.dcgan import DCGANConfig

    chosen = {n: wanted[n] for n in ("model", "optimizer", "loss") if n in wanted}
    if {"model", "optimizer"} & chosen.keys():  # DCGAN has a loss, too
        program, usual = "classifier", resolved(ClassifierConfig(**chosen))
        names = {field.name for field in dataclasses.fields(usual)} - NOT_REPEATED
        resolved(ClassifierConfig(**{n: v for n, v in wanted.items() if n in names}))
    else:
        program, usual = "dcgan", DCGANConfig()
    words = ["python", "-m", f"experiments.{program}", "--workdir", workdir]
    for field in dataclasses.fields(usual):
        value = wanted.get(field.name)
        expected = field.default if field.name in chosen else getattr(usual, field.name)
        if value not in (None, expected) and field.name not in NOT_REPEATED:
            words += [f"--{field.name}", str(value)]
    return shlex.join(words)


def as_values(diagnosis: Diagnosis, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``diagnosis.json``: the first cause, and all findings."""
    numbers = itertools.count(2)
    findings = [
        {
            "cause": finding.cause,
            "sureness": finding.sureness,
            "evidence": list(finding.evidence),
            "remedies": remedies(finding, settings, numbers),
        }
        for finding in diagnosis.findings
    ]
    healthy = {"sureness": None, "evidence": list(diagnosis.facts), "remedies": []}
    first = findings[0] if findings else healthy
    return {
        "verdict": diagnosis.verdict,
        **{name: first[name] for name in ("sureness", "evidence", "remedies")},
        "findings": findings,
        "facts": list(diagnosis.facts),
    }


def write_diagnosis(folder: Path, diagnosis: Diagnosis) -> dict[str, Any]:
    """Writes ``diagnosis.json`` into a run's folder and returns its content."""
    config = read_config(folder)
    settings = {**config["config"], "workdir": str(folder)}
    content = as_values(diagnosis, settings)
    write_atomically(folder / DIAGNOSIS, to_json(content, indent=2) + "\n")
    return content


def told(content: Mapping[str, Any]) -> str:
    """A diagnosis in words, for a terminal."""
    lines = [f"Diagnosis: {content['verdict']}"]
    for finding in content["findings"]:
        sure = f"{finding['sureness']:.0%} sure"
        lines.append(f"\n{finding['cause']} ({sure})")
        lines += [f"  - {sentence}" for sentence in finding["evidence"]]
        lines.append("  What to do:")
        for remedy in finding["remedies"]:
            lines.append(f"  * {remedy['text']}")
            if "command" in remedy:
                lines.append(f"      {remedy['command']}")
    if content["facts"]:
        lines += ["", *content["facts"]]
    return "\n".join(lines)


def closing_line(content: Mapping[str, Any], folder: str) -> str:
    """The diagnosis in one line, for the end of a run."""
    if content["verdict"] == "healthy":
        return "Diagnosis: healthy."
    first = content["findings"][0]
    return (
        f"Diagnosis: {first['cause']} ({first['evidence'][0]}). For all of it: "
        f"python -m experiments.diagnose {shlex.quote(folder)}"
    )
