"""What a worker does again and again by itself, and goes on doing whatever comes of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import structlog


async def repeat(do: Callable[[], object], seconds: float, *, executor: Executor | None = None, event: str) -> None:
    """Do something every so many seconds until cancelled; an error is logged, and ends nothing.

    Of errors that follow each other only the first is logged: something that is done twice a second would fill the log.

    Args:
        do: what to do.
        seconds: to wait in between.
        executor: where to do it; None for right here, on the event loop.
        event: what the log says when it fails.
    """
    loop = asyncio.get_running_loop()
    has_failed = False
    while True:
        try:
            if executor is None:
                do()
            else:
                await loop.run_in_executor(executor, do)
        except Exception as error:  # noqa: BLE001 - one that ends would leave what it keeps as it is, and tell nobody
            if not has_failed:
                structlog.get_logger().error(event, exc_info=error)
            has_failed = True
        else:
            has_failed = False
        await asyncio.sleep(seconds)
