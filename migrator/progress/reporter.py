"""The base class of progress that is shown periodically, also while nothing is done for a long time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from migrator.progress.base import OBJECTS, Progress
from migrator.progress.pace import Stage

Clock = Callable[[], float]
"""Returns the time in seconds."""

TICK = 1.0
"""Seconds between two checks of a stage that reports nothing."""


class Reporter(Progress):
    """Shows the present stage at most every so many seconds.

    Subclasses have :meth:`began`, :meth:`goes_on` and :meth:`ended`; one of them is called at a time. ``every``:
    seconds. ``clock``: only tests need another one. ``ticking``: a thread also shows a stage while nothing is done;
    without it, all calls come from the caller's thread.
    """

    def __init__(self, *, every: float, clock: Clock = time.monotonic, ticking: bool = True) -> None:
        self._every, self._clock, self.ticking = every, clock, ticking
        self._lock = threading.RLock()
        self._open: list[Stage] = []
        self._due = clock() + every

    # -- for subclasses ------------------------------------------------------------------------------

    def began(self, stage: Stage) -> None:
        """A stage begins."""

    def goes_on(self, stage: Stage) -> None:
        """It is time to show how far a stage is."""

    def ended(self, stage: Stage, error: type[BaseException] | None) -> None:
        """A stage ends, by this error."""

    def postpone(self) -> None:
        """Wait ``every`` seconds from now before the stage is shown again."""
        self._due = self._clock() + self._every

    # -- for callers ---------------------------------------------------------------------------------

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = OBJECTS) -> Progress:
        """See :class:`Progress`. A stage that begins before another one has ended is shown instead of it."""
        with self._lock:
            stage = Stage(name, unit, objects, size, self._clock())
            self._open.append(stage)
            self.began(stage)
        return OpenStage(self, stage)

    def tick(self) -> None:
        """Show the present stage if it is time for it."""
        with self._lock:
            if self._open:
                self.look_at(self._open[-1])

    def look_at(self, stage: Stage) -> None:
        """Note how far this stage is, and show it if it is time for it and it is the present one."""
        now = self._clock()
        stage.sample(now)
        if now >= self._due:
            with self._lock:
                if self._open and self._open[-1] is stage:
                    self._due = now + self._every
                    self.goes_on(stage)

    def end(self, stage: Stage, error: type[BaseException] | None = None) -> None:
        """End a stage, once."""
        with self._lock:
            if stage in self._open:
                self._open.remove(stage)
                self.ended(stage, error)

    def close(self, error: type[BaseException]) -> None:
        """End all stages by this error, before it is shown. A generator may still have an open stage."""
        with self._lock:
            for stage in reversed(self._open[:]):
                self.end(stage, error)


class OpenStage(Progress):
    """One stage of a :class:`Reporter`."""

    def __init__(self, reporter: Reporter, stage: Stage) -> None:
        self._reporter, self._stage = reporter, stage
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = OBJECTS) -> Progress:
        """See :class:`Progress`."""
        return self._reporter.stage(name, objects=objects, size=size, unit=unit)

    def advance(self, objects: int = 1, size: int = 0) -> None:
        """See :class:`Progress`."""
        self._stage.done += objects
        self._stage.size += size
        self._reporter.look_at(self._stage)

    def failed(self, objects: int = 1) -> None:
        """See :class:`Progress`."""
        self._stage.failed += objects
        self._reporter.look_at(self._stage)

    def __enter__(self) -> Progress:
        if self._reporter.ticking:
            self._ticker = threading.Thread(target=self._tick, name="migrator-progress", daemon=True)
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        self._reporter.end(self._stage, kind)

    def _tick(self) -> None:
        while not self._ended.wait(TICK):
            with suppress(OSError, ValueError):  # standard error is closed
                self._reporter.tick()
