"""How many requests at once, and how fast: found out while copying, within what the user allows.

More requests at once help until the server is busy, and harm beyond. So the level is probed: a step up stays if
it brings more, a step down stays if it costs nothing, and a server that says "slow down" is heard at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType

START = 64
WINDOW_SECONDS = 0.5
STEP = 1.5
GAIN = 1.02
"""A step up must bring so much more work per second to stay; a step down may cost less than this."""
REST_WINDOWS = 4
"""How long a level is kept before the next probe."""
AFTER_THROTTLE = 8
WORK_BYTES = 8 << 20
"""So many bytes count as much as one request when work is measured."""

MAX_CONCURRENCY = 10_000
MIN_TPS, MAX_TPS = 0.1, 1e6
MIN_BANDWIDTH, MAX_BANDWIDTH = 1024.0, 2.0**50
"""What a user may ask for: less would never end, and more is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the user allows. ``tps``: requests per second; ``bandwidth``: bytes per second; None: no limit."""

    concurrency: int = 256
    tps: float | None = None
    bandwidth: float | None = None

    def share(self, parts: int) -> Limits:
        """What each of ``parts`` processes may do."""
        return Limits(
            max(1, self.concurrency // parts),
            self.tps and self.tps / parts,
            self.bandwidth and self.bandwidth / parts,
        )


class Rate:
    """So many units per second on average, with bursts of a tenth of a second's worth."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._next = 0.0

    async def take(self, units: float) -> None:
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now - 0.1)
        wait = self._next - now
        self._next += units / self._per_second
        if wait > 0:
            await asyncio.sleep(wait)


class Pace:
    """The way to every request: ``async with pace.turn(size): …``. Belongs to one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.level = float(min(START, limits.concurrency))
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.limit(limits)
        # the window that is being measured
        self._since = 0.0
        self._work = 0.0
        self._count = 0
        self._full = False
        self._throttled = False
        # the search
        self._rate = 0.0  # of the level before the probe
        self._before: float | None = None  # the level before the probe; None: no probe is on
        self._upwards = True
        self._rest = 0

    def limit(self, limits: Limits) -> None:
        """Keep to other limits from now on."""
        self._most = limits.concurrency
        self._requests = Rate(limits.tps) if limits.tps else None
        self._bytes = Rate(limits.bandwidth) if limits.bandwidth else None
        self.level = min(self.level, float(self._most))

    def turn(self, size: int = 0) -> _Turn:
        """Wait for one's turn to send a request that moves ``size`` bytes."""
        return _Turn(self, size)

    def throttled(self) -> None:
        """The server asked for less."""
        self._throttled = True

    # -- for _Turn -----------------------------------------------------------------------------------

    async def enter(self, size: int) -> None:
        if self._requests is not None:
            await self._requests.take(1)
        if self._bytes is not None and size:
            await self._bytes.take(size)
        if self._active < int(self.level) and not self._waiting:
            self._active += 1
            self._full = self._full or self._active >= int(self.level)
            return
        self._full = True
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # it was ours already
            else:
                self._waiting.remove(turn)
            raise

    def leave(self, size: int) -> None:
        self._count += 1
        self._work += 1 + size / WORK_BYTES
        self._leave()
        now = asyncio.get_running_loop().time()
        if self._throttled or (now - self._since >= WINDOW_SECONDS and self._count >= self.level):
            self._adjust(now)

    def _leave(self) -> None:
        self._active -= 1
        while self._waiting and self._active < int(self.level):
            turn = self._waiting.popleft()
            if not turn.done():
                self._active += 1
                turn.set_result(None)

    # -- the search ----------------------------------------------------------------------------------

    def _adjust(self, now: float) -> None:
        rate = self._work / max(now - self._since, 1e-9)
        if self._throttled:
            if self._rest < AFTER_THROTTLE:  # one answer to a burst of refusals
                self.level = max(1.0, self.level / 2)
            self._before, self._rest, self._upwards = None, AFTER_THROTTLE, True
        elif self._since == 0.0 or not self._full:
            pass  # the first window has no beginning; a level that is not used up says nothing
        elif self._before is not None:
            better = rate > self._rate * GAIN if self._upwards else rate * GAIN > self._rate
            if better:
                self._rate = rate
                self._probe()
            else:
                self.level, self._before = self._before, None
                self._upwards = not self._upwards
                self._rest = REST_WINDOWS
        elif self._rest > 0:
            self._rest -= 1
        else:
            self._rate = rate
            self._probe()
        self._since, self._work, self._count, self._full, self._throttled = now, 0.0, 0, False, False

    def _probe(self) -> None:
        self._before = self.level
        wanted = max(self.level * STEP, self.level + 1) if self._upwards else self.level / STEP
        self.level = min(float(self._most), max(1.0, wanted))
        if self.level == self._before:  # at the limit
            self._before, self._rest, self._upwards = None, REST_WINDOWS, not self._upwards


class _Turn:
    __slots__ = ("_pace", "_size")

    def __init__(self, pace: Pace, size: int) -> None:
        self._pace = pace
        self._size = size

    async def __aenter__(self) -> None:
        await self._pace.enter(self._size)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pace.leave(self._size)
