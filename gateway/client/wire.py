"""Documents over a transport: JSON out, JSON in, problems raised."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from gateway.client.convert import UploadFile
from gateway.client.errors import ApiError, UnusableArgument, api_error, is_of_an_intermediary, problem
from gateway.client.transport import Body, Response, Transport

Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and the bytes in all, about once a mebibyte."""

_OK = range(200, 300)


class Document(dict[str, Any]):
    """What came back as a JSON object; asked for what it lacks and every gateway says, it raises ``not_a_gateway``."""

    def __missing__(self, name: str) -> Any:
        raise not_a_gateway(f"it lacks {name}")

    def number(self, name: str) -> int:
        """Return a whole number; raises ApiError, too."""
        found = self[name]
        if not isinstance(found, int):
            raise not_a_gateway(f"its {name} is no number")
        return found

    def items_in(self, name: str = "items") -> "list[Document]":
        """Return a list of objects; raises ApiError, too."""
        found = self[name]
        if not (isinstance(found, list) and all(isinstance(item, dict) for item in found)):
            raise not_a_gateway(f"its {name} are no list of objects")
        return [Document(item) for item in found]


@dataclass(frozen=True, slots=True)
class Wire:
    """One gateway, asked in documents. Every method raises ApiError and ConnectionFailed."""

    transport: Transport

    def get(self, path: str) -> Document:
        """Return the document at a path."""
        return self.call("GET", path)

    def call(self, method: str, path: str, *, document: Any = None) -> Document:
        """Send a document, or none, and return the one that comes back."""
        return read_document(self.send(method, path, document=document))

    def pages(self, path: str, **query: str) -> Iterator[Document]:
        """Yield the items of a list, page after page."""
        cursor: str | None = None
        while True:
            asked = urlencode({**query, **({"after": cursor} if cursor else {})})
            page = self.get(f"{path}?{asked}" if asked else path)
            yield from page.items_in()
            cursor = page.get("next")
            if cursor is None:
                return

    def send(self, method: str, path: str, *, document: Any = None, is_repeatable: bool | None = None) -> Response:
        """Send a document (numpy arrays included), or none; GETs are repeatable unless said otherwise.

        Raises:
            UnusableArgument: something in the document has no form in JSON.
        """
        body, headers = None, {}
        if document is not None:
            body, headers = write_document(document), {"content-type": "application/json"}
        repeatable = method == "GET" if is_repeatable is None else is_repeatable
        return self.request(method, path, headers=headers, body=body, is_repeatable=repeatable)

    def upload(self, method: str, path: str, *, file: UploadFile, sent: "SentCounter") -> Response:
        """Send a file's bytes: the same ones again are the same file, or version."""
        headers = {"content-type": "application/octet-stream"}
        body = (sent.count(chunk) for chunk in file.chunks())
        return self.request(
            method, path, headers=headers, body=body, content_length=file.size_bytes, is_repeatable=True
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body,
        content_length: int | None = None,
        is_repeatable: bool = False,
    ) -> Response:
        """Send a request as it is and return the answer if it is a success."""
        response = self.transport.request(
            method, path, headers=headers, body=body, content_length=content_length, is_repeatable=is_repeatable
        )
        if response.status not in _OK:
            error = api_error(response.status, response.headers, response.body)
            error.is_outcome_unknown = not is_repeatable and is_of_an_intermediary(error)
            raise error
        return response

    def close(self) -> None:
        """Close the transport."""
        self.transport.close()


class SentCounter:
    """Tells a progress bar how much of an upload is on its way."""

    def __init__(self, total_bytes: int, progress: Progress | None) -> None:
        self._sent_bytes, self._total_bytes, self._progress = 0, total_bytes, progress

    def count(self, chunk: bytes) -> bytes:
        """Return the chunk, counted."""
        self._sent_bytes += len(chunk)
        if self._progress is not None:
            self._progress(self._sent_bytes, self._total_bytes)
        return chunk


def write_document(document: Any) -> bytes:
    """Return a document, numpy's arrays and numbers included, as JSON.

    Raises:
        UnusableArgument: something in it has no form in JSON.
    """
    import orjson

    try:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise UnusableArgument(f"the inputs cannot be written as JSON: {error}") from None


def read_document(response: Response) -> Document:
    """Read a successful answer; one without a body (204) is an empty document.

    Raises:
        ApiError: ``not_a_gateway``: it is something else than a JSON object.
    """
    import orjson

    if not response.body:
        return Document()
    try:
        document = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise not_a_gateway("it is not a JSON object")
    return Document(document)


def not_a_gateway(detail: str) -> ApiError:
    """Return the error of an answer that no gateway gives."""
    document = {"title": "The answer is not a gateway's", "code": "not_a_gateway", "detail": detail}
    return problem(502, document)
