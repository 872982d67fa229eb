import asyncio
import json

import pytest
import structlog

from gateway.telemetry import AccessLog, Metrics, configure_logs, gauge


def test_a_log_line_is_one_line_of_json_whatever_is_logged(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logs("info")
    structlog.get_logger().info("hostile", name="a\nb\x1b[31m\x00", long="x" * 1000)
    lines = capfdbinary.readouterr().err.splitlines()
    assert len(lines) == 1
    logged = json.loads(lines[0])
    assert (logged["name"], logged["long"]) == ("a\nb\x1b[31m\x00", "x" * 256 + "...")
    assert b"\x1b" not in lines[0]
    structlog.reset_defaults()


def test_access_lines_are_written_together() -> None:
    written: list[bytes] = []

    async def log() -> None:
        access = AccessLog(written.append)
        access.add({"path": "/a"})
        access.add({"path": "/b"})
        assert written == []
        access.flush()

    asyncio.run(log())
    assert written == [b'{"path":"/a"}\n{"path":"/b"}\n']


def test_metrics_count_outcomes_and_times_by_version() -> None:
    metrics = Metrics()
    metrics.of_version("iris", 3).add("ok", 0.002)
    metrics.of_version("iris", 3).add("ok", 0.3)
    metrics.of_version("iris", 3).add("invalid_shape", 0.0001)
    metrics.watch(lambda: [gauge("sardonyx_resident_bytes", "Bytes", 42)])
    lines = metrics.render().decode().splitlines()
    assert 'sardonyx_predict_requests_total{code="ok",model="iris",version="3"} 2.0' in lines
    assert 'sardonyx_predict_requests_total{code="invalid_shape",model="iris",version="3"} 1.0' in lines
    assert 'sardonyx_predict_seconds_bucket{le="0.0025",model="iris",version="3"} 2.0' in lines
    assert 'sardonyx_predict_seconds_bucket{le="+Inf",model="iris",version="3"} 3.0' in lines
    assert 'sardonyx_predict_seconds_count{model="iris",version="3"} 3.0' in lines
    assert "sardonyx_resident_bytes 42.0" in lines
