"""Everything that runs on Kubernetes, as manifests: a base for kustomize, or for ``kubectl apply -f -``.

1. There is one file for each component, and the command prints them in the order in which they are applied. Nothing
   waits for anything: pods that lack something are not ready until it is there.
2. Kustomize rather than Helm: what is printed is what is applied, and whoever wants it otherwise patches fields that
   have names. A chart would be a language of its own around settings that are the gateway's already.
3. The settings' digest stands at the pods that read them: with others, they are made anew.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from gateway.deployment.deployed import Deployment, Server
from gateway.deployment.haproxy import LIVE, hard_stop_seconds, print_haproxy
from gateway.deployment.kubernetes_cluster import Cluster, cluster_settings
from gateway.deployment.kubernetes_gateways import gateway_host, gateway_names, gateways
from gateway.deployment.kubernetes_monitoring import monitoring
from gateway.deployment.kubernetes_network import network
from gateway.deployment.kubernetes_pods import BEFORE_DRAIN_SECONDS, NAME, PORT, REGISTRY
from gateway.deployment.kubernetes_proxy import NAMESPACE_VARIABLE, proxy
from gateway.deployment.kubernetes_registry import migration, registry, registry_host
from gateway.deployment.yaml_text import Value, yaml_of

_NAMESPACE: Final = "NAMESPACE"
"""No name has capitals: it is put in place of the variable, which is no name of a host."""
_SPARE_SECONDS: Final = 5
_FEWEST_GATEWAYS: Final = 3


def cluster_of(asked: Deployment, *, most_gateways: int) -> Cluster:
    """Return the cluster that has what was asked for of any deployment; where its parts are, it says itself."""
    return Cluster(
        settings=cluster_settings(asked.settings),
        fewest_gateways=min(_FEWEST_GATEWAYS, most_gateways),
        most_gateways=most_gateways,
        balance_factor=asked.balance_factor,
        replays=asked.replays,
    )


def print_kubernetes(cluster: Cluster) -> str:
    """Return all manifests but those for Prometheus's operator, which not every cluster has."""
    return "---\n".join(manifests(cluster).values())


def print_monitoring() -> str:
    """Return the manifests for Prometheus's operator."""
    return monitoring()


def manifests(cluster: Cluster) -> Mapping[str, str]:
    """Return the text of each file, by its name, in the order in which they are applied."""
    digest = sha256(json.dumps(cluster.configuration, sort_keys=True).encode()).hexdigest()
    return {
        "settings.yaml": yaml_of(_settings(cluster)),
        "network.yaml": yaml_of(*network(cluster)),
        "migration.yaml": yaml_of(*migration(cluster)),
        "registry.yaml": yaml_of(*registry(cluster, digest)),
        "gateways.yaml": yaml_of(*gateways(cluster, digest)),
        "proxy.yaml": yaml_of(*_proxy(cluster)),
    }


def deployment(cluster: Cluster) -> Deployment:
    """Return what the proxy has before it."""
    grpc_port = cluster.grpc_port or None
    servers = [
        Server(id=place, name=name, host=gateway_host(cluster, name, _NAMESPACE), port=PORT, grpc_port=grpc_port)
        for place, name in enumerate(gateway_names(cluster), start=1)
    ]
    host = registry_host(cluster, _NAMESPACE)
    return Deployment(
        gateways=tuple(servers),
        registries=(Server(id=1, name=f"{NAME}-{REGISTRY}", host=host, port=PORT),),
        grpc_port=grpc_port,
        dns=True,
        balance_factor=cluster.balance_factor,
        replays=cluster.replays,
        settings=cluster.settings,
    )


def _proxy(cluster: Cluster) -> list[dict[str, Value]]:
    deployed = deployment(cluster)
    configuration = print_haproxy(deployed).replace(f".{_NAMESPACE}.", f'."${{{NAMESPACE_VARIABLE}}}".')
    grace = BEFORE_DRAIN_SECONDS + hard_stop_seconds(deployed) + _SPARE_SECONDS
    return proxy(cluster, configuration, live_path=LIVE, port=deployed.port, grace_seconds=grace)


def _settings(cluster: Cluster) -> dict[str, Value]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": NAME}},
        "data": cluster.configuration,
    }
