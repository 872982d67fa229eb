from urllib.parse import quote

from gateway.rpc.statuses import STATUS_CODE, message_of
from gateway.web.problems import all_errors
from registry.errors import InternalError, InvalidRequest, SignatureMismatch, Violation


def test_every_error_has_a_status() -> None:
    assert set(STATUS_CODE) == set(all_errors())


def test_a_message_says_the_code_and_each_fault() -> None:
    fault = Violation(path="/inputs/0", expected="FP32", received="INT8", code="invalid_dtype")
    message = message_of(SignatureMismatch([fault]))
    assert message.endswith("/inputs/0: expected FP32, received INT8 (invalid_dtype)")


def test_what_is_private_is_withheld() -> None:
    assert "/secret/path" not in message_of(InternalError("/secret/path"))


def test_a_long_message_is_cut_between_characters() -> None:
    for shift in range(3):
        message = message_of(InvalidRequest("a" * shift + "ß" * 10_000))
        assert len(quote(message, safe=" :")) <= 4000
        assert set(message.removeprefix("invalid_request: ").removesuffix("...").lstrip("a")) == {"ß"}
