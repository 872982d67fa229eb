"""Who may call over gRPC, and several workers behind one port."""

import os
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from gateway.rpc.schema import PACKAGE, SERVICE, message_class
from tests.e2e.test_full_places import counted_loop
from tests.e2e.test_rpc import counting
from tests.support import models
from tests.support.gateway_process import SARDONYX, fixed_port, running_gateway, started_gateway, wait_until
from tests.support.rpc import RpcCaller, calling, floats, infer_request
from tests.support.tokens import bearer, make_token, revoke
from tests.support.uploads import upload_and_promote

ASK = infer_request("same", x=floats(1.5))


def test_tokens_mean_the_same_as_over_http(tmp_path: Path) -> None:
    port = fixed_port()
    data_dir = tmp_path / "data"
    with running_gateway(data_dir, grpc_port=str(port), auth="on") as gateway, gateway.client() as http:
        admin, reader = make_token(data_dir, "admin"), make_token(data_dir, "predict", name="reader")
        elsewhere = make_token(data_dir, "predict", name="elsewhere", models="other-*")
        http.headers.update(bearer(admin.text))
        upload_and_promote(http, "same", models.identity())
        load = message_class("RepositoryModelLoadRequest")(model_name="same")
        with ExitStack() as opened:
            callers = {
                name: opened.enter_context(calling(port, token))
                for name, token in {
                    "nobody": None,
                    "stranger": "sardonyx_nonsense",
                    "reader": reader.text,
                    "elsewhere": elsewhere.text,
                    "admin": admin.text,
                }.items()
            }
            assert outcomes(callers, "ModelInfer", ASK) == {
                "nobody": "UNAUTHENTICATED",
                "stranger": "UNAUTHENTICATED",
                "reader": "OK",
                "elsewhere": "PERMISSION_DENIED",
                "admin": "OK",
            }
            assert outcomes(callers, "RepositoryModelLoad", load) == {
                "nobody": "UNAUTHENTICATED",
                "stranger": "UNAUTHENTICATED",
                "reader": "PERMISSION_DENIED",
                "elsewhere": "PERMISSION_DENIED",
                "admin": "OK",
            }
            assert set(outcomes(callers, "ServerReady").values()) == {"OK"}
            assert [entry.name for entry in callers["elsewhere"].call("RepositoryIndex").models] == []
            (answer,) = callers["elsewhere"].stream([ASK])
            assert answer.error_message.startswith("forbidden: ")
            revoke(data_dir, reader)
            wait_until(lambda: outcomes({"reader": callers["reader"]}, "ModelInfer", ASK)["reader"] != "OK")


def outcomes(callers: dict[str, RpcCaller], method: str, request: object = None) -> dict[str, str]:
    found = {}
    for name, caller in callers.items():
        try:
            found[name] = caller.refused(method, request)[0]
        except AssertionError:
            found[name] = "OK"
    return found


def test_the_message_of_a_stranger_is_not_read(tmp_path: Path) -> None:
    port = fixed_port()
    with running_gateway(tmp_path / "data", grpc_port=str(port), auth="on"), calling(port) as stranger:
        too_large = infer_request("same", x=("FP32", np.zeros(8 << 20, np.float32)))
        assert stranger.refused("ModelInfer", too_large)[0] == "UNAUTHENTICATED"


def test_two_workers_share_the_port_and_callers_of_a_dead_one_connect_anew(tmp_path: Path) -> None:
    port = fixed_port()
    with running_gateway(tmp_path / "data", grpc_port=str(port), workers="2") as gateway, gateway.client() as http:
        wait_until(lambda: len(gateway.workers()) == 2)
        upload_and_promote(http, "same", models.identity())
        with ExitStack() as opened:
            callers = [opened.enter_context(calling(port)) for _ in range(16)]
            for caller in callers:
                caller.call("ModelInfer", ASK, wait_for_ready=True)
            first = gateway.workers()[0]
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: first not in gateway.workers())
            for caller in callers:
                wait_until(lambda caller=caller: outcomes({"it": caller}, "ModelInfer", ASK) == {"it": "OK"})


def test_a_worker_that_lets_go_finishes_what_has_begun(tmp_path: Path) -> None:
    port = fixed_port()
    with running_gateway(tmp_path / "data", grpc_port=str(port)) as gateway, gateway.client() as http:
        upload_and_promote(http, "counted", counted_loop())
        with calling(port) as caller:
            caller.call("ModelInfer", counting(1))
            begun = caller.begin("ModelInfer", counting(1_000_000))
            caller.call("ServerLive")  # what came before it has been taken up
            (old,) = gateway.workers()
            os.kill(old, signal.SIGUSR1)
            assert begun.result().model_name == "counted"
            wait_until(lambda: old not in gateway.workers())
            assert caller.call("ModelInfer", counting(1), wait_for_ready=True).model_name == "counted"


@pytest.mark.parametrize("other", ["a program", "a gateway"])
def test_a_port_that_somebody_has_is_named_at_once(tmp_path: Path, other: str) -> None:
    port = fixed_port()
    with ExitStack() as opened:
        if other == "a program":
            listening = opened.enter_context(socket.socket())
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(("127.0.0.1", port))
            listening.listen()
        else:
            opened.enter_context(running_gateway(tmp_path / "other", grpc_port=str(port)))
        gateway = opened.enter_context(started_gateway(tmp_path / "data", grpc_port=str(port)))
        assert gateway.process.wait(30) == 2
        assert gateway.log_path.read_text() == (
            f"Cannot serve gRPC at 127.0.0.1:{port}: Address already in use. "
            "Choose another port with --grpc-port or SARDONYX_GRPC_PORT.\n"
        )


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    command = [SARDONYX, "serve", "--port", "9999", "--grpc-port", "9999", "--data-dir", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "grpc_port: HTTP has port 9999 already" in refused.stderr


def test_strangers_hold_no_calls_by_sending_nothing(tmp_path: Path) -> None:
    port = fixed_port()
    with running_gateway(tmp_path / "data", grpc_port=str(port), auth="on"), calling(port) as stranger:
        silence: Queue[bytes] = Queue()
        live = stranger.channel.stream_unary(
            f"/{PACKAGE}.{SERVICE}/ServerLive",
            response_deserializer=message_class("ServerLiveResponse").FromString,
        )
        answer = live(iter(silence.get, b""), timeout=30)
        silence.put(b"")
        assert answer.live
