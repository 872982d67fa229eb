"""A program that registers, promotes or rolls back, and kills itself on the way: what `bench.deaths` starts.

    python -m bench.dying '{"do": "promote", "model": "m", "version": 2, "fuse": ["commit", "before", 1]}'

1. It works with the parts of its settings, the real ones, in the order in which the gateway does. Each part stands
   behind a `Mortal`, which passes calls on and tells a `Fuse` of them.
2. The fuse names a call, and whether this process dies before it, after it, or while it lasts; and at which time of
   being called. It dies as under the kernel's hand (SIGKILL): nothing is cleared away, no transaction rolled back.
3. Without a fuse it does what it is told, prints what came of it as JSON, and ends with 0.
"""

import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.parts import Parts, create_embedded_database, open_parts
from gateway.settings import load_settings
from model_store.streams import Spool
from registry.artifact import MODEL_FILE
from registry.promotion import Proposal
from registry.registration import Registered
from registry.rehearsal import Rehearsal

ACTOR = "mortal"
AMID_SECONDS = 0.2
"""How long a call lasts that its process dies in."""


class Fuse:
    """Kills this process at one of many calls."""

    def __init__(self, call: str = "", moment: str = "", count: int = 1) -> None:
        self._call = call
        self._moment = moment
        self._left = count

    def pass_by(self, call: str, moment: str) -> None:
        """Die, if it is here."""
        if (call, moment) == (self._call, self._moment):
            self._left -= 1
            if self._left == 0:
                _die()

    @contextmanager
    def along(self, call: str) -> Iterator[None]:
        """Die before, in or after the block, if it is here."""
        self.pass_by(call, "before")
        if (call, self._moment) == (self._call, "amid"):
            threading.Timer(AMID_SECONDS, _die).start()
        yield
        self.pass_by(call, "after")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Passes everything on to a part, and tells the fuse of the calls."""

    def __init__(self, part: Any, name: str, fuse: Fuse) -> None:
        self._part = part
        self._name = name
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._told(found, f"{self._name}.{name}") if callable(found) else found

    def _told(self, function: Callable[..., Any], call: str) -> Callable[..., Any]:
        def told(*arguments: Any, **words: Any) -> Any:
            with self._fuse.along(call):
                return function(*arguments, **words)

        return told


class MortalRegistry(Mortal):
    """A registry whose transactions may be died in."""

    @contextmanager
    def writing(self) -> Iterator[Mortal]:
        """Open a transaction, as registry.ports.Registry."""
        self._fuse.pass_by("writing", "before")
        with self._part.writing() as transaction:
            yield Mortal(transaction, "transaction", self._fuse)
            self._fuse.pass_by("commit", "before")
        self._fuse.pass_by("commit", "after")


def make_mortal(parts: Parts, fuse: Fuse) -> Parts:
    """Return the same parts, with the fuse in all that the use cases talk to."""
    registry: Any = MortalRegistry(parts.registry, "registry", fuse)
    store, folders, inspector = (
        Mortal(part, name, fuse)
        for part, name in ((parts.store, "store"), (parts.folders, "folders"), (parts.inspector, "inspector"))
    )
    rehearsal = Rehearsal(registry=registry, folders=folders, inspector=inspector, clock=parts.clock)
    mortal: dict[str, Any] = {
        "registry": registry,
        "store": store,
        "folders": folders,
        "inspector": inspector,
        "rehearsal": rehearsal,
    }
    return dataclasses.replace(parts, **mortal)


def register(parts: Parts, fuse: Fuse, orders: Mapping[str, Any]) -> dict[str, Any]:
    """Do what POST /registry/models/{name}/versions does with the bytes of a file."""
    content = Path(orders["files"][MODEL_FILE]).read_bytes()
    with Spool(parts.settings.spool_dir, parts.settings.max_upload_bytes) as spool:
        upload = _receive(Mortal(spool, "spool", fuse), content)
        return _told(parts.registration().register_upload(orders["model"], upload, actor=ACTOR))


def register_files(parts: Parts, fuse: Fuse, orders: Mapping[str, Any]) -> dict[str, Any]:
    """Do what PUT /registry/blobs does with each file, and then POST /registry/models/{name}/versions."""
    registration = parts.registration()
    digests = {}
    for name, path in orders["files"].items():
        with Spool(parts.settings.spool_dir, parts.settings.max_upload_bytes) as spool:
            upload = _receive(Mortal(spool, "spool", fuse), Path(path).read_bytes())
            registration.put_blob(upload, announced=upload.digest)
            digests[name] = upload.digest
    return _told(registration.register_blobs(orders["model"], digests, actor=ACTOR))


def promote(parts: Parts, _fuse: Fuse, orders: Mapping[str, Any]) -> dict[str, Any]:
    """Do what PUT /registry/models/{name}/aliases/production does."""
    proposal = Proposal(version=orders["version"])
    moved = parts.promotion().move(orders["model"], "production", proposal, actor=ACTOR)
    return {"version": moved.alias.version, "is_new": moved.move is not None}


def roll_back(parts: Parts, _fuse: Fuse, orders: Mapping[str, Any]) -> dict[str, Any]:
    """Do what POST /registry/models/{name}/aliases/production/rollback does for a version."""
    moved = parts.promotion().rollback(orders["model"], "production", to=orders["version"], actor=ACTOR)
    return {"version": moved.alias.version, "is_new": moved.move is not None}


def _receive(spool: Any, content: bytes) -> Any:
    middle = len(content) // 2
    spool.write(content[:middle])
    spool.write(content[middle:])
    return spool.finish()


def _told(registered: Registered) -> dict[str, Any]:
    return {"version": registered.version.number, "is_new": registered.is_new}


DEEDS: Mapping[str, Callable[[Parts, Fuse, Mapping[str, Any]], dict[str, Any]]] = {
    "register": register,
    "register_files": register_files,
    "promote": promote,
    "roll_back": roll_back,
}


def main() -> int:
    orders = json.loads(sys.argv[1])
    fuse = Fuse(*orders.get("fuse", ()))
    settings = load_settings()
    create_embedded_database(settings)
    opened = open_parts(settings)
    came_of_it = DEEDS[orders["do"]](make_mortal(opened, fuse), fuse, orders)
    opened.close()
    print(json.dumps(came_of_it))
    return 0


if __name__ == "__main__":
    sys.exit(main())
