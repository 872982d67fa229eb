"""What the S3 store does beyond the contract: where and how it puts, how old things are, and who may remove them."""

import base64
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_store.s3.bucket import Bucket
from model_store.s3.client import S3Client
from model_store.s3.store import S3Store
from registry.errors import StorageUnavailable
from tests.support.artifacts import digest_of_bytes, put_bytes
from tests.support.s3_server import BUCKET, S3Server, new_prefix

CONTENT = b"a model's bytes " * 100
DIGEST = digest_of_bytes(CONTENT)
KEY = f"sha256/{DIGEST.hex[:2]}/{DIGEST.hex[2:4]}/{DIGEST.hex}"

PART_BYTES = 5 * 1024 * 1024
LARGE = bytes(range(256)) * (2 * PART_BYTES // 256) + b"and a last, short part"

TOMORROW = timedelta(days=1)


@pytest.fixture
def prefix() -> str:
    return new_prefix()


@pytest.fixture
def server(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    s3_server.give_credentials(monkeypatch)
    return s3_server


@pytest.fixture
def store(server: S3Server, prefix: str) -> S3Store:
    return server.store(prefix=prefix, part_bytes=PART_BYTES, under_way=timedelta(0))


def _keys(server: S3Server, prefix: str) -> list[str]:
    listed = server.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [item["Key"].removeprefix(f"{prefix}/") for item in listed]


def _whole(store: S3Store) -> bytes:
    return b"".join(store.stream(DIGEST))


def _in_threads(work: Callable[[int], None], count: int = 8) -> list[Exception]:
    barrier = threading.Barrier(count)
    failures: list[Exception] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except Exception as error:  # noqa: BLE001 - shown by the caller's assertion
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


# --- where and how bytes are put --------------------------------------------------------------------------------------


def test_an_object_lies_under_its_digest_below_the_prefix(
    store: S3Store, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    put_bytes(store, tmp_path, CONTENT)
    assert (_keys(server, prefix), store.locate(DIGEST)) == ([KEY], f"s3://{BUCKET}/{prefix}/{KEY}")


def test_a_bucket_needs_no_prefix() -> None:
    assert S3Store(Bucket(S3Client(), "shared")).locate(DIGEST) == f"s3://shared/{KEY}"


def test_a_large_file_goes_in_parts_and_comes_back_whole(store: S3Store, server: S3Server, tmp_path: Path) -> None:
    digest = put_bytes(store, tmp_path, LARGE)
    head = server.client().head_object(Bucket=BUCKET, Key=store.locate(digest).removeprefix(f"s3://{BUCKET}/"))
    assert head["ETag"].endswith('-3"')
    assert (store.find_size(digest), b"".join(store.stream(digest)) == LARGE) == (len(LARGE), True)
    assert list(store.fragments()) == []


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["at once", "in parts"])
def test_eight_threads_and_one_digest_leave_one_object(
    store: S3Store, server: S3Server, prefix: str, tmp_path: Path, content: bytes
) -> None:
    failures = _in_threads(lambda number: put_bytes(store, tmp_path / str(number), content) and None)
    objects = [key for key in _keys(server, prefix) if key.startswith("sha256/")]
    assert (failures, len(objects), list(store.fragments())) == ([], 1, [])
    assert b"".join(store.stream(digest_of_bytes(content))) == content


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (CONTENT, "storing the file failed: the artifact store refused it (BadDigest)"),
        (LARGE, "storing the file failed: its bytes have changed since they arrived"),
    ],
    ids=["at once", "in parts"],
)
def test_bytes_never_stand_under_a_digest_that_is_not_theirs(
    store: S3Store, server: S3Server, prefix: str, tmp_path: Path, content: bytes, detail: str
) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        put_bytes(store, tmp_path, content, digest=digest_of_bytes(b"other bytes"))
    assert (caught.value.detail, caught.value.retry_after_seconds) == (detail, 5)
    assert (_keys(server, prefix), list(store.fragments())) == ([], [])


# --- age and removal --------------------------------------------------------------------------------------------------


def test_putting_again_sends_no_bytes_but_renews_the_age(
    store: S3Store, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    put_bytes(store, tmp_path, CONTENT)
    put_bytes(store, tmp_path, CONTENT)
    assert sorted(_keys(server, prefix)) == [f"renewed/{DIGEST.hex}", KEY]
    (blob,) = store.blobs()
    renewed = server.client().head_object(Bucket=BUCKET, Key=f"{prefix}/renewed/{DIGEST.hex}")
    assert blob.modified_at == renewed["LastModified"]


def test_a_removed_object_leaves_nothing_behind(store: S3Store, server: S3Server, prefix: str, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, CONTENT)
    put_bytes(store, tmp_path, CONTENT)
    assert store.discard(DIGEST, modified_before=datetime.now(UTC) + TOMORROW) is True
    assert _keys(server, prefix) == []


def test_a_spared_object_leaves_no_mark(store: S3Store, server: S3Server, prefix: str, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, CONTENT)
    assert store.discard(DIGEST, modified_before=datetime.now(UTC) - TOMORROW) is False
    assert _keys(server, prefix) == [KEY]


def test_nobody_is_told_that_bytes_are_stored_while_somebody_removes_them(
    store: S3Store, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    put_bytes(store, tmp_path, CONTENT)
    mark = f"{prefix}/removing/{DIGEST.hex}/somebody"
    server.client().put_object(Bucket=BUCKET, Key=mark, Body=b"")
    with pytest.raises(StorageUnavailable) as caught:
        put_bytes(store, tmp_path, CONTENT)
    assert caught.value.detail == "storing the file failed: somebody else is storing or removing the same bytes"
    server.client().delete_object(Bucket=BUCKET, Key=mark)
    put_bytes(store, tmp_path, CONTENT)


class BucketWithPause(Bucket):
    """A bucket where something happens right before an object goes, when its age has been looked at."""

    def __init__(self, server: S3Server, prefix: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(S3Client(server.endpoint_url), BUCKET, prefix)
        self._meanwhile = meanwhile

    def remove(self, key: str, *, doing: str) -> None:
        if key == self.object_key(DIGEST):
            self._meanwhile()
        super().remove(key, doing=doing)


def test_a_put_between_the_look_at_the_age_and_the_removal_is_refused(
    store: S3Store, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    refused = []

    def put() -> None:
        with pytest.raises(StorageUnavailable) as caught:
            put_bytes(store, tmp_path, CONTENT)
        refused.append(caught.value.code)

    put_bytes(store, tmp_path, CONTENT)
    sweep = S3Store(BucketWithPause(server, prefix, put))
    assert sweep.discard(DIGEST, modified_before=datetime.now(UTC) + TOMORROW) is True
    assert (refused, _keys(server, prefix)) == (["storage_unavailable"], [])
    put_bytes(store, tmp_path, CONTENT)
    assert _whole(store) == CONTENT


def test_a_second_removal_that_ends_first_lets_nobody_put_before_the_other_has_ended(
    store: S3Store, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    put_bytes(store, tmp_path, CONTENT)
    tomorrow = datetime.now(UTC) + TOMORROW

    def remove_and_put() -> None:
        assert store.discard(DIGEST, modified_before=tomorrow) is True
        with pytest.raises(StorageUnavailable):
            put_bytes(store, tmp_path, CONTENT)

    assert S3Store(BucketWithPause(server, prefix, remove_and_put)).discard(DIGEST, modified_before=tomorrow) is True
    assert _keys(server, prefix) == []


def test_unfinished_uploads_are_fragments_until_they_are_discarded(
    store: S3Store, server: S3Server, prefix: str
) -> None:
    client = server.client()
    upload_id = client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}/{KEY}")["UploadId"]
    for key in (f"uploads/{DIGEST.hex}", f"removing/{DIGEST.hex}/nobody"):
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=CONTENT)
    names = [
        f"{KEY} (multipart upload {upload_id})",
        f"removing/{DIGEST.hex}/nobody",
        f"uploads/{DIGEST.hex}",
    ]
    assert sorted(server.store(prefix=prefix).fragments()) == []  # young ones may be under way
    assert sorted(store.fragments()) == sorted(names)
    assert store.discard_fragments(modified_before=datetime.now(UTC) - TOMORROW) == []
    assert sorted(store.discard_fragments(modified_before=datetime.now(UTC) + TOMORROW)) == sorted(names)
    assert (list(store.fragments()), _keys(server, prefix)) == ([], [])


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_a_gateway_on_a_folder_never_imports_boto3() -> None:
    script = (
        "import sys; import gateway.app, gateway.wiring, model_store.s3.store, model_store.s3.foreign; "
        "print(sorted({'boto3', 'botocore', 'urllib3'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


_STORE_AND_READ = """
import hashlib, resource, sys
from pathlib import Path
from model_store.s3.bucket import Bucket
from model_store.s3.client import S3Client
from model_store.s3.store import S3Store
from registry.artifact import Digest

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

store = S3Store(Bucket(S3Client(sys.argv[1]), sys.argv[2], sys.argv[3]))
store.find_size(Digest("0" * 64))  # boto3 and what it needs are there now
before = peak()
store.put(Digest(sys.argv[4]), Path(sys.argv[5]))
stored = peak()
sha256 = hashlib.sha256()
for chunk in store.stream(Digest(sys.argv[4])):
    sha256.update(chunk)
print(sha256.hexdigest(), stored - before, peak() - stored)
"""


def test_storing_and_reading_a_large_file_takes_little_memory(server: S3Server, prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    sha256 = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(200):
            chunk = base64.b64encode(hashlib.sha256(str(number).encode()).digest()) * 23832  # 1 MiB
            sha256.update(chunk)
            file.write(chunk)
    command = [
        sys.executable,
        "-c",
        _STORE_AND_READ,
        server.endpoint_url,
        BUCKET,
        prefix,
        sha256.hexdigest(),
        str(path),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    digest, storing_kib, reading_kib = run.stdout.split()
    assert digest == sha256.hexdigest()
    assert int(storing_kib) < 64 * 1024
    assert int(reading_kib) < 16 * 1024
