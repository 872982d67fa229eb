"""How many requests without a good token an address may send: a burst, and then a few a second.

Tokens that are known to be good are never counted, so that whoever shares an address with a flood goes on unhindered.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from registry.errors import TooManyAttempts

_IPV6_HOME_BITS = 64
"""What one household or machine gets: whoever has one such address has them all."""


class Attempts:
    """What each address has left; of the addresses, those that failed last are remembered.

    Args:
        clock: monotonic seconds.
        burst: how many an address may fail at once.
        per_second: how many it may fail for good.
        max_addresses: how many are remembered.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        burst: int = 100,
        per_second: float = 10.0,
        max_addresses: int = 10_000,
    ) -> None:
        self._clock = clock
        self._burst = float(burst)
        self._per_second = per_second
        self._max_addresses = max_addresses
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> str:
        """Count an attempt and return the name that it is counted under.

        Raises:
            TooManyAttempts: the address has none left for the moment.
        """
        name = _home(address)
        now = self._clock()
        left, since = self._left.pop(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        is_spent = left < 1
        self._left[name] = (left if is_spent else left - 1, now)
        if len(self._left) > self._max_addresses:
            self._left.popitem(last=False)
        if is_spent:
            raise TooManyAttempts(
                "too many requests without a valid access token came from this address", retry_after_seconds=1
            )
        return name

    def give_back(self, name: str) -> None:
        """Take back what ``take`` has counted: the attempt was a good one, or nobody's fault."""
        known = self._left.get(name)
        if known is not None:
            self._left[name] = (known[0] + 1, known[1])


def _home(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/{_IPV6_HOME_BITS}", strict=False))
    except ValueError:
        return address
