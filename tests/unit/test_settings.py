from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import Settings, child_environment, client_settings, load_settings, parse_size, unknown_variables


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SARDONYX_{name.upper()}", raising=False)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1048576", 1048576), ("2GiB", 2 * 1024**3), ("1.5 MiB", 1572864), ("500MB", 500_000_000), ("3 kb", 3000)],
)
def test_sizes_are_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "5 parsecs", "1e9", "50%"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_everything_lies_in_the_data_dir_by_default(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert settings.registry_url == f"sqlite:///{tmp_path / 'registry.sqlite3'}"
    assert (settings.store_dir, settings.folders_dir, settings.spool_dir) == (
        tmp_path / "store",
        tmp_path / "cache",
        tmp_path / "spool",
    )


def test_the_environment_is_read_and_given_values_go_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_PORT", "8123")
    monkeypatch.setenv("SARDONYX_MAX_BODY_BYTES", "1MiB")
    assert load_settings().port == 8123
    assert load_settings(port=8124).port == 8124
    assert load_settings().max_body_bytes == 1024**2


def test_the_memory_budget_is_bytes_or_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.settings.usable_memory_bytes", lambda: 1000)
    assert load_settings(memory_budget="25%").memory_budget_bytes == 250
    assert load_settings(memory_budget="2GiB").memory_budget_bytes == 2 * 1024**3


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("host", "0.0.0.0", "not a loopback address"),  # noqa: S104 - refused, which is the point
        ("auth", "on", "needs access tokens"),
        ("store", "s3://bucket/prefix", "is a folder"),
        ("database_url", "mysql://localhost/x", "postgresql"),
        ("memory_budget", "a lot", "is not a size"),
        ("port", "70000", "less than or equal to 65535"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as refused:
        load_settings(**{name: value})
    assert name in str(refused.value)


def test_a_child_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, port=8125, workers=3, memory_budget="1GiB", log_level="warning")
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_a_model_cannot_configure_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1")
    assert "ORT_LOAD_CONFIG_FROM_MODEL" not in child_environment(load_settings())


def test_misspelt_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_PROT", "8000")
    monkeypatch.setenv("SARDONYX_URL", "http://127.0.0.1:8000")
    assert unknown_variables() == ["SARDONYX_PROT"]
    assert client_settings().url == "http://127.0.0.1:8000"
