"""Many objects copied: in this process, and in one more child process each time all are busy.

The caller's thread hands out items and takes outcomes in batches, so that a copy costs it microseconds. The number of
items that are handed out is limited, so memory does not grow with the lake.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from queue import SimpleQueue

from migrator.concurrency.processes import cores
from migrator.copying.copy_process import CopyProcess
from migrator.copying.copy_thread import Copying, CopyThread, Event, Report, Sink
from migrator.copying.outcomes import Item, Outcome
from migrator.copying.setup import Setup
from migrator.errors import MigrationFailed
from migrator.results import Usage

BATCH = 64
AHEAD = 4
"""How many items a process gets for each request that it may send at once."""
BUSY = 0.85
"""The share of one core above which a process counts as busy: it computes all the time, so another process helps."""
GROW_SECONDS = 1.0
"""Seconds between two checks whether all processes are busy."""


def copy_objects(
    setup: Setup, items: Iterable[Item], usage: Usage | None = None, *, processes: int | None = None
) -> Generator[list[Outcome], None, None]:
    """Copy every item and yield outcomes in batches as they come, in no order.

    ``processes`` None: this process, and more while all are busy; else this number of child processes. Closing the
    iterator stops it: running copies are cancelled, and their uploads are aborted. Raises MigrationFailed if a process
    dies, and the error that ended a process. ``usage`` is updated meanwhile.
    """
    waiting = iter(items)
    first = list(islice(waiting, 1))
    if not first:
        return
    dispatcher = _Dispatcher(setup, usage or Usage(), processes)
    try:
        dispatcher.start()
        yield from dispatcher.run(chain(first, waiting))
    finally:
        dispatcher.stop()


class _Worker:
    """One process that copies, this one or a child: what it was given, and what it reported."""

    def __init__(self, start: Callable[[Setup, Sink], Copying], setup: Setup, events: _Events) -> None:
        self.under_way = 0
        self.ended = False
        self.report = Report()
        self._since, self._cpu = time.monotonic(), 0.0
        self.copying = start(setup, lambda event: events.put((self, event)))

    def take(self, event: Event) -> None:
        """Note what the worker reports."""
        self.under_way -= len(event.outcomes)
        self.report = event.report
        self.ended = event.ended

    def busy_share(self, now: float) -> float:
        """The share of the time since the last call for which it computed."""
        share = (self.report.cpu_seconds - self._cpu) / max(now - self._since, 1e-9)
        self._since, self._cpu = now, self.report.cpu_seconds
        return share


_Events = SimpleQueue[tuple[_Worker, Event]]


class _Dispatcher:
    """Hands items out to workers, and starts more workers while all are busy."""

    def __init__(self, setup: Setup, usage: Usage, processes: int | None) -> None:
        self._setup = setup
        self._usage = usage
        self._before = replace(usage)  # the usage of earlier stages: copying has two
        self._fixed = processes
        self._workers: list[_Worker] = []
        self._events: _Events = SimpleQueue()
        self._checked = time.monotonic()

    def start(self) -> None:
        """Start the first workers. Only one by default: each further one takes half a second to start and as much
        memory as the first, and usually the server is the bottleneck."""
        for _ in range(self._fixed or 1):
            self._add(CopyThread if self._fixed is None else CopyProcess)

    def _add(self, start: Callable[[Setup, Sink], Copying]) -> None:
        self._workers.append(_Worker(start, self._setup, self._events))
        self._usage.processes = max(self._usage.processes, len(self._workers))
        limits = self._setup.options.limits.share(len(self._workers))
        for worker in self._workers:
            worker.copying.set_limits(limits)

    def run(self, items: Iterator[Item]) -> Iterator[list[Outcome]]:
        """Hand out all items, and yield the outcomes."""
        more = True
        while True:
            while more and (worker := self._idlest()) is not None:
                batch = list(islice(items, BATCH))
                more = len(batch) == BATCH
                if batch:
                    worker.under_way += len(batch)
                    worker.copying.copy(batch)
            if not more and not any(worker.under_way for worker in self._workers):
                break
            yield from self._take()
            if more and self._fixed is None:
                self._grow()
        for worker in self._workers:
            worker.copying.finish()
        while not all(worker.ended for worker in self._workers):
            yield from self._take()
        if any(worker.under_way for worker in self._workers):  # pragma: no cover - a fault of ours
            raise MigrationFailed("Copying ended without a result for some objects.", next_move="Run it again.")

    def _take(self) -> Iterator[list[Outcome]]:
        """Wait for the next event of a worker, and yield its outcomes."""
        worker, event = self._events.get()
        worker.take(event)
        reports = [worker.report for worker in self._workers]
        self._usage.requests = self._before.requests + sum(report.requests for report in reports)
        self._usage.cpu_seconds = self._before.cpu_seconds + sum(report.cpu_seconds for report in reports)
        self._usage.level = sum(report.concurrency for report in reports)
        if event.fault is not None:
            raise event.fault
        if event.outcomes:
            yield event.outcomes

    def _idlest(self) -> _Worker | None:
        """The worker with the fewest items, if it may be given more."""
        worker = min(self._workers, key=lambda worker: worker.under_way)
        room = max(2 * BATCH, AHEAD * self._setup.options.limits.concurrency // len(self._workers))
        return worker if worker.under_way + BATCH <= room else None

    def _grow(self) -> None:
        """Start another process if all of them are busy."""
        now = time.monotonic()
        if now - self._checked < GROW_SECONDS:
            return
        self._checked = now
        busy = [worker.busy_share(now) > BUSY for worker in self._workers]
        if all(busy) and len(self._workers) < cores():
            self._add(CopyProcess)

    def stop(self) -> None:
        """Cancel running copies, and wait until all workers have ended."""
        for worker in self._workers:
            worker.copying.give_up()
        for worker in self._workers:
            worker.copying.join()
