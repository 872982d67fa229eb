"""A gateway whose artifacts lie in a bucket of a real S3 server, and what happens when that changes or goes away."""

import hashlib
import json
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import models
from tests.support.backend import embedded_only
from tests.support.cold import running_registry
from tests.support.gateway_process import SARDONYX, GatewayProcess, running_gateway, wait_until
from tests.support.hostile_files import FOREIGN
from tests.support.problems import assert_problem
from tests.support.s3_server import BUCKET, S3Server, new_prefix, running_s3_server
from tests.support.uploads import send, upload

WITHHELD = "Nothing in the request has to change. The operator finds the cause in the log by this request id."
ROW = {"inputs": [[1, 2, 3, 4]]}


@pytest.fixture
def prefix() -> str:
    return new_prefix()


@pytest.fixture
def settings(s3_server: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    s3_server.give_credentials(monkeypatch)
    return {
        "store": f"s3://{BUCKET}/{prefix}",
        "s3_endpoint_url": s3_server.endpoint_url,
        "s3_import_buckets": f"{BUCKET}, absent-bucket",
        "max_upload_bytes": "1MiB",
    }


@pytest.fixture
def running(tmp_path: Path, settings: dict[str, str]) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path / "data", **settings) as gateway:
        yield gateway


@pytest.fixture
def client(running: GatewayProcess) -> Iterator[httpx.Client]:
    with running.client() as opened:
        yield opened


@pytest.fixture
def bucket(s3_server: S3Server) -> Any:
    """Somebody else's client of the same server."""
    return s3_server.client()


def content_of(seed: int) -> bytes:
    octets: bytes = models.linear(seed=seed).SerializeToString()
    return octets


def hex_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def keep_only(content: bytes, cache: Path) -> None:
    """Forget what else a gateway that has ended has in its cache: what is worth preparing is copied for that."""
    for folder in cache.iterdir():
        if not folder.name.startswith((hex_of(content), ".")):
            shutil.rmtree(folder)


def key_of(prefix: str, content: bytes) -> str:
    digest = hex_of(content)
    return f"{prefix}/sha256/{digest[:2]}/{digest[2:4]}/{digest}"


def keys(bucket: Any, prefix: str) -> list[str]:
    return [item["Key"] for item in bucket.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def import_from(client: httpx.Client, name: str, source: str, **more: Any) -> httpx.Response:
    return client.post(f"/registry/models/{name}/versions", json={"source": source, **more})


def predict(client: httpx.Client, name: str) -> httpx.Response:
    return client.post(f"/v1/models/{name}/predict", json=ROW)


def sardonyx(gateway: GatewayProcess, *arguments: str) -> tuple[int, Any]:
    """Return a command's exit code and what it printed."""
    run = subprocess.run(
        [SARDONYX, *arguments, "--json"], env=gateway.environment, capture_output=True, text=True, check=False
    )
    return run.returncode, json.loads(run.stdout)


# --- bytes in a bucket ------------------------------------------------------------------------------------------------


def test_a_model_is_registered_into_the_bucket_and_predicts_cold_from_it(
    tmp_path: Path, settings: dict[str, str], bucket: Any, prefix: str
) -> None:
    content, data_dir = content_of(1), tmp_path / "data"
    with running_gateway(data_dir, **settings) as gateway, gateway.client() as client:
        version = send(client, "cold", content)
        assert (version.status_code, version.json()["location"]) == (201, f"s3://{BUCKET}/{key_of(prefix, content)}")
        expected = predict(client, "cold").json()
        assert client.get("/registry/models/cold/versions/1/artifact").content == content
        assert [check["verdict"] for check in sardonyx(gateway, "doctor")[1] if check["name"] == "store"] == ["ok"]
        assert sardonyx(gateway, "fsck") == (0, {"findings": [], "discarded": []})
    assert keys(bucket, prefix) == [key_of(prefix, content)]
    assert not (data_dir / "store").exists()
    shutil.rmtree(data_dir / "cache")
    with running_gateway(data_dir, **settings) as gateway, gateway.client() as client:
        assert predict(client, "cold").json() == expected


def delete(bucket: Any, key: str) -> None:
    bucket.delete_object(Bucket=BUCKET, Key=key)


def change(bucket: Any, key: str) -> None:
    octets = bytearray(bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    octets[len(octets) // 2] ^= 1
    bucket.put_object(Bucket=BUCKET, Key=key, Body=bytes(octets))


def truncate(bucket: Any, key: str) -> None:
    bucket.put_object(Bucket=BUCKET, Key=key, Body=bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read()[:-8])


@pytest.mark.parametrize(
    ("damage", "code"),
    [(delete, "artifact_missing"), (change, "artifact_corrupt"), (truncate, "artifact_corrupt")],
    ids=["deleted", "changed", "truncated"],
)
def test_an_object_lost_or_damaged_in_the_bucket_fails_the_cold_model_until_it_is_back(
    tmp_path: Path,
    settings: dict[str, str],
    bucket: Any,
    prefix: str,
    damage: Callable[[Any, str], None],
    code: str,
) -> None:
    contents = {"cold": content_of(1), "loaded": content_of(2)}
    with running_registry(tmp_path / "data", **settings) as registry, registry.client() as client:
        for name, content in contents.items():
            upload(client, name, content)
    with running_gateway(tmp_path / "data", **settings) as gateway, gateway.client() as client:
        answer = predict(client, "loaded")
        assert answer.status_code == 200
        for content in contents.values():
            damage(bucket, key_of(prefix, content))
        refused = predict(client, "cold")
        assert_problem(refused, 503, code=code, detail=WITHHELD)
        assert "retry-after" in refused.headers
        assert predict(client, "loaded").json() == answer.json()
        bucket.put_object(Bucket=BUCKET, Key=key_of(prefix, contents["cold"]), Body=contents["cold"])
        wait_until(lambda: predict(client, "cold").status_code == 200)


def test_a_bucket_that_is_out_of_reach_is_said_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, cold, new = content_of(1), content_of(2), content_of(3)
    with running_s3_server() as server:
        server.give_credentials(monkeypatch)
        place = {"store": f"s3://{BUCKET}", "s3_endpoint_url": server.endpoint_url, "s3_import_buckets": BUCKET}
        with running_registry(tmp_path / "data", **place) as registry, registry.client() as client:
            for name, content in (("loaded", loaded), ("cold", cold)):
                upload(client, name, content)
        with running_gateway(tmp_path / "data", **place) as gateway, gateway.client() as client:
            expected = predict(client, "loaded").json()
            server.kill()
            answers = {
                "storing the file": send(client, "new", new),
                "reading from the artifact store": predict(client, "cold"),
                "reading the source": import_from(client, "new", f"s3://{BUCKET}/model.onnx"),
            }
            for doing, answer in answers.items():
                detail = f"{doing} failed: the artifact store does not answer"
                assert_problem(answer, 503, code="storage_unavailable", detail=detail)
                assert int(answer.headers["retry-after"]) >= 1
            assert predict(client, "loaded").json() == expected
            assert client.get("/health/ready").status_code == 200
            assert client.get("/registry/models/new").json()["code"] == "model_not_found"
            assert list((gateway.data_dir / "spool").iterdir()) == []


def test_while_the_bucket_is_silent_cached_models_load_and_others_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_s3_server() as server:
        server.give_credentials(monkeypatch)
        place = {"store": f"s3://{BUCKET}", "s3_endpoint_url": server.endpoint_url}
        with running_gateway(tmp_path / "data", **place) as gateway, gateway.client() as client:
            for number in range(12):
                upload(client, f"m{number}", content_of(number))
            expected = predict(client, "m0").json()
        keep_only(content_of(0), gateway.data_dir / "cache")
        with server.stopped(), running_gateway(tmp_path / "data", **place) as gateway, gateway.client() as client:
            wait_until(lambda: client.get("/health/ready").json()["store"] == "storage_unavailable")
            assert "sardonyx_store_up 0.0" in client.get("/metrics").text
            cold = [predict(client, f"m{number}") for number in range(1, 12)]
            detail = "reading from the artifact store failed: the artifact store does not answer"
            for answer in cold:
                assert_problem(answer, 503, code="storage_unavailable", detail=detail)
            assert predict(client, "m0").json() == expected


def test_models_that_are_fetched_in_vain_do_not_hold_up_one_that_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_s3_server() as server, ThreadPoolExecutor(12) as pool:
        server.give_credentials(monkeypatch)
        place = {"store": f"s3://{BUCKET}", "s3_endpoint_url": server.endpoint_url, "predict_timeout_seconds": "8"}
        with running_gateway(tmp_path / "data", **place) as gateway, gateway.client() as client:
            for number in range(12):
                upload(client, f"m{number}", content_of(number))
            expected = predict(client, "m0").json()
        keep_only(content_of(0), gateway.data_dir / "cache")
        with running_gateway(tmp_path / "data", **place) as gateway, gateway.client() as client, server.stopped():
            cold = [pool.submit(predict, client, f"m{number}") for number in range(1, 12)]
            wait_until(lambda: all(future.running() for future in cold))
            assert predict(client, "m0").json() == expected
            assert {future.result().status_code for future in cold} <= {503, 504}


@embedded_only
def test_a_database_that_fails_after_the_put_leaves_an_object_that_a_retry_takes_up(
    running: GatewayProcess, client: httpx.Client, bucket: Any, prefix: str
) -> None:
    content = content_of(1)
    upload(client, "first", content_of(2))
    with sqlite3.connect(running.data_dir / "registry.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        busy = send(client, "m", content)
        other.execute("ROLLBACK")
    assert_problem(busy, 503, code="registry_busy", detail="another writer holds the registry's database")
    assert key_of(prefix, content) in keys(bucket, prefix)
    code, report = sardonyx(running, "fsck")
    assert (code, [finding["kind"] for finding in report["findings"]]) == (1, ["bytes_without_row"])
    upload(client, "m", content)
    assert sardonyx(running, "fsck") == (0, {"findings": [], "discarded": []})


# --- imports ----------------------------------------------------------------------------------------------------------


def test_a_version_is_imported_from_an_allowed_bucket(client: httpx.Client, bucket: Any, prefix: str) -> None:
    content, source = content_of(1), f"s3://{BUCKET}/exports{prefix}/iris.onnx"
    bucket.put_object(Bucket=BUCKET, Key=f"exports{prefix}/iris.onnx", Body=content)
    answer = import_from(client, "imported", source, description="from afar", tags={"team": "flowers"})
    version = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, "/registry/models/imported/versions/1")
    assert {name: version[name] for name in ("digest", "location", "description", "tags")} == {
        "digest": f"sha256:{hex_of(content)}",
        "location": f"s3://{BUCKET}/{key_of(prefix, content)}",
        "description": "from afar",
        "tags": {"team": "flowers"},
    }
    assert predict(client, "imported").status_code == 200
    assert import_from(client, "imported", source).status_code == 200


def test_what_cannot_be_imported_is_refused_by_name(client: httpx.Client, bucket: Any, prefix: str) -> None:
    large, junk = f"exports{prefix}/large.onnx", f"exports{prefix}/junk.onnx"
    bucket.put_object(Bucket=BUCKET, Key=large, Body=bytes(1024 * 1024 + 1))
    bucket.put_object(Bucket=BUCKET, Key=junk, Body=b"PK\x03\x04 an archive")
    absent = "is not there, or the gateway may not read it: check bucket, key and policy"
    too_large = "the source is larger than 1048576 bytes, the most that is accepted"
    refusals = {
        f"s3://{BUCKET}/{prefix}/absent": (404, "source_not_found", f"'s3://{BUCKET}/{prefix}/absent' {absent}"),
        "s3://absent-bucket/model.onnx": (404, "source_not_found", f"'s3://absent-bucket/model.onnx' {absent}"),
        f"s3://{BUCKET}/{large}": (413, "too_large", too_large),
        f"s3://{BUCKET}/{junk}": (415, "unsupported_format", FOREIGN["zip"].says),
    }
    for source, (status, code, detail) in refusals.items():
        assert_problem(import_from(client, "refused", source), status, code=code, detail=detail)
    assert_nothing_was_imported(client, bucket, prefix)


def test_a_source_that_is_not_allowed_is_refused_before_any_request_leaves(
    client: httpx.Client, bucket: Any, prefix: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.setblocking(False)
        port = nobody.getsockname()[1]
        for source in (
            "s3://other-bucket/model.onnx",
            f"s3://{BUCKET}@127.0.0.1:{port}/model.onnx",
            f"s3://127.0.0.1:{port}/{BUCKET}/model.onnx",
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data",
            f"http://127.0.0.1:{port}/model.onnx",
            "gopher://127.0.0.1/",
            "/etc/passwd",
        ):
            detail = f"'{source}' is not allowed; versions are imported from s3://absent-bucket/, s3://{BUCKET}/"
            assert_problem(import_from(client, "refused", source), 422, code="source_not_allowed", detail=detail)
        with pytest.raises(BlockingIOError):  # nobody has come
            nobody.accept()
    assert_nothing_was_imported(client, bucket, prefix)


def assert_nothing_was_imported(client: httpx.Client, bucket: Any, prefix: str) -> None:
    missing = client.get("/registry/models/refused")
    assert_problem(missing, 404, code="model_not_found", detail="there is no model 'refused'")
    assert keys(bucket, prefix) == []
    upload(client, "good", content_of(1))
    assert predict(client, "good").status_code == 200


@embedded_only
def test_a_gateway_imports_from_nowhere_unless_it_is_told_to(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        answer = import_from(client, "refused", f"s3://{BUCKET}/model.onnx")
    detail = f"'s3://{BUCKET}/model.onnx' is not allowed; versions are imported from nowhere: no bucket is allowed"
    assert_problem(answer, 422, code="source_not_allowed", detail=detail)


def test_a_body_names_either_files_or_a_source(client: httpx.Client) -> None:
    body = {"source": f"s3://{BUCKET}/m", "files": {"model.onnx": "sha256:" + "0" * 64}}
    answer = client.post("/registry/models/both/versions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [violation["path"] for violation in answer.json()["violations"]] == ["/files"]


# --- files sent straight to the bucket --------------------------------------------------------------------------------


def offer(client: httpx.Client, content: bytes) -> dict[str, Any]:
    body = {"digest": f"sha256:{hex_of(content)}", "size_bytes": len(content)}
    answer = client.post("/registry/uploads", json=body)
    assert answer.status_code == 201, answer.text
    offered: dict[str, Any] = answer.json()
    return offered


def deliver(offered: dict[str, Any], content: bytes) -> int:
    """Send a file with somebody else's client, as the offer says; return the bucket's status."""
    with httpx.Client(trust_env=False) as foreign:
        return foreign.request(
            offered["method"], offered["url"], headers=offered["headers"], content=content
        ).status_code


def test_a_file_is_sent_straight_to_the_bucket_and_becomes_a_version(
    client: httpx.Client, bucket: Any, prefix: str
) -> None:
    content = content_of(1)
    digest = f"sha256:{hex_of(content)}"
    offered = offer(client, content)
    assert sorted(offered) == ["expires_at", "finish", "headers", "method", "url"]
    assert (offered["method"], offered["finish"]) == ("PUT", f"/registry/uploads/{digest}/finish")
    assert deliver(offered, content) == 200
    assert keys(bucket, prefix) == [f"{prefix}/uploads/{hex_of(content)}"]

    finished = client.post(offered["finish"])
    assert (finished.status_code, finished.json()) == (201, {"digest": digest, "size_bytes": len(content)})
    assert keys(bucket, prefix) == [key_of(prefix, content)]
    again = client.post(offered["finish"])
    assert (again.status_code, again.json()) == (200, {"digest": digest, "size_bytes": len(content)})

    version = client.post("/registry/models/large/versions", json={"files": {"model.onnx": digest}})
    assert version.status_code == 201
    assert predict(client, "large").status_code == 200
    assert deliver(offered, content) == 200
    assert client.post(offered["finish"]).status_code == 200


def test_an_offer_takes_no_other_bytes(client: httpx.Client, bucket: Any, prefix: str) -> None:
    content = content_of(1)
    offered = offer(client, content)
    altered = bytes(len(content))
    unsigned = {**offered, "headers": {"content-length": str(len(content))}}
    elsewhere = {**offered, "url": offered["url"].replace("/uploads/", "/sha256/")}
    assert [deliver(offered, altered), deliver(unsigned, content), deliver(elsewhere, content)] == [400, 403, 403]
    assert_problem(
        client.post(offered["finish"]),
        404,
        code="upload_not_found",
        detail=f"nothing was sent under sha256:{hex_of(content)}: send the bytes to the offered URL",
    )
    assert keys(bucket, prefix) == []


def test_a_bucket_that_took_other_bytes_all_the_same_is_found_out(
    client: httpx.Client, bucket: Any, prefix: str
) -> None:
    content, other = content_of(1), content_of(2)
    bucket.put_object(Bucket=BUCKET, Key=f"{prefix}/uploads/{hex_of(content)}", Body=other)
    detail = f"the bytes have the digest sha256:{hex_of(other)}, announced was sha256:{hex_of(content)}"
    finished = client.post(f"/registry/uploads/sha256:{hex_of(content)}/finish")
    assert_problem(finished, 422, code="digest_mismatch", detail=detail)
    assert keys(bucket, prefix) == []


def test_a_file_that_is_too_large_is_neither_offered_nor_taken_in(
    client: httpx.Client, bucket: Any, prefix: str
) -> None:
    digest = "0" * 64
    too_large = 1024 * 1024 + 1
    offered = client.post("/registry/uploads", json={"digest": f"sha256:{digest}", "size_bytes": too_large})
    bucket.put_object(Bucket=BUCKET, Key=f"{prefix}/uploads/{digest}", Body=bytes(too_large))
    finished = client.post(f"/registry/uploads/sha256:{digest}/finish")
    assert [(answer.status_code, answer.json()["code"]) for answer in (offered, finished)] == [(413, "too_large")] * 2
    assert keys(bucket, prefix) == []


def test_an_offer_with_a_wrong_field_is_refused(client: httpx.Client) -> None:
    for body in ({"digest": "md5:0", "size_bytes": 1}, {"digest": "sha256:" + "0" * 64, "size_bytes": -1}, {}):
        answer = client.post("/registry/uploads", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@embedded_only
def test_a_store_in_a_folder_says_where_to_send_bytes_instead(gateway: GatewayProcess) -> None:
    digest = "sha256:" + "0" * 64
    detail = "the artifact store is a folder: send the bytes here, with PUT /registry/blobs/sha256:<digest>"
    with gateway.client() as client:
        for answer in (
            client.post("/registry/uploads", json={"digest": digest, "size_bytes": 1}),
            client.post(f"/registry/uploads/{digest}/finish"),
        ):
            assert_problem(answer, 409, code="no_direct_uploads", detail=detail)
