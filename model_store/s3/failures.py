"""The one place where what S3 says, or does not say, becomes an error of ours; no key, host or secret is repeated."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from registry.errors import InsufficientStorage, ServiceError, StorageUnavailable

RETRY_SECONDS = 5

_ABSENT = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound", "404"})
_CONFLICT = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"})
_MANNERED = re.compile(r"[A-Za-z0-9]{1,64}")


@contextmanager
def s3_errors(doing: str) -> Iterator[None]:
    """Turn every error of boto3 into one of ours.

    Raises:
        InsufficientStorage: the store says that it is full.
        StorageUnavailable: everything else, which passes by itself or when an operator acts.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _refused(error, doing) from error
    except (BotoCoreError, HTTPError) as error:
        raise unavailable(f"{doing} failed: {_words(error)}") from error


def unavailable(detail: str) -> StorageUnavailable:
    """Return the error that has the caller come back soon."""
    return StorageUnavailable(detail, retry_after_seconds=RETRY_SECONDS)


def member_of(answer: Mapping[str, Any], name: str, *, doing: str) -> Any:
    """Return what an answer of S3 always has, and that of another server at the same address may not.

    Raises:
        StorageUnavailable: it has not.
    """
    try:
        return answer[name]
    except KeyError:
        raise unavailable(f"{doing} failed: what answers is no artifact store") from None


def code_of(error: Exception) -> str:
    """Return S3's name for a refusal; its status where an answer without a body has no name."""
    answer = getattr(error, "response", {})
    code = answer.get("Error", {}).get("Code") or answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return str(code)


def is_absent(error: Exception) -> bool:
    """True if what was asked for is not in the bucket, or, of an answer without a body, if there is no bucket."""
    return code_of(error) in _ABSENT


def is_conflict(error: Exception) -> bool:
    """True if the request's condition does not hold: somebody else was quicker."""
    return code_of(error) in _CONFLICT


def _refused(error: Exception, doing: str) -> ServiceError:
    code = code_of(error)
    if code in _FULL:
        return InsufficientStorage(f"{doing} failed: the artifact store is full")
    shown = code if _MANNERED.fullmatch(code) else "no code"
    return unavailable(f"{doing} failed: the artifact store refused it ({shown})")


def _words(error: Exception) -> str:
    match type(error).__name__:
        case "NoCredentialsError" | "PartialCredentialsError" | "CredentialRetrievalError":
            return "there are no credentials for the artifact store"
        case "ResponseParserError":
            return "what answers is no artifact store"
        case "IncompleteRead" | "ProtocolError":
            return "the artifact store's answer was cut short"
        case _:
            return "the artifact store does not answer"
