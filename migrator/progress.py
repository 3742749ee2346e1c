"""Progress of the current stage: objects, bytes, rate and time left.

:class:`Progress` shows nothing, for use from Python; :class:`TerminalProgress` shows tqdm bars.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm

LARGE = 1024**2
"""The mean object size, in bytes, above which the time depends on the bytes, and below which on the requests."""


class Progress:
    """Shows nothing. Use it as ``with progress.stage(…) as stage: stage.advance(1, size)``."""

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None) -> Progress:
        """Begin a stage of ``objects`` objects and ``size`` bytes, where known."""
        return self

    def advance(self, objects: int = 1, size: int = 0) -> None:
        """Report that so many more objects and bytes are done."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the stage."""


class TerminalProgress(Progress):
    """A tqdm bar per stage on standard error: live in a terminal, a line every 20 seconds in a log file."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._by_size = False
        self._objects = self._size = 0

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None) -> Progress:
        """See :class:`Progress`. Call it after the stage before has ended."""
        live = sys.stderr.isatty()
        self._objects = self._size = 0
        # The bar counts what the time depends on, objects or bytes, so that the time left is right.
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
        """See :class:`Progress`."""
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
