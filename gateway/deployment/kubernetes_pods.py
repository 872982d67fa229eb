"""What the pods of all components have in common: who they are, and what they may not do.

The pods fit the profile "restricted" of the Pod Security Standards. What inspections confine themselves with (Landlock,
filters of system calls) needs no right that it takes away.

Source: Kubernetes documentation, Pod Security Standards; Recommended Labels.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.deployment.kubernetes_cluster import Cluster, quantity, storage_bytes
from gateway.deployment.yaml_text import Value

NAME: Final = "sardonyx"
GATEWAY: Final = "gateway"
REGISTRY: Final = "registry"
PROXY: Final = "proxy"
MIGRATION: Final = "migration"

HTTP: Final = "http"
GRPC: Final = "grpc"
PORT: Final = 8000
"""Where the image listens."""

_USER: Final = 10001
"""Of the image. HAProxy's says another one, and needs none in particular; one so high is nobody on the node."""
BEFORE_DRAIN_SECONDS: Final = 5
"""Between the word that a pod ends and SIGTERM: until all services have left it out."""
_FINISHING_SECONDS: Final = 40
"""What a gateway that ends takes to finish what it has begun, and a little more."""
_START_SECONDS: Final = 600


def metadata(component: str, name: str | None = None) -> dict[str, Value]:
    """Return a resource's name, which is its component's unless it has one of its own, and its labels."""
    return {"name": name or f"{NAME}-{component}", "labels": labels(component)}


def labels(component: str) -> dict[str, Value]:
    """Return what the pods of a component are known by."""
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": component}


def service_account(component: str) -> dict[str, Value]:
    """Return whom a component's pods run as: somebody who may ask the cluster for nothing."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(component),
        "automountServiceAccountToken": False,
    }


def disruption_budget(component: str) -> dict[str, Value]:
    """Return how many of a component's pods may be sent away at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(component),
        "spec": {
            "maxUnavailable": 1,
            "# One that never becomes ready does not keep its node from being drained.": None,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels(component)},
        },
    }


def pod(component: str, container: Mapping[str, Value], volumes: Sequence[Value], **more: Value) -> dict[str, Value]:
    """Return the spec of a component's pods.

    Args:
        component: whose they are.
        container: the only one in each.
        volumes: what it mounts.
        more: fields of the spec, before the others.
    """
    return {
        "serviceAccountName": f"{NAME}-{component}",
        "automountServiceAccountToken": False,
        "# Else SARDONYX_* variables would have the addresses of services that are called sardonyx-*.": None,
        "enableServiceLinks": False,
        **more,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }


def confined() -> dict[str, Value]:
    """Return what no container may do."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def spread(component: str) -> list[Value]:
    """Return how a component's pods lie apart, as far as there is room."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels(component)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def grace_seconds(cluster: Cluster) -> int:
    """Return how long a gateway or the registry may take to end before it is killed."""
    return BEFORE_DRAIN_SECONDS + math.ceil(cluster.settings.drain_seconds) + _FINISHING_SECONDS


def serving_container(cluster: Cluster, role: str, *, volume_bytes: int) -> dict[str, Value]:
    """Return the container of a gateway or of the registry.

    Args:
        cluster: what is deployed.
        role: as ``SARDONYX_ROLE`` has it.
        volume_bytes: what it may write to its folder.
    """
    ports: list[Value] = [{"name": HTTP, "containerPort": PORT}]
    if cluster.grpc_port and role == GATEWAY:
        ports.append({"name": GRPC, "containerPort": cluster.grpc_port})
    return {
        "name": role,
        "image": cluster.image,
        "args": ["serve"],
        "ports": ports,
        "envFrom": environment(),
        "env": _own_variables(role),
        **probes(),
        "lifecycle": {
            "# Until nobody sends anything here any more.": None,
            "preStop": {"sleep": {"seconds": BEFORE_DRAIN_SECONDS}},
        },
        "resources": {
            "requests": {
                "cpu": str(cluster.cpus),
                "memory": quantity(cluster.memory_bytes),
                "ephemeral-storage": quantity(volume_bytes),
            },
            "# None of CPU: it would stop a gateway in the middle of requests while the node has nothing to do.": None,
            "limits": {
                "memory": quantity(cluster.memory_bytes),
                "ephemeral-storage": quantity(storage_bytes(volume_bytes)),
            },
        },
        "securityContext": confined(),
        "volumeMounts": data_mount(),
    }


def _own_variables(role: str) -> list[Value]:
    """Return what gateways and registry have each of their own."""
    variables: list[Value] = [{"name": "SARDONYX_ROLE", "value": role}]
    if role == GATEWAY:
        name = {"fieldRef": {"fieldPath": "metadata.name"}}
        comment = "# The proxy counts gateways from 1 and pods are counted from 0, which their names are taken for."
        variables.append({"name": "SARDONYX_RING_ID", comment: None, "valueFrom": name})
    return variables


def environment() -> list[Value]:
    """Return where a container has its settings from, and what is secret."""
    return [{"configMapRef": {"name": NAME}}, {"secretRef": {"name": NAME}}]


def data_mount() -> list[Value]:
    """Return the one folder that is written to."""
    return [{"name": "data", "mountPath": "/data"}]


def data_volume(size_bytes: int) -> list[Value]:
    """Return what that folder is: copies only, which are lost with the pod."""
    return [{"name": "data", "emptyDir": {"sizeLimit": quantity(size_bytes)}}]


def probes() -> dict[str, Value]:
    """Return when a gateway or the registry has begun, lives, and may be asked."""
    live: dict[str, Value] = {"httpGet": {"path": "/health/live", "port": HTTP}}
    return {
        "startupProbe": {
            **live,
            "periodSeconds": 1,
            "# Connections are taken when everything is loaded that is pinned, preloaded or of its share.": None,
            "failureThreshold": _START_SECONDS,
        },
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "readinessProbe": {
            "httpGet": {"path": "/health/ready", "port": HTTP},
            "periodSeconds": 2,
            "timeoutSeconds": 3,
        },
    }
