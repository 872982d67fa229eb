"""What every manifest for Kubernetes has to keep to, as a linter would hold it: each policy names who does not.

The names are KubeLinter's where it has the policy, else those of the Pod Security Standards' profile "restricted", all
of whose controls are here.

Source: Kubernetes documentation, Pod Security Standards; KubeLinter, the checks that it has built in.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.support.manifests import Manifest, Manifests

_VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_HOST: Final = ("hostNetwork", "hostPID", "hostIPC")
_LONGEST_PORT_NAME: Final = 15
_FIRST_UNPRIVILEGED_PORT: Final = 1024
_FIRST_USER_BESIDE_THE_NODE_S: Final = 10_000
_SECRETIVE: Final = ("password", "secret", "token", "credential", "access_key", "database_url")
_EXISTS_BESIDE: Final = {"Secret": {"sardonyx", "sardonyx-prometheus"}}
"""What the documentation has the operator make."""

Policy = Callable[[Manifests], Iterator[str]]
POLICIES: Final[dict[str, Policy]] = {}
"""All of them by name."""


def _policy(name: str) -> Callable[[Policy], Policy]:
    def keep(policy: Policy) -> Policy:
        POLICIES[name] = policy
        return policy

    return keep


def _of_pods(name: str, is_kept: Callable[[Manifest], Any]) -> None:
    POLICIES[name] = lambda printed: (who for who, each in printed.pods() if not is_kept(each["spec"]))


def _of_containers(name: str, is_kept: Callable[[Manifest], Any]) -> None:
    POLICIES[name] = lambda printed: (who for who, each in printed.containers() if not is_kept(each))


def _kinds(printed: Manifests, *kinds: str) -> list[Manifest]:
    return [each for each in printed.all if each["kind"] in kinds]


def _names(printed: Manifests, kind: str) -> set[str]:
    return {each["metadata"]["name"] for each in _kinds(printed, kind)} | _EXISTS_BESIDE.get(kind, set())


def _selects(selector: Manifest, printed: Manifests) -> bool:
    labels = [template["metadata"]["labels"] for _, template in printed.pods()]
    return any(selector.items() <= each.items() for each in labels)


_of_pods("host-namespaces", lambda spec: not any(spec.get(name) for name in _HOST))
_of_pods("volume-types", lambda spec: all(set(each) - {"name"} <= _VOLUMES for each in spec["volumes"]))
_of_pods("run-as-non-root", lambda spec: spec["securityContext"].get("runAsNonRoot") is True)
_of_pods("run-as-user", lambda spec: spec["securityContext"].get("runAsUser", 0) >= _FIRST_USER_BESIDE_THE_NODE_S)
_of_pods("seccomp", lambda spec: spec["securityContext"].get("seccompProfile") == {"type": "RuntimeDefault"})
_of_pods("sysctls", lambda spec: not spec["securityContext"].get("sysctls"))
_of_pods("no-init-containers-unseen", lambda spec: "initContainers" not in spec and "ephemeralContainers" not in spec)
_of_pods("automount-service-account-token", lambda spec: spec.get("automountServiceAccountToken") is False)
_of_pods("default-service-account", lambda spec: spec.get("serviceAccountName", "default") != "default")

_of_containers("privileged-container", lambda it: not it["securityContext"].get("privileged"))
_of_containers("capabilities", lambda it: it["securityContext"].get("capabilities") == {"drop": ["ALL"]})
_of_containers("privilege-escalation", lambda it: it["securityContext"].get("allowPrivilegeEscalation") is False)
_of_containers("unsafe-proc-mount", lambda it: it["securityContext"].get("procMount", "Default") == "Default")
_of_containers("no-read-only-root-fs", lambda it: it["securityContext"].get("readOnlyRootFilesystem") is True)
_of_containers("host-ports", lambda it: not any("hostPort" in port for port in it.get("ports", ())))
_of_containers(
    "privileged-ports",
    lambda it: all(port["containerPort"] >= _FIRST_UNPRIVILEGED_PORT for port in it.get("ports", ())),
)
_of_containers("latest-tag", lambda it: it["image"].rpartition(":")[2] not in ("latest", it["image"]))
_of_containers("unset-cpu-requirements", lambda it: it["resources"]["requests"].get("cpu"))
_of_containers(
    "unset-memory-requirements",
    lambda it: it["resources"]["requests"].get("memory") and it["resources"]["limits"].get("memory"),
)
_of_containers(
    "unset-ephemeral-storage-requirements",
    lambda it: (
        it["resources"]["requests"].get("ephemeral-storage") and it["resources"]["limits"].get("ephemeral-storage")
    ),
)
_of_containers(
    "duplicate-env-var",
    lambda it: len({each["name"] for each in it.get("env", ())}) == len(it.get("env", ())),
)
_of_containers(
    "env-var-secret",
    lambda it: not any(word in each["name"].lower() for each in it.get("env", ()) for word in _SECRETIVE),
)


@_policy("probes")
def probes(printed: Manifests) -> Iterator[str]:
    """Whoever serves says that it lives and that it is ready, and is asked at a port that it has."""
    for each in _kinds(printed, "Deployment", "StatefulSet"):
        (container,) = each["spec"]["template"]["spec"]["containers"]
        asked = {name: probe["httpGet"]["port"] for name, probe in container.items() if name.endswith("Probe")}
        has = {port["name"] for port in container.get("ports", ())}
        if not {"livenessProbe", "readinessProbe"} <= set(asked) or not set(asked.values()) <= has:
            yield each["metadata"]["name"]


@_policy("non-existent-service-account")
def accounts(printed: Manifests) -> Iterator[str]:
    """Each component has an account of its own, which has no rights and no token."""
    known = {each["metadata"]["name"]: each for each in _kinds(printed, "ServiceAccount")}
    used = [(who, template["spec"].get("serviceAccountName")) for who, template in printed.pods()]
    yield from (who for who, name in used if name not in known or [one for _, one in used].count(name) > 1)
    yield from (name for name, each in known.items() if each.get("automountServiceAccountToken") is not False)
    yield from (each["kind"] for each in printed.all if each["apiVersion"].startswith("rbac."))


@_policy("mismatching-selector")
def selectors(printed: Manifests) -> Iterator[str]:
    """Whoever makes pods finds the very pods that it makes."""
    for each in _kinds(printed, "Deployment", "StatefulSet"):
        if each["spec"]["selector"]["matchLabels"] != each["spec"]["template"]["metadata"]["labels"]:
            yield each["metadata"]["name"]


@_policy("dangling-selectors")
def dangling(printed: Manifests) -> Iterator[str]:
    """What selects pods finds some."""
    for each in _kinds(printed, "Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = each["spec"]
        chosen = [spec["selector"] if each["kind"] == "Service" else None]
        chosen += [
            spec[name].get("matchLabels", {}) for name in ("selector", "podSelector") if name in spec and not chosen[0]
        ]
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            peers = (*rule.get("from", ()), *rule.get("to", ()))
            chosen += [peer["podSelector"]["matchLabels"] for peer in peers if "podSelector" in peer]
        if not all(_selects(selector, printed) for selector in chosen if selector is not None):
            yield f"{each['kind']} {each['metadata']['name']}"


@_policy("dangling-horizontalpodautoscaler")
def autoscalers(printed: Manifests) -> Iterator[str]:
    """An autoscaler has something to scale, which does not say itself how many it is."""
    for each in _kinds(printed, "HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        found = [it for it in _kinds(printed, target["kind"]) if it["metadata"]["name"] == target["name"]]
        if len(found) != 1 or "replicas" in found[0]["spec"] or each["spec"]["minReplicas"] < 2:
            yield each["metadata"]["name"]


@_policy("dangling-servicemonitor")
def monitors(printed: Manifests) -> Iterator[str]:
    """What is scraped is there, at ports that it has."""
    for each in _kinds(printed, "ServiceMonitor"):
        selector = each["spec"]["selector"]
        found = [
            service
            for service in _kinds(printed, "Service")
            if selector["matchLabels"].items() <= service["metadata"]["labels"].items()
            and all(
                service["metadata"]["labels"].get(wanted["key"]) in wanted["values"]
                for wanted in selector["matchExpressions"]
            )
        ]
        ports = {endpoint["port"] for endpoint in each["spec"]["endpoints"]}
        if not found or any(ports - {port["name"] for port in service["spec"]["ports"]} for service in found):
            yield each["metadata"]["name"]


@_policy("dangling-references")
def references(printed: Manifests) -> Iterator[str]:
    """Settings and files come of what is there."""
    for who, template in printed.pods():
        (container,) = template["spec"]["containers"]
        sources = [pair for each in container.get("envFrom", ()) for pair in each.items()]
        maps = {it["name"] for kind, it in sources if kind == "configMapRef"}
        maps |= {each["configMap"]["name"] for each in template["spec"]["volumes"] if "configMap" in each}
        secrets = {it["name"] for kind, it in sources if kind == "secretRef"}
        if not maps <= _names(printed, "ConfigMap") or not secrets <= _names(printed, "Secret"):
            yield who
        mounted = {each["name"] for each in container["volumeMounts"]}
        if mounted != {each["name"] for each in template["spec"]["volumes"]}:
            yield f"{who}'s volumes"


@_policy("non-isolated-pod")
def isolation(printed: Manifests) -> Iterator[str]:
    """Each component has a policy of its own, and what none allows is forbidden."""
    policies = {each["metadata"]["name"]: each["spec"] for each in _kinds(printed, "NetworkPolicy")}
    for who, template in printed.pods():
        labels = template["metadata"]["labels"]
        own = [it for it in policies.values() if it["podSelector"]["matchLabels"] == labels]
        if len(own) != 1:
            yield who
    both = ["Ingress", "Egress"]
    yield from (name for name, it in policies.items() if it.get("policyTypes") != both)
    if not any("ingress" not in it and "egress" not in it for it in policies.values()):
        yield "nothing is forbidden"


@_policy("pdb")
def budgets(printed: Manifests) -> Iterator[str]:
    """Whoever is there more than once is sent away one at a time; nobody keeps a node from being drained."""
    several = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]
        for each in _kinds(printed, "Deployment", "StatefulSet")
        if each["spec"].get("replicas", 2) > 1
    }
    kept = {
        each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for each in _kinds(printed, "PodDisruptionBudget")
        if each["spec"].get("maxUnavailable") == 1 and each["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    }
    yield from several ^ kept


@_policy("no-anti-affinity")
def spreading(printed: Manifests) -> Iterator[str]:
    """Whoever is there more than once lies apart, over zones and over hosts."""
    for each in _kinds(printed, "Deployment", "StatefulSet"):
        pod = each["spec"]["template"]
        spread = {
            it["topologyKey"]
            for it in pod["spec"].get("topologySpreadConstraints", ())
            if it["labelSelector"]["matchLabels"] == pod["metadata"]["labels"]
        }
        if each["spec"].get("replicas", 2) > 1 and spread != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield each["metadata"]["name"]


@_policy("update-strategy")
def updates(printed: Manifests) -> Iterator[str]:
    """A deployment never has fewer pods than it should have while they are replaced."""
    for each in _kinds(printed, "Deployment"):
        if each["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxUnavailable") != 0:
            yield each["metadata"]["name"]


@_policy("job-ttl-seconds-after-finished")
def jobs(printed: Manifests) -> Iterator[str]:
    """A job that is done goes, and one that fails gives up."""
    for each in _kinds(printed, "Job"):
        if "ttlSecondsAfterFinished" not in each["spec"] or "backoffLimit" not in each["spec"]:
            yield each["metadata"]["name"]


@_policy("exposed-services")
def services(printed: Manifests) -> Iterator[str]:
    """Nothing is open to the outside but by somebody's own choice, and ports have names that may be names."""
    for each in _kinds(printed, "Service"):
        names = [port["name"] for port in each["spec"]["ports"]]
        if each["spec"].get("type", "ClusterIP") != "ClusterIP" or any(
            len(name) > _LONGEST_PORT_NAME for name in names
        ):
            yield each["metadata"]["name"]


@_policy("configmap-with-credentials")
def open_secrets(printed: Manifests) -> Iterator[str]:
    """No secret lies where everybody reads."""
    yield from (each["metadata"]["name"] for each in _kinds(printed, "Secret"))
    for each in _kinds(printed, "ConfigMap"):
        yield from (name for name in each["data"] if any(word in name.lower() for word in _SECRETIVE))


@_policy("no-extensions-v1beta")
def versions(printed: Manifests) -> Iterator[str]:
    """No interface is used that may go."""
    yield from (each["kind"] for each in printed.all if "beta" in each["apiVersion"] or "alpha" in each["apiVersion"])


@_policy("recommended-labels")
def labels(printed: Manifests) -> Iterator[str]:
    """Everything says whose it is, and none says where it lies: that is an overlay's to say."""
    for each in printed.all:
        if (
            each["metadata"].get("labels", {}).get("app.kubernetes.io/name") != "sardonyx"
            or "namespace" in each["metadata"]
        ):
            yield each["metadata"]["name"]
