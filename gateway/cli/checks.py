"""How one thing that ``sardonyx doctor`` looks at came out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway.cli.exits import EXPECTED, document_of


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""
    """What to do about it; empty where all is well, or nothing can be done."""


def attempt(name: str, examine: Callable[[], str], *, advice: str = "") -> Check:
    """Return a good check with what ``examine`` says, or a failed one with what it raises."""
    try:
        return Check(name=name, verdict=Verdict.OK, detail=examine())
    except EXPECTED as error:
        return failed(name, error, advice=advice)


def failed(name: str, error: Exception, *, advice: str = "") -> Check:
    """Return a check that failed with one of the EXPECTED errors."""
    document = document_of(error)
    return Check(name=name, verdict=Verdict.FAILED, detail=f"{document['title']}: {document['detail']}", advice=advice)
