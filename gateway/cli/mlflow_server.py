"""An MLflow server, asked over its REST API with Python's own HTTP client.

1. Only the server that was named is asked: redirects are not followed, and no URI that it answers is opened. Files come
   through its own route for the files of a registered version, whatever storage they lie in.
2. What it sends is bounded: documents, pages, files. A file that ends before its length is none.

Source: MLflow documentation, REST API: registered models, model versions. The route of files is the one that MLflow's
own pages use (``/model-versions/get-artifact``); it is there since MLflow 1.9, where the server may read its artifacts.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from gateway.cli.imports import MAX_MODELS, Unreadable
from gateway.client.addresses import parse_address, parse_token
from gateway.client.errors import ConnectionFailed

_TIMEOUT_SECONDS: Final = 60.0
_MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_MAX_PAGES: Final = 1000
_MAX_VERSIONS: Final = 10_000
_PAGE: Final = 100
_CHUNK_BYTES: Final = 1024 * 1024
_OK: Final = 200

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MlflowServer:
    """One server.

    Args:
        url: where it answers, with a path before its own if need be.
        token: sent as a bearer token; None for a server that wants none.
    """

    url: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parse_address(self.url, whose="a server's")
        parse_token(self.token)

    def models(self) -> list[Document]:
        """Return the registered models, each with its ``name`` and perhaps ``aliases``.

        Raises:
            ConnectionFailed: nobody answers.
            Unreadable: what answers is no MLflow server, or refuses.
        """
        return self._all(self._pages("registered-models/search", "registered_models"), MAX_MODELS, "models")

    def model(self, name: str) -> Document:
        """Return one registered model with its ``aliases``; raises as ``models``."""
        found = self._get("registered-models/get", name=name).get("registered_model")
        return found if isinstance(found, dict) else {}

    def versions(self, name: str) -> list[Document]:
        """Return a model's versions; raises as ``models``."""
        if "'" in name and '"' in name:
            raise Unreadable("its name has both kinds of quotes: the server cannot be asked for it")
        quote = '"' if "'" in name else "'"
        pages = self._pages("model-versions/search", "model_versions", filter=f"name={quote}{name}{quote}")
        found = self._all(pages, _MAX_VERSIONS, "versions of one model")
        return [version for version in found if version["name"] == name and "version" in version]

    def read_text(self, name: str, version: str, path: str, *, limit_bytes: int) -> str:
        """Return a file of a version as text; raises as ``models``."""
        octets = b"".join(self._chunks(_artifact_path(name, version, path), limit_bytes=limit_bytes, what=path))
        return octets.decode("utf-8", "replace")

    def download(self, name: str, version: str, path: str, *, target: Path, limit_bytes: int) -> None:
        """Write a file of a version to ``target``; raises as ``models``, and OSError where it cannot be written."""
        with target.open("xb") as file:
            for chunk in self._chunks(_artifact_path(name, version, path), limit_bytes=limit_bytes, what=path):
                file.write(chunk)

    def _all(self, found: Iterator[Document], most: int, what: str) -> list[Document]:
        items = list(islice(found, most + 1))
        if len(items) > most:
            raise Unreadable(f"the server has more than {most} {what}")
        return items

    def _pages(self, route: str, items: str, **query: str) -> Iterator[Document]:
        token = ""
        for _ in range(_MAX_PAGES):
            more = {"page_token": token} if token else {}
            page = self._get(route, max_results=str(_PAGE), **query, **more)
            found = page.get(items) or []
            yield from (item for item in found if isinstance(item, dict) and isinstance(item.get("name"), str))
            token = str(page.get("next_page_token") or "")
            if not token:
                return
        raise Unreadable(f"the server's list has more than {_MAX_PAGES} pages")

    def _get(self, route: str, **query: str) -> Document:
        path = f"/api/2.0/mlflow/{route}?{urlencode(query)}"
        octets = b"".join(self._chunks(path, limit_bytes=_MAX_DOCUMENT_BYTES, what="its answer"))
        try:
            document = json.loads(octets)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Unreadable(f"{self.url} does not answer as an MLflow server does")
        return document

    def _chunks(self, path: str, *, limit_bytes: int, what: str) -> Iterator[bytes]:
        """Yield a good answer to a GET in pieces, to its end; what is made of them is not of the network.

        Raises:
            ConnectionFailed: nobody answers, or the answer ends early.
            Unreadable: the server refuses, or says more than may be.
        """
        address, token = parse_address(self.url, whose="a server's"), parse_token(self.token)
        kind = http.client.HTTPSConnection if address.is_secure else http.client.HTTPConnection
        connection = kind(address.host, address.port, timeout=_TIMEOUT_SECONDS)
        headers = {"accept": "*/*", "user-agent": "sardonyx"} | ({"authorization": f"Bearer {token}"} if token else {})
        left = limit_bytes
        try:
            connection.request("GET", address.prefix + path, headers=headers)
            answer = connection.getresponse()
            if answer.status != _OK:
                raise Unreadable(f"the server answered {answer.status}: {_message(answer.read(_CHUNK_BYTES))}")
            while chunk := answer.read(_CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise Unreadable(f"{what} is longer than {limit_bytes} bytes")
                yield chunk
            if answer.length:  # read() says nothing of what is missing
                raise ConnectionFailed(f"the MLflow server at {self.url} went away before the end of {what}")
        except (http.client.HTTPException, OSError) as error:
            raise ConnectionFailed(f"no MLflow server answered at {self.url}: {error}") from error
        finally:
            connection.close()


def _artifact_path(name: str, version: str, path: str) -> str:
    return "/model-versions/get-artifact?" + urlencode({"name": name, "version": version, "path": path})


def _message(octets: bytes) -> str:
    """Return what an MLflow server says was wrong, cut short."""
    try:
        document = json.loads(octets)
        text = str(document.get("message") or document.get("error_code") or "") if isinstance(document, dict) else ""
    except (ValueError, RecursionError):
        text = ""
    return text[:200] or "without a word"
