"""The thread that tells events to webhooks.

Rules:
    1. One worker of all hosts does it: whoever has the lease, a row that is taken by comparing and setting it on the
       database's clock. It is renewed while its holder lives; when that one dies, another takes it seconds later.
    2. An attempt is begun only if it must be over before the lease is, so that two never send at the same time. Who
       sends and dies before it was written down is followed by somebody who sends it again: at least once.
    3. This thread alone visits the registry, in short transactions; threads of the pool send, one for each webhook at
       most, whoever has asked for what is sent. What they bring back is kept until it could be written down.
    4. Where there is no webhook, nothing is asked but once a minute, and nothing is written.
    5. A worker that begins to stop begins nothing more. What it is sending has time until it ends; what is cut then
       counts as no attempt, so that whoever goes on sends it at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from secrets import SystemRandom, token_hex
from time import monotonic
from typing import Final, Protocol

import structlog

from gateway.metrics import Merge, Reading
from gateway.webhooks.addresses import LOOK_UP_SECONDS
from gateway.webhooks.sending import WHOLE_SECONDS
from registry.errors import ServiceError
from registry.events import Event
from registry.ports import Clock
from registry.webhook import MOST_WAITING, Cause, Delivery, DeliveryState, Outcome, Webhook, body_of, sign
from registry.webhook_ports import Lease, WebhookCatalog, WebhookRegistry
from registry.webhooks import record, take_up

LEASE: Final = "webhooks"
LEASE_SECONDS: Final = 15.0
RENEW_SECONDS: Final = 3.0
"""How often the holder renews its lease."""

SENDING_THREADS: Final = 4

_ATTEMPT_SECONDS: Final = WHOLE_SECONDS + LOOK_UP_SECONDS
"""The longest that an attempt takes, the look-up of its name included."""

_HOLDER_LOOKS_SECONDS: Final = 1.0
_OTHERS_LOOK_SECONDS: Final = 2.0
_NOBODY_LOOKS_SECONDS: Final = 60.0
_AFTER_TROUBLE_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 1.0
"""For what is being sent at the very end."""

_END_SECONDS: Final = LOOK_UP_SECONDS + 3.0


class Send(Protocol):
    """Makes one attempt; see ``gateway.webhooks.sending.Sender.send``."""

    def __call__(self, url: str, *, headers: dict[str, str], body: bytes) -> Outcome | None:
        """POST a body and return what became of it; None if it was cut."""
        ...


@dataclass(slots=True)
class Told:
    """What this worker's attempts have come to."""

    delivered: int = 0
    failed_attempts: int = 0
    given_up: int = 0


class Deliverer:
    """Tells events while it is started; safe for threads.

    Args:
        registry: where webhooks, deliveries and the lease are.
        clock: for signatures and events.
        send: makes an attempt.
        cut: ends all attempts at once, those that are begun later too.
        senders: whose threads do that.
        name: of this worker, for the lease: unlike any other's, also after a restart.
        agent: what calls itself in requests.
    """

    def __init__(
        self,
        registry: WebhookRegistry,
        clock: Clock,
        *,
        send: Send,
        cut: Callable[[], None],
        senders: Executor,
        name: str,
        agent: str,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._send = send
        self._cut = cut
        self._senders = senders
        self._agent = agent
        self._name = f"{name}:{token_hex(4)}"
        self._draw = SystemRandom().random
        self._held_until = 0.0
        self._renew_at = 0.0
        self._seen: dict[str, int] = {}
        self._sending: dict[int, str] = {}  # deliveries, and their webhooks
        self._done: deque[tuple[Delivery, Outcome]] = deque()
        self._woken = threading.Event()
        self._is_ending = False
        self._is_in_trouble = False
        self._thread = threading.Thread(target=self._go_on, name="webhooks", daemon=True)
        self.told = Told()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once: something may have happened that is to be told."""
        self._woken.set()

    def begin_to_end(self) -> None:
        """Begin nothing more, and let others go on as soon as what is being sent is done."""
        self._is_ending = True
        self._woken.set()

    def close(self) -> None:
        """End, and cut what is still being sent after a moment; blocks for some seconds at most."""
        self.begin_to_end()
        if self._thread.is_alive():
            self._thread.join(timeout=_GRACE_SECONDS)
            self._cut()
            self._thread.join(timeout=_END_SECONDS)

    def readings(self) -> Sequence[Reading]:
        """Return what the metrics show."""
        told = self.told
        return (
            Reading("sardonyx_webhook_delivered", "Deliveries that webhooks have taken", told.delivered, Merge.COUNT),
            Reading(
                "sardonyx_webhook_failed_attempts", "Attempts that came to nothing", told.failed_attempts, Merge.COUNT
            ),
            Reading("sardonyx_webhook_given_up", "Deliveries that were given up", told.given_up, Merge.COUNT),
        )

    def _go_on(self) -> None:
        while not self._is_ending:
            self._woken.wait(timeout=self._round())
            self._woken.clear()
        self._senders.shutdown(wait=True, cancel_futures=True)
        with suppress(ServiceError):
            self._record()
            if self._held_until:
                with self._registry.writing() as transaction:
                    transaction.drop_lease(LEASE, self._name)

    def _round(self) -> float:
        """Look once, and return after how many seconds to look again; whatever happens, there is a next time."""
        try:
            seconds = self.look()
        except ServiceError as error:
            if not self._is_in_trouble:  # an outage is one line of the log
                structlog.get_logger().warning("webhooks_wait", code=error.code)
            self._is_in_trouble = True
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not end all telling
            structlog.get_logger().error("webhooks_in_trouble", exc_info=error)
        else:
            self._is_in_trouble = False
            return seconds
        return _AFTER_TROUBLE_SECONDS

    def look(self) -> float:
        """Do what is to be done now, and return after how many seconds to look again.

        Raises:
            RegistryUnavailable, RegistryBusy, SchemaMismatch: nothing is lost, look again later.
        """
        self._record()
        with self._registry.reading() as catalog:
            webhooks = catalog.list_webhooks()
            lease, now, latest = catalog.find_lease(LEASE), catalog.now(), catalog.latest_sequence()
        if not webhooks:
            self._held_until = 0.0
            return _NOBODY_LOOKS_SECONDS
        is_free = lease is None or lease.holder == self._name or lease.until <= now
        if not is_free or not self._hold(lease):
            self._held_until = 0.0
            return _OTHERS_LOOK_SECONDS
        for webhook in webhooks:
            if webhook.is_active and latest > max(webhook.cursor, self._seen.get(webhook.id, 0)):
                self._take_up(webhook.id, latest)
        self._send_due()
        return _HOLDER_LOOKS_SECONDS

    def _hold(self, lease: Lease | None) -> bool:
        """Take or renew the lease if that is due, and return whether this worker has it."""
        began = monotonic()
        is_mine = lease is not None and lease.holder == self._name
        if not is_mine or began >= self._renew_at:
            with self._registry.writing() as transaction:
                if not transaction.take_lease(LEASE, self._name, seconds=LEASE_SECONDS):
                    return False
            self._held_until, self._renew_at = began + LEASE_SECONDS, began + RENEW_SECONDS
            if not is_mine:
                structlog.get_logger().info("webhooks_taken_over", holder=self._name)
        return True

    def _take_up(self, webhook_id: str, latest: int) -> None:
        """Write down what a webhook is to be told; events that it does not want are passed over without a write."""
        with self._registry.reading() as catalog:
            webhook = catalog.find_webhook(webhook_id)
            seen = max(self._seen.get(webhook_id, 0), 0 if webhook is None else webhook.cursor)
            events = catalog.list_events(after=seen, limit=_PASSED_OVER)
            is_full = catalog.count_waiting(webhook_id) >= MOST_WAITING
        if webhook is None or is_full:
            return
        if len(events) < _PASSED_OVER and not any(map(webhook.wants, events)):
            self._seen[webhook_id] = events[-1].sequence if events else latest
            return
        with self._registry.writing() as transaction:
            found = transaction.find_webhook(webhook_id)
            if found is not None and found.is_active:
                take_up(transaction, found)

    def _send_due(self) -> None:
        if monotonic() + _ATTEMPT_SECONDS > self._held_until:
            return
        with self._registry.reading() as catalog:
            due = self._choose(catalog.list_due(at=catalog.now(), limit=_MOST_AT_ONCE))
            # Not those that the round began with: secrets and addresses may have been changed while it wrote.
            webhooks = {webhook.id: webhook for webhook in catalog.list_webhooks()} if due else {}
            bodies = [
                (delivery, body_of(delivery, _event_of(catalog, delivery)))
                for delivery in due
                if delivery.webhook in webhooks
            ]
        for delivery, body in bodies:
            self._sending[delivery.id] = delivery.webhook
            self._senders.submit(self._attempt, webhooks[delivery.webhook], delivery, body)

    def _choose(self, due: Sequence[Delivery]) -> list[Delivery]:
        """Return what there are threads for: one delivery at most of each webhook to which nothing is being sent."""
        busy = set(self._sending.values())
        firsts: dict[str, Delivery] = {}
        for delivery in due:
            if delivery.webhook not in busy:
                firsts.setdefault(delivery.webhook, delivery)
        return list(firsts.values())[: max(0, SENDING_THREADS - len(self._sending))]

    def _attempt(self, webhook: Webhook, delivery: Delivery, body: bytes) -> None:
        try:
            outcome = self._send(webhook.url, headers=self._headers(webhook, delivery, body), body=body)
        except Exception as error:  # noqa: BLE001 - it is tried again, as whatever else fails
            structlog.get_logger().error("webhook_attempt_broke", webhook=webhook.id, exc_info=error)
            reason = "a mistake of the gateway's; its log says more"
            outcome = Outcome(seconds=0.0, reason=reason, cause=Cause.BROKEN)
        if outcome is not None:
            self._done.append((delivery, outcome))
        self._woken.set()

    def _headers(self, webhook: Webhook, delivery: Delivery, body: bytes) -> dict[str, str]:
        timestamp = int(self._clock.now().timestamp())
        return {
            "content-type": "application/json",
            "user-agent": self._agent,
            "x-sardonyx-event": delivery.kind,
            "x-sardonyx-delivery": str(delivery.id),
            "x-sardonyx-timestamp": str(timestamp),
            "x-sardonyx-signature": f"sha256={sign(webhook.secret, timestamp, body)}",
        }

    def _record(self) -> None:
        """Write down what attempts have come to, all at once; what cannot be written now is kept."""
        done = list(self._done)
        if not done:
            return
        with self._registry.writing() as transaction:
            settled = [
                record(transaction, delivery, outcome, draw=self._draw, clock=self._clock) for delivery, outcome in done
            ]
        for (delivery, outcome), after in zip(done, settled, strict=True):
            self._done.popleft()
            self._sending.pop(delivery.id, None)
            self._count(outcome, after)

    def _count(self, outcome: Outcome, after: Delivery | None) -> None:
        self.told.delivered += outcome.is_good
        self.told.failed_attempts += not outcome.is_good
        if after is not None and after.state is DeliveryState.FAILED:
            self.told.given_up += 1
            structlog.get_logger().warning(
                "webhook_given_up",
                webhook=after.webhook,
                delivery=after.id,
                attempts=after.attempts,
                reason=outcome.category,
            )


def _event_of(catalog: WebhookCatalog, delivery: Delivery) -> Event | None:
    """Return what a delivery tells; None for a test."""
    events = () if delivery.sequence is None else catalog.list_events(after=delivery.sequence - 1, limit=1)
    return events[0] if events else None


_PASSED_OVER: Final = 200
"""So many events that a webhook does not want are passed over before its cursor is moved."""

_MOST_AT_ONCE: Final = 256
