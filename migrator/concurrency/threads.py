"""Many small jobs in threads of this process, with only a few of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

from migrator.errors import MigratorError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """``job(item)`` returned ``result``."""

    item: Item
    result: Result


@dataclass(frozen=True, slots=True)
class Failed(Generic[Item]):
    """``job(item)`` raised ``error``."""

    item: Item
    error: MigratorError


def run_in_threads(
    job: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Generator[Done[Item, Result] | Failed[Item], None, None]:
    """Call ``job(item)`` for every item, in ``workers`` threads, and yield outcomes as they come, in no order.

    At most ``4 * workers`` items are taken from ``items`` before their outcomes are yielded, so memory does not grow
    with their number. A MigratorError of a job is yielded as :class:`Failed`. Any other exception is raised. That, and
    closing the iterator, ends the work: running jobs are waited for, waiting ones are dropped.
    """
    waiting = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="migrator")
    running: dict[Future[Result], Item] = {}
    # A queue, because the time to wait on a set of futures grows with the set.
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    try:
        while True:
            for item in islice(waiting, 4 * workers - len(running)):
                future = pool.submit(job, item)
                running[future] = item
                future.add_done_callback(finished.put)
            if not running:
                return
            future = finished.get()
            item = running.pop(future)
            try:
                outcome: Done[Item, Result] | Failed[Item] = Done(item, future.result())
            except MigratorError as error:
                outcome = Failed(item, error)
            yield outcome
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
