"""The thread that tells events, looked at round by round: who does it, in which order, and what is kept."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.webhooks.addresses import Places
from gateway.webhooks.delivering import LEASE, Deliverer, Told
from gateway.webhooks.sending import Sender
from registry.errors import RegistryBusy
from registry.events import EventKind
from registry.sql.unit_of_work import SqlRegistry
from registry.webhook import MOST_WAITING, Cause, Outcome, sign
from registry.webhooks import WebhookChange, Webhooks
from tests.support.receiver import hang, running_receiver
from tests.support.registries import NOON, HandClock, fresh_registry

URL = "https://example.org/hook"
GOOD = Outcome(seconds=0.1, status=204)
CLOCK = HandClock()


class AtOnce(Executor):
    """Does the work when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclass
class Line:
    """What is sent, and the outcomes that it meets; good ones when there are no more."""

    outcomes: list[Outcome | Exception] = field(default_factory=list)
    sent: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def send(self, url: str, *, headers: dict[str, str], body: bytes) -> Outcome:
        self.sent.append((url, headers, body))
        outcome = self.outcomes.pop(0) if self.outcomes else GOOD
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def deliveries(self) -> list[int]:
        return [int(headers["x-sardonyx-delivery"]) for _, headers, _ in self.sent]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqlRegistry]:
    with fresh_registry(tmp_path) as opened:
        yield opened


@pytest.fixture
def webhooks(registry: SqlRegistry) -> Webhooks:
    return Webhooks(registry, CLOCK, check_place=lambda _: None)


def deliverer(registry: Any, line: Line, name: str = "one", *, senders: Executor | None = None) -> Deliverer:
    parts: dict[str, Any] = {"send": line.send, "cut": lambda: None, "senders": senders or AtOnce()}
    return Deliverer(registry, CLOCK, **parts, name=name, agent="sardonyx/0")


def happen(registry: SqlRegistry, times: int = 1, kind: EventKind = EventKind.TOKEN_REVOKED) -> None:
    with registry.writing() as transaction:
        for _ in range(times):
            transaction.add_event(kind, model=None, actor="ada", at=NOON, detail={})


def log(webhooks: Webhooks, id_: str) -> list[tuple[int | None, str, int]]:
    found = reversed(webhooks.list_deliveries(id_, limit=1000).items)
    return [(delivery.sequence, delivery.state.value, delivery.attempts) for delivery in found]


def holder(registry: SqlRegistry) -> str | None:
    with registry.reading() as catalog:
        lease = catalog.find_lease(LEASE)
    return None if lease is None else lease.holder.partition(":")[0]


def test_without_webhooks_nothing_is_written_and_nobody_looks_often(registry: SqlRegistry) -> None:
    happen(registry)
    assert deliverer(registry, Line()).look() == 60
    assert holder(registry) is None


def test_an_event_is_sent_signed(registry: SqlRegistry, webhooks: Webhooks) -> None:
    made, line = webhooks.create(URL, actor="ada"), Line()
    happen(registry)
    deliverer(registry, line).look()
    ((url, headers, body),) = line.sent
    at = int(NOON.timestamp())
    assert url == URL
    assert headers == {
        "content-type": "application/json",
        "user-agent": "sardonyx/0",
        "x-sardonyx-event": "token_revoked",
        "x-sardonyx-delivery": "1",
        "x-sardonyx-timestamp": str(at),
        "x-sardonyx-signature": f"sha256={sign(made.text, at, body)}",
    }


def test_events_are_sent_in_their_order_each_when_the_one_before_is_done(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    id_, line = webhooks.create(URL, actor="ada").webhook.id, Line()
    happen(registry, 3)
    one = deliverer(registry, line)
    for _ in range(4):
        one.look()
    assert (line.deliveries, log(webhooks, id_)) == ([1, 2, 3], [(n, "delivered", 1) for n in (2, 3, 4)])
    assert one.told == Told(delivered=3, failed_attempts=0, given_up=0)


def test_who_fails_is_tried_again_before_anything_else(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, actor="ada").webhook.id
    line = Line([Outcome(seconds=1, reason="timed out"), ValueError("a mistake of ours")])
    happen(registry, 2)
    one = deliverer(registry, line)
    one.look()
    for attempts in (1, 2):
        one.look()
        assert log(webhooks, id_) == [(2, "pending", attempts), (3, "pending", 0)]
        let_it_be_due(registry, id_)
        one.look()
    one.look()
    one.look()
    assert (line.deliveries, log(webhooks, id_)) == ([1, 1, 1, 2], [(2, "delivered", 3), (3, "delivered", 1)])


def let_it_be_due(registry: SqlRegistry, id_: str) -> None:
    with registry.writing() as transaction:
        first = transaction.list_deliveries(id_, limit=100).items[-1]
        transaction.settle_delivery(replace(first, next_at=first.next_at - timedelta(hours=1)))


def test_one_holds_up_nobody_else(registry: SqlRegistry, webhooks: Webhooks) -> None:
    ids = [webhooks.create(URL, actor="ada").webhook.id for _ in range(2)]
    line = Line([Outcome(seconds=1, status=503, reason="answered 503", retry_after_seconds=3600)])
    happen(registry, 2)
    one = deliverer(registry, line)
    for _ in range(4):
        one.look()
    assert sorted((log(webhooks, id_) for id_ in ids), reverse=True) == [
        [(3, "pending", 1), (4, "pending", 0)],
        [(3, "delivered", 1), (4, "delivered", 1)],
    ]


class Never(Executor):
    """Has threads that hang."""

    def __init__(self) -> None:
        self.begun = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        del fn, args, kwargs
        self.begun += 1
        return Future()


def test_one_that_hangs_takes_one_thread_however_much_is_asked_for(registry: SqlRegistry, webhooks: Webhooks) -> None:
    hung, good = (webhooks.create(URL + path, actor="ada").webhook for path in ("/hung", "/good"))
    happen(registry)
    for _ in range(MOST_WAITING):
        webhooks.test(hung.id, actor="eve")
    hanging = Never()
    one = deliverer(registry, Line(), senders=hanging)
    for _ in range(3):
        one.look()
    webhooks.test(good.id, actor="ada")
    one.look()
    assert hanging.begun == 2, "one for each of both webhooks"


def test_what_is_asked_for_by_hand_stands_in_no_line(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, actor="ada").webhook.id
    line = Line([Outcome(seconds=1, status=503, reason="answered 503", retry_after_seconds=3600)])
    happen(registry)
    one = deliverer(registry, line)
    one.look()
    one.look()
    webhooks.redeliver(id_, 1, actor="eve")
    webhooks.test(id_, actor="eve")
    for _ in range(3):
        one.look()
    assert line.deliveries == [1, 2, 3]
    assert log(webhooks, id_) == [(2, "pending", 1), (2, "delivered", 1), (None, "delivered", 1)]
    assert line.sent[1][2] == line.sent[0][2]


def test_the_log_of_the_gateway_tells_nothing_of_where_a_webhook_leads(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    id_ = webhooks.create(URL, actor="ada").webhook.id
    reason = "'example.org' leads to 10.0.0.1, where webhooks may not go"
    one = deliverer(registry, Line([Outcome(seconds=0, reason=reason, cause=Cause.NOT_ALLOWED)]))
    webhooks.test(id_, actor="ada")
    with capture_logs() as lines:
        one.look()
        one.look()
    (given_up,) = [line for line in lines if line["event"] == "webhook_given_up"]
    assert given_up["reason"] == "not_allowed"
    assert "example.org" not in str(lines)
    assert webhooks.list_deliveries(id_, limit=1).items[0].reason == reason


def test_one_worker_of_all_tells(registry: SqlRegistry, webhooks: Webhooks) -> None:
    webhooks.create(URL, actor="ada")
    first, second = Line(), Line()
    one, two = deliverer(registry, first, "one"), deliverer(registry, second, "two")
    happen(registry)
    assert [one.look(), two.look(), holder(registry)] == [1, 2, "one"]
    assert (first.deliveries, second.deliveries) == ([1], [])


def test_who_takes_over_sends_what_nobody_has_written_down(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_, first, second = webhooks.create(URL, actor="ada").webhook.id, Line(), Line()
    happen(registry)
    deliverer(registry, first, "one").look()  # and dies, before it has written down what came of it
    with registry.writing() as transaction:
        lease = transaction.find_lease(LEASE)
        assert lease is not None
        transaction.take_lease(LEASE, lease.holder, seconds=0)  # its time has passed
    two = deliverer(registry, second, "two")
    two.look()
    two.look()
    assert (first.deliveries, second.deliveries, log(webhooks, id_)) == ([1], [1], [(2, "delivered", 1)])
    assert first.sent[0][2] == second.sent[0][2]


@dataclass
class Meddled:
    """A registry before whose writes something happens."""

    registry: SqlRegistry
    before_write: Callable[[], object] = lambda: None

    def reading(self) -> Any:
        return self.registry.reading()

    @contextmanager
    def writing(self) -> Iterator[Any]:
        self.before_write()
        with self.registry.writing() as transaction:
            yield transaction


def be_busy() -> None:
    raise RegistryBusy("another writer holds it", retry_after_seconds=1)


def test_what_cannot_be_written_down_now_is_written_down_later_and_not_sent_again(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    id_, line = webhooks.create(URL, actor="ada").webhook.id, Line()
    happen(registry)
    meddled = Meddled(registry)
    one = deliverer(meddled, line)
    one.look()
    meddled.before_write = be_busy
    with pytest.raises(RegistryBusy):
        one.look()
    meddled.before_write = lambda: None
    one.look()
    assert (line.deliveries, log(webhooks, id_)) == ([1], [(2, "delivered", 1)])


def test_what_is_changed_while_a_round_has_begun_holds_for_what_it_sends(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    id_, line = webhooks.create(URL, actor="ada").webhook.id, Line()
    happen(registry)
    change = WebhookChange(url="https://example.com/elsewhere", needs_secret=True)
    deliverer(Meddled(registry, lambda: webhooks.change(id_, change, actor="ada")), line).look()
    ((url, headers, body),) = line.sent
    at = int(NOON.timestamp())
    expected = f"sha256={sign(webhooks.find(id_).secret, at, body)}"
    assert (url, headers["x-sardonyx-signature"]) == ("https://example.com/elsewhere", expected)


def test_what_is_not_wanted_moves_the_cursor_now_and_then_only(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_, line = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id, Line()
    one = deliverer(registry, line)
    happen(registry, 150)
    one.look()
    assert webhooks.find(id_).cursor == 0
    happen(registry, 250)
    one.look()
    assert (webhooks.find(id_).cursor, line.sent) == (401, [])


def test_an_inactive_webhook_is_told_nothing(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_, line = webhooks.create(URL, actor="ada").webhook.id, Line()
    webhooks.change(id_, WebhookChange(is_active=False), actor="ada")
    happen(registry)
    deliverer(registry, line).look()
    assert (line.sent, log(webhooks, id_)) == ([], [])


def test_who_ends_lets_others_go_on_at_once(registry: SqlRegistry, webhooks: Webhooks) -> None:
    webhooks.create(URL, actor="ada")
    one = deliverer(registry, Line())
    one.look()
    assert holder(registry) == "one"
    one.start()
    one.close()
    assert holder(registry) is None


def test_who_begins_to_stop_begins_nothing_more(registry: SqlRegistry, webhooks: Webhooks) -> None:
    webhooks.create(URL, actor="ada")
    line = Line()
    one = deliverer(registry, line)
    one.look()
    one.begin_to_end()
    happen(registry)
    one.start()
    one.close()
    assert (line.sent, holder(registry)) == ([], None)


def test_what_is_being_sent_at_the_end_is_cut_and_sent_again_by_others(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    with running_receiver() as receiver, ThreadPoolExecutor(4) as senders:
        receiver.behaviours = [hang]
        id_ = webhooks.create(receiver.url(), actor="ada").webhook.id
        sender = Sender(Places(are_private_allowed=True), whole_seconds=60.0)
        one = Deliverer(registry, CLOCK, send=sender.send, cut=sender.end, senders=senders, name="one", agent="x")
        happen(registry)
        one.start()
        receiver.take()
        one.close()
    assert (holder(registry), log(webhooks, id_)) == (None, [(2, "pending", 0)])
    assert one.told == Told()
