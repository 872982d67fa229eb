"""Bodies of many rows, and the numbers that a sweep is made of."""

import json
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import typer

from gateway.cli.bench import note_lines, own_run_lines, parse_counts, picture
from gateway.cli.bodies import body_of, can_grow
from gateway.cli.chart import Panel, draw
from gateway.cli.closed_loop import Request, Round, is_this_machine, read_answer, run_round
from gateway.cli.entry import main
from gateway.client.errors import ConnectionFailed, UnusableArgument
from tests.support.hostile_server import serving


def spec(name: str, *shape: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape), **more}


@pytest.mark.parametrize(
    ("inputs", "example", "grown"),
    [
        ([spec("x", "n", 2)], {"x": [[1, 2]]}, {"x": [[1, 2], [1, 2]]}),
        ([spec("x", None, 2)], {"x": [[1, 2]]}, {"x": [[1, 2], [1, 2]]}),
        (
            [spec("x", "n", 1), spec("s", 2, "n")],
            {"x": [[1]], "s": [[3], [4]]},
            {"x": [[1], [1]], "s": [[3, 3], [4, 4]]},
        ),
        (
            [spec("x", "n"), spec("r", 1), spec("c")],
            {"x": ["a"], "r": [5], "c": 6},
            {"x": ["a", "a"], "r": [5], "c": 6},
        ),
        ([spec("x", "n", "m")], {"x": [[1]]}, {"x": [[1], [1]]}),
    ],
    ids=["a name", "no name", "one name twice", "others stay", "two names"],
)
def test_rows_grow_along_the_first_free_dimension(
    inputs: list[dict[str, Any]], example: dict[str, Any], grown: dict[str, Any]
) -> None:
    body, rows = body_of({"inputs": example, "id": "a"}, inputs, 2)

    assert (json.loads(body), rows) == ({"inputs": grown, "id": "a"}, 2)
    assert json.loads(body_of({"inputs": example}, inputs, 1)[0]) == {"inputs": example}


@pytest.mark.parametrize(
    "inputs", [[spec("x", 1, 4)], [], [spec("x", "n", containers=["sequence"])]], ids=["fixed", "none", "a sequence"]
)
def test_what_cannot_grow_says_so(inputs: list[dict[str, Any]]) -> None:
    assert not can_grow(inputs)
    with pytest.raises(UnusableArgument):
        body_of({"inputs": {"x": [[1]]}}, inputs, 2)


def test_counts_are_sorted_and_each_once() -> None:
    assert parse_counts("8, 1,8", most=10, option="--rows") == [1, 8]


@pytest.mark.parametrize("text", ["", "0", "1,,2", "11", "-1", "x", "1e3", "٣"])
def test_what_are_no_counts_is_bad_input(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_counts(text, most=10, option="--rows")


def served(*answers: bytes) -> str:
    """Listen at an address, take one connection, and answer whatever comes with each of these in turn."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            for answer in answers:
                connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"


def test_a_round_counts_what_comes_and_ends_with_its_connection() -> None:
    request = Request(url=served(GOOD, BUSY, GOOD), path="/v1/models/m/predict", body=b"{}", token="t")  # noqa: S106

    found = run_round(request, connections=1, seconds=30)

    assert (len(found.latencies), found.failed) == (2, Counter({"429": 1, "connection": 1}))


def test_however_short_a_round_is_each_connection_asks_once() -> None:
    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.rfile.read(int(asked.headers["content-length"]))
        asked.wfile.write(GOOD)

    with serving(answer) as (url, _):
        found = run_round(Request(url=url, path="/v1/models/m/predict", body=b"{}"), connections=3, seconds=0)

    assert (len(found.latencies), found.failed) == (3, Counter())


@pytest.mark.parametrize("said", ["close", "Keep-Alive,  Close", "close, x"])
def test_a_connection_that_ends_with_its_answer_is_no_failure(said: str) -> None:
    turns = count(1)

    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.rfile.read(int(asked.headers["content-length"]))
        turn = next(turns)
        asked.close_connection = turn % 3 == 0 or turn > 7
        if turn > 7:  # ends the round: here a connection does break
            return
        asked.send_response(200)
        asked.send_header("content-length", "2")
        if asked.close_connection:
            asked.send_header("Connection", said)
        asked.end_headers()
        asked.wfile.write(b"{}")

    with serving(answer) as (url, _):
        found = run_round(Request(url=url, path="/v1/models/m/predict", body=b"{}"), connections=1, seconds=30)

    assert (len(found.latencies), found.failed) == (7, Counter({"connection": 1}))


@pytest.mark.parametrize("line", [b"Connection: keep-alive", b"x-connection: close", b"Connection: closed"])
def test_a_connection_goes_on_unless_it_is_told_to_end(line: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 2\r\n\r\n{}" % line)
        assert read_answer(here) == (200, False)


def test_nobody_who_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ConnectionFailed):
        run_round(Request(url=url, path="/", body=b""), connections=1, seconds=1)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 70_000, b"HTTP/1.1 200"])
def test_what_is_no_answer_is_none(answer: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(answer)
        there.shutdown(socket.SHUT_WR)
        with pytest.raises((ValueError, OSError)):
            read_answer(here)


def test_this_machine_is_told_from_others() -> None:
    assert is_this_machine("http://127.0.0.1:8000")
    assert not is_this_machine("http://192.0.2.1:8000")  # of a block that nobody has


def test_quantiles_are_those_of_the_good_answers() -> None:
    measured = Round(seconds=2.0, latencies=[1.0, 2.0, 3.0, 4.0], failed=Counter(), cpu_seconds=0.0)
    empty = Round(seconds=1.0, latencies=[], failed=Counter(), cpu_seconds=0.0)

    assert (measured.per_second, measured.quantile(0.5), measured.quantile(0.99)) == (2.0, 3.0, 4.0)
    assert (empty.per_second, empty.quantile(0.5)) == (0.0, None)


def document(**changes: Any) -> dict[str, Any]:
    cell = {"rows": 1, "connections": 4, "rows_per_second": 1200.0, "p99_seconds": None}
    facts = {"rounds": 3, "seconds": 1.0, "is_same_machine": False, "cpus": 2, "generator_cpu_share": 0.1}
    return {"reference": "m:1", "left_out": {}, "cells": [cell], **facts, **changes}


def test_what_a_reader_has_to_know_is_said() -> None:
    honest = list(
        note_lines(document(is_same_machine=True, generator_cpu_share=0.9, left_out={"32": "body_too_large"}))
    )

    assert len(list(note_lines(document()))) == 1
    assert [line.split(" ")[0:2] for line in honest] == [
        ["rounds", "of"],
        ["requests", "of"],
        ["the", "load"],
        ["the", "generator"],
    ]


def test_what_registration_found_of_own_runs_stands_beside_the_sweep() -> None:
    batch = {"level": "exact", "reason": "", "gains": {"1": 1.0, "8": 5.5}}
    threads = {"threads": 2, "reason": "", "gains": {"1": 1.0, "2": 1.9}}

    assert list(own_run_lines({"batch_report": batch, "thread_report": threads})) == [
        "its own runs, as measured at registration:",
        "  batches proven  exact",
        "  batches gain    8 rows x5.5",
        "  threads         2",
        "  threads gain    2 threads x1.9",
    ]
    assert list(own_run_lines({"batch_report": None, "thread_report": None}))[1:] == [
        "  batches proven  not tried",
        "  threads         1: more were not tried",
    ]
    assert list(own_run_lines(None)) == []


def test_a_picture_is_svg_with_everything_escaped() -> None:
    drawn = ET.fromstring(picture(document(), ["a < b & <script>"]))  # noqa: S314 - our own
    lines = {"<n>": [1.0, None, 0.0], "none": [None, None, None]}
    odd = ET.fromstring(draw([Panel(title="&", places=["1", "2", "3"], axis="<", lines=lines)], title='"', notes=[]))  # noqa: S314

    assert "a < b & <script>" in {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"<n>", "&", "<"} < {text.text for text in odd.iter("{http://www.w3.org/2000/svg}text")}


def test_where_no_answer_was_good_the_command_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "body.json").write_text("{}")
    answers = iter([200])

    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.rfile.read(int(asked.headers["content-length"] or 0))
        asked.send_response(200 if asked.command == "GET" else next(answers, 503))
        asked.send_header("content-length", "2")
        asked.end_headers()
        asked.wfile.write(b"{}")

    sweep = ["--connections", "1", "--seconds", "0.05", "--rounds", "1", "--json"]
    with serving(answer) as (url, _), pytest.raises(SystemExit) as caught:
        main(["bench", "m:1", "--url", url, "--body", str(tmp_path / "body.json"), *sweep])

    printed = capsys.readouterr()
    assert (caught.value.code, json.loads(printed.err[printed.err.index("{") :])["code"]) == (1, "no_good_answer")
    (cell,) = json.loads(printed.out)["cells"]
    assert (cell["rows"], cell["rows_per_second"], cell["answers"], set(cell["failed"])) == (None, None, 0, {"503"})
