"""What the S3 store does beyond the contract: against a real server, and against hostile ones."""

import base64
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from model_store.s3.bucket import Bucket
from model_store.s3.client import Patience, S3Client
from model_store.s3.store import S3Store
from registry.errors import ServiceError, StorageUnavailable
from tests.support.artifacts import digest_of_bytes, put_bytes
from tests.support.hostile_server import serving
from tests.support.s3_server import BUCKET, S3Server, new_prefix, running_s3_server

CONTENT = b"a model's bytes " * 100
DIGEST = digest_of_bytes(CONTENT)
KEY = f"sha256/{DIGEST.hex[:2]}/{DIGEST.hex[2:4]}/{DIGEST.hex}"

PART_BYTES = 5 * 1024 * 1024
LARGE = bytes(range(256)) * (2 * PART_BYTES // 256) + b"and a last, short part"
LARGE_DIGEST = digest_of_bytes(LARGE)
LARGE_KEY = f"sha256/{LARGE_DIGEST.hex[:2]}/{LARGE_DIGEST.hex[2:4]}/{LARGE_DIGEST.hex}"

HURRIED = Patience(connect_seconds=0.3, read_seconds=0.3, attempts=1)
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
    assert caught.value.detail == "storing the file failed: somebody else is removing the same bytes"
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


# --- what goes wrong --------------------------------------------------------------------------------------------------


def _attempts(store: S3Store, folder: Path) -> dict[str, Callable[[], Any]]:
    return {
        "storing the file": lambda: put_bytes(store, folder, CONTENT),
        "looking into the artifact store": lambda: store.find_size(DIGEST),
        "reading from the artifact store": lambda: _whole(store),
        "listing the artifact store": lambda: list(store.blobs()),
        "removing a file from the artifact store": lambda: store.discard(DIGEST),
    }


def _refusals(store: S3Store, folder: Path) -> set[tuple[type[ServiceError], str, int | None]]:
    """Try everything, and return in which words it is refused, without what was being done."""
    refusals = set()
    for doing, attempt in _attempts(store, folder).items():
        with pytest.raises(ServiceError) as caught:
            attempt()
        error = caught.value
        assert error.detail.startswith(f"{doing} failed: ")
        refusals.add((type(error), error.detail.removeprefix(f"{doing} failed: "), error.retry_after_seconds))
    return refusals


def test_a_wrong_secret_is_a_store_that_refuses(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert _refusals(store, tmp_path) == {
        (StorageUnavailable, "the artifact store refused it (SignatureDoesNotMatch)", 5),
        (StorageUnavailable, "the artifact store refused it (403)", 5),  # where the answer has no body
    }


def test_no_credentials_are_said_to_be_missing_and_are_looked_for_again(
    store: S3Store, server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert _refusals(store, tmp_path) == {(StorageUnavailable, "there are no credentials for the artifact store", 5)}
    server.give_credentials(monkeypatch)
    assert store.find_size(DIGEST) is None


def test_a_missing_bucket_is_no_empty_store(server: S3Server, tmp_path: Path) -> None:
    store = server.store(bucket="no-such-bucket")
    refused = {name: attempt for name, attempt in _attempts(store, tmp_path).items() if not name.startswith("removing")}
    details = []
    for attempt in refused.values():
        with pytest.raises(StorageUnavailable) as caught:
            attempt()
        details.append(caught.value.detail)
    assert details == [
        "storing the file failed: the artifact store refused it (NoSuchBucket)",
        "looking into the artifact store failed: there is no such bucket",
        "reading from the artifact store failed: the artifact store refused it (NoSuchBucket)",
        "listing the artifact store failed: the artifact store refused it (NoSuchBucket)",
    ]


NO_ANSWER = {(StorageUnavailable, "the artifact store does not answer", 5)}


def test_a_server_that_is_gone_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_s3_server() as gone:
        gone.give_credentials(monkeypatch)
        store = gone.store()
        put_bytes(store, tmp_path, CONTENT)
    assert _refusals(store, tmp_path) == NO_ANSWER


def test_a_server_that_falls_silent_is_waited_for_no_longer_than_is_set(server: S3Server, tmp_path: Path) -> None:
    store = S3Store(Bucket(S3Client(server.endpoint_url, patience=HURRIED), BUCKET, new_prefix()))
    with server.stopped():
        assert _refusals(store, tmp_path) == NO_ANSWER
    put_bytes(store, tmp_path, CONTENT)
    assert _whole(store) == CONTENT


def test_a_server_that_falls_silent_in_mid_answer_cuts_the_download(
    server: S3Server, prefix: str, tmp_path: Path
) -> None:
    content = LARGE * 8  # more than what lies in sockets' buffers
    digest = put_bytes(server.store(prefix=prefix), tmp_path, content)
    store = S3Store(Bucket(S3Client(server.endpoint_url, patience=HURRIED), BUCKET, prefix))
    chunks = store.stream(digest)
    first = next(chunks)
    with server.stopped(), pytest.raises(StorageUnavailable) as caught:
        list(chunks)
    assert content.startswith(first)
    assert caught.value.detail == "reading from the artifact store failed: the artifact store does not answer"


# --- hostile servers --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    with serving(lambda _: None) as (elsewhere, seen_elsewhere):

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            body = b"<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1</Endpoint></Error>"
            handler.send_response(status)
            handler.send_header("location", f"{elsewhere}{handler.path}")
            handler.send_header("x-amz-bucket-region", "eu-west-1")
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)

        with serving(redirect) as (url, seen):
            store = S3Store(Bucket(S3Client(url, patience=HURRIED), BUCKET, "p"))
            refusals = {detail for _, detail, _ in _refusals(store, tmp_path)}
    assert refusals == {
        f"the artifact store refused it ({status})",
        "the artifact store refused it (PermanentRedirect)",
    }
    assert seen_elsewhere == []
    assert sorted(seen) == sorted(
        [
            f"HEAD /{BUCKET}/p/{KEY}",
            f"HEAD /{BUCKET}/p/{KEY}",
            f"GET /{BUCKET}/p/{KEY}",
            f"GET /{BUCKET}?list-type=2&prefix=p%2Frenewed%2F&max-keys=1000&encoding-type=url",
            f"HEAD /{BUCKET}/p/{KEY}",
        ]
    )


@pytest.mark.usefixtures("server")
def test_an_endpoint_that_is_a_web_page_is_no_artifact_store(tmp_path: Path) -> None:
    def show_page(handler: BaseHTTPRequestHandler) -> None:
        body = b"<!doctype html><p>Hello<br>there"
        handler.send_response(200)
        if handler.command == "GET" and "?" not in handler.path:
            handler.send_header("transfer-encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    with serving(show_page) as (url, _):
        store = S3Store(Bucket(S3Client(url, patience=HURRIED), BUCKET))
        assert _refusals(store, tmp_path) == {
            (StorageUnavailable, "what answers is no artifact store", 5),
            (StorageUnavailable, "the artifact store refused it (500)", 5),  # what boto3 makes of a list in HTML
        }


def _head(handler: BaseHTTPRequestHandler, length: int) -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(length))
    handler.end_headers()


def _cut(handler: BaseHTTPRequestHandler) -> None:
    _head(handler, len(CONTENT))
    handler.wfile.write(CONTENT[:100])
    handler.close_connection = True


def _drip(handler: BaseHTTPRequestHandler) -> None:
    _head(handler, len(CONTENT))
    silence = threading.Event()
    for octet in CONTENT:
        handler.wfile.write(bytes((octet,)))
        silence.wait(0.01)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("answer", "words"),
    [(_cut, "the artifact store's answer was cut short"), (_drip, "the artifact store's answer comes too slowly")],
    ids=["cut", "dripping"],
)
def test_a_download_that_does_not_get_on_is_given_up(
    answer: Callable[[BaseHTTPRequestHandler], None], words: str
) -> None:
    with serving(answer) as (url, _):
        store = S3Store(Bucket(S3Client(url, patience=HURRIED), BUCKET))
        with pytest.raises(StorageUnavailable) as caught:
            _whole(store)
    assert caught.value.detail == f"reading from the artifact store failed: {words}"


def test_only_the_configured_endpoint_counts(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving(lambda _: None) as (elsewhere, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", elsewhere)
        monkeypatch.setenv("AWS_ENDPOINT_URL", elsewhere)
        put_bytes(server.store(), tmp_path, CONTENT)
    assert seen == []


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
