"""Who may do what: three roles, each with the rights of those before it, and the models that a token is good for."""

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from registry.errors import Forbidden, InvalidRequest
from registry.names import quoted

_PATTERN = re.compile(r"[a-z0-9._*?-]{1,128}")


class Role(StrEnum):
    """What a token is for."""

    PREDICT = "predict"
    """Calls models and reads what there is."""
    PUBLISH = "publish"
    """Registers versions and describes them, besides."""
    ADMIN = "admin"
    """Promotes, retires and makes tokens, besides."""

    def includes(self, other: "Role") -> bool:
        """True if whoever has this role may do what ``other`` may."""
        return other is Role.PREDICT or self is Role.ADMIN or self is other


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request, and what they may do."""

    name: str
    """For the history."""
    role: Role
    models: str | None = None
    """The pattern of the models' names that the caller may touch; None for all."""
    token: str | None = None
    """The public id of the token; None where there are no tokens."""

    def sees(self, model: str | None) -> bool:
        """True if the caller may know of the model; what is about no model is for those who see them all."""
        return self.models is None or (model is not None and fnmatchcase(model, self.models))

    def require(self, role: Role, model: str | None = None) -> None:
        """Do nothing if the caller may do what ``role`` may, to ``model`` if one is given.

        Raises:
            Forbidden: the message names the role that is needed.
        """
        if self.role.includes(role) and (model is None or self.sees(model)):
            return
        wanted = f"this needs the role {role.value}" + ("" if model is None else f" for model {quoted(model)}")
        limits = "" if self.models is None else f" for {quoted(self.models)} only"
        raise Forbidden(f"{wanted}; the token {quoted(self.name)} has {self.role.value}{limits}")


def check_pattern(models: str) -> None:
    """Make sure that this can be a pattern of models' names.

    Raises:
        InvalidRequest: it has signs that no name has.
    """
    if _PATTERN.fullmatch(models) is None:
        raise InvalidRequest(
            f"{quoted(models)} is no pattern of model names: write a name, with '*' for any signs and '?' for any one"
        )
