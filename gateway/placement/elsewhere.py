"""What a proxy and a gateway have agreed on, about requests that another gateway may answer."""

from typing import Final

ASKING: Final = "x-try-elsewhere"
"""Of a request: the proxy can send it elsewhere, and looks at this status; at a header, if it says anything else. Of an
answer: no run has begun, and another gateway may answer."""

STATUS: Final = 425
"""Too Early: RFC 8470 has clients send such a request again, and no other answer of ours has it."""
