"""What two versions answer to the same golden examples, output by output."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.client.client import Client
from gateway.client.errors import ApiError
from gateway.client.tensors import decode_outputs

if TYPE_CHECKING:
    from registry.shadow import OutputDifference

Arrays = Mapping[str, Any]

_REFUSALS = frozenset({400, 410, 413, 422})
"""What says something about the version and the example; anything else is trouble of the moment, and is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one version said to one example: its outputs, or the code of its refusal."""

    outputs: Arrays | None = None
    refusal: str | None = None


@dataclass(slots=True)
class OutputTally:
    """One output over all examples that both versions have answered."""

    difference: "OutputDifference"
    max_relative: float = 0.0
    """The largest absolute difference of two finite floats by the size of the first version's; where that is zero,
    there is none."""

    def as_json(self) -> dict[str, Any]:
        """Return the tally for scripts."""
        found = self.difference
        return {
            "compared": found.compared,
            "same": found.same,
            "incomparable": found.incomparable,
            "max_absolute_difference": found.largest,
            "mean_absolute_difference": found.mean,
            "max_relative_difference": self.max_relative,
            "rows": found.rows,
            "changed": found.changed,
        }


def compare_examples(client: Client, model: str, numbers: tuple[int, int]) -> dict[str, Any]:
    """Send the golden examples of both versions to both, and return what their answers differ in.

    What both have under one name with the same inputs is sent once. It only predicts, version by version.
    """
    tallies: dict[str, OutputTally] = {}
    refused = []
    examples = _gather(client, model, numbers)
    for origin, example in examples:
        answers = [_ask(client, model, number, example["inputs"]) for number in numbers]
        codes = [answer.refusal for answer in answers]
        if any(codes):
            of_version = {str(number): code for number, code in zip(numbers, codes, strict=True) if code}
            refused.append({"example": example["name"], "of": origin, "refused": of_version})
            continue
        first, second = (answer.outputs or {} for answer in answers)
        for name in first.keys() & second.keys():
            _add(tallies, name, first[name], second[name])
    outputs = [{"name": name, **tally.as_json()} for name, tally in sorted(tallies.items())]
    return {"examples": len(examples), "refused": refused, "outputs": outputs}


def answer_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what came of the examples, an output a line."""
    if not found["examples"]:
        yield "golden examples: neither version has any (sardonyx examples record)"
        return
    yield f"golden examples: {found['examples']} sent to both"
    for refused in found["refused"]:
        words = ", ".join(f"refused by {number} ({code})" for number, code in refused["refused"].items())
        yield f"  {refused['example']} of version {refused['of']}: {words}"
    for output in found["outputs"]:
        yield f"  {output['name']}: {'; '.join(_output_words(output))}"


def _output_words(output: Mapping[str, Any]) -> Iterator[str]:
    yield f"{output['same']} of {output['compared']} the same to the last bit"
    if output["max_absolute_difference"]:
        yield (
            f"difference {output['max_absolute_difference']:.3g} at most, "
            f"{output['max_relative_difference']:.3g} by size, {output['mean_absolute_difference']:.3g} in the mean"
        )
    if output["rows"]:
        yield f"{output['changed']} of {output['rows']} rows decide otherwise"
    if output["incomparable"]:
        yield f"{output['incomparable']} not to be compared"


def _gather(client: Client, model: str, numbers: tuple[int, int]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the examples of both versions, each with the version that has it; the same inputs once."""
    found: list[tuple[int, Mapping[str, Any]]] = []
    for number in dict.fromkeys(numbers):
        for example in client.examples(model, number):
            if all(example["inputs"] != known["inputs"] for _, known in found):
                found.append((number, example))
    return found


def _ask(client: Client, model: str, number: int, inputs: Any) -> Answered:
    import orjson

    try:
        answer = orjson.loads(client.predict_json(f"{model}:{number}", orjson.dumps({"inputs": inputs})))
    except ApiError as error:
        if error.status in _REFUSALS:
            return Answered(refusal=error.code)
        raise
    return Answered(outputs=decode_outputs(answer["outputs"], client.version(model, number).outputs))


def _add(tallies: dict[str, OutputTally], name: str, one: Any, other: Any) -> None:
    from registry.shadow import OutputDifference, compare_output

    tally = tallies.setdefault(name, OutputTally(OutputDifference()))
    tally.difference = tally.difference.plus(compare_output(one, other))
    tally.max_relative = max(tally.max_relative, _relative(one, other))


def _relative(one: Any, other: Any) -> float:
    """Return the largest relative difference of two arrays of floats; 0.0 for everything else."""
    import numpy as np

    is_float = isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype.kind == "f"
    if not is_float or one.shape != other.shape or other.dtype.kind != "f":
        return 0.0
    left, right = one.astype(np.float64), other.astype(np.float64)
    known = np.isfinite(left) & np.isfinite(right) & (left != 0)
    with np.errstate(over="ignore"):
        found = np.abs(left[known] - right[known]) / np.abs(left[known])
    return min(float(found.max(initial=0.0)), float(np.finfo(np.float64).max))
