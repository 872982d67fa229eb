"""The comparison is worth something only if it notices wrong answers and servers that others can reach."""

import ipaddress
import subprocess
import sys
from typing import Any

import numpy as np
import orjson
import pytest

from bench.contestants import PEERS, BentoML, Contestant, Gateway, Handwritten, Triton
from bench.environments import PEERS as FOLDER
from bench.environments import read_pins
from bench.models import CONVNET, MODELS, TINY, BenchModel
from bench.processes import open_addresses, parse_address
from bench.wires import WrongAnswerError

QUESTION = TINY.questions[0]
OTHER = TINY.questions[1]


def _answer(outputs: dict[str, Any]) -> dict[type[Contestant], bytes]:
    tensors = [{"name": name, "shape": [1], "data": np.ravel(value).tolist()} for name, value in outputs.items()]
    lists = {name: np.asarray(value).tolist() for name, value in outputs.items()}
    return {
        Gateway: orjson.dumps({"model": "tiny", "version": 1, "outputs": lists}),
        Handwritten: orjson.dumps(lists),
        Triton: orjson.dumps({"model_name": "model", "outputs": tensors}),
        BentoML: orjson.dumps([lists]),
    }


@pytest.mark.parametrize("kind", [Gateway, Handwritten, Triton, BentoML])
def test_a_right_answer_passes_on_every_wire(kind: type[Contestant]) -> None:
    kind(TINY).check(_answer(dict(QUESTION.outputs))[kind], QUESTION)


@pytest.mark.parametrize("kind", [Gateway, Handwritten, Triton, BentoML])
def test_somebody_elses_answer_is_noticed(kind: type[Contestant]) -> None:
    with pytest.raises(WrongAnswerError):
        kind(TINY).check(_answer(dict(OTHER.outputs))[kind], QUESTION)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"outputs": {}}', b'{"outputs": []}', b"Internal Server Error"])
@pytest.mark.parametrize("kind", [Gateway, Handwritten, Triton, BentoML])
def test_what_is_no_answer_is_noticed(kind: type[Contestant], body: bytes) -> None:
    with pytest.raises(WrongAnswerError):
        kind(TINY).check(body, QUESTION)


def test_one_bit_off_is_noticed_where_the_bits_are_promised() -> None:
    probabilities = QUESTION.outputs["probabilities"]
    outputs = {**QUESTION.outputs, "probabilities": np.nextafter(probabilities, np.float32(2))}
    answers = _answer(outputs)
    Triton(TINY).check(answers[Triton], QUESTION)
    with pytest.raises(WrongAnswerError):
        Gateway(TINY).check(answers[Gateway], QUESTION)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_no_two_questions_have_the_same_answer(model: BenchModel) -> None:
    answers = {b"".join(output.tobytes() for output in one.outputs.values()) for one in model.questions}
    assert len(answers) > len(model.questions) // 2


def test_all_wires_carry_the_same_numbers() -> None:
    question = CONVNET.questions[0]
    lists = orjson.loads(Handwritten(CONVNET).encode(question))["inputs"]
    (tensor,) = orjson.loads(Triton(CONVNET).encode(question))["inputs"]
    assert np.array(lists, np.float32).tobytes() == question.x.tobytes()
    assert np.array(tensor["data"], np.float32).reshape(tensor["shape"]).tobytes() == question.x.tobytes()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_pinned_and_runs_the_runtime_that_we_run(peer: Any) -> None:
    lines = (FOLDER / peer.peer / "requirements.txt").read_text().splitlines()
    unpinned = [line for line in lines if not line.startswith("#") and "==" not in line]
    assert (unpinned, read_pins(peer.peer)["onnxruntime"]) == ([], "1.32.0")


ADDRESSES = {
    "0100007F": "127.0.0.1",
    "00000000": "0.0.0.0",  # noqa: S104  an example
    "00000000000000000000000001000000": "::1",
    "0000000000000000FFFF00000100007F": "127.0.0.1",
    "00000000000000000000000000000000": "::",
}


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items())
def test_the_kernels_addresses_are_read(text: str, address: str) -> None:
    assert parse_address(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        pytest.param("127.0.0.1", set(), id="loopback"),
        pytest.param("", {ipaddress.ip_address("0.0.0.0")}, id="every address"),  # noqa: S104  what is looked for
    ],
)
def test_a_server_that_others_can_reach_is_found(address: str, found: set[object]) -> None:
    program = f"import socket; s = socket.create_server(({address!r}, 0)); print('up', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        assert open_addresses(server.pid) == found
        server.communicate(b"\n")
