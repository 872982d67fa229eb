"""The page of the workers: who serves, how far each has followed, and what is loaded."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    """In the worker that has drawn the page; None where it is loaded in others only."""


@router.get("/console/workers")
@needs(Role.PREDICT)
async def show_workers(request: Request, services: UsesServices, asking: Asking) -> Response:
    """Show the live workers, and what the caller may see of what they have loaded."""
    sizes = services.residence.sizes()  # it belongs to the event loop

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            latest = catalog.latest_sequence()
        workers = list_live_workers(services.registry)
        residents = sorted(_residents(workers, sizes, asking), key=_largest_first)
        return {
            "workers": workers,
            "latest": latest,
            "live_seconds": LIVE_SECONDS,
            "residents": residents[:_SHOWN],
            "more": max(0, len(residents) - _SHOWN),
            "totals": services.metrics.totals(),
            "budget_bytes": services.settings.memory_budget_bytes,
            "worker_count": services.settings.workers,
            "pid": os.getpid(),
        }

    return await page(request, "workers.html", gather)


def _residents(workers: Sequence[WorkerReport], sizes: Mapping[str, int], asking: Caller) -> Iterator[Resident]:
    counts: dict[str, int] = dict.fromkeys(sizes, 0)
    for worker in workers:
        for name in worker.resident:
            counts[name] = counts.get(name, 0) + 1
    for name, count in counts.items():
        model, _, version = name.rpartition(":")
        if asking.sees(model):
            yield Resident(model=model, version=version, workers=count, size_bytes=sizes.get(name))


def _largest_first(resident: Resident) -> tuple[int, str, str]:
    return -(resident.size_bytes or 0), resident.model, resident.version
