"""Events that are followed over a gateway that goes away."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
import pytest

from gateway.cli.watch import event_line, follow, last_sequence
from gateway.client import ApiError, Client, ConnectionFailed, Response


class Feed:
    """A transport to a gateway that has these answers: a page of sequence numbers, a status, or silence (None)."""

    def __init__(self, *answers: list[int] | int | None, is_full: bool = False) -> None:
        self._answers: Iterator[list[int] | int | None] = iter(answers)
        self._is_full = is_full
        self.asked: list[str] = []

    def request(self, _method: str, path: str, **_: Any) -> Response:
        self.asked.append(path)
        answer = next(self._answers)
        if answer is None:
            raise ConnectionFailed("nobody")
        if isinstance(answer, int):
            return Response(status=answer, headers={}, body=orjson.dumps({"code": "odd", "title": "odd"}))
        items = [{"sequence": number} for number in answer]
        more = answer[-1] if self._is_full and answer else None
        return Response(status=200, headers={}, body=orjson.dumps({"items": items, "next": more}))

    def close(self) -> None:
        pass


def client_of(feed: Feed) -> Client:
    return Client(transport=feed)


def test_events_go_on_behind_the_last_one_when_the_gateway_is_back(capsys: pytest.CaptureFixture[str]) -> None:
    feed = Feed([4, 5], None, 503, None, [], [6])
    pauses: list[float] = []

    found = list(islice(follow(client_of(feed), after=3, pause=pauses.append), 3))

    assert [event["sequence"] for event in found] == [4, 5, 6]
    assert [path.partition("after=")[2].partition("&")[0] for path in feed.asked] == ["3", "5", "5", "5", "5", "5"]
    assert len(pauses) == 4
    assert capsys.readouterr().err.splitlines() == [
        "waiting for the gateway: nobody",
        "the gateway answers again; going on behind event 5",
    ]


def test_a_refusal_ends_the_watch() -> None:
    with pytest.raises(ApiError):
        next(follow(client_of(Feed([], 403)), after=3, pause=lambda _: None))


def test_an_address_where_nobody_is_ends_it_at_once() -> None:
    with pytest.raises(ConnectionFailed):
        next(follow(client_of(Feed(None)), after=3, pause=lambda _: None))


def test_the_end_of_the_feed_is_found_where_no_worker_lives() -> None:
    feed = Feed([], [3, 9], [12], [])

    assert last_sequence(client_of(feed)) == 12


def test_an_event_is_one_line() -> None:
    event = {
        "sequence": 7,
        "at": "2026-11-22T03:00:01.123456Z",
        "kind": "alias_moved",
        "model": "iris",
        "alias": "production",
        "version": 3,
        "actor": "ada",
        "detail": {"from": None, "to": 3, "reason": "much better", "canary": {"version": 4}},
    }

    assert event_line(event) == (
        "7  2026-11-22 03:00:01  alias_moved  iris@production:3  by ada  "
        'to=3 reason="much better" canary={"version": 4}'
    )
