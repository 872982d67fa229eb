"""What is deployed on Kubernetes: a few choices, and what follows from them.

1. Only what an operator has set, and what a cluster needs, is given to the pods; what the image says (where to listen,
   where to write) and what is secret is not.
2. What a gateway may take follows from its memory: models, what workers may exceed them by, a run's own memory, the
   processes, and what two inspections of small files may take have to fit under the container's limit, or the kernel
   ends the container as a whole. Large files may take more, and each worker may inspect two at once: that much memory
   would be idle nearly always, so it is for the operator to say.
3. The disk cache is a part of a volume, and the volume a part of what the container may write: the kubelet evicts a pod
   that writes more than it said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from gateway.settings import GIB, MIB, PREFIX, Settings, parse_size
from registry.inspection.limits import ChildLimits

SECRETS: Final = ("SARDONYX_DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""What the Secret has to have."""

_LEFT_OUT: Final = frozenset({"data_dir", "cache_dir", "host", "port", "role", "ring_id", "auth", "database_url"})
"""What the image says, what each component says for itself, and what is secret."""

_DATABASE_PORT: Final = 5432
_INSPECTIONS: Final = 2
"""Of small files."""
_PROCESS_BYTES: Final = 100 * MIB
"""Of a worker without models, of the one that stands by, and of the supervisor with the program that it forks."""
_LEAST_MARGIN_BYTES: Final = 256 * MIB
_BESIDE_CACHE_BYTES: Final = 5 * GIB
"""For uploads, and for models that are being written before others go."""
_BESIDE_VOLUME_BYTES: Final = 2 * GIB

_DEFAULTS: Final[Mapping[str, object]] = {
    "store": "s3://models/store",
    "workers": 2,
    "memory_budget": "25%",
    "cache_bytes": 15 * GIB,
    "drain_seconds": 5.0,
}
"""Of settings that nobody has chosen."""


def cluster_settings(chosen: Settings) -> Settings:
    """Return the settings that were chosen, with a cluster's defaults for some that were not.

    A folder and SQLite are one host's: without a bucket, the name of one is there to be replaced.
    """
    is_chosen = chosen.model_fields_set - ({"store"} if chosen.s3_place is None else set())
    return chosen.model_copy(update={name: value for name, value in _DEFAULTS.items() if name not in is_chosen})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is deployed, and how much of it.

    Raises:
        ValueError: the parts of the memory do not fit under its limit.
    """

    settings: Settings
    """As of ``cluster_settings``."""
    region: str = "us-east-1"
    """Of the bucket."""
    image: str = field(default_factory=lambda: f"sardonyx:{version('sardonyx')}")
    proxy_image: str = "haproxy:2.6"
    domain: str = "cluster.local"
    """Of the cluster's DNS."""
    fewest_gateways: int = 3
    most_gateways: int = 12
    """As many servers the proxy knows, whether they are there or not."""
    proxies: int = 2
    balance_factor: int = 150
    """As of ``Deployment``."""
    replays: bool = False
    """As of ``Deployment``."""
    memory_bytes: int = 8 * GIB
    """Of a gateway, and of the registry."""
    waiting_requests: int = 8
    """How many may wait in a gateway, on average, before there are to be more gateways."""
    busy_percent: int = 70
    """Of the CPUs that a gateway asks for, as above."""
    monitoring_namespace: str = "monitoring"
    """Where Prometheus runs."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest_gateways <= self.most_gateways:
            raise ValueError(f"{self.fewest_gateways} gateways at least, {self.most_gateways} at most: that is none")
        if self.needed_bytes > self.memory_bytes:
            raise ValueError(
                f"a gateway may take {self.needed_bytes / GIB:.1f} GiB with SARDONYX_MEMORY_BUDGET="
                f"{self.settings.memory_budget}, and has {self.memory_bytes / GIB:.1f} GiB: lower the budget"
            )

    @property
    def configuration(self) -> dict[str, str]:
        """All variables that gateways and registry get, but for the secret ones."""
        dumped = self.settings.model_dump(mode="json", include=self.settings.model_fields_set - _LEFT_OUT)
        variables = {PREFIX + name.upper(): _written(name, value) for name, value in sorted(dumped.items())}
        return {"AWS_DEFAULT_REGION": self.region, **{name: text for name, text in variables.items() if text}}

    @property
    def cpus(self) -> int:
        """Of a gateway: one for each worker."""
        return self.settings.workers

    @property
    def grpc_port(self) -> int:
        """Of the Open Inference Protocol over gRPC; 0 for none."""
        return self.settings.grpc_port

    @property
    def budget_bytes(self) -> int:
        """How much the loaded models of a gateway may take."""
        budget = self.settings.memory_budget.strip()
        if budget.endswith("%"):
            return int(self.memory_bytes * float(budget.removesuffix("%")) / 100)
        return parse_size(budget)

    @property
    def needed_bytes(self) -> int:
        """What a gateway takes when everything takes what it may, and two small files are inspected."""
        margin, run, workers = self.settings.memory_margin, self.settings.run_memory, self.settings.workers
        least = max(_LEAST_MARGIN_BYTES, self.budget_bytes // workers // 4)
        margins = workers * (parse_size(margin) if margin else least)
        runs = parse_size(run) if run else min(GIB, self.memory_bytes // 4)
        processes = (workers + 2) * _PROCESS_BYTES
        return self.budget_bytes + margins + runs + processes + _INSPECTIONS * ChildLimits().memory_bytes

    @property
    def volume_bytes(self) -> int:
        """What may be written to a gateway's volume."""
        return self.settings.folders_limit_bytes + _BESIDE_CACHE_BYTES

    @property
    def database_port(self) -> int:
        """Where PostgreSQL is asked."""
        return urlsplit(self.settings.database_url).port or _DATABASE_PORT

    @property
    def store_port(self) -> int:
        """Where S3 is asked."""
        endpoint = urlsplit(self.settings.s3_endpoint_url)
        return endpoint.port or (80 if endpoint.scheme == "http" else 443)


def storage_bytes(volume_bytes: int) -> int:
    """Return what a container may write in all, its log included."""
    return volume_bytes + _BESIDE_VOLUME_BYTES


def quantity(size_bytes: int) -> str:
    """Return bytes as Kubernetes writes them: whole Gi, or Mi rounded up."""
    return f"{size_bytes // GIB}Gi" if size_bytes % GIB == 0 else f"{-(-size_bytes // MIB)}Mi"


def _written(name: str, value: object) -> str:
    """Return a setting as a person would write it."""
    if name.endswith("_bytes") and isinstance(value, int) and value and value % MIB == 0:
        return f"{quantity(value)}B"
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
