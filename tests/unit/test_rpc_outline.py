import pytest

from gateway.rpc.outline import read_outline, read_varint, write_varint
from gateway.rpc.schema import message_class
from registry.errors import InvalidRequest

REQUEST = message_class("ModelInferRequest")


def test_raw_contents_are_taken_out_wherever_they_stand() -> None:
    before = REQUEST(raw_input_contents=[b"one"]).SerializeToString()
    middle = REQUEST(model_name="iris", model_version="3", id="r", raw_input_contents=[b"", b"two"])
    after = REQUEST(model_name="rose")
    after.inputs.add(name="x")
    outline = read_outline(before + middle.SerializeToString() + after.SerializeToString())
    assert (outline.model_name, outline.model_version, outline.id) == ("rose", "3", "r")
    assert [bytes(octets) for octets in outline.raw] == [b"one", b"", b"two"]
    expected = REQUEST(model_name="rose", model_version="3", id="r")
    expected.inputs.add(name="x")
    assert REQUEST.FromString(outline.head) == expected


def test_fields_that_the_protocol_does_not_have_are_passed_over() -> None:
    unknown = b"\xa0\x06\x96\x01" + b"\xa1\x06" + bytes(8) + b"\xa5\x06" + bytes(4) + b"\xa2\x06\x01x"
    assert read_outline(unknown + REQUEST(model_name="iris").SerializeToString()).model_name == "iris"


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",  # ends before the length
        b"\x0a\x02a",  # ends within the name
        b"\x0a\x01\xff",  # no UTF-8
        b"\xa0\x06",  # ends before the number
        b"\xa1\x06\x00",  # ends within eight bytes
        b"\x0b",  # a group
        b"\x80" * 11 + b"\x01",  # a number of more than ten bytes
    ],
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_outline(message)


@pytest.mark.parametrize("number", [0, 127, 128, 300, 2**31, 2**63, 2**64 - 1])
def test_numbers_read_back(number: int) -> None:
    written = write_varint(number)
    assert read_varint(written, 0) == (number, len(written))
