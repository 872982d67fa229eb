"""What somebody finds who reads the registry's files, or asks a gateway in trouble: nothing to go on with."""

import math
from pathlib import Path

import pytest

from gateway.rpc.statuses import message_of
from gateway.web.problems import STATUS, problem
from registry import credentials
from registry.credentials import draw_credential, parse_credential
from registry.errors import ServiceError
from registry.roles import Role
from registry.tokens import Tokens
from tests.support.registries import HandClock, fresh_registry, make_sqlite_database

INSIDE = "/var/lib/sardonyx/store/ab: SELECT secret_sha256 FROM tokens; Traceback (most recent call last)"


def octets_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


PRIVATE = [error for error in STATUS if error.is_private]


def test_a_tokens_secret_is_in_no_file_of_the_registry(tmp_path: Path) -> None:
    with fresh_registry(tmp_path, make_sqlite_database) as registry:
        credential = parse_credential(Tokens(registry, HandClock()).create("ada", Role.ADMIN, actor="ada").text)
        assert credential is not None
        found = octets_below(tmp_path)
    assert [text.encode() in found for text in (credential.id, credential.secret_sha256, credential.secret)] == [
        True,
        True,
        False,
    ]


def test_a_secret_has_160_random_bits_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_from: list[str] = []

    def choose(signs: str) -> str:
        drawn_from.append(signs)
        return signs[0]

    monkeypatch.setattr(credentials.secrets, "choice", choose)
    secret = draw_credential().secret
    bits = sum(math.log2(len(set(signs))) for signs in drawn_from[-len(secret) :])
    assert bits >= 160


def test_there_are_errors_about_our_insides() -> None:
    assert {"internal_error", "artifact_corrupt", "artifact_missing"} <= {error.code for error in PRIVATE}


@pytest.mark.parametrize("error", PRIVATE, ids=lambda error: error.code)
def test_what_went_wrong_inside_is_told_by_a_code_and_the_requests_id_alone(error: type[ServiceError]) -> None:
    body = problem(error(INSIDE), request_id="q-1")
    assert body == {
        "type": f"/docs/problems#{error.code}",
        "title": error.title,
        "status": STATUS[error],
        "code": error.code,
        "detail": "Nothing in the request has to change. The operator finds the cause in the log by this request id.",
        "instance": "q-1",
    }
    assert INSIDE not in message_of(error(INSIDE))
