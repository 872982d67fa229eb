import asyncio
from collections.abc import Callable

import pytest

from gateway.web.alertness import Alertness


class Requests:
    """Requests at moments of a clock that moves ten microseconds at every look."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0
        self.alertness = Alertness(clock=self.tell, give_way=self.look)

    def tell(self) -> float:
        return self.now

    def look(self) -> None:
        self.looks += 1
        self.now += 10e-6

    def send(self, times: int, *, pause: float, at_once: int = 1) -> None:
        """Answer ticks, each of which comes so long after the answer before it."""
        for _ in range(times):
            self.now += pause
            self.alertness.came(self.now)
            self.alertness.answered(at_once)


def looks_after(send: Callable[[Requests], None]) -> int:
    async def test() -> int:
        requests = Requests()
        send(requests)
        for _ in range(50):
            await asyncio.sleep(0)
        return requests.looks

    return asyncio.run(test())


def test_the_loop_looks_for_a_tenth_of_a_millisecond_where_a_single_caller_asks_at_once() -> None:
    assert looks_after(lambda requests: requests.send(100, pause=40e-6)) in (10, 11)


@pytest.mark.parametrize(
    "send",
    [
        lambda requests: requests.send(1, pause=40e-6),
        lambda requests: requests.send(100, pause=200e-6),
        lambda requests: requests.send(100, pause=40e-6, at_once=8),
        lambda requests: (requests.send(100, pause=40e-6), requests.send(20, pause=1e-3)),
    ],
    ids=["the first request", "requests far apart", "several at once", "requests that have become rarer"],
)
def test_else_it_sleeps(send: Callable[[Requests], None]) -> None:
    assert looks_after(send) == 0


def test_a_request_ends_the_looking() -> None:
    async def test() -> int:
        requests = Requests()
        requests.send(100, pause=40e-6)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        requests.alertness.came(requests.now)
        before = requests.looks
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return requests.looks - before

    assert asyncio.run(test()) <= 1
