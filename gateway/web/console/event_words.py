"""An event of the feed in a sentence: what has happened, without who and when."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from registry.events import Event, EventKind

_LONGEST = 300


def sentence(event: Event) -> str:
    """Return what has happened; of a kind that a later release has written, its name."""
    spell = _SENTENCES.get(event.kind)
    text = event.kind.value.replace("_", " ") if spell is None else spell(event, event.detail)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _moved(event: Event, detail: Mapping[str, Any]) -> str:
    match detail.get("kind"):
        case "canary" | "shadow" as kind:
            other = detail.get(kind)
            now = f"{kind} is version {other['version']} with {other['percent']:g} %" if other else f"{kind} is gone"
            text = f"{event.alias}: its {now}"
        case kind:
            before = detail.get("from")
            verb = "rolled back" if kind == "rollback" else "promoted"
            origin = "nothing" if before is None else f"version {before}"
            text = f"{event.alias} {verb}: {origin} \N{RIGHTWARDS ARROW} version {event.version}"
    reason = detail.get("reason")
    return f"{text} ({reason})" if reason else text


def _changed(event: Event, detail: Mapping[str, Any]) -> str:
    what = "the model" if event.version is None else f"version {event.version}"
    names = ", ".join(sorted(map(str, detail)))
    return f"{what} changed: {names}" if names else f"{what} changed"


def _because(words: str) -> Callable[[Event, Mapping[str, Any]], str]:
    def spell(event: Event, detail: Mapping[str, Any]) -> str:
        reason = detail.get("reason") or detail.get("cause")
        return f"version {event.version} {words}" + (f": {reason}" if reason else "")

    return spell


def _denied(_: Event, detail: Mapping[str, Any]) -> str:
    return (
        f"denied: {detail.get('method', '')} {detail.get('path', '')}, which needs the role {detail.get('needs', '')}"
    )


def _webhook_changed(_: Event, detail: Mapping[str, Any]) -> str:
    names = ", ".join(map(str, detail.get("changed", ())))
    return f"webhook {detail.get('webhook', '')} changed" + (f": {names}" if names else "")


def _webhook_failed(_: Event, detail: Mapping[str, Any]) -> str:
    text = f"webhook {detail.get('webhook', '')} was not told of event {detail.get('sequence', '')}"
    return f"{text}: {detail['reason']}" if detail.get("reason") else text


_SENTENCES: Final[Mapping[EventKind, Callable[[Event, Mapping[str, Any]], str]]] = {
    EventKind.ALIAS_MOVED: _moved,
    EventKind.MODEL_CHANGED: _changed,
    EventKind.VERSION_CHANGED: _changed,
    EventKind.MODEL_LOADED: lambda event, _: f"version {event.version} loaded by somebody's word",
    EventKind.MODEL_UNLOADED: lambda _, __: "unloaded by somebody's word",
    EventKind.VERSION_REGISTERED: lambda event, _: f"version {event.version} registered",
    EventKind.VERSION_RETIRED: lambda event, _: f"version {event.version} retired",
    EventKind.VERSION_CRASHED: _because("ended a process"),
    EventKind.VERSION_ISOLATED: _because("runs in a process of its own"),
    EventKind.VERSION_QUARANTINED: _because("runs no more"),
    EventKind.VERSION_CLEARED: _because("runs where it was asked to again"),
    EventKind.TOKEN_CREATED: lambda _, detail: (
        f"token {detail.get('name', '')} made, with the role {detail.get('role', '')}"
    ),
    EventKind.TOKEN_REVOKED: lambda _, detail: f"token {detail.get('name', '')} revoked",
    EventKind.ACCESS_DENIED: _denied,
    EventKind.WEBHOOK_CREATED: lambda _, detail: f"webhook {detail.get('webhook', '')} made",
    EventKind.WEBHOOK_CHANGED: _webhook_changed,
    EventKind.WEBHOOK_DELETED: lambda _, detail: f"webhook {detail.get('webhook', '')} deleted",
    EventKind.WEBHOOK_FAILED: _webhook_failed,
}
