"""What the documentation shows is run, page by page, in the order in which it is read, against a real gateway.

Python blocks of a page share one namespace, shell blocks one folder. The gateway has the example models, as
``make run`` sets them up, and two more versions of ``iris``. Where a console block shows what is printed, just that is
printed. What is not run, and why, says ``tests/support/doc_blocks.py``.
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
from tests.support.doc_blocks import PAGES, ROOT, Block, blocks, typed
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.receiver import Receiver, running_receiver
from tests.support.scaling import scaling_model

ADDRESS = "127.0.0.1:8000"
"""Where the pages have the gateway."""

SHORTER = """
curl() { command curl --fail-with-body --silent --show-error "$@"; }
sardonyx() {
  case $1 in
    bench) command sardonyx "$@" --seconds 0.05 --rounds 1 ;;
    top) command sardonyx "$@" --interval 0.2 ;;
    watch) command sardonyx "$@" --after 0 --limit 1 ;;
    *) command sardonyx "$@" ;;
  esac
}
"""
"""Ways of the shell: an answer that is a refusal ends a script, and what would take long, or for ever, ends soon."""

MLMODEL = """\
flavors:
  onnx:
    data: model.onnx
    onnx_version: 1.23.2
mlflow_version: 3.17.2
model_uuid: m-5f1f
"""

RUN_PAGES = [page for page in PAGES if any(block.is_run for block in blocks(page))]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that looks at inputs, since a page shows what it sees, and tells a receiver on this machine."""
    data_dir = tmp_path_factory.mktemp("gateway") / "data"
    with running_gateway(data_dir, input_statistics="on", webhook_private="on") as running:
        yield running


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def served(gateway: GatewayProcess) -> GatewayProcess:
    """The gateway as `make run` leaves it, some moves and two versions later."""
    with Client(gateway.url) as client:
        for name, file in (("iris", "iris_logistic"), ("iris", "iris_forest"), ("blend", "blend")):
            client.register(ROOT / "examples" / f"{file}.onnx", name=name)
        for again in ("third", "fourth"):
            client.register(described(ROOT / "examples" / "iris_logistic.onnx", again), name="iris")
        for version in (2, 1, 2, 1):
            client.promote("iris", version, reason="the first examples")
        client.promote("iris", 4, alias="staging")
    return gateway


def described(path: Path, words: str) -> bytes:
    """Return a model whose bytes are others, by what it says of itself."""
    model = onnx.load(path)
    model.doc_string = words
    return bytes(model.SerializeToString())


@pytest.fixture
def stand_ins(served: GatewayProcess, receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    """What the pages name, and what is meant here."""
    with Client(served.url) as client:
        token = client.create_token("somebody", role="predict")["id"]
        webhook = client.create_webhook(receiver.url(), kinds=["token_created"])["id"]
        delivery = client.test_webhook(webhook)["id"]
    receiver.take_kind("ping")
    return {
        ADDRESS: served.url.removeprefix("http://"),
        "http://gateway:8000": served.url,
        "7zokx50lnkmy": token,
        "q3v8kd0tz5ma 42": f"{webhook} {delivery}",
        "q3v8kd0tz5ma": webhook,
        "https://example.org/sardonyx": receiver.url(),
        "/srv/model-repository": str(tmp_path / "model-repository"),
    }


@pytest.fixture
def folder(stand_ins: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, with the files that the pages speak of."""
    iris = ROOT / "examples" / "iris_logistic.onnx"
    shutil.copy(iris, tmp_path / "iris.onnx")
    onnx.save(
        scaling_model(2),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    golden = {"inputs": {"x": [[5.1, 3.5, 1.4, 0.2]]}, "outputs": {"label": [0]}}
    (tmp_path / "golden.json").write_text(json.dumps([golden]))
    for models in ("model-repository/flowers/1", "mlruns/1/models/m-5f1f/artifacts"):
        (tmp_path / models).mkdir(parents=True)
        shutil.copy(iris, tmp_path / models / "model.onnx")
    (tmp_path / "mlruns/1/models/m-5f1f/artifacts/MLmodel").write_text(MLMODEL)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (mine,) = (block.text for block in blocks("docs/first-model.md") if block.language == "python")
    (tmp_path / "mine.py").write_text(meant(mine, stand_ins))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def meant(text: str, stand_ins: dict[str, str]) -> str:
    for written, here in stand_ins.items():
        text = text.replace(written, here)
    return text


@pytest.fixture
def run(served: GatewayProcess, folder: Path, stand_ins: dict[str, str]) -> Iterator[Callable[[Block], None]]:
    namespace: dict[str, Any] = {"__name__": "__main__"}

    def run_block(block: Block) -> None:
        if block.language == "python":
            run_source(meant(block.text, stand_ins), namespace)
        elif block.language == "console":
            for step in typed(block):
                printed = shell(meant(step.command, stand_ins), served, folder).replace(stand_ins[ADDRESS], ADDRESS)
                assert not step.prints.strip() or printed.strip() == step.prints.strip()
        else:
            shell(meant(block.text, stand_ins), served, folder)

    yield run_block
    for value in namespace.values():
        if isinstance(value, Client):
            value.close()


def shell(script: str, gateway: GatewayProcess, folder: Path) -> str:
    """Run a script as somebody types it, but for what ``SHORTER`` says."""
    programs = f"{Path(sys.executable).parent}:{gateway.environment['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-euc", SHORTER + script],
        cwd=folder,
        env=gateway.environment | {"PATH": programs, "SARDONYX_URL": gateway.url, "PWD": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages type curl, which is not installed here")
@pytest.mark.parametrize("page", RUN_PAGES)
def test_what_a_page_shows_runs(page: str, run: Callable[[Block], None]) -> None:
    for block in blocks(page):
        if block.is_run:
            run(block)
