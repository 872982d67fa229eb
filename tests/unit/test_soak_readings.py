"""What the soak reads of a gateway is what is there: here, of a process of the test's own."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.soak_readings import Readings

HOLDING = """
import socket, sys, threading
held = [open(sys.argv[1]) for _ in range(3)]
server = socket.create_server(("127.0.0.1", 0))
thread = threading.Thread(target=lambda: held.append(server.accept()), daemon=True)
thread.start()
print(server.getsockname()[1], flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Give the process id and the port of a process that has a file open three times, and a second thread."""
    (tmp_path / "database").write_bytes(b"")
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "database")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.kill()


def test_everything_is_counted(holder: tuple[int, int], tmp_path: Path) -> None:
    pid, port = holder
    scratch = tmp_path / "scratch"
    (scratch / "deeper").mkdir(parents=True)
    (scratch / "deeper" / "left").write_bytes(b"")
    database = str(tmp_path / "database")
    read = Readings(pid, [port], [scratch, tmp_path / "nowhere"], lambda links: list(links).count(database)).read()
    counts = {measure: count for measure, count in read.items() if not measure.endswith("bytes")}
    assert counts == {
        "descriptors of all": 7,  # the three of every process, the file three times, the socket
        "threads of all": 2,
        "descriptors of workers": 0,
        "threads of workers": 0,
        "processes": 1,
        "most descriptors of a process": 7,
        "connections of clients": 0,
        "temporary files": 1,
        "connections to the database": 3,
    }
    assert 0 < read["anonymous of all, bytes"] < read["RSS of all, bytes"]


def test_a_connection_counts_until_it_is_closed(holder: tuple[int, int]) -> None:
    pid, port = holder
    readings = Readings(pid, [port], [], lambda _links: 0)
    with ExitStack() as opened:
        opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert readings.read()["connections of clients"] == 1
