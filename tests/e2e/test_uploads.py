"""Registering over REST: what must be refused leaves nothing behind, what is accepted is whole."""

import hashlib
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from tests.support import models
from tests.support.files import paths_below
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.problems import assert_problem
from tests.support.raw_http import read_answer, request_bytes
from tests.support.real_models import plain_session
from tests.support.uploads import OCTETS, ensure_uploaded, send, upload
from tests.support.wire import array_of, same_bits

ROW = np.array([[1, 2, 3, 4]], np.float32)
GOOD = models.linear(seed=99).SerializeToString()


CAP_BYTES = 65536
BEYOND_THE_CAP = b"10000\r\n" + bytes(65536) + b"\r\n"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that takes files of 64 KiB, with a good model."""
    folder = tmp_path_factory.mktemp("tiny") / "data"
    with running_gateway(folder, max_upload_bytes=str(CAP_BYTES)) as running, running.client() as opened:
        assert_a_good_model_answers(opened)
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def connected(gateway: GatewayProcess) -> socket.socket:
    parts = urlsplit(gateway.url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in paths_below(folder) if path.is_file())


def assert_nothing_is_left(gateway: GatewayProcess, client: httpx.Client, name: str, before: list[Path]) -> None:
    assert files_under(gateway.data_dir / "store") == before
    assert files_under(gateway.data_dir / "spool") == []
    missing = client.get(f"/registry/models/{name}")
    assert_problem(missing, 404, code="model_not_found", detail=f"there is no model '{name}'")
    assert_a_good_model_answers(client)


def assert_a_good_model_answers(client: httpx.Client) -> None:
    ensure_uploaded(client, "good", GOOD)
    answer = client.post("/v1/models/good/predict", json={"inputs": [[0, 0, 0, 0]]})
    assert (answer.status_code, answer.json()) == (
        200,
        {"model": "good", "version": 1, "outputs": {"y": [[0.0, 0.0, 0.0]]}},
    )


def test_a_digest_that_differs_is_refused(gateway: GatewayProcess, client: httpx.Client) -> None:
    ensure_uploaded(client, "good", GOOD)
    before = files_under(gateway.data_dir / "store")
    content = models.linear(seed=1).SerializeToString()
    digest, wrong = hashlib.sha256(content).hexdigest(), "0" * 64
    detail = f"the bytes have the digest sha256:{digest}, announced was sha256:{wrong}"
    answer = send(client, "mismatch", content, sha256=wrong)
    assert_problem(answer, 422, code="digest_mismatch", detail=detail)
    blob = client.put(f"/registry/blobs/sha256:{wrong}", content=content, headers=OCTETS)
    assert_problem(blob, 422, code="digest_mismatch", detail=detail)
    assert_nothing_is_left(gateway, client, "mismatch", before)
    upload(client, "matching", content, sha256=digest)


def test_a_connection_cut_shortly_before_the_end_leaves_nothing(gateway: GatewayProcess, client: httpx.Client) -> None:
    assert_a_good_model_answers(client)
    before, workers = files_under(gateway.data_dir / "store"), gateway.workers()
    content = models.wide_linear(512).SerializeToString()
    line = "POST /registry/models/cut-off/versions HTTP/1.1"
    head = request_bytes(line, "Host: localhost", f"Content-Length: {len(content)}")
    with connected(gateway) as connection:
        connection.sendall(head + content[: len(content) * 99 // 100])
        wait_until(lambda: files_under(gateway.data_dir / "spool") != [])
    wait_until(lambda: files_under(gateway.data_dir / "spool") == [])
    assert_nothing_is_left(gateway, client, "cut-off", before)
    assert gateway.workers() == workers


def test_the_same_bytes_again_are_the_same_version(client: httpx.Client) -> None:
    content = models.linear(seed=2).SerializeToString()
    first = send(client, "again", content, description="first", tag="team:flowers")
    assert (first.status_code, first.headers["location"]) == (201, "/registry/models/again/versions/1")
    assert (first.json()["description"], first.json()["tags"]) == ("first", {"team": "flowers"})
    again = send(client, "again", content, description="second")
    assert (again.status_code, again.json()) == (200, first.json())
    upload(client, "another", content)


def test_twenty_uploads_at_once_get_twenty_numbers_and_stay_intact(client: httpx.Client, tmp_path: Path) -> None:
    contents = [models.linear(seed=seed).SerializeToString() for seed in range(100, 120)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda content: send(client, "twenty", content), contents))
    assert [answer.status_code for answer in answers] == [201] * 20
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 21))
    items = client.get("/registry/events", params={"limit": 1000}).json()["items"]
    noted = [(event["kind"], event["version"]) for event in items if event["model"] == "twenty"]
    assert noted == [("version_registered", number) for number in range(1, 21)]
    for answer, content in zip(answers, contents, strict=True):
        version = answer.json()
        stored = client.get(f"/registry/models/twenty/versions/{version['version']}/artifact")
        assert (stored.content, version["digest"]) == (content, f"sha256:{hashlib.sha256(content).hexdigest()}")
        (tmp_path / "model.onnx").write_bytes(content)
        expected = plain_session(tmp_path / "model.onnx").run(None, {"x": ROW})
        predicted = client.post(f"/v{version['version']}/models/twenty/predict", json={"inputs": ROW.tolist()})
        assert same_bits([array_of(predicted.json()["outputs"]["y"], ROW.dtype)], expected)


def test_twenty_uploads_of_the_same_bytes_at_once_are_one_version(client: httpx.Client) -> None:
    content = models.linear(seed=3).SerializeToString()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: send(client, "one", content), range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert {answer.json()["version"] for answer in answers} == {1}


def test_a_file_over_the_cap_is_refused(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", max_upload_bytes="1MiB") as gateway, gateway.client() as client:
        content = models.wide_linear(1024).SerializeToString()
        announced = send(client, "big", content)
        chunked = client.post(
            "/registry/models/big/versions",
            content=iter([content[:500_000], content[500_000:1_000_000], content[1_000_000:]]),
            headers=OCTETS,
        )
        assert_problem(announced, 413, code="too_large", detail="the body may have at most 1048576 bytes")
        counted = "the file is larger than 1048576 bytes, the most that is accepted"
        assert_problem(chunked, 413, code="too_large", detail=counted)
        assert (announced.headers["connection"], chunked.headers["connection"]) == ("close", "close")
        assert_nothing_is_left(gateway, client, "big", [])


@pytest.mark.parametrize("chunk_bytes", [128, 65536], ids=["small chunks", "large chunks"])
@pytest.mark.parametrize(
    "line",
    ["POST /registry/models/endless/versions", f"PUT /registry/blobs/sha256:{'0' * 64}"],
    ids=["version", "blob"],
)
def test_a_body_without_end_is_refused_as_soon_as_it_passes_the_cap(
    tiny: GatewayProcess, line: str, chunk_bytes: int
) -> None:
    head = request_bytes(f"{line} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
    chunk = b"%x\r\n%b\r\n" % (chunk_bytes, b"x" * chunk_bytes)
    with connected(tiny) as connection, tiny.client() as client:
        before = files_under(tiny.data_dir / "store")
        connection.sendall(head + chunk * (CAP_BYTES // chunk_bytes) + BEYOND_THE_CAP)
        answer = read_answer(connection)  # though the body has not ended
        detail = f"the file is larger than {CAP_BYTES} bytes, the most that is accepted"
        received = httpx.Response(answer.status, headers=answer.headers, content=answer.body)
        assert_problem(received, 413, code="too_large", detail=detail)
        assert (answer.headers["connection"], connection.recv(1)) == ("close", b"")
        assert_nothing_is_left(tiny, client, "endless", before)


def test_a_full_disk_refuses_the_upload_and_predicts_go_on(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "same", models.identity())
        (worker,) = gateway.workers()
        content = models.wide_linear(1024).SerializeToString()
        # No file of the worker may grow beyond this: as full as a disk can be made without being root.
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (2 * 1024 * 1024, resource.RLIM_INFINITY))
        answer = send(client, "large", content)
        detail = "there is not enough disk space for receiving the file"
        assert_problem(answer, 507, code="insufficient_storage", detail=detail)
        assert client.get("/registry/models/large").status_code == 404
        assert files_under(tmp_path / "data" / "spool") == []
        predicted = client.post("/v1/models/same/predict", json={"inputs": [1.5]})
        assert (predicted.status_code, predicted.json()["outputs"]) == (200, {"y": [1.5]})
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        upload(client, "large", content)
