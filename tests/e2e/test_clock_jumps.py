"""A wall clock that is put back an hour and forward a day under a gateway: only what has a date notices."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.serving.token_verdicts import REFUSAL
from registry.roles import Role
from registry.sql.unit_of_work import SqlRegistry
from registry.tokens import Tokens
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.gateway_process import running_gateway, wait_until
from tests.support.problems import assert_problem
from tests.support.registries import HandClock
from tests.support.shifted_clock import COMPILER, ShiftedClock
from tests.support.tokens import bearer
from tests.support.uploads import upload

HOUR, DAY = 3600, 86400


def move(client: httpx.Client, version: int) -> Any:
    return followed(client, client.put("/registry/models/linear/aliases/production", json={"version": version}))["move"]


def roll_back(client: httpx.Client) -> Any:
    return followed(client, client.post("/registry/models/linear/aliases/production/rollback", json={}))


def followed(client: httpx.Client, answer: httpx.Response) -> Any:
    """Return what a move has answered, once the one worker answers by it."""
    assert answer.status_code == 200, answer.text
    moved = answer.json()

    def is_followed() -> bool:
        workers = client.get("/registry/workers").json()["items"]
        return [worker["applied"] >= moved["sequence"] for worker in workers] == [True]

    wait_until(is_followed)
    return moved


def live(client: httpx.Client) -> int:
    answer = client.post("/models/linear/predict", json={"inputs": [[1, 2, 3, 4]]})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


@embedded_only
@pytest.mark.skipif(COMPILER is None, reason="the clock is shifted by a shim that has to be compiled")
def test_order_and_durations_do_not_follow_a_clock_that_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ShiftedClock(tmp_path)
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    with running_gateway(tmp_path / "data", auth="on") as gateway, gateway.client() as client:
        with closing(SqlRegistry.open(f"sqlite:///{gateway.data_dir}/registry.sqlite3")) as registry:
            tokens = Tokens(registry, HandClock(datetime.now(UTC)))
            lasting = tokens.create("lasting", Role.ADMIN, actor="tests")
            brief = tokens.create("brief", Role.ADMIN, actor="tests", expires="12h")
        client.headers.update(bearer(lasting.text))
        upload(client, "linear", models.linear(seed=1))
        upload(client, "linear", models.linear(seed=2))
        first = move(client, 1)
        assert live(client) == 1

        clock.shift(-HOUR)
        back = move(client, 2)
        assert (live(client), back["at"] < first["at"]) == (2, True)
        upload(client, "linear", models.linear(seed=3))
        assert client.get("/registry/models", headers=bearer(brief.text)).status_code == 200

        clock.shift(DAY)
        assert live(client) == 2
        forward = move(client, 3)
        assert (live(client), forward["at"] > first["at"]) == (3, True)
        # A worker reads tokens again every two seconds: how long it holds a verdict follows no wall clock.
        wait_until(lambda: client.get("/registry/models", headers=bearer(brief.text)).status_code == 401)
        ended = client.get("/registry/models", headers=bearer(brief.text))
        assert_problem(ended, 401, code="unauthenticated", detail=REFUSAL)

        clock.shift(0)
        history = client.get("/registry/models/linear/history").json()["items"]
        assert history == [first, back, forward]
        assert roll_back(client)["version"] == 2
        assert live(client) == 2
        assert (client.get("/health/ready").status_code, len(gateway.workers())) == (200, 1)
