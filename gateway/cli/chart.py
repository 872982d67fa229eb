"""Lines over a few places, drawn as SVG: no library, no script, nothing that a page would have to fetch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10
from typing import Final

_WIDTH, _HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 36, 40
_COLOURS: Final = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce", "#be123c", "#0f766e", "#a16207", "#334155")
_TICKS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: what its axes are, and its lines by name, a value for each place; None leaves a gap."""

    title: str
    places: Sequence[str]
    axis: str
    lines: Mapping[str, Sequence[float | None]]


def draw(panels: Sequence[Panel], *, title: str, notes: Sequence[str]) -> str:
    """Return an SVG document with the panels side by side, below a title and above notes."""
    width, height = _WIDTH * len(panels), _HEIGHT + 34 + 16 * len(notes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="11" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(12, 20, title, weight="bold", size=13),
    ]
    for place, panel in enumerate(panels):
        parts.append(f'<g transform="translate({place * _WIDTH},24)">')
        parts.extend(_panel(panel))
        parts.append("</g>")
    parts.extend(_text(12, _HEIGHT + 40 + 16 * number, note, colour="#555") for number, note in enumerate(notes))
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> Iterator[str]:
    top = _round_up(max((value for line in panel.lines.values() for value in line if value is not None), default=1.0))
    yield _text(_LEFT, 18, panel.title, weight="bold")
    for tick in range(_TICKS + 1):
        y = _y(top * tick / _TICKS, top)
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield _text(_LEFT - 6, y + 4, f"{top * tick / _TICKS:g}", anchor="end")
    for place, label in enumerate(panel.places):
        yield _text(_x(place, len(panel.places)), _HEIGHT - _BOTTOM + 16, label, anchor="middle")
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, panel.axis, anchor="middle", colour="#555")
    for number, (name, values) in enumerate(panel.lines.items()):
        yield from _line(name, values, number, top)


def _line(name: str, values: Sequence[float | None], number: int, top: float) -> Iterator[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    points = [(_x(place, len(values)), _y(value, top)) for place, value in enumerate(values) if value is not None]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    yield _text(_LEFT + 8, _TOP + 12 + 14 * number, name, colour=colour, weight="bold")


def _x(place: int, count: int) -> float:
    inner = _WIDTH - _LEFT - _RIGHT
    return _LEFT + inner * (place + 0.5) / count


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value / top


def _round_up(value: float) -> float:
    """Return the next number of one digit that counts, or one and a half such: what an axis ends with."""
    if value <= 0:
        return 1.0
    unit: float = 10 ** (ceil(log10(value)) - 1)
    return next((step * unit for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * unit >= value), 10 * unit)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    colour: str = "#222",
    size: int = 11,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" '
        f'fill="{colour}">{escape(text)}</text>'
    )
