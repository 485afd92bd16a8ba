"""A chart as SVG within the page: axes, curves with bands, and the values for its cursor."""

import json
import math
from collections.abc import Sequence

from experiments.common.page.curves import Chart, Line
from experiments.common.page.markup import Html, details, table, tag

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 10, 44
FEW = 40  # points of a curve that get marks
MOST_ROWS = 24  # of the table of a chart's values
LEAST = 1e-30


def draw(chart: Chart) -> Html:
    """The figure of a chart with its legend, its note, and some of its values as a table."""
    steps = sorted({step for line in chart.lines for step in line.steps})
    across, up = _Across(steps), _Up(chart)
    picture = tag(
        "svg",
        _grid(chart, across, up),
        [_curve(line, number, across, up) for number, line in enumerate(chart.lines)],
        tag("line", class_="cursor", x1=0, x2=0, y1=TOP, y2=HEIGHT - BOTTOM, visibility="hidden"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{chart.title}. {_in_words(chart)}",
    )
    return tag(
        "figure",
        tag("figcaption", tag("h3", chart.title)),
        picture,
        _legend(chart),
        tag("p", chart.note, class_="note") if chart.note else None,
        details("Values", _values(chart, steps)),
        class_="chart",
        data_chart=_for_cursor(chart, steps, across),
    )


class _Across:
    """Places of steps, from left to right."""

    def __init__(self, steps: Sequence[float]) -> None:
        self.low, self.high = 0.0, max(steps[-1], 1.0)

    def __call__(self, step: float) -> float:
        share = (step - self.low) / (self.high - self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


class _Up:
    """Places of values, from bottom to top."""

    def __init__(self, chart: Chart) -> None:
        self.log = chart.log
        low = min(value for line in chart.lines for value in line.lows)
        high = max(value for line in chart.lines for value in line.highs)
        self.ticks = log_ticks(low, high) if chart.log else ticks(low, high)
        self.low = self._scaled(min(low, self.ticks[0]))
        self.high = self._scaled(max(high, self.ticks[-1]))

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, LEAST)) if self.log else value

    def __call__(self, value: float) -> float:
        share = (self._scaled(value) - self.low) / ((self.high - self.low) or 1)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``, about ``count`` of them.

    Example:
        >>> ticks(0.13, 0.92), ticks(5, 5)[:3], ticks(0, 7000)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [4.4, 4.6, 4.8], [0.0, 2000.0, 4000.0, 6000.0, 8000.0])
    """
    if not high - low > abs(high) * 1e-9:
        low, high = low - max(abs(low), 1) / 10, high + max(abs(high), 1) / 10
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [
        round(number * step, 12 - math.floor(math.log10(step))) for number in range(first, last + 1)
    ]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between if the range is short, around positive values.

    Example:
        >>> log_ticks(104, 480), log_ticks(0.002, 3)
        ([100.0, 200.0, 500.0], [0.001, 0.01, 0.1, 1.0, 10.0])
    """
    low, high = max(low, LEAST), max(high, LEAST)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, (last - first) // 6)
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    all_ticks = [f * 10.0**p for p in range(first, last + every, every) for f in factors]
    below = [tick for tick in all_ticks if tick <= low][-1:]
    above = [tick for tick in all_ticks if tick >= high][:1]
    return [*below, *(t for t in all_ticks if low < t < high), *(a for a in above if [a] != below)]


def shown(value: float) -> str:
    """A number with four digits.

    Example:
        >>> shown(0.123456), shown(7000.0), shown(1234567.0), shown(1e-9)
        ('0.1235', '7,000', '1,234,567', '1e-09')
    """
    if not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def _grid(chart: Chart, across: _Across, up: _Up) -> list[Html]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in up.ticks:
        y = up(value)
        parts.append(tag("line", class_="grid", x1=LEFT, x2=right, y1=y, y2=y))
        parts.append(tag("text", shown(value), x=LEFT - 6, y=y + 4, text_anchor="end"))
    steps = [
        step for step in ticks(across.low, across.high, 4) if across.low <= step <= across.high
    ]
    for step in steps:
        parts.append(tag("text", shown(step), x=across(step), y=bottom + 18, text_anchor="middle"))
    middle = (TOP + bottom) / 2
    parts.append(tag("text", "Step", x=(LEFT + right) / 2, y=HEIGHT - 6, text_anchor="middle"))
    place = {"x": 12, "y": middle, "transform": f"rotate(-90 12 {middle})"}
    parts.append(tag("text", chart.unit, text_anchor="middle", **place))
    return parts


def _curve(line: Line, number: int, across: _Across, up: _Up) -> list[Html]:
    places = [across(step) for step in line.steps]
    look = f"line{number}"
    points = [f"{x},{up(value)}" for x, value in zip(places, line.means, strict=True)]
    parts = []
    if line.lows != line.highs:
        edge = [f"{x},{up(value)}" for x, value in zip(places, line.highs, strict=True)]
        back = [f"{x},{up(value)}" for x, value in zip(places, line.lows, strict=True)]
        parts.append(tag("polygon", class_=f"band {look}", points=" ".join([*edge, *back[::-1]])))
    parts.append(tag("polyline", class_=f"curve {look}", points=" ".join(points)))
    if len(points) <= FEW:
        marks = (point.split(",") for point in points)
        parts += [tag("circle", class_=f"mark {look}", cx=x, cy=y, r=2.5) for x, y in marks]
    return parts


def _legend(chart: Chart) -> Html:
    entries = [
        tag(
            "li",
            tag(
                "svg",
                tag("line", class_=f"curve line{number}", x1=0, x2=28, y1=6, y2=6),
                viewBox="0 0 28 12",
                aria_hidden="true",
            ),
            line.label or "all",
        )
        for number, line in enumerate(chart.lines)
    ]
    return tag("ul", entries, class_="legend")


def _in_words(chart: Chart) -> str:
    """The chart for those who do not see it."""
    return " ".join(
        f"{line.label or 'It'} goes from {shown(line.means[0])} at step {line.steps[0]:,.0f} to "
        f"{shown(line.means[-1])} at step {line.steps[-1]:,.0f}, between {shown(min(line.means))} "
        f"and {shown(max(line.means))}."
        for line in chart.lines
    )


def _values(chart: Chart, steps: Sequence[float]) -> Html:
    """Some of the values, the first and the last among them."""
    every = max(1, -(-(len(steps) - 1) // (MOST_ROWS - 1)))
    some = [*steps[:-1:every], steps[-1]]
    known = [dict(zip(line.steps, line.means, strict=True)) for line in chart.lines]
    rows = [
        (f"{step:,.0f}", *(shown(of[step]) if step in of else "" for of in known)) for step in some
    ]
    header = ["Step", *(line.label or chart.unit for line in chart.lines)]
    return table(f"{chart.title}: values", header, rows, numbers=True)


def _for_cursor(chart: Chart, steps: Sequence[float], across: _Across) -> str:
    """What the page's script needs, as JSON."""
    known = [dict(zip(line.steps, line.means, strict=True)) for line in chart.lines]
    return json.dumps(
        {
            "title": chart.title,
            "steps": [f"{step:,.0f}" for step in steps],
            "places": [across(step) for step in steps],
            "names": [line.label for line in chart.lines],
            "values": [[shown(of[s]) if s in of else None for s in steps] for of in known],
            "width": WIDTH,
        },
        separators=(",", ":"),
    )
