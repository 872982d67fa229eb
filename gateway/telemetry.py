"""Logs.

1. A log line is one JSON object on one line; no text in it is longer than 256 characters, nor any line of a traceback,
   and what a client or a model wrote is escaped like all text in JSON. An exception may quote a name out of a graph.
2. Access lines are made and written together, some dozens at a time and at least five times a second: one by one, each
   would cost a system call, and making many in a row takes a third of the time.
3. Where only a share of the access lines is kept, those of errors and of slow answers are kept all the same; which of
   the others are is decided by the request's id. Each line says how large the share is that lines of its kind are kept
   of: one over it is how many requests it stands for. It ends with the moment at which it was written, the same for
   a bundle: at most a fifth of a second after the answer.
4. A line that cannot be written (the disk is full, the reader of the pipe is gone) is lost, and nothing else is.
"""

import asyncio
import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import orjson
import structlog

SLOW_SECONDS = 1.0
"""The line of an answer that took as long is always kept."""

MAX_VALUE_CHARACTERS = 256
_MAX_TRACEBACK_LINES = 200

_FLUSH_SECONDS = 0.2
_FLUSH_LINES = 64


def configure_logs(level: str) -> None:
    """Send every log line of this process, the libraries' too, to standard error as JSON."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _cut_values,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(io.BufferedWriter(_LossyStream())),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(max(threshold, logging.WARNING))


def write_log(lines: bytes) -> None:
    """Write whole lines to standard error, or lose them."""
    _LossyStream().write(lines)


class _LossyStream(io.RawIOBase):
    """Standard error as rule 4 has it."""

    def writable(self) -> bool:
        return True

    def write(self, octets: Any, /) -> int:
        rest = memoryview(octets)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(sys.stderr.fileno(), rest) :]
        return len(octets)


def _cut_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: _cut_traceback(value) if key == "exception" else _cut(value) for key, value in event.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE_CHARACTERS else value[:MAX_VALUE_CHARACTERS] + "..."
    if isinstance(value, Mapping):
        return {_cut(key): _cut(inner) for key, inner in value.items()}
    return [_cut(inner) for inner in value] if isinstance(value, list | tuple) else value


def _cut_traceback(text: str) -> str:
    """Keep the end, where the error is, and of each line what fits."""
    return "\n".join(map(_cut, text.splitlines()[-_MAX_TRACEBACK_LINES:]))


def _serialize(event: Any, **_options: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # half a character, as somebody has sent it: the line must not be lost for that
        return json.dumps(event, default=str).encode()


class _ToStructlog(logging.Handler):
    """Libraries that log the ordinary way end up in the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), source=record.name, exc_info=record.exc_info)


class AccessLog:
    """One line a request, written in bundles.

    Args:
        write: takes whole lines; None keeps no log.
        share: of the good answers that were not slow, how many are kept.
        now: the time of day.
    """

    def __init__(
        self,
        write: Callable[[bytes], object] | None,
        share: float = 1.0,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._write = write
        self._now = now
        self._is_sampled = share < 1.0
        self._below = share * 2**32
        self._share = share
        self._share_of_alike = b',"share":%b' % orjson.dumps(share) if self._is_sampled else b""
        self._entries: list[dict[str, Any]] = []
        self._alike: list[tuple[bytes, Sequence[bytes], float]] = []
        self._alike_count = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        """True if lines are kept."""
        return self._write is not None

    def add(self, entry: dict[str, Any]) -> None:
        """Remember a line; it is written within a fifth of a second.

        Args:
            entry: with ``request_id``, ``code`` and ``seconds``.
        """
        if self._is_sampled:
            is_kept = entry["code"] != "ok" or entry["seconds"] >= SLOW_SECONDS
            if not is_kept and not self._chooses(entry["request_id"].encode()):
                return
            entry["share"] = 1.0 if is_kept else self._share
        self._entries.append(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        elif len(self._entries) >= _FLUSH_LINES:
            self.flush()

    def add_alike(self, begin: bytes, ids: Sequence[bytes], seconds: float) -> None:
        """Remember a line for each of these good answers, of which nothing else differs.

        Args:
            begin: the entry as JSON, without ``request_id``, ``seconds`` and the closing brace.
            ids: of letters, digits and hyphens.
            seconds: how long each took.
        """
        if self._is_sampled:
            if seconds < SLOW_SECONDS:
                ids = [request_id for request_id in ids if self._chooses(request_id)]
                begin += self._share_of_alike
            else:
                begin += b',"share":1.0'
            if not ids:
                return
        self._alike.append((begin, ids, seconds))
        self._alike_count += len(ids)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        elif self._alike_count >= _FLUSH_LINES:
            self.flush()

    def _chooses(self, request_id: bytes) -> bool:
        return crc32(request_id) < self._below

    def flush(self) -> None:
        """Write what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        entries, self._entries = self._entries, []
        alike, self._alike = self._alike, []
        self._alike_count = 0
        end_all = b',"timestamp":"%b"}\n' % self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        lines = [orjson.dumps(entry)[:-1] + end_all for entry in entries]
        for begin, ids, seconds in alike:
            end = b'","seconds":%.6f%b' % (seconds, end_all)
            lines += [b'%b,"request_id":"%b%b' % (begin, request_id, end) for request_id in ids]
        if lines and self._write is not None:
            self._write(b"".join(lines))
