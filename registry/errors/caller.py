"""What the caller must change in the request."""

from collections.abc import Sequence

from registry.errors.service_error import ServiceError, Violation


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


class MalformedTensors(CallerError):
    """The body is not the file of tensors that its Content-Type says."""

    code = "malformed_tensors"
    title = "The body is not what its content type says"


class InvalidRequest(CallerError):
    """A field of a control-plane request is missing, unknown or malformed."""

    code = "invalid_request"
    title = "The request is malformed"


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


class NotAcceptable(CallerError):
    """The answer cannot be written in any form that the Accept header names."""

    code = "not_acceptable"
    title = "The answer has no such form"


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
        super().__init__(
            f"{first.path or 'the body'}: expected {first.expected}, received {first.received}{more}",
            violations=violations,
        )
        self.code = first.code  # the one leaf whose code depends on what was wrong


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


class DigestMismatch(CallerError):
    """The bytes do not have the digest that the caller announced."""

    code = "digest_mismatch"
    title = "The bytes do not match the announced digest"


class UrlNotAllowed(CallerError):
    """A webhook was to tell events to a place that none may go to."""

    code = "url_not_allowed"
    title = "The URL is not allowed"


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
