"""Who is compared: how each is started, where it predicts, and what a right answer is."""

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from bench.environments import find_python
from bench.models import BenchModel, Question
from bench.servers import ROOT, Server, free_port
from bench.wires import LISTS, OPEN_INFERENCE, ROWS, SARDONYX, Wire, WrongAnswerError, compare
from examples import first_run

PEER_START_SECONDS = 120


class Contestant(ABC):
    """One row of a table: a server with one model in it."""

    name: str
    path: str
    wire: Wire
    is_exact = True
    """Whether each answer must have the bits that the runtime in this process gives."""

    def __init__(self, model: BenchModel) -> None:
        self.model = model
        self.headers: dict[str, str] = {}
        """What each request brings besides."""

    @abstractmethod
    def start(self, folder: Path, core: int | None) -> Server:
        """Start it, with its log and data in the folder."""

    def prepare(self, server: Server) -> None:  # noqa: B027  most have nothing to prepare
        """Do what is needed once the server is ready; nothing, mostly."""

    @cached_property
    def body(self) -> bytes:
        """The body that the load generator sends."""
        return self.encode(self.model.questions[0])

    def encode(self, question: Question) -> bytes:
        return self.wire.encode(question.x)

    def check(self, body: bytes, question: Question) -> None:
        """Raise WrongAnswerError unless the answer's body is right."""
        try:
            received = self.wire.decode(body)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise WrongAnswerError(f"unreadable: {body[:300]!r}") from error
        compare(received, question, exactly=self.is_exact)

    def log(self, folder: Path) -> Path:
        return folder / f"{self.name.replace(' ', '-')}.log"


class Gateway(Contestant):
    """This gateway as it comes, with the model registered and promoted."""

    name = "sardonyx"
    wire = SARDONYX

    def __init__(self, model: BenchModel, *, batching: str | None = None) -> None:
        super().__init__(model)
        self.path = f"/models/{model.name}/predict"
        self._batching = batching
        if batching is not None:
            self.name = f"sardonyx, batching {batching}"

    def start(self, folder: Path, core: int | None) -> Server:
        return self._start({"SARDONYX_DATA_DIR": str(folder / self.log(folder).stem)}, self.log(folder), core)

    def prepare(self, server: Server) -> None:
        version = first_run.register(server.port, self.model.name, self.model.path, "for the benchmark")
        if self._batching is not None:
            route = f"/registry/models/{self.model.name}/versions/{version}"
            body = f'{{"batching": "{self._batching}"}}'.encode()
            status, answer = first_run.ask(server.port, "PATCH", route, body)
            if status != 200:
                raise first_run.RefusedError(f"batching {self._batching} was refused: {answer}")
        first_run.promote_unless_promoted(server.port, self.model.name, version)

    def _start(self, settings: dict[str, str], log: Path, core: int | None) -> Server:
        port = free_port()
        settings = {**settings, "SARDONYX_HOST": "127.0.0.1", "SARDONYX_PORT": str(port), "SARDONYX_WORKERS": "1"}
        command = [_program(), "serve"]
        return Server(command, port=port, ready_path="/health/ready", log=log, core=core, settings=settings)


class GatewayWithTokens(Gateway):
    """The same, asking for an access token."""

    name = "sardonyx, tokens on"

    def start(self, folder: Path, core: int | None) -> Server:
        settings = {"SARDONYX_DATA_DIR": str(folder / "guarded"), "SARDONYX_AUTH": "on"}
        create = [_program(), "token", "create", f"bench-{self.model.name}", "--role", "admin"]
        environment = {**os.environ, **settings}  # noqa: TID251  a program of its own
        token = subprocess.run(create, env=environment, check=True, capture_output=True, text=True).stdout.strip()
        self.headers = {"authorization": f"Bearer {token}"}
        return self._start(settings, self.log(folder), core)

    def prepare(self, server: Server) -> None:
        os.environ["SARDONYX_TOKEN"] = self.headers["authorization"].split()[1]  # noqa: TID251  where it is looked for
        try:
            super().prepare(server)
        finally:
            del os.environ["SARDONYX_TOKEN"]  # noqa: TID251  as above


class Uvicorn(Contestant):
    """An ASGI app under uvicorn's command line, in our environment, with its defaults and the options given."""

    app: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()
    ready_path: ClassVar[str] = "/openapi.json"

    def start(self, folder: Path, core: int | None) -> Server:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", self.app, "--port", str(port), *self.options]
        settings = {"BENCH_MODEL": str(self.model.path)}
        return Server(
            command, port=port, ready_path=self.ready_path, log=self.log(folder), core=core, settings=settings
        )


class Handwritten(Uvicorn):
    """The app that people write by hand."""

    name = "handwritten"
    path = "/predict"
    wire = LISTS
    app = "bench.peers.handwritten:app"


class HandwrittenQuiet(Handwritten):
    """The same without a line for each request."""

    name = "handwritten, no access log"
    options = ("--no-access-log",)


class BareOk(Uvicorn):
    """No model at all: what the server and the load generator leave for the work."""

    name = "bare ok"
    path = "/"
    wire = LISTS
    ready_path = "/"
    app = "bench.peers.bare_ok:app"
    options = ("--no-access-log",)

    def check(self, body: bytes, question: Question) -> None:  # noqa: ARG002  whatever is asked
        if body != b"ok":
            raise WrongAnswerError(body)


class Peer(Contestant):
    """Another server, from an environment of its own, in the way that ``bench/peers/<peer>/serve.py`` starts it."""

    is_exact = False
    peer: ClassVar[str]
    ready_path: ClassVar[str]

    def start(self, folder: Path, core: int | None) -> Server:
        port = free_port()
        own = folder / f"{self.peer}-{self.model.name}-{port}"
        own.mkdir()
        command = [str(find_python(self.peer)), "-m", f"bench.peers.{self.peer}.serve", "--model", str(self.model.path)]
        command += ["--port", str(port), "--folder", str(own)]
        return Server(
            command,
            port=port,
            ready_path=self.ready_path,
            log=self.log(folder),
            core=core,
            settings={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            start_seconds=PEER_START_SECONDS,
        )


class Triton(Peer):
    name = "Triton (Python back end)"
    peer = "triton"
    path = "/v2/models/model/infer"
    wire = OPEN_INFERENCE
    ready_path = "/v2/health/ready"


class MLServer(Peer):
    name = "MLServer"
    peer = "mlserver"
    path = "/v2/models/model/infer"
    wire = OPEN_INFERENCE
    ready_path = "/v2/models/model/ready"


class KServe(Peer):
    name = "KServe"
    peer = "kserve"
    path = "/v2/models/model/infer"
    wire = OPEN_INFERENCE
    ready_path = "/v2/models/model/ready"


class LitServe(Peer):
    name = "LitServe"
    peer = "litserve"
    path = "/predict"
    wire = LISTS
    ready_path = "/health"


class BentoML(Peer):
    name = "BentoML"
    peer = "bentoml"
    path = "/predict"
    wire = ROWS
    ready_path = "/readyz"


class RayServe(Peer):
    name = "Ray Serve"
    peer = "ray"
    path = "/predict"
    wire = LISTS
    ready_path = "/-/healthz"


PEERS: tuple[type[Peer], ...] = (Triton, MLServer, KServe, LitServe, BentoML, RayServe)


def _program() -> str:
    return str(Path(sys.executable).with_name("sardonyx"))
