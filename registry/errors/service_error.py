"""What all errors have in common."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One fault of a body: where it is, what belongs there, and what came."""

    path: str
    """JSON Pointer (RFC 6901) into the body, such as ``/inputs/x/0/2``."""
    expected: str
    received: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which a candidate's signature breaks the callers of the version it would replace."""

    path: str
    """Where in the signature, such as ``inputs/x/dtype``."""
    before: str
    after: str


class ServiceError(Exception):
    """Everything that Sardonyx refuses or cannot do; never raised itself."""

    code: str = "internal_error"
    is_private: bool = False
    """True if the detail is about our insides: for the log, never for the wire."""
    title: str = "Something went wrong"

    def __init__(
        self,
        detail: str,
        *,
        retry_after_seconds: int | None = None,
        violations: Sequence[Violation] = (),
        differences: Sequence[Difference] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.violations = tuple(violations)
        """Every fault of the caller's body, or of what a model gives for its examples."""
        self.differences = tuple(differences)
        """Everything by which a promotion would break callers."""
