"""What a gateway tells of models, versions and moves: its own documents, which show themselves in notebooks."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from gateway.client.display import Rows, html_table, plain_table
from gateway.client.wire import Document


class Models(Rows):
    """Models by name."""

    title = "Models"
    columns = MappingProxyType(
        {"name": "model", "latest_version": "latest", "aliases": "aliases", "description": "description"}
    )


class Versions(Rows):
    """A model's versions, newest first."""

    title = "Versions"
    columns = MappingProxyType(
        {
            "version": "version",
            "state": "state",
            "created_at": "registered",
            "created_by": "by",
            "description": "description",
        }
    )


class History(Rows):
    """Every move of a model's aliases."""

    title = "History"
    columns = MappingProxyType(
        {
            "number": "move",
            "at": "at",
            "alias": "alias",
            "kind": "kind",
            "from": "from",
            "to": "to",
            "actor": "by",
            "reason": "reason",
        }
    )

    def _shown(self) -> Sequence[Mapping[str, Any]]:
        """Each alias counts its own: ``m3``, as ``sardonyx rollback --to`` takes it."""
        return [{**move, "number": f"m{move['number']}" if "number" in move else None} for move in self]


class ModelInfo(Document):
    """One model: the gateway's own document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)

    def __repr__(self) -> str:
        """A line for each thing that is asked for most."""
        return plain_table(self._rows(), _FACTS)

    def _repr_html_(self) -> str:
        return html_table(self._rows(), _FACTS, caption=f"Model {self.get('name')}")

    def _rows(self) -> list[dict[str, Any]]:
        shown = ("name", "latest_version", "aliases", "description", "tags", "created_at")
        return [{"what": name.replace("_", " "), "value": self[name]} for name in shown if self.get(name)]


_FACTS = {"what": "", "value": ""}
