"""Many objects copied by one event loop, in another thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.copier import Copier
from migrator.copying.outcomes import Item, NotCopied, Outcome
from migrator.copying.setup import Setup
from migrator.errors import MigrationFailed, MigratorError, internal_error

FLUSH_SECONDS = 0.05
"""How often outcomes are reported."""


@dataclass(frozen=True, slots=True)
class Report:
    """What copying took so far: requests sent, CPU seconds of the process; and how many requests are sent at once."""

    requests: int = 0
    cpu_seconds: float = 0.0
    concurrency: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Some outcomes; or the end of the work, with the error that ended it, if any."""

    outcomes: list[Outcome]
    report: Report
    ended: bool = False
    fault: MigratorError | None = None


Sink = Callable[[Event], None]
"""Is called from another thread than the caller's."""


class Copying(Protocol):
    """Copies objects in another thread or process, and passes the outcomes to a sink. The last event has ``ended``."""

    def copy(self, batch: list[Item]) -> None:
        """Add these to the items to copy."""

    def set_limits(self, limits: RequestLimits) -> None:
        """Use these limits from now on."""

    def finish(self) -> None:
        """End when everything is copied."""

    def give_up(self) -> None:
        """Cancel running copies, abort their uploads, and end."""

    def join(self) -> None:
        """Wait for the end."""


class CopyThread:
    """Copies in this process; see :class:`Copying`."""

    def __init__(self, setup: Setup, sink: Sink) -> None:
        self._setup = setup
        self._sink = sink
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[Item] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._finishing = False
        self._fault: MigratorError | None = None
        self._copier: Copier | None = None
        self._cpu = time.process_time()
        self._thread = threading.Thread(target=self._run, name="migrator-copier", daemon=True)
        self._thread.start()

    # -- for other threads ---------------------------------------------------------------------------

    def copy(self, batch: list[Item]) -> None:
        """Begin to copy these items; outcomes come as events."""
        self._in_loop(lambda copier: self._begin(copier, batch))

    def set_limits(self, limits: RequestLimits) -> None:
        """Change the limits of requests for this thread."""
        self._in_loop(lambda copier: copier.limit.set_limits(limits))

    def finish(self) -> None:
        """No more items will come: end when the last copy is done."""
        self._in_loop(lambda copier: self._end(copier, cancel=False))

    def give_up(self) -> None:
        """Stop at once, and abort the uploads that are under way."""
        self._in_loop(lambda copier: self._end(copier, cancel=True))

    def join(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended."""
        self._thread.join(seconds)

    def _in_loop(self, action: Callable[[Copier], None]) -> None:
        def act() -> None:
            if self._copier is not None:
                action(self._copier)

        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(act)

    # -- in the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._copier = self._setup.copier()
            self._loop.call_later(FLUSH_SECONDS, self._flush_often)
            self._loop.run_forever()
            self._copier.close()
        except MigratorError as error:
            self._fault = error
        except Exception as error:
            self._fault = MigrationFailed(internal_error(error))
        finally:
            self._loop.close()
            self._sink(Event(self._outcomes, self._report(), ended=True, fault=self._fault))

    def _report(self) -> Report:
        cpu = time.process_time() - self._cpu
        if self._copier is None:
            return Report(cpu_seconds=cpu)
        return Report(self._copier.requests, cpu, int(self._copier.limit.current))

    def _flush_often(self) -> None:
        self._flush()
        self._loop.call_later(FLUSH_SECONDS, self._flush_often)

    def _flush(self) -> None:
        if self._outcomes:
            self._sink(Event(self._outcomes, self._report()))
            self._outcomes = []

    def _begin(self, copier: Copier, batch: list[Item]) -> None:
        copier.expect(batch)
        self._waiting.extend(batch)
        self._fill(copier)

    def _fill(self, copier: Copier) -> None:
        """Start as many copies as requests may be sent at once; the parts of large objects wait for their slots."""
        while self._waiting and len(self._tasks) < copier.limit.current:
            task = self._loop.create_task(self._copy_one(copier, self._waiting.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._copy_ended)

    def _copy_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and self._copier is not None:
            self._fill(self._copier)
        elif self._finishing and not self._tasks:
            self._loop.stop()

    def _end(self, copier: Copier, *, cancel: bool) -> None:
        self._finishing = True
        if cancel:
            copier.give_up()
            self._waiting.clear()
            for task in self._tasks:
                task.cancel()
        if not self._tasks and not self._waiting:
            self._loop.stop()

    async def _copy_one(self, copier: Copier, item: Item) -> None:
        try:
            outcome = await copier.copy(item)  # first: while it is awaited, _flush puts a new list in place
            self._outcomes.append(outcome)
        except MigratorError as error:
            self._outcomes.append(NotCopied(item.id, error))
            self._flush()  # report at once: after too many failures, nothing more must be copied
        except asyncio.CancelledError:
            pass
        except Exception as error:
            self._fault = self._fault or MigrationFailed(internal_error(error))
            self._end(copier, cancel=True)
