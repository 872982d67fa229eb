"""What a gateway knows, as methods: versions, models, aliases, moves, events, workers."""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, Final
from urllib.parse import urlencode

from gateway.client.following import wait_until_followed
from gateway.client.input_report import InputReport
from gateway.client.listings import History, ModelInfo, Models, Versions
from gateway.client.references import PRODUCTION, Target, model_path, parse_target
from gateway.client.versions import VersionInfo
from gateway.client.wire import Document, Wire, not_a_gateway

_PART_OF_A_NAME: Final = re.compile("[a-z0-9._-]{0,128}")


class Reading:
    """The part of a client that looks things up. What never changes, and what an alias last meant, is remembered."""

    _wire: Wire
    _versions: dict[tuple[str, int], VersionInfo]
    _aliases: dict[tuple[str, str], int]

    def version(self, model: str, number: int) -> VersionInfo:
        """Return one version, remembered from the last time: a version's bytes and signature never change."""
        known = self._versions.get((model, number))
        if known is None:
            document = self._wire.get(model_path(model, "versions", number))
            if not _has_signature(document):
                raise not_a_gateway("it has no signature")
            known = VersionInfo(document)
            self._versions[model, number] = known
        return known

    def versions(self, model: str) -> Versions:
        """Return a model's versions, newest first, retired ones included."""
        return Versions(self._wire.pages(model_path(model, "versions")))

    def example(self, model: str, version: int) -> Mapping[str, Any]:
        """Return a body that the version's predict route accepts."""
        document = self._wire.get(model_path(model, "versions", version, "openapi.json"))
        path = parse_target(f"{model}:{version}").predict_path
        try:
            body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            return Document(body["example"])
        except (KeyError, TypeError, ValueError):
            raise not_a_gateway("it describes no predict route with an example") from None

    def snippets(self, model: str, version: int, *, base_url: str | None = None) -> Mapping[str, Any]:
        """Return programs that call a version: ``items`` with ``language`` and ``code``, and what is ``left_out``.

        Args:
            model: its name.
            version: its number.
            base_url: where the programs are to find the gateway, if not where this client does.
        """
        query = "" if base_url is None else "?" + urlencode({"base_url": base_url})
        return self._wire.get(model_path(model, "versions", version, "snippets") + query)

    def examples(self, model: str, version: int) -> list[Mapping[str, Any]]:
        """Return a version's golden examples."""
        return list(self._wire.get(model_path(model, "versions", version, "examples")).items_in())

    def inputs(self, reference: str) -> InputReport:
        """Return what requests bring to the version that ``NAME@ALIAS`` or ``NAME:N`` means, or ``NAME``: what is live.

        It is of the gateway's host that answers, and empty until some requests have come.

        Raises:
            Conflict: the gateway looks at no inputs (``input_statistics_off``).
        """
        target = parse_target(reference)
        version = target.version or self._resolve_anew(target)
        return InputReport(self._wire.get(model_path(target.model, "versions", version, "inputs")))

    def models(self, query: str | None = None) -> Models:
        """Return the models, by name; those whose name or description contains ``query``, if given."""
        return Models(self._wire.pages("/registry/models", **({"q": query} if query else {})))

    def models_from(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        """Yield the models whose names begin so, by name; pages are asked for as they are needed."""
        if _PART_OF_A_NAME.fullmatch(prefix) is None:
            return iter(())
        # The list goes on behind a name: behind the greatest that is smaller than any of these. "~" is above all signs.
        query = {"after": f"{prefix[:-1]}{chr(ord(prefix[-1]) - 1)}~"} if prefix else {}
        return takewhile(lambda model: model["name"].startswith(prefix), self._wire.pages("/registry/models", **query))

    def show(self, reference: str) -> Mapping[str, Any]:
        """Return the version that ``NAME@ALIAS`` or ``NAME:N`` means, or the model that ``NAME`` means."""
        target = parse_target(reference)
        if target.version is None and target.alias is None:
            return ModelInfo(self._wire.get(model_path(target.model)))
        version = target.version or self._resolve_anew(target)
        return self._wire.get(model_path(target.model, "versions", version))

    def alias(self, model: str, alias: str = PRODUCTION) -> Mapping[str, Any]:
        """Return what an alias points to."""
        return self._wire.get(model_path(model, "aliases", alias))

    def history(self, model: str) -> History:
        """Return every move of the model's aliases, in the gateway's order."""
        return History(self._wire.pages(model_path(model, "history")))

    def shadow_report(self, model: str, *, alias: str = PRODUCTION) -> Mapping[str, Any]:
        """Return what comparing a shadow's answers with the live ones has shown so far."""
        return self._wire.get(model_path(model, "aliases", alias, "shadow"))

    def events(self, *, after: int = 0, limit: int = 100) -> list[Mapping[str, Any]]:
        """Return the change feed behind a sequence number, at most ``limit`` rows."""
        return list(self._wire.get(f"/registry/events?after={after}&limit={limit}").items_in())

    def workers(self) -> list[Mapping[str, Any]]:
        """Return the live workers, with the sequence number that each has applied."""
        return list(self._wire.pages("/registry/workers"))

    def wait(self, moved: Mapping[str, Any], *, timeout_seconds: float = 30.0) -> int:
        """Return, once every live worker answers by a move, how many there are.

        Args:
            moved: what ``promote``, ``rollback`` or ``canary`` gave back.
            timeout_seconds: how long it may take.

        Raises:
            MoveNotFollowed: it takes longer; what was moved stays moved.
        """
        return wait_until_followed(self.workers, moved["sequence"], timeout_seconds=timeout_seconds)

    def _moved_from(self, number: int, target: Target) -> int | None:
        """Look up anew what the target means; None if it is still the version whose signature was used."""
        self._forget(target)
        found = self._resolve(target)
        return None if found == number else found

    def _forget(self, target: Target) -> None:
        """Have the alias looked up again before it is used again."""
        self._aliases.pop((target.model, target.alias or PRODUCTION), None)

    def _resolve(self, target: Target) -> int:
        if target.version is not None:
            return target.version
        key = target.model, target.alias or PRODUCTION
        found = self._aliases.get(key)  # other threads forget and look up as well: what is returned is read once
        if found is None:
            found = self._aliases[key] = self._resolve_anew(target)
        return found

    def _resolve_anew(self, target: Target) -> int:
        return self._wire.get(model_path(target.model, "aliases", target.alias or PRODUCTION)).number("version")


def _has_signature(document: Mapping[str, Any]) -> bool:
    """Return whether a document says what a version takes and gives, as every gateway does."""
    signature = document.get("signature")
    lists = [signature.get(name) for name in ("inputs", "outputs")] if isinstance(signature, dict) else [None]
    fields = ("name", "dtype", "shape")
    return all(
        isinstance(specs, list)
        and all(isinstance(spec, dict) and all(map(spec.__contains__, fields)) for spec in specs)
        for specs in lists
    )
