"""Progress in the log of a program that calls migrator."""

from __future__ import annotations

import logging
import time

from migrator.progress.pace import Stage
from migrator.progress.reporter import Clock, Reporter
from migrator.progress.wording import counted, last_line, plain_line, size


class LoggingProgress(Reporter):
    """Writes progress to a logger: a line when a stage begins, one every ``every`` seconds, and one when it ends.

    A failed stage is logged as failed; the error itself is raised to the caller, who logs it. Everything is logged
    by the thread that called migrator.

    ``logger``: where to write. ``level``: with which level. ``every``: seconds between two lines of one stage.
    ``clock``: returns the time in seconds; only tests need another one.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        level: int = logging.INFO,
        every: float = 30.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._logger, self._level = logger, level
        super().__init__(every=every, clock=clock, ticking=False)

    def began(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        self.postpone()
        known = [] if stage.total is None else [counted(stage.total, stage.unit)]
        if stage.size_total:
            known.append(size(stage.size_total))
        self._log(f"{stage.name}: begins" + (f" ({', '.join(known)})" if known else ""))

    def goes_on(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        self._log(plain_line(stage, stage.pace(self._clock())))

    def ended(self, stage: Stage, error: type[BaseException] | None) -> None:
        """See :class:`Reporter`."""
        self._log(last_line(stage, stage.mean_pace(self._clock()), error.__name__ if error else ""))

    def _log(self, text: str) -> None:
        self._logger.log(self._level, "%s", text)
