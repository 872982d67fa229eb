"""JSON bodies of the three dialects; where two parses read one body, they are held against each other.

The first byte of an input says for which signature it is.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np

from gateway.codec import tensorflow_bodies
from gateway.codec.body import PredictBody
from gateway.codec.buffer_decode import BufferDecoder, can_read_buffers, long_rows_reader
from gateway.codec.exact_decode import decode_exactly
from gateway.codec.examples import open_inference_example, tensorflow_example, whole_example
from gateway.codec.fast_decode import FastDecoder, can_read_fast, short_rows_reader
from gateway.codec.fit import DOUBTS, Doubt
from gateway.codec.joined_rows import JoinedRowsDecoder, has_joined_rows
from gateway.codec.json_tensors import JsonCodec
from gateway.codec.open_inference.codec import OpenInferenceCodec
from gateway.codec.open_inference.request import decode_exactly as decode_open_inference
from registry.errors import CallerError
from registry.signature import Signature
from registry.tensor import DTYPES, Shape
from tests.fuzz.json_texts import Documents
from tests.fuzz.mutation import mutate
from tests.fuzz.signatures import SIGNATURES, words_of
from tests.fuzz.target import BrokenPromiseError, Made, Target
from tests.support.one_truth import canonical, check_same
from tests.support.serving_models import version_of
from tests.support.signatures import signature, tensor

Attempt = Callable[[bytes], None]


def outcome(decode: Callable[[], PredictBody]) -> PredictBody | CallerError:
    """Return what the exact parse says, which alone decides."""
    try:
        return decode()
    except CallerError as error:
        return error


def settle(exact: PredictBody | CallerError, what: Signature) -> None:
    """Raise the caller's error, or make sure that what was taken fits the signature."""
    if isinstance(exact, CallerError):
        raise exact
    if what.is_plain and (found := what.check({name: array.shape for name, array in exact.feed.items()})):
        raise BrokenPromiseError(f"what was taken does not fit: {found}")


def _with_first_byte(documents: Sequence[Documents]) -> Callable[[Random], bytes]:
    def draw(random: Random) -> bytes:
        place = random.randrange(len(documents))
        return bytes([place]) + documents[place].draw(random)

    return draw


def _by_first_byte(attempts: Sequence[Attempt]) -> Attempt:
    def attempt(octets: bytes) -> None:
        if octets:
            attempts[octets[0] % len(attempts)](octets[1:])

    return attempt


def _native_documents(what: Signature) -> Documents:
    example: Any = whole_example(what)
    values = [example, {**example, "id": "mine", "outputs": [spec.name for spec in what.outputs]}]
    tensors = example["inputs"]
    if len(what.inputs) == 1:
        (only,) = tensors.values()
        values += [{"inputs": only}, {"instances": only}]
    elif all(isinstance(value, list) for value in tensors.values()):
        values.append({"instances": [tensors, tensors]})
    flat = {spec.name: {"shape": [1] * len(spec.shape or (1,)), "data": [0]} for spec in what.inputs if spec.is_tensor}
    values.append({"inputs": flat})
    long = [[index / 7 for index in range(4)] for _ in range(300)]
    values.append({"inputs": {spec.name: long for spec in what.inputs}})
    return Documents(values, words_of(what))


def _native_attempt(what: Signature) -> Attempt:
    fast = FastDecoder(what) if can_read_fast(what) else None
    buffers = BufferDecoder(what) if can_read_buffers(what) else None
    codec = JsonCodec(model="m", version=1, signature=what)

    def attempt(body: bytes) -> None:
        exact = outcome(lambda: decode_exactly(what, body))
        if fast is not None:
            with suppress(*DOUBTS):
                check_same(fast.decode(body), exact)
        if buffers is not None:
            with suppress(Doubt):
                check_same(buffers.decode(body), exact)
        quick = codec.decode_quickly(body)
        if quick is not None and isinstance(exact, CallerError):
            raise BrokenPromiseError(f"it was taken quickly, and is refused: {exact}")
        settle(exact, what)

    return attempt


def make_native() -> Made:
    """Native JSON."""
    return Made(
        _with_first_byte([_native_documents(what) for what in SIGNATURES]),
        _by_first_byte([_native_attempt(what) for what in SIGNATURES]),
    )


# --- rows of many bodies ----------------------------------------------------------------------------------------------

_SEPARATOR = b"\x00\x00"
_SHAPES: Mapping[str, Shape] = {
    "float32": ("n", 4),
    "float64": ("n", 2, 2),
    "int64": ("n", 3),
    "uint8": ("n", 20),
    "bool": ("n", 2),
    "float16": ("n", 17),
}
_ROWS = tuple(signature(tensor("x", name, shape)) for name, shape in _SHAPES.items())


def _rows_documents(what: Signature) -> Documents:
    spec = what.inputs[0]
    element = False if spec.dtype.kind == "b" else 1
    row: Any = element
    for size in reversed((spec.shape or ())[1:]):
        row = [row] * int(size or 1)
    values = [{"inputs": [row]}, {"inputs": [row, row]}, {"instances": [row]}, {"inputs": {"x": [row] * 3}}]
    return Documents(values, ("x", "inputs", "instances", "id"))


def _rows_attempt(what: Signature) -> Attempt:
    if not has_joined_rows(what):
        raise AssertionError(what)
    spec = what.inputs[0]
    readers = [short_rows_reader(spec)] + (
        [] if spec.dtype.kind == "b" else [long_rows_reader(DTYPES[spec.dtype.name])]
    )
    decoders = [JoinedRowsDecoder(what, reader) for reader in readers]

    def attempt(octets: bytes) -> None:
        bodies = octets.split(_SEPARATOR)
        exact = [outcome(lambda body=body: decode_exactly(what, body)) for body in bodies]  # type: ignore[misc]
        for decoder in decoders:
            plain = [decoder.read(body) for body in bodies]
            joined = None if None in plain else decoder.join([rows for rows in plain if rows is not None])
            if joined is None:
                continue
            refused = [one for one in exact if isinstance(one, CallerError)]
            if refused:
                raise BrokenPromiseError(f"it was taken with others, and is refused alone: {refused[0]}")
            alone = np.concatenate([one.feed["x"] for one in exact if isinstance(one, PredictBody)])
            if canonical(joined["x"]) != canonical(alone):
                raise BrokenPromiseError("together they say something else than each alone")
        for one in exact:
            settle(one, what)

    return attempt


def make_rows() -> Made:
    """Native JSON whose rows are read together: bodies between zero bytes."""
    documents = [_rows_documents(what) for what in _ROWS]

    def draw(random: Random) -> bytes:
        place = random.randrange(len(documents))
        bodies = [
            documents[place].draw(random) if random.random() < 0.4 else _right_rows(random, _ROWS[place])
            for _ in range(random.randint(1, 4))
        ]
        return bytes([place]) + _SEPARATOR.join(bodies)

    return Made(draw, _by_first_byte([_rows_attempt(what) for what in _ROWS]))


def _right_rows(random: Random, what: Signature) -> bytes:
    """Return a plain body; one in five has brackets or commas where none belong."""
    spec = what.inputs[0]
    numbers = ("true", "false") if spec.dtype.kind == "b" else ("0", "1", "-0", "1.5", "1e2", "255", "256", "16777217")
    sizes = [int(size or 1) for size in (spec.shape or ())[1:]]

    def nested(rest: list[int]) -> str:
        if not rest:
            return random.choice(numbers)
        return "[" + ",".join(nested(rest[1:]) for _ in range(rest[0])) + "]"

    rows = ",".join(nested(sizes) for _ in range(random.randint(1, 3)))
    body = f'{{"{random.choice(("inputs", "instances"))}":[{rows}]}}'.encode()
    return mutate(random, body, (b"[", b"]", b",", b"],[", b"[]", b"]]", b"[[")) if random.random() < 0.2 else body


# --- other dialects ---------------------------------------------------------------------------------------------------


def _open_inference_documents(what: Signature) -> Documents:
    example: Any = open_inference_example(what) or {"inputs": []}
    binary = [{"name": t["name"], "datatype": t["datatype"], "shape": t["shape"], "parameters": {"binary_data_size": 4}}
              for t in example["inputs"]]  # fmt: skip
    outputs = [{"name": spec.name, "parameters": {"binary_data": True}} for spec in what.outputs]
    every = [{"name": spec.name, "datatype": "FP32", "shape": [1], "data": [1]} for spec in what.inputs]
    values = [
        example,
        {**example, "id": "mine", "outputs": outputs},
        {"inputs": binary, "parameters": {"binary_data_output": True}, "outputs": outputs[:1]},
        {"inputs": every},
    ]
    return Documents(values, words_of(what))


def make_open_inference() -> Made:
    """The Open Inference Protocol over HTTP: two bytes say how much is JSON (all ones: everything), bytes follow."""
    documents = [_open_inference_documents(what) for what in SIGNATURES]
    codecs = [OpenInferenceCodec(version_of(what)) for what in SIGNATURES]

    def draw(random: Random) -> bytes:
        place = random.randrange(len(documents))
        head = documents[place].draw(random)
        size = len(head) if random.random() < 0.9 else random.randint(0, len(head) + 8)
        if random.random() < 0.5 or size >= 0xFFFF:
            return bytes([place]) + b"\xff\xff" + head
        tail = random.randbytes(random.choice((0, 1, 4, 4, 4, 8, 16, 100)))
        return bytes([place]) + size.to_bytes(2, "little") + head + tail

    def attempt_of(codec: OpenInferenceCodec) -> Attempt:
        def attempt(octets: bytes) -> None:
            size = int.from_bytes(octets[:2], "little")
            body, header_bytes = octets[2:], None if size == 0xFFFF else size
            exact = outcome(lambda: decode_open_inference(codec.words, body, header_bytes))
            quick = codec.decode_quickly(body, header_bytes)
            if quick is not None:
                _check_quick(quick, exact)
            settle(exact, codec.words.signature)

        return attempt

    return Made(draw, _by_first_byte([attempt_of(codec) for codec in codecs]))


def _check_quick(quick: PredictBody, exact: PredictBody | CallerError) -> None:
    if isinstance(exact, CallerError):
        raise BrokenPromiseError(f"it was taken quickly, and is refused: {exact}")
    if (quick.outputs, quick.id, quick.reply, list(quick.feed)) != (
        exact.outputs,
        exact.id,
        exact.reply,
        list(exact.feed),
    ):
        raise BrokenPromiseError(f"{quick} was read quickly, and {exact} exactly")
    if [canonical(array) for array in quick.feed.values()] != [canonical(array) for array in exact.feed.values()]:
        raise BrokenPromiseError("the quick parse read other numbers")


def make_tensorflow() -> Made:
    """TensorFlow Serving's REST."""
    documents = []
    for what in SIGNATURES:
        example: Any = tensorflow_example(what) or {"instances": []}
        native: Any = whole_example(what)
        values = [example, native, {"signature_name": "serving_default", **example}]
        values += [{"instances": [{spec.name: [1, "a", {"b64": "aGk="}]} for spec in what.inputs]}]
        documents.append(Documents(values, words_of(what)))
    codecs = [JsonCodec(model="m", version=1, signature=what) for what in SIGNATURES]

    def attempt_of(what: Signature, codec: JsonCodec) -> Attempt:
        def attempt(body: bytes) -> None:
            exact = outcome(lambda: tensorflow_bodies.decode(what, codec, body))
            quick = tensorflow_bodies.decode_quickly(what, codec, body)
            if quick is not None:
                _check_quick(quick, exact)
            settle(exact, what)

        return attempt

    return Made(
        _with_first_byte(documents),
        _by_first_byte([attempt_of(what, codec) for what, codec in zip(SIGNATURES, codecs, strict=True)]),
    )


TARGETS = (
    Target(name="native", make=make_native, share=2),
    Target(name="rows", make=make_rows),
    Target(name="open-inference", make=make_open_inference, share=1.5),
    Target(name="tensorflow", make=make_tensorflow, share=1.5),
)
