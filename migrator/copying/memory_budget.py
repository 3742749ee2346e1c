"""A limit for the bytes that many copies hold in memory together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MemoryBudget:
    """At most ``most`` bytes at once; a larger request waits until no other bytes are reserved. Belongs to one event
    loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[None]:
        """Wait for ``size`` bytes, and hold them inside the block."""
        async with self._freed:
            await self._freed.wait_for(lambda: not self._used or self._used + size <= self._most)
            self._used += size
        try:
            yield
        finally:
            await asyncio.shield(self._free(size))

    async def _free(self, size: int) -> None:
        async with self._freed:
            self._used -= size
            self._freed.notify_all()
