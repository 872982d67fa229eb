"""What an admin asks for, as a form's fields: the same in the link to a plan and in what is sent to carry it out."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.web.schemas import invalid_fields
from registry.errors import InvalidRequest, Violation
from registry.names import PRODUCTION, parse_alias_name
from registry.promotion import UNSET, Proposal
from registry.records import Alias, Canary, Shadow

_MOST = 10**9
"""No version has a number as large."""

Fields = Mapping[str, str]

F = TypeVar("F", bound="_Form")


class _Form(BaseModel):
    """Fields of a form: text, of which numbers are read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    alias: str = PRODUCTION
    expected_generation: int | None = Field(default=None, ge=0, lt=_MOST)
    """The state of the alias that the page has shown; 0 for an alias that is not there yet."""
    reason: str = Field(default="", max_length=1024)


class MoveForm(_Form):
    """An alias is to become this."""

    version: int = Field(ge=1, lt=_MOST)
    canary: int | None = Field(default=None, ge=1, lt=_MOST)
    canary_percent: float | None = None
    max_error_percent: Decimal | None = Field(default=None, ge=0, le=100)
    """Decimal, as is the next one: a limit that is spelled in a form and read again is the same limit."""
    max_latency_ms: Decimal | None = Field(default=None, gt=0, lt=_MOST)
    drop_canary: bool = False
    shadow: int | None = Field(default=None, ge=1, lt=_MOST)
    shadow_percent: float | None = None
    drop_shadow: bool = False
    allow_breaking: bool = False
    takes_back: bool = False
    """Whether this undoes a promotion, and is recorded as a rollback."""

    def proposal(self) -> Proposal:
        """Return it as the registry knows it; what the form does not name is not asked for.

        Raises:
            InvalidRequest: a canary or a shadow has no share.
        """
        return Proposal(
            version=self.version,
            expected_generation=self.expected_generation,
            allow_breaking=self.allow_breaking,
            canary=None if self.drop_canary else UNSET if self.canary is None else self._canary(self.canary),
            shadow=None if self.drop_shadow else UNSET if self.shadow is None else self._shadow(self.shadow),
        )

    def _canary(self, version: int) -> Canary:
        return Canary(
            version=version,
            percent=_given(self.canary_percent, "canary_percent"),
            max_error_rate=None if self.max_error_percent is None else float(self.max_error_percent / 100),
            max_latency_seconds=None if self.max_latency_ms is None else float(self.max_latency_ms / 1000),
        )

    def _shadow(self, version: int) -> Shadow:
        return Shadow(version=version, percent=_given(self.shadow_percent, "shadow_percent"))


class RollbackForm(_Form):
    """An alias is to go back to what was live before, or to a version that was."""

    to: int | None = Field(default=None, ge=1, lt=_MOST)


_LINKED = MoveForm.model_fields.keys() - {"allow_breaking", "takes_back"}


def read_move(fields: Fields) -> MoveForm:
    """Return what the fields ask for.

    Raises:
        InvalidRequest, InvalidName: they are not what they should be; with a violation for each.
    """
    return _read(MoveForm, fields)


def read_rollback(fields: Fields) -> RollbackForm:
    """Return what the fields ask for; raises what ``read_move`` raises."""
    return _read(RollbackForm, fields)


def linked(query: Mapping[str, str]) -> dict[str, str]:
    """Return what a link to a plan may say: what is to become of an alias, not that callers may stumble over it."""
    return {name: text for name, text in query.items() if name in _LINKED}


def restoring(before: Alias, after: Alias, *, takes_back: bool = False) -> dict[str, str]:
    """Return the fields that make an alias what it was before, if nothing else happens to it in between.

    Args:
        before: what the alias was.
        after: what it is.
        takes_back: whether a promotion has led from the one to the other.
    """
    return _texts(
        {
            "alias": before.name,
            "version": before.version,
            "expected_generation": after.generation,
            "allow_breaking": True,
            "takes_back": takes_back,
            **_canary_fields(before.canary),
            **_shadow_fields(before.shadow),
        }
    )


def _canary_fields(canary: Canary | None) -> dict[str, Any]:
    if canary is None:
        return {"drop_canary": True}
    rate, seconds = canary.max_error_rate, canary.max_latency_seconds
    return {
        "canary": canary.version,
        "canary_percent": canary.percent,
        "max_error_percent": None if rate is None else Decimal(str(rate)) * 100,
        "max_latency_ms": None if seconds is None else Decimal(str(seconds)) * 1000,
    }


def _shadow_fields(shadow: Shadow | None) -> dict[str, Any]:
    return {"drop_shadow": True} if shadow is None else {"shadow": shadow.version, "shadow_percent": shadow.percent}


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return fields as forms have them: none for what is not said, ``1`` for what holds, a number as it reads back."""
    said = {name: value for name, value in fields.items() if value is not None and value is not False}  # 0 is said
    return {name: "1" if value is True else str(value) for name, value in said.items()}


def _read(form: type[F], fields: Fields) -> F:
    try:
        read = form.model_validate({name: text for name, text in fields.items() if text.strip()})  # empty: not said
    except ValidationError as error:
        faults: list[dict[str, Any]] = list(error.errors())  # type: ignore[arg-type]  # TypedDicts
        raise invalid_fields((fault["loc"], fault) for fault in faults) from error
    parse_alias_name(read.alias)
    return read


def _given(percent: float | None, name: str) -> float:
    if percent is None:
        missing = Violation(path=f"/{name}", expected="more than 0, at most 100", received="nothing", code="missing")
        raise InvalidRequest(f"/{name}: say how many of a hundred requests", violations=[missing])
    return percent
