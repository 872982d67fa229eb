"""What follows from what is chosen for a cluster."""

from typing import Any

import pytest

from gateway.deployment.kubernetes_cluster import Cluster, cluster_settings, quantity
from gateway.settings import GIB, MIB, Settings
from tests.support.manifests import cluster


def test_a_cluster_has_defaults_of_its_own() -> None:
    assert cluster().configuration == {
        "AWS_DEFAULT_REGION": "us-east-1",
        "SARDONYX_CACHE_BYTES": "15GiB",
        "SARDONYX_DRAIN_SECONDS": "5",
        "SARDONYX_MEMORY_BUDGET": "25%",
        "SARDONYX_STORE": "s3://models/store",
        "SARDONYX_WORKERS": "2",
    }


def test_what_is_chosen_is_kept_as_it_was_written() -> None:
    chosen = cluster(
        store="s3://other/place",
        workers=4,
        memory_budget="1GiB",
        cache_bytes=40 * GIB,
        max_body_bytes=32 * MIB,
        max_upload_bytes=2 * GIB - 1,
        predict_timeout_seconds=2.5,
        preload="iris,ocr@staging",
        choices={"region": "eu-north-1"},
    )
    assert chosen.configuration == {
        "AWS_DEFAULT_REGION": "eu-north-1",
        "SARDONYX_CACHE_BYTES": "40GiB",
        "SARDONYX_DRAIN_SECONDS": "5",
        "SARDONYX_MAX_BODY_BYTES": "32MiB",
        "SARDONYX_MAX_UPLOAD_BYTES": "2147483647",
        "SARDONYX_MEMORY_BUDGET": "1GiB",
        "SARDONYX_PREDICT_TIMEOUT_SECONDS": "2.5",
        "SARDONYX_PRELOAD": "iris,ocr@staging",
        "SARDONYX_STORE": "s3://other/place",
        "SARDONYX_WORKERS": "4",
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "127.0.0.1", "port": 9000, "role": "all", "auth": "off"},
        {"data_dir": "/srv/sardonyx", "cache_dir": "/srv/cache"},
        {"database_url": "postgresql+psycopg://ada:opensesame@db/sardonyx"},
        {"store": "/srv/models"},
    ],
    ids=["where-it-listens", "where-it-writes", "secret", "a-folder"],
)
def test_what_is_of_this_machine_or_secret_is_left_out(settings: dict[str, Any]) -> None:
    assert cluster(**settings).configuration == cluster().configuration


def test_the_environment_is_what_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_MAX_QUEUE", "64")

    chosen = Cluster(settings=cluster_settings(Settings()))

    assert chosen.configuration == {**cluster().configuration, "SARDONYX_MAX_QUEUE": "64"}


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ({}, (5432, 443)),
        ({"database_url": "postgresql://db.example.org:6432/s", "s3_endpoint_url": "http://s3:8333"}, (6432, 8333)),
        ({"s3_endpoint_url": "http://s3.example.org"}, (5432, 80)),
        ({"s3_endpoint_url": "https://s3.example.org"}, (5432, 443)),
    ],
    ids=["usual", "named", "http", "https"],
)
def test_the_ports_are_those_of_the_database_and_the_bucket(settings: dict[str, Any], ports: tuple[int, int]) -> None:
    chosen = cluster(**settings)
    assert (chosen.database_port, chosen.store_port) == ports


@pytest.mark.parametrize(
    ("settings", "needed_bytes"),
    [
        # Models, two margins of a quarter of their halves, a run, two workers and two more processes, two inspections.
        ({}, 2 * GIB + GIB // 2 + GIB + 400 * MIB + 4 * GIB),
        ({"memory_budget": "1GiB"}, GIB + 512 * MIB + GIB + 400 * MIB + 4 * GIB),
        ({"workers": 4, "memory_budget": "1GiB"}, GIB + GIB + GIB + 600 * MIB + 4 * GIB),
        ({"memory_margin": "100MiB", "run_memory": "512MiB"}, 2 * GIB + 200 * MIB + 512 * MIB + 400 * MIB + 4 * GIB),
    ],
    ids=["as-it-is", "bytes", "more-workers", "margins-of-its-own"],
)
def test_what_a_gateway_takes_is_all_that_it_may_take(settings: dict[str, Any], needed_bytes: int) -> None:
    assert cluster(**settings).needed_bytes == needed_bytes


@pytest.mark.parametrize("budget", ["50%", "3GiB"])
def test_a_budget_that_does_not_fit_is_refused(budget: str) -> None:
    with pytest.raises(ValueError, match=rf"SARDONYX_MEMORY_BUDGET={budget}, and has 8\.0 GiB"):
        cluster(memory_budget=budget)
    assert cluster(memory_budget=budget, choices={"memory_bytes": 32 * GIB}).memory_bytes == 32 * GIB


@pytest.mark.parametrize(("fewest", "most"), [(0, 3), (4, 3)])
def test_there_are_as_many_gateways_as_there_can_be(fewest: int, most: int) -> None:
    with pytest.raises(ValueError, match="gateways"):
        cluster(choices={"fewest_gateways": fewest, "most_gateways": most})


@pytest.mark.parametrize(
    ("size_bytes", "written"), [(8 * GIB, "8Gi"), (1536 * MIB, "1536Mi"), (GIB + 1, "1025Mi"), (1, "1Mi")]
)
def test_bytes_are_written_as_kubernetes_writes_them(size_bytes: int, written: str) -> None:
    assert quantity(size_bytes) == written
