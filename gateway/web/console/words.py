"""Numbers and reports in the words that people use; each function is a filter of the templates."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_KIB = 1024
_FEW = 10
_MANY = 100
_SPANS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_SHOWN_DIGITS = 12
_NOTHING = "\N{EN DASH}"


def size(count: float | None) -> str:
    """Spell bytes: ``1.4 MiB``."""
    if count is None:
        return _NOTHING
    rest = float(count)
    for unit in _UNITS[:-1]:
        if rest < _KIB:
            return f"{rest:.0f} {unit}" if unit == "bytes" or rest >= _MANY else f"{rest:.1f} {unit}"
        rest /= _KIB
    return f"{rest:.1f} {_UNITS[-1]}"


def duration(seconds: float | None) -> str:
    """Spell a time as people measure it: ``85 µs``, ``2.4 ms``, ``1.2 s``."""
    if seconds is None:
        return _NOTHING
    for factor, unit in ((1e6, "µs"), (1e3, "ms"), (1.0, "s")):
        value = seconds * factor
        if value < 1000 or unit == "s":  # noqa: PLR2004 - where the next unit begins
            return f"{value:.0f} {unit}" if value >= _FEW or value == 0 else f"{value:.1f} {unit}"
    raise AssertionError("seconds are the last unit")


def age(moment: datetime, now: datetime) -> str:
    """Spell how long ago something was: ``3 minutes ago``."""
    seconds = int((now - moment).total_seconds())
    for span, unit in _SPANS:
        if seconds >= span:
            count = seconds // span
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return "just now"


def moment(at: datetime) -> str:
    """Spell a moment to the second: ``2026-11-28 13:45:10``, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def machine_time(at: datetime) -> str:
    """Spell a moment as HTML's ``datetime`` has it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rate(per_second: float | None) -> str:
    """Spell requests a second: ``0.4``, ``1,250``."""
    if per_second is None:
        return _NOTHING
    return f"{per_second:,.0f}" if per_second >= _FEW or per_second == 0 else f"{per_second:.1f}"


def share(part: float | None) -> str:
    """Spell a part of a whole: ``0.3 %``."""
    if part is None:
        return _NOTHING
    percent = part * 100
    return f"{percent:.0f} %" if percent >= _FEW or percent == 0 else f"{percent:.1f} %"


def measure(value: float | None) -> str:
    """Spell a number of any size: ``5.843``, ``1.2e+09``."""
    return _NOTHING if value is None else f"{value:.4g}"


def short_digest(text: str) -> str:
    """Return the beginning of a digest, which tells it from any other that one will see."""
    kind, _, digits = str(text).rpartition(":")
    return f"{kind}:{digits[:_SHOWN_DIGITS]}" if kind else digits[:_SHOWN_DIGITS]


def counted(count: int, noun: str) -> str:
    """Spell a number of things: ``1 version``, ``3 versions``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "age": age,
    "counted": counted,
    "duration": duration,
    "machine_time": machine_time,
    "measure": measure,
    "moment": moment,
    "rate": rate,
    "share": share,
    "short_digest": short_digest,
    "size": size,
}
