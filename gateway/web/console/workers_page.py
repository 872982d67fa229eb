"""The page of the workers: who serves, how far each has followed, and what is loaded."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.web.console.pages import page
from gateway.web.console.policy import ConsoleRoute
from gateway.web.context import Asking, UsesServices
from gateway.web.feed import LIVE_SECONDS, list_live_workers
from gateway.web.guarded import needs
from registry.records import WorkerReport
from registry.roles import Caller, Role

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

_SHOWN = 500
"""Loaded versions, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """One loaded version."""

    model: str
    version: str
    workers: int
    """How many have it loaded."""
    size_bytes: int | None
    """In the worker that has drawn the page; where only others have it, what was measured at its registration."""
    is_recorded: bool = False
    """True for the latter."""


@router.get("/console/workers")
@needs(Role.PREDICT)
async def show_workers(request: Request, services: UsesServices, asking: Asking) -> Response:
    """Show the live workers, and what the caller may see of what they have loaded."""
    sizes = services.residence.sizes()  # it belongs to the event loop

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            latest = catalog.latest_sequence()
        workers = list_live_workers(services.registry)
        with services.registry.reading() as catalog:

            def find_recorded(model: str, number: int) -> int | None:
                version = catalog.find_version(model, number)
                return None if version is None else version.inspection.memory_bytes

            residents, more = list_residents(workers, sizes, asking, find_recorded)
        return {
            "workers": workers,
            "latest": latest,
            "live_seconds": LIVE_SECONDS,
            "residents": residents,
            "more": more,
            "totals": services.metrics.totals(),
            "budget_bytes": services.settings.memory_budget_bytes,
            "worker_count": services.settings.workers,
            "pid": os.getpid(),
        }

    return await page(request, "workers.html", gather)


def list_residents(
    workers: Sequence[WorkerReport],
    sizes: Mapping[str, int],
    asking: Caller,
    find_recorded: Callable[[str, int], int | None],
) -> tuple[list[Resident], int]:
    """Return the loaded versions that are shown to somebody, the largest first, and how many more there are.

    Args:
        workers: all that live.
        sizes: in bytes, of what this one has loaded; by names such as ``iris:3``.
        asking: sees no more than is theirs.
        find_recorded: the bytes that were measured at a version's registration; asked only of what is shown.
    """
    counts: dict[str, int] = dict.fromkeys(sizes, 0)
    for worker in workers:
        for name in worker.resident:
            counts[name] = counts.get(name, 0) + 1
    found = []
    for name, count in counts.items():
        model, _, version = name.rpartition(":")
        if asking.sees(model):
            found.append(Resident(model=model, version=version, workers=count, size_bytes=sizes.get(name)))
    shown = sorted(found, key=_largest_first)[:_SHOWN]
    sized = [
        replace(one, size_bytes=find_recorded(one.model, int(one.version)), is_recorded=True)
        if one.size_bytes is None
        else one
        for one in shown
    ]
    return sorted(sized, key=_largest_first), len(found) - len(shown)


def _largest_first(resident: Resident) -> tuple[int, str, str]:
    return -(resident.size_bytes or 0), resident.model, resident.version
