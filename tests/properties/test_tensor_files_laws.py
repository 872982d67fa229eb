"""Files of tensors: what goes in comes out bit for bit, and any bytes at all give tensors or a caller's error."""

import io
import struct
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec import npy, npz
from gateway.codec import safetensors as own
from gateway.codec.body import Array
from gateway.codec.raw_tensors import BytesDoNotFit
from gateway.codec.tensor_files import assemble_files
from registry.errors import CallerError
from registry.tensor import DTYPES, TensorSpec
from tests.support.signatures import signature, tensor

NUMBERS = [name for name, dtype in DTYPES.items() if dtype.kind in "fiu" and dtype.numpy.isbuiltin == 1]
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda text: not text.endswith("\0"))

Named = tuple[TensorSpec, Array]


@st.composite
def arrays(draw: st.DrawFn, names: list[str]) -> Named:
    """Random bits of a dtype, in a random shape: NaN payloads, subnormals and -0.0 among them."""
    name, shape = draw(st.sampled_from(names)), draw(SHAPES)
    spec = tensor("x", name, None)
    count = int(np.prod(shape, dtype=int))
    if name == "string":
        texts = np.empty(count, object)
        texts[:] = draw(st.lists(TEXTS, min_size=count, max_size=count))
        return spec, texts.reshape(shape)
    size = count * spec.dtype.numpy.itemsize
    octets = draw(st.binary(min_size=size, max_size=size))
    if name == "bool":
        octets = bytes(octet & 1 for octet in octets)
    return spec, np.frombuffer(octets, np.uint8).view(spec.dtype.numpy).reshape(shape)


def saved(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def bits(array: Array) -> Any:
    content = array.tolist() if array.dtype.kind == "O" else array.tobytes()
    return array.dtype.name, array.shape, content


@given(arrays([*NUMBERS, "bool", "string"]))
def test_npy_carries_every_bit(given_: Named) -> None:
    spec, array = given_
    assert bits(npy.read_npy(b"".join(npy.write_npy("x", array)), spec)) == bits(array)


@given(given_=arrays([*NUMBERS, "bool"]), order=st.sampled_from("<>"), is_fortran=st.booleans())
def test_what_numpy_saves_in_any_order_is_read(given_: Named, order: str, *, is_fortran: bool) -> None:
    spec, array = given_
    turned = array.byteswap().view(array.dtype.newbyteorder()) if order == ">" else array
    assert bits(npy.read_npy(saved(turned.copy(order="F" if is_fortran else "C")), spec)) == bits(array)


@given(arrays([*NUMBERS, "bool", "string"]))
def test_numpy_reads_what_is_written(given_: Named) -> None:
    _, array = given_
    loaded = np.load(io.BytesIO(b"".join(npy.write_npy("x", array))), allow_pickle=False)
    assert bits(loaded.astype(array.dtype) if array.dtype.kind == "O" else loaded) == bits(array)


@given(given_=arrays([*NUMBERS, "bool", "string"]), is_deflated=st.booleans())
def test_npz_carries_every_bit(given_: Named, *, is_deflated: bool) -> None:
    spec, array = given_
    file = io.BytesIO()
    text = array.astype("U") if array.dtype.kind == "O" else array
    (np.savez_compressed if is_deflated else np.savez)(file, **{"a/b": text})
    assert bits(npz.read_npz(file.getvalue())["a/b"](spec)) == bits(array)


@given(arrays([*NUMBERS, "bool", "string"]))
def test_numpy_reads_the_archives_that_are_written(given_: Named) -> None:
    _, array = given_
    loaded = np.load(io.BytesIO(npz.write_npz([("x", array)])), allow_pickle=False)["x"]
    assert bits(loaded.astype(array.dtype) if array.dtype.kind == "O" else loaded) == bits(array)


@given(st.lists(arrays(list(own.SPELLINGS)), max_size=4))
def test_safetensors_carries_every_bit(named: list[Named]) -> None:
    outputs = [(tensor(f"{place}", spec.dtype.name, None), array) for place, (spec, array) in enumerate(named)]
    read = own.read_safetensors(own.write_safetensors(outputs))
    assert {spec.name: bits(read[spec.name](spec)) for spec, _ in outputs} == {
        spec.name: bits(array) for spec, array in outputs
    }


@given(st.lists(arrays(list(own.SPELLINGS)), max_size=4))
def test_the_library_reads_what_is_written(named: list[Named]) -> None:
    outputs = [(tensor(f"{place}", spec.dtype.name, None), array) for place, (spec, array) in enumerate(named)]
    read = dict(safetensors.deserialize(own.write_safetensors(outputs)))
    assert {name: (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"])) for name, entry in read.items()} == {
        spec.name: (own.SPELLINGS[spec.dtype.name], array.shape, array.tobytes()) for spec, array in outputs
    }


GOOD = np.arange(6, dtype=np.float32).reshape(2, 3)
SIGNATURE = signature(tensor("x", "float32", ("n", 3)))
SPEC = SIGNATURE.inputs[0]


def good_npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=GOOD)
    return file.getvalue()


GOOD_FILES = {"npy": saved(GOOD), "npz": good_npz(), "safetensors": safetensors.numpy.save({"x": GOOD})}


def decode(kind: str, body: bytes) -> dict[str, Array]:
    if kind == "npy":
        files = {"x": lambda spec: npy.read_npy(body, spec)}
    else:
        files = npz.read_npz(body) if kind == "npz" else own.read_safetensors(body)  # type: ignore[assignment]
    return assemble_files(SIGNATURE, files, None, []).feed


@pytest.mark.parametrize("kind", GOOD_FILES)
@given(st.binary(max_size=300))
def test_any_bytes_give_tensors_or_a_callers_error(kind: str, body: bytes) -> None:
    for whole in (body, GOOD_FILES[kind][:12] + body):
        try:
            decode(kind, whole)
        except CallerError:
            continue


@pytest.mark.parametrize("kind", GOOD_FILES)
@settings(max_examples=400)
@given(st.data())
def test_a_damaged_file_gives_tensors_that_fit_or_a_callers_error(kind: str, data: st.DataObject) -> None:
    body = bytearray(GOOD_FILES[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        feed = decode(kind, bytes(body))
    except CallerError:
        return
    assert {name: (array.dtype, array.ndim) for name, array in feed.items()} == {"x": (GOOD.dtype, 2)}


@settings(max_examples=400)
@given(st.data())
def test_what_the_library_refuses_is_refused(data: st.DataObject) -> None:
    header = data.draw(
        st.dictionaries(
            st.sampled_from("xyz"),
            st.fixed_dictionaries(
                {
                    "dtype": st.sampled_from(["F32", "U8", "F4", "what"]),
                    "shape": st.lists(st.integers(-1, 3), max_size=3),
                    "data_offsets": st.lists(st.integers(0, 12), min_size=1, max_size=3),
                }
            ),
            max_size=3,
        )
    )
    text = repr(header).replace("'", '"').encode()
    body = struct.pack("<Q", len(text)) + text + bytes(data.draw(st.integers(0, 24)))
    try:
        for name, read in own.read_safetensors(body).items():
            dtypes = [known for known, spelling in own.SPELLINGS.items() if spelling == header[name]["dtype"]]
            read(tensor(name, dtypes[0] if dtypes else "float32", None))
    except (CallerError, BytesDoNotFit):
        return
    safetensors.deserialize(body)
