"""Artifacts in a bucket (the keys are shown in ``model_store.s3``).

1. An object appears by one conditional request (``If-None-Match: *``): whole or not at all, and never over another of
   the same size. One of another size has been cut short by some accident, and is replaced.
2. What is sent carries SHA-256 checksums: of the whole for what goes at once, of each part for what goes in parts, and
   then the whole is compared here before the upload is completed. Bytes never stand under a digest that is not theirs.
3. S3 cannot renew an object's age but by writing all of it again. So ``put`` of what is there writes ``renewed/<hex>``,
   which is empty; an object's age is that of the younger of the two.
4. S3 has no lock, and an ETag tells bytes apart, not two puts of the same bytes. So ``discard`` writes a mark of its
   own, ``removing/<hex>/<...>``, then looks at the age, then removes; ``put`` first stores or renews, then looks for
   such marks, then whether the object is (still) there. S3 shows each write to all who read after it, so either
   ``discard`` sees the renewed age, or ``put`` sees the mark or the loss, and tries again or has its caller do so.
5. A mark that is older than ten minutes was left by a process that died, and counts no more. ``discard`` gives up when
   five minutes have passed since it wrote its mark. What remains: a process that is halted for five minutes between its
   last look at the clock and the sending of the removal, or a server that obeys a removal five minutes late.
"""

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

from model_store.failures import storage_errors
from model_store.layout import digest_of
from model_store.s3.bucket import Bucket, Found
from model_store.s3.failures import is_absent, is_conflict, s3_errors, unavailable
from model_store.s3.reading import read_body
from model_store.s3.sending import PART_BYTES, STORING, send_at_once, send_in_parts
from registry.artifact import Digest
from registry.errors import ArtifactMissing
from registry.storage import StoredBlob, StoreProbe

_MARK_COUNTS = timedelta(minutes=10)
_REMOVAL_SECONDS = 300.0
_TRIES = 3
_UNDER_WAY = timedelta(hours=1)
"""How young an unfinished upload must be to be left alone: longer than any that is still under way."""

_LOOKING = "looking into the artifact store"
_READING = "reading from the artifact store"
_REMOVING = "removing a file from the artifact store"
_CLEARING = "clearing the artifact store"
_PROBING = "trying the artifact store out"


class S3Store:
    """An ArtifactStore below a prefix of a bucket; any number of threads, processes and hosts may use one at once."""

    def __init__(self, bucket: Bucket, *, part_bytes: int = PART_BYTES, under_way: timedelta = _UNDER_WAY) -> None:
        self._bucket = bucket
        self._part_bytes = part_bytes
        self._under_way = under_way

    def put(self, digest: Digest, path: Path) -> None:
        """Store the file's bytes, or renew their age; see ArtifactStore."""
        with storage_errors(STORING), path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            for _ in range(_TRIES):
                if self._store(digest, file, size_bytes) and self._is_kept(digest, size_bytes):
                    return
        raise unavailable(f"{STORING} failed: somebody else is storing or removing the same bytes")

    def find_size(self, digest: Digest) -> int | None:
        """Return the size in bytes, or None."""
        found = self._find(digest, _LOOKING)
        if found is None:
            self._bucket.check(doing=_LOOKING)  # nothing is in a bucket that is not there, but nothing is lost either
            return None
        return found.size_bytes

    def stream(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes in chunks of about 1 MiB; an object that is missing is noticed by the call itself."""
        client = self._bucket.client
        with s3_errors(_READING):
            api = client.reading_api
            try:
                answer = api.get_object(**self._bucket.target(self._bucket.object_key(digest)))
            except api.exceptions.ClientError as error:
                if is_absent(error):
                    raise ArtifactMissing(f"the artifact store does not have {digest}") from error
                raise
        return read_body(answer, doing=_READING, patience=client.patience)

    def blobs(self) -> Iterator[StoredBlob]:
        """Yield every object, as young as its last ``put``."""
        renewals = self._bucket.renewals()
        for key, size_bytes, modified_at in self._bucket.objects():
            digest = digest_of(self._bucket.below_prefix(key))
            if digest is not None:
                age_counts_from = max(modified_at, renewals.get(digest.hex, modified_at))
                yield StoredBlob(digest=digest, size_bytes=size_bytes, modified_at=age_counts_from)

    def probe(self) -> StoreProbe:
        """Write twice what may be written once; see Probed."""
        is_refused, clock = self._bucket.probe(doing=_PROBING)
        return StoreProbe(is_exclusive=is_refused, clock=clock)

    def fragments(self) -> Iterator[str]:
        """Yield unfinished uploads, and marks of removals, by key; young ones may be under way and are left out."""
        for name, _, _ in self._fragments():
            yield name

    def discard_fragments(self, *, modified_before: datetime) -> list[str]:
        """Remove what was interrupted before then; see ArtifactStore."""
        removed = []
        for name, modified_at, remove in list(self._fragments()):
            if modified_at < modified_before:
                remove()
                removed.append(name)
        return removed

    def discard(self, digest: Digest, *, modified_before: datetime | None = None) -> bool:
        """Remove the bytes, or spare them if they were put since then; see ArtifactStore."""
        if self._find(digest, _REMOVING) is None:
            return False
        mark = self._bucket.new_removing_key(digest)
        began = monotonic()
        self._bucket.mark(mark, doing=_REMOVING)
        is_old = self._is_old(digest, modified_before)
        if is_old:
            if monotonic() - began > _REMOVAL_SECONDS:
                raise unavailable(f"{_REMOVING} failed: the artifact store is too slow")
            # If this fails nobody knows whether it will be obeyed yet: the mark stays until it counts no more.
            self._bucket.remove(self._bucket.object_key(digest), doing=_REMOVING)
            self._bucket.remove(self._bucket.renewed_key(digest), doing=_REMOVING)
        self._bucket.remove(mark, doing=_REMOVING)
        return is_old

    def locate(self, digest: Digest) -> str:
        """Return an ``s3:`` URI."""
        return f"s3://{self._bucket.name}/{self._bucket.object_key(digest)}"

    def _find(self, digest: Digest, doing: str) -> Found | None:
        return self._bucket.find(self._bucket.object_key(digest), doing=doing)

    def _store(self, digest: Digest, file: BinaryIO, size_bytes: int) -> bool:
        """Renew what is there, else send the bytes; False if somebody else has changed what is there meanwhile."""
        found = self._find(digest, STORING)
        if found is not None and found.size_bytes == size_bytes:
            self._bucket.mark(self._bucket.renewed_key(digest), doing=STORING)
            return True
        return self._send(digest, file, size_bytes, only_if={} if found is not None else {"IfNoneMatch": "*"})

    def _send(self, digest: Digest, file: BinaryIO, size_bytes: int, *, only_if: dict[str, str]) -> bool:
        api, target = self._api(), self._bucket.target(self._bucket.object_key(digest))
        file.seek(0)
        with s3_errors(STORING):
            try:
                if size_bytes <= self._part_bytes:
                    send_at_once(api, file, digest, target=target, only_if=only_if)
                else:
                    send_in_parts(api, file, digest, part_bytes=self._part_bytes, target=target, only_if=only_if)
            except api.exceptions.ClientError as error:
                # Absent: the upload's id, after an answer to its completion that never arrived.
                if is_conflict(error) or (is_absent(error) and size_bytes > self._part_bytes):
                    return False
                raise
        return True

    def _api(self) -> Any:
        with s3_errors(STORING):
            return self._bucket.client.api

    def _is_kept(self, digest: Digest, size_bytes: int) -> bool:
        """True if nobody removes what has just been stored or renewed: the second half of rule 4."""
        if any(age < _MARK_COUNTS for age in self._bucket.removals(digest)):
            return False
        found = self._find(digest, STORING)
        return found is not None and found.size_bytes == size_bytes

    def _is_old(self, digest: Digest, modified_before: datetime | None) -> bool:
        """True if the object is there and was last put before then."""
        found = self._find(digest, _REMOVING)
        if found is None or modified_before is None:
            return found is not None
        renewed = self._bucket.find(self._bucket.renewed_key(digest), doing=_REMOVING)
        last_put = found.modified_at if renewed is None else max(found.modified_at, renewed.modified_at)
        return last_put < modified_before

    def _fragments(self) -> Iterator[tuple[str, datetime, Callable[[], None]]]:
        """Yield the name and the time of each fragment that is old enough, and what removes it."""
        bucket = self._bucket
        for key, upload_id, initiated_at, age in bucket.multipart_uploads():
            if age >= self._under_way:
                name = f"{bucket.below_prefix(key)} (multipart upload {upload_id})"
                yield name, initiated_at, self._aborter(key, upload_id)
        for key, modified_at, age in bucket.leftovers():
            if age >= self._under_way:
                yield bucket.below_prefix(key), modified_at, self._remover(key)

    def _aborter(self, key: str, upload_id: str) -> Callable[[], None]:
        def abort() -> None:
            with s3_errors(_CLEARING):
                api = self._bucket.client.api
                try:
                    api.abort_multipart_upload(**self._bucket.target(key), UploadId=upload_id)
                except api.exceptions.ClientError as error:
                    if not is_absent(error):  # else it was finished or removed meanwhile
                        raise

        return abort

    def _remover(self, key: str) -> Callable[[], None]:
        return lambda: self._bucket.remove(key, doing=_CLEARING)
