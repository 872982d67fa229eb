"""Frames between a worker and a child: every kind of value arrives as it was, and nonsense is refused."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gateway.isolation.frames import BrokenFrameError, receive, send

GIB = 1 << 30


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        other.settimeout(10)
        yield one, other


def carried(ends: tuple[socket.socket, socket.socket], values: list[Any]) -> list[Any]:
    one, other = ends
    sender = threading.Thread(target=send, args=(one, {"word": 1}, values))
    sender.start()
    words, arrived = receive(other, most_bytes=GIB)
    sender.join(10)
    assert words["word"] == 1
    return arrived


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, float("nan"), -0.0]], np.float32),
        np.array(7, np.int64),
        np.zeros((0, 3), np.float64),
        np.array([1, 0], np.bool_),
        np.array([1.5, -2], ml_dtypes.bfloat16),
        np.array([-8, 7], ml_dtypes.int4),
        np.arange(3_000_000, dtype=np.float64),
        np.arange(12).reshape(3, 4)[:, ::2],
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_a_tensor_arrives_bit_for_bit(ends: tuple[socket.socket, socket.socket], array: Any) -> None:
    (arrived,) = carried(ends, [array])
    assert (arrived.dtype, arrived.shape, arrived.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_texts_arrive_as_they_were(ends: tuple[socket.socket, socket.socket]) -> None:
    (arrived,) = carried(ends, [np.array([["ä", ""], ["\x00", "𝄞"]], object)])
    assert arrived.tolist() == [["ä", ""], ["\x00", "𝄞"]]


def test_what_holds_tensors_arrives_with_them(ends: tuple[socket.socket, socket.socket]) -> None:
    one = np.array([1, 2], np.int64)
    arrived = carried(ends, [[one, one + 1], {3: one, "k": one}, None, []])
    assert [[array.tolist() for array in arrived[0]], {key: array.tolist() for key, array in arrived[1].items()}] == [
        [[1, 2], [2, 3]],
        {3: [1, 2], "k": [1, 2]},
    ]
    assert arrived[2:] == [None, []]


def test_hundreds_of_values_go_in_one_frame(ends: tuple[socket.socket, socket.socket]) -> None:
    values = [np.full(number % 7, number, np.int32) for number in range(300)]
    assert [array.tolist() for array in carried(ends, values)] == [array.tolist() for array in values]


@pytest.mark.parametrize(
    "described",
    [
        [["tensor", "float32", [2], 4]],
        [["tensor", "float32", [-1], -4]],
        [["tensor", "object", [1], 8]],
        [["texts", [2], 2]],
        [["list"]],
        [["what"]],
        [7],
        7,
    ],
    ids=repr,
)
def test_a_frame_that_does_not_add_up_is_refused(ends: tuple[socket.socket, socket.socket], described: Any) -> None:
    import orjson

    one, other = ends
    document = orjson.dumps({"values": described})
    one.sendall(len(document).to_bytes(8, "little") + (8).to_bytes(8, "little") + document + b"[]      ")
    with pytest.raises(BrokenFrameError):
        receive(other, most_bytes=GIB)


def test_more_bytes_than_may_come_are_not_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    one.sendall((2).to_bytes(8, "little") + (GIB + 1).to_bytes(8, "little"))
    with pytest.raises(BrokenFrameError):
        receive(other, most_bytes=GIB)


def test_the_other_end_going_is_noticed(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    one.sendall(b"12345")
    one.close()
    with pytest.raises(BrokenFrameError):
        receive(other, most_bytes=GIB)
