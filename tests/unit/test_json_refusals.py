"""Bodies that are refused: the class, the code, and every violation as a whole."""

import json

import pytest

from gateway.codec.json_tensors import JsonCodec
from gateway.codec.strict_json import parse_strictly
from registry.errors import (
    DuplicateKey,
    InvalidNumber,
    JsonTooDeep,
    SignatureMismatch,
    TooManyElements,
    UndecodableBody,
)
from registry.signature import Signature
from tests.support.signatures import IRIS, SHOP, signature, tensor

Fault = tuple[str, str, str, str]
"""Path, expected, received, code."""

MIXED = signature(
    tensor("i", "int64", (None,)),
    tensor("u", "uint8", (None,)),
    tensor("f", "float32", (None,)),
    tensor("b", "bool", (None,)),
    tensor("s", "string", (None,)),
)
FINE = {"i": [1], "u": [1], "f": [1], "b": [True], "s": ["a"]}


def refusal(what: Signature, body: bytes) -> list[Fault]:
    with pytest.raises(SignatureMismatch) as caught:
        JsonCodec(model="m", version=1, signature=what).decode(body)
    return [(fault.path, fault.expected, fault.received, fault.code) for fault in caught.value.violations]


@pytest.mark.parametrize(
    ("body", "error", "code"),
    [
        pytest.param(b"", UndecodableBody, "invalid_json", id="empty"),
        pytest.param(b"x = 1", UndecodableBody, "invalid_json", id="not JSON"),
        pytest.param(b'{"inputs": [[1, 2, 3, 4]]', UndecodableBody, "invalid_json", id="cut off"),
        pytest.param(b'{"inputs": [[1, 2, 3, 4]]} {}', UndecodableBody, "invalid_json", id="something behind"),
        pytest.param(b'{"inputs": [[1, 2, 3, 4,]]}', UndecodableBody, "invalid_json", id="trailing comma"),
        pytest.param(b'{"inputs": [[01, 2, 3, 4]]}', UndecodableBody, "invalid_json", id="leading zero"),
        pytest.param(b'\xef\xbb\xbf{"inputs": [[1, 2, 3, 4]]}', UndecodableBody, "invalid_json", id="byte order mark"),
        pytest.param(b'{"inputs": [[1, 2, 3, 4]], "id": "\xff"}', UndecodableBody, "invalid_json", id="not UTF-8"),
        pytest.param(b'{"inputs": [[1, 2, 3, 4]], "id": "\xed\xa0\x80"}', UndecodableBody, "invalid_json", id="CESU"),
        pytest.param(b'{"inputs": [[1, 2, 3, 4]], "id": "\\ud800"}', UndecodableBody, "invalid_json", id="high half"),
        pytest.param(b'{"inputs": [[1, 2, 3, 4]], "id": "\\udc00"}', UndecodableBody, "invalid_json", id="low half"),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "outputs": ["\\ud83d\\ude00\\\\\\ud83d"]}',
            UndecodableBody,
            "invalid_json",
            id="half behind a pair and a backslash",
        ),
        pytest.param(b'{"inputs": [[1, 2, 3, 4]], "id": "a\nb"}', UndecodableBody, "invalid_json", id="raw newline"),
        pytest.param(b"[" * 33 + b"]" * 33, JsonTooDeep, "json_too_deep", id="33 levels"),
        pytest.param(b'{"inputs": ' + b"[" * 32 + b"1" + b"]" * 32 + b"}", JsonTooDeep, "json_too_deep", id="33 mixed"),
        pytest.param(b'{"inputs": [[NaN, 2, 3, 4]]}', InvalidNumber, "invalid_number", id="NaN"),
        pytest.param(b'{"inputs": [[Infinity, 2, 3, 4]]}', InvalidNumber, "invalid_number", id="Infinity"),
        pytest.param(b'{"inputs": [[-Infinity, 2, 3, 4]]}', InvalidNumber, "invalid_number", id="-Infinity"),
        pytest.param(b'{"inputs": [[%b, 2, 3, 4]]}' % (b"1" * 21), InvalidNumber, "invalid_number", id="21 digits"),
        pytest.param(b'{"inputs": [[%b, 2, 3, 4]]}' % (b"1" * 5000), InvalidNumber, "invalid_number", id="5000 digits"),
        pytest.param(
            b'{"inputs": [[0.%b, 2, 3, 4]]}' % (b"1" * 1099), InvalidNumber, "invalid_number", id="1101 characters"
        ),
        pytest.param(
            b'{"inputs": {"x": [[1, 2, 3, 4]], "x": [[1, 2, 3, 4]]}}', DuplicateKey, "duplicate_key", id="tensor twice"
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}', DuplicateKey, "duplicate_key", id="inputs twice"
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "\\u0069nputs": [[1, 2, 3, 4]]}',
            DuplicateKey,
            "duplicate_key",
            id="inputs twice, once escaped",
        ),
        pytest.param(
            b'{"inputs": {"x": {"shape": [1, 4], "shape": [1, 4], "data": [1, 2, 3, 4]}}}',
            DuplicateKey,
            "duplicate_key",
            id="shape twice",
        ),
        pytest.param(b'{"inputs": [[{"a": 1, "a": 1}]]}', DuplicateKey, "duplicate_key", id="twice where none belongs"),
    ],
)
def test_what_is_not_strict_json_is_refused_as_such(body: bytes, error: type[UndecodableBody], code: str) -> None:
    with pytest.raises(UndecodableBody) as caught:
        JsonCodec(model="m", version=1, signature=IRIS).decode(body)
    assert (type(caught.value), caught.value.code) == (error, code)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_a_hundred_thousand_brackets_end_nobody(body: bytes) -> None:
    with pytest.raises(JsonTooDeep, match="deeper than 32 levels"):
        JsonCodec(model="m", version=1, signature=IRIS).decode(body)


def test_brackets_where_a_row_of_several_inputs_has_an_element_end_nobody() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(JsonTooDeep, match="deeper than 32 levels"):
        JsonCodec(model="m", version=1, signature=SHOP).decode(b'{"instances": [{"words": ["a", %b]}]}' % deep)


def test_quotes_without_end_are_scanned_once() -> None:
    body = b'"' + b'\\"' * 1_000_000  # scanning again from each quote would take hours, past the suite's timeout
    with pytest.raises(UndecodableBody, match="Unterminated string"):
        JsonCodec(model="m", version=1, signature=IRIS).decode(body)


def test_a_body_without_quotes_is_scanned_once() -> None:
    with pytest.raises(UndecodableBody):
        parse_strictly(b'["a",' + b"1," * (1 << 21) + b"x")


def test_texts_are_told_from_brackets_however_many_there_are() -> None:
    texts = b",".join([b'"[[["', b'"\\"]"', b'""'] * 1000)
    assert len(parse_strictly(b"[" + texts + b"]")) == 3000
    with pytest.raises(JsonTooDeep):
        parse_strictly(b"[" + texts + b"," + b"[" * 32 + b"]" * 33)


def test_brackets_in_text_are_not_nesting() -> None:
    body = json.dumps({"inputs": {"user": [1], "words": [["[" * 40, '"{' * 40]]}}).encode()
    feed = JsonCodec(model="m", version=1, signature=SHOP).decode(body).feed
    assert feed["words"].tolist() == [["[" * 40, '"{' * 40]]


@pytest.mark.parametrize(
    ("what", "body", "faults"),
    [
        pytest.param(
            SHOP,
            b'{"inputs": {"user": [1]}}',
            [("/inputs/words", "string[n, 2]", "nothing", "missing_input")],
            id="missing input",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": [[1, 2, 3, 4]], "a/b": 1}}',
            [("/inputs/a~1b", "one of x", "a/b", "unknown_input")],
            id="unknown input",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": [[1, 2, 3, 4]], "outputs": ["label", "lable"]}',
            [("/outputs/1", "one of label, probabilities", "lable", "unknown_output")],
            id="unknown output",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": [[1, 2, 3]]}',
            [("/inputs", "float32[batch, 4]", "float32[1, 3]", "invalid_shape")],
            id="wrong fixed size",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": [1, 2, 3, 4]}}',
            [("/inputs/x", "float32[batch, 4]", "float32[4]", "invalid_shape")],
            id="wrong rank",
        ),
        pytest.param(
            signature(tensor("x", "int64", ())),
            b'{"inputs": {"x": [1]}}',
            [("/inputs/x", "int64[]", "int64[1]", "invalid_shape")],
            id="a list for a scalar",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": [[1, 2, 3, 4], [1, 2, 3]]}',
            [("/inputs/1", "a list of 4, like the first", "a list of 3", "invalid_shape")],
            id="ragged",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": [[1, 2, 3, 4], 5]}}',
            [("/inputs/x/1", "a list of 4, like the first", "5", "invalid_shape")],
            id="an element beside a list",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": [[1, 2, 3, [4]]]}}',
            [("/inputs/x/0/3", "an element, like the first", "a list of 1", "invalid_shape")],
            id="a list beside an element",
        ),
        pytest.param(
            SHOP,
            b'{"inputs": {"user": [1, 2], "words": [["a", "b"]]}}',
            [("/inputs/words", "n = 2, as in user", "n = 1", "inconsistent_dim")],
            id="one symbol, two sizes",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": {"shape": [1099511627776], "data": [1, 2, 3]}}}',
            [("/inputs/x", "as many elements as the shape [1099511627776] has", "3 elements", "invalid_shape")],
            id="2**40 promised, 3 brought",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": {"shape": [0, 4611686018427387904], "data": []}}}',
            [
                (
                    "/inputs/x",
                    "as many elements as the shape [0, 4611686018427387904] has",
                    "0 elements",
                    "invalid_shape",
                )
            ],
            id="a size beside a zero that no array can have",
        ),
        pytest.param(
            signature(tensor("x", "uint8", (None, None))),
            b'{"inputs": {"x": {"shape": [0, 2305843009213693952], "data": []}}}',
            [
                (
                    "/inputs/x",
                    "as many elements as the shape [0, 2305843009213693952] has",
                    "0 elements",
                    "invalid_shape",
                )
            ],
            id="a size beside a zero that numpy would take",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": {"shape": [-1, 4, 1.0, true], "data": [1, 2, 3, 4]}}}',
            [
                ("/inputs/x/shape/0", "a size", "-1", "invalid_shape"),
                ("/inputs/x/shape/2", "a size", "1.0", "invalid_shape"),
                ("/inputs/x/shape/3", "a size", "true", "invalid_shape"),
            ],
            id="sizes that are none",
        ),
        pytest.param(
            IRIS,
            json.dumps({"inputs": {"x": {"shape": [1] * 33, "data": [1]}}}).encode(),
            [("/inputs/x/shape", "at most 32 sizes", "a list of 33", "invalid_shape")],
            id="33 dimensions",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": {"shape": 4, "data": [1, [2], 3, 4], "dtype": "float32"}}}',
            [
                ("/inputs/x/dtype", "shape, data", "dtype", "unknown_field"),
                ("/inputs/x/shape", "a list of sizes", "4", "invalid_field"),
                ("/inputs/x/data/1", "an element", "a list of 1", "invalid_shape"),
            ],
            id="shape and data, all wrong",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": {}}}',
            [
                ("/inputs/x/shape", "a list of sizes", "nothing", "invalid_field"),
                ("/inputs/x/data", "a list of elements", "nothing", "invalid_field"),
            ],
            id="neither shape nor data",
        ),
        pytest.param(
            IRIS,
            b'{"inputs": {"x": {"shape": [1, 4], "data": "1234"}}}',
            [("/inputs/x/data", "a list of elements", "'1234'", "invalid_field")],
            id="data that is no list",
        ),
    ],
)
def test_what_does_not_fit_the_signature_is_named(what: Signature, body: bytes, faults: list[Fault]) -> None:
    assert refusal(what, body) == faults


FLOAT32_RANGE = "float32, at most 3.4028235e+38 in size"
INT64_RANGE = "int64 from -9223372036854775808 to 9223372036854775807"


@pytest.mark.parametrize(
    ("name", "element", "expected", "received", "code"),
    [
        pytest.param("i", "1.5", "an element of int64", "1.5", "invalid_dtype", id="fraction for int64"),
        pytest.param("i", "1.0", "an element of int64", "1.0", "invalid_dtype", id="1.0 for int64"),
        pytest.param("i", "1e2", "an element of int64", "1e2", "invalid_dtype", id="1e2 for int64"),
        pytest.param("i", "true", "an element of int64", "true", "invalid_dtype", id="bool for int64"),
        pytest.param("i", '"1"', "an element of int64", "'1'", "invalid_dtype", id="text for int64"),
        pytest.param("i", "null", "an element of int64", "null", "invalid_dtype", id="null for int64"),
        pytest.param("i", "{}", "an element of int64", "an object", "invalid_dtype", id="object for int64"),
        pytest.param("i", '"NaN"', "an element of int64", "'NaN'", "invalid_dtype", id="NaN for int64"),
        pytest.param("i", str(2**63), INT64_RANGE, str(2**63), "out_of_range", id="2**63 for int64"),
        pytest.param("u", "300", "uint8 from 0 to 255", "300", "out_of_range", id="300 for uint8"),
        pytest.param("u", "-1", "uint8 from 0 to 255", "-1", "out_of_range", id="-1 for uint8"),
        pytest.param("f", "true", "an element of float32", "true", "invalid_dtype", id="bool for float32"),
        pytest.param("f", '"1.5"', "an element of float32", "'1.5'", "invalid_dtype", id="text for float32"),
        pytest.param("f", '"nan"', "an element of float32", "'nan'", "invalid_dtype", id="another word for float32"),
        pytest.param("f", "1e39", FLOAT32_RANGE, "1e39", "out_of_range", id="1e39 for float32"),
        pytest.param("f", "-1e400", FLOAT32_RANGE, "-1e400", "out_of_range", id="-1e400 for float32"),
        pytest.param("b", "1", "an element of bool", "1", "invalid_dtype", id="number for bool"),
        pytest.param("b", '"true"', "an element of bool", "'true'", "invalid_dtype", id="text for bool"),
        pytest.param("s", "1", "an element of string", "1", "invalid_dtype", id="number for string"),
        pytest.param("s", "null", "an element of string", "null", "invalid_dtype", id="null for string"),
    ],
)
def test_an_element_of_another_type_or_range_is_never_converted(
    *, name: str, element: str, expected: str, received: str, code: str
) -> None:
    tensors = {key: json.dumps(value) for key, value in FINE.items()} | {
        name: f"[{json.dumps(FINE[name][0])}, {element}]"
    }
    body = '{"inputs": {' + ", ".join(f'"{key}": {value}' for key, value in tensors.items()) + "}}"
    assert refusal(MIXED, body.encode()) == [(f"/inputs/{name}/1", expected, received, code)]


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        pytest.param(b"[]", [("", "an object", "a list of 0", "invalid_field")], id="not an object"),
        pytest.param(b"{}", [("", "either inputs or instances", "neither", "invalid_field")], id="neither"),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}',
            [("", "either inputs or instances", "both", "invalid_field")],
            id="both",
        ),
        pytest.param(
            b'{"inputs": 5}',
            [("/inputs", "an object of tensors by name, or float32[batch, 4]", "5", "invalid_field")],
            id="inputs a number",
        ),
        pytest.param(
            b'{"instances": {"x": [1, 2, 3, 4]}}',
            [("/instances", "a list of rows", "an object", "invalid_field")],
            id="instances an object",
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "id": 7}',
            [("/id", "text of at most 128 characters", "7", "invalid_field")],
            id="id a number",
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "id": "%b"}' % (b"a" * 129),
            [("/id", "text of at most 128 characters", "129 characters", "invalid_field")],
            id="id too long",
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "outputs": "label"}',
            [("/outputs", "a list of output names", "'label'", "invalid_field")],
            id="outputs text",
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "outputs": []}',
            [("/outputs", "a list of output names", "a list of 0", "invalid_field")],
            id="no outputs",
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "outputs": ["label", 1]}',
            [("/outputs/1", "the name of an output", "1", "invalid_field")],
            id="an output that is no text",
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "outputs": ["label", "label"]}',
            [("/outputs/1", "each output once", "'label' again", "invalid_field")],
            id="an output twice",
        ),
        pytest.param(
            b'{"inputs": [[1, 2, 3, 4]], "parameters": {}}',
            [("/parameters", "one of inputs, instances, outputs, id", "parameters", "unknown_field")],
            id="unknown field",
        ),
        pytest.param(
            b'{"instances": [[1, 2, 3, 4], [1, 2, "3", true]]}',
            [
                ("/instances/1/2", "an element of float32", "'3'", "invalid_dtype"),
                ("/instances/1/3", "an element of float32", "true", "invalid_dtype"),
            ],
            id="elements of a row",
        ),
        pytest.param(
            b'{"instances": [[1, 2, 3]]}',
            [("/instances", "float32[batch, 4]", "float32[1, 3]", "invalid_shape")],
            id="rows too short",
        ),
    ],
)
def test_fields_of_the_body_are_checked(body: bytes, faults: list[Fault]) -> None:
    assert refusal(IRIS, body) == faults


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        pytest.param(
            b'{"instances": []}',
            [("/instances", "at least one row", "a list of 0", "invalid_field")],
            id="no rows",
        ),
        pytest.param(
            b'{"instances": [{"user": 1, "words": ["a", "b"]}, 5]}',
            [("/instances/1", "an object of rows by name", "5", "invalid_field")],
            id="a row that is no object",
        ),
        pytest.param(
            b'{"instances": [{"user": 1, "words": ["a", "b"]}, {"user": true, "colour": 1}, {"user": 1}]}',
            [
                ("/instances/1/user", "an element of int64", "true", "invalid_dtype"),
                ("/instances/1/words", "a row of string[n, 2]", "nothing", "missing_input"),
                ("/instances/2/words", "a row of string[n, 2]", "nothing", "missing_input"),
                ("/instances/1/colour", "one of user, words, discount", "colour", "unknown_input"),
            ],
            id="a row that lacks, brings another, and has a wrong type",
        ),
        pytest.param(
            b'{"instances": [{"user": 1}, {"user": 2}]}',
            [("/instances/0/words", "string[n, 2]", "nothing", "missing_input")],
            id="every row lacks",
        ),
        pytest.param(
            b'{"instances": [{"user": [1], "words": ["a", "b"]}, {"user": [2], "words": ["a", "b", "c"]}]}',
            [
                ("/instances/0/user", "int64[n]", "int64[2, 1]", "invalid_shape"),
                ("/instances/1/words", "a list of 2, like the first", "a list of 3", "invalid_shape"),
            ],
            id="rows of another shape",
        ),
        pytest.param(
            b'{"instances": [{"user": 1, "words": ["a", "b"], "discount": 0.5}]}',
            [("/instances/0/discount", "float64[]", "float64[1]", "invalid_shape")],
            id="a scalar in rows",
        ),
    ],
)
def test_rows_of_several_inputs_are_checked(body: bytes, faults: list[Fault]) -> None:
    assert refusal(SHOP, body) == faults


def test_all_faults_of_a_body_are_named_at_once_in_the_order_of_the_signature() -> None:
    body = (
        b'{"colour": 1, "outputs": ["score", "price"], "id": null, "inputs": {"kind": 1, "discount": [true],'
        b' "words": [["a", 1, "c"], ["d", null, "f"]], "user": [1.5, 9223372036854775808, 3, 1e2]}}'
    )
    assert refusal(SHOP, body) == [
        ("/colour", "one of inputs, instances, outputs, id", "colour", "unknown_field"),
        ("/id", "text of at most 128 characters", "null", "invalid_field"),
        ("/inputs/user/0", "an element of int64", "1.5", "invalid_dtype"),
        ("/inputs/user/1", INT64_RANGE, "9223372036854775808", "out_of_range"),
        ("/inputs/user/3", "an element of int64", "1e2", "invalid_dtype"),
        ("/inputs/words/0/1", "an element of string", "1", "invalid_dtype"),
        ("/inputs/words/1/1", "an element of string", "null", "invalid_dtype"),
        ("/inputs/words", "string[n, 2]", "string[2, 3]", "invalid_shape"),
        ("/inputs/discount/0", "an element of float64", "true", "invalid_dtype"),
        ("/inputs/discount", "float64[]", "float64[1]", "invalid_shape"),
        ("/inputs/kind", "one of user, words, discount", "kind", "unknown_input"),
        ("/outputs/1", "one of score", "price", "unknown_output"),
    ]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        pytest.param(b'{"shape": [4194305], "data": [' + b"0," * 4_194_304 + b"0]}", "/inputs/x", id="flat"),
        pytest.param(b"[" + b"0," * 4_194_304 + b"0]", "/inputs/x", id="nested"),
        pytest.param(b"[" + b"0," * 4_194_304 + b"true]", "/inputs/x", id="with another fault"),
    ],
)
def test_more_elements_than_a_request_may_bring_are_refused(written: bytes, path: str) -> None:
    with pytest.raises(TooManyElements) as caught:
        JsonCodec(model="m", version=1, signature=signature(tensor("x", "uint8", ("n",)))).decode(
            b'{"inputs": {"x": %b}}' % written
        )
    (fault,) = caught.value.violations
    assert (caught.value.code, fault.path, fault.expected, fault.received) == (
        "too_many_elements",
        path,
        "at most 4194304 elements in one request",
        "4194305 elements",
    )


def test_a_flood_of_unknown_names_is_answered_with_a_hundred_of_them() -> None:
    names = {f"name{index}": 0 for index in range(5_000)}
    body = {"inputs": {"x": [[1, 2, 3, 4]], **names}, **names, "outputs": list(names)}
    faults = refusal(IRIS, json.dumps(body).encode())
    assert [code for *_, code in faults] == ["unknown_field"] * 100 + ["unknown_input"] * 100 + ["unknown_output"] * 100


def test_a_good_body_is_taken_right_after_a_refused_one() -> None:
    codec = JsonCodec(model="m", version=1, signature=IRIS)
    with pytest.raises(SignatureMismatch):
        codec.decode(b'{"inputs": [["a", 2, 3, 4]]}')
    assert codec.decode(b'{"inputs": [[1, 2, 3, 4]]}').feed["x"].tolist() == [[1, 2, 3, 4]]


def test_a_ragged_list_does_not_hide_the_faults_of_its_elements() -> None:
    assert refusal(IRIS, b'{"inputs": [[1, true, 3, 4], [1e39]]}') == [
        ("/inputs/1", "a list of 4, like the first", "a list of 1", "invalid_shape"),
        ("/inputs/0/1", "an element of float32", "true", "invalid_dtype"),
        ("/inputs/1/0", "float32, at most 3.4028235e+38 in size", "1e39", "out_of_range"),
    ]


def test_long_unknown_names_are_cut_and_named_once() -> None:
    names = ", ".join(f'"{"n" * 300}{index}": 1' for index in range(2))
    cut = "n" * 256 + "..."
    assert refusal(IRIS, f'{{"inputs": {{"x": [[1, 2, 3, 4]], {names}}}}}'.encode()) == [
        (f"/inputs/{cut}", "one of x", cut, "unknown_input")
    ]


def test_a_body_of_more_lists_than_can_be_read_in_a_moment_is_refused_unread() -> None:
    body = b'{"inputs": [' + b"[]," * 300_000 + b"[]]}"
    with pytest.raises(TooManyElements) as refused:
        parse_strictly(body)
    assert [(fault.path, fault.received) for fault in refused.value.violations] == [("", "300003")]


def test_brackets_in_texts_are_no_lists() -> None:
    assert parse_strictly(b'["' + b"[" * 300_000 + b'"]') == ["[" * 300_000]
