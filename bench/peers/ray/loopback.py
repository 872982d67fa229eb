"""Run at the start of each of Ray's workers: a replica's inner port listens everywhere, and has no switch for it."""

from typing import Any

from ray.serve._private import replica


def stay_on_loopback() -> None:
    add_port = replica.add_port_to_grpc_server

    def add_loopback_port(server: Any, address: str) -> int:
        port: int = add_port(server, address.replace("[::]", "127.0.0.1"))
        return port

    replica.add_port_to_grpc_server = add_loopback_port
