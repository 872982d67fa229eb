"""Writes the files of ``deploy`` that the program can print: ``make manifests``. A test holds them to it."""

import sys
from pathlib import Path

from gateway.deployment.kubernetes import manifests, print_monitoring
from gateway.deployment.kubernetes_cluster import Cluster, cluster_settings
from gateway.deployment.kubernetes_monitoring import alerts
from gateway.settings import Settings

_DEPLOY = Path(__file__).parent


def printed_files() -> dict[Path, str]:
    """Return the text of each file that is printed, of the settings that nobody has changed."""
    base = _DEPLOY / "kubernetes"
    cluster = Cluster(settings=cluster_settings(Settings.model_construct()))
    return {
        **{base / name: text for name, text in manifests(cluster).items()},
        base / "monitoring" / "monitoring.yaml": print_monitoring(),
        _DEPLOY / "prometheus" / "alerts.yml": alerts(),
    }


def main() -> int:
    """Write them all, and return 0."""
    for path, text in printed_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
