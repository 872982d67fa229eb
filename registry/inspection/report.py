"""What the inspection child tells its parent: JSON objects, one a line, of which the last of a kind counts.

``{"stage": "load"}`` says what is being tried, so that a death has a place; ``{"inspection": {...}}`` is a result, and
stands even if the child dies while it measures more; ``{"refused": {...}}`` is the other end, and
``{"prepared": {...}}``, ``{"rehearsed": {...}}`` and ``{"stripped": true}`` those of children that prepare a model, run
its examples, or write its graph without weights.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from registry.batching import Level
from registry.errors import InvalidArtifact, Violation
from registry.records import Inspection
from registry.storage import Preparation

_LONGEST_REASON = 300
_MOST_FAULTS = 64


@dataclass(frozen=True, slots=True)
class Reporter:
    """The child's end of the pipe."""

    descriptor: int

    def stage(self, name: str) -> None:
        """Say what is tried next."""
        self._write({"stage": name})

    def found(self, inspection: Inspection) -> None:
        """Report a result."""
        self._write({"inspection": inspection.as_json()})

    def prepared(self, preparation: Preparation) -> None:
        """Report what has become of preparing the model."""
        self._write({"prepared": asdict(preparation)})

    def rehearsed(self, faults: Sequence[Violation], level: Level) -> None:
        """Report what is wrong with the answers to the examples, and what their rows have shown together."""
        self._write({"rehearsed": {"faults": [asdict(fault) for fault in faults[:_MOST_FAULTS]], "level": level}})

    def stripped(self) -> None:
        """Report that the graph without weights is written."""
        self._write({"stripped": True})

    def refused(self, error: InvalidArtifact) -> None:
        """Report that the file cannot be registered, and why."""
        self._write({"refused": {"code": error.code, "detail": error.detail}})

    def _write(self, value: Mapping[str, Any]) -> None:
        line = json.dumps(value).encode() + b"\n"
        while line:
            line = line[os.write(self.descriptor, line) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the child said."""

    stage: str = "start"
    inspection: Inspection | None = None
    refusal: InvalidArtifact | None = None
    preparation: Preparation | None = None
    faults: tuple[Violation, ...] | None = None
    """Of the examples; None where they were not run to their end."""
    level: Level = Level.NONE
    """What the rows of the examples have shown together."""
    is_stripped: bool = False
    """Whether a graph without weights is written."""

    @property
    def has_result(self) -> bool:
        """Whether it said anything but what it was doing."""
        said = (self.inspection, self.refusal, self.preparation, self.faults)
        return self.is_stripped or any(each is not None for each in said)


def _read_preparation(value: Mapping[str, Any]) -> Preparation:
    memory_bytes = value["memory_bytes"]
    if memory_bytes is not None and (type(memory_bytes) is not int or memory_bytes < 0):
        raise ValueError("no amount of memory")
    return Preparation(
        memory_bytes=memory_bytes, reason=str(value["reason"])[:_LONGEST_REASON], is_final=bool(value["is_final"])
    )


def _read_fault(value: Mapping[str, Any]) -> Violation:
    texts = {name: str(value[name])[:_LONGEST_REASON] for name in ("path", "expected", "received", "code")}
    return Violation(**texts)


def read_report(octets: bytes) -> Report:
    """Read what the child has written; what is not a whole line, or makes no sense, was written while it died."""
    stage, inspection, refusal, preparation, faults, level = "start", None, None, None, None, Level.NONE
    is_stripped = False
    for line in octets.split(b"\n"):
        try:
            value = json.loads(line)
            stage = str(value.get("stage", stage))
            if "inspection" in value:
                inspection = Inspection.from_json(value["inspection"])
            if "refused" in value:
                refusal = InvalidArtifact(str(value["refused"]["code"]), str(value["refused"]["detail"]))
            if "prepared" in value:
                preparation = _read_preparation(value["prepared"])
            is_stripped = is_stripped or value.get("stripped") is True
            if "rehearsed" in value:
                level = Level(value["rehearsed"]["level"])
                faults = tuple(_read_fault(fault) for fault in value["rehearsed"]["faults"])
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return Report(
        stage=stage,
        inspection=inspection,
        refusal=refusal,
        preparation=preparation,
        faults=faults,
        level=level,
        is_stripped=is_stripped,
    )
