"""What refusals teach, in the words of each dialect."""

from typing import Any

import orjson
import pytest

from gateway.metrics import Metrics
from gateway.web.endpoint import Endpoint, EndpointFactory
from gateway.web.lessons import lesson_of
from gateway.web.paths import Dialect
from gateway.web.problems import problem_answer
from registry.errors import ServiceError, SignatureMismatch, UndecodableBody, UnsupportedMediaType, Violation
from registry.tensor import DTYPES, TensorSpec
from tests.support.serving_models import make_version

MISSING = SignatureMismatch(
    [Violation(path="/inputs/x", expected="float32[n, 4]", received="nothing", code="missing_input")]
)


def endpoint(shape: tuple[int | str, ...] = ("n", 4), dtype: str = "float32") -> Endpoint:
    spec = TensorSpec(name="x", dtype=DTYPES[dtype], shape=shape)
    return EndpointFactory(Metrics())(make_version("iris", 3, inputs=[spec]))


def told(error: ServiceError, dialect: Dialect, asked: Endpoint) -> Any:
    lesson = lesson_of(error, asked, dialect)
    return orjson.loads(problem_answer(error, request_id="r", dialect=dialect, lesson=lesson)[2])


def test_a_problem_has_a_body_that_would_be_taken() -> None:
    assert told(MISSING, Dialect.NATIVE, endpoint())["example"] == {"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}}


@pytest.mark.parametrize(
    ("dialect", "example"),
    [
        (
            Dialect.OPEN_INFERENCE,
            '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.5,0.5,0.5,0.5]}]}',
        ),
        (Dialect.TENSORFLOW, '{"instances":[[0.5,0.5,0.5,0.5]]}'),
    ],
)
def test_the_text_of_other_protocols_ends_with_one(dialect: Dialect, example: str) -> None:
    assert told(MISSING, dialect, endpoint()) == {
        "error": "missing_input: /inputs/x: expected float32[n, 4], received nothing (missing_input); "
        f"this body would be taken: {example}"
    }


def test_what_is_too_large_to_be_shown_is_pointed_to() -> None:
    large = endpoint(("n", 2000))
    assert told(MISSING, Dialect.NATIVE, large)["example_url"] == "/registry/models/iris/versions/3/snippets"
    assert told(MISSING, Dialect.OPEN_INFERENCE, large)["error"].endswith(
        "; GET /registry/models/iris/versions/3/snippets shows a request that would be taken"
    )


def test_what_a_protocol_cannot_spell_is_pointed_to() -> None:
    lesson = lesson_of(MISSING, endpoint(dtype="float8_e5m2"), Dialect.OPEN_INFERENCE)
    assert lesson == {"example_url": "/registry/models/iris/versions/3/snippets"}


def test_a_body_is_made_once_for_each_version_and_dialect() -> None:
    asked = endpoint()
    lessons = [lesson_of(error, asked, Dialect.NATIVE) for error in (MISSING, UndecodableBody("no JSON"))]
    assert lessons[0] is lessons[1]


@pytest.mark.parametrize(
    ("error", "asked"),
    [(MISSING, None), (UnsupportedMediaType("text"), endpoint())],
    ids=["no version", "another fault"],
)
def test_other_refusals_teach_nothing(error: ServiceError, asked: Endpoint | None) -> None:
    assert lesson_of(error, asked, Dialect.NATIVE) is None
