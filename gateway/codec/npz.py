"""Tensors by name as ``numpy.savez`` and ``savez_compressed`` write them: a zip of ``name.npy``.

1. How many members there are and what they are together, inflated, is checked against what the archive itself says
   before anything is inflated; nothing is inflated beyond what it says, and what it says must be true.
2. A name is the name of an input, slashes and all, never a path: nothing is written anywhere.
3. Members that no input is called after are not read.
"""

import struct
import zlib
from collections.abc import Iterable
from functools import partial
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from gateway.codec.body import Array
from gateway.codec.npy import is_spelled, read_npy, write_npy
from gateway.codec.tensor_files import MAX_TENSOR_BYTES, TypedReader
from registry.errors import BodyTooLarge, MalformedTensors, NotAcceptable
from registry.names import quoted
from registry.tensor import TensorSpec

__all__ = ["is_spelled", "read_npz", "write_npz"]

_SUFFIX = ".npy"
_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_OTHER_END_MAGIC = b"PK\x06\x07"
_OTHER_END_BYTES = 20
"""Of ZIP64, whose list of members may be somewhere else and longer: numpy needs it from 2 GiB on."""

_MAX_DIRECTORY_BYTES = 256 * 1024
"""Of the list of members: a thousand with long names, which takes milliseconds to read."""

_ENCRYPTED = 0x1
_DAMAGE = (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error)
"""What zipfile says of an archive that is none, or that needs what nobody here has."""


def read_npz(body: bytes) -> dict[str, TypedReader]:
    """Return what reads each tensor of an archive, by its name.

    Raises:
        MalformedTensors: it is no such archive.
        BodyTooLarge: its tensors are larger than those of a request may be.
    """
    _check_end(body)
    try:
        archive = ZipFile(BytesIO(body))
    except _DAMAGE as error:
        raise MalformedTensors("this is no npz file: numpy.savez writes them") from error
    members: dict[str, ZipInfo] = {}
    for info in archive.infolist():
        name = _name(info)
        if name in members:
            raise MalformedTensors(f"the npz file names {quoted(name)} twice")
        members[name] = info
    if sum(info.file_size for info in members.values()) > MAX_TENSOR_BYTES:
        raise BodyTooLarge(f"the tensors of a request may have at most {MAX_TENSOR_BYTES} bytes, inflated")
    return {name: partial(_read_member, archive, info) for name, info in members.items()}


def write_npz(outputs: Iterable[tuple[str, Array]]) -> bytes:
    """Return an archive of these outputs, stored and not deflated; the same outputs give the same bytes.

    Raises:
        NotAcceptable, OutputNotText: as ``write_npy``; or an archive has no such name.
    """
    written = BytesIO()
    with ZipFile(written, "w") as archive:
        for name, array in outputs:
            info = ZipInfo(name + _SUFFIX)
            if info.filename != name + _SUFFIX or len(name.encode("utf-8")) + len(_SUFFIX) > 2**16 - 1:
                raise NotAcceptable(f"npz has no name like the output's, {quoted(name)}: ask for JSON")
            head, data = write_npy(name, array)
            with archive.open(info, "w") as member:
                member.write(head)
                member.write(data)
    return written.getvalue()


def _check_end(body: bytes) -> None:
    """Refuse what has no end of an archive where numpy writes it, or a list of members that takes long to read."""
    if len(body) < _END.size:
        raise MalformedTensors("this is no npz file: numpy.savez writes them")
    magic, _, _, _, _, directory_bytes, _, comment_bytes = _END.unpack_from(body, len(body) - _END.size)
    if magic != _END_MAGIC or comment_bytes:
        raise MalformedTensors("this is no npz file, or something follows it: numpy.savez writes them")
    is_zip64 = body[-_OTHER_END_BYTES - _END.size :].startswith(_OTHER_END_MAGIC)
    if directory_bytes > _MAX_DIRECTORY_BYTES or is_zip64:
        raise MalformedTensors("the npz file has too many members")


def _name(info: ZipInfo) -> str:
    if not info.filename.endswith(_SUFFIX):
        raise MalformedTensors(f"the npz file's {quoted(info.filename)} is no npy file: its name must end in .npy")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise MalformedTensors(f"the npz file's {quoted(info.filename)} is neither stored nor deflated")
    return info.filename.removesuffix(_SUFFIX)


def _read_member(archive: ZipFile, info: ZipInfo, spec: TensorSpec) -> Array:
    try:
        with archive.open(info) as member:
            octets = member.read(info.file_size)
            is_whole = len(octets) == info.file_size and not member.read(1)
    except _DAMAGE as error:
        raise MalformedTensors(f"the npz file's {quoted(info.filename)} is damaged") from error
    if not is_whole:
        raise MalformedTensors(f"the npz file's {quoted(info.filename)} is not as long as it says")
    return read_npy(octets, spec)
