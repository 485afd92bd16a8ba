"""Plain text tables."""

import dataclasses
from collections.abc import Sequence

from experiments.common.config import Config


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Formats rows in aligned columns: text to the left, numbers to the right.

    Example:
        >>> print(text_table(("layer", "parameters"), [("dense", 12), ("output", 3)]))
        layer   parameters
        ------  ----------
        dense           12
        output           3
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    numeric = [
        all(isinstance(cell, int | float) for cell in column) for column in zip(*rows, strict=True)
    ] or [False] * len(header)

    def line(row: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(header), rule, *map(line, cells)])


def flag_table(config: Config) -> str:
    """Every flag of a configuration with its value."""
    fields = dataclasses.asdict(config).items()
    return text_table(("flag", "value"), [(name, str(value)) for name, value in fields])
