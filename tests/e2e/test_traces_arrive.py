"""Traces, as a collector gets them from two workers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support import models
from tests.support.collector import Collector, Span, collecting
from tests.support.gateway_process import GatewayProcess, fixed_port, running_gateway, wait_until
from tests.support.rpc import RpcCaller, infer_request
from tests.support.scrapes import scrape
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload, upload_all

ROW = [[1.0, 2.0, 3.0, 4.0]]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KEPT, NOT_KEPT = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
PHASES = {"queue", "decode", "run", "encode"}
NANO = 1e9


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@contextmanager
def told_of(collector: Collector) -> Iterator[None]:
    """Let gateways that are started now know the collector."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=models")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("traces") / "data"
    port = str(fixed_port())
    with told_of(collector), running_gateway(folder, workers="2", traces="on", grpc_port=port) as running:
        with running.client() as client:
            upload_all(client, dict.fromkeys(("iris", "wine"), models.linear()))
        wait_until_settled(running, "iris", "wine")
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def ask(client: httpx.Client, name: str, request_id: str, **headers: str) -> httpx.Response:
    return client.post(
        f"/v1/models/{name}/predict", json={"inputs": ROW}, headers={"x-request-id": request_id, **headers}
    )


def received(collector: Collector, count: int = 1, **attributes: object) -> list[Span]:
    wait_until(lambda: len(collector.spans(**attributes)) >= count)
    return collector.spans(**attributes)


def assert_whole(collector: Collector, span: Span) -> list[str]:
    """Hold a span against those below it: they fill it without a gap; return their names."""
    below = collector.below(span)
    at = span.began
    for child in below:
        assert abs(child.began - at) <= 2  # nanoseconds: each moment is rounded by itself
        at = child.ended
    assert abs(span.ended - at) <= 2
    assert {child.trace_id for child in below} == {span.trace_id}
    return [child.name for child in below]


def test_a_prediction_is_one_span_and_one_for_each_phase(client: httpx.Client, collector: Collector) -> None:
    assert ask(client, "iris", "one").status_code == 200
    (span,) = received(collector, sardonyx__request_id="one")
    assert (span.name, span.parent_id, span.is_failed) == ("POST /v{n}/models/{name}/predict", "", False)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v{n}/models/{name}/predict",
        "url.path": "/v1/models/iris/predict",
        "http.response.status_code": 200,
        "sardonyx.code": "ok",
        "sardonyx.request_id": "one",
        "sardonyx.model": "iris",
        "sardonyx.version": 1,
    }
    assert span.resource["service.name"] == "sardonyx"
    assert set(assert_whole(collector, span)) - {"load"} == PHASES
    assert {headers["x-team"] for headers in collector.headers} == {"models"}


def test_what_loaded_and_what_shared_the_quick_way_is_told_of_alike(
    gateway: GatewayProcess, client: httpx.Client, collector: Collector
) -> None:
    for _ in range(20):
        client.post("/v1/models/wine/predict", json={"inputs": ROW}).raise_for_status()
    spans = received(collector, 20, sardonyx__model="wine")
    names = [assert_whole(collector, span) for span in spans]
    assert sum("load" in of_one for of_one in names) in (1, 2)
    assert all(set(of_one) - {"load"} == PHASES for of_one in names)
    seen = scrape(client)
    for phase in PHASES:
        told = sum(
            child.ended - child.began for span in spans for child in collector.below(span) if child.name == phase
        )
        counted = seen.value("sardonyx_phase_seconds_sum", phase=phase, model="wine", version="1")
        assert told / NANO == pytest.approx(counted, rel=1e-3, abs=1e-6)
    assert {span.resource["process.pid"] for span in collector.spans()} <= set(gateway.workers())


def test_a_callers_trace_goes_on_and_one_that_is_not_kept_is_not_begun(
    client: httpx.Client, collector: Collector
) -> None:
    ask(client, "iris", "unkept", traceparent=NOT_KEPT)
    ask(client, "iris", "broken", traceparent=f"00-{'0' * 32}-{PARENT}-01")
    ask(client, "iris", "kept", traceparent=KEPT, tracestate="vendor=1")
    (kept,) = received(collector, sardonyx__request_id="kept")
    (broken,) = received(collector, sardonyx__request_id="broken")
    assert (kept.trace_id, kept.parent_id) == (TRACE, PARENT)
    assert broken.parent_id == ""
    assert collector.spans(sardonyx__request_id="unkept") == []


def test_a_refusal_is_told_of_with_its_code(client: httpx.Client, collector: Collector) -> None:
    headers = {"x-request-id": "bad"}
    assert client.post("/models/iris@nothing/predict", json={"inputs": ROW}, headers=headers).status_code == 404
    assert client.post("/v1/models/iris/predict", json={"inputs": [[1]]}, headers=headers).status_code == 422
    found = received(collector, 2, sardonyx__request_id="bad")
    told = {(it.name, it.attributes["http.response.status_code"], it.attributes["sardonyx.code"]) for it in found}
    assert told == {
        ("POST /models/{name}@{alias}/predict", 404, "alias_not_found"),
        ("POST /v{n}/models/{name}/predict", 422, "invalid_shape"),
    }
    assert [it.is_failed for it in found] == [False, False]
    assert all(assert_whole(collector, span) for span in found)


def test_other_dialects_and_grpc_are_told_of(
    gateway: GatewayProcess, client: httpx.Client, collector: Collector
) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": ROW[0]}
    client.post("/v2/models/iris/versions/1/infer", json={"inputs": [tensor]}).raise_for_status()
    client.post("/v1/models/iris/versions/1:predict", json={"instances": ROW}).raise_for_status()
    caller = RpcCaller(int(gateway.environment["SARDONYX_GRPC_PORT"]))
    caller.call("ModelInfer", infer_request("iris", "1", x=("FP32", np.array(ROW, np.float32))))
    caller.channel.close()
    for name in (
        "POST /v2/models/{name}/versions/{n}/infer",
        "POST /v1/models/{name}/versions/{n}:predict",
        "POST /inference.GRPCInferenceService/ModelInfer",
    ):
        (span,) = received(collector, http__route=name.removeprefix("POST "))
        assert span.name == name
        assert set(assert_whole(collector, span)) - {"load"} == PHASES


def test_the_control_plane_has_the_frameworks_spans_but_not_for_probes(
    client: httpx.Client, collector: Collector
) -> None:
    client.get("/health/ready").raise_for_status()
    client.get("/registry/models/iris", headers={"traceparent": KEPT}).raise_for_status()
    spans = received(collector, http__route="/registry/models/{name}")
    assert {span.trace_id for span in spans} == {TRACE}
    assert [
        span for span in collector.spans() if "/health" in str(span.attributes) or "/metrics" in str(span.attributes)
    ] == []


def test_the_access_log_names_the_trace(gateway: GatewayProcess, client: httpx.Client, collector: Collector) -> None:
    ask(client, "iris", "logged")
    client.get("/registry/models/wine", headers={"x-request-id": "looked"}).raise_for_status()
    (span,) = received(collector, sardonyx__request_id="logged")
    wait_until(lambda: {"logged", "looked"} <= {line.get("request_id") for line in gateway.log_lines()})
    lines = {line["request_id"]: line for line in gateway.log_lines() if "request_id" in line}
    assert lines["logged"]["trace_id"] == span.trace_id
    assert re.fullmatch("[0-9a-f]{32}", lines["looked"]["trace_id"])


def test_a_gateway_that_traces_nothing_sends_nothing(tmp_path: Path, collector: Collector) -> None:
    with told_of(collector), running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "untraced", models.linear())
        ask(client, "untraced", "untraced", traceparent=KEPT).raise_for_status()
        assert not any("trace_id" in line for line in gateway.log_lines())
    assert collector.spans(sardonyx__request_id="untraced") == []
