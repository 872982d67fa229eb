"""Files of tensors that are hostile, or nearly right."""

import io
import pickle  # noqa: TID251 - to be refused
import struct
import zipfile
from collections.abc import Callable
from time import process_time

import numpy as np
import pytest

from gateway.codec.npy import read_npy, write_npy
from gateway.codec.npz import read_npz
from gateway.codec.raw_tensors import BytesDoNotFit
from gateway.codec.safetensors import is_quick, read_safetensors
from gateway.codec.tensor_files import output_faults
from registry.errors import BodyTooLarge, MalformedTensors, NotAcceptable, TooManyElements
from registry.signature import Signature
from registry.tensor import DTYPES
from tests.support.signatures import tensor

FLOATS = tensor("x", "float32", None)
TEXTS = tensor("x", "string", None)


def npy(descr: str = "'<f4'", shape: str = "(2,)", data: bytes = bytes(8), fortran: str = "False") -> bytes:
    return npy_of(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n", data)


def npy_of(header: str, data: bytes = bytes(8), version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin-1") + data


def npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def safe(header: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + data


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_npy_is_read(version: int) -> None:
    file = npy_of("{'shape': (2,), \"descr\": '<f4', 'fortran_order': False}", bytes(8), version)
    assert read_npy(file, FLOATS).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(b"", id="empty"),
        pytest.param(pickle.dumps([1]), id="a pickle"),
        pytest.param(npy()[:9], id="cut in the length"),
        pytest.param(npy()[:40], id="cut in the header"),
        pytest.param(npy_of("x" * 5000), id="a long header"),
        pytest.param(npy_of("", version=4), id="version 4"),
        pytest.param(npy("[('a', '<f4')]"), id="records"),
        pytest.param(npy(shape="(-1,)"), id="a negative size"),
        pytest.param(npy(shape="(True,)"), id="a size that is no number"),
        pytest.param(npy(shape="(2)"), id="a shape that is no tuple"),
        pytest.param(npy(shape="(,)"), id="a comma alone"),
        pytest.param(npy(shape="(1" + "0" * 30 + ",)"), id="a size beyond 64 bits"),
        pytest.param(npy(shape="(" + "1," * 33 + ")"), id="33 dimensions"),
        pytest.param(npy(fortran="1"), id="an order that is no bool"),
        pytest.param(npy_of("{'descr': '<f4', 'descr': '<f8', 'shape': (2,)}"), id="a key twice"),
        pytest.param(npy_of("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}"), id="code"),
        pytest.param(npy_of("(" * 4000), id="deep"),
    ],
)
def test_what_is_no_npy_is_refused(file: bytes) -> None:
    with pytest.raises(MalformedTensors):
        read_npy(file, FLOATS)


@pytest.mark.parametrize(
    ("file", "received", "code"),
    [
        (npy("'|O'", data=pickle.dumps([1])), "Python's objects", "invalid_dtype"),
        (npy("'<c8'"), "the dtype '<c8'", "invalid_dtype"),
        (npy("'<f8'"), "one of float64", "invalid_dtype"),
        (npy("'<U1'"), "one of string", "invalid_dtype"),
        (npy(data=bytes(7)), "7 bytes", "invalid_shape"),
        (npy(data=bytes(9)), "9 bytes", "invalid_shape"),
        (npy("'>f4'", data=bytes(7)), "7 bytes", "invalid_shape"),
        (npy(shape="(0, 4611686018427387904)", data=b""), "[0, 4611686018427387904]", "invalid_shape"),
    ],
)
def test_a_tensor_that_does_not_fit_is_told_so(file: bytes, received: str, code: str) -> None:
    with pytest.raises(BytesDoNotFit) as caught:
        read_npy(file, FLOATS)
    assert (caught.value.received, caught.value.code) == (received, code)


def test_no_memory_is_taken_for_elements_that_a_request_may_not_bring() -> None:
    with pytest.raises(TooManyElements):
        read_npy(npy("'<U0'", shape="(4611686018427387904,)", data=b""), TEXTS)


def test_bytes_are_taken_as_utf_8() -> None:
    file = io.BytesIO()
    np.save(file, np.array(["ä".encode(), b""]))
    assert read_npy(file.getvalue(), TEXTS).tolist() == ["ä", ""]


@pytest.mark.parametrize(
    "file", [npy("'|S1'", data=b"\xff\xff"), npy("'<U1'", data=b"\xff" * 8), npy("'<U1'", data=b"\0\xd8\0\0" * 2)]
)
def test_what_is_no_text_is_refused(file: bytes) -> None:
    with pytest.raises(BytesDoNotFit):
        read_npy(file, TEXTS)


def test_a_tensor_begins_where_numpys_own_do() -> None:
    for pad in range(16):
        file = npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}" + " " * pad)
        assert read_npy(file, FLOATS).ctypes.data % 16 == 0


@pytest.mark.parametrize("texts", [["a\0"], ["a" * 10_000, *[""] * 4000]], ids=["ends in NUL", "one long, many short"])
def test_text_that_numpy_cannot_hold_is_not_acceptable(texts: list[str]) -> None:
    with pytest.raises(NotAcceptable):
        write_npy("y", np.array(texts, object))


def twice() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", npy())
        archive.writestr("y.npy", npy())
    return file.getvalue().replace(b"y.npy", b"x.npy")


def lying() -> bytes:
    """Say in both places that the member is shorter than it is."""
    member = npy(data=bytes(80), shape="(20,)")
    return npz({"x.npy": member}).replace(struct.pack("<L", len(member)), struct.pack("<L", len(member) - 8))


def encrypted() -> bytes:
    whole = bytearray(npz({"x.npy": npy()}))
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    return bytes(whole)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: b"", id="empty"),
        pytest.param(lambda: npz({"x.npy": npy()}) + b"!", id="something follows"),
        pytest.param(lambda: npz({"x.npy": npy()})[10:], id="cut"),
        pytest.param(lambda: npz({"x.pkl": pickle.dumps(1)}), id="a pickle in it"),
        pytest.param(lambda: npz({"x.npy": pickle.dumps(1)}), id="a pickle with another name"),
        pytest.param(lambda: npz({"x.npy": npy()}, zipfile.ZIP_LZMA), id="another method"),
        pytest.param(lambda: npz({f"{i}.npy": b"" for i in range(6000)}), id="many members"),
        pytest.param(twice, id="a name twice"),
        pytest.param(lying, id="a length that is a lie"),
        pytest.param(encrypted, id="encrypted"),
    ],
)
def test_what_is_no_npz_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(MalformedTensors):
        read_npz(make())["x"](FLOATS)


def test_a_bomb_is_refused_by_what_it_says_before_it_is_inflated() -> None:
    with pytest.raises(BodyTooLarge):
        read_npz(npz({"x.npy": bytes(40 * 1024 * 1024)}))


X = '"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'


@pytest.mark.parametrize(
    ("header", "size"),
    [
        pytest.param("", 0, id="empty"),
        pytest.param("[]", 0, id="no object"),
        pytest.param("[" * 100_000, 0, id="deep"),
        pytest.param(f"{{{X}, {X}}}", 8, id="a name twice"),
        pytest.param(f"{{{X}}}", 9, id="something follows"),
        pytest.param(f"{{{X}}}", 7, id="cut"),
        pytest.param(f"{{{X}, {X.replace('x', 'y')}}}", 8, id="overlapping"),
        pytest.param(f"{{{X}, {X.replace('x', 'y').replace('[0, 8]', '[12, 20]')}}}", 20, id="a hole"),
        pytest.param(f"{{{X.replace('[2]', '[-2]')}}}", 8, id="a negative size"),
        pytest.param(f"{{{X.replace('[2]', '[' + '1,' * 100_000 + '2]')}}}", 8, id="many dimensions"),
        pytest.param(f"{{{X.replace('[2]', '[2.0]')}}}", 8, id="a size that is no integer"),
        pytest.param(f'{{{X}, "__metadata__": {{"a": 1}}}}', 8, id="metadata that is no text"),
        pytest.param(" " * 300_000 + f"{{{X}}}", 8, id="a long header"),
    ],
)  # fmt: skip
def test_what_is_no_safetensors_is_refused(header: str, size: int) -> None:
    with pytest.raises(MalformedTensors):
        read_safetensors(safe(header, bytes(size)))


@pytest.mark.parametrize("length", [0, 7, 8])
def test_a_file_that_ends_before_its_header_is_none(length: int) -> None:
    with pytest.raises(MalformedTensors):
        read_safetensors(b"\xff" * length)


@pytest.mark.parametrize("dtype", ["string", "int4", "float4_e2m1fn"])
def test_types_without_a_word_in_safetensors_are_told_so(dtype: str) -> None:
    with pytest.raises(BytesDoNotFit) as caught:
        read_safetensors(safe(f"{{{X}}}", bytes(8)))["x"](tensor("x", dtype, None))
    assert caught.value.code == "unsupported_on_this_wire"


@pytest.mark.parametrize("dtype", [name for name, known in DTYPES.items() if known.is_foreign])
def test_types_that_numpy_lacks_have_no_word_in_npy(dtype: str) -> None:
    with pytest.raises(BytesDoNotFit) as caught:
        read_npy(npy("'<V2'", data=bytes(4)), tensor("x", dtype, None))
    assert caught.value.code == "unsupported_on_this_wire"


def test_texts_without_room_for_a_character_are_refused_where_there_are_any() -> None:
    with pytest.raises(BytesDoNotFit):
        read_npy(npy("'<U0'", shape="(4000000,)", data=b""), TEXTS)


def test_no_texts_need_no_room() -> None:
    assert read_npy(npy("'<U0'", shape="(0, 3)", data=b""), TEXTS).shape == (0, 3)


def test_an_archive_with_a_second_list_of_members_is_refused() -> None:
    first = npz({"x.npy": npy()})
    names, end = first[:-22], first[-22:]
    size, begin = struct.unpack_from("<LL", end, 12)
    more = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, begin)
    where = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(names), 1)
    with pytest.raises(MalformedTensors, match="too many members"):
        read_npz(names + more + where + end)


def test_many_outputs_are_looked_at_once_each() -> None:
    started = process_time()
    output_faults(Signature(inputs=(FLOATS,), outputs=(FLOATS,)), [str(number) for number in range(16_000)])
    assert process_time() - started < 0.1


def test_a_long_header_of_safetensors_is_read_elsewhere() -> None:
    assert [is_quick(struct.pack("<Q", size) + b" " * size) for size in (100, 100_000)] == [True, False]
