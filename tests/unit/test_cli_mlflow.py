"""An MLflow server that answers as it is told, and what is made of its aliases and files."""

import errno
import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path, PosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.cli.import_mlflow import _wishes
from gateway.cli.imports import Unreadable
from gateway.cli.mlflow_server import MlflowServer
from gateway.client import ConnectionFailed
from tests.support.hostile_server import serving


@pytest.fixture
def answers() -> dict[str, bytes]:
    """What the server says, by the last part of a route."""
    return {}


@pytest.fixture
def server(answers: dict[str, bytes]) -> Iterator[MlflowServer]:
    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.wfile.write(answers[urlsplit(asked.path).path.rpartition("/")[2]])
        asked.close_connection = True

    with serving(answer) as (url, _):
        yield MlflowServer(url)


def said(body: bytes, *, missing_bytes: int = 0) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + missing_bytes) + body


def test_a_file_comes_whole(server: MlflowServer, answers: dict[str, bytes], tmp_path: Path) -> None:
    answers["get-artifact"] = said(b"onnx")
    server.download("a", "1", "model.onnx", target=tmp_path / "model.onnx", limit_bytes=4)

    assert (tmp_path / "model.onnx").read_bytes() == b"onnx"
    assert server.read_text("a", "1", "MLmodel", limit_bytes=4) == "onnx"


def test_a_file_that_is_cut_short_is_none(server: MlflowServer, answers: dict[str, bytes], tmp_path: Path) -> None:
    answers["get-artifact"] = said(b"onnx", missing_bytes=1)

    with pytest.raises(ConnectionFailed, match=r"before the end of model\.onnx"):
        server.download("a", "1", "model.onnx", target=tmp_path / "model.onnx", limit_bytes=100)
    with pytest.raises(ConnectionFailed, match="before the end of MLmodel"):
        server.read_text("a", "1", "MLmodel", limit_bytes=100)


def test_a_file_that_is_too_long_is_refused(server: MlflowServer, answers: dict[str, bytes]) -> None:
    answers["get-artifact"] = said(b"onnx")

    with pytest.raises(Unreadable, match="longer than 3 bytes"):
        server.read_text("a", "1", "MLmodel", limit_bytes=3)


def test_a_full_disk_is_not_the_servers_fault(server: MlflowServer, answers: dict[str, bytes]) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    class Target(PosixPath):
        def open(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
            return Full()

    answers["get-artifact"] = said(b"onnx")

    with pytest.raises(OSError, match="No space left"):
        server.download("a", "1", "model.onnx", target=Target("model.onnx"), limit_bytes=100)


def test_a_model_with_more_versions_than_anybody_has_is_refused(
    server: MlflowServer, answers: dict[str, bytes]
) -> None:
    page = [{"name": "a", "version": "1"}] * 10_001
    answers["search"] = said(json.dumps({"model_versions": page}).encode())

    with pytest.raises(Unreadable, match="more than 10000 versions of one model"):
        server.versions("a")


def wished(aliases: dict[str, str], stages: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    model = {"aliases": [{"alias": alias, "version": number} for alias, number in aliases.items()]}
    found = _wishes(model, [{"version": number, "current_stage": stage} for number, stage in stages.items()])
    return found.aliases, found.ambiguous


@pytest.mark.parametrize(
    ("aliases", "stages", "moved", "ambiguous"),
    [
        ({"champion": "2"}, {"1": "None", "2": "Staging"}, {"champion": "2", "staging": "2"}, []),
        ({"Production": "5"}, {"3": "Production", "5": "None"}, {"production": "5"}, []),
        ({"production": "5"}, {"3": "Production"}, {"production": "5"}, []),
        ({"Prod_1": "5", "prod-1": "6", "a": "5"}, {}, {"a": "5"}, ["prod-1"]),
        ({"Production": "5", "production": "6"}, {"3": "Production"}, {}, ["production"]),
        ({}, {"3": "Production", "4": "Production"}, {"production": "4"}, []),
        ({"日本": "1"}, {"1": "Archived"}, {}, []),
    ],
    ids=["both", "in other letters", "before a stage", "two of one name", "and a stage", "two in a stage", "no name"],
)
def test_an_alias_goes_before_a_stage_and_two_of_one_name_do_not_move(
    aliases: dict[str, str], stages: dict[str, str], moved: dict[str, str], ambiguous: list[str]
) -> None:
    assert wished(aliases, stages) == (moved, ambiguous)


def test_two_aliases_of_one_name_are_told() -> None:
    model = {"aliases": [{"alias": "Prod_1", "version": "5"}, {"alias": "prod-1", "version": "6"}]}

    assert _wishes(model, []).words == [
        "the aliases Prod_1 and prod-1 would both be called prod-1 here: it was not moved"
    ]
