"""Numbers, reports and events in the words that the console's pages have for them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.web.console import words
from gateway.web.console.event_words import _SENTENCES, sentence
from gateway.web.console.reports import batching_sentences, licences, thread_sentences
from gateway.web.console.sparkline import sparkline_points
from registry.batching import Batching, BatchReport, Level
from registry.events import Event, EventKind
from registry.threads import ThreadReport
from tests.support.registries import NOON
from tests.support.serving_models import make_version


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "\u2013"),
        (0, "0 bytes"),
        (87, "87 bytes"),
        (1536, "1.5 KiB"),
        (200 * 1024, "200 KiB"),
        (3 << 30, "3.0 GiB"),
    ],
)
def test_bytes_have_a_unit_that_fits(count: int | None, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\u2013"),
        (0.0, "0 \u00b5s"),
        (0.0000085, "8.5 \u00b5s"),
        (0.0024, "2.4 ms"),
        (0.32, "320 ms"),
        (75.0, "75 s"),
    ],
)
def test_times_have_a_unit_that_fits(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (0.9, "just now"), (1, "1 second ago"), (125, "2 minutes ago"), (90_000, "1 day ago")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert words.age(NOON, NOON + timedelta(seconds=seconds)) == text


def test_a_number_of_any_size_is_short() -> None:
    assert [words.measure(value) for value in (None, 0.0, 5.84333, 1.25e9)] == ["\u2013", "0", "5.843", "1.25e+09"]


def test_shares_and_rates_are_short() -> None:
    assert [words.share(part) for part in (None, 0.0, 0.0034, 0.5)] == ["\u2013", "0 %", "0.3 %", "50 %"]
    assert [words.rate(rate) for rate in (None, 0.0, 0.42, 1250.4)] == ["\u2013", "0", "0.4", "1,250"]
    assert [words.counted(count, "version") for count in (0, 1, 2000)] == ["0 versions", "1 version", "2,000 versions"]
    assert words.short_digest("sha256:" + "ab" * 32) == "sha256:abababababab"


def test_a_sparkline_has_nothing_at_its_foot_and_the_largest_at_its_head() -> None:
    assert sparkline_points([0.0, 2.0, 4.0]) == "0.0,22.5 60.0,12.0 120.0,1.5"
    assert sparkline_points([0.0, 0.0]) == "0.0,22.5 120.0,22.5"
    assert sparkline_points([]) == ""


def report(level: Level, **changed: Any) -> BatchReport:
    plain = BatchReport(
        level=level,
        reason="",
        host="here",
        rows=4,
        shapes=(((4,),),),
        largest_difference=0.0,
        run_seconds={1: 0.001, 2: 0.001, 4: 0.001},
    )
    return replace(plain, **changed)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, ["It was not tried on this model."]),
        (
            report(Level.EXACT),
            [
                "Tried: each row has the same bits in every company as alone.",
                "Up to 4 rows pay, with 4.0 times as many rows a second as one by one.",
            ],
        ),
        (
            report(Level.CLOSE, reason="a sum", largest_difference=1e-6, run_seconds={1: 0.001, 2: 0.002}),
            [
                "Tried: rows differ a little with their company, by 1e-06 at most.",
                "Why no more: a sum.",
                "It would not pay: rows take as long together as one by one.",
            ],
        ),
        (report(Level.NONE, reason="rows mix"), ["Tried: rows cannot share a run.", "Why no more: rows mix."]),
    ],
)
def test_batching_is_told_in_sentences(found: BatchReport | None, said: list[str]) -> None:
    version = make_version()
    version = replace(version, batching=Batching.OFF, inspection=replace(version.inspection, batch=found))
    assert batching_sentences(version) == [
        "Requests never share a run: its owner has switched that off.",
        *said,
    ]


def test_threads_are_told_in_sentences() -> None:
    paying = ThreadReport(host="here", reason="", shapes=(((1, 4),),), run_seconds={1: 0.008, 2: 0.004})
    alone = ThreadReport(host="here", reason="its runs are short", shapes=(), run_seconds={})
    assert thread_sentences(paying) == [
        "Runs in 1 tried shape may have 2 threads where CPUs are free: 2.0 times shorter, and the same bits."
    ]
    assert thread_sentences(alone) == ["Runs have one thread.", "Why no more: its runs are short."]
    assert thread_sentences(None)[0].startswith("Runs have one thread: more were not tried")


def test_a_licence_is_found_in_metadata_and_tags_however_it_is_spelled() -> None:
    version = make_version()
    inspection = replace(version.inspection, metadata={"Model_License": "MIT", "author": "ada"})
    version = replace(version, inspection=inspection, tags={"licence": "Apache-2.0"})
    assert licences(version) == [("Model_License", "MIT"), ("licence", "Apache-2.0")]
    assert licences(make_version()) == []


MOVED = {"from": 1, "to": 2, "kind": "promote", "canary": None, "shadow": None, "reason": ""}


@pytest.mark.parametrize(
    ("kind", "detail", "text"),
    [
        (EventKind.ALIAS_MOVED, MOVED, "production promoted: version 1 \u2192 version 2"),
        (
            EventKind.ALIAS_MOVED,
            MOVED | {"from": None, "kind": "rollback", "reason": "why"},
            "production rolled back: nothing \u2192 version 2 (why)",
        ),
        (
            EventKind.ALIAS_MOVED,
            MOVED | {"kind": "canary", "canary": {"version": 3, "percent": 5.0}},
            "production: its canary is version 3 with 5 %",
        ),
        (EventKind.ALIAS_MOVED, MOVED | {"kind": "shadow"}, "production: its shadow is gone"),
        (EventKind.VERSION_REGISTERED, {}, "version 2 registered"),
        (EventKind.VERSION_CRASHED, {"cause": "SIGSEGV"}, "version 2 ended a process: SIGSEGV"),
        (EventKind.VERSION_CHANGED, {"tags": {}, "batching": "off"}, "version 2 changed: batching, tags"),
        (
            EventKind.ACCESS_DENIED,
            {"method": "PUT", "path": "/x", "needs": "admin"},
            "denied: PUT /x, which needs the role admin",
        ),
        (EventKind.TOKEN_CREATED, {"name": "ci", "role": "publish"}, "token ci made, with the role publish"),
        (EventKind.WEBHOOK_CREATED, {"webhook": "w1"}, "webhook w1 made"),
        (EventKind.WEBHOOK_CHANGED, {"webhook": "w1", "changed": ["kinds", "url"]}, "webhook w1 changed: kinds, url"),
        (EventKind.WEBHOOK_DELETED, {"webhook": "w1"}, "webhook w1 deleted"),
        (
            EventKind.WEBHOOK_FAILED,
            {"webhook": "w1", "delivery": "d", "sequence": 7, "reason": "status 500"},
            "webhook w1 was not told of event 7: status 500",
        ),
        (EventKind("something_new"), {}, "something new"),
    ],
)
def test_an_event_is_told_in_a_sentence(kind: EventKind, detail: dict[str, Any], text: str) -> None:
    event = Event(sequence=1, kind=kind, model="iris", version=2, alias="production", actor="a", at=NOON, detail=detail)
    assert sentence(event) == text


def test_every_kind_of_this_release_has_a_sentence() -> None:
    assert set(EventKind) - set(_SENTENCES) == set()


def test_a_sentence_has_an_end() -> None:
    event = Event(
        sequence=1,
        kind=EventKind.VERSION_CRASHED,
        model="iris",
        version=2,
        alias=None,
        actor="a",
        at=NOON,
        detail={"cause": "x" * 5000},
    )
    assert len(sentence(event)) == 300
