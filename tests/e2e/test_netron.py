"""What is served of Netron: a fixed list, under a policy of its own; nothing in a path reaches the file system."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from gateway.client import Client
from gateway.web.console.netron import POLICY, SERVED
from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.tokens import bearer, make_token

NETRON = f"/console/netron/{version('netron')}"
PACKAGE = Path((find_spec("netron").submodule_search_locations or [""])[0])  # type: ignore[union-attr]  # it is installed
PAGE = f"{NETRON}/graph?model=iris&version=1"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("netron") / "data", auth="on") as running:
        token = make_token(running.data_dir, "publish").text
        with Client(running.url, token=token) as client:
            client.register(models.linear().SerializeToString(), name="iris")
        yield running


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client(headers=bearer(make_token(gateway.data_dir, "predict").text)) as opened:
        yield opened


def test_the_list_is_served_as_the_package_has_it_and_kept_for_ever(client: httpx.Client) -> None:
    for name, media_type in SERVED.items():
        answer = client.get(f"{NETRON}/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.content == (PACKAGE / name).read_bytes()
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        *("server.py", "__init__.py", "index.html", "keras.js", "onnx.py", "", "INDEX.JS", "index.js%00"),
        *("..%2Fnetron%2Findex.js", "%2e%2e%2fsite.py", "..", "%2Fetc%2Fpasswd", "index.js/", "a%2Findex.js"),
    ],
)
def test_nothing_else_is(client: httpx.Client, path: str) -> None:
    assert client.get(f"{NETRON}/{path}").status_code == 404


def test_of_another_release_there_is_nothing(client: httpx.Client) -> None:
    assert client.get("/console/netron/0.0.1/index.js").status_code == 404
    assert client.get("/console/netron/..%2F..%2F/index.js").status_code == 404


def test_its_page_reports_to_nobody_and_opens_the_graph_of_one_version(client: httpx.Client) -> None:
    answer = client.get(PAGE)
    told = dict(re.findall(r'<meta name="(version|date|file|identifier)" content="([^"]*)">', answer.text))
    assert told == {
        "version": "0.0.0",
        "file": "../../models/iris/versions/1/graph.onnx",
        "identifier": "iris-1.onnx",
    }
    assert (answer.headers["content-security-policy"], answer.headers["set-cookie"]) == (
        POLICY,
        "consent=1; Path=/console/netron/; SameSite=Strict",
    )
    assert client.get("/console/models/iris/versions/1/graph.onnx").status_code == 200


@pytest.mark.parametrize("query", ['model="><script>&version=1', "model=../x&version=1", "model=iris&version=1/..", ""])
def test_a_page_for_what_is_no_version_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"{NETRON}/graph?{query}")
    assert answer.status_code in {400, 404, 422}
    assert "<script>" not in answer.text


def test_whoever_is_not_signed_in_gets_none_of_it(gateway: GatewayProcess) -> None:
    with gateway.client() as stranger:
        paths = (PAGE, f"{NETRON}/index.js", "/console/models/iris/versions/1/graph.onnx")
        assert [stranger.get(path).status_code for path in paths] == [303, 303, 303]


def test_a_token_for_another_model_does_not_see_the_graph(gateway: GatewayProcess) -> None:
    token = make_token(gateway.data_dir, "predict", models="other").text
    with gateway.client(headers=bearer(token)) as other:
        paths = ("/registry/models/iris/versions/1/graph", "/console/models/iris/versions/1/graph.onnx")
        assert [other.get(path).status_code for path in paths] == [403, 403]
