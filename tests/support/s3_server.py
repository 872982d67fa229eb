"""A real S3 server for tests: SeaweedFS on loopback, with a folder, ports and credentials of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from model_store.s3.bucket import Bucket
from model_store.s3.client import S3Client
from model_store.s3.store import S3Store
from tests.support.gateway_process import fixed_port

WEED = str(Path(sys.executable).with_name("weed"))
BUCKET = "models"

_START_SECONDS = 60.0
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A server that runs, with one bucket named ``models``."""

    endpoint_url: str
    access_key: str
    secret_key: str
    process: "subprocess.Popen[bytes]"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that give boto3's usual chain the credentials, and keep it from looking elsewhere."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def give_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process, and those it starts, find the credentials in their environment, and no proxy."""
        for name in list(os.environ):  # noqa: TID251 - children get our environment
            if name.startswith("AWS_") or name.lower().endswith("_proxy"):
                monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def client(self) -> Any:
        """Return a plain client, to look behind our code and to break what is there."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={},
            ),
        )

    def store(self, *, prefix: str | None = None, bucket: str = BUCKET, **options: Any) -> S3Store:
        """Return a store below a prefix of its own, unless told which; within ``environment``."""
        place = Bucket(S3Client(self.endpoint_url), bucket, prefix or new_prefix(), page_size=2)
        return S3Store(place, **options)

    def kill(self) -> None:
        """End the server and all its processes at once: SIGTERM takes it seconds, and nothing of it is kept."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have the server take connections and never answer, for as long as the block takes."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)


@contextmanager
def running_s3_server(host: str = "127.0.0.1") -> Iterator[S3Server]:
    """Start a server in a folder of its own, wait until it stores, and kill it at the end.

    Args:
        host: the address that it listens on.
    """
    folder = Path(tempfile.mkdtemp(prefix="s3-"))  # not pytest's: a socket's path must be short
    ports = {name: fixed_port() for name in _PORTS}
    access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
    command = [
        WEED,
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        f"-bucket={BUCKET}",
        f"-ip={host}",
        f"-ip.bind={host}",
        "-master.telemetry=false",  # it is on by default, and calls out
        "-s3.autoCreateBucket=false",
        *(f"-{name}={port}" for name, port in ports.items()),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        f"-filer.localSocket={folder}/filer.sock",
        f"-s3.localSocket={folder}/s3.sock",
    ]
    environment = {
        "HOME": str(folder),
        "PATH": os.defpath,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
    }
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = S3Server(
        endpoint_url=f"http://{host}:{ports['s3.port']}",
        access_key=access_key,
        secret_key=secret_key,
        process=process,
    )
    try:
        _wait_until_it_stores(server, log_path)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def new_prefix() -> str:
    """Return a prefix that nobody else writes below."""
    return f"tests/{secrets.token_hex(8)}"


def _wait_until_it_stores(server: S3Server, log_path: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    client = server.client()
    while True:
        try:
            client.put_object(Bucket=BUCKET, Key="first", Body=b"")
            client.delete_object(Bucket=BUCKET, Key="first")
        except (BotoCoreError, ClientError) as error:
            if server.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the S3 server did not start: {log_path.read_text()[-4000:]}") from error
            time.sleep(0.05)
        else:
            return
