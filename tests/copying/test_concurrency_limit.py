"""The limit is found with a simulated server and a simulated clock."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from migrator.copying.concurrency_limit import ConcurrencyLimit, RequestLimits


class FastLoop(asyncio.SelectorEventLoop):  # type: ignore[misc]
    """An event loop whose clock jumps to the next timer, so that minutes of simulated time need no real time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, heapq.nsmallest(1, self._scheduled)[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    loop = FastLoop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


async def load(limit: ConcurrencyLimit, seconds: float, service: Callable[[int], float], size: int = 0) -> int:
    """Send as many requests as the limit allows, for this long. ``service``: requests at once → seconds that one
    takes."""
    loop = asyncio.get_running_loop()
    end, busy, done = loop.time() + seconds, 0, 0

    async def worker() -> None:
        nonlocal busy, done
        while loop.time() < end:
            async with limit.slot(size):
                busy += 1
                await asyncio.sleep(service(busy))
                busy -= 1
                done += 1

    await asyncio.gather(*(worker() for _ in range(200)))
    return done


@pytest.mark.slow
def test_it_rises_as_long_as_that_brings_more() -> None:
    """Each request takes 10 ms, also with others at the same time: so all allowed requests help."""

    async def main() -> float:
        limit = ConcurrencyLimit(RequestLimits(concurrency=100))
        await load(limit, 60, lambda busy: 0.01)
        return limit.current

    assert run(main) > 75


@pytest.mark.slow
def test_it_stays_low_where_more_brings_nothing() -> None:
    """The server handles eight requests at once. More only wait: the time of one request grows with their number."""

    async def main() -> float:
        limit = ConcurrencyLimit(RequestLimits(concurrency=1000))
        levels = []
        for _ in range(60):
            await load(limit, 2, lambda busy: 0.01 * max(1.0, busy / 8))
            levels.append(limit.current)
        return sum(levels[20:]) / len(levels[20:])

    assert 6 < run(main) < 30


@pytest.mark.slow
def test_a_server_that_asks_for_less_gets_less_at_once_and_more_again_later() -> None:
    async def main() -> tuple[float, float, float]:
        limit = ConcurrencyLimit(RequestLimits(concurrency=64))
        await load(limit, 30, lambda busy: 0.01)
        before = limit.current
        for _ in range(50):  # one burst
            async with limit.slot():
                limit.server_overloaded()
        during = limit.current
        await load(limit, 60, lambda busy: 0.01)
        return before, during, limit.current

    before, during, after = run(main)
    assert during <= before / 2 and during >= before / 3, "one answer to a burst of refusals"
    assert after > 0.7 * before


@pytest.mark.parametrize(
    ("limits", "size", "most"),
    [
        (RequestLimits(tps=50), 0, 50),
        (RequestLimits(bandwidth=1e6), 20_000, 50),
        (RequestLimits(concurrency=1), 0, 100),
    ],
    ids=["tps", "bandwidth", "concurrency"],
)
def test_the_limits_hold(limits: RequestLimits, size: int, most: float) -> None:
    async def main() -> int:
        return await load(ConcurrencyLimit(limits), 10, lambda busy: 0.01, size)

    done = run(main)
    assert 8 * most < done < 10 * most + 210  # requests that had begun at the end may finish


def test_shares_add_up() -> None:
    share = RequestLimits(10, 90, 300).share(3)
    assert share == RequestLimits(3, 30, 100)
    assert RequestLimits(1).share(4).concurrency == 1


def test_one_that_gives_up_waiting_leaves_its_place() -> None:
    async def main() -> int:
        limit = ConcurrencyLimit(RequestLimits(concurrency=1))
        async with limit.slot():
            waiting = asyncio.ensure_future(load(limit, 1, lambda busy: 0.01))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return await load(limit, 1, lambda busy: 0.01)

    assert run(main) > 50
