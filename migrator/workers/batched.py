"""Runs many small jobs as a few batches, for pools whose calls cost more than the job. Threads call :class:`Batched`
like the pool, each with one item.

When a worker is free, it gets all waiting items as one batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from migrator.concurrency.processes import as_migrator_error
from migrator.errors import MigratorError
from migrator.workers.engine import Engine, Pool

MOST = 16
"""How many items are in a batch."""
MOST_THREADS = 512
AT_ONCE = 4
"""How many items of a batch a worker does at once: jobs also wait for the store."""

_Waiting = tuple[Any, "Future[Any]"]


class EachOf:
    """The job of a worker: it runs the job of ``make(*arguments)`` on each item of a batch, and returns (error, result)
    of each, in their order. The job must be safe between threads."""

    def __init__(self, make: Callable[..., Callable[[Any], Any]], *arguments: Any) -> None:
        self._job = make(*arguments)

    def __call__(self, items: list[Any]) -> list[tuple[MigratorError | None, Any]]:
        """Do the job on each."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(self._one, items))

    def _one(self, item: Any) -> tuple[MigratorError | None, Any]:
        try:
            return None, self._job(item)
        except Exception as error:
            return as_migrator_error(error), None


class Batched:
    """Call it with one item, from ``threads`` threads; it returns the result, or raises the error."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.threads = min(MOST_THREADS, pool.callers * MOST)
        """From how many threads to call it, so that batches are full."""
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._handing = [threading.Thread(target=self._hand_out, daemon=True) for _ in range(pool.callers)]
        for thread in self._handing:
            thread.start()

    def __call__(self, item: Any) -> Any:
        """Do the job on ``item`` in some worker. Raises the MigratorError of the job, or of the pool."""
        future: Future[Any] = Future()
        self._waiting.put((item, future))
        return future.result()

    def close(self) -> None:
        """Call it when no call is waiting any more."""
        for _ in self._handing:
            self._waiting.put(None)
        for thread in self._handing:
            thread.join()

    def _hand_out(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < MOST:
                try:
                    more = self._waiting.get_nowait()
                except Empty:
                    break
                if more is None:
                    self._waiting.put(None)  # the signal was for a thread; there is one for each thread
                    break
                batch.append(more)
            self._do(batch)

    def _do(self, batch: list[_Waiting]) -> None:
        try:
            answers = self._pool([item for item, _ in batch])
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), (failed, result) in zip(batch, answers, strict=True):
            if failed is not None:
                future.set_exception(failed)
            else:
                future.set_result(result)


@contextmanager
def in_batches(engine: Engine, make: Callable[..., Callable[[Any], Any]], *arguments: Any) -> Iterator[Batched]:
    """A pool of ``engine`` that gets batches, and is called with single items."""
    with engine.pool(EachOf, make, *arguments) as pool:
        batched = Batched(pool)
        try:
            yield batched
        except BaseException:
            pool.cancel()
            raise
        finally:
            batched.close()


# -- what workers can import -----------------------------------------------------------------------------


class Imports:
    """The job that tries to import modules: it returns the names of those that cannot be imported."""

    def __call__(self, names: list[str]) -> list[str]:
        """The modules in ``names`` that are missing."""
        import importlib

        missing = []
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError:
                missing.append(name)
        return missing


def missing_modules(engine: Engine, names: list[str]) -> list[str]:
    """The modules in ``names`` that some worker cannot import. Runs as many tasks as there are workers. Raises what the
    pool raises."""
    with engine.pool(Imports) as pool, ThreadPoolExecutor(pool.parallel) as threads:
        return sorted({name for missing in threads.map(pool, [names] * pool.parallel) for name in missing})
