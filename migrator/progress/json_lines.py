"""Progress, errors and the warnings of libraries as one JSON object a line, for programs that collect logs."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, TextIO

from migrator.errors import redacted
from migrator.progress.pace import Pace, Stage
from migrator.progress.reporter import Clock, Reporter
from migrator.progress.terminal import LINE_EVERY

INFO, WARNING, ERROR = "info", "warning", "error"

_writing = threading.Lock()
_speaks_json = False


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def write_line(
    level: str, event: str, *, file: TextIO | None = None, now: Callable[[], datetime] = _utc_now, **fields: Any
) -> None:
    """Write one JSON object with the time (UTC), the level, the event and these fields to standard error. Passwords in
    URLs are left out. Raises nothing if standard error cannot be written."""
    moment = now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    shown = {name: redacted(value) if isinstance(value, str) else value for name, value in fields.items()}
    text = json.dumps({"time": moment, "level": level, "event": event, **shown}, default=str)
    with _writing, suppress(OSError, ValueError):
        out = sys.stderr if file is None else file
        out.write(f"{text}\n")
        out.flush()


class JsonProgress(Reporter):
    """Writes a line when a stage begins, every ten seconds, and when it ends. ``now`` returns the time of day; only
    tests need others."""

    def __init__(
        self,
        file: TextIO | None = None,
        *,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._file = file
        self._now = now
        super().__init__(every=LINE_EVERY, clock=clock)

    def began(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        self.postpone()
        self._line(INFO, "stage_started", stage, Pace(0.0))

    def goes_on(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        self._line(INFO, "progress", stage, stage.pace(self._clock()))

    def ended(self, stage: Stage, error: type[BaseException] | None) -> None:
        """See :class:`Reporter`."""
        pace = stage.mean_pace(self._clock())
        if error is None:
            self._line(INFO, "stage_finished", stage, pace)
        else:
            self._line(ERROR, "stage_failed", stage, pace, error=error.__name__)

    def _line(self, level: str, event: str, stage: Stage, pace: Pace, **more: str) -> None:
        fields = {
            "stage": stage.name,
            "unit": stage.unit or None,
            "done": stage.done,
            "total": stage.total,
            "bytes": stage.size,
            "bytes_total": stage.size_total,
            "rate": None if pace.rate is None else round(pace.rate, 3),
            "seconds": round(pace.seconds, 3),
            "seconds_left": None if pace.left is None else round(pace.left, 1),
        }
        write_line(level, event, file=self._file, now=self._now, **fields, **more)


# -- output of libraries -----------------------------------------------------------------------------------


class _Records(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = ERROR if record.levelno >= logging.ERROR else WARNING
        write_line(level, "log", logger=record.name, message=record.getMessage())


def speaks_json() -> bool:
    """True after :func:`speak_json`, until that is undone."""
    return _speaks_json


def speak_json() -> Callable[[], None]:
    """From now on, log records and warnings of libraries, and uncaught exceptions, are written as JSON lines. Returns
    the function that undoes this."""
    global _speaks_json
    handler = _Records(logging.WARNING)
    hooks = sys.excepthook, threading.excepthook
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda given: _uncaught(given.exc_type, given.exc_value, given.exc_traceback)
    _speaks_json = True

    def undo() -> None:
        global _speaks_json
        _speaks_json = False
        sys.excepthook, threading.excepthook = hooks
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)

    return undo


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    shown = "".join(traceback.format_exception(kind, error, trace))
    write_line(ERROR, "error", error=kind.__name__, message=str(error), traceback=shown)
