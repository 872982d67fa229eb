"""Bytes known by their digest, and the files that together are one version's artifact."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from registry.errors import InvalidArtifact, InvalidRequest
from registry.names import quoted

MODEL_FILE = "model.onnx"
"""What the file of a one-file artifact is called, whatever it was called by whoever sent it."""

MAX_FILES = 64

_HEX = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256, written ``sha256:`` and 64 lower-case hexadecimal digits."""

    hex: str

    def __str__(self) -> str:
        """The form that travels."""
        return f"sha256:{self.hex}"


def parse_digest(text: str) -> Digest:
    """Parse ``sha256:<hex>`` or the bare 64 hexadecimal digits.

    Raises:
        InvalidRequest: it is neither.
    """
    bare = text.removeprefix("sha256:").lower()
    if _HEX.fullmatch(bare) is None:
        raise InvalidRequest(f"{quoted(text)} is not a digest: write sha256: and 64 hexadecimal digits")
    return Digest(bare)


def parse_file_name(text: str) -> str:
    """Return ``text`` if it can be a file's name: one path component, no leading dot.

    Raises:
        InvalidArtifact: ``invalid_file_name``.
    """
    if _FILE_NAME.fullmatch(text) is None:
        raise InvalidArtifact(
            "invalid_file_name",
            f"{quoted(text)} cannot be a file's name: use one path component of A-Z, a-z, 0-9, '.', '_' and '-'",
        )
    return text


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ArtifactFile:
    """One file of an artifact: the name that the graph knows it by, and its bytes' digest."""

    name: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The files of one version, the graph first, the others by name."""

    digest: Digest
    files: tuple[ArtifactFile, ...]

    @property
    def graph(self) -> ArtifactFile:
        """The ``.onnx`` file."""
        return self.files[0]

    @property
    def size_bytes(self) -> int:
        """The bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


def make_artifact(files: Mapping[str, tuple[Digest, int]]) -> Artifact:
    """Assemble files (name -> digest and size) into an artifact and compute its digest.

    The digest of one file alone is the file's own, whatever its name. The digest of several is the SHA-256 of the lines
    ``<hex> <name>`` in the order of the names.

    Raises:
        InvalidArtifact: ``invalid_file_name`` for a bad name; ``invalid_files`` if there is not exactly one ``.onnx``
            file, or more than 64 files.
    """
    graphs = [parse_file_name(name) for name in files if name.endswith(".onnx")]
    if len(graphs) != 1 or len(files) > MAX_FILES:
        raise InvalidArtifact(
            "invalid_files", f"a version has exactly one .onnx file and at most {MAX_FILES} files in all"
        )
    if len(files) == 1:
        digest, size_bytes = files[graphs[0]]
        return Artifact(digest=digest, files=(ArtifactFile(name=MODEL_FILE, digest=digest, size_bytes=size_bytes),))
    rest = sorted(parse_file_name(name) for name in files if name != graphs[0])
    ordered = tuple(
        ArtifactFile(name=name, digest=files[name][0], size_bytes=files[name][1]) for name in (graphs[0], *rest)
    )
    lines = "".join(f"{file.digest.hex} {file.name}\n" for file in sorted(ordered, key=lambda file: file.name))
    return Artifact(digest=Digest(hashlib.sha256(lines.encode()).hexdigest()), files=ordered)
