"""What a proxy and a gateway have agreed on: which requests another gateway may answer, and who gets no new ones."""

from typing import Final

ASKING: Final = "x-try-elsewhere"
"""Of a request: the proxy can send it elsewhere, and looks at this status; at a header, if it says anything else. Of an
answer: no run has begun, and another gateway may answer."""

STATUS: Final = 425
"""Too Early: RFC 8470 has clients send such a request again, and no other answer of ours has it."""

NOT_READY: Final = "x-not-ready-status"
"""Of a request for ``/health/ready``: the status that says "not ready" in place of 503. A proxy takes 503 for the end
of a gateway, and ends what it still asks of it; one that is not ready goes on with what it has begun."""

NOT_READY_STATUS: Final = 404
"""What HAProxy takes for that (``http-check disable-on-404``)."""
