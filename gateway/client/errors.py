"""What can go wrong for whoever calls a gateway.

ClientError
├── ApiError             the gateway answered with a problem (RFC 9457), by who must act
│   ├── CallerError          change the request
│   │   └── InputMismatch        the inputs do not fit the version's signature
│   ├── AccessError          get rights
│   ├── NotFound             look elsewhere
│   ├── Conflict             look again, then decide again
│   ├── Busy                 come back later, after ``retry_after_seconds`` if it says so
│   └── Fault                an operator must act
├── ConnectionFailed     no gateway answered
├── MoveNotFollowed      a move is made, but not every worker answers by it yet
├── ConversionMismatch   the registered model does not answer as the original does
└── UnusableArgument     the thing given cannot become ONNX files, or a reference is malformed
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from gateway.client.faults import Difference, Violation, differences_of, is_about_inputs, violations_of

_DETAIL_LIMIT = 300
_MOST_SHOWN = 5


class ClientError(Exception):
    """Everything that the client raises of its own; never raised itself.

    ``is_outcome_unknown`` is True where something was to be changed, and it is not known whether it was: doing it again
    could do it twice. Copies and goes to other processes whole.
    """

    is_outcome_unknown: bool = False

    @classmethod
    def _again(cls, *words: object) -> Self:
        return cls.__new__(cls, *words)

    def __reduce__(self) -> tuple[Any, ...]:
        """Say what makes it again: its words and its fields, not the arguments that it was made of."""
        return self._again, self.args, dict(self.__dict__)


class ConnectionFailed(ClientError):  # noqa: N818 - the name says what happened
    """No gateway answered at the address.

    ``may_have_arrived`` is False where nothing can have reached a gateway. Where it is True, the request may have been
    carried out, and only its answer was lost.
    """

    def __init__(self, message: str, *, may_have_arrived: bool = False, is_outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.may_have_arrived = may_have_arrived
        self.is_outcome_unknown = is_outcome_unknown


class UnusableArgument(ClientError, ValueError):  # noqa: N818 - the name says what happened
    """What was given is not something that can be registered or called; the message says what would be."""


class MoveNotFollowed(ClientError):  # noqa: N818 - the name says what happened
    """The move is made, but not every worker follows yet; ``workers`` names those that lagged when last seen.

    ``trouble`` says why nobody said how far the workers are at the end, if nobody did.
    """

    def __init__(self, workers: Sequence[str], *, trouble: str = "") -> None:
        found = "; ".join(part for part in (", ".join(workers), trouble) if part)
        super().__init__(f"the move is made, but not every worker follows yet: {found}")
        self.workers = workers
        self.trouble = trouble


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
    the gateway's stead. The message names the first faults.
    """

    def __init__(self, *, status: int, document: Mapping[str, Any], retry_after_seconds: float | None = None) -> None:
        self.document: Mapping[str, Any] = {"status": status, "code": f"http_{status}", **document}
        self.status = status
        self.code = str(self.document["code"])
        self.title = str(document.get("title") or "The gateway refused the request")
        self.detail = str(document.get("detail") or "")
        self.request_id: str | None = document.get("instance")
        self.retry_after_seconds = retry_after_seconds
        self.violations: Sequence[Violation] = violations_of(document.get("violations"))
        self.differences: Sequence[Difference] = differences_of(document.get("differences"))
        super().__init__("\n".join(self._lines()))

    @property
    def example(self) -> Mapping[str, Any] | None:
        """A body that would have been taken, where a predict body was refused and one is small enough to be shown."""
        found = self.document.get("example")
        return found if isinstance(found, dict) else None

    def _lines(self) -> Iterator[str]:
        faults = [*self.violations, *self.differences]
        if len(faults) < 2:  # noqa: PLR2004 - the detail names a single one
            yield ": ".join(part for part in (self.title, self.detail) if part)
            return
        yield f"{self.title}:"
        for fault in faults[:_MOST_SHOWN]:
            yield f"  {fault}"
        if len(faults) > _MOST_SHOWN:
            yield f"  and {len(faults) - _MOST_SHOWN} more"


class CallerError(ApiError):
    """The request has to change before it can succeed."""


class InputMismatch(CallerError):  # noqa: N818 - the name says what happened
    """The inputs do not fit what the version takes; ``violations`` name every fault.

    ``request_id`` is None where the client has found that out by itself, and nothing was sent.
    """


class AccessError(ApiError):
    """The token is missing, not good, or not good for this; or too many that were not good came from here."""


class NotFound(ApiError):  # noqa: N818 - the name says what happened
    """There is no such model, version, alias, file or token, or it was retired for good."""


class Conflict(ApiError):  # noqa: N818 - the name says what happened
    """It does not go together with how things are now: look again, then decide again."""


class Busy(ApiError):  # noqa: N818 - the name says what happened
    """The same request may succeed later."""


class Fault(ApiError):  # noqa: N818 - the name says what happened
    """Something has to be mended first; an operator finds it in the log under ``request_id``."""


_CLASS_OF_CODE: Mapping[str, type[ApiError]] = {
    "artifact_missing": Fault,
    "artifact_corrupt": Fault,
    "model_quarantined": Fault,
    "schema_mismatch": Fault,
    "not_a_gateway": Fault,
    "too_many_attempts": AccessError,
}
"""Codes whose status says something else than who must act."""

_CLASS_OF_STATUS: Mapping[int, type[ApiError]] = {
    401: AccessError,
    403: AccessError,
    404: NotFound,
    408: Busy,
    409: Conflict,
    410: NotFound,
    421: NotFound,
    429: Busy,
    502: Busy,
    503: Busy,
    504: Busy,
    507: Busy,
}
"""Other statuses: 4xx is the caller's, the rest a fault."""


def api_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error of an answer, whoever wrote its body; header names are lower-case."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        text = body[: 4 * _DETAIL_LIMIT].decode("utf-8", "replace").strip()
        document = {"title": f"The server answered {status}", "detail": text[:_DETAIL_LIMIT]}
    return problem(status, document, retry_after_seconds=_seconds(headers.get("retry-after")))


def is_of_an_intermediary(error: ApiError) -> bool:
    """Return whether somebody before the gateway got no answer out of it: 502, 503 or 504 without a gateway's code.

    The gateway may have done what it was asked all the same.
    """
    return error.status in (502, 503, 504) and error.code == f"http_{error.status}"


def problem(status: int, document: Mapping[str, Any], *, retry_after_seconds: float | None = None) -> ApiError:
    """Make the error of a problem, of the class that says who must act."""
    kind = _CLASS_OF_CODE.get(str(document.get("code"))) or _CLASS_OF_STATUS.get(status)
    if kind is None:
        kind = CallerError if 400 <= status < 500 else Fault  # noqa: PLR2004 - HTTP's families
    if kind is CallerError and any(map(is_about_inputs, violations_of(document.get("violations")))):
        kind = InputMismatch
    return kind(status=status, document=document, retry_after_seconds=retry_after_seconds)


def input_mismatch(violations: Sequence[Violation]) -> InputMismatch:
    """Make the error of inputs that were held against the signature here: in the words in which a gateway has it."""
    first, more = violations[0], len(violations) - 1
    document = {
        "title": "The inputs do not fit the model's signature",
        "detail": f"{first}" + (f" (and {more} more)" if more else ""),
        "code": first.code,
        "violations": [fault.as_json() for fault in violations],
    }
    return InputMismatch(status=422, document=document)


def _seconds(text: str | None) -> float | None:
    """Read Retry-After where it is a number; its other form, a date, is not worth a clock."""
    return float(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - a longer one is no wait
