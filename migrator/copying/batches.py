"""Many objects copied by the workers of an engine, batch by batch; see :mod:`migrator.copying.batch_copier`.

The size of a batch depends on how long earlier batches took.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from queue import SimpleQueue

from migrator.copying.batch_copier import BatchCopier, Copies
from migrator.copying.concurrency_limit import WORK_BYTES
from migrator.copying.outcomes import Item, Outcome
from migrator.copying.setup import Setup
from migrator.results import Usage
from migrator.workers.engine import Engine, Pool

FIRST_WORK = 128
"""The work in each of the first batches. An object counts as 1, and 1 more for each ``WORK_BYTES``."""
BATCH_SECONDS = 4.0
"""How long a batch should take: long enough that handing it out costs little, short enough that copies are journalled
soon, and that little is repeated after a worker was lost."""
LEAST_SECONDS = 1.0
"""The last batches are smaller, so that all workers end at about the same time, but not smaller than this."""
GROWTH = 4
"""A batch is at most this many times as large as the largest whose time is known."""
MOST_ITEMS = 10_000
"""The most objects in one batch: they are in memory on both sides."""


def copy_in_batches(
    engine: Engine, setup: Setup, items: Iterable[Item], usage: Usage | None = None, *, total: Total, most_failures: int
) -> Generator[list[Outcome], None, None]:
    """Copy every item with the workers of ``engine``, and yield outcomes as they come, in no order.

    The limits of ``setup`` hold for all workers together. ``total``: the sum of all work, so that the last batches are
    small enough for all workers. Closing the iterator cancels running copies. Raises the error that ended a worker's
    work, or MigrationFailed if a worker died and cannot be replaced.
    """
    waiting = iter(items)
    first = list(islice(waiting, 1))
    if not first:
        return
    parallel = min(engine.parallel(), setup.options.limits.concurrency)
    limits = setup.options.limits.share(parallel)
    shared = replace(setup, options=replace(setup.options, limits=limits))
    usage = usage or Usage()
    usage.processes = max(usage.processes, parallel)
    sizes = BatchSizes(total, parallel, least=min(FIRST_WORK, limits.concurrency))
    with engine.pool(BatchCopier, shared, most_failures) as pool:
        callers = pool.callers if parallel == pool.parallel else parallel
        sizes.callers = callers
        yield from _Dispatcher(pool, callers, sizes, usage).run(chain(first, waiting))


@dataclass(frozen=True, slots=True)
class Total:
    """How many objects there are, and their bytes in all."""

    objects: int
    size: int

    @property
    def work(self) -> float:
        """See ``FIRST_WORK``."""
        return self.objects + self.size / WORK_BYTES


@dataclass
class BatchSizes:
    """Chooses the size of the next batch. ``callers``: how many batches are running or waiting. ``least``: with a
    smaller batch, a worker would soon be idle."""

    total: Total
    callers: int
    least: int = FIRST_WORK
    _rate: float = 0.0
    _known: float = 0.0
    _given: float = 0.0

    def next(self, items: Iterator[Item]) -> list[Item]:
        """Take the next batch; [] at the end."""
        left = max(0.0, self.total.work - self._given) / self.callers
        wanted = self._rate * BATCH_SECONDS if self._rate else FIRST_WORK
        wanted = max(
            self.least, min(self._rate * LEAST_SECONDS, wanted), min(wanted, GROWTH * self._known or FIRST_WORK, left)
        )
        batch: list[Item] = []
        work = 0.0
        while work < wanted and len(batch) < MOST_ITEMS and (more := list(islice(items, 1))):
            batch += more
            work += work_of(more[0])
        self._given += work
        return batch

    def took(self, batch: list[Item], seconds: float) -> None:
        """Note how many seconds a batch took a worker."""
        work = sum(map(work_of, batch))
        self._rate, self._known = work / max(seconds, 1e-3), max(self._known, work)


def work_of(item: Item) -> float:
    """See ``FIRST_WORK``."""
    return 1 + item.stored.size / WORK_BYTES


class _Dispatcher:
    """Hands batches to a pool, from ``callers`` threads."""

    def __init__(self, pool: Pool, callers: int, sizes: BatchSizes, usage: Usage) -> None:
        self._pool, self._callers, self._sizes, self._usage = pool, callers, sizes, usage
        self._finished: SimpleQueue[Future[Copies]] = SimpleQueue()
        self._running: dict[Future[Copies], list[Item]] = {}

    def run(self, items: Iterator[Item]) -> Generator[list[Outcome], None, None]:
        """Hand out all items, and yield the outcomes."""
        threads = ThreadPoolExecutor(self._callers, thread_name_prefix="migrator-batch")
        try:
            self._fill(threads, items)
            while self._running:
                future = self._finished.get()
                batch = self._running.pop(future)
                copies = future.result()
                self._sizes.took(batch, copies.seconds)
                self._fill(threads, items)
                self._use(copies)
                yield copies.outcomes
        except BaseException:
            self._pool.cancel()
            raise
        finally:
            threads.shutdown(wait=True, cancel_futures=True)

    def _fill(self, threads: ThreadPoolExecutor, items: Iterator[Item]) -> None:
        while len(self._running) < self._callers and (batch := self._sizes.next(items)):
            future = threads.submit(self._pool, batch)
            self._running[future] = batch
            future.add_done_callback(self._finished.put)

    def _use(self, copies: Copies) -> None:
        self._usage.requests += copies.report.requests
        self._usage.cpu_seconds += copies.report.cpu_seconds
        self._usage.level = copies.report.concurrency * min(self._callers, self._pool.parallel)
