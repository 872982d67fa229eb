"""What administrators ask of a gateway beside promotions: tokens, versions that misbehave, what to watch."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.client.references import model_path
from gateway.client.webhooks import WebhookCalls
from gateway.client.wire import Wire, read_document


class Administration(WebhookCalls):
    """The part of a client that is about access tokens, the quarantine, metrics, events and files."""

    _wire: Wire

    def create_token(
        self, name: str, *, role: str, models: str | None = None, expires: str | None = None
    ) -> Mapping[str, Any]:
        """Make an access token; the answer's ``token`` is what its owner presents, and is never shown again."""
        wishes = {"name": name, "role": role, "models": models, "expires": expires}
        document = {key: wish for key, wish in wishes.items() if wish is not None}
        return read_document(self._wire.send("POST", "/registry/tokens", document=document))

    def tokens(self) -> list[Mapping[str, Any]]:
        """Return the access tokens, oldest first, those that are no longer good included."""
        return list(self._wire.pages("/registry/tokens"))

    def revoke_token(self, token_id: str) -> Mapping[str, Any]:
        """Revoke an access token; revoking it again changes nothing."""
        return self._wire.call("DELETE", f"/registry/tokens/{quote(token_id, safe='')}")

    def quarantine(self) -> list[Mapping[str, Any]]:
        """Return the versions that do not run beside all others, each with where it runs and why."""
        return list(self._wire.pages("/registry/quarantine"))

    def clear(self, model: str, version: int) -> Mapping[str, Any]:
        """Forget what a version has done and return it; clearing it again changes nothing."""
        return self._wire.call("DELETE", f"/registry/quarantine/{quote(model, safe='')}/{version}")

    def metrics(self) -> str:
        """Return the gateway's counts in Prometheus's text format."""
        return self._wire.request("GET", "/metrics", headers={"accept": "text/plain"}, body=None).body.decode()

    def events_page(self, *, after: int, limit: int = 1000) -> tuple[list[Mapping[str, Any]], int]:
        """Return what the change feed has behind a sequence number, and the number to go on behind.

        The feed leaves out what a token may not see: nothing returned is no sign of the end, the same number is.
        """
        page = self._wire.get(f"/registry/events?after={after}&limit={limit}")
        items = page.items_in()
        last = items[-1].number("sequence") if items else after
        return list(items), page.number("next") if page["next"] else last

    def artifact(self, model: str, version: int) -> bytes:
        """Return the bytes of a version's graph, without the external data beside it; all in memory."""
        path = model_path(model, "versions", version, "artifact")
        return self._wire.request("GET", path, headers={}, body=None, is_repeatable=True).body
