"""A version as the gateway describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version: the gateway's own document, with names for what is asked for most."""

    document: Mapping[str, Any]
    """All that the gateway said: ``metadata``, ``memory_bytes``, ``tags`` and so on."""
    is_new: bool = False
    """True if registering made this version; False if it has these bytes already."""

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.document["model"])

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.document["version"])

    @property
    def digest(self) -> str:
        """What its bytes are known by: ``sha256:`` and hexadecimal digits."""
        return str(self.document["digest"])

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """Each input's ``name``, ``dtype``, ``shape`` and whether it is ``optional``."""
        return tuple(self.document["signature"]["inputs"])

    @property
    def outputs(self) -> Sequence[Mapping[str, Any]]:
        """Each output's ``name``, ``dtype`` and ``shape``."""
        return tuple(self.document["signature"]["outputs"])

    @property
    def reference(self) -> str:
        """What ``predict`` takes to mean exactly this version: ``iris:3``."""
        return f"{self.model}:{self.version}"

    def __str__(self) -> str:
        """``iris:3 (x: float32[batch, 4]) -> (label: int64[batch])``."""
        return f"{self.reference} ({spell_specs(self.inputs)}) -> ({spell_specs(self.outputs)})"


def spell_specs(specs: Sequence[Mapping[str, Any]]) -> str:
    """Spell inputs or outputs for people: ``x: float32[batch, 4], h: float32[?, 2] = default``."""
    return ", ".join(
        f"{spec['name']}: {spec['dtype']}{_spell_shape(spec['shape'])}{' = default' if spec.get('optional') else ''}"
        for spec in specs
    )


def _spell_shape(shape: Sequence[Any] | None) -> str:
    if shape is None:
        return "[...]"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
