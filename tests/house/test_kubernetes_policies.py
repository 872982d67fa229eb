"""The manifests keep to the policies, and each policy finds out who does not."""

import copy
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.support.manifest_policies import POLICIES
from tests.support.manifests import Manifests, cluster, manifests

CLUSTERS = {
    "as it is": cluster(),
    "with gRPC": cluster(grpc_port=8001),
    "a bucket at port 80": cluster(s3_endpoint_url="http://minio"),
    "another": cluster(
        workers=4, s3_endpoint_url="http://s3.example.org:9000", choices={"memory_bytes": 16 * 1024**3, "proxies": 3}
    ),
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("printed", [manifests(each) for each in CLUSTERS.values()], ids=list(CLUSTERS))
def test_the_manifests_keep_to(name: str, printed: Manifests) -> None:
    assert list(POLICIES[name](printed)) == []


def change(component: str, *path: str | int, to: Any = None) -> Callable[[Manifests], None]:
    """Return what sets a field of a component's container; None takes it away."""

    def changing(broken: Manifests) -> None:
        at: Any = dict(broken.pods())[component]["spec"]["containers"][0]
        _set(at, path, to)

    return changing


def change_pod(component: str, *path: str | int, to: Any = None) -> Callable[[Manifests], None]:
    """Return what sets a field of a component's pods; None takes it away."""
    return lambda broken: _set(dict(broken.pods())[component], ("spec", *path), to)


def change_one(kind: str, component: str | None, *path: str | int, to: Any = None) -> Callable[[Manifests], None]:
    """Return what sets a field of a manifest; None takes it away."""
    return lambda broken: _set(broken.one(kind, component), path, to)


def _set(at: Any, path: tuple[str | int, ...], to: Any) -> None:
    *way, last = path
    for step in way:
        at = at[step]
    if to is None:
        del at[last]
    else:
        at[last] = to


SECURITY = "securityContext"
BROKEN: dict[str, Callable[[Manifests], None]] = {
    "host-namespaces": change_pod("gateway", "hostNetwork", to=True),
    "volume-types": change_pod("gateway", "volumes", 0, to={"name": "data", "hostPath": {"path": "/"}}),
    "run-as-non-root": change_pod("proxy", SECURITY, "runAsNonRoot"),
    "run-as-user": change_pod("proxy", SECURITY, "runAsUser", to=99),
    "seccomp": change_pod("migration", SECURITY, "seccompProfile", to={"type": "Unconfined"}),
    "sysctls": change_pod("proxy", SECURITY, "sysctls", to=[{"name": "kernel.msgmax", "value": "1"}]),
    "no-init-containers-unseen": change_pod("gateway", "initContainers", to=[{"name": "chown"}]),
    "automount-service-account-token": change_pod("registry", "automountServiceAccountToken"),
    "default-service-account": change_pod("registry", "serviceAccountName"),
    "privileged-container": change("gateway", SECURITY, "privileged", to=True),
    "capabilities": change("gateway", SECURITY, "capabilities", to={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "privilege-escalation": change("migration", SECURITY, "allowPrivilegeEscalation"),
    "unsafe-proc-mount": change("gateway", SECURITY, "procMount", to="Unmasked"),
    "no-read-only-root-fs": change("proxy", SECURITY, "readOnlyRootFilesystem"),
    "host-ports": change("proxy", "ports", 0, to={"name": "http", "containerPort": 8080, "hostPort": 80}),
    "privileged-ports": change("proxy", "ports", 0, to={"name": "http", "containerPort": 80}),
    "latest-tag": change("proxy", "image", to="haproxy"),
    "unset-cpu-requirements": change("proxy", "resources", "requests", "cpu"),
    "unset-memory-requirements": change("gateway", "resources", "limits", "memory"),
    "unset-ephemeral-storage-requirements": change("gateway", "resources", "limits", "ephemeral-storage"),
    "duplicate-env-var": change("gateway", "env", to=[{"name": "SARDONYX_ROLE", "value": "all"}] * 2),
    "env-var-secret": change("gateway", "env", to=[{"name": "AWS_SECRET_ACCESS_KEY", "value": "opensesame"}]),
    "probes": change("gateway", "readinessProbe", "httpGet", "port", to="web"),
    "non-existent-service-account": change_pod("gateway", "serviceAccountName", to="sardonyx-registry"),
    "mismatching-selector": change_one("Deployment", "proxy", "spec", "selector", "matchLabels", to={"app": "proxy"}),
    "dangling-selectors": change_one("Service", "proxy", "spec", "selector", to={"app": "proxy"}),
    "dangling-horizontalpodautoscaler": change_one("StatefulSet", "gateway", "spec", "replicas", to=3),
    "dangling-servicemonitor": change_one("ServiceMonitor", None, "spec", "endpoints", 0, "port", to="metrics"),
    "dangling-references": change("gateway", "envFrom", 1, to={"secretRef": {"name": "elsewhere"}}),
    "non-isolated-pod": change_one("NetworkPolicy", "gateway", "spec", "policyTypes", to=["Ingress"]),
    "pdb": change_one("PodDisruptionBudget", "gateway", "spec", "maxUnavailable", to=0),
    "no-anti-affinity": change_pod("gateway", "topologySpreadConstraints", 0),
    "update-strategy": change_one("Deployment", "registry", "spec", "strategy", to={"type": "Recreate"}),
    "job-ttl-seconds-after-finished": change_one("Job", "migration", "spec", "ttlSecondsAfterFinished"),
    "exposed-services": change_one("Service", "proxy", "spec", "type", to="NodePort"),
    "configmap-with-credentials": change_one(
        "ConfigMap", None, "data", "SARDONYX_DATABASE_URL", to="postgresql://a:b@c"
    ),
    "no-extensions-v1beta": change_one("HorizontalPodAutoscaler", "gateway", "apiVersion", to="autoscaling/v2beta2"),
    "recommended-labels": change_one("Service", "proxy", "metadata", "namespace", to="sardonyx"),
}


def test_there_is_a_fault_for_every_policy() -> None:
    assert list(BROKEN) == list(POLICIES)


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_found_by(name: str) -> None:
    broken = copy.deepcopy(manifests())
    BROKEN[name](broken)

    assert list(POLICIES[name](broken)) != []


METADATA = ("169.254.169.254", "169.254.170.23", "fd00:ec2::254", "fe80::a9fe:a9fe")
ELSEWHERE = ("10.0.0.7", "203.0.113.7", "2001:db8::7")


def is_reached(printed: Manifests, component: str, address: str) -> bool:
    """Return whether a component's pods may ask for something at port 80 of an address outside of the cluster."""
    for rule in printed.one("NetworkPolicy", component)["spec"]["egress"]:
        if 80 in [each["port"] for each in rule["ports"]]:
            peers = rule.get("to", [{"ipBlock": {"cidr": cidr}} for cidr in ("0.0.0.0/0", "::/0")])
            blocks = [peer["ipBlock"] for peer in peers if "ipBlock" in peer]
            for block in blocks:
                is_without = any(ip_address(address) in ip_network(each) for each in block.get("except", ()))
                if ip_address(address) in ip_network(block["cidr"]) and not is_without:
                    return True
    return False


@pytest.mark.parametrize("component", ["gateway", "registry"])
def test_a_bucket_at_the_port_of_the_cloud_s_metadata_does_not_open_them(component: str) -> None:
    printed = manifests(CLUSTERS["a bucket at port 80"])

    reached = [address for address in (*METADATA, *ELSEWHERE) if is_reached(printed, component, address)]

    assert reached == list(ELSEWHERE)


@pytest.mark.parametrize("component", ["gateway", "registry"])
def test_a_bucket_at_port_80_may_be_a_pod(component: str) -> None:
    rules = manifests(CLUSTERS["a bucket at port 80"]).one("NetworkPolicy", component)["spec"]["egress"]
    (rule,) = [each for each in rules if each["ports"] == [{"port": 80}]]
    assert {"namespaceSelector": {}} in rule["to"]


@pytest.mark.parametrize("component", ["gateway", "registry", "migration"])
def test_without_a_bucket_at_port_80_nothing_is_reached_there(component: str) -> None:
    assert [address for address in (*METADATA, *ELSEWHERE) if is_reached(manifests(), component, address)] == []
