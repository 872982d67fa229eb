import asyncio
import json
from datetime import UTC, datetime

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


AT = datetime(2026, 11, 29, 8, 0, 0, 250_000, UTC)


def test_access_lines_are_written_together() -> None:
    written: list[bytes] = []

    async def log() -> None:
        access = AccessLog(written.append, now=lambda: AT)
        access.add({"path": "/a"})
        access.add({"path": "/b"})
        access.add_alike(b'{"path":"/c"', [b"q-1", b"q-2"], 0.0015)
        assert written == []
        access.flush()

    asyncio.run(log())
    assert b"".join(written).splitlines() == [
        b'{"path":"/a","timestamp":"2026-11-29T08:00:00.250000Z"}',
        b'{"path":"/b","timestamp":"2026-11-29T08:00:00.250000Z"}',
        b'{"path":"/c","request_id":"q-1","seconds":0.001500,"timestamp":"2026-11-29T08:00:00.250000Z"}',
        b'{"path":"/c","request_id":"q-2","seconds":0.001500,"timestamp":"2026-11-29T08:00:00.250000Z"}',
    ]
    assert len(written) == 1


def sampled(
    share: float, entries: list[dict[str, object]], alike: list[tuple[list[bytes], float]]
) -> list[dict[str, object]]:
    written: list[bytes] = []

    async def log() -> None:
        access = AccessLog(written.append, share, now=lambda: AT)
        for entry in entries:
            access.add(dict(entry))
        for ids, seconds in alike:
            access.add_alike(b'{"code":"ok"', ids, seconds)
        access.flush()

    asyncio.run(log())
    return [json.loads(line) for line in b"".join(written).splitlines()]


def test_a_share_of_the_good_answers_lines_is_kept_and_each_says_what_it_stands_for() -> None:
    ids = [b"0123456789ab-%x" % number for number in range(4000)]
    entries: list[dict[str, object]] = [{"request_id": it.decode(), "code": "ok", "seconds": 0.01} for it in ids]
    by_one = sampled(0.125, entries, [])
    together = sampled(0.125, [], [(ids, 0.01)])
    assert [line["request_id"] for line in by_one] == [line["request_id"] for line in together]
    assert {line["share"] for line in (*by_one, *together)} == {0.125}
    assert abs(len(by_one) / 0.125 - 4000) < 600


def test_errors_and_slow_answers_are_always_kept() -> None:
    bad: list[dict[str, object]] = [
        {"request_id": str(number), "code": "invalid_shape", "seconds": 0.01} for number in range(50)
    ]
    slow: list[dict[str, object]] = [{"request_id": str(number), "code": "ok", "seconds": 1.5} for number in range(50)]
    kept = sampled(0.0, [*bad, *slow], [([b"q-1", b"q-2"], 1.5), ([b"q-3"], 0.5)])
    assert [line["request_id"] for line in kept] == [*map(str, range(50)), *map(str, range(50)), "q-1", "q-2"]
    assert {line["share"] for line in kept} == {1.0}


def test_a_log_of_everything_says_nothing_of_shares() -> None:
    kept = sampled(1.0, [{"request_id": "a", "code": "ok", "seconds": 0.01}], [([b"b"], 0.01)])
    assert kept == [
        {"request_id": "a", "code": "ok", "seconds": 0.01, "timestamp": "2026-11-29T08:00:00.250000Z"},
        {"code": "ok", "request_id": "b", "seconds": 0.01, "timestamp": "2026-11-29T08:00:00.250000Z"},
    ]
