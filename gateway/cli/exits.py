"""Exit codes, and errors as words or as JSON.

1. Everything that goes wrong becomes a problem: a status, a code, a title and a detail, as over HTTP.
2. One table maps problems to exit codes; the code of a problem goes before its status, since some that HTTP calls
   temporary (a model that does not load, a schema of another version) need somebody to act.
3. Whatever may have changed something without saying so is not for another try: it exits as a failure, and somebody
   looks first.
4. What is not in these lists is a bug: it is not caught, and Python shows where it is.
"""

import json
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from gateway.client.errors import ApiError, ClientError, ConnectionFailed, UnusableArgument
from registry import errors
from registry.errors import ServiceError


class ExitCode(IntEnum):
    """What a script learns from a command."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    NOT_ALLOWED = 3
    NOT_FOUND = 4
    CONFLICT = 5
    TRY_AGAIN = 75


EXIT_OF_CODE: Mapping[str, ExitCode] = {
    "model_load_failed": ExitCode.FAILED,
    "rehearsal_failed": ExitCode.FAILED,
    "artifact_missing": ExitCode.FAILED,
    "artifact_corrupt": ExitCode.FAILED,
    "schema_mismatch": ExitCode.FAILED,
    "not_a_gateway": ExitCode.FAILED,
}

EXIT_OF_STATUS: Mapping[int, ExitCode] = {
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    410: ExitCode.NOT_FOUND,
    421: ExitCode.NOT_FOUND,
    408: ExitCode.TRY_AGAIN,
    409: ExitCode.CONFLICT,
    429: ExitCode.TRY_AGAIN,
    502: ExitCode.TRY_AGAIN,
    503: ExitCode.TRY_AGAIN,
    504: ExitCode.TRY_AGAIN,
    507: ExitCode.TRY_AGAIN,
}
"""Other statuses: 4xx is bad input, the rest a failure."""

EXIT_OF_FAMILY: Mapping[type[ServiceError], ExitCode] = {
    errors.CallerError: ExitCode.BAD_INPUT,
    errors.AccessError: ExitCode.NOT_ALLOWED,
    errors.NotFound: ExitCode.NOT_FOUND,
    errors.Conflict: ExitCode.CONFLICT,
    errors.Busy: ExitCode.TRY_AGAIN,
    errors.Fault: ExitCode.FAILED,
}
"""For errors that reach a command without HTTP in between."""


class CommandFailed(Exception):  # noqa: N818 - the name says what happened
    """A command found out by itself that it cannot go on, or what it was asked about is not well."""

    def __init__(self, exit_code: ExitCode, *, code: str, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.exit_code = exit_code
        self.document = {"title": title, "detail": detail, "code": code}


_LOOK = "Look first: a move that was made is in  sardonyx history NAME"

EXPECTED = (ClientError, ServiceError, CommandFailed, OSError)
"""What ``exit_code_of`` and ``document_of`` understand."""


def exit_code_of(error: Exception) -> ExitCode:
    """Return what the command ends with after one of the EXPECTED errors."""
    if isinstance(error, CommandFailed):
        return error.exit_code
    if isinstance(error, ClientError) and error.is_outcome_unknown:
        return ExitCode.FAILED
    if isinstance(error, ApiError):
        return exit_code_of_problem(error.status, error.code)
    if isinstance(error, ServiceError):
        family = next((exit_code for kind, exit_code in EXIT_OF_FAMILY.items() if isinstance(error, kind)), None)
        return EXIT_OF_CODE.get(error.code, family or ExitCode.FAILED)
    if isinstance(error, ConnectionFailed):
        return ExitCode.TRY_AGAIN
    is_input = isinstance(error, UnusableArgument) or (isinstance(error, OSError) and error.filename is not None)
    return ExitCode.BAD_INPUT if is_input else ExitCode.FAILED


def exit_code_of_problem(status: int, code: str) -> ExitCode:
    """Return what a command ends with that was answered with this problem."""
    by_default = ExitCode.BAD_INPUT if 400 <= status < 500 else ExitCode.FAILED  # noqa: PLR2004 - HTTP's families
    return EXIT_OF_CODE.get(code, EXIT_OF_STATUS.get(status, by_default))


def is_passing(error: ClientError) -> bool:
    """Tell whether the same question may be answered later: nobody is there, or it is busy."""
    if isinstance(error, ApiError):
        return EXIT_OF_STATUS.get(error.status) is ExitCode.TRY_AGAIN and error.code != "not_a_gateway"
    return isinstance(error, ConnectionFailed)


def document_of(error: Exception) -> Mapping[str, Any]:
    """Return one of the EXPECTED errors in the form of a problem."""
    if isinstance(error, ClientError) and error.is_outcome_unknown:
        return {"title": "Whether it was done is not known", "detail": f"{error}. {_LOOK}", "code": "outcome_unknown"}
    if isinstance(error, ApiError | CommandFailed):
        return error.document
    if isinstance(error, ServiceError):
        document = {"title": error.title, "detail": error.detail, "code": error.code}
        faults = {"violations": error.violations, "differences": error.differences}
        return {**document, **{name: [_fields(fault) for fault in found] for name, found in faults.items() if found}}
    if isinstance(error, ConnectionFailed):
        return {"title": "No gateway answers", "detail": str(error), "code": "connection_failed"}
    if isinstance(error, OSError):
        return _document_of_file(error)
    return {"title": "The command cannot go on", "detail": str(error), "code": "unusable"}


def _document_of_file(error: OSError) -> Mapping[str, Any]:
    words = error.strerror or str(error)
    if error.filename is None:  # a name would say which file was meant; without one it is where the results go
        return {"title": "The output cannot be written", "detail": words, "code": "output_error"}
    return {"title": "A file cannot be used", "detail": f"{error.filename}: {words}", "code": "file_error"}


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem as lines for people: what, why, and every fault."""
    yield f"Error: {document.get('title') or 'something went wrong'} ({document.get('code')})"
    if document.get("detail"):
        yield f"  {document['detail']}"
    for fault in document.get("violations") or ():
        yield f"  - {fault['path']}: expected {fault['expected']}, received {fault['received']} ({fault['code']})"
    yield from difference_lines(document.get("differences") or ())
    if document.get("example"):
        yield f"  this would be taken: {json.dumps(document['example'], ensure_ascii=False)}"
    if document.get("instance"):
        yield f"  request id {document['instance']}"


def difference_lines(differences: Any) -> Iterator[str]:
    """Yield the breaking differences of a promotion as lines for people."""
    for difference in differences:
        yield f"  - {difference['path']}: {difference['before']} becomes {difference['after']}"


def _fields(fault: Any) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in fault.__dataclass_fields__}
