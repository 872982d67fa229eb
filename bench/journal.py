"""The turns that have been measured so far, so that a long comparison may be interrupted and taken up again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.measuring import Measurement
from bench.report import measurement_from_json


@dataclass(frozen=True, slots=True)
class Turn:
    """One server with one model in one round."""

    round: int
    model: str
    contestant: str


class OtherRunError(Exception):
    """What has been measured so far was measured in another way."""


class Journal:
    """A file of JSON lines: how it is measured, then each turn.

    Raises:
        OtherRunError: the file that is there was begun with other settings.
    """

    def __init__(self, path: Path, settings: dict[str, object]) -> None:
        self._path = path
        self.turns: dict[Turn, tuple[str, list[Measurement]]] = {}
        """What was measured, and of which commit."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append(settings)
            return
        first, *lines = path.read_text().splitlines()
        if json.loads(first) != json.loads(json.dumps(settings)):
            raise OtherRunError(f"begun with {first}; --fresh begins anew")
        for line in lines:
            content = json.loads(line)
            measurements = [measurement_from_json(one) for one in content["measurements"]]
            self.turns[Turn(**content["turn"])] = (content["commit"], measurements)

    def add(self, turn: Turn, commit: str, measurements: Sequence[Measurement]) -> None:
        """Remember a turn; from here on it is not measured again."""
        self.turns[turn] = (commit, list(measurements))
        self._append({"turn": asdict(turn), "commit": commit, "measurements": [asdict(one) for one in measurements]})

    def all_measurements(self) -> list[Measurement]:
        return [one for _, measurements in self.turns.values() for one in measurements]

    def commits(self) -> list[str]:
        """Return the commits that were measured, each once."""
        return sorted({commit for commit, _ in self.turns.values()})

    def _append(self, content: dict[str, object]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(content) + "\n")
