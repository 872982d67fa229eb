"""What a worker makes of the crashes of its siblings, and of those that were before it served."""

import asyncio
import mmap
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.evidence import AnswerTimes, Evidence
from gateway.ledger import Ledger, Marks
from gateway.serving.isolating import Isolating
from gateway.witness import CrashMemory, Witness
from registry.crashes import Crashes
from registry.standing import Isolation
from tests.support.registries import Bench, fresh_bench
from tests.support.serving_models import make_version

VERSION = make_version("iris", 1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        yield opened


class Rig:
    """A worker in the second place; the one in the first runs ``iris:1`` in this thread."""

    def __init__(self, bench: Bench, executor: ThreadPoolExecutor) -> None:
        ledgers, self._evidence = [Ledger.create(), Ledger.create()], Evidence.create()
        marks = Marks(ledgers[0])
        marks.words[marks.take_slot()] = marks.number((VERSION.model, VERSION.number))
        self.isolating = Isolating(
            Crashes(bench.registry, bench.clock),
            executor=executor,
            answered=AnswerTimes(self._evidence),
            host="here",
            actor="gateway",
        )
        memory = CrashMemory(ledgers=ledgers, place=1, evidence=self._evidence)
        self.witness = Witness(memory, self.isolating, executor)

    def say_that_it_crashed(self) -> None:
        """Write what Python's fault handler writes of a crash in this thread."""
        thread = f"Current thread 0x{threading.get_ident():016x} (most recent call first):"
        said = f"Fatal Python error: Segmentation fault\n\n{thread}\n"
        with mmap.mmap(self._evidence.words, 0) as words:
            words[: len(said)] = said.encode()


def run(bench: Bench, test: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        with ThreadPoolExecutor(1) as executor:
            rig = Rig(bench, executor)
            try:
                await test(rig)
            finally:
                await rig.witness.close()

    asyncio.run(body())


def test_what_a_crashing_sibling_was_running_is_run_here_no_more(bench: Bench) -> None:
    async def test(rig: Rig) -> None:
        rig.witness.start()
        rig.say_that_it_crashed()
        rig.witness.look()
        assert rig.isolating.of(VERSION) is Isolation.ISOLATED

    run(bench, test)


def test_a_crash_that_was_before_it_served_is_not_laid_to_what_siblings_run_since(bench: Bench) -> None:
    async def test(rig: Rig) -> None:
        rig.say_that_it_crashed()
        rig.witness.start()
        rig.witness.look()
        assert rig.isolating.of(VERSION) is Isolation.IN_PROCESS

    run(bench, test)
