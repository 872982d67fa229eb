import hashlib
import re

import pytest

from registry.credentials import Credential, draw_credential, parse_credential, redact

CREDENTIAL = Credential("0123456789ab", "0123456789ABCDEFGHIJKLMNOPQRSTUV")
TEXT = "sardonyx_0123456789ab_0123456789ABCDEFGHIJKLMNOPQRSTUV0QMHJC"


def test_a_token_is_written_one_way_for_ever() -> None:
    assert CREDENTIAL.reveal() == TEXT
    assert parse_credential(TEXT) == CREDENTIAL


def test_drawn_tokens_are_read_back_and_differ() -> None:
    drawn = [draw_credential() for _ in range(100)]
    assert [parse_credential(credential.reveal()) for credential in drawn] == drawn
    assert len({credential.id for credential in drawn}) == len({credential.secret for credential in drawn}) == 100
    shape = re.compile(r"sardonyx_[a-z0-9]{12}_[0-9A-Za-z]{38}")
    assert all(shape.fullmatch(credential.reveal()) for credential in drawn)


def test_any_one_sign_mistyped_is_noticed() -> None:
    for place, sign in enumerate(TEXT):
        other = "b" if sign == "a" else "a"
        assert parse_credential(TEXT[:place] + other + TEXT[place + 1 :]) is None, place


@pytest.mark.parametrize(
    "text", ["", "sardonyx_", TEXT[:-1], TEXT + "a", TEXT + "\n", " " + TEXT, TEXT.upper(), "\u0660"]
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert parse_credential(text) is None


def test_only_the_digest_of_the_secret_is_kept_and_only_the_secret_proves_it() -> None:
    digest = hashlib.sha256(CREDENTIAL.secret.encode()).hexdigest()
    assert CREDENTIAL.secret_sha256 == digest
    assert CREDENTIAL.proves(digest)
    assert not Credential(CREDENTIAL.id, CREDENTIAL.secret[::-1]).proves(digest)


def test_a_token_that_is_printed_by_accident_shows_its_public_id_alone() -> None:
    assert repr(CREDENTIAL) == "Credential(id='0123456789ab')"


def test_secrets_are_left_out_of_texts() -> None:
    assert redact(f"/registry/tokens/{TEXT}?x={TEXT}") == (
        "/registry/tokens/sardonyx_0123456789ab_...?x=sardonyx_0123456789ab_..."
    )
    assert redact("/models/sardonyx_/predict") == "/models/sardonyx_/predict"
