"""The gateways on Kubernetes.

1. They are a StatefulSet: a consistent hash wants servers that keep their names. A gateway that comes back has the
   place on the ring that it had, and one more takes its share and nothing else; all proxies have the same ring.
2. Nothing is kept: the volume goes with the pod. What it held is fetched from the bucket again.
3. How many there are, the autoscaler says: replicas are not written down, or each ``apply`` would set them back.
"""

from typing import Final

from gateway.deployment.kubernetes_cluster import Cluster
from gateway.deployment.kubernetes_pods import (
    GATEWAY,
    GRPC,
    HTTP,
    NAME,
    PORT,
    data_volume,
    disruption_budget,
    grace_seconds,
    labels,
    metadata,
    pod,
    service_account,
    serving_container,
    spread,
)
from gateway.deployment.yaml_text import Value

QUEUE_METRIC: Final = "sardonyx_waiting_requests"
"""Of the exposition; the adapter for custom metrics tells the autoscaler its value for each pod."""


def gateway_names(cluster: Cluster) -> list[str]:
    """Return the names of all gateways that there may be, in the order of their places."""
    return [f"{NAME}-{GATEWAY}-{ordinal}" for ordinal in range(cluster.most_gateways)]


def gateway_host(cluster: Cluster, name: str, namespace: str) -> str:
    """Return the name under which the cluster's DNS knows a gateway, also one that is not ready."""
    return f"{name}.{NAME}-{GATEWAY}.{namespace}.svc.{cluster.domain}"


def gateways(cluster: Cluster, digest: str) -> list[dict[str, Value]]:
    """Return what runs the gateways.

    Args:
        cluster: what is deployed.
        digest: of the settings; with others, pods are made anew.
    """
    account, budget = service_account(GATEWAY), disruption_budget(GATEWAY)
    return [account, _service(cluster), _set(cluster, digest), budget, _scaler(cluster)]


def _service(cluster: Cluster) -> dict[str, Value]:
    ports: list[Value] = [{"name": HTTP, "port": PORT, "targetPort": HTTP}]
    if cluster.grpc_port:
        ports.append({"name": GRPC, "port": cluster.grpc_port, "targetPort": GRPC})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(GATEWAY),
        "spec": {
            "# Gives each gateway a name of its own. Whether one is ready, the proxy asks itself.": None,
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": labels(GATEWAY),
            "ports": ports,
        },
    }


def _set(cluster: Cluster, digest: str) -> dict[str, Value]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(GATEWAY),
        "spec": {
            "serviceName": f"{NAME}-{GATEWAY}",
            "# How many there are, the autoscaler says: replicas here would set them back with each apply.": None,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "minReadySeconds": 5,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": labels(GATEWAY)},
            "template": {
                "metadata": {"labels": labels(GATEWAY), "annotations": {f"{NAME}/settings": digest}},
                "spec": pod(
                    GATEWAY,
                    serving_container(cluster, GATEWAY, volume_bytes=cluster.volume_bytes),
                    data_volume(cluster.volume_bytes),
                    terminationGracePeriodSeconds=grace_seconds(cluster),
                    topologySpreadConstraints=spread(GATEWAY),
                ),
            },
        },
    }


def _scaler(cluster: Cluster) -> dict[str, Value]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(GATEWAY),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": f"{NAME}-{GATEWAY}"},
            "minReplicas": cluster.fewest_gateways,
            "# As many servers as the proxy's configuration has.": None,
            "maxReplicas": cluster.most_gateways,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": QUEUE_METRIC},
                        "target": {"type": "AverageValue", "averageValue": str(cluster.waiting_requests)},
                    },
                },
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": cluster.busy_percent},
                    },
                },
            ],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
                },
                "# Who goes takes what it has loaded along: slowly, and not for a quiet quarter of an hour.": None,
                "scaleDown": {
                    "stabilizationWindowSeconds": 900,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
                },
            },
        },
    }
