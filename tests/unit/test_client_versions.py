from gateway.client import VersionInfo

DOCUMENT = {
    "model": "blend",
    "version": 2,
    "digest": "sha256:" + "0" * 64,
    "signature": {
        "inputs": [
            {"name": "x", "dtype": "float32", "shape": ["batch", 4, None], "optional": False},
            {"name": "h", "dtype": "int64", "shape": [], "optional": True},
        ],
        "outputs": [{"name": "y", "dtype": "string", "shape": None}],
    },
}


def test_a_version_reads_as_its_reference_and_signature() -> None:
    version = VersionInfo(DOCUMENT)

    assert str(version) == "blend:2 (x: float32[batch, 4, ?], h: int64[] = default) -> (y: string[...])"
    assert (version.model, version.version, version.reference) == ("blend", 2, "blend:2")
    assert version.digest == DOCUMENT["digest"]
