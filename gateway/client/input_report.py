"""What requests bring to a version, as the gateway tells it: its own document, which shows itself as a table."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.client.display import html_table, plain_table
from gateway.client.wire import Document

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "input": "input",
        "column": "column",
        "count": "values",
        "mean": "mean",
        "std": "std",
        "nan_share": "NaN",
        "infinite_share": "infinite",
        "unseen_share": "unseen",
        "recent_mean": "recent mean",
        "reference_mean": "examples' mean",
        "reference_std": "examples' std",
        "shift": "shift",
    }
)
"""The fields of ``InputReport.rows`` that are shown, each with its heading."""


class InputReport(Document):
    """What requests to one host of the gateway have brought to a version, beside its golden examples."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)

    @property
    def reference(self) -> str:
        """The version: ``iris:3``."""
        return f"{self['model']}:{self['version']}"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each column of each input, as a DataFrame takes it; None for what is not told, or not known.

        One that is looked at as a whole has a single row, whose ``column`` is None. ``name`` is what the model calls a
        column, if anything. ``recent_mean`` and its like are of this hour and the one before it, ``reference_mean`` and
        its like of the golden examples.
        """
        return [
            {
                "input": looked["name"],
                "dtype": looked["dtype"],
                **{name: value for name, value in column.items() if name not in ("recent", "reference")},
                **{f"{part}_{name}": value for part in ("recent", "reference") for name, value in _part(column, part)},
            }
            for looked in self.items_in("inputs")
            for column in looked.items_in("columns")
        ]

    @property
    def shifts(self) -> dict[str, float | None]:
        """The greatest shift of each input: how many of the examples' deviations its recent mean lies off."""
        return {looked["name"]: looked["shift"] for looked in self.items_in("inputs")}

    def __str__(self) -> str:
        """``iris:3 on host-1: 120 requests looked at, 0 skipped``."""
        return f"{self.reference} on {self['host']}: {self['looked_at']} requests looked at, {self['skipped']} skipped"

    def __repr__(self) -> str:
        """The table in plain text."""
        return f"{self}\n{plain_table(self.shown, COLUMNS)}"

    def _repr_html_(self) -> str:
        return html_table(self.shown, COLUMNS, caption=str(self))

    @property
    def shown(self) -> list[dict[str, str | None]]:
        """The rows as they are shown, by the fields of ``COLUMNS``; a column by its name, if it has one."""
        found = []
        for row in self.rows:
            spelled = {name: _spell(name, row.get(name)) for name in COLUMNS}
            if row.get("name"):
                spelled["column"] = str(row["name"])
            found.append(spelled)
        return found


_OF_MOMENTS = ("count", "mean", "std", "nan_share", "infinite_share")


def _part(column: Document, part: str) -> list[tuple[str, Any]]:
    found = column[part]
    return [(name, found.get(name) if isinstance(found, dict) else None) for name in _OF_MOMENTS]


def _spell(name: str, value: Any) -> str | None:
    """Spell one of the values of a row for people; None for what is not told."""
    if isinstance(value, float):
        return f"{100 * value:.3g} %" if name.endswith("_share") else f"{value:.4g}"
    return None if value is None else str(value)
