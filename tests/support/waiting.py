"""Waiting for what happens instead of for as long as that may take, which on a busy machine is any time."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

AT_MOST = 60.0  # seconds; nothing waits as long unless it is broken

_limits: list[asyncio.Timeout] = []


async def pause(seconds: float) -> None:
    """How scripted parts take their time: `cut_short` cancels what has come so far."""
    for limit in _limits if seconds else ():
        if not limit.expired():
            limit.reschedule(0)
    await asyncio.sleep(seconds)


@asynccontextmanager
async def cut_short() -> AsyncIterator[None]:
    """A timeout that is over as soon as something in it pauses, neither before nor after."""
    async with asyncio.timeout(AT_MOST) as limit:
        _limits.append(limit)
        try:
            yield
        finally:
            _limits.remove(limit)


async def paused() -> None:
    """Returns as soon as something pauses."""
    with suppress(TimeoutError):
        async with cut_short():
            await asyncio.Event().wait()


async def until(holds: Callable[[], bool]) -> None:
    """Lets the event loop run, and collects what is garbage, until something holds."""
    async with asyncio.timeout(AT_MOST):
        while not holds():
            gc.collect()
            await asyncio.sleep(0.001)


def patiently(read: Callable[[], T | None], seconds: float = AT_MOST) -> T:
    """Returns the first result that is neither None nor empty nor False, of what another thread or process does."""
    end = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.01)
    return found
