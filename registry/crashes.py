"""What becomes of versions that end the processes which run them.

Rules:
    1. Each call is one transaction, and each fact in it one event: that a process has died, and, where that is new,
       that the version runs somewhere else from now on.
    2. What changes nothing leaves no event, so whoever is not sure whether a call went through may repeat it; only a
       death that is certainly the version's is one more each time.
    3. How the standing changes is decided in ``registry.standing``, and nowhere else.
"""

from typing import Any

from registry.events import EventKind
from registry.lookup import resolve_present_version
from registry.ports import Clock, Registry, Transaction
from registry.records import Version
from registry.standing import (
    Death,
    Isolation,
    Standing,
    after_clearing,
    after_death,
    after_probation,
    after_quarantine,
)


class Crashes:
    """Notes crashes and takes them back; safe for threads.

    Every method raises ModelNotFound or VersionNotFound where there is no such version, VersionRetired where there is
    none any more, and returns the version as it is afterwards.
    """

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def record_death(self, model: str, number: int, *, death: Death, actor: str) -> Version:
        """Note that a process died, or may have died, of the version, and move it where that leads it."""
        with self._registry.writing() as transaction:
            before = resolve_present_version(transaction, model, number)
            after = after_death(before.standing, death)
            facts: list[tuple[EventKind, dict[str, Any]]] = [(EventKind.VERSION_CRASHED, _crash(death, after))]
            if before.standing.isolation is Isolation.IN_PROCESS:
                facts.append((EventKind.VERSION_ISOLATED, _place(after)))
            return self._change(transaction, before, after, facts, actor=actor)

    def end_probation(self, model: str, number: int, *, actor: str) -> Version:
        """Take the version back into the workers, if it is on probation and nobody has asked for a child."""
        with self._registry.writing() as transaction:
            before = resolve_present_version(transaction, model, number)
            after = after_probation(before.standing)
            facts = [(EventKind.VERSION_CLEARED, {"by": "probation", **_place(after)})]
            return self._change(transaction, before, after, facts, actor=actor)

    def quarantine(self, model: str, number: int, *, reason: str, actor: str) -> Version:
        """Have nothing run the version any more, until it is cleared."""
        with self._registry.writing() as transaction:
            before = resolve_present_version(transaction, model, number)
            after = after_quarantine(before.standing, reason)
            facts = [(EventKind.VERSION_QUARANTINED, _place(after))]
            return self._change(transaction, before, after, facts, actor=actor)

    def clear(self, model: str, number: int, *, actor: str) -> Version:
        """Forget everything that the version has done; it goes on in the workers, or in the child it was asked for."""
        with self._registry.writing() as transaction:
            before = resolve_present_version(transaction, model, number)
            after = after_clearing(before.standing)
            facts = [(EventKind.VERSION_CLEARED, {"by": "admin", **_place(after)})]
            return self._change(transaction, before, after, facts, actor=actor)

    def _change(
        self,
        transaction: Transaction,
        before: Version,
        after: Standing,
        facts: list[tuple[EventKind, dict[str, Any]]],
        *,
        actor: str,
    ) -> Version:
        if after == before.standing:
            return before
        transaction.set_standing(before.model, before.number, after)
        at = self._clock.now()
        for kind, detail in facts:
            transaction.add_event(kind, model=before.model, version=before.number, actor=actor, at=at, detail=detail)
        return resolve_present_version(transaction, before.model, before.number)


def _crash(death: Death, after: Standing) -> dict[str, Any]:
    return {
        "where": death.where.value,
        "stage": death.stage.value,
        "cause": death.cause,
        "certain": death.is_certain,
        "deaths": after.deaths,
        "host": death.host,
    }


def _place(after: Standing) -> dict[str, Any]:
    return {
        "isolation": after.isolation.value,
        "deaths": after.deaths,
        "on_probation": after.is_on_probation,
        "reason": after.reason,
    }
