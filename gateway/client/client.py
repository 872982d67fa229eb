"""What a gateway can be asked, as methods."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from gateway.client.administration import Administration
from gateway.client.comparison import Original, compare
from gateway.client.convert import Submission, prepare
from gateway.client.errors import ApiError, UnusableArgument
from gateway.client.references import PRODUCTION, Target, model_path, parse_target
from gateway.client.tensors import decode_outputs, encode_inputs, name_inputs
from gateway.client.transport import HttpTransport, Transport
from gateway.client.versions import VersionInfo
from gateway.client.wire import Progress, SentCounter, Wire, read_document

if TYPE_CHECKING:
    import numpy as np

_UNPROCESSABLE = 422


class Client(Administration):
    """A gateway, and what is known of its versions' signatures.

    ``url`` is where it answers; ``transport`` takes its place for whoever reaches the gateway otherwise. Methods return
    the gateway's own documents. Safe to share between threads.

    Every method raises ApiError where the gateway refuses and ConnectionFailed where none answers.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_seconds: float = 120.0,
        transport: Transport | None = None,
    ) -> None:
        self._wire = Wire(transport or HttpTransport(url, token, timeout_seconds))
        self._versions: dict[tuple[str, int], VersionInfo] = {}
        self._aliases: dict[tuple[str, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        description: str = "",
        tags: Mapping[str, str] | None = None,
        golden: Sequence[Mapping[str, Any]] = (),
        is_isolated: bool = False,
        progress: Progress | None = None,
    ) -> VersionInfo:
        """Register a model and return the version that has its bytes, new or there already.

        Args:
            model: a path (external data files are found beside it) or several, bytes, an ``onnx.ModelProto``, a fitted
                scikit-learn estimator, or a torch module.
            name: the model's name; a new name makes a new model.
            example: what the model would be called with. Needed for a conversion, whose result is then called through
                the gateway and compared with what the original says.
            description: for people.
            tags: for programs.
            golden: examples that the version has to answer so: ``inputs``, ``outputs``, perhaps ``name`` and
                ``tolerance``, as ``examples`` returns them.
            is_isolated: have it run in a child process of its own, whose death is nobody else's.
            progress: called while sending.

        Raises:
            UnusableArgument: the model cannot be sent; the message says what to do.
            ConversionMismatch: the registered version does not answer as the original does.
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
        if submission.original is not None:
            self._check(version, submission.original)
        return version

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

    def version(self, model: str, number: int) -> VersionInfo:
        """Return one version, remembered from the last time: a version's bytes and signature never change."""
        known = self._versions.get((model, number))
        if known is None:
            known = VersionInfo(self._wire.get(model_path(model, "versions", number)))
            self._versions[model, number] = known
        return known

    def versions(self, model: str) -> list[Mapping[str, Any]]:
        """Return a model's versions, newest first, retired ones included."""
        return list(self._wire.pages(model_path(model, "versions")))

    def example(self, model: str, version: int) -> Mapping[str, Any]:
        """Return a body that the version's predict route accepts."""
        document = self._wire.get(model_path(model, "versions", version, "openapi.json"))
        operation = document["paths"][parse_target(f"{model}:{version}").predict_path]["post"]
        example: Mapping[str, Any] = operation["requestBody"]["content"]["application/json"]["example"]
        return example

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
        return list(self._wire.get(model_path(model, "versions", version, "examples"))["items"])

    def set_examples(self, model: str, version: int, golden: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Replace a version's golden examples; refused if it does not answer so."""
        document = {"examples": list(golden)}
        return list(
            self._wire.call("PUT", model_path(model, "versions", version, "examples"), document=document)["items"]
        )

    def record_example(self, model: str, version: int, example: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Add one golden example; without ``outputs``, with what the version answers now."""
        path = model_path(model, "versions", version, "examples")
        return list(read_document(self._wire.send("POST", path, document=dict(example)))["items"])

    def retire(self, model: str, version: int) -> Mapping[str, Any]:
        """Leave a tombstone in a version's place; refused while an alias points at it."""
        self._versions.pop((model, version), None)
        return self._wire.call("DELETE", model_path(model, "versions", version))

    # --- models and aliases -------------------------------------------------------------------------------------------

    def models(self, query: str | None = None) -> list[Mapping[str, Any]]:
        """Return the models, by name; those whose name or description contains ``query``, if given."""
        return list(self._wire.pages("/registry/models", **({"q": query} if query else {})))

    def show(self, reference: str) -> Mapping[str, Any]:
        """Return the version that ``NAME@ALIAS`` or ``NAME:N`` means, or the model that ``NAME`` means."""
        target = parse_target(reference)
        if target.version is None and target.alias is None:
            return self._wire.get(model_path(target.model))
        version = target.version or self.alias(target.model, target.alias or PRODUCTION)["version"]
        return self._wire.get(model_path(target.model, "versions", version))

    def alias(self, model: str, alias: str = PRODUCTION) -> Mapping[str, Any]:
        """Return what an alias points to."""
        return self._wire.get(model_path(model, "aliases", alias))

    def history(self, model: str) -> list[Mapping[str, Any]]:
        """Return every move of the model's aliases, in the gateway's order."""
        return list(self._wire.pages(model_path(model, "history")))

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

    def shadow_report(self, model: str, *, alias: str = PRODUCTION) -> Mapping[str, Any]:
        """Return what comparing a shadow's answers with the live ones has shown so far."""
        return self._wire.get(model_path(model, "aliases", alias, "shadow"))

    def _attend(self, model: str, alias: str, what: Mapping[str, Any]) -> Mapping[str, Any]:
        seen = self.alias(model, alias)
        document = {"version": seen["version"], "expected": seen["version"], **what}
        return self._wire.call("PUT", model_path(model, "aliases", alias), document=document)

    def events(self, *, after: int = 0, limit: int = 100) -> list[Mapping[str, Any]]:
        """Return the change feed behind a sequence number, at most ``limit`` rows."""
        return list(self._wire.get(f"/registry/events?after={after}&limit={limit}")["items"])

    def workers(self) -> list[Mapping[str, Any]]:
        """Return the live workers, with the sequence number that each has applied."""
        return list(self._wire.pages("/registry/workers"))

    # --- predictions --------------------------------------------------------------------------------------------------

    def predict(
        self, reference: str, inputs: Any, *, outputs: Sequence[str] | None = None, request_id: str | None = None
    ) -> "dict[str, np.ndarray[Any, Any]]":
        """Run ``NAME``, ``NAME@ALIAS`` or ``NAME:N`` and return its outputs as arrays of the signature's dtypes.

        Args:
            reference: which version.
            inputs: arrays (or what numpy makes arrays of) by name; one array alone for a model with one input.
            outputs: which outputs to return; all, if not given.
            request_id: travels with the request and comes back with the answer.
        """
        target = parse_target(reference)
        try:
            answer = self._predict(target, inputs, outputs, request_id)
        except ApiError as error:
            if error.status != _UNPROCESSABLE or not self._has_moved(target):
                raise
            answer = self._predict(target, inputs, outputs, request_id)
        version = self.version(answer["model"], answer["version"])
        return decode_outputs(answer["outputs"], version.outputs)

    def predict_json(self, reference: str, body: bytes) -> bytes:
        """Send a body that is JSON already and return the answer's, byte for byte."""
        headers = {"content-type": "application/json"}
        path = parse_target(reference).predict_path
        return self._wire.request("POST", path, headers=headers, body=body, is_repeatable=True).body

    def _check(self, version: VersionInfo, original: Original) -> None:
        names = [spec["name"] for spec in version.inputs if not spec.get("optional")]
        if len(names) != len(original.inputs):
            raise UnusableArgument(f"{version} has other inputs than the example, which has {len(original.inputs)}")
        feed = dict(zip(names, original.inputs, strict=True))
        compare(version, expected=original.outputs, answer=self.predict(version.reference, feed))

    def _predict(
        self, target: Target, inputs: Any, outputs: Sequence[str] | None, request_id: str | None
    ) -> Mapping[str, Any]:
        specs = self.version(target.model, self._resolve(target)).inputs
        document: dict[str, Any] = {"inputs": encode_inputs(name_inputs(inputs, specs), specs)}
        if outputs is not None:
            document["outputs"] = list(outputs)
        if request_id is not None:
            document["id"] = request_id
        return read_document(self._wire.send("POST", target.predict_path, document=document, is_repeatable=True))

    def _has_moved(self, target: Target) -> bool:
        """Look up anew what the target means; True if its dtypes were taken from another version than it is now."""
        if target.version is not None:
            return False
        return self._aliases.pop((target.model, target.alias or PRODUCTION), None) != self._resolve(target)

    def _resolve(self, target: Target) -> int:
        if target.version is not None:
            return target.version
        key = target.model, target.alias or PRODUCTION
        if key not in self._aliases:
            self._aliases[key] = int(self.alias(*key)["version"])
        return self._aliases[key]
