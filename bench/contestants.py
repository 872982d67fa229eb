"""Who is compared: how each is started, where it predicts, and what a right answer is."""

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson

from bench.servers import ROOT, Server, free_port
from examples import first_run

BODY = b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}'
FLOWER = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)
MODEL = ROOT / "examples" / "iris_logistic.onnx"


class WrongAnswerError(Exception):
    """A server answered something else than the model does."""


class Contestant(ABC):
    """One row of the table."""

    name: str
    path: str

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        """What each request brings besides."""

    @abstractmethod
    def start(self, folder: Path, core: int) -> Server:
        """Start it, with its log and data in the folder."""

    @abstractmethod
    def check(self, body: bytes) -> None:
        """Raise WrongAnswerError unless the answer's body is right."""

    def prepare(self, server: Server) -> None:  # noqa: B027  most have nothing to prepare
        """Do what is needed once the server is ready; nothing, mostly."""


class Gateway(Contestant):
    """This gateway as it comes, with the example model registered and promoted."""

    name = "sardonyx"
    path = "/models/iris/predict"

    def start(self, folder: Path, core: int) -> Server:
        port = free_port()
        program = str(Path(sys.executable).with_name("sardonyx"))
        where = ["--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder / "data")]
        command = [program, "serve", "--workers", "1", *where]
        return Server(command, port=port, ready_path="/health/ready", log=folder / "sardonyx.log", core=core)

    def prepare(self, server: Server) -> None:
        version = first_run.register(server.port, "iris", MODEL, "the example")
        first_run.promote_unless_promoted(server.port, "iris", version)

    def check(self, body: bytes) -> None:
        _check_outputs(orjson.loads(body)["outputs"])


class GatewayWithTokens(Gateway):
    """The same, asking for an access token."""

    name = "sardonyx with tokens"

    def start(self, folder: Path, core: int) -> Server:
        port = free_port()
        program = str(Path(sys.executable).with_name("sardonyx"))
        settings = {"SARDONYX_DATA_DIR": str(folder / "guarded"), "SARDONYX_AUTH": "on", "SARDONYX_PORT": str(port)}
        create = [program, "token", "create", "bench", "--role", "admin"]
        environment = {**os.environ, **settings}  # noqa: TID251  a program of its own
        token = subprocess.run(create, env=environment, check=True, capture_output=True, text=True).stdout.strip()
        self.headers = {"authorization": f"Bearer {token}"}
        log = folder / "sardonyx-with-tokens.log"
        return Server([program, "serve"], port=port, ready_path="/health/ready", log=log, core=core, settings=settings)

    def prepare(self, server: Server) -> None:
        os.environ["SARDONYX_TOKEN"] = self.headers["authorization"].split()[1]  # noqa: TID251  where it is looked for
        try:
            super().prepare(server)
        finally:
            del os.environ["SARDONYX_TOKEN"]  # noqa: TID251  as above


class Uvicorn(Contestant):
    """An ASGI app under uvicorn's command line, with its defaults and the options given."""

    def __init__(self, name: str, app: str, path: str, *options: str) -> None:
        super().__init__()
        self.name = name
        self.path = path
        self._app = app
        self._options = options

    def start(self, folder: Path, core: int) -> Server:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", self._app, "--port", str(port), *self._options]
        log = folder / f"{self.name.replace(' ', '-')}.log"
        return Server(command, port=port, ready_path="/", log=log, core=core)

    def check(self, body: bytes) -> None:
        _check_outputs(orjson.loads(body))


class BareOk(Uvicorn):
    """No model at all: what the server and the load generator leave for the work."""

    def check(self, body: bytes) -> None:
        if body != b"ok":
            raise WrongAnswerError(body)


CONTESTANTS: tuple[Contestant, ...] = (
    Gateway(),
    GatewayWithTokens(),
    Uvicorn("handwritten", "bench.peers.handwritten:app", "/predict"),
    Uvicorn("handwritten no access log", "bench.peers.handwritten:app", "/predict", "--no-access-log"),
    BareOk("bare ok", "bench.peers.bare_ok:app", "/", "--no-access-log"),
)
BASELINE = "handwritten"


def _check_outputs(outputs: dict[str, Any]) -> None:
    """Compare with the runtime in this process, to the last bit."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], {"x": FLOWER})
    received = np.array(outputs["probabilities"], np.float32)
    if outputs["label"] != label.tolist() or received.tobytes() != probabilities.tobytes():
        raise WrongAnswerError(outputs)
