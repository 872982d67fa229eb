"""What is no JSON: files of tensors, raw tensors, messages over gRPC, and bodies that are compressed."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from gateway.codec import npy, npz, safetensors
from gateway.codec.open_inference.words import Words
from gateway.codec.raw_tensors import BytesDoNotFit, read_raw
from gateway.codec.spellings import SPELLINGS
from gateway.codec.tensor_files import TypedReader, assemble_files
from gateway.rpc.infer_request import read_request
from gateway.rpc.outline import read_outline
from gateway.rpc.schema import message_class
from gateway.web.limits import inflate
from registry.tensor import DTYPES, TensorSpec
from tests.fuzz import messages
from tests.fuzz.mutation import mutate, number
from tests.fuzz.signatures import SIGNATURES
from tests.fuzz.target import BrokenPromiseError, Made, Target
from tests.support.serving_models import version_of
from tests.support.signatures import signature, tensor

_ARRAYS: Mapping[str, Any] = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "int64": np.arange(4, dtype=np.int64),
    "uint8": np.arange(8, dtype=np.uint8).reshape(2, 2, 2),
    "bool": np.array([True, False]),
    "float16": np.array(1.5, np.float16),
    "string": np.array(["a", "\u00e9\u00e9", ""]),
}
FILES = signature(*(tensor(name, name, None, optional=True) for name in DTYPES))


def _saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _archive(*, is_deflated: bool) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if is_deflated else np.savez)(file, allow_pickle=False, **_ARRAYS)
    return file.getvalue()


def _check_fit(feed: Mapping[str, Any]) -> None:
    for name, array in feed.items():
        if array.dtype != DTYPES[name].numpy:
            raise BrokenPromiseError(f"{name} is of {array.dtype}")


_NPY_TOKENS = (
    *(b"'descr'", b"'fortran_order'", b"'shape'", b"True", b"False", b"(", b")", b",", b"'<f4'", b"'>f8'", b"'|O'"),
    *(b"'<U4'", b"'|S3'", b"'|b1'", b"'<U999999999'", b"'<U0'", b"(0,)", b"(4611686018427387904, 0)", b"(2, 3)", b"{"),
    *(b"}", b"\n", b"[('a', '<f4')]", b"99999999999999999999", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00", b"-1"),
)


def make_npy() -> Made:
    """One tensor as numpy saves it, for an input of each type in turn."""
    seeds = [_saved(array) for array in _ARRAYS.values()]
    seeds += [_saved(_ARRAYS["float32"].astype(">f4")), _saved(np.asfortranarray(_ARRAYS["float32"]))]
    seeds += [_saved(np.array([b"ab", b"c"])), _saved(np.empty((0, 2**40), np.float32))]
    names, of_seed = list(DTYPES), [*_ARRAYS, "float32", "float32", "string", "float32"]

    def draw(random: Random) -> bytes:
        place = random.randrange(len(seeds))
        wanted = names.index(of_seed[place]) if random.random() < 0.9 else random.randrange(len(names))
        return bytes([wanted]) + mutate(random, seeds[place], _NPY_TOKENS, seeds)

    def attempt(octets: bytes) -> None:
        if octets:
            spec = FILES.inputs[octets[0] % len(FILES.inputs)]
            files: dict[str, TypedReader] = {spec.name: lambda spec: npy.read_npy(octets[1:], spec)}
            _check_fit(assemble_files(FILES, files, None, []).feed)

    return Made(draw, attempt)


_ZIP_TOKENS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b".npy", b"float32.npy", b"/")


def make_npz() -> Made:
    """A zip of them."""
    seeds = [_archive(is_deflated=False), _archive(is_deflated=True)]

    def draw(random: Random) -> bytes:
        return mutate(random, random.choice(seeds), _ZIP_TOKENS, seeds)

    def attempt(octets: bytes) -> None:
        _check_fit(assemble_files(FILES, npz.read_npz(octets), None, []).feed)

    return Made(draw, attempt)


_SAFE_TOKENS = (
    *(
        b'"dtype"',
        b'"shape"',
        b'"data_offsets"',
        b'"F32"',
        b'"BF16"',
        b'"F4"',
        b'"U8"',
        b"[0,0]",
        b"[]",
        b"{}",
        b"null",
    ),
    *(b'"__metadata__":{}', b"-1", b"1e3", b"9223372036854775807", b"18446744073709551616", b"[0,4]", b"[4,0]", b","),
)


def make_safetensors() -> Made:
    """Tensors as Hugging Face saves them; mutants of the header get a length that is right, mostly."""
    seeds = [
        safetensors.write_safetensors([(tensor(name, name, None), _ARRAYS[name]) for name in names])
        for names in (["float32"], ["int64", "uint8"], ["bool", "float16", "float32"], [])
    ]

    def draw(random: Random) -> bytes:
        seed = random.choice(seeds)
        size = int.from_bytes(seed[:8], "little")
        if random.random() < 0.3:
            return mutate(random, seed, _SAFE_TOKENS, seeds)
        header = mutate(random, seed[8 : 8 + size], _SAFE_TOKENS)
        return struct.pack("<Q", len(header)) + header + seed[8 + size :]

    def attempt(octets: bytes) -> None:
        _check_fit(assemble_files(FILES, safetensors.read_safetensors(octets), None, []).feed)

    return Made(draw, attempt)


def make_raw() -> Made:
    """Raw tensors: a byte says of which type, one the rank, eight each a size, and then come the elements."""
    names = [name for name in DTYPES if SPELLINGS[name].open_inference is not None]

    def draw(random: Random) -> bytes:
        place, rank = random.randrange(len(names)), random.choice((0, 1, 1, 2, 3, 40))
        sizes = [random.choice((0, 1, 2, 3, number(random))) for _ in range(rank)]
        count = min(int(np.prod([float(size) for size in sizes])), 64)
        width = DTYPES[names[place]].numpy.itemsize
        data = (
            b"".join(struct.pack("<I", size) + random.randbytes(size) for size in random.choices(range(5), k=count))
            if names[place] == "string"
            else random.randbytes(count * width)
        )
        if random.random() < 0.4:
            data = mutate(random, data)
        return bytes([place, rank]) + b"".join(size.to_bytes(8, "little") for size in sizes) + data

    def attempt(octets: bytes) -> None:
        if len(octets) > 1:
            dtype, rank = DTYPES[names[octets[0] % len(names)]], octets[1]
            head = octets[2 : 2 + 8 * rank]
            shape = tuple(int.from_bytes(head[place : place + 8], "little") for place in range(0, len(head), 8))
            array = read_raw(dtype, memoryview(octets)[2 + 8 * rank :], shape)
            if (array.dtype, array.shape) != (dtype.numpy, shape):
                raise BrokenPromiseError(f"{array.dtype}{array.shape} is not {dtype.name}{shape}")

    return Made(draw, attempt)


# --- gRPC -------------------------------------------------------------------------------------------------------------

_REQUEST = message_class("ModelInferRequest")


def _infer_requests() -> list[bytes]:
    """Return two right requests for each signature: with typed contents where there are such, and with raw ones."""
    made = []
    for what in SIGNATURES:
        request = _REQUEST(model_name="m", model_version="7", id="mine")
        for spec in what.inputs:
            _add_typed(request, spec)
        for spec in what.outputs:
            request.outputs.add(name=spec.name)
        made.append(request.SerializeToString())
        for item in request.inputs:
            item.ClearField("contents")
        request.raw_input_contents.extend(
            b"\1\0\0\0a" if spec.dtype.kind == "O" else bytes(spec.dtype.numpy.itemsize) for spec in what.inputs
        )
        made.append(request.SerializeToString())
    return made


def _add_typed(request: Any, spec: TensorSpec) -> None:
    spelling = SPELLINGS[spec.dtype.name]
    shape = [1] * len(spec.shape or ())
    item = request.inputs.add(name=spec.name, datatype=spelling.open_inference or "FP32", shape=shape)
    item.parameters["priority"].int64_param = 1
    if spelling.grpc_contents is not None:
        getattr(item.contents, spelling.grpc_contents).append(b"a" if spec.dtype.kind == "O" else 1)


def make_grpc() -> Made:
    """The bytes of a ModelInferRequest; what the library reads must have the same outline."""
    seeds = _infer_requests()
    words = [Words(version_of(what)) for what in SIGNATURES]

    def draw(random: Random) -> bytes:
        place = random.randrange(len(words))
        octets = seeds[2 * place + random.randrange(2)] if random.random() < 0.8 else random.choice(seeds)
        for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
            octets = messages.change(random, octets, seeds)
        return bytes([place]) + octets

    def attempt(octets: bytes) -> None:
        if not octets:
            return
        message = octets[1:]
        outline = read_outline(message)
        try:
            request = read_request(words[octets[0] % len(words)], outline)
        finally:
            _check_outline(message, outline)
        if not request.feed.keys() <= words[octets[0] % len(words)].inputs.keys():
            raise BrokenPromiseError(f"it was taken with {list(request.feed)}")

    return Made(draw, attempt)


def _check_outline(message: bytes, outline: Any) -> None:
    try:
        parsed = _REQUEST.FromString(message)
    except DecodeError:
        return
    found = (outline.model_name, outline.model_version, outline.id, [bytes(raw) for raw in outline.raw])
    if found != (parsed.model_name, parsed.model_version, parsed.id, list(parsed.raw_input_contents)):
        raise BrokenPromiseError(f"the outline is {found}, the message {parsed}")


# --- compressed bodies ------------------------------------------------------------------------------------------------

_CAP = 256 * 1024


def _packers() -> list[Callable[[bytes], bytes]]:
    return [gzip.compress, zlib.compress, lambda octets: zlib.compress(octets, wbits=-15), bytes]


def make_inflate() -> Made:
    """Bodies that say that they are gzip or deflate."""
    packers = _packers()
    plains = [b"", b'{"inputs": [[1, 2, 3, 4]]}', bytes(_CAP), bytes(_CAP + 1), bytes(8 << 20), bytes(range(256)) * 64]
    packed = [pack(plain) for pack in packers[:3] for plain in plains]

    def draw(random: Random) -> bytes:
        octets = random.choice(packed)
        if random.random() < 0.2:
            octets += random.choice(packed)
        return mutate(random, octets, (b"\x1f\x8b\x08", b"\x78\x9c"), packed) if random.random() < 0.9 else octets

    def attempt(octets: bytes) -> None:
        plain = inflate(octets, _CAP)
        if len(plain) > _CAP:
            raise BrokenPromiseError(f"{len(plain)} bytes came out")

    return Made(draw, attempt)


TARGETS = (
    Target(name="npy", make=make_npy),
    Target(name="npz", make=make_npz),
    Target(name="safetensors", make=make_safetensors),
    Target(name="raw", make=make_raw, share=0.5, allowed=(BytesDoNotFit,)),
    Target(name="grpc", make=make_grpc, share=1.5),
    Target(name="inflate", make=make_inflate, share=0.5),
)
