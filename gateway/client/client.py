"""What a gateway can be asked, as methods."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self
from urllib.parse import urlencode

from gateway.client.administration import Administration
from gateway.client.comparison import Original, compare
from gateway.client.convert import Submission, prepare
from gateway.client.errors import ClientError, UnusableArgument
from gateway.client.listings import ModelInfo
from gateway.client.recording import ExampleNotKept, Recording
from gateway.client.references import PRODUCTION, model_path
from gateway.client.repeating import RepeatingTransport
from gateway.client.transport import HttpTransport, Transport
from gateway.client.versions import Conversion, VersionInfo
from gateway.client.wire import Progress, SentCounter, Wire, read_document


class Client(Recording, Administration):
    """A gateway, and what is known of its versions' signatures.

    ``url`` is where it answers; ``transport`` takes the place of all else for whoever reaches the gateway otherwise.
    ``timeout_seconds`` bounds each wait for the network, and ``patience_seconds`` what one request may wait in all to
    be sent again (``repeating`` says which are). Methods return the gateway's own documents. Safe to share between
    threads.

    Every method raises an ApiError where the gateway refuses, of the class that says who must act, and ConnectionFailed
    where none answers.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_seconds: float = 120.0,
        patience_seconds: float = 5.0,
        transport: Transport | None = None,
    ) -> None:
        self._address = url if transport is None else type(transport).__name__
        if transport is None:
            http = HttpTransport(url, token, timeout_seconds)
            transport = RepeatingTransport(inner=http, patience_seconds=patience_seconds)
        self._wire = Wire(transport)
        self._versions: dict[tuple[str, int], VersionInfo] = {}
        self._aliases: dict[tuple[str, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Where it leads; never the token."""
        return f"Client({self._address!r})"

    def close(self) -> None:
        """Close the connections; the client is not used afterwards."""
        self._wire.close()

    # --- versions -----------------------------------------------------------------------------------------------------

    def register(
        self,
        model: Any,
        *,
        name: str,
        example: Any = None,
        keep_example: bool = True,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        golden: Sequence[Mapping[str, Any]] = (),
        is_isolated: bool = False,
        progress: Progress | None = None,
    ) -> VersionInfo:
        """Register a model and return the version that has its bytes, new or there already.

        Args:
            model: a path (external data files are found beside it) or several, bytes, an ``onnx.ModelProto``, a fitted
                scikit-learn, xgboost or lightgbm model (pipelines, and boosters, too), or a torch module.
            name: the model's name; a new name makes a new model.
            example: what the model would be called with, as ``predict`` takes it. Needed for a conversion, whose result
                is then called through the gateway and compared with what the original says: ``conversion`` of the
                version has the largest difference, and its tags ``converted-from`` and ``conversion-difference`` keep
                it.
            keep_example: False where the gateway must not keep rows of the example (see ``Recording.keep_example``).
            description: for people; of the model, too, if it is new.
            tags: for programs.
            golden: examples that the version has to answer so: ``inputs``, ``outputs``, perhaps ``name`` and
                ``tolerance``, as ``examples`` returns them.
            is_isolated: have it run in a child process of its own, whose death is nobody else's.
            progress: called while sending.

        Raises:
            UnusableArgument: the model cannot be sent; the message says what to do.
            ConversionMismatch: the registered version does not answer as the original does.

        Warns:
            ExampleNotKept: the version is registered, and the example could not be kept with it.
        """
        submission = prepare(model, example=example)
        try:
            version = self.submit(
                submission,
                name=name,
                description=description,
                tags=tags,
                golden=golden,
                is_isolated=is_isolated,
                progress=progress,
            )
        finally:
            submission.close()
        original = submission.original
        inputs = example if original is None else _feed(version, original)
        conversion = None if original is None else self._compared(version, original, inputs)
        if keep_example and example is not None:
            try:
                version = self.keep_example(version, inputs)
            except ClientError as error:
                warnings.warn(ExampleNotKept(version, error), stacklevel=2)
        return version if conversion is None else self._noted(version, conversion)

    def submit(
        self,
        submission: Submission,
        *,
        name: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        golden: Sequence[Mapping[str, Any]] = (),
        is_isolated: bool = False,
        progress: Progress | None = None,
    ) -> VersionInfo:
        """Send files that are prepared already: one as the body, more things as blobs and then their names."""
        path = model_path(name, "versions")
        sent = SentCounter(submission.size_bytes, progress)
        if len(submission.files) == 1 and not golden:
            file = submission.files[0]
            query = [("sha256", file.sha256_hex), *(("tag", f"{key}:{value}") for key, value in (tags or {}).items())]
            query += [("description", description)] if description else []
            query += [("isolation", "isolated")] if is_isolated else []
            response = self._wire.upload("POST", f"{path}?{urlencode(query)}", file=file, sent=sent)
        else:
            for file in submission.files:
                self._wire.upload("PUT", f"/registry/blobs/sha256:{file.sha256_hex}", file=file, sent=sent)
            is_alone = len(submission.files) == 1  # then its name is nobody's business
            names = {"model.onnx" if is_alone else file.name: f"sha256:{file.sha256_hex}" for file in submission.files}
            document = {"files": names, "description": description, "tags": dict(tags or {}), "examples": list(golden)}
            document |= {"isolation": "isolated"} if is_isolated else {}
            response = self._wire.send("POST", path, document=document, is_repeatable=True)
        version = VersionInfo(read_document(response), is_new=response.status == 201)  # noqa: PLR2004 - 201 Created
        self._versions[version.model, version.version] = version
        return version

    def annotate(
        self, model: str, version: int, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> VersionInfo:
        """Replace a version's description, its tags, or both, and return it; nothing else of a version ever changes."""
        wishes = {"description": description, "tags": None if tags is None else dict(tags)}
        document = {name: wish for name, wish in wishes.items() if wish is not None}
        changed = VersionInfo(self._wire.call("PATCH", model_path(model, "versions", version), document=document))
        self._versions[model, version] = changed
        return changed

    def describe(
        self, model: str, description: str | None = None, *, tags: Mapping[str, str] | None = None
    ) -> ModelInfo:
        """Replace a model's description, its tags, or both, and return it: what lists show, and searches look through.

        The registration that made the model has described it first; later ones describe their versions only.
        """
        wishes = {"description": description, "tags": None if tags is None else dict(tags)}
        document = {name: wish for name, wish in wishes.items() if wish is not None}
        return ModelInfo(self._wire.call("PATCH", model_path(model), document=document))

    def retire(self, model: str, version: int) -> Mapping[str, Any]:
        """Leave a tombstone in a version's place; refused while an alias points at it."""
        self._versions.pop((model, version), None)
        return self._wire.call("DELETE", model_path(model, "versions", version))

    # --- models and aliases -------------------------------------------------------------------------------------------

    def promote(
        self,
        model: str,
        version: int,
        *,
        alias: str = PRODUCTION,
        expected: int | None = None,
        expected_generation: int | None = None,
        reason: str = "",
        allow_breaking: bool = False,
        is_dry_run: bool = False,
    ) -> Mapping[str, Any]:
        """Point an alias at a version; with ``is_dry_run`` only say what that would change.

        Args:
            model: its name.
            version: where the alias is to point.
            alias: which one; it need not exist.
            expected: refuse unless the alias points there now.
            expected_generation: refuse unless the alias is as it was when it had this ``generation``: a canary that was
                dropped since counts as a change.
            reason: for the history.
            allow_breaking: accept a signature that breaks the callers of the version that is live.
            is_dry_run: change nothing; the answer lists the breaking differences.
        """
        document: dict[str, Any] = {"version": version, "reason": reason, "allow_breaking": allow_breaking}
        wishes = {"expected": expected, "expected_generation": expected_generation}
        document |= {name: wish for name, wish in wishes.items() if wish is not None}
        path = model_path(model, "aliases", alias) + ("?dry_run=true" if is_dry_run else "")
        return self._wire.call("PUT", path, document=document)

    def rollback(
        self,
        model: str,
        *,
        alias: str = PRODUCTION,
        to: int | None = None,
        to_time: str | None = None,
        reason: str = "",
    ) -> Mapping[str, Any]:
        """Point an alias at the version that was live before; or at one that was (``to``), or at a moment's."""
        wishes = {"to": to, "to_time": to_time}
        document = {"reason": reason, **{name: wish for name, wish in wishes.items() if wish is not None}}
        return read_document(
            self._wire.send("POST", model_path(model, "aliases", alias, "rollback"), document=document)
        )

    def canary(
        self,
        model: str,
        version: int | None,
        percent: float | None = None,
        *,
        alias: str = PRODUCTION,
        max_error_rate: float | None = None,
        max_latency_ms: float | None = None,
        reason: str = "",
        allow_breaking: bool = False,
    ) -> Mapping[str, Any]:
        """Send a share of an alias's requests to a second version, or (version None) to none.

        Args:
            model: its name.
            version: the second version.
            percent: its share, more than 0 and at most 100.
            alias: which one.
            max_error_rate: from 0 to 1; the gateway drops the canary when a larger share of its answers fails.
            max_latency_ms: it drops it when more than one in a hundred of its answers takes longer.
            reason: for the feed.
            allow_breaking: accept a signature that breaks the callers of the alias's own version.

        Raises:
            ApiError: besides, ``generation_conflict`` if the alias was moved at the same moment.
        """
        limits = {"max_error_rate": max_error_rate, "max_latency_ms": max_latency_ms}
        canary = None if version is None else {"version": version, "percent": percent, **limits}
        return self._attend(model, alias, {"canary": canary, "reason": reason, "allow_breaking": allow_breaking})

    def shadow(
        self,
        model: str,
        version: int | None,
        percent: float | None = None,
        *,
        alias: str = PRODUCTION,
        reason: str = "",
        allow_breaking: bool = False,
    ) -> Mapping[str, Any]:
        """Send copies of a share of an alias's requests to a version that answers nobody, or (version None) to none."""
        shadow = None if version is None else {"version": version, "percent": percent}
        return self._attend(model, alias, {"shadow": shadow, "reason": reason, "allow_breaking": allow_breaking})

    def _attend(self, model: str, alias: str, what: Mapping[str, Any]) -> Mapping[str, Any]:
        seen = self.alias(model, alias)
        document = {"version": seen["version"], "expected": seen["version"], **what}
        return self._wire.call("PUT", model_path(model, "aliases", alias), document=document)

    def _compared(self, version: VersionInfo, original: Original, feed: Mapping[str, Any]) -> Conversion:
        """Hold a converted model against its original; raises ConversionMismatch."""
        return compare(version, original=original, answer=self.predict(version.reference, feed))

    def _noted(self, version: VersionInfo, conversion: Conversion) -> VersionInfo:
        """Note down with a version what its newest conversion has shown.

        PATCH replaces all tags, so those of now are read just before: one set while the model was sent, inspected and
        compared stays.
        """
        seen = VersionInfo(self._wire.get(model_path(version.model, "versions", version.version)))
        tags = {**seen.document["tags"], **conversion.tags}
        if tags != seen.document["tags"]:
            seen = self.annotate(version.model, version.version, tags=tags)
        return replace(seen, conversion=conversion, is_new=version.is_new)


def _feed(version: VersionInfo, original: Original) -> dict[str, Any]:
    """Return the example of a conversion as inputs by name.

    Raises:
        UnusableArgument: the graph has other inputs than the example.
    """
    names = [spec["name"] for spec in version.inputs if not spec.get("optional")]
    if len(names) != len(original.inputs):
        raise UnusableArgument(f"{version} has other inputs than the example, which has {len(original.inputs)}")
    return dict(zip(names, original.inputs, strict=True))
