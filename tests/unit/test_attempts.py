from itertools import count

import pytest

from gateway.web.attempts import Attempts
from registry.errors import TooManyAttempts


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(attempts: Attempts, address: str) -> int:
    """How many attempts an address has left, all of which are then gone."""
    for number in count():
        try:
            attempts.take(address)
        except TooManyAttempts:
            return number
    raise AssertionError


def test_an_address_has_a_burst_and_then_some_a_second() -> None:
    clock = Seconds()
    attempts = Attempts(clock, burst=5, per_second=2.0)
    assert taken(attempts, "192.0.2.1") == 5
    assert taken(attempts, "192.0.2.1") == 0
    clock.now += 1.5
    assert taken(attempts, "192.0.2.1") == 3
    clock.now += 3600
    assert taken(attempts, "192.0.2.1") == 5


def test_addresses_do_not_share_and_ipv6_is_counted_by_household() -> None:
    attempts = Attempts(Seconds(), burst=3)
    assert taken(attempts, "192.0.2.1") == 3
    assert taken(attempts, "192.0.2.2") == 3
    assert taken(attempts, "2001:db8::1") == 3
    assert taken(attempts, "2001:db8::ffff:1") == 0
    assert taken(attempts, "2001:db8:0:1::1") == 3
    assert taken(attempts, "fe80::1%eth0") == 3
    assert taken(attempts, "no:address") == 3


def test_what_is_given_back_can_be_taken_again() -> None:
    attempts = Attempts(Seconds(), burst=1)
    attempts.give_back(attempts.take("192.0.2.1"))
    attempts.take("192.0.2.1")
    with pytest.raises(TooManyAttempts) as refused:
        attempts.take("192.0.2.1")
    assert refused.value.retry_after_seconds == 1


def test_the_table_of_addresses_is_bounded() -> None:
    attempts = Attempts(Seconds(), burst=1, max_addresses=2)
    for address in ("a", "b", "c"):
        attempts.take(address)
    assert [taken(attempts, address) for address in ("c", "b", "a")] == [0, 0, 1]
