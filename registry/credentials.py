"""How an access token is written: ``sardonyx_<public id>_<secret><checksum>``.

1. The public id says which token it is and may be shown to anybody; the secret (190 random bits) proves that it is the
   caller's. Nothing but the SHA-256 of the secret is ever stored: of a random secret no slower hash is needed.
2. The checksum (CRC-32 of all before it, in base 62) tells a token that was mistyped or cut from one that is unknown,
   without asking anybody, and lets scanners for leaked secrets find tokens without false alarms.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field
from zlib import crc32

_ID_SIGNS = string.ascii_lowercase + string.digits
_SIGNS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH = 12
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6

_SHAPE = re.compile(
    rf"sardonyx_(?P<id>[a-z0-9]{{{_ID_LENGTH}}})"
    rf"_(?P<secret>[0-9A-Za-z]{{{_SECRET_LENGTH}}})(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)

_IN_TEXT = re.compile(r"(sardonyx_[a-z0-9]+)_[0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Credential:
    """A token as its owner holds it; what prints it by accident prints the public id."""

    id: str
    secret: str = field(repr=False)

    def reveal(self) -> str:
        """Return the whole token, to be shown once and kept nowhere."""
        return f"sardonyx_{self.id}_{self.secret}{_checksum(self.id, self.secret)}"

    @property
    def secret_sha256(self) -> str:
        """What is stored of the secret, in hexadecimal."""
        return hashlib.sha256(self.secret.encode("ascii")).hexdigest()

    def proves(self, secret_sha256: str) -> bool:
        """True if this is the secret whose digest was stored; takes equally long whatever differs."""
        return hmac.compare_digest(self.secret_sha256, secret_sha256)


def draw_credential() -> Credential:
    """Return a token that nobody has had before."""
    return Credential(
        id="".join(secrets.choice(_ID_SIGNS) for _ in range(_ID_LENGTH)),
        secret="".join(secrets.choice(_SIGNS) for _ in range(_SECRET_LENGTH)),
    )


def parse_credential(text: str) -> Credential | None:
    """Return what somebody presented; None if it is no token, or was mistyped."""
    match = _SHAPE.fullmatch(text)
    if match is None or _checksum(match["id"], match["secret"]) != match["checksum"]:
        return None
    return Credential(match["id"], match["secret"])


def redact(text: str) -> str:
    """Return a text without the secrets of the tokens in it: people do put them into paths."""
    return _IN_TEXT.sub(r"\1_...", text) if "sardonyx_" in text else text


def _checksum(id_: str, secret: str) -> str:
    rest = crc32(f"{id_}_{secret}".encode("ascii"))
    signs = []
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_SIGNS))
        signs.append(_SIGNS[digit])
    return "".join(reversed(signs))
