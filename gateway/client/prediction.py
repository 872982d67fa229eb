"""What a predict gives: arrays by name, and who has answered."""

from collections.abc import Mapping
from typing import Any

from gateway.client.display import array_cell, html_table, plain_table
from gateway.client.transport import Response


class Prediction(dict[str, Any]):
    """The outputs by name, each an array of the signature's dtype and the shape that it came in.

    ``model`` and ``version`` say who has answered (behind an alias with a canary that may be another one each time),
    ``digest`` by which bytes, ``request_id`` under which id the gateway's log has it; ``headers`` are the answer's,
    lower-case.
    """

    __slots__ = ("digest", "headers", "model", "request_id", "version")

    def __init__(self, outputs: Mapping[str, Any], *, model: str, version: int, response: Response) -> None:
        super().__init__(outputs)
        self.model = model
        self.version = version
        self.headers: Mapping[str, str] = response.headers
        self.digest: str | None = response.headers.get("x-model-digest")
        self.request_id: str | None = response.headers.get("x-request-id")

    @property
    def reference(self) -> str:
        """What ``predict`` takes to mean exactly the version that has answered: ``iris:3``."""
        return f"{self.model}:{self.version}"

    def __repr__(self) -> str:
        """Who answered, and a line for each output."""
        return f"Prediction of {self.reference}\n{plain_table(self._rows(), _COLUMNS)}"

    def _repr_html_(self) -> str:
        return html_table(self._rows(), _COLUMNS, caption=f"Prediction of {self.reference}")

    def _rows(self) -> list[dict[str, Any]]:
        return [{"output": name, **array_cell(value)} for name, value in self.items()]


_COLUMNS = {"output": "output", "kind": "dtype", "values": "values"}
