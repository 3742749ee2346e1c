"""Adjusts how many requests are sent at once while copying, and limits their rate, within what the user allows.

More requests at once help until the server is busy, and slow it down beyond that. So the limit changes step by step
while objects are copied. A step up is kept only if throughput grows by 2 % or more; a step down is kept if throughput
drops by less than 2 %. When the server answers that it is overloaded (429, 503, SlowDown), the limit is halved.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType

START = 128
"""SeaweedFS and MinIO copy 10 to 20 % faster with 128 small copies at once than with 64, and slower with 32."""
WINDOW_SECONDS = 0.5
"""Throughput is measured over at least so many seconds, and at least as many requests as the limit."""
STEP = 1.5
MIN_GAIN = 1.02
"""Keep a step up only if throughput grows by 2 % or more; keep a step down if it drops by less than 2 %."""
REST_WINDOWS = 4
"""How many windows to wait after a step that was taken back, before the next one."""
OVERLOAD_REST_WINDOWS = 8
"""How many windows to wait after the server was overloaded."""
WORK_BYTES = 8 << 20
"""This many bytes count as one request when throughput is measured."""

MAX_CONCURRENCY = 10_000
MIN_TPS, MAX_TPS = 0.1, 1e6
MIN_BANDWIDTH, MAX_BANDWIDTH = 1024.0, 2.0**50
"""Bytes per second that a user may set. With less, copying would never end; more is a typing error."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What the user allows. ``concurrency``: requests at once; ``tps``: requests per second; ``bandwidth``: bytes per
    second; None: no limit."""

    concurrency: int = 256
    tps: float | None = None
    bandwidth: float | None = None

    def share(self, parts: int) -> RequestLimits:
        """What each of ``parts`` processes may use."""
        return RequestLimits(
            max(1, self.concurrency // parts),
            self.tps and self.tps / parts,
            self.bandwidth and self.bandwidth / parts,
        )


class RateLimit:
    """A limit for the average rate, in units per second; bursts may have the units of a tenth of a second."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._next = 0.0

    async def wait(self, units: float) -> None:
        """Wait until ``units`` may be used."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now - 0.1)
        wait = self._next - now
        self._next += units / self._per_second
        if wait > 0:
            await asyncio.sleep(wait)


class ConcurrencyLimit:
    """Every request waits for a slot: ``async with limit.slot(size): …``. Belongs to one event loop."""

    def __init__(self, limits: RequestLimits) -> None:
        self.current = float(min(START, limits.concurrency))
        """How many requests may be sent at once now; rounded down."""
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.set_limits(limits)
        # The window in which throughput is being measured.
        self._since = 0.0
        self._work = 0.0
        self._count = 0
        self._full = False
        self._overloaded = False
        # The step that is being tried.
        self._throughput_before = 0.0
        self._limit_before: float | None = None  # None: no step is being tried
        self._upwards = True
        self._rest = 0

    def set_limits(self, limits: RequestLimits) -> None:
        """Use these limits from now on."""
        self._most = limits.concurrency
        self._requests = RateLimit(limits.tps) if limits.tps else None
        self._bytes = RateLimit(limits.bandwidth) if limits.bandwidth else None
        self.current = min(self.current, float(self._most))

    def slot(self, size: int = 0) -> _Slot:
        """A context manager that waits until a request that moves ``size`` bytes may be sent."""
        return _Slot(self, size)

    def server_overloaded(self) -> None:
        """The server asked for fewer requests."""
        self._overloaded = True

    # -- for _Slot -----------------------------------------------------------------------------------

    async def enter(self, size: int) -> None:
        """Wait until a request of ``size`` bytes may be sent."""
        if self._requests is not None:
            await self._requests.wait(1)
        if self._bytes is not None and size:
            await self._bytes.wait(size)
        if self._active < int(self.current) and not self._waiting:
            self._active += 1
            self._full = self._full or self._active >= int(self.current)
            return
        self._full = True
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._free_slot()  # the slot was given to this request already
            else:
                self._waiting.remove(slot)
            raise

    def leave(self, size: int) -> None:
        """The request of ``size`` bytes is over."""
        self._count += 1
        self._work += 1 + size / WORK_BYTES
        self._free_slot()
        now = asyncio.get_running_loop().time()
        if self._overloaded or (now - self._since >= WINDOW_SECONDS and self._count >= self.current):
            self._adjust(now)

    def _free_slot(self) -> None:
        self._active -= 1
        while self._waiting and self._active < int(self.current):
            slot = self._waiting.popleft()
            if not slot.done():
                self._active += 1
                slot.set_result(None)

    # -- the search for the best limit ---------------------------------------------------------------

    def _adjust(self, now: float) -> None:
        """A window ended: keep the step or take it back, try the next one, and begin a new window."""
        throughput = self._work / max(now - self._since, 1e-9)
        if self._overloaded:
            if self._rest < OVERLOAD_REST_WINDOWS:  # halve once, however many requests of a burst were refused
                self.current = max(1.0, self.current / 2)
            self._limit_before, self._rest, self._upwards = None, OVERLOAD_REST_WINDOWS, True
        elif self._since == 0.0 or not self._full:
            pass  # the first window has no start; a limit that is not reached does not change throughput
        elif self._limit_before is not None:
            self._judge_step(throughput, self._limit_before)
        elif self._rest > 0:
            self._rest -= 1
        else:
            self._try_step(throughput)
        self._since, self._work, self._count, self._full, self._overloaded = now, 0.0, 0, False, False

    def _judge_step(self, throughput: float, limit_before: float) -> None:
        before = self._throughput_before
        keep = throughput > before * MIN_GAIN if self._upwards else throughput * MIN_GAIN > before
        if keep:
            self._try_step(throughput)
            return
        self.current, self._limit_before = limit_before, None
        self._upwards = not self._upwards
        self._rest = REST_WINDOWS

    def _try_step(self, throughput: float) -> None:
        """Change the limit by one step. ``throughput``: that of the limit so far."""
        self._throughput_before, self._limit_before = throughput, self.current
        wanted = max(self.current * STEP, self.current + 1) if self._upwards else self.current / STEP
        self.current = min(float(self._most), max(1.0, wanted))
        if self.current == self._limit_before:  # the limit is the least or the most already
            self._limit_before, self._rest, self._upwards = None, REST_WINDOWS, not self._upwards


class _Slot:
    __slots__ = ("_limit", "_size")

    def __init__(self, limit: ConcurrencyLimit, size: int) -> None:
        self._limit = limit
        self._size = size

    async def __aenter__(self) -> None:
        await self._limit.enter(self._size)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limit.leave(self._size)
