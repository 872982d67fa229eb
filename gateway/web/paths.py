"""Predict paths, read once: ``/v3/models/iris/predict`` and its kin."""

import re
from dataclasses import dataclass
from enum import StrEnum

from registry.errors import InvalidName
from registry.names import PRODUCTION, Reference, parse_alias_name, parse_model_name, parse_version_number

_PATH = re.compile(r"(?:/v(?P<version>[^/]*))?/models/(?P<model>[^/]*)/(?P<verb>predict|validate)", re.DOTALL)
_LIKE_NATIVE = re.compile(r"/(?:predict|validate)(?:/|\?|$)")
_OPEN_INFERENCE = re.compile(r"/v2/models/(?P<model>[^/]*)(?:/versions/(?P<version>[^/]*))?/infer", re.DOTALL)
_TENSORFLOW = re.compile(
    r"/v1/models/(?P<model>[^/:]*)(?:/versions/(?P<version>[^/:]*)|/labels/(?P<label>[^/:]*))?:predict", re.DOTALL
)

_REMEMBERED = 20_000


class Dialect(StrEnum):
    """Whose words a request is in, and its answer, be that a refusal."""

    NATIVE = "native"
    OPEN_INFERENCE = "open_inference"
    """The Open Inference Protocol, version 2, as Triton and KServe speak it."""
    TENSORFLOW = "tensorflow"
    """TensorFlow Serving's REST, which is KServe's version 1 as well."""


class Verb(StrEnum):
    """What is asked of a version."""

    PREDICT = "predict"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class Target:
    """A predict path, understood."""

    reference: Reference
    verb: Verb = Verb.PREDICT
    dialect: Dialect = Dialect.NATIVE


class PredictPaths:
    """Understands predict paths, and remembers those that have led to a version: the newest, up to a limit."""

    def __init__(self, *, limit: int = _REMEMBERED) -> None:
        self._limit = limit
        self._known: dict[str, Target] = {}
        self._known_urls: dict[bytes, tuple[str, Target]] = {}

    def read(self, path: str) -> Target | None:
        """Return what the path means, or None if it is no predict path.

        Raises:
            InvalidName: the model's or the alias's part is malformed.
            VersionNotFound: the version's part is not a version's number.
        """
        target = self._known.get(path)
        return _read(path) if target is None else target

    def remember(self, path: str, target: Target) -> None:
        """Spare the next request for this path the reading."""
        if path in self._known:
            return
        if len(self._known) >= self._limit:
            oldest = next(iter(self._known))
            del self._known[oldest], self._known_urls[oldest.encode("ascii")]
        self._known[path] = target
        # Names that are valid are spelled alike in a URL and in a path.
        self._known_urls[path.encode("ascii")] = path, target

    def known(self, url: bytes) -> tuple[str, Target] | None:
        """Return the path and its meaning if this URL, as it stands in a request line, has been read before."""
        return self._known_urls.get(url)


def dialect_of(path: str) -> Dialect:
    """Return in whose words whoever asks for this path is to be refused."""
    if _LIKE_NATIVE.search(path):
        return Dialect.NATIVE
    if path == "/v2" or path.startswith("/v2/"):
        return Dialect.OPEN_INFERENCE
    return Dialect.TENSORFLOW if path.startswith("/v1/models") else Dialect.NATIVE


def read_version(model: str, version: str | None) -> Reference:
    """Return what a name and, beside it, a version's number or an alias's name mean: None for what is promoted.

    Raises:
        InvalidName: one of them is malformed.
        VersionNotFound: a number is none that a version can have.
    """
    if version is None:
        return Reference(parse_model_name(model), alias=PRODUCTION)
    if version[:1].isdigit():
        return Reference(parse_model_name(model), version=parse_version_number(version))
    return Reference(parse_model_name(model), alias=parse_alias_name(version))


def _read(path: str) -> Target | None:
    if match := _PATH.fullmatch(path):
        return Target(_reference(match["version"], match["model"]), Verb(match["verb"]))
    if match := _OPEN_INFERENCE.fullmatch(path):
        reference = read_version(match["model"], match["version"])
        return Target(reference, dialect=Dialect.OPEN_INFERENCE)
    if match := _TENSORFLOW.fullmatch(path):
        return Target(tensorflow_version(match["model"], match["version"], match["label"]), dialect=Dialect.TENSORFLOW)
    return None


def tensorflow_version(model: str, version: str | None, label: str | None) -> Reference:
    """Return what TensorFlow Serving's clients mean: version 0 is the default, a label is an alias.

    Raises:
        InvalidName, VersionNotFound: as ``read_version``.
    """
    if label is not None:
        return Reference(parse_model_name(model), alias=parse_alias_name(label))
    if version is None or version == "0":
        return Reference(parse_model_name(model), alias=PRODUCTION)
    return Reference(parse_model_name(model), version=parse_version_number(version))


def _reference(version: str | None, model: str) -> Reference:
    if version is not None:
        return Reference(parse_model_name(model), version=parse_version_number(version))
    name, separator, alias = model.partition("@")
    if separator and not alias:
        raise InvalidName("an alias's name is missing after '@'")
    return Reference(parse_model_name(name), alias=parse_alias_name(alias) if separator else PRODUCTION)
