"""The parts of the routing table, and the one visit to the registry that fills it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Generic, Protocol, TypeVar

from registry.errors import RegistryBusy, RegistryUnavailable, SchemaMismatch, ServiceError
from registry.names import Reference
from registry.ports import Catalog, Registry
from registry.records import Alias, Version

E = TypeVar("E")

OUTAGE: Final = (RegistryUnavailable, RegistryBusy, SchemaMismatch)
"""How the registry says that it cannot say anything."""

_HASH_BYTES = 8
_HASHES = float(1 << (8 * _HASH_BYTES))


@dataclass(frozen=True, slots=True)
class Built(Generic[E]):
    """A version and what was built for it."""

    version: Version
    endpoint: E


@dataclass(frozen=True, slots=True)
class Route(Generic[E]):
    """Where a reference leads: a version, and a share of its requests to another one."""

    main: Built[E]
    canary: Built[E] | None
    share: float
    """Of the canary, from 0 to 1."""
    ends: tuple[E, E | None]
    """What answers: the endpoints of both, or what stands for them here, since something is tried with them."""
    numbers: tuple[int, ...]
    """Of every version that the registry has it lead to, a shadow included, and what gets nothing for now."""

    @property
    def targets(self) -> tuple[Built[E], ...]:
        """Everything that the route may lead to."""
        return (self.main,) if self.canary is None else (self.main, self.canary)

    def choose(self, reference: Reference, routing_key: bytes | None, draw: Callable[[], float]) -> E:
        """Return the endpoint for one request.

        Equal keys get equal answers in every process; a growing share keeps whom it had.
        """
        main, canary = self.ends
        if canary is None:
            return main
        point = draw() if routing_key is None else _point(reference, routing_key)
        return canary if point < self.share else main


@dataclass(frozen=True, slots=True)
class Reading:
    """What the registry says of a reference, at one moment."""

    version: Version
    canary: Version | None = None
    share: float = 0.0
    alias: Alias | None = None
    """As it is, where it has a canary or a shadow."""
    shadow: Version | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The versions that answer."""
        return (self.version.number,) if self.canary is None else (self.version.number, self.canary.number)

    def as_json(self) -> dict[str, Any]:
        """Return a form that can be written down.

        What is tried besides is left out: while the registry does not answer, nothing is.
        """
        canary = None if self.canary is None else self.canary.as_json()
        return {"version": self.version.as_json(), "canary": canary, "share": self.share}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Reading":
        """Return what ``as_json`` describes."""
        canary = None if value["canary"] is None else Version.from_json(value["canary"])
        return cls(Version.from_json(value["version"]), canary, value["share"])


class Documents(Protocol):
    """Where readings outlive the process that made them; every method blocks, and none ever raises."""

    def put(self, key: str, document: dict[str, Any]) -> None:
        """Replace the document."""
        ...

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the document, or None."""
        ...

    def remove(self, key: str) -> None:
        """Remove the document."""
        ...


class Visit(Generic[E]):
    """A visit to the registry that several callers may be waiting for."""

    __slots__ = ("is_overtaken", "task")

    task: asyncio.Task[Route[E] | ServiceError]

    def __init__(self) -> None:
        self.is_overtaken = False


def read(registry: Registry, resolve: Callable[[Catalog, Reference], Version], reference: Reference) -> Reading:
    """Read what a reference leads to; blocks.

    A canary that is not there, or retired, is no canary: it never had a right to the requests. One in quarantine would
    fail them all, so it gets none until it is cleared. So with a shadow.

    Raises:
        What ``resolve`` raises; RegistryUnavailable, RegistryBusy.
    """
    with registry.reading() as catalog:
        version = resolve(catalog, reference)
        alias = None if reference.version is not None else catalog.find_alias(reference.model, reference.alias)
        if alias is None or (alias.canary is None and alias.shadow is None):
            return Reading(version)
        canary = None if alias.canary is None else _present(catalog, reference.model, alias.canary.version)
        shadow = None if alias.shadow is None else _present(catalog, reference.model, alias.shadow.version)
        share = 0.0 if canary is None or alias.canary is None else alias.canary.percent / 100
        return Reading(version, canary, share, alias, shadow)


def _present(catalog: Catalog, model: str, number: int) -> Version | None:
    found = catalog.find_version(model, number)
    return None if found is None or found.is_retired or found.standing.is_quarantined else found


def _point(reference: Reference, routing_key: bytes) -> float:
    """Map a key to a number from 0 up to 1, evenly, and differently for each alias."""
    whose = f"{reference.model}@{reference.alias}\0".encode()
    digest = blake2b(whose + routing_key, digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big") / _HASHES
