"""From a command line to a gateway: the one at a URL, or our own application in this process.

1. There is one implementation of every command, the REST contract. Without a URL the application is called directly, on
   the database of the settings, so that a rollback works while the gateway is down.
2. Files that root would create in somebody else's data folder would lock that somebody out: as root, the command
   becomes the folder's owner first, for good.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gateway.cli.exits import CommandFailed, ExitCode
from gateway.client.client import Client
from gateway.host import become_owner

if TYPE_CHECKING:
    from gateway.settings import Settings


@contextmanager
def connect(url: str | None) -> Iterator[Client]:
    """Give a client for the gateway at the URL, or at SARDONYX_URL, or for the database of the settings.

    Raises:
        CommandFailed: the settings make no sense.
        ServiceError: the database or the store of the settings cannot be used.
    """
    from gateway.settings import client_settings

    found = client_settings()
    address = url or found.url
    if address is not None:
        with Client(address, token=found.token, patience_seconds=0) as client:  # exit code 75 tells a script to wait
            yield client
        return
    actor = actor_name()
    # Only now is it known that the application is needed; importing it takes most of a second. As the folder's owner,
    # who may not be allowed to read where it lies, it could not be imported.
    from gateway.app import Application
    from gateway.cli.local_transport import LocalTransport

    settings = local_settings()

    with Client(transport=LocalTransport(Application(settings, is_worker=False), actor=actor)) as client:
        yield client


@contextmanager
def connect_live(url: str | None) -> Iterator[tuple[Client, str]]:
    """Give a client for a gateway that runs, and its address: at the URL, at SARDONYX_URL, or where the settings say.

    What a gateway counts and how quickly it answers is known to that gateway alone, not to its database.

    Raises:
        CommandFailed: the settings make no sense.
    """
    from gateway.settings import client_settings

    address = public_url(url)[0]
    with Client(address, token=client_settings().token) as client:
        yield client, address


def public_url(url: str | None) -> tuple[str, bool]:
    """Return where predict requests can be sent, for a line to try, and whether they need a token."""
    from gateway.settings import client_settings

    found = client_settings()
    address = url or found.url
    if address is not None:
        return address.rstrip("/"), found.token is not None
    settings = read_settings()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}", settings.is_auth_on


def local_settings() -> "Settings":
    """Read the settings and become the owner of their data folder."""
    from gateway.telemetry import configure_logs

    settings = read_settings()
    configure_logs("error")  # to standard error, as everywhere: the output is the command's
    become_owner(settings.data_dir)
    return settings


def read_settings(**overrides: Any) -> "Settings":
    """Read the settings, with what the command line says on top.

    Raises:
        CommandFailed: bad input, naming each setting that makes no sense.
    """
    from pydantic import ValidationError

    from gateway.settings import load_settings

    try:
        return load_settings(**overrides)
    except ValidationError as error:
        faults = "; ".join(_spell_fault(fault["loc"], fault["msg"]) for fault in error.errors())
        raise CommandFailed(
            ExitCode.BAD_INPUT, code="invalid_settings", title="The settings make no sense", detail=faults
        ) from None


def actor_name() -> str:
    """Return who types, for the history: the login name, which survives sudo, or else the user's."""
    try:
        return os.getlogin()
    except OSError:
        return _user_name(os.getuid())


def _user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"uid {user_id}"


def _spell_fault(location: tuple[int | str, ...], message: str) -> str:
    words = message.removeprefix("Value error, ")
    return ": ".join((*(str(part) for part in location), words))
