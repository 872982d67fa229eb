"""Whether two sessions are of the same model, as far as made-up inputs can show.

1. They have the same inputs, optional inputs and outputs, and on inputs of different sizes the same answers, to the
   last bit. A model that answers differently each time cannot be compared.
2. Its optional inputs are overridden besides (``overrides``). Where not even two different values of one are accepted,
   nobody knows whether its default has been taken for granted.
3. Of answers only digests are kept: there may be many, and one of the sessions has to go before the other one comes.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from registry.inspection.overrides import Overriding, overridings
from registry.inspection.probes import Feed, Probe, larger_probes, small_probes
from registry.names import quoted
from registry.signature import Signature

_LARGE_RUN_SECONDS = 0.5
"""No made-up input is so large that its run is expected to take longer; each is run three times."""

_OVERRIDING_SECONDS = 2.0
"""For all runs of one session that override something."""

Content: TypeAlias = Sequence[object]
"""What two equal answers have in common."""

Arguments: TypeAlias = tuple[list[tuple[str, str, Any]], ...]


class NotTheSame(Exception):  # noqa: N818 - no error: the model is loaded plainly then
    """Why one session cannot stand for the other."""

    is_final = True
    """False if it may be found to be the same another time."""


class NotTried(NotTheSame):
    """Time ran out before it could be told: the host may have been busy."""

    is_final = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a session showed that another one has to show, too."""

    arguments: Arguments
    answers: Sequence[tuple[Feed, Content]]
    overridden: Sequence[tuple[Overriding, Content | None]]
    """None where the values were refused."""
    probe: Probe
    """What was overridden besides."""

    def names(self) -> frozenset[str]:
        """Return the inputs and optional inputs."""
        return frozenset(name for kind in self.arguments[:2] for name, _, _ in kind)


def learn(session: Any, signature: Signature) -> Expectation:
    """Run a session and return what is to be expected of another one.

    Raises:
        NotTheSame: it accepts nothing, or answers differently each time: it would not be the same as itself.
        NotTried: its runs take too long for that.
    """
    probe = _find_probe(session, signature)
    if probe is None:
        raise NotTheSame("no made-up input is accepted, so nothing can be compared")
    answers = list(_answers(session, signature, probe))
    overridden = list(_override(session, signature, probe))
    return Expectation(arguments=_arguments(session), answers=answers, overridden=overridden, probe=probe)


def compare(session: Any, expected: Expectation, signature: Signature) -> None:
    """Make sure that a session shows what is expected.

    Raises:
        NotTheSame: it does not.
    """
    if _arguments(session) != expected.arguments:
        raise NotTheSame("the inputs and outputs are not the same")
    if any(_try(session, feed) != content for feed, content in expected.answers):
        raise NotTheSame("the answers differ")
    for overriding, content in expected.overridden:
        feed = overriding.feed(expected.probe, signature)
        if feed is not None and _try(session, feed) != content:
            names = ", ".join(quoted(spec.name) for spec in overriding.specs)
            raise NotTheSame(f"the answers differ where {names} is given")


def _arguments(session: Any) -> Arguments:
    kinds = (session.get_inputs(), session.get_overridable_initializers(), session.get_outputs())
    return tuple([(argument.name, argument.type, argument.shape) for argument in kind] for kind in kinds)


def _find_probe(session: Any, signature: Signature) -> Probe | None:
    for probe in small_probes(signature):
        feed = probe.feed(signature)
        if feed is not None and _try(session, feed) is not None:
            return probe
    return None


def _answers(session: Any, signature: Signature, probe: Probe) -> Iterator[tuple[Feed, Content]]:
    """Yield made-up inputs that the model accepts, the probe's first, then larger ones, with its answers."""
    seconds, elements = 0.0, max(1, probe.elements(signature))
    for larger in (probe, *larger_probes(probe)):
        growth = larger.elements(signature) / elements
        is_affordable = larger == probe or (growth > 1 and growth * seconds < _LARGE_RUN_SECONDS)
        feed = larger.feed(signature) if is_affordable else None
        content = None if feed is None else _try(session, feed)
        if feed is not None and content is not None:
            began = time.perf_counter()
            if _try(session, feed) != content:
                raise NotTheSame("the model itself answers differently each time")
            seconds, elements = time.perf_counter() - began, max(1, larger.elements(signature))
            yield feed, content


def _override(session: Any, signature: Signature, probe: Probe) -> Iterator[tuple[Overriding, Content | None]]:
    """Yield made-up values of optional inputs with the answers, of each input two at least: one may be the default."""
    optional = [spec for spec in signature.inputs if spec.optional and 0 not in (spec.shape or ())]
    accepted: dict[str, set[object]] = {spec.name: set() for spec in optional}
    is_late = False
    began = time.perf_counter()
    for overriding in overridings(optional):
        feed = overriding.feed(probe, signature)
        if feed is not None:
            content = _try(session, feed)
            yield overriding, content
            for spec in overriding.specs if content is not None else ():
                accepted[spec.name].add(_content(feed[spec.name]))
        is_late = time.perf_counter() - began > _OVERRIDING_SECONDS
        if is_late:
            break
    for name, values in accepted.items():
        if len(values) < 2 and is_late:  # noqa: PLR2004 - see above
            raise NotTried(f"no time was left to try values of its optional input {quoted(name)}")
        if len(values) < 2:  # noqa: PLR2004 - see above
            raise NotTheSame(
                f"too few made-up values of its optional input {quoted(name)} are accepted to compare them"
            )


def _try(session: Any, feed: Feed) -> Content | None:
    """Return the answer's content; None where the inputs do not suit the model, which says so in many classes."""
    try:
        return [_content(value) for value in session.run(None, dict(feed))]
    except Exception:  # noqa: BLE001 - see above
        return None


def _content(value: Any) -> object:
    array = np.asarray(value)
    octets = repr(array.tolist()).encode() if array.dtype.kind == "O" else np.ascontiguousarray(array).data
    return array.dtype, array.shape, hashlib.sha256(octets).digest()
