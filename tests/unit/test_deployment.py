"""What may be deployed, and the exact words for what may not."""

import re
from typing import Any

import pytest

from gateway.deployment.deployed import Deployment, Server, parse_server
from gateway.settings import Settings

SETTINGS = Settings(port=8000, grpc_port=8001)
GATEWAY = Server(id=1, name="gateway1", host="10.0.0.1", port=8000, grpc_port=8001)

NO_FACTOR = (
    "100 is no balance factor: it is a percentage from 101 to 1000, of what a gateway would have if all had the same"
)


def parse(text: str, position: int = 1) -> Server:
    return parse_server(text, position=position, kind="gateway", settings=SETTINGS)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.1", Server(id=4, name="gateway4", host="10.0.0.1", port=8000, grpc_port=8001)),
        ("10.0.0.1:9000", Server(id=4, name="gateway4", host="10.0.0.1", port=9000, grpc_port=8001)),
        ("7=10.0.0.1:9000/9001", Server(id=7, name="gateway7", host="10.0.0.1", port=9000, grpc_port=9001)),
        ("[fd00::1]:9000", Server(id=4, name="gateway4", host="fd00::1", port=9000, grpc_port=8001)),
        ("gateway.example.org", Server(id=4, name="gateway4", host="gateway.example.org", port=8000, grpc_port=8001)),
    ],
)
def test_what_an_address_leaves_out_comes_of_the_settings_and_its_place(text: str, server: Server) -> None:
    assert parse(text, position=4) == server


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is no address: write [ID=]HOST[:PORT[/GRPC_PORT]], such as 2=10.0.0.2:8000/8001"),
        ("a:b", "'a:b' is no address: write [ID=]HOST[:PORT[/GRPC_PORT]], such as 2=10.0.0.2:8000/8001"),
        ("0=a", "0 is no server's id: ids go from 1 to 4096"),
        ("a b", "'a b' is no host: write a name or an address"),
        ("a\nserver", "'a\\nserver' is no host: write a name or an address"),
        ("*", "'*' is no host: write a name or an address"),
        ("a:70000", "70000 is no port: ports go from 1 to 65535"),
        ("a:8001", "a: HTTP has port 8001 already; gRPC has another one"),
    ],
)
def test_a_bad_address_is_refused_with_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        parse(text)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"gateways": ()}, "there is no gateway: name at least one"),
        (
            {"gateways": (GATEWAY, parse("1=10.0.0.2"))},
            "two servers have the id 1",
        ),
        ({"gateways": (GATEWAY, parse("2=10.0.0.1"))}, "two servers have the address 10.0.0.1:8000"),
        (
            {"gateways": (GATEWAY, parse("2=10.0.0.1:8002")), "grpc_port": 8081},
            "two servers have the address 10.0.0.1:8001",
        ),
        (
            {"gateways": (GATEWAY, parse("2=10.0.0.1:8001/8002")), "grpc_port": 8081},
            "two servers have the address 10.0.0.1:8001",
        ),
        ({"registries": (parse("10.0.0.1"),)}, "two servers have the address 10.0.0.1:8000"),
        ({"balance_factor": 100}, NO_FACTOR),
        ({"host": "a;b"}, "'a;b' is no host: write a name or an address"),
        ({"port": 8080, "grpc_port": 8080}, "the proxy takes HTTP at port 8080 already; gRPC has another one"),
        (
            {"gateways": (Server(id=1, name="gateway1", host="a"),), "grpc_port": 8081},
            "the proxy takes gRPC, and gateway1 has no port for it",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        Deployment(**{"gateways": (GATEWAY,), **parts})


def test_gateways_whose_grpc_nobody_asks_may_have_it_on_one_port() -> None:
    gateways = (GATEWAY, parse("2=10.0.0.1:8002"))

    assert Deployment(gateways=gateways).gateways == gateways


def test_a_proxy_may_listen_on_all_its_addresses() -> None:
    assert Deployment(gateways=(GATEWAY,), host="*").host == "*"
