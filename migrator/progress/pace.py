"""How far a stage is, how fast it goes, and how long it will take: numbers only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

LARGE = 1024**2
"""The mean object size, in bytes, above which the time depends on the bytes, and below which on the requests."""
WINDOW = 30.0
"""Rates are measured over the last this many seconds, so that a slow start or a pause stops counting soon."""
SAMPLE_SECONDS = 1.0
"""How often a stage notes how far it is."""
SETTLED = 2.0
"""Seconds after which a stage has a rate and a time left: before that they are not reliable."""


@dataclass(frozen=True)
class Pace:
    """The state of a stage. ``seconds``: since it began. ``rate``, ``size_rate``: units and bytes per second. ``left``:
    seconds. ``share``: the part that is done, from 0 to 1. None for unknown values."""

    seconds: float
    rate: float | None = None
    size_rate: float | None = None
    left: float | None = None
    share: float | None = None


class Stage:
    """One stage: what it counts, and how far it is. ``now``: the time in seconds, by any clock."""

    def __init__(self, name: str, unit: str, total: int | None, size_total: int | None, now: float) -> None:
        self.name, self.unit = name, unit
        self.total, self.size_total = total, size_total
        self.done = self.size = self.failed = 0
        self.begun = now
        self._samples = deque([(now, 0, 0)])

    @property
    def by_size(self) -> bool:
        """True if the time depends on the bytes, so that progress is measured in bytes."""
        return bool(self.size_total and self.total and self.size_total / self.total > LARGE)

    def sample(self, now: float) -> None:
        """Note how far it is. Call it about once a second, or whenever something is done."""
        last, reached = self._samples[-1], (self.done, self.size)
        if now - last[0] >= SAMPLE_SECONDS and last[1:] != reached:
            self._samples.append((now, *reached))
        # The window grows while nothing is done: then the rate falls, but is still known.
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW and self._samples[1][1:] != reached:
            self._samples.popleft()

    def pace(self, now: float) -> Pace:
        """The present state and rate."""
        seconds, share = now - self.begun, self._share()
        since, done, size = self._samples[0]
        if seconds < SETTLED or now <= since or not (self.done or self.size):
            return Pace(seconds, share=share)
        rate, size_rate = (self.done - done) / (now - since), (self.size - size) / (now - since)
        return Pace(seconds, rate, size_rate if self.size else None, self._left(rate, size_rate), share)

    def mean_pace(self, now: float) -> Pace:
        """The state with the mean rate since the beginning."""
        seconds = now - self.begun
        if seconds <= 0:
            return Pace(0.0, share=self._share())
        return Pace(seconds, self.done / seconds, self.size / seconds if self.size else None, share=self._share())

    def _share(self) -> float | None:
        done, total = (self.size, self.size_total) if self.by_size else (self.done, self.total)
        return min(done / total, 1.0) if total else None

    def _left(self, rate: float, size_rate: float) -> float | None:
        done, total, speed = self.done, self.total, rate
        if self.by_size:
            done, total, speed = self.size, self.size_total, size_rate
        return max(total - done, 0) / speed if total is not None and speed > 0 else None
