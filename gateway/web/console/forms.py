"""What a form of the console sends: a few short fields (application/x-www-form-urlencoded), read within a small cap.

There are no files and no multipart bodies here; the framework's forms, which can do both, are not used.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

from gateway.web.console.pages import exchange_of
from gateway.web.limits import read_body
from registry.errors import UndecodableBody, UnsupportedMediaType

MAX_FORM_BYTES = 16 * 1024
_MAX_FIELDS = 64
_FORM = b"application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form; those that are empty or blank are absent, others lose the spaces around them.

    Raises:
        BodyTooLarge, UnsupportedEncoding, ClientGone: from ``read_body``.
        UnsupportedMediaType: it is no form.
        UndecodableBody: it is not UTF-8, has too many fields, or one of them twice.
    """
    headers = exchange_of(request).headers
    body = await read_body(
        request.receive,
        limit_bytes=MAX_FORM_BYTES,
        content_length=headers.get(b"content-length"),
        content_encoding=headers.get(b"content-encoding"),
    )
    if body and headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower() != _FORM:
        raise UnsupportedMediaType("the console's forms are application/x-www-form-urlencoded")
    return parse_form(body)


def parse_form(body: bytes) -> Mapping[str, str]:
    """Return the fields of a form's body; see ``read_form``."""
    try:
        pairs = parse_qsl(body.decode("ascii"), encoding="utf-8", errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:  # a UnicodeDecodeError is one
        raise UndecodableBody("the form is not UTF-8, or has too many fields") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise UndecodableBody("the form has one field twice")
    return {name: value.strip() for name, value in pairs if value.strip()}
