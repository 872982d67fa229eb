"""The one tree of errors, by who must act.

    ServiceError
    ├── CallerError        change the request
    │   ├── UndecodableBody        invalid_json, json_too_deep, invalid_number, duplicate_key
    │   ├── InvalidRequest         invalid_request: a control-plane field is missing or malformed
    │   ├── InvalidName            invalid_name
    │   ├── InvalidHost            invalid_host
    │   ├── BodyTooLarge           too_large
    │   ├── UnsupportedEncoding    unsupported_encoding
    │   ├── UnsupportedMediaType   unsupported_media_type
    │   ├── UnsupportedFormat      unsupported_format
    │   ├── MethodNotAllowed       method_not_allowed
    │   ├── SignatureMismatch      the code of its first violation
    │   ├── InvalidArtifact        the reason the file was refused
    │   ├── DigestMismatch         digest_mismatch
    │   ├── SourceNotAllowed       source_not_allowed
    │   ├── RunFailed              model_execution_failed
    │   └── OutputNotText          model_output_not_text
    ├── AccessError        get rights
    │   ├── Unauthenticated        unauthenticated
    │   ├── Forbidden              forbidden
    │   ├── TooManyAttempts        too_many_attempts
    │   └── ForeignOrigin          foreign_origin
    ├── NotFound           look elsewhere
    │   ├── RouteNotFound, ModelNotFound, VersionNotFound, AliasNotFound, FileNotInVersion, BlobNotFound, TokenNotFound
    │   ├── SourceNotFound, UploadNotFound
    │   └── VersionRetired         version_retired
    ├── Conflict           look again
    │   ├── NoActiveVersion, NoPreviousVersion, GenerationConflict
    │   ├── BreakingSignature, VersionActive, NotPromotable
    │   └── SourceChanged, NoDirectUploads
    ├── Busy               come back later
    │   ├── Overloaded, DeadlinePassed, InsufficientMemory
    │   ├── LoadFailed             model_load_failed, until its back-off has passed
    │   └── StorageUnavailable, InsufficientStorage, RegistryUnavailable, RegistryBusy
    └── Fault              an operator must act
        └── ArtifactMissing, ArtifactCorrupt, SchemaMismatch, InternalError

A leaf carries a stable ``code``, typed fields and a message made from them. It knows neither an HTTP status nor an
exit code: ``gateway.web.problems`` maps the tree to the one, ``gateway.cli`` maps statuses to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One fault of a body: where it is, what belongs there, and what came."""

    path: str
    """JSON Pointer (RFC 6901) into the body, such as ``/inputs/x/0/2``."""
    expected: str
    received: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which a candidate's signature breaks the callers of the version it would replace."""

    path: str
    """Where in the signature, such as ``inputs/x/dtype``."""
    before: str
    after: str


class ServiceError(Exception):
    """Everything that Sardonyx refuses or cannot do; never raised itself."""

    code: str = "internal_error"
    is_private: bool = False
    """True if the detail is about our insides: for the log, never for the wire."""
    title: str = "Something went wrong"

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    @property
    def violations(self) -> Sequence[Violation]:
        """Every fault of the caller's body, where the error is about the body."""
        return ()

    @property
    def differences(self) -> Sequence[Difference]:
        """Every breaking difference, where the error is about a promotion."""
        return ()


# --- change the request -----------------------------------------------------------------------------------------------


class CallerError(ServiceError):
    """The caller must change the request."""


class UndecodableBody(CallerError):
    """The body is not strict JSON."""

    code = "invalid_json"
    title = "The body is not valid JSON"


class JsonTooDeep(UndecodableBody):
    """The body nests deeper than any tensor can."""

    code = "json_too_deep"
    title = "The body is nested too deeply"


class InvalidNumber(UndecodableBody):
    """A number that strict JSON does not have, or that is absurdly long."""

    code = "invalid_number"
    title = "The body holds a number that cannot be read"


class DuplicateKey(UndecodableBody):
    """An object names one key twice, so that readers would disagree about its value."""

    code = "duplicate_key"
    title = "The body names a key twice"


class InvalidRequest(CallerError):
    """A field of a control-plane request is missing, unknown or malformed."""

    code = "invalid_request"
    title = "The request is malformed"

    def __init__(self, detail: str, *, violations: Sequence[Violation] = ()) -> None:
        super().__init__(detail)
        self._violations = tuple(violations)

    @property
    def violations(self) -> Sequence[Violation]:
        """Every malformed field."""
        return self._violations


class InvalidName(CallerError):
    """A name that no model or alias can have."""

    code = "invalid_name"
    title = "The name is not allowed"


class InvalidHost(CallerError):
    """The Host header is not a host and an optional port."""

    code = "invalid_host"
    title = "The Host header is malformed"


class MalformedRequest(CallerError):
    """The bytes on the connection are not a request that can be read."""

    code = "malformed_request"
    title = "The request is not HTTP/1.1"


class HeadTooLarge(CallerError):
    """The request line and the headers pass their cap."""

    code = "head_too_large"
    title = "The request's headers are too large"


class BodyTooLarge(CallerError):
    """The body passes its cap, as sent or when inflated."""

    code = "too_large"
    title = "The body is too large"


class UnsupportedEncoding(CallerError):
    """A Content-Encoding other than gzip and identity."""

    code = "unsupported_encoding"
    title = "The content encoding is not supported"


class UnsupportedMediaType(CallerError):
    """A Content-Type that the route does not take."""

    code = "unsupported_media_type"
    title = "The content type is not supported"


class UnsupportedFormat(CallerError):
    """The uploaded bytes are an archive, a pickle or another runtime's format, not ONNX."""

    code = "unsupported_format"
    title = "The file is not an ONNX model"


class MethodNotAllowed(CallerError):
    """The route exists, but not for this method."""

    code = "method_not_allowed"
    title = "The method is not allowed here"


class SignatureMismatch(CallerError):
    """The body does not fit the version's signature; carries every violation."""

    code = "invalid_shape"
    title = "The body does not fit the model's signature"

    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.path or 'the body'}: expected {first.expected}, received {first.received}{more}")
        self._violations = tuple(violations)
        self.code = first.code  # the one leaf whose code depends on what was wrong

    @property
    def violations(self) -> Sequence[Violation]:
        """Every violation, in the order of the signature."""
        return self._violations


class TooManyElements(SignatureMismatch):
    """A tensor holds more elements than a request may bring."""

    code = "too_many_elements"
    title = "The request holds too many elements"


class InvalidArtifact(CallerError):
    """The uploaded files cannot be served; ``reason`` is the code, the detail says what to do."""

    code = "invalid_model"
    title = "The model cannot be registered"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = reason  # one class, as many codes as there are reasons to refuse a file


class ExamplesDiffer(CallerError):
    """A model does not give what its golden examples say; carries what differs."""

    code = "example_mismatch"
    title = "The model does not give what its examples say"

    def __init__(self, detail: str, *, violations: Sequence[Violation] = ()) -> None:
        super().__init__(detail)
        self._violations = tuple(violations)

    @property
    def violations(self) -> Sequence[Violation]:
        """Each output of each example that differs."""
        return self._violations


class DigestMismatch(CallerError):
    """The bytes do not have the digest that the caller announced."""

    code = "digest_mismatch"
    title = "The bytes do not match the announced digest"


class SourceNotAllowed(CallerError):
    """A version was to be read from a place that the operator has not allowed."""

    code = "source_not_allowed"
    title = "The source is not allowed"


class RunFailed(CallerError):
    """The runtime refused these inputs while running the model."""

    code = "model_execution_failed"
    title = "The model could not run on these inputs"


class OutputNotText(CallerError):
    """A string output is not UTF-8, so that JSON cannot carry it."""

    code = "model_output_not_text"
    title = "The model's output is not text"


# --- get rights -------------------------------------------------------------------------------------------------------


class AccessError(ServiceError):
    """The caller needs other rights."""


class Unauthenticated(AccessError):
    """No access token came with the request, or none that is good: the answer does not say which."""

    code = "unauthenticated"
    title = "A valid access token is needed"


class Forbidden(AccessError):
    """The token is good, but not for this."""

    code = "forbidden"
    title = "The access token does not allow this"


class TooManyAttempts(AccessError):
    """Too many requests without a good token came from one address."""

    code = "too_many_attempts"
    title = "Too many requests came without a valid access token"


class ForeignOrigin(AccessError):
    """Without tokens the gateway answers this machine's own programs only, never a web page of another origin."""

    code = "foreign_origin"
    title = "The request comes from a foreign origin"


# --- look elsewhere ---------------------------------------------------------------------------------------------------


class NotFound(ServiceError):
    """What was asked for is not there."""


class RouteNotFound(NotFound):
    """No route has this path."""

    code = "not_found"
    title = "There is nothing here"


class ModelNotFound(NotFound):
    """No model has this name."""

    code = "model_not_found"
    title = "There is no such model"


class VersionNotFound(NotFound):
    """The model has no version of this number."""

    code = "version_not_found"
    title = "There is no such version"


class AliasNotFound(NotFound):
    """The model has no alias of this name."""

    code = "alias_not_found"
    title = "There is no such alias"


class FileNotInVersion(NotFound):
    """The version has no file of this name."""

    code = "file_not_found"
    title = "There is no such file"


class BlobNotFound(NotFound):
    """A version was to be made of files that have not been uploaded."""

    code = "blob_not_found"
    title = "There are no such bytes"


class SourceNotFound(NotFound):
    """The object that a version was to be read from is not there, or the gateway may not read it."""

    code = "source_not_found"
    title = "There is no such source"


class UploadNotFound(NotFound):
    """Nothing was sent to the store under this digest."""

    code = "upload_not_found"
    title = "There is no such upload"


class TokenNotFound(NotFound):
    """No access token has this id."""

    code = "token_not_found"
    title = "There is no such access token"


class VersionRetired(NotFound):
    """The version was retired; its number will not be used again."""

    code = "version_retired"
    title = "The version is retired"


# --- look again -------------------------------------------------------------------------------------------------------


class Conflict(ServiceError):
    """The state is not what the caller thought."""


class NoActiveVersion(Conflict):
    """The alias points at nothing yet."""

    code = "no_active_version"
    title = "No version is promoted"


class NoPreviousVersion(Conflict):
    """There is no promotion left to roll back."""

    code = "no_previous_version"
    title = "There is nothing to roll back to"


class GenerationConflict(Conflict):
    """Somebody else moved the alias first."""

    code = "generation_conflict"
    title = "The alias has moved meanwhile"


class BreakingSignature(Conflict):
    """The candidate would break callers of the version that is live now."""

    code = "breaking_signature"
    title = "The promotion would break callers"

    def __init__(self, detail: str, differences: Sequence[Difference]) -> None:
        super().__init__(detail)
        self._differences = tuple(differences)

    @property
    def differences(self) -> Sequence[Difference]:
        """What callers of the live version would stumble over."""
        return self._differences


class VersionActive(Conflict):
    """An alias points at the version, so that it cannot be retired."""

    code = "version_active"
    title = "The version is in use"


class NotPromotable(Conflict):
    """The version exists but may not serve."""

    code = "version_not_promotable"
    title = "The version cannot be promoted"


class RehearsalFailed(NotPromotable):
    """The version did not load on trial, or did not give what its examples say; nothing has moved."""

    code = "rehearsal_failed"
    title = "The version failed its rehearsal"

    def __init__(self, detail: str, *, violations: Sequence[Violation] = ()) -> None:
        super().__init__(detail)
        self._violations = tuple(violations)

    @property
    def violations(self) -> Sequence[Violation]:
        """Each output of each example that differs."""
        return self._violations


class SourceChanged(Conflict):
    """Somebody wrote to the source while it was being read."""

    code = "source_changed"
    title = "The source has changed meanwhile"


class NoDirectUploads(Conflict):
    """The store is a folder, which nobody but the gateway can write to."""

    code = "no_direct_uploads"
    title = "The store takes no direct uploads"


# --- come back later --------------------------------------------------------------------------------------------------


class Busy(ServiceError):
    """The same request may succeed later."""


class Overloaded(Busy):
    """The version's queue is full."""

    code = "overloaded"
    title = "Too many requests are waiting"


class DeadlinePassed(Busy):
    """The answer was not there in time."""

    code = "predict_timeout"
    title = "The prediction took too long"


class InsufficientMemory(Busy):
    """The model does not fit into the memory budget."""

    code = "insufficient_memory"
    title = "There is not enough memory for the model"


class LoadFailed(Busy):
    """The model did not load; the failure is remembered for a while."""

    code = "model_load_failed"
    title = "The model could not be loaded"


class StorageUnavailable(Busy):
    """The artifact store does not answer."""

    code = "storage_unavailable"
    title = "The artifact store is unavailable"


class InsufficientStorage(Busy):
    """The disk is full."""

    code = "insufficient_storage"
    title = "There is not enough disk space"


class RegistryUnavailable(Busy):
    """The registry's database does not answer."""

    code = "registry_unavailable"
    title = "The registry is unavailable"


class RegistryBusy(Busy):
    """Another writer held the registry's database for too long."""

    code = "registry_busy"
    title = "The registry is busy"


# --- an operator must act ---------------------------------------------------------------------------------------------


class Fault(ServiceError):
    """Nobody outside can help."""

    is_private = True


class ArtifactMissing(Fault):
    """The store has lost the bytes of a version."""

    code = "artifact_missing"
    title = "The model's files are missing"


class ArtifactCorrupt(Fault):
    """The store's bytes do not have the digest that they were registered under."""

    code = "artifact_corrupt"
    title = "The model's files are damaged"


class SchemaMismatch(Fault):
    """The database's schema is older or newer than this code; the detail names both revisions."""

    is_private = False
    code = "schema_mismatch"
    title = "The database has another schema"


class InternalError(Fault):
    """A bug of ours."""

    code = "internal_error"
    title = "The gateway made a mistake"
