"""Files that clients send straight to the bucket, below ``uploads/``, by a URL that is signed for just these bytes.

S3 itself refuses other bytes (the checksum and the length are signed headers), and all the same nothing of it is
trusted: an artifact is what this process has hashed.
"""

from collections.abc import Iterator
from datetime import timedelta

from model_store.s3.bucket import Bucket
from model_store.s3.failures import is_absent, member_of, s3_errors
from model_store.s3.reading import read_body
from model_store.s3.sending import checksum_of
from registry.artifact import Digest
from registry.errors import BodyTooLarge, UploadNotFound
from registry.storage import UploadOffer

LIFETIME = timedelta(hours=1)

_OFFERING = "offering an upload"
_READING = "reading the upload"
_REMOVING = "removing the upload"


class S3Uploads:
    """DirectUploads below a prefix of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def offer(self, digest: Digest, size_bytes: int) -> UploadOffer:
        """Return a signed URL; nothing is asked of the store for that."""
        checksum = checksum_of(digest)
        target = self._bucket.target(self._bucket.upload_key(digest))
        with s3_errors(_OFFERING):
            url: str = self._bucket.client.api.generate_presigned_url(
                "put_object",
                Params={**target, "ChecksumSHA256": checksum, "ContentLength": size_bytes},
                ExpiresIn=int(LIFETIME.total_seconds()),
                HttpMethod="PUT",
            )
        headers = {"content-length": str(size_bytes), "x-amz-checksum-sha256": checksum}
        return UploadOffer(url=url, method="PUT", headers=headers, lifetime=LIFETIME)

    def open(self, digest: Digest, *, limit_bytes: int) -> Iterator[bytes]:
        """Yield what was sent; see DirectUploads."""
        client = self._bucket.client
        with s3_errors(_READING):
            api = client.api
            try:
                answer = api.get_object(**self._bucket.target(self._bucket.upload_key(digest)))
            except api.exceptions.ClientError as error:
                if is_absent(error):
                    raise UploadNotFound(
                        f"nothing was sent under {digest}: send the bytes to the offered URL"
                    ) from error
                raise
        if member_of(answer, "ContentLength", doing=_READING) > limit_bytes:
            answer["Body"].close()
            raise BodyTooLarge(f"the upload is larger than {limit_bytes} bytes, the most that is accepted")
        return read_body(answer, doing=_READING, patience=client.patience)

    def discard(self, digest: Digest) -> None:
        """Remove what was sent; see DirectUploads."""
        self._bucket.remove(self._bucket.upload_key(digest), doing=_REMOVING)
