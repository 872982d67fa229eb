"""Servers of the benchmarks: none outlives its turn, and one that does not start is left out with a word."""

import argparse
import os
import sys
from pathlib import Path

import pytest

from bench.against_peers import Skipped, run_turns
from bench.contestants import Contestant
from bench.journal import Journal
from bench.measuring import Cores
from bench.servers import Server, ServerFailedError
from bench.wires import LISTS

WITH_A_CHILD = """
import signal, subprocess, sys
child = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1], 'w').write('up\\\\n') "
child += "and signal.pause()"
held = open(sys.argv[1], "w")
subprocess.Popen([sys.executable, "-c", child, sys.argv[1]], pass_fds=[held.fileno()])
held.close()
signal.pause()
"""


def test_what_a_server_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", WITH_A_CHILD, str(pipe)]
    server = Server(command, port=0, ready_path="/", log=tmp_path / "log")
    with pipe.open() as words:
        assert words.readline() == "up\n"
        server.stop()
        assert words.read() == ""  # the pipe ends when its last writer, the child, is gone


def test_a_server_that_ends_at_once_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    server = Server(
        [sys.executable, "-c", "raise SystemExit('no such model')"], port=1, ready_path="/", log=tmp_path / "log"
    )
    with pytest.raises(ServerFailedError, match="no such model"):
        server.wait_until_ready()


class Broken(Contestant):
    """Never starts, and counts how often that was tried."""

    name = "broken"
    path = "/"
    wire = LISTS
    tried = 0

    def start(self, folder: Path, core: int | None) -> Server:  # noqa: ARG002  it does not get that far
        Broken.tried += 1
        raise ServerFailedError("not ready: it has no legs")


def test_a_server_that_does_not_start_is_left_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.against_peers.CONTESTANTS", (Broken,))
    arguments = argparse.Namespace(rounds=3, seconds=1, only=None, model=["tiny"], minutes=1.0)
    journal, skipped = Journal(tmp_path / "peers.jsonl", {}), Skipped()
    is_complete = run_turns(journal, skipped, arguments, wrk="wrk", cores=Cores(server=0, load=1))
    why = {("tiny", "broken"): "ServerFailed: not ready: it has no legs"}
    assert (is_complete, skipped, journal.turns, Broken.tried) == (True, why, {}, 1)
