"""The registry's control plane on Kubernetes, and the job that brings its database to the schema of the release.

1. One registry is enough: what it keeps is in PostgreSQL and in the bucket, and gateways answer without it. A second
   one serves beside it during an update. It has no disruption budget, which would keep its node from being drained.
2. A job cannot be changed once it is there: each release's has a name of its own, and goes after a day. Gateways of a
   release that find an older schema are not ready until it is done.
"""

import re
from typing import Final

from gateway.deployment.kubernetes_cluster import Cluster
from gateway.deployment.kubernetes_pods import (
    HTTP,
    MIGRATION,
    NAME,
    PORT,
    REGISTRY,
    confined,
    data_mount,
    data_volume,
    environment,
    grace_seconds,
    labels,
    metadata,
    pod,
    service_account,
    serving_container,
)
from gateway.deployment.yaml_text import Value
from gateway.settings import GIB, MIB

_LEAST_VOLUME_BYTES: Final = 20 * GIB
"""For uploads of 2 GiB at a time, and for what is loaded and tried before it is promoted."""
_MIGRATION_VOLUME_BYTES: Final = 64 * MIB
_LONGEST_RELEASE: Final = 40
"""A job's name has at most 63 characters."""
_DAY_SECONDS: Final = 24 * 60 * 60


def registry_host(cluster: Cluster, namespace: str) -> str:
    """Return the name under which the cluster's DNS knows the registry."""
    return f"{NAME}-{REGISTRY}.{namespace}.svc.{cluster.domain}"


def registry(cluster: Cluster, digest: str) -> list[dict[str, Value]]:
    """Return what runs the control plane.

    Args:
        cluster: what is deployed.
        digest: of the settings; with others, the pod is made anew.
    """
    # Its settings are those of the gateways: its copies may take as much.
    volume_bytes = max(_LEAST_VOLUME_BYTES, cluster.volume_bytes)
    return [
        service_account(REGISTRY),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(REGISTRY),
            "spec": {"selector": labels(REGISTRY), "ports": [{"name": HTTP, "port": PORT, "targetPort": HTTP}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(REGISTRY),
            "spec": {
                "replicas": 1,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "revisionHistoryLimit": 3,
                "selector": {"matchLabels": labels(REGISTRY)},
                "template": {
                    "metadata": {"labels": labels(REGISTRY), "annotations": {f"{NAME}/settings": digest}},
                    "spec": pod(
                        REGISTRY,
                        serving_container(cluster, REGISTRY, volume_bytes=volume_bytes),
                        data_volume(volume_bytes),
                        terminationGracePeriodSeconds=grace_seconds(cluster),
                    ),
                },
            },
        },
    ]


def migration(cluster: Cluster) -> list[dict[str, Value]]:
    """Return the job that upgrades the database."""
    release = re.sub(r"[^a-z0-9]+", "-", cluster.image.rpartition(":")[2].lower())[:_LONGEST_RELEASE].strip("-")
    container: dict[str, Value] = {
        "name": MIGRATION,
        "image": cluster.image,
        "args": ["db", "upgrade"],
        "envFrom": environment(),
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "128Mi"},
            "limits": {"memory": "256Mi", "ephemeral-storage": "128Mi"},
        },
        "securityContext": confined(),
        "volumeMounts": data_mount(),
    }
    return [
        service_account(MIGRATION),
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata(MIGRATION, f"{NAME}-{MIGRATION}-{release}"),
            "spec": {
                "backoffLimit": 5,
                "ttlSecondsAfterFinished": _DAY_SECONDS,
                "template": {
                    "metadata": {"labels": labels(MIGRATION)},
                    "spec": pod(MIGRATION, container, data_volume(_MIGRATION_VOLUME_BYTES), restartPolicy="OnFailure"),
                },
            },
        },
    ]
