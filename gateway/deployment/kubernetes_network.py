"""Who may talk to whom on Kubernetes.

1. What is not allowed to a pod here is forbidden, in both directions; the kubelet's probes always come through.
2. Callers reach the proxy, the proxy reaches gateways and registry, Prometheus reaches all of them, nobody the job.
3. Gateways, registry and job reach the database, and all but the job the bucket: by port, since where they are is not
   known here. Narrow them down by an overlay that knows.
4. The cloud's metadata, which give away the node's rights, answer at port 80: what is at that port may be any pod, and
   any address but those that they have.

Source: Kubernetes documentation, Network Policies; AWS documentation, instance metadata and EKS Pod Identity: they are
at 169.254.169.254 (Google's and Azure's too) and 169.254.170.23, by IPv6 at fd00:ec2::254 and fd00:ec2::23.
"""

from collections.abc import Sequence
from typing import Final

from gateway.deployment.kubernetes_cluster import Cluster
from gateway.deployment.kubernetes_pods import GATEWAY, GRPC, HTTP, MIGRATION, NAME, PROXY, REGISTRY, labels, metadata
from gateway.deployment.yaml_text import Value

_HTTPS: Final = 443
_METADATA_PORT: Final = 80
_BUT_METADATA: Final[Sequence[Value]] = (
    # Blocks of addresses are of what is outside of the cluster: not everywhere do they have pods in them.
    {"namespaceSelector": {}},
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
    {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::/32", "fe80::/10"]}},
)


def network(cluster: Cluster) -> list[dict[str, Value]]:
    """Return one policy for each component, and one that forbids the rest."""
    serving_ports: list[str | int] = [HTTP, GRPC] if cluster.grpc_port else [HTTP]
    prometheus: dict[str, Value] = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.monitoring_namespace}}
    }
    watched = _allowed([HTTP], prometheus)
    storage = _anywhere(cluster.database_port, cluster.store_port)
    # Webhooks are told over https only.
    elsewhere = _anywhere(cluster.database_port, cluster.store_port, _HTTPS)
    backends: list[Value] = [
        {"to": [_pods(GATEWAY)], "ports": _ports(serving_ports)},
        {"to": [_pods(REGISTRY)], "ports": _ports([HTTP])},
    ]
    return [
        _nothing(),
        _policy(PROXY, [_allowed(serving_ports)], [_dns(), *backends]),
        _policy(GATEWAY, [{"from": [_pods(PROXY)], "ports": _ports(serving_ports)}, watched], [_dns(), *storage]),
        _policy(REGISTRY, [{"from": [_pods(PROXY)], "ports": _ports([HTTP])}, watched], [_dns(), *elsewhere]),
        _policy(MIGRATION, [], [_dns(), *_anywhere(cluster.database_port)]),
    ]


def _nothing() -> dict[str, Value]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": NAME}},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "policyTypes": ["Ingress", "Egress"],
        },
    }


def _policy(component: str, ingress: Sequence[Value], egress: Sequence[Value]) -> dict[str, Value]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(component),
        "spec": {
            "podSelector": {"matchLabels": labels(component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _dns() -> dict[str, Value]:
    return {
        "# Anywhere: a cache on the node has an address that no selector finds.": None,
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }


def _allowed(ports: Sequence[str | int], source: Value = None) -> dict[str, Value]:
    """Return a rule for these ports, of whoever asks, or of one source."""
    return {**({"from": [source]} if source else {}), "ports": _ports(ports)}


def _anywhere(*ports: int) -> list[Value]:
    """Return the rules for what is at these ports, wherever it is, but for the cloud's metadata."""
    others = sorted({*ports} - {_METADATA_PORT})
    rules: list[Value] = [_allowed(others)] if others else []
    if _METADATA_PORT in ports:
        rules.append({"to": _BUT_METADATA, "ports": _ports([_METADATA_PORT])})
    return rules


def _pods(component: str) -> dict[str, Value]:
    return {"podSelector": {"matchLabels": labels(component)}}


def _ports(ports: Sequence[str | int]) -> list[Value]:
    return [{"port": port} for port in ports]
