"""What the tab key offers where the gateway takes too long."""

import json
import os
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from gateway.cli.entry import main
from tests.support.hostile_server import serving

Offers = Callable[[str], list[str]]


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offers:
    """Press the tab key behind ``sardonyx show``, with a gateway at a URL, and return what is offered."""

    def press(url: str) -> list[str]:
        shell = {"_SARDONYX_COMPLETE": "complete_bash", "COMP_WORDS": "sardonyx show ", "COMP_CWORD": "2"}
        for name, value in {**shell, "SARDONYX_URL": url}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            main([])
        printed = capsys.readouterr()
        assert (caught.value.code, printed.err) == (0, "")
        return printed.out.split()

    return press


def test_a_gateway_that_never_answers_is_not_waited_for(offers: Offers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.completion._PATIENCE_SECONDS", 0.05)
    has_given_up = threading.Event()
    was_in_time = []

    def answer(_: BaseHTTPRequestHandler) -> None:
        was_in_time.append(has_given_up.wait(60))

    with serving(answer) as (url, _):
        offered = offers(url)
        has_given_up.set()

    assert (offered, False in was_in_time) == ([], False)


def test_what_has_been_found_before_it_takes_too_long_is_offered(offers: Offers) -> None:
    has_given_up = threading.Event()

    def answer(asked: BaseHTTPRequestHandler) -> None:
        if "after=" in asked.path:
            os.kill(os.getpid(), signal.SIGALRM)  # as the patience does once it has run out
            has_given_up.wait(60)
            return
        body = json.dumps({"items": [{"name": "iris"}], "next": "iris"}).encode()
        asked.send_response(200)
        asked.send_header("content-type", "application/json")
        asked.send_header("content-length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)

    with serving(answer) as (url, seen):
        offered = offers(url)
        has_given_up.set()

    assert (offered, seen) == (["iris"], ["GET /registry/models", "GET /registry/models?after=iris"])
