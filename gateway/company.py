"""Who answers while a worker makes itself ready: it decides how long the worker may take."""

from enum import Enum


class Company(Enum):
    """The values are what a fork is told (``gateway.worker_forks``)."""

    SIBLINGS = b"sv"
    """Other workers of its gateway."""
    NOBODY = b"sa"
    """None of the gateway's workers serves any more, or the first ones have died: its callers wait."""
    FLEET = b"sf"
    """The gateway begins, and proxies do not know it for ready: other gateways answer, if there are any."""
