"""Names that callers write, parsed once and valid ever after."""

import re
from dataclasses import dataclass

from registry.errors import InvalidName, VersionNotFound

PRODUCTION = "production"
"""The alias that every model has by convention and that an unversioned predict route follows."""

_MODEL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?")
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def parse_model_name(text: str) -> str:
    """Return ``text`` if it is a model's name.

    Raises:
        InvalidName: it is not ``[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?`` without ``..``.
    """
    if _MODEL.fullmatch(text) is None or ".." in text:
        raise InvalidName(
            f"{quoted(text)} is not a model name: use 1 to 128 of a-z, 0-9, '.', '_' and '-', "
            "beginning and ending with a letter or a digit, without '..'"
        )
    return text


def parse_alias_name(text: str) -> str:
    """Return ``text`` if it is an alias's name.

    Raises:
        InvalidName: it is not ``[a-z][a-z0-9-]{0,62}``.
    """
    if _ALIAS.fullmatch(text) is None:
        raise InvalidName(
            f"{quoted(text)} is not an alias name: use a letter of a-z followed by up to 62 of a-z, 0-9 and '-'"
        )
    return text


def parse_version_number(text: str) -> int:
    """Return the positive decimal integer of 1 to 9 digits that ``text`` spells.

    Raises:
        VersionNotFound: no version can have such a number (``01``, ``-1``, ``1e3`` and the like included).
    """
    if _VERSION.fullmatch(text) is None:
        raise VersionNotFound(f"{quoted(text)} is not a version: versions are 1, 2, 3 and so on")
    return int(text)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a caller writes to mean one version: a model, and either a version's number or an alias."""

    model: str
    version: int | None = None
    alias: str = PRODUCTION

    def __str__(self) -> str:
        """The spelling of the command line: ``iris:3`` or ``iris@production``."""
        return f"{self.model}:{self.version}" if self.version is not None else f"{self.model}@{self.alias}"


def parse_reference(text: str) -> Reference:
    """Parse ``NAME``, ``NAME@ALIAS`` or ``NAME:N``.

    Raises:
        InvalidName: the model's or the alias's part is malformed.
        VersionNotFound: the part after the colon is no version's number.
    """
    if "@" in text:
        model, alias = text.split("@", 1)
        return Reference(parse_model_name(model), alias=parse_alias_name(alias))
    if ":" in text:
        model, number = text.split(":", 1)
        return Reference(parse_model_name(model), version=parse_version_number(number))
    return Reference(parse_model_name(text))


def quoted(text: str, *, limit: int = 64) -> str:
    """Quote a caller's text for a message: escaped, on one line, cut at ``limit`` characters."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "'" + cut.encode("ascii", "backslashreplace").decode("ascii").translate(_CONTROL) + "'"


_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
