"""One table from everything that can go wrong to what a script learns."""

from typing import Any

import pytest

from gateway.cli.exits import CommandFailed, ExitCode, document_of, exit_code_of, exit_code_of_problem, lines_of
from gateway.client import ApiError, ClientError, ConnectionFailed, ConversionMismatch, UnusableArgument
from registry import errors


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "invalid_json", 2),
        (401, "unauthenticated", 3),
        (403, "foreign_origin", 3),
        (404, "model_not_found", 4),
        (405, "method_not_allowed", 2),
        (408, "request_timeout", 75),
        (409, "breaking_signature", 5),
        (410, "version_retired", 4),
        (413, "too_large", 2),
        (415, "unsupported_format", 2),
        (422, "invalid_shape", 2),
        (429, "overloaded", 75),
        (500, "internal_error", 1),
        (502, "http_502", 75),
        (502, "not_a_gateway", 1),
        (503, "registry_busy", 75),
        (503, "model_load_failed", 1),
        (503, "schema_mismatch", 1),
        (503, "artifact_missing", 1),
        (503, "artifact_corrupt", 1),
        (504, "predict_timeout", 75),
        (507, "insufficient_storage", 75),
        (302, "http_302", 1),
    ],
)
def test_a_problem_has_an_exit_code(status: int, code: str, exit_code: int) -> None:
    assert exit_code_of_problem(status, code) == exit_code
    assert exit_code_of(ApiError(status=status, document={"code": code})) == exit_code


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.InvalidName("x"), 2),
        (errors.ForeignOrigin("x"), 3),
        (errors.VersionRetired("x"), 4),
        (errors.GenerationConflict("x"), 5),
        (errors.RegistryBusy("x"), 75),
        (errors.LoadFailed("x"), 1),
        (errors.SchemaMismatch("x"), 1),
        (errors.ServiceError("x"), 1),
        (ConnectionFailed("x"), 75),
        (ConnectionFailed("x", may_have_arrived=True), 75),
        (ConnectionFailed("x", may_have_arrived=True, is_outcome_unknown=True), 1),
        (UnusableArgument("x"), 2),
        (ConversionMismatch(reference="m:1", output="y", largest_difference=1.0, detail="x"), 1),
        (FileNotFoundError(2, "No such file or directory", "x"), 2),
        (OSError(28, "No space left on device"), 1),
        (CommandFailed(ExitCode.TRY_AGAIN, code="c", title="t", detail="d"), 75),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_of_this_process_has_the_exit_code_that_it_would_have_over_http(
    error: Exception, exit_code: int
) -> None:
    assert exit_code_of(error) == exit_code


def test_every_family_of_the_tree_is_mapped() -> None:
    from gateway.cli.exits import EXIT_OF_FAMILY

    assert set(EXIT_OF_FAMILY) == set(errors.ServiceError.__subclasses__())


@pytest.mark.parametrize(
    ("error", "document"),
    [
        (
            ApiError(status=404, document={"title": "There is no such model", "code": "model_not_found"}),
            {"title": "There is no such model", "status": 404, "code": "model_not_found"},
        ),
        (
            errors.BreakingSignature(
                "It would.", differences=[errors.Difference(path="inputs/x", before="a", after="absent")]
            ),
            {
                "title": "The promotion would break callers",
                "detail": "It would.",
                "code": "breaking_signature",
                "differences": [{"path": "inputs/x", "before": "a", "after": "absent"}],
            },
        ),
        (
            PermissionError(13, "Permission denied", "a.onnx"),
            {"title": "A file cannot be used", "detail": "a.onnx: Permission denied", "code": "file_error"},
        ),
        (
            OSError(28, "No space left on device"),
            {"title": "The output cannot be written", "detail": "No space left on device", "code": "output_error"},
        ),
        (
            ConnectionFailed("no gateway answered at http://h: timed out", is_outcome_unknown=True),
            {
                "title": "Whether it was done is not known",
                "detail": "no gateway answered at http://h: timed out. Look first: a move that was made is in  "
                "sardonyx history NAME",
                "code": "outcome_unknown",
            },
        ),
        (
            ConnectionFailed("no gateway answered at http://h: Connection refused"),
            {
                "title": "No gateway answers",
                "detail": "no gateway answered at http://h: Connection refused",
                "code": "connection_failed",
            },
        ),
    ],
    ids=["over HTTP", "in this process", "a file", "the output", "an answer that was lost", "nobody"],
)
def test_every_error_is_a_problem(error: Exception, document: dict[str, Any]) -> None:
    assert document_of(error) == document


def test_every_error_of_the_client_is_understood() -> None:
    assert exit_code_of(ClientError("x")) == ExitCode.FAILED
    assert document_of(ClientError("x"))["detail"] == "x"


def test_words_name_every_fault() -> None:
    document = {
        "title": "The body does not fit",
        "detail": "two faults",
        "code": "invalid_shape",
        "instance": "r-1",
        "violations": [
            {"path": "/inputs/x", "expected": "float32[4]", "received": "float32[3]", "code": "invalid_shape"},
            {"path": "/inputs/y", "expected": "nothing", "received": "y", "code": "unknown_input"},
        ],
        "differences": [{"path": "inputs/x/dtype", "before": "float32", "after": "int64"}],
    }

    assert list(lines_of(document)) == [
        "Error: The body does not fit (invalid_shape)",
        "  two faults",
        "  - /inputs/x: expected float32[4], received float32[3] (invalid_shape)",
        "  - /inputs/y: expected nothing, received y (unknown_input)",
        "  - inputs/x/dtype: float32 becomes int64",
        "  request id r-1",
    ]
