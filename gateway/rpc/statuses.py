"""The one place where errors become gRPC: a status for each class, and what goes with it."""

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from grpc import StatusCode  # type: ignore[import-untyped]  # it ships no types

from gateway.web.problems import in_one_line
from registry import errors
from registry.errors import ServiceError

STATUS_CODE: dict[type[ServiceError], StatusCode] = {
    errors.CallerError: StatusCode.INVALID_ARGUMENT,
    errors.UndecodableBody: StatusCode.INVALID_ARGUMENT,
    errors.JsonTooDeep: StatusCode.INVALID_ARGUMENT,
    errors.InvalidNumber: StatusCode.INVALID_ARGUMENT,
    errors.DuplicateKey: StatusCode.INVALID_ARGUMENT,
    errors.InvalidRequest: StatusCode.INVALID_ARGUMENT,
    errors.InvalidName: StatusCode.INVALID_ARGUMENT,
    errors.InvalidHost: StatusCode.INVALID_ARGUMENT,
    errors.MalformedRequest: StatusCode.INVALID_ARGUMENT,
    errors.HeadTooLarge: StatusCode.RESOURCE_EXHAUSTED,
    errors.BodyTooLarge: StatusCode.RESOURCE_EXHAUSTED,
    errors.UnsupportedEncoding: StatusCode.UNIMPLEMENTED,
    errors.UnsupportedMediaType: StatusCode.UNIMPLEMENTED,
    errors.NotAcceptable: StatusCode.UNIMPLEMENTED,
    errors.MalformedTensors: StatusCode.INVALID_ARGUMENT,
    errors.UnsupportedFormat: StatusCode.INVALID_ARGUMENT,
    errors.MethodNotAllowed: StatusCode.UNIMPLEMENTED,
    errors.SignatureMismatch: StatusCode.INVALID_ARGUMENT,
    errors.TooManyElements: StatusCode.INVALID_ARGUMENT,
    errors.InvalidArtifact: StatusCode.INVALID_ARGUMENT,
    errors.ExamplesDiffer: StatusCode.INVALID_ARGUMENT,
    errors.DigestMismatch: StatusCode.INVALID_ARGUMENT,
    errors.SourceNotAllowed: StatusCode.INVALID_ARGUMENT,
    errors.UrlNotAllowed: StatusCode.INVALID_ARGUMENT,
    errors.RunFailed: StatusCode.INVALID_ARGUMENT,
    errors.OutputNotText: StatusCode.INVALID_ARGUMENT,
    errors.AccessError: StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.Forbidden: StatusCode.PERMISSION_DENIED,
    errors.TooManyAttempts: StatusCode.RESOURCE_EXHAUSTED,
    errors.ForeignOrigin: StatusCode.PERMISSION_DENIED,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.RouteNotFound: StatusCode.UNIMPLEMENTED,
    errors.ServedElsewhere: StatusCode.UNIMPLEMENTED,
    errors.ModelNotFound: StatusCode.NOT_FOUND,
    errors.VersionNotFound: StatusCode.NOT_FOUND,
    errors.AliasNotFound: StatusCode.NOT_FOUND,
    errors.FileNotInVersion: StatusCode.NOT_FOUND,
    errors.BlobNotFound: StatusCode.NOT_FOUND,
    errors.SourceNotFound: StatusCode.NOT_FOUND,
    errors.UploadNotFound: StatusCode.NOT_FOUND,
    errors.TokenNotFound: StatusCode.NOT_FOUND,
    errors.WebhookNotFound: StatusCode.NOT_FOUND,
    errors.DeliveryNotFound: StatusCode.NOT_FOUND,
    errors.VersionRetired: StatusCode.NOT_FOUND,
    errors.Conflict: StatusCode.FAILED_PRECONDITION,
    errors.NoActiveVersion: StatusCode.FAILED_PRECONDITION,
    errors.ModelPinned: StatusCode.FAILED_PRECONDITION,
    errors.ModelUnloaded: StatusCode.FAILED_PRECONDITION,
    errors.NoPreviousVersion: StatusCode.FAILED_PRECONDITION,
    errors.GenerationConflict: StatusCode.FAILED_PRECONDITION,
    errors.BreakingSignature: StatusCode.FAILED_PRECONDITION,
    errors.VersionActive: StatusCode.FAILED_PRECONDITION,
    errors.NotPromotable: StatusCode.FAILED_PRECONDITION,
    errors.RehearsalFailed: StatusCode.FAILED_PRECONDITION,
    errors.SourceChanged: StatusCode.FAILED_PRECONDITION,
    errors.NoDirectUploads: StatusCode.FAILED_PRECONDITION,
    errors.InputStatisticsOff: StatusCode.FAILED_PRECONDITION,
    errors.TooManyWebhooks: StatusCode.FAILED_PRECONDITION,
    errors.Busy: StatusCode.UNAVAILABLE,
    errors.Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlinePassed: StatusCode.DEADLINE_EXCEEDED,
    errors.RequestTimeout: StatusCode.DEADLINE_EXCEEDED,
    errors.Draining: StatusCode.UNAVAILABLE,
    errors.InsufficientMemory: StatusCode.UNAVAILABLE,
    errors.LoadFailed: StatusCode.UNAVAILABLE,
    errors.ModelCrashed: StatusCode.UNAVAILABLE,
    errors.ModelOutOfMemory: StatusCode.UNAVAILABLE,
    errors.StorageUnavailable: StatusCode.UNAVAILABLE,
    errors.InsufficientStorage: StatusCode.RESOURCE_EXHAUSTED,
    errors.RegistryUnavailable: StatusCode.UNAVAILABLE,
    errors.RegistryBusy: StatusCode.UNAVAILABLE,
    errors.Fault: StatusCode.INTERNAL,
    errors.ArtifactMissing: StatusCode.UNAVAILABLE,
    errors.ArtifactCorrupt: StatusCode.UNAVAILABLE,
    errors.ModelQuarantined: StatusCode.UNAVAILABLE,
    errors.SchemaMismatch: StatusCode.UNAVAILABLE,
    errors.InternalError: StatusCode.INTERNAL,
}
"""Every class of the tree; a test keeps it complete."""

_LONGEST_MESSAGE: Final = 4000
"""Bytes of a message as it is escaped on the way: clients take 8 KiB of metadata in all, and drop a call with more."""

_UNESCAPED: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def message_of(error: ServiceError) -> str:
    """Return the message of an error's status: what the caller has to know, in one line that is not too long."""
    text = in_one_line(error)
    escaped = quote(text, safe=_UNESCAPED)
    if len(escaped) <= _LONGEST_MESSAGE:
        return text
    kept = escaped[: _LONGEST_MESSAGE - len("...")]
    cut_through = kept.rfind("%", len(kept) - 2)
    whole = kept if cut_through < 0 else kept[:cut_through]
    return unquote_to_bytes(whole).decode("utf-8", "ignore") + "..."
