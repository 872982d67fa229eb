"""From files to a version.

Rules:
    1. What was asked is checked first, what is known is answered without work: the same bytes under the same name are
       the version that has them, with its examples, and bytes that this runtime has inspected are not inspected again.
    2. Inspected before stored: a refused upload leaves nothing behind. What ``put_blob`` has stored stays for another
       try with the other files of a refused version; ``registry.consistency`` removes it when nobody has come back.
    3. Bytes first, row second: dying in between leaves an object that nobody refers to, never a row without bytes.
    4. The row, its number and its event are one transaction, which looks for the same bytes once more. The registration
       that makes a model describes it, too; later ones describe their versions only.
    5. Golden examples that come with the files are checked before anything is stored, in a child process.
    6. A file that killed its inspector, or outlived its limits, is not given to another one by this process.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from registry.annotations import check_annotations
from registry.artifact import MODEL_FILE, Artifact, Digest, make_artifact
from registry.batching import Batching
from registry.errors import BlobNotFound, DigestMismatch, InvalidArtifact, UnsupportedFormat
from registry.events import EventKind
from registry.examples import Examples
from registry.lookup import resolve_version
from registry.names import parse_model_name, quoted
from registry.ports import Clock, Haste, Inspector, Registry
from registry.recording import ReadExamples, contradicts
from registry.records import Inspection, Version
from registry.standing import CLEAN, Isolation, requested
from registry.storage import ArtifactFolders, ArtifactStore, Upload

_REMEMBERED_CODES = frozenset({"inspection_crashed", "inspection_timeout", "inspection_memory"})
_REMEMBERED_COUNT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The version that has the bytes."""

    version: Version
    is_new: bool
    """False if it had them before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    model: str
    artifact: Artifact
    description: str
    tags: Mapping[str, str]
    isolation: Isolation
    actor: str


class Registration:
    """Registers versions; safe for threads. Every method blocks: on the store, the database, or the inspector."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: ArtifactStore,
        inspector: Inspector,
        folders: ArtifactFolders,
        clock: Clock,
        batching: Batching = Batching.EXACT,
        passed: Callable[[Version], None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._store = store
        self._inspector = inspector
        self._folders = folders
        self._clock = clock
        self._batching = batching
        self._passed = passed
        """Told of each new version that gives what its examples say."""
        self._refusals = _Refusals()

    def put_blob(self, upload: Upload, *, announced: Digest) -> bool:
        """Store one file's bytes for a version to come; return False if they were there already.

        Raises:
            DigestMismatch: the bytes are not those announced.
            StorageUnavailable, InsufficientStorage: from the store.
        """
        _check_digest(upload, announced)
        is_new = self._store.find_size(upload.digest) is None
        self._store.put(upload.digest, upload.path)  # renews the age of what is there: nobody may sweep it away now
        return is_new

    def register_upload(
        self,
        model: str,
        upload: Upload,
        *,
        actor: str,
        announced: Digest | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        isolation: Isolation = Isolation.IN_PROCESS,
        read_examples: ReadExamples | None = None,
    ) -> Registered:
        """Register one uploaded ``.onnx`` file, making the model if it is its first.

        Raises:
            InvalidName, InvalidRequest, DigestMismatch: the name, the texts or the announced digest are wrong.
            UnsupportedFormat, InvalidArtifact: the file is refused; nothing is stored.
            ExamplesDiffer: the model does not give what its examples say; nothing is stored.
            SignatureMismatch and what else ``read_examples`` raises: the examples do not fit the model.
            StorageUnavailable, InsufficientStorage, RegistryUnavailable, RegistryBusy: the same request may succeed
                later.
        """
        _check_digest(upload, announced)
        artifact = make_artifact({MODEL_FILE: (upload.digest, upload.size_bytes)})
        request = _request(model, artifact, description=description, tags=tags, isolation=isolation, actor=actor)
        found, inspection = self._known(request)
        if found is not None:
            self._store.put(upload.digest, upload.path)  # heals a store that has lost the version's bytes
            return Registered(version=found, is_new=False)
        folder = upload.path.parent
        if inspection is None:
            inspection = self._inspect(artifact, lambda: self._inspector.inspect(folder, artifact))
        examples, batching = self._check(folder, artifact, inspection, read_examples)
        self._store.put(upload.digest, upload.path)
        return self._record(request, inspection, examples, batching)

    def register_blobs(
        self,
        model: str,
        files: Mapping[str, Digest],
        *,
        actor: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        isolation: Isolation = Isolation.IN_PROCESS,
        read_examples: ReadExamples | None = None,
    ) -> Registered:
        """Register files (name -> digest) that ``put_blob`` has stored, making the model if it is its first.

        Raises:
            InvalidName, InvalidRequest: the name or the texts are wrong.
            UnsupportedFormat, InvalidArtifact: the files are refused.
            ExamplesDiffer, SignatureMismatch: the examples are; see ``register_upload``.
            BlobNotFound: the store lacks some of the bytes; names the files.
            ArtifactMissing, ArtifactCorrupt: the store lost or damaged them meanwhile.
            StorageUnavailable, InsufficientStorage, RegistryUnavailable, RegistryBusy: the same request may succeed
                later.
        """
        make_artifact({name: (digest, 0) for name, digest in files.items()})  # refuses bad names before any look-up
        artifact = make_artifact(self._sized(files))
        request = _request(model, artifact, description=description, tags=tags, isolation=isolation, actor=actor)
        found, inspection = self._known(request)
        if found is not None:
            return Registered(version=found, is_new=False)
        try:
            with self._folders.hold(artifact) as folder:
                if inspection is None:
                    inspection = self._inspect(artifact, lambda: self._inspector.inspect(folder, artifact))
                examples, batching = self._check(folder, artifact, inspection, read_examples)
                for file in artifact.files:
                    self._store.put(file.digest, folder / file.name)  # as in put_blob
        except (UnsupportedFormat, InvalidArtifact):
            self._folders.forget(artifact)
            raise
        return self._record(request, inspection, examples, batching)

    def _sized(self, files: Mapping[str, Digest]) -> dict[str, tuple[Digest, int]]:
        sizes = {name: self._store.find_size(digest) for name, digest in files.items()}
        missing = [f"{quoted(name)} ({files[name]})" for name, size_bytes in sizes.items() if size_bytes is None]
        if missing:
            raise BlobNotFound(f"upload the bytes first of {', '.join(missing)}")
        return {name: (files[name], size_bytes) for name, size_bytes in sizes.items() if size_bytes is not None}

    def _known(self, request: _Request) -> tuple[Version | None, Inspection | None]:
        digest = request.artifact.digest
        with self._registry.reading() as catalog:
            return (
                catalog.find_version_of_artifact(request.model, digest),
                catalog.find_inspection(digest, self._inspector.runtime),
            )

    def _inspect(self, artifact: Artifact, inspect: Callable[[], Inspection]) -> Inspection:
        self._refusals.check(artifact.digest)
        try:
            return inspect()
        except InvalidArtifact as error:
            if error.code in _REMEMBERED_CODES:
                self._refusals.add(artifact.digest, error)
            raise

    def _check(
        self, folder: Path, artifact: Artifact, inspection: Inspection, read: ReadExamples | None
    ) -> tuple[Examples, Batching]:
        """Return the examples, and what may share runs: nothing, if their rows contradict what inspection has found."""
        examples = Examples(()) if read is None else read(inspection.signature)
        if not examples.items:
            return examples, self._batching
        shown = self._inspector.rehearse(
            folder, artifact, examples, row_names=inspection.row_names, haste=Haste.RECORDING
        )
        return examples, Batching.OFF if contradicts(shown, inspection) else self._batching

    def _record(self, request: _Request, inspection: Inspection, examples: Examples, batching: Batching) -> Registered:
        model, artifact = request.model, request.artifact
        with self._registry.writing() as transaction:
            same = transaction.find_version_of_artifact(model, artifact.digest)
            if same is not None:
                return Registered(version=same, is_new=False)
            at = self._clock.now()
            transaction.ensure_model(model, description=request.description, actor=request.actor, at=at)
            transaction.add_artifact(artifact, inspection, at=at)
            number = transaction.add_version(
                model,
                artifact,
                description=request.description,
                tags=request.tags,
                actor=request.actor,
                at=at,
                batching=batching,
            )
            transaction.set_standing(model, number, requested(CLEAN, request.isolation))
            if examples.items:
                transaction.set_examples(model, number, examples)
            transaction.add_event(
                EventKind.VERSION_REGISTERED,
                model=model,
                version=number,
                actor=request.actor,
                at=at,
                detail=_detail(request),
            )
            version = resolve_version(transaction, model, number)
        if examples.items:
            self._passed(version)
        return Registered(version=version, is_new=True)


def _request(
    model: str,
    artifact: Artifact,
    *,
    description: str,
    tags: Mapping[str, str] | None,
    isolation: Isolation,
    actor: str,
) -> _Request:
    check_annotations(description=description, tags=tags)
    return _Request(
        model=parse_model_name(model),
        artifact=artifact,
        description=description,
        tags=dict(tags or {}),
        isolation=isolation,
        actor=actor,
    )


def _detail(request: _Request) -> Mapping[str, str]:
    digest = {"digest": str(request.artifact.digest)}
    return digest if request.isolation is Isolation.IN_PROCESS else digest | {"isolation": request.isolation.value}


def _check_digest(upload: Upload, announced: Digest | None) -> None:
    if announced is not None and announced != upload.digest:
        raise DigestMismatch(f"the bytes have the digest {upload.digest}, announced was {announced}")


class _Refusals:
    """The newest refusals that cost a child, by digest."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: OrderedDict[Digest, InvalidArtifact] = OrderedDict()

    def add(self, digest: Digest, error: InvalidArtifact) -> None:
        with self._lock:
            self._found[digest] = InvalidArtifact(error.code, error.detail)
            self._found.move_to_end(digest)
            while len(self._found) > _REMEMBERED_COUNT:
                self._found.popitem(last=False)

    def check(self, digest: Digest) -> None:
        with self._lock:
            found = self._found.get(digest)
        if found is not None:
            raise InvalidArtifact(found.code, found.detail)
