"""What requests bring to a version, beside its golden examples: the numbers of this host."""

import json
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter

from gateway.input_board import is_about_inputs
from gateway.input_findings import ColumnFound, VersionFound, gather, is_told
from gateway.web.context import ModelName, UsesServices, VersionNumber
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.schemas import timestamp
from gateway.web.services import Services
from registry.errors import InputStatisticsOff
from registry.input_statistics import InputPlan, LookedAt, Moments, greatest_shift
from registry.lookup import resolve_version
from registry.records import Version
from registry.roles import Role

router = APIRouter(prefix="/registry/models/{name}/versions/{number}/inputs", tags=["versions"], route_class=JsonRoute)

_NOTHING: Final = ColumnFound()
_COLUMNS: Final = "sardonyx.columns"
"""The key of a graph's metadata under which the names of its only input's columns stand, as a list in JSON."""


@router.get("", summary="Show what requests bring to a version")
@needs(Role.PUBLISH)
async def show_inputs(services: UsesServices, name: ModelName, number: VersionNumber) -> dict[str, Any]:
    """Return means, deviations and shares of each input, of requests to this host's workers and of the golden examples.

    They are sums over a sample of the requests since the gateway was started, and under `recent` over this hour and the
    one before, which `shift` is about. Of an input that fewer than 20 of them have brought nothing is told.
    """
    return await services.call(_look_up, services, name, number)


def _look_up(services: Services, name: str, number: int) -> dict[str, Any]:
    with services.registry.reading() as catalog:
        version = resolve_version(catalog, name, number)
    found = inputs_of(services, version)
    if found is None:
        raise InputStatisticsOff("the gateway looks at no inputs: SARDONYX_INPUT_STATISTICS is off")
    return found


def inputs_of(services: Services, version: Version) -> dict[str, Any] | None:
    """Return what is known of a version's inputs, as the wire has it; None if the gateway looks at none.

    Reads the boards of all workers: not on the event loop.
    """
    if services.settings.input_statistics == "off":
        return None
    whose = version.model, str(version.number)
    found = services.metrics.find(lambda key: is_about_inputs(key) and key[1:3] == whose)
    return inputs_json(version, gather(found, time.monotonic()).get(whose, VersionFound()))


def inputs_json(version: Version, found: VersionFound) -> dict[str, Any]:
    """Return what is known of a version's inputs, as the wire has it."""
    plan = InputPlan.of(version.signature)
    digest = "" if version.examples is None else version.examples.digest
    found.columns = {place: column.against(digest) for place, column in found.columns.items()}
    since = None if found.since is None else datetime.fromtimestamp(found.since, UTC)
    return {
        "model": version.model,
        "version": version.number,
        "host": socket.gethostname(),
        "since": None if since is None else timestamp(since),
        "looked_at": found.looked_at,
        "skipped": found.skipped,
        "inputs": [_input_json(looked, found, _names_of(version, looked)) for looked in plan.inputs],
        "left_out": list(plan.left_out),
    }


def _names_of(version: Version, looked: LookedAt) -> Sequence[str | None]:
    """Return what the columns of an input are called, None for each where the graph does not say.

    Whoever has made the graph has written them: what is no list of as many names, each on one line, is none.
    """
    unknown = [None] * looked.width
    if looked.columns is None or len(version.signature.inputs) != 1:
        return unknown
    try:
        names = json.loads(version.inspection.metadata.get(_COLUMNS, "null"))
    except (ValueError, RecursionError):
        return unknown
    if not isinstance(names, list) or len(names) != looked.columns:
        return unknown
    return names if all(isinstance(name, str) and name.isprintable() for name in names) else unknown


def _input_json(looked: LookedAt, found: VersionFound, names: Sequence[str | None]) -> dict[str, Any]:
    columns = [found.columns.get((looked.name, place), _NOTHING) for place in range(looked.width)]
    return {
        "name": looked.name,
        "dtype": looked.dtype,
        "requests": max(column.live.requests for column in columns),
        "shift": greatest_shift([column.shift for column in columns]),
        "columns": [_column_json(looked, place, names[place], column) for place, column in enumerate(columns)],
    }


def _column_json(looked: LookedAt, place: int, name: str | None, column: ColumnFound) -> dict[str, Any]:
    reference = column.reference
    return {
        "column": None if looked.columns is None else place,
        "name": name,
        **_moments_json(looked, column.live, is_known=is_told(column.live)),
        "unseen_share": column.unseen_share,
        "recent": _moments_json(looked, column.recent, is_known=is_told(column.recent)),
        "reference": None if reference is None else _moments_json(looked, reference, is_known=reference.finite > 0),
        "shift": column.shift,
    }


def _moments_json(looked: LookedAt, moments: Moments, *, is_known: bool) -> dict[str, Any]:
    return {
        "count": moments.count,
        "mean": moments.mean if is_known else None,
        "std": moments.std if is_known else None,
        "nan_share": None if looked.is_text else moments.nan_share,
        "infinite_share": None if looked.is_text else moments.infinite_share,
    }
