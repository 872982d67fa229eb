"""Comparing an answer, bit for bit, with what the runtime in this process makes of the version that it names."""

from collections.abc import Sequence

import numpy as np
import orjson

from bench.http_connection import Answer
from bench.soak_models import SoakVersion


class Judge:
    """Knows all versions and their answers to all inputs."""

    def __init__(self, versions: Sequence[SoakVersion]) -> None:
        self._versions = {(version.model, version.number): version for version in versions}

    def fault(self, answer: Answer, model: str, index: int) -> str | None:
        """Return what is wrong with the answer of a model to an input, or None."""
        try:
            return self._fault(answer, model, index)
        except (ValueError, KeyError, TypeError) as error:
            return f"unreadable: {type(error).__name__} in {answer.body[:300]!r}"

    def _fault(self, answer: Answer, model: str, index: int) -> str | None:
        if answer.status != 200:
            return f"{answer.status} {answer.body[:300]!r}"
        body = orjson.loads(answer.body)
        version = self._versions.get((model, body.get("version")))
        if version is None or body.get("model") != model:
            return f"answered by {body.get('model')}:{body.get('version')} for {model}"
        headers = (answer.headers.get("x-model-version"), answer.headers.get("x-model-digest"))
        if headers != (str(version.number), version.digest):
            return f"headers {headers} for version {version.number}"
        (output,) = body["outputs"].values()
        if np.array(output, np.float32).tobytes() != version.answers[index]:
            return f"other bits than the runtime's for {model}:{version.number}"
        return None
