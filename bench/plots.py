"""Plots as SVG, written by hand: nothing to install, and a change of a figure is a small change of a file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 860
LEFT, RIGHT, TOP = 190, 90, 56
BAR, GAP = 13, 12
COLOURS = ("#b6c7dd", "#5f8bc0", "#1f4e87")
LINES = ("#1f4e87", "#c8553d", "#3d8b5f", "#8d6bb3", "#b08a2e", "#555555", "#2aa1b3")
PLOT_HEIGHT = 320
_STYLE = "font-family='system-ui, sans-serif' font-size='12'"


@dataclass(frozen=True, slots=True)
class Bars:
    """One line of a bar plot: a name, and a figure for each kind; None leaves the bar out."""

    name: str
    figures: Sequence[float | None]


def draw_bars(title: str, kinds: Sequence[str], rows: Sequence[Bars]) -> str:
    """Return horizontal bars from zero, grouped by row, each with its figure beside it."""
    largest = max((figure for row in rows for figure in row.figures if figure is not None), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / largest
    row_height = len(kinds) * BAR + GAP
    parts = [_text(16, 22, title, weight="600")]
    for at, kind in enumerate(kinds):
        x = LEFT + at * 150
        parts += [_bar(x, 34, 12, COLOURS[at]), _text(x + 18, 44, kind)]
    for index, row in enumerate(rows):
        top = TOP + index * row_height
        parts.append(_text(LEFT - 8, top + len(kinds) * BAR / 2 + 4, row.name, anchor="end"))
        for at, figure in enumerate(row.figures):
            if figure is None:
                continue
            y = top + at * BAR
            parts.append(_bar(LEFT, y, max(1.0, figure * scale), COLOURS[at]))
            parts.append(_text(LEFT + figure * scale + 5, y + BAR - 3, f"{figure:,.0f}", size=10))
    return _document(TOP + len(rows) * row_height + 8, parts)


def draw_lines(title: str, x_title: str, y_title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return lines through points (x, y), both axes logarithmic, with round marks on them."""
    points = [point for line in lines.values() for point in line]
    across = _Axis([x for x, _ in points], LEFT - 110, WIDTH - 190)
    up = _Axis([y for _, y in points], TOP + PLOT_HEIGHT, TOP)
    parts = [_text(16, 22, title, weight="600"), _text(16, 42, y_title)]
    for mark in up.marks():
        y = up.place(mark)
        parts.append(f"<line x1='{across.start}' x2='{across.end}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/>")
        parts.append(_text(across.start - 8, y + 4, f"{mark:g}", anchor="end"))
    parts += [
        _text(across.place(x), TOP + PLOT_HEIGHT + 18, f"{x:,.0f}", anchor="middle")
        for x in sorted({x for x, _ in points})
    ]
    parts.append(_text((across.start + across.end) / 2, TOP + PLOT_HEIGHT + 38, x_title, anchor="middle"))
    for at, (name, line) in enumerate(lines.items()):
        colour = LINES[at % len(LINES)]
        path = " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in line)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [f"<circle cx='{across.place(x):.1f}' cy='{up.place(y):.1f}' r='3' fill='{colour}'/>" for x, y in line]
        parts += [_bar(WIDTH - 170, TOP + at * 20, 12, colour), _text(WIDTH - 152, TOP + at * 20 + 10, name)]
    return _document(TOP + PLOT_HEIGHT + 50, parts)


class _Axis:
    """A logarithmic axis from one edge to the other, over whole steps of 1, 2, 5, 10."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.start, self.end = start, end
        marks = [step * 10.0**power for power in range(-3, 9) for step in (1, 2, 5)]
        low = max((mark for mark in marks if mark <= min(values, default=1.0)), default=marks[0])
        high = min((mark for mark in marks if mark >= max(values, default=10.0)), default=marks[-1])
        self._marks = [mark for mark in marks if low <= mark <= high]
        self._low, self._span = math.log10(low), math.log10(high / low) or 1.0

    def marks(self) -> list[float]:
        return self._marks

    def place(self, value: float) -> float:
        return self.start + (math.log10(value) - self._low) / self._span * (self.end - self.start)


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{BAR - 2}' fill='{colour}'/>"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400", size: int = 12) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}' font-size='{size}'"
    return f"<text {place} fill='#222'>{escape(text)}</text>"


def _document(height: float, parts: Sequence[str]) -> str:
    size = f"viewBox='0 0 {WIDTH} {height:.0f}' width='{WIDTH}' height='{height:.0f}'"
    ground = f"<rect width='{WIDTH}' height='{height:.0f}' fill='#fff'/>"
    return "\n".join([f"<svg xmlns='http://www.w3.org/2000/svg' {size} {_STYLE}>", ground, *parts, "</svg>", ""])
