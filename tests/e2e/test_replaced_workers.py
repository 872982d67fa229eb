"""A worker that keeps memory which its models do not account for."""

import os
import signal
import threading
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from onnx import helper
from prometheus_client.parser import text_string_to_metric_families

from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload

COLUMNS = 4096


def widening() -> bytes:
    """Return a model of a few KB whose runs take 16 KB for each row, which the runtime keeps."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["wide"]),
        helper.make_node("Tanh", ["wide"], ["t"]),
        helper.make_node("ReduceSum", ["t"], ["y"], keepdims=0),
    ]
    weights = models.initializer("w", np.ones((1, COLUMNS), np.float32))
    made = models.model(
        nodes, [models.value("x", shape=("n", 1))], [models.value("y", shape=())], initializers=[weights]
    )
    return bytes(made.SerializeToString())


class Callers:
    """Three who ask again and again, each on a connection of their own."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.answered = 0
        self.farewells = 0
        """Answers that said that the connection ends with them."""
        self.failures: list[Any] = []
        self._gateway = gateway
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with self._gateway.client() as client:
            while not self._ending.is_set():
                try:
                    answer = client.post("/v1/models/wide/predict", json={"inputs": [[0.5]]})
                    failure: object = None if answer.status_code == 200 else answer.text
                except httpx.HTTPError as error:
                    failure = error
                with self._lock:
                    self.answered += failure is None
                    self.farewells += failure is None and answer.headers.get("connection") == "close"
                    self.failures += [] if failure is None else [failure]


def metric(client: httpx.Client, name: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_a_worker_that_keeps_too_much_memory_is_replaced_and_no_request_is_lost(tmp_path: Path) -> None:
    keeps = httpx.Limits(keepalive_expiry=60)
    with running_gateway(tmp_path / "data", memory_margin="48MiB") as gateway, gateway.client(limits=keeps) as idle:
        upload(idle, "wide", widening())
        (old,) = gateway.workers()
        with Callers(gateway) as callers, gateway.client() as greedy:
            many = 0

            def have_let_go() -> bool:  # many rows each time: a session that has been prepared begins with little
                nonlocal many
                many += 1
                greedy.post("/v1/models/wide/predict", json={"inputs": [[0.5]] * 8000}).raise_for_status()
                return callers.farewells > 0

            def idle_is_told() -> bool:  # of the others some may have been told before: when there were two workers
                nonlocal many
                many += 1
                answer = idle.post("/v1/models/wide/predict", json={"inputs": [[0.5]]})
                assert answer.status_code == 200
                return answer.headers.get("connection") == "close"

            wait_until(have_let_go)
            wait_until(idle_is_told)
            wait_until(lambda: old not in gateway.workers())
            wait_until(lambda: ends_of_workers(gateway) != [])
            before = callers.answered
            wait_until(lambda: callers.answered > before + 100)
        assert callers.failures == []
        with gateway.client() as fresh:
            assert metric(fresh, "sardonyx_predict_requests_total") == callers.answered + many
            wait_until(lambda: metric(fresh, "sardonyx_resident_sessions") == 1)  # unless it is just loaded anew
            assert metric(fresh, "sardonyx_worker_deaths_total") == 0
        assert ends_of_workers(gateway) == ["worker_replaced"]


def ends_of_workers(gateway: GatewayProcess) -> list[str]:
    events = [line["event"] for line in gateway.log_lines()]
    return [event for event in events if event in ("worker_replaced", "worker_died")]


def test_a_worker_that_takes_a_dead_ones_place_has_loaded_what_was_in_use(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", workers="2") as gateway:
        with gateway.client() as client:
            upload(client, "used", models.linear())
        wait_until_settled(gateway, "used")

        def reports() -> dict[int, dict[str, Any]]:
            """What workers that live have said of themselves, by process id."""
            with gateway.client() as client:  # anew each time: the connection before may have been the dead worker's
                items = client.get("/registry/workers").json()["items"]
            return {item["pid"]: item for item in items if item["pid"] in gateway.workers()}

        def is_in_use() -> bool:
            with gateway.client() as client:
                client.post("/v1/models/used/predict", json={"inputs": [[1, 2, 3, 4]]}).raise_for_status()
            return any("used:1" in report["resident"] for report in reports().values())

        def has_inherited() -> bool:
            """Kill a worker, and return what became of its successor: it has half a second, and may stand still."""
            wait_until(is_in_use)
            before = gateway.workers()
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: len(set(reports()) - set(before)) == 1)
            ((successor, first),) = ((pid, report) for pid, report in reports().items() if pid not in before)

            def has_said_so_or_something_else() -> bool:
                later = reports()[successor]
                return "used:1" in later["resident"] or later["reported_at"] != first["reported_at"]

            wait_until(has_said_so_or_something_else)
            return "used:1" in reports()[successor]["resident"]

        assert any(has_inherited() for _ in range(3))
