"""The graph of a version without its weights, as those who draw it ask for it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import pytest

from gateway.client import Client
from tests.support import models
from tests.support.files import paths_below
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.problems import assert_problem

GRAPH = "/registry/models/wide/versions/{}/graph"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("graphs") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened, Client(gateway.url) as registering:
        for seed in range(2):
            registering.register(models.wide_linear(256, seed=seed).SerializeToString(), name="wide")
        assert opened.delete("/registry/models/wide/versions/2").status_code == 200
        yield opened


def test_the_graph_comes_without_its_weights_and_is_kept(client: httpx.Client, gateway: GatewayProcess) -> None:
    answer = client.get(GRAPH.format(1))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert answer.headers["content-disposition"] == 'attachment; filename="wide-1.onnx"'
    graph = onnx.load_from_string(answer.content).graph
    assert (graph.node[0].op_type, list(graph.initializer[0].dims)) == ("MatMul", [256, 256])
    assert len(answer.content) < 1000
    (kept,) = (path for path in paths_below(gateway.data_dir / "cache") if path.name == "graph.onnx")
    assert kept.read_bytes() == answer.content == client.get(GRAPH.format(1)).content


def test_who_has_it_already_is_told_so(client: httpx.Client) -> None:
    tag = client.get(GRAPH.format(1)).headers["etag"]
    answer = client.get(GRAPH.format(1), headers={"if-none-match": tag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert client.get(GRAPH.format(1), headers={"if-none-match": '"other"'}).status_code == 200


def test_a_retired_version_and_one_that_never_was_are_told_apart(client: httpx.Client) -> None:
    assert_problem(
        client.get(GRAPH.format(2)), 410, code="version_retired", detail="version 2 of model 'wide' is retired"
    )
    assert_problem(client.get(GRAPH.format(9)), 404, code="version_not_found", detail="model 'wide' has no version 9")


def test_the_page_of_a_retired_version_has_nothing_to_try(client: httpx.Client) -> None:
    pages = [client.get(f"/console/models/wide/versions/{number}").text for number in (1, 2)]
    assert ['id="try-it"' in page for page in pages] == [True, False]
    assert client.get("/console/models/wide/versions/2/graph").status_code == 410


def test_the_gateway_never_imports_the_parser(client: httpx.Client, gateway: GatewayProcess) -> None:
    assert client.get(GRAPH.format(1)).status_code == 200
    for pid in gateway.workers():
        mapped = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
        assert "onnx_cpp2py_export" not in mapped
