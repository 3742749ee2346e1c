"""The progress of a long run: stages with objects, bytes, rate and time left.

:class:`Progress` reports nothing. :class:`TerminalProgress` draws bars with tqdm, for the command line.
:class:`LoggingProgress` writes to a logger, for programs that call migrator, such as Airflow or Dagster jobs.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tqdm import tqdm

LARGE = 1024**2
"""Mean object size, in bytes, above which the bytes take the time, and below which the requests do."""


class Progress:
    """Reports nothing. Every function of :mod:`migrator.api` uses it like this, one stage after the other::

        with progress.stage("copying", objects=1000, size=5_000_000) as stage:
            stage.advance(1, 5000)

    To report progress elsewhere, write a subclass with :meth:`stage`, :meth:`advance` and ``__exit__``.
    All calls come from the thread that called migrator.
    """

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None) -> Progress:
        """Begin a stage of ``objects`` objects and ``size`` bytes. None means that the number is not known."""
        return self

    def advance(self, objects: int = 1, size: int = 0) -> None:
        """Report that ``objects`` more objects with ``size`` more bytes are done."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the stage."""


class TerminalProgress(Progress):
    """A tqdm bar per stage on standard error: live in a terminal, a line now and then in a log file."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._by_size = False
        self._objects = self._size = 0

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None) -> Progress:
        live = sys.stderr.isatty()
        self._objects = self._size = 0
        # The bar counts what takes the time, so that the time left is true: many small objects, or bytes.
        self._by_size = bool(size and objects and size / objects > LARGE)
        self._bar = tqdm(
            desc=f"{name:<24}",
            total=size if self._by_size else objects,
            unit="B" if self._by_size else " objects",
            unit_scale=True,
            unit_divisor=1024 if self._by_size else 1000,
            mininterval=0.2 if live else 20,
            delay=0.5,
            file=sys.stderr,
            dynamic_ncols=live,
            leave=True,
        )
        return self

    def advance(self, objects: int = 1, size: int = 0) -> None:
        bar = self._bar
        if bar is None:
            return
        self._objects += objects
        self._size += size
        if self._by_size:
            bar.set_postfix_str(f"{self._objects:,} objects", refresh=False)
            bar.update(size)
        else:
            if self._size:
                bar.set_postfix_str(f"{tqdm.format_sizeof(self._size, 'B', 1024)}", refresh=False)
            bar.update(objects)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class LoggingProgress(Progress):
    """Writes progress to a logger: a line when a stage begins, one now and then, and one when it ends.

    A stage that fails is logged as such; the error itself is raised to the caller, who logs it.

    ``logger``: where to write. ``level``: with which level. ``every``: seconds between two lines of one stage.
    ``clock``: returns the time in seconds; only tests need another one.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        level: int = logging.INFO,
        every: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger, self._level, self._every, self._clock = logger, level, every, clock
        self._name = ""
        self._total: int | None = None
        self._objects = self._size = 0
        self._begun = self._logged = 0.0

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None) -> Progress:
        self._name, self._total = name, objects
        self._objects = self._size = 0
        self._begun = self._logged = self._clock()
        known = [] if objects is None else [f"{objects:,} objects"]
        if size:
            known.append(_bytes(size))
        self._log(f"begins ({', '.join(known)})" if known else "begins")
        return self

    def advance(self, objects: int = 1, size: int = 0) -> None:
        self._objects += objects
        self._size += size
        if self._clock() - self._logged >= self._every:
            self._log(self._done())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end = "finished" if kind is None else f"stopped by {kind.__name__}"
        self._log(f"{end} after {self._clock() - self._begun:.0f} s, {self._done()}")

    def _done(self) -> str:
        done = f"{self._objects:,} objects" if self._total is None else f"{self._objects:,} of {self._total:,} objects"
        return f"{done}, {_bytes(self._size)}" if self._size else done

    def _log(self, text: str) -> None:
        self._logged = self._clock()
        self._logger.log(self._level, "%s: %s", self._name, text)


def _bytes(size: int) -> str:
    return str(tqdm.format_sizeof(size, "B", 1024))
