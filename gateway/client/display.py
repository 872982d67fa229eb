"""What notebooks and prompts show of what a gateway says.

1. Every word comes from somebody else: a model's name, a description, a reason, a tag. All of it is text: in HTML it is
   escaped, here and nowhere else, and in plain tables what would move the cursor is spelled out.
2. There is no style, no script and no link: the notebook's own look is used, light and dark.
3. Long texts and long tables are cut: a display is a glance, the document has all.
"""

from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

_LONGEST_CELL = 200
_LONGEST_PLAIN_CELL = 80
_MOST_ROWS = 60
_MOST_VALUES = 6

Columns = Mapping[str, str]
"""The fields of a row that are shown, each with its heading."""


class Rows(list[Mapping[str, Any]]):
    """A list of documents as the gateway gave them, which shows itself as a table."""

    title = "Rows"
    columns: Columns = MappingProxyType({})

    def __repr__(self) -> str:
        """The table in plain text."""
        return f"{self.title}\n{plain_table(self._shown(), self.columns)}"

    def _repr_html_(self) -> str:
        return html_table(self._shown(), self.columns, caption=self.title)

    def _shown(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows as they are shown."""
        return self


def html_table(rows: Sequence[Mapping[str, Any]], columns: Columns, *, caption: str = "") -> str:
    """Return a table in HTML, all of it escaped."""
    head = "".join(f'<th scope="col">{_html(heading)}</th>' for heading in columns.values())
    body = "".join(
        "<tr>" + "".join(f"<td>{_html(row.get(field))}</td>" for field in columns) + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    more = _html(_more(rows))
    return (
        f"<table><caption>{_html(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
    )


def plain_table(rows: Sequence[Mapping[str, Any]], columns: Columns) -> str:
    """Return a table in plain text; one line a row."""
    cells = [list(columns.values())]
    cells += [[_plain(row.get(field)) for field in columns] for row in rows[:_MOST_ROWS]]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([*lines, *filter(None, [_more(rows)])])


def array_cell(value: Any) -> dict[str, str]:
    """Return what a row says of an output: its type with its shape, and its first values."""
    if not hasattr(value, "dtype"):
        return {"kind": type(value).__name__, "values": _cut(repr(value), _LONGEST_CELL)}
    dtype = "string" if value.dtype.kind == "O" else value.dtype.name
    flat = value.reshape(-1)[:_MOST_VALUES].tolist()
    shown = ", ".join(_number(each) for each in flat) + (", ..." if value.size > _MOST_VALUES else "")
    return {"kind": f"{dtype}{list(value.shape)}", "values": shown}


def spell_mapping(value: Mapping[str, Any] | None) -> str:
    """Spell tags or aliases: ``production: 3, staging: 4``."""
    return ", ".join(f"{key}: {each}" for key, each in (value or {}).items())


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else _cut(repr(value), _LONGEST_PLAIN_CELL)


def _more(rows: Sequence[Any]) -> str:
    return f"and {len(rows) - _MOST_ROWS} more" if len(rows) > _MOST_ROWS else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    return spell_mapping(value) if isinstance(value, Mapping) else str(value)


def _html(value: Any) -> str:
    return escape(_cut(_text(value), _LONGEST_CELL), quote=True)


def _plain(value: Any) -> str:
    text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in _text(value))
    return _cut(text, _LONGEST_PLAIN_CELL)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
