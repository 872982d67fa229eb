"""Who answers while a worker makes itself ready: it decides how long the worker may take."""

from enum import Enum


class Company(Enum):
    """The values are what a fork is told (``gateway.worker_forks``)."""

    SIBLINGS = b"sv"
    """Other workers of its gateway."""
    NOBODY = b"sa"
    """The gateway has served before, and none of its workers does now: its callers wait."""
    FLEET = b"sf"
    """The gateway begins, and has no callers yet: other gateways answer, if there are any."""
