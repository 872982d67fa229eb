"""Moving an alias: forward by promoting, back by rolling back.

Rules:
    1. A move is one transaction: compare with what is there, set the alias, append the move, append the event.
    2. Asking for what is so already changes nothing, appends nothing, and is no error.
    3. What may be promoted is decided in ``registry.planning``. A rollback is never refused for breaking callers, since
       who rolls back is in trouble already.
    4. A rollback is a new move; which promotions it takes back is decided in ``registry.history``. So is taking the
       newest promotion back, with what was tried beside the version before: but that is planned as a promotion is.
    5. What a promotion sends requests to has been rehearsed first, outside the transaction, which then looks again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.annotations import check_annotations
from registry.compatibility import compare
from registry.errors import InvalidRequest, NoPreviousVersion
from registry.events import EventKind
from registry.history import StepBack, last_move_at, standing_promotions, step_back, step_back_to
from registry.lookup import resolve_model, resolve_version
from registry.names import quoted
from registry.planning import (
    UNSET,
    Plan,
    Proposal,
    Unset,
    check_generation,
    plan_promotion,
    promotable_version,
)
from registry.ports import Catalog, Clock, Registry, Transaction
from registry.records import Alias, Canary, Move, MoveKind, Version

__all__ = ["UNSET", "AliasMove", "Plan", "Promotion", "Proposal", "Unset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """What an alias is after a move, a canary's change, or a request for what was so already."""

    alias: Alias
    move: Move | None
    """None if the alias points where it pointed before."""
    sequence: int
    """Of the event that made it so: a worker that has applied it answers accordingly."""


class Promotion:
    """Promotes and rolls back; safe for threads.

    Args:
        registry: where the aliases are.
        clock: dates the moves.
        rehearse: returns if a version can be loaded, raises what ``registry.rehearsal`` raises if not.
    """

    def __init__(self, registry: Registry, clock: Clock, *, rehearse: Callable[[Version], None]) -> None:
        self._registry = registry
        self._clock = clock
        self._rehearse = rehearse

    def move(self, model: str, alias: str, proposal: Proposal, *, actor: str, reason: str = "") -> AliasMove:
        """Make ``alias`` what is proposed.

        Args:
            model: its name.
            alias: its name; made by its first move.
            proposal: what it is to become.
            actor: who asks.
            reason: for the history.

        Raises:
            ModelNotFound, VersionNotFound: there is no such model, version or canary.
            NotPromotable: the version, the canary or the shadow is retired or in quarantine.
            RehearsalFailed: one of them does not load, or does not give what its examples say.
            GenerationConflict: something else is live than the caller believes, or the alias has changed since.
            BreakingSignature: callers would break; with the differences.
            InvalidName, InvalidRequest: the alias, the reason or the canary is malformed.
            ArtifactMissing, ArtifactCorrupt: the bytes of the version or of the canary are lost or damaged.
            StorageUnavailable, InsufficientStorage, RegistryUnavailable, RegistryBusy, Overloaded: the same request
                may succeed later.
        """
        check_annotations(reason=reason)
        self.plan(model, alias, proposal)
        with self._registry.writing() as transaction:
            plan = plan_promotion(transaction, model, alias, proposal)
            step = _Step(plan=plan, kind=MoveKind.PROMOTE, undoes=None, actor=actor, reason=reason)
            return self._take(transaction, step)

    def take_back(self, model: str, alias: str, proposal: Proposal, *, actor: str, reason: str = "") -> AliasMove:
        """Make ``alias`` again what it was before its newest promotion, canary and shadow included.

        The move is a rollback, so that the next one goes further back, not to what has been taken back; where that
        promotion did not come from the version that is proposed, this is ``move``. Takes and raises what that does.
        """
        check_annotations(reason=reason)
        self.plan(model, alias, proposal)
        with self._registry.writing() as transaction:
            plan = plan_promotion(transaction, model, alias, proposal)
            undoes = _taken_back(transaction.list_moves(model, alias), plan.version)
            kind = MoveKind.PROMOTE if undoes is None else MoveKind.ROLLBACK
            step = _Step(plan=plan, kind=kind, undoes=undoes, actor=actor, reason=reason)
            return self._take(transaction, step)

    def plan(self, model: str, alias: str, proposal: Proposal) -> Plan:
        """Return what ``move`` would do, or raise what it would raise; changes nothing."""
        with self._registry.reading() as catalog:
            plan = plan_promotion(catalog, model, alias, proposal)
            wanted = [resolve_version(catalog, model, number) for number in plan.newcomers]
        for candidate in wanted:
            self._rehearse(candidate)
        return plan

    def drop_canary(self, seen: Alias, *, actor: str, reason: str) -> AliasMove | None:
        """Send everything to the alias's own version again, if the alias is still what was seen of it; else None.

        Raises:
            RegistryUnavailable, RegistryBusy: the same may succeed later.
        """
        with self._registry.writing() as transaction:
            before = transaction.find_alias(seen.model, seen.name)
            if before is None or before.canary is None or before.generation != seen.generation:
                return None
            plan = Plan(
                model=before.model,
                alias=before.name,
                before=before,
                version=before.version,
                canary=None,
                shadow=before.shadow,
                differences=(),
            )
            step = _Step(plan=plan, kind=MoveKind.PROMOTE, undoes=None, actor=actor, reason=reason)
            return self._take(transaction, step)

    def rollback(
        self,
        model: str,
        alias: str,
        *,
        actor: str,
        to: int | None = None,
        to_time: datetime | None = None,
        expected_generation: int | None = None,
        reason: str = "",
    ) -> AliasMove:
        """Point ``alias`` to what was live before the newest promotion that stands; canary and shadow go.

        Args:
            model: its name.
            alias: its name.
            actor: who asks.
            to: a version that was live before, in place of the last one.
            to_time: an aware moment: the version that was live then.
            expected_generation: the state of the alias that the caller has seen; None if it does not matter.
            reason: for the history.

        Raises:
            ModelNotFound, VersionNotFound: there is no such model or version.
            GenerationConflict: the alias has changed since.
            NoPreviousVersion: there is nothing to go back to, or what was asked for has never been live.
            NotPromotable: what was asked for is retired, or what it leads to is in quarantine.
            InvalidRequest: ``to`` and ``to_time`` together, a moment without a time zone, a malformed reason.
        """
        check_annotations(reason=reason)
        _check_moment(to, to_time)
        with self._registry.writing() as transaction:
            plan, undoes = _plan_back(transaction, model, alias, to=to, to_time=to_time)
            check_generation(plan, expected_generation)
            step = _Step(plan=plan, kind=MoveKind.ROLLBACK, undoes=undoes, actor=actor, reason=reason)
            return self._take(transaction, step)

    def plan_rollback(self, model: str, alias: str, *, to: int | None = None, to_time: datetime | None = None) -> Plan:
        """Return what ``rollback`` would do, or raise what it would raise; changes nothing."""
        _check_moment(to, to_time)
        with self._registry.reading() as catalog:
            return _plan_back(catalog, model, alias, to=to, to_time=to_time)[0]

    def _take(self, transaction: Transaction, step: "_Step") -> AliasMove:
        plan = step.plan
        if plan.before is not None and not plan.is_change:
            moved_at = transaction.find_last_moved(plan.model, plan.alias)
            return AliasMove(alias=plan.before, move=None, sequence=moved_at)
        at = self._clock.now()
        alias = transaction.set_alias(
            plan.model, plan.alias, version=plan.version, canary=plan.canary, shadow=plan.shadow, at=at
        )
        move = None
        if plan.is_move:
            move = transaction.add_move(
                plan.model,
                plan.alias,
                from_version=plan.from_version,
                to_version=plan.version,
                kind=step.kind,
                undoes=step.undoes,
                actor=step.actor,
                reason=step.reason,
                at=at,
            )
        sequence = transaction.add_event(
            EventKind.ALIAS_MOVED,
            model=plan.model,
            version=plan.version,
            alias=plan.alias,
            actor=step.actor,
            at=at,
            detail=_event_detail(step, alias, move),
        )
        return AliasMove(alias=alias, move=move, sequence=sequence)


def previous_version(catalog: Catalog, alias: Alias) -> int | None:
    """Return where one step back leads, None where there is nothing before."""
    back = _one_back(catalog, alias, catalog.list_moves(alias.model, alias.name))
    return None if back is None else back.version


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    plan: Plan
    kind: MoveKind
    undoes: int | None
    actor: str
    reason: str


def _event_detail(step: _Step, alias: Alias, move: Move | None) -> Mapping[str, Any]:
    canary, shadow, before = alias.canary, alias.shadow, step.plan.before
    is_shadow = before is not None and before.canary == canary
    return {
        "from": step.plan.from_version,
        "to": alias.version,
        "kind": step.kind.value if move is not None else "shadow" if is_shadow else "canary",
        "move": None if move is None else move.id,
        "generation": alias.generation,
        "canary": None if canary is None else _canary_detail(canary),
        "shadow": None if shadow is None else {"version": shadow.version, "percent": shadow.percent},
        "reason": step.reason,
    }


def _canary_detail(canary: Canary) -> Mapping[str, Any]:
    limits = {"max_error_rate": canary.max_error_rate, "max_latency_seconds": canary.max_latency_seconds}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return {"version": canary.version, "percent": canary.percent, **given}


def _check_moment(to: int | None, to_time: datetime | None) -> None:
    if to is not None and to_time is not None:
        raise InvalidRequest("give a version or a moment to roll back to, not both")
    if to_time is not None and to_time.utcoffset() is None:
        raise InvalidRequest("the moment to roll back to needs a time zone, such as 2026-05-17T03:00:00Z")


def _plan_back(
    catalog: Catalog, model: str, alias: str, *, to: int | None, to_time: datetime | None
) -> tuple[Plan, int | None]:
    """Return what a rollback does, and the oldest promotion that it takes back."""
    before = catalog.find_alias(model, alias)
    if before is None:
        resolve_model(catalog, model)
        raise NoPreviousVersion(f"alias {quoted(alias)} of model {quoted(model)} has never been moved")
    back = _way_back(catalog, before, catalog.list_moves(model, alias), to=to, to_time=to_time)
    candidate = promotable_version(catalog, model, back.version, is_live=back.version == before.version)
    replaced = resolve_version(catalog, model, before.version)
    found = compare(replaced.signature, candidate.signature)
    plan = Plan(
        model=model,
        alias=alias,
        before=before,
        version=back.version,
        canary=None,
        differences=found.differences,
        compatibility=found.compatibility,
        changes=found.changes,
        replaced=replaced,
        candidate=candidate,
    )
    return plan, back.undoes


def _taken_back(moves: Sequence[Move], version: int) -> int | None:
    """Return the newest standing promotion if it came from ``version``."""
    standing = standing_promotions(moves)
    return standing[-1].id if standing and standing[-1].from_version == version else None


def _way_back(
    catalog: Catalog, before: Alias, moves: Sequence[Move], *, to: int | None, to_time: datetime | None
) -> StepBack:
    if to_time is not None:
        then = last_move_at(moves, to_time)
        to = None if then is None else then.to_version
    elif to is None:
        back = _one_back(catalog, before, moves)
        return _found(before, back, f"alias {quoted(before.name)} has no promotion left to roll back")
    if to is None:
        return _found(before, None, f"alias {quoted(before.name)} pointed to nothing at that time")
    promotable_version(catalog, before.model, to)
    return _found(before, step_back_to(moves, to), f"version {to} has never been live at alias {quoted(before.name)}")


def _one_back(catalog: Catalog, before: Alias, moves: Sequence[Move]) -> StepBack | None:
    return step_back(moves, is_available=lambda number: _is_available(catalog, before, number))


def _is_available(catalog: Catalog, before: Alias, number: int) -> bool:
    return number != before.version and not resolve_version(catalog, before.model, number).is_retired


def _found(before: Alias, back: StepBack | None, otherwise: str) -> StepBack:
    if back is None:
        raise NoPreviousVersion(f"model {quoted(before.model)}: {otherwise}")
    return back
