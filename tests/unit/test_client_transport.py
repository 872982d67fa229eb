"""The HTTP transport against a real server of the standard library."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway.client import ConnectionFailed, HttpTransport, RepeatingTransport, Response, UnusableArgument

WORD = "opensesame"


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked, and with the address that asked."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        heard = {
            "method": self.command,
            "path": self.path,
            "authorization": self.headers.get("authorization"),
            "content-length": self.headers.get("content-length"),
            "body": body.decode(),
            "connection": self.client_address[1],
        }
        content = json.dumps(heard).encode()
        self.send_response(418 if self.path == "/teapot" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Mixed-Case", "kept")
        self.end_headers()
        self.wfile.write(content)
        # Without a word about it in the answer: this is how an idle connection goes stale.
        self.close_connection = self.path == "/then-close"

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def transport(url: str) -> Iterator[HttpTransport]:
    transport = HttpTransport(url, WORD)
    yield transport
    transport.close()


def heard(response: Response) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(response.body)
    return document


def test_a_request_carries_its_method_path_body_and_token(transport: HttpTransport) -> None:
    response = transport.request("POST", "/a%20b?c=d", headers={}, body=b"{}")

    told = heard(response)
    del told["connection"]
    assert told == {
        "method": "POST",
        "path": "/a%20b?c=d",
        "authorization": f"Bearer {WORD}",
        "content-length": "2",
        "body": "{}",
    }
    assert (response.status, response.headers["x-mixed-case"]) == (200, "kept")


def test_a_body_of_chunks_is_sent_with_its_length(transport: HttpTransport) -> None:
    response = transport.request("PUT", "/", headers={}, body=iter([b"one", b"two"]), content_length=6)

    assert (heard(response)["content-length"], heard(response)["body"]) == ("6", "onetwo")


def test_a_refusal_is_an_answer_like_any_other(transport: HttpTransport) -> None:
    assert transport.request("GET", "/teapot", headers={}).status == 418


def test_a_path_in_the_url_goes_before_the_gateways_own(url: str) -> None:
    transport = HttpTransport(url + "/ml/")

    assert heard(transport.request("GET", "/registry/models", headers={}))["path"] == "/ml/registry/models"
    transport.close()


def test_repeatable_requests_share_a_connection_and_others_start_afresh(transport: HttpTransport) -> None:
    first = heard(transport.request("GET", "/", headers={}, is_repeatable=True))["connection"]
    second = heard(transport.request("GET", "/", headers={}, is_repeatable=True))["connection"]
    third = heard(transport.request("POST", "/", headers={}, body=b""))["connection"]

    assert (second == first, third == first) == (True, False)


def test_a_connection_that_went_stale_is_replaced_unnoticed(transport: HttpTransport) -> None:
    repeating = RepeatingTransport(inner=transport, patience_seconds=0)
    before = heard(repeating.request("GET", "/then-close", headers={}, is_repeatable=True))["connection"]
    after = heard(repeating.request("GET", "/", headers={}, is_repeatable=True))["connection"]

    assert after != before


def test_a_forked_process_opens_a_connection_of_its_own_and_leaves_the_kept_one_alone(transport: HttpTransport) -> None:
    def asks() -> int:
        return int(heard(transport.request("GET", "/", headers={}, is_repeatable=True))["connection"])

    kept = asks()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(asks()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    of_child = int(os.read(reader, 16))
    os.close(reader)
    os.close(writer)

    assert (of_child != kept, asks() == kept) == (True, True)


def test_an_early_refusal_is_read_though_the_body_was_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        has_refused = threading.Event()

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                # Half a close: the answer stays readable, and the rest of the body meets a closed door.
                connection.shutdown(socket.SHUT_RD)
                has_refused.set()
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def body() -> Iterator[bytes]:
            yield b"x"
            has_refused.wait(10)
            yield b"y" * 65535

        response = transport.request("PUT", "/", headers={}, body=body(), content_length=65536)
        thread.join()

    assert (response.status, response.body) == (413, b"{}")


def test_nobody_there_is_a_connection_that_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ConnectionFailed) as caught:
        HttpTransport(f"http://127.0.0.1:{port}").request("GET", "/", headers={})
    assert str(caught.value) == f"no gateway answered at http://127.0.0.1:{port}: Connection refused"
    assert not caught.value.may_have_arrived


@pytest.mark.parametrize(
    "wrong",
    [
        *("localhost:8000", "ftp://localhost", "http://", "http://user:secret@host", "http://host:port"),
        *("http://host/?q=1", "http://a..b", "http://ex ample", "http://[::1", "http://host:99999"),
        *("http://host\n", "http://host/größe", "http://user:secret@[::1"),
    ],
)
def test_an_url_that_is_none_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(UnusableArgument) as caught:
        HttpTransport(wrong)
    assert "secret" not in str(caught.value)


def test_a_token_is_sent_without_the_line_end_that_its_file_has(url: str) -> None:
    transport = HttpTransport(url, f"{WORD}\r\n ")

    assert heard(transport.request("GET", "/", headers={}))["authorization"] == f"Bearer {WORD}"
    transport.close()


@pytest.mark.parametrize("wrong", [f"{WORD}é", f"{WORD}\nx-role: admin", f"{WORD}\x7f"], ids=ascii)
def test_what_can_be_no_token_is_refused_without_being_shown(wrong: str) -> None:
    with pytest.raises(UnusableArgument) as caught:
        HttpTransport("http://localhost", wrong)
    assert WORD not in str(caught.value)


def test_a_token_is_never_shown() -> None:
    assert WORD not in repr(HttpTransport("http://localhost", WORD))
