"""One attempt to send, against real servers that fail, hang, redirect, and never stop answering."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.webhooks.addresses import Places
from gateway.webhooks.sending import Sender
from registry.webhook import Cause, Outcome
from tests.support.gateway_process import fixed_port
from tests.support.receiver import (
    Behaviour,
    Receiver,
    answer,
    body_without_end,
    drip,
    flood,
    hang,
    nonsense,
    running_receiver,
    slam,
)

ANYWHERE = Places(are_private_allowed=True)
SHORT_SECONDS = 0.4


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def send(url: str, *, places: Places = ANYWHERE, whole_seconds: float = 10.0) -> Outcome:
    """Send, and return what became of it but for the time that it took."""
    outcome = Sender(places, whole_seconds=whole_seconds).send(url, headers={"x-one": "1"}, body=b"{}")
    assert outcome is not None
    assert 0 <= outcome.seconds < 9, "it took longer than any of its limits"
    return replace(outcome, seconds=0)


def test_what_is_sent_arrives(receiver: Receiver) -> None:
    assert send(receiver.url("/hook?x=1")) == Outcome(seconds=0, status=204)
    received = receiver.take()
    assert (received.path, received.body) == ("/hook?x=1", b"{}")
    assert received.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "connection": "close",
        "x-one": "1",
        "accept-encoding": "identity",
        "content-length": "2",
    }


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (answer(500), Outcome(seconds=0, status=500, reason="answered 500")),
        (answer(503, retry_after="7"), Outcome(seconds=0, status=503, reason="answered 503", retry_after_seconds=7)),
        (answer(503, retry_after="-7"), Outcome(seconds=0, status=503, reason="answered 503")),
        (answer(503, retry_after="9" * 40), Outcome(seconds=0, status=503, reason="answered 503")),
        (nonsense, Outcome(seconds=0, reason="the answer is not HTTP", cause=Cause.NOT_HTTP)),
        (slam, Outcome(seconds=0, reason="the connection was closed")),
        (flood, Outcome(seconds=0, reason="the answer's head has more than 65536 bytes", cause=Cause.NOT_HTTP)),
        (body_without_end, Outcome(seconds=0, status=200)),
    ],
)
def test_what_a_receiver_may_do(receiver: Receiver, behaviour: Behaviour, outcome: Outcome) -> None:
    receiver.behaviours = [behaviour]
    assert send(receiver.url()) == outcome


@pytest.mark.parametrize("behaviour", [hang, drip])
def test_who_does_not_come_to_an_end_is_cut_off(receiver: Receiver, behaviour: Behaviour) -> None:
    receiver.behaviours = [behaviour]
    assert send(receiver.url(), whole_seconds=SHORT_SECONDS) == Outcome(
        seconds=0, reason="no answer within 0.4 seconds"
    )


def test_who_has_ended_sends_nothing_and_says_nothing_of_what_became_of_it(receiver: Receiver) -> None:
    sender = Sender(ANYWHERE)
    sender.end()
    assert sender.send(receiver.url(), headers={}, body=b"{}") is None
    assert receiver.received.empty()


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.behaviours = [answer(307, location=receiver.url("/elsewhere"))]
    reason = "answered 307, and redirects are not followed"
    assert send(receiver.url()) == Outcome(seconds=0, status=307, reason=reason)
    assert (receiver.take().path, receiver.received.empty()) == ("/hook", True)


def test_nobody_there() -> None:
    assert send(f"http://127.0.0.1:{fixed_port()}/") == Outcome(
        seconds=0, reason="no connection: Connection refused", cause=Cause.NO_CONNECTION
    )


def test_a_host_that_is_not_found_is_told_apart_from_one_that_is_not_allowed() -> None:
    places = Places(are_private_allowed=True, look_up=lambda *_, **__: [])
    assert send("https://hooks.example.invalid/", places=places) == Outcome(
        seconds=0, reason="the host 'hooks.example.invalid' is not found", cause=Cause.NOT_FOUND
    )


def test_the_environment_names_no_proxy(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{fixed_port()}")
    assert send(receiver.url()) == Outcome(seconds=0, status=204)


def test_a_private_address_is_not_even_connected_to(receiver: Receiver) -> None:
    outcome = send(f"https://localhost:{receiver.port}/", places=Places(are_private_allowed=False))
    assert "where webhooks may not go" in outcome.reason
    assert (outcome.status, outcome.category) == (None, "not_allowed")
    assert receiver.received.empty()


def test_the_connection_goes_to_the_address_that_was_looked_at(receiver: Receiver) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))]
    looked_up = []

    def look_up(host: str, _port: int, **_: object) -> list[object]:
        looked_up.append(host)
        return list(found)

    places = Places(are_private_allowed=True, look_up=look_up)
    assert send("http://hooks.example.invalid/", places=places) == Outcome(seconds=0, status=204)
    assert (receiver.take().headers["host"], looked_up) == ("hooks.example.invalid", ["hooks.example.invalid"])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def tls_receiver(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    wrap = partial(context.wrap_socket, server_side=True, do_handshake_on_connect=False)
    with running_receiver(wrap) as running:
        yield running


def test_a_certificate_that_nobody_has_signed_is_refused(tls_receiver: Receiver) -> None:
    assert send(f"https://localhost:{tls_receiver.port}/") == Outcome(
        seconds=0, reason="the certificate is not trusted: self-signed certificate", cause=Cause.TLS
    )
    assert tls_receiver.received.empty()


def test_a_certificate_is_for_its_name_only(
    tls_receiver: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    assert send(f"https://localhost:{tls_receiver.port}/").status == 204
    assert "certificate is not trusted" in send(f"https://127.0.0.1:{tls_receiver.port}/").reason
