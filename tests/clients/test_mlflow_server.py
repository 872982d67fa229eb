"""A real MLflow server's models come in: what MLflow has logged and saved itself, with weights beside the graph."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.entry import main
from gateway.client import Client
from tests.support.environments import NoNetworkError, is_unattended, make_environment
from tests.support.foreign_clients import ENVIRONMENTS, SCRIPTS
from tests.support.gateway_process import GatewayProcess, clean_environment, fixed_port, running_gateway

pytestmark = pytest.mark.timeout(600)  # its environment, which is large, may have to be made

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where the server is, and the folder with the model that was saved."""
    try:
        python = make_environment(ENVIRONMENTS / "mlflow", SCRIPTS / "mlflow" / "requirements.txt")
    except NoNetworkError as error:
        if is_unattended():
            raise
        pytest.skip(f"no network to install MLflow from: {error}")
    folder = tmp_path_factory.mktemp("mlflow")
    command = [str(python), "-W", "ignore", str(SCRIPTS / "mlflow_server.py"), str(folder), str(fixed_port())]
    quiet = clean_environment() | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=quiet, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None
        found: list[dict[str, str]] = []
        for line in process.stdout:
            if line.startswith(b'{"url"'):
                found.append(json.loads(line))
                break
        assert found, (folder / "log").read_text()[-4000:] + (folder / "server.log").read_text()[-4000:]
        yield found[0]


@pytest.fixture
def sardonyx(gateway: GatewayProcess, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process and return its JSON, or its problem's."""

    def run(*arguments: str, exit_code: int = 0) -> Any:
        with pytest.raises(SystemExit) as caught:
            main(["--url", gateway.url, "--json", *arguments])
        printed = capsys.readouterr()
        assert caught.value.code == exit_code, printed.err
        return json.loads(printed.out or printed.err)

    return run


def test_registered_models_come_in_with_their_versions_and_aliases(
    sardonyx: Run, mlflow: dict[str, str], gateway: GatewayProcess
) -> None:
    planned = sardonyx("import-mlflow", mlflow["url"], "--promote", "--dry-run")
    brought = sardonyx("import-mlflow", mlflow["url"], "--promote")
    again = sardonyx("import-mlflow", mlflow["url"])

    states = [
        [(one["source"], one["version"], one["state"]) for one in found["versions"]]
        for found in (planned, brought, again)
    ]
    sources = ("Scale Net/1", "Scale Net/2")
    assert states == [
        [(source, None, "would be registered") for source in sources],
        [(source, number, "registered") for number, source in enumerate(sources, start=1)],
        [(source, number, "there already") for number, source in enumerate(sources, start=1)],
    ]
    assert brought["notes"] == ["Scale Net is called scale-net here"]
    with Client(gateway.url) as client:
        assert client.show("scale-net")["aliases"] == {"champion": 2, "production": 1}
        assert client.predict("scale-net@champion", [[2.0] * 512])["y"].tolist() == [[6.0] * 512]
        first = client.version("scale-net", 1).document
    assert (first["description"], first["tags"]["mlflow.version"], len(first["files"])) == ("doubles", "1", 2)


def test_a_folder_that_mlflow_has_saved_comes_in(sardonyx: Run, mlflow: dict[str, str]) -> None:
    brought = sardonyx("import-mlflow", mlflow["folder"], "--name", "saved", "--promote")

    assert [(one["name"], one["version"], one["state"]) for one in brought["versions"]] == [("saved", 1, "registered")]
    assert brought["promotions"] == [
        {"model": "saved", "alias": "production", "version": 1, "moved": True, "refused": None}
    ]


def test_a_model_that_the_server_does_not_have_is_said(sardonyx: Run, mlflow: dict[str, str]) -> None:
    problem = sardonyx("import-mlflow", mlflow["url"], "--model", "nobody", exit_code=2)

    assert (problem["code"], problem["detail"]) == ("nothing_to_import", f"{mlflow['url']} has no model nobody")


def test_what_is_no_mlflow_server_is_said(sardonyx: Run, gateway: GatewayProcess) -> None:
    assert sardonyx("import-mlflow", gateway.url, exit_code=2)["code"] == "nothing_to_import"


def test_a_folder_without_a_model_is_bad_input(sardonyx: Run, tmp_path: Path) -> None:
    assert sardonyx("import-mlflow", str(tmp_path), exit_code=2)["code"] == "file_error"
