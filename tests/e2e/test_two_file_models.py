"""Models whose weights lie in a file of their own: sent file by file, by REST, by the command and by the client."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.client import Client
from tests.support import models
from tests.support.gateway_process import SARDONYX, GatewayProcess
from tests.support.hostile_files import elsewhere
from tests.support.problems import assert_problem
from tests.support.real_models import plain_session
from tests.support.uploads import OCTETS, send
from tests.support.wire import Array, array_of, body_of, same_bits

JSON = {"content-type": "application/json"}
ROWS = np.random.default_rng(4).standard_normal((3, 512)).astype(np.float32)
NOWHERE = "sha256:" + "0" * 64

Files = dict[str, bytes]


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def two_files(seed: int, *, side: str = "model.onnx.data") -> Files:
    model = models.wide_linear(512, seed=seed)
    model.doc_string = str(seed)  # else the graphs of all seeds were the same bytes
    graph, weights = models.with_external_data(model, side)
    return {"model.onnx": graph, side: weights}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def send_files(client: httpx.Client, files: Files) -> dict[str, str]:
    """Send each file and return what the list of files says."""
    for content in files.values():
        assert client.put(f"/registry/blobs/{digest_of(content)}", content=content, headers=OCTETS).status_code == 201
    return {name: digest_of(content) for name, content in files.items()}


def register(client: httpx.Client, name: str, digests: dict[str, str]) -> httpx.Response:
    return client.post(f"/registry/models/{name}/versions", json={"files": digests})


def in_process(folder: Path, files: Files) -> Array:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (answer,) = plain_session(folder / "model.onnx").run(None, {"x": ROWS})
    assert isinstance(answer, np.ndarray)
    return answer


def over_http(client: httpx.Client, name: str) -> Array:
    answer = client.post(f"/v1/models/{name}/predict", content=body_of({"x": ROWS}), headers=JSON)
    assert answer.status_code == 200, answer.text
    return array_of(answer.json()["outputs"]["y"], np.dtype(np.float32))


def assert_no_version(client: httpx.Client, name: str) -> None:
    assert_problem(
        client.get(f"/registry/models/{name}"), 404, code="model_not_found", detail=f"there is no model '{name}'"
    )


def test_files_are_sent_listed_downloaded_and_served_to_the_bit(client: httpx.Client, tmp_path: Path) -> None:
    files = two_files(1)
    digests = {name: digest_of(content) for name, content in files.items()}
    for status in (201, 200):
        for content in files.values():
            put = client.put(f"/registry/blobs/{digest_of(content)}", content=content, headers=OCTETS)
            assert (put.status_code, put.json()) == (
                status,
                {"digest": digest_of(content), "size_bytes": len(content)},
            )
    registered = register(client, "two", digests)
    version = registered.json()
    lines = "".join(f"{digests[name].removeprefix('sha256:')} {name}\n" for name in sorted(digests))
    assert (registered.status_code, registered.headers["location"]) == (201, "/registry/models/two/versions/1")
    assert version["digest"] == digest_of(lines.encode())
    assert version["size_bytes"] == sum(map(len, files.values()))
    assert version["files"] == [
        {"name": name, "digest": digests[name], "size_bytes": len(files[name])} for name in sorted(files)
    ]
    for name, content in files.items():
        answer = client.get(f"/registry/models/two/versions/1/artifact/{name}")
        assert (answer.content, answer.headers["etag"]) == (content, f'"{digests[name]}"')
    assert client.get("/registry/models/two/versions/1/artifact").content == files["model.onnx"]
    assert same_bits([over_http(client, "two")], [in_process(tmp_path, files)])
    again = register(client, "two", digests)
    assert (again.status_code, again.json()) == (200, version)


def test_texts_come_with_the_list_of_files(client: httpx.Client) -> None:
    body = {"files": send_files(client, two_files(2)), "description": "in two", "tags": {"team": "vision"}}
    version = client.post("/registry/models/texts/versions", json=body).json()
    assert (version["description"], version["tags"]) == ("in two", {"team": "vision"})


def test_one_file_in_a_list_is_the_version_of_that_file(client: httpx.Client) -> None:
    content = models.linear(seed=5).SerializeToString()
    listed = register(client, "alone", send_files(client, {"any-name.onnx": content}))
    posted = send(client, "alone", content)
    assert (listed.status_code, posted.status_code, posted.json()) == (201, 200, listed.json())
    assert listed.json()["digest"] == digest_of(content)


def test_files_that_have_not_been_sent_are_named(client: httpx.Client) -> None:
    files = two_files(3)
    digests = {name: digest_of(content) for name, content in files.items()}
    detail = "upload the bytes first of " + ", ".join(f"'{name}' ({digest})" for name, digest in digests.items())
    assert_problem(register(client, "unsent", digests), 404, code="blob_not_found", detail=detail)
    client.put(f"/registry/blobs/{digests['model.onnx']}", content=files["model.onnx"], headers=OCTETS)
    detail = f"upload the bytes first of 'model.onnx.data' ({digests['model.onnx.data']})"
    assert_problem(register(client, "unsent", digests), 404, code="blob_not_found", detail=detail)
    assert_no_version(client, "unsent")
    client.put(f"/registry/blobs/{digests['model.onnx.data']}", content=files["model.onnx.data"], headers=OCTETS)
    assert register(client, "unsent", digests).status_code == 201


@pytest.mark.parametrize("side", ["weights.bin", None], ids=["another name", "no file"])
def test_a_graph_that_asks_for_a_file_that_is_not_listed_is_refused(client: httpx.Client, side: str | None) -> None:
    graph, weights = two_files(6 if side else 7).values()
    files = {"model.onnx": graph, **({side: weights} if side else {})}
    answer = register(client, "unlisted", send_files(client, files))
    assert_problem(answer, 422, code="external_data", detail=elsewhere("model.onnx.data"))
    assert_no_version(client, "unlisted")


@pytest.mark.parametrize("location", ["../model.onnx.data", "/etc/passwd", "a/../model.onnx.data"])
def test_a_graph_that_reaches_out_of_its_folder_is_refused(client: httpx.Client, location: str) -> None:
    graph, weights = two_files(8, side=location).values()
    for content in (graph, weights):
        client.put(f"/registry/blobs/{digest_of(content)}", content=content, headers=OCTETS)
    answer = register(client, "reaching", {"model.onnx": digest_of(graph), "model.onnx.data": digest_of(weights)})
    assert_problem(answer, 422, code="external_data", detail=elsewhere(location))
    assert_no_version(client, "reaching")


def test_weights_that_are_cut_short_are_refused(client: httpx.Client) -> None:
    graph, weights = two_files(9).values()
    answer = register(client, "cut", send_files(client, {"model.onnx": graph, "model.onnx.data": weights[:-1]}))
    assert_problem(answer, 422, code="external_data", detail=answer.json()["detail"])
    assert_no_version(client, "cut")
    digests = {"model.onnx": digest_of(graph), **send_files(client, {"model.onnx.data": weights})}
    assert register(client, "cut", digests).status_code == 201


@pytest.mark.parametrize("name", ["../evil.data", "/etc/passwd", ".hidden", "a/b.data", "a\\b", "a\nb", "", "n" * 300])
def test_files_have_plain_names(client: httpx.Client, name: str) -> None:
    answer = register(client, "evil", {"model.onnx": NOWHERE, name: NOWHERE})
    assert_problem(answer, 422, code="invalid_file_name", detail=answer.json()["detail"])
    assert answer.json()["detail"].isprintable()
    assert_no_version(client, "evil")


@pytest.mark.parametrize(
    "names",
    [["weights.data"], ["a.onnx", "b.onnx"], ["model.onnx", *(f"{number}.data" for number in range(64))]],
    ids=["no graph", "two graphs", "65 files"],
)
def test_a_version_has_one_graph_and_a_bounded_number_of_files(client: httpx.Client, names: list[str]) -> None:
    answer = register(client, "odd", dict.fromkeys(names, NOWHERE))
    detail = "a version has exactly one .onnx file and at most 64 files in all"
    assert_problem(answer, 422, code="invalid_files", detail=detail)
    assert_no_version(client, "odd")


def test_a_blob_has_the_digest_of_its_address(gateway: GatewayProcess, client: httpx.Client) -> None:
    content = b"other bytes"
    answer = client.put(f"/registry/blobs/{NOWHERE}", content=content, headers=OCTETS)
    detail = f"the bytes have the digest {digest_of(content)}, announced was {NOWHERE}"
    assert_problem(answer, 422, code="digest_mismatch", detail=detail)
    misspelt = client.put("/registry/blobs/sha256:abc", content=content, headers=OCTETS)
    detail = "'sha256:abc' is not a digest: write sha256: and 64 hexadecimal digits"
    assert_problem(misspelt, 422, code="invalid_request", detail=detail)
    assert list((gateway.data_dir / "spool").iterdir()) == []
    assert client.put(f"/registry/blobs/{digest_of(content)}", content=content, headers=OCTETS).status_code == 201


@pytest.mark.parametrize("way", ["command", "command over REST", "client"])
def test_the_files_beside_a_graph_are_found_and_sent(
    gateway: GatewayProcess, client: httpx.Client, tmp_path: Path, way: str
) -> None:
    expected = in_process(tmp_path, two_files(10 + len(way)))
    name = way.lower().replace(" ", "-")
    if way == "client":
        with Client(gateway.url) as here:
            here.register(tmp_path / "model.onnx", name=name)
    else:
        where = ["--url", gateway.url] if "REST" in way else []
        command = [SARDONYX, *where, "register", "model.onnx", "--name", name]
        run = subprocess.run(
            command, env=gateway.environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout.splitlines()[0]) == (0, f"Registered {name}:1"), run.stderr
    assert same_bits([over_http(client, name)], [expected])
