"""The one tree of errors, by who must act.

    ServiceError
    ├── CallerError        change the request
    │   ├── UndecodableBody        invalid_json, json_too_deep, invalid_number, duplicate_key
    │   ├── MalformedTensors       malformed_tensors: the body is no npy, npz or safetensors
    │   ├── InvalidRequest         invalid_request: a control-plane field is missing or malformed
    │   ├── InvalidName            invalid_name
    │   ├── InvalidHost            invalid_host
    │   ├── BodyTooLarge           too_large
    │   ├── UnsupportedEncoding    unsupported_encoding
    │   ├── UnsupportedMediaType   unsupported_media_type
    │   ├── NotAcceptable          not_acceptable
    │   ├── UnsupportedFormat      unsupported_format
    │   ├── MethodNotAllowed       method_not_allowed
    │   ├── SignatureMismatch      the code of its first violation
    │   ├── InvalidArtifact        the reason the file was refused
    │   ├── DigestMismatch         digest_mismatch
    │   ├── SourceNotAllowed       source_not_allowed
    │   ├── UrlNotAllowed          url_not_allowed
    │   ├── RunFailed              model_execution_failed
    │   └── OutputNotText          model_output_not_text
    ├── AccessError        get rights
    │   ├── Unauthenticated        unauthenticated
    │   ├── Forbidden              forbidden
    │   ├── TooManyAttempts        too_many_attempts
    │   └── ForeignOrigin          foreign_origin
    ├── NotFound           look elsewhere
    │   ├── RouteNotFound, ModelNotFound, VersionNotFound, AliasNotFound, FileNotInVersion, BlobNotFound, TokenNotFound
    │   ├── SourceNotFound, UploadNotFound, WebhookNotFound, DeliveryNotFound
    │   ├── ServedElsewhere        served_elsewhere: by a process of another role
    │   └── VersionRetired         version_retired
    ├── Conflict           look again
    │   ├── NoActiveVersion, NoPreviousVersion, GenerationConflict
    │   ├── BreakingSignature, VersionActive, NotPromotable
    │   ├── ModelUnloaded, ModelPinned, TooManyWebhooks
    │   └── SourceChanged, NoDirectUploads, InputStatisticsOff
    ├── Busy               come back later
    │   ├── Overloaded, DeadlinePassed, RequestTimeout, InsufficientMemory, Draining
    │   ├── LoadFailed             model_load_failed, until its back-off has passed
    │   ├── ModelCrashed, ModelOutOfMemory
    │   └── StorageUnavailable, InsufficientStorage, RegistryUnavailable, RegistryBusy
    └── Fault              an operator must act
        └── ArtifactMissing, ArtifactCorrupt, ModelQuarantined, SchemaMismatch, InternalError

A leaf carries a stable ``code``, typed fields and a message made from them. It knows neither an HTTP status nor an
exit code: ``gateway.web.problems`` maps the tree to the one, ``gateway.cli`` maps statuses to the other.
"""

from registry.errors.absent import (
    AliasNotFound,
    BlobNotFound,
    DeliveryNotFound,
    FileNotInVersion,
    ModelNotFound,
    NotFound,
    RouteNotFound,
    ServedElsewhere,
    SourceNotFound,
    TokenNotFound,
    UploadNotFound,
    VersionNotFound,
    VersionRetired,
    WebhookNotFound,
)
from registry.errors.access import (
    AccessError,
    Forbidden,
    ForeignOrigin,
    TooManyAttempts,
    Unauthenticated,
)
from registry.errors.busy import (
    Busy,
    DeadlinePassed,
    Draining,
    InsufficientMemory,
    InsufficientStorage,
    LoadFailed,
    ModelCrashed,
    ModelOutOfMemory,
    Overloaded,
    RegistryBusy,
    RegistryUnavailable,
    RequestTimeout,
    StorageUnavailable,
)
from registry.errors.caller import (
    BodyTooLarge,
    CallerError,
    DigestMismatch,
    DuplicateKey,
    ExamplesDiffer,
    HeadTooLarge,
    InvalidArtifact,
    InvalidHost,
    InvalidName,
    InvalidNumber,
    InvalidRequest,
    JsonTooDeep,
    MalformedRequest,
    MalformedTensors,
    MethodNotAllowed,
    NotAcceptable,
    OutputNotText,
    RunFailed,
    SignatureMismatch,
    SourceNotAllowed,
    TooManyElements,
    UndecodableBody,
    UnsupportedEncoding,
    UnsupportedFormat,
    UnsupportedMediaType,
    UrlNotAllowed,
)
from registry.errors.conflict import (
    BreakingSignature,
    Conflict,
    GenerationConflict,
    InputStatisticsOff,
    ModelPinned,
    ModelUnloaded,
    NoActiveVersion,
    NoDirectUploads,
    NoPreviousVersion,
    NotPromotable,
    RehearsalFailed,
    SourceChanged,
    TooManyWebhooks,
    VersionActive,
)
from registry.errors.fault import (
    ArtifactCorrupt,
    ArtifactMissing,
    Fault,
    InternalError,
    ModelQuarantined,
    SchemaMismatch,
)
from registry.errors.service_error import (
    Difference,
    ServiceError,
    Violation,
)

__all__ = [
    "AccessError",
    "AliasNotFound",
    "ArtifactCorrupt",
    "ArtifactMissing",
    "BlobNotFound",
    "BodyTooLarge",
    "BreakingSignature",
    "Busy",
    "CallerError",
    "Conflict",
    "DeadlinePassed",
    "DeliveryNotFound",
    "Difference",
    "DigestMismatch",
    "Draining",
    "DuplicateKey",
    "ExamplesDiffer",
    "Fault",
    "FileNotInVersion",
    "Forbidden",
    "ForeignOrigin",
    "GenerationConflict",
    "HeadTooLarge",
    "InputStatisticsOff",
    "InsufficientMemory",
    "InsufficientStorage",
    "InternalError",
    "InvalidArtifact",
    "InvalidHost",
    "InvalidName",
    "InvalidNumber",
    "InvalidRequest",
    "JsonTooDeep",
    "LoadFailed",
    "MalformedRequest",
    "MalformedTensors",
    "MethodNotAllowed",
    "ModelCrashed",
    "ModelNotFound",
    "ModelOutOfMemory",
    "ModelPinned",
    "ModelQuarantined",
    "ModelUnloaded",
    "NoActiveVersion",
    "NoDirectUploads",
    "NoPreviousVersion",
    "NotAcceptable",
    "NotFound",
    "NotPromotable",
    "OutputNotText",
    "Overloaded",
    "RegistryBusy",
    "RegistryUnavailable",
    "RehearsalFailed",
    "RequestTimeout",
    "RouteNotFound",
    "RunFailed",
    "SchemaMismatch",
    "ServedElsewhere",
    "ServiceError",
    "SignatureMismatch",
    "SourceChanged",
    "SourceNotAllowed",
    "SourceNotFound",
    "StorageUnavailable",
    "TokenNotFound",
    "TooManyAttempts",
    "TooManyElements",
    "TooManyWebhooks",
    "Unauthenticated",
    "UndecodableBody",
    "UnsupportedEncoding",
    "UnsupportedFormat",
    "UnsupportedMediaType",
    "UploadNotFound",
    "UrlNotAllowed",
    "VersionActive",
    "VersionNotFound",
    "VersionRetired",
    "Violation",
    "WebhookNotFound",
]
