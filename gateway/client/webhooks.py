"""What administrators ask of a gateway about webhooks."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from gateway.client.wire import Wire, read_document

_PATH = "/registry/webhooks"


class WebhookCalls:
    """The part of a client that is about webhooks."""

    _wire: Wire

    def create_webhook(
        self, url: str, *, kinds: Sequence[str] = (), models: Sequence[str] = (), is_active: bool = True
    ) -> Mapping[str, Any]:
        """Make a webhook; the answer's ``secret`` is what its receiver checks signatures with, shown this once."""
        wishes = {"url": url, "kinds": list(kinds), "models": list(models), "active": is_active}
        return read_document(self._wire.send("POST", _PATH, document=wishes))

    def webhooks(self) -> list[Mapping[str, Any]]:
        """Return the webhooks, oldest first."""
        return list(self._wire.pages(_PATH))

    def webhook(self, webhook_id: str) -> Mapping[str, Any]:
        """Return one webhook."""
        return self._wire.get(_path(webhook_id))

    def change_webhook(self, webhook_id: str, **wishes: Any) -> Mapping[str, Any]:
        """Change ``url``, ``kinds``, ``models`` or ``active``; with ``new_secret=True`` the answer has a ``secret``."""
        return self._wire.call("PATCH", _path(webhook_id), document=wishes)

    def delete_webhook(self, webhook_id: str) -> None:
        """Forget a webhook and its log."""
        self._wire.call("DELETE", _path(webhook_id))

    def webhook_deliveries(self, webhook_id: str, *, limit: int = 100) -> list[Mapping[str, Any]]:
        """Return the newest deliveries of a webhook, newest first."""
        return list(islice(self._wire.pages(f"{_path(webhook_id)}/deliveries", limit=str(min(limit, 1000))), limit))

    def redeliver(self, webhook_id: str, delivery: int) -> Mapping[str, Any]:
        """Have something delivered once more, and return the new delivery, which has not begun."""
        return read_document(self._wire.send("POST", f"{_path(webhook_id)}/deliveries/{delivery}/redeliver"))

    def test_webhook(self, webhook_id: str) -> Mapping[str, Any]:
        """Have a ping delivered, and return the delivery, which has not begun."""
        return read_document(self._wire.send("POST", f"{_path(webhook_id)}/test"))


def _path(webhook_id: str) -> str:
    return f"{_PATH}/{quote(webhook_id, safe='')}"
