"""A part of a bucket: the keys below one prefix, and the requests that all users of it make."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from model_store.layout import OBJECTS, key_of
from model_store.s3.client import S3Client
from model_store.s3.failures import is_absent, is_conflict, member_of, s3_errors, unavailable
from registry.artifact import Digest

_RENEWED = "renewed"
_REMOVING = "removing"
_UPLOADS = "uploads"

_LISTING = "listing the artifact store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object that is there."""

    size_bytes: int
    modified_at: datetime


class Bucket:
    """The keys below one prefix of a bucket."""

    def __init__(self, client: S3Client, name: str, prefix: str = "", *, page_size: int = 1000) -> None:
        self.client = client
        self.name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._page_size = page_size

    def object_key(self, digest: Digest) -> str:
        """Return where the bytes lie."""
        return self._prefix + key_of(digest)

    def renewed_key(self, digest: Digest) -> str:
        """Return what tells when the bytes were last put."""
        return f"{self._prefix}{_RENEWED}/{digest.hex}"

    def new_removing_key(self, digest: Digest) -> str:
        """Return what tells that the bytes are about to be removed; each who removes has a mark of their own."""
        return f"{self._prefix}{_REMOVING}/{digest.hex}/{secrets.token_hex(8)}"

    def upload_key(self, digest: Digest) -> str:
        """Return where a client puts bytes that nobody has looked at yet."""
        return f"{self._prefix}{_UPLOADS}/{digest.hex}"

    def below_prefix(self, key: str) -> str:
        """Return the key without the prefix, as ``layout`` knows it."""
        return key.removeprefix(self._prefix)

    def target(self, key: str) -> dict[str, str]:
        """Return the arguments that name an object."""
        return {"Bucket": self.name, "Key": key}

    def find(self, key: str, *, doing: str) -> Found | None:
        """Return what is there, or None; a missing bucket looks the same."""
        with s3_errors(doing):
            api = self.client.reading_api
            try:
                answer = api.head_object(**self.target(key))
            except api.exceptions.ClientError as error:
                if is_absent(error):
                    return None
                raise
        return Found(
            size_bytes=int(member_of(answer, "ContentLength", doing=doing)),
            modified_at=_whole_second(member_of(answer, "LastModified", doing=doing)),
        )

    def check(self, *, doing: str) -> None:
        """Do nothing if the bucket is there.

        Raises:
            StorageUnavailable: it is not, or does not answer.
        """
        with s3_errors(doing):
            api = self.client.reading_api
            try:
                api.head_bucket(Bucket=self.name)
            except api.exceptions.ClientError as error:
                if is_absent(error):
                    raise unavailable(f"{doing} failed: there is no such bucket") from error
                raise

    def mark(self, key: str, *, doing: str) -> None:
        """Write an empty object, or make it young again."""
        with s3_errors(doing):
            self.client.api.put_object(**self.target(key), Body=b"")

    def probe(self, *, doing: str) -> tuple[bool, datetime]:
        """Write an empty object twice, only if it is not there; return whether that was refused, and S3's clock.

        The object lies where marks of removals do: one that stays, since this process was killed, counts as such.
        """
        target = self.target(f"{self._prefix}{_REMOVING}/probe/{secrets.token_hex(8)}")
        with s3_errors(doing):
            api = self.client.api
            answer = api.put_object(**target, Body=b"", IfNoneMatch="*")
            is_refused = False
            try:
                api.put_object(**target, Body=b"", IfNoneMatch="*")
            except api.exceptions.ClientError as error:
                if not is_conflict(error):
                    raise
                is_refused = True
            api.delete_object(**target)
        return is_refused, _answered_at(answer)

    def remove(self, key: str, *, doing: str) -> None:
        """Remove an object, whether or not it is there."""
        with s3_errors(doing):
            self.client.api.delete_object(**self.target(key))

    def objects(self) -> Iterator[tuple[str, int, datetime]]:
        """Yield key, size and time of everything below ``sha256/``."""
        for item, _ in self._listed("list_objects_v2", "Contents", f"{OBJECTS}/"):
            yield item["Key"], int(item["Size"]), _whole_second(item["LastModified"])

    def renewals(self) -> dict[str, datetime]:
        """Return when objects were last put, by the hexadecimal digits of their digests."""
        listed = self._listed("list_objects_v2", "Contents", f"{_RENEWED}/")
        return {item["Key"].rpartition("/")[2]: _whole_second(item["LastModified"]) for item, _ in listed}

    def removals(self, digest: Digest) -> list[timedelta]:
        """Return the ages of the marks of those who are about to remove the bytes."""
        marks = self._listed("list_objects_v2", "Contents", f"{_REMOVING}/{digest.hex}/")
        return [now - _whole_second(item["LastModified"]) for item, now in marks]

    def leftovers(self) -> Iterator[tuple[str, datetime, timedelta]]:
        """Yield key, time and age of clients' uploads and of marks of removals, under way or not."""
        for folder in (_UPLOADS, _REMOVING):
            for item, now in self._listed("list_objects_v2", "Contents", f"{folder}/"):
                modified_at = _whole_second(item["LastModified"])
                yield item["Key"], modified_at, now - modified_at

    def multipart_uploads(self) -> Iterator[tuple[str, str, datetime, timedelta]]:
        """Yield key, id, time and age of multipart uploads that have not been completed."""
        for item, now in self._listed("list_multipart_uploads", "Uploads", f"{OBJECTS}/"):
            initiated_at = _whole_second(item["Initiated"])
            yield item["Key"], item["UploadId"], initiated_at, now - initiated_at

    def _listed(self, operation: str, items: str, folder: str) -> Iterator[tuple[dict[str, Any], datetime]]:
        doing = _LISTING
        with s3_errors(doing):
            pages = iter(
                self.client.api.get_paginator(operation).paginate(
                    Bucket=self.name, Prefix=self._prefix + folder, PaginationConfig={"PageSize": self._page_size}
                )
            )
        while True:
            with s3_errors(doing):
                page = next(pages, None)
            if page is None:
                return
            now = _answered_at(page)
            for item in page.get(items, ()):
                yield item, now


def _answered_at(answer: dict[str, Any]) -> datetime:
    """Return when the server answered, by the clock that its objects' times have: what is old is told without ours."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return parsedate_to_datetime(member_of(headers, "date", doing=_LISTING)).astimezone(UTC)


def _whole_second(moment: datetime) -> datetime:
    """Return the moment as the header of a single object has it, so that listings and headers agree."""
    return moment.astimezone(UTC).replace(microsecond=0)
