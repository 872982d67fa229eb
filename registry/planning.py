"""What a promotion would do to an alias, and whether it may; nothing here writes.

Rules:
    1. The candidate exists, is not retired, and not in quarantine unless it is live already; what the caller believes
       to be live is live.
    2. Callers of the live version must be able to go on, unless they are to be broken.
    3. A canary belongs to the version beside which it was set: it stays while that stays, and goes with it. Callers of
       that version must be able to live with the canary. So it is with a shadow, which must understand those callers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import Final

from registry.compatibility import Comparison, Compatibility, compare
from registry.errors import BreakingSignature, Difference, GenerationConflict, InvalidRequest, NotPromotable, Violation
from registry.lookup import resolve_version
from registry.names import parse_alias_name, quoted
from registry.ports import Catalog
from registry.records import Alias, Canary, Shadow, Version
from registry.signature import Signature

_ALL_PERCENT = 100


class Unset(Enum):
    """The type of ``UNSET``."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""What was not said, where None would say something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What an alias is to become."""

    version: int
    """What is to go live."""
    expected: int | Unset | None = UNSET
    """What the caller believes to be live, None for nothing yet."""
    expected_generation: int | None = None
    """The state of the alias, canary and shadow included, that the caller has seen; None if it does not matter, as it
    does not where nothing is to change."""
    allow_breaking: bool = False
    """Whether it is to happen although callers will stumble."""
    canary: Canary | Unset | None = UNSET
    """Who is to get a share besides, None for nobody; if it is not given, rule 3 decides."""
    shadow: Shadow | Unset | None = UNSET
    """Who is to get copies of a share besides, in the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a promotion does to an alias."""

    model: str
    alias: str
    before: Alias | None
    version: int
    canary: Canary | None
    shadow: Shadow | None = None
    differences: tuple[Difference, ...]
    """How it breaks callers; empty unless that was allowed."""
    compatibility: Compatibility | None = None
    """What callers will notice at worst, of the version before and beside a canary; None if there is neither."""
    changes: tuple[Difference, ...] = ()
    """What is other than it was, and breaks nobody."""
    replaced: Version | None = None
    """The version before."""
    candidate: Version | None = None
    """The version that goes live, where it was looked at."""

    @property
    def from_version(self) -> int | None:
        """What is live before."""
        return None if self.before is None else self.before.version

    @property
    def newcomers(self) -> tuple[int, ...]:
        """The versions that get more requests by this alias then than before: what goes live, though it was tried."""
        before = () if self.before is None else self.before.targets
        others = (other.version for other in (self.canary, self.shadow) if other is not None)
        live = (self.version,) if self.is_move else ()
        return (*live, *(number for number in others if number not in before))

    @property
    def is_move(self) -> bool:
        """True if another version goes live."""
        return self.from_version != self.version

    @property
    def is_change(self) -> bool:
        """True if anything changes at all."""
        if self.is_move or self.before is None or self.before.canary != self.canary:
            return True
        before, after = self.before.shadow, self.shadow
        return before != after if before is None or after is None else not _is_same_trial(before, after)


def plan_promotion(catalog: Catalog, model: str, alias: str, proposal: Proposal) -> Plan:
    """Return what doing what is proposed would do.

    Args:
        catalog: an open view; the plan holds for as long as nobody writes.
        model: its name.
        alias: its name; it may not exist yet.
        proposal: what the alias is to become.

    Raises:
        ModelNotFound, VersionNotFound: there is no such model, version, canary or shadow.
        NotPromotable: one of them is retired or in quarantine.
        GenerationConflict: something else is live than the caller believes, or the alias has changed since.
        BreakingSignature: callers would break, or the shadow not understand them; with the differences.
        InvalidName, InvalidRequest: the alias, the canary or the shadow is malformed.
    """
    parse_alias_name(alias)
    before = catalog.find_alias(model, alias)
    is_live = before is not None and before.version == proposal.version
    candidate = promotable_version(catalog, model, proposal.version, is_live=is_live)
    _check_expected(model, alias, before, proposal)
    replaced = None if before is None else resolve_version(catalog, model, before.version)
    stays = before if is_live else None
    canary, shadow = proposal.canary, proposal.shadow
    beside: dict[str, Version] = {}
    if canary is UNSET:
        canary = None if stays is None else stays.canary
    elif canary is not None:
        beside["canary"] = _second(catalog, candidate, "canary", canary)
    if shadow is UNSET:
        shadow = None if stays is None else stays.shadow
    elif shadow is not None:
        beside["shadow"] = _second(catalog, candidate, "shadow", shadow)
        shadow = _going_on(stays, shadow)
    plan = Plan(
        model=model,
        alias=alias,
        before=before,
        version=proposal.version,
        canary=canary,
        shadow=shadow,
        differences=(),
        replaced=replaced,
        candidate=candidate,
    )
    check_generation(plan, proposal.expected_generation)
    return _compared(plan, candidate, beside, proposal)


def promotable_version(catalog: Catalog, model: str, number: int, *, is_live: bool = False) -> Version:
    """Return the version, which may go live, or stay so where it is live already.

    Raises:
        ModelNotFound, VersionNotFound: there is no such model or version.
        NotPromotable: it is retired, or nothing may run it.
    """
    version = resolve_version(catalog, model, number)
    if version.is_retired:
        raise NotPromotable(f"version {number} of model {quoted(model)} is retired")
    if version.standing.is_quarantined and not is_live:
        raise NotPromotable(
            f"version {number} of model {quoted(model)} is in quarantine: choose another one, or clear it first"
        )
    return version


def _check_expected(model: str, alias: str, before: Alias | None, proposal: Proposal) -> None:
    live = None if before is None else before.version
    if proposal.expected is not UNSET and proposal.expected != live:
        raise GenerationConflict(
            f"alias {quoted(alias)} of model {quoted(model)} points to {_named(live)} now,"
            f" not to {_named(proposal.expected)}"
        )


def check_generation(plan: Plan, expected: int | None) -> None:
    """Make sure that the alias is as the caller has seen it, or is already what it is to become.

    Raises:
        GenerationConflict: it is not; None expects nothing.
    """
    generation = 0 if plan.before is None else plan.before.generation
    if plan.is_change and expected not in (None, generation):
        raise GenerationConflict(
            f"alias {quoted(plan.alias)} of model {quoted(plan.model)}, or its canary or shadow, has changed since:"
            f" its generation is {generation} now, not {expected}"
        )


def _second(catalog: Catalog, candidate: Version, kind: str, other: Canary | Shadow) -> Version:
    _check_other(kind, other, beside=candidate.number)
    return promotable_version(catalog, candidate.model, other.version)


def _going_on(stays: Alias | None, shadow: Shadow) -> Shadow:
    """Return the shadow that is there where it is asked for once more: the trial goes on."""
    known = None if stays is None else stays.shadow
    return known if known is not None and _is_same_trial(known, shadow) else shadow


def _compared(plan: Plan, candidate: Version, beside: Mapping[str, Version], proposal: Proposal) -> Plan:
    """Return the plan with what callers will notice; ``beside`` are a canary and a shadow that are new."""
    found = [] if plan.replaced is None else [_compare(plan.replaced, candidate, proposal)]
    if "canary" in beside:
        found.append(_compare(candidate, beside["canary"], proposal))
    if "shadow" in beside:
        _check_understood(candidate, beside["shadow"], proposal)
    return replace(
        plan,
        differences=tuple(difference for one in found for difference in one.differences),
        compatibility=max((one.compatibility for one in found), key=list(Compatibility).index, default=None),
        changes=tuple(change for one in found for change in one.changes),
    )


def _compare(before: Version, after: Version, proposal: Proposal) -> Comparison:
    found = compare(before.signature, after.signature)
    lost = found.differences
    if lost and not proposal.allow_breaking:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise BreakingSignature(
            f"version {after.number} would break callers of version {before.number}: {lost[0].path}{more}",
            differences=lost,
        )
    return found


def _check_understood(live: Version, shadow: Version, proposal: Proposal) -> None:
    """Make sure that a shadow takes what the live version takes; its outputs are compared, and bind nobody."""
    found = compare(
        Signature(inputs=live.signature.inputs, outputs=()), Signature(inputs=shadow.signature.inputs, outputs=())
    )
    if found.differences and not proposal.allow_breaking:
        first = found.differences[0].path
        raise BreakingSignature(
            f"version {shadow.number} would not understand callers of version {live.number}: {first}",
            differences=found.differences,
        )


def _check_other(kind: str, other: Canary | Shadow, *, beside: int) -> None:
    wanted: list[tuple[str, str, float]] = []
    if other.version == beside:
        wanted.append(("version", f"another version than {beside}", other.version))
    if not 0 < other.percent <= _ALL_PERCENT:
        wanted.append(("percent", f"more than 0 and at most {_ALL_PERCENT}", other.percent))
    if isinstance(other, Canary):
        wanted.extend(_bad_limits(other))
    found = [
        Violation(path=f"/{kind}/{name}", expected=expected, received=str(received), code=f"invalid_{kind}")
        for name, expected, received in wanted
    ]
    if found:
        first = found[0]
        raise InvalidRequest(f"{first.path}: expected {first.expected}, received {first.received}", violations=found)


def _bad_limits(canary: Canary) -> Iterator[tuple[str, str, float]]:
    rate, seconds = canary.max_error_rate, canary.max_latency_seconds
    if rate is not None and not 0 <= rate <= 1:
        yield "max_error_rate", "from 0 to 1", rate
    if seconds is not None and not 0 < seconds < inf:
        yield "max_latency_ms", "more than 0", seconds * 1000


def _is_same_trial(before: Shadow, after: Shadow) -> bool:
    """Return whether the trial goes on: the same version gets the same share."""
    return (before.version, before.percent) == (after.version, after.percent)


def _named(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
