"""From measured times to tables: medians, spread, and ratios within one case."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.common.table import text_table
from experiments.measuring.plan import OURS, PEER, Case
from experiments.measuring.workers import Measured


def summarize(case: Case, measured: Mapping[str, Measured]) -> dict[str, Any]:
    """A case's figures for ``summary.json``.

    ``ratio`` compares best environments: our smallest median over PyTorch eager's. Without that
    peer it compares the first contestant with the last; a case with one contestant has no ratio.
    """
    found = {
        name: {"failure": one.failure}
        if one.failure
        else {
            "median": float(np.median(one.seconds)),
            "min": min(one.seconds),
            "max": max(one.seconds),
            "first_seconds": one.first_seconds,
            "peak_bytes": one.peak_bytes,
            "images_per_second": case.examples / float(np.median(one.seconds)),
        }
        for name, one in measured.items()
    }
    return {"contestants": found, "gflop": case.gflop, "ratio": _ratio(found)}


def _best(found: Mapping[str, Any], names: list[str]) -> float | None:
    medians = [found[name]["median"] for name in names if "median" in found[name]]
    return min(medians, default=None)


def _ratio(found: Mapping[str, Any]) -> float | None:
    ours = [n for n in found if n == OURS or n.startswith(f"{OURS}, huge")]
    peers = [n for n in found if n == PEER or n.startswith(f"{PEER}, huge")]
    if not ours or not peers:
        ours, peers = list(found)[:1], list(found)[1:][-1:]
    mine, theirs = _best(found, ours), _best(found, peers)
    return mine / theirs if mine and theirs else None


def seconds_text(seconds: float) -> str:
    """Formats a duration in a suitable unit.

    Example:
        >>> seconds_text(0.0083), seconds_text(1.25)
        ('8.3 ms', '1.25 s')
    """
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.00995 else _longer(seconds)


def _longer(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def case_rows(name: str, summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One table row per contestant."""
    rows = []
    for contestant, one in summary["contestants"].items():
        if one.get("failure"):
            rows.append((name, contestant, f"failed: {one['failure'][:60]}", "", "", "", ""))
        else:
            rows.append(
                (
                    name,
                    contestant,
                    seconds_text(one["median"]),
                    f"{seconds_text(one['min'])} … {seconds_text(one['max'])}",
                    f"{one['images_per_second']:,.0f}",
                    f"{one['first_seconds']:.1f} s",
                    f"{one['peak_bytes'] / 2**20:,.0f}",
                )
            )
        name = ""
    return rows


HEADER = ("case", "contestant", "per step", "range", "images/s", "until first", "peak MiB")


def part_table(cases: Mapping[str, Mapping[str, Any]], floor: Mapping[str, float]) -> str:
    """All cases of a part, with ratios and how far each is from the machine's limits."""
    rows = [row for name, one in cases.items() for row in case_rows(name, one)]
    lines = [text_table(HEADER, rows)]
    for name, one in cases.items():
        if one["ratio"] is not None:
            lines.append(f"{name}: {one['ratio']:.3f} of {_peer_name(one)}'s time")
        if one["gflop"]:
            lines.append(_floor_text(name, one, floor))
        if name.startswith("DCGAN") and (text := _epoch_text(name, one)):
            lines.append(text)
    return "\n".join(lines)


def _peer_name(summary: Mapping[str, Any]) -> str:
    names = list(summary["contestants"])
    return PEER if PEER in names else names[-1]


def _epoch_text(name: str, summary: Mapping[str, Any]) -> str | None:
    """The time of the course's epoch at our best contestant's rate, if it takes part."""
    rates = {
        contestant: one["images_per_second"]
        for contestant, one in summary["contestants"].items()
        if contestant.startswith(OURS) and "median" in one
    }
    if not rates:
        return None
    best = max(rates, key=rates.get)
    return f"{name}: an epoch of 70,000 images takes {best} {seconds_text(70_000 / rates[best])}"


def _floor_text(name: str, summary: Mapping[str, Any], floor: Mapping[str, float]) -> str:
    least = summary["gflop"] / floor["gflop_per_second"]
    ours = _best(summary["contestants"], [n for n in summary["contestants"] if OURS in n])
    times = "" if ours is None else f"; ours takes {ours / least:.2f} of that"
    return (
        f"{name}: {summary['gflop']:.3g} GFLOP in direct form, {seconds_text(least)} at the large "
        f"product's rate{times}"
    )
