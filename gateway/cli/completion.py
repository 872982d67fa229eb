"""Names and versions that the shell offers while somebody types.

Pressing the tab key must never hurt: an answer that takes too long, or fails in any way, is no answer.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from gateway.client.client import Client
from gateway.client.references import PRODUCTION

_PATIENCE_SECONDS = 2.0
_MAX_OFFERS = 100


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """Offer models' names."""
    return _offers(context, lambda client: _model_names(client, incomplete))


def complete_reference(context: typer.Context, incomplete: str) -> list[str]:
    """Offer models' names, and after ``NAME@`` or ``NAME:`` the aliases or versions of that model."""
    return _offers(context, lambda client: _references(client, incomplete))


def complete_version(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the versions of the model that stands before on the line."""
    model = _named(context)
    if not model:
        return []
    numbers = _offers(context, lambda client: [str(version) for version in _version_numbers(client, model)])
    return [number for number in numbers if number.startswith(incomplete)]


def complete_alias(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the aliases of the model that stands before on the line."""
    model = _named(context)
    if not model:
        return []
    names = _offers(context, lambda client: list(client.show(model)["aliases"]))
    return [name for name in names if name.startswith(incomplete)]


def complete_destination(context: typer.Context, incomplete: str) -> list[str]:
    """Offer where an alias may be rolled back to: the versions that it led to, and its moves."""
    model, alias = _named(context), context.params.get("alias") or PRODUCTION
    if not model:
        return []
    offers = _offers(context, lambda client: _destinations(client, model, alias))
    return [offer for offer in offers if offer.startswith(incomplete)]


def _named(context: typer.Context) -> str | None:
    """Return the model that stands before on the line; behind an option without its value yet, it is among the rest."""
    found: str | None = context.params.get("name") or next(iter(context.args), None)
    return found


def _destinations(client: Client, model: str, alias: str) -> list[str]:
    """Return versions and moves, newest first."""
    moves = [move for move in client.history(model) if move["alias"] == alias]
    versions = dict.fromkeys(str(move["to"]) for move in reversed(moves))
    return [*versions, *(f"m{number}" for number in range(len(moves), 0, -1))]


def _model_names(client: Client, incomplete: str) -> list[str]:
    return [name for model in client.models(incomplete or None) if (name := model["name"]).startswith(incomplete)]


def _references(client: Client, incomplete: str) -> list[str]:
    model, at, alias = incomplete.partition("@")
    if at:
        return [f"{model}@{name}" for name in client.show(model)["aliases"] if name.startswith(alias)]
    model, colon, number = incomplete.partition(":")
    if colon:
        return [f"{model}:{found}" for found in _version_numbers(client, model) if str(found).startswith(number)]
    return _model_names(client, incomplete)


def _version_numbers(client: Client, model: str) -> list[int]:
    return [version["version"] for version in client.versions(model) if version["state"] != "retired"]


def _offers(context: typer.Context, find: Callable[[Client], list[str]]) -> list[str]:
    from gateway.cli.connection import connect

    try:
        with _patience(_PATIENCE_SECONDS), connect(context.params.get("url")) as client:
            return find(client)[:_MAX_OFFERS]
    except Exception:  # noqa: BLE001 - see the top of this file
        return []


class _TookTooLong(Exception):  # noqa: N818 - it never leaves this module
    """The patience of whoever pressed the key has run out."""


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Interrupt whatever is going on in the main thread after so many seconds."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise _TookTooLong

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
