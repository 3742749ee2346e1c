"""Progress on standard error: a bar that disappears in a terminal, and a plain line every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from migrator.progress.pace import Stage
from migrator.progress.reporter import Clock, Reporter
from migrator.progress.wording import last_line, plain_line, terminal_line

if TYPE_CHECKING:
    from migrator.progress.bar import Bar

REDRAWN, LINE_EVERY = 0.2, 10.0
"""Seconds between two updates of a bar, and between two lines."""
SHORT = 0.5
"""Seconds: a shorter stage gets no bar, which would only flicker."""
COLUMNS = 80
"""The width of a terminal whose width is unknown."""


class TerminalProgress(Reporter):
    """In a terminal, the present stage has a bar in the last line, which disappears with the stage.

    In a pipe or a file, there is a line every ten seconds about the present stage, and one at the end of a stage that
    took ten seconds or more. ``file``: by default standard error.
    """

    def __init__(self, file: TextIO | None = None, *, clock: Clock = time.monotonic) -> None:
        self._file = sys.stderr if file is None else file
        self.live = self._file.isatty()
        self._bar: Bar | None = None
        self._drawn = 0
        """How many columns may have been drawn. It is set before drawing, because Ctrl-C may interrupt the drawing."""
        super().__init__(every=REDRAWN if self.live else LINE_EVERY, clock=clock)

    def began(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        self._remove_bar()

    def goes_on(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        pace = stage.pace(self._clock())
        if not self.live:
            self._write(plain_line(stage, pace))
        elif pace.seconds >= SHORT:
            with suppress(OSError, ValueError):  # an error of the display must not end the run
                self._draw(stage)

    def ended(self, stage: Stage, error: type[BaseException] | None) -> None:
        """See :class:`Reporter`."""
        self._remove_bar()
        pace = stage.mean_pace(self._clock())
        if not self.live and pace.seconds >= LINE_EVERY:
            self._write(last_line(stage, pace, error.__name__ if error else ""))
            self.postpone()

    def _draw(self, stage: Stage) -> None:
        from migrator.progress.bar import Bar, dots_for  # loading tqdm takes 50 ms, and most commands do not need it

        # One column stays free: some terminals begin a new line when the last one is filled.
        columns = self._columns() - 1
        self._drawn = max(self._drawn, columns)
        pace = stage.pace(self._clock())
        left, right, with_bar = terminal_line(stage, pace, columns, dots_for(self._file))
        if self._bar is None:
            self._bar = Bar(self._file, columns, left, right, pace.share if with_bar else None)
        else:
            self._bar.draw(columns, left, right, pace.share if with_bar else None)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._file.fileno()).columns or COLUMNS
        except (OSError, ValueError):
            return COLUMNS

    def _remove_bar(self) -> None:
        with suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.close()
            if self._drawn:
                self._file.write(f"\r{' ' * self._drawn}\r")
                self._file.flush()
        self._bar, self._drawn = None, 0

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._file.write(f"{text}\n")
            self._file.flush()
