"""The job of a worker that copies: batch after batch, with one event loop and its connections.

The same batch may be copied twice, by one worker after the other or by two at once, because an engine repeats the batch
of a lost worker: an existing copy that equals its source is accepted. Where that is not allowed
(:attr:`~migrator.copying.options.Options.once`), objects are not copied in batches.

Executors of Spark import this module from the file of ``migrator pack``, so it imports no compiled package.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from queue import SimpleQueue

from migrator.concurrency.processes import as_migrator_error
from migrator.copying.copy_thread import CopyThread, Event, Report
from migrator.copying.outcomes import Item, NotCopied, Outcome
from migrator.copying.setup import Setup
from migrator.errors import MigrationFailed


@dataclass(frozen=True, slots=True)
class Copies:
    """The outcomes of one batch. ``seconds``: how long it took the worker."""

    outcomes: list[Outcome]
    report: Report
    seconds: float


class BatchCopier:
    """The job of a worker: ``copier(items)`` copies a batch. ``setup``: how the objects are copied, with the limits of
    this one worker. ``most_failures``: a batch in which this many objects fail is given up, and has no outcomes for the
    rest."""

    def __init__(self, setup: Setup, most_failures: int) -> None:
        self._setup, self._most_failures = setup, most_failures
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._thread: CopyThread | None = None
        self._report = Report()

    def __call__(self, items: list[Item]) -> Copies:
        """Copy these and return the outcomes, which can be pickled. Raises the error that ended the batch."""
        began = time.monotonic()
        if self._thread is None:
            self._thread, self._report = CopyThread(self._setup, self._events.put), Report()
        before = self._report
        self._thread.copy(items)
        outcomes: list[Outcome] = []
        failures = 0
        while len(outcomes) < len(items):
            event = self._events.get()
            self._report = event.report
            outcomes += map(_sendable, event.outcomes)
            failures += sum(isinstance(outcome, NotCopied) for outcome in event.outcomes)
            if event.ended:
                self._thread.join()
                self._thread = None
                raise event.fault or MigrationFailed("Copying ended early.", next_move="Run the same command again.")
            if failures >= self._most_failures:
                self.close()
                break
        now = self._report
        spent = Report(now.requests - before.requests, now.cpu_seconds - before.cpu_seconds, now.concurrency)
        return Copies(outcomes, spent, time.monotonic() - began)

    def close(self) -> None:
        """Cancel running copies, abort their uploads, and close all connections."""
        if self._thread is not None:
            self._thread.give_up()
            self._thread.join()
            self._thread, self._events = None, SimpleQueue()


def _sendable(outcome: Outcome) -> Outcome:
    return replace(outcome, error=as_migrator_error(outcome.error)) if isinstance(outcome, NotCopied) else outcome
