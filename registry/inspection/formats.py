"""What a file is by its first bytes, so that nobody waits for a parser to say that an archive is not a model.

Only a hint for honest mistakes: what gets past it is still held against every rule of the format.
"""

import re
from pathlib import Path
from typing import Final

from registry.errors import BodyTooLarge, InvalidArtifact, UnsupportedFormat
from registry.inspection.limits import WireLimits

HEAD_BYTES: Final = 512

_UNPACK = "unpack it and send the .onnx file itself"
_EXPORT = "export the model to ONNX and send the .onnx file"

_SIGNS: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), what, advice)
    for pattern, what, advice in (
        (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "a zip archive (perhaps a PyTorch, Keras or .npz file)", _EXPORT),
        (rb"\x1f\x8b", "gzip data", _UNPACK),
        (rb"BZh[1-9]", "bzip2 data", _UNPACK),
        (rb"\xfd7zXZ\x00", "xz data", _UNPACK),
        (rb"\x28\xb5\x2f\xfd", "zstd data", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
        (rb"Rar!\x1a\x07", "a rar archive", _UNPACK),
        (rb".{257}ustar", "a tar archive", _UNPACK),
        (rb"\x80[\x02-\x05](?:[\x95}\]c(\x8a]|$)", "a Python pickle (perhaps a PyTorch or joblib file)", _EXPORT),
        (rb".{4}ORTM", "a model in ONNX Runtime's own .ort format", "send the .onnx file that it was made from"),
        (rb".{4}TFL3", "a TensorFlow Lite model", _EXPORT),
        (rb"\x89HDF\r\n\x1a\n", "an HDF5 file (perhaps a Keras model)", _EXPORT),
        (rb".{8}\{\s*\"", "a safetensors file", _EXPORT),
        (rb"GGUF", "a GGUF file", _EXPORT),
        (rb"\x93NUMPY", "a numpy array", "send the .onnx file"),
        (rb"(?:\x7fELF|MZ)", "a program", "send the .onnx file"),
        (rb"%PDF-", "a PDF document", "send the .onnx file"),
        (rb"version https://git-lfs", "a Git LFS pointer, not the file that it points to", "run git lfs pull first"),
        (rb"\s*<(?:!DOCTYPE|html|\?xml)", "a web page or XML", "download the .onnx file itself and send that"),
        (rb"\s*\{\s*[\"}]", "JSON", "send the bytes of the .onnx file"),
    )
)


def check_format(path: Path, limits: WireLimits) -> None:
    """Refuse a file that is evidently no ONNX model, by its size and its first bytes.

    Raises:
        InvalidArtifact: ``invalid_model`` for an empty file.
        BodyTooLarge: it is larger than an ONNX file can be.
        UnsupportedFormat: it looks like something else; the message says like what, and what to send instead.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size_bytes = file.seek(0, 2)
    if not head:
        raise InvalidArtifact("invalid_model", "the file is empty")
    if size_bytes > limits.size_bytes:
        raise BodyTooLarge(f"an ONNX file has at most {limits.size_bytes} bytes: keep the weights in external data")
    for pattern, what, advice in _SIGNS:
        if pattern.match(head):
            raise UnsupportedFormat(f"the file looks like {what}, not like an ONNX model: {advice}")
