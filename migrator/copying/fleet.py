"""Many objects copied: in this process, and in children of it, one more whenever all are busy.

The caller's thread hands out items and takes outcomes, in batches, so that a copy costs it microseconds. How many
items are under way is bounded, so memory does not grow with the lake.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from queue import SimpleQueue
from typing import Any, BinaryIO

from migrator.concurrency.processes import cores, pipe, start_child
from migrator.copying.copier import Copied, Copier, Item, NotCopied, Options
from migrator.copying.pace import Limits
from migrator.errors import MigrationFailed, MigratorError, internal_error
from migrator.results import Usage
from migrator.store import Store

BATCH = 64
AHEAD = 4
"""How many items a process has for each request that it may send."""
FLUSH_SECONDS = 0.05
BUSY = 0.85
"""A process that computes for so much of the time is the limit, and another one helps."""
GROW_SECONDS = 1.0
STOP_SECONDS = 60
ORPHAN_SECONDS = 3

Outcome = Copied | NotCopied


@dataclass(frozen=True, slots=True)
class Setup:
    """How a process connects: what :attr:`migrator.store.Store.connection` says of both ends."""

    source: dict[str, Any]
    target: dict[str, Any] | None
    """None: the same as the source."""
    bucket: str
    options: Options

    def copier(self) -> Copier:
        source = Store(**self.source)
        target = source if self.target is None else Store(**self.target)
        for store in (source, target):
            store.met()  # whoever hands out the work has talked to both
        return Copier(source, target, self.bucket, self.options)


def copy_objects(
    setup: Setup, items: Iterable[Item], usage: Usage | None = None, *, processes: int | None = None
) -> Generator[list[Outcome], None, None]:
    """Copy every item and yield outcomes in batches as they come, in no order.

    ``processes`` None: this one, and as many more as pay; else so many children. Closing the iterator stops it: what
    is under way is given up, and its uploads are aborted. Raises MigrationFailed if a process dies.
    """
    waiting = iter(items)
    first = list(islice(waiting, 1))
    if not first:
        return
    fleet = _Fleet(setup, usage or Usage(), processes)
    try:
        fleet.start()
        yield from fleet.run(chain(first, waiting))
    finally:
        fleet.stop()


@dataclass(frozen=True, slots=True)
class _Report:
    requests: int
    cpu_seconds: float
    level: int


@dataclass(frozen=True, slots=True)
class _Event:
    """What a member says: some outcomes, or that it has ended, by a fault if there is one."""

    outcomes: list[Outcome]
    report: _Report
    ended: bool = False
    fault: MigratorError | None = None


Sink = Callable[[_Event], None]


class _Fleet:
    def __init__(self, setup: Setup, usage: Usage, processes: int | None) -> None:
        self._setup = setup
        self._usage = usage
        self._before = replace(usage)  # what earlier stages took: copying has two
        self._fixed = processes
        self._members: list[_Member] = []
        self._events: SimpleQueue[tuple[_Member, _Event]] = SimpleQueue()
        self._checked = time.monotonic()

    def start(self) -> None:
        # Another process costs half a second and as much memory again, and the server is mostly what is busy.
        for _ in range(self._fixed or 1):
            self._add(_Local if self._fixed is None else _Child)

    def _add(self, kind: type[_Local] | type[_Child]) -> None:
        self._members.append(kind(self._setup, self._events))
        self._usage.processes = max(self._usage.processes, len(self._members))
        limits = self._setup.options.limits.share(len(self._members))
        for member in self._members:
            member.limit(limits)

    def run(self, items: Iterator[Item]) -> Iterator[list[Outcome]]:
        more = True
        while True:
            while more and (member := self._hungry()) is not None:
                batch = list(islice(items, BATCH))
                more = len(batch) == BATCH
                if batch:
                    member.under_way += len(batch)
                    member.send(batch)
            if not more and not any(member.under_way for member in self._members):
                break
            yield from self._take()
            if more and self._fixed is None:
                self._grow()
        for member in self._members:
            member.close()
        while not all(member.ended for member in self._members):
            yield from self._take()
        if any(member.under_way for member in self._members):  # pragma: no cover - a fault of ours
            raise MigrationFailed("Copying ended without a word about some objects.", next_move="Run it again.")

    def _take(self) -> Iterator[list[Outcome]]:
        member, event = self._events.get()
        member.heard(event)
        reports = [member.report for member in self._members]
        self._usage.requests = self._before.requests + sum(report.requests for report in reports)
        self._usage.cpu_seconds = self._before.cpu_seconds + sum(report.cpu_seconds for report in reports)
        self._usage.level = sum(report.level for report in reports)
        if event.fault is not None:
            raise event.fault
        if event.outcomes:
            yield event.outcomes

    def _hungry(self) -> _Member | None:
        member = min(self._members, key=lambda member: member.under_way)
        room = max(2 * BATCH, AHEAD * self._setup.options.limits.concurrency // len(self._members))
        return member if member.under_way + BATCH <= room else None

    def _grow(self) -> None:
        """Another process, if those that run compute all the time."""
        now = time.monotonic()
        if now - self._checked < GROW_SECONDS:
            return
        self._checked = now
        busy = [member.busy(now) > BUSY for member in self._members]
        if all(busy) and len(self._members) < cores():
            self._add(_Child)

    def stop(self) -> None:
        for member in self._members:
            member.stop()
        for member in self._members:
            member.join()


class _Member:
    """Someone who copies: an engine here, or one in a child process."""

    def __init__(self) -> None:
        self.under_way = 0
        self.ended = False
        self.report = _Report(0, 0.0, 0)
        self._since, self._cpu = time.monotonic(), 0.0

    def heard(self, event: _Event) -> None:
        self.under_way -= len(event.outcomes)
        self.report = event.report
        self.ended = event.ended

    def busy(self, now: float) -> float:
        """The share of the time since the last call for which it computed."""
        share = (self.report.cpu_seconds - self._cpu) / max(now - self._since, 1e-9)
        self._since, self._cpu = now, self.report.cpu_seconds
        return share

    def send(self, batch: list[Item]) -> None:
        raise NotImplementedError

    def limit(self, limits: Limits) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """End when everything is done."""
        raise NotImplementedError

    def stop(self) -> None:
        """Give up what is under way, and end."""
        raise NotImplementedError

    def join(self) -> None:
        """Wait for the end."""
        raise NotImplementedError


class _Local(_Member):
    def __init__(self, setup: Setup, events: SimpleQueue[tuple[_Member, _Event]]) -> None:
        super().__init__()
        self._engine = _Engine(setup, lambda event: events.put((self, event)))
        self.send, self.limit = self._engine.send, self._engine.limit  # type: ignore[method-assign]
        self.close, self.stop, self.join = self._engine.close, self._engine.stop, self._engine.join  # type: ignore[method-assign]


class _Child(_Member):
    """A fresh interpreter on two pipes; see :mod:`migrator.concurrency.processes`. Ends when the parent's pipe does."""

    def __init__(self, setup: Setup, events: SimpleQueue[tuple[_Member, _Event]]) -> None:
        super().__init__()
        self._process = start_child("from migrator.copying.fleet import serve; serve()")
        self._say(setup)
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    def _listen(self, events: SimpleQueue[tuple[_Member, _Event]]) -> None:
        event = None
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while event is None or not event.ended:
                event = pickle.load(pipe(self._process.stdout))
                events.put((self, event))
        if event is None or not event.ended:
            fault = MigrationFailed(
                f"A copying process died (exit code {self._process.wait()}).", next_move="Run the same command again."
            )
            events.put((self, _Event([], self.report, ended=True, fault=fault)))

    def _say(self, message: Any) -> None:
        with suppress(OSError):  # it died: the listener says so
            pickle.dump(message, pipe(self._process.stdin))
            pipe(self._process.stdin).flush()

    def send(self, batch: list[Item]) -> None:
        self._say(("send", batch))

    def limit(self, limits: Limits) -> None:
        self._say(("limit", limits))

    def close(self) -> None:
        self._say(("close",))

    def stop(self) -> None:
        self._say(("stop",))

    def join(self) -> None:
        with suppress(OSError):
            pipe(self._process.stdin).close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        pipe(self._process.stdout).close()


def serve() -> None:
    """The life of a child: do what the parent says until it says "close" or "stop", or is gone."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever prints must not end up between the answers

    def say(event: _Event) -> None:
        with suppress(OSError):
            pickle.dump(event, sink)
            sink.flush()

    engine = _Engine(pickle.load(source), say)
    last = ""
    while last not in ("close", "stop"):
        try:
            last, *arguments = pickle.load(source)
        except (EOFError, pickle.UnpicklingError):
            engine.stop()  # the parent was killed: the next run begins where its journal ends
            engine.join(ORPHAN_SECONDS)
            os._exit(1)
        getattr(engine, last)(*arguments)
    # "stop" may follow "close".
    threading.Thread(target=_await_stop, args=(source, engine), daemon=True).start()
    engine.join()
    os._exit(0)  # that thread still waits, and would be in the way of a usual end


def _await_stop(source: BinaryIO, engine: _Engine) -> None:
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        pickle.load(source)
        engine.stop()


class _Engine:
    """An event loop that copies, in a thread of its own. What becomes of it goes to ``sink``, in batches."""

    def __init__(self, setup: Setup, sink: Sink) -> None:
        self._setup = setup
        self._sink = sink
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[Item] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._closing = False
        self._fault: MigratorError | None = None
        self._copier: Copier | None = None
        self._cpu = time.process_time()
        self._thread = threading.Thread(target=self._live, name="migrator-copier", daemon=True)
        self._thread.start()

    def send(self, batch: list[Item]) -> None:
        self._call(lambda copier: self._begin(copier, batch))

    def limit(self, limits: Limits) -> None:
        self._call(lambda copier: copier.pace.limit(limits))

    def close(self) -> None:
        self._call(lambda copier: self._finish(copier, cancel=False))

    def stop(self) -> None:
        self._call(lambda copier: self._finish(copier, cancel=True))

    def join(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    def _call(self, action: Callable[[Copier], None]) -> None:
        def act() -> None:
            if self._copier is not None:
                action(self._copier)

        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(act)

    def _live(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._copier = self._setup.copier()
            self._loop.call_later(FLUSH_SECONDS, self._flush_often)
            self._loop.run_forever()
            self._copier.close()
        except MigratorError as error:
            self._fault = error
        except Exception as error:
            self._fault = _crash(error)
        finally:
            self._loop.close()
            self._sink(_Event(self._outcomes, self._report(), ended=True, fault=self._fault))

    def _report(self) -> _Report:
        copier = self._copier
        cpu = time.process_time() - self._cpu
        return _Report(copier.requests if copier else 0, cpu, int(copier.pace.level) if copier else 0)

    def _flush_often(self) -> None:
        self._flush()
        self._loop.call_later(FLUSH_SECONDS, self._flush_often)

    def _flush(self) -> None:
        if self._outcomes:
            self._sink(_Event(self._outcomes, self._report()))
            self._outcomes = []

    def _begin(self, copier: Copier, batch: list[Item]) -> None:
        copier.expect(batch)
        self._waiting.extend(batch)
        self._fill(copier)

    def _fill(self, copier: Copier) -> None:
        """As many objects under way as requests are allowed: of large ones the parts wait for their turn."""
        while self._waiting and len(self._tasks) < copier.pace.level:
            task = self._loop.create_task(self._one(copier, self._waiting.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and self._copier is not None:
            self._fill(self._copier)
        elif self._closing and not self._tasks:
            self._loop.stop()

    def _finish(self, copier: Copier, *, cancel: bool) -> None:
        self._closing = True
        if cancel:
            copier.give_up()
            self._waiting.clear()
            for task in self._tasks:
                task.cancel()
        if not self._tasks and not self._waiting:
            self._loop.stop()

    async def _one(self, copier: Copier, item: Item) -> None:
        try:
            outcome = await copier.copy(item)  # before the list is looked up: it changes meanwhile
            self._outcomes.append(outcome)
        except MigratorError as error:
            self._outcomes.append(NotCopied(item.id, error))
            self._flush()  # at once: it may be one too many, and then nothing more is to be asked for
        except asyncio.CancelledError:
            pass
        except Exception as error:
            self._fault = self._fault or _crash(error)
            self._finish(copier, cancel=True)


def _crash(error: Exception) -> MigrationFailed:
    return MigrationFailed(internal_error(error))
