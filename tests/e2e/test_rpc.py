"""The Open Inference Protocol over gRPC, from a real gateway on a port of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from onnx import ModelProto, helper

from gateway.rpc.schema import message_class
from tests.e2e.test_full_places import counted_loop
from tests.support import models
from tests.support.gateway_process import GatewayProcess, fixed_port, running_gateway, wait_until
from tests.support.rpc import RpcCaller, calling, floats, infer_request
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload_and_promote

ENDLESS = 2**62
SERVED: dict[str, ModelProto] = {
    "same": models.identity(),
    "half": models.identity("float16"),
    "text": models.string_twice(),
    "pair": models.two_inputs_one_symbol(),
    "counted": counted_loop(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    gateway: GatewayProcess
    http: httpx.Client
    port: int
    rpc: RpcCaller


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway with one worker and a few models, whose messages may have 64 KiB beside what is beside tensors."""
    port = fixed_port()
    data_dir = tmp_path_factory.mktemp("rpc") / "data"
    limits = {"max_body_bytes": "65536", "predict_timeout_seconds": "2"}
    with running_gateway(data_dir, grpc_port=str(port), **limits) as gateway, gateway.client() as http:
        for name, model in SERVED.items():
            upload_and_promote(http, name, model)
        wait_until_settled(gateway, "pair")  # it is to be unloaded, and not to be loaded anew then
        with calling(port) as rpc:
            for name in SERVED:  # no request is to wait for a load, which has more time
                rpc.call(
                    "RepositoryModelLoad", message_class("RepositoryModelLoadRequest")(model_name=name), timeout=60
                )
            yield Served(gateway=gateway, http=http, port=port, rpc=rpc)


def counting(trips: int) -> object:
    return infer_request("counted", x=floats(0.5), trips=("INT64", np.array(trips, np.int64)))


def test_a_request_is_answered_with_raw_tensors_its_id_and_the_version(served: Served) -> None:
    request = infer_request("same", x=floats(1.5, -0.0))
    request.id = "mine"
    answer, trailing = served.rpc.called("ModelInfer", request)
    expected = message_class("ModelInferResponse")(model_name="same", model_version="1", id="mine")
    expected.outputs.add(name="y", datatype="FP32", shape=[2])
    expected.raw_output_contents.append(np.array([1.5, -0.0], np.float32).tobytes())
    assert answer == expected
    assert trailing["x-model-version"] == "1"
    assert trailing["x-model-digest"].startswith("sha256:")
    assert set(trailing) == {"x-request-id", "x-model-version", "x-model-digest"}


@pytest.mark.parametrize("version", ["", "1", "production"])
def test_a_version_is_a_number_or_an_alias_or_what_is_promoted(served: Served, version: str) -> None:
    answer = served.rpc.call("ModelInfer", infer_request("same", version, x=floats(2.5)))
    assert answer.model_version == "1"


def test_typed_contents_say_the_same_as_raw_ones(served: Served) -> None:
    request = message_class("ModelInferRequest")(model_name="same")
    request.inputs.add(name="x", datatype="FP32", shape=[2]).contents.fp32_contents.extend([1.5, -0.0])
    assert served.rpc.call("ModelInfer", request) == served.rpc.call(
        "ModelInfer", infer_request("same", x=floats(1.5, -0.0))
    )


def test_half_floats_travel_as_bits(served: Served) -> None:
    values = np.array([0x7E01, 0x0001, 0x8000], np.uint16)  # a NaN with a payload, the least number, minus zero
    answer = served.rpc.call("ModelInfer", infer_request("half", x=("FP16", values.view(np.float16))))
    assert np.frombuffer(answer.raw_output_contents[0], np.uint16).tolist() == values.tolist()


def test_typed_texts_are_answered_as_raw_ones(served: Served) -> None:
    request = message_class("ModelInferRequest")(model_name="text")
    name = served.http.get("/registry/models/text/versions/1").json()["signature"]["inputs"][0]["name"]
    request.inputs.add(name=name, datatype="BYTES", shape=[1]).contents.bytes_contents.append("häßlich".encode())
    answer = served.rpc.call("ModelInfer", request)
    assert [(output.datatype, list(output.shape)) for output in answer.outputs] == [("BYTES", [1])] * len(
        answer.outputs
    )


def test_the_id_of_a_request_in_the_metadata_is_given_back(served: Served) -> None:
    request = infer_request("same", x=floats(1.0))
    _, trailing = served.rpc.called("ModelInfer", request, metadata=[("x-request-id", "mine-1")])
    assert trailing["x-request-id"] == "mine-1"


def test_every_fault_is_named_in_one_line(served: Served) -> None:
    request = infer_request("same", x=("INT32", np.zeros(2, np.int32)))
    request.outputs.add(name="z")
    status, message, trailing = served.rpc.refused("ModelInfer", request)
    assert status == "INVALID_ARGUMENT"
    assert "/inputs/0/datatype: expected FP32, received INT32 (invalid_dtype)" in message
    assert "/outputs/0/name: expected one of y, received z (unknown_output)" in message
    assert trailing["x-model-version"] == "1"


@pytest.mark.parametrize(
    ("model", "version", "status", "code"),
    [
        ("nobody", "", "NOT_FOUND", "model_not_found"),
        ("same", "9", "NOT_FOUND", "version_not_found"),
        ("same", "nowhere", "NOT_FOUND", "alias_not_found"),
        ("No Name", "", "INVALID_ARGUMENT", "invalid_name"),
    ],
)
def test_what_is_not_there_is_refused(served: Served, model: str, version: str, status: str, code: str) -> None:
    refused = served.rpc.refused("ModelInfer", infer_request(model, version, x=floats(1.0)))
    assert (refused[0], refused[2]["x-problem-code"]) == (status, code)


@pytest.mark.parametrize("message", [b"\xff", b"\x0a\x05abc", b"\x0a\x01\xff", b"\x0b"])
def test_bytes_that_are_no_message_are_refused(served: Served, message: bytes) -> None:
    status, _, trailing = served.rpc.refused("ModelInfer", message)
    assert (status, trailing["x-problem-code"]) == ("INVALID_ARGUMENT", "invalid_request")


def test_a_message_of_thousands_of_empty_tensors_is_refused(served: Served) -> None:
    status, message, _ = served.rpc.refused("ModelInfer", b"\x2a\x00" * 5000)
    assert (status, message) == (
        "INVALID_ARGUMENT",
        "invalid_request: the message has more than 4096 tensors, outputs and parameters",
    )


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_is_bounded_however_it_is_packed(served: Served, compression: grpc.Compression) -> None:
    large = infer_request("same", x=("FP32", np.zeros(1 << 20, np.float32)))
    assert served.rpc.refused("ModelInfer", large, compression=compression)[0] == "RESOURCE_EXHAUSTED"
    served.rpc.call("ModelInfer", infer_request("same", x=floats(1.0)))


def test_a_message_may_be_compressed(served: Served) -> None:
    request = infer_request("same", x=("FP32", np.zeros(8192, np.float32)))
    answer = served.rpc.call("ModelInfer", request, compression=grpc.Compression.Gzip)
    assert list(answer.outputs[0].shape) == [8192]


def test_metadata_are_bounded(served: Served) -> None:
    with calling(served.port) as other:
        status, *_ = other.refused("ServerLive", metadata=[("x-long", "a" * 100_000)])
    assert status in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL")
    served.rpc.call("ServerLive")


def test_requests_of_a_stream_are_answered_in_their_order_and_a_fault_ends_nothing(served: Served) -> None:
    requests = [infer_request("same", x=floats(float(number))) for number in range(3)]
    for number, request in enumerate(requests):
        request.id = f"r{number}"
    requests[1].model_name = "nobody"
    answers = list(served.rpc.stream(requests))
    assert [answer.infer_response.id for answer in answers] == ["r0", "r1", "r2"]
    assert [answer.error_message for answer in answers] == ["", "model_not_found: there is no model 'nobody'", ""]
    assert np.frombuffer(answers[2].infer_response.raw_output_contents[0], np.float32).tolist() == [2.0]


def test_a_run_ends_at_the_gateways_deadline(served: Served) -> None:
    status, _, trailing = served.rpc.refused("ModelInfer", counting(ENDLESS))
    assert (status, trailing["x-problem-code"]) == ("DEADLINE_EXCEEDED", "predict_timeout")
    served.rpc.call("ModelInfer", counting(1))


def test_a_run_ends_at_the_callers_deadline_if_that_is_sooner(served: Served) -> None:
    with calling(served.port) as other:
        assert other.refused("ModelInfer", counting(ENDLESS), timeout=0.3)[0] == "DEADLINE_EXCEEDED"
    served.rpc.call("ModelInfer", counting(1))


def test_a_caller_in_a_hurry_does_not_have_a_slow_model_taken_for_one_that_hangs(tmp_path: Path) -> None:
    port = fixed_port()
    slow = models.model(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["x"]),
            helper.make_node("MatMul", ["x", "x"], ["product"]),  # one kernel, which hears nothing for seconds
            helper.make_node("ReduceMax", ["product"], ["y"], keepdims=0),
        ],
        [models.value("shape", "int64", (2,))],
        [models.value("y", "float32", ())],
    )

    def product(size: int) -> object:
        return infer_request("slow", shape=("INT64", np.array([size, size], np.int64)))

    limits = {"grpc_port": str(port), "predict_timeout_seconds": "60"}
    with running_gateway(tmp_path / "data", **limits) as gateway, gateway.client() as http:
        upload_and_promote(http, "slow", slow)
        before = gateway.workers()
        with calling(port) as rpc:
            for isolation in ("in_process", "isolated"):
                http.patch("/registry/models/slow/versions/1", json={"isolation": isolation})
                rpc.call("ModelInfer", product(1), timeout=60)
                assert rpc.refused("ModelInfer", product(5000), timeout=0.5)[0] == "DEADLINE_EXCEEDED"
                rpc.call("ModelInfer", product(1), timeout=60)
            assert gateway.workers() == before
            assert http.get("/registry/models/slow/versions/1").json()["deaths"] == 0


def test_a_caller_that_cancels_is_noted_as_gone(served: Served) -> None:
    call = served.rpc.begin("ModelInfer", counting(ENDLESS), metadata=[("x-request-id", "cancelled-1")])
    served.rpc.call("ServerLive")  # what came before it has been taken up
    call.cancel()

    def is_noted() -> bool:
        lines = [line for line in served.gateway.log_lines() if line.get("request_id") == "cancelled-1"]
        return [(line["status"], line["code"]) for line in lines] == [(499, "client_gone")]

    wait_until(is_noted)
    served.rpc.call("ModelInfer", counting(1))


def test_calls_are_logged_and_counted_as_requests_over_http_are(served: Served) -> None:
    request = infer_request("same", x=floats(1.0))
    served.rpc.call("ModelInfer", request, metadata=[("x-request-id", "logged-1")])

    def lines() -> list[dict[str, object]]:
        return [line for line in served.gateway.log_lines() if line.get("request_id") == "logged-1"]

    wait_until(lambda: len(lines()) == 1)
    (line,) = lines()
    assert {name: line[name] for name in ("path", "status", "code", "model", "version", "actor")} == {
        "path": "/inference.GRPCInferenceService/ModelInfer",
        "status": 200,
        "code": "ok",
        "model": "same",
        "version": 1,
        "actor": "anonymous",
    }
    assert 'sardonyx_predict_requests_total{code="ok",model="same",version="1"}' in served.http.get("/metrics").text


def test_the_server_and_its_models_describe_themselves(served: Served) -> None:
    assert served.rpc.call("ServerLive").live
    assert served.rpc.call("ServerReady").ready
    assert served.rpc.call("ServerMetadata").name == "sardonyx"
    metadata = served.rpc.call("ModelMetadata", message_class("ModelMetadataRequest")(name="same"))
    tensors = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in (*metadata.inputs, *metadata.outputs)]
    assert tensors == [("x", "FP32", [-1]), ("y", "FP32", [-1])]
    config = served.rpc.call("ModelConfig", message_class("ModelConfigRequest")(name="same", version="1")).config
    assert [(spec.name, spec.data_type, list(spec.dims)) for spec in config.input] == [("x", 11, [-1])]
    statistics = served.rpc.call("ModelStatistics", message_class("ModelStatisticsRequest")(name="half"))
    assert [(one.name, one.version) for one in statistics.model_stats] == [("half", "1")]


def test_a_model_is_ready_if_it_answers(served: Served) -> None:
    asked = [("same", ""), ("same", "1"), ("same", "7"), ("nobody", "")]
    requests = [message_class("ModelReadyRequest")(name=name, version=version) for name, version in asked]
    answers = [served.rpc.call("ModelReady", request).ready for request in requests]
    assert answers == [True, True, False, False]


def test_models_are_listed_loaded_and_unloaded(served: Served) -> None:
    ask = message_class("RepositoryModelLoadRequest")(model_name="pair")
    served.rpc.call("RepositoryModelLoad", ask)
    served.rpc.call("RepositoryModelUnload", message_class("RepositoryModelUnloadRequest")(model_name="pair"))
    index = served.rpc.call("RepositoryIndex")
    states = {entry.name: entry.state for entry in index.models}
    assert (states["pair"], states["same"]) == ("UNAVAILABLE", "READY")


def test_a_load_that_would_bring_files_along_is_refused(served: Served) -> None:
    ask = message_class("RepositoryModelLoadRequest")(model_name="same")
    ask.parameters["file:1/model.onnx"].bytes_param = b"x"
    assert served.rpc.refused("RepositoryModelLoad", ask)[0] == "INVALID_ARGUMENT"


def test_a_method_that_there_is_not_is_unimplemented(served: Served) -> None:
    stub = served.rpc.channel.unary_unary("/inference.GRPCInferenceService/TraceSetting")
    with pytest.raises(grpc.RpcError) as refusal:
        stub(b"", timeout=10)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    # what a browser could send is no such protocol
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{served.port}/", timeout=10, trust_env=False)


def test_the_log_holds_nothing_but_its_own_lines(served: Served) -> None:
    assert all("event" in line for line in served.gateway.log_lines())


def test_a_caller_that_does_not_take_its_answer_is_no_error_of_the_gateway(served: Served) -> None:
    request = infer_request("same", x=("FP32", np.zeros(15_000, np.float32)))
    with calling(served.port, max_receive_message_length=16) as narrow:
        refused = [narrow.refused("ModelInfer", request)[0] for _ in range(20)]
    assert refused == ["RESOURCE_EXHAUSTED"] * 20
    assert served.rpc.call("ServerLive").live
    assert [line for line in served.gateway.log_lines() if line.get("level") == "error"] == []


def test_a_call_that_has_begun_is_finished_and_an_idle_stream_ends_when_the_gateway_does(tmp_path: Path) -> None:
    port = fixed_port()
    with running_gateway(tmp_path / "data", grpc_port=str(port)) as gateway, gateway.client() as http:
        upload_and_promote(http, "counted", counted_loop())
        with calling(port) as one, calling(port) as other:
            one.call("ModelInfer", counting(1))
            begun = one.begin("ModelInfer", counting(1_000_000))
            idle = other.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(_never())
            one.call("ServerLive")  # what came before it has been taken up
            assert gateway.stop() == 0
            assert begun.result().model_name == "counted"
            with pytest.raises(grpc.RpcError) as end:
                next(idle)
            assert end.value.code() is grpc.StatusCode.UNAVAILABLE


def _never() -> Iterator[bytes]:
    import threading

    threading.Event().wait(20)
    yield from ()
