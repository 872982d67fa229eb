"""The manifests for Kubernetes fit its schemas, each other, and the gateway that they run."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from boto3.session import Session

from deploy.write_manifests import printed_files
from gateway.cli import main
from gateway.deployment.haproxy import hard_stop_seconds
from gateway.deployment.kubernetes import deployment, print_kubernetes, print_monitoring
from gateway.deployment.kubernetes_cluster import SECRETS
from gateway.deployment.kubernetes_gateways import QUEUE_METRIC
from gateway.deployment.kubernetes_pods import PORT
from gateway.settings import GIB, MIB, PREFIX, Settings, parse_size
from gateway.supervisor import _DRAIN_SECONDS
from gateway.web.control import PUBLIC_PATHS
from registry.inspection.limits import ChildLimits
from tests.support.command_lines import parse
from tests.support.manifests import Manifest, Manifests, cluster, manifests

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kubernetes"
OLDEST, NEWEST = "1.30", "1.37"
KUBELET_LOG_BYTES = 5 * 10 * MIB
"""What the kubelet keeps of a container's log: ``containerLogMaxFiles`` times ``containerLogMaxSize``, by default."""
PRINTED = manifests()
WITH_GRPC = manifests(cluster(grpc_port=8001))
WITH_LARGE_CACHES = manifests(cluster(cache_bytes=100 * GIB))
OF_OPERATOR = "monitoring.coreos.com/v1"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SERVING = ("gateway", "registry")

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def kustomize(folder: Path) -> list[Manifest]:
    done = subprocess.run(
        [shutil.which("kubectl") or "kubectl", "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("path", sorted(printed_files()), ids=lambda path: path.name)
def test_what_lies_in_deploy_is_what_is_printed(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == printed_files()[path], "make manifests"


@pytest.mark.parametrize("folder", [BASE, BASE / "monitoring"], ids=lambda folder: folder.name)
def test_the_base_has_every_file_in_the_order_in_which_it_is_printed(folder: Path) -> None:
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert listed == [path.name for path in printed_files() if path.parent == folder]
    assert {path.name for path in folder.glob("*.yaml")} == {"kustomization.yaml", *listed}
    if folder == BASE:
        assert print_kubernetes(cluster()) == "---\n".join((folder / name).read_text("utf-8") for name in listed)


def printed_by_the_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    with pytest.raises(SystemExit) as left:
        main(["deploy", "print", *arguments])
    return int(left.value.code or 0)


def test_the_command_prints_the_base(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_by_the_command(monkeypatch, "kubernetes") == 0
    assert capsys.readouterr().out == print_kubernetes(cluster())


def test_the_command_prints_what_monitors(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_by_the_command(monkeypatch, "kubernetes-monitoring") == 0
    assert capsys.readouterr().out == print_monitoring()


def test_the_command_prints_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("kubernetes", "--most-gateways", "40", "--balance-factor", "200", "--replays")

    assert printed_by_the_command(monkeypatch, *asked) == 0

    choices = {"most_gateways": 40, "balance_factor": 200, "replays": True}
    assert capsys.readouterr().out == print_kubernetes(cluster(choices=choices))


@pytest.mark.parametrize("asked", [("--most-gateways", "0"), ("--balance-factor", "50")], ids=" ".join)
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: tuple[str, str]
) -> None:
    assert printed_by_the_command(monkeypatch, "kubernetes", *asked) == 2
    assert capsys.readouterr().out == ""


@needs_kubectl
def test_kustomize_builds_what_is_printed() -> None:
    built = kustomize(BASE) + kustomize(BASE / "monitoring")
    assert sorted(built, key=named) == sorted(PRINTED.all, key=named)


@needs_kubectl
def test_the_overlay_of_the_documentation_changes_what_it_says(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```text\n(resources:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "kustomization.yaml").write_text(text, encoding="utf-8")

    built = kustomize(tmp_path / "ours")

    assert {each["metadata"]["namespace"] for each in built} == {"models"}
    changed = Manifests(tuple(built))
    assert changed.one("ConfigMap")["data"] == PRINTED.one("ConfigMap")["data"] | {
        "SARDONYX_STORE": "s3://our-models/store",
        "AWS_DEFAULT_REGION": "eu-north-1",
    }
    assert changed.container("gateway")["image"] == "registry.example.org/sardonyx:0.1.0"
    assert changed.one("ConfigMap", "proxy")["data"] == PRINTED.one("ConfigMap", "proxy")["data"]


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
@pytest.mark.parametrize("manifest", [*PRINTED.all, *WITH_GRPC.all], ids=named)
def test_a_manifest_fits_the_schema_of_kubernetes(manifest: Manifest, release: str) -> None:
    if manifest["apiVersion"] != OF_OPERATOR:  # which has schemas of its own
        assert kubernetes_validate.validate(manifest, release, strict=True) == release


def test_the_documentation_names_the_oldest_kubernetes_that_it_is_tried_with() -> None:
    assert re.findall(r"^Kubernetes (\S+) or newer", PAGE, re.MULTILINE) == [OLDEST]
    assert f"the schemas of {OLDEST} and of {NEWEST}, strictly" in PAGE


def test_the_documentation_names_the_image_that_is_printed_and_sets_the_bucket_before() -> None:
    assert f"(`{PRINTED.container('gateway')['image']}`)" in PAGE
    (bucket,) = re.findall(r"^export SARDONYX_STORE=(\S+).*\nsardonyx deploy print kubernetes \|", PAGE, re.MULTILINE)
    printed = manifests(cluster(store=bucket)).one("ConfigMap")["data"]["SARDONYX_STORE"]
    assert printed == bucket != PRINTED.one("ConfigMap")["data"]["SARDONYX_STORE"]


def test_what_does_not_fit_is_found_out() -> None:
    broken = PRINTED.one("StatefulSet", "gateway") | {"spec": {"replicas": "two"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)


def test_nothing_is_there_twice() -> None:
    names = [named(manifest) for manifest in PRINTED.all]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("printed", [PRINTED, WITH_GRPC], ids=["http", "with-grpc"])
def test_every_variable_is_a_setting_that_a_gateway_can_read(printed: Manifests) -> None:
    data = printed.one("ConfigMap")["data"]
    given = dict(data)
    for _, container in printed.containers():
        given |= {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}
    names = {name.removeprefix(PREFIX).lower(): text for name, text in given.items() if name.startswith(PREFIX)}
    assert set(names) <= set(Settings.model_fields)
    assert given.keys() - {PREFIX + name.upper() for name in names} == {"AWS_DEFAULT_REGION"}
    read = Settings.model_validate(names)
    assert {name: getattr(read, name) for name in names if name != "role"} == {
        name: getattr(cluster(grpc_port=read.grpc_port).settings, name) for name in names if name != "role"
    }


def test_each_has_its_role() -> None:
    roles = {
        component: each["value"]
        for component, container in PRINTED.containers()
        for each in container.get("env", ())
        if each["name"] == "SARDONYX_ROLE"
    }
    assert roles == {"gateway": "gateway", "registry": "registry"}
    assert all(Settings.model_validate({"role": role}).role == role for role in roles.values())


def test_a_pods_name_says_its_place_on_the_proxys_ring() -> None:
    by_component = dict(PRINTED.containers())
    names = {each["name"] for each in by_component["registry"]["env"]}
    (told,) = [each for each in by_component["gateway"]["env"] if each["name"] == "SARDONYX_RING_ID"]
    assert ("SARDONYX_RING_ID" in names, told["valueFrom"]) == (False, {"fieldRef": {"fieldPath": "metadata.name"}})
    pods = PRINTED.one("StatefulSet", "gateway")["metadata"]["name"]
    servers = deployment(cluster()).gateways
    assert {f"{pods}-{ordinal}": server.id for ordinal, server in enumerate(servers)} == {
        server.name: Settings.model_validate({"ring_id": server.name}).ring_number for server in servers
    }


def test_ports_and_folders_are_those_of_the_image() -> None:
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert {exposed, re.findall(r"SARDONYX_PORT=(\d+)", DOCKERFILE)[0]} == {str(PORT)}
    assert Settings.model_fields["port"].default == PORT
    (data,) = re.findall(r"SARDONYX_DATA_DIR=(\S+)", DOCKERFILE)
    for component in (*SERVING, "migration"):
        assert [each["mountPath"] for each in PRINTED.container(component)["volumeMounts"]] == [data]


@pytest.mark.parametrize("component", [*SERVING, "migration"])
def test_what_a_container_is_told_is_a_command(component: str) -> None:
    parse(PRINTED.container(component)["args"])


@pytest.mark.parametrize("component", SERVING)
def test_probes_ask_for_routes_that_need_no_token(component: str) -> None:
    container = PRINTED.container(component)
    probed = {name: each["httpGet"] for name, each in container.items() if name.endswith("Probe")}
    assert probed == {
        "startupProbe": {"path": "/health/live", "port": "http"},
        "livenessProbe": {"path": "/health/live", "port": "http"},
        "readinessProbe": {"path": "/health/ready", "port": "http"},
    }
    assert {each["path"] for each in probed.values()} <= PUBLIC_PATHS


@pytest.mark.parametrize("printed", [PRINTED, WITH_GRPC], ids=["http", "with-grpc"])
def test_services_lead_to_ports_that_containers_have(printed: Manifests) -> None:
    for service in (each for each in printed.all if each["kind"] == "Service"):
        component = service["spec"]["selector"]["app.kubernetes.io/component"]
        has = {port["name"] for port in printed.container(component)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} == has


def test_the_proxy_listens_where_its_container_says() -> None:
    configuration = WITH_GRPC.one("ConfigMap", "proxy")["data"]["haproxy.cfg"]
    bound = re.findall(r"^\s+bind \S*:(\d+)", configuration, re.MULTILINE)
    assert bound == [str(port["containerPort"]) for port in WITH_GRPC.container("proxy")["ports"]]
    probe = WITH_GRPC.container("proxy")["readinessProbe"]["httpGet"]
    assert re.findall(r"monitor-uri (\S+)", configuration) == [probe["path"]]
    assert probe["port"] == "http"


def test_the_proxy_knows_every_gateway_that_the_autoscaler_may_make_by_the_name_that_dns_has() -> None:
    autoscaler, service = PRINTED.one("HorizontalPodAutoscaler", "gateway"), PRINTED.one("Service", "gateway")
    pods = PRINTED.one("StatefulSet", "gateway")
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == pods["metadata"]["name"]
    assert pods["spec"]["serviceName"] == service["metadata"]["name"]
    assert "replicas" not in pods["spec"]
    configuration = PRINTED.one("ConfigMap", "proxy")["data"]["haproxy.cfg"]
    servers = re.findall(r"^\s+server (sardonyx-gateway\S*) (\S+) id (\d+)", configuration, re.MULTILINE)
    domain = f'{service["metadata"]["name"]}."${{POD_NAMESPACE}}".svc.cluster.local:{PORT}'
    assert servers == [
        (f"{pods['metadata']['name']}-{ordinal}", f"{pods['metadata']['name']}-{ordinal}.{domain}", str(ordinal + 1))
        for ordinal in range(autoscaler["spec"]["maxReplicas"])
    ]
    assert [each["name"] for each in PRINTED.container("proxy")["env"]] == ["POD_NAMESPACE"]


def test_the_autoscaler_asks_for_what_the_documentation_has_the_adapter_tell_it() -> None:
    """That there is such a metric, ``tests/e2e/test_watching.py`` holds against a scrape."""
    (pods, _) = PRINTED.one("HorizontalPodAutoscaler", "gateway")["spec"]["metrics"]
    assert pods["pods"]["metric"] == {"name": QUEUE_METRIC}
    (rule,) = [
        yaml.safe_load(text) for text in re.findall(r"^```text\n(rules:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    ]
    (custom,) = rule["rules"]["custom"]
    assert re.findall(r"^(\w+)\{", custom["seriesQuery"]) == [QUEUE_METRIC]
    assert set(custom["resources"]["overrides"]) == {"namespace", "pod"}


def test_every_metric_of_the_alerts_and_the_scrape_are_those_of_prometheus() -> None:
    rule = PRINTED.one("PrometheusRule")["spec"]
    assert rule == yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    monitor = PRINTED.one("ServiceMonitor")["spec"]
    assert monitor["endpoints"] == [
        {
            "port": "http",
            "path": "/metrics",
            "interval": "15s",
            "scrapeTimeout": "10s",
            "authorization": {"type": "Bearer", "credentials": {"name": "sardonyx-prometheus", "key": "token"}},
        }
    ]
    example = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = example["scrape_configs"]
    assert (monitor["endpoints"][0]["path"], monitor["endpoints"][0]["scrapeTimeout"]) == (
        job["metrics_path"],
        job["scrape_timeout"],
    )


def test_what_is_scraped_has_the_job_that_the_alerts_ask_for() -> None:
    monitor = PRINTED.one("ServiceMonitor")["spec"]
    (wanted,) = monitor["selector"]["matchExpressions"]
    scraped = [
        each["metadata"]["labels"]
        for each in PRINTED.all
        if each["kind"] == "Service" and each["metadata"]["labels"]["app.kubernetes.io/component"] in wanted["values"]
    ]
    assert len(scraped) == 2
    jobs = set(re.findall(r'job="([^"]+)"', json.dumps(PRINTED.one("PrometheusRule")).replace('\\"', '"')))
    assert {labels[monitor["jobLabel"]] for labels in scraped} == jobs


def test_pods_run_as_the_user_of_our_image() -> None:
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    assert {str(each["spec"]["securityContext"]["runAsUser"]) for _, each in PRINTED.pods()} == {user}


@pytest.mark.parametrize("component", SERVING)
def test_nobody_is_killed_while_it_drains(component: str) -> None:
    before = PRINTED.container(component)["lifecycle"]["preStop"]["sleep"]["seconds"]
    own = float(PRINTED.one("ConfigMap")["data"]["SARDONYX_DRAIN_SECONDS"]) + _DRAIN_SECONDS
    assert PRINTED.pod(component)["terminationGracePeriodSeconds"] > before + own


def test_gateways_say_that_they_go_for_longer_than_the_proxy_needs_to_see_it() -> None:
    configuration = PRINTED.one("ConfigMap", "proxy")["data"]["haproxy.cfg"]
    ((between, fall),) = set(re.findall(r"default-server inter (\d+)s .*fall (\d+)", configuration))
    assert float(PRINTED.one("ConfigMap")["data"]["SARDONYX_DRAIN_SECONDS"]) > int(between) * int(fall)


@pytest.mark.parametrize("seconds", [30.0, 120.0])
def test_the_proxy_is_not_killed_while_it_waits_for_the_longest_answer(seconds: float) -> None:
    of = cluster(predict_timeout_seconds=seconds)
    printed = manifests(of)
    before = printed.container("proxy")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert printed.pod("proxy")["terminationGracePeriodSeconds"] > before + hard_stop_seconds(deployment(of)) > seconds


def bytes_of(quantity: str) -> int:
    return parse_size(f"{quantity}B")


@pytest.mark.parametrize("printed", [PRINTED, WITH_LARGE_CACHES], ids=["as-it-is", "large-caches"])
@pytest.mark.parametrize("component", SERVING)
def test_budgets_fit_into_what_the_container_may_have(printed: Manifests, component: str) -> None:
    resources, settings = printed.container(component)["resources"], printed.one("ConfigMap")["data"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    limit_bytes = bytes_of(resources["limits"]["memory"])
    budget_bytes = limit_bytes * int(settings["SARDONYX_MEMORY_BUDGET"].removesuffix("%")) // 100
    margins_bytes = budget_bytes // 4  # what workers may take beyond their models, all together
    inspections_bytes = 2 * ChildLimits().memory_bytes
    assert budget_bytes + margins_bytes + inspections_bytes < limit_bytes
    (volume,) = printed.pod(component)["volumes"]
    sizes = [
        parse_size(settings["SARDONYX_CACHE_BYTES"]),
        bytes_of(volume["emptyDir"]["sizeLimit"]),
        bytes_of(resources["limits"]["ephemeral-storage"]),
    ]
    assert sizes == sorted(set(sizes))
    assert bytes_of(resources["requests"]["ephemeral-storage"]) >= sizes[1]


def test_the_proxy_has_memory_for_more_than_the_buffers_of_all_its_connections() -> None:
    container, configuration = PRINTED.container("proxy"), PRINTED.one("ConfigMap", "proxy")["data"]["haproxy.cfg"]
    connections = int(container["command"][container["command"].index("-n") + 1])
    (buffer_bytes,) = re.findall(r"tune\.bufsize (\d+)", configuration)

    buffers_bytes = 4 * int(buffer_bytes) * connections  # a request and an answer, on either side
    assert bytes_of(container["resources"]["limits"]["memory"]) >= 1.25 * buffers_bytes


@pytest.mark.parametrize("component", [*SERVING, "proxy"])
def test_nobody_is_evicted_for_its_log(component: str) -> None:
    volumes = [each["emptyDir"] for each in PRINTED.pod(component)["volumes"] if "emptyDir" in each]
    written_bytes = sum(bytes_of(each["sizeLimit"]) for each in volumes)

    limit_bytes = bytes_of(PRINTED.container(component)["resources"]["limits"]["ephemeral-storage"])
    assert limit_bytes > written_bytes + 10 * KUBELET_LOG_BYTES  # it is cut now and then only


def test_the_region_is_set_where_boto3_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = [name for name in PRINTED.one("ConfigMap")["data"] if name.startswith("AWS_")]
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv(name, "eu-north-1")

    assert Session().region_name == "eu-north-1"


def test_what_is_secret_is_nowhere_but_in_the_secret_that_the_documentation_makes() -> None:
    secretive = manifests(cluster(database_url="postgresql+psycopg://ada:opensesame@db.example.org:5433/sardonyx"))
    text = json.dumps(secretive.all)
    assert [word for word in (*SECRETS, "opensesame") if word in text] == []
    (made,) = re.findall(r"cat > secret\.env <<'END'\n(.*?)^END$", PAGE, re.MULTILINE | re.DOTALL)
    assert tuple(line.partition("=")[0] for line in made.splitlines()) == SECRETS
    assert "kubectl create secret generic --from-env-file=secret.env sardonyx" in PAGE


def test_each_release_has_a_job_of_its_own() -> None:
    names = {
        image: manifests(cluster(choices={"image": image})).one("Job", "migration")["metadata"]["name"]
        for image in ("sardonyx:0.1.0", "registry.example.org:5000/sardonyx:0.2.0-RC_1", "sardonyx@sha256:" + "ab" * 32)
    }
    assert list(names.values()) == [
        "sardonyx-migration-0-1-0",
        "sardonyx-migration-0-2-0-rc-1",
        "sardonyx-migration-" + "ab" * 20,
    ]


def test_other_settings_and_another_configuration_make_pods_anew() -> None:
    before, after = PRINTED, manifests(cluster(max_queue=64, predict_timeout_seconds=60.0))
    for component in ("gateway", "registry", "proxy"):
        stamps = [
            dict(each.pods())[component]["metadata"]["annotations"]["sardonyx/settings"] for each in (before, after)
        ]
        assert stamps[0] != stamps[1], component


def test_a_service_does_not_overwrite_a_setting() -> None:
    """Kubernetes gives each container SARDONYX_PORT=tcp://... for a service of this name, unless it is told not to."""
    assert "sardonyx" in {each["metadata"]["name"] for each in PRINTED.all if each["kind"] == "Service"}
    assert {template["spec"]["enableServiceLinks"] for _, template in PRINTED.pods()} == {False}
