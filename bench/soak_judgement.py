"""Comparing an answer, bit for bit, with what the runtime in this process makes of the version that it names."""

from collections.abc import Iterable

from bench.http_connection import Answer
from bench.soak_dialects import NATIVE, Dialect, Told
from bench.soak_models import SoakVersion


class Judge:
    """Knows all versions and their answers to all inputs."""

    def __init__(self, versions: Iterable[SoakVersion]) -> None:
        self._versions = {(version.model, version.number): version for version in versions}

    def add(self, version: SoakVersion) -> None:
        """Learn of a version that has been registered meanwhile."""
        self._versions[version.model, version.number] = version

    def fault(self, answer: Answer, model: str, index: int, dialect: Dialect = NATIVE) -> str | None:
        """Return what is wrong with the answer of a model to an input, or None."""
        if answer.status != 200:
            return f"{answer.status} {answer.body[:300]!r}"
        try:
            return self.fault_in(dialect.told(answer), model, index)
        except (ValueError, KeyError, TypeError) as error:
            return f"unreadable: {type(error).__name__} in {answer.body[:300]!r}"

    def fault_in(self, told: Told, model: str, index: int) -> str | None:
        """Return what is wrong with what a good answer tells, or None."""
        version = self._versions.get((model, int(told.version or 0)))
        if version is None or told.body_model not in (None, model):
            return f"answered by {told.body_model}:{told.version} for {model}"
        if told.digest != version.digest or told.body_version not in (None, told.version):
            return f"headers {(told.version, told.digest)} for version {told.body_version}"
        if told.output != version.answers[index]:
            return f"other bits than the runtime's for {model}:{version.number}"
        return None
