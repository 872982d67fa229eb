"""The audit of the locks, held against services that speak OSV's words on loopback."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from pip_audit._service import OsvService, SkippedDependency

from tests.supply_chain import audit as auditing
from tests.supply_chain.audit import SECONDS_IN_ALL, SilentError, accepted, ask, audit
from tests.support.hostile_server import serving

PINS = {"starlette": "0.40.0", "six": "1.17.0"}
FAULT = {
    "id": "GHSA-2c2j-9gv5-cj73",
    "aliases": ["CVE-2025-54121"],
    "summary": "large files block the event loop",
    "affected": [
        {
            "package": {"name": "starlette", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0.47.2"}]}],
        }
    ],
}
FOUND = "starlette 0.40.0: CVE-2025-54121 GHSA-2c2j-9gv5-cj73, mended in 0.47.2"
SKIPPED = "audit SKIPPED: no vulnerability service answers, so nothing is known of the locks"


@contextmanager
def osv(folder: Path, answer: Callable[[str], tuple[int, Any]]) -> Iterator[OsvService]:
    """A service that answers what is asked about a package with this status and JSON."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        question = json.loads(request.rfile.read(int(request.headers["content-length"])))
        status, document = answer(question["package"]["name"])
        body = json.dumps(document).encode()
        request.send_response(status)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with serving(handle) as (url, _):
        service = OsvService(folder, 5, f"{url}/v1/query")
        try:
            yield service
        finally:
            service.session.close()


class OfFilesOnly:
    """A mirror: it has every package, and no advisories."""

    def query(self, spec: Any) -> tuple[Any, list[Any]]:
        return SkippedDependency(name=spec.name, skip_reason="404"), []


def of_starlette(name: str) -> tuple[int, Any]:
    return 200, {"vulns": [FAULT]} if name == "starlette" else {}


@pytest.fixture
def nobody(tmp_path: Path) -> OsvService:
    with serving(lambda _: None) as (url, _):
        pass  # its port is free again: nobody listens there
    return OsvService(tmp_path, 5, f"{url}/v1/query")


def test_packages_without_known_faults_pass(tmp_path: Path) -> None:
    with osv(tmp_path, lambda _: (200, {})) as service:
        assert audit([("OSV", service)], PINS) == (0, ["2 pinned packages, no known vulnerability (OSV)"])


def test_a_known_fault_fails_with_its_names_and_what_mends_it(tmp_path: Path) -> None:
    with osv(tmp_path, of_starlette) as service:
        assert audit([("OSV", service)], PINS) == (1, [FOUND])


@pytest.mark.parametrize("name", ["GHSA-2c2j-9gv5-cj73", "CVE-2025-54121"])
def test_a_fault_that_is_accepted_under_any_of_its_names_passes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "accepted", lambda: {name: "we serve no files"})
    with osv(tmp_path, of_starlette) as service:
        assert ask(service, PINS) == []


def test_what_is_accepted_has_a_reason() -> None:
    assert {name: reason for name, reason in accepted().items() if len(reason.split()) < 4} == {}


def test_without_a_network_the_check_is_skipped_with_a_word(nobody: OsvService) -> None:
    assert audit([("OSV", nobody)], PINS) == (0, ["OSV: no answer: ConnectionError", SKIPPED])


@pytest.mark.parametrize("status", [403, 407, 502, 503])
def test_a_proxy_that_lets_nobody_through_is_a_lack_of_a_network(status: int, tmp_path: Path) -> None:
    with osv(tmp_path, lambda _: (status, {})) as service:
        assert audit([("OSV", service)], PINS) == (0, [f"OSV: no answer: status {status}", SKIPPED])


def test_a_mirror_that_knows_no_advisories_is_no_verdict() -> None:
    assert audit([("PyPI", OfFilesOnly())], PINS) == (0, ["PyPI: it knows none of the packages", SKIPPED])


def test_the_next_service_is_asked_where_the_first_is_silent(nobody: OsvService, tmp_path: Path) -> None:
    with osv(tmp_path, of_starlette) as service:
        assert audit([("OSV", nobody), ("other", service)], PINS) == (1, [FOUND])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [((500, {}), "ServiceError"), ((200, {"html": "sign in first"}), "KeyError"), ((200, [1]), "TypeError")],
    ids=["an error", "something else", "a list"],
)
def test_a_service_that_answers_wrongly_is_no_lack_of_a_network(
    answer: tuple[int, Any], kind: str, tmp_path: Path
) -> None:
    with osv(tmp_path, lambda _: answer) as service:
        assert audit([("OSV", service)], PINS) == (
            1,
            [f"OSV: a wrong answer about starlette: {kind}", "audit FAILED: no service has given a verdict"],
        )


def test_a_service_that_knows_only_some_is_no_verdict(tmp_path: Path) -> None:
    with osv(tmp_path, lambda _: (200, {})) as service:

        class Half:
            def query(self, spec: Any) -> tuple[Any, list[Any]]:
                return OfFilesOnly().query(spec) if spec.name == "six" else service.query(spec)

        assert audit([("half", Half())], PINS) == (
            1,
            ["half: it does not know six", "audit FAILED: no service has given a verdict"],
        )


def test_a_slow_service_is_given_up(tmp_path: Path) -> None:
    moments = iter([0.0, 1.0, SECONDS_IN_ALL, time.monotonic()])
    with (
        osv(tmp_path, of_starlette) as service,
        pytest.raises(SilentError, match="not done after 120 s"),
    ):
        ask(service, PINS, now=lambda: next(moments))
