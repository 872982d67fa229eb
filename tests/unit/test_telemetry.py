import asyncio
import json

import pytest
import structlog

from gateway.telemetry import AccessLog, configure_logs


def test_a_log_line_is_one_line_of_json_whatever_is_logged(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logs("info")
    structlog.get_logger().info("hostile", name="a\nb\x1b[31m\x00", long="x" * 1000)
    lines = capfdbinary.readouterr().err.splitlines()
    assert len(lines) == 1
    logged = json.loads(lines[0])
    assert (logged["name"], logged["long"]) == ("a\nb\x1b[31m\x00", "x" * 256 + "...")
    assert b"\x1b" not in lines[0]
    structlog.reset_defaults()


def test_what_a_client_wrote_is_cut_in_lists_and_tracebacks_too(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logs("info")
    error = ValueError("\n".join(["y" * 1000] * 1000))
    structlog.get_logger().error("hostile", names=["x" * 1000], by={"z" * 1000: 1}, exc_info=error)
    [line] = capfdbinary.readouterr().err.splitlines()
    logged = json.loads(line)
    assert (logged["names"], logged["by"]) == (["x" * 256 + "..."], {"z" * 256 + "...": 1})
    assert logged["exception"].splitlines() == ["y" * 256 + "..."] * 200
    structlog.reset_defaults()


def test_access_lines_are_written_together() -> None:
    written: list[bytes] = []

    async def log() -> None:
        access = AccessLog(written.append)
        access.add({"path": "/a"})
        access.add({"path": "/b"})
        access.add_alike(b'{"path":"/c"', [b"q-1", b"q-2"], 0.0015)
        assert written == []
        access.flush()

    asyncio.run(log())
    assert b"".join(written).splitlines() == [
        b'{"path":"/a"}',
        b'{"path":"/b"}',
        b'{"path":"/c","request_id":"q-1","seconds":0.001500}',
        b'{"path":"/c","request_id":"q-2","seconds":0.001500}',
    ]
    assert len(written) == 1
