"""Objects of other people's buckets: from a list of buckets, each read as it was at one moment."""

from collections.abc import Iterator
from typing import Any

from model_store.s3.client import S3Client
from model_store.s3.failures import code_of, is_absent, is_conflict, member_of, s3_errors
from model_store.s3.reading import read_body
from registry.errors import BodyTooLarge, SourceChanged, SourceNotAllowed, SourceNotFound
from registry.names import quoted

_READING = "reading the source"
_FORBIDDEN = frozenset({"403", "AccessDenied", "NoSuchBucket"})
_MAX_KEY_BYTES = 1024


class S3Sources:
    """ForeignObjects in the buckets of a list; nothing is asked for anywhere else."""

    def __init__(self, client: S3Client, buckets: frozenset[str]) -> None:
        self._client = client
        self._buckets = buckets

    def open(self, source: str, *, limit_bytes: int) -> Iterator[bytes]:
        """Yield the object's bytes; see ForeignObjects."""
        target = self._parse(source)
        with s3_errors(_READING):
            api = self._client.reading_api
            try:
                head = api.head_object(**target)
                if member_of(head, "ContentLength", doing=_READING) > limit_bytes:
                    raise BodyTooLarge(f"the source is larger than {limit_bytes} bytes, the most that is accepted")
                answer = api.get_object(**target, **_pinned(head))
            except api.exceptions.ClientError as error:
                if is_absent(error) or code_of(error) in _FORBIDDEN:
                    raise SourceNotFound(
                        f"{quoted(source)} is not there, or the gateway may not read it: check bucket, key and policy"
                    ) from error
                if is_conflict(error):
                    raise SourceChanged(f"{quoted(source)} was written to while it was being read") from error
                raise
        return read_body(answer, doing=_READING, patience=self._client.patience)

    def _parse(self, source: str) -> dict[str, str]:
        scheme, separator, rest = source.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme + separator != "s3://" or bucket not in self._buckets:
            allowed = ", ".join(f"s3://{name}/" for name in sorted(self._buckets)) or "nowhere: no bucket is allowed"
            raise SourceNotAllowed(f"{quoted(source)} is not allowed; versions are imported from {allowed}")
        if not key or len(key.encode()) > _MAX_KEY_BYTES or not {".", ".."}.isdisjoint(key.split("/")):
            raise SourceNotAllowed(f"{quoted(source)} is not allowed; write s3://bucket/key")
        return {"Bucket": bucket, "Key": key}


def _pinned(head: dict[str, Any]) -> dict[str, str]:
    """Return the arguments that get the very object whose head this is, or nothing."""
    version = head.get("VersionId")
    is_versioned = version not in (None, "null")
    return {"IfMatch": member_of(head, "ETag", doing=_READING), **({"VersionId": version} if is_versioned else {})}
