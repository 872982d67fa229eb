"""Names and versions that the shell offers while somebody types.

Pressing the tab key must never hurt:

1. What takes too long, or fails in any way, offers what has been found until then.
2. A hundred offers are enough. Models are read from where what has been typed would stand among their names, in order,
   so that ten thousand of them take as long as a hundred.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
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
    return _offers(context, lambda client: _version_numbers(client, model, incomplete))


def complete_alias(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the aliases of the model that stands before on the line."""
    model = _named(context)
    if not model:
        return []
    return _offers(context, lambda client: _alias_names(client, model, incomplete))


def complete_destination(context: typer.Context, incomplete: str) -> list[str]:
    """Offer where an alias may be rolled back to: the versions that it led to, and its moves."""
    model, alias = _named(context), context.params.get("alias") or PRODUCTION
    if not model:
        return []
    return _offers(context, lambda client: _destinations(client, model, alias, incomplete))


def _named(context: typer.Context) -> str | None:
    """Return the model that stands before on the line; behind an option without its value yet, it is among the rest."""
    found: str | None = context.params.get("name") or next(iter(context.args), None)
    return found


def _destinations(client: Client, model: str, alias: str, incomplete: str) -> Iterator[str]:
    """Yield versions and moves, newest first."""
    moves = [move for move in client.history(model) if move["alias"] == alias]
    versions = dict.fromkeys(str(move["to"]) for move in reversed(moves))
    places = (*versions, *(f"m{number}" for number in range(len(moves), 0, -1)))
    yield from (place for place in places if place.startswith(incomplete))


def _model_names(client: Client, incomplete: str) -> Iterator[str]:
    yield from (model["name"] for model in client.models_from(incomplete))


def _alias_names(client: Client, model: str, incomplete: str) -> Iterator[str]:
    yield from (name for name in client.show(model)["aliases"] if name.startswith(incomplete))


def _references(client: Client, incomplete: str) -> Iterator[str]:
    for sign, find in (("@", _alias_names), (":", _version_numbers)):
        model, found, rest = incomplete.partition(sign)
        if found:
            yield from (f"{model}{sign}{offer}" for offer in find(client, model, rest))
            return
    yield from _model_names(client, incomplete)


def _version_numbers(client: Client, model: str, incomplete: str) -> Iterator[str]:
    """Yield the numbers of what is not retired, newest first."""
    for version in client.versions(model):
        if version["state"] != "retired" and (number := str(version["version"])).startswith(incomplete):
            yield number


def _offers(context: typer.Context, find: Callable[[Client], Iterable[str]]) -> list[str]:
    from gateway.cli.connection import connect

    found: list[str] = []
    with suppress(Exception), _patience(_PATIENCE_SECONDS), connect(context.params.get("url")) as client:
        found.extend(islice(find(client), _MAX_OFFERS))
    return found


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
