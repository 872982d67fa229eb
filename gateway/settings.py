"""Every setting, read once from the environment (``SARDONYX_*``) and frozen."""

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.endpoints import check_endpoint
from gateway.host import free_disk_bytes, usable_memory_bytes

PREFIX = "SARDONYX_"

KIB, MIB, GIB = 1024, 1024**2, 1024**3

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": KIB, "mib": MIB, "gib": GIB}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")
_BUCKET_NAME = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_BUCKET = re.compile(_BUCKET_NAME)
_S3_PLACE = re.compile(rf"s3://{_BUCKET_NAME}(?:/[A-Za-z0-9!_.*'()-]+)*/?")
_RING_ID = re.compile(r"(?P<id>[0-9]{1,4})|[a-z0-9.-]*[a-z0-9]-(?P<ordinal>[0-9]{1,4})")
_GREATEST_RING_ID = 4096
_SWITCH = {"on": 1.0, "off": 0.0}
_SHARE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")


class Settings(BaseSettings):
    """What an operator may choose; design section 6 lists the names and what they mean."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    data_dir: Path = Path("sardonyx-data")
    database_url: str = Field(default="", repr=False)
    """Empty for the embedded SQLite in the data dir."""
    store: str = ""
    """A folder, or ``s3://bucket/prefix``; empty for a folder in the data dir."""
    s3_endpoint_url: str = ""
    """Empty for Amazon's own."""
    s3_import_buckets: str = ""
    """Buckets, separated by commas, that versions may be imported from; empty for none."""
    cache_dir: Path | None = None
    cache_bytes: int | None = None
    memory_budget: str = "50%"
    """Bytes (``2GiB``) or a share of the memory that the container may use (``50%``)."""
    memory_margin: str = ""
    """Bytes by which a worker may exceed what its models account for; empty for a quarter of its part of the budget."""
    run_memory: str = ""
    """Bytes that a run may take beyond its model; empty for 1 GiB, or a quarter of the memory if that is less."""
    workers: int = Field(default=1, ge=1, le=256)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    grpc_port: int = Field(default=0, ge=0, le=65535)
    """Of the Open Inference Protocol over gRPC; 0 for none. All workers listen on it."""
    role: Literal["all", "gateway", "registry"] = "all"
    """What is served: everything, predictions, or what changes and watches the registry."""
    drain_seconds: float = Field(default=0.0, ge=0, le=600)
    """How long a gateway that is told to end goes on as one that is not ready, until proxies send it nothing more."""
    ring_id: str = ""
    """The gateway's place on the proxy's ring: its id there, or a name that ends with a number one less (``pod-0``)."""
    auth: Literal["on", "off"] | None = None
    """None means off on loopback."""
    batching: Literal["exact", "stable", "close", "off"] = "exact"
    max_upload_bytes: int = Field(default=2 * GIB - 1, gt=0, le=2 * GIB - 1)
    max_body_bytes: int = Field(default=16 * MIB, gt=0)
    predict_timeout_seconds: float = Field(default=30.0, gt=0)
    max_queue: int = Field(default=256, ge=1)
    max_connections: int = Field(default=4096, ge=16)
    """Of clients over HTTP, in each worker."""
    run_threads: int = Field(default=0, ge=0, le=256)
    """The most threads that one run may have; 0 leaves it to what was measured."""
    preload: str = ""
    """References, separated by commas, that are loaded before the gateway is ready: ``iris,ocr@staging``."""
    pin: str = ""
    """References, separated by commas, that are loaded before the gateway is ready and stay loaded."""
    webhook_private: Literal["on", "off"] = "off"
    """On lets webhooks lead to private and loopback addresses, and go over http."""
    input_statistics: Literal["on", "off"] = "off"
    """On adds up what requests bring to each version, without keeping it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    access_log: float = Field(default=1.0, ge=0, le=1)
    """How large a share of the lines of good, quick answers is kept; ``on`` and ``off`` are 1 and 0."""
    traces: float = Field(default=0.0, ge=0, le=1)
    """How large a share of the requests is traced; ``on`` and ``off`` are 1 and 0."""

    @field_validator("cache_bytes", "max_upload_bytes", "max_body_bytes", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        return parse_size(value) if isinstance(value, str) else value

    @field_validator("access_log", "traces", mode="before")
    @classmethod
    def _read_share(cls, value: object) -> object:
        return _SWITCH.get(value.strip().lower(), value) if isinstance(value, str) else value

    @field_validator("memory_budget")
    @classmethod
    def _check_budget(cls, value: str) -> str:
        if _SHARE.fullmatch(value) is None:
            parse_size(value)
        return value

    @field_validator("memory_margin", "run_memory")
    @classmethod
    def _check_margin(cls, value: str) -> str:
        if value:
            parse_size(value)
        return value

    @field_validator("ring_id")
    @classmethod
    def _check_ring_id(cls, value: str) -> str:
        if value and not 1 <= _ring_number(value) <= _GREATEST_RING_ID:
            raise ValueError(
                f"{value!r} is no place on a ring: write an id from 1 to {_GREATEST_RING_ID}, or a name such as "
                "gateway-0, which has the id 1"
            )
        return value

    @field_validator("store")
    @classmethod
    def _check_store(cls, value: str) -> str:
        if value.startswith("s3://"):
            if _S3_PLACE.fullmatch(value) is None:
                raise ValueError("an artifact store in S3 is s3://bucket/prefix, or s3://bucket")
            return value.rstrip("/")
        if "://" in value and not value.startswith("file://"):
            raise ValueError("the artifact store is a folder, give its path; or in S3, give s3://bucket/prefix")
        return value.removeprefix("file://")

    @field_validator("s3_endpoint_url")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        return check_endpoint(value) if value else value

    @field_validator("s3_import_buckets")
    @classmethod
    def _check_buckets(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",") if name.strip()]
        for name in names:
            if _BUCKET.fullmatch(name) is None:
                raise ValueError(f"{name!r} is not a bucket's name; give names, separated by commas")
        return ",".join(names)

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise ValueError(
                "the registry's database is sqlite:///path/to/registry.sqlite3 or "
                "postgresql+psycopg://user:password@host/database"
            )
        try:
            urlsplit(value).port  # noqa: B018 - it is read when asked for
        except ValueError as error:
            raise ValueError("the database URL's host or port is malformed") from error
        return value

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        if self.auth == "off" and not is_loopback(self.host):
            raise ValueError(
                f"auth: 'off' does not go with the host {self.host}, which is not a loopback address: anybody who "
                "reaches it could do anything; leave SARDONYX_AUTH out, or serve on 127.0.0.1"
            )
        if self.grpc_port and self.grpc_port == self.port:
            raise ValueError(f"grpc_port: HTTP has port {self.port} already; give gRPC another one")
        return self

    @property
    def is_auth_on(self) -> bool:
        """True if every request needs an access token: by default wherever others than this machine can ask."""
        return self.auth == "on" or (self.auth is None and not is_loopback(self.host))

    @property
    def is_predicting(self) -> bool:
        """True if models are loaded and asked here."""
        return self.role != "registry"

    @property
    def is_registering(self) -> bool:
        """True if the registry is changed here, and told of to webhooks."""
        return self.role != "gateway"

    @property
    def ring_number(self) -> int:
        """The gateway's id on the proxy's ring; 0 if it has none."""
        return _ring_number(self.ring_id) if self.ring_id else 0

    @property
    def registry_url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{quote(str(self.data_dir.absolute() / 'registry.sqlite3'))}"

    @property
    def has_embedded_database(self) -> bool:
        """True if the gateway itself creates and upgrades the database."""
        return self.registry_url.startswith("sqlite")

    @property
    def embedded_database_path(self) -> Path | None:
        """The SQLite file; None where the database is another's."""
        return Path(unquote(self.registry_url.removeprefix("sqlite:///"))) if self.has_embedded_database else None

    @property
    def s3_place(self) -> tuple[str, str] | None:
        """The bucket of the artifacts and the prefix there; None where they lie in a folder."""
        if not self.store.startswith("s3://"):
            return None
        bucket, _, prefix = self.store.removeprefix("s3://").partition("/")
        return bucket, prefix

    @property
    def import_buckets(self) -> frozenset[str]:
        """The buckets that versions may be imported from."""
        return frozenset(filter(None, self.s3_import_buckets.split(",")))

    @property
    def store_dir(self) -> Path:
        """Where the artifacts lie, if they lie in a folder."""
        return Path(self.store) if self.store else self.data_dir / "store"

    @property
    def folders_dir(self) -> Path:
        """Where verified copies of artifacts lie, ready to be opened by path."""
        return self.cache_dir or self.data_dir / "cache"

    @property
    def spool_dir(self) -> Path:
        """Where uploads lie until they are inspected; on a folder store's file system, so that storing is a link."""
        return self.data_dir / "spool"

    @property
    def last_known_dir(self) -> Path:
        """Where the workers of this host write down where references lead, for an outage of the registry."""
        return self.data_dir / "last-known"

    @property
    def proofs_dir(self) -> Path:
        """Where the workers of this host keep what they found out about sharing runs of versions."""
        return self.data_dir / "batch-proofs"

    @property
    def folders_limit_bytes(self) -> int:
        """How much the verified copies may take: 20 GiB, or half of the free disk if that is less."""
        if self.cache_bytes is not None:
            return self.cache_bytes
        return min(20 * GIB, free_disk_bytes(self.folders_dir) // 2)

    @property
    def memory_budget_bytes(self) -> int:
        """How much the loaded models of this host may take."""
        share = _SHARE.fullmatch(self.memory_budget)
        if share is not None:
            return int(usable_memory_bytes() * float(share.group(1)) / 100)
        return parse_size(self.memory_budget)

    @property
    def worker_budget_bytes(self) -> int:
        """How much the loaded models of one worker may take."""
        return self.memory_budget_bytes // self.workers

    @property
    def memory_margin_bytes(self) -> int:
        """How much a worker may take beyond what its models account for."""
        return parse_size(self.memory_margin) if self.memory_margin else max(256 * MIB, self.worker_budget_bytes // 4)

    @property
    def run_memory_bytes(self) -> int:
        """How much memory a run may take beyond its model."""
        return parse_size(self.run_memory) if self.run_memory else min(GIB, usable_memory_bytes() // 4)

    def as_environment(self) -> dict[str, str]:
        """Return the variables that make another process read the same settings."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {PREFIX + name.upper(): str(value) for name, value in values.items() if value != ""}


def load_settings(**overrides: Any) -> Settings:
    """Read the environment, with these values (None: not given) taking precedence.

    Raises:
        pydantic.ValidationError: a value makes no sense; the error names the setting.
    """
    return Settings(**{name: value for name, value in overrides.items() if value is not None})


def parse_size(text: str) -> int:
    """Parse ``1048576``, ``500MB`` or ``2 GiB`` into bytes.

    Raises:
        ValueError: it is none of these.
    """
    match = _SIZE.fullmatch(text)
    if match is None or match.group(2).lower() not in _UNITS:
        raise ValueError(f"{text!r} is not a size: write bytes, or a number with KiB, MiB, GiB, kB, MB or GB")
    return int(float(match.group(1)) * _UNITS[match.group(2).lower()])


def list_references(text: str) -> list[str]:
    """Return what stands between the commas of ``iris, ocr@staging``."""
    return [part for part in map(str.strip, text.split(",")) if part]


def _ring_number(text: str) -> int:
    """Return the id that is meant; -1 if none is."""
    match = _RING_ID.fullmatch(text)
    if match is None:
        return -1
    return int(match["id"]) if match["id"] else int(match["ordinal"]) + 1


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and for addresses that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Which gateway the client and the command line talk to."""

    url: str | None
    token: str | None


def client_settings() -> ClientSettings:
    """Read ``SARDONYX_URL`` and ``SARDONYX_TOKEN``."""
    return ClientSettings(url=_variable("URL"), token=_variable("TOKEN"))


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a worker: this one's, and the settings as they are now."""
    # ORT_LOAD_CONFIG_FROM_MODEL would let a model's own metadata configure the runtime.
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_LOAD_CONFIG_FROM_MODEL"}  # noqa: TID251
    # gRPC's own words are no lines of the log. OpenBLAS, of which nothing is wanted, would start threads when it is
    # imported, and what is forked must have one.
    ours = {"OPENBLAS_NUM_THREADS": "1", **settings.as_environment()}
    return {"GRPC_VERBOSITY": "NONE", **inherited, **ours}


def unknown_variables() -> list[str]:
    """Return the ``SARDONYX_*`` variables that mean nothing: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "URL", PREFIX + "TOKEN"}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)  # noqa: TID251


def _variable(name: str) -> str | None:
    return os.environ.get(PREFIX + name) or None  # noqa: TID251
