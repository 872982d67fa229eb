"""How S3 is talked to: within time limits, at one endpoint, never following a redirect."""

import threading
from dataclasses import dataclass
from typing import Any

_CONNECTIONS = 64
"""More than the threads of a worker: none of them waits for another's connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for S3."""

    connect_seconds: float = 2.0
    answer_seconds: float = 30.0
    """For an answer: S3 may have a large object to put together first."""
    read_seconds: float = 7.0
    """For the next bytes of what is read, or to hear whether something is there.

    All attempts together are over before a prediction's deadline is, so that a request that waits for a model learns of
    a silent store while it can still be sent to another gateway; and before a process that ends is killed, which waits
    for what it has asked last.
    """
    attempts: int = 3


class S3Client:
    """A client that is made when it is first used; any number of threads may use it at once.

    Credentials and region come by boto3's usual chain. The endpoint does not: it is the one given here, else Amazon's.
    """

    def __init__(self, endpoint_url: str | None = None, *, patience: Patience | None = None) -> None:
        self._endpoint_url = endpoint_url
        self.patience = patience or Patience()
        self._lock = threading.Lock()
        self._apis: dict[float, Any] = {}

    @property
    def api(self) -> Any:
        """The boto3 client; call it within ``s3_errors`` only."""
        return self._api_that_waits(self.patience.answer_seconds)

    @property
    def reading_api(self) -> Any:
        """The same for what reads objects or only looks whether they are there, which waits less long for that."""
        return self._api_that_waits(self.patience.read_seconds)

    def _api_that_waits(self, seconds: float) -> Any:
        with self._lock:
            if seconds not in self._apis:
                self._apis[seconds] = self._connect(seconds)
            return self._apis[seconds]

    def _connect(self, read_seconds: float) -> Any:
        from boto3.session import Session
        from botocore.config import Config
        from botocore.exceptions import NoCredentialsError

        session = Session()
        if session.get_credentials() is None:
            raise NoCredentialsError  # else the client would be kept, and never look for them again
        client = session.client(
            "s3",
            endpoint_url=self._endpoint_url,
            region_name=session.region_name or "us-east-1",
            config=Config(
                signature_version="s3v4",
                connect_timeout=self.patience.connect_seconds,
                read_timeout=read_seconds,
                retries={"mode": "standard", "total_max_attempts": self.patience.attempts},
                max_pool_connections=_CONNECTIONS,
                # A server of one's own has one name, not one for each bucket.
                s3={"addressing_style": "path" if self._endpoint_url else "auto"},
                # Checksums are given where bytes are sent; what is read is compared with its digest by the reader.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                ignore_configured_endpoint_urls=True,
            ),
        )
        client.meta.events.register("before-call.s3", _forbid_redirects)
        return client


def _forbid_redirects(params: dict[str, Any], **_: Any) -> None:
    """Tell botocore, which repeats a redirected request once and somewhere else, that it has done so already."""
    params.setdefault("context", {}).setdefault("s3_redirect", {})["redirected"] = True
