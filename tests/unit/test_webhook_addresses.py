"""Where webhooks may lead: the address counts, in each of its spellings, at the moment that it is connected to."""

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.webhooks.addresses import Places, innermost, is_never_allowed
from registry.errors import UrlNotAllowed

PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
PRIVATE = (
    *("127.0.0.1", "127.8.9.10", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fc00::1", "fd12::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::10.0.0.1", "::10.0.0.1"),
    *("192.0.2.1", "198.18.0.1", "198.51.100.1", "192.88.99.1", "2001:db8::1", "3fff::1", "3fff:fff::1"),
)
NEVER = (
    *("169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"),
    *("0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255", "240.0.0.1"),  # noqa: S104 - to be refused
    *("5f00::1", "64:ff9b:1::a00:1", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1::5db8:d70e"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),
)


def leading_to(*addresses: str) -> Any:
    def look_up(_host: str, port: int, **_: object) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    return look_up


def may(url: str, *addresses: str, are_private_allowed: bool) -> bool:
    places = Places(are_private_allowed=are_private_allowed, look_up=leading_to(*addresses))
    try:
        places.check(url)
    except UrlNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        *(pytest.param([address], (True, True), id=address) for address in PUBLIC),
        *(pytest.param([address], (False, True), id=address) for address in PRIVATE),
        *(pytest.param([address], (False, False), id=address) for address in NEVER),
        pytest.param([PUBLIC[0], "10.0.0.1"], (False, True), id="a public and a private one"),
        pytest.param([PUBLIC[0], "169.254.169.254"], (False, False), id="a public one and the metadata's"),
        pytest.param([], (False, False), id="none"),
    ],
)
def test_where_a_name_may_lead(addresses: list[str], allowed: tuple[bool, bool]) -> None:
    url = "https://hooks.example.org/"
    found = tuple(may(url, *addresses, are_private_allowed=is_allowed) for is_allowed in (False, True))
    assert found == allowed


def test_http_is_for_private_places_only() -> None:
    assert may("http://example.org/", *PUBLIC, are_private_allowed=False) is False
    assert may("http://example.org/", *PUBLIC, are_private_allowed=True) is True


def test_the_names_of_metadata_servers_are_refused_whatever_they_lead_to() -> None:
    for host in ("metadata.google.internal", "METADATA.google.internal.", "instance-data"):
        assert may(f"https://{host}/", *PUBLIC, are_private_allowed=True) is False


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.1", "017700000001", "[::1]", "[::ffff:7f00:1]"]
)
def test_every_spelling_of_loopback_is_found_out_by_the_systems_resolver(host: str) -> None:
    with pytest.raises(UrlNotAllowed):
        Places(are_private_allowed=False).check(f"https://{host}/")


def test_a_name_is_looked_up_anew_for_each_attempt() -> None:
    answers: Iterator[str] = iter([PUBLIC[0], "127.0.0.1"])

    def look_up(host: str, port: int, **options: object) -> list[Any]:
        found: list[Any] = leading_to(next(answers))(host, port, **options)
        return found

    places = Places(are_private_allowed=False, look_up=look_up)
    assert places.find("https://rebinding.example.org/") == [(socket.AF_INET, (PUBLIC[0], 443))]
    with pytest.raises(UrlNotAllowed):
        places.find("https://rebinding.example.org/")


def test_addresses_within_addresses_are_found() -> None:
    assert [str(innermost(ipaddress.ip_address(text))) for text in ("::ffff:1.2.3.4", "64:ff9b::1.2.3.4", "::1")] == [
        "1.2.3.4",
        "1.2.3.4",
        "::1",
    ]
    assert is_never_allowed(ipaddress.ip_address("127.0.0.1")) is False
