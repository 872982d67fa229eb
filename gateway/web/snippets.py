"""Programs that call one version with its real input, in the languages of those who call: complete, to be copied.

1. Each sends the body of ``gateway.codec.examples.whole_example``, and prints the answer.
2. What comes from a model (its names) goes into a program only as a literal of its language.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from gateway.codec.examples import (
    MOST_SHOWN,
    OPEN_INFERENCE_NAMES,
    Body,
    count_elements,
    required,
    smallest_shape,
    unspeakable,
    whole_example,
)
from gateway.web.literals import is_short, javascript_literal, json_literal, python_literal
from registry.records import Version
from registry.tensor import TensorSpec

_TOKEN = "SARDONYX_TOKEN"  # noqa: S105 - the name of the variable that a token is in

_TOO_LARGE = "the fixed sizes of its inputs have more elements than one request may bring"

_NUMPY_NAMES = {"string": "object", "bool": "np.bool_", "bfloat16": "np.float32"}
"""What tritonclient wants that is not called as the dtype is."""


class NoSnippet(Exception):  # noqa: N818 - no error: the message says why there is none
    """The language, or its protocol, cannot say what the version takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a program is to call."""

    version: Version
    base_url: str
    has_tokens: bool
    body: Body

    @property
    def url(self) -> str:
        """The predict route of exactly this version."""
        return f"{self.base_url}/v{self.version.number}/models/{self.version.model}/predict"


def snippets_json(version: Version, *, base_url: str, has_tokens: bool) -> dict[str, Any]:
    """Return every snippet of a version, and why others are left out.

    Args:
        version: what is called.
        base_url: where the gateway answers, without a slash at the end.
        has_tokens: whether callers need one, which the programs find in ``SARDONYX_TOKEN``.
    """
    items: list[dict[str, str]] = []
    left_out: list[dict[str, str]] = []
    body = whole_example(version.signature)
    for language, (title, write) in _WRITERS.items():
        if body is None:
            left_out.append({"language": language, "reason": _TOO_LARGE})
            continue
        call = Call(version=version, base_url=base_url, has_tokens=has_tokens, body=body)
        try:
            items.append({"language": language, "title": title, "code": write(call)})
        except NoSnippet as reason:
            left_out.append({"language": language, "reason": str(reason)})
    return {"model": version.model, "version": version.number, "items": items, "left_out": left_out}


def _curl(call: Call) -> str:
    lines = [f"curl {shlex.quote(call.url)}", "-H 'content-type: application/json'"]
    if call.has_tokens:
        lines.append(f'-H "authorization: Bearer ${_TOKEN}"')
    if count_elements(call.version.signature) <= MOST_SHOWN:
        return " \\\n  ".join([*lines, f"-d {shlex.quote(json_literal(call.body))}"])
    printing = "\n".join([f"  {command}" for command in _printing(call)])
    return f"{{\n{printing}\n}} | " + " \\\n  ".join([*lines, "--data-binary @-"])


def _printing(call: Call) -> Iterator[str]:
    """Yield the commands that print a body whose tensors are too large to be written out: flat, by repetition."""
    text = '{"inputs": {'
    for place, spec in enumerate(required(call.version.signature)):
        if not spec.is_tensor:
            raise NoSnippet(f"{spec.name} ({spec}) is too large to be written out")
        value = call.body["inputs"][spec.name]
        text += f"{', ' if place else ''}{json_literal(spec.name)}: "
        if is_short(value):
            text += json_literal(value)
            continue
        shape = smallest_shape(spec)
        text += f'{{"shape": {list(shape)}, "data": ['
        yield f"printf %s {shlex.quote(text)}"
        yield f"yes {shlex.quote(json_literal(_first(value)))} | head -n {prod(shape)} | paste -s -d , -"
        text = "]}"
    yield f"printf %s {shlex.quote(text + '}}')}"


def _python(call: Call) -> str:
    headers = ['"content-type": "application/json"']
    if call.has_tokens:
        headers.append(f'"authorization": "Bearer " + os.environ["{_TOKEN}"]')
    return "\n".join(
        [
            "import json",
            *(["import os"] if call.has_tokens else []),
            "import urllib.request",
            "",
            f"body = {python_literal(call.body)}",
            "request = urllib.request.Request(",
            f"    {python_literal(call.url)},",
            "    data=json.dumps(body).encode(),",
            f"    headers={{{', '.join(headers)}}},",
            ")",
            "with urllib.request.urlopen(request) as answer:",
            "    print(json.load(answer))",
        ]
    )


def _client(call: Call) -> str:
    """Write a program that uses ``gateway.client``; what a request has no lists for is an array."""
    values = call.body["inputs"]
    if not call.version.signature.is_plain:
        raise NoSnippet("the client takes and gives arrays of numpy's own types")
    shapes = {spec.name: smallest_shape(spec) for spec in required(call.version.signature)}
    written = [
        f"{python_literal(name)}: {_array(value, shapes[name]) if isinstance(value, dict) else python_literal(value)}"
        for name, value in values.items()
    ]
    has_arrays = any(isinstance(value, dict) for value in values.values())
    token = f', token=os.environ["{_TOKEN}"]' if call.has_tokens else ""
    return "\n".join(
        [
            *(["import os", ""] if call.has_tokens else []),
            *(["import numpy as np", ""] if has_arrays else []),
            "from gateway.client import Client",
            "",
            f"with Client({python_literal(call.base_url)}{token}) as client:",
            f'    print(client.predict("{call.version.model}:{call.version.number}", {{{", ".join(written)}}}))',
        ]
    )


def _array(value: Any, shape: tuple[int, ...]) -> str:
    return f"np.full({shape}, {python_literal(_first(value))})"


def _javascript(call: Call) -> str:
    headers = ['"content-type": "application/json"']
    if call.has_tokens:
        headers.append(f"authorization: `Bearer ${{process.env.{_TOKEN}}}`")
    return "\n".join(
        [
            f"const body = {javascript_literal(call.body)};",
            f"const answer = await fetch({json_literal(call.url)}, {{",
            '  method: "POST",',
            f"  headers: {{ {', '.join(headers)} }},",
            "  body: JSON.stringify(body),",
            "});",
            "console.log(JSON.stringify(await answer.json(), null, 2));",
        ]
    )


def _tritonclient(call: Call) -> str:
    version = call.version
    lacking = unspeakable(version.signature)
    if lacking:
        names = ", ".join(f"{spec.name} ({spec})" for spec in lacking)
        raise NoSnippet(f"the Open Inference Protocol has no type for {names}")
    where = urlsplit(call.base_url)
    is_secure = ", ssl=True" if where.scheme == "https" else ""
    specs = required(version.signature)
    made = [line for spec in specs for line in _triton_input(spec, call.body["inputs"][spec.name])]
    token = [f'    headers={{"authorization": "Bearer " + os.environ["{_TOKEN}"]}},'] if call.has_tokens else []
    return "\n".join(
        [
            *(["import os", ""] if call.has_tokens else []),
            "import numpy as np",
            "import tritonclient.http as triton",
            "",
            "inputs = []",
            *made,
            f"client = triton.InferenceServerClient({python_literal(where.netloc + where.path)}{is_secure})",
            "answer = client.infer(",
            f"    {python_literal(version.model)},",
            "    inputs,",
            f'    model_version="{version.number}",',
            *token,
            ")",
            'for output in answer.get_response()["outputs"]:',
            '    print(output["name"], answer.as_numpy(output["name"]))',
        ]
    )


def _triton_input(spec: TensorSpec, value: Any) -> Iterator[str]:
    shape = smallest_shape(spec)
    dtype = _NUMPY_NAMES.get(spec.dtype.name, f"np.{spec.dtype.name}")
    kind = OPEN_INFERENCE_NAMES[spec.dtype.name]
    yield f'inputs.append(triton.InferInput({python_literal(spec.name)}, {list(shape)}, "{kind}"))'
    yield f"inputs[-1].set_data_from_numpy(np.full({shape}, {python_literal(_first(value))}, dtype={dtype}))"


_WRITERS: Mapping[str, tuple[str, Callable[[Call], str]]] = MappingProxyType(
    {
        "curl": ("curl", _curl),
        "python": ("Python, with its standard library", _python),
        "client": ("Python, with Sardonyx's client", _client),
        "javascript": ("JavaScript, as a module of Node.js 18 or newer", _javascript),
        "tritonclient": ("Python, with tritonclient[http]", _tritonclient),
    }
)


def _first(value: Any) -> Any:
    """Return the first element of a tensor; 0 where there is none."""
    while isinstance(value, dict | list):
        value = value["data"] if isinstance(value, dict) else value[0] if value else 0
    return value
