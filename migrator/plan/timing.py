"""How long the stages of planning take: what the estimates of later stages are based on."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from types import TracebackType

from migrator.progress import OBJECTS, Progress


class TimedProgress(Progress):
    """Passes everything on to another progress, and adds up what each stage did and took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """The name of a stage → seconds, all stages of that name together."""
        self.objects: Counter[str] = Counter()
        """The name of a stage → how many objects were reported as done."""

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = OBJECTS) -> Progress:
        """See :class:`~migrator.progress.Progress`."""
        return _TimedStage(self, name, self._progress.stage(name, objects=objects, size=size, unit=unit))

    def rate(self, name: str) -> float | None:
        """Objects per second of the stages of this name; None if there were none."""
        seconds = self.seconds[name]
        return self.objects[name] / seconds if seconds > 0 and self.objects[name] else None


class _TimedStage(Progress):
    def __init__(self, timed: TimedProgress, name: str, stage: Progress) -> None:
        self._timed, self._name, self._manager = timed, name, stage
        self._stage = stage
        self._began = time.monotonic()

    def advance(self, objects: int = 1, size: int = 0) -> None:
        self._timed.objects[self._name] += objects
        self._stage.advance(objects, size)

    def failed(self, objects: int = 1) -> None:
        self._stage.failed(objects)

    def __enter__(self) -> Progress:
        self._stage = self._manager.__enter__()
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timed.seconds[self._name] += time.monotonic() - self._began
        self._manager.__exit__(kind, error, trace)
