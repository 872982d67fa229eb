"""A file's bytes on their way to S3, with a checksum on everything that is sent; to be called within ``s3_errors``."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from model_store.s3.failures import unavailable
from registry.artifact import Digest

PART_BYTES = 16 * 1024 * 1024
"""What is held in memory of a file that goes in parts; smaller files are sent at once."""

STORING = "storing the file"


def checksum_of(digest: Digest) -> str:
    """Return a digest as S3 writes it in its headers."""
    return base64.b64encode(bytes.fromhex(digest.hex)).decode()


def send_at_once(api: Any, file: BinaryIO, digest: Digest, *, target: dict[str, str], only_if: dict[str, str]) -> None:
    """Put the whole file in one request, which S3 refuses if the bytes do not have the digest."""
    api.put_object(Body=file, ChecksumSHA256=checksum_of(digest), **target, **only_if)


def send_in_parts(
    api: Any, file: BinaryIO, digest: Digest, *, part_bytes: int, target: dict[str, str], only_if: dict[str, str]
) -> None:
    """Put the file part by part; nothing can be seen of it before its last byte has been compared with the digest."""
    upload = {**target, "UploadId": api.create_multipart_upload(ChecksumAlgorithm="SHA256", **target)["UploadId"]}
    try:
        parts = list(_send_parts(api, file, digest, part_bytes=part_bytes, upload=upload))
        api.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **only_if)
    except BaseException:
        with suppress(Exception):  # what stays is a fragment, which fsck finds
            api.abort_multipart_upload(**upload)
        raise


def _send_parts(
    api: Any, file: BinaryIO, digest: Digest, *, part_bytes: int, upload: dict[str, str]
) -> Iterator[dict[str, Any]]:
    whole = hashlib.sha256()
    for number, content in enumerate(iter(lambda: file.read(part_bytes), b""), start=1):
        whole.update(content)
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        answer = api.upload_part(PartNumber=number, Body=content, ChecksumSHA256=checksum, **upload)
        yield {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}
    if whole.hexdigest() != digest.hex:
        raise unavailable(f"{STORING} failed: its bytes have changed since they arrived")
