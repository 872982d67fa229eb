"""What answers the predict requests of one version, made once when the version is first routed to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gateway.codec.json_tensors import JsonCodec
from gateway.metrics import Metrics
from gateway.phases import PhaseCounts
from gateway.serving.taps import AnyTap
from gateway.web.problems import header_lines
from registry.records import Version

C = TypeVar("C")


class Counting(Protocol):
    """What counts answers."""

    def add(self, code: str, seconds: float, count: int = 1) -> None:
        """Count answers that took so long; ``code`` is their problem's, or ``ok``."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Endpoint:
    """A version with everything about it that does not depend on the request."""

    version: Version
    codec: JsonCodec
    counts: Counting
    phases: PhaseCounts
    output_names: tuple[str, ...]
    headers: tuple[tuple[bytes, bytes], ...]
    """The headers of every good answer, but for its length and the request id."""
    tap: AnyTap | None = None
    """Where its requests are offered once they are answered; None where nobody looks at them."""
    lines: bytes = field(init=False)
    """The same as HTTP/1.1 writes them."""
    _compiled: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", header_lines(list(self.headers)))

    @property
    def identity(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that say which version answers, whatever the answer looks like."""
        return self.headers[1:]

    def compiled(self, compile_: Callable[[Version], C]) -> C:
        """Return what ``compile_`` makes of the version; it is called once, when that is first asked for."""
        made: C | None = self._compiled.get(compile_)
        if made is None:
            made = self._compiled[compile_] = compile_(self.version)
        return made


class EndpointFactory:
    """Makes endpoints, all of which count into the same metrics.

    Args:
        metrics: where they count.
        tap_of: tells where the requests of a version are offered once they are answered.
    """

    def __init__(self, metrics: Metrics, tap_of: Callable[[Version], AnyTap | None] = lambda _: None) -> None:
        self._metrics = metrics
        self._tap_of = tap_of

    def __call__(self, version: Version) -> Endpoint:
        """Return the endpoint of a version."""
        return Endpoint(
            version=version,
            codec=JsonCodec(model=version.model, version=version.number, signature=version.signature),
            counts=self._metrics.of_version(version.model, version.number),
            phases=self._metrics.phases_of(version.model, version.number),
            output_names=tuple(spec.name for spec in version.signature.outputs),
            headers=(
                (b"content-type", b"application/json"),
                (b"x-model-version", str(version.number).encode()),
                (b"x-model-digest", str(version.artifact.digest).encode()),
                (b"vary", b"accept-encoding"),
            ),
            tap=self._tap_of(version),
        )
