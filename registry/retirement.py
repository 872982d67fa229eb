"""Retiring a version: its number and its history stay, its bytes are served no more."""

from registry.errors import VersionActive
from registry.events import EventKind
from registry.lookup import resolve_model, resolve_present_version, resolve_version
from registry.names import quoted
from registry.ports import Clock, Registry
from registry.records import Alias, Version


class Retirement:
    """Retires versions; safe for threads."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def retire(self, model: str, number: int, *, actor: str) -> Version:
        """Leave a tombstone in the version's place and return it. There is no way back.

        Raises:
            ModelNotFound, VersionNotFound: there is no such model or version.
            VersionRetired: it is retired already.
            VersionActive: an alias, a canary or a shadow points at it.
        """
        with self._registry.writing() as transaction:
            version = resolve_present_version(transaction, model, number)
            users = [alias.name for alias in resolve_model(transaction, model).aliases if _uses(alias, number)]
            if users:
                names = ", ".join(users)
                raise VersionActive(f"version {number} of model {quoted(model)} is in use by {names}: move that first")
            at = self._clock.now()
            transaction.retire_version(model, number, actor=actor, at=at)
            transaction.add_event(
                EventKind.VERSION_RETIRED,
                model=model,
                version=number,
                actor=actor,
                at=at,
                detail={"digest": str(version.artifact.digest)},
            )
            return resolve_version(transaction, model, number)


def _uses(alias: Alias, number: int) -> bool:
    return number in alias.targets
