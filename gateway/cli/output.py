"""What a command prints: data on stdout, and words beside it.

1. With ``--json`` stdout holds one JSON value and nothing else; words go to stderr.
2. A table is drawn on a terminal only; elsewhere it is aligned text that ``grep`` and ``awk`` can read, never cut.
3. Text that came from outside is shown with its control characters escaped, and never read as markup.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

from gateway.client.wire import Progress

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\n")}
_UNITS = ("B", "KiB", "MiB", "GiB")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's results go."""

    as_json: bool = False

    def data(self, document: Any) -> None:
        """Print a value as JSON if that was asked for."""
        if self.as_json:
            typer.echo(json.dumps(document, ensure_ascii=False, indent=2))

    def say(self, *lines: str) -> None:
        """Print words; to stderr where stdout is for data."""
        for line in lines:
            typer.echo(plain(line), err=self.as_json)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print rows for people; nothing where stdout is for data."""
        if self.as_json:
            return
        cells = [[plain(_spell(cell)).replace("\n", " ") for cell in row] for row in rows]
        if sys.stdout.isatty():
            _draw(columns, cells)
        else:
            for line in align([list(columns), *cells]):
                typer.echo(line)

    def can_ask(self) -> bool:
        """Tell whether somebody sits at a terminal and reads words: only then may a question be asked."""
        return not self.as_json and sys.stdin.isatty() and sys.stdout.isatty()

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress | None]:
        """Show a bar on stderr while something is sent, if a person is watching; give what moves it."""
        if not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        parts = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(plain(label), total=None)
            yield lambda sent_bytes, total_bytes: bar.update(task, completed=sent_bytes, total=total_bytes)


def plain(text: str) -> str:
    """Return text with its control characters (all but the end of a line) escaped."""
    return text.translate(_CONTROL)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with columns two blanks apart, without blanks at the end."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def spell_bytes(size_bytes: int) -> str:
    """Spell a size for people: ``9.1 MiB``."""
    size = float(size_bytes)
    for unit in _UNITS[:-1]:
        if size < _KIB:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KIB
    return f"{size:.1f} {_UNITS[-1]}"


def spell_seconds(seconds: float) -> str:
    """Spell a short time for people: ``20 us``, ``12.5 ms``, ``3.20 s``."""
    milliseconds = seconds * 1000
    if milliseconds >= 1000:  # noqa: PLR2004 - a second
        return f"{seconds:.2f} s"
    return f"{milliseconds * 1000:.0f} us" if milliseconds < 1 else f"{milliseconds:.1f} ms"


def spell_time(text: str) -> str:
    """Spell one of the gateway's times for people: to the second, in UTC."""
    return text[:19].replace("T", " ")


def _spell(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
