"""A version as the gateway describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.client.display import html_table, spell_mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How a converted model's answer to the example compares with the original's."""

    source: str
    """What was converted: ``sklearn 1.9.1 LogisticRegression``."""
    rows: int
    """The rows of the example."""
    largest_difference: float | None
    """Between any two floats of the answers; None if there are no floats in them."""
    absolute_tolerance: float
    relative_tolerance: float

    @property
    def tags(self) -> dict[str, str]:
        """What is kept with the version."""
        found = "no floats" if self.largest_difference is None else f"{self.largest_difference:.3g}"
        allowed = f"{self.absolute_tolerance:g} + {self.relative_tolerance:g} of the value allowed"
        return {"converted-from": self.source, "conversion-difference": f"{found} in {self.rows} rows ({allowed})"}


@dataclass(frozen=True, slots=True, repr=False)
class VersionInfo:
    """One version: the gateway's own document, with names for what is asked for most."""

    document: Mapping[str, Any]
    """All that the gateway said: ``metadata``, ``memory_bytes``, ``tags`` and so on."""
    is_new: bool = False
    """True if registering made this version; False if it has these bytes already."""
    conversion: Conversion | None = None
    """What holding it against its original has shown, if it was converted just now."""

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

    def __repr__(self) -> str:
        """As ``str``: the whole document would fill the screen."""
        return f"<{self}>"

    def _repr_html_(self) -> str:
        tensors = [
            {
                "what": what,
                "name": spec["name"],
                "type": spell_tensor(spec) + (" = default" if spec.get("optional") else ""),
            }
            for what, specs in (("input", self.inputs), ("output", self.outputs))
            for spec in specs
        ]
        tensors += [{"what": name, "name": "", "type": value} for name, value in self._facts().items() if value]
        return html_table(tensors, {"what": "", "name": "name", "type": "type"}, caption=self.reference)

    def _facts(self) -> Mapping[str, str]:
        facts = {name: str(self.document.get(name) or "") for name in ("description", "state", "created_by", "digest")}
        tags = {"tags": spell_mapping(self.document.get("tags"))}
        return {name.replace("_", " "): value for name, value in {**facts, **tags}.items()}


def spell_specs(specs: Sequence[Mapping[str, Any]]) -> str:
    """Spell inputs or outputs for people: ``x: float32[batch, 4], h: float32[?, 2] = default``."""
    return ", ".join(
        f"{spec['name']}: {spec['dtype']}{spell_shape(spec['shape'])}{' = default' if spec.get('optional') else ''}"
        for spec in specs
    )


def spell_tensor(spec: Mapping[str, Any]) -> str:
    """Spell what an input or output is, as the gateway does: ``float32[batch, 4]``, ``sequence(int64[?])``."""
    tensor, containers = f"{spec['dtype']}{spell_shape(spec['shape'])}", list(spec.get("containers") or ())
    return "".join(f"{container}(" for container in containers) + tensor + ")" * len(containers)


def spell_shape(shape: Sequence[Any] | None) -> str:
    """Spell a shape: unknown dimensions are ``?``, an unknown rank is ``[...]``."""
    if shape is None:
        return "[...]"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
