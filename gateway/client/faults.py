"""What is wrong with a request, and what would become of callers, as values."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_BODY = ("", "/", "/inputs", "/outputs", "/instances")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One fault of a request: where it is, what belongs there, and what came."""

    path: str
    """JSON Pointer into the body, such as ``/inputs/x/0/2``."""
    expected: str
    received: str
    code: str

    def __str__(self) -> str:
        """``/inputs/x/0/2: expected an element of float32, received 'a'``."""
        return f"{self.path or '/'}: expected {self.expected}, received {self.received}"

    @property
    def input(self) -> str | None:
        """The name of the input that it is about; None if it is about something else."""
        parts = self.path.split("/")
        is_named = parts[1:2] == ["inputs"] and len(parts) > 2  # noqa: PLR2004 - "", "inputs" and the name
        return parts[2].replace("~1", "/").replace("~0", "~") if is_named else None

    @property
    def index(self) -> tuple[int, ...]:
        """Where the element stands in its tensor; () if it is about the tensor as a whole."""
        places = self.path.split("/")[3:] if self.input is not None else []
        return tuple(int(place) for place in places if place.isascii() and place.isdecimal())

    def as_json(self) -> dict[str, str]:
        """Return the wire's form."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which a promotion would break the callers of the version that is live."""

    path: str
    """Where in the signature, such as ``inputs/x/dtype``."""
    before: str
    after: str

    def __str__(self) -> str:
        """``inputs/x/dtype: float32 becomes int64``."""
        return f"{self.path}: {self.before} becomes {self.after}"


def violations_of(found: Any) -> tuple[Violation, ...]:
    """Return the violations of a problem; what is none, whoever wrote it, is passed over."""
    return tuple(Violation(**texts) for texts in _texts(found, ("path", "expected", "received", "code")))


def differences_of(found: Any) -> tuple[Difference, ...]:
    """Return the differences of a problem; what is none is passed over."""
    return tuple(Difference(**texts) for texts in _texts(found, ("path", "before", "after")))


def is_about_inputs(fault: Violation) -> bool:
    """Return whether a violation is of the body of a predict request."""
    return fault.path in _BODY or fault.path.startswith(("/inputs/", "/outputs/", "/instances/"))


def pointer_token(name: str) -> str:
    """Escape a name for a JSON Pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _texts(found: Any, names: Sequence[str]) -> list[dict[str, str]]:
    if not isinstance(found, list):
        return []
    return [{name: str(fault.get(name, "")) for name in names} for fault in found if isinstance(fault, dict)]
