"""Bytes in memory at once."""

from __future__ import annotations

import asyncio

from migrator.copying.memory_budget import MemoryBudget


def test_no_more_than_allowed_is_held_and_every_task_ends() -> None:
    held, most = 0, 0

    async def hold(budget: MemoryBudget, size: int) -> None:
        nonlocal held, most
        async with budget.reserve(size):
            held += size
            most = max(most, held)
            await asyncio.sleep(0)
            held -= size

    async def main() -> None:
        budget = MemoryBudget(10)
        await asyncio.gather(*(hold(budget, size) for size in [3, 4, 5, 1] * 20))

    asyncio.run(main())
    assert 5 < most <= 10


def test_one_that_is_larger_runs_alone() -> None:
    async def main() -> list[str]:
        budget, order = MemoryBudget(10), []

        async def hold(name: str, size: int) -> None:
            async with budget.reserve(size):
                order.append(f"{name} in")
                await asyncio.sleep(0)
                order.append(f"{name} out")

        await asyncio.gather(hold("small", 1), hold("large", 99), hold("other", 10))
        return order

    assert asyncio.run(main()) == ["small in", "small out", "large in", "large out", "other in", "other out"]


def test_what_is_cancelled_gives_its_bytes_back() -> None:
    async def main() -> None:
        budget = MemoryBudget(10)

        async def hold() -> None:
            async with budget.reserve(10):
                await asyncio.sleep(3600)

        holding, waiting = asyncio.ensure_future(hold()), asyncio.ensure_future(hold())
        await asyncio.sleep(0)
        for task in (waiting, holding):
            task.cancel()
        await asyncio.gather(holding, waiting, return_exceptions=True)
        async with budget.reserve(10):
            pass

    asyncio.run(main())
