"""The command line that does the same as a plan of the console."""

from typing import Any

import pytest

from gateway.web.console.commands import move_command, rollback_command
from gateway.web.console.move_forms import read_move
from registry.promotion import Plan
from registry.records import Alias, Canary, Shadow
from tests.support.registries import NOON

CANARY = Canary(version=4, percent=2.5, max_error_rate=0.07, max_latency_seconds=0.08)
LIVE = Alias(model="iris", name="production", version=1, canary=None, shadow=None, generation=4, updated_at=NOON)


def plan(version: int, **words: Any) -> Plan:
    return Plan(
        **{"model": "iris", "alias": "production", "before": LIVE, "canary": None, "differences": ()} | words,
        version=version,
    )


@pytest.mark.parametrize(
    ("fields", "planned", "is_breaking", "command"),
    [
        ({"version": "2"}, plan(2), False, "sardonyx promote iris 2 --expected 1"),
        ({"version": "2"}, plan(2), True, "sardonyx promote iris 2 --expected 1 --allow-breaking"),
        ({"version": "2"}, plan(2, alias="blue", before=None), False, "sardonyx promote iris 2 --alias blue"),
        (
            {"version": "1", "canary": "4", "canary_percent": "2.5"},
            plan(1, canary=CANARY),
            True,
            "sardonyx canary iris 4 2.5 --max-error-rate 0.07 --max-latency-ms 80 --allow-breaking",
        ),
        (
            {"version": "1", "canary": "4", "canary_percent": "100"},
            plan(1, canary=Canary(version=4, percent=100.0, max_error_rate=0.0)),
            False,
            "sardonyx canary iris 4 100 --max-error-rate 0",
        ),
        ({"version": "1", "drop_canary": "1"}, plan(1), False, "sardonyx canary iris --drop"),
        (
            {"version": "1", "drop_shadow": "1"},
            plan(1, alias="blue"),
            False,
            "sardonyx shadow iris --drop --alias blue",
        ),
        (
            {"version": "2", "shadow": "4", "shadow_percent": "10"},
            plan(2, shadow=Shadow(version=4, percent=10.0)),
            False,
            "sardonyx promote iris 2 --expected 1\nsardonyx shadow iris 4 10",
        ),
        (
            {"version": "2", "drop_shadow": "1", "takes_back": "1", "canary": "4", "canary_percent": "2.5"},
            plan(2, canary=CANARY),
            False,
            "sardonyx rollback iris --to 2\nsardonyx canary iris 4 2.5 --max-error-rate 0.07 --max-latency-ms 80",
        ),
    ],
)
def test_a_plan_is_typed_as(fields: dict[str, str], planned: Plan, command: str, *, is_breaking: bool) -> None:
    assert move_command(planned, read_move(fields), is_breaking=is_breaking) == command


def test_a_rollback_is_typed_with_where_it_leads() -> None:
    assert rollback_command(plan(3, alias="blue")) == "sardonyx rollback iris --to 3 --alias blue"
