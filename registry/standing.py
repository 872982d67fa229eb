"""What a version has done to the processes that run it, and where it runs because of that.

Rules:
    1. A version runs in the gateway's own process until it proves otherwise, or until its publisher asks for a child
       process of its own.
    2. A death that is certainly a version's counts against it; a suspicion does not. Either moves it to a child, on
       probation: many good answers without a death take it back.
    3. From the second death on it stays there, whatever it answers, until an admin clears it.
    4. A version whose child dies on every request is quarantined: nothing runs it until an admin clears it.
    5. What was asked for and what deaths have brought about are two things: neither takes the other back.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

LASTING_DEATHS: Final = 2
"""From so many on, good answers no longer bring a version back."""

_LONGEST_WORDS: Final = 256
"""A cause may come from a dying process, a reason from a person: both are shown in lists."""

HANG: Final = "hang"
"""The cause of a death where a run listened to nothing, and its process was killed for that."""
MEMORY: Final = "memory"
"""The cause where it was for the memory that a run took."""


class Isolation(StrEnum):
    """Where a version runs."""

    IN_PROCESS = "in_process"
    """In the gateway's workers, beside all others."""
    ISOLATED = "isolated"
    """In a child process of its own."""
    QUARANTINED = "quarantined"
    """Nowhere."""


class Stage(StrEnum):
    """What a process was doing with a version."""

    LOAD = "load"
    RUN = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The end of a process that was at work for a version."""

    where: Isolation
    """In a worker, or in the version's own child."""
    stage: Stage
    cause: str
    """Such as ``SIGFPE``, ``hang``, ``memory``."""
    is_certain: bool
    """False if another version may have done it."""
    host: str = ""

    def __post_init__(self) -> None:
        """Cut what may be endless."""
        object.__setattr__(self, "cause", self.cause[:_LONGEST_WORDS])

    @property
    def summary(self) -> str:
        """Say it in one line, for people."""
        verb = "load" if self.stage is Stage.LOAD else "run"
        place = "its child" if self.where is Isolation.ISOLATED else "a worker"
        return f"{self.cause} {'ended' if self.is_certain else 'may have ended'} {place} during a {verb}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a version runs, and why."""

    isolation: Isolation = Isolation.IN_PROCESS
    deaths: int = 0
    """Those that were certainly its own, since it was last cleared."""
    is_requested: bool = False
    """True if its publisher has asked for a child."""
    is_on_probation: bool = False
    """True if good answers may end its isolation."""
    reason: str = ""
    """Why it does not run in process, where deaths have brought that about."""

    @property
    def is_quarantined(self) -> bool:
        """True if nothing may run it."""
        return self.isolation is Isolation.QUARANTINED

    @property
    def is_held(self) -> bool:
        """True if what it has done keeps it out of the workers, whatever was asked for."""
        return self.is_quarantined or self.is_on_probation or self.deaths >= LASTING_DEATHS

    def as_json(self) -> dict[str, Any]:
        """Return a form that can be written down; ``from_json(as_json(s)) == s``."""
        return {**asdict(self), "isolation": self.isolation.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> "Standing":
        """Return the standing that ``as_json`` describes; earlier releases have written none."""
        return CLEAN if value is None else cls(**{**value, "isolation": Isolation(value["isolation"])})


CLEAN: Final = Standing()
"""That of a version which has done nothing, and of which nobody has asked anything."""


def after_death(before: Standing, death: Death) -> Standing:
    """Return the standing after a death; that of a suspect which is held already does not change."""
    if not death.is_certain and before.is_held:
        return before
    deaths = before.deaths + death.is_certain
    if before.is_quarantined:
        return replace(before, deaths=deaths)
    return replace(
        before,
        isolation=Isolation.ISOLATED,
        deaths=deaths,
        is_on_probation=deaths < LASTING_DEATHS,
        reason=death.summary,
    )


def after_probation(before: Standing) -> Standing:
    """Return the standing after many good answers: its deaths are not forgotten, and the next one may be the last."""
    if not before.is_on_probation:
        return before
    return _settled(replace(before, is_on_probation=False, reason=""))


def after_quarantine(before: Standing, reason: str) -> Standing:
    """Return the standing of a version that nothing shall run any more."""
    if before.is_quarantined:
        return before
    return replace(before, isolation=Isolation.QUARANTINED, is_on_probation=False, reason=reason[:_LONGEST_WORDS])


def after_clearing(before: Standing) -> Standing:
    """Return the standing after an admin's word: everything that it has done is forgotten."""
    return _settled(Standing(is_requested=before.is_requested))


def requested(before: Standing, isolation: Isolation) -> Standing:
    """Return the standing after its publisher's word, which cannot take back what deaths have brought about.

    Raises:
        ValueError: a quarantine cannot be asked for.
    """
    if isolation is Isolation.QUARANTINED:
        raise ValueError("a quarantine cannot be asked for")
    after = replace(before, is_requested=isolation is Isolation.ISOLATED)
    return after if after.is_held else _settled(after)


def _settled(standing: Standing) -> Standing:
    """Put a version where it was asked to be, if nothing keeps it elsewhere."""
    if standing.is_held:
        return standing
    isolation = Isolation.ISOLATED if standing.is_requested else Isolation.IN_PROCESS
    return replace(standing, isolation=isolation)
