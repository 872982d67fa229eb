"""What the documentation shows is run, page by page, in the order in which it is read, against a real gateway.

Python blocks of a page share one namespace, shell blocks one folder. The gateway has the example models, as
``make run`` sets them up. Where a console block shows what is printed, just that is printed.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from gateway.client import Client
from tests.notebook import run_source
from tests.support.doc_blocks import PAGES, ROOT, RUN, Block, blocks, typed
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.scaling import scaling_model

ADDRESS = "127.0.0.1:8000"
"""Where the pages have the gateway."""

NOT_RUN = {
    "README.md, A first session, 1": "tests/e2e/test_readme.py types it, against `make run` itself",
    "docs/data-scientists.md, Import from a bucket, 1": "needs a bucket: tests/e2e/test_s3_gateway.py",
    "docs/protocols/open-inference.md, Open Inference Protocol, version 2, over REST, 1": (
        "a client in an environment of its own: tests/clients/test_triton_http_client.py"
    ),
    "docs/protocols/grpc.md, The Open Inference Protocol over gRPC, 1": (
        "a client in an environment of its own: tests/clients/test_triton_grpc_client.py"
    ),
    "docs/first-model.md, 2. What trains models, 1": "installs from the network what the tests have already",
    "docs/webhooks.md, A receiver, 1": "serves until it is ended: tests/e2e/test_webhooks.py runs it and sends to it",
}
"""Blocks that are not run, and why."""

OURS = ("README.md", "docs/callers.md", "docs/data-scientists.md", "docs/first-model.md", "docs/protocols/binary.md")
"""The pages about our own client, command line and routes: there, each block says what it is."""

RUN_PAGES = [
    page for page in PAGES if any(block.language in RUN and block.name not in NOT_RUN for block in blocks(page))
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that looks at inputs, since a page shows what it sees."""
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data", input_statistics="on") as running:
        yield running


@pytest.fixture(scope="module")
def served(gateway: GatewayProcess) -> GatewayProcess:
    """The gateway as `make run` leaves it."""
    with Client(gateway.url) as client:
        for name, file in (("iris", "iris_logistic"), ("iris", "iris_forest"), ("blend", "blend")):
            client.register(ROOT / "examples" / f"{file}.onnx", name=name)
        client.promote("iris", 1, reason="the first example")
    return gateway


@pytest.fixture
def folder(served: GatewayProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, with the files that the pages speak of."""
    shutil.copy(ROOT / "examples" / "iris_logistic.onnx", tmp_path / "iris.onnx")
    onnx.save(
        scaling_model(2),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    golden = {"inputs": {"x": [[5.1, 3.5, 1.4, 0.2]]}, "outputs": {"label": [0]}}
    (tmp_path / "golden.json").write_text(json.dumps([golden]))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (mine,) = (block.text for block in blocks("docs/first-model.md") if block.language == "python")
    (tmp_path / "mine.py").write_text(mine.replace(ADDRESS, served.url.removeprefix("http://")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(served: GatewayProcess, folder: Path) -> Iterator[Callable[[Block], None]]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    here = served.url.removeprefix("http://")

    def run_block(block: Block) -> None:
        if block.language == "python":
            run_source(block.text.replace(ADDRESS, here), namespace)
        elif block.language == "console":
            for step in typed(block):
                printed = shell(step.command.replace(ADDRESS, here), served, folder)
                assert not step.prints.strip() or printed.replace(here, ADDRESS).strip() == step.prints.strip()
        else:
            shell(block.text.replace(ADDRESS, here), served, folder)

    yield run_block
    for value in namespace.values():
        if isinstance(value, Client):
            value.close()


def shell(script: str, gateway: GatewayProcess, folder: Path) -> str:
    """Run a script as somebody types it, but for curl: that an answer is a refusal ends it."""
    programs = f"{Path(sys.executable).parent}:{gateway.environment['PATH']}"
    fails = 'curl() { command curl --fail-with-body --silent --show-error "$@"; }\n'
    done = subprocess.run(
        ["/bin/bash", "-euc", fails + script],
        cwd=folder,
        env=gateway.environment | {"PATH": programs, "SARDONYX_URL": gateway.url, "PWD": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages type curl, which is not installed here")
@pytest.mark.parametrize("page", RUN_PAGES)
def test_what_a_page_shows_runs(page: str, run: Callable[[Block], None]) -> None:
    for block in blocks(page):
        if block.language in RUN and block.name not in NOT_RUN:
            run(block)


def test_what_is_not_run_exists_and_is_little() -> None:
    names = {block.name for page in PAGES for block in blocks(page) if block.language in RUN}
    assert set(NOT_RUN) <= names
    assert len(NOT_RUN) <= 6


@pytest.mark.parametrize("page", OURS)
def test_a_block_says_what_it_is(page: str) -> None:
    unknown = [block.name for block in blocks(page) if block.language not in RUN | {"json", "text"}]
    assert unknown == []


@pytest.mark.parametrize("page", OURS)
def test_what_is_json_reads_as_json(page: str) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)
