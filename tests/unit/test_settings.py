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
        ("auth", "maybe", "'on' or 'off'"),
        ("store", "gs://bucket/prefix", "is a folder, give its path"),
        ("store", "s3://", "s3://bucket/prefix"),
        ("store", "s3://Bucket/prefix", "s3://bucket/prefix"),
        ("store", "s3://bucket/a b", "s3://bucket/prefix"),
        ("store", "s3://bucket//a", "s3://bucket/prefix"),
        ("s3_import_buckets", "models,Not A Bucket", "'Not A Bucket' is not a bucket's name"),
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


def test_without_tokens_the_gateway_listens_to_this_machine_only() -> None:
    with pytest.raises(ValidationError) as refused:
        load_settings(host="192.0.2.1", auth="off")
    (fault,) = refused.value.errors()
    assert fault["msg"] == (
        "Value error, auth: 'off' does not go with the host 192.0.2.1, which is not a loopback address: anybody who "
        "reaches it could do anything; leave SARDONYX_AUTH out, or serve on 127.0.0.1"
    )


@pytest.mark.parametrize(
    ("host", "auth", "is_on"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("192.0.2.1", None, True),
        ("gateway.example", None, True),
        ("127.0.0.1", "on", True),
        ("192.0.2.1", "on", True),
        ("127.0.0.1", "off", False),
    ],
)
def test_tokens_are_asked_for_wherever_others_can_ask(host: str, auth: str | None, *, is_on: bool) -> None:
    assert load_settings(host=host, auth=auth).is_auth_on is is_on


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


def test_a_store_in_s3_is_a_bucket_and_a_prefix(tmp_path: Path) -> None:
    places = {text: load_settings(store=text).s3_place for text in ("s3://bucket/a/b/", "s3://bucket", "s3://bucket/")}
    assert places == {
        "s3://bucket/a/b/": ("bucket", "a/b"),
        "s3://bucket": ("bucket", ""),
        "s3://bucket/": ("bucket", ""),
    }
    assert load_settings(store=str(tmp_path)).s3_place is None


def test_import_buckets_are_none_or_those_of_the_list() -> None:
    assert load_settings().import_buckets == frozenset()
    assert load_settings(s3_import_buckets=" models, exports-2 ,").import_buckets == {"models", "exports-2"}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254",
        "http://169.254.169.254:80/",
        "https://169.254.0.1",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://169.254.43518",
        "http://[fe80::1]",
        "http://[fe80::1%25eth0]",
        "http://[::ffff:169.254.169.254]",
        "http://[fd00:ec2::254]",
        "http://0.0.0.0:9000",
        "http://metadata.google.internal",
        "http://Metadata.Google.Internal.",
        "http://100.100.100.200",
    ],
)
def test_no_endpoint_is_a_link_local_or_metadata_address(url: str) -> None:
    with pytest.raises(ValidationError, match="is a link-local or metadata address"):
        load_settings(s3_endpoint_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "s3.example.org",
        "ftp://s3.example.org",
        "http://",
        "http://s3.example.org:port",
        "http://key:secret@s3.example.org",
        "http://s3.example.org/bucket",
        "http://s3.example.org?x=1",
    ],
)
def test_an_endpoint_is_a_server_and_nothing_else(url: str) -> None:
    with pytest.raises(ValidationError, match="the endpoint is"):
        load_settings(s3_endpoint_url=url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8333", "https://s3.example.org/", "http://[::1]:9000", "http://10.0.0.7"]
)
def test_other_endpoints_are_taken_as_they_are(url: str) -> None:
    assert load_settings(s3_endpoint_url=url).s3_endpoint_url == url.rstrip("/")


@pytest.mark.parametrize(("text", "share"), [("on", 1.0), ("off", 0.0), (" On ", 1.0), ("0.25", 0.25), ("1", 1.0)])
def test_shares_are_numbers_or_switches(text: str, share: float) -> None:
    settings = load_settings(access_log=text, traces=text)
    assert (settings.access_log, settings.traces) == (share, share)


@pytest.mark.parametrize("text", ["2", "-0.1", "nan", "half", "50%"])
@pytest.mark.parametrize("name", ["access_log", "traces"])
def test_what_is_no_share_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError, match=name):
        load_settings(**{name: text})


@pytest.mark.parametrize(
    ("text", "number"), [("", 0), ("1", 1), ("4096", 4096), ("gateway-0", 1), ("sardonyx-gateway-11", 12)]
)
def test_a_place_on_the_ring_is_an_id_or_a_pods_name(text: str, number: int) -> None:
    assert load_settings(ring_id=text).ring_number == number


@pytest.mark.parametrize("text", ["0", "-1", "4097", "gateway", "gateway-", "gateway-4096", "2 of 3", "-0.5"])
def test_what_is_no_place_on_the_ring_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is no place on a ring"):
        load_settings(ring_id=text)
