"""The manifests for Kubernetes, as ``sardonyx deploy print`` has them, read again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from gateway.deployment.kubernetes import print_kubernetes, print_monitoring
from gateway.deployment.kubernetes_cluster import Cluster, cluster_settings
from gateway.settings import Settings

Manifest = dict[str, Any]


def cluster(*, choices: dict[str, Any] | None = None, **settings: Any) -> Cluster:
    """Return a cluster with these settings and otherwise unchanged, whatever the environment says."""
    chosen = Settings.model_construct().model_copy(update=settings)
    return Cluster(settings=cluster_settings(chosen), **(choices or {}))


@dataclass(frozen=True, slots=True)
class Manifests:
    """All that is printed for one cluster."""

    all: tuple[Manifest, ...]

    def one(self, kind: str, component: str | None = None) -> Manifest:
        """Return the only one of a kind, of a component or of none."""
        (found,) = [
            each
            for each in self.all
            if each["kind"] == kind and each["metadata"]["labels"].get("app.kubernetes.io/component") == component
        ]
        return found

    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """Yield the template of each component's pods, by the component's name."""
        for each in self.all:
            if "template" in each.get("spec", {}):
                template = each["spec"]["template"]
                yield template["metadata"]["labels"]["app.kubernetes.io/component"], template

    def containers(self) -> Iterator[tuple[str, Manifest]]:
        """Yield each component's container."""
        for component, template in self.pods():
            (container,) = template["spec"]["containers"]
            yield component, container

    def container(self, component: str) -> Manifest:
        """Return a component's container."""
        return dict(self.containers())[component]

    def pod(self, component: str) -> Manifest:
        """Return the spec of a component's pods."""
        return dict(dict(self.pods())[component]["spec"])


def manifests(of: Cluster | None = None) -> Manifests:
    """Return what is printed for a cluster; for the one that nobody has changed anything of, without one."""
    text = "---\n".join((print_kubernetes(of or cluster()), print_monitoring()))
    return Manifests(tuple(yaml.safe_load_all(text)))
