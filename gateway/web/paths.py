"""Predict paths, read once: ``/v3/models/iris/predict`` and its kin."""

import re
from dataclasses import dataclass
from enum import StrEnum

from registry.errors import InvalidName
from registry.names import PRODUCTION, Reference, parse_alias_name, parse_model_name, parse_version_number

_PATH = re.compile(r"(?:/v(?P<version>[^/]*))?/models/(?P<model>[^/]*)/(?P<verb>predict|validate)", re.DOTALL)

_REMEMBERED = 20_000


class Verb(StrEnum):
    """What is asked of a version."""

    PREDICT = "predict"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class Target:
    """A predict path, understood."""

    reference: Reference
    verb: Verb


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
        if target is None:
            match = _PATH.fullmatch(path)
            if match is None:
                return None
            target = Target(_reference(match["version"], match["model"]), Verb(match["verb"]))
        return target

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


def _reference(version: str | None, model: str) -> Reference:
    if version is not None:
        return Reference(parse_model_name(model), version=parse_version_number(version))
    name, separator, alias = model.partition("@")
    if separator and not alias:
        raise InvalidName("an alias's name is missing after '@'")
    return Reference(parse_model_name(name), alias=parse_alias_name(alias) if separator else PRODUCTION)
