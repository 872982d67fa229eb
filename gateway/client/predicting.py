"""Predictions: whatever a caller has, as a request that is right, and the answer as arrays.

1. The signature is looked up once for each version. Inputs are held against it before anything is sent, so what a
   gateway would refuse costs no round trip; an alias that has moved meanwhile is looked up again before that is said.
2. A request is bytes if every input of it has a spelling there, and the answer if every output has; what is left is
   JSON, and so are the smallest requests, which a gateway answers sooner in JSON (``bench/client_wires.py``). The
   outputs have the same bits either way (the payload of a NaN, which JSON has no word for, aside).
3. A predict changes nothing: it may be sent again (``repeating``).
4. Another version may answer than the inputs were made for: an alias has moved, or has a canary. If that one would read
   them otherwise (a table's columns in another order, say), exactly that one is asked again, with inputs made for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any
from urllib.parse import quote

from gateway.client.errors import ApiError, UnusableArgument, input_mismatch
from gateway.client.faults import Violation
from gateway.client.fitting import fit
from gateway.client.prediction import Prediction
from gateway.client.reading import Reading
from gateway.client.references import Target, parse_target
from gateway.client.tables import inputs_of_table, is_table, known_columns
from gateway.client.tensor_bytes import CONTENT_TYPE, has_spelling, is_cast, read_tensors, write_tensors
from gateway.client.tensors import Spec, decode_outputs, encode_inputs, name_inputs
from gateway.client.transport import Response
from gateway.client.versions import VersionInfo
from gateway.client.wire import not_a_gateway, read_document, write_document

_JSON = "application/json"
_NOT_ACCEPTABLE, _UNPROCESSABLE = 406, 422
_LONGEST_HEADER = 128

_MOST_IN_JSON = 128
"""Elements: with more, bytes are answered sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What somebody wants to know, whichever version answers."""

    inputs: Any
    outputs: Sequence[str] | None
    headers: Mapping[str, str]


class Predicting(Reading):
    """The part of a client that runs models."""

    def predict(
        self,
        reference: str,
        inputs: Any,
        *,
        outputs: Sequence[str] | None = None,
        request_id: str | None = None,
        routing_key: str | None = None,
        is_binary: bool | None = None,
    ) -> Prediction:
        """Run ``NAME``, ``NAME@ALIAS`` or ``NAME:N`` and return its outputs by name, arrays of the signature's dtypes.

        Args:
            reference: which version.
            inputs: arrays (or what numpy makes arrays of) by name; one array alone for a model that requires one; or a
                DataFrame, whose columns are the inputs by name or, for a model with one input, its rows.
            outputs: which outputs to return; all, if not given.
            request_id: printable ASCII, at most 128 characters; the gateway's log and the answer have it.
            routing_key: whose request it is (a user's id, say): with it, one side of a canary answers all of them.
            is_binary: False for JSON where bytes would do, True for bytes however small the tensors are.

        Raises:
            InputMismatch: the inputs do not fit the signature; all faults of them.
            UnusableArgument: it is not clear which input is meant, or the reference or the id is malformed.
        """
        target = parse_target(reference)
        given = {"x-request-id": request_id, "x-routing-key": routing_key}
        headers = {name: _checked(name, text) for name, text in given.items() if text is not None}
        asked = _Asked(inputs=inputs, outputs=outputs, headers=headers)
        number = self._resolve(target)
        try:
            return self._predict(target, number, asked, is_binary=is_binary)
        except (ApiError, UnusableArgument) as error:
            status = error.status if isinstance(error, ApiError) else _UNPROCESSABLE
            if status == _NOT_ACCEPTABLE:  # a canary has outputs that bytes cannot spell
                is_binary = False
            elif status != _UNPROCESSABLE or (moved_to := self._moved_from(number, target)) is None:
                raise
            else:
                number = moved_to
        return self._predict(target, number, asked, is_binary=is_binary)

    def predict_json(self, reference: str, body: bytes) -> bytes:
        """Send a body that is JSON already and return the answer's, byte for byte."""
        headers = {"content-type": _JSON}
        path = parse_target(reference).predict_path
        return self._wire.request("POST", path, headers=headers, body=body, is_repeatable=True).body

    def _predict(self, target: Target, number: int, asked: _Asked, *, is_binary: bool | None) -> Prediction:
        version = self.version(target.model, number)
        feed, faults = fit(inputs_by_name(asked.inputs, version), version.inputs)
        faults += _unknown_outputs(asked.outputs, version)
        if faults:
            raise input_mismatch(faults)
        wants_bytes = not _is_small(feed, version, asked.outputs) if is_binary is None else is_binary
        body, own = _write_request(feed, version, asked.outputs, is_binary=wants_bytes)
        response = self._wire.request(
            "POST", target.predict_path, headers={**asked.headers, **own}, body=body, is_repeatable=True
        )
        answer = self._read_answer(response, target, _wanted(asked.outputs, version))
        if answer.version == number or not _reads_otherwise(
            asked.inputs, version, self.version(target.model, answer.version)
        ):
            return answer
        self._forget(target)
        exactly = Target(target.model, version=answer.version)
        return self._predict(exactly, answer.version, asked, is_binary=is_binary)

    def _read_answer(self, response: Response, target: Target, wanted: Sequence[Spec]) -> Prediction:
        if response.headers.get("content-type", "").partition(";")[0].strip() == CONTENT_TYPE:
            arrays = read_tensors(response.body)
            number = response.headers.get("x-model-version", "")
            if not (number.isascii() and number.isdecimal()):
                raise not_a_gateway("it does not say which version has answered")
            ordered = {spec["name"]: arrays[spec["name"]] for spec in wanted if spec["name"] in arrays}
            return Prediction(ordered | arrays, model=target.model, version=int(number), response=response)
        document = read_document(response)
        try:
            version = self.version(document["model"], document.number("version"))
            arrays = decode_outputs(document["outputs"], version.outputs)
        except KeyError as error:  # an output that the version has not
            raise not_a_gateway(f"it lacks {error}") from None
        return Prediction(arrays, model=version.model, version=version.version, response=response)


def inputs_by_name(inputs: Any, version: VersionInfo) -> Mapping[str, Any]:
    """Return what a caller has given (arrays, one array, a table) as inputs by name.

    Raises:
        UnusableArgument: it is not clear which input is meant.
    """
    if is_table(inputs):
        return inputs_of_table(inputs, version.inputs, _columns(version))
    return name_inputs(inputs, version.inputs)


def _columns(version: VersionInfo) -> list[str] | None:
    return known_columns(version.document.get("metadata") or {})


def _reads_otherwise(inputs: Any, version: VersionInfo, other: VersionInfo) -> bool:
    """Return whether another version may take the same inputs to be something else."""
    if is_table(inputs) and _columns(version) != _columns(other):
        return True
    return list(map(_meaning, version.inputs)) != list(map(_meaning, other.inputs))


def _meaning(spec: Spec) -> tuple[Any, ...]:
    """Return what an input's tensors are made by: all but what its free dimensions are called."""
    dims = None if spec["shape"] is None else ["" if isinstance(dim, str) else dim for dim in spec["shape"]]
    return spec["name"], spec["dtype"], dims, bool(spec.get("optional")), list(spec.get("containers") or ())


def _write_request(
    feed: Mapping[str, Any], version: VersionInfo, outputs: Sequence[str] | None, *, is_binary: bool
) -> tuple[bytes, dict[str, str]]:
    """Return the body of a request, and the headers that say what it is and what is to come back."""
    specs = {spec["name"]: spec for spec in version.inputs}
    is_bytes_back = is_binary and all(map(has_spelling, _wanted(outputs, version)))
    headers = {"accept": CONTENT_TYPE if is_bytes_back else _JSON}
    is_spelled = all(has_spelling(specs[name]) and is_cast(array, specs[name]) for name, array in feed.items())
    if is_binary and feed and is_spelled:
        headers["content-type"] = CONTENT_TYPE
        if outputs is not None:
            headers["x-outputs"] = ",".join(quote(name, safe="") for name in outputs)
        return write_tensors(feed, version.inputs), headers
    document: dict[str, Any] = {"inputs": encode_inputs(feed, version.inputs)}
    if outputs is not None:
        document["outputs"] = list(outputs)
    headers["content-type"] = _JSON
    return write_document(document), headers


def _is_small(feed: Mapping[str, Any], version: VersionInfo, outputs: Sequence[str] | None) -> bool:
    """Return whether inputs and outputs together seem to have few elements; a guess, since sizes may be free."""
    sizes: dict[Any, int] = {}
    count = 0
    for spec in version.inputs:
        shape = tuple(getattr(feed.get(spec["name"]), "shape", ()))
        count += prod(shape)
        sizes |= dict(zip(spec["shape"] or (), shape, strict=False))
    for spec in _wanted(outputs, version):
        if spec["shape"] is None:
            return False
        count += prod(dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in spec["shape"])
    return count <= _MOST_IN_JSON


def _wanted(outputs: Sequence[str] | None, version: VersionInfo) -> Sequence[Spec]:
    if outputs is None:
        return version.outputs
    specs = {spec["name"]: spec for spec in version.outputs}
    return [specs[name] for name in outputs]


def _unknown_outputs(outputs: Sequence[str] | None, version: VersionInfo) -> list[Violation]:
    known = sorted(spec["name"] for spec in version.outputs)
    expected = "one of " + ", ".join(known)
    return [
        Violation(path=f"/outputs/{place}", expected=expected, received=str(name), code="unknown_output")
        for place, name in enumerate(outputs or ())
        if name not in known
    ]


def _checked(header: str, text: str) -> str:
    if not (0 < len(text) <= _LONGEST_HEADER and text.isascii() and text.isprintable()):
        raise UnusableArgument(f"{header} has 1 to {_LONGEST_HEADER} printable ASCII characters")
    return text
