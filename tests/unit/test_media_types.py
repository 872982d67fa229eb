from time import process_time

import pytest

from gateway.web.media_types import choose_type
from registry.errors import NotAcceptable

OFFERED = ("application/x-npy", "application/json", "image/png")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        pytest.param(None, OFFERED[0], id="nothing said"),
        pytest.param(b"", OFFERED[0], id="nothing in it"),
        pytest.param(b"*/*", OFFERED[0], id="anything"),
        pytest.param(b"application/json", "application/json", id="named"),
        pytest.param(b"Application/JSON; charset=utf-8", "application/json", id="with a parameter"),
        pytest.param(b"application/json, text/plain, */*", "application/json", id="what is named goes before anything"),
        pytest.param(b"application/json;q=0.5, */*;q=0.8", OFFERED[0], id="by weight"),
        pytest.param(b"application/*;q=0.1, image/png;q=0.2", "image/png", id="a family"),
        pytest.param(b"application/x-npy;q=0, */*", "application/json", id="one excluded"),
        pytest.param(b"nonsense, application/json", "application/json", id="nonsense is passed over"),
    ],
)
def test_the_type_is_the_one_that_is_liked_best(accept: bytes | None, chosen: str) -> None:
    assert choose_type(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", [b"text/html", b"*/*;q=0", b"nonsense"])
def test_types_that_nobody_has_are_not_acceptable(accept: bytes) -> None:
    with pytest.raises(NotAcceptable):
        choose_type(accept, OFFERED)


@pytest.mark.parametrize(
    "accept", [b"/" * 60_000 + b" x", b"a/" * 30_000 + b" x", b"a/b;" + b" " * 60_000 + b"x", b"a/b," * 15_000]
)
def test_no_header_takes_long(accept: bytes) -> None:
    started = process_time()
    with pytest.raises(NotAcceptable):
        choose_type(accept, OFFERED)
    assert process_time() - started < 0.1
