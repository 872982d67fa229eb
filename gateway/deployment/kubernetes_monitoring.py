"""How Prometheus's operator scrapes gateways and registry; the alerts are those of every other deployment."""

from importlib.resources import files
from typing import Final

from gateway.deployment.kubernetes_pods import GATEWAY, HTTP, NAME, REGISTRY
from gateway.deployment.yaml_text import Value, yaml_of

CREDENTIALS: Final = "sardonyx-prometheus"
"""A Secret that has a token with the role ``predict`` under the key ``token``."""

_LABELS: Final[dict[str, Value]] = {"app.kubernetes.io/name": NAME}


def monitoring() -> str:
    """Return a ServiceMonitor and a PrometheusRule."""
    rule: dict[str, Value] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": NAME, "labels": _LABELS},
    }
    spec = "".join(f"  {line}" if line.strip() else line for line in alerts().splitlines(keepends=True))
    return f"{yaml_of(_monitor(), rule)}spec:\n{spec}"


def alerts() -> str:
    """Return the rule file, as Prometheus reads it."""
    return files("gateway.deployment").joinpath("alerts.yml").read_text(encoding="utf-8")


def _monitor() -> dict[str, Value]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": NAME, "labels": _LABELS},
        "spec": {
            "# The alerts ask for the job sardonyx, which is what this label says.": None,
            "jobLabel": "app.kubernetes.io/name",
            "selector": {
                "matchLabels": _LABELS,
                "matchExpressions": [
                    {"key": "app.kubernetes.io/component", "operator": "In", "values": [GATEWAY, REGISTRY]}
                ],
            },
            "endpoints": [
                {
                    "port": HTTP,
                    "path": "/metrics",
                    "interval": "15s",
                    "scrapeTimeout": "10s",
                    "authorization": {"type": "Bearer", "credentials": {"name": CREDENTIALS, "key": "token"}},
                }
            ],
        },
    }
