"""Every pinned package, asked about at a vulnerability service, with pip-audit: ``make audit``, and in ``make check``.

1. A finding fails, unless pyproject's ``[tool.sardonyx.accepted-vulnerabilities]`` has its id with the reason.
2. Silence is no verdict. A service that cannot be reached, or that knows none of the packages (a mirror that has files
   and no advisories answers 404 for each, which pip-audit by itself takes for "no known vulnerabilities"), has said
   nothing, and the next one is asked. Nor has one that somebody in between, a proxy that lets few hosts through, speaks
   for. Where all are silent the check is skipped, with a word.
3. A service that knows some packages and not all gives no verdict either: those it does not know would be waved through
   for ever. Nor does one that answers with an error, or with something else than was asked for. That is no lack of a
   network: if the next service does not make up for it, the check fails.
4. No question waits longer than ``SECONDS_A_QUESTION`` for what comes next, and after ``SECONDS_IN_ALL`` none is begun.
"""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import requests
from packaging.version import Version
from pip_audit._service import (
    ConnectionError as NotConnectedError,
)
from pip_audit._service import (
    OsvService,
    PyPIService,
    ResolvedDependency,
    ServiceError,
)
from pip_audit._service.interface import Dependency, VulnerabilityResult

from tests.supply_chain.locks import RUNNING, TESTING, read_lock, read_project

SECONDS_A_QUESTION = 10
SECONDS_IN_ALL = 120.0

_NO_ANSWER = (NotConnectedError, requests.ConnectionError, requests.Timeout)
_OF_SOMEBODY_ELSE = frozenset({401, 403, 407, 451, 502, 503, 504, 511})
"""Statuses of proxies; the services are open to everybody."""
_WRONG_ANSWER = (ServiceError, requests.RequestException, ValueError, KeyError, TypeError)


class Service(Protocol):
    """What pip-audit asks."""

    def query(self, spec: Dependency) -> tuple[Dependency, list[VulnerabilityResult]]:
        """Return what is known of one version of a package; a skipped one where it is not known at all."""
        ...


class SilentError(Exception):
    """The service has said nothing: it cannot be reached in time, or knows nothing."""


class UnsoundError(Exception):
    """The service has answered, and it is no answer to rely on."""


def ask(service: Service, pins: dict[str, str], *, now: Callable[[], float] = time.monotonic) -> list[str]:
    """Return a line for each known fault of these packages.

    Raises:
        SilentError: see rule 2.
        UnsoundError: see rule 3.
    """
    findings, unknown = [], []
    give_up_at = now() + SECONDS_IN_ALL
    for name, version in pins.items():
        if now() >= give_up_at:
            raise SilentError(f"not done after {SECONDS_IN_ALL:.0f} s")
        try:
            answered, faults = service.query(ResolvedDependency(name, Version(version)))
        except _NO_ANSWER as error:
            raise SilentError(f"no answer: {type(error).__name__}") from error
        except _WRONG_ANSWER as error:
            if _status_of(error) in _OF_SOMEBODY_ELSE:
                raise SilentError(f"no answer: status {_status_of(error)}") from error
            raise UnsoundError(f"a wrong answer about {name}: {type(error).__name__}") from error
        unknown += [name] if answered.is_skipped() else []
        findings += [_as_line(name, version, fault) for fault in faults if not accepted().keys() & fault_ids(fault)]
    if len(unknown) == len(pins):
        raise SilentError("it knows none of the packages")
    if unknown and not findings:
        raise UnsoundError(f"it does not know {', '.join(unknown)}")
    return findings


def _status_of(error: Exception) -> int | None:
    """Return the HTTP status that an error of pip-audit's came from, if any."""
    response = getattr(error if isinstance(error, requests.RequestException) else error.__cause__, "response", None)
    return None if response is None else int(response.status_code)


def accepted() -> dict[str, str]:
    """Return the ids of what concerns us not, each with its reason."""
    return dict(read_project()["tool"]["sardonyx"]["accepted-vulnerabilities"])


def fault_ids(fault: VulnerabilityResult) -> set[str]:
    """Return all names of a fault: each database has its own."""
    return {fault.id, *fault.aliases}


def _as_line(name: str, version: str, fault: VulnerabilityResult) -> str:
    mended = ", ".join(map(str, fault.fix_versions)) or "nowhere yet"
    return f"{name} {version}: {' '.join(sorted(fault_ids(fault)))}, mended in {mended}"


def audit(services: Iterable[tuple[str, Service]], pins: dict[str, str]) -> tuple[int, Sequence[str]]:
    """Ask the services in turn until one has said something; return the exit code and what to print."""
    words: list[str] = []
    is_unsound = False
    for name, service in services:
        try:
            findings = ask(service, pins)
        except (SilentError, UnsoundError) as error:
            words.append(f"{name}: {error}")
            is_unsound = is_unsound or isinstance(error, UnsoundError)
        else:
            return (1, findings) if findings else (0, [f"{len(pins)} pinned packages, no known vulnerability ({name})"])
    if is_unsound:
        return 1, [*words, "audit FAILED: no service has given a verdict"]
    return 0, [*words, "audit SKIPPED: no vulnerability service answers, so nothing is known of the locks"]


def main() -> int:
    """Audit both locks."""
    cache = Path(sys.prefix) / "audited"
    services = (
        ("OSV", OsvService(cache, SECONDS_A_QUESTION)),
        ("PyPI", PyPIService(cache, SECONDS_A_QUESTION)),
    )
    code, words = audit(services, read_lock(RUNNING) | read_lock(TESTING))
    print(*words, sep="\n", file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
