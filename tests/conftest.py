import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.s3_server import S3Server, running_s3_server

# Before anything imports the runtime: it would start a thread that sends usage data to its makers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 - for the runtime in this process

# A machine that stands still for a moment proves nothing about a law.
settings.register_profile("steady", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for all tests of a process, started when the first of them asks for it."""
    with running_s3_server() as server:
        yield server
