"""What the deaths of `bench.deaths` happen to: a registry and a store, and a process that works on with them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.dying import DEEDS, Fuse
from bench.servers import ROOT
from gateway.parts import create_embedded_database, open_parts
from gateway.settings import load_settings
from registry.artifact import MODEL_FILE, Digest, make_artifact
from tests.support import models
from tests.support.artifacts import digest_of_bytes
from tests.support.gateway_process import SARDONYX, clean_environment

MODEL = "mortal"
SIDE_FILE = "model.onnx.data"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that the registry says of the model."""

    versions: tuple[tuple[int, Digest], ...]
    alias: tuple[int, int] | None
    """The version and the generation."""
    moves: tuple[tuple[str, int | None, int], ...]
    events: tuple[tuple[str, int | None], ...]

    def after(self, orders: Mapping[str, Any]) -> "State":
        """Return what has to be so once the orders have been obeyed, once."""
        if orders["do"].startswith("register"):
            number = len(self.versions) + 1
            return replace(
                self,
                versions=(*self.versions, (number, digest_of(orders["files"]))),
                events=(*self.events, ("version_registered", number)),
            )
        number = orders["version"]
        live, generation = self.alias or (None, 0)
        kind = {"promote": "promote", "roll_back": "rollback"}[orders["do"]]
        return replace(
            self,
            alias=(number, generation + 1),
            moves=(*self.moves, (kind, live, number)),
            events=(*self.events, ("alias_moved", number)),
        )


class World:
    """A registry, a store and a data folder that processes die in.

    Args:
        folder: for the data folder and the models; is made.
        settings: the variables that say where registry and store are; without any, in the data folder.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder / "data"
        self.environment = {**clean_environment(), **settings, "SARDONYX_DATA_DIR": str(self.data_dir)}
        self.log = folder / "gateway.log"
        # Who works on in this process finds the credentials where those who die find them.
        os.environ.update({name: value for name, value in settings.items() if name.startswith("AWS_")})  # noqa: TID251
        chosen = load_settings(
            data_dir=self.data_dir,
            database_url=settings.get("SARDONYX_DATABASE_URL", ""),
            store=settings.get("SARDONYX_STORE", ""),
            s3_endpoint_url=settings.get("SARDONYX_S3_ENDPOINT_URL", ""),
        )
        create_embedded_database(chosen)
        self._parts = open_parts(chosen)
        self._folder = folder
        self._made_count = 0

    def begin(self) -> None:
        """Register two versions and promote both, one after the other."""
        for deed, number in (("register", 1), ("register", 2), ("promote", 1), ("promote", 2)):
            self.obey(self.orders(deed, version=number))

    def orders(self, deed: str, *, version: int | None = None) -> dict[str, Any]:
        """Return orders that change something: a new model's files, or the other one of the first two versions."""
        if deed.startswith("register"):
            return {"do": deed, "model": MODEL, "files": self._make_files(is_pair=deed == "register_files")}
        if version is None:
            version = 3 - self.state().moves[-1][2]
        return {"do": deed, "model": MODEL, "version": version}

    def die(self, orders: Mapping[str, Any], fuse: Sequence[Any]) -> tuple[int, int, str]:
        """Have a process obey that has a fuse, and return its id, its exit code, and what it had to say."""
        command = [sys.executable, "-m", "bench.dying", json.dumps({**orders, "fuse": fuse})]
        process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        words, _ = process.communicate()
        return process.pid, process.returncode, words

    def obey(self, orders: Mapping[str, Any]) -> dict[str, Any]:
        """Obey in this process, as another worker would.

        Raises:
            ServiceError: what the use cases raise.
        """
        return DEEDS[orders["do"]](self._parts, Fuse(), orders)

    def state(self) -> State:
        """Read the registry."""
        with self._parts.registry.reading() as catalog:
            alias = catalog.find_alias(MODEL, "production")
            known = catalog.find_model(MODEL) is not None
            versions = reversed(catalog.list_versions(MODEL, limit=1000).items) if known else ()
            return State(
                versions=tuple((version.number, version.artifact.digest) for version in versions),
                alias=None if alias is None else (alias.version, alias.generation),
                moves=tuple(
                    (move.kind.value, move.from_version, move.to_version) for move in catalog.list_moves(MODEL)
                ),
                events=tuple(
                    (event.kind.value, event.version)
                    for event in catalog.list_events(after=0, limit=10_000)
                    if event.model == MODEL
                ),
            )

    def fsck(self) -> tuple[int, list[tuple[str, str]]]:
        """Return the exit code, and the kind of each finding and what it is about."""
        run = subprocess.run(
            [SARDONYX, "fsck", "--json"], env=self.environment, capture_output=True, text=True, check=False
        )
        findings = json.loads(run.stdout)["findings"] if run.stdout else [{"kind": "none", "what": run.stderr}]
        return run.returncode, [(finding["kind"], finding["what"].split()[0]) for finding in findings]

    def close(self) -> None:
        self._parts.close()

    def _make_files(self, *, is_pair: bool) -> dict[str, str]:
        self._made_count += 1
        model = models.linear(seed=self._made_count)
        model.graph.name = f"number {self._made_count}"
        contents = {MODEL_FILE: model.SerializeToString()}
        if is_pair:
            contents = dict(zip((MODEL_FILE, SIDE_FILE), models.with_external_data(model, SIDE_FILE), strict=True))
        folder = self._folder / f"model-{self._made_count}"
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return {name: str(folder / name) for name in contents}


def digest_of(files: Mapping[str, str]) -> Digest:
    """Return the digest of the version that these files make."""
    contents = {name: Path(path).read_bytes() for name, path in files.items()}
    return make_artifact({name: (digest_of_bytes(content), len(content)) for name, content in contents.items()}).digest
