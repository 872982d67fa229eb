"""Requests of one tick that may share runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.serving.runtime import Array
from gateway.web.asked import Asked
from gateway.web.endpoint import Endpoint


@dataclass(slots=True)
class Part:
    """A request that may share a run: how many rows it brings, and these in the form that ``Company.join`` takes."""

    asked: Asked
    rows: int
    content: Any
    id: str | None


@dataclass(slots=True)
class Company:
    """Requests that may share runs with each other."""

    endpoint: Endpoint
    outputs: tuple[str, ...] | None
    join: Callable[[Sequence[Any]], dict[str, Array] | None]
    parts: list[Part]


def batches(parts: Sequence[Part], max_rows: int) -> Iterator[list[Part]]:
    """Yield the requests in their order, in batches of at most so many rows."""
    batch: list[Part] = []
    rows = 0
    for part in parts:
        if batch and rows + part.rows > max_rows:
            yield batch
            batch, rows = [], 0
        batch.append(part)
        rows += part.rows
    if batch:
        yield batch
