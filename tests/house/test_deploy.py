"""What lies in ``deploy`` fits the schemas of those who read it, and the gateway that it runs."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from boto3.session import Session

from gateway.settings import PREFIX, Settings, parse_size
from gateway.supervisor import _DRAIN_SECONDS
from gateway.web.control import PUBLIC_PATHS
from registry.inspection.limits import ChildLimits

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.37"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VARIABLES = {PREFIX + name.upper() for name in Settings.model_fields}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
SERVICE = (DEPLOY / "sardonyx.service").read_text(encoding="utf-8")


def documents() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def document(kind: str) -> dict[str, Any]:
    (found,) = [each for each in documents() if each["kind"] == kind]
    return found


def container(kind: str) -> dict[str, Any]:
    (found,) = document(kind)["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("manifest", list(documents()), ids=lambda manifest: manifest["kind"])
def test_a_manifest_fits_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    assert kubernetes_validate.validate(manifest, KUBERNETES, strict=True) == KUBERNETES


def test_what_does_not_fit_is_found_out() -> None:
    broken = document("Deployment") | {"spec": {"replicas": "two"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "path", sorted(path for path in DEPLOY.rglob("*") if path.is_file()), ids=lambda path: path.name
)
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(re.findall(rf"{PREFIX}[A-Z0-9_]+", path.read_text(encoding="utf-8")))
    assert named - VARIABLES == set()


def test_ports_and_probes_are_those_of_the_gateway() -> None:
    gateway, port = container("Deployment"), str(Settings.model_fields["port"].default)
    probed = {gateway[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probed == {"/health/live", "/health/ready"}
    assert probed <= PUBLIC_PATHS
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert {exposed, re.findall(r"SARDONYX_PORT=(\d+)", DOCKERFILE)[0]} == {port}
    assert [str(each["containerPort"]) for each in gateway["ports"]] == [port]
    assert document("Service")["spec"]["ports"][0]["targetPort"] == gateway["ports"][0]["name"]
    assert "'/health/live'" in DOCKERFILE


def test_the_service_does_not_overwrite_the_port() -> None:
    """Kubernetes gives each container SARDONYX_PORT=tcp://... for a service of this name, unless it is told not to."""
    assert document("Service")["metadata"]["name"] == "sardonyx"
    assert [document(kind)["spec"]["template"]["spec"]["enableServiceLinks"] for kind in ("Job", "Deployment")] == [
        False
    ] * 2


def test_selectors_find_the_gateway_and_nothing_else() -> None:
    pod = document("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        document("Deployment")["spec"]["selector"]["matchLabels"],
        document("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        document("Service")["spec"]["selector"],
    ]
    assert selectors == [pod] * 3
    assert document("Job")["spec"]["template"]["metadata"]["labels"] != pod
    assert document("PodDisruptionBudget")["spec"]["minAvailable"] < document("Deployment")["spec"]["replicas"]


def bytes_of(quantity: str) -> int:
    return parse_size(f"{quantity}B")


def test_budgets_fit_into_what_the_container_may_have() -> None:
    resources, settings = container("Deployment")["resources"], document("ConfigMap")["data"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    limit_bytes = bytes_of(resources["limits"]["memory"])
    budget_bytes = limit_bytes * int(settings["SARDONYX_MEMORY_BUDGET"].removesuffix("%")) // 100
    margins_bytes = budget_bytes // 4  # what workers may take beyond their models, all together
    inspections_bytes = 2 * ChildLimits().memory_bytes
    assert budget_bytes + margins_bytes + inspections_bytes < limit_bytes
    (volume,) = document("Deployment")["spec"]["template"]["spec"]["volumes"]
    sizes = [
        parse_size(settings["SARDONYX_CACHE_BYTES"]),
        bytes_of(volume["emptyDir"]["sizeLimit"]),
        bytes_of(resources["limits"]["ephemeral-storage"]),
    ]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("path", ["deploy/kubernetes/gateway.yaml", "deploy/compose.yaml", "docs/administrators.md"])
def test_the_region_is_set_where_boto3_looks_for_it(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (name,) = re.findall(r"\b(AWS_[A-Z_]*REGION)(?:=|: )", (ROOT / path).read_text(encoding="utf-8"))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv(name, "eu-north-1")

    assert Session().region_name == "eu-north-1"


def test_the_job_of_the_release_before_makes_room_for_the_next() -> None:
    job = document("Job")["metadata"]["name"]
    in_order = rf"kubectl delete job {job} --ignore-not-found\b.*?kubectl apply -f \S*migrate\.yaml"
    for path in ("deploy/kubernetes/migrate.yaml", "docs/deploy.md"):
        assert re.search(in_order, (ROOT / path).read_text(encoding="utf-8"), re.DOTALL), path


def test_a_child_that_is_killed_for_memory_does_not_end_the_service() -> None:
    assert re.findall(r"^OOMPolicy=(.*)$", SERVICE, re.MULTILINE) == ["continue"]


def test_whoever_ends_the_gateway_waits_until_it_has_drained() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    pod = document("Deployment")["spec"]["template"]["spec"]
    before = container("Deployment")["lifecycle"]["preStop"]["sleep"]["seconds"]
    waited = {
        "compose": int(compose["services"]["gateway"]["stop_grace_period"].removesuffix("s")),
        "systemd": int(re.findall(r"TimeoutStopSec=(\d+)", SERVICE)[0]),
        "kubernetes": pod["terminationGracePeriodSeconds"] - before,
    }
    assert {name: seconds for name, seconds in waited.items() if seconds <= _DRAIN_SECONDS} == {}


def test_nothing_runs_as_root_or_writes_beside_its_volume() -> None:
    for kind in ("Job", "Deployment"):
        pod, inner = document(kind)["spec"]["template"]["spec"], container(kind)["securityContext"]
        assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
        assert inner == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert {
        str(document(kind)["spec"]["template"]["spec"]["securityContext"]["runAsUser"])
        for kind in ("Job", "Deployment")
    } == {user}


def test_no_secret_has_a_default() -> None:
    compose = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    secrets = re.findall(r"\$\{([A-Z0-9_]+)([^}]*)\}", compose)
    assert {name for name, _ in secrets} == {"POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"}
    assert {rest for _, rest in secrets} == {":?"}


def test_the_measured_image_is_the_one_that_is_built() -> None:
    source = (DEPLOY / "measure_image.py").read_text(encoding="utf-8")
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    (left_out,) = re.findall(r'LEFT_OUT = \("([^"]+)",\)', source)
    removed = re.findall(r"rm -r \S+/site-packages/(\S+)", DOCKERFILE)
    assert (bases, removed) == ({"python:3.11-slim"}, [left_out])
    assert "base image python:3.11-slim" in source
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE))
    seen = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines() if line[0] == "!"}
    assert {name for names in copied for name in names.split()} == seen


def test_the_wheel_has_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("gateway", "registry", "model_store", "migrations")
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed) == there


def test_the_filter_of_systemd_lets_inspections_confine_themselves() -> None:
    (allowed,) = re.findall(r"^SystemCallFilter=(.*)$", SERVICE, re.MULTILINE)
    needed = {"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    assert needed <= set(allowed.split())
    assert set(re.findall(r"^RestrictNamespaces=(.*)$", SERVICE, re.MULTILINE)[0].split()) == {"user", "net"}
    assert "MemoryDenyWriteExecute" not in SERVICE.split("[Service]")[1]


SYSTEMD_ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "sardonyx.service"
    unit.write_text(SERVICE.replace("/opt/sardonyx/bin/sardonyx", "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        [str(SYSTEMD_ANALYZE), "verify", "--man=no", unit], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
