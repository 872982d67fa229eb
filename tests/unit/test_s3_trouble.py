"""An S3 server that refuses, is gone, falls silent or is none at all: always an error of ours, and never for long."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from model_store.s3.bucket import Bucket
from model_store.s3.client import Patience, S3Client
from model_store.s3.store import S3Store
from registry.errors import ServiceError, StorageUnavailable
from tests.support.artifacts import digest_of_bytes, put_bytes
from tests.support.gateway_process import wait_until
from tests.support.hostile_server import serving
from tests.support.s3_server import BUCKET, S3Server, new_prefix, running_s3_server

CONTENT = b"a model's bytes " * 100
DIGEST = digest_of_bytes(CONTENT)
KEY = f"sha256/{DIGEST.hex[:2]}/{DIGEST.hex[2:4]}/{DIGEST.hex}"
LARGE = bytes(range(256)) * 320_000
"""More than what lies in sockets' buffers."""

HURRIED = Patience(connect_seconds=0.3, answer_seconds=0.3, read_seconds=0.3, attempts=1)
"""With a server that does not answer; one that is to answer may stand still for as long."""
CALM = Patience(connect_seconds=5, answer_seconds=5, read_seconds=5, attempts=1)
MOST_BETWEEN_ATTEMPTS = 1 + 2
"""Seconds that boto3 may wait before the second attempt, and before the third."""
NO_ANSWER = {(StorageUnavailable, "the artifact store does not answer", 5)}


@pytest.fixture
def server(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    s3_server.give_credentials(monkeypatch)
    return s3_server


@pytest.fixture
def store(server: S3Server) -> S3Store:
    return server.store()


def _whole(store: S3Store) -> bytes:
    return b"".join(store.stream(DIGEST))


def _attempts(store: S3Store, folder: Path) -> dict[str, Callable[[], Any]]:
    return {
        "storing the file": lambda: put_bytes(store, folder, CONTENT),
        "looking into the artifact store": lambda: store.find_size(DIGEST),
        "reading from the artifact store": lambda: _whole(store),
        "listing the artifact store": lambda: list(store.blobs()),
        "removing a file from the artifact store": lambda: store.discard(DIGEST),
    }


def _refusals(store: S3Store, folder: Path) -> set[tuple[type[ServiceError], str, int | None]]:
    """Try everything, and return in which words it is refused, without what was being done."""
    refusals = set()
    for doing, attempt in _attempts(store, folder).items():
        with pytest.raises(ServiceError) as caught:
            attempt()
        error = caught.value
        assert error.detail.startswith(f"{doing} failed: ")
        refusals.add((type(error), error.detail.removeprefix(f"{doing} failed: "), error.retry_after_seconds))
    return refusals


def test_a_fetch_from_a_silent_store_has_failed_before_a_prediction_that_waits_for_it_has() -> None:
    patience = Patience()
    longest = patience.attempts * (patience.connect_seconds + patience.read_seconds) + MOST_BETWEEN_ATTEMPTS
    assert longest <= Settings().predict_timeout_seconds


@pytest.mark.parametrize("doing", ["reading from the artifact store", "looking into the artifact store"])
def test_what_reads_waits_less_long_than_what_stores(server: S3Server, doing: str, tmp_path: Path) -> None:
    patience = Patience(connect_seconds=0.3, answer_seconds=300, read_seconds=0.3, attempts=1)
    store = S3Store(Bucket(S3Client(server.endpoint_url, patience=patience), BUCKET, new_prefix()))
    attempt = _attempts(store, tmp_path)[doing]
    with server.stopped(), pytest.raises(StorageUnavailable) as caught:
        attempt()
    assert caught.value.detail == f"{doing} failed: the artifact store does not answer"


def test_a_wrong_secret_is_a_store_that_refuses(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert _refusals(store, tmp_path) == {
        (StorageUnavailable, "the artifact store refused it (SignatureDoesNotMatch)", 5),
        (StorageUnavailable, "the artifact store refused it (403)", 5),  # where the answer has no body
    }


def test_no_credentials_are_said_to_be_missing_and_are_looked_for_again(
    store: S3Store, server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert _refusals(store, tmp_path) == {(StorageUnavailable, "there are no credentials for the artifact store", 5)}
    server.give_credentials(monkeypatch)
    assert store.find_size(DIGEST) is None


def test_a_missing_bucket_is_no_empty_store(server: S3Server, tmp_path: Path) -> None:
    store = server.store(bucket="no-such-bucket")
    refused = {name: attempt for name, attempt in _attempts(store, tmp_path).items() if not name.startswith("removing")}
    details = []
    for attempt in refused.values():
        with pytest.raises(StorageUnavailable) as caught:
            attempt()
        details.append(caught.value.detail)
    assert details == [
        "storing the file failed: the artifact store refused it (NoSuchBucket)",
        "looking into the artifact store failed: there is no such bucket",
        "reading from the artifact store failed: the artifact store refused it (NoSuchBucket)",
        "listing the artifact store failed: the artifact store refused it (NoSuchBucket)",
    ]


def test_a_server_that_is_gone_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_s3_server() as gone:
        gone.give_credentials(monkeypatch)
        store = gone.store()
        put_bytes(store, tmp_path, CONTENT)
    assert _refusals(store, tmp_path) == NO_ANSWER


def test_a_server_that_falls_silent_is_waited_for_no_longer_than_is_set(server: S3Server, tmp_path: Path) -> None:
    store = S3Store(Bucket(S3Client(server.endpoint_url, patience=HURRIED), BUCKET, new_prefix()))
    with server.stopped():
        assert _refusals(store, tmp_path) == NO_ANSWER
    wait_until(lambda: _has_succeeded(lambda: put_bytes(store, tmp_path, CONTENT)))
    read: list[bytes] = []
    wait_until(lambda: _has_succeeded(lambda: read.append(_whole(store))))
    assert read == [CONTENT]


def _has_succeeded(attempt: Callable[[], Any]) -> bool:
    """Try it in a hurry: the server may be late now and then."""
    try:
        attempt()
    except StorageUnavailable:
        return False
    return True


def test_a_server_that_falls_silent_in_mid_answer_cuts_the_download(server: S3Server, tmp_path: Path) -> None:
    prefix = new_prefix()
    digest = put_bytes(server.store(prefix=prefix), tmp_path, LARGE)
    store = S3Store(Bucket(S3Client(server.endpoint_url, patience=CALM), BUCKET, prefix))
    chunks = store.stream(digest)
    first = next(chunks)
    with server.stopped(), pytest.raises(StorageUnavailable) as caught:
        list(chunks)
    assert LARGE.startswith(first)
    assert caught.value.detail == "reading from the artifact store failed: the artifact store does not answer"


# --- hostile servers --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    with serving(lambda _: None) as (elsewhere, seen_elsewhere):

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            body = b"<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1</Endpoint></Error>"
            handler.send_response(status)
            handler.send_header("location", f"{elsewhere}{handler.path}")
            handler.send_header("x-amz-bucket-region", "eu-west-1")
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)

        with serving(redirect) as (url, seen):
            store = S3Store(Bucket(S3Client(url, patience=CALM), BUCKET, "p"))
            refusals = {detail for _, detail, _ in _refusals(store, tmp_path)}
    assert refusals == {
        f"the artifact store refused it ({status})",
        "the artifact store refused it (PermanentRedirect)",
    }
    assert seen_elsewhere == []
    assert sorted(seen) == sorted(
        [
            f"HEAD /{BUCKET}/p/{KEY}",
            f"HEAD /{BUCKET}/p/{KEY}",
            f"GET /{BUCKET}/p/{KEY}",
            f"GET /{BUCKET}?list-type=2&prefix=p%2Frenewed%2F&max-keys=1000&encoding-type=url",
            f"HEAD /{BUCKET}/p/{KEY}",
        ]
    )


@pytest.mark.usefixtures("server")
def test_an_endpoint_that_is_a_web_page_is_no_artifact_store(tmp_path: Path) -> None:
    def show_page(handler: BaseHTTPRequestHandler) -> None:
        body = b"<!doctype html><p>Hello<br>there"
        handler.send_response(200)
        if handler.command == "GET" and "?" not in handler.path:
            handler.send_header("transfer-encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    with serving(show_page) as (url, _):
        store = S3Store(Bucket(S3Client(url, patience=CALM), BUCKET))
        assert _refusals(store, tmp_path) == {
            (StorageUnavailable, "what answers is no artifact store", 5),
            (StorageUnavailable, "the artifact store refused it (500)", 5),  # what boto3 makes of a list in HTML
        }


def _head(handler: BaseHTTPRequestHandler, length: int) -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(length))
    handler.end_headers()


def _cut(handler: BaseHTTPRequestHandler) -> None:
    _head(handler, len(CONTENT))
    handler.wfile.write(CONTENT[:100])
    handler.close_connection = True


def _drip(handler: BaseHTTPRequestHandler) -> None:
    _head(handler, len(CONTENT))
    silence = threading.Event()
    for octet in CONTENT:
        handler.wfile.write(bytes((octet,)))
        silence.wait(0.01)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("answer", "words"),
    [(_cut, "the artifact store's answer was cut short"), (_drip, "the artifact store's answer comes too slowly")],
    ids=["cut", "dripping"],
)
def test_a_download_that_does_not_get_on_is_given_up(
    answer: Callable[[BaseHTTPRequestHandler], None], words: str
) -> None:
    with serving(answer) as (url, _):
        store = S3Store(Bucket(S3Client(url, patience=CALM), BUCKET))
        with pytest.raises(StorageUnavailable) as caught:
            _whole(store)
    assert caught.value.detail == f"reading from the artifact store failed: {words}"


def test_only_the_configured_endpoint_counts(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving(lambda _: None) as (elsewhere, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", elsewhere)
        monkeypatch.setenv("AWS_ENDPOINT_URL", elsewhere)
        put_bytes(server.store(), tmp_path, CONTENT)
    assert seen == []
