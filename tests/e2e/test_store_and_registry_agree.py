"""``sardonyx fsck`` beside a running gateway: what is lost, damaged or left over is found, named, and made good."""

import hashlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import models
from tests.support.backend import embedded_only
from tests.support.cold import running_registry
from tests.support.gateway_process import SARDONYX, GatewayProcess, running_gateway
from tests.support.problems import assert_problem
from tests.support.uploads import OCTETS, send, upload

pytestmark = embedded_only

WITHHELD = "Nothing in the request has to change. The operator finds the cause in the log by this request id."
ALTERED = models.linear(seed=9).SerializeToString()
"""As long as the other versions' files."""
ROW = {"inputs": [[1, 2, 3, 4]]}
CLEAN: tuple[int, dict[str, Any]] = (0, {"findings": [], "discarded": []})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway of the test's own: fsck sees everything there is."""
    with running_gateway(tmp_path / "data") as gateway:
        yield gateway


@pytest.fixture
def client(running: GatewayProcess) -> Iterator[httpx.Client]:
    with running.client() as opened:
        yield opened


def content_of(seed: int) -> bytes:
    octets: bytes = models.linear(seed=seed).SerializeToString()
    return octets


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def predict(client: httpx.Client, number: int) -> httpx.Response:
    return client.post(f"/v{number}/models/m/predict", json=ROW)


def stored(gateway: GatewayProcess, content: bytes) -> Path:
    hexadecimal = digest_of(content).removeprefix("sha256:")
    return gateway.data_dir / "store" / "sha256" / hexadecimal[:2] / hexadecimal[2:4] / hexadecimal


def located(gateway: GatewayProcess, content: bytes) -> str:
    return stored(gateway, content).as_uri()


def half_file(gateway: GatewayProcess) -> Path:
    return gateway.data_dir / "store" / "tmp" / "0123.part"


def fsck(gateway: GatewayProcess, *options: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and what was printed."""
    run = subprocess.run(
        [SARDONYX, "fsck", "--json", *options], env=gateway.environment, capture_output=True, text=True, check=False
    )
    return run.returncode, json.loads(run.stdout)


def finding(kind: str, what: str, repair: str | None = None) -> dict[str, str | None]:
    return {"kind": kind, "what": what, "repair": repair}


@pytest.fixture
def damaged(tmp_path: Path) -> list[bytes]:
    """Versions 1 to 4: lost, altered, cut short, whole; and a half file beside them."""
    contents = [content_of(seed) for seed in range(4)]
    with running_registry(tmp_path / "data") as registry, registry.client() as client:
        for content in contents:
            upload(client, "m", content)
        assert fsck(registry) == CLEAN
    lost, altered, short, _ = (stored(registry, content) for content in contents)
    for path in (lost, altered, short):
        path.unlink()
    altered.write_bytes(ALTERED)
    short.write_bytes(contents[2][:10])
    half_file(registry).write_bytes(b"half")
    return contents


@pytest.fixture
def after(tmp_path: Path, damaged: list[bytes]) -> Iterator[GatewayProcess]:  # noqa: ARG001 - it begins when they are
    """A gateway that finds them when it starts."""
    with running_gateway(tmp_path / "data") as gateway:
        yield gateway


def test_lost_and_damaged_files_are_named(after: GatewayProcess, damaged: list[bytes]) -> None:
    lost, altered, short, _ = damaged
    missing = finding("row_without_bytes", f"model.onnx ({digest_of(lost)}) at {located(after, lost)} is missing")
    cut = f"model.onnx ({digest_of(short)}) at {located(after, short)} has 10 bytes, was registered with {len(short)}"
    wrong = sorted(
        f"{digest_of(content)} at {located(after, content)} has the digest {digest_of(now)}"
        for content, now in ((altered, ALTERED), (short, short[:10]))
    )
    sizes = [missing, finding("wrong_size", cut)]
    digests = [finding("wrong_digest", what) for what in wrong]
    unfinished = finding("half_file", "tmp/0123.part was never finished", "discarded once it is old enough")
    assert fsck(after) == (1, {"findings": [*sizes, *digests, unfinished], "discarded": []})
    assert fsck(after, "--quick") == (1, {"findings": [*sizes, unfinished], "discarded": []})


def test_no_model_is_loaded_from_lost_or_damaged_files(after: GatewayProcess) -> None:
    with after.client() as client:
        for number, code in ((1, "artifact_missing"), (2, "artifact_corrupt"), (3, "artifact_corrupt")):
            answer = predict(client, number)
            assert_problem(answer, 503, code=code, detail=WITHHELD)
            assert int(answer.headers["retry-after"]) >= 1
        download = client.get("/registry/models/m/versions/1/artifact")
        assert_problem(download, 503, code="artifact_missing", detail=WITHHELD)
        assert predict(client, 4).status_code == 200


def test_the_same_bytes_again_make_good_what_was_lost(after: GatewayProcess, damaged: list[bytes]) -> None:
    half_file(after).unlink()
    for content in damaged[1:3]:
        stored(after, content).unlink()
    with after.client() as client:
        for number, content in enumerate(damaged, start=1):
            again = send(client, "m", content)
            assert (again.status_code, again.json()["version"]) == (200, number)
        assert fsck(after) == CLEAN
        assert [predict(client, number).status_code for number in (1, 2, 3, 4)] == [200] * 4


def test_bytes_without_a_version_are_discarded_once_they_are_old(running: GatewayProcess, client: httpx.Client) -> None:
    kept, left = content_of(1), content_of(2)
    upload(client, "m", kept)
    digest = digest_of(left)
    client.put(f"/registry/blobs/{digest}", content=left, headers=OCTETS).raise_for_status()
    half = half_file(running)
    half.write_bytes(b"half")

    code, young = fsck(running, "--repair")
    assert (code, [found["kind"] for found in young["findings"]]) == (1, ["bytes_without_row", "half_file"])
    assert (young["discarded"], stored(running, left).read_bytes(), half.exists()) == ([], left, True)

    yesterday = (datetime.now(UTC) - timedelta(hours=25)).timestamp()
    for path in (stored(running, kept), stored(running, left), half):
        os.utime(path, (yesterday, yesterday))
    discarded = [
        finding("bytes_without_row", f"{digest} at {located(running, left)}", "discarded"),
        finding("half_file", "tmp/0123.part", "discarded"),
    ]
    assert fsck(running, "--repair") == (0, {"findings": [], "discarded": discarded})
    assert (stored(running, kept).exists(), stored(running, left).exists(), half.exists()) == (True, False, False)
    assert predict(client, 1).status_code == 200


@embedded_only
def test_a_database_that_fails_after_the_bytes_are_stored_leaves_bytes_that_a_retry_takes_up(
    running: GatewayProcess, client: httpx.Client
) -> None:
    content = content_of(1)
    upload(client, "m", content_of(2))
    with sqlite3.connect(running.data_dir / "registry.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = send(client, "m", content)
        busy = "another writer holds the registry's database"
        assert_problem(answer, 503, code="registry_busy", detail=busy)
        assert int(answer.headers["retry-after"]) >= 1
        assert predict(client, 1).status_code == 200
        other.execute("ROLLBACK")

    missing = client.get("/registry/models/m/versions/2")
    assert_problem(missing, 404, code="version_not_found", detail="model 'm' has no version 2")
    assert list((running.data_dir / "spool").iterdir()) == []
    code, report = fsck(running)
    (left,) = report["findings"]
    where = f"{digest_of(content)} at {located(running, content)}"
    assert (code, left["kind"]) == (1, "bytes_without_row")
    assert left["what"].startswith(f"{where}: {len(content)} bytes, last put ")

    retried = send(client, "m", content)
    assert (retried.status_code, retried.json()["version"]) == (201, 2)
    assert fsck(running) == CLEAN
    assert predict(client, 2).status_code == 200


def test_a_store_that_is_out_of_reach_is_said_and_can_be_tried_again(
    running: GatewayProcess, client: httpx.Client
) -> None:
    loaded, cold, new = content_of(1), content_of(2), content_of(3)
    for content in (loaded, cold):
        upload(client, "m", content)
    expected = predict(client, 1).json()
    store, aside = running.data_dir / "store", running.data_dir / "aside"
    store.rename(aside)
    store.write_text("in the way")

    answers = {
        "storing the file failed: Not a directory": send(client, "m", new),
        "looking into the artifact store failed: Not a directory": client.get("/registry/models/m/versions/2/artifact"),
    }
    for detail, answer in answers.items():
        assert_problem(answer, 503, code="storage_unavailable", detail=detail)
        assert int(answer.headers["retry-after"]) >= 1
    run = subprocess.run([SARDONYX, "fsck"], env=running.environment, capture_output=True, text=True, check=False)
    assert run.returncode == 75
    assert predict(client, 1).json() == expected
    assert client.get("/registry/models/m").json()["latest_version"] == 2
    assert list((running.data_dir / "spool").iterdir()) == []

    store.unlink()
    aside.rename(store)
    assert fsck(running) == CLEAN
    assert upload(client, "m", new)["version"] == 3
    assert [predict(client, number).status_code for number in (1, 2, 3)] == [200, 200, 200]
