"""What ``top`` shows of a gateway whose registry is away."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.cli.exits import is_passing
from gateway.cli.top import Watcher, table_rows
from gateway.client import ApiError, Client, Response


class Away:
    """A transport to a gateway that counts, and has no registry to ask."""

    def __init__(self, more: str = "", version: str = "1") -> None:
        self.more, self.version = more, version
        self.counts: Iterator[int] = iter(range(1, 100))

    def request(self, _: str, path: str, **__: Any) -> Response:
        if path == "/metrics":
            labels = f'model="a",version="{self.version}",code="ok"'
            text = f"sardonyx_predict_requests_total{{{labels}}} {next(self.counts)}\n{self.more}"
            return Response(status=200, headers={"content-type": "text/plain"}, body=text.encode())
        document = {"title": "The registry is away", "code": "registry_unavailable"}
        return Response(status=503, headers={}, body=json.dumps(document).encode())

    def close(self) -> None:
        pass


def test_what_only_the_registry_knows_is_a_dash_while_it_is_away() -> None:
    watcher = Watcher(Client(transport=Away()), 10)
    watcher.look()

    report = watcher.look()

    assert report is not None
    (row,) = report["versions"]
    assert (row["model"], row["version"], row["workers"], row["memory_bytes"]) == ("a", 1, None, None)
    assert table_rows(report)[0][-2:] == ("-", "-")


@pytest.mark.parametrize(("more", "version"), [("sardonyx_resident_bytes +Inf\n", "1"), ("", "x")])
def test_counts_that_no_gateway_has_are_told(more: str, version: str) -> None:
    watcher = Watcher(Client(transport=Away(more, version)), 10)
    watcher.look()

    with pytest.raises(ApiError) as caught:
        watcher.look()
    assert (caught.value.code, is_passing(caught.value)) == ("not_a_gateway", False)
