"""What is refused by its size or its first bytes."""

import gzip
import io
import pickle  # noqa: TID251 - one is written here, to be refused
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from registry.errors import BodyTooLarge, InvalidArtifact, UnsupportedFormat
from registry.inspection.formats import check_format
from registry.inspection.limits import WireLimits
from tests.support import models


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("model.onnx", models.linear().SerializeToString())
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.onnx"))
    return target.getvalue()


def saved_array() -> bytes:
    target = io.BytesIO()
    np.save(target, np.zeros(3))
    return target.getvalue()


@pytest.mark.parametrize(
    ("octets", "named"),
    [
        pytest.param(zipped(), "zip", id="zip"),
        pytest.param(tarred(), "tar", id="tar"),
        pytest.param(gzip.compress(b"x"), "gzip", id="gzip"),
        pytest.param(pickle.dumps({"a": 1}), "pickle", id="pickle"),
        pytest.param(pickle.dumps([1], protocol=2), "pickle", id="old pickle"),
        pytest.param(b"\x08\x00\x00\x00ORTM" + bytes(64), ".ort", id="the runtime's own format"),
        pytest.param(b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite", id="TensorFlow Lite"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5", id="HDF5"),
        pytest.param(b'\x20\0\0\0\0\0\0\0{"w":{}}', "safetensors", id="safetensors"),
        pytest.param(b"GGUF\3\0\0\0", "GGUF", id="GGUF"),
        pytest.param(saved_array(), "numpy", id="numpy array"),
        pytest.param(b"<!DOCTYPE html><html>", "web page", id="web page"),
        pytest.param(b'{"inputs": []}', "JSON", id="JSON"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull", id="Git LFS pointer"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, octets: bytes, named: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(octets)
    with pytest.raises(UnsupportedFormat) as refused:
        check_format(path, WireLimits())
    assert named in refused.value.detail


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    with pytest.raises(InvalidArtifact) as refused:
        check_format(path, WireLimits())
    assert refused.value.code == "invalid_model"


def test_two_gibibytes_are_too_much(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.write(b"\x08")
        file.truncate(2**31)
    with pytest.raises(BodyTooLarge):
        check_format(path, WireLimits())


def test_a_model_passes(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.linear().SerializeToString())
    check_format(path, WireLimits())
