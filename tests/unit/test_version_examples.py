"""Golden examples: what is wrong with an answer, how many a version may have, and what is kept of them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from registry.errors import InvalidRequest, Violation
from registry.examples import MAX_EXAMPLES, MAX_EXAMPLES_BYTES, Example, ExampleFacts, Examples, check_all
from registry.same_answers import Tolerance

Array = NDArray[Any]

ONE = np.array([1.0], np.float32)
JUST_MORE = np.nextafter(np.float64(1.5), 2)
EXACT = Tolerance(0.0, 0.0)


def floats(*values: float, dtype: str = "float32") -> Array:
    return np.array(values, dtype)


def texts(*values: str) -> Array:
    return np.array(values, object)


def expecting(expected: Array, tolerance: Tolerance | None = None, *, name: str = "first") -> Example:
    return Example(name=name, inputs={"x": ONE}, outputs={"y": expected}, tolerance=tolerance)


def fault(expected: str, received: str, *, path: str = "/examples/first/outputs/y") -> Violation:
    return Violation(path=path, expected=expected, received=received, code="example_mismatch")


# --- one array, there and back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        floats(np.nan, np.inf, -np.inf, -0.0, 1e-45),
        floats(np.nan, np.inf, -np.inf, -0.0, 5e-324, dtype="float64"),
        floats(np.nan, np.inf, -np.inf, -0.0, 6e-8, dtype="float16"),
        np.array([-(2**63), 2**63 - 1]),
        np.array([2**64 - 1], np.uint64),
        np.array([[True], [False]]),
        np.array(7, np.int8),
        np.zeros((0, 4), np.float32),
        texts("", "\u2713 \U0001f33c", "a\0b\n"),
        np.array("alone", object),
        np.zeros((2, 0), object),
        np.arange(12, dtype=np.uint16).reshape(3, 4).T[::2, ::-1],
    ],
    ids=[
        "float32",
        "float64",
        "float16",
        "the ends of int64",
        "the end of uint64",
        "booleans",
        "a scalar",
        "no rows",
        "texts",
        "one text",
        "no texts",
        "a view",
    ],
)
def test_an_array_comes_back_with_its_dtype_its_shape_and_its_bits(array: Array) -> None:
    kept = Example.from_json(expecting(array).as_json()).outputs["y"]
    bits = (kept.tolist(), array.tolist()) if array.dtype.kind == "O" else (kept.tobytes(), array.tobytes())
    assert (kept.dtype, kept.shape, bits[0]) == (array.dtype, array.shape, bits[1])


def test_what_lies_the_other_way_round_in_memory_comes_back_as_this_machine_has_it() -> None:
    kept = Example.from_json(expecting(np.array([1.5, -2.0], ">f4")).as_json()).outputs["y"]
    assert (kept.dtype.isnative, kept.tobytes()) == (True, floats(1.5, -2.0).tobytes())


def test_an_example_is_kept_as_its_documentation_says() -> None:
    example = Example(name="e", inputs={"t": texts("a")}, outputs={"y": floats(1.0)}, tolerance=Tolerance(0.5, 0.25))
    assert example.as_json() == {
        "name": "e",
        "inputs": {"t": {"dtype": "string", "shape": [1], "data": ["a"]}},
        "outputs": {"y": {"dtype": "float32", "shape": [1], "data": "AACAPw=="}},
        "tolerance": [0.5, 0.25],
    }


# --- what is wrong with an answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "answer"),
    [
        (expecting(floats(1.0, np.nan, np.inf)), floats(1.0, np.nan, np.inf)),
        (expecting(floats(1.0)), floats(1.0001)),
        (expecting(floats(1.0, dtype="float64")), floats(1.000000001, dtype="float64")),
        (expecting(floats(1.0, dtype="float16")), floats(1.01, dtype="float16")),
        (expecting(floats(1.0, dtype="float64"), Tolerance(0.5, 0)), floats(1.5, dtype="float64")),
        (expecting(floats(-2.0, dtype="float64"), Tolerance(0, 0.25)), floats(-1.5, dtype="float64")),
        (expecting(floats(2.0, dtype="float64"), Tolerance(0.25, 0.125)), floats(2.5, dtype="float64")),
        (expecting(floats(1.0, np.nan), EXACT), floats(1.0, -np.nan)),
        (expecting(np.array([[1, 2]])), np.array([[1, 2]])),
        (expecting(texts("setosa")), texts("setosa")),
        (expecting(np.zeros((0, 3), np.float32), EXACT), np.zeros((0, 3), np.float32)),
    ],
    ids=[
        "the same bits",
        "float32 within its own",
        "float64 within its own",
        "float16 within its own",
        "exactly as far as allowed",
        "exactly the share that is allowed",
        "exactly both together",
        "another NaN",
        "integers",
        "texts",
        "nothing at all",
    ],
)
def test_an_answer_within_the_tolerance_has_no_fault(example: Example, answer: Array) -> None:
    assert example.faults({"y": answer}) == []


@pytest.mark.parametrize(
    ("example", "answer", "wanted"),
    [
        (expecting(floats(1.0)), floats(1.5), fault("float32[1] within 1e-05 + 0.0001 * |x|", "a difference of 0.5")),
        (
            expecting(floats(1.0, dtype="float64")),
            floats(1.25, dtype="float64"),
            fault("float64[1] within 1e-10 + 1e-09 * |x|", "a difference of 0.25"),
        ),
        (
            expecting(floats(1.0, dtype="float16")),
            floats(1.25, dtype="float16"),
            fault("float16[1] within 0.01 + 0.01 * |x|", "a difference of 0.25"),
        ),
        (
            expecting(floats(1.0, dtype="float64"), Tolerance(0.5, 0)),
            floats(JUST_MORE, dtype="float64"),
            fault("float64[1] within 0.5 + 0 * |x|", "a difference of 0.5"),
        ),
        (
            expecting(floats(1.0), EXACT),
            np.nextafter(ONE, np.float32(2)),
            fault("float32[1] within 0 + 0 * |x|", "a difference of 1.19209e-07"),
        ),
        (
            expecting(floats(1.0), Tolerance(1e9, 1e9)),
            floats(np.nan),
            fault("float32[1] within 1e+09 + 1e+09 * |x|", "a difference of inf"),
        ),
        (
            expecting(floats(np.inf), Tolerance(1e9, 1e9)),
            floats(-np.inf),
            fault("float32[1] within 1e+09 + 1e+09 * |x|", "a difference of inf"),
        ),
        (expecting(floats(1.0)), floats(1.0, dtype="float64"), fault("float32[1]", "float64[1]")),
        (expecting(floats(1.0)), np.ones((1, 1), np.float32), fault("float32[1]", "float32[1, 1]")),
        (expecting(texts("a")), floats(1.0), fault("string[1]", "float32[1]")),
        (expecting(np.array(1)), np.array([1]), fault("int64[]", "int64[1]")),
        (expecting(np.array([1]), Tolerance(9, 9)), np.array([2]), fault("int64[1]", "other values")),
        (expecting(np.array([True])), np.array([False]), fault("bool[1]", "other values")),
        (expecting(texts("a", "b")), texts("a", "c"), fault("string[2]", "other values")),
    ],
    ids=[
        "float32",
        "float64",
        "float16",
        "just further than allowed",
        "the next float where none may differ",
        "a NaN, whatever is allowed",
        "another infinity, whatever is allowed",
        "another dtype",
        "another shape",
        "no text",
        "another rank",
        "integers, whatever is allowed",
        "booleans",
        "texts",
    ],
)
def test_an_answer_that_differs_is_named_with_how_far(example: Example, answer: Array, wanted: Violation) -> None:
    assert example.faults({"y": answer}) == [wanted]


def test_every_output_that_differs_is_named_and_no_other() -> None:
    example = Example(name="a/b~c", inputs={}, outputs={"same": ONE, "p/q": np.array([1]), "r": texts("a")})
    answers = {"r": texts("b"), "p/q": np.array([2]), "same": ONE, "unasked": ONE}
    assert example.faults(answers) == [
        fault("int64[1]", "other values", path="/examples/a~1b~0c/outputs/p~1q"),
        fault("string[1]", "other values", path="/examples/a~1b~0c/outputs/r"),
    ]


# --- all examples of a version ----------------------------------------------------------------------------------------


def named(count: int) -> list[Example]:
    return [expecting(ONE, name=str(number)) for number in range(count)]


def of_size(size: int) -> list[Example]:
    """Return one example whose document has so many bytes."""
    big = np.zeros(3_000_000, np.uint8)
    spare = size - len(Examples((expecting(big, name=""),)).document)
    return [expecting(big, name="n" * spare)]


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([expecting(ONE), expecting(floats(2.0))], "each example needs a name of its own"),
        (
            [Example(name="e", inputs={"x": ONE}, outputs={})],
            "each example has to expect something: give at least one output",
        ),
        (named(MAX_EXAMPLES + 1), "a version has at most 64 examples, not 65"),
        (of_size(MAX_EXAMPLES_BYTES + 1), "the examples of a version take at most 4194304 bytes"),
    ],
    ids=["two of one name", "nothing expected", "too many", "too large"],
)
def test_examples_that_cannot_be_are_refused(items: Sequence[Example], why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Examples(tuple(items))
    assert refused.value.detail == why


@pytest.mark.parametrize("items", [named(MAX_EXAMPLES), of_size(MAX_EXAMPLES_BYTES)], ids=["in number", "in size"])
def test_as_much_as_there_may_be_is_taken(items: Sequence[Example]) -> None:
    assert Examples(tuple(items)).facts is not None


def test_the_facts_tell_how_many_there_are_and_what_is_kept() -> None:
    examples = Examples(tuple(named(2)))
    digest = hashlib.sha256(examples.document.encode()).hexdigest()
    assert examples.facts == ExampleFacts(count=2, digest=digest)


def test_of_no_examples_there_are_no_facts() -> None:
    assert (Examples(()).document, Examples(()).facts, Examples.read("[]")) == ("[]", None, Examples(()))


@pytest.mark.parametrize(
    "items",
    [
        (expecting(floats(-0.0)),),
        (expecting(floats(0.0), name="other"),),
        (expecting(floats(0.0), EXACT),),
        (expecting(floats(0.0)), expecting(floats(0.0), name="other")),
        (Example(name="first", inputs={"z": ONE}, outputs={"y": floats(0.0)}),),
    ],
    ids=["another bit", "another name", "a tolerance", "one more", "another input"],
)
def test_whatever_is_changed_has_another_digest(items: tuple[Example, ...]) -> None:
    before, after = Examples((expecting(floats(0.0)),)).facts, Examples(items).facts
    assert before is not None
    assert after is not None
    assert before.digest != after.digest


# --- running them -----------------------------------------------------------------------------------------------------


def test_a_run_that_fails_is_a_fault_of_its_example_and_the_others_are_run() -> None:
    def answer(example: Example) -> Mapping[str, Array]:
        if example.name == "breaks/it":
            raise ZeroDivisionError("secret")
        return {"y": floats(2.0)}

    examples = [expecting(floats(2.0)), expecting(ONE, name="breaks/it"), expecting(np.array([2]), name="last")]
    assert check_all(examples, answer) == [
        fault("an answer", "a run that failed (ZeroDivisionError)", path="/examples/breaks~1it"),
        fault("int64[1]", "float32[1]", path="/examples/last/outputs/y"),
    ]
