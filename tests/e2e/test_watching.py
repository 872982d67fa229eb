"""What lies in ``deploy`` and stands in the documentation, held against a real scrape and Prometheus's own tool."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.deployment.kubernetes_gateways import QUEUE_METRIC
from gateway.web.problems import STATUS
from tests.support import models
from tests.support.gateway_process import running_gateway, wait_until
from tests.support.scrapes import Scrape, scrape
from tests.support.uploads import upload

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "sardonyx.json").read_text("utf-8"))
ALERTS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))
PAGE = (ROOT / "docs" / "administrators.md").read_text("utf-8")
ROW = [[1.0, 2.0, 3.0, 4.0]]
SPREAD = {"inputs": {"x": [[0.0, 0.0, 0.0, 0.0], ROW[0]]}}
OF_HISTOGRAMS = ("_bucket", "_count", "_sum")
FROM_PROMETHEUS = {"instance", "job"}
"""Labels that whoever scrapes adds."""

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    """A scrape after every kind of request, with a canary and a refusal among them, where inputs are looked at."""
    folder = tmp_path_factory.mktemp("watching") / "data"
    with running_gateway(folder, input_statistics="on") as gateway, gateway.client() as client:
        for seed in (1, 2):
            upload(client, "iris", models.linear(seed=seed))
        move = {"version": 1, "canary": {"version": 2, "percent": 50}}
        client.put("/registry/models/iris/aliases/production", json=move).raise_for_status()
        for number in range(40):
            key = {"x-routing-key": str(number)}
            client.post("/models/iris/predict", json={"inputs": ROW}, headers=key).raise_for_status()
        assert client.post("/models/iris/predict", json={"inputs": [[1]]}).status_code == 422
        client.post("/registry/models/iris/versions/1/examples", json=SPREAD).raise_for_status()

        def is_all_there() -> bool:
            client.post("/v1/models/iris/predict", json={"inputs": ROW}).raise_for_status()
            text = scrape(client).text
            return "sardonyx_canary_seconds_sum" in text and "sardonyx_input_shift{" in text

        wait_until(is_all_there)
        yield scrape(client)


def run_promtool(*arguments: str, text: str | None = None, folder: Path = PROMETHEUS) -> str:
    tool = shutil.which("promtool") or "promtool"
    done = subprocess.run([tool, *arguments], cwd=folder, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def expressions_of_dashboard() -> dict[str, str]:
    """Return each query of the dashboard as Grafana would send it."""
    found = {}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "1m")
            expression = re.sub(r"\$(?:instance|model)\b", ".*", expression)
            assert "$" not in expression
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def expressions_of_alerts() -> dict[str, str]:
    return {rule["alert"]: rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]}


def asked_for(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the metrics of an expression, each with the labels that stand behind it in braces."""
    for name, braces in re.findall(r"\b(sardonyx_[a-z_]+)\b(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", braces))


def grouped_by(expression: str) -> set[str]:
    return {
        label.strip()
        for names in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", expression)
        for label in names.split(",")
    }


@pytest.mark.parametrize("where", ["dashboard", "alerts"])
def test_every_metric_and_label_that_is_asked_for_is_in_a_scrape(seen: Scrape, where: str) -> None:
    expressions = expressions_of_dashboard() if where == "dashboard" else expressions_of_alerts()
    shown = seen.labels()
    for title, expression in expressions.items():
        known = set()
        for name, labels in asked_for(expression):
            assert name in shown, f"{title}: nobody counts {name}"
            assert labels - FROM_PROMETHEUS <= shown[name], f"{title}: {name} has no {labels - shown[name]}"
            known |= shown[name]
        assert grouped_by(expression) - FROM_PROMETHEUS <= known, title


def test_the_variables_of_the_dashboard_ask_for_what_there_is(seen: Scrape) -> None:
    queries = [it["query"]["query"] for it in DASHBOARD["templating"]["list"] if it["type"] == "query"]
    assert queries
    for query in queries:
        name, label = re.fullmatch(r"label_values\((sardonyx_[a-z_]+)(?:\{[^}]*\})?, ([a-z]+)\)", query).groups()  # type: ignore[union-attr]
        assert label in seen.labels()[name] | FROM_PROMETHEUS


def test_panels_have_titles_of_their_own_and_do_not_overlap() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert taken.isdisjoint(cells)
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_metric_is_documented_and_every_documented_one_is_there(seen: Scrape) -> None:
    families = set(re.findall(r"^# TYPE (sardonyx_[a-z_]+) ", seen.text, re.MULTILINE))
    described = set(re.findall(r"\b(sardonyx_[a-z_]+[a-z])\b", PAGE))
    parts = {family + part for family in families for part in OF_HISTOGRAMS}
    assert (families - described, described - families - parts) == (set(), set())


def test_the_alerts_know_every_code_of_a_failure_that_is_ours() -> None:
    ours = {error.code for error, status in STATUS.items() if status >= 500 and "code" in vars(error)}
    named = set(re.findall(r'code=~"([^"]*)"', expressions_of_alerts()["SardonyxFailures"])[0].split("|"))
    assert named <= ours
    assert ours - named == {"schema_mismatch", "draining"}  # what readiness says, never a prediction


def test_what_the_autoscaler_asks_for_is_one_number_of_each_gateway(seen: Scrape) -> None:
    assert re.findall(rf"^# TYPE {QUEUE_METRIC} (\w+)$", seen.text, re.MULTILINE) == ["gauge"]
    assert seen.labels()[QUEUE_METRIC] == set()


@promtool
def test_prometheus_takes_the_rules_and_they_fire_when_they_should() -> None:
    assert "SUCCESS" in run_promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in run_promtool("test", "rules", "alerts.test.yml")
    tested = {
        case["alertname"]
        for test in yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tested == set(expressions_of_alerts())


@promtool
def test_prometheus_takes_the_example_of_a_configuration() -> None:
    assert "SUCCESS" in run_promtool("check", "config", "--syntax-only", "prometheus.yml")


@promtool
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"q:{place}", "expr": it} for place, it in enumerate(expressions_of_dashboard().values())]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run_promtool("check", "rules", "queries.yml", folder=tmp_path)


@promtool
def test_prometheus_finds_nothing_to_blame_in_a_scrape(seen: Scrape) -> None:
    assert run_promtool("check", "metrics", text=seen.text).strip() == ""
