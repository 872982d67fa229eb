"""A model that is pinned, from the start of a gateway on."""

from pathlib import Path

from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.uploads import promote, upload


def resident(gateway: GatewayProcess) -> list[list[str]]:
    with gateway.client() as client:
        return [worker["resident"] for worker in client.get("/registry/workers").json()["items"]]


def test_a_pinned_model_is_loaded_by_every_worker_and_follows_its_alias(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        for model in (models.identity(), models.linear()):
            upload(client, "kept", model)
        promote(client, "kept")
    with running_gateway(tmp_path / "data", workers="2", pin="kept, unknown") as gateway, gateway.client() as client:
        wait_until(lambda: resident(gateway) == [["kept:1"], ["kept:1"]])
        move = {"version": 2, "allow_breaking": True}
        client.put("/registry/models/kept/aliases/production", json=move).raise_for_status()
        wait_until(lambda: all("kept:2" in names for names in resident(gateway)))
        left_out = {line["reference"] for line in gateway.log_lines() if line["event"] == "not_pinned"}
        assert left_out == {"unknown@production"}
