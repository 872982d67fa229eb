"""Requests over HTTP/1.1: heads, framing, paths, and the control plane's JSON."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import orjson

from gateway.codec import npy, npz, safetensors
from gateway.web.paths import PredictPaths, dialect_of
from registry.errors import InvalidRequest, NotFound
from registry.names import parse_reference, quoted
from tests.fuzz.gateway_in_process import MODELS, Gateway
from tests.fuzz.json_texts import Documents
from tests.fuzz.mutation import mutate, number
from tests.fuzz.target import MIB, BrokenPromiseError, Made, Target
from tests.support.signatures import tensor

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def _attempt_at(gateway: Gateway) -> Callable[[bytes], None]:
    """Return what sends an input; where it is cut into pieces depends on the input alone."""

    def attempt(octets: bytes) -> None:
        random = Random(zlib.crc32(octets))
        cuts = sorted(random.randint(0, len(octets)) for _ in range(random.choice((0, 0, 0, 1, 2, 5))))
        pieces = [octets[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
        statuses = _STATUS.findall(gateway.converse([piece for piece in pieces if piece]))
        if not statuses or max(statuses) >= b"400":
            raise InvalidRequest(str(statuses))

    return attempt


# --- heads and framing ------------------------------------------------------------------------------------------------

_FLOATS = np.array([1.5, 2.5], np.float32)
_JSON, _OCTETS = "application/json", "application/octet-stream"
_OIP = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1.5, 2.5]}]}
_BINARY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}]}
).encode()
_SPEC = tensor("x", "float32", None)

_REQUESTS: Sequence[tuple[str, Mapping[str, str], bytes]] = (
    ("POST /v1/models/same/predict", {"content-type": _JSON}, b'{"inputs": [1.5, 2.5]}'),
    ("POST /models/same/predict", {"content-type": _JSON}, b'{"inputs": {"x": [1.5]}, "outputs": ["y"], "id": "a"}'),
    ("POST /models/rows@production/predict", {"content-type": _JSON}, b'{"instances": [[1, 2, 3, 4]]}'),
    ("POST /models/same/validate", {"content-type": _JSON}, b'{"inputs": [1.5, "a"]}'),
    ("POST /models/text/predict", {"content-type": _JSON, "accept": "application/x-npz"}, b'{"inputs": ["a"]}'),
    ("POST /models/same/predict", {"content-type": "application/x-npy"}, b"".join(npy.write_npy("x", _FLOATS))),
    ("POST /models/same/predict", {"content-type": "application/x-npz"}, npz.write_npz([("x", _FLOATS)])),
    (
        "POST /models/same/predict",
        {"content-type": "application/vnd.safetensors", "x-outputs": "y"},
        safetensors.write_safetensors([(_SPEC, _FLOATS)]),
    ),
    ("POST /v2/models/same/infer", {"content-type": _JSON}, json.dumps(_OIP).encode()),
    (
        "POST /v2/models/same/versions/1/infer",
        {"content-type": _OCTETS, "inference-header-content-length": str(len(_BINARY))},
        _BINARY + _FLOATS.tobytes(),
    ),
    ("POST /v2/models/same/infer", {"inference-header-content-length": "0"}, _FLOATS.tobytes()),
    ("POST /v1/models/same:predict", {"content-type": _JSON}, b'{"instances": [1.5, NaN]}'),
    ("POST /v1/models/same/labels/production:predict", {}, b'{"inputs": [1.5]}'),
    (
        "POST /v1/models/same/predict",
        {"content-type": _JSON, "content-encoding": "gzip"},
        gzip.compress(b'{"inputs": [1.5]}', mtime=0),
    ),
    ("POST /registry/models/other/versions", {"content-type": _OCTETS, "x-description": "d"}, b"\x08\x08\x3a\x00"),
    ("GET /v2/models/same", {}, b""),
    ("GET /v1/models/same/metadata", {}, b""),
    ("GET /registry/models?limit=2&cursor=a", {"accept": _JSON}, b""),
    ("GET /registry/models/same/versions/1/snippets?language=python", {}, b""),
    ("GET /registry/models/same/versions/1/artifact", {"range": "bytes=0-3", "if-none-match": '"a"'}, b""),
    ("GET /registry/events?after=0&wait=0", {}, b""),
    ("GET /metrics", {"accept-encoding": "gzip"}, b""),
    ("OPTIONS *", {}, b""),
    ("HEAD /health/ready", {}, b""),
)
_HEADERS = (
    *(
        "Host: localhost",
        "Host: x/abc?",
        "Host: ",
        "Host: 127.0.0.1:99999",
        "Host: [::1]:8000",
        "Host: \xff",
        "Host: a, b",
    ),
    *("Connection: close", "Connection: keep-alive", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    *("HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Expect: 100-continue"),
    *("Expect: 200", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity"),
    *(
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length: 0",
        "Content-Length: -1",
    ),
    *("Content-Length: 1e3", "Content-Length: 99999999999999999999", "Content-Length: 18446744073709551616"),
    *("Content-Length: +5", "Content-Length: 0x10", "Content-Length: 1, 1", "Content-Encoding: gzip"),
    *("Content-Encoding: br", "Content-Encoding: deflate, gzip", "Content-Encoding: identity", "Accept: */*;q=0"),
    *("Accept: application/x-npy;q=0.5, text/html", "Accept: application/x-npz", "Accept-Encoding: gzip, zstd;q=0.1"),
    *("Accept-Encoding: identity;q=0, *;q=0", "Accept: " + "a/b," * 3_000, "X-Request-Id: " + "x" * 300),
    *("X-Request-Id: a\x01b", "X-Outputs: y", "X-Outputs: %ff", "X-Outputs: ,", "X-Outputs: y,y", "X-Routing-Key: a"),
    *("X-Routing-Key: \xff", "X-Deadline-Ms: 1", "Inference-Header-Content-Length: 5", "Origin: null"),
    *(
        "Origin: http://localhost:8000",
        "Origin: https://evil.example",
        "Authorization: Bearer x",
        "Authorization: Basic",
    ),
    *(
        "Traceparent: 00-" + "0" * 32 + "-" + "0" * 16 + "-00",
        'If-Match: "1"',
        "Content-Type: application/json; charset=latin-1",
    ),
    *("Content-Type: multipart/form-data; boundary=x", "Content-Type: ", "Range: bytes=0-", "Cookie: a=b", "Digest: x"),
    *(
        "Content-Digest: sha-256=:AAAA:",
        "X-Forwarded-For: 1.2.3.4",
        "A" * 70_000 + ": b",
        "no colon",
        " folded",
        ": empty",
    ),
    *("A\x00B: c", "TE: trailers", "Trailer: x", "Access-Control-Request-Method: POST", "Sec-Fetch-Site: cross-site"),
)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "BREW", "get", "")
_PLACES = (
    *(
        "..",
        "%2e%2e%2f",
        "%252e",
        "%00",
        "%ff",
        "%",
        "%zz",
        "//",
        ";a=b",
        "?a=b&a=c",
        "#x",
        "\xe9",
        "%C3%A9",
        "@",
        ":1",
    ),
    *(
        "@production",
        "/versions/01",
        "/versions/99999999999",
        "0",
        "1e3",
        "-1",
        "a" * 300,
        "*",
        "http://a/b",
        " ",
        "\t",
    ),
    *("?limit=0", "?limit=-1", "?limit=1e9", "?cursor=%00", "?at=nonsense", "?wait=1e400", "?after=-5", "\\", "\x7f"),
)
_VERSIONS = ("HTTP/1.1",) * 80 + ("HTTP/1.0", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.12", "http/1.1", "")
_ENDS = ("\r\n",) * 12 + ("\n", "\r", "\r\n ", "\r\r\n")


def _request(random: Random) -> bytes:
    line, headers, body = random.choice(_REQUESTS)
    method, path = line.split(" ", 1)
    if random.random() < 0.1:
        method = random.choice(_METHODS)
    if random.random() < 0.25:
        at = random.randint(0, len(path))
        path = path[:at] + random.choice(_PLACES) + path[at if random.random() < 0.5 else len(path) :]
    if random.random() < 0.3:
        body = mutate(random, body)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if random.random() < 0.95:
        lines.append("Host: localhost")
    lines += random.choices(_HEADERS, k=random.choice((0, 0, 0, 0, 0, 1, 1, 2)))
    framing, octets = _framed(random, body)
    lines += framing
    random.shuffle(lines)
    end = random.choice(_ENDS) if random.random() < 0.05 else "\r\n"
    head = end.join([f"{method} {path} {random.choice(_VERSIONS)}", *lines, "", ""])
    return head.encode("latin-1") + octets


def _framed(random: Random, body: bytes) -> tuple[list[str], bytes]:
    """Return the headers that say how long the body is, and the body as they have it, or nearly so."""
    match random.randrange(24):
        case 0:
            return [f"Content-Length: {random.choice((len(body) + 1, max(len(body) - 1, 0), number(random)))}"], body
        case 1 | 2 | 3 | 5 | 6:
            return ["Transfer-Encoding: chunked"], b"".join(_chunks(random, body))
        case 4:
            return [], body
        case _:
            return [f"Content-Length: {len(body)}"], body


def _chunks(random: Random, body: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(body):
        size = random.choice((1, 2, 7, 100, len(body)))
        part = body[place : place + size]
        said = (
            f"{len(part):x}"
            if random.random() < 0.99
            else random.choice(("-1", "0x5", "ffffffffffffffff", "1" * 20, ""))
        )
        extension = random.choice(("", "", "", ";a=b", ";" + "x" * 20_000, ' ;a="\n"'))
        yield said.encode() + extension.encode() + b"\r\n" + part + (b"\r\n" if random.random() < 0.995 else b"\n")
        place += size
    yield b"0\r\n" + random.choice((b"",) * 12 + (b"x-trailer: a\r\n", b"Content-Length: 5\r\n")) + b"\r\n"


def make_http() -> Made:
    """What comes on one connection: one to three requests."""
    gateway = Gateway()

    def draw(random: Random) -> bytes:
        octets = b"".join(_request(random) for _ in range(random.choice((1, 1, 1, 2, 3))))
        if random.random() < 0.1:
            octets = mutate(random, octets, (b"\r\n", b"\r\n\r\n", b"\n", b" ", b":", b"\x00", b"0\r\n\r\n"))
        return octets

    return Made(draw, _attempt_at(gateway), gateway.close)


# --- paths ------------------------------------------------------------------------------------------------------------

_PATHS = (
    *("/v3/models/iris/predict", "/models/iris@production/predict", "/models/iris/validate", "/v2/models/iris/infer"),
    *("/v2/models/iris/versions/3/infer", "/v1/models/iris:predict", "/v1/models/iris/versions/3:predict"),
    *("/v1/models/iris/labels/canary:predict", "/models/iris:3", "iris@canary", "iris:3", "iris"),
)
_PATH_TOKENS = tuple(place.encode("latin-1") for place in (*_PLACES, "/", "/v", "/models/", "/predict", ":predict"))


def make_paths() -> Made:
    """Predict paths, and the references that commands take."""
    paths = PredictPaths(limit=8)
    seeds = [path.encode() for path in _PATHS]

    def draw(random: Random) -> bytes:
        return mutate(random, random.choice(seeds), _PATH_TOKENS, seeds)

    def attempt(octets: bytes) -> None:
        path = octets.decode("utf-8", "surrogateescape" if octets[:1] == b"/" else "replace")
        dialect_of(path)
        target = paths.read(path)
        if target is not None:
            if not path.isascii() or ".." in str(target.reference) or "/" in str(target.reference):
                raise BrokenPromiseError(f"{quoted(path)} was read as {target}")
            paths.remember(path, target)
        parse_reference(path)

    return Made(draw, attempt)


# --- the control plane ------------------------------------------------------------------------------------------------


def _example(schema: Mapping[str, Any], named: Mapping[str, Any]) -> Any:
    """Return a value of a JSON Schema, more or less."""
    if "$ref" in schema:
        return _example(named[schema["$ref"].rsplit("/", 1)[1]], named)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return _example(schema[union][0], named)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            return {name: _example(inner, named) for name, inner in schema.get("properties", {}).items()} or {"a": "b"}
        case "array":
            return [_example(schema.get("items", {}), named)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "same"


def _values(content: Mapping[str, Any], named: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the examples of a body that a document has, and what its schema makes."""
    schema = content.get("schema", {})
    target = named.get(schema.get("$ref", "").rsplit("/", 1)[-1], schema)
    yield from (example["value"] for example in content.get("examples", {}).values())
    yield from target.get("examples", ())
    yield from (content[name] for name in ("example",) if name in content)
    yield _example(schema, named)


_PARAMETER = re.compile(r"\{([^}]*)\}")
_OF_PARAMETER = {"name": tuple(MODELS), "alias": ("production", "canary"), "number": ("1", "1", "2"), "version": ("1",)}


def _place_of(random: Random, parameter: str) -> str:
    """Return what stands in a path for a parameter: something that is there, as a rule."""
    if random.random() < 0.1:
        return random.choice(("x", "0", "99", "..", "%00", "a" * 200))
    return random.choice(_OF_PARAMETER.get(parameter, ("1", "same", "production")))


def _words(value: Any) -> Iterator[str]:
    """Yield the names of properties and the words of enumerations in a document."""
    if isinstance(value, dict):
        yield from value.get("properties", {})
        yield from (word for word in value.get("enum", ()) if isinstance(word, str))
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)


def make_control() -> Made:
    """Every route that takes JSON, as the OpenAPI document has them, and its bodies."""
    gateway = Gateway()
    answer = gateway.converse([b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"])
    document = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    named = document.get("components", {}).get("schemas", {})
    words = (*sorted(set(_words(document))), *MODELS, "production", "1", "\u00e9", "a\x00b", "2026-01-01T00:00:00Z")
    routes: list[tuple[str, str, Documents]] = []
    for path, methods in sorted(document["paths"].items()):
        for method, operation in sorted(methods.items()):
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            if _JSON in content:
                routes.append((method.upper(), path, Documents(list(_values(content[_JSON], named)), words)))

    def draw(random: Random) -> bytes:
        method, path, documents = random.choice(routes)
        path = _PARAMETER.sub(lambda found: _place_of(random, found[1]), path)
        body = documents.draw(random)
        kind = (
            _JSON if random.random() < 0.97 else random.choice(("text/plain", "application/json; charset=utf-16", ""))
        )
        lines = [
            f"{method} {path} HTTP/1.1",
            "host: localhost",
            f"content-type: {kind}",
            f"content-length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    return Made(draw, _attempt_at(gateway), gateway.close)


_GATEWAY: Mapping[str, Any] = {
    "allowed": (InvalidRequest, NotFound),
    "room_bytes": 6144 * MIB,
    "memory_bytes": 256 * MIB,
    "cpu_seconds": 1.5,
    "wall_seconds": 120.0,
}

TARGETS = (
    Target(name="http", make=make_http, share=3, **_GATEWAY),
    Target(name="paths", make=make_paths, share=0.5),
    Target(name="control", make=make_control, share=3, **_GATEWAY),
)
