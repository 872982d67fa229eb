"""The wire types of aliases: what is asked of them, and how they, their moves and their trials are written."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator

from gateway.web.schemas import Body, canary_json, timestamp
from registry.errors import Difference
from registry.promotion import UNSET, Proposal
from registry.records import Alias, Canary, Move, Shadow, Trial
from registry.shadow import OutputDifference, ShadowReport


class CanaryBody(Body):
    """A second version that gets a share of the alias's requests."""

    version: int = Field(ge=1, lt=10**9)
    percent: float = Field(gt=0, le=100)
    max_error_rate: float | None = Field(default=None, ge=0, le=1)
    """It is dropped when a larger share of its answers fails by its own fault."""
    max_latency_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """It is dropped when more than one in a hundred of its answers takes longer."""


class ShadowBody(Body):
    """A version that gets copies of a share of the alias's requests, and answers nobody."""

    version: int = Field(ge=1, lt=10**9)
    percent: float = Field(gt=0, le=100)


class AliasBody(Body):
    """Points an alias at a version."""

    version: int = Field(ge=1, lt=10**9)
    expected: int | None = Field(default=None, ge=1, lt=10**9)
    """What the caller believes to be live; null means nothing. Absent: whatever it is."""
    expected_generation: int | None = Field(default=None, ge=0, lt=10**9)
    """The ``generation`` that the caller has seen; it changes with the canary and the shadow, too."""
    reason: str = Field(default="", max_length=1024)
    allow_breaking: bool = False
    canary: CanaryBody | None = None
    shadow: ShadowBody | None = None

    def proposal(self) -> Proposal:
        """Return what is asked for as the registry knows it; what the body does not name is not asked for."""
        given = self.model_fields_set
        return Proposal(
            version=self.version,
            expected=self.expected if "expected" in given else UNSET,
            expected_generation=self.expected_generation,
            allow_breaking=self.allow_breaking,
            canary=_asked_canary(self.canary) if "canary" in given else UNSET,
            shadow=_asked_shadow(self.shadow) if "shadow" in given else UNSET,
        )


def _asked_canary(asked: CanaryBody | None) -> Canary | None:
    if asked is None:
        return None
    return Canary(
        version=asked.version,
        percent=asked.percent,
        max_error_rate=asked.max_error_rate,
        max_latency_seconds=None if asked.max_latency_ms is None else asked.max_latency_ms / 1000,
    )


def _asked_shadow(asked: ShadowBody | None) -> Shadow | None:
    return None if asked is None else Shadow(version=asked.version, percent=asked.percent)


class RollbackBody(Body):
    """Moves an alias back; to what was live before, unless told where or when."""

    to: int | None = Field(default=None, ge=1, lt=10**9)
    to_time: datetime | None = Field(default=None, strict=False)
    expected_generation: int | None = Field(default=None, ge=0, lt=10**9)
    """The ``generation`` that the caller has seen; absent: whatever it is."""
    reason: str = Field(default="", max_length=1024)

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.to is not None and self.to_time is not None:
            raise ValueError("give either to or to_time")
        if self.to_time is not None and self.to_time.tzinfo is None:
            raise ValueError("to_time needs a time zone, such as 2026-11-22T03:00:00Z")
        return self


def alias_json(alias: Alias) -> dict[str, Any]:
    """Return an alias as the wire has it."""
    return {
        "model": alias.model,
        "alias": alias.name,
        "version": alias.version,
        "canary": canary_json(alias.canary),
        "shadow": shadow_json(alias.shadow),
        "generation": alias.generation,
        "updated_at": timestamp(alias.updated_at),
    }


def shadow_json(shadow: Shadow | None) -> dict[str, Any] | None:
    """Return a shadow as the wire has it."""
    return None if shadow is None else {"version": shadow.version, "percent": shadow.percent, "trial": shadow.trial}


def shadow_report_json(trial: Trial, report: ShadowReport) -> dict[str, Any]:
    """Return what a trial has shown, as the wire has it."""
    return {
        "live": trial.live,
        "shadow": trial.shadow,
        "compared": report.compared,
        "skipped": report.skipped,
        "failures": dict(report.failures),
        "outputs": [_output_json(name, found) for name, found in sorted(report.outputs.items())],
    }


def _output_json(name: str, found: OutputDifference) -> dict[str, Any]:
    return {
        "name": name,
        "compared": found.compared,
        "same": found.same,
        "incomparable": found.incomparable,
        "max_difference": found.largest,
        "mean_difference": found.mean,
        "rows": found.rows,
        "changed": found.changed,
    }


def move_json(move: Move) -> dict[str, Any]:
    """Return a promotion or rollback as the wire has it."""
    return {
        "id": move.id,
        "number": move.number,
        "alias": move.alias,
        "from": move.from_version,
        "to": move.to_version,
        "kind": move.kind.value,
        "undoes": move.undoes,
        "actor": move.actor,
        "reason": move.reason,
        "at": timestamp(move.at),
    }


def difference_json(difference: Difference) -> dict[str, str]:
    """Return one breaking difference as the wire has it."""
    return asdict(difference)
