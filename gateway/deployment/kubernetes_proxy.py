"""The proxy on Kubernetes: HAProxy, with the configuration that it has everywhere else.

1. It goes round the services: it asks the cluster's DNS for each gateway by name, and each gateway whether it is ready.
   A gateway that is not there is a server that is down; the ring is made of names, so all proxies have the same one.
2. The configuration's digest stands at the pods: with another one, they are made anew, one after the other.
3. A proxy that ends is first left out of the service, then finishes what it has begun: the image says that SIGUSR1 ends
   it, which HAProxy takes for that.
"""

from hashlib import sha256
from typing import Final

from gateway.deployment.haproxy import BUFFER_BYTES
from gateway.deployment.kubernetes_cluster import Cluster, quantity
from gateway.deployment.kubernetes_pods import (
    BEFORE_DRAIN_SECONDS,
    GRPC,
    HTTP,
    NAME,
    PROXY,
    confined,
    disruption_budget,
    labels,
    metadata,
    pod,
    service_account,
    spread,
)
from gateway.deployment.yaml_text import Value
from gateway.settings import GIB

NAMESPACE_VARIABLE: Final = "POD_NAMESPACE"
"""What the configuration calls the namespace, so that it holds in any."""

_FOLDER: Final = "/usr/local/etc/haproxy"
_FILE: Final = "haproxy.cfg"
_MOST_CONNECTIONS: Final = 4096
_BUFFERS_BYTES: Final = 4 * BUFFER_BYTES * _MOST_CONNECTIONS
"""With a request and an answer under way on either side of each of so many connections."""
_MEMORY_BYTES: Final = 3 * _BUFFERS_BYTES // 2
"""Connections, streams, the DNS and the program want some as well."""
_STORAGE_BYTES: Final = GIB
"""Of its log alone, of which the kubelet keeps 50 MiB, and more until it looks at it again."""


def proxy(
    cluster: Cluster, configuration: str, *, live_path: str, port: int, grace_seconds: int
) -> list[dict[str, Value]]:
    """Return what runs the proxy, and the service that callers ask.

    Args:
        cluster: what is deployed.
        configuration: of HAProxy.
        live_path: what the proxy itself answers.
        port: where it listens.
        grace_seconds: until it is killed when it ends.
    """
    ports: list[Value] = [{"name": HTTP, "port": 80, "targetPort": HTTP}]
    if cluster.grpc_port:
        ports.append({"name": GRPC, "port": cluster.grpc_port, "targetPort": GRPC})
    return [
        service_account(PROXY),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(PROXY), "data": {_FILE: configuration}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(PROXY),
            "spec": {
                "replicas": cluster.proxies,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "revisionHistoryLimit": 3,
                "selector": {"matchLabels": labels(PROXY)},
                "template": {
                    "metadata": {
                        "labels": labels(PROXY),
                        "annotations": {f"{NAME}/settings": sha256(configuration.encode()).hexdigest()},
                    },
                    "spec": pod(
                        PROXY,
                        _container(cluster, live_path, port),
                        [{"name": "configuration", "configMap": {"name": f"{NAME}-{PROXY}"}}],
                        terminationGracePeriodSeconds=grace_seconds,
                        topologySpreadConstraints=spread(PROXY),
                    ),
                },
            },
        },
        disruption_budget(PROXY),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(PROXY, NAME),
            "spec": {"selector": labels(PROXY), "ports": ports},
        },
    ]


def _container(cluster: Cluster, live_path: str, port: int) -> dict[str, Value]:
    ports: list[Value] = [{"name": HTTP, "containerPort": port}]
    if cluster.grpc_port:
        ports.append({"name": GRPC, "containerPort": cluster.grpc_port})
    live: dict[str, Value] = {"httpGet": {"path": live_path, "port": HTTP}}
    limits: dict[str, Value] = {"memory": quantity(_MEMORY_BYTES), "ephemeral-storage": quantity(_STORAGE_BYTES)}
    return {
        "name": PROXY,
        "image": cluster.proxy_image,
        "# -n: left to itself it would take as many connections as the node lets a process open files.": None,
        "command": ["haproxy", "-db", "-n", str(_MOST_CONNECTIONS), "-f", f"{_FOLDER}/{_FILE}"],
        "ports": ports,
        "env": [{"name": NAMESPACE_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "readinessProbe": {**live, "periodSeconds": 2, "timeoutSeconds": 3},
        "lifecycle": {
            "# Until the service has left it out everywhere.": None,
            "preStop": {"sleep": {"seconds": BEFORE_DRAIN_SECONDS}},
        },
        "resources": {"requests": {"cpu": "500m", **limits}, "limits": limits},
        "securityContext": confined(),
        "volumeMounts": [{"name": "configuration", "mountPath": _FOLDER, "readOnly": True}],
    }
