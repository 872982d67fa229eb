"""What lies in ``deploy`` fits those who read it, and the gateway that it runs.

What is for Kubernetes has tests of its own (``test_kubernetes.py``).
"""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from boto3.session import Session

from gateway.settings import PREFIX, Settings
from gateway.supervisor import _DRAIN_SECONDS
from gateway.web.control import PUBLIC_PATHS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {PREFIX + name.upper() for name in Settings.model_fields}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
SERVICE = (DEPLOY / "sardonyx.service").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", sorted(path for path in DEPLOY.rglob("*") if path.is_file()), ids=lambda path: path.name
)
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(re.findall(rf"{PREFIX}[A-Z0-9_]+", path.read_text(encoding="utf-8")))
    assert named - VARIABLES == set()


def test_ports_and_probes_are_those_of_the_gateway() -> None:
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    port = str(Settings.model_fields["port"].default)
    assert {exposed, re.findall(r"SARDONYX_PORT=(\d+)", DOCKERFILE)[0]} == {port}
    assert "'/health/live'" in DOCKERFILE
    assert "/health/live" in PUBLIC_PATHS


@pytest.mark.parametrize("path", ["deploy/compose.yaml", "docs/administrators.md"])
def test_the_region_is_set_where_boto3_looks_for_it(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (name,) = re.findall(r"\b(AWS_[A-Z_]*REGION)(?:=|: )", (ROOT / path).read_text(encoding="utf-8"))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv(name, "eu-north-1")

    assert Session().region_name == "eu-north-1"


def test_a_child_that_is_killed_for_memory_does_not_end_the_service() -> None:
    assert re.findall(r"^OOMPolicy=(.*)$", SERVICE, re.MULTILINE) == ["continue"]


def test_whoever_ends_the_gateway_waits_until_it_has_drained() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    waited = {
        "compose": int(compose["services"]["gateway"]["stop_grace_period"].removesuffix("s")),
        "systemd": int(re.findall(r"TimeoutStopSec=(\d+)", SERVICE)[0]),
    }
    assert {name: seconds for name, seconds in waited.items() if seconds <= _DRAIN_SECONDS} == {}


@pytest.mark.parametrize("path", ["sardonyx.service", "compose.yaml"])
def test_where_the_time_to_end_is_set_it_says_what_a_drain_adds(path: str) -> None:
    said = (DEPLOY / path).read_text(encoding="utf-8").replace("\n# ", " ")

    assert re.search(rf"\b{_DRAIN_SECONDS:.0f}\b.{{0,40}}\bSARDONYX_DRAIN_SECONDS\b", said) is not None


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
