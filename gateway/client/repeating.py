"""Which requests are sent again, when, and how often.

1. A connection that is refused brought nothing to anybody: every request may be sent again, a promotion too.
2. A connection that ends before its answer may have brought the request, and a gateway may have carried it out. Only
   what does no more when it is done twice (looking, predicting, registering files that were sent already) is sent
   again, and once: a request that ends the process which answers it is not sent until nothing is left. A file is read
   while it is sent, and not read again: sending it raises ConnectionFailed, and whoever registers it again gets the
   same version. Everything else raises ConnectionFailed with ``is_outcome_unknown``.
3. 429 and 503 with Retry-After: the gateway asks to come again. What may be done twice does, after that time. A model
   that crashed or lacked memory would do so again; what an operator must mend will not be well in a second.
4. All waits of one request together are at most its patience. Who would have to wait longer is told at once.
5. No wait is a timeout: a request that got no answer in its time has waited already.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.client.errors import Busy, ConnectionFailed, api_error
from gateway.client.transport import Body, Response, Transport, is_whole

_ASKED_TO_COME_AGAIN = (429, 503)
_WOULD_AGAIN = frozenset({"model_crashed", "model_out_of_memory"})
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatingTransport:
    """A transport that sends some requests again over another one; safe to share where that one is.

    ``patience_seconds`` is what one request may wait in all; with 0 only rule 2 is left.
    """

    inner: Transport
    patience_seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body = None,
        content_length: int | None = None,
        is_repeatable: bool = False,
    ) -> Response:
        """Send a request until it is answered or the rules end; see Transport."""
        attempts = _Attempts(self, may_repeat=is_repeatable and is_whole(body))
        while True:
            try:
                response = self.inner.request(
                    method, path, headers=headers, body=body, content_length=content_length, is_repeatable=is_repeatable
                )
            except ConnectionFailed as error:
                if not attempts.go_on_after(error):
                    raise
            else:
                if not attempts.go_on_behind(response):
                    return response

    def close(self) -> None:
        """Close the transport below."""
        self.inner.close()


class _Attempts:
    """What has become of one request so far."""

    def __init__(self, transport: RepeatingTransport, *, may_repeat: bool) -> None:
        self._sleep, self._clock = transport.sleep, transport.clock
        self._until = transport.clock() + transport.patience_seconds
        self._may_repeat = may_repeat
        self._pause = _FIRST_PAUSE_SECONDS
        self._has_been_cut = False

    def go_on_after(self, error: ConnectionFailed) -> bool:
        """Return, after a pause where one is due, whether the request is to be sent again after a failure."""
        if error.may_have_arrived:  # rules 2 and 5
            is_first, self._has_been_cut = not self._has_been_cut, True
            return self._may_repeat and is_first and not isinstance(error.__cause__, TimeoutError)
        # A pause that is another for each caller: so they do not all come back at once.
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - nothing is kept secret by it
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        return isinstance(error.__cause__, ConnectionError) and self._wait(pause)

    def go_on_behind(self, response: Response) -> bool:
        """Return, after the wait that the gateway asks for, whether the request is to be sent again after an answer."""
        asked = _asked_wait(response) if self._may_repeat else None
        return asked is not None and self._wait(asked)

    def _wait(self, seconds: float) -> bool:
        if self._clock() + seconds > self._until:
            return False
        self._sleep(seconds)
        return True


def _asked_wait(response: Response) -> float | None:
    """Return how long the gateway asks to wait, None if it does not, or if it would be of no use."""
    if response.status not in _ASKED_TO_COME_AGAIN:
        return None
    error = api_error(response.status, response.headers, response.body)
    return error.retry_after_seconds if isinstance(error, Busy) and error.code not in _WOULD_AGAIN else None
