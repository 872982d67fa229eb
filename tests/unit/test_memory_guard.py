"""When a worker gives back what it has freed, and when it asks to be replaced for the memory that it takes."""

import asyncio

from structlog.testing import capture_logs

from gateway.serving.memory_guard import MemoryGuard
from tests.support.sessions import MIB
from tests.support.virtual_time import ImmediateExecutor, run_virtually


class Process:
    """A process of 30 MiB with sessions, which keeps what it has freed until it is told to give it back."""

    def __init__(self) -> None:
        self.accounted_bytes = 0
        self.taken_bytes = 30 * MIB
        self.free_bytes = 0
        self.asked = 0
        self.gave_back = 0

    def give_back(self) -> None:
        self.gave_back += 1
        self.taken_bytes -= self.free_bytes
        self.free_bytes = 0

    def ask(self) -> None:
        self.asked += 1

    def guard(self) -> MemoryGuard:
        return MemoryGuard(
            accounted=lambda: self.accounted_bytes,
            measure=lambda: self.taken_bytes,
            give_back=self.give_back,
            ask=self.ask,
            margin_bytes=10 * MIB,
            executor=ImmediateExecutor(),
        )


async def watch(process: Process, *, seconds: float) -> MemoryGuard:
    """Let a guard look at a process that grows after the start; return the guard."""
    grown_bytes, process.taken_bytes = process.taken_bytes, 30 * MIB
    guard = process.guard()
    guard.start()
    process.taken_bytes = grown_bytes
    with capture_logs():
        await asyncio.sleep(seconds)
    await guard.close()
    return guard


def test_what_sessions_account_for_and_a_margin_is_nobody_to_be_replaced_for() -> None:
    async def test() -> None:
        process = Process()
        process.accounted_bytes, process.taken_bytes = 100 * MIB, 140 * MIB
        guard = await watch(process, seconds=300)
        assert (process.asked, guard.excess_bytes) == (0, 10 * MIB)

    run_virtually(test)


def test_free_memory_goes_back_though_nothing_is_too_much() -> None:
    async def test() -> None:
        process = Process()
        process.accounted_bytes, process.taken_bytes, process.free_bytes = 10 * MIB, 49 * MIB, 9 * MIB
        guard = await watch(process, seconds=6)
        assert (process.taken_bytes, guard.excess_bytes) == (40 * MIB, 0)

    run_virtually(test)


def test_what_has_not_grown_since_is_not_asked_for_again() -> None:
    async def test() -> None:
        process = Process()
        process.taken_bytes = 39 * MIB
        await watch(process, seconds=300)
        assert process.gave_back == 1

    run_virtually(test)


def test_memory_that_is_given_back_when_asked_for_is_nobody_to_be_replaced_for() -> None:
    async def test() -> None:
        process = Process()
        process.taken_bytes, process.free_bytes = 200 * MIB, 165 * MIB
        guard = await watch(process, seconds=300)
        assert (process.asked, guard.excess_bytes) == (0, 5 * MIB)

    run_virtually(test)


def test_a_worker_that_keeps_too_much_asks_after_three_looks_and_goes_on_asking() -> None:
    async def test() -> None:
        process = Process()
        process.taken_bytes = 41 * MIB
        await watch(process, seconds=14)
        assert process.asked == 0
        await watch(process, seconds=21)
        assert process.asked == 2

    run_virtually(test)


def test_too_much_now_and_then_is_nobody_to_be_replaced_for() -> None:
    async def test() -> None:
        process = Process()
        guard = process.guard()
        guard.start()
        for _ in range(10):
            process.taken_bytes = 100 * MIB
            await asyncio.sleep(10)
            process.taken_bytes = 30 * MIB
            await asyncio.sleep(5)
        assert process.asked == 0
        await guard.close()

    run_virtually(test)
