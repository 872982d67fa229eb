"""The control plane's wire types: what bodies may say, and how records are written."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from registry.artifact import Digest
from registry.batching import BatchReport
from registry.errors import InvalidRequest, Violation
from registry.events import Event
from registry.records import Canary, Model, Page, Token, Version, WorkerReport
from registry.signature import pointer_token
from registry.threads import MOST_THREADS, ThreadReport

T = TypeVar("T")

WantedIsolation = Literal["in_process", "isolated"]
"""Where a publisher may ask for a version to run."""

Locate = Callable[[Digest], str]
"""Where the store keeps the bytes of a digest, as a URI."""


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is not silently without effect."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ToleranceBody(Body):
    """How far floats may lie from what an example says: ``absolute + relative * |expected|``."""

    absolute: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=False)
    relative: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=False)


class ExampleBody(Body):
    """A golden example: tensors as a predict request has them, and as its answer does."""

    name: str = Field(default="", max_length=128)
    """Absent: ``example-1`` and so on."""
    inputs: Any
    outputs: dict[str, Any] | None = Field(default=None, min_length=1)
    """Those that are compared. Absent, where it may be: what the version answers now."""
    tolerance: ToleranceBody | None = None
    """Absent: that of each output's dtype."""


class ExamplesBody(Body):
    """All golden examples of a version; none removes them."""

    examples: list[ExampleBody]


class FilesBody(Body):
    """Registers files that were sent before, each by its digest."""

    files: dict[str, str] = Field(
        min_length=1, examples=[{"model.onnx": "sha256:" + "0" * 64, "model.onnx.data": "sha256:" + "1" * 64}]
    )
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    examples: list[ExampleBody] = Field(default_factory=list)
    isolation: WantedIsolation = "in_process"


class SourceBody(Body):
    """Registers a file that lies in a bucket which the operator allows."""

    source: str = Field(min_length=1, max_length=2048, examples=["s3://exports/iris/model.onnx"])
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    examples: list[ExampleBody] = Field(default_factory=list)
    isolation: WantedIsolation = "in_process"


class UploadBody(Body):
    """Announces a file that will be sent straight to the store."""

    digest: str = Field(examples=["sha256:" + "0" * 64])
    size_bytes: int = Field(ge=0)


class ModelChange(Body):
    """What may be changed about a model; what is absent stays."""

    description: str | None = None
    tags: dict[str, str] | None = None


class VersionChange(Body):
    """What may be changed about a version; what is absent stays."""

    description: str | None = None
    tags: dict[str, str] | None = None
    batching: Literal["exact", "stable", "close", "off"] | None = None
    isolation: WantedIsolation | None = None
    """What is asked for; what the version has done is taken back by an admin only."""


class TokenBody(Body):
    """Makes an access token."""

    name: str = Field(examples=["fraud-team"])
    role: Literal["predict", "publish", "admin"]
    models: str | None = Field(default=None, examples=["fraud-*"])
    """The pattern of the models' names that it is good for; absent: all."""
    expires: str | None = Field(default=None, max_length=64, examples=["90d"])
    """A span (``90d``, ``12h``), a date, or a moment with its time zone; absent: never."""


def invalid_fields(faults: Iterable[tuple[tuple[int | str, ...], dict[str, Any]]]) -> InvalidRequest:
    """Return what pydantic found wrong, each fault with its place in the body, as one error of ours."""
    violations = [
        Violation(
            path="".join(f"/{pointer_token(str(part))}" for part in place),
            expected=str(fault["msg"]),
            received="nothing" if fault["type"] == "missing" else _legible(fault.get("input")),
            code="invalid_field",
        )
        for place, fault in faults
    ]
    first = violations[0]
    return InvalidRequest(f"{first.path or 'the body'}: {first.expected}", violations=violations)


def _legible(value: object) -> str:
    """Return the beginning of what was sent, with what is no text (a lone surrogate) escaped."""
    return str(value)[:64].encode("utf-8", "backslashreplace").decode("utf-8")


def version_json(version: Version, locate: Locate) -> dict[str, Any]:
    """Return a version as the wire has it."""
    inspection, artifact = version.inspection, version.artifact
    return {
        "model": version.model,
        "version": version.number,
        "state": "retired" if version.is_retired else "ready",
        "digest": str(artifact.digest),
        "size_bytes": artifact.size_bytes,
        "location": locate(artifact.graph.digest),
        "files": [
            {"name": file.name, "digest": str(file.digest), "size_bytes": file.size_bytes} for file in artifact.files
        ],
        "signature": inspection.signature.as_json(),
        "opset": inspection.opset_imports.get("ai.onnx"),
        "opset_imports": dict(inspection.opset_imports),
        "producer": inspection.producer,
        "metadata": dict(inspection.metadata),
        "memory_bytes": inspection.memory_bytes,
        "load_seconds": inspection.load_seconds,
        "run_seconds": inspection.run_seconds,
        "batching": version.batching.value,
        "isolation": version.standing.isolation.value,
        "isolation_reason": version.standing.reason,
        "deaths": version.standing.deaths,
        "examples": 0 if version.examples is None else version.examples.count,
        "batch_report": _batch_report_json(inspection.batch),
        "thread_report": _thread_report_json(inspection.threads),
        "description": version.description,
        "tags": dict(version.tags),
        "created_at": timestamp(version.created_at),
        "created_by": version.created_by,
    }


def standing_json(version: Version) -> dict[str, Any]:
    """Return where a version runs and why, as the wire has it."""
    standing = version.standing
    return {
        "model": version.model,
        "version": version.number,
        "isolation": standing.isolation.value,
        "deaths": standing.deaths,
        "requested": standing.is_requested,
        "on_probation": standing.is_on_probation,
        "reason": standing.reason,
    }


def _batch_report_json(report: BatchReport | None) -> dict[str, Any] | None:
    """Return what is known of sharing runs: how far rows keep their bits, and what it would bring."""
    if report is None:
        return None
    return {
        "level": report.level.value,
        "reason": report.reason,
        "rows": report.rows,
        "worthwhile_rows": report.worthwhile_rows,
        "largest_difference": report.largest_difference,
        "gains": {str(rows): round(report.gain(rows) or 0.0, 2) for rows in sorted(report.run_seconds)},
    }


def _thread_report_json(report: ThreadReport | None) -> dict[str, Any] | None:
    """Return what is known of runs with several threads: how many pay, in which shapes, and what they bring."""
    if report is None:
        return None
    return {
        "threads": report.worthwhile_threads(MOST_THREADS),
        "reason": report.reason,
        "shapes": [[list(shape) for shape in shapes] for shapes in report.shapes],
        "gains": {str(count): round(report.gain(count) or 0.0, 2) for count in sorted(report.run_seconds)},
    }


def model_json(model: Model) -> dict[str, Any]:
    """Return a model as the wire has it."""
    return {
        "name": model.name,
        "description": model.description,
        "tags": dict(model.tags),
        "latest_version": model.latest_version,
        "aliases": {alias.name: alias.version for alias in model.aliases},
        "canaries": {alias.name: canary_json(alias.canary) for alias in model.aliases if alias.canary is not None},
        "created_at": timestamp(model.created_at),
        "created_by": model.created_by,
    }


def event_json(event: Event) -> dict[str, Any]:
    """Return a row of the change feed as the wire has it."""
    return {
        "sequence": event.sequence,
        "kind": event.kind.value,
        "model": event.model,
        "version": event.version,
        "alias": event.alias,
        "actor": event.actor,
        "at": timestamp(event.at),
        "detail": dict(event.detail),
    }


def worker_json(report: WorkerReport) -> dict[str, Any]:
    """Return what a worker said of itself, as the wire has it."""
    return {
        "host": report.host,
        "pid": report.pid,
        "applied": report.applied,
        "resident": list(report.resident),
        "failed": [asdict(switch) for switch in report.failed],
        "read": report.read,
        "pending": list(report.pending),
        "reported_at": timestamp(report.reported_at),
    }


def token_json(token: Token) -> dict[str, Any]:
    """Return an access token as the wire has it: nothing of its secret."""
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "models": token.models,
        "created_at": timestamp(token.created_at),
        "created_by": token.created_by,
        "expires_at": None if token.expires_at is None else timestamp(token.expires_at),
        "revoked_at": None if token.revoked_at is None else timestamp(token.revoked_at),
        "revoked_by": token.revoked_by,
        "last_used_at": None if token.last_used_at is None else timestamp(token.last_used_at),
    }


def canary_json(canary: Canary | None) -> dict[str, Any] | None:
    """Return a canary as the wire has it."""
    if canary is None:
        return None
    limits = {
        "max_error_rate": canary.max_error_rate,
        "max_latency_ms": None if canary.max_latency_seconds is None else round(canary.max_latency_seconds * 1000, 6),
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return {"version": canary.version, "percent": canary.percent, **given}


def page_json(page: Page[T], write: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """Return one page of a list as the wire has it."""
    return {"items": [write(item) for item in page.items], "next": page.next}


def timestamp(moment: datetime) -> str:
    """Write a moment in RFC 3339, in UTC, with ``Z``."""
    return moment.isoformat().replace("+00:00", "Z")
