"""What a caller writes to mean one version, and the paths that it stands for."""

from dataclasses import dataclass
from urllib.parse import quote

from gateway.client.errors import UnusableArgument

PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Target:
    """A model, and either a version's number or an alias; ``alias`` is None where none was written."""

    model: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        """``iris``, ``iris@staging`` or ``iris:3``."""
        if self.version is not None:
            return f"{self.model}:{self.version}"
        return f"{self.model}@{self.alias}" if self.alias is not None else self.model

    @property
    def predict_path(self) -> str:
        """Where its predict route is."""
        if self.version is not None:
            return f"/v{self.version}/models/{quote(self.model, safe='')}/predict"
        at = f"@{quote(self.alias, safe='')}" if self.alias is not None else ""
        return f"/models/{quote(self.model, safe='')}{at}/predict"


def parse_target(text: str) -> Target:
    """Parse ``NAME``, ``NAME@ALIAS`` or ``NAME:N``; whether such a thing exists is the gateway's to say.

    Raises:
        UnusableArgument: it is none of these.
    """
    model, at, alias = text.partition("@")
    if at and model and alias:
        return Target(model, alias=alias)
    model, colon, number = text.partition(":")
    if not model or at or (colon and not (number.isascii() and number.isdecimal())):
        raise UnusableArgument(f"{text!r} is not a reference: write NAME, NAME@ALIAS or NAME:NUMBER")
    return Target(model, version=int(number)) if colon else Target(model)


def model_path(model: str, *rest: str | int) -> str:
    """Return the control plane's path for a model, or for what lies below it."""
    return "/".join(("/registry/models", quote(model, safe=""), *(quote(str(part), safe="") for part in rest)))
