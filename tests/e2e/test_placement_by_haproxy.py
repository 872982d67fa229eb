"""The ring says where a real HAProxy sends a request: key by key, with servers down, and with servers that are full."""

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from gateway.placement.ring import Ring, Server
from tests.support.gateway_process import wait_until
from tests.support.named_servers import BACKEND, ask, hashed, holding
from tests.support.proxies import HAProxy, needs_haproxy

pytestmark = needs_haproxy

KEYS = [f"model-{number}:{number % 7 + 1}" for number in range(300)]
EQUAL = [Server(name=f"gateway-{number}", id=number) for number in range(1, 6)]
UNEQUAL = [
    Server(name="large", id=7, weight=256),
    Server(name="small", id=300, weight=1),
    Server(name="usual", id=2, weight=64),
    Server(name="late", id=100_000, weight=63),
]
FACTOR = 125


def test_every_key_comes_to_the_server_that_the_ring_names(tmp_path: Path) -> None:
    with hashed(tmp_path, UNEQUAL) as proxy:
        owners = {key: ask(proxy, key) for key in KEYS}
    assert owners == {key: Ring(UNEQUAL).owner(key).name for key in KEYS}


def test_a_server_that_is_down_leaves_its_keys_to_those_that_the_ring_names(tmp_path: Path) -> None:
    with hashed(tmp_path, EQUAL) as proxy:
        proxy.tell("disable server servers/gateway-2")
        owners = {key: ask(proxy, key) for key in KEYS}
    assert owners == {key: Ring(EQUAL, down={"gateway-2"}).owner(key).name for key in KEYS}


def test_a_hot_key_spreads_to_the_servers_that_bounded_load_names(tmp_path: Path) -> None:
    hot = chosen(KEYS[:3], 60)
    with hashed(tmp_path, EQUAL, balance_factor=FACTOR) as proxy:
        owners = hold_all(proxy, hot)
    assert owners == follow(Ring(EQUAL, balance_factor=FACTOR), hot)


def test_bounded_load_counts_as_the_proxy_does_over_unequal_servers(tmp_path: Path) -> None:
    keys = chosen(KEYS, 60)
    with hashed(tmp_path, UNEQUAL, balance_factor=FACTOR) as proxy:
        owners = hold_all(proxy, keys)
    assert owners == follow(Ring(UNEQUAL, balance_factor=FACTOR), keys)


def test_bounded_load_counts_as_the_proxy_does_after_a_server_has_gone(tmp_path: Path) -> None:
    hot = chosen(KEYS[:3], 60)
    with hashed(tmp_path, EQUAL, balance_factor=FACTOR) as proxy:
        proxy.tell("disable server servers/gateway-1")
        owners = hold_all(proxy, hot)
    assert owners == follow(Ring(EQUAL, balance_factor=FACTOR, down={"gateway-1"}), hot)


def chosen(keys: list[str], count: int) -> list[str]:
    return random.Random(7).choices(keys, k=count)  # noqa: S311 - the same ones each time


def hold_all(proxy: HAProxy, keys: list[str]) -> list[str]:
    """Return who gets each request, while all those before it are under way."""
    with ExitStack() as stack:
        owners = []
        for count, key in enumerate(keys, 1):
            owners.append(stack.enter_context(holding(proxy, key)))
            wait_until(lambda count=count: proxy.requests_under_way(BACKEND) == count)  # type: ignore[misc]
        return owners


def follow(ring: Ring, keys: list[str]) -> list[str]:
    loads: Counter[str] = Counter()
    owners = []
    for key in keys:
        owners.append(ring.owner(key, loads).name)
        loads[owners[-1]] += 1
    return owners
