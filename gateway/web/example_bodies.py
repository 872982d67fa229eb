"""Golden examples as the wire has them: tensors are read and written by the codec of predict bodies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.codec.json_output import write_values
from gateway.codec.json_tensors import JsonCodec
from gateway.web.schemas import ExampleBody
from registry.errors import InvalidRequest, SignatureMismatch, UndecodableBody, Violation
from registry.examples import Example, Examples
from registry.names import quoted
from registry.recording import ReadExamples
from registry.same_answers import Tolerance
from registry.signature import Signature
from registry.values import Value


def reader(bodies: Sequence[ExampleBody]) -> ReadExamples | None:
    """Return what reads the examples once the signature is known; None if there are none."""
    return (lambda signature: read_examples(bodies, signature)) if bodies else None


def read_examples(bodies: Sequence[ExampleBody], signature: Signature) -> Examples:
    """Return the examples, each held against the signature.

    Raises:
        SignatureMismatch, TooManyElements, UndecodableBody: tensors do not fit; paths begin with ``/examples/0``.
        InvalidRequest: an example expects nothing, or there are too many, or two have one name.
    """
    found = []
    for place, body in enumerate(bodies):
        if body.outputs is None:
            raise InvalidRequest(f"/examples/{place}/outputs: expected the outputs by name, received nothing")
        where = f"/examples/{place}"
        name = body.name or f"example-{place + 1}"
        inputs = read_inputs(body, signature, where)
        found.append(make_example(body, name, inputs, read_outputs(body.outputs, signature, where)))
    return Examples(tuple(found))


def read_inputs(body: ExampleBody, signature: Signature, where: str = "") -> Mapping[str, Value]:
    """Return the input tensors; raises as ``read_examples``."""
    return _read(body.inputs, signature, f"{where}/inputs")


def read_outputs(outputs: Mapping[str, Any], signature: Signature, where: str) -> Mapping[str, Value]:
    """Return the output tensors, some or all, as if they went in; raises as ``read_examples``."""
    if any(not _is_text(name) for name in outputs):
        raise UndecodableBody(f"{where}/outputs: lone surrogates are not text")
    unknown = signature.check_outputs(list(outputs), path=f"{where}/outputs")
    if unknown:
        raise SignatureMismatch(unknown)
    # Runtimes are free to give other shapes than a graph declares: what has been recorded has to be taken again.
    asked = tuple(replace(spec, shape=None) for spec in signature.outputs if spec.name in outputs)
    return _read(dict(outputs), Signature(inputs=asked, outputs=()), f"{where}/outputs")


def make_example(body: ExampleBody, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Value]) -> Example:
    """Return the example with its tolerance."""
    given = body.tolerance
    tolerance = None if given is None else Tolerance(given.absolute, given.relative)
    return Example(name=name, inputs=dict(inputs), outputs=dict(outputs), tolerance=tolerance)


def free_name(examples: Examples, wanted: str) -> str:
    """Return the name of one more example.

    Raises:
        InvalidRequest: another one has it.
    """
    taken = {example.name for example in examples.items}
    if wanted in taken:
        raise InvalidRequest(f"there is an example {quoted(wanted)} already")
    return wanted or next(name for number in range(1, len(taken) + 2) if (name := f"example-{number}") not in taken)


def write_examples(examples: Examples) -> bytes:
    """Return the examples as JSON; what is read from it again has the same bits."""
    return b'{"items":[%b],"next":null}' % b",".join(map(_write, examples.items))


def _write(example: Example) -> bytes:
    tolerance = None if example.tolerance is None else example.tolerance._asdict()
    return b'{"name":%b,"inputs":%b,"outputs":%b,"tolerance":%b}' % (
        orjson.dumps(example.name),
        write_values(example.inputs),
        write_values(example.outputs),
        orjson.dumps(tolerance),
    )


def _read(tensors: Any, signature: Signature, where: str) -> Mapping[str, Value]:
    codec = JsonCodec(model="", version=1, signature=signature)
    try:
        body = json.dumps({"inputs": tensors}).encode()
        return codec.decode(body).feed
    except SignatureMismatch as error:
        raise SignatureMismatch([_moved(violation, where) for violation in error.violations]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{where}: these are no tensors") from error


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _moved(violation: Violation, where: str) -> Violation:
    path = where + violation.path.removeprefix("/inputs")
    return Violation(path=path, expected=violation.expected, received=violation.received, code=violation.code)
