"""What ``top`` shows of a gateway whose registry is away."""

import json
from collections.abc import Iterator
from typing import Any

from gateway.cli.top import Watcher, table_rows
from gateway.client import Client, Response


class Away:
    """A transport to a gateway that counts, and has no registry to ask."""

    def __init__(self) -> None:
        self.counts: Iterator[int] = iter(range(1, 100))

    def request(self, _: str, path: str, **__: Any) -> Response:
        if path == "/metrics":
            line = f'sardonyx_predict_requests_total{{model="a",version="1",code="ok"}} {next(self.counts)}\n'
            return Response(status=200, headers={"content-type": "text/plain"}, body=line.encode())
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
