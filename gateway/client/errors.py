"""What can go wrong for whoever calls a gateway.

ClientError
├── ApiError             the gateway answered with a problem (RFC 9457)
├── ConnectionFailed     no gateway answered
├── ConversionMismatch   the registered model does not answer as the original does
└── UnusableArgument     the thing given cannot become ONNX files, or a reference is malformed
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_DETAIL_LIMIT = 300


class ClientError(Exception):
    """Everything that the client raises of its own; never raised itself."""


class ConnectionFailed(ClientError):  # noqa: N818 - the name says what happened
    """No gateway answered at the address."""


class UnusableArgument(ClientError, ValueError):  # noqa: N818 - the name says what happened
    """What was given is not something that can be registered or called; the message says what would be."""


class ConversionMismatch(ClientError):  # noqa: N818 - the name says what happened
    """The converted model, called through the gateway, differs from the original on the example.

    The version stays registered, so that it can be looked at; it is not promoted by this.
    """

    def __init__(self, *, reference: str, output: str, largest_difference: float | None, detail: str) -> None:
        super().__init__(f"{reference} does not answer as the original does: output {output}: {detail}")
        self.reference = reference
        self.output = output
        self.largest_difference = largest_difference


class ApiError(ClientError):
    """The gateway refused or failed, and said why.

    ``document`` is the problem as it came, with ``status`` and ``code`` filled in where an intermediary answered in
    the gateway's stead.
    """

    def __init__(self, *, status: int, document: Mapping[str, Any], retry_after_seconds: float | None = None) -> None:
        self.document: Mapping[str, Any] = {"status": status, "code": f"http_{status}", **document}
        self.status = status
        self.code = str(self.document["code"])
        self.title = str(document.get("title") or "The gateway refused the request")
        self.detail = str(document.get("detail") or "")
        self.request_id: str | None = document.get("instance")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(": ".join(part for part in (self.title, self.detail) if part))

    @property
    def violations(self) -> Sequence[Mapping[str, Any]]:
        """Every fault of the body: ``path``, ``expected``, ``received``, ``code``."""
        return self.document.get("violations") or ()

    @property
    def differences(self) -> Sequence[Mapping[str, Any]]:
        """Every breaking difference of a promotion: ``path``, ``before``, ``after``."""
        return self.document.get("differences") or ()

    @property
    def example(self) -> Mapping[str, Any] | None:
        """A body that would have been taken, where a predict body was refused and one is small enough to be shown."""
        found = self.document.get("example")
        return found if isinstance(found, dict) else None


def api_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error of an answer, whoever wrote its body; header names are lower-case."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        text = body[: 4 * _DETAIL_LIMIT].decode("utf-8", "replace").strip()
        document = {"title": f"The server answered {status}", "detail": text[:_DETAIL_LIMIT]}
    return ApiError(status=status, document=document, retry_after_seconds=_seconds(headers.get("retry-after")))


def _seconds(text: str | None) -> float | None:
    """Read Retry-After where it is a number; its other form, a date, is not worth a clock."""
    return float(text) if text is not None and text.isdecimal() else None
