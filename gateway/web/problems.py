"""The one place where errors become HTTP: a status for each class, problem+json for each error (RFC 9457)."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from gateway.web.paths import Dialect
from registry import errors
from registry.errors import ServiceError

Headers = list[tuple[bytes, bytes]]

DOCUMENTATION = "/docs/problems"
"""Where the codes are explained; ``type`` of a problem is this page and the code as fragment."""

STATUS: dict[type[ServiceError], int] = {
    errors.CallerError: 400,
    errors.UndecodableBody: 400,
    errors.JsonTooDeep: 400,
    errors.InvalidNumber: 400,
    errors.DuplicateKey: 400,
    errors.MalformedTensors: 400,
    errors.InvalidRequest: 422,
    errors.InvalidName: 422,
    errors.InvalidHost: 400,
    errors.MalformedRequest: 400,
    errors.HeadTooLarge: 431,
    errors.BodyTooLarge: 413,
    errors.UnsupportedEncoding: 415,
    errors.UnsupportedMediaType: 415,
    errors.NotAcceptable: 406,
    errors.UnsupportedFormat: 415,
    errors.MethodNotAllowed: 405,
    errors.SignatureMismatch: 422,
    errors.TooManyElements: 413,
    errors.InvalidArtifact: 422,
    errors.ExamplesDiffer: 422,
    errors.DigestMismatch: 422,
    errors.SourceNotAllowed: 422,
    errors.UrlNotAllowed: 422,
    errors.RunFailed: 422,
    errors.OutputNotText: 422,
    errors.AccessError: 403,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TooManyAttempts: 429,
    errors.ForeignOrigin: 403,
    errors.NotFound: 404,
    errors.RouteNotFound: 404,
    errors.ServedElsewhere: 421,
    errors.ModelNotFound: 404,
    errors.VersionNotFound: 404,
    errors.AliasNotFound: 404,
    errors.FileNotInVersion: 404,
    errors.BlobNotFound: 404,
    errors.SourceNotFound: 404,
    errors.UploadNotFound: 404,
    errors.TokenNotFound: 404,
    errors.WebhookNotFound: 404,
    errors.DeliveryNotFound: 404,
    errors.VersionRetired: 410,
    errors.Conflict: 409,
    errors.NoActiveVersion: 409,
    errors.NoPreviousVersion: 409,
    errors.GenerationConflict: 409,
    errors.BreakingSignature: 409,
    errors.VersionActive: 409,
    errors.ModelUnloaded: 409,
    errors.ModelPinned: 409,
    errors.NotPromotable: 409,
    errors.RehearsalFailed: 409,
    errors.SourceChanged: 409,
    errors.NoDirectUploads: 409,
    errors.InputStatisticsOff: 409,
    errors.TooManyWebhooks: 409,
    errors.Busy: 503,
    errors.Overloaded: 429,
    errors.DeadlinePassed: 504,
    errors.RequestTimeout: 408,
    errors.Draining: 503,
    errors.InsufficientMemory: 503,
    errors.LoadFailed: 503,
    errors.ModelCrashed: 503,
    errors.ModelOutOfMemory: 503,
    errors.StorageUnavailable: 503,
    errors.InsufficientStorage: 507,
    errors.RegistryUnavailable: 503,
    errors.RegistryBusy: 503,
    errors.Fault: 500,
    errors.ArtifactMissing: 503,
    errors.ArtifactCorrupt: 503,
    errors.ModelQuarantined: 503,
    errors.SchemaMismatch: 503,
    errors.InternalError: 500,
}
"""Every class of the tree; a house test keeps it complete."""

_STATUS_IN_TENSORFLOW: dict[type[ServiceError], int] = {
    **{error: 400 for error, status in STATUS.items() if status == 422},  # noqa: PLR2004 - as above
    errors.InvalidName: 404,
    errors.NoActiveVersion: 404,
    errors.VersionRetired: 404,
}
"""Where it differs: clients tell bad input by 400 and what is not there by 404, and know no finer ones."""

_RETRY_AFTER_SECONDS = 1
_MOST_SAID = 20
_WITHHELD = "Nothing in the request has to change. The operator finds the cause in the log by this request id."


def status_of(error: ServiceError, dialect: Dialect = Dialect.NATIVE) -> int:
    """Return the HTTP status of an error, as a dialect has it."""
    status = STATUS[type(error)]
    return _STATUS_IN_TENSORFLOW.get(type(error), status) if dialect is Dialect.TENSORFLOW else status


def problem(error: ServiceError, *, request_id: str, lesson: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of the answer; a detail about our insides is withheld.

    Args:
        error: what happened.
        request_id: the request's.
        lesson: more members, which show what would have been right.
    """
    body: dict[str, Any] = {
        "type": f"{DOCUMENTATION}#{error.code}",
        "title": error.title,
        "status": status_of(error),
        "detail": _WITHHELD if error.is_private else error.detail,
        "instance": request_id,
        "code": error.code,
    }
    if error.violations:
        body["violations"] = [asdict(violation) for violation in error.violations]
    if error.differences:
        body["differences"] = [asdict(difference) for difference in error.differences]
    return {**body, **(lesson or {})}


def in_one_line(error: ServiceError, *, lesson: Mapping[str, Any] | None = None) -> str:
    """Return what other protocols have a single text for: the code, its faults or its detail, and what is right."""
    detail = [] if error.violations else [_WITHHELD if error.is_private else error.detail]
    faults = [
        f"{violation.path or '/'}: expected {violation.expected}, received {violation.received} ({violation.code})"
        for violation in error.violations[:_MOST_SAID]
    ]
    if len(error.violations) > _MOST_SAID:
        faults.append(f"and {len(error.violations) - _MOST_SAID} more")
    return f"{error.code}: {'; '.join([*detail, *faults, *_said(lesson)])}"


def _said(lesson: Mapping[str, Any] | None) -> Iterator[str]:
    if lesson and "example" in lesson:
        yield f"this body would be taken: {orjson.dumps(lesson['example']).decode()}"
    elif lesson:
        yield f"GET {lesson['example_url']} shows a request that would be taken"


def header_lines(headers: Headers) -> bytes:
    """Return headers as HTTP/1.1 writes them, each with the end of its line."""
    return b"".join([part for name, value in headers for part in (name, b": ", value, b"\r\n")])


def problem_answer(
    error: ServiceError,
    *,
    request_id: str,
    dialect: Dialect = Dialect.NATIVE,
    lesson: Mapping[str, Any] | None = None,
) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of the answer to a request that met ``error``, in the words of its dialect."""
    if dialect is Dialect.NATIVE:
        content_type = b"application/problem+json"
        body = orjson.dumps(problem(error, request_id=request_id, lesson=lesson))
    else:
        content_type, body = b"application/json", orjson.dumps({"error": in_one_line(error, lesson=lesson)})
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    status = status_of(error, dialect)
    if isinstance(error, errors.Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    wait = error.retry_after_seconds
    if wait is None and status in (429, 503):
        wait = _RETRY_AFTER_SECONDS
    if wait is not None:
        headers.append((b"retry-after", str(wait).encode()))
    return status, headers, body


def all_errors() -> Iterator[type[ServiceError]]:
    """Yield every class of the tree below the root."""
    stack: list[type[ServiceError]] = [ServiceError]
    while stack:
        for child in stack.pop().__subclasses__():
            stack.append(child)
            yield child
