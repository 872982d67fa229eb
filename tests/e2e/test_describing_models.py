"""What a model is for: said by the registration that makes it, changed by those who publish, shown and searched."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client import AccessError, Client
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.scaling import scaling_bytes
from tests.support.tokens import make_token

SARDONYX = str(Path(sys.executable).with_name("sardonyx"))


@pytest.fixture
def here(gateway: GatewayProcess) -> Iterator[Client]:
    with Client(gateway.url) as connected:
        yield connected


def typed(gateway: GatewayProcess, *arguments: str) -> str:
    done = subprocess.run(
        [SARDONYX, *arguments, "--url", gateway.url],
        env=gateway.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_model_is_listed_and_found_by_what_its_first_registration_says(here: Client, gateway: GatewayProcess) -> None:
    here.register(scaling_bytes(2), name="doubles", description="Twice a row")
    here.register(scaling_bytes(3), name="doubles", description="Three times a row")

    assert [(model["name"], model["description"]) for model in here.models("twice A")] == [("doubles", "Twice a row")]
    assert typed(gateway, "models", "--query", "doubles").splitlines()[1].split(maxsplit=2)[2] == "Twice a row"


def test_a_model_is_described_anew_from_python_and_in_a_terminal(here: Client, gateway: GatewayProcess) -> None:
    here.register(scaling_bytes(2), name="anew", description="Twice a row")

    described = here.describe("anew", "Twice every number", tags={"team": "vision"})
    said = typed(gateway, "describe", "anew", "Two rows in one")
    document = json.loads(typed(gateway, "describe", "anew", "", "--json"))

    assert (described["description"], described["tags"]) == ("Twice every number", {"team": "vision"})
    assert said == "anew: Two rows in one\n"
    assert document == here.show("anew") == {**described, "description": ""}
    assert here.show("anew:1")["description"] == "Twice a row"


def test_describing_is_for_those_who_publish(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", auth="on") as guarded:
        publisher, caller = (make_token(tmp_path / "data", role, name=role).text for role in ("publish", "predict"))
        with Client(guarded.url, token=publisher) as grace, Client(guarded.url, token=caller) as shop:
            grace.register(scaling_bytes(2), name="mine")
            with pytest.raises(AccessError):
                shop.describe("mine", "whatever")
            assert grace.describe("mine", "Twice a row")["description"] == "Twice a row"
