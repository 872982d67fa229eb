"""The soak is worth something only if it notices a wrong answer."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from bench.http_connection import Answer
from bench.soak_judgement import Judge
from bench.soak_models import SoakVersion

OUTPUT = np.array([[0.1, -0.0, 1e38]], np.float32)
VERSIONS = [
    SoakVersion(
        model="soak-0",
        number=number,
        path=Path("unused.onnx"),
        digest=f"sha256:{number}",
        answers=((OUTPUT * number).tobytes(),),
    )
    for number in (1, 2)
]
HEADERS = {"x-model-version": "1", "x-model-digest": "sha256:1"}
BODY = {"model": "soak-0", "version": 1, "outputs": {"t2": OUTPUT.tolist()}}


def _judge(status: int, headers: dict[str, str], body: dict[str, object]) -> str | None:
    return Judge(VERSIONS).fault(Answer(status, headers, orjson.dumps(body)), "soak-0", 0)


def test_a_right_answer_passes() -> None:
    assert _judge(200, HEADERS, BODY) is None


WRONG = {
    "another status": (503, HEADERS, BODY),
    "the bits of the other version": (200, HEADERS, {**BODY, "outputs": {"t2": (OUTPUT * 2).tolist()}}),
    "one bit off": (200, HEADERS, {**BODY, "outputs": {"t2": [[0.1, 0.0, 1e38]]}}),
    "the other version's number": (200, HEADERS, {**BODY, "version": 2}),
    "a version that there is not": (200, HEADERS, {**BODY, "version": 3}),
    "another model's answer": (200, HEADERS, {**BODY, "model": "soak-1"}),
    "another digest": (200, {**HEADERS, "x-model-digest": "sha256:2"}, BODY),
    "no outputs": (200, HEADERS, {"model": "soak-0", "version": 1}),
    "no version header": (200, {"x-model-digest": "sha256:1"}, BODY),
}


@pytest.mark.parametrize(("status", "headers", "body"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_answer_is_noticed(status: int, headers: dict[str, str], body: dict[str, object]) -> None:
    assert _judge(status, headers, body) is not None


def test_a_version_that_came_meanwhile_is_judged_too() -> None:
    judge = Judge(VERSIONS[1:])
    judge.add(VERSIONS[0])
    assert judge.fault(Answer(200, HEADERS, orjson.dumps(BODY)), "soak-0", 0) is None
